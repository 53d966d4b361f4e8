//! What root finds in the memory of the running proxy: nothing that opens what is stored, and nothing of a call that is over.

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

use std::time::{Duration, Instant};

use support::image::{Image, Needle};
use support::pair::{Pair, Talk, sound_sent};
use support::schedule::{self, Schedule, chunks_in};
use support::site::{Site, policy};
use support::{A_WHILE, until};

#[test]
fn an_image_of_the_running_process_opens_no_chunk_that_is_stored() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let talk = Pair::new(&site);
    let talk = (talk.recorded_call(&site, 1.0), talk);
    let [rec] = site.recordings().try_into().unwrap();
    let id = rec.file_stem().unwrap().to_str().unwrap().to_owned();
    let schedule = Schedule::of(&site, &id);

    for chunks in [3, 4, 6] {
        until("some chunks", A_WHILE, || (chunks_in(&rec) >= chunks).then_some(()));
        let (image, stored) = Image::of(&proxy, || chunks_in(&rec));

        assert!(image.bytes() > 1 << 20, "a process has more than a megabyte: {} bytes", image.bytes());
        let next = schedule.state(stored);
        assert!(
            !image.holds(&[next]).is_empty(),
            "the search finds what is there: the state of chunk {stored}, which comes next"
        );
        assert_eq!(image.holds(&schedule.below(stored)), [""; 0], "{stored} chunks are stored");
    }
    talk.0.caller_hangs_up();
}

#[test]
fn after_the_call_the_process_holds_none_of_its_keys_and_nothing_of_what_was_said() {
    let site = Site::new(policy("announce"));
    let proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.recorded_call(&site, 1.0);
    talk.each_is_heard(75);
    let [rec] = site.recordings().try_into().unwrap();
    let id = rec.file_stem().unwrap().to_str().unwrap().to_owned();
    let schedule = Schedule::of(&site, &id);

    talk.caller_hangs_up();
    talk.both().into_iter().for_each(|call| call.line().unwrap().say_nothing());
    let over = Instant::now();
    site.recorded();
    // What is promised is a second.
    until("a second", A_WHILE, || (over.elapsed() > Duration::from_secs(1)).then_some(()));
    let (image, chunks) = Image::of(&proxy, || chunks_in(&rec));

    assert!(chunks >= 4, "{chunks}");
    assert_eq!(image.holds(&schedule.below(chunks + 1)), [""; 0]);
    let said = frames(&talk);
    assert!(said.len() > 300, "1.5 s of two parties: {}", said.len());
    assert_eq!(image.holds(&said), [""; 0]);
}

#[test]
fn what_is_looked_for_is_what_the_ciphers_have_in_memory() {
    schedule::known_answers();
}

/// What both have said, as A-law: of each frame of 20 ms its beginning, its middle and its end.
fn frames(talk: &Talk) -> Vec<Needle> {
    let frames = talk.legs().into_iter().flat_map(|(leg, call)| {
        sound_sent(call).into_iter().flat_map(move |sent| {
            [0, 64, 128].map(|at| Needle::new(format!("{leg}, frame {}, octet {at}", sent.sequence), &sent.payload[at..at + 32]))
        })
    });
    // Silence is everywhere.
    frames.filter(|needle| needle.bytes.iter().any(|octet| *octet != needle.bytes[0])).collect()
}
