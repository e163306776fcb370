//! Off the path: guesses, millions of them.
//!
//! Everything in a guess is right but what only the key can tell: addresses of probed hosts, their places in the list,
//! attempts that are in flight, checksums. The seal is a random number. By chance one guess in 2^64 answers a probe.

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

/// How often he guesses about everybody in one run with a known Identifier: for longer than a run lasts, unless the flood
/// itself makes it long.
const PATIENCE: u32 = 20_000;
/// No probe is out, or nobody knows its Identifier yet.
const UNKNOWN: u32 = u32::MAX;

/// How many guesses he makes: so many, or what `XYMONPING_GUESSES` says.
fn wanted(guesses: u64) -> u64 {
    env::var("XYMONPING_GUESSES").map_or(guesses, |number| number.parse().expect("XYMONPING_GUESSES is a number"))
}

/// Those who are probed.
struct Hosts {
    alive: Vec<String>,
    dead: Vec<String>,
}

impl Hosts {
    /// Live hosts up to 400 ms away, and dead ones, of both families as far as the kernel has them.
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

/// Replies of one family, made up in bulk: they are altered in place, and their checksums with them.
struct Guesses {
    packets: Vec<Vec<u8>>,
    /// What the words of each message come to without Identifier, Sequence Number and seal.
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

    /// Guesses anew, all of them with this Identifier.
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

/// Has the list probed again and again while a thread sends guesses, until it has sent as many as are wanted. `ident` is
/// asked for the Identifier of the next few, if there are to be any. `run` is told the number of guesses as it grows.
fn play(
    lab: &Lab,
    hosts: &Hosts,
    wanted: u64,
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
        // However the runs end, so does the flood.
        let _stop = Stop(&over);
        scope.spawn(flood);
        while sent.load(Relaxed) < wanted {
            run(&sent);
            lab.forget();
        }
    });
}

/// Says that it is over when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How many packets a run found damaged, by its summary: the guesses that it has looked at.
fn damaged(outcome: &Finished) -> u64 {
    let number = || outcome.stderr.split(" damaged: ").nth(1)?.split(',').next()?.parse().ok();
    number().unwrap_or_else(|| panic!("no summary: {}", outcome.stderr))
}

/// What the program holds where nobody guesses, and room for what it has read at once.
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
        play(lab, &hosts, wanted(10_000_000), any, |sent| {
            let before = sent.load(Relaxed);
            let outcome = lab.run(&ARGS, list(&hosts.list()));
            let guesses = sent.load(Relaxed) - before;
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            assert_all(&outcome, &hosts.alive, true);
            assert_all(&outcome, &hosts.dead, false);
            assert_true_rtts(lab, &outcome, &hosts.alive);
            // He goes through all Identifiers, and says about each host what he has to say with each of them.
            let rounds = guesses / 65_536 + 2 * u64::from(ATTEMPTS) * hosts.list().len() as u64;
            assert!(damaged(&outcome) <= rounds, "the kernel keeps other Identifiers away: {}", outcome.stderr);
            assert!(outcome.peak_rss_kib <= memory, "{} KiB, not {memory}", outcome.peak_rss_kib);
        });
    });
}

/// Worse than can be: he would have to see a probe to know its Identifier. Now all that he sends reaches the program,
/// and may fill its buffer faster than it reads: then answers are lost on this machine. It may say so, and nothing of
/// hosts that it has no answer of; but it may not call them unreachable.
#[test]
fn millions_of_guesses_with_the_right_identifier_make_no_line_false() {
    let _alone = ALONE.lock();
    lab::play(|lab| {
        let hosts = Hosts::populate(lab);
        let memory = memory_allowed(lab, &hosts);
        let known = AtomicU32::new(UNKNOWN);
        let mut patience = PATIENCE;
        let right = || {
            let ident = u16::try_from(known.load(Relaxed)).ok();
            patience = if ident.is_some() { patience.saturating_sub(1) } else { PATIENCE };
            ident.filter(|_| patience > 0)
        };
        let mut looked_at = 0;
        play(lab, &hosts, wanted(3_000_000), right, |_| {
            let mut running = lab.start(lab.command().args(ARGS));
            running.feed(list(&hosts.list()));
            running.close_stdin();
            running.wait_until(lab::LIMIT, "its first probe", |_| !lab.seen().is_empty());
            known.store(lab.seen()[0].ident.into(), Relaxed);
            let outcome = running.finish(lab::LIMIT);
            known.store(UNKNOWN, Relaxed);
            looked_at += damaged(&outcome);
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
            let said = format!("{silent} target{s} undecided: this machine lost replies");
            match silent {
                0 => assert_eq!(outcome.code, Some(0), "{}", outcome.stderr),
                _ => assert!(
                    outcome.code == Some(4) && outcome.first_stderr_line().contains(&said),
                    "{}",
                    outcome.stderr
                ),
            }
            assert!(outcome.peak_rss_kib <= memory, "{} KiB, not {memory}", outcome.peak_rss_kib);
        });
        assert!(looked_at > 0);
    });
}
