//! Which policy a call falls under: the first that matches, and none means that nothing is recorded.

use std::sync::Arc;
use std::time::Duration;

use super::advice::WhenSilent;
use super::hours::Hours;
use crate::codec::Coding;
use crate::consent::{Clip, Terms};
use crate::digit::{Digit, PartyKey};
use crate::ids::{Direction, Leg, TrunkName};
use crate::time::Wall;

/// A policy as the operator wrote it, its announcements read and encoded.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which calls it is for.
    pub selector: Selector,
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The terms, or nothing where the policy says that these calls are not to be recorded.
    pub terms: Option<Terms>,
    /// The announcement in each coding it can be had in.
    pub clips: Vec<Clip>,
    /// Which codecs may be offered.
    pub codecs: Codecs,
    /// Where no call may be without its recording: how long one goes on whose recording fails, before it is ended by BYE. A new call that
    /// cannot be recorded is refused with 503.
    pub mandatory: Option<Duration>,
    /// Whether the web hook is asked about its calls, and what becomes of one of which it says nothing in time.
    pub hook: Option<WhenSilent>,
    /// What may be done to a recording while it is made.
    pub in_call: InCall,
    /// Which of its calls are recorded.
    pub selects: Selects,
    /// What a party hears that has done it by key.
    pub signs: Signs,
}

/// Which of a policy's calls are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selects {
    /// One in so many, drawn by chance; at least 1, which is all of them.
    pub one_in: u32,
    /// None from then on: the policy was to be looked at again by then.
    pub until: Option<Wall>,
    /// What begins it.
    pub begins: Begins,
}

/// What begins the recording of a call that may be recorded: the question to its parties is what begins.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Begins {
    /// The call does, once its parties are in it.
    #[default]
    ByItself,
    /// Somebody does: a party by this key, where there is one, or an operator.
    OnDemand(Option<PartyKey>),
}

/// All of them.
impl Default for Selects {
    fn default() -> Self {
        Self { one_in: 1, until: None, begins: Begins::ByItself }
    }
}

/// What a party hears that has withdrawn, paused or resumed by key, in each coding it can be had in: nobody else hears it, and what goes out to a
/// party is never recorded.
#[derive(Clone, Default, Debug)]
pub struct Signs {
    /// Nothing is kept from here on.
    pub ends: Arc<[Clip]>,
    /// The recording goes on.
    pub goes_on: Arc<[Clip]>,
    /// It is recorded at this moment ([`Beep`]).
    pub telling: Arc<[Clip]>,
}

/// What may be done to a recording while it is made, and what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct InCall {
    /// The key that pauses, and who may press it.
    pub pause: Option<PartyKey>,
    /// The key that resumes; it may be the one that pauses.
    pub resume: Option<PartyKey>,
    /// What comes after the longest pause.
    pub after_pause: AfterPause,
    /// What becomes of what was recorded until consent was withdrawn.
    pub shred: Shred,
    /// Whether a tone tells of the recording while it is made.
    pub beep: Option<Beep>,
}

/// The tone that tells of a recording while it is made (47 CFR 64.501).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beep {
    /// From one to the next; more than none.
    pub every: Duration,
    /// Whether the party on each leg hears it ([`Leg::index`]).
    pub to: [bool; 2],
}

impl InCall {
    /// Returns whether this key of the party on this leg pauses, and whether it resumes.
    pub(super) fn means(&self, leg: Leg, digit: Digit) -> (bool, bool) {
        let is = |key: Option<PartyKey>| key.is_some_and(|key| key.is(leg, digit));
        (is(self.pause), is(self.resume))
    }
}

/// What comes after the longest pause.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum AfterPause {
    /// The recording goes on.
    #[default]
    Resume,
    /// The recording has ended where the pause began.
    Stop,
}

impl AfterPause {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::Stop => "stop",
        }
    }
}

/// What becomes of what was recorded until consent was withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Shred {
    /// It is kept, whatever an operator asks: it must be.
    Never,
    /// It is kept, unless an operator who withdraws for a party asks for more.
    #[default]
    Asked,
    /// Its keys are destroyed.
    Always,
}

/// Which codecs may be offered in a call that is to be announced.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codecs {
    /// All; a call in one that cannot be announced goes the way of a call without consent.
    AsOffered,
    /// Those that can be announced: the others are taken out of each offer that has one of these.
    Restrict,
}

impl Codecs {
    /// Returns the operator's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AsOffered => "as-offered",
            Self::Restrict => "restrict",
        }
    }
}

/// Which calls a policy is for; what is not named matches every call.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    /// The trunk.
    pub trunk: Option<TrunkName>,
    /// Which way the call was set up.
    pub direction: Option<Direction>,
    /// How the called number begins.
    pub called_prefix: Option<String>,
    /// How the calling number begins.
    pub calling_prefix: Option<String>,
    /// At which hours it begins: what comes after them in a call changes nothing.
    pub hours: Option<Hours>,
}

impl Selector {
    /// Returns whether a call falls under it.
    #[must_use]
    pub fn matches(&self, trunk: &TrunkName, direction: Direction, calling: &str, called: &str, at: Wall) -> bool {
        self.trunk.as_ref().is_none_or(|name| name == trunk)
            && self.direction.is_none_or(|way| way == direction)
            && self.called_prefix.as_deref().is_none_or(|prefix| called.starts_with(prefix))
            && self.calling_prefix.as_deref().is_none_or(|prefix| calling.starts_with(prefix))
            && self.hours.as_ref().is_none_or(|hours| hours.contain(at))
    }
}

impl Policy {
    /// Returns whether the policy lets this coding be offered.
    pub(super) fn lets(&self, coding: Coding) -> bool {
        match self.codecs {
            Codecs::AsOffered => true,
            Codecs::Restrict => self.clips.iter().any(|clip| clip.coding() == coding),
        }
    }

    /// Returns the first policy that matches.
    #[must_use]
    pub fn first<'p>(
        policies: &'p [Arc<Self>],
        trunk: &TrunkName,
        direction: Direction,
        calling: &str,
        called: &str,
        at: Wall,
    ) -> Option<&'p Arc<Self>> {
        policies.iter().find(|policy| policy.selector.matches(trunk, direction, calling, called, at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Span;

    const AT: Wall = Wall::from_unix_micros(0);

    fn policy(name: &str, selector: Selector) -> Arc<Policy> {
        Arc::new(Policy {
            selector,
            name: name.into(),
            terms: None,
            clips: Vec::new(),
            codecs: Codecs::AsOffered,
            mandatory: None,
            hook: None,
            in_call: InCall::default(),
            selects: Selects::default(),
            signs: Signs::default(),
        })
    }

    #[test]
    fn the_first_policy_that_matches_wins() {
        let sales = Selector { called_prefix: Some("+4930".into()), ..Selector::default() };
        let policies = [policy("sales", sales), policy("rest", Selector::default())];
        let carrier = TrunkName::new("carrier");
        let name = |called| Policy::first(&policies, &carrier, Direction::Outbound, "100", called, AT).map(|p| &*p.name);

        assert_eq!(name("+4930123"), Some("sales"));
        assert_eq!(name("+4940123"), Some("rest"));
    }

    #[test]
    fn out_of_its_hours_a_policy_is_for_no_call() {
        let night = Hours::new(Span::parse("mon-sun 22:00-06:00").into_iter().collect(), "UTC").expect("there is UTC");
        let policies =
            [policy("night", Selector { hours: Some(night), ..Selector::default() }), policy("day", Selector::default())];
        let name = |hour: i64| {
            let at = Wall::from_unix_micros(hour * 3_600_000_000);
            Policy::first(&policies, &TrunkName::new("t"), Direction::Inbound, "1", "2", at).map(|policy| &*policy.name)
        };

        assert_eq!([5, 6, 21, 22].map(name), ["night", "day", "day", "night"].map(Some));
    }

    #[test]
    fn a_call_that_no_policy_matches_has_none() {
        let inbound = Selector { direction: Some(Direction::Inbound), ..Selector::default() };
        let policies = [policy("inbound", inbound)];

        assert!(Policy::first(&policies, &TrunkName::new("t"), Direction::Outbound, "1", "2", AT).is_none());
    }
}
