//! The manual page has the options of the table, and no other.

use std::collections::BTreeSet;
use std::fs;

use xymonping::cli::fping::ROWS;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fping.1");

#[test]
fn the_manual_has_every_option_and_no_other() {
    let page = fs::read_to_string(PAGE).expect("there is a manual page");
    let options = page.lines().skip_while(|line| *line != ".Sh OPTIONS").take_while(|line| *line != ".Sh OUTPUT");
    let documented: BTreeSet<String> =
        options.filter_map(|line| line.strip_prefix(".It ")).map(str::to_owned).collect();
    let accepted = ROWS.iter().map(|row| {
        let long = row.long.map(|long| format!("-{long}"));
        let names: Vec<_> = row.short.map(String::from).into_iter().chain(long).collect();
        let value = row.value.map_or(String::new(), |value| format!(" Ar {value}"));
        format!("Fl {}{value}", names.join(" , "))
    });
    assert_eq!(documented, accepted.collect());
}
