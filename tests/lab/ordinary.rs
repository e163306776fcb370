//! The program in the hands of an ordinary user.
//!
//! The build directory may be closed to others, so the program is copied to where everybody may run it, with the mode
//! that the test wants, and `setpriv` becomes nobody. Where that cannot be done (a user namespace has no nobody) the
//! error says why.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::statvfs::{FsFlags, statvfs};

use super::program;

/// The user and group that nobody is.
pub const NOBODY: u32 = 65_534;

/// A copy of the program that is removed in the end.
pub struct Installed {
    directory: PathBuf,
}

impl Installed {
    /// Copies the program, owned by root and of this mode: 0o755, or 0o4755 for setuid root.
    pub fn new(mode: u32) -> Result<Installed, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("xymonping-lab-{}-{number}", process::id()));
        fs::create_dir(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let installed = Installed { directory };
        fs::set_permissions(&installed.directory, PermissionsExt::from_mode(0o755)).map_err(|e| e.to_string())?;
        let flags = statvfs(&installed.directory).map_err(|e| format!("statvfs: {e}"))?.flags();
        if mode & 0o4000 != 0 && flags.contains(FsFlags::ST_NOSUID) {
            return Err(format!("{} is mounted nosuid", env::temp_dir().display()));
        }
        // Not by ourselves: another thread may be starting a process just now, which would hold the copy open for
        // writing, and then it cannot be run.
        succeed(Command::new("install").args(["-m", &format!("{mode:o}")]).arg(program()).arg(installed.path()))?;
        succeed(installed.nobody(&[], OsStr::new("test")).arg("-x").arg(installed.path()))?;
        Ok(installed)
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join("xymonping")
    }

    /// The copy, to be run by nobody, who holds these capabilities (`net_raw`) as ambient ones.
    pub fn command(&self, capabilities: &[&str]) -> Command {
        self.nobody(capabilities, self.path().as_os_str())
    }

    fn nobody(&self, capabilities: &[&str], program: &OsStr) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={NOBODY}")).arg(format!("--regid={NOBODY}")).arg("--clear-groups");
        let held = capabilities.iter().map(|capability| format!(",+{capability}")).collect::<String>();
        if !held.is_empty() {
            command.arg(format!("--inh-caps=-all{held}")).arg(format!("--ambient-caps=-all{held}"));
        }
        command.arg(program);
        command
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // What is left behind lies in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|e| format!("cannot run `{name}`: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {} {}", output.status, said.trim())) }
}
