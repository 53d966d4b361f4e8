//! Senders and a network for this room's tests: packets with the times they came, and what is heard of them.

use std::convert::Infallible;
use std::io::Cursor;
use std::time::Duration;

use crate::export::{self, Channels, Exported};
use crate::ids::Leg;
use crate::vault::Record;
use crate::wire::rtp::Header;

/// Bytes and ticks of a packet of 20 ms.
pub(super) const FRAME: usize = 160;

/// Microseconds of a packet.
pub(super) const FRAME_US: u64 = 20_000;

/// One packet, and when it came in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) leg: Leg,
    pub(super) came: u64,
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

/// A phone that sends 20 ms of sound every 20 ms of its own clock, beginning near the wrap of both its counters.
pub(super) fn phone(leg: Leg, began_us: u64, sound: &[u8]) -> Vec<Sent> {
    let header = Header { payload_type: 0, marker: false, sequence: 0xfff0, timestamp: 0xffff_ff00, ssrc: 0x5eed };
    let packets = sound.chunks(FRAME).zip(0_u32..);
    packets
        .map(|(payload, index)| Sent {
            leg,
            came: began_us + u64::from(index) * FRAME_US,
            header: Header {
                sequence: header.sequence.wrapping_add(index as u16),
                timestamp: header.timestamp.wrapping_add(index * 160),
                ..header
            },
            payload: payload.to_vec(),
        })
        .collect()
}

/// µ-law codes without order, none of which is zero or quiet.
pub(super) fn voice(seed: u32, packets: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Exponents 3 to 6 of either sign: magnitudes from 924 to 16,000.
        Some(!(((state >> 24) & 0x8f | (((state >> 20) & 3) + 3) << 4) as u8))
    };
    std::iter::from_fn(next).take(packets * FRAME).collect()
}

/// Delays each packet by up to `most` microseconds, without order.
pub(super) fn delay(sent: &mut [Sent], seed: u32, most: u64) {
    let mut state = seed | 1;
    for packet in sent {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        packet.came += u64::from(state >> 8) % most;
    }
}

/// The records of a recording in which these came, in the order in which they came.
pub(super) fn records(mut sent: Vec<Sent>) -> Vec<Record> {
    sent.sort_by_key(|packet| packet.came);
    let record = |Sent { leg, came, header, payload }: Sent| Record::Rtp {
        leg,
        came: Duration::from_micros(came),
        packet: [&header.to_bytes()[..], &payload].concat(),
    };
    sent.into_iter().map(record).collect()
}

/// What is in the file that is made of these records.
pub(super) struct Heard {
    pub(super) exported: Exported,
    pub(super) pbx: Vec<i16>,
    pub(super) trunk: Vec<i16>,
    pub(super) bytes: Vec<u8>,
}

pub(super) fn hear(records: Vec<Record>) -> Heard {
    let reading = || records.iter().cloned().map(Ok::<_, Infallible>);
    let survey = export::survey(None, reading()).unwrap();
    let mut file = Cursor::new(Vec::new());
    let exported = export::wav(&survey, Channels::Stereo, reading(), &mut file).unwrap();
    let bytes = file.into_inner();
    let (frames, _) = bytes[44..].as_chunks::<4>();
    let side = |low, high| frames.iter().map(|frame| i16::from_le_bytes([frame[low], frame[high]])).collect();
    Heard { exported, pbx: side(0, 1), trunk: side(2, 3), bytes }
}

/// The sound without the silence around it, and how much silence went before it.
pub(super) fn trimmed(sound: &[i16]) -> (usize, &[i16]) {
    let first = sound.iter().position(|&sample| sample != 0).unwrap_or(sound.len());
    let last = sound.iter().rposition(|&sample| sample != 0).map_or(first, |last| last + 1);
    (first, &sound[first..last])
}

/// Fails where the sounds differ, and says where; a sound itself is too long to be printed.
#[track_caller]
pub(super) fn assert_same(heard: &[i16], expected: &[i16], case: &str) {
    let differs = heard.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        differs.is_none() && heard.len() == expected.len(),
        "{case}: {} samples for {}, the first that differs is at {differs:?}",
        heard.len(),
        expected.len()
    );
}
