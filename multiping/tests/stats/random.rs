//! Random numbers and RTTs from a seed.

/// The longest RTT that is told from longer ones, in ticks.
pub const LONGEST: u32 = (1 << 31) - 1;

/// A stream of random numbers.
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Rng(fastrand::Rng::with_seed(seed))
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end)
    }

    pub fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        choices[self.0.usize(..N)]
    }

    /// Above 0, at most 1.
    pub fn share(&mut self) -> f64 {
        1.0 - self.0.f64()
    }

    /// An RTT in ticks, from one of several distributions.
    pub fn rtt(&mut self, distribution: usize) -> u32 {
        let ticks = match distribution {
            // A LAN with spikes.
            0 if self.below(100) < 2 => 1e5 + 1e6 * self.share(),
            0 => 2000.0 + 3000.0 * self.share(),
            // A WAN: a fixed part and an exponential queue.
            1 => 180_000.0 - 20_000.0 * self.share().ln(),
            // Pareto, up to the longest.
            2 => 500.0 / self.share().powf(1.5),
            // Two modes.
            3 => self.pick([1000.0, 900_000.0]) + 100.0 * self.share(),
            // Every order of magnitude alike.
            4 => (self.share() * f64::from(LONGEST).ln()).exp(),
            // Few values, and small ones.
            5 => self.below(40) as f64,
            // One value.
            _ => 3651.0,
        };
        (ticks as u32).min(LONGEST) // `as` saturates
    }
}

pub const DISTRIBUTIONS: usize = 7;
