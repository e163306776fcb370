//! How a list is probed.

use std::time::Duration;

use crate::address::Address;
use crate::error::Error;
use crate::ping::Running;
use crate::plan::{IcmpErrors, PacketOptions, Plan, Rate};
use crate::sockets::Sockets;

/// How a list is probed. Values are checked where the options are used: [`Error::OutOfRange`].
///
/// A target is probed until it has answered [`responses`](Options::responses) times, or until
/// 1 + [`retries`](Options::retries) probes had no answer within their
/// [`timeout`](Options::timeout).
///
/// ```
/// use std::time::Duration;
/// use multiping::{Options, Rate};
///
/// let options = Options::new().timeout(Duration::from_millis(500)).retries(1).rate(Rate::UNLIMITED);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    timeout: Option<Duration>,
    retries: u8,
    responses: u8,
    rate: Rate,
    spacing: Duration,
    shuffle: bool,
    check_source: bool,
    pub(super) icmp_errors: IcmpErrors,
    pub(super) deadline: Option<Duration>,
    pub(super) sockets: Sockets,
    pub(super) packet: PacketOptions,
}

impl Default for Options {
    fn default() -> Self {
        Options::new()
    }
}

impl Options {
    /// The defaults: a timeout of 5 s, 2 retries, 1 response, 1,000 packets a second, 56 bytes of
    /// data.
    pub fn new() -> Self {
        Options {
            timeout: None,
            retries: 2,
            responses: 1,
            rate: Rate::THOUSAND,
            spacing: Duration::ZERO,
            shuffle: false,
            check_source: false,
            icmp_errors: IcmpErrors::Report,
            deadline: None,
            sockets: Sockets::on_demand(),
            packet: PacketOptions::default(),
        }
    }

    /// How long a probe may stay unanswered: 1 ms to 200 s. Default: 5 s, or with a deadline an
    /// equal share of it for each probe of a silent target.
    pub fn timeout(self, timeout: Duration) -> Self {
        Options { timeout: Some(timeout), ..self }
    }

    /// How many further probes a target gets after silence. Default: 2.
    pub fn retries(self, retries: u8) -> Self {
        Options { retries, ..self }
    }

    /// How many answers to get from each target, at least 1. Default: 1.
    pub fn responses(self, responses: u8) -> Self {
        Options { responses, ..self }
    }

    /// The most packets in a second, retries included. Default: 1,000.
    pub fn rate(self, rate: Rate) -> Self {
        Options { rate, ..self }
    }

    /// The least time between two probes to one target: at most 200 s. Default: none.
    pub fn spacing(self, spacing: Duration) -> Self {
        Options { spacing, ..self }
    }

    /// Whether targets are probed in a random order. The results keep the order given. Default: no.
    pub fn shuffle(self, yes: bool) -> Self {
        Options { shuffle: yes, ..self }
    }

    /// The whole time that the run may take. Unless a [timeout](Options::timeout) is set, the
    /// attempts share nine tenths of it; in the first tenth they may begin. What is not settled by
    /// then stays [`Verdict::Unsettled`](crate::Verdict::Unsettled), unless it was silent at least
    /// once. Default: as long as it takes.
    ///
    /// ```
    /// use std::time::Duration;
    /// use multiping::Options;
    ///
    /// // Four probes within two seconds: a timeout of 450 ms for each.
    /// let options = Options::new().deadline(Duration::from_secs(2)).retries(3);
    /// ```
    pub fn deadline(self, whole: Duration) -> Self {
        Options { deadline: Some(whole), ..self }
    }

    /// Whether an answer counts only if it comes from the probed address. Default: no; a host may
    /// answer from another of its addresses, and the token in the answer proves what it answers.
    pub fn check_source(self, yes: bool) -> Self {
        Options { check_source: yes, ..self }
    }

    /// Whether ICMP errors about probes in flight are noted, so that a silent target may be
    /// [`Verdict::Unreachable`](crate::Verdict::Unreachable). They end no run early. Default: yes.
    pub fn icmp_errors(self, yes: bool) -> Self {
        let icmp_errors = if yes { IcmpErrors::Report } else { IcmpErrors::Ignore };
        Options { icmp_errors, ..self }
    }

    /// Where the sockets come from. Default: [`Sockets::on_demand`].
    pub fn sockets(self, sockets: Sockets) -> Self {
        Options { sockets, ..self }
    }

    /// What a probe looks like. Default: 56 bytes of data, as ping(8) sends.
    ///
    /// ```
    /// use multiping::{Options, PacketOptions};
    ///
    /// let mut packet = PacketOptions::default();
    /// packet.set_size(1_000)?;
    /// let options = Options::new().packet(packet);
    /// # Ok::<_, multiping::OutOfRange>(())
    /// ```
    pub fn packet(self, packet: PacketOptions) -> Self {
        Options { packet, ..self }
    }

    /// Pings every target on a thread of its own: see [`Running`].
    ///
    /// # Errors
    ///
    /// As [`ping`](crate::ping), but for those of a run that has begun.
    ///
    /// ```
    /// use multiping::{Address, Options};
    ///
    /// match Options::new().start([Address::from([127, 0, 0, 1])]) {
    ///     Ok(running) => println!("{:?}", running.wait()?),
    ///     Err(error) => println!("skipped: {error}"), // no right to ping
    /// }
    /// # Ok::<_, multiping::Error>(())
    /// ```
    pub fn start<T: Into<Address>>(&self, targets: impl IntoIterator<Item = T>) -> Result<Running, Error> {
        Running::start(targets, self)
    }

    /// Converts to the core's type and checks the ranges.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let out_of_range = |what| move |_| Error::OutOfRange { what };
        let share = self.deadline.map(|whole| whole / 10 * 9 / (u32::from(self.retries) + 1));
        let share = share.map(|share| share.clamp(*Plan::TIMEOUT.start(), *Plan::TIMEOUT.end()));
        let timeout = self.timeout.or(share).unwrap_or(Duration::from_secs(5));
        let plan = Plan::default().with_retries(self.retries).with_rate(self.rate);
        let plan = plan.with_check_source(self.check_source).with_shuffle(self.shuffle);
        let plan = plan.with_timeout(timeout).map_err(out_of_range("timeout"))?;
        let plan = plan.with_responses(self.responses).map_err(out_of_range("responses"))?;
        plan.with_spacing(self.spacing).map_err(out_of_range("spacing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_for_a_probe_that_is_sent_after_the_start() {
        let timeouts = |whole, retries| {
            let plan = Options::new().deadline(whole).retries(retries).plan();
            plan.unwrap_or_else(|error| panic!("{error}")).total_timeout()
        };
        for seconds in [1, 10, 100] {
            let whole = Duration::from_secs(seconds);
            assert_eq!([0, 1, 4, 9].map(|retries| timeouts(whole, retries)), [whole * 9 / 10; 4]);
        }
        assert_eq!(timeouts(Duration::MAX, 0), *Plan::TIMEOUT.end());
        assert_eq!(timeouts(Duration::ZERO, 0), *Plan::TIMEOUT.start());
    }
}
