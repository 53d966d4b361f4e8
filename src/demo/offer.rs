//! What a phone says about its sound, and what it reads of the other's: a small SDP of its own, for one audio line.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::codec::Codec;

/// Which way the sound goes, seen from the one who says it (RFC 3264 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Flow {
    /// Both speak and listen.
    SendRecv,
    /// The one who says it speaks alone: the other is on hold.
    SendOnly,
    /// The one who says it listens alone.
    RecvOnly,
    /// Nobody speaks.
    Inactive,
}

impl Flow {
    /// Returns the attribute's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Returns the willing answer to this offer (RFC 3264 §6.1).
    #[must_use]
    pub const fn mirrored(self) -> Self {
        match self {
            Self::SendRecv => Self::SendRecv,
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::Inactive => Self::Inactive,
        }
    }

    const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive].into_iter().find(|flow| flow.name() == name)
    }
}

/// What a phone is able and willing to do: the codecs it knows, by preference, and how it wants the sound to flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The codecs, the liked one first.
    pub codecs: Vec<Codec>,
    /// The payload type of `telephone-event` (RFC 4733), or nothing: then keys go by INFO only.
    pub keys: Option<u8>,
    /// Which way the sound goes.
    pub flow: Flow,
    /// Whether the INVITE carries no description, so that the other side offers and the ACK answers (RFC 3261 §13.2.1).
    pub is_late: bool,
    /// Whether the address is `0.0.0.0`, which is how phones of RFC 2543 say «hold».
    pub is_zero_address: bool,
    /// Further lines for the end of the audio section, without their line ends.
    pub lines: Vec<String>,
}

impl Offer {
    /// Returns an offer of these codecs with `telephone-event` as payload type 101, both ways.
    #[must_use]
    pub fn of(codecs: &[Codec]) -> Self {
        Self {
            codecs: codecs.to_vec(),
            keys: Some(101),
            flow: Flow::SendRecv,
            is_late: false,
            is_zero_address: false,
            lines: Vec::new(),
        }
    }

    /// Returns the same with another direction.
    #[must_use]
    pub const fn flowing(mut self, flow: Flow) -> Self {
        self.flow = flow;
        self
    }

    /// Returns the same, left to the other side to make: an INVITE without a description.
    #[must_use]
    pub const fn late(mut self) -> Self {
        self.is_late = true;
        self
    }

    /// Returns the same without `telephone-event`.
    #[must_use]
    pub const fn without_keys(mut self) -> Self {
        self.keys = None;
        self
    }

    /// Returns the same with the address `0.0.0.0` (hold as of RFC 2543).
    #[must_use]
    pub const fn at_zero(mut self) -> Self {
        self.is_zero_address = true;
        self
    }

    /// Returns the same with one more line at the end of the audio section.
    #[must_use]
    pub fn with_line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Returns the description that offers this at `rtp`.
    pub(super) fn print(&self, rtp: SocketAddr, session: u64, version: u64) -> String {
        let formats = self.codecs.iter().filter_map(|codec| Some((codec.payload_type()?, *codec)));
        print(rtp, session, version, formats, self.keys, self)
    }

    /// Returns the description that answers `offered` at `rtp`, or nothing where no codec is shared.
    pub(super) fn answer(&self, offered: &Described, rtp: SocketAddr, session: u64, version: u64) -> Option<String> {
        let shared = offered.formats.iter().find(|(_, codec)| self.codecs.contains(codec)).copied()?;
        let keys = self.keys.and(offered.keys);
        let flow = match self.flow {
            Flow::SendRecv => offered.effective_flow().mirrored(),
            Flow::SendOnly | Flow::RecvOnly | Flow::Inactive => self.flow,
        };
        Some(print(rtp, session, version, std::iter::once(shared), keys, &self.clone().flowing(flow)))
    }
}

/// What the other phone said: where its sound wants to go, in which formats, which way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Described {
    /// Where RTP goes to. Port 0 refuses the sound.
    pub rtp: SocketAddr,
    /// Where RTCP goes to: `a=rtcp` (RFC 3605), or the next port.
    pub rtcp: SocketAddr,
    /// The codecs known here, in the order said, with their payload types.
    pub formats: Vec<(u8, Codec)>,
    /// The payload type of `telephone-event`.
    pub keys: Option<u8>,
    /// The direction as said.
    pub flow: Flow,
}

impl Described {
    /// Reads the first audio line of a description, or returns nothing where there is none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut session_addr = None;
        let mut session_flow = None;
        let mut audio: Option<Audio> = None;
        let mut is_elsewhere = false;
        for line in text.lines() {
            let (kind, value) = line.split_once('=')?;
            let value = value.trim();
            if kind == "m" {
                is_elsewhere = audio.is_some() || !value.starts_with("audio ");
                if !is_elsewhere {
                    audio = Some(Audio::read(value)?);
                }
                continue;
            }
            match (&mut audio, is_elsewhere) {
                (None, false) if kind == "c" => session_addr = address(value),
                (None, false) if kind == "a" => session_flow = Flow::from_name(value).or(session_flow),
                (Some(audio), false) => audio.line(kind, value),
                (None | Some(_), true) | (None, false) => {}
            }
        }
        let audio = audio?;
        let host = audio.addr.or(session_addr)?;
        let rtcp = audio.rtcp.unwrap_or_else(|| (None, audio.port.saturating_add(1)));
        Some(Self {
            rtp: SocketAddr::new(host, audio.port),
            rtcp: SocketAddr::new(rtcp.0.unwrap_or(host), rtcp.1),
            flow: audio.flow.or(session_flow).unwrap_or(Flow::SendRecv),
            keys: audio.formats.iter().find(|(_, name)| name.eq_ignore_ascii_case("telephone-event")).map(|(pt, _)| *pt),
            formats: audio.formats.iter().filter_map(|(pt, name)| Some((*pt, Codec::from_name(name)?))).collect(),
        })
    }

    /// Returns the direction meant: `0.0.0.0` is a hold whatever the attribute says (RFC 3264 §8.4).
    #[must_use]
    pub const fn effective_flow(&self) -> Flow {
        if self.is_zero_address() && matches!(self.flow, Flow::SendRecv) { Flow::SendOnly } else { self.flow }
    }

    /// Returns whether the address is the unspecified one.
    #[must_use]
    pub const fn is_zero_address(&self) -> bool {
        self.rtp.ip().is_unspecified()
    }

    /// Returns whether a phone whose own wish is `flow` may send sound to this one.
    pub(super) const fn may_be_sent_to(&self, flow: Flow) -> bool {
        self.rtp.port() != 0 && !self.is_zero_address() && flow.sends() && self.flow.mirrored().sends()
    }

    /// Returns the first codec's name, for a person.
    #[must_use]
    pub fn codec_name(&self) -> &'static str {
        self.formats.first().map_or("no codec", |(_, codec)| codec.name())
    }
}

#[derive(Default)]
struct Audio {
    port: u16,
    addr: Option<IpAddr>,
    rtcp: Option<(Option<IpAddr>, u16)>,
    flow: Option<Flow>,
    formats: Vec<(u8, String)>,
}

impl Audio {
    fn read(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace().skip(1);
        let port = words.next()?.split('/').next()?.parse().ok()?;
        let named = |pt: u8| Codec::from_payload_type(pt).map_or("", Codec::name).to_owned();
        let formats = words.skip(1).filter_map(|word| word.parse().ok()).map(|pt| (pt, named(pt))).collect();
        Some(Self { port, formats, ..Self::default() })
    }

    fn line(&mut self, kind: &str, value: &str) {
        if kind == "c" {
            self.addr = address(value);
        } else if let Some(map) = value.strip_prefix("rtpmap:").filter(|_| kind == "a") {
            let Some((pt, name)) = map.split_once(' ') else { return };
            let name = name.trim().split('/').next().unwrap_or_default();
            for (_, known) in self.formats.iter_mut().filter(|(listed, _)| pt.parse() == Ok(*listed)) {
                name.clone_into(known);
            }
        } else if let Some(rtcp) = value.strip_prefix("rtcp:").filter(|_| kind == "a") {
            let (port, host) = rtcp.split_once(' ').unwrap_or((rtcp, ""));
            self.rtcp = port.parse().ok().map(|port| (address(host), port));
        } else if kind == "a" {
            self.flow = Flow::from_name(value).or(self.flow);
        }
    }
}

fn print(
    rtp: SocketAddr,
    session: u64,
    version: u64,
    formats: impl Iterator<Item = (u8, Codec)>,
    keys: Option<u8>,
    offer: &Offer,
) -> String {
    let formats: Vec<_> = formats.map(|(pt, codec)| (pt, codec.name())).chain(keys.map(|pt| (pt, "telephone-event"))).collect();
    let family = if rtp.is_ipv4() { "IP4" } else { "IP6" };
    let host = match rtp.ip() {
        host if !offer.is_zero_address => host,
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let list = formats.iter().fold(String::new(), |list, (pt, _)| format!("{list} {pt}"));
    let mut text = format!(
        "v=0\r\no=phone {session} {version} IN {family} {}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\nm=audio {} RTP/AVP{list}\r\n",
        rtp.ip(),
        rtp.port()
    );
    let mut line = |line: String| text.write_str(&(line + "\r\n")).expect("a String takes every write");
    for (pt, name) in &formats {
        line(format!("a=rtpmap:{pt} {name}/8000"));
    }
    if let Some(pt) = keys {
        line(format!("a=fmtp:{pt} 0-15"));
    }
    line("a=ptime:20".to_owned());
    line(format!("a={}", offer.flow.name()));
    for further in &offer.lines {
        line(further.clone());
    }
    text
}

/// Reads `IN IP4 192.0.2.1`, a TTL after it allowed.
fn address(value: &str) -> Option<IpAddr> {
    value.split_ascii_whitespace().nth(2)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_is_offered_is_read_back() {
        let here: SocketAddr = "127.0.0.1:4000".parse().unwrap();

        let text = Offer::of(&[Codec::Pcma, Codec::G722]).flowing(Flow::SendOnly).print(here, 7, 1);
        let read = Described::read(text.as_bytes()).unwrap();

        assert_eq!(read.rtp, here);
        assert_eq!(read.rtcp.port(), 4001);
        assert_eq!(read.formats, [(8, Codec::Pcma), (9, Codec::G722)]);
        assert_eq!(read.keys, Some(101));
        assert_eq!(read.flow, Flow::SendOnly);
    }

    #[test]
    fn an_answer_takes_the_first_shared_codec_and_mirrors_the_direction() {
        let offered = Described::read(
            b"v=0\no=- 1 1 IN IP4 10.0.0.1\ns=-\nt=0 0\na=inactive\nm=audio 5000 RTP/AVP 18 0 8 96\nc=IN IP4 10.0.0.2\na=rtpmap:96 telephone-event/8000\na=rtcp:6000 IN IP4 10.0.0.3\nm=video 0 RTP/AVP 31\nc=IN IP4 1.1.1.1\na=sendrecv\n",
        )
        .unwrap();
        assert_eq!(offered.rtcp, "10.0.0.3:6000".parse().unwrap());

        let text = Offer::of(&[Codec::Pcma, Codec::Pcmu]).answer(&offered, "127.0.0.1:9".parse().unwrap(), 1, 1).unwrap();
        let answer = Described::read(text.as_bytes()).unwrap();

        assert_eq!(answer.formats, [(0, Codec::Pcmu)], "the offerer's order decides");
        assert_eq!(answer.keys, Some(96), "the offerer's payload type is used");
        assert_eq!(answer.flow, Flow::Inactive);
        assert_eq!(Offer::of(&[Codec::G722]).answer(&offered, "127.0.0.1:9".parse().unwrap(), 1, 1), None);
    }

    #[test]
    fn the_zero_address_is_a_hold() {
        let text = Offer::of(&[Codec::Pcmu]).at_zero().print("127.0.0.1:4000".parse().unwrap(), 7, 1);
        let read = Described::read(text.as_bytes()).unwrap();

        assert_eq!(read.effective_flow(), Flow::SendOnly);
        assert!(!read.may_be_sent_to(Flow::SendRecv));
    }
}
