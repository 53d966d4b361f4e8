//! Turns: what somebody did to a call's recording while the call went on, and who it was.

use std::fmt;
use std::str::FromStr;

use crate::catalogue::NotInTheLog;
use crate::ids::{CallId, Leg, RecordingId};
use crate::time::Wall;

/// Something that somebody did to a call's recording while the call went on. Lines of it are only added, and are in the ledger's chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Turn {
    /// Its number; 0 until it is written.
    pub number: u64,
    /// When.
    pub at: Wall,
    /// To which call.
    pub call: CallId,
    /// The call's recording, where it had one by then.
    pub recording: Option<RecordingId>,
    /// What.
    pub what: What,
    /// Who.
    pub by: Doer,
    /// How, in a word: how a key came, `a=recordpref`.
    pub how: Option<String>,
    /// Which operator.
    pub who: Option<String>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($(#[$each:meta])* $variant:ident = $word:literal;)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$each])* $variant,)+
        }

        impl $name {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the word, as it stands in the ledger.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = NotInTheLog;

            fn from_str(text: &str) -> Result<Self, NotInTheLog> {
                Self::ALL.iter().copied().find(|each| each.as_str() == text).ok_or(NotInTheLog)
            }
        }
    };
}

words! {
    /// What was done.
    What:
    /// It was wanted: the parties were told and asked then.
    Demanded = "demanded";
    /// Nothing was kept from there on.
    Paused = "paused";
    /// It went on.
    Resumed = "resumed";
    /// A party said no, or took its yes back: nothing is kept from there on, for good.
    Withdrawn = "withdrawn";
    /// The same, and what was kept until then was to be destroyed.
    Shredded = "withdrawn-shred";
}

words! {
    /// Who did it.
    Doer:
    /// The party on the PBX's side.
    Pbx = "pbx";
    /// The party on the trunk's side.
    Trunk = "trunk";
    /// An operator.
    Operator = "operator";
    /// The register: what stood in it stood no more.
    Register = "register";
    /// Nobody: the longest pause was over.
    Time = "time";
}

impl From<Leg> for Doer {
    fn from(leg: Leg) -> Self {
        match leg {
            Leg::Pbx => Self::Pbx,
            Leg::Trunk => Self::Trunk,
        }
    }
}

impl Doer {
    /// Returns who it is, for people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Pbx => "the PBX's side",
            Self::Trunk => "the trunk's side",
            Self::Operator => "an operator",
            Self::Register => "the register",
            Self::Time => "the longest pause was over",
        }
    }
}
