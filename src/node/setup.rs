//! From settings to what the proxy runs on: keys and announcements read, policies joined with their clips, the ledger opened.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use zeroize::Zeroizing;

use crate::call::{
    self, Codecs, ContactKey, DeadMedia, Deed, Guarding, HandleKey, InCall, Live, Peer, Peers, Policy, Reached, Registering,
    Routing, Selector, Selects, Shred, Signs, Strangers, Table,
};
use crate::catalogue::{Retention, Rules, Store};
use crate::consent::{Mode, PriorTerms, Registered, Standing, Terms, WithoutConsent};
use crate::control::{self, config};
use crate::control::{
    Consent, Done, LiveCall, LiveState, NotDone, Reply, Request, Settings, Status, Trouble, TrunkAddress, masked,
};
use crate::digit::Digit;
use crate::ids::CallId;
use crate::keyfolder::tpm::Place;
use crate::media::{LatchRule, Latching};
use crate::network::Network;
use crate::node::announcements;
use crate::node::certificates::{ApiCertificates, Certificates};
use crate::node::clock::{self, Clock};
use crate::node::hook::Hook;
use crate::node::hosts::Named;
use crate::node::wires::Names;
use crate::private::Private;
use crate::sip::{End, EndId, Flow};
use crate::time::{Moment, Wall};
use crate::tls::{self, PeerName, Witness};
use crate::token::{Token, TokenError};
use crate::vault::{Digest, HeadKey, Listener, NodeKey, Recipient, TokenUri};

/// All that the proxy runs on.
pub(super) struct Setup {
    /// SHA-256 of the configuration's text.
    pub(super) settings: Digest,
    pub(super) ends: Vec<End>,
    pub(super) sip_dscp: u8,
    pub(super) certificates: Option<Certificates>,
    pub(super) names: Names,
    pub(super) hosts: Vec<Named>,
    pub(super) dns: Vec<SocketAddr>,
    pub(super) emergency: Vec<String>,
    pub(super) unrecorded: Option<String>,
    pub(super) indexed: Vec<Arc<str>>,
    pub(super) metrics_listen: SocketAddr,
    pub(super) data: PathBuf,
    /// The directory on the spare disk.
    pub(super) spare: Option<PathBuf>,
    /// Whether keys lie in envelopes.
    pub(super) local_share: bool,
    /// Where a TPM has the key of their table.
    pub(super) tpm: Option<Place>,
    pub(super) reserve_percent: Option<u64>,
    pub(super) media: [IpAddr; 2],
    pub(super) ports: RangeInclusive<u16>,
    pub(super) threads: usize,
    pub(super) io: config::MediaIo,
    pub(super) media_dscp: u8,
    pub(super) dead: Option<DeadMedia>,
    pub(super) peers: Peers,
    pub(super) strangers: Strangers,
    pub(super) guarding: Guarding,
    pub(super) registering: Registering,
    pub(super) handles: HandleKey,
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) node_key: Signing,
    /// Who may listen to what, and when.
    pub(super) listeners: Vec<Listener>,
    /// How often the head of the ledger's chain is published.
    pub(super) publish_heads_every: Duration,
    pub(super) timestamps: Option<config::Timestamps>,
    pub(super) hook: Option<Hook>,
    /// Where the API listens over TLS, and with which certificate.
    pub(super) api: Option<(SocketAddr, Arc<ServerConfig>, ApiCertificates)>,
    /// The policies that are to be reviewed, and by when.
    pub(super) reviews: Vec<(String, Wall)>,
    /// Who signs those.
    pub(super) witness: Option<Witness>,
    pub(super) store: Box<dyn Store>,
    /// How long recordings are kept, and how much of them.
    pub(super) rules: Rules,
}

impl Setup {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// The first file that cannot be read, or is not what it should be; the text says which, and what to do.
    pub(super) fn of(settings: &Settings, store: Box<dyn Store>) -> Result<Self, Trouble> {
        let read = |path: &Path, what: &str| {
            fs::read(path).map_err(|error| {
                let remedy = if error.kind() == std::io::ErrorKind::NotFound {
                    "make it with: mitschnitt keys generate --config FILE"
                } else {
                    "the service's user must be able to read it"
                };
                Trouble::new(format!("cannot read {what} `{}`: {error}", path.display()), remedy)
            })
        };
        let node = &settings.node_key.path;
        let node_key = match &settings.node_key.token {
            None => {
                Signing::alone(NodeKey::from_pem(&read(node, "the node's signing key")?).map_err(|error| bad_key(node, &error))?)
            }
            Some(uri) => Signing::by(uri)?,
        };
        let mut listeners = Vec::new();
        for recipient in &settings.recipients {
            let path = &recipient.public_key;
            let key = Recipient::from_pem(&read(path, "the recipient's public key")?).map_err(|error| bad_key(path, &error))?;
            listeners.push(Listener { purposes: recipient.purposes.clone(), key, period: recipient.period });
        }
        let named = settings.timestamps.as_ref().and_then(|timestamps| timestamps.certificate.as_ref());
        let witness = named.map(|(path, _)| {
            let text = read(path, "the certificate of the authority for timestamps")?;
            Witness::from_pem(&text).ok_or_else(|| bad_witness(path))
        });
        let witness = witness.transpose()?;
        let policies = settings
            .policies
            .iter()
            .map(|policy| self::policy(policy, &settings.retention).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let threads = match settings.media.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            threads => threads,
        };
        Ok(Self {
            ends: settings.sip.listen.clone(),
            sip_dscp: settings.sip.dscp,
            certificates: settings.tls.as_ref().map(|files| {
                let (certificate, private_key) = (files.certificate.clone(), files.private_key.clone());
                Certificates::of(certificate, private_key, files.authorities.clone(), files.clients)
            }),
            names: Names {
                pbx: name_of(&settings.pbx),
                trunks: settings.trunks.iter().map(|trunk| name_of(&trunk.peer)).collect(),
            },
            emergency: settings.sip.emergency.clone(),
            unrecorded: settings.sip.unrecorded.clone(),
            indexed: settings.sip.indexed.iter().map(|name| name.as_str().into()).collect(),
            hosts: hosts(settings),
            dns: settings.dns.clone(),
            metrics_listen: settings.metrics,
            data: settings.data.clone(),
            spare: settings.spare.clone(),
            local_share: settings.local_share,
            tpm: settings.tpm.as_ref().map(|(device, index)| Place { device: device.clone(), index: *index }),
            reserve_percent: settings.reserve_percent,
            media: settings.media.addresses,
            ports: settings.media.ports.clone(),
            threads,
            io: settings.media.io,
            media_dscp: settings.media.dscp,
            dead: settings.media.dead,
            peers: Peers {
                pbx: peer(&settings.pbx),
                trunks: settings.trunks.iter().map(|trunk| (trunk.name.clone(), peer(&trunk.peer))).collect(),
            },
            strangers: match settings.sip.strangers {
                config::Strangers::Drop => Strangers::Drop,
                config::Strangers::Forbid => Strangers::Forbid,
            },
            guarding: Guarding {
                peer_rate: settings.sip.peer_rate,
                stranger_rate: settings.sip.stranger_rate,
                ringing_of_peer: settings.sip.ringing_of_peer,
                ..Guarding::default()
            },
            registering: Registering::new(
                ContactKey::new(node_key.patient.secret_for(REGISTERED_CONTACTS)),
                settings.trunks.iter().map(|trunk| (trunk.name.clone(), trunk.registrations)).collect(),
            ),
            handles: HandleKey::new(node_key.patient.secret_for(CALL_HANDLES)),
            policies,
            node_key,
            listeners,
            publish_heads_every: settings.audit.publish_every,
            timestamps: settings.timestamps.clone(),
            hook: settings.hook.as_ref().map(hook).transpose()?,
            api: settings.api.as_ref().map(ApiCertificates::read).transpose()?,
            reviews: settings
                .policies
                .iter()
                .filter_map(|policy| Some((policy.name.clone(), policy.terms.as_ref()?.review?.by)))
                .collect(),
            witness,
            store,
            rules: rules(settings),
            settings: Digest::from_bytes(settings.sha256),
        })
    }
}

/// The node's key, for each who signs with it.
pub(super) struct Signing {
    /// For recordings as they end: others wait for the thread.
    pub(super) recordings: NodeKey,
    /// For heads, likewise.
    pub(super) heads: HeadKey,
    /// For those who can wait.
    pub(super) patient: NodeKey,
}

impl Signing {
    fn alone(key: NodeKey) -> Self {
        Self { recordings: key.clone(), heads: HeadKey::of(key.clone()), patient: key }
    }

    /// Opens the token, and has it sign once.
    fn by(uri: &TokenUri) -> Result<Self, Trouble> {
        let cannot =
            |error: TokenError| Trouble::new(format!("cannot use the node's key in the token, `{uri}`: {error}"), error.remedy());
        let token = Token::open(uri).map_err(cannot)?;
        let patient = token.node_key().map_err(cannot)?;
        let heads = HeadKey::of(patient.by(token.hasty()));
        Ok(Self { recordings: patient.by(token.hasty()), heads, patient })
    }
}

/// What the key of registered contacts is made for: another text, and bindings of before are not known again.
const REGISTERED_CONTACTS: &str = "registered contacts";

/// What the key of call handles is made for: another text, and calls of before a restart are not known again.
const CALL_HANDLES: &str = "call handles";

fn bad_witness(path: &Path) -> Trouble {
    let what = format!("cannot use the certificate of the authority for timestamps, `{}`: it is none", path.display());
    Trouble::new(what, "it is a PEM file that begins with the certificate by which the authority signs")
}

fn rules(settings: &Settings) -> Rules {
    let quotas = settings.policies.iter().filter_map(|policy| {
        let quota = policy.terms.as_ref()?.quota_bytes?;
        Some((policy.name.as_str().into(), quota))
    });
    Rules { retention: settings.retention.clone(), quotas: quotas.collect() }
}

fn bad_key(path: &Path, error: &dyn std::fmt::Display) -> Trouble {
    Trouble::new(
        format!("cannot use the key `{}`: {error}", path.display()),
        "make another with: mitschnitt keys generate --config FILE, after moving this file away",
    )
}

fn peer(peer: &config::Peer) -> Peer {
    let latching = Latching {
        rule: match peer.latching {
            config::Latching::Strict => LatchRule::Strict,
            config::Latching::Learn => LatchRule::Learn,
        },
        networks: networks_of(&peer.media_networks).collect(),
    };
    Peer {
        way: Flow { end: peer.end, far: peer.address },
        transport: peer.transport,
        networks: networks_of(&peer.networks).collect(),
        latching,
        media_as: peer.media_as,
        routing: routing(peer),
    }
}

/// Returns the peers whose names are looked up.
fn hosts(settings: &Settings) -> Vec<Named> {
    let pbx = std::iter::once((None, &settings.pbx));
    let trunks = settings.trunks.iter().enumerate().map(|(at, trunk)| (Some(at), &trunk.peer));
    let named = |(trunk, peer): (Option<usize>, &config::Peer)| {
        let host = peer.host.clone()?;
        let is_ours = |end: &End| host.spoken.contains(&end.transport) && host.local.is_none_or(|local| local == end.address);
        let ends = settings.sip.listen.iter().zip(0_u8..).filter(|(end, _)| is_ours(end)).map(|(end, id)| (EndId(id), *end));
        Some(Named { trunk, ends: ends.collect(), host })
    };
    pbx.chain(trunks).filter_map(named).collect()
}

/// Returns the name that a peer's certificate must be for.
fn name_of(peer: &config::Peer) -> PeerName {
    let host = peer.host.as_ref().map(|host| host.name.trim_end_matches('.'));
    let named = peer.tls_name.as_deref().or(host).and_then(PeerName::new);
    named.unwrap_or_else(|| PeerName::of_ip(peer.address.ip()))
}

fn routing(peer: &config::Peer) -> Routing {
    Routing {
        others: peer.others.iter().map(|&far| Flow { end: peer.end, far }).collect(),
        former: Vec::new(),
        is_found: peer.host.is_some(),
        spread: peer.spread,
        priority: peer.priority,
        weight: peer.weight,
        takes_calls: peer.takes_calls,
        options_every: peer.options_every,
    }
}

fn networks_of(networks: &[config::Network]) -> impl Iterator<Item = Network> {
    networks.iter().map(|network| Network { address: network.address(), prefix: network.prefix() })
}

fn policy(policy: &config::Policy, retention: &Retention) -> Result<Policy, Trouble> {
    let selector = Selector {
        trunk: policy.trunk.clone(),
        direction: policy.direction,
        called_prefix: policy.called_prefix.clone(),
        calling_prefix: policy.calling_prefix.clone(),
        hours: policy.hours.clone(),
    };
    let name: Arc<str> = policy.name.as_str().into();
    let Some(terms) = &policy.terms else {
        let (clips, codecs, in_call, selects) = (Vec::new(), Codecs::AsOffered, InCall::default(), Selects::default());
        let signs = Signs::default();
        return Ok(Policy { selector, name, terms: None, clips, codecs, mandatory: None, hook: None, in_call, selects, signs });
    };
    let mut clips = match terms.announcement() {
        Some(path) => announcements::clips(path, &terms.language).map_err(Trouble::from)?,
        None => Vec::new(),
    };
    for (coding, payloads) in &terms.payloads {
        clips.push(announcements::ready(payloads, coding, &terms.language).map_err(Trouble::from)?);
    }
    let (codecs, mandatory, hook) = (terms.codecs, terms.mandatory, terms.hook);
    let until = terms.review.filter(|review| review.stops).map(|review| review.by);
    let selects = Selects { one_in: terms.one_in, until, begins: terms.begins };
    let is_locked = mandatory.is_some() || retention.of(Some(&terms.purpose)).shortest > Duration::ZERO;
    let shred = match (terms.shreds, is_locked) {
        (_, true) => Shred::Never,
        (true, false) => Shred::Always,
        (false, false) => Shred::Asked,
    };
    let signs = announcements::signs().map_err(Trouble::from)?;
    let in_call = InCall { pause: terms.pause, resume: terms.resume, after_pause: terms.after_pause, shred, beep: terms.beep };
    let terms = Terms {
        policy: Arc::clone(&name),
        policy_hash: policy.sha256(),
        purpose: terms.purpose.as_str().into(),
        legal_basis: terms.legal_basis.as_str().into(),
        mode: match terms.mode {
            config::Mode::Announce => Mode::Announce,
            config::Mode::OptOut => Mode::OptOut,
            config::Mode::OptIn => Mode::OptIn,
        },
        must_agree: terms.must_agree,
        // In the mode `announce` no key is looked at; the type wants one all the same.
        key: terms.key.unwrap_or(UNUSED_KEY),
        withdraw: terms.withdraw,
        answer: terms.answer,
        language: terms.language.as_str().into(),
        announcement_version: terms.announcement_version.as_deref().map(Into::into),
        without_consent: match terms.without_consent {
            config::WithoutConsent::GoOn => WithoutConsent::GoOn,
            config::WithoutConsent::HangUp => WithoutConsent::HangUp,
        },
        longest_pause: terms.longest_pause,
        prior: PriorTerms {
            registered: terms.registered.map(|worth| match worth {
                config::Registered::Asked => Registered::Asked,
                config::Registered::Told => Registered::Told,
                config::Registered::Untold => Registered::Untold,
            }),
            version: terms.consent_version.as_deref().map(Into::into),
        },
    };
    Ok(Policy { selector, name, terms: Some(terms), clips, codecs, mandatory, hook, in_call, selects, signs })
}

/// Reads what the web hook is asked with.
fn hook(hook: &config::Hook) -> Result<Hook, Trouble> {
    let read = |path: &Path, what: &str| {
        let cannot = |error| {
            Trouble::new(
                format!("cannot read {what} `{}`: {error}", path.display()),
                "[hook] names it; the service's user must be able to read it",
            )
        };
        fs::read(path).map_err(cannot)
    };
    let path = &hook.secret;
    let mut secret = Zeroizing::new(read(path, "the web hook's secret")?);
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    if secret.len() < HOOK_SECRET_BYTES {
        let what = format!("the web hook's secret `{}` has fewer than {HOOK_SECRET_BYTES} bytes", path.display());
        return Err(Trouble::new(what, format!("make a new one: openssl rand -hex 32 > {}", path.display())));
    }
    let tls = match &hook.tls {
        None => None,
        Some(files) => {
            let authorities = read(&files.authorities, "those whose certificates the web hook may have")?;
            let ours = match &files.client {
                None => None,
                Some((certificate, key)) => Some([
                    Zeroizing::new(read(certificate, "the certificate that the web hook is shown")?),
                    Zeroizing::new(read(key, "the key of the certificate that the web hook is shown")?),
                ]),
            };
            let ours = ours.as_ref().map(|[certificate, key]| [certificate.as_slice(), key.as_slice()]);
            let client = tls::client(&authorities, ours).map_err(|error| {
                Trouble::new(
                    format!("the web hook cannot be spoken to over TLS: {error}"),
                    "see `certificate`, `private_key` and `authorities` of [hook]",
                )
            })?;
            Some(client)
        }
    };
    Ok(Hook { at: hook.at.clone(), tls, secret, deadline: hook.deadline })
}

/// Bytes of the secret that questions to the web hook are signed with: as many as SHA-256 gives (RFC 2104 §3).
const HOOK_SECRET_BYTES: usize = 32;

const UNUSED_KEY: Digit = match Digit::from_event(0) {
    Some(digit) => digit,
    None => unreachable!(),
};

/// What an operator asks for.
pub(super) enum Asks {
    /// To be told something.
    Told(Reply),
    /// Something to be done to a call; the table answers.
    Deed(CallId, Deed),
    /// The register to be read again.
    Roster,
    /// No new calls, and an end after this time at the latest.
    Drain(Duration),
}

/// Answers an operator's question, or says what is to be done.
pub(super) fn asks(request: &Request, table: &Table, clock: Clock) -> Asks {
    let now = clock.now();
    let deed = |call: &str, deed| match call.parse() {
        Ok(call) => Asks::Deed(call, deed),
        Err(_) => Asks::Told(not_done(call::NotDone::NoSuchCall)),
    };
    Asks::Told(match request {
        Request::Start { call } => return deed(call, Deed::Start),
        Request::Pause { call } => return deed(call, Deed::Pause),
        Request::Resume { call } => return deed(call, Deed::Resume),
        Request::Withdraw { call, shreds: false } => return deed(call, Deed::Withdraw),
        Request::Withdraw { call, shreds: true } => return deed(call, Deed::Shred),
        Request::Drain { limit_s } => return Asks::Drain(Duration::from_secs((*limit_s).min(LONGEST_DRAIN_S))),
        Request::Roster {} => return Asks::Roster,
        Request::Calls { numbers } => {
            let calls = table.live().iter().map(|call| live(call, *numbers, now, clock::wall())).collect();
            Reply::Calls { calls }
        }
        Request::Trunks {} => {
            Reply::Trunks { addresses: table.reached(now).iter().map(|reached| trunk_address(reached, now)).collect() }
        }
        Request::Status {} => Reply::Status(Status {
            version: env!("CARGO_PKG_VERSION").into(),
            up_s: now.since(Moment::START).as_secs(),
            calls: table.count() as u64,
            recording: table.live().iter().filter(|call| call.is_recording).count() as u64,
        }),
    })
}

fn trunk_address(reached: &Reached, now: Moment) -> TrunkAddress {
    TrunkAddress {
        trunk: reached.trunk.as_ref().map(ToString::to_string),
        address: reached.address.to_string(),
        transport: reached.transport.as_str().into(),
        standing: match (reached.is_up, reached.is_shunned) {
            (false, _) => control::Standing::Down,
            (true, true) => control::Standing::Avoided,
            (true, false) => control::Standing::Up,
        },
        since_s: now.since(reached.since).as_secs(),
        is_asked: reached.is_asked,
    }
}

/// What the table's answer to a deed is for the operator.
pub(super) fn answer(answer: Result<call::Done, call::NotDone>, clock: Clock) -> Reply {
    match answer {
        // A pause that has just begun has its whole length before it.
        Ok(call::Done::Paused { ends }) => Reply::Done(Done::Paused { resumes_in_s: seconds_up(ends.since(clock.now())) }),
        Ok(call::Done::Asks) => Reply::Done(Done::Asks),
        Ok(call::Done::Resumed) => Reply::Done(Done::Resumed),
        Ok(call::Done::Withdrawn) => Reply::Done(Done::Withdrawn),
        Ok(call::Done::Shreds) => Reply::Done(Done::Shreds),
        Err(why) => not_done(why),
    }
}

fn not_done(why: call::NotDone) -> Reply {
    let (why, reason) = match why {
        call::NotDone::NoSuchCall => (NotDone::NoSuchCall, None),
        call::NotDone::NotRecorded(reason) => (NotDone::NotRecorded, Some(reason.to_string())),
        call::NotDone::AlreadyStarted => (NotDone::AlreadyStarted, None),
        call::NotDone::AlreadyPaused => (NotDone::AlreadyPaused, None),
        call::NotDone::NotPaused => (NotDone::NotPaused, None),
        call::NotDone::AlreadyWithdrawn => (NotDone::AlreadyWithdrawn, None),
        call::NotDone::Locked => (NotDone::Locked, None),
    };
    Reply::NotDone { why, reason }
}

/// A day: no call lasts longer.
const LONGEST_DRAIN_S: u64 = 86_400;

/// Seconds, a part of one being a whole one.
fn seconds_up(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

/// A call as an operator sees it.
pub(super) fn live(call: &Live, numbers: bool, now: Moment, wall: Wall) -> LiveCall {
    let age = now.since(call.began);
    let since = Wall::from_unix_micros(wall.unix_micros().saturating_sub(micros(age)));
    let number = |number: &Private<String>| if numbers { number.reveal().clone() } else { masked(number) };
    LiveCall {
        call: call.call.to_string(),
        since: since.to_string(),
        age_s: age.as_secs(),
        direction: call.direction.to_string(),
        trunk: call.trunk.to_string(),
        policy: call.policy.as_deref().map(str::to_owned),
        state: match (call.is_up, call.is_recording, call.pause_ends) {
            (_, _, Some(_)) => LiveState::Paused,
            (_, true, None) => LiveState::Recording,
            (true, false, None) => LiveState::Up,
            (false, false, None) => LiveState::Ringing,
        },
        resumes_in_s: call.pause_ends.map(|ends| seconds_up(ends.since(now))),
        consent: call.consent.map(|standing| match standing {
            Standing::Asking => Consent::Asking,
            Standing::Granted(_) => Consent::Granted,
            Standing::Refused(_) => Consent::Refused,
            Standing::Withdrawn(_) => Consent::Withdrawn,
        }),
        reason: call.reason.to_string(),
        recording: call.recording.map(|id| id.to_string()),
        calling: number(&call.parties.calling),
        called: number(&call.parties.called),
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
