//! What a call's session descriptions say, and what the parties are told in their place: ports of ours, keys of ours, and what of them the
//! media plane must know.

use std::net::SocketAddr;

use super::{Call, State, bridge};
use crate::call::anchor::{self, Session};
use crate::call::desk::Desk;
use crate::call::dialog::{Agreed, Dialog, DialogState, Stood};
use crate::call::door::{Output, PortPair, RecordedFormat};
use crate::call::keys::{MediaAs, NotSecured, Ours};
use crate::consent::{Fact, Standing};
use crate::ids::Leg;
use crate::media::srtp::Keying;
use crate::media::{BridgeId, Bridging, Content, Order, Remote, Srtp};
use crate::time::Moment;
use crate::vault::EndReason;
use crate::wire::sdp::{Crypto, Sdp, Secured};

/// Why a description was not given ports of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::call) enum NotAnchored {
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
pub(in crate::call) enum Role<'s> {
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
    pub(in crate::call) const fn after(offer: Option<&'s Session>, is_again: bool) -> Self {
        match offer {
            None => Self::Offer,
            Some(offer) if is_again => Self::Again(offer),
            Some(offer) => Self::Answer(offer),
        }
    }
}

impl NotAnchored {
    /// Returns what to answer a request with.
    pub(in crate::call) const fn status(self) -> u16 {
        match self {
            Self::NoPorts => 503,
            Self::PointsAtItself | Self::Escapes | Self::NotSecured(_) => 488,
        }
    }

    /// Returns what to say beside the status, where that does not say it: a Warning of the code for what has none (RFC 3261 §20.43).
    pub(in crate::call) fn warning(self) -> Option<(&'static str, String)> {
        match self {
            Self::NotSecured(why) => Some(("Warning", format!("399 mitschnitt \"{}\"", why.warning()))),
            Self::NoPorts | Self::PointsAtItself | Self::Escapes => None,
        }
    }
}

impl Call {
    /// Reads what matters out of a description of this call.
    pub(in crate::call) fn session(&self, sdp: &Sdp, desk: &Desk) -> Session {
        Session::of(sdp, desk.media_as(self.trunk_at).is_some())
    }

    /// Gives a description that goes to `to` the ports that face that leg, taking new ones for lines that have none, and the keys that its
    /// peer's rule wants.
    ///
    /// # Errors
    /// No port pair is left, it names a port of this call, an address that cannot be given another, or is not as the peers' rules want
    /// it: what was taken stays with the call, and is given back with it.
    pub(in crate::call) fn anchor(
        &mut self,
        to: Leg,
        dialog: Option<usize>,
        sdp: &Sdp,
        role: Role<'_>,
        desk: &mut Desk,
        now: Moment,
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
        let body = anchor::rewrite(restricted.as_ref().unwrap_or(sdp), &here, ip, secured.as_deref());
        self.saw_description(to.other(), sdp);
        self.heed(desk, now);
        Ok(self.indicated(to, body))
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
        let (its, others) = (self.taken(rules, to), self.taken(rules, to.other()));
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
        let (its, taken) = (rule(rules, to), self.taken(rules, to));
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
                        let key = taken.chosen(offered).ok().flatten();
                        offered.is_elsewhere_than(before)
                            || key.is_some_and(|key| !before.keys().iter().any(|known| known.keys() == key.keys()))
                    });
                    self.ours_mut(to, dialog, at).zip(offered).and_then(|(ours, offered)| {
                        if is_another && matches!(role, Role::Answer(_)) {
                            ours.clear();
                        }
                        taken.answers(offered, ours, &mut desk.config.keys)
                    })
                }
            };
            secured.push(said.or_else(|| line.keyless()));
        }
        secured
    }

    /// What is taken from a leg: what its rule allows, and of a call for help whatever can be, for to be heard is worth more there than
    /// to be encrypted. What is offered is by the rule all the same, since that says what the peer understands.
    fn taken(&self, rules: [MediaAs; 2], leg: Leg) -> MediaAs {
        if self.is_emergency { MediaAs::Either } else { rule(rules, leg) }
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
        // Without keys of ours nothing but plain RTP can have been agreed: what says otherwise is an error, and no media.
        let none = Ours::NONE;
        let ours = self.ours(leg, Some(at), line).unwrap_or(&none);
        let keys: Option<(&Crypto, &Crypto)> = if leg == agreed.offerer {
            let theirs = self.taken(rules, leg).chosen(said)?;
            theirs
                .map(|theirs| ours.known(theirs.suite()).map(|ours| (theirs, ours)).ok_or(NotSecured::NoUsableKey))
                .transpose()?
        } else {
            self.taken(rules, leg).accepted(said, ours)?
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
    pub(in crate::call) fn reserve(&mut self, session: &Session, desk: &mut Desk) -> Result<(), NotAnchored> {
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
    pub(in crate::call) fn agree(&mut self, at: usize, agreed: Agreed, desk: &mut Desk, now: Moment) {
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
    pub(in crate::call) fn go_back(&mut self, at: usize, stood: Stood, desk: &mut Desk, now: Moment) {
        if let Some(agreed) = self.dialogs.get_mut(at).and_then(|dialog| dialog.take_back(stood)) {
            self.agree(at, agreed, desk, now);
        }
    }

    /// Has the dialog's first audio line watched, whoever encrypts it, where silence is to be told. A bridge that is watched already goes
    /// on being so; without audio, as with a fax, nobody says what silence is.
    pub(super) fn watch(&self, at: usize, again: bool, desk: &mut Desk) {
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
    pub(super) fn describe_again(&mut self, at: usize, desk: &mut Desk) {
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
    pub(super) fn moved(&mut self, id: BridgeId, leg: Leg, desk: &mut Desk, now: Moment) {
        let State::Up { dialog: at } = self.state else { return };
        let is_here = self.dialogs.get(at).and_then(Dialog::audio).is_some_and(|line| bridge(self.id, at, line) == id);
        let is_asking = self.consent.as_ref().is_some_and(|consent| consent.standing() == Standing::Asking);
        if is_here && is_asking && self.telling.moved(leg) {
            self.consider(Fact::Begun(leg), desk, now);
            self.announce(desk, now);
        }
    }

    /// What the payload types of the recorded stream mean: what a leg sends is numbered as the other asked for it (RFC 3264 §6.1).
    pub(super) fn formats(&self) -> Vec<RecordedFormat> {
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
