//! The recorder, whose chunks find a place in the disk's lane or not, and the verdict on a file by what comes next in it.

use std::convert::Infallible;

use hpke::rand_core::{TryCryptoRng, TryRng};
use mitschnitt::consent::Permit;
use mitschnitt::ids::Leg::{Pbx as P, Trunk as T};
use mitschnitt::media::{Bridging, Content, Order, Plane};
use mitschnitt::time::{Moment, Wall};
use mitschnitt::vault::{
    Begun, Buffers, EndReason, GapReason, NodeKey, PlainChunk, RecipientSecret, Record, Recorder, Recording, Salvage, Sealer,
    Tail, Verdict, salvage, verify,
};
use mitschnitt::wire::rtp::Header;

use crate::grid::{self, ALL, Grid, Machine, Rows, View};
use crate::media;
use crate::parties::letter;

use Input::{Age, AgeEarly, End, Fill, Format, Gap, LaneFree, LaneFull, Packet, TooLong};

#[test]
fn a_recorder_is_as_in_its_table() {
    let ways: Vec<(&str, Vec<Input>)> = vec![
        ("nothing open", vec![]),
        ("a format said", vec![Format]),
        ("a chunk open", vec![Format, Packet]),
        ("a chunk full", vec![Format, Fill]),
        ("a chunk open, no format", vec![Packet]),
        ("nothing open, lane full", vec![LaneFull]),
        ("a chunk full, lane full", vec![Format, Fill, LaneFull]),
        ("a chunk open, lane full", vec![Format, Packet, LaneFull]),
        ("a chunk lost", vec![Format, Packet, LaneFull, Age]),
        ("a chunk open after a loss", vec![Format, Packet, LaneFull, Age, Packet]),
        ("two chunks lost", vec![Format, Packet, LaneFull, Age, Packet, Age]),
        ("a chunk lost, lane free", vec![Format, Packet, LaneFull, Age, LaneFree]),
        ("ended", vec![End]),
    ];
    let states: Vec<(&str, &[Input])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();
    let grid = Grid {
        title: "a recorder and the lane to the disk; a chunk that leaves is sealed [its records], or lost where the lane is full",
        new: &|| Desk::new(),
        inputs: &[
            &[("format", Format), ("packet", Packet), ("87 packets", Fill), ("too long a packet", TooLong), ("gap", Gap)],
            &[("age, too early", AgeEarly), ("age", Age), ("lane full", LaneFull), ("lane free", LaneFree), ("end", End)],
        ],
        states: &states,
        probes: &[Packet, Age, LaneFree, End],
        depth: 2,
        views: ALL,
        rows: Rows::Some,
    };
    grid::check("recorder", &[grid.table()]);
}

#[derive(Clone, Copy)]
enum Input {
    /// What a payload type means.
    Format,
    /// A packet of 20 ms of PCMA.
    Packet,
    /// So many that no other finds room in the chunk.
    Fill,
    /// A packet that is longer than a recording takes.
    TooLong,
    /// A pause that is over.
    Gap,
    /// The chunk's age is asked for before its time.
    AgeEarly,
    /// The time came.
    Age,
    /// The lane to the disk takes no chunk from here on.
    LaneFull,
    /// It takes chunks.
    LaneFree,
    /// The recording ends.
    End,
}

struct Desk {
    recorder: Option<Recorder>,
    permit: Permit,
    /// By which packets are covered.
    plane: Plane,
    now: Moment,
    sequence: u16,
    is_lane_full: bool,
    node: NodeKey,
    recipient: RecipientSecret,
}

impl Desk {
    fn new() -> Self {
        let now = Moment::from_millis(1000);
        let mut plane = Plane::new(1);
        let bridging =
            Bridging { id: media::ID, slot: 0, ports: media::PORTS, content: Content::Audio, latching: Default::default() };
        plane.order(Order::Bridge(Box::new(bridging)), now);
        for leg in [P, T] {
            plane.order(Order::Describe { id: media::ID, leg, remote: media::remote(leg, media::Place::Here), srtp: None }, now);
        }
        plane.order(Order::Record { id: media::ID, permit: media::permit(now) }, now);
        let permit = media::permit(now);
        Self {
            recorder: Some(Recorder::begin(&permit, &Buffers::new())),
            permit,
            plane,
            now,
            sequence: 0,
            is_lane_full: false,
            node: NodeKey::generate(&mut Zeros),
            recipient: RecipientSecret::generate(&mut Zeros),
        }
    }

    fn append(&mut self, payload_bytes: usize) -> Option<PlainChunk> {
        self.sequence += 1;
        let sequence = self.sequence;
        let header = Header { payload_type: 8, marker: false, sequence, timestamp: u32::from(sequence) * 160, ssrc: 7 };
        let mut packet = media::packet(header, &vec![0x55; payload_bytes]);
        let verdict = self.plane.packet(media::PORTS[0].rtp, media::at(P).parse().unwrap(), &mut packet, self.now);
        let (_, covered) = verdict.keep?;
        self.recorder.as_mut()?.append(covered)
    }

    /// Gives a chunk to the lane, as the media thread does.
    fn hand_over(&mut self, chunk: Option<PlainChunk>) -> Vec<String> {
        let Some(chunk) = chunk else { return Vec::new() };
        if self.is_lane_full {
            let packets = chunk.packets();
            if let Some(recorder) = &mut self.recorder {
                recorder.lost(chunk);
            }
            return vec![format!("lost({packets})")];
        }
        let Begun { mut sealer, key_file, mut head } = self.begun();
        sealer.seal(chunk, &mut head).unwrap();
        vec![format!("sealed[{}]", self.records(&head, &key_file))]
    }

    fn begun(&self) -> Begun {
        Sealer::begin(self.permit.evidence(), self.node.public(), &[*self.recipient.public()], &mut Zeros).unwrap()
    }

    /// What stands in a file behind its evidence.
    fn records(&self, rec: &[u8], key_file: &[u8]) -> String {
        let recording = Recording::open(rec, key_file, &self.recipient).unwrap();
        let mut words: Vec<String> = recording
            .records()
            .map_while(Result::ok)
            .filter_map(|record| match record {
                Record::Evidence(_) | Record::Quality(_) | Record::Other { .. } => None,
                Record::Format(_) => Some("format".into()),
                Record::Rtp { .. } => Some("packets".into()),
                Record::Gap(gap) => {
                    let leg = gap.leg.map_or_else(|| "both".into(), |leg| letter(leg).to_string());
                    Some(format!("gap({} {leg} {})", gap.reason.as_str(), gap.packets))
                }
                Record::End(totals) => Some(format!("end(gaps {}, lost {})", totals.gaps, totals.lost)),
            })
            .collect();
        words.dedup();
        words.join(" ")
    }
}

impl Machine for Desk {
    type Input = Input;

    fn feed(&mut self, input: Input) -> Option<Vec<String>> {
        let recorder = self.recorder.as_mut()?;
        let now = self.now;
        let chunk = match input {
            Format => recorder.format(P, 8, "PCMA", 8000, 1, now),
            Packet => self.append(160),
            Fill => {
                let mut words = Vec::new();
                for _ in 0..87 {
                    let chunk = self.append(160);
                    words.extend(self.hand_over(chunk));
                }
                return Some(words);
            }
            TooLong => {
                // Longer than the plane lets through, so as a gap.
                recorder.gap(Some(P), GapReason::TooLong, now, now, 1)
            }
            Gap => recorder.gap(None, GapReason::Paused, now, now, 0),
            AgeEarly => {
                let deadline = recorder.deadline()?;
                recorder.age(Moment::from_micros(deadline.as_micros() - 1))
            }
            Age => {
                self.now = recorder.deadline()?;
                recorder.age(self.now)
            }
            LaneFull => {
                self.is_lane_full = true;
                None
            }
            LaneFree => {
                self.is_lane_full = false;
                None
            }
            End => {
                let last = self.recorder.take()?.end(EndReason::HungUp(T), [0, 0], now);
                let Begun { sealer, key_file, mut head } = self.begun();
                sealer.finish(last, &self.node, &mut head).unwrap();
                return Some(vec![format!("sealed[{}]", self.records(&head, &key_file))]);
            }
        };
        Some(self.hand_over(chunk))
    }

    fn shows(&self) -> String {
        match &self.recorder {
            None => "ended".into(),
            Some(recorder) => {
                let open = if recorder.deadline().is_some() { "open" } else { "nothing open" };
                let lane = if self.is_lane_full { ", lane full" } else { "" };
                format!("{open}{lane}")
            }
        }
    }
}

#[test]
fn the_verdict_on_a_file_is_as_in_its_table() {
    use Part::{Again, Another, Chunk, Closing, Cut, Cutting, Flipped, Last, LaterStart, Skipped, Zeros, ZerosAndMore};
    let ways: Vec<(&str, Vec<Part>)> = vec![
        ("nothing", vec![]),
        ("header", vec![Part::Header]),
        ("evidence", vec![Part::Header, Chunk]),
        ("2 chunks", vec![Part::Header, Chunk, Chunk]),
        ("3 chunks", vec![Part::Header, Chunk, Chunk, Chunk]),
        ("last chunk", vec![Part::Header, Chunk, Chunk, Chunk, Last]),
        ("closing", vec![Part::Header, Chunk, Chunk, Chunk, Last, Closing]),
        ("torn chunk", vec![Part::Header, Chunk, Chunk, Cut]),
    ];
    let states: Vec<(&str, &[Part])> = ways.iter().map(|(name, way)| (*name, way.as_slice())).collect();
    let grid = Grid {
        title: "the verdict on a file, by what it has so far and what comes next in it, where it then ends",
        new: &|| File::new(),
        inputs: &[
            &[
                ("nothing", Part::Nothing),
                ("half of the header", Part::HalfHeader),
                ("header", Part::Header),
                ("next chunk", Chunk),
                ("last chunk", Last),
                ("closing", Closing),
                ("half of a chunk", Cut),
                ("half of the closing", Cutting),
            ],
            &[
                ("chunk, a bit flipped", Flipped),
                ("chunk again", Again),
                ("chunk too many", Skipped),
                ("zeros", Zeros),
                ("zeros and more", ZerosAndMore),
                ("other bytes", Another),
                ("a later start", LaterStart),
            ],
        ],
        states: &states,
        probes: &[Chunk, Last, Closing],
        depth: 1,
        views: &[View { title: "", shows: |_| true, next: false }],
        rows: Rows::Some,
    };
    grid::check("verdict", &[grid.table()]);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Nothing,
    HalfHeader,
    Header,
    /// The chunk that comes next.
    Chunk,
    /// The one that is marked as the last.
    Last,
    Closing,
    /// The first half of the next chunk.
    Cut,
    /// The first half of the closing.
    Cutting,
    /// The next chunk with one bit of its ciphertext flipped.
    Flipped,
    /// The chunk before once more.
    Again,
    /// The one after the next.
    Skipped,
    /// As a power cut leaves them.
    Zeros,
    ZerosAndMore,
    /// What begins no frame.
    Another,
    /// It is closed, where it is to be, and nothing is written behind it.
    LaterStart,
}

/// A file that grows.
struct File {
    node: NodeKey,
    header: Vec<u8>,
    /// The evidence, two chunks, the last one, the closing.
    frames: Vec<Vec<u8>>,
    rec: Vec<u8>,
    /// The place of the frame that comes next.
    next: usize,
}

impl File {
    fn new() -> Self {
        let mut desk = Desk::new();
        let Begun { mut sealer, key_file: _, mut head } = desk.begun();
        let mut frames = vec![head.split_off(HEADER_BYTES)];
        for _ in 0..2 {
            assert!(desk.append(160).is_none());
            let recorder = desk.recorder.as_mut().unwrap();
            let chunk = recorder.age(recorder.deadline().unwrap()).unwrap();
            let mut frame = Vec::new();
            sealer.seal(chunk, &mut frame).unwrap();
            frames.push(frame);
        }
        let last = desk.recorder.take().unwrap().end(EndReason::HungUp(T), [0, 0], desk.now);
        let mut frame = Vec::new();
        sealer.finish(last, &desk.node, &mut frame).unwrap();
        let closing = frame.split_off(frame.len() - CLOSING_BYTES);
        frames.extend([frame, closing]);
        Self { node: desk.node, header: head, frames, rec: Vec::new(), next: 0 }
    }

    fn frame(&self, at: usize) -> Option<&[u8]> {
        self.frames.get(at).map(Vec::as_slice)
    }
}

impl Machine for File {
    type Input = Part;

    fn feed(&mut self, part: Part) -> Option<Vec<String>> {
        let (last, closing) = (self.frames.len() - 2, self.frames.len() - 1);
        let next = self.next;
        let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
        let bytes = match part {
            Part::Nothing => Vec::new(),
            Part::HalfHeader => half(&self.header),
            Part::Header => self.header.clone(),
            Part::Chunk => self.frame(next).filter(|_| next < last)?.to_vec(),
            Part::Last => self.frame(last)?.to_vec(),
            Part::Closing => self.frame(closing)?.to_vec(),
            Part::Cut => half(self.frame(next).filter(|_| next <= last)?),
            Part::Cutting => half(self.frame(closing)?),
            Part::Flipped => {
                let mut bytes = self.frame(next).filter(|_| next <= last)?.to_vec();
                bytes[FRAME_BYTES] ^= 1;
                bytes
            }
            Part::Again => self.frame(next.checked_sub(1)?.min(last))?.to_vec(),
            Part::Skipped => self.frame(next + 1).filter(|_| next < last)?.to_vec(),
            Part::Zeros => vec![0; 100],
            Part::ZerosAndMore => [&[0; 100][..], &[1]].concat(),
            Part::Another => vec![0x77; 100],
            Part::LaterStart => {
                let plan = salvage(self.rec.as_slice(), self.rec.len() as u64, &self.node, Wall::from_unix_micros(0)).unwrap();
                let Salvage::Close { keep, closing, .. } = plan else { return None };
                self.rec.truncate(usize::try_from(keep).unwrap());
                closing
            }
        };
        self.rec.extend_from_slice(&bytes);
        self.next = match part {
            Part::Chunk => next + 1,
            Part::Last => last + 1,
            Part::Closing | Part::LaterStart => closing + 1,
            _ => next,
        };
        Some(vec![match verify(self.rec.as_slice(), self.node.public()).unwrap() {
            Verdict::Complete(complete) => format!("complete({} chunks)", complete.chunks),
            Verdict::Salvaged(salvaged) => format!("salvaged({} chunks)", salvaged.chunks),
            Verdict::Cut(torn) => {
                let tail = match torn.tail {
                    Tail::InHeader => "in the header",
                    Tail::InFrame => "in a frame",
                    Tail::BetweenChunks => "between chunks",
                    Tail::Zeros => "in zeros",
                    Tail::Unsigned => "unsigned",
                };
                format!("cut({tail}, {} whole)", torn.chunks)
            }
            Verdict::Broken(broken) => {
                let what = format!("{:?}", broken.what);
                format!("broken({})", what.split('(').next().unwrap_or_default())
            }
        }])
    }

    fn shows(&self) -> String {
        format!("{} frames", self.next)
    }
}

/// The length of the header, of a chunk's frame and of the closing (`manual/format.md`).
const HEADER_BYTES: usize = 144;
const FRAME_BYTES: usize = 10;
const CLOSING_BYTES: usize = 70;

/// No chance at all: what is printed does not depend on a key.
struct Zeros;

impl TryRng for Zeros {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        dst.fill(7);
        Ok(())
    }
}

impl TryCryptoRng for Zeros {}
