//! What is asked of the proxy's calls over HTTP: a route, the number in its path, a query and a body of JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use crate::control::Request;
use crate::control::api::Route;

impl Request {
    /// Returns the route it goes over, with the number in its path.
    #[must_use]
    pub fn route(&self) -> (Route, &str) {
        match self {
            Self::Calls { .. } => (Route::Calls, ""),
            Self::Start { call } => (Route::Start, call),
            Self::Pause { call } => (Route::Pause, call),
            Self::Resume { call } => (Route::Resume, call),
            Self::Withdraw { call, .. } => (Route::Withdraw, call),
            Self::Drain { .. } => (Route::Drain, ""),
            Self::Roster {} => (Route::Register, ""),
            Self::Trunks {} => (Route::Trunks, ""),
            Self::Status {} => (Route::Status, ""),
        }
    }

    /// Returns path and query, and the body, as it is sent.
    #[must_use]
    pub fn to_http(&self) -> (String, String) {
        let (route, id) = self.route();
        let path = route.path_of(id);
        match self {
            Self::Calls { numbers: true } => (path + "?numbers=true", String::new()),
            Self::Withdraw { shreds, .. } => (path, json(&Withdraw { shreds: *shreds })),
            Self::Drain { limit_s } => (path, json(&Drain { limit_s: *limit_s })),
            Self::Calls { numbers: false }
            | Self::Start { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Roster {}
            | Self::Trunks {}
            | Self::Status {} => (path, String::new()),
        }
    }
}

/// Reads what is asked over a route; nothing where it is not asked of the calls.
///
/// # Errors
/// The query or the body has something that the route does not know, or not what it needs.
pub fn question(route: Route, id: &str, query: &str, body: &[u8]) -> Result<Option<Request>, NotUnderstood> {
    let call = || id.to_owned();
    if route != Route::Calls && !query.is_empty() {
        return Err(NotUnderstood::Query);
    }
    Ok(Some(match route {
        Route::Calls => {
            let numbers = match query {
                "" | "numbers=false" => false,
                "numbers=true" => true,
                _ => return Err(NotUnderstood::Query),
            };
            empty(body)?;
            Request::Calls { numbers }
        }
        Route::Start => empty(body).map(|()| Request::Start { call: call() })?,
        Route::Pause => empty(body).map(|()| Request::Pause { call: call() })?,
        Route::Resume => empty(body).map(|()| Request::Resume { call: call() })?,
        Route::Withdraw => {
            let Withdraw { shreds } = if body.is_empty() { Withdraw { shreds: false } } else { read(body)? };
            Request::Withdraw { call: call(), shreds }
        }
        Route::Drain => Request::Drain { limit_s: read::<Drain>(body)?.limit_s },
        Route::Register => empty(body).map(|()| Request::Roster {})?,
        Route::Trunks => empty(body).map(|()| Request::Trunks {})?,
        Route::Status => empty(body).map(|()| Request::Status {})?,
        Route::OpenApi => return Ok(None),
    }))
}

/// What is said of a withdrawal.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Withdraw {
    /// Whether the keys of what was recorded until then are destroyed.
    #[serde(default)]
    pub(super) shreds: bool,
}

/// What is said of an end.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Drain {
    /// Seconds after which it ends although there are calls; more than a day is a day.
    pub(super) limit_s: u64,
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads a body of JSON.
pub(super) fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, NotUnderstood> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => NotUnderstood::NoJson { column: error.column() },
        Category::Data => NotUnderstood::Body,
    })
}

/// A route that needs no body takes none, or an empty object, which some clients always send.
fn empty(body: &[u8]) -> Result<(), NotUnderstood> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    if body.is_empty() { Ok(()) } else { read::<Nothing>(body).map(|Nothing {}| ()) }
}

/// The question is not understood. It repeats nothing of it: a number may have been asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotUnderstood {
    /// The body is no JSON.
    NoJson {
        /// The byte of its line, counted from 1, at which that shows; 0 before the first.
        column: usize,
    },
    /// The body has not what the route needs, or something that it does not know.
    Body,
    /// The query has something that the route does not know.
    Query,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJson { column } => write!(f, "the request's body is no JSON, as shows at byte {column}"),
            Self::Body => f.write_str("the request's body has not what is needed here, or something that is not known here"),
            Self::Query => f.write_str("the request's query has something that is not known here"),
        }
    }
}

impl std::error::Error for NotUnderstood {}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_as_it_is_sent() {
        let call = || "00000000000000c0".to_owned();
        for request in [
            Request::Calls { numbers: true },
            Request::Calls { numbers: false },
            Request::Pause { call: call() },
            Request::Resume { call: call() },
            Request::Withdraw { call: call(), shreds: true },
            Request::Withdraw { call: call(), shreds: false },
            Request::Drain { limit_s: 600 },
            Request::Roster {},
            Request::Trunks {},
            Request::Status {},
        ] {
            let (target, body) = request.to_http();
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let (route, id) = Route::find(request.route().0.method().as_str(), path).unwrap();

            assert_eq!(question(route, id, query, body.as_bytes()), Ok(Some(request)), "{target} {body}");
        }
        assert_eq!(Request::Calls { numbers: true }.to_http(), ("/v1/calls?numbers=true".into(), String::new()));
        assert_eq!(Request::Drain { limit_s: 1 }.to_http(), ("/v1/drain".into(), r#"{"limit_s":1}"#.into()));
    }

    #[test]
    fn what_is_not_understood_is_not_repeated() {
        for (route, query, body, expected) in [
            (Route::Calls, "number=+4930123456", "", NotUnderstood::Query),
            (Route::Status, "of=+4930123456", "", NotUnderstood::Query),
            (Route::Drain, "", "", NotUnderstood::NoJson { column: 0 }),
            (Route::Drain, "", r#"{"limit_s":"+4930123456"}"#, NotUnderstood::Body),
            (Route::Drain, "", r#"{"limit_s":1,"of":"+4930123456"}"#, NotUnderstood::Body),
            (Route::Pause, "", r#""+4930123456""#, NotUnderstood::Body),
            (Route::Pause, "", "{+4930123456", NotUnderstood::NoJson { column: 2 }),
        ] {
            let error = question(route, "", query, body.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{route} {body}");
            assert!(!error.to_string().contains("4930"), "{error}");
        }
    }
}
