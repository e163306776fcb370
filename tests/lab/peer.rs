//! Other programs in place of xymonping, and their options.
//!
//! The original takes the same options, but whole seconds only. fping takes letters and
//! milliseconds, so for a program called `fping` options are translated. Those without a letter are
//! passed unchanged, and refused by it; only `--debug` is left out.

use std::path::Path;

use super::program;

/// The arguments as the program under test takes them.
pub fn spelled<S: AsRef<str>>(args: &[S]) -> Vec<String> {
    let args: Vec<String> = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
    if is_fping() { fpings(args) } else { args }
}

/// Whether the program under test is fping. Its runs may complete with exit code 1 or 2.
pub fn is_fping() -> bool {
    Path::new(&program()).file_name().is_some_and(|name| name == "fping")
}

fn fpings(args: Vec<String>) -> Vec<String> {
    // Addresses and RTTs, which xymonping always prints.
    let mut spelled = vec!["-Ae".to_owned()];
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (name, value) = arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
        let letter = match name {
            "--debug" => continue,
            "--retries" => "-r",
            "--timeout" => "-t",
            "--max-pps" => "-i",
            "--source" => "-S",
            "--file" => "-f",
            _ => {
                spelled.push(arg);
                continue;
            }
        };
        let value = value.map(str::to_owned).or_else(|| args.next()).unwrap_or_default();
        let value = match (letter, value.parse::<f64>()) {
            ("-t", Ok(seconds)) => (seconds * 1000.0).to_string(),
            ("-i", Ok(pps)) if pps > 0.0 => (1000.0 / pps).to_string(),
            ("-i", _) if value == "unlimited" => "0".to_owned(),
            _ => value,
        };
        spelled.extend([letter.to_owned(), value]);
    }
    spelled
}
