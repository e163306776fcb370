//! How much data each probe carries, where not all carry the same.

use crate::address::TargetId;
use crate::plan::{OutOfRange, PacketOptions};
use crate::prober::Prober;
use crate::prober::references::References;
use crate::prober::strategy::Strategy;

/// Sizes in steps, from the least to the greatest, and some probes of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeRange {
    least: u16,
    step: u16,
    sizes: u32,
    probes: u32,
}

impl SizeRange {
    /// The sizes from `least` to `greatest`, in steps of `step`, with one probe of each.
    ///
    /// # Errors
    ///
    /// If there are none, or one is not in [`PacketOptions::SIZE`], or `step` is zero.
    pub fn new(least: usize, greatest: usize, step: usize) -> Result<Self, OutOfRange> {
        let is_valid = PacketOptions::SIZE.contains(&least) && PacketOptions::SIZE.contains(&greatest);
        let (Ok(first), Ok(step), true) = (u16::try_from(least), u16::try_from(step), is_valid) else {
            return Err(OutOfRange);
        };
        if least > greatest || step == 0 {
            return Err(OutOfRange);
        }
        let sizes = (greatest - least) as u32 / u32::from(step) + 1;
        Ok(SizeRange { least: first, step, sizes, probes: 1 })
    }

    /// The same with `probes` probes of each size, one at least.
    pub fn with_probes(self, probes: u32) -> Self {
        SizeRange { probes: probes.max(1), ..self }
    }

    /// How many probes there are in all; `None`: more than can be numbered.
    pub fn count(&self) -> Option<u32> {
        self.sizes.checked_mul(self.probes)
    }

    /// The least size.
    pub fn least(&self) -> u16 {
        self.least
    }

    /// The greatest size that is reached.
    pub fn greatest(&self) -> u16 {
        self.size(u32::MAX)
    }

    /// The step from size to size.
    pub fn step(&self) -> u16 {
        self.step
    }

    /// The size of an attempt. Further ones than there are have the greatest.
    pub fn size(&self, attempt: u32) -> u16 {
        let number = (attempt / self.probes).min(self.sizes - 1);
        self.least + number as u16 * self.step
    }
}

/// How much data probes carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sizes {
    /// All the same.
    #[default]
    Same,
    /// By the number of the attempt.
    Range(SizeRange),
    /// By the target, as [`Prober::set_size`] last said.
    Each(Vec<u16>),
}

impl Sizes {
    /// The size of an attempt; `None`: that of all. References are no subject of measurement.
    pub(super) fn of(&self, target: TargetId, attempt: u32) -> Option<u16> {
        match self {
            Sizes::Same => None,
            _ if References::is_reference(target) => None,
            Sizes::Range(range) => Some(range.size(attempt)),
            Sizes::Each(sizes) => sizes.get(target.index()).copied(),
        }
    }
}

impl<S: Strategy> Prober<S> {
    /// With probes of these sizes. None is larger than the data that the sockets were set up for.
    pub fn with_sizes(self, sizes: Sizes) -> Self {
        Prober { sizes, ..self }
    }

    /// The size of further probes to a target, where each target has its own.
    pub fn set_size(&mut self, target: TargetId, size: u16) {
        if let Sizes::Each(sizes) = &mut self.sizes {
            if let Some(of_target) = sizes.get_mut(target.index()) {
                *of_target = size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_rise_in_steps_within_the_range() {
        let sizes = |least, greatest, step, probes| {
            let range = SizeRange::new(least, greatest, step).map(|range| range.with_probes(probes));
            range.map(|range| (0..range.count().unwrap_or(0)).map(|attempt| range.size(attempt)).collect::<Vec<_>>())
        };
        assert_eq!(sizes(16, 19, 1, 1), Ok(vec![16, 17, 18, 19]));
        assert_eq!(sizes(100, 130, 20, 2), Ok(vec![100, 100, 120, 120]), "130 is not reached");
        assert_eq!(sizes(16, 16, 65_535, 1), Ok(vec![16]));
        assert_eq!(sizes(16, 65_507, 65_491, 1), Ok(vec![16, 65_507]));
        for (least, greatest, step) in [(15, 20, 1), (16, 65_508, 1), (20, 19, 1), (16, 20, 0), (16, 20, 65_536)] {
            assert_eq!(sizes(least, greatest, step, 1), Err(OutOfRange), "{least} {greatest} {step}");
        }
        let whole = SizeRange::new(16, 65_507, 1);
        assert_eq!(whole.map(|range| (range.count(), range.size(u32::MAX))), Ok((Some(65_492), 65_507)));
        assert_eq!(whole.map(|range| range.with_probes(u32::MAX).count()), Ok(None));
    }
}
