//! What a probe looks like on the wire.

use std::ops::RangeInclusive;

use crate::plan::{OutOfRange, checked};

/// Which message a probe is. But for Echo they are of IPv4 only, need raw sockets, and carry no
/// data of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProbeKind {
    /// Echo Request (RFC 792 page 14, RFC 4443 §4.1).
    #[default]
    Echo,
    /// Timestamp (RFC 792 page 16), with bits of a token in the place of a time.
    Timestamp,
    /// Address Mask Request (RFC 950 appendix I). Its reply returns nothing that was sent.
    Mask,
}

/// What a probe looks like on the wire.
///
/// ```
/// use multiping::{Config, PacketOptions};
///
/// let mut packet = PacketOptions::default();
/// packet.set_size(1_472)?;
/// packet.set_ttl(3)?;
/// packet.set_dont_fragment(true);
/// let config = Config::new().packet(packet);
/// # Ok::<_, multiping::OutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PacketOptions {
    kind: ProbeKind,
    size: usize,
    pattern: Vec<u8>,
    ttl: Option<u8>,
    tos: Option<u8>,
    dont_fragment: bool,
    dont_route: bool,
    record_route: bool,
    multicast_ttl: Option<u8>,
    multicast_interface: Option<u32>,
    no_multicast_loop: bool,
}

impl Default for PacketOptions {
    /// What the original and ping(8) send.
    fn default() -> Self {
        PacketOptions {
            kind: ProbeKind::Echo,
            size: 56,
            pattern: Vec::new(),
            ttl: None,
            tos: None,
            dont_fragment: false,
            dont_route: false,
            record_route: false,
            multicast_ttl: None,
            multicast_interface: None,
            no_multicast_loop: false,
        }
    }
}

impl PacketOptions {
    /// The least and the most data of a probe, in bytes: a token, and what an IPv4 packet holds.
    pub const SIZE: RangeInclusive<usize> = 16..=65_507;

    /// The longest pattern, in bytes, as in ping(8).
    pub const MAX_PATTERN: usize = 16;

    /// Which message a probe is. Default: Echo Request.
    #[doc(hidden)]
    pub fn set_kind(&mut self, kind: ProbeKind) {
        self.kind = kind;
    }

    /// How many bytes of data an Echo Request carries, the token included. Default: 56.
    ///
    /// # Errors
    ///
    /// If `size` is not in [`PacketOptions::SIZE`].
    pub fn set_size(&mut self, size: usize) -> Result<(), OutOfRange> {
        self.size = checked(size, &Self::SIZE)?;
        Ok(())
    }

    /// Fewer bytes of data than a token has, as programs send that take another's place. A reply is
    /// then told by ident, Sequence Number and source, and by as much of the token as fits.
    ///
    /// # Errors
    ///
    /// If a token fits.
    #[doc(hidden)]
    pub fn set_short_size(&mut self, size: usize) -> Result<(), OutOfRange> {
        self.size = checked(size, &(0..=Self::SIZE.start() - 1))?;
        Ok(())
    }

    /// What the data after the token is filled with, repeatedly. Default, and if empty: counting
    /// bytes, as ping(8) sends.
    ///
    /// # Errors
    ///
    /// If `pattern` is longer than [`PacketOptions::MAX_PATTERN`].
    pub fn set_pattern(&mut self, pattern: Vec<u8>) -> Result<(), OutOfRange> {
        checked(pattern.len(), &(0..=Self::MAX_PATTERN))?;
        self.pattern = pattern;
        Ok(())
    }

    /// Time To Live, or Hop Limit. Default: the system's.
    ///
    /// # Errors
    ///
    /// If `ttl` is 0.
    pub fn set_ttl(&mut self, ttl: u8) -> Result<(), OutOfRange> {
        self.ttl = Some(checked(ttl, &(1..=u8::MAX))?);
        Ok(())
    }

    /// Type Of Service, or Traffic Class. Default: the system's.
    pub fn set_tos(&mut self, tos: u8) {
        self.tos = Some(tos);
    }

    /// Whether Don't Fragment is set in any case. Default: only on probes that are never
    /// fragmented.
    pub fn set_dont_fragment(&mut self, dont_fragment: bool) {
        self.dont_fragment = dont_fragment;
    }

    /// Whether packets pass by the routing tables, so that only neighbours can be reached
    /// (socket(7), SO_DONTROUTE). Default: no.
    pub fn set_dont_route(&mut self, dont_route: bool) {
        self.dont_route = dont_route;
    }

    /// Whether IPv4 packets ask routers to record their addresses (RFC 791 page 20). Default: no.
    #[doc(hidden)]
    pub fn set_record_route(&mut self, record_route: bool) {
        self.record_route = record_route;
    }

    /// Time To Live, or Hop Limit, of probes to multicast groups. Default: the system's, which is
    /// 1.
    pub fn set_multicast_ttl(&mut self, ttl: u8) {
        self.multicast_ttl = Some(ttl);
    }

    /// The index of the interface that probes to multicast groups leave by. Default: that of the
    /// route.
    pub fn set_multicast_interface(&mut self, index: u32) {
        self.multicast_interface = Some(index);
    }

    /// Whether probes to multicast groups are kept from members on this machine. Default: no.
    pub fn set_no_multicast_loop(&mut self, no_multicast_loop: bool) {
        self.no_multicast_loop = no_multicast_loop;
    }

    /// See [`PacketOptions::set_kind`].
    #[doc(hidden)]
    pub fn kind(&self) -> ProbeKind {
        self.kind
    }

    /// How many bytes follow the first 8 of the ICMP message.
    #[doc(hidden)]
    pub fn data_len(&self) -> usize {
        match self.kind {
            ProbeKind::Echo => self.size,
            ProbeKind::Timestamp => 12,
            ProbeKind::Mask => 4,
        }
    }

    /// Whether replies can be read by raw sockets only.
    #[doc(hidden)]
    pub fn needs_raw(&self) -> bool {
        self.kind != ProbeKind::Echo || self.record_route
    }

    /// See [`PacketOptions::set_size`].
    pub fn size(&self) -> usize {
        self.size
    }

    /// See [`PacketOptions::set_pattern`].
    pub fn pattern(&self) -> &[u8] {
        &self.pattern
    }

    /// The data of a probe, with zeros in the place of its token.
    pub fn data(&self) -> Vec<u8> {
        let mut data: Vec<u8> = (0..self.size).map(|index| index as u8).collect();
        let (token, filler) = data.split_at_mut(self.size.min(*Self::SIZE.start()));
        token.fill(0);
        filler.iter_mut().zip(self.pattern.iter().cycle()).for_each(|(byte, pattern)| *byte = *pattern);
        data
    }

    /// See [`PacketOptions::set_ttl`].
    pub fn ttl(&self) -> Option<u8> {
        self.ttl
    }

    /// See [`PacketOptions::set_tos`].
    pub fn tos(&self) -> Option<u8> {
        self.tos
    }

    /// See [`PacketOptions::set_dont_fragment`].
    pub fn dont_fragment(&self) -> bool {
        self.dont_fragment
    }

    /// See [`PacketOptions::set_dont_route`].
    pub fn dont_route(&self) -> bool {
        self.dont_route
    }

    /// See [`PacketOptions::set_record_route`].
    #[doc(hidden)]
    pub fn record_route(&self) -> bool {
        self.record_route
    }

    /// See [`PacketOptions::set_multicast_ttl`].
    pub fn multicast_ttl(&self) -> Option<u8> {
        self.multicast_ttl
    }

    /// See [`PacketOptions::set_multicast_interface`].
    pub fn multicast_interface(&self) -> Option<u32> {
        self.multicast_interface
    }

    /// See [`PacketOptions::set_no_multicast_loop`].
    pub fn no_multicast_loop(&self) -> bool {
        self.no_multicast_loop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_out_of_range_are_refused() {
        let mut options = PacketOptions::default();
        for size in [0, 15, 65_508, usize::MAX] {
            assert_eq!(options.set_size(size), Err(OutOfRange), "{size}");
        }
        assert_eq!(options.set_short_size(16), Err(OutOfRange));
        assert_eq!(options.set_pattern(vec![0; 17]), Err(OutOfRange));
        assert_eq!(options.set_ttl(0), Err(OutOfRange));
        assert_eq!(options, PacketOptions::default());
    }
}
