//! One side of a bridge: where its party is, what it may send, and the stream towards it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::{Codec, Coding};
use crate::consent::Cut;
use crate::limits::{MEDIA_CLOCKS, MEDIA_MISORDER, MEDIA_PACKET_BYTES};
use crate::media::inject::Injection;
use crate::media::latch::Latch;
use crate::media::quality::Quality;
use crate::media::secure::{Protocol, Secure};
use crate::media::splice::Splice;
use crate::media::srtp::Refused;
use crate::media::{Announcing, Latching, LegTallies, PairIds, Payload, PayloadFormat, PortId, Remote, Srtp};
use crate::sound::g711::{decode_alaw, decode_ulaw};
use crate::sound::inband::{Heard, Listener};
use crate::time::Moment;
use crate::wire::rtp::{self, Rtp};
use crate::wire::{dtmf, red};

/// One side of a bridge.
#[derive(Debug)]
pub(super) struct Side {
    /// The sockets that face the party.
    pub(super) ports: PairIds,
    /// Where the party is; before the first description nothing is taken from anybody.
    described: Option<Described>,
    /// Where its media comes from.
    pub(super) latch: Latch,
    /// How it is secured, where it is: then nothing is taken that was not opened, and nothing sent that was not sealed.
    pub(super) secure: Option<Box<Secure>>,
    /// What packets from the party mean.
    pub(super) meanings: Meanings,
    /// Listens for keys, where the party can press them by their tones alone.
    pub(super) listener: Option<Box<Listener>>,
    /// Source and number of the newest packet that was listened to.
    listened: Option<(u32, u16)>,
    /// The newest key that the party pressed.
    pressed: Option<Press>,
    /// When a press of the party was told last.
    told: Option<Moment>,
    /// The stream towards the party.
    pub(super) splice: Splice,
    /// What is played to the party.
    pub(super) injection: Option<Injection>,
    /// What is to be played once it is known where the party is, or then at the latest.
    pub(super) waiting: Option<(Moment, Announcing)>,
    /// What came from the party.
    pub(super) tallies: LegTallies,
    /// How good it is.
    pub(super) quality: Quality,
}

#[derive(Debug)]
struct Described {
    remote: Remote,
    /// Where media goes; nowhere while the party is on hold.
    takes: Option<SocketAddr>,
}

/// Which of the two sockets of a side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Channel {
    Rtp,
    Rtcp,
}

/// A press of a key, as RFC 4733 §2.1 tells one from the next.
#[derive(Clone, Copy, Debug)]
struct Press {
    ssrc: u32,
    timestamp: u32,
}

impl Side {
    pub(super) const fn new(ports: PairIds, latching: Latching, tallies: LegTallies) -> Self {
        Self {
            ports,
            described: None,
            latch: Latch::new(latching),
            secure: None,
            meanings: Meanings::NONE,
            listener: None,
            listened: None,
            pressed: None,
            told: None,
            splice: Splice::new(),
            injection: None,
            waiting: None,
            tallies,
            quality: Quality::new(),
        }
    }

    pub(super) fn describe(&mut self, remote: Remote, now: Moment) {
        self.latch.describe(&remote, now);
        self.described = Some(Described { remote, takes: None });
        self.follow();
    }

    /// Takes the keys that were agreed, and says whether what goes to the party must be a new stream from here on: it is sealed under
    /// another key, or somebody else may read it, who knows nothing of the stream that was.
    pub(super) fn secure(&mut self, srtp: Option<Box<Srtp>>, is_elsewhere: bool, now: Moment) -> bool {
        match (&mut self.secure, srtp) {
            (secure, None) => {
                *secure = None;
                false
            }
            (Some(secure), Some(srtp)) => secure.succeed(*srtp, now) || is_elsewhere,
            (secure @ None, Some(srtp)) => {
                *secure = Some(Box::new(Secure::new(*srtp)));
                true
            }
        }
    }

    /// Opens in place what came on a socket, and returns how long it is then; plain RTP is left as it is.
    pub(super) fn open(&mut self, channel: Channel, packet: &mut [u8], now: Moment) -> Result<usize, Refused> {
        let Some(secure) = &mut self.secure else { return Ok(packet.len()) };
        // The payload type stands in the open (RFC 5761 §4).
        let protocol = if channel == Channel::Rtcp || rtp::is_rtcp(packet) { Protocol::Rtcp } else { Protocol::Rtp };
        secure.open(protocol, packet, now)
    }

    /// Sends media to the party where it is by now.
    pub(super) fn follow(&mut self) {
        if let Some(Described { remote, takes }) = &mut self.described {
            *takes = self.latch.rtp_to().filter(|_| remote.receives && is_somewhere(remote.rtp));
        }
    }

    pub(super) fn remote(&self) -> Option<&Remote> {
        self.described.as_ref().map(|described| &described.remote)
    }

    /// Whether a packet on this socket from this source is the party's.
    pub(super) fn is_from_party(&self, channel: Channel, source: &SocketAddr) -> bool {
        match channel {
            Channel::Rtp => self.latch.is_rtp_from(source),
            Channel::Rtcp => self.latch.is_rtcp_from(source),
        }
    }

    /// Returns a packet of the RTP socket where it is RTP that was negotiated: what a source can be learned by.
    pub(super) fn negotiated<'p>(&self, packet: &'p [u8]) -> Option<Rtp<'p>> {
        let is_short = packet.len() <= MEDIA_PACKET_BYTES;
        let rtp = Rtp::parse(packet).filter(|_| is_short && !rtp::is_rtcp(packet))?;
        (self.meanings.of_type(rtp.payload_type()) != Meaning::Unlisted).then_some(rtp)
    }

    /// Whether RTCP is expected among the party's RTP.
    pub(super) fn has_rtcp_mux(&self) -> bool {
        self.described.as_ref().is_some_and(|described| described.remote.rtcp_mux)
    }

    /// Where media to the party goes, if it takes any.
    pub(super) fn takes(&self) -> Option<&SocketAddr> {
        self.described.as_ref().and_then(|described| described.takes.as_ref())
    }

    /// From which socket and where to RTCP to the party goes; on hold as well (RFC 3264 §8.4).
    pub(super) fn takes_rtcp(&self) -> Option<(PortId, SocketAddr)> {
        let is_muxed = self.has_rtcp_mux();
        let (port, to) = if is_muxed { (self.ports.rtp, self.latch.rtp_to()) } else { (self.ports.rtcp, self.latch.rtcp_to()) };
        to.filter(|&to| is_somewhere(to)).map(|to| (port, to))
    }

    /// Whether an announcement in this coding can be played to the party, or what hinders it.
    pub(super) fn can_hear(&self, coding: Coding, payload_type: u8) -> Result<SocketAddr, Cut> {
        let to = *self.takes().ok_or(Cut::Held)?;
        let payload = match coding {
            Coding::Ours(codec) => Payload::Speech(codec),
            Coding::Foreign(foreign) => Payload::Other(foreign),
        };
        let wanted = PayloadFormat { payload_type, payload };
        let can = self.remote().is_some_and(|remote| remote.formats.contains(&wanted));
        can.then_some(to).ok_or(Cut::Codec)
    }

    /// Returns the key that this telephone-event, the payload of the packet or one of them, is the first of.
    pub(super) fn press(&mut self, rtp: &Rtp<'_>, payload: &[u8], now: Moment) -> Option<crate::digit::Digit> {
        let digit = dtmf::parse_rfc4733(payload)?.digit;
        let press = Press { ssrc: rtp.ssrc(), timestamp: rtp.timestamp() };
        let is_new = self.pressed.is_none_or(|last| {
            press.ssrc != last.ssrc || !(0..=LATE_PRESS).contains(&last.timestamp.wrapping_sub(press.timestamp))
        });
        if !is_new {
            return None;
        }
        self.pressed = Some(press);
        // A flood of presses is no finger: what comes too soon after another is passed on, and told to nobody.
        let is_too_soon = self.told.is_some_and(|told| now.since(told) < PRESS_EVERY);
        if is_too_soon {
            return None;
        }
        self.told = Some(now);
        Some(digit)
    }

    /// Takes what both parties' payload types mean from here on, and listens for the tones of keys where neither takes telephone-events.
    pub(super) fn mean(&mut self, meanings: Meanings) {
        if meanings.has_tones() {
            self.listener.get_or_insert_default();
        } else {
            self.listener = None;
        }
        self.meanings = meanings;
    }

    /// Listens to a packet of sound, and returns what was heard; nothing where keys come as events, or the codec is one that is not listened to.
    pub(super) fn hear(&mut self, rtp: &Rtp<'_>) -> Option<Heard> {
        let law = self.meanings.law_of(rtp.payload_type())?;
        let listener = self.listener.as_mut()?;
        let (ssrc, sequence) = (rtp.ssrc(), rtp.sequence());
        let is_late = |&(of, newest): &(u32, u16)| {
            of == ssrc && (-MEDIA_MISORDER..=0).contains(&sequence.wrapping_sub(newest).cast_signed())
        };
        if self.listened.as_ref().is_some_and(is_late) {
            return Some(Heard { key: None, is_tone: listener.is_tone() });
        }
        self.listened = Some((ssrc, sequence));
        let payload = rtp.payload().iter();
        Some(match law {
            Law::Mu => listener.hear(payload.map(|&code| decode_ulaw(code))),
            Law::A => listener.hear(payload.map(|&code| decode_alaw(code))),
        })
    }
}

/// The shortest time between two presses that are told: the shortest tone and pause that exchanges know (ITU-T Q.24: 40 ms each).
const PRESS_EVERY: Duration = Duration::from_millis(80);

/// How far behind the newest press a late packet of an earlier one may lie: 10 s at 8 kHz. Further back, the clock was set anew.
const LATE_PRESS: u32 = 80_000;

/// What packets from one party mean by their payload types.
///
/// What the other party said it takes goes first, for that is what the sender must go by (RFC 3264 §6.1); then what the sender itself
/// takes, since many send as they receive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Meanings {
    audio: u128,
    events: u128,
    /// The types whose clock is the 8 kHz of telephony, and the clocks of the others, in Hz.
    at_8_khz: u128,
    clocks: Vec<(u8, u32)>,
    /// The types of G.711, each of its law, where no type is of telephone-events: keys come as tones then.
    tones: [u128; 2],
    /// The types of packets with redundancy.
    redundant: u128,
}

/// The two laws of G.711.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Law {
    Mu,
    A,
}

/// What one packet means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// Sound, comfort noise included: may be kept.
    Audio,
    /// A key: told and never kept.
    TelephoneEvent,
    /// Described by nobody, or as a key by one and as sound by the other: not kept.
    Unlisted,
}

impl Meanings {
    pub(super) const NONE: Self = Self { audio: 0, events: 0, at_8_khz: 0, clocks: Vec::new(), tones: [0, 0], redundant: 0 };

    pub(super) fn of(receiver: Option<&Remote>, sender: Option<&Remote>) -> Self {
        let (mut audio, mut events, mut any_event, mut at_8_khz) = (0, 0, 0, 0);
        let (mut mu, mut a, mut redundant) = (0, 0, 0);
        let mut clocks = Vec::new();
        for remote in [receiver, sender].into_iter().flatten() {
            let listed = audio | events;
            for format in &remote.formats {
                let bit = bit(format.payload_type);
                let fresh = bit & !listed;
                let clock = match format.payload {
                    Payload::TelephoneEvent => {
                        events |= fresh;
                        any_event |= bit;
                        continue;
                    }
                    Payload::Speech(codec) => codec.clock(),
                    Payload::Redundant { clock } => {
                        redundant |= fresh;
                        clock
                    }
                    Payload::Other(foreign) => foreign.clock(),
                };
                audio |= fresh;
                if clock == 8000 {
                    mu |= if format.payload == Payload::Speech(Codec::Pcmu) { fresh } else { 0 };
                    a |= if format.payload == Payload::Speech(Codec::Pcma) { fresh } else { 0 };
                    at_8_khz |= fresh;
                } else if fresh != 0 && MEDIA_CLOCKS.contains(&clock) {
                    clocks.push((format.payload_type & 0x7f, clock));
                }
            }
        }
        let comfort_noise = bit(COMFORT_NOISE) & !events;
        at_8_khz |= comfort_noise & !audio;
        audio |= comfort_noise;
        let tones = if any_event == 0 { [mu, a] } else { [0, 0] };
        Self { audio: audio & !any_event, events: events & !audio, at_8_khz, clocks, tones, redundant }
    }

    /// Returns whether keys may come as tones that can be heard.
    const fn has_tones(&self) -> bool {
        let [mu, a] = self.tones;
        mu | a != 0
    }

    /// Returns whether a key is among the payloads of a packet with redundancy, and the newest of them where that is a key.
    pub(super) fn redundant_key<'p>(&self, rtp: &Rtp<'p>) -> Option<Option<&'p [u8]>> {
        if self.redundant & bit(rtp.payload_type()) == 0 {
            return None;
        }
        let is_key = |payload_type| self.of_type(payload_type) == Meaning::TelephoneEvent;
        let newest = red::newest(rtp.payload()).filter(|&(payload_type, _)| is_key(payload_type));
        red::types(rtp.payload()).any(is_key).then(|| newest.map(|(_, payload)| payload))
    }

    /// Returns the law of a payload type in which keys may come as tones.
    const fn law_of(&self, payload_type: u8) -> Option<Law> {
        let ([mu, a], bit) = (self.tones, bit(payload_type));
        if mu & bit != 0 {
            Some(Law::Mu)
        } else if a & bit != 0 {
            Some(Law::A)
        } else {
            None
        }
    }

    /// Returns the clock of a payload type of sound, in Hz.
    #[inline]
    pub(super) fn clock_of(&self, payload_type: u8) -> Option<u32> {
        if self.at_8_khz & bit(payload_type) != 0 {
            return Some(8000);
        }
        self.clocks.iter().find(|(of, _)| *of == payload_type).map(|&(_, clock)| clock)
    }

    pub(super) const fn of_type(&self, payload_type: u8) -> Meaning {
        let bit = bit(payload_type);
        if self.audio & bit != 0 {
            Meaning::Audio
        } else if self.events & bit != 0 {
            Meaning::TelephoneEvent
        } else {
            Meaning::Unlisted
        }
    }
}

/// Static, and sent by many that do not list it (RFC 3389 §4).
const COMFORT_NOISE: u8 = 13;

const fn bit(payload_type: u8) -> u128 {
    // A payload type has 7 bits; the eighth is the marker.
    1 << (payload_type & 0x7f)
}

/// Whether anything can be sent there: RFC 2543's hold is the unspecified address, a refused `m=` line is port 0.
const fn is_somewhere(address: SocketAddr) -> bool {
    !address.ip().is_unspecified() && address.port() != 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::wire::rtp::Header;

    #[test]
    fn nobody_is_the_party_before_it_is_described() {
        let mut side = side();
        assert!(!side.is_from_party(Channel::Rtp, &at("192.0.2.1:4000")));

        side.describe(remote("192.0.2.1:4000"), Moment::START);

        assert!(side.is_from_party(Channel::Rtp, &at("192.0.2.1:4000")));
        assert!(side.is_from_party(Channel::Rtcp, &at("192.0.2.1:4001")));
        for stranger in ["192.0.2.1:4001", "192.0.2.1:4002", "192.0.2.2:4000", "[2001:db8::1]:4000"] {
            assert!(!side.is_from_party(Channel::Rtp, &at(stranger)), "{stranger}");
        }
    }

    #[test]
    fn rtcp_goes_where_the_description_says() {
        let mut side = side();
        side.describe(remote("192.0.2.1:4000"), Moment::START);
        assert_eq!(side.takes_rtcp(), Some((PortId(2), at("192.0.2.1:4001"))));

        side.describe(Remote { rtcp: Some(at("192.0.2.9:7")), ..remote("192.0.2.1:4000") }, Moment::START);
        assert_eq!(side.takes_rtcp(), Some((PortId(2), at("192.0.2.9:7"))));
        assert!(side.is_from_party(Channel::Rtcp, &at("192.0.2.9:7")));

        side.describe(Remote { rtcp_mux: true, ..remote("192.0.2.1:4000") }, Moment::START);
        assert_eq!(side.takes_rtcp(), Some((PortId(1), at("192.0.2.1:4000"))));
        assert!(!side.is_from_party(Channel::Rtcp, &at("192.0.2.1:4001")));
    }

    #[test]
    fn a_party_on_hold_takes_no_media_but_rtcp() {
        let mut side = side();
        side.describe(Remote { receives: false, ..remote("192.0.2.1:4000") }, Moment::START);
        assert_eq!((side.takes(), side.takes_rtcp().is_some()), (None, true));

        side.describe(remote("0.0.0.0:4000"), Moment::START);
        assert_eq!((side.takes(), side.takes_rtcp()), (None, None));

        side.describe(remote("192.0.2.1:0"), Moment::START);
        assert_eq!(side.takes(), None);
    }

    #[test]
    fn an_announcement_needs_a_party_that_takes_its_codec() {
        let mut side = side();
        assert_eq!(side.can_hear(Coding::Ours(Codec::Pcma), 8), Err(Cut::Held));

        side.describe(remote("192.0.2.1:4000"), Moment::START);

        assert_eq!(side.can_hear(Coding::Ours(Codec::Pcma), 8), Ok(at("192.0.2.1:4000")));
        assert_eq!(side.can_hear(Coding::Ours(Codec::Pcmu), 8), Err(Cut::Codec));
        assert_eq!(side.can_hear(Coding::Ours(Codec::Pcma), 101), Err(Cut::Codec));
    }

    #[test]
    fn a_key_is_told_once_for_each_press() {
        let mut side = side();
        let mut press = |timestamp, payload: &[u8]| {
            let header = Header { payload_type: 101, marker: false, sequence: 0, timestamp, ssrc: 1 };
            let packet = [&header.to_bytes(), payload].concat();
            let now = Moment::from_millis(u64::from(timestamp) / 8);
            let rtp = Rtp::parse(&packet).unwrap();
            side.press(&rtp, rtp.payload(), now).map(|digit| digit.event())
        };

        assert_eq!(press(1000, &[1, 10, 0, 160]), Some(1));
        assert_eq!(press(1000, &[1, 10, 1, 64]), None);
        assert_eq!(press(1000, &[1, 0x8a, 1, 64]), None);
        assert_eq!(press(1800, &[1, 10, 0, 160]), Some(1), "the same key, pressed again");
        assert_eq!(press(1000, &[1, 0x8a, 1, 64]), None, "the end of the first press comes late");
        assert_eq!(press(2600, &[16, 10, 0, 160]), None, "flash is no key");
        assert_eq!(press(3400, &[2]), None, "cut");
        assert_eq!(press(3_000_000_000, &[2, 10, 0, 160]), Some(2), "the clock was set anew");
    }

    #[test]
    fn what_the_receiver_said_goes_before_what_the_sender_said() {
        let receiver = Remote { formats: vec![event(96), speech(8)], ..remote("192.0.2.1:4000") };
        let sender = Remote { formats: vec![other(96), event(101), event(97)], ..remote("192.0.2.2:4000") };
        let meanings = Meanings::of(Some(&receiver), Some(&sender));

        assert_eq!(meanings.of_type(8), Meaning::Audio);
        assert_eq!(meanings.of_type(13), Meaning::Audio, "comfort noise needs no listing");
        assert_eq!(meanings.of_type(96), Meaning::TelephoneEvent);
        assert_eq!(meanings.of_type(101), Meaning::TelephoneEvent);
        assert_eq!(meanings.of_type(0), Meaning::Unlisted);

        assert_eq!((meanings.clock_of(8), meanings.clock_of(13), meanings.clock_of(101)), (Some(8000), Some(8000), None));

        let meanings = Meanings::of(Some(&sender), Some(&receiver));
        assert_eq!((meanings.clock_of(96), meanings.clock_of(8)), (Some(48_000), Some(8000)));
        assert_eq!(meanings.of_type(96), Meaning::Unlisted, "what may be a key is not kept, and what may be sound is no key");
    }

    fn side() -> Side {
        Side::new(PairIds { rtp: PortId(1), rtcp: PortId(2) }, Latching::default(), LegTallies::default())
    }

    fn remote(rtp: &str) -> Remote {
        let formats = vec![speech(8), event(101)];
        Remote { rtp: at(rtp), rtcp: None, rtcp_mux: false, receives: true, formats, ptime_ms: 20 }
    }

    fn speech(payload_type: u8) -> PayloadFormat {
        PayloadFormat { payload_type, payload: Payload::Speech(Codec::Pcma) }
    }

    fn event(payload_type: u8) -> PayloadFormat {
        PayloadFormat { payload_type, payload: Payload::TelephoneEvent }
    }

    fn other(payload_type: u8) -> PayloadFormat {
        PayloadFormat { payload_type, payload: Payload::Other(crate::codec::Foreign::of("x", 48_000, 1, "")) }
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }
}
