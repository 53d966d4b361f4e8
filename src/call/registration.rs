//! Registrations of the PBX with a carrier: that what the carrier sends to a registered contact comes by us.
//!
//! Nothing is kept of a binding. In the place of the contact the carrier is told one of ours, in which the address of the real one stands
//! with a tag that only this node can make; so a binding leads to the PBX after a restart as well, however many there are, and when it
//! ends is between the carrier and the PBX.
//!
//! ```text
//!  PBX                            us                                            carrier
//!   │ Contact: <sip:100@pbx;line=7> │ Contact: <sip:100@us;line=7;mtt=TAG+pbx>     │
//!   │──────────── REGISTER ────────▶│────────────────── REGISTER ─────────────────▶│
//!   │◀────── 200, as registered ────│◀──── 200, with all contacts of the AOR ──────│
//!   │◀── INVITE sip:100@pbx;line=7 ─│◀─────── INVITE sip:100@us;line=7;mtt=… ──────│
//! ```

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::desk::{Desk, Within};
use super::peers::Source;
use crate::ids::{Leg, TrunkName};
use crate::limits;
use crate::sip::{self, End, Flow, ServerKey, Transport};
use crate::time::Moment;
use crate::wire::sip::{Message, Method, Name, NameAddr, Scheme, Uri};

/// What becomes of the PBX's registrations with a trunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Registrations {
    /// The carrier is told contacts of ours, and the PBX its own.
    Contact,
    /// The contacts pass, and a `Path` names us (RFC 3327): for a carrier that heeds it.
    Path,
    /// They pass as they came: what the carrier sends to them goes past us.
    AsTheyCome,
}

/// The key by which this node knows its own contacts again.
///
/// It has no `Debug`; it is wiped when it is dropped.
pub struct ContactKey(Zeroizing<[u8; 32]>);

impl ContactKey {
    /// Takes a key that stays the same for as long as bindings are to be known again.
    #[must_use]
    pub const fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }
}

/// What becomes of registrations, trunk by trunk.
pub struct Registering {
    key: ContactKey,
    trunks: Vec<(TrunkName, Registrations)>,
}

/// A request that cannot be registered through us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// A contact cannot be read, so that none of ours can stand for it: 400.
    Malformed,
    /// It has more contacts than may be: 403.
    TooMany,
}

impl Refused {
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooMany => 403,
        }
    }
}

impl Registering {
    /// Takes the key, and what becomes of registrations with each trunk; with one that is not named: [`Registrations::Contact`].
    #[must_use]
    pub const fn new(key: ContactKey, trunks: Vec<(TrunkName, Registrations)>) -> Self {
        Self { key, trunks }
    }

    pub(super) fn with(&self, trunk: &TrunkName) -> Registrations {
        self.trunks.iter().find(|(name, _)| name == trunk).map_or(Registrations::Contact, |&(_, registrations)| registrations)
    }

    /// Returns a REGISTER as it goes to a trunk that is spoken to by this end of ours; nothing where it goes as it came.
    ///
    /// # Errors
    /// It cannot go on.
    pub(super) fn to_carrier(&self, request: &Message, trunk: &TrunkName, end: End) -> Result<Option<Message>, Refused> {
        match self.with(trunk) {
            Registrations::AsTheyCome => Ok(None),
            Registrations::Path => with_path(request, end).map(Some),
            Registrations::Contact => self.with_our_contacts(request, trunk, end),
        }
    }

    fn with_our_contacts(&self, request: &Message, trunk: &TrunkName, end: End) -> Result<Option<Message>, Refused> {
        let mut parts = Vec::new();
        for value in request.values(Name::Contact).filter(|&value| value != b"*") {
            let contact = NameAddr::parse(value, Name::Contact.as_str()).map_err(|_| Refused::Malformed)?;
            // A telephone number, say, is nothing that a request could be sent to.
            let Some(uri) = contact.sip_address() else { continue };
            if parts.len() >= limits::REGISTER_CONTACTS {
                return Err(Refused::TooMany);
            }
            let ours = self.disguised(&uri, trunk, end);
            // Without brackets its parameters would be the field's (RFC 3261 §20).
            let is_bare = std::ptr::eq(value.as_ptr(), contact.uri.as_ptr());
            parts.push((contact.uri, if is_bare { [b"<", &ours[..], b">"].concat() } else { ours }));
        }
        if parts.is_empty() {
            return Ok(None);
        }
        request.spliced(&parts).map(Some).map_err(|_| Refused::Malformed)
    }

    /// Returns the carrier's answer to a REGISTER as the PBX is to have it, its own contacts in the place of ours; nothing where it has
    /// none of ours.
    pub(super) fn to_pbx(&self, response: &Message, trunk: &TrunkName) -> Option<Message> {
        let contacts = response.values(Name::Contact).filter_map(|value| NameAddr::parse(value, Name::Contact.as_str()).ok());
        let parts: Vec<(&[u8], Vec<u8>)> =
            contacts.filter_map(|contact| Some((contact.uri, self.revealed(&contact.sip_address()?, trunk)?))).collect();
        if parts.is_empty() { None } else { response.spliced(&parts).ok() }
    }

    /// Returns a request that a trunk has sent to a contact of ours as it goes to the real one; nothing for any other.
    pub(super) fn to_contact(&self, request: &Message, trunk: &TrunkName) -> Option<Message> {
        let uri = request.request_uri()?;
        let revealed = self.revealed(&Uri::parse(uri).ok()?, trunk)?;
        request.spliced(&[(uri, revealed)]).ok()
    }

    /// Returns the contact of ours that stands for this one: its user part and parameters as they are, so that the carrier sees whose it
    /// is, and what would lead to the PBX within the tag.
    fn disguised(&self, uri: &Uri<'_>, trunk: &TrunkName, end: End) -> Vec<u8> {
        let mut hidden = if uri.scheme == Scheme::Sips { b"sips:".to_vec() } else { b"sip:".to_vec() };
        hidden.extend_from_slice(host_and_port(uri));
        let mut shown = Vec::new();
        for (name, value) in uri.params.iter() {
            if !name.eq_ignore_ascii_case(PARAM) {
                push_param(if is_of_the_way(name) { &mut hidden } else { &mut shown }, name, value);
            }
        }
        let is_secure = uri.scheme == Scheme::Sips && end.transport == Transport::Tls;
        let mut ours = if is_secure { b"sips:".to_vec() } else { b"sip:".to_vec() };
        ours.extend_from_slice(user_and_at(uri));
        ours.extend_from_slice(end.address.to_string().as_bytes());
        if end.transport != Transport::Udp && !is_secure {
            push_param(&mut ours, b"transport", Some(end.transport.as_str().as_bytes()));
        }
        ours.extend_from_slice(&shown);
        let tag = self.tag(&hidden, trunk);
        let text: String = tag.iter().chain(&hidden).map(|byte| format!("{byte:02x}")).collect();
        push_param(&mut ours, PARAM, Some(text.as_bytes()));
        push_headers(&mut ours, uri);
        ours
    }

    /// Returns the contact that one of ours stands for; nothing where it is none of ours.
    fn revealed(&self, uri: &Uri<'_>, trunk: &TrunkName) -> Option<Vec<u8>> {
        let bytes = from_hex(uri.param(PARAM)??)?;
        let (tag, hidden) = bytes.split_at_checked(TAG_LEN)?;
        self.mac(hidden, trunk).verify_truncated_left(tag).ok()?;
        let at = memchr::memchr(b':', hidden)? + 1;
        let (scheme, rest) = hidden.split_at_checked(at)?;
        let mut real = [scheme, user_and_at(uri), rest].concat();
        for (name, value) in uri.params.iter() {
            if !is_of_the_way(name) && !name.eq_ignore_ascii_case(PARAM) {
                push_param(&mut real, name, value);
            }
        }
        push_headers(&mut real, uri);
        Uri::parse(&real).ok()?;
        Some(real)
    }

    fn tag(&self, hidden: &[u8], trunk: &TrunkName) -> Vec<u8> {
        let whole = self.mac(hidden, trunk).finalize().into_bytes();
        whole.iter().copied().take(TAG_LEN).collect()
    }

    /// Over the trunk as well: what one carrier was told is nothing to another.
    fn mac(&self, hidden: &[u8], trunk: &TrunkName) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.0.as_slice()).expect("a key of HMAC may have any length");
        mac.update(trunk.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(hidden);
        mac
    }
}

impl Desk {
    /// Sends a REGISTER of the PBX on to its carrier.
    pub(super) fn register(&mut self, server: ServerKey, request: &Message, now: Moment) {
        self.tallies.passed += 1;
        let trunk_at = self.trunk_of_registrar(request);
        let best = self.best(Leg::Trunk, trunk_at, now);
        let to = self.target(request, Leg::Trunk, trunk_at, Within::Nothing, best);
        let trunk = self.config.peers.trunks.get(trunk_at.unwrap_or(0)).map(|(name, _)| name);
        let changed = match trunk.zip(self.end_towards(Leg::Trunk, trunk_at)) {
            Some((trunk, end)) => self.config.registering.to_carrier(request, trunk, end),
            None => Ok(None),
        };
        match changed {
            Ok(Some(request)) => self.stack.handle(sip::Input::Amend { server, request }, now),
            Ok(None) => {}
            Err(refused) => {
                let status = refused.status();
                return self.stack.handle(sip::Input::Reply { server, status, extra: Vec::new() }, now);
            }
        }
        self.pass_on(server, request, to, now);
    }

    /// Returns the trunk whose address a REGISTER names; the first has those that name none by an address.
    fn trunk_of_registrar(&self, request: &Message) -> Option<usize> {
        let (_, at) = self.stack.next_hop(request)?.address()?;
        self.config.peers.trunks.iter().position(|(_, peer)| peer.owns(at))
    }

    /// Returns a carrier's response as the PBX is to have it: what it has registered is its own contact.
    pub(super) fn as_registered(&mut self, response: Message, from: Flow) -> Message {
        let is_taken = matches!(response.status(), Some(200..300));
        if !response.cseq().is_ok_and(|cseq| cseq.method == Method::Register) || !is_taken {
            return response;
        }
        let Some(Source::Trunk(at)) = self.source(from) else { return response };
        let Some((trunk, _)) = self.config.peers.trunks.get(at) else { return response };
        match self.config.registering.with(trunk) {
            Registrations::AsTheyCome => response,
            Registrations::Contact => self.config.registering.to_pbx(&response, trunk).unwrap_or(response),
            Registrations::Path => {
                // RFC 3327 §5.3: whoever stores it says so.
                let is_on_the_way = response.values(Name::Path).any(|path| self.is_our_route(path));
                if response.value(Name::Contact).is_some() && !is_on_the_way {
                    self.tallies.registered_past_us += 1;
                }
                response
            }
        }
    }

    /// Takes a request that a carrier has sent to a registered contact, and returns it as it goes on there; nothing for any other.
    pub(super) fn turn_to_contact(
        &mut self,
        server: ServerKey,
        request: &Message,
        source: Source,
        now: Moment,
    ) -> Option<Message> {
        let Source::Trunk(at) = source else { return None };
        let (trunk, _) = self.config.peers.trunks.get(at)?;
        match self.config.registering.with(trunk) {
            Registrations::AsTheyCome => None,
            // Our `Path` comes back as its first `Route`.
            Registrations::Path => {
                request.value(Name::Route).is_some_and(|first| self.is_our_route(first)).then(|| request.clone())
            }
            Registrations::Contact => {
                let real = self.config.registering.to_contact(request, trunk)?;
                self.stack.handle(sip::Input::Amend { server, request: real.clone() }, now);
                Some(real)
            }
        }
    }
}

/// Shows nothing of the key.
impl std::fmt::Debug for Registering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registering").field("trunks", &self.trunks).finish_non_exhaustive()
    }
}

/// The parameter of a contact of ours.
const PARAM: &[u8] = b"mtt";

/// 64 bits: whoever guesses one in 2^64 tries has the carrier's requests sent to the PBX at a port of his choice, and nowhere else.
const TAG_LEN: usize = 8;

/// Returns the value of `Path` that names an end of ours (RFC 3327 §4).
fn path(End { transport, address }: End) -> String {
    match transport {
        Transport::Udp => format!("<sip:{address};lr>"),
        Transport::Tcp | Transport::Tls => format!("<sip:{address};transport={};lr>", transport.as_str()),
    }
}

/// Puts our `Path` above all others (RFC 3327 §5.2).
fn with_path(request: &Message, end: End) -> Result<Message, Refused> {
    let first = request.headers().find(|line| line.kind == Name::Path);
    let line = first.or_else(|| request.headers().find(|line| line.kind != Name::Via)).ok_or(Refused::Malformed)?;
    let place = line.raw.get(..0).unwrap_or_default();
    request.spliced(&[(place, format!("Path: {}\r\n", path(end)).into_bytes())]).map_err(|_| Refused::Malformed)
}

/// Whether a parameter says how a URI is reached, which is ours to say of a contact of ours.
fn is_of_the_way(name: &[u8]) -> bool {
    [&b"transport"[..], b"maddr", b"ttl"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// The user part with its password and `@`, as it came.
fn user_and_at<'u>(uri: &Uri<'u>) -> &'u [u8] {
    let rest = memchr::memchr(b':', uri.raw).and_then(|at| uri.raw.get(at + 1..)).unwrap_or_default();
    memchr::memchr(b'@', rest).and_then(|at| rest.get(..=at)).unwrap_or_default()
}

/// Host and port, as they came.
fn host_and_port<'u>(uri: &Uri<'u>) -> &'u [u8] {
    let rest = memchr::memchr(b':', uri.raw).and_then(|at| uri.raw.get(at + 1..)).unwrap_or_default();
    let rest = rest.get(user_and_at(uri).len()..).unwrap_or_default();
    rest.split(|&b| matches!(b, b';' | b'?')).next().unwrap_or_default()
}

fn push_param(out: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    out.push(b';');
    out.extend_from_slice(name);
    if let Some(value) = value {
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

fn push_headers(out: &mut Vec<u8>, uri: &Uri<'_>) {
    if !uri.headers.is_empty() {
        out.push(b'?');
        out.extend_from_slice(uri.headers);
    }
}

pub(super) fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}
