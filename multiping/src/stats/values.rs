//! `--values`: every RTT of a target, in the order of its probes.

use std::time::Duration;

use crate::alloc::{OutOfMemory, try_filled};
use crate::stats::rtts::{MAX_TICKS, ticks};
use crate::tally::TICK;

/// A probe without an RTT.
const NONE: u32 = MAX_TICKS + 1;

/// The RTT of the first reply to each probe: 4 bytes a probe, allocated at the start.
#[derive(Debug)]
pub struct Values(Box<[u32]>);

impl Values {
    /// Allocates memory for this many probes.
    pub fn new(count: usize) -> Result<Self, OutOfMemory> {
        Ok(Values(try_filled(count, NONE)?.into_boxed_slice()))
    }

    /// Keeps the RTT of a probe. A further one of the same probe is a duplicate's, and ignored.
    pub fn record(&mut self, attempt: u32, rtt: Duration) {
        match usize::try_from(attempt).ok().and_then(|attempt| self.0.get_mut(attempt)) {
            Some(value) if *value == NONE => *value = ticks(rtt),
            _ => {}
        }
    }

    /// The RTT of each probe, from the first; `None` where there was no answer.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<Duration>> {
        self.0.iter().map(|&value| (value != NONE).then(|| TICK * value))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

    use super::*;

    #[test]
    fn values_stand_in_the_order_of_the_probes_with_gaps_for_those_without_an_answer() {
        let mut values = Values::new(5).unwrap();
        values.record(4, Duration::from_secs(1000));
        values.record(0, Duration::from_nanos(365_199));
        values.record(2, Duration::ZERO);
        values.record(2, Duration::from_secs(1)); // a duplicate
        values.record(5, Duration::from_secs(1)); // beyond the count
        let expected = [Some(365_100), None, Some(0), None, Some(214_748_364_700)];
        assert!(values.iter().eq(expected.map(|nanos| nanos.map(Duration::from_nanos))));
        assert_eq!(Values::new(0).unwrap().iter().len(), 0);
    }
}
