//! One dialog of a call: the ports and the session descriptions that belong to one fork.

use std::net::SocketAddr;

use bytes::Bytes;

use super::anchor::Session;
use super::door::PortPair;
use super::keys::Ours;
use crate::ids::Leg;
use crate::media::Content;
use crate::wire::sip::Message;

/// A dialog, early or confirmed: what the caller has with one of the phones that the call was forked to.
#[derive(Debug)]
pub(super) struct Dialog {
    /// The called party's tag, once it is known.
    pub(super) callee_tag: Option<Bytes>,
    /// The pairs that face the caller, one for each `m=` line. Those that face the called party belong to the call: the offer that
    /// named them went to all forks.
    pub(super) facing_caller: Vec<Option<PortPair>>,
    /// Our SRTP keys towards the caller, one set for each `m=` line.
    pub(super) keys_to_caller: Vec<Ours>,
    /// Those towards the called party, from the first description on that is made for this dialog alone; those of the first offer, which
    /// went to all forks, belong to the call.
    pub(super) keys_to_callee: Vec<Ours>,
    /// Which lines the media plane has a bridge for, and for what.
    pub(super) bridged: Vec<Option<Content>>,
    /// Where each leg took its media last on each line, for while it is on hold by an address of zeroes.
    pub(super) places: Vec<[Option<SocketAddr>; 2]>,
    /// What each leg described last, in a completed offer and answer ([`Leg::index`]).
    pub(super) agreed: Option<Agreed>,
    /// How often anything was agreed.
    pub(super) agreements: u32,
    /// The called party's offer in a response, which the caller answers in ACK or PRACK.
    pub(super) late_offer: Option<Session>,
    /// The one that an ACK answered, for that may come again.
    pub(super) late_answered: Option<Session>,
    pub(super) state: DialogState,
    /// The 2xx of the first INVITE, as it came.
    pub(super) accepted: Option<Message>,
    /// The highest CSeq number seen from each leg.
    pub(super) cseq: [u32; 2],
    /// BYEs within it that are not answered yet.
    pub(super) byes: u32,
    /// Who sent the first of them: with it the recording ended, whichever is answered first.
    pub(super) first_bye: Option<Leg>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DialogState {
    /// Not answered yet.
    Early,
    /// Answered by a 2xx.
    Accepted,
    /// The ACK passed: both are in the call.
    Confirmed,
    /// Another fork was answered. A 2xx of its own brings it back (RFC 3261 §13.2.2.4).
    Lost,
    /// A BYE ended it, and not the call.
    Over,
}

/// A completed offer and answer (RFC 3264).
#[derive(Clone, Debug)]
pub(super) struct Agreed {
    pub(super) offerer: Leg,
    pub(super) offer: Session,
    pub(super) answer: Session,
}

/// What was agreed in a dialog, with our keys for it, before a re-INVITE that may yet be refused: then all stays as it was
/// (RFC 3261 §14.1).
#[derive(Debug)]
pub(super) struct Stood {
    agreed: Option<Agreed>,
    keys_to_caller: Vec<Ours>,
    keys_to_callee: Vec<Ours>,
    /// [`Dialog::agreements`] once the re-INVITE had changed it: what is agreed beside it, by UPDATE say, stands.
    left_at: u32,
}

impl Stood {
    pub(super) const fn left_at(&mut self, agreements: u32) {
        self.left_at = agreements;
    }
}

impl Agreed {
    /// Returns what this leg described.
    pub(super) fn of(&self, leg: Leg) -> &Session {
        if leg == self.offerer { &self.offer } else { &self.answer }
    }
}

impl Dialog {
    pub(super) fn new(callee_tag: Option<Bytes>, facing_caller: Vec<Option<PortPair>>) -> Self {
        Self {
            callee_tag,
            facing_caller,
            keys_to_caller: Vec::new(),
            keys_to_callee: Vec::new(),
            bridged: Vec::new(),
            places: Vec::new(),
            agreed: None,
            agreements: 0,
            late_offer: None,
            late_answered: None,
            state: DialogState::Early,
            accepted: None,
            cseq: [0, 0],
            byes: 0,
            first_bye: None,
        }
    }

    /// Returns how it stands.
    pub(super) fn stands(&self) -> Stood {
        let Self { agreed, keys_to_caller, keys_to_callee, agreements, .. } = self;
        Stood {
            agreed: agreed.clone(),
            keys_to_caller: keys_to_caller.clone(),
            keys_to_callee: keys_to_callee.clone(),
            left_at: *agreements,
        }
    }

    /// Takes back the keys that it had, and returns what was agreed then; nothing where anything else has been agreed since.
    pub(super) fn take_back(&mut self, stood: Stood) -> Option<Agreed> {
        let Stood { agreed, keys_to_caller, keys_to_callee, left_at } = stood;
        if self.agreements != left_at {
            return None;
        }
        (self.keys_to_caller, self.keys_to_callee) = (keys_to_caller, keys_to_callee);
        agreed
    }

    /// Returns the line that a recording is made of: the first audio line that both have.
    pub(super) fn audio(&self) -> Option<usize> {
        let agreed = self.agreed.as_ref()?;
        agreed.offer.lines().iter().zip(agreed.answer.lines()).position(|(offer, answer)| offer.is_recordable(answer))
    }

    /// Returns the offer of a response that an ACK answers, and whether one did so before.
    pub(super) fn offered_late(&self) -> (Option<Session>, bool) {
        match &self.late_offer {
            Some(offer) => (Some(offer.clone()), false),
            None => (self.late_answered.clone(), true),
        }
    }

    /// An ACK answered it: returns it, once.
    pub(super) fn answer_late(&mut self) -> Option<Session> {
        let offer = self.late_offer.take()?;
        self.late_answered = Some(offer.clone());
        Some(offer)
    }

    /// Takes note of a request's CSeq number, and returns whether it is above all that came before from that leg.
    pub(super) fn saw(&mut self, leg: Leg, number: u32) -> bool {
        let Some(seen) = self.cseq.get_mut(leg.index()) else { return false };
        let is_next = number > *seen;
        *seen = number.max(*seen);
        is_next
    }
}
