//! Faults that are built in on purpose are caught by the world of `tests/sim`: an alarm that has never rung proves nothing.
//!
//! Each fault stands in the source behind `sabotage::is("…")`. The product is built once with all of them, asleep: so its worlds must hold. Then
//! some are played with one fault awake at a time, and the invariant that must break does. `SABOTAGE=leak-a-port cargo test --test sabotage`
//! wakes one of them only.

#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test that builds the product, and says how far it is")]
#![allow(missing_docs, clippy::panic, reason = "a test")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// Each fault, and the invariants of which one must break.
const FAULTS: [(&str, &[&str]); 11] = [
    // Recording begins when one of both was told.
    ("store-early", &["stored-before-grant", "granted-before-consent"]),
    // Nothing is suspended when a BYE comes.
    ("keep-after-the-bye", &["stored-after-end"]),
    // A recording ends without its last chunk and signature.
    ("forget-the-end", &["torn-without-cause", "row-and-file-differ"]),
    // One in eight pairs of ports is not given back.
    ("leak-a-port", &["left-over"]),
    // Of one in eight calls nothing is written down.
    ("drop-a-row", &["no-row"]),
    // A stranger's request is answered with 403.
    ("answer-a-stranger", &["answered-a-stranger"]),
    // A stranger's packets are taken for the party's.
    ("relay-for-strangers", &["forwarded-for-stranger", "stored-for-stranger"]),
    // Pressed keys are stored.
    ("keep-the-keys", &["digits-stored", "withheld-wrong"]),
    // The log says who called.
    ("log-a-number", &["private-in-the-log"]),
    // The chain has no event of a recording that was sealed.
    ("skip-an-event", &["chain"]),
    // A recording's file is made before its keys are durable.
    ("keys-late", &["disk"]),
];

/// Worlds that are played with each fault: the first already shows most.
const SEEDS: &str = "8";

/// rustc for this package, with the faults. Cargo builds what is under another wrapper anew, and leaves the dependencies as they are.
const WRAPPER: &str = "#!/bin/sh\nexec \"$@\" --cfg sabotage\n";

#[test]
fn every_fault_that_is_built_in_is_caught() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sabotage");
    fs::create_dir_all(&folder).expect("the target's folder can be written");
    let script = folder.join("rustc.sh");
    fs::write(&script, WRAPPER).expect("the target's folder can be written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("one's own file");
    // A folder of their own: with the world cargo builds the program too, and the other tests must not call through a faulty one.
    let target = Target(folder.join("target"));
    target.begin().expect("the target's folder can be written");
    let world = build(&script, &target.0);

    let wanted = std::env::var("SABOTAGE").ok();
    let said = play(&world, None);
    assert!(said.contains("test every_world_holds ... ok"), "with all faults asleep the worlds hold, but:\n{said}");
    let faults = FAULTS.into_iter().filter(|(fault, _)| wanted.as_deref().is_none_or(|wanted| wanted == *fault));
    let (faults, missed) = (Mutex::new(faults), Mutex::new(Vec::new()));
    let next = || faults.lock().expect("nobody panics with it").next();
    let wake = || {
        while let Some((fault, invariants)) = next() {
            let said = play(&world, Some(fault));
            let caught = invariants.iter().find(|invariant| said.contains(&format!("\n{invariant} at ")));
            eprintln!("{fault}: {}", caught.unwrap_or(&"not caught"));
            if caught.is_none() {
                let missing = format!("{fault} breaks none of {invariants:?}, but:\n{said}");
                missed.lock().expect("nobody panics with it").push(missing);
            }
        }
    };
    // A world that fails is made smaller by one thread: so two faults at once.
    thread::scope(|scope| [scope.spawn(wake), scope.spawn(wake)].map(|two| two.join().expect("it plays")));
    let missed = missed.into_inner().expect("nobody panics with it");
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// Where the faulty product is built; removed with all that is in it.
struct Target(PathBuf);

impl Target {
    /// Puts there what the tests' own build has made of the dependencies, where it is to be found: cargo need not build them anew.
    fn begin(&self) -> io::Result<()> {
        self.remove();
        let Some(own) = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().map(|own| own.join("debug")) else { return Ok(()) };
        for part in ["deps", "build", ".fingerprint"] {
            if own.join(part).is_dir() {
                bring(&own.join(part), &self.0.join("debug").join(part))?;
            }
        }
        Ok(())
    }

    fn remove(&self) {
        // It was not there, or the next run finds it and tries again.
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Brings a folder with the times of its files, by which cargo knows them, and without what is made of this package.
fn bring(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.trim_start_matches("lib").starts_with(concat!(env!("CARGO_PKG_NAME"), "-")) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            bring(&source, &place)?;
        } else if ["rlib", "rmeta", "so"].into_iter().any(|ending| source.extension().is_some_and(|its| its == ending)) {
            // The compiler replaces a library and never writes into one, so it may have two names.
            fs::hard_link(&source, &place)?;
        } else if source.extension().is_some() || from.file_name().is_none_or(|folder| folder != "deps") {
            fs::copy(&source, &place)?;
            File::options().write(true).open(&place)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

/// Builds the product and its world by this compiler in this folder, and returns the world.
fn build(rustc: &Path, target: &Path) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.env("RUSTC_WORKSPACE_WRAPPER", rustc).env("CARGO_TARGET_DIR", target).env("CARGO_INCREMENTAL", "0");
    // Without what only a debugger would want. Of this package alone, for what it depends on is there as it was built for the other tests.
    let without = concat!("profile.dev.package.", env!("CARGO_PKG_NAME"), ".debug=0");
    cargo.args(["--config", without, "test", "--locked", "--no-run", "--message-format", "json", "--test", "sim"]);
    let output = cargo.output().expect("cargo runs, for it runs this");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "it is built:\n{told}{}", String::from_utf8_lossy(&output.stderr));
    let messages = told.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut worlds = messages.filter(|message| message.pointer("/target/name").is_some_and(|name| name == "sim"));
    let world = worlds.find_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    world.expect("cargo says where it has built it")
}

/// Plays some worlds, one of the faults awake or none, and returns what was said.
fn play(world: &Path, fault: Option<&str>) -> String {
    let mut command = Command::new(world);
    command.args(["--exact", "every_world_holds"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("SEEDS", SEEDS).env("RUST_BACKTRACE", "0").env_remove("SEED").env_remove("SABOTAGE");
    command.envs(fault.map(|fault| ("SABOTAGE", fault)));
    let output = command.output().expect("it was built");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("test every_world_holds"), "it runs, {fault:?}, {}:\n{said}", output.status);
    said
}
