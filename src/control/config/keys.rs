//! The keys that mean something once a call is recorded: which they are, who may press them, and that no press means two things.

use crate::control::config::Mode;
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::digit::{Digit, PartyKey};
use crate::ids::Leg;

/// The keys of a policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Keys {
    /// The key that agrees or refuses while it is asked; nothing in the mode `announce`.
    pub(super) key: Option<Digit>,
    /// The key that says no at any time.
    pub(super) withdraw: Option<PartyKey>,
    /// The key that pauses.
    pub(super) pause: Option<PartyKey>,
    /// The key that resumes.
    pub(super) resume: Option<PartyKey>,
    /// The key that has the parties asked, where that is done on demand.
    pub(super) start: Option<PartyKey>,
}

/// Reads the keys of a policy, and weighs them against each other; nothing where one of them is a mistake.
pub(super) fn keys(section: &Section<'_>, mode: Mode, must_agree: [bool; 2], notes: &mut Notes) -> Option<Keys> {
    let had = notes.errors();
    let key = asking(section, mode, notes);
    let withdraw = withdraw(section, mode, key.flatten(), notes);
    let [pause, resume] = pauses(section, notes);
    let start = start(section, notes);
    let asks = key.flatten().map(|key| PartyKey { key, of: must_agree });
    let (agrees, refuses) = if mode == Mode::OptIn { (asks, None) } else { (None, asks) };
    for (setting, one, other, means) in [
        ("withdraw_key", withdraw, agrees, "the key that agrees: who presses it twice would withdraw"),
        ("pause_key", pause, agrees, "the key that agrees: who presses it twice would pause"),
        ("pause_key", pause, refuses, "the key that refuses: one press cannot mean both"),
        ("start_key", start, agrees, "the key that agrees: nobody agrees to what is not asked yet"),
        ("start_key", start, refuses, "the key that refuses: one press cannot mean both"),
        ("start_key", start, withdraw, "the key that withdraws: one press cannot mean both"),
        ("pause_key", pause, withdraw, "the key that withdraws: one press cannot mean both"),
        (
            "resume_key",
            resume.filter(|resume| Some(*resume) != pause),
            withdraw,
            "the key that withdraws: one press cannot mean both",
        ),
    ] {
        let (Some(one), Some(other)) = (one, other) else { continue };
        if one.collides(&other) {
            let what = format!("`{setting}` of {} is {means}", section.name);
            notes.error(
                section.line_of(setting, notes),
                what,
                format!("write another one, as {setting} = \"{}\"", free(&[key.flatten()], &[withdraw, pause, resume, start])),
            );
        }
    }
    (notes.errors() == had).then_some(Keys { key: key?, withdraw, pause, resume, start })
}

/// Returns a key that means nothing yet.
fn free(asks: &[Option<Digit>], others: &[Option<PartyKey>]) -> char {
    let taken = |key: char| {
        let mut all = asks.iter().copied().chain(others.iter().map(|other| other.map(|other| other.key))).flatten();
        all.any(|taken| taken.reveal() == key)
    };
    ['*', '#', '9', '8', '7'].into_iter().find(|&key| !taken(key)).unwrap_or('6')
}

/// Returns the keys that pause and resume: none where nothing is said, and the agent's alone, for whoever pauses decides what is not kept.
fn pauses(section: &Section<'_>, notes: &mut Notes) -> [Option<PartyKey>; 2] {
    let of = legs(section, "may_pause", notes).unwrap_or([true, false]);
    let [pause, resume] = ["pause_key", "resume_key"]
        .map(|setting| digit(section, setting, "#", notes).map(|found| PartyKey { key: found.value, of }));
    if pause.is_none() && section.line_of("pause_key", notes).is_none() {
        for setting in ["resume_key", "may_pause"] {
            if let Some(line) = section.line_of(setting, notes) {
                let what = format!("`{setting}` of {} means nothing without a key that pauses", section.name);
                notes.error(line, what, "write pause_key = \"#\", or take it out");
            }
        }
    }
    [pause, resume.or(pause)]
}

/// Returns the key that has the parties asked: where nothing is said, none, and the agent's alone, for it is the agent's house that records.
fn start(section: &Section<'_>, notes: &mut Notes) -> Option<PartyKey> {
    let of = legs(section, "may_start", notes).unwrap_or([true, false]);
    let is_on_demand = section.peek("recording") == Some("on-demand");
    for setting in ["start_key", "may_start"] {
        if let Some(line) = section.line_of(setting, notes).filter(|_| !is_on_demand) {
            let what = format!("`{setting}` of {} means nothing: its recordings begin by themselves", section.name);
            notes.error(line, what, "write recording = \"on-demand\", or take it out");
        }
    }
    let start = digit(section, "start_key", "5", notes).map(|found| PartyKey { key: found.value, of });
    if let (None, None, Some(line)) =
        (start, section.line_of("start_key", notes), section.line_of("may_start", notes).filter(|_| is_on_demand))
    {
        let what = format!("`may_start` of {} means nothing without a key", section.name);
        notes.error(line, what, "write start_key = \"5\", or take it out");
    }
    start
}

/// The outer nothing is a mistake, the inner one says that no key is meant.
#[expect(clippy::option_option, reason = "a mistake and «no key» are two answers")]
fn asking(section: &Section<'_>, mode: Mode, notes: &mut Notes) -> Option<Option<Digit>> {
    let does = match mode {
        Mode::Announce => {
            super::policies::unmeant(section, "key", notes);
            return Some(None);
        }
        Mode::OptOut => "refuses",
        Mode::OptIn => "agrees",
    };
    if section.line_of("key", notes).is_none() {
        let what = format!("{} is {} and says no `key`", section.name, mode.as_str());
        notes.missing(section.line, what, format!("write the key that {does}, as key = \"1\""));
        return None;
    }
    digit(section, "key", "1", notes).map(|found| Some(found.value))
}

/// Returns the key that withdraws: where nothing is said, the refusing one, or one that is not the agreeing one, so that who has agreed by a
/// key may take that back by a key (GDPR 7(3)).
fn withdraw(section: &Section<'_>, mode: Mode, key: Option<Digit>, notes: &mut Notes) -> Option<PartyKey> {
    let is_off = section.peek("withdraw_key") == Some("none");
    let of = legs(section, "may_withdraw", notes);
    if is_off {
        if let (Some(_), Some(line)) = (of, section.line_of("may_withdraw", notes)) {
            let what = format!("`may_withdraw` of {} means nothing without a key", section.name);
            notes.error(line, what, "write withdraw_key = \"*\", or take it out");
        }
        return None;
    }
    let is_mandatory = section.peek("recording") == Some("mandatory");
    let usual = || match mode {
        Mode::OptOut => key,
        // Staying on the line is no choice there, and a menu of the other end must not end what has to be.
        Mode::Announce if is_mandatory => None,
        Mode::Announce | Mode::OptIn => USUAL.into_iter().filter_map(Digit::from_char).find(|usual| Some(*usual) != key),
    };
    let key = match section.line_of("withdraw_key", notes) {
        Some(_) => digit(section, "withdraw_key", "*", notes).map(|found| found.value),
        None => usual(),
    };
    Some(PartyKey { key: key?, of: of.unwrap_or([true; 2]) })
}

/// The keys that withdraw where nothing is said: the first that does not agree. No digit: who types a customer's number into the menu of the
/// other end would withdraw by it.
const USUAL: [char; 2] = ['*', '#'];

/// Returns who may press a key, where that is said.
pub(super) fn legs(section: &Section<'_>, setting: &str, notes: &mut Notes) -> Option<[bool; 2]> {
    let found = section.texts(setting, "[\"local\", \"remote\"]", notes)?;
    if found.value.is_empty() {
        let what = format!("`{setting}` of {} is empty: nobody is meant", section.name);
        notes.error(found.line, what, format!("for example: {setting} = [\"local\"], the party on the PBX's side"));
        return None;
    }
    let words = [("local", Leg::Pbx), ("remote", Leg::Trunk)];
    let mut may = [false; 2];
    for Found { value: text, line } in &found.value {
        let leg = section.one_of(setting, text, *line, &words, notes)?;
        if let Some(one) = may.get_mut(leg.index()) {
            *one = true;
        }
    }
    Some(may)
}

fn digit(section: &Section<'_>, setting: &str, example: &str, notes: &mut Notes) -> Option<Found<Digit>> {
    let Found { value, line } = section.text(setting, &format!("\"{example}\""), notes)?;
    let mut chars = value.chars();
    let digit = chars.next().filter(|_| chars.next().is_none()).and_then(Digit::from_char);
    if digit.is_none() {
        let what = format!("`{setting}` of {} is no key of a telephone: `{}`", section.name, printable(&value));
        notes.error(line, what, format!("it is one of 0 to 9, *, # and A to D, as {setting} = \"{example}\""));
    }
    digit.map(|value| Found { value, line })
}
