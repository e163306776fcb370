//! A seccomp filter that simulates a kernel without some system calls: they fail, or kill the
//! process.
//!
//! A filter applies to the thread that sets it and its child processes, and cannot be removed: set
//! it on a thread of its own, as in [`super::Lab::start_under`].

use std::env::consts::ARCH;

use nix::errno::Errno;
use nix::libc::{c_int, c_long};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

/// A system call, with values of some of its arguments.
pub type Call<'a> = (c_long, &'a [(u8, c_int)]);

/// Makes these calls of this thread and its child processes fail with this error.
pub fn refuse(calls: &[Call], errno: Errno) {
    set(calls, SeccompAction::Errno(errno as i32 as u32));
}

/// Makes this call kill the process, with SIGSYS.
pub fn forbid(call: Call) {
    set(&[call], SeccompAction::KillProcess);
}

fn set(calls: &[Call], action: SeccompAction) {
    let condition = |&(arg, value): &(u8, c_int)| {
        SeccompCondition::new(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value as u32 as u64)
    };
    for &(call, args) in calls {
        // seccompiler rejects rules without conditions; no rule at all matches any arguments.
        let conditions: Vec<_> = args.iter().map(|arg| condition(arg).expect("an argument")).collect();
        let rules = if conditions.is_empty() { vec![] } else { vec![SeccompRule::new(conditions).expect("a rule")] };
        let rules = [(call, rules)].into();
        let arch = ARCH.try_into().expect("a known architecture");
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action.clone(), arch);
        let program: Vec<_> = filter.and_then(TryInto::try_into).expect("a filter");
        apply_filter(&program).expect("a kernel with seccomp");
    }
}
