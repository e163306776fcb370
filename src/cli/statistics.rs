//! What can be asked for with `--count` and `--loop`, and what does not go together.

use std::mem;
use std::time::Duration;

use multiping::plan::{IcmpErrors, PacketOptions, Plan, Rate};
use multiping::prober::{Roster, Schedule, SizeRange, SizeSearch};

use crate::cli::Options;
use crate::figures::Settings;
use crate::limits::Limits;
use crate::message::{Error, Warning};
use crate::report::{Lines, Style};

/// A run with statistics: each target is probed again and again.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// How many probes each target is sent; `None`: until interrupted.
    pub count: Option<u32>,
    /// The time between two probes to a target.
    pub period: Duration,
    /// How long after its timeout a reply is known; `None`: as long again as the timeout.
    pub late: Option<Duration>,
    /// How many answers are enough of a target.
    pub stop_after: Option<u32>,
    /// How many targets that answer are enough.
    pub reachable: Option<u32>,
    /// How often figures are printed meanwhile.
    pub report_every: Option<Duration>,
    /// Whether all RTTs are kept, for exact percentiles.
    pub exact: bool,
    /// Whether the RTT of each probe is kept and printed.
    pub values: bool,
    /// Whether the RTTs of duplicates count.
    pub all_rtts: bool,
    /// Whether replies have no lines.
    pub quiet: bool,
    /// Whether lost probes have lines.
    pub show_lost: bool,
    /// Whether lines are packed.
    pub packed: bool,
    /// Whether lines begin with the time.
    pub timestamps: bool,
    /// When a terminal is to sound.
    pub bell: Option<Bell>,
    /// Whether each reply is followed by the next probe at once.
    pub flood: bool,
    /// How many probes each target is sent at once at the start.
    pub preload: u32,
    /// The sizes of probes, where they are not all the same.
    pub sizes: Option<Sizing>,
    /// Whether the largest size is searched that is answered.
    pub(super) find_mtu: bool,
    /// How figures are shown.
    pub style: Style,
}

/// How the sizes of probes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizing {
    /// One after the other.
    Range(SizeRange),
    /// By a search for the largest one that is answered.
    Search {
        /// The least size.
        least: u16,
        /// The greatest size.
        greatest: u16,
        /// How many probes of a size may be lost.
        tries: u32,
    },
}

/// When the terminal's bell sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bell {
    /// When more probes to a target are unanswered than were before.
    Missed,
    /// When a reply comes.
    Received,
}

impl Default for Statistics {
    fn default() -> Self {
        Statistics {
            count: None,
            period: Duration::from_secs(1),
            late: None,
            stop_after: None,
            reachable: None,
            report_every: None,
            exact: false,
            values: false,
            all_rtts: false,
            quiet: false,
            show_lost: false,
            packed: false,
            timestamps: false,
            bell: None,
            flood: false,
            preload: 1,
            sizes: None,
            find_mtu: false,
            style: Style::default(),
        }
    }
}

/// The greatest number of probes, answers and the like that can be asked for.
pub(super) const MAX_COUNT: u32 = 1_000_000_000;

/// How many probes of a size may be lost until it counts as too large.
const DEFAULT_TRIES: u32 = 3;

/// The share of the rate that is left unused.
const SPARE: f64 = 0.01;

/// Options that need `--count` or `--loop`.
const NEED_STATISTICS: &[&str] = &[
    "--period",
    "--late",
    "--stop-after",
    "--reachable",
    "--report-every",
    "--show-lost",
    "--values",
    "--exact",
    "--percentiles",
    "--percentiles-of",
    "--rtt-of",
    "--unit",
    "--packed",
    "--timestamps",
    "--worst",
    "--histogram",
    "--bell",
    "--flood",
    "--preload",
    "--record-route",
    "-Q",
];

/// Options that exclude each other.
const CONFLICTS: &[(&str, &str)] = &[
    ("--count", "--loop"),
    ("--count", "--retries"),
    ("--count", "--responses"),
    ("--count", "--backoff"),
    ("--count", "-a"),
    ("--count", "-u"),
    ("--loop", "--retries"),
    ("--loop", "--responses"),
    ("--loop", "--backoff"),
    ("--loop", "-a"),
    ("--loop", "-u"),
    ("--values", "--loop"),
    ("--exact", "--loop"),
    ("--packed", "--bell"),
    ("--json", "--packed"),
    ("--json", "--flood"),
    ("--json", "--bell"),
    ("--flood", "--period"),
    ("--flood", "-p"),
    ("--flood", "--packed"),
    ("--flood", "--bell"),
    ("--flood", "--show-lost"),
    ("--flood", "--timestamps"),
    ("--flood", "--stop-after"),
    ("--icmp-timestamp", "--ipv6"),
    ("--icmp-timestamp", "--pattern"),
    ("--icmp-timestamp", "--size"),
    ("--record-route", "--ipv6"),
    ("--record-route", "--packed"),
    ("--record-route", "--flood"),
    ("--icmp-mask", "--icmp-timestamp"),
    ("--icmp-mask", "--ipv6"),
    ("--icmp-mask", "--pattern"),
    ("--icmp-mask", "--size"),
];

/// How long a flood waits for an answer before the next probe, and the least time between two
/// probes to a target.
const FLOOD_PERIOD: Duration = Duration::from_millis(10);
const FLOOD_SPACING: Duration = Duration::from_micros(100);

impl Statistics {
    /// How the engine probes each target.
    pub fn schedule(&self, plan: &Plan) -> Schedule {
        if self.searches() {
            let schedule = Schedule::manual();
            return schedule.with_timeout(plan.timeout()).unwrap_or(schedule);
        }
        let count = self.count.map_or(0, |count| count - self.extra());
        let schedule = Schedule::default().with_count(count).with_after_reply(self.flood);
        let schedule = schedule.with_period(self.period).unwrap_or(schedule);
        schedule.with_timeout(plan.timeout()).unwrap_or(schedule)
    }

    /// Whether each answer says what is sent next.
    pub fn searches(&self) -> bool {
        matches!(self.sizes, Some(Sizing::Search { .. }))
    }

    /// How many probes each target is sent at the start besides the first one.
    pub fn extra(&self) -> u32 {
        self.count.unwrap_or(u32::MAX).min(self.preload) - 1
    }

    /// The least time between two probes to a target, if `limit` is that of the caller.
    pub fn spacing(&self, limit: Duration) -> Duration {
        if self.flood { limit.max(FLOOD_SPACING) } else { limit }
    }

    /// Which figures are kept.
    pub fn settings(&self, plan: &Plan) -> Settings {
        let least = plan.rate().pps().map_or(Duration::ZERO, |pps| Duration::from_secs_f64(1.0 / pps));
        Settings {
            count: self.count,
            period: if self.flood { least.clamp(FLOOD_SPACING, FLOOD_PERIOD) } else { self.period },
            extra: self.extra(),
            timeout: plan.timeout(),
            late: self.late.unwrap_or(plan.timeout()).min(Roster::MAX_LATE),
            exact: self.exact,
            values: self.values,
            all_rtts: self.all_rtts,
        }
    }

    /// With the period that `plan` allows for so many targets and references, each of which is sent
    /// a probe every second, and a warning if that is longer than what was asked for.
    pub fn within_rate(mut self, plan: &Plan, targets: usize, references: usize) -> (Self, Option<Warning>) {
        let Some(pps) = plan.rate().pps().filter(|_| !self.flood && !self.searches()) else { return (self, None) };
        // A list that leaves no rate for its references has to share it with them.
        let rate = (pps - references as f64).max(pps / 2.0);
        let needed = Duration::try_from_secs_f64(targets as f64 / rate).unwrap_or(Duration::MAX);
        // Without some spare rate, what a stall has delayed would stay late for ever.
        let with_spare = needed.min(*Schedule::PERIOD.end()).mul_f64(1.0 + SPARE).min(*Schedule::PERIOD.end());
        if with_spare <= self.period {
            return (self, None);
        }
        let asked = mem::replace(&mut self.period, with_spare);
        // Nobody waits for a second probe where there is none. Rounding is no reason for a warning.
        let is_longer = self.count != Some(1) && needed > asked + Duration::from_micros(1);
        (self, is_longer.then_some(Warning::PeriodTooShort { targets, pps, needed: with_spare, asked }))
    }
}

impl Options {
    /// With `--find-mtu`: the sizes that are searched, with packets that are never fragmented.
    pub(super) fn prepare_search(&mut self) -> Result<(), Error> {
        if !self.draft.find_mtu {
            return Ok(());
        }
        if self.packet.record_route() {
            return Err(Error::Conflict("--find-mtu", "--record-route"));
        }
        if self.icmp_errors == Some(IcmpErrors::Fail) {
            return Err(Error::Conflict("--find-mtu", "--icmp-errors=fail"));
        }
        let has_size = self.given.iter().any(|(_, flag)| flag.long == Some("size"));
        let (least, greatest) = match self.draft.sizes {
            Some(Sizing::Range(range)) if range.step() == 1 => (range.least(), range.greatest()),
            None if !has_size => {
                let (least, greatest) = (*PacketOptions::SIZE.start(), *PacketOptions::SIZE.end());
                // Both are in range.
                let _ = self.packet.set_size(greatest);
                (least as u16, greatest as u16)
            }
            _ => return Err(Error::BadUsage("--find-mtu takes --size=MIN-MAX only".to_owned())),
        };
        self.draft.sizes = Some(Sizing::Search { least, greatest, tries: DEFAULT_TRIES });
        self.packet.set_dont_fragment(true);
        Ok(())
    }

    /// Resolves what depends on several options of a run with statistics.
    pub(super) fn finish_statistics(&mut self, limits: &Limits) -> Result<(), Error> {
        let is_given = |name: &str| match name {
            "--count" => self.draft.count.is_some(),
            "--values" => self.draft.values,
            "--json" => self.json.is_some(),
            name => self.given.iter().any(|(typed, flag)| match name.strip_prefix("--") {
                Some(long) => flag.long == Some(long),
                None => typed == name,
            }),
        };
        if let Some(&(one, other)) = CONFLICTS.iter().find(|(one, other)| is_given(one) && is_given(other)) {
            return Err(Error::Conflict(one, other));
        }
        if let Some(sizing) = self.draft.sizes {
            let mut excluded = ["--loop", "--retries", "--responses", "--backoff", "-a", "-u"].to_vec();
            let mut name = "--size=MIN-MAX";
            if let Sizing::Search { .. } = sizing {
                name = "--find-mtu";
                excluded.extend(["--preload", "--flood", "--stop-after", "--values"]);
                excluded.extend(["--icmp-timestamp", "--icmp-mask"]);
            }
            if let Some(other) = excluded.into_iter().find(|name| is_given(name)) {
                return Err(Error::Conflict(name, other));
            }
        } else if !is_given("--count") && !is_given("--loop") {
            let typed = |name: &str| self.given.iter().any(|(typed, _)| typed == name);
            if let Some(name) = NEED_STATISTICS.iter().find(|name| typed(name)) {
                return Err(Error::NeedsStatistics(name));
            }
            // fping's letters that mean nothing in fping's own batch mode.
            self.ignored.extend(["-D", "-p"].into_iter().filter(|name| typed(name)).map(str::to_owned));
            (self.draft, self.given) = (Statistics::default(), Vec::new());
            return Ok(());
        }
        let has_rate = is_given("--max-pps") || is_given("-i");
        let has_period = is_given("--period") || is_given("-p");
        let mut statistics = mem::take(&mut self.draft);
        for (is_wanted, name) in [(statistics.flood, "--flood"), (statistics.preload > 1, "--preload")] {
            if is_wanted && !limits.caller_is_root {
                return Err(Error::RootOnly(name));
            }
        }
        if let Some(Sizing::Search { tries, .. }) = &mut statistics.sizes {
            *tries = statistics.count.unwrap_or(DEFAULT_TRIES);
            statistics.count = Some(SizeSearch::max_probes(*tries).min(MAX_COUNT));
            if !has_period {
                statistics.period = *Schedule::PERIOD.start();
            }
        }
        if let Some(Sizing::Range(sizes)) = &mut statistics.sizes {
            *sizes = sizes.with_probes(statistics.count.unwrap_or(1));
            let count = sizes.count().filter(|&count| count <= MAX_COUNT);
            let too_many = || Error::BadUsage(format!("--size and --count: more than {MAX_COUNT} probes to a target"));
            statistics.count = Some(count.ok_or_else(too_many)?);
        }
        if statistics.flood {
            statistics.period = FLOOD_PERIOD;
            if !has_rate {
                self.plan = self.plan.with_rate(Rate::UNLIMITED);
            }
        }
        if statistics.period < limits.spacing {
            statistics.period = limits.spacing;
            if has_period || !statistics.searches() {
                self.warnings.push(Warning::PeriodRaised(limits.spacing));
            }
        }
        self.given.clear();
        statistics.quiet = self.quiet || self.lines == Lines::None;
        self.statistics = Some(statistics);
        Ok(())
    }
}
