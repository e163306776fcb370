//! What became of probes, in numbers.

use std::fmt::{self, Display, Formatter};

use crate::stats::rtts::Word;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Probes answered within their timeout.
    Answered,
    /// Probes answered after their timeout, while late replies are still accepted (`--late`). They
    /// are not lost.
    Late,
    /// Probes whose timeout is over without an answer.
    Lost,
    /// Probes that the kernel refused to send. They are not sent, so they cannot be lost.
    SendErrors,
    /// Further replies to an answered probe.
    Duplicates,
    /// Replies with a wrong checksum or altered data.
    Damaged,
    /// Replies from another address than the one probed.
    OtherSource,
    /// ICMP errors about our probes.
    IcmpErrors,
    /// Probes that were answered in time, but after a probe with a higher number (RFC 4737).
    Reordered,
    /// Replies whose TTL (IPv6: Hop Limit) is not that of the one before.
    TtlChanges,
    /// Probes whose timeout is over without an answer, which this machine may have lost. They are
    /// not among those that were sent and have ended.
    Doubtful,
}

const COUNTERS: usize = Counter::Doubtful as usize + 1;

/// A number for each [`Counter`]. It stays at its largest value when it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts<W>([W; COUNTERS]);

impl<W: Word> Counts<W> {
    /// How many of these there were.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize].into()
    }

    /// How many probes were sent and have ended: answered, late or lost. A probe whose timeout is
    /// not over is not among them.
    pub fn sent(&self) -> u64 {
        [Counter::Answered, Counter::Late, Counter::Lost].iter().map(|&counter| self.get(counter)).sum()
    }

    /// The share of lost probes among those sent; `None` if none was sent.
    pub fn loss(&self) -> Option<Loss> {
        Loss::new(self.get(Counter::Lost), self.sent())
    }

    /// Adds the counts of `other`, for instance of one target to those of all.
    pub fn merge(&mut self, other: &Counts<impl Word>) {
        for (ours, &theirs) in self.0.iter_mut().zip(&other.0) {
            *ours = W::saturating((*ours).into().saturating_add(theirs.into()));
        }
    }

    pub(super) fn add(&mut self, counter: Counter) {
        let number = &mut self.0[counter as usize];
        *number = W::saturating((*number).into().saturating_add(1));
    }

    pub(super) fn take_back(&mut self, counter: Counter) {
        let number = &mut self.0[counter as usize];
        *number = W::saturating((*number).into().saturating_sub(1));
    }
}

/// Lost probes among those sent.
///
/// Displayed in percent with one decimal, halves rounded up. `0 %` and `100 %` are exact; otherwise
/// a loss below 0.1 % is `<0.1 %`, and one above 99.9 % is `>99.9 %`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    lost: u64,
    sent: u64,
}

impl Loss {
    /// `lost` of `sent` probes; `None` if none was sent: the share is then undefined.
    pub fn new(lost: u64, sent: u64) -> Option<Self> {
        (sent > 0).then_some(Loss { lost: lost.min(sent), sent })
    }

    /// From 0 to 1.
    pub fn ratio(self) -> f64 {
        self.lost as f64 / self.sent as f64
    }
}

impl Display for Loss {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (lost, sent) = (u128::from(self.lost), u128::from(self.sent));
        if lost == 0 {
            f.pad("0 %")
        } else if lost == sent {
            f.pad("100 %")
        } else if lost * 1000 < sent {
            f.pad("<0.1 %")
        } else if lost * 1000 > sent * 999 {
            f.pad(">99.9 %")
        } else {
            let thousandths = (lost * 1000 + sent / 2) / sent;
            f.pad(&format!("{}.{} %", thousandths / 10, thousandths % 10))
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

    use super::*;

    fn text(lost: u64, sent: u64) -> String {
        Loss::new(lost, sent).unwrap().to_string()
    }

    #[test]
    fn loss_is_0_or_100_percent_only_if_it_is_exactly_so() {
        assert_eq!(
            [text(0, 1), text(0, u64::MAX), text(1, 1), text(u64::MAX, u64::MAX)],
            ["0 %", "0 %", "100 %", "100 %"]
        );
        assert_eq!([text(1, 1001), text(1, 1000), text(1, u64::MAX)], ["<0.1 %", "0.1 %", "<0.1 %"]);
        assert_eq!([text(999, 1000), text(1000, 1001), text(9996, 10_000)], ["99.9 %", ">99.9 %", ">99.9 %"]);
        assert_eq!(text(u64::MAX - 1, u64::MAX), ">99.9 %");
    }

    #[test]
    fn loss_is_rounded_to_one_decimal_halves_up() {
        assert_eq!([text(1, 3), text(2, 3), text(1, 2), text(1, 100)], ["33.3 %", "66.7 %", "50.0 %", "1.0 %"]);
        assert_eq!([text(1449, 10_000), text(1450, 10_000), text(25, 2000)], ["14.5 %", "14.5 %", "1.3 %"]);
        assert_eq!([text(9994, 100_000), text(14, 10_000), text(15, 10_000)], ["10.0 %", "0.1 %", "0.2 %"]);
    }

    #[test]
    fn every_loss_is_within_half_a_decimal_and_says_nothing_false() {
        for sent in (1..150u64).chain(990..1020).chain([1100]) {
            for lost in 0..=sent {
                let shown = text(lost, sent);
                let percent = shown.strip_suffix(" %").unwrap();
                let (lost, sent) = (lost as f64, sent as f64);
                match percent {
                    "0" => assert_eq!(lost, 0.0),
                    "100" => assert_eq!(lost, sent),
                    "<0.1" => assert!(lost > 0.0 && lost / sent < 0.001),
                    ">99.9" => assert!(lost < sent && lost / sent > 0.999),
                    _ => {
                        let number: f64 = percent.parse().unwrap();
                        assert!((number - lost / sent * 100.0).abs() < 0.05 + 1e-9, "{shown}: {lost} of {sent}");
                        assert!((0.1..=99.9).contains(&number), "{shown}: {lost} of {sent}");
                    }
                }
            }
        }
    }

    #[test]
    fn of_nothing_there_is_no_loss() {
        assert_eq!(Loss::new(0, 0), None);
        assert_eq!(Counts::<u32>::default().loss(), None);
    }

    #[test]
    fn a_loss_is_padded_to_the_width_of_its_column() {
        assert_eq!(format!("[{:>7}]", Loss::new(1, 3).unwrap()), "[ 33.3 %]");
        assert_eq!(format!("[{:>7}]", Loss::new(0, 3).unwrap()), "[    0 %]");
    }

    #[test]
    fn counts_stay_at_their_largest_value() {
        let mut counts = Counts([u32::MAX; COUNTERS]);
        counts.add(Counter::Duplicates);
        assert_eq!(counts.get(Counter::Duplicates), u64::from(u32::MAX));
        let mut total = Counts([u64::MAX - 1; COUNTERS]);
        total.merge(&counts);
        assert_eq!(total.get(Counter::Doubtful), u64::MAX);
        let mut none = Counts::<u32>::default();
        none.take_back(Counter::Lost);
        assert_eq!(none.get(Counter::Lost), 0);
    }

    #[test]
    fn sent_are_the_probes_that_have_ended() {
        let mut counts = Counts::<u32>::default();
        for (place, number) in counts.0.iter_mut().enumerate() {
            *number = 1 << place;
        }
        assert_eq!(counts.sent(), 7);
        let mut total = Counts::<u64>::default();
        total.merge(&counts);
        total.merge(&counts);
        assert_eq!((total.sent(), total.get(Counter::SendErrors), total.get(Counter::Doubtful)), (14, 16, 2048));
        assert_eq!(total.loss().map(Loss::ratio), Some(8.0 / 14.0));
    }
}
