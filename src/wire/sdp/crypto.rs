//! The attribute `a=crypto` (RFC 4568): an SRTP key told in the open, with its suite and what else is to be done with packets.
//!
//! ```text
//! a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4 KDR=2
//!          │ suite                   method key and salt, base64              packets│  └─ session parameters
//!          tag                                                                    MKI:bytes
//! ```

use std::collections::BTreeSet;
use std::fmt;

use base64ct::{Base64, Base64Unpadded, Encoding as _};
use zeroize::Zeroizing;

use crate::private::Private;

/// Bytes that are a secret, or may be one: wiped once nobody has them any more, and never printed.
type Secret = Private<Zeroizing<Vec<u8>>>;

/// What one `a=crypto` line says. Two are equal if they say the same, however they are spelt.
///
/// It prints no key: [`Crypto::to_value`] is the only way to the text.
#[derive(Clone, Debug)]
pub struct Crypto {
    tag: u32,
    suite: Suite,
    keys: Vec<KeyParam>,
    session: Vec<SessionParam>,
    /// The text, where it is not the one that [`Crypto::normal_text`] makes.
    as_it_came: Option<Secret>,
}

impl Crypto {
    /// Reads the value of the attribute: what stands behind `a=crypto:`.
    ///
    /// Spaces and tabs may stand before, behind and several between the fields, numbers may begin with zeroes, and base64 may
    /// lack its padding. What is kept by name — other suites, methods and session parameters — is only checked for its
    /// characters.
    ///
    /// # Errors
    /// Where the grammar of RFC 4568 §9 or a range of §6 is broken; the key does not have the length of its suite; or a session
    /// parameter is said twice.
    pub fn parse(value: &[u8]) -> Result<Self, MalformedCrypto> {
        let at = |at| move |what| MalformedCrypto { at, what };
        let end = value.len();
        let mut fields = fields(value);
        let (start, tag) = fields.next().ok_or(MalformedCrypto { at: end, what: CryptoFault::Tag })?;
        let tag = number(tag).filter(|_| tag.len() <= TAG_DIGITS).ok_or(CryptoFault::Tag).map_err(at(start))?;
        let (start, suite) = fields.next().ok_or(MalformedCrypto { at: end, what: CryptoFault::Suite })?;
        let suite = Suite::parse(suite).ok_or(CryptoFault::Suite).map_err(at(start))?;
        let (start, keys) = fields.next().ok_or(MalformedCrypto { at: end, what: CryptoFault::NoKey })?;
        let keys = key_params(keys, start, &suite)?;
        let mut session = Vec::new();
        for (start, param) in fields {
            let param = SessionParam::parse(param, start, &suite)?;
            // Any number of others may stand there: they are not compared.
            if !matches!(param, SessionParam::Other(_)) && session.iter().any(|known| param.is_said_by(known)) {
                return Err(MalformedCrypto { at: start, what: CryptoFault::SaidTwice });
            }
            session.push(param);
        }
        let mut crypto = Self { tag, suite, keys, session, as_it_came: None };
        if crypto.normal_text().as_slice() != value {
            crypto.as_it_came = Some(secret(value));
        }
        Ok(crypto)
    }

    /// Makes a line of our own: one key, without a lifetime, an MKI or session parameters. `master` is the key and behind it the
    /// salt.
    ///
    /// # Errors
    /// Where the tag has more than nine digits, the suite is none of those known here, or `master` does not have its length.
    pub fn new(tag: u32, suite: Suite, master: &[u8]) -> Result<Self, CryptoFault> {
        if tag > TAG_MAX {
            return Err(CryptoFault::Tag);
        }
        let lengths = suite.lengths().ok_or(CryptoFault::Suite)?;
        let inline = Inline::new(master, lengths, None, None)?;
        Ok(Self { tag, suite, keys: vec![KeyParam::Inline(inline)], session: Vec::new(), as_it_came: None })
    }

    /// Returns the tag, by which an answer names the line it accepts: at most 999,999,999.
    #[must_use]
    pub const fn tag(&self) -> u32 {
        self.tag
    }

    /// Returns the suite.
    #[must_use]
    pub const fn suite(&self) -> &Suite {
        &self.suite
    }

    /// Returns the key parameters, of which there is one at least.
    #[must_use]
    pub fn keys(&self) -> &[KeyParam] {
        &self.keys
    }

    /// Returns the session parameters.
    #[must_use]
    pub fn session(&self) -> &[SessionParam] {
        &self.session
    }

    /// Returns the value of the attribute as it came, byte for byte; of one of our own, in the normal form. It holds the key.
    #[must_use]
    pub fn to_value(&self) -> Zeroizing<Vec<u8>> {
        self.as_it_came.as_ref().map_or_else(|| self.normal_text(), |text| text.reveal().clone())
    }

    /// Returns the same, said in the normal form: one space between the fields, no zeroes before numbers, base64 padded.
    #[must_use]
    pub fn normal(mut self) -> Self {
        self.as_it_came = None;
        self
    }

    /// Returns the same under another tag, as an answer says it that accepts an offer's line.
    ///
    /// # Errors
    /// The tag has more than nine digits.
    pub fn tagged(mut self, tag: u32) -> Result<Self, CryptoFault> {
        if tag > TAG_MAX {
            return Err(CryptoFault::Tag);
        }
        (self.tag, self.as_it_came) = (tag, None);
        Ok(self)
    }

    fn normal_text(&self) -> Zeroizing<Vec<u8>> {
        let keys = self.keys.iter().map(KeyParam::longest).sum::<usize>();
        let session = self.session.iter().map(SessionParam::longest).sum::<usize>();
        // It never grows: what is left behind by growing would not be wiped.
        let mut out = Zeroizing::new(Vec::with_capacity(TAG_DIGITS + self.suite.as_str().len() + 2 + keys + session));
        out.extend_from_slice(self.tag.to_string().as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.suite.as_str().as_bytes());
        out.push(b' ');
        print_keys(&self.keys, &mut out);
        for param in &self.session {
            out.push(b' ');
            param.print(&mut out);
        }
        out
    }
}

impl PartialEq for Crypto {
    fn eq(&self, other: &Self) -> bool {
        (self.tag, &self.suite, &self.keys, &self.session) == (other.tag, &other.suite, &other.keys, &other.session)
    }
}

impl Eq for Crypto {}

/// A crypto suite: how packets are encrypted and authenticated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568 §6.2.1)
    AesCm128HmacSha1_80,
    /// `AES_CM_128_HMAC_SHA1_32` (RFC 4568 §6.2.2)
    AesCm128HmacSha1_32,
    /// `F8_128_HMAC_SHA1_80` (RFC 4568 §6.2.3)
    F8_128HmacSha1_80,
    /// `AES_192_CM_HMAC_SHA1_80` (RFC 6188 §4)
    Aes192CmHmacSha1_80,
    /// `AES_192_CM_HMAC_SHA1_32` (RFC 6188 §4)
    Aes192CmHmacSha1_32,
    /// `AES_256_CM_HMAC_SHA1_80` (RFC 6188 §4)
    Aes256CmHmacSha1_80,
    /// `AES_256_CM_HMAC_SHA1_32` (RFC 6188 §4)
    Aes256CmHmacSha1_32,
    /// `AEAD_AES_128_GCM` (RFC 7714 §14.1)
    AeadAes128Gcm,
    /// `AEAD_AES_256_GCM` (RFC 7714 §14.1)
    AeadAes256Gcm,
    /// Another: by its name, which is not printed, since a line that lacks a field has a key here.
    Other(Private<String>),
}

impl Suite {
    /// All that are known here.
    pub const KNOWN: [Self; 9] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::F8_128HmacSha1_80,
        Self::Aes192CmHmacSha1_80,
        Self::Aes192CmHmacSha1_32,
        Self::Aes256CmHmacSha1_80,
        Self::Aes256CmHmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    fn parse(name: &[u8]) -> Option<Self> {
        let name = str::from_utf8(name).ok().filter(|name| is_name(name.as_bytes()))?;
        let known = Self::KNOWN.into_iter().find(|suite| suite.as_str() == name);
        Some(known.unwrap_or_else(|| Self::Other(Private::new(name.to_owned()))))
    }

    /// Returns its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::F8_128HmacSha1_80 => "F8_128_HMAC_SHA1_80",
            Self::Aes192CmHmacSha1_80 => "AES_192_CM_HMAC_SHA1_80",
            Self::Aes192CmHmacSha1_32 => "AES_192_CM_HMAC_SHA1_32",
            Self::Aes256CmHmacSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmHmacSha1_32 => "AES_256_CM_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::Other(name) => name.reveal(),
        }
    }

    /// Returns how many bytes its master key and its master salt have; nothing of one that is not known here.
    #[must_use]
    pub const fn lengths(&self) -> Option<(usize, usize)> {
        match self {
            // A salt of 112 bits (RFC 3711 §8.2, RFC 6188 §2).
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 | Self::F8_128HmacSha1_80 => Some((16, 14)),
            Self::Aes192CmHmacSha1_80 | Self::Aes192CmHmacSha1_32 => Some((24, 14)),
            Self::Aes256CmHmacSha1_80 | Self::Aes256CmHmacSha1_32 => Some((32, 14)),
            // And one of 96 bits (RFC 7714 §12).
            Self::AeadAes128Gcm => Some((16, 12)),
            Self::AeadAes256Gcm => Some((32, 12)),
            Self::Other(_) => None,
        }
    }
}

/// One key parameter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyParam {
    /// `inline:`, of a suite that is known here.
    Inline(Inline),
    /// By another method, or of another suite.
    Other(Private<Zeroizing<Vec<u8>>>),
}

impl KeyParam {
    fn print(&self, out: &mut Vec<u8>) {
        match self {
            Self::Inline(inline) => inline.print(out),
            Self::Other(text) => out.extend_from_slice(text.reveal()),
        }
    }

    /// Returns how many bytes its text has at most, with a `;` before it.
    fn longest(&self) -> usize {
        match self {
            Self::Inline(_) => INLINE.len() + MASTER_BASE64 + "|281474976710655".len() + 1 + MKI_DIGITS + ":128".len() + 1,
            Self::Other(text) => text.reveal().len() + 1,
        }
    }
}

/// A master key with its salt (RFC 4568 §6.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inline {
    /// The master key, of the length that the suite gives it.
    pub key: Private<Zeroizing<Vec<u8>>>,
    /// The master salt, likewise.
    pub salt: Private<Zeroizing<Vec<u8>>>,
    /// For how many packets of SRTP, and as many of SRTCP, it may be used; where nothing is said, for as many as the suite
    /// allows.
    pub lifetime: Option<Lifetime>,
    /// By what the packets name it; where nothing is said, they name no key.
    pub mki: Option<Mki>,
}

impl Inline {
    fn new(
        master: &[u8],
        (key, salt): (usize, usize),
        lifetime: Option<Lifetime>,
        mki: Option<Mki>,
    ) -> Result<Self, CryptoFault> {
        let parts = master.split_at_checked(key).filter(|(_, rest)| rest.len() == salt);
        let (key, salt) = parts.ok_or(CryptoFault::KeyLength { expected: key + salt, found: master.len() })?;
        Ok(Self { key: secret(key), salt: secret(salt), lifetime, mki })
    }

    /// Reads what stands behind `inline:`, at `start`.
    fn parse(info: &[u8], start: usize, lengths: (usize, usize)) -> Result<Self, MalformedCrypto> {
        let mut parts = Parts { text: info, at: start }.split(b'|');
        let key = parts.next().unwrap_or(Parts { text: &[], at: start });
        let (second, third) = (parts.next(), parts.next());
        if let Some(fourth) = parts.next() {
            return Err(MalformedCrypto { at: fourth.at, what: CryptoFault::KeyInfo });
        }
        // Only an MKI has a colon, so that a key without a lifetime may have one.
        let (lifetime, mki) = match (second, third) {
            (Some(only), None) if only.text.contains(&b':') => (None, Some(only)),
            (lifetime, mki) => (lifetime, mki),
        };
        let lifetime = lifetime.map(|part| part.read(CryptoFault::Lifetime, Lifetime::parse)).transpose()?;
        let mki = mki.map(|part| part.read(CryptoFault::Mki, Mki::parse)).transpose()?;
        let at = |what| MalformedCrypto { at: key.at, what };
        let mut buffer = Zeroizing::new([0; MASTER]);
        let master = decode(key.text, lengths.0 + lengths.1, &mut buffer).map_err(at)?;
        Self::new(master, lengths, lifetime, mki).map_err(at)
    }

    fn print(&self, out: &mut Vec<u8>) {
        let mut master = Zeroizing::new([0; MASTER]);
        let mut text = Zeroizing::new([0; MASTER_BASE64]);
        let bytes = self.key.reveal().iter().chain(self.salt.reveal().iter());
        let length = master.iter_mut().zip(bytes).map(|(to, from)| *to = *from).count();
        let text = master.get(..length).and_then(|master| Base64::encode(master, text.as_mut_slice()).ok());
        out.extend_from_slice(INLINE);
        out.extend_from_slice(text.expect("the longest master fits").as_bytes());
        if let Some(lifetime) = self.lifetime {
            out.extend_from_slice(format!("|{lifetime}").as_bytes());
        }
        if let Some(mki) = &self.mki {
            out.extend_from_slice(format!("|{mki}").as_bytes());
        }
    }
}

/// For how many packets a key may be used: 1 to 2^48, which is the most of every suite known here (RFC 3711 §9.2, RFC 7714 §10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lifetime(u64);

impl Lifetime {
    const MAX: u64 = 1 << 48;

    fn parse(text: &[u8]) -> Option<Self> {
        let packets = match text.strip_prefix(b"2^") {
            Some(exponent) => 1_u64.checked_shl(number(exponent)?)?,
            None => number(text)?,
        };
        (1..=Self::MAX).contains(&packets).then_some(Self(packets))
    }

    /// Returns the number of packets.
    #[must_use]
    pub const fn packets(self) -> u64 {
        self.0
    }
}

/// A power of two as one, where that is shorter.
impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_power_of_two() && self.0 >= 1024 { write!(f, "2^{}", self.0.ilog2()) } else { write!(f, "{}", self.0) }
    }
}

/// A master key identifier: the bytes by which a packet names its key (RFC 3711 §3.1), 1 to 128 of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mki(Vec<u8>);

impl Mki {
    /// Reads `VALUE:LENGTH`, the value in decimal.
    fn parse(text: &[u8]) -> Option<Self> {
        let (value, length) = text.split_at_checked(memchr::memchr(b':', text)?)?;
        let length = length.get(1..).filter(|length| length.len() <= 3).and_then(number::<usize>)?;
        let value = Some(value).filter(|value| !value.is_empty() && value.iter().all(u8::is_ascii_digit))?;
        let value = value.get(value.iter().take_while(|&&b| b == b'0').count()..)?;
        if !(1..=MKI_BYTES).contains(&length) || value.len() > MKI_DIGITS {
            return None;
        }
        let mut bytes = vec![0; length];
        for digit in value {
            let mut carry = u16::from(digit - b'0');
            for byte in bytes.iter_mut().rev() {
                let [high, low] = (u16::from(*byte) * 10 + carry).to_be_bytes();
                (carry, *byte) = (high.into(), low);
            }
            if carry > 0 {
                return None;
            }
        }
        Some(Self(bytes))
    }

    /// Returns the bytes as they stand in each packet.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// As it is said in the attribute: `VALUE:LENGTH`.
impl fmt::Display for Mki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.clone();
        let mut digits = Vec::new();
        while digits.is_empty() || rest.iter().any(|&byte| byte > 0) {
            let mut remainder = 0;
            for byte in &mut rest {
                let part = u16::from_be_bytes([remainder, *byte]);
                // The remainder is below 10, so that each is a byte.
                [_, *byte] = (part / 10).to_be_bytes();
                [_, remainder] = (part % 10).to_be_bytes();
            }
            digits.push(char::from(b'0' + remainder));
        }
        let value: String = digits.iter().rev().collect();
        write!(f, "{value}:{}", self.0.len())
    }
}

/// A session parameter: what is done to all packets (RFC 4568 §6.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionParam {
    /// `KDR=n`: keys are derived anew every 2^n packets, n being 0 to 24.
    Kdr(u8),
    /// `UNENCRYPTED_SRTP`
    UnencryptedSrtp,
    /// `UNENCRYPTED_SRTCP`
    UnencryptedSrtcp,
    /// `UNAUTHENTICATED_SRTP`
    UnauthenticatedSrtp,
    /// `FEC_ORDER`
    FecOrder(FecOrder),
    /// `FEC_KEY`: the keys of the stream with the redundancy.
    FecKey(Vec<KeyParam>),
    /// `WSH`: packets that the window against replays holds at least; 64 or more.
    Wsh(u32),
    /// Another, with its value.
    Other(Private<Zeroizing<Vec<u8>>>),
}

/// What a sender does first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FecOrder {
    /// `FEC_SRTP`: adds redundancy, then encrypts.
    FecSrtp,
    /// `SRTP_FEC`: encrypts, then adds redundancy.
    SrtpFec,
}

impl SessionParam {
    fn parse(text: &[u8], start: usize, suite: &Suite) -> Result<Self, MalformedCrypto> {
        let (name, value) = match memchr::memchr(b'=', text).and_then(|equals| text.split_at_checked(equals)) {
            Some((name, value)) => (name, value.get(1..)),
            None => (text, None),
        };
        let wrong = MalformedCrypto { at: start, what: CryptoFault::SessionParam };
        let param = match (name, value) {
            (b"UNENCRYPTED_SRTP", None) => Some(Self::UnencryptedSrtp),
            (b"UNENCRYPTED_SRTCP", None) => Some(Self::UnencryptedSrtcp),
            (b"UNAUTHENTICATED_SRTP", None) => Some(Self::UnauthenticatedSrtp),
            (b"KDR", Some(rate)) => number(rate).filter(|&rate| rate <= 24 && value.is_some_and(|v| v.len() <= 2)).map(Self::Kdr),
            (b"WSH", Some(packets)) => number(packets).filter(|&packets| packets >= 64).map(Self::Wsh),
            (b"FEC_ORDER", Some(b"FEC_SRTP")) => Some(Self::FecOrder(FecOrder::FecSrtp)),
            (b"FEC_ORDER", Some(b"SRTP_FEC")) => Some(Self::FecOrder(FecOrder::SrtpFec)),
            (b"FEC_KEY", Some(keys)) => Some(Self::FecKey(key_params(keys, start + b"FEC_KEY=".len(), suite)?)),
            (
                b"UNENCRYPTED_SRTP"
                | b"UNENCRYPTED_SRTCP"
                | b"UNAUTHENTICATED_SRTP"
                | b"KDR"
                | b"WSH"
                | b"FEC_ORDER"
                | b"FEC_KEY",
                _,
            ) => None,
            (_, _) => {
                let bare = text.strip_prefix(b"-").unwrap_or(text);
                let is_one = !bare.is_empty() && !bare.starts_with(b"-") && bare.iter().all(u8::is_ascii_graphic);
                is_one.then(|| Self::Other(secret(text)))
            }
        };
        param.ok_or(wrong)
    }

    /// Returns whether whoever does not know it may use the line nevertheless (RFC 4568 §6.3.7); all others must not.
    #[must_use]
    pub fn may_be_ignored(&self) -> bool {
        matches!(self, Self::Other(text) if text.reveal().starts_with(b"-"))
    }

    /// Returns whether `other` says something of the same: which of the two is meant would be anybody's guess. For those known
    /// here.
    fn is_said_by(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    fn print(&self, out: &mut Vec<u8>) {
        match self {
            Self::Kdr(rate) => out.extend_from_slice(format!("KDR={rate}").as_bytes()),
            Self::UnencryptedSrtp => out.extend_from_slice(b"UNENCRYPTED_SRTP"),
            Self::UnencryptedSrtcp => out.extend_from_slice(b"UNENCRYPTED_SRTCP"),
            Self::UnauthenticatedSrtp => out.extend_from_slice(b"UNAUTHENTICATED_SRTP"),
            Self::FecOrder(FecOrder::FecSrtp) => out.extend_from_slice(b"FEC_ORDER=FEC_SRTP"),
            Self::FecOrder(FecOrder::SrtpFec) => out.extend_from_slice(b"FEC_ORDER=SRTP_FEC"),
            Self::FecKey(keys) => {
                out.extend_from_slice(b"FEC_KEY=");
                print_keys(keys, out);
            }
            Self::Wsh(packets) => out.extend_from_slice(format!("WSH={packets}").as_bytes()),
            Self::Other(text) => out.extend_from_slice(text.reveal()),
        }
    }

    /// Returns how many bytes its text has at most, with a space before it.
    fn longest(&self) -> usize {
        match self {
            Self::FecKey(keys) => 1 + b"FEC_KEY=".len() + keys.iter().map(KeyParam::longest).sum::<usize>(),
            Self::Other(text) => 1 + text.reveal().len(),
            // The longest is UNAUTHENTICATED_SRTP.
            Self::Kdr(_)
            | Self::UnencryptedSrtp
            | Self::UnencryptedSrtcp
            | Self::UnauthenticatedSrtp
            | Self::FecOrder(_)
            | Self::Wsh(_) => 1 + b"UNAUTHENTICATED_SRTP".len(),
        }
    }
}

/// The peer's `a=crypto` line cannot be used. It names no byte of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedCrypto {
    /// Where what is wrong begins, counted in bytes from 0 within the value.
    pub at: usize,
    /// What is wrong.
    pub what: CryptoFault,
}

/// What is wrong with an `a=crypto` line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CryptoFault {
    /// The tag is not one to nine digits.
    Tag,
    /// The suite is missing, or no name.
    Suite,
    /// There is no key parameter.
    NoKey,
    /// The key parameter has no method, nothing behind it, or something else than a key, a lifetime and an MKI.
    KeyInfo,
    /// The key is not base64.
    Base64,
    /// The key and its salt together do not have the suite's length.
    KeyLength {
        /// Bytes that the suite wants.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The lifetime is no number from 1 to 2^48.
    Lifetime,
    /// The MKI is no number with a length of 1 to 128 bytes that holds it.
    Mki,
    /// One of several keys has no MKI, one of another length, or that of another: it could not be told from the others.
    MkiOfSeveral,
    /// A session parameter has no value, or one out of its range.
    SessionParam,
    /// A session parameter is said twice.
    SaidTwice,
}

impl fmt::Display for MalformedCrypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a=crypto {} (byte {})", self.what, self.at)
    }
}

impl std::error::Error for MalformedCrypto {}

impl fmt::Display for CryptoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag => f.write_str("has no tag of one to nine digits"),
            Self::Suite => f.write_str("has no crypto suite"),
            Self::NoKey => f.write_str("has no key"),
            Self::KeyInfo => f.write_str("has a key parameter of another form"),
            Self::Base64 => f.write_str("has a key that is no base64"),
            Self::KeyLength { expected, found } => {
                write!(f, "has a key and salt of {found} bytes, where its suite wants {expected}")
            }
            Self::Lifetime => f.write_str("has a lifetime that is no number from 1 to 2^48"),
            Self::Mki => f.write_str("has an MKI that is no number in 1 to 128 bytes"),
            Self::MkiOfSeveral => f.write_str("has several keys that no MKI tells apart"),
            Self::SessionParam => f.write_str("has a session parameter of another form"),
            Self::SaidTwice => f.write_str("has a session parameter twice"),
        }
    }
}

impl std::error::Error for CryptoFault {}

/// A piece of the value, and where it stands.
#[derive(Clone, Copy)]
struct Parts<'v> {
    text: &'v [u8],
    at: usize,
}

impl<'v> Parts<'v> {
    fn split(self, by: u8) -> impl Iterator<Item = Self> + use<'v> {
        let mut at = self.at;
        self.text.split(move |&b| b == by).map(move |text| {
            let part = Parts { text, at };
            at += text.len() + 1;
            part
        })
    }

    fn read<T>(self, what: CryptoFault, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, MalformedCrypto> {
        read(self.text).ok_or(MalformedCrypto { at: self.at, what })
    }
}

/// The fields of the value with their places; only spaces and tabs stand between them.
fn fields(value: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    value.split(|&b| b == b' ' || b == b'\t').filter_map(move |field| {
        let start = at;
        at += field.len() + 1;
        (!field.is_empty()).then_some((start, field))
    })
}

fn key_params(text: &[u8], start: usize, suite: &Suite) -> Result<Vec<KeyParam>, MalformedCrypto> {
    let params: Vec<_> = Parts { text, at: start }.split(b';').collect();
    let keys = params
        .iter()
        .map(|param| {
            let colon = memchr::memchr(b':', param.text).unwrap_or(param.text.len());
            let (method, info) = (param.text.get(..colon).unwrap_or_default(), param.text.get(colon + 1..).unwrap_or_default());
            let is_param = is_name(method) && !info.is_empty() && info.iter().all(u8::is_ascii_graphic);
            match suite.lengths() {
                _ if !is_param => Err(MalformedCrypto { at: param.at, what: CryptoFault::KeyInfo }),
                Some(lengths) if method == b"inline" => {
                    Inline::parse(info, param.at + INLINE.len(), lengths).map(KeyParam::Inline)
                }
                Some(_) | None => Ok(KeyParam::Other(secret(param.text))),
            }
        })
        .collect::<Result<Vec<_>, _>>()?;
    check_mkis(&keys, &params)?;
    Ok(keys)
}

/// Checks that packets can name each of several keys: by an MKI that no other has, and of one length, for nothing in a packet
/// says how long it is (RFC 3711 §3.1).
fn check_mkis(keys: &[KeyParam], params: &[Parts<'_>]) -> Result<(), MalformedCrypto> {
    let mut known: BTreeSet<&[u8]> = BTreeSet::new();
    for (key, param) in keys.iter().zip(params) {
        let KeyParam::Inline(inline) = key else { continue };
        let is_told_apart = match &inline.mki {
            None => keys.len() == 1,
            Some(mki) => known.first().is_none_or(|first| first.len() == mki.as_bytes().len()) && known.insert(mki.as_bytes()),
        };
        if !is_told_apart {
            return Err(MalformedCrypto { at: param.at, what: CryptoFault::MkiOfSeveral });
        }
    }
    Ok(())
}

fn print_keys(keys: &[KeyParam], out: &mut Vec<u8>) {
    for (nth, key) in keys.iter().enumerate() {
        if nth > 0 {
            out.push(b';');
        }
        key.print(out);
    }
}

/// Decodes base64 that must give `length` bytes. Its padding may be left out: some do, and there is one way to read it all the
/// same.
fn decode<'b>(text: &[u8], length: usize, buffer: &'b mut [u8; MASTER]) -> Result<&'b [u8], CryptoFault> {
    let padding = text.iter().rev().take_while(|&&b| b == b'=').count();
    let bare = text.get(..text.len() - padding).unwrap_or_default();
    let found = bare.len() * 3 / 4;
    let is_base64 = bare.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/') && bare.len() % 4 != 1;
    if !is_base64 || (padding > 0 && (padding > 2 || !(bare.len() + padding).is_multiple_of(4))) {
        return Err(CryptoFault::Base64);
    }
    if found != length {
        return Err(CryptoFault::KeyLength { expected: length, found });
    }
    // Bits beyond the last byte that are not zero are an error here: the line could not be printed again.
    Base64Unpadded::decode(bare, buffer).map_err(|_| CryptoFault::Base64)
}

/// Reads decimal digits, and nothing else.
fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_number).and_then(|text| text.parse().ok())
}

/// The name of a suite or of a key method.
fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Copies it once, into memory that is wiped.
fn secret(bytes: &[u8]) -> Secret {
    Private::new(Zeroizing::new(bytes.to_vec()))
}

const INLINE: &[u8] = b"inline:";

/// The grammar's `1*9DIGIT`.
const TAG_DIGITS: usize = 9;
const TAG_MAX: u32 = 999_999_999;

/// Bytes of the longest master key with its salt: AES-256 in counter mode, 32 + 14.
const MASTER: usize = 46;

/// And of its base64, padded.
const MASTER_BASE64: usize = 64;

/// Bytes of the longest MKI (RFC 4568 §9.2).
const MKI_BYTES: usize = 128;

/// Decimal digits of the greatest number in so many bytes: 1,024 bits · log₁₀ 2 = 308.3.
const MKI_DIGITS: usize = 309;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use super::*;

    /// RFC 4568 §5.1.1, §6.1 and §10; each as it stands there, but for the breaks of lines.
    const EXAMPLES: [&str; 6] = [
        "1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR|2^20|1:32",
        "1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:32",
        "1 AES_CM_128_HMAC_SHA1_32 inline:NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj|2^20|1:32",
        "1 AES_CM_128_HMAC_SHA1_80 inline:YUJDZGVmZ2hpSktMbW9QUXJzVHVWd3l6MTIzNDU2|1066:4",
        "1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4 FEC_ORDER=FEC_SRTP",
        "2 F8_128_HMAC_SHA1_80 inline:MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4;\
         inline:QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 FEC_ORDER=FEC_SRTP",
    ];

    #[test]
    fn the_examples_of_the_rfc_are_read_and_printed_in_the_normal_form() {
        for example in EXAMPLES {
            let crypto = parse(example);
            assert!(crypto.as_it_came.is_none(), "{example}");
            assert_eq!(text(&crypto), example);
        }
    }

    #[test]
    fn a_line_says_its_key_salt_lifetime_and_mki() {
        let crypto = parse(EXAMPLES[5]);

        assert_eq!((crypto.tag(), crypto.suite()), (2, &Suite::F8_128HmacSha1_80));
        let [KeyParam::Inline(first), KeyParam::Inline(second)] = crypto.keys() else { panic!("two keys") };
        assert_eq!(
            (first.key.reveal().as_slice(), first.salt.reveal().as_slice()),
            (&b"123456789ABCDE01"[..], &b"23456789ABcdef"[..])
        );
        assert_eq!(first.lifetime.map(Lifetime::packets), Some(1_048_576));
        assert_eq!(
            (first.mki.as_ref().map(Mki::as_bytes), second.mki.as_ref().map(Mki::as_bytes)),
            (Some(&[0, 0, 0, 1][..]), Some(&[0, 0, 0, 2][..]))
        );
        assert_eq!(crypto.session(), [SessionParam::FecOrder(FecOrder::FecSrtp)]);
        let crypto = parse(EXAMPLES[3]);
        let KeyParam::Inline(other) = &crypto.keys()[0] else { panic!("a key") };
        assert_eq!((other.lifetime, other.mki.as_ref().map(Mki::as_bytes)), (None, Some(&[0, 0, 4, 42][..])));
    }

    #[test]
    fn each_suite_has_a_key_of_its_own_length() {
        let lengths = [30, 30, 30, 38, 38, 46, 46, 28, 44];

        for (suite, length) in Suite::KNOWN.into_iter().zip(lengths) {
            let ours = Crypto::new(7, suite.clone(), &MANY[..length]).unwrap();
            let line = text(&ours);
            assert_eq!(line, format!("7 {} inline:{}", suite.as_str(), Base64::encode_string(&MANY[..length])));
            assert_eq!(parse(&line), ours);
            for wrong in [length - 1, length + 1] {
                let key = Base64::encode_string(&MANY[..wrong]);
                let fault = CryptoFault::KeyLength { expected: length, found: wrong };
                assert_eq!(Crypto::new(7, suite.clone(), &MANY[..wrong]), Err(fault));
                let line = format!("7 {} inline:{key}", suite.as_str());
                assert_eq!(Crypto::parse(line.as_bytes()), Err(MalformedCrypto { at: 10 + suite.as_str().len(), what: fault }));
            }
        }
        assert_eq!(Crypto::new(1_000_000_000, Suite::AeadAes128Gcm, &MANY[..28]), Err(CryptoFault::Tag));
        assert_eq!(Crypto::new(1, Suite::Other(Private::new("X".into())), &MANY[..30]), Err(CryptoFault::Suite));
    }

    #[test]
    fn what_is_not_known_here_is_kept() {
        for line in [
            "1 SEED_128_GCM_96 inline:Zm9v|2^20|1:4;url:https://h.test/k X=1 -Y",
            "1 AES_CM_256_HMAC_SHA1_80 inline:anything|at|all|here",
            &format!("1 AES_CM_128_HMAC_SHA1_80 mikey:x=~{{}};{KEY}|1:1 -EXT=a,b;c NEW -EXT=2"),
        ] {
            assert_eq!(text(&parse(line)), line);
        }
        let session = parse("1 AEAD_AES_128_GCM x:y NEW -OLD UNENCRYPTED_SRTCP").session().to_vec();
        assert_eq!(session.iter().map(SessionParam::may_be_ignored).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn all_session_parameters_are_read() {
        let line = format!(
            "1 AES_CM_128_HMAC_SHA1_32 {KEY} KDR=24 UNENCRYPTED_SRTP UNENCRYPTED_SRTCP UNAUTHENTICATED_SRTP FEC_ORDER=SRTP_FEC \
             FEC_KEY={KEY}|7:2 WSH=64"
        );

        let crypto = parse(&line);

        assert_eq!(text(&crypto), line);
        let [kdr, srtp, srtcp, unauthenticated, order, SessionParam::FecKey(keys), window] = crypto.session() else {
            panic!("seven parameters")
        };
        assert_eq!((kdr, window), (&SessionParam::Kdr(24), &SessionParam::Wsh(64)));
        assert_eq!((srtp, srtcp), (&SessionParam::UnencryptedSrtp, &SessionParam::UnencryptedSrtcp));
        assert_eq!((unauthenticated, order), (&SessionParam::UnauthenticatedSrtp, &SessionParam::FecOrder(FecOrder::SrtpFec)));
        assert!(matches!(keys.as_slice(), [KeyParam::Inline(Inline { mki: Some(_), .. })]));
    }

    #[test]
    fn what_is_spelt_otherwise_is_printed_as_it_came() {
        let gcm = Base64::encode_string(&MANY[..28]);
        for (line, normal) in [
            (
                format!(" 01\tAES_CM_128_HMAC_SHA1_80  {KEY}|2^020|00007:04   KDR=05 "),
                format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20|7:4 KDR=5"),
            ),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1048576"), format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^20")),
            (format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|2^0"), format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1")),
            (format!("1 AEAD_AES_128_GCM inline:{}", gcm.trim_end_matches('=')), format!("1 AEAD_AES_128_GCM inline:{gcm}")),
        ] {
            let crypto = parse(&line);
            assert_eq!(text(&crypto), line);
            assert_eq!(crypto, parse(&normal));
            assert_eq!(text(&crypto.normal()), normal);
        }
    }

    #[test]
    fn an_mki_is_as_long_as_it_says() {
        let greatest = Mki(vec![0xff; 128]).to_string();
        assert_eq!(greatest.len(), MKI_DIGITS + ":128".len());
        for (said, bytes) in [("0:1", vec![0]), ("255:1", vec![255]), ("256:2", vec![1, 0]), (&greatest, vec![0xff; 128])] {
            let mki = Mki::parse(said.as_bytes()).unwrap();
            assert_eq!((mki.as_bytes(), mki.to_string().as_str()), (bytes.as_slice(), said));
        }
        let above = greatest.replacen("5", "6", 5);
        for said in ["256:1", "0:0", "1:129", "1:1000", "1:", ":1", "1", "-1:1", "+1:1", "1:1:1", &above] {
            assert_eq!(Mki::parse(said.as_bytes()), None, "{said}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_the_key() {
        let cases = [
            ("", 0, CryptoFault::Tag),
            ("1234567890 AEAD", 0, CryptoFault::Tag),
            (" +1 AEAD", 1, CryptoFault::Tag),
            ("1", 1, CryptoFault::Suite),
            ("1 AEAD-AES KEY", 2, CryptoFault::Suite),
            ("1 AES_CM_128_HMAC_SHA1_80 ", 26, CryptoFault::NoKey),
            ("1 AES_CM_128_HMAC_SHA1_80 inline", 26, CryptoFault::KeyInfo),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:", 26, CryptoFault::KeyInfo),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1:1;", 78, CryptoFault::KeyInfo),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1|1:1|1", 80, CryptoFault::KeyInfo),
            ("1 OTHER a:\u{e4}", 8, CryptoFault::KeyInfo),
            ("1 AES_CM_128_HMAC_SHA1_80 inline:PS1uQ*VeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR", 33, CryptoFault::Base64),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY=", 33, CryptoFault::Base64),
            ("1 AES_CM_128_HMAC_SHA1_80 KEYA", 33, CryptoFault::Base64),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|0", 74, CryptoFault::Lifetime),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|2^49", 74, CryptoFault::Lifetime),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|281474976710657", 74, CryptoFault::Lifetime),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|2^", 74, CryptoFault::Lifetime),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|", 74, CryptoFault::Lifetime),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1:1|1", 74, CryptoFault::Lifetime),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1|1", 76, CryptoFault::Mki),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1:1;KEY", 78, CryptoFault::MkiOfSeveral),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1:1;KEY|1:1", 78, CryptoFault::MkiOfSeveral),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY|1:1;KEY|2:2", 78, CryptoFault::MkiOfSeveral),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY KDR=25", 74, CryptoFault::SessionParam),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY KDR=001", 74, CryptoFault::SessionParam),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY WSH=63", 74, CryptoFault::SessionParam),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY FEC_ORDER=x", 74, CryptoFault::SessionParam),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY UNENCRYPTED_SRTP=1", 74, CryptoFault::SessionParam),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY --x", 74, CryptoFault::SessionParam),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY FEC_KEY=inline:PS1uQCVeeCFC", 89, CryptoFault::KeyLength { expected: 30, found: 9 }),
            ("1 AES_CM_128_HMAC_SHA1_80 KEY KDR=1 KDR=1", 80, CryptoFault::SaidTwice),
        ];

        for (line, at, what) in cases {
            let line = line.replace(" KEY", &format!(" {KEY}")).replace(";KEY", &format!(";{KEY}"));
            let error = Crypto::parse(line.as_bytes()).unwrap_err();
            assert_eq!((error.at, error.what), (at, what), "{line}");
            assert!(error.to_string().starts_with("a=crypto has ") && !error.to_string().contains("PS1u"), "{error}");
        }
        // Whose last character has bits beyond the last byte.
        let gcm = Base64::encode_string(&MANY[..28]);
        assert!(Crypto::parse(format!("1 AEAD_AES_128_GCM inline:{}", gcm.replace("QA==", "QB==")).as_bytes()).is_err());
    }

    #[test]
    fn a_line_as_long_as_a_datagram_is_read_in_its_own_time() {
        let many_keys: String = (0..1200).map(|mki| format!(";{KEY}|{mki}:2")).collect();
        let many_params = " X".repeat(32_000);

        // Compared each with each, these took a second.
        for line in [format!("1 AES_CM_128_HMAC_SHA1_80 {}", many_keys.trim_start_matches(';')), format!("1 X a:b{many_params}")]
        {
            assert_eq!(text(&parse(&line)), line);
        }
    }

    #[test]
    fn nothing_that_may_be_a_key_is_printed_by_debug() {
        let line = format!("1 AES_CM_128_HMAC_SHA1_80 {KEY}|1:1;x:{KEY} FEC_KEY={KEY} {KEY} -{KEY}");
        let shown = format!("{:?} {:?}", parse(&line), parse("1 PS1uQCVeeCFCanVm a:PS1uQCVeeCFCanVm PS1u"));

        assert!(!shown.contains("PS1u") && !shown.contains("61, 45, 110"), "{shown}");
    }

    const KEY: &str = "inline:PS1uQCVeeCFCanVmcjkpPywjNWhcYD0mXXtxaVBR";

    const MANY: [u8; 47] = [0x40; 47];

    fn parse(value: &str) -> Crypto {
        Crypto::parse(value.as_bytes()).unwrap()
    }

    fn text(crypto: &Crypto) -> String {
        String::from_utf8(crypto.to_value().to_vec()).unwrap()
    }
}
