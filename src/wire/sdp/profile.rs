//! The profile of a media, plain or secure, and its keys: what of a description changes where SRTP ends or begins here (RFC 4568).

use super::description::{Line, What, attribute, words};
use super::{Crypto, Media, Sdp};

/// How a media is to be described: by which profile, and with which keys of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secured {
    /// The transport of its `m=` line: `RTP/SAVP`, say.
    pub proto: String,
    /// Its `a=crypto` lines, in order of preference; none where there is no SRTP.
    pub keys: Vec<Crypto>,
}

/// The profiles of RTP over UDP that can be had both plain and secure.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Profile {
    /// `SAVP` (RFC 3711), not `AVP` (RFC 3551).
    pub is_secure: bool,
    /// With early feedback: the name ends in `F` (RFC 4585, RFC 5124).
    pub has_feedback: bool,
}

impl Profile {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match (self.is_secure, self.has_feedback) {
            (false, false) => "RTP/AVP",
            (false, true) => "RTP/AVPF",
            (true, false) => "RTP/SAVP",
            (true, true) => "RTP/SAVPF",
        }
    }
}

impl Media {
    /// Returns the profile, where it is one of the four; keys that are agreed upon by DTLS (`UDP/TLS/RTP/SAVP`) are another matter.
    #[must_use]
    pub fn profile(&self) -> Option<Profile> {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(is_secure, has_feedback)| Profile { is_secure, has_feedback })
            .into_iter()
            .find(|profile| profile.as_str().eq_ignore_ascii_case(&self.proto))
    }
}

/// Attributes that agree on how a media is secured, or on another profile in place of its own: the party that reads them would agree with
/// the far end, and not with us (RFC 4568, 4567, 5763, 5939, 6189, 8842).
const AGREED_HERE: [&[u8]; 10] =
    [b"crypto", b"key-mgmt", b"fingerprint", b"setup", b"tls-id", b"zrtp-hash", b"tcap", b"acap", b"pcfg", b"acfg"];

/// Whether a line of this text says such a thing. Names of attributes tell case apart (RFC 8866 §9), and some readers do not.
pub(super) fn is_agreed_here(text: &[u8]) -> bool {
    attribute(text).is_some_and(|(name, _)| AGREED_HERE.iter().any(|known| known.eq_ignore_ascii_case(name.trim_ascii_end())))
}

impl Sdp {
    /// Returns the description with each media as `wanted`, in the order of the `m=` lines.
    ///
    /// The transport of the `m=` line is replaced; what was said about keys is left out, and ours is put at the end of the media. Every
    /// other byte stays, and so does a media with `None`. What the session says about keys is left out where any media is `wanted`.
    #[must_use]
    pub fn secured(&self, wanted: &[Option<Secured>]) -> Vec<u8> {
        let of = |media: usize| wanted.get(media).and_then(Option::as_ref);
        let any = (0..self.media().len()).any(|media| of(media).is_some());
        let mut out = Vec::with_capacity(self.as_bytes().len() + 512);
        let mut copied = 0;
        let mut before = None;
        for line in &self.lines {
            if line.what == What::Media {
                self.copy(&mut out, &mut copied, line.start);
                self.say(&mut out, before.and_then(of));
                before = line.media;
                if let Some(secured) = before.and_then(of)
                    && let Some(place) = self.text(line).get(2..).and_then(|text| words(text).nth(2))
                {
                    self.replace(&mut out, &mut copied, line, Some((place.start + 2..place.end + 2, secured.proto.clone())));
                }
                continue;
            }
            let is_changed = line.media.map_or(any, |media| of(media).is_some());
            if is_changed && is_agreed_here(self.text(line)) {
                self.leave_out(&mut out, &mut copied, line);
            }
        }
        self.copy(&mut out, &mut copied, self.as_bytes().len());
        self.say(&mut out, before.and_then(of));
        out
    }

    /// Copies what comes before this place.
    fn copy(&self, out: &mut Vec<u8>, copied: &mut usize, to: usize) {
        out.extend_from_slice(self.as_bytes().get(*copied..to).unwrap_or_default());
        *copied = to.max(*copied);
    }

    /// Leaves this line out, with its end.
    pub(super) fn leave_out(&self, out: &mut Vec<u8>, copied: &mut usize, line: &Line) {
        self.copy(out, copied, line.start);
        *copied = self.after(line.end);
    }

    /// Returns where the next line begins.
    fn after(&self, end: usize) -> usize {
        let rest = self.as_bytes().get(end..).unwrap_or_default();
        end + memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1)
    }

    /// Adds our keys, each on a line of its own.
    fn say(&self, out: &mut Vec<u8>, secured: Option<&Secured>) {
        for key in secured.into_iter().flat_map(|secured| &secured.keys) {
            match out.last() {
                Some(b'\n') | None => {}
                // The last line was cut within its end.
                Some(b'\r') => out.push(b'\n'),
                Some(_) => out.extend_from_slice(self.line_end()),
            }
            out.extend_from_slice(b"a=crypto:");
            out.extend_from_slice(&key.to_value());
            out.extend_from_slice(self.line_end());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::wire::sdp::Suite;

    #[test]
    fn keys_come_and_go_and_all_else_stays() {
        let came = "v=0\r\ns= \r\na=fingerprint:sha-1 00\r\nt=0 0\r\nm=audio  4  RTP/AVP  0 101\r\na=X\r\nm=video 6 RTP/SAVPF 31\r\n\
                    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR\r\na=setup:active\r\nb=AS:1";

        let out = secured(came, &[Some(sealed("RTP/SAVP")), Some(plain("RTP/AVPF"))]);

        assert_eq!(
            out,
            format!(
                "v=0\r\ns= \r\nt=0 0\r\nm=audio  4  RTP/SAVP  0 101\r\na=X\r\na=crypto:7 AEAD_AES_128_GCM inline:{KEY}\r\n\
                 m=video 6 RTP/AVPF 31\r\nb=AS:1"
            )
        );
    }

    #[test]
    fn keys_at_the_very_end_get_a_line_of_their_own() {
        for came in ["v=0\nm=audio 4 RTP/AVP 0\na=X", "v=0\nm=audio 4 RTP/AVP 0\na=X\n"] {
            let out = secured(came, &[Some(sealed("RTP/AVP"))]);

            assert_eq!(out, format!("v=0\nm=audio 4 RTP/AVP 0\na=X\na=crypto:7 AEAD_AES_128_GCM inline:{KEY}\n"));
        }
        let cut = secured("v=0\r\nm=audio 4 RTP/AVP 0\r\na=X\r", &[Some(sealed("RTP/AVP"))]);
        assert!(cut.contains("a=X\r\na=crypto:7"), "{cut:?}");
    }

    #[test]
    fn what_is_not_wanted_stays() {
        let came = "v=0\r\na=setup:active\r\nm=audio 4 RTP/SAVP 0\r\na=crypto:x\r\nm=image 6 udptl t38\r\na=setup:passive\r\n";

        assert_eq!(secured(came, &[None, None]), came);
        assert_eq!(secured(came, &[]), came);
        assert_eq!(
            secured(came, &[Some(plain("RTP/AVP")), None]),
            "v=0\r\nm=audio 4 RTP/AVP 0\r\nm=image 6 udptl t38\r\na=setup:passive\r\n"
        );
    }

    #[test]
    fn a_reader_that_does_not_tell_case_apart_finds_no_other_key() {
        let came =
            "v=0\r\na=Fingerprint:sha-1 00\r\nm=audio 4 RTP/AVP 0\r\na=CRYPTO:1 x y\r\na= Crypto :2 x y\r\na=cryptonym\r\n";

        assert_eq!(secured(came, &[Some(plain("RTP/AVP"))]), "v=0\r\nm=audio 4 RTP/AVP 0\r\na=cryptonym\r\n");
    }

    #[test]
    fn what_is_rejected_takes_no_keys_along() {
        let came = "v=0\r\na=setup:active\r\nm=audio 4 RTP/SAVP 0\r\na=crypto:1 x inline:y\r\na=X\r\nm=video 6 RTP/SAVP 31\r\na=CRYPTO:1 x inline:y";

        let out = String::from_utf8(Sdp::parse(came.as_bytes()).unwrap().rejected()).unwrap();

        assert_eq!(out, "v=0\r\nm=audio 0 RTP/SAVP 0\r\na=X\r\nm=video 0 RTP/SAVP 31\r\n");
    }

    #[test]
    fn four_profiles_are_known_and_dtls_is_none_of_them() {
        let profile = |proto: &str| {
            let sdp = Sdp::parse(format!("v=0\r\nm=audio 4 {proto} 0\r\n").as_bytes()).unwrap();
            sdp.media()[0].profile().map(|profile| profile.as_str())
        };

        for proto in ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF"] {
            assert_eq!(profile(proto), Some(proto));
        }
        assert_eq!(profile("rtp/savp"), Some("RTP/SAVP"));
        assert_eq!((profile("UDP/TLS/RTP/SAVPF"), profile("TCP/RTP/AVP"), profile("udptl")), (None, None, None));
    }

    const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==";

    fn sealed(proto: &str) -> Secured {
        Secured { proto: proto.to_owned(), keys: vec![Crypto::new(7, Suite::AeadAes128Gcm, &[7; 28]).unwrap()] }
    }

    fn plain(proto: &str) -> Secured {
        Secured { proto: proto.to_owned(), keys: vec![] }
    }

    fn secured(came: &str, wanted: &[Option<Secured>]) -> String {
        String::from_utf8(Sdp::parse(came.as_bytes()).unwrap().secured(wanted)).unwrap()
    }
}
