//! The lab put to the test: before it may say anything about the program, it shows that it does
//! what it says.
//!
//! Nothing here runs the program. A bare raw socket asks, and what comes back is compared byte by
//! byte. Where "no answer" is the claim, no clock is asked: a second probe to a healthy host
//! follows, and its answer must be the next thing heard.

#[path = "../lab.rs"]
mod lab;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::packet;
use lab::{Answer, Behaviour, IcmpError, Lab, Lose, ms};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recvfrom, sendto, setsockopt, socket,
    sockopt,
};

const IDENT: u16 = 0x1234;
const DATA: &[u8; 56] = b"sixteen bytes of token, and then a pattern of forty more";
/// A live host, for asking "and now?".
const ALIVE4: &str = "10.255.0.1";
const ALIVE6: &str = "fd00:255::1";
/// Long enough for any machine, and never waited for where all is well.
const PATIENCE: Duration = Duration::from_secs(20);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An ICMP message that arrived.
#[derive(Debug, PartialEq)]
struct Heard {
    from: IpAddr,
    /// Bytes of IPv4 header before it; 0 for IPv6, which shows none.
    header: usize,
    message: Vec<u8>,
}

/// A raw socket inside the lab.
struct Asker {
    socket: OwnedFd,
    v6: bool,
}

impl Asker {
    fn new(lab: &Lab, v6: bool) -> Asker {
        let (family, protocol) = match v6 {
            false => (AddressFamily::Inet, SockProtocol::Icmp),
            true => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = lab.inside(|| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol));
        let socket = socket.expect("a raw socket inside");
        setsockopt(&socket, sockopt::RcvBuf, &(8 << 20)).expect("SO_RCVBUF");
        Asker { socket, v6 }
    }

    fn send(&self, to: &str, message: &[u8]) -> Result<(), Errno> {
        let to = SockaddrStorage::from(SocketAddr::new(ip(to), 0));
        sendto(self.socket.as_raw_fd(), message, &to, MsgFlags::empty()).map(drop)
    }

    fn ask(&self, to: &str, seq: u16) {
        self.send(to, &self.request(seq, DATA)).expect("there is a route");
    }

    /// The bare ICMP message; for IPv6 the kernel puts its own checksum in.
    fn request(&self, seq: u16, data: &[u8]) -> Vec<u8> {
        let any = ip(if self.v6 { "::" } else { "0.0.0.0" });
        let packet = packet::echo_request(any, any, IDENT, seq, data);
        packet[packet::message_start(&packet)..].to_vec()
    }

    /// The next message that is not the kernel's own chatter.
    fn hear(&self) -> Heard {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "nothing was heard");
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(100u8)).expect("poll") == 0 {
                continue;
            }
            let mut buffer = vec![0; 65_535];
            let (len, from) = recvfrom::<SockaddrStorage>(self.socket.as_raw_fd(), &mut buffer).expect("recvfrom");
            let from = from.expect("a raw socket knows the source");
            let from = match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
                (Some(v4), _) => IpAddr::V4(v4.ip()),
                (_, Some(v6)) => IpAddr::V6(v6.ip()),
                _ => panic!("{from} is of no family"),
            };
            let header = if self.v6 { 0 } else { usize::from(buffer[0] & 0x0f) * 4 };
            let message = buffer[header..len].to_vec();
            let is_chatter = self.v6 && (130..=143).contains(&message[0]);
            if !is_chatter {
                return Heard { from, header, message };
            }
        }
    }

    /// Hears the reply of the live host, which was asked last, and nothing before it.
    fn hears_nothing_else(&self) {
        self.ask(if self.v6 { ALIVE6 } else { ALIVE4 }, 0xffff);
        let heard = self.hear();
        assert_eq!((seq(&heard.message), heard.message[0]), (0xffff, if self.v6 { 129 } else { 0 }), "{heard:?}");
    }
}

fn seq(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[6], message[7]])
}

/// Both families, as far as the kernel has them, with an address of each.
fn families(lab: &Lab) -> Vec<(Asker, &'static str)> {
    let mut families = vec![(Asker::new(lab, false), "10.0.0.7")];
    if lab.has_ipv6() {
        families.push((Asker::new(lab, true), "fd00::7"));
    }
    families
}

#[test]
fn everybody_answers_in_both_families() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            // The kernel drops ICMPv6 with a wrong checksum before a raw socket sees it.
            asker.ask(host, 1);
            let heard = asker.hear();
            assert_eq!(heard.from, ip(host));
            assert_eq!(heard.message[0], if asker.v6 { 129 } else { 0 });
            assert_eq!(heard.message[4..6], IDENT.to_be_bytes());
            assert_eq!(seq(&heard.message), 1);
            assert_eq!(heard.message[8..], *DATA);
            if !asker.v6 {
                assert_eq!(packet::checksum(&[&heard.message]), 0);
            }
        }
    });
}

#[test]
fn neighbours_and_link_local_hosts_answer() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        for host in ["192.0.2.99", "198.51.100.1", "203.0.113.1"] {
            asker.ask(host, 1);
            assert_eq!(asker.hear().from, ip(host));
        }
        if !lab.has_ipv6() {
            return;
        }
        let asker = Asker::new(lab, true);
        let device = lab.inside(|| nix::net::if_::if_nametoindex(lab::DEVICE)).expect("lab0 is there");
        let to = std::net::SocketAddrV6::new("fe80::99".parse().expect("an address"), 0, 0, device);
        let to = SockaddrStorage::from(SocketAddr::V6(to));
        sendto(asker.socket.as_raw_fd(), &asker.request(1, DATA), &to, MsgFlags::empty()).expect("fe80::/64 is here");
        assert_eq!(asker.hear().from, ip("fe80::99"));
        asker.ask("2001:db8::99", 2);
        assert_eq!(asker.hear().from, ip("2001:db8::99"));
        let sources: Vec<IpAddr> = lab.seen().iter().rev().take(2).map(|seen| seen.src).collect();
        assert_eq!(sources, [IpAddr::from(lab::HOST6), lab::LINK_LOCAL.into()]);
    });
}

#[test]
fn a_delay_is_at_least_what_was_asked_for() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            lab.host(host, Behaviour::after(ms(60)));
            let start = Instant::now();
            asker.ask(host, 1);
            assert_eq!(seq(&asker.hear().message), 1);
            assert!(start.elapsed() >= ms(60), "{:?}", start.elapsed());
        }
    });
}

#[test]
fn answers_leave_when_they_are_due() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        for (host, delay) in [("10.0.0.1", 300), ("10.0.0.2", 100), ("10.0.0.3", 200)] {
            lab.host(host, Behaviour::after(ms(delay)));
            asker.ask(host, 1);
        }
        let order: Vec<IpAddr> = (0..3).map(|_| asker.hear().from).collect();
        // Not simply 2, 3, 1: on a busy machine the probes may have left far apart.
        let delays = [ms(300), ms(100), ms(200)];
        let mut due: Vec<_> =
            lab.seen().iter().zip(delays).map(|(seen, delay)| (seen.time + delay, seen.dst)).collect();
        due.sort();
        assert_eq!(order, due.iter().map(|(_, host)| *host).collect::<Vec<_>>());
    });
}

#[test]
fn silence_is_silence() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            lab.host(host, Behaviour::silent());
            asker.ask(host, 1);
            lab.host(host, Behaviour { copies: 0, ..Behaviour::default() });
            asker.ask(host, 2);
            asker.hears_nothing_else();
            assert_eq!(lab.seen_of(host).len(), 2, "what is lost has been seen all the same");
        }
    });
}

#[test]
fn probes_are_lost_by_number() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        lab.host("10.0.0.1", Behaviour { lose: Lose::First(2), ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour { lose: Lose::Numbers([1, 3].into()), ..Behaviour::default() });
        for (host, answered) in [("10.0.0.1", vec![3, 4]), ("10.0.0.2", vec![2, 4])] {
            (1..=4).for_each(|seq| asker.ask(host, seq));
            for expected in answered {
                assert_eq!(seq(&asker.hear().message), expected, "{host}");
            }
            asker.hears_nothing_else();
        }
    });
}

#[test]
fn a_script_is_played_probe_by_probe() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        let elsewhere = Behaviour { from: Some(ip("10.0.0.66")), ..Behaviour::default() };
        lab.script("10.1.0.0/16", vec![elsewhere, Behaviour::silent(), Behaviour::default()]);
        let hears = |from: &str, number: u16| {
            let heard = asker.hear();
            assert_eq!((heard.from, seq(&heard.message)), (ip(from), number));
        };
        (1..=4).for_each(|seq| asker.ask("10.1.0.1", seq));
        hears("10.0.0.66", 1);
        hears("10.1.0.1", 3);
        hears("10.1.0.1", 4);
        // Each address has its own count.
        asker.ask("10.1.0.2", 9);
        hears("10.0.0.66", 9);
        lab.forget();
        asker.ask("10.1.0.1", 20);
        hears("10.0.0.66", 20);
    });
}

#[test]
fn copies_come_as_often_as_asked() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            lab.host(host, Behaviour { copies: 3, gap: ms(10), ..Behaviour::default() });
            let start = Instant::now();
            asker.ask(host, 1);
            let first = asker.hear();
            assert_eq!(asker.hear(), first);
            assert_eq!(asker.hear(), first);
            assert!(start.elapsed() >= ms(20));
            asker.hears_nothing_else();
        }
    });
}

#[test]
fn an_answer_can_come_from_elsewhere() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            let elsewhere = ip(if asker.v6 { "fd00::66" } else { "10.0.0.66" });
            lab.host(host, Behaviour { from: Some(elsewhere), ..Behaviour::default() });
            asker.ask(host, 1);
            assert_eq!(asker.hear().from, elsewhere);
        }
    });
}

#[test]
fn damage_damages_what_it_says_and_nothing_else() {
    lab::play(|lab| {
        let flipped = |at: usize| {
            let mut data = DATA.to_vec();
            data[at] ^= 0xff;
            data
        };
        let cases: Vec<(Answer, u16, u16, Vec<u8>)> = vec![
            (Answer::FlippedByte(3), IDENT, 5, flipped(3)),
            (Answer::FlippedByte(55), IDENT, 5, flipped(55)),
            (Answer::ZeroedData, IDENT, 5, vec![0; 56]),
            (Answer::TruncatedTo(0), IDENT, 5, vec![]),
            (Answer::TruncatedTo(15), IDENT, 5, DATA[..15].to_vec()),
            (Answer::Extended(b"!!!".to_vec()), IDENT, 5, [DATA.as_slice(), b"!!!"].concat()),
            (Answer::OtherIdent(1), IDENT + 1, 5, DATA.to_vec()),
            (Answer::OtherSeq(7), IDENT, 12, DATA.to_vec()),
            (Answer::Data(b"junk".to_vec()), IDENT, 5, b"junk".to_vec()),
        ];
        for (asker, host) in families(lab) {
            for (answer, ident, number, data) in &cases {
                lab.host(host, Behaviour::answering(answer.clone()));
                asker.ask(host, 5);
                let Heard { message, .. } = asker.hear();
                assert_eq!(message[..2], [if asker.v6 { 129 } else { 0 }, 0], "{answer:?}");
                assert_eq!(message[4..6], ident.to_be_bytes(), "{answer:?}");
                assert_eq!(seq(&message), *number, "{answer:?}");
                assert_eq!(message[8..], data[..], "{answer:?}");
                // Of ICMPv6 the kernel has checked it.
                assert!(asker.v6 || packet::checksum(&[&message]) == 0, "{answer:?}");
            }
        }
    });
}

#[test]
fn a_bad_checksum_is_bad() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            lab.host(host, Behaviour::answering(Answer::BadChecksum));
            asker.ask(host, 1);
            if !asker.v6 {
                let heard = asker.hear();
                assert_eq!(heard.message[8..], *DATA);
                assert_ne!(packet::checksum(&[&heard.message]), 0);
            }
            asker.hears_nothing_else();
        }
    });
}

#[test]
fn odd_messages_arrive_as_they_are() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            let kind = if asker.v6 { 129 } else { 0 };
            lab.host(host, Behaviour::answering(Answer::Icmp { msg_type: kind, code: 9, rest: b"abcdefg".to_vec() }));
            asker.ask(host, 1);
            let heard = asker.hear();
            assert_eq!((&heard.message[..2], &heard.message[4..]), ([kind, 9].as_slice(), b"abcdefg".as_slice()));

            lab.host(host, Behaviour::answering(Answer::Request));
            asker.ask(host, 2);
            let heard = asker.hear();
            assert_eq!((heard.message[0], heard.from), (if asker.v6 { 128 } else { 8 }, ip(host)));
        }
    });
}

#[test]
fn errors_quote_the_probe() {
    lab::play(|lab| {
        let errors = [
            (IcmpError::HostUnreachable, (3, 1), (1, 3)),
            (IcmpError::NetUnreachable, (3, 0), (1, 0)),
            (IcmpError::PortUnreachable, (3, 3), (1, 4)),
            (IcmpError::AdminProhibited, (3, 13), (1, 1)),
            (IcmpError::TimeExceeded, (11, 0), (3, 0)),
        ];
        for (asker, host) in families(lab) {
            let router: IpAddr = if asker.v6 { lab::ROUTER6.into() } else { lab::ROUTER4.into() };
            for (error, v4, v6) in errors {
                lab.host(host, Behaviour::answering(Answer::Error(error)));
                asker.ask(host, 1);
                let heard = asker.hear();
                assert_eq!(heard.from, router);
                assert_eq!((heard.message[0], heard.message[1]), if asker.v6 { v6 } else { v4 }, "{error:?}");
                let quote = packet::Request::parse(&heard.message[8..]).expect("the whole probe is quoted");
                assert_eq!((quote.dst, quote.ident, quote.seq, quote.data), (ip(host), IDENT, 1, &DATA[..]));
            }
        }
    });
}

#[test]
fn a_reply_can_carry_ip_options() {
    lab::play(|lab| {
        // Record Route (RFC 791) with room for one address, and nothing recorded: 7 bytes, padded
        // to 8.
        let ip_options = vec![7, 7, 4, 0, 0, 0, 0];
        lab.host("10.0.0.1", Behaviour { ip_options, ..Behaviour::default() });
        let asker = Asker::new(lab, false);
        asker.ask("10.0.0.1", 1);
        let heard = asker.hear();
        assert_eq!((heard.header, &heard.message[8..]), (28, DATA.as_slice()));
    });
}

#[test]
fn the_longest_prefix_counts() {
    lab::play(|lab| {
        let from = |text: &str| Behaviour { from: Some(ip(text)), ..Behaviour::default() };
        lab.host("10.1.1.0/24", from("10.77.0.24"));
        lab.host("10.0.0.0/8", from("10.77.0.8"));
        lab.host("10.1.1.1", from("10.77.0.32"));
        lab.host("10.1.0.0/16", from("10.77.0.16"));
        lab.others(from("10.77.0.0"));
        let asker = Asker::new(lab, false);
        let answers = [
            ("10.1.1.1", "10.77.0.32"),
            ("10.1.1.2", "10.77.0.24"),
            ("10.1.2.1", "10.77.0.16"),
            ("10.2.1.1", "10.77.0.8"),
            ("198.51.100.1", "10.77.0.0"),
        ];
        for (probed, speaks) in answers {
            asker.ask(probed, 1);
            assert_eq!(asker.hear().from, ip(speaks), "{probed}");
        }
        // A test may change its mind.
        lab.host("10.0.0.0/8", from("10.77.0.9"));
        asker.ask("10.2.1.1", 2);
        assert_eq!(asker.hear().from, ip("10.77.0.9"));
    });
}

#[test]
fn prefixes_contain_what_they_should() {
    let net = |text: &str| text.parse::<lab::Net>().expect("a prefix");
    assert!(net("0.0.0.0/0").contains(ip("255.255.255.255")) && net("::/0").contains(ip("ffff::")));
    assert!(!net("0.0.0.0/0").contains(ip("::")) && !net("::/0").contains(ip("0.0.0.0")));
    assert!(net("10.0.0.0/30").contains(ip("10.0.0.3")) && !net("10.0.0.0/30").contains(ip("10.0.0.4")));
    assert!(net("fd00::/16").contains(ip("fd00:ffff::1")) && !net("fd00::/16").contains(ip("fd01::")));
    assert!(net("10.0.0.7").contains(ip("10.0.0.7")) && !net("10.0.0.7").contains(ip("10.0.0.6")));
    for wrong in ["", "10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/-1"] {
        assert!(wrong.parse::<lab::Net>().is_err(), "{wrong}");
    }
}

#[test]
fn checksums_are_those_of_rfc_1071() {
    // §3 of the RFC adds up these words to 0xddf2.
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(packet::checksum(&[&bytes]), !0xddf2);
    assert_eq!(packet::checksum(&[&bytes[..4], &bytes[4..]]), !0xddf2);
    assert_eq!(packet::checksum(&[&[0xff]]), !0xff00, "an odd byte counts as the high half of a word");
}

#[test]
fn what_was_seen_is_what_was_sent() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        let start = Instant::now();
        asker.ask("10.0.0.1", 1);
        lab.keep_data();
        setsockopt(&asker.socket, sockopt::Ipv4Ttl, &33).expect("IP_TTL");
        setsockopt(&asker.socket, sockopt::Ipv4Tos, &0x28).expect("IP_TOS");
        asker.send("10.0.0.1", &asker.request(2, b"tiny")).expect("there is a route");
        let mut wrong = asker.request(3, b"tiny");
        wrong[9] ^= 1;
        asker.send("10.0.0.1", &wrong).expect("there is a route");

        let seen = lab.seen();
        assert_eq!(seen.len(), 2, "{seen:?}");
        let (first, second) = (&seen[0], &seen[1]);
        assert_eq!((first.src, first.dst), (lab::HOST4.into(), ip("10.0.0.1")));
        assert_eq!((first.ident, first.seq, first.len, first.number), (IDENT, 1, 56, 1));
        assert_eq!((first.ttl, first.tos, first.data.len()), (64, 0, 0));
        assert_eq!((second.ident, second.seq, second.len, second.number), (IDENT, 2, 4, 2));
        assert_eq!((second.ttl, second.tos, &second.data[..]), (33, 0x28, b"tiny".as_slice()));
        // The wall clock that stamps arrivals may be slewed a little against the monotonic one.
        assert!(first.time + ms(1) >= start && first.time <= second.time && second.time <= Instant::now());

        let counts = lab.counts();
        assert_eq!((counts.requests, counts.damaged, counts.answers), (2, 1, 2), "{counts:?}");
    });
}

#[test]
fn the_far_end_of_ipv6_sees_class_and_hop_limit() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return;
        }
        let asker = Asker::new(lab, true);
        setsockopt(&asker.socket, sockopt::Ipv6Ttl, &7).expect("IPV6_UNICAST_HOPS");
        setsockopt(&asker.socket, sockopt::Ipv6TClass, &0xb8).expect("IPV6_TCLASS");
        asker.ask("fd00::1", 1);
        let seen = lab.seen();
        assert_eq!((seen[0].ttl, seen[0].tos, seen[0].src), (7, 0xb8, lab::HOST6.into()));
    });
}

#[test]
fn dont_fragment_is_told_apart() {
    lab::play(|lab| {
        for (setting, expected) in [("0", true), ("1", false)] {
            lab.set_sysctl("net.ipv4.ip_no_pmtu_disc", setting);
            // A socket takes the default when it is made.
            Asker::new(lab, false).ask("10.0.0.1", 1);
            assert_eq!(lab.seen().last().map(|seen| seen.dont_fragment), Some(expected));
        }
    });
}

#[test]
fn the_largest_probes_go_through() {
    lab::play(|lab| {
        for (asker, host) in families(lab) {
            // 65,535 bytes of IP, less the IPv4 header and the 8 bytes of ICMP; IPv6 lost nothing
            // to its header.
            let longest = vec![0x77; if asker.v6 { 65_000 } else { 65_535 - 28 }];
            setsockopt(&asker.socket, sockopt::SndBuf, &(1 << 20)).expect("SO_SNDBUF");
            asker.send(host, &asker.request(1, &longest)).expect("it fits");
            assert_eq!(asker.hear().message[8..], longest);
        }
    });
}

#[test]
fn injected_packets_arrive() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        lab.inject(&packet::echo_reply(ip("10.9.9.9"), lab::HOST4.into(), 0xbeef, 42, b"forged"));
        let heard = asker.hear();
        assert_eq!((heard.from, seq(&heard.message), &heard.message[8..]), (ip("10.9.9.9"), 42, b"forged".as_slice()));
        // A source that no route leads to: nobody filters by it.
        lab.inject(&packet::echo_reply(ip("8.8.8.8"), lab::HOST4.into(), 0xbeef, 43, b"forged"));
        assert_eq!(asker.hear().from, ip("8.8.8.8"));
        if lab.has_ipv6() {
            let asker = Asker::new(lab, true);
            lab.inject(&packet::echo_reply(ip("fd00::9"), lab::HOST6.into(), 0xbeef, 44, b"forged"));
            assert_eq!(asker.hear().from, ip("fd00::9"));
        }
    });
}

#[test]
fn foreign_replies_flow_until_dropped() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        let start = Instant::now();
        let stream = lab.foreign_replies(200, 0x4242);
        for number in 0..40 {
            let heard = asker.hear();
            assert_eq!((heard.message[4..6].to_vec(), seq(&heard.message)), (vec![0x42, 0x42], number));
        }
        assert!(start.elapsed() >= ms(39 * 5), "200 a second are 5 ms apart");
        drop(stream);
        asker.ask(ALIVE4, 1);
        // At most what was on its way already.
        while seq(&asker.hear().message) != 1 {}
        asker.hears_nothing_else();
    });
}

#[test]
fn seventy_thousand_hosts_are_alive() {
    lab::play(|lab| {
        const HOSTS: u32 = 70_000;
        const IN_FLIGHT: u32 = 500;
        lab.host("10.2.0.0/15", Behaviour::default());
        lab.others(Behaviour::silent());
        let asker = Asker::new(lab, false);
        let address = |n: u32| IpAddr::from((0x0a02_0000 + n).to_be_bytes());
        let mut answered = vec![false; HOSTS as usize];
        for n in 0..HOSTS + IN_FLIGHT {
            if n < HOSTS {
                asker.ask(&address(n).to_string(), n as u16);
            }
            if n >= IN_FLIGHT {
                let IpAddr::V4(from) = asker.hear().from else { unreachable!("this is IPv4") };
                answered[(from.to_bits() - 0x0a02_0000) as usize] = true;
            }
        }
        assert!(answered.iter().all(|&answered| answered));
        let counts = lab.counts();
        assert_eq!((counts.requests, counts.answers, counts.overflowed), (70_000, 70_000, 0));
    });
}

#[test]
fn processes_live_inside_and_test_threads_do_not() {
    lab::play(|lab| {
        let own = |path: &str| std::fs::read_link(path).expect("/proc is mounted");
        let before = own("/proc/thread-self/ns/net");
        let readlink = lab.start(Command::new("readlink").arg("/proc/self/ns/net")).finish(PATIENCE);
        let again = lab.start(Command::new("readlink").arg("/proc/self/ns/net")).finish(PATIENCE);
        assert_eq!(readlink.stdout, again.stdout);
        assert_ne!(readlink.stdout.trim(), before.display().to_string());
        assert_eq!(own("/proc/thread-self/ns/net"), before);
        let devices = nix::ifaddrs::getifaddrs().expect("getifaddrs");
        assert!(devices.into_iter().all(|device| device.interface_name != lab::DEVICE));
        assert_eq!(lab.inside(|| own("/proc/thread-self/ns/net")).display().to_string(), readlink.stdout.trim());
    });
}

#[test]
fn two_labs_do_not_hear_each_other() {
    lab::play(|lab| {
        let other = Lab::open().expect("where there is one there can be two");
        Asker::new(lab, false).ask("10.0.0.1", 1);
        assert_eq!((lab.seen().len(), other.seen().len()), (1, 0));
    });
}

#[test]
fn an_outcome_tells_code_signal_and_words() {
    lab::play(|lab| {
        let shell = |script: &str| lab.start(Command::new("sh").args(["-c", script]));
        let outcome = shell("read x; echo out $x; echo err >&2; echo more >&2; exit 3");
        outcome.feed("fed\n");
        let outcome = outcome.finish(PATIENCE);
        assert_eq!((outcome.code, outcome.signal), (Some(3), None));
        assert_eq!((outcome.lines(), outcome.first_stderr_line()), (vec!["out fed"], "err"));
        let outcome = shell("kill -FPE $$").finish(PATIENCE);
        assert_eq!((outcome.code, outcome.signal), (None, Some(Signal::SIGFPE as i32)));
        let outcome = shell("read x; sleep 0.05").finish(PATIENCE);
        assert!(outcome.wall >= ms(50) && outcome.peak_rss_kib > 0, "{outcome:?}");
        // More than any pipe holds, both ways at once.
        let cat = lab.start(&mut Command::new("cat"));
        let long = "x".repeat(1 << 20);
        cat.feed(&long);
        assert!(cat.finish(PATIENCE).stdout == long);
    });
}

#[test]
fn a_process_can_be_fed_watched_and_signalled() {
    lab::play(|lab| {
        let mut cat = lab.start(&mut Command::new("cat"));
        assert_eq!(cat.status("Pid"), Some(cat.pid().to_string()));
        cat.feed("one\n");
        cat.wait_until(PATIENCE, "the first line", |cat| cat.stdout_so_far() == "one\n");
        cat.signal(Signal::SIGSTOP);
        cat.wait_until(PATIENCE, "stopped", |cat| cat.status("State").is_some_and(|state| state.starts_with('T')));
        cat.feed("two\n");
        assert!(cat.is_running());
        assert_eq!(cat.stdout_so_far(), "one\n", "a stopped process says nothing");
        cat.signal(Signal::SIGCONT);
        cat.wait_until(PATIENCE, "the second line", |cat| cat.stdout_so_far() == "one\ntwo\n");
        cat.signal(Signal::SIGTERM);
        assert_eq!(cat.finish(PATIENCE).signal, Some(Signal::SIGTERM as i32));
    });
}

#[test]
fn a_hung_process_is_killed_and_fails_the_test() {
    lab::play(|lab| {
        let mut hung = lab.start(Command::new("sh").args(["-c", "echo last words; exec sleep 1000"]));
        hung.wait_until(PATIENCE, "its last words", |hung| hung.stdout_so_far() == "last words\n");
        let pid = hung.pid();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hung.finish(ms(300))));
        let panic = panic.expect_err("it has not ended by itself");
        let said = panic.downcast_ref::<String>().expect("a panic with a message");
        assert!(said.contains("still ran") && said.contains("last words"), "{said}");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    });
}

#[test]
fn the_machine_can_break_in_mid_run() {
    lab::play(|lab| {
        let asker = Asker::new(lab, false);
        let send = |to| asker.send(to, &asker.request(1, DATA));
        assert_eq!(send("11.0.0.1"), Err(Errno::ENETUNREACH), "there is no default route");
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        assert_eq!(send("10.0.0.1"), Err(Errno::ENETUNREACH));
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
        asker.ask("10.0.0.1", 2);
        assert_eq!(seq(&asker.hear().message), 2);
        lab.ip(&["link", "set", lab::DEVICE, "down"]);
        assert!(send("10.0.0.1").is_err());
        lab.ip(&["link", "set", lab::DEVICE, "up"]);
        lab.await_link();
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
        asker.ask("10.0.0.1", 3);
        assert_eq!(seq(&asker.hear().message), 3);
        // The far end going away is the cable pulled: nothing fails here, and nothing arrives.
        lab.ip(&["link", "set", "lab1", "down"]);
        lab.ip(&["link", "set", "lab1", "up"]);
        lab.await_link();
        asker.ask("10.0.0.1", 4);
        assert_eq!(seq(&asker.hear().message), 4);
    });
}

#[test]
fn sysctls_are_those_of_the_namespace() {
    lab::play(|lab| {
        let name = "net.ipv4.ping_group_range";
        let outside = || std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").expect("it is there");
        let before = outside();
        lab.set_sysctl(name, "0 0");
        assert_eq!(lab.sysctl(name).split_whitespace().collect::<Vec<_>>(), ["0", "0"]);
        assert_eq!(outside(), before);
        let shown = lab.start(Command::new("cat").arg("/proc/sys/net/ipv4/ping_group_range")).finish(PATIENCE);
        assert_eq!(shown.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0"]);
        let ping_socket =
            lab.inside(|| socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp));
        assert!(ping_socket.is_ok(), "{ping_socket:?}");
    });
}
