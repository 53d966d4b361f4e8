//! A telephone number as it is shown where nobody asked to see it: enough to tell two calls apart, too little to tell who called.

use crate::private::Private;

/// Returns the last three characters of a number with `…` before them; of a short one no more than half.
#[must_use]
pub fn masked(number: &Private<String>) -> String {
    let number = number.reveal();
    let length = number.chars().count();
    let shown = (length / 2).min(3);
    let tail: String = number.chars().skip(length - shown).collect();
    format!("…{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_half_of_a_number_is_shown() {
        let cases = [("+4930123456", "…456"), ("12345", "…45"), ("100", "…0"), ("7", "…"), ("", "…"), ("äöüß", "…üß")];

        for (number, shown) in cases {
            assert_eq!(masked(&Private::new(number.to_owned())), shown);
        }
    }
}
