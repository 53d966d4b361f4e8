//! A bridge of the media plane, and the stream towards one of its parties.

use std::time::Duration;

use mitschnitt::codec::{Codec, Foreign};
use mitschnitt::consent::{Clip, Consent, Cut, Fact, Mode, Output, Permit, Played, Player, SentAs};
use mitschnitt::ids::{CallId, Leg};
use mitschnitt::media::{
    Announcing, BridgeId, Bridging, Content, Event, LegTallies, Order, PairIds, Payload, PayloadFormat, Plane, PlaneTallies,
    PortId, Remote, Sent,
};
use mitschnitt::time::Moment;
use mitschnitt::wire::rtp::{Header, Rtp};

use crate::grid::{self, ALL, Grid, Machine, Rows};
use crate::parties::letter;
use crate::terms::{facts, terms};

use Input::{
    Announce, Build, Close, Describe, Frame, Junk, Key, NewSource, OldVoice, Record, Refused, Rtcp, Stop, Stranger, Suspend,
    Unrecord, Voice, VoiceAgain,
};
use Leg::{Pbx as P, Trunk as T};

#[test]
fn a_bridge_is_as_in_its_table() {
    const IDLE: &[Input] = &[Build, Describe(P, Place::Here), Describe(T, Place::Here), Voice(P), Voice(T)];
    let idle = |more: &[Input]| [IDLE, more].concat();
    let ways: Vec<(&str, Vec<Input>)> = vec![
        ("no bridge", vec![]),
        ("nobody described", vec![Build]),
        ("P described", vec![Build, Describe(P, Place::Here)]),
        ("idle", idle(&[])),
        ("announcing to T", idle(&[Announce(T)])),
        ("announcing, 1 frame out", idle(&[Announce(T), Frame])),
        ("announced", idle(&[Announce(T), Frame, Frame])),
        ("T held", idle(&[Describe(T, Place::Held)])),
        ("recording", idle(&[Record])),
        ("recording, announcing to T", idle(&[Record, Announce(T)])),
        ("recording, T held", idle(&[Record, Describe(T, Place::Held)])),
        ("suspended", idle(&[Record, Suspend])),
    ];
    let states: Vec<(&str, &[Input])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();
    let grid = Grid {
        title: "a bridge between P and T; what becomes of a packet, and what the plane tells",
        new: &|| Lab::new(),
        inputs: &[
            &[
                ("P voice", Voice(P)),
                ("T voice", Voice(T)),
                ("P voice from before the grant", OldVoice(P)),
                ("P key", Key(P)),
                ("P RTCP", Rtcp(P)),
                ("junk from P", Junk(P)),
                ("a stranger to P's port", Stranger(P)),
            ],
            &[
                ("build", Build),
                ("T at its place", Describe(T, Place::Here)),
                ("T elsewhere", Describe(T, Place::Elsewhere)),
                ("T held", Describe(T, Place::Held)),
                ("T without the codec", Describe(T, Place::OtherCodec)),
                ("close", Close),
            ],
            &[
                ("announce to T", Announce(T)),
                ("frame due", Frame),
                ("frame refused", Refused),
                ("stop T", Stop(T)),
                ("record", Record),
                ("unrecord", Unrecord),
                ("suspend", Suspend),
            ],
        ],
        states: &states,
        probes: &[Voice(P), Voice(T), Frame, Announce(T), Suspend, Describe(T, Place::Here), Describe(P, Place::Here)],
        depth: 2,
        views: ALL,
        rows: Rows::Some,
    };
    let stream = stream_towards_one_party();
    grid::check("media", &[grid.table(), stream]);
}

fn stream_towards_one_party() -> String {
    const IDLE: &[Input] = &[Build, Describe(P, Place::Here), Describe(T, Place::Here)];
    let idle = |more: &[Input]| [IDLE, more].concat();
    let ways: Vec<(&str, Vec<Input>)> = vec![
        ("plain, nothing heard", idle(&[])),
        ("plain", idle(&[Voice(P)])),
        ("announcing, nothing heard", idle(&[Announce(T)])),
        ("announcing", idle(&[Voice(P), Announce(T), Frame])),
        ("resuming", idle(&[Voice(P), Announce(T), Frame, Frame])),
        ("resuming, source unknown", idle(&[Announce(T), Frame, Frame])),
        ("carried", idle(&[Voice(P), Announce(T), Frame, Frame, Voice(P)])),
    ];
    let states: Vec<(&str, &[Input])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();
    Grid {
        title: "the stream towards T: P's packets before, under and after an announcement",
        new: &|| Lab::new(),
        inputs: &[&[
            ("next packet", Voice(P)),
            ("the same again", VoiceAgain(P)),
            ("new source", NewSource(P)),
            ("key", Key(P)),
            ("announce", Announce(T)),
            ("frame due", Frame),
            ("frame refused", Refused),
            ("stop", Stop(T)),
        ]],
        states: &states,
        probes: &[Voice(P), VoiceAgain(P), Frame, Key(P), Announce(T), Stop(T)],
        depth: 3,
        views: ALL,
        rows: Rows::Some,
    }
    .table()
}

#[derive(Clone, Copy)]
enum Input {
    /// The bridge is built.
    Build,
    /// Signalling says where the party is.
    Describe(Leg, Place),
    /// The next packet of voice from the party, 20 ms after the last.
    Voice(Leg),
    /// The last one again.
    VoiceAgain(Leg),
    /// The party sends from another source from here on.
    NewSource(Leg),
    /// One that came before the grant.
    OldVoice(Leg),
    /// A telephone-event.
    Key(Leg),
    /// A receiver report.
    Rtcp(Leg),
    /// Bytes that are no RTP.
    Junk(Leg),
    /// A packet of voice from nobody we know, to the port that faces the party.
    Stranger(Leg),
    /// An announcement of two frames.
    Announce(Leg),
    /// The next frame's time came.
    Frame,
    /// The same, and the kernel refuses it.
    Refused,
    /// The announcement is stopped.
    Stop(Leg),
    /// Recording begins, or goes on with the permit that was handed back.
    Record,
    /// Recording ends.
    Unrecord,
    /// Recording is suspended: the permit is handed back.
    Suspend,
    /// The bridge is taken down.
    Close,
}

/// Where a party wants its media.
#[derive(Clone, Copy)]
pub enum Place {
    /// At its first address.
    Here,
    /// At another.
    Elsewhere,
    /// Nowhere for now.
    Held,
    /// At its first, in a codec that nothing can be announced in.
    OtherCodec,
}

struct Lab {
    plane: Plane,
    now: Moment,
    /// The next sequence number of each party, and its source.
    next: [u16; 2],
    ssrc: [u32; 2],
    granted: Option<Moment>,
    suspended: Option<Permit>,
    described: [Option<Place>; 2],
}

impl Lab {
    fn new() -> Self {
        let now = Moment::from_millis(1000);
        Self {
            plane: Plane::new(1),
            now,
            next: [100, 200],
            ssrc: [7, 8],
            granted: None,
            suspended: None,
            described: [None, None],
        }
    }

    /// The header of the party's next packet.
    fn header(&mut self, leg: Leg, payload_type: u8) -> Header {
        if leg == P {
            // The trunk's party speaks at the same times.
            self.now = self.now + Duration::from_millis(20);
        }
        let sequence = &mut self.next[leg.index()];
        *sequence += 1;
        self.last(leg, payload_type)
    }

    fn last(&self, leg: Leg, payload_type: u8) -> Header {
        let sequence = self.next[leg.index()];
        Header { payload_type, marker: false, sequence, timestamp: u32::from(sequence) * 160, ssrc: self.ssrc[leg.index()] }
    }

    fn voice(&mut self, leg: Leg) -> Vec<u8> {
        packet(self.header(leg, 8), &[0x55; 160])
    }

    fn receive(&mut self, leg: Leg, channel: Channel, from: &str, bytes: &[u8], came: Moment) -> Vec<String> {
        let before = self.counted();
        let ports = PORTS[leg.index()];
        let port = if channel == Channel::Rtp { ports.rtp } else { ports.rtcp };
        let mut bytes = bytes.to_vec();
        let sent = bytes.clone();
        let mut came_in = bytes.clone();
        let verdict = self.plane.packet(port, from.parse().unwrap(), &mut came_in, came);
        let mut words = Vec::new();
        if let Some((_, covered)) = &verdict.keep {
            assert_eq!(covered.packet(), sent, "a packet is kept as it came");
            words.push("keep".to_owned());
        }
        if let Some(forward) = verdict.forward {
            let to = if PORTS[0].rtp == forward.port || PORTS[0].rtcp == forward.port { P } else { T };
            let mut how = "";
            if let Some(rewrite) = forward.rewrite {
                rewrite.apply(&mut bytes);
                let is_marked = Rtp::parse(&bytes).is_some_and(|rtp| rtp.marker());
                how = if is_marked { " carried, marked" } else { " carried" };
            }
            words.push(format!("→{}{how}", letter(to)));
        }
        words.extend(self.counted_since(before));
        words
    }

    fn wake(&mut self, outcome: Sent) -> Option<Vec<String>> {
        self.now = self.plane.deadline()?.max(self.now);
        let mut words = Vec::new();
        self.plane.wake(self.now, &mut |port, _, packet| {
            let to = if PORTS[0].rtp == port { P } else { T };
            let marked = if Rtp::parse(packet).is_some_and(|rtp| rtp.marker()) { ", marked" } else { "" };
            if outcome == Sent::Out {
                words.push(format!("frame→{}{marked}", letter(to)));
            }
            outcome
        });
        // What is left of an announcement that was stopped comes to nothing.
        let is_due = outcome == Sent::Failed || !words.is_empty();
        is_due.then_some(words)
    }

    fn counted(&self) -> ([LegTallies; 2], PlaneTallies) {
        (self.plane.carried(ID).legs, self.plane.tallies())
    }

    /// Names under which a packet was counted that did not go on.
    fn counted_since(&self, (legs, plane): ([LegTallies; 2], PlaneTallies)) -> Vec<String> {
        let (legs_now, plane_now) = self.counted();
        let mut words = Vec::new();
        for (was, is) in legs.into_iter().zip(legs_now) {
            let named = [
                ("replaced", was.replaced, is.replaced),
                ("held", was.held, is.held),
                ("late", was.late, is.late),
                ("malformed", was.malformed, is.malformed),
            ];
            words.extend(named.into_iter().filter(|(_, was, is)| is > was).map(|(name, ..)| name.to_owned()));
        }
        if plane_now.strangers > plane.strangers {
            words.push("stranger".into());
        }
        if plane_now.unowned > plane.unowned {
            words.push("unowned".into());
        }
        words
    }

    fn order(&mut self, order: Order) -> Vec<String> {
        let before = self.plane.tallies().misdirected;
        self.plane.order(order, self.now);
        let is_misdirected = self.plane.tallies().misdirected > before;
        is_misdirected.then(|| "misdirected".to_owned()).into_iter().collect()
    }
}

impl Machine for Lab {
    type Input = Input;

    fn feed(&mut self, input: Input) -> Option<Vec<String>> {
        let mut words = match input {
            Build => self.order(Order::Bridge(Box::new(Bridging {
                id: ID,
                slot: 0,
                ports: PORTS,
                content: Content::Audio,
                latching: Default::default(),
            }))),
            Describe(leg, place) => {
                self.described[leg.index()] = Some(place);
                self.order(Order::Describe { id: ID, leg, remote: remote(leg, place), srtp: None })
            }
            Voice(leg) => {
                let voice = self.voice(leg);
                self.receive(leg, Channel::Rtp, at(leg), &voice, self.now)
            }
            VoiceAgain(leg) => {
                let voice = packet(self.last(leg, 8), &[0x55; 160]);
                self.receive(leg, Channel::Rtp, at(leg), &voice, self.now)
            }
            NewSource(leg) => {
                self.ssrc[leg.index()] += 100;
                self.next[leg.index()] += 10_000;
                let voice = self.voice(leg);
                self.receive(leg, Channel::Rtp, at(leg), &voice, self.now)
            }
            OldVoice(leg) => {
                let came = Moment::from_micros(self.granted?.as_micros() - 1);
                let voice = self.voice(leg);
                self.receive(leg, Channel::Rtp, at(leg), &voice, came)
            }
            Key(leg) => {
                let key = packet(self.header(leg, 101), &[1, 10, 0, 160]);
                // Longer than the shortest time between two presses that are told.
                self.now = self.now + Duration::from_millis(100);
                self.receive(leg, Channel::Rtp, at(leg), &key, self.now)
            }
            Rtcp(leg) => {
                let report = [0x80, 201, 0, 1, 0, 0, 0, 7];
                self.receive(leg, Channel::Rtcp, rtcp_at(leg), &report, self.now)
            }
            Junk(leg) => self.receive(leg, Channel::Rtp, at(leg), b"no RTP at all", self.now),
            Stranger(leg) => {
                let voice = packet(self.last(leg, 8), &[0x55; 160]);
                self.receive(leg, Channel::Rtp, "233.252.0.1:4000", &voice, self.now)
            }
            Announce(leg) => {
                let clip = Clip::new(Codec::Pcma, &[0x2a; 320], [0; 32], "de").unwrap();
                self.order(Order::Announce(Announcing { id: ID, leg, clip, payload_type: 8 }))
            }
            Frame => self.wake(Sent::Out)?,
            Refused => self.wake(Sent::Failed)?,
            Stop(leg) => self.order(Order::StopAnnouncement { id: ID, leg }),
            Record => {
                let permit = self.suspended.take().unwrap_or_else(|| permit(self.now));
                self.granted = Some(permit.granted());
                self.order(Order::Record { id: ID, permit })
            }
            Unrecord => self.order(Order::Unrecord { id: ID }),
            Suspend => {
                self.suspended = self.plane.suspend(ID).or_else(|| self.suspended.take());
                Vec::new()
            }
            Close => {
                self.described = [None, None];
                self.order(Order::Close { id: ID })
            }
        };
        while let Some(event) = self.plane.poll() {
            words.push(match event {
                Event::Played { played, .. } => format!("played({})", letter(played.leg())),
                Event::Cut { leg, cut, .. } => format!("cut({} {})", letter(leg), cut_word(cut)),
                Event::Moved { leg, .. } => format!("moved({})", letter(leg)),
                Event::Digit { leg, digit, .. } => format!("digit({} {})", letter(leg), digit.event()),
                Event::Dead { .. } | Event::OneWay { .. } => unreachable!("nobody watches"),
                Event::Closed { .. } => "closed".into(),
            });
        }
        Some(words)
    }

    fn shows(&self) -> String {
        if self.plane.tallies().bridges == 0 {
            return "no bridge".into();
        }
        let mut shows = vec!["bridge".to_owned()];
        for leg in Leg::BOTH {
            match self.described[leg.index()] {
                None | Some(Place::Here) => {}
                Some(Place::Elsewhere) => shows.push(format!("{} elsewhere", letter(leg))),
                Some(Place::Held) => shows.push(format!("{} held", letter(leg))),
                Some(Place::OtherCodec) => shows.push(format!("{} G.729", letter(leg))),
            }
        }
        if self.suspended.is_some() {
            shows.push("suspended".into());
        }
        shows.join(", ")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Rtp,
    Rtcp,
}

/// The bridge.
pub const ID: BridgeId = BridgeId { call: CallId::from_u64(1), dialog: 0, line: 0 };
/// Its sockets.
pub const PORTS: [PairIds; 2] = [PairIds { rtp: PortId(0), rtcp: PortId(1) }, PairIds { rtp: PortId(2), rtcp: PortId(3) }];

/// Where a party's media comes from.
pub const fn at(leg: Leg) -> &'static str {
    match leg {
        P => "192.0.2.10:4000",
        T => "198.51.100.20:6000",
    }
}

const fn rtcp_at(leg: Leg) -> &'static str {
    match leg {
        P => "192.0.2.10:4001",
        T => "198.51.100.20:6001",
    }
}

/// A party's description.
pub fn remote(leg: Leg, place: Place) -> Remote {
    let rtp = match place {
        Place::Elsewhere => "198.51.100.21:6000",
        Place::Here | Place::Held | Place::OtherCodec => at(leg),
    };
    let speech = match place {
        Place::OtherCodec => PayloadFormat { payload_type: 18, payload: Payload::Other(Foreign::of("G729", 8000, 1, "")) },
        Place::Here | Place::Elsewhere | Place::Held => PayloadFormat { payload_type: 8, payload: Payload::Speech(Codec::Pcma) },
    };
    let events = PayloadFormat { payload_type: 101, payload: Payload::TelephoneEvent };
    Remote {
        rtp: rtp.parse().unwrap(),
        rtcp: None,
        rtcp_mux: false,
        receives: !matches!(place, Place::Held),
        formats: vec![speech, events],
        ptime_ms: 20,
    }
}

/// A packet of RTP.
pub fn packet(header: Header, payload: &[u8]) -> Vec<u8> {
    [&header.to_bytes()[..], payload].concat()
}

const fn cut_word(cut: Cut) -> &'static str {
    match cut {
        Cut::Codec => "codec",
        Cut::Held => "held",
        Cut::Moved => "moved",
        Cut::NotSent => "not sent",
    }
}

/// A permit for the call of the bridge, as of this moment.
pub fn permit(now: Moment) -> Permit {
    let mut consent = Consent::new(terms(Mode::Announce), facts(ID.call));
    let played = |leg| -> Played {
        let clip = Clip::new(Codec::Pcma, &[1; 160], [0; 32], "de").unwrap();
        Player::new(leg, clip, 20).sent(SentAs { ssrc: 1, sequence: 2, timestamp: 3 }, now).expect("one frame")
    };
    assert!(consent.handle(Fact::Played(played(P)), now).is_none());
    match consent.handle(Fact::Played(played(T)), now) {
        Some(Output::Begin(permit)) => permit,
        output => panic!("both were told: {output:?}"),
    }
}
