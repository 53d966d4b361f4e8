//! Whether somebody may listen to what is recorded, at this time and soon.

use std::time::Duration;

use crate::control::config::{Mistake, Recipient, Settings, Weight};
use crate::time::Wall;

/// How long before nobody may listen it is told: long enough to make a key, and to carry its other half to whoever keeps it.
const AHEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// Returns a mistake for each policy that records for nobody now, and a warning for each that will within [`AHEAD`].
pub(super) fn unheard(settings: &Settings, now: Wall) -> Vec<Mistake> {
    let recording = settings.policies.iter().filter_map(|policy| Some((&policy.name, &policy.terms.as_ref()?.purpose)));
    recording.filter_map(|(policy, purpose)| lapse(policy, purpose, &settings.recipients, now)).collect()
}

fn lapse(policy: &str, purpose: &String, recipients: &[Recipient], now: Wall) -> Option<Mistake> {
    let named = || recipients.iter().filter(|recipient| recipient.purposes.contains(purpose));
    let is_heard = |at| named().any(|recipient| recipient.period.covers(at));
    let remedy = || {
        format!(
            "name a [[recipient]] for `{purpose}` whose time it is then; `mitschnitt keys rotate` makes the key and says what to write"
        )
    };
    if !is_heard(now) {
        // Who was the last to be in force, or will be the first.
        let last = named().filter(|one| one.period.until.is_some_and(|until| until <= now)).max_by_key(|one| one.period.until);
        let first = named().min_by_key(|one| one.period.from);
        let what = match last {
            Some(Recipient { name, period, .. }) => {
                let since = period.until.map(|until| format!("; the time of `{name}` ended {}", day(until))).unwrap_or_default();
                format!("policy `{policy}` records for `{purpose}`, and nobody may listen for that now{since}")
            }
            None => format!("policy `{policy}` records for `{purpose}`, and nobody may listen for that yet"),
        };
        let line = last.or(first).map(|one| one.public_key_line);
        return Some(Mistake { line, weight: Weight::Error, what, remedy: remedy() });
    }
    // Between two of these points nothing changes.
    let ends =
        named().filter_map(|one| Some((one.period.until?, one))).filter(|(until, _)| *until > now && *until <= now + AHEAD);
    let (until, one) = ends.filter(|(until, _)| !is_heard(*until)).min_by_key(|(until, _)| *until)?;
    let what = format!(
        "policy `{policy}` records for `{purpose}`, and from {} nobody may listen for that: the time of `{}` ends",
        day(until),
        one.name
    );
    Some(Mistake { line: Some(one.public_key_line), weight: Weight::Warning, what, remedy: remedy() })
}

/// Returns a warning for each policy that was to be looked at again by now, or is to be within [`AHEAD`]; a mistake where it records nothing
/// since then.
pub(super) fn unreviewed(settings: &Settings, now: Wall) -> Vec<Mistake> {
    let reviews = settings.policies.iter().filter_map(|policy| Some((&policy.name, policy.terms.as_ref()?.review?)));
    let told = reviews.filter(|(_, review)| review.by <= now + AHEAD).map(|(policy, review)| {
        let (by, is_over) = (day(review.by), review.by <= now);
        let (weight, what) = match (is_over, review.stops) {
            (true, true) => (Weight::Error, format!("policy `{policy}` was to be reviewed by {by}, and records nothing since")),
            (true, false) => (Weight::Warning, format!("policy `{policy}` was to be reviewed by {by}")),
            (false, true) => {
                (Weight::Warning, format!("policy `{policy}` is to be reviewed by {by}, and records nothing from then on"))
            }
            (false, false) => (Weight::Warning, format!("policy `{policy}` is to be reviewed by {by}")),
        };
        let remedy = "see whether purpose, ground and announcement hold still, and write a later `review_by`";
        Mistake { line: Some(review.line), weight, what, remedy: remedy.into() }
    });
    told.collect()
}

/// Returns a point in time as the configuration would have it: a date where it is a midnight in UTC.
pub(super) fn day(at: Wall) -> String {
    let text = at.to_string();
    text.strip_suffix("T00:00:00.000Z").map_or_else(|| text.replace(".000Z", "Z"), str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::control::config::parse;
    use crate::control::config::tests::BASE;

    const NOON: &str = "2026-11-30T12:00:00.000Z";

    fn with(lines: &str) -> String {
        BASE.replace("public_key = \"desk.pub.pem\"", &format!("public_key = \"desk.pub.pem\"\n{lines}"))
    }

    #[test]
    fn a_policy_that_is_to_be_reviewed_is_told_before_and_more_loudly_after() {
        let told = |lines: &str| {
            let report = parse(&BASE.replace("key = \"1\"", &format!("key = \"1\"\n{lines}")));
            assert_eq!(report.mistakes, [], "{lines}");
            let mistakes = unreviewed(&report.settings.unwrap(), NOON.parse().unwrap());
            mistakes.into_iter().map(|told| (told.weight, told.what)).collect::<Vec<_>>()
        };

        assert_eq!(told("review_by = 2027-01-31"), []);
        let soon = "policy `all` is to be reviewed by 2026-12-24";
        assert_eq!(told("review_by = 2026-12-24"), [(Weight::Warning, soon.into())]);
        let stops = told("review_by = 2026-12-24\nafter_review = \"stop\"");
        assert_eq!(stops, [(Weight::Warning, format!("{soon}, and records nothing from then on"))]);
        let over = "policy `all` was to be reviewed by 2026-11-30";
        assert_eq!(told("review_by = 2026-11-30"), [(Weight::Warning, over.into())]);
        let stopped = told("review_by = 2026-11-30\nafter_review = \"stop\"");
        assert_eq!(stopped, [(Weight::Error, format!("{over}, and records nothing since"))]);
    }

    /// What is told of these lines at noon.
    fn told(lines: &str) -> Vec<(Weight, String)> {
        let report = parse(&with(lines));
        assert_eq!(report.mistakes, [], "{lines}");
        let mistakes = report.settings.unwrap().unheard(NOON.parse().unwrap());
        mistakes.into_iter().map(|mistake| (mistake.weight, mistake.what)).collect()
    }

    fn other(lines: &str) -> String {
        format!("[[recipient]]\nname = \"law\"\npurposes = [\"quality\"]\npublic_key = \"law.pub.pem\"\n{lines}")
    }

    #[test]
    fn a_policy_that_nobody_may_listen_to_is_told_before_it_comes_to_that() {
        let soon = "policy `all` records for `quality`, and from 2026-12-30 nobody may listen for that: the time of `desk` ends";

        assert_eq!(told(""), []);
        assert_eq!(told("until = 2026-12-31"), [], "in more than 30 days");
        assert_eq!(told("until = 2026-12-30"), [(Weight::Warning, soon.into())]);
        assert_eq!(told("until = 2026-11-30T12:00:01Z").len(), 1);
        let over = "policy `all` records for `quality`, and nobody may listen for that now; the time of `desk` ended 2026-11-30T12:00:00Z";
        assert_eq!(told("until = 2026-11-30T13:00:00+01:00"), [(Weight::Error, over.into())]);
        let early = "policy `all` records for `quality`, and nobody may listen for that yet";
        assert_eq!(told("from = \"2026-12-01\""), [(Weight::Error, early.into())]);
    }

    #[test]
    fn one_whose_time_begins_when_anothers_ends_leaves_no_gap() {
        assert_eq!(told(&format!("until = 2026-12-10\n{}", other("from = 2026-12-10"))), []);
        assert_eq!(told(&format!("until = 2026-12-10\n{}", other("from = 2026-12-11")))[0].0, Weight::Warning);
        assert_eq!(told(&format!("until = 2026-11-01\n{}", other("from = 2026-11-01"))), []);
    }

    #[test]
    fn what_is_no_date_is_told() {
        let said = |lines: &str| parse(&with(lines)).mistakes.into_iter().map(|mistake| mistake.what).collect::<Vec<_>>();

        for wrong in ["from = 3", "from = 12:00:00", "from = \"soon\"", "from = \"2026-02-30\"", "from = \"2026-11-30 noon\""] {
            assert_eq!(said(wrong), ["`from` of recipient `desk` is no date"], "{wrong}");
        }
        let zone = "`until` of recipient `desk` says a time, and not in which time zone";
        assert_eq!(said("until = 2026-12-01T12:00:00"), [zone]);
        assert_eq!(said("from = 2026-12-01\nuntil = 2026-12-01"), ["`until` of recipient `desk` is not after its `from`"]);
        assert_eq!(said("from = 2026-12-01T00:00:00.5-01:30"), [""; 0]);
    }

    #[test]
    fn those_who_come_one_after_the_other_are_not_counted_together() {
        let one = |nth: usize| {
            let name = format!("desk{nth}");
            other(&format!("from = {}-01-01\nuntil = {}-01-01\n", 2030 + nth, 2031 + nth)).replace("law", &name)
        };
        let many: String = (0..40).map(one).collect();

        assert_eq!(parse(&with(&many)).mistakes, []);
    }
}
