//! A kernel that lacks something, played by a seccomp filter: system calls that end with an error, or with the process.
//!
//! A filter holds for the thread that sets it and for what it starts, and cannot be taken back: set it on a thread of its
//! own, as in [`super::Lab::start_under`].

use std::env::consts::ARCH;

use nix::errno::Errno;
use nix::libc::{c_int, c_long};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};

/// A system call, with the values that arguments of it have.
pub type Call<'a> = (c_long, &'a [(u8, c_int)]);

/// From here on, this thread and what it starts gets this error for these calls.
pub fn refuse(calls: &[Call], errno: Errno) {
    set(calls, SeccompAction::Errno(errno as i32 as u32));
}

/// From here on, this call kills the process that makes it, with SIGSYS.
pub fn forbid(call: Call) {
    set(&[call], SeccompAction::KillProcess);
}

fn set(calls: &[Call], action: SeccompAction) {
    let condition = |&(arg, value): &(u8, c_int)| {
        SeccompCondition::new(arg, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value as u32 as u64)
    };
    for &(call, args) in calls {
        // A rule without conditions would be none: then the call is meant whatever its arguments are.
        let conditions: Vec<_> = args.iter().map(|arg| condition(arg).expect("an argument")).collect();
        let rules = if conditions.is_empty() { vec![] } else { vec![SeccompRule::new(conditions).expect("a rule")] };
        let rules = [(call, rules)].into();
        let arch = ARCH.try_into().expect("it is known");
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action.clone(), arch);
        let program: Vec<_> = filter.and_then(TryInto::try_into).expect("a filter");
        apply_filter(&program).expect("the kernel takes filters");
    }
}
