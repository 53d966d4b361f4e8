//! `calls list`: the calls of this moment, asked of the running proxy over its API.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::cli::exit::{Exit, Stop};
use crate::cli::http;
use crate::cli::list::{counted, length};
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::cli::who;
use crate::control::api::{self, NotAnAnswer};
use crate::control::{Consent, LiveCall, LiveState, Reply, Request, Trouble};

/// Lists the calls of this moment.
pub(super) fn list(config: &Path, is_json: bool, numbers: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    let socket = Site::find(config, term)?.socket();
    let calls = match ask(&socket, &Request::Calls { numbers })? {
        Reply::Calls { calls } => calls,
        Reply::Error { what } => return Err(unwilling(&what)),
        Reply::Trunks { .. }
        | Reply::Status(_)
        | Reply::Roster { .. }
        | Reply::Done(_)
        | Reply::NotDone { .. }
        | Reply::Draining { .. } => {
            return Err(strange(&socket));
        }
    };
    if is_json {
        for call in &calls {
            term.out.line(serde_json::to_string(call).unwrap_or_default())?;
        }
        return Ok(());
    }
    if calls.is_empty() {
        return Ok(term.out.line("No calls at this moment.")?);
    }
    let count = |state| calls.iter().filter(|call| call.state == state).count();
    let paused = match count(LiveState::Paused) {
        0 => String::new(),
        paused => format!(", {paused} paused"),
    };
    term.out.text(&table(&calls).text(term.out.colour(), 0))?;
    let (calls, recording) = (counted(calls.len(), "call"), count(LiveState::Recording));
    Ok(term.out.text(&format!("\n{calls}, {recording} of them recorded at this moment{paused}.\n"))?)
}

fn table(calls: &[LiveCall]) -> Table {
    let mut table = Table::new([
        ("AGE", Align::Right),
        ("WAY", Align::Left),
        ("TRUNK", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("STATE", Align::Left),
        ("CONSENT", Align::Left),
        ("POLICY", Align::Left),
        ("CALL", Align::Left),
    ]);
    for call in calls {
        let state = match call.state {
            LiveState::Ringing => Style::Quiet,
            LiveState::Up => Style::Plain,
            LiveState::Recording => Style::Good,
            LiveState::Paused => Style::Care,
        };
        // Where nobody is asked, the reason says why.
        let (consent, style) = match call.consent {
            Some(Consent::Asking) => ("asking", Style::Care),
            Some(Consent::Granted) => ("granted", Style::Good),
            Some(Consent::Refused) => (call.reason.as_str(), Style::Plain),
            Some(Consent::Withdrawn) => ("withdrawn", Style::Plain),
            None if call.state == LiveState::Ringing => ("", Style::Plain),
            None => (call.reason.as_str(), Style::Quiet),
        };
        table.row([
            Cell::new(length(Duration::from_secs(call.age_s))),
            Cell::new(&call.direction),
            Cell::new(&call.trunk),
            Cell::new(&call.calling),
            Cell::new(&call.called),
            Cell::styled(call.state.as_str(), state),
            Cell::styled(consent, style),
            Cell::new(call.policy.as_deref().unwrap_or_default()),
            Cell::new(&call.call),
        ]);
    }
    table
}

/// Asks the running proxy.
pub(super) fn ask(path: &Path, request: &Request) -> Result<Reply, Stop> {
    let (status, answer) = http::exchange(path, request).map_err(|error| match error {
        http::Failed::Unconnected(error) => unconnected(path, &error),
        http::Failed::Silent(what) => {
            let what = format!("the proxy does not answer on `{}`: {what}", path.display());
            Stop::cannot(what, "its log says what it is doing")
        }
    })?;
    api::reply(request, status, &answer).map_err(|error| match error {
        NotAnAnswer::Strange => strange(path),
        NotAnAnswer::Problem(problem) => {
            let exit = if [401, 403].contains(&problem.status) { Exit::Refused } else { Exit::Cannot };
            Stop::Trouble(exit, Trouble::new(problem.detail, problem.remedy))
        }
    })
}

fn unconnected(path: &Path, error: &io::Error) -> Stop {
    let shown = path.display();
    if [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused].contains(&error.kind()) {
        return Stop::cannot(
            format!("no proxy runs on this data directory: nobody listens on `{shown}`"),
            "start it with `mitschnitt run`, or `systemctl status mitschnitt` says why it does not run",
        );
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return Stop::cannot(
            format!("cannot ask the proxy on `{shown}`: permission denied"),
            format!("this runs as {}; run it as the service's user", who::user()),
        );
    }
    Stop::cannot(format!("cannot ask the proxy on `{shown}`: {error}"), "is `data.directory` the one the proxy runs with?")
}

/// Says that the proxy does not do what it was asked.
pub(super) fn unwilling(what: &str) -> Stop {
    Stop::cannot(format!("the proxy does not answer: {what}"), "try again in a moment")
}

/// Says that an answer is none to what was asked.
pub(super) fn strange(path: &Path) -> Stop {
    Stop::cannot(
        format!("what answers on `{}` is not understood", path.display()),
        "this program and the running proxy are of different versions: restart the proxy after an upgrade",
    )
}
