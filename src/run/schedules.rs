//! When each target of a run with statistics is probed.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use multiping::alloc::{OutOfMemory, try_filled};
use multiping::prober::{Phase, Roster, Schedule};

use crate::cli::Statistics;
use crate::figures::Figures;
use crate::message::Error;
use crate::run::Session;
use crate::run::groups::Groups;

/// The schedule of each target: their turns are spread evenly over the period, in the order of the
/// list or in a random one.
pub(super) fn roster(
    statistics: &Statistics,
    session: &Session,
    figures: &Figures,
    groups: &Groups,
) -> Result<Roster, Error> {
    let (plan, start) = (&session.options.plan, figures.start());
    let (late, spacing) = (figures.settings().late, statistics.spacing(session.limits.spacing));
    let roster = Roster::new(start).with_late(late).and_then(|roster| roster.with_spacing(spacing));
    // Both are in range.
    let mut roster = roster.unwrap_or_else(|_| Roster::new(start));
    let schedule = statistics.schedule(plan);
    let targets = figures.addresses().len();
    let places = places(targets, plan.shuffle().then_some(&session.secret))?;
    for (target, address) in figures.addresses().iter() {
        let place = places.get(target.index()).copied().unwrap_or(target.0);
        let after = statistics.period.as_nanos() * u128::from(place) / targets as u128;
        let at_once = statistics.flood || statistics.extra() > 0;
        let phase = if at_once { Phase::Now } else { Phase::After(Duration::from_nanos(after as u64)) };
        if groups.contains(target) {
            let manual = Schedule::manual();
            roster.add(address, &manual.with_timeout(plan.timeout()).unwrap_or(manual), start)?;
            continue;
        }
        let id = roster.add(address, &schedule.with_phase(phase), start)?;
        for _ in 0..statistics.extra() {
            roster.probe(id, start);
        }
    }
    Ok(roster)
}

/// The place of each target in the period: none, if they are in order.
fn places(targets: usize, shuffle: Option<&RandomState>) -> Result<Vec<u32>, OutOfMemory> {
    let Some(secret) = shuffle else { return Ok(Vec::new()) };
    let mut order = try_filled(targets, 0_u32)?;
    order.iter_mut().zip(0..).for_each(|(place, number)| *place = number);
    order.sort_by_cached_key(|&number| secret.hash_one(number));
    Ok(order)
}
