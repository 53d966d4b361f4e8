//! The announcement: a clip with a known hash, the player that hands out its frames, and `Played`, which the player alone can make.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;
use crate::ids::Leg;
use crate::time::Moment;

/// An announcement in one codec, ready to be sent; cheap to clone.
#[derive(Clone)]
pub struct Clip {
    codec: Codec,
    payload: Arc<[u8]>,
    sha256: [u8; 32],
    language: Arc<str>,
}

impl Clip {
    /// Takes the whole announcement encoded by `codec`, and the SHA-256 of the file it was made from.
    ///
    /// # Errors
    /// An announcement without sound tells nobody anything, so it cannot be had.
    pub fn new(codec: Codec, payload: &[u8], sha256: [u8; 32], language: &str) -> Result<Self, EmptyClip> {
        if payload.is_empty() {
            return Err(EmptyClip);
        }
        Ok(Self { codec, payload: payload.into(), sha256, language: language.into() })
    }

    /// Returns the codec it is in.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Returns how long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.payload.len() as u64 * 1000 / Codec::BYTES_PER_MS as u64)
    }

    /// Returns the SHA-256 of the file it was made from.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Returns its language, as the policy names it.
    #[must_use]
    pub fn language(&self) -> &str {
        &self.language
    }
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clip({:?}, {}, {:?})", self.codec, self.language, self.duration())
    }
}

/// The operator's announcement has no sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EmptyClip;

impl std::fmt::Display for EmptyClip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the announcement has no sound")
    }
}

impl std::error::Error for EmptyClip {}

/// Plays one clip to one leg: hands out a frame, is told what it was sent as, and bears witness at the end.
///
/// ```text
///            frame, sent               sent the last frame
///  Player ──────────────▶ Player ────────────────────────────▶ Played
///     └── cut: dropped, and with it every claim that it was heard
/// ```
#[derive(Debug)]
pub struct Player {
    leg: Leg,
    clip: Clip,
    frame_bytes: usize,
    at: usize,
    range: Option<OwnRange>,
}

/// The payload of the next packet.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'c> {
    /// The announcement's bytes: a whole frame, or what is left of the last one.
    pub bytes: &'c [u8],
    /// How many bytes of [`Codec::silence`] make it a whole frame.
    pub padding: usize,
}

/// What a frame was sent as: our own RTP header's fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentAs {
    /// Synchronisation source of the stream towards the leg.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
}

/// The RTP range in which an announcement was sent: with the hash, it is the proof of what was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnRange {
    /// The first packet.
    pub first: SentAs,
    /// The last packet.
    pub last: SentAs,
    /// When the first packet was sent.
    pub began: Moment,
    /// When the last packet was sent.
    pub ended: Moment,
    /// How many packets were sent.
    pub packets: u32,
}

impl Player {
    /// Takes a clip for a leg whose packets carry `ptime_ms` milliseconds (10 to 60; others are taken for 20).
    #[must_use]
    pub const fn new(leg: Leg, clip: Clip, ptime_ms: u8) -> Self {
        let ptime_ms = if ptime_ms >= 10 && ptime_ms <= 60 { ptime_ms } else { 20 };
        Self { leg, clip, frame_bytes: ptime_ms as usize * Codec::BYTES_PER_MS, at: 0, range: None }
    }

    /// Returns the leg it plays to.
    #[must_use]
    pub const fn leg(&self) -> Leg {
        self.leg
    }

    /// Returns the clip.
    #[must_use]
    pub const fn clip(&self) -> &Clip {
        &self.clip
    }

    /// Returns how long one frame lasts.
    #[must_use]
    pub const fn ptime(&self) -> Duration {
        Duration::from_millis((self.frame_bytes / Codec::BYTES_PER_MS) as u64)
    }

    /// Returns the frame to send next; the same one until [`Player::sent`] is called.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        let left = self.clip.payload.get(self.at..).unwrap_or_default();
        let bytes = left.get(..self.frame_bytes).unwrap_or(left);
        Frame { bytes, padding: self.frame_bytes - bytes.len() }
    }

    /// Takes note that the frame went out, and returns the witness once it was the last.
    pub fn sent(&mut self, as_: SentAs, now: Moment) -> Option<Played> {
        let range = self.range.get_or_insert(OwnRange { first: as_, last: as_, began: now, ended: now, packets: 0 });
        range.last = as_;
        range.ended = now;
        range.packets += 1;
        let range = *range;
        self.at += self.frame_bytes;
        (self.at >= self.clip.payload.len()).then(|| Played(Witness { leg: self.leg, clip: self.clip.clone(), range }))
    }
}

/// An announcement was sent to a leg from its first frame to its last.
///
/// The field is private to this file, so that only the player makes one. It says "sent", not "heard" and not "understood".
#[derive(Debug)]
pub struct Played(Witness);

#[derive(Debug)]
struct Witness {
    leg: Leg,
    clip: Clip,
    range: OwnRange,
}

impl Played {
    /// Returns the leg it was played to.
    #[must_use]
    pub const fn leg(&self) -> Leg {
        self.0.leg
    }

    /// Returns what was played.
    #[must_use]
    pub const fn clip(&self) -> &Clip {
        &self.0.clip
    }

    /// Returns what it was sent as.
    #[must_use]
    pub const fn range(&self) -> OwnRange {
        self.0.range
    }
}

/// Why an announcement did not reach its end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Cut {
    /// No announcement can be had in the codec that was negotiated.
    Codec,
    /// The party is on hold, or cannot receive.
    Held,
    /// The party's address or codec changed while it was played.
    Moved,
    /// A packet of it could not be sent.
    NotSent,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(bytes: usize) -> Clip {
        Clip::new(Codec::Pcma, &vec![1; bytes], [7; 32], "de").expect("it has sound")
    }

    #[test]
    fn only_the_last_frame_bears_witness() {
        let mut player = Player::new(Leg::Trunk, clip(320), 20);
        let sent = |sequence| SentAs { ssrc: 9, sequence, timestamp: u32::from(sequence) * 160 };

        assert!(player.sent(sent(65_535), Moment::from_millis(20)).is_none());
        let played = player.sent(sent(0), Moment::from_millis(40)).expect("two frames of 20 ms are 320 bytes");

        assert_eq!(played.leg(), Leg::Trunk);
        assert_eq!((played.range().first.sequence, played.range().last.sequence), (65_535, 0));
        assert_eq!(played.range().packets, 2);
    }

    #[test]
    fn the_last_frame_is_filled_up_with_silence() {
        let mut player = Player::new(Leg::Pbx, clip(170), 20);
        assert_eq!((player.frame().bytes.len(), player.frame().padding), (160, 0));

        assert!(player.sent(SentAs { ssrc: 1, sequence: 1, timestamp: 1 }, Moment::START).is_none());

        assert_eq!((player.frame().bytes.len(), player.frame().padding), (10, 150));
    }

    #[test]
    fn an_announcement_without_sound_cannot_be_had() {
        assert_eq!(Clip::new(Codec::Pcmu, &[], [0; 32], "de").err(), Some(EmptyClip));
    }

    #[test]
    fn a_frame_lasts_as_long_as_the_party_asks_if_it_asks_within_reason() {
        let lasts = |ptime_ms| Player::new(Leg::Pbx, clip(8000), ptime_ms).ptime();

        assert_eq!([10, 30, 60].map(lasts), [10, 30, 60].map(Duration::from_millis));
        assert_eq!([0, 9, 61, 255].map(lasts), [20; 4].map(Duration::from_millis));
    }

    #[test]
    fn what_is_printed_says_what_it_is_and_holds_no_sound() {
        assert_eq!(format!("{:?}", clip(8000)), "Clip(Pcma, de, 1s)");
        assert_eq!(EmptyClip.to_string(), "the announcement has no sound");
    }

    #[test]
    fn a_clip_of_8000_bytes_lasts_a_second() {
        assert_eq!(clip(8000).duration(), Duration::from_secs(1));
    }
}
