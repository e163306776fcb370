//! The program as installed by root, started by an ordinary user.
//!
//! These scenes need real root, which can change its user id, make files setuid and give them
//! capabilities; a user namespace is not enough. [`play`] skips a scene without real root, or
//! without a tool that the scene names.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Lab, program, skip, test_name};

/// The user and the group that start the program in these scenes: nobody.
pub const ORDINARY: u32 = 65_534;

/// What the program file grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Nothing.
    None,
    /// Root's user id (mode 4755).
    Setuid,
    /// These file capabilities, as setcap(8) takes them.
    Capabilities(&'static str),
}

/// Plays a scene like [`super::play`], with real root and a directory to install the program in.
/// `tools` are the programs that the scene needs.
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

/// A command started by an ordinary user, with no privileges but those that the program file
/// grants.
pub fn ordinary(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    // With a user, std also clears the supplementary groups.
    command.uid(ORDINARY).gid(ORDINARY);
    command
}

/// The same with NET_RAW as an ambient capability. It takes `setpriv`.
pub fn with_net_raw(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={ORDINARY}")).arg(format!("--regid={ORDINARY}")).arg("--clear-groups");
    command.args(["--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw"]).arg(program);
    command
}

/// A directory for one scene, which any user can reach, on a file system that is not mounted
/// nosuid. It is removed with its contents.
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// A new one; needs real root. The error says what is missing. For benchmarks, which have no
    /// [`play`].
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
            // Only for root until it is known to be new, then readable for all users.
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

    /// Whether a setuid program in this directory runs as root.
    fn check(&self) -> Result<(), String> {
        let setuid_id = self.path.join("id");
        ["/usr/bin/id", "/bin/id"]
            .iter()
            .find(|id| copy(id, &setuid_id).is_ok())
            .ok_or("no id(1) to try setuid with")?;
        fs::set_permissions(&setuid_id, Permissions::from_mode(0o4755)).map_err(|e| e.to_string())?;
        let output = ordinary(&setuid_id).arg("-u").output().map_err(|e| format!("{}: {e}", setuid_id.display()))?;
        fs::remove_file(&setuid_id).map_err(|e| e.to_string())?;
        match output.stdout.as_slice() {
            b"0\n" => Ok(()),
            _ => Err(format!("setuid has no effect in {}", self.path.display())),
        }
    }

    /// A path in this directory, where nothing is made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A file with this owner, mode and content.
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

    /// A directory that belongs to the ordinary user.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        let made = fs::create_dir(&path).and_then(|()| chown(&path, Some(ORDINARY), Some(ORDINARY)));
        made.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        path
    }

    /// The program under test, installed in this directory.
    pub fn install(&self, rights: Rights) -> PathBuf {
        let path = self.path("xymonping");
        copy(&program(), &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mode = if rights == Rights::Setuid { 0o4755 } else { 0o755 };
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is our file");
        if let Rights::Capabilities(text) = rights {
            let set = Command::new("setcap").arg(text).arg(&path).status();
            assert!(set.as_ref().is_ok_and(|status| status.success()), "setcap {text}: {set:?}");
        }
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed does no harm.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies a program, in another process: a child that another test starts at that moment would
/// inherit the descriptor, and a file that is open for writing cannot be executed.
fn copy(from: &(impl AsRef<OsStr> + ?Sized), to: &Path) -> io::Result<()> {
    let output = Command::new("cp").arg(from).arg(to).output()?;
    if output.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr))) }
}

/// Fails if this program cannot be started.
fn find(tool: &str) -> Result<(), String> {
    let started = Command::new(tool).arg("--help").stdin(Stdio::null()).output();
    started.map(drop).map_err(|e| format!("cannot run `{tool}`: {e}"))
}
