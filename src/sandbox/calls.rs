//! The system calls that a run still needs once it probes, and the filter that refuses all others.
//!
//! A refused call ends with EPERM and kills nobody: xymonnet would take a death for a success. glibc and musl make
//! different calls for the same work; both are here. The filter is put together by hand and not by seccompiler's own
//! compiler, which makes a list: as it takes a filter, the kernel runs it once for every call that there is, and every
//! start pays for that. So this one is a tree, in which each call is found in a few steps.

use std::io;
use std::mem::offset_of;

use nix::libc::{self, c_int, c_long, seccomp_data};
use seccompiler::{Error, apply_filter, sock_filter};

use crate::sandbox::Seccomp;

/// What an argument, counted from 0, has to be like for a call to be allowed.
enum Only {
    /// Whatever it is.
    Any,
    /// This value.
    With(usize, c_int),
    /// None of these bits.
    Without(usize, c_int),
}
use Only::{Any, With, Without};

const ALLOWED: &[(c_long, Only)] = &[
    // Probing.
    (libc::SYS_sendmmsg, Any),
    (libc::SYS_sendmsg, Any),                          // musl's sendmmsg is a loop of these
    (libc::SYS_setsockopt, With(2, libc::IP_RECVERR)), // whether there is room for what is sent
    (libc::SYS_recvmmsg, Any),
    (libc::SYS_getsockopt, Any),    // the drop counter
    (libc::SYS_read, Any),          // signals
    (libc::SYS_ppoll, Any),         // and poll, where the kernel has no other
    (libc::SYS_clock_gettime, Any), // where the vDSO cannot tell the time
    (libc::SYS_sendto, Any),        // whether there is a route
    // Reporting.
    (libc::SYS_write, Any), // to what is open, since nothing else can be
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, Any),
    (libc::SYS_restart_syscall, Any), // what poll becomes when the process is stopped and goes on
    (libc::SYS_fcntl, With(1, libc::F_GETFL)), // whether a descriptor may be written to
    (libc::SYS_timer_gettime, Any),   // whether the deadline is over
    // Memory, none of it for code.
    (libc::SYS_brk, Any), // glibc would take the refusal for an address
    (libc::SYS_mmap, Without(2, libc::PROT_EXEC)),
    (libc::SYS_mprotect, Without(2, libc::PROT_EXEC)), // musl's malloc
    (libc::SYS_munmap, Any),
    // Ending: in order, by a panic, or by a fault.
    (libc::SYS_close, Any),
    (libc::SYS_timer_delete, Any),
    (libc::SYS_sigaltstack, Any), // std gives back its own as main ends
    (libc::SYS_futex, With(1, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG)), // glibc's pthread_once, when a panic unwinds
    (libc::SYS_rt_sigaction, Any), // std's handler of faults removes itself, and would be called for ever if it could not
    (libc::SYS_rt_sigreturn, Any), // and returns
    (libc::SYS_exit_group, Any),
];

/// What the kernel calls this architecture (linux/audit.h); libc does not have it. Another's calls have other numbers.
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(target_arch = "riscv64")]
const ARCHITECTURE: u32 = 0xc000_00f3;

/// Opcodes of linux/bpf_common.h, as far as they are used. A jump skips `jt` instructions if what it asks is so, and `jf`
/// if not.
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ) as u16;
const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE) as u16;
const JUMP_IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET) as u16;
const RETURN: u16 = libc::BPF_RET as u16;

const ALLOW: sock_filter = instruction(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
const REFUSE: sock_filter = instruction(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);

/// From here on, the calls that are not in the table are refused.
pub(super) fn refuse_others() -> Seccomp {
    match apply_filter(&program()) {
        Ok(()) => Seccomp::On,
        Err(Error::Prctl(why) | Error::Seccomp(why)) => Seccomp::Refused(why),
        Err(other) => Seccomp::Refused(io::Error::other(other)),
    }
}

fn program() -> Vec<sock_filter> {
    let mut program = Vec::with_capacity(8 * ALLOWED.len());
    program.extend([
        load(offset_of!(seccomp_data, arch)),
        instruction(JUMP_IF_EQUAL, 1, 0, ARCHITECTURE),
        REFUSE,
        load(offset_of!(seccomp_data, nr)),
    ]);
    let mut calls: Vec<_> = ALLOWED.iter().collect();
    calls.sort_unstable_by_key(|(number, _)| *number);
    decide(&calls, &mut program);
    program
}

/// Adds the verdicts on these calls, which are in the order of their numbers: by halves, down to a single one.
fn decide(calls: &[&(c_long, Only)], program: &mut Vec<sock_filter>) {
    let (number, only) = match calls {
        [] => return program.push(REFUSE),
        [call] => call,
        _ => {
            let (lower, upper) = calls.split_at(calls.len() / 2);
            let fork = program.len();
            program.push(REFUSE); // The place of the jump, which is known only when the lower half is there.
            decide(lower, program);
            let over_it = program.len() - fork - 1;
            program[fork] = instruction(JUMP_IF_AT_LEAST, over_it as u8, 0, upper[0].0 as u32);
            return decide(upper, program);
        }
    };
    let is_it = |or_skip| instruction(JUMP_IF_EQUAL, 0, or_skip, *number as u32);
    let (check, place) = match *only {
        Any => return program.extend([is_it(1), ALLOW, REFUSE]),
        With(place, value) => (instruction(JUMP_IF_EQUAL, 0, 1, value as u32), place),
        Without(place, bits) => (instruction(JUMP_IF_ANY_BIT, 1, 0, bits as u32), place),
    };
    program.extend([is_it(3), load(argument(place)), check, ALLOW, REFUSE]);
}

/// Where the lower half of an argument stands; its upper half means nothing to those that are looked at.
const fn argument(place: usize) -> usize {
    offset_of!(seccomp_data, args) + place * size_of::<u64>()
}

fn load(offset: usize) -> sock_filter {
    instruction(LOAD_WORD, 0, 0, offset as u32)
}

const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would make of a call: it goes through the program as linux/seccomp.h says.
    fn verdict(architecture: u32, number: u32, arguments: [c_int; 6]) -> u32 {
        let program = program();
        let (mut word, mut place) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[place];
            place += 1;
            match code {
                LOAD_WORD if k == 0 => word = number,
                LOAD_WORD if k == 4 => word = architecture,
                LOAD_WORD => word = arguments[(k as usize - 16) / 8] as u32,
                JUMP_IF_EQUAL => place += usize::from(if word == k { jt } else { jf }),
                JUMP_IF_AT_LEAST => place += usize::from(if word >= k { jt } else { jf }),
                JUMP_IF_ANY_BIT => place += usize::from(if word & k != 0 { jt } else { jf }),
                _ => return k,
            }
        }
    }

    fn is_allowed(number: c_long, arguments: [c_int; 6]) -> bool {
        match verdict(ARCHITECTURE, number as u32, arguments) {
            libc::SECCOMP_RET_ALLOW => true,
            refused => {
                assert_eq!(refused, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
                false
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        for number in 0..2048 {
            let listed = ALLOWED.iter().any(|(allowed, only)| *allowed == number && matches!(only, Any));
            assert_eq!(is_allowed(number, [0; 6]) && is_allowed(number, [-1; 6]), listed, "{number}");
        }
    }

    #[test]
    fn arguments_count() {
        assert!(is_allowed(libc::SYS_fcntl, [9, libc::F_GETFL, 0, 0, 0, 0]));
        assert!(!is_allowed(libc::SYS_fcntl, [9, libc::F_DUPFD, 0, 0, 0, 0]));
        assert!(is_allowed(libc::SYS_futex, [0, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1, 0, 0, 0]));
        assert!(!is_allowed(libc::SYS_futex, [0, libc::FUTEX_CMP_REQUEUE_PI, 1, 0, 0, 0]));
        assert!(is_allowed(libc::SYS_setsockopt, [4, libc::IPPROTO_IP, libc::IP_RECVERR, 0, 4, 0]));
        assert!(!is_allowed(libc::SYS_setsockopt, [4, libc::IPPROTO_IP, libc::IP_HDRINCL, 0, 4, 0]));
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            assert!(is_allowed(call, [0, 4096, libc::PROT_READ | libc::PROT_WRITE, 0, 0, 0]));
            assert!(!is_allowed(call, [0, 4096, libc::PROT_READ | libc::PROT_EXEC, 0, 0, 0]));
        }
    }

    #[test]
    fn the_calls_of_another_architecture_are_refused() {
        const I386: u32 = 0x4000_0003;
        assert!((0..2048).all(|number| verdict(I386, number, [0; 6]) != libc::SECCOMP_RET_ALLOW));
    }
}
