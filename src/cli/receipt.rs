//! What came of an erasure, call by call: said on the terminal, and written where somebody wants it to be kept.

use serde_json::{Value, json};

use crate::catalogue::{Access, Cleared, Purged, State};
use crate::cli::erase::{These, Wanted, sentence};
use crate::cli::exit::{Exit, Stop};
use crate::cli::list::{counted, seconds};
use crate::cli::show::erased;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::Trouble;
use crate::ids::{CallId, RecordingId};
use crate::keyfolder::Reach;

/// For programs.
const fn word(reach: Reach) -> &'static str {
    match reach {
        Reach::Open => "open",
        Reach::Unreachable => "unreachable",
        Reach::Erased => "erased",
    }
}

/// Says what is so of the copies of a key file that lay in an envelope; of others the end of the receipt does.
const fn in_words(reach: Reach) -> Option<&'static str> {
    match reach {
        Reach::Open => None,
        Reach::Unreachable => Some(
            "copies of its keys (backups, snapshots) open no more, whoever has a recipient's key: the local share that each needs is\n\
             forgotten, with the key of its epoch. Unreachable, not erased: what a flash disk or a copy-on-write file system has\n\
             put aside of `.epoch`, or a copy of that file, would open them.",
        ),
        Reach::Erased => Some(
            "copies of its keys (backups, snapshots) open no more, whoever has a recipient's key: the local share that each needs is\n\
             forgotten, and the TPM has overwritten the key of its epoch, which lay nowhere else.",
        ),
    }
}

/// What was answered about one call.
pub(super) struct Answered {
    pub(super) call: CallId,
    pub(super) recording: Option<RecordingId>,
    pub(super) answer: Answer,
    /// What is so of copies of its key file.
    pub(super) reach: Reach,
}

/// What was, or is to be, done.
pub(super) enum Answer {
    /// It may be erased.
    Will,
    /// It was.
    Done,
    /// It was erased before.
    Before,
    /// It may not be.
    Refused(Trouble),
    /// It could not be.
    Failed(Trouble),
}

/// All of it.
pub(super) struct Receipt<'r> {
    pub(super) wanted: &'r Wanted,
    pub(super) answered: Vec<Answered>,
    /// Who was given a copy of what is erased.
    pub(super) copies: Vec<Access>,
    /// In how many calls who talked was cleared, and of how many lines of the register whose they are.
    pub(super) cleared: Cleared,
    /// The lines of the register that are of the person, and stand.
    pub(super) stand: Vec<u64>,
    /// What the ledger's files have of that; nothing where nothing was done.
    pub(super) purged: Option<Purged>,
    /// The events of the chain that say so.
    pub(super) events: Vec<u64>,
}

impl Receipt<'_> {
    /// Returns the one recording that was meant.
    pub(super) const fn only(&self) -> Option<RecordingId> {
        match self.wanted.which {
            These::One(id) => Some(id),
            These::Party { .. } | These::Before(_) => None,
        }
    }

    /// Says it; of one recording [`Receipt::end`] does.
    pub(super) fn say(&self, term: &mut Term<'_>) -> Result<(), Stop> {
        if self.wanted.json && (self.wanted.is_dry || self.only().is_none()) {
            for one in &self.answered {
                let (state, why) = self.word(one);
                let recording = one.recording.map(|id| id.to_string());
                let is_now = one.recording.is_some() && matches!(one.answer, Answer::Done);
                let (call, copies) = (one.call.to_string(), is_now.then_some(word(one.reach)));
                term.out.line(json!({
                    "call": call, "recording": recording, "result": state, "why": why, "copies_of_keys": copies,
                }))?;
            }
            let is_clean = self.purged.map(|purged| purged == Purged::Clean);
            return Ok(term.out.line(json!({
                "cleared": self.cleared.calls,
                "register_cleared": self.cleared.lines,
                "register_stands": self.stand,
                "files_clean": is_clean,
                "events": self.events,
                "copies": self.copies_json(),
            }))?);
        }
        if self.wanted.is_dry || self.only().is_none() {
            term.out.text(&self.text())?;
        }
        Ok(())
    }

    /// Comes to the end: well only where all of it is erased.
    pub(super) fn end(&self, accesses: &[Access], term: &mut Term<'_>) -> Result<(), Stop> {
        if let (Some(id), [one]) = (self.only(), self.answered.as_slice()) {
            match &one.answer {
                Answer::Failed(trouble) => return Err(Stop::Trouble(Exit::Cannot, trouble.clone())),
                Answer::Refused(trouble) => return Err(Stop::Trouble(Exit::Refused, trouble.clone())),
                Answer::Will | Answer::Done | Answer::Before => {}
            }
            let was_before = matches!(one.answer, Answer::Before);
            if self.wanted.json {
                let text = erased(accesses);
                let (id, state) = (id.to_string(), State::Erased.as_str());
                let copies = self.copies_json();
                // What was so of an earlier one is not known any more.
                let reach = (!was_before).then_some(word(one.reach));
                term.out.line(json!({
                    "recording": id, "state": state, "before": was_before, "text": text, "copies": copies,
                    "copies_of_keys": reach,
                }))?;
            } else {
                term.out.line(sentence(id, was_before, accesses))?;
                if let Some(told) = in_words(one.reach) {
                    term.out.line(told)?;
                }
                term.out.text(&self.handed_out())?;
            }
        }
        match self.purged {
            Some(Purged::Journal) => {
                let what = "who talked is cleared, but stands in the ledger's journal still: another process reads it";
                return Err(Stop::cannot(what, "erase it again: that empties the journal"));
            }
            Some(Purged::Left | Purged::Clean) if !self.stand.is_empty() => {
                let what = format!("who talked is cleared, and the number stands in the register still: {}", self.standing());
                return Err(Stop::cannot(
                    what,
                    "it is what its party has said; `mitschnitt staff revoke`, or `staff exempt --lift`, takes it back: then erase it again",
                ));
            }
            Some(Purged::Left) => {
                let what = "who talked is cleared, and a text of it stands in the ledger still: in a complaint, a reason or a correction";
                return Err(Stop::cannot(what, "`mitschnitt complaint list` and `recordings show` tell them"));
            }
            Some(Purged::Clean) | None => {}
        }
        let has = |is: fn(&Answer) -> bool| self.answered.iter().any(|one| is(&one.answer));
        if has(|answer| matches!(answer, Answer::Failed(_))) {
            return Err(Stop::Said(Exit::Cannot));
        }
        if has(|answer| matches!(answer, Answer::Refused(_))) { Err(Stop::Said(Exit::Refused)) } else { Ok(()) }
    }

    fn word<'a>(&self, one: &'a Answered) -> (&'static str, Option<&'a str>) {
        match &one.answer {
            Answer::Will if one.recording.is_some() => ("would-be-erased", None),
            Answer::Will => ("would-be-cleared", None),
            Answer::Done if one.recording.is_some() => ("erased", None),
            Answer::Done => ("cleared", None),
            Answer::Before => ("erased-before", None),
            Answer::Refused(trouble) => ("refused", Some(trouble.what())),
            Answer::Failed(trouble) => ("failed", Some(trouble.what())),
        }
    }

    /// Says who was given copies, which no erasure reaches; nothing where nobody was.
    fn handed_out(&self) -> String {
        if self.copies.is_empty() {
            return String::new();
        }
        let mut text =
            String::from("\nCopies went out before, and no erasure reaches them: whoever has one is to be told (GDPR 19).\n");
        for Access { at, who, deed, recording, purpose, .. } in &self.copies {
            let (at, purpose) = (seconds(*at), purpose.as_deref().unwrap_or("none"));
            text += &format!("  recording {recording}  {} on {at} UTC by {who}, for {purpose}\n", deed.as_str());
        }
        text
    }

    fn copies_json(&self) -> Vec<Value> {
        let copy = |access: &Access| {
            let (at, recording) = (access.at.to_string(), access.recording.to_string());
            json!({ "recording": recording, "at": at, "who": access.who, "deed": access.deed.as_str(), "purpose": access.purpose })
        };
        self.copies.iter().map(copy).collect()
    }

    /// The lines of the register that stand: `line 3`, `lines 3 and 5`.
    fn standing(&self) -> String {
        let numbers: Vec<String> = self.stand.iter().map(u64::to_string).collect();
        format!("line{} {}", if numbers.len() == 1 { "" } else { "s" }, numbers.join(" and "))
    }

    /// Returns it as a text that somebody keeps. It names no party.
    pub(super) fn text(&self) -> String {
        let (at, who, reason) = (seconds(who::now()), who::who(), &self.wanted.reason);
        let meant = match &self.wanted.which {
            These::One(id) => format!("recording {id}"),
            These::Party { .. } => "all calls of a party, by its number".into(),
            These::Before(time) => format!("all calls that began before {} UTC", seconds(*time)),
        };
        let done = if self.wanted.is_dry { "Nothing is erased; this would be" } else { "Erasure" };
        let mut text = format!("{done}: {meant}\n  on {at} UTC by {who}: {reason}\n\n");
        for one in &self.answered {
            let name = one.recording.map_or_else(|| format!("call {}", one.call), |id| format!("recording {id}"));
            let what = match &one.answer {
                Answer::Will if one.recording.is_some() => "would be erased: its keys, its file, and who talked".into(),
                Answer::Will => "not recorded; who talked would be cleared".into(),
                Answer::Done if one.recording.is_some() => "erased: its keys are destroyed, its file is removed".into(),
                Answer::Done => "not recorded; who talked is cleared".into(),
                Answer::Before => "erased before".into(),
                Answer::Refused(trouble) => format!("NOT erased: {}; {}", trouble.what(), trouble.remedy()),
                Answer::Failed(trouble) => format!("NOT erased: {}; {}", trouble.what(), trouble.remedy()),
            };
            text += &format!("  {name}  {what}\n");
        }
        if self.answered.is_empty() {
            text += "  no calls\n";
        }
        text += &self.handed_out();
        if self.wanted.is_dry {
            return text;
        }
        text += &format!("\nWho talked is cleared in {}, with the salts", counted(self.cleared.calls, "call"));
        text += match self.purged {
            Some(Purged::Clean) => "; the ledger's file and its journal were looked through, and have nothing of it.\n",
            Some(Purged::Journal) => "; but it stands in the ledger's journal still: do it again.\n",
            Some(Purged::Left) => {
                "; but a text of it stands in the ledger still, in a complaint, a reason, a correction or the register of staff.\n"
            }
            None => ".\n",
        };
        if self.cleared.lines > 0 {
            text += &format!("Whose they are is cleared in {} of the register of staff.\n", counted(self.cleared.lines, "line"));
        }
        if !self.stand.is_empty() {
            text +=
                &format!("The number stands in the register of staff still, for its party has said so: {}.\n", self.standing());
        }
        if let (Some(first), Some(last)) = (self.events.first(), self.events.last()) {
            text += &format!("The ledger's chain has it in events {first} to {last}, which the node's next head signs.\n");
        }
        text += "The rows stay, without who talked: time, trunk, policy, reason.\n";
        let erased = self.answered.iter().filter(|one| one.recording.is_some() && matches!(one.answer, Answer::Done));
        let reached: Vec<_> = erased.map(|one| one.reach).collect();
        for reach in [Reach::Unreachable, Reach::Erased] {
            let count = reached.iter().filter(|own| **own == reach).count();
            let told = in_words(reach).filter(|_| count > 0);
            text += &told.map(|told| format!("Of {}: {told}\n", counted(count, "recording"))).unwrap_or_default();
        }
        if reached.is_empty() || reached.contains(&Reach::Open) {
            text += "Not reached from here: copies of the `keys` folder and of the ledger in backups and snapshots, and what a flash\n\
                     disk or a copy-on-write file system has put aside. Who has such a copy and a recipient's key opens it still.\n";
        } else {
            text += "Not reached from here: copies of the ledger in backups and snapshots.\n";
        }
        text
    }
}
