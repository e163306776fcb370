//! Programs of others that read what ours writes. A tool that is not there is no failure.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a tool on standard input; `None` if it is not there.
pub fn piped(mut command: Command, input: &str) -> Option<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    Some(String::from_utf8(output.stdout).expect("it writes text"))
}

/// Python with modules (`a, b`), from `XYMONPING_PYTHON` or the path; `None` if there is none.
pub fn python(modules: &str) -> Option<Command> {
    let python = std::env::var_os("XYMONPING_PYTHON").unwrap_or_else(|| "python3".into());
    let import = Command::new(&python).args(["-c", &format!("import {modules}")]).stderr(Stdio::null()).status();
    import.is_ok_and(|status| status.success()).then(|| Command::new(&python))
}
