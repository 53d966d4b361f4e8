//! Transfers: a call that goes on from another stays under its policy, and who was told there is not told twice.
//!
//! ```text
//!  by Replaces (RFC 3891)                          by REFER (RFC 3515)
//!   A ── call 1 ── B                                A ── call 1 ── B
//!   C ── INVITE, Replaces: call 1 ──▶ B             A ── REFER, Refer-To: C ──▶ B
//!   B has been told, C is told and asked            B ── INVITE C ──▶   B has been told, C is told and asked
//! ```
//!
//! What B heard counts in the new call, on the same leg and on the same terms, as long as B has not said no: until call 1 ends, or the new
//! one is up. A re-INVITE within a call is no matter of this: see `life`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Table;
use crate::call::life::{Call, Demand};
use crate::call::peers::Source;
use crate::call::policy::Policy;
use crate::consent::{Consent, Heard};
use crate::ids::{CallId, Leg};
use crate::limits;
use crate::private::Private;
use crate::time::Moment;
use crate::wire::sip::{Message, Name, NameAddr, Uri};

/// The transfers that are under way.
#[derive(Debug, Default)]
pub(super) struct Transfers(VecDeque<Transfer>);

#[derive(Debug)]
struct Transfer {
    /// The call that goes on.
    from: CallId,
    /// The leg of the party that stays in it.
    stays: Leg,
    stage: Stage,
    origin: Origin,
    /// What that party had heard when the call ended.
    heard: Option<Heard>,
}

#[derive(Debug)]
enum Stage {
    /// A REFER went to the party that stays.
    Referred {
        /// The Request-URI that its INVITE will have.
        to: Vec<u8>,
        /// Its number: of those who call there, it alone was told.
        number: Private<String>,
        until: Moment,
    },
    /// This call is what it goes on as.
    Begun(CallId),
}

/// What a call takes over from the one that it goes on from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The policy, where there was one.
    pub(super) policy: Option<Arc<Policy>>,
    /// It went to an emergency number.
    pub(super) is_emergency: bool,
    /// What was drawn for it.
    pub(super) drawn: Option<u64>,
    /// Whether somebody wanted it recorded.
    pub(super) demand: Demand,
    /// The trunk that has the dialog which is replaced.
    pub(super) trunk_at: Option<usize>,
}

impl Transfers {
    fn put(&mut self, transfer: Transfer) {
        if self.0.len() >= limits::TRANSFERS {
            self.0.pop_front();
        }
        self.0.push_back(transfer);
    }
}

impl Table {
    /// Takes note of a REFER of this leg, which goes on to the other.
    pub(super) fn referred(&mut self, slot: u32, sender: Leg, request: &Message, now: Moment) {
        let Some(Some(call)) = self.calls.get(slot as usize) else { return };
        let refer_to = request.value(Name::ReferTo).and_then(|value| NameAddr::parse(value, Name::ReferTo.as_str()).ok());
        let Some(to) = refer_to.map(|refer_to| asked_for(refer_to.uri)) else { return };
        let stays = sender.other();
        let number = if stays == call.caller() { &call.parties.calling } else { &call.parties.called };
        if number.reveal().is_empty() {
            return;
        }
        let stage = Stage::Referred { to, number: number.clone(), until: now + limits::TRANSFER_WAIT };
        let origin = Origin { trunk_at: None, ..Origin::of(call) };
        let transfer = Transfer { from: call.id, stays, stage, origin, heard: None };
        self.transfers.0.retain(|known| !matches!(known.stage, Stage::Referred { until, .. } if until <= now));
        self.transfers.put(transfer);
    }

    /// Returns what a new call takes over from the one that it goes on from, if it does; it is `id` from here on.
    pub(super) fn goes_on(&mut self, id: CallId, request: &Message, source: Source, now: Moment) -> Option<Origin> {
        if let Some((from, origin)) = self.replaced(request, source) {
            let stage = Stage::Begun(id);
            let transfer = Transfer { from, stays: source.leg().other(), stage, origin: origin.clone(), heard: None };
            self.transfers.put(transfer);
            return Some(origin);
        }
        let calling = request.from().ok()?.address().ok()?.number()?;
        let uri = request.request_uri()?;
        let is_it = |transfer: &&mut Transfer| {
            transfer.stays == source.leg()
                && matches!(&transfer.stage, Stage::Referred { to, number, until }
                    if *until > now && to == uri && number.reveal() == calling.reveal())
        };
        let transfer = self.transfers.0.iter_mut().find(is_it)?;
        transfer.stage = Stage::Begun(id);
        Some(transfer.origin.clone())
    }

    /// Returns the call that a new one is to replace, where whoever gets its INVITE is in that.
    fn replaced(&self, request: &Message, source: Source) -> Option<(CallId, Origin)> {
        let (call_id, to_tag, from_tag) = parts_of(request.value(Name::Replaces)?)?;
        self.by_call_id.get(call_id)?.iter().find_map(|&slot| {
            let call = self.calls.get(slot as usize)?.as_ref()?;
            // The tags are as the one that gets the INVITE sees them (RFC 3891 §3).
            let (_, other) = call.dialog_of_request(from_tag, to_tag)?;
            let is_its_trunk = match source {
                Source::Pbx => true,
                Source::Trunk(at) => at == call.trunk_at,
            };
            (other == source.leg() && is_its_trunk).then(|| (call.id, Origin::of(call)))
        })
    }

    /// The new call was answered: the one that it goes on from is transferred.
    pub(super) fn was_answered(&mut self, slot: u32) {
        let Some(id) = self.calls.get(slot as usize).and_then(Option::as_ref).map(|call| call.id) else { return };
        let from = self.transfers.0.iter().find(|transfer| transfer.is_of(id)).map(|transfer| transfer.from);
        let slot = from.and_then(|from| self.by_id.get(&from).copied());
        if let Some(Some(call)) = slot.and_then(|slot| self.calls.get_mut(slot as usize)) {
            call.is_transferred = true;
        }
    }

    /// The new call comes up: what the party that stays has heard so far counts in it.
    pub(super) fn comes_up(&mut self, slot: u32) {
        let Some(id) = self.calls.get(slot as usize).and_then(Option::as_ref).map(|call| call.id) else { return };
        let Some(at) = self.transfers.0.iter().position(|transfer| transfer.is_of(id)) else { return };
        let Some(Transfer { from, stays, heard, .. }) = self.transfers.0.remove(at) else { return };
        let before = self.by_id.get(&from).and_then(|&slot| self.calls.get(slot as usize)?.as_deref());
        let heard = before.map_or(heard, |before| before.consent.as_ref().and_then(|consent| consent.heard(stays)));
        if let Some(Some(call)) = self.calls.get_mut(slot as usize) {
            call.heard = heard;
        }
    }

    /// A call is about to end: what was heard in it is kept for the one that it goes on as; a transfer to it has failed.
    pub(super) fn leaves(&mut self, call: &Call) {
        self.transfers.0.retain(|transfer| !transfer.is_of(call.id));
        for transfer in self.transfers.0.iter_mut().filter(|transfer| transfer.from == call.id) {
            transfer.heard = call.consent.as_ref().and_then(|consent: &Consent| consent.heard(transfer.stays));
        }
    }
}

impl Transfer {
    fn is_of(&self, call: CallId) -> bool {
        matches!(self.stage, Stage::Begun(id) if id == call)
    }
}

impl Origin {
    fn of(call: &Call) -> Self {
        let Call { policy, is_emergency, drawn, demand, trunk_at, .. } = call;
        let demand = if *demand == Demand::Told { Demand::Told } else { Demand::Untold };
        Self { policy: policy.clone(), is_emergency: *is_emergency, drawn: *drawn, demand, trunk_at: Some(*trunk_at) }
    }
}

/// Call-ID, to-tag and from-tag of a `Replaces` (RFC 3891 §6.1).
fn parts_of(value: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut parts = value.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let call_id = parts.next()?;
    let (mut to_tag, mut from_tag) = (None, None);
    for part in parts {
        let Some((name, tag)) = memchr::memchr(b'=', part).and_then(|at| part.split_at_checked(at)) else { continue };
        let tag = tag.get(1..).map(<[u8]>::trim_ascii);
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"to-tag" => to_tag = tag,
            b"from-tag" => from_tag = tag,
            _ => {}
        }
    }
    Some((call_id, to_tag?, from_tag?))
}

/// The Request-URI that comes of a `Refer-To`: without its header fields, and without the method (RFC 3515 §2.1).
fn asked_for(uri: &[u8]) -> Vec<u8> {
    let Ok(parsed) = Uri::parse(uri) else { return uri.to_vec() };
    let bare = uri.split(|&b| b == b'?').next().unwrap_or_default();
    let bare = if parsed.headers.is_empty() { uri } else { bare };
    let Some((_, value)) = parsed.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(b"method")) else {
        return bare.to_vec();
    };
    let method = [b";method=", value.unwrap_or_default()].concat();
    let at = bare.windows(method.len()).position(|window| window.eq_ignore_ascii_case(&method));
    at.map_or_else(
        || bare.to_vec(),
        |at| [bare.get(..at), bare.get(at + method.len()..)].into_iter().flatten().collect::<Vec<_>>().concat(),
    )
}
