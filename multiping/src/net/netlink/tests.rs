//! The kernel asked, about networks that the tests make for themselves. They need root and
//! iproute2.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{getsockname, sendto};
use socket2::Type;

use super::*;
use crate::net::sockets::socket_address;
use crate::net::sockets::{bind, open_icmp};

/// Runs `scene` in a network namespace of its own, with loopback and without IPv6's addresses of
/// its own making.
fn in_namespace(test: &str, scene: impl FnOnce() + Send) {
    let enter = || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| format!("unshare: {errno}"))?;
        run("ip", &["link", "set", "dev", "lo", "up"], "")?;
        // A thread sees its own namespace's values.
        fs::write("/proc/sys/net/ipv6/conf/default/addr_gen_mode", "1").map_err(|error| format!("sysctl: {error}"))
    };
    let played = thread::scope(|scope| scope.spawn(|| enter().map(|()| scene())).join());
    if let Err(reason) = played.unwrap_or_else(|panic| resume_unwind(panic)) {
        skip(test, &reason);
    }
}

fn skip(test: &str, reason: &str) {
    let required = env::var_os("XYMONPING_LAB").is_some_and(|policy| policy == "required");
    assert!(!required, "{test}: {reason}");
    let _ = io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
}

fn run(program: &str, args: &[&str], input: &str) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program} {args:?}: {}", complaint.trim())) }
}

/// Runs a command of `ip` a line. One that begins with -6 is about IPv6.
fn ip(script: &str) {
    for family in ["-4", "-6"] {
        let lines = script.lines().map(|line| match line.strip_prefix("-6 ") {
            Some(line) => ("-6", line),
            None => ("-4", line),
        });
        let of_family: String = lines.filter(|line| line.0 == family).map(|line| format!("{}\n", line.1)).collect();
        run("ip", &[family, "-batch", "-"], &of_family).unwrap();
    }
}

/// Two interfaces, `near` and `far`, at the two ends of a wire.
fn make_wire() {
    ip("link add name near numtxqueues 2 type veth peer name far\nlink set dev near up\nlink set dev far up\n");
}

fn index(name: &str) -> u32 {
    if_nametoindex(name).unwrap()
}

fn interface(netlink: &Netlink, name: &str) -> Interface {
    let mut all = Vec::new();
    netlink.interfaces(&mut all).unwrap();
    *all.iter().find(|interface| interface.index == index(name)).unwrap()
}

fn v4(address: &str) -> Address {
    Address::V4(address.parse().unwrap())
}

fn v6(address: &str) -> Address {
    Address::V6(address.parse().unwrap(), 0)
}

/// The interface that the route to `to` leads over.
fn over(netlink: &Netlink, to: Address) -> Option<u32> {
    netlink.route(to, None, None).unwrap().map(|hop| hop.interface)
}

/// Waits until an IPv6 address is there, which takes the kernel a moment even without DAD.
fn wait_for(netlink: &Netlink, address: &str) {
    for _ in 0..10_000 {
        if over(netlink, v6(address)) == Some(index("lo")) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("no {address}");
}

#[test]
fn a_carrier_that_was_lost_is_counted() {
    in_namespace("a_carrier_that_was_lost_is_counted", || {
        make_wire();
        let mut netlink = Netlink::open(None).unwrap();
        let before = interface(&netlink, "near");
        assert!(before.up && before.carrier && !before.loopback, "{before:?}");
        let lo = interface(&netlink, "lo");
        assert!(lo.up && lo.carrier && lo.loopback && lo.carrier_down_count == 0, "{lo:?}");
        for losses in 1..=3 {
            netlink.changed();
            ip("link set dev far down\n");
            assert!(netlink.changed());
            let down = interface(&netlink, "near");
            let carrier_down_count = before.carrier_down_count + losses;
            assert_eq!(down, Interface { carrier: false, carrier_down_count, ..before });
            assert!(!interface(&netlink, "far").up);
            ip("link set dev far up\n");
            assert!(netlink.changed());
            assert_eq!(interface(&netlink, "near"), Interface { carrier_down_count, ..before });
        }
    });
}

/// Whether a raw ICMP socket can send. None if it cannot be bound like that.
fn can_send(to: Address, source: Option<Address>, interface: Option<u32>) -> Option<bool> {
    let socket = open_icmp(to.family(), Type::RAW).unwrap();
    if let Some(source) = source {
        bind(&socket, source).ok()?;
    }
    if let Some(interface) = interface {
        // nix takes the null pointer for a success, with an empty name.
        let name = if_indextoname(interface).ok().filter(|name| !name.is_empty())?;
        socket.bind_device(Some(name.as_bytes())).unwrap();
    }
    Some(socket.send_to(&[0; 8], &socket_address(to, 0).into()).is_ok())
}

#[test]
fn a_route_is_that_of_an_icmp_socket() {
    in_namespace("a_route_is_that_of_an_icmp_socket", || {
        make_wire();
        ip("link add name other type veth peer name end\nlink set dev other up\nlink set dev end up\n\
            addr add 192.0.2.1/24 dev near\n-6 addr add fd00::1/64 dev near nodad\n\
            addr add 198.51.100.1/24 dev other\n-6 addr add fd01::1/64 dev other nodad\n\
            -6 addr add fe80::1/64 dev near nodad\n-6 addr add fe80::1/64 dev other nodad\n\
            route add 203.0.113.0/24 via 198.51.100.2\n-6 route add fd02::/64 via fd01::2\n");
        for (kind, net) in ["unreachable", "prohibit", "blackhole", "throw"].iter().zip(1..) {
            ip(&format!("route add {kind} 10.0.{net}.0/24\n-6 route add {kind} fd03:{net}::/64\n"));
        }
        let netlink = Netlink::open(None).unwrap();
        wait_for(&netlink, "fd00::1");
        wait_for(&netlink, "fd01::1");
        let (lo, near, other) = (index("lo"), index("near"), index("other"));
        let route = |to: Address, source, interface| {
            let route = netlink.route(to, source, interface).unwrap().map(|hop| hop.interface);
            if let Some(can_send) = can_send(to, source, interface) {
                assert_eq!(route.is_some(), can_send, "{to} from {source:?} on {interface:?}");
            }
            route
        };
        for (to, expected) in [
            (v4("192.0.2.9"), Some(near)),
            (v4("203.0.113.9"), Some(other)),
            (v4("192.0.2.1"), Some(lo)),
            (v4("127.0.0.1"), Some(lo)),
            (v4("10.1.1.1"), None),
            (v6("fd00::9"), Some(near)),
            (v6("fd02::9"), Some(other)),
            (v6("fd00::1"), Some(lo)),
            (v6("fd04::1"), None),
            (Address::V6("fe80::9".parse().unwrap(), near), Some(near)),
            (Address::V6("fe80::9".parse().unwrap(), other), Some(other)),
        ] {
            assert_eq!(route(to, None, None), expected, "{to}");
        }
        for net in 1..=4 {
            assert_eq!(route(v4(&format!("10.0.{net}.1")), None, None), None, "{net}");
            assert_eq!(route(v6(&format!("fd03:{net}::1")), None, None), None, "{net}");
        }
        // Bound to an interface; from a source; both.
        for (to, source, elsewhere) in
            [(v4("192.0.2.9"), v4("192.0.2.1"), Some(other)), (v6("fd00::9"), v6("fd00::1"), None)]
        {
            assert_eq!(route(to, None, Some(near)), Some(near));
            assert_eq!(route(to, Some(source), None), Some(near));
            assert_eq!(route(to, Some(source), Some(near)), Some(near));
            // On an interface that it is bound to, IPv4 takes every address for a neighbour.
            assert_eq!(route(to, Some(source), Some(other)), elsewhere);
            assert_eq!(route(to, None, Some(other)), elsewhere);
            assert_eq!(route(to, None, Some(9999)), None);
        }
        // A source that is not ours, and one of the other family, which does not count.
        assert_eq!(route(v4("192.0.2.9"), Some(v4("192.0.2.7")), None), None);
        assert_eq!(route(v4("192.0.2.9"), Some(v6("fd00::1")), None), Some(near));
        // Rules by protocol, user and source.
        ip("rule add to 192.0.2.11 ipproto icmp prohibit\n-6 rule add to fd00::11 ipproto ipv6-icmp prohibit\n\
            rule add to 192.0.2.12 ipproto udp prohibit\n-6 rule add to fd00::12 ipproto udp prohibit\n\
            rule add to 192.0.2.13 uidrange 0-0 prohibit\n-6 rule add to fd00::13 uidrange 0-0 prohibit\n\
            rule add to 192.0.2.14 uidrange 1-1 prohibit\n-6 rule add to fd00::14 uidrange 1-1 prohibit\n\
            rule add to 192.0.2.15 from 192.0.2.1 prohibit\n-6 rule add to fd00::15 from fd00::1 prohibit\n");
        for (host, expected) in [(11, None), (12, Some(near)), (13, None), (14, Some(near))] {
            assert_eq!(route(v4(&format!("192.0.2.{host}")), None, None), expected, "{host}");
            assert_eq!(route(v6(&format!("fd00::{host}")), None, None), expected, "{host}");
        }
        assert_eq!(route(v4("192.0.2.15"), Some(v4("192.0.2.1")), None), None);
        assert_eq!(route(v6("fd00::15"), Some(v6("fd00::1")), None), None);
    });
}

#[test]
fn all_next_hops_of_a_route_are_told() {
    in_namespace("all_next_hops_of_a_route_are_told", || {
        make_wire();
        ip("link add name other type veth peer name end\nlink set dev other up\nlink set dev end up\n\
            addr add 192.0.2.1/24 dev near\n-6 addr add fd00::1/64 dev near nodad\n\
            addr add 198.51.100.1/24 dev other\n-6 addr add fd01::1/64 dev other nodad\n\
            route add 10.0.0.0/8 nexthop via 192.0.2.2 nexthop via 198.51.100.2\n\
            -6 route add fd10::/16 nexthop via fd00::2 nexthop via fd01::2\n\
            route add 10.9.0.0/16 via 198.51.100.2\n");
        let netlink = Netlink::open(None).unwrap();
        wait_for(&netlink, "fd00::1");
        wait_for(&netlink, "fd01::1");
        let (near, other) = (index("near"), index("other"));
        let hops = |to| {
            let mut hops = Vec::new();
            netlink.next_hops(to, None, None, |hop| hops.push(hop)).unwrap();
            hops.sort_unstable();
            hops
        };
        for to in [v4("10.1.0.1"), v6("fd10::1")] {
            assert_eq!(hops(to), [near, other], "{to}");
            let hop = netlink.route(to, None, None).unwrap().unwrap();
            assert!(hop.router.is_some() && hops(to).contains(&hop.interface), "{to}");
        }
        assert_eq!(hops(v4("10.9.0.1")), []);
        let hop = NextHop { interface: other, router: Some(v4("198.51.100.2")), source: Some(v4("198.51.100.1")) };
        assert_eq!(netlink.route(v4("10.9.0.1"), None, None).unwrap(), Some(hop));
        let hop = NextHop { interface: near, router: None, source: Some(v4("192.0.2.1")) };
        assert_eq!(netlink.route(v4("192.0.2.2"), None, None).unwrap(), Some(hop));
        // One that has lost its carrier is not used if the kernel is told so, and else is.
        ip("link set dev end down\n");
        assert_eq!(hops(v4("10.1.0.1")), [near, other]);
        fs::write("/proc/sys/net/ipv4/conf/other/ignore_routes_with_linkdown", "1").unwrap();
        // The kernel takes note of the loss a second late, if another interface has just changed.
        for _ in 0..10_000 {
            if hops(v4("10.1.0.1")) == [near] {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("{:?}", hops(v4("10.1.0.1")));
    });
}

#[test]
fn a_neighbour_behind_a_bridge_has_a_port() {
    in_namespace("a_neighbour_behind_a_bridge_has_a_port", || {
        make_wire();
        ip("link add name br type bridge\nlink set dev near master br\nlink set dev br up\n\
            addr add 192.0.2.1/24 dev br\nneigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev br\n");
        let netlink = Netlink::open(None).unwrap();
        let (near, far, br) = (interface(&netlink, "near"), interface(&netlink, "far"), interface(&netlink, "br"));
        assert_eq!((near.master, near.link, near.bridge), (Some(br.index), Some(far.index), false));
        assert_eq!((br.master, br.link, br.bridge), (None, None, true));
        let port = || netlink.port(v4("192.0.2.2"), br.index, br.index).unwrap();
        assert_eq!(port(), None, "none of its frames has come");
        run("bridge", &["fdb", "add", "02:00:00:00:00:02", "dev", "near", "master"], "").unwrap();
        assert_eq!(port(), Some(near.index));
        assert!(netlink.port(v4("192.0.2.3"), br.index, br.index).is_err(), "an unknown neighbour");
        ip("neigh replace 192.0.2.2 nud failed dev br\n");
        assert_eq!(port(), None);
    });
}

#[test]
fn a_route_that_goes_is_noticed() {
    in_namespace("a_route_that_goes_is_noticed", || {
        make_wire();
        ip("addr add 192.0.2.1/24 dev near\n-6 addr add fd00::1/64 dev near nodad\n");
        let mut netlink = Netlink::open(None).unwrap();
        wait_for(&netlink, "fd00::1");
        let ways = [
            ("route add 10.0.0.0/8 via 192.0.2.2", "route del 10.0.0.0/8"),
            ("-6 route add fd10::/16 via fd00::2", "-6 route del fd10::/16"),
            ("nexthop add id 1 via 192.0.2.2 dev near\nroute add 10.0.0.0/8 nhid 1", "nexthop del id 1"),
            ("route add 10.0.0.0/8 via 192.0.2.2", "rule add prohibit"),
            ("-6 route add fd10::/16 via fd00::2", "-6 rule add prohibit"),
            ("rule del prohibit\n-6 rule del prohibit", "link set dev near down"),
        ];
        for (make, lose) in ways {
            ip(&format!("{make}\n"));
            let routes = |netlink: &Netlink| [v4("10.0.0.1"), v6("fd10::1")].map(|to| over(netlink, to));
            let before = routes(&netlink);
            assert!(before.contains(&Some(index("near"))), "{make}");
            netlink.changed();
            ip(&format!("{lose}\n"));
            assert!(netlink.changed(), "{lose}");
            assert!(routes(&netlink) != before, "{lose}");
        }
    });
}

#[test]
fn packets_that_wait_are_counted_once() {
    in_namespace("packets_that_wait_are_counted_once", || {
        make_wire();
        ip("addr add 192.0.2.1/24 dev near\nneigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev near\n");
        // At a byte a second, the first of these packets uses up the burst and the others wait.
        let tbf = ["tbf", "rate", "8bit", "burst", "1500", "limit", "1000000"];
        let tc = |args: &[&str]| run("tc", &[&["qdisc", "replace", "dev", "near"][..], args].concat(), "");
        let netlink = Netlink::open(None).unwrap();
        let backlog = |netlink: &Netlink| {
            let mut backlogs = vec![(77, 77)];
            netlink.backlogs(&mut backlogs).unwrap();
            let of_near: Vec<_> = backlogs.iter().filter(|(interface, _)| *interface == index("near")).collect();
            assert_eq!(of_near.len(), 1, "{backlogs:?}");
            of_near[0].1
        };
        let send = |count| {
            let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
            (0..count).for_each(|_| _ = socket.send_to(&[0; 1400], "192.0.2.2:9").unwrap());
        };
        assert_eq!(backlog(&netlink), 0);
        if let Err(reason) = tc(&[&["root"][..], &tbf].concat()) {
            return skip("packets_that_wait_are_counted_once", &reason);
        }
        assert_eq!(backlog(&netlink), 0);
        send(10);
        assert_eq!(backlog(&netlink), 9);
        send(5);
        assert_eq!(backlog(&netlink), 14);
        // A queue for each of two transmit queues, and one that only filters.
        tc(&["root", "handle", "1:", "mq"]).unwrap();
        tc(&[&["parent", "1:1"][..], &tbf].concat()).unwrap();
        tc(&[&["parent", "1:2"][..], &tbf].concat()).unwrap();
        tc(&["clsact"]).unwrap();
        send(10);
        assert_eq!(backlog(&netlink), 9);
    });
}

#[test]
fn more_interfaces_than_a_datagram_holds_are_listed() {
    in_namespace("more_interfaces_than_a_datagram_holds_are_listed", || {
        let pairs = (0..60).map(|n| format!("link add name near{n} type veth peer name far{n}\n"));
        ip(&pairs.collect::<String>());
        let netlink = Netlink::open(None).unwrap();
        let mut interfaces = Vec::new();
        for _ in 0..2 {
            netlink.interfaces(&mut interfaces).unwrap();
            let indices: BTreeSet<u32> = interfaces.iter().map(|interface| interface.index).collect();
            assert_eq!((interfaces.len(), indices.len()), (121, 121));
            assert!((0..60).all(|n| indices.contains(&index(&format!("far{n}")))));
        }
        // None of them is up, so that they have no queueing discipline.
        let mut backlogs = Vec::new();
        netlink.backlogs(&mut backlogs).unwrap();
        assert_eq!(backlogs, [(index("lo"), 0)]);
    });
}

#[test]
fn lost_notifications_are_a_change() {
    in_namespace("lost_notifications_are_a_change", || {
        let mut netlink = Netlink::open(None).unwrap();
        assert!(!netlink.changed());
        ip("addr add 192.0.2.1/32 dev lo\n");
        assert!(netlink.changed());
        assert!(!netlink.changed());
        ip(&(1..250).map(|n| format!("addr add 198.51.100.{n}/32 dev lo\n")).collect::<String>());
        assert_eq!(read(&netlink.notifications, &mut [0; 16]), Err(Errno::ENOBUFS));
        assert!(netlink.changed());
        assert!(!netlink.changed());
        ip("addr del 192.0.2.1/32 dev lo\n");
        assert!(netlink.changed());
    });
}

#[test]
fn what_an_earlier_request_left_is_not_taken_for_an_answer() {
    in_namespace("what_an_earlier_request_left_is_not_taken_for_an_answer", || {
        let pairs = (0..60).map(|n| format!("link add name near{n} type veth peer name far{n}\n"));
        ip(&pairs.collect::<String>());
        let netlink = Netlink::open(None).unwrap();
        let ask = |mut request: Request| {
            send(netlink.requests.as_raw_fd(), request.emit(u32::MAX), MsgFlags::MSG_DONTWAIT).unwrap();
        };
        // An answer.
        ask(route_request(v4("192.0.2.1"), None, None, 0));
        assert_eq!(over(&netlink, v4("127.0.0.1")), Some(index("lo")));
        // The first part of a dump. Until it has been read to the end, there is no other.
        ask(Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; 16]));
        assert_eq!(over(&netlink, v4("127.0.0.1")), Some(index("lo")));
        let mut interfaces = Vec::new();
        assert_eq!(netlink.interfaces(&mut interfaces).unwrap_err().raw_os_error(), Some(libc::EBUSY));
        netlink.interfaces(&mut interfaces).unwrap();
        assert_eq!(interfaces.len(), 121);
        // A buffer that is too small for the answer.
        let mut request = Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; 16]);
        let cut = netlink.exchange(&mut request, &mut [0; 100], |_| Ok(()));
        assert_eq!(cut.unwrap_err().raw_os_error(), Some(libc::EBADMSG));
        assert_eq!(netlink.exchange(&mut request, &mut [0; DUMP_BUFFER], |_| Ok(())).ok(), Some(()));
        // No answer at all.
        let unanswered = netlink.read_answers(libc::RTM_NEWLINK, 7, &mut [0; 100], |_| Ok(()));
        assert_eq!(unanswered.unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn other_processes_cannot_answer() {
    let netlink = Netlink::open(None).unwrap();
    let requests = getsockname::<NetlinkAddr>(netlink.requests.as_raw_fd()).unwrap();
    let other = open().unwrap();
    let answer = sendto(other.as_raw_fd(), &[0; 16], &NetlinkAddr::new(requests.pid(), 0), MsgFlags::MSG_DONTWAIT);
    // Only root may try.
    assert!(matches!(answer, Err(Errno::ECONNREFUSED | Errno::EPERM)), "{answer:?}");
}

#[test]
fn an_unknown_request_is_an_error() {
    let netlink = Netlink::open(None).unwrap();
    let mut request = Request::new(libc::RTM_GETROUTE, 0, &[0xff; 12]);
    assert!(netlink.exchange(&mut request, &mut [0; ANSWER_BUFFER], |_| Ok(())).is_err());
    // The kernel ignores what is shorter than a header, and does not answer.
    assert_eq!(netlink.seq.get(), 1);
    assert_eq!(netlink.route(v4("127.0.0.1"), None, Some(u32::MAX)).unwrap(), None);
}

#[test]
fn neighbour_tables_are_reported() {
    let netlink = Netlink::open(None).unwrap();
    for (family, name) in [(Family::V4, "ipv4"), (Family::V6, "ipv6")] {
        let table = netlink.neighbour_table(family).unwrap();
        assert!(netlink.neighbour_table(family).unwrap().table_fulls >= table.table_fulls);
        // Only the first network namespace shows it, and others are free to change it.
        if let Ok(limit) = fs::read_to_string(format!("/proc/sys/net/{name}/neigh/default/gc_thresh3")) {
            assert_eq!(table.max_entries.to_string(), limit.trim());
        }
    }
}
