//! A session description as the model reads it (RFC 8866): who receives what where, and which way it may flow (RFC 3264 §5.1).

use std::net::{IpAddr, SocketAddr};

/// One `m=` line with what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Media {
    pub(super) audio: bool,
    /// `RTP/AVP` or `RTP/AVPF`: not encrypted.
    pub(super) plain: bool,
    /// Where it wants its packets; port 0 refuses or removes it, and 0.0.0.0 is a hold of the old kind.
    pub(super) address: SocketAddr,
    /// Where it says it wants its RTCP, if it names an address (`a=rtcp`, RFC 3605).
    pub(super) rtcp: Option<IpAddr>,
    pub(super) sends: bool,
    pub(super) receives: bool,
    /// Payload types, one bit each, and the one that it prefers.
    pub(super) formats: u128,
    pub(super) first: u8,
    /// The payload type of `telephone-event`.
    pub(super) events: Option<u8>,
}

impl Media {
    pub(super) const fn takes(&self, payload_type: u8) -> bool {
        self.formats & (1 << payload_type) != 0
    }

    /// It is there, in the clear, and both ways.
    pub(super) fn is_open(&self) -> bool {
        self.plain && self.address.port() != 0 && !self.address.ip().is_unspecified() && self.sends && self.receives
    }
}

/// Reads the `m=` lines; those that cannot be read are passed over.
pub(super) fn read(body: &[u8]) -> Vec<Media> {
    let text = String::from_utf8_lossy(body);
    let mut session = (None, true, true);
    let mut media: Vec<Media> = Vec::new();
    for line in text.lines() {
        let Some((kind, value)) = line.split_once('=') else { continue };
        let value = value.trim();
        match (kind, media.last_mut()) {
            ("m", _) => media.extend(opened(value, session)),
            ("c", None) => session.0 = address(value),
            ("c", Some(last)) => last.address.set_ip(address(value).unwrap_or_else(|| last.address.ip())),
            ("a", last) => {
                let (name, rest) = value.split_once(':').unwrap_or((value, ""));
                let flow = match name {
                    "sendrecv" => Some((true, true)),
                    "sendonly" => Some((true, false)),
                    "recvonly" => Some((false, true)),
                    "inactive" => Some((false, false)),
                    _ => None,
                };
                match (flow, last) {
                    (Some((sends, receives)), Some(last)) => (last.sends, last.receives) = (sends, receives),
                    (Some((sends, receives)), None) => (session.1, session.2) = (sends, receives),
                    (None, Some(last)) if name == "rtpmap" => {
                        let (number, codec) = rest.split_once(' ').unwrap_or((rest, ""));
                        if codec.to_ascii_lowercase().starts_with("telephone-event/") {
                            last.events = number.parse().ok();
                        }
                    }
                    (None, Some(last)) if name == "rtcp" => last.rtcp = rest.split_once(' ').and_then(|(_, host)| address(host)),
                    (None, _) => {}
                }
            }
            _ => {}
        }
    }
    media
}

fn opened(value: &str, session: (Option<IpAddr>, bool, bool)) -> Option<Media> {
    let mut words = value.split_ascii_whitespace();
    let kind = words.next()?;
    let port = words.next()?.split('/').next()?.parse().ok()?;
    let protocol = words.next()?;
    let formats: Vec<u8> = words.filter_map(|word| word.parse().ok()).filter(|&number| number < 128).collect();
    let ip = session.0.unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    Some(Media {
        audio: kind == "audio",
        plain: matches!(protocol, "RTP/AVP" | "RTP/AVPF"),
        address: SocketAddr::new(ip, port),
        rtcp: None,
        sends: session.1,
        receives: session.2,
        formats: formats.iter().fold(0, |bits, &number| bits | (1 << number)),
        first: formats.first().copied().unwrap_or(127),
        events: None,
    })
}

/// Reads `IN IP4 192.0.2.1`.
fn address(value: &str) -> Option<IpAddr> {
    value.split_ascii_whitespace().nth(2)?.split('/').next()?.parse().ok()
}
