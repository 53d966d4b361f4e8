//! The plainest of telephones: SIP over one socket or over streams, one UDP socket for RTP, messages written by hand.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::wire::{Secured, Wire};
use super::{A_WHILE, CALLED, CALLER};

/// A telephone's signalling.
pub(crate) struct Phone {
    wire: Wire,
    at: SocketAddr,
    proxy: SocketAddr,
    passed_over: VecDeque<Message>,
}

/// A SIP message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) start: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// A call that was answered and acknowledged, as both ends know it.
pub(crate) struct Call {
    /// Where the caller's RTP is to go: the proxy's port for the caller's leg.
    pub(crate) caller_sends_to: SocketAddr,
    /// Where the callee's RTP is to go.
    pub(crate) callee_sends_to: SocketAddr,
    id: String,
    invite: Message,
    answer: Message,
}

impl Call {
    /// A call with this Call-ID, of the INVITE as it came to the callee and the answer as it came to the caller.
    pub(crate) fn answered(id: &str, invite: Message, answer: Message) -> Self {
        Self { caller_sends_to: answer.media(), callee_sends_to: invite.media(), id: id.to_owned(), invite, answer }
    }

    /// The INVITE as it came to the callee.
    pub(crate) const fn invite(&self) -> &Message {
        &self.invite
    }
}

impl Phone {
    pub(crate) fn new(at: SocketAddr, proxy: SocketAddr) -> Self {
        Self { wire: Wire::udp(at), at, proxy, passed_over: VecDeque::new() }
    }

    /// One that speaks over TCP, or over TLS.
    pub(crate) fn over_streams(at: SocketAddr, proxy: SocketAddr, secured: Option<Secured>) -> Self {
        Self { wire: Wire::stream(at, proxy, secured), at, proxy, passed_over: VecDeque::new() }
    }

    /// Closes its connections; says how many there were.
    pub(crate) fn disconnect(&self) -> usize {
        self.wire.hang_up()
    }

    /// What a URI of it says of how it is reached.
    fn parameter(&self) -> &'static str {
        match self.wire.name() {
            "TCP" => ";transport=tcp",
            "TLS" => ";transport=tls",
            _ => "",
        }
    }

    /// The socket of one that speaks by datagrams.
    pub(crate) fn socket(&self) -> &UdpSocket {
        self.wire.socket().expect("it speaks by datagrams")
    }

    /// Where it is.
    pub(crate) const fn at(&self) -> SocketAddr {
        self.at
    }

    /// Sends these bytes to the proxy.
    pub(crate) fn send(&self, bytes: &[u8]) {
        self.wire.send(bytes, self.proxy);
    }

    /// Waits for a message whose first line begins so, of this dialog (any where `id` is empty).
    pub(crate) fn expect(&mut self, id: &str, start: &str) -> Message {
        let end = Instant::now() + A_WHILE;
        let is_it = |message: &Message| message.start.starts_with(start) && (id.is_empty() || message.header("Call-ID") == id);
        if let Some(at) = self.passed_over.iter().position(is_it) {
            return self.passed_over.remove(at).expect("it was found there");
        }
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Some(message) = self.receive(left) else {
                let came: Vec<_> = self.passed_over.iter().map(|message| &message.start).collect();
                panic!("{} waited in vain for `{start}`; there came {came:?}", self.at);
            };
            if is_it(&message) {
                return message;
            }
            self.passed_over.push_back(message);
        }
    }

    /// Takes the next message, if one comes within this time.
    pub(crate) fn receive(&self, patience: Duration) -> Option<Message> {
        let (bytes, from) = self.wire.receive(patience)?;
        if let Some(from) = from {
            assert_eq!(from, self.proxy, "nobody but the proxy talks to {}", self.at);
        }
        Some(Message::parse(&bytes))
    }

    /// An INVITE to a phone at this address.
    pub(crate) fn invite(&self, id: &str, whom: SocketAddr, sdp: &str) -> Vec<u8> {
        let (at, over, how) = (self.at, self.wire.name(), self.parameter());
        format!(
            "INVITE sip:{CALLED}@{whom} SIP/2.0\r\nVia: SIP/2.0/{over} {at};branch=z9hG4bK{id}invite;rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{CALLER}@{at}>;tag={id}a\r\nTo: <sip:{CALLED}@{whom}>\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:{CALLER}@{at}{how}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        )
        .into_bytes()
    }

    /// An OPTIONS to a phone at this address: whoever gets an answer to it is served.
    pub(crate) fn options(&self, id: &str, whom: SocketAddr) -> Vec<u8> {
        let (at, over) = (self.at, self.wire.name());
        format!(
            "OPTIONS sip:{whom} SIP/2.0\r\nVia: SIP/2.0/{over} {at};branch=z9hG4bK{id}options;rport\r\nMax-Forwards: 70\r\n\
             From: <sip:{CALLER}@{at}>;tag={id}a\r\nTo: <sip:{whom}>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    }

    /// Answers a request.
    pub(crate) fn reply(&self, request: &Message, status: &str, sdp: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &request.headers {
            let tag = if name == "To" && !value.contains(";tag=") { ";tag=callee" } else { "" };
            if ["Via", "Record-Route", "From", "To", "Call-ID", "CSeq"].contains(&name.as_str()) {
                text += &format!("{name}: {value}{tag}\r\n");
            }
        }
        if !sdp.is_empty() {
            text += &format!("Contact: <sip:{CALLED}@{}{}>\r\nContent-Type: application/sdp\r\n", self.at, self.parameter());
        }
        text += &format!("Content-Length: {}\r\n\r\n{sdp}", sdp.len());
        self.send(text.as_bytes());
    }

    /// A request within a call, from the caller.
    pub(crate) fn in_dialog(&self, call: &Call, method: &str, number: u32) -> String {
        let (at, id, over) = (self.at, &call.id, self.wire.name());
        let uri = call.answer.header("Contact");
        let uri = uri.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(uri, |(uri, _)| uri);
        let routes: String = call.answer.all("Record-Route").rev().map(|route| format!("Route: {route}\r\n")).collect();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{over} {at};branch=z9hG4bK{id}{method}{number};rport\r\nMax-Forwards: 70\r\n{routes}\
             From: {}\r\nTo: {}\r\nCall-ID: {id}\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
            call.invite.header("From"),
            call.answer.header("To"),
        )
    }
}

impl Message {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().into();
        let headers =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim().into(), value.trim().into()));
        Self { start, headers: headers.collect(), body: body.into() }
    }

    /// The first value of a header field; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(this, _)| this == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl DoubleEndedIterator<Item = &'m str> {
        self.headers.iter().filter(move |(this, _)| this == name).map(|(_, value)| value.as_str())
    }

    /// Where a description wants RTP to be sent.
    pub(crate) fn media(&self) -> SocketAddr {
        let line = |begin: &str| self.body.lines().find_map(|line| line.strip_prefix(begin)).map(str::trim);
        let port = line("m=audio ").and_then(|rest| rest.split(' ').next());
        let address = line("c=IN IP4 ").zip(port).and_then(|(ip, port)| format!("{ip}:{port}").parse().ok());
        address.unwrap_or_else(|| panic!("no address for audio in:\n{}", self.body))
    }
}

/// Sets up a call from one phone to another through the proxy, to the ACK at the callee's; both ends' media are at these ports.
pub(crate) fn call(id: &str, caller: &mut Phone, callee: &mut Phone, caller_media: u16, callee_media: u16) -> Call {
    call_as(&format!("{id}x{caller_media}x{callee_media}"), caller, callee, [&sdp(caller_media), &sdp(callee_media)])
}

/// Sets up a call with this offer and this answer.
pub(crate) fn call_as(id: &str, caller: &mut Phone, callee: &mut Phone, [offer, answer]: [&str; 2]) -> Call {
    let id = id.to_owned();
    caller.send(&caller.invite(&id, callee.at, offer));
    let invite = callee.expect(&id, "INVITE");
    callee.reply(&invite, "180 Ringing", "");
    callee.reply(&invite, "200 OK", answer);
    let answer = caller.expect(&id, "SIP/2.0 200");
    let call = Call::answered(&id, invite, answer);
    caller.send(caller.in_dialog(&call, "ACK", 1).as_bytes());
    callee.expect(&id, "ACK");
    call
}

/// Ends a call from the caller's side.
pub(crate) fn hang_up(call: &Call, caller: &mut Phone, callee: &mut Phone) {
    caller.send(caller.in_dialog(call, "BYE", 2).as_bytes());
    let bye = callee.expect(&call.id, "BYE");
    callee.reply(&bye, "200 OK", "");
    // The INVITE's 200 was taken before: this one is the BYE's.
    loop {
        if caller.expect(&call.id, "SIP/2.0 200").header("CSeq").ends_with("BYE") {
            return;
        }
    }
}

/// A session description with A-law and telephone-events at this port.
pub(crate) fn sdp(port: u16) -> String {
    sdp_of(port, "8 101", &["rtpmap:8 PCMA/8000", "rtpmap:101 telephone-event/8000", "fmtp:101 0-15"])
}

/// A session description with these formats at this port, and what is said of them.
pub(crate) fn sdp_of(port: u16, formats: &str, attributes: &[&str]) -> String {
    let attributes: String = attributes.iter().map(|attribute| format!("a={attribute}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n\
         {attributes}a=ptime:20\r\na=sendrecv\r\n"
    )
}

/// A telephone's media: one UDP socket.
pub(crate) struct Mouth {
    socket: UdpSocket,
    payload_type: u8,
    /// Ticks of its RTP clock in 20 ms.
    ticks: u32,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    heard: Vec<Vec<u8>>,
}

impl Mouth {
    /// One that speaks A-law.
    pub(crate) fn new(port: u16) -> Self {
        Self::speaking(port, 8, 160)
    }

    /// One whose sound has this payload type, and so many ticks in 20 ms.
    pub(crate) fn speaking(port: u16, payload_type: u8, ticks: u32) -> Self {
        let socket = UdpSocket::bind(("127.0.0.1", port)).expect("the test's own ports are free");
        let ssrc = 0x5eed_0000 | u32::from(port);
        Self { socket, payload_type, ticks, sequence: 1000, timestamp: 160_000, ssrc, heard: Vec::new() }
    }

    /// Sends 20 ms of sound.
    pub(crate) fn says(&mut self, to: SocketAddr, payload: &[u8]) {
        self.packet(to, self.payload_type, self.timestamp, payload);
        self.timestamp = self.timestamp.wrapping_add(self.ticks);
        // Whoever talks for long must listen as well: the socket's buffer holds some 270 packets.
        self.take_in(None);
    }

    /// Presses a key: an RFC 4733 event of 100 ms, its end told three times.
    pub(crate) fn presses(&mut self, to: SocketAddr, event: u8) {
        let began = self.timestamp;
        for (end, duration) in [(0, 160_u16), (0, 320), (0, 480), (0, 640), (0x80, 800), (0x80, 800), (0x80, 800)] {
            let [high, low] = duration.to_be_bytes();
            self.packet(to, 101, began, &[event, end | 10, high, low]);
        }
        self.timestamp = began.wrapping_add(800);
    }

    fn packet(&mut self, to: SocketAddr, payload_type: u8, timestamp: u32, payload: &[u8]) {
        let mut packet = vec![0x80, payload_type];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.socket.send_to(&packet, to).expect("loopback takes a datagram");
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// The payloads of audio that have come since it was last asked, until none comes for this long.
    pub(crate) fn hears(&mut self, patience: Duration) -> Vec<Vec<u8>> {
        self.take_in(Some(patience));
        std::mem::take(&mut self.heard)
    }

    fn take_in(&mut self, patience: Option<Duration>) {
        self.socket.set_nonblocking(patience.is_none()).expect("a socket can be told so");
        if patience.is_some() {
            self.socket.set_read_timeout(patience).expect("the time-out is not nought");
        }
        let mut packet = [0; 2048];
        while let Ok((len, _)) = self.socket.recv_from(&mut packet) {
            if len > 12 && packet[1] & 127 == self.payload_type {
                self.heard.push(packet[12..len].to_vec());
            }
        }
    }
}

/// Calls `tick` every 20 ms, as a telephone's clock does, so many times.
pub(crate) fn every_20_ms(times: u32, mut tick: impl FnMut(u32)) {
    let began = Instant::now();
    for n in 0..times {
        tick(n);
        let next = began + Duration::from_millis(20) * (n + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}
