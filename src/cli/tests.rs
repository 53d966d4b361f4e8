//! What the command line says, word for word, of a small installation made of the vault's test vectors.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, clippy::indexing_slicing, reason = "a test may panic")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use crate::catalogue::{
    Access, Deed, Entry, Filter, Opening, Outcome, Parties, Quality, Reason, State, Store, StoreError, Totals, Which, Write,
};
use crate::cli::doors::{Doors, exit};
use crate::cli::exit::Exit;
use crate::cli::term::{Colour, Stream, Term};
use crate::control::{Consent, Done, LiveCall, LiveState, NotDone, Reply, Trouble};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::private::Private;
use crate::time::Wall;

// ── check ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_right_configuration_is_told_as_what_it_means() {
    let site = Site::new();
    site.says(&["keys", "generate"]);

    assert_eq!(
        site.says(&["check"]),
        "\
HOME/site.toml is right.

  listens   udp 127.0.0.1:5060; others get no answer
  PBX       127.0.0.1:5090
  trunk     carrier, 127.0.0.1:5080
  media     127.0.0.1; ports 20000 to 60000, 20000 pairs for each side
  metrics   http://127.0.0.1:9464/metrics
  data      HOME/data
  signs     HOME/data/node.pem  FINGERPRINT
  listener  desk, for quality  FINGERPRINT

The first policy that matches a call decides; a call that none matches is not recorded.

  POLICY  CALLS                     MODE                      MUST AGREE  PURPOSE  ANNOUNCEMENT
  vip     outbound calls to +4989…  never                     –           –        –
  all     all calls                 opt-in, key 1 within 5 s  remote      quality  de, 1.5 s
"
    );
}

#[test]
fn every_mistake_in_the_configuration_and_the_files_is_told_at_once() {
    let site = Site::new();
    site.change("strangers = \"drop\"", "stranger = \"drop\"");

    let said = site.run(&["check"]);

    assert_eq!(said.exit, Exit::NotSo);
    assert_eq!(said.out, "");
    assert_eq!(
        said.err,
        "\
error: HOME/site.toml:3: [sip] has no setting `stranger`
  did you mean `strangers`?
one mistake; the proxy does not start with it
"
    );

    site.change("stranger = \"drop\"", "strangers = \"drop\"");
    fs::remove_file(site.home().join("a.wav")).unwrap();
    let said = site.run(&["check"]);

    assert_eq!(
        said.err,
        "\
error: HOME/site.toml:19: the public key of `desk`, `HOME/keys/desk.pub.pem`, is not there
  make it with: mitschnitt keys generate --config HOME/site.toml
error: HOME/site.toml:33: the announcement of `all` in `de`, `HOME/a.wav`, is not there
  put it there, or correct the path
error: HOME/site.toml: the node's key, `HOME/data/node.pem`, is not there
  make it with: mitschnitt keys generate --config HOME/site.toml
3 mistakes; the proxy does not start with them
"
    );
}

#[test]
fn mistakes_are_told_to_programs_too() {
    let site = Site::new();
    site.change("ports = \"20000-60000\"", "ports = \"1-2\"");

    let said = site.run(&["check", "--json"]);

    assert_eq!((said.exit, said.err.as_str()), (Exit::NotSo, ""));
    let mistake: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&mistake["line"], &mistake["weight"]), (&11.into(), &"error".into()));
}

#[test]
fn an_announcement_that_is_no_sound_is_told_with_what_to_do() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    fs::write(site.home().join("a.wav"), "no sound").unwrap();

    let said = site.run(&["check"]);

    assert!(said.err.contains("`HOME/a.wav`, cannot be used: it is no WAV\n  record it again\n"), "{}", said.err);
}

#[test]
fn a_data_directory_that_is_a_file_is_told() {
    let site = Site::new();
    fs::write(site.home().join("data"), "").unwrap();

    let said = site.run(&["check"]);

    let expected = "error: HOME/site.toml: the data directory `HOME/data` is no directory\n  move that file away, or name another `data.directory`\n";
    assert!(said.err.contains(expected), "{}", said.err);
}

#[test]
fn the_proxy_does_not_start_with_a_mistake_and_is_told_which_command_makes_keys() {
    let site = Site::new();

    let said = site.run(&["run"]);
    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.contains("  make it with: mitschnitt keys generate --config HOME/site.toml\n"), "{}", said.err);

    site.says(&["keys", "generate"]);
    let said = site.run(&["run"]);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Cannot, "error: ran with 2 policies\n  as the test wanted\n"));

    site.change("ports = \"20000-60000\"", "ports = \"1-2\"");
    let said = site.run(&["run"]);
    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.ends_with("\none mistake; the proxy does not start with it\n"), "{}", said.err);
}

#[test]
fn two_halves_of_the_nodes_key_that_do_not_belong_together_are_a_mistake() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    fs::write(site.home().join("data/node.pub.pem"), include_bytes!("../../tests/vault/vectors/other-node.pub.pem")).unwrap();

    let (checked, ran) = (site.run(&["check"]), site.run(&["run"]));

    let expected = "error: HOME/site.toml: `HOME/data/node.pub.pem` is not the public half of `HOME/data/node.pem`: recordings would not verify\n";
    assert_eq!((checked.exit, ran.exit), (Exit::NotSo, Exit::Cannot));
    assert!(checked.err.starts_with(expected) && ran.err.starts_with(expected), "{}{}", checked.err, ran.err);

    fs::write(site.home().join("data/node.pub.pem"), "a poem").unwrap();
    let said = site.run(&["check"]);
    assert!(
        said.err.starts_with("error: HOME/site.toml: the node's public key, `HOME/data/node.pub.pem`, cannot be used: "),
        "{}",
        said.err
    );

    fs::remove_file(site.home().join("data/node.pub.pem")).unwrap();
    assert_eq!(site.run(&["check"]).exit, Exit::Well, "only who verifies needs it");
}

#[test]
fn a_configuration_that_is_no_utf_8_is_told_as_a_mistake() {
    let site = Site::new();
    fs::write(site.config(), b"[sip]\nlisten = \"\xff\"\n").unwrap();

    let (checked, listed) = (site.run(&["check"]), site.run(&["recordings", "list"]));

    assert_eq!((checked.exit, listed.exit), (Exit::NotSo, Exit::Cannot));
    assert!(checked.err.starts_with("error: HOME/site.toml:2: this is no UTF-8\n"), "{}", checked.err);
}

#[test]
fn a_configuration_that_is_not_there_is_told() {
    let site = Site::new();
    fs::remove_file(site.config()).unwrap();

    let said = site.run(&["recordings", "list"]);

    assert_eq!(said.exit, Exit::Cannot);
    assert_eq!(
        said.err,
        "error: cannot read the configuration `HOME/site.toml`: it is not there\n  name it with --config FILE; deploy/mitschnitt.toml is a sample\n"
    );
}

// ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn keys_are_made_once_and_the_secret_ones_are_to_be_moved_away() {
    let site = Site::new();

    let said = site.says(&["keys", "generate"]);
    let (heading, rows) = said.split_once('\n').unwrap();
    assert_eq!(heading.split_whitespace().collect::<Vec<_>>(), ["KEY", "FILE", "FINGERPRINT"]);
    assert_eq!(
        rows,
        "\
made  node, signs   HOME/data/node.pem         FINGERPRINT
made  node, public  HOME/data/node.pub.pem     FINGERPRINT
made  desk, secret  HOME/keys/desk.secret.pem  FINGERPRINT
made  desk, public  HOME/keys/desk.pub.pem     FINGERPRINT

Move this file off this machine now, to those who may listen:
  HOME/keys/desk.secret.pem
Whoever holds it can open the recordings made for it; without it nobody can. The proxy needs none of them.
"
    );

    let keys = ["data/node.pem", "data/node.pub.pem", "keys/desk.secret.pem", "keys/desk.pub.pem"];
    let before = keys.map(|name| fs::read(site.home().join(name)).unwrap());
    let modes = keys.map(|name| fs::metadata(site.home().join(name)).unwrap().permissions().mode() & 0o777);
    assert_eq!([modes[0], modes[2]], [0o600, 0o600]);
    let said = site.says(&["keys", "generate"]);
    assert!(!said.contains("made  ") && said.contains("kept  node, signs"), "{said}");
    assert_eq!(keys.map(|name| fs::read(site.home().join(name)).unwrap()), before);

    // Once the secret one was moved away, all is quiet.
    fs::remove_file(site.home().join("keys/desk.secret.pem")).unwrap();
    let said = site.says(&["keys", "generate"]);
    assert!(!said.contains("secret") && !said.contains("Move"), "{said}");
}

#[test]
fn nothing_is_written_where_halves_do_not_belong_together() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    let secret = fs::read(site.home().join("keys/desk.secret.pem")).unwrap();
    fs::remove_dir_all(site.home().join("keys")).unwrap();
    fs::remove_file(site.home().join("data/node.pem")).unwrap();

    let said = site.run(&["keys", "generate"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Cannot, ""));
    assert!(
        said.err.starts_with("error: the node's key, `HOME/data/node.pem`, is not there, and its public half is\n"),
        "{}",
        said.err
    );
    assert!(!site.home().join("data/node.pem").exists() && !site.home().join("keys").exists());

    fs::remove_file(site.home().join("data/node.pub.pem")).unwrap();
    site.says(&["keys", "generate"]);
    fs::remove_file(site.home().join("data/node.pub.pem")).unwrap();
    fs::write(site.home().join("keys/desk.secret.pem"), secret).unwrap();
    let said = site.run(&["keys", "generate"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Cannot, ""));
    assert!(said.err.contains("`HOME/keys/desk.secret.pem` is not the secret half of `HOME/keys/desk.pub.pem`"), "{}", said.err);
    assert!(!site.home().join("data/node.pub.pem").exists());
}

#[test]
fn who_share_a_key_have_one() {
    let site = Site::new();
    let shared = "[[recipient]]\nname = \"law\"\npurposes = [\"quality\"]\npublic_key = \"HOME/keys/desk.pub.pem\"\n[[policy]]\nname = \"vip\"";
    site.change("[[policy]]\nname = \"vip\"", &shared.replace("HOME", site.home().to_str().unwrap()));

    let said = site.says(&["keys", "generate"]);

    assert!(said.contains("made  desk and law, public  "), "{said}");
    assert_eq!(said.matches("desk.pub.pem").count(), 1);
}

#[test]
fn a_configuration_with_a_mistake_makes_no_keys() {
    let site = Site::new();
    site.change("ports = \"20000-60000\"", "ports = \"1-2\"");

    assert_eq!(site.run(&["keys", "generate"]).exit, Exit::Cannot);
    assert!(!site.home().join("keys").exists());
}

#[test]
fn a_public_key_that_was_lost_is_made_from_its_secret_half() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    let before = fs::read(site.home().join("keys/desk.pub.pem")).unwrap();
    fs::remove_file(site.home().join("keys/desk.pub.pem")).unwrap();

    let said = site.says(&["keys", "generate"]);

    assert!(said.contains("kept  desk, secret") && said.contains("made  desk, public"), "{said}");
    assert_eq!(fs::read(site.home().join("keys/desk.pub.pem")).unwrap(), before);
}

// ── list and show ──────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn recordings_are_listed_with_the_parties_masked() {
    let site = Site::with_recordings();

    assert_eq!(
        site.says(&["recordings", "list"]),
        "\
BEGAN (UTC)          LENGTH  WAY       FROM  TO  PURPOSE  STATE   RECORDING
2026-11-24 09:30:00    1:02  inbound   …456  …0  quality  sealed  ID
2026-11-24 09:40:00       –  outbound  …456  …0  quality  torn    OTHER

2 recordings, 1:02 in all.
"
    );
    assert!(site.says(&["recordings", "list", "--numbers"]).contains("  +4930123456  100  "));
}

#[test]
fn calls_that_were_not_recorded_are_listed_with_their_reason() {
    let site = Site::with_recordings();

    assert_eq!(
        site.says(&["recordings", "list", "--all"]),
        "\
BEGAN (UTC)          LENGTH  WAY       FROM  TO  POLICY  STATE   REASON           CALL
2026-11-24 09:30:00    1:02  inbound   …456  …0  all     sealed  recorded         0000000000000001
2026-11-24 09:40:00       –  outbound  …456  …0  all     torn    torn             0000000000000002
2026-11-24 09:50:00    0:20  inbound   –     –   all     none    consent-timeout  0000000000000003

3 calls, 2 of them recorded.
"
    );
    let only = site.says(&["recordings", "list", "--reason", "consent-timeout"]);
    assert!(only.contains("0000000000000003") && !only.contains("0000000000000001"), "{only}");
    assert_eq!(site.says(&["recordings", "list", "--reason", "busy"]), "No calls with the reason busy.\n");
}

#[test]
fn rows_are_told_to_programs_one_a_line_with_the_parties_masked() {
    let site = Site::with_recordings();

    let said = site.says(&["recordings", "list", "--all", "--json"]);

    let rows: Vec<serde_json::Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!((&rows[0]["recording"], &rows[0]["state"], &rows[0]["calling"]), (&"ID".into(), &"sealed".into(), &"…456".into()));
    assert_eq!((&rows[0]["began"], &rows[0]["talked_s"]), (&"2026-11-24T09:30:00.250Z".into(), &62.0.into()));
    assert_eq!(
        (&rows[2]["recording"], &rows[2]["reason"], &rows[2]["calling"]),
        (&().into(), &"consent-timeout".into(), &().into())
    );
    let full: serde_json::Value =
        serde_json::from_str(site.says(&["recordings", "list", "--json", "--last", "1", "--numbers"]).trim()).unwrap();
    assert_eq!(full["calling"], "+4930123456");
}

#[test]
fn a_recording_is_shown_whole() {
    let site = Site::with_recordings();
    let access = Access {
        at: wall(3600),
        who: "alice (uid 1000)".into(),
        deed: Deed::Export,
        recording: id(),
        purpose: Some("marketing".into()),
        reason: None,
        outcome: Outcome::OtherPurpose,
    };
    site.store.lock().unwrap().accesses.push(access);

    assert_eq!(
        site.says(&["recordings", "show", "ID"]),
        "\
recording ID  sealed
  The terms of the policy were met, and the call was recorded.

  reason    recorded
  call      0000000000000001
  way       inbound over carrier
  from      …456
  to        …0
  policy    all
  purpose   quality
  began     2026-11-24T09:30:00.250Z
  answered  2026-11-24T09:30:02.250Z
  ended     2026-11-24T09:31:04.250Z
  talked    1:02
  packets   40 from the PBX, 39 from the trunk
  gaps      1, 2 packets known to be missing

  file  HOME/data/recordings/ID.rec, SIZE bytes
  keys  HOME/data/keys/ID.key, for FINGERPRINT and FINGERPRINT

access log
  AT (UTC)             WHO               DEED    OUTCOME          WHY
  2026-11-24 10:30:00  alice (uid 1000)  export  refused-purpose  marketing
"
    );
}

#[test]
fn how_good_a_call_was_is_shown_in_words_and_in_figures() {
    let site = Site::with_recordings();
    let pbx = Quality {
        expected: 3000,
        received: 2991,
        duplicates: 1,
        reordered: 2,
        jitter: Some(Duration::from_micros(458)),
        worst_jitter: Some(Duration::from_micros(12_100)),
        longest_gap: Duration::from_millis(80),
        round_trip: Some(Duration::from_millis(31)),
        mos_hundredths: Some(437),
        is_one_way: false,
    };
    site.store.lock().unwrap().entries[0].quality = Some([pbx, Quality { is_one_way: true, ..Quality::default() }]);

    let said = site.says(&["recordings", "show", "ID"]);
    let row: serde_json::Value =
        serde_json::from_str(site.says(&["recordings", "list", "--json", "--last", "2"]).lines().next().unwrap()).unwrap();

    let line =
        "  PBX       10 of 3000 packets lost (0.33 %), jitter 0.5 ms, longest gap 80 ms, round trip 31 ms, MOS 4.4 (estimated)\n";
    assert!(said.contains(line), "{said}");
    assert!(said.contains("  trunk     nothing came, one-way: the other side talked\n"), "{said}");
    assert_eq!((&row["quality"]["pbx"]["loss_percent"], &row["quality"]["pbx"]["mos"]), (&0.33.into(), &4.37.into()));
    assert_eq!((&row["quality"]["pbx"]["jitter_ms"], &row["quality"]["trunk"]["one_way"]), (&0.458.into(), &true.into()));
    assert_eq!(
        (&row["quality"]["trunk"]["mos"], &row["quality"]["trunk"]["loss_percent"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
}

#[test]
fn keys_that_open_nothing_are_told() {
    let site = Site::with_recordings();
    let path = site.home().join(format!("data/keys/{}.key", id()));
    let said = || site.says(&["recordings", "show", "ID"]);

    fs::write(&path, "damaged").unwrap();
    assert!(
        said().contains("/ID.key, damaged: nobody can open the recording until they are taken from a backup\n"),
        "{}",
        said()
    );
    fs::remove_file(&path).unwrap();
    assert!(said().contains("/ID.key, not there: nobody can open the recording\n"), "{}", said());
}

#[test]
fn a_recording_that_goes_on_is_shown_as_being_made() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().entries[0].state = State::Recording;

    let said = site.says(&["recordings", "show", "ID"]);

    assert!(said.contains("\n  The terms of the policy are met, and the call is being recorded.\n"), "{said}");
}

#[test]
fn a_call_without_a_recording_says_why() {
    let site = Site::with_recordings();

    assert_eq!(
        site.says(&["recordings", "show", "0000000000000003"]),
        "\
call 0000000000000003  not recorded
  The agreeing key was not pressed in time; silence is a no.

  reason    consent-timeout, on the trunk's side
  call      0000000000000003
  way       inbound over carrier
  from      erased
  to        erased
  policy    all
  purpose   none
  began     2026-11-24T09:50:00.250Z
  answered  2026-11-24T09:50:02.250Z
  ended     2026-11-24T09:50:22.250Z
  talked    0:20
"
    );
    let unknown = site.run(&["recordings", "show", "00000000000000ff"]);
    assert_eq!(unknown.exit, Exit::NotFound);
    assert_eq!(
        unknown.err,
        "error: the ledger has no call 00000000000000ff\n  `mitschnitt recordings list --all` shows what there is\n"
    );
    assert_eq!(site.run(&["recordings", "show", "../../etc/passwd"]).exit, Exit::Usage);
}

#[test]
fn recordings_can_be_had_although_the_configuration_has_mistakes_elsewhere() {
    let site = Site::with_recordings();
    site.change("mode = \"opt-in\"", "mode = \"maybe\"");

    let said = site.run(&["recordings", "list"]);

    assert_eq!(said.exit, Exit::Well);
    assert_eq!(
        said.err,
        "note: HOME/site.toml has 1 mistake; recordings are found all the same\n  mitschnitt check --config HOME/site.toml tells it\n"
    );
}

// ── verify ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_recording_is_verified_without_a_key_and_with_one() {
    let site = Site::with_recordings();

    let said = site.says(&["recordings", "verify", "ID"]);
    assert!(said.starts_with("ID  complete  "), "{said}");
    assert!(said.ends_with(" chunks, SIZE bytes; signature and chain are good\n"), "{said}");
    assert_eq!(site.outcomes(), []);

    let said = site.says(&["recordings", "verify", "ID", "--key", "HOME/recipient.pem"]);
    assert!(said.contains("signature, chain and content are good; "), "{said}");
    assert_eq!(site.outcomes(), [(Deed::Verify, Outcome::Granted), (Deed::Verify, Outcome::Done)]);
}

#[test]
fn a_recording_that_is_not_whole_is_told_from_one_that_was_cut_and_one_that_was_changed() {
    let site = Site::with_recordings();

    let torn = site.run(&["recordings", "verify", "OTHER"]);
    assert_eq!(torn.exit, Exit::NotSo);
    assert!(torn.out.starts_with("OTHER  torn  ") && torn.out.contains("a crash and a cut look alike"), "{}", torn.out);

    let path = site.home().join(format!("data/recordings/{}.rec", id()));
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let cut = site.run(&["recordings", "verify", "ID"]);
    assert_eq!(cut.exit, Exit::NotSo);
    let expected = "ID  cut  the ledger has it sealed with SIZE bytes: 100 bytes are missing; ";
    assert!(cut.out.starts_with(expected), "{}", cut.out);

    let mut changed = whole;
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    fs::write(&path, &changed).unwrap();
    let broken = site.run(&["recordings", "verify", "--all", "--json"]);
    assert_eq!(broken.exit, Exit::NotSo);
    let verdicts: Vec<serde_json::Value> = broken.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(verdicts.iter().map(|line| line["verdict"].as_str().unwrap()).collect::<Vec<_>>(), ["broken", "torn"]);
}

#[test]
fn a_recording_that_is_not_there_or_another_nodes_has_no_verdict() {
    let site = Site::with_recordings();
    fs::write(site.home().join("other.pub.pem"), include_bytes!("../../tests/vault/vectors/other-node.pub.pem")).unwrap();

    let gone = site.run(&["recordings", "verify", "000000000000000000000000000000ff"]);
    let others = site.run(&["recordings", "verify", "ID", "--node", "HOME/other.pub.pem"]);

    assert_eq!((gone.exit, gone.out.as_str()), (Exit::NotFound, ""));
    assert_eq!((others.exit, others.out.as_str()), (Exit::NotSo, ""));
    assert!(others.err.contains("it says node FINGERPRINT made it, and the key given is FINGERPRINT"), "{}", others.err);
}

#[test]
fn a_recording_whose_file_is_gone_is_missing_and_the_ledger_is_quoted() {
    let site = Site::with_recordings();
    for id in [id(), other()] {
        fs::remove_file(site.home().join(format!("data/recordings/{id}.rec"))).unwrap();
    }

    let (one, all, exported) = (
        site.run(&["recordings", "verify", "ID"]),
        site.run(&["recordings", "verify", "--all"]),
        site.run(&site.export("quality", "one.wav")),
    );

    let sealed = "the ledger has it sealed with SIZE bytes, and its file `HOME/data/recordings/ID.rec` is not there";
    let torn = "the ledger has it torn, and its file `HOME/data/recordings/OTHER.rec` is not there";
    assert_eq!((one.exit, all.exit, exported.exit), (Exit::NotSo, Exit::NotSo, Exit::NotSo));
    assert_eq!(one.out, format!("ID  missing  {sealed}; take it from a backup\n"));
    assert_eq!(all.out, format!("{}OTHER  missing  {torn}; take it from a backup\n\n2 recordings, 0 complete.\n", one.out));
    assert_eq!(exported.err, format!("error: recording ID is missing: {sealed}\n  take it from a backup\n"));
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Failed)]);
}

#[test]
fn where_all_recordings_are_still_being_made_there_is_nothing_to_verify() {
    let site = Site::with_recordings();
    // Somebody runs: else nobody could be making them.
    let _proxy = UnixListener::bind(site.home().join("data/control.sock")).unwrap();
    site.store.lock().unwrap().entries.retain_mut(|entry| {
        entry.state = State::Recording;
        entry.recording == Some(id())
    });

    assert_eq!(site.says(&["recordings", "verify", "--all"]), "Nothing to verify: 1 recording still being made.\n");
    assert_eq!(site.says(&["recordings", "verify", "--all", "--json"]), "");
}

#[test]
fn one_recording_that_is_gone_does_not_keep_the_others_from_being_verified() {
    let site = Site::with_recordings();

    let said = site.run(&["recordings", "verify", "000000000000000000000000000000ff", "ID"]);

    assert_eq!(said.exit, Exit::NotFound);
    assert!(said.out.starts_with("ID  complete  ") && said.out.ends_with("\n2 recordings, 1 complete.\n"), "{}", said.out);
}

#[test]
fn a_key_that_does_not_open_a_recording_is_no_verdict_on_it() {
    let site = Site::with_recordings();

    let said = site.run(&["recordings", "verify", "ID", "--key", "HOME/stranger.pem"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""));
    assert_eq!(
        said.err,
        "error: recording ID: this key does not open it: FINGERPRINT is none of its recipients\n  `mitschnitt recordings show` names the keys that do\n"
    );
    assert_eq!(site.outcomes(), [(Deed::Verify, Outcome::Granted), (Deed::Verify, Outcome::WrongKey)]);
}

// ── export ─────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn a_recording_is_exported_for_its_purpose_to_the_same_bytes_each_time() {
    let site = Site::with_recordings();

    let said = site.says(&site.export("quality", "one.wav"));
    site.says(&site.export("quality", "two.wav"));

    assert!(said.starts_with("HOME/one.wav\n  sound   0:00, 8000 Hz, stereo\n  left    PBX: "), "{said}");
    let wavs = ["one.wav", "two.wav"].map(|name| fs::read(site.home().join(name)).unwrap());
    assert_eq!(&wavs[0][..4], b"RIFF");
    assert_eq!(wavs[0], wavs[1]);
    assert_eq!(fs::metadata(site.home().join("one.wav")).unwrap().permissions().mode() & 0o777, 0o600);
    let once = [(Deed::Export, Outcome::Granted), (Deed::Export, Outcome::Done)];
    assert_eq!(site.outcomes(), [once, once].concat());
    let who = &site.store.lock().unwrap().accesses[0].who;
    assert!(who.contains("uid"), "{who}");
}

#[test]
fn an_export_for_another_purpose_is_refused_and_logged() {
    let site = Site::with_recordings();

    let said = site.run(&site.export("marketing", "one.wav"));

    assert_eq!((said.exit, said.out.as_str()), (Exit::Refused, ""));
    assert_eq!(
        said.err,
        "error: recording ID was made for `quality`, not for `marketing`\n  a recording is opened for its own purpose only; this refusal is in the access log\n"
    );
    assert!(!site.home().join("one.wav").exists());
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::OtherPurpose)]);
    assert_eq!(site.store.lock().unwrap().accesses[0].purpose.as_deref(), Some("marketing"));
}

#[test]
fn the_purpose_inside_the_recording_counts_more_than_the_ledgers() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().entries[0].purpose = Some("marketing".into());

    let said = site.run(&site.export("marketing", "one.wav"));

    assert_eq!(said.exit, Exit::Refused);
    assert!(said.err.contains("was made for `quality`, not for `marketing`"), "{}", said.err);
    assert!(!site.home().join("one.wav").exists());
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Granted), (Deed::Export, Outcome::OtherPurpose)]);
}

#[test]
fn nothing_is_exported_that_cannot_be_logged() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().log_is_full = true;

    let said = site.run(&site.export("quality", "one.wav"));

    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.starts_with("error: nothing is opened that cannot be logged: "), "{}", said.err);
    assert!(!site.home().join("one.wav").exists());
}

#[test]
fn nothing_is_exported_of_a_recording_that_was_changed_and_what_there_is_of_a_torn_one() {
    let site = Site::with_recordings();
    let path = site.home().join(format!("data/recordings/{}.rec", id()));
    let whole = fs::read(&path).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    fs::write(&path, &changed).unwrap();

    let broken = site.run(&site.export("quality", "one.wav"));
    assert_eq!(broken.exit, Exit::NotSo);
    assert!(broken.err.contains("nothing is exported of what was changed"), "{}", broken.err);
    assert!(!site.home().join("one.wav").exists());
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Failed)]);

    fs::write(&path, &whole[..whole.len() - 100]).unwrap();
    let cut = site.run(&site.export("quality", "one.wav"));
    assert_eq!(cut.exit, Exit::NotSo, "the ledger knows that bytes are missing");
    assert!(cut.err.starts_with("warning: recording ID is cut: the ledger has it sealed with SIZE bytes"), "{}", cut.err);
    assert!(cut.out.starts_with("HOME/one.wav\n"), "{}", cut.out);

    site.store.lock().unwrap().entries[0].state = State::Torn;
    let torn = site.run(&site.export("quality", "two.wav"));
    assert_eq!(torn.exit, Exit::Well, "it has never been longer");
    assert!(torn.err.starts_with("warning: recording ID is torn: "), "{}", torn.err);
}

#[test]
fn an_export_that_cannot_be_begun_is_logged_too() {
    let site = Site::with_recordings();
    let with_key = |key: &'static str| {
        let mut words = site.export("quality", "one.wav");
        words[4] = key;
        site.run(&words)
    };

    let (absent, public) = (with_key("HOME/nobody.pem"), with_key("HOME/data/node.pub.pem"));
    let other_node = site.run(&[site.export("quality", "one.wav"), vec!["--node", "HOME/a.wav"]].concat());

    assert_eq!([absent.exit, public.exit, other_node.exit], [Exit::Cannot; 3]);
    assert_eq!(
        public.err,
        "error: cannot use the key `HOME/data/node.pub.pem`: this is the public half\n  name the *.secret.pem\n"
    );
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Failed); 3]);
}

#[test]
fn no_file_is_overwritten() {
    let site = Site::with_recordings();
    fs::write(site.home().join("one.wav"), "mine").unwrap();

    let said = site.run(&site.export("quality", "one.wav"));

    assert_eq!(said.exit, Exit::Cannot);
    assert_eq!(said.err, "error: `HOME/one.wav` is there already\n  name another file: none is overwritten\n");
    assert_eq!(fs::read(site.home().join("one.wav")).unwrap(), b"mine");
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Failed)]);
}

// ── erase ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn what_is_erased_has_no_keys_left_and_stays_in_the_ledger_with_who_and_why() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", id()));
    let (length, other_name) = (fs::metadata(&keys).unwrap().len(), site.home().join("other-name"));
    fs::hard_link(&keys, &other_name).unwrap();

    let said = site.says(&["recordings", "erase", "ID", "--reason", " GDPR 17 ", "--yes"]);

    assert!(said.starts_with("Recording ID is erased. Its keys were destroyed on 20"), "{said}");
    assert!(said.ends_with(": GDPR 17.\n"), "{said}");
    assert!(!keys.exists());
    assert_eq!(fs::read(other_name).unwrap(), vec![0; usize::try_from(length).unwrap()], "overwritten before it was removed");
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Granted), (Deed::Erase, Outcome::Done)]);
    assert!(site.store.lock().unwrap().accesses.iter().all(|access| access.reason.as_deref() == Some("GDPR 17")));
    assert!(site.says(&["recordings", "list"]).contains("quality  erased  ID\n"));
    let shown = site.says(&["recordings", "show", "ID"]);
    assert!(shown.starts_with("recording ID  erased\n  Its keys were destroyed on 20"), "{shown}");
    assert!(shown.contains("/ID.key, destroyed\n") && shown.contains("  erase  done     GDPR 17\n"), "{shown}");
}

#[test]
fn what_was_erased_verifies_by_its_chain_and_is_not_exported() {
    let site = Site::with_recordings();
    site.says(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);

    for key in [&[][..], &["--key", "HOME/recipient.pem"]] {
        let said = site.says(&[&["recordings", "verify", "ID"], key].concat());
        assert!(
            said.starts_with("ID  erased  ") && said.contains("; signature and chain are good; its keys were destroyed on "),
            "{said}"
        );
    }
    let all = site.run(&["recordings", "verify", "--all"]);
    assert!(all.out.ends_with("\n2 recordings, 0 complete, 1 erased.\n"), "{}", all.out);
    let exported = site.run(&site.export("quality", "one.wav"));
    assert_eq!(exported.exit, Exit::NotFound);
    assert!(exported.err.starts_with("error: recording ID was erased: its keys were destroyed on 20"), "{}", exported.err);
    assert!(!site.home().join("one.wav").exists());
    assert_eq!(site.outcomes()[2..], [(Deed::Export, Outcome::Erased)]);
}

#[test]
fn keys_that_come_back_from_a_backup_are_told_and_destroyed_again() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", id()));
    let backup = fs::read(&keys).unwrap();
    let erase = ["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"];
    site.says(&erase);
    let said = site.says(&erase);
    assert!(said.starts_with("Recording ID is erased already. Its keys were destroyed on 20"), "{said}");
    assert_eq!(site.outcomes().len(), 2, "nothing was done");

    fs::write(&keys, backup).unwrap();
    let verified = site.run(&["recordings", "verify", "ID"]);
    assert_eq!(verified.exit, Exit::NotSo);
    assert!(verified.out.starts_with("ID  restored  its keys were destroyed on 20"), "{}", verified.out);
    assert_eq!(site.run(&site.export("quality", "one.wav")).exit, Exit::NotFound);
    site.says(&erase);

    assert!(!keys.exists());
}

#[test]
fn what_is_being_made_is_not_erased() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().entries[0].state = State::Recording;
    let _proxy = UnixListener::bind(site.home().join("data/control.sock")).unwrap();

    let said = site.run(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);

    assert_eq!(said.exit, Exit::Refused);
    assert_eq!(
        said.err,
        "error: recording ID is still being made\n  `mitschnitt calls withdraw 0000000000000001` ends it; then it can be erased\n"
    );
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Unfinished)]);
}

#[test]
fn what_could_not_be_destroyed_is_not_called_erased() {
    let site = Site::with_recordings();
    let keys = site.home().join(format!("data/keys/{}.key", other()));
    fs::remove_file(&keys).unwrap();
    fs::create_dir(&keys).unwrap();

    let said = site.run(&["recordings", "erase", "OTHER", "--reason", "GDPR 17", "--yes"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Cannot, ""));
    assert!(
        said.err.starts_with("error: recording OTHER is not erased: cannot open `HOME/data/keys/OTHER.key`: "),
        "{}",
        said.err
    );
    assert_eq!(site.outcomes(), [(Deed::Erase, Outcome::Granted), (Deed::Erase, Outcome::Failed)]);
    assert!(site.says(&["recordings", "list"]).contains("quality  torn    OTHER\n"));

    fs::remove_dir(&keys).unwrap();
    site.says(&["recordings", "erase", "OTHER", "--reason", "GDPR 17", "--yes"]);
    assert!(site.says(&["recordings", "list"]).contains("quality  erased  OTHER\n"), "keys that are gone already are destroyed");
}

#[test]
fn nothing_is_erased_that_cannot_be_logged_or_without_a_reason() {
    let site = Site::with_recordings();
    site.store.lock().unwrap().log_is_full = true;

    let unlogged = site.run(&["recordings", "erase", "ID", "--reason", "GDPR 17", "--yes"]);
    let unreasoned = [" ", "one\nline"].map(|reason| site.run(&["recordings", "erase", "ID", "--reason", reason, "--yes"]).exit);
    let unknown = site.run(&["recordings", "erase", &"0".repeat(32), "--reason", "GDPR 17", "--yes"]);

    assert_eq!((unlogged.exit, unreasoned, unknown.exit), (Exit::Cannot, [Exit::Usage; 2], Exit::NotFound));
    assert!(unlogged.err.starts_with("error: nothing is erased that cannot be logged: "), "{}", unlogged.err);
    assert!(site.home().join(format!("data/keys/{}.key", id())).exists());
}

// ── calls ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn the_running_proxy_is_asked_for_its_calls() {
    let site = Site::with_recordings();
    let call = |state, consent, reason: &str, number: &str| LiveCall {
        call: "00000000000000c0".into(),
        since: "2026-11-24T09:30:00.250Z".into(),
        age_s: 61,
        direction: "inbound".into(),
        trunk: "carrier".into(),
        policy: Some("all".into()),
        state,
        resumes_in_s: None,
        consent,
        reason: reason.into(),
        recording: None,
        calling: number.into(),
        called: "…0".into(),
    };
    let calls = vec![
        call(LiveState::Ringing, None, "in-progress", "…456"),
        call(LiveState::Up, Some(Consent::Refused), "consent-timeout", "…456"),
        call(LiveState::Recording, Some(Consent::Granted), "recorded", "\u{1b}[2J"),
        call(LiveState::Paused, Some(Consent::Granted), "recorded", "…456"),
    ];
    let asked = site.proxy_answers(&Reply::Calls { calls });

    let said = site.says(&["calls", "list"]);

    assert_eq!(
        said,
        "\x20AGE  WAY      TRUNK    FROM  TO  STATE      CONSENT          POLICY  CALL
1:01  inbound  carrier  …456  …0  ringing    –                all     00000000000000c0
1:01  inbound  carrier  …456  …0  up         consent-timeout  all     00000000000000c0
1:01  inbound  carrier  \u{fffd}[2J  …0  recording  granted          all     00000000000000c0
1:01  inbound  carrier  …456  …0  paused     granted          all     00000000000000c0

4 calls, 1 of them recorded at this moment, 1 paused.
"
    );
    assert_eq!(asked.join().unwrap(), "{\"ask\":\"calls\",\"numbers\":false}\n");
}

#[test]
fn what_an_operator_does_to_a_call_is_said_as_it_was_done() {
    let paused = Reply::Done(Done::Paused { resumes_in_s: 120 });
    let site = Site::with_recordings();
    for (deed, form, reply, says) in [
        ("pause", &[][..], paused.clone(), "The recording of call 00000000000000c0 is paused; it goes on by itself in 120 s.\n"),
        ("pause", &["--json"], paused, "{\"call\":\"00000000000000c0\",\"done\":\"paused\",\"resumes_in_s\":120}\n"),
        ("resume", &[], Reply::Done(Done::Resumed), "The recording of call 00000000000000c0 goes on.\n"),
        ("withdraw", &[], Reply::Done(Done::Withdrawn), "Nothing of call 00000000000000c0 is kept from here on.\n"),
    ] {
        let asked = site.proxy_answers(&reply);

        let said = site.says(&[&["calls", deed, "00000000000000c0"], form].concat());

        assert_eq!(said, says);
        assert_eq!(asked.join().unwrap(), format!("{{\"ask\":\"{deed}\",\"call\":\"00000000000000c0\"}}\n"));
        fs::remove_file(site.home().join("data/control.sock")).unwrap();
    }
}

#[test]
fn what_cannot_be_done_to_a_call_is_said_with_its_reason() {
    let site = Site::with_recordings();
    for (deed, why, reason, exit, begins) in [
        ("pause", NotDone::NoSuchCall, None, Exit::NotFound, "error: there is no call 00000000000000c0 at this moment\n"),
        (
            "pause",
            NotDone::NotRecorded,
            Some("no-policy"),
            Exit::Refused,
            "error: call 00000000000000c0 is not recorded: no-policy; ",
        ),
        ("pause", NotDone::NotRecorded, Some("in-progress"), Exit::Refused, "error: call 00000000000000c0 is not recorded yet; "),
        (
            "pause",
            NotDone::NotRecorded,
            Some("recorded"),
            Exit::Refused,
            "error: the recording of call 00000000000000c0 has ended; ",
        ),
        (
            "pause",
            NotDone::AlreadyPaused,
            None,
            Exit::Refused,
            "error: the recording of call 00000000000000c0 is paused already\n",
        ),
        ("resume", NotDone::NotPaused, None, Exit::Refused, "error: the recording of call 00000000000000c0 is not paused\n"),
        (
            "withdraw",
            NotDone::AlreadyWithdrawn,
            None,
            Exit::Refused,
            "error: consent to call 00000000000000c0 was withdrawn already\n",
        ),
    ] {
        let asked = site.proxy_answers(&Reply::NotDone { why, reason: reason.map(str::to_owned) });

        let said = site.run(&["calls", deed, "00000000000000c0"]);

        assert_eq!((said.exit, said.out.as_str()), (exit, ""), "{}", said.err);
        assert!(said.err.starts_with(begins) && said.err.lines().count() == 2, "{}", said.err);
        asked.join().unwrap();
        fs::remove_file(site.home().join("data/control.sock")).unwrap();
    }
}

#[test]
fn a_proxy_that_is_drained_says_how_many_calls_are_left() {
    let site = Site::with_recordings();
    let asked = site.proxy_answers(&Reply::Draining { calls: 2, limit_s: 600 });

    let said = site.says(&["calls", "drain", "--limit-s", "600"]);

    assert_eq!(said, "No new calls are taken: 2 calls are left, and the proxy ends after the last, or in 600 s.\n");
    assert_eq!(asked.join().unwrap(), "{\"ask\":\"drain\",\"limit_s\":600}\n");
}

#[test]
fn where_no_proxy_runs_that_is_said() {
    let site = Site::with_recordings();

    let said = site.run(&["calls", "list"]);

    assert_eq!(said.exit, Exit::Cannot);
    assert_eq!(
        said.err,
        "error: no proxy runs on this data directory: nobody listens on `HOME/data/control.sock`\n  start it with `mitschnitt run`, or `systemctl status mitschnitt` says why it does not run\n"
    );
}

// ── usage ──────────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn help_tells_the_exit_codes() {
    let site = Site::new();

    let said = site.bare(&["--help"]);

    assert_eq!(said.exit, Exit::Well);
    assert!(said.out.ends_with(&format!("{}\n", Exit::HELP)), "{}", said.out);
    for verb in ["run", "check", "keys", "calls", "recordings", "demo"] {
        assert!(said.out.contains(&format!("\n  {verb} ")), "{verb}");
    }
}

#[test]
fn what_is_not_understood_is_told_on_standard_error() {
    let site = Site::new();

    let said = site.bare(&["recordings", "verfy"]);

    assert_eq!((said.exit, said.out.as_str()), (Exit::Usage, ""));
    assert!(said.err.contains("verify"), "it says what is meant: {}", said.err);
}

// ── the installation ───────────────────────────────────────────────────────────────────────────────────────────────

const CONFIG: &str = r#"[sip]
listen = "udp 127.0.0.1:5060"
strangers = "drop"
[pbx]
address = "127.0.0.1:5090"
[[trunk]]
name = "carrier"
address = "127.0.0.1:5080"
[media]
address = "127.0.0.1"
ports = "20000-60000"
[metrics]
listen = "127.0.0.1:9464"
[data]
directory = "HOME/data"
[[recipient]]
name = "desk"
purposes = ["quality"]
public_key = "HOME/keys/desk.pub.pem"
[[policy]]
name = "vip"
direction = "outbound"
called_prefix = "+4989"
mode = "never"
[[policy]]
name = "all"
purpose = "quality"
legal_basis = "consent, GDPR 6(1)(a)"
mode = "opt-in"
must_agree = ["remote"]
key = "1"
answer_s = 5
announcement = { de = "HOME/a.wav" }
"#;

const COMPLETE: &[u8] = include_bytes!("../../tests/vault/vectors/complete.rec");

struct Site {
    home: TempDir,
    store: Arc<Mutex<Memory>>,
}

struct Said {
    exit: Exit,
    out: String,
    err: String,
}

impl Site {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let site = Self { home, store: Arc::default() };
        fs::write(site.config(), CONFIG.replace("HOME", site.home().to_str().unwrap())).unwrap();
        fs::write(site.home().join("a.wav"), "RIFF").unwrap();
        site
    }

    /// A sealed recording, a torn one, and a call without one.
    fn with_recordings() -> Self {
        let site = Self::new();
        let files: [(String, &[u8]); 7] = [
            ("data/node.pub.pem".into(), include_bytes!("../../tests/vault/vectors/node.pub.pem")),
            ("recipient.pem".into(), include_bytes!("../../tests/vault/vectors/recipient.pem")),
            ("stranger.pem".into(), include_bytes!("../../tests/vault/vectors/stranger.pem")),
            (format!("data/recordings/{}.rec", id()), COMPLETE),
            (format!("data/keys/{}.key", id()), include_bytes!("../../tests/vault/vectors/complete.key")),
            (format!("data/recordings/{}.rec", other()), include_bytes!("../../tests/vault/vectors/cut-between-chunks.rec")),
            (format!("data/keys/{}.key", other()), include_bytes!("../../tests/vault/vectors/complete.key")),
        ];
        for (name, bytes) in files {
            let path = site.home().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        let sealed = Entry {
            totals: Some(Totals { packets: [40, 39], gaps: 1, lost: 2, size_bytes: u64::try_from(COMPLETE.len()).unwrap() }),
            ..entry(1, 0, 62)
        };
        let torn = Entry {
            direction: Direction::Outbound,
            state: State::Torn,
            reason: Reason::Torn,
            recording: Some(other()),
            ended: None,
            ..entry(2, 600, 0)
        };
        let unrecorded = Entry {
            state: State::None,
            reason: Reason::ConsentTimeout,
            leg: Some(Leg::Trunk),
            recording: None,
            purpose: None,
            parties: None,
            ..entry(3, 1200, 20)
        };
        site.store.lock().unwrap().entries = vec![sealed, torn, unrecorded];
        site
    }

    fn home(&self) -> PathBuf {
        self.home.path().to_owned()
    }

    fn config(&self) -> PathBuf {
        self.home().join("site.toml")
    }

    fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    fn export(&self, purpose: &'static str, out: &str) -> Vec<&'static str> {
        let out = if out == "one.wav" { "HOME/one.wav" } else { "HOME/two.wav" };
        vec!["recordings", "export", "ID", "--key", "HOME/recipient.pem", "--purpose", purpose, "--format", "wav", "--out", out]
    }

    fn outcomes(&self) -> Vec<(Deed, Outcome)> {
        self.store.lock().unwrap().accesses.iter().map(|access| (access.deed, access.outcome)).collect()
    }

    fn proxy_answers(&self, reply: &Reply) -> std::thread::JoinHandle<String> {
        let listener = UnixListener::bind(self.home().join("data/control.sock")).unwrap();
        let answer = serde_json::to_string(reply).unwrap() + "\n";
        std::thread::Builder::new()
            .spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                line
            })
            .unwrap()
    }

    /// Says what a command says that must end well.
    fn says(&self, words: &[&str]) -> String {
        let said = self.run(words);
        assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""), "{}", said.out);
        said.out
    }

    fn run(&self, words: &[&str]) -> Said {
        let config = self.config();
        self.bare(&[words, &["--config", config.to_str().unwrap()]].concat())
    }

    fn bare(&self, words: &[&str]) -> Said {
        let home = self.home().to_str().unwrap().to_owned();
        let names = [("HOME", home), ("ID", id().to_string()), ("OTHER", other().to_string())];
        let words = words.iter().map(|word| {
            let whole = names.iter().find(|(name, _)| name == word).map(|(_, value)| value.clone());
            OsString::from(whole.unwrap_or_else(|| word.replace("HOME", &names[0].1)))
        });
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let store = Arc::clone(&self.store);
        let doors = Doors {
            run: &|settings| Err(Trouble::new(format!("ran with {} policies", settings.policies.len()), "as the test wanted")),
            demo: &|_, _| Ok(()),
            open_store: &move |path, _: Opening| {
                let memory = Arc::clone(&store);
                let is_empty = memory.lock().unwrap().entries.is_empty();
                if is_empty { Err(StoreError::Missing { path: path.into() }) } else { Ok(Box::new(Shared(memory))) }
            },
            announcement: &|bytes| match bytes {
                b"RIFF" => Ok(Duration::from_millis(1500)),
                _ => Err(Trouble::new("it is no WAV", "record it again")),
            },
        };
        let mut term = Term { out: Stream::new(&mut out, Colour::Plain), err: Stream::new(&mut err, Colour::Plain) };
        let exit = exit([OsString::from("mitschnitt")].into_iter().chain(words), &doors, &mut term);
        let plain = |bytes: Vec<u8>| {
            let mut text = String::from_utf8(bytes).unwrap();
            for (name, value) in &names {
                text = text.replace(value, name);
            }
            fingerprints(&text.replace(&format!("{} bytes", COMPLETE.len()), "SIZE bytes"))
        };
        Said { exit, out: plain(out), err: plain(err) }
    }
}

/// `3f2a-9c01-77de-1b04` is another in every run.
fn fingerprints(text: &str) -> String {
    let is_one = |word: &str| {
        word.len() == 19 && word.split('-').all(|part| part.len() == 4 && part.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    text.split_inclusive([' ', '\n'])
        .map(|word| {
            let bare = word.trim_end();
            if is_one(bare) { word.replace(bare, "FINGERPRINT") } else { word.to_owned() }
        })
        .collect()
}

/// The complete vector's name for itself.
fn id() -> RecordingId {
    RecordingId::from_bytes([1; 16])
}

fn other() -> RecordingId {
    RecordingId::from_bytes([0xee; 16])
}

fn wall(seconds: i64) -> Wall {
    Wall::from_unix_micros(1_795_512_600_250_000 + seconds * 1_000_000)
}

fn entry(call: u64, began: i64, talked: i64) -> Entry {
    Entry {
        call: CallId::from_u64(call),
        began: wall(began),
        answered: Some(wall(began + 2)),
        ended: Some(wall(began + 2 + talked)),
        direction: Direction::Inbound,
        trunk: TrunkName::new("carrier"),
        policy: Some("all".into()),
        purpose: Some("quality".into()),
        state: State::Sealed,
        reason: Reason::Recorded,
        leg: None,
        recording: Some(id()),
        totals: None,
        quality: None,
        parties: Some(Parties {
            calling: Private::new("+4930123456".into()),
            called: Private::new("100".into()),
            call_id: Private::new("a@b".into()),
        }),
    }
}

/// A ledger in memory.
#[derive(Default)]
struct Memory {
    entries: Vec<Entry>,
    accesses: Vec<Access>,
    log_is_full: bool,
}

struct Shared(Arc<Mutex<Memory>>);

impl Store for Shared {
    fn write(&mut self, _: &[Write]) -> Result<(), StoreError> {
        unreachable!("the command line writes no rows")
    }

    fn mark_torn(&mut self) -> Result<[u64; 2], StoreError> {
        unreachable!("the command line marks no rows")
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, StoreError> {
        let memory = self.0.lock().unwrap();
        let wanted = memory.entries.iter().filter(|entry| {
            (filter.which == Which::All || entry.recording.is_some()) && filter.reason.is_none_or(|reason| reason == entry.reason)
        });
        let wanted: Vec<_> = wanted.cloned().collect();
        let skipped = filter.newest.map_or(0, |newest| wanted.len().saturating_sub(usize::try_from(newest).unwrap()));
        Ok(wanted.into_iter().skip(skipped).collect())
    }

    fn recording(&self, recording: RecordingId) -> Result<Option<Entry>, StoreError> {
        Ok(self.0.lock().unwrap().entries.iter().find(|entry| entry.recording == Some(recording)).cloned())
    }

    fn call(&self, call: CallId) -> Result<Option<Entry>, StoreError> {
        Ok(self.0.lock().unwrap().entries.iter().find(|entry| entry.call == call).cloned())
    }

    fn record_access(&mut self, access: &Access) -> Result<(), StoreError> {
        let mut memory = self.0.lock().unwrap();
        if memory.log_is_full {
            return Err(StoreError::Full { path: "ledger.db".into() });
        }
        memory.accesses.push(access.clone());
        if (access.deed, access.outcome) == (Deed::Erase, Outcome::Done) {
            let erased = memory.entries.iter_mut().filter(|entry| entry.recording == Some(access.recording));
            erased.for_each(|entry| entry.state = State::Erased);
        }
        Ok(())
    }

    fn accesses(&self, recording: RecordingId) -> Result<Vec<Access>, StoreError> {
        Ok(self.0.lock().unwrap().accesses.iter().filter(|access| access.recording == recording).cloned().collect())
    }
}
