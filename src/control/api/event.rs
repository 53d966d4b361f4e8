//! What is told of a call as it changes, to whoever listens.

use serde::{Deserialize, Serialize};

use crate::control::{Consent, LiveCall, LiveState};

/// A call, and how far it is from here on.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallEvent {
    /// Its number.
    pub call: String,
    /// When that was seen, in RFC 3339.
    pub at: String,
    /// How far it is.
    pub state: CallState,
    /// The code that says why it has a recording or none.
    pub reason: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Over which trunk.
    pub trunk: String,
    /// The recording's name, from the grant on.
    pub recording: Option<String>,
    /// The calling party, masked.
    pub calling: String,
    /// The called party, masked.
    pub called: String,
}

/// Prints no number.
impl std::fmt::Debug for CallEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallEvent({}, {})", self.call, self.state.as_str())
    }
}

/// How far a call is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(rename_all = "lowercase")]
pub enum CallState {
    /// It is not answered yet.
    Ringing,
    /// The parties talk, unrecorded.
    Up,
    /// The parties talk, and are recorded.
    Recording,
    /// The parties talk, and the recording is paused.
    Paused,
    /// The parties talk, and nothing is kept any more: consent was withdrawn.
    Withdrawn,
    /// It is over.
    Ended,
}

impl CallState {
    /// Returns the word, which is the event's name as well.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Up => "up",
            Self::Recording => "recording",
            Self::Paused => "paused",
            Self::Withdrawn => "withdrawn",
            Self::Ended => "ended",
        }
    }
}

impl CallEvent {
    /// Returns how far a call is at this moment; its numbers as they stand there.
    #[must_use]
    pub fn of(call: LiveCall, at: String) -> Self {
        let state = match (call.state, call.consent) {
            (LiveState::Ringing, _) => CallState::Ringing,
            (LiveState::Up, Some(Consent::Withdrawn)) => CallState::Withdrawn,
            (LiveState::Up, Some(Consent::Asking | Consent::Granted | Consent::Refused) | None) => CallState::Up,
            (LiveState::Recording, _) => CallState::Recording,
            (LiveState::Paused, _) => CallState::Paused,
        };
        let LiveCall { call, direction, trunk, reason, recording, calling, called, .. } = call;
        Self { call, at, state, reason, direction, trunk, recording, calling, called }
    }

    /// Returns it as a server-sent event.
    #[must_use]
    pub fn frame(&self) -> String {
        // It is made of texts alone, which JSON takes, in one line.
        format!("event: {}\ndata: {}\n\n", self.state.as_str(), serde_json::to_string(self).unwrap_or_default())
    }
}

/// Returns what a listener is told who was too slow for so many events.
#[must_use]
pub fn missed(events: u64) -> String {
    format!("event: missed\ndata: {{\"missed\":{events}}}\n\n")
}
