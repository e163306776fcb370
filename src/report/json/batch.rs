//! The records of batch mode.

use std::io::{self, Write};
use std::time::Duration;

use multiping::tally::Tally;

use crate::list::UnresolvedLine;
use crate::report::Results;
use crate::report::json::record::{
    LastError, NoPercentiles, Probes, Reason, Rtts, Silence, States, Target, Text, errno_name, nanoseconds,
};
use crate::report::json::{Closing, Totals, write};
use crate::report::state::State;

/// Writes a record for each line of the list, in its order, and the last one. `unresolved` are the
/// names without an address.
pub fn write_batch(
    results: &Results,
    unresolved: &[UnresolvedLine],
    closing: &Closing,
    out: &mut impl Write,
) -> io::Result<()> {
    let swept = results.swept;
    let mut states = States::default();
    let mut unresolved = unresolved.iter().peekable();
    for (number, (target, shown)) in (0..).zip(results.targets()) {
        let Some(address) = swept.address(target) else { continue };
        let line = results.lines.number(number);
        while let Some(name) = unresolved.next_if(|name| (1..line).contains(&name.line)) {
            states.add(State::Unresolved);
            write(&Target::unresolved(name, NoPercentiles::default()), &mut *out)?;
        }
        let details = swept.details(target).copied().unwrap_or_default();
        let was_late = swept.tally(target).is_some_and(Tally::was_late);
        let silence = Silence { was_late, has_errors: details.icmp_errors() > 0 };
        let (verdict, diagnosis) = (swept.verdict(target), results.diagnosis);
        let state = State::of(verdict, Some(diagnosis), address.family());
        let reason = Reason::of(state, verdict, diagnosis, silence);
        states.add(state);
        let tally = swept.tally(target);
        let errno = tally.and_then(Tally::errno);
        let received = tally.map_or(0, |tally| tally.replies().into());
        let record = Target {
            target: Text(shown),
            label: results.lines.label(number),
            line,
            family: Some(address.family().into()),
            state,
            reason,
            probes: Probes::new(received, details.late(), details.lost()),
            duplicates: details.duplicates(),
            damaged: details.damaged(),
            elsewhere: details.elsewhere(),
            reordered: 0,
            icmp_errors: details.icmp_errors(),
            send_errors: details.send_errors(),
            error: LastError::new(details.last_error().map(|last| (last.error, last.from))),
            errno,
            errno_name: errno.map(errno_name),
            ttl: details.ttl(),
            ttl_changes: details.ttl_changes(),
            rtts: Rtts {
                samples: received,
                rtt_error_ratio: 0.0,
                rtt_min_ns: details.min_rtt().map(nanoseconds),
                rtt_mean_ns: swept.mean_rtt(target).map(nanoseconds),
                rtt_max_ns: details.max_rtt().map(nanoseconds),
                rtt_stddev_ns: None,
                percentiles: NoPercentiles::default(),
            },
            jitter_ns: None,
            jitter_rfc3550_ns: None,
            longest_outage_ns: None,
            longest_loss_run: None,
            sizes: None,
            rtts_ns: None,
            histogram: None,
        };
        write(&record, &mut *out)?;
    }
    for name in unresolved {
        states.add(State::Unresolved);
        write(&Target::unresolved(name, NoPercentiles::default()), &mut *out)?;
    }
    write(&closing.record(states, totals(results)), out)
}

/// The figures of all targets, each of which counts once, on however many lines it is.
fn totals(results: &Results) -> Totals<NoPercentiles> {
    let swept = results.swept;
    let (mut received, mut late, mut lost) = (0, 0, 0);
    let (mut duplicates, mut icmp_errors, mut send_errors) = (0, 0, 0);
    let (mut min, mut max, mut sum) = (None::<Duration>, None, 0_u128);
    for target in swept.targets() {
        let details = swept.details(target).copied().unwrap_or_default();
        let replies: u64 = swept.tally(target).map_or(0, |tally| tally.replies().into());
        received += replies;
        late += details.late();
        lost += details.lost();
        duplicates += details.duplicates();
        icmp_errors += details.icmp_errors();
        send_errors += details.send_errors();
        min = [min, details.min_rtt()].into_iter().flatten().min();
        max = max.max(details.max_rtt());
        sum += swept.mean_rtt(target).unwrap_or_default().as_nanos() * u128::from(replies);
    }
    Totals {
        probes: Probes::new(received, late, lost),
        duplicates,
        icmp_errors,
        send_errors,
        // Damaged replies from a source that cannot be told belong to no target.
        damaged: swept.counts().damaged,
        rtts: Rtts {
            samples: received,
            rtt_error_ratio: 0.0,
            rtt_min_ns: min.map(nanoseconds),
            rtt_mean_ns: sum.checked_div(received.into()).map(|mean| mean as u64),
            rtt_max_ns: max.map(nanoseconds),
            rtt_stddev_ns: None,
            percentiles: NoPercentiles::default(),
        },
    }
}
