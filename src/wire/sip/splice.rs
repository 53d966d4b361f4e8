//! Changing a message in the middle of its lines: parts that were read out of it are replaced, all else stays byte for byte.

use std::ops::Range;

use bytes::Bytes;

use super::{Malformed, Message};

impl Message {
    /// Returns the message with these parts of its head replaced. Each part is a slice of the message itself, as its methods lend them;
    /// an empty one is a place to insert at. What is no part of the head, or overlaps another part, is left as it is.
    ///
    /// # Errors
    /// What came of it is no message any more: it has more lines than may be, say.
    pub fn spliced(&self, parts: &[(&[u8], Vec<u8>)]) -> Result<Self, Malformed> {
        let whole = self.as_bytes();
        let head = whole.len() - self.body().len();
        let mut placed: Vec<(Range<usize>, &[u8])> =
            parts.iter().filter_map(|(part, new)| Some((place(whole, part, head)?, new.as_slice()))).collect();
        placed.sort_by_key(|(place, _)| (place.start, place.end));
        let mut out = Vec::with_capacity(whole.len() + placed.iter().map(|(_, new)| new.len()).sum::<usize>());
        let mut copied = 0;
        for (place, new) in placed {
            if place.start < copied {
                continue;
            }
            out.extend_from_slice(whole.get(copied..place.start).unwrap_or_default());
            out.extend_from_slice(new);
            copied = place.end;
        }
        out.extend_from_slice(whole.get(copied..).unwrap_or_default());
        Self::parse_datagram(Bytes::from(out))
    }
}

/// Returns where a slice of these bytes lies in them, if it does so before `end`.
fn place(whole: &[u8], part: &[u8], end: usize) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(whole.as_ptr().addr())?;
    let place = start..start.checked_add(part.len())?;
    (place.end <= end).then_some(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::super::Name;
    use super::*;

    const REGISTER: &[u8] =
        b"REGISTER sip:h SIP/2.0\r\nVia: V\r\nm:  <sip:a@h> ,\r\n <sip:b@h>;expires=5\r\nX: y \r\nContent-Length: 4\r\n\r\nbody";

    #[test]
    fn parts_are_replaced_wherever_they_stand_and_nothing_else_changes() {
        let message = parse();
        let contacts: Vec<&[u8]> = message.values(Name::Contact).collect();
        let line = message.headers().nth(1).unwrap().raw;

        let parts = [(contacts[1], b"<sip:longer@h>".to_vec()), (&line[..0], b"P: q\r\n".to_vec()), (contacts[0], b"*".to_vec())];
        let spliced = message.spliced(&parts).unwrap();

        let expected = String::from_utf8_lossy(REGISTER)
            .replace("m:", "P: q\r\nm:")
            .replace("<sip:a@h>", "*")
            .replace("<sip:b@h>;expires=5", "<sip:longer@h>");
        assert_eq!(String::from_utf8_lossy(spliced.as_bytes()), expected);
        assert_eq!(message.spliced(&[]).unwrap().as_bytes(), REGISTER);
    }

    #[test]
    fn what_is_no_part_of_the_head_is_left_alone() {
        let message = parse();
        let via = message.value(Name::Via).unwrap();

        let foreign = message.spliced(&[(&b"V"[..], b"W".to_vec()), (message.body(), b"x".to_vec())]).unwrap();
        let twice = message.spliced(&[(via, b"W".to_vec()), (via, b"X".to_vec())]).unwrap();

        assert_eq!(foreign.as_bytes(), REGISTER);
        assert_eq!(twice.value(Name::Via), Some(&b"W"[..]), "of two that overlap the first counts");
    }

    fn parse() -> Message {
        Message::parse_datagram(Bytes::from_static(REGISTER)).unwrap()
    }
}
