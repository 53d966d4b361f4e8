//! What the API says where it does not do what is asked (RFC 9457): whose fault it is, and what to do.

use serde::{Deserialize, Serialize};

use crate::control::Trouble;

/// A refusal or a failure, as `application/problem+json`. Its type is `about:blank`: what happened is said by status, detail and reason.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
pub struct Problem {
    /// The status's words.
    #[schema(value_type = String)]
    pub title: Box<str>,
    /// The status.
    pub status: u16,
    /// What was wrong, in one sentence.
    pub detail: String,
    /// What to do; empty where nobody knows.
    #[serde(default)]
    pub remedy: String,
    /// Whose fault it is.
    pub fault: Fault,
    /// The code of the reason, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why the call is not recorded, where that is the reason: the ledger's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whose fault it is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
#[serde(rename_all = "lowercase")]
pub enum Fault {
    /// Of who asks: another question may be answered.
    Caller,
    /// Of how things stand: the same question may be answered at another time.
    State,
    /// Of the proxy, or of the machine that it is on.
    Proxy,
}

impl Problem {
    /// Its media type.
    pub const TYPE: &'static str = "application/problem+json";

    /// Takes a status of 400 or more, and what was wrong.
    #[must_use]
    pub fn new(status: u16, trouble: Trouble) -> Self {
        let (detail, remedy) = (trouble.what().to_owned(), trouble.remedy().to_owned());
        let (title, fault) = match status {
            400 => ("Bad Request", Fault::Caller),
            401 => ("Unauthorized", Fault::Caller),
            403 => ("Forbidden", Fault::Caller),
            404 => ("Not Found", Fault::Caller),
            405 => ("Method Not Allowed", Fault::Caller),
            408 => ("Request Timeout", Fault::Caller),
            409 => ("Conflict", Fault::State),
            413 => ("Content Too Large", Fault::Caller),
            422 => ("Unprocessable Content", Fault::Caller),
            503 => ("Service Unavailable", Fault::Proxy),
            _ => ("Internal Server Error", Fault::Proxy),
        };
        Self { title: title.into(), status, detail, remedy, fault, reason: None, why: None }
    }

    /// The same with a reason's code.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_whose_fault_it_is_and_what_to_do() {
        let problem = Problem::new(409, Trouble::new("the recording is paused already", "it is resumed by `resume`"));

        let said = serde_json::to_string(&problem.because("already-paused")).unwrap();

        assert_eq!(
            said,
            r#"{"title":"Conflict","status":409,"detail":"the recording is paused already","remedy":"it is resumed by `resume`","fault":"state","reason":"already-paused"}"#
        );
        assert_eq!(Problem::new(503, Trouble::new("", "")).fault, Fault::Proxy);
        assert_eq!(Problem::new(422, Trouble::new("", "")).fault, Fault::Caller);
    }
}
