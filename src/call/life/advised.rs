//! The web hook's part in a call: it is asked when the call comes, and heeded once the parties are in it.

use std::sync::Arc;

use crate::call::advice::{Advice, Advised, Consulting, WhenSilent, Word};
use crate::call::desk::Desk;
use crate::call::door::Output;
use crate::call::policy::{Policy, Selects};
use crate::call::story::Reason;
use crate::consent::Prior;
use crate::time::Moment;

use super::{Call, State};

impl Call {
    /// Has the hook asked, once, where the policy wants that and the call could be recorded at all.
    pub(in crate::call) fn consult(&mut self, desk: &mut Desk, now: Moment) {
        let Some(policy) = self.policy.clone().filter(|policy| policy.hook.is_some()) else { return };
        let Some(terms) = policy.terms.as_ref() else { return };
        let is_asked = matches!(self.advised, Advised::Waits | Advised::Given(_));
        let is_never = self.is_emergency || self.is_unrecorded || self.exempt(desk).is_some();
        if is_asked || is_never || self.left_out(&policy, desk, now).is_some() {
            return;
        }
        let consulting = Consulting {
            call: self.id,
            direction: self.direction,
            trunk: self.trunk.clone(),
            policy: Arc::clone(&policy.name),
            purpose: Arc::clone(&terms.purpose),
            parties: self.parties.clone(),
        };
        self.advised = Advised::Waits;
        desk.out(Output::Consult(Box::new(consulting)));
    }

    /// Returns why the policy does not record this call of those that it is for, where it does not.
    pub(super) fn left_out(&mut self, policy: &Policy, desk: &mut Desk, now: Moment) -> Option<Reason> {
        let Selects { one_in, until, begins: _ } = policy.selects;
        if until.is_some_and(|until| until <= desk.wall(now)) {
            return Some(Reason::ReviewOverdue);
        }
        if one_in <= 1 {
            return None;
        }
        let drawn = *self.drawn.get_or_insert_with(|| desk.draw());
        (!drawn.is_multiple_of(u64::from(one_in))).then_some(Reason::NotSampled)
    }

    /// Returns whether nobody may be asked yet.
    pub(super) const fn waits_for_advice(&self) -> bool {
        matches!(self.advised, Advised::Waits)
    }

    /// The hook has answered, or has not in time.
    pub(in crate::call) fn is_advised(&mut self, advice: Advice, policies: &[Arc<Policy>], desk: &mut Desk, now: Moment) {
        if !self.waits_for_advice() {
            return;
        }
        let named = advice.policy.as_ref().and_then(|name| policies.iter().find(|policy| policy.name == *name));
        if let Some(policy) = named {
            self.policy = Some(Arc::clone(policy));
            self.keeps_policy = true;
        }
        self.advised = Advised::Given(Arc::new(advice));
        if let State::Up { dialog } = self.state
            && self.reason == Reason::InProgress
        {
            self.ask(dialog, desk, now);
        }
    }

    /// Returns why the call is not to be recorded, where the hook has it so.
    pub(super) fn barred_by_hook(&self, policy: &Policy) -> Option<Reason> {
        let Advised::Given(advice) = &self.advised else { return None };
        match (advice.word, policy.hook) {
            (Word::Deny, _) => Some(Reason::HookDenied),
            (Word::Silent, Some(WhenSilent::Deny)) => Some(Reason::HookSilent),
            (Word::Allow | Word::Ask | Word::Silent, _) => None,
        }
    }

    /// Returns the consent of the party on the trunk's side that the hook knows of.
    pub(super) fn prior_of_hook(&self) -> Option<Prior> {
        match &self.advised {
            Advised::Given(advice) => advice.prior(),
            Advised::NotAsked | Advised::Waits => None,
        }
    }
}
