//! From a request to its answer: one place through which every route passes.

use std::io::Read;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::access::{Action, Identity};
use crate::control::api::{
    CallEvent, Clerk, Fetched, Fields, Inquiry, Method, Problem, Route, Shown, body, openapi, question, told,
};
use crate::control::{Reply, Request, Trouble};
use crate::ids::CallId;
use crate::limits::{API_BODY_BYTES, API_LISTENERS, API_PATIENCE};
use crate::node::api::Asked;
use crate::node::api::events::{Events, Pieces, pass_on};
use crate::node::clock;
use crate::private::Private;

/// What requests are answered from.
pub(super) struct Desk {
    /// The thread that has the calls.
    ask: mpsc::Sender<Asked>,
    events: Events,
    /// Places for those who listen.
    listeners: Arc<Semaphore>,
    /// Who answers for the ledger and the files.
    clerk: Arc<dyn Clerk>,
}

impl Desk {
    pub(super) fn new(ask: mpsc::Sender<Asked>, events: Events, clerk: Arc<dyn Clerk>) -> Self {
        Self { ask, events, listeners: Arc::new(Semaphore::new(API_LISTENERS)), clerk }
    }

    /// Asks the thread that has the calls.
    async fn ask(&self, request: Request, who: &Identity) -> Reply {
        let (to, reply) = oneshot::channel();
        let stopped = || Reply::Error { what: "the proxy is stopping".into() };
        if self.ask.send((request, who.name.clone(), to)).await.is_err() {
            return stopped();
        }
        reply.await.unwrap_or_else(|_| stopped())
    }

    /// Has the clerk do something, where waiting for a disk keeps nobody else from being answered.
    async fn clerk<T: Send + 'static>(
        &self,
        act: impl FnOnce(&dyn Clerk) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let clerk = Arc::clone(&self.clerk);
        let done = tokio::task::spawn_blocking(move || act(clerk.as_ref())).await;
        done.unwrap_or_else(|_| {
            Err(Problem::new(500, Trouble::new("that ended by a fault of ours", "please report it, with the log")))
        })
    }
}

/// Answers a request of whoever has shown this by the connection.
pub(super) async fn serve(desk: &Desk, shown: &Shown, request: hyper::Request<Incoming>) -> Response<Body> {
    answer(desk, shown, request).await.unwrap_or_else(|problem| refuse(&problem))
}

async fn answer(desk: &Desk, shown: &Shown, request: hyper::Request<Incoming>) -> Result<Response<Body>, Problem> {
    let (head, incoming) = request.into_parts();
    let path = head.uri.path().to_owned();
    let Some((route, id)) = Route::find(head.method.as_str(), &path) else { return Ok(no_such_route(&path)) };
    let shown = of_header(&head.headers).unwrap_or_else(|| shown.clone());
    let who = desk.clerk(move |clerk| clerk.identify(&shown)).await?;
    // Before a byte of the body is read: who may not gets no further.
    permit(&who, route.action())?;
    let sent = whole(incoming).await?;
    let fields = Fields::read(route, head.uri.query().unwrap_or_default(), &sent).map_err(|error| {
        Problem::new(422, Trouble::new(error.to_string(), "`GET /v1/openapi.json` has what each route takes"))
    })?;
    if route == Route::Withdraw && fields.flag("shreds") {
        permit(&who, Action::CallShred)?;
    }
    if let Some(request) = question(route, id, &fields) {
        let reply = desk.ask(request.clone(), &who).await;
        log(&request, &reply, &who);
        return told(&request, reply).map(|value| json(&value));
    }
    let id = id.to_owned();
    match route {
        Route::OpenApi => Ok(text("application/json", openapi())),
        Route::Events => listen(desk, &who).await,
        Route::File | Route::Keys => {
            let fetched = desk.clerk(move |clerk| clerk.fetch(&Inquiry { route, id: &id, fields: &fields }, &who)).await?;
            Ok(stream(fetched))
        }
        Route::Recordings
        | Route::Recording
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
        | Route::Status
        | Route::Calls
        | Route::Start
        | Route::Pause
        | Route::Resume
        | Route::Withdraw
        | Route::Drain
        | Route::Trunks
        | Route::Register => {
            let name = who.name.clone();
            let lines = desk.clerk(move |clerk| clerk.answer(&Inquiry { route, id: &id, fields: &fields }, &who)).await;
            if route.method() == Method::Post {
                let outcome = lines.as_ref().map_or_else(|problem| problem.status, |_| 200);
                tracing::info!(deed = route.action().as_str(), who = name, outcome, "operator");
            }
            body(route, lines?).map(|value| json(&value))
        }
    }
}

/// Says whether somebody may.
fn permit(who: &Identity, action: Action) -> Result<(), Problem> {
    who.may(action).map_err(|denied| {
        tracing::warn!(who = who.name, deed = action.as_str(), "operator_denied");
        Problem::new(403, Trouble::new(denied.to_string(), denied.remedy()))
    })
}

/// The token that a request shows (RFC 6750 §2.1).
fn of_header(headers: &HeaderMap) -> Option<Shown> {
    let text = headers.get(AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    // Another scheme shows nothing, and does not fall back to who the connection says.
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    Some(if is_bearer { Shown::Token(Private::new(token.trim().to_owned())) } else { Shown::Nothing })
}

/// Tells somebody what happens to calls, beginning with those that are.
async fn listen(desk: &Desk, who: &Identity) -> Result<Response<Body>, Problem> {
    let Ok(place) = Arc::clone(&desk.listeners).try_acquire_owned() else {
        let what = format!("{API_LISTENERS} listen already, and there are no more places");
        return Err(Problem::new(503, Trouble::new(what, "end one of those connections")));
    };
    // From here on nothing is missed: what happens before the answer comes twice.
    let events = desk.events.subscribe();
    let Reply::Calls { calls } = desk.ask(Request::Calls { numbers: false }, who).await else {
        return Err(Problem::new(503, Trouble::new("the proxy is stopping", "try again in a moment")));
    };
    let at = clock::wall().to_string();
    let first = calls.into_iter().map(|call| CallEvent::of(call, at.clone())).collect();
    let (to, pieces) = mpsc::channel(1);
    drop(tokio::spawn(async move {
        pass_on(first, events, to).await;
        drop(place);
    }));
    let mut response = text("text/event-stream", String::new());
    *response.body_mut() = Body::new(Pieces(pieces));
    Ok(response)
}

/// Gives out a file, piece by piece; who takes nothing for too long gets no more of it.
fn stream(Fetched { mut bytes, length }: Fetched) -> Response<Body> {
    let (to, pieces) = mpsc::channel(1);
    let runtime = Handle::current();
    drop(tokio::task::spawn_blocking(move || {
        let mut left = length;
        let mut buffer = vec![0; PIECE_BYTES];
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let Some(room) = buffer.get_mut(..most) else { return };
            let Ok(read @ 1..) = bytes.read(room) else { return };
            let piece = Bytes::copy_from_slice(room.get(..read).unwrap_or_default());
            let sent = runtime.block_on(async { timeout(API_PATIENCE, to.send(piece)).await });
            if !sent.is_ok_and(|sent| sent.is_ok()) {
                return;
            }
            left = left.saturating_sub(read as u64);
        }
    }));
    let mut response = text("application/octet-stream", String::new());
    // What comes short of it is seen to.
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = Body::new(Pieces(pieces));
    response
}

/// Bytes of a file that are in hand at once for somebody who fetches it.
const PIECE_BYTES: usize = 64 * 1024;

/// Reads a body to its end.
async fn whole(body: Incoming) -> Result<Vec<u8>, Problem> {
    match timeout(API_PATIENCE, Limited::new(body, API_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes().to_vec()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("the request's body is longer than {API_BODY_BYTES} bytes, and nothing is done");
            Err(Problem::new(413, Trouble::new(what, "no request needs as many")))
        }
        Ok(Err(_)) => Err(Problem::new(400, Trouble::new("the request's body does not end as it should", "send it again"))),
        Err(_) => {
            let what = format!("the request's body has not come within {} s, and nothing is done", API_PATIENCE.as_secs());
            Err(Problem::new(408, Trouble::new(what, "send it again, at once")))
        }
    }
}

/// Says that nothing is known by this method and path, of which it repeats nothing: a number may stand there.
fn no_such_route(path: &str) -> Response<Body> {
    let methods = match ["GET", "POST"].map(|method| Route::find(method, path).is_some()) {
        [true, true] => Some("GET, POST"),
        [true, false] => Some("GET"),
        [false, true] => Some("POST"),
        [false, false] => None,
    };
    let Some(methods) = methods else {
        let trouble = Trouble::new("there is no such path", "`GET /v1/openapi.json` has those there are");
        return refuse(&Problem::new(404, trouble));
    };
    let trouble = Trouble::new("that path is not asked by this method", format!("ask it by {methods}"));
    let mut response = refuse(&Problem::new(405, trouble));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
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
    if problem.status == 401 {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mitschnitt\""));
    }
    response
}

/// Logs what was done to calls, and by whom; what was only looked at is not.
fn log(request: &Request, reply: &Reply, who: &Identity) {
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
    tracing::info!(deed, call, outcome, who = who.name, "operator");
}
