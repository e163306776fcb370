//! Packets belong to the caller: firewall and routing rules for a user or group hold for the
//! program, however it is installed.
//!
//! A socket belongs to the user and group that were effective when it was opened. The firewall
//! (`meta skuid` of nft, `-m owner` of iptables), routing (`ip rule uidrange`) and /proc/net/raw
//! use that. The program is started in each way in which it can be installed, with rules for its
//! caller and for other users.
//!
//! These tests need real root, and the firewall ones `nft` or `iptables`; without these they are
//! skipped.

mod lab;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use lab::caller::{self, ORDINARY, Place, Rights, ordinary};
use lab::{Behaviour, LIMIT, Lab};

/// A user id that no program here runs with.
const OTHER: u32 = 65_533;

/// Plays a scene for each way to install the program. The scene gets a command that starts the
/// program, and the user id of the caller.
fn each_way(place: &Place, scene: impl Fn(&dyn Fn() -> Command, u32)) {
    for rights in [Rights::Setuid, Rights::Capabilities("cap_net_raw+p"), Rights::Capabilities("cap_net_raw+ep")] {
        let program = place.install(rights);
        scene(&|| ordinary(&program), ORDINARY);
        fs::remove_file(&program).expect("our file");
    }
    let program = place.install(Rights::None);
    scene(&|| Command::new(&program), 0);
    fs::remove_file(&program).expect("our file");
}

/// An address of each family that this kernel has.
fn of_each_family<'a>(lab: &Lab, v4: &'a str, v6: &'a str) -> Vec<&'a str> {
    if lab.has_ipv6() { vec![v4, v6] } else { vec![v4] }
}

/// Packets of each family are sent and answered.
fn pings(lab: &Lab, program: &dyn Fn() -> Command) {
    for address in of_each_family(lab, "10.0.0.1", "fd00::1") {
        let outcome = lab.start(program().arg(address)).finish(LIMIT);
        assert!(outcome.is_alive(address), "{outcome:?}");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
}

/// No packet of either family is sent, and stderr says `why`.
fn is_refused(lab: &Lab, program: &dyn Fn() -> Command, why: &str) {
    for address in of_each_family(lab, "10.0.0.1", "fd00::1") {
        lab.forget();
        let outcome = lab.start(program().args(["--retries=0", "--timeout=200ms", address])).finish(LIMIT);
        assert!(!outcome.is_alive(address) && outcome.stderr.contains(why), "{outcome:?}");
        assert!(lab.seen().is_empty(), "{:?}", lab.seen());
    }
}

/// Runs a command in the lab.
fn run(lab: &Lab, command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = lab.inside(|| command.output()).map_err(|error| format!("cannot run `{name}`: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr))) }
}

/// Whose packets a firewall rule is about.
#[derive(Clone, Copy)]
enum Owner {
    User(u32),
    Group(u32),
}

/// Makes the firewall drop only what `owner` sends. The error says what is missing on this machine.
fn drop_packets_of(lab: &Lab, owner: Owner) -> Result<(), String> {
    let by_nft = nft(lab, owner);
    by_nft.or_else(|no_nft| iptables(lab, owner).map_err(|no_iptables| format!("{no_nft}; {no_iptables}")))
}

fn nft(lab: &Lab, owner: Owner) -> Result<(), String> {
    let owner = match owner {
        Owner::User(id) => format!("meta skuid {id}"),
        Owner::Group(id) => format!("meta skgid {id}"),
    };
    let rules = format!("table inet lab {{ chain output {{ type filter hook output priority 0; {owner} drop; }}; }}");
    run(lab, Command::new("nft").arg(format!("flush ruleset; {rules}")))
}

fn iptables(lab: &Lab, owner: Owner) -> Result<(), String> {
    let (flag, id) = match owner {
        Owner::User(id) => ("--uid-owner", id),
        Owner::Group(id) => ("--gid-owner", id),
    };
    for (tool, protocol) in [("iptables", "icmp"), ("ip6tables", "ipv6-icmp")] {
        if tool == "ip6tables" && !lab.has_ipv6() {
            continue;
        }
        let rule = format!("-A OUTPUT -p {protocol} -m owner {flag} {id} -j DROP");
        run(lab, Command::new(tool).args(["-F", "OUTPUT"]))?;
        run(lab, Command::new(tool).args(rule.split(' ')))?;
    }
    Ok(())
}

#[test]
fn raw_sockets_belong_to_the_caller() {
    caller::play(&["setcap"], |lab, place| {
        lab.others(Behaviour::silent());
        each_way(place, |program, user| {
            lab.forget();
            let addresses = of_each_family(lab, "10.0.0.7", "fd00::7");
            let mut running = lab.start(program().arg("--timeout=100").args(&addresses));
            let all = addresses.len();
            running.wait_until(LIMIT, "has not probed", |_| lab.seen().len() == all);
            assert_eq!(owners_in(lab, "raw"), [user.to_string()]);
            if lab.has_ipv6() {
                assert_eq!(owners_in(lab, "raw6"), [user.to_string()]);
            }
        });
    });
}

/// The column `uid` of a table of sockets in /proc/net. It is the eighth word: `tx_queue` and
/// `rx_queue` are one, and so are `tr` and `tm->when`.
fn owners_in(lab: &Lab, table: &str) -> Vec<String> {
    let text = lab.inside(|| fs::read_to_string(format!("/proc/thread-self/net/{table}"))).expect("/proc is mounted");
    let owner = |line: &str| line.split_whitespace().nth(7).expect("a row has 13 columns").to_owned();
    text.lines().skip(1).map(owner).collect()
}

#[test]
fn a_firewall_rule_for_the_caller_holds() {
    caller::play(&["setcap"], |lab, place| {
        if let Err(reason) = drop_packets_of(lab, Owner::User(ORDINARY)) {
            return lab::skip("a_firewall_rule_for_the_caller_holds", &reason);
        }
        each_way(place, |program, user| match user {
            ORDINARY => is_refused(lab, program, "Operation not permitted"),
            _ => pings(lab, program),
        });
        drop_packets_of(lab, Owner::User(OTHER)).expect("it did so before");
        each_way(place, |program, _| pings(lab, program));
        drop_packets_of(lab, Owner::User(0)).expect("it did so before");
        each_way(place, |program, user| match user {
            0 => is_refused(lab, program, "Operation not permitted"),
            _ => pings(lab, program),
        });
    });
}

#[test]
fn a_firewall_rule_for_the_group_of_the_caller_holds() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        for mode in [0o4755, 0o6755] {
            fs::set_permissions(&program, PermissionsExt::from_mode(mode)).expect("our file");
            if let Err(reason) = drop_packets_of(lab, Owner::Group(ORDINARY)) {
                return lab::skip("a_firewall_rule_for_the_group_of_the_caller_holds", &reason);
            }
            is_refused(lab, &|| ordinary(&program), "Operation not permitted");
            drop_packets_of(lab, Owner::Group(0)).expect("it did so before");
            pings(lab, &|| ordinary(&program));
        }
    });
}

#[test]
fn a_routing_rule_for_the_caller_holds() {
    caller::play(&["setcap"], |lab, place| {
        let prohibit = |change: &str, user: u32| {
            for family in of_each_family(lab, "-4", "-6") {
                lab.ip(&[family, "rule", change, "uidrange", &format!("{user}-{user}"), "prohibit"]);
            }
        };
        prohibit("add", ORDINARY);
        each_way(place, |program, user| match user {
            ORDINARY => is_refused(lab, program, "Permission denied"),
            _ => pings(lab, program),
        });
        prohibit("del", ORDINARY);
        prohibit("add", OTHER);
        each_way(place, |program, _| pings(lab, program));
    });
}
