//! Capture files (the old libpcap format over Ethernet): read as UDP datagrams and RTP packets, and written for SIPp to play.

use std::path::Path;

/// One UDP datagram of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Microseconds since 1970.
    pub(crate) at_us: u64,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) bytes: Vec<u8>,
}

/// One RTP packet of a capture.
#[derive(Clone, Debug)]
pub(crate) struct Rtp {
    pub(crate) at_us: u64,
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) payload_type: u8,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    pub(crate) payload: Vec<u8>,
}

/// Reads every UDP datagram of a file; one that is still being written may end in the middle of a packet.
pub(crate) fn datagrams(path: &Path) -> Vec<Datagram> {
    let file = std::fs::read(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    let Some(mut rest) = file.get(24..) else { return Vec::new() };
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "{} is a little-endian pcap with microseconds", path.display());
    assert_eq!(file[20], 1, "{} was taken from Ethernet", path.display());
    let mut found = Vec::new();
    while let Some((head, tail)) = rest.split_at_checked(16) {
        let word = |at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let Some((frame, tail)) = tail.split_at_checked(word(8) as usize) else { break };
        rest = tail;
        let at_us = u64::from(word(0)) * 1_000_000 + u64::from(word(4));
        let ip = &frame[14..];
        if frame[12..14] != [8, 0] || ip[9] != 17 {
            continue;
        }
        let udp = &ip[usize::from(ip[0] & 15) * 4..];
        let short = |at| u16::from_be_bytes([udp[at], udp[at + 1]]);
        let bytes = udp.get(8..usize::from(short(4))).unwrap_or_else(|| &udp[8..]).to_vec();
        found.push(Datagram { at_us, from: short(0), to: short(2), bytes });
    }
    found
}

/// Reads the RTP packets that went to this port.
pub(crate) fn rtp_to(path: &Path, port: u16) -> Vec<Rtp> {
    datagrams(path).into_iter().filter(|datagram| datagram.to == port).filter_map(as_rtp).collect()
}

/// Reads every datagram of a file as RTP.
pub(crate) fn rtp(path: &Path) -> Vec<Rtp> {
    datagrams(path).into_iter().filter_map(as_rtp).collect()
}

fn as_rtp(datagram: Datagram) -> Option<Rtp> {
    let Datagram { at_us, from, to, bytes } = datagram;
    // Version 2, and not one of RTCP's packet types (RFC 5761 §4).
    if bytes.len() < 12 || bytes[0] >> 6 != 2 || (72..=76).contains(&(bytes[1] & 127)) {
        return None;
    }
    let word = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    assert_eq!(bytes[0] & 0x3f, 0, "no padding, extension or contributing sources are sent in these tests");
    Some(Rtp {
        at_us,
        from,
        to,
        payload_type: bytes[1] & 127,
        sequence: u16::from_be_bytes([bytes[2], bytes[3]]),
        timestamp: word(4),
        ssrc: word(8),
        payload: bytes[12..].to_vec(),
    })
}

/// Writes payloads of A-law as a capture that SIPp can play, one packet every `ptime_ms`.
pub(crate) fn write_alaw(path: &Path, payloads: &[Vec<u8>], ptime_ms: u32, ssrc: u32) {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    for (n, payload) in (0_u32..).zip(payloads) {
        let udp_len = u16::try_from(8 + 12 + payload.len()).expect("a short packet");
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0]);
        frame.extend((20 + udp_len).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        frame.extend([0x13, 0x88, 0x07, 0xd6]);
        frame.extend(udp_len.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend([0x80, if n == 0 { 0x88 } else { 8 }]);
        frame.extend(u16::try_from((7000 + n) & 0xffff).expect("masked").to_be_bytes());
        frame.extend((50_000 + n * ptime_ms * 8).to_be_bytes());
        frame.extend(ssrc.to_be_bytes());
        frame.extend(payload);
        let at_ms = n * ptime_ms;
        for word in [1_000_000_000 + at_ms / 1000, at_ms % 1000 * 1000, frame.len() as u32, frame.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    std::fs::write(path, file).expect("the test's own directory can be written");
}

/// Panics unless a receiver may take these packets for one steady stream: one source, no number left out, time without a jump.
pub(crate) fn assert_steady(packets: &[Rtp], whose: &str) {
    let first = packets.first().unwrap_or_else(|| panic!("{whose} got no RTP at all"));
    for pair in packets.windows(2) {
        let [before, after] = pair else { unreachable!("windows of two") };
        assert_eq!(after.ssrc, first.ssrc, "{whose} got a second source at sequence {}", after.sequence);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1), "{whose} misses packets");
    }
    // A telephone-event keeps the time at which the key went down, so only audio tells the time.
    let audio = packets.iter().filter(|packet| packet.payload_type != 101);
    let late = audio.map(|packet| {
        let sent_us = i64::from(packet.timestamp.wrapping_sub(first.timestamp) as i32) * 125;
        let came_us = i64::try_from(packet.at_us - first.at_us).expect("a capture is short");
        came_us - sent_us
    });
    let (least, most) = late.fold((i64::MAX, i64::MIN), |(least, most), late| (least.min(late), most.max(late)));
    // A jump of the clock is seconds long as a rule; 200 ms are what two loaded cores may do to a timer.
    assert!(most - least < 200_000, "{whose}: the RTP time jumps by {} ms", (most - least) / 1000);
}
