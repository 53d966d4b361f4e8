//! The INVITE client transaction (RFC 3261 §17.1.1, RFC 6026 §7.2): our INVITE to the next hop.
//!
//! ```text
//!                    │ send, A, B
//!         A: resend  ▼                B, unreachable: inform
//!            ┌── Calling ───────────────────────────────────▶ Terminated
//!            └─────▶ │ 1xx: pass                             ▲   ▲   ▲
//!                    ├──────────▶ Proceeding ── give up ─────┘   │   │
//!                    │            │  │   ▲  │                    │   │
//!                    │            │  │   └──┘ 1xx: pass          │   │
//!      300–699:      │◀───────────┘  │                           │   │
//!      ack, pass, D  ▼               │ 2xx: pass, M (Calling too)│   │
//!                Completed           └──────────▶ Accepted ── M ─┘   │
//!                 ▲  │ │                           ▲  │              │
//!                 └──┘ └── D, unreachable ─────────┼──┼──────────────┘
//!     300–699: ack; 2xx: pass                      └──┘ 2xx: pass
//! ```

use super::{Action, Next, Timer, Trouble};

/// Where an INVITE of ours stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing has come back yet.
    Calling {
        /// How many times the request has been sent again.
        resent: u32,
    },
    /// The next hop works on it.
    Proceeding,
    /// It was refused; retransmitted refusals are acknowledged.
    Completed,
    /// It was accepted; every 2xx passes, retransmitted or of another fork.
    Accepted,
    /// It is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A 100 to 199 came.
    Provisional,
    /// A 200 to 299 came.
    Success,
    /// A 300 to 699 came.
    Failure,
    /// The request, or the ACK, could not be delivered.
    Unreachable,
    /// The transaction user gives it up: timer C fired, or a cancelled one stays silent (RFC 3261 §16.8, §9.1).
    GiveUp,
    /// Timer A fired.
    A,
    /// Timer B fired.
    B,
    /// Timer D fired.
    D,
    /// Timer M fired.
    M,
}

impl State {
    /// Begins: the request is sent.
    pub const START: Next<Self> =
        (Self::Calling { resent: 0 }, &[Action::Send, Action::Start(Timer::A), Action::Start(Timer::B)]);

    /// Returns what follows.
    #[must_use]
    pub const fn on(self, input: Input) -> Next<Self> {
        use Action::{Acknowledge, Inform, Pass, Resend, Start, Stop};
        match (self, input) {
            (Self::Calling { resent }, Input::A) => {
                (Self::Calling { resent: resent.saturating_add(1) }, &[Resend, Start(Timer::A)])
            }
            (Self::Calling { .. }, Input::B) => (Self::Terminated, &[Stop(Timer::A), Inform(Trouble::TimedOut)]),
            (Self::Calling { .. }, Input::Unreachable) => {
                (Self::Terminated, &[Stop(Timer::A), Stop(Timer::B), Inform(Trouble::Unreachable)])
            }
            (Self::Calling { .. }, Input::GiveUp) => (Self::Terminated, &[Stop(Timer::A), Stop(Timer::B)]),
            (Self::Calling { .. }, Input::Provisional) => (Self::Proceeding, &[Stop(Timer::A), Stop(Timer::B), Pass]),
            (Self::Calling { .. }, Input::Success) => (Self::Accepted, &[Stop(Timer::A), Stop(Timer::B), Start(Timer::M), Pass]),
            (Self::Calling { .. }, Input::Failure) => {
                (Self::Completed, &[Stop(Timer::A), Stop(Timer::B), Acknowledge, Start(Timer::D), Pass])
            }

            (Self::Proceeding, Input::Provisional) => (Self::Proceeding, &[Pass]),
            (Self::Proceeding, Input::Success) => (Self::Accepted, &[Start(Timer::M), Pass]),
            (Self::Proceeding, Input::Failure) => (Self::Completed, &[Acknowledge, Start(Timer::D), Pass]),
            (Self::Proceeding, Input::GiveUp) => (Self::Terminated, &[]),

            (Self::Completed, Input::Failure) => (Self::Completed, &[Acknowledge]),
            // A 2xx MUST pass also after another final response (RFC 3261 §16.7(5)).
            (Self::Completed, Input::Success) => (Self::Completed, &[Pass]),
            (Self::Completed, Input::D) => (Self::Terminated, &[]),
            (Self::Completed, Input::Unreachable) => (Self::Terminated, &[Stop(Timer::D), Inform(Trouble::Unreachable)]),

            (Self::Accepted, Input::Success) => (Self::Accepted, &[Pass]),
            (Self::Accepted, Input::M) => (Self::Terminated, &[]),

            // A timer of another state has been stopped on the way here, and what is final stays so.
            (Self::Calling { .. }, Input::D | Input::M)
            | (Self::Proceeding, Input::Unreachable | Input::A | Input::B | Input::D | Input::M)
            | (Self::Completed, Input::Provisional | Input::GiveUp | Input::A | Input::B | Input::M)
            | (
                Self::Accepted,
                Input::Provisional | Input::Failure | Input::Unreachable | Input::GiveUp | Input::A | Input::B | Input::D,
            )
            | (
                Self::Terminated,
                Input::Provisional
                | Input::Success
                | Input::Failure
                | Input::Unreachable
                | Input::GiveUp
                | Input::A
                | Input::B
                | Input::D
                | Input::M,
            ) => (self, &[]),
        }
    }

    /// Returns how many times the request has been sent again: what timer A depends on.
    #[must_use]
    pub const fn resent(self) -> u32 {
        match self {
            Self::Calling { resent } => resent,
            Self::Proceeding | Self::Completed | Self::Accepted | Self::Terminated => 0,
        }
    }
}

impl Input {
    /// Returns the input of a response with this status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            0..200 => Self::Provisional,
            200..300 => Self::Success,
            300.. => Self::Failure,
        }
    }

    /// Returns the input of this timer, if it is one of this machine's.
    #[must_use]
    pub const fn of_timer(timer: Timer) -> Option<Self> {
        match timer {
            Timer::A => Some(Self::A),
            Timer::B => Some(Self::B),
            Timer::D => Some(Self::D),
            Timer::M => Some(Self::M),
            Timer::C
            | Timer::E
            | Timer::F
            | Timer::G
            | Timer::H
            | Timer::I
            | Timer::J
            | Timer::K
            | Timer::L
            | Timer::Trying
            | Timer::Cancelled
            | Timer::Unused => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_resent_until_something_comes_back() {
        let (state, _) = after(&[Input::A, Input::A, Input::A]);
        assert_eq!((state, state.resent()), (State::Calling { resent: 3 }, 3));

        let (state, actions) = state.on(Input::Provisional);
        assert_eq!((state, actions), (State::Proceeding, &[Action::Stop(Timer::A), Action::Stop(Timer::B), Action::Pass][..]));
        assert_eq!(state.on(Input::A), (State::Proceeding, &[][..]));
    }

    #[test]
    fn a_refusal_is_acknowledged_each_time_and_passed_once() {
        let (state, first) = after(&[Input::Provisional, Input::Failure]);
        let (state, second) = state.on(Input::Failure);

        assert_eq!(first, [Action::Acknowledge, Action::Start(Timer::D), Action::Pass]);
        assert_eq!((state, second), (State::Completed, &[Action::Acknowledge][..]));
        assert_eq!(state.on(Input::D).0, State::Terminated);
    }

    #[test]
    fn every_2xx_passes_until_timer_m() {
        let (state, first) = after(&[Input::Success]);
        let (state, second) = state.on(Input::Success);

        assert!(first.ends_with(&[Action::Start(Timer::M), Action::Pass]));
        assert_eq!((state, second), (State::Accepted, &[Action::Pass][..]));
        assert_eq!(state.on(Input::M).0, State::Terminated);
    }

    #[test]
    fn silence_and_an_unreachable_next_hop_are_told() {
        assert_eq!(after(&[Input::B]).1.last(), Some(&Action::Inform(Trouble::TimedOut)));
        assert_eq!(after(&[Input::Unreachable]).1.last(), Some(&Action::Inform(Trouble::Unreachable)));
        assert_eq!(after(&[Input::Provisional, Input::Unreachable]), (State::Proceeding, &[][..]));
    }

    fn after(inputs: &[Input]) -> Next<State> {
        inputs.iter().fold(State::START, |(state, _), &input| state.on(input))
    }
}
