//! The search for the largest probe that a target answers: by bisection, and where routers say what
//! fits, by that.
//!
//! The least size goes first, for whoever answers nothing has no largest size; then the greatest,
//! which is as a rule the end of the search or draws what a router has to say.

/// How many probes may end without saying anything of their size.
const MAX_UNKNOWN: u8 = 16;

/// The state of one search. What is told of a probe is of one with [`SizeSearch::next`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeSearch {
    /// The largest size that was answered.
    largest: Option<u16>,
    /// The least size that is too large.
    too_large: u32,
    /// What is to be sent next.
    next: u16,
    /// How many probes of a size may be lost until it counts as too large, and how many were.
    tries: u32,
    lost: u32,
    unknown: u8,
    is_over: bool,
}

impl SizeSearch {
    /// The most sizes that a search tries.
    const MAX_SIZES: u32 = 20;

    /// A search from `least` to `greatest`, in which a size is too large after `tries` lost probes.
    pub fn new(least: u16, greatest: u16, tries: u32) -> Self {
        SizeSearch {
            largest: None,
            too_large: u32::from(greatest.max(least)) + 1,
            next: least,
            tries: tries.max(1),
            lost: 0,
            unknown: 0,
            is_over: false,
        }
    }

    /// The most probes that a search takes with so many tries of each size.
    pub fn max_probes(tries: u32) -> u32 {
        tries.max(1).saturating_mul(Self::MAX_SIZES).saturating_add(MAX_UNKNOWN.into())
    }

    /// The size of the next probe; `None`: the search is over.
    pub fn next(&self) -> Option<u16> {
        (!self.is_over).then_some(self.next)
    }

    /// The largest size that was answered so far.
    pub fn largest(&self) -> Option<u16> {
        self.largest
    }

    /// Whether it has come to its end, so that the next larger size is known to be too large.
    pub fn is_complete(&self) -> bool {
        self.is_over && self.unknown < MAX_UNKNOWN
    }

    /// The probe was answered in full.
    pub fn answered(&mut self) {
        let is_first = self.largest.is_none();
        self.largest = Some(self.next);
        self.go_on(is_first.then_some(self.too_large - 1));
    }

    /// The probe was dropped for its size, by this machine or a router.
    pub fn too_large(&mut self) {
        self.too_large = self.next.into();
        self.go_on(None);
    }

    /// A router dropped the probe, and says that so many bytes fit.
    pub fn too_large_for(&mut self, fits: u32) {
        // One that says less than what was answered, or not less than what it dropped, is wrong.
        if fits >= self.next.into() || self.largest.is_none_or(|largest| fits <= largest.into()) {
            return self.too_large();
        }
        self.too_large = fits + 1;
        self.go_on(Some(fits));
    }

    /// The probe was lost.
    pub fn lost(&mut self) {
        self.lost += 1;
        if self.lost >= self.tries {
            self.too_large();
        }
    }

    /// The probe says nothing of its size: it was refused for another reason, or may have been lost
    /// on this machine. So is the next one's size the same.
    pub fn unknown(&mut self) {
        self.unknown += 1;
        self.is_over |= self.unknown >= MAX_UNKNOWN;
    }

    /// Chooses the next size: `hint`, if that is still open, or else the middle.
    fn go_on(&mut self, hint: Option<u32>) {
        self.lost = 0;
        let Some(largest) = self.largest.map(u32::from).filter(|largest| largest + 1 < self.too_large) else {
            self.is_over = true;
            return;
        };
        let is_open = |size: &u32| (largest + 1..self.too_large).contains(size);
        let next = hint.filter(is_open).unwrap_or(largest + (self.too_large - largest) / 2);
        self.next = next as u16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of a probe.
    enum Fate {
        Answered,
        Refused,
        Lost,
        /// A router names what fits.
        Named(u32),
    }

    /// Searches, and returns the largest size and the number of probes.
    fn search(least: u16, greatest: u16, tries: u32, mut fate: impl FnMut(u16) -> Fate) -> (Option<u16>, u32) {
        let mut search = SizeSearch::new(least, greatest, tries);
        let mut probes = 0;
        while let Some(size) = search.next() {
            assert!((least..=greatest).contains(&size));
            probes += 1;
            match fate(size) {
                Fate::Answered => search.answered(),
                Fate::Refused => search.too_large(),
                Fate::Lost => search.lost(),
                Fate::Named(fits) => search.too_large_for(fits),
            }
            assert!(probes <= SizeSearch::max_probes(tries), "it has no end");
        }
        assert!(search.is_complete());
        (search.largest(), probes)
    }

    #[test]
    fn every_largest_size_is_found_by_silence_or_refusal() {
        for limit in (16..=65_507).step_by(13).chain([17, 1471, 1472, 1473, 65_506]) {
            let fate = |size| if size <= limit { Fate::Answered } else { Fate::Refused };
            let (largest, probes) = search(16, 65_507, 1, fate);
            assert!(largest == Some(limit) && probes <= 18, "{limit}: {largest:?}, {probes} probes");
            let fate = |size| if size <= limit { Fate::Answered } else { Fate::Lost };
            assert_eq!(search(16, 65_507, 3, fate).0, Some(limit));
        }
        let (largest, probes) = search(16, 1472, 1, |size| if size <= 1372 { Fate::Answered } else { Fate::Lost });
        assert!(largest == Some(1372) && probes <= 13, "{largest:?}, {probes} probes");
    }

    #[test]
    fn what_a_router_names_is_tried_next() {
        let fate = |size| if size <= 1372 { Fate::Answered } else { Fate::Named(1372) };
        assert_eq!(search(16, 1472, 1, fate), (Some(1372), 3));
        // Behind a link of which a router tells, another one is smaller and silent.
        let fate = |size| match size {
            0..=1300 => Fate::Answered,
            1301..=1372 => Fate::Lost,
            _ => Fate::Named(1372),
        };
        assert_eq!(search(16, 1472, 2, fate).0, Some(1300));
        // Two routers, one after the other.
        let fate = |size| match size {
            0..=1300 => Fate::Answered,
            1301..=1372 => Fate::Named(1300),
            _ => Fate::Named(1372),
        };
        assert_eq!(search(16, 1472, 1, fate), (Some(1300), 4));
    }

    #[test]
    fn routers_that_are_wrong_mislead_nobody() {
        for wrong in [0, 15, 16, 1372, 1471, 1472, 9000, u32::MAX] {
            let fate = |size| if size <= 1400 { Fate::Answered } else { Fate::Named(wrong) };
            let (largest, _) = search(16, 1472, 1, fate);
            // It may name less than fits, and is believed; never more.
            let expected = if wrong == 1372 { 1372 } else { 1400 };
            assert_eq!(largest, Some(expected), "{wrong}");
        }
    }

    #[test]
    fn a_lost_probe_is_no_size_that_is_too_large() {
        let mut count = 0;
        let fate = |size| {
            count += 1;
            if size > 1372 || count % 3 == 0 { Fate::Lost } else { Fate::Answered }
        };
        assert_eq!(search(16, 1472, 3, fate).0, Some(1372));
    }

    #[test]
    fn whoever_answers_nothing_has_no_largest_size() {
        assert_eq!(search(16, 1472, 3, |_| Fate::Lost), (None, 3));
        assert_eq!(search(100, 100, 1, |_| Fate::Answered), (Some(100), 1));
    }

    #[test]
    fn what_is_not_known_ends_the_search_before_it_is_complete() {
        let mut search = SizeSearch::new(16, 1472, 1);
        search.answered();
        for _ in 1..MAX_UNKNOWN {
            search.unknown();
            assert_eq!(search.next(), Some(1472));
        }
        search.unknown();
        assert_eq!((search.next(), search.largest(), search.is_complete()), (None, Some(16), false));
    }
}
