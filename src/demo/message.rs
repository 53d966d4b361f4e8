//! SIP messages as the phones build and read them, with the crate `rsip`; what `rsip` cannot say is put in as it is.

use std::net::{IpAddr, SocketAddr};

use rsip::common::uri::{Host, Param, UriWithParams};
use rsip::headers::{self, Header, ToTypedHeader as _, UntypedHeader as _};
use rsip::message::{HasHeaders, HeadersExt as _};
use rsip::{Method, Request, Response, SipMessage, StatusCode, Uri, Version};

use super::line::random;
use super::offer::{Described, Flow};

/// Header lines beside those a message has anyway: name and value.
pub type Extra = Vec<(String, String)>;

/// A message's body and what it is: `Content-Type` and bytes.
pub(super) type Body = Option<(String, Vec<u8>)>;

/// One dialog, or what will be one: RFC 3261 §12.
#[derive(Clone, Debug)]
pub(super) struct Dialog {
    pub call_id: String,
    /// This side's `From` or `To` value, with its tag.
    pub here: String,
    /// The other side's, with its tag once it has one.
    pub there: String,
    pub here_tag: String,
    pub sequence: u32,
    pub target: Uri,
    pub routes: Vec<UriWithParams>,
    /// Where requests go while there is no route set.
    pub first_hop: SocketAddr,
}

impl Dialog {
    /// Takes from a response what establishes the dialog for the one who called (§12.1.2).
    pub(super) fn established_by(&mut self, response: &Response) {
        if let Ok(to) = response.to_header() {
            to.value().clone_into(&mut self.there);
        }
        self.routes = record_routes(response);
        self.routes.reverse();
        self.refresh_target(response);
    }

    /// Takes the new remote target (§12.2).
    pub(super) fn refresh_target(&mut self, message: &impl HasHeaders) {
        if let Some(target) = contact(message) {
            self.target = target;
        }
    }

    /// Builds a request within the dialog; ACK and CANCEL bring the number of what they belong to.
    pub(super) fn request(&mut self, method: Method, via: SocketAddr, contact: &str, extra: &Extra, body: Body) -> Request {
        self.sequence += 1;
        self.request_numbered(self.sequence, method, via, contact, extra, body)
    }

    pub(super) fn request_numbered(
        &self,
        sequence: u32,
        method: Method,
        via: SocketAddr,
        contact: &str,
        extra: &Extra,
        body: Body,
    ) -> Request {
        let mut headers: Vec<Header> = vec![
            headers::Via::new(format!("SIP/2.0/UDP {via};rport;branch={}", branch())).into(),
            headers::MaxForwards::new("70").into(),
        ];
        headers.extend(self.routes.iter().map(|route| headers::Route::new(route.to_string()).into()));
        headers.extend([
            headers::From::new(self.here.clone()).into(),
            headers::To::new(self.there.clone()).into(),
            headers::CallId::new(self.call_id.clone()).into(),
            headers::CSeq::new(format!("{sequence} {method}")).into(),
        ]);
        if matches!(
            method,
            Method::Invite | Method::Update | Method::Subscribe | Method::Refer | Method::Options | Method::Register
        ) {
            headers.push(headers::Contact::new(contact).into());
            headers.push(headers::Allow::new(ALLOW).into());
        }
        headers.push(headers::UserAgent::new("phone of mitschnitt demo").into());
        headers.extend(extra.iter().map(|(name, value)| Header::Other(name.clone(), value.clone())));
        let body = content(&mut headers, body);
        Request { method, uri: self.target.clone(), version: Version::V2, headers: headers.into(), body }
    }

    /// Returns where a request within the dialog goes to: the first route, or the remote target (§12.2.1.1).
    ///
    /// Names are not looked up; a host that is none stays with the hop that the call began with.
    pub(super) fn next_hop(&self) -> SocketAddr {
        let first = self.routes.first().map_or(&self.target, |route| &route.uri);
        socket_addr(first).unwrap_or(self.first_hop)
    }
}

/// Builds a response: Vias, From, To with this tag, Call-ID and CSeq of the request, its Record-Routes too (RFC 3261 §8.2.6.2).
pub(super) fn response(
    request: &Request,
    from: SocketAddr,
    status: (u16, &str),
    tag: &str,
    contact: &str,
    extra: &Extra,
    body: Body,
) -> Response {
    let (code, phrase) = status;
    let mut headers: Vec<Header> = Vec::new();
    let mut is_top = true;
    for header in request.headers().iter() {
        if let Header::Via(via) = header {
            let via = if std::mem::take(&mut is_top) { answered_via(via, from) } else { via.clone() };
            headers.push(via.into());
        } else if let Header::To(to) = header {
            let has_tag = to.clone().typed().is_ok_and(|to| to.tag().is_some());
            let to = if has_tag || code == 100 { to.value().to_owned() } else { format!("{};tag={tag}", to.value()) };
            headers.push(headers::To::new(to).into());
        } else if let Header::From(_) | Header::CallId(_) | Header::CSeq(_) = header {
            headers.push(header.clone());
        } else if let Header::RecordRoute(_) = header
            && code > 100
        {
            headers.push(header.clone());
        }
    }
    if (101..300).contains(&code) {
        headers.push(headers::Contact::new(contact).into());
        headers.push(headers::Allow::new(ALLOW).into());
    }
    headers.extend(extra.iter().map(|(name, value)| Header::Other(name.clone(), value.clone())));
    let body = content(&mut headers, body);
    // `Other` whatever the number, because rsip prints the names of its constants for the ones it knows: «486 BusyHere».
    Response { status_code: StatusCode::Other(code, phrase.to_owned()), version: Version::V2, headers: headers.into(), body }
}

/// Builds the ACK of a final response that is none of success (RFC 3261 §17.1.1.3), or the CANCEL (§9.1): the request's own branch.
pub(super) fn follow_up(method: Method, request: &Request, to: Option<&headers::To>) -> Request {
    let mut headers: Vec<Header> = Vec::new();
    let mut is_top = true;
    for header in request.headers().iter() {
        if let Header::Via(_) = header {
            if std::mem::take(&mut is_top) {
                headers.push(header.clone());
            }
        } else if let Header::To(own) = header {
            headers.push(to.unwrap_or(own).clone().into());
        } else if let Header::From(_) | Header::CallId(_) | Header::MaxForwards(_) | Header::Route(_) = header {
            headers.push(header.clone());
        } else if let Header::CSeq(sequence) = header {
            let number = sequence.value().split_ascii_whitespace().next().unwrap_or("1");
            headers.push(headers::CSeq::new(format!("{number} {method}")).into());
        }
    }
    let body = content(&mut headers, None);
    Request { method, uri: request.uri.clone(), version: Version::V2, headers: headers.into(), body }
}

/// Returns the value of the tag of the `To` field.
pub(super) fn to_tag(message: &impl HasHeaders) -> Option<String> {
    Some(header_of(message, pick_to)?.clone().typed().ok()?.tag()?.value().to_owned())
}

/// Returns the number and the method of `CSeq`.
pub(super) fn sequence(message: &impl HasHeaders) -> Option<(u32, Method)> {
    let sequence = header_of(message, pick_sequence)?.clone().typed().ok()?;
    Some((sequence.seq, sequence.method))
}

/// Returns the branch of the top Via.
pub(super) fn branch_of(message: &impl HasHeaders) -> Option<String> {
    let via = header_of(message, pick_via)?.clone().typed().ok()?;
    via.branch().map(|branch| branch.value().to_owned())
}

/// Returns the Record-Route set, in the order in which it stands.
pub(super) fn record_routes(message: &impl HasHeaders) -> Vec<UriWithParams> {
    let fields =
        message.headers().iter().filter_map(|header| if let Header::RecordRoute(field) = header { Some(field) } else { None });
    fields.filter_map(|field| field.clone().typed().ok()).flat_map(|field| field.uris().to_vec()).collect()
}

/// Returns the first value of a field that `rsip` has no name for, whatever its case.
pub(super) fn other<'m>(message: &'m impl HasHeaders, wanted: &str) -> Option<&'m str> {
    message.headers().iter().find_map(|header| {
        let Header::Other(name, value) = header else { return None };
        name.eq_ignore_ascii_case(wanted).then_some(value.as_str())
    })
}

/// Returns the media type, in lower case and without parameters.
pub(super) fn content_type(message: &impl HasHeaders) -> String {
    let value = message.headers().iter().find_map(|header| {
        let Header::ContentType(value) = header else { return None };
        Some(value.value())
    });
    value.or_else(|| other(message, "c")).unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Returns what an SDP body says, if there is one.
pub(super) fn described(message: &impl HasHeaders, body: &[u8]) -> Option<Described> {
    if content_type(message) == "application/sdp" { Described::read(body) } else { None }
}

/// Says a message in a few words, for a person: `INVITE (PCMU)`, `200 OK (PCMU, hold)`, `INFO (key)`.
#[must_use]
pub fn summary(bytes: &[u8]) -> String {
    let head = start_line(bytes);
    let Ok(message) = SipMessage::try_from(bytes) else { return head };
    let start = match &message {
        SipMessage::Request(request) => request.method.to_string(),
        // The phrase as it came: rsip's own would be another.
        SipMessage::Response(_) => head.split_once(' ').map_or(head.as_str(), |(_, status)| status).to_owned(),
    };
    if let Some(sdp) = described(&message, message.body()) {
        let flow = match sdp.effective_flow() {
            Flow::SendRecv => "",
            Flow::SendOnly => ", hold",
            Flow::RecvOnly => ", held",
            Flow::Inactive => ", inactive",
        };
        return format!("{start} ({}{flow})", sdp.codec_name());
    }
    let is_key = content_type(&message).starts_with("application/dtmf");
    if is_key { format!("{start} (key)") } else { start }
}

/// Returns the first line as it came.
pub(super) fn start_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == b'\r').next().unwrap_or_default()).into_owned()
}

/// Returns the key of an INFO: `application/dtmf-relay` says `Signal=1`, `application/dtmf` says `1`.
pub(super) fn key(request: &Request) -> Option<char> {
    let text = std::str::from_utf8(&request.body).ok()?;
    match content_type(request).as_str() {
        "application/dtmf-relay" => text.lines().find_map(|line| line.trim().strip_prefix("Signal=")?.trim().chars().next()),
        "application/dtmf" => text.trim().chars().next(),
        _ => None,
    }
}

/// Returns the address of a URI whose host is a number.
pub(super) fn socket_addr(uri: &Uri) -> Option<SocketAddr> {
    let port = uri.port().map(|port| *port.value()).unwrap_or(5060);
    let host: IpAddr = match uri.host() {
        Host::IpAddr(host) => *host,
        Host::Domain(name) => name.to_string().trim_matches(['[', ']']).parse().ok()?,
    };
    Some(SocketAddr::new(host, port))
}

/// Returns the usual words for a status.
pub(super) const fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        503 => "Service Unavailable",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Because",
    }
}

/// A word nobody else has used: for tags, branches and Call-IDs.
pub(super) fn word() -> String {
    format!("{:08x}{:08x}", random(), random())
}

fn branch() -> String {
    format!("z9hG4bK{}", word())
}

const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, INFO, OPTIONS, UPDATE, PRACK, REFER, MESSAGE, NOTIFY";

/// Notes in the top Via where the request came from (RFC 3261 §18.2.1, RFC 3581 §4).
fn answered_via(via: &headers::Via, from: SocketAddr) -> headers::Via {
    let Ok(mut typed) = via.clone().typed() else { return via.clone() };
    let mut asks_for_port = false;
    for param in &mut typed.params {
        if let Param::Other(name, value) = param
            && name.value().eq_ignore_ascii_case("rport")
        {
            *value = Some(from.port().to_string().into());
            asks_for_port = true;
        }
    }
    let is_as_sent = socket_addr(&typed.uri).is_some_and(|sent_by| sent_by.ip() == from.ip());
    if asks_for_port || !is_as_sent {
        typed.params.push(Param::Received(from.ip().to_string().into()));
    }
    typed.into()
}

fn content(headers: &mut Vec<Header>, body: Body) -> Vec<u8> {
    let (kind, bytes) = body.map_or((None, Vec::new()), |(kind, bytes)| (Some(kind), bytes));
    headers.extend(kind.map(|kind| headers::ContentType::new(kind).into()));
    headers.push(headers::ContentLength::new(bytes.len().to_string()).into());
    bytes
}

fn contact(message: &impl HasHeaders) -> Option<Uri> {
    header_of(message, pick_contact)?.clone().typed().ok().map(|contact| contact.uri)
}

fn header_of<'m, H>(message: &'m impl HasHeaders, pick: fn(&'m Header) -> Option<&'m H>) -> Option<&'m H> {
    message.headers().iter().find_map(pick)
}

fn pick_to(header: &Header) -> Option<&headers::To> {
    if let Header::To(value) = header { Some(value) } else { None }
}

fn pick_sequence(header: &Header) -> Option<&headers::CSeq> {
    if let Header::CSeq(value) = header { Some(value) } else { None }
}

fn pick_via(header: &Header) -> Option<&headers::Via> {
    if let Header::Via(value) = header { Some(value) } else { None }
}

fn pick_contact(header: &Header) -> Option<&headers::Contact> {
    if let Header::Contact(value) = header { Some(value) } else { None }
}
