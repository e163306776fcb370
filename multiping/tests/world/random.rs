//! Random worlds: everything about a world, drawn from a seed.
//!
//! Most worlds are small, so that there can be many. Times are drawn in proportion to the timeout
//! and the length of the run, so that events fall before, on and after deadlines, whether a timeout
//! is 1 ms or 200 s.

use std::hash::RandomState;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use multiping::address::{Address, Family, PerFamily};
use multiping::plan::{IcmpErrors, Plan, Rate};
use multiping::token::{Key, Token};

use crate::machine::{CutLink, EAGAIN, ENOBUFS, Machine, Outage, World};
use crate::network::{Host, Packet, reply};
use crate::rng::Rng;

/// EPERM, EACCES, EINVAL, EMSGSIZE, ENETDOWN, ENETUNREACH, EHOSTUNREACH.
const ERRNOS: [i32; 7] = [1, 13, 22, 90, 100, 101, 113];

/// The world of this seed.
pub fn world(seed: u64) -> World {
    let rng = &mut Rng::new(seed);
    let count = match rng.below(20) {
        0 => rng.below(2),
        1..5 => 1 + rng.below(60),
        _ => 1 + rng.below(12),
    };
    let plan = plan(rng, count).with_backoff(backoff(seed)).unwrap();
    let packets = count as f64 * f64::from(plan.responses()) + 1.0;
    let sending = plan.rate().pps().map_or(Duration::ZERO, |pps| Duration::from_secs_f64(packets / pps));
    let run = Duration::ZERO..sending + plan.total_timeout();
    let list = list(rng, count, plan.timeout());
    let idents = PerFamily::from_fn(|_| rng.u64() as u16);
    let unsolicited = unsolicited(rng, &list, idents, &run);
    let outages = outages(rng, &run);
    let machine = machine(rng, &run);
    World {
        seed,
        icmp_errors: rng.pick(&[IcmpErrors::Ignore, IcmpErrors::Report, IcmpErrors::Fail]),
        unsolicited,
        list,
        idents,
        outages,
        // Attempts are refunded for overflow, and the oracle cannot tell the timeout of the next.
        machine: Machine { buffer: if plan.backoff() > 1.0 { usize::MAX } else { machine.buffer }, ..machine },
        plan,
    }
}

/// Not shuffled: that order depends on the key, which does not follow from the seed.
fn plan(rng: &mut Rng, count: u64) -> Plan {
    let many_retries = count <= 3 && rng.percent(20);
    Plan::default()
        .with_retries(if many_retries { rng.below(256) } else { rng.below(6) } as u8)
        .with_responses(if rng.percent(60) { 1 } else { 1 + rng.below(5) as u8 })
        .unwrap()
        .with_timeout(scaled(rng, *Plan::TIMEOUT.start()..*Plan::TIMEOUT.end()))
        .unwrap()
        .with_rate(match rng.below(20) {
            0..3 => Rate::UNLIMITED,
            3 => Rate::per_second(*Rate::RANGE.start()).unwrap(),
            4 => Rate::per_second(*Rate::RANGE.end()).unwrap(),
            _ => Rate::per_second(10f64.powf(rng.below(9_000) as f64 / 1000.0 - 2.0)).unwrap(),
        })
        .with_spacing(rng.pick(&[Duration::ZERO, Duration::from_millis(10)]))
        .unwrap()
        .with_check_source(rng.percent(20))
}

/// The backoff, of its own random numbers: most worlds have none.
fn backoff(seed: u64) -> f64 {
    let mut rng = Rng::stream(seed, [u64::MAX, 1]);
    if rng.percent(80) { 1.0 } else { rng.pick(&[1.0, 1.001, 1.5, 2.0, 3.7, 5.0]) }
}

/// A time in `range`, of any order of magnitude with the same odds; half of them are whole
/// milliseconds.
fn scaled(rng: &mut Rng, range: Range<Duration>) -> Duration {
    let (low, high) = (range.start.as_secs_f64().ln(), range.end.as_secs_f64().ln());
    let time = Duration::from_secs_f64((low + (high - low) * rng.below(1001) as f64 / 1000.0).exp());
    let round = Duration::from_millis(time.as_millis() as u64);
    if rng.percent(50) { round } else { time }.clamp(range.start, range.end)
}

/// The lines of the list, some with equal addresses.
fn list(rng: &mut Rng, count: u64, timeout: Duration) -> Vec<(Address, Host)> {
    let mixed = rng.below(3);
    let bad_routes = rng.percent(20);
    let mut list: Vec<(Address, Host)> = Vec::new();
    for _ in 0..count {
        let address = match list.len() as u64 {
            known if known > 0 && rng.percent(10) => list[rng.below(known) as usize].0,
            _ => address(rng, mixed),
        };
        let refusal = (bad_routes && rng.percent(20)).then(|| match rng.below(200) {
            0 => ENOBUFS,
            _ => rng.pick(&ERRNOS),
        });
        list.push((address, Host { refusal, ..host(rng, timeout) }));
    }
    list
}

fn address(rng: &mut Rng, mixed: u64) -> Address {
    let number = rng.below(1 << 16) as u16;
    match (mixed, rng.below(8)) {
        (0, _) | (1, 0..4) => Address::V4(Ipv4Addr::from(0x0a00_0001 + u32::from(number))),
        (_, 7) => Address::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number), 1 + rng.below(2) as u32),
        _ => Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, number), 0),
    }
}

fn host(rng: &mut Rng, timeout: Duration) -> Host {
    let short = Duration::from_micros(10)..Duration::from_millis(1);
    let mut host = match rng.below(10) {
        0..3 => return Host { errors: rng.pick(&[0, 50, 100]), delay: short, ..Host::SILENT },
        3..6 => Host::alive(rng.duration(&short)),
        6 => Host { delay: Duration::ZERO..timeout, ..Host::alive(timeout) },
        7 => Host { delay: timeout.mul_f64(0.9)..timeout.mul_f64(1.1), ..Host::alive(timeout) },
        8 => Host { delay: timeout / 2..timeout * 3, ..Host::alive(timeout) },
        _ => Host::alive(timeout), // to the nanosecond
    };
    if rng.percent(30) {
        host.lost_first = rng.below(4) as u32;
        host.loss = rng.pick(&[0, 20, 50]);
    }
    if rng.percent(40) {
        host.copies = 0..1 + rng.below(6);
        // Some copies arrive when a later attempt is in flight, or after the run.
        host.spread = Duration::ZERO..timeout.mul_f64(rng.pick(&[0.001, 0.5, 2.0, 10.0]));
    }
    if rng.percent(30) {
        host.damage = rng.pick(&[10, 50, 100]);
    }
    if rng.percent(20) {
        host.other_source = rng.pick(&[10, 100]);
    }
    if rng.percent(20) {
        host.forged = 50;
    }
    host.errors = rng.pick(&[0, 0, 50]);
    host
}

/// What arrives without a probe: other programs' replies, guesses, another run's replies, noise.
fn unsolicited(rng: &mut Rng, list: &[(Address, Host)], idents: PerFamily<u16>, run: &Range<Duration>) -> Vec<Packet> {
    if list.is_empty() || rng.percent(60) {
        return Vec::new();
    }
    let other_run = Key::new(RandomState::new());
    let packet = |_| {
        let (from, _) = list[rng.below(list.len() as u64) as usize];
        let family = from.family();
        let ident = idents[family];
        let (target, attempt) = (rng.below(list.len() as u64 + 1) as u32, rng.below(4) as u32);
        let guess = Token { target, attempt, seal: rng.u64() };
        let bytes = match rng.below(5) {
            0 => reply(family, ident ^ (1 + rng.below(0xffff) as u16), guess),
            1 => reply(family, ident, guess),
            2 => reply(family, ident, Token { target: u32::MAX - target, ..guess }),
            3 => reply(family, ident, other_run.token(target, attempt, (from, 0_u32))),
            _ => (0..rng.below(80)).map(|_| rng.u64() as u8).collect(),
        };
        Packet { at: rng.duration(run), from, bytes }
    };
    (0..20).map(packet).collect()
}

fn outages(rng: &mut Rng, run: &Range<Duration>) -> Vec<Outage> {
    if rng.percent(75) {
        return Vec::new();
    }
    let outage = |_| {
        let start = if rng.percent(30) { Duration::ZERO } else { rng.duration(run) };
        let length = rng.duration(run);
        // Full buffers are retried once a millisecond.
        let (errno, length) = match rng.percent(20) {
            true => (rng.pick(&[EAGAIN, ENOBUFS]), length.min(Duration::from_millis(300))),
            false => (rng.pick(&ERRNOS), length),
        };
        Outage { time: start..start + length, family: rng.pick(&[None, Some(Family::V4), Some(Family::V6)]), errno }
    };
    (0..2).map(outage).collect()
}

fn machine(rng: &mut Rng, run: &Range<Duration>) -> Machine {
    let (nothing, short, long) = (Duration::ZERO, Duration::from_micros(20), Duration::from_millis(1));
    let stops = if rng.percent(20) { 1 + rng.below(3) } else { 0 };
    let stop = |rng: &mut Rng| {
        let start = rng.duration(run);
        start..start + scaled(rng, long..Duration::from_secs(10))
    };
    Machine {
        lateness: nothing..rng.pick(&[nothing, short, long, long, long * 50]),
        stops: (0..stops).map(|_| stop(rng)).collect(),
        size: rng.pick(&[16, 17, 56, 56, 56, 120]),
        cost: nothing..rng.pick(&[nothing, short, short, long]),
        partial: rng.pick(&[0, 20]),
        full: rng.pick(&[0, 0, 20]),
        cuts: Vec::new(),
        cut_link: CutLink::Only,
        queues: Vec::new(),
        drops: Vec::new(),
        other_drops: Vec::new(),
        buffer: if rng.percent(75) { usize::MAX } else { rng.below(17) as usize },
        batches: rng.pick(&[1, 4, usize::MAX]),
        wakes_for_arrivals: rng.percent(50),
    }
}
