//! What may be asked of a running proxy over its control socket: one line of JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

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
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
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

impl Request {
    /// Reads a question from its line of JSON.
    ///
    /// # Errors
    /// Where the line is no JSON, or no question that is known here, or says something of one that is not known.
    pub fn from_json(line: &str) -> Result<Self, NotUnderstood> {
        serde_json::from_str(line).map_err(|error| match error.classify() {
            Category::Syntax | Category::Eof | Category::Io => NotUnderstood::NoJson { column: error.column() },
            Category::Data => NotUnderstood::NoQuestion,
        })
    }
}

/// The question is not understood. It repeats nothing of it: a number may have been asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotUnderstood {
    /// It is no JSON.
    NoJson {
        /// The byte of the line, counted from 1, at which that shows; 0 before the first.
        column: usize,
    },
    /// It is no question that is known here.
    NoQuestion,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJson { column } => write!(f, "the request is no JSON, as shows at byte {column}"),
            Self::NoQuestion => {
                f.write_str("the request is not known to this proxy: are the proxy and the command of the same version?")
            }
        }
    }
}

impl std::error::Error for NotUnderstood {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_line() {
        let calls = Request::Calls { numbers: true };
        let line = serde_json::to_string(&calls).unwrap();

        assert_eq!(line, r#"{"ask":"calls","numbers":true}"#);
        assert_eq!(Request::from_json(&line), Ok(calls));
        assert_eq!(Request::from_json(r#"{"ask":"calls"}"#), Ok(Request::Calls { numbers: false }));
        assert_eq!(Request::from_json(r#"{"ask":"status"}"#), Ok(Request::Status {}));
        let pause = Request::Pause { call: "00000000000000c0".into() };
        assert_eq!(serde_json::to_string(&pause).unwrap(), r#"{"ask":"pause","call":"00000000000000c0"}"#);
    }

    #[test]
    fn what_is_not_understood_is_not_repeated() {
        for line in [
            r#"{"ask":"calls","number":true}"#,
            r#"{"ask":"pause"}"#,
            r#"{"ask":"calls","numbers":"+4930123456"}"#,
            r#"{"ask":"+4930123456"}"#,
            r#"{"ask":"status","of":"+4930123456"}"#,
            r#""+4930123456""#,
        ] {
            let error = Request::from_json(line).unwrap_err();
            assert_eq!(error, NotUnderstood::NoQuestion, "{line}");
            assert!(!error.to_string().contains("4930"), "{error}");
        }
        assert_eq!(Request::from_json(""), Err(NotUnderstood::NoJson { column: 0 }));
        assert_eq!(Request::from_json(r#"{"ask":+49"#), Err(NotUnderstood::NoJson { column: 8 }));
    }
}
