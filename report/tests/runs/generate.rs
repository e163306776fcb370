//! Makes runs like those of `xymonping --json=packets`: seeded, ordinary and hard ones.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::VecDeque;
use std::io::{self, Write};

use fastrand::Rng;
use xymonping_report::read::Reader;
use xymonping_report::run::Run;

/// What a run is like.
#[derive(Clone)]
pub struct Scene {
    /// How many targets.
    pub targets: usize,
    /// Probes to each.
    pub count: usize,
    /// Of the random numbers.
    pub seed: u64,
    /// How the targets behave.
    pub behaviour: Behaviour,
    /// Whether there are records of packets.
    pub packets: bool,
    /// Which percentiles the records have.
    pub percentiles: &'static [u64],
    /// Whether there are records of intervals.
    pub intervals: bool,
    /// The name of the run.
    pub name: &'static str,
    /// How long a label is.
    pub label: usize,
}

/// How the targets behave.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Some are dead, some lose probes, and for a while many of them do.
    Ordinary,
    /// None answers.
    Dead,
    /// Half of them answer in 2 ms, the others in 2 s.
    NearAndFar,
    /// Each loses every second probe.
    Noisy,
    /// Each loses all but one probe.
    OneAnswer,
}

impl Scene {
    /// An ordinary run with packets.
    pub fn new(targets: usize, count: usize) -> Self {
        Scene {
            targets,
            count,
            seed: 1,
            behaviour: Behaviour::Ordinary,
            packets: true,
            percentiles: &[50, 90, 99],
            intervals: false,
            name: "core",
            label: 6,
        }
    }
}

const SECOND: u64 = 1_000_000_000;
const TIMEOUT: u64 = 5 * SECOND;
/// 2026-11-26 10:36:00 UTC.
const START: u64 = 1_795_689_360 * SECOND;

/// How one target behaves.
struct Host {
    address: String,
    label: String,
    base: f64,
    jitter: f64,
    loss: f64,
    dead: bool,
    in_outage: bool,
    rtts: Vec<Option<u64>>,
}

fn host(place: usize, scene: &Scene, random: &mut Rng) -> Host {
    let far = random.f64() < 0.4;
    let base = match scene.behaviour {
        Behaviour::NearAndFar => {
            if place % 2 == 0 {
                2e6
            } else {
                2e9
            }
        }
        _ if far => 1e7 * (30.0_f64).powf(random.f64()),
        _ => 1.5e5 * (6.0_f64).powf(random.f64()),
    };
    let loss = match random.u8(..100) {
        0..=79 => 0.0,
        80..=89 => 0.02 * random.f64(),
        90..=96 => 0.15 * random.f64(),
        _ => 0.5 * random.f64(),
    };
    let v6 = place % 7 == 6;
    let (high, low) = (place / 250, place % 250 + 1);
    Host {
        address: if v6 {
            format!("2001:db8::{high:x}:{low:x}")
        } else {
            format!("10.{}.{}.{low}", high / 250, high % 250)
        },
        label: "router-in-the-basement-of-the-old-building-by-the-river-north-"[..scene.label.min(60)].to_owned()
            + &place.to_string(),
        base,
        jitter: 0.02 + 0.3 * random.f64() * random.f64(),
        loss: match scene.behaviour {
            Behaviour::NearAndFar => 0.01,
            Behaviour::Noisy => 0.5,
            _ => loss,
        },
        dead: scene.behaviour == Behaviour::Dead
            || scene.behaviour == Behaviour::Ordinary && scene.targets > 3 && random.u8(..100) < 2,
        in_outage: scene.behaviour == Behaviour::Ordinary && random.bool(),
        rtts: Vec::with_capacity(scene.count),
    }
}

/// The RTT of a probe, unless it is lost.
fn fate(host: &Host, probe: usize, scene: &Scene, random: &mut Rng) -> Option<u64> {
    let share = probe as f64 / scene.count as f64;
    let lost = host.dead
        || random.f64() < host.loss
        || host.in_outage && (0.52..0.58).contains(&share) && random.f64() < 0.8
        || scene.behaviour == Behaviour::OneAnswer && probe != scene.count / 2;
    let tail = -(1.0 - random.f64()).ln();
    let spike = if random.u16(..300) == 0 { 3.0 + 12.0 * random.f64() } else { 0.0 };
    let day = 1.0 + 0.12 * (share * 9.0).sin();
    let rtt = host.base * (day + host.jitter * tail + spike);
    (!lost).then_some((rtt as u64).min(TIMEOUT) / 100 * 100)
}

/// RFC 3339, without a leap second.
fn time(ns: u64) -> String {
    let text = humantime::format_rfc3339_micros(std::time::UNIX_EPOCH + std::time::Duration::from_nanos(ns));
    text.to_string()
}

/// The records of a scene, as text.
pub fn text(scene: &Scene) -> String {
    let mut bytes = Vec::new();
    write(scene, &mut bytes).expect("memory can be written");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// The runs that records are of.
pub fn runs(records: &str) -> Vec<Run> {
    let mut reader = Reader::default();
    reader.begin("input");
    reader.feed(records.as_bytes());
    reader.finish();
    reader.runs
}

/// Writes the run.
pub fn write(scene: &Scene, out: &mut impl Write) -> io::Result<()> {
    let mut random = Rng::with_seed(scene.seed);
    let mut hosts: Vec<Host> = (0..scene.targets).map(|place| host(place, scene, &mut random)).collect();
    let (name, targets, count) = (scene.name, scene.targets, scene.count);
    writeln!(
        out,
        r#"{{"type":"start","schema":1,"version":"0.2.0","run":"{name}","time":"{}","mode":"count","targets":{targets},"rejected":0,"count":{count},"period_ns":1000000000,"timeout_ns":{TIMEOUT},"late_ns":{TIMEOUT},"max_pps":50.0,"size":56}}"#,
        time(START),
    )?;
    let mut timeouts: VecDeque<(u64, usize, usize)> = VecDeque::new();
    let mut end = START;
    for probe in 0..count {
        for place in 0..targets {
            let sent = START + probe as u64 * SECOND + place as u64 * SECOND / targets as u64;
            while timeouts.front().is_some_and(|(due, ..)| scene.packets && *due <= sent) {
                write_timeout(timeouts.pop_front(), &hosts, out)?;
            }
            let rtt = fate(&hosts[place], probe, scene, &mut random);
            let host = &mut hosts[place];
            host.rtts.push(rtt);
            end = sent + rtt.unwrap_or(TIMEOUT);
            match rtt {
                Some(rtt) if scene.packets => writeln!(
                    out,
                    r#"{{"type":"reply","time":"{}","target":"{}","label":"{}","probe":{probe},"seq":{},"bytes":64,"ttl":62,"rtt_ns":{rtt},"from":null}}"#,
                    time(sent + rtt),
                    host.address,
                    host.label,
                    (probe * targets + place) % 65_536,
                )?,
                Some(_) => {}
                None => timeouts.push_back((sent + TIMEOUT, place, probe)),
            }
        }
        if scene.intervals && (probe + 1) % 60 == 0 {
            write_intervals(&hosts, START + (probe as u64 + 1) * SECOND, out)?;
        }
    }
    while scene.packets && !timeouts.is_empty() {
        write_timeout(timeouts.pop_front(), &hosts, out)?;
    }
    for (place, host) in hosts.iter().enumerate() {
        write_target(place, host, scene, out)?;
    }
    let alive = hosts.iter().filter(|host| host.rtts.iter().any(Option::is_some)).count();
    let (unreachable, sent) = (targets - alive, targets * count);
    let received: usize = hosts.iter().map(|host| host.rtts.iter().flatten().count()).sum();
    let lost = sent - received;
    let loss = if sent == 0 { "null".to_owned() } else { format!("{}", lost as f64 / sent as f64) };
    writeln!(
        out,
        r#"{{"type":"end","schema":1,"run":"{name}","time":"{}","complete":true,"cut_short":null,"exit":0,"duration_ns":{},"alive":{alive},"unreachable":{unreachable},"unsent":0,"undecided":0,"unsettled":0,"unresolved":0,"rejected":0,"sent":{sent},"received":{received},"late":0,"lost":{lost},"loss_ratio":{loss},"duplicates":0,"damaged":0,"stray":0,"icmp_errors":0,"send_errors":0,"kernel_drops":0,"slipped":0,"samples":{received},"rtt_error_ratio":0.0,"rtt_min_ns":null,"rtt_mean_ns":null,"rtt_max_ns":null,"rtt_stddev_ns":null,"failures":[],"warnings":[]}}"#,
        time(end),
        end - START,
    )
}

fn write_timeout(timeout: Option<(u64, usize, usize)>, hosts: &[Host], out: &mut impl Write) -> io::Result<()> {
    let Some((due, place, probe)) = timeout else { return Ok(()) };
    let host = &hosts[place];
    writeln!(
        out,
        r#"{{"type":"timeout","time":"{}","target":"{}","label":"{}","probe":{probe}}}"#,
        time(due),
        host.address,
        host.label,
    )
}

fn write_intervals(hosts: &[Host], end: u64, out: &mut impl Write) -> io::Result<()> {
    for host in hosts {
        let rtts = &host.rtts[host.rtts.len().saturating_sub(60)..];
        let answers: Vec<u64> = rtts.iter().flatten().copied().collect();
        let or_null = |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
        writeln!(
            out,
            r#"{{"type":"interval","target":"{}","label":"{}","time":"{}","sent":{},"received":{},"late":0,"lost":{},"rtt_min_ns":{},"rtt_mean_ns":{},"rtt_max_ns":{}}}"#,
            host.address,
            host.label,
            time(end),
            rtts.len(),
            answers.len(),
            rtts.len() - answers.len(),
            or_null(answers.iter().min().copied()),
            or_null(answers.iter().sum::<u64>().checked_div(answers.len() as u64)),
            or_null(answers.iter().max().copied()),
        )?;
    }
    Ok(())
}

fn write_target(place: usize, host: &Host, scene: &Scene, out: &mut impl Write) -> io::Result<()> {
    let mut rtts: Vec<u64> = host.rtts.iter().flatten().copied().collect();
    rtts.sort_unstable();
    let n = rtts.len() as u64;
    let (sent, lost) = (scene.count as u64, scene.count as u64 - n);
    let or_null = |value: Option<u64>| value.map_or("null".to_owned(), |value| value.to_string());
    let rank = |percent: u64| rtts.get(((n * percent).div_ceil(100).max(1) - 1) as usize).copied();
    let mean = rtts.iter().sum::<u64>().checked_div(n);
    let variance = |mean: u64| rtts.iter().map(|rtt| (*rtt as f64 - mean as f64).powi(2)).sum::<f64>() / n as f64;
    let steps = || host.rtts.windows(2).filter_map(|pair| Some(pair[0]?.abs_diff(pair[1]?)));
    let jitter = steps().sum::<u64>().checked_div(steps().count() as u64);
    let (mut run, mut longest) = (0, 0);
    for rtt in &host.rtts {
        run = if rtt.is_none() { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let percentiles = scene.percentiles.iter().map(|p| format!(r#""rtt_p{p}_ns":{},"#, or_null(rank(*p))));
    writeln!(
        out,
        r#"{{"type":"target","target":"{}","label":"{}","line":{},"family":"{}","state":"{}","reason":{},"sent":{sent},"received":{n},"late":0,"lost":{lost},"loss_ratio":{},"duplicates":0,"damaged":0,"elsewhere":0,"reordered":0,"icmp_errors":0,"send_errors":0,"icmp_type":null,"icmp_code":null,"icmp_name":null,"icmp_from":null,"icmp_mtu":null,"errno":null,"errno_name":null,"ttl":62,"ttl_changes":0,"samples":{n},"rtt_error_ratio":0.0,"rtt_min_ns":{},"rtt_mean_ns":{},"rtt_max_ns":{},"rtt_stddev_ns":{},{}"jitter_ns":{},"jitter_rfc3550_ns":{},"longest_outage_ns":{},"longest_loss_run":{longest}}}"#,
        host.address,
        host.label,
        place + 1,
        if host.address.contains(':') { "ipv6" } else { "ipv4" },
        if n > 0 { "alive" } else { "unreachable" },
        if n > 0 { "null" } else { r#""timeout""# },
        lost as f64 / sent as f64,
        or_null(rtts.first().copied()),
        or_null(mean),
        or_null(rtts.last().copied()),
        or_null(mean.map(|mean| variance(mean).sqrt() as u64)),
        percentiles.collect::<String>(),
        or_null(jitter),
        or_null(jitter),
        longest * SECOND,
    )
}
