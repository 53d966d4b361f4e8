//! What holds of the HTTP API's questions and answers for any bytes: each is read as it is printed, and a mistake repeats nothing of it.

use mitschnitt::control::api::{Fields, NotUnderstood, Route, question, reply, told};
use mitschnitt::control::{LiveCall, Reply, Request};

/// Checks all properties with a line `METHOD target` or `STATUS METHOD target`, and the body behind it.
pub(crate) fn check(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (line, body) = data.split_at(end);
    let body = body.strip_prefix(b"\n").unwrap_or(body);
    let Ok(line) = str::from_utf8(line) else { return };
    let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
    match first.parse::<u16>() {
        Ok(status) => {
            let Some(Ok(Some(request))) = asked(rest, b"").or_else(|| asked(rest, b"{\"limit_s\":1}")) else { return };
            check_answer(&request, status, body);
        }
        Err(_) => check_question(line, body),
    }
}

fn asked(line: &str, body: &[u8]) -> Option<Result<Option<Request>, NotUnderstood>> {
    let (method, target) = line.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (route, id) = Route::find(method, path)?;
    Some(Fields::read(route, query, body).map(|fields| question(route, id, &fields)))
}

fn check_question(line: &str, body: &[u8]) {
    match asked(line, body) {
        Some(Ok(Some(request))) => {
            let (target, body) = request.to_http();
            let line = format!("{} {target}", request.route().0.method().as_str());
            assert_eq!(asked(&line, body.as_bytes()), Some(Ok(Some(request))), "{line} {body}");
        }
        // None has room for a byte of the question; the column lies in it.
        Some(Err(NotUnderstood::NoJson { column })) => assert!(column <= body.len()),
        Some(Err(NotUnderstood::Body | NotUnderstood::Query) | Ok(None)) | None => {}
    }
}

fn check_answer(request: &Request, status: u16, body: &[u8]) {
    let Ok(read) = reply(request, status, body) else { return };
    check_hidden(&read);
    let (status, printed) = match told(request, read.clone()) {
        Ok(value) => (200, serde_json::to_vec(&value)),
        Err(problem) => (problem.status, serde_json::to_vec(&problem)),
    };
    let printed = printed.expect("it is printable");
    assert_eq!(reply(request, status, &printed), Ok(read), "{}", String::from_utf8_lossy(&printed));
}

/// No number of a party stands in the text for the log: it is the same for other numbers.
fn check_hidden(reply: &Reply) {
    let Reply::Calls { calls } = reply else { return };
    let other = calls.iter().cloned().map(|call| LiveCall { calling: "+4930123456".into(), called: String::new(), ..call });
    assert_eq!(format!("{:?}", other.collect::<Vec<_>>()), format!("{calls:?}"));
}
