//! What happened last, drawn as a ladder: the PBX on the left, the box in the middle, the carrier on the right.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::SocketAddr;

use mitschnitt::time::Moment;

use super::border::{Datagram, Voice, Way, box_media, box_sip};

/// The steps of a world, the newest last; a bound keeps those that a person would still read.
#[derive(Default)]
pub struct Ladder {
    steps: VecDeque<Step>,
}

struct Step {
    at: Moment,
    what: What,
}

enum What {
    Datagram(Way, Datagram),
    Note(Option<u32>, String),
}

/// Steps that are kept: some seconds of a hundred calls.
const KEPT: usize = 20_000;

/// Steps that are drawn of them.
const DRAWN: usize = 60;

/// Columns between two lifelines.
const WIDTH: usize = 46;

impl Ladder {
    /// Adds a datagram that crossed the box's border.
    pub fn crossed(&mut self, at: Moment, way: Way, datagram: &Datagram) {
        self.push(Step { at, what: What::Datagram(way, datagram.clone()) });
    }

    /// Adds a line of its own: a fault, say.
    pub fn note(&mut self, at: Moment, note: String) {
        self.note_of(at, None, note);
    }

    /// Adds a line of its own about one call.
    pub fn note_of(&mut self, at: Moment, call: Option<u32>, note: String) {
        self.push(Step { at, what: What::Note(call, note) });
    }

    fn push(&mut self, step: Step) {
        if self.steps.len() == KEPT {
            self.steps.pop_front();
        }
        self.steps.push_back(step);
    }

    /// Draws the last steps, of one call or of everybody.
    pub fn draw(&self, call: Option<u32>) -> String {
        let drawn = std::env::var("LADDER").ok().and_then(|text| text.parse().ok()).unwrap_or(DRAWN);
        self.draw_last(call, drawn)
    }

    /// Draws all steps of a call.
    pub fn draw_all(&self, call: u32) -> String {
        self.draw_last(Some(call), usize::MAX)
    }

    fn draw_last(&self, call: Option<u32>, drawn: usize) -> String {
        let mut rows: Vec<Row> = Vec::new();
        for step in &self.steps {
            let Some(row) = Row::of(step, call) else { continue };
            // Streams run side by side: each is one line until something else happens.
            let streams = rows.iter_mut().rev().take_while(|last| last.is_stream && row.is_stream);
            match streams.into_iter().find(|last| (last.way, &last.text) == (row.way, &row.text)) {
                Some(last) => {
                    last.count += 1;
                    last.until = row.at;
                }
                None => rows.push(row),
            }
        }
        let mut text = format!("{:>11}   PBX{:>width$}box{:>width$}carrier\n", "", "", "", width = WIDTH - 3);
        for row in rows.iter().skip(rows.len().saturating_sub(drawn)) {
            row.draw(&mut text);
        }
        text
    }
}

struct Row {
    at: Moment,
    until: Moment,
    /// Nothing: a note over all columns. Else whether it is on the PBX's side, and whether it points to the right.
    way: Option<(bool, bool)>,
    text: String,
    is_stream: bool,
    count: usize,
}

impl Row {
    fn of(step: &Step, call: Option<u32>) -> Option<Self> {
        let (way, text, is_stream) = match &step.what {
            What::Note(whose, _) if whose.is_some() && call.is_some() && *whose != call => return None,
            What::Note(_, note) => (None, note.clone(), false),
            What::Datagram(way, datagram) => {
                let (here, there) = match way {
                    Way::In => (datagram.to, datagram.from),
                    Way::Out => (datagram.from, datagram.to),
                };
                let is_pbx = is_on_the_left(there);
                let is_right = is_pbx == (*way == Way::In);
                let is_sip = here == box_sip();
                let (whose, text) = if is_sip { sip(&datagram.bytes) } else { media(&datagram.bytes, there) };
                if call.is_some() && whose != call {
                    return None;
                }
                (Some((is_pbx, is_right)), text, !is_sip)
            }
        };
        Some(Self { at: step.at, until: step.at, way, text, is_stream, count: 1 })
    }

    fn draw(&self, out: &mut String) {
        let micros = self.at.as_micros();
        let mut text = self.text.clone();
        if self.count > 1 {
            write!(text, " ×{}, {} ms", self.count, self.until.since(self.at).as_millis()).expect("a string takes all");
        }
        text.truncate(text.floor_char_boundary(WIDTH - 6));
        let arrow = |is_right: bool| {
            let line = "─".repeat((WIDTH - 6).saturating_sub(text.chars().count()));
            if is_right { format!(" {text} {line}▶ ") } else { format!(" ◀{line} {text} ") }
        };
        let blank = " ".repeat(WIDTH - 1);
        let line = match self.way {
            None => format!("● {}", self.text),
            Some((true, is_right)) => format!("│{:<width$}│{blank}│", arrow(is_right), width = WIDTH - 1),
            Some((false, is_right)) => format!("│{blank}│{:<width$}│", arrow(is_right), width = WIDTH - 1),
        };
        writeln!(out, "{:>4}.{:06}   {line}", micros / 1_000_000, micros % 1_000_000).expect("a string takes all");
    }
}

fn is_on_the_left(address: SocketAddr) -> bool {
    let pbx = [box_media()[0], box_sip().ip()];
    match (address.ip(), pbx[1]) {
        (std::net::IpAddr::V4(a), std::net::IpAddr::V4(b)) => a.octets()[..3] == b.octets()[..3],
        _ => false,
    }
}

/// The call's number and the first line, with the CSeq's method where it is a response, and whether it describes media.
fn sip(bytes: &[u8]) -> (Option<u32>, String) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default();
    let value = |name: &str| {
        text.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    let cseq = value("CSeq").unwrap_or_default();
    let first = match start.strip_prefix("SIP/2.0 ") {
        Some(status) => format!("{} ({cseq})", status.get(..3).unwrap_or(status)),
        None => cseq.split_whitespace().rev().collect::<Vec<_>>().join(" "),
    };
    let tag = value("To").and_then(|to| to.split("tag=").nth(1).map(|tag| format!(" to {tag}"))).unwrap_or_default();
    let sdp = match text.split_once("\r\n\r\n").and_then(|(_, body)| body.split("m=audio ").nth(1)) {
        Some(audio) => format!(" sdp :{}", audio.split(' ').next().unwrap_or_default()),
        None => String::new(),
    };
    (value("Call-ID").and_then(|id| number(&id)), format!("{first}{tag}{sdp}"))
}

/// The number of a call, of its Call-ID.
pub fn number(call_id: &str) -> Option<u32> {
    call_id.split('@').next()?.parse().ok()
}

fn media(packet: &[u8], there: SocketAddr) -> (Option<u32>, String) {
    let payload = packet.get(12..).unwrap_or_default();
    let kind = packet.get(1).map_or(0, |kind| kind & 0x7f);
    if std::env::var_os("PACKETS").is_some()
        && let (Some(voice), Some(&[high, low])) = (Voice::read(payload), packet.get(2..4).and_then(|place| place.first_chunk()))
    {
        let sequence = u16::from_be_bytes([high, low]);
        return (Some(voice.call), format!("RTP {kind} {}/{} no {} seq {sequence}", voice.leg, voice.source, voice.counter));
    }
    match Voice::read(payload) {
        Some(voice) => (Some(voice.call), format!("RTP {kind} {}/{} :{}", voice.leg, voice.source, there.port())),
        None if payload.starts_with(b"CLIP") => (super::phones::Call::owns(there), format!("RTP {kind} clip :{}", there.port())),
        None if kind == 101 => (super::phones::Call::owns(there), format!("RTP {kind} key :{}", there.port())),
        None => (super::phones::Call::owns(there), format!("RTCP or other :{}", there.port())),
    }
}
