//! What holds of `media::srtp` for any bytes: no stranger's packet is opened or remembered, and what was sealed is opened as it was.
//!
//! The first byte says the suite, whether packets name their key, and what is changed on the way; the rest is the packet.

use mitschnitt::media::srtp::{Keying, NotSealed, Opener, Refused, Sealer};
use mitschnitt::time::Moment;
use mitschnitt::wire::rtp::Rtp;
use mitschnitt::wire::sdp::{Crypto, Suite};

/// Checks all properties with one packet.
pub(crate) fn check(data: &[u8]) {
    let Some((&choice, packet)) = data.split_first() else { return };
    let suite = SUITES.get(usize::from(choice) % SUITES.len()).expect("below its length");
    let rest = if choice & 0x80 == 0 { "" } else { "|7:4" };
    check_strangers(keying(suite, rest), packet);
    check_rtp(keying(suite, rest), packet, choice);
    check_rtcp(keying(suite, rest), packet, choice);
}

/// Nobody has the key: the packet is refused, stays as it is, and leaves no trace.
///
/// With a tag of 32 bits a stranger is right once in 2^32: that is what the suite promises, and more inputs than are ever tried.
fn check_strangers(keying: Keying, packet: &[u8]) {
    let mut opener = Opener::new(keying);
    let before = format!("{opener:?}");
    let mut bytes = packet.to_vec();
    let refused = [opener.open_rtp(&mut bytes, NOW).err(), opener.open_rtcp(&mut bytes, NOW).err()];
    assert!(refused.iter().all(Option::is_some), "it is authentic");
    assert_eq!((bytes.as_slice(), format!("{opener:?}")), (packet, before));
}

fn check_rtp(keying: Keying, packet: &[u8], choice: u8) {
    let (mut sealer, mut opener) = (Sealer::new(keying.clone()), Opener::new(keying));
    let mut buffer = with_room(packet);
    let mut sealed = match sealer.seal_rtp(&mut buffer, packet.len()) {
        Ok(sealed) => sealed.to_vec(),
        Err(NotSealed::Malformed) => return assert!(Rtp::parse(packet).is_none()),
        Err(other) => panic!("{other}"),
    };
    let rtp = Rtp::parse(packet).expect("only RTP is sealed");
    assert_eq!(sealed.get(..rtp.header_len()), packet.get(..rtp.header_len()), "the header is not encrypted");
    assert_eq!(sealer.seal_rtp(&mut with_room(packet), packet.len()).err(), Some(NotSealed::Repeated));

    let mut changed = changed(&sealed, choice);
    assert!(opener.open_rtp(&mut changed, NOW).is_err(), "it was changed");
    assert_eq!(opener.open_rtp(&mut sealed.clone(), NOW).as_deref(), Ok(packet));
    assert_eq!(opener.open_rtp(&mut sealed, NOW).err(), Some(Refused::Replayed));
}

fn check_rtcp(keying: Keying, packet: &[u8], choice: u8) {
    let (mut sealer, mut opener) = (Sealer::new(keying.clone()), Opener::new(keying));
    let mut buffer = with_room(packet);
    let mut sealed = match sealer.seal_rtcp(&mut buffer, packet.len()) {
        Ok(sealed) => sealed.to_vec(),
        Err(NotSealed::Malformed) => {
            return assert!(packet.len() < 8 || packet.first().is_some_and(|first| first >> 6 != 2));
        }
        Err(other) => panic!("{other}"),
    };
    let mut changed = changed(&sealed, choice);
    assert!(opener.open_rtcp(&mut changed, NOW).is_err(), "it was changed");
    assert_eq!(opener.open_rtcp(&mut sealed.clone(), NOW).as_deref(), Ok(packet));
    assert_eq!(opener.open_rtcp(&mut sealed, NOW).err(), Some(Refused::Replayed));
}

/// The packet with one bit changed, somewhere.
fn changed(sealed: &[u8], choice: u8) -> Vec<u8> {
    let mut changed = sealed.to_vec();
    let at = (usize::from(choice) * 31).checked_rem(changed.len()).unwrap_or(0);
    changed.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (choice % 8));
    changed
}

fn with_room(packet: &[u8]) -> Vec<u8> {
    [packet, &[0; Sealer::GROWTH_MAX]].concat()
}

fn keying(suite: &Suite, rest: &str) -> Keying {
    let (key, salt) = suite.lengths().expect("it is known");
    let line = Crypto::new(1, suite.clone(), &vec![0x5a; key + salt]).expect("it has its length").to_value();
    let line = [line.as_slice(), rest.as_bytes()].concat();
    Keying::of(&Crypto::parse(&line).expect("it is a line")).expect("it is done here")
}

const NOW: Moment = Moment::START;

const SUITES: [Suite; 6] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::Aes256CmHmacSha1_80,
    Suite::Aes256CmHmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];
