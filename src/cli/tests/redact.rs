//! `recordings redact`: a span is taken out, nobody opens it any more, and the rest stays as it was signed.

use std::fs;
use std::path::PathBuf;

use crate::catalogue::{Deed, Outcome, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{COMPLETE, Said, Site, id};
use crate::keyfolder::shares::Shares;
use crate::vault::{KeyFile, RecipientSecret, Record, Recording, UnwrapErr};

const RECIPIENT: &[u8] = include_bytes!("../../../tests/vault/vectors/recipient.pem");

/// Where chunk 2 stands, and when its packets came.
const CHUNK: std::ops::Range<usize> = 1739..2101;
const SPAN: [&str; 4] = ["--from", "0.2", "--to", "0.25"];

impl Site {
    fn at(&self, path: &str) -> PathBuf {
        self.home().join(path.replace("ID", &id().to_string()))
    }

    /// One whose recording opens for the one recipient alone.
    fn with_one_recipient() -> Self {
        let site = Self::with_recordings();
        let own = RecipientSecret::from_pem(RECIPIENT).unwrap();
        fs::write(site.home().join("own.pub.pem"), own.public().to_pem()).unwrap();
        site.says(&["keys", "rewrap", "ID", "--key", "HOME/recipient.pem", "--add", "HOME/own.pub.pem", "--only"]);
        site
    }

    fn redact(&self, words: &[&str]) -> Said {
        let own = ["recordings", "redact", "ID", "--key", "HOME/recipient.pem", "--reason", "a card", "--purpose", "quality"];
        self.run(&[&own, words].concat())
    }

    /// Every file that there is below the data directory.
    fn all_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut folders, mut files) = (vec![self.home().join("data")], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push((path.clone(), fs::read(path).unwrap())) }
            }
        }
        files
    }

    /// Holds that nobody with all keys and all files hears what was said in chunk 2, even with its ciphertext.
    fn is_gone(&self) {
        let own = RecipientSecret::from_pem(RECIPIENT).unwrap();
        for (path, bytes) in self.all_files() {
            let own_id = path.file_name().unwrap().to_string_lossy().starts_with(&id().to_string());
            if own_id {
                let sealed = &COMPLETE[CHUNK.start + 10..CHUNK.end - 24];
                assert!(!bytes.windows(sealed.len()).any(|window| window == sealed), "{}", path.display());
                assert!(Recording::open(COMPLETE, &bytes, &own).is_err(), "{}", path.display());
            }
        }
        let rec = fs::read(self.at("data/recordings/ID.rec")).unwrap();
        let keys = fs::read(self.at("data/keys/ID.key")).unwrap();
        let records = Recording::open(rec.as_slice(), &keys, &own).unwrap().records();
        let came: Vec<_> = records
            .filter_map(|record| match record.unwrap() {
                Record::Rtp { came, .. } => Some(came.as_millis()),
                Record::Evidence(_)
                | Record::Format(_)
                | Record::Gap(_)
                | Record::Quality(_)
                | Record::End(_)
                | Record::Other { .. } => None,
            })
            .collect();
        assert!(came.len() == 16 && came.iter().all(|came| *came < 160), "{came:?}");
    }

    fn left_over(&self) -> Vec<String> {
        let names = self.all_files().into_iter().map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned());
        names.filter(|name| name.ends_with(".rewrap") || name.ends_with(".redacting")).collect()
    }
}

#[test]
fn what_is_taken_out_nobody_opens_any_more_and_the_rest_verifies() {
    let site = Site::with_one_recipient();

    let said = site.redact(&SPAN);

    assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
    assert_eq!(
        said.out,
        "Recording ID: 8 packets from the PBX and 8 from the trunk were taken out, that came from 0:00:00.16 to 0:00:00.307; \
         their keys are destroyed.\nIn all chunk 2 was taken out, of 4; the rest is as the node has signed it.\n"
    );
    site.is_gone();
    assert_eq!(site.left_over(), [""; 0]);
    let logged = [(Deed::Redact, Outcome::Granted), (Deed::Redact, Outcome::Granted), (Deed::Redact, Outcome::Done)];
    assert_eq!(site.outcomes()[2..], logged);
    for key in [&[][..], &["--key", "HOME/recipient.pem"]] {
        let verified = site.says(&[&["recordings", "verify", "ID"], key].concat());
        assert!(verified.starts_with("ID  complete  ") && verified.contains("; chunk 2 was taken out"), "{verified}");
        assert!(verified.contains(" by ") && !verified.contains("disputed"), "{verified}");
    }
    let shown = site.says(&["recordings", "show", "ID"]);
    assert!(shown.contains("a card") && shown.contains("0:00:00.2 to 0:00:00.25"), "{shown}");
    let out = site.home().join("out.wav").display().to_string();
    let said = site.run(&site.export("quality", &out));
    assert!(said.err.contains("chunk 2 was taken out") && said.exit == Exit::Well, "{}", said.err);

    assert!(shown.starts_with("recording ID  sealed, redacted\n"), "{shown}");
    assert!(site.says(&["recordings", "list"]).contains("  sealed, redacted  "));
    assert!(site.says(&["recordings", "show", "ID", "--json"]).contains("\"redacted\":true"));

    let again = site.redact(&SPAN);
    assert_eq!(again.exit, Exit::Cannot);
    assert!(again.err.contains("nothing came in this span, or it was taken out before"), "{}", again.err);
    let more = site.redact(&["--from", "0"]);
    assert_eq!((more.exit, more.err.as_str()), (Exit::Well, ""));
    let verified = site.says(&["recordings", "verify", "ID", "--key", "HOME/recipient.pem"]);
    assert!(verified.contains("chunks 1 to 2 were taken out with 16 packets from the PBX and 16 from the trunk"), "{verified}");
}

#[test]
fn what_is_left_sounds_as_before_and_a_hole_is_silence_of_its_length_that_is_named_also_in_a_span() {
    let site = Site::with_one_recipient();
    let export = |name: &str, span: &[&str]| {
        let out = format!("HOME/{name}");
        let own =
            ["recordings", "export", "ID", "--key", "HOME/recipient.pem", "--purpose", "quality", "--format", "wav", "--out"];
        let said = site.run(&[&own[..], &[out.as_str()], span].concat());
        assert_eq!(said.exit, Exit::Well, "{}", said.err);
        (wav(&fs::read(site.home().join(name)).unwrap()), said.err)
    };
    let (before, told) = export("before.wav", &[]);
    assert_eq!(told, "");
    site.redact(&SPAN);

    let (after, told) = export("after.wav", &[]);
    assert!(told.contains("chunk 2 was taken out"), "{told}");
    assert_eq!(before.len(), after.len());
    // Chunk 2 has what came from 160 ms on and up to 320 ms: 8 packets of 20 ms of each side.
    let differ: Vec<usize> = (0..before.len()).filter(|&n| before[n] != after[n]).collect();
    let (Some(&first), Some(&last)) = (differ.first(), differ.last()) else { panic!("nothing is missing") };
    assert!(1280 <= first && last < 2560 && last - first > 1000, "{first} to {last}");
    assert!(after[first..=last].iter().all(|both| *both == [0, 0]), "both sides are silent");
    assert_eq!(differ.len(), 64, "8 packets of each side, which say 4 samples each");

    let (span, told) = export("span.wav", &["--from", "0.1", "--to", "0.4"]);
    assert!(told.contains("something of this span was taken out\n") && !told.contains("knows of nobody"), "{told}");
    assert_eq!(span[..], after[800..800 + span.len()]);
    let (_, told) = export("without.wav", &["--from", "0", "--to", "0.1"]);
    assert_eq!(told, "", "there is no hole in it");
    site.store.lock().unwrap().entries.iter_mut().for_each(|entry| entry.is_redacted = false);
    let (_, told) = export("unknown.wav", &["--from", "0.1", "--to", "0.4"]);
    assert!(told.contains("the access log knows of nobody who did it"), "{told}");
}

/// The samples of a WAV file of two channels.
fn wav(bytes: &[u8]) -> Vec<[i16; 2]> {
    let at = bytes.windows(4).position(|window| window == b"data").unwrap() + 8;
    bytes[at..].as_chunks::<4>().0.iter().map(|&[a, b, c, d]| [i16::from_le_bytes([a, b]), i16::from_le_bytes([c, d])]).collect()
}

#[test]
fn nothing_is_taken_out_of_what_is_held_for_another_purpose_or_for_a_key_that_nobody_knows() {
    let site = Site::with_recordings();
    let before = site.all_files();
    let says = |words: &[&str], exit, what: &str| {
        let said = site.redact(words);
        assert!(said.exit == exit && said.err.contains(what), "{:?} {}", said.exit, said.err);
    };

    says(&[], Exit::Usage, "what is to be taken out?");
    says(&["--from", "3", "--to", "2"], Exit::Usage, "lies before --from");
    says(&SPAN, Exit::Cannot, "whose public key is not known here");
    says(&["--from", "9"], Exit::Cannot, "whose public key is not known here");
    let other = site.run(
        &[
            &["recordings", "redact", "ID", "--key", "HOME/recipient.pem", "--reason", "a card", "--purpose", "training"],
            &SPAN[..],
        ]
        .concat(),
    );
    assert!(other.exit == Exit::Refused && other.err.contains("was made for `quality`"), "{}", other.err);
    site.says(&["recordings", "hold", "ID", "--reason", "case 7"]);
    says(&SPAN, Exit::Refused, "is held since");
    site.says(&["recordings", "release", "ID", "--reason", "case 7"]);
    site.store.lock().unwrap().entries[0].state = State::Torn;
    says(&SPAN, Exit::Refused, "no signature covers it");

    let files =
        |files: Vec<(PathBuf, Vec<u8>)>| files.into_iter().filter(|(path, _)| !path.ends_with("ledger.db")).collect::<Vec<_>>();
    assert!(files(site.all_files()) == files(before), "nothing was touched");
    let outcomes: Vec<_> = site.outcomes().into_iter().filter(|(deed, _)| *deed == Deed::Redact).map(|(_, came)| came).collect();
    let failed = [Outcome::Granted, Outcome::Failed];
    assert_eq!(outcomes[..4], [failed, failed].concat());
    assert_eq!(outcomes[4..], [Outcome::OtherPurpose, Outcome::Held, Outcome::Unfinished]);
}

#[test]
fn wherever_a_kill_came_the_recording_opens_and_the_next_go_ends_it() {
    let site = Site::with_one_recipient();
    let own = RecipientSecret::from_pem(RECIPIENT).unwrap();
    let [rec, keys] = [site.at("data/recordings/ID.rec"), site.at("data/keys/ID.key")];
    let [new_rec, new_keys] = [site.at("data/recordings/ID.rec.redacting"), site.at("data/keys/ID.key.rewrap")];
    let before = fs::read(&keys).unwrap();
    assert_eq!(site.redact(&SPAN).exit, Exit::Well);
    let (left, after) = (fs::read(&rec).unwrap(), fs::read(&keys).unwrap());
    let half = &left[..200];
    let nothing: &[u8] = &[];
    // While the new file is written, once it is; once it is in its place; while the new keys are written; and once they are.
    for (in_place, opens, beside, keys_beside) in [
        (COMPLETE, &before, half, nothing),
        (COMPLETE, &before, left.as_slice(), nothing),
        (left.as_slice(), &before, nothing, nothing),
        (left.as_slice(), &before, nothing, &after[..50]),
        (left.as_slice(), &before, nothing, after.as_slice()),
    ] {
        for (path, bytes) in [(&rec, in_place), (&keys, opens), (&new_rec, beside), (&new_keys, keys_beside)] {
            fs::write(path, bytes).unwrap();
        }
        let opened = Recording::open(in_place, opens, &own).unwrap().records();
        assert!(opened.into_iter().all(|record| record.is_ok()), "it opens as it lies there");

        let said = site.redact(&SPAN);

        assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
        site.is_gone();
        assert_eq!(site.left_over(), [""; 0]);
    }
    // All is in its place, and the old keys are there, or there no more; the last line of the log is not there yet: it is said, and once.
    for keys_beside in [before.as_slice(), nothing] {
        fs::write(&new_keys, keys_beside).unwrap();
        let mut store = site.store.lock().unwrap();
        store.accesses.retain(|access| (access.deed, access.outcome) != (Deed::Redact, Outcome::Done));
        drop(store);
        let verified = site.says(&["recordings", "verify", "ID"]);
        assert!(verified.contains("who did not come to the end"), "{verified}");

        let said = site.redact(&SPAN);

        assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
        assert!(said.out.contains("were taken out by an earlier go, which was cut short before it could say so"), "{}", said.out);
        site.is_gone();
        assert_eq!(site.left_over(), [""; 0]);
        let verified = site.says(&["recordings", "verify", "ID"]);
        assert!(verified.starts_with("ID  complete  ") && !verified.contains("did not come to the end"), "{verified}");
        assert_eq!(site.redact(&SPAN).exit, Exit::Cannot, "there is nothing to end any more");
    }
    // The old ones were not destroyed yet: whoever changes the keys next destroys them.
    fs::write(&new_keys, &before).unwrap();
    site.says(&["keys", "rewrap", "ID", "--key", "HOME/recipient.pem", "--add", "HOME/own.pub.pem"]);
    site.is_gone();
    fs::write(&new_rec, &left).unwrap();
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    assert_eq!(site.left_over(), [""; 0]);
}

#[test]
fn in_envelopes_the_keys_of_before_open_no_more_once_a_span_was_taken_out() {
    let site = Site::with_one_recipient();
    let shares = Shares::of(&site.at("data/keys"));
    shares.begin(&mut UnwrapErr(getrandom::SysRng), None).unwrap();
    let own = ["--key", "HOME/recipient.pem"];
    let new = RecipientSecret::generate(&mut UnwrapErr(getrandom::SysRng));
    fs::write(site.home().join("new.pub.pem"), new.public().to_pem()).unwrap();
    // What lay in none lies in one once it is written anew.
    let plain = fs::read(site.at("data/keys/ID.key")).unwrap();
    let rewrap = ["keys", "rewrap", "ID", "--add", "HOME/new.pub.pem"];
    site.says(&[&rewrap[..], &own].concat());
    let enveloped = fs::read(site.at("data/keys/ID.key")).unwrap();
    assert!(KeyFile::parse(&plain).is_ok() && KeyFile::parse(&enveloped).is_err());
    assert!(shares.open(id(), enveloped.clone()).is_ok());

    let said = site.redact(&[&["--public", "HOME/new.pub.pem"], &SPAN[..]].concat());

    assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
    assert!(shares.open(id(), enveloped).unwrap_err().to_string().contains("forgotten"));
    let verified = site.says(&[&["recordings", "verify", "ID"], &own[..]].concat());
    assert!(verified.starts_with("ID  complete  ") && verified.contains("chunk 2 was taken out"), "{verified}");
    assert!(site.says(&["recordings", "show", "ID"]).contains("ID.key, for "));
    let erased = site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes", "--json"]);
    assert!(erased.contains("\"copies_of_keys\":\"open\""), "a copy of before it lay in an envelope opens still: {erased}");
}

#[test]
fn a_chunk_that_somebody_without_a_key_took_out_is_disputed() {
    let site = Site::with_one_recipient();
    assert_eq!(site.redact(&SPAN).exit, Exit::Well);
    site.store.lock().unwrap().accesses.retain(|access| access.deed != Deed::Redact);

    let said = site.run(&["recordings", "verify", "ID"]);

    assert_eq!(said.exit, Exit::NotSo);
    assert!(said.out.starts_with("ID  disputed  ") && said.out.contains("of which the access log knows nothing"), "{}", said.out);
}
