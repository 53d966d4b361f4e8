//! `Private<T>`: a value that says who called whom, or what was pressed; it prints as `[private]`, and `reveal` is the only way out.

use std::fmt;

/// A value that never reaches a log, a label or an error.
///
/// `reveal()` is the only way to the value, so that a grep for it lists every place that may disclose one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Private<T>(T);

impl<T> Private<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value: for what is sent, matched or stored, and for nothing that is printed.
    pub const fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl<T> fmt::Display for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_value_prints_as_nothing_of_itself() {
        let number = Private::new("+4930123456");

        assert_eq!(format!("{number} {number:?} {:?}", Some(&number)), "[private] [private] Some([private])");
        assert_eq!(*number.reveal(), "+4930123456");
    }
}
