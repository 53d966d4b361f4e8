//! Keys that were pressed: as RTP events (RFC 4733) and as bodies of SIP INFO.

use crate::digit::Digit;

/// One packet of a telephone event; a key that is held makes many with one RTP timestamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The key.
    pub digit: Digit,
    /// It has been released; sent three times, for one may be lost.
    pub end: bool,
    /// How long it has been held so far, in ticks of the RTP clock.
    pub duration: u16,
    /// Its power, from 0 (loud) to 63, in -dBm0.
    pub volume: u8,
}

/// Reads the payload of a telephone event (RFC 4733 §2.3); `None` where it is cut, or an event that is no key.
#[must_use]
pub fn parse_rfc4733(payload: &[u8]) -> Option<Event> {
    let &[event, flags, high, low] = payload.first_chunk::<4>()?;
    let duration = u16::from_be_bytes([high, low]);
    Some(Event { digit: Digit::from_event(event)?, end: flags & 0x80 != 0, duration, volume: flags & 0x3f })
}

/// Reads the key of an INFO: `Signal=5` in `application/dtmf-relay`, or `5` alone in `application/dtmf`.
///
/// No RFC has these forms, so what is about is accepted: keys in any case, spaces, `=` or `:`, CR or LF alone, and 10 to 15 for `*`, `#`,
/// `A` to `D`.
#[must_use]
pub fn parse_info(content_type: &[u8], body: &[u8]) -> Option<Digit> {
    let media_type = content_type.split(|&b| b == b';').next()?.trim_ascii();
    if media_type.eq_ignore_ascii_case(b"application/dtmf") {
        return signal(body);
    }
    if !media_type.eq_ignore_ascii_case(b"application/dtmf-relay") {
        return None;
    }
    body.split(|b| matches!(b, b'\r' | b'\n')).find_map(|line| {
        let mut parts = line.splitn(2, |b| matches!(b, b'=' | b':'));
        let key = parts.next()?.trim_ascii();
        if key.eq_ignore_ascii_case(b"Signal") { signal(parts.next()?) } else { None }
    })
}

fn signal(text: &[u8]) -> Option<Digit> {
    match text.trim_ascii() {
        &[key] => Digit::from_char(char::from(key)),
        [b'1', low @ b'0'..=b'5'] => Digit::from_event(10 + (low - b'0')),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_key_its_end_its_power_and_its_length() {
        let event = parse_rfc4733(&[11, 0x80 | 10, 0x03, 0x20, 0]).unwrap();

        assert_eq!((event.digit.reveal(), event.end, event.volume, event.duration), ('#', true, 10, 800));
        assert!(!parse_rfc4733(&[1, 0x0a, 0, 0]).unwrap().end);
    }

    #[test]
    fn what_is_no_key_is_no_event() {
        assert_eq!(parse_rfc4733(&[16, 0, 0, 0]), None, "flash");
        assert_eq!(parse_rfc4733(&[32, 0, 0, 0]), None, "a fax tone");
        assert_eq!(parse_rfc4733(&[1, 0, 0]), None);
        assert_eq!(parse_rfc4733(&[]), None);
    }

    #[test]
    fn an_info_is_read_as_it_is_written_by_many() {
        let relay = |body: &str| parse_info(b"Application/DTMF-Relay ; charset=utf-8", body.as_bytes()).map(Digit::reveal);

        assert_eq!(relay("Signal=1\r\nDuration=160\r\n"), Some('1'));
        assert_eq!(relay("Duration=160\nSIGNAL = *"), Some('*'));
        assert_eq!(relay("signal= #\r"), Some('#'));
        assert_eq!(relay("Signal=10"), Some('*'));
        assert_eq!(relay("Signal=11"), Some('#'));
        assert_eq!(relay("Signal=d"), Some('D'));
        assert_eq!(relay("Signal: 7"), Some('7'));
        assert_eq!(relay("Signal=16"), None);
        assert_eq!(relay("Signal=!"), None);
        assert_eq!(relay("Signal="), None);
        assert_eq!(relay("Duration=1"), None);
    }

    #[test]
    fn a_key_may_stand_alone() {
        assert_eq!(parse_info(b"application/dtmf", b" 5\r\n").map(Digit::reveal), Some('5'));
        assert_eq!(parse_info(b"application/dtmf", b"55"), None);
        assert_eq!(parse_info(b"application/sdp", b"5"), None);
        assert_eq!(parse_info(b"", b"5"), None);
    }
}
