//! A lane through its door, and what it recorded opened again: what is kept around a pause and around a BYE, and what the file says of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

#[allow(dead_code, reason = "each file of tests uses its part")]
#[path = "support/terms.rs"]
mod terms;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mitschnitt::call::Suspension;
use mitschnitt::codec::Codec;
use mitschnitt::consent::{self, Clip, Consent, Evidence, Fact, Mode, Permit, Player, SentAs};
use mitschnitt::ids::{CallId, Leg, RecordingId};
use mitschnitt::lane::{self, Down, Lane, Outside, Up};
use mitschnitt::media::{BridgeId, Bridging, Content, Event, Order, PairIds, Payload, PayloadFormat, PortId, Remote, Sent};
use mitschnitt::time::{Moment, Period};
use mitschnitt::vault::{
    EndReason, GapReason, LastChunk, Listener, NodeKey, PlainChunk, Quality, RecipientSecret, Record, Recording, Shelf,
    UnwrapErr, Volume, Work, Writer,
};
use terms::{facts, terms};

#[test]
fn what_is_said_in_a_pause_is_passed_on_and_not_kept_and_the_pause_is_a_gap_of_its_length() {
    let mut lab = Lab::recording();
    lab.says(Leg::Pbx, 1);
    lab.passes(20);
    lab.suspend(Suspension::Pause);
    lab.passes(20);
    lab.says(Leg::Pbx, 2);
    lab.says(Leg::Trunk, 3);
    lab.passes(40);
    lab.resume();
    lab.says(Leg::Pbx, 4);

    let file = lab.ends(EndReason::HungUp(Leg::Pbx));

    assert_eq!(lab.outside.sent, [1, 2, 3, 4]);
    assert_eq!(file.kept, [1, 4]);
    assert_eq!(file.gaps, [(None, GapReason::Paused, 20, 80)]);
}

#[test]
fn what_lay_in_a_socket_when_the_recording_went_on_was_said_in_the_pause() {
    let mut lab = Lab::recording();
    lab.suspend(Suspension::Pause);
    lab.outside.waiting.push_back((PORTS[0].rtp, voice(7)));
    lab.passes(30);
    lab.resume();
    lab.says(Leg::Pbx, 8);

    let file = lab.ends(EndReason::HungUp(Leg::Pbx));

    assert_eq!(lab.outside.sent, [7, 8]);
    assert_eq!(file.kept, [8]);
}

#[test]
fn a_pause_in_which_the_recording_ends_is_a_gap_up_to_the_end() {
    for why in [EndReason::HungUp(Leg::Trunk), EndReason::Stopped, EndReason::MediaChanged, EndReason::Shutdown] {
        let mut lab = Lab::recording();
        lab.says(Leg::Trunk, 1);
        lab.passes(100);
        lab.suspend(Suspension::Pause);
        lab.says(Leg::Trunk, 2);
        lab.passes(900);

        let file = lab.ends(why);

        assert_eq!(file.kept, [1]);
        assert_eq!(file.gaps, [(None, GapReason::Paused, 100, 1000)], "{why:?}");
        assert_eq!(file.end, (why, 1000));
    }
}

#[test]
fn a_call_that_ends_by_its_bye_was_recorded_up_to_the_bye_and_has_no_gap() {
    let mut lab = Lab::recording();
    lab.says(Leg::Trunk, 1);
    lab.passes(100);
    lab.suspend(Suspension::Bye);
    lab.says(Leg::Trunk, 2);
    lab.passes(900);

    let file = lab.ends(EndReason::HungUp(Leg::Trunk));

    assert_eq!((file.kept, file.gaps), (vec![1], vec![]));
    assert_eq!(file.end, (EndReason::HungUp(Leg::Trunk), 100));
}

#[test]
fn a_pause_that_comes_while_a_bye_is_on_its_way_makes_a_gap_from_the_bye_on() {
    let mut lab = Lab::recording();
    lab.passes(100);
    lab.suspend(Suspension::Bye);
    lab.passes(100);
    lab.suspend(Suspension::Pause);
    lab.passes(100);
    // Another BYE does not make less of the pause.
    lab.suspend(Suspension::Bye);
    lab.passes(100);

    let file = lab.ends(EndReason::HungUp(Leg::Pbx));

    assert_eq!(file.gaps, [(None, GapReason::Paused, 100, 400)]);
}

#[test]
fn the_file_says_how_good_each_leg_was() {
    let mut lab = Lab::recording();
    for what in [1, 2, 4, 4, 5] {
        lab.says(Leg::Pbx, what);
        lab.passes(20);
    }
    lab.passes(400);

    let file = lab.ends(EndReason::HungUp(Leg::Pbx));

    let [pbx, trunk] = &file.quality[..] else { panic!("one of each leg: {:?}", file.quality) };
    assert_eq!(
        (pbx.leg, pbx.expected, pbx.received, pbx.duplicates),
        (Leg::Pbx, 5, 5, 1),
        "the third was lost, the fourth came twice"
    );
    assert!(pbx.longest_gap >= Duration::from_millis(400), "up to the end: {:?}", pbx.longest_gap);
    assert_eq!((trunk.leg, trunk.expected, trunk.received, trunk.jitter), (Leg::Trunk, 0, 0, None));
    assert!(trunk.due >= Duration::from_millis(500), "it was to send: {:?}", trunk.due);
}

#[test]
fn what_is_not_suspended_is_not_resumed() {
    let mut lab = Lab::recording();
    lab.resume();
    lab.says(Leg::Pbx, 1);

    let file = lab.ends(EndReason::HungUp(Leg::Pbx));

    assert_eq!((file.kept, file.gaps), (vec![1], vec![]));
}

#[test]
fn silence_is_told_at_its_deadline_and_what_a_closed_bridge_carried_even_as_the_lane_ends() {
    let mut lab = Lab::recording();
    lab.passes(1000);
    lab.obeys(Down::Order(Order::Watch { id: ID, patience: Duration::from_secs(60), again: false }));
    lab.passes(50_000);
    lab.says(Leg::Pbx, 1);
    while let Some(at) = lab.lane.deadline().filter(|_| lab.outside.told.is_empty()) {
        lab.passes(u64::try_from(at.since(lab.now).as_millis()).unwrap());
    }
    assert!(matches!(*lab.outside.told, [Up::Event(Event::Dead { id: ID })]), "{:?}", lab.outside.told);
    assert_eq!(lab.now, Moment::from_millis(1000 + 1000 + 50_000 + 60_000));

    lab.obeys(Down::Order(Order::Close { id: ID }));
    lab.lane.end_all(lab.now, &mut lab.outside);

    let Some(Up::Event(Event::Closed { tallies, .. })) = lab.outside.told.last() else { panic!("{:?}", lab.outside.told) };
    assert_eq!((tallies.quality[0].received, tallies.quality[1].received), (1, 0));
}

#[test]
fn what_finds_no_place_on_the_way_to_the_disk_is_a_gap() {
    let mut lab = Lab::recording();
    lab.says(Leg::Pbx, 1);
    lab.passes(20);
    lab.says(Leg::Pbx, 2);
    lab.outside.is_full = true;
    lab.passes(480);
    lab.outside.is_full = false;
    lab.says(Leg::Pbx, 3);

    let file = lab.ends(EndReason::HungUp(Leg::Pbx));

    assert_eq!(lab.outside.sent, [1, 2, 3]);
    assert_eq!((file.kept, file.gaps), (vec![3], vec![(Some(Leg::Pbx), GapReason::LaneFull, 0, 20)]));
}

#[test]
fn a_recording_that_finds_no_place_on_the_way_to_the_disk_does_not_begin_and_its_call_goes_on() {
    let mut lab = Lab::connected();
    lab.outside.is_full = true;
    let permit = permit(lab.now);
    lab.obeys(Down::Record { id: ID, slot: SLOT, permit, formats: Vec::new() });
    lab.says(Leg::Pbx, 1);

    assert!(matches!(*lab.outside.told, [Up::NotRecorded(call)] if call == ID.call), "{:?}", lab.outside.told);
    assert_eq!((lab.lane.recordings(), lab.outside.work.len(), &*lab.outside.sent), (0, 0, &[1][..]));
}

const ID: BridgeId = BridgeId { call: CallId::from_u64(1), dialog: 0, line: 0 };
const SLOT: u32 = 5;
const PORTS: [PairIds; 2] = [PairIds { rtp: PortId(10), rtcp: PortId(11) }, PairIds { rtp: PortId(12), rtcp: PortId(13) }];
const PARTIES: [&str; 2] = ["192.0.2.1:4000", "198.51.100.1:4000"];

struct Lab {
    lane: Lane,
    outside: Wires,
    now: Moment,
}

/// What the file says.
struct File {
    /// The last byte of each packet.
    kept: Vec<u8>,
    /// Milliseconds from the grant on.
    gaps: Vec<(Option<Leg>, GapReason, u128, u128)>,
    end: (EndReason, u128),
    quality: Vec<Quality>,
}

impl Lab {
    /// A call that is recorded from this moment on.
    fn recording() -> Self {
        let mut lab = Self::connected();
        let permit = permit(lab.now);
        lab.obeys(Down::Record { id: ID, slot: SLOT, permit, formats: Vec::new() });
        lab
    }

    /// A call that is up.
    fn connected() -> Self {
        let mut lab = Self { lane: Lane::new(7), outside: Wires::default(), now: Moment::from_millis(1000) };
        let bridging = Bridging { id: ID, slot: SLOT, ports: PORTS, content: Content::Audio, latching: Default::default() };
        lab.obeys(Down::Order(Order::Bridge(Box::new(bridging))));
        for leg in Leg::BOTH {
            let formats = vec![PayloadFormat { payload_type: 8, payload: Payload::Speech(Codec::Pcma) }];
            let rtp = PARTIES[leg.index()].parse().unwrap();
            let remote = Remote { rtp, rtcp: None, rtcp_mux: false, receives: true, formats, ptime_ms: 20 };
            lab.obeys(Down::Order(Order::Describe { id: ID, leg, remote, srtp: None }));
        }
        lab
    }

    fn obeys(&mut self, down: Down) {
        self.lane.obey(down, &mut [0; lane::BUFFER_BYTES], self.now, &mut self.outside);
    }

    fn says(&mut self, leg: Leg, what: u8) {
        let source = PARTIES[leg.index()].parse().unwrap();
        let mut buffer = [0; lane::BUFFER_BYTES];
        let voice = voice(what);
        buffer[..voice.len()].copy_from_slice(&voice);
        self.lane.packet(PORTS[leg.index()].rtp, source, &mut buffer, voice.len(), self.now, &mut self.outside);
    }

    fn suspend(&mut self, why: Suspension) {
        self.obeys(Down::Suspend { slot: SLOT, why });
    }

    fn resume(&mut self) {
        self.obeys(Down::Resume { slot: SLOT });
    }

    fn passes(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
        self.lane.due(self.now, &mut self.outside);
    }

    /// Ends the recording, and opens what the disk has of it.
    fn ends(&mut self, why: EndReason) -> File {
        self.obeys(Down::End { slot: SLOT, why });
        let mut entropy = UnwrapErr(getrandom::SysRng);
        let secret = RecipientSecret::generate(&mut entropy);
        let recipients = vec![Listener { purposes: vec!["quality".to_owned()], key: *secret.public(), period: Period::ALWAYS }];
        let mut writer = Writer::new(NodeKey::generate(&mut entropy), recipients, self.now);
        let mut disk = Disk::default();
        writer.work(std::mem::take(&mut self.outside.work), &mut disk, &mut entropy, self.now);
        let [keys, recording] = [disk.keys, disk.recording];
        let mut file = File { kept: Vec::new(), gaps: Vec::new(), end: (EndReason::Other(0), 0), quality: Vec::new() };
        for record in Recording::open(&*recording, &keys, &secret).unwrap().records() {
            match record.unwrap() {
                Record::Rtp { packet, .. } => file.kept.push(*packet.last().unwrap()),
                Record::Gap(gap) => file.gaps.push((gap.leg, gap.reason, gap.from.as_millis(), gap.to.as_millis())),
                Record::End(totals) => file.end = (totals.reason, totals.ended.as_millis()),
                Record::Quality(quality) => file.quality.push(quality),
                Record::Evidence(_) | Record::Format(_) | Record::Other { .. } => {}
            }
        }
        file
    }
}

/// The sockets and the way to the disk.
#[derive(Default)]
struct Wires {
    /// Packets that came and were not looked at.
    waiting: VecDeque<(PortId, Vec<u8>)>,
    /// The last byte of each packet that was sent.
    sent: Vec<u8>,
    work: Vec<Work>,
    /// Nothing more finds a place in `work`.
    is_full: bool,
    told: Vec<Up>,
}

impl Outside for Wires {
    fn send(&mut self, _: PortId, _: SocketAddr, packet: &[u8]) -> Sent {
        self.sent.push(*packet.last().unwrap());
        Sent::Out
    }

    fn receive(&mut self, port: PortId, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let at = self.waiting.iter().position(|(own, _)| *own == port)?;
        let (_, packet) = self.waiting.remove(at)?;
        buffer[..packet.len()].copy_from_slice(&packet);
        let leg = PORTS.iter().position(|pair| pair.rtp == port)?;
        Some((packet.len(), PARTIES[leg].parse().unwrap()))
    }

    fn begin(&mut self, evidence: Evidence) -> bool {
        if !self.is_full {
            self.work.push(Work::Begin(Box::new(evidence)));
        }
        !self.is_full
    }

    fn chunk(&mut self, recording: RecordingId, chunk: PlainChunk) -> Result<(), PlainChunk> {
        if self.is_full {
            return Err(chunk);
        }
        self.work.push(Work::Chunk(recording, chunk));
        Ok(())
    }

    fn end(&mut self, recording: RecordingId, last: LastChunk) {
        self.work.push(Work::End(recording, last));
    }

    fn tell(&mut self, up: Up) {
        self.told.push(up);
    }
}

/// A disk with room for one recording.
#[derive(Default)]
struct Disk {
    keys: Vec<u8>,
    recording: Vec<u8>,
}

impl Volume for Disk {
    fn create_keys(&mut self, _: Shelf, _: RecordingId, bytes: &[u8]) -> io::Result<()> {
        self.keys = bytes.to_vec();
        Ok(())
    }

    fn create_recording(&mut self, _: Shelf, _: RecordingId, head: &[u8]) -> io::Result<()> {
        self.recording = head.to_vec();
        Ok(())
    }

    fn write_at(&mut self, _: RecordingId, at: u64, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(at, self.recording.len() as u64);
        self.recording.extend_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self, _: RecordingId) {}

    fn remove(&mut self, _: RecordingId) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self, _: Shelf) -> io::Result<()> {
        Ok(())
    }
}

/// An RTP packet whose payload ends with this byte.
fn voice(what: u8) -> Vec<u8> {
    let header = [0x80, 8, 0, what, 0, 0, 0, what, 0, 0, 0, 1];
    [&header[..], &[0x55; 159], &[what]].concat()
}

/// Both were told a moment ago.
fn permit(now: Moment) -> Permit {
    let mut consent = Consent::new(terms(Mode::Announce), facts(ID.call));
    let outputs: Vec<_> = Leg::BOTH
        .into_iter()
        .filter_map(|leg| {
            let clip = Clip::new(Codec::Pcma, &[0x2a; 160], [7; 32], "de").unwrap();
            let played = Player::new(leg, clip, 20).sent(SentAs { ssrc: 1, sequence: 2, timestamp: 3 }, now).unwrap();
            consent.handle(Fact::Played(played), now)
        })
        .collect();
    match outputs.into_iter().next() {
        Some(consent::Output::Begin(permit)) => permit,
        output => panic!("both were told, so recording may begin: {output:?}"),
    }
}
