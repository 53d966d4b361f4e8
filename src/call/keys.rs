//! SRTP by SDES (RFC 4568), each side for itself: what a description means under its peer's rule, and what the other side is told instead.
//!
//! ```text
//!   PBX  RTP/AVP ───────▶ offer ───────▶ RTP/SAVP, our keys      trunk (media_as = "srtp")
//!        RTP/AVP ◀─────── answer ◀────── RTP/SAVP, its key
//! ```
//!
//! Nothing is ever made less secure than the rules of both sides say: what a rule does not allow is refused, not mended.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::anchor::Line;
use crate::media::srtp::Keying;
use crate::wire::sdp::{Crypto, Profile, Secured, Suite};

/// How the media of a peer are carried.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MediaAs {
    /// Plain RTP: nothing else is offered or taken.
    Rtp,
    /// SRTP with keys in the description: nothing else is offered or taken.
    Srtp,
    /// As the peer offers it, or answers: we offer plain RTP with keys, which it may take or leave (RFC 8643).
    Either,
}

/// The peer's description is not as its rule wants it. To be answered with 488, and this in a Warning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum NotSecured {
    /// Its media are plain, or no RTP.
    WantsSrtp,
    /// Its media are secured.
    WantsRtp,
    /// None of its keys can be used; or its answer's is none that was offered.
    NoUsableKey,
}

impl NotSecured {
    /// Returns what to tell the peer.
    pub(super) const fn warning(self) -> &'static str {
        match self {
            Self::WantsSrtp => "SRTP is wanted here: RTP/SAVP with a=crypto",
            Self::WantsRtp => "plain RTP is wanted here: RTP/AVP",
            Self::NoUsableKey => "no a=crypto line that can be used here: AES_CM_128, AES_256_CM or AEAD_AES, one key each",
        }
    }
}

/// The suites that are offered, the best first; all that [`Keying`] can do are taken. Each line more makes the message longer, which over
/// UDP has 1,300 bytes (RFC 3261 §18.1.1): one for whoever has GCM, the strongest without, and the one that all have (RFC 4568 §6.2).
const OFFERED: [Suite; 3] = [Suite::AeadAes256Gcm, Suite::Aes256CmHmacSha1_80, Suite::AesCm128HmacSha1_80];

/// Our keys towards one party on one line: one for each suite. They stay the same as long as the party does.
#[derive(Clone, Default, Debug)]
pub(super) struct Ours(Vec<Crypto>);

impl Ours {
    /// Where none was ever said.
    pub(super) const NONE: Self = Self(Vec::new());

    /// Throws them away: the party is another, or has another key, and shall have keys of its own.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns all that are offered.
    pub(super) fn offer(&mut self, source: &mut KeySource) -> Vec<Crypto> {
        for suite in OFFERED {
            self.of_suite(&suite, source);
        }
        self.0.clone()
    }

    /// Returns the key of a suite, making it where it is new.
    pub(super) fn of_suite(&mut self, suite: &Suite, source: &mut KeySource) -> Option<&Crypto> {
        if !self.0.iter().any(|known| known.suite() == suite) {
            let (key, salt) = suite.lengths()?;
            let tag = u32::try_from(self.0.len() + 1).ok()?;
            self.0.push(Crypto::new(tag, suite.clone(), &source.draw(key + salt)).ok()?);
        }
        self.known(suite)
    }

    /// Returns the key of a suite, if there is one.
    pub(super) fn known(&self, suite: &Suite) -> Option<&Crypto> {
        self.0.iter().find(|known| known.suite() == suite)
    }

    fn tagged(&self, tag: u32) -> Option<&Crypto> {
        self.0.iter().find(|known| known.tag() == tag)
    }
}

impl MediaAs {
    /// Returns which key of an offer is taken: the first that can be, for the offer's order is its preference (RFC 4568 §5.1.2). Nothing
    /// where the line is plain RTP, no RTP, or rejected.
    ///
    /// # Errors
    /// The rule does not allow what is offered.
    pub(super) fn chosen(self, line: &Line) -> Result<Option<&Crypto>, NotSecured> {
        if !line.is_wanted() {
            return Ok(None);
        }
        let key = line.keys().iter().find(|key| Keying::of(key).is_ok());
        match (self, line.profile(), key) {
            (Self::Rtp, Some(Profile { is_secure: false, .. }), _) => Ok(None),
            (Self::Srtp | Self::Either, Some(_), Some(key)) => Ok(Some(key)),
            (Self::Either, Some(Profile { is_secure: false, .. }), None) => Ok(None),
            (Self::Srtp, Some(Profile { is_secure: false, .. }), None) => Err(NotSecured::WantsSrtp),
            (Self::Rtp, Some(Profile { is_secure: true, .. }), _) => Err(NotSecured::WantsRtp),
            (Self::Srtp | Self::Either, Some(Profile { is_secure: true, .. }), None) => Err(NotSecured::NoUsableKey),
            // Fax by T.38, say, or RTP by a profile that we do not know: plain, or keys by DTLS.
            (Self::Srtp, None, _) => Err(NotSecured::WantsSrtp),
            (Self::Rtp | Self::Either, None, _) if !line.is_secure() && !line.is_rtp_with_keys() => Ok(None),
            (Self::Rtp, None, _) => Err(NotSecured::WantsRtp),
            (Self::Either, None, _) => Err(NotSecured::NoUsableKey),
        }
    }

    /// Returns which keys an answer to our offer agrees on: the party's own, and ours that it accepted. Nothing where the line is plain
    /// RTP, no RTP, or rejected.
    ///
    /// # Errors
    /// The rule does not allow what is answered, or it accepts what was not offered (RFC 4568 §5.1.3).
    pub(super) fn accepted<'k>(self, line: &'k Line, ours: &'k Ours) -> Result<Option<(&'k Crypto, &'k Crypto)>, NotSecured> {
        let Some(theirs) = self.chosen(line)? else {
            // It was offered keys, and says some: it would seal by what we cannot open, or not seal and call it SRTP.
            let is_unusable = self != Self::Rtp && line.is_wanted() && line.has_keys();
            return if is_unusable { Err(NotSecured::NoUsableKey) } else { Ok(None) };
        };
        let [only] = line.keys() else { return Err(NotSecured::NoUsableKey) };
        let ours = ours.tagged(only.tag()).filter(|ours| ours.suite() == only.suite()).ok_or(NotSecured::NoUsableKey)?;
        Ok(Some((theirs, ours)))
    }

    /// Returns how a line is offered to a peer with this rule. `was_secure` says how it described the line itself before.
    pub(super) fn offers(self, line: &Line, was_secure: bool, ours: &mut Ours, source: &mut KeySource) -> Option<Secured> {
        let profile = line.profile()?;
        let is_secure = match self {
            Self::Rtp => false,
            Self::Srtp => true,
            Self::Either => was_secure,
        };
        let keys = if self == Self::Rtp || !line.is_wanted() { Vec::new() } else { ours.offer(source) };
        Some(Secured { proto: Profile { is_secure, ..profile }.as_str().to_owned(), keys })
    }

    /// Returns how a line is answered to a peer that offered it so.
    pub(super) fn answers(self, offered: &Line, ours: &mut Ours, source: &mut KeySource) -> Option<Secured> {
        let profile = offered.profile()?;
        let key = self.chosen(offered).ok().flatten().and_then(|theirs| {
            let ours = ours.of_suite(theirs.suite(), source)?;
            ours.clone().tagged(theirs.tag()).ok()
        });
        Some(Secured { proto: profile.as_str().to_owned(), keys: key.into_iter().collect() })
    }
}

/// Where our keys come from: a secret from the system's random source, which changes with each key that is drawn.
///
/// Each draw is HKDF-SHA-256 (RFC 5869) of the secret; the secret is then replaced by what HKDF gives beside it, so that whoever reads it
/// learns no key that was drawn before.
pub struct KeySource(Zeroizing<[u8; 32]>);

impl KeySource {
    /// Begins with a secret, which must be from the system's random source and used for nothing else.
    #[must_use]
    pub const fn new(secret: Zeroizing<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// Draws a key with its salt: 64 bytes at most, of which there are `length`.
    fn draw(&mut self, length: usize) -> Zeroizing<Vec<u8>> {
        let hkdf = Hkdf::<Sha256>::new(None, self.0.as_slice());
        let (mut next, mut drawn) = (Zeroizing::new([0; 32]), Zeroizing::new(vec![0; length.min(64)]));
        hkdf.expand(b"mitschnitt srtp next", next.as_mut_slice()).expect("32 bytes are fewer than HKDF can give");
        hkdf.expand(b"mitschnitt srtp key", &mut drawn).expect("64 bytes are fewer than HKDF can give");
        self.0 = next;
        drawn
    }
}

/// Shows nothing of the secret.
impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySource")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::call::anchor::Session;
    use crate::wire::sdp::Sdp;

    const GCM: &str = "a=crypto:3 AEAD_AES_128_GCM inline:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==";
    const CM: &str = "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";
    const F8: &str = "a=crypto:1 F8_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

    #[test]
    fn a_rule_takes_what_it_allows_and_refuses_the_rest() {
        use NotSecured::{NoUsableKey, WantsRtp, WantsSrtp};
        let secure = format!("audio 4 RTP/SAVP 0\r\n{CM}");
        let perhaps = format!("audio 4 RTP/AVP 0\r\n{CM}");
        let weak = format!("audio 4 RTP/SAVP 0\r\n{F8}");
        let perhaps_weak = format!("audio 4 RTP/AVP 0\r\n{F8}");
        let unknown = format!("audio 4 UDP/RTP/AVP 0\r\n{CM}");
        for (line, [rtp, srtp, either]) in [
            ("audio 4 RTP/AVP 0", [Ok(None), Err(WantsSrtp), Ok(None)]),
            (secure.as_str(), [Err(WantsRtp), Ok(Some(4)), Ok(Some(4))]),
            (perhaps.as_str(), [Ok(None), Ok(Some(4)), Ok(Some(4))]),
            (weak.as_str(), [Err(WantsRtp), Err(NoUsableKey), Err(NoUsableKey)]),
            (perhaps_weak.as_str(), [Ok(None), Err(WantsSrtp), Ok(None)]),
            ("audio 4 RTP/SAVP 0", [Err(WantsRtp), Err(NoUsableKey), Err(NoUsableKey)]),
            ("audio 4 UDP/TLS/RTP/SAVP 0\r\na=fingerprint:sha-1 00", [Err(WantsRtp), Err(WantsSrtp), Err(NoUsableKey)]),
            ("image 4 udptl t38", [Ok(None), Err(WantsSrtp), Ok(None)]),
            ("audio 4 UDP/RTP/AVP 0", [Ok(None), Err(WantsSrtp), Ok(None)]),
            (unknown.as_str(), [Err(WantsRtp), Err(WantsSrtp), Err(NoUsableKey)]),
            ("audio 0 RTP/SAVP 0", [Ok(None), Ok(None), Ok(None)]),
        ] {
            let session = session(line);
            let chosen = |rule: MediaAs| rule.chosen(&session.lines()[0]).map(|key| key.map(Crypto::tag));
            assert_eq!([chosen(MediaAs::Rtp), chosen(MediaAs::Srtp), chosen(MediaAs::Either)], [rtp, srtp, either], "{line}");
        }
    }

    #[test]
    fn the_first_key_that_can_be_used_is_taken_and_answered_under_its_tag() {
        let (mut ours, mut source) = (Ours::default(), source());
        let offered = session(&format!("audio 4 RTP/SAVP 0\r\n{F8}\r\n{GCM}\r\n{CM}"));

        let answer = MediaAs::Srtp.answers(&offered.lines()[0], &mut ours, &mut source).unwrap();

        assert_eq!((answer.proto.as_str(), answer.keys.len()), ("RTP/SAVP", 1));
        assert_eq!((answer.keys[0].tag(), answer.keys[0].suite()), (3, &Suite::AeadAes128Gcm));
        assert_eq!(MediaAs::Srtp.answers(&offered.lines()[0], &mut ours, &mut source), Some(answer), "an answer that goes again");
    }

    #[test]
    fn an_answer_must_accept_one_of_our_keys() {
        let (mut ours, mut source) = (Ours::default(), source());
        let offer = MediaAs::Srtp.offers(&session("audio 4 RTP/AVP 0").lines()[0], false, &mut ours, &mut source).unwrap();
        assert_eq!(offer.proto, "RTP/SAVP");
        assert_eq!(
            offer.keys.iter().map(|key| (key.tag(), key.suite().clone())).collect::<Vec<_>>(),
            [(1, Suite::AeadAes256Gcm), (2, Suite::Aes256CmHmacSha1_80), (3, Suite::AesCm128HmacSha1_80)]
        );

        let right = CM.replace("crypto:4", "crypto:3");
        for (line, expected) in [
            (format!("audio 4 RTP/SAVP 0\r\n{right}"), Ok(Some(3))),
            (format!("audio 4 RTP/SAVP 0\r\n{CM}"), Err(NotSecured::NoUsableKey)),
            (format!("audio 4 RTP/SAVP 0\r\n{GCM}"), Err(NotSecured::NoUsableKey)),
            (format!("audio 4 RTP/SAVP 0\r\n{right}\r\n{GCM}"), Err(NotSecured::NoUsableKey)),
            ("audio 4 RTP/AVP 0".to_owned(), Err(NotSecured::WantsSrtp)),
            ("audio 0 RTP/SAVP 0".to_owned(), Ok(None)),
        ] {
            let session = session(&line);
            let accepted = MediaAs::Srtp.accepted(&session.lines()[0], &ours);
            assert_eq!(accepted.map(|keys| keys.map(|(_, ours)| ours.tag())), expected, "{line}");
        }
        let plain = session("audio 4 RTP/AVP 0");
        assert_eq!(MediaAs::Either.accepted(&plain.lines()[0], &ours), Ok(None), "it left what it might have taken");
        for weak in [format!("{right} UNENCRYPTED_SRTP"), F8.replace("crypto:1", "crypto:3"), "a=crypto:3 x".to_owned()] {
            let weak = session(&format!("audio 4 RTP/AVP 0\r\n{weak}"));
            assert_eq!(MediaAs::Either.accepted(&weak.lines()[0], &ours), Err(NotSecured::NoUsableKey));
            assert_eq!(MediaAs::Rtp.accepted(&weak.lines()[0], &Ours::NONE), Ok(None), "it was offered none");
        }
    }

    #[test]
    fn no_two_keys_are_alike_and_a_party_keeps_its_own() {
        let (mut one, mut other, mut source) = (Ours::default(), Ours::default(), source());
        let (ones, others) = (one.offer(&mut source), other.offer(&mut source));

        for (nth, key) in ones.iter().enumerate() {
            assert!(ones.iter().chain(&others).enumerate().all(|(other, key_of)| other == nth || key_of.keys() != key.keys()));
        }
        assert_eq!(one.offer(&mut source), ones);
        one.clear();
        assert!(one.offer(&mut source).iter().zip(&ones).all(|(new, old)| new.keys() != old.keys()));
    }

    #[test]
    fn the_secret_is_another_after_each_key() {
        let mut source = source();
        let before = source.0.clone();

        let [first, second] = [source.draw(46), source.draw(46)];

        assert!(first.len() == 46 && first != second && before != source.0);
        assert_eq!(format!("{source:?}"), "KeySource");
    }

    fn session(line: &str) -> Session {
        Session::of(&Sdp::parse(format!("v=0\r\nc=IN IP4 192.0.2.1\r\nm={line}\r\n").as_bytes()).unwrap(), true)
    }

    fn source() -> KeySource {
        KeySource::new(Zeroizing::new([7; 32]))
    }
}
