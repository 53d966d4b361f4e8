//! Keys by their tones, where neither party takes telephone-events.
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "samples are small")]

use mitschnitt::sound::g711::encode_alaw;

use super::*;

#[test]
fn a_key_is_heard_once_and_told_as_what_it_is() {
    let mut lab = Lab::without_events();

    lab.sounds(Leg::Trunk, 0, &[silence(400), key_one(100), silence(400), key_one(200), silence(400)].concat());

    assert_eq!(lab.digits, [(Leg::Trunk, Digit::from_char('1').unwrap()); 2]);
    assert_eq!(lab.hows, [How::KeyBySound; 2]);
    assert_eq!(lab.sent.len(), 75, "and every packet goes on");
}

#[test]
fn where_telephone_events_are_taken_nobody_listens_for_tones() {
    let mut lab = Lab::answered();

    lab.sounds(Leg::Trunk, 0, &[silence(400), key_one(200), silence(400)].concat());

    assert_eq!((lab.digits.len(), lab.plane.carried(ID).legs[1].withheld), (0, 0));
}

#[test]
fn a_key_that_is_heard_is_not_kept() {
    let mut lab = Lab::without_events();
    let permit = lab.permit_of_another_bridge();
    lab.order(Order::Record { id: ID, permit });
    lab.run(1000);

    lab.sounds(Leg::Trunk, 0, &[silence(410), key_one(200), silence(410)].concat());

    let loud = |kept: &&Kept| kept.bytes[12..].iter().any(|&code| code != encode_alaw(0));
    let of_key = lab.kept.iter().filter(loud).count();
    let withheld = lab.plane.carried(ID).legs[1].withheld;
    assert!(of_key <= 3, "{of_key} packets of 20 ms of the key, the first of which begins within it");
    assert!((8..=12).contains(&withheld), "{withheld}");
    assert_eq!(lab.kept.len() as u64 + withheld, lab.plane.carried(ID).legs[1].packets);
}

#[test]
fn a_packet_that_comes_twice_or_late_is_listened_to_once() {
    let mut lab = Lab::without_events();
    let sound = [silence(400), key_one(100), silence(400)].concat();
    for (nth, payload) in (0..).zip(sound.chunks(160)) {
        let bytes = [&audio(1, nth, u32::from(nth) * 160).to_bytes()[..], payload].concat();
        for _ in 0..3 {
            lab.receive(PORTS[1].rtp, at(TRUNK), &bytes);
        }
    }

    assert_eq!(lab.digits.len(), 1);
}

#[test]
fn a_key_among_the_payloads_of_a_packet_with_redundancy_is_told_and_not_kept() {
    let mut lab = Lab::new();
    lab.bridge(ID, PORTS, Content::Audio);
    let event = PayloadFormat { payload_type: 101, payload: Payload::TelephoneEvent };
    let red = PayloadFormat { payload_type: 97, payload: Payload::Redundant { clock: 8000 } };
    for (leg, rtp) in [(Leg::Pbx, PBX), (Leg::Trunk, TRUNK)] {
        lab.describe(leg, Remote { formats: vec![speech(8, Codec::Pcma), event, red], ..remote(rtp) });
    }
    let permit = lab.permit_of_another_bridge();
    lab.order(Order::Record { id: ID, permit });
    lab.run(1000);
    let redundant = |nth, payload: &[u8]| {
        let header = Header { payload_type: 97, ..audio(1, nth, u32::from(nth) * 160) };
        [&header.to_bytes()[..], payload].concat()
    };

    // Sound and the sound before it; the key 5 and sound before it; sound, and the key before it.
    for (nth, payload) in [
        (1, &[0x88, 0, 0, 2, 8, 1, 1, 2, 2][..]),
        (2, &[0x88, 0, 0, 2, 101, 1, 1, 5, 10, 0, 160]),
        (3, &[0xe5, 0, 0, 4, 8, 5, 0x8a, 0, 160, 2, 2]),
    ] {
        lab.receive(PORTS[1].rtp, at(TRUNK), &redundant(nth, payload));
    }

    assert_eq!(lab.digits, [(Leg::Trunk, Digit::from_char('5').unwrap())]);
    assert_eq!(lab.kept.iter().map(|kept| kept.bytes[3]).collect::<Vec<_>>(), [1], "what has a key in it is not kept");
    assert_eq!((lab.sent.len(), lab.plane.carried(ID).legs[1].withheld), (3, 2), "and all of it goes on");
}

impl Lab {
    fn without_events() -> Self {
        let mut lab = Self::new();
        lab.bridge(ID, PORTS, Content::Audio);
        for (leg, rtp) in [(Leg::Pbx, PBX), (Leg::Trunk, TRUNK)] {
            lab.describe(leg, Remote { formats: vec![speech(8, Codec::Pcma)], ..remote(rtp) });
        }
        lab
    }

    /// Says this in packets of 20 ms.
    fn sounds(&mut self, leg: Leg, first: u16, sound: &[u8]) {
        for (nth, payload) in (first..).zip(sound.chunks_exact(160)) {
            let bytes = [&audio(1, nth, u32::from(nth) * 160).to_bytes()[..], payload].concat();
            self.receive(PORTS[leg.index()].rtp, at(if leg == Leg::Pbx { PBX } else { TRUNK }), &bytes);
            self.run(20);
        }
    }
}

/// The key 1 for so long, in A-law.
fn key_one(ms: usize) -> Vec<u8> {
    let wave = |hertz: f64, n: usize| (std::f64::consts::TAU * hertz * n as f64 / 8000.0).sin();
    (0..ms * 8).map(|n| encode_alaw((4000.0 * (wave(697.0, n) + wave(1209.0, n))) as i16)).collect()
}

fn silence(ms: usize) -> Vec<u8> {
    vec![encode_alaw(0); ms * 8]
}
