//! What threads gain: a million hosts that reply, by one thread and by one a processor, beside the
//! bare loop of one thread, zmap and masscan; and whether threads keep a rate together. Threads
//! have ICMP datagram sockets, and for comparison raw ones.
//!
//! zmap and masscan are given the networks of the addresses, no limit on the rate, and a second to
//! wait for the last replies. What they lose is counted. masscan looks at the time only when a
//! packet arrives, and would wait for ever in a network without any: so one host is pinged
//! meanwhile.

mod bed;

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use bed::{
    Bed, FAR_MAC, FAR4, List, NEAR, NEAR4, Program, Report, Run, alive4, begin, median_of, number, ratio, run_here,
    scratch,
};

const MANY: u32 = 1_000_000;
const FEW: u32 = 1_000;

/// How many turns there are of the programs that are compared most closely, and of the others.
const TURNS: usize = 15;
const FEWER_TURNS: usize = 3;

const PACED_RUNS: usize = 3;

/// The rates to keep, in packets a second: on a slow machine two threads have no time for the
/// higher one, on a fast machine one has it for the lower one.
const RATES: [f64; 2] = [100_000.0, 200_000.0];

fn main() {
    begin();
    let bed = Bed::open();
    let mut report = Report::new("threads");
    speed(&bed, &mut report);
    pace(&bed, &mut report);
    report.save();
}

fn speed(bed: &Bed, report: &mut Report) {
    let list = List::new((0..MANY).map(alive4));
    let few = List::new((0..FEW).map(alive4));
    let by = |threads: &str| Program::ours(&["--max-pps=unlimited", "--retries=0", threads]);
    let one = by("--threads=1").named("xymonping, 1 thread");
    let all = allowing("0 0", by("--threads=auto").named("xymonping, a thread a processor"));
    let raw = allowing("1 0", by("--threads=auto").named("xymonping, the same, raw sockets"));
    let (near, mac) = (NEAR4.to_string(), FAR_MAC.to_string());
    let blocks = scratch("blocks");
    fs::write(&blocks, cidr_blocks(MANY)).expect("a file in memory");
    let path = blocks.to_string_lossy();
    let zmap = Program::zmap(&[
        "-M",
        "icmp_echoscan",
        "-i",
        NEAR,
        "-G",
        &mac,
        "-S",
        &near,
        "-r",
        "10000000",
        "-c",
        "1",
        "-b",
        "/dev/null",
        "-w",
        &path,
        "-q",
        "--disable-syslog",
        "-o",
        "-",
    ]);
    let masscan = Program::masscan(&[
        "--ping",
        "-e",
        NEAR,
        "--router-mac",
        &mac,
        "--adapter-ip",
        &near,
        "--rate",
        "10000000",
        "--wait",
        "1",
        "-iL",
        &path,
        "-oL",
        "-",
    ]);
    let masscan = masscan.map(beside_pings);
    let bare = Program::bare(false, list.len, false);
    let two = twice(Program::bare_datagram(list.len / 2).named("two bare loops at once, ICMP datagram sockets"));
    let load = load();
    let heads = [
        "program",
        "turns",
        "lost, worst run",
        "time, s",
        "user, s",
        "system, s",
        "peak, MB",
        "speed, of the bare loop's",
        "by the medians",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let close = [Some(bare.clone()), Some(two), Some(all.clone()), Some(raw)];
    let runs = compare(bed, report, &mut rows, &list, close, TURNS);
    let others = [Some(bare), Some(one.clone()), zmap, masscan];
    let other_runs = compare(bed, report, &mut rows, &list, others, FEWER_TURNS);
    let _ = fs::remove_file(&blocks);
    let peak = |runs: &[Run]| median_of(runs, |run| run.peak_rss as f64);
    let share = |program: &Program, runs: &[Run]| {
        let few = peak(&bed.in_turn(3, &[(program, Some(&few))])[0]);
        number((peak(runs) - few) / f64::from(MANY - FEW), 1)
    };
    report.add(&format!("### {MANY} IPv4 hosts that reply, no wait between packets\n"));
    report.add(&format!(
        "Medians of so many turns: the speed is the median of the ratios within a turn, or the ratio of the medians. \
         Wanted of the bare loop's speed: 1.6 with two processors. Load: {load} before, {} after.\n",
        self::load()
    ));
    report.table(&rows);
    report.add(&format!(
        "Bytes a target: {} by one thread, {} by all.\n",
        share(&one, &other_runs[1]),
        share(&all, &runs[2])
    ));
}

/// Runs programs in turn, the first of which is the bare loop, and adds a row for each.
fn compare(
    bed: &Bed,
    report: &mut Report,
    rows: &mut Vec<Vec<String>>,
    list: &List,
    programs: [Option<Program>; 4],
    turns: usize,
) -> Vec<Vec<Run>> {
    let programs: Vec<_> = programs.into_iter().flatten().collect();
    let with_lists: Vec<_> = programs.iter().map(|program| (program, is_ours(program).then_some(list))).collect();
    let runs = bed.in_turn(turns, &with_lists);
    let wall = |times: &[Run]| median_of(times, |run| run.wall.as_secs_f64());
    for (program, times) in programs.iter().zip(&runs) {
        report.raw("1M", program, times);
        rows.push(vec![
            program.name.clone(),
            turns.to_string(),
            times.iter().map(|run| list.len.saturating_sub(alive(program, run))).max().unwrap_or(list.len).to_string(),
            number(wall(times), 3),
            number(median_of(times, |run| run.user.as_secs_f64()), 3),
            number(median_of(times, |run| run.system.as_secs_f64()), 3),
            number(median_of(times, |run| run.peak_rss as f64 / 1e6), 1),
            number(ratio(&runs[0], times), 3),
            number(wall(&runs[0]) / wall(times), 3),
        ]);
    }
    runs
}

/// A program in a network where these groups may open ICMP datagram sockets.
fn allowing(groups: &str, program: Program) -> Program {
    by_shell(&format!("{} && exec \"$@\"", allow(groups)), program)
}

/// Two runs at once of a program in a network where root may open ICMP datagram sockets.
fn twice(program: Program) -> Program {
    by_shell(&format!("{}; \"$@\" & \"$@\"; own=$?; wait $! && exit $own", allow("0 0")), program)
}

/// A program in a network in which a host is pinged ten times a second meanwhile.
fn beside_pings(program: Program) -> Program {
    let pinger = Program::ours(&[]).path;
    let pinger = pinger.to_string_lossy();
    by_shell(
        &format!("{pinger} --loop --period=100ms {FAR4} >/dev/null & \"$@\"; own=$?; kill $! && exit $own"),
        program,
    )
}

fn allow(groups: &str) -> String {
    format!("echo '{groups}' > /proc/sys/net/ipv4/ping_group_range")
}

fn by_shell(script: &str, program: Program) -> Program {
    let path = program.path.to_string_lossy();
    let args: Vec<&str> =
        ["-c", script, "sh", &path].into_iter().chain(program.args.iter().map(String::as_str)).collect();
    Program::new(&program.name, "/bin/sh", &args)
}

/// The others are given no list.
fn is_ours(program: &Program) -> bool {
    program.name.starts_with("xymonping")
}

/// How many hosts a run has found. The bare loop fails if it did not receive all replies.
fn alive(program: &Program, run: &Run) -> usize {
    // A line of masscan: open icmp 0 10.0.0.1 1790000000
    let found = |word: usize| {
        let words = run.stdout.lines().filter_map(|line| line.split(' ').nth(word));
        words.filter_map(|word| word.parse::<Ipv4Addr>().ok()).collect::<HashSet<_>>().len()
    };
    match program.name.as_str() {
        "zmap" => found(0),
        "masscan" => found(3),
        name if name.contains("bare loop") => {
            if run.code == Some(0) {
                MANY as usize
            } else {
                0
            }
        }
        _ => run.alive(),
    }
}

/// The first addresses of 10.0.0.0/8 as networks.
fn cidr_blocks(count: u32) -> String {
    let bits = (0..32).rev().filter(|bit| count & 1 << bit != 0);
    let mut first = 0x0a00_0000;
    let block = |bit: u32| {
        let block = format!("{}/{}\n", Ipv4Addr::from_bits(first), 32 - bit);
        first += 1 << bit;
        block
    };
    bits.map(block).collect()
}

/// Counts what the device has sent every few milliseconds.
fn pace(bed: &Bed, report: &mut Report) {
    let list = List::new((0..MANY).map(alive4));
    let heads = ["program", "requested pps", "pps", "off by %", "lost"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for wanted in RATES {
        for threads in ["--threads=1", "--threads=2"] {
            let program = Program::ours(&[&format!("--max-pps={wanted}"), "--retries=0", threads]);
            for _ in 0..PACED_RUNS {
                let (run, rate) = bed.near().inside(|| {
                    thread::scope(|scope| {
                        let running = scope.spawn(|| run_here(&program, Some(&list)));
                        let rate = rate_until(|| running.is_finished());
                        (running.join().expect("a run"), rate)
                    })
                });
                rows.push(vec![
                    threads.to_owned(),
                    number(wanted, 0),
                    number(rate, 0),
                    number(100.0 * (rate / wanted - 1.0), 2),
                    (list.len - run.alive()).to_string(),
                ]);
            }
        }
    }
    report.add(&format!("### The rate that threads keep together, load: {}\n", load()));
    report.table(&rows);
}

/// The rate between the first and the last tenth of all packets.
fn rate_until(has_ended: impl Fn() -> bool) -> f64 {
    let start = sent();
    let mut samples = Vec::new();
    while !has_ended() {
        samples.push((Instant::now(), sent() - start));
        thread::sleep(Duration::from_millis(5));
    }
    let at = |share: f64| samples.iter().find(|(_, count)| *count as f64 >= share * f64::from(MANY)).copied();
    match (at(0.1), at(0.9)) {
        (Some((from, first)), Some((to, last))) => (last - first) as f64 / (to - from).as_secs_f64(),
        _ => 0.0,
    }
}

/// How many packets the near end has sent: columns of /proc/net/dev.
fn sent() -> u64 {
    let devices = fs::read_to_string("/proc/thread-self/net/dev").expect("/proc is mounted");
    let columns = devices.lines().find_map(|line| line.trim_start().strip_prefix(NEAR)?.strip_prefix(':'));
    columns.and_then(|columns| columns.split_whitespace().nth(9)?.parse().ok()).expect("the device is there")
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
