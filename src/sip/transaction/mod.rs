//! The four transaction machines of RFC 3261 §17 as RFC 6026 amends them: state × input → next state and actions, nothing else.
//!
//! They know no clock, message, socket or transport; the stack does what an action says, and leaves out what a stream makes needless.

pub mod invite_client;
pub mod invite_server;
pub mod non_invite_client;
pub mod non_invite_server;

use std::time::Duration;

use crate::time::Moment;

/// What a machine answers to an input.
pub type Next<State> = (State, &'static [Action]);

/// What a machine asks to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Send the message at hand, and keep it for `Resend`.
    Send,
    /// Send the kept message once more; nothing where none is kept.
    Resend,
    /// Send the message at hand and keep nothing: a 2xx, whose retransmission is the far user agent's (RFC 6026 §7.1).
    Relay,
    /// Hand the message to the transaction user.
    Pass,
    /// Acknowledge the response at hand, hop by hop (RFC 3261 §17.1.1.3).
    Acknowledge,
    /// Tell the transaction user that something did not happen.
    Inform(Trouble),
    /// Start this timer, or start it anew.
    Start(Timer),
    /// Stop this timer.
    Stop(Timer),
}

/// What the transaction user is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// No response came in time (timer B or F): as a 408 (RFC 3261 §16.7(6)).
    TimedOut,
    /// The request did not reach the next hop: as a 503 (RFC 3261 §16.9).
    Unreachable,
    /// No ACK came for our final response (timer H).
    NotAcknowledged,
}

/// The timers of RFC 3261 §17 and §16.6(11) and of RFC 6026, by their letters, and three that have none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// When to send an INVITE again: T1, doubling (RFC 3261 §17.1.1.2).
    A,
    /// When to give up an INVITE that nobody answered: 64·T1 (§17.1.1.2).
    B,
    /// When to give up an INVITE that rings and rings: more than 3 minutes since the last 101–199 (§16.6(11)).
    C,
    /// When to forget an INVITE that was refused: 32 s or more (§17.1.1.2).
    D,
    /// When to send another request again: T1, doubling to T2 (§17.1.2.2).
    E,
    /// When to give up another request: 64·T1 (§17.1.2.2).
    F,
    /// When to send a refusal of an INVITE again: T1, doubling to T2 (§17.2.1).
    G,
    /// When to give up waiting for the ACK to a refusal: 64·T1 (§17.2.1).
    H,
    /// When to forget an INVITE whose refusal was acknowledged: T4 (§17.2.1).
    I,
    /// When to forget another request that was answered: 64·T1 (§17.2.2).
    J,
    /// When to forget another request whose answer came: T4 (§17.1.2.2).
    K,
    /// When to forget an INVITE that was accepted, on the server's side: 64·T1 (RFC 6026 §7.1).
    L,
    /// When to forget an INVITE that was accepted, on the client's side: 64·T1 (RFC 6026 §7.2).
    M,
    /// When to send 100 to another request than INVITE: as long as timer E takes to reach T2, 3.5 s (RFC 4320 §4.1).
    Trying,
    /// When to give up a cancelled INVITE whose final response does not come: 64·T1 (RFC 3261 §9.1).
    Cancelled,
    /// When to give up a request that was handed to the call and never came back: 64·T1, after which nobody waits for it.
    Unused,
}

/// The base values that all timers come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timers {
    /// The estimate of the round trip (RFC 3261 §17.1.1.1).
    pub t1: Duration,
    /// The longest interval between two retransmissions of a non-INVITE request or an INVITE response (§17.1.2.2).
    pub t2: Duration,
    /// How long a message may stay in the network (§17.1.2.2).
    pub t4: Duration,
    /// Timer C (§16.6(11)): MUST be larger than 3 minutes.
    pub c: Duration,
}

impl Timers {
    /// RFC 3261, table 4; timer C one second above what it must exceed.
    pub const DEFAULT: Self = Self {
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        c: Duration::from_secs(181),
    };

    /// Returns how long this timer runs; `resent` is how many times the message has been sent again, for A, E and G.
    #[must_use]
    pub fn interval(&self, timer: Timer, resent: u32) -> Duration {
        // 64·T1: the time in which a client sends seven requests (RFC 3261 §17.1.1.2).
        let patience = self.t1.saturating_mul(64);
        let doubled = self.t1.saturating_mul(2_u32.saturating_pow(resent));
        match timer {
            Timer::A => doubled,
            Timer::E | Timer::G => doubled.min(self.t2),
            Timer::B | Timer::F | Timer::H | Timer::J | Timer::L | Timer::M | Timer::Cancelled | Timer::Unused => patience,
            Timer::C => self.c,
            // The peer's T1 is not known, so that 32 s is the least (§17.1.1.2).
            Timer::D => patience.max(Duration::from_secs(32)),
            Timer::I | Timer::K => self.t4,
            // 0.5 + 1 + 2 s: the sum of the intervals that are shorter than T2 (RFC 4320 §4.1).
            Timer::Trying => (0..32).map(|resent| self.interval(Timer::E, resent)).take_while(|span| *span < self.t2).sum(),
        }
    }

    /// Returns how long it runs over a transport of this kind: over a reliable one nothing is sent again, so that those that send do not
    /// run at all, and those that wait for what was sent again are over at once (RFC 3261, table 4).
    #[must_use]
    pub fn interval_over(&self, is_reliable: bool, timer: Timer, resent: u32) -> Option<Duration> {
        if is_reliable && matches!(timer, Timer::A | Timer::E | Timer::G) {
            return None;
        }
        let is_waiting = matches!(timer, Timer::D | Timer::I | Timer::J | Timer::K);
        Some(if is_reliable && is_waiting { Duration::ZERO } else { self.interval(timer, resent) })
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The timers of one transaction that run: never more than four.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Alarms {
    running: [Option<(Moment, Timer)>; 4],
    /// The earliest moment that stands for this transaction in the queue.
    pub(super) queued: Option<Moment>,
}

impl Alarms {
    /// Starts a timer, or starts it anew.
    pub(super) fn start(&mut self, timer: Timer, at: Moment) {
        self.stop(timer);
        match self.running.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some((at, timer)),
            None => unreachable!("no state of a transaction runs more than four timers"),
        }
    }

    /// Stops a timer.
    pub(super) fn stop(&mut self, timer: Timer) {
        for place in &mut self.running {
            if place.is_some_and(|(_, running)| running == timer) {
                *place = None;
            }
        }
    }

    /// Returns the moment of the earliest.
    pub(super) fn earliest(&self) -> Option<Moment> {
        self.running.iter().flatten().map(|&(at, _)| at).min()
    }

    /// Takes out the earliest timer that is due, and tells which.
    pub(super) fn take_due(&mut self, now: Moment) -> Option<Timer> {
        let place = self.running.iter_mut().filter(|place| place.is_some()).min_by_key(|place| **place)?;
        let (at, timer) = (*place)?;
        (at <= now).then(|| {
            *place = None;
            timer
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_default_timers_are_those_of_table_4() {
        let seconds = |timer, resent| Timers::DEFAULT.interval(timer, resent).as_secs_f64();

        assert_eq!([0, 1, 2, 3, 4, 5, 6].map(|n| seconds(Timer::A, n)), [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
        assert_eq!([0, 1, 2, 3, 4, 99].map(|n| seconds(Timer::E, n)), [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]);
        assert_eq!([0, 1, 2, 3, 4, 99].map(|n| seconds(Timer::G, n)), [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]);
        for timer in [Timer::B, Timer::D, Timer::F, Timer::H, Timer::J, Timer::L, Timer::M, Timer::Cancelled, Timer::Unused] {
            assert_eq!(seconds(timer, 0), 32.0, "{timer:?}");
        }
        assert_eq!((seconds(Timer::I, 0), seconds(Timer::K, 0)), (5.0, 5.0));
        assert!(seconds(Timer::C, 0) > 180.0);
        assert_eq!(seconds(Timer::Trying, 0), 3.5);
    }

    #[test]
    fn timer_d_is_never_below_32_seconds() {
        let hasty = Timers { t1: Duration::from_millis(1), ..Timers::DEFAULT };

        assert_eq!(hasty.interval(Timer::B, 0), Duration::from_millis(64));
        assert_eq!(hasty.interval(Timer::D, 0), Duration::from_secs(32));
    }

    #[test]
    fn over_a_stream_nothing_is_sent_again_and_nothing_is_waited_for() {
        let over = |timer| Timers::DEFAULT.interval_over(true, timer, 0);

        assert!([Timer::A, Timer::E, Timer::G].map(over).iter().all(Option::is_none));
        assert!([Timer::D, Timer::I, Timer::J, Timer::K].map(over).iter().all(|span| *span == Some(Duration::ZERO)));
        for timer in [Timer::B, Timer::C, Timer::F, Timer::H, Timer::L, Timer::M, Timer::Trying, Timer::Cancelled, Timer::Unused]
        {
            assert_eq!(over(timer), Some(Timers::DEFAULT.interval(timer, 0)), "{timer:?}");
        }
    }

    #[test]
    fn timers_come_due_in_the_order_of_their_moments() {
        let at = Moment::from_millis;
        let mut alarms = Alarms::default();
        alarms.start(Timer::B, at(30));
        alarms.start(Timer::A, at(10));
        alarms.start(Timer::C, at(20));
        alarms.start(Timer::A, at(25));
        alarms.stop(Timer::C);

        assert_eq!((alarms.earliest(), alarms.take_due(at(24))), (Some(at(25)), None));
        assert_eq!(
            (alarms.take_due(at(99)), alarms.take_due(at(99)), alarms.take_due(at(99))),
            (Some(Timer::A), Some(Timer::B), None)
        );
    }
}
