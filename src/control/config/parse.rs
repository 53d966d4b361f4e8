//! From text to settings: everything is read, everything wrong is noted, and only what is wholly right becomes [`Settings`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use toml::de::DeTable;

use crate::access::Rules;
use crate::call::{DeadMedia, End, Rate, Transport, WhenDead};
use crate::catalogue::Retention;
use crate::control::config::api;
use crate::control::config::hook;
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::settings::NodeKeyFile;
use crate::control::config::{
    Audit, Media, MediaIo, Mistake, Recipient, Settings, Sip, Strangers, TlsFiles, Weight, access, address, audit, peers,
    policies, retention,
};
use crate::limits::{self, INDEXED_HEADERS};
use crate::time::Period;
use crate::tls::{Clients, SYSTEM_AUTHORITIES};
use crate::vault::TokenUri;

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// All settings, where there is no mistake that weighs as an error.
    pub settings: Option<Settings>,
    /// Every mistake, in the order of the lines.
    pub mistakes: Vec<Mistake>,
    /// The data directory, where at least that could be read: whoever looks after calls and recordings needs no more.
    pub data: Option<PathBuf>,
    /// The directory on the spare disk, likewise.
    pub spare: Option<PathBuf>,
    /// The node's signing key, likewise.
    pub node_key: Option<NodeKeyFile>,
    /// How long recordings are kept, likewise: whoever erases one must know whether it is locked.
    pub retention: Option<Retention>,
    /// Who may do what, likewise; the inner nothing says that nobody is kept from anything.
    pub access: Option<Option<Rules>>,
}

/// The sections, and the settings of each.
pub(super) const SECTIONS: [(&str, &[&str]); 18] = [
    (
        "sip",
        &[
            "listen",
            "strangers",
            "dscp",
            "emergency_numbers",
            "unrecorded_code",
            "indexed_headers",
            "peer_messages_per_s",
            "stranger_answers_per_s",
            "ringing_of_peer",
        ],
    ),
    ("dns", &["servers"]),
    ("tls", &["certificate", "private_key", "authorities", "client_certificates"]),
    (
        "pbx",
        &[
            "address",
            "spread",
            "options_every_s",
            "local",
            "tls_name",
            "networks",
            "latching",
            "media_networks",
            "media_as",
            "srtp_keys",
        ],
    ),
    (
        "trunk",
        &[
            "name",
            "address",
            "spread",
            "priority",
            "weight",
            "takes_calls",
            "options_every_s",
            "local",
            "tls_name",
            "networks",
            "latching",
            "media_networks",
            "media_as",
            "srtp_keys",
            "registrations",
        ],
    ),
    ("media", &["address", "pbx_address", "trunk_address", "ports", "threads", "io", "dscp", "dead_after_s", "when_dead"]),
    ("metrics", &["listen"]),
    ("api", &["listen", "certificate", "private_key", "authorities"]),
    ("audit", &["publish_head_every_s"]),
    ("timestamps", &["url", "each_recording", "certificate"]),
    ("hook", &["url", "secret", "deadline_ms", "certificate", "private_key", "authorities"]),
    ("data", &["directory", "spare_directory", "reserve_percent", "local_share", "tpm", "tpm_index"]),
    ("keys", &["node"]),
    ("recipient", &["name", "purposes", "public_key", "from", "until"]),
    ("retention", &["purpose", "longest", "shortest"]),
    ("access", &["four_eyes_export", "four_eyes_release", "four_eyes_erase_locked", "break_glass"]),
    ("identity", &["user", "certificate", "roles", "purposes"]),
    ("policy", &policies::SETTINGS),
];

/// Reads a configuration.
#[must_use]
pub fn parse(text: &str) -> Report {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut notes = Notes::new(text, !errors.is_empty());
    for error in errors {
        let line = error.span().map(|span| notes.line(&span));
        notes.error(
            line,
            format!("this is no TOML: {}", error.message()),
            "texts stand in \"double quotes\", lists in [brackets], sections in [brackets] on a line of their own",
        );
    }
    let mut settings = read(&Section::document(document.get_ref()), &mut notes);
    let Notes { mut mistakes, .. } = notes;
    // What is missing altogether comes last.
    mistakes.sort_by_key(|mistake| mistake.line.unwrap_or(usize::MAX));
    if let Some(settings) = &mut settings.whole {
        settings.sha256 = Sha256::digest(text).into();
    }
    if mistakes.iter().any(|mistake| mistake.weight == Weight::Error) {
        settings.whole = None;
    }
    Report {
        settings: settings.whole,
        mistakes,
        data: settings.data,
        spare: settings.spare,
        node_key: settings.node_key,
        retention: settings.retention,
        access: settings.access,
    }
}

struct Read {
    whole: Option<Settings>,
    data: Option<PathBuf>,
    spare: Option<PathBuf>,
    node_key: Option<NodeKeyFile>,
    retention: Option<Retention>,
    access: Option<Option<Rules>>,
}

fn read(document: &Section<'_>, notes: &mut Notes) -> Read {
    document.knows(&SECTIONS.map(|(name, _)| name), notes);
    let sip = single(document, "sip", "listen = \"udp 192.0.2.1:5060\"", notes).map(|section| sip(&section, notes));
    let pbx = single(document, "pbx", "address = \"192.0.2.10:5060\"", notes).map(|section| peers::peer(&section, notes));
    let mut pbx = pbx;
    let mut trunks = peers::trunks(document, notes);
    let tls = tls(document, sip.as_ref(), notes);
    let dns = optional(document, "dns", notes).map_or_else(|| Some(Vec::new()), |section| dns(&section, notes));
    let media = single(document, "media", "address = \"192.0.2.1\" and ports = \"20000-60000\"", notes)
        .map(|section| media(&section, notes));
    let metrics = optional(document, "metrics", notes).map_or(Some(METRICS), |section| metrics(&section, notes));
    let had_before = notes.errors();
    let api = optional(document, "api", notes).and_then(|section| api::api(&section, notes));
    let is_api_wrong = notes.errors() > had_before;
    let audit =
        optional(document, "audit", notes).map_or_else(|| Some(Audit::default()), |section| audit::audit(&section, notes));
    let timestamps = optional(document, "timestamps", notes).map_or(Some(None), |section| audit::timestamps(&section, notes));
    let had = notes.errors();
    let hook = optional(document, "hook", notes).and_then(|section| hook::hook(&section, notes));
    let is_hook_wrong = notes.errors() > had;
    let data = single(document, "data", "directory = \"/var/lib/mitschnitt\"", notes);
    let reserve = data.as_ref().and_then(|section| section.number("reserve_percent", 1..=50, "of percent", notes));
    let spare = data
        .as_ref()
        .and_then(|section| section.text("spare_directory", "\"/mnt/spare/mitschnitt\"", notes))
        .map(|found| PathBuf::from(found.value));
    let local_share = data
        .as_ref()
        .map_or(Some(false), |section| section.word_or("local_share", &[("no", false), ("yes", true)], false, notes));
    let tpm = data.as_ref().map_or(Some(None), |section| tpm(section, local_share, notes));
    let data = data
        .and_then(|section| section.required("directory", "\"/var/lib/mitschnitt\"", notes))
        .map(|found| PathBuf::from(found.value));
    let node_key = node_key(document, data.as_ref(), notes);
    let recipients = recipients(document, notes);
    let retention = retention::retention(document, notes);
    let access = access::access(document, notes);
    let names = trunks.iter().map(|trunk| trunk.0.clone()).collect::<Vec<_>>();
    let policies = policies::policies(document, &names, notes);

    policies::check_together(&policies, &recipients, notes);
    let policies = policies.right;
    if !is_hook_wrong {
        hook::check_together(hook.as_ref(), &policies, notes);
    }
    retention::check_together(document, &policies, notes);
    access::check_together(document, &policies, notes);
    peers::settle(sip.as_ref(), pbx.as_mut(), &mut trunks, notes);
    check_ports(sip.as_ref(), media.as_ref(), notes);
    peers::check_media_as(pbx.as_ref(), &trunks, notes);

    let whole = (|| {
        let SipRead {
            listen,
            strangers,
            dscp: sip_dscp,
            emergency,
            unrecorded,
            indexed,
            peer_rate,
            stranger_rate,
            ringing_of_peer,
        } = sip?;
        let listen = listen?.into_iter().map(|found| found.value).collect();
        let MediaRead { addresses, ports, threads, io, dscp, dead } = media?;
        Some(Settings {
            sha256: [0; 32],
            sip: Sip {
                listen,
                strangers: strangers?,
                dscp: sip_dscp?,
                emergency: emergency?,
                unrecorded: unrecorded?,
                indexed: indexed?,
                peer_rate: peer_rate?,
                stranger_rate: stranger_rate?,
                ringing_of_peer: ringing_of_peer?,
            },
            tls: tls?,
            dns: dns?,
            pbx: pbx?.whole(0)?,
            trunks: peers::whole(trunks)?,
            media: Media { addresses: addresses?, ports: ports?.value, threads: threads?, io: io?, dscp: dscp?, dead: dead? },
            metrics: metrics?,
            api: if is_api_wrong { None? } else { api },
            audit: audit?,
            timestamps: timestamps?,
            hook,
            data: data.clone()?,
            spare: spare.clone(),
            local_share: local_share?,
            tpm: tpm?,
            reserve_percent: reserve.map(|found| found.value),
            node_key: node_key.clone()?,
            recipients: recipients.into_iter().map(|found| found.value).collect(),
            retention: retention.clone()?,
            access: access.clone()?,
            policies: policies.into_iter().map(|found| found.value).collect(),
        })
    })();
    Read { whole, data, spare, node_key, retention, access }
}

/// Reads which TPM has the key of the table of local shares, and where in it.
fn tpm(section: &Section<'_>, local_share: Option<bool>, notes: &mut Notes) -> Option<Option<(PathBuf, u32)>> {
    let device = section.text("tpm", "\"/dev/tpmrm0\"", notes);
    let index = section.text("tpm_index", "\"0x01806d53\"", notes);
    let line = device.as_ref().or(index.as_ref()).map(|found| found.line);
    let Some(device) = device else {
        if index.is_some() {
            notes.error(line, "`tpm_index` of [data] is of no TPM", "name the TPM as well: tpm = \"/dev/tpmrm0\"");
        }
        return index.is_none().then_some(None);
    };
    if local_share == Some(false) {
        notes.error(
            line,
            "`tpm` of [data] has nothing to keep",
            "write local_share = \"yes\" as well: the TPM has the key of the local shares",
        );
        return None;
    }
    let number = match &index {
        None => Some(TPM_INDEX),
        Some(said) => {
            said.value.strip_prefix("0x").and_then(|hex| u32::from_str_radix(hex, 16).ok()).filter(|index| OWNERS.contains(index))
        }
    };
    if number.is_none() {
        let what = "`tpm_index` of [data] is no number of the owner's";
        notes.error(line, what, "it is one from 0x01800000 to 0x01bffffc: that space and the next three are taken");
    }
    number.map(|number| Some((PathBuf::from(device.value), number)))
}

/// The first of the spaces when nothing is said.
const TPM_INDEX: u32 = 0x0180_6d53;

/// The owner's spaces, of which four are taken.
const OWNERS: RangeInclusive<u32> = 0x0180_0000..=0x01bf_fffc;

/// Where `/metrics` is served when nothing is said.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Signalling as far as it could be read.
pub(super) struct SipRead {
    /// Nothing where one of them cannot be read.
    pub(super) listen: Option<Vec<Found<End>>>,
    strangers: Option<Strangers>,
    dscp: Option<u8>,
    emergency: Option<Vec<String>>,
    /// The inner nothing says that no code is meant.
    unrecorded: Option<Option<String>>,
    indexed: Option<Vec<String>>,
    peer_rate: Option<Option<Rate>>,
    stranger_rate: Option<Option<Rate>>,
    ringing_of_peer: Option<usize>,
}

/// Media as far as they could be read.
struct MediaRead {
    addresses: Option<[IpAddr; 2]>,
    ports: Option<Found<RangeInclusive<u16>>>,
    threads: Option<usize>,
    io: Option<MediaIo>,
    dscp: Option<u8>,
    dead: Option<Option<DeadMedia>>,
}

/// Returns a section that must be there.
fn single<'d>(document: &Section<'d>, key: &str, example: &str, notes: &mut Notes) -> Option<Section<'d>> {
    if document.line_of(key, notes).is_none() {
        notes.missing(
            None,
            format!("there is no section [{key}]"),
            format!("write [{key}], and below it, for example: {example}"),
        );
        return None;
    }
    optional(document, key, notes)
}

/// Returns a section that may be there, once its settings were looked through.
pub(super) fn optional<'d>(document: &Section<'d>, key: &str, notes: &mut Notes) -> Option<Section<'d>> {
    let section = document.section(key, notes)?;
    section.knows(settings_of(key), notes);
    Some(section)
}

/// Returns the sections of a list, once the settings of each were looked through.
pub(super) fn each<'d>(document: &Section<'d>, key: &str, notes: &mut Notes) -> Vec<Section<'d>> {
    let sections = document.sections(key, notes);
    for section in &sections {
        section.knows(settings_of(key), notes);
    }
    sections
}

fn settings_of(section: &str) -> &'static [&'static str] {
    SECTIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, settings)| settings)
}

fn sip(section: &Section<'_>, notes: &mut Notes) -> SipRead {
    let listen = address::ends(section, "listen", notes);
    let words = [("drop", Strangers::Drop), ("forbid", Strangers::Forbid)];
    let strangers = section.word_or("strangers", &words, Strangers::Drop, notes);
    SipRead {
        listen,
        strangers,
        dscp: dscp(section, SIP_DSCP, notes),
        emergency: emergency_numbers(section, notes),
        unrecorded: unrecorded_code(section, notes),
        indexed: indexed_headers(section, notes),
        peer_rate: rate(section, "peer_messages_per_s", limits::SIP_PEER_RATE, notes),
        stranger_rate: rate(section, "stranger_answers_per_s", limits::SIP_STRANGER_RATE, notes),
        ringing_of_peer: ringing_of_peer(section, notes),
    }
}

/// Reads who is asked for names; nothing where one of them cannot be read.
fn dns(section: &Section<'_>, notes: &mut Notes) -> Option<Vec<SocketAddr>> {
    let texts = section.texts("servers", "[\"192.0.2.53:53\"]", notes).map(|found| found.value).unwrap_or_default();
    texts.iter().map(|found| address::socket(section, "servers", found, notes).map(|found| found.value)).collect()
}

/// Reads how many messages a second may come; none of it for no limit.
fn rate(section: &Section<'_>, key: &str, default: u32, notes: &mut Notes) -> Option<Option<Rate>> {
    if section.line_of(key, notes).is_none() {
        return Some(Rate::per_s(default));
    }
    let found = section.number(key, 0..=MOST_PER_S, "of messages a second (0: no limit)", notes)?;
    u32::try_from(found.value).ok().map(Rate::per_s)
}

fn ringing_of_peer(section: &Section<'_>, notes: &mut Notes) -> Option<usize> {
    if section.line_of("ringing_of_peer", notes).is_none() {
        return Some(limits::RINGING_OF_PEER);
    }
    let found = section.number("ringing_of_peer", 1..=limits::RINGING as u64, "of calls", notes)?;
    usize::try_from(found.value).ok()
}

/// Messages a second: more than a network brings.
const MOST_PER_S: u64 = 1_000_000;

/// Reads `[tls]`, which must be there where anybody is spoken to over TLS; nothing where it cannot be read.
fn tls(document: &Section<'_>, sip: Option<&SipRead>, notes: &mut Notes) -> Option<Option<TlsFiles>> {
    let listens = sip.and_then(|sip| sip.listen.as_ref());
    let over_tls = listens.and_then(|listen| listen.iter().find(|end| end.value.transport == Transport::Tls));
    if document.line_of("tls", notes).is_none() {
        let Some(end) = over_tls else { return Some(None) };
        notes.missing(
            end.line,
            "`listen` of [sip] has an address over TLS, and there is no section [tls]",
            "write [tls], and below it: certificate = \"/etc/mitschnitt/sip.crt.pem\" and private_key = \"/etc/mitschnitt/sip.key.pem\"",
        );
        return None;
    }
    let section = optional(document, "tls", notes)?;
    if over_tls.is_none() && listens.is_some() {
        notes.warning(
            section.line,
            "there is a section [tls], and nobody is spoken to over TLS",
            "add \"tls IP:5061\" to `listen` of [sip], or leave the section out",
        );
    }
    let certificate = section.required("certificate", "\"/etc/mitschnitt/sip.crt.pem\"", notes);
    let private_key = section.required("private_key", "\"/etc/mitschnitt/sip.key.pem\"", notes);
    let authorities = match section.line_of("authorities", notes) {
        None => Some(PathBuf::from(SYSTEM_AUTHORITIES)),
        Some(_) => section.text("authorities", "\"/etc/ssl/certs/ca-certificates.crt\"", notes).map(|found| found.value.into()),
    };
    let words = [("not-asked-for", Clients::Anybody), ("required", Clients::Certified)];
    let clients = section.word_or("client_certificates", &words, Clients::Anybody, notes);
    let line = section.line;
    Some(Some(TlsFiles {
        certificate: certificate?.value.into(),
        private_key: private_key?.value.into(),
        authorities: authorities?,
        clients: clients?,
        line,
    }))
}

/// Emergency numbers when nothing is said: those that every mobile network takes (3GPP TS 22.101 §10.1).
const EMERGENCY: [&str; 2] = ["112", "911"];

fn emergency_numbers(section: &Section<'_>, notes: &mut Notes) -> Option<Vec<String>> {
    if section.line_of("emergency_numbers", notes).is_none() {
        return Some(EMERGENCY.map(str::to_owned).to_vec());
    }
    let found = section.texts("emergency_numbers", "[\"112\", \"110\"]", notes)?;
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'));
    for wrong in found.value.iter().filter(|number| !is_number(&number.value)) {
        notes.error(
            wrong.line,
            format!("`{}` in `emergency_numbers` of [sip] is no number", printable(&wrong.value)),
            "write it as the PBX sends it to the carrier: digits, +, * and #, without spaces",
        );
    }
    if found.value.is_empty() {
        notes.warning(
            found.line,
            "`emergency_numbers` of [sip] is empty",
            "a call for help is refused like any other then, while the proxy drains or is full; only urn:service:sos still passes",
        );
    }
    Some(found.value.into_iter().map(|found| found.value).collect())
}

/// By what calls are found when nothing is said: it is drawn by lot for each call, and says nothing of anybody (RFC 7989 §10).
const INDEXED: &str = "Session-ID";

/// Header fields that have no place in a ledger: whoever reads what they say can be somebody else (RFC 3261 §22, RFC 8224).
const SECRET: [&str; 3] = ["Authorization", "Proxy-Authorization", "Identity"];

fn indexed_headers(section: &Section<'_>, notes: &mut Notes) -> Option<Vec<String>> {
    if section.line_of("indexed_headers", notes).is_none() {
        return Some(vec![INDEXED.to_owned()]);
    }
    let found = section.texts("indexed_headers", "[\"Session-ID\", \"User-to-User\"]", notes)?;
    // What a token is: RFC 3261 §25.1.
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
    for Found { value, line, .. } in &found.value {
        if !is_name(value) {
            let what = format!("`{}` in `indexed_headers` of [sip] is no name of a header field", printable(value));
            notes.error(*line, what, "write the name alone, as \"X-Account\", without colon and value");
        } else if SECRET.iter().any(|secret| secret.eq_ignore_ascii_case(value)) {
            let what = format!("`{}` in `indexed_headers` of [sip] says by what somebody proves who he is", printable(value));
            notes.error(*line, what, "leave it out: what it says is not kept in a ledger");
        }
    }
    if found.value.len() > INDEXED_HEADERS {
        let what = format!("`indexed_headers` of [sip] has {} names", found.value.len());
        notes.error(found.line, what, format!("name at most {INDEXED_HEADERS}: each is looked for in every INVITE"));
    }
    Some(found.value.into_iter().map(|found| found.value).collect())
}

/// Reads the code by which a call is kept unrecorded; the outer nothing is a mistake.
#[expect(clippy::option_option, reason = "a mistake and «no code» are two answers")]
fn unrecorded_code(section: &Section<'_>, notes: &mut Notes) -> Option<Option<String>> {
    if section.line_of("unrecorded_code", notes).is_none() {
        return Some(None);
    }
    let found = section.text("unrecorded_code", "\"*31\"", notes)?;
    let (code, line) = (found.value, found.line);
    let is_code = code.len() <= UNRECORDED_CODE_BYTES && code.starts_with('*') && code.len() > 1;
    if !is_code || !code.bytes().all(|b| b.is_ascii_digit() || b == b'*') {
        let what = format!("`unrecorded_code` of [sip] is no code that is dialled before a number: `{}`", printable(&code));
        notes.error(line, what, "it is a star and digits, as \"*31\"; a # does not come as such in a SIP URI");
        return None;
    }
    Some(Some(code))
}

/// Bytes of a code that is dialled before a number.
const UNRECORDED_CODE_BYTES: usize = 8;

/// How SIP is marked when nothing is said: CS5, which RFC 4594 §4.2 has for signalling.
const SIP_DSCP: u8 = 40;

/// How media are marked when nothing is said: EF, which RFC 4594 §4.1 has for telephony.
const MEDIA_DSCP: u8 = 46;

fn dscp(section: &Section<'_>, default: u8, notes: &mut Notes) -> Option<u8> {
    match section.line_of("dscp", notes) {
        None => Some(default),
        Some(_) => {
            section.number("dscp", 0..=63, "(a code point of RFC 2474)", notes).and_then(|found| u8::try_from(found.value).ok())
        }
    }
}

/// Reads the name of one of many, which no other of them may have.
pub(super) fn name(
    section: &Section<'_>,
    what: &str,
    seen: &mut BTreeMap<String, usize>,
    notes: &mut Notes,
) -> Option<Found<String>> {
    let found = section.required("name", &format!("\"a-{what}\""), notes)?;
    word(&section.name, "name", &found, notes)?;
    if let Some(line) = seen.insert(found.value.clone(), found.line) {
        notes.error(
            found.line,
            format!("there is another {what} `{}`, on line {line}", found.value),
            "give one of them another name",
        );
    }
    Some(found)
}

/// Notes a name that could not stand in a metric label, a ledger or an argument as it is.
pub(super) fn word(section: &str, key: &str, found: &Found<String>, notes: &mut Notes) -> Option<()> {
    let text = &found.value;
    if is_word(text) {
        return Some(());
    }
    let what = format!("`{}` cannot be the `{key}` of {section}", printable(text));
    notes.error(
        found.line,
        what,
        "up to 64 letters, digits, `-`, `_` and `.`, without spaces: it is used in commands and as a label",
    );
    None
}

/// Returns whether a text can stand so.
pub(super) fn is_word(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.chars().all(is_plain) && text.len() <= 64 && !text.starts_with('-') && !text.is_empty()
}

fn media(section: &Section<'_>, notes: &mut Notes) -> MediaRead {
    let had = notes.mistakes.len();
    let both = address::ip(section, "address", notes);
    let [pbx, trunk] = ["pbx_address", "trunk_address"].map(|key| address::ip(section, key, notes));
    let pbx = pbx.or_else(|| both.clone());
    let trunk = trunk.or(both);
    if notes.mistakes.len() == had && (pbx.is_none() || trunk.is_none()) {
        let [missing, other] = if pbx.is_none() { ["pbx_address", "trunk_address"] } else { ["trunk_address", "pbx_address"] };
        let (what, remedy) = if pbx.is_none() && trunk.is_none() {
            ("[media] says no `address`".to_owned(), "for example: address = \"192.0.2.1\"".to_owned())
        } else {
            let what = format!("[media] has a `{other}` and no `{missing}`");
            (what, format!("write `{missing}` as well, or `address` for both"))
        };
        notes.missing(section.line, what, remedy);
    }
    let ports = section.required("ports", "\"20000-60000\"", notes).and_then(|found| ports(&found, notes));
    let threads = match section.line_of("threads", notes) {
        None => Some(0),
        Some(_) => section
            .number("threads", 0..=256, "of threads (0: one a core)", notes)
            .and_then(|found| usize::try_from(found.value).ok()),
    };
    let words = [("epoll", MediaIo::Epoll), ("io_uring", MediaIo::IoUring)];
    let io = section.word_or("io", &words, MediaIo::Epoll, notes);
    let addresses = pbx.zip(trunk).map(|(pbx, trunk)| [pbx.value, trunk.value]);
    let dscp = dscp(section, MEDIA_DSCP, notes);
    MediaRead { addresses, ports, threads, io, dscp, dead: dead(section, notes) }
}

/// After how many seconds of silence a call is told as dead when nothing is said: two who are muted, in phones that suppress silence, may
/// send nothing for minutes, but RTCP every 5 s (RFC 3550 §6.2).
const DEAD_AFTER_S: u64 = 300;

/// Reads when a call's media are dead. Unless it is said, such a call is told and goes on: to end what both parties hold open cannot be
/// undone, and to tell costs nothing.
fn dead(section: &Section<'_>, notes: &mut Notes) -> Option<Option<DeadMedia>> {
    let after_s = match section.line_of("dead_after_s", notes) {
        None => Some(DEAD_AFTER_S),
        Some(_) => section.number("dead_after_s", 10..=86_400, "of seconds", notes).map(|found| found.value),
    };
    let words = [("mark", Some(WhenDead::Mark)), ("end", Some(WhenDead::End)), ("ignore", None)];
    let then = section.word_or("when_dead", &words, Some(WhenDead::Mark), notes);
    let after = Duration::from_secs(after_s?);
    then.map(|then| then.map(|then| DeadMedia { after, then }))
}

/// How many pairs of ports are few: a port rests after its call ([`limits::PORT_REST`]), so that many calls a minute need many.
const FEW_PAIRS: usize = 100;

fn ports(found: &Found<String>, notes: &mut Notes) -> Option<Found<RangeInclusive<u16>>> {
    let Found { value: text, line } = found;
    let range = text.split_once('-').and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    let Some((low, high)) = range else {
        let what = format!("`ports` of [media] is no range: `{}`", printable(text));
        notes.error(*line, what, "write the first and the last port (65535 at most), as \"20000-60000\"");
        return None;
    };
    let range: RangeInclusive<u16> = low..=high;
    let pairs = range.len() / 2;
    if low < 1024 {
        notes.error(
            *line,
            format!("`ports` of [media] begins at {low}"),
            "ports below 1024 belong to the system; begin at 1024 or above",
        );
        return None;
    }
    if low % 2 == 1 {
        let remedy = format!("RTP takes an even port and RTCP the next one (RFC 3550 §11): begin at {}", low.saturating_add(1));
        notes.error(*line, format!("`ports` of [media] begins at {low}, which is odd"), remedy);
        return None;
    }
    if pairs == 0 {
        notes.error(
            *line,
            format!("`ports` of [media] holds no pair of ports: {low} to {high}"),
            "write the lower one first, as \"20000-60000\"",
        );
        return None;
    }
    if pairs < FEW_PAIRS {
        let rest = limits::PORT_REST.as_secs();
        notes.warning(
            *line,
            format!("`ports` of [media] is enough for {pairs} {}", if pairs == 1 { "call" } else { "calls" }),
            format!("a port rests {rest} s after its call, and further calls get 503; some thousands are usual: \"20000-60000\""),
        );
    }
    Some(Found { value: range, line: *line })
}

fn metrics(section: &Section<'_>, notes: &mut Notes) -> Option<SocketAddr> {
    let found = section.required("listen", "\"127.0.0.1:9464\"", notes)?;
    // Nobody is told this address, so it may be all of the machine's.
    let address = match found.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() && address.port() != 0 => address,
        Ok(_) | Err(_) => address::socket(section, "listen", &found, notes)?.value,
    };
    if !address.ip().is_loopback() {
        notes.warning(
            found.line,
            format!("`listen` of [metrics] is open to others: {address}"),
            "whoever reaches it sees how many calls there are; listen on 127.0.0.1, or let a firewall admit Prometheus alone",
        );
    }
    Some(address)
}

fn node_key(document: &Section<'_>, data: Option<&PathBuf>, notes: &mut Notes) -> Option<NodeKeyFile> {
    let section = optional(document, "keys", notes);
    let said = section.and_then(|section| section.text("node", "\"/etc/mitschnitt/node.pem\"", notes));
    match said {
        Some(found) if TokenUri::is_meant(&found.value) => match TokenUri::parse(&found.value) {
            Ok(token) if token.pin_file.is_some() => {
                let path = data?.join("node.pem");
                Some(NodeKeyFile { path, token: Some(token), line: Some(found.line) })
            }
            Ok(_) => {
                notes.error(found.line, "`node` of [keys] names no file for the token's PIN", TOKEN_EXAMPLE);
                None
            }
            Err(error) => {
                notes.error(found.line, format!("`node` of [keys] cannot be used: {error}"), TOKEN_EXAMPLE);
                None
            }
        },
        Some(found) => Some(NodeKeyFile { path: found.value.into(), token: None, line: Some(found.line) }),
        None => data.map(|data| NodeKeyFile { path: data.join("node.pem"), token: None, line: None }),
    }
}

const TOKEN_EXAMPLE: &str = "for example: node = \"pkcs11:token=mitschnitt;object=node?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/mitschnitt/pin\"";

fn recipients(document: &Section<'_>, notes: &mut Notes) -> Vec<Found<Recipient>> {
    let mut seen = BTreeMap::new();
    let mut recipients = Vec::new();
    for section in each(document, "recipient", notes) {
        let name = name(&section, "recipient", &mut seen, notes);
        let example = "[\"quality\"]";
        let purposes = section.texts("purposes", example, notes);
        match &purposes {
            None if section.line_of("purposes", notes).is_none() => {
                notes.missing(
                    section.line,
                    format!("{} says no `purposes`", section.name),
                    format!("for example: purposes = {example}"),
                );
            }
            Some(found) if found.value.is_empty() => {
                notes.error(
                    found.line,
                    format!("`purposes` of {} is empty", section.name),
                    format!("for example: purposes = {example}"),
                );
            }
            Some(found) => found.value.iter().for_each(|purpose| {
                word(&section.name, "purpose", purpose, notes);
            }),
            None => {}
        }
        let key = section.required("public_key", "\"/etc/mitschnitt/quality-desk.pub.pem\"", notes);
        if let Some(found) = key.as_ref().filter(|found| found.value.contains("secret")) {
            notes.error(
                found.line,
                format!("`public_key` of {} names a secret key", section.name),
                "name the public half (`*.pub.pem`): the secret one has no place on this machine",
            );
        }
        // One that is no date was noted, and is no reason to say that nobody may listen.
        let period = period(&section, notes).unwrap_or_default();
        if let (Some(name), Some(purposes), Some(key)) = (name, purposes, key) {
            recipients.push(Found {
                line: purposes.line,
                value: Recipient {
                    name: name.value,
                    purposes: purposes.value.into_iter().map(|found| found.value).collect(),
                    public_key: key.value.into(),
                    public_key_line: key.line,
                    period,
                },
            });
        }
    }
    recipients
}

/// Reads from when and until when recordings are sealed to a recipient; nothing where it cannot be read.
fn period(section: &Section<'_>, notes: &mut Notes) -> Option<Period> {
    let mut bound = |key| match section.line_of(key, notes) {
        None => Some(None),
        Some(_) => section.instant(key, notes).map(Some),
    };
    let (from, until) = (bound("from"), bound("until"));
    let (from, until) = (from?, until?);
    if let (Some(from), Some(until)) = (&from, &until)
        && until.value <= from.value
    {
        let what = format!("`until` of {} is not after its `from`", section.name);
        notes.error(
            until.line,
            what,
            "nothing would ever be sealed to it; the day of `until` is the first that is not in it any more",
        );
        return None;
    }
    Some(Period { from: from.map(|found| found.value), until: until.map(|found| found.value) })
}

fn check_ports(sip: Option<&SipRead>, media: Option<&MediaRead>, notes: &mut Notes) {
    let listen = sip.and_then(|sip| sip.listen.as_deref()).unwrap_or_default();
    let Some(MediaRead { addresses: Some(addresses), ports: Some(ports), .. }) = media else { return };
    let clash = listen.iter().map(|end| end.value).find(|end| {
        let is_here = addresses.contains(&end.address.ip()) && ports.value.contains(&end.address.port());
        end.transport == Transport::Udp && is_here
    });
    if let Some(end) = clash {
        let what = format!("`ports` of [media] contains the port of `sip.listen`, {}", end.address.port());
        notes.error(ports.line, what, "choose a range beside it");
    }
}
