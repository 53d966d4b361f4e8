//! One stream of RTP: voice whose every packet is unlike any other in the world, keys, and a report now and then.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::ids::Leg;
use mitschnitt::time::Moment;

use super::super::border::{Datagram, voice};
use super::sdp::EVENT;

/// A stream that a phone sends, or would send.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Whose.
    pub(super) call: u32,
    pub(super) leg: Leg,
    /// Tells it from the other streams of this leg.
    pub(super) source: u8,
    pub(super) ssrc: u32,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) payload_type: u8,
    /// Whether keys may be sent in it.
    pub(super) events: bool,
    sequence: u16,
    timestamp: u32,
    counter: u32,
    /// When the next packet is sent; nothing while it rests.
    pub(super) next: Option<Moment>,
    /// When it ends.
    until: Option<Moment>,
    rested_at: Option<Moment>,
    is_first: bool,
    press: Option<Pressing>,
}

/// A key that is held.
#[derive(Clone, Copy, Debug)]
struct Pressing {
    event: u8,
    timestamp: u32,
    /// Packets sent so far.
    sent: u16,
}

impl Stream {
    pub(super) const fn new(call: u32, leg: Leg, source: u8, drawn: u64, from: SocketAddr) -> Self {
        let [a, b, c, d, e, f, g, h] = drawn.to_be_bytes();
        Self {
            call,
            leg,
            source,
            ssrc: u32::from_be_bytes([a, b, c, d]),
            from,
            to: from,
            payload_type: 0,
            events: false,
            sequence: u16::from_be_bytes([e, f]),
            timestamp: u32::from_be_bytes([g, h, a, b]),
            counter: 0,
            next: None,
            until: None,
            rested_at: None,
            is_first: true,
            press: None,
        }
    }

    /// Begins to send, or goes on.
    pub(super) fn run(&mut self, now: Moment) {
        if self.next.is_none() && self.until.is_none() {
            if let Some(rested_at) = self.rested_at.take() {
                // The clock has run on (RFC 3550 §5.1): whole frames of it.
                let frames = now.since(rested_at).as_micros() / FRAME.as_micros();
                self.timestamp = self.timestamp.wrapping_add(u32::try_from(frames).unwrap_or(0).wrapping_mul(TICKS));
            }
            self.is_first = true;
            self.next = Some(now + Duration::from_millis(1));
        }
    }

    /// Sends nothing for now.
    pub(super) fn rest(&mut self, now: Moment) {
        if self.next.take().is_some() {
            self.rested_at = Some(now);
            self.press = None;
        }
    }

    /// Sends for so long, and then never again.
    pub(super) fn end(&mut self, at: Moment) {
        if self.until.is_none_or(|until| at < until) {
            self.until = Some(at);
            self.next = self.next.filter(|&next| next < at);
        }
    }

    /// Goes on as another source, in mid-call.
    pub(super) fn become_another(&mut self, source: u8, drawn: u64) {
        let other = Self::new(self.call, self.leg, source, drawn, self.from);
        (self.source, self.ssrc, self.sequence) = (source, other.ssrc, other.sequence);
        (self.timestamp, self.counter, self.is_first, self.press) = (other.timestamp, 0, true, None);
    }

    /// Holds a key for five packets, and lets it go.
    pub(super) fn press(&mut self, key: char) {
        let event = match key {
            '0'..='9' => key as u8 - b'0',
            '*' => 10,
            '#' => 11,
            'A'..='D' => key as u8 - b'A' + 12,
            _ => return,
        };
        if self.events && self.next.is_some() && self.press.is_none() {
            self.press = Some(Pressing { event, timestamp: self.timestamp, sent: 0 });
        }
    }

    /// Sends what is due.
    pub(super) fn wake(&mut self, now: Moment, out: &mut Vec<Datagram>) {
        while let Some(due) = self.next.filter(|&due| due <= now) {
            let bytes = match self.press {
                Some(pressing) => self.event(pressing),
                None => self.voice(),
            };
            out.push(Datagram { from: self.from, to: self.to, bytes });
            self.sequence = self.sequence.wrapping_add(1);
            self.timestamp = self.timestamp.wrapping_add(TICKS);
            if self.counter % REPORT_EVERY == REPORT_EVERY / 2 && self.press.is_none() {
                out.push(self.report());
            }
            let next = due + FRAME;
            self.next = self.until.is_none_or(|until| next < until).then_some(next);
        }
    }

    /// A packet as it would be sent now, in somebody else's hand.
    pub(super) fn forged(&mut self, source: u8, counter: u32) -> Bytes {
        let payload = voice(self.call, self.leg.index() as u8, source, counter);
        packet(false, self.payload_type, self.sequence.wrapping_add(low(counter)), self.timestamp, self.ssrc, &payload)
    }

    fn voice(&mut self) -> Bytes {
        let payload = voice(self.call, self.leg.index() as u8, self.source, self.counter);
        self.counter += 1;
        let marker = std::mem::take(&mut self.is_first);
        packet(marker, self.payload_type, self.sequence, self.timestamp, self.ssrc, &payload)
    }

    /// RFC 4733 §2.5.1: the first has the marker, the duration grows, the last is sent three times.
    fn event(&mut self, pressing: Pressing) -> Bytes {
        let Pressing { event, timestamp, sent } = pressing;
        let is_end = sent >= HELD;
        let duration = (sent.min(HELD) + 1) * 160;
        let [high, low] = duration.to_be_bytes();
        let payload = [event, if is_end { 0x8a } else { 0x0a }, high, low];
        self.press = (sent < HELD + 2).then_some(Pressing { event, timestamp, sent: sent + 1 });
        packet(sent == 0, EVENT, self.sequence, timestamp, self.ssrc, &payload)
    }

    /// A sender report without a block, and the name of the source (RFC 3550 §6.4.1, §6.5).
    fn report(&self) -> Datagram {
        let mut bytes = Vec::with_capacity(44);
        bytes.extend_from_slice(&[0x80, 200, 0, 6]);
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(&u64::from(self.timestamp).to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.counter.to_be_bytes());
        bytes.extend_from_slice(&(self.counter * 40).to_be_bytes());
        bytes.extend_from_slice(&[0x81, 202, 0, 3]);
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(b"\x01\x04self\0\0");
        let beside = |address: SocketAddr| SocketAddr::new(address.ip(), address.port().wrapping_add(1));
        Datagram { from: beside(self.from), to: beside(self.to), bytes: Bytes::from(bytes) }
    }
}

/// One packet every 20 ms.
const FRAME: Duration = Duration::from_millis(20);

/// 20 ms at 8 kHz.
const TICKS: u32 = 160;

/// Packets of a key before its end: 100 ms.
const HELD: u16 = 5;

/// Voice packets between two reports: one second.
const REPORT_EVERY: u32 = 50;

fn packet(marker: bool, payload_type: u8, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(12 + payload.len());
    bytes.extend_from_slice(&[0x80, payload_type | if marker { 0x80 } else { 0 }]);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(&ssrc.to_be_bytes());
    bytes.extend_from_slice(payload);
    Bytes::from(bytes)
}

fn low(counter: u32) -> u16 {
    u16::try_from(counter & 0xffff).unwrap_or(0)
}
