//! The announcement: a clip with a known hash, the player that hands out its frames, and `Played`, which the player alone can make.

use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Codec, Coding, Foreign};
use crate::ids::Leg;
use crate::limits::ANNOUNCEMENT_PACKET_BYTES;
use crate::time::Moment;

/// An announcement in one codec, ready to be sent; cheap to clone.
#[derive(Clone)]
pub struct Clip {
    coding: Coding,
    name: Arc<str>,
    sound: Sound,
    sha256: [u8; 32],
    language: Arc<str>,
}

#[derive(Clone)]
enum Sound {
    /// Packets are cut out of it as the party likes them.
    Stream { payload: Arc<[u8]>, bytes_per_tick: usize },
    /// Packets as they are, each where the one before it ends, and all of so many ticks of the RTP clock.
    Packets { payload: Arc<[u8]>, ends: Arc<[usize]>, ticks: u32 },
}

impl Sound {
    fn of_packets(packets: &[Vec<u8>], ticks: u32) -> Result<Self, EmptyClip> {
        let is_good = |packet: &Vec<u8>| (1..=ANNOUNCEMENT_PACKET_BYTES).contains(&packet.len());
        if packets.is_empty() || ticks == 0 || !packets.iter().all(is_good) {
            return Err(EmptyClip);
        }
        let ends = packets.iter().scan(0, |end, packet| {
            *end += packet.len();
            Some(*end)
        });
        Ok(Self::Packets { ends: ends.collect(), payload: packets.concat().into(), ticks })
    }
}

impl Clip {
    /// Takes the whole announcement encoded by `codec`, out of which packets of any length may be cut, and the SHA-256 of the file it was
    /// made from.
    ///
    /// # Errors
    /// An announcement without sound tells nobody anything, so it cannot be had; nor can one of Opus without its packets.
    pub fn new(codec: Codec, payload: &[u8], sha256: [u8; 32], language: &str) -> Result<Self, EmptyClip> {
        let bytes_per_tick = match codec {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 1,
            Codec::L16 { channels, .. } => 2 * usize::from(channels),
            Codec::Opus => return Err(EmptyClip),
        };
        if payload.is_empty() {
            return Err(EmptyClip);
        }
        let sound = Sound::Stream { payload: payload.into(), bytes_per_tick };
        Ok(Self { coding: Coding::Ours(codec), name: codec.name().into(), sound, sha256, language: language.into() })
    }

    /// Takes an announcement whose packets must be sent as they are, each `ticks` of the codec's RTP clock long.
    ///
    /// # Errors
    /// There is no packet, or one that is empty or longer than [`ANNOUNCEMENT_PACKET_BYTES`], or packets without length: nothing that could
    /// be played.
    pub fn of_packets(
        codec: Codec,
        packets: &[Vec<u8>],
        ticks: u32,
        sha256: [u8; 32],
        language: &str,
    ) -> Result<Self, EmptyClip> {
        let sound = Sound::of_packets(packets, ticks)?;
        Ok(Self { coding: Coding::Ours(codec), name: codec.name().into(), sound, sha256, language: language.into() })
    }

    /// Takes an announcement in a codec that is not spoken here, by its packets as for [`Clip::of_packets`]; `name` is the evidence's for it.
    ///
    /// # Errors
    /// As for [`Clip::of_packets`].
    pub fn ready(
        foreign: Foreign,
        name: &str,
        packets: &[Vec<u8>],
        ticks: u32,
        sha256: [u8; 32],
        language: &str,
    ) -> Result<Self, EmptyClip> {
        let sound = Sound::of_packets(packets, ticks)?;
        Ok(Self { coding: Coding::Foreign(foreign), name: name.into(), sound, sha256, language: language.into() })
    }

    /// Returns the coding it is in.
    #[must_use]
    pub const fn coding(&self) -> Coding {
        self.coding
    }

    /// Returns the name of its coding: the encoding name of RFC 3551, or as the operator wrote it.
    #[must_use]
    pub fn coding_name(&self) -> &str {
        &self.name
    }

    /// Returns the byte that makes a last frame whole. Packets of their own are whole.
    #[must_use]
    pub const fn silence(&self) -> u8 {
        match self.coding {
            Coding::Ours(codec) => codec.silence(),
            Coding::Foreign(_) => 0,
        }
    }

    /// Returns how long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let ticks = match &self.sound {
            Sound::Stream { payload, bytes_per_tick } => (payload.len() / bytes_per_tick) as u64,
            Sound::Packets { ends, ticks, .. } => ends.len() as u64 * u64::from(*ticks),
        };
        time_of(ticks, self.coding)
    }

    /// Returns how many ticks each packet has to a party that likes `ptime_ms` milliseconds best.
    fn ticks(&self, ptime_ms: u8) -> u32 {
        match self.sound {
            Sound::Packets { ticks, .. } => ticks,
            Sound::Stream { bytes_per_tick, .. } => {
                let ticks = self.coding.clock() * u32::from(ptime_ms) / 1000;
                // Linear samples of 60 ms fit into no datagram: half as long, or a quarter, is what many send then.
                let longest = u32::try_from(ANNOUNCEMENT_PACKET_BYTES / bytes_per_tick).unwrap_or(u32::MAX);
                (0..8).map(|halved| ticks >> halved).find(|&ticks| ticks <= longest).unwrap_or(longest)
            }
        }
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
        write!(f, "Clip({}, {}, {:?})", self.name, self.language, self.duration())
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

fn time_of(ticks: u64, coding: Coding) -> Duration {
    Duration::from_micros(ticks * 1_000_000 / u64::from(coding.clock().max(1)))
}

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
    /// Ticks of the RTP clock in each packet.
    ticks: u32,
    /// How many packets were sent.
    at: usize,
    range: Option<OwnRange>,
}

/// The payload of the next packet.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'c> {
    /// The announcement's bytes: a whole frame, or what is left of the last one.
    pub bytes: &'c [u8],
    /// How many bytes of [`Clip::silence`] make it a whole frame.
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
    /// Takes a clip for a leg whose packets carry `ptime_ms` milliseconds (10 to 60; others are taken for 20). Those of a clip that has its
    /// own packets carry what they do.
    #[must_use]
    pub fn new(leg: Leg, clip: Clip, ptime_ms: u8) -> Self {
        let ticks = clip.ticks(if (10..=60).contains(&ptime_ms) { ptime_ms } else { 20 });
        Self { leg, clip, ticks, at: 0, range: None }
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
    pub fn ptime(&self) -> Duration {
        time_of(u64::from(self.ticks), self.clip.coding)
    }

    /// Returns how many ticks of the RTP clock one frame has.
    #[must_use]
    pub const fn ticks(&self) -> u32 {
        self.ticks
    }

    /// Returns the frame to send next, of at most [`ANNOUNCEMENT_PACKET_BYTES`]; the same one until [`Player::sent`] is called.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        match &self.clip.sound {
            Sound::Stream { payload, bytes_per_tick } => {
                let whole = self.frame_bytes(*bytes_per_tick);
                let left = payload.get(self.at * whole..).unwrap_or_default();
                let bytes = left.get(..whole).unwrap_or(left);
                Frame { bytes, padding: whole - bytes.len() }
            }
            Sound::Packets { payload, ends, .. } => {
                let begin = self.at.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
                let end = ends.get(self.at).copied().unwrap_or(begin);
                Frame { bytes: payload.get(begin..end).unwrap_or_default(), padding: 0 }
            }
        }
    }

    fn frame_bytes(&self, bytes_per_tick: usize) -> usize {
        usize::try_from(self.ticks).unwrap_or(0) * bytes_per_tick
    }

    /// Takes note that the frame went out, and returns the witness once it was the last.
    pub fn sent(&mut self, as_: SentAs, now: Moment) -> Option<Played> {
        let range = self.range.get_or_insert(OwnRange { first: as_, last: as_, began: now, ended: now, packets: 0 });
        range.last = as_;
        range.ended = now;
        range.packets += 1;
        let range = *range;
        self.at += 1;
        let is_over = match &self.clip.sound {
            Sound::Stream { payload, bytes_per_tick } => self.at * self.frame_bytes(*bytes_per_tick) >= payload.len(),
            Sound::Packets { ends, .. } => self.at >= ends.len(),
        };
        is_over.then(|| Played(Witness { leg: self.leg, clip: self.clip.clone(), range }))
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
    fn packets_of_their_own_are_sent_as_they_are_however_the_party_likes_them() {
        let packets = [vec![1; 40], vec![2; 3], vec![3; 77]];
        let clip = Clip::of_packets(Codec::Opus, &packets, 960, [7; 32], "de").expect("it has sound");
        let sent = |sequence| SentAs { ssrc: 9, sequence, timestamp: u32::from(sequence) * 960 };
        assert_eq!(clip.duration(), Duration::from_millis(60));

        let mut player = Player::new(Leg::Trunk, clip, 60);

        assert_eq!((player.ptime(), player.ticks()), (Duration::from_millis(20), 960));
        for (sequence, packet) in (0..2).zip(&packets) {
            assert_eq!((player.frame().bytes, player.frame().padding), (&packet[..], 0));
            assert!(player.sent(sent(sequence), Moment::START).is_none());
        }
        assert_eq!(player.frame().bytes, [3; 77]);
        assert_eq!(player.sent(sent(2), Moment::START).expect("it was the last").range().packets, 3);
        assert_eq!(player.frame().bytes, [0; 0], "there is no more");
    }

    #[test]
    fn packets_that_cannot_be_played_are_no_announcement() {
        let made = |packets: &[Vec<u8>], ticks| Clip::of_packets(Codec::Opus, packets, ticks, [0; 32], "de").err();

        assert_eq!(made(&[vec![1; ANNOUNCEMENT_PACKET_BYTES]], 960), None);
        let bad = [(vec![], 960), (vec![vec![]], 960), (vec![vec![1; ANNOUNCEMENT_PACKET_BYTES + 1]], 960), (vec![vec![1]], 0)];
        for (packets, ticks) in bad {
            assert_eq!(made(&packets, ticks), Some(EmptyClip));
        }
        assert_eq!(Clip::new(Codec::Opus, &[1; 160], [0; 32], "de").err(), Some(EmptyClip));
    }

    #[test]
    fn linear_samples_are_cut_so_that_they_fit_into_a_datagram() {
        let frame = |rate, channels, ptime_ms| {
            let clip = Clip::new(Codec::L16 { rate, channels }, &vec![1; 400_000], [7; 32], "de").expect("it has sound");
            let player = Player::new(Leg::Pbx, clip, ptime_ms);
            (player.frame().bytes.len(), player.ticks())
        };

        assert_eq!(frame(8000, 1, 20), (320, 160));
        assert_eq!(frame(16_000, 1, 60), (960, 480));
        assert_eq!(frame(44_100, 1, 20), (882, 441));
        assert_eq!(frame(44_100, 2, 20), (880, 220));
        assert_eq!(frame(48_000, 2, 60), (720, 180));
    }

    #[test]
    fn what_is_printed_says_what_it_is_and_holds_no_sound() {
        assert_eq!(format!("{:?}", clip(8000)), "Clip(PCMA, de, 1s)");
        assert_eq!(EmptyClip.to_string(), "the announcement has no sound");
    }

    #[test]
    fn a_clip_of_8000_bytes_lasts_a_second() {
        assert_eq!(clip(8000).duration(), Duration::from_secs(1));
    }
}
