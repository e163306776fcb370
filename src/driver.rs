//! The one loop and the one clock: moves packets and moments between the sockets and the state machine.
//!
//! Replies are read before anything is expired, and the drop counter with them, so that it does not matter when we get
//! round to it. Nothing sleeps in the send path. While packets wait for their turn the sockets are not polled: replies
//! are stamped by the kernel and lose nothing by being read at the next tick.

use std::fmt::{self, Display, Formatter};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::c_ulong;
use nix::sys::prctl;

use crate::error::Error;
use crate::net::{Arrival, Awaited, Departure, Link, is_want_of_room};
use crate::privilege::Dropped;
use crate::prober::{Fate, Probe, Prober, left_at};
use crate::report::End;
use crate::signal::{Event, Signals};
use crate::stdio::{Interrupted, Stream};
use crate::targets::Reading;
use crate::token::Token;
use crate::wire::{Echo, Family, Message};

/// How long one wait may be without looking for replies. At 50 packets a second there is a packet to send before that.
const LONGEST_TICK: Duration = Duration::from_millis(20);

/// How short a wait may be: at high rates each wake-up then sends several packets, for a tenth of the cost. It stays well
/// within the 10 ms worth of packets that may leave together; 1 ms costs 9 % more processor time at 10,000 a second.
const SHORTEST_TICK: Duration = Duration::from_millis(2);

/// The rate above which no wait is shorter than that, in packets a second.
const COALESCED_RATE: f64 = 1000.0;

/// How long a signal may have to wait while packets leave one after the other: looking costs a system call.
const GLANCE: Duration = Duration::from_millis(1);

/// How long to wait before sending is tried again when our own queues are full.
const PAUSE: Duration = Duration::from_millis(1);

/// How long our own queues may stay full without letting a single packet through. One that stays so for longer is one
/// that nothing leaves any more, and a run has to end.
/// (A full neighbour table has no room until the first of its neighbours is no longer taken to be reachable: 45 s after it
/// answered at most, by the kernel's default of base_reachable_time_ms.)
const LONGEST_JAM: Duration = Duration::from_secs(50);

/// How long an interface may next have no room once that was waited for in vain: the kernel says the same of packets that
/// it will never let through, as where traffic control drops what goes to some hosts. These hold up the others only once.
const NEXT_JAM: Duration = Duration::from_millis(100);

/// How long a parent that is still writing its list is listened to after we have failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// By how much the kernel may wake us late, in nanoseconds: what it grants everybody from the start (prctl(2),
/// PR_SET_TIMERSLACK).
const SLACK: c_ulong = 50_000;

/// Has the kernel end our waits when they are to end: a caller can hand down a slack of any length.
pub fn be_punctual() {
    // If it is refused all the same, we are as late as the caller wants us to be, and say nothing that is not true.
    let _ = prctl::set_timerslack(SLACK);
}

/// The clock that everything is timed by.
pub fn now() -> Instant {
    Instant::now()
}

/// Reads a list to its end. Who asks meanwhile how far we are is told how many lines there were so far.
pub fn read_list(list: &mut impl Read, reading: &mut Reading, tell: impl Fn(usize)) -> Result<(), Error> {
    let mut piece = vec![0; 16 * 1024];
    loop {
        match list.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => reading.feed(&piece[..count])?,
            Err(error) if Interrupted::event(&error) == Some(Event::Status) => tell(reading.accepted()),
            Err(error) => return Err(Error::ReadList(error)),
        }
    }
}

/// Reads what a parent is still writing, so that it is not killed by a pipe that nobody reads; not beyond `deadline`.
pub fn drain_input<D: AsFd>(input: &mut Stream<D>, deadline: Option<Instant>) {
    let patience = now() + PATIENCE;
    let end = deadline.map_or(patience, |deadline| deadline.min(patience));
    let mut piece = vec![0; 64 * 1024];
    loop {
        let left = end.saturating_duration_since(now()).as_millis() as u16;
        if left == 0 || !input.wait_readable(left) || !matches!(input.read(&mut piece), Ok(1..)) {
            return;
        }
    }
}

/// A line for every packet: time, direction, address, ident, seq, attempt, verdict, RTT. Never a token or a key.
pub struct Log<'a> {
    out: Box<dyn Write + 'a>,
    start: Instant,
    /// The signal that ended a wait for the log's reader; from then on nothing more is written.
    event: Option<Event>,
}

impl<'a> Log<'a> {
    /// Writes to `out` from now on.
    pub fn new(out: impl Write + 'a) -> Self {
        Log { out: Box::new(out), start: now(), event: None }
    }

    /// Writes one line. A log that cannot be written is no reason to stop probing; a signal that comes meanwhile is.
    fn line(&mut self, at: Instant, what: std::fmt::Arguments) {
        if self.event.is_some() {
            return;
        }
        let time = at.saturating_duration_since(self.start).as_secs_f64();
        let written = self.out.write_all(format!("{time:.6} {what}\n").as_bytes());
        self.event = written.err().as_ref().and_then(Interrupted::event);
    }

    fn sent(&mut self, at: Instant, probe: &Probe, ident: u16) {
        let Probe { address, token, seq, .. } = probe;
        self.line(at, format_args!("send {address} ident {ident} seq {seq} attempt {}", token.attempt));
    }

    fn refused(&mut self, at: Instant, probe: &Probe, errno: Errno) {
        let Probe { address, token, .. } = probe;
        self.line(at, format_args!("send {address} attempt {} refused: {}", token.attempt, errno.desc()));
    }

    fn received(&mut self, arrival: &Arrival, fate: Fate) {
        let Arrival { from, message, at } = arrival;
        let Ok(Message::Reply(reply)) = message else {
            return self.line(*at, format_args!("recv {from} {fate}"));
        };
        let Echo { ident, seq, data } = reply;
        match (fate, Token::parse(data)) {
            (Fate::Answer { .. } | Fate::Duplicate | Fate::Late, Some(Token { attempt, .. })) => {
                self.line(*at, format_args!("recv {from} ident {ident} seq {seq} attempt {attempt} {fate}"));
            }
            _ => self.line(*at, format_args!("recv {from} ident {ident} seq {seq} {fate}")),
        }
    }
}

/// How far a run is: a line for a terminal, renewed every second and wiped at the end, or written once when a signal
/// asks for it.
pub struct Status<W> {
    out: W,
    /// When the line is to be renewed; never, where there is no terminal.
    next: Option<Instant>,
    shown: bool,
}

impl<W: Write> Status<W> {
    const PERIOD: Duration = Duration::from_secs(1);

    /// A status line on `out`, which is a terminal or not.
    pub fn new(out: W, terminal: bool) -> Self {
        Status { out, next: terminal.then(|| now() + Self::PERIOD), shown: false }
    }

    fn renew(&mut self, prober: &Prober, round: Instant) {
        if self.next.is_some_and(|next| next <= round) {
            self.next = Some(round + Self::PERIOD);
            self.shown = true;
            let _ = write!(self.out, "\r{}\x1b[K", Progress { prober, round });
        }
    }

    fn tell(&mut self, prober: &Prober, round: Instant) {
        self.wipe();
        let _ = writeln!(self.out, "xymonping: {}", Progress { prober, round });
    }

    fn wipe(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = self.out.write_all(b"\r\x1b[K");
        }
    }
}

struct Progress<'a> {
    prober: &'a Prober,
    round: Instant,
}

impl Display for Progress<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Progress { prober, round } = self;
        let (alive, silent) = (prober.alive(), prober.settled() - prober.alive());
        let left = prober.remaining(*round).as_secs_f64().ceil();
        write!(f, "{} of {} probed, ", prober.tried(), prober.targets().len())?;
        write!(f, "{alive} alive, {silent} silent, about {left} s left")
    }
}

/// What stands around the sockets and the state machine while they work.
pub struct Context<'a, W> {
    /// The signals that may come.
    pub signals: &'a Signals,
    /// Where a line for every packet is written to, if anywhere.
    pub log: Option<Log<'a>>,
    /// How far we are.
    pub status: Status<W>,
    /// When to stop, whatever is settled.
    pub deadline: Option<Instant>,
}

/// Probes until every target is settled, until a signal comes, or until time is over.
pub fn probe<W: Write>(link: &mut Link, prober: &mut Prober, context: &mut Context<W>, _: &Dropped) -> End {
    let end = probe_until(link, prober, context);
    context.status.wipe();
    end
}

fn probe_until<W: Write>(link: &mut Link, prober: &mut Prober, context: &mut Context<W>) -> End {
    let Context { signals, log, status, deadline } = context;
    let idents = link.idents();
    let tick = if prober.plan().rate.exceeds(COALESCED_RATE) { SHORTEST_TICK } else { Duration::ZERO };
    // Since when the kernel has had no room for a single packet.
    let mut jammed = None;
    // Whether an interface has been waited for in vain.
    let mut in_vain = false;
    // By family, the last target beyond this machine that a probe left for: what reaches ourselves says nothing of routes.
    let mut reached = [None; 2];
    let mut glance = now();
    loop {
        let round = now();
        // Asked before the replies are read: what had arrived when the signal came still counts.
        let event = if glance <= round {
            glance = round + GLANCE;
            signals.poll()
        } else {
            None
        };
        receive(link, prober, log, round);
        prober.handle_timeouts(round);
        if prober.is_done() {
            return End::Complete;
        }
        if deadline.is_some_and(|deadline| deadline <= round) {
            return End::Deadline(prober.handle_deadline());
        }
        status.renew(prober, round);
        match event.or_else(|| log.as_ref()?.event) {
            None => {}
            Some(Event::Status) => status.tell(prober, round),
            Some(Event::Stop(signal)) => return End::Stopped(signal),
            Some(Event::Alarm) => return End::Deadline(prober.handle_deadline()),
        }
        let probes = prober.poll_send(round);
        let Some(&first) = probes.first() else {
            let until = [status.next, *deadline].into_iter().flatten().min();
            wait(link, prober, signals, until, round, tick);
            glance = round;
            continue;
        };
        let Departure { count, left, refusal } = link.send(probes);
        let at = left.end;
        let family = first.address.family().index();
        if let Some(beyond) = probes[..count].iter().rev().find(|probe| link.leaves(probe.address)) {
            reached[family] = Some(beyond.address);
        }
        if let Some(log) = log {
            let ident = idents[family];
            for (place, probe) in probes[..count].iter().enumerate() {
                log.sent(left_at(&left, place, count), probe, ident);
            }
        }
        match refusal {
            None => {
                jammed = None;
                prober.handle_sent(count, left);
                if reached != [None; 2] {
                    prober.handle_network();
                }
            }
            // Nobody's fault, and over soon: silent neighbours, for example, hold what is sent to them for three seconds.
            Some(errno) if is_want_of_room(errno) && at < *jammed.get_or_insert(at) + longest_jam(errno, in_vain) => {
                link.wait(signals.as_fd(), Some(at + PAUSE), Awaited::Nothing);
                // A full socket is how the kernel keeps pace with us; all else is worth a word.
                if errno == Errno::ENOBUFS {
                    prober.handle_no_room(now() - at);
                }
            }
            Some(errno) => {
                in_vain |= errno == Errno::ENOBUFS;
                if is_want_of_room(errno) {
                    prober.handle_crowded_out(first.address.family());
                }
                if let Some(log) = log {
                    log.refused(at, &first, errno);
                }
                let only_here =
                    is_about_routes(errno) && reached[family].is_some_and(|address| link.has_route(address));
                prober.handle_refused(errno as i32 as u8, only_here, at);
            }
        }
    }
}

/// How long to wait where the kernel has no room. A full socket has room again for whomever.
fn longest_jam(errno: Errno, in_vain: bool) -> Duration {
    if in_vain && errno == Errno::ENOBUFS { NEXT_JAM } else { LONGEST_JAM }
}

/// Whether the kernel refuses to send for want of a route, and not because of what is sent or who sends it.
fn is_about_routes(errno: Errno) -> bool {
    matches!(errno, Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::ENETDOWN | Errno::EACCES | Errno::EINVAL)
}

/// Hands over all that had arrived by `round`, and whether anything was lost.
fn receive(link: &mut Link, prober: &mut Prober, log: &mut Option<Log>, round: Instant) {
    let overflowed = link.receive(|arrival| {
        let fate = match &arrival.message {
            Ok(Message::Reply(reply)) => prober.handle_reply(arrival.from, reply, arrival.at),
            Ok(_) => prober.handle_other(),
            Err(_) => prober.handle_damaged(),
        };
        if let Some(log) = log {
            log.received(&arrival, fate);
        }
    });
    for family in Family::BOTH {
        if overflowed[family.index()] {
            prober.handle_overflow(family, round);
        }
    }
}

/// Nothing may leave just now: waits until something may, or until something else is to be done, but at most until
/// `until`.
fn wait(link: &Link, prober: &Prober, signals: &Signals, until: Option<Instant>, round: Instant, tick: Duration) {
    let wakeup = [prober.poll_wakeup(round), until].into_iter().flatten().min();
    match wakeup {
        Some(wakeup) if prober.has_work() && wakeup <= round + LONGEST_TICK => {
            link.wait(signals.as_fd(), Some(wakeup.max(round + tick)), Awaited::Nothing);
        }
        _ => link.wait(signals.as_fd(), wakeup, Awaited::Replies),
    }
}
