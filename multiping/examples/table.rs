//! A live table of hosts in a terminal, the worst on top: `cargo run --example table -- localhost
//! 127.0.0.2`. With `--for SECONDS` in front it ends by itself. Off a terminal it prints the table
//! once, at the end.

#![expect(clippy::print_stdout, reason = "it is what an example does")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use multiping::{Config, Pinger, Schedule, TargetId, What};

/// What is shown of one host.
#[derive(Default)]
struct Row {
    name: String,
    sent: u64,
    lost: u64,
    last: Option<Duration>,
    worst: Duration,
    note: String,
}

impl Row {
    fn loss(&self) -> f64 {
        100.0 * self.lost as f64 / self.sent.max(1) as f64
    }

    fn record(&mut self, what: What) {
        match what {
            What::Reply(reply) => {
                (self.sent, self.last) = (self.sent + 1, Some(reply.rtt));
                self.worst = self.worst.max(reply.rtt);
                self.note.clear();
            }
            What::Silence { doubtful } => {
                (self.sent, self.lost, self.last) = (self.sent + 1, self.lost + 1, None);
                self.note = if doubtful { "silent (our own fault?)" } else { "silent" }.to_owned();
            }
            What::IcmpError { from, error, .. } => self.note = format!("{error} says {from}"),
            What::Refused(error) | What::Unresolved(error) => self.note = error.to_string(),
            _ => {}
        }
    }
}

/// The whole table, in one write, so that it does not flicker.
fn table(rows: &HashMap<TargetId, Row>) -> String {
    let mut rows: Vec<&Row> = rows.values().collect();
    rows.sort_by(|a, b| b.loss().total_cmp(&a.loss()).then_with(|| b.worst.cmp(&a.worst)));
    let mut text = format!("{:<24} {:>7} {:>7} {:>12} {:>12}  note\n", "host", "probes", "loss", "last", "worst");
    for row in rows {
        let last = row.last.map_or("-".to_owned(), |rtt| format!("{rtt:.1?}"));
        let (name, worst) = (&row.name, format!("{:.1?}", row.worst));
        let _ = writeln!(text, "{name:<24} {:>7} {:>6.1}% {last:>12} {worst:>12}  {}", row.sent, row.loss(), row.note);
    }
    text
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1).peekable();
    let mut end = None;
    if args.next_if_eq("--for").is_some() {
        let seconds: f64 = args.next().ok_or("--for needs a time")?.parse()?;
        end = Some(Instant::now() + Duration::try_from_secs_f64(seconds)?);
    }
    let (pinger, mut events) = Pinger::queued(Config::new())?;
    let mut rows = HashMap::new();
    for name in args {
        let schedule = Schedule::every(Duration::from_millis(500));
        let target = pinger.add_name(&name, schedule, Some(Duration::from_secs(300)))?;
        rows.insert(target, Row { name, ..Row::default() });
    }
    let is_live = io::stdout().is_terminal();
    let mut redraw = Instant::now();
    while end.is_none_or(|end| Instant::now() < end) {
        redraw += Duration::from_millis(200);
        while let Some(event) = events.next_before(redraw) {
            rows.entry(event.target).or_default().record(event.what);
        }
        if is_live {
            // To the top left corner, and clear what was below.
            io::stdout().write_all(format!("\x1b[H\x1b[J{}", table(&rows)).as_bytes())?;
            io::stdout().flush()?;
        }
    }
    println!("{}", table(&rows).trim_end());
    Ok(())
}
