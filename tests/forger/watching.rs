//! An attacker on the path, who sees every probe.
//!
//! Which replies of a single host are accepted is in network/answers.rs: damage of every kind,
//! other messages, other sources, copies, late ones. Here the attacker has the tokens of all
//! probes, and combines them.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::lab::packet::{self, Header};
use crate::lab::{self, Behaviour, Finished, HOST4, HOST6, Lab, ROUTER4, ROUTER6, Running, Seen};
use crate::lab::{assert_all, list, ms};

/// An Echo Reply to a probe, with this data.
fn reply(probe: &Seen, data: &[u8]) -> Vec<u8> {
    packet::echo_reply(probe.dst, probe.src, probe.ident, probe.seq, data)
}

/// The data of a probe with these bytes replaced.
fn altered(probe: &Seen, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut data = probe.data.to_vec();
    data[at..at + bytes.len()].copy_from_slice(bytes);
    data
}

/// An IP packet in two fragments (RFC 791 §3.2, RFC 8200 §4.5).
fn fragments(packet: &[u8]) -> Vec<Vec<u8>> {
    const CUT: usize = 32;
    let at = packet::message_start(packet);
    let (head, message) = packet.split_at(at);
    let piece = |offset: usize, part: &[u8]| {
        let more = offset == 0;
        if at == 40 {
            let mut piece = head.to_vec();
            piece[4..6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
            piece[6] = 44;
            let [high, low] = (offset as u16 | u16::from(more)).to_be_bytes();
            piece.extend([head[6], 0, high, low, 0, 0, 0, 1]);
            return [&piece, part].concat();
        }
        let mut piece = head.to_vec();
        piece[2..4].copy_from_slice(&((at + part.len()) as u16).to_be_bytes());
        piece[4..6].copy_from_slice(&[0, 1]);
        piece[6..8].copy_from_slice(&(u16::from(more) << 13 | (offset as u16 / 8)).to_be_bytes());
        piece[10..12].fill(0);
        let sum = packet::checksum(&[&piece]);
        piece[10..12].copy_from_slice(&sum.to_be_bytes());
        [&piece, part].concat()
    };
    vec![piece(0, &message[..CUT]), piece(CUT, &message[CUT..])]
}

/// How the debug log classifies the packets from these addresses, in order.
fn logged(outcome: &Finished, from: &[IpAddr]) -> Vec<String> {
    const KINDS: [&str; 5] = ["answer", "duplicate", "late", "damaged", "stray"];
    let kind = |line: &str| {
        let (_, rest) = line.split_once(" recv ")?;
        let mut words = rest.split(' ');
        let source: IpAddr = words.next()?.parse().ok()?;
        from.contains(&source).then(|| words.find(|word| KINDS.contains(word)).unwrap_or(rest).to_owned())
    };
    outcome.stderr.lines().filter_map(kind).collect()
}

fn start(lab: &Lab, args: &[&str], hosts: &[String]) -> Running {
    let mut running = lab.start(lab.command().args(args));
    running.feed(list(hosts));
    running.close_stdin();
    running
}

/// Waits until a host has been probed this often, and returns the last of these probes.
fn probe(lab: &Lab, running: &mut Running, host: &str, number: usize) -> Seen {
    running.wait_until(lab::LIMIT, "its probe", |_| lab.seen_of(host).len() >= number);
    lab.seen_of(host).swap_remove(number - 1)
}

/// The `n`th host of each family that the kernel has.
fn nth(lab: &Lab, n: usize) -> Vec<String> {
    let mut hosts = vec![format!("10.7.0.{n}")];
    if lab.has_ipv6() {
        hosts.push(format!("fd00:7::{n:x}"));
    }
    hosts
}

/// A forgery with the probe of a dead host, and that of another.
struct Forgery {
    what: &'static str,
    packets: fn(&Seen, &Seen) -> Vec<Vec<u8>>,
    /// How it is classified, with IPv4 and with IPv6.
    logged: [&'static [&'static str]; 2],
}

const ANSWER: [&[&str]; 2] = [&["answer"]; 2];
const DAMAGED: [&[&str]; 2] = [&["damaged"]; 2];
const NOTHING: [&[&str]; 2] = [&[]; 2];

const FORGERIES: [Forgery; 15] = [
    Forgery { what: "a reply in its place", packets: |probe, _| vec![reply(probe, &probe.data)], logged: ANSWER },
    Forgery {
        what: "a reply from the address of the other, which stays dead",
        packets: |probe, other| vec![packet::echo_reply(other.dst, probe.src, probe.ident, other.seq, &probe.data)],
        logged: ANSWER,
    },
    Forgery {
        what: "three replies",
        packets: |probe, _| vec![reply(probe, &probe.data); 3],
        logged: [&["answer", "duplicate", "duplicate"]; 2],
    },
    Forgery {
        what: "a valid token with other data after it",
        packets: |probe, _| vec![reply(probe, &altered(probe, 16, &[0xff; 40]))],
        logged: DAMAGED,
    },
    Forgery {
        what: "a valid token without data after it",
        packets: |probe, _| vec![reply(probe, &probe.data[..16])],
        logged: ANSWER,
    },
    Forgery {
        what: "a reply in two fragments",
        packets: |probe, _| fragments(&reply(probe, &probe.data)),
        logged: ANSWER,
    },
    Forgery {
        what: "the first fragment only",
        packets: |probe, _| fragments(&reply(probe, &probe.data))[..1].to_vec(),
        logged: NOTHING,
    },
    Forgery {
        // Longer than what is read of a packet, so the ICMP checksum cannot be verified. The kernel
        // has verified that of ICMPv6.
        what: "60,000 more bytes",
        packets: |probe, _| vec![reply(probe, &[&probe.data[..], &[0; 60_000]].concat())],
        logged: [&["damaged"], &["answer"]],
    },
    Forgery {
        what: "target and attempt of the other",
        packets: |probe, other| vec![reply(other, &altered(probe, 0, &other.data[..8]))],
        logged: DAMAGED,
    },
    Forgery {
        what: "the seal of the other",
        packets: |probe, other| vec![reply(probe, &altered(probe, 8, &other.data[8..16]))],
        logged: DAMAGED,
    },
    Forgery {
        what: "the sum of both seals",
        packets: |probe, other| {
            let seal = |probe: &Seen| u64::from_be_bytes(probe.data[8..16].try_into().expect("eight bytes"));
            vec![reply(probe, &altered(probe, 8, &seal(probe).wrapping_add(seal(other)).to_be_bytes()))]
        },
        logged: DAMAGED,
    },
    Forgery {
        what: "the next attempt",
        packets: |probe, _| vec![reply(probe, &altered(probe, 7, &[1]))],
        logged: DAMAGED,
    },
    Forgery {
        what: "targets beyond the end of the list",
        packets: |probe, _| vec![reply(probe, &altered(probe, 0, &[0xff; 4])), reply(probe, &altered(probe, 2, &[1]))],
        logged: [&["damaged", "damaged"]; 2],
    },
    Forgery {
        what: "the token moved by a byte",
        packets: |probe, _| vec![reply(probe, &[&[0], &probe.data[..]].concat()), reply(probe, &probe.data[1..])],
        logged: [&["damaged", "damaged"]; 2],
    },
    Forgery {
        // The kernel's filter has only the first 32 types of ICMP, and passes the others.
        what: "the token in all other types of messages",
        packets: |probe, _| {
            let header = Header::new(probe.dst, probe.src);
            let [a, b] = probe.ident.to_be_bytes();
            let [c, d] = probe.seq.to_be_bytes();
            let echo_reply = if probe.dst.is_ipv4() { 0 } else { 129 };
            let types = (0..=255).filter(|&msg_type| msg_type != echo_reply);
            types.map(|msg_type| packet::icmp(header, msg_type, 0, [a, b, c, d], &probe.data)).collect()
        },
        logged: [&["stray"; 256 - 32], &[]],
    },
];

#[test]
fn a_reply_is_accepted_only_for_a_probe_that_was_seen() {
    lab::play(|lab| {
        lab.keep_data();
        lab.others(Behaviour::silent());
        // Two hosts of each family for each forgery: the one that it is about, and another.
        let pairs = (0..FORGERIES.len()).map(|n| (nth(lab, 2 * n + 1), nth(lab, 2 * n + 2)));
        let pairs: Vec<_> = pairs.flat_map(|(ones, others)| ones.into_iter().zip(others)).collect();
        let families = pairs.len() / FORGERIES.len();
        let all: Vec<String> = pairs.iter().flat_map(|(one, other)| [one.clone(), other.clone()]).collect();
        let mut running = start(lab, &["--debug", "--timeout=5", "--retries=0", "--max-pps=1000"], &all);
        running.wait_until(lab::LIMIT, "all probes", |_| lab.seen().len() == all.len());
        let mut waited = Vec::new();
        for (place, (one, other)) in pairs.iter().enumerate() {
            let [probe, other] = [one, other].map(|host| lab.seen_of(host).swap_remove(0));
            let packets = (FORGERIES[place / families].packets)(&probe, &other);
            waited.push(Instant::now() - probe.time);
            packets.iter().for_each(|packet| lab.inject(packet));
        }
        let outcome = running.finish(lab::LIMIT);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        for (place, (one, other)) in pairs.iter().enumerate() {
            let (forgery, family) = (&FORGERIES[place / families], place % families);
            let (what, expected) = (forgery.what, forgery.logged[family]);
            let sources = [one, other].map(|host| host.parse().expect("an address"));
            assert_eq!(logged(&outcome, &sources), expected, "{what}: {one}, {other}");
            assert_all(&outcome, &[one], expected.contains(&"answer"));
            assert_all(&outcome, &[other], false);
            // A reply cannot be forged before the probe is seen, so an RTT is not shorter.
            let rtt = outcome.rtt_of(one).unwrap_or(Duration::MAX);
            assert!(rtt.saturating_add(ms(1)) > waited[place], "{what}: {rtt:?}, not {:?}", waited[place]);
        }
    });
}

#[test]
fn a_reply_after_the_timeout_is_late() {
    lab::play(|lab| {
        lab.keep_data();
        lab.others(Behaviour::silent());
        let hosts = nth(lab, 1);
        let mut running = start(lab, &["--debug", "--timeout=3", "--retries=1"], &hosts);
        for host in &hosts {
            let retry = probe(lab, &mut running, host, 2);
            let first = lab.seen_of(host).swap_remove(0);
            // The first token, alone and with numbers of the retry; and its seal in the token of
            // the retry.
            lab.inject(&reply(&first, &first.data));
            lab.inject(&reply(&retry, &first.data));
            lab.inject(&reply(&retry, &altered(&first, 0, &retry.data[..8])));
        }
        let outcome = running.finish(lab::LIMIT);
        assert_all(&outcome, &hosts, false);
        for host in &hosts {
            let source = host.parse().expect("an address");
            assert_eq!(logged(&outcome, &[source]), ["late", "late", "damaged"], "{host}: {}", outcome.stderr);
        }
    });
}

#[test]
fn the_token_of_one_probe_is_accepted_once() {
    lab::play(|lab| {
        lab.keep_data();
        lab.others(Behaviour::silent());
        let hosts = nth(lab, 1);
        let args = ["--summary", "--timeout=3", "--retries=1", "--responses=3"];
        let mut running = start(lab, &args, &hosts);
        for host in &hosts {
            let first = probe(lab, &mut running, host, 1);
            lab.inject(&reply(&first, &first.data));
            let second = probe(lab, &mut running, host, 2);
            (0..50).for_each(|_| lab.inject(&reply(&second, &first.data)));
        }
        let outcome = running.finish(lab::LIMIT);
        assert_all(&outcome, &hosts, true);
        let (answers, copies) = (hosts.len(), 50 * hosts.len());
        let figures =
            format!("replies: {answers}, from other sources: 0, duplicates: {copies}, late: 0, damaged: 0, stray: 0\n");
        assert!(outcome.stderr.contains(&figures), "{}", outcome.stderr);
        for host in &hosts {
            assert_eq!(lab.seen_of(host).len(), 3, "one reply, and two timeouts: {host}");
        }
    });
}

#[test]
fn the_token_of_another_run_is_not_accepted() {
    lab::play(|lab| {
        lab.keep_data();
        let hosts = nth(lab, 7);
        assert_all(&lab.run(&[], list(&hosts)), &hosts, true);
        let old = lab.seen();
        lab.forget();
        lab.others(Behaviour::silent());
        let mut running = start(lab, &["--debug", "--timeout=3", "--retries=0"], &hosts);
        for (host, old) in hosts.iter().zip(&old) {
            let new = probe(lab, &mut running, host, 1);
            assert_eq!(old.dst, new.dst);
            assert_ne!(old.data, new.data);
            // Identifier and Sequence Number are right, and the token was valid for this host in
            // the first run.
            lab.inject(&reply(&new, &old.data));
        }
        let outcome = running.finish(lab::LIMIT);
        assert_all(&outcome, &hosts, false);
        for host in &hosts {
            assert_eq!(logged(&outcome, &[host.parse().expect("an address")]), ["damaged"], "{}", outcome.stderr);
        }
    });
}

#[test]
fn forged_mtu_errors_do_not_fragment_probes() {
    lab::play(|lab| {
        lab.keep_data();
        let hosts = nth(lab, 1);
        for host in &hosts {
            lab.script(host, vec![Behaviour::silent(), Behaviour::default()]);
        }
        let mut running = start(lab, &["--timeout=3", "--retries=1", "--size=500"], &hosts);
        for host in &hosts {
            let probe = probe(lab, &mut running, host, 1);
            let quote = packet::echo_request(probe.src, probe.dst, probe.ident, probe.seq, &probe.data);
            // Fragmentation Needed and Packet Too Big, with the smallest MTU of IPv4 and IPv6.
            lab.inject(&match probe.dst {
                IpAddr::V4(_) => packet::icmp(Header::new(ROUTER4.into(), HOST4.into()), 3, 4, [0, 0, 0, 68], &quote),
                IpAddr::V6(_) => packet::icmp(Header::new(ROUTER6.into(), HOST6.into()), 2, 0, [0, 0, 5, 0], &quote),
            });
        }
        let outcome = running.finish(lab::LIMIT);
        assert_all(&outcome, &hosts, true);
        // The lab counts fragments as other packets.
        assert_eq!((lab.seen().len(), lab.counts().others), (2 * hosts.len(), 0), "{:?}", lab.counts());
    });
}
