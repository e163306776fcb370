//! The signs of `--flood`, as ping(8) has them: a dot for each probe, which the first answer takes
//! back. A second answer takes none back, or it would hide a loss.

use std::io::{self, Write};

use multiping::prober::{Event, ReplyKind};

use crate::report::{EventContext, EventLines};

/// As many dots as there are probes without an answer.
pub struct Flood;

impl EventLines for Flood {
    fn write(&mut self, out: &mut Vec<u8>, context: &EventContext) -> io::Result<()> {
        let EventContext { event, figures, .. } = *context;
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
