//! Finding the session description in a body: it is the body, or one part of a `multipart/mixed` (RFC 5621).

use std::ops::Range;

/// Returns where the session description stands in a body of this `Content-Type`, if there is exactly one.
///
/// Parameters and case of the type do not matter. Of a multipart body only the first level is looked at, and a part without a type of
/// `application/sdp`, with a transfer encoding other than `7bit`, `8bit` and `binary`, or compressed, is passed over.
#[must_use]
pub fn find(content_type: &[u8], body: &[u8]) -> Option<Range<usize>> {
    if is_sdp(content_type) {
        return Some(0..body.len());
    }
    let boundary = boundary(content_type)?;
    let mut found = parts(body, boundary).filter_map(|part| sdp_of_part(body, part));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// Returns whether a session description seems to stand in a body in which [`find`] finds none: beside another one, as with
/// `multipart/alternative`; encoded; in a part of a part; in a part that never ends. Somebody may read it, and its media would go where
/// nobody looks.
#[must_use]
pub fn is_hidden(content_type: &[u8], body: &[u8]) -> bool {
    // Spaces may stand around the slash.
    let is_named = |(at, word): (usize, &[u8])| {
        word.eq_ignore_ascii_case(b"sdp") && body.get(..at).is_some_and(|before| before.trim_ascii_end().ends_with(b"/"))
    };
    is_multipart(content_type) && find(content_type, body).is_none() && body.windows(3).enumerate().any(is_named)
}

/// Returns whether a body of this `Content-Type` may have a session description in it, whatever it reads like.
#[must_use]
pub fn may_describe(content_type: &[u8]) -> bool {
    is_sdp(content_type) || is_multipart(content_type)
}

fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii()
}

fn is_multipart(content_type: &[u8]) -> bool {
    let mut parts = media_type(content_type).splitn(2, |&b| b == b'/').map(<[u8]>::trim_ascii);
    parts.next().is_some_and(|part| part.eq_ignore_ascii_case(b"multipart")) && parts.next().is_some()
}

fn is_sdp(content_type: &[u8]) -> bool {
    // Spaces may stand around the slash (RFC 3261 §25.1: SLASH).
    let mut parts = media_type(content_type).splitn(2, |&b| b == b'/').map(<[u8]>::trim_ascii);
    let mut is = |expected: &[u8]| parts.next().is_some_and(|part| part.eq_ignore_ascii_case(expected));
    is(b"application") && is(b"sdp")
}

/// Returns the boundary of a multipart type (RFC 2046 §5.1.1).
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    if !is_multipart(content_type) {
        return None;
    }
    let param = content_type.split(|&b| b == b';').skip(1).find_map(|param| {
        let (name, value) = param.split_at_checked(memchr::memchr(b'=', param)?)?;
        name.trim_ascii().eq_ignore_ascii_case(b"boundary").then_some(value.get(1..)?.trim_ascii())
    })?;
    let bare = param.strip_prefix(b"\"").and_then(|param| param.strip_suffix(b"\"")).unwrap_or(param);
    // 70 characters at most, and none that would have to be escaped.
    (1..=70).contains(&bare.len()).then_some(bare).filter(|bare| !bare.iter().any(|&b| matches!(b, b'\\' | b'"' | b'\r' | b'\n')))
}

/// The places of the parts: what stands between two lines that begin with `--` and the boundary, and end there.
fn parts<'b>(body: &'b [u8], boundary: &'b [u8]) -> impl Iterator<Item = Range<usize>> + 'b {
    let mut begun: Option<usize> = None;
    let mut at = 0;
    let mut closed = false;
    let mut lines = body.split_inclusive(|&b| b == b'\n');
    std::iter::from_fn(move || {
        while !closed {
            let line = lines.next()?;
            let start = at;
            at += line.len();
            let Some(rest) = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)) else { continue };
            match rest.trim_ascii() {
                [] => {}
                b"--" => closed = true,
                _ => continue,
            }
            // The line end before the boundary belongs to the boundary.
            let part = begun.replace(at).map(|begun| begun..without_line_end(body, start).max(begun));
            if part.is_some() {
                return part;
            }
        }
        None
    })
}

fn without_line_end(body: &[u8], at: usize) -> usize {
    match body.get(..at) {
        Some([.., b'\r', b'\n']) => at - 2,
        Some([.., b'\n']) => at - 1,
        Some(_) | None => at,
    }
}

/// Returns where the description stands in a part that is one.
fn sdp_of_part(body: &[u8], part: Range<usize>) -> Option<Range<usize>> {
    let mut at = part.start;
    let mut is_description = false;
    for line in body.get(part.clone())?.split_inclusive(|&b| b == b'\n') {
        at += line.len();
        let text = line.trim_ascii();
        if text.is_empty() {
            // Without its line end, what would be put in its place would stand in a header.
            return (is_description && line.ends_with(b"\n")).then_some(at..part.end);
        }
        let Some((name, value)) = memchr::memchr(b':', text).and_then(|colon| text.split_at_checked(colon)) else { continue };
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"Content-Type") {
            is_description = is_sdp(value);
        } else if name.eq_ignore_ascii_case(b"Content-Transfer-Encoding") {
            let plain = [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| known.eq_ignore_ascii_case(value));
            if !plain {
                return None;
            }
        } else if name.eq_ignore_ascii_case(b"Content-Encoding") && !value.eq_ignore_ascii_case(b"identity") {
            return None;
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    const MIXED: &[u8] = b"preamble\r\n--b1\r\nContent-Type: application/isup;version=etsi\r\n\r\n\x01\r\x02\n\x00\r\n--b1\r\nContent-Disposition: session\r\n\
        content-type:  Application/SDP ; x=y\r\n\r\nv=0\r\nm=audio 4 RTP/AVP 0\r\n\r\n--b1--\r\nepilogue";

    #[test]
    fn a_description_alone_is_the_whole_body() {
        assert_eq!(find(b"application/SDP ;charset=utf-8", b"v=0"), Some(0..3));
        assert_eq!(find(b"application / sdp", b"v=0"), Some(0..3), "RFC 3261 §25.1 lets spaces stand there");
        assert_eq!(find(b"application/isup", b"v=0"), None);
        assert_eq!(find(b"application", b"v=0"), None);
    }

    #[test]
    fn a_description_beside_isup_is_found() {
        for content_type in
            [&b"multipart/mixed;boundary=b1"[..], b"Multipart/Mixed ; x=y; Boundary = \"b1\"", b"multipart / mixed;boundary=b1"]
        {
            let place = find(content_type, MIXED).unwrap();
            assert_eq!(&MIXED[place], b"v=0\r\nm=audio 4 RTP/AVP 0\r\n");
        }
    }

    #[test]
    fn what_only_begins_as_the_boundary_does_is_of_its_part() {
        let isup = b"\x01\x10\r\n--b1\x00\r\n--b1x\r\n--b\r\n\r\n\xff--b1\r\n";
        let head = b"--b1\r\nContent-Type: application/isup\r\n\r\n";
        let sdp = b"\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b1--";
        let body = [&head[..], isup, sdp].concat();

        let place = find(b"multipart/mixed;boundary=b1", &body).unwrap();

        assert_eq!(&body[place.clone()], b"v=0");
        assert!(body[..place.start].starts_with(&[&head[..], isup].concat()));
    }

    #[test]
    fn two_descriptions_or_an_encoded_one_are_none() {
        let part = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        let encoded = "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n";

        assert!(find(b"multipart/mixed;boundary=b", format!("{part}--b--").as_bytes()).is_some());
        assert!(find(b"multipart/mixed;boundary=b", format!("{part}{part}--b--").as_bytes()).is_none());
        assert!(find(b"multipart/mixed;boundary=b", format!("{encoded}--b--").as_bytes()).is_none());
        let compressed = encoded.replace("Transfer-Encoding: base64", "Encoding: gzip");
        assert!(find(b"multipart/mixed;boundary=b", format!("{compressed}--b--").as_bytes()).is_none());
        let as_it_is = encoded.replace("Transfer-Encoding: base64", "Encoding: Identity");
        assert!(find(b"multipart/mixed;boundary=b", format!("{as_it_is}--b--").as_bytes()).is_some());
        assert!(find(b"multipart/mixed;boundary=b", part.as_bytes()).is_none(), "never closed");
        assert!(find(b"multipart/mixed", part.as_bytes()).is_none());
    }

    #[test]
    fn a_description_that_is_not_found_and_may_be_read_is_hidden() {
        let part = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        let encoded = part.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        let nested =
            format!("--b\r\nContent-Type: multipart/alternative;boundary=c\r\n\r\n{}--c--\r\n--b--", part.replace("--b", "--c"));
        for body in [format!("{part}{part}--b--"), format!("{encoded}--b--"), nested, part.to_owned()] {
            assert!(is_hidden(b"multipart/alternative;boundary=b", body.as_bytes()), "{body}");
        }
        assert!(is_hidden(b"multipart/mixed", part.as_bytes()), "without a boundary");
        assert!(!is_hidden(b"multipart/mixed;boundary=b1", MIXED), "it is found");
        assert!(!is_hidden(b"multipart/mixed;boundary=b", b"--b\r\nContent-Type: application/isup\r\n\r\n\x01\r\n--b--"));
        assert!(!is_hidden(b"text/plain", b"application/sdp"));
        assert!(!is_hidden(b"multipart/mixed;boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\nsdp\r\n--b--"));
    }

    #[test]
    fn a_part_whose_head_does_not_end_has_no_description() {
        let with = |end: &str| format!("--b\r\nContent-Type: application/sdp\r\n{end}\r\n--b--");

        assert!(find(b"multipart/mixed;boundary=b", with("").as_bytes()).is_none());
        assert!(find(b"multipart/mixed;boundary=b", with(" ").as_bytes()).is_none());
        assert_eq!(find(b"multipart/mixed;boundary=b", with("\r\n").as_bytes()), Some(38..38));
    }
}
