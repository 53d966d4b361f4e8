//! Header fields by which a call is found again: what of each is kept in the ledger, and how that is compared.

use crate::limits::INDEXED_VALUE;

/// Returns what of a header field is kept and compared; nothing where it says nothing, or more than [`INDEXED_VALUE`] bytes at once.
///
/// - `Session-ID` (RFC 7989 §5): both UUIDs, each by itself, in small letters; not the nil one, which stands for a side that is not known yet.
/// - `User-to-User` (RFC 7433 §4.1): the data of each element, without its parameters and without quotation marks.
/// - Any other: the whole value, without white space around it.
///
/// ```
/// use mitschnitt::indexed::values;
///
/// let both = "ab30317f1a784dc48ff824d0d3715d86;remote=47755A9DE7794BA387653F2099600EF2";
/// assert_eq!(values("session-id", both.as_bytes()), ["ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2"]);
/// assert_eq!(values("User-to-User", b"56a390f3d2b7310023a2;encoding=hex, \"a;b\""), ["56a390f3d2b7310023a2", "a;b"]);
/// assert_eq!(values("X-Deal", b" 4711; desk=3 "), ["4711; desk=3"]);
/// ```
#[must_use]
pub fn values(name: &str, value: &[u8]) -> Vec<String> {
    let Ok(text) = str::from_utf8(value) else { return Vec::new() };
    let found = if name.eq_ignore_ascii_case("Session-ID") {
        session_ids(text)
    } else if name.eq_ignore_ascii_case("User-to-User") {
        apart(text, ',').map(|element| unquoted(apart(element, ';').next().unwrap_or_default())).collect()
    } else {
        vec![text.trim().to_owned()]
    };
    let is_kept = |value: &String| !value.is_empty() && value.len() <= INDEXED_VALUE && !value.contains(char::is_control);
    found.into_iter().filter(is_kept).collect()
}

fn session_ids(text: &str) -> Vec<String> {
    let mut parts = text.split(';').map(str::trim);
    let local = parts.next();
    let remote = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("remote").then(|| value.trim())
    });
    let is_uuid =
        |text: &&str| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b != b'0');
    local.into_iter().chain(remote).filter(is_uuid).map(str::to_ascii_lowercase).collect()
}

/// The parts between separators that stand in no quoted string (RFC 3261 §25.1).
fn apart(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c| {
        let (was_escaped, was_quoted) = (is_escaped, is_quoted);
        is_escaped = was_quoted && !was_escaped && c == '\\';
        is_quoted = was_quoted != (c == '"' && !was_escaped);
        c == separator && !is_quoted
    })
}

/// A quoted string without its marks and escapes; anything else as it is, without white space around it.
fn unquoted(text: &str) -> String {
    let text = text.trim();
    let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return text.to_owned() };
    let mut is_escaped = false;
    let is_kept = |c: &char| {
        is_escaped = *c == '\\' && !is_escaped;
        !is_escaped
    };
    quoted.chars().filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_that_is_not_known_yet_and_what_is_no_uuid_are_no_session_ids() {
        let nil = "00000000000000000000000000000000";
        let one = "ab30317f1a784dc48ff824d0d3715d86";

        assert_eq!(values("Session-ID", format!("{one};remote={nil}").as_bytes()), [one]);
        assert_eq!(values("Session-ID", format!("{nil} ; logme ; Remote = {one}").as_bytes()), [one]);
        assert_eq!(values("Session-ID", one.as_bytes()), [one], "as RFC 7329 had it");
        assert_eq!(values("Session-ID", b"4711;remote=0815"), [""; 0]);
    }

    #[test]
    fn what_is_quoted_is_one_whatever_is_in_it() {
        assert_eq!(values("user-to-user", br#""a,b;c" ;purpose=x , "say \"no\\", d"#), ["a,b;c", r#"say "no\"#, "d"]);
        assert_eq!(values("user-to-user", br#""never closed, d"#), [r#""never closed, d"#]);
        assert_eq!(values("user-to-user", b" , ;encoding=hex"), [""; 0]);
    }

    #[test]
    fn what_is_too_long_or_no_text_is_not_kept() {
        assert_eq!(values("X-Deal", &[b'7'; INDEXED_VALUE]).len(), 1);
        assert_eq!(values("X-Deal", &[b'7'; INDEXED_VALUE + 1]).len(), 0);
        assert_eq!(values("X-Deal", b"\xff\xfe").len(), 0);
        assert_eq!(values("X-Deal", b"a\x07b").len(), 0);
        assert_eq!(values("X-Deal", b"  ").len(), 0);
    }
}
