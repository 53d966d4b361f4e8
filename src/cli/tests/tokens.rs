//! `tokens add`, `list` and `revoke`.

use serde_json::Value;

use crate::access::{Person, TokenHash};
use crate::catalogue::{Says, Warrant, tokens};
use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;
use crate::cli::who;
use crate::limits::TOKENS;
use crate::time::Wall;

const ADD: [&str; 5] = ["tokens", "add", "wall", "--role", "operator"];

#[test]
fn a_token_is_shown_once_and_nothing_of_it_is_kept() {
    let site = Site::with_recordings();

    let said = site.run(&ADD);

    assert_eq!(said.exit, Exit::Well, "{}", said.err);
    assert!(said.out.starts_with("mst_") && said.out.ends_with('\n') && said.out.len() == 48, "it alone: {}", said.out);
    assert!(said.err.starts_with("note: token `wall` is for: operator; until 20"), "{}", said.err);
    let shown = said.out.trim();
    let kept = format!("{:?}", site.store.lock().unwrap().warrants);
    assert!(!kept.contains(shown.trim_start_matches("mst_")));
    let listed = site.says(&["tokens", "list"]) + &site.says(&["tokens", "list", "--json"]);
    assert!(listed.contains("wall  operator") && !listed.contains(shown.trim_start_matches("mst_")), "{listed}");
    let who = tokens(&site.store.lock().unwrap().warrants).identify(shown, who::now()).unwrap();
    assert_eq!((who.name.as_str(), who.roles.to_string().as_str()), ("token wall", "operator"));
    assert!(who.persons.contains(&Person::Unix(0)), "whoever gave it out has seen it");
}

#[test]
fn nobody_is_known_by_a_token_that_was_revoked() {
    let site = Site::with_recordings();
    let shown = site.run(&ADD).out;

    let revoked = site.says(&["tokens", "revoke", "wall", "--reason", "lost"]);

    assert_eq!(revoked, "Token `wall` is revoked: nobody is known by it from here on.\n");
    assert_eq!(tokens(&site.store.lock().unwrap().warrants).identify(shown.trim(), who::now()), None);
    assert_eq!(site.says(&["tokens", "list"]), "No tokens.\n");
    assert!(site.says(&["tokens", "list", "--all"]).contains("revoked by root (uid 0)"));
    assert_eq!(site.run(&["tokens", "revoke", "wall", "--reason", "again"]).exit, Exit::NotFound);
    assert_eq!(site.run(&ADD).exit, Exit::Well, "its name is free again");
    assert_eq!(site.run(&ADD).exit, Exit::Refused, "and taken again");
}

#[test]
fn a_token_is_for_a_year_at_most() {
    let site = Site::with_recordings();
    let until = |days: i64| {
        let at = Wall::from_unix_micros(who::now().unix_micros() + days * 24 * 3_600_000_000).to_string();
        site.run(&[&ADD[..], &["--until", at.trim_end_matches('Z')]].concat())
    };

    assert_eq!(until(-1).exit, Exit::Usage);
    let beyond = until(367);
    assert_eq!(beyond.exit, Exit::Usage);
    assert!(beyond.err.contains("for 366 days at most"), "{}", beyond.err);
    assert_eq!(until(365).exit, Exit::Well);
}

#[test]
fn a_reviewer_is_one_for_a_purpose_and_nobody_else_is() {
    let site = Site::with_recordings();
    let add = |words: &[&str]| site.run(&[&["tokens", "add", "a"][..], words].concat());

    assert_eq!(add(&["--role", "reviewer"]).exit, Exit::Usage);
    assert_eq!(add(&["--role", "operator", "--purpose", "quality"]).exit, Exit::Usage);
    assert_eq!(add(&["--role", "boss"]).exit, Exit::Usage);
    let said = add(&["--role", "reviewer", "--role", "operator", "--purpose", "quality", "--json"]);
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&value["name"], said.err.as_str()), (&"a".into(), ""));
    let who = tokens(&site.store.lock().unwrap().warrants).identify(value["token"].as_str().unwrap(), who::now()).unwrap();
    assert!(who.purposes.has("quality") && !who.purposes.has("training"));
}

#[test]
fn there_are_so_many_tokens_and_no_more() {
    let site = Site::with_recordings();
    let add = |name: &str| site.run(&["tokens", "add", name, "--role", "operator"]);
    assert_eq!(add("first").exit, Exit::Well);
    let one = site.store.lock().unwrap().warrants.first().cloned().unwrap();
    let of = |nth: usize| {
        let Says::Given { roles, purposes, until, .. } = one.says.clone() else { panic!("it was given out") };
        let hash = TokenHash::from_bytes([7; 32]);
        Warrant { number: nth as u64, says: Says::Given { name: format!("t{nth}"), hash, roles, purposes, until }, ..one.clone() }
    };
    site.store.lock().unwrap().warrants.extend((2..TOKENS).map(of));

    assert_eq!(add("last").exit, Exit::Well);
    let said = add("more");
    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains(&format!("there are {TOKENS} tokens")), "{}", said.err);
}
