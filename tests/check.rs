//! `--check`: its report is true, the commands it suggests help, and it pings no other machine.
//!
//! The program is installed and started in every way. Where it suggests a command, the test runs
//! that command and checks again. These tests need real root; without it they are skipped.

mod lab;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use lab::caller::{self, ORDINARY, Rights, ordinary};
use lab::{Finished, LIMIT, Lab};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

const WORKS: [&str; 1] = ["a run would work"];
const BETTER: [&str; 1] = ["a run would work, and better after the fix above"];
const FAILS: [&str; 1] = ["a run would fail with status 3"];
/// How the message begins; the path of the program follows.
const NO_PERMISSION: &str = "xymonping: no permission to ping: Operation not permitted (as root: chown root ";

/// The requested size of the receive buffer, in bytes.
const BUFFER_OF_ROOT: u64 = 32 << 20;
const BUFFER_OF_ORDINARY: u64 = 4 << 20;

fn check(lab: &Lab, command: &mut Command) -> Finished {
    lab.start(command.arg("--check")).finish(LIMIT)
}

/// The texts of the lines with this label.
fn lines<'a>(outcome: &'a Finished, wanted: &str) -> Vec<&'a str> {
    let matching = outcome.stdout.lines().filter(|line| line.get(..13).is_some_and(|label| label.trim() == wanted));
    matching.map(|line| &line[13..]).collect()
}

/// A run would work, and stderr is empty.
fn works(outcome: &Finished) {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
}

/// There is no permission to ping, and stderr says so as in a run.
fn has_no_permission(outcome: &Finished) {
    assert!(outcome.code == Some(3) && outcome.stderr.starts_with(NO_PERMISSION), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert_eq!(lines(outcome, "sockets"), ["none: Operation not permitted"], "{outcome:?}");
    assert_eq!(lines(outcome, "verdict"), FAILS, "{outcome:?}");
}

#[test]
fn the_network_is_reported() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let outcome = check(lab, &mut ordinary(&program));
        works(&outcome);
        assert_eq!(lines(&outcome, "network"), ["up: lab0, lab1"], "{outcome:?}");
        assert_eq!(lines(&outcome, "default"), ["IPv4 route none, IPv6 route none"], "{outcome:?}");
        lab.ip(&["route", "add", "default", "dev", "lab0"]);
        let outcome = check(lab, &mut ordinary(&program));
        assert_eq!(lines(&outcome, "default"), ["IPv4 route by lab0, IPv6 route none"], "{outcome:?}");
        lab.ip(&["link", "set", "lab0", "down"]);
        let outcome = check(lab, &mut ordinary(&program));
        works(&outcome);
        assert_eq!(lines(&outcome, "network"), ["none: without a carrier: lab1"], "{outcome:?}");
        assert_eq!(lines(&outcome, "verdict"), ["a run would reach only this machine itself"], "{outcome:?}");
        lab.ip(&["link", "set", "lab1", "down"]);
        let outcome = check(lab, &mut ordinary(&program));
        assert_eq!(lines(&outcome, "network"), ["none: no interface is up but the loopback"], "{outcome:?}");
        assert!(lines(&outcome, "loopback").is_empty(), "{outcome:?}");
        lab.ip(&["link", "set", "lo", "down"]);
        let outcome = check(lab, &mut ordinary(&program));
        assert_eq!(lines(&outcome, "network"), ["none: no interface is up"], "{outcome:?}");
        assert!(lines(&outcome, "loopback")[0].starts_with("down: "), "{outcome:?}");
        assert_eq!(lines(&outcome, "fix")[0], "ip link set lo up", "{outcome:?}");
        assert_eq!(lines(&outcome, "verdict"), ["a run would reach no address"], "{outcome:?}");
        run_command(lab, lines(&outcome, "fix")[0]);
        assert!(lines(&check(lab, &mut ordinary(&program)), "loopback").is_empty());
    });
}

/// The largest receive buffer without NET_ADMIN.
fn rmem_max() -> u64 {
    let text = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("every kernel has it");
    text.trim().parse().expect("a number")
}

/// Runs a command that the report suggests.
fn run_command(lab: &Lab, command: &str) {
    let outcome = lab.start(Command::new("sh").args(["-c", command])).finish(LIMIT);
    assert_eq!(outcome.code, Some(0), "{command}: {outcome:?}");
}

// What allowed sockets to be opened.

#[test]
fn every_privilege_is_reported() {
    caller::play(&["setpriv", "setcap"], |lab, place| {
        // No user may ping without one of them.
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        for (rights, text) in [
            (Rights::Setuid, "raw socket (setuid root)"),
            (Rights::Capabilities("cap_net_raw+p"), "raw socket (file capability)"),
            (Rights::Capabilities("cap_net_raw+ep"), "raw socket (file capability)"),
            (Rights::None, "raw socket (ambient capability)"),
            (Rights::None, "raw socket (root)"),
        ] {
            let program = place.install(rights);
            let mut command = match text {
                "raw socket (ambient capability)" => caller::with_net_raw(&program),
                "raw socket (root)" => Command::new(&program),
                _ => ordinary(&program),
            };
            let outcome = check(lab, &mut command);
            works(&outcome);
            for family in ["IPv4", "IPv6"] {
                assert_eq!(lines(&outcome, family), [text], "{outcome:?}");
            }
            assert_eq!(lines(&outcome, "kernel"), ["packet filter, time stamps, drop counter"; 2], "{outcome:?}");
            fs::remove_file(&program).expect("our file");
        }
    });
}

#[test]
fn the_kernel_grants_the_capability_where_a_file_is_setuid_as_well() {
    caller::play(&["setcap"], |lab, place| {
        let program = place.install(Rights::Capabilities("cap_net_raw+p"));
        fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).expect("our file");
        assert_eq!(lines(&check(lab, &mut ordinary(&program)), "IPv4"), ["raw socket (file capability)"]);
    });
}

#[test]
fn root_who_starts_a_setuid_program_is_reported_as_root() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        assert_eq!(lines(&check(lab, &mut Command::new(&program)), "IPv4"), ["raw socket (root)"]);
        let outcome = check(lab, Command::new(&program).uid(ORDINARY));
        assert_eq!(lines(&outcome, "IPv4"), ["raw socket (setuid root)"], "{outcome:?}");
    });
}

#[test]
fn datagram_sockets_are_reported() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::None);
        lab.set_sysctl("net.ipv4.ping_group_range", &format!("{ORDINARY} {ORDINARY}"));
        let outcome = check(lab, &mut ordinary(&program));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        for family in ["IPv4", "IPv6"] {
            assert_eq!(lines(&outcome, family), ["ICMP datagram socket (net.ipv4.ping_group_range)"]);
        }
        assert_eq!(lines(&outcome, "kernel"), ["own replies only, time stamps, drop counter"; 2]);
        assert!(lines(&outcome, "send").is_empty(), "{outcome:?}");
    });
}

#[test]
fn dropped_packets_that_nobody_tells_of_are_reported() {
    caller::play(&["unshare", "setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        lab.set_sysctl("net.ipv4.ping_group_range", &format!("{ORDINARY} {ORDINARY}"));
        let user = format!("setpriv --reuid={ORDINARY} --regid={ORDINARY} --clear-groups");
        let script = format!("mount -t tmpfs none /proc && exec {user} \"$0\" --check");
        let mut command = Command::new("unshare");
        let outcome = lab.start(command.args(["--mount", "sh", "-c", &script]).arg(&program)).finish(LIMIT);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        // Only IPv6 hides them.
        let told = "what this machine drops counts as silence: /proc tells of none";
        assert_eq!(lines(&outcome, "send"), [told], "{outcome:?}");
    });
}

#[test]
fn only_the_requested_family_is_reported() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let outcome = check(lab, ordinary(&program).arg("--ipv6"));
        assert_eq!((lines(&outcome, "IPv4").len(), lines(&outcome, "IPv6").len()), (0, 1), "{outcome:?}");
        assert_eq!(lines(&outcome, "verdict"), WORKS);
    });
}

// What the kernel granted.

#[test]
fn a_small_receive_buffer_is_reported_with_a_fix() {
    caller::play(&["setpriv", "setcap"], |lab, place| {
        let program = place.install(Rights::Capabilities("cap_net_raw+p"));
        let mut root_without_net_admin = Command::new("setpriv");
        root_without_net_admin.arg("--bounding-set=-net_admin").arg(&program);
        for (mut command, wanted) in
            [(root_without_net_admin, BUFFER_OF_ROOT), (ordinary(&program), BUFFER_OF_ORDINARY)]
        {
            let outcome = check(lab, &mut command);
            works(&outcome);
            let granted = wanted.min(rmem_max());
            assert_eq!(lines(&outcome, "buffer"), vec![format!("{granted} of {wanted} bytes"); 2], "{outcome:?}");
            if granted < wanted {
                assert_eq!(lines(&outcome, "fix"), [format!("sysctl -w net.core.rmem_max={wanted}")]);
            }
            assert_eq!(lines(&outcome, "verdict"), if granted < wanted { BETTER } else { WORKS });
        }
        // With NET_ADMIN it is as large as wanted, whatever the system's limit.
        fs::remove_file(&program).expect("our file");
        let program = place.install(Rights::Setuid);
        for (mut command, wanted) in
            [(Command::new(&program), BUFFER_OF_ROOT), (ordinary(&program), BUFFER_OF_ORDINARY)]
        {
            let outcome = check(lab, &mut command);
            assert_eq!(lines(&outcome, "buffer"), vec![format!("{wanted} of {wanted} bytes"); 2], "{outcome:?}");
            assert_eq!(lines(&outcome, "verdict"), WORKS);
        }
    });
}

#[test]
fn dropped_privileges_and_the_sandbox_are_reported() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let outcome = check(lab, &mut ordinary(&program));
        let first =
            format!("xymonping {}, started by uid {ORDINARY}; nothing leaves this machine", env!("CARGO_PKG_VERSION"));
        assert_eq!(outcome.lines()[0], first);
        assert_eq!(
            lines(&outcome, "privileges"),
            ["dropped: caller's ids, no capabilities, no_new_privs, not dumpable"]
        );
        let [sandbox] = &lines(&outcome, "sandbox")[..] else { panic!("{outcome:?}") };
        let why = sandbox.strip_prefix("no file or socket can be opened: ");
        match &lines(&outcome, "seccomp")[..] {
            ["system calls that a run does not need are refused"] => assert_eq!(why, Some("Operation not permitted")),
            _ => assert_eq!(why, Some("Too many open files")),
        }
        assert!(outcome.lines().iter().all(|line| line.len() <= 100), "{}", outcome.stdout);
    });
}

#[test]
fn the_limits_of_the_caller_are_reported() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let outcome = check(lab, ordinary(&program).arg("--max-pps=unlimited"));
        assert_eq!(lines(&outcome, "limits"), ["10000 packets a second, 10 ms between probes to one target,"]);
        for text in [
            "16777216 lines, 131072 generated addresses,",
            "no broadcast targets, one probe a second to all multicast groups",
            "12500000 bytes a second",
        ] {
            assert!(outcome.stdout.contains(text), "{outcome:?}");
        }
        assert_eq!(
            outcome.stderr,
            "xymonping: the rate was lowered to 10000 packets a second (the limit for ordinary users)\n"
        );
        assert_eq!(lines(&check(lab, &mut Command::new(&program)), "limits"), ["none (the caller is root)"]);
    });
}

// No permission to ping, and how to fix that.

#[test]
fn without_privileges_each_suggested_command_helps() {
    caller::play(&["setcap"], |lab, place| {
        let without = |lab: &Lab| {
            lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
            place.install(Rights::None)
        };
        let program = without(lab);
        let path = program.display();
        let outcome = check(lab, &mut ordinary(&program));
        has_no_permission(&outcome);
        assert_eq!(lines(&outcome, "why"), ["the program file grants no privilege"]);
        assert_eq!(lines(&outcome, "fix"), [format!("chmod u+s {path}")]);
        let others = lines(&outcome, "or");
        assert_eq!(others[0], format!("setcap cap_net_raw+p {path}"));
        assert_eq!(others[1], "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"");
        for command in [&lines(&outcome, "fix"), &others].into_iter().flatten() {
            // The setuid bit and a capability must not be on one file.
            fs::remove_file(&program).expect("our file");
            without(lab);
            run_command(lab, command);
            works(&check(lab, &mut ordinary(&program)));
        }
    });
}

#[test]
fn a_program_that_root_does_not_own_is_given_to_root() {
    caller::play(&["chown"], |lab, place| {
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let program = place.install(Rights::None);
        std::os::unix::fs::chown(&program, Some(ORDINARY), Some(ORDINARY)).expect("our file");
        // Setuid, but not for root.
        fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).expect("our file");
        let outcome = check(lab, &mut ordinary(&program));
        has_no_permission(&outcome);
        run_command(lab, lines(&outcome, "fix")[0]);
        works(&check(lab, &mut ordinary(&program)));
    });
}

#[test]
fn a_nosuid_mount_is_detected_and_can_be_remounted() {
    caller::play(&["unshare", "mount", "findmnt", "setpriv"], |lab, place| {
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let program = place.install(Rights::Setuid);
        let directory = place.path("mount");
        fs::create_dir(&directory).expect("our place");
        // In a mount namespace of its own. The second run follows the command that the first
        // suggests.
        let script = format!(
            "mount -t tmpfs -o nosuid none {0} && cp -p {1} {0} && cd / || exit 77\n\
             check() {{ setpriv --reuid={ORDINARY} --regid={ORDINARY} --clear-groups {0}/xymonping --check; }}\n\
             check; echo status $?; eval \"$(check 2>/dev/null | sed -n 's/^  fix *//p')\"; check; echo status $?",
            directory.display(),
            program.display()
        );
        let outcome = lab.start(Command::new("unshare").args(["-m", "sh", "-c", &script])).finish(LIMIT);
        if outcome.code == Some(77) {
            return lab::skip("a_nosuid_mount_is_detected_and_can_be_remounted", outcome.first_stderr_line());
        }
        assert!(outcome.stderr.starts_with(NO_PERMISSION), "{outcome:?}");
        assert_eq!(
            lines(&outcome, "why"),
            ["file system mounted nosuid: the setuid bit and file capabilities have no effect"]
        );
        assert_eq!(lines(&outcome, "verdict"), [FAILS[0], WORKS[0]], "{outcome:?}");
        assert_eq!(lines(&outcome, "IPv4"), ["raw socket (setuid root)"], "{outcome:?}");
        let statuses: Vec<_> = outcome.lines().into_iter().filter(|line| line.starts_with("status")).collect();
        assert_eq!(statuses, ["status 3", "status 0"]);
    });
}

#[test]
fn no_new_privs_is_detected_and_an_ambient_capability_helps() {
    caller::play(&["setpriv"], |lab, place| {
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let program = place.install(Rights::Setuid);
        let outcome = check(lab, ordinary("setpriv").arg("--no-new-privs").arg(&program));
        has_no_permission(&outcome);
        assert_eq!(
            lines(&outcome, "why"),
            ["started with no_new_privs: the setuid bit and file capabilities have no effect"]
        );
        assert_eq!(lines(&outcome, "fix"), ["AmbientCapabilities=CAP_NET_RAW in the systemd unit"]);
        let mut setpriv = caller::with_net_raw("setpriv");
        let outcome = check(lab, setpriv.arg("--no-new-privs").arg(&program));
        works(&outcome);
        assert_eq!(lines(&outcome, "IPv4"), ["raw socket (ambient capability)"]);
    });
}

#[test]
fn a_bounding_set_without_net_raw_is_detected() {
    caller::play(&["setpriv"], |lab, place| {
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let program = place.install(Rights::Setuid);
        for user in [ORDINARY.to_string().as_str(), "0"] {
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={user}")).args(["--clear-groups", "--bounding-set=-net_raw"]).arg(&program);
            let outcome = check(lab, &mut command);
            has_no_permission(&outcome);
            assert!(lines(&outcome, "why")[0].starts_with("CAP_NET_RAW is not in the bounding set"), "{outcome:?}");
            assert!(lines(&outcome, "fix")[0].starts_with("docker run --cap-add=NET_RAW"), "{outcome:?}");
        }
    });
}

#[test]
fn a_user_namespace_that_does_not_own_the_network_is_detected() {
    caller::play(&["unshare"], |lab, place| {
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let program = place.install(Rights::Setuid);
        let inside = |args: &[&str]| check(lab, Command::new("unshare").args(args).arg(&program));
        if lab.start(Command::new("unshare").args(["-Ur", "true"])).finish(LIMIT).code != Some(0) {
            return lab::skip("a_user_namespace_that_does_not_own_the_network_is_detected", "no user namespaces");
        }
        let outcome = inside(&["-Ur"]);
        has_no_permission(&outcome);
        assert!(
            lines(&outcome, "why")[0].starts_with("CAP_NET_RAW has no effect here: a user namespace"),
            "{outcome:?}"
        );
        assert_eq!(lines(&inside(&["-Urn"]), "IPv4"), ["raw socket (root)"]);
    });
}

#[test]
fn a_path_with_special_characters_is_in_no_command() {
    caller::play(&[], |lab, place| {
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let program = place.install(Rights::None);
        for name in ["a;b", "a b", "$(id)", "\u{1b}[31m", "a\nb", "ä"] {
            let strange = place.path(name);
            fs::rename(&program, &strange).expect("our place");
            let outcome = check(lab, &mut ordinary(&strange));
            has_no_permission(&outcome);
            assert_eq!(lines(&outcome, "fix"), ["chmod u+s THIS-PROGRAM"], "{name:?}");
            assert!(!outcome.stdout.contains(name), "{outcome:?}");
            fs::rename(&strange, &program).expect("our place");
        }
    });
}

#[test]
fn a_failed_check_has_the_message_of_a_failed_run() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        for args in [
            &["--bogus"][..],
            &["--retries=x"],
            &["--max-pps=0"],
            &["--size=65508", "--ipv4"],
            &["--ipv4", "--ipv6"],
            &["--source=203.0.113.9"],
            &["--source=192.0.2.255"],
            &["--source=224.0.0.1"],
            &["--interface=lab7"],
        ] {
            let run = lab.start(ordinary(&program).args(args).arg("10.0.0.1")).finish(LIMIT);
            let outcome = check(lab, ordinary(&program).args(args).arg("10.0.0.1"));
            assert_eq!((run.code, outcome.code), (Some(3), Some(3)), "{args:?}");
            assert_eq!((outcome.stderr.as_str(), outcome.signal), (run.stderr.as_str(), None), "{args:?}");
            assert!(outcome.stdout.is_empty() || lines(&outcome, "verdict") == FAILS, "{outcome:?}");
        }
        assert!(lab.seen().is_empty(), "{:?}", lab.seen());
        // A valid source is bound as in a run.
        works(&check(lab, ordinary(&program).args(["--source=192.0.2.2", "--interface=lab0", "--ttl=9"])));
    });
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
        let mut command = ordinary(&program);
        let running = lab.start_as_is(command.arg("--check").stdout(full).stderr(Stdio::piped()));
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(outcome.first_stderr_line().starts_with("xymonping: writing results: No space left"), "{outcome:?}");
    });
}

// What it does not do.

/// How many Echo Requests the program's machine has sent, loopback included.
fn requests_sent(lab: &Lab) -> u64 {
    let read = |path: &str| lab.inside(|| fs::read_to_string(path).unwrap_or_default());
    // A line of names, and a line of numbers.
    let v4 = read("/proc/thread-self/net/snmp");
    let rows: Vec<Vec<&str>> =
        v4.lines().filter_map(|line| Some(line.strip_prefix("Icmp: ")?.split(' ').collect())).collect();
    let place = rows[0].iter().position(|name| *name == "OutEchos").expect("the kernel counts them");
    let v6 = read("/proc/thread-self/net/snmp6");
    let of_v6 = v6.lines().find_map(|line| line.strip_prefix("Icmp6OutEchos")).map_or(0, number);
    number(rows[1][place]) + of_v6
}

fn number(text: &str) -> u64 {
    text.trim().parse().expect("a number")
}

#[test]
fn only_this_machine_is_pinged() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let hosts = ["127.0.0.1", "10.0.0.1", "fd00::1", "::1"];
        let before = requests_sent(lab);
        works(&check(lab, ordinary(&program).args(hosts)));
        works(&check(lab, &mut ordinary(&program)));
        // One ping over each family, whatever the targets are.
        assert_eq!((requests_sent(lab) - before, lab.seen().len()), (4, 0));
        // With --interface the ping would leave this machine.
        works(&check(lab, ordinary(&program).arg("--interface=lab0")));
        assert_eq!((requests_sent(lab) - before, lab.seen().len()), (4, 0));
        // A run is counted.
        let outcome = lab.start(ordinary(&program).args(hosts)).finish(LIMIT);
        assert_eq!(outcome.lines().len(), hosts.len());
        assert_eq!((requests_sent(lab) - before, lab.seen().len()), (4 + hosts.len() as u64, 2));
    });
}

#[test]
fn no_list_is_read() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let missing = format!("--file={}", place.path("missing").display());
        let log = place.directory("logs").join("log");
        let debug = format!("--debug={}", log.display());
        const LIST: &[u8] = b"10.0.0.1\n10.0.0.2\n";
        // Whatever the result, stdin is not read, even if it does not end.
        for (mode, args, code) in [
            (0o4755, &[][..], 0),
            (0o4755, &["--file=-"], 0),
            (0o4755, &[missing.as_str(), debug.as_str()], 0),
            (0o4755, &["not-an-address"], 0),
            (0o4755, &["--bogus"], 3),
            (0o4755, &["--interface=lab7"], 3),
            (0o755, &[], 3),
        ] {
            let (mut reader, writer) =
                pipe2(OFlag::O_CLOEXEC).map(|(r, w)| (File::from(r), File::from(w))).expect("a pipe");
            (&writer).write_all(LIST).expect("a pipe holds a list");
            let stdin = reader.try_clone().expect("a descriptor");
            fs::set_permissions(&program, PermissionsExt::from_mode(mode)).expect("our file");
            let mut command = ordinary(&program);
            command.arg("--check").args(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
            let outcome = lab.start_as_is(&mut command).finish(LIMIT);
            assert_eq!(outcome.code, Some(code), "{args:?}: {outcome:?}");
            drop(writer);
            let mut unread = Vec::new();
            reader.read_to_end(&mut unread).expect("a pipe");
            assert_eq!(unread, LIST, "{args:?}");
        }
        assert!(lab.seen().is_empty() && !log.exists());
    });
}
