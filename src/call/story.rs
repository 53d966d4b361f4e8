//! What is to be written down of a call, recorded or not, and the reason codes that say why.

use std::sync::Arc;

use crate::consent::{Cut, Parties, Refusal};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::Moment;

/// Why a call has a recording or none; stable codes for the ledger and the metrics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// It still goes on.
    InProgress,
    /// It is, or was, recorded with consent.
    Recorded,
    /// A party withdrew while it was recorded.
    Withdrawn,
    /// An operator refused or withdrew for a party.
    WithdrawnByOperator,
    /// A consent from before the call, on which it was recorded, was revoked in the register meanwhile.
    WithdrawnInRegister,
    /// Consent was withdrawn while it was recorded, and what was recorded until then is to be destroyed.
    Shredded,
    /// No policy matches it.
    NoPolicy,
    /// The policy says that it is not to be recorded.
    PolicyNever,
    /// One of its parties is never recorded, as the register says.
    Exempt,
    /// The code was dialled before the number by which a call is not recorded.
    Unrecorded,
    /// The policy records one call in so many, and this one was not drawn.
    NotSampled,
    /// The policy was to be looked at again, and records nothing until it was.
    ReviewOverdue,
    /// The policy records what somebody wants recorded, and nobody did.
    NotDemanded,
    /// The web hook says that it is not to be recorded.
    HookDenied,
    /// The web hook has said nothing in time, and the policy does not record then.
    HookSilent,
    /// It went to an emergency number: such a call is never recorded, and never refused.
    Emergency,
    /// It was given up before it was answered.
    NotAnswered,
    /// The called party was busy (486, 600).
    Busy,
    /// The far end asked for credentials; the next INVITE is another row.
    Challenged,
    /// It failed before it was answered.
    Failed,
    /// It ended before consent was complete.
    EndedBeforeConsent,
    /// A party pressed the refusing key.
    ConsentRefused,
    /// The agreeing key was not pressed in time.
    ConsentTimeout,
    /// The announcement cannot be had in the codec that was negotiated.
    AnnouncementCodec,
    /// A party was on hold, so that the announcement could not be played to its end.
    AnnouncementHeld,
    /// The media moved too often while the announcement was played.
    AnnouncementInterrupted,
    /// A packet of the announcement could not be sent.
    AnnouncementNotSent,
    /// No audio was negotiated.
    NoAudio,
    /// The parties encrypt the audio between themselves (SRTP).
    MediaEncrypted,
    /// The recording could not be begun or went on no longer: keys, disk or directory.
    VaultUnavailable,
    /// The recordings of its policy take all the room that they may.
    Quota,
    /// No port pair was free: refused with 503.
    PortsExhausted,
    /// Too many calls at once: refused with 503.
    Overload,
    /// The product takes no new calls, because it is to stop: refused with 503.
    Draining,
    /// The session description could not be read: refused with 488.
    BadOffer,
    /// The product was stopped while the call went on.
    Stopped,
    /// The product was restarted while the call went on, which is not recorded from there on.
    Interrupted,
    /// No media came from either side for as long as is configured, and the product ended the call.
    DeadMedia,
    /// Nobody refreshed the session as agreed, and no media came from either side: the product ended the call.
    SessionExpired,
    /// A side put another party into the call while it was recorded, who had not been told.
    Transferred,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: &'static [Self] = &[
        Self::InProgress,
        Self::Recorded,
        Self::Withdrawn,
        Self::WithdrawnByOperator,
        Self::WithdrawnInRegister,
        Self::Shredded,
        Self::NoPolicy,
        Self::PolicyNever,
        Self::Exempt,
        Self::Unrecorded,
        Self::NotSampled,
        Self::ReviewOverdue,
        Self::NotDemanded,
        Self::HookDenied,
        Self::HookSilent,
        Self::Emergency,
        Self::NotAnswered,
        Self::Busy,
        Self::Challenged,
        Self::Failed,
        Self::EndedBeforeConsent,
        Self::ConsentRefused,
        Self::ConsentTimeout,
        Self::AnnouncementCodec,
        Self::AnnouncementHeld,
        Self::AnnouncementInterrupted,
        Self::AnnouncementNotSent,
        Self::NoAudio,
        Self::MediaEncrypted,
        Self::VaultUnavailable,
        Self::Quota,
        Self::PortsExhausted,
        Self::Overload,
        Self::Draining,
        Self::BadOffer,
        Self::Stopped,
        Self::Interrupted,
        Self::DeadMedia,
        Self::SessionExpired,
        Self::Transferred,
    ];

    /// Returns the code, as it stands in the ledger and in metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in-progress",
            Self::Recorded => "recorded",
            Self::Withdrawn => "withdrawn",
            Self::WithdrawnByOperator => "withdrawn-by-operator",
            Self::WithdrawnInRegister => "withdrawn-in-register",
            Self::Shredded => "withdrawn-shred",
            Self::NoPolicy => "no-policy",
            Self::PolicyNever => "policy-never",
            Self::Exempt => "exempt",
            Self::Unrecorded => "unrecorded-by-code",
            Self::NotSampled => "not-sampled",
            Self::ReviewOverdue => "review-overdue",
            Self::NotDemanded => "not-demanded",
            Self::HookDenied => "hook-denied",
            Self::HookSilent => "hook-silent",
            Self::Emergency => "emergency",
            Self::NotAnswered => "not-answered",
            Self::Busy => "busy",
            Self::Challenged => "challenged",
            Self::Failed => "failed",
            Self::EndedBeforeConsent => "ended-before-consent",
            Self::ConsentRefused => "consent-refused",
            Self::ConsentTimeout => "consent-timeout",
            Self::AnnouncementCodec => "announcement-codec",
            Self::AnnouncementHeld => "announcement-held",
            Self::AnnouncementInterrupted => "announcement-interrupted",
            Self::AnnouncementNotSent => "announcement-not-sent",
            Self::NoAudio => "no-audio",
            Self::MediaEncrypted => "media-encrypted",
            Self::VaultUnavailable => "vault-unavailable",
            Self::Quota => "quota",
            Self::PortsExhausted => "ports-exhausted",
            Self::Overload => "overload",
            Self::Draining => "draining",
            Self::BadOffer => "bad-offer",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::DeadMedia => "dead-media",
            Self::SessionExpired => "session-expired",
            Self::Transferred => "transferred",
        }
    }

    /// Returns the reason that a refusal of consent gives.
    #[must_use]
    pub const fn of_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Declined(_) => Self::ConsentRefused,
            Refusal::Silence(_) => Self::ConsentTimeout,
            Refusal::Cut(_, Cut::Codec) => Self::AnnouncementCodec,
            Refusal::Cut(_, Cut::Held) => Self::AnnouncementHeld,
            Refusal::Cut(_, Cut::Moved) => Self::AnnouncementInterrupted,
            Refusal::Cut(_, Cut::NotSent) => Self::AnnouncementNotSent,
            Refusal::Exempt(_) => Self::Exempt,
            Refusal::Operator => Self::WithdrawnByOperator,
            Refusal::Ended => Self::EndedBeforeConsent,
        }
    }

    /// Returns the reason that a final answer to the first INVITE gives.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            486 | 600 => Self::Busy,
            408 | 480 | 487 | 603 => Self::NotAnswered,
            401 | 407 => Self::Challenged,
            _ => Self::Failed,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call as it stands, told whole at each change: when it began, was granted a recording, and ended.
#[derive(Clone, Debug)]
pub struct Story {
    /// Its number.
    pub call: CallId,
    /// When the INVITE came.
    pub began: Moment,
    /// When the ACK of its 2xx passed.
    pub answered: Option<Moment>,
    /// When it was over.
    pub ended: Option<Moment>,
    /// Which way it was set up.
    pub direction: Direction,
    /// Over which trunk.
    pub trunk: TrunkName,
    /// Under which policy.
    pub policy: Option<Arc<str>>,
    /// What it is recorded for.
    pub purpose: Option<Arc<str>>,
    /// Who talked.
    pub parties: Parties,
    /// What the header fields say by which it is found again: the name and a value of each, at most
    /// [`INDEXED_OF_CALL`](crate::limits::INDEXED_OF_CALL).
    pub indexed: Vec<(Arc<str>, Private<String>)>,
    /// It began before a restart: its row is there, and nothing of it changes but its end.
    pub is_restored: bool,
    /// Why it has a recording or none.
    pub reason: Reason,
    /// On which leg the reason lies, where it lies on one.
    pub leg: Option<Leg>,
    /// The recording, once it was granted.
    pub recording: Option<RecordingId>,
}
