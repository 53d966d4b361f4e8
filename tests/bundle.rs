//! A bundle, taken elsewhere: it verifies with nothing but itself, by the program, by openssl and by the second reader; and what was changed in
//! it is seen.

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
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::pair::Pair;
use support::site::{Site, policy};

#[test]
fn it_verifies_with_nothing_but_itself_and_what_was_changed_is_seen() {
    let scene = Scene::new();

    let said = scene.verify(&scene.bundle, &[]);
    assert_eq!(
        (&said["verdict"], &said["ledger"], &said["recording"]),
        (&"complete".into(), &"bound".into(), &scene.id.as_str().into())
    );
    assert!(!said["text"].as_str().unwrap().contains("content"), "without a key nothing of that is known");
    let key = scene.site.recipient_secret();
    let said = scene.verify(&scene.bundle, &["--key", key.to_str().unwrap()]);
    assert!(said["text"].as_str().unwrap().contains("content are good"), "{said}");
    let row = scene.site.ledger(1).remove(0);
    let log = scene.site.cli(&["recordings", "show", &scene.id]).must_succeed();
    assert!(log.out.contains("bundle") && row["state"] == "sealed", "{}", log.out);

    // The same recording makes the same archive.
    let again = scene.home().join("again.tar");
    scene.make(&again);
    assert!(fs::read(&scene.bundle).unwrap() == fs::read(&again).unwrap(), "the same bytes");

    for (name, change, expected) in [
        (format!("{}.rec", scene.id), Change::Flip, ("broken", "wrong")),
        ("ledger.jsonl".into(), Change::Digit, ("complete", "wrong")),
        ("head.txt".into(), Change::Digit, ("complete", "wrong")),
        ("ledger.jsonl".into(), Change::Remove, ("complete", "absent")),
    ] {
        let changed = scene.changed(&name, change);
        let (said, code) = scene.says(&changed, &[]);
        assert_eq!((said["verdict"].as_str().unwrap(), said["ledger"].as_str().unwrap()), expected, "{name}: {said}");
        assert_eq!(code, Some(i32::from(expected.1 == "wrong")), "{name}");
    }
    let bare = scene.changed(&format!("{}.rec", scene.id), Change::Remove);
    let ended = scene.run(&bare, &[]);
    assert_eq!(ended.status.code(), Some(3), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("it has no recording"));
}

#[test]
fn openssl_and_the_second_reader_verify_it_as_its_readme_says() {
    let scene = Scene::new();

    let (said, root) = scene.does_as_the_readme_says(&scene.bundle);

    assert!(said[3].starts_with("complete") && said[7].starts_with("complete"), "{} {}", said[3], said[7]);
    assert!(said[8].lines().count() > 100 && said[8].contains("\"record\":\"evidence\""));
    let ledger = fs::read_to_string(scene.folder().join("ledger.jsonl")).unwrap();
    assert!(ledger.contains(&root), "the ledger has it sealed with this root");
}

#[test]
fn a_span_is_handed_over_without_the_rest_and_is_proven_to_be_of_it() {
    let scene = Scene::new();
    let key = scene.site.recipient_secret();
    let key = key.to_str().unwrap();
    let (span, again) = (scene.home().join("span.tar"), scene.home().join("span-again.tar"));
    for out in [&span, &again] {
        scene.make_with(out, &["--from", "0.3", "--to", "0:00.6", "--key", key]);
    }

    assert!(fs::read(&span).unwrap() == fs::read(&again).unwrap(), "the same bytes");
    let said = scene.verify(&span, &[]);
    assert_eq!((&said["verdict"], &said["ledger"]), (&"proven".into(), &"bound".into()), "{said}");
    assert!(
        said["text"]
            .as_str()
            .unwrap()
            .contains("of the recording that the node has signed as complete; the rest of it is not here")
    );
    let said = scene.verify(&span, &["--key", key]);
    assert!(said["text"].as_str().unwrap().contains("each opens: "), "{said}");

    // Of what is left out there is nothing in it.
    let (archive, rec) = (fs::read(&span).unwrap(), scene.site.path().join(format!("data/recordings/{}.rec", scene.id)));
    let rec = fs::read(rec).unwrap();
    let is_in = |bytes: &[u8]| archive.windows(bytes.len()).any(|window| window == bytes);
    let last = &rec[rec.len() - 70 - 200..rec.len() - 70 - 100];
    assert!(is_in(&rec[..144]) && is_in(&rec[rec.len() - 70..]) && !is_in(last), "header and closing, and no other chunk");
    let log = scene.site.cli(&["recordings", "show", &scene.id]).must_succeed();
    assert!(log.out.contains("for the court, 0:00:00.3 to 0:00:00.6"), "{}", log.out);

    for (name, change, verdict) in [
        (format!("{}.span", scene.id), Change::Flip, "broken"),
        ("proof.json".into(), Change::Digit, "none"),
        ("ledger.jsonl".into(), Change::Digit, "proven"),
    ] {
        let changed = scene.changed_of(&span, &name, change);
        let ended = scene.run(&changed, &[]);
        let said: Value = serde_json::from_slice(&ended.stdout).unwrap_or_default();
        let found = said["verdict"].as_str().unwrap_or("none");
        assert!(found == verdict || name == "proof.json" && found == "broken", "{name}: {said}");
        assert_ne!(ended.status.code(), Some(0), "{name}");
    }

    let (said, _) = scene.does_as_the_readme_says(&span);
    assert!(said[3].starts_with("proven") && said[7].starts_with("proven"), "{} {}", said[3], said[7]);
    let records: Vec<Value> = said[8].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let came: Vec<u64> = records.iter().filter_map(|record| record["came_us"].as_u64()).collect();
    assert_eq!(records[0]["record"], "evidence");
    assert!(came.len() > 20 && came.iter().any(|came| (300_000..600_000).contains(came)), "{came:?}");
    let (first, last) = (came.iter().min().unwrap(), came.iter().max().unwrap());
    assert!(*first <= 300_000 && *last >= 560_000 && *last < 1_700_000, "whole chunks: {first} to {last}");
}

#[test]
fn what_was_taken_out_since_is_said_elsewhere_too_and_the_ledger_has_it() {
    let scene = Scene::new();
    let key = scene.site.recipient_secret();
    let key = key.to_str().unwrap();
    let redact = ["recordings", "redact", &scene.id, "--key", key, "--purpose", "quality", "--reason", "a card"];
    scene.site.cli(&[&redact[..], &["--from", "0.7", "--to", "0.8"]].concat()).must_succeed();
    // Signed by the next start.
    drop(scene.site.start());
    let [whole, span, beside] = ["whole.tar", "span-of.tar", "beside.tar"].map(|name| scene.home().join(name));

    scene.make(&whole);
    scene.make_with(&span, &["--from", "0.3", "--to", "1.2", "--key", key]);
    scene.make_with(&beside, &["--from", "0", "--to", "0.1", "--key", key]);

    for (more, told) in [(&[][..], "chunk 2 was taken out; event "), (&["--key", key][..], "was taken out with ")] {
        let said = scene.verify(&whole, more);
        assert_eq!((&said["verdict"], &said["ledger"]), (&"complete".into(), &"bound".into()), "{said}");
        let text = said["text"].as_str().unwrap();
        assert!(text.contains(told) && text.contains(" of the ledger says so, of 20"), "{text}");
        let text = scene.verify(&span, more)["text"].as_str().unwrap().to_owned();
        assert!(text.contains(", 1 of them taken out since, are of the recording"), "{text}");
        assert!(!scene.verify(&beside, more)["text"].as_str().unwrap().contains("taken out"));
    }
    let (said, _) = scene.does_as_the_readme_says(&whole);
    assert!(said[3].starts_with("complete"), "{}", said[3]);
    let readme = fs::read_to_string(scene.folder().join("README.txt")).unwrap();
    assert!(readme.contains("Since then chunk 2 was taken out (redacted), of "), "{readme}");
    let records: Vec<Value> = said[8].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let came: Vec<u64> = records.iter().filter_map(|record| record["came_us"].as_u64()).collect();
    assert!(came.iter().any(|came| *came < 400_000) && came.iter().any(|came| *came > 1_200_000), "{came:?}");
    assert!(!came.iter().any(|came| (700_000..800_000).contains(came)), "the second reader hears nothing of it either");
    let (said, _) = scene.does_as_the_readme_says(&span);
    assert!(said[3].starts_with("proven") && said[7].starts_with("proven"), "{} {}", said[3], said[7]);
    // A ledger of before knows nothing of it, and so anybody may have done it.
    let of_before = fs::read(&scene.bundle).unwrap();
    let mixed = scene.with_the_ledger_of(&whole, &of_before);
    let (said, code) = scene.says(&mixed, &[]);
    assert_eq!((said["verdict"].as_str(), code), (Some("disputed"), Some(1)), "{said}");
    assert!(said["text"].as_str().unwrap().contains("of which the ledger knows nothing"), "{said}");
}

#[test]
fn a_span_takes_a_key_and_all_of_it_takes_none() {
    let scene = Scene::new();
    let key = scene.site.recipient_secret();
    let out = scene.home().join("no.tar");
    let run = |more: &[&str]| {
        let words = [&["recordings", "bundle", &scene.id, "--out", out.to_str().unwrap(), "--reason", "why"], more].concat();
        let ended = scene.site.cli(&words);
        (ended.status.code(), ended.err)
    };

    let (code, said) = run(&["--from", "1"]);
    assert!(code == Some(2) && said.starts_with("error: a span is found with a key"), "{said}");
    let (code, said) = run(&["--key", key.to_str().unwrap()]);
    assert!(code == Some(2) && said.starts_with("error: all of a recording is bundled without a key"), "{said}");
    let (code, said) = run(&["--from", "9:00", "--key", key.to_str().unwrap()]);
    assert!(code == Some(3) && said.contains("and --from is 0:09:00"), "{said}");
    assert!(!out.exists());
}

impl Scene {
    /// Returns what the README's commands say, and the root that it gives.
    fn does_as_the_readme_says(&self, bundle: &Path) -> (Vec<String>, String) {
        let folder = self.unpacked(bundle);
        let scene = self;
        let readme = fs::read_to_string(folder.join("README.txt")).unwrap();
        let secret = scene.site.recipient_secret();
        fs::copy(secret, folder.join("SECRET.pem")).unwrap();

        let commands: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix("       ")).collect();
        let commands: Vec<&str> = commands
            .into_iter()
            .filter(|line| ["openssl", "python3", "tail"].iter().any(|word| line.starts_with(word)))
            .collect();
        assert_eq!(commands.len(), 9, "{readme}");
        let said: Vec<String> = commands
            .iter()
            .map(|command| {
                let output = Command::new("sh").args(["-c", command]).current_dir(&folder).output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success(), "{command}\n{said}{}", String::from_utf8_lossy(&output.stderr));
                said
            })
            .collect();

        let hashes: Vec<&str> = readme.lines().map(str::trim).filter(|line| line.len() == 64 && !line.contains(' ')).collect();
        let [node, root, head] = hashes[..] else { panic!("three values to compare with: {hashes:?}") };
        assert!(said[0].starts_with(node), "the fingerprint");
        assert!(said[1].contains("Signature Verified Successfully"), "{}", said[1]);
        assert_eq!(said[2].trim(), root);
        assert!(said[4].contains("Signature Verified Successfully"), "{}", said[4]);
        assert_eq!(said[5].trim(), head);
        assert!(said[6].contains(head), "the last event is the one that was signed: {}", said[6]);
        let root = root.to_owned();
        (said, root)
    }
}

/// What is done to a file of an archive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    /// A bit in its middle.
    Flip,
    /// The last digit of it is another.
    Digit,
    Remove,
}

/// A recorded call, its proxy gone, and a bundle of it.
struct Scene {
    site: Site,
    id: String,
    bundle: PathBuf,
    elsewhere: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let site = Site::new(policy("announce"));
        let proxy = site.start();
        let pair = Pair::new(&site);
        let talk = pair.recorded_call(&site, 1.0);
        talk.each_is_heard(60);
        talk.caller_hangs_up();
        let id = site.recorded();
        drop(proxy);
        let elsewhere = tempfile::tempdir().unwrap();
        let bundle = elsewhere.path().join("bundle.tar");
        let scene = Self { site, id, bundle, elsewhere };
        scene.make(&scene.bundle);
        scene
    }

    fn home(&self) -> &Path {
        self.elsewhere.path()
    }

    fn make(&self, out: &Path) {
        self.make_with(out, &[]);
    }

    fn make_with(&self, out: &Path, more: &[&str]) {
        let out = out.to_str().unwrap();
        let words = ["recordings", "bundle", &self.id, "--out", out, "--reason", "for the court"];
        self.site.cli(&[&words, more].concat()).must_succeed();
    }

    /// Runs the program where there is neither configuration nor ledger.
    fn run(&self, bundle: &Path, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mitschnitt"));
        command.args(["recordings", "verify", "--json", "--bundle"]).arg(bundle).args(more).current_dir(self.home());
        command.output().unwrap()
    }

    fn says(&self, bundle: &Path, more: &[&str]) -> (Value, Option<i32>) {
        let ended = self.run(bundle, more);
        let said = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&ended.stderr)));
        (said, ended.status.code())
    }

    fn verify(&self, bundle: &Path, more: &[&str]) -> Value {
        let (said, code) = self.says(bundle, more);
        assert_eq!(code, Some(0), "{said}");
        said
    }

    fn unpacked(&self, bundle: &Path) -> PathBuf {
        tar::Archive::new(fs::File::open(bundle).unwrap()).unpack(self.home()).unwrap();
        self.folder()
    }

    fn folder(&self) -> PathBuf {
        self.home().join(format!("mitschnitt-{}", self.id))
    }

    /// The archive with one of its files changed.
    fn changed(&self, name: &str, change: Change) -> PathBuf {
        self.changed_of(&self.bundle, name, change)
    }

    /// An archive with the ledger of another.
    fn with_the_ledger_of(&self, bundle: &Path, other: &[u8]) -> PathBuf {
        let path = self.home().join("mixed.tar");
        let is_of_it = |name: &Path| ["ledger.jsonl", "head.txt"].iter().any(|one| name.ends_with(one));
        let files = |bytes: &[u8]| {
            let mut archive = tar::Archive::new(bytes);
            let entries = archive.entries().unwrap().map(|entry| {
                let mut entry = entry.unwrap();
                let (header, name) = (entry.header().clone(), entry.path().unwrap().into_owned());
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                (header, name, bytes)
            });
            entries.collect::<Vec<_>>()
        };
        let mut into = tar::Builder::new(fs::File::create(&path).unwrap());
        let other = files(other).into_iter().filter(|(_, name, _)| is_of_it(name));
        let own = files(&fs::read(bundle).unwrap()).into_iter().filter(|(_, name, _)| !is_of_it(name));
        for (mut header, name, bytes) in other.chain(own) {
            into.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        into.finish().unwrap();
        path
    }

    fn changed_of(&self, bundle: &Path, name: &str, change: Change) -> PathBuf {
        let path = self.home().join(format!("changed-{name}-{}.tar", change as u8));
        let mut from = tar::Archive::new(fs::File::open(bundle).unwrap());
        let mut into = tar::Builder::new(fs::File::create(&path).unwrap());
        let mut found = false;
        for entry in from.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut header = entry.header().clone();
            let own = entry.path().unwrap().into_owned();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            if own.ends_with(name) {
                found = true;
                let middle = bytes.len() / 2;
                match change {
                    Change::Flip => bytes[middle] ^= 1,
                    Change::Digit => {
                        let at = bytes.iter().rposition(u8::is_ascii_hexdigit).unwrap();
                        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
                    }
                    Change::Remove => continue,
                }
            }
            into.append_data(&mut header, own, bytes.as_slice()).unwrap();
        }
        into.finish().unwrap();
        assert!(found, "{name}");
        path
    }
}
