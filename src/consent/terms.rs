//! What a policy owes to those on the call: who is told, who must agree, how, and within what time.

use std::sync::Arc;
use std::time::Duration;

use crate::digit::{Digit, PartyKey};
use crate::ids::Leg;

/// How consent is had.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Staying on the line after the announcement is consent (California, for one).
    Announce,
    /// A key during or after the announcement refuses.
    OptOut,
    /// A key within a time agrees; silence is a no (Danish DPA 2019, German DSK 2018).
    OptIn,
}

impl Mode {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::OptOut => "opt-out",
            Self::OptIn => "opt-in",
        }
    }
}

/// What becomes of a call that may not be recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WithoutConsent {
    /// It goes on, unrecorded.
    GoOn,
    /// It is ended with BYE on both legs.
    HangUp,
}

/// What a consent that stands from before the call is worth ([`Register`](crate::consent::Register)).
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug)]
pub enum Registered {
    /// Nothing: whoever has it is told and asked as anybody is.
    #[default]
    Asked,
    /// It agrees; its party is told all the same, for the other is recorded with it.
    Told,
    /// It agrees, and its party is told nothing: it knows.
    Untold,
}

/// What consents that stand from before the call are worth: nothing, by default.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PriorTerms {
    /// Of each leg's party ([`Leg::index`]).
    pub registered: [Registered; 2],
    /// Which version of the text they must be to; any where nothing is said.
    pub version: Option<Arc<str>>,
}

/// The terms of one policy, as they stood when the call began.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The policy's name in the configuration.
    pub policy: Arc<str>,
    /// SHA-256 of the policy's canonical text: its version.
    pub policy_hash: [u8; 32],
    /// What the recording is for.
    pub purpose: Arc<str>,
    /// On what ground of law, in the operator's words.
    pub legal_basis: Arc<str>,
    /// How consent is had.
    pub mode: Mode,
    /// Whether the party on the PBX's side, and the one on the trunk's side, must agree ([`Leg::index`]).
    ///
    /// Both are told, but for those of [`Registered::Untold`]. A key counts only from a party that must agree.
    pub must_agree: [bool; 2],
    /// The key that agrees (`OptIn`) or refuses (`OptOut`).
    pub key: Digit,
    /// The key that says no at any time, and who may press it: it refuses while it is asked, and withdraws later (GDPR 7(3)).
    pub withdraw: Option<PartyKey>,
    /// How long after the announcement's end the key is waited for. In `OptOut` recording begins after it; in `OptIn` it is the last
    /// moment to agree; in `Announce` it means nothing.
    pub answer: Duration,
    /// The announcement's language for each leg.
    pub language: Arc<str>,
    /// What the operator calls the text that is announced: its version.
    pub announcement_version: Option<Arc<str>>,
    /// What becomes of a call that may not be recorded.
    pub without_consent: WithoutConsent,
    /// The longest pause of a recording.
    pub longest_pause: Duration,
    /// What a consent that stands from before the call is worth.
    pub prior: PriorTerms,
}

impl Terms {
    /// Returns whether the party on this leg may say no at any time.
    #[must_use]
    pub fn may_say_no(&self, leg: Leg) -> bool {
        let by_key = self.withdraw.is_some_and(|withdraw| withdraw.is(leg, withdraw.key));
        by_key || (self.mode == Mode::OptOut && self.asks(leg))
    }

    /// Returns whether this key of the party on this leg says no, whenever it comes.
    #[must_use]
    pub fn says_no(&self, leg: Leg, digit: Digit) -> bool {
        let refuses = self.mode == Mode::OptOut && digit == self.key && self.asks(leg);
        refuses || self.withdraw.is_some_and(|withdraw| withdraw.is(leg, digit))
    }

    /// Returns whether the party on this leg is one of those who must agree.
    #[must_use]
    pub const fn asks(&self, leg: Leg) -> bool {
        let [pbx, trunk] = self.must_agree;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    /// Returns what a consent from before the call is worth, of the party on this leg.
    #[must_use]
    pub const fn registered(&self, leg: Leg) -> Registered {
        let [pbx, trunk] = self.prior.registered;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }
}
