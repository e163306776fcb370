//! `--resolve` and `--names`: names are looked up in bounded time by a child that has no privilege,
//! and a name without an address is named and stops nobody.
//!
//! Each scene has an /etc/hosts of its own, by a mount namespace, and a name server on the loopback
//! address of its network namespace. No query leaves that.

mod lab;

use std::fs;
use std::io;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use lab::caller::{self, ORDINARY, Rights};
use lab::{Finished, LIMIT, Lab, Running, ms, program};
use nix::sys::signal::Signal;

const HOSTS: &str = "\
127.0.0.1 localhost
10.0.0.1 web01 web01.example
10.0.0.2 both
fd00::2 both
10.0.0.1 twin
10.0.0.7 silent
";

/// The files of a scene, in a directory that is removed at the end.
struct Etc(PathBuf);

impl Etc {
    fn new(test: &str) -> Etc {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("names-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory for the test");
        for (name, text) in
            [("hosts", HOSTS), ("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n")]
        {
            fs::write(path.join(name), text).expect("a file for the test");
        }
        Etc(path)
    }

    /// A command that runs `program` with these files in /etc, after `prepare` in a shell.
    fn command(&self, prepare: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let script = format!(
            "set -e; dir=$1; shift\n\
             for file in hosts resolv.conf nsswitch.conf; do\n\
             [ ! -e /etc/$file ] || mount --bind \"$dir/$file\" /etc/$file; done\n\
             {prepare} \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script, "sh"]).arg(&self.0).arg(program);
        command
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the program with these options.
fn run(lab: &Lab, etc: &Etc, args: &[&str], list: &str) -> Finished {
    let running = lab.start(etc.command("exec", program()).args(["--max-pps=1000", "--timeout=500ms"]).args(args));
    running.feed(list);
    running.finish(LIMIT)
}

/// The lines without RTTs.
fn lines(outcome: &Finished) -> Vec<String> {
    outcome.lines().iter().map(|line| line.rsplit_once(" (").map_or(*line, |(line, _)| line).to_owned()).collect()
}

// The name server.

const A: u16 = 1;
const PTR: u16 = 12;
const AAAA: u16 = 28;

/// What the server does with a question.
enum Reply {
    Data(Vec<u8>),
    /// The name has no such data.
    Empty,
    /// There is no such name.
    Unknown,
    None,
}

/// A name server that runs until it is dropped.
struct Server {
    stop: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it on the loopback address of the lab. `reply` gets the name and the type asked for,
    /// and all names asked for so far.
    fn start(lab: &Lab, mut reply: impl FnMut(&str, u16, &[String]) -> Reply + Send + 'static) -> Server {
        let socket = lab.inside(|| UdpSocket::bind("127.0.0.1:53")).expect("no other server is there");
        socket.set_read_timeout(Some(ms(20))).expect("a time-out");
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, seen) = (Arc::clone(&stop), Arc::clone(&asked));
        let thread = thread::spawn(move || {
            let mut waiting = Vec::new();
            let mut message = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((length, from)) = socket.recv_from(&mut message) {
                    let (name, kind) = question(&message[..length]);
                    let mut seen = seen.lock().expect("nobody panics with it");
                    if !seen.contains(&name) {
                        seen.push(name.clone());
                    }
                    waiting.push((message[..length].to_vec(), name, kind, from));
                }
                let seen = seen.lock().expect("nobody panics with it").clone();
                // What has no reply may have one later.
                waiting.retain(|(query, name, kind, from)| match reply(name, *kind, &seen) {
                    Reply::None => true,
                    reply => {
                        let _ = socket.send_to(&response(query, *kind, &reply), from);
                        false
                    }
                });
            }
        });
        Server { stop, asked, thread: Some(thread) }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The name and type of a query.
fn question(query: &[u8]) -> (String, u16) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([query[at + 1], query[at + 2]]))
}

fn response(query: &[u8], kind: u16, reply: &Reply) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|&byte| byte == 0).expect("a name ends") + 5;
    let mut message = query[..end].to_vec();
    let (code, answers) = match reply {
        Reply::Data(_) => (0x80, 1),
        Reply::Empty => (0x80, 0),
        _ => (0x83, 0),
    };
    message[2..12].copy_from_slice(&[0x81, code, 0, 1, 0, answers, 0, 0, 0, 0]);
    if let Reply::Data(data) = reply {
        message.extend([0xc0, 12, 0, kind as u8, 0, 1, 0, 0, 0, 60, 0, data.len() as u8]);
        message.extend(data);
    }
    message
}

/// A name as DNS data.
fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// The zone of most scenes.
fn zone(asked: &str, kind: u16) -> Reply {
    match (asked, kind) {
        ("dns4.example" | "only4.example", A) => Reply::Data(vec![10, 0, 0, 4]),
        ("dns4.example", AAAA) => {
            Reply::Data([[0xfd, 0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0], [0, 4]].concat())
        }
        ("loop.example", A) => Reply::Data(vec![0, 0, 0, 0]),
        ("only4.example" | "loop.example", _) => Reply::Empty,
        ("9.0.0.10.in-addr.arpa", PTR) => Reply::Data(name("gw.example")),
        ("10.0.0.10.in-addr.arpa", PTR) => Reply::Data(name("\x1b[2J.example")),
        _ => Reply::Unknown,
    }
}

// Names to addresses.

#[test]
fn names_are_targets_in_the_order_of_the_list() {
    lab::play(|lab| {
        let (etc, server) = (Etc::new("order"), Server::start(lab, |name, kind, _| zone(name, kind)));
        let list = "10.0.0.3\nweb01 the label\nonly4.example\n  twin\r\n10.0.0.1\n# web01\nweb01.example\n";
        let outcome = run(lab, &etc, &["--resolve"], list);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        let expected = [
            "10.0.0.3 is alive",
            "web01 (10.0.0.1) is alive",
            "only4.example (10.0.0.4) is alive",
            "twin (10.0.0.1) is alive",
            "10.0.0.1 is alive",
            "web01.example (10.0.0.1) is alive",
        ];
        assert_eq!(lines(&outcome), expected);
        assert_eq!(lab.seen().len(), 3, "equal addresses are one target");
        assert!(server.asked().contains(&"only4.example".to_owned()));
        let outcome = run(lab, &etc, &["--resolve", "web01", "10.0.0.3"], "");
        assert_eq!(lines(&outcome), ["web01 (10.0.0.1) is alive", "10.0.0.3 is alive"]);
    });
}

#[test]
fn the_family_and_the_number_of_addresses_can_be_chosen() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return lab::skip("the_family_and_the_number_of_addresses_can_be_chosen", "no IPv6");
        }
        let (etc, _server) = (Etc::new("family"), Server::start(lab, |name, kind, _| zone(name, kind)));
        for (args, expected) in [
            (&["--prefer=ipv4"][..], &["both (10.0.0.2)", "dns4.example (10.0.0.4)", "only4.example (10.0.0.4)"][..]),
            (&["--prefer=ipv6"], &["both (fd00::2)", "dns4.example (fd00::4)", "only4.example (10.0.0.4)"]),
            (&["-4"], &["both (10.0.0.2)", "dns4.example (10.0.0.4)", "only4.example (10.0.0.4)"]),
            (&["-6"], &["both (fd00::2)", "dns4.example (fd00::4)"]),
            (
                &["--all-addresses", "--prefer=ipv6"],
                &[
                    "both (fd00::2)",
                    "both (10.0.0.2)",
                    "dns4.example (fd00::4)",
                    "dns4.example (10.0.0.4)",
                    "only4.example (10.0.0.4)",
                ],
            ),
        ] {
            let outcome = run(lab, &etc, &[args, &["--resolve"]].concat(), "both\ndns4.example\nonly4.example\n");
            let expected: Vec<_> = expected.iter().map(|host| format!("{host} is alive")).collect();
            assert_eq!(lines(&outcome), expected, "{args:?}: {outcome:?}");
        }
        let outcome = run(lab, &etc, &["-6", "--resolve", "only4.example"], "");
        let words = "xymonping: argument \"only4.example\": unresolved: the name has no IPv6 address (no line of output for it)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), words));
    });
}

#[test]
fn a_name_without_an_address_is_named_and_stops_nobody() {
    lab::play(|lab| {
        let (etc, _server) = (Etc::new("unresolved"), Server::start(lab, |name, kind, _| zone(name, kind)));
        lab.host("10.0.0.7", lab::Behaviour::silent());
        let list = "web01\nnosuch.example\nsilent\nloop.example\n127.1\n0x7f.0x1\nweb:01\n";
        let outcome = run(lab, &etc, &["--resolve", "--retries=0"], list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.lines()[1..], ["silent (10.0.0.7) is unreachable"], "unresolved is not unreachable");
        let remarks = [
            "line 5: \"127.1\": neither an IP address nor a host name (no line of output for it)",
            "line 6: \"0x7f.0x1\": neither an IP address nor a host name (no line of output for it)",
            "line 7: \"web:01\": neither an IP address nor a host name (no line of output for it)",
            "line 2: \"nosuch.example\": unresolved: the name has no address (no line of output for it)",
            "line 4: \"loop.example\": the unspecified address (no line of output for it)",
        ];
        let remarks = remarks.map(|remark| format!("xymonping: {remark}"));
        assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), remarks);
        let outcome = run(lab, &etc, &["--resolve", "--retries=0", "--json"], list);
        let records = outcome.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let records: Vec<_> = records.filter(|record| record["type"] == "target").collect();
        let states: Vec<_> =
            records.iter().map(|record| [&record["target"], &record["state"], &record["reason"]]).collect();
        assert_eq!(states[1], ["nosuch.example", "unresolved", "resolve-error"], "{outcome:?}");
        assert!(records[1]["family"].is_null() && records[1]["line"] == 2, "{outcome:?}");
        let outcome = run(lab, &etc, &["--resolve", "--exit-status", "nosuch.example", "web01"], "");
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert_eq!(lines(&outcome), ["web01 (10.0.0.1) is alive"]);
        // Without the option nothing is looked up.
        let outcome = run(lab, &etc, &["web01"], "");
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let outcome = run(lab, &etc, &["--names"], "web01\n10.0.0.3\n");
        assert_eq!(lines(&outcome), ["10.0.0.3 is alive"]);
    });
}

#[test]
fn names_are_looked_up_at_the_same_time() {
    lab::play(|lab| {
        const NAMES: usize = 24;
        let etc = Etc::new("parallel");
        // No name has an answer before all have been asked for.
        let server = Server::start(lab, |_, kind, asked| match kind {
            _ if asked.len() < NAMES => Reply::None,
            A => Reply::Data(vec![10, 0, 0, 5]),
            _ => Reply::Empty,
        });
        let list: String = (0..NAMES).map(|number| format!("host{number}.example\n")).collect();
        let outcome = run(lab, &etc, &["--resolve"], &list);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), NAMES), "{outcome:?}");
        assert_eq!(server.asked().len(), NAMES);
    });
}

#[test]
fn a_server_that_says_nothing_takes_half_of_the_deadline_and_no_more() {
    lab::play(|lab| {
        let (etc, _server) = (Etc::new("late"), Server::start(lab, |_, _, _| Reply::None));
        let outcome = run(lab, &etc, &["--resolve", "--names", "--deadline=6"], "a.example\n10.0.0.3\nb.example\n");
        assert_eq!(outcome.code, Some(4), "it may be this machine's fault: {outcome:?}");
        assert_eq!(lines(&outcome), ["10.0.0.3 is alive"], "the others are probed all the same");
        let mut stderr = outcome.stderr.lines();
        let first = "xymonping: looking up names: no answer from the resolver in time (no line for 2 names; see: getent hosts a.example)";
        assert_eq!(stderr.next(), Some(first));
        let remark =
            "line 1: \"a.example\": unresolved: no answer from the resolver in time (no line of output for it)";
        assert_eq!(stderr.next(), Some(&*format!("xymonping: {remark}")));
        // One name that is found shows that the resolver works.
        let outcome = run(lab, &etc, &["--resolve", "--deadline=6"], "a.example\nweb01\n");
        assert_eq!((outcome.code, lines(&outcome)), (Some(0), vec!["web01 (10.0.0.1) is alive".to_owned()]));
    });
}

#[test]
fn without_a_server_this_machine_has_failed() {
    lab::play(|lab| {
        let etc = Etc::new("none");
        let outcome = run(lab, &etc, &["--resolve"], "10.0.0.3\nnosuch.example\n");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert_eq!(lines(&outcome), ["10.0.0.3 is alive"]);
        let words = "xymonping: looking up names: temporary failure in name resolution (no line for 1 name;";
        assert!(outcome.stderr.starts_with(words), "{outcome:?}");
    });
}

// Addresses to names.

#[test]
fn addresses_have_their_names_in_front() {
    lab::play(|lab| {
        let (etc, _server) = (Etc::new("reverse"), Server::start(lab, |name, kind, _| zone(name, kind)));
        let list = "10.0.0.1\n10.0.0.9\n10.0.0.8\n10.0.0.10\nfd00::2\n10.0.0.9\n";
        let outcome = run(lab, &etc, &["--names"], list);
        let mut expected = vec!["web01 (10.0.0.1)", "gw.example (10.0.0.9)", "10.0.0.8", "10.0.0.10"];
        expected.push(if lab.has_ipv6() { "both (fd00::2)" } else { "fd00::2" });
        expected.push("gw.example (10.0.0.9)");
        let expected: Vec<_> = expected.iter().map(|host| format!("{host} is alive")).collect();
        assert_eq!((outcome.code, lines(&outcome)), (Some(0), expected), "{outcome:?}");
        // A name of the list stays as it is.
        let outcome = run(lab, &etc, &["--resolve", "--names", "twin", "10.0.0.1"], "");
        assert_eq!(lines(&outcome), ["twin (10.0.0.1) is alive", "web01 (10.0.0.1) is alive"]);
        let outcome = run(lab, &etc, &["--names", "--generate=10.0.0.8/31"], "");
        assert_eq!(lines(&outcome), ["10.0.0.8 is alive", "gw.example (10.0.0.9) is alive"]);
    });
}

#[test]
fn names_are_labels_in_lines_with_statistics() {
    lab::play(|lab| {
        let etc = Etc::new("statistics");
        let outcome = run(lab, &etc, &["--resolve", "--names", "--count=1"], "twin\n10.0.0.1\n10.0.0.7 the label\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        for start in ["64 bytes from twin (10.0.0.1): ", "64 bytes from the label (10.0.0.7): "] {
            assert_eq!(outcome.lines().iter().filter(|line| line.starts_with(start)).count(), 1, "{outcome:?}");
        }
        for row in [["10.0.0.1", "twin"], ["10.0.0.1", "web01"]] {
            let is_row = |line: &&&str| line.split_whitespace().take(2).eq(row);
            assert_eq!(outcome.lines().iter().filter(is_row).count(), 1, "{row:?}: {outcome:?}");
        }
    });
}

// The child.

/// The child of a process, once it has one.
fn child_of(running: &mut Running) -> u32 {
    let parent = running.pid();
    let find = || {
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
        let child: u32 = children.split_whitespace().next()?.parse().ok()?;
        // It has the name only after it was started.
        let name = fs::read(format!("/proc/{child}/cmdline")).ok()?;
        name.starts_with(b"xymonping-names\0").then_some(child)
    };
    running.wait_until(LIMIT, "has no child", |_| find().is_some());
    find().expect("it waits for the server")
}

#[test]
fn the_child_of_a_setuid_program_has_no_privileges_and_no_environment() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::Setuid);
        let etc = Etc::new("setuid");
        let server =
            Server::start(lab, |name, kind, _| if name == "slow.example" { Reply::None } else { zone(name, kind) });
        let user = format!("exec setpriv --reuid={ORDINARY} --regid={ORDINARY} --clear-groups");
        let outcome = {
            let mut command = etc.command(&user, &program);
            lab.start(command.args(["--resolve", "--names", "--max-pps=1000", "web01", "only4.example", "10.0.0.9"]))
        }
        .finish(LIMIT);
        let expected =
            ["web01 (10.0.0.1) is alive", "only4.example (10.0.0.4) is alive", "gw.example (10.0.0.9) is alive"];
        assert_eq!((outcome.code, lines(&outcome)), (Some(0), expected.map(str::to_owned).to_vec()), "{outcome:?}");

        let mut running = lab.start(etc.command(&user, &program).args(["--resolve", "slow.example"]));
        let child = child_of(&mut running);
        // It has read its queries, and so given up what it had.
        running.wait_until(LIMIT, "asks no server", |_| server.asked().contains(&"slow.example".to_owned()));
        let status = fs::read_to_string(format!("/proc/{child}/status")).expect("it runs");
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let ids = [ORDINARY; 4].map(|id| id.to_string()).join(" ");
        assert_eq!((field("Uid"), field("Gid")), (ids.clone(), ids));
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&field(set), 16), Ok(0), "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(fs::read(format!("/proc/{child}/environ")).expect("it runs"), b"");
        for entry in fs::read_dir(format!("/proc/{child}/fd")).expect("it runs") {
            let entry = entry.expect("it runs");
            let target = fs::read_link(entry.path()).expect("it runs");
            let target = target.to_string_lossy();
            match entry.file_name().to_str() {
                Some("0" | "1") => assert!(target.starts_with("pipe:"), "{target}"),
                Some("2") => assert_eq!(target, "/dev/null"),
                // Those to the name server. None of the parent's: they are raw, so in no such
                // table.
                _ => assert!(target.starts_with("socket:"), "{target}"),
            }
        }
        assert!(fs::read_to_string(format!("/proc/{child}/net/raw")).expect("it runs").lines().count() >= 1);

        running.signal(Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        let words = "xymonping: looking up names: stopped by SIGTERM (nothing was probed)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(4), words));
        let is_gone = || match fs::read_to_string(format!("/proc/{child}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(error) => error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3),
        };
        let deadline = std::time::Instant::now() + LIMIT;
        while !is_gone() {
            assert!(std::time::Instant::now() < deadline, "the child still runs");
            thread::sleep(ms(1));
        }
    });
}

#[test]
fn whoever_starts_the_child_has_his_own_rights_in_it() {
    caller::play(&["setpriv"], |lab, place| {
        use std::os::unix::process::CommandExt;
        let program = place.install(Rights::Setuid);
        let server = Server::start(lab, |_, _, _| Reply::None);
        let mut command = caller::ordinary(&program);
        let mut running = lab.start(command.arg0("xymonping-names"));
        running.feed("garbage\n");
        let outcome = {
            running.close_stdin();
            running.finish(LIMIT)
        };
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""));
        assert!(server.asked().is_empty());
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn without_proc_names_are_refused_and_addresses_are_not() {
    lab::play(|lab| {
        let etc = Etc::new("proc");
        let hidden = |args: &[&str]| {
            let mut command = etc.command("mount -t tmpfs none /proc; exec", program());
            lab.start(command.args(args)).finish(LIMIT)
        };
        for args in [&["--resolve", "web01"][..], &["--names", "10.0.0.1"]] {
            let outcome = hidden(args);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
            let words = "xymonping: looking up names: No such file or directory (it takes /proc, ";
            assert!(outcome.stderr.starts_with(words), "{outcome:?}");
        }
        assert!(lab.seen().is_empty());
        let outcome = hidden(&["10.0.0.1"]);
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
    });
}

// The command line.

#[test]
fn the_choice_among_addresses_needs_names() {
    lab::play(|lab| {
        for (args, words) in [
            (&["--prefer=ipv4", "10.0.0.1"][..], "--prefer: needs --resolve (add it, or leave this out)"),
            (&["--all-addresses", "10.0.0.1"], "--all-addresses: needs --resolve (add it, or leave this out)"),
            (&["--resolve", "--prefer=v4", "web01"], "--prefer: bad value \"v4\" (give ipv4 or ipv6)"),
            (&["--resolve", "127.1"], "argument \"127.1\": neither an IP address nor a host name"),
            (&["--resolve", "", "web01"], "argument \"\": empty"),
        ] {
            let outcome = lab.run(args, "");
            let words = format!("xymonping: {words}\n");
            assert_eq!((outcome.code, outcome.stderr), (Some(3), words), "{args:?}");
        }
    });
}
