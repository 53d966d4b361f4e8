//! `recordings list` and `show`: the ledger in words and in JSON.

use std::fs;
use std::time::Duration;

use crate::catalogue::{Access, Deed, Outcome, Quality, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, id, wall};

#[test]
fn recordings_are_listed_with_the_parties_masked() {
    let site = Site::with_recordings();

    assert_eq!(
        site.says(&["recordings", "list"]),
        "\
BEGAN (UTC)          LENGTH  WAY       FROM  TO  PURPOSE  STATE   KEPT              RECORDING
2026-11-24 09:30:00    1:02  inbound   …456  …0  quality  sealed  until 2027-02-22  ID
2026-11-24 09:40:00       –  outbound  …456  …0  quality  torn    until 2027-02-22  OTHER

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
fn a_call_is_found_by_what_its_headers_said_and_they_are_shown_in_full_where_numbers_are() {
    let site = Site::with_recordings();
    let by =
        |header: &str| site.says(&["recordings", "list", "--header", header, "--from", "2026-11-24T09:30:00", "--last", "1"]);
    let last = "2026-11-24 09:40:00";

    assert!(by("X-Deal: D-4711").contains(last));
    assert!(by("Session-ID: AB30317F1A784DC48FF824D0D3715D86").contains(last));
    assert_eq!(by("X-Deal: D-4712"), "No recordings of what was asked for.\n");
    assert_eq!(by("X-Desk: D-4711"), "No recordings of what was asked for.\n");

    let shown = site.says(&["recordings", "show", "ID"]);
    assert!(shown.contains("Session-ID: …d86\n") && shown.contains("X-Deal: …711\n") && !shown.contains("D-4711"), "{shown}");
    assert!(site.says(&["recordings", "show", "ID", "--numbers"]).contains("X-Deal: D-4711\n"));
    let row: serde_json::Value = serde_json::from_str(&site.says(&["recordings", "show", "ID", "--json"])).unwrap();
    assert_eq!(row["headers"], serde_json::Value::Null);
    let row: serde_json::Value = serde_json::from_str(&site.says(&["recordings", "show", "ID", "--json", "--numbers"])).unwrap();
    assert_eq!((&row["headers"][1]["name"], &row["headers"][1]["value"]), (&"X-Deal".into(), &"D-4711".into()));

    for (wrong, why) in [
        ("X-Deal", "NAME: VALUE"),
        ("X-Deal: ", "one value"),
        ("Session-ID: D-4711", "32 hexadecimal digits"),
        ("Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=47755a9de7794ba387653f2099600ef2", "one value"),
    ] {
        let said = site.run(&["recordings", "list", "--header", wrong]);
        assert!(said.exit == Exit::Usage && said.err.contains(why), "{}", said.err);
    }
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
  header    Session-ID: …d86
  header    X-Deal: …711
  policy    all
  purpose   quality
  began     2026-11-24T09:30:00.250Z
  answered  2026-11-24T09:30:02.250Z
  ended     2026-11-24T09:31:04.250Z
  talked    1:02
  packets   40 from the PBX, 39 from the trunk
  gaps      1, 2 packets known to be missing
  kept      until 2027-02-22 09:31:04 UTC, 90d after the call, unless it is held

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
fn calls_are_listed_by_how_good_they_were() {
    let site = Site::with_recordings();
    assert_eq!(
        site.says(&["recordings", "list", "--quality"]),
        "No calls that were measured: those are that were answered, and are over.\n"
    );
    assert_eq!(
        site.says(&["recordings", "list", "--mos-below", "3.5", "--reason", "recorded"]),
        "No calls with the reason recorded of which a side was one-way or scored below 3.5.\n"
    );
    let pbx = Quality { expected: 3000, received: 2804, mos_hundredths: Some(294), ..Quality::default() };
    let silent = Quality { is_one_way: true, ..Quality::default() };
    let short = Quality { expected: 40, received: 40, ..Quality::default() };
    {
        let entries = &mut site.store.lock().unwrap().entries;
        entries[0].quality = Some([pbx, silent]);
        entries[2].quality = Some([Quality { received: 3000, mos_hundredths: Some(441), ..pbx }, short]);
    }

    assert_eq!(
        site.says(&["recordings", "list", "--quality"]),
        "\
BEGAN (UTC)          LENGTH  OVER     PBX (MOS)         TRUNK (MOS)            REASON           CALL
2026-11-24 09:30:00    1:02  carrier  2.9, 6.53 % lost  nothing came, one-way  recorded         0000000000000001
2026-11-24 09:50:00    0:20  carrier  4.4               too little came        consent-timeout  0000000000000003

2 calls, 1 of them recorded.
"
    );
    let said = site.run(&["recordings", "list", "--mos-below", "5"]);
    assert!(said.err.contains("a score is a number from 1 to 4.5, as 3.5"), "{}", said.err);
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
