//! The demo's one error: which step was not so, what was expected, what came.

use std::error::Error;
use std::fmt;

/// A step of the demo that was not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DemoFailed {
    /// The step, as a fragment after «failed to …».
    pub step: String,
    /// What was expected, and what came instead; nothing where the step could not even be tried.
    pub difference: Option<(String, String)>,
}

impl DemoFailed {
    /// A step that could not be done, with the reason in its words.
    pub(super) fn step(step: &str) -> Self {
        Self { step: step.to_owned(), difference: None }
    }

    /// A step that was done and had another outcome.
    pub(super) fn expected(step: &str, expected: &str, came: &str) -> Self {
        Self { step: step.to_owned(), difference: Some((expected.to_owned(), came.trim_end().to_owned())) }
    }
}

impl fmt::Display for DemoFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the demo failed to {}", self.step)?;
        if let Some((expected, came)) = &self.difference {
            write!(f, "\n  expected: {expected}\n  came:     {came}")?;
        }
        Ok(())
    }
}

impl Error for DemoFailed {}
