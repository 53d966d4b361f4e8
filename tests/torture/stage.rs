//! The running program between a PBX and a trunk that send it torture messages, each at an address of its own.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use super::ears::Ears;
use super::line::{Came, Line};
use super::sip_scene::{hop_by_hop, parse};
use super::support::authority::Authority;
use super::support::child::Running;
use super::support::site::{Policy, Site, policy};
use super::support::wire::{Secured, Wire};
use mitschnitt::wire::sip::{Message, Name, reply};

/// Over what, and how, a message is brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// In a datagram.
    Udp,
    /// In a connection, in one piece.
    Tcp,
    /// The same in four, each once the one before was read.
    Pieces,
    /// In one piece within TLS.
    Tls,
}

/// The program, and both its peers.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) over: Over,
    pub(crate) pbx: Ears,
    pub(crate) trunk: Ears,
    secured: Secured,
    served: Cell<u32>,
    _proxy: Running,
}

/// A side that speaks to the proxy.
pub(crate) struct Caller {
    side: Side,
    by: By,
}

enum By {
    Datagrams,
    Line(Line),
}

/// Who is on which side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Pbx,
    Trunk,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Pbx => Self::Trunk,
            Self::Trunk => Self::Pbx,
        }
    }
}

impl Over {
    /// The keys that the verdict stands under, where calls are known.
    pub(crate) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Udp => &["call", "udp"],
            Self::Tcp | Self::Pieces | Self::Tls => &["call stream", "call", "stream", "udp"],
        }
    }

    /// What stands in a `Via`.
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp | Self::Pieces => "TCP",
            Self::Tls => "TLS",
        }
    }
}

impl Stage {
    /// A PBX that hears what is sent to any port that a topmost Via of the messages names, and a trunk that is spoken to over UDP, and over
    /// TCP where that is too long.
    pub(crate) fn for_requests(over: Over, of_ipv6: bool) -> Self {
        Self::new(over, of_ipv6, |_, trunk, proxy, _| vec![Wire::udp(trunk), Wire::stream(trunk, proxy, None)])
    }

    /// A trunk that is spoken to over this.
    pub(crate) fn for_responses(over: Over) -> Self {
        Self::new(over, false, |site, trunk, proxy, secured| match over {
            Over::Udp => vec![Wire::udp(trunk)],
            Over::Tcp | Over::Pieces => {
                site.set("[[trunk]]", &format!("address = \"tcp {trunk}\""));
                vec![Wire::stream(trunk, proxy, None)]
            }
            Over::Tls => {
                site.set("[[trunk]]", &format!("address = \"tls {trunk}\""));
                vec![Wire::stream(trunk, site.ports.proxy_tls(), Some(secured.clone()))]
            }
        })
    }

    fn new(over: Over, of_ipv6: bool, trunk: impl FnOnce(&Site, SocketAddr, SocketAddr, &Secured) -> Vec<Wire>) -> Self {
        // Nobody is told anything, and a prompt that is short is soon there in every codec.
        let site = Site::new(Policy { announcement_ms: 20, ..policy("announce") });
        let authority = Authority::new();
        authority.equip(&site);
        let [pbx_at, trunk_at] = [1, 2].map(|nth| SocketAddr::new(site.ports.host(nth), 5060));
        let hosts = [pbx_at, trunk_at].map(|at| at.ip().to_string());
        let secured = authority.secured(&authority.certify(&hosts.each_ref().map(String::as_str)));
        site.set("[pbx]", &format!("address = \"{pbx_at}\""));
        site.set("[[trunk]]", &format!("address = \"{trunk_at}\""));
        // What registers here is to pass as it came.
        site.set("[[trunk]]", "registrations = \"as-they-come\"");
        if of_ipv6 {
            let config = std::fs::read_to_string(site.config()).expect("the test wrote it");
            let of_both = "pbx_address = \"::1\"\ntrunk_address = \"127.0.0.1\"\nports";
            let config = config.replace("address = \"127.0.0.1\"\nports", of_both);
            std::fs::write(site.config(), config).expect("the test's own directory can be written");
        }
        let trunk = Ears::new(trunk(&site, trunk_at, site.ports.proxy(), &secured));
        let ports = [5060, 5061, 5050, 5070, 6050, 19823];
        let pbx = Ears::new(ports.into_iter().map(|port| Wire::udp(SocketAddr::new(pbx_at.ip(), port))).collect());
        let proxy = site.start();
        Self { site, over, pbx, trunk, secured, served: Cell::new(0), _proxy: proxy }
    }

    /// Where a side is.
    pub(crate) fn at(&self, side: Side) -> SocketAddr {
        SocketAddr::new(self.site.ports.host(if side == Side::Pbx { 1 } else { 2 }), 5060)
    }

    const fn ears(&mut self, side: Side) -> &mut Ears {
        match side {
            Side::Pbx => &mut self.pbx,
            Side::Trunk => &mut self.trunk,
        }
    }

    /// Where the proxy listens for datagrams; who has a connection sends by that.
    pub(crate) fn to_us(&self) -> SocketAddr {
        self.site.ports.proxy()
    }

    /// What we put into `Record-Route`, topmost first: the end that a request leaves by, which is UDP, and the one that it came by.
    pub(crate) fn record_routes(&self) -> Vec<String> {
        let (udp, tls) = (self.site.ports.proxy(), self.site.ports.proxy_tls());
        let came = match self.over {
            Over::Udp => None,
            Over::Tcp | Over::Pieces => Some(format!("<sip:{udp};transport=tcp;lr>")),
            Over::Tls => Some(format!("<sip:{tls};transport=tls;lr>")),
        };
        [Some(format!("<sip:{udp};lr>")), came].into_iter().flatten().collect()
    }

    /// A new connection of a side, or the socket that it has.
    pub(crate) fn caller(&self, side: Side) -> Caller {
        let (from, ports) = (self.at(side).ip(), &self.site.ports);
        let by = match self.over {
            Over::Udp => By::Datagrams,
            Over::Tcp | Over::Pieces => By::Line(Line::open(from, ports.proxy(), None)),
            Over::Tls => By::Line(Line::open(from, ports.proxy_tls(), Some(&self.secured))),
        };
        Caller { side, by }
    }

    /// Where what it sends comes from.
    pub(crate) fn from(&self, caller: &Caller) -> SocketAddr {
        match &caller.by {
            By::Datagrams => self.at(caller.side),
            By::Line(line) => line.at(),
        }
    }

    /// Has it send a message. Returns what has come to the trunk meanwhile: that of several in pieces the first went on.
    pub(crate) fn sends(&mut self, caller: &mut Caller, message: &[u8]) -> Vec<Vec<u8>> {
        let mut early = Vec::new();
        match &mut caller.by {
            By::Line(line) if self.over == Over::Pieces => {
                let mut rest = message;
                for at in cuts(message) {
                    let (piece, after) = rest.split_at(at - (message.len() - rest.len()));
                    line.send(piece);
                    // What comes by another way after it is served: so this piece has been read, and what it makes has gone on.
                    early.extend(self.is_served_beside());
                    rest = after;
                }
                line.send(rest);
            }
            _ => self.says(caller, message),
        }
        early
    }

    /// Waits for the answer to this request that is none of these that come for the way's sake; acknowledges it where it must be.
    pub(crate) fn answer_to(&mut self, caller: &mut Caller, request: &[u8]) -> Vec<u8> {
        let answer = self.next(caller).expect("there is an answer");
        // A request that lacks what an ACK is made of has none.
        let makes_an_ack = |request: &Message| {
            [Name::Via, Name::From, Name::CallId].into_iter().all(|name| request.value(name).is_some()) && request.cseq().is_ok()
        };
        if request.starts_with(b"INVITE ") && Message::parse_datagram(request.to_vec().into()).is_ok_and(|it| makes_an_ack(&it)) {
            let ack = hop_by_hop("ACK", &parse(request), &parse(&answer));
            self.says(caller, ack.as_bytes());
        }
        answer
    }

    /// Has it send this, in one piece.
    pub(crate) fn says(&mut self, caller: &mut Caller, message: &[u8]) {
        let to = self.to_us();
        match &mut caller.by {
            By::Datagrams => self.ears(caller.side).send(message, to),
            By::Line(line) => line.send(message),
        }
    }

    fn next(&mut self, caller: &mut Caller) -> Option<Vec<u8>> {
        let By::Line(line) = &mut caller.by else { return Some(self.ears(caller.side).receive()) };
        loop {
            let message = line.receive()?;
            if !message.starts_with(b"SIP/2.0 100 ") {
                return Some(message);
            }
        }
    }

    /// What still comes by a connection until the proxy closes it, be it that we end it.
    pub(crate) fn last_words(&mut self, mut caller: Caller, ends: bool) -> Vec<Vec<u8>> {
        match &mut caller.by {
            By::Datagrams => return Vec::new(),
            By::Line(line) if ends => line.end(),
            By::Line(_) => {}
        }
        std::iter::from_fn(|| self.next(&mut caller)).collect()
    }

    /// Whether the next request goes through, before anything else; not where the connection is closed.
    pub(crate) fn is_served(&mut self, caller: &mut Caller) -> bool {
        let (from, to) = (self.from(caller), self.at(caller.side.other()));
        let (id, options) = self.options(self.over.name(), from, to);
        self.says(caller, &options);
        let came = loop {
            if let Some(came) = self.ears(caller.side.other()).poll() {
                break came;
            }
            if let By::Line(line) = &mut caller.by {
                match line.poll(Duration::from_millis(1)) {
                    Came::End => return false,
                    Came::Message(message) => panic!("{} came before its answer could", message.escape_ascii()),
                    Came::Nothing => {}
                }
            }
        };
        assert!(is_of(&came, &id), "nothing else went on: {}", came.escape_ascii());
        let answer = self.answers(caller.side.other(), &came, 200);
        assert_eq!(self.next(caller).map(|came| came.escape_ascii().to_string()), Some(answer.escape_ascii().to_string()));
        true
    }

    /// Another request goes through, in a datagram; what came to the trunk before it.
    fn is_served_beside(&mut self) -> Vec<Vec<u8>> {
        let (id, options) = self.options("UDP", self.at(Side::Pbx), self.at(Side::Trunk));
        self.pbx.send(&options, self.to_us());
        let mut early = Vec::new();
        let came = loop {
            let came = self.trunk.receive();
            if is_of(&came, &id) {
                break came;
            }
            early.push(came);
        };
        let answer = self.answers(Side::Trunk, &came, 200);
        assert_eq!(self.pbx.receive().escape_ascii().to_string(), answer.escape_ascii().to_string());
        early
    }

    /// Answers a request where it came. Returns what the one who asked is to see of that.
    pub(crate) fn answers(&mut self, side: Side, request: &[u8], status: u16) -> Vec<u8> {
        let answer = reply(&parse(request), status, "So", Some(b"there"), &[]);
        let to = self.to_us();
        self.ears(side).answer(&answer, to);
        // Our Via stands first, in a line of its own.
        let text = answer.to_vec();
        let via = text.windows(2).position(|two| two == b"\r\n").expect("a first line") + 2;
        let end = text[via..].windows(2).position(|two| two == b"\r\n").expect("a Via") + via + 2;
        [&text[..via], &text[end..]].concat()
    }

    fn options(&self, over: &str, from: SocketAddr, to: SocketAddr) -> (String, Vec<u8>) {
        self.served.set(self.served.get() + 1);
        let id = format!("served{}", self.served.get());
        let text = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/{over} {from};branch=z9hG4bK{id}\r\nMax-Forwards: 70\r\n\
             From: <sip:a@h>;tag=1\r\nTo: <sip:{to}>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        );
        (id, text.into_bytes())
    }
}

fn is_of(message: &[u8], id: &str) -> bool {
    parse(message).call_id() == Ok(id.as_bytes())
}

/// Three places within a message, by its own bytes: the same at each run.
fn cuts(message: &[u8]) -> Vec<usize> {
    let seed =
        message.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let room = u64::try_from(message.len() - 1).expect("it is short");
    let place = |nth: u32| 1 + usize::try_from(seed.rotate_left(17 * nth) % room).expect("it is short");
    let mut cuts: Vec<usize> = (0..3).map(place).collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}
