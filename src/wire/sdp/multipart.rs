//! Finding the session description in a body: it is the body, or one part of a `multipart/mixed` (RFC 5621).

use std::ops::Range;

/// Returns where the session description stands in a body of this `Content-Type`, if there is exactly one.
///
/// Parameters and case of the type do not matter. Of a multipart body only the first level is looked at, and a part without a type of
/// `application/sdp`, or with a transfer encoding other than `7bit`, `8bit` and `binary`, is passed over.
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

fn media_type(content_type: &[u8]) -> &[u8] {
    content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii()
}

fn is_sdp(content_type: &[u8]) -> bool {
    media_type(content_type).eq_ignore_ascii_case(b"application/sdp")
}

/// Returns the boundary of a multipart type (RFC 2046 §5.1.1).
fn boundary(content_type: &[u8]) -> Option<&[u8]> {
    media_type(content_type).get(..10).filter(|start| start.eq_ignore_ascii_case(b"multipart/"))?;
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
        assert_eq!(find(b"application/isup", b"v=0"), None);
    }

    #[test]
    fn a_description_beside_isup_is_found() {
        for content_type in [&b"multipart/mixed;boundary=b1"[..], b"Multipart/Mixed ; x=y; Boundary = \"b1\""] {
            let place = find(content_type, MIXED).unwrap();
            assert_eq!(&MIXED[place], b"v=0\r\nm=audio 4 RTP/AVP 0\r\n");
        }
    }

    #[test]
    fn two_descriptions_or_an_encoded_one_are_none() {
        let part = "--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n";
        let encoded = "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\ndj0w\r\n";

        assert!(find(b"multipart/mixed;boundary=b", format!("{part}--b--").as_bytes()).is_some());
        assert!(find(b"multipart/mixed;boundary=b", format!("{part}{part}--b--").as_bytes()).is_none());
        assert!(find(b"multipart/mixed;boundary=b", format!("{encoded}--b--").as_bytes()).is_none());
        assert!(find(b"multipart/mixed;boundary=b", part.as_bytes()).is_none(), "never closed");
        assert!(find(b"multipart/mixed", part.as_bytes()).is_none());
    }

    #[test]
    fn a_part_whose_head_does_not_end_has_no_description() {
        let with = |end: &str| format!("--b\r\nContent-Type: application/sdp\r\n{end}\r\n--b--");

        assert!(find(b"multipart/mixed;boundary=b", with("").as_bytes()).is_none());
        assert!(find(b"multipart/mixed;boundary=b", with(" ").as_bytes()).is_none());
        assert_eq!(find(b"multipart/mixed;boundary=b", with("\r\n").as_bytes()), Some(38..38));
    }
}
