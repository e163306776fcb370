//! Verdicts -> lines, and what they come to as a whole: failures, warnings, a summary.
//!
//! The lines are a contract: Xymon reads them with `sscanf` and `strstr`, graphs the number in the brackets, and shows
//! the text on its pages (xymonnet.c `finish_ping_service`, do_net.c `do_net_rrd`).

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::time::Duration;

use crate::error::{Error, Warning};
use crate::prober::Prober;
use crate::room::reserved;
use crate::tally::{TICK, Verdict};
use crate::targets::Address;
use crate::wire::Family;

/// Which lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// All of them.
    #[default]
    All,
    /// Only those of targets that are alive.
    Alive,
    /// Only those of targets that are unreachable.
    Unreachable,
    /// None.
    None,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every target is settled.
    Complete,
    /// The signal of this name came.
    Stopped(&'static str),
    /// Time was over, with so many targets unsettled.
    Deadline(usize),
}

/// From here on, want of room in the kernel explains why a run took so long.
const NO_ROOM: Duration = Duration::from_secs(1);

/// What a run came to, beyond its lines.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why it is a failure, if it is one; the worst first.
    pub failures: Vec<Error>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
    /// How many targets are called unreachable.
    pub unreachable: usize,
    /// By family, whether targets that were never sent to get no line.
    muted: [bool; 2],
}

impl Outcome {
    /// Judges a run that ended so: whether its silence is the targets' or our own.
    pub fn of(prober: &Prober, end: End) -> Self {
        let mut outcome = Outcome::default();
        let mut undecided = 0;
        let mut unsent: Vec<Unsent> = Vec::new();
        for (target, address) in prober.targets().addresses() {
            match prober.verdict(target) {
                Verdict::Unreachable => outcome.unreachable += 1,
                Verdict::Undecided => undecided += 1,
                Verdict::Unsent(errno) => Unsent::add(&mut unsent, address, errno),
                Verdict::Alive(_) | Verdict::Unsettled => {}
            }
        }
        for family in Family::BOTH {
            let of_family = || unsent.iter().filter(|unsent| unsent.first.family() == family);
            let Some(first) = of_family().next() else { continue };
            if !prober.is_networked() {
                outcome.muted[family.index()] = true;
                if !outcome.failures.iter().any(|failure| matches!(failure, Error::NothingSent(_))) {
                    outcome.failures.push(Error::NothingSent(first.why()));
                }
            } else if prober.broke_off(family) {
                outcome.muted[family.index()] = true;
                let count = of_family().map(|unsent| unsent.count).sum();
                outcome.failures.push(Error::Broke(family.name(), count, first.why()));
            } else {
                outcome.unreachable += of_family().map(|unsent| unsent.count).sum::<usize>();
                outcome.warnings.extend(of_family().map(Unsent::warning));
            }
        }
        if undecided > 0 {
            outcome.failures.push(Error::Undecided(undecided));
        }
        if prober.counts().given_back > 0 {
            outcome.warnings.push(Warning::Overflow(prober.counts().given_back));
        }
        if prober.counts().no_room >= NO_ROOM {
            outcome.warnings.push(Warning::NoRoom(prober.counts().no_room));
        }
        let targets = prober.targets().len();
        let cut_short = match end {
            End::Complete => None,
            End::Stopped(signal) => Some(Error::Stopped(signal, prober.settled(), targets)),
            End::Deadline(unsettled) => {
                let without_line = targets - prober.alive() - outcome.unreachable;
                Some(Error::Deadline { unsettled, without_line, targets })
            }
        };
        outcome.failures.splice(0..0, cut_short);
        outcome
    }

    /// Writes the lines of the run, in the order of the input.
    pub fn write(&self, out: &mut impl Write, prober: &Prober, lines: Lines) -> io::Result<()> {
        for (address, shown, target) in prober.targets().lines() {
            let unreachable = match prober.verdict(target) {
                Verdict::Alive(rtt) if matches!(lines, Lines::All | Lines::Alive) => {
                    writeln!(out, "{shown} is alive ({})", Rtt(rtt))?;
                    false
                }
                Verdict::Unreachable => true,
                Verdict::Unsent(_) => !self.muted[address.family().index()],
                _ => false,
            };
            if unreachable && matches!(lines, Lines::All | Lines::Unreachable) {
                writeln!(out, "{shown} is unreachable")?;
            }
        }
        out.flush()
    }
}

/// Targets of one family that were never sent to for the same reason.
struct Unsent {
    errno: u8,
    first: Address,
    count: usize,
}

impl Unsent {
    fn add(all: &mut Vec<Unsent>, address: Address, errno: u8) {
        let same = |unsent: &&mut Unsent| unsent.errno == errno && unsent.first.family() == address.family();
        match all.iter_mut().find(same) {
            Some(unsent) => unsent.count += 1,
            None => all.push(Unsent { errno, first: address, count: 1 }),
        }
    }

    fn why(&self) -> io::Error {
        io::Error::from_raw_os_error(self.errno.into())
    }

    fn warning(&self) -> Warning {
        Warning::Unsent(self.count, self.first.to_string(), self.why())
    }
}

/// The run in figures, for people.
pub struct Summary<'a> {
    /// The run.
    pub prober: &'a Prober,
    /// What it came to.
    pub outcome: &'a Outcome,
    /// How many replies or damaged packets the kernel threw away.
    pub drops: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// The RTT of every alive target, in ticks; sorted.
    rtts: Vec<u32>,
}

impl<'a> Summary<'a> {
    /// Sums up, in memory that was set aside before the run: see [`Summary::room`].
    pub fn new(prober: &'a Prober, outcome: &'a Outcome, drops: u64, elapsed: Duration, mut room: Vec<u32>) -> Self {
        room.extend(prober.targets().addresses().filter_map(|(target, _)| match prober.verdict(target) {
            Verdict::Alive(rtt) => u32::try_from(rtt.as_nanos() / TICK.as_nanos()).ok(),
            _ => None,
        }));
        room.sort_unstable();
        Summary { prober, outcome, drops, elapsed, rtts: room }
    }

    /// The memory that a summary of so many targets takes.
    pub fn room(targets: usize) -> Result<Vec<u32>, Error> {
        reserved(targets)
    }

    /// The RTT that this share of alive targets does not exceed (the nearest rank), in milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.rtts.len() as f64).ceil() as usize;
        self.rtts.get(rank.max(1) - 1).map_or(0.0, |&ticks| milliseconds(ticks.into()))
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { prober, outcome, drops, elapsed, rtts } = self;
        let (targets, alive, unreachable) = (prober.targets().len(), prober.alive(), outcome.unreachable);
        let counts = prober.counts();
        let unknown = targets - alive - unreachable;
        write!(f, "{targets} targets, {alive} alive, {unreachable} unreachable, {unknown} without a line; ")?;
        write!(f, "{} probes sent, {} replies ({} from elsewhere), ", counts.sent, counts.replies, counts.elsewhere)?;
        write!(f, "{} duplicates, ", counts.duplicates)?;
        write!(f, "{} late, {} damaged, {} stray, ", counts.late, counts.damaged, counts.stray)?;
        write!(f, "{} local send errors, {drops} kernel drops; {:.3} s", counts.refused, elapsed.as_secs_f64())?;
        if !rtts.is_empty() {
            let sum: u64 = rtts.iter().map(|&ticks| u64::from(ticks)).sum();
            let mean = milliseconds(sum as f64 / rtts.len() as f64);
            let [min, median, p99, max] = [0.0, 0.5, 0.99, 1.0].map(|share| self.quantile(share));
            write!(f, "; RTT min/median/mean/p99/max {min:.3}/{median:.3}/{mean:.3}/{p99:.3}/{max:.3} ms")?;
        }
        Ok(())
    }
}

/// Rounded to whole microseconds as on the lines: halves up.
fn milliseconds(ticks: f64) -> f64 {
    (ticks * TICK.as_nanos() as f64 / 1000.0 + 0.5).floor() / 1000.0
}

/// An RTT as Xymon reads it: whole microseconds below 3 ms, tenths of milliseconds from there on, halves rounded up.
struct Rtt(Duration);

impl Display for Rtt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let usec = (self.0.as_nanos() + 500) / 1000;
        if usec < 3000 {
            write!(f, "{usec} usec")
        } else {
            let tenths = (usec + 50) / 100;
            write!(f, "{}.{} ms", tenths / 10, tenths % 10)
        }
    }
}
