//! What holds for all targets of an engine or a pinger.

use std::time::Duration;

use crate::error::Error;
use crate::plan::{IcmpErrors, PacketOptions, Rate};
use crate::prober::Roster;
use crate::sockets::Sockets;

/// What holds for all targets of a [`Pinger`](crate::Pinger) or an [`Engine`](crate::Engine).
///
/// Values are checked where the configuration is used: [`Error::OutOfRange`].
///
/// ```
/// use multiping::{Config, Rate};
///
/// let config = Config::new().rate(Rate::per_second(5_000.0)?).queue(1_000).thread_name("probes");
/// # Ok::<_, multiping::OutOfRange>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) rate: Rate,
    pub(crate) queue: usize,
    pub(crate) late: Option<Duration>,
    pub(crate) icmp_errors: IcmpErrors,
    pub(crate) check_source: bool,
    pub(crate) sockets: Sockets,
    pub(crate) packet: PacketOptions,
    pub(crate) thread_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Config::new()
    }
}

impl Config {
    /// The defaults.
    pub fn new() -> Self {
        Config {
            rate: Rate::UNLIMITED,
            queue: 65_536,
            late: None,
            icmp_errors: IcmpErrors::Report,
            check_source: false,
            sockets: Sockets::on_demand(),
            packet: PacketOptions::default(),
            thread_name: "multiping".to_owned(),
        }
    }

    /// The most packets in a second, for all targets together. Default: unlimited; the schedules of
    /// the targets say how many there are.
    pub fn rate(self, rate: Rate) -> Self {
        Config { rate, ..self }
    }

    /// How many events may wait to be read, at least 1. Default: 65,536. While so many wait,
    /// nothing is sent, unless a pinger [drains](crate::Pinger::drain); what is in flight still
    /// comes in on top. No event is ever dropped.
    pub fn queue(self, events: usize) -> Self {
        Config { queue: events, ..self }
    }

    /// How long after its timeout an answer to a probe is told as
    /// [`What::Late`](crate::What::Late): at most 200 s. Default: as long again as the timeout. A
    /// probe that is known takes about 40 bytes.
    pub fn late(self, late: Duration) -> Self {
        Config { late: Some(late), ..self }
    }

    /// Whether ICMP errors about probes in flight are told: [`What::IcmpError`]. If not, the kernel
    /// drops them. Default: yes.
    ///
    /// [`What::IcmpError`]: crate::What::IcmpError
    pub fn icmp_errors(self, yes: bool) -> Self {
        let icmp_errors = if yes { IcmpErrors::Report } else { IcmpErrors::Ignore };
        Config { icmp_errors, ..self }
    }

    /// Whether an answer counts only if it comes from the probed address. Default: no; a host may
    /// answer from another of its addresses, and the token in the answer proves what it answers.
    pub fn check_source(self, yes: bool) -> Self {
        Config { check_source: yes, ..self }
    }

    /// Where the sockets come from. Default: [`Sockets::on_demand`].
    pub fn sockets(self, sockets: Sockets) -> Self {
        Config { sockets, ..self }
    }

    /// What a probe looks like. Default: 56 bytes of data, as ping(8) sends.
    pub fn packet(self, packet: PacketOptions) -> Self {
        Config { packet, ..self }
    }

    /// The name of a pinger's thread. Default: `multiping`. The kernel shows 15 bytes of it.
    pub fn thread_name(self, name: &str) -> Self {
        Config { thread_name: name.to_owned(), ..self }
    }

    /// A roster without targets; `Err`: a value is out of its range.
    pub(crate) fn roster(&self, now: std::time::Instant) -> Result<Roster, Error> {
        if self.queue == 0 {
            return Err(Error::OutOfRange { what: "queue" });
        }
        if self.thread_name.contains('\0') {
            return Err(Error::OutOfRange { what: "thread_name" });
        }
        match self.late {
            None => Ok(Roster::new(now)),
            Some(late) => Roster::new(now).with_late(late).map_err(|_| Error::OutOfRange { what: "late" }),
        }
    }
}
