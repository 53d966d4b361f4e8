//! A policy as the operator wrote it: which calls, for what, on which ground, and what is owed to those who talk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::call::{AfterPause, Beep, Begins, Codecs, Hours, WhenSilent};
use crate::codec::Foreign;
use crate::digit::{Digit, PartyKey};
use crate::ids::{Direction, Leg, TrunkName};
use crate::time::Wall;

/// A policy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Calls over this trunk only.
    pub trunk: Option<TrunkName>,
    /// Calls of this direction only.
    pub direction: Option<Direction>,
    /// Calls to numbers that begin so only.
    pub called_prefix: Option<String>,
    /// Calls from numbers that begin so only.
    pub calling_prefix: Option<String>,
    /// Calls that begin at these hours only.
    pub hours: Option<Hours>,
    /// The terms of recording; nothing where the policy says `never`.
    pub terms: Option<PolicyTerms>,
}

/// The terms of recording.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyTerms {
    /// What the recording is for.
    pub purpose: String,
    /// On what ground of law.
    pub legal_basis: String,
    /// How consent is had.
    pub mode: Mode,
    /// Whether the party on each leg must agree ([`Leg::index`]).
    pub must_agree: [bool; 2],
    /// The key that agrees or refuses; nothing in the mode `announce`.
    pub key: Option<Digit>,
    /// The key that says no at any time, and who may press it.
    pub withdraw: Option<PartyKey>,
    /// The key that pauses, and who may press it.
    pub pause: Option<PartyKey>,
    /// The key that resumes, and who may press it.
    pub resume: Option<PartyKey>,
    /// What comes after the longest pause.
    pub after_pause: AfterPause,
    /// Whether a withdrawal destroys what was recorded until then.
    pub shreds: bool,
    /// How long after the announcement the key is waited for; zero in the mode `announce`.
    pub answer: Duration,
    /// The language that is spoken.
    pub language: String,
    /// The announcement in each language, and where the configuration names it.
    pub announcements: BTreeMap<String, (PathBuf, usize)>,
    /// The announcement's payloads for codecs that are not spoken here, by the operator's words for the coding.
    pub payloads: BTreeMap<String, Payloads>,
    /// What the operator calls the text that is announced.
    pub announcement_version: Option<String>,
    /// Which codecs may be offered.
    pub codecs: Codecs,
    /// What becomes of a call that may not be recorded.
    pub without_consent: WithoutConsent,
    /// The longest pause.
    pub longest_pause: Duration,
    /// What begins a recording.
    pub begins: Begins,
    /// Where no call may be without its recording: how long one goes on whose recording fails, before it is ended.
    pub mandatory: Option<Duration>,
    /// How many bytes its recordings may take together, where they may not take any.
    pub quota_bytes: Option<u64>,
    /// The tone that tells of a recording while it is made.
    pub beep: Option<Beep>,
    /// One call in so many is recorded: at least 1.
    pub one_in: u32,
    /// By when the policy is to be looked at again.
    pub review: Option<Review>,
    /// Whether the web hook is asked, and what becomes of a call of which it says nothing in time.
    pub hook: Option<WhenSilent>,
    /// What a consent that stands from before the call is worth, of each leg's party ([`Leg::index`]).
    pub registered: [Registered; 2],
    /// Which version of the text it must be to; any where nothing is said.
    pub consent_version: Option<String>,
}

impl PolicyTerms {
    /// Returns the announcement that is played: the one in [`PolicyTerms::language`].
    #[must_use]
    pub fn announcement(&self) -> Option<&std::path::Path> {
        self.announcements.get(&self.language).map(|(path, _)| path.as_path())
    }
}

/// A file with the payloads of the announcement in a codec that is not spoken here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payloads {
    /// For which.
    pub foreign: Foreign,
    /// Where it is.
    pub path: PathBuf,
    /// Where the configuration names it.
    pub line: usize,
}

/// How consent is had.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Staying on the line after the announcement is consent.
    Announce,
    /// A key refuses.
    OptOut,
    /// A key agrees; silence is a no.
    OptIn,
}

impl Mode {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::OptOut => "opt-out",
            Self::OptIn => "opt-in",
        }
    }
}

/// By when a policy is to be looked at again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Review {
    /// By then.
    pub by: Wall,
    /// Whether nothing is recorded from then on.
    pub stops: bool,
    /// Where the configuration says it.
    pub line: usize,
}

/// What a consent in the register is worth.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, Debug)]
pub enum Registered {
    /// Nothing.
    #[default]
    Asked,
    /// It agrees, and its party is told all the same.
    Told,
    /// It agrees, and its party is told nothing.
    Untold,
}

impl Registered {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Told => "told",
            Self::Untold => "untold",
        }
    }
}

/// What becomes of a call that may not be recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WithoutConsent {
    /// It goes on, unrecorded.
    GoOn,
    /// It is ended.
    HangUp,
}

impl WithoutConsent {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GoOn => "go-on",
            Self::HangUp => "hang-up",
        }
    }
}

impl Policy {
    /// Returns the canonical text of the policy: what it says, whatever the order and the comments of the file.
    ///
    /// One setting a line, in a fixed order, what was left out with the value it has then; text as JSON strings.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut text = String::from("mitschnitt policy 1\n");
        let mut line = |name: &str, value: &str| {
            writeln!(text, "{name} {}", serde_json::Value::from(value)).expect("a String takes everything");
        };
        line("name", &self.name);
        line("trunk", self.trunk.as_ref().map_or("*", TrunkName::as_str));
        line("direction", self.direction.map_or("*", Direction::as_str));
        line("called_prefix", self.called_prefix.as_deref().unwrap_or(""));
        line("calling_prefix", self.calling_prefix.as_deref().unwrap_or(""));
        if let Some(hours) = &self.hours {
            line("hours", &hours.to_string());
        }
        let Some(terms) = &self.terms else {
            line("mode", "never");
            return text;
        };
        line("mode", terms.mode.as_str());
        line("purpose", &terms.purpose);
        line("legal_basis", &terms.legal_basis);
        line("must_agree", legs_of(terms.must_agree));
        line("key", &terms.key.map(Digit::reveal).map(String::from).unwrap_or_default());
        line("answer_s", &terms.answer.as_secs().to_string());
        line("language", &terms.language);
        for (language, (path, _)) in &terms.announcements {
            line(&format!("announcement.{language}"), &path.to_string_lossy());
        }
        for (coding, Payloads { path, .. }) in &terms.payloads {
            line(&format!("announcement_payloads.{coding}"), &path.to_string_lossy());
        }
        line("codecs", terms.codecs.as_str());
        line("without_consent", terms.without_consent.as_str());
        line("longest_pause_s", &terms.longest_pause.as_secs().to_string());
        // Said where it is so, so that the version of a policy of before is the one it had.
        if let Some(grace) = terms.mandatory {
            line("recording", "mandatory");
            line("mandatory_grace_s", &grace.as_secs().to_string());
        }
        if let Some(bytes) = terms.quota_bytes {
            line("quota_bytes", &bytes.to_string());
        }
        for (setting, key) in [("withdraw_key", terms.withdraw), ("pause_key", terms.pause), ("resume_key", terms.resume)] {
            if let Some(key) = &key {
                line(setting, &key_of(key));
            }
        }
        if let Begins::OnDemand(key) = &terms.begins {
            line("recording", "on-demand");
            line("start_key", &key.as_ref().map(key_of).unwrap_or_default());
        }
        if terms.after_pause != AfterPause::Resume {
            line("after_pause", terms.after_pause.as_str());
        }
        if let Some(Beep { every, to }) = terms.beep {
            line("beep_every_s", &every.as_secs().to_string());
            line("beep_to", legs_of(to));
        }
        if terms.shreds {
            line("on_withdrawal", "shred");
        }
        let [pbx, trunk] = terms.registered;
        for (side, registered) in [("registered_local", pbx), ("registered_remote", trunk)] {
            if registered != Registered::Asked {
                line(side, registered.as_str());
            }
        }
        if let Some(version) = &terms.announcement_version {
            line("announcement_version", version);
        }
        if terms.one_in > 1 {
            line("record_one_in", &terms.one_in.to_string());
        }
        if let Some(Review { by, stops, .. }) = terms.review {
            line("review_by", &by.to_string());
            line("after_review", if stops { "stop" } else { "warn" });
        }
        if let Some(when_silent) = terms.hook {
            line("web_hook", when_silent.as_str());
        }
        if let Some(version) = &terms.consent_version {
            line("consent_version", version);
        }
        text
    }

    /// Returns the SHA-256 of the canonical text: the policy's version, as the evidence names it.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.canonical()).into()
    }

    /// Returns whether every call that `other` matches is matched by this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let begins = |mine: &Option<String>, theirs: &Option<String>| {
            mine.as_ref().is_none_or(|mine| theirs.as_ref().is_some_and(|theirs| theirs.starts_with(mine)))
        };
        (self.trunk.is_none() || self.trunk == other.trunk)
            && (self.hours.is_none() || self.hours == other.hours)
            && (self.direction.is_none() || self.direction == other.direction)
            && begins(&self.called_prefix, &other.called_prefix)
            && begins(&self.calling_prefix, &other.calling_prefix)
    }

    /// Returns which calls it is for, in words.
    #[must_use]
    pub fn matches(&self) -> String {
        let mut words = vec![
            self.direction
                .map_or("all calls", |direction| match direction {
                    Direction::Inbound => "inbound calls",
                    Direction::Outbound => "outbound calls",
                })
                .to_owned(),
        ];
        words.extend(self.trunk.as_ref().map(|trunk| format!("over {trunk}")));
        words.extend(self.calling_prefix.as_ref().map(|prefix| format!("from {prefix}…")));
        words.extend(self.called_prefix.as_ref().map(|prefix| format!("to {prefix}…")));
        words.extend(self.hours.as_ref().map(|hours| format!("at {hours}")));
        words.join(" ")
    }
}

/// A key and who may press it, as `9 local remote`.
fn key_of(PartyKey { key, of }: &PartyKey) -> String {
    let may = ["local", "remote"].into_iter().zip(of).filter(|(_, may)| **may).map(|(side, _)| format!(" {side}"));
    std::iter::once(key.reveal().to_string()).chain(may).collect()
}

/// Says which legs are meant, of which there is at least one.
const fn legs_of([pbx, trunk]: [bool; 2]) -> &'static str {
    match (pbx, trunk) {
        (true, true) => "both",
        (true, false) => Leg::Pbx.as_str(),
        (false, _) => Leg::Trunk.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(called: Option<&str>, direction: Option<Direction>) -> Policy {
        Policy {
            name: "p".into(),
            trunk: None,
            direction,
            called_prefix: called.map(Into::into),
            calling_prefix: None,
            hours: None,
            terms: None,
        }
    }

    #[test]
    fn a_wider_policy_covers_a_narrower_one_and_not_the_other_way_round() {
        let (all, berlin) = (policy(None, None), policy(Some("+4930"), None));
        let berlin_inbound = policy(Some("+49301"), Some(Direction::Inbound));

        assert!(all.covers(&berlin) && berlin.covers(&berlin_inbound) && all.covers(&all));
        assert!(!berlin.covers(&all) && !berlin_inbound.covers(&berlin));
        assert!(!policy(Some("+4930"), Some(Direction::Outbound)).covers(&berlin_inbound));
    }

    #[test]
    fn the_canonical_text_changes_with_what_the_policy_says() {
        let text = policy(Some("+49\"30"), None).canonical();

        assert_eq!(
            text,
            "mitschnitt policy 1\nname \"p\"\ntrunk \"*\"\ndirection \"*\"\ncalled_prefix \"+49\\\"30\"\ncalling_prefix \"\"\nmode \"never\"\n"
        );
        assert_ne!(policy(None, None).sha256(), policy(Some("1"), None).sha256());
    }
}
