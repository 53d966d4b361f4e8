//! `recordings export`: for its purpose, logged, and never over another file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::catalogue::{Deed, Outcome, State};
use crate::cli::exit::Exit;
use crate::cli::tests::site::{Site, id};

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
fn a_recording_is_handed_over_as_it_came_in_a_capture_and_as_payloads() {
    let site = Site::with_recordings();
    let as_format = |format: &'static str, out: &'static str| {
        let mut words = site.export("quality", "one.wav");
        (words[8], words[10]) = (format, out);
        site.run(&words)
    };

    let (capture, payloads) = (as_format("pcapng", "HOME/one.pcapng"), as_format("payload", "HOME/one"));

    assert_eq!((capture.exit, payloads.exit), (Exit::Well, Exit::Well), "{}{}", capture.err, payloads.err);
    assert!(capture.out.starts_with("HOME/one.pcapng\n  packets  0:00, RTP in pcapng\n  from     PBX: "), "{}", capture.out);
    assert!(payloads.out.starts_with("HOME/one\n  packets  0:00, RTP payloads\n"), "{}", payloads.out);
    let pcapng = fs::read(site.home().join("one.pcapng")).unwrap();
    assert_eq!(pcapng[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    assert!(String::from_utf8_lossy(&pcapng).contains("made for `quality`, begun 20"));
    let index = fs::read_to_string(site.home().join("one/index.csv")).unwrap();
    let bytes: u64 = index.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<u64>().unwrap()).sum();
    let sizes = ["pbx.payload", "trunk.payload"].map(|name| fs::metadata(site.home().join("one").join(name)).unwrap().len());
    assert_eq!(sizes.iter().sum::<u64>(), bytes);
    let modes = ["one", "one/index.csv", "one/pbx.payload"]
        .map(|name| fs::metadata(site.home().join(name)).unwrap().permissions().mode() & 0o777);
    assert_eq!(modes, [0o700, 0o600, 0o600]);
    let done = [(Deed::Export, Outcome::Granted), (Deed::Export, Outcome::Done)];
    assert_eq!(site.outcomes(), [done, done].concat());

    let again = as_format("payload", "HOME/one");
    assert!(again.err.contains("`HOME/one` is there already"), "{}", again.err);
    let refused = site.run(&[
        "recordings",
        "export",
        "ID",
        "--key",
        "HOME/recipient.pem",
        "--purpose",
        "marketing",
        "--format",
        "payload",
        "--out",
        "HOME/two",
    ]);
    assert_eq!(refused.exit, Exit::Refused);
    assert!(!site.home().join("two").exists());
}

#[test]
fn both_sides_are_mixed_into_one_channel_where_that_is_wanted() {
    let site = Site::with_recordings();

    let mixed = site.says(&[&site.export("quality", "one.wav")[..], &["--mono"]].concat());
    let (stereo, mono) = (site.export("quality", "two.wav"), fs::read(site.home().join("one.wav")).unwrap());
    site.says(&stereo);

    assert!(mixed.starts_with("HOME/one.wav\n  sound   0:00, 8000 Hz, mono, the mean of both\n  from    PBX: "), "{mixed}");
    let stereo = fs::read(site.home().join("two.wav")).unwrap();
    let samples = |bytes: &[u8]| bytes[44..].as_chunks().0.iter().map(|&two| i16::from_le_bytes(two)).collect::<Vec<_>>();
    let means: Vec<i16> = samples(&stereo).as_chunks().0.iter().map(|&[pbx, trunk]| pbx.midpoint(trunk)).collect();
    assert!(samples(&mono) == means && !means.is_empty());

    let mut capture = site.export("quality", "one.wav");
    (capture[8], capture[10]) = ("pcapng", "HOME/one.pcapng");
    let refused = site.run(&[&capture[..], &["--mono"]].concat());
    assert_eq!(refused.exit, Exit::Usage);
    assert!(refused.err.starts_with("error: only sound can be mixed to mono\n"), "{}", refused.err);
    assert_eq!(site.outcomes().len(), 4, "it was not asked for anything that could be logged");
}

#[test]
fn a_picture_is_drawn_beside_the_sound_or_alone_and_is_logged_once() {
    let site = Site::with_recordings();

    let both = site.says(&[&site.export("quality", "one.wav")[..], &["--picture", "HOME/one.svg"]].concat());
    let words =
        ["recordings", "export", "ID", "--key", "HOME/recipient.pem", "--purpose", "quality", "--picture", "HOME/two.svg"];
    let alone = site.says(&words);

    assert!(
        both.contains("HOME/one.wav\n  sound ") && both.contains("HOME/one.svg\n  picture  0:00, SVG\n  sha256   "),
        "{both}"
    );
    assert!(alone.starts_with("HOME/two.svg\n  picture  0:00, SVG\n"), "{alone}");
    let pictures = ["one.svg", "two.svg"].map(|name| fs::read_to_string(site.home().join(name)).unwrap());
    assert!(pictures[0] == pictures[1] && pictures[0].contains(&format!("<title>Recording {}</title>", id())));
    let done = [(Deed::Export, Outcome::Granted), (Deed::Export, Outcome::Done)];
    assert_eq!(site.outcomes(), [done, done].concat());

    let there = site.run(&[&site.export("quality", "two.wav")[..], &["--picture", "HOME/one.svg"]].concat());
    assert!(there.err.starts_with("error: `HOME/one.svg` is there already\n"), "{}", there.err);
    assert!(!site.home().join("two.wav").exists());
    assert_eq!(site.run(&words[..7]).exit, Exit::Usage, "neither of both");
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
fn an_export_that_fails_leaves_nothing_behind() {
    let site = Site::with_recordings();
    let before = site.names();
    for (format, out) in [("wav", "HOME/one.wav"), ("pcapng", "HOME/one.pcapng"), ("payload", "HOME/one")] {
        let mut words = site.export("quality", "one.wav");
        (words[4], words[8], words[10]) = ("HOME/stranger.pem", format, out);

        let refused = site.run(&words);

        assert_eq!(refused.exit, Exit::Refused, "{}", refused.err);
        assert_eq!(site.names(), before);
    }
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

#[test]
fn a_span_is_exported_in_every_form_and_the_log_says_which() {
    let site = Site::with_recordings();
    let span = ["--from", "0.1", "--to", "0:00.3"];
    let as_format = |format: &'static str, out: &'static str, more: &[&'static str]| {
        let mut words = site.export("quality", "one.wav");
        (words[8], words[10]) = (format, out);
        site.says(&[&words[..], &span, more].concat())
    };

    let said = as_format("wav", "HOME/one.wav", &["--picture", "HOME/one.svg"]);
    as_format("wav", "HOME/two.wav", &["--picture", "HOME/two.svg"]);
    as_format("opus", "HOME/one.opus", &[]);
    let packets = as_format("pcapng", "HOME/one.pcapng", &[]);
    let json = as_format("payload", "HOME/one", &["--json"]);
    site.says(
        &site
            .export("quality", "two.wav")
            .iter()
            .map(|word| word.replace("two", "all"))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>(),
    );

    let read = |name: &str| fs::read(site.home().join(name)).unwrap();
    let whole = read("all.wav");
    // 8 kHz, two channels of 16 bits.
    assert_eq!(read("one.wav")[44..], whole[44 + 3200..44 + 9600]);
    assert!(read("one.wav") == read("two.wav") && read("one.svg") == read("two.svg"));
    assert!(said.contains("  span    0:00:00.1 to 0:00:00.3 of 0:00:0"), "{said}");
    assert!(said.contains("the whole was not verified: `mitschnitt recordings verify ID` does that"), "{said}");
    assert!(packets.contains("from     PBX: 10 packets; trunk: 10 packets"), "{packets}");
    assert!(String::from_utf8_lossy(&read("one.pcapng")).contains("Of it only what came from 0:00:00.1 to 0:00:00.3."));
    assert!(String::from_utf8_lossy(&read("one.opus")).contains(", 0:00:00.1 to 0:00:00.3"));
    assert!(String::from_utf8_lossy(&read("one.svg")).contains("0:00:00.1 to 0:00:00.3 of it"));
    assert!(json.contains("\"from_s\":0.1,\"of_s\":") && json.contains("\"to_s\":0.3,\"verified\":\"span\""), "{json}");
    let index = String::from_utf8(read("one/index.csv")).unwrap();
    let came: Vec<u64> = index.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse().unwrap()).collect();
    assert!(came.len() == 20 && came.iter().all(|came| (100_000..300_000).contains(came)), "{index}");
    let log = site.says(&["recordings", "show", "ID"]);
    assert_eq!(log.matches("quality, 0:00:00.1 to 0:00:00.3\n").count(), 10, "{log}");
}

#[test]
fn what_is_wrong_with_a_span_is_said_and_nothing_is_exported() {
    let site = Site::with_recordings();
    let with = |span: &[&'static str]| site.run(&[&site.export("quality", "one.wav")[..], span].concat());

    let backwards = with(&["--from", "2", "--to", "1"]);
    let beyond = with(&["--from", "1:00:00"]);
    let no_offset = with(&["--from", "noon"]);

    assert_eq!(
        backwards.err,
        "error: --to (0:00:01) lies before --from (0:00:02)\n  both count from the recording's beginning\n"
    );
    assert!(
        beyond.err.starts_with("error: the recording ends at 0:00:0") && beyond.err.contains("and --from is 1:00:00\n"),
        "{}",
        beyond.err
    );
    assert!(no_offset.err.contains("an offset is seconds (90, 90.5), minutes (1:30) or hours (1:30:00)"), "{}", no_offset.err);
    assert_eq!([backwards.exit, beyond.exit, no_offset.exit], [Exit::Usage, Exit::Cannot, Exit::Usage]);
    assert_eq!(site.outcomes(), [(Deed::Export, Outcome::Granted), (Deed::Export, Outcome::Failed)]);
    assert!(!site.home().join("one.wav").exists());
}

#[test]
fn nothing_of_a_span_is_exported_where_a_part_of_it_was_changed() {
    let site = Site::with_recordings();
    let path = site.home().join(format!("data/recordings/{}.rec", id()));
    let mut changed = fs::read(&path).unwrap();
    // Within the last chunk, before the closing.
    let at = changed.len() - 70 - 40;
    changed[at] ^= 1;
    fs::write(&path, &changed).unwrap();

    let said = site.run(&[&site.export("quality", "one.wav")[..], &["--from", "0.1"]].concat());

    assert_eq!(said.exit, Exit::NotSo, "{}{}", said.out, said.err);
    assert!(!site.home().join("one.wav").exists());
}
