//! Who is on a leg, as its side asserts (RFC 3325): that a PBX or a carrier has put another party in is seen by nothing else within a call.

use crate::call::desk::Desk;
use crate::consent::{Consent, Fact, Standing};
use crate::ids::Leg;
use crate::private::Private;
use crate::time::Moment;
use crate::vault::EndReason;
use crate::wire::sip::{Message, Name, NameAddr};

use super::{Call, State};
use crate::call::story::Reason;

/// A number, or a name, that a side asserts of its party.
#[derive(Clone, Debug)]
pub(super) struct Identity(Private<String>);

impl Identity {
    /// Returns whom a message asserts; nothing where it says nothing, or no name.
    fn of(message: &Message) -> Option<Self> {
        let asserted = message.values(Name::PAssertedIdentity).chain(message.named(b"Remote-Party-ID"));
        let mut names = asserted.filter_map(|value| NameAddr::parse(value, "P-Asserted-Identity").ok()?.address().ok()?.number());
        let is_name = |name: &Private<String>| !name.reveal().is_empty() && !name.reveal().eq_ignore_ascii_case("anonymous");
        names.find(is_name).map(Self)
    }

    /// Returns whether both may be one party: the same name, or one number with and without what stands before it.
    fn may_be(&self, other: &Self) -> bool {
        let bare = |identity: &Self| {
            let number = identity.0.reveal().trim_start_matches(['+', '0']).to_owned();
            (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
        };
        match (bare(self), bare(other)) {
            (Some(one), Some(two)) => one.ends_with(&two) || two.ends_with(&one),
            (Some(_) | None, Some(_) | None) => self.0.reveal() == other.0.reveal(),
        }
    }
}

impl Call {
    /// A message of this leg's side came, which may say that another party is there by now.
    pub(in crate::call) fn asserts(&mut self, leg: Leg, message: &Message, desk: &mut Desk, now: Moment) {
        let Some(identity) = Identity::of(message) else { return };
        let Some(place) = self.asserted.get_mut(leg.index()) else { return };
        let before = place.replace(identity.clone());
        if before.is_some_and(|before| !before.may_be(&identity)) {
            if let Some(replaced) = self.replaced.get_mut(leg.index()) {
                *replaced = true;
            }
            self.is_another(leg, desk, now);
        }
    }

    /// Returns whom this leg's side asserts, if anybody.
    pub(super) fn asserted(&self, leg: Leg) -> Option<&str> {
        let [pbx, trunk] = &self.asserted;
        let asserted = match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        };
        asserted.as_ref().map(|identity| identity.0.reveal().as_str())
    }

    /// Returns whether another party is on this leg than the first one.
    pub(super) const fn is_replaced(&self, leg: Leg) -> bool {
        let [pbx, trunk] = self.replaced;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    /// Another party is on this leg. While the question is open it is told from the beginning; where it was answered without it, nothing
    /// more is recorded.
    fn is_another(&mut self, leg: Leg, desk: &mut Desk, now: Moment) {
        if !matches!(self.state, State::Up { .. }) {
            return;
        }
        match self.consent.as_ref().map(Consent::standing) {
            Some(Standing::Asking) => {
                self.consider(Fact::Another(leg), desk, now);
                if let Some(leg) = self.exempt(desk) {
                    return self.consider(Fact::Exempt(leg), desk, now);
                }
                if self.telling.replaced(leg) {
                    self.look_up(leg, desk, now);
                    self.announce(desk, now);
                }
            }
            Some(Standing::Granted(_)) => {
                self.held = None;
                self.end_recording(EndReason::Transferred, desk);
                self.settle(Reason::Transferred, Some(leg), desk);
            }
            // Nobody is recorded, and nobody was recorded when there was no question.
            Some(Standing::Refused(_) | Standing::Withdrawn(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_may_be_written_in_many_ways() {
        let may_be = |one: &str, two: &str| {
            let identity = |text: &str| Identity(Private::new(text.to_owned()));
            identity(one).may_be(&identity(two)) && identity(two).may_be(&identity(one))
        };

        for (one, two) in [("+4930123", "030123"), ("004930123", "+4930123"), ("123", "+4930123"), ("alice", "alice"), ("0", "0")]
        {
            assert!(may_be(one, two), "{one} {two}");
        }
        for (one, two) in [("+4930123", "+4930124"), ("100", "101"), ("alice", "bob"), ("alice", "100"), ("0", "1")] {
            assert!(!may_be(one, two), "{one} {two}");
        }
    }
}
