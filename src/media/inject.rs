//! Pacing of an announcement: one frame at its time, never two at once, and a witness only for what was sent.

use crate::consent::{Played, Player, SentAs};
use crate::limits::ANNOUNCEMENT_PACKET_BYTES;
use crate::media::Sent;
use crate::media::chance::Chance;
use crate::media::splice::{Hz, Splice};
use crate::media::verdict::{Place, Talkspurt};
use crate::time::Moment;
use crate::wire::rtp::{self, Header};

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
                let clock = Hz::new(self.player.clip().coding().clock()).unwrap_or(Hz::TELEPHONE);
                splice.sent_ours(as_, self.player.ticks(), clock, now);
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
        let length = Header::LEN + frame.bytes.len() + frame.padding;
        let packet = buffer.get_mut(..length).expect("no frame is longer: see `Player::frame`");
        let (header, payload) = packet.split_first_chunk_mut().expect("the length counts a header");
        let &Place { ssrc, sequence, timestamp, talkspurt } = place;
        let (payload_type, marker) = (self.payload_type, talkspurt == Talkspurt::Begins);
        rtp::write_header(header, Header { payload_type, marker, sequence, timestamp, ssrc });
        let (sound, rest) = payload.split_at_mut(frame.bytes.len());
        sound.copy_from_slice(frame.bytes);
        rest.fill(self.player.clip().silence());
        packet
    }
}

/// The longest packet of an announcement.
pub(super) const LONGEST: usize = Header::LEN + ANNOUNCEMENT_PACKET_BYTES;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::consent::Clip;
    use crate::ids::Leg;
    use crate::wire::rtp::Rtp;

    #[test]
    fn a_frame_is_a_packet_of_the_payload_type_and_the_last_is_filled_with_silence() {
        let mut played = Playing::new(170, 20);

        assert!(matches!(played.frame(ms(0)), Step::Next(_)));
        assert!(matches!(played.frame(ms(20)), Step::Played(_)));

        let [first, last] = &played.sent[..] else { panic!("two frames") };
        let (first, last) = (Rtp::parse(first).unwrap(), Rtp::parse(last).unwrap());
        assert_eq!((first.payload_type(), first.marker(), first.payload()), (8, true, &[1; 160][..]));
        assert_eq!((last.marker(), &last.payload()[..10], &last.payload()[10..]), (false, &[1; 10][..], &[0xd5; 150][..]));
    }

    #[test]
    fn delays_do_not_add_up() {
        let mut played = Playing::new(8000, 20);

        assert_eq!(played.next_due(ms(0)), ms(20));
        assert_eq!(played.next_due(ms(27)), ms(40));
        assert_eq!(played.next_due(ms(40)), ms(60));
    }

    #[test]
    fn a_missed_frame_shifts_what_follows() {
        let mut played = Playing::new(8000, 20);

        assert_eq!(played.next_due(ms(0)), ms(20));
        assert_eq!(played.next_due(ms(145)), ms(165));

        let timestamps: Vec<_> = played.sent.iter().map(|packet| Rtp::parse(packet).unwrap().timestamp()).collect();
        assert_eq!(timestamps[1].wrapping_sub(timestamps[0]), 160, "what is said has no hole");
    }

    #[test]
    fn a_frame_that_was_not_sent_is_no_part_of_what_was_played() {
        let mut played = Playing::new(320, 20);
        played.frame(ms(0));
        played.outcome = Sent::Failed;

        assert!(matches!(played.frame(ms(20)), Step::NotSent));
    }

    #[test]
    fn the_longest_frame_fits() {
        let packets = [vec![1; ANNOUNCEMENT_PACKET_BYTES], vec![2; 5]];
        let mut played = Playing::of(Clip::of_packets(Codec::Opus, &packets, 960, [0; 32], "de").unwrap(), 60);

        assert_eq!(played.next_due(ms(0)), ms(20));
        assert!(matches!(played.frame(ms(20)), Step::Played(_)));

        assert_eq!(played.sent[0].len(), LONGEST);
        let [first, last] = &played.sent[..] else { panic!("two frames") };
        let (first, last) = (Rtp::parse(first).unwrap(), Rtp::parse(last).unwrap());
        assert_eq!(last.timestamp().wrapping_sub(first.timestamp()), 960, "20 ms on a clock of 48 kHz");
        assert_eq!(last.payload(), [2; 5]);
    }

    struct Playing {
        injection: Injection,
        splice: Splice,
        chance: Chance,
        outcome: Sent,
        sent: Vec<Vec<u8>>,
    }

    impl Playing {
        fn new(bytes: usize, ptime_ms: u8) -> Self {
            Self::of(Clip::new(Codec::Pcma, &vec![1; bytes], [0; 32], "de").unwrap(), ptime_ms)
        }

        fn of(clip: Clip, ptime_ms: u8) -> Self {
            let mut splice = Splice::new();
            let due = splice.begin(ms(0));
            let injection = Injection::new(Player::new(Leg::Pbx, clip, ptime_ms), 8, due);
            Self { injection, splice, chance: Chance::new(1), outcome: Sent::Out, sent: vec![] }
        }

        fn frame(&mut self, now: Moment) -> Step {
            let (sent, outcome) = (&mut self.sent, self.outcome);
            self.injection.send_frame(&mut self.splice, &mut self.chance, now, |packet| {
                sent.push(packet.to_vec());
                outcome
            })
        }

        fn next_due(&mut self, now: Moment) -> Moment {
            match self.frame(now) {
                Step::Next(due) => due,
                step @ (Step::Played(_) | Step::NotSent) => panic!("{step:?}"),
            }
        }
    }

    const fn ms(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }
}
