//! A recording as a network capture: its RTP packets as they came, when they came, between two addresses that stand for the parties.
//!
//! Ethernet, IP and UDP headers are no part of a recording and are made here, with addresses that RFC 5737 sets aside for documentation.
//! So are the few session announcements (SAP, RFC 2974) between: they say what the payload types mean, so that whoever reads the capture
//! decodes it without being told anything.
//!
//! ```text
//!  PBX 192.0.2.1:5004 ◀──────── RTP ────────▶ 198.51.100.1:5004 trunk
//!   interface 0                                 interface 1
//! ```

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::export::coding::Formats;
use crate::export::handed::Run;
use crate::export::{ExportError, HandedOver, Part, Source, Span};
use crate::ids::{Leg, RecordingId};
use crate::time::Wall;
use crate::vault::{Gap, Record};

/// What a capture says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Which recording it was made of.
    pub recording: RecordingId,
    /// What that was made for.
    pub purpose: String,
    /// When the recording began.
    pub began: Wall,
    /// What of it; nothing where it is all.
    pub span: Option<Span>,
}

/// Writes a recording as pcapng, packet for packet. The same records give the same bytes.
///
/// # Errors
/// What the reader of the recording or the disk says; what was written by then is no whole file.
pub fn pcapng<S: Source>(origin: &Origin, records: S, out: impl Write) -> Result<HandedOver, ExportError<S::Error>> {
    let mut capture = Capture::begin(origin, out).map_err(ExportError::Disk)?;
    Part::of(origin.span, records).each(|record| {
        match record {
            Record::Format(format) => {
                let side = capture.side(format.leg);
                side.is_said = false;
                let ended = side.run.take();
                side.formats.learn(format);
                capture.handed.count(format.leg, ended);
            }
            Record::Rtp { leg, came, packet } => capture.packet(*leg, *came, packet)?,
            Record::Gap(gap) => capture.gaps.push(*gap),
            Record::End(totals) => capture.handed.duration = capture.handed.duration.max(totals.ended),
            Record::Evidence(_) | Record::Quality(_) | Record::Other { .. } => {}
        }
        Ok(())
    })?;
    capture.finish().map_err(ExportError::Disk)
}

/// A file on its way.
struct Capture<W> {
    out: W,
    began: Wall,
    sides: [Side; 2],
    /// Those that no packet has told of.
    gaps: Vec<Gap>,
    handed: HandedOver,
    /// The block that is being made.
    block: Vec<u8>,
}

/// One party.
#[derive(Default)]
struct Side {
    formats: Formats,
    run: Option<Run>,
    /// Whether the last announcement says all of them.
    is_said: bool,
}

impl<W: Write> Capture<W> {
    fn begin(origin: &Origin, mut out: W) -> io::Result<Self> {
        let Origin { recording, purpose, began, span } = origin;
        let part = span.map_or_else(String::new, |span| format!(" Of it only what came from {span}."));
        let comment = format!(
            "Recording {recording}, made for `{purpose}`, begun {began}.{part}\n\
             The RTP packets and their times are as they were recorded. Ethernet, IP and UDP headers are not: they were made by the export, \
             with addresses for documentation (RFC 5737); {PBX} is the PBX, {TRUNK} the trunk. The session announcements (SAP) were made by \
             it too, and say what the payload types mean. RTCP, pressed keys and what was said before the consent are in no recording.",
        );
        let program = concat!("mitschnitt ", env!("CARGO_PKG_VERSION"));
        let mut body = Vec::new();
        body.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        body.extend_from_slice(&[1, 0, 0, 0]);
        body.extend_from_slice(&u64::MAX.to_le_bytes());
        put_option(&mut body, COMMENT, comment.as_bytes());
        put_option(&mut body, USER_APPLICATION, program.as_bytes());
        end_options(&mut body);
        put_block(&mut out, SECTION, &body)?;
        for (name, what) in [("pbx", "what the PBX sent"), ("trunk", "what the trunk sent")] {
            // Ethernet; no limit to a packet's length; times in microseconds, which is what holds where nothing is said.
            let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
            put_option(&mut body, INTERFACE_NAME, name.as_bytes());
            put_option(&mut body, INTERFACE_DESCRIPTION, what.as_bytes());
            end_options(&mut body);
            put_block(&mut out, INTERFACE, &body)?;
        }
        Ok(Self {
            out,
            began: *began,
            sides: Default::default(),
            gaps: Vec::new(),
            handed: HandedOver::default(),
            block: Vec::new(),
        })
    }

    fn packet(&mut self, leg: Leg, came: Duration, packet: &[u8]) -> io::Result<()> {
        let side = self.side(leg);
        if !side.is_said {
            side.is_said = true;
            let announcement = announcement(leg, &side.formats);
            self.put(
                leg,
                came,
                (GROUP, SAP),
                &announcement,
                Some("made by the export: what the payload types of this party mean"),
            )?;
        }
        let comment = if self.gaps.is_empty() {
            None
        } else {
            Some(std::mem::take(&mut self.gaps).iter().map(missing).collect::<Vec<_>>().join("; "))
        };
        if !self.put(leg, came, (place(leg.other()), RTP), packet, comment.as_deref())? {
            self.handed.ignored += 1;
        }
        let side = self.side(leg);
        if let Some(ended) = Run::next(&mut side.run, &side.formats, packet) {
            self.handed.count(leg, Some(ended));
        }
        self.handed.duration = self.handed.duration.max(came);
        Ok(())
    }

    /// Puts what a party sent; returns whether a datagram can be so long.
    fn put(&mut self, leg: Leg, came: Duration, to: (Ipv4Addr, u16), payload: &[u8], comment: Option<&str>) -> io::Result<bool> {
        let Some(head) = head(leg, to, payload.len()) else { return Ok(false) };
        let came = i64::try_from(came.as_micros()).unwrap_or(i64::MAX);
        let at = u64::try_from(self.began.unix_micros().saturating_add(came)).unwrap_or(0);
        let length = u32::try_from(head.len() + payload.len()).unwrap_or(u32::MAX);
        let block = &mut self.block;
        block.clear();
        block.extend_from_slice(&PACKET.to_le_bytes());
        block.extend_from_slice(&[0; 4]);
        block.extend_from_slice(&[u8::from(leg == Leg::Trunk), 0, 0, 0]);
        block.extend_from_slice(&at.to_le_bytes()[4..]);
        block.extend_from_slice(&at.to_le_bytes()[..4]);
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&head);
        block.extend_from_slice(payload);
        pad(block);
        if let Some(comment) = comment {
            put_option(block, COMMENT, comment.as_bytes());
            end_options(block);
        }
        let whole = u32::try_from(block.len() + 4).map_err(|_| io::ErrorKind::FileTooLarge)?.to_le_bytes();
        if let Some(field) = block.get_mut(4..8) {
            field.copy_from_slice(&whole);
        }
        block.extend_from_slice(&whole);
        self.out.write_all(block)?;
        Ok(true)
    }

    /// Says for each side how many packets there were, and what is missing at the end.
    fn finish(mut self) -> io::Result<HandedOver> {
        for leg in Leg::BOTH {
            let ended = self.side(leg).run.take();
            self.handed.count(leg, ended);
        }
        let end = self.began.unix_micros().saturating_add(i64::try_from(self.handed.duration.as_micros()).unwrap_or(i64::MAX));
        let end = u64::try_from(end).unwrap_or(0);
        let missing: Vec<_> = self.gaps.iter().map(missing).collect();
        for (interface, packets) in (0_u32..).zip(self.handed.packets) {
            let mut body = interface.to_le_bytes().to_vec();
            body.extend_from_slice(&end.to_le_bytes()[4..]);
            body.extend_from_slice(&end.to_le_bytes()[..4]);
            if interface == 0 && !missing.is_empty() {
                put_option(&mut body, COMMENT, missing.join("; ").as_bytes());
            }
            put_option(&mut body, RECEIVED, &packets.to_le_bytes());
            end_options(&mut body);
            put_block(&mut self.out, STATISTICS, &body)?;
        }
        self.out.flush()?;
        Ok(self.handed)
    }

    const fn side(&mut self, leg: Leg) -> &mut Side {
        let [pbx, trunk] = &mut self.sides;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }
}

fn missing(gap: &Gap) -> String {
    let whose = gap.leg.map_or("both parties", |leg| match leg {
        Leg::Pbx => "the PBX",
        Leg::Trunk => "the trunk",
    });
    let Gap { from, to, packets, reason, .. } = gap;
    format!(
        "{packets} packets of {whose} are missing here ({}), of {:.3} to {:.3} s after the beginning",
        reason.as_str(),
        from.as_secs_f64(),
        to.as_secs_f64()
    )
}

const PBX: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TRUNK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// Where sessions are announced (RFC 2974 §3).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 2, 127, 254);

/// The ports of announcements, and of media as IANA has it.
const SAP: u16 = 9875;
const RTP: u16 = 5004;

const fn place(leg: Leg) -> Ipv4Addr {
    match leg {
        Leg::Pbx => PBX,
        Leg::Trunk => TRUNK,
    }
}

/// An announcement of the session that this party sends: addressed, as media is, to the one who takes it.
fn announcement(leg: Leg, formats: &Formats) -> Vec<u8> {
    let (from, to) = (place(leg), place(leg.other()));
    let mut types = String::new();
    let mut maps = String::new();
    for format in formats.said() {
        let number = format.payload_type;
        types.push_str(&format!(" {number}"));
        let channels = if format.channels > 1 { format!("/{}", format.channels) } else { String::new() };
        maps.push_str(&format!("a=rtpmap:{number} {}/{}{channels}\r\n", token(&format.name), format.clock));
    }
    if types.is_empty() {
        types.push_str(" 0");
    }
    let sdp = format!("v=0\r\no=- 1 1 IN IP4 {from}\r\ns=-\r\nc=IN IP4 {to}\r\nt=0 0\r\nm=audio {RTP} RTP/AVP{types}\r\n{maps}");
    // Version 1, an announcement from an IPv4 address without authentication; a number that tells one version from another.
    let mut message = vec![0x20, 0, 0, 1];
    message.extend_from_slice(&from.octets());
    message.extend_from_slice(b"application/sdp\0");
    message.extend_from_slice(sdp.as_bytes());
    message
}

/// A name as it may stand in an announcement, whatever the peer called it.
fn token(name: &str) -> &str {
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
    if is_token { name } else { "unknown" }
}

/// What stands before the payload in an Ethernet frame with a UDP datagram; nothing where no datagram is so long.
fn head(from: Leg, (to, port): (Ipv4Addr, u16), payload: usize) -> Option<[u8; 42]> {
    let udp = u16::try_from(8 + payload).ok()?;
    let ip = udp.checked_add(20)?;
    let mut header = [0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&ip.to_be_bytes());
    header[12..16].copy_from_slice(&place(from).octets());
    header[16..].copy_from_slice(&to.octets());
    let sum: u32 = header.as_chunks().0.iter().map(|&word| u32::from(u16::from_be_bytes(word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    // Ethernet addresses of nobody: the second bit of the first byte says «given locally».
    let [here, there] = [u8::from(from == Leg::Trunk), u8::from(from == Leg::Pbx)];
    let mut head = [
        2, 0, 0, 0, 0, there, 2, 0, 0, 0, 0, here, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0,
    ];
    head[14..34].copy_from_slice(&header);
    head[34..36].copy_from_slice(&port.to_be_bytes());
    head[36..38].copy_from_slice(&port.to_be_bytes());
    // The last two bytes are no checksum, which UDP over IPv4 may do without.
    head[38..40].copy_from_slice(&udp.to_be_bytes());
    Some(head)
}

// Blocks and options, as draft-ietf-opsawg-pcapng §4 numbers them.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const COMMENT: u16 = 1;
const USER_APPLICATION: u16 = 4;
const INTERFACE_NAME: u16 = 2;
const INTERFACE_DESCRIPTION: u16 = 3;
const RECEIVED: u16 = 4;

fn put_block(out: &mut impl Write, kind: u32, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 12).map_err(|_| io::ErrorKind::FileTooLarge)?.to_le_bytes();
    out.write_all(&kind.to_le_bytes())?;
    out.write_all(&length)?;
    out.write_all(body)?;
    out.write_all(&length)
}

/// Appends an option; what is beyond the length that an option can have is cut.
fn put_option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..value.len().min(usize::from(u16::MAX))).unwrap_or_default();
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

fn end_options(body: &mut Vec<u8>) {
    body.extend_from_slice(&[0; 4]);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
