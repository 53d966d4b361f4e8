//! What is answered over HTTP about the proxy's calls: a status and a body of JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::api::{Problem, Route};
use crate::control::{Done, LiveCall, NotDone, Reply, Request, Status, Trouble, TrunkAddress};

/// What was done to a call.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Debug)]
pub struct Deed {
    /// The call's number.
    pub call: String,
    /// What was done.
    #[serde(flatten)]
    pub done: Done,
}

/// The calls of this moment.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Calls {
    /// Each, the oldest first.
    pub(super) calls: Vec<LiveCall>,
}

/// The addresses of the PBX and of the trunks.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Trunks {
    /// Each, in the order of the configuration.
    pub(super) addresses: Vec<TrunkAddress>,
}

/// The register was read again.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Register {
    /// Lines that stand.
    pub(super) lines: u64,
}

/// No new calls are taken.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct Draining {
    /// Calls that are left.
    pub(super) calls: u64,
    /// Seconds after which the proxy ends all the same.
    pub(super) limit_s: u64,
}

/// Returns the status and the body of an answer.
///
/// # Errors
/// Nothing was done, or it cannot be answered.
pub fn told(request: &Request, reply: Reply) -> Result<Value, Problem> {
    let body = match reply {
        Reply::Calls { calls } => serde_json::to_value(Calls { calls }),
        Reply::Trunks { addresses } => serde_json::to_value(Trunks { addresses }),
        Reply::Status(status) => serde_json::to_value(status),
        Reply::Done(done) => serde_json::to_value(Deed { call: request.route().1.to_owned(), done }),
        Reply::Roster { lines } => serde_json::to_value(Register { lines }),
        Reply::Draining { calls, limit_s } => serde_json::to_value(Draining { calls, limit_s }),
        Reply::NotDone { why, reason } => return Err(not_done(why, reason)),
        Reply::Error { what } => return Err(Problem::new(503, Trouble::new(what, "try again in a moment"))),
    };
    body.map_err(|error| Problem::new(500, Trouble::new(format!("the answer cannot be written: {error}"), "")))
}

fn not_done(why: NotDone, reason: Option<String>) -> Problem {
    let (status, detail, remedy) = match why {
        NotDone::NoSuchCall => (404, "there is no such call at this moment", "`GET /v1/calls` shows those there are"),
        NotDone::NotRecorded => (409, "the call is not recorded", "`why` has the code of the reason"),
        NotDone::AlreadyStarted => {
            (409, "the call is recorded already, or its parties are being asked", "`GET /v1/calls` shows where it stands")
        }
        NotDone::AlreadyPaused => (409, "the recording is paused already", "nothing is kept until it is resumed"),
        NotDone::NotPaused => (409, "the recording is not paused", "`GET /v1/calls` shows where it stands"),
        NotDone::AlreadyWithdrawn => (409, "consent was withdrawn already", "nothing of the call is kept any longer"),
        NotDone::Locked => (409, "what was recorded must be kept: nothing was done", "without `shreds` recording ends there"),
    };
    Problem { why: reason, ..Problem::new(status, Trouble::new(detail, remedy)) }.because(why.as_str())
}

/// Why an answer is none that was expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotAnAnswer {
    /// It is not understood: who answers is of another version.
    Strange,
    /// It is refused, or failed.
    Problem(Problem),
}

/// Reads an answer to a question.
///
/// # Errors
/// It is none, or a refusal.
pub fn reply(request: &Request, status: u16, body: &[u8]) -> Result<Reply, NotAnAnswer> {
    if status != 200 {
        let problem: Problem = read(body)?;
        let why = problem.reason.clone().and_then(|word| serde_json::from_value::<NotDone>(Value::String(word)).ok());
        return match why {
            Some(why) => Ok(Reply::NotDone { why, reason: problem.why }),
            None if status == 503 => Ok(Reply::Error { what: problem.detail }),
            None => Err(NotAnAnswer::Problem(problem)),
        };
    }
    Ok(match request.route().0 {
        Route::Calls => Reply::Calls { calls: read::<Calls>(body)?.calls },
        Route::Trunks => Reply::Trunks { addresses: read::<Trunks>(body)?.addresses },
        Route::Status => Reply::Status(read::<Status>(body)?),
        Route::Register => Reply::Roster { lines: read::<Register>(body)?.lines },
        Route::Drain => {
            let Draining { calls, limit_s } = read(body)?;
            Reply::Draining { calls, limit_s }
        }
        Route::Start | Route::Pause | Route::Resume | Route::Withdraw => Reply::Done(read::<Deed>(body)?.done),
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
        | Route::OpenApi => return Err(NotAnAnswer::Strange),
    })
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, NotAnAnswer> {
    serde_json::from_slice(body).map_err(|_| NotAnAnswer::Strange)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::control::{Consent, LiveState};

    #[test]
    fn an_answer_is_read_as_it_is_told() {
        let call = || "00000000000000c0".to_owned();
        let live = LiveCall {
            call: call(),
            since: "2026-11-24T09:30:00.250Z".into(),
            age_s: 61,
            direction: "inbound".into(),
            trunk: "carrier".into(),
            policy: Some("all".into()),
            state: LiveState::Up,
            resumes_in_s: None,
            consent: Some(Consent::Asking),
            reason: "in-progress".into(),
            recording: None,
            calling: "…456".into(),
            called: "…0".into(),
        };
        let pause = || Request::Pause { call: call() };
        for (request, answer) in [
            (Request::Calls { numbers: false }, Reply::Calls { calls: vec![live] }),
            (Request::Trunks {}, Reply::Trunks { addresses: Vec::new() }),
            (Request::Status {}, Reply::Status(Status { version: "0.1.0".into(), up_s: 5, calls: 2, recording: 1 })),
            (Request::Roster {}, Reply::Roster { lines: 3 }),
            (Request::Drain { limit_s: 600 }, Reply::Draining { calls: 2, limit_s: 600 }),
            (pause(), Reply::Done(Done::Paused { resumes_in_s: 120 })),
            (pause(), Reply::NotDone { why: NotDone::NotRecorded, reason: Some("no-policy".into()) }),
            (pause(), Reply::NotDone { why: NotDone::NoSuchCall, reason: None }),
            (pause(), Reply::Error { what: "the proxy is stopping".into() }),
        ] {
            let (status, body) = match told(&request, answer.clone()) {
                Ok(body) => (200, serde_json::to_vec(&body).unwrap()),
                Err(problem) => (problem.status, serde_json::to_vec(&problem).unwrap()),
            };

            assert_eq!(reply(&request, status, &body), Ok(answer));
        }
    }

    #[test]
    fn a_refusal_is_told_as_such_and_what_is_no_answer_as_strange() {
        let refused = Problem::new(403, Trouble::new("only an operator may", "ask one"));

        let read = reply(&Request::Status {}, 403, &serde_json::to_vec(&refused).unwrap());

        assert_eq!(read, Err(NotAnAnswer::Problem(refused)));
        assert_eq!(reply(&Request::Status {}, 200, b"{\"answer\":\"status\"}"), Err(NotAnAnswer::Strange));
        assert_eq!(reply(&Request::Status {}, 502, b"<html>"), Err(NotAnAnswer::Strange));
    }
}
