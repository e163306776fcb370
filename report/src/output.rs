//! Where outputs go: standard output, or a file that is replaced in one step.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::process;

/// Writes an output. A reader of the file sees the old one or the new one, never a part.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    if file.as_os_str() == "-" {
        let mut stdout = io::stdout().lock();
        return stdout.write_all(bytes).and_then(|()| stdout.flush());
    }
    // A link stays, and what it leads to is replaced.
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if fs::metadata(&file).is_ok_and(|found| !found.is_file()) {
        // A device or a pipe cannot be replaced.
        return OpenOptions::new().write(true).open(&file)?.write_all(bytes);
    }
    // Beside the file, since rename works within one file system only. The name does not end as the
    // file's does: node_exporter reads `*.prom`.
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.new", process::id()));
    let new = Path::new(&name);
    let write = || {
        let mut out = OpenOptions::new().write(true).create(true).truncate(true).open(new)?;
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
