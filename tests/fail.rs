//! Programs that must not compile: what the consent types forbid, each with the compiler's message beside it.
//!
//! The compiler is asked directly, with the library that the tests were just built with: a project of their own, as `trybuild` makes one,
//! compiles everything that the product depends on once more. `UPDATE=1 cargo test --test fail` writes the messages.

#![allow(clippy::disallowed_methods, reason = "a test that asks the compiler, and reads what it is asked")]
#![allow(missing_docs, reason = "a test")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn what_the_types_forbid_does_not_compile() {
    let programs = files("rs");
    assert!(!programs.is_empty());
    let library = library();
    let mut wrong = Vec::new();
    for program in &programs {
        let message = program.with_extension("stderr");
        let Some(said) = refused(program, &library) else {
            wrong.push(format!("{} compiles", program.display()));
            continue;
        };
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&message, &said).expect("one's own file");
        }
        let wanted = fs::read_to_string(&message).unwrap_or_default();
        if said != wanted {
            wrong.push(format!("{} is to say\n{wanted}\nbut it says\n{said}", program.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn each_message_belongs_to_a_program() {
    let programs: Vec<_> = files("rs").iter().map(|file| file.with_extension("")).collect();
    let messages: Vec<_> = files("stderr").iter().map(|file| file.with_extension("")).collect();
    assert_eq!(programs, messages);
}

/// The message as it is kept: of other files only their lines, for the numbers there change with everything.
#[test]
fn a_message_is_kept_without_what_changes() {
    let said = "error[E0624]: associated function `new` is private\n   --> tests/fail/a.rs:8:13\n    |\n  8 |     Permit::new()\n    |             ^^^ \
                private\n    |\n   ::: /home/me/src/consent/permit.rs:123:5\n    |\n123 |     pub(super) fn new() -> Self {\n    |     ----- here\n\n\
                error: aborting due to 1 previous error\n\nFor more information about this error, try `rustc --explain E0624`.\n";

    let kept = kept(said, Path::new("tests/fail/a.rs"), Path::new("/home/me"));

    assert_eq!(
        kept,
        "error[E0624]: associated function `new` is private\n --> tests/fail/a.rs:8:13\n  |\n8 |     Permit::new()\n  |             ^^^ private\n  |\
         \n ::: src/consent/permit.rs\n  |\n  |     pub(super) fn new() -> Self {\n  |     ----- here\n"
    );
}

/// What the compiler says against a program, as it is kept, or `None` if it compiles. It is asked to check types and borrows, no more.
fn refused(program: &Path, library: &Path) -> Option<String> {
    let beside = Path::new(env!("CARGO")).with_file_name("rustc");
    let mut rustc = Command::new(std::env::var_os("RUSTC").map_or(beside, PathBuf::from));
    rustc.current_dir(env!("CARGO_MANIFEST_DIR")).arg(program).args(["--edition", "2024", "--emit", "metadata"]);
    rustc.args(["--verbose", "--diagnostic-width", "140", "--out-dir", env!("CARGO_TARGET_TMPDIR")]);
    let named = |name: &str, path: &Path| [OsStr::new(name), path.as_os_str()].join(OsStr::new("="));
    rustc.arg("--extern").arg(named(env!("CARGO_PKG_NAME"), library));
    rustc.arg("-L").arg(named("dependency", library.parent().unwrap_or(library)));
    let output = rustc.output().expect("the compiler that compiled this");
    let said = String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| kept(&said, program, Path::new(env!("CARGO_MANIFEST_DIR"))))
}

/// The library that this test was built with. It lies beside the test; where cargo has built it in several ways, the last is of the source
/// as it is now, for cargo makes anew what is older than that.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a file");
    let beside = fs::read_dir(test.parent().expect("a file is in a folder")).expect("one's own folder");
    let begin = concat!("lib", env!("CARGO_PKG_NAME"), "-");
    let libraries = beside.map(|file| file.expect("one's own folder").path()).filter(|file| {
        file.extension().is_some_and(|its| its == "rlib")
            && file.file_name().is_some_and(|its| its.to_string_lossy().starts_with(begin))
    });
    let built = |file: &PathBuf| file.metadata().and_then(|file| file.modified()).expect("a file has a time");
    libraries.max_by_key(built).expect("a test is built with the library")
}

/// What lies in the folder of the programs and ends so, as paths from the package, sorted.
fn files(ending: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/fail");
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("it is there");
    let names = entries.map(|entry| folder.join(entry.expect("it is there").file_name()));
    let mut files: Vec<_> = names.filter(|file| file.extension().is_some_and(|its| its == ending)).collect();
    files.sort();
    files
}

/// A message without what changes although the reason is the same: the folder of the package, the numbers of lines in other files than the
/// program, and the room that these numbers take at the left.
fn kept(said: &str, program: &Path, package: &Path) -> String {
    let said = said.replace(&format!("{}/", package.display()), "");
    let mut kept = String::new();
    for diagnostic in diagnostics(&said) {
        let (mut lines, mut is_program, mut digits) = (Vec::new(), true, 0);
        for line in diagnostic {
            let inner = line.trim_start();
            let place = ["--> ", "::: "].into_iter().find_map(|arrow| inner.strip_prefix(arrow));
            let number: String = inner.chars().take_while(char::is_ascii_digit).collect();
            if let Some(place) = place {
                let file = place.split(':').next().unwrap_or(place);
                is_program = Path::new(file) == program;
                let end = if is_program { line.len() } else { line.len() - place.len() + file.len() };
                lines.push(line.get(..end).unwrap_or(line).to_owned());
            } else if is_program {
                digits = digits.max(number.len());
                lines.push(line.to_owned());
            } else {
                lines.push(line.replacen(&number, &" ".repeat(number.len()), 1));
            }
        }
        let room = lines.iter().find_map(|line| line.find("--> ")).unwrap_or(digits);
        for line in lines {
            let line = line.strip_prefix(&" ".repeat(room.saturating_sub(digits))).unwrap_or(&line).trim_end();
            kept += line;
            kept.push('\n');
        }
    }
    kept.trim_end().to_owned() + "\n"
}

/// The lines of each error or warning, without the compiler's summary of them.
fn diagnostics(said: &str) -> impl Iterator<Item = Vec<&str>> {
    let summaries = ["error: aborting due to ", "For more information about ", "Some errors have detailed explanations"];
    let lines = said.lines().filter(move |line| !summaries.iter().any(|summary| line.starts_with(summary)));
    let mut all: Vec<Vec<&str>> = Vec::new();
    for line in lines {
        let begins = line.starts_with("error") || line.starts_with("warning");
        match all.last_mut() {
            Some(last) if !begins => last.push(line),
            _ => all.push(vec![line]),
        }
    }
    all.into_iter()
}
