//! How long recordings are kept, by purpose; and what a span and a size are written as.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::catalogue::{Limits, Retention, Span};
use crate::control::config::parse::{each, word};
use crate::control::config::section::{Found, Notes, Section, printable};
use crate::control::config::similar::similar;
use crate::control::config::{Mistake, Policy, Settings, Weight};

/// Reads every `[[retention]]`; nothing where one of them cannot be read: whoever erases must know what is locked.
pub(super) fn retention(document: &Section<'_>, notes: &mut Notes) -> Option<Retention> {
    let had = notes.errors();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut retention = Retention::default();
    for section in each(document, "retention", notes) {
        let purpose = section.required("purpose", "\"quality\"", notes);
        let shortest = span(&section, "shortest", "\"0d\"", notes);
        let longest = span(&section, "longest", "\"90d\"", notes);
        if let (Some(shortest), Some(longest)) = (&shortest, &longest)
            && longest.value < shortest.value
        {
            let [least, most] = [shortest.value, longest.value].map(Span);
            let what = format!("`longest` of {} is {most}, and its `shortest` {least}", section.name);
            notes.error(longest.line, what, "what is locked is not erased: let `longest` be as long as `shortest`, or longer");
        }
        if let Some(never) = longest.as_ref().filter(|found| found.value.is_zero()) {
            let what = format!("`longest` of {} is nothing: each recording would be erased as soon as it ends", section.name);
            notes.error(
                never.line,
                what,
                "a policy with mode = \"never\" records nothing; or leave it out, and they are kept for ever",
            );
        }
        let Some(purpose) = purpose else { continue };
        if word(&section.name, "purpose", &purpose, notes).is_none() {
            continue;
        }
        if let Some(line) = seen.insert(purpose.value.clone(), purpose.line) {
            let what = format!("there is another [[retention]] for `{}`, on line {line}", purpose.value);
            notes.error(purpose.line, what, "take one of them out: a purpose has one");
        }
        let [shortest, longest] = [shortest, longest].map(|found| found.map(|found| found.value));
        retention.set(&purpose.value, Limits { shortest: shortest.unwrap_or_default(), longest });
    }
    let is_right = notes.errors() == had && !notes.is_partial();
    is_right.then_some(retention)
}

/// Notes what is said of a purpose that nobody records for.
pub(super) fn check_together(document: &Section<'_>, policies: &[Found<Policy>], notes: &mut Notes) {
    if notes.errors() > 0 || notes.is_partial() {
        return;
    }
    let purposes: Vec<&str> = policies.iter().filter_map(|policy| Some(policy.value.terms.as_ref()?.purpose.as_str())).collect();
    for section in each(document, "retention", notes) {
        let is_locked = span(&section, "shortest", "\"0d\"", notes).filter(|shortest| !shortest.value.is_zero());
        if let (Some(shortest), Some(purpose)) = (is_locked, section.peek("purpose")) {
            let shreds = |policy: &&Found<Policy>| {
                policy.value.terms.as_ref().is_some_and(|terms| terms.shreds && terms.purpose == purpose)
            };
            for Found { value: policy, line } in policies.iter().filter(shreds) {
                let what = format!(
                    "policy `{}` shreds what is withdrawn, and line {} locks its recordings for {}",
                    policy.name,
                    shortest.line,
                    Span(shortest.value)
                );
                notes.error(*line, what, "write on_withdrawal = \"keep\", or take `shortest` out");
            }
        }
        let Some(found) = section.text("purpose", "\"quality\"", notes).filter(|found| !purposes.contains(&&*found.value)) else {
            continue;
        };
        let what = format!("there is a [[retention]] for `{}`, and no policy records for that", printable(&found.value));
        let remedy = match similar(&found.value, purposes.iter().copied()) {
            Some(meant) => {
                format!("did you mean \"{}\"? what was recorded for `{}` before is kept so", printable(meant), found.value)
            }
            None => "what was recorded for it before is kept so; where there is nothing, take it out".into(),
        };
        notes.warning(found.line, what, remedy);
    }
}

/// Returns a warning for each purpose that is recorded for and of which nothing is said.
pub(super) fn unlimited(settings: &Settings) -> Vec<Mistake> {
    let mut told: Vec<&str> = Vec::new();
    let mut mistakes = Vec::new();
    for terms in settings.policies.iter().filter_map(|policy| policy.terms.as_ref()) {
        let purpose = terms.purpose.as_str();
        if settings.retention.names(purpose) || told.contains(&purpose) {
            continue;
        }
        told.push(purpose);
        mistakes.push(Mistake {
            line: None,
            weight: Weight::Warning,
            what: format!("nothing says how long recordings for `{purpose}` are kept: they are kept for ever"),
            remedy: format!(
                "write [[retention]], and below it: purpose = \"{purpose}\" and longest = \"90d\"; without `longest` it is meant"
            ),
        });
    }
    mistakes
}

/// Reads a span: a whole number and its unit.
fn span(section: &Section<'_>, key: &str, example: &str, notes: &mut Notes) -> Option<Found<Duration>> {
    let found = section.text(key, example, notes)?;
    let read = measure(&found.value, &Span::UNITS).filter(|&seconds| seconds <= LONGEST_S);
    if read.is_none() {
        let what = format!("`{key}` of {} is no length of time: `{}`", section.name, printable(&found.value));
        let remedy =
            "a whole number with s, min, h, d or w behind it, of at most 36500d: \"90d\"; five years have 1826 days, or 1827";
        notes.error(found.line, what, remedy);
    }
    read.map(|seconds| Found { value: Duration::from_secs(seconds), line: found.line })
}

/// A hundred years of 365 days.
const LONGEST_S: u64 = 36_500 * 86_400;

/// Reads a size in bytes: a whole number and its unit.
pub(super) fn size(section: &Section<'_>, key: &str, example: &str, notes: &mut Notes) -> Option<u64> {
    let found = section.text(key, example, notes)?;
    let read = measure(&found.value, &SIZES).filter(|&bytes| bytes > 0 && bytes <= LARGEST_BYTES);
    if read.is_none() {
        let what = format!("`{key}` of {} is no size: `{}`", section.name, printable(&found.value));
        let remedy = format!("a whole number with KiB, MiB, GiB or TiB behind it, or kB, MB, GB or TB: {example}");
        notes.error(found.line, what, remedy);
    }
    read
}

/// More than any disk has: 2^60 bytes.
const LARGEST_BYTES: u64 = 1 << 60;

const SIZES: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Returns what a number and its unit come to; a space may stand between them.
fn measure(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let &(_, factor) = units.iter().find(|(known, _)| *known == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measure_is_a_number_and_a_unit() {
        assert_eq!(measure("90d", &Span::UNITS), Some(90 * 86_400));
        assert_eq!(measure("90 d", &Span::UNITS), Some(90 * 86_400));
        assert_eq!(measure("0s", &Span::UNITS), Some(0));
        assert_eq!(measure("200 GiB", &SIZES), Some(200 << 30));
        for text in ["90", "d", "", "-1d", "1.5h", "90 days", "99999999999999999999d", "18446744073709551615w", "９d"] {
            assert_eq!(measure(text, &Span::UNITS), None, "{text}");
        }
    }
}
