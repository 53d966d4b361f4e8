//! From a request to its answer: one place through which every route passes.

use std::time::Duration;

use axum::body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::control::api::{Problem, Route, openapi, question, told};
use crate::control::{Reply, Request, Trouble};
use crate::ids::CallId;
use crate::limits::{API_BODY_BYTES, API_PATIENCE};
use crate::node::api::Asked;

/// Who is at the other end, as far as the connection says.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The user, over the socket.
    pub(super) uid: Option<u32>,
}

/// What requests are answered from.
pub(super) struct Desk {
    /// The thread that has the calls.
    ask: mpsc::Sender<Asked>,
    /// How long a body may take.
    patience: Duration,
}

impl Desk {
    pub(super) const fn new(ask: mpsc::Sender<Asked>) -> Self {
        Self { ask, patience: API_PATIENCE }
    }

    /// Asks the thread that has the calls.
    async fn ask(&self, request: Request, peer: &Peer) -> Reply {
        let who = peer.uid.map_or_else(|| "unknown".to_owned(), |uid| format!("uid {uid}"));
        let (to, reply) = oneshot::channel();
        let stopped = || Reply::Error { what: "the proxy is stopping".into() };
        if self.ask.send((request, who, to)).await.is_err() {
            return stopped();
        }
        reply.await.unwrap_or_else(|_| stopped())
    }
}

/// Answers a request.
pub(super) async fn serve(desk: &Desk, peer: &Peer, request: hyper::Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let (method, path) = (head.method.as_str(), head.uri.path());
    let Some((route, id)) = Route::find(method, path) else { return no_such_route(path) };
    let body = match whole(body, desk.patience).await {
        Ok(body) => body,
        Err(problem) => return refuse(&problem),
    };
    let query = head.uri.query().unwrap_or_default();
    match question(route, id, query, &body) {
        Ok(Some(request)) => {
            let reply = desk.ask(request.clone(), peer).await;
            log(&request, &reply, peer);
            told(&request, reply).map_or_else(|problem| refuse(&problem), |value| json(&value))
        }
        Ok(None) => text("application/json", openapi()),
        Err(error) => {
            let remedy = "`GET /v1/openapi.json` has what each route takes";
            refuse(&Problem::new(422, Trouble::new(error.to_string(), remedy)))
        }
    }
}

/// Reads a body to its end.
async fn whole(body: Incoming, patience: Duration) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(patience, Limited::new(body, API_BODY_BYTES).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("the request's body is longer than {API_BODY_BYTES} bytes, and nothing is done");
            Err(Problem::new(413, Trouble::new(what, "no request needs as many")))
        }
        Ok(Err(_)) => Err(Problem::new(400, Trouble::new("the request's body does not end as it should", "send it again"))),
        Err(_) => {
            let what = format!("the request's body has not come within {} s, and nothing is done", patience.as_secs());
            Err(Problem::new(408, Trouble::new(what, "send it again, at once")))
        }
    }
}

/// Says that nothing is known by this method and path, of which it repeats nothing: a number may stand there.
fn no_such_route(path: &str) -> Response<Body> {
    let other = ["GET", "POST"].into_iter().find(|method| Route::find(method, path).is_some());
    let Some(method) = other else {
        let trouble = Trouble::new("there is no such path", "`GET /v1/openapi.json` has those there are");
        return refuse(&Problem::new(404, trouble));
    };
    let trouble = Trouble::new("that path is not asked by this method", format!("ask it by {method}"));
    let mut response = refuse(&Problem::new(405, trouble));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

fn json(value: &Value) -> Response<Body> {
    text("application/json", value.to_string() + "\n")
}

fn text(kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // What is told of calls and persons is not for any cache on the way.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse(problem: &Problem) -> Response<Body> {
    let body = serde_json::to_string(problem).unwrap_or_default();
    let mut response = text(Problem::TYPE, body + "\n");
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Logs what was done, and by whom; what was only looked at is not.
fn log(request: &Request, reply: &Reply, peer: &Peer) {
    let (deed, call) = match request {
        Request::Start { call } => ("start", call.as_str()),
        Request::Pause { call } => ("pause", call.as_str()),
        Request::Resume { call } => ("resume", call.as_str()),
        Request::Withdraw { call, shreds: false } => ("withdraw", call.as_str()),
        Request::Withdraw { call, shreds: true } => ("shred", call.as_str()),
        Request::Drain { .. } => ("drain", ""),
        Request::Roster {} => ("roster", ""),
        Request::Calls { .. } | Request::Trunks {} | Request::Status {} => return,
    };
    // A number that is none of ours may be anything, and stays out of the log.
    let call = call.parse::<CallId>().map(|call| call.to_string()).unwrap_or_default();
    let outcome = match reply {
        Reply::Done(_) | Reply::Draining { .. } | Reply::Roster { .. } => "done",
        Reply::NotDone { why, .. } => why.as_str(),
        Reply::Calls { .. } | Reply::Trunks { .. } | Reply::Status(_) | Reply::Error { .. } => "failed",
    };
    tracing::info!(deed, call, outcome, uid = peer.uid, "operator");
}
