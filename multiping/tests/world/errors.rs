//! The rules of ICMP errors: for which probes they count, and which of them end an attempt.

use std::collections::HashMap;

use multiping::address::Family;
use multiping::plan::IcmpErrors;
use multiping::prober::ReplyKind;
use multiping::tally::TICK;

use crate::log::{Arrival, Departure, Reception};
use crate::oracle::Oracle;

/// What an ICMP error quotes, as RFC 792, RFC 4443 and RFC 4861 §4.5 describe it; without options
/// and extension headers, which no error in this world has.
pub struct Quote<'a> {
    is_redirect: bool,
    destination: &'a [u8],
    ident: [u8; 2],
    seq: u16,
    data: &'a [u8],
}

impl<'a> Quote<'a> {
    /// The Echo Request in an error of `family`.
    pub fn parse(family: Family, bytes: &'a [u8]) -> Option<Self> {
        let (quote, header, request) = match (family, bytes.first()?) {
            (Family::V4, 3 | 5 | 11 | 12) => (bytes.get(8..)?, 20, 8),
            (Family::V6, 1..=4) => (bytes.get(8..)?, 40, 128),
            (Family::V6, 137) => (bytes.get(48..)?, 40, 128),
            _ => return None,
        };
        let is_redirect = matches!((family, bytes[0]), (Family::V4, 5) | (Family::V6, 137));
        let (protocol, destination) = match family {
            Family::V4 => ((quote.get(9)?, 1), quote.get(16..20)?),
            Family::V6 => ((quote.get(6)?, 58), quote.get(24..40)?),
        };
        let [msg_type, _, _, _, i, d, s, q] = *quote.get(header..)?.first_chunk()?;
        let mut data = &quote[header + 8..];
        if family == Family::V6 && is_redirect {
            let payload = usize::from(u16::from_be_bytes([quote[4], quote[5]]));
            data = &data[..data.len().min(payload - 8)]; // the rest is padding
        }
        let is_ours = *protocol.0 == protocol.1 && msg_type == request;
        let quote = Quote { is_redirect, destination, ident: [i, d], seq: u16::from_be_bytes([s, q]), data };
        is_ours.then_some(quote)
    }
}

impl<'a> Oracle<'a> {
    /// Checks for which probes errors counted. Returns the first error that ended each attempt, by
    /// token.
    pub fn judge_errors(&self) -> HashMap<[u8; 16], &'a Arrival> {
        let mut failures: HashMap<[u8; 16], &Arrival> = HashMap::new();
        let mut counted = 0;
        for (index, arrival) in self.log.arrivals.iter().enumerate() {
            let Reception::Error(about) = arrival.reception else { continue };
            let family = arrival.packet.from.family();
            let quote = Quote::parse(family, &arrival.packet.bytes).expect("an error quotes a request");
            let probe = self.quoted(family, &quote, arrival, about.is_none());
            let Some((target, attempt)) = about else {
                let excused = probe.is_none_or(|probe| self.may_be_over(probe, index, failures.get(&probe.token)));
                assert!(excused, "an error about {probe:?} did not count: {arrival:?}");
                continue;
            };
            counted += 1;
            let probe = probe.unwrap_or_else(|| panic!("an error about no probe counted: {arrival:?}"));
            let number = u32::from_be_bytes([probe.token[4], probe.token[5], probe.token[6], probe.token[7]]);
            assert_eq!((target, attempt), (probe.target, number), "{arrival:?}");
            // Which timeout a probe had is judged with the attempts of its target.
            let latest = probe.call.end + self.timeout(self.world.plan.retries().into()) + TICK;
            assert!(arrival.packet.at <= latest, "an error after the timeout of {probe:?} counted: {arrival:?}");
            assert!(!self.was_answered(probe, index), "an error counted after the reply: {arrival:?}");
            if self.world.icmp_errors == IcmpErrors::Fail && !quote.is_redirect {
                failures.entry(probe.token).or_insert(arrival);
            }
        }
        assert_eq!(counted, self.log.counts.icmp_errors);
        failures
    }

    /// The probe that an error quotes: with its address, our ident, and its token as far as that is
    /// quoted.
    fn quoted(&self, family: Family, quote: &Quote, arrival: &Arrival, certainly: bool) -> Option<&'a Departure> {
        let of_run = self.world.icmp_errors != IcmpErrors::Ignore;
        let is_ours = of_run && quote.ident == self.world.idents[family].to_be_bytes();
        let sent = self.log.departures.iter().filter(|probe| probe.refused.is_none());
        // What was sent at the very moment of reading was sent before it or after it.
        let is_earlier = |probe: &&Departure| match certainly {
            true => probe.call.end < arrival.read_at,
            false => probe.call.start <= arrival.read_at,
        };
        let earlier = || sent.clone().filter(is_earlier);
        let probe = match quote.data.first_chunk::<16>() {
            Some(token) => earlier().find(|probe| probe.token == *token),
            None => earlier().rfind(|probe| probe.seq == quote.seq),
        };
        let octets = |probe: &&Departure| match probe.address.ip() {
            std::net::IpAddr::V4(ip) => ip.octets().to_vec(),
            std::net::IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let cut = quote.data.len().min(16);
        let is_about = |probe: &&Departure| {
            probe.address.family() == family
                && octets(probe) == quote.destination
                && probe.token[..cut] == quote.data[..cut]
        };
        probe.filter(|probe| is_ours && is_about(probe))
    }

    /// Whether a reply to `probe` was read before the arrival at `index`.
    fn was_answered(&self, probe: &Departure, index: usize) -> bool {
        self.log.arrivals[..index].iter().any(|arrival| {
            matches!(arrival.reception, Reception::Handled(ReplyKind::Reply { .. }))
                && arrival.packet.bytes.get(8..24) == Some(&probe.token[..])
        })
    }

    /// Whether `probe` may have been over at the arrival at `index`. `failure` ended it before.
    fn may_be_over(&self, probe: &Departure, index: usize, failure: Option<&&Arrival>) -> bool {
        let arrival = &self.log.arrivals[index];
        let late = arrival.packet.at + TICK > probe.call.start + self.timeout(0);
        late || failure.is_some() || self.was_answered(probe, index)
    }

    /// Whether an error ended `probe`.
    pub fn has_failed(&self, probe: &Departure) -> bool {
        self.world.icmp_errors == IcmpErrors::Fail
            && self.log.arrivals.iter().any(|arrival| match arrival.reception {
                Reception::Error(Some((target, _))) => target == probe.target,
                _ => false,
            })
    }
}
