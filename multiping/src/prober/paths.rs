//! What is known of the ways out of this machine, over time: links without a carrier, routes that
//! have gone, packets that wait in a queue of ours, and packets that we have dropped ourselves.
//! Probes that went that way prove nothing by silence.

use std::time::{Duration, Instant};

use crate::address::Family;
use crate::prober::discards::Discards;
use crate::prober::links::{Interface, LOOK_INTERVAL, Links, Route};
use crate::prober::strategy::Blame;

/// How often at most, even if probes time out all the time.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The least time between two looks, in multiples of what a look takes.
const MIN_LOOK_PAUSE: u32 = 20;

/// The most time between two looks: the kernel may once hold a look up for seconds, while others
/// change its interfaces.
const MAX_LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Why the silence of a probe proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Excuse {
    /// Its route has gone, or the link that it leads over lost its carrier.
    Link,
    /// Packets have waited ever since in the queue of this interface, which it leads over.
    Queue(u32),
    /// This machine may have dropped it, and the kernel has returned success.
    Discard,
    /// No reference has answered since.
    Reference,
}

/// The queue of an interface.
#[derive(Clone, Copy, Debug)]
struct Backlog {
    index: u32,
    /// When it was last seen empty, and when with packets in it.
    empty_at: Option<Instant>,
    busy_at: Option<Instant>,
}

impl Backlog {
    /// Whether every look at the queue since `sent` found packets, and there was one.
    fn was_queued(&self, sent: Instant) -> bool {
        self.busy_at.is_some_and(|busy| busy > sent) && self.empty_at.is_none_or(|empty| empty < sent)
    }

    /// Whether a look at the queue since `sent` found packets.
    fn was_busy(&self, sent: Instant) -> bool {
        self.busy_at.is_some_and(|busy| busy >= sent)
    }
}

/// What is known of the ways out.
#[derive(Debug, Default)]
pub(super) struct Paths {
    links: Links,
    backlogs: Vec<Backlog>,
    discards: Discards,
    /// Whether a change of links, addresses or routes was reported.
    has_changed: bool,
    /// Whether probes of IPv6 leave without a source address that replies could reach, as of the
    /// last look, and when that was last seen, or seen to be over.
    lacks_source: bool,
    lacked_source_at: Option<Instant>,
    /// When they were last looked at, and how long that took.
    looked_at: Option<Instant>,
    look_cost: Duration,
}

impl Paths {
    /// Whether to look now; `expiring`: a probe times out.
    pub(super) fn wants_look(&self, expiring: bool, now: Instant) -> bool {
        // What was dropped may have been too much for a queue, which is not full for long.
        let has_dropped = self.looked_at.zip(self.discards.last_rise()).is_some_and(|(looked, rise)| looked < rise);
        let interval = if expiring || has_dropped { MIN_LOOK_INTERVAL } else { LOOK_INTERVAL };
        // Where there are a thousand interfaces, a look takes milliseconds.
        let pause = self.look_cost.saturating_mul(MIN_LOOK_PAUSE).min(MAX_LOOK_PAUSE);
        let interval = interval.max(pause);
        self.looked_at.is_none_or(|looked| now.saturating_duration_since(looked) >= interval)
    }

    /// What is known of packets that this machine drops without telling us.
    pub(super) fn discards(&self) -> &Discards {
        &self.discards
    }

    /// The same, to change it.
    pub(super) fn discards_mut(&mut self) -> &mut Discards {
        &mut self.discards
    }

    /// A change of links or routes was reported.
    pub(super) fn handle_change(&mut self) {
        self.has_changed = true;
    }

    /// The state of an interface at `now`: see [`Links::handle_interface`].
    pub(super) fn handle_interface(&mut self, interface: Interface, now: Instant) {
        self.links.handle_interface(interface, now);
    }

    /// Whether probes of IPv6 leave without a source address that replies could reach, at `now`.
    pub(super) fn handle_source(&mut self, lacks_source: bool, now: Instant) {
        if self.lacks_source || lacks_source {
            self.lacked_source_at = Some(now);
        }
        self.lacks_source = lacks_source;
    }

    /// Whether a probe sent at `sent` may have left so.
    fn lacked_source(&self, sent: Instant) -> bool {
        self.lacks_source || self.lacked_source_at.is_some_and(|lacked| lacked >= sent)
    }

    /// The route to a target at `now`.
    pub(super) fn handle_route(&mut self, route: &Route, now: Instant) {
        route.hops().for_each(|hop| self.links.mark_used(hop, now));
    }

    /// The queue of an interface was looked at, and held this many packets.
    pub(super) fn handle_queue(&mut self, index: u32, packets: u32, now: Instant) {
        let place = self.backlogs.iter().position(|backlog| backlog.index == index).unwrap_or_else(|| {
            self.backlogs.push(Backlog { index, empty_at: None, busy_at: None });
            self.backlogs.len() - 1
        });
        let backlog = &mut self.backlogs[place];
        let seen_at = if packets == 0 { &mut backlog.empty_at } else { &mut backlog.busy_at };
        *seen_at = Some(now);
    }

    /// A look is complete.
    pub(super) fn handle_looked(&mut self, now: Instant, cost: Duration) {
        self.links.handle_looked(now);
        self.looked_at = Some(now);
        self.look_cost = cost;
    }

    /// Whether the silence of a probe of `family` sent at `sent` may be excused, so that its route
    /// has to be asked for.
    fn may_excuse(&self, family: Family, sent: Instant) -> bool {
        self.has_changed || self.links.was_lost() || self.was_queued(sent) || self.was_discarded(family, sent)
    }

    /// Whether this machine may have dropped a probe of `family` that was sent at `sent` without
    /// telling us.
    fn was_discarded(&self, family: Family, sent: Instant) -> bool {
        family == Family::V6 && self.discards.had_any(sent)
    }

    /// Why the silence of a probe of `family` sent at `sent` proves nothing, if so, and how much
    /// that weighs. `route` returns its route now; `None`: it has none.
    pub(super) fn excuse(
        &self,
        family: Family,
        sent: Instant,
        route: impl FnOnce() -> Option<Route>,
    ) -> Option<(Excuse, Blame)> {
        if !self.may_excuse(family, sent) {
            return None;
        }
        if family == Family::V6 && self.lacked_source(sent) {
            return Some((Excuse::Link, Blame::Likely));
        }
        let Some(route) = route() else { return Some((Excuse::Link, Blame::Likely)) };
        let blame = self.links.blame(&route, sent);
        let was_discarded = self.was_discarded(family, sent);
        let leads_over = |index| route.hops().any(|hop| self.links.leads_over(&route, hop, index));
        // What was dropped was too much for the queue, if that was in use.
        let is_full = |backlog: &Backlog| was_discarded && backlog.was_busy(sent);
        let mut queued = self.backlogs.iter().filter(|backlog| backlog.was_queued(sent) || is_full(backlog));
        match queued.find(|backlog| leads_over(backlog.index)) {
            Some(backlog) if blame < Blame::Likely => Some((Excuse::Queue(backlog.index), Blame::Likely)),
            _ if was_discarded && blame < Blame::Likely => Some((Excuse::Discard, Blame::Likely)),
            _ => (blame > Blame::No).then_some((Excuse::Link, blame)),
        }
    }

    /// Whether packets wait in the queue of this interface, as of the last look.
    pub(super) fn is_queued(&self, index: u32) -> bool {
        self.backlogs.iter().any(|backlog| backlog.index == index && backlog.busy_at > backlog.empty_at)
    }

    /// Whether a queue of ours was ever seen with packets in it.
    pub(super) fn have_queued(&self) -> bool {
        self.backlogs.iter().any(|backlog| backlog.busy_at.is_some())
    }

    /// Whether a reply to a probe sent at `sent` may have waited in a queue of ours.
    pub(super) fn was_queued(&self, sent: Instant) -> bool {
        self.backlogs.iter().any(|backlog| backlog.was_queued(sent))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    const QUEUED: Option<(Excuse, Blame)> = Some((Excuse::Queue(2), Blame::Likely));

    fn paths(interfaces: &[Interface], now: Instant) -> Paths {
        let mut paths = Paths::default();
        interfaces.iter().for_each(|&interface| paths.handle_interface(interface, now));
        paths
    }

    fn over(index: u32) -> Option<Route> {
        Some(Route::over(index))
    }

    #[test]
    fn probes_of_ipv6_from_no_address_of_ours_prove_nothing() {
        let start = Instant::now();
        let mut paths = paths(&[], start);
        paths.handle_change();
        paths.handle_source(false, start);
        paths.handle_source(true, start + 100 * MS);
        let excuse = |paths: &Paths, family, ms| paths.excuse(family, start + ms * MS, || over(2));
        assert_eq!(excuse(&paths, Family::V6, 150), Some((Excuse::Link, Blame::Likely)));
        assert_eq!(excuse(&paths, Family::V4, 150), None);
        paths.handle_source(false, start + 200 * MS);
        paths.handle_source(false, start + 300 * MS);
        assert_eq!(excuse(&paths, Family::V6, 199), Some((Excuse::Link, Blame::Likely)), "until it is seen to be back");
        assert_eq!(excuse(&paths, Family::V6, 201), None);
    }

    #[test]
    fn looks_that_take_long_are_rarer_but_do_not_end() {
        let start = Instant::now();
        let mut paths = Paths::default();
        for (cost, expiring, pause) in
            [(0, true, 1), (0, false, 100), (2, true, 40), (20, false, 400), (7000, true, 1000)]
        {
            paths.handle_looked(start, cost * MS);
            let wants = [pause - 1, pause].map(|ms| paths.wants_look(expiring, start + ms * MS));
            assert_eq!(wants, [false, true], "{cost}");
        }
    }

    #[test]
    fn nothing_is_asked_while_nothing_changes() {
        let start = Instant::now();
        let mut paths = paths(&[Interface { index: 2, carrier: true, ..Interface::default() }], start);
        paths.handle_queue(2, 0, start);
        assert_eq!(paths.excuse(Family::V4, start + MS, || panic!("no route is needed")), None);
    }

    #[test]
    fn a_route_that_has_gone_is_an_excuse() {
        let start = Instant::now();
        let mut paths = paths(&[Interface { index: 2, carrier: true, ..Interface::default() }], start);
        assert_eq!(paths.excuse(Family::V4, start, || panic!("no route is needed")), None);
        paths.handle_change();
        assert_eq!(paths.excuse(Family::V4, start, || None), Some((Excuse::Link, Blame::Likely)));
        assert_eq!(paths.excuse(Family::V4, start, || over(2)), None, "it was another route");
    }

    #[test]
    fn probes_of_ipv6_that_this_machine_may_have_dropped_prove_nothing() {
        let start = Instant::now();
        let mut paths = paths(&[], start);
        for (ms, count) in [(0, 0), (10, 1), (20, 1)] {
            paths.discards_mut().record(Some(count), start + ms * MS);
        }
        let excuse = |family, ms| paths.excuse(family, start + ms * MS, || over(2));
        assert_eq!(excuse(Family::V6, 5), Some((Excuse::Discard, Blame::Likely)));
        assert_eq!(excuse(Family::V6, 15), None, "nothing was dropped then");
        assert_eq!(excuse(Family::V6, 21), None, "not counted, as when the counter cannot be read");
        assert_eq!([5, 21].map(|ms| excuse(Family::V4, ms)), [None; 2], "of IPv4 the kernel tells");
    }

    #[test]
    fn what_is_dropped_was_too_much_for_a_queue_that_is_in_use() {
        let start = Instant::now();
        let mut paths = paths(&[], start);
        paths.discards_mut().record(Some(0), start);
        paths.discards_mut().record(Some(1), start + 10 * MS);
        for (index, ms, packets) in [(2, 10, 5), (2, 20, 0), (3, 20, 0)] {
            paths.handle_queue(index, packets, start + ms * MS);
        }
        let excuse = |index| paths.excuse(Family::V6, start + 5 * MS, || over(index));
        assert_eq!(excuse(2), QUEUED, "although it was empty since");
        assert_eq!(excuse(3), Some((Excuse::Discard, Blame::Likely)));
    }

    #[test]
    fn a_queue_excuses_only_if_it_was_never_seen_empty() {
        let start = Instant::now();
        let mut paths = paths(&[], start);
        paths.handle_queue(2, 0, start);
        for ms in [10, 20, 30] {
            paths.handle_queue(2, 5, start + ms * MS);
        }
        assert_eq!(paths.excuse(Family::V4, start + 5 * MS, || over(2)), QUEUED);
        assert_eq!(paths.excuse(Family::V4, start + 5 * MS, || over(3)), None, "another queue");
        assert_eq!(paths.excuse(Family::V4, start + 35 * MS, || over(2)), None, "it was not looked at since");
        paths.handle_queue(2, 0, start + 40 * MS);
        assert_eq!(paths.excuse(Family::V4, start + 5 * MS, || over(2)), None);
        assert!(!paths.was_queued(start + 5 * MS));
        paths.handle_queue(3, 5, start + 50 * MS);
        assert_eq!([2, 3].map(|index| paths.is_queued(index)), [false, true]);
    }

    #[test]
    fn a_queue_beneath_the_interface_of_the_route_counts() {
        let start = Instant::now();
        let port = Interface { index: 2, carrier: true, master: Some(3), ..Interface::default() };
        let master = |is_bridge| Interface { index: 3, carrier: true, is_bridge, ..Interface::default() };
        let vlan = Interface { index: 4, carrier: true, link: Some(3), ..Interface::default() };
        for (is_bridge, behind, expected) in
            [(false, None, QUEUED), (true, Some(2), QUEUED), (true, Some(9), None), (true, None, None)]
        {
            let mut paths = paths(&[port, master(is_bridge), vlan], start);
            paths.handle_queue(2, 5, start + MS);
            for index in [3, 4] {
                let mut route = Route::over(index);
                route.port = behind;
                assert_eq!(paths.excuse(Family::V4, start, || Some(route)), expected, "{is_bridge} {behind:?}");
            }
        }
    }
}
