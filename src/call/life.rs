//! The life of one call: its dialogs, what was agreed, who was told, who consented, and what becomes of the recording.
//!
//! ```text
//!            2xx             ACK                     BYE answered
//!  Ringing ───────▶ Answered ───────▶ Up ─────────────────────────▶ Over
//!     └── 3xx–6xx, CANCEL, time-out ─────────────────────────────────▲
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::anchor::{self, Session};
use super::announce::Telling;
use super::desk::Desk;
use super::dialog::{Agreed, Dialog, DialogState, Stood};
use super::door::{Deed, Done, NotDone, Output, PortPair, RecordedFormat, Suspension};
use super::keys::{MediaAs, NotSecured, Ours};
use super::policy::Policy;
use super::session_timer::SessionTimer;
use super::story::{Reason, Story};
use crate::consent::{self, By, Clip, Consent, Cut, Fact, Facts, How, Parties, Permit, Standing};
use crate::digit::Digit;
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::limits;
use crate::media::srtp::Keying;
use crate::media::{self, Announcing, BridgeId, Bridging, Content, Order, Remote, Srtp};
use crate::time::Moment;
use crate::vault::EndReason;
use crate::wire::sdp::{Crypto, Sdp, Secured};
use crate::wire::sip::Message;

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: CallId,
    pub(super) slot: u32,
    pub(super) recording: RecordingId,
    pub(super) direction: Direction,
    pub(super) trunk: TrunkName,
    pub(super) trunk_at: usize,
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
    pub(super) began: Moment,
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
    /// When the operator's pause ends by itself.
    pause_ends: Option<Moment>,
    /// What was granted while a BYE was on its way: nothing is begun for a call that ends, but one whose BYE is challenged goes on.
    held: Option<Permit>,
    /// An operator withdrew before anybody was asked: nobody will be.
    is_withdrawn: bool,
    /// The dialog and line that are, or were, recorded.
    recorded: Option<(usize, usize)>,
    was_granted: bool,
    /// When an answered call without its ACK is given up (RFC 3261 §13.3.1.4: 64·T1).
    unacknowledged_at: Option<Moment>,
    timer: SessionTimer,
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
    pub(super) policy: Option<Arc<Policy>>,
    pub(super) parties: Parties,
    pub(super) is_emergency: bool,
    pub(super) call_id: Bytes,
    pub(super) caller_tag: Bytes,
    pub(super) invite: Message,
}

/// Why a description was not given ports of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NotAnchored {
    /// No port pair was left: 503.
    NoPorts,
    /// It names a port of the call's own: 488.
    PointsAtItself,
    /// A line wants its media where we cannot be in between: 488.
    Escapes,
    /// It is not SRTP where that is wanted, or is where it is not: 488.
    NotSecured(NotSecured),
}

/// What a description is in its exchange (RFC 3264).
#[derive(Clone, Copy, Debug)]
pub(super) enum Role<'s> {
    /// It begins one.
    Offer,
    /// It begins one, with a party of the dialog that has asked for it by an INVITE without a description.
    OfferAsked,
    /// It answers this offer.
    Answer(&'s Session),
    /// It did so before, and comes again: it is to say what it said.
    Again(&'s Session),
}

impl<'s> Role<'s> {
    /// Returns the role of what answers this offer, if there is one.
    pub(super) const fn after(offer: Option<&'s Session>, is_again: bool) -> Self {
        match offer {
            None => Self::Offer,
            Some(offer) if is_again => Self::Again(offer),
            Some(offer) => Self::Answer(offer),
        }
    }
}

impl NotAnchored {
    /// Returns what to answer a request with.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::NoPorts => 503,
            Self::PointsAtItself | Self::Escapes | Self::NotSecured(_) => 488,
        }
    }

    /// Returns what to say beside the status, where that does not say it: a Warning of the code for what has none (RFC 3261 §20.43).
    pub(super) fn warning(self) -> Option<(&'static str, String)> {
        match self {
            Self::NotSecured(why) => Some(("Warning", format!("399 mitschnitt \"{}\"", why.warning()))),
            Self::NoPorts | Self::PointsAtItself | Self::Escapes => None,
        }
    }
}

impl Call {
    pub(super) fn begin(what: Beginning, now: Moment) -> Self {
        let Beginning {
            id,
            slot,
            recording,
            direction,
            trunk: (trunk_at, trunk),
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
            policy,
            parties,
            is_emergency,
            is_past_us: false,
            call_id,
            caller_tag,
            invite,
            began: now,
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
            held: None,
            is_withdrawn: false,
            recorded: None,
            was_granted: false,
            unacknowledged_at: None,
            timer: SessionTimer::default(),
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

    pub(super) fn policy_name(&self) -> Option<Arc<str>> {
        self.policy.as_ref().map(|policy| Arc::clone(&policy.name))
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
        if self.is_emergency {
            return self.settle(Reason::Emergency, None, desk);
        }
        let Some(policy) = self.policy.clone() else {
            return self.settle(Reason::NoPolicy, None, desk);
        };
        let Some(terms) = policy.terms.clone() else {
            return self.settle(Reason::PolicyNever, None, desk);
        };
        if let Some(dialog) = self.dialogs.get(at)
            && dialog.audio().is_none()
        {
            let is_secure = dialog.agreed.as_ref().is_some_and(|agreed| {
                agreed.offer.lines().iter().zip(agreed.answer.lines()).any(|(offer, answer)| offer.is_encrypted(answer))
            });
            return self.settle(if is_secure { Reason::MediaEncrypted } else { Reason::NoAudio }, None, desk);
        }
        let facts = Facts {
            call: self.id,
            recording: self.recording,
            direction: self.direction,
            trunk: self.trunk.clone(),
            parties: self.parties.clone(),
            clocks: desk.clocks(),
        };
        self.consent = Some(Consent::new(terms, facts));
        if self.is_withdrawn {
            self.consider(Fact::OperatorWithdrew, desk, now);
        }
        self.announce(desk, now);
    }

    // ── session descriptions ───────────────────────────────────────────────────────────────────────────────────────

    /// Reads what matters out of a description of this call.
    pub(super) fn session(&self, sdp: &Sdp, desk: &Desk) -> Session {
        Session::of(sdp, desk.media_as(self.trunk_at).is_some())
    }

    /// Gives a description that goes to `to` the ports that face that leg, taking new ones for lines that have none, and the keys that its
    /// peer's rule wants.
    ///
    /// # Errors
    /// No port pair is left, it names a port of this call, an address that cannot be given another, or is not as the peers' rules want it: what was taken stays
    /// with the call, and is given back with it.
    pub(super) fn anchor(
        &mut self,
        to: Leg,
        dialog: Option<usize>,
        sdp: &Sdp,
        role: Role<'_>,
        desk: &mut Desk,
    ) -> Result<Vec<u8>, NotAnchored> {
        let session = self.session(sdp, desk);
        let rules = desk.media_as(self.trunk_at);
        if let Some(rules) = rules {
            self.check_keys(to, dialog, &session, role, rules).map_err(NotAnchored::NotSecured)?;
        }
        if self.points_at_itself(&session, desk) {
            return Err(NotAnchored::PointsAtItself);
        }
        // What came must be of the version that its side speaks; what goes is of that of the other.
        let (ip, theirs) = (desk.media_ip(to), desk.media_ip(to.other()));
        if session.lines().iter().any(|line| line.escapes(theirs)) {
            return Err(NotAnchored::Escapes);
        }
        let facing = if to == self.callee() {
            &mut self.facing_callee
        } else {
            &mut dialog.and_then(|at| self.dialogs.get_mut(at)).ok_or(NotAnchored::NoPorts)?.facing_caller
        };
        for (at, line) in session.lines().iter().enumerate() {
            if facing.len() <= at {
                facing.push(None);
            }
            if let Some(place) = facing.get_mut(at)
                && place.is_none()
                && line.can_be_anchored(theirs)
            {
                *place = Some(desk.take_ports(to).ok_or(NotAnchored::NoPorts)?);
            }
        }
        // A line that cannot be anchored, such as a rejected one, keeps what it says even where it once had ports.
        let here: Vec<Option<PortPair>> =
            session.lines().iter().zip(facing.iter()).map(|(line, pair)| pair.filter(|_| line.can_be_anchored(theirs))).collect();
        let policy = self.policy.as_ref().filter(|policy| policy.terms.is_some() && !self.is_emergency);
        let restricted = match role {
            Role::Offer | Role::OfferAsked => policy.and_then(|policy| anchor::restricted(sdp, policy)),
            Role::Answer(_) | Role::Again(_) => None,
        };
        // Last, for nothing fails from here on: what is refused leaves the keys as they were.
        let secured = rules.map(|rules| self.secure(to, dialog, &session, role, rules, desk));
        Ok(anchor::rewrite(restricted.as_ref().unwrap_or(sdp), &here, ip, secured.as_deref()))
    }

    /// Sees whether the rules of both sides allow what a description says.
    fn check_keys(
        &self,
        to: Leg,
        dialog: Option<usize>,
        session: &Session,
        role: Role<'_>,
        rules: [MediaAs; 2],
    ) -> Result<(), NotSecured> {
        let (its, others) = (rule(rules, to), rule(rules, to.other()));
        for (at, line) in session.lines().iter().enumerate() {
            match role {
                Role::Offer | Role::OfferAsked => {
                    others.chosen(line)?;
                    if its == MediaAs::Srtp && line.is_wanted() && line.profile().is_none() {
                        return Err(NotSecured::WantsSrtp);
                    }
                }
                Role::Answer(_) => {
                    others.accepted(line, self.ours(to.other(), dialog, at).unwrap_or(&Ours::NONE))?;
                }
                // It was allowed when it came first; the keys that it speaks of may be others by now.
                Role::Again(_) => {}
            }
        }
        Ok(())
    }

    /// Returns how each line of a description is to be said to `to`, by the rules of both sides, which allow it.
    fn secure(
        &mut self,
        to: Leg,
        dialog: Option<usize>,
        session: &Session,
        role: Role<'_>,
        rules: [MediaAs; 2],
        desk: &mut Desk,
    ) -> Vec<Option<Secured>> {
        let its = rule(rules, to);
        let before = dialog.and_then(|at| self.dialogs.get(at)).and_then(|dialog| dialog.agreed.clone());
        let before = |line: usize| before.as_ref().and_then(|agreed| agreed.of(to).line(line));
        let mut secured = Vec::new();
        for (at, line) in session.lines().iter().enumerate() {
            let said = match role {
                Role::Offer | Role::OfferAsked => {
                    let was_secure = before(at).is_some_and(anchor::Line::is_secure);
                    self.ours_mut(to, dialog, at).and_then(|ours| {
                        // So a PBX asks that puts another phone through: it shall not have the key of the one before.
                        if matches!(role, Role::OfferAsked) {
                            ours.clear();
                        }
                        its.offers(line, was_secure, ours, &mut desk.config.keys)
                    })
                }
                Role::Answer(offer) | Role::Again(offer) => {
                    let offered = offer.line(at);
                    // Whoever offers another key, or from elsewhere, may be somebody else, who shall not have what we sealed for the one
                    // before, nor the other way round.
                    let is_another = offered.zip(before(at)).is_some_and(|(offered, before)| {
                        let key = its.chosen(offered).ok().flatten();
                        offered.is_elsewhere_than(before)
                            || key.is_some_and(|key| !before.keys().iter().any(|known| known.keys() == key.keys()))
                    });
                    self.ours_mut(to, dialog, at).zip(offered).and_then(|(ours, offered)| {
                        if is_another && matches!(role, Role::Answer(_)) {
                            ours.clear();
                        }
                        its.answers(offered, ours, &mut desk.config.keys)
                    })
                }
            };
            secured.push(said.or_else(|| line.keyless()));
        }
        secured
    }

    /// Our keys towards a leg on a line.
    fn ours(&self, leg: Leg, dialog: Option<usize>, line: usize) -> Option<&Ours> {
        let dialog = dialog.and_then(|at| self.dialogs.get(at));
        if leg == self.callee() {
            dialog.and_then(|dialog| dialog.keys_to_callee.get(line)).or_else(|| self.keys_to_callee.get(line))
        } else {
            dialog?.keys_to_caller.get(line)
        }
    }

    fn ours_mut(&mut self, leg: Leg, dialog: Option<usize>, line: usize) -> Option<&mut Ours> {
        let callee = self.callee();
        let first: &[Ours] = if leg == callee { &self.keys_to_callee } else { &[] };
        let all = match dialog {
            None if leg == callee => {
                self.keys_to_callee.resize_with(self.keys_to_callee.len().max(line + 1), Ours::default);
                return self.keys_to_callee.get_mut(line);
            }
            None => return None,
            Some(at) if leg == callee => &mut self.dialogs.get_mut(at)?.keys_to_callee,
            Some(at) => &mut self.dialogs.get_mut(at)?.keys_to_caller,
        };
        // What is agreed anew with one fork is not what the others were offered.
        while all.len() <= line {
            all.push(first.get(all.len()).cloned().unwrap_or_default());
        }
        all.get_mut(line)
    }

    /// Returns the keys that were agreed with a leg on a line; nothing where it is plain.
    ///
    /// # Errors
    /// What was agreed is not what the rules allow. An exchange that was let through is never so.
    fn srtp(&self, at: usize, agreed: &Agreed, line: usize, leg: Leg, desk: &Desk) -> Result<Option<Box<Srtp>>, NotSecured> {
        let (Some(rules), Some(said)) = (desk.media_as(self.trunk_at), agreed.of(leg).line(line)) else { return Ok(None) };
        let Some(ours) = self.ours(leg, Some(at), line) else { return Ok(None) };
        let keys: Option<(&Crypto, &Crypto)> = if leg == agreed.offerer {
            let theirs = rule(rules, leg).chosen(said)?;
            theirs
                .map(|theirs| ours.known(theirs.suite()).map(|ours| (theirs, ours)).ok_or(NotSecured::NoUsableKey))
                .transpose()?
        } else {
            rule(rules, leg).accepted(said, ours)?
        };
        let keying = |key: &Crypto| Keying::of(key).map_err(|_| NotSecured::NoUsableKey);
        keys.map(|(theirs, ours)| Ok(Box::new(Srtp { theirs: keying(theirs)?, ours: keying(ours)? }))).transpose()
    }

    /// Returns whether a description names a port of this very call: what came in there would be sent there, for ever.
    fn points_at_itself(&self, session: &Session, desk: &Desk) -> bool {
        let caller = self.caller();
        let near = self.dialogs.iter().flat_map(|dialog| &dialog.facing_caller).map(|pair| (caller, pair));
        let far = self.facing_callee.iter().map(|pair| (caller.other(), pair));
        near.chain(far).filter_map(|(leg, pair)| pair.as_ref().map(|pair| (desk.media_ip(leg), pair))).any(|(ip, pair)| {
            session
                .lines()
                .iter()
                .any(|line| line.is_at(SocketAddr::new(ip, pair.rtp)) || line.is_at(SocketAddr::new(ip, pair.rtcp)))
        })
    }

    /// Takes the ports that will face the caller in the first dialog, so that a call that cannot have them is refused before it rings.
    ///
    /// # Errors
    /// No port pair is left.
    pub(super) fn reserve(&mut self, session: &Session, desk: &mut Desk) -> Result<(), NotAnchored> {
        let caller = self.caller();
        let ip = desk.media_ip(caller);
        let Some(dialog) = self.dialogs.first_mut() else { return Ok(()) };
        for (at, line) in session.lines().iter().enumerate() {
            if dialog.facing_caller.len() <= at {
                let pair =
                    if line.can_be_anchored(ip) { Some(desk.take_ports(caller).ok_or(NotAnchored::NoPorts)?) } else { None };
                dialog.facing_caller.push(pair);
            }
        }
        Ok(())
    }

    /// An offer was answered: the media plane learns who sends what from where.
    pub(super) fn agree(&mut self, at: usize, agreed: Agreed, desk: &mut Desk, now: Moment) {
        let caller = self.caller();
        let Some(dialog) = self.dialogs.get_mut(at) else { return };
        if matches!(dialog.state, DialogState::Lost | DialogState::Over) {
            return;
        }
        let lines = agreed.offer.lines().len().min(agreed.answer.lines().len());
        dialog.bridged.resize(lines.max(dialog.bridged.len()), None);
        let before = dialog.agreed.replace(agreed.clone());
        dialog.agreements = dialog.agreements.wrapping_add(1);
        let audio = dialog.audio();
        if self.recorded.is_some_and(|recorded| recorded == (at, recorded.1) && audio != Some(recorded.1)) {
            // What comes now is no plain audio, or comes on another line: the recording ends before the first packet of it.
            self.end_recording(EndReason::MediaChanged, desk);
        }
        self.tell_anew(at, before.as_ref(), &agreed, desk, now);
        let Some(dialog) = self.dialogs.get_mut(at) else { return };
        dialog.places.resize(dialog.bridged.len(), [None, None]);
        let (facing_caller, facing_callee) = (&dialog.facing_caller, &self.facing_callee);
        for (line, bridged) in dialog.bridged.iter_mut().enumerate() {
            let facing = |leg| {
                let pairs = if leg == caller { facing_caller } else { facing_callee };
                pairs.get(line).copied().flatten()
            };
            let (Some(pbx), Some(trunk)) = (facing(Leg::Pbx), facing(Leg::Trunk)) else { continue };
            let Some(content) =
                agreed.offer.line(line).zip(agreed.answer.line(line)).map(|(offer, answer)| offer.content(answer))
            else {
                continue;
            };
            let id = bridge(self.id, at, line);
            if *bridged != Some(content) {
                if bridged.is_some() {
                    desk.order(self.id, Order::Close { id });
                }
                *bridged = Some(content);
                desk.order(
                    self.id,
                    Order::Bridge(Box::new(Bridging {
                        id,
                        slot: self.slot,
                        ports: [pbx.ids, trunk.ids],
                        content,
                        latching: desk.latching(self.trunk_at),
                    })),
                );
            }
        }
        self.describe(at, &Leg::BOTH, desk);
        if self.state == (State::Up { dialog: at }) {
            self.watch(at, false, desk);
        }
        if self.is_recording {
            let formats = self.formats();
            desk.out(Output::Formats { call: self.id, slot: self.slot, formats });
        }
        self.announce(desk, now);
    }

    /// A re-INVITE was refused after it had changed something: all is as it was before.
    pub(super) fn go_back(&mut self, at: usize, stood: Stood, desk: &mut Desk, now: Moment) {
        if let Some(agreed) = self.dialogs.get_mut(at).and_then(|dialog| dialog.take_back(stood)) {
            self.agree(at, agreed, desk, now);
        }
    }

    /// Has the dialog's first audio line watched, whoever encrypts it, where silence is to be told. A bridge that is watched already goes
    /// on being so; without audio, as with a fax, nobody says what silence is.
    fn watch(&self, at: usize, again: bool, desk: &mut Desk) {
        let Some(dead) = desk.config.dead else { return };
        let Some(dialog) = self.dialogs.get(at) else { return };
        let Some(agreed) = &dialog.agreed else { return };
        let is_audio = |line: usize| agreed.offer.line(line).is_some_and(anchor::Line::is_sound);
        let is_rtp = |content: &Option<Content>| content.is_some_and(|content| content != Content::Datagrams);
        if let Some((line, _)) = dialog.bridged.iter().enumerate().find(|&(line, content)| is_rtp(content) && is_audio(line)) {
            desk.order(self.id, Order::Watch { id: bridge(self.id, at, line), patience: dead.after, again });
        }
    }

    /// The call was answered in this dialog: who was described with early media may be where it is only from here on, and may be learned
    /// anew for a time. Whoever is where it says is described once.
    fn describe_again(&mut self, at: usize, desk: &mut Desk) {
        let learns = desk.latching(self.trunk_at).map(|latching| latching.learns());
        let legs: Vec<Leg> = Leg::BOTH.into_iter().filter(|leg| learns.get(leg.index()).copied().unwrap_or_default()).collect();
        self.describe(at, &legs, desk);
    }

    /// Tells the media plane what was agreed with these legs, on each line that has a bridge.
    fn describe(&mut self, at: usize, legs: &[Leg], desk: &mut Desk) {
        let Some(Dialog { agreed: Some(agreed), bridged, .. }) = self.dialogs.get(at) else { return };
        let (agreed, lines) = (agreed.clone(), bridged.len());
        for line in 0..lines {
            for &leg in legs {
                let srtp = self.srtp(at, &agreed, line, leg, desk);
                let Some(Dialog { bridged, places, .. }) = self.dialogs.get_mut(at) else { return };
                if bridged.get(line).copied().flatten().is_none() {
                    continue;
                }
                let (remote, srtp) = match srtp {
                    Ok(srtp) => (remote(&agreed, places, line, leg), srtp),
                    Err(_) => (anchor::nowhere(), None),
                };
                desk.order(self.id, Order::Describe { id: bridge(self.id, at, line), leg, remote, srtp });
            }
        }
    }

    /// While nothing is granted, a party that was told and is now elsewhere may be another person: it is told again.
    fn tell_anew(&mut self, at: usize, before: Option<&Agreed>, agreed: &Agreed, desk: &mut Desk, now: Moment) {
        if self.state != (State::Up { dialog: at })
            || self.consent.as_ref().is_none_or(|consent| consent.standing() != Standing::Asking)
        {
            return;
        }
        let (Some(before), Some(line)) = (before, self.dialogs.get(at).and_then(Dialog::audio)) else { return };
        for leg in Leg::BOTH {
            let (was, is) = (before.of(leg).line(line), agreed.of(leg).line(line));
            let is_elsewhere = was.zip(is).is_some_and(|(was, is)| is.is_elsewhere_than(was));
            if is_elsewhere && self.telling.moved(leg) {
                self.consider(Fact::Begun(leg), desk, now);
            }
        }
    }

    /// A party was found elsewhere than its description says: what it was told before, it may not have heard.
    fn moved(&mut self, id: BridgeId, leg: Leg, desk: &mut Desk, now: Moment) {
        let State::Up { dialog: at } = self.state else { return };
        let is_here = self.dialogs.get(at).and_then(Dialog::audio).is_some_and(|line| bridge(self.id, at, line) == id);
        let is_asking = self.consent.as_ref().is_some_and(|consent| consent.standing() == Standing::Asking);
        if is_here && is_asking && self.telling.moved(leg) {
            self.consider(Fact::Begun(leg), desk, now);
            self.announce(desk, now);
        }
    }

    /// What the payload types of the recorded stream mean: what a leg sends is numbered as the other asked for it (RFC 3264 §6.1).
    fn formats(&self) -> Vec<RecordedFormat> {
        let State::Up { dialog } = self.state else { return Vec::new() };
        let Some(dialog) = self.dialogs.get(dialog) else { return Vec::new() };
        let (Some(agreed), Some(line)) = (dialog.agreed.as_ref(), dialog.audio()) else { return Vec::new() };
        let mut formats = Vec::new();
        for leg in Leg::BOTH {
            let asked = agreed.of(leg.other()).line(line).map(anchor::Line::formats).unwrap_or_default();
            formats.extend(asked.iter().map(|format| RecordedFormat {
                leg,
                payload_type: format.payload_type,
                name: format.name.clone(),
                clock: format.clock,
                channels: format.channels,
            }));
        }
        formats
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
            let clip_in = |codec| policy.clips.iter().find(|clip| Clip::codec(clip) == codec);
            let clip = this
                .speech(offer, answer, |codec| clip_in(codec).is_some())
                .and_then(|(codec, payload_type)| Some((clip_in(codec)?.clone(), payload_type)));
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

    /// Returns whether a key means no, and never yes.
    pub(super) fn refuses_by_key(&self) -> bool {
        self.consent.as_ref().is_some_and(|consent| consent.terms().mode == consent::Mode::OptOut)
    }

    /// Takes a key that a party pressed.
    pub(super) fn pressed(&mut self, leg: Leg, digit: Digit, how: How, desk: &mut Desk, now: Moment) {
        self.consider(Fact::Pressed(leg, digit, how), desk, now);
    }

    pub(super) fn time_came(&mut self, desk: &mut Desk, now: Moment) {
        if self.pause_ends.is_some_and(|at| at <= now) {
            self.pause_ends = None;
            self.go_on(desk);
        }
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
        [asked, self.pause_ends, self.unacknowledged_at, self.timer.deadline()].into_iter().flatten().min()
    }

    /// Returns whether the call was answered and never acknowledged: there is no call, and no BYE will come.
    pub(super) fn is_given_up(&self, now: Moment) -> bool {
        self.unacknowledged_at.is_some_and(|at| at <= now)
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

    /// Does what an operator wants.
    ///
    /// # Errors
    /// Nothing can be done, or was done already.
    pub(super) fn operate(&mut self, deed: Deed, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
        match deed {
            Deed::Pause => self.pause(desk, now),
            Deed::Resume => {
                self.pause_ends.take().ok_or(NotDone::NotPaused)?;
                self.go_on(desk);
                Ok(Done::Resumed)
            }
            Deed::Withdraw => self.withdraw(desk, now),
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

    fn withdraw(&mut self, desk: &mut Desk, now: Moment) -> Result<Done, NotDone> {
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
                (Some(_), State::Up { .. } | State::Over) => return Err(NotDone::NotRecorded(self.reason)),
            },
        }
        Ok(Done::Withdrawn)
    }

    /// A BYE is on its way in this dialog: nothing is kept of it from here on, whatever becomes of the BYE.
    pub(super) fn bye_went(&mut self, at: usize, by: Leg, desk: &mut Desk) {
        let was_suspended = self.is_suspended();
        let Some(dialog) = self.dialogs.get_mut(at) else { return };
        dialog.byes += 1;
        dialog.first_bye.get_or_insert(by);
        if !was_suspended && self.is_suspended() && !cfg!(sabotage = "keep-after-the-bye") {
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
        let Some(output) = self.consent.as_mut().and_then(|consent| consent.handle(fact, now)) else { return };
        match output {
            consent::Output::Begin(permit) if self.is_leaving() => self.held = Some(permit),
            consent::Output::Begin(permit) => self.begin_recording(permit, desk),
            consent::Output::Refuse(refusal) => {
                self.silence_announcements(desk);
                let leg = match refusal {
                    consent::Refusal::Declined(leg) | consent::Refusal::Silence(leg) | consent::Refusal::Cut(leg, _) => Some(leg),
                    consent::Refusal::Operator | consent::Refusal::Ended => None,
                };
                self.settle(Reason::of_refusal(refusal), leg, desk);
            }
            consent::Output::End(by) => {
                self.held = None;
                self.withdrawn_by(by, desk);
            }
        }
    }

    fn begin_recording(&mut self, permit: Permit, desk: &mut Desk) {
        let State::Up { dialog: at } = self.state else { return };
        let Some(line) = self.dialogs.get(at).and_then(Dialog::audio) else {
            return self.settle(Reason::NoAudio, None, desk);
        };
        self.is_recording = true;
        self.recorded = Some((at, line));
        self.was_granted = true;
        let formats = self.formats();
        // The story first: what becomes of the recording must find its row.
        self.settle(Reason::Recorded, None, desk);
        desk.out(Output::Record { id: bridge(self.id, at, line), slot: self.slot, permit, formats });
    }

    fn withdrawn_by(&mut self, by: By, desk: &mut Desk) {
        match by {
            By::Party(leg) => {
                self.end_recording(EndReason::Withdrawn(leg), desk);
                self.settle(Reason::Withdrawn, Some(leg), desk);
            }
            By::Operator => {
                self.end_recording(EndReason::Stopped, desk);
                self.settle(Reason::WithdrawnByOperator, None, desk);
            }
        }
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
    pub(super) fn vault_failed(&mut self, left_a_file: bool, desk: &mut Desk) {
        self.was_granted &= left_a_file;
        if self.is_recording {
            self.end_recording(EndReason::CallFailed, desk);
        }
        self.settle(Reason::VaultUnavailable, None, desk);
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
        self.consider(Fact::Ended, desk, now);
        self.end_recording(why, desk);
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
            if cfg!(sabotage = "leak-a-port") && pair.rtp.is_multiple_of(16) {
                continue;
            }
            desk.give_back(self.id, pair);
        }
    }

    /// Writes a reason into the ledger; the first stands, but for what ends a recording.
    fn settle(&mut self, reason: Reason, leg: Option<Leg>, desk: &mut Desk) {
        let stands = self.reason != Reason::InProgress && self.reason != Reason::Recorded;
        if stands {
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
            reason: self.reason,
            leg: self.reason_leg,
            recording: self.was_granted.then_some(self.recording),
        }
    }

    /// Returns whether consent was refused.
    pub(super) fn is_refused(&self) -> bool {
        self.consent.as_ref().is_some_and(|consent| matches!(consent.standing(), Standing::Refused(_)))
    }

    pub(super) const fn reason(&self) -> Reason {
        self.reason
    }
}

/// The rule of a leg.
const fn rule([pbx, trunk]: [MediaAs; 2], leg: Leg) -> MediaAs {
    match leg {
        Leg::Pbx => pbx,
        Leg::Trunk => trunk,
    }
}

/// What the media plane must know of the party on this leg.
fn remote(agreed: &Agreed, places: &mut [[Option<SocketAddr>; 2]], line: usize, leg: Leg) -> Remote {
    let (this, other) = (agreed.of(leg).line(line), agreed.of(leg.other()).line(line));
    let mut remote = match (this, other) {
        (Some(this), Some(other)) => this.remote(other),
        (None, _) | (_, None) => anchor::nowhere(),
    };
    if let Some(place) = places.get_mut(line).and_then(|places| places.get_mut(leg.index())) {
        anchor::keep_source(&mut remote, place);
    }
    remote
}

fn bridge(call: CallId, dialog: usize, line: usize) -> BridgeId {
    let small = |at: usize| u16::try_from(at).expect("dialogs and lines are bounded far below 65,536 by limits.rs");
    BridgeId { call, dialog: small(dialog), line: small(line) }
}
