//! The node's key in a token (SoftHSM): made there, signing from there, and what becomes of recordings when the token is gone.

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

use std::fs;

use support::pair::Pair;
use support::reader;
use support::site::{Site, policy};
use support::softhsm::SoftHsm;
use support::{A_WHILE, until};

#[test]
fn a_recording_that_a_token_signs_is_as_good_as_any() {
    let (site, _hsm) = site_with_token();
    let again = site.json(&["keys", "generate"]);
    assert!(again.iter().all(|key| key["made"] == false), "it is kept: {again:?}");
    let checked = site.cli(&["check"]).must_succeed().out;
    assert!(checked.contains("pkcs11:token=node;object=signer"), "{checked}");

    let proxy = site.start();
    Pair::new(&site).recorded_call(&site, 1.0).goes_on_and_ends();

    let id = site.recorded();
    assert_eq!(reader::verify(&site, &id), ("complete".to_owned(), Some(0)));
    drop(proxy);
    site.cli(&["audit", "verify"]).must_succeed();
    assert!(!site.node_key().exists() && !site.data().join("node.pem").exists(), "no private half lies in a file");
}

#[test]
fn while_the_token_is_gone_calls_go_on_and_their_recordings_are_signed_when_it_is_back() {
    let (site, hsm) = site_with_token();
    let proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.recorded_call(&site, 1.0);

    hsm.is_pulled_out();
    talk.goes_on_and_ends();
    site.metric_reaches("mitschnitt_vault_recordings_unsigned_total", 1.0);
    let torn = site.ledger(1).remove(0);
    assert_eq!(torn["state"], "torn", "{torn}");
    let id = torn["recording"].as_str().unwrap();
    assert_eq!(reader::open(&site, id).verdict, "cut", "all is there but the end");
    let next = pair.recorded_call(&site, 2.0);
    next.each_is_heard(25);
    hsm.is_plugged_in();
    until("the first recording signed", A_WHILE, || (reader::open(&site, id).verdict == "salvaged").then_some(()));
    next.goes_on_and_ends();

    let rows = until("both recordings in the ledger", A_WHILE, || {
        let rows = site.ledger(2);
        rows.iter().all(|row| row["state"] != "torn").then_some(rows)
    });
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert!(states.contains(&"salvaged") && states.contains(&"sealed"), "{states:?}");
    assert_eq!(reader::verify(&site, id), ("salvaged".to_owned(), Some(4)));
    let opened = reader::open(&site, id);
    assert_eq!(opened.only("end")["reason"], 1, "nothing of it is missing, its end neither");
    assert_eq!(site.metric("mitschnitt_vault_file_errors_total"), 0.0);
    drop(proxy);
    site.cli(&["audit", "verify"]).must_succeed();
}

#[test]
fn what_a_token_did_not_sign_before_the_end_of_the_process_the_next_start_has_signed() {
    let (site, hsm) = site_with_token();
    let proxy = site.start();
    let pair = Pair::new(&site);
    let talk = pair.recorded_call(&site, 1.0);
    hsm.is_pulled_out();
    talk.goes_on_and_ends();
    site.metric_reaches("mitschnitt_vault_recordings_unsigned_total", 1.0);
    drop(proxy);

    let refused = site.start_unready().finish(A_WHILE);
    assert!(!refused.status.success());
    assert!(refused.err.contains("there is no token `node`"), "{}", refused.err);
    hsm.is_plugged_in();
    let _proxy = site.start();

    until("the recording signed", A_WHILE, || (site.ledger(1)[0]["state"] == "salvaged").then_some(()));
}

#[test]
fn a_wrong_pin_is_given_once_and_not_at_the_next_start_either() {
    let (site, hsm) = site_with_token();
    hsm.has_pin("4321", &site);
    let said = || {
        let ended = site.start_unready().finish(A_WHILE);
        assert!(!ended.status.success());
        assert!(!format!("{}{}", ended.out, ended.err).contains("4321"), "the PIN is told to nobody");
        ended.err
    };

    assert!(said().contains("the token's PIN is wrong; it is not tried again"));
    for _ in 0..3 {
        assert!(said().contains("a wrong PIN was given to the token before"));
    }
    hsm.has_pin("1234", &site);
    assert!(said().contains("a wrong PIN was given to the token before"), "who is right is not known before it is tried");

    assert!(hsm.opens_with("1234"), "it is not locked");
    site.start();
}

#[test]
fn a_pin_that_others_can_read_is_not_used() {
    let (site, _hsm) = site_with_token();
    let pin = site.path().join("pin");
    fs::set_permissions(&pin, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();

    let ended = site.start_unready().finish(A_WHILE);

    assert!(!ended.status.success());
    assert!(ended.err.contains("may be read by others than its owner"), "{}", ended.err);
}

#[test]
fn a_key_that_is_gone_from_the_token_is_not_made_again_beside_its_public_half() {
    let (site, _hsm) = site_with_token();
    let other = site.config();
    let text = fs::read_to_string(&other).unwrap().replace("object=signer", "object=another");
    fs::write(&other, text).unwrap();

    let refused = site.cli(&["keys", "generate"]);

    assert!(!refused.status.success());
    assert!(refused.err.contains("is not in the token") && refused.err.contains("put it back"), "{}", refused.err);
}

/// An installation whose node key was made in a token.
fn site_with_token() -> (Site, SoftHsm) {
    let site = Site::without_keys(policy("announce"));
    let hsm = SoftHsm::of(&site);
    let made = site.cli(&["keys", "generate"]).must_succeed().out;
    assert!(made.contains("pkcs11:token=node;object=signer"), "{made}");
    // Where the second reader looks for it.
    fs::copy(site.data().join("node.pub.pem"), site.path().join("keys/node.pub.pem")).unwrap();
    (site, hsm)
}
