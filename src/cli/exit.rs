//! Exit codes, and why a verb stops early.

use std::io;

use crate::catalogue::StoreError;
use crate::control::Trouble;

/// How a command ended, for whatever called it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Exit {
    /// Done, and all is well.
    Well,
    /// Done, and something is not so.
    NotSo,
    /// The command was not understood (clap's code).
    Usage,
    /// It could not be done.
    Cannot,
    /// It was refused.
    Refused,
    /// There is no such thing.
    NotFound,
}

impl Exit {
    /// What `--help` says of them.
    pub(super) const HELP: &str = "Exit codes:
  0  done, and all is well
  1  done, and something is not so: `check` found mistakes, `verify` or `export` a recording that is not complete,
     `audit verify` a ledger that is not as it was written
  2  the command was not understood
  3  it could not be done: a file, a permission, the disk, the proxy does not run
  4  it was refused: the recording was made for another purpose, the key does not open it, or the
     call or recording is not in the state for it, or whoever asks may not, or not alone
  5  there is no such recording or call, or it was erased";

    /// Returns the code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::NotSo => 1,
            Self::Usage => 2,
            Self::Cannot => 3,
            Self::Refused => 4,
            Self::NotFound => 5,
        }
    }
}

/// What who asks is wanting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lack {
    /// A role.
    Role,
    /// The purpose that the recording was made for.
    Purpose,
    /// A second person who approves it.
    Second,
}

impl Lack {
    /// For programs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Purpose => "purpose",
            Self::Second => "second-person",
        }
    }
}

/// Why a verb stops before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// All was said.
    Said(Exit),
    /// This is to be said.
    Trouble(Exit, Trouble),
    /// It was refused for who asks, and this is to be said.
    Denied(Lack, Trouble),
    /// Nobody reads what is written.
    Term(io::Error),
}

impl Stop {
    /// It could not be done.
    pub(super) fn cannot(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Trouble(Exit::Cannot, Trouble::new(what, remedy))
    }
}

/// Errors of the terminal alone: what else fails says what it was.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Term(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::cannot(error.to_string(), error.remedy())
    }
}
