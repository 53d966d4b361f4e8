//! Recording on demand: nobody is told or asked anything before somebody in the call, or an operator, wants it recorded.

use crate::call::desk::Desk;
use crate::call::door::{Doer, Done, NotDone, Turn};
use crate::call::policy::{Begins, Policy};
use crate::call::story::Reason;
use crate::consent::{How, Standing};
use crate::digit::Digit;
use crate::ids::Leg;
use crate::time::Moment;

use super::{Call, State};

/// Where a call stands with recording on demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::call) enum Demand {
    /// Nobody has wanted it, and nobody is waited for.
    Untold,
    /// It could be recorded, and waits for somebody to want it.
    Waits,
    /// Somebody has: that counts also for the call that it goes on in.
    Told,
}

impl Call {
    /// Returns whether the parties are not to be asked yet, and waits for the demand then.
    pub(super) fn is_to_be_demanded(&mut self, policy: &Policy) -> bool {
        let waits = matches!(policy.selects.begins, Begins::OnDemand(_)) && self.demand != Demand::Told;
        if waits {
            self.demand = Demand::Waits;
        }
        waits
    }

    /// Returns whether it is up, could be recorded, and nobody has wanted that.
    pub(super) fn waits_for_demand(&self) -> bool {
        self.demand == Demand::Waits && self.reason == Reason::InProgress
    }

    /// A party has pressed a key while its call waits: it wants it recorded, or not to be, if it may.
    pub(super) fn pressed_before_demand(&mut self, leg: Leg, digit: Digit, how: How, desk: &mut Desk, now: Moment) {
        let Some(policy) = &self.policy else { return };
        let starts = matches!(policy.selects.begins, Begins::OnDemand(Some(key)) if key.is(leg, digit));
        let refuses = policy.terms.as_ref().is_some_and(|terms| terms.says_no(leg, digit));
        if refuses {
            self.settle(Reason::ConsentRefused, Some(leg), desk);
        } else if starts {
            self.turned(Turn::Demanded, Doer::Key(leg, how), desk);
            self.is_demanded(desk, now);
        }
    }

    /// An operator wants it recorded.
    ///
    /// # Errors
    /// It does not wait for that: its parties are asked already, or it is not to be recorded.
    pub(super) fn start(&mut self, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
        if self.waits_for_demand() {
            self.is_demanded(desk, now);
            return Ok(Done::Asks);
        }
        match self.consent.as_ref().map(crate::consent::Consent::standing) {
            Some(Standing::Asking) => Err(NotDone::AlreadyStarted),
            Some(Standing::Granted(_)) if self.is_recording => Err(NotDone::AlreadyStarted),
            Some(Standing::Granted(_) | Standing::Refused(_) | Standing::Withdrawn(_)) | None => {
                Err(NotDone::NotRecorded(self.reason))
            }
        }
    }

    fn is_demanded(&mut self, desk: &mut Desk, now: Moment) {
        self.demand = Demand::Told;
        if let State::Up { dialog } = self.state {
            self.ask(dialog, desk, now);
        }
    }
}
