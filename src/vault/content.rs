//! What is inside a chunk: records, one after the other, each with its kind and its length.
//!
//! Times count in microseconds from the moment recording began. Numbers are LEB128 in their shortest form; signed ones are zigzag.

use std::fmt;
use std::mem;
use std::time::Duration;

use crate::ids::Leg;
use crate::time::Moment;
use crate::vault::format::wide;

/// One record of a recording. `P` is how bytes are held: borrowed from the chunk, or owned.
#[derive(Clone, PartialEq, Eq)]
pub enum Record<P = Vec<u8>> {
    /// The evidence on which recording began, as JSON: the first record, and the only one of chunk 0.
    Evidence(P),
    /// What a payload type means on a leg, from here on.
    Format(Format),
    /// One packet as it came.
    Rtp {
        /// Where it came from.
        leg: Leg,
        /// When, from the beginning.
        came: Duration,
        /// The whole RTP packet.
        packet: P,
    },
    /// Packets that are missing, and why.
    Gap(Gap),
    /// How good what came from a leg was.
    Quality(Quality),
    /// The totals: the last record of the last chunk.
    End(Totals),
    /// A record of a kind this program does not know.
    Other {
        /// Its kind.
        kind: u8,
        /// What it holds.
        body: P,
    },
}

impl<P: AsRef<[u8]>> Record<P> {
    /// Returns the record with bytes that stay where they are.
    #[must_use]
    pub fn lent(&self) -> Record<&[u8]> {
        match self {
            Self::Evidence(json) => Record::Evidence(json.as_ref()),
            Self::Format(format) => Record::Format(format.clone()),
            Self::Rtp { leg, came, packet } => Record::Rtp { leg: *leg, came: *came, packet: packet.as_ref() },
            Self::Gap(gap) => Record::Gap(*gap),
            Self::Quality(quality) => Record::Quality(*quality),
            Self::End(totals) => Record::End(*totals),
            Self::Other { kind, body } => Record::Other { kind: *kind, body: body.as_ref() },
        }
    }
}

impl Record<&[u8]> {
    /// Returns the record with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Record {
        match self {
            Self::Evidence(json) => Record::Evidence(json.to_vec()),
            Self::Format(format) => Record::Format(format),
            Self::Rtp { leg, came, packet } => Record::Rtp { leg, came, packet: packet.to_vec() },
            Self::Gap(gap) => Record::Gap(gap),
            Self::Quality(quality) => Record::Quality(quality),
            Self::End(totals) => Record::End(totals),
            Self::Other { kind, body } => Record::Other { kind, body: body.to_vec() },
        }
    }
}

/// Prints no audio and no evidence.
impl<P: AsRef<[u8]>> fmt::Debug for Record<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence(json) => write!(f, "Evidence({} bytes)", json.as_ref().len()),
            Self::Format(format) => format.fmt(f),
            Self::Rtp { leg, came, packet } => write!(f, "Rtp({leg}, {came:?}, {} bytes)", packet.as_ref().len()),
            Self::Gap(gap) => gap.fmt(f),
            Self::Quality(quality) => quality.fmt(f),
            Self::End(totals) => totals.fmt(f),
            Self::Other { kind, body } => write!(f, "Other({kind:#04x}, {} bytes)", body.as_ref().len()),
        }
    }
}

/// What a payload type means on a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Format {
    /// The leg whose packets carry it.
    pub leg: Leg,
    /// From when on.
    pub since: Duration,
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// RTP clock rate in Hz (8000 for G.722 too, RFC 3551 §4.5.2).
    pub clock: u32,
    /// Channels.
    pub channels: u8,
    /// The encoding's name as in SDP, as `PCMA`.
    pub name: String,
}

/// Packets that came, or may have come, and are not in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// Whose; nothing says both legs'.
    pub leg: Option<Leg>,
    /// Why.
    pub reason: GapReason,
    /// From when.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
    /// How many packets are known to be missing. 0 where nobody counted.
    pub packets: u64,
}

/// Why packets are missing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GapReason {
    /// The lane to the disk was full.
    LaneFull,
    /// The disk was full.
    DiskFull,
    /// The disk failed, or did not answer in time.
    DiskFailed,
    /// The packet was longer than a recorder takes.
    TooLong,
    /// The recording was paused.
    Paused,
    /// The recorder was not running.
    Restarted,
    /// They were in the file, and somebody who may has taken them out since.
    Redacted,
    /// A code this program does not know.
    Other(u8),
}

impl GapReason {
    /// Returns the code that stands in the file.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::LaneFull => 1,
            Self::DiskFull => 2,
            Self::DiskFailed => 3,
            Self::TooLong => 4,
            Self::Paused => 5,
            Self::Restarted => 6,
            Self::Redacted => 7,
            Self::Other(code) => code,
        }
    }

    /// Returns the reason of a code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::LaneFull,
            2 => Self::DiskFull,
            3 => Self::DiskFailed,
            4 => Self::TooLong,
            5 => Self::Paused,
            6 => Self::Restarted,
            7 => Self::Redacted,
            code => Self::Other(code),
        }
    }

    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LaneFull => "lane-full",
            Self::DiskFull => "disk-full",
            Self::DiskFailed => "disk-failed",
            Self::TooLong => "packet-too-long",
            Self::Paused => "paused",
            Self::Restarted => "restarted",
            Self::Redacted => "redacted",
            Self::Other(_) => "unknown",
        }
    }
}

/// Why a recording ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EndReason {
    /// The party on this leg hung up.
    HungUp(Leg),
    /// The party on this leg withdrew consent.
    Withdrawn(Leg),
    /// An operator stopped it.
    Stopped,
    /// No packet came for too long.
    Silent,
    /// The call went over to media that are not recorded.
    MediaChanged,
    /// The recorder ended the call: it could not go on recording, and the policy is mandatory.
    Mandatory,
    /// The recorder was shut down in order.
    Shutdown,
    /// The call failed: a timer, an error of a peer.
    CallFailed,
    /// The call went on as another, with one party replaced: a transfer.
    Transferred,
    /// A code this program does not know.
    Other(u8),
}

impl EndReason {
    /// Returns the code that stands in the file.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::HungUp(Leg::Pbx) => 1,
            Self::HungUp(Leg::Trunk) => 2,
            Self::Withdrawn(Leg::Pbx) => 3,
            Self::Withdrawn(Leg::Trunk) => 4,
            Self::Stopped => 5,
            Self::Silent => 6,
            Self::MediaChanged => 7,
            Self::Mandatory => 8,
            Self::Shutdown => 9,
            Self::CallFailed => 10,
            Self::Transferred => 11,
            Self::Other(code) => code,
        }
    }

    /// Returns the reason of a code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::HungUp(Leg::Pbx),
            2 => Self::HungUp(Leg::Trunk),
            3 => Self::Withdrawn(Leg::Pbx),
            4 => Self::Withdrawn(Leg::Trunk),
            5 => Self::Stopped,
            6 => Self::Silent,
            7 => Self::MediaChanged,
            8 => Self::Mandatory,
            9 => Self::Shutdown,
            10 => Self::CallFailed,
            11 => Self::Transferred,
            code => Self::Other(code),
        }
    }

    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HungUp(Leg::Pbx) => "pbx-hung-up",
            Self::HungUp(Leg::Trunk) => "trunk-hung-up",
            Self::Withdrawn(Leg::Pbx) => "pbx-withdrew",
            Self::Withdrawn(Leg::Trunk) => "trunk-withdrew",
            Self::Stopped => "stopped",
            Self::Silent => "no-media",
            Self::MediaChanged => "media-changed",
            Self::Mandatory => "mandatory-recording-failed",
            Self::Shutdown => "shutdown",
            Self::CallFailed => "call-failed",
            Self::Transferred => "transferred",
            Self::Other(_) => "unknown",
        }
    }
}

/// How good what came from a leg was, from the beginning of its media, which may be before that of the recording, to the recording's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quality {
    /// Whose.
    pub leg: Leg,
    /// Packets that the sequence numbers promise.
    pub expected: u64,
    /// Packets that came, duplicates included.
    pub received: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came behind one with a higher number.
    pub reordered: u64,
    /// The mean interarrival jitter (RFC 3550); nothing where the clock is not known.
    pub jitter: Option<Duration>,
    /// The highest.
    pub worst_jitter: Option<Duration>,
    /// The mean round trip that RTCP told of.
    pub round_trip: Option<Duration>,
    /// The longest time between two packets while media was due from the party.
    pub longest_gap: Duration,
    /// How long media was due from it.
    pub due: Duration,
}

/// What a recording has, and why it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// Why it ended.
    pub reason: EndReason,
    /// When.
    pub ended: Duration,
    /// What it has of each leg ([`Leg::index`]).
    pub legs: [LegTotals; 2],
    /// Gap records.
    pub gaps: u64,
    /// Packets the gap records count.
    pub lost: u64,
}

/// What a recording has of one leg.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LegTotals {
    /// Packets.
    pub packets: u64,
    /// Their bytes, RTP headers included.
    pub bytes: u64,
    /// The earliest arrival. 0 without packets.
    pub first: Duration,
    /// The latest arrival. 0 without packets.
    pub last: Duration,
    /// Packets that were not stored on purpose: pressed keys.
    pub withheld: u64,
}

impl LegTotals {
    pub(super) fn count(&mut self, came: Duration, bytes: usize) {
        self.first = if self.packets == 0 { came } else { self.first.min(came) };
        self.last = self.last.max(came);
        self.packets += 1;
        self.bytes += wide(bytes);
    }

    pub(super) fn merge(&mut self, other: Self) {
        if other.packets > 0 {
            self.first = if self.packets == 0 { other.first } else { self.first.min(other.first) };
            self.last = self.last.max(other.last);
        }
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.withheld += other.withheld;
    }
}

/// Returns how long after `began` a moment is, or zero where it lies before.
pub(super) const fn offset(began: Moment, moment: Moment) -> Duration {
    moment.since(began)
}

const EVIDENCE: u8 = 0x01;
const FORMAT: u8 = 0x02;
const GAP: u8 = 0x03;
const END: u8 = 0x05;
const QUALITY: u8 = 0x06;
const RTP_PBX: u8 = 0x10;
const RTP_TRUNK: u8 = 0x11;

/// The most bytes `put_rtp` writes beside the packet: kind, a length of up to three bytes, ten bytes of time.
pub(super) const RTP_OVERHEAD: usize = 1 + 3 + 10;
/// The most bytes `put_gap` writes: kind, length, leg, reason, three numbers.
pub(super) const GAP_BYTES: usize = 4 + 3 * 10;
/// The most bytes `put_end` writes: kind, two bytes of length, reason, thirteen numbers.
pub(super) const END_BYTES: usize = 4 + 13 * 10;

/// The most bytes `put_quality` writes: kind, length, leg, nine numbers.
pub(super) const QUALITY_BYTES: usize = 3 + 9 * 10;

/// Writes an evidence record.
pub(super) fn put_evidence(out: &mut Vec<u8>, json: &[u8]) {
    out.push(EVIDENCE);
    put_number(out, wide(json.len()));
    out.extend_from_slice(json);
}

/// Writes a packet; `clock` is the chunk's, and moves on to the packet's arrival.
pub(super) fn put_rtp(out: &mut Vec<u8>, clock: &mut u64, leg: Leg, came: Duration, packet: &[u8]) {
    let came = micros(came);
    let delta = zigzag(came.wrapping_sub(*clock).cast_signed());
    *clock = came;
    out.push(match leg {
        Leg::Pbx => RTP_PBX,
        Leg::Trunk => RTP_TRUNK,
    });
    put_number(out, wide(number_bytes(delta) + packet.len()));
    put_number(out, delta);
    out.extend_from_slice(packet);
}

/// Writes a format.
pub(super) fn put_format(out: &mut Vec<u8>, format: &Format) {
    let mut body = vec![leg_code(Some(format.leg)), format.payload_type, format.channels];
    put_number(&mut body, u64::from(format.clock));
    put_number(&mut body, micros(format.since));
    body.extend_from_slice(format.name.as_bytes());
    put_body(out, FORMAT, &body);
}

/// Writes a gap.
pub(super) fn put_gap(out: &mut Vec<u8>, gap: &Gap) {
    let mut body = vec![leg_code(gap.leg), gap.reason.code()];
    let from = micros(gap.from);
    put_number(&mut body, from);
    put_number(&mut body, micros(gap.to).saturating_sub(from));
    put_number(&mut body, gap.packets);
    put_body(out, GAP, &body);
}

/// Writes how good a leg was.
pub(super) fn put_quality(out: &mut Vec<u8>, quality: &Quality) {
    let mut body = vec![leg_code(Some(quality.leg))];
    for number in [quality.expected, quality.received, quality.duplicates, quality.reordered] {
        put_number(&mut body, number);
    }
    // One more than it is: 0 is what is not known.
    for perhaps in [quality.jitter, quality.worst_jitter, quality.round_trip] {
        put_number(&mut body, perhaps.map_or(0, |time| micros(time).saturating_add(1)));
    }
    put_number(&mut body, micros(quality.longest_gap));
    put_number(&mut body, micros(quality.due));
    put_body(out, QUALITY, &body);
}

/// Writes the end.
pub(super) fn put_end(out: &mut Vec<u8>, totals: &Totals) {
    let mut body = vec![totals.reason.code()];
    put_number(&mut body, micros(totals.ended));
    for leg in &totals.legs {
        for number in [leg.packets, leg.bytes, micros(leg.first), micros(leg.last), leg.withheld] {
            put_number(&mut body, number);
        }
    }
    put_number(&mut body, totals.gaps);
    put_number(&mut body, totals.lost);
    put_body(out, END, &body);
}

/// The records of one chunk, in order. After one that cannot be read nothing follows.
pub struct Records<'c> {
    rest: &'c [u8],
    clock: u64,
}

impl<'c> Records<'c> {
    pub(super) const fn new(plain: &'c [u8]) -> Self {
        Self { rest: plain, clock: 0 }
    }

    fn record(&mut self) -> Result<Record<&'c [u8]>, Unreadable> {
        let mut input = Input(self.rest);
        let kind = input.byte()?;
        let length = input.number()?;
        let length = usize::try_from(length).map_err(|_| Unreadable("a record is longer than its chunk"))?;
        let mut body = Input(input.bytes(length)?);
        let record = match kind {
            EVIDENCE => Record::Evidence(body.rest()),
            FORMAT => Record::Format(format(&mut body)?),
            GAP => Record::Gap(gap(&mut body)?),
            QUALITY => Record::Quality(quality(&mut body)?),
            END => Record::End(end(&mut body)?),
            RTP_PBX => self.rtp(Leg::Pbx, &mut body)?,
            RTP_TRUNK => self.rtp(Leg::Trunk, &mut body)?,
            kind => Record::Other { kind, body: body.rest() },
        };
        if !body.0.is_empty() {
            return Err(Unreadable("a record is longer than its fields"));
        }
        self.rest = input.0;
        Ok(record)
    }

    fn rtp(&mut self, leg: Leg, body: &mut Input<'c>) -> Result<Record<&'c [u8]>, Unreadable> {
        let delta = unzigzag(body.number()?);
        self.clock = self.clock.checked_add_signed(delta).ok_or(Unreadable("a packet came before the beginning"))?;
        Ok(Record::Rtp { leg, came: Duration::from_micros(self.clock), packet: body.rest() })
    }
}

impl<'c> Iterator for Records<'c> {
    type Item = Result<Record<&'c [u8]>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.record();
        if record.is_err() {
            self.rest = &[];
        }
        Some(record)
    }
}

/// Prints no content.
impl fmt::Debug for Records<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes left)", self.rest.len())
    }
}

/// What was sealed is not as specified: the writer's fault, not the disk's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unreadable(pub(super) &'static str);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unreadable {}

fn format(body: &mut Input<'_>) -> Result<Format, Unreadable> {
    let leg = body.leg()?.ok_or(Unreadable("a format is of both legs"))?;
    let payload_type = body.byte()?;
    let channels = body.byte()?;
    let clock = u32::try_from(body.number()?).map_err(|_| Unreadable("a clock rate is above 2^32 Hz"))?;
    let since = body.time()?;
    let name = str::from_utf8(body.rest()).map_err(|_| Unreadable("a name is not UTF-8"))?.to_owned();
    Ok(Format { leg, since, payload_type, clock, channels, name })
}

fn gap(body: &mut Input<'_>) -> Result<Gap, Unreadable> {
    let leg = body.leg()?;
    let reason = GapReason::from_code(body.byte()?);
    let from = body.number()?;
    let to = from.checked_add(body.number()?).ok_or(Unreadable("a gap ends after all time"))?;
    let packets = body.number()?;
    Ok(Gap { leg, reason, from: Duration::from_micros(from), to: Duration::from_micros(to), packets })
}

fn quality(body: &mut Input<'_>) -> Result<Quality, Unreadable> {
    let leg = body.leg()?.ok_or(Unreadable("a quality is of both legs"))?;
    let [expected, received, duplicates, reordered] = [body.number()?, body.number()?, body.number()?, body.number()?];
    let mut perhaps = || Ok(body.number()?.checked_sub(1).map(Duration::from_micros));
    let (jitter, worst_jitter, round_trip) = (perhaps()?, perhaps()?, perhaps()?);
    let (longest_gap, due) = (body.time()?, body.time()?);
    Ok(Quality { leg, expected, received, duplicates, reordered, jitter, worst_jitter, round_trip, longest_gap, due })
}

fn end(body: &mut Input<'_>) -> Result<Totals, Unreadable> {
    let reason = EndReason::from_code(body.byte()?);
    let ended = body.time()?;
    let mut leg = || -> Result<LegTotals, Unreadable> {
        let (packets, bytes) = (body.number()?, body.number()?);
        Ok(LegTotals { packets, bytes, first: body.time()?, last: body.time()?, withheld: body.number()? })
    };
    let legs = [leg()?, leg()?];
    let (gaps, lost) = (body.number()?, body.number()?);
    Ok(Totals { reason, ended, legs, gaps, lost })
}

struct Input<'b>(&'b [u8]);

impl<'b> Input<'b> {
    fn byte(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable("a record ends within a field"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, count: usize) -> Result<&'b [u8], Unreadable> {
        let (head, rest) = self.0.split_at_checked(count).ok_or(Unreadable("a record is longer than its chunk"))?;
        self.0 = rest;
        Ok(head)
    }

    fn rest(&mut self) -> &'b [u8] {
        mem::take(&mut self.0)
    }

    /// LEB128: seven bits a byte, the lowest first, the top bit set on all but the last; the shortest form, at most 64 bits.
    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break; // bit 64 and above
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let is_shortest = byte != 0 || shift == 0;
                return if is_shortest { Ok(value) } else { Err(Unreadable("a number is not in its shortest form")) };
            }
        }
        Err(Unreadable("a number has more than 64 bits"))
    }

    fn time(&mut self) -> Result<Duration, Unreadable> {
        self.number().map(Duration::from_micros)
    }

    fn leg(&mut self) -> Result<Option<Leg>, Unreadable> {
        match self.byte()? {
            0 => Ok(Some(Leg::Pbx)),
            1 => Ok(Some(Leg::Trunk)),
            2 => Ok(None),
            _ => Err(Unreadable("a leg is neither of the two")),
        }
    }
}

fn put_body(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    put_number(out, wide(body.len()));
    out.extend_from_slice(body);
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn number_bytes(value: u64) -> usize {
    // 1 to 64 bits, seven to a byte.
    let bits = 64 - (value | 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).expect("at most ten")
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ (value & 1).cast_signed().wrapping_neg()
}

const fn leg_code(leg: Option<Leg>) -> u8 {
    match leg {
        Some(Leg::Pbx) => 0,
        Some(Leg::Trunk) => 1,
        None => 2,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn totals() -> Totals {
        let leg = LegTotals { packets: 1, bytes: u64::MAX, first: MS(2), last: MS(3), withheld: 4 };
        Totals { reason: EndReason::Withdrawn(Leg::Trunk), ended: MS(99), legs: [leg, LegTotals::default()], gaps: 1, lost: 300 }
    }

    fn quality(number: u64) -> Quality {
        let time = Duration::from_micros(number);
        Quality {
            leg: Leg::Trunk,
            expected: number,
            received: number,
            duplicates: number,
            reordered: number,
            jitter: Some(time),
            worst_jitter: None,
            round_trip: Some(Duration::ZERO),
            longest_gap: time,
            due: time,
        }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let format = Format { leg: Leg::Trunk, since: MS(1), payload_type: 8, clock: 8000, channels: 1, name: "PCMA".into() };
        let gap = Gap { leg: None, reason: GapReason::Other(200), from: MS(5), to: MS(7), packets: 12 };
        let (mut out, mut clock) = (Vec::new(), 0);
        put_evidence(&mut out, b"{}");
        put_format(&mut out, &format);
        put_rtp(&mut out, &mut clock, Leg::Trunk, MS(20), b"late");
        put_rtp(&mut out, &mut clock, Leg::Pbx, MS(19), b"early");
        put_gap(&mut out, &gap);
        out.extend_from_slice(&[0x7f, 2, 9, 9]);
        put_quality(&mut out, &quality(7));
        put_end(&mut out, &totals());

        let records: Result<Vec<_>, _> = Records::new(&out).collect();

        let expected = vec![
            Record::Evidence(b"{}".as_slice()),
            Record::Format(format),
            Record::Rtp { leg: Leg::Trunk, came: MS(20), packet: b"late" },
            Record::Rtp { leg: Leg::Pbx, came: MS(19), packet: b"early" },
            Record::Gap(gap),
            Record::Other { kind: 0x7f, body: &[9, 9] },
            Record::Quality(quality(7)),
            Record::End(totals()),
        ];
        assert_eq!(records, Ok(expected));
    }

    #[test]
    fn a_packet_of_20_ms_costs_six_bytes_at_most() {
        let (mut out, mut clock) = (Vec::new(), 3_600_000_000);

        put_rtp(&mut out, &mut clock, Leg::Pbx, MS(3_600_020), &[0; 172]);

        assert_eq!(out.len(), 172 + 6);
    }

    #[test]
    fn numbers_have_one_form() {
        for (value, form) in
            [(0, vec![0]), (127, vec![127]), (128, vec![0x80, 1]), (u64::MAX, [[0xff; 9].as_slice(), &[1]].concat())]
        {
            let mut out = Vec::new();
            put_number(&mut out, value);
            assert_eq!((out.as_slice(), number_bytes(value)), (form.as_slice(), form.len()));
            assert_eq!(Input(&out).number(), Ok(value));
        }
        assert!(Input(&[0x80, 0]).number().is_err(), "longer than need be");
        assert!(Input(&[0xff; 11]).number().is_err());
        assert!(Input(&[[0xff; 9].as_slice(), &[2]].concat()).number().is_err(), "65 bits");
        assert!(Input(&[0x80]).number().is_err());
    }

    #[test]
    fn zigzag_keeps_every_difference() {
        for value in [0, 1, -1, 64, -65, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!((zigzag(-1), zigzag(1)), (1, 2));
    }

    #[test]
    fn the_room_kept_for_records_is_enough() {
        let (mut out, mut clock) = (Vec::new(), 0);
        put_rtp(&mut out, &mut clock, Leg::Pbx, Duration::from_micros(u64::MAX), &[0; 2048]);
        assert!(out.len() <= 2048 + RTP_OVERHEAD);

        out.clear();
        let most = Duration::from_micros(u64::MAX / 2 + 1);
        put_gap(&mut out, &Gap { leg: None, reason: GapReason::Paused, from: most, to: Duration::MAX, packets: u64::MAX });
        assert!(out.len() <= GAP_BYTES);

        out.clear();
        let leg = LegTotals { packets: u64::MAX, bytes: u64::MAX, first: Duration::MAX, last: Duration::MAX, withheld: u64::MAX };
        let totals = Totals { reason: EndReason::Stopped, ended: Duration::MAX, legs: [leg; 2], gaps: u64::MAX, lost: u64::MAX };
        put_end(&mut out, &totals);
        assert_eq!(out.len(), END_BYTES);
        let mut out = Vec::new();
        put_quality(
            &mut out,
            &Quality { worst_jitter: Some(Duration::MAX), round_trip: Some(Duration::MAX), ..quality(u64::MAX) },
        );
        assert!(out.len() <= QUALITY_BYTES, "{}", out.len());
    }

    #[test]
    fn codes_and_reasons_are_one_to_one() {
        let words =
            |word: fn(u8) -> &'static str| (0..=255).map(word).filter(|&word| word != "unknown").collect::<HashSet<_>>().len();

        assert_eq!(words(|code| GapReason::from_code(code).as_str()), 7);
        assert_eq!(words(|code| EndReason::from_code(code).as_str()), 11);
        for code in 0..=255 {
            assert_eq!(GapReason::from_code(code).code(), code);
            assert_eq!(EndReason::from_code(code).code(), code);
        }
    }

    #[test]
    fn what_is_malformed_ends_the_chunk() {
        for bad in [
            [GAP, 1, 0].as_slice(),            // ends within its fields
            &[GAP, 6, 0, 1, 0, 0, 0, 0],       // longer than its fields
            &[GAP, 5, 3, 1, 0, 0, 0],          // no such leg
            &[FORMAT, 5, 2, 8, 1, 0, 0],       // a format of both legs
            &[RTP_PBX, 1, 1],                  // came one microsecond before the beginning
            &[RTP_PBX, 200, 1],                // longer than the chunk
            &[FORMAT, 6, 0, 8, 1, 0, 0, 0xff], // not UTF-8
        ] {
            let mut records = Records::new(bad);
            assert!(matches!(records.next(), Some(Err(_))), "{bad:?}");
            assert!(records.next().is_none());
        }
    }
}
