//! Session descriptions as phones write and read them, in the ordinary variants.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Payload type of telephone-event.
pub(super) const EVENT: u8 = 101;

/// One party's wish: where it takes media, in which formats, and which way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wish {
    /// Where it takes media.
    pub(super) media: SocketAddr,
    /// Payload types, most wanted first.
    pub(super) formats: Vec<u8>,
    pub(super) flow: Flow,
    /// On hold by an address of zeroes.
    pub(super) zeroes: bool,
    /// Goes up with each new description.
    pub(super) version: u32,
}

/// Which way media goes, as its writer sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Flow {
    pub(super) sends: bool,
    pub(super) receives: bool,
}

impl Flow {
    pub(super) const BOTH: Self = Self { sends: true, receives: true };

    /// What this party does with what the other wants.
    pub(super) const fn answering(self, other: Self) -> Self {
        Self { sends: self.sends && other.receives, receives: self.receives && other.sends }
    }

    const fn word(self) -> &'static str {
        match (self.sends, self.receives) {
            (true, true) => "sendrecv",
            (true, false) => "sendonly",
            (false, true) => "recvonly",
            (false, false) => "inactive",
        }
    }
}

/// The habits of a phone's programmer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Habit {
    /// `c=` stands below `m=`, not above.
    pub(super) low_connection: bool,
    /// `a=rtpmap` for the static types too.
    pub(super) all_maps: bool,
    pub(super) ptime: bool,
    /// `a=sendrecv` is written, though it is what one takes for granted.
    pub(super) says_sendrecv: bool,
    /// Answers name one codec only.
    pub(super) one_codec: bool,
    /// A line that nobody knows.
    pub(super) unknown: bool,
}

impl Habit {
    pub(super) const fn of(bits: u64) -> Self {
        Self {
            low_connection: bits & 1 != 0,
            all_maps: bits & 2 != 0,
            ptime: bits & 4 != 0,
            says_sendrecv: bits & 8 != 0,
            one_codec: bits & 16 != 0,
            unknown: bits & 32 != 0,
        }
    }
}

impl Wish {
    /// Writes it down.
    pub(super) fn write(&self, session: u32, habit: Habit) -> String {
        let connection = if self.zeroes { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { self.media.ip() };
        let mut text = String::with_capacity(320);
        write!(text, "v=0\r\no=- {session} {} IN IP4 {}\r\ns=call\r\n", self.version, self.media.ip()).expect(ENDLESS);
        if !habit.low_connection {
            write!(text, "c=IN IP4 {connection}\r\n").expect(ENDLESS);
        }
        write!(text, "t=0 0\r\nm=audio {} RTP/AVP", self.media.port()).expect(ENDLESS);
        for format in &self.formats {
            write!(text, " {format}").expect(ENDLESS);
        }
        text.push_str("\r\n");
        if habit.low_connection {
            write!(text, "c=IN IP4 {connection}\r\n").expect(ENDLESS);
        }
        for format in &self.formats {
            match format {
                0 if habit.all_maps => text.push_str("a=rtpmap:0 PCMU/8000\r\n"),
                8 if habit.all_maps => text.push_str("a=rtpmap:8 PCMA/8000\r\n"),
                18 if habit.all_maps => text.push_str("a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\n"),
                &EVENT => text.push_str("a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"),
                _ => {}
            }
        }
        if habit.ptime {
            text.push_str("a=ptime:20\r\n");
        }
        if habit.unknown {
            text.push_str("a=x-phone:7 of 9\r\n");
        }
        if habit.says_sendrecv || self.flow != Flow::BOTH {
            write!(text, "a={}\r\n", self.flow.word()).expect(ENDLESS);
        }
        text
    }

    /// The formats of an answer: what both have, most wanted first; all that was offered where they have nothing in common.
    pub(super) fn answering(&self, theirs: &Described, habit: Habit) -> Vec<u8> {
        let mut common: Vec<u8> = self.formats.iter().copied().filter(|format| theirs.formats.contains(format)).collect();
        if speech(&common).is_none() {
            common.clone_from(&theirs.formats);
        }
        if habit.one_codec {
            let first = speech(&common);
            common.retain(|&format| format == EVENT || Some(format) == first);
        }
        common
    }
}

/// What the other party described, as the box wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Described {
    pub(super) media: SocketAddr,
    pub(super) formats: Vec<u8>,
    pub(super) flow: Flow,
}

impl Described {
    /// Reads the audio line; nothing where there is none.
    pub(super) fn read(body: &str) -> Option<Self> {
        let (mut above, mut below, mut line, mut flow) = (None, None, None, Flow::BOTH);
        for text in body.split("\r\n") {
            let Some((kind, value)) = text.split_once('=') else { continue };
            match (kind, value) {
                ("c", value) => {
                    let ip = value.rsplit(' ').next().and_then(|ip| ip.parse::<IpAddr>().ok());
                    if line.is_none() { above = ip } else { below = ip }
                }
                ("m", value) if line.is_none() => line = value.strip_prefix("audio "),
                ("m", _) => break,
                ("a", "sendrecv") => flow = Flow::BOTH,
                ("a", "sendonly") => flow = Flow { sends: true, receives: false },
                ("a", "recvonly") => flow = Flow { sends: false, receives: true },
                ("a", "inactive") => flow = Flow { sends: false, receives: false },
                _ => {}
            }
        }
        let mut words = line?.split(' ');
        let port = words.next()?.parse().ok()?;
        let formats = words.skip(1).filter_map(|word| word.parse().ok()).collect();
        Some(Self { media: SocketAddr::new(below.or(above)?, port), formats, flow })
    }

    /// Whether it takes media.
    pub(super) const fn takes(&self) -> bool {
        self.flow.receives && !self.media.ip().is_unspecified() && self.media.port() != 0
    }
}

/// Why writing into a `String` cannot fail.
pub(super) const ENDLESS: &str = "a String takes everything";

/// The first payload type that is speech.
pub(super) fn speech(formats: &[u8]) -> Option<u8> {
    formats.iter().copied().find(|&format| format != EVENT)
}
