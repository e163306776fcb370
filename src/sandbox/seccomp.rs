//! The system calls that a run needs once it probes, as a seccomp filter that refuses all others.
//!
//! A refused call fails with EPERM and does not kill the process, because xymonnet takes death by a
//! signal for success. (Calls by another architecture's numbers do kill it; only injected code
//! makes them.) The table has no more calls than needed: when a filter is installed, the kernel
//! runs it once for every call that exists, so each row adds to the time of a start.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::io;

use nix::libc::{self, c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter, apply_filter_all_threads,
};

use crate::sandbox::Seccomp;

/// What an argument, counted from 0, must be like for a call to be allowed. All that are checked
/// are ints, so their upper halves do not matter.
#[derive(Clone, Copy)]
enum ArgCheck {
    Any,
    Equals(u8, c_int),
    /// None of these bits is set.
    NoBits(u8, c_int),
}
use ArgCheck::{Any, Equals, NoBits};

const ALLOWED: &[(c_long, ArgCheck)] = &[
    // Probing.
    #[cfg(not(target_env = "musl"))]
    (libc::SYS_sendmmsg, Any),
    #[cfg(target_env = "musl")]
    (libc::SYS_sendmsg, Any), // its sendmmsg is a loop of these
    (libc::SYS_setsockopt, Equals(2, libc::IP_RECVERR)), // to get ENOBUFS for each packet
    (libc::SYS_recvmmsg, Any),
    (libc::SYS_getsockopt, Any),    // the drop counter
    (libc::SYS_read, Any),          // signals
    (libc::SYS_ppoll, Any),         // also poll(2), on architectures that have no other
    (libc::SYS_clock_gettime, Any), // where the vDSO cannot read the clock
    (libc::SYS_sendto, Any),        // whether there is a route
    (libc::SYS_pread64, Any),       // the counter of dropped IPv6 packets
    // Reporting.
    (libc::SYS_write, Any), // to open descriptors, as no other can be opened
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, Any),
    (libc::SYS_restart_syscall, Any), // resumes poll when a stopped process continues
    (libc::SYS_fcntl, Equals(1, libc::F_GETFL)), // the access mode of a descriptor
    (libc::SYS_timer_gettime, Any),   // whether the deadline is over
    // Memory that is not executable.
    (libc::SYS_brk, Any), // glibc takes a refusal for an address
    (libc::SYS_mmap, NoBits(2, libc::PROT_EXEC)),
    #[cfg(target_env = "musl")]
    (libc::SYS_mprotect, NoBits(2, libc::PROT_EXEC)), // its malloc
    (libc::SYS_munmap, Any),
    // Ending: in order, by a panic, or by a fault.
    (libc::SYS_close, Any),
    (libc::SYS_timer_delete, Any),
    (libc::SYS_sigaltstack, Any), // std removes its own when main returns
    // pthread_once, in a panic.
    (libc::SYS_futex, Equals(1, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG)),
    (libc::SYS_rt_sigaction, Any), // std's fault handler removes itself, and returns
    (libc::SYS_rt_sigreturn, Any),
    (libc::SYS_exit_group, Any),
];

/// What threads need beside that.
const ALLOWED_WITH_THREADS: &[(c_long, ArgCheck)] = &[
    // A thread waits for its share, for a lock of malloc, or for the end of another (pthread_join).
    (libc::SYS_futex, Equals(1, libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG)),
    (libc::SYS_futex, Equals(1, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG)),
    #[cfg(not(target_env = "musl"))]
    (libc::SYS_futex, Equals(1, libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME)),
    #[cfg(target_env = "musl")]
    (libc::SYS_futex, Equals(1, libc::FUTEX_WAIT)), // its lock on the list of threads
    #[cfg(target_env = "musl")]
    (libc::SYS_futex, Equals(1, libc::FUTEX_WAKE)),
    // A thread ends: it takes no more signals, and gives its stack back.
    (libc::SYS_rt_sigprocmask, Equals(0, libc::SIG_BLOCK)),
    (libc::SYS_madvise, Equals(2, libc::MADV_DONTNEED)),
    (libc::SYS_exit, Any),
];

/// Installs the filter, for the rest of the process.
pub(super) fn install() -> Seccomp {
    outcome(compile(&[]).map_err(Error::Backend).and_then(|program| apply_filter(&program)))
}

/// Installs the filter in all threads. They have the filters that the process had at its start, and
/// no others, so that the kernel does not refuse it.
pub(super) fn install_in_all_threads() -> Seccomp {
    let program = compile(ALLOWED_WITH_THREADS).map_err(Error::Backend);
    outcome(program.and_then(|program| apply_filter_all_threads(&program)))
}

fn outcome(installed: Result<(), Error>) -> Seccomp {
    match installed {
        Ok(()) => Seccomp::On,
        Err(Error::Prctl(error) | Error::Seccomp(error)) => Seccomp::Refused(error),
        Err(error) => Seccomp::Refused(io::Error::other(error)),
    }
}

/// The filter that allows the calls of the table, and some more.
fn compile(more: &[(c_long, ArgCheck)]) -> Result<BpfProgram, BackendError> {
    let mut rules = BTreeMap::new();
    for &(call, check) in ALLOWED.iter().chain(more) {
        rules.entry(call).or_insert_with(Vec::new).extend(check.rules()?);
    }
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, ARCH.try_into()?)?.try_into()
}

impl ArgCheck {
    /// The rules of a call, of which one must hold; none allows every call.
    fn rules(self) -> Result<Vec<SeccompRule>, BackendError> {
        let (argument, operator, value) = match self {
            Any => return Ok(Vec::new()),
            Equals(argument, value) => (argument, SeccompCmpOp::Eq, value as u64),
            NoBits(argument, bits) => (argument, SeccompCmpOp::MaskedEq(bits as u64), 0),
        };
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        Ok(vec![SeccompRule::new(vec![condition])?])
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use nix::libc::seccomp_data;
    use seccompiler::sock_filter;

    use super::*;

    /// What the kernel decides about a call. Executing code cannot be mapped here, nor calls be
    /// made by number, without `unsafe`; so the program is run by hand, for the opcodes that
    /// seccompiler uses.
    fn decide(program: &[sock_filter], call: c_long, arguments: [c_int; 6]) -> u32 {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const AND: u32 = libc::BPF_ALU | libc::BPF_AND;
        const JUMP: u32 = libc::BPF_JMP | libc::BPF_JA;
        const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ;
        const RETURN: u32 = libc::BPF_RET;
        let (mut next, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = program[next];
            next += 1;
            match u32::from(code) {
                LOAD if k as usize == offset_of!(seccomp_data, nr) => accumulator = call as u32,
                // This architecture's value, which is compared first.
                LOAD if k as usize == offset_of!(seccomp_data, arch) => accumulator = program[next].k,
                LOAD => accumulator = arguments[(k as usize - offset_of!(seccomp_data, args)) / 8] as u32,
                AND => accumulator &= k,
                JUMP => next += k as usize,
                JUMP_IF_EQUAL => next += usize::from(if accumulator == k { jt } else { jf }),
                RETURN => return k,
                code => panic!("opcode {code:#x}"),
            }
        }
    }

    fn is_allowed(call: c_long, arguments: [c_int; 6]) -> bool {
        let program = compile(&[]).expect("the table compiles");
        match decide(&program, call, arguments) {
            libc::SECCOMP_RET_ALLOW => true,
            refusal => {
                assert_eq!(refusal, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
                false
            }
        }
    }

    #[test]
    fn calls_that_are_not_in_the_table_are_refused() {
        for call in 0..2048 {
            let is_listed = ALLOWED.iter().any(|(allowed, check)| *allowed == call && matches!(check, Any));
            assert_eq!(is_allowed(call, [0; 6]) && is_allowed(call, [-1; 6]), is_listed, "{call}");
        }
    }

    #[test]
    fn threads_are_allowed_to_wait_and_to_end_and_nothing_else() {
        let program = compile(ALLOWED_WITH_THREADS).expect("the table compiles");
        let is_allowed = |call, arguments| decide(&program, call, arguments) == libc::SECCOMP_RET_ALLOW;
        for call in 0..2048 {
            let is_listed = |table: &[(c_long, ArgCheck)]| table.iter().any(|(allowed, _)| *allowed == call);
            if !is_listed(ALLOWED) && !is_listed(ALLOWED_WITH_THREADS) {
                assert!(!is_allowed(call, [0; 6]) && !is_allowed(call, [-1; 6]), "{call}");
            }
        }
        for operation in [libc::FUTEX_WAKE, libc::FUTEX_WAIT, libc::FUTEX_WAIT_BITSET] {
            assert!(is_allowed(libc::SYS_futex, [0, operation | libc::FUTEX_PRIVATE_FLAG, 1, 0, 0, 0]));
        }
        assert!(!is_allowed(libc::SYS_futex, [0, libc::FUTEX_CMP_REQUEUE_PI, 1, 0, 0, 0]));
        assert!(!is_allowed(libc::SYS_madvise, [0, 4096, libc::MADV_HUGEPAGE, 0, 0, 0]));
        assert!(!is_allowed(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK, 0, 0, 8, 0, 0]));
        assert!(is_allowed(libc::SYS_exit, [0; 6]));
    }

    #[test]
    fn arguments_are_checked() {
        assert!(is_allowed(libc::SYS_fcntl, [9, libc::F_GETFL, 0, 0, 0, 0]));
        assert!(!is_allowed(libc::SYS_fcntl, [9, libc::F_DUPFD, 0, 0, 0, 0]));
        assert!(is_allowed(libc::SYS_futex, [0, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, 1, 0, 0, 0]));
        assert!(!is_allowed(libc::SYS_futex, [0, libc::FUTEX_CMP_REQUEUE_PI, 1, 0, 0, 0]));
        assert!(is_allowed(libc::SYS_setsockopt, [4, libc::IPPROTO_IP, libc::IP_RECVERR, 0, 4, 0]));
        assert!(!is_allowed(libc::SYS_setsockopt, [4, libc::IPPROTO_IP, libc::IP_HDRINCL, 0, 4, 0]));
        let [plain, executable] =
            [libc::PROT_WRITE, libc::PROT_EXEC].map(|bit| [0, 4096, libc::PROT_READ | bit, 0, 0, 0]);
        assert!(is_allowed(libc::SYS_mmap, plain));
        assert!(!is_allowed(libc::SYS_mmap, executable));
        assert_eq!(is_allowed(libc::SYS_mprotect, plain), cfg!(target_env = "musl"));
        assert!(!is_allowed(libc::SYS_mprotect, executable));
    }

    #[test]
    fn calls_of_another_architecture_are_refused() {
        let program = compile(&[]).expect("the table compiles");
        let [_, compare, otherwise, ..] = &program[..] else { panic!("{program:?}") };
        assert_eq!((compare.jt, compare.jf, otherwise.k), (1, 0, libc::SECCOMP_RET_KILL_PROCESS));
    }
}
