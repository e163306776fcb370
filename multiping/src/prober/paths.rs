//! What is known of the ways out of this machine, over time: links without a carrier, routes that
//! have gone, and packets that wait in a queue of ours. Probes that went that way prove nothing by
//! silence.

use std::time::{Duration, Instant};

/// How often to look at the interfaces and their queues while probes are in flight.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How often at most, even if probes time out all the time.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The least time between two looks, in multiples of what a look takes.
const MIN_LOOK_PAUSE: u32 = 20;

/// The state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's index of it.
    pub index: u32,
    /// Whether it is up and has a carrier. What the kernel accepts for one that has none is
    /// dropped.
    pub carrier: bool,
    /// How often it has lost the carrier.
    pub carrier_losses: u32,
}

/// Why the silence of a probe proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excuse {
    /// Its route has gone, or the link that it leads over lost its carrier.
    Link,
    /// Packets have waited in the queue of its interface ever since.
    Queue,
    /// No reference has answered since.
    Reference,
}

#[derive(Clone, Copy, Debug)]
struct History {
    interface: Interface,
    /// When it was last seen without a carrier, or to have lost it.
    lost_at: Option<Instant>,
    /// When its queue was last seen empty, and when with packets in it.
    empty_at: Option<Instant>,
    busy_at: Option<Instant>,
}

impl History {
    /// Whether every look at the queue since `sent` found packets, and there was one.
    fn was_queued(&self, sent: Instant) -> bool {
        self.busy_at.is_some_and(|busy| busy > sent) && self.empty_at.is_none_or(|empty| empty < sent)
    }

    fn was_lost(&self, sent: Instant) -> bool {
        !self.interface.carrier || self.lost_at.is_some_and(|lost| lost >= sent)
    }
}

/// What is known of the ways out.
#[derive(Debug, Default)]
pub(super) struct Paths {
    interfaces: Vec<History>,
    /// When a change of links or routes was last reported.
    changed_at: Option<Instant>,
    /// When they were last looked at, and how long that took.
    looked_at: Option<Instant>,
    look_cost: Duration,
    /// Whether an interface had no carrier at some time.
    was_lost: bool,
}

impl Paths {
    /// Whether to look now; `expiring`: a probe times out.
    pub(super) fn wants_look(&self, expiring: bool, now: Instant) -> bool {
        let interval = if expiring { MIN_LOOK_INTERVAL } else { LOOK_INTERVAL };
        // Where there are a thousand interfaces, a look takes milliseconds.
        let interval = interval.max(self.look_cost * MIN_LOOK_PAUSE);
        self.looked_at.is_none_or(|looked| now.saturating_duration_since(looked) >= interval)
    }

    /// A change of links or routes was reported.
    pub(super) fn handle_change(&mut self, now: Instant) {
        self.changed_at = Some(now);
    }

    /// The state of an interface that is up, at `now`.
    pub(super) fn handle_interface(&mut self, interface: Interface, now: Instant) {
        let lost = !interface.carrier;
        self.was_lost |= lost;
        match self.interfaces.iter_mut().find(|history| history.interface.index == interface.index) {
            Some(history) => {
                if lost || interface.carrier_losses != history.interface.carrier_losses {
                    history.lost_at = Some(now);
                }
                history.interface = interface;
            }
            None => {
                self.interfaces.push(History { interface, lost_at: lost.then_some(now), empty_at: None, busy_at: None })
            }
        }
    }

    /// The queue of an interface was looked at, and held this many packets.
    pub(super) fn handle_queue(&mut self, index: u32, packets: u32, now: Instant) {
        if let Some(history) = self.interfaces.iter_mut().find(|history| history.interface.index == index) {
            let seen_at = if packets == 0 { &mut history.empty_at } else { &mut history.busy_at };
            *seen_at = Some(now);
        }
    }

    /// A look is complete.
    pub(super) fn handle_looked(&mut self, now: Instant, cost: Duration) {
        self.looked_at = Some(now);
        self.look_cost = cost;
    }

    /// Whether the silence of a probe sent at `sent` may be excused, so that its route has to be
    /// asked for.
    fn may_excuse(&self, sent: Instant) -> bool {
        self.changed_at.is_some_and(|changed| changed >= sent)
            || self.was_lost
            || self.interfaces.iter().any(|history| history.was_queued(sent))
    }

    /// Why the silence of a probe sent at `sent` proves nothing, if so. `route` returns the
    /// interface that its route leads over now, or `None` if it has no route.
    pub(super) fn excuse(&self, sent: Instant, route: impl FnOnce() -> Option<u32>) -> Option<Excuse> {
        if !self.may_excuse(sent) {
            return None;
        }
        let Some(index) = route() else { return Some(Excuse::Link) };
        let history = self.interfaces.iter().find(|history| history.interface.index == index)?;
        if history.was_lost(sent) { Some(Excuse::Link) } else { history.was_queued(sent).then_some(Excuse::Queue) }
    }

    /// Whether packets wait in a queue, as of the last look.
    pub(super) fn is_queued(&self) -> bool {
        self.interfaces.iter().any(|history| history.busy_at > history.empty_at)
    }

    /// Whether a reply to a probe sent at `sent` may have waited in a queue of ours.
    pub(super) fn was_queued(&self, sent: Instant) -> bool {
        self.interfaces.iter().any(|history| history.was_queued(sent))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn interface(index: u32, carrier: bool, carrier_losses: u32) -> Interface {
        Interface { index, carrier, carrier_losses }
    }

    #[test]
    fn nothing_is_asked_while_nothing_changes() {
        let start = Instant::now();
        let mut paths = Paths::default();
        paths.handle_interface(interface(2, true, 0), start);
        paths.handle_queue(2, 0, start);
        assert_eq!(paths.excuse(start + MS, || panic!("no route is needed")), None);
    }

    #[test]
    fn a_link_that_lost_its_carrier_excuses_what_was_sent_before_and_meanwhile() {
        let start = Instant::now();
        let mut paths = Paths::default();
        paths.handle_interface(interface(2, true, 0), start);
        paths.handle_interface(interface(3, true, 0), start);
        paths.handle_interface(interface(2, false, 1), start + 10 * MS);
        assert_eq!(paths.excuse(start, || Some(2)), Some(Excuse::Link));
        assert_eq!(paths.excuse(start + 20 * MS, || Some(2)), Some(Excuse::Link), "it has none yet");
        assert_eq!(paths.excuse(start, || Some(3)), None, "another interface means nothing");
        paths.handle_interface(interface(2, true, 1), start + 30 * MS);
        assert_eq!(paths.excuse(start + 31 * MS, || Some(2)), None);
        // It went and came back between two looks.
        paths.handle_interface(interface(2, true, 2), start + 40 * MS);
        assert_eq!(paths.excuse(start + 31 * MS, || Some(2)), Some(Excuse::Link));
        assert_eq!(paths.excuse(start + 41 * MS, || Some(2)), None);
    }

    #[test]
    fn a_route_that_has_gone_excuses_what_was_sent_before() {
        let start = Instant::now();
        let mut paths = Paths::default();
        paths.handle_interface(interface(2, true, 0), start);
        paths.handle_change(start + 10 * MS);
        assert_eq!(paths.excuse(start, || None), Some(Excuse::Link));
        assert_eq!(paths.excuse(start, || Some(2)), None, "it was another route");
        assert_eq!(paths.excuse(start + 11 * MS, || panic!("no route is needed")), None);
    }

    #[test]
    fn a_queue_excuses_only_if_it_was_never_seen_empty() {
        let start = Instant::now();
        let mut paths = Paths::default();
        paths.handle_interface(interface(2, true, 0), start);
        paths.handle_queue(2, 0, start);
        for ms in [10, 20, 30] {
            paths.handle_queue(2, 5, start + ms * MS);
        }
        assert_eq!(paths.excuse(start + 5 * MS, || Some(2)), Some(Excuse::Queue));
        assert_eq!(paths.excuse(start + 35 * MS, || Some(2)), None, "it was not looked at since");
        paths.handle_queue(2, 0, start + 40 * MS);
        assert_eq!(paths.excuse(start + 5 * MS, || Some(2)), None);
        assert!(!paths.was_queued(start + 5 * MS));
    }
}
