//! Pacing of an announcement: one frame at its time, never two at once, and a witness only for what was sent.

use crate::consent::{Played, Player, SentAs};
use crate::media::Sent;
use crate::media::chance::Chance;
use crate::media::splice::Splice;
use crate::media::verdict::{Place, Talkspurt};
use crate::time::Moment;
use crate::wire::rtp;

/// An announcement on its way to one party.
#[derive(Debug)]
pub(super) struct Injection {
    player: Player,
    payload_type: u8,
    /// When to send the next frame.
    due: Moment,
}

/// What came of a frame.
#[derive(Debug)]
pub(super) enum Step {
    /// It was sent; the next one is due then.
    Next(Moment),
    /// It was the last, and was sent.
    Played(Played),
    /// It was not sent: the announcement has a hole, and says nothing as a whole.
    NotSent,
}

impl Injection {
    pub(super) const fn new(player: Player, payload_type: u8, due: Moment) -> Self {
        Self { player, payload_type, due }
    }

    pub(super) const fn due(&self) -> Moment {
        self.due
    }

    pub(super) const fn payload_type(&self) -> u8 {
        self.payload_type
    }

    pub(super) const fn player(&self) -> &Player {
        &self.player
    }

    /// Sends the frame that is due.
    pub(super) fn send_frame(
        &mut self,
        splice: &mut Splice,
        chance: &mut Chance,
        now: Moment,
        send: impl FnOnce(&[u8]) -> Sent,
    ) -> Step {
        let place = splice.place(chance, self.due);
        let mut buffer = [0; LONGEST];
        match send(self.packet(&place, &mut buffer)) {
            Sent::Failed => Step::NotSent,
            Sent::Out => {
                let as_ = SentAs { ssrc: place.ssrc, sequence: place.sequence, timestamp: place.timestamp };
                splice.sent_ours(as_, self.player.ptime(), now);
                match self.player.sent(as_, now) {
                    Some(played) => Step::Played(played),
                    None => Step::Next(self.next_due(now)),
                }
            }
        }
    }

    /// One frame after this one was due, so that delays do not add up; from now on where a whole frame was missed, since a burst would
    /// help nobody.
    fn next_due(&mut self, now: Moment) -> Moment {
        let next = self.due + self.player.ptime();
        self.due = if now < next { next } else { now + self.player.ptime() };
        self.due
    }

    fn packet<'b>(&self, place: &Place, buffer: &'b mut [u8; LONGEST]) -> &'b [u8] {
        let frame = self.player.frame();
        let length = HEADER + frame.bytes.len() + frame.padding;
        let packet = buffer.get_mut(..length).expect("a frame lasts 60 ms at most: see `Player::new`");
        let (header, payload) = packet.split_first_chunk_mut::<HEADER>().expect("the length counts a header");
        let marker = place.talkspurt == Talkspurt::Begins;
        rtp::write_header(header, self.payload_type, marker, place.sequence, place.timestamp, place.ssrc);
        let (sound, rest) = payload.split_at_mut(frame.bytes.len());
        sound.copy_from_slice(frame.bytes);
        rest.fill(self.player.clip().codec().silence());
        packet
    }
}

/// Bytes of an RTP header without CSRC and extension (RFC 3550 §5.1).
const HEADER: usize = 12;

/// 60 ms of 64 kbit/s and a header.
const LONGEST: usize = HEADER + 60 * crate::codec::Codec::BYTES_PER_MS;
