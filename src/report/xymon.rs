//! The lines that Xymon reads: one for each line of the list.
//!
//! They are a contract: Xymon reads them with `sscanf` and `strstr`, graphs the number in the
//! brackets, and shows the text on its pages (xymonnet.c `finish_ping_service`, do_net.c
//! `do_net_rrd`).

use std::io::{self, Write};
use std::time::Duration;

use multiping::address::Address;
use multiping::tally::Verdict;

use crate::report::{Lines, Results};

/// Writes a line for each line of the list, in its order.
pub(super) fn write(results: &Results, lines: Lines, out: &mut impl Write) -> io::Result<()> {
    let mut text = Vec::with_capacity(128);
    for ((target, shown), line) in results.targets().zip(0..) {
        let address = shown.address();
        let rtt = match results.swept.verdict(target) {
            Verdict::Alive(rtt) if matches!(lines, Lines::All | Lines::Alive) => Some(rtt),
            verdict
                if matches!(lines, Lines::All | Lines::Unreachable)
                    && results.diagnosis.is_unreachable(verdict, address.family()) =>
            {
                None
            }
            _ => continue,
        };
        text.clear();
        match (results.lines.name(line), address) {
            (Some(name), _) => write!(text, "{name} ({shown})")?,
            (None, Address::V4(ip)) => push_ipv4(&mut text, ip.octets()),
            (None, Address::V6(..)) => write!(text, "{shown}")?,
        }
        match rtt {
            Some(rtt) => push_alive(&mut text, rtt),
            None => text.extend_from_slice(b" is unreachable\n"),
        }
        out.write_all(&text)?;
    }
    Ok(())
}

/// An RTT as Xymon reads it: whole microseconds below 3 ms, but at least 1; tenths of milliseconds
/// from there on; halves rounded up.
fn push_alive(text: &mut Vec<u8>, rtt: Duration) {
    let usec = ((rtt.as_nanos() as u64 + 500) / 1000).max(1);
    text.extend_from_slice(b" is alive (");
    if usec < 3000 {
        push_number(text, usec);
        text.extend_from_slice(b" usec)\n");
    } else {
        let tenths = (usec + 50) / 100;
        push_number(text, tenths / 10);
        text.push(b'.');
        push_number(text, tenths % 10);
        text.extend_from_slice(b" ms)\n");
    }
}

fn push_ipv4(text: &mut Vec<u8>, octets: [u8; 4]) {
    for (nth, octet) in octets.into_iter().enumerate() {
        if nth > 0 {
            text.push(b'.');
        }
        push_number(text, octet.into());
    }
}

/// The digits of a number. Lines made so take half as long as by `fmt`.
fn push_number(text: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_number(text, number / 10);
    }
    text.push(b'0' + (number % 10) as u8);
}
