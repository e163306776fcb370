//! An attacker off the path, who sends millions of guesses.
//!
//! A guess has a random seal; everything else in it is right: the address of a probed host, its
//! place in the list, an attempt that is in flight, the checksum. One guess in 2^64 is valid by
//! chance.

use std::env;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::thread;

use fastrand::Rng;

use crate::lab::{self, Behaviour, Finished, HOST4, HOST6, Lab, packet};
use crate::lab::{assert_all, assert_true_rtts, list, ms};

/// One flood at a time.
static ALONE: Mutex<()> = Mutex::new(());

const ARGS: [&str; 4] = ["--timeout=2", "--retries=1", "--max-pps=100", "--summary"];
/// Two probes are sent to a silent host.
const ATTEMPTS: u32 = 2;

/// How often guesses about all hosts are sent in a run with a known Identifier: for longer than a
/// run lasts, unless the flood itself prolongs it.
const MAX_GUESSES: u32 = 20_000;
/// The Identifier of the run is not known, or there is no run.
const UNKNOWN: u32 = u32::MAX;

/// How many guesses to send: this many, or `XYMONPING_GUESSES`.
fn number_of_guesses(default: u64) -> u64 {
    env::var("XYMONPING_GUESSES").map_or(default, |number| number.parse().expect("XYMONPING_GUESSES is a number"))
}

/// The probed hosts.
struct Hosts {
    alive: Vec<String>,
    dead: Vec<String>,
}

impl Hosts {
    /// Live hosts up to 400 ms away and dead ones, of the families that the kernel has.
    fn populate(lab: &Lab) -> Hosts {
        let families = if lab.has_ipv6() { &["10.1.0.", "fd00:1::"][..] } else { &["10.1.0."] };
        let addresses = |range: RangeInclusive<u32>| {
            families.iter().flat_map(|family| range.clone().map(move |n| format!("{family}{n}"))).collect::<Vec<_>>()
        };
        let hosts = Hosts { alive: addresses(1..=20), dead: addresses(101..=120) };
        for (place, host) in hosts.alive.iter().enumerate() {
            lab.host(host, Behaviour::after(ms(place as u64 % 5 * 100)));
        }
        for host in &hosts.dead {
            lab.host(host, Behaviour::silent());
        }
        hosts
    }

    fn list(&self) -> Vec<String> {
        [self.alive.as_slice(), &self.dead].concat()
    }
}

/// Forged replies of one family, which are changed in place together with their checksums.
struct Guesses {
    packets: Vec<Vec<u8>>,
    /// The sum of the words of each message without Identifier, Sequence Number and seal.
    sums: Vec<u32>,
    rng: Rng,
}

impl Guesses {
    /// One guess for each attempt of each host of a family in the list.
    fn about(list: &[String], ipv6: bool) -> Guesses {
        let to = if ipv6 { IpAddr::from(HOST6) } else { HOST4.into() };
        let mut guesses = Guesses { packets: Vec::new(), sums: Vec::new(), rng: Rng::with_seed(ipv6.into()) };
        for (place, host) in list.iter().enumerate() {
            let from: IpAddr = host.parse().expect("an address");
            for attempt in (0..ATTEMPTS).filter(|_| from.is_ipv6() == ipv6) {
                let mut data: Vec<u8> = (0..56).collect();
                data[..4].copy_from_slice(&(place as u32).to_be_bytes());
                data[4..8].copy_from_slice(&attempt.to_be_bytes());
                data[8..16].fill(0);
                let packet = packet::echo_reply(from, to, 0, 0, &data);
                let at = packet::message_start(&packet);
                guesses.sums.push((!u16::from_be_bytes([packet[at + 2], packet[at + 3]])).into());
                guesses.packets.push(packet);
            }
        }
        guesses
    }

    /// Makes new guesses, all with this Identifier.
    fn renew(&mut self, ident: u16) {
        for (packet, sum) in self.packets.iter_mut().zip(&self.sums) {
            let (seal, seq) = (self.rng.u64(..), self.rng.u16(..));
            let words = (seal >> 48) + (seal >> 32 & 0xffff) + (seal >> 16 & 0xffff) + (seal & 0xffff);
            let mut sum = u64::from(*sum) + u64::from(ident) + u64::from(seq) + words;
            sum = (sum >> 16) + (sum & 0xffff);
            sum = (sum >> 16) + (sum & 0xffff);
            let at = packet::message_start(packet);
            packet[at + 2..at + 4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
            packet[at + 4..at + 6].copy_from_slice(&ident.to_be_bytes());
            packet[at + 6..at + 8].copy_from_slice(&seq.to_be_bytes());
            packet[at + 16..at + 24].copy_from_slice(&seal.to_be_bytes());
        }
    }
}

/// Probes the list again and again while a thread sends guesses, until `count` of them are sent.
/// `ident` returns the Identifier of the next guesses, or `None` to send none. `run` gets the
/// number of guesses sent so far.
fn play(
    lab: &Lab,
    hosts: &Hosts,
    count: u64,
    mut ident: impl FnMut() -> Option<u16> + Send,
    mut run: impl FnMut(&AtomicU64),
) {
    let all = hosts.list();
    let (sent, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let flood = || {
        let mut families = [Guesses::about(&all, false), Guesses::about(&all, true)];
        while !over.load(Relaxed) {
            let Some(ident) = ident() else {
                thread::sleep(ms(1));
                continue;
            };
            for guesses in &mut families {
                guesses.renew(ident);
                lab.inject_all(&guesses.packets);
                sent.fetch_add(guesses.packets.len() as u64, Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        // Ends the flood even if a run fails.
        let _stop = Stop(&over);
        scope.spawn(flood);
        while sent.load(Relaxed) < count {
            run(&sent);
            lab.forget();
        }
    });
}

/// Sets the flag when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How many packets were damaged, by the summary of a run: the guesses that it has read.
fn damaged(outcome: &Finished) -> u64 {
    let number = || outcome.stderr.split(" damaged: ").nth(1)?.split(',').next()?.parse().ok();
    number().unwrap_or_else(|| panic!("no summary: {}", outcome.stderr))
}

/// The memory of the program without guesses, plus a receive batch.
fn memory_allowed(lab: &Lab, hosts: &Hosts) -> u64 {
    let quiet = lab.run(&ARGS, list(&hosts.alive));
    assert_all(&quiet, &hosts.alive, true);
    lab.forget();
    quiet.peak_rss_kib + 1024
}

#[test]
fn ten_million_guesses_change_nothing() {
    let _alone = ALONE.lock();
    lab::play(|lab| {
        let hosts = Hosts::populate(lab);
        let memory = memory_allowed(lab, &hosts);
        let mut next = 0_u16;
        let any = || {
            next = next.wrapping_add(1);
            Some(next)
        };
        play(lab, &hosts, number_of_guesses(10_000_000), any, |sent| {
            let before = sent.load(Relaxed);
            let outcome = lab.run(&ARGS, list(&hosts.list()));
            let guesses = sent.load(Relaxed) - before;
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            assert_all(&outcome, &hosts.alive, true);
            assert_all(&outcome, &hosts.dead, false);
            assert_true_rtts(lab, &outcome, &hosts.alive);
            // The flood goes through all Identifiers, with guesses about all hosts for each.
            let limit = guesses / 65_536 + 2 * u64::from(ATTEMPTS) * hosts.list().len() as u64;
            assert!(damaged(&outcome) <= limit, "the kernel drops other Identifiers: {}", outcome.stderr);
            assert!(outcome.peak_rss_kib <= memory, "{} KiB, not {memory}", outcome.peak_rss_kib);
        });
    });
}

/// Worse than a blind attacker can do, who does not know the Identifier. Every guess reaches the
/// program, and they may fill its buffer faster than it reads, so that replies are lost on this
/// machine. Then it may print no line for a host, but must not call it unreachable.
#[test]
fn millions_of_guesses_with_the_right_identifier_make_no_line_false() {
    let _alone = ALONE.lock();
    lab::play(|lab| {
        let hosts = Hosts::populate(lab);
        let memory = memory_allowed(lab, &hosts);
        let known = AtomicU32::new(UNKNOWN);
        let mut remaining = MAX_GUESSES;
        let right = || {
            let ident = u16::try_from(known.load(Relaxed)).ok();
            remaining = if ident.is_some() { remaining.saturating_sub(1) } else { MAX_GUESSES };
            ident.filter(|_| remaining > 0)
        };
        let mut read = 0;
        play(lab, &hosts, number_of_guesses(3_000_000), right, |_| {
            let mut running = lab.start(lab.command().args(ARGS));
            running.feed(list(&hosts.list()));
            running.close_stdin();
            running.wait_until(lab::LIMIT, "its first probe", |_| !lab.seen().is_empty());
            known.store(lab.seen()[0].ident.into(), Relaxed);
            let outcome = running.finish(lab::LIMIT);
            known.store(UNKNOWN, Relaxed);
            read += damaged(&outcome);
            let has_line = |host: &&String| !outcome.verdict_of(host).is_empty();
            let with_line = |hosts: &[String]| hosts.iter().filter(has_line).cloned().collect::<Vec<_>>();
            let (alive, dead) = (with_line(&hosts.alive), with_line(&hosts.dead));
            assert_all(&outcome, &alive, true);
            assert_all(&outcome, &dead, false);
            if !alive.is_empty() {
                assert_true_rtts(lab, &outcome, &alive);
            }
            let silent = hosts.list().len() - alive.len() - dead.len();
            let s = if silent == 1 { "" } else { "s" };
            let message = format!("{silent} target{s} undecided: this machine lost replies");
            match silent {
                0 => assert_eq!(outcome.code, Some(0), "{}", outcome.stderr),
                _ => assert!(
                    outcome.code == Some(4) && outcome.first_stderr_line().contains(&message),
                    "{}",
                    outcome.stderr
                ),
            }
            assert!(outcome.peak_rss_kib <= memory, "{} KiB, not {memory}", outcome.peak_rss_kib);
        });
        assert!(read > 0);
    });
}
