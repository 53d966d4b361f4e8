//! `calls start`, `calls pause`, `calls resume`, `calls withdraw`: what an operator does to a call, by the running proxy.

use serde_json::json;

use crate::cli::calls::{ask, strange, unwilling};
use crate::cli::exit::{Exit, Stop};
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::cli::words::OneCall;
use crate::control::{Done, NotDone, Reply, Request, Trouble};

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    Start,
    Pause,
    Resume,
    Withdraw,
    Shred,
}

/// Does it.
pub(super) fn deed(one: &OneCall, deed: Deed, term: &mut Term<'_>) -> Result<(), Stop> {
    let socket = Site::find(&one.site.config, term)?.socket();
    let call = one.call.to_string();
    let request = match deed {
        Deed::Start => Request::Start { call: call.clone() },
        Deed::Pause => Request::Pause { call: call.clone() },
        Deed::Resume => Request::Resume { call: call.clone() },
        Deed::Withdraw => Request::Withdraw { call: call.clone(), shreds: false },
        Deed::Shred => Request::Withdraw { call: call.clone(), shreds: true },
    };
    match ask(&socket, &request)? {
        Reply::Done(done) => Ok(term.out.line(if one.form.json { told(&call, done) } else { said(&call, done) })?),
        Reply::NotDone { why, reason } => Err(undone(&call, deed, why, reason.as_deref().unwrap_or_default())),
        Reply::Error { what } => Err(unwilling(&what)),
        Reply::Calls { .. } | Reply::Trunks { .. } | Reply::Status(_) | Reply::Roster { .. } | Reply::Draining { .. } => {
            Err(strange(&socket))
        }
    }
}

fn told(call: &str, done: Done) -> String {
    let value = match done {
        Done::Asks => json!({ "call": call, "done": "asks" }),
        Done::Paused { resumes_in_s } => json!({ "call": call, "done": "paused", "resumes_in_s": resumes_in_s }),
        Done::Resumed => json!({ "call": call, "done": "resumed" }),
        Done::Withdrawn => json!({ "call": call, "done": "withdrawn" }),
        Done::Shreds => json!({ "call": call, "done": "shreds" }),
    };
    value.to_string()
}

fn said(call: &str, done: Done) -> String {
    match done {
        Done::Asks => format!(
            "The parties of call {call} are being told and asked; what they say decides.\n\
             `mitschnitt calls list` shows where that stands."
        ),
        Done::Paused { resumes_in_s } => {
            format!("The recording of call {call} is paused; it goes on by itself in {resumes_in_s} s.")
        }
        Done::Resumed => format!("The recording of call {call} goes on."),
        Done::Withdrawn => format!("Nothing of call {call} is kept from here on."),
        Done::Shreds => format!(
            "Nothing of call {call} is kept from here on; its recording is being shredded.\n\
             `mitschnitt recordings show {call}` says `erased` once that is done."
        ),
    }
}

fn undone(call: &str, deed: Deed, why: NotDone, reason: &str) -> Stop {
    let (what, remedy) = match (why, deed) {
        (NotDone::NoSuchCall, _) => {
            let what = format!("there is no call {call} at this moment");
            return Stop::Trouble(Exit::NotFound, Trouble::new(what, "`mitschnitt calls list` shows those there are"));
        }
        (NotDone::NotRecorded, Deed::Withdraw | Deed::Shred) => (
            format!("call {call} is not recorded: {reason}; there is nothing to withdraw"),
            format!("`mitschnitt recordings show {call}` says why"),
        ),
        (NotDone::NotRecorded, Deed::Start) => match reason {
            "in-progress" => (
                format!("call {call} is not recorded on demand, or its parties are not in it yet"),
                "only a policy with recording = \"on-demand\" waits for this".to_owned(),
            ),
            "recorded" => (
                format!("the recording of call {call} has ended; it is not begun again"),
                "one call has one recording".to_owned(),
            ),
            _ => {
                (format!("call {call} is not to be recorded: {reason}"), format!("`mitschnitt recordings show {call}` says why"))
            }
        },
        (NotDone::AlreadyStarted, _) => (
            format!("call {call} is recorded already, or its parties are being asked"),
            "`mitschnitt calls list` shows where that stands".to_owned(),
        ),
        (NotDone::NotRecorded, Deed::Pause | Deed::Resume) => match reason {
            "in-progress" | "not-demanded" => (
                format!("call {call} is not recorded yet; there is nothing to pause"),
                format!("`mitschnitt calls withdraw {call}` keeps it from being recorded at all"),
            ),
            "recorded" => (
                format!("the recording of call {call} has ended; there is nothing to pause"),
                "nothing of the call is kept any longer".to_owned(),
            ),
            _ => (
                format!("call {call} is not recorded: {reason}; there is nothing to pause"),
                format!("`mitschnitt recordings show {call}` says why"),
            ),
        },
        (NotDone::AlreadyPaused, _) => (
            format!("the recording of call {call} is paused already"),
            "nothing is kept until it is resumed; `mitschnitt calls list --json` has in how many seconds".to_owned(),
        ),
        (NotDone::NotPaused, _) => {
            (format!("the recording of call {call} is not paused"), "`mitschnitt calls list` shows where it stands".to_owned())
        }
        (NotDone::Locked, _) => (
            format!("what was recorded of call {call} must be kept: nothing was done"),
            format!(
                "its recording is mandatory, or locked by a `shortest`; `mitschnitt calls withdraw {call}` ends it and keeps that"
            ),
        ),
        (NotDone::AlreadyWithdrawn, _) => {
            (format!("consent to call {call} was withdrawn already"), "nothing of it is kept from there on".to_owned())
        }
    };
    Stop::Trouble(Exit::Refused, Trouble::new(what, remedy))
}
