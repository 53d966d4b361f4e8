//! The non-INVITE server transaction (RFC 3261 §17.2.2, RFC 4320 §4): a BYE, OPTIONS, CANCEL, … that came to us.
//!
//! ```text
//!                   │ pass
//!                   ▼
//!                Trying ── 100: send ──▶ Proceeding ─┐ request: resend
//!                   │                     │    ▲─────┘ 100: send
//!   200–699: send, J│ silence: J          │
//!                   ▼◀────────────────────┘
//!               Completed ── J ──▶ Terminated
//!                ▲   │
//!                └───┘ request: resend, after silence nothing
//! ```

use super::{Action, Next, Timer};

/// Where a request stands that came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing has been sent back yet.
    Trying,
    /// A 100 has been sent.
    Proceeding,
    /// It was answered, or nobody waits for the answer any more.
    Completed,
    /// It is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The request came again.
    Request,
    /// The transaction user sends a 100.
    Provisional,
    /// The transaction user sends a 200 to 699.
    Final,
    /// There is no answer: a 408 MUST NOT be sent (RFC 4320 §4.2).
    Silence,
    /// Timer J fired.
    J,
}

impl State {
    /// Begins: the request goes to the transaction user.
    pub const START: Next<Self> = (Self::Trying, &[Action::Pass]);

    /// Returns what follows.
    #[must_use]
    pub const fn on(self, input: Input) -> Next<Self> {
        use Action::{Resend, Send, Start};
        match (self, input) {
            (Self::Trying | Self::Proceeding, Input::Provisional) => (Self::Proceeding, &[Send]),
            (Self::Trying | Self::Proceeding, Input::Final) => (Self::Completed, &[Send, Start(Timer::J)]),
            (Self::Trying | Self::Proceeding, Input::Silence) => (Self::Completed, &[Start(Timer::J)]),
            (Self::Proceeding | Self::Completed, Input::Request) => (self, &[Resend]),
            (Self::Completed, Input::J) => (Self::Terminated, &[]),

            // A retransmission that waits for its answer, a response after the last, a timer of another state.
            (Self::Trying, Input::Request | Input::J)
            | (Self::Proceeding, Input::J)
            | (Self::Completed, Input::Provisional | Input::Final | Input::Silence)
            | (Self::Terminated, Input::Request | Input::Provisional | Input::Final | Input::Silence | Input::J) => (self, &[]),
        }
    }
}

impl Input {
    /// Returns the input of a response with this status, sent by the transaction user.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        if status < 200 { Self::Provisional } else { Self::Final }
    }

    /// Returns the input of this timer, if it is one of this machine's.
    #[must_use]
    pub const fn of_timer(timer: Timer) -> Option<Self> {
        match timer {
            Timer::J => Some(Self::J),
            Timer::A
            | Timer::B
            | Timer::C
            | Timer::D
            | Timer::E
            | Timer::F
            | Timer::G
            | Timer::H
            | Timer::I
            | Timer::K
            | Timer::L
            | Timer::M
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
    fn a_retransmission_is_absorbed_until_there_is_something_to_resend() {
        assert_eq!(after(&[Input::Request]), (State::Trying, &[][..]));
        assert_eq!(after(&[Input::Provisional, Input::Request]), (State::Proceeding, &[Action::Resend][..]));
        assert_eq!(after(&[Input::Final, Input::Request]), (State::Completed, &[Action::Resend][..]));
    }

    #[test]
    fn there_is_one_final_answer_and_it_is_kept_until_timer_j() {
        let (state, actions) = after(&[Input::Final]);

        assert_eq!(actions, [Action::Send, Action::Start(Timer::J)]);
        assert_eq!(state.on(Input::Final), (State::Completed, &[][..]));
        assert_eq!(state.on(Input::J).0, State::Terminated);
    }

    #[test]
    fn silence_sends_nothing() {
        assert_eq!(after(&[Input::Silence]), (State::Completed, &[Action::Start(Timer::J)][..]));
    }

    fn after(inputs: &[Input]) -> Next<State> {
        inputs.iter().fold(State::START, |(state, _), &input| state.on(input))
    }
}
