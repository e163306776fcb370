//! The signs of `--flood`, as ping(8) has them: a dot for each probe, which the first answer takes
//! back. A second answer takes none back, or it would hide a loss.

use std::io::{self, Write};
use std::time::Duration;

use multiping::prober::{Event, ReplyKind};

use crate::figures::Figures;
use crate::report::EventLines;
use crate::report::hosts::Hosts;

/// As many dots as there are probes without an answer.
pub struct Flood;

impl EventLines for Flood {
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        _: Option<Duration>,
        figures: &Figures,
        _: &Hosts,
    ) -> io::Result<()> {
        // References are probed too, but shown nowhere.
        let is_target = |target| figures.addresses().get(target).is_some();
        match *event {
            Event::Sent { probe, .. } if is_target(probe.target) => out.write_all(b"."),
            Event::Received { kind: ReplyKind::Reply { target, .. }, .. } if is_target(target) => {
                out.write_all(b"\x08")
            }
            _ => Ok(()),
        }
    }
}
