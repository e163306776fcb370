//! Root's privileges: suspended at once, used once, dropped for good.
//!
//! The order is in the types: [`Suspended`] -> [`Privileged`] -> [`Dropped`]. What opens raw
//! sockets takes a `Privileged`; what probes takes a `Dropped`, which exists only after the kernel
//! has confirmed that no privilege remains. All of it happens before a second thread exists,
//! because capabilities belong to threads.
//!
//! The program may run setuid root, with the file capability `cap_net_raw`, with an ambient
//! capability, as plain root, or unprivileged; the same steps are right for each.

use std::fmt::Debug;
use std::io;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use multiping::net::{self, OpenedSockets};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, ResGid, ResUid, Uid, getresgid, getresuid, setegid, seteuid, setresgid, setresuid};

use crate::message::Error;

/// What is kept of the permitted capabilities: to open raw sockets, to enlarge their buffers, and
/// to empty the bounding set afterwards.
const REQUIRED: [Capability; 3] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN, Capability::CAP_SETPCAP];

/// What is effective while sockets are opened.
const OPENING: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];

/// The effective ids are the caller's, and no capability is effective.
#[derive(Debug)]
pub struct Suspended {
    uids: ResUid,
    gids: ResGid,
    /// What can be raised again.
    permitted: CapsHashSet,
    /// Whether no_new_privs was set at the start.
    had_no_new_privs: bool,
    /// Whether NET_RAW was an ambient capability at the start.
    was_ambient: bool,
}

/// The capabilities for opening sockets are effective; the effective ids are still the
/// caller's.
#[derive(Debug)]
pub struct Privileged {
    uids: ResUid,
    gids: ResGid,
    permitted: CapsHashSet,
}

/// No privilege remains, and the kernel has confirmed it.
#[derive(Debug)]
pub struct Dropped(());

/// What allows raw sockets to be opened, or why nothing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The caller is root.
    Root,
    /// The program file is setuid root.
    Setuid,
    /// The program file has NET_RAW.
    FileCapability,
    /// NET_RAW was inherited as an ambient capability.
    AmbientCapability,
    /// Nothing: NET_RAW is not in the bounding set, so no program file can grant it.
    NotInBoundingSet,
    /// Nothing: started with no_new_privs, under which no program file grants a privilege.
    NoNewPrivs,
    /// Nothing: the program file grants no privilege.
    None,
}

/// Sets all ids to the caller's, without allocating. For failures before [`Suspended::begin`].
pub fn drop_ids() -> Result<(), Error> {
    let (uid, gid) = (Uid::current(), Gid::current());
    sys("setresgid", setresgid(gid, gid, gid))?;
    sys("setresuid", setresuid(uid, uid, uid))
}

impl Suspended {
    /// Suspends privileges, before anything that the caller supplied is looked at.
    pub fn begin() -> Result<Self, Error> {
        let had_no_new_privs = sys("get no_new_privs", prctl::get_no_new_privs())?;
        sys("set no_new_privs", prctl::set_no_new_privs())?;
        let uids = sys("getresuid", getresuid())?;
        let gids = sys("getresgid", getresgid())?;
        sys("setegid", setegid(gids.real))?;
        sys("seteuid", seteuid(uids.real))?;
        let was_ambient = caps::has_cap(None, CapSet::Ambient, Capability::CAP_NET_RAW).unwrap_or(false);
        // The effective set first: the kernel refuses a permitted set that lacks an effective
        // capability. Clearing the inheritable set also clears the ambient one.
        sys("clear effective capabilities", caps::clear(None, CapSet::Effective))?;
        sys("clear inheritable capabilities", caps::clear(None, CapSet::Inheritable))?;
        let permitted = held_of(REQUIRED, CapSet::Permitted)?;
        sys("limit permitted capabilities", caps::set(None, CapSet::Permitted, &permitted))?;
        clear_dumpable()?;
        Ok(Suspended { uids, gids, permitted, had_no_new_privs, was_ambient })
    }

    /// Whether the caller is real root, and so beyond the limits for ordinary users.
    pub fn caller_is_root(&self) -> bool {
        self.uids.real.is_root()
    }

    /// What allows raw sockets to be opened.
    pub fn right(&self) -> Right {
        let has = |set, cap| caps::has_cap(None, set, cap).unwrap_or(false);
        let raw = Capability::CAP_NET_RAW;
        // Where a file is setuid and has capabilities, the kernel grants the capabilities only.
        let all = || REQUIRED.iter().all(|&cap| has(CapSet::Permitted, cap) || !has(CapSet::Bounding, cap));
        match has(CapSet::Permitted, raw) {
            true if self.uids.real.is_root() => Right::Root,
            true if self.uids.effective.is_root() && all() => Right::Setuid,
            // A program file that has capabilities or is setuid clears the ambient set.
            true if self.was_ambient => Right::AmbientCapability,
            true => Right::FileCapability,
            false if !has(CapSet::Bounding, raw) => Right::NotInBoundingSet,
            false if self.had_no_new_privs => Right::NoNewPrivs,
            false => Right::None,
        }
    }

    /// Drops privileges for good without having used them.
    pub fn drop(self) -> Result<Dropped, Error> {
        self.resume()?.drop()
    }

    /// Raises the capabilities for opening raw sockets, as far as they are permitted. The effective
    /// ids stay the caller's: a socket belongs to the user and group that opened it, and rules for
    /// these (iptables' owner match, `ip rule uidrange`) hold for its packets. The permitted set
    /// survived the change of the effective user id because the saved one is still root's
    /// (capabilities(7)).
    pub fn resume(self) -> Result<Privileged, Error> {
        raise(&OPENING, &self.permitted)?;
        Ok(Privileged { uids: self.uids, gids: self.gids, permitted: self.permitted })
    }
}

impl Privileged {
    /// Opens the sockets: the one thing that privileges are for.
    pub fn open_sockets(&self, config: net::Config) -> Result<OpenedSockets, multiping::Error> {
        OpenedSockets::open(config)
    }

    /// Drops every privilege for good, and verifies that with the kernel.
    pub fn drop(self) -> Result<Dropped, Error> {
        raise(&[Capability::CAP_SETPCAP], &self.permitted)?;
        // Fails without SETPCAP (a file capability, or nothing). Under no_new_privs the bounding
        // set does not matter.
        let _ = caps::all().into_iter().try_for_each(|cap| caps::drop(None, CapSet::Bounding, cap));
        // All three ids: a saved one brings the others back. Neither call takes a capability, since
        // each id is one of the three already. The second one also clears the capabilities that a
        // saved user id of root had kept.
        let (uid, gid) = (self.uids.real, self.gids.real);
        sys("setresgid", setresgid(gid, gid, gid))?;
        sys("setresuid", setresuid(uid, uid, uid))?;
        sys("clear capabilities", caps::clear(None, CapSet::Permitted))?;
        clear_dumpable()?;
        self.verify()
    }

    /// Reads everything back from the kernel.
    fn verify(&self) -> Result<Dropped, Error> {
        let (uid, gid) = (self.uids.real, self.gids.real);
        let ResUid { real, effective, saved } = sys("getresuid", getresuid())?;
        verify_eq("user ids", [real, effective, saved], [uid; 3])?;
        let ResGid { real, effective, saved } = sys("getresgid", getresgid())?;
        verify_eq("group ids", [real, effective, saved], [gid; 3])?;
        // No other capability can be in them: the permitted set was limited to these and can only
        // shrink, the effective and ambient sets are subsets of it, and the inheritable set was
        // cleared.
        for set in [CapSet::Permitted, CapSet::Effective, CapSet::Inheritable, CapSet::Ambient] {
            verify_eq("capabilities", held_of(REQUIRED, set)?, CapsHashSet::new())?;
        }
        verify_eq("no_new_privs", sys("get no_new_privs", prctl::get_no_new_privs())?, true)?;
        verify_eq("dumpable", sys("get dumpable", prctl::get_dumpable())?, false)?;
        if !uid.is_root() {
            verify_eq("regaining root by seteuid", seteuid(Uid::from_raw(0)), Err(Errno::EPERM))?;
            let keep = Uid::from_raw(u32::MAX);
            verify_eq("regaining root by setresuid", setresuid(keep, Uid::from_raw(0), keep), Err(Errno::EPERM))?;
        }
        if self.gids.effective != gid {
            verify_eq("regaining the group", setegid(self.gids.effective), Err(Errno::EPERM))?;
        }
        Ok(Dropped(()))
    }
}

/// Makes `capabilities` effective, as far as they are permitted, and no others.
fn raise(capabilities: &[Capability], permitted: &CapsHashSet) -> Result<(), Error> {
    let effective = capabilities.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    sys("raise capabilities", caps::set(None, CapSet::Effective, &effective))
}

/// Which of `capabilities` are in `set`. One call each, because `caps::read` builds a list of all
/// capabilities, which takes as long as forty such calls.
fn held_of(capabilities: [Capability; 3], set: CapSet) -> Result<CapsHashSet, Error> {
    let mut held = CapsHashSet::new();
    for capability in capabilities {
        let is_held = match set {
            // Kernels older than 4.3 have no ambient set.
            CapSet::Ambient => caps::has_cap(None, set, capability).unwrap_or(false),
            _ => sys("read capabilities", caps::has_cap(None, set, capability))?,
        };
        if is_held {
            held.insert(capability);
        }
    }
    Ok(held)
}

/// Forbids other processes of the caller to trace this one or read its memory. Every change of ids
/// sets the flag again.
fn clear_dumpable() -> Result<(), Error> {
    sys("clear dumpable", prctl::set_dumpable(false))
}

/// Names the step that failed.
fn sys<T>(step: &'static str, result: Result<T, impl Into<SystemError>>) -> Result<T, Error> {
    result.map_err(|error| Error::Privilege(step, error.into().0))
}

/// Fails if the kernel still reports a privilege.
fn verify_eq<T: Debug + PartialEq>(what: &'static str, found: T, expected: T) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::PrivilegeRemains(what, format!("{found:?}"))) }
}

/// The errors of nix and of caps.
struct SystemError(io::Error);

impl From<Errno> for SystemError {
    fn from(errno: Errno) -> Self {
        SystemError(errno.into())
    }
}

impl From<CapsError> for SystemError {
    fn from(error: CapsError) -> Self {
        SystemError(io::Error::other(error))
    }
}
