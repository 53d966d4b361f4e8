//! The test vectors of RFC 3711 Appendix B, RFC 6188 §7 and RFC 7714 §16, §17; those of libsrtp are in `tests/srtp.rs`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use aes::{Aes128, Aes256};
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit as _};

use crate::media::srtp::cipher::{Cipher, GCM_TAG, Gcm, Packet, RTCP_HEADER, derive, keystream};
use crate::media::srtp::trailer::Protocol;

#[test]
fn counter_mode_makes_the_keystream_of_rfc_3711_b_2() {
    let aes = Aes128::new_from_slice(&hex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap();
    let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd");

    let stream = stream(&aes, &salt);

    assert_eq!(stream[0], "e03ead0935c95e80e166b16dd92b4eb4");
    assert_eq!(stream[1], "d23513162b02d0f72a43a2fe4a5f97ab");
    assert_eq!(stream[2], "41e95b3bb0a2e8dd477901e4fca894c0");
    assert_eq!(stream[0xfeff], "ec8cdf7398607cb0f2d21675ea9ea1e4");
    assert_eq!(stream[0xff00], "362b7c3c6773516318a077d7fc5073ae");
    assert_eq!(stream[0xff01], "6a2cc3787889374fbeb4c81b17ba6c44");
}

#[test]
fn counter_mode_makes_the_keystream_of_rfc_6188_7_1() {
    let aes = Aes256::new_from_slice(&hex("57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98")).unwrap();
    let salt = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd");

    let stream = stream(&aes, &salt);

    assert_eq!(stream[0], "92bdd28a93c3f52511c677d08b5515a4");
    assert_eq!(stream[1], "9da71b2378a854f67050756ded165bac");
    assert_eq!(stream[2], "63c4868b7096d88421b563b8c94c9a31");
    assert_eq!(stream[0xfeff], "cea518c90fd91ced9cbb18c078a54711");
    assert_eq!(stream[0xff00], "3dbc4814f4da5f00a08772b63c6a046d");
    assert_eq!(stream[0xff01], "6eb246913062a16891433e97dd01a57f");
}

#[test]
fn keys_are_derived_as_in_rfc_3711_b_3() {
    let (key, salt) = (hex("e1f97a0d3e018be0d64fa32c06de4139"), hex("0ec675ad498afeebb6960b3aabe6"));
    let derived = |label, len| {
        let mut out = vec![0; len];
        derive::<Aes128>(&key, &salt, label, &mut out);
        text(&out)
    };

    assert_eq!(derived(0, 16), "c61e7a93744f39ee10734afe3ff7a087");
    assert_eq!(derived(2, 14), "30cbbc08863d8c85d49db34a9ae1");
    assert_eq!(
        derived(1, 94),
        "cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef72270986371c10c9a369ac2f94a8c5fbcddd\
         c256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2"
    );
}

#[test]
fn keys_are_derived_as_in_rfc_6188_7_2() {
    let key = hex("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6");
    let salt = hex("3b04803de51ee7c96423ab5b78d2");
    let derived = |label, len| {
        let mut out = vec![0; len];
        derive::<Aes256>(&key, &salt, label, &mut out);
        text(&out)
    };

    assert_eq!(derived(0, 32), "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4");
    assert_eq!(derived(2, 14), "fa31791685ca444a9e07c6c64e93");
    assert_eq!(derived(1, 20), "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
}

#[test]
fn gcm_seals_the_srtp_packets_of_rfc_7714_16() {
    let plain = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
    let packet = Sample { protocol: Protocol::Rtp, ssrc: 0x5501_a0b2, index: 0xf17b, header_len: 12, plain };

    check(
        &gcm_128(),
        &packet,
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765e\
         e4390cce",
    );
    check(
        &gcm_256(),
        &packet,
        "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878\
         d7a76c13",
    );
}

#[test]
fn gcm_seals_the_srtcp_packets_of_rfc_7714_17() {
    let plain = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
    let packet = Sample { protocol: Protocol::Rtcp, ssrc: 0x4d61_7273, index: 0x5d4, header_len: RTCP_HEADER, plain };

    // Without the E bit and the index, `800005d4`, which come behind.
    check(
        &gcm_128(),
        &packet,
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5ab\
         f87245d9eade",
    );
    check(
        &gcm_256(),
        &packet,
        "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff\
         6f6cb26ac3be",
    );
}

/// A packet of a vector.
struct Sample {
    protocol: Protocol,
    ssrc: u32,
    index: u64,
    header_len: usize,
    plain: &'static str,
}

impl Sample {
    fn packet<'t>(&self, text: &'t mut [u8]) -> Packet<'t> {
        Packet { protocol: self.protocol, ssrc: self.ssrc, index: self.index, header_len: self.header_len, text }
    }
}

fn check(cipher: &Cipher, sample: &Sample, sealed: &str) {
    let mut bytes = hex(sample.plain);
    let mut tag = [0; GCM_TAG];
    cipher.seal(sample.packet(&mut bytes), &mut tag);
    assert_eq!(text(&bytes) + &text(&tag), sealed);

    cipher.open(sample.packet(&mut bytes), &tag).unwrap();
    assert_eq!(text(&bytes), sample.plain);
}

/// The key of the vectors counts from 0, and their salt is «Quid pro quo».
fn gcm_128() -> Cipher {
    let key: Vec<u8> = (0..16).collect();
    Cipher::Gcm128(Box::new(Gcm::new(Aes128Gcm::new_from_slice(&key).unwrap(), *b"Quid pro quo")))
}

fn gcm_256() -> Cipher {
    let key: Vec<u8> = (0..32).collect();
    Cipher::Gcm256(Box::new(Gcm::new(Aes256Gcm::new_from_slice(&key).unwrap(), *b"Quid pro quo")))
}

/// The blocks of a whole keystream, of SSRC and index 0.
fn stream<C>(aes: &C, salt: &[u8]) -> Vec<String>
where
    C: ctr::cipher::BlockCipherEncrypt + ctr::cipher::BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let mut body = vec![0; 0xff02 * 16];
    keystream(aes, salt.try_into().unwrap(), &[0; 10], &mut body);
    body.chunks(16).map(text).collect()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
