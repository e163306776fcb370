//! Every signal, sent by the ordinary user who started the program, and a terminal that is closed.

use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use nix::pty::openpty;
use nix::sys::signal::{SigSet, Signal};

use crate::lab::caller::{self, Rights, ordinary};
use crate::lab::{Behaviour, LIMIT, Running, skip};
use crate::{ALIVE, SILENT, is_alive, run};

/// All numbers but SIGKILL and SIGSTOP, which cannot be caught, and 32 to 34, which are the C
/// library's.
fn numbers() -> impl Iterator<Item = i32> {
    (1..=64).filter(|number| ![9, 19, 32, 33, 34].contains(number))
}

#[test]
fn no_signal_of_the_caller_kills_the_program() {
    caller::play(&["sh"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.host(SILENT, Behaviour::silent());
        for number in numbers() {
            lab.forget();
            let mut running = lab.start(ordinary(&program).args([ALIVE, SILENT, "--timeout=100", "--max-pps=1000"]));
            running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
            // Some stop it, are ignored or print the status, so it is continued and terminated
            // afterwards. Others end it before that.
            let pid = running.pid();
            let script = format!("kill -{number} {pid} && {{ kill -CONT {pid}; kill -TERM {pid}; true; }} 2>&-");
            let sent = ordinary("sh").args(["-c", &script]).status().expect("sh was found");
            assert!(sent.success(), "signal {number} cannot be sent");
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.signal), (Some(4), None), "signal {number}: {outcome:?}");
            assert_eq!((outcome.lines().len(), outcome.is_alive(ALIVE)), (1, true), "signal {number}: {outcome:?}");
        }
    });
}

#[test]
fn signals_may_be_blocked_or_ignored_at_the_start() {
    caller::play(&["sh"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.host(SILENT, Behaviour::silent());
        let ignored: String = numbers().map(|number| format!(" {number}")).collect();
        let script = format!("trap ''{ignored}; exec \"$0\" \"$@\"");
        let mut command = ordinary("sh");
        command.args(["-c", &script]).arg(&program);
        is_alive(&run(lab, command.arg(ALIVE), ""), "ignored");
        // An ignored signal stays ignored; a blocked one is read like any other.
        let mut blocked = ordinary(&program);
        blocked.args([ALIVE, SILENT, "--timeout=100", "--max-pps=1000"]);
        lab.forget();
        let mut running = lab.inside(|| {
            SigSet::all().thread_block().expect("our own thread");
            Running::start(&mut blocked).expect("the program")
        });
        running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
        running.signal(Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.is_alive(ALIVE)), (Some(4), true), "{outcome:?}");
    });
}

/// The session gets SIGHUP, and reads and writes fail from then on.
#[test]
fn closing_the_terminal_ends_the_run() {
    caller::play(&["setsid"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.host(SILENT, Behaviour::silent());
        for (args, controlling) in [
            (&[SILENT, "--timeout=100"][..], true),
            (&[], true),
            (&[ALIVE, SILENT, "--timeout=1", "--retries=1"], false),
        ] {
            lab.forget();
            let Ok(pty) = openpty(None, None) else {
                return skip("closing_the_terminal_ends_the_run", "no pseudo-terminal can be opened");
            };
            let mut command = if controlling { ordinary("setsid") } else { ordinary(&program) };
            if controlling {
                command.arg("--ctty").arg(&program);
            }
            let copies = [(); 2].map(|()| pty.slave.try_clone().expect("a descriptor"));
            let [input, output] = copies.map(Stdio::from);
            let mut running = lab.start_as_is(command.args(args).stdin(input).stdout(output).stderr(Stdio::piped()));
            drop((command, pty.slave));
            match args {
                [] => {
                    let mut keyboard = File::from(pty.master);
                    running.wait_until(LIMIT, "gives no hint", |running| running.stderr_so_far().ends_with('\n'));
                    keyboard.write_all(b"10.0.0.1\n10.0").expect("the program reads");
                }
                _ => {
                    running.wait_until(LIMIT, "has not probed", |_| !lab.seen_of(SILENT).is_empty());
                    drop(pty.master);
                }
            }
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.signal), (Some(4), None), "{args:?}: {outcome:?}");
        }
    });
}
