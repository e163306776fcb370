//! What is known of a target in the end, in one word.

use multiping::address::Family;
use multiping::prober::Diagnosis;
use multiping::tally::Verdict;
use serde::{Serialize, Serializer};

/// What is known of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    Unreachable,
    Unsent,
    Undecided,
    Unsettled,
    Unresolved,
}

impl State {
    /// What is known of a target of `family` with this verdict. `diagnosis`: whose fault silence
    /// and refusals are, once the run has ended.
    pub(super) fn of(verdict: Verdict, diagnosis: Option<&Diagnosis>, family: Family) -> State {
        match verdict {
            Verdict::Alive(_) => State::Alive,
            Verdict::Unsettled => State::Unsettled,
            _ if diagnosis.is_some_and(|diagnosis| diagnosis.no_reference) => State::Undecided,
            Verdict::Unreachable => State::Unreachable,
            Verdict::Refused { was_sent: false, .. } => State::Unsent,
            _ if diagnosis.is_some_and(|diagnosis| diagnosis.is_unreachable(verdict, family)) => State::Unreachable,
            Verdict::Refused { .. } | Verdict::Undecided => State::Undecided,
        }
    }

    /// The word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Alive => "alive",
            State::Unreachable => "unreachable",
            State::Unsent => "unsent",
            State::Undecided => "undecided",
            State::Unsettled => "unsettled",
            State::Unresolved => "unresolved",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_proves_nothing_where_no_reference_answered() {
        let refused = |was_sent| Verdict::Refused { errno: 1, no_buffers: false, was_sent };
        let vouched = Diagnosis::default();
        let unvouched = Diagnosis { no_reference: true, ..Diagnosis::default() };
        for (verdict, running, ended) in [
            (Verdict::Unreachable, State::Unreachable, State::Unreachable),
            (refused(true), State::Undecided, State::Unreachable),
            (refused(false), State::Unsent, State::Unsent),
            (Verdict::Undecided, State::Undecided, State::Undecided),
        ] {
            let states = [None, Some(&vouched), Some(&unvouched)].map(|it| State::of(verdict, it, Family::V4));
            assert_eq!(states, [running, ended, State::Undecided], "{verdict:?}");
        }
    }
}
