//! Why a call has a recording or none: a stable code for machines, a sentence for people.

use std::fmt;
use std::str::FromStr;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $sentence:literal;)+) => {
        /// Why a call has a recording or none.
        ///
        /// The codes are stable: they stand in the ledger, in `--json` and in metric labels.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// Returns a sentence for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }
        }
    };
}

reasons! {
    /// It still goes on.
    InProgress = "in-progress", "The call still goes on.";
    /// It is, or was, recorded with consent.
    Recorded = "recorded", "The terms of the policy were met, and the call was recorded.";
    /// A party withdrew while it was recorded.
    Withdrawn = "withdrawn", "A party withdrew consent; recording ended there, and what was recorded until then was kept.";
    /// An operator refused or withdrew for a party.
    WithdrawnByOperator = "withdrawn-by-operator",
        "An operator refused or withdrew consent for a party; what was recorded until then, if anything, was kept.";
    /// A consent in the register was revoked.
    WithdrawnInRegister = "withdrawn-in-register",
        "A consent from before the call was revoked in the register; recording ended there, and what was recorded until then was kept.";
    /// The proxy was killed while it recorded.
    Torn = "torn", "The proxy was killed, or lost power, while it recorded; what was sealed until then opens and verifies.";
    /// A recording was on the disk, and no row named it.
    Found = "found",
        "The recording lay on the disk, and the ledger had lost its row; whether it is whole, `recordings verify` says.";
    /// Consent was withdrawn while it was recorded, and what was recorded until then is to be destroyed.
    Shredded = "withdrawn-shred",
        "Consent was withdrawn, and what was recorded until then is shredded: that is done once the recording is erased.";
    /// No policy matches it.
    NoPolicy = "no-policy", "No policy matches the call.";
    /// The policy says that it is not to be recorded.
    PolicyNever = "policy-never", "The policy says that such calls are not recorded.";
    /// One of its parties is never recorded.
    Exempt = "exempt", "One of its parties is never recorded: the register says so.";
    /// The code was dialled by which it is not recorded.
    Unrecorded = "unrecorded-by-code", "The caller, on the PBX's side, has dialled the code by which a call is not recorded.";
    /// It was not drawn.
    NotSampled = "not-sampled", "The policy records one call in so many, and this one was not drawn.";
    /// The policy was to be looked at again.
    ReviewOverdue = "review-overdue", "The policy was to be reviewed before, and records nothing until its `review_by` is a later day.";
    /// Nobody wanted it recorded.
    NotDemanded = "not-demanded", "The policy records on demand, and nobody has demanded it.";
    /// The web hook says no.
    HookDenied = "hook-denied", "The web hook says that the call is not to be recorded.";
    /// The web hook has said nothing.
    HookSilent = "hook-silent", "The web hook gave no answer in time, and the policy does not record then.";
    /// It went to an emergency number.
    Emergency = "emergency", "The call went to an emergency number: it passes whatever else is, and is never recorded.";
    /// It was given up before it was answered.
    NotAnswered = "not-answered", "The call was not answered.";
    /// The called party was busy.
    Busy = "busy", "The called party was busy.";
    /// The far end asked for credentials.
    Challenged = "challenged", "The far end asked for credentials; the caller's next attempt is a row of its own.";
    /// It failed before it was answered.
    Failed = "failed", "The call failed before it was answered.";
    /// It ended before consent was complete.
    EndedBeforeConsent = "ended-before-consent", "The call ended before all were told and had agreed.";
    /// A party pressed the refusing key.
    ConsentRefused = "consent-refused", "A party refused by pressing the key.";
    /// The agreeing key was not pressed in time.
    ConsentTimeout = "consent-timeout", "The agreeing key was not pressed in time; silence is a no.";
    /// The announcement cannot be had in the codec that was negotiated.
    AnnouncementCodec = "announcement-codec", "The announcement cannot be played in the call's codec: in PCMU, PCMA, G.722, Opus and L16 it can.";
    /// A party was on hold.
    AnnouncementHeld = "announcement-held", "A party was on hold, so that the announcement was not played to its end.";
    /// The media moved too often while the announcement was played.
    AnnouncementInterrupted = "announcement-interrupted", "The announcement was interrupted too often: the call's media kept moving.";
    /// A packet of the announcement could not be sent.
    AnnouncementNotSent = "announcement-not-sent", "A packet of the announcement could not be sent.";
    /// No audio was negotiated.
    NoAudio = "no-audio", "The call has no audio.";
    /// The parties encrypt the audio between themselves.
    MediaEncrypted = "media-encrypted", "The parties encrypt the audio between themselves (SRTP); it passes, unrecorded.";
    /// The recording could not be begun, or went on no longer.
    VaultUnavailable = "vault-unavailable", "The recording could not be written: keys, disk or data directory; the proxy's log says which.";
    /// The recordings of its policy take all the room that they may.
    Quota = "quota", "The recordings of its policy take all the room of its quota, and none of them may be erased yet.";
    /// No port pair was free.
    PortsExhausted = "ports-exhausted", "No media port was free: the call was refused with 503.";
    /// Too many calls at once.
    Overload = "overload", "There were too many calls at once: the call was refused with 503.";
    /// The product took no new calls, because it was to stop.
    Draining = "draining", "The proxy took no new calls, because it was to stop: the call was refused with 503.";
    /// The session description could not be read.
    BadOffer = "bad-offer", "The session description could not be read, or is not as `media_as` of its side wants it: the call was refused with 488, and told why.";
    /// The product was stopped while the call went on.
    Stopped = "stopped", "The proxy was stopped while the call went on.";
    /// No media came, and the product ended the call.
    DeadMedia = "dead-media",
        "No media came from either side for as long as is configured, and the proxy ended the call; what was recorded until then, if anything, was kept.";
    /// Nobody refreshed the session, and no media came.
    SessionExpired = "session-expired",
        "Nobody refreshed the session as the parties had agreed (RFC 4028), and no media came from either side: the proxy ended the call; what was recorded until then, if anything, was kept.";
    /// A side put another party into the call while it was recorded.
    Transferred = "transferred",
        "A side put another party into the call, who had not been told; recording ended there, and what was recorded until then was kept.";
    /// The product was killed while the call went on, unrecorded.
    Interrupted = "interrupted", "The proxy was killed, or lost power, while the call went on; nothing of it was recorded.";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = NotAReason;

    fn from_str(code: &str) -> Result<Self, NotAReason> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == code).ok_or(NotAReason)
    }
}

/// The text is no reason's code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAReason;

impl fmt::Display for NotAReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such reason")
    }
}

impl std::error::Error for NotAReason {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_distinct_and_read_as_it_is_written() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(*reason));
            assert!(reason.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(reason.sentence().ends_with('.'), "{reason}");
        }
        assert_eq!("".parse::<Reason>(), Err(NotAReason));
    }
}
