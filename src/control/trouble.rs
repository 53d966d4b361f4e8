//! What could not be done, in words for people: one line what, one line what to do.

use std::error::Error;
use std::fmt;

/// What could not be done: printed as `error: WHAT`, and below it, indented, what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    what: String,
    remedy: String,
}

impl Trouble {
    /// Takes what was wrong, and what to do about it.
    #[must_use]
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    /// Returns what was wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns what to do; empty where nobody knows.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

/// Two lines, the second indented by two spaces.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  {}", self.remedy)?;
        }
        Ok(())
    }
}

impl Error for Trouble {}

/// Takes a text of that form.
impl From<String> for Trouble {
    fn from(text: String) -> Self {
        match text.split_once("\n  ") {
            Some((what, remedy)) => Self::new(what, remedy),
            None => Self::new(text, ""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_read_as_it_is_printed() {
        let trouble = Trouble::new("cannot listen on udp 127.0.0.1:5060", "another program has the port");

        assert_eq!(trouble.to_string(), "cannot listen on udp 127.0.0.1:5060\n  another program has the port");
        assert_eq!(Trouble::from(trouble.to_string()), trouble);
        assert_eq!(Trouble::from("so".to_owned()).to_string(), "so");
    }
}
