//! What the operator's register says of those in a call: that one has agreed before it, or is never recorded.

use std::sync::Arc;

use crate::call::desk::Desk;
use crate::call::story::Reason;
use crate::consent::{Consent, Fact, Registered, Standing, Terms};
use crate::ids::Leg;
use crate::time::Moment;

use super::Call;

impl Call {
    /// Returns the numbers of the party on a leg. A caller goes by what its INVITE says, and by what its side asserts; a called party by
    /// what its side asserts, for the number that was called may be a group's, and by that number where it asserts nothing. Whoever
    /// came into the call later goes by what is asserted alone.
    fn numbers(&self, leg: Leg) -> impl Iterator<Item = &str> {
        let asserted = self.asserted(leg);
        let is_caller = leg == self.direction.caller();
        let named = if is_caller { &self.parties.calling } else { &self.parties.called };
        let is_named = !self.is_replaced(leg) && (is_caller || asserted.is_none());
        asserted.into_iter().chain(is_named.then(|| named.reveal().as_str()))
    }

    /// Returns the leg of a party that is never recorded. Whom the INVITE names counts, whoever has answered for it: a call for the works
    /// council is one, whoever takes it.
    pub(in crate::call) fn exempt(&self, desk: &Desk) -> Option<Leg> {
        let named = [(self.direction.caller(), &self.parties.calling), (self.callee(), &self.parties.called)];
        let is_exempt = |number: &str| desk.register.is_exempt(number);
        named
            .into_iter()
            .find_map(|(leg, number)| is_exempt(number.reveal()).then_some(leg))
            .or_else(|| Leg::BOTH.into_iter().find(|&leg| self.asserted(leg).is_some_and(is_exempt)))
    }

    /// Returns what the party on a leg has agreed to before the call, where that counts under these terms.
    fn prior(&self, leg: Leg, terms: &Terms, desk: &Desk, now: Moment) -> Option<Fact> {
        if terms.registered(leg) == Registered::Asked {
            return None;
        }
        let (version, at) = (terms.prior.version.as_deref(), desk.wall(now));
        if let (Leg::Trunk, Some(prior)) = (leg, self.prior_of_hook())
            && version.is_none_or(|version| prior.version.as_deref() == Some(version))
        {
            return Some(Fact::Stands(leg, Arc::new(prior)));
        }
        let prior = self.numbers(leg).find_map(|number| desk.register.prior(number, &terms.purpose, version, at));
        prior.map(|prior| Fact::Stands(leg, prior))
    }

    /// The party on a leg is looked up: whether its consent stands from before the call.
    pub(super) fn look_up(&mut self, leg: Leg, desk: &mut Desk, now: Moment) {
        let Some(terms) = self.asked_on() else { return };
        let Some(stands) = self.prior(leg, &terms, desk, now) else { return };
        if terms.registered(leg) == Registered::Untold {
            self.telling.needs_none(leg);
        }
        self.consider(stands, desk, now);
    }

    /// Returns the terms on which it is being asked; nothing where it is not.
    fn asked_on(&self) -> Option<Terms> {
        self.consent.as_ref().filter(|consent| consent.standing() == Standing::Asking).map(|consent| consent.terms().clone())
    }

    /// The register has changed: whose consent stood and stands no more is asked, and not recorded until it agrees.
    pub(in crate::call) fn register_changed(&mut self, desk: &mut Desk, now: Moment) {
        let Some(terms) = self.consent.as_ref().map(Consent::terms).cloned() else { return };
        if let Some(leg) = self.exempt(desk) {
            return self.consider(Fact::Exempt(leg), desk, now);
        }
        for leg in Leg::BOTH {
            if self.prior(leg, &terms, desk, now).is_none() {
                self.consider(Fact::StandsNoMore(leg), desk, now);
                if self.asked_on().is_some() {
                    self.telling.needs_one(leg);
                }
            }
        }
        self.announce(desk, now);
    }

    /// A party is in the call who is never recorded: it goes on as one that no policy is for, whatever becomes of those without consent.
    pub(super) fn is_never_recorded(&mut self, desk: &mut Desk) -> bool {
        let exempt = self.exempt(desk);
        if let Some(leg) = exempt {
            self.settle(Reason::Exempt, Some(leg), desk);
        }
        exempt.is_some()
    }
}
