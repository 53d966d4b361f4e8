//! A row as tests need one, whatever room they are of.

use crate::catalogue::{Entry, Parties, Reason, State};
use crate::ids::{CallId, Direction, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::Wall;

/// A call that was recorded and is over: what else it should be is said where it is used.
pub(crate) fn recorded(n: u64) -> Entry {
    let wall = |seconds: i64| Wall::from_unix_micros(seconds * 1_000_000);
    Entry {
        call: CallId::from_u64(n),
        began: wall(1),
        answered: Some(wall(2)),
        ended: Some(wall(3)),
        direction: Some(Direction::Inbound),
        trunk: Some(TrunkName::new("carrier")),
        policy: Some("all".into()),
        purpose: Some("quality".into()),
        state: State::Sealed,
        reason: Reason::Recorded,
        leg: None,
        recording: Some(RecordingId::from_bytes(u128::from(n).to_be_bytes())),
        totals: None,
        quality: None,
        parties: Some(Parties {
            calling: Private::new("+4930123456".into()),
            called: Private::new("100".into()),
            call_id: Private::new("a@b".into()),
            indexed: Vec::new(),
        }),
        is_redacted: false,
    }
}
