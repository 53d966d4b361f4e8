//! What an operator does to a call that goes on, and what a party does to it by key: pause, resume, withdraw.

use std::time::Duration;

use crate::call::desk::Desk;
use crate::call::door::{Deed, Doer, Done, NotDone, Suspension, Turn};
use crate::call::policy::{AfterPause, InCall, Shred};
use crate::call::story::Reason;
use crate::consent::{By, Clip, Consent, Fact, How, Standing};
use crate::digit::Digit;
use crate::ids::Leg;
use crate::media::{Announcing, Order};
use crate::time::Moment;
use crate::vault::EndReason;

use super::{Call, State, bridge};

/// A key that paused or resumed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Toggled {
    leg: Leg,
    how: How,
    at: Moment,
}

/// How long after a key the same may come in another form, as an event and as SIP INFO: where one key toggles, that would undo it.
const SAME_PRESS: Duration = Duration::from_secs(2);

impl Call {
    // ── by a party's key ───────────────────────────────────────────────────────────────────────────────────────────

    /// Takes a key that a party pressed.
    pub(in crate::call) fn pressed(&mut self, leg: Leg, digit: Digit, how: How, desk: &mut Desk, now: Moment) {
        if self.waits_for_demand() {
            return self.pressed_before_demand(leg, digit, how, desk, now);
        }
        // One that has agreed with it is not paused by it.
        let was_recording = self.is_recording;
        self.consider(Fact::Pressed(leg, digit, how), desk, now);
        if was_recording && self.is_recording {
            self.toggle(leg, digit, how, desk, now);
        }
    }

    /// Returns whether this key of the party on this leg means no, whenever it was pressed.
    pub(in crate::call) fn says_no(&self, leg: Leg, digit: Digit) -> bool {
        self.consent.as_ref().is_some_and(|consent| consent.terms().says_no(leg, digit))
    }

    /// Pauses or resumes by key, where it is one for that, and the party one that may press it.
    fn toggle(&mut self, leg: Leg, digit: Digit, how: How, desk: &mut Desk, now: Moment) {
        let is_paused = self.pause_ends.is_some();
        let does = match (self.in_call().means(leg, digit), is_paused) {
            ((true, _), false) => Deed::Pause,
            ((_, true), true) => Deed::Resume,
            ((false, _), false) | ((_, false), true) => return,
        };
        let is_same = |last: &Toggled| last.leg == leg && last.how != how && now.since(last.at) < SAME_PRESS;
        if self.toggled.as_ref().is_some_and(is_same) {
            return;
        }
        // What an operator could not do, a key does not either: it is recorded, and paused or not, as was seen above.
        if self.operated(does, Doer::Key(leg, how), desk, now).is_ok() {
            self.toggled = Some(Toggled { leg, how, at: now });
            self.sign(leg, is_paused, desk);
        }
    }

    /// Lets the party on this leg hear that what it wanted is done: that the recording goes on, or that nothing is kept. Nothing where it
    /// can be told in none of the codings that were agreed, or hears nothing now.
    fn sign(&self, leg: Leg, goes_on: bool, desk: &mut Desk) {
        let Some(policy) = &self.policy else { return };
        self.plays(leg, if goes_on { &policy.signs.goes_on } else { &policy.signs.ends }, desk);
    }

    /// Lets the party on this leg hear one of these clips, where it can hear anything now.
    fn plays(&self, leg: Leg, clips: &[Clip], desk: &mut Desk) {
        let State::Up { dialog: at } = self.state else { return };
        let Some((dialog, line)) = self.dialogs.get(at).and_then(|dialog| Some((dialog, dialog.audio()?))) else { return };
        let Some(agreed) = &dialog.agreed else { return };
        let clip_in = |coding| clips.iter().find(|clip| clip.coding() == coding);
        let (Some(this), Some(offer), Some(answer)) =
            (agreed.of(leg).line(line), agreed.offer.line(line), agreed.answer.line(line))
        else {
            return;
        };
        let speech = this.speech(offer, answer, |coding| clip_in(coding).is_some()).filter(|_| this.receives());
        if let Some((clip, payload_type)) = speech.and_then(|(coding, of)| Some((clip_in(coding)?.clone(), of))) {
            desk.order(self.id, Order::Announce(Announcing { id: bridge(self.id, at, line), leg, clip, payload_type }));
        }
    }

    /// Lets the parties hear that they are recorded, where that is due: as the recording begins and from time to time while it is made, and never
    /// while nothing is kept.
    pub(super) fn beeps(&mut self, desk: &mut Desk, now: Moment) {
        let Some(beep) = self.in_call().beep.filter(|_| self.beeps_at().is_some_and(|at| at <= now)) else { return };
        self.next_beep = Some(now + beep.every);
        let Some(policy) = self.policy.clone() else { return };
        for (leg, _) in Leg::BOTH.into_iter().zip(beep.to).filter(|(_, hears)| *hears) {
            self.plays(leg, &policy.signs.telling, desk);
        }
    }

    /// Returns when the next tone is due that tells of the recording.
    pub(super) fn beeps_at(&self) -> Option<Moment> {
        self.next_beep.filter(|_| self.is_recording())
    }

    // ── by an operator ─────────────────────────────────────────────────────────────────────────────────────────────

    /// Does what an operator wants, or a party by its key or its telephone, and writes down what was done.
    ///
    /// # Errors
    /// As for [`Call::operate`].
    pub(in crate::call) fn operated(&mut self, deed: Deed, by: Doer, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
        let done = self.operate(deed, desk, now)?;
        let what = match done {
            Done::Asks => Turn::Demanded,
            Done::Paused { .. } => Turn::Paused,
            Done::Resumed => Turn::Resumed,
            Done::Withdrawn => Turn::Withdrawn,
            Done::Shreds => Turn::Shredded,
        };
        self.turned(what, by, desk);
        Ok(done)
    }

    /// Does it.
    ///
    /// # Errors
    /// Nothing can be done, or was done already.
    fn operate(&mut self, deed: Deed, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
        match deed {
            Deed::Start => self.start(desk, now),
            Deed::Pause => self.pause(desk, now),
            Deed::Resume => {
                self.pause_ends.take().ok_or(NotDone::NotPaused)?;
                self.go_on(desk);
                Ok(Done::Resumed)
            }
            Deed::Withdraw => self.withdraw(false, desk, now),
            Deed::Shred => self.withdraw(true, desk, now),
        }
    }

    fn pause(&mut self, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
        let longest = self.consent.as_ref().map(|consent| consent.terms().longest_pause);
        let Some(longest) = longest.filter(|_| self.is_recording) else { return Err(NotDone::NotRecorded(self.reason)) };
        if self.pause_ends.is_some() {
            return Err(NotDone::AlreadyPaused);
        }
        let ends = now + longest;
        self.pause_ends = Some(ends);
        self.suspend(Suspension::Pause, desk);
        Ok(Done::Paused { ends })
    }

    /// The longest pause is over.
    pub(super) fn pause_is_over(&mut self, desk: &mut Desk) {
        match self.in_call().after_pause {
            AfterPause::Resume => {
                self.pause_ends = None;
                self.go_on(desk);
                self.turned(Turn::Resumed, Doer::Time, desk);
            }
            // The pause is a gap up to here, and nothing comes after it.
            AfterPause::Stop => self.end_recording(EndReason::Stopped, desk),
        }
    }

    fn withdraw(&mut self, shreds: bool, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
        if shreds && self.was_granted && self.in_call().shred == Shred::Never {
            return Err(NotDone::Locked);
        }
        match self.consent.as_ref().map(Consent::standing) {
            Some(Standing::Asking | Standing::Granted(_)) => self.consider(Fact::OperatorWithdrew, desk, now),
            Some(Standing::Refused(_)) => return Err(NotDone::NotRecorded(self.reason)),
            Some(Standing::Withdrawn(_)) => return Err(NotDone::AlreadyWithdrawn),
            None if self.is_withdrawn => return Err(NotDone::AlreadyWithdrawn),
            None => match (&self.policy, self.state) {
                (None, _) => return Err(NotDone::NotRecorded(Reason::NoPolicy)),
                (Some(policy), _) if policy.terms.is_none() => return Err(NotDone::NotRecorded(Reason::PolicyNever)),
                // Nobody was asked, and nobody will be.
                (Some(_), State::Ringing | State::Answered) => self.is_withdrawn = true,
                (Some(_), State::Up { .. }) if self.waits_for_advice() => self.is_withdrawn = true,
                (Some(_), State::Up { .. }) if self.waits_for_demand() => {
                    self.is_withdrawn = true;
                    self.settle(Reason::WithdrawnByOperator, None, desk);
                }
                (Some(_), State::Up { .. } | State::Over) => return Err(NotDone::NotRecorded(self.reason)),
            },
        }
        if shreds && self.was_granted && self.reason != Reason::Shredded {
            self.settle(Reason::Shredded, None, desk);
        }
        Ok(if self.reason == Reason::Shredded { Done::Shreds } else { Done::Withdrawn })
    }

    /// Ends the recording of a party that withdrew, and says what becomes of it.
    pub(super) fn withdrawn_by(&mut self, by: By, desk: &mut Desk) {
        let (why, reason, leg) = match by {
            By::Party(leg) => (EndReason::Withdrawn(leg), Reason::Withdrawn, Some(leg)),
            By::Register(leg) => (EndReason::Withdrawn(leg), Reason::WithdrawnInRegister, Some(leg)),
            By::Operator => (EndReason::Stopped, Reason::WithdrawnByOperator, None),
        };
        self.end_recording(why, desk);
        if let By::Party(leg) = by {
            self.sign(leg, false, desk);
        }
        let shreds = self.was_granted && self.in_call().shred == Shred::Always;
        self.settle(if shreds { Reason::Shredded } else { reason }, leg, desk);
    }

    pub(super) fn in_call(&self) -> InCall {
        self.policy.as_ref().map(|policy| policy.in_call).unwrap_or_default()
    }
}
