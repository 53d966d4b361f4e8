//! The INVITE server transaction (RFC 3261 §17.2.1, RFC 6026 §7.1): an INVITE that came to us.
//!
//! ```text
//!                     │ pass
//!   INVITE: resend    ▼
//!   1xx: send  ┌─ Proceeding ── 2xx: relay, L ──▶ Accepted ── L ──▶ Terminated
//!              └────▶ │                            ▲    │            ▲   ▲
//!                     │ 300–699: send, G, H        └────┘            │   │
//!                     ▼                   2xx: relay; ACK: pass;     │   │
//!   INVITE: resend    │                   INVITE: absorbed           │   │
//!   G: resend  ┌─ Completed ── H: inform ────────────────────────────┘   │
//!              └────▶ │ ACK: I                                          │
//!                     ▼                                                  │
//!                 Confirmed ── I ────────────────────────────────────────┘
//! ```
//!
//! A 2xx that comes late, after a refusal, is relayed in every state (RFC 3261 §16.7(5)).

use super::{Action, Next, Timer, Trouble};

/// Where an INVITE stands that came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// No final response has been sent.
    Proceeding,
    /// It was refused, and the ACK has not come.
    Completed {
        /// How many times the refusal has been sent again by timer G.
        resent: u32,
    },
    /// It was refused, and the ACK came.
    Confirmed,
    /// It was accepted. Its 2xx is not ours to retransmit.
    Accepted,
    /// It is over.
    Terminated,
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The INVITE came again.
    Request,
    /// An ACK came.
    Ack,
    /// The transaction user sends a 100 to 199.
    Provisional,
    /// The transaction user sends a 200 to 299.
    Success,
    /// The transaction user sends a 300 to 699.
    Failure,
    /// Timer G fired.
    G,
    /// Timer H fired.
    H,
    /// Timer I fired.
    I,
    /// Timer L fired.
    L,
}

impl State {
    /// Begins: the request goes to the transaction user.
    pub const START: Next<Self> = (Self::Proceeding, &[Action::Pass]);

    /// Returns what follows.
    #[must_use]
    pub const fn on(self, input: Input) -> Next<Self> {
        use Action::{Inform, Pass, Relay, Resend, Send, Start, Stop};
        match (self, input) {
            (Self::Proceeding, Input::Request) => (self, &[Resend]),
            (Self::Proceeding, Input::Provisional) => (self, &[Send]),
            (Self::Proceeding, Input::Success) => (Self::Accepted, &[Relay, Start(Timer::L)]),
            (Self::Proceeding, Input::Failure) => (Self::Completed { resent: 0 }, &[Send, Start(Timer::G), Start(Timer::H)]),

            (Self::Completed { .. }, Input::Request) => (self, &[Resend]),
            (Self::Completed { resent }, Input::G) => {
                (Self::Completed { resent: resent.saturating_add(1) }, &[Resend, Start(Timer::G)])
            }
            (Self::Completed { .. }, Input::Ack) => (Self::Confirmed, &[Stop(Timer::G), Stop(Timer::H), Start(Timer::I)]),
            (Self::Completed { .. }, Input::H) => (Self::Terminated, &[Stop(Timer::G), Inform(Trouble::NotAcknowledged)]),

            (Self::Confirmed, Input::I) => (Self::Terminated, &[]),

            // An ACK with the INVITE's branch after a 2xx is wrong of the client, but no doubt the ACK to that (RFC 6026 §7.1).
            (Self::Accepted, Input::Ack) => (self, &[Pass]),
            (Self::Accepted, Input::L) => (Self::Terminated, &[]),

            (Self::Completed { .. } | Self::Confirmed | Self::Accepted | Self::Terminated, Input::Success) => (self, &[Relay]),

            // An ACK before its time, a response after the last, a retransmission to be absorbed, a timer that has been stopped.
            (Self::Proceeding, Input::Ack | Input::G | Input::H | Input::I | Input::L)
            | (Self::Completed { .. }, Input::Provisional | Input::Failure | Input::I | Input::L)
            | (
                Self::Confirmed,
                Input::Request | Input::Ack | Input::Provisional | Input::Failure | Input::G | Input::H | Input::L,
            )
            | (Self::Accepted, Input::Request | Input::Provisional | Input::Failure | Input::G | Input::H | Input::I)
            | (
                Self::Terminated,
                Input::Request | Input::Ack | Input::Provisional | Input::Failure | Input::G | Input::H | Input::I | Input::L,
            ) => (self, &[]),
        }
    }

    /// Returns how many times the refusal has been sent again: what timer G depends on.
    #[must_use]
    pub const fn resent(self) -> u32 {
        match self {
            Self::Completed { resent } => resent,
            Self::Proceeding | Self::Confirmed | Self::Accepted | Self::Terminated => 0,
        }
    }
}

impl Input {
    /// Returns the input of a response with this status, sent by the transaction user.
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
            Timer::G => Some(Self::G),
            Timer::H => Some(Self::H),
            Timer::I => Some(Self::I),
            Timer::L => Some(Self::L),
            Timer::A
            | Timer::B
            | Timer::C
            | Timer::D
            | Timer::E
            | Timer::F
            | Timer::J
            | Timer::K
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
    fn a_retransmitted_invite_gets_the_last_response_again() {
        assert_eq!(after(&[Input::Provisional, Input::Request]), (State::Proceeding, &[Action::Resend][..]));
        assert_eq!(after(&[Input::Failure, Input::Request]), (State::Completed { resent: 0 }, &[Action::Resend][..]));
    }

    #[test]
    fn a_refusal_is_resent_at_half_a_second_doubling_to_four_seconds_until_the_ack() {
        let mut state = after(&[Input::Failure]).0;
        let mut intervals = Vec::new();
        for _ in 0..5 {
            intervals.push(Timers::DEFAULT.interval(Timer::G, state.resent()).as_millis());
            state = state.on(Input::G).0;
        }

        assert_eq!(intervals, [500, 1000, 2000, 4000, 4000]);
        assert_eq!(
            state.on(Input::Ack),
            (State::Confirmed, &[Action::Stop(Timer::G), Action::Stop(Timer::H), Action::Start(Timer::I)][..])
        );
    }

    #[test]
    fn an_ack_is_absorbed_until_timer_i() {
        let (state, actions) = after(&[Input::Failure, Input::Ack, Input::Ack]);

        assert_eq!((state, actions), (State::Confirmed, &[][..]));
        assert_eq!(state.on(Input::I).0, State::Terminated);
    }

    #[test]
    fn without_an_ack_a_refusal_ends_by_timer_h() {
        assert_eq!(
            after(&[Input::Failure, Input::H]),
            (State::Terminated, &[Action::Stop(Timer::G), Action::Inform(Trouble::NotAcknowledged)][..])
        );
    }

    #[test]
    fn a_2xx_is_relayed_again_and_an_invite_absorbed_until_timer_l() {
        let (state, first) = after(&[Input::Success]);

        assert_eq!(first, [Action::Relay, Action::Start(Timer::L)]);
        assert_eq!(state.on(Input::Success), (State::Accepted, &[Action::Relay][..]));
        assert_eq!(state.on(Input::Request), (State::Accepted, &[][..]));
        assert_eq!(state.on(Input::Ack), (State::Accepted, &[Action::Pass][..]));
        assert_eq!(state.on(Input::L).0, State::Terminated);
    }

    fn after(inputs: &[Input]) -> Next<State> {
        inputs.iter().fold(State::START, |(state, _), &input| state.on(input))
    }
}
