//! SRTP by SDES on the side of the telephones: what those of a side write plainly goes to the box encrypted, and what the box sends them is
//! opened with the key that it said.
//!
//! ```text
//!   telephone ─plain─▶ seals ─SRTP, a=crypto─▶ wire ─▶ box
//!                                               └ seen ─▶ model: the same, plain; nothing of what no key opens, or has opened before
//!   telephone ◀─plain─ opens ◀─SRTP, a=crypto─ box
//! ```
//!
//! So neither telephones nor model know of it: what is said, relayed and recorded must be as if nobody encrypted. The ciphers are the
//! product's own, which `tests/srtp.rs` holds to libsrtp's vectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use mitschnitt::ids::Leg;
use mitschnitt::media::srtp::{Keying, Opener, Refused, Sealer};
use mitschnitt::time::Moment;
use mitschnitt::wire::sdp::{Crypto, Suite};

use super::border::{Datagram, box_media, box_sip};
use super::chance::Chance;

/// What the telephones of the two sides do, and know of the box's keys.
pub struct Shield {
    /// Whether those of each side speak SRTP.
    secured: [bool; 2],
    /// What each telephone seals with, by where it takes its media.
    sealers: BTreeMap<SocketAddr, Sealer>,
    /// What was sealed and the box has not read yet, as it was before.
    under_way: HashMap<Bytes, Bytes>,
    /// The telephones whose keys have reached the box.
    known: BTreeSet<SocketAddr>,
    /// By how much the numbers of a source are shifted.
    shifts: BTreeMap<u32, u16>,
    /// What the box said that it seals with at a port, the newest last.
    openers: BTreeMap<(Leg, u16), Vec<(Crypto, Opener)>>,
    /// The tags that the box gave its keys when it last offered them, by side, Call-ID and the tag of the other end.
    offered: BTreeMap<(Leg, String, String), Vec<Crypto>>,
}

/// What the box did wrong: the invariant, and how.
pub type Wrong = (&'static str, String);

impl Shield {
    pub fn new(secured: [bool; 2]) -> Self {
        Self {
            secured,
            sealers: BTreeMap::new(),
            under_way: HashMap::new(),
            known: BTreeSet::new(),
            shifts: BTreeMap::new(),
            openers: BTreeMap::new(),
            offered: BTreeMap::new(),
        }
    }

    /// Takes what a telephone, or a stranger, sends, and returns what goes over the wire.
    pub fn seals(&mut self, datagram: Datagram) -> Datagram {
        let Some(leg) = self.side(datagram.from) else { return datagram };
        if datagram.to == box_sip() {
            let bytes = self.with_key(leg, &datagram.bytes).map_or(datagram.bytes, Bytes::from);
            return Datagram { bytes, ..datagram };
        }
        if !box_media().contains(&datagram.to.ip()) {
            return datagram;
        }
        let is_rtcp = datagram.from.port() % 2 == 1;
        let plain = if is_rtcp { datagram.bytes.clone() } else { self.shifted(&datagram.bytes) };
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + Sealer::GROWTH_MAX, 0);
        let phone = SocketAddr::new(datagram.from.ip(), datagram.from.port() & !1);
        let sealer = self.sealers.entry(phone).or_insert_with(|| Sealer::new(keying(&key_of(phone, 1))));
        let sealed = if is_rtcp { sealer.seal_rtcp(&mut buffer, plain.len()) } else { sealer.seal_rtp(&mut buffer, plain.len()) };
        let bytes = Bytes::copy_from_slice(sealed.expect("no telephone says a number twice"));
        self.under_way.insert(bytes.clone(), plain);
        Datagram { bytes, ..datagram }
    }

    /// What the model is to see of a datagram that reaches the box: nothing where it is no packet of a telephone's, or the box has read
    /// it before. What comes ahead of its key is lost on the box, which reads the first copy that comes after it.
    pub fn seen(&mut self, datagram: &Datagram) -> Option<Datagram> {
        let Some(_) = self.side(datagram.from) else { return Some(datagram.clone()) };
        let phone = SocketAddr::new(datagram.from.ip(), datagram.from.port() & !1);
        let bytes = if datagram.to == box_sip() {
            self.known.extend(Message::read(&datagram.bytes).and_then(|message| message.phone()));
            without_keys(&datagram.bytes).map_or_else(|| datagram.bytes.clone(), Bytes::from)
        } else if self.known.contains(&phone) {
            self.under_way.remove(&datagram.bytes)?
        } else {
            self.under_way.get(&datagram.bytes)?.clone()
        };
        Some(Datagram { bytes, ..datagram.clone() })
    }

    /// Takes what the box sends, and returns what the telephone understands of it.
    ///
    /// # Errors
    /// It says keys where it must not, or sends what the telephone cannot open, or must not be sent.
    pub fn opens(&mut self, datagram: Datagram, now: Moment) -> Result<Datagram, Wrong> {
        let is_sip = datagram.from == box_sip();
        let Some(leg) = self.side(datagram.to) else {
            let is_secure = is_sip && self.secured.contains(&true) && says_keys(&datagram.bytes);
            return if is_secure { Err(("keys-to-the-plain-side", "a description with keys".into())) } else { Ok(datagram) };
        };
        if is_sip {
            self.learn(leg, &datagram.bytes)?;
            let bytes = without_keys(&datagram.bytes).map_or(datagram.bytes, Bytes::from);
            return Ok(Datagram { bytes, ..datagram });
        }
        let (port, is_rtcp) = (datagram.from.port() & !1, datagram.from.port() % 2 == 1);
        let mut refused = None;
        for (_, opener) in self.openers.entry((leg, port)).or_default().iter_mut().rev() {
            let mut packet = datagram.bytes.to_vec();
            let opened = if is_rtcp { opener.open_rtcp(&mut packet, now) } else { opener.open_rtp(&mut packet, now) };
            match opened {
                Ok(plain) => return Ok(Datagram { bytes: Bytes::copy_from_slice(plain), ..datagram }),
                Err(Refused::Tag) => refused = refused.or(Some(Refused::Tag)),
                Err(other) => refused = Some(other),
            }
        }
        let invariant = if refused == Some(Refused::Replayed) { "one-keystream-twice" } else { "srtp-unreadable" };
        Err((invariant, format!("a packet to the {leg} from port {}: {refused:?}", datagram.from.port())))
    }

    /// Whose side this is, where it speaks SRTP.
    fn side(&self, at: SocketAddr) -> Option<Leg> {
        let IpAddr::V4(ip) = at.ip() else { return None };
        let leg = match ip.octets() {
            [192, 0, 2, 10..=99] => Leg::Pbx,
            [198, 51, 100, _] => Leg::Trunk,
            _ => return None,
        };
        self.secured[leg.index()].then_some(leg)
    }

    /// A source begins in the lower half of the numbers, so that who hears it late knows how often they have run over (RFC 3711 §3.3.1).
    fn shifted(&mut self, packet: &Bytes) -> Bytes {
        let (Some(&[s0, s1]), Some(&[a, b, c, d])) =
            (packet.get(2..).and_then(<[u8]>::first_chunk), packet.get(8..).and_then(<[u8]>::first_chunk))
        else {
            return packet.clone();
        };
        let sequence = u16::from_be_bytes([s0, s1]);
        let shift = *self.shifts.entry(u32::from_be_bytes([a, b, c, d])).or_insert(sequence & 0x8000);
        let mut shifted = packet.to_vec();
        shifted[2..4].copy_from_slice(&sequence.wrapping_sub(shift).to_be_bytes());
        Bytes::from(shifted)
    }

    /// A message of a telephone with its key in the description; nothing where there is none.
    fn with_key(&self, leg: Leg, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = Message::read(bytes)?;
        let phone = message.phone()?;
        let wanted = suite_of(phone);
        let peer = (leg, message.call_id.to_owned(), message.tag(if message.is_request { "To" } else { "From" }));
        let tag = self.offered.get(&peer).and_then(|keys| keys.iter().find(|key| *key.suite() == wanted)).map_or(1, Crypto::tag);
        let key = key_of(phone, tag);
        let line = format!("a=crypto:{}\r\n", String::from_utf8_lossy(&key.to_value()));
        Some(message.with_body(&(message.body.replacen("RTP/AVP", "RTP/SAVP", 1) + &line)))
    }

    /// Remembers what the box says.
    fn learn(&mut self, leg: Leg, bytes: &[u8]) -> Result<(), Wrong> {
        let Some(message) = Message::read(bytes) else { return Ok(()) };
        let (keys, port) = (message.keys(), message.port().unwrap_or(0));
        if port == 0 {
            return Ok(());
        }
        if keys.is_empty() || !message.body.contains("RTP/SAVP") {
            return Err(("not-secured", format!("a description to the {leg} without keys")));
        }
        let known = self.openers.entry((leg, port)).or_default();
        for key in &keys {
            if known.iter().all(|(other, _)| other.to_value() != key.to_value()) {
                known.push((key.clone(), Opener::new(keying(key))));
            }
        }
        if keys.len() > 1 {
            let peer = (leg, message.call_id.to_owned(), message.tag(if message.is_request { "From" } else { "To" }));
            self.offered.insert(peer, keys);
        }
        Ok(())
    }
}

/// Which suite a telephone takes: each its own, among those that every box offers.
fn suite_of(phone: SocketAddr) -> Suite {
    let suites = [Suite::AeadAes256Gcm, Suite::Aes256CmHmacSha1_80, Suite::AesCm128HmacSha1_80];
    suites[usize::from(phone.port() / 2) % suites.len()].clone()
}

/// The key of a telephone: as long as it is where it is, the same.
fn key_of(phone: SocketAddr, tag: u32) -> Crypto {
    let (suite, IpAddr::V4(ip)) = (suite_of(phone), phone.ip()) else { panic!("telephones are at IPv4 addresses") };
    let bytes = match suite {
        Suite::AeadAes256Gcm => 32 + 12,
        Suite::Aes256CmHmacSha1_80 => 32 + 14,
        _ => 16 + 14,
    };
    let mut chance = Chance::new(u64::from(u32::from(ip)) << 16 | u64::from(phone.port()));
    let master: Vec<u8> = (0..bytes).map(|_| chance.next().to_be_bytes()[0]).collect();
    Crypto::new(tag, suite, &master).expect("a key of the suite's length")
}

fn keying(key: &Crypto) -> Keying {
    Keying::of(key).expect("a plain key of a suite that is known")
}

fn says_keys(bytes: &[u8]) -> bool {
    // A line that is rejected keeps its profile, and has neither a port nor keys.
    let is_secure = |line: &str| line.starts_with("m=") && !line.starts_with("m=audio 0 ") && line.contains("RTP/SAVP");
    Message::read(bytes).is_some_and(|message| !message.keys().is_empty() || message.body.lines().any(is_secure))
}

/// A message as if nobody encrypted; nothing where it says no keys.
fn without_keys(bytes: &[u8]) -> Option<Vec<u8>> {
    let message = Message::read(bytes)?;
    let lines = message.body.split_inclusive('\n').filter(|line| !line.starts_with("a=crypto:"));
    Some(message.with_body(&lines.collect::<String>().replacen("RTP/SAVP", "RTP/AVP", 1)))
}

/// A SIP message with a session description.
struct Message<'b> {
    head: &'b str,
    body: &'b str,
    is_request: bool,
    call_id: &'b str,
}

impl<'b> Message<'b> {
    /// Reads one; nothing where it has no description.
    fn read(bytes: &'b [u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let at = text.find("\r\n\r\n")? + 4;
        let (head, body) = text.split_at(at);
        let message = Self { head, body, is_request: !head.starts_with("SIP/2.0"), call_id: "" };
        let call_id = message.header("Call-ID")?;
        body.starts_with("v=0").then_some(Self { call_id, ..message })
    }

    fn header(&self, name: &str) -> Option<&'b str> {
        self.head
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .find(|(this, _)| this.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn tag(&self, of: &str) -> String {
        self.header(of).and_then(|value| value.split_once(";tag=")).map(|(_, tag)| tag.to_owned()).unwrap_or_default()
    }

    /// Where the telephone is, on hold as well.
    fn origin(&self) -> Option<IpAddr> {
        let line = self.body.lines().find(|line| line.starts_with("o="))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Where it takes its media.
    fn phone(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.origin()?, self.port()?))
    }

    fn port(&self) -> Option<u16> {
        let line = self.body.lines().find_map(|line| line.strip_prefix("m=audio "))?;
        line.split(' ').next()?.parse().ok()
    }

    fn keys(&self) -> Vec<Crypto> {
        let lines = self.body.lines().filter_map(|line| line.strip_prefix("a=crypto:"));
        lines.filter_map(|value| Crypto::parse(value.as_bytes()).ok()).collect()
    }

    /// The message with another body, cut as much as it was.
    fn with_body(&self, body: &str) -> Vec<u8> {
        let said = self.header("Content-Length").and_then(|length| length.trim().parse::<usize>().ok());
        let Some(said) = said else { return [self.head, body].concat().into_bytes() };
        let length = (said + body.len()).saturating_sub(self.body.len());
        let head = self.head.replacen(&format!("Content-Length: {said}"), &format!("Content-Length: {length}"), 1);
        [&head, body].concat().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "192.0.2.12:10000";
    const BOX: &str = "192.0.2.2:20000";

    #[test]
    fn what_a_telephone_says_is_hidden_on_the_way_and_seen_once() {
        let mut shield = Shield::new([true, false]);
        let said = datagram(PHONE, BOX, &packet(7));

        let sent = shield.seals(said.clone());

        assert!(sent.bytes.len() > said.bytes.len() && !sent.bytes.ends_with(b"VOICE"));
        let cut = Datagram { bytes: sent.bytes.slice(..20), ..sent.clone() };
        // Twice ahead of the key; once, and not again, after it.
        assert_eq!((shield.seen(&cut), shield.seen(&sent), shield.seen(&sent)), (None, Some(said.clone()), Some(said.clone())));
        let offer = invite("RTP/AVP", "").replace("20000", "10000");
        let offer = shield.seals(datagram(PHONE, "192.0.2.1:5060", offer.as_bytes()));
        assert!(shield.seen(&offer).is_some());
        assert_eq!((shield.seen(&sent), shield.seen(&sent)), (Some(said), None));
    }

    #[test]
    fn a_description_has_a_key_on_the_way_and_none_for_those_who_do_not_encrypt() {
        let mut shield = Shield::new([true, false]);
        let offer = datagram("192.0.2.10:5060", "192.0.2.1:5060", invite("RTP/AVP", "").as_bytes());

        let sent = shield.seals(offer.clone());

        let text = String::from_utf8_lossy(&sent.bytes).into_owned();
        assert!(text.contains("RTP/SAVP 8\r\n") && text.contains("a=crypto:1 "), "{text}");
        assert_eq!(shield.seen(&sent), Some(offer));
    }

    #[test]
    fn what_the_box_must_not_do_is_caught() {
        let mut shield = Shield::new([true, false]);
        let now = Moment::from_millis(1);
        let key = key_of("198.51.100.21:9".parse().unwrap(), 1);
        let line = format!("a=crypto:{}\r\n", String::from_utf8_lossy(&key.to_value()));
        let said = |to: &str, text: String| datagram("192.0.2.1:5060", to, text.as_bytes());
        let wrong = |done: Result<Datagram, Wrong>| done.map_err(|(invariant, _)| invariant);

        assert_eq!(wrong(shield.opens(said("192.0.2.10:5060", invite("RTP/AVP", "")), now)), Err("not-secured"));
        let to_the_other = said("198.51.100.20:5060", invite("RTP/SAVP", &line));
        assert_eq!(wrong(shield.opens(to_the_other, now)), Err("keys-to-the-plain-side"));
        assert!(shield.opens(said("192.0.2.10:5060", invite("RTP/SAVP", &line)), now).is_ok());
        assert_eq!(wrong(shield.opens(datagram(BOX, PHONE, &packet(7)), now)), Err("srtp-unreadable"));
        let mut buffer = packet(7);
        buffer.resize(buffer.len() + Sealer::GROWTH_MAX, 0);
        let sealed = Sealer::new(keying(&key)).seal_rtp(&mut buffer, packet(7).len()).unwrap().to_vec();
        assert_eq!(shield.opens(datagram(BOX, PHONE, &sealed), now), Ok(datagram(BOX, PHONE, &packet(7))));
        assert_eq!(wrong(shield.opens(datagram(BOX, PHONE, &sealed), now)), Err("one-keystream-twice"));
    }

    fn datagram(from: &str, to: &str, bytes: &[u8]) -> Datagram {
        Datagram { from: from.parse().unwrap(), to: to.parse().unwrap(), bytes: Bytes::copy_from_slice(bytes) }
    }

    fn packet(sequence: u16) -> Vec<u8> {
        [&[0x80, 8][..], &sequence.to_be_bytes(), &[0, 0, 0, 1, 0, 0, 0, 2], b"VOICE"].concat()
    }

    fn invite(profile: &str, key: &str) -> String {
        let body = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.12\r\nm=audio 20000 {profile} 8\r\n{key}");
        let head = "INVITE sip:1 SIP/2.0\r\nFrom: <sip:1>;tag=a\r\nTo: <sip:2>\r\nCall-ID: 1@world\r\n";
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    }
}
