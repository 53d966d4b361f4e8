//! A session description as an index of its lines.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

use super::{Crypto, Flow, Format, Kind, Media};
use crate::limits::{CRYPTO_LINES, MEDIA_LINES, SDP_LINES};

/// A session description: its bytes as they came, where its lines are, and what its `m=` lines say.
#[derive(Clone)]
pub struct Sdp {
    pub(super) body: Vec<u8>,
    pub(super) lines: Vec<Line>,
    media: Vec<Media>,
}

/// A line that `anchored` may have to change; every other is in the body and nowhere else.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) what: What,
    /// The index of the `m=` line it belongs to; none at session level.
    pub(super) media: Option<usize>,
    pub(super) start: usize,
    /// Without the line end.
    pub(super) end: usize,
}

/// What a line is, as far as that matters to an anchor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Connection,
    Media,
    Title,
    Rtcp,
    Other,
}

/// The peer's session description cannot be used. It names no byte of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MalformedSdp {
    /// There is no `v=` line, so it may be anything.
    NoVersion,
    /// An `m=` line has no kind, port or transport.
    Media,
    /// A `c=` line has no address.
    Connection,
    /// A line that others may take for an `m=` or `c=` line, as `m =audio`: its media would go where nobody looks.
    Ambiguous,
    /// More lines, or more `m=` lines, than the limits allow.
    TooLong,
}

impl fmt::Display for MalformedSdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoVersion => "session description has no v= line",
            Self::Media => "session description has a malformed m= line",
            Self::Connection => "session description has a malformed c= line",
            Self::Ambiguous => "session description has a line with a space before its =",
            Self::TooLong => "session description has too many lines",
        })
    }
}

impl std::error::Error for MalformedSdp {}

impl Sdp {
    /// Reads a session description.
    ///
    /// Lines may stand in any order within their level, end in CRLF or LF, be empty or of an unknown type; the parts of a line may stand
    /// several spaces apart.
    ///
    /// # Errors
    /// Where there is no `v=` line, or an `m=` or `c=` line cannot be read for certain.
    pub fn parse(body: &[u8]) -> Result<Self, MalformedSdp> {
        let lines = index(body)?;
        let mut session = Scope::default();
        let mut scopes: Vec<Scope<'_>> = Vec::new();
        let mut has_version = false;
        for line in &lines {
            let text = body.get(line.start..line.end).unwrap_or_default();
            if text.starts_with(b"v=") {
                has_version = true;
            }
            if line.what == What::Media {
                scopes.push(Scope { media_line: text, ..Scope::default() });
            }
            scopes.last_mut().unwrap_or(&mut session).read(line.what, text)?;
        }
        if !has_version {
            return Err(MalformedSdp::NoVersion);
        }
        let media = scopes.iter().map(|scope| scope.media(&session)).collect::<Result<_, _>>()?;
        Ok(Self { body: body.to_vec(), lines, media })
    }

    /// Returns what the `m=` lines say, in order.
    #[must_use]
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// Returns the description as it came.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.body
    }
}

/// Shows the media, nothing of who speaks or where.
impl fmt::Debug for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.media).finish()
    }
}

fn index(body: &[u8]) -> Result<Vec<Line>, MalformedSdp> {
    let mut lines = Vec::new();
    let mut media = None;
    let mut start = 0;
    for raw in body.split_inclusive(|&b| b == b'\n') {
        let text = raw.strip_suffix(b"\n").unwrap_or(raw);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let what = what(text)?;
        if what == What::Media {
            media = Some(media.map_or(0, |index| index + 1));
        }
        lines.push(Line { what, media, start, end: start + text.len() });
        start += raw.len();
        if lines.len() > SDP_LINES || media.is_some_and(|index| index >= MEDIA_LINES) {
            return Err(MalformedSdp::TooLong);
        }
    }
    Ok(lines)
}

fn what(text: &[u8]) -> Result<What, MalformedSdp> {
    // A CR within a line is a line end to some readers.
    if memchr::memchr(b'\r', text.trim_ascii_end()).is_some() {
        return Err(MalformedSdp::Ambiguous);
    }
    match text {
        [b'm', b'=', ..] => Ok(What::Media),
        [b'c', b'=', ..] => Ok(What::Connection),
        [b'i', b'=', ..] => Ok(What::Title),
        _ if attribute(text).is_some_and(|(name, _)| name == b"rtcp") => Ok(What::Rtcp),
        _ => {
            let mut bare = text.iter().filter(|b| !b.is_ascii_whitespace()).map(u8::to_ascii_lowercase);
            match (bare.next(), bare.next()) {
                (Some(b'm' | b'c'), Some(b'=')) => Err(MalformedSdp::Ambiguous),
                (Some(_) | None, Some(_) | None) => Ok(What::Other),
            }
        }
    }
}

/// Splits `a=name` and `a=name:value`.
pub(super) fn attribute(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"a=")?.trim_ascii();
    let (name, value) = text.split_at(memchr::memchr(b':', text).unwrap_or(text.len()));
    Some((name, value.get(1..).unwrap_or_default()))
}

/// The places of the words of a line.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    text.split(u8::is_ascii_whitespace).filter_map(move |word| {
        let range = at..at + word.len();
        at = range.end + 1;
        (!word.is_empty()).then_some(range)
    })
}

fn word<'t>(text: &'t [u8], words: &mut impl Iterator<Item = Range<usize>>) -> Option<&'t str> {
    text.get(words.next()?).and_then(|word| str::from_utf8(word).ok())
}

/// An address as `c=` and `a=rtcp` have it: `IN IP4 192.0.2.1`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Connection {
    /// None for a name.
    pub(super) addr: Option<IpAddr>,
    /// An address of the Internet that is neither multicast nor a range.
    pub(super) is_plain: bool,
    /// Where the address type and the address stand in the text, together.
    pub(super) place: Range<usize>,
}

impl Connection {
    /// Reads it from the text after `skip`.
    pub(super) fn parse(text: &[u8], skip: usize) -> Option<Self> {
        let rest = text.get(skip..)?;
        let mut places = words(rest);
        let network = rest.get(places.next()?)?;
        let (kind, address) = (places.next()?, places.next()?);
        let name = str::from_utf8(rest.get(address.clone())?).ok()?;
        let addr: Option<IpAddr> = name.split('/').next().and_then(|addr| addr.parse().ok());
        let is_internet = network.eq_ignore_ascii_case(b"IN")
            && rest.get(kind.clone()).is_some_and(|kind| kind.eq_ignore_ascii_case(b"IP4") || kind.eq_ignore_ascii_case(b"IP6"));
        let is_plain = is_internet && !name.contains('/') && !addr.is_some_and(|addr| addr.is_multicast());
        Some(Self { addr, is_plain, place: skip + kind.start..skip + address.end })
    }

    /// Returns whether this is the address of zeroes, by which RFC 2543 puts a call on hold.
    pub(super) fn is_zero(&self) -> bool {
        self.addr.is_some_and(|addr| addr.is_unspecified())
    }
}

/// What has been said of one media, or of the session.
#[derive(Default)]
struct Scope<'b> {
    media_line: &'b [u8],
    connection: Option<Connection>,
    flow: Option<Flow>,
    ptime: Option<u8>,
    max_ptime: Option<u8>,
    rtcp: Option<(Option<IpAddr>, u16)>,
    rtcp_mux: bool,
    crypto: bool,
    keys: Vec<Crypto>,
    fingerprint: bool,
    ice: bool,
    /// Payload type and encoding.
    rtpmaps: Vec<(u8, &'b [u8])>,
    /// Payload type and parameters.
    fmtps: Vec<(u8, &'b [u8])>,
}

impl<'b> Scope<'b> {
    fn read(&mut self, what: What, text: &'b [u8]) -> Result<(), MalformedSdp> {
        if what == What::Connection {
            let connection = Connection::parse(text, 2).ok_or(MalformedSdp::Connection)?;
            // Several are a range of multicast groups; the first is as good as the others, and none is anchorable.
            self.connection.get_or_insert(connection);
            return Ok(());
        }
        let Some((name, value)) = attribute(text) else { return Ok(()) };
        match name {
            b"sendrecv" => self.flow = Some(Flow::SendRecv),
            b"sendonly" => self.flow = Some(Flow::SendOnly),
            b"recvonly" => self.flow = Some(Flow::RecvOnly),
            b"inactive" => self.flow = Some(Flow::Inactive),
            b"ptime" => self.ptime = milliseconds(value),
            b"maxptime" => self.max_ptime = milliseconds(value),
            b"rtcp" => self.rtcp = rtcp(value).or(self.rtcp),
            b"rtcp-mux" => self.rtcp_mux = true,
            b"crypto" => {
                self.crypto = true;
                // One that cannot be read is none of ours to accept; another of them may do.
                self.keys.extend(Crypto::parse(value).ok().filter(|_| self.keys.len() < CRYPTO_LINES));
            }
            b"fingerprint" => self.fingerprint = true,
            b"candidate" => self.ice = true,
            b"rtpmap" => self.rtpmaps.extend(of_payload_type(value)),
            b"fmtp" => self.fmtps.extend(of_payload_type(value)),
            _ => {}
        }
        Ok(())
    }

    fn media(&self, session: &Self) -> Result<Media, MalformedSdp> {
        let text = self.media_line.get(2..).unwrap_or_default();
        let mut places = words(text);
        let mut next = || word(text, &mut places).ok_or(MalformedSdp::Media);
        let (kind, ports, proto) = (next()?, next()?, next()?.to_owned());
        let (port, count) = ports.split_once('/').unwrap_or((ports, "1"));
        let kind = match kind.to_ascii_lowercase().as_str() {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            "image" => Kind::Image,
            _ => Kind::Other,
        };
        if port.is_empty() || !port.bytes().all(|b| b.is_ascii_digit()) {
            return Err(MalformedSdp::Media);
        }
        let connection = self.connection.as_ref().or(session.connection.as_ref());
        let mut media = Media {
            kind,
            port: port.parse().map_err(|_| MalformedSdp::Media)?,
            proto,
            formats: Vec::new(),
            addr: connection.and_then(|connection| connection.addr),
            rtcp: self.rtcp,
            rtcp_mux: self.rtcp_mux,
            direction: self.flow.or(session.flow).unwrap_or(Flow::SendRecv),
            ptime: self.ptime.or(session.ptime),
            max_ptime: self.max_ptime.or(session.max_ptime),
            crypto: self.crypto,
            keys: self.keys.clone(),
            fingerprint: self.fingerprint || session.fingerprint,
            ice: self.ice || session.ice,
            anchorable: count == "1" && connection.is_none_or(|connection| connection.is_plain),
        };
        if media.is_rtp() {
            let payload_types = std::iter::from_fn(|| next().ok()).filter_map(payload_type);
            // There are no more than 128; a longer line repeats itself.
            media.formats = payload_types.take(128).map(|payload_type| self.format(payload_type)).collect();
        }
        Ok(media)
    }

    fn format(&self, payload_type: u8) -> Format {
        let said = |list: &[(u8, &'b [u8])]| {
            list.iter().find(|(known, _)| *known == payload_type).map(|&(_, value)| String::from_utf8_lossy(value))
        };
        let mut format = Format::from_table(payload_type);
        if let Some(encoding) = said(&self.rtpmaps) {
            format.map(&encoding);
        }
        format.fmtp = said(&self.fmtps).map(std::borrow::Cow::into_owned);
        format
    }
}

/// The value of `a=rtcp`: a port, and sometimes an address.
fn rtcp(value: &[u8]) -> Option<(Option<IpAddr>, u16)> {
    let port = words(value).next()?;
    let after = port.end;
    let port = str::from_utf8(value.get(port)?).ok()?.parse().ok()?;
    Some((Connection::parse(value, after).and_then(|connection| connection.addr), port))
}

fn milliseconds(value: &[u8]) -> Option<u8> {
    // «20.5» stands in some: the whole milliseconds are what matters.
    let whole = value.split(|&b| b == b'.').next()?.trim_ascii();
    str::from_utf8(whole).ok()?.parse().ok().filter(|&ms| ms > 0)
}

fn payload_type(word: &str) -> Option<u8> {
    word.parse().ok().filter(|&payload_type| payload_type < 128 && !word.starts_with('+'))
}

/// Splits what `a=rtpmap` and `a=fmtp` say from the payload type that they say it of.
fn of_payload_type(value: &[u8]) -> Option<(u8, &[u8])> {
    let place = words(value).next()?;
    let rest = value.get(place.end..)?.trim_ascii();
    Some((payload_type(str::from_utf8(value.get(place)?).ok()?)?, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_a_media_says_goes_before_what_the_session_says() {
        let sdp = parse(
            "v=0\r\nc=IN IP4 198.51.100.1\r\na=sendonly\r\na=ptime:30\r\nm=audio 4000 RTP/AVP 0 8\r\na=sendrecv\r\na=ptime:20\r\na=maxptime:150\r\n\
             m=video 4002 RTP/AVP 34\r\nc=IN IP6 2001:db8::2\r\n",
        );

        let [audio, video] = sdp.media() else { panic!("two m= lines") };
        assert_eq!(
            (audio.kind, audio.direction, audio.ptime, audio.max_ptime),
            (Kind::Audio, Flow::SendRecv, Some(20), Some(150))
        );
        assert_eq!((video.kind, video.direction, video.ptime), (Kind::Video, Flow::SendOnly, Some(30)));
        assert_eq!(audio.rtp_to(), "198.51.100.1:4000".parse().ok());
        assert_eq!(video.rtcp_to(), "[2001:db8::2]:4003".parse().ok());
    }

    #[test]
    fn formats_are_named_by_rtpmap_or_by_the_static_table() {
        let sdp = parse(
            "v=0\r\nm=audio 4 RTP/SAVP 9 18 97 101 100 98\r\na=rtpmap:97 opus/48000/2\r\na=rtpmap: 101  telephone-event/8000 \r\na=fmtp:101 0-15\r\n\
             a=rtpmap:100 telephone-event/48000\r\na=fmtp:18 annexb=no\r\na=rtpmap:9 broken\r\n",
        );

        let media = &sdp.media()[0];
        let names: Vec<_> = media.formats.iter().map(|f| (f.payload_type, f.name.as_str(), f.clock, f.channels)).collect();
        assert_eq!(
            names,
            [
                (9, "G722", 8000, 1),
                (18, "G729", 8000, 1),
                (97, "opus", 48_000, 2),
                (101, "telephone-event", 8000, 1),
                (100, "telephone-event", 48_000, 1),
                (98, "", 0, 1)
            ]
        );
        assert_eq!(media.telephone_event().map(|f| f.payload_type), Some(101));
        assert_eq!(media.format(18).and_then(|f| f.fmtp.as_deref()), Some("annexb=no"));
        assert!(media.is_rtp() && media.is_secure());
    }

    #[test]
    fn fax_is_no_rtp_and_has_no_rtcp() {
        let sdp = parse("v=0\r\nc=IN IP4 198.51.100.1\r\nm=image 4000 udptl t38\r\n");

        let fax = &sdp.media()[0];
        assert_eq!((fax.kind, fax.is_rtp(), fax.rtcp_to(), fax.formats.len()), (Kind::Image, false, None, 0));
        assert!(fax.rtp_to().is_some());
    }

    #[test]
    fn rtcp_goes_where_the_peer_wants_it() {
        let with = |line: &str| {
            parse(&format!("v=0\r\nc=IN IP4 198.51.100.1\r\nm=audio 4000 RTP/AVP 0\r\n{line}\r\n")).media()[0].clone()
        };

        assert_eq!(with("a=rtcp:53020 IN IP4 198.51.100.7").rtcp_to(), "198.51.100.7:53020".parse().ok());
        assert_eq!(with("a=rtcp:53020").rtcp_to(), "198.51.100.1:53020".parse().ok());
        assert_eq!(with("a=rtcp:x").rtcp_to(), "198.51.100.1:4001".parse().ok());
        assert!(with("a=rtcp-mux").rtcp_mux);
    }

    #[test]
    fn hold_has_four_ways() {
        let on_hold = |address: &str, line: &str| {
            parse(&format!("v=0\nc=IN IP4 {address}\nm=audio 4 RTP/AVP 0\n{line}\n")).media()[0].is_on_hold()
        };

        assert!(on_hold("0.0.0.0", "") && on_hold("198.51.100.1", "a=inactive") && on_hold("198.51.100.1", "a=sendonly"));
        assert!(!on_hold("198.51.100.1", "") && !on_hold("198.51.100.1", "a=recvonly"));
    }

    #[test]
    fn multicast_and_ranges_of_ports_cannot_be_anchored() {
        let anchorable =
            |address: &str, port: &str| parse(&format!("v=0\nc={address}\nm=audio {port} RTP/AVP 0\n")).media()[0].anchorable;

        assert!(anchorable("IN IP4 198.51.100.1", "4") && anchorable("IN IP4 pbx.test", "4") && anchorable("in ip6 ::1", "4/1"));
        assert!(
            !anchorable("IN IP4 224.2.36.42/127", "4")
                && !anchorable("IN IP4 224.2.36.42", "4")
                && !anchorable("ATM NSAP 47.0", "4")
        );
        assert!(!anchorable("IN IP4 198.51.100.1", "4/2"));
    }

    #[test]
    fn a_description_that_can_be_read_in_two_ways_is_refused() {
        for (body, fault) in [
            ("", MalformedSdp::NoVersion),
            ("m=audio 4 RTP/AVP 0\r\n", MalformedSdp::NoVersion),
            ("v=0\r\nm=audio\r\n", MalformedSdp::Media),
            ("v=0\r\nm=audio 65536 RTP/AVP 0\r\n", MalformedSdp::Media),
            ("v=0\r\nm=audio +4 RTP/AVP 0\r\n", MalformedSdp::Media),
            ("v=0\r\nm=audio 4 RTP/AVP 0\r\nc=IN IP4\r\n", MalformedSdp::Connection),
            ("v=0\r\nm =video 4 RTP/AVP 0\r\n", MalformedSdp::Ambiguous),
            ("v=0\r\n c=IN IP4 198.51.100.1\r\n", MalformedSdp::Ambiguous),
            ("v=0\r\na=x\rc=IN IP4 198.51.100.1\r\n", MalformedSdp::Ambiguous),
        ] {
            assert_eq!(Sdp::parse(body.as_bytes()).err(), Some(fault), "{body:?}");
        }
        assert_eq!(Sdp::parse(&b"v=0\n".repeat(SDP_LINES + 1)).err(), Some(MalformedSdp::TooLong));
        assert_eq!(
            Sdp::parse(&[&b"v=0\n"[..], &b"m=audio 4 RTP/AVP 0\n".repeat(MEDIA_LINES + 1)].concat()).err(),
            Some(MalformedSdp::TooLong)
        );
    }

    #[test]
    fn further_keys_than_may_be_are_as_if_they_were_not_there() {
        let lines = |count: usize| {
            let line =
                |tag| format!("a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n");
            let lines: String = (1..=count).map(line).collect();
            parse(&format!("v=0\r\nm=audio 4 RTP/SAVP 8\r\n{lines}")).media()[0].keys.len()
        };

        assert_eq!((lines(CRYPTO_LINES), lines(CRYPTO_LINES + 1)), (CRYPTO_LINES, CRYPTO_LINES));
    }

    #[test]
    fn empty_and_unknown_lines_do_not_matter() {
        let sdp = parse("\r\nv=0\r\n\r\nhello\r\n=\r\n\u{fc}=\r\na=\r\na=:\r\nm=audio 4  RTP/AVP  0\t8 300 x\r\n\r\n");

        assert_eq!(sdp.media()[0].formats.len(), 2);
    }

    #[test]
    fn nothing_of_an_address_is_printed_by_debug() {
        let shown =
            format!("{:?}", parse("v=0\r\no=alice 1 1 IN IP4 198.51.100.1\r\nc=IN IP4 198.51.100.1\r\nm=audio 4 RTP/AVP 0\r\n"));

        assert!(!shown.contains("198.51") && !shown.contains("alice"), "{shown}");
    }

    fn parse(body: &str) -> Sdp {
        Sdp::parse(body.as_bytes()).unwrap()
    }
}
