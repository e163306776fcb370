//! The links of this machine over time: which had no carrier while a probe was on its way.
//!
//! What a route names may be a bridge, a bond or a VLAN, which keeps its carrier while the cable of
//! a port of it, or of what it lies upon, is out. What is known of those counts as well.

use std::time::{Duration, Instant};

use crate::prober::strategy::Blame;

/// How often to look at the interfaces and their queues while probes are in flight.
pub const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The state of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's index of it.
    pub index: u32,
    /// Whether it is up and has a carrier. What the kernel accepts for one that has none is
    /// dropped.
    pub carrier: bool,
    /// How often it has lost the carrier.
    pub carrier_losses: u32,
    /// The bridge, bond or the like that it is a port of.
    pub master: Option<u32>,
    /// The interface that it lies upon, as a VLAN does, or the other end of the pair that it is of.
    pub link: Option<u32>,
    /// Whether it is a bridge, which sends to one port or another.
    pub is_bridge: bool,
}

impl Interface {
    /// The index of the interface that this one lies upon, if it does. `find` finds one by its
    /// index.
    pub(crate) fn beneath(&self, find: impl FnOnce(u32) -> Option<Interface>) -> Option<u32> {
        let other = find(self.link?)?;
        // Of a pair the other end may be a port.
        let is_pair = other.link == Some(self.index);
        if is_pair { other.master } else { Some(other.index) }
    }
}

/// The most interfaces of a [`Route`].
const MAX_HOPS: usize = 8;

/// The route to an address, now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// The interfaces of its next hops.
    hops: [Option<u32>; MAX_HOPS],
    /// Whether its next hop is a router.
    pub via_router: bool,
    /// Over a bridge: the port that its next hop is known to be behind.
    pub port: Option<u32>,
}

impl Route {
    /// A route over this interface.
    pub fn over(interface: u32) -> Self {
        let mut route = Route::default();
        route.push(interface);
        route
    }

    /// Adds the interface of another next hop. What is more than fits is left out.
    pub fn push(&mut self, interface: u32) {
        let is_new = !self.hops().any(|hop| hop == interface);
        if let Some(free) = self.hops.iter_mut().find(|hop| hop.is_none()).filter(|_| is_new) {
            *free = Some(interface);
        }
    }

    /// The interfaces of its next hops. Which of several a packet takes depends on a hash of its
    /// addresses that only the kernel knows.
    pub fn hops(&self) -> impl Iterator<Item = u32> {
        self.hops.iter().flatten().copied()
    }
}

/// How many interfaces may lie upon each other.
pub(crate) const MAX_DEPTH: u32 = 4;

#[derive(Clone, Copy, Debug)]
struct Link {
    interface: Interface,
    /// When it was last reported.
    seen_at: Instant,
    /// When it was last seen without a carrier, or to have lost it or got it back.
    lost_at: Option<Instant>,
    /// When it was last seen to have lost the carrier that it had.
    dropped_at: Option<Instant>,
    /// When a port of it was last removed.
    port_removed_at: Option<Instant>,
    /// When the route to a target last led over it.
    used_at: Option<Instant>,
    /// Whether it is down, or does not exist any more.
    is_gone: bool,
}

impl Link {
    fn was_lost(&self, sent: Instant) -> bool {
        !self.interface.carrier || self.lost_at.is_some_and(|lost| lost >= sent)
    }

    fn has_dropped(&self, sent: Instant) -> bool {
        self.dropped_at.is_some_and(|dropped| dropped >= sent)
    }

    /// Whether a probe sent at `sent` may have been lost here, although its route leads over
    /// another link now.
    fn was_left(&self, sent: Instant) -> bool {
        self.used_at.is_some_and(|used| self.has_dropped(sent) || sent <= used + LOOK_INTERVAL && self.was_lost(sent))
    }

    fn lose(&mut self, now: Instant) {
        self.interface.carrier = false;
        (self.lost_at, self.dropped_at) = (Some(now), Some(now));
    }
}

/// The links of this machine.
#[derive(Debug, Default)]
pub(super) struct Links {
    links: Vec<Link>,
    /// Whether any had no carrier at some time.
    was_lost: bool,
}

impl Links {
    /// The state of an interface at `now`.
    pub(super) fn handle_interface(&mut self, interface: Interface, now: Instant) {
        self.was_lost |= !interface.carrier;
        let Some(link) = self.links.iter_mut().find(|link| link.interface.index == interface.index) else {
            return self.links.push(Link {
                interface,
                seen_at: now,
                lost_at: (!interface.carrier).then_some(now),
                dropped_at: None,
                port_removed_at: None,
                used_at: None,
                is_gone: false,
            });
        };
        let before = link.interface;
        let has_dropped = before.carrier && !interface.carrier || before.carrier_losses != interface.carrier_losses;
        if has_dropped {
            link.dropped_at = Some(now);
        }
        if has_dropped || !interface.carrier || !before.carrier {
            // One that has a carrier again may have been without it until now.
            link.lost_at = Some(now);
        }
        (link.interface, link.seen_at, link.is_gone) = (interface, now, false);
        if before.master != interface.master {
            self.handle_port_removed(before.master, now);
        }
    }

    /// All interfaces have been reported at `now`. What was not is down or gone.
    pub(super) fn handle_looked(&mut self, now: Instant) {
        for place in 0..self.links.len() {
            let link = &mut self.links[place];
            if link.seen_at != now && !link.is_gone {
                link.is_gone = true;
                link.lose(now);
                self.was_lost = true;
                let master = link.interface.master.take();
                self.handle_port_removed(master, now);
            }
        }
    }

    fn handle_port_removed(&mut self, master: Option<u32>, now: Instant) {
        if let Some(link) = self.links.iter_mut().find(|link| Some(link.interface.index) == master) {
            link.port_removed_at = Some(now);
        }
    }

    /// The route to a target led over this interface at `now`.
    pub(super) fn mark_used(&mut self, index: u32, now: Instant) {
        if let Some(link) = self.links.iter_mut().find(|link| link.interface.index == index) {
            link.used_at = Some(now);
        }
    }

    /// Whether any interface had no carrier at some time.
    pub(super) fn was_lost(&self) -> bool {
        self.was_lost
    }

    /// Whether links may be to blame for the silence of a probe that was sent at `sent`, to an
    /// address with this route.
    pub(super) fn blame(&self, route: &Route, sent: Instant) -> Blame {
        let now = route.hops().map(|hop| self.blame_of(hop, route, sent, MAX_DEPTH)).max().unwrap_or_default();
        // It may have left over another link, whose loss has changed its route.
        let before = self.links.iter().any(|link| link.was_left(sent));
        now.max(if before { Blame::Possible } else { Blame::No })
    }

    /// Whether packets by `route` to its next hop `hop` may wait in the queue of `index`.
    pub(super) fn leads_over(&self, route: &Route, hop: u32, index: u32) -> bool {
        self.leads_over_at(route, hop, index, MAX_DEPTH)
    }

    fn leads_over_at(&self, route: &Route, hop: u32, index: u32, depth: u32) -> bool {
        if hop == index || depth == 0 {
            return hop == index;
        }
        let Some(link) = self.find(hop) else { return false };
        // Of a bridge that is known only where the port is: others may be jammed.
        let is_port = self.find(index).is_some_and(|other| other.interface.master == Some(hop))
            && (!link.interface.is_bridge || route.port == Some(index));
        is_port || self.beneath(link).is_some_and(|beneath| self.leads_over_at(route, beneath, index, depth - 1))
    }

    /// The interface that `link` lies upon.
    fn beneath(&self, link: &Link) -> Option<u32> {
        link.interface.beneath(|index| self.find(index).map(|link| link.interface))
    }

    fn find(&self, index: u32) -> Option<&Link> {
        self.links.iter().find(|link| link.interface.index == index)
    }

    fn blame_of(&self, index: u32, route: &Route, sent: Instant, depth: u32) -> Blame {
        let Some(link) = self.find(index) else { return Blame::No };
        if depth == 0 {
            return Blame::No;
        }
        if link.was_lost(sent) {
            return Blame::Likely;
        }
        let beneath = self.beneath(link).map(|beneath| self.blame_of(beneath, route, sent, depth - 1));
        beneath.unwrap_or_default().max(self.blame_of_ports(link, route, sent))
    }

    fn blame_of_ports(&self, master: &Link, route: &Route, sent: Instant) -> Blame {
        let mut ports = self.links.iter().filter(|link| link.interface.master == Some(master.interface.index));
        if !master.interface.is_bridge {
            // A bond uses another port as soon as it has noticed the loss.
            return if ports.any(|port| port.has_dropped(sent)) { Blame::Possible } else { Blame::No };
        }
        if let Some(port) = route.port.and_then(|index| self.find(index)) {
            return if port.was_lost(sent) { Blame::Likely } else { Blame::No };
        }
        // A port that lost its carrier in this run may be the one. One that had none before may be
        // as well, if a router is missing; but any host of the local network may be off beside it.
        let is_suspect = |port: &Link| port.was_lost(sent) && (port.dropped_at.is_some() || route.via_router);
        if ports.any(is_suspect) {
            return Blame::Likely;
        }
        // Where virtual machines and containers come and go, so do ports.
        let removed = master.port_removed_at.is_some_and(|removed| removed >= sent);
        if removed { Blame::Possible } else { Blame::No }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn interface(index: u32, carrier: bool, carrier_losses: u32) -> Interface {
        Interface { index, carrier, carrier_losses, ..Interface::default() }
    }

    /// A bridge, and the ports 11 and 12 of it.
    const BRIDGE: u32 = 10;

    fn port(index: u32, carrier: bool, carrier_losses: u32) -> Interface {
        Interface { master: Some(BRIDGE), ..interface(index, carrier, carrier_losses) }
    }

    fn bridge() -> Interface {
        Interface { is_bridge: true, ..interface(BRIDGE, true, 0) }
    }

    fn look(links: &mut Links, interfaces: &[Interface], now: Instant) {
        interfaces.iter().for_each(|&interface| links.handle_interface(interface, now));
        links.handle_looked(now);
    }

    fn links(interfaces: &[Interface], now: Instant) -> Links {
        let mut links = Links::default();
        look(&mut links, interfaces, now);
        links
    }

    #[test]
    fn a_link_that_lost_its_carrier_is_to_blame_for_what_was_sent_before_and_meanwhile() {
        let start = Instant::now();
        let mut links = links(&[interface(2, true, 0), interface(3, true, 0)], start);
        look(&mut links, &[interface(2, false, 1), interface(3, true, 0)], start + 10 * MS);
        let blame = |links: &Links, index, sent| links.blame(&Route::over(index), sent);
        assert_eq!(blame(&links, 2, start), Blame::Likely);
        assert_eq!(blame(&links, 2, start + 20 * MS), Blame::Likely, "it has none yet");
        assert_eq!(blame(&links, 3, start), Blame::No, "another interface means nothing");
        look(&mut links, &[interface(2, true, 1), interface(3, true, 0)], start + 30 * MS);
        assert_eq!(blame(&links, 2, start + 29 * MS), Blame::Likely, "it may just have got it back");
        assert_eq!(blame(&links, 2, start + 31 * MS), Blame::No);
        // It went and came back between two looks.
        look(&mut links, &[interface(2, true, 2), interface(3, true, 0)], start + 40 * MS);
        assert_eq!(blame(&links, 2, start + 31 * MS), Blame::Likely);
        assert_eq!(blame(&links, 2, start + 41 * MS), Blame::No);
        // It is set down, or removed.
        look(&mut links, &[interface(3, true, 0)], start + 50 * MS);
        assert_eq!(blame(&links, 2, start + 41 * MS), Blame::Likely);
    }

    #[test]
    fn any_of_several_next_hops_may_be_to_blame() {
        let start = Instant::now();
        let links = links(&[interface(2, true, 0), interface(3, false, 0)], start);
        let mut route = Route::over(2);
        assert_eq!(links.blame(&route, start + MS), Blame::No);
        route.push(2);
        route.push(3);
        assert_eq!(route.hops().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(links.blame(&route, start + MS), Blame::Likely);
    }

    #[test]
    fn a_link_that_was_used_before_may_be_to_blame() {
        let start = Instant::now();
        let mut links = links(&[interface(2, true, 0), interface(3, true, 0)], start);
        links.mark_used(2, start);
        look(&mut links, &[interface(2, false, 1), interface(3, true, 0)], start + 10 * MS);
        assert_eq!(links.blame(&Route::over(3), start), Blame::Possible);
        // Until it is seen that the route has moved, probes may still leave over it.
        look(&mut links, &[interface(2, false, 1), interface(3, true, 0)], start + 200 * MS);
        let blame = [100, 101].map(|ms| links.blame(&Route::over(3), start + ms * MS));
        assert_eq!(blame, [Blame::Possible, Blame::No]);
    }

    #[test]
    fn a_port_of_a_bridge_that_loses_its_carrier_may_be_the_one() {
        let start = Instant::now();
        let mut links = links(&[bridge(), port(11, true, 0), port(12, true, 0)], start);
        assert_eq!(links.blame(&Route::over(BRIDGE), start), Blame::No);
        look(&mut links, &[bridge(), port(11, false, 1), port(12, true, 0)], start + 10 * MS);
        let behind = |port| Route { port, ..Route::over(BRIDGE) };
        for sent in [start, start + 20 * MS] {
            assert_eq!(links.blame(&behind(None), sent), Blame::Likely);
            assert_eq!(links.blame(&behind(Some(11)), sent), Blame::Likely);
            assert_eq!(links.blame(&behind(Some(12)), sent), Blame::No, "it is known to be behind another one");
        }
        look(&mut links, &[bridge(), port(11, true, 1), port(12, true, 0)], start + 30 * MS);
        assert_eq!(links.blame(&behind(None), start + 31 * MS), Blame::No);
        // What lies upon the bridge, and an interface whose other end is a port of it.
        let vlan = Interface { link: Some(BRIDGE), ..interface(20, true, 0) };
        let near = Interface { link: Some(12), ..interface(21, true, 0) };
        let far = Interface { link: Some(21), ..port(12, true, 0) };
        look(&mut links, &[bridge(), port(11, true, 2), far, vlan, near], start + 40 * MS);
        for (index, sent, blame) in [(20, 30, Blame::Likely), (21, 30, Blame::Likely), (20, 41, Blame::No)] {
            assert_eq!(links.blame(&Route::over(index), start + sent * MS), blame, "{index}");
        }
    }

    #[test]
    fn a_port_without_a_carrier_from_the_start_is_to_blame_only_for_a_missing_router() {
        let start = Instant::now();
        let links = links(&[bridge(), port(11, false, 0), port(12, true, 0)], start);
        let route = Route::over(BRIDGE);
        assert_eq!(links.blame(&route, start + MS), Blame::No);
        assert_eq!(links.blame(&Route { via_router: true, ..route }, start + MS), Blame::Likely);
        let known = Route { via_router: true, port: Some(12), ..route };
        assert_eq!(links.blame(&known, start + MS), Blame::No);
    }

    #[test]
    fn a_port_that_is_removed_is_good_for_one_more_probe() {
        let start = Instant::now();
        let route = Route { via_router: true, ..Route::over(BRIDGE) };
        // With its interface, or without it.
        for later in [&[bridge()][..], &[bridge(), interface(11, true, 0)]] {
            let mut links = links(&[bridge(), port(11, true, 0)], start);
            look(&mut links, later, start + 10 * MS);
            assert_eq!(links.blame(&route, start), Blame::Possible);
            assert_eq!(links.blame(&route, start + 11 * MS), Blame::No);
        }
    }

    #[test]
    fn a_bond_that_loses_a_port_uses_another_one() {
        let start = Instant::now();
        let bond = interface(BRIDGE, true, 0);
        let mut links = links(&[bond, port(11, true, 0), port(12, false, 0)], start);
        look(&mut links, &[bond, port(11, false, 1), port(12, true, 0)], start + 10 * MS);
        assert_eq!(links.blame(&Route::over(BRIDGE), start), Blame::Possible);
        assert_eq!(links.blame(&Route::over(BRIDGE), start + 11 * MS), Blame::No);
    }

    #[test]
    fn links_in_a_circle_end() {
        let start = Instant::now();
        let on = |index, link| Interface { link: Some(link), ..interface(index, true, 0) };
        let links = links(&[on(1, 2), on(2, 3), on(3, 1)], start);
        assert_eq!(links.blame(&Route::over(1), start), Blame::No);
        assert!(!links.leads_over(&Route::over(1), 1, 9));
    }
}
