//! Fifty calls at once: none is lost, none is mixed up with another, each is recorded and verifies.
//!
//! `tests/lab.sh` does the same with four hundred and the lab's load generator, by hand.

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
use std::collections::HashMap;
use std::time::Duration;

use support::phone::{Call, Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Site, policy};
use support::until;

const CALLS: u32 = 50;
const FRAMES: u32 = 150;

#[test]
fn fifty_calls_at_once_lose_nothing_and_each_verifies() {
    let site = Site::new(policy("announce"));
    let _proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    // All calls of a side share one media port, as behind a PBX: the proxy tells them apart by its own ports.
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let calls: Vec<Call> = (0..CALLS).map(|n| call(&format!("lab{n}"), &mut pbx, &mut trunk, a, b)).collect();
    let (mut pbx_mouth, mut trunk_mouth) = (Mouth::new(a), Mouth::new(b));
    let begun = || site.metric("mitschnitt_vault_recordings_begun_total") >= f64::from(CALLS);
    until("all recordings to begin", Duration::from_secs(30), || begun().then_some(()));
    drop((pbx_mouth.hears(Duration::from_millis(300)), trunk_mouth.hears(Duration::from_millis(300))));

    every_20_ms(FRAMES, |frame| {
        for (n, call) in (0..).zip(&calls) {
            pbx_mouth.says(call.caller_sends_to, &says(n, frame));
            trunk_mouth.says(call.callee_sends_to, &says(n, frame));
        }
    });
    let heard = [pbx_mouth.hears(Duration::from_secs(1)), trunk_mouth.hears(Duration::from_secs(1))];
    for call in &calls {
        hang_up(call, &mut pbx, &mut trunk);
    }

    for (heard, side) in heard.iter().zip(["PBX", "trunk"]) {
        let mut times: HashMap<&[u8], u32> = HashMap::new();
        for payload in heard {
            *times.entry(payload).or_default() += 1;
        }
        let missing = (0..CALLS)
            .flat_map(|n| (0..FRAMES).map(move |frame| (n, frame)))
            .filter(|&(n, frame)| !times.contains_key(&says(n, frame)[..]));
        let missing: Vec<_> = missing.collect();
        assert!(
            missing.is_empty(),
            "the {side} misses {} of {} packets, for one (call, frame) {:?}",
            missing.len(),
            CALLS * FRAMES,
            missing[0]
        );
        assert!(times.values().all(|&times| times == 1), "the {side} gets packets twice");
    }
    for row in site.ledger(CALLS as usize) {
        assert_eq!(row["reason"], "recorded", "{row}");
        site.verify(row["recording"].as_str().expect("it has a recording"));
    }
}

/// Twenty milliseconds that say which call and which frame they are.
fn says(call: u32, frame: u32) -> Vec<u8> {
    let mut payload = vec![0x55; 160];
    payload[..4].copy_from_slice(&call.to_be_bytes());
    payload[4..8].copy_from_slice(&frame.to_be_bytes());
    payload
}
