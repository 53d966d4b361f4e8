//! What may be asked of a running proxy's calls.

/// A question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Which calls are there at this moment?
    Calls {
        /// Whether the parties' numbers are told in full.
        numbers: bool,
    },
    /// Tell and ask the parties of a call, whose policy records on demand.
    Start {
        /// The call's number.
        call: String,
    },
    /// Keep nothing of a call from here on, until it is resumed or its longest pause has passed.
    Pause {
        /// The call's number.
        call: String,
    },
    /// Keep again what a paused call says.
    Resume {
        /// The call's number.
        call: String,
    },
    /// Keep nothing of a call from here on, for good: a party refuses or withdraws through the operator.
    Withdraw {
        /// The call's number.
        call: String,
        /// Whether the keys of what was recorded until then are destroyed.
        shreds: bool,
    },
    /// Take no new calls; end once there are none left.
    Drain {
        /// Seconds after which it ends all the same.
        limit_s: u64,
    },
    /// Read the register again, and go by it.
    Roster {},
    /// Which addresses have the PBX and the trunks, and are they up?
    Trunks {},
    /// How does the proxy do?
    Status {},
}
