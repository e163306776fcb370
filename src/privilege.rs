//! Root's rights: suspended at once, used once, dropped for good.
//!
//! The order is in the types: [`Suspended`] -> [`Privileged`] -> [`Dropped`]. What opens raw sockets asks for
//! `Privileged`; what probes asks for `Dropped`, which nobody gets before the kernel itself has said that nothing is left.
//! All of it happens while there is one thread: capabilities belong to threads, not to processes.
//!
//! The program may run setuid root, with the file capability `cap_net_raw`, with an ambient capability, as plain root, or
//! with nothing at all; the same steps are right for each.

use std::fmt::Debug;
use std::fs;
use std::os::fd::RawFd;

use caps::{CapSet, Capability, CapsHashSet};
use multiping::net::{self, RawSockets};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::{Gid, ResGid, ResUid, Uid, close, getresgid, getresuid, setegid, seteuid, setresgid, setresuid};

use crate::message::Error;

/// What is kept of the permitted capabilities: to open raw sockets, to enlarge their buffers, and to
/// empty the bounding set afterwards.
const WANTED: [Capability; 3] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN, Capability::CAP_SETPCAP];

/// What is effective while sockets are opened.
const OPENING: [Capability; 2] = [Capability::CAP_NET_RAW, Capability::CAP_NET_ADMIN];

/// How far up inherited descriptors are looked for where there is no /proc, if the limit on them is higher still.
const MOST_DESCRIPTORS: rlim_t = 65_536;

/// Where the kernel lists our descriptors.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Rights are set aside: effective ids are the caller's, no capability is effective.
#[derive(Debug)]
pub struct Suspended {
    uids: ResUid,
    gids: ResGid,
    /// What may be raised again.
    permitted: CapsHashSet,
    /// Whether no_new_privs was set by whoever started us.
    was_confined: bool,
    /// Whether the caller had handed the right to raw sockets down.
    was_ambient: bool,
}

/// The capabilities for opening raw sockets are effective; the effective ids are still the caller's.
#[derive(Debug)]
pub struct Privileged {
    uids: ResUid,
    gids: ResGid,
    permitted: CapsHashSet,
}

/// Rights are gone, and the kernel has confirmed it.
#[derive(Debug)]
pub struct Dropped(());

/// By what right raw sockets are opened, or what stands in the way of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// The caller is root.
    Root,
    /// The program file is setuid root.
    Setuid,
    /// The program file has the capability.
    FileCapability,
    /// The caller has handed the capability down.
    AmbientCapability,
    /// None: the capability is not in the bounding set, so that no program file can give it.
    OutOfBounds,
    /// None: started with no_new_privs, under which no program file gives any right.
    Confined,
    /// None: the program file gives none.
    None,
}

/// Gives up root's ids where something failed before rights could be set aside in order. Nothing is asked for by it,
/// not even memory.
pub fn forsake() -> Result<(), Error> {
    let (uid, gid) = (Uid::current(), Gid::current());
    ask("setresgid", setresgid(gid, gid, gid))?;
    ask("setresuid", setresuid(uid, uid, uid))
}

impl Suspended {
    /// Sets rights aside, before anything that the caller supplied is looked at.
    pub fn begin() -> Result<Self, Error> {
        let was_confined = ask("get no_new_privs", prctl::get_no_new_privs())?;
        ask("set no_new_privs", prctl::set_no_new_privs())?;
        let uids = ask("getresuid", getresuid())?;
        let gids = ask("getresgid", getresgid())?;
        ask("setegid", setegid(gids.real))?;
        ask("seteuid", seteuid(uids.real))?;
        let was_ambient = caps::has_cap(None, CapSet::Ambient, Capability::CAP_NET_RAW).unwrap_or(false);
        // Effective ones first: the kernel refuses a permitted set that lacks what is effective. Those that are ambient
        // go with those that are inheritable.
        ask("clear effective capabilities", caps::clear(None, CapSet::Effective))?;
        ask("clear inheritable capabilities", caps::clear(None, CapSet::Inheritable))?;
        let permitted = among_wanted(CapSet::Permitted)?;
        ask("cut capabilities", caps::set(None, CapSet::Permitted, &permitted))?;
        undumpable()?;
        // A piped core_pattern ignores this limit; that is what the dumpable flag is for.
        ask("set RLIMIT_CORE", setrlimit(Resource::RLIMIT_CORE, 0, 0))?;
        close_inherited();
        Ok(Suspended { uids, gids, permitted, was_confined, was_ambient })
    }

    /// Whether the caller is real root, and so beyond the limits for ordinary users.
    pub fn caller_is_root(&self) -> bool {
        self.uids.real.is_root()
    }

    /// By what right raw sockets can be opened.
    pub fn right(&self) -> Right {
        let has = |set, cap| caps::has_cap(None, set, cap).unwrap_or(false);
        let raw = Capability::CAP_NET_RAW;
        // To a file that is setuid and has capabilities the kernel grants the capabilities only.
        let all = || WANTED.iter().all(|&cap| has(CapSet::Permitted, cap) || !has(CapSet::Bounding, cap));
        match has(CapSet::Permitted, raw) {
            true if self.uids.real.is_root() => Right::Root,
            true if self.uids.effective.is_root() && all() => Right::Setuid,
            // A program file that has capabilities of its own, or is setuid, clears the ambient ones.
            true if self.was_ambient => Right::AmbientCapability,
            true => Right::FileCapability,
            false if !has(CapSet::Bounding, raw) => Right::OutOfBounds,
            false if self.was_confined => Right::Confined,
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
    pub fn open_sockets(&self, config: net::Config) -> Result<RawSockets, multiping::Error> {
        RawSockets::open(config)
    }

    /// Gives up every right there is, for good, and asks the kernel whether it is so.
    pub fn drop(self) -> Result<Dropped, Error> {
        raise(&[Capability::CAP_SETPCAP], &self.permitted)?;
        // Without SETPCAP (a file capability, or nothing) this fails. no_new_privs makes it no matter.
        let _ = caps::all().into_iter().try_for_each(|cap| caps::drop(None, CapSet::Bounding, cap));
        // All three ids: a saved one brings the others back. Neither call takes a capability, since
        // each id is one of the three already. The second one also clears the capabilities that a
        // saved user id of root had kept.
        let (uid, gid) = (self.uids.real, self.gids.real);
        ask("setresgid", setresgid(gid, gid, gid))?;
        ask("setresuid", setresuid(uid, uid, uid))?;
        ask("clear capabilities", caps::clear(None, CapSet::Permitted))?;
        undumpable()?;
        self.verify()
    }

    /// Believes the kernel and nothing else.
    fn verify(&self) -> Result<Dropped, Error> {
        let (uid, gid) = (self.uids.real, self.gids.real);
        let ResUid { real, effective, saved } = ask("getresuid", getresuid())?;
        expect("user ids", [real, effective, saved], [uid; 3])?;
        let ResGid { real, effective, saved } = ask("getresgid", getresgid())?;
        expect("group ids", [real, effective, saved], [gid; 3])?;
        // Nothing else can be in them: the permitted set was cut to these and can only shrink, the effective and ambient
        // ones are kept within it, and nothing becomes inheritable by itself.
        for set in [CapSet::Permitted, CapSet::Effective, CapSet::Inheritable, CapSet::Ambient] {
            expect("capabilities", among_wanted(set)?, CapsHashSet::new())?;
        }
        expect("no_new_privs", ask("get no_new_privs", prctl::get_no_new_privs())?, true)?;
        expect("dumpable", ask("get dumpable", prctl::get_dumpable())?, false)?;
        if !uid.is_root() {
            expect("regaining root by seteuid", seteuid(Uid::from_raw(0)), Err(Errno::EPERM))?;
            let keep = Uid::from_raw(u32::MAX);
            expect("regaining root by setresuid", setresuid(keep, Uid::from_raw(0), keep), Err(Errno::EPERM))?;
        }
        if self.gids.effective != gid {
            expect("regaining the group", setegid(self.gids.effective), Err(Errno::EPERM))?;
        }
        Ok(Dropped(()))
    }
}

/// Makes these capabilities effective, as far as they are permitted, and no others.
fn raise(these: &[Capability], permitted: &CapsHashSet) -> Result<(), Error> {
    let effective = these.iter().copied().filter(|cap| permitted.contains(cap)).collect();
    ask("raise capabilities", caps::set(None, CapSet::Effective, &effective))
}

/// Which of the wanted capabilities are in `set`. They are asked for one by one: `caps::read` makes a list of all that
/// there are, for as much time as forty questions.
fn among_wanted(set: CapSet) -> Result<CapsHashSet, Error> {
    let mut found = CapsHashSet::new();
    for cap in WANTED {
        let answer = match set {
            // Kernels older than 4.3 have no ambient set.
            CapSet::Ambient => caps::has_cap(None, set, cap).unwrap_or(false),
            _ => ask("read capabilities", caps::has_cap(None, set, cap))?,
        };
        if answer {
            found.insert(cap);
        }
    }
    Ok(found)
}

/// Nobody may trace us or read our memory. Every change of ids resets this, so it is said after each.
fn undumpable() -> Result<(), Error> {
    ask("set dumpable", prctl::set_dumpable(false))
}

/// Closes every descriptor above 2 that the caller left open: what is not there cannot be misused.
fn close_inherited() {
    // Since Linux 6.2 the size of this directory is their number; before it was zero. Rust's start-up saw to it that the
    // first three are there.
    if fs::metadata(DESCRIPTORS).is_ok_and(|list| list.len() == 3) {
        return;
    }
    let list = fs::read_dir(DESCRIPTORS).or_else(|_| {
        // No descriptor is left to read it with, until the lowest ones are closed; or there is no /proc.
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(MOST_DESCRIPTORS, |(soft, _)| soft);
        close_all(3..limit.min(MOST_DESCRIPTORS) as RawFd);
        fs::read_dir(DESCRIPTORS)
    });
    let numbers = list.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // All of them first: what is being read has a descriptor of its own.
    close_all(numbers.filter(|&number| number > 2).collect::<Vec<_>>());
}

fn close_all(descriptors: impl IntoIterator<Item = RawFd>) {
    for descriptor in descriptors {
        // Some were not open, or are not any more.
        let _ = close(descriptor);
    }
}

fn ask<T>(what: &'static str, answer: Result<T, impl Into<PrivilegeError>>) -> Result<T, Error> {
    answer.map_err(|why| Error::Privilege(what, why.into().0))
}

fn expect<T: Debug + PartialEq>(what: &'static str, found: T, expected: T) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Privilege(what, format!("still {found:?}"))) }
}

/// The two kinds of errors that calls in this file end with.
struct PrivilegeError(String);

impl From<Errno> for PrivilegeError {
    fn from(errno: Errno) -> Self {
        PrivilegeError(errno.desc().to_owned())
    }
}

impl From<caps::errors::CapsError> for PrivilegeError {
    fn from(error: caps::errors::CapsError) -> Self {
        PrivilegeError(error.to_string())
    }
}
