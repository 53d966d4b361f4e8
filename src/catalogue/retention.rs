//! How long recordings are kept, and which are to be erased now: by purpose, by the quota of a policy, and never what is locked or held.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::catalogue::{Access, Entry, Reason, State, StoreError};
use crate::ids::RecordingId;
use crate::time::Wall;

/// What decides how long recordings are kept, beside the rows that it is about.
pub trait Keeping {
    /// Returns the lines of the access log by which a recording is held, or every recording that is: those that came after its last release,
    /// in the order in which they were written.
    ///
    /// # Errors
    /// The disk.
    fn holds(&self, recording: Option<RecordingId>) -> Result<Vec<Access>, StoreError>;

    /// Returns every recording that is not erased, and those that were erased since then, where that is asked for; in no order.
    ///
    /// # Errors
    /// The disk.
    fn stored(&self, erased_since: Option<Wall>) -> Result<Vec<Stored>, StoreError>;

    /// Returns the time that recordings were erased by last ([`paced`]); nothing where none ever was.
    ///
    /// # Errors
    /// The disk.
    fn pace(&self) -> Result<Option<Wall>, StoreError>;

    /// Keeps the time that recordings are erased by.
    ///
    /// # Errors
    /// As for [`Store::write`](crate::catalogue::Store::write).
    fn set_pace(&mut self, at: Wall) -> Result<(), StoreError>;
}

/// How long recordings for a purpose are kept. Both count from the end of the call; where nobody knows that, because the proxy was killed,
/// from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Limits {
    /// Until then a recording is locked: nobody erases it.
    pub shortest: Duration,
    /// From then on it is to be erased; nothing where it is kept for ever. Never less than the shortest.
    pub longest: Option<Duration>,
}

/// The limits of each purpose.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Retention {
    purposes: BTreeMap<String, Limits>,
}

impl Retention {
    /// Adds what holds for a purpose, in the place of what did.
    pub fn set(&mut self, purpose: &str, limits: Limits) {
        self.purposes.insert(purpose.to_owned(), limits);
    }

    /// Returns the limits of a purpose; nothing is said of it: unlocked, and for ever.
    #[must_use]
    pub fn of(&self, purpose: Option<&str>) -> Limits {
        purpose.and_then(|purpose| self.purposes.get(purpose)).copied().unwrap_or_default()
    }

    /// Returns whether anything is said of a purpose.
    #[must_use]
    pub fn names(&self, purpose: &str) -> bool {
        self.purposes.contains_key(purpose)
    }

    /// Returns the limits of each purpose that is named, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Limits)> {
        self.purposes.iter().map(|(purpose, limits)| (purpose.as_str(), *limits))
    }
}

/// A recording, as far as it matters to how long it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Which.
    pub recording: RecordingId,
    /// From when on its limits count: the end of its call, or else its beginning.
    pub from: Wall,
    /// Under which policy.
    pub policy: Option<Arc<str>>,
    /// For what; nobody knows that of one that was found.
    pub purpose: Option<Arc<str>>,
    /// Where it stands.
    pub state: State,
    /// How long its file is, once it is closed.
    pub size_bytes: Option<u64>,
    /// Whether it may not be erased until somebody releases it.
    pub is_held: bool,
    /// Who has erased it.
    pub erased_by: Option<Arc<str>>,
    /// Consent was withdrawn, and it is to be destroyed for that ([`Reason::Shredded`]).
    pub is_shredded: bool,
}

/// Why a recording may not be erased now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bar {
    /// Somebody holds it.
    Held,
    /// It is kept at least until then.
    Locked(Wall),
    /// It is being made, or closed.
    Unfinished,
}

impl Stored {
    /// Returns a row's recording, where it has one.
    #[must_use]
    pub fn of(entry: &Entry, is_held: bool) -> Option<Self> {
        let Entry { began, ended, policy, purpose, state, reason, recording, totals, .. } = entry;
        Some(Self {
            recording: (*recording)?,
            from: ended.unwrap_or(*began),
            policy: policy.as_deref().map(Into::into),
            purpose: purpose.as_deref().map(Into::into),
            state: *state,
            size_bytes: totals.map(|totals| totals.size_bytes),
            is_held,
            erased_by: None,
            is_shredded: *reason == Reason::Shredded,
        })
    }

    /// Returns until when it is locked, where it ever was.
    #[must_use]
    pub fn locked_until(&self, retention: &Retention) -> Option<Wall> {
        locked_until(self.from, retention.of(self.purpose.as_deref()))
    }

    /// Returns when it is to be erased; nothing where it is kept for ever.
    #[must_use]
    pub fn due(&self, retention: &Retention) -> Option<Wall> {
        due(self.from, retention.of(self.purpose.as_deref()))
    }

    /// Returns why it may not be erased now, where it may not.
    #[must_use]
    pub fn bar(&self, retention: &Retention, now: Wall) -> Option<Bar> {
        match (self.state, self.locked_until(retention)) {
            (State::Recording | State::None, _) => Some(Bar::Unfinished),
            _ if self.is_held => Some(Bar::Held),
            (State::Sealed | State::Torn | State::Salvaged | State::Erased, Some(until)) if until > now => {
                Some(Bar::Locked(until))
            }
            (State::Sealed | State::Torn | State::Salvaged | State::Erased, _) => None,
        }
    }
}

/// Returns until when what ended then is locked, where it ever is.
#[must_use]
pub fn locked_until(from: Wall, limits: Limits) -> Option<Wall> {
    (limits.shortest > Duration::ZERO).then(|| from + limits.shortest)
}

/// Returns when what ended then is to be erased; nothing where it is kept for ever.
#[must_use]
pub fn due(from: Wall, limits: Limits) -> Option<Wall> {
    limits.longest.map(|longest| from + longest)
}

/// What recordings are kept by.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Rules {
    /// How long, by purpose.
    pub retention: Retention,
    /// How many bytes, by policy.
    pub quotas: BTreeMap<Arc<str>, u64>,
}

impl Rules {
    /// Returns whether anything is ever erased by them, beside what is withdrawn to be destroyed.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.quotas.is_empty() || self.retention.iter().any(|(_, limits)| limits.longest.is_some())
    }
}

/// What is to be done now.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Plan {
    /// What is to be erased, in this order.
    pub erase: Vec<Order>,
    /// How much of its quota each policy has taken.
    pub quotas: BTreeMap<Arc<str>, Used>,
    /// Recordings that are past their longest time and may not be erased: held, locked, or not closed yet.
    pub barred: u64,
    /// When the next recording falls due, where nothing else happens.
    pub next: Option<Wall>,
}

/// A recording that is to be erased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Which.
    pub recording: RecordingId,
    /// Why.
    pub cause: Cause,
}

/// Why a recording is erased without anybody having asked for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// It was kept for as long as its purpose allows.
    Longest,
    /// The recordings of its policy take more room than they may, and it is the oldest of them.
    Quota,
    /// Consent was withdrawn, and its policy or an operator wants it destroyed then.
    Withdrawn,
}

impl Cause {
    /// Returns the operator's word, which is a label of metrics too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Longest => "longest",
            Self::Quota => "quota",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// How much of its quota a policy has taken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Used {
    /// What its recordings may take.
    pub quota_bytes: u64,
    /// What they take.
    pub bytes: u64,
    /// What they will take once all was erased that is to be.
    pub left_bytes: u64,
    /// What of that may not be erased now.
    pub barred_bytes: u64,
}

impl Used {
    /// Returns whether no recording may begin: what may be erased is not enough.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.left_bytes > self.quota_bytes
    }

    /// Returns whether nine tenths of the quota are taken by what may not be erased.
    #[must_use]
    pub const fn is_nearly_full(&self) -> bool {
        self.barred_bytes >= self.quota_bytes - self.quota_bytes / 10
    }
}

/// Returns what is to be done with these recordings: first what is past its longest time, or withdrawn and to be destroyed, then, of each policy that takes more than its quota,
/// the oldest until it does not. Never what is barred ([`Stored::bar`]).
#[must_use]
pub fn plan(stored: &[Stored], rules: &Rules, now: Wall) -> Plan {
    let Rules { retention, quotas } = rules;
    let mut plan = Plan::default();
    let mut used: BTreeMap<&str, Used> =
        quotas.iter().map(|(policy, &quota_bytes)| (&**policy, Used { quota_bytes, ..Used::default() })).collect();
    let mut spare = Vec::new();
    for one in in_order(stored) {
        let (due, bar, size) = (one.due(retention), one.bar(retention, now), one.size_bytes.unwrap_or(0));
        let is_due = one.is_shredded || due.is_some_and(|due| due <= now);
        if is_due && bar.is_none() {
            let cause = if one.is_shredded { Cause::Withdrawn } else { Cause::Longest };
            plan.erase.push(Order { recording: one.recording, cause });
        } else if is_due {
            plan.barred += 1;
        }
        let next = match bar {
            // It is due already, and waits for the end of its lock.
            Some(Bar::Locked(until)) => due.map(|due| due.max(until)),
            // It is closed in a moment.
            Some(Bar::Unfinished) if one.is_shredded => Some(now + Duration::from_secs(1)),
            Some(Bar::Held | Bar::Unfinished) | None => due,
        };
        plan.next = plan.next.into_iter().chain(next.filter(|next| *next > now)).min();
        let Some(used) = one.policy.as_deref().and_then(|policy| used.get_mut(policy)) else { continue };
        used.bytes += size;
        used.left_bytes += if is_due && bar.is_none() { 0 } else { size };
        match bar {
            Some(_) => used.barred_bytes += size,
            None if !is_due => spare.push((one, size)),
            None => {}
        }
    }
    for (one, size) in spare {
        let Some(used) = one.policy.as_deref().and_then(|policy| used.get_mut(policy)) else { continue };
        if used.is_full() && size > 0 {
            used.left_bytes -= size;
            plan.erase.push(Order { recording: one.recording, cause: Cause::Quota });
        }
    }
    plan.quotas = quotas.keys().map(|policy| (Arc::clone(policy), used.get(&**policy).copied().unwrap_or_default())).collect();
    plan
}

/// Those that are not erased, the oldest first.
fn in_order(stored: &[Stored]) -> Vec<&Stored> {
    let mut all: Vec<&Stored> = stored.iter().filter(|one| one.state != State::Erased).collect();
    all.sort_unstable_by_key(|one| (one.from, one.recording));
    all
}

/// The time that recordings are erased by: the wall clock's, but it runs at most [`CATCH_UP`] times as fast as time passes. So a clock that is
/// ahead by years erases in an hour what four would have, and whoever is told of it has the time to put it right; and what fell due while the
/// machine was off is erased within a third of that time.
///
/// `before` is what it was, `elapsed` how long ago that was by a clock that nobody sets.
#[must_use]
pub fn paced(before: Wall, elapsed: Duration, wall: Wall) -> Wall {
    wall.min(before + elapsed.saturating_mul(CATCH_UP))
}

/// How much faster than time the clock of [`paced`] may run.
pub const CATCH_UP: u32 = 4;

/// A span as operators write it: a whole number of the largest unit that it is a whole number of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

impl Span {
    /// The units, in seconds, the largest first.
    pub const UNITS: [(&'static str, u64); 5] = [("w", 7 * 86_400), ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
}

/// Weeks are written as days: `90d`, `36h`, `0s`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let fits = |&&(unit, length): &&(&str, u64)| unit != "w" && seconds > 0 && seconds.is_multiple_of(length);
        let (unit, length) = Self::UNITS.iter().find(fits).copied().unwrap_or(("s", 1));
        write!(f, "{}{unit}", seconds / length)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_withdrawn_to_be_shredded_goes_at_once_unless_it_is_held_or_not_closed() {
        let shredded = |n| Stored { is_shredded: true, ..one(n, 99) };
        let held = Stored { is_held: true, ..shredded(2) };
        let going_on = Stored { state: State::Recording, ..shredded(3) };

        let plan = plan(&[one(4, 99), shredded(1), held, going_on], &Rules::default(), wall(100));

        assert_eq!(plan.erase, [Order { recording: RecordingId::from_bytes([1; 16]), cause: Cause::Withdrawn }]);
        assert_eq!((plan.barred, plan.next), (2, Some(wall(101))), "what is being closed is looked at again in a second");
    }

    #[test]
    fn what_is_past_its_longest_time_is_erased_and_the_oldest_first() {
        let all = [one(1, 50), one(2, 20), one(3, 10), one(4, 95)];

        let plan = plan(&all, &rules(0, Some(60), None), wall(100));

        assert_eq!(orders(&plan), [(3, Cause::Longest), (2, Cause::Longest)]);
        assert_eq!(plan.next, Some(wall(110)), "the one of 50 is next");
    }

    #[test]
    fn what_is_held_or_being_made_stays_and_is_counted() {
        let held = Stored { is_held: true, ..one(1, 0) };
        let going_on = Stored { state: State::Recording, size_bytes: None, ..one(2, 0) };
        let erased = Stored { state: State::Erased, ..one(3, 0) };

        let plan = plan(&[held, going_on, erased], &rules(0, Some(60), None), wall(100));

        assert_eq!((plan.erase.len(), plan.barred, plan.next), (0, 2, None));
    }

    #[test]
    fn the_lock_ends_at_its_end_and_the_time_is_up_when_it_is() {
        let at = |shortest, longest, now| {
            let plan = plan(&[one(1, 0)], &rules(shortest, longest, Some(5)), wall(now));
            plan.erase.first().map(|order| order.cause)
        };

        assert_eq!([at(60, Some(60), 59), at(60, Some(60), 60)], [None, Some(Cause::Longest)]);
        assert_eq!([at(60, None, 59), at(60, None, 60)], [None, Some(Cause::Quota)]);
    }

    #[test]
    fn a_quota_takes_what_is_due_first_then_the_oldest_and_no_more_than_it_must() {
        // 40 bytes, 15 may be: one is due, of three that are left the two oldest must go.
        let all = [one(1, 41), one(2, 10), one(3, 45), one(4, 42)];

        let plan = plan(&all, &rules(0, Some(60), Some(15)), wall(100));

        assert_eq!(orders(&plan), [(2, Cause::Longest), (1, Cause::Quota), (4, Cause::Quota)]);
        let used = plan.quotas["all"];
        assert_eq!((used.bytes, used.left_bytes, used.barred_bytes, used.is_full()), (40, 10, 0, false));
    }

    #[test]
    fn a_policy_of_which_all_is_locked_is_full_and_says_so_before() {
        let used = |quota| plan(&[one(1, 40), one(2, 40)], &rules(100, None, Some(quota)), wall(100)).quotas["all"];

        assert_eq!([19, 20, 22, 23].map(|quota| used(quota).is_full()), [true, false, false, false]);
        assert_eq!([19, 20, 22, 23].map(|quota| used(quota).is_nearly_full()), [true, true, true, false]);
    }

    #[test]
    fn other_policies_and_purposes_are_not_touched() {
        let others = Stored { policy: Some("other".into()), purpose: Some("training".into()), ..one(1, 0) };
        let found = Stored { policy: None, purpose: None, ..one(2, 0) };

        let plan = plan(&[others, found], &rules(0, Some(1), Some(1)), wall(100));

        assert_eq!((plan.erase.len(), plan.quotas["all"].bytes), (0, 0));
    }

    #[test]
    fn a_clock_that_leaps_is_followed_slowly_and_one_that_is_set_back_at_once() {
        let hour = Duration::from_secs(3600);

        assert_eq!(paced(wall(0), hour, wall(3600)), wall(3600));
        assert_eq!(paced(wall(0), hour, wall(1_000_000_000)), wall(4 * 3600));
        assert_eq!(paced(wall(0), hour, wall(-50)), wall(-50));
    }

    #[test]
    fn a_span_is_written_in_the_largest_unit_that_fits() {
        let shown = |seconds| Span(Duration::from_secs(seconds)).to_string();

        assert_eq!([0, 90, 120, 129_600, 14 * 86_400].map(shown), ["0s", "90s", "2min", "36h", "14d"]);
    }

    proptest! {
        #[test]
        fn nothing_barred_is_ever_erased_the_oldest_go_first_and_enough_is_freed_where_that_is_possible(
            all in prop::collection::vec(stored(), 0..40),
            shortest in 0_u64..80,
            more in prop::option::of(0_u64..80),
            quota in prop::option::of(0_u64..200),
        ) {
            let rules = rules(shortest, more.map(|more| shortest + more), quota);
            let all: Vec<Stored> =
                (0..).zip(all).map(|(n, one)| Stored { recording: RecordingId::from_bytes([n; 16]), ..one }).collect();
            let now = wall(100);

            let plan = plan(&all, &rules, now);

            let of = |order: &Order| all.iter().find(|one| one.recording == order.recording).unwrap();
            let is_gone = |one: &Stored| plan.erase.iter().any(|order| order.recording == one.recording);
            for order in &plan.erase {
                prop_assert!(of(order).bar(&rules.retention, now).is_none() && of(order).state != State::Erased);
            }
            for cause in [Cause::Longest, Cause::Quota] {
                let times: Vec<Wall> = plan.erase.iter().filter(|order| order.cause == cause).map(|order| of(order).from).collect();
                prop_assert!(times.is_sorted());
            }
            prop_assert!(plan.erase.is_sorted_by_key(|order| order.cause), "what is due goes before anything else");
            for one in all.iter().filter(|one| one.state != State::Erased && one.bar(&rules.retention, now).is_none()) {
                let is_due = one.due(&rules.retention).is_some_and(|due| due <= now);
                prop_assert!(!is_due || is_gone(one), "nothing that is due is left");
            }
            if let Some(used) = plan.quotas.get("all") {
                let left: u64 = all.iter().filter(|one| one.state != State::Erased && !is_gone(one)).filter_map(|one| one.size_bytes).sum();
                prop_assert_eq!(used.left_bytes, left);
                prop_assert!(left <= used.quota_bytes || left == used.barred_bytes, "all that may go is gone before it is full");
                // Without the last one that went for the quota, it would be exceeded: no more is erased than must be.
                if let Some(last) = plan.erase.iter().rfind(|order| order.cause == Cause::Quota) {
                    prop_assert!(left + of(last).size_bytes.unwrap_or(0) > used.quota_bytes);
                }
            }
        }

        #[test]
        fn the_paced_clock_is_never_ahead_of_the_wall_and_never_faster_than_it_may(
            before in -1_000_i64..1_000_000, elapsed in 0_u64..100_000, at in -1_000_i64..10_000_000,
        ) {
            let paced = paced(wall(before), Duration::from_secs(elapsed), wall(at));

            prop_assert!(paced <= wall(at) && paced <= wall(before) + Duration::from_secs(4 * elapsed));
            prop_assert!(paced == wall(at) || paced >= wall(before), "it only goes back with the wall clock");
        }
    }

    fn stored() -> impl Strategy<Value = Stored> {
        let state = prop::sample::select(vec![State::Recording, State::Sealed, State::Torn, State::Salvaged, State::Erased]);
        (0_i64..110, state, prop::option::of(0_u64..30), any::<bool>()).prop_map(|(from, state, size_bytes, is_held)| Stored {
            state,
            size_bytes,
            is_held,
            ..one(0, from)
        })
    }

    /// Ten bytes of the policy `all`, for `quality`.
    fn one(n: u8, from: i64) -> Stored {
        Stored {
            recording: RecordingId::from_bytes([n; 16]),
            from: wall(from),
            policy: Some("all".into()),
            purpose: Some("quality".into()),
            state: State::Sealed,
            size_bytes: Some(10),
            is_held: false,
            erased_by: None,
            is_shredded: false,
        }
    }

    fn rules(shortest: u64, longest: Option<u64>, quota: Option<u64>) -> Rules {
        let mut retention = Retention::default();
        let seconds = Duration::from_secs;
        retention.set("quality", Limits { shortest: seconds(shortest), longest: longest.map(seconds) });
        Rules { retention, quotas: quota.map(|quota| ("all".into(), quota)).into_iter().collect() }
    }

    fn orders(plan: &Plan) -> Vec<(u8, Cause)> {
        plan.erase.iter().map(|order| (order.recording.as_bytes()[0], order.cause)).collect()
    }

    fn wall(seconds: i64) -> Wall {
        Wall::from_unix_micros(seconds * 1_000_000)
    }
}
