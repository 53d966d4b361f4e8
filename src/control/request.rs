//! What may be asked of a running proxy over its control socket: one line of JSON.

use serde::{Deserialize, Serialize};

/// A question.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Which calls are there at this moment?
    Calls {
        /// Whether the parties' numbers are told in full.
        #[serde(default)]
        numbers: bool,
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
    },
    /// Take no new calls; end once there are none left.
    Drain {
        /// Seconds after which it ends all the same.
        limit_s: u64,
    },
    /// How does the proxy do?
    Status {},
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line() {
        let calls = Request::Calls { numbers: true };
        let line = serde_json::to_string(&calls).unwrap();

        assert_eq!(line, r#"{"ask":"calls","numbers":true}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), calls);
        assert_eq!(serde_json::from_str::<Request>(r#"{"ask":"calls"}"#).unwrap(), Request::Calls { numbers: false });
        assert_eq!(serde_json::from_str::<Request>(r#"{"ask":"status"}"#).unwrap(), Request::Status {});
        let pause = Request::Pause { call: "00000000000000c0".into() };
        assert_eq!(serde_json::to_string(&pause).unwrap(), r#"{"ask":"pause","call":"00000000000000c0"}"#);
        assert!(serde_json::from_str::<Request>(r#"{"ask":"calls","number":true}"#).is_err());
        assert!(serde_json::from_str::<Request>(r#"{"ask":"pause"}"#).is_err());
        assert!(serde_json::from_str::<Request>("").is_err());
    }
}
