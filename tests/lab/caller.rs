//! Who starts the program: an ordinary user, and the program as root has installed it for him.
//!
//! These scenes need a root that is root indeed: one who may become somebody else, make files setuid and give them
//! capabilities. A user namespace does not do. [`play`] skips a scene where that, or a tool that the scene names, cannot
//! be had.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Lab, program, skip, test_name};

/// The user and the group of everybody who starts the program in these scenes: nobody.
pub const ORDINARY: u32 = 65_534;

/// What the installed program may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Nothing beyond what its caller may do.
    None,
    /// Whatever root may do (mode 4755).
    Setuid,
    /// What the file capabilities say, in the words of setcap(8).
    Capabilities(&'static str),
}

/// Plays a scene like [`super::play`], with real root and a place to install the program in. `tools` are the programs
/// without which the scene cannot be played.
pub fn play<Scene: FnOnce(&Lab, &Place)>(tools: &[&str], scene: Scene) {
    let test = test_name::<Scene>();
    let ready = || {
        let place = Place::new()?;
        tools.iter().try_for_each(|tool| find(tool))?;
        Ok((Lab::open()?, place))
    };
    match ready() {
        Ok((lab, place)) => scene(&lab, &place),
        Err::<_, String>(refusal) => skip(test, &refusal),
    }
}

/// A command that an ordinary user starts. Nothing of root is left to it but what the program file itself carries.
pub fn ordinary(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    // With a user, std also clears the supplementary groups.
    command.uid(ORDINARY).gid(ORDINARY);
    command
}

/// The same for an ordinary user who has been handed the one capability that raw sockets need. It takes `setpriv`.
pub fn with_net_raw(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={ORDINARY}")).arg(format!("--regid={ORDINARY}")).arg("--clear-groups");
    command.args(["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"]).arg(program);
    command
}

/// A directory of this scene alone, which any user can reach and on whose file system setuid counts. It is removed with
/// all that is in it.
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// A new one, with real root. The error says what this machine lacks; for benchmarks, that have no [`play`].
    pub fn new() -> Result<Place, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let map = fs::read_to_string("/proc/self/uid_map").map_err(|e| format!("/proc/self/uid_map: {e}"))?;
        if map.split_whitespace().ne(["0", "0", "4294967295"]) || !nix::unistd::geteuid().is_root() {
            return Err("needs real root".into());
        }
        let name = format!("xp-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut refusal = String::new();
        for parent in [Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new("/tmp"), Path::new("/var/tmp")] {
            let path = parent.join(&name);
            // Root's own until it is known to be new, then for everybody to pass through and to look at.
            if let Err(e) = DirBuilder::new().mode(0o700).create(&path) {
                refusal = format!("{}: {e}", path.display());
                continue;
            }
            let place = Place { path };
            fs::set_permissions(&place.path, Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
            match place.check() {
                Ok(()) => return Ok(place),
                Err(e) => refusal = e,
            }
        }
        Err(refusal)
    }

    /// Whether an ordinary user who starts a setuid program from here becomes root by it.
    fn check(&self) -> Result<(), String> {
        let whoami = self.path.join("id");
        ["/usr/bin/id", "/bin/id"].iter().find(|id| copy(id, &whoami).is_ok()).ok_or("no id(1) to try setuid with")?;
        fs::set_permissions(&whoami, Permissions::from_mode(0o4755)).map_err(|e| e.to_string())?;
        let output = ordinary(&whoami).arg("-u").output().map_err(|e| format!("{}: {e}", whoami.display()))?;
        fs::remove_file(&whoami).map_err(|e| e.to_string())?;
        match output.stdout.as_slice() {
            b"0\n" => Ok(()),
            _ => Err(format!("setuid does not count in {}", self.path.display())),
        }
    }

    /// A path in here. Nothing is made there.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file in here of this owner, mode and content.
    pub fn file(&self, name: &str, owner: u32, mode: u32, content: &str) -> PathBuf {
        let path = self.path(name);
        let make = || -> io::Result<()> {
            File::create_new(&path)?;
            fs::write(&path, content)?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            chown(&path, Some(owner), Some(owner))
        };
        make().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// A directory in here that belongs to the ordinary user.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = fs::create_dir(&path).and_then(|()| chown(&path, Some(ORDINARY), Some(ORDINARY)));
        made.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// The program under test, installed in here.
    pub fn install(&self, rights: Rights) -> PathBuf {
        let path = self.path("xymonping");
        copy(&program(), &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mode = if rights == Rights::Setuid { 0o4755 } else { 0o755 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is our file");
        if let Rights::Capabilities(text) = rights {
            let given = Command::new("setcap").arg(text).arg(&path).status();
            assert!(given.as_ref().is_ok_and(|status| status.success()), "setcap {text}: {given:?}");
        }
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies a program, in a process of its own: a child that another test starts just then would for a moment hold the new
/// file open for writing, and nobody can start a program that is being written.
fn copy(from: &(impl AsRef<OsStr> + ?Sized), to: &Path) -> io::Result<()> {
    let output = Command::new("cp").arg(from).arg(to).output()?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr))) }
}

/// Whether a program of the machine can be started at all.
fn find(tool: &str) -> Result<(), String> {
    let started = Command::new(tool).arg("--help").stdin(Stdio::null()).output();
    started.map(drop).map_err(|e| format!("cannot run `{tool}`: {e}"))
}
