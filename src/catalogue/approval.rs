//! What takes two: asked for by one, approved by another, done once, and over after a time.

use std::collections::BTreeSet;

use crate::access::Person;
use crate::catalogue::{Says, Wanted, Warrant};
use crate::limits::APPROVAL_LIFE;
use crate::time::Wall;

/// Something that was asked for, and how that stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approval<'w> {
    /// The line by which it was asked for.
    pub asked: &'w Warrant,
    /// What.
    pub wanted: Wanted,
    /// How it stands.
    pub standing: Decided<'w>,
}

/// How something stands that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decided<'w> {
    /// Nobody has said anything.
    Waiting,
    /// By this line another has approved it, and it may be done.
    Approved(&'w Warrant),
    /// By this line another has refused it, or whoever asked has taken it back.
    Refused(&'w Warrant),
    /// By this line it was done.
    Used(&'w Warrant),
    /// Its time was over before it was approved, or before it was done.
    Over,
}

/// Returns everything that was asked for, the oldest first. Of a request that the asker himself approved nobody has said anything.
#[must_use]
pub fn approvals(warrants: &[Warrant], now: Wall) -> Vec<Approval<'_>> {
    let asked = warrants.iter().filter_map(|warrant| match warrant.says {
        Says::Asked(wanted) => Some((warrant, wanted)),
        Says::Given { .. }
        | Says::Revoked(_)
        | Says::Approved(_)
        | Says::Refused(_)
        | Says::Used(_)
        | Says::Denied(_)
        | Says::Broke(_) => None,
    });
    asked.map(|(asked, wanted)| Approval { asked, wanted, standing: standing(asked, warrants, now) }).collect()
}

fn standing<'w>(asked: &Warrant, warrants: &'w [Warrant], now: Wall) -> Decided<'w> {
    let said = |says: Says| warrants.iter().find(|warrant| warrant.says == says);
    if let Some(used) = said(Says::Used(asked.number)) {
        return Decided::Used(used);
    }
    if let Some(refused) = said(Says::Refused(asked.number)) {
        return Decided::Refused(refused);
    }
    let approved = said(Says::Approved(asked.number)).filter(|approved| approved.persons.is_disjoint(&asked.persons));
    match approved {
        Some(approved) if !is_over(approved.at, now) && approved.at >= asked.at => Decided::Approved(approved),
        None if !is_over(asked.at, now) => Decided::Waiting,
        Some(_) | None => Decided::Over,
    }
}

fn is_over(since: Wall, now: Wall) -> bool {
    let life = i64::try_from(APPROVAL_LIFE.as_micros()).unwrap_or(i64::MAX);
    now.unix_micros().saturating_sub(since.unix_micros()) >= life
}

/// Returns how that stands which one of these persons has asked for with the same words, and which is neither over nor decided against nor used.
#[must_use]
pub fn open<'w>(
    warrants: &'w [Warrant],
    wanted: Wanted,
    reason: Option<&str>,
    persons: &BTreeSet<Person>,
    now: Wall,
) -> Option<Approval<'w>> {
    approvals(warrants, now).into_iter().rev().find(|approval| {
        let is_open = matches!(approval.standing, Decided::Waiting | Decided::Approved(_));
        let asked = approval.asked;
        is_open && approval.wanted == wanted && asked.reason.as_deref() == reason && !asked.persons.is_disjoint(persons)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::access::Action;
    use crate::ids::RecordingId;

    const DAY_US: i64 = 24 * 3600 * 1_000_000;

    fn line(number: u64, uid: u32, at: i64, says: Says) -> Warrant {
        let persons = BTreeSet::from([Person::Unix(uid)]);
        Warrant { number, at: Wall::from_unix_micros(at), who: format!("uid {uid}"), persons, says, reason: Some("case".into()) }
    }

    fn wanted() -> Wanted {
        Wanted { action: Action::Release, recording: Some(RecordingId::from_bytes([1; 16])) }
    }

    fn word(lines: &[Warrant], now: i64) -> &'static str {
        match approvals(lines, Wall::from_unix_micros(now)).first().unwrap().standing {
            Decided::Waiting => "waiting",
            Decided::Approved(_) => "approved",
            Decided::Refused(_) => "refused",
            Decided::Used(_) => "used",
            Decided::Over => "over",
        }
    }

    #[test]
    fn what_one_asks_for_another_approves_and_it_is_done_once_within_its_time() {
        let asked = line(1, 1, 0, Says::Asked(wanted()));
        let approved = line(2, 2, 10, Says::Approved(1));

        assert_eq!(word(std::slice::from_ref(&asked), DAY_US - 1), "waiting");
        assert_eq!(word(std::slice::from_ref(&asked), DAY_US), "over");
        assert_eq!(word(&[asked.clone(), approved.clone()], DAY_US + 9), "approved");
        assert_eq!(word(&[asked.clone(), approved.clone()], DAY_US + 10), "over");
        assert_eq!(word(&[asked.clone(), approved, line(3, 1, 20, Says::Used(1))], 30), "used");
        assert_eq!(word(&[asked.clone(), line(2, 2, 10, Says::Refused(1))], 30), "refused");
        assert_eq!(word(&[asked, line(2, 1, 10, Says::Approved(1))], 30), "waiting", "by the one who asked");
    }

    #[test]
    fn an_approval_is_for_what_was_asked_by_whoever_asked() {
        let lines = [line(1, 1, 0, Says::Asked(wanted())), line(2, 2, 10, Says::Approved(1))];
        let open = |wanted, reason, uid| {
            open(&lines, wanted, reason, &BTreeSet::from([Person::Unix(uid)]), Wall::from_unix_micros(20)).is_some()
        };

        assert!(open(wanted(), Some("case"), 1));
        assert!(!open(wanted(), Some("another case"), 1) && !open(wanted(), None, 1));
        assert!(!open(wanted(), Some("case"), 3));
        assert!(!open(Wanted { action: Action::Erase, ..wanted() }, Some("case"), 1));
        assert!(!open(Wanted { recording: None, ..wanted() }, Some("case"), 1));
    }
}
