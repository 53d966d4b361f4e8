//! What an operator names by its id: a recording, or a call.

use std::str::FromStr;

use crate::ids::{CallId, RecordingId};

/// A recording, or a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    Recording(RecordingId),
    Call(CallId),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let recording = text.parse().map(Self::Recording);
        recording
            .or_else(|_| text.parse().map(Self::Call))
            .map_err(|_| "a recording is 32 hexadecimal digits, a call 16; `recordings list --all` shows them".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_says_which_it_is() {
        assert!(matches!("00000000000000c0".parse(), Ok(Named::Call(_))));
        assert!(matches!("000000000000000000000000000000c0".parse(), Ok(Named::Recording(_))));
        assert!("c0".parse::<Named>().is_err());
    }
}
