//! This machine's interfaces, addresses and routes, as far as they tell whose fault silence is.

use std::cell::Cell;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};
use nix::sys::socket::SockaddrStorage;

use crate::address::{Address, Family, PerFamily};
use crate::alloc::try_push;
use crate::net::netlink::{self, Netlink, NextHop};
use crate::net::sockets::Config;
use crate::prober::{Interface, MAX_DEPTH, Route};

/// A port for questions about an address: nothing is sent to it (RFC 863).
const DISCARD: u16 = 9;

/// What is known of the ways out of this machine. Without netlink nothing is, and nothing excuses
/// silence.
#[derive(Default)]
pub(super) struct Routes {
    /// The addresses of this machine, sorted.
    local_addresses: Vec<IpAddr>,
    netlink: Option<Netlink>,
    sources: PerFamily<Option<Address>>,
    /// The index of the only interface that is used, if there is one.
    only: Option<u32>,
    /// The interfaces as of the last look.
    interfaces: Vec<netlink::Interface>,
    /// Room for the next look.
    found: Vec<netlink::Interface>,
    queues: Vec<(u32, u32)>,
    /// How often the neighbour tables had refused an entry when they were last asked.
    table_fulls: PerFamily<u64>,
    /// The neighbour that was last looked for behind a bridge since the last look, and its port.
    port: Cell<Option<(Address, u32, Option<u32>)>>,
}

impl Routes {
    /// Looks at addresses and interfaces, and opens the sockets that ask for routes.
    pub(super) fn look(config: &Config) -> Self {
        let mut local_addresses: Vec<_> = interfaces().filter_map(|interface| ip_of(&interface)).collect();
        local_addresses.sort_unstable();
        let netlink = Netlink::open(config.mark).ok();
        let mut routes = Routes {
            local_addresses,
            sources: config.sources,
            only: config.outgoing_interface.or_else(|| if_nametoindex(config.interface.as_deref()?).ok()),
            interfaces: Vec::new(),
            found: Vec::new(),
            queues: Vec::new(),
            table_fulls: PerFamily::default(),
            port: Cell::new(None),
            netlink,
        };
        routes.read_interfaces();
        for family in Family::BOTH {
            routes.table_has_been_full(family);
        }
        routes
    }

    fn read_interfaces(&mut self) {
        self.port.set(None);
        let Some(netlink) = &self.netlink else { return };
        if netlink.interfaces(&mut self.found).is_err() {
            add_missing(&mut self.found, &self.interfaces);
        }
        mem::swap(&mut self.interfaces, &mut self.found);
    }

    /// Whether links, routes and queues can be looked at.
    pub(super) fn can_look(&self) -> bool {
        self.netlink.is_some()
    }

    pub(super) fn local_addresses(&self) -> &[IpAddr] {
        &self.local_addresses
    }

    /// Whether `address` is another machine's.
    pub(super) fn is_remote(&self, address: Address) -> bool {
        let ip = address.ip();
        !ip.is_loopback() && self.local_addresses.binary_search(&ip).is_err()
    }

    /// Whether this machine has an IPv6 address of global scope, in the words of ip-address(8).
    pub(super) fn has_global_ipv6(&self) -> bool {
        let is_global = |ip: &Ipv6Addr| !ip.is_loopback() && !ip.is_unicast_link_local();
        let v6 = |ip: &IpAddr| if let IpAddr::V6(ip) = ip { is_global(ip) } else { false };
        self.local_addresses.iter().any(v6)
    }

    /// Whether a change of links or routes was reported since the last call. The interfaces are
    /// read again in any case: that one has lost its carrier may be reported a second late.
    pub(super) fn changed(&mut self) -> bool {
        self.read_interfaces();
        self.netlink.as_mut().is_some_and(Netlink::changed)
    }

    /// The interfaces as of the last look that are up, or that routes lead over even if they are
    /// down: ports, and the loopback interface.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = Interface> {
        let of_interest =
            |interface: &&netlink::Interface| interface.up || interface.master.is_some() || interface.loopback;
        self.interfaces.iter().filter(of_interest).map(state)
    }

    /// The interfaces with the number of packets that wait in their queues now.
    pub(super) fn queues(&mut self) -> &[(u32, u32)] {
        self.queues.clear();
        if let Some(netlink) = &self.netlink {
            let _ = netlink.backlogs(&mut self.queues);
        }
        &self.queues
    }

    /// The route to `address` now; `None`: there is none. Where that cannot be asked, the answer is
    /// one that leads over no interface.
    pub(super) fn route(&self, address: Address) -> Option<Route> {
        let Ok(hop) = self.next_hop(address) else { return Some(Route::default()) };
        let hop = hop?;
        let mut route = self.with_other_hops(address, hop);
        if let Some(bridge) = self.bridge_of(hop.interface) {
            route.port = self.port_of(hop.router.unwrap_or(address), hop.interface, bridge);
        }
        Some(route)
    }

    /// The interfaces that the route to `address` may lead over now.
    pub(super) fn hops(&self, address: Address) -> Option<Route> {
        let hop = self.next_hop(address).ok()??;
        Some(self.with_other_hops(address, hop))
    }

    fn next_hop(&self, address: Address) -> io::Result<Option<NextHop>> {
        let netlink = self.netlink.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        netlink.route(address, self.sources[address.family()], self.only)
    }

    /// Whether packets to `address` leave from a link-local address or from ::1, which no router
    /// may forward (RFC 4291 §2.5.3, §2.5.6): the kernel does that when the last global IPv6
    /// address has gone.
    pub(super) fn lacks_source(&self, address: Address) -> bool {
        let is_link_local = |address| matches!(address, Address::V6(ip, _) if ip.is_unicast_link_local());
        let is_of_no_use = |source: Address| is_link_local(source) || source.ip().is_loopback();
        let is_lost = |hop: NextHop| hop.router.is_some() && hop.source.is_some_and(is_of_no_use);
        // Without one from the start it is no fault.
        self.has_global_ipv6() && !is_link_local(address) && self.next_hop(address).ok().flatten().is_some_and(is_lost)
    }

    fn with_other_hops(&self, address: Address, hop: NextHop) -> Route {
        let mut route = Route::over(hop.interface);
        route.via_router = hop.router.is_some();
        if let Some(netlink) = &self.netlink {
            // Without an answer there is one next hop, as far as is known.
            let _ = netlink.next_hops(address, self.sources[address.family()], self.only, |hop| route.push(hop));
        }
        route
    }

    /// The port of `bridge` that `neighbour` is known to be behind.
    fn port_of(&self, neighbour: Address, interface: u32, bridge: u32) -> Option<u32> {
        match self.port.get() {
            Some((address, index, port)) if (address, index) == (neighbour, interface) => port,
            _ => {
                let port = self.netlink.as_ref()?.port(neighbour, interface, bridge).ok().flatten();
                self.port.set(Some((neighbour, interface, port)));
                port
            }
        }
    }

    /// The bridge that `index` is, or lies upon, or is connected to.
    fn bridge_of(&self, mut index: u32) -> Option<u32> {
        let find = |index| self.interfaces.iter().find(|interface| interface.index == index).map(state);
        for _ in 0..MAX_DEPTH {
            let interface = find(index)?;
            if interface.is_bridge {
                return Some(index);
            }
            index = interface.beneath(find)?;
        }
        None
    }

    /// Whether packets to `address` would be dropped on this machine, for lack of a carrier. The
    /// kernel accepts them all the same.
    pub(super) fn is_cut_off(&self, address: Address) -> bool {
        let is_down = |index| self.interfaces().any(|interface| interface.index == index && !interface.carrier);
        if self.interfaces().all(|interface| interface.carrier) {
            return false;
        }
        match self.next_hop(address) {
            // Of several next hops it may take another one.
            Ok(Some(hop)) if is_down(hop.interface) => self.with_other_hops(address, hop).hops().all(is_down),
            // A loopback interface that is down may have no addresses, and no routes.
            Ok(None) => !self.is_remote(address) && self.interfaces.iter().any(|it| it.loopback && !it.up),
            _ => false,
        }
    }

    /// Whether the neighbour table of `family` has refused an entry since the last call.
    pub(super) fn table_has_been_full(&mut self, family: Family) -> bool {
        let table = self.netlink.as_ref().and_then(|netlink| netlink.neighbour_table(family).ok());
        // Where that cannot be asked, a full table is the likely reason.
        let Some(table) = table else { return true };
        let before = mem::replace(&mut self.table_fulls[family], table.table_fulls);
        table.table_fulls != before || table.entries >= table.max_entries
    }
}

/// The state of an interface, as the core has it.
fn state(interface: &netlink::Interface) -> Interface {
    Interface {
        index: interface.index,
        carrier: interface.up && interface.carrier,
        carrier_losses: interface.carrier_down_count,
        master: interface.master,
        link: interface.link,
        is_bridge: interface.bridge,
    }
}

/// Adds to the interfaces of an answer that was cut short those of the look before that it lacks:
/// what came is right, and what did not come is not gone.
fn add_missing(found: &mut Vec<netlink::Interface>, before: &[netlink::Interface]) {
    found.sort_unstable_by_key(|interface| interface.index);
    let came = found.len();
    for interface in before {
        if found[..came].binary_search_by_key(&interface.index, |found| found.index).is_err()
            && try_push(found, *interface).is_err()
        {
            return;
        }
    }
}

/// Whether `ip` is a broadcast address of this machine's networks. The kernel lets raw sockets bind
/// to these, but does not let a UDP socket connect to one, which sends nothing.
pub fn is_broadcast(ip: Ipv4Addr) -> bool {
    let connected = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|udp| udp.connect((ip, DISCARD)));
    connected.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The broadcast addresses of this machine's networks, configured or computed from the netmask
/// (RFC 1122 §3.2.1.3). Where they cannot be listed, or an interface is down or another routing
/// table's, the kernel still refuses to send to them: that needs an option which only root's sockets
/// are given.
pub fn broadcasts() -> Vec<Ipv4Addr> {
    let ip = |address: Option<SockaddrStorage>| Some(address?.as_sockaddr_in()?.ip());
    let of_interface = |interface: InterfaceAddress| {
        let mask = ip(interface.netmask).map_or(u32::MAX, Ipv4Addr::to_bits);
        // Networks of one or two hosts have no broadcast address (RFC 3021).
        let computed = |ip: Ipv4Addr| (mask.leading_ones() < 31).then(|| ip | !Ipv4Addr::from(mask));
        let own = ip(interface.address);
        match ip(interface.broadcast) {
            Some(configured) if is_broadcast(configured) => [Some(configured), own.and_then(computed)],
            // Without one that is configured, the C library has in this place the own address or a
            // peer's, whose network counts (fib_add_ifaddr in net/ipv4/fib_frontend.c).
            peer => [None, peer.or(own).and_then(computed)],
        }
    };
    interfaces().flat_map(of_interface).flatten().collect()
}

/// The index of the interface with this name or number, if there is one. A number has one spelling,
/// and so has a name: the kernel ignores what follows a colon (an alias, once), and musl what is
/// longer than a name can be.
pub fn interface(zone: &str) -> Option<u32> {
    if zone.contains(':') || zone.len() >= libc::IFNAMSIZ {
        return None;
    }
    if_nametoindex(zone).ok().or_else(|| {
        let index = zone.parse().ok().filter(|index: &u32| index.to_string() == zone)?;
        // nix 0.31's if_indextoname never fails: without such an interface the name is empty.
        let name = if_indextoname(index).ok()?;
        (if_nametoindex(&*name) == Ok(index)).then_some(index)
    })
}

/// The index of the interface that has this address, if there is one.
pub fn interface_with(ip: IpAddr) -> Option<u32> {
    let found = interfaces().find(|interface| ip_of(interface) == Some(ip))?;
    if_nametoindex(&*found.interface_name).ok()
}

/// The interfaces that are up, without loopback ones: the name of each, and whether it has a
/// carrier.
pub fn interfaces_up() -> Vec<(String, bool)> {
    let mut found: Vec<(String, bool)> = Vec::new();
    for InterfaceAddress { interface_name, flags, .. } in interfaces() {
        let is_wanted = flags.contains(InterfaceFlags::IFF_UP) && !flags.contains(InterfaceFlags::IFF_LOOPBACK);
        if is_wanted && !found.iter().any(|(name, _)| *name == interface_name) {
            found.push((interface_name, flags.contains(InterfaceFlags::IFF_LOWER_UP)));
        }
    }
    found.sort_unstable();
    found
}

/// The name of the loopback interface, if that is down. Without it this machine's own addresses are
/// not reached either.
pub fn loopback_down() -> Option<String> {
    let both = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_UP;
    let down = interfaces().find(|interface| interface.flags & both == InterfaceFlags::IFF_LOOPBACK)?;
    Some(down.interface_name)
}

fn ip_of(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address?;
    let v6 = || Some(address.as_sockaddr_in6()?.ip().into());
    address.as_sockaddr_in().map(|v4| v4.ip().into()).or_else(v6)
}

fn interfaces() -> impl Iterator<Item = InterfaceAddress> {
    getifaddrs().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use nix::net::if_::if_nameindex;

    use super::*;

    #[test]
    fn interfaces_that_an_answer_lacks_are_as_they_were() {
        let interface = |index, carrier| netlink::Interface {
            index,
            up: true,
            loopback: false,
            carrier,
            carrier_down_count: 0,
            master: None,
            link: None,
            bridge: false,
        };
        let before = [interface(1, true), interface(2, true), interface(7, false)];
        let merged = |mut found: Vec<netlink::Interface>| {
            add_missing(&mut found, &before);
            found.sort_unstable_by_key(|interface| interface.index);
            found
        };
        assert_eq!(merged(Vec::new()), before);
        let found = vec![interface(7, true), interface(2, false), interface(4, true)];
        assert_eq!(merged(found), [interface(1, true), interface(2, false), interface(4, true), interface(7, true)]);
    }

    #[test]
    fn only_existing_interfaces_have_an_index() {
        let names = if_nameindex().expect("the kernel lists them");
        let known: Vec<(u32, String)> =
            names.iter().map(|it| (it.index(), it.name().to_string_lossy().into_owned())).collect();
        for (index, name) in &known {
            assert_eq!((interface(name), interface(&index.to_string())), (Some(*index), Some(*index)), "{name}");
            assert_eq!((interface(&format!("{name}:1")), interface(&format!("0{index}"))), (None, None), "{name}");
        }
        let free = (1..).find(|index| known.iter().all(|(used, _)| used != index)).map(|index: u32| index.to_string());
        for zone in ["", "0", "999999", "2147483647", "4294967295", "4294967296", "-1", "+1", " 1", "no-such-one", "%"]
        {
            assert_eq!(interface(zone), None, "{zone:?}");
        }
        assert_eq!(free.as_deref().and_then(interface), None, "{free:?}");
    }
}
