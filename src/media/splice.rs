//! Continuity: whatever is put into a stream or left out of it, its receiver sees one source, the next number, and a steady clock.

use std::time::Duration;

use crate::consent::SentAs;
use crate::limits::{MEDIA_CLOCKS, MEDIA_MISORDER};
use crate::media::chance::Chance;
use crate::media::verdict::{Place, Talkspurt};
use crate::time::Moment;
use crate::wire::rtp::Rtp;

/// The stream towards one party.
///
/// ```text
///           begin                  end               a packet comes
///   Plain ─────────▶ Announcing ─────────▶ Resuming ────────────────▶ Carried ─┐
///     ▲                │  ▲  ▲               │                         │  ▲    │ a new source
///     └────────────────┘  │  └───── begin ───┘                         │  └────┘
///       end, and the      └──────────────────────── begin ─────────────┘
///       receiver saw nothing
/// ```
///
/// `Plain` passes packets byte for byte and lets the source change; it only looks on, so that an announcement can continue what it
/// saw. Once something was put in, the receiver's source is kept for good and packets are carried under offsets.
///
/// A stream that is sealed is carried from its first packet on: see [`Splice::carry`].
#[derive(Debug)]
pub(super) struct Splice {
    state: State,
    /// The source that the receiver is to see, where a stream is to be carried from its first packet on.
    carry: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Plain { seen: Option<Track> },
    Announcing(Interrupted),
    Resuming(Interrupted),
    Carried { source: Track, offset: Offset },
}

/// A stream in which something of ours was put, or something of its source left out.
#[derive(Clone, Copy, Debug)]
struct Interrupted {
    /// What the receiver saw last.
    sent: Option<Track>,
    /// What the source sent last, heard or not.
    source: Option<Track>,
    /// Under which offset the source was heard before, if it was not heard as it came.
    before: Option<Offset>,
}

/// The newest packet of a stream.
#[derive(Clone, Copy, Debug)]
struct Track {
    ssrc: u32,
    /// The sequence number with its wraps counted from the first packet on, as RFC 3550 §A.1 counts them.
    sequence: u32,
    /// The newest timestamp; that of a telephone-event is its beginning.
    timestamp: u32,
    /// Clock ticks of one packet.
    step: u32,
    /// Clock ticks of a second.
    clock: Hz,
    /// When the newest timestamp was first seen.
    at: Moment,
}

/// Ticks of an RTP clock in a second, at least one in a millisecond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hz(u32);

/// What lies between a source's own numbers and those that the receiver sees. Wraps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offset {
    /// The source that it is for.
    pub(super) source: u32,
    /// The source that the receiver sees.
    pub(super) ssrc: u32,
    /// Added to extended sequence numbers.
    pub(super) sequence: u32,
    /// Added to timestamps.
    pub(super) timestamp: u32,
    /// The extended sequence number that the receiver had seen when it began: nothing goes at or below it.
    floor: u32,
}

/// What becomes of a packet of the other party.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    /// It goes on byte for byte.
    AsItCame,
    /// It goes on in this place.
    At(Place),
    /// Not at all: an announcement is in its place.
    Replaced,
    /// Not at all: the stream has gone on without it.
    Late,
}

/// What kind of packet it is, as far as continuity goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Its timestamp is the time of its sound, on this clock; on that of the sound before it where none is known.
    Media(Option<Hz>),
    /// Its timestamp is the beginning of the event, however long ago, on the clock of the sound around it (RFC 4733 §2.1).
    TelephoneEvent,
}

impl Splice {
    pub(super) const fn new() -> Self {
        Self { state: State::Plain { seen: None }, carry: None }
    }

    /// Begins a new stream, whose source is `ssrc`, and which is carried from its first packet on.
    ///
    /// So it is with SRTP. No two packets may be sealed under one number, whatever the source does with its own (RFC 3711 §9.1); the forks
    /// of one offer have one key, and differ by this source alone; and the first number must be one whose loss does not make the receiver
    /// miss a rollover: below 2^15 (RFC 3711 §3.3.1).
    pub(super) const fn carry(&mut self, ssrc: u32) {
        self.carry = Some(ssrc);
        self.state = State::Plain { seen: None };
    }

    /// Returns the source that is ours where the stream is carried from its first packet on: the one that its receiver sees, or would.
    pub(super) const fn source(&self) -> Option<u32> {
        let Some(carry) = self.carry else { return None };
        match &self.state {
            State::Announcing(Interrupted { sent: Some(sent), .. }) | State::Resuming(Interrupted { sent: Some(sent), .. }) => {
                Some(sent.ssrc)
            }
            State::Plain { .. } | State::Announcing(_) | State::Resuming(_) => Some(carry),
            State::Carried { offset, .. } => Some(offset.ssrc),
        }
    }

    /// Decides on a packet of the other party.
    pub(super) fn pass(&mut self, rtp: &Rtp<'_>, kind: Kind, now: Moment) -> Pass {
        match &mut self.state {
            State::Plain { seen: Some(seen) } => {
                seen.follow(rtp, kind, now);
                Pass::AsItCame
            }
            State::Plain { seen: None } if self.carry.is_some() => self.set_out(rtp, kind, now),
            State::Plain { seen } => {
                *seen = Some(Track::begin(rtp, kind, None, now));
                Pass::AsItCame
            }
            State::Announcing(interrupted) => {
                interrupted.look_on(rtp, kind, now);
                Pass::Replaced
            }
            State::Resuming(interrupted) => {
                let interrupted = *interrupted;
                self.resume(interrupted, rtp, kind, now)
            }
            State::Carried { source, offset } => match source.order_of(rtp) {
                Order::Next(sequence) | Order::Earlier(sequence) => {
                    let carried = sequence.wrapping_add(offset.sequence);
                    if !is_after(carried, offset.floor) {
                        return Pass::Late;
                    }
                    source.follow(rtp, kind, now);
                    Pass::At(Place {
                        ssrc: offset.ssrc,
                        sequence: low_half(carried),
                        timestamp: rtp.timestamp().wrapping_add(offset.timestamp),
                        talkspurt: Talkspurt::AsItCame,
                    })
                }
                Order::Anew => {
                    let interrupted =
                        Interrupted { sent: Some(source.carried(offset)), source: Some(*source), before: Some(*offset) };
                    self.resume(interrupted, rtp, kind, now)
                }
            },
        }
    }

    /// Leaves the other party out from here on; returns when the first of our frames is due.
    pub(super) fn begin(&mut self, now: Moment) -> Moment {
        let interrupted = match self.state {
            State::Plain { seen } => Interrupted { sent: seen, source: seen, before: None },
            State::Announcing(interrupted) | State::Resuming(interrupted) => interrupted,
            State::Carried { source, offset } => {
                Interrupted { sent: Some(source.carried(&offset)), source: Some(source), before: Some(offset) }
            }
        };
        self.state = State::Announcing(interrupted);
        interrupted.sent.map_or(now, |sent| now.max(sent.at + sent.clock.time_of(sent.step)))
    }

    /// Returns the place of our next frame, which is due at `due`, and whether it begins a talkspurt.
    pub(super) fn place(&self, chance: &mut Chance, due: Moment) -> Place {
        match &self.state {
            State::Announcing(Interrupted { sent: Some(sent), .. }) => sent.place_after(due),
            // The first that the receiver sees: all three are random (RFC 3550 §5.1).
            State::Announcing(Interrupted { sent: None, .. }) => Place {
                ssrc: chance.draw_u32(),
                sequence: low_half(chance.draw_u32()) & FIRST_SEQUENCE,
                timestamp: chance.draw_u32(),
                talkspurt: Talkspurt::Begins,
            },
            State::Plain { .. } | State::Resuming(_) | State::Carried { .. } => {
                unreachable!("a frame is placed between `begin` and `end` only")
            }
        }
    }

    /// Takes note that a frame of ours, which has `step` ticks of its clock, was sent.
    pub(super) fn sent_ours(&mut self, as_: SentAs, step: u32, clock: Hz, now: Moment) {
        match &mut self.state {
            State::Announcing(interrupted) => {
                let sequence = match interrupted.sent {
                    Some(sent) => sent.sequence.wrapping_add(1),
                    None => u32::from(as_.sequence),
                };
                interrupted.sent = Some(Track { ssrc: as_.ssrc, sequence, timestamp: as_.timestamp, step, clock, at: now });
            }
            State::Plain { .. } | State::Resuming(_) | State::Carried { .. } => {
                unreachable!("a frame is sent between `begin` and `end` only")
            }
        }
    }

    /// Lets the other party in again.
    pub(super) fn end(&mut self) {
        self.state = match self.state {
            State::Announcing(Interrupted { sent: None, .. }) => State::Plain { seen: None },
            State::Announcing(interrupted) => State::Resuming(interrupted),
            state @ (State::Plain { .. } | State::Resuming(_) | State::Carried { .. }) => state,
        };
    }

    /// Returns what lies between the source's numbers and the receiver's, for the RTCP that speaks of them; nothing where they are the
    /// same.
    pub(super) const fn offset(&self) -> Option<&Offset> {
        match &self.state {
            State::Plain { .. } => None,
            State::Announcing(interrupted) | State::Resuming(interrupted) => interrupted.before.as_ref(),
            State::Carried { offset, .. } => Some(offset),
        }
    }

    /// Carries this packet as the first that the receiver sees.
    fn set_out(&mut self, rtp: &Rtp<'_>, kind: Kind, now: Moment) -> Pass {
        let source = Track::begin(rtp, kind, None, now);
        let sequence = rtp.sequence() & FIRST_SEQUENCE;
        let first = u32::from(sequence);
        let ssrc = self.carry.unwrap_or(source.ssrc);
        let offset = Offset {
            source: source.ssrc,
            ssrc,
            sequence: first.wrapping_sub(source.sequence),
            timestamp: 0,
            // What came before it and comes late would have a number from before the first.
            floor: first.wrapping_sub(1),
        };
        self.state = State::Carried { source, offset };
        Pass::At(Place { ssrc, sequence, timestamp: rtp.timestamp(), talkspurt: Talkspurt::AsItCame })
    }

    /// Carries on with this packet as the next that the receiver sees.
    fn resume(&mut self, interrupted: Interrupted, rtp: &Rtp<'_>, kind: Kind, now: Moment) -> Pass {
        let Interrupted { sent, source, before: _ } = interrupted;
        let Some(sent) = sent else { unreachable!("only a stream that its receiver saw is resumed: see `end`") };
        let sequence = match source.map(|source| (source, source.order_of(rtp))) {
            Some((_, Order::Earlier(_))) => return Pass::Late,
            // The rest of a key that was pressed under the announcement: its beginning was not heard, and its timestamp is old.
            Some((source, Order::Next(_))) if kind == Kind::TelephoneEvent && !is_after(rtp.timestamp(), source.timestamp) => {
                return Pass::Replaced;
            }
            Some((_, Order::Next(sequence))) => sequence,
            Some((_, Order::Anew)) | None => u32::from(rtp.sequence()),
        };
        let place = sent.place_after(now);
        let offset = Offset {
            source: rtp.ssrc(),
            ssrc: sent.ssrc,
            sequence: sent.sequence.wrapping_add(1).wrapping_sub(sequence),
            timestamp: place.timestamp.wrapping_sub(rtp.timestamp()),
            floor: sent.sequence,
        };
        let before = source.unwrap_or(sent);
        self.state = State::Carried { source: Track { sequence, ..Track::begin(rtp, kind, Some(before), now) }, offset };
        Pass::At(place)
    }
}

impl Interrupted {
    fn look_on(&mut self, rtp: &Rtp<'_>, kind: Kind, now: Moment) {
        match &mut self.source {
            Some(source) => source.follow(rtp, kind, now),
            None => self.source = Some(Track::begin(rtp, kind, None, now)),
        }
    }
}

/// Where a packet stands to the newest of its stream, with its extended sequence number.
enum Order {
    /// After it.
    Next(u32),
    /// Not after it: late, or a duplicate.
    Earlier(u32),
    /// Another source, or the same one counting from elsewhere.
    Anew,
}

impl Track {
    /// The stream that begins with this packet, after one whose packets were as long as these will be, if there was one.
    fn begin(rtp: &Rtp<'_>, kind: Kind, before: Option<Self>, now: Moment) -> Self {
        let clock = match kind {
            Kind::Media(clock) => clock,
            Kind::TelephoneEvent => None,
        };
        let clock = clock.or_else(|| before.map(|before| before.clock)).unwrap_or(Hz::TELEPHONE);
        let step = before.filter(|before| before.clock == clock).map_or_else(|| clock.typical_step(), |before| before.step);
        Self { ssrc: rtp.ssrc(), sequence: u32::from(rtp.sequence()), timestamp: rtp.timestamp(), step, clock, at: now }
    }

    fn order_of(&self, rtp: &Rtp<'_>) -> Order {
        let ahead = rtp.sequence().wrapping_sub(low_half(self.sequence)).cast_signed();
        let sequence = self.sequence.wrapping_add_signed(i32::from(ahead));
        if rtp.ssrc() != self.ssrc || ahead < -MEDIA_MISORDER {
            Order::Anew
        } else if ahead > 0 {
            Order::Next(sequence)
        } else {
            Order::Earlier(sequence)
        }
    }

    fn follow(&mut self, rtp: &Rtp<'_>, kind: Kind, now: Moment) {
        match self.order_of(rtp) {
            Order::Next(sequence) => {
                if let Kind::Media(Some(clock)) = kind
                    && clock != self.clock
                {
                    (self.clock, self.step) = (clock, clock.typical_step());
                }
                let step = rtp.timestamp().wrapping_sub(self.timestamp);
                if step.cast_signed() > 0 {
                    if sequence == self.sequence.wrapping_add(1) && self.clock.is_a_packet(step) {
                        self.step = step;
                    }
                    self.timestamp = rtp.timestamp();
                    self.at = now;
                }
                self.sequence = sequence;
            }
            Order::Earlier(_) => {}
            Order::Anew => *self = Self::begin(rtp, kind, Some(*self), now),
        }
    }

    /// This stream as its receiver sees it.
    const fn carried(&self, offset: &Offset) -> Self {
        Self {
            ssrc: offset.ssrc,
            sequence: self.sequence.wrapping_add(offset.sequence),
            timestamp: self.timestamp.wrapping_add(offset.timestamp),
            step: self.step,
            clock: self.clock,
            at: self.at,
        }
    }

    /// The place of a packet that goes out at `at` as the next one: one step on, or as many whole steps as time has passed.
    fn place_after(&self, at: Moment) -> Place {
        let micros = u64::try_from(self.clock.time_of(self.step).as_micros()).unwrap_or(u64::MAX).max(1);
        let passed = u64::try_from(at.since(self.at).as_micros()).unwrap_or(u64::MAX) / micros;
        let steps = u32::try_from(passed).unwrap_or(u32::MAX).max(1);
        Place {
            ssrc: self.ssrc,
            sequence: low_half(self.sequence).wrapping_add(1),
            timestamp: self.timestamp.wrapping_add(self.step.wrapping_mul(steps)),
            talkspurt: if steps > 1 { Talkspurt::Begins } else { Talkspurt::AsItCame },
        }
    }
}

/// What a first sequence number may be: below 2^15 (RFC 3711 §3.3.1).
const FIRST_SEQUENCE: u16 = 0x7fff;

impl Hz {
    /// The clock of G.711 and G.722, and of what says nothing of its own.
    pub(super) const TELEPHONE: Self = Self(8000);

    /// The clock of so many ticks a second; nothing where no sound has such a clock.
    pub(super) fn new(clock: u32) -> Option<Self> {
        MEDIA_CLOCKS.contains(&clock).then_some(Self(clock))
    }

    /// 20 ms, which is what a packet lasts unless two packets in a row show something else.
    const fn typical_step(self) -> u32 {
        self.0 / 50
    }

    /// 5 to 60 ms: what a packet may last. A longer step is a silence.
    fn is_a_packet(self, step: u32) -> bool {
        (self.0 / 200..=self.0 / 50 * 3).contains(&step)
    }

    fn time_of(self, ticks: u32) -> Duration {
        Duration::from_micros(u64::from(ticks) * 1_000_000 / u64::from(self.0.max(1)))
    }
}

/// Whether `a` comes after `b` on a circle of 2^32 (RFC 1982 §3.2).
const fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

#[expect(clippy::cast_possible_truncation, reason = "the low half of an extended sequence number is what the packet carries")]
const fn low_half(sequence: u32) -> u16 {
    sequence as u16
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::wire::rtp::Header;

    #[test]
    fn without_an_announcement_every_packet_passes_as_it_came() {
        let mut stream = Stream::new();

        assert_eq!(stream.media(0, 1, 65_535, 0), Pass::AsItCame);
        assert_eq!(stream.media(20, 1, 0, 160), Pass::AsItCame);
        assert_eq!(stream.media(21, 1, 65_535, 0), Pass::AsItCame, "a duplicate is the receiver's affair");
        assert_eq!(stream.media(40, 2, 7, 7), Pass::AsItCame, "and so is a new source");
    }

    #[test]
    fn our_frames_go_on_from_what_was_heard() {
        let mut stream = Stream::new();
        stream.media(0, 1, 65_534, 1000);
        stream.media(20, 1, 65_535, 1160);

        assert_eq!(stream.splice.begin(ms(25)), ms(40), "one packet's length after the last");

        assert_eq!(stream.ours(40), place(1, 0, 1320));
        assert_eq!(stream.ours(60), place(1, 1, 1480));
    }

    #[test]
    fn after_a_pause_our_first_frame_is_due_at_once_and_begins_a_talkspurt() {
        let mut stream = Stream::new();
        stream.media(0, 1, 9, 0);

        assert_eq!(stream.splice.begin(ms(1010)), ms(1010));

        // 1010 ms are 50 whole packets.
        assert_eq!(stream.ours(1010), Place { talkspurt: Talkspurt::Begins, ..place(1, 10, 50 * 160) });
    }

    #[test]
    fn packets_of_30_ms_are_followed_30_ms_later() {
        let mut stream = Stream::new();
        stream.media(0, 1, 1, 0);
        stream.media(30, 1, 2, 240);

        assert_eq!(stream.splice.begin(ms(30)), ms(60));

        assert_eq!(stream.ours(60), place(1, 3, 480));
    }

    #[test]
    fn packets_on_a_clock_of_48_khz_are_followed_by_frames_of_ours_and_go_on_after_them() {
        let opus = Kind::Media(Hz::new(48_000));
        let mut stream = Stream::new();
        stream.pass(opus, 0, 1, 1, 0);
        stream.pass(opus, 10, 1, 2, 480);

        assert_eq!(stream.splice.begin(ms(12)), ms(20), "10 ms after the last");
        assert_eq!(stream.ours_on(20, 960, 48_000), place(1, 3, 960));
        assert_eq!(stream.ours_on(40, 960, 48_000), place(1, 4, 1920));
        stream.splice.end();

        assert_eq!(stream.pass(opus, 60, 1, 6, 2400), Pass::At(place(1, 5, 2880)));
        assert_eq!(stream.pass(opus, 70, 1, 7, 2880), Pass::At(place(1, 6, 3360)));
    }

    #[test]
    fn frames_of_ours_may_have_another_clock_than_the_packets_around_them() {
        let mut stream = Stream::new();
        stream.media(0, 1, 1, 0);
        stream.media(20, 1, 2, 160);

        assert_eq!(stream.splice.begin(ms(25)), ms(40));
        assert_eq!(stream.ours_on(40, 960, 48_000), place(1, 3, 320));
        assert_eq!(stream.ours_on(60, 960, 48_000), place(1, 4, 1280));
        stream.splice.end();

        assert_eq!(stream.media(80, 1, 5, 640), Pass::At(place(1, 5, 2240)));
        assert_eq!(stream.media(100, 1, 6, 800), Pass::At(place(1, 6, 2400)));
    }

    #[test]
    fn a_key_amid_sound_of_48_khz_does_not_change_its_clock() {
        let opus = Kind::Media(Hz::new(48_000));
        let mut stream = Stream::new();
        stream.pass(opus, 0, 1, 1, 0);
        stream.pass(opus, 20, 1, 2, 960);
        stream.pass(Kind::TelephoneEvent, 40, 1, 3, 1920);

        assert_eq!(stream.splice.begin(ms(41)), ms(60));
    }

    #[test]
    fn what_has_no_known_clock_goes_on_with_that_of_the_sound_before_it() {
        let opus = Kind::Media(Hz::new(48_000));
        let mut stream = Stream::new();
        stream.pass(opus, 0, 1, 1, 0);
        stream.pass(opus, 10, 1, 2, 480);
        stream.pass(Kind::Media(None), 20, 1, 3, 960);

        assert_eq!(stream.splice.begin(ms(21)), ms(30));
        assert_eq!([0, 999, 192_001, u32::MAX].map(Hz::new), [None; 4]);
    }

    #[test]
    fn a_stream_of_our_own_is_random_and_the_other_party_continues_it() {
        let mut stream = Stream::new();
        assert_eq!(stream.splice.begin(ms(5)), ms(5));

        let first = stream.ours(5);
        let second = stream.ours(25);
        assert_eq!(first.talkspurt, Talkspurt::Begins);
        assert_eq!(
            (second.ssrc, second.sequence, second.timestamp),
            (first.ssrc, first.sequence.wrapping_add(1), first.timestamp.wrapping_add(160))
        );
        stream.splice.end();

        let third = Place { talkspurt: Talkspurt::AsItCame, ..after(second, 1) };
        assert_eq!(stream.media(45, 77, 500, 8), Pass::At(third));
        assert_eq!(stream.media(65, 77, 501, 168), Pass::At(after(third, 1)));
    }

    #[test]
    fn the_other_party_goes_on_from_our_last_frame() {
        let mut stream = Stream::new();
        stream.announced_to();

        assert_eq!(stream.media(80, 1, 5, 500), Pass::At(place(1, 4, 480)));
        assert_eq!(stream.media(100, 1, 6, 660), Pass::At(place(1, 5, 640)));
        assert_eq!(stream.media(160, 1, 9, 1140), Pass::At(place(1, 8, 1120)), "a loss stays a loss");
        assert_eq!(stream.media(161, 1, 8, 980), Pass::At(place(1, 7, 960)), "a late packet finds its place");
    }

    #[test]
    fn a_late_packet_from_before_the_end_does_not_go_behind_our_last_frame() {
        let mut stream = Stream::new();
        stream.announced_to();

        assert_eq!(stream.media(61, 1, 4, 320), Pass::Late, "it was replaced, and comes again");
        assert_eq!(stream.media(80, 1, 6, 660), Pass::At(place(1, 4, 480)));
        assert_eq!(stream.media(81, 1, 5, 500), Pass::Late, "it would take the number of our last frame");
        assert_eq!(stream.media(100, 1, 7, 820), Pass::At(place(1, 5, 640)));
    }

    #[test]
    fn the_other_party_that_is_silent_for_a_while_goes_on_after_that_while() {
        let mut stream = Stream::new();
        stream.announced_to();

        // Our last frame went out at 60 ms: 240 ms are 12 packets.
        let late = Place { talkspurt: Talkspurt::Begins, ..place(1, 4, 320 + 12 * 160) };
        assert_eq!(stream.media(300, 1, 17, 99_999), Pass::At(late));
    }

    #[test]
    fn once_spliced_a_new_source_is_heard_as_the_same_stream() {
        let mut stream = Stream::new();
        stream.announced_to();
        stream.media(80, 1, 5, 500);

        assert_eq!(stream.media(100, 2, 60_000, 7), Pass::At(place(1, 5, 640)));
        assert_eq!(stream.media(120, 2, 60_001, 167), Pass::At(place(1, 6, 800)));
    }

    #[test]
    fn a_source_that_counts_anew_is_carried_on() {
        let mut stream = Stream::new();
        stream.announced_to();
        stream.media(80, 1, 1005, 500);

        assert_eq!(stream.media(100, 1, 3, 7), Pass::At(place(1, 5, 640)), "1002 behind is no late packet");
    }

    #[test]
    fn a_key_keeps_the_timestamp_of_its_beginning() {
        let mut stream = Stream::new();
        stream.announced_to();
        stream.media(80, 1, 5, 500);

        assert_eq!(stream.event(100, 1, 6, 660), Pass::At(place(1, 5, 640)));
        assert_eq!(stream.event(120, 1, 7, 660), Pass::At(place(1, 6, 640)));
        assert_eq!(stream.media(140, 1, 8, 980), Pass::At(place(1, 7, 960)));
    }

    #[test]
    fn a_key_that_was_pressed_under_the_announcement_is_not_heard_by_its_end() {
        let mut stream = Stream::new();
        stream.media(0, 1, 1, 0);
        stream.splice.begin(ms(0));
        stream.event(20, 1, 2, 160);
        stream.ours(20);
        stream.splice.end();

        assert_eq!(stream.event(40, 1, 3, 160), Pass::Replaced);
        assert_eq!(stream.media(60, 1, 4, 480), Pass::At(Place { talkspurt: Talkspurt::Begins, ..place(1, 3, 480) }));
    }

    #[test]
    fn a_second_announcement_goes_on_in_the_stream_of_the_first() {
        let mut stream = Stream::new();
        stream.announced_to();
        stream.media(80, 1, 5, 500);

        assert_eq!(stream.splice.begin(ms(85)), ms(100));
        assert_eq!(stream.ours(100), place(1, 5, 640));
        stream.splice.end();

        assert_eq!(stream.media(120, 1, 7, 820), Pass::At(place(1, 6, 800)));
    }

    #[test]
    fn an_announcement_that_begins_anew_goes_on_where_its_frames_had_come_to() {
        let mut stream = Stream::new();
        stream.announced_to();

        assert_eq!(stream.splice.begin(ms(65)), ms(80), "before the other party was heard again");
        assert_eq!(stream.ours(80), place(1, 4, 480));
        assert_eq!(stream.splice.begin(ms(85)), ms(100), "and in the midst of its own");
        assert_eq!(stream.ours(100), place(1, 5, 640));
        stream.splice.end();

        assert_eq!(stream.media(120, 1, 7, 820), Pass::At(place(1, 6, 800)));
    }

    #[test]
    fn an_announcement_that_ends_before_its_first_frame_to_a_new_receiver_leaves_no_trace() {
        let mut stream = Stream::new();
        stream.splice.begin(ms(0));
        stream.splice.end();

        assert_eq!(stream.media(20, 5, 5, 5), Pass::AsItCame);
        assert_eq!(stream.splice.offset(), None);
    }

    #[test]
    fn the_offset_is_what_was_added() {
        let mut stream = Stream::new();
        stream.announced_to();
        assert_eq!(stream.splice.offset(), None, "the source was heard as it came");

        stream.media(80, 1, 6, 400);

        let offset = *stream.splice.offset().unwrap();
        assert_eq!((offset.source, offset.ssrc), (1, 1));
        assert_eq!((offset.sequence, offset.timestamp), (4_u32.wrapping_sub(6), 80));
    }

    /// A stream under test, with the packets of its source.
    struct Stream {
        splice: Splice,
        chance: Chance,
    }

    impl Stream {
        fn new() -> Self {
            Self { splice: Splice::new(), chance: Chance::new(1) }
        }

        /// Source 1 is heard with packet 1 at 0 ms, and two frames of ours are 2 and 3 at 40 and 60 ms, in place of its 3 and 4.
        fn announced_to(&mut self) {
            self.media(0, 1, 0, 0_u32.wrapping_sub(160));
            self.media(20, 1, 1, 0);
            self.splice.begin(ms(20));
            assert_eq!(self.ours(40), place(1, 2, 160));
            assert_eq!(self.media(41, 1, 3, 160), Pass::Replaced);
            assert_eq!(self.ours(60), place(1, 3, 320));
            assert_eq!(self.media(60, 1, 4, 320), Pass::Replaced);
            self.splice.end();
        }

        fn media(&mut self, at_ms: u64, ssrc: u32, sequence: u16, timestamp: u32) -> Pass {
            self.pass(Kind::Media(Some(Hz::TELEPHONE)), at_ms, ssrc, sequence, timestamp)
        }

        fn event(&mut self, at_ms: u64, ssrc: u32, sequence: u16, timestamp: u32) -> Pass {
            self.pass(Kind::TelephoneEvent, at_ms, ssrc, sequence, timestamp)
        }

        fn pass(&mut self, kind: Kind, at_ms: u64, ssrc: u32, sequence: u16, timestamp: u32) -> Pass {
            let packet = Header { payload_type: 8, marker: false, sequence, timestamp, ssrc }.to_bytes();
            self.splice.pass(&Rtp::parse(&packet).unwrap(), kind, ms(at_ms))
        }

        fn ours(&mut self, due_ms: u64) -> Place {
            self.ours_on(due_ms, 160, 8000)
        }

        fn ours_on(&mut self, due_ms: u64, step: u32, clock: u32) -> Place {
            let place = self.splice.place(&mut self.chance, ms(due_ms));
            let as_ = SentAs { ssrc: place.ssrc, sequence: place.sequence, timestamp: place.timestamp };
            self.splice.sent_ours(as_, step, Hz::new(clock).unwrap(), ms(due_ms));
            place
        }
    }

    fn place(ssrc: u32, sequence: u16, timestamp: u32) -> Place {
        Place { ssrc, sequence, timestamp, talkspurt: Talkspurt::AsItCame }
    }

    fn after(place: Place, packets: u16) -> Place {
        Place {
            sequence: place.sequence.wrapping_add(packets),
            timestamp: place.timestamp.wrapping_add(u32::from(packets) * 160),
            ..place
        }
    }

    const fn ms(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }
}
