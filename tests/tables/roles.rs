//! Roles × actions, as a table in the manual that a data-protection officer reads.

use std::fmt::Write as _;
use std::path::Path;

use mitschnitt::access::{Action, Identity, Person, Purposes, Role, Roles};

#[test]
fn the_manual_has_the_table_of_who_may_do_what() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/manual/roles.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let begins = page.find("| Action |").unwrap_or(page.len());
    let ends = page[begins..].find("\n\n").map_or(page.len(), |at| begins + at + 1);
    let now = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{}{now}{}", &page[..begins], &page[ends..])).unwrap();
        return;
    }
    assert_eq!(page[begins..ends], now, "`UPDATE=1 cargo test --test tables roles` writes it anew");
}

/// By what somebody of each role is told, not by what the table in the source says.
fn table() -> String {
    let mut text = String::from("| Action |");
    Role::ALL.iter().for_each(|role| write!(text, " {role} |").unwrap());
    text.push_str("\n|---|---|---|---|---|\n");
    for action in Action::ALL {
        write!(text, "| {} |", action.in_words()).unwrap();
        for role in Role::ALL {
            let persons = [Person::Unix(1000)].into();
            let roles = Roles::of(&[role]);
            let one = Identity { name: "a".into(), persons, roles, purposes: Purposes::default(), breaks_glass: false };
            text.push_str(if one.may(action).is_ok() { " yes |" } else { " – |" });
        }
        text.push('\n');
    }
    text
}
