//! One mistake in the configuration: where it stands, what is wrong, what to do.

use std::fmt;
use std::path::Path;

/// How much a mistake weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Weight {
    /// The proxy does not start with it.
    Error,
    /// The proxy starts, and somebody should look at it.
    Warning,
}

/// One mistake in the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mistake {
    /// Its line, counted from 1; nothing where something is missing altogether.
    pub line: Option<usize>,
    /// How much it weighs.
    pub weight: Weight,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Mistake {
    /// Returns it as it is printed: `error: FILE:LINE: WHAT`, and below it, indented, what to do.
    #[must_use]
    pub fn shown<'m>(&'m self, file: &'m Path) -> impl fmt::Display + 'm {
        Shown { mistake: self, file }
    }
}

struct Shown<'m> {
    mistake: &'m Mistake,
    file: &'m Path,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake { line, weight, what, remedy } = self.mistake;
        let weight = match weight {
            Weight::Error => "error",
            Weight::Warning => "warning",
        };
        write!(f, "{weight}: {}", self.file.display())?;
        if let Some(line) = line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {what}\n  {remedy}")
    }
}
