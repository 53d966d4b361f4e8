//! `recordings play`: it opens a recording as `export` does, and the access log says so.

use std::fs;

use crate::catalogue::{Deed, Outcome};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, id};

#[test]
fn what_may_not_be_exported_is_not_played_either_and_is_logged_as_play() {
    let site = Site::with_recordings();
    let words = ["recordings", "play", "ID", "--key", "HOME/recipient.pem", "--purpose", "marketing"];

    let refused = site.run(&words);

    assert_eq!(refused.exit, Exit::Refused, "{}", refused.err);
    assert!(refused.err.starts_with("error: recording ID was made for `quality`, not for `marketing`\n"), "{}", refused.err);
    assert_eq!(site.outcomes(), [(Deed::Play, Outcome::OtherPurpose)]);
    site.store.lock().unwrap().log_is_full = true;
    let unlogged = site.run(&[&words[..6], &["quality"]].concat());
    assert!(unlogged.err.starts_with("error: nothing is opened that cannot be logged: "), "{}", unlogged.err);
}

#[test]
fn nothing_is_played_of_what_was_changed() {
    let site = Site::with_recordings();
    let path = site.home().join(format!("data/recordings/{}.rec", id()));
    let mut changed = fs::read(&path).unwrap();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&path, &changed).unwrap();

    let said = site.run(&["recordings", "play", "ID", "--key", "HOME/recipient.pem", "--purpose", "quality"]);

    // With a player it is the recording that is refused, and without one that there is none: nothing is opened either way.
    let is_broken = said.exit == Exit::NotSo && said.err.contains("nothing is played of what was changed");
    assert!(is_broken || said.err.starts_with("error: there is no player here"), "{}", said.err);
    assert_eq!(site.outcomes(), [(Deed::Play, Outcome::Failed)]);
}
