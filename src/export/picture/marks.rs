//! What is marked in a picture: who consented when, what is missing and why, and where the recording has no end.

use std::time::Duration;

use crate::export::Span;
use crate::ids::Leg;
use crate::time::Wall;
use crate::vault::{Gap, GapReason, Record};

/// The most gaps that are kept apart. What comes then lengthens the last.
const GAPS: usize = 10_000;

/// The most consents that are told; a call has two parties.
const CONSENTS: usize = 8;

/// Who consented, and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Consent {
    /// Whose party; none where the evidence does not say it in a way that is known.
    pub(super) leg: Option<Leg>,
    /// How, for people.
    pub(super) how: &'static str,
    /// When.
    pub(super) at: Wall,
}

/// What the records say beside sound.
#[derive(Debug)]
pub(super) struct Marks {
    /// When the recording began.
    pub(super) began: Wall,
    pub(super) consents: Vec<Consent>,
    /// In the order in which the records tell them; those of one leg and reason that follow each other are one.
    pub(super) gaps: Vec<Gap>,
    /// Whether the recording was ended in order.
    pub(super) has_end: bool,
    /// What of it is drawn; nothing where it is all.
    pub(super) span: Option<Span>,
}

impl Marks {
    pub(super) const fn new(began: Wall, span: Option<Span>) -> Self {
        Self { began, consents: Vec::new(), gaps: Vec::new(), has_end: false, span }
    }

    /// Returns where what is drawn begins.
    pub(super) fn from(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |span| span.from)
    }

    /// Takes note of a record.
    pub(super) fn note<P: AsRef<[u8]>>(&mut self, record: &Record<P>) {
        match record {
            Record::Evidence(json) => self.consents = consents(json.as_ref()),
            Record::Gap(gap) if self.span.is_none_or(|span| span.touches(gap.from, gap.to)) => self.gap(*gap),
            Record::End(_) => self.has_end = true,
            Record::Gap(_) | Record::Format(_) | Record::Rtp { .. } | Record::Quality(_) | Record::Other { .. } => {}
        }
    }

    fn gap(&mut self, gap: Gap) {
        /// Gaps no farther apart are one to the eye, and were one to the ear.
        const NEXT: Duration = Duration::from_millis(1);
        let is_full = self.gaps.len() >= GAPS;
        match self.gaps.last_mut() {
            Some(last)
                if is_full || (last.leg, last.reason) == (gap.leg, gap.reason) && gap.from <= last.to.saturating_add(NEXT) =>
            {
                last.to = last.to.max(gap.to);
                last.packets += gap.packets;
            }
            _ => self.gaps.push(gap),
        }
    }
}

/// Returns the reason in words.
pub(super) fn reason(reason: GapReason) -> String {
    match reason {
        GapReason::LaneFull => "the way to the disk was full".into(),
        GapReason::DiskFull => "the disk was full".into(),
        GapReason::DiskFailed => "the disk failed".into(),
        GapReason::TooLong => "longer than a recorder takes".into(),
        GapReason::Paused => "paused".into(),
        GapReason::Restarted => "the recorder was not running".into(),
        GapReason::Redacted => "redacted".into(),
        GapReason::Other(code) => format!("a reason that this program does not know ({code})"),
    }
}

/// What the evidence says of consents. What it says in another way than is known is left out.
fn consents(json: &[u8]) -> Vec<Consent> {
    let evidence: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let given = evidence.get("consents").and_then(serde_json::Value::as_array);
    let consent = |given: &serde_json::Value| {
        let word = |name| given.get(name).and_then(serde_json::Value::as_str);
        let leg = word("of").and_then(|of| Leg::BOTH.into_iter().find(|leg| leg.as_str() == of));
        let how = match word("how")? {
            "stayed" => ", who stayed after the announcement",
            "did-not-refuse" => ", who did not refuse in time",
            "registered" | "web-hook" => ", who has agreed before the call",
            how if how.starts_with("key-") => ", by a key",
            _ => "",
        };
        Some(Consent { leg, how, at: word("at")?.parse().ok()? })
    };
    given.into_iter().flatten().filter_map(consent).take(CONSENTS).collect()
}
