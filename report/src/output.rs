//! Where outputs go: standard output, or a file that is replaced in one step.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Writes an output. A reader of the file sees the old one or the new one, never a part.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.as_os_str() == "-" {
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
    // A link stays, and what it leads to is replaced, or made if it leads nowhere.
    let beside = |to: PathBuf| file.parent().map_or(to.clone(), |parent| parent.join(to));
    let file = fs::canonicalize(file).or_else(|_| fs::read_link(file).map(beside)).unwrap_or_else(|_| file.to_owned());
    let old = fs::metadata(&file);
    if old.as_ref().is_ok_and(|found| !found.is_file()) {
        // A device or a pipe cannot be replaced.
        return OpenOptions::new().write(true).open(&file)?.write_all(bytes);
    }
    // Beside the file, since rename works within one file system only. The name does not end as the
    // file's does: node_exporter reads `*.prom`.
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", process::id()));
    let new = Path::new(&name);
    let write = || {
        // What another left there is not written to: it may be a link to anywhere.
        let _ = fs::remove_file(new);
        let mut out = OpenOptions::new().write(true).create_new(true).open(new)?;
        if let Ok(old) = &old {
            out.set_permissions(old.permissions())?;
        }
        out.write_all(bytes)?;
        out.sync_data()?;
        drop(out);
        fs::rename(new, &file)
    };
    let result = write();
    if result.is_err() {
        let _ = fs::remove_file(new);
    }
    result
}
