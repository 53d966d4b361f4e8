//! `keys`: made once, and never written over.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;
use crate::vault::{Kem, Recipient, RecipientSecret, UnwrapErr};

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
No passphrase protects what was made: --passphrase-file, or a terminal to ask on, and the next one is.
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
fn a_passphrase_protects_the_secret_key_and_is_needed_for_all_that_is_done_with_it() {
    let site = Site::new();
    let passphrase = site.home().join("passphrase");
    fs::write(&passphrase, "correct horse\n").unwrap();
    let words = ["keys", "generate", "--passphrase-file", passphrase.to_str().unwrap()];

    let said = site.says(&words);
    let secret = fs::read(site.home().join("keys/desk.secret.pem")).unwrap();
    assert!(secret.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n") && !said.contains("No passphrase"), "{said}");
    // It is listed as long as it is here, and gives back its public half.
    assert!(site.says(&["keys", "generate"]).contains("kept  desk, secret"));
    let public = fs::read(site.home().join("keys/desk.pub.pem")).unwrap();
    fs::remove_file(site.home().join("keys/desk.pub.pem")).unwrap();
    site.says(&words);
    assert_eq!(fs::read(site.home().join("keys/desk.pub.pem")).unwrap(), public);

    fs::remove_dir_all(site.home().join("keys")).unwrap();
    fs::write(&passphrase, "short").unwrap();
    let said = site.run(&words);
    assert_eq!(said.exit, Exit::Cannot);
    assert!(said.err.starts_with("error: the passphrase for the secret key of `desk` has fewer than 8 bytes\n"), "{}", said.err);
    assert!(!site.home().join("keys").exists());
}

#[test]
fn a_key_behind_a_passphrase_opens_recordings_with_it_alone() {
    let site = Site::with_recordings();
    let plain = RecipientSecret::from_pem(&fs::read(site.home().join("recipient.pem")).unwrap()).unwrap();
    let protected = plain.to_protected_pem(b"correct horse", &mut UnwrapErr(getrandom::SysRng)).unwrap();
    fs::write(site.home().join("protected.pem"), protected.as_bytes()).unwrap();
    fs::write(site.home().join("right"), "correct horse").unwrap();
    fs::write(site.home().join("wrong"), "incorrect horse").unwrap();
    let verify = |how: &str, from: &str| site.run(&["recordings", "verify", "ID", "--key", "HOME/protected.pem", how, from]);

    let said = verify("--passphrase-file", "HOME/right");
    assert_eq!((said.exit, said.err.as_str()), (Exit::Well, ""));
    assert!(said.out.contains("content are good"), "{}", said.out);
    let open = fs::File::open(site.home().join("right")).unwrap();
    assert_eq!(verify("--passphrase-fd", &open.as_raw_fd().to_string()).exit, Exit::Well);
    let said = verify("--passphrase-file", "HOME/wrong");
    assert_eq!(said.exit, Exit::Refused);
    assert!(
        said.err.starts_with("error: cannot use the key `HOME/protected.pem`: the passphrase does not open it"),
        "{}",
        said.err
    );
    let said = verify("--passphrase-file", "HOME/nowhere");
    assert!(said.err.starts_with("error: cannot read the passphrase `HOME/nowhere`: it is not there\n"), "{}", said.err);
}

#[test]
fn new_keys_are_of_the_strength_of_those_there_are_and_of_the_higher_one_where_there_are_none() {
    let site = Site::new();
    let kem = |name: &str| Recipient::from_pem(&fs::read(site.home().join(name)).unwrap()).unwrap().kem();
    site.says(&["keys", "generate"]);
    assert_eq!(kem("keys/desk.pub.pem"), Kem::XWing);
    fs::remove_dir_all(site.home().join("keys")).unwrap();
    site.says(&["keys", "generate", "--strength", "x25519"]);
    assert_eq!(kem("keys/desk.pub.pem"), Kem::X25519);
    let law = "[[recipient]]\nname = \"law\"\npurposes = [\"quality\"]\npublic_key = \"HOME/keys/law.pub.pem\"\n[[policy]]\nname = \"vip\"";
    site.change("[[policy]]\nname = \"vip\"", &law.replace("HOME", site.home().to_str().unwrap()));

    site.says(&["keys", "generate"]);
    assert_eq!(kem("keys/law.pub.pem"), Kem::X25519);

    let remake = |kind: &str| {
        fs::remove_file(site.home().join("keys/law.pub.pem")).unwrap();
        fs::remove_file(site.home().join("keys/law.secret.pem")).unwrap();
        site.says(&["keys", "generate", "--strength", kind]);
    };
    remake("p-256");
    assert_eq!(kem("keys/law.pub.pem"), Kem::P256);
    site.says(&["check"]);

    // Of both, none is begun: that is told before it comes to that.
    remake("x-wing");
    let said = site.run(&["check"]);
    assert_eq!(said.exit, Exit::NotSo);
    let told = "error: HOME/site.toml:23: the keys of `desk` (X25519) and `law` (X-Wing) would be used for the same recordings, of `quality`\n";
    assert!(said.err.starts_with(told), "{}", said.err);
    // One after the other is how it is gone over.
    site.change("keys/desk.pub.pem\"", "keys/desk.pub.pem\"\nuntil = 2020-01-01");
    site.change("keys/law.pub.pem\"", "keys/law.pub.pem\"\nfrom = 2020-01-01");
    site.says(&["check"]);
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
