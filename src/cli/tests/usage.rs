//! What is typed and not understood, and the help.

use crate::cli::exit::Exit;
use crate::cli::tests::site::Site;

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
