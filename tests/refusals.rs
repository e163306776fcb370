//! What a kernel lacks, or a filter of the caller's forbids, and how a run goes on all the same or ends.
//!
//! gVisor and WSL 1 have neither all packet filters nor time stamps of receipt; seccomp profiles and security modules
//! forbid whatever they like. Here seccomp plays all of them.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]

mod lab;

use std::thread;
use std::time::Instant;

use lab::seccomp::{Call, forbid};
use lab::{LIMIT, ms};
use nix::libc;
use nix::sys::signal::Signal;

const fn setsockopt(level: &'static [(u8, i32); 2]) -> Call<'static> {
    (libc::SYS_setsockopt, level)
}

const TIMESTAMPS: Call = setsockopt(&[(1, libc::SOL_SOCKET), (2, libc::SO_TIMESTAMPNS)]);
#[test]
fn time_stamps_are_on_before_the_list_is_read() {
    lab::play(|lab| {
        // Where asking for them kills, that happens although the list never ends.
        let mut running = lab.start_under(|| forbid(TIMESTAMPS), &mut lab.command());
        let end = Instant::now() + LIMIT;
        while running.is_running() {
            assert!(Instant::now() < end, "it waits for a list, without having asked for time stamps");
            thread::sleep(ms(1));
        }
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.signal, Some(Signal::SIGSYS as i32), "{outcome:?}");
    });
}
