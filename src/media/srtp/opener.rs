//! What comes from one leg: a packet is authenticated, then decrypted where it lies, and only then anything is remembered of it.

use std::fmt;

use crate::limits::{SRTP_OLD_KEY, SRTP_OLD_KEY_LATE};
use crate::media::srtp::Keying;
use crate::media::srtp::context::Context;
use crate::media::srtp::sources::Sources;
use crate::time::Moment;

/// Opens the SRTP and SRTCP that one party sends, all its streams (SSRCs) under one master key.
///
/// A packet that is refused leaves no trace: neither in the buffer nor here, so that nobody without the key can make it forget, remember
/// or grow. A party's new key replaces the old one by [`Opener::succeed`].
#[derive(Debug)]
pub struct Opener {
    current: Context,
    former: Option<Former>,
}

/// The key before, whose packets may still be on their way.
#[derive(Debug)]
struct Former {
    context: Context,
    until: Moment,
}

impl Opener {
    /// Begins with the key that the party said it sends with.
    #[must_use]
    pub fn new(keying: Keying) -> Self {
        Self { current: Context::new(keying, Sources::default()), former: None }
    }

    /// Takes the key that the party sends with from here on. To be called whenever an offer and its answer agreed, with the same key
    /// as well: then all goes on as it was, as a hold or a session timer wants it (RFC 4568 §7.1.4).
    ///
    /// When exactly the party changes over nobody says: as the one who offered, once it has the answer; as the one who answered, as soon as
    /// it has sent that. So packets under the old key are taken until [`SRTP_OLD_KEY_LATE`] after the first under the new one, and no
    /// longer than [`SRTP_OLD_KEY`] from here: whoever had the old key — the phone before a transfer — is not heard for longer. A packet
    /// is tried under the new key first; there is never more than one old key, and it is wiped by the first packet after its time.
    pub fn succeed(&mut self, keying: Keying, now: Moment) {
        if self.current.keying.is_same(&keying) {
            return;
        }
        let until = now + SRTP_OLD_KEY;
        match &mut self.former {
            // Back to the key before: what was used under it must stay known, or it could be replayed.
            Some(former) if former.context.keying.is_same(&keying) => {
                std::mem::swap(&mut self.current, &mut former.context);
                former.until = until;
            }
            former => {
                // One key with tags of another length is no new key.
                let sources = match self.current.keying.has_key_of(&keying) {
                    true => self.current.sources.clone(),
                    false => self.current.sources.under_a_new_key(),
                };
                let next = Context::new(keying, sources);
                let context = std::mem::replace(&mut self.current, next);
                *former = Some(Former { context, until });
            }
        }
    }

    /// Opens an SRTP packet in place, and returns the RTP packet: the same bytes without what stood behind them.
    ///
    /// # Errors
    /// Where the packet is not to be used; it is left as it came.
    pub fn open_rtp<'p>(&mut self, packet: &'p mut [u8], now: Moment) -> Result<&'p mut [u8], Refused> {
        self.open(packet, now, Context::open_rtp)
    }

    /// Opens an SRTCP packet in place, and returns the compound RTCP packet.
    ///
    /// # Errors
    /// Likewise; also where it is not encrypted, even if its tag is right.
    pub fn open_rtcp<'p>(&mut self, packet: &'p mut [u8], now: Moment) -> Result<&'p mut [u8], Refused> {
        self.open(packet, now, Context::open_rtcp)
    }

    fn open<'p>(
        &mut self,
        packet: &'p mut [u8],
        now: Moment,
        open: fn(&mut Context, &mut [u8]) -> Result<usize, Refused>,
    ) -> Result<&'p mut [u8], Refused> {
        self.former.take_if(|former| former.until <= now);
        let len = match (open(&mut self.current, packet), &mut self.former) {
            (Ok(len), Some(former)) => {
                former.until = former.until.min(now + SRTP_OLD_KEY_LATE);
                len
            }
            (Err(refused), Some(former)) if refused.may_be_of_another_key() => match open(&mut former.context, packet) {
                Ok(len) => len,
                Err(other) if other.may_be_of_another_key() => return Err(refused),
                Err(other) => return Err(other),
            },
            (opened, _) => opened?,
        };
        Ok(packet.get_mut(..len).unwrap_or_default())
    }
}

/// The peer's packet, or a stranger's, is not to be used. To be counted, and never to end a call: anybody can send one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    /// It is not of version 2, or shorter than its header and the suite want.
    Malformed,
    /// It names another key than the one that was agreed (MKI).
    KeyName,
    /// Its tag is wrong: it was changed, or is not from who has the key, or its sender has rolled over without us.
    Tag,
    /// It came before, or comes more than [`SRTP_REPLAY_WINDOW`](crate::limits::SRTP_REPLAY_WINDOW) packets late.
    Replayed,
    /// It is SRTCP with the E bit clear, which was not agreed.
    Unencrypted,
    /// It is of one stream more than [`SRTP_SOURCES`](crate::limits::SRTP_SOURCES).
    TooManySources,
    /// The key was used for as many packets as it may be: the parties must agree on another.
    Exhausted,
}

impl Refused {
    /// All that there are, each at its [`Refused::index`].
    pub const ALL: [Self; 7] =
        [Self::Malformed, Self::KeyName, Self::Tag, Self::Replayed, Self::Unencrypted, Self::TooManySources, Self::Exhausted];

    /// Returns its place among them.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Returns one word for it, as a metric has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::KeyName => "key-name",
            Self::Tag => "tag",
            Self::Replayed => "replayed",
            Self::Unencrypted => "unencrypted",
            Self::TooManySources => "too-many-sources",
            Self::Exhausted => "exhausted",
        }
    }

    /// Whether the packet might be right under another key.
    const fn may_be_of_another_key(self) -> bool {
        match self {
            Self::Malformed | Self::KeyName | Self::Tag | Self::Unencrypted => true,
            Self::Replayed | Self::TooManySources | Self::Exhausted => false,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the peer's packet is shorter than it says, or not of version 2",
            Self::KeyName => "the peer's packet names another key than was agreed",
            Self::Tag => "the peer's packet is not authentic",
            Self::Replayed => "the peer's packet came before, or comes too late to tell",
            Self::Unencrypted => "the peer's packet is not encrypted",
            Self::TooManySources => "the peer's packet is of one stream too many under one key",
            Self::Exhausted => "the peer's key was used for as many packets as it may be",
        })
    }
}

impl std::error::Error for Refused {}
