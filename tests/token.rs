//! Keys in a token (SoftHSM): the node's, made there, signing from there, and what becomes of recordings when the token is gone; and a
//! recipient's, by which recordings are opened.

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
use std::process::Command;

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

#[test]
fn what_is_recorded_for_a_key_in_a_token_opens_with_that_token() {
    let (site, _hsm, key) = site_for_token();
    let _proxy = site.start();
    Pair::new(&site).recorded_call(&site, 1.0).goes_on_and_ends();
    let id = site.recorded();

    let verified = site.cli(&["recordings", "verify", &id, "--key", &key]).must_succeed();
    assert!(verified.out.contains("complete"), "{}", verified.out);
    let wav = site.path().join("call.wav");
    let out = wav.to_str().unwrap();
    site.cli(&["recordings", "export", &id, "--key", &key, "--purpose", "quality", "--out", out]).must_succeed();
    assert!(wav.metadata().unwrap().len() > 8000);
    let exposed = site.cli(&["keys", "exposure", &key]).must_succeed().out;
    assert!(exposed.contains("This key opens 1 recording"), "{exposed}");

    // The token's holder lets a key in a file open it too, and the second reader has that.
    openssl(&["genpkey", "-algorithm", "x25519", "-out", site.recipient_secret().to_str().unwrap()]);
    let public = site.path().join("second.pub.pem");
    openssl(&["pkey", "-in", site.recipient_secret().to_str().unwrap(), "-pubout", "-out", public.to_str().unwrap()]);
    site.cli(&["keys", "rewrap", "--all", "--key", &key, "--add", public.to_str().unwrap()]).must_succeed();
    assert_eq!(reader::verify(&site, &id), ("complete".to_owned(), Some(0)));
    site.cli(&["recordings", "verify", &id, "--key", &key]).must_succeed();
}

#[test]
fn a_key_is_made_in_a_token_once_and_its_public_half_is_printed() {
    let site = Site::without_keys(policy("announce"));
    let hsm = SoftHsm::beside(&site);
    let key = with_pin_file(&hsm, "desk", &site);

    let missing = site.cli_alone(&["keys", "public", &key]);
    let made = site.cli_alone(&["keys", "public", "--make", &key]).must_succeed();
    let kept = site.cli_alone(&["keys", "public", "--make", &key]).must_succeed();
    let printed = site.cli_alone(&["keys", "public", &key]).must_succeed();

    assert_eq!(missing.status.code(), Some(5), "{}", missing.err);
    assert!(made.err.contains("made a key of P-256 in the token, `pkcs11:token=node;object=desk`"), "{}", made.err);
    assert!(made.out.starts_with("-----BEGIN PUBLIC KEY-----\n"), "{}", made.out);
    assert_eq!([&kept.out, &printed.out], [&made.out; 2]);
    assert!(kept.err.is_empty(), "{}", kept.err);
    let public = site.path().join("desk.pub.pem");
    fs::write(&public, &made.out).unwrap();
    openssl(&["pkey", "-pubin", "-in", public.to_str().unwrap(), "-pubcheck", "-noout"]);
    let of_file = site.cli_alone(&["keys", "public", public.to_str().unwrap()]).must_succeed();
    assert_eq!(of_file.out, made.out);
    let listed = hsm.by_hand(&["--list-objects", "--type", "privkey"]).must_succeed().out;
    assert!(listed.contains("sensitive, always sensitive, never extractable"), "{listed}");
    assert!(!listed.contains("sign"), "{listed}");
}

#[test]
fn the_pin_is_taken_as_a_passphrase_is_and_told_to_nobody() {
    let site = Site::without_keys(policy("announce"));
    let hsm = SoftHsm::beside(&site);
    let (key, pin) = (hsm.key("desk"), site.path().join("pin"));
    let run = |words: &[&str]| site.cli_alone(&[&["keys", "public", &key], words].concat());

    let made = run(&["--make", "--passphrase-file", pin.to_str().unwrap()]).must_succeed();
    let unasked = run(&[]);
    hsm.has_pin("8765", &site);
    let wrong = run(&["--passphrase-file", pin.to_str().unwrap()]);
    let in_it = site.cli_alone(&["keys", "public", "pkcs11:token=node;object=desk?module-path=/none&pin-value=8765"]);

    assert!(made.out.contains("PUBLIC KEY"), "{}", made.out);
    assert!(unasked.err.contains("there is no terminal to ask for it"), "{}", unasked.err);
    assert_eq!(wrong.status.code(), Some(4), "{}", wrong.err);
    assert!(wrong.err.contains("the token's PIN is wrong; it is not tried again"), "{}", wrong.err);
    assert!(in_it.err.contains("it has the PIN in it"), "{}", in_it.err);
    for said in [made, unasked, wrong, in_it] {
        assert!(!format!("{}{}", said.out, said.err).contains("8765"), "{}", said.err);
    }
}

#[test]
fn a_key_in_a_token_that_cannot_be_used_is_told_with_what_to_do() {
    let site = Site::without_keys(policy("announce"));
    let hsm = SoftHsm::beside(&site);
    let make = |kind: &str, label: &str, usage: &str| {
        hsm.by_hand(&["--keypairgen", "--key-type", kind, "--label", label, usage]).must_succeed();
    };
    make("EC:prime256v1", "signs", "--usage-sign");
    make("EC:secp384r1", "longer", "--usage-derive");
    make("EC:prime256v1", "twice", "--usage-derive");
    make("EC:prime256v1", "twice", "--usage-derive");
    make("EC:prime256v1", "half", "--usage-derive");
    hsm.by_hand(&["--delete-object", "--type", "pubkey", "--label", "half"]).must_succeed();
    let says = |object: &str, what: &str, remedy: &str| {
        let said = site.cli_alone(&["keys", "public", &with_pin_file(&hsm, object, &site)]);
        assert!(!said.status.success() && said.out.is_empty(), "{object}: {}", said.out);
        let expected = format!("error: cannot use the key in the token, `pkcs11:token=node;object={object}`: {what}\n");
        assert!(said.err.starts_with(&expected) && said.err.contains(remedy), "{object}: {}", said.err);
    };

    says("nobody", "the token has no private key of that name", "mitschnitt keys public --make");
    says("signs", "the token has the key, and may not derive by it", "CKA_DERIVE");
    says("longer", "the key of that name in the token is not of P-256", "secp256r1");
    says("twice", "the token has several keys of that name", "a name of its own");
    says("half", "the token has the key, and not its public half", "under the same name");
    hsm.is_pulled_out();
    says("signs", "there is no token `node`", "is it plugged in?");
}

/// An installation that records for a key in a token.
fn site_for_token() -> (Site, SoftHsm, String) {
    let site = Site::without_keys(policy("announce"));
    let hsm = SoftHsm::beside(&site);
    let key = with_pin_file(&hsm, "desk", &site);
    let public = site.cli_alone(&["keys", "public", "--make", &key]).must_succeed().out;
    fs::write(site.path().join("keys/desk.pub.pem"), public).unwrap();
    site.cli(&["keys", "generate"]).must_succeed();
    assert!(!site.recipient_secret().exists(), "it lies in the token alone");
    site.cli(&["check"]).must_succeed();
    (site, hsm, key)
}

/// Names a key, and where its PIN is.
fn with_pin_file(hsm: &SoftHsm, object: &str, site: &Site) -> String {
    format!("{}&pin-source=file:{}", hsm.key(object), site.path().join("pin").display())
}

fn openssl(words: &[&str]) {
    let output = Command::new("openssl").args(words).output().expect("openssl is there: apt-get install openssl");
    assert!(output.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
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
