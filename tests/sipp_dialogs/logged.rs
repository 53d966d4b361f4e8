//! The messages that SIPp wrote down, and what a proxy owes to each of them.

use std::collections::{BTreeSet, HashSet};
use std::ops::RangeInclusive;

use super::support::sipp::Traces;

/// All that one side sent and received, in its order.
pub(crate) struct Logged {
    sent: Vec<Message>,
    received: Vec<Message>,
}

struct Message {
    start: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Logged {
    /// Reads the trace: a line of dashes, one that says which way and over what, an empty one, the message.
    pub(crate) fn read(traces: &Traces) -> Self {
        let (mut sent, mut received, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for entry in traces.messages.split("\n-----------------------------------------------") {
            let Some((_, rest)) = entry.split_once(" message ") else { continue };
            let Some((way, text)) = rest.split_once("\n\n") else { continue };
            // What is sent again says nothing new.
            if !known.insert(text.trim().to_owned()) {
                continue;
            }
            if way.starts_with("sent") { &mut sent } else { &mut received }.push(Message::read(text));
        }
        assert!(!sent.is_empty() && !received.is_empty(), "there is a trace: {}", traces.messages);
        Self { sent, received }
    }

    /// The methods of the requests that it received.
    pub(crate) fn requests(&self) -> Vec<&str> {
        self.received.iter().filter(|message| message.is_request()).map(|message| message.first_word()).collect()
    }

    /// Over what the requests came that it received, as the topmost Via says.
    pub(crate) fn came_over(&self) -> BTreeSet<&str> {
        let requests = self.received.iter().filter(|message| message.is_request());
        requests.map(|message| message.header("Via").split(' ').next().unwrap_or_default()).collect()
    }

    /// The statuses that it received, without 100.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        self.received.iter().filter_map(Message::status).filter(|status| *status > 100).collect()
    }

    /// The Request-URI of the first request that it received.
    pub(crate) fn first_uri(&self) -> &str {
        let first = self.received.iter().find(|message| message.is_request());
        first.and_then(|message| message.start.split(' ').nth(1)).unwrap_or_default()
    }
}

impl Message {
    fn read(text: &str) -> Self {
        let text = text.trim_start().replace("\r\n", "\n");
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| (text.trim_end(), ""));
        let mut lines = head.lines();
        let start = lines.next().unwrap_or_default().to_owned();
        let headers =
            lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        Self { start, headers: headers.collect(), body: body.trim_end().to_owned() }
    }

    fn is_request(&self) -> bool {
        !self.start.starts_with("SIP/2.0 ")
    }

    fn first_word(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(this, _)| this == name).map_or("", |(_, value)| value)
    }

    /// Its first line, and what it belongs to.
    fn key(&self) -> (&str, &str, &str) {
        (&self.start, self.header("CSeq"), self.header("From"))
    }

    /// Whether it goes no further than to us (RFC 3261 §16.7, §16.10, §17.1.1.3).
    fn is_for_this_hop(&self, of: &Logged) -> bool {
        let is_refused = |number: &str| {
            let mut answers = of.received.iter().filter(|message| message.header("CSeq") == format!("{number} INVITE"));
            answers.any(|message| message.status() >= Some(300))
        };
        let (number, method) = self.header("CSeq").split_once(' ').unwrap_or_default();
        self.status() == Some(100) || method == "CANCEL" || (method == "ACK" && is_refused(number))
    }

    /// The fields that are none of a proxy's.
    fn others(&self) -> Vec<&(String, String)> {
        let ours = ["Via", "Route", "Record-Route", "Max-Forwards", "Content-Length"];
        self.headers.iter().filter(|(name, _)| !ours.contains(&name.as_str())).collect()
    }

    /// The address and the port that a description has its audio sent to.
    fn media(&self) -> Option<(&str, u16)> {
        let after = |begin: &str| self.body.lines().find_map(|line| line.strip_prefix(begin));
        let port = after("m=audio ")?.split(' ').next()?.parse().ok()?;
        Some((after("c=IN IP4 ").or_else(|| after("c=IN IP6 "))?, port))
    }

    /// The body without what the proxy puts into a description.
    fn body_but_media(&self) -> Vec<String> {
        let without = |line: &str| match line.split_once(' ') {
            Some(("m=audio", rest)) => format!("m=audio {}", rest.split_once(' ').map_or("", |(_, formats)| formats)),
            _ if line.starts_with("c=IN IP") => "c=".to_owned(),
            _ => line.to_owned(),
        };
        self.body.lines().map(without).collect()
    }
}

/// All that one side sent came to the other as it was, but for what is a proxy's.
pub(crate) fn passed(from: &Logged, to: &Logged, said: &str) {
    for sent in from.sent.iter().filter(|sent| !sent.is_for_this_hop(from)) {
        let came = to.received.iter().find(|came| came.key() == sent.key());
        let came = came.unwrap_or_else(|| panic!("{said}: {} did not come", sent.start));
        assert_eq!(came.others(), sent.others(), "{said}: {}", sent.start);
        assert_eq!(came.body_but_media(), sent.body_but_media(), "{said}: {}", sent.start);
        if sent.is_request() {
            assert_eq!(came.header("Max-Forwards"), "69", "{said}: {}", sent.start);
            assert_eq!(came.headers.iter().filter(|(name, _)| name == "Via").count(), 2, "{said}: {}", sent.start);
        }
    }
}

/// In no description that went through is the address of the one who sent it: media go by the proxy.
pub(crate) fn anchored(from: &Logged, to: &Logged, ports: &RangeInclusive<u16>, said: &str) {
    let told: Vec<_> = from.sent.iter().filter_map(Message::media).collect();
    for (address, port) in to.received.iter().filter_map(Message::media) {
        assert!(ports.contains(&port), "{said}: media go to {address} port {port}");
    }
    let count = to.received.iter().filter(|message| message.media().is_some()).count();
    assert_eq!(count, told.len(), "{said}: each description came once");
}
