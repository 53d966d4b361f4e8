//! Session timers (RFC 4028), looked at from between: whether a call is still refreshed as its parties agreed.
//!
//! A proxy sends no refresh and no BYE for it (RFC 4028 §8). What it may do is to forget a session that nobody refreshes. Here that is not
//! enough to end a recording, for there are parties that agree on a timer and then forget about it: media must have ended as well.

use std::time::Duration;

use crate::limits::SESSION_TIMER_GRACE;
use crate::time::Moment;
use crate::wire::sip::{Message, Name};

/// The timer of one call.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct SessionTimer {
    expires: Option<Moment>,
    is_expired: bool,
    /// It was told since it expired that nothing comes from either party.
    is_silent: bool,
}

impl SessionTimer {
    /// Takes what a 2xx to an INVITE or an UPDATE says: for how long the session stands, or that there is no timer (RFC 4028 §7.2).
    pub(super) fn refresh(&mut self, interval: Option<Duration>, now: Moment) {
        *self =
            Self { expires: interval.map(|interval| now + interval + SESSION_TIMER_GRACE), is_expired: false, is_silent: false };
    }

    /// Returns when it expires.
    pub(super) const fn deadline(&self) -> Option<Moment> {
        self.expires
    }

    /// Returns whether it has expired just now: then whoever watches the media is to tell of silence once more.
    pub(super) fn wake(&mut self, now: Moment) -> bool {
        let expires = self.expires.take_if(|at| *at <= now).is_some();
        self.is_expired |= expires;
        expires
    }

    /// Nothing comes from either party.
    pub(super) const fn fell_silent(&mut self) {
        self.is_silent = self.is_expired;
    }

    /// Returns whether it was not refreshed in time, and nothing comes.
    pub(super) const fn is_over(&self) -> bool {
        self.is_expired && self.is_silent
    }
}

/// Returns for how long a response says that the session stands. What is no number is no timer: the parties may read it otherwise, and a call
/// is not to be ended for it.
pub(super) fn interval(response: &Message) -> Option<Duration> {
    let value = response.value(Name::SessionExpires)?;
    let seconds = value.split(|&b| b == b';').next()?.trim_ascii();
    let is_number = !seconds.is_empty() && seconds.len() <= 10 && seconds.iter().all(u8::is_ascii_digit);
    str::from_utf8(seconds).ok().filter(|_| is_number)?.parse().ok().map(Duration::from_secs)
}
