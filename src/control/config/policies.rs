//! The policies, read and weighed against each other and against those who may listen.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::call::{AfterPause, Beep, Begins, Codecs, Hours, Span, WhenSilent};
use crate::codec::Coding;
use crate::control::config::keys::{keys, legs};
use crate::control::config::parse::{each, is_word, name, word};
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::similar::similar;
use crate::control::config::{Mode, Payloads, Policy, PolicyTerms, Recipient, Registered, Review, WithoutConsent, retention};
use crate::ids::{Direction, Leg, TrunkName};
use crate::limits;
use crate::time::Wall;

/// The settings of a policy.
pub(super) const SETTINGS: [&str; 41] = [
    "name",
    "trunk",
    "direction",
    "called_prefix",
    "calling_prefix",
    "hours",
    "time_zone",
    "mode",
    "purpose",
    "legal_basis",
    "announcement",
    "announcement_payloads",
    "announcement_version",
    "language",
    "must_agree",
    "key",
    "withdraw_key",
    "may_withdraw",
    "on_withdrawal",
    "pause_key",
    "resume_key",
    "may_pause",
    "after_pause",
    "answer_s",
    "codecs",
    "without_consent",
    "longest_pause_s",
    "recording",
    "mandatory_grace_s",
    "start_key",
    "may_start",
    "quota",
    "registered_local",
    "registered_remote",
    "consent_version",
    "web_hook",
    "record_one_in",
    "review_by",
    "after_review",
    "beep_every_s",
    "beep_to",
];

/// What may be said of consent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Never,
    Mode(Mode),
}

const MODES: [(&str, Said); 4] = [
    ("opt-in", Said::Mode(Mode::OptIn)),
    ("opt-out", Said::Mode(Mode::OptOut)),
    ("announce", Said::Mode(Mode::Announce)),
    ("never", Said::Never),
];

/// All policies, as far as they could be read.
pub(super) struct Policies {
    /// Those that have no mistake.
    pub(super) right: Vec<Found<Policy>>,
    /// What is recorded for, with or without a mistake elsewhere.
    purposes: Vec<Purpose>,
}

/// What a policy records for.
struct Purpose {
    /// As the operator finds it: ``policy `sales` ``.
    policy: String,
    line: usize,
    purpose: String,
}

/// Reads all policies.
pub(super) fn policies(document: &Section<'_>, trunks: &[TrunkName], notes: &mut Notes) -> Policies {
    let sections = each(document, "policy", notes);
    let mut seen = BTreeMap::new();
    let right = sections.iter().filter_map(|section| policy(section, trunks, &mut seen, notes)).collect();
    Policies { right, purposes: sections.iter().filter_map(purpose).collect() }
}

/// Returns what the policy records for, if it does and says so; whether it says it rightly, [`terms`] notes.
fn purpose(section: &Section<'_>) -> Option<Purpose> {
    let purpose = section.peek("purpose").filter(|purpose| is_word(purpose) && section.peek("mode") != Some("never"))?;
    Some(Purpose { policy: section.name.clone(), line: section.line.unwrap_or(1), purpose: purpose.to_owned() })
}

fn policy(
    section: &Section<'_>,
    trunks: &[TrunkName],
    seen: &mut BTreeMap<String, usize>,
    notes: &mut Notes,
) -> Option<Found<Policy>> {
    let had = notes.errors();
    let name = name(section, "policy", seen, notes);
    let trunk = trunk(section, trunks, notes);
    let directions = [("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];
    let direction = section.word("direction", &directions, notes).map(|found| found.value);
    let [called_prefix, calling_prefix] = ["called_prefix", "calling_prefix"].map(|key| prefix(section, key, notes));
    let hours = hours(section, notes);
    let mode = match section.line_of("mode", notes) {
        Some(_) => section.word("mode", &MODES, notes).map(|found| found.value),
        None => {
            let remedy = "write mode = \"opt-in\", \"opt-out\", \"announce\", or \"never\" for calls that are not to be recorded";
            notes.missing(section.line, format!("{} says no `mode`", section.name), remedy);
            None
        }
    };
    let terms = match mode {
        Some(Said::Mode(mode)) => Some(terms(section, mode, notes)?),
        Some(Said::Never) | None => None,
    };
    if notes.errors() > had || notes.is_partial() {
        return None;
    }
    let policy = Policy { name: name?.value, trunk, direction, called_prefix, calling_prefix, hours, terms };
    Some(Found { value: policy, line: section.line.unwrap_or(1) })
}

/// Returns the hours at which it is one for the calls that begin.
fn hours(section: &Section<'_>, notes: &mut Notes) -> Option<Hours> {
    let example = "[\"mon-fri 08:00-18:00\", \"sat 09:00-13:00\"]";
    let zone = section.text("time_zone", "\"Europe/Berlin\"", notes);
    if section.line_of("hours", notes).is_none() {
        if let Some(zone) = zone {
            let what = format!("`time_zone` of {} means nothing without `hours`", section.name);
            notes.error(zone.line, what, format!("write hours = {example}, or take it out"));
        }
        return None;
    }
    let found = section.texts("hours", example, notes)?;
    if found.value.is_empty() {
        let what = format!("`hours` of {} is empty: no call would begin at them", section.name);
        notes.error(found.line, what, format!("for example: hours = {example}"));
    }
    let mut spans = Vec::new();
    for Found { value: text, line } in &found.value {
        match Span::parse(text) {
            Some(span) => spans.push(span),
            None => {
                let what = format!("`hours` of {} has `{}`, which is no span of a day", section.name, printable(text));
                notes.error(*line, what, "days and times to the minute, as \"mon-fri 08:00-18:00\" or \"sat 22:00-06:00\"");
            }
        }
    }
    let Some(zone) = zone else {
        if section.line_of("time_zone", notes).is_none() {
            let what = format!("`hours` of {} needs a `time_zone`: by whose clocks?", section.name);
            notes.missing(found.line, what, "for example: time_zone = \"Europe/Berlin\", or \"UTC\"");
        }
        return None;
    };
    let hours = Hours::new(spans, &zone.value);
    if hours.is_err() {
        let what = format!("`time_zone` of {} is `{}`, which there is not", section.name, printable(&zone.value));
        notes.error(zone.line, what, "write it as the IANA's database has it: \"Europe/Berlin\", \"America/New_York\", \"UTC\"");
    }
    hours.ok()
}

fn trunk(section: &Section<'_>, trunks: &[TrunkName], notes: &mut Notes) -> Option<TrunkName> {
    let found = section.text("trunk", "\"carrier\"", notes)?;
    let known = trunks.iter().find(|trunk| trunk.as_str() == found.value).cloned();
    if known.is_none() {
        let names = || trunks.iter().map(TrunkName::as_str).filter(|name| !name.is_empty());
        let remedy = match similar(&found.value, names()) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("the trunks are: {}", names().collect::<Vec<_>>().join(", ")),
        };
        notes.missing(
            found.line,
            format!("{} is for the trunk `{}`, which there is not", section.name, printable(&found.value)),
            remedy,
        );
    }
    known
}

fn prefix(section: &Section<'_>, key: &str, notes: &mut Notes) -> Option<String> {
    let found = section.text(key, "\"+4930\"", notes)?;
    let is_sent = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '*' | '#' | '.' | '_' | '-' | '~');
    if !found.value.chars().all(is_sent) {
        let plain: String = found.value.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
        let what = format!("no number begins with `{}` (`{key}` of {})", printable(&found.value), section.name);
        notes.error(found.line, what, format!("write it as it is dialled, without spaces and signs: \"{}\"", printable(&plain)));
        return None;
    }
    Some(found.value)
}

fn terms(section: &Section<'_>, mode: Mode, notes: &mut Notes) -> Option<PolicyTerms> {
    let purpose = section.required("purpose", "\"quality\"", notes);
    if let Some(purpose) = &purpose {
        word(&section.name, "purpose", purpose, notes);
    }
    let legal_basis = section.required("legal_basis", "\"consent, GDPR 6(1)(a)\"", notes);
    let announcements = announcements(section, notes);
    let payloads = payloads(section, notes);
    let language = language(section, announcements.as_ref(), notes);
    let must_agree = must_agree(section, notes);
    let keys = keys(section, mode, must_agree.unwrap_or([true; 2]), notes);
    let answer = answer(section, mode, notes);
    let codecs = [Codecs::AsOffered, Codecs::Restrict].map(|codecs| (codecs.as_str(), codecs));
    let codecs = section.word("codecs", &codecs, notes).map_or(Codecs::AsOffered, |found| found.value);
    let ways = [("go-on", WithoutConsent::GoOn), ("hang-up", WithoutConsent::HangUp)];
    let without_consent = section.word("without_consent", &ways, notes).map_or(WithoutConsent::GoOn, |found| found.value);
    let longest_pause =
        section.number("longest_pause_s", 1..=86_400, "of seconds", notes).map_or(LONGEST_PAUSE_S, |found| found.value);
    let (mandatory, is_on_demand) = mandatory(section, notes);
    let (after_pause, shreds) = (after_pause(section, mandatory, notes), shreds(section, mandatory, notes));
    let quota = retention::size(section, "quota", "\"200 GiB\"", notes);
    let words = [WhenSilent::Ask, WhenSilent::Deny].map(|when| (when.as_str(), when));
    let hook = section.word("web_hook", &words, notes).map(|found| found.value);
    let beep = beep(section, notes);
    let (one_in, review) = (one_in(section, mandatory, notes), review(section, notes));
    let (registered, consent_version) = registered(section, must_agree, notes);
    let announcement_version = announcement_version(section, notes);
    Some(PolicyTerms {
        purpose: purpose?.value,
        legal_basis: legal_basis?.value,
        mode,
        must_agree: must_agree?,
        key: keys?.key,
        withdraw: keys?.withdraw,
        pause: keys?.pause,
        resume: keys?.resume,
        after_pause,
        shreds,
        answer: answer?,
        language: language?,
        announcements: announcements?
            .value
            .into_iter()
            .map(|(name, found)| (name, (PathBuf::from(found.value), found.line)))
            .collect(),
        payloads: payloads?,
        announcement_version,
        codecs,
        without_consent,
        longest_pause: Duration::from_secs(longest_pause),
        begins: if is_on_demand { Begins::OnDemand(keys?.start) } else { Begins::ByItself },
        mandatory,
        quota_bytes: quota,
        beep,
        one_in,
        review,
        hook,
        registered,
        consent_version,
    })
}

/// Returns what the operator calls the announcement's text, as the evidence has it beside the files' digests.
fn announcement_version(section: &Section<'_>, notes: &mut Notes) -> Option<String> {
    let found = section.text("announcement_version", "\"2026-11\"", notes)?;
    let is_word = found.value.len() <= VERSION_BYTES;
    if !is_word {
        let what = format!("`announcement_version` of {} has {} bytes", section.name, found.value.len());
        notes.error(
            found.line,
            what,
            format!("write by what the text is known to you, in 1 to {VERSION_BYTES} bytes: \"2026-11\""),
        );
    }
    is_word.then_some(found.value)
}

/// Bytes of the name of a version: every recording has it.
const VERSION_BYTES: usize = 64;

/// Returns how a tone tells of the recording while it is made.
fn beep(section: &Section<'_>, notes: &mut Notes) -> Option<Beep> {
    let to = section.line_of("beep_to", notes).map(|line| (legs(section, "beep_to", notes), line));
    let Some(every) = section.number("beep_every_s", 5..=3600, "of seconds", notes) else {
        if let (Some((_, line)), None) = (&to, section.line_of("beep_every_s", notes)) {
            let what = format!("`beep_to` of {} means nothing without `beep_every_s`", section.name);
            notes.error(*line, what, "write beep_every_s = 15, or take it out");
        }
        return None;
    };
    let to = to.map_or(Some([true; 2]), |(to, _)| to)?;
    Some(Beep { every: Duration::from_secs(every.value), to })
}

/// Returns how many calls there are for each that is recorded.
fn one_in(section: &Section<'_>, mandatory: Option<Duration>, notes: &mut Notes) -> u32 {
    let Some(found) = section.number("record_one_in", 1..=1_000_000, "of calls", notes) else { return 1 };
    if found.value > 1 && mandatory.is_some() {
        let what = format!("{} records one call in {}, and says that every call must be recorded", section.name, found.value);
        notes.error(found.line, what, "take out `record_one_in`, or recording = \"mandatory\"");
    }
    u32::try_from(found.value).unwrap_or(1)
}

/// Returns by when the policy is to be looked at again.
fn review(section: &Section<'_>, notes: &mut Notes) -> Option<Review> {
    let words = [("warn", false), ("stop", true)];
    let stops = section.word("after_review", &words, notes);
    if section.line_of("review_by", notes).is_none() {
        if let Some(stops) = stops {
            let what = format!("`after_review` of {} means nothing without `review_by`", section.name);
            notes.error(stops.line, what, "write review_by = 2027-06-30, or take it out");
        }
        return None;
    }
    let found = section.instant("review_by", notes)?;
    Some(Review { by: found.value, stops: stops.is_some_and(|stops| stops.value), line: found.line })
}

/// Returns what a consent in the register is worth, of each leg's party, and to which version of the text it must be.
fn registered(section: &Section<'_>, must_agree: Option<[bool; 2]>, notes: &mut Notes) -> ([Registered; 2], Option<String>) {
    let words = [Registered::Asked, Registered::Told, Registered::Untold].map(|worth| (worth.as_str(), worth));
    let sides = [("registered_local", "local"), ("registered_remote", "remote")];
    let mut worth = [Registered::Asked; 2];
    for (((key, side), worth), must) in sides.into_iter().zip(&mut worth).zip(must_agree.unwrap_or([true; 2])) {
        let Some(found) = section.word(key, &words, notes) else { continue };
        *worth = found.value;
        if found.value == Registered::Told && !must {
            let what = format!("`{key} = \"told\"` of {} means nothing: that party need not agree, and is told", section.name);
            notes.warning(found.line, what, format!("add \"{side}\" to `must_agree`, or take it out"));
        }
    }
    let version = section.text("consent_version", "\"2026-1\"", notes);
    if let (true, Some(version)) = (worth == [Registered::Asked; 2], &version) {
        let what = format!("`consent_version` of {} means nothing: everybody is asked, whatever the register has", section.name);
        notes.error(version.line, what, "write registered_local = \"told\" or \"untold\", or take it out");
    }
    (worth, version.map(|found| found.value))
}

/// Returns how long a call goes on whose recording fails, where no call may be without one; and whether a call is recorded on demand.
fn mandatory(section: &Section<'_>, notes: &mut Notes) -> (Option<Duration>, bool) {
    let words = [("best-effort", (false, false)), ("mandatory", (true, false)), ("on-demand", (false, true))];
    let (is_mandatory, is_on_demand) = section.word("recording", &words, notes).map_or((false, false), |found| found.value);
    let grace = section.number("mandatory_grace_s", 0..=3600, "of seconds", notes);
    if let (false, Some(grace)) = (is_mandatory, &grace) {
        let what =
            format!("`mandatory_grace_s` of {} means nothing: its calls go on whatever becomes of the recording", section.name);
        notes.error(grace.line, what, "write recording = \"mandatory\", or leave it out");
    }
    let grace = is_mandatory.then(|| Duration::from_secs(grace.map_or(MANDATORY_GRACE_S, |found| found.value)));
    (grace, is_on_demand)
}

/// Returns what comes after the longest pause.
fn after_pause(section: &Section<'_>, mandatory: Option<Duration>, notes: &mut Notes) -> AfterPause {
    let words = [AfterPause::Resume, AfterPause::Stop].map(|then| (then.as_str(), then));
    let Some(found) = section.word("after_pause", &words, notes) else { return AfterPause::Resume };
    if found.value == AfterPause::Stop && mandatory.is_some() {
        let what = format!("{} must record its calls, and would stop after a pause", section.name);
        notes.error(found.line, what, "write after_pause = \"resume\", or take `recording` out");
    }
    found.value
}

/// Returns whether a withdrawal destroys what was recorded until then.
fn shreds(section: &Section<'_>, mandatory: Option<Duration>, notes: &mut Notes) -> bool {
    let Some(found) = section.word("on_withdrawal", &[("keep", false), ("shred", true)], notes) else { return false };
    if found.value && mandatory.is_some() {
        let what = format!("{} must record its calls, and would shred those recordings", section.name);
        notes.error(found.line, what, "write on_withdrawal = \"keep\", or take `recording` out");
    }
    found.value
}

/// How long a call goes on whose recording fails, where nothing is said: long enough to say good-bye.
const MANDATORY_GRACE_S: u64 = 30;

/// The longest pause where nothing is said.
const LONGEST_PAUSE_S: u64 = 120;

/// The longest time to answer: whoever has not pressed a key by then will not.
const LONGEST_ANSWER_S: u64 = 60;

fn announcements(section: &Section<'_>, notes: &mut Notes) -> Option<Found<BTreeMap<String, Found<String>>>> {
    let example = "{ de = \"/etc/mitschnitt/announcement.de.wav\" }";
    if section.line_of("announcement", notes).is_none() {
        let what = format!("{} says no `announcement`: nobody would be told", section.name);
        notes.missing(section.line, what, format!("for example: announcement = {example}"));
        return None;
    }
    let found = section.texts_by_name("announcement", example, notes)?;
    if found.value.is_empty() {
        notes.error(
            found.line,
            format!("`announcement` of {} is empty: nobody would be told", section.name),
            format!("for example: announcement = {example}"),
        );
        return None;
    }
    for (language, text) in &found.value {
        word(&section.name, "language", &Found { value: language.clone(), line: text.line }, notes);
    }
    Some(found)
}

fn payloads(section: &Section<'_>, notes: &mut Notes) -> Option<BTreeMap<String, Payloads>> {
    let (key, example) = ("announcement_payloads", "{ \"G729/8000\" = \"/etc/mitschnitt/announcement.de.g729.rtpdump\" }");
    if section.line_of(key, notes).is_none() {
        return Some(BTreeMap::new());
    }
    let had = notes.errors();
    let mut payloads: BTreeMap<String, Payloads> = BTreeMap::new();
    for (name, Found { value: path, line }) in section.texts_by_name(key, example, notes)?.value {
        let shown = printable(&name);
        match Coding::parse(&name) {
            Ok(Coding::Foreign(foreign)) if payloads.values().all(|other| other.foreign != foreign) => {
                payloads.insert(name, Payloads { foreign, path: PathBuf::from(path), line });
            }
            Ok(Coding::Foreign(_)) => {
                let what = format!("`{key}` of {} has two files for `{shown}`", section.name);
                notes.error(line, what, "take one of them out");
            }
            Ok(Coding::Ours(_)) => {
                let what = format!("`{key}` of {} has a file for `{shown}`, which is made of the WAV file", section.name);
                notes.error(line, what, "take it out: that is for codecs that are not spoken here");
            }
            Err(error) => {
                let what = format!("`{key}` of {} has a file for `{shown}`, which is no coding of speech: {error}", section.name);
                notes.error(line, what, format!("name it as a=rtpmap does, and as a=fmtp where that matters: {key} = {example}"));
            }
        }
    }
    (notes.errors() == had).then_some(payloads)
}

fn language(
    section: &Section<'_>,
    announcements: Option<&Found<BTreeMap<String, Found<String>>>>,
    notes: &mut Notes,
) -> Option<String> {
    let said = section.text("language", "\"de\"", notes);
    let announcements = announcements?;
    let spoken = || announcements.value.keys().map(String::as_str);
    let all = || spoken().map(|name| format!("\"{}\"", printable(name))).collect::<Vec<_>>().join(", ");
    match said {
        Some(found) if announcements.value.contains_key(&found.value) => Some(found.value),
        Some(found) => {
            let what = format!("{} speaks `{}`, and has no announcement in it", section.name, printable(&found.value));
            notes.error(found.line, what, format!("add one to `announcement`, or say one of: {}", all()));
            None
        }
        None if section.line_of("language", notes).is_some() => None,
        None if announcements.value.len() == 1 => spoken().next().map(str::to_owned),
        None => {
            let what = format!(
                "{} has announcements in {} languages and does not say which is spoken",
                section.name,
                announcements.value.len()
            );
            notes.missing(announcements.line, what, format!("write language = one of: {}", all()));
            None
        }
    }
}

fn must_agree(section: &Section<'_>, notes: &mut Notes) -> Option<[bool; 2]> {
    let words = [("remote", Leg::Trunk), ("local", Leg::Pbx)];
    let Some(found) = section.texts("must_agree", "[\"remote\", \"local\"]", notes) else {
        // The stricter of what could be meant.
        return section.line_of("must_agree", notes).is_none().then_some([true, true]);
    };
    if found.value.is_empty() {
        let remedy = "for example: must_agree = [\"remote\"], the party on the trunk's side, or [\"remote\", \"local\"], both";
        notes.error(found.line, format!("`must_agree` of {} is empty: somebody must agree", section.name), remedy);
        return None;
    }
    let mut must = [false; 2];
    for Found { value: text, line } in &found.value {
        // The words for the legs in the ledger.
        if let Some(meant) =
            Leg::BOTH.into_iter().zip(["local", "remote"]).find(|(leg, _)| leg.as_str() == text).map(|(_, meant)| meant)
        {
            let what = format!("`must_agree` of {} cannot be `{text}`", section.name);
            notes.error(*line, what, format!("the party on that side is \"{meant}\""));
            return None;
        }
        let leg = section.one_of("must_agree", text, *line, &words, notes)?;
        if let Some(one) = must.get_mut(leg.index()) {
            *one = true;
        }
    }
    Some(must)
}

fn answer(section: &Section<'_>, mode: Mode, notes: &mut Notes) -> Option<Duration> {
    if mode == Mode::Announce {
        unmeant(section, "answer_s", notes);
        return Some(Duration::ZERO);
    }
    if section.line_of("answer_s", notes).is_none() {
        let what = format!("{} is {} and says no `answer_s`", section.name, mode.as_str());
        notes.missing(section.line, what, "write how many seconds the key is waited for, as answer_s = 5");
        return None;
    }
    section.number("answer_s", 1..=LONGEST_ANSWER_S, "of seconds", notes).map(|found| Duration::from_secs(found.value))
}

pub(super) fn unmeant(section: &Section<'_>, key: &str, notes: &mut Notes) {
    if let Some(line) = section.line_of(key, notes) {
        let what = format!("`{key}` of {} means nothing in the mode announce: staying on the line is consent", section.name);
        notes.warning(line, what, format!("take `{key}` out, or write mode = \"opt-in\" or \"opt-out\""));
    }
}

/// Returns how many may listen to the recordings for a purpose at once, at the time when they are most: that is when one begins to.
fn most_at_once(purpose: &String, recipients: &[Found<Recipient>]) -> usize {
    let periods: Vec<_> =
        recipients.iter().filter(|found| found.value.purposes.contains(purpose)).map(|found| found.value.period).collect();
    let beginnings = periods.iter().map(|period| period.from.unwrap_or(Wall::from_unix_micros(i64::MIN)));
    beginnings.map(|at| periods.iter().filter(|period| period.covers(at)).count()).max().unwrap_or(0)
}

/// Weighs the policies against each other and against those who may listen.
pub(super) fn check_together(policies: &Policies, recipients: &[Found<Recipient>], notes: &mut Notes) {
    let Policies { right, purposes } = policies;
    for (nth, Found { value: policy, line }) in right.iter().enumerate() {
        if let Some(first) = right.iter().take(nth).find(|first| first.value.covers(policy)) {
            let what = format!(
                "policy `{}` is never reached: `{}`, on line {}, matches all of its calls",
                policy.name, first.value.name, first.line
            );
            notes.warning(
                *line,
                what,
                "the first policy that matches decides: move the narrower one up, or take one of them out",
            );
        }
    }
    for Purpose { policy, line, purpose } in purposes {
        let listeners = most_at_once(purpose, recipients);
        if listeners == 0 {
            let what = format!("{policy} records for `{purpose}`, and nobody may listen for that");
            let purposes = || recipients.iter().flat_map(|recipient| &recipient.value.purposes).map(String::as_str);
            let remedy = match similar(purpose, purposes()) {
                Some(meant) => format!("did you mean \"{}\"? or add the purpose to a [[recipient]]", printable(meant)),
                None => format!("add a [[recipient]] with purposes = [\"{purpose}\"], or the purpose to one that there is"),
            };
            notes.missing(*line, what, remedy);
        }
        if listeners > limits::RECIPIENTS {
            let what = format!("{listeners} recipients may listen to what {policy} records");
            notes.error(*line, what, format!("{} are possible: let some share a key", limits::RECIPIENTS));
        }
    }
    if right.is_empty() && notes.errors() == 0 && !notes.is_partial() {
        notes.warning(None, "there is no [[policy]]: nothing is recorded", "write one for the calls that are to be recorded");
    }
    for Found { value: recipient, line } in recipients {
        let is_used = |purpose: &String| {
            right.iter().any(|policy| policy.value.terms.as_ref().is_some_and(|terms| terms.purpose == *purpose))
        };
        if notes.errors() == 0 && !recipient.purposes.iter().any(is_used) {
            let what = format!("recipient `{}` can open nothing: no policy records for any of its purposes", recipient.name);
            notes.warning(*line, what, "compare `purposes` with the `purpose` of the policies");
        }
    }
}
