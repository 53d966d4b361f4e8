//! The session keys of one protocol in one direction, and what they do with a packet: encrypt and tag it, check and decrypt it.
//!
//! Nothing here is a cipher of ours: AES, counter mode, HMAC, SHA-1 and GCM are RustCrypto's, and so are the comparisons of tags.

use aes::cipher::consts::{U12, U16};
use aes::{Aes128, Aes256};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ctr::cipher::{BlockCipherEncrypt, BlockSizeUser, InnerIvInit as _, StreamCipherCore as _};
use ctr::{CtrCore, flavors};
use hmac::{Hmac, KeyInit, Mac as _};
use sha1::Sha1;
use zeroize::{Zeroize as _, Zeroizing};

use crate::media::srtp::keying::{Keying, LONG_TAG, Method};
use crate::media::srtp::trailer::{Protocol, Trailer};

/// The session keys for one protocol. They are boxed, so that they lie in one place, which is wiped once nobody has them any more.
pub(super) enum Cipher {
    Cm128(Box<CounterMode<Aes128>>),
    Cm256(Box<CounterMode<Aes256>>),
    Gcm128(Box<Gcm<Aes128Gcm>>),
    Gcm256(Box<Gcm<Aes256Gcm>>),
}

/// A packet as it stands in its buffer, without what comes behind its text.
pub(super) struct Packet<'p> {
    pub(super) protocol: Protocol,
    pub(super) ssrc: u32,
    /// 48 bits of SRTP, 31 of SRTCP: with the SSRC, it must never come again under one key with other bytes.
    pub(super) index: u64,
    /// How much of the text is authenticated only.
    pub(super) header_len: usize,
    pub(super) text: &'p mut [u8],
}

impl Packet<'_> {
    /// What is authenticated behind the text: of SRTP the rollover counter, which is not sent; of SRTCP the E bit, set, and the index.
    fn ending(&self) -> [u8; 4] {
        let [_, _, r0, r1, r2, r3, i0, i1] = self.index.to_be_bytes();
        match self.protocol {
            Protocol::Rtp => [r0, r1, r2, r3],
            Protocol::Rtcp => [r2 | E_BIT, r3, i0, i1],
        }
    }

    /// The SSRC and the index as they enter each initialisation vector: at bytes 4 to 14 of 16 (RFC 3711 §4.1.1), and at bytes 2 to 12
    /// of 12 (RFC 7714 §8.1, §9.1).
    fn place(&self) -> [u8; 10] {
        let [s0, s1, s2, s3] = self.ssrc.to_be_bytes();
        let [_, _, r0, r1, r2, r3, i0, i1] = self.index.to_be_bytes();
        [s0, s1, s2, s3, r0, r1, r2, r3, i0, i1]
    }
}

/// Of the first byte behind an SRTCP packet's text: it is encrypted.
pub(super) const E_BIT: u8 = 0x80;

/// The packet is not from who has the key, or was changed on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forged;

impl Cipher {
    /// Derives the session keys of one protocol.
    pub(super) fn new(keying: &Keying, protocol: Protocol) -> Self {
        let master = Master { key: keying.key.reveal(), salt: keying.salt.reveal() };
        let tag = |rtp_tag| match protocol {
            Protocol::Rtp => rtp_tag,
            Protocol::Rtcp => LONG_TAG,
        };
        match keying.method {
            Method::Cm128 { rtp_tag } => Self::Cm128(Box::new(CounterMode::derive(&master, protocol, 16, tag(rtp_tag)))),
            Method::Cm256 { rtp_tag } => Self::Cm256(Box::new(CounterMode::derive(&master, protocol, 32, tag(rtp_tag)))),
            Method::Gcm128 => Self::Gcm128(Box::new(Gcm::derive(&master, protocol, 16))),
            Method::Gcm256 => Self::Gcm256(Box::new(Gcm::derive(&master, protocol, 32))),
        }
    }

    /// Returns what stands behind the text of each packet.
    pub(super) fn trailer(&self, protocol: Protocol, mki: usize) -> Trailer {
        match self {
            Self::Cm128(cm) => Trailer::counter_mode(protocol, mki, cm.tag),
            Self::Cm256(cm) => Trailer::counter_mode(protocol, mki, cm.tag),
            Self::Gcm128(_) | Self::Gcm256(_) => Trailer::gcm(protocol, mki, GCM_TAG),
        }
    }

    /// Encrypts a packet in place and writes its tag, of which `tag` has the length.
    pub(super) fn seal(&self, packet: Packet<'_>, tag: &mut [u8]) {
        match self {
            Self::Cm128(cm) => cm.seal(packet, tag),
            Self::Cm256(cm) => cm.seal(packet, tag),
            Self::Gcm128(gcm) => gcm.seal(packet, tag),
            Self::Gcm256(gcm) => gcm.seal(packet, tag),
        }
    }

    /// Decrypts a packet in place, once its tag is found right; before that, nothing is changed.
    pub(super) fn open(&self, packet: Packet<'_>, tag: &[u8]) -> Result<(), Forged> {
        match self {
            Self::Cm128(cm) => cm.open(packet, tag),
            Self::Cm256(cm) => cm.open(packet, tag),
            Self::Gcm128(gcm) => gcm.open(packet, tag),
            Self::Gcm256(gcm) => gcm.open(packet, tag),
        }
    }
}

/// AES in counter mode and HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1).
pub(super) struct CounterMode<C> {
    aes: C,
    /// As it is after the key and before the first byte.
    mac: Hmac<Sha1>,
    salt: [u8; CM_SALT],
    tag: usize,
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit> CounterMode<C> {
    fn derive(master: &Master<'_>, protocol: Protocol, key: usize, tag: usize) -> Self {
        let [encryption, authentication, salting] = labels(protocol);
        let mut auth = Zeroizing::new([0; AUTH_KEY]);
        derive::<C>(master.key, master.salt, authentication, auth.as_mut_slice());
        let mut salt = [0; CM_SALT];
        derive::<C>(master.key, master.salt, salting, &mut salt);
        let aes = master.session_key::<C, C>(encryption, key);
        Self::new(aes, &auth, salt, tag)
    }

    fn new(aes: C, auth: &[u8; AUTH_KEY], salt: [u8; CM_SALT], tag: usize) -> Self {
        let mac = Hmac::new_from_slice(auth).expect("a key of HMAC may have any length");
        Self { aes, mac, salt, tag }
    }

    fn seal(&self, packet: Packet<'_>, tag: &mut [u8]) {
        let (place, ending) = (packet.place(), packet.ending());
        if let Some(body) = packet.text.get_mut(packet.header_len..) {
            keystream(&self.aes, &self.salt, &place, body);
        }
        let whole = self.mac(packet.text, ending).finalize().into_bytes();
        tag.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    }

    fn open(&self, packet: Packet<'_>, tag: &[u8]) -> Result<(), Forged> {
        self.mac(packet.text, packet.ending()).verify_truncated_left(tag).map_err(|_| Forged)?;
        let place = packet.place();
        if let Some(body) = packet.text.get_mut(packet.header_len..) {
            keystream(&self.aes, &self.salt, &place, body);
        }
        Ok(())
    }

    fn mac(&self, text: &[u8], ending: [u8; 4]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(text);
        mac.update(&ending);
        mac
    }
}

/// AES-GCM (RFC 7714).
pub(super) struct Gcm<A> {
    aead: A,
    salt: [u8; GCM_SALT],
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit> Gcm<A> {
    /// The keys are derived by AES in counter mode of the same length (RFC 7714 §11).
    fn derive(master: &Master<'_>, protocol: Protocol, key: usize) -> Self
    where
        Self: Prf,
    {
        let [encryption, _, salting] = labels(protocol);
        let mut salt = [0; GCM_SALT];
        derive::<<Self as Prf>::Aes>(master.key, master.salt, salting, &mut salt);
        Self { aead: master.session_key::<<Self as Prf>::Aes, A>(encryption, key), salt }
    }

    #[cfg(test)]
    pub(super) const fn new(aead: A, salt: [u8; GCM_SALT]) -> Self {
        Self { aead, salt }
    }

    fn seal(&self, packet: Packet<'_>, tag: &mut [u8]) {
        let nonce = self.nonce(&packet);
        let ending = packet.ending();
        let protocol = packet.protocol;
        let Some((header, body)) = packet.text.split_at_mut_checked(packet.header_len) else { return };
        let beside = Beside::of(protocol, header, ending);
        let sealed = self.aead.encrypt_inout_detached(&nonce.into(), beside.as_slice(header), body.into());
        let whole = sealed.expect("a packet is shorter than 64 GiB");
        tag.copy_from_slice(&whole);
    }

    fn open(&self, packet: Packet<'_>, tag: &[u8]) -> Result<(), Forged> {
        let nonce = self.nonce(&packet);
        let ending = packet.ending();
        let protocol = packet.protocol;
        let (header, body) = packet.text.split_at_mut_checked(packet.header_len).ok_or(Forged)?;
        let beside = Beside::of(protocol, header, ending);
        let tag: &[u8; GCM_TAG] = tag.try_into().map_err(|_| Forged)?;
        self.aead.decrypt_inout_detached(&nonce.into(), beside.as_slice(header), body.into(), &(*tag).into()).map_err(|_| Forged)
    }

    fn nonce(&self, packet: &Packet<'_>) -> [u8; GCM_SALT] {
        let mut nonce = self.salt;
        nonce.iter_mut().skip(2).zip(packet.place()).for_each(|(byte, place)| *byte ^= place);
        nonce
    }
}

/// Which AES the keys of an AEAD are derived by.
pub(super) trait Prf {
    type Aes: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit;
}

impl Prf for Gcm<Aes128Gcm> {
    type Aes = Aes128;
}

impl Prf for Gcm<Aes256Gcm> {
    type Aes = Aes256;
}

/// What GCM authenticates beside the body: of SRTP the header, of SRTCP the header and the index (RFC 7714 §8.2, §9.2).
enum Beside {
    Header,
    HeaderAndIndex([u8; RTCP_HEADER + 4]),
}

/// Bytes of an SRTCP packet that are not encrypted: the first header and the SSRC (RFC 3711 §3.4).
pub(super) const RTCP_HEADER: usize = 8;

impl Beside {
    fn of(protocol: Protocol, header: &[u8], ending: [u8; 4]) -> Self {
        match protocol {
            Protocol::Rtp => Self::Header,
            Protocol::Rtcp => {
                let mut both = [0; RTCP_HEADER + 4];
                both.iter_mut().zip(header.iter().chain(&ending)).for_each(|(to, from)| *to = *from);
                Self::HeaderAndIndex(both)
            }
        }
    }

    const fn as_slice<'b>(&'b self, header: &'b [u8]) -> &'b [u8] {
        match self {
            Self::Header => header,
            Self::HeaderAndIndex(both) => both,
        }
    }
}

/// A master key with its salt.
struct Master<'k> {
    key: &'k [u8],
    salt: &'k [u8],
}

impl Master<'_> {
    /// Derives a session key by the function over `P`.
    fn session_key<P, C>(&self, label: u8, len: usize) -> C
    where
        P: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
        C: KeyInit,
    {
        let mut buffer = Zeroizing::new([0; 32]);
        let key = buffer.get_mut(..len).expect("no key is longer than 32 bytes");
        derive::<P>(self.key, self.salt, label, key);
        C::new_from_slice(key).expect("the length is the cipher's")
    }
}

/// Derives `out` from a master key and its salt (RFC 3711 §4.3): once for all packets, the key derivation rate being 0.
pub(super) fn derive<P>(key: &[u8], salt: &[u8], label: u8, out: &mut [u8])
where
    P: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit,
{
    // A salt of 96 bits is followed by 16 of zero (RFC 7714 §11).
    let mut x = Zeroizing::new([0; CM_SALT]);
    x.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
    let [.., place, _, _, _, _, _, _] = &mut *x;
    *place ^= label;
    let prf = P::new_from_slice(key).expect("the key has the length that the suite gives it");
    out.zeroize();
    keystream(&prf, &x, &[0; 10], out);
}

/// The labels of encryption key, authentication key and salt (RFC 3711 §4.3.1, §4.3.2).
const fn labels(protocol: Protocol) -> [u8; 3] {
    match protocol {
        Protocol::Rtp => [0, 1, 2],
        Protocol::Rtcp => [3, 4, 5],
    }
}

/// Adds the keystream of a place to the bytes: the salt and the place make the first counter (RFC 3711 §4.1.1).
pub(super) fn keystream<C>(aes: &C, salt: &[u8; CM_SALT], place: &[u8; 10], body: &mut [u8])
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>,
{
    let mut counter = [0; 16];
    counter.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
    counter.iter_mut().skip(4).zip(place).for_each(|(byte, place)| *byte ^= place);
    CtrCore::<&C, flavors::Ctr128BE>::inner_iv_init(aes, &counter.into()).apply_keystream_partial(body.into());
}

/// 112 bits.
const CM_SALT: usize = 14;

/// 96 bits.
const GCM_SALT: usize = 12;

/// 160 bits (RFC 3711 §8.2).
const AUTH_KEY: usize = 20;

/// 128 bits: shorter ones are not for SRTP (RFC 7714 §13.2).
pub(super) const GCM_TAG: usize = 16;
