//! The PBX and the carrier around the table of calls: both parties of one call from the PBX, what each may send next, and what leaves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use mitschnitt::call::{
    self, Config, ContactKey, Deed, Guarding, HandleKey, KeySource, Output, Peer, Peers, PortPair, Registering, Strangers,
    Suspension, Table,
};
use mitschnitt::consent::{Cut, Mode, Player, SentAs, Terms, WithoutConsent};
use mitschnitt::digit::Digit;
use mitschnitt::ids::{Leg, TrunkName};
use mitschnitt::media::{Announcing, BridgeId, Event, Order, PairIds, PortId};
use mitschnitt::network::Network;
use mitschnitt::sip::{self, Flow, Transport};
use mitschnitt::time::{Moment, Wall};
use mitschnitt::vault::EndReason;
use mitschnitt::wire::sdp::Sdp;
use mitschnitt::wire::sip::{Message, Method, Name};

use crate::grid::Machine;
use crate::terms::{for_all, terms};

use Leg::{Pbx as P, Trunk as T};

/// What may happen to a call.
#[derive(Clone, Copy)]
pub enum Input {
    /// The PBX sends its INVITE, or sends it again as it was.
    Invite,
    /// The PBX cancels it.
    Cancel,
    /// The carrier answers it with this status; 183 and 2xx have a description in them.
    Answer(u16),
    /// Another phone that the carrier forked it to answers with this status.
    OtherFork(u16),
    /// The party acknowledges the last final answer that it was given to an INVITE.
    Ack(Leg),
    /// The PBX acknowledges the 200 of the other phone.
    AckOtherFork,
    /// The party hangs up.
    Bye(Leg),
    /// The party's last BYE comes again as it was.
    ByeAgain(Leg),
    /// The PBX hangs up on the other phone.
    ByeOtherFork,
    /// A request within the call that was passed on last is answered with this status.
    Reply(u16),
    /// The party offers its media anew.
    Reinvite(Leg, Place),
    /// The same, and the other answers at once, and the party acknowledges.
    Moved(Leg, Place),
    /// A BYE with the PBX's tags from an address that is nobody's.
    StrangersBye,
    /// A BYE in the PBX's name from the carrier.
    ForgedBye,
    /// The announcement was played to its end.
    Played(Leg),
    /// It was cut.
    CutShort(Leg, Cut),
    /// The party pressed the key.
    Key(Leg),
    /// An operator does this to the call.
    Operator(Deed),
    /// The recording cannot be begun, or goes on no longer; the bool is whether a file was left.
    VaultFailed(bool),
    /// Nothing happens for so many seconds.
    Pass(u64),
    /// The product stops.
    ShutDown,
}

/// Where a party wants its media.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Where it was from the first.
    Here,
    /// At another address.
    Elsewhere,
    /// Nowhere for now: on hold.
    Held,
    /// Where it was, in a codec that nothing can be announced in.
    OtherCodec,
}

impl Place {
    const fn word(self) -> &'static str {
        match self {
            Self::Here => "",
            Self::Elsewhere => " elsewhere",
            Self::Held => " held",
            Self::OtherCodec => " G.729",
        }
    }
}

/// The product's table with one call in it, and both parties.
pub struct Parties {
    table: Table,
    now: Moment,
    ports: u16,
    /// The INVITE as the PBX sent it, and as the carrier got it.
    invite: Option<(String, Option<Message>)>,
    /// The CSeq number that each party used last.
    cseq: [u32; 2],
    /// The final answers to INVITEs that each party was given last.
    final_answer: [Option<Message>; 2],
    /// The last BYE of each party.
    bye: [Option<String>; 2],
    /// Requests within the call that were passed on and not answered, with the party that has to.
    unanswered: Vec<(Leg, Message)>,
    /// The last INVITE of each party.
    last_invite: [Option<String>; 2],
    /// Whether the PBX saw a 2xx to its first INVITE.
    is_answered: bool,
    /// The bridge that was announced over, or recorded.
    bridge: Option<BridgeId>,
    /// Whether a recording was begun.
    was_recorded: bool,
    announcing: [Option<Announcing>; 2],
    /// Where each party said last that it wants its media, and where the media plane was told that it is.
    wanted: [Place; 2],
    described: [Place; 2],
    out: Vec<String>,
}

impl Parties {
    /// Returns both parties and a policy by which the trunk's may refuse with a key, or must agree with it, in 5 s.
    pub fn new(mode: Mode, without_consent: WithoutConsent) -> Self {
        let now = Moment::from_millis(1);
        let carriers = Network { address: "198.51.100.0".parse().unwrap(), prefix: 24 };
        let config = Config {
            sip: sip::Config::new(address(PROXY)),
            peers: Peers {
                pbx: Peer {
                    way: Flow::first(address(PBX)),
                    transport: Transport::Udp,
                    networks: vec![],
                    latching: Default::default(),
                    media_as: None,
                    routing: Default::default(),
                },
                trunks: vec![(
                    TrunkName::new("carrier"),
                    Peer {
                        way: Flow::first(address(TRUNK)),
                        transport: Transport::Udp,
                        networks: vec![carriers],
                        latching: Default::default(),
                        media_as: None,
                        routing: Default::default(),
                    },
                )],
            },
            strangers: Strangers::Drop,
            guarding: Guarding::default(),
            media: ["192.0.2.2".parse().unwrap(), "203.0.113.1".parse().unwrap()],
            policies: for_all(Terms { without_consent, ..terms(mode) }),
            emergency: Vec::new(),
            unrecorded: None,
            indexed: Vec::new(),
            handles: HandleKey::new(zeroize::Zeroizing::new([8; 32])),
            registering: Registering::new(ContactKey::new(zeroize::Zeroizing::new([9; 32])), Vec::new()),
            port_stock: 8,
            dead: None,
            keys: KeySource::new(zeroize::Zeroizing::new([7; 32])),
            clocks: (Moment::START, Wall::from_unix_micros(0)),
        };
        let mut parties = Self {
            table: Table::new(config, [7, 8], now),
            now,
            ports: 0,
            invite: None,
            cseq: [0, 0],
            final_answer: [None, None],
            bye: [None, None],
            unanswered: Vec::new(),
            last_invite: [None, None],
            is_answered: false,
            bridge: None,
            was_recorded: false,
            announcing: [None, None],
            wanted: [Place::Here; 2],
            described: [Place::Here; 2],
            out: Vec::new(),
        };
        parties.drain();
        parties
    }

    fn happen(&mut self, input: Input) -> Option<()> {
        match input {
            Input::Invite => {
                if self.invite.is_none() {
                    self.cseq[0] = 1;
                    let text = request("INVITE", P, 1, None, "", &offer(P, Place::Here));
                    self.last_invite[0] = Some(text.clone());
                    self.invite = Some((text, None));
                }
                let (text, _) = self.invite.clone()?;
                self.datagram(PBX, &text);
            }
            Input::Cancel => {
                let (text, _) = self.invite.clone()?;
                let invite = Message::parse_datagram(Bytes::from(text)).unwrap();
                self.datagram(PBX, &hop_by_hop("CANCEL", &invite, &invite));
            }
            Input::Answer(status) => self.answer(status, "b")?,
            Input::OtherFork(status) => self.answer(status, "c")?,
            Input::Ack(leg) => {
                let answer = self.final_answer[leg.index()].clone()?;
                let text = if answer.status()? < 300 {
                    let cseq = answer.cseq().unwrap().number;
                    request("ACK", leg, cseq, Some("b"), "", "")
                } else {
                    let invite = Message::parse_datagram(Bytes::from(self.last_invite[leg.index()].clone()?)).unwrap();
                    hop_by_hop("ACK", &invite, &answer)
                };
                self.datagram(at(leg), &text);
            }
            Input::AckOtherFork => {
                self.is_answered.then_some(())?;
                self.datagram(PBX, &request("ACK", P, 1, Some("c"), "", ""));
            }
            Input::Bye(leg) => {
                self.invite.as_ref()?;
                let text = self.next("BYE", leg, "b", "");
                self.bye[leg.index()] = Some(text.clone());
                self.datagram(at(leg), &text);
            }
            Input::ByeAgain(leg) => {
                let text = self.bye[leg.index()].clone()?;
                self.datagram(at(leg), &text);
            }
            Input::ByeOtherFork => {
                self.is_answered.then_some(())?;
                let text = self.next("BYE", P, "c", "");
                self.datagram(PBX, &text);
            }
            Input::Reply(status) => {
                let (leg, asked) = self.unanswered.pop()?;
                let has_offer = asked.method() == Method::Invite && status < 300;
                let sdp = if has_offer { offer(leg, self.wanted[leg.index()]) } else { String::new() };
                self.datagram(at(leg), &answer(&asked, status, "b", &sdp));
            }
            Input::Reinvite(leg, place) => {
                self.invite.as_ref()?;
                self.wanted[leg.index()] = place;
                let text = self.next("INVITE", leg, "b", &offer(leg, place));
                self.last_invite[leg.index()] = Some(text.clone());
                self.datagram(at(leg), &text);
            }
            Input::Moved(leg, place) => {
                self.happen(Input::Reinvite(leg, place))?;
                self.happen(Input::Reply(200))?;
                self.happen(Input::Ack(leg))?;
            }
            Input::StrangersBye => self.datagram(STRANGER, &request("BYE", P, 9, Some("b"), "stranger", "")),
            Input::ForgedBye => self.datagram(TRUNK, &request("BYE", P, 9, Some("b"), "forged", "")),
            Input::Played(leg) => {
                let announcing = self.announcing[leg.index()].take()?;
                let mut player = Player::new(leg, announcing.clip, 20);
                let sent = SentAs { ssrc: 1, sequence: 2, timestamp: 3 };
                let played = player.sent(sent, self.now).expect("the clip has one frame");
                self.media(Event::Played { id: announcing.id, played });
            }
            Input::CutShort(leg, cut) => {
                let announcing = self.announcing[leg.index()].take()?;
                self.media(Event::Cut { id: announcing.id, leg, cut });
            }
            Input::Key(leg) => {
                let id = self.bridge?;
                self.media(Event::Digit {
                    id,
                    leg,
                    digit: Digit::from_char('1').unwrap(),
                    how: mitschnitt::consent::How::KeyByRtp,
                });
            }
            Input::VaultFailed(left_a_file) => {
                let call = self.bridge.filter(|_| self.was_recorded)?.call;
                self.table.handle(call::Input::VaultFailed { call, left_a_file }, self.now);
            }
            Input::Operator(deed) => {
                let call = self.table.live().first()?.call;
                self.table.handle(call::Input::Operator { call, deed }, self.now);
            }
            Input::Pass(seconds) => {
                let until = self.now + Duration::from_secs(seconds);
                while let Some(at) = self.table.deadline().filter(|&at| at <= until) {
                    self.now = self.now.max(at);
                    self.table.wake(self.now);
                    self.drain();
                }
                self.now = until;
            }
            Input::ShutDown => self.table.shut_down(self.now),
        }
        self.drain();
        Some(())
    }

    /// The carrier's phone of this tag answers the first INVITE.
    fn answer(&mut self, status: u16, tag: &str) -> Option<()> {
        let (_, invited) = self.invite.as_ref()?;
        let sdp = if status == 183 || (200..300).contains(&status) { offer(T, Place::Here) } else { String::new() };
        let text = answer(invited.as_ref()?, status, tag, &sdp);
        self.datagram(TRUNK, &text);
        Some(())
    }

    /// The next request of this party within the dialog that has the callee's tag.
    fn next(&mut self, method: &str, leg: Leg, callee_tag: &str, sdp: &str) -> String {
        let cseq = &mut self.cseq[leg.index()];
        *cseq += 1;
        request(method, leg, *cseq, Some(callee_tag), "", sdp)
    }

    fn datagram(&mut self, from: &str, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.table.handle(call::Input::Message { from: Flow::first(address(from)), bytes }, self.now);
        self.drain();
    }

    fn media(&mut self, event: Event) {
        self.table.handle(call::Input::Media(event), self.now);
    }

    fn drain(&mut self) {
        while let Some(output) = self.table.poll() {
            match output {
                Output::Send { to, or: _, bytes } => self.sent(to.far, bytes),
                Output::Media { order, call: _ } => self.ordered(order),
                Output::Silent { .. } | Output::Reached { .. } | Output::Consult(_) => {
                    unreachable!("nobody watches, and no hook is asked")
                }
                // What is kept for a restart is no part of these tables.
                Output::Keep(_) | Output::Forget(_) | Output::Turn { .. } => {}
                Output::Record { id, .. } => {
                    self.bridge = Some(id);
                    self.was_recorded = true;
                    self.say("RECORD");
                }
                Output::EndRecording { why, .. } => self.say(&format!("END({})", end(why))),
                Output::Suspend { why: Suspension::Bye, .. } => self.say("SUSPEND"),
                Output::Suspend { why: Suspension::Pause, .. } => self.say("PAUSE"),
                Output::Answer { answer: Ok(_), .. } => self.say("Done"),
                Output::Answer { answer: Err(why), .. } => self.say(&format!("{why:?}")),
                Output::Resume { .. } => self.say("RESUME"),
                Output::Formats { .. } => self.say("formats"),
                Output::GiveBack { pair, .. } => self.say(&format!("port-back({})", letter(pair.leg))),
                Output::WantPorts { leg, count } => {
                    let pairs = (0..count).map(|_| self.pair(leg)).collect();
                    self.table.handle(call::Input::Ports(pairs), self.now);
                }
                Output::Story(story) => {
                    let file = if story.recording.is_some() { "+file" } else { "" };
                    let over = if story.ended.is_some() { ",over" } else { "" };
                    self.say(&format!("row({}{file}{over})", story.reason));
                }
            }
        }
    }

    fn sent(&mut self, to: SocketAddr, bytes: Bytes) {
        let message = Message::parse_datagram(bytes).expect("what is sent is a message");
        let leg = if to == address(PBX) { P } else { T };
        assert!(to == address(at(leg)), "sent to {to}");
        let Some(status) = message.status() else {
            let method = String::from_utf8_lossy(message.method().as_bytes()).into_owned();
            self.say(&format!("{method}→{}{}", letter(leg), media(&message)));
            let is_first = message.to().unwrap().tag().is_none();
            match message.method() {
                Method::Invite if is_first => {
                    if let Some((_, invited)) = &mut self.invite {
                        *invited = Some(message);
                    }
                }
                // Answered at once, for it waits for nobody.
                Method::Cancel => self.datagram(at(leg), &answer(&message, 200, "b", "")),
                Method::Ack => {}
                _ => {
                    let branch = |message: &Message| message.value(Name::Via).map(<[u8]>::to_vec);
                    if self.unanswered.iter().all(|(_, known)| branch(known) != branch(&message)) {
                        self.unanswered.push((leg, message));
                    }
                }
            }
            return;
        };
        let method = message.cseq().unwrap().method;
        let of = match method {
            Method::Invite => String::new(),
            method => format!("{}/", String::from_utf8_lossy(method.as_bytes())),
        };
        self.say(&format!("{of}{status}→{}{}", letter(leg), media(&message)));
        if method == Method::Invite && status >= 200 {
            self.is_answered |= leg == P && status < 300;
            self.final_answer[leg.index()] = Some(message);
        }
    }

    fn ordered(&mut self, order: Order) {
        match order {
            Order::Bridge(bridging) => {
                self.bridge.get_or_insert(bridging.id);
                self.say("bridge");
            }
            Order::Describe { leg, remote, .. } => {
                let place = match (remote.receives, remote.rtp == address(media_at(leg, Place::Here))) {
                    (false, _) => Place::Held,
                    (true, false) => Place::Elsewhere,
                    (true, true) => Place::Here,
                };
                self.described[leg.index()] = place;
                self.say(&format!("describe({}{})", letter(leg), place.word()));
            }
            Order::Announce(announcing) => {
                self.say(&format!("announce({})", letter(announcing.leg)));
                let place = announcing.leg.index();
                self.bridge = Some(announcing.id);
                self.announcing[place] = Some(announcing);
            }
            Order::StopAnnouncement { leg, .. } => {
                self.announcing[leg.index()] = None;
                self.say(&format!("stop({})", letter(leg)));
            }
            Order::Record { .. } | Order::Unrecord { .. } => unreachable!("the lane orders these, not the table"),
            Order::Watch { .. } => unreachable!("no time is configured after which media are dead"),
            Order::Close { .. } => {
                self.announcing = [None, None];
                self.say("close");
            }
        }
    }

    fn say(&mut self, word: &str) {
        self.out.push(word.to_owned());
    }

    fn pair(&mut self, leg: Leg) -> PortPair {
        let n = self.ports;
        self.ports += 1;
        let rtp = 20_000 + n * 2;
        let ids = PairIds { rtp: PortId(u32::from(2 * n)), rtcp: PortId(u32::from(2 * n + 1)) };
        PortPair { leg, ids, rtp, rtcp: rtp + 1 }
    }
}

impl Machine for Parties {
    type Input = Input;

    fn feed(&mut self, input: Input) -> Option<Vec<String>> {
        self.out.clear();
        self.happen(input)?;
        Some(std::mem::take(&mut self.out))
    }

    fn shows(&self) -> String {
        let mut shows = match self.table.live().first() {
            None if self.invite.is_none() => "no call".to_owned(),
            None => "over".to_owned(),
            Some(live) if live.is_up => {
                let consent = live.consent.map_or("up", |standing| standing.as_str());
                if live.is_recording { "recording".to_owned() } else { consent.to_owned() }
            }
            Some(_) if self.is_answered => "answered".to_owned(),
            Some(_) => "ringing".to_owned(),
        };
        let waiting: BTreeSet<(Leg, Vec<u8>)> =
            self.unanswered.iter().map(|(leg, message)| (leg.other(), message.method().as_bytes().to_vec())).collect();
        let is_over = shows == "over";
        for leg in Leg::BOTH {
            let place = self.described[leg.index()];
            if place != Place::Here && !is_over {
                write!(shows, ", {}{}", letter(leg), place.word()).unwrap();
            }
        }
        for (leg, method) in waiting {
            write!(shows, ", {} {}", letter(leg), String::from_utf8_lossy(&method)).unwrap();
        }
        shows
    }
}

const PROXY: &str = "192.0.2.1:5060";
const PBX: &str = "192.0.2.10:5060";
const TRUNK: &str = "198.51.100.20:5060";
const STRANGER: &str = "233.252.0.1:5060";

const fn at(leg: Leg) -> &'static str {
    match leg {
        P => PBX,
        T => TRUNK,
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// `P` for the PBX's side, `T` for the trunk's.
pub const fn letter(leg: Leg) -> char {
    match leg {
        P => 'P',
        T => 'T',
    }
}

fn end(why: EndReason) -> String {
    match why {
        EndReason::HungUp(leg) => format!("hung-up {}", letter(leg)),
        EndReason::Withdrawn(leg) => format!("withdrawn {}", letter(leg)),
        EndReason::MediaChanged => "media-changed".into(),
        EndReason::CallFailed => "call-failed".into(),
        EndReason::Shutdown => "shutdown".into(),
        EndReason::Stopped => "stopped".into(),
        EndReason::Silent | EndReason::Mandatory | EndReason::Transferred | EndReason::Other(_) => {
            unreachable!("the table ends none for that")
        }
    }
}

/// Says of a message with a description that its media is rejected, where it is.
fn media(message: &Message) -> &'static str {
    let is_rejected = Sdp::parse(message.body()).is_ok_and(|sdp| sdp.media().iter().all(|media| media.port == 0));
    if is_rejected { "(port 0)" } else { "" }
}

const fn media_at(leg: Leg, place: Place) -> &'static str {
    match (leg, place) {
        (P, Place::Elsewhere) => "192.0.2.11:4000",
        (P, Place::Here | Place::Held | Place::OtherCodec) => "192.0.2.10:4000",
        (T, Place::Elsewhere) => "198.51.100.21:6000",
        (T, Place::Here | Place::Held | Place::OtherCodec) => "198.51.100.20:6000",
    }
}

fn offer(leg: Leg, place: Place) -> String {
    let (ip, port) = media_at(leg, place).split_once(':').expect("an address has a port");
    let flow = if place == Place::Held { "sendonly" } else { "sendrecv" };
    let codec = if place == Place::OtherCodec { 18 } else { 0 };
    format!(
        "v=0\r\no=- 7 9 IN IP4 {ip}\r\ns= \r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP {codec} 101\r\n\
         a=rtpmap:101 telephone-event/8000\r\na={flow}\r\n"
    )
}

/// A request of this party; its branch is named after `salt` as well.
fn request(method: &str, leg: Leg, cseq: u32, callee_tag: Option<&str>, salt: &str, sdp: &str) -> String {
    let (from, uri, user) = match leg {
        P => (PBX, "sip:200@198.51.100.20:5060", "100"),
        T => (TRUNK, "sip:100@192.0.2.10:5060", "200"),
    };
    let (pbx, trunk) = ("<sip:100@192.0.2.10>;tag=a", "<sip:200@192.0.2.1>");
    let callee = callee_tag.map_or_else(|| trunk.to_owned(), |tag| format!("{trunk};tag={tag}"));
    let (by, to) = match leg {
        P => (pbx, callee.as_str()),
        T => (callee.as_str(), pbx),
    };
    let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}{user}{salt}{};rport\r\n\
         Max-Forwards: 70\r\nFrom: {by}\r\nTo: {to}\r\nCall-ID: 1@tables\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:{user}@{from}>\r\n{content}Content-Length: {}\r\n\r\n{sdp}",
        callee_tag.unwrap_or_default(),
        sdp.len()
    )
}

fn answer(asked: &Message, status: u16, tag: &str, sdp: &str) -> String {
    let mut text = format!("SIP/2.0 {status} So\r\n");
    let copied = |name| matches!(name, Name::Via | Name::RecordRoute | Name::From | Name::CallId | Name::CSeq);
    for line in asked.headers().filter(|line| copied(line.kind)) {
        text.push_str(std::str::from_utf8(line.raw).unwrap());
    }
    let to = String::from_utf8_lossy(asked.value(Name::To).unwrap()).into_owned();
    let to = if to.contains("tag=") || status == 100 { to } else { format!("{to};tag={tag}") };
    let content = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    write!(text, "To: {to}\r\nContact: <sip:200@198.51.100.20:5060>\r\n{content}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
        .unwrap();
    text
}

/// A CANCEL or an ACK that belongs to the INVITE itself (RFC 3261 §9.1, §17.1.1.3).
fn hop_by_hop(method: &str, invite: &Message, to_of: &Message) -> String {
    let value = |message: &Message, name| String::from_utf8_lossy(message.value(name).unwrap()).into_owned();
    format!(
        "{method} {} SIP/2.0\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} {method}\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        String::from_utf8_lossy(invite.request_uri().unwrap()),
        value(invite, Name::Via),
        value(invite, Name::From),
        value(to_of, Name::To),
        value(invite, Name::CallId),
        invite.cseq().unwrap().number
    )
}
