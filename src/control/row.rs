//! What the ledger is told: the row of a call's story, and the change that a recording's outcome makes to it.

use crate::call::{self, Story};
use crate::catalogue::{Doer, Entry, Parties, Reason, Seal, State, Totals, Turn, What, Write};
use crate::ids::{CallId, RecordingId};
use crate::time::{Moment, Wall};
use crate::vault::{Digest, Outcome};

/// Returns the row of a story; its moments become times of day by two clock readings that were taken when it was told.
#[must_use]
pub fn of_story(story: Story, clocks: (Moment, Wall)) -> Write {
    let wall = |moment: Moment| {
        let (now, wall) = clocks;
        let ago = i64::try_from(now.since(moment).as_micros()).unwrap_or(i64::MAX);
        Wall::from_unix_micros(wall.unix_micros().saturating_sub(ago))
    };
    if let (true, Some(ended)) = (story.is_restored, story.ended) {
        return Write::Ended(story.call, wall(ended));
    }
    Write::Put(Box::new(Entry {
        call: story.call,
        began: wall(story.began),
        answered: story.answered.map(wall),
        ended: story.ended.map(wall),
        direction: Some(story.direction),
        trunk: Some(story.trunk),
        policy: story.policy.as_deref().map(str::to_owned),
        purpose: story.purpose.as_deref().map(str::to_owned),
        state: if story.recording.is_some() { State::Recording } else { State::None },
        reason: reason(story.reason),
        leg: story.leg,
        recording: story.recording,
        totals: None,
        quality: None,
        parties: Some(Parties {
            calling: story.parties.calling,
            called: story.parties.called,
            call_id: story.parties.call_id,
            indexed: story.indexed.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        }),
        is_redacted: false,
    }))
}

/// Returns what the ledger is told of something that was done to a call's recording at this time, and by which operator, where it was one.
#[must_use]
pub fn of_turn(
    (call, recording): (CallId, Option<RecordingId>),
    what: call::Turn,
    by: call::Doer,
    operator: Option<&str>,
    at: Wall,
) -> Write {
    let (by, how) = match by {
        call::Doer::Key(leg, how) => (Doer::from(leg), Some(how.as_str())),
        call::Doer::Telephone(leg) => (Doer::from(leg), Some("recordpref")),
        call::Doer::Operator => (Doer::Operator, None),
        call::Doer::Register => (Doer::Register, None),
        call::Doer::Time => (Doer::Time, None),
    };
    let what = match what {
        call::Turn::Demanded => What::Demanded,
        call::Turn::Paused => What::Paused,
        call::Turn::Resumed => What::Resumed,
        call::Turn::Withdrawn => What::Withdrawn,
        call::Turn::Shredded => What::Shredded,
    };
    Write::Turn(Turn { number: 0, at, call, recording, what, by, how: how.map(Into::into), who: operator.map(Into::into) })
}

/// Returns what the ledger is told of a recording's outcome: that it was begun, and how it ended; nothing of the steps between.
#[must_use]
pub fn of_outcome(outcome: &Outcome) -> Option<Write> {
    match *outcome {
        Outcome::Sealed { recording, sealed } => {
            let totals = Totals {
                packets: sealed.totals.legs.map(|leg| leg.packets),
                gaps: sealed.totals.gaps,
                lost: sealed.totals.lost,
                size_bytes: sealed.bytes,
            };
            let seal = Seal { root: Digest::from_bytes(sealed.root), chunks: sealed.chunks.into() };
            Some(Write::Sealed(recording, totals, seal))
        }
        Outcome::Failed { recording, left_a_file: true, .. } => Some(Write::Torn(recording, Reason::VaultUnavailable)),
        Outcome::Failed { recording, left_a_file: false, .. } => Some(Write::Lost(recording, Reason::VaultUnavailable)),
        Outcome::Begun { recording } => Some(Write::Begun(recording)),
        Outcome::Written { .. }
        | Outcome::Stuck { .. }
        | Outcome::Dropping { .. }
        | Outcome::Flowing { .. }
        | Outcome::Moved { .. }
        | Outcome::Parted { .. }
        | Outcome::Closed { .. }
        | Outcome::SyncFailed { .. } => None,
    }
}

/// The ledger's code of a call's reason: the words are the same.
fn reason(reason: call::Reason) -> Reason {
    reason.as_str().parse().unwrap_or(Reason::Failed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::{CallId, Direction, RecordingId, TrunkName};
    use crate::private::Private;
    use crate::vault::{EndReason, LegTotals, Sealed};

    #[test]
    fn every_reason_of_a_call_has_its_code_in_the_ledger() {
        for from in call::Reason::ALL {
            assert_eq!(reason(*from).as_str(), from.as_str());
        }
    }

    #[test]
    fn a_storys_moments_become_times_of_day() {
        let story = Story {
            call: CallId::from_u64(1),
            began: Moment::from_millis(1000),
            answered: Some(Moment::from_millis(3000)),
            ended: None,
            direction: Direction::Outbound,
            trunk: TrunkName::new("carrier"),
            policy: Some("all".into()),
            purpose: None,
            parties: Default::default(),
            indexed: vec![("Session-ID".into(), Private::new("ab30317f1a784dc48ff824d0d3715d86".into()))],
            is_restored: false,
            reason: call::Reason::InProgress,
            leg: None,
            recording: Some(RecordingId::from_bytes([1; 16])),
        };

        let row = of_story(story, (Moment::from_millis(5000), Wall::from_unix_micros(60_000_000)));

        let Write::Put(entry) = row else { panic!("a story is a row") };
        assert_eq!(entry.began, Wall::from_unix_micros(56_000_000));
        assert_eq!(entry.answered, Some(Wall::from_unix_micros(58_000_000)));
        assert_eq!((entry.ended, entry.state, entry.reason), (None, State::Recording, Reason::InProgress));
        let indexed = entry.parties.map(|parties| parties.indexed);
        assert_eq!(indexed, Some(vec![("Session-ID".into(), Private::new("ab30317f1a784dc48ff824d0d3715d86".into()))]));
    }

    #[test]
    fn a_recordings_beginning_and_its_end_are_told() {
        let recording = RecordingId::from_bytes([1; 16]);
        let leg = |packets| LegTotals { packets, ..LegTotals::default() };
        let totals =
            crate::vault::Totals { reason: EndReason::Stopped, ended: Duration::ZERO, legs: [leg(3), leg(4)], gaps: 1, lost: 2 };
        let failed = |left_a_file| Outcome::Failed { call: CallId::from_u64(1), recording, left_a_file, error: None };

        assert_eq!(of_outcome(&Outcome::Begun { recording }), Some(Write::Begun(recording)));
        assert_eq!(of_outcome(&Outcome::Closed { recording }), None);
        assert_eq!(
            of_outcome(&Outcome::Sealed { recording, sealed: Sealed { totals, chunks: 2, bytes: 99, root: [9; 32] } }),
            Some(Write::Sealed(
                recording,
                Totals { packets: [3, 4], gaps: 1, lost: 2, size_bytes: 99 },
                Seal { root: Digest::from_bytes([9; 32]), chunks: 2 }
            ))
        );
        assert_eq!(of_outcome(&failed(true)), Some(Write::Torn(recording, Reason::VaultUnavailable)));
        assert_eq!(of_outcome(&failed(false)), Some(Write::Lost(recording, Reason::VaultUnavailable)));
    }
}
