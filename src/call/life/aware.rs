//! Parties whose telephones know of recording (RFC 7866): what they would like is heeded, and they are told what is so.
//!
//! What they are told is what is so as a description passes. We begin no exchange of our own to tell what has changed since, as RFC 7866 §7.1.2
//! has a session recording client do: the parties' dialogs are theirs, and a request of ours in one would take a number that theirs count on.

use crate::call::desk::Desk;
use crate::call::door::{Deed, Doer};
use crate::consent::Fact;
use crate::ids::Leg;
use crate::time::Moment;
use crate::wire::sdp::{RecordIndication, RecordPreference, Sdp};
use crate::wire::sip::{Message, Name};

use super::Call;

/// What is known of the party on a leg.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Aware {
    /// It understands `a=record`.
    is_aware: bool,
    /// What it has said last that it would like: said again, with each refresh of a session, it says nothing new.
    said: Option<RecordPreference>,
    /// What it would like, where that was not heeded yet.
    prefers: Option<RecordPreference>,
}

impl Call {
    /// Takes note of a message of the party on this leg: whether it says that it is record-aware (RFC 7866 §6.3).
    pub(in crate::call) fn saw(&mut self, leg: Leg, message: &Message) {
        let mut tags = message.values(Name::Supported).flat_map(|value| value.split(|&byte| byte == b','));
        if tags.any(|tag| tag.trim_ascii().eq_ignore_ascii_case(b"record-aware")) {
            self.aware_mut(leg).is_aware = true;
        }
    }

    /// Takes note of a description of the party on this leg.
    pub(super) fn saw_description(&mut self, leg: Leg, sdp: &Sdp) {
        let (Some(preference), aware) = (sdp.record_preference(), self.aware_mut(leg)) else { return };
        aware.is_aware = true;
        let before = aware.said.replace(preference);
        // Whoever always says «on» has not resumed what somebody paused meanwhile.
        let is_new =
            before != Some(preference) && (preference != RecordPreference::On || before == Some(RecordPreference::Pause));
        if is_new || aware.prefers.is_some() {
            aware.prefers = Some(preference);
        }
    }

    /// Does as parties would like, where they may have it so: who may withdraw by key may do it so, and who may pause.
    pub(in crate::call) fn heed(&mut self, desk: &mut Desk, now: Moment) {
        for leg in Leg::BOTH {
            let Some(preference) = self.aware_mut(leg).prefers.take() else { continue };
            let may_pause = self.in_call().pause.is_some_and(|pause| pause.is(leg, pause.key));
            let is_paused = self.pause_ends().is_some();
            match preference {
                RecordPreference::Off if self.consent.is_some() => self.consider(Fact::SaysNo(leg), desk, now),
                // It is heeded once there is something to be asked.
                RecordPreference::Off => self.aware_mut(leg).prefers = Some(preference),
                RecordPreference::Pause if may_pause && !is_paused => {
                    self.operated(Deed::Pause, Doer::Telephone(leg), desk, now).ok();
                }
                RecordPreference::On if may_pause && is_paused => {
                    self.operated(Deed::Resume, Doer::Telephone(leg), desk, now).ok();
                }
                RecordPreference::On | RecordPreference::Pause | RecordPreference::None => {}
            }
        }
    }

    /// Returns what a description that goes to this leg says of the recording, where its party understands that (RFC 7866 §7.1.2).
    pub(super) fn indicated(&self, to: Leg, body: Vec<u8>) -> Vec<u8> {
        let [pbx, trunk] = &self.aware;
        let aware = match to {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        };
        if !aware.is_aware {
            return body;
        }
        let told = if self.is_recording() {
            RecordIndication::On
        } else if self.pause_ends().is_some() {
            RecordIndication::Paused
        } else {
            RecordIndication::Off
        };
        Sdp::parse(&body).map_or(body, |sdp| sdp.with_record_indication(told))
    }

    const fn aware_mut(&mut self, leg: Leg) -> &mut Aware {
        let [pbx, trunk] = &mut self.aware;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }
}
