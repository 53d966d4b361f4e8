//! A description with fewer formats: those that are not wanted, and what is said of them, are taken out; all else is as it came.

use super::description::What;
use super::{Format, Kind, Sdp};

impl Sdp {
    /// Returns the description without the formats of RTP audio that `keep` does not want, nor the attributes that speak of them
    /// (`a=rtpmap`, `a=fmtp`, `a=rtcp-fb`); nothing where no format goes.
    ///
    /// Comfort noise and telephone-events stay, for they are no one's speech. A media of which no speech would be left stays as it is: an
    /// `m=` line must have a format, and one without speech would be no call.
    #[must_use]
    pub fn with_only(&self, keep: impl Fn(&Format) -> bool) -> Option<Vec<u8>> {
        let goes: Vec<Vec<u8>> = self
            .media()
            .iter()
            .map(|media| {
                let speech: Vec<&Format> = media.formats.iter().filter(|format| is_speech(format)).collect();
                let is_ours = media.kind == Kind::Audio && media.is_rtp() && speech.iter().any(|format| keep(format));
                let unwanted = speech.into_iter().filter(|format| is_ours && !keep(format));
                unwanted.map(|format| format.payload_type).collect()
            })
            .collect();
        if goes.iter().all(Vec::is_empty) {
            return None;
        }
        let mut out = Vec::with_capacity(self.body.len());
        for (at, line) in self.lines.iter().enumerate() {
            let end = self.lines.get(at + 1).map_or(self.body.len(), |next| next.start);
            let whole = self.body.get(line.start..end).unwrap_or_default();
            let goes = line.media.and_then(|media| goes.get(media)).map_or(&[][..], Vec::as_slice);
            match line.what {
                What::Media if !goes.is_empty() => out.extend_from_slice(&without_words(whole, goes)),
                What::Other if speaks_of(whole).is_some_and(|payload_type| goes.contains(&payload_type)) => {}
                What::Media | What::Other | What::Connection | What::Title | What::Rtcp => out.extend_from_slice(whole),
            }
        }
        Some(out)
    }
}

fn is_speech(format: &Format) -> bool {
    !format.is("telephone-event") && !format.is("CN")
}

/// An `m=` line without these formats, each with the blank before it.
fn without_words(line: &[u8], goes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    // Kind, port and transport come first.
    for (at, word) in line.split_inclusive(|&b| b == b' ').enumerate() {
        let is_one = at >= 3 && number(word.trim_ascii()).is_some_and(|payload_type| goes.contains(&payload_type));
        if !is_one {
            out.extend_from_slice(word);
        } else if !word.ends_with(b" ") {
            // The last: the blank that stood before it goes, and the line's end stays.
            let kept = out.trim_ascii_end().len();
            out.truncate(kept);
            out.extend_from_slice(word.get(word.trim_ascii_end().len()..).unwrap_or_default());
        }
    }
    out
}

/// The payload type that an attribute speaks of.
fn speaks_of(line: &[u8]) -> Option<u8> {
    let rest = [&b"a=rtpmap:"[..], b"a=fmtp:", b"a=rtcp-fb:"].iter().find_map(|name| line.strip_prefix(*name))?;
    number(rest.trim_ascii_start().split(|b| b.is_ascii_whitespace()).next()?)
}

fn number(digits: &[u8]) -> Option<u8> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18 96 8 101 13 97\r\n\
        a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:96 AMR-WB/16000\r\na=rtcp-fb:96 nack\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=rtpmap:97 iLBC/8000\r\na=ptime:20\r\na=candidate:96 1 UDP 1 192.0.2.1 4000 typ host\r\n\
        m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";

    #[test]
    fn what_is_not_wanted_goes_with_what_is_said_of_it_and_all_else_stays() {
        let left = only(OFFER, &["PCMA"]).unwrap();

        let expected = OFFER
            .replace("18 96 8 101 13 97", "8 101 13")
            .replace("a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:96 AMR-WB/16000\r\na=rtcp-fb:96 nack\r\n", "")
            .replace("a=rtpmap:97 iLBC/8000\r\n", "");
        assert_eq!(left, expected);
    }

    #[test]
    fn a_media_of_which_no_speech_would_be_left_stays_as_it_is() {
        assert_eq!(only(OFFER, &["PCMU"]), None);
        assert_eq!(only(OFFER, &["PCMU", "H264"]), None, "video is none of ours");
        assert_eq!(only("v=0\r\nm=audio 4000 RTP/AVP 13 101\r\na=rtpmap:101 telephone-event/8000\r\n", &[]), None);
    }

    #[test]
    fn what_holds_nothing_unwanted_is_not_touched() {
        assert_eq!(only(OFFER, &["PCMA", "G729", "AMR-WB", "iLBC"]), None);
        assert_eq!(only("v=0\r\nm=image 4000 udptl t38\r\n", &["PCMA"]), None);
    }

    #[test]
    fn a_line_may_end_as_it_likes() {
        for (offer, expected) in [
            ("v=0\nm=audio 4000 RTP/AVP 8 18\n", "v=0\nm=audio 4000 RTP/AVP 8\n"),
            ("v=0\nm=audio 4000 RTP/AVP 8 18", "v=0\nm=audio 4000 RTP/AVP 8"),
            ("v=0\r\nm=audio 4000 RTP/SAVP 18 8 \r\n", "v=0\r\nm=audio 4000 RTP/SAVP 8 \r\n"),
            ("v=0\r\nm=audio 4000 RTP/AVP 18 8 18\r\n", "v=0\r\nm=audio 4000 RTP/AVP 8\r\n"),
        ] {
            assert_eq!(only(offer, &["PCMA"]).as_deref(), Some(expected));
        }
    }

    fn only(offer: &str, names: &[&str]) -> Option<String> {
        let sdp = Sdp::parse(offer.as_bytes()).unwrap();
        sdp.with_only(|format| names.iter().any(|name| format.is(name))).map(|bytes| String::from_utf8(bytes).unwrap())
    }
}
