//! Random worlds: everything that a world can be made of, drawn from a seed.
//!
//! Most worlds are small, so that there can be many. Times are drawn in proportion to the timeout and the length of
//! the run, because what matters is what falls before, on and after a deadline, whether that is 1 ms or 200 s.

use std::hash::RandomState;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use multiping::address::{Address, Family, PerFamily};
use multiping::plan::{Plan, Rate};
use multiping::token::{Key, Token};

use crate::chance::Chance;
use crate::machine::{EAGAIN, ENOBUFS, Machine, Outage, World};
use crate::network::{Host, Packet, reply};

/// EPERM, EACCES, EINVAL, EMSGSIZE, ENETDOWN, ENETUNREACH, EHOSTUNREACH.
const ERRNOS: [i32; 7] = [1, 13, 22, 90, 100, 101, 113];

/// The world of this seed.
pub fn world(seed: u64) -> World {
    let chance = &mut Chance::new(seed);
    let count = match chance.below(20) {
        0 => chance.below(2),
        1..5 => 1 + chance.below(60),
        _ => 1 + chance.below(12),
    };
    let plan = plan(chance, count);
    let packets = count as f64 * f64::from(plan.responses()) + 1.0;
    let sending = plan.rate().pps().map_or(Duration::ZERO, |pps| Duration::from_secs_f64(packets / pps));
    let run = Duration::ZERO..sending + plan.timeout() * (1 + u32::from(plan.retries()));
    let list = list(chance, count, plan.timeout());
    let idents = PerFamily::from_fn(|_| chance.draw() as u16);
    World {
        seed,
        unasked: unasked(chance, &list, idents, &run),
        list,
        idents,
        outages: outages(chance, &run),
        machine: machine(chance, &run),
        plan,
    }
}

/// (Not shuffled: that is by the key, which is another in every replay.)
fn plan(chance: &mut Chance, count: u64) -> Plan {
    let many = count <= 3 && chance.percent(20);
    Plan::default()
        .with_retries(if many { chance.below(256) } else { chance.below(6) } as u8)
        .with_responses(if chance.percent(60) { 1 } else { 1 + chance.below(5) as u8 })
        .unwrap()
        .with_timeout(scaled(chance, *Plan::TIMEOUT.start()..*Plan::TIMEOUT.end()))
        .unwrap()
        .with_rate(match chance.below(20) {
            0..3 => Rate::UNLIMITED,
            3 => Rate::per_second(*Rate::RANGE.start()).unwrap(),
            4 => Rate::per_second(*Rate::RANGE.end()).unwrap(),
            _ => Rate::per_second(10f64.powf(chance.below(9_000) as f64 / 1000.0 - 2.0)).unwrap(),
        })
        .with_spacing(chance.pick(&[Duration::ZERO, Duration::from_millis(10)]))
        .unwrap()
        .with_check_source(chance.percent(20))
}

/// A time in `range`; each order of magnitude is as likely as the next, and so are round numbers and odd ones.
fn scaled(chance: &mut Chance, range: Range<Duration>) -> Duration {
    let (low, high) = (range.start.as_secs_f64().ln(), range.end.as_secs_f64().ln());
    let time = Duration::from_secs_f64((low + (high - low) * chance.below(1001) as f64 / 1000.0).exp());
    let round = Duration::from_millis(time.as_millis() as u64);
    if chance.percent(50) { round } else { time }.clamp(range.start, range.end)
}

/// The lines of the list, some of them double.
fn list(chance: &mut Chance, count: u64, timeout: Duration) -> Vec<(Address, Host)> {
    let mixed = chance.below(3);
    let bad_routes = chance.percent(20);
    let mut list: Vec<(Address, Host)> = Vec::new();
    for _ in 0..count {
        let address = match list.len() as u64 {
            known if known > 0 && chance.percent(10) => list[chance.below(known) as usize].0,
            _ => address(chance, mixed),
        };
        let refusal = (bad_routes && chance.percent(20)).then(|| match chance.below(200) {
            0 => ENOBUFS,
            _ => chance.pick(&ERRNOS),
        });
        list.push((address, Host { refusal, ..host(chance, timeout) }));
    }
    list
}

fn address(chance: &mut Chance, mixed: u64) -> Address {
    let number = chance.below(1 << 16) as u16;
    match (mixed, chance.below(8)) {
        (0, _) | (1, 0..4) => Address::V4(Ipv4Addr::from(0x0a00_0001 + u32::from(number))),
        (_, 7) => Address::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number), 1 + chance.below(2) as u32),
        _ => Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, number), 0),
    }
}

fn host(chance: &mut Chance, timeout: Duration) -> Host {
    let short = Duration::from_micros(10)..Duration::from_millis(1);
    let mut host = match chance.below(10) {
        0..3 => return Host::SILENT,
        3..6 => Host::alive(chance.within(&short)),
        6 => Host { delay: Duration::ZERO..timeout, ..Host::alive(timeout) },
        7 => Host { delay: timeout.mul_f64(0.9)..timeout.mul_f64(1.1), ..Host::alive(timeout) },
        8 => Host { delay: timeout / 2..timeout * 3, ..Host::alive(timeout) },
        _ => Host::alive(timeout), // to the nanosecond
    };
    if chance.percent(30) {
        host.deaf = chance.below(4) as u32;
        host.loss = chance.pick(&[0, 20, 50]);
    }
    if chance.percent(40) {
        host.copies = 0..1 + chance.below(6);
        // Some of the copies come when a later attempt is in flight, or when all is over.
        host.spread = Duration::ZERO..timeout.mul_f64(chance.pick(&[0.001, 0.5, 2.0, 10.0]));
    }
    if chance.percent(30) {
        host.damage = chance.pick(&[10, 50, 100]);
    }
    if chance.percent(20) {
        host.elsewhere = chance.pick(&[10, 100]);
    }
    if chance.percent(20) {
        host.forged = 50;
    }
    host
}

/// What arrives unasked: other programs' replies, guesses, another run's replies, noise.
fn unasked(
    chance: &mut Chance,
    list: &[(Address, Host)],
    idents: PerFamily<u16>,
    run: &Range<Duration>,
) -> Vec<Packet> {
    if list.is_empty() || chance.percent(60) {
        return Vec::new();
    }
    let other_run = Key::new(RandomState::new());
    let packet = |_| {
        let (from, _) = list[chance.below(list.len() as u64) as usize];
        let family = from.family();
        let ident = idents[family];
        let (target, attempt) = (chance.below(list.len() as u64 + 1) as u32, chance.below(4) as u32);
        let guess = Token { target, attempt, seal: chance.draw() };
        let bytes = match chance.below(5) {
            0 => reply(family, ident ^ (1 + chance.below(0xffff) as u16), guess),
            1 => reply(family, ident, guess),
            2 => reply(family, ident, Token { target: u32::MAX - target, ..guess }),
            3 => reply(family, ident, other_run.token(target, attempt, (from, 0_u32))),
            _ => (0..chance.below(80)).map(|_| chance.draw() as u8).collect(),
        };
        Packet { at: chance.within(run), from, bytes }
    };
    (0..20).map(packet).collect()
}

fn outages(chance: &mut Chance, run: &Range<Duration>) -> Vec<Outage> {
    if chance.percent(75) {
        return Vec::new();
    }
    let outage = |_| {
        let start = if chance.percent(30) { Duration::ZERO } else { chance.within(run) };
        let length = chance.within(run);
        // Full buffers are looked at once a millisecond.
        let (errno, length) = match chance.percent(20) {
            true => (chance.pick(&[EAGAIN, ENOBUFS]), length.min(Duration::from_millis(300))),
            false => (chance.pick(&ERRNOS), length),
        };
        Outage { time: start..start + length, only: chance.pick(&[None, Some(Family::V4), Some(Family::V6)]), errno }
    };
    (0..2).map(outage).collect()
}

fn machine(chance: &mut Chance, run: &Range<Duration>) -> Machine {
    let (nothing, short, long) = (Duration::ZERO, Duration::from_micros(20), Duration::from_millis(1));
    let stops = if chance.percent(20) { 1 + chance.below(3) } else { 0 };
    let stop = |chance: &mut Chance| {
        let start = chance.within(run);
        start..start + scaled(chance, long..Duration::from_secs(10))
    };
    Machine {
        lateness: nothing..chance.pick(&[nothing, short, long, long, long * 50]),
        stops: (0..stops).map(|_| stop(chance)).collect(),
        size: chance.pick(&[16, 17, 56, 56, 56, 120]),
        cost: nothing..chance.pick(&[nothing, short, short, long]),
        partial: chance.pick(&[0, 20]),
        full: chance.pick(&[0, 0, 20]),
        cuts: Vec::new(),
        queues: Vec::new(),
        buffer: if chance.percent(75) { usize::MAX } else { chance.below(17) as usize },
        batches: chance.pick(&[1, 4, usize::MAX]),
        attentive: chance.percent(50),
    }
}
