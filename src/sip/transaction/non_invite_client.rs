//! The non-INVITE client transaction (RFC 3261 §17.1.2): our BYE, OPTIONS, CANCEL, … to the next hop.
//!
//! ```text
//!                │ send, E, F
//!     E: resend  ▼          F, unreachable: inform
//!        ┌── Trying ────────────────────────────▶ Terminated
//!        └────▶ │ │ 1xx: pass                      ▲    ▲
//!               │ └───────▶ Proceeding ── F, …  ───┘    │
//!      200–699: │            │  │   ▲                    │
//!      pass, K  │◀───────────┘  └───┘ E: resend          │
//!               ▼                     1xx: pass          │
//!           Completed ── K ──────────────────────────────┘
//! ```

use super::{Action, Next, Timer, Trouble};

/// Where a request of ours stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Nothing has come back yet.
    Trying {
        /// How many times the request has been sent again.
        resent: u32,
    },
    /// The next hop works on it; it is sent again every T2.
    Proceeding,
    /// It was answered; retransmitted answers are absorbed.
    Completed,
    /// It is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A 100 to 199 came.
    Provisional,
    /// A 200 to 699 came.
    Final,
    /// The request could not be delivered.
    Unreachable,
    /// Timer E fired.
    E,
    /// Timer F fired.
    F,
    /// Timer K fired.
    K,
}

impl State {
    /// Begins: the request is sent.
    pub const START: Next<Self> = (Self::Trying { resent: 0 }, &[Action::Send, Action::Start(Timer::E), Action::Start(Timer::F)]);

    /// Returns what follows.
    #[must_use]
    pub const fn on(self, input: Input) -> Next<Self> {
        use Action::{Inform, Pass, Resend, Start, Stop};
        match (self, input) {
            (Self::Trying { resent }, Input::E) => {
                (Self::Trying { resent: resent.saturating_add(1) }, &[Resend, Start(Timer::E)])
            }
            (Self::Trying { .. }, Input::Provisional) => (Self::Proceeding, &[Pass]),

            (Self::Proceeding, Input::E) => (Self::Proceeding, &[Resend, Start(Timer::E)]),
            (Self::Proceeding, Input::Provisional) => (Self::Proceeding, &[Pass]),

            (Self::Trying { .. } | Self::Proceeding, Input::F) => {
                (Self::Terminated, &[Stop(Timer::E), Inform(Trouble::TimedOut)])
            }
            (Self::Trying { .. } | Self::Proceeding, Input::Unreachable) => {
                (Self::Terminated, &[Stop(Timer::E), Stop(Timer::F), Inform(Trouble::Unreachable)])
            }
            (Self::Trying { .. } | Self::Proceeding, Input::Final) => {
                (Self::Completed, &[Stop(Timer::E), Stop(Timer::F), Start(Timer::K), Pass])
            }

            (Self::Completed, Input::K) => (Self::Terminated, &[]),

            // Retransmitted answers are absorbed, and a timer of another state has been stopped on the way here.
            (Self::Trying { .. } | Self::Proceeding, Input::K)
            | (Self::Completed, Input::Provisional | Input::Final | Input::Unreachable | Input::E | Input::F)
            | (Self::Terminated, Input::Provisional | Input::Final | Input::Unreachable | Input::E | Input::F | Input::K) => {
                (self, &[])
            }
        }
    }

    /// Returns how many times the request has been sent again, for timer E: once a provisional response has come, enough for T2.
    #[must_use]
    pub const fn resent(self) -> u32 {
        match self {
            Self::Trying { resent } => resent,
            Self::Proceeding | Self::Completed | Self::Terminated => u32::MAX,
        }
    }
}

impl Input {
    /// Returns the input of a response with this status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        if status < 200 { Self::Provisional } else { Self::Final }
    }

    /// Returns the input of this timer, if it is one of this machine's.
    #[must_use]
    pub const fn of_timer(timer: Timer) -> Option<Self> {
        match timer {
            Timer::E => Some(Self::E),
            Timer::F => Some(Self::F),
            Timer::K => Some(Self::K),
            Timer::A
            | Timer::B
            | Timer::C
            | Timer::D
            | Timer::G
            | Timer::H
            | Timer::I
            | Timer::J
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
    use super::super::Timers;
    use super::*;

    #[test]
    fn a_request_is_resent_at_half_a_second_doubling_to_four_seconds() {
        let mut state = State::START.0;
        let mut intervals = Vec::new();
        for _ in 0..6 {
            intervals.push(Timers::DEFAULT.interval(Timer::E, state.resent()).as_millis());
            state = state.on(Input::E).0;
        }

        assert_eq!(intervals, [500, 1000, 2000, 4000, 4000, 4000]);
    }

    #[test]
    fn once_a_provisional_response_came_it_is_resent_every_t2() {
        let state = after(&[Input::Provisional]).0;

        assert_eq!(Timers::DEFAULT.interval(Timer::E, state.resent()), Timers::DEFAULT.t2);
        assert_eq!(state.on(Input::E), (State::Proceeding, &[Action::Resend, Action::Start(Timer::E)][..]));
    }

    #[test]
    fn the_answer_passes_once() {
        let (state, first) = after(&[Input::Provisional, Input::Final]);

        assert_eq!(first, [Action::Stop(Timer::E), Action::Stop(Timer::F), Action::Start(Timer::K), Action::Pass]);
        assert_eq!(state.on(Input::Final), (State::Completed, &[][..]));
        assert_eq!(state.on(Input::K).0, State::Terminated);
    }

    #[test]
    fn silence_and_an_unreachable_next_hop_are_told() {
        assert_eq!(after(&[Input::F]), (State::Terminated, &[Action::Stop(Timer::E), Action::Inform(Trouble::TimedOut)][..]));
        assert_eq!(after(&[Input::Provisional, Input::Unreachable]).1.last(), Some(&Action::Inform(Trouble::Unreachable)));
    }

    fn after(inputs: &[Input]) -> Next<State> {
        inputs.iter().fold(State::START, |(state, _), &input| state.on(input))
    }
}
