//! One turn of the engine: everything that a loop around it has to do between two waits.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::net::{Arrival, Link};
use crate::prober::{Event, Prober, ReplyKind, Strategy, Wait};
use crate::wire::{ECHO_REQUEST, Message, Query, Reply};

/// How many batches are sent in a turn, at most: so that one system call reads the replies to all
/// (READ_BATCH in `net::socket`).
const MAX_BATCHES: usize = 4;

/// Reads what arrived, ends what has timed out by `now`, sends what may be sent, and returns how to
/// wait for the next turn (`None`: not at all). `on_event` is told of everything; when it breaks,
/// the turn ends early.
pub fn turn<S: Strategy, B>(
    link: &mut Link,
    prober: &mut Prober<S>,
    now: Instant,
    on_event: &mut impl FnMut(Event) -> ControlFlow<B>,
) -> ControlFlow<B, Option<Wait>> {
    receive(link, prober, now, on_event)?;
    if prober.poll_receive_retry(now).is_none() {
        let flow = send(link, prober, now, on_event);
        link.end_sending();
        flow?;
    }
    ControlFlow::Continue(prober.poll_wait(now))
}

/// Sends what may be sent, in several batches.
fn send<S: Strategy, B>(
    link: &mut Link,
    prober: &mut Prober<S>,
    now: Instant,
    on_event: &mut impl FnMut(Event) -> ControlFlow<B>,
) -> ControlFlow<B> {
    for _ in 0..MAX_BATCHES {
        let singly = prober.sends_singly();
        let probes = prober.poll_send(now);
        if probes.is_empty() {
            break;
        }
        let departure = link.send(probes, singly);
        let (times, end) = (departure.times(), departure.until);
        let mut flow = ControlFlow::Continue(());
        for (&probe, &at) in probes.iter().zip(times) {
            if flow.is_continue() {
                flow = on_event(Event::Sent { probe, at });
            }
        }
        let next = probes.get(times.len()).copied();
        prober.handle_sent(times, departure.outward, end);
        flow?;
        if let (Some(error), Some(probe)) = (departure.error, next) {
            if prober.handle_send_error(error, end) {
                on_event(Event::SendError { probe, error, at: end })?;
            }
            report_done(prober, on_event)?;
            break;
        }
    }
    ControlFlow::Continue(())
}

/// The first half of a turn: reads what arrived and ends what has timed out by `now`. Nothing is
/// sent. If reading fails, nothing is ended either.
pub fn receive<S: Strategy, B>(
    link: &mut Link,
    prober: &mut Prober<S>,
    now: Instant,
    on_event: &mut impl FnMut(Event) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let mut flow = ControlFlow::Continue(());
    let received = link.receive(|arrival| {
        let Arrival { from, at, ttl, tos, to, route, .. } = arrival;
        let received =
            |reply, kind, elsewhere| Event::Received { from, reply, kind, elsewhere, at, ttl, tos, to, route };
        let event = match &arrival.message {
            Ok(Message::Reply(reply)) => {
                let kind = prober.handle_reply(from, reply, at);
                received(Some(Reply::Echo(*reply)), kind, prober.is_elsewhere(&kind, from))
            }
            Ok(Message::QueryReply(reply)) => {
                let kind = prober.handle_query_reply(from, reply, at);
                received(Some(Reply::Query(*reply)), kind, prober.is_elsewhere(&kind, from))
            }
            Ok(Message::QueryRequest(request)) => {
                prober.handle_other();
                let msg_type = Query::types(request.kind()).map_or(0, |[request, _]| request);
                Event::Message { from, msg_type, code: 0, at }
            }
            Ok(Message::Error { error, original }) => {
                let about = prober.handle_icmp_error(error, original, at);
                Event::IcmpError { from, error: *error, original: *original, about, at }
            }
            Ok(Message::Request(_)) => {
                prober.handle_other();
                Event::Message { from, msg_type: ECHO_REQUEST[from.family()], code: 0, at }
            }
            Ok(Message::Other { msg_type, code }) => {
                prober.handle_other();
                Event::Message { from, msg_type: *msg_type, code: *code, at }
            }
            Err(_) => received(None, prober.handle_damaged(from), false),
        };
        if arrival.is_remote && matches!(event, Event::Received { kind: ReplyKind::Reply { .. }, .. }) {
            prober.handle_remote_reply();
        }
        if flow.is_continue() {
            flow = on_event(event);
        }
    });
    for (family, received) in received {
        if received.overflowed {
            prober.handle_overflow(family, now);
        }
    }
    prober.handle_reads(received.map(|received| received.error), now);
    if prober.poll_receive_retry(now).is_some() {
        return flow;
    }
    if prober.poll_discards(now) {
        link.count_discards(prober, now);
    }
    if prober.poll_look(now) {
        link.look(prober, now);
    }
    let route = |address| link.route(address);
    prober.handle_timeouts(now, route, |timed_out| {
        if flow.is_continue() {
            flow = on_event(Event::TimedOut(timed_out));
        }
    });
    flow?;
    report_done(prober, on_event)
}

fn report_done<S: Strategy, B>(
    prober: &mut Prober<S>,
    on_event: &mut impl FnMut(Event) -> ControlFlow<B>,
) -> ControlFlow<B> {
    while let Some(target) = prober.poll_done() {
        on_event(Event::Done { target })?;
    }
    ControlFlow::Continue(())
}
