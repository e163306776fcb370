//! Attempts that end without a reply, and whether this machine may be to blame for that.

use std::cell::Cell;
use std::time::Instant;

use crate::address::Address;
use crate::prober::paths::Excuse;
use crate::prober::slow_start::SlowStart;
use crate::prober::strategy::{Blame, Strategy, TimedOut};
use crate::prober::{MAX_DRAIN, Prober, QUEUE_RECOVERY_TIME, Route};

impl<S: Strategy> Prober<S> {
    /// Ends every attempt that has timed out by `now`. `route` returns the route to an address now,
    /// or `None` if there is none; `on_timeout` is called for each attempt.
    pub fn handle_timeouts(
        &mut self,
        now: Instant,
        mut route: impl FnMut(Address) -> Option<Route>,
        mut on_timeout: impl FnMut(TimedOut),
    ) {
        if self.slowed.is_some_and(|(_, recovery)| now >= recovery) {
            self.slowed = None;
            self.pacer.recover(now);
        }
        let last_excuse = Cell::new(None);
        let mut full_queue = None;
        let counts = &mut self.counts;
        let mut on_end = |timed_out: TimedOut| {
            counts.timeouts += 1;
            let is_excused = timed_out.timeout.is_excused();
            let refunds = match last_excuse.get() {
                None => &mut counts.overflow_refunds,
                Some(Excuse::Link) => &mut counts.link_refunds,
                Some(Excuse::Queue(index)) => {
                    full_queue = full_queue.or(is_excused.then_some(index));
                    &mut counts.queue_refunds
                }
                Some(Excuse::Discard) => &mut counts.discard_refunds,
                Some(Excuse::Reference) => &mut counts.reference_refunds,
            };
            *refunds += u64::from(is_excused);
            on_timeout(timed_out);
        };
        // An error is no silence: only the loss of the link excuses it, over which this machine may
        // have been unable to resolve the address.
        let blame_of_links = |address: Address, sent| {
            let excuse = self
                .paths
                .excuse(address.family(), sent, || route(address))
                .filter(|(excuse, _)| *excuse == Excuse::Link);
            last_excuse.set(excuse.map(|(excuse, _)| excuse));
            excuse.map_or(Blame::No, |(_, blame)| blame)
        };
        self.strategy.end_failed(blame_of_links, &mut on_end);
        let blame = |address: Address, sent| {
            let no_reference = !self.references.is_empty() && !self.references.answered_since(sent);
            let overflowed = self.overflow[address.family()].is_some_and(|overflow| overflow >= sent);
            let (excuse, blame) = match self.paths.excuse(address.family(), sent, || route(address)) {
                Some((excuse, Blame::Likely)) => (Some(excuse), Blame::Likely),
                _ if no_reference => (Some(Excuse::Reference), Blame::Likely),
                _ if overflowed => (None, Blame::Likely),
                Some((excuse, blame)) => (Some(excuse), blame),
                None => (None, Blame::No),
            };
            last_excuse.set(excuse);
            blame
        };
        self.strategy.expire(now, blame, on_end);
        if self.counts.timeouts > 0 {
            self.slow_start = SlowStart::Over;
        }
        if let Some(index) = full_queue {
            // What is sent now would only wait as well.
            self.drains_until = Some((index, now + MAX_DRAIN));
            self.slow_down(now, QUEUE_RECOVERY_TIME);
        }
    }
}
