//! `check`: every mistake at once; and where there is none, what the configuration means.

use std::path::Path;

use serde_json::json;

use crate::access::{FourEyes, Role, Rule, Rules};
use crate::catalogue::{Limits, Span};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::files::{self, Found};
use crate::cli::list::{counted, size};
use crate::cli::site;
use crate::cli::table::{Align, Cell, Table, pairs};
use crate::cli::term::{Colour, Style, Term};
use crate::cli::who;
use crate::control::Settings;
use crate::control::config::{Host, MediaAs, Mistake, Peer, Policy, PolicyTerms, Strangers, Transport, Weight, WithoutConsent};

/// Reads the configuration and the files it names.
pub(super) fn check(config: &Path, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let report = site::read(config)?;
    let found = report.settings.as_ref().map(|settings| files::check(settings, config, doors)).unwrap_or_default();
    let mut mistakes = report.mistakes;
    mistakes.extend(found.mistakes.iter().cloned());
    mistakes.extend(report.settings.iter().flat_map(|settings| settings.unheard(who::now())));
    mistakes.extend(report.settings.iter().flat_map(|settings| settings.unreviewed(who::now())));
    mistakes.extend(report.settings.iter().flat_map(Settings::unlimited));
    site::sort(&mut mistakes);
    let errors = if is_json { tell_json(&mistakes, config, term)? } else { site::tell(&mistakes, config, term)? };
    if errors > 0 {
        if !is_json {
            site::close(errors, term)?;
        }
        return Err(Stop::Said(Exit::NotSo));
    }
    if let Some(settings) = report.settings.filter(|_| !is_json) {
        let text = meaning(&settings, &found, term.out.colour());
        let right = term.out.styled(Style::Good, "right");
        term.out.text(&format!("{} is {right}.\n\n{text}", config.display()))?;
    }
    Ok(())
}

fn tell_json(mistakes: &[Mistake], config: &Path, term: &mut Term<'_>) -> Result<usize, Stop> {
    for Mistake { line, weight, what, remedy } in mistakes {
        let weight = if *weight == Weight::Error { "error" } else { "warning" };
        let file = config.display().to_string();
        term.out.line(json!({ "file": file, "line": line, "weight": weight, "what": what, "remedy": remedy }))?;
    }
    Ok(mistakes.iter().filter(|mistake| mistake.weight == Weight::Error).count())
}

fn meaning(settings: &Settings, found: &Found, colour: Colour) -> String {
    let strangers = match settings.sip.strangers {
        Strangers::Drop => "others get no answer",
        Strangers::Forbid => "others get 403",
    };
    let named = |path: &Path| found.fingerprints.get(path).map(|short| format!("  {short}")).unwrap_or_default();
    let [pbx, trunk] = settings.media.addresses;
    let media = if pbx == trunk { pbx.to_string() } else { format!("{pbx} to the PBX, {trunk} to the trunks") };
    let (low, high) = (settings.media.ports.start(), settings.media.ports.end());
    let mut lines = vec![("listens", format!("{}; {strangers}", listens(settings))), ("PBX", peer(&settings.pbx))];
    lines.extend(settings.trunks.iter().map(|trunk| ("trunk", format!("{}, {}", trunk.name, peer(&trunk.peer)))));
    lines.push(("media", format!("{media}; ports {low} to {high}, {} pairs for each side", settings.media.pairs())));
    if !settings.sip.emergency.is_empty() {
        lines.push(("emergency", format!("{}: pass always, and are never recorded", settings.sip.emergency.join(", "))));
    }
    lines.push(("metrics", format!("http://{}/metrics", settings.metrics)));
    let spare = settings.spare.as_ref().map(|spare| format!("; {} when that fails or is full", spare.display()));
    let share = match &settings.tpm {
        Some((device, _)) => format!("; key files lie in envelopes, the TPM {} has their key", device.display()),
        None if settings.local_share => "; key files lie in envelopes".to_owned(),
        None => String::new(),
    };
    lines.push(("data", format!("{}{}{share}", settings.data.display(), spare.unwrap_or_default())));
    let signs = settings.node_key.token.as_ref().map_or_else(|| settings.node_key.path.clone(), |uri| uri.to_string().into());
    lines.push(("signs", format!("{}{}", signs.display(), named(&signs))));
    lines.extend(settings.recipients.iter().map(|recipient| {
        let (name, purposes, period) = (&recipient.name, recipient.purposes.join(" and "), recipient.in_words());
        ("listener", format!("{name}, for {purposes}{period}{}", named(&recipient.public_key)))
    }));
    lines.extend(settings.retention.iter().map(|(purpose, limits)| ("keeps", format!("{purpose}, {}", kept(limits)))));
    lines.extend(access(settings.access.as_ref()));
    lines.extend(settings.policies.iter().filter_map(|policy| {
        let quota = policy.terms.as_ref()?.quota_bytes?;
        Some(("quota", format!("{}, {}", policy.name, size(quota))))
    }));
    let mut text = pairs(lines, colour, 2);
    text.push_str("\nThe first policy that matches a call decides; a call that none matches is not recorded.\n\n");
    let mut table = Table::new([
        ("POLICY", Align::Left),
        ("CALLS", Align::Left),
        ("MODE", Align::Left),
        ("MUST AGREE", Align::Left),
        ("PURPOSE", Align::Left),
        ("ANNOUNCEMENT", Align::Left),
    ]);
    for policy in &settings.policies {
        table.row(row(policy, found));
    }
    text.push_str(&table.text(colour, 2));
    text
}

/// Who may do what, and what takes two.
fn access(rules: Option<&Rules>) -> Vec<(&'static str, String)> {
    let Some(Rules { rules, four_eyes, break_glass }) = rules else {
        return vec![(
            "access",
            "whoever may open these files and the control socket may do everything: there is no [[identity]]".into(),
        )];
    };
    let role = |Rule { subject, roles, purposes }: &Rule| {
        let of = if roles.has(Role::Reviewer) { format!(", for {purposes}") } else { String::new() };
        ("role", format!("{subject}: {}{of}", roles.to_string().replace(' ', " and ")))
    };
    let mut lines: Vec<_> = rules.iter().map(role).collect();
    if rules.is_empty() {
        lines.push(("role", "nobody has one: no command that concerns calls or recordings is done".into()));
    }
    let FourEyes { export, release, erase_locked } = four_eyes;
    let export = export.map(|most| format!("more than {} a day", counted(most, "export")));
    let two: Vec<_> = export
        .into_iter()
        .chain(release.then(|| "to lift a hold".to_owned()))
        .chain(erase_locked.then(|| "to erase what is locked".to_owned()))
        .collect();
    if !two.is_empty() {
        lines.push(("two", format!("{} takes two people", two.join(", or "))));
    }
    if !break_glass.is_empty() {
        let who = break_glass.iter().map(ToString::to_string).collect::<Vec<_>>();
        lines.push(("glass", format!("{} may break it", who.join(" and "))));
    }
    lines
}

/// How long recordings for a purpose are kept, in words.
pub(super) fn kept(Limits { shortest, longest }: Limits) -> String {
    let locked = if shortest.is_zero() { String::new() } else { format!("locked for {}, ", Span(shortest)) };
    let erased = longest.map_or_else(|| "kept for ever".into(), |longest| format!("erased after {}", Span(longest)));
    locked + &erased
}

/// Our own ends.
fn listens(settings: &Settings) -> String {
    let ends = settings.sip.listen.iter().map(|end| format!("{} {}", end.transport.as_str(), end.address));
    ends.collect::<Vec<_>>().join(", ")
}

/// A peer's address, and what of it and of its media is not as by default.
fn peer(peer: &Peer) -> String {
    let secured = match peer.media_as {
        None => "",
        Some(MediaAs::Rtp) => ", by plain RTP",
        Some(MediaAs::Srtp) => ", by SRTP",
        Some(MediaAs::Either) => ", by RTP or SRTP",
    };
    let keys = match (peer.media_as, peer.transport) {
        (None | Some(MediaAs::Rtp), _) => "",
        (Some(_), Transport::Udp) => ", its keys over UDP",
        (Some(_), Transport::Tcp) => ", its keys over TCP",
        (Some(_), Transport::Tls) => ", its keys over TLS",
    };
    let over = match peer.transport {
        Transport::Udp => "",
        Transport::Tcp => "tcp ",
        Transport::Tls => "tls ",
    };
    let name = peer.tls_name.as_ref().filter(|_| peer.transport == Transport::Tls);
    let name = name.map(|name| format!(" as {name}")).unwrap_or_default();
    let address = match &peer.host {
        None => peer.address.to_string(),
        Some(Host { name, port: None, .. }) => name.clone(),
        Some(Host { name, port: Some(port), .. }) => format!("{name}:{port}"),
    };
    let others: String = peer.others.iter().map(|other| format!(", {over}{other}")).collect();
    format!("{over}{address}{others}{name}{secured}{keys}")
}

fn row(policy: &Policy, found: &Found) -> [Cell; 6] {
    let (name, calls) = (Cell::new(&policy.name), Cell::new(policy.matches()));
    let Some(terms) = &policy.terms else {
        return [name, calls, Cell::styled("never", Style::Quiet), Cell::new(""), Cell::new(""), Cell::new("")];
    };
    let length =
        terms.announcement().and_then(|path| found.lengths.get(path)).map(|length| format!(", {:.1} s", length.as_secs_f64()));
    let ready: String = terms.payloads.keys().map(|coding| format!("; {coding}")).collect();
    let version = terms.announcement_version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    let announcement = format!("{}{version}{}{ready}", terms.language, length.unwrap_or_default());
    [name, calls, Cell::new(mode(terms)), Cell::new(must_agree(terms)), Cell::new(&terms.purpose), Cell::new(announcement)]
}

fn mode(terms: &PolicyTerms) -> String {
    let key = terms.key.map(|key| format!(", key {} within {} s", key.reveal(), terms.answer.as_secs())).unwrap_or_default();
    let end = match terms.without_consent {
        WithoutConsent::GoOn => "",
        WithoutConsent::HangUp => "; hangs up without consent",
    };
    let must = if terms.mandatory.is_some() { "; mandatory" } else { "" };
    format!("{}{key}{end}{must}", terms.mode.as_str())
}

const fn must_agree(terms: &PolicyTerms) -> &'static str {
    match terms.must_agree {
        [true, true] => "both",
        [true, false] => "local",
        [false, _] => "remote",
    }
}
