//! Takes back what a proxy does to a request, and checks each deed on the way: what is left must be the request as it came.
//!
//! It reads messages by itself, so that a fault of `wire::sip` is not taken for the truth.

use std::net::IpAddr;

/// What a proxy is to have done.
pub(crate) struct Passage<'p> {
    /// Our address as it stands in our `Via`.
    pub(crate) us: &'p str,
    /// The values of `Record-Route` that are ours, topmost first.
    pub(crate) record_routes: Vec<String>,
    /// Whether there is an end of ours for TCP as well.
    pub(crate) has_tcp: bool,
    /// Where the request came from.
    pub(crate) from: &'p str,
    /// The number in `Max-Forwards`.
    pub(crate) max_forwards: u8,
    /// Whether the topmost `Route` became the Request-URI, for a strict router.
    pub(crate) is_strict: bool,
    /// Whether the session description was given another address and other ports.
    pub(crate) is_anchored: bool,
}

/// Returns what came of a datagram: up to the end that its `Content-Length` gives.
pub(crate) fn whole(datagram: &[u8]) -> &[u8] {
    let (fields, rest) = parted(datagram);
    let length =
        fields.iter().find(|field| is_named(field, &["Content-Length", "l"])).map(|field| value(field).trim().to_owned());
    let body_at = datagram.len() - rest.len() + 2;
    let end = length.map_or(datagram.len(), |length| body_at + length.parse::<usize>().expect("a good length"));
    &datagram[..end]
}

/// Returns our own `Record-Route` without the handle of the call, which stands last in it where the request belongs to one.
fn without_handle(line: &str) -> String {
    let Some((before, handle)) = line.split_once(";mth=") else { return line.to_owned() };
    let handle = handle.strip_suffix(">\r\n").expect("the handle stands last");
    assert!(handle.len() == 36 && handle.bytes().all(|byte| byte.is_ascii_hexdigit()), "{handle}");
    format!("{before}>\r\n")
}

/// Returns the request as it was before the proxy had it. Panics where the proxy did anything else, or left out what it had to do.
pub(crate) fn taken_back(sent: &[u8], came: &[u8], passage: &Passage<'_>) -> Vec<u8> {
    let (mut fields, mut body) = parted(sent);
    let (came_fields, came_body) = parted(came);
    let find = |fields: &[Vec<u8>], names: &[&str]| fields.iter().position(|field| is_named(field, names));
    let of_came = |names: &[&str]| find(&came_fields, names).map(|at| came_fields[at].clone());

    let via = fields.remove(find(&fields, VIA).expect("our Via"));
    // What is longer than 1,300 bytes is no matter for datagrams, where there is a choice (RFC 3261 §18.1.1).
    let transport = if passage.has_tcp && sent.len() > 1300 { "TCP" } else { "UDP" };
    let begins = format!("Via: SIP/2.0/{transport} {};rport;branch=z9hG4bK", passage.us);
    assert!(via.starts_with(begins.as_bytes()) && via.ends_with(b"\r\n"), "{}", via.escape_ascii());

    for ours in passage.record_routes.iter().filter(|_| is_record_routed(came)) {
        let route = fields.remove(find(&fields, RECORD_ROUTE).expect("our Record-Route"));
        assert_eq!(without_handle(&String::from_utf8_lossy(&route)), format!("Record-Route: {ours}\r\n"));
    }

    let hops = find(&fields, MAX_FORWARDS).expect("Max-Forwards is always there");
    assert_eq!(value(&fields[hops]).trim(), passage.max_forwards.to_string());
    match of_came(MAX_FORWARDS) {
        Some(line) => {
            assert_eq!(name(&fields[hops]), name(&line));
            fields[hops] = line;
        }
        None => drop(fields.remove(hops)),
    }

    let (top, came_top) = (find(&fields, VIA).expect("the Via that came"), of_came(VIA).expect("it had one"));
    assert_eq!(String::from_utf8_lossy(&fields[top]), amended(&String::from_utf8_lossy(&came_top), passage.from));
    fields[top] = came_top;

    if passage.is_strict {
        let (route, came_route) = (find(&fields, &["Route"]).expect("the URI is in it"), of_came(&["Route"]).expect("a Route"));
        let inside = |line: &[u8]| value(line).trim().trim_matches(['<', '>']).to_owned();
        assert_eq!(inside(&fields[route]), uri(&came_fields[0]), "the Request-URI stands last in the Route");
        assert_eq!(uri(&fields[0]), inside(&came_route), "the strict router finds itself in the Request-URI");
        fields[0].clone_from(&came_fields[0]);
        fields[route] = came_route;
    }

    if passage.is_anchored {
        let length = find(&fields, &["Content-Length", "l"]).map(|at| (at, value(&fields[at]).trim().to_owned()));
        match (length, of_came(&["Content-Length", "l"])) {
            (Some((at, length)), Some(line)) => {
                assert_eq!(length, (body.len() - 2).to_string());
                fields[at] = line;
            }
            // It came without: a new body has its length.
            (Some((at, _)), None) => drop(fields.remove(at)),
            (None, Some(_)) => panic!("the Content-Length is gone"),
            (None, None) => {}
        }
        body = as_described(&body, &came_body);
    }
    [fields.concat(), body].concat()
}

/// Where a request line, the fields with their folds, and the rest from the empty line on stand.
fn parted(message: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let mut fields: Vec<Vec<u8>> = Vec::new();
    let mut at = 0;
    while at < message.len() && !message[at..].starts_with(b"\r\n") {
        let end = message[at..].windows(2).position(|two| two == b"\r\n").map_or(message.len(), |end| at + end + 2);
        let line = &message[at..end];
        match fields.last_mut().filter(|_| line.starts_with(b" ") || line.starts_with(b"\t")) {
            Some(field) => field.extend_from_slice(line),
            None => fields.push(line.to_vec()),
        }
        at = end;
    }
    (fields, message[at..].to_vec())
}

/// The session description with the addresses and the ports that it came with, where nothing else of it is changed.
pub(crate) fn as_described(body: &[u8], came: &[u8]) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("SDP is text");
    let (body, came) = (text(body), text(came));
    assert_eq!(body.lines().count(), came.lines().count(), "no line is gone and none is new");
    let same = |new: &str, old: &str| {
        // `m=audio 49217 RTP/AVP 0` and `c=IN IP4 192.0.2.1`: all but the port, all but what follows `IN`.
        let but = |line: &str, at: usize| {
            line.split(' ').enumerate().filter(|(nth, _)| *nth != at).map(|(_, word)| word.to_owned()).collect::<Vec<_>>()
        };
        new == old
            || (old.starts_with("m=") && but(new, 1) == but(old, 1))
            || (old.starts_with("c=IN IP") && new.starts_with("c=IN IP"))
    };
    for (new, old) in body.lines().zip(came.lines()) {
        assert!(same(new, old), "{old} became {new}");
    }
    came.into_bytes()
}

/// What the topmost Via is amended to (RFC 3261 §18.2.1, RFC 3581 §4): `received` where the source is not its host, `rport` where it asks.
fn amended(line: &str, from: &str) -> String {
    let (ip, port) = from.rsplit_once(':').expect("an address and a port");
    let rport = line.contains(";rport");
    let line = line.replace(";rport", &format!(";rport={port}"));
    let (first, rest) = line.split_at(line.find(',').unwrap_or_else(|| line.trim_end().len()));
    if let Some(at) = first.find(";received=") {
        let value_at = at + ";received=".len();
        let end = first[value_at..].find(';').map_or(first.len(), |end| value_at + end);
        return format!("{}{ip}{}{rest}", &first[..value_at], &first[end..]);
    }
    let host = first.rsplit(['/', ' ']).next().unwrap_or_default().split([';', ':']).next().unwrap_or_default();
    if host.parse::<IpAddr>() == ip.parse() && !rport {
        return line;
    }
    format!("{first};received={ip}{rest}")
}

fn is_record_routed(request: &[u8]) -> bool {
    let method = request.split(|&byte| byte == b' ').next().unwrap_or_default();
    let never = ["ACK", "CANCEL", "BYE", "OPTIONS", "REGISTER", "INFO", "UPDATE", "PRACK", "MESSAGE", "PUBLISH"];
    !never.iter().any(|name| name.as_bytes() == method)
}

fn name(field: &[u8]) -> String {
    let colon = field.iter().position(|&byte| byte == b':').unwrap_or(0);
    String::from_utf8_lossy(&field[..colon]).trim().to_ascii_lowercase()
}

fn value(field: &[u8]) -> String {
    let colon = field.iter().position(|&byte| byte == b':').map_or(0, |at| at + 1);
    String::from_utf8_lossy(&field[colon..]).into_owned()
}

fn is_named(field: &[u8], names: &[&str]) -> bool {
    names.iter().any(|wanted| name(field).eq_ignore_ascii_case(wanted))
}

fn uri(request_line: &[u8]) -> String {
    String::from_utf8_lossy(request_line).split(' ').nth(1).unwrap_or_default().to_owned()
}

/// The first lines with this name, as they came; of a refusal each must be its request's.
pub(crate) fn lines(message: &[u8], names: &[&str]) -> Vec<String> {
    parted(message)
        .0
        .iter()
        .filter(|field| is_named(field, names))
        .map(|field| String::from_utf8_lossy(field).into_owned())
        .collect()
}

/// The names of Via.
pub(crate) const VIA: &[&str] = &["Via", "v"];
const RECORD_ROUTE: &[&str] = &["Record-Route"];
const MAX_FORWARDS: &[&str] = &["Max-Forwards"];
