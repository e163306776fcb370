//! How many threads probe.

use multiping::plan::IcmpErrors;

use crate::cli::{Debug, Json, Options, Statistics};
use crate::message::Error;

/// The most threads: each reply that arrives is copied to the sockets of all of them, if these are
/// raw.
pub(super) const MAX_THREADS: usize = 64;

/// In packets a second: what is one more thread's at the least. One can send many times that.
const MIN_RATE: f64 = 10_000.0;

/// Above this rate, in packets a second, `auto` is one thread a processor.
const HIGH_RATE: f64 = 100_000.0;

/// How many threads are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// So many.
    Number(usize),
    /// One a processor at high rates, else one.
    Auto,
}

impl Default for Threads {
    fn default() -> Self {
        Threads::Number(1)
    }
}

impl Options {
    /// How many threads are of use at most, on a machine with so many processors. The rate for
    /// ordinary users is that of one.
    pub fn threads(&self, processors: impl FnOnce() -> usize) -> usize {
        let rate = self.plan.rate();
        let wanted = match self.threads {
            Threads::Number(number) => number,
            Threads::Auto if rate.exceeds(HIGH_RATE) => processors(),
            Threads::Auto => 1,
        };
        let useful = rate.pps().map_or(MAX_THREADS, |pps| (pps / MIN_RATE) as usize);
        wanted.min(useful).clamp(1, MAX_THREADS)
    }

    /// Refuses several threads where one has to see every packet in its order.
    pub(super) fn finish_threads(&mut self) -> Result<(), Error> {
        let statistics = self.statistics.as_ref();
        let needs_one = [
            (statistics.is_some_and(Statistics::searches), "--find-mtu"),
            (statistics.is_some_and(|statistics| statistics.sizes.is_some()), "a range of --size"),
            (statistics.is_some(), "--count or --loop"),
            (self.debug != Debug::Off, "--debug"),
            (self.json == Some(Json::Packets), "--json=packets"),
            (self.icmp_errors() == IcmpErrors::All, "--icmp-errors=all"),
        ];
        match (self.threads, needs_one.into_iter().find(|(is_given, _)| *is_given)) {
            (Threads::Number(2..), Some((_, other))) => Err(Error::Conflict("--threads", other)),
            (Threads::Auto, Some(_)) => {
                self.threads = Threads::Number(1);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
