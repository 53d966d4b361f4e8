//! What holds of `wire::sdp::find` for any bytes: what is found is one part of the body, and is found again whatever is put in its place.

use mitschnitt::wire::sdp::{Here, Sdp, find};

/// Checks all properties with one `Content-Type`, which is the first line, and the body below it.
pub(crate) fn check(data: &[u8]) {
    let (first, body) = data.iter().position(|&b| b == b'\n').map_or((data, &[][..]), |at| data.split_at(at));
    let body = body.get(1..).unwrap_or_default();
    for content_type in [first, b"application/sdp", b"multipart/mixed;boundary=b"] {
        check_found(content_type, body);
    }

    // As a boundary, the first line is the same however it is written.
    let bare = [b"multipart/mixed;boundary=", first].concat();
    let quoted = [b"Multipart/Related ; type=\"x y\" ; BOUNDARY = \"", first, b"\";x"].concat();
    if !first.iter().any(|b| b"\";\\\r".contains(b)) && first.trim_ascii() == first {
        assert_eq!(find(&quoted, body), find(&bare, body));
        check_found(&bare, body);
    }
}

fn check_found(content_type: &[u8], body: &[u8]) {
    let Some(place) = find(content_type, body) else { return };
    let (before, after) = (body.get(..place.start).expect("within the body"), body.get(place.end..).expect("within the body"));
    let found = body.get(place).expect("within the body");
    if content_type.trim_ascii_start().get(..15).is_some_and(|start| start.eq_ignore_ascii_case(b"application/sdp")) {
        assert!(before.is_empty() && after.is_empty(), "it is the whole body");
    } else {
        let stands_between = |boundary: &[u8]| {
            let is_declared = content_type.windows(boundary.len()).any(|piece| piece == boundary);
            let begins = before.split_inclusive(|&b| b == b'\n').any(|line| is_delimiter(line, boundary));
            is_declared && begins && !found.split_inclusive(|&b| b == b'\n').any(|line| is_delimiter(line, boundary))
        };
        assert!(delimiters(after).into_iter().flatten().any(stands_between), "it stands between two boundaries as declared");
    }

    for new in [&b""[..], b"v=0", b"v=0\r\nm=audio 30000 RTP/AVP 0\r\n", &[b'x'; 3000]] {
        check_replaced(content_type, before, new, after);
    }
    if let Ok(sdp) = Sdp::parse(found) {
        let here = Here { ip: [192, 0, 2, 1].into(), rtp: 30_000, rtcp: 30_001 };
        let all = vec![Some(here); sdp.media().len()];
        check_replaced(content_type, before, &sdp.anchored(&all), after);
    }
}

fn check_replaced(content_type: &[u8], before: &[u8], new: &[u8], after: &[u8]) {
    let body = [before, new, after].concat();
    let place = find(content_type, &body);
    assert_eq!(place, Some(before.len()..before.len() + new.len()), "{}", body.escape_ascii());
}

/// Returns the boundaries that the line may be of that the text begins with, behind a line end: the last one is closed by two hyphens,
/// and two hyphens may be its own.
fn delimiters(text: &[u8]) -> [Option<&[u8]>; 2] {
    let text = text.strip_prefix(b"\r\n").or_else(|| text.strip_prefix(b"\n")).unwrap_or(text);
    let line = text.split(|&b| b == b'\n').next().and_then(|line| line.strip_prefix(b"--")).map(<[u8]>::trim_ascii_end);
    [line, line.and_then(|line| line.strip_suffix(b"--")).map(<[u8]>::trim_ascii_end)]
}

fn is_delimiter(line: &[u8], boundary: &[u8]) -> bool {
    let rest = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)).map(<[u8]>::trim_ascii);
    rest.is_some_and(|rest| matches!(rest, b"" | b"--"))
}
