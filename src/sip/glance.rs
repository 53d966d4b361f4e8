//! What can be seen of a message before it is parsed: whether it begins a call.

use memchr::memchr;

/// What a message seems to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Glance {
    /// An INVITE that belongs to no dialog.
    NewCall,
    /// Anything else; also what cannot be told.
    Other,
}

impl Glance {
    /// Looks at the method and, of an INVITE, at the line `To`. Nothing is concluded from it but whether it may wait.
    #[must_use]
    pub fn at(message: &[u8]) -> Self {
        let Some(mut rest) = message.strip_prefix(b"INVITE ") else { return Self::Other };
        while let Some(end) = memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            match line {
                [] | b"\r" => return Self::Other,
                [b't' | b'T', b'o' | b'O', b':' | b' ' | b'\t', ..] | [b't' | b'T', b':' | b' ' | b'\t', ..] => {
                    let has_tag = line.windows(4).any(|four| four.eq_ignore_ascii_case(b"tag="));
                    return if has_tag { Self::Other } else { Self::NewCall };
                }
                _ => {}
            }
        }
        Self::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(message: &str) -> Glance {
        Glance::at(message.as_bytes())
    }

    #[test]
    fn an_invite_without_a_tag_of_the_called_party_begins_a_call() {
        let head = "INVITE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nFrom: <sip:a@h>;tag=1\r\n";

        for to in ["To: <sip:b@h>", "t:sip:b@h", "TO : sip:b@h"] {
            assert_eq!(at(&format!("{head}{to}\r\n\r\n")), Glance::NewCall, "{to}");
            assert_eq!(at(&format!("{head}{to};TAG=2\r\n\r\n")), Glance::Other, "{to}");
        }
    }

    #[test]
    fn all_else_does_not() {
        for other in
            ["BYE sip:h SIP/2.0\r\nTo: sip:b@h\r\n\r\n", "INVITE", "INVITE sip:h SIP/2.0\r\n\r\nTo: sip:b@h\r\n", "", "\r\n"]
        {
            assert_eq!(at(other), Glance::Other, "{other:?}");
        }
        assert_eq!(at("INVITE sip:h SIP/2.0\r\nTopic: x\r\nTo-Day: y\r\nContact: z\r\n\r\n"), Glance::Other);
    }
}
