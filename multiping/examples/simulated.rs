//! The state machine around a network that does not exist: a day of pings to three hosts in virtual
//! time, in a moment, without a socket or a right.

#![expect(clippy::print_stdout, reason = "it is what an example does")]

use std::collections::BTreeMap;
use std::error::Error;
use std::hash::RandomState;
use std::time::{Duration, Instant};

use multiping::proto::{Echo, Key, PerFamily, Prober, ReplyKind, Roster, Route, Schedule, TimedOut};
use multiping::{Address, Rate};

const DAY: Duration = Duration::from_secs(86_400);

/// When the reply to a probe arrives, if it does: near, far, and one that is away for six hours.
fn reply_at(address: Address, sent: Duration) -> Option<Duration> {
    let hour = sent.as_secs() / 3600;
    match address {
        near if near == Address::from([192, 0, 2, 1]) => Some(sent + Duration::from_micros(300)),
        far if far == Address::from([192, 0, 2, 2]) => Some(sent + Duration::from_millis(80)),
        _ => (!(6..12).contains(&hour)).then_some(sent + Duration::from_millis(9)),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now(); // all later times are made up
    let idents = PerFamily { v4: 4711, v6: 4711 };
    let roster = Roster::new(start);
    let mut prober = Prober::new(roster, Rate::UNLIMITED, false, Key::new(RandomState::new()), idents, start);
    let schedule = Schedule::default().with_period(Duration::from_secs(10))?;
    let hosts: Vec<Address> = (1..=3).map(|number| Address::from([192, 0, 2, number])).collect();
    let mut figures = BTreeMap::new();
    for &host in &hosts {
        let id = prober.strategy_mut().add(host, &schedule, start)?;
        figures.insert(id.target, (0_u32, 0_u32));
    }
    // Packets on their way back, by the time when they arrive.
    let mut under_way: BTreeMap<Duration, (Address, [u8; 16], u16)> = BTreeMap::new();
    let mut now = Duration::ZERO;
    while now < DAY {
        // 1. Everything that has arrived.
        while let Some(packet) = under_way.first_entry().filter(|packet| *packet.key() <= now) {
            let at = start + *packet.key();
            let (from, token, seq) = packet.remove();
            let echo = Echo { ident: idents[from.family()], seq, data: &token };
            if let ReplyKind::Reply { target, .. } = prober.handle_reply(from, &echo, at) {
                figures.entry(target).or_default().0 += 1;
            }
        }
        // 2. What has timed out by then. (There is a route to everywhere.)
        prober.handle_timeouts(
            start + now,
            |_| Some(Route::over(1)),
            |TimedOut { target, .. }| {
                figures.entry(target).or_default().1 += 1;
            },
        );
        // 3. What is to be sent, and that it was.
        let probes = prober.poll_send(start + now).to_vec();
        for probe in &probes {
            if let Some(at) = reply_at(probe.address, now) {
                under_way.insert(at, (probe.address, probe.token.emit(), probe.seq));
            }
        }
        prober.handle_sent(&vec![start + now; probes.len()], true, start + now);
        // 4. Time passes until something is to be done.
        let wakeup = prober.poll_wakeup(start + now).map_or(DAY, |at| at - start);
        let arrival = under_way.keys().next().copied().unwrap_or(DAY);
        now = now.max(wakeup.min(arrival));
    }
    for (host, (replies, silent)) in hosts.iter().zip(figures.values()) {
        println!("{host}: {replies} replies, {silent} silent");
    }
    Ok(())
}
