//! What a refusal owes to its request.

use super::case::Case;
use super::passage::{VIA, lines};

/// A refusal is made of the request as it came, the first of each of its fields.
pub(crate) fn check(case: &Case, request: &[u8], answer: &[u8], status: u16) {
    assert!(answer.starts_with(format!("SIP/2.0 {status} ").as_bytes()), "{}", answer.escape_ascii());
    for names in [&["From", "f"][..], &["To", "t"], &["Call-ID", "i"], &["CSeq"]] {
        let came = lines(request, names);
        let told = lines(answer, names);
        assert_eq!(told.len(), came.len().min(1), "{names:?}");
        if let (Some(came), Some(told)) = (came.first(), told.first()) {
            assert!(told == came || (names[0] == "To" && told.starts_with(came.trim_end())), "{told}");
        }
    }
    let (came, told) = (lines(request, VIA), lines(answer, VIA));
    assert_eq!(told.len(), came.len());
    assert!(told[0].starts_with(came[0].trim_end()), "as it came, and perhaps `received` behind it: {}", told[0]);
    assert_eq!(told[1..], came[1..]);
    if let Some(line) = case.key("answer") {
        let (name, _) = line.split_once(": ").unwrap();
        assert_eq!(lines(answer, &[name]), [format!("{line}\r\n")]);
    }
}
