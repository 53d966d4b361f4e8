//! With `local_share` no copy of the keys that was made before opens what was erased, or what its keys were made anew of; and all else opens as before.

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
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use mitschnitt::vault::{KeyFile, KeyFileFault, OpenError, RecipientSecret, Recording, UnwrapErr};
use support::child::{Ended, Running};
use support::pair::Pair;
use support::site::{Site, policy};
use support::{A_WHILE, until};

#[test]
fn no_copy_of_the_keys_opens_what_was_erased_or_wrapped_anew_since() {
    let site = Site::new(policy("announce"));
    site.set("[data]", "local_share = \"yes\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let [gone, stays] = [1.0, 2.0].map(|nth| recorded(&site, &pair, nth));

    // Where they lie they open as ever, for whoever has a key: by each verb that reads them.
    let secret = site.recipient_secret();
    let secret = secret.to_str().unwrap();
    assert!(fs::read(key(&site.data(), &gone)).unwrap().starts_with(b"\x8dmschnE\n"));
    let own = RecipientSecret::from_pem(&fs::read(secret).unwrap()).unwrap();
    let file = || fs::File::open(recording(&site.data(), &gone)).unwrap();
    let raw = Recording::open(file(), &fs::read(key(&site.data(), &gone)).unwrap(), &own).err();
    assert!(matches!(raw, Some(OpenError::KeyFile(KeyFileFault::Enveloped))), "{raw:?}");
    site.cli(&["recordings", "verify", &gone, "--key", secret]).must_succeed();
    let shown = site.cli(&["recordings", "show", &gone]).must_succeed().out;
    assert!(shown.contains(&format!("{gone}.key, for ")), "{shown}");
    let opens = |site: &Site| site.cli(&["keys", "exposure", secret]).must_succeed().out;
    assert!(opens(&site).contains("2 recordings"), "{}", opens(&site));
    let bundle = site.path().join("b.tar").display().to_string();
    site.cli(&["recordings", "bundle", &gone, "--out", &bundle, "--reason", "court"]).must_succeed();
    let node = site.path().join("keys/node.pub.pem").display().to_string();
    site.cli_alone(&["recordings", "verify", "--bundle", &bundle, "--key", secret, "--node", &node]).must_succeed();
    let fetched = fetch(&site, &format!("/v1/recordings/{gone}/keys?purpose=quality"));
    assert_eq!(KeyFile::parse(&fetched).unwrap().recipients().count(), 1);
    assert!(Recording::open(file(), &fetched, &own).is_ok());
    stopped(proxy);

    // A thief copies the whole directory, and later what has become of it.
    let thief = Thief::copies(&site);
    assert!(thief.exports(&gone).status.success(), "it opens for him, so that the test can fail");
    let erased = site.cli(&["recordings", "erase", &gone, "--reason", "GDPR 17", "--yes"]).must_succeed();
    assert!(erased.out.contains("copies of its keys (backups, snapshots) open no more"), "{}", erased.out);
    let public = site.path().join("new.pub.pem").display().to_string();
    let new = RecipientSecret::generate_as(own.public().kem(), &mut UnwrapErr(getrandom::SysRng));
    fs::write(&public, new.public().to_pem()).unwrap();
    site.cli(&["keys", "rewrap", &stays, "--key", secret, "--add", &public]).must_succeed();
    let now = site.data().join("keys");

    fs::rename(thief.keys().join(".epoch"), thief.keys().join("epoch then")).unwrap();
    for (name, told) in [(".epoch", "`.epoch` has not the key of this `.shares`"), (".shares", "its local share is forgotten")] {
        fs::copy(now.join(name), thief.keys().join(name)).unwrap();
        for id in [&gone, &stays] {
            let said = thief.exports(id);
            assert!(said.status.code() == Some(3) && said.err.contains(told), "{}", said.err);
        }
    }
    // The keys as they are now open what stays, and nothing opens what is gone.
    fs::copy(key(&site.data(), &stays), thief.keys().join(format!("{stays}.key"))).unwrap();
    assert!(thief.exports(&stays).status.success());
    assert_eq!(thief.exports(&gone).status.code(), Some(3));
    fs::copy(thief.keys().join(format!("{gone}.key")), key(&site.data(), &gone)).unwrap();
    let said = site.cli(&["recordings", "verify", &gone]);
    assert!(said.status.code() == Some(1) && said.out.contains("restored"), "{}", said.out);
    site.cli(&["recordings", "erase", &gone, "--reason", "GDPR 17", "--yes"]).must_succeed();
    site.cli(&["recordings", "verify", "--all", "--key", secret]).must_succeed();
    site.cli(&["audit", "verify"]).must_succeed();
    for words in [["keys", "exposure", secret], ["keys", "exposure", public.as_str()]] {
        let said = site.cli(&words).must_succeed().out;
        assert!(said.contains("1 recording"), "{said}");
    }
}

#[test]
fn what_is_withdrawn_is_forgotten_and_what_key_files_need_is_missed_before_anything_is_recorded() {
    let site = Site::new(policy("announce"));
    site.set("[data]", "local_share = \"yes\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let stays = recorded(&site, &pair, 1.0);
    let talk = pair.recorded_call(&site, 2.0);
    let row =
        until("its row", A_WHILE, || site.json(&["recordings", "list"]).into_iter().find(|row| row["state"] == "recording"));
    let [gone, call] = ["recording", "call"].map(|name| row[name].as_str().unwrap().to_owned());
    let copy = fs::read(key(&site.data(), &gone)).unwrap();

    site.cli(&["calls", "withdraw", &call, "--shred"]).must_succeed();
    talk.goes_on_and_ends();
    until("the recording shredded", A_WHILE, || {
        (site.json(&["recordings", "show", &gone])[0]["state"] == "erased").then_some(())
    });
    let log = stopped(proxy);

    assert!(!log.contains("retention_failed") && !log.contains("not_erased"), "{log}");
    fs::write(key(&site.data(), &gone), copy).unwrap();
    let exposed = site.cli(&["keys", "exposure", site.recipient_secret().to_str().unwrap()]);
    assert!(exposed.out.contains("1 recording") && exposed.err.contains("in its envelope"), "{}{}", exposed.out, exposed.err);
    fs::remove_file(key(&site.data(), &gone)).unwrap();

    // Without what opens the envelopes nothing begins: it would be made anew, and what there is be lost.
    for name in [".epoch", ".shares"] {
        let [path, away] = [site.data().join("keys").join(name), site.path().join("away")];
        fs::rename(&path, &away).unwrap();
        let checked = site.cli(&["check"]);
        assert!(checked.status.code() == Some(1) && checked.err.contains(name), "{}", checked.err);
        let started = site.start_unready().finish(A_WHILE);
        assert!(!started.status.success() && started.err.contains(name), "{}", started.err);
        fs::rename(&away, &path).unwrap();
    }
    site.cli(&["check"]).must_succeed();
    assert!(site.export(&stays).channels[0].iter().any(|sample| *sample != 0));

    // Where it is no longer wanted what lies in envelopes opens still, and what is new lies in none.
    site.set("[data]", "local_share = \"no\"");
    let _proxy = site.start();
    let plain = recorded(&site, &pair, 1.0);
    assert!(KeyFile::parse(&fs::read(key(&site.data(), &plain)).unwrap()).is_ok());
    site.cli(&["recordings", "verify", &stays, "--key", site.recipient_secret().to_str().unwrap()]).must_succeed();
    let erased = site.cli(&["recordings", "erase", &plain, "--reason", "GDPR 17", "--yes"]).must_succeed();
    assert!(!erased.out.contains("copies of its keys"), "{}", erased.out);
}

#[test]
fn a_tpm_has_the_key_in_the_place_of_a_file_and_what_is_erased_it_has_forgotten() {
    let site = Site::new(policy("announce"));
    site.set("[data]", "local_share = \"yes\"");
    let proxy = site.start();
    let pair = Pair::new(&site);
    let before = recorded(&site, &pair, 1.0);
    stopped(proxy);
    let old = Thief::copies(&site);
    let tpm = Swtpm::start(&site);
    site.set("[data]", &format!("tpm = \"{}\"", tpm.socket.display()));

    // A start that was killed has left the password, and a space with it.
    let left = format!("mitschnitt-tpm2/1\n{}\n0x01806d53\n{}\n", tpm.socket.display(), "5a".repeat(32));
    fs::write(site.data().join("keys/.epoch.new"), &left).unwrap();

    // The key moves there, and the one that lay on the disk is dead; the disk has nothing but where it is.
    let proxy = site.start();
    let [gone, stays] = [1.0, 2.0].map(|nth| recorded(&site, &pair, nth));
    stopped(proxy);
    let said = fs::read_to_string(site.data().join("keys/.epoch")).unwrap();
    assert_eq!(said, left);

    fs::copy(site.data().join("keys/.shares"), old.keys().join(".shares")).unwrap();
    let told = old.exports(&before);
    assert!(told.status.code() == Some(3) && told.err.contains("`.epoch` has not the key"), "{}", told.err);
    let thief = Thief::copies(&site);
    assert!(thief.exports(&gone).status.success(), "with the TPM it opens, so that the test can fail");

    let erased = site.cli(&["recordings", "erase", &gone, "--reason", "GDPR 17", "--yes", "--json"]).must_succeed();
    assert!(erased.out.contains("\"copies_of_keys\":\"erased\""), "{}", erased.out);
    let told = thief.exports(&gone);
    assert!(
        told.status.code() == Some(3) && told.err.contains("has not the key of this `.shares`"),
        "even at the machine: {}",
        told.err
    );
    for id in [&before, &stays] {
        site.cli(&["recordings", "verify", id, "--key", site.recipient_secret().to_str().unwrap()]).must_succeed();
    }
    // Of what was recorded while a file had the key no more is said than is so.
    let erased = site.cli(&["recordings", "erase", &before, "--reason", "GDPR 17", "--yes", "--json"]).must_succeed();
    assert!(erased.out.contains("\"copies_of_keys\":\"unreachable\""), "{}", erased.out);
    // Without the TPM nothing opens, and nothing begins.
    drop(tpm);
    let away = site.cli(&["recordings", "verify", &stays, "--key", site.recipient_secret().to_str().unwrap()]);
    assert!(away.status.code() == Some(3) && away.err.contains("the TPM `"), "{}", away.err);
    let started = site.start_unready().finish(A_WHILE);
    assert!(!started.status.success() && started.err.contains("the TPM `"), "{}", started.err);
}

/// A TPM 2.0 in software.
struct Swtpm {
    process: std::process::Child,
    socket: PathBuf,
}

impl Swtpm {
    fn start(site: &Site) -> Self {
        let [state, socket] = ["tpm", "tpm.sock"].map(|name| site.path().join(name));
        fs::create_dir(&state).unwrap();
        let server = format!("type=unixio,path={}", socket.display());
        let mut program = std::process::Command::new("swtpm");
        program.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear", "--tpmstate"]);
        program.arg(format!("dir={}", state.display())).args(["--server", &server]);
        let process = program.spawn().expect("tests/run.sh installs swtpm");
        until("the TPM to listen", A_WHILE, || socket.exists().then_some(()));
        Self { process, socket }
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(fs::remove_file(&self.socket));
    }
}

/// Somebody who has a copy of everything, and every private key.
struct Thief {
    home: PathBuf,
    secret: PathBuf,
}

impl Thief {
    fn copies(site: &Site) -> Self {
        let nth = fs::read_dir(site.path()).unwrap().count();
        let home = site.path().join(format!("thief-{nth}"));
        for folder in ["", "keys", "recordings"] {
            fs::create_dir_all(home.join(folder)).unwrap();
            for entry in fs::read_dir(site.data().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    fs::copy(&path, home.join(folder).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        let config = fs::read_to_string(site.config()).unwrap();
        let data = site.data().display().to_string();
        fs::write(home.join("m.toml"), config.replace(&data, home.to_str().unwrap())).unwrap();
        Self { home, secret: site.recipient_secret() }
    }

    fn keys(&self) -> PathBuf {
        self.home.join("keys")
    }

    fn exports(&self, id: &str) -> Ended {
        let out = self.home.join("out.wav");
        fs::remove_file(&out).ok();
        let mut program = support::site::program();
        program.args(["recordings", "export", id, "--purpose", "quality"]);
        program.arg("--key").arg(&self.secret).arg("--out").arg(out).arg("--config").arg(self.home.join("m.toml"));
        Running::run("the thief's export", &mut program, A_WHILE)
    }
}

fn recorded(site: &Site, pair: &Pair, begun: f64) -> String {
    let talk = pair.recorded_call(site, begun);
    talk.each_is_heard(60);
    let row =
        until("its row", A_WHILE, || site.json(&["recordings", "list"]).into_iter().find(|row| row["state"] == "recording"));
    let id = row["recording"].as_str().unwrap().to_owned();
    talk.caller_hangs_up();
    until("the recording to be sealed", A_WHILE, || {
        (site.json(&["recordings", "show", &id])[0]["state"] == "sealed").then_some(())
    });
    id
}

fn key(data: &Path, id: &str) -> PathBuf {
    data.join("keys").join(format!("{id}.key"))
}

fn recording(data: &Path, id: &str) -> PathBuf {
    data.join("recordings").join(format!("{id}.rec"))
}

/// Fetches over the control socket.
fn fetch(site: &Site, path: &str) -> Vec<u8> {
    let mut stream = UnixStream::connect(site.data().join("control.sock")).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    answer.split_off(at + 4)
}

/// Ends the proxy; returns what it has logged.
fn stopped(proxy: Running) -> String {
    proxy.signal(rustix::process::Signal::TERM);
    let ended = proxy.finish(A_WHILE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    ended.err
}
