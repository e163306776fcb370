//! Prints a run, to look at outputs: `cargo run --example generate 500 120 ordinary SEED LABEL`.

mod generate;

use std::env;
use std::io::{self, BufWriter, Write};

use generate::{Behaviour, Scene};

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let number = |place: usize, default: usize| words.get(place).and_then(|word| word.parse().ok()).unwrap_or(default);
    let scene = Scene {
        behaviour: match words.get(2).map(String::as_str) {
            Some("dead") => Behaviour::Dead,
            Some("near-and-far") => Behaviour::NearAndFar,
            Some("noisy") => Behaviour::Noisy,
            Some("one-answer") => Behaviour::OneAnswer,
            _ => Behaviour::Ordinary,
        },
        seed: number(3, 1) as u64,
        label: number(4, 6),
        packets: words.get(5).is_none_or(|word| word == "packets"),
        intervals: words.get(5).is_some_and(|word| word == "intervals"),
        ..Scene::new(number(0, 10), number(1, 900))
    };
    let mut out = BufWriter::new(io::stdout());
    generate::write(&scene, &mut out)?;
    out.flush()
}
