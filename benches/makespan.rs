//! How long a run takes with a tenth of the hosts silent, compared with the lower bound.
//!
//! No run can be shorter than its packets at the rate, nor than the time until the last silent
//! target has had all its attempts: max(packets / rate, first send of the last silent target + (1 +
//! retries) x timeout). These runs are idle most of the time, so they run at the same time, each on
//! its own bed.

mod bed;

use std::thread;

use bed::{Bed, List, Program, Report, Run, alive4, begin, number, silent4};

const TIMEOUT: f64 = 5.0;
const ATTEMPTS: u32 = 3;

/// A list of `hosts`, of which every tenth and the last are silent, probed at `rate`.
#[derive(Clone, Copy)]
struct Scene {
    hosts: u32,
    rate: u32,
    /// Whether the other programs run it too.
    peers: bool,
}

const SCENES: [Scene; 3] = [
    Scene { hosts: 10_000, rate: 2000, peers: false },
    Scene { hosts: 1500, rate: 1000, peers: true },
    Scene { hosts: 1500, rate: 50, peers: true },
];

impl Scene {
    fn list(self) -> List {
        List::new((1..=self.hosts).map(|n| if n % 10 == 0 { silent4(n) } else { alive4(n) }))
    }

    fn silent(self) -> u32 {
        self.hosts / 10
    }

    /// The lower bound of the time.
    fn bound(self) -> f64 {
        let rate = f64::from(self.rate);
        let packets = self.hosts + (ATTEMPTS - 1) * self.silent();
        let last_first = f64::from(self.hosts - 1) / rate;
        (f64::from(packets) / rate).max(last_first + f64::from(ATTEMPTS) * TIMEOUT)
    }

    /// All with the same rate, timeout and retries.
    fn programs(self) -> Vec<Program> {
        let rate = format!("--max-pps={}", self.rate);
        let interval = (1000 / self.rate).to_string();
        // fping makes each timeout half as long again as the one before, unless -B is set.
        let fping = ["-Ae", "-r", "2", "-t", "5000", "-B", "1", "-i", &interval];
        let mut programs = vec![Program::ours(&[&rate])];
        if self.peers {
            programs.extend(Program::original(&[&rate]));
            programs.extend(Program::fping(&fping));
        }
        programs
    }
}

fn main() {
    begin();
    let mut report = Report::new("makespan");
    let plays: Vec<(Scene, Program)> = SCENES
        .into_iter()
        .flat_map(|scene| scene.programs().into_iter().map(move |program| (scene, program)))
        .collect();
    let runs: Vec<Run> = thread::scope(|scope| {
        let threads: Vec<_> = plays
            .iter()
            .map(|(scene, program)| scope.spawn(move || Bed::open().run(program, Some(&scene.list()))))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a run does not panic")).collect()
    });
    let heads = ["program", "hosts", "silent", "packets per s", "bound, s", "time, s", "over it, s", "over it, %"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for ((scene, program), run) in plays.iter().zip(&runs) {
        report.raw(&format!("{} hosts at {}", scene.hosts, scene.rate), program, std::slice::from_ref(run));
        let silent = scene.silent() as usize;
        assert!(run.unreachable() == silent, "{}: {} silent: {}", program.name, run.unreachable(), run.stderr);
        let over = run.wall.as_secs_f64() - scene.bound();
        rows.push(vec![
            program.name.clone(),
            scene.hosts.to_string(),
            silent.to_string(),
            scene.rate.to_string(),
            number(scene.bound(), 2),
            number(run.wall.as_secs_f64(), 2),
            number(over, 2),
            number(100.0 * over / scene.bound(), 1),
        ]);
    }
    report.add(
        "Every tenth host is silent, and so is the last. Timeout 5 s, 3 attempts. Wanted: within 5 % of the bound with \
         10,000 hosts, within 0.3 s with 1,500 at 1,000 packets a second.\n",
    );
    report.table(&rows);
    report.save();
}
