//! Tests of the lab itself.
//!
//! Nothing here runs the program. A raw socket sends requests, and the answers are compared byte by
//! byte. To test for silence no clock is read: a request to a live host follows, and its reply must
//! be the next message received.

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
/// Live hosts, to test for silence.
const ALIVE4: &str = "10.255.0.1";
const ALIVE6: &str = "fd00:255::1";
/// Long enough for any machine; it passes only if a test fails.
const TIMEOUT: Duration = Duration::from_secs(20);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// An ICMP message that arrived.
#[derive(Debug, PartialEq)]
struct Received {
    from: IpAddr,
    /// The bytes of the IPv4 header; 0 for IPv6, where the kernel removes it.
    header: usize,
    message: Vec<u8>,
}

/// A raw socket inside the lab.
struct Requester {
    socket: OwnedFd,
    v6: bool,
}

impl Requester {
    fn new(lab: &Lab, v6: bool) -> Requester {
        let (family, protocol) = match v6 {
            false => (AddressFamily::Inet, SockProtocol::Icmp),
            true => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let socket = lab.inside(|| socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol));
        let socket = socket.expect("a raw socket inside");
        setsockopt(&socket, sockopt::RcvBuf, &(8 << 20)).expect("SO_RCVBUF");
        Requester { socket, v6 }
    }

    fn send(&self, to: &str, message: &[u8]) -> Result<(), Errno> {
        let to = SockaddrStorage::from(SocketAddr::new(ip(to), 0));
        sendto(self.socket.as_raw_fd(), message, &to, MsgFlags::empty()).map(drop)
    }

    fn request(&self, to: &str, seq: u16) {
        self.send(to, &self.message(seq, DATA)).expect("there is a route");
    }

    /// The ICMP message; for IPv6 the kernel fills in the checksum.
    fn message(&self, seq: u16, data: &[u8]) -> Vec<u8> {
        let any = ip(if self.v6 { "::" } else { "0.0.0.0" });
        let packet = packet::echo_request(any, any, IDENT, seq, data);
        packet[packet::message_start(&packet)..].to_vec()
    }

    /// The next message that is not neighbour or multicast discovery.
    fn receive(&self) -> Received {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            assert!(Instant::now() < deadline, "nothing was received");
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
                _ => panic!("{from} has no family"),
            };
            let header = if self.v6 { 0 } else { usize::from(buffer[0] & 0x0f) * 4 };
            let message = buffer[header..len].to_vec();
            let is_discovery = self.v6 && (130..=143).contains(&message[0]);
            if !is_discovery {
                return Received { from, header, message };
            }
        }
    }

    /// Requests a reply from the live host, and receives that and nothing before it.
    fn receives_nothing_else(&self) {
        self.request(if self.v6 { ALIVE6 } else { ALIVE4 }, 0xffff);
        let received = self.receive();
        assert_eq!(
            (seq(&received.message), received.message[0]),
            (0xffff, if self.v6 { 129 } else { 0 }),
            "{received:?}"
        );
    }
}

fn seq(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[6], message[7]])
}

/// The families that the kernel has, with an address of each.
fn families(lab: &Lab) -> Vec<(Requester, &'static str)> {
    let mut families = vec![(Requester::new(lab, false), "10.0.0.7")];
    if lab.has_ipv6() {
        families.push((Requester::new(lab, true), "fd00::7"));
    }
    families
}

#[test]
fn all_hosts_reply_in_both_families() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            // The kernel drops ICMPv6 with a wrong checksum before a raw socket sees it.
            requester.request(host, 1);
            let received = requester.receive();
            assert_eq!(received.from, ip(host));
            assert_eq!(received.message[0], if requester.v6 { 129 } else { 0 });
            assert_eq!(received.message[4..6], IDENT.to_be_bytes());
            assert_eq!(seq(&received.message), 1);
            assert_eq!(received.message[8..], *DATA);
            if !requester.v6 {
                assert_eq!(packet::checksum(&[&received.message]), 0);
            }
        }
    });
}

#[test]
fn neighbours_and_link_local_hosts_reply() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        for host in ["192.0.2.99", "198.51.100.1", "203.0.113.1"] {
            requester.request(host, 1);
            assert_eq!(requester.receive().from, ip(host));
        }
        if !lab.has_ipv6() {
            return;
        }
        let requester = Requester::new(lab, true);
        let device = lab.inside(|| nix::net::if_::if_nametoindex(lab::DEVICE)).expect("lab0 is there");
        let to = std::net::SocketAddrV6::new("fe80::99".parse().expect("an address"), 0, 0, device);
        let to = SockaddrStorage::from(SocketAddr::V6(to));
        sendto(requester.socket.as_raw_fd(), &requester.message(1, DATA), &to, MsgFlags::empty())
            .expect("fe80::/64 is here");
        assert_eq!(requester.receive().from, ip("fe80::99"));
        requester.request("2001:db8::99", 2);
        assert_eq!(requester.receive().from, ip("2001:db8::99"));
        let sources: Vec<IpAddr> = lab.seen().iter().rev().take(2).map(|seen| seen.src).collect();
        assert_eq!(sources, [IpAddr::from(lab::HOST6), lab::LINK_LOCAL.into()]);
    });
}

#[test]
fn a_delay_is_not_shorter_than_set() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            lab.host(host, Behaviour::after(ms(60)));
            let start = Instant::now();
            requester.request(host, 1);
            assert_eq!(seq(&requester.receive().message), 1);
            assert!(start.elapsed() >= ms(60), "{:?}", start.elapsed());
        }
    });
}

#[test]
fn answers_are_sent_when_they_are_due() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        for (host, delay) in [("10.0.0.1", 300), ("10.0.0.2", 100), ("10.0.0.3", 200)] {
            lab.host(host, Behaviour::after(ms(delay)));
            requester.request(host, 1);
        }
        let order: Vec<IpAddr> = (0..3).map(|_| requester.receive().from).collect();
        // Not always 2, 3, 1: on a busy machine the probes may have been sent far apart.
        let delays = [ms(300), ms(100), ms(200)];
        let mut due: Vec<_> =
            lab.seen().iter().zip(delays).map(|(seen, delay)| (seen.time + delay, seen.dst)).collect();
        due.sort();
        assert_eq!(order, due.iter().map(|(_, host)| *host).collect::<Vec<_>>());
    });
}

#[test]
fn a_silent_host_sends_nothing() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            lab.host(host, Behaviour::silent());
            requester.request(host, 1);
            lab.host(host, Behaviour { copies: 0, ..Behaviour::default() });
            requester.request(host, 2);
            requester.receives_nothing_else();
            assert_eq!(lab.seen_of(host).len(), 2, "lost probes are recorded too");
        }
    });
}

#[test]
fn probes_are_lost_by_number() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        lab.host("10.0.0.1", Behaviour { lose: Lose::First(2), ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour { lose: Lose::Numbers([1, 3].into()), ..Behaviour::default() });
        for (host, answered) in [("10.0.0.1", vec![3, 4]), ("10.0.0.2", vec![2, 4])] {
            (1..=4).for_each(|seq| requester.request(host, seq));
            for expected in answered {
                assert_eq!(seq(&requester.receive().message), expected, "{host}");
            }
            requester.receives_nothing_else();
        }
    });
}

#[test]
fn a_script_is_played_probe_by_probe() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        let other_source = Behaviour { from: Some(ip("10.0.0.66")), ..Behaviour::default() };
        lab.script("10.1.0.0/16", vec![other_source, Behaviour::silent(), Behaviour::default()]);
        let receives = |from: &str, number: u16| {
            let received = requester.receive();
            assert_eq!((received.from, seq(&received.message)), (ip(from), number));
        };
        (1..=4).for_each(|seq| requester.request("10.1.0.1", seq));
        receives("10.0.0.66", 1);
        receives("10.1.0.1", 3);
        receives("10.1.0.1", 4);
        // Each address has its own count.
        requester.request("10.1.0.2", 9);
        receives("10.0.0.66", 9);
        lab.forget();
        requester.request("10.1.0.1", 20);
        receives("10.0.0.66", 20);
    });
}

#[test]
fn copies_are_sent_as_often_as_set() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            lab.host(host, Behaviour { copies: 3, gap: ms(10), ..Behaviour::default() });
            let start = Instant::now();
            requester.request(host, 1);
            let first = requester.receive();
            assert_eq!(requester.receive(), first);
            assert_eq!(requester.receive(), first);
            assert!(start.elapsed() >= ms(20));
            requester.receives_nothing_else();
        }
    });
}

#[test]
fn a_reply_can_come_from_another_address() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            let other = ip(if requester.v6 { "fd00::66" } else { "10.0.0.66" });
            lab.host(host, Behaviour { from: Some(other), ..Behaviour::default() });
            requester.request(host, 1);
            assert_eq!(requester.receive().from, other);
        }
    });
}

#[test]
fn damage_changes_only_what_it_names() {
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
        for (requester, host) in families(lab) {
            for (answer, ident, number, data) in &cases {
                lab.host(host, Behaviour::answering(answer.clone()));
                requester.request(host, 5);
                let Received { message, .. } = requester.receive();
                assert_eq!(message[..2], [if requester.v6 { 129 } else { 0 }, 0], "{answer:?}");
                assert_eq!(message[4..6], ident.to_be_bytes(), "{answer:?}");
                assert_eq!(seq(&message), *number, "{answer:?}");
                assert_eq!(message[8..], data[..], "{answer:?}");
                // The kernel verifies ICMPv6 checksums.
                assert!(requester.v6 || packet::checksum(&[&message]) == 0, "{answer:?}");
            }
        }
    });
}

#[test]
fn a_bad_checksum_is_invalid() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            lab.host(host, Behaviour::answering(Answer::BadChecksum));
            requester.request(host, 1);
            if !requester.v6 {
                let received = requester.receive();
                assert_eq!(received.message[8..], *DATA);
                assert_ne!(packet::checksum(&[&received.message]), 0);
            }
            requester.receives_nothing_else();
        }
    });
}

#[test]
fn other_messages_arrive_unchanged() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            let msg_type = if requester.v6 { 129 } else { 0 };
            lab.host(host, Behaviour::answering(Answer::Icmp { msg_type, code: 9, rest: b"abcdefg".to_vec() }));
            requester.request(host, 1);
            let received = requester.receive();
            assert_eq!(
                (&received.message[..2], &received.message[4..]),
                ([msg_type, 9].as_slice(), b"abcdefg".as_slice())
            );

            lab.host(host, Behaviour::answering(Answer::Request));
            requester.request(host, 2);
            let received = requester.receive();
            assert_eq!((received.message[0], received.from), (if requester.v6 { 128 } else { 8 }, ip(host)));
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
        for (requester, host) in families(lab) {
            let router: IpAddr = if requester.v6 { lab::ROUTER6.into() } else { lab::ROUTER4.into() };
            for (error, v4, v6) in errors {
                lab.host(host, Behaviour::answering(Answer::Error(error)));
                requester.request(host, 1);
                let received = requester.receive();
                assert_eq!(received.from, router);
                assert_eq!((received.message[0], received.message[1]), if requester.v6 { v6 } else { v4 }, "{error:?}");
                let quote = packet::Request::parse(&received.message[8..]).expect("the whole probe is quoted");
                assert_eq!((quote.dst, quote.ident, quote.seq, quote.data), (ip(host), IDENT, 1, &DATA[..]));
            }
        }
    });
}

#[test]
fn a_reply_can_carry_ip_options() {
    lab::play(|lab| {
        // Record Route (RFC 791) for one address, with none recorded: 7 bytes, padded to 8.
        let ip_options = vec![7, 7, 4, 0, 0, 0, 0];
        lab.host("10.0.0.1", Behaviour { ip_options, ..Behaviour::default() });
        let requester = Requester::new(lab, false);
        requester.request("10.0.0.1", 1);
        let received = requester.receive();
        assert_eq!((received.header, &received.message[8..]), (28, DATA.as_slice()));
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
        let requester = Requester::new(lab, false);
        let answers = [
            ("10.1.1.1", "10.77.0.32"),
            ("10.1.1.2", "10.77.0.24"),
            ("10.1.2.1", "10.77.0.16"),
            ("10.2.1.1", "10.77.0.8"),
            ("198.51.100.1", "10.77.0.0"),
        ];
        for (probed, source) in answers {
            requester.request(probed, 1);
            assert_eq!(requester.receive().from, ip(source), "{probed}");
        }
        // A test may set it again.
        lab.host("10.0.0.0/8", from("10.77.0.9"));
        requester.request("10.2.1.1", 2);
        assert_eq!(requester.receive().from, ip("10.77.0.9"));
    });
}

#[test]
fn prefixes_contain_their_addresses() {
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
fn checksums_follow_rfc_1071() {
    // §3 of the RFC adds up these words to 0xddf2.
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(packet::checksum(&[&bytes]), !0xddf2);
    assert_eq!(packet::checksum(&[&bytes[..4], &bytes[4..]]), !0xddf2);
    assert_eq!(packet::checksum(&[&[0xff]]), !0xff00, "an odd byte counts as the high half of a word");
}

#[test]
fn the_record_is_what_was_sent() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        let start = Instant::now();
        requester.request("10.0.0.1", 1);
        lab.keep_data();
        setsockopt(&requester.socket, sockopt::Ipv4Ttl, &33).expect("IP_TTL");
        setsockopt(&requester.socket, sockopt::Ipv4Tos, &0x28).expect("IP_TOS");
        requester.send("10.0.0.1", &requester.message(2, b"tiny")).expect("there is a route");
        let mut wrong = requester.message(3, b"tiny");
        wrong[9] ^= 1;
        requester.send("10.0.0.1", &wrong).expect("there is a route");

        let seen = lab.seen();
        assert_eq!(seen.len(), 2, "{seen:?}");
        let (first, second) = (&seen[0], &seen[1]);
        assert_eq!((first.src, first.dst), (lab::HOST4.into(), ip("10.0.0.1")));
        assert_eq!((first.ident, first.seq, first.len, first.number), (IDENT, 1, 56, 1));
        assert_eq!((first.ttl, first.tos, first.data.len()), (64, 0, 0));
        assert_eq!((second.ident, second.seq, second.len, second.number), (IDENT, 2, 4, 2));
        assert_eq!((second.ttl, second.tos, &second.data[..]), (33, 0x28, b"tiny".as_slice()));
        // The wall clock that stamps arrivals may be slewed against the monotonic one.
        assert!(first.time + ms(1) >= start && first.time <= second.time && second.time <= Instant::now());

        let counts = lab.counts();
        assert_eq!((counts.requests, counts.damaged, counts.answers), (2, 1, 2), "{counts:?}");
    });
}

#[test]
fn traffic_class_and_hop_limit_are_recorded() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return;
        }
        let requester = Requester::new(lab, true);
        setsockopt(&requester.socket, sockopt::Ipv6Ttl, &7).expect("IPV6_UNICAST_HOPS");
        setsockopt(&requester.socket, sockopt::Ipv6TClass, &0xb8).expect("IPV6_TCLASS");
        requester.request("fd00::1", 1);
        let seen = lab.seen();
        assert_eq!((seen[0].ttl, seen[0].tos, seen[0].src), (7, 0xb8, lab::HOST6.into()));
    });
}

#[test]
fn dont_fragment_is_recorded() {
    lab::play(|lab| {
        for (setting, expected) in [("0", true), ("1", false)] {
            lab.set_sysctl("net.ipv4.ip_no_pmtu_disc", setting);
            // A socket takes the default when it is opened.
            Requester::new(lab, false).request("10.0.0.1", 1);
            assert_eq!(lab.seen().last().map(|seen| seen.dont_fragment), Some(expected));
        }
    });
}

#[test]
fn the_largest_probes_are_answered() {
    lab::play(|lab| {
        for (requester, host) in families(lab) {
            // 65,535 bytes of IP less the IPv4 header and 8 bytes of ICMP.
            let longest = vec![0x77; if requester.v6 { 65_000 } else { 65_535 - 28 }];
            setsockopt(&requester.socket, sockopt::SndBuf, &(1 << 20)).expect("SO_SNDBUF");
            requester.send(host, &requester.message(1, &longest)).expect("it fits");
            assert_eq!(requester.receive().message[8..], longest);
        }
    });
}

#[test]
fn injected_packets_arrive() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        lab.inject(&packet::echo_reply(ip("10.9.9.9"), lab::HOST4.into(), 0xbeef, 42, b"forged"));
        let received = requester.receive();
        assert_eq!(
            (received.from, seq(&received.message), &received.message[8..]),
            (ip("10.9.9.9"), 42, b"forged".as_slice())
        );
        // A source without a route is not filtered either.
        lab.inject(&packet::echo_reply(ip("8.8.8.8"), lab::HOST4.into(), 0xbeef, 43, b"forged"));
        assert_eq!(requester.receive().from, ip("8.8.8.8"));
        if lab.has_ipv6() {
            let requester = Requester::new(lab, true);
            lab.inject(&packet::echo_reply(ip("fd00::9"), lab::HOST6.into(), 0xbeef, 44, b"forged"));
            assert_eq!(requester.receive().from, ip("fd00::9"));
        }
    });
}

#[test]
fn foreign_replies_are_sent_until_the_stream_is_dropped() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        let start = Instant::now();
        let stream = lab.foreign_replies(200, 0x4242);
        for number in 0..40 {
            let received = requester.receive();
            assert_eq!((received.message[4..6].to_vec(), seq(&received.message)), (vec![0x42, 0x42], number));
        }
        assert!(start.elapsed() >= ms(39 * 5), "200 a second are 5 ms apart");
        drop(stream);
        requester.request(ALIVE4, 1);
        // Skips what was already on its way.
        while seq(&requester.receive().message) != 1 {}
        requester.receives_nothing_else();
    });
}

#[test]
fn seventy_thousand_hosts_are_alive() {
    lab::play(|lab| {
        const HOSTS: u32 = 70_000;
        const IN_FLIGHT: u32 = 500;
        lab.host("10.2.0.0/15", Behaviour::default());
        lab.others(Behaviour::silent());
        let requester = Requester::new(lab, false);
        let address = |n: u32| IpAddr::from((0x0a02_0000 + n).to_be_bytes());
        let mut answered = vec![false; HOSTS as usize];
        for n in 0..HOSTS + IN_FLIGHT {
            if n < HOSTS {
                requester.request(&address(n).to_string(), n as u16);
            }
            if n >= IN_FLIGHT {
                let IpAddr::V4(from) = requester.receive().from else { unreachable!("this is IPv4") };
                answered[(from.to_bits() - 0x0a02_0000) as usize] = true;
            }
        }
        assert!(answered.iter().all(|&answered| answered));
        let counts = lab.counts();
        assert_eq!((counts.requests, counts.answers, counts.overflowed), (70_000, 70_000, 0));
    });
}

#[test]
fn processes_run_inside_and_test_threads_do_not() {
    lab::play(|lab| {
        let own = |path: &str| std::fs::read_link(path).expect("/proc is mounted");
        let before = own("/proc/thread-self/ns/net");
        let readlink = lab.start(Command::new("readlink").arg("/proc/self/ns/net")).finish(TIMEOUT);
        let again = lab.start(Command::new("readlink").arg("/proc/self/ns/net")).finish(TIMEOUT);
        assert_eq!(readlink.stdout, again.stdout);
        assert_ne!(readlink.stdout.trim(), before.display().to_string());
        assert_eq!(own("/proc/thread-self/ns/net"), before);
        let devices = nix::ifaddrs::getifaddrs().expect("getifaddrs");
        assert!(devices.into_iter().all(|device| device.interface_name != lab::DEVICE));
        assert_eq!(lab.inside(|| own("/proc/thread-self/ns/net")).display().to_string(), readlink.stdout.trim());
    });
}

#[test]
fn two_labs_are_separate() {
    lab::play(|lab| {
        let other = Lab::open().expect("where there is one there can be two");
        Requester::new(lab, false).request("10.0.0.1", 1);
        assert_eq!((lab.seen().len(), other.seen().len()), (1, 0));
    });
}

#[test]
fn a_finished_process_has_code_signal_and_output() {
    lab::play(|lab| {
        let shell = |script: &str| lab.start(Command::new("sh").args(["-c", script]));
        let outcome = shell("read x; echo out $x; echo err >&2; echo more >&2; exit 3");
        outcome.feed("fed\n");
        let outcome = outcome.finish(TIMEOUT);
        assert_eq!((outcome.code, outcome.signal), (Some(3), None));
        assert_eq!((outcome.lines(), outcome.first_stderr_line()), (vec!["out fed"], "err"));
        let outcome = shell("kill -FPE $$").finish(TIMEOUT);
        assert_eq!((outcome.code, outcome.signal), (None, Some(Signal::SIGFPE as i32)));
        let outcome = shell("read x; sleep 0.05").finish(TIMEOUT);
        assert!(outcome.wall >= ms(50) && outcome.peak_rss_kib > 0, "{outcome:?}");
        // More than a pipe holds, in both directions at once.
        let cat = lab.start(&mut Command::new("cat"));
        let long = "x".repeat(1 << 20);
        cat.feed(&long);
        assert!(cat.finish(TIMEOUT).stdout == long);
    });
}

#[test]
fn a_process_can_be_given_input_watched_and_signalled() {
    lab::play(|lab| {
        let mut cat = lab.start(&mut Command::new("cat"));
        assert_eq!(cat.status("Pid"), Some(cat.pid().to_string()));
        cat.feed("one\n");
        cat.wait_until(TIMEOUT, "the first line", |cat| cat.stdout_so_far() == "one\n");
        cat.signal(Signal::SIGSTOP);
        cat.wait_until(TIMEOUT, "stopped", |cat| cat.status("State").is_some_and(|state| state.starts_with('T')));
        cat.feed("two\n");
        assert!(cat.is_running());
        assert_eq!(cat.stdout_so_far(), "one\n", "a stopped process writes nothing");
        cat.signal(Signal::SIGCONT);
        cat.wait_until(TIMEOUT, "the second line", |cat| cat.stdout_so_far() == "one\ntwo\n");
        cat.signal(Signal::SIGTERM);
        assert_eq!(cat.finish(TIMEOUT).signal, Some(Signal::SIGTERM as i32));
    });
}

#[test]
fn a_hung_process_is_killed_and_fails_the_test() {
    lab::play(|lab| {
        let mut hung = lab.start(Command::new("sh").args(["-c", "echo before; exec sleep 1000"]));
        hung.wait_until(TIMEOUT, "its output", |hung| hung.stdout_so_far() == "before\n");
        let pid = hung.pid();
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| hung.finish(ms(300))));
        let panic = panic.expect_err("it has not ended by itself");
        let message = panic.downcast_ref::<String>().expect("a panic with a message");
        assert!(message.contains("still ran") && message.contains("before"), "{message}");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    });
}

#[test]
fn links_and_routes_can_change_in_mid_run() {
    lab::play(|lab| {
        let requester = Requester::new(lab, false);
        let send = |to| requester.send(to, &requester.message(1, DATA));
        assert_eq!(send("11.0.0.1"), Err(Errno::ENETUNREACH), "there is no default route");
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        assert_eq!(send("10.0.0.1"), Err(Errno::ENETUNREACH));
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
        requester.request("10.0.0.1", 2);
        assert_eq!(seq(&requester.receive().message), 2);
        lab.ip(&["link", "set", lab::DEVICE, "down"]);
        assert!(send("10.0.0.1").is_err());
        lab.ip(&["link", "set", lab::DEVICE, "up"]);
        lab.await_link();
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
        requester.request("10.0.0.1", 3);
        assert_eq!(seq(&requester.receive().message), 3);
        // The far end going down is a pulled cable: nothing fails here, and nothing arrives.
        lab.ip(&["link", "set", "lab1", "down"]);
        lab.ip(&["link", "set", "lab1", "up"]);
        lab.await_link();
        requester.request("10.0.0.1", 4);
        assert_eq!(seq(&requester.receive().message), 4);
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
        let shown = lab.start(Command::new("cat").arg("/proc/sys/net/ipv4/ping_group_range")).finish(TIMEOUT);
        assert_eq!(shown.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0"]);
        let ping_socket =
            lab.inside(|| socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp));
        assert!(ping_socket.is_ok(), "{ping_socket:?}");
    });
}
