//! SRTP from its door: the packets of libsrtp, what is refused, rollover over long calls, and new keys in the midst of them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::time::Duration;

use mitschnitt::limits::{SRTP_OLD_KEY, SRTP_OLD_KEY_LATE, SRTP_REPLAY_WINDOW, SRTP_ROLLOVERS_MISSED, SRTP_SOURCES};
use mitschnitt::media::srtp::{Keying, NotSealed, Opener, Refused, Sealer};
use mitschnitt::time::Moment;
use mitschnitt::wire::rtp::{Header, Rtp};
use mitschnitt::wire::sdp::{Crypto, Suite};
use proptest::prelude::*;

// ── the bytes of libsrtp ────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn what_is_sealed_is_what_libsrtp_seals() {
    for stream in libsrtp() {
        let mut sealer = Sealer::new(stream.keying());
        // The first index of SRTCP is 0 (RFC 3711 §3.4); of libsrtp it is 1.
        for ssrc in [0xdeca_fbad, 0xcafe_f00d] {
            sealer.seal_rtcp(&mut with_room(&report(ssrc)), 28).unwrap();
        }
        for sample in &stream.samples {
            let mut buffer = with_room(&sample.plain);
            let sealed = match sample.kind {
                "rtp" => sealer.seal_rtp(&mut buffer, sample.plain.len()),
                "rtcp" => sealer.seal_rtcp(&mut buffer, sample.plain.len()),
                _ => continue,
            };
            assert_eq!(text(sealed.unwrap()), text(&sample.sealed), "{} {}", stream.line, sample.kind);
        }
    }
}

#[test]
fn what_libsrtp_sealed_is_opened() {
    for stream in libsrtp() {
        let mut opener = Opener::new(stream.keying());
        for sample in &stream.samples {
            let mut packet = sample.sealed.clone();
            let opened = match sample.kind {
                "rtp" => opener.open_rtp(&mut packet, NOW),
                "rtcp" => opener.open_rtcp(&mut packet, NOW),
                _ => continue,
            };
            assert_eq!(text(opened.unwrap()), text(&sample.plain), "{} {}", stream.line, sample.kind);
        }
    }
}

#[test]
fn rtcp_in_the_clear_is_refused_though_its_tag_is_right() {
    for stream in libsrtp() {
        let mut opener = Opener::new(stream.keying());
        let before = format!("{opener:?}");
        let clear = stream.samples.iter().find(|sample| sample.kind == "clear").unwrap();
        let mut packet = clear.sealed.clone();

        assert_eq!(opener.open_rtcp(&mut packet, NOW).unwrap_err(), Refused::Unencrypted, "{}", stream.line);
        assert_eq!((packet, format!("{opener:?}")), (clear.sealed.clone(), before));
    }
}

// ── what is refused ─────────────────────────────────────────────────────────────────────────────────────────────────

proptest! {
    #[test]
    fn what_is_sealed_is_opened_and_what_was_changed_is_not(
        suite in 0..SUITES.len(),
        mki in prop::sample::select(vec!["", "|1:1", "|7:4", "|258:128"]),
        flags in 0_u8..0x80,
        extension in 0_u16..20,
        (sequence, ssrc) in any::<(u16, u32)>(),
        payload in prop::collection::vec(any::<u8>(), 0..400),
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let keying = keying(&SUITES[suite], 1, mki);
        let mut sealer = Sealer::new(keying.clone());
        let mut opener = Opener::new(keying);
        let mut plain = rtp(ssrc, sequence, &[]);
        plain[0] = 0x80 | flags & 0x3f;
        plain.extend_from_slice(&vec![9; usize::from(flags & 0x0f) * 4]);
        if flags & 0x10 != 0 {
            plain.extend_from_slice(&[&[0xbe, 0xde][..], &extension.to_be_bytes(), &vec![3; usize::from(extension) * 4]].concat());
        }
        plain.extend_from_slice(&payload);
        let sealed = sealed_rtp(&mut sealer, &plain).unwrap();
        prop_assert!(sealed.len() <= plain.len() + Sealer::GROWTH_MAX);

        let mut changed = sealed.clone();
        let at = flip.index(sealed.len());
        changed[at] ^= 1 << bit;
        let before = (changed.clone(), format!("{opener:?}"));
        prop_assert!(opener.open_rtp(&mut changed, NOW).is_err());
        prop_assert_eq!((changed, format!("{opener:?}")), before, "nothing is changed by what is refused");

        let mut packet = sealed.clone();
        prop_assert_eq!(&*opener.open_rtp(&mut packet, NOW).unwrap(), &*plain);
        let mut again = sealed.clone();
        prop_assert_eq!(opener.open_rtp(&mut again, NOW).unwrap_err(), Refused::Replayed);
        prop_assert_eq!(again, sealed);
    }

    #[test]
    fn rtcp_is_opened_as_it_was_and_not_if_it_was_changed(
        suite in 0..SUITES.len(),
        mki in prop::sample::select(vec!["", "|7:4"]),
        body in prop::collection::vec(any::<u8>(), 0..200),
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let keying = keying(&SUITES[suite], 1, mki);
        let (mut sealer, mut opener) = (Sealer::new(keying.clone()), Opener::new(keying));
        let plain = [&[0x80, 200, 0, 6, 1, 2, 3, 4][..], &body].concat();
        let sealed = sealed_rtcp(&mut sealer, &plain).unwrap();

        let mut changed = sealed.clone();
        changed[flip.index(sealed.len())] ^= 1 << bit;
        let before = (changed.clone(), format!("{opener:?}"));
        prop_assert!(opener.open_rtcp(&mut changed, NOW).is_err());
        prop_assert_eq!((changed, format!("{opener:?}")), before);

        let mut packet = sealed.clone();
        prop_assert_eq!(&*opener.open_rtcp(&mut packet, NOW).unwrap(), &*plain);
        prop_assert_eq!(opened_rtcp(&mut opener, &sealed, NOW).unwrap_err(), Refused::Replayed);
    }

    #[test]
    fn no_bytes_are_taken_for_a_packet(
        suite in 0..SUITES.len(),
        mki in prop::sample::select(vec!["", "|7:4"]),
        mut packet in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut opener = Opener::new(keying(&SUITES[suite], 1, mki));
        if let Some(first) = packet.first_mut() {
            *first = *first & 0x3f | 0x80;
        }
        let before = (packet.clone(), format!("{opener:?}"));

        prop_assert!(opener.open_rtp(&mut packet, NOW).is_err());
        prop_assert!(opener.open_rtcp(&mut packet, NOW).is_err());
        prop_assert_eq!((packet, format!("{opener:?}")), before);
    }
}

#[test]
fn a_packet_of_any_length_is_refused_without_a_panic() {
    for suite in &SUITES {
        for mki in ["", "|1:128"] {
            let mut opener = Opener::new(keying(suite, 1, mki));
            let mut sealer = Sealer::new(keying(suite, 2, mki));
            for first in [0x80, 0x9f, 0xbf, 0x40] {
                for len in 0..200 {
                    let mut packet = [first; 200];
                    assert!(opener.open_rtp(&mut packet[..len], NOW).is_err());
                    assert!(opener.open_rtcp(&mut packet[..len], NOW).is_err());
                    // One without the room for what is added, and one that the buffer does not hold.
                    assert_eq!(sealer.seal_rtp(&mut packet[..len], len).unwrap_err(), NotSealed::NoRoom);
                    assert_eq!(sealer.seal_rtcp(&mut packet[..len], len + 1).unwrap_err(), NotSealed::NoRoom);
                }
            }
            let mut buffer = [0x9f; 400];
            assert_eq!(sealer.seal_rtp(&mut buffer, 100).unwrap_err(), NotSealed::Malformed, "its extension is 160 KiB long");
            assert_eq!(sealer.seal_rtcp(&mut buffer, 7).unwrap_err(), NotSealed::Malformed);
        }
    }
}

#[test]
fn srtcp_of_twelve_bytes_is_malformed() {
    for suite in &SUITES {
        let mut opener = Opener::new(keying(suite, 1, ""));
        let mut packet = [0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 0, 0, 0];

        assert_eq!(opener.open_rtcp(&mut packet, NOW).unwrap_err(), Refused::Malformed);
    }
}

#[test]
fn a_packet_that_names_another_key_is_refused() {
    let mut sealer = Sealer::new(keying(&Suite::AeadAes128Gcm, 1, "|1:4"));
    let mut opener = Opener::new(keying(&Suite::AeadAes128Gcm, 1, "|2:4"));

    let mut packet = sealed_rtp(&mut sealer, &rtp(1, 1, b"sound")).unwrap();

    assert_eq!(opener.open_rtp(&mut packet, NOW).unwrap_err(), Refused::KeyName);
}

#[test]
fn a_key_is_not_used_beyond_its_lifetime() {
    let keying = keying(&Suite::AesCm128HmacSha1_80, 1, "|3");
    let (mut sealer, mut longer) = (Sealer::new(keying.clone()), Sealer::new(self::keying(&Suite::AesCm128HmacSha1_80, 1, "")));
    let mut opener = Opener::new(keying);
    for sequence in 0..3 {
        let plain = rtp(u32::from(sequence), sequence, b"sound");
        let mut packet = sealed_rtp(&mut sealer, &plain).unwrap();
        sealed_rtp(&mut longer, &plain).unwrap();
        opener.open_rtp(&mut packet, NOW).unwrap();
        opener.open_rtcp(&mut sealed_rtcp(&mut sealer, &report(1)).unwrap(), NOW).unwrap();
        sealed_rtcp(&mut longer, &report(1)).unwrap();
    }

    assert_eq!(sealed_rtp(&mut sealer, &rtp(9, 9, b"sound")).unwrap_err(), NotSealed::Exhausted);
    assert_eq!(sealed_rtcp(&mut sealer, &report(1)).unwrap_err(), NotSealed::Exhausted);
    let mut packet = sealed_rtp(&mut longer, &rtp(9, 9, b"sound")).unwrap();
    assert_eq!(opener.open_rtp(&mut packet, NOW).unwrap_err(), Refused::Exhausted);
    let mut packet = sealed_rtcp(&mut longer, &report(1)).unwrap();
    assert_eq!(opener.open_rtcp(&mut packet, NOW).unwrap_err(), Refused::Exhausted);
}

#[test]
fn streams_are_bounded_and_a_forged_one_is_not_counted() {
    let bound = u32::try_from(SRTP_SOURCES).unwrap();
    let (mut sealer, mut opener) = pair(&Suite::AeadAes128Gcm);
    for ssrc in 0..1000 {
        let mut forged = [rtp(ssrc, 1, b"sound"), vec![0; 16]].concat();
        assert_eq!(opener.open_rtp(&mut forged, NOW).unwrap_err(), Refused::Tag);
    }
    for ssrc in 0..bound {
        let mut packet = sealed_rtp(&mut sealer, &rtp(ssrc, 1, b"sound")).unwrap();
        opener.open_rtp(&mut packet, NOW).unwrap();
    }

    assert_eq!(sealed_rtp(&mut sealer, &rtp(bound, 1, b"sound")).unwrap_err(), NotSealed::TooManySources);
    let mut other = Sealer::new(key(&Suite::AeadAes128Gcm, 1));
    let mut packet = sealed_rtp(&mut other, &rtp(bound, 1, b"sound")).unwrap();
    assert_eq!(opener.open_rtp(&mut packet, NOW).unwrap_err(), Refused::TooManySources);

    opener.succeed(key(&Suite::AeadAes128Gcm, 2), NOW);
    let mut other = Sealer::new(key(&Suite::AeadAes128Gcm, 2));
    let mut packet = sealed_rtp(&mut other, &rtp(bound, 1, b"sound")).unwrap();
    assert!(opener.open_rtp(&mut packet, NOW).is_ok(), "under another key nothing is lost by forgetting");
}

#[test]
fn no_sequence_number_is_sealed_twice() {
    let (mut sealer, _) = pair(&Suite::AeadAes128Gcm);
    let far = u16::try_from(SRTP_REPLAY_WINDOW).unwrap();
    sealed_rtp(&mut sealer, &rtp(1, 1000, b"sound")).unwrap();

    assert_eq!(sealed_rtp(&mut sealer, &rtp(1, 1000, b"other")).unwrap_err(), NotSealed::Repeated);
    assert_eq!(sealed_rtp(&mut sealer, &rtp(1, 1000 - far, b"other")).unwrap_err(), NotSealed::Repeated);
    assert!(sealed_rtp(&mut sealer, &rtp(1, 1000 - far + 1, b"other")).is_ok(), "late, and not sealed yet");
    assert!(sealed_rtp(&mut sealer, &rtp(2, 1000, b"other")).is_ok(), "of another stream");
}

// ── long calls ──────────────────────────────────────────────────────────────────────────────────────────────────────

/// 250,000 packets are 83 minutes at 20 ms: three or four rollovers, each with loss, reordering and duplicates on both ways.
#[test]
fn a_long_call_is_understood_over_several_rollovers() {
    for suite in [Suite::AesCm128HmacSha1_32, Suite::AeadAes256Gcm] {
        let (mut sealer, mut opener) = pair(&suite);
        let mut chance = Chance(u64::from(suite == Suite::AeadAes256Gcm) + 1);
        let mut on_the_way: Vec<(u64, Vec<u8>)> = Vec::new();
        let (mut opened, mut sent) = (0_u32, 0_u32);
        for nth in 0..250_000_u64 {
            // The stream comes to us in disorder, too: each packet changes its place with a later one at times.
            let nth = if nth % 64 < 8 { nth ^ 7 } else { nth };
            let sequence = u16::try_from((60_000 + nth) & 0xffff).unwrap();
            let plain = rtp(7, sequence, &nth.to_be_bytes());
            let sealed = sealed_rtp(&mut sealer, &plain).unwrap();
            if chance.below(20) == 0 {
                continue;
            }
            sent += 1;
            if chance.below(50) == 0 {
                on_the_way.push((chance.below(60), sealed.clone()));
            }
            on_the_way.push((chance.below(30), sealed));
            on_the_way.iter_mut().for_each(|(delay, _)| *delay = delay.saturating_sub(1));
            let (come, rest): (Vec<_>, Vec<_>) = on_the_way.into_iter().partition(|(delay, _)| *delay == 0);
            on_the_way = rest;
            for (_, mut packet) in come {
                match opener.open_rtp(&mut packet, NOW) {
                    Ok(plain) => {
                        let rtp = Rtp::parse(plain).unwrap();
                        let nth = u64::from_be_bytes(rtp.payload().try_into().unwrap());
                        assert_eq!(u64::from(rtp.sequence()), (60_000 + nth) & 0xffff, "it is the packet that it says");
                        opened += 1;
                    }
                    Err(refused) => assert_eq!(refused, Refused::Replayed, "only a duplicate is refused"),
                }
            }
        }
        assert!(opened + 100 > sent && opened <= sent, "{opened} of {sent}");
    }
}

#[test]
fn a_stream_is_understood_though_it_rolled_over_before_its_first_packet_came() {
    for suite in &SUITES {
        let (mut sealer, mut opener) = pair(suite);
        sealed_rtp(&mut sealer, &rtp(1, 65_530, b"lost")).unwrap();
        let mut first = sealed_rtp(&mut sealer, &rtp(1, 4, b"sound")).unwrap();
        let mut before = sealed_rtp(&mut sealer, &rtp(1, 65_534, b"late")).unwrap();
        let mut next = sealed_rtp(&mut sealer, &rtp(1, 5, b"sound")).unwrap();

        assert!(opener.open_rtp(&mut first, NOW).is_ok());
        assert!(opener.open_rtp(&mut before, NOW).is_ok());
        assert!(opener.open_rtp(&mut next, NOW).is_ok());
    }
}

#[test]
fn a_stream_that_rolled_over_more_often_without_us_is_not_understood_until_the_next_key() {
    let (mut sealer, mut opener) = pair(&Suite::AeadAes128Gcm);
    for _ in 0..=SRTP_ROLLOVERS_MISSED {
        for sequence in [5, 20_000, 40_000, 60_000] {
            sealed_rtp(&mut sealer, &rtp(1, sequence, b"lost")).unwrap();
        }
    }
    let mut first = sealed_rtp(&mut sealer, &rtp(1, 5, b"sound")).unwrap();

    assert_eq!(opener.open_rtp(&mut first, NOW).unwrap_err(), Refused::Tag);

    // A party that counts from 0 under each key.
    let mut sealer = Sealer::new(key(&Suite::AeadAes128Gcm, 2));
    opener.succeed(key(&Suite::AeadAes128Gcm, 2), NOW);
    let mut next = sealed_rtp(&mut sealer, &rtp(1, 6, b"sound")).unwrap();
    assert!(opener.open_rtp(&mut next, NOW).is_ok());
}

// ── new keys ────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_same_key_again_changes_nothing() {
    let (mut sealer, mut opener) = pair(&Suite::AeadAes128Gcm);
    let packet = sealed_rtp(&mut sealer, &rtp(1, 1, b"sound")).unwrap();
    opened_rtp(&mut opener, &packet, NOW).unwrap();

    sealer.succeed(key(&Suite::AeadAes128Gcm, 1));
    opener.succeed(key(&Suite::AeadAes128Gcm, 1), NOW);

    assert_eq!(sealed_rtp(&mut sealer, &rtp(1, 1, b"other")).unwrap_err(), NotSealed::Repeated);
    assert_eq!(opened_rtp(&mut opener, &packet, NOW).unwrap_err(), Refused::Replayed);
}

#[test]
fn packets_under_the_old_key_are_taken_until_shortly_after_the_first_under_the_new() {
    let (mut old, mut opener) = pair(&Suite::AesCm128HmacSha1_80);
    let mut new = Sealer::new(key(&Suite::AeadAes256Gcm, 2));
    let mut under_old = (0..).map(|sequence| sealed_rtp(&mut old, &rtp(1, sequence, b"of the old key")).unwrap());
    let at = |duration: Duration| NOW + duration;
    opener.succeed(key(&Suite::AeadAes256Gcm, 2), NOW);

    let changeover = SRTP_OLD_KEY_LATE * 5;
    assert!(opener.open_rtp(&mut under_old.next().unwrap(), at(changeover)).is_ok(), "the peer has not changed over");
    let mut first = sealed_rtp(&mut new, &rtp(1, 9, b"new")).unwrap();
    assert!(opener.open_rtp(&mut first, at(changeover)).is_ok());
    let late = at(changeover + SRTP_OLD_KEY_LATE);
    let just = at(changeover + SRTP_OLD_KEY_LATE - Duration::from_millis(1));
    let overtaken = under_old.next().unwrap();
    assert!(opened_rtp(&mut opener, &overtaken, just).is_ok(), "it was overtaken");
    assert_eq!(opened_rtp(&mut opener, &overtaken, just).unwrap_err(), Refused::Replayed);
    assert_eq!(opener.open_rtp(&mut under_old.next().unwrap(), late).unwrap_err(), Refused::Tag);
}

#[test]
fn the_old_key_ends_though_nothing_comes_under_the_new() {
    let (mut old, mut opener) = pair(&Suite::AesCm128HmacSha1_80);
    opener.succeed(key(&Suite::AesCm128HmacSha1_80, 2), NOW);
    let just = NOW + (SRTP_OLD_KEY - Duration::from_millis(1));

    let mut packet = sealed_rtp(&mut old, &rtp(1, 1, b"sound")).unwrap();
    assert!(opener.open_rtp(&mut packet, just).is_ok());
    let mut packet = sealed_rtp(&mut old, &rtp(1, 2, b"sound")).unwrap();
    assert_eq!(opener.open_rtp(&mut packet, NOW + SRTP_OLD_KEY).unwrap_err(), Refused::Tag);
}

#[test]
fn a_new_key_is_understood_whether_its_sender_counts_on_or_anew() {
    for suite in &SUITES {
        for counts_on in [true, false] {
            let (mut sealer, mut opener) = pair(suite);
            for sequence in [40_000, 65_535, 20_000, 40_000, 65_535, 3] {
                opener.open_rtp(&mut sealed_rtp(&mut sealer, &rtp(1, sequence, b"sound")).unwrap(), NOW).unwrap();
            }
            opener.succeed(key(suite, 2), NOW);
            if counts_on {
                sealer.succeed(key(suite, 2));
            } else {
                sealer = Sealer::new(key(suite, 2));
            }

            for sequence in [4, 5, 30_000, 60_000, 1] {
                let mut packet = sealed_rtp(&mut sealer, &rtp(1, sequence, b"sound")).unwrap();
                assert!(opener.open_rtp(&mut packet, NOW).is_ok(), "{suite:?} {counts_on} {sequence}");
            }
        }
    }
}

#[test]
fn rtcp_counts_on_under_a_new_key() {
    let (mut sealer, mut opener) = pair(&Suite::AesCm128HmacSha1_80);
    sealed_rtcp(&mut sealer, &report(1)).unwrap();
    sealer.succeed(key(&Suite::AesCm128HmacSha1_80, 2));
    opener.succeed(key(&Suite::AesCm128HmacSha1_80, 2), NOW);

    let packet = sealed_rtcp(&mut sealer, &report(1)).unwrap();

    assert_eq!(packet[28..32], [0x80, 0, 0, 1]);
    assert!(opened_rtcp(&mut opener, &packet, NOW).is_ok());
}

#[test]
fn the_key_before_the_last_is_not_opened_anew() {
    let (mut first, mut opener) = pair(&Suite::AeadAes128Gcm);
    let packet = sealed_rtp(&mut first, &rtp(1, 1, b"sound")).unwrap();
    opened_rtp(&mut opener, &packet, NOW).unwrap();

    opener.succeed(key(&Suite::AeadAes128Gcm, 2), NOW);
    opener.succeed(key(&Suite::AeadAes128Gcm, 1), NOW);

    assert_eq!(opened_rtp(&mut opener, &packet, NOW).unwrap_err(), Refused::Replayed);
    let mut second = Sealer::new(key(&Suite::AeadAes128Gcm, 2));
    assert!(opener.open_rtp(&mut sealed_rtp(&mut second, &rtp(1, 2, b"sound")).unwrap(), NOW).is_ok());
}

#[test]
fn one_key_with_shorter_tags_is_no_new_one() {
    let (mut sealer, mut opener) = pair(&Suite::AesCm128HmacSha1_80);
    let packet = sealed_rtp(&mut sealer, &rtp(1, 1, b"sound")).unwrap();
    opened_rtp(&mut opener, &packet, NOW).unwrap();

    sealer.succeed(key(&Suite::AesCm128HmacSha1_32, 1));
    opener.succeed(key(&Suite::AesCm128HmacSha1_32, 1), NOW);

    let shorter = packet.len() - 6;
    assert_eq!(opened_rtp(&mut opener, &packet[..shorter], NOW).unwrap_err(), Refused::Replayed);
    assert_eq!(sealed_rtp(&mut sealer, &rtp(1, 1, b"other")).unwrap_err(), NotSealed::Repeated);
    assert!(opener.open_rtp(&mut sealed_rtp(&mut sealer, &rtp(1, 2, b"other")).unwrap(), NOW).is_ok());
}

#[test]
fn no_key_is_printed() {
    let (sealer, opener) = pair(&Suite::AesCm128HmacSha1_80);

    let other = (Sealer::new(key(&Suite::AesCm128HmacSha1_80, 2)), Opener::new(key(&Suite::AesCm128HmacSha1_80, 2)));

    assert_eq!(format!("{:?}", (sealer, opener)), format!("{other:?}"));
}

// ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const NOW: Moment = Moment::from_millis(1_000);

const SUITES: [Suite; 6] = [
    Suite::AesCm128HmacSha1_80,
    Suite::AesCm128HmacSha1_32,
    Suite::Aes256CmHmacSha1_80,
    Suite::Aes256CmHmacSha1_32,
    Suite::AeadAes128Gcm,
    Suite::AeadAes256Gcm,
];

fn pair(suite: &Suite) -> (Sealer, Opener) {
    (Sealer::new(key(suite, 1)), Opener::new(key(suite, 1)))
}

fn key(suite: &Suite, seed: u8) -> Keying {
    keying(suite, seed, "")
}

/// A key from a seed, and what stands behind it in the line.
fn keying(suite: &Suite, seed: u8, rest: &str) -> Keying {
    let (key, salt) = suite.lengths().unwrap();
    let master: Vec<u8> = (0..key + salt).map(|nth| u8::try_from(nth).unwrap() ^ seed.wrapping_mul(0x5d)).collect();
    read(suite, &master, rest)
}

fn read(suite: &Suite, master: &[u8], rest: &str) -> Keying {
    let line = Crypto::new(1, suite.clone(), master).unwrap().to_value();
    let line = [&line[..], rest.as_bytes()].concat();
    Keying::of(&Crypto::parse(&line).unwrap()).unwrap()
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let header = Header { payload_type: 8, marker: false, sequence, timestamp: u32::from(sequence) * 160, ssrc };
    [&header.to_bytes(), payload].concat()
}

/// A sender report without blocks.
fn report(ssrc: u32) -> Vec<u8> {
    [&[0x80, 200, 0, 6][..], &ssrc.to_be_bytes(), &[5; 20]].concat()
}

fn with_room(packet: &[u8]) -> Vec<u8> {
    [packet, &[0xaa; Sealer::GROWTH_MAX]].concat()
}

fn sealed_rtp(sealer: &mut Sealer, plain: &[u8]) -> Result<Vec<u8>, NotSealed> {
    sealer.seal_rtp(&mut with_room(plain), plain.len()).map(|packet| packet.to_vec())
}

fn sealed_rtcp(sealer: &mut Sealer, plain: &[u8]) -> Result<Vec<u8>, NotSealed> {
    sealer.seal_rtcp(&mut with_room(plain), plain.len()).map(|packet| packet.to_vec())
}

fn opened_rtp(opener: &mut Opener, sealed: &[u8], now: Moment) -> Result<Vec<u8>, Refused> {
    opener.open_rtp(&mut sealed.to_vec(), now).map(|packet| packet.to_vec())
}

fn opened_rtcp(opener: &mut Opener, sealed: &[u8], now: Moment) -> Result<Vec<u8>, Refused> {
    opener.open_rtcp(&mut sealed.to_vec(), now).map(|packet| packet.to_vec())
}

/// One stream of `tests/srtp/vectors.txt`.
struct Stream {
    line: &'static str,
    samples: Vec<Sample>,
}

struct Sample {
    kind: &'static str,
    plain: Vec<u8>,
    sealed: Vec<u8>,
}

impl Stream {
    fn keying(&self) -> Keying {
        let words: Vec<&str> = self.line.split(' ').collect();
        let suite = SUITES.into_iter().find(|suite| suite.as_str() == words[1]).unwrap();
        let mki = if words[3] == "-" {
            String::new()
        } else {
            format!("|{}:{}", u32::from_str_radix(words[3], 16).unwrap(), words[3].len() / 2)
        };
        read(&suite, &hex(words[2]), &mki)
    }
}

fn libsrtp() -> Vec<Stream> {
    let mut streams: Vec<Stream> = Vec::new();
    for line in include_str!("srtp/vectors.txt").lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["#", ..] => {}
            ["suite", ..] => streams.push(Stream { line, samples: Vec::new() }),
            [kind, plain, sealed] => {
                let sample = Sample { kind, plain: hex(plain), sealed: hex(sealed) };
                streams.last_mut().unwrap().samples.push(sample);
            }
            _ => panic!("{line}"),
        }
    }
    let has = |stream: &Stream, kind| stream.samples.iter().any(|sample| sample.kind == kind);
    assert_eq!(streams.len(), 12, "six suites, each without and with an MKI");
    assert!(streams.iter().all(|stream| ["rtp", "rtcp", "clear"].into_iter().all(|kind| has(stream, kind))), "each with all");
    streams
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A xorshift generator: the same disorder each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
