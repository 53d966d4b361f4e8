//! `keys`: made once, and never written over.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;

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
