//! Faults that are built in on purpose are caught by the world of `tests/sim`: an alarm that has never rung proves nothing.
//!
//! Each fault stands in the source behind `cfg!(sabotage = "…")`. Here the product is built with one at a time, some worlds are played, and the
//! invariant that must break does. `SABOTAGE=leak-a-port cargo test --test sabotage` builds one of them only.

#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "a test that builds the product, and says how far it is")]
#![allow(missing_docs, clippy::panic, reason = "a test")]

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each fault, and the invariants of which one must break.
const FAULTS: [(&str, &[&str]); 10] = [
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
    // A recording's file is made before its keys are durable.
    ("keys-late", &["disk"]),
];

/// Worlds that are played with each fault: the first already shows most.
const SEEDS: &str = "8";

/// rustc for this package, with the fault that the link to it is named after. Cargo builds what is under another wrapper anew, and leaves
/// the dependencies as they are.
const WRAPPER: &str = "#!/bin/sh\nexec \"$@\" --cfg \"sabotage=\\\"${0##*/}\\\"\"\n";

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
    let wanted = std::env::var("SABOTAGE").ok();
    let mut missed = Vec::new();
    for (fault, invariants) in FAULTS.into_iter().filter(|(fault, _)| wanted.as_deref().is_none_or(|wanted| wanted == *fault)) {
        let link = folder.join(fault);
        if !link.exists() {
            symlink(&script, &link).expect("a link to one's own file");
        }
        let said = play(&link, &target.0);
        let caught = invariants.iter().find(|invariant| said.contains(&format!("\n{invariant} at ")));
        eprintln!("{fault}: {}", caught.unwrap_or(&"not caught"));
        if caught.is_none() {
            missed.push(format!("{fault} breaks none of {invariants:?}, but:\n{said}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n\n"));
}

/// Where faulty products are built; removed with all that is in it.
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

/// Builds the product and its world by this compiler in this folder, plays some worlds, and returns what was said.
fn play(rustc: &Path, target: &Path) -> String {
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.env("RUSTC_WORKSPACE_WRAPPER", rustc).env("CARGO_TARGET_DIR", target);
        // Ten faulty products fill a disk: without what only a debugger or a next build would want, and one at a time. Of this package
        // alone, for what it depends on is there as it was built for the other tests.
        let without = concat!("profile.dev.package.", env!("CARGO_PKG_NAME"), ".debug=0");
        cargo.env("CARGO_INCREMENTAL", "0").args(["--config", without]).args(arguments);
        cargo
    };
    let output = cargo(&["test", "--locked", "--test", "sim", "every_world_holds"])
        .env("SEEDS", SEEDS)
        .env("RUST_BACKTRACE", "0")
        .env_remove("SEED")
        .output()
        .expect("cargo runs, for it runs this");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("test every_world_holds"), "it is built and runs:\n{said}");
    let swept =
        cargo(&["clean", "--locked", "--package", env!("CARGO_PKG_NAME")]).output().expect("cargo runs, for it has just run");
    assert!(swept.status.success(), "what was built is thrown away:\n{}", String::from_utf8_lossy(&swept.stderr));
    said
}
