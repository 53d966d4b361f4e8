//! A telephone number as it is compared: one way to write each, whichever way it came.

/// Returns the number in the one way in which it is compared; nothing where nothing is left of it.
///
/// What separates digits for the eye (spaces and `-`, `.`, `/`, `(`, `)`) is taken out, with the `(0)` that Germans write behind a country's
/// code; `00` at the beginning becomes `+`. A name such as `j.doe` has letters, and stays as it is. Numbers with and without a country's code
/// are *not* one: which country is meant nobody here knows.
///
/// ```
/// use mitschnitt::number::compared;
///
/// for written in ["+49 30 12345-67", "0049301234567", "+49 (0)30/1234567"] {
///     assert_eq!(compared(written).as_deref(), Some("+49301234567"));
/// }
/// assert_eq!(compared("030 1234567").as_deref(), Some("0301234567"));
/// assert_eq!(compared(" j.doe ").as_deref(), Some("j.doe"));
/// assert_eq!(compared(" - "), None);
/// ```
#[must_use]
pub fn compared(written: &str) -> Option<String> {
    let written = written.trim();
    if written.chars().any(char::is_alphabetic) {
        return Some(written.to_owned());
    }
    let is_international = written.starts_with(['+']) || written.starts_with("00");
    let written = if is_international { written.replacen("(0)", "", 1) } else { written.to_owned() };
    let dialled: String = written.chars().filter(|c| !matches!(c, '-' | '.' | '/' | '(' | ')') && !c.is_whitespace()).collect();
    match dialled.strip_prefix("00") {
        Some(rest) => Some(format!("+{rest}")).filter(|number| number.len() > 1),
        None => Some(dialled).filter(|number| !number.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_compared_in_one_way_and_two_are_not() {
        for (written, number) in [
            ("100", "100"),
            ("*31#", "*31#"),
            ("+49.30.1", "+49301"),
            ("00 49 30 1", "+49301"),
            ("(030) 1", "0301"),
            ("(0)30 1", "0301"),
            ("alice", "alice"),
            ("a-b", "a-b"),
            ("00", ""),
            ("", ""),
        ] {
            assert_eq!(compared(written).unwrap_or_default(), number, "{written}");
        }
        assert_ne!(compared("+49301"), compared("0301"), "nobody says that it is that country");
    }
}
