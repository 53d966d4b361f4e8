//! `keys rotate` and `keys exposure`: a key follows another, and what one that was lost opens.

use std::fs;
use std::path::Path;

use crate::catalogue::{Entry, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, other};
use crate::ids::RecordingId;
use crate::vault::{Kem, KeyFile, Recipient, RecipientSecret};

const KEY: &[u8] = include_bytes!("../../../tests/vault/vectors/complete.key");

/// With a stick, on which the secret half may go.
fn with_a_stick() -> (Site, tempfile::TempDir, String) {
    let site = Site::new();
    let stick = tempfile::tempdir().unwrap();
    let to = stick.path().join("next.secret.pem").to_str().unwrap().to_owned();
    site.says(&["keys", "generate"]);
    (site, stick, to)
}

#[test]
fn what_is_to_be_written_is_said_and_is_right_once_it_is_written() {
    let (site, _stick, to) = with_a_stick();

    let said = site.says(&["keys", "rotate", "desk", "--private-to", &to, "--from", "2999-01-01"]).replace(&to, "STICK");

    assert_eq!(
        said,
        "\
made  desk-2999-01-01, secret  STICK
made  desk-2999-01-01, public  HOME/keys/desk-2999-01-01.pub.pem  FINGERPRINT

In HOME/site.toml, to the [[recipient]] `desk` (line 19), add:

until = 2999-01-01

and below it write:

[[recipient]]
name = \"desk-2999-01-01\"
purposes = [\"quality\"]
public_key = \"HOME/keys/desk-2999-01-01.pub.pem\"
from = 2999-01-01

Then: mitschnitt check --config HOME/site.toml, and start the proxy anew before 2999-01-01 (UTC).
So that the new key opens what the old one opens: mitschnitt keys rewrap --all --key OLD.secret.pem --add HOME/keys/desk-2999-01-01.pub.pem
"
    );
    // What is printed is put where it says.
    let home = site.home();
    let next: Vec<_> = said.split("write:\n\n").nth(1).unwrap().split("\n\nThen").next().unwrap().split('\n').collect();
    let next = next.join("\n").replace("HOME", home.to_str().unwrap());
    site.change("keys/desk.pub.pem\"\n", &format!("keys/desk.pub.pem\"\nuntil = 2999-01-01\n{next}\n"));
    let checked = site.says(&["check"]);
    assert!(checked.contains("  listener   desk-2999-01-01, for quality, from 2999-01-01  FINGERPRINT\n"), "{checked}");
    let secret = RecipientSecret::from_pem(&fs::read(&to).unwrap()).unwrap();
    let public = Recipient::from_pem(&fs::read(home.join("keys/desk-2999-01-01.pub.pem")).unwrap()).unwrap();
    assert_eq!((secret.public(), public.kem()), (&public, Kem::XWing));
    // The next one is called by its own day.
    let made_elsewhere = home.join("keys/desk.pub.pem");
    let words =
        ["keys", "rotate", "desk-2999-01-01", "--from", "2999-07-01", "--json", "--public", made_elsewhere.to_str().unwrap()];
    let told: serde_json::Value = serde_json::from_str(&site.says(&words)).unwrap();
    assert_eq!(
        (&told["next"]["name"], &told["until"], &told["private_key"]),
        (&"desk-2999-07-01".into(), &"2999-07-01".into(), &serde_json::Value::Null)
    );
}

#[test]
fn the_secret_half_is_put_nowhere_among_the_proxys_own_files() {
    let (site, _stick, to) = with_a_stick();
    let rotate = |more: &[&str]| site.run(&[&["keys", "rotate", "desk"], more].concat());
    let is_there = |path: &str| Path::new(&path.replace("HOME", site.home().to_str().unwrap())).exists();

    let said = rotate(&[]);
    assert_eq!(said.exit, Exit::Refused);
    assert!(
        said.err.starts_with("error: it is not said where the secret key of `desk` goes, and it has no place on this machine\n"),
        "{}",
        said.err
    );
    for here in ["HOME/next.secret.pem", "HOME/keys/next.secret.pem", "HOME/data/next.secret.pem", "HOME/keys/../data/x.pem"] {
        let said = rotate(&["--private-to", here]);
        assert_eq!(said.exit, Exit::Refused, "{here}: {}", said.err);
        assert!(said.err.contains("is among the proxy's own files") && !is_there(here), "{}", said.err);
    }
    let said = rotate(&["--private-to", "/no/such/stick/x.pem"]);
    assert!(said.exit == Exit::Cannot && said.err.contains("is the stick mounted?"), "{}", said.err);
    fs::write(&to, "another key").unwrap();
    assert!(rotate(&["--private-to", &to]).err.contains("is there already"));
    assert_eq!(fs::read(&to).unwrap(), b"another key");
    assert_eq!(site.run(&["keys", "rotate", "nobody", "--private-to", &to]).exit, Exit::NotFound);
    assert_eq!(rotate(&["--from", "2999-02-30", "--private-to", &to]).exit, Exit::Usage);
    assert!(!is_there("HOME/keys/desk-2999-01-01.pub.pem"));
}

#[test]
fn a_key_of_another_strength_than_those_beside_it_is_told() {
    let (site, _stick, to) = with_a_stick();
    let law = "[[recipient]]\nname = \"law\"\npurposes = [\"quality\"]\npublic_key = \"HOME/keys/law.pub.pem\"\n[[policy]]\nname = \"vip\"";
    site.change("[[policy]]\nname = \"vip\"", &law.replace("HOME", site.home().to_str().unwrap()));
    site.says(&["keys", "generate"]);

    let said = site.run(&["keys", "rotate", "desk", "--private-to", &to, "--from", "2999-01-01", "--strength", "x25519"]);

    assert_eq!(said.exit, Exit::Well);
    let told = "warning: the new key is of X25519, and that of `law`, beside it, of X-Wing\n";
    assert!(said.err.starts_with(told), "{}", said.err);
    fs::remove_file(&to).unwrap();
    // Beside one whose time is over by then it may be of any.
    site.change("keys/law.pub.pem\"", "keys/law.pub.pem\"\nuntil = 2998-12-31");
    site.says(&["keys", "rotate", "desk", "--private-to", &to, "--from", "2999-01-02", "--strength", "x25519"]);
}

#[test]
fn what_a_lost_key_opens_is_told_from_the_key_files_alone() {
    let site = Site::with_recordings();
    let old = RecipientSecret::from_pem(&fs::read(site.home().join("recipient.pem")).unwrap()).unwrap();
    let third = RecordingId::from_bytes([0x33; 16]);
    let mut alone = KeyFile::parse(KEY).unwrap();
    let entries = crate::vault::Entries { add: &[*old.public()], leave: crate::vault::Leave::None };
    alone = alone.rewrap(&old, &entries, &mut crate::vault::UnwrapErr(getrandom::SysRng)).unwrap().unwrap();
    fs::write(site.home().join(format!("data/keys/{third}.key")), alone.to_bytes()).unwrap();
    {
        let mut store = site.store.lock().unwrap();
        let entry =
            Entry { recording: Some(third), purpose: Some("orders".into()), state: State::Sealed, ..store.entries[0].clone() };
        store.entries.push(entry);
    }
    fs::write(site.home().join("recipient.pub.pem"), old.public().to_pem()).unwrap();

    let said = site.says(&["keys", "exposure", "HOME/recipient.pub.pem"]);
    assert!(
        said.starts_with(
            "\
This key opens 3 recordings:

  PURPOSE  RECORDINGS  FIRST (UTC)          LAST (UTC)
  orders            1  2026-11-24 09:30:00  2026-11-24 09:30:00
  quality           2  2026-11-24 09:30:00  2026-11-24 09:40:00

One of them opens for no other key: rewrap before you take it out.

If it was lost to others:
"
        ),
        "{said}"
    );
    assert!(said.contains("It does not help against one who has copies"), "{said}");
    for name in ["HOME/recipient.pem", &old.public().fingerprint().to_string(), &old.public().fingerprint().short()] {
        assert_eq!(site.says(&["keys", "exposure", name]), said, "{name}");
    }
    let listed = site.says(&["keys", "exposure", "HOME/recipient.pem", "--list"]);
    assert!(listed.contains("2026-11-24 09:40:00  quality  torn    OTHER\n"), "{listed}");
    let told = site.says(&["keys", "exposure", "HOME/recipient.pem", "--list", "--json"]);
    let sum: serde_json::Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((told.lines().count(), &sum["recordings"], &sum["only_key"]), (4, &3.into(), &1.into()));
    assert_eq!(site.outcomes(), [], "nothing was opened");

    let said = site.says(&["keys", "exposure", "HOME/stranger.pem"]);
    assert!(said.starts_with("This key opens no recording whose key file is here."), "{said}");
}

#[test]
fn a_key_file_that_cannot_be_read_is_told_and_what_a_kill_has_left_counts() {
    let site = Site::with_recordings();
    let key = |id: RecordingId| site.home().join(format!("data/keys/{id}.key"));
    fs::write(key(other()), &KEY[..50]).unwrap();
    let id = crate::cli::tests::site::id();
    fs::rename(key(id), site.home().join(format!("data/keys/{id}.key.rewrap"))).unwrap();

    let said = site.run(&["keys", "exposure", "HOME/recipient.pem"]);

    assert_eq!(said.exit, Exit::NotSo);
    assert_eq!(said.err, "error: recording OTHER: the key file is not as it was written\n  whom it opens for cannot be told\n");
    assert!(said.out.starts_with("This key opens 1 recording:\n"), "{}", said.out);
}
