//! One call as the ledger has it, recorded or not.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::catalogue::Reason;
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::Wall;

/// One row: every call that came by has one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number.
    pub call: CallId,
    /// When the INVITE came; of a recording that was found, when that began.
    pub began: Wall,
    /// When it was answered.
    pub answered: Option<Wall>,
    /// When it was over. Of a call that a kill cut off nobody knows.
    pub ended: Option<Wall>,
    /// Which way it was set up. Nothing of a call of which only a recording was found ([`Reason::Found`]).
    pub direction: Option<Direction>,
    /// Over which trunk. Nothing where the way is not known either.
    pub trunk: Option<TrunkName>,
    /// Under which policy.
    pub policy: Option<String>,
    /// What it is recorded for.
    pub purpose: Option<String>,
    /// Where its recording stands.
    pub state: State,
    /// Why it has a recording or none.
    pub reason: Reason,
    /// On which leg the reason lies, where it lies on one.
    pub leg: Option<Leg>,
    /// The recording's name, from the grant on.
    pub recording: Option<RecordingId>,
    /// What the recording holds, once it is sealed.
    pub totals: Option<Totals>,
    /// How good what came from each leg was ([`Leg::index`]), once an answered call is over.
    pub quality: Option<[Quality; 2]>,
    /// Who talked; nothing once they were erased.
    pub parties: Option<Parties>,
    /// A span of its recording was taken out, or more than one. The access log says so, and who did it and why; the row keeps what it was.
    pub is_redacted: bool,
}

impl Entry {
    /// Returns how long the parties talked: from the answer to the end.
    #[must_use]
    pub fn talked(&self) -> Option<Duration> {
        let micros = self.ended?.unix_micros().saturating_sub(self.answered?.unix_micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

/// Who talked, as the INVITE said, and what else says which call it was.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Parties {
    /// The calling party.
    pub calling: Private<String>,
    /// The called party.
    pub called: Private<String>,
    /// The SIP Call-ID.
    pub call_id: Private<String>,
    /// What the header fields said by which the call is found again ([`indexed`](crate::indexed)): the name and a value of each.
    pub indexed: Vec<(String, Private<String>)>,
}

/// Where a call's recording stands.
///
/// ```text
///   none ──granted──▶ recording ──end, signed──▶ sealed ──keys destroyed──────────────────▶ erased
///     ▲                 │   └──kill, disk──────▶ torn ──a later start──▶ salvaged ─────────┘
///     └──nothing kept───┘                          └──────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// There is none.
    None,
    /// It is being written.
    Recording,
    /// It is whole and signed.
    Sealed,
    /// It ends before its end, and nobody has signed it.
    Torn,
    /// It ends before its end; a later start of the recorder has closed and signed it.
    Salvaged,
    /// Its keys were destroyed: nobody opens it any more. The access log says so, and who did it and why; the row keeps what it was.
    Erased,
}

impl State {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Recording => "recording",
            Self::Sealed => "sealed",
            Self::Torn => "torn",
            Self::Salvaged => "salvaged",
            Self::Erased => "erased",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        let all = [Self::None, Self::Recording, Self::Sealed, Self::Torn, Self::Salvaged, Self::Erased];
        all.into_iter().find(|state| state.as_str() == text).ok_or(NotAState)
    }
}

/// The text is no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAState;

impl fmt::Display for NotAState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such state")
    }
}

impl std::error::Error for NotAState {}

/// What a sealed recording holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Totals {
    /// RTP packets of each leg ([`Leg::index`]).
    pub packets: [u64; 2],
    /// Times that packets are missing.
    pub gaps: u64,
    /// Packets that are missing, as far as they were counted.
    pub lost: u64,
    /// The file's length: whatever is shorter has been cut.
    pub size_bytes: u64,
}

/// How good what came from one leg was: its RTP, as it came in.
///
/// `received - duplicates + lost() = expected`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Quality {
    /// Packets that its sequence numbers promise (RFC 3550 §A.3).
    pub expected: u64,
    /// Packets that came, duplicates included.
    pub received: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
    /// The mean of the interarrival jitter (RFC 3550 §6.4.1); nothing where it could not be measured.
    pub jitter: Option<Duration>,
    /// The highest that the interarrival jitter stood at.
    pub worst_jitter: Option<Duration>,
    /// The longest time between two packets while media was due, or from the last one to the end.
    pub longest_gap: Duration,
    /// The mean round trip to the party, where RTCP told of it.
    pub round_trip: Option<Duration>,
    /// The mean opinion score in hundredths, 100 to 450: an estimate by the E-model (ITU-T G.107); nothing where too little came.
    pub mos_hundredths: Option<u16>,
    /// Nothing was heard of the party, or nothing any more, although the other one talked.
    pub is_one_way: bool,
}

impl Quality {
    /// Returns how many packets never came.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.received.saturating_sub(self.duplicates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_not_answered_was_no_talk() {
        let wall = |s: i64| Wall::from_unix_micros(s * 1_000_000);
        let mut entry = Entry {
            call: CallId::from_u64(1),
            began: wall(0),
            answered: None,
            ended: Some(wall(30)),
            direction: Some(Direction::Inbound),
            trunk: Some(TrunkName::new("t")),
            policy: None,
            purpose: None,
            state: State::None,
            reason: Reason::NotAnswered,
            leg: None,
            recording: None,
            totals: None,
            quality: None,
            parties: None,
            is_redacted: false,
        };
        assert_eq!(entry.talked(), None);

        entry.answered = Some(wall(10));
        assert_eq!(entry.talked(), Some(Duration::from_secs(20)));
        entry.ended = Some(wall(9));
        assert_eq!(entry.talked(), Some(Duration::ZERO), "the wall clock was set back");
    }
}
