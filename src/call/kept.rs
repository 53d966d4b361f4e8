//! What is kept of a call that is up, so that it goes on after a restart: by whom it was begun and over what, the heads by which its parties
//! address each other, what they have agreed on, and the ports that they send to.
//!
//! ```text
//!  ACK, re-INVITE, UPDATE, …  ──▶ Output::Keep ──▶ store     the process is killed, or stopped
//!  BYE                        ──▶ Output::Forget ──▶ store
//!                                 Input::Restore ◀── store   it is started: the same ports, the same bridges
//! ```
//!
//! Consent is not kept: nobody could show any more that what comes after the gap was heard by those who agreed before it. A call goes on
//! unrecorded. Nor are keys of SRTP: sealing on from a number that is not known would be one keystream twice; the next description of each
//! party brings new ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::anchor::Session;
use super::desk::Desk;
use super::dialog::{Agreed, Dialog, DialogState};
use super::door::PortPair;
use super::life::{Beginning, Call, Resumed};
use super::story::Reason;
use crate::consent::Parties;
use crate::ids::{CallId, Direction, Leg};
use crate::private::Private;
use crate::sip::{End, EndId, Flow, Transport};
use crate::time::{Moment, Wall};
use crate::wire::sdp::Sdp;
use crate::wire::sip::{Message, Name};

/// What is kept of a call.
///
/// It says who talks to whom: its `Debug` says no more than the call's number.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    version: u8,
    call: String,
    direction: String,
    trunk: String,
    policy: Option<String>,
    reason: String,
    is_emergency: bool,
    is_past_us: bool,
    began_us: i64,
    calling: String,
    called: String,
    /// The way to who is on each leg ([`Leg::index`]).
    ways: [KeptWay; 2],
    /// The heads of the first INVITE and of its 2xx, in Base64.
    invite: String,
    accepted: String,
    cseq: [u32; 2],
    /// When the session expires, where its parties agreed on a timer.
    expires_us: Option<i64>,
    agreed: Option<KeptAgreed>,
    /// The RTP ports of each line, by the leg that they face.
    ports: Vec<[Option<u16>; 2]>,
}

/// The version of what is written.
const VERSION: u8 = 1;

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptWay {
    transport: String,
    local: SocketAddr,
    far: SocketAddr,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptAgreed {
    offerer: String,
    offer: String,
    answer: String,
}

/// It is not what a call was kept as, or by a later version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotKept;

impl std::fmt::Display for NotKept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this is not what a call was kept as, or a later version has kept it")
    }
}

impl std::error::Error for NotKept {}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kept(call-{})", self.call)
    }
}

impl Kept {
    /// Reads what [`Kept::to_bytes`] has written.
    ///
    /// # Errors
    /// It is something else, or a later version's.
    pub fn read(bytes: &[u8]) -> Result<Self, NotKept> {
        let kept: Self = serde_json::from_slice(bytes).map_err(|_| NotKept)?;
        let is_ours = kept.version == VERSION && kept.call.parse::<CallId>().is_ok();
        if is_ours { Ok(kept) } else { Err(NotKept) }
    }

    /// Returns it as it is stored: some two kilobytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns which call it is.
    #[must_use]
    pub fn call(&self) -> CallId {
        self.call.parse().unwrap_or(CallId::from_u64(0))
    }

    /// Returns the RTP ports that it had on each `m=` line, by the leg that they face ([`Leg::index`]): they are to be opened anew.
    #[must_use]
    pub fn ports(&self) -> &[[Option<u16>; 2]] {
        &self.ports
    }

    /// Writes down a call in which both parties are; nothing of any other.
    pub(super) fn of(call: &Call, desk: &Desk) -> Option<Self> {
        let at = call.is_up_in()?;
        let dialog = call.dialogs.get(at)?;
        let wall = |moment: Moment| {
            let (now, wall) = desk.clocks();
            wall.unix_micros().saturating_add(micros(moment) - micros(now))
        };
        let way = |leg: Leg| {
            let Flow { end, far } = call.way_to(leg);
            let End { transport, address } = *desk.config.sip.ends.get(end.index())?;
            Some(KeptWay { transport: transport.as_str().to_owned(), local: address, far })
        };
        let is_ended_here = desk.media_as(call.trunk_at).is_some();
        let has_keys = |session: &Session| session.lines().iter().any(|line| line.is_secure() || line.has_keys());
        let agreed =
            dialog.agreed.as_ref().filter(|agreed| !is_ended_here || !(has_keys(&agreed.offer) || has_keys(&agreed.answer)));
        let caller = call.caller();
        let lines = dialog.facing_caller.len().max(call.facing_callee.len());
        let ports = (0..lines).map(|line| {
            let facing = |leg: Leg| {
                let pairs = if leg == caller { &dialog.facing_caller } else { &call.facing_callee };
                pairs.get(line).copied().flatten().map(|pair| pair.rtp)
            };
            Leg::BOTH.map(facing)
        });
        Some(Self {
            version: VERSION,
            call: call.id.to_string(),
            direction: call.direction.to_string(),
            trunk: call.trunk.to_string(),
            policy: call.policy_name().map(|name| name.to_string()),
            reason: after_restart(call.reason()).to_string(),
            is_emergency: call.is_emergency,
            is_past_us: call.is_past_us,
            began_us: wall(call.began).saturating_sub(i64::try_from(call.before.as_micros()).unwrap_or(0)),
            calling: call.parties.calling.reveal().clone(),
            called: call.parties.called.reveal().clone(),
            ways: [way(Leg::Pbx)?, way(Leg::Trunk)?],
            invite: Base64::encode_string(&head(&call.invite)),
            accepted: Base64::encode_string(&head(dialog.accepted.as_ref()?)),
            cseq: dialog.cseq,
            expires_us: call.expires().map(wall),
            agreed: agreed.map(|Agreed { offerer, offer, answer }| KeptAgreed {
                offerer: offerer.to_string(),
                offer: Base64::encode_string(offer.said()),
                answer: Base64::encode_string(answer.said()),
            }),
            ports: ports.collect(),
        })
    }

    /// Makes the call again, in `slot`, with these ports for each line; nothing where its trunk is configured no more, or where it is not
    /// what was written.
    pub(super) fn resume(&self, slot: u32, ports: &[[Option<PortPair>; 2]], desk: &mut Desk, now: Moment) -> Option<Call> {
        let id: CallId = self.call.parse().ok()?;
        let direction = [Direction::Inbound, Direction::Outbound].into_iter().find(|way| way.as_str() == self.direction)?;
        let trunk_at = desk.config.peers.trunks.iter().position(|(name, _)| name.as_str() == self.trunk)?;
        let trunk = desk.config.peers.trunks.get(trunk_at)?.0.clone();
        let (invite, accepted) = (message(&self.invite)?, message(&self.accepted)?);
        let call_id = Bytes::copy_from_slice(invite.call_id().ok()?);
        let [caller_tag, callee_tag] =
            [invite.from().ok()?.tag(), accepted.to().ok()?.tag()].map(|tag| tag.map(Bytes::copy_from_slice));
        let policy = desk.config.policies.iter().find(|policy| Some(&*policy.name) == self.policy.as_deref()).map(Arc::clone);
        let facing = |leg: Leg| ports.iter().map(|line| line.get(leg.index()).copied().flatten()).collect::<Vec<_>>();
        let dialog = Dialog {
            state: DialogState::Confirmed,
            accepted: Some(accepted),
            cseq: self.cseq,
            ..Dialog::new(Some(callee_tag?), facing(direction.caller()))
        };
        let (_, wall) = desk.clocks();
        let what = Beginning {
            id,
            slot,
            recording: desk.draw_recording(id),
            direction,
            trunk: (trunk_at, trunk),
            ways: [self.way(Leg::Pbx, trunk_at, desk)?, self.way(Leg::Trunk, trunk_at, desk)?],
            policy,
            parties: Parties {
                calling: Private::new(self.calling.clone()),
                called: Private::new(self.called.clone()),
                call_id: Private::new(String::from_utf8_lossy(&call_id).into_owned()),
            },
            is_emergency: self.is_emergency,
            call_id,
            caller_tag: caller_tag?,
            invite,
        };
        let mut call = Call::begin(what, now);
        call.is_past_us = self.is_past_us;
        let agreed = self.agreed.as_ref().and_then(|agreed| agreed.read(&call, desk));
        let resumed = Resumed {
            dialog,
            facing_callee: facing(direction.caller().other()),
            agreed,
            before: since(self.began_us, wall),
            reason: Reason::ALL
                .iter()
                .copied()
                .find(|reason| reason.as_str() == self.reason)
                .map_or(Reason::Interrupted, after_restart),
            expires_in: self.expires_us.map(|at| since(wall.unix_micros(), Wall::from_unix_micros(at))),
        };
        call.resume(resumed, desk, now);
        Some(call)
    }

    /// The way to who is on a leg, as far as it is one of ours and the peer's still; else the peer's present one.
    fn way(&self, leg: Leg, trunk: usize, desk: &Desk) -> Option<Flow> {
        let KeptWay { transport, local, far } = self.ways.get(leg.index())?;
        let peer = desk.peer(leg, Some(trunk));
        let end = Transport::ALL.into_iter().find(|known| known.as_str() == transport).and_then(|transport| {
            let end = End { transport, address: *local };
            let at = desk.config.sip.ends.iter().position(|known| *known == end)?;
            u8::try_from(at).ok().map(EndId)
        });
        Some(end.filter(|_| peer.owns(*far)).map_or(peer.way, |end| Flow { end, far: *far }))
    }
}

impl KeptAgreed {
    fn read(&self, call: &Call, desk: &Desk) -> Option<Agreed> {
        let session = |text: &str| Some(call.session(&Sdp::parse(&Base64::decode_vec(text).ok()?).ok()?, desk));
        let offerer = Leg::BOTH.into_iter().find(|leg| leg.as_str() == self.offerer)?;
        Some(Agreed { offerer, offer: session(&self.offer)?, answer: session(&self.answer)? })
    }
}

/// The reason of a call that goes on: what was settled stays; what was not settled, or was recorded, is interrupted.
const fn after_restart(reason: Reason) -> Reason {
    if matches!(reason, Reason::InProgress | Reason::Recorded) { Reason::Interrupted } else { reason }
}

/// The head of a message, of which no more is kept than what a BYE of ours is made of: no credentials, and no description.
fn head(message: &Message) -> Vec<u8> {
    let bytes = message.as_bytes();
    let start = memchr::memchr(b'\n', bytes).and_then(|end| bytes.get(..=end)).unwrap_or_default();
    let is_needed = |name: Name| {
        matches!(name, Name::Via | Name::From | Name::To | Name::CallId | Name::CSeq | Name::Contact | Name::RecordRoute)
    };
    let lines = message.headers().filter(|line| is_needed(line.kind)).map(|line| line.raw);
    let mut head: Vec<u8> = std::iter::once(start).chain(lines).flatten().copied().collect();
    head.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    head
}

fn message(text: &str) -> Option<Message> {
    Message::parse_datagram(Base64::decode_vec(text).ok()?.into()).ok()
}

fn micros(moment: Moment) -> i64 {
    i64::try_from(moment.as_micros()).unwrap_or(i64::MAX)
}

/// How long after `earlier` (microseconds since 1970) it is; nothing where the clock says that it is before.
fn since(earlier: i64, now: Wall) -> Duration {
    Duration::from_micros(u64::try_from(now.unix_micros().saturating_sub(earlier)).unwrap_or(0))
}

/// A description without keys: with them it would be the voices of the call to whoever reads the disk and has recorded the wire.
pub(super) fn keyless(description: &[u8]) -> Bytes {
    let is_key = |line: &[u8]| line.starts_with(b"a=crypto:") || line.starts_with(b"a=key-mgmt:") || line.starts_with(b"k=");
    let lines = description.split_inclusive(|&byte| byte == b'\n');
    lines.filter(|line| !is_key(line)).flatten().copied().collect()
}

/// What of a call must be the same for what is kept of it to be true.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    dialog: usize,
    agreements: u32,
    cseq: [u32; 2],
    expires: Option<Moment>,
    reason: Reason,
}

impl Mark {
    /// Returns that of a call in which both parties are; nothing of any other.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let dialog = call.is_up_in()?;
        let Dialog { agreements, cseq, .. } = *call.dialogs.get(dialog)?;
        Some(Self { dialog, agreements, cseq, expires: call.expires(), reason: after_restart(call.reason()) })
    }
}
