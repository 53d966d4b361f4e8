//! What the API is, as OpenAPI 3.1: from the table of the routes and the types that are sent.

use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{AdditionalProperties, ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    Content, HttpMethod, InfoBuilder, License, OpenApiBuilder, PathItem, PathsBuilder, Ref, Required, Response, ResponseBuilder,
};

use crate::access::Role;
use crate::control::api::answer::{Calls, Deed, Draining, Register, Trunks};
use crate::control::api::ledger;
use crate::control::api::{CallEvent, CallState, Fault, Field, Kind, Method, Problem, Route};
use crate::control::{Consent, Done, LiveCall, LiveState, Standing, Status, TrunkAddress};

/// Returns the document, as JSON that people can read.
#[must_use]
pub fn openapi() -> String {
    let mut paths = PathsBuilder::new();
    for route in Route::ALL {
        let method = match route.method() {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
        };
        // Paths that are there already get one method more.
        paths = paths.path(route.path(), PathItem::new(method, operation(*route)));
    }
    let license = {
        let mut license = License::new("Apache-2.0");
        license.identifier = Some("Apache-2.0".into());
        license
    };
    let info =
        InfoBuilder::new().title("mitschnitt").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).license(Some(license));
    let components = ComponentsBuilder::new()
        .schema_from::<CallEvent>()
        .schema_from::<CallState>()
        .schema_from::<Calls>()
        .schema_from::<Consent>()
        .schema_from::<Deed>()
        .schema_from::<Done>()
        .schema_from::<Draining>()
        .schema_from::<Fault>()
        .schema_from::<LiveCall>()
        .schema_from::<LiveState>()
        .schema_from::<Problem>()
        .schema_from::<Register>()
        .schema_from::<Standing>()
        .schema_from::<Status>()
        .schema_from::<TrunkAddress>()
        .schema_from::<Trunks>();
    let components = of_ledger(components);
    let document = OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components.build())).build();
    // It is made of texts alone, which JSON takes.
    document.to_pretty_json().unwrap_or_default() + "\n"
}

/// Adds what is answered out of the ledger.
fn of_ledger(components: ComponentsBuilder) -> ComponentsBuilder {
    components
        .schema_from::<ledger::AccessLine>()
        .schema_from::<ledger::Audited>()
        .schema_from::<ledger::CallRow>()
        .schema_from::<ledger::ChainEvent>()
        .schema_from::<ledger::Closed>()
        .schema_from::<ledger::ComplaintLine>()
        .schema_from::<ledger::Complaints>()
        .schema_from::<ledger::Copy>()
        .schema_from::<ledger::Correction>()
        .schema_from::<ledger::Ended>()
        .schema_from::<ledger::Erased>()
        .schema_from::<ledger::Events>()
        .schema_from::<ledger::Head>()
        .schema_from::<ledger::Heard>()
        .schema_from::<ledger::HeaderValue>()
        .schema_from::<ledger::HeldOrNot>()
        .schema_from::<ledger::HoldLine>()
        .schema_from::<ledger::Holds>()
        .schema_from::<ledger::Keeping>()
        .schema_from::<ledger::KeptRow>()
        .schema_from::<ledger::Known>()
        .schema_from::<ledger::Noted>()
        .schema_from::<ledger::Person>()
        .schema_from::<ledger::PersonRow>()
        .schema_from::<ledger::Qualities>()
        .schema_from::<ledger::Recordings>()
        .schema_from::<ledger::Sides>()
        .schema_from::<ledger::TurnLine>()
}

/// What stands at its top.
const ABOUT: &str = "What a running SIP/RTP recording proxy is asked and told. It listens on a Unix socket in its data directory, where the \
caller is known by its user, and where so configured over TLS. Numbers are masked unless they are asked for.";

fn operation(route: Route) -> Operation {
    let mut operation = OperationBuilder::new().operation_id(Some(word(route))).summary(Some(route.summary()));
    if route.path().contains("{id}") {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let id = ParameterBuilder::new().name("id").parameter_in(ParameterIn::Path).required(Required::True);
        operation = operation.parameter(id.description(Some("Its number, in hexadecimal digits")).schema(Some(text)));
    }
    for field in route.fields().iter().filter(|_| route.method() == Method::Get) {
        let required = if field.is_needed { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new().name(field.name).parameter_in(ParameterIn::Query).required(required);
        operation = operation.parameter(parameter.description(Some(field.about)).schema(Some(kind(field))));
    }
    let roles: Vec<_> = route.action().roles().iter().map(Role::as_str).collect();
    let about = format!("For the role {}.", roles.join(" or "));
    operation = operation.description(Some(about)).request_body(sent(route)).response("200", answer(route));
    for (status, when) in problems(route) {
        operation = operation.response(status, problem(when));
    }
    operation.build()
}

/// Its name for programs: `calls-pause`.
fn word(route: Route) -> String {
    let words = route.path().trim_start_matches("/v1/").replace("{id}/", "").replace("{id}", "one").replace(['/', '.'], "-");
    if route == Route::Complain { "complain".into() } else { words }
}

fn kind(field: &Field) -> ObjectBuilder {
    let schema = ObjectBuilder::new().description(Some(field.about));
    match field.kind {
        Kind::Flag => schema.schema_type(Type::Boolean),
        Kind::Count => schema.schema_type(Type::Integer).minimum(Some(0)),
        Kind::Number => schema.schema_type(Type::Number),
        Kind::Text => schema.schema_type(Type::String).pattern(pattern(field)).min_length(field.is_needed.then_some(1)),
    }
}

/// How a text must look, where that can be said: also what looks like it may be no day, or no number of anything.
fn pattern(field: &Field) -> Option<&'static str> {
    match field.name {
        "from" | "to" | "since" | "until" => Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2})?$"),
        "recording" => Some("^[0-9a-f]{32}$"),
        "country" => Some("^[0-9]{1,3}$"),
        _ => None,
    }
}

fn sent(route: Route) -> Option<RequestBody> {
    if route.method() == Method::Get || route.fields().is_empty() {
        return None;
    }
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for field in route.fields() {
        object = object.property(field.name, kind(field));
        if field.is_needed {
            object = object.required(field.name);
        }
    }
    let is_needed = route.fields().iter().any(|field| field.is_needed);
    let required = if is_needed { Required::True } else { Required::False };
    Some(RequestBodyBuilder::new().required(Some(required)).content("application/json", Content::new(Some(object))).build())
}

fn answer(route: Route) -> Response {
    let schema = match route {
        Route::Status => "Status",
        Route::Calls => "Calls",
        Route::Events => {
            let event = Content::new(Some(Ref::from_schema_name("CallEvent")));
            let about = "One event for each change: its name is the state, its data this object. `missed` says to how many somebody was too slow";
            return ResponseBuilder::new().description(about).content("text/event-stream", event).build();
        }
        Route::Start | Route::Pause | Route::Resume | Route::Withdraw => "Deed",
        Route::Drain => "Draining",
        Route::Trunks => "Trunks",
        Route::Register => "Register",
        Route::File | Route::Keys => {
            let bytes =
                Content::new(Some(ObjectBuilder::new().schema_type(Type::String).content_media_type("application/octet-stream")));
            return ResponseBuilder::new().description("Its bytes").content("application/octet-stream", bytes).build();
        }
        Route::Recordings => "Recordings",
        Route::Recording => "Known",
        Route::Hold | Route::Release => "HeldOrNot",
        Route::Erase => "Erased",
        Route::Holds => "Holds",
        Route::Subject => "Person",
        Route::Complaints => "Complaints",
        Route::Complain => "Noted",
        Route::CloseComplaint => "Ended",
        Route::Audit => "Events",
        Route::AuditHead => "Head",
        Route::AuditVerify => "Audited",
        Route::OpenApi => {
            let content = Content::new(Some(ObjectBuilder::new()));
            return ResponseBuilder::new().description("What is known").content("application/json", content).build();
        }
    };
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    ResponseBuilder::new().description("What is so").content("application/json", content).build()
}

/// The statuses of its problems, and when each comes.
fn problems(route: Route) -> impl Iterator<Item = (&'static str, &'static str)> {
    let has_id = route.path().contains("{id}");
    let may_clash = has_id && route != Route::Recording || route == Route::Complain;
    let of_some = [(has_id || route == Route::Complain, ABSENT), (may_clash, CLASH), (!has_id, ABSENT_YET)];
    let of_some = of_some.into_iter().filter_map(|(is_so, problem)| is_so.then_some(problem));
    [MANGLED, UNKNOWN, DENIED, SLOW, LARGE, STRANGE, FAILED, STOPPING].into_iter().chain(of_some)
}

const ABSENT: (&str, &str) = ("404", "There is no such thing, or it was erased");
const ABSENT_YET: (&str, &str) = ("404", "There is no such thing yet");
const CLASH: (&str, &str) = ("409", "As things stand nothing can be done; `reason` or `detail` says why");
const MANGLED: (&str, &str) = ("400", "The body does not end as it should");
const FAILED: (&str, &str) = ("500", "A disk, a file or a fault of ours");
const UNKNOWN: (&str, &str) = ("401", "Nobody knows who asks");
const DENIED: (&str, &str) = ("403", "Who asks may not");
const SLOW: (&str, &str) = ("408", "The request did not end in time");
const LARGE: (&str, &str) = ("413", "The body is longer than any that is needed");
const STRANGE: (&str, &str) = ("422", "The query or the body is not understood");
const STOPPING: (&str, &str) = ("503", "The proxy is stopping, or cannot at this moment");

fn problem(when: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(when).content(Problem::TYPE, content).build()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic, and this one reads a file of the tree")]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_document_that_is_checked_in_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/openapi.json");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path, openapi()).unwrap();
        }

        assert!(fs::read_to_string(path).unwrap_or_default() == openapi(), "UPDATE=1 cargo test --lib openapi writes it");
    }

    #[test]
    fn every_name_that_the_document_refers_to_is_there_and_every_route_has_one_of_its_own() {
        let document: Value = serde_json::from_str(&openapi()).unwrap();

        let text = document.to_string();
        let named: BTreeSet<_> = text.split("#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let known: BTreeSet<_> = document.pointer("/components/schemas").unwrap().as_object().unwrap().keys().collect();
        assert_eq!(named, known.into_iter().map(String::as_str).collect());
        let paths = document.pointer("/paths").unwrap().as_object().unwrap();
        assert_eq!(paths.values().map(|path| path.as_object().unwrap().len()).sum::<usize>(), Route::ALL.len());
        let words: BTreeSet<_> = Route::ALL.iter().map(|route| word(*route)).collect();
        assert_eq!(words.len(), Route::ALL.len());
    }
}
