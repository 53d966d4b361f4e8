//! A recording that the program made, opened by a reader that was written from the format alone: the same packets as were sent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that starts, waits, reads and listens"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use mitschnitt::demo::Heard;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::pair::{Pair, Talk, hears_announced, is_sound, recordings_begun};
use support::reader;
use support::site::{Site, policy};

#[test]
fn the_second_reader_gets_every_packet_that_was_sent_after_consent_and_none_from_before() {
    let (site, talk, id) = recorded(|talk| {
        talk.each_is_heard(100);
        talk.both_fall_silent();
    });

    let opened = reader::open(&site, &id);

    assert_eq!((opened.verdict.as_str(), opened.code), ("complete", Some(0)));
    for (leg, mouth, ears) in [("pbx", &talk.out, &talk.into), ("trunk", &talk.into, &talk.out)] {
        let run = opened.run(leg, mouth);
        assert_eq!(run.missing().len(), 0, "{leg}: to its end nothing is missing");
        // What the other side heard was sent after its announcement; both announcements end within a packet's length, and consent is
        // complete a moment later. Ten packets are a margin for two loaded cores.
        let heard = ears.line().unwrap().heard();
        let passed = run.sent.iter().position(|sent| is_sound(&sent.payload) && is_among(&sent.payload, &heard)).unwrap();
        let begin = run.begin;
        assert!((passed..passed + 10).contains(&begin), "{leg}: heard from packet {passed} on, recorded from {begin} on");
    }
}

#[test]
fn both_readers_say_that_it_is_complete_and_count_the_same_packets() {
    let (site, _talk, id) = recorded(|talk| talk.each_is_heard(25));

    let theirs = reader::verify(&site, &id);
    let key = site.recipient_secret();
    let ours = site.cli(&["recordings", "verify", &id, "--key", key.to_str().unwrap()]).must_succeed();

    assert_eq!(theirs, ("complete".to_owned(), Some(0)));
    assert!(ours.out.contains("complete") && ours.out.contains("content are good"), "{}", ours.out);
    let (opened, row) = (reader::open(&site, &id), site.ledger(1).remove(0));
    for (nth, leg) in ["pbx", "trunk"].into_iter().enumerate() {
        let count = Some(opened.packets(leg).len() as u64);
        assert_eq!((row["packets"][leg].as_u64(), opened.only("end")["legs"][nth]["packets"].as_u64()), (count, count), "{leg}");
    }
    assert_eq!((&row["gaps"], &row["lost"]), (&0.into(), &0.into()), "{row}");
}

#[test]
fn a_key_that_was_pressed_is_not_in_it_but_counted() {
    let (site, talk, id) = recorded(|talk| {
        talk.each_is_heard(25);
        assert!(talk.into.line().unwrap().press('5'));
        talk.each_is_heard(25);
        talk.both_fall_silent();
    });

    let opened = reader::open(&site, &id);

    let keys = talk.into.line().unwrap().sent().into_iter().filter(|sent| sent.payload_type == 101).count();
    assert_eq!(keys, 7, "a key of 100 ms is five packets, and the last twice more");
    let missing = opened.run("trunk", &talk.into).missing().len();
    assert_eq!(missing, 0, "all sound is there, before the key and after it");
    assert_eq!(opened.only("end")["legs"][1]["withheld"], 7, "{}", opened.only("end"));
}

#[test]
fn the_evidence_names_the_announcement_as_each_party_heard_it() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.call();
    // Whoever is silent hears nothing but the announcement that is more than silence.
    talk.both().into_iter().for_each(|call| hears_announced(call, 50));
    recordings_begun(&site, 1.0);
    talk.goes_on_and_ends();
    let id = site.recorded();

    let opened = reader::open(&site, &id);

    let evidence: Value = serde_json::from_str(opened.only("evidence")["json"].as_str().unwrap()).unwrap();
    let file: String =
        Sha256::digest(std::fs::read(site.announcement()).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(opened.records[0]["record"], "evidence", "it stands first");
    for (leg, call) in talk.legs() {
        let told = evidence["announcements"].as_array().unwrap().iter().find(|told| told["to"] == leg).unwrap();
        let heard = call.line().unwrap().heard();
        let heard: Vec<_> = heard.iter().filter(|heard| is_sound(&heard.payload)).take(50).map(|heard| &heard.header).collect();
        let (first, last) = (heard[0], heard[49]);
        assert_eq!((&told["sha256"], &told["packets"]), (&file.as_str().into(), &50.into()), "{leg}: {told}");
        assert_eq!(told["ssrc"], first.ssrc, "{leg}: {told}");
        assert_eq!(
            (&told["first_sequence"], &told["last_sequence"]),
            (&first.sequence_number.into(), &last.sequence_number.into())
        );
        assert_eq!((&told["first_timestamp"], &told["last_timestamp"]), (&first.timestamp.into(), &last.timestamp.into()));
    }
}

/// One recorded call: both speak from the answer on, under the announcement too; once it is recorded it `goes` on, and the caller hangs up.
fn recorded(goes: impl FnOnce(&Talk)) -> (Site, Talk, String) {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.recorded_call(&site, 1.0);
    goes(&talk);
    talk.caller_hangs_up();
    let id = site.recorded();
    (site, talk, id)
}

fn is_among(payload: &[u8], heard: &[Heard]) -> bool {
    heard.iter().any(|heard| *heard.payload == *payload)
}
