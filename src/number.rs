//! A telephone number as it is compared: one way to write each, whichever way it came.

/// Returns the number in the one way in which it is compared; nothing where nothing is left of it.
///
/// What separates digits for the eye (ITU-T E.123 §7, RFC 3966 §5.1.1) is taken out, with the `(0)` that Germans write behind a country's code;
/// `00` at the beginning becomes `+`; what comes after a `;` is of the way there, and no part of it. A name such as `j.doe`, or a code such as
/// `*31#`, stays as it is. Numbers with and without a country's code are *not* one: which country is meant nobody here knows.
///
/// ```
/// use mitschnitt::number::compared;
///
/// for written in ["+49 30 12345-67", "0049301234567", "+49 (0)30/1234567", "tel:+49301234567;ext=5"] {
///     assert_eq!(compared(written).as_deref(), Some("+49301234567"));
/// }
/// assert_eq!(compared("030 1234567").as_deref(), Some("0301234567"));
/// assert_eq!(compared(" j.doe ").as_deref(), Some("j.doe"));
/// assert_eq!(compared(" - "), None);
/// ```
#[must_use]
pub fn compared(written: &str) -> Option<String> {
    let bare = written.split(';').next().unwrap_or(written).trim();
    let bare = bare.strip_prefix("tel:").unwrap_or(bare);
    let is_number = bare.chars().enumerate().all(|(at, c)| c.is_ascii_digit() || is_separator(c) || c == '+' && at == 0);
    if !is_number {
        return Some(bare.to_owned()).filter(|name| !name.is_empty());
    }
    let is_international = bare.starts_with('+') || bare.starts_with("00");
    let bare = if is_international { bare.replacen("(0)", "", 1) } else { bare.to_owned() };
    let digits: String = bare.chars().filter(char::is_ascii_digit).collect();
    let international = if bare.starts_with('+') { Some(digits.as_str()) } else { digits.strip_prefix("00") };
    match international {
        Some(rest) => Some(format!("+{rest}")).filter(|number| number.len() > 1),
        None => Some(digits).filter(|number| !number.is_empty()),
    }
}

/// A space, wherever it came from, and what people put between digits.
const fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '/' | '(' | ')' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\u{2010}'..='\u{2013}')
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
            ("+49 (0)30 1", "+49301"),
            ("0049 (0)30 1", "+49301"),
            ("1+2", "1+2"),
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
