//! The life of one call: its dialogs, what was agreed, who was told, who consented, and what becomes of the recording.
//!
//! ```text
//!            2xx             ACK                     BYE answered
//!  Ringing ───────▶ Answered ───────▶ Up ─────────────────────────▶ Over
//!     └── 3xx–6xx, CANCEL, time-out ─────────────────────────────────▲
//! ```

mod advised;
mod aware;
mod deeds;
mod demanded;
mod described;
mod identity;
mod indexed;
mod registered;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::advice::Advised;
use super::announce::Telling;
use super::desk::Desk;
use super::dialog::{Agreed, Dialog, DialogState};
use super::door::{Doer, Output, PortPair, Suspension, Turn};
use super::keys::Ours;
use super::policy::Policy;
use super::session_timer::SessionTimer;
use super::story::{Reason, Story};
use crate::consent::{self, Consent, Cut, Fact, Facts, Heard, Parties, Permit, Standing};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::limits;
use crate::media::{self, Announcing, BridgeId, Order};
use crate::private::Private;
use crate::sabotage;
use crate::sip::Flow;
use crate::time::Moment;
use crate::vault::EndReason;
use crate::wire::sip::Message;

use aware::Aware;
use deeds::Toggled;
pub(super) use demanded::Demand;
use identity::Identity;

pub(super) use described::{NotAnchored, Role};

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) slot: u32,
    pub(super) recording: RecordingId,
    pub(super) direction: Direction,
    pub(super) trunk: TrunkName,
    pub(super) trunk_at: usize,
    /// The way to who is on each leg ([`Leg::index`]): where requests go that say nothing of where.
    pub(super) ways: [Flow; 2],
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) parties: Parties,
    /// It went to an emergency number: it is never recorded, and never refused or ended by us.
    pub(super) is_emergency: bool,
    /// Its media could not be anchored, and go past us: only an emergency call may.
    pub(super) is_past_us: bool,
    pub(super) call_id: Bytes,
    pub(super) caller_tag: Bytes,
    /// The first INVITE, as it came.
    pub(super) invite: Message,
    /// When the INVITE came, or when the call was restored.
    pub(super) began: Moment,
    /// How old it was then.
    pub(super) before: Duration,
    /// Something is kept of it for a restart.
    pub(super) is_kept: bool,
    is_restored: bool,
    pub(super) answered: Option<Moment>,
    pub(super) facing_callee: Vec<Option<PortPair>>,
    /// Our SRTP keys towards the called party, one set for each `m=` line, as the first offer said them to all forks. What is agreed anew
    /// with one of them is in its dialog.
    keys_to_callee: Vec<Ours>,
    pub(super) dialogs: Vec<Dialog>,
    pub(super) state: State,
    pub(super) consent: Option<Consent>,
    telling: Telling,
    reason: Reason,
    /// On which leg the reason lies.
    reason_leg: Option<Leg>,
    /// A recording has begun and has not ended; it may be paused.
    is_recording: bool,
    /// When the pause of an operator, or of a party by its key, ends by itself.
    pause_ends: Option<Moment>,
    /// When a tone tells of the recording next.
    next_beep: Option<Moment>,
    /// The key that paused or resumed last.
    toggled: Option<Toggled>,
    /// What each party's telephone knows of recording ([`Leg::index`]).
    aware: [Aware; 2],
    /// What was granted while a BYE was on its way: nothing is begun for a call that ends, but one whose BYE is challenged goes on.
    held: Option<Permit>,
    /// Where it stands with the web hook.
    advised: Advised,
    /// What was drawn for it, where its policy records one call in so many: once, also for the calls that it goes on in.
    pub(super) drawn: Option<u64>,
    /// The code was dialled by which it is not recorded.
    pub(super) is_unrecorded: bool,
    /// Where it stands with its policy's recording on demand.
    pub(super) demand: Demand,
    /// An operator withdrew before anybody was asked: nobody will be.
    is_withdrawn: bool,
    /// The dialog and line that are, or were, recorded.
    recorded: Option<(usize, usize)>,
    was_granted: bool,
    /// When the call is ended, since it must be recorded and is not any more.
    unlawful_at: Option<Moment>,
    /// When an answered call without its ACK is given up (RFC 3261 §13.3.1.4: 64·T1).
    unacknowledged_at: Option<Moment>,
    timer: SessionTimer,
    /// Whom each side has asserted last ([`Leg::index`]).
    asserted: [Option<Identity>; 2],
    /// Whether another party is on a leg than the first one ([`Leg::index`]).
    replaced: [bool; 2],
    /// What one of its parties heard in the call that this one goes on from.
    pub(super) heard: Option<Heard>,
    /// Its policy is that of the call which it goes on from, whatever trunk it takes.
    pub(super) keeps_policy: bool,
    /// It goes on in another call: a transfer.
    pub(super) is_transferred: bool,
    /// What header fields say by which it is found again.
    indexed: Vec<(Arc<str>, Private<String>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Ringing,
    Answered,
    Up { dialog: usize },
    Over,
}

/// What a new call is made of.
pub(super) struct Beginning {
    pub(super) id: CallId,
    pub(super) slot: u32,
    pub(super) recording: RecordingId,
    pub(super) direction: Direction,
    pub(super) trunk: (usize, TrunkName),
    pub(super) ways: [Flow; 2],
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) parties: Parties,
    pub(super) is_emergency: bool,
    pub(super) call_id: Bytes,
    pub(super) caller_tag: Bytes,
    pub(super) invite: Message,
}

/// What a call that was kept goes on with.
pub(super) struct Resumed {
    /// The dialog that both parties are in.
    pub(super) dialog: Dialog,
    pub(super) facing_callee: Vec<Option<PortPair>>,
    pub(super) agreed: Option<Agreed>,
    /// How old the call is.
    pub(super) before: Duration,
    pub(super) reason: Reason,
    /// For how long its session stands.
    pub(super) expires_in: Option<Duration>,
}

impl Call {
    /// Goes on after a restart: what was agreed is bridged again, and nobody is asked or recorded any more.
    pub(super) fn resume(&mut self, what: Resumed, desk: &mut Desk, now: Moment) {
        let Resumed { dialog, facing_callee, agreed, before, reason, expires_in } = what;
        self.dialogs = vec![dialog];
        self.facing_callee = facing_callee;
        self.state = State::Up { dialog: 0 };
        (self.answered, self.before, self.reason) = (Some(now), before, reason);
        (self.is_kept, self.is_restored) = (true, true);
        self.timer.refresh(expires_in, now);
        if let Some(agreed) = agreed {
            self.agree(0, agreed, desk, now);
            self.watch(0, false, desk);
        }
    }

    /// Returns the dialog that both parties are in.
    pub(super) const fn is_up_in(&self) -> Option<usize> {
        match self.state {
            State::Up { dialog } => Some(dialog),
            State::Ringing | State::Answered | State::Over => None,
        }
    }

    /// Returns when its session expires, by what its parties have agreed.
    pub(super) const fn expires(&self) -> Option<Moment> {
        self.timer.deadline()
    }

    pub(super) fn begin(what: Beginning, now: Moment) -> Self {
        let Beginning {
            id,
            slot,
            recording,
            direction,
            trunk: (trunk_at, trunk),
            ways,
            policy,
            parties,
            is_emergency,
            call_id,
            caller_tag,
            invite,
        } = what;
        Self {
            id,
            slot,
            recording,
            direction,
            trunk,
            trunk_at,
            ways,
            policy,
            parties,
            is_emergency,
            is_past_us: false,
            call_id,
            caller_tag,
            invite,
            began: now,
            before: Duration::ZERO,
            is_kept: false,
            is_restored: false,
            answered: None,
            facing_callee: Vec::new(),
            keys_to_callee: Vec::new(),
            dialogs: Vec::new(),
            state: State::Ringing,
            consent: None,
            telling: Telling::default(),
            reason: Reason::InProgress,
            reason_leg: None,
            is_recording: false,
            pause_ends: None,
            next_beep: None,
            toggled: None,
            aware: [Aware::default(); 2],
            held: None,
            is_withdrawn: false,
            recorded: None,
            was_granted: false,
            unlawful_at: None,
            unacknowledged_at: None,
            timer: SessionTimer::default(),
            asserted: [None, None],
            replaced: [false; 2],
            is_unrecorded: false,
            demand: Demand::Untold,
            advised: Advised::NotAsked,
            drawn: None,
            heard: None,
            keeps_policy: false,
            is_transferred: false,
            indexed: Vec::new(),
        }
    }

    pub(super) const fn caller(&self) -> Leg {
        self.direction.caller()
    }

    pub(super) const fn callee(&self) -> Leg {
        self.direction.caller().other()
    }

    /// Returns whether packets are kept at this moment.
    pub(super) fn is_recording(&self) -> bool {
        self.is_recording && !self.is_suspended()
    }

    /// Returns when the operator's pause ends by itself, where there is one.
    pub(super) const fn pause_ends(&self) -> Option<Moment> {
        self.pause_ends
    }

    /// It goes to the called party this way.
    pub(super) fn goes(&mut self, way: Flow) {
        let [pbx, trunk] = &mut self.ways;
        match self.direction.caller().other() {
            Leg::Pbx => *pbx = way,
            Leg::Trunk => *trunk = way,
        }
    }

    /// Returns the way to who is on a leg.
    pub(super) fn way_to(&self, leg: Leg) -> Flow {
        let [pbx, trunk] = self.ways;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    pub(super) fn policy_name(&self) -> Option<Arc<str>> {
        self.policy.as_ref().map(|policy| Arc::clone(&policy.name))
    }

    /// Begins anew on another trunk, under the policy that is that one's; nobody has been heard yet.
    pub(super) fn start_over(&mut self, (at, trunk): (usize, TrunkName), policy: Option<Arc<Policy>>, desk: &mut Desk) {
        for at in 0..self.dialogs.len() {
            self.drop_dialog(at, desk);
        }
        self.dialogs.clear();
        for pair in self.facing_callee.drain(..).flatten() {
            desk.give_back(self.id, pair);
        }
        self.keys_to_callee.clear();
        (self.trunk_at, self.trunk, self.policy) = (at, trunk, policy);
        // Whether its media can be anchored is seen anew.
        self.is_past_us = false;
    }

    // ── dialogs ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Returns the dialog with this tag of the called party, making it where it is new; the first is there from the INVITE on.
    ///
    /// Nothing where the call has as many forks as it may have.
    pub(super) fn dialog_of_answer(&mut self, callee_tag: &[u8]) -> Option<usize> {
        if let Some(at) = self.dialogs.iter().position(|dialog| dialog.callee_tag.as_deref() == Some(callee_tag)) {
            return Some(at);
        }
        let tag = Some(Bytes::copy_from_slice(callee_tag));
        if let Some(first) = self.dialogs.first_mut()
            && first.callee_tag.is_none()
        {
            first.callee_tag = tag;
            return Some(0);
        }
        if self.dialogs.len() >= limits::DIALOGS_PER_CALL {
            return None;
        }
        self.dialogs.push(Dialog::new(tag, Vec::new()));
        Some(self.dialogs.len() - 1)
    }

    /// Returns the dialog of a request and the leg that may send it, by its tags (RFC 3261 §12.2.2).
    pub(super) fn dialog_of_request(&self, from_tag: &[u8], to_tag: &[u8]) -> Option<(usize, Leg)> {
        let by = |callee: &[u8]| self.dialogs.iter().position(|dialog| dialog.callee_tag.as_deref() == Some(callee));
        if from_tag == &*self.caller_tag {
            by(to_tag).map(|at| (at, self.caller()))
        } else if to_tag == &*self.caller_tag {
            by(from_tag).map(|at| (at, self.callee()))
        } else {
            None
        }
    }

    /// A 2xx is there for this dialog: if it was lost to another fork's, both forks were answered, and the caller will choose by its ACK
    /// and a BYE to the other (RFC 3261 §13.2.2.4).
    pub(super) fn revive(&mut self, at: usize) -> bool {
        let Some(dialog) = self.dialogs.get_mut(at).filter(|dialog| dialog.state == DialogState::Lost) else { return false };
        let Dialog { cseq, byes, first_bye, .. } = *dialog;
        *dialog = Dialog { cseq, byes, first_bye, ..Dialog::new(dialog.callee_tag.take(), Vec::new()) };
        true
    }

    pub(super) fn accept(&mut self, at: usize, response: &Message, desk: &mut Desk, now: Moment) {
        if let Some(dialog) = self.dialogs.get_mut(at)
            && dialog.state == DialogState::Early
        {
            dialog.state = DialogState::Accepted;
            dialog.accepted = Some(response.clone());
            self.describe_again(at, desk);
        }
        if self.state != State::Ringing {
            return;
        }
        self.state = State::Answered;
        self.unacknowledged_at = Some(now + desk.acknowledged_within());
        // The other forks are cancelled by whoever forked; their media ends here.
        for other in 0..self.dialogs.len() {
            if other != at {
                self.drop_dialog(other, desk);
            }
        }
    }

    /// The ACK of the 2xx passed: both parties are in the call, and may be told. Where two forks were answered, the first ACK is the
    /// caller's choice.
    pub(super) fn confirm(&mut self, at: usize, desk: &mut Desk, now: Moment) {
        let Some(dialog) = self.dialogs.get_mut(at).filter(|dialog| dialog.state == DialogState::Accepted) else { return };
        dialog.state = DialogState::Confirmed;
        if self.state == State::Answered {
            self.go_up(at, desk, now);
        }
    }

    /// A dialog is over that does not end the call. If it was the one that both were in, the caller has chosen another, whose party is
    /// asked anew unless it was decided already.
    pub(super) fn leave(&mut self, at: usize, by: Leg, desk: &mut Desk, now: Moment) {
        let was_up = self.is_in(at);
        if was_up {
            self.end_recording(EndReason::HungUp(by), desk);
            (self.pause_ends, self.held) = (None, None);
        }
        self.drop_dialog(at, desk);
        if let Some(dialog) = self.dialogs.get_mut(at) {
            dialog.state = DialogState::Over;
        }
        let with = |state| self.dialogs.iter().position(|dialog| dialog.state == state);
        match (was_up, with(DialogState::Confirmed)) {
            (false, _) => {}
            (true, Some(other)) => self.go_up(other, desk, now),
            (true, None) => {
                self.state = State::Answered;
                self.unacknowledged_at = Some(now + desk.acknowledged_within());
            }
        }
    }

    fn go_up(&mut self, at: usize, desk: &mut Desk, now: Moment) {
        self.state = State::Up { dialog: at };
        self.unacknowledged_at = None;
        self.watch(at, false, desk);
        if self.answered.is_some() && self.reason != Reason::InProgress {
            return;
        }
        self.answered.get_or_insert(now);
        self.telling = Telling::default();
        if !self.waits_for_advice() {
            self.ask(at, desk, now);
        }
    }

    /// Begins to ask for consent, or says why nobody is asked.
    fn ask(&mut self, at: usize, desk: &mut Desk, now: Moment) {
        if self.is_emergency {
            return self.settle(Reason::Emergency, None, desk);
        }
        let Some(policy) = self.policy.clone() else {
            return self.settle(Reason::NoPolicy, None, desk);
        };
        let Some(terms) = policy.terms.clone() else {
            return self.settle(Reason::PolicyNever, None, desk);
        };
        if self.is_never_recorded(desk) {
            return;
        }
        if self.is_unrecorded {
            return self.settle(Reason::Unrecorded, Some(Leg::Pbx), desk);
        }
        if let Some(reason) = self.left_out(&policy, desk, now).or_else(|| self.barred_by_hook(&policy)) {
            return self.settle(reason, None, desk);
        }
        if self.is_to_be_demanded(&policy) {
            return;
        }
        if let Some(dialog) = self.dialogs.get(at)
            && dialog.audio().is_none()
        {
            let is_secure = dialog.agreed.as_ref().is_some_and(|agreed| {
                agreed.offer.lines().iter().zip(agreed.answer.lines()).any(|(offer, answer)| offer.is_encrypted(answer))
            });
            return self.settle(if is_secure { Reason::MediaEncrypted } else { Reason::NoAudio }, None, desk);
        }
        if let Some(reason) = self.unrecordable(desk) {
            // Nobody is told of a recording that there will not be.
            return self.is_unrecordable(reason, desk, now);
        }
        let facts = Facts {
            call: self.id,
            recording: self.recording,
            direction: self.direction,
            trunk: self.trunk.clone(),
            parties: self.parties.clone(),
            clocks: desk.clocks(),
        };
        self.consent = Some(match self.heard.take().filter(|heard| heard.is_on(&terms)) {
            Some(heard) => {
                self.telling.was_told_before(heard.leg());
                Consent::going_on(terms, facts, heard)
            }
            None => Consent::new(terms, facts),
        });
        if self.is_withdrawn {
            self.consider(Fact::OperatorWithdrew, desk, now);
        }
        self.heed(desk, now);
        Leg::BOTH.into_iter().for_each(|leg| self.look_up(leg, desk, now));
        self.announce(desk, now);
    }

    // ── consent ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// Begins the announcement on each leg that waits for it and can hear it.
    fn announce(&mut self, desk: &mut Desk, now: Moment) {
        let State::Up { dialog: at } = self.state else { return };
        let asking = self.consent.as_ref().is_some_and(|consent| consent.standing() == Standing::Asking);
        let Some(policy) = self.policy.clone().filter(|_| asking) else { return };
        let Some((dialog, line)) = self.dialogs.get(at).and_then(|dialog| dialog.audio().map(|line| (dialog, line))) else {
            return;
        };
        let Some(agreed) = dialog.agreed.clone() else { return };
        for leg in Leg::BOTH {
            if !self.telling.waits(leg) {
                continue;
            }
            let (Some(this), Some(offer), Some(answer)) =
                (agreed.of(leg).line(line), agreed.offer.line(line), agreed.answer.line(line))
            else {
                continue;
            };
            if !this.receives() {
                continue;
            }
            let clip_in = |coding| policy.clips.iter().find(|clip| clip.coding() == coding);
            let clip = this
                .speech(offer, answer, |coding| clip_in(coding).is_some())
                .and_then(|(coding, payload_type)| Some((clip_in(coding)?.clone(), payload_type)));
            match clip {
                Some((clip, payload_type)) => {
                    self.telling.begun(leg);
                    self.consider(Fact::Begun(leg), desk, now);
                    desk.order(self.id, Order::Announce(Announcing { id: bridge(self.id, at, line), leg, clip, payload_type }));
                }
                None => {
                    if let Some(cut) = self.telling.cut(leg, Cut::Codec) {
                        self.consider(Fact::Cut(leg, cut), desk, now);
                    }
                }
            }
        }
    }

    /// Takes what the media plane saw.
    pub(super) fn heard(&mut self, event: media::Event, desk: &mut Desk, now: Moment) {
        match event {
            media::Event::Played { id: _, played } => {
                self.telling.played(played.leg());
                self.consider(Fact::Played(played), desk, now);
            }
            media::Event::Cut { id: _, leg, cut } => match self.telling.cut(leg, cut) {
                Some(cut) => self.consider(Fact::Cut(leg, cut), desk, now),
                None => self.announce(desk, now),
            },
            media::Event::Moved { id, leg } => self.moved(id, leg, desk, now),
            media::Event::Digit { id: _, leg, digit, how } => self.pressed(leg, digit, how, desk, now),
            // The table takes the first two: they may end the call.
            media::Event::Dead { .. } | media::Event::OneWay { .. } | media::Event::Closed { .. } => {}
        }
    }

    pub(super) fn time_came(&mut self, desk: &mut Desk, now: Moment) {
        if self.pause_ends.is_some_and(|at| at <= now) {
            self.pause_is_over(desk);
        }
        self.beeps(desk, now);
        if let (true, State::Up { dialog }) = (self.timer.wake(now), self.state) {
            self.watch(dialog, true, desk);
        }
        self.consider(Fact::TimeCame, desk, now);
    }

    /// A 2xx to an INVITE or UPDATE agreed on the session timer, or on none.
    pub(super) fn refreshed(&mut self, interval: Option<Duration>, now: Moment) {
        self.timer.refresh(interval, now);
    }

    /// Nothing comes from either party.
    pub(super) const fn fell_silent(&mut self) {
        self.timer.fell_silent();
    }

    /// Returns whether neither a refresh came in time nor media: nobody is there any more, and no BYE will come.
    pub(super) const fn is_expired(&self) -> bool {
        self.timer.is_over() && !self.is_emergency && matches!(self.state, State::Up { .. })
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        let asked = self.consent.as_ref().and_then(Consent::deadline);
        let unlawful_at = self.unlawful_at.filter(|_| matches!(self.state, State::Up { .. }));
        [asked, self.pause_ends, self.beeps_at(), unlawful_at, self.unacknowledged_at, self.timer.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Returns whether the call was answered and never acknowledged: there is no call, and no BYE will come.
    pub(super) fn is_given_up(&self, now: Moment) -> bool {
        self.unacknowledged_at.is_some_and(|at| at <= now)
    }

    /// Returns whether no call of its kind may be without its recording. One for help may.
    pub(super) fn is_mandatory(&self) -> bool {
        !self.is_emergency && self.policy.as_ref().is_some_and(|policy| policy.mandatory.is_some())
    }

    /// Returns whether the call must be recorded, and was not for as long as it may go on so.
    pub(super) fn may_not_go_on(&self, now: Moment) -> bool {
        self.unlawful_at.is_some_and(|at| at <= now) && matches!(self.state, State::Up { .. })
    }

    /// Returns whether this is the dialog that both parties are in.
    pub(super) fn is_in(&self, dialog: usize) -> bool {
        match self.state {
            State::Up { dialog: up } => up == dialog,
            State::Answered => self.dialogs.get(dialog).is_some_and(|dialog| dialog.state == DialogState::Accepted),
            State::Ringing | State::Over => false,
        }
    }

    /// Returns whether a BYE within this dialog ends the call: that of another fork ends only the fork, and so does that of the one both
    /// are in while the call has another that was answered.
    pub(super) fn is_ended_by(&self, dialog: usize) -> bool {
        let is_answered = |state| matches!(state, DialogState::Accepted | DialogState::Confirmed);
        let mut others = self.dialogs.iter().enumerate().filter(|&(at, _)| at != dialog);
        self.is_in(dialog) && !others.any(|(_, other)| is_answered(other.state))
    }

    // ── pauses ─────────────────────────────────────────────────────────────────────────────────────────────────────

    /// A BYE is on its way in this dialog: nothing is kept of it from here on, whatever becomes of the BYE.
    pub(super) fn bye_went(&mut self, at: usize, by: Leg, desk: &mut Desk) {
        let was_suspended = self.is_suspended();
        let Some(dialog) = self.dialogs.get_mut(at) else { return };
        dialog.byes += 1;
        dialog.first_bye.get_or_insert(by);
        if !was_suspended && self.is_suspended() && !sabotage::is("keep-after-the-bye") {
            self.suspend(Suspension::Bye, desk);
        }
    }

    /// Returns who hung up, where `by` sent the BYE that was answered now.
    pub(super) fn hung_up_first(&self, at: usize, by: Leg) -> Leg {
        self.dialogs.get(at).and_then(|dialog| dialog.first_bye).unwrap_or(by)
    }

    pub(super) fn has_bye_on_its_way(&self, at: usize) -> bool {
        self.dialogs.get(at).is_some_and(|dialog| dialog.byes > 0)
    }

    /// The BYE was challenged: they talk on, and the recording has a gap.
    pub(super) fn bye_came_back(&mut self, at: usize, desk: &mut Desk) {
        let Some(dialog) = self.dialogs.get_mut(at) else { return };
        dialog.byes = dialog.byes.saturating_sub(1);
        if dialog.byes > 0 {
            return;
        }
        dialog.first_bye = None;
        if self.state != (State::Up { dialog: at }) {
            return;
        }
        match self.held.take() {
            Some(permit) => self.begin_recording(permit, desk),
            None => self.go_on(desk),
        }
    }

    /// The dialog that both are in is about to end, or may be.
    fn is_leaving(&self) -> bool {
        matches!(self.state, State::Up { dialog } if self.has_bye_on_its_way(dialog))
    }

    /// Nothing is kept while an operator pauses, or a BYE is on its way: what the one has suspended, the other does not resume.
    fn is_suspended(&self) -> bool {
        self.pause_ends.is_some() || self.is_leaving()
    }

    fn suspend(&self, why: Suspension, desk: &mut Desk) {
        if self.is_recording {
            desk.out(Output::Suspend { call: self.id, slot: self.slot, why });
        }
    }

    fn go_on(&self, desk: &mut Desk) {
        if self.is_recording() {
            desk.out(Output::Resume { call: self.id, slot: self.slot });
        }
    }

    // ── what consent decides ───────────────────────────────────────────────────────────────────────────────────────

    fn consider(&mut self, fact: Fact, desk: &mut Desk, now: Moment) {
        let by = match &fact {
            Fact::Pressed(leg, _, how) => Doer::Key(*leg, *how),
            Fact::SaysNo(leg) => Doer::Telephone(*leg),
            Fact::OperatorWithdrew => Doer::Operator,
            Fact::TimeCame | Fact::Ended => Doer::Time,
            Fact::StandsNoMore(_) | Fact::Exempt(_) | Fact::Stands(..) | Fact::Another(_) => Doer::Register,
            Fact::Begun(_) | Fact::Played(_) | Fact::Cut(..) => Doer::Time,
        };
        let Some(output) = self.consent.as_mut().and_then(|consent| consent.handle(fact, now)) else { return };
        match output {
            consent::Output::Begin(permit) if self.is_leaving() => self.held = Some(permit),
            consent::Output::Begin(permit) => self.begin_recording(permit, desk),
            consent::Output::Refuse(refusal) => {
                self.silence_announcements(desk);
                let leg = match refusal {
                    consent::Refusal::Declined(leg)
                    | consent::Refusal::Silence(leg)
                    | consent::Refusal::Cut(leg, _)
                    | consent::Refusal::Exempt(leg) => Some(leg),
                    consent::Refusal::Operator | consent::Refusal::Ended => None,
                };
                self.settle(Reason::of_refusal(refusal), leg, desk);
            }
            consent::Output::End(end) => {
                self.held = None;
                self.withdrawn_by(end, desk);
                // An operator's is told with the answer to it.
                if by != Doer::Operator {
                    self.turned(self.withdrawal(), by, desk);
                }
            }
        }
    }

    /// Writes down what somebody did to the recording.
    pub(super) fn turned(&self, what: Turn, by: Doer, desk: &mut Desk) {
        desk.out(Output::Turn { call: self.id, recording: self.was_granted.then_some(self.recording), what, by });
    }

    /// Returns which withdrawal the one is that was: whether it has what was recorded destroyed.
    fn withdrawal(&self) -> Turn {
        if self.reason == Reason::Shredded { Turn::Shredded } else { Turn::Withdrawn }
    }

    fn begin_recording(&mut self, permit: Permit, desk: &mut Desk) {
        let State::Up { dialog: at } = self.state else { return };
        let Some(line) = self.dialogs.get(at).and_then(Dialog::audio) else {
            return self.settle(Reason::NoAudio, None, desk);
        };
        self.is_recording = true;
        self.recorded = Some((at, line));
        self.was_granted = true;
        self.next_beep = Some(permit.granted()).filter(|_| self.in_call().beep.is_some());
        let formats = self.formats();
        // The story first: what becomes of the recording must find its row.
        self.settle(Reason::Recorded, None, desk);
        desk.out(Output::Record { id: bridge(self.id, at, line), slot: self.slot, permit, formats });
    }

    fn silence_announcements(&self, desk: &mut Desk) {
        let State::Up { dialog: at } = self.state else { return };
        if let Some(line) = self.dialogs.get(at).and_then(Dialog::audio) {
            for leg in Leg::BOTH {
                desk.order(self.id, Order::StopAnnouncement { id: bridge(self.id, at, line), leg });
            }
        }
    }

    /// The vault cannot record this call, or not any longer.
    pub(super) fn vault_failed(&mut self, left_a_file: bool, desk: &mut Desk, now: Moment) {
        self.was_granted &= left_a_file;
        if self.is_recording {
            self.end_recording(EndReason::CallFailed, desk);
        }
        self.is_unrecordable(Reason::VaultUnavailable, desk, now);
    }

    /// A part of the recording will be missing, and the rest goes on.
    pub(super) fn has_a_gap(&mut self, now: Moment) {
        self.must_end(now);
    }

    /// Ends a call that must be recorded and is not, after a while.
    fn must_end(&mut self, now: Moment) {
        if self.is_mandatory() && self.unlawful_at.is_none() {
            self.unlawful_at = self.policy.as_ref().and_then(|policy| policy.mandatory).map(|grace| now + grace);
        }
    }

    /// Returns why no recording of the call could begin now, where none could.
    pub(super) fn unrecordable(&self, desk: &Desk) -> Option<Reason> {
        let is_of_it = |policy: &Arc<Policy>| desk.full.iter().any(|full| *full == policy.name);
        match (desk.vault_is_shut, &self.policy) {
            (true, _) => Some(Reason::VaultUnavailable),
            (false, Some(policy)) if is_of_it(policy) => Some(Reason::Quota),
            (false, _) => None,
        }
    }

    /// The call goes on without a recording, and where that may not be, for a while.
    fn is_unrecordable(&mut self, reason: Reason, desk: &mut Desk, now: Moment) {
        self.settle(reason, None, desk);
        if self.reason == reason {
            self.must_end(now);
        }
    }

    /// No media comes for the call, which is to be ended.
    pub(super) fn died(&mut self, reason: Reason, desk: &mut Desk) {
        self.end_recording(EndReason::Silent, desk);
        self.settle(reason, None, desk);
    }

    fn end_recording(&mut self, why: EndReason, desk: &mut Desk) {
        self.recorded = None;
        self.pause_ends = None;
        if std::mem::take(&mut self.is_recording) {
            desk.out(Output::EndRecording { call: self.id, slot: self.slot, why });
        }
    }

    // ── the end ────────────────────────────────────────────────────────────────────────────────────────────────────

    /// The call is over: `reason` is why it has no recording, where nothing else was said before, and `why` ends the one it has. The recording is closed, bridges and ports are given back, the last word goes to the ledger.
    pub(super) fn end(&mut self, reason: Reason, why: EndReason, desk: &mut Desk, now: Moment) {
        if self.state == State::Over {
            return;
        }
        if self.reason == Reason::InProgress && reason == Reason::Stopped {
            self.reason = reason;
        }
        if self.waits_for_demand() {
            self.reason = Reason::NotDemanded;
        }
        self.consider(Fact::Ended, desk, now);
        let goes_on = self.is_transferred && matches!(why, EndReason::HungUp(_));
        self.end_recording(if goes_on { EndReason::Transferred } else { why }, desk);
        for at in 0..self.dialogs.len() {
            self.drop_dialog(at, desk);
        }
        for pair in self.facing_callee.drain(..).flatten() {
            desk.give_back(self.id, pair);
        }
        self.state = State::Over;
        if self.reason == Reason::InProgress {
            self.reason = reason;
        }
        desk.out(Output::Story(Box::new(self.story(Some(now)))));
    }

    pub(super) fn drop_dialog(&mut self, at: usize, desk: &mut Desk) {
        let Some(dialog) = self.dialogs.get_mut(at) else { return };
        dialog.state = DialogState::Lost;
        for (line, bridged) in dialog.bridged.drain(..).enumerate() {
            if bridged.is_some() {
                desk.order(self.id, Order::Close { id: bridge(self.id, at, line) });
            }
        }
        for pair in dialog.facing_caller.drain(..).flatten() {
            if sabotage::is("leak-a-port") && pair.rtp.is_multiple_of(16) {
                continue;
            }
            desk.give_back(self.id, pair);
        }
    }

    /// Writes a reason into the ledger; the first stands, but for what ends a recording.
    fn settle(&mut self, reason: Reason, leg: Option<Leg>, desk: &mut Desk) {
        let stands = self.reason != Reason::InProgress && self.reason != Reason::Recorded;
        // What is to be destroyed is destroyed, whatever has ended its recording.
        if stands && reason != Reason::Shredded {
            return;
        }
        self.reason = reason;
        self.reason_leg = leg;
        desk.out(Output::Story(Box::new(self.story(None))));
    }

    pub(super) fn story(&self, ended: Option<Moment>) -> Story {
        Story {
            call: self.id,
            began: self.began,
            answered: self.answered,
            ended,
            direction: self.direction,
            trunk: self.trunk.clone(),
            policy: self.policy_name(),
            purpose: self.policy.as_ref().and_then(|policy| policy.terms.as_ref()).map(|terms| Arc::clone(&terms.purpose)),
            parties: self.parties.clone(),
            indexed: self.indexed.clone(),
            is_restored: self.is_restored,
            reason: self.reason,
            leg: self.reason_leg,
            recording: self.was_granted.then_some(self.recording),
        }
    }

    /// Returns whether consent was refused. Whoever is never recorded refuses nothing.
    pub(super) fn is_refused(&self) -> bool {
        self.consent.as_ref().is_some_and(
            |consent| matches!(consent.standing(), Standing::Refused(refusal) if !matches!(refusal, consent::Refusal::Exempt(_))),
        )
    }

    pub(super) fn reason(&self) -> Reason {
        if self.waits_for_demand() { Reason::NotDemanded } else { self.reason }
    }
}

fn bridge(call: CallId, dialog: usize, line: usize) -> BridgeId {
    let small = |at: usize| u16::try_from(at).expect("dialogs and lines are bounded far below 65,536 by limits.rs");
    BridgeId { call, dialog: small(dialog), line: small(line) }
}
