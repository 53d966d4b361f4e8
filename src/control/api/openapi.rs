//! What the API is, as OpenAPI 3.1: from the table of the routes and the types that are sent.

use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    Content, HttpMethod, InfoBuilder, License, OpenApiBuilder, PathItem, PathsBuilder, Ref, Required, Response, ResponseBuilder,
};

use crate::control::api::answer::{Calls, Deed, Draining, Register, Trunks};
use crate::control::api::ask::{Drain, Withdraw};
use crate::control::api::{Fault, Method, Problem, Route};
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
        .schema_from::<Calls>()
        .schema_from::<Consent>()
        .schema_from::<Deed>()
        .schema_from::<Done>()
        .schema_from::<Drain>()
        .schema_from::<Draining>()
        .schema_from::<Fault>()
        .schema_from::<LiveCall>()
        .schema_from::<LiveState>()
        .schema_from::<Problem>()
        .schema_from::<Register>()
        .schema_from::<Standing>()
        .schema_from::<Status>()
        .schema_from::<TrunkAddress>()
        .schema_from::<Trunks>()
        .schema_from::<Withdraw>();
    let document = OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components.build())).build();
    // It is made of texts alone, which JSON takes.
    document.to_pretty_json().unwrap_or_default() + "\n"
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
    for (name, about, kind) in query(route) {
        let schema = ObjectBuilder::new().schema_type(kind.clone());
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query).required(Required::False);
        operation = operation.parameter(parameter.description(Some(*about)).schema(Some(schema)));
    }
    operation = operation.request_body(body(route)).response("200", answer(route));
    for (status, when) in problems(route) {
        operation = operation.response(*status, problem(when));
    }
    operation.build()
}

/// Its name for programs: `calls-pause`.
fn word(route: Route) -> String {
    let words = route.path().trim_start_matches("/v1/").replace("{id}/", "").replace("{id}", "one");
    words.replace(['/', '.'], "-")
}

/// What may stand in its query.
const fn query(route: Route) -> &'static [(&'static str, &'static str, Type)] {
    match route {
        Route::Calls => &[("numbers", "Whether the parties' numbers are told in full", Type::Boolean)],
        Route::Status
        | Route::Start
        | Route::Pause
        | Route::Resume
        | Route::Withdraw
        | Route::Drain
        | Route::Trunks
        | Route::Register
        | Route::OpenApi => &[],
    }
}

fn body(route: Route) -> Option<RequestBody> {
    let (schema, required) = match route {
        Route::Withdraw => ("Withdraw", Required::False),
        Route::Drain => ("Drain", Required::True),
        Route::Status
        | Route::Calls
        | Route::Start
        | Route::Pause
        | Route::Resume
        | Route::Trunks
        | Route::Register
        | Route::OpenApi => {
            return None;
        }
    };
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    Some(RequestBodyBuilder::new().required(Some(required)).content("application/json", content).build())
}

fn answer(route: Route) -> Response {
    let (about, schema) = match route {
        Route::Status => ("How it does", "Status"),
        Route::Calls => ("The calls", "Calls"),
        Route::Start | Route::Pause | Route::Resume | Route::Withdraw => ("It was done", "Deed"),
        Route::Drain => ("No new calls are taken", "Draining"),
        Route::Trunks => ("The addresses", "Trunks"),
        Route::Register => ("It was read", "Register"),
        Route::OpenApi => {
            let any = Content::new(Some(ObjectBuilder::new().schema_type(Type::Object)));
            return ResponseBuilder::new().description("This document").content("application/json", any).build();
        }
    };
    let content = Content::new(Some(Ref::from_schema_name(schema)));
    ResponseBuilder::new().description(about).content("application/json", content).build()
}

/// The statuses of its problems, and when each comes.
const fn problems(route: Route) -> &'static [(&'static str, &'static str)] {
    const SEEN: &[(&str, &str)] = &[UNKNOWN, DENIED, SLOW, LARGE, STRANGE, STOPPING];
    const DONE: &[(&str, &str)] = &[
        UNKNOWN,
        DENIED,
        ("404", "There is no such thing"),
        SLOW,
        ("409", "As things stand nothing can be done; `reason` says why"),
        LARGE,
        STRANGE,
        STOPPING,
    ];
    match route {
        Route::Status | Route::Calls | Route::Trunks | Route::OpenApi | Route::Drain | Route::Register => SEEN,
        Route::Start | Route::Pause | Route::Resume | Route::Withdraw => DONE,
    }
}

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
        let words: BTreeSet<_> = Route::ALL.iter().map(|route| word(*route) + route.method().as_str()).collect();
        assert_eq!(words.len(), Route::ALL.len());
    }
}
