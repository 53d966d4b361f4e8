//! What is asked over HTTP: a route, the number in its path, and the fields of its query or of its body of JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::control::Request;
use crate::control::api::{Kind, Method, Route};

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
            Self::Withdraw { shreds, .. } => (path, serde_json::json!({ "shreds": shreds }).to_string()),
            Self::Drain { limit_s } => (path, serde_json::json!({ "limit_s": limit_s }).to_string()),
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

/// What was said over a route: only what it knows, each of its kind, and all that it needs.
#[derive(Clone, PartialEq, Default)]
pub struct Fields(BTreeMap<&'static str, Value>);

/// Prints no value: a number may be one.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Fields {
    /// Reads the query of a route that only looks, or the body of one that does something.
    ///
    /// # Errors
    /// There is something that the route does not know, or not what it needs.
    pub fn read(route: Route, query: &str, body: &[u8]) -> Result<Self, NotUnderstood> {
        match route.method() {
            Method::Get if body.is_empty() => Self::of_query(route, query),
            Method::Get => Err(NotUnderstood::Body),
            Method::Post if query.is_empty() => Self::of_body(route, body),
            Method::Post => Err(NotUnderstood::Query),
        }
    }

    fn of_query(route: Route, query: &str) -> Result<Self, NotUnderstood> {
        let mut fields = Self::default();
        for (name, text) in form_urlencoded::parse(query.as_bytes()) {
            let known = route.fields().iter().find(|field| field.name == name).ok_or(NotUnderstood::Query)?;
            let value = match known.kind {
                Kind::Flag => text.parse::<bool>().ok().map(Value::from),
                Kind::Count => text.parse::<u64>().ok().map(Value::from),
                Kind::Number => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
                Kind::Text => Some(Value::from(text.into_owned())),
            };
            if fields.0.insert(known.name, value.ok_or(NotUnderstood::Query)?).is_some() {
                return Err(NotUnderstood::Query);
            }
        }
        fields.whole(route).ok_or(NotUnderstood::Query)
    }

    fn of_body(route: Route, body: &[u8]) -> Result<Self, NotUnderstood> {
        // A route that needs nothing takes no body, or an empty object, which some clients always send.
        let read = if body.is_empty() { Ok(Map::new()) } else { serde_json::from_slice::<Map<String, Value>>(body) };
        let object = read.map_err(|error| match error.classify() {
            Category::Syntax | Category::Eof | Category::Io => NotUnderstood::NoJson { column: error.column() },
            Category::Data => NotUnderstood::Body,
        })?;
        let mut fields = Self::default();
        for (name, value) in object {
            let known = route.fields().iter().find(|field| field.name == name).ok_or(NotUnderstood::Body)?;
            let fits = match known.kind {
                Kind::Flag => value.is_boolean(),
                Kind::Count => value.is_u64(),
                Kind::Number => value.is_number(),
                Kind::Text => value.is_string(),
            };
            if !fits {
                return Err(NotUnderstood::Body);
            }
            fields.0.insert(known.name, value);
        }
        fields.whole(route).ok_or(NotUnderstood::Body)
    }

    fn whole(self, route: Route) -> Option<Self> {
        let has_all = route.fields().iter().all(|field| !field.is_needed || self.0.contains_key(field.name));
        // A NUL is no part of a word of any language, and of no command.
        let is_text = |value: &Value| value.as_str().is_none_or(|text| !text.contains('\0'));
        (has_all && self.0.values().all(is_text)).then_some(self)
    }

    /// Returns whether it was said to be so.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    /// Returns a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// Returns a whole number.
    #[must_use]
    pub fn count(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }

    /// Returns all that was said, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }
}

/// Returns what is asked of the calls over a route; nothing where it is not asked of them.
#[must_use]
pub fn question(route: Route, id: &str, fields: &Fields) -> Option<Request> {
    let call = id.to_owned();
    Some(match route {
        Route::Calls => Request::Calls { numbers: fields.flag("numbers") },
        Route::Start => Request::Start { call },
        Route::Pause => Request::Pause { call },
        Route::Resume => Request::Resume { call },
        Route::Withdraw => Request::Withdraw { call, shreds: fields.flag("shreds") },
        Route::Drain => Request::Drain { limit_s: fields.count("limit_s")? },
        Route::Register => Request::Roster {},
        Route::Trunks => Request::Trunks {},
        Route::Status => Request::Status {},
        Route::Events
        | Route::Recordings
        | Route::Recording
        | Route::File
        | Route::Keys
        | Route::Hold
        | Route::Release
        | Route::Erase
        | Route::Holds
        | Route::Subject
        | Route::Complaints
        | Route::Complain
        | Route::CloseComplaint
        | Route::Audit
        | Route::AuditHead
        | Route::AuditVerify
        | Route::OpenApi => return None,
    })
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
    /// The query has not what the route needs, or something that it does not know.
    Query,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoJson { column } => write!(f, "the request's body is no JSON, as shows at byte {column}"),
            Self::Body => f.write_str("the request's body has not what is needed here, or something that is not known here"),
            Self::Query => f.write_str("the request's query has not what is needed here, or something that is not known here"),
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
            Request::Start { call: call() },
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
            let fields = Fields::read(route, query, body.as_bytes()).unwrap();

            assert_eq!(question(route, id, &fields), Some(request), "{target} {body}");
        }
        assert_eq!(Request::Calls { numbers: true }.to_http(), ("/v1/calls?numbers=true".into(), String::new()));
        assert_eq!(Request::Drain { limit_s: 1 }.to_http(), ("/v1/drain".into(), r#"{"limit_s":1}"#.into()));
    }

    #[test]
    fn what_is_not_understood_is_not_repeated() {
        for (route, query, body, expected) in [
            (Route::Calls, "number=+4930123456", "", NotUnderstood::Query),
            (Route::Calls, "numbers=true&numbers=true", "", NotUnderstood::Query),
            (Route::Calls, "numbers=yes", "", NotUnderstood::Query),
            (Route::Calls, "", "{}", NotUnderstood::Body),
            (Route::Status, "of=+4930123456", "", NotUnderstood::Query),
            (Route::File, "", "", NotUnderstood::Query),
            (Route::Drain, "limit_s=1", "", NotUnderstood::Query),
            (Route::Drain, "", "", NotUnderstood::Body),
            (Route::Drain, "", r#"{"limit_s":"+4930123456"}"#, NotUnderstood::Body),
            (Route::Drain, "", r#"{"limit_s":1,"of":"+4930123456"}"#, NotUnderstood::Body),
            (Route::Hold, "", r#"{"reason":"+4930123456\u0000"}"#, NotUnderstood::Body),
            (Route::Pause, "", r#""+4930123456""#, NotUnderstood::Body),
            (Route::Pause, "", "{+4930123456", NotUnderstood::NoJson { column: 2 }),
        ] {
            let error = Fields::read(route, query, body.as_bytes()).unwrap_err();
            assert_eq!(error, expected, "{route} {query} {body}");
            assert!(!error.to_string().contains("4930"), "{error}");
        }
        let read = Fields::read(Route::Subject, "", br#"{"number":"+4930123456","purpose":"GDPR 15"}"#).unwrap();
        assert_eq!(format!("{read:?}"), r#"{"number", "purpose"}"#);
        assert_eq!(read.text("number"), Some("+4930123456"));
    }
}
