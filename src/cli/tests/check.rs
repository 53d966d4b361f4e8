//! `check`: what a configuration means, and every mistake in it at once.

use std::fs;

use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;

#[test]
fn a_right_configuration_is_told_as_what_it_means() {
    let site = Site::new();
    site.says(&["keys", "generate"]);

    assert_eq!(
        site.says(&["check"]),
        "\
HOME/site.toml is right.

  listens    udp 127.0.0.1:5060; others get no answer
  PBX        127.0.0.1:5090
  trunk      carrier, 127.0.0.1:5080
  media      127.0.0.1; ports 20000 to 60000, 20000 pairs for each side
  emergency  112, 911: pass always, and are never recorded
  metrics    http://127.0.0.1:9464/metrics
  data       HOME/data
  signs      HOME/data/node.pem  FINGERPRINT
  listener   desk, for quality  FINGERPRINT
  keeps      quality, erased after 90d
  access     whoever may open these files and the control socket may do everything: there is no [[identity]]

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
fn a_recipient_whose_time_is_over_is_told_and_does_not_keep_the_proxy_from_starting() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    let retired = "public_key = \"HOME/keys/desk.pub.pem\"\nuntil = 2020-01-01".replace("HOME", site.home().to_str().unwrap());
    site.change(retired.split('\n').next().unwrap(), &retired);
    let told = "HOME/site.toml:19: policy `all` records for `quality`, and nobody may listen for that now; the time of `desk` ended 2020-01-01\n";

    let said = site.run(&["check"]);
    assert_eq!(said.exit, Exit::NotSo);
    assert!(said.err.starts_with(&format!("error: {told}")), "{}", said.err);

    let said = site.run(&["run"]);
    assert!(said.err.starts_with(&format!("warning: {told}")), "{}", said.err);
    assert!(said.err.contains("ran with 2 policies"), "{}", said.err);

    site.change("until = 2020-01-01", "from = 2020-01-01\nuntil = 2999-01-01");
    let said = site.says(&["check"]);
    assert!(said.contains("listener   desk, for quality, from 2020-01-01 until 2999-01-01  FINGERPRINT\n"), "{said}");
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
fn a_spare_directory_that_is_no_spare_is_told_and_the_proxy_starts_all_the_same() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    let spare = site.home().join("spare");
    site.change("[data]\n", &format!("[data]\nspare_directory = \"{}\"\n", spare.display()));

    let missing = site.run(&["check"]);
    assert_eq!(missing.exit, Exit::Well);
    assert!(
        missing.err.contains("warning: ") && missing.err.contains("`HOME/spare` is not to be had: No such file"),
        "{}",
        missing.err
    );
    fs::create_dir(&spare).unwrap();
    let same = site.run(&["check"]);
    assert!(same.err.contains("`HOME/spare` lies on the disk of the data directory: it is no spare"), "{}", same.err);
    assert!(same.out.contains("HOME/data; HOME/spare when that fails or is full\n"), "{}", same.out);
    fs::remove_dir(&spare).unwrap();
    fs::write(&spare, "").unwrap();
    assert!(site.run(&["check"]).err.contains("`HOME/spare` is no directory"));
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
    fs::write(site.home().join("data/node.pub.pem"), include_bytes!("../../../tests/vault/vectors/other-node.pub.pem")).unwrap();

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

#[test]
fn who_may_do_what_is_said_as_it_is_meant() {
    let site = Site::new();
    site.says(&["keys", "generate"]);
    let shown = site.run(&["check"]).out;
    assert!(shown.contains("  access     whoever may open these files"), "{shown}");
    let more = "[access]\nfour_eyes_export = 20\nfour_eyes_release = \"yes\"\nbreak_glass = [\"petra\"]\n\
                [[identity]]\nuser = \"@desk\"\nroles = [\"operator\"]\n\
                [[identity]]\nuser = \"anna\"\nroles = [\"reviewer\", \"officer\"]\npurposes = [\"quality\"]\n\
                [[identity]]\ncertificate = \"wall.example.com\"\nroles = [\"auditor\"]\n";
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), format!("{text}\n{more}")).unwrap();

    let shown = site.run(&["check"]).out;

    let lines: Vec<_> =
        shown.lines().map(str::trim).filter(|line| ["role", "two", "glass"].iter().any(|word| line.starts_with(word))).collect();
    assert_eq!(
        lines,
        [
            "role       @desk: operator",
            "role       anna: reviewer and officer, for quality",
            "role       certificate wall.example.com: auditor",
            "two        more than 20 exports a day, or to lift a hold takes two people",
            "glass      petra may break it",
        ]
    );
}
