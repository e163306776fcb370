//! Tests of `report`: every line is byte for byte what Xymon expects, and true.
//!
//! There is no network and no clock here: this file replies to the probes itself, each with the RTT
//! that the line must have. At the end are two parsers that follow xymonnet.c
//! (`finish_ping_service`) and do_net.c (`do_net_rrd`), as C code parses; their results must be
//! those replies.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::HashMap;
use std::hash::RandomState;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::slice;
use std::time::{Duration, Instant};

use fastrand::Rng;
use multiping::address::{Family, PerFamily};
use multiping::plan::{Plan, Rate};
use multiping::prober::{Details, Diagnosis, Prober, Route, SendError, Sweep};
use multiping::token::Key;
use multiping::wire::Echo;
use xymonping::limits::Limits;
use xymonping::list::{List, ListParser, OutputLines, Rules, Zones};
use xymonping::message::Error;
use xymonping::report::{End, Format, Lines, Outcome, Reserved, Results, Summary};
use xymonping::swept::Swept;

const IDENTS: PerFamily<u16> = PerFamily { v4: 0x1234, v6: 0x5678 };
const TIMEOUT: Duration = Duration::from_secs(200);
const ENETUNREACH: i32 = 101;

/// The response to one probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Response {
    Replied(Duration),
    Silent,
    Refused,
}
use Response::{Refused, Replied, Silent};

fn plan() -> Plan {
    Plan::default().with_rate(Rate::UNLIMITED).with_timeout(TIMEOUT).unwrap().with_retries(0)
}

/// A run with its output lines.
struct Run {
    prober: Prober<Sweep>,
    lines: OutputLines,
    details: Details,
}

impl Run {
    fn diagnosis(&self) -> Diagnosis {
        Diagnosis::new(&self.prober, |_| true, true)
    }

    fn swept(&self) -> Swept<'_> {
        Swept::new(slice::from_ref(&self.prober), slice::from_ref(&self.details))
    }

    fn outcome(&self) -> Outcome {
        Outcome::new(self.swept(), &self.diagnosis(), End::Complete, &Zones::default())
    }

    fn results<'a>(&'a self, diagnosis: &'a Diagnosis) -> Results<'a> {
        Results { lines: &self.lines, swept: self.swept(), diagnosis }
    }

    fn write(&self, lines: Lines, out: &mut impl Write) -> io::Result<()> {
        self.results(&self.diagnosis()).write(Format::Xymon(lines), out)
    }
}

fn parsed(list: &str) -> List {
    let interface = |name: &str| match name {
        "eth0" | "2" => Some(2),
        "wlan0" => Some(3),
        _ => None,
    };
    let rules = Rules { family: None, limits: &Limits::ORDINARY, broadcasts: &[], interface: &interface };
    let mut parser = ListParser::new(rules);
    parser.feed(list.as_bytes()).unwrap();
    parser.finish().unwrap()
}

fn begin(plan: Plan, list: &str) -> (Run, Instant) {
    let start = Instant::now(); // the only reading of a clock
    let List { addresses, lines, .. } = parsed(list);
    let prober = Prober::sweep(&plan, addresses, Key::new(RandomState::new()), IDENTS, start).unwrap();
    (Run { prober, lines, details: Details::default() }, start)
}

/// Sends everything that may be sent at `now`. `response` returns what happens to a probe, by
/// address and attempt.
fn send(prober: &mut Prober<Sweep>, now: Instant, response: &mut impl FnMut(&str, u32) -> Response) {
    while let Some(&probe) = prober.poll_send(now).first() {
        let ident = IDENTS[probe.address.family()];
        match response(&probe.address.to_string(), probe.token.attempt) {
            Refused => {
                let error = SendError::Refused { errno: ENETUNREACH };
                assert!(prober.handle_send_error(error, now), "the refusal is accepted at once");
            }
            Silent => prober.handle_sent(&[now], true, now),
            Replied(rtt) => {
                prober.handle_sent(&[now], true, now);
                let data = probe.token.emit();
                prober.handle_reply(probe.address, &Echo { ident, seq: probe.seq, data: &data }, now + rtt);
            }
        }
    }
}

/// A whole run over `list`.
fn run(plan: Plan, list: &str, mut response: impl FnMut(&str, u32) -> Response) -> Run {
    let (mut run, mut now) = begin(plan, list);
    let prober = &mut run.prober;
    send(prober, now, &mut response);
    while !prober.is_done() {
        now = prober.poll_wakeup(now).unwrap();
        prober.handle_timeouts(now, |_| Some(Route::over(1)), |_| {});
        send(prober, now, &mut response);
    }
    run
}

fn output(run: &Run, lines: Lines) -> String {
    let mut out = Vec::new();
    run.write(lines, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The line of a single host that replies after `rtt`.
fn line(rtt: Duration) -> String {
    output(&run(plan(), "192.0.2.1\n", |_, _| Replied(rtt)), Lines::All)
}

fn usec(count: u64) -> Duration {
    Duration::from_micros(count)
}

#[test]
fn below_three_milliseconds_rtts_are_whole_microseconds_half_up() {
    for (nanos, text) in [
        (0, "1 usec"),
        (1, "1 usec"),
        (499, "1 usec"),
        (500, "1 usec"),
        (999, "1 usec"),
        (1_499, "1 usec"),
        (1_500, "2 usec"),
        (999_499, "999 usec"),
        (999_500, "1000 usec"),
        (1_000_000, "1000 usec"),
        (2_999_000, "2999 usec"),
        (2_999_400, "2999 usec"),
        (2_999_499, "2999 usec"),
    ] {
        let line = line(Duration::from_nanos(nanos));
        assert_eq!(line, format!("192.0.2.1 is alive ({text})\n"), "{nanos} ns");
    }
}

#[test]
fn from_three_milliseconds_on_rtts_are_tenths_of_milliseconds_half_up() {
    for (nanos, text) in [
        (2_999_500, "3.0 ms"),
        (2_999_999, "3.0 ms"),
        (3_000_000, "3.0 ms"),
        (3_040_000, "3.0 ms"),
        (3_049_000, "3.0 ms"),
        (3_049_499, "3.0 ms"),
        (3_050_000, "3.1 ms"),
        (3_149_000, "3.1 ms"),
        (3_150_000, "3.2 ms"),
        (9_949_000, "9.9 ms"),
        (9_950_000, "10.0 ms"),
        (99_950_000, "100.0 ms"),
        (999_949_000, "999.9 ms"),
        (1_234_000_000, "1234.0 ms"),
        (5_000_000_000, "5000.0 ms"),
        (199_999_949_000, "199999.9 ms"),
        (199_999_950_000, "200000.0 ms"),
        (200_000_000_000, "200000.0 ms"),
    ] {
        let line = line(Duration::from_nanos(nanos));
        assert_eq!(line, format!("192.0.2.1 is alive ({text})\n"), "{nanos} ns");
    }
}

#[test]
fn the_summary_rounds_as_the_lines_do() {
    for ticks in [0, 4].into_iter().chain((5_u64..300).step_by(10)) {
        let run = run(plan(), "10.0.0.1\n", |_, _| Replied(Duration::from_nanos(ticks * 100)));
        let diagnosis = run.diagnosis();
        let summary = Summary::new(run.results(&diagnosis), 0, Duration::ZERO, Reserved::default()).to_string();
        let usec = ticks.div_ceil(10).max(1);
        let [whole, decimals] = [usec / 1000, usec % 1000];
        assert!(summary.contains(&format!(" {whole}.{decimals:03}/{whole}.{decimals:03}/")), "{ticks}: {summary}");
    }
}

#[test]
fn tenths_are_rounded_from_whole_microseconds() {
    // The mean is rounded to microseconds first and then, from 3000 on, to tenths of milliseconds:
    // 3.0495 ms is 3050 us, and that is 3.1 ms.
    for nanos in [3_049_500, 3_049_900, 3_049_990, 3_049_999] {
        assert_eq!(line(Duration::from_nanos(nanos)), "192.0.2.1 is alive (3.1 ms)\n", "{nanos} ns");
    }
}

#[test]
fn a_reply_stamped_before_its_probe_has_an_rtt_of_a_microsecond() {
    let (mut run, start) = begin(plan(), "192.0.2.1");
    let probe = run.prober.poll_send(start)[0];
    let later = start + Duration::from_millis(1);
    run.prober.handle_sent(&[later], true, later);
    let data = probe.token.emit();
    run.prober.handle_reply(probe.address, &Echo { ident: IDENTS.v4, seq: 0, data: &data }, start);
    assert_eq!(output(&run, Lines::All), "192.0.2.1 is alive (1 usec)\n");
}

#[test]
fn the_mean_of_several_replies_is_printed() {
    for (rtts, text) in [
        (&[1000, 1001, 1003][..], "1001 usec"),
        (&[1, 2], "2 usec"),
        (&[2999, 3000], "3.0 ms"),
        (&[2998, 3000], "2999 usec"),
        (&[1000, 9000], "5.0 ms"),
        (&[200_000_000; 255], "200000.0 ms"),
    ] {
        let plan = plan().with_responses(rtts.len() as u8).unwrap();
        let prober = run(plan, "192.0.2.1", |_, attempt| Replied(usec(rtts[attempt as usize])));
        assert_eq!(output(&prober, Lines::All), format!("192.0.2.1 is alive ({text})\n"), "{rtts:?}");
    }
}

#[test]
fn the_mean_of_fewer_replies_than_requested_is_printed() {
    let plan = plan().with_responses(3).unwrap().with_retries(1);
    let responses = [Silent, Replied(usec(100)), Replied(usec(201)), Silent];
    let prober = run(plan, "192.0.2.1", |_, attempt| responses[attempt as usize]);
    assert_eq!(output(&prober, Lines::All), "192.0.2.1 is alive (151 usec)\n");
}

#[test]
fn a_host_that_replies_to_its_last_attempt_is_alive_with_that_rtt() {
    let plan = plan().with_retries(2);
    let response = |_: &str, attempt| if attempt == 2 { Replied(usec(345)) } else { Silent };
    assert_eq!(output(&run(plan, "192.0.2.1", response), Lines::All), "192.0.2.1 is alive (345 usec)\n");
}

#[test]
fn a_silent_host_is_unreachable() {
    let prober = run(plan().with_retries(2), "192.0.2.1\n2001:db8::1\nfe80::1%eth0\n", |_, _| Silent);
    let expected = "192.0.2.1 is unreachable\n2001:db8::1 is unreachable\nfe80::1%eth0 is unreachable\n";
    assert_eq!(output(&prober, Lines::All), expected);
}

#[test]
fn ipv6_addresses_are_printed_in_the_form_of_rfc_5952() {
    for (typed, printed) in [
        ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::0102:0304", "::102:304"),
        ("FE80::00ab%eth0", "fe80::ab%eth0"),
        ("fe80::1%2", "fe80::1%2"),
    ] {
        let prober = run(plan(), typed, |_, _| Replied(usec(77)));
        assert_eq!(output(&prober, Lines::All), format!("{printed} is alive (77 usec)\n"));
        let prober = run(plan(), typed, |_, _| Silent);
        assert_eq!(output(&prober, Lines::All), format!("{printed} is unreachable\n"));
    }
}

const MIXED: &str = "2001:db8::2 second family first\n192.0.2.1\nnonsense\n\n192.0.2.2 # silent\nfe80::1%eth0\n192.0.2.1\n\
                     fe80::1%2\n2001:DB8::2\nfe80::1%wlan0\n";

fn mixed(address: &str, _: u32) -> Response {
    match address {
        "192.0.2.1" => Replied(usec(120)),
        "2001:db8::2" => Replied(usec(4500)),
        "fe80::1%2" => Replied(usec(9)),
        _ => Silent,
    }
}

#[test]
fn every_accepted_line_has_its_output_line_in_the_same_order() {
    let expected = "2001:db8::2 is alive (4.5 ms)\n\
                    192.0.2.1 is alive (120 usec)\n\
                    192.0.2.2 is unreachable\n\
                    fe80::1%eth0 is alive (9 usec)\n\
                    192.0.2.1 is alive (120 usec)\n\
                    fe80::1%2 is alive (9 usec)\n\
                    2001:db8::2 is alive (4.5 ms)\n\
                    fe80::1%wlan0 is unreachable\n";
    assert_eq!(output(&run(plan(), MIXED, mixed), Lines::All), expected);
}

#[test]
fn lines_can_be_selected_and_do_not_change() {
    let prober = run(plan(), MIXED, mixed);
    let all = output(&prober, Lines::All);
    let with = |what: &str| all.split_inclusive('\n').filter(|line| line.contains(what)).collect::<String>();
    assert_eq!(output(&prober, Lines::Alive), with(" is alive "));
    assert_eq!(output(&prober, Lines::Unreachable), with(" is unreachable"));
    assert_eq!(output(&prober, Lines::None), "");
    assert_eq!(Lines::default(), Lines::All);
}

#[test]
fn a_run_without_targets_writes_nothing() {
    assert_eq!(output(&run(plan(), "\n# none\n", |_, _| Silent), Lines::All), "");
}

#[test]
fn a_target_without_a_route_is_unreachable_if_others_have_one() {
    let response = |address: &str, _: u32| if address == "192.0.2.3" { Refused } else { Replied(usec(5)) };
    let prober = run(plan(), "192.0.2.1\n192.0.2.2\n192.0.2.3\n", response);
    let alive = "192.0.2.1 is alive (5 usec)\n192.0.2.2 is alive (5 usec)\n";
    assert_eq!(output(&prober, Lines::All), alive.to_owned() + "192.0.2.3 is unreachable\n");
    assert_eq!(output(&prober, Lines::Unreachable), "192.0.2.3 is unreachable\n");
    assert_eq!(output(&prober, Lines::Alive), alive);
    let outcome = prober.outcome();
    assert_eq!((outcome.failures.len(), outcome.warnings.len(), prober.diagnosis().unreachable), (0, 1, 1));
}

#[test]
fn a_run_that_could_send_nothing_has_no_lines() {
    let prober = run(plan(), "192.0.2.1\n2001:db8::1\n", |_, _| Refused);
    assert_eq!(output(&prober, Lines::All), "");
    let outcome = prober.outcome();
    assert!(matches!(outcome.failures[..], [Error::NothingSent(..)]), "{outcome:?}");
}

#[test]
fn a_family_that_could_not_be_sent_to_any_more_has_no_lines_for_the_rest() {
    // The first of three is sent to, then sending fails.
    let response = |address: &str, _: u32| match address {
        "192.0.2.2" | "192.0.2.3" => Refused,
        "2001:db8::2" => Silent,
        _ => Replied(usec(5)),
    };
    let prober = run(plan(), "192.0.2.1\n192.0.2.2\n192.0.2.3\n2001:db8::1\n2001:db8::2\n", response);
    let lines = "192.0.2.1 is alive (5 usec)\n2001:db8::1 is alive (5 usec)\n2001:db8::2 is unreachable\n";
    assert_eq!(output(&prober, Lines::All), lines);
    assert_eq!(output(&prober, Lines::Unreachable), "2001:db8::2 is unreachable\n");
    let outcome = prober.outcome();
    assert!(matches!(outcome.failures[..], [Error::SendingFailed { family: "IPv4", targets: 2, .. }]), "{outcome:?}");
}

#[test]
fn a_target_that_is_not_settled_has_no_line() {
    // As when a signal ends the run.
    let (mut run, now) = begin(plan(), "192.0.2.1\n192.0.2.2\n");
    assert_eq!(output(&run, Lines::All), "");
    let answer_one = |address: &str, _: u32| if address == "192.0.2.1" { Replied(usec(5)) } else { Silent };
    send(&mut run.prober, now, &mut { answer_one });
    assert_eq!(output(&run, Lines::All), "192.0.2.1 is alive (5 usec)\n");
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn a_target_that_is_undecided_has_no_line() {
    let (mut run, mut now) = begin(plan(), "192.0.2.1\n2001:db8::1\n");
    let prober = &mut run.prober;
    send(prober, now, &mut |_, _| Silent);
    while !prober.is_done() {
        now = prober.poll_wakeup(now).unwrap();
        prober.handle_overflow(Family::V4, now);
        prober.handle_timeouts(now, |_| Some(Route::over(1)), |_| {});
        send(prober, now, &mut |_, _| Silent);
    }
    assert_eq!(output(&run, Lines::All), "2001:db8::1 is unreachable\n");
}

/// Accepts `capacity` bytes and then fails, also to flush.
struct FullDisk {
    capacity: usize,
    written: Vec<u8>,
}

impl Write for FullDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.capacity - self.written.len());
        self.written.extend_from_slice(&bytes[..len]);
        if len > 0 { Ok(len) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.written.len() < self.capacity { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn output_that_cannot_be_written_or_flushed_is_an_error() {
    let prober = run(plan(), MIXED, mixed);
    let all = output(&prober, Lines::All);
    for capacity in 0..=all.len() + 1 {
        let mut disk = FullDisk { capacity, written: Vec::new() };
        let result = prober.write(Lines::All, &mut disk);
        assert_eq!(result.is_ok(), capacity > all.len(), "{capacity} of {} bytes", all.len());
        assert_eq!(disk.written, all.as_bytes()[..capacity.min(all.len())]);
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn xymonnet_and_xymond_rrd_parse_the_results() {
    let mut rng = Rng::with_seed(21);
    for run_number in 0..40 {
        let mut responses = HashMap::new();
        let mut list = String::new();
        for _ in 0..1 + rng.u64(..250) {
            let ip = Ipv4Addr::from(0x0a00_0001 + rng.u64(..400) as u32).to_string();
            list += &format!("{ip}\n2001:db8::{:x}\n", 1 + rng.u64(..0xffff));
            // RTTs of every size, from nanoseconds to the timeout; a third of the hosts is silent.
            let longest = 2_000_000 << rng.u64(..17);
            let rtt = Duration::from_nanos(rng.u64(..longest)).min(TIMEOUT);
            responses.entry(ip).or_insert(if rng.u64(..3) == 0 { Silent } else { Replied(rtt) });
        }
        let prober = run(plan(), &list, |address, _| responses.get(address).copied().unwrap_or(Replied(usec(1))));
        let text = output(&prober, Lines::All);

        assert!(text.is_ascii() && text.ends_with('\n') && !text.contains("time="));
        assert_eq!(text.lines().count(), list.lines().count());
        let seen = xymonnet(&text);
        assert_eq!(seen.len(), responses.len(), "run {run_number}: every IPv4 host has a colour, and no other");
        for (ip, response) in &responses {
            let (alive, banner) = &seen[ip];
            assert_eq!(*alive, *response != Silent, "run {run_number}: {banner}");
            let read = xymond_rrd(banner);
            match response {
                Replied(rtt) => {
                    let nanos = read.unwrap() * 1e9;
                    let error = (nanos - rtt.as_nanos() as f64).abs();
                    let allowed = if rtt.as_nanos() < 2_999_500 { 500.0 } else { 50_500.0 };
                    assert!(error <= allowed + 0.01, "run {run_number}: {banner} for {rtt:?}");
                    assert_eq!((nanos / 1e9 * 1e7).round() as i64 % 10, 0, "no digit beyond the microseconds");
                }
                _ => assert_eq!(read, None),
            }
        }
    }
}

#[test]
fn labels_do_not_appear_in_the_output() {
    // A label may be any text, which Xymon would show.
    let list = "192.0.2.1 is alive (1 usec) time=5 ms\n192.0.2.2 10 is alive\n";
    let text = output(&run(plan(), list, |_, _| Silent), Lines::All);
    assert_eq!(text, "192.0.2.1 is unreachable\n192.0.2.2 is unreachable\n");
}

#[test]
fn the_parsers_of_this_test_follow_those_of_xymon() {
    let alive = |line: &str| xymonnet(line).get("192.0.2.1").map(|(alive, _)| *alive);
    assert_eq!(alive("192.0.2.1 is alive (1 usec)\n"), Some(true));
    assert_eq!(alive("192.0.2.1 is ALIVE (1 usec)\n"), Some(false));
    assert_eq!(alive("192.0.2.1 is  alive\n"), Some(false));
    assert_eq!(alive("192.0.2.1 is alive\n192.0.2.1 is unreachable\n"), Some(false));
    assert_eq!(alive("2001:db8::1 is alive\n"), None);
    assert_eq!(alive("host 192.0.2.1 is alive\n"), None);
    for (banner, seconds) in [
        ("192.0.2.1 is alive (345 usec)", Some(0.000_345)),
        ("192.0.2.1 is alive (345.678 usec)", Some(0.000_345_678)),
        ("192.0.2.1 is alive (3.4 ms)", Some(0.0034)),
        ("192.0.2.1 is alive (1234 ms) x", Some(1.234)),
        ("192.0.2.1 is alive (1,5 ms)", Some(1.0)), // a wrong value, though the host is green
        ("192.0.2.1 is alive (5 us)", Some(5.0)),
        ("192.0.2.1 is alive (5 MS)", Some(5.0)),
        ("192.0.2.1 is alive  (5 ms)", None),
        ("192.0.2.1 is alive (5 ms) time=7 ms", Some(0.007)),
        ("192.0.2.1 is unreachable", None),
    ] {
        assert_eq!(xymond_rrd(banner), seconds, "{banner}");
    }
}

/// Parses as xymonnet does: whether a host is alive, by address, and its line. The last line of an
/// address wins.
fn xymonnet(output: &str) -> HashMap<String, (bool, String)> {
    let mut seen = HashMap::new();
    for line in output.lines() {
        // sscanf(line, "%d.%d.%d.%d ", ...) == 4
        let Some((a, rest)) = percent_d(line) else { continue };
        let Some((b, rest)) = rest.strip_prefix('.').and_then(percent_d) else { continue };
        let Some((c, rest)) = rest.strip_prefix('.').and_then(percent_d) else { continue };
        let Some((d, _)) = rest.strip_prefix('.').and_then(percent_d) else { continue };
        // strstr(line, "is alive")
        seen.insert(format!("{a}.{b}.{c}.{d}"), (line.contains("is alive"), line.to_owned()));
    }
    seen
}

/// A `%d` of sscanf: blanks, a sign, digits.
fn percent_d(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let len = digits.len() - digits.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let end = text.len() - digits.len() + len;
    if len == 0 { None } else { Some((text[..end].parse().ok()?, &text[end..])) }
}

/// Parses as xymond_rrd does: the seconds in the graph of a line.
fn xymond_rrd(banner: &str) -> Option<f64> {
    let after = |what: &str| banner.find(what).map(|at| &banner[at + what.len()..]);
    let text = after("time=").or_else(|| after("alive ("))?;
    let len = text.len() - text.trim_start_matches(|byte: char| byte.is_ascii_digit() || byte == '.').len();
    let number: f64 = text[..len].parse().unwrap_or(0.0); // atof
    let unit = text[len..].trim_start();
    Some(if unit.starts_with("ms") {
        number / 1e3
    } else if unit.starts_with("usec") {
        number / 1e6
    } else {
        number
    })
}
