//! What a web hook says of a call, asked when the call comes: whether it may be recorded, must not be, or is to be asked as ever.

use std::sync::Arc;

use crate::consent::{Parties, Prior};
use crate::ids::{CallId, Direction, TrunkName};
use crate::time::Wall;

/// What a hook is asked about.
#[derive(Clone, Debug)]
pub struct Consulting {
    /// The call.
    pub call: CallId,
    /// Which way it was set up.
    pub direction: Direction,
    /// Over which trunk.
    pub trunk: TrunkName,
    /// Under which policy.
    pub policy: Arc<str>,
    /// What the recording would be for.
    pub purpose: Arc<str>,
    /// Who talks.
    pub parties: Parties,
}

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advice {
    /// The answer.
    pub word: Word,
    /// The policy that is to hold in the place of the one that was found, by its name: of another purpose, or in another language.
    pub policy: Option<Arc<str>>,
    /// Which text the party has agreed to, where it has.
    pub version: Option<Arc<str>>,
    /// Where the proof of it lies.
    pub reference: Option<Arc<str>>,
    /// When it was given.
    pub at: Wall,
}

impl Advice {
    /// Nothing was said in time, or nothing that is understood.
    #[must_use]
    pub const fn silent(at: Wall) -> Self {
        Self { word: Word::Silent, policy: None, version: None, reference: None, at }
    }

    /// Returns the consent of the party on the trunk's side, where the hook knows of one.
    pub(super) fn prior(&self) -> Option<Prior> {
        let prior = || Prior { line: None, since: self.at, version: self.version.clone(), reference: self.reference.clone() };
        (self.word == Word::Allow).then(prior)
    }
}

/// A hook's answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Word {
    /// The party on the trunk's side has agreed before the call: that is worth what the policy says.
    Allow,
    /// The parties are asked as ever.
    Ask,
    /// The call is not recorded.
    Deny,
    /// There was no answer.
    Silent,
}

impl Word {
    /// Returns the word, as it stands in the hook's answer and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
            Self::Silent => "silent",
        }
    }
}

/// What becomes of a call of which a hook has said nothing in time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WhenSilent {
    /// Its parties are asked as ever.
    Ask,
    /// It is not recorded.
    Deny,
}

impl WhenSilent {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }
}

/// Where a call stands with its hook.
#[derive(Clone, Default, Debug)]
pub(super) enum Advised {
    /// Nobody is asked.
    #[default]
    NotAsked,
    /// It was asked, and has not answered.
    Waits,
    /// It has.
    Given(Arc<Advice>),
}
