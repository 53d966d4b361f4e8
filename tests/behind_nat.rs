//! A party whose media comes from elsewhere than its session description says: found where the operator allows it, and nobody else is.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test may panic, and it is the shell that writes a file and opens sockets"
)]

#[allow(dead_code, reason = "each file of tests uses its part")]
mod support;

use std::time::Duration;

use support::phone::{Mouth, Phone, call, every_20_ms, hang_up};
use support::site::{Site, policy};
use support::sound::alaw;

#[test]
fn a_caller_behind_nat_is_heard_told_and_recorded_where_the_pbx_is_to_be_learned() {
    let site = Site::new(policy("announce"));
    site.set("[pbx]", "latching = \"learn\"");
    let _proxy = site.start();
    let mut pbx = Phone::new(site.ports.pbx(), site.ports.proxy());
    let mut trunk = Phone::new(site.ports.trunk(), site.ports.proxy());
    let (a, b) = (*site.ports.pbx_media().start(), *site.ports.trunk_media().start());
    let call = call("nat", &mut pbx, &mut trunk, a, b);
    // The description says `a`; the NAT made another port of it.
    let (mut caller, mut callee, mut nobody) = (Mouth::new(a + 2), Mouth::new(b), Mouth::new(a));
    let mut forger = Mouth::new(a + 4);

    every_20_ms(125, |nth| {
        caller.says(call.caller_sends_to, &[0x11; 160]);
        callee.says(call.callee_sends_to, &[0x33; 160]);
        if nth >= 5 {
            forger.says(call.caller_sends_to, &[0x22; 160]);
        }
    });
    let patience = Duration::from_millis(200);
    let (by_callee, by_caller) = (callee.hears(patience), caller.hears(patience));
    let (by_nobody, by_forger) = (nobody.hears(patience), forger.hears(patience));
    hang_up(&call, &mut pbx, &mut trunk);

    let has = |heard: &[Vec<u8>], said: u8| heard.iter().filter(|payload| *payload == &[said; 160]).count();
    assert!(has(&by_callee, 0x11) >= 50, "the caller is heard after the announcement");
    assert!(has(&by_caller, 0x33) >= 50, "and hears");
    let announced = by_caller.iter().filter(|payload| payload.windows(2).any(|pair| pair[0] != pair[1])).count();
    assert!(announced >= 49, "and has heard the whole announcement, one second of it: {announced}");
    assert!(by_nobody.len() < 25, "where it says that it is, media goes until it was found: {}", by_nobody.len());
    assert_eq!((has(&by_callee, 0x22), by_forger.len()), (0, 0), "who comes after it is not heard, and hears nothing");
    site.metric_reaches("mitschnitt_media_strangers_packets_total", 120.0);
    let wav = site.export(&site.recorded());
    let said = |channel: usize, byte: u8| wav.channels[channel].iter().filter(|&&sample| sample == alaw(byte)).count();
    assert!(said(0, 0x11) > 8000, "more than a second of the caller is in the recording");
    assert_eq!(said(0, 0x22), 0, "and nothing of the forger");
}
