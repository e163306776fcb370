//! Pacing: whether the packets on the wire keep to the requested rate, and how much processor time
//! it takes.
//!
//! A capture on the wire stamps every Echo Request. From the stamps follow the average rate and the
//! largest number of packets in any 10 ms: allowed are 10 ms worth at the rate, a burst of as much
//! (at least one packet), and one more for the edges of the window. On a busy machine a program
//! waits for a processor. xymonping catches up with a burst of that and no more; the rest is in the
//! column "stalled", for all programs alike. Processor time is that of the whole run, per packet,
//! with the far end's part, because the reply is made within the system call that sends.

mod bed;
mod capture;
mod figures;

use std::fmt::Write;
use std::time::Duration;

use bed::{Bed, List, NEAR, Program, Report, Run, alive4, begin, number, silent4};
use capture::{Capture, Captured, Keep};
use figures::{fullest_window, rate, save_data};

const WINDOW: Duration = Duration::from_millis(10);

/// A run of one program at one rate, and its packets on the wire.
struct Course {
    program: Program,
    requested: f64,
    run: Run,
    departures: Vec<Duration>,
}

struct Field {
    bed: Bed,
    report: Report,
    raw: String,
}

fn main() {
    begin();
    let mut field = Field { bed: Bed::open(), report: Report::new("pacing"), raw: String::new() };

    let mut courses = Vec::new();
    for (pps, seconds) in [(50, 8), (1_000, 5), (10_000, 5), (100_000, 5)] {
        let list = List::new((0..pps * seconds).map(alive4));
        let programs = [
            Some(Program::ours(&[&format!("--max-pps={pps}")])),
            Program::original(&[&format!("--max-pps={pps}")]).filter(|_| pps < 100_000),
            Program::fping(&["-e", "-i", &(1000.0 / f64::from(pps)).to_string()]).filter(|_| pps < 100_000),
        ];
        for program in programs.into_iter().flatten() {
            courses.push(field.course(program, "alive", pps.into(), &list));
        }
    }
    // A rate above what is possible, but not unlimited.
    let list = List::new((0..50_000).map(alive4));
    let programs = [Program::original(&["--max-pps=1000000"]), Some(Program::ours(&["--max-pps=1000000"]))];
    for program in programs.into_iter().flatten() {
        courses.push(field.course(program, "alive", 1e6, &list));
    }
    field.report.add("Alive hosts.\n");
    field.table(&courses);

    let list = List::new((0..60).map(silent4));
    let programs = [
        Program::fping(&["-i", "20", "-r", "3", "-t", "500"]),
        Program::original(&["--max-pps=50", "--retries=3", "--timeout=1"]),
        Some(Program::ours(&["--max-pps=50", "--retries=3", "--timeout=0.5"])),
    ];
    let courses: Vec<_> =
        programs.into_iter().flatten().map(|program| field.course(program, "silent", 50.0, &list)).collect();
    field.report.add("60 silent hosts, each probed four times, 20 ms between any two packets.\n");
    field.gaps(&courses);

    save_data("pacing", "program\thosts\trequested_pps\tdeparture_s", &field.raw);
    field.report.save();
}

impl Field {
    fn course(&mut self, program: Program, what: &str, requested: f64, list: &List) -> Course {
        let capture = self.bed.near().inside(|| Capture::start(NEAR, Keep::Requests));
        let run = self.bed.run(&program, Some(list));
        let departures = Captured::departures(&capture.finish());
        self.report.raw(&format!("{what} {requested} pps"), &program, std::slice::from_ref(&run));
        // A sample is enough.
        let first = departures.first().copied().unwrap_or_default();
        for departure in departures.iter().take(2000) {
            let since = (*departure - first).as_secs_f64();
            writeln!(self.raw, "{}\t{what}\t{requested}\t{since:.7}", program.name)
                .expect("writing to a string cannot fail");
        }
        Course { program, requested, run, departures }
    }

    fn table(&mut self, courses: &[Course]) {
        let heads = [
            "program",
            "requested pps",
            "packets",
            "pps",
            "off by %",
            "stalled ms",
            "most in 10 ms",
            "allowed",
            "CPU us a packet",
        ];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for Course { program, requested, run, departures } in courses {
            let worth = requested * WINDOW.as_secs_f64();
            let cpu = (run.user + run.system).as_secs_f64() * 1e6 / departures.len() as f64;
            let average = rate(departures);
            rows.push(vec![
                program.name.clone(),
                number(*requested, 0),
                departures.len().to_string(),
                number(average, 1),
                number((average / requested - 1.0) * 100.0, 3),
                number(stalled(departures, *requested), 1),
                fullest_window(departures, WINDOW).to_string(),
                number((worth + worth.max(1.0) + 1.0).floor(), 0),
                number(cpu, 2),
            ]);
        }
        self.report.table(&rows);
    }

    fn gaps(&mut self, courses: &[Course]) {
        let heads = ["program", "packets", "gaps under 10 ms", "shortest gap ms", "most in a second"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for Course { program, departures, .. } in courses {
            rows.push(vec![
                program.name.clone(),
                departures.len().to_string(),
                gaps(departures).filter(|gap| *gap < 10.0).count().to_string(),
                number(gaps(departures).fold(f64::INFINITY, f64::min), 3),
                fullest_window(departures, Duration::from_secs(1)).to_string(),
            ]);
        }
        self.report.table(&rows);
    }
}

/// Times between packets, in milliseconds.
fn gaps(departures: &[Duration]) -> impl Iterator<Item = f64> {
    departures.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3)
}

/// How long the program was late beyond what xymonping catches up with (10 ms worth, at least 2
/// ms), in milliseconds.
fn stalled(departures: &[Duration], requested: f64) -> f64 {
    let interval = 1000.0 / requested;
    let slack = (10.0 - interval).max(2.0);
    gaps(departures).map(|gap| (gap - interval - slack).max(0.0)).sum()
}
