//! What a running proxy answers about its calls.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// The calls at this moment, the oldest first.
    Calls {
        /// Each.
        calls: Vec<LiveCall>,
    },
    /// The addresses of the PBX and of the trunks, in the order of the configuration.
    Trunks {
        /// Each.
        addresses: Vec<TrunkAddress>,
    },
    /// How the proxy does.
    Status(Status),
    /// It was done.
    Done(Done),
    /// The register was read, and is gone by from here on.
    Roster {
        /// Lines that stand.
        lines: u64,
    },
    /// New calls are refused from here on, and the proxy ends once there are none left.
    Draining {
        /// Calls that are left at this moment.
        calls: u64,
        /// Seconds after which it ends all the same.
        limit_s: u64,
    },
    /// It was not done.
    NotDone {
        /// Why.
        why: NotDone,
        /// Why the call is not recorded, where that is why: the ledger's code.
        reason: Option<String>,
    },
    /// The question cannot be answered.
    Error {
        /// Why.
        what: String,
    },
}

/// An address of the PBX or of a trunk.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
pub struct TrunkAddress {
    /// The trunk; nothing for the PBX.
    pub trunk: Option<String>,
    /// The address, with its port.
    pub address: String,
    /// Over what: `udp`, `tcp` or `tls`.
    pub transport: String,
    /// How it stands.
    pub standing: Standing,
    /// Seconds since it is up, or down.
    pub since_s: u64,
    /// Whether it is asked by OPTIONS.
    pub is_asked: bool,
}

/// How an address stands, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It serves.
    Up,
    /// A call was not served there a moment ago: it is tried last.
    Avoided,
    /// It does not answer: it is tried last.
    Down,
}

impl Standing {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Avoided => "avoided",
            Self::Down => "down",
        }
    }
}

/// What was done to a call.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(tag = "done", rename_all = "kebab-case")]
pub enum Done {
    /// Its parties are being told and asked.
    Asks,
    /// Nothing is kept of it.
    Paused {
        /// Seconds after which it goes on by itself.
        resumes_in_s: u64,
    },
    /// It is recorded again.
    Resumed,
    /// It is recorded no more, or will not be.
    Withdrawn,
    /// It is recorded no more, and the keys of what was recorded are being destroyed.
    Shreds,
}

/// Why nothing was done to a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(rename_all = "kebab-case")]
pub enum NotDone {
    /// There is no such call, or no longer.
    NoSuchCall,
    /// It is not recorded.
    NotRecorded,
    /// It is recorded already, or its parties are being asked.
    AlreadyStarted,
    /// It is paused already.
    AlreadyPaused,
    /// It is not paused.
    NotPaused,
    /// Consent was withdrawn already.
    AlreadyWithdrawn,
    /// What was recorded must be kept.
    Locked,
}

impl NotDone {
    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchCall => "no-such-call",
            Self::NotRecorded => "not-recorded",
            Self::AlreadyStarted => "already-started",
            Self::AlreadyPaused => "already-paused",
            Self::NotPaused => "not-paused",
            Self::AlreadyWithdrawn => "already-withdrawn",
            Self::Locked => "locked",
        }
    }
}

/// A call at this moment. Its text is as it is printed: ids in hexadecimal, times in RFC 3339.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LiveCall {
    /// Its number.
    pub call: String,
    /// When the INVITE came.
    pub since: String,
    /// How many seconds ago that was.
    pub age_s: u64,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Over which trunk.
    pub trunk: String,
    /// Under which policy.
    pub policy: Option<String>,
    /// How far it is.
    pub state: LiveState,
    /// Seconds after which its recording goes on by itself; nothing where it is not paused.
    pub resumes_in_s: Option<u64>,
    /// Where consent stands; nothing where nobody is asked.
    pub consent: Option<Consent>,
    /// The code that says why it has a recording or none.
    pub reason: String,
    /// The recording's name, from the grant on.
    pub recording: Option<String>,
    /// The calling party: [`masked`](crate::control::masked()), unless numbers were asked for.
    pub calling: String,
    /// The called party, likewise.
    pub called: String,
}

/// Prints no number.
impl fmt::Debug for LiveCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveCall({}, {})", self.call, self.state)
    }
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(rename_all = "lowercase")]
pub enum LiveState {
    /// It is not answered yet.
    Ringing,
    /// The parties talk, unrecorded.
    Up,
    /// The parties talk, and are recorded.
    Recording,
    /// The parties talk, and the recording is paused.
    Paused,
}

impl LiveState {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Up => "up",
            Self::Recording => "recording",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for LiveState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where consent stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Consent {
    /// The announcement is played, or the key waited for.
    Asking,
    /// It was given.
    Granted,
    /// It was not.
    Refused,
    /// It was given, and taken back.
    Withdrawn,
}

impl Consent {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asking => "asking",
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for Consent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the proxy does.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// How many seconds it has run.
    pub up_s: u64,
    /// Calls at this moment.
    pub calls: u64,
    /// How many of them are recorded.
    pub recording: u64,
}
