//! What holds of the control socket's JSON for any bytes: it is read as it is printed, and a mistake repeats nothing of it.

use mitschnitt::control::{LiveCall, NotUnderstood, Reply, Request};

/// Checks all properties with one line, as a question and as an answer.
pub(crate) fn check(data: &[u8]) {
    let Ok(line) = str::from_utf8(data) else {
        assert!(serde_json::from_slice::<Reply>(data).is_err());
        return;
    };
    match Request::from_json(line) {
        Ok(request) => {
            let printed = one_line(&request);
            assert_eq!(Request::from_json(&printed).as_ref(), Ok(&request), "{printed}");
            assert_eq!(one_line(&Request::from_json(&printed).expect("it was just read")), printed);
        }
        // Neither has room for a byte of the question; the column lies in it.
        Err(NotUnderstood::NoJson { column }) => assert!(column <= data.len()),
        Err(NotUnderstood::NoQuestion) => {}
    }
    if let Ok(reply) = serde_json::from_str::<Reply>(line) {
        let printed = one_line(&reply);
        assert_eq!(serde_json::from_str::<Reply>(&printed).expect("an answer is read"), reply, "{printed}");
        check_hidden(&reply);
    }
}

fn one_line(value: &impl serde::Serialize) -> String {
    let printed = serde_json::to_string(value).expect("it is printable");
    assert!(!printed.contains('\n'), "{printed}");
    printed
}

/// No number of a party stands in the text for the log: it is the same for other numbers.
fn check_hidden(reply: &Reply) {
    let Reply::Calls { calls } = reply else { return };
    let other = calls.iter().cloned().map(|call| LiveCall { calling: "+4930123456".into(), called: String::new(), ..call });
    assert_eq!(format!("{:?}", other.collect::<Vec<_>>()), format!("{calls:?}"));
}
