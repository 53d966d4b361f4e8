//! What passes between the box and the world: datagrams, and the addresses of everybody.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

/// A datagram, between the box and somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Datagram {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// All of it.
    pub bytes: Bytes,
}

/// Into the box, or out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// The box was handed it.
    In,
    /// The box sent it.
    Out,
}

/// Where the box speaks SIP, with both sides.
pub const BOX_SIP: &str = "192.0.2.1:5060";
/// Where the box has its media ports: those that face the PBX, and the trunk (`Leg::index`).
pub const BOX_MEDIA: [&str; 2] = ["192.0.2.2", "203.0.113.1"];
/// The PBX. Its telephones' media come from 192.0.2.10 to 192.0.2.99.
pub const PBX_SIP: &str = "192.0.2.10:5060";
/// The carrier, whose network is 198.51.100.0/24. Its media come from 198.51.100.21 to 198.51.100.99.
pub const CARRIER_SIP: &str = "198.51.100.20:5060";

/// The box's SIP address.
pub const fn box_sip() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060)
}

/// The box's media addresses (`Leg::index`).
pub const fn box_media() -> [IpAddr; 2] {
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1))]
}

/// The PBX's SIP address.
pub const fn pbx_sip() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)), 5060)
}

/// The carrier's SIP address.
pub const fn carrier_sip() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 20)), 5060)
}

/// Bytes of a voice packet's payload.
pub const VOICE_BYTES: usize = 40;

/// What a packet of voice says: who spoke it, and which it is. No two packets of a world say the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Voice {
    /// The call's number.
    pub call: u32,
    /// The leg that it came from (`Leg::index`).
    pub leg: u8,
    /// Which of that leg's streams: forks, new sources, strangers have their own.
    pub source: u8,
    /// Which of the stream's packets.
    pub counter: u32,
}

impl Voice {
    /// Reads the payload of an RTP packet.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(b"VOICE")?;
        let (call, rest) = rest.split_first_chunk::<4>()?;
        let (&[leg, source], rest) = rest.split_first_chunk::<2>()?;
        let (counter, _) = rest.split_first_chunk::<4>()?;
        Some(Self { call: u32::from_be_bytes(*call), leg, source, counter: u32::from_be_bytes(*counter) })
    }
}

/// Makes the payload of a voice packet.
pub fn voice(call: u32, leg: u8, source: u8, counter: u32) -> [u8; VOICE_BYTES] {
    let mut payload = [b'.'; VOICE_BYTES];
    payload[..5].copy_from_slice(b"VOICE");
    payload[5..9].copy_from_slice(&call.to_be_bytes());
    payload[9] = leg;
    payload[10] = source;
    payload[11..15].copy_from_slice(&counter.to_be_bytes());
    payload
}
