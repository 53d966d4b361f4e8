//! Who somebody is who asks the running proxy: a user at the other end of the socket, a token, a client's certificate.

use std::fs;
use std::path::Path;

use crate::access::{Identity, Person};
use crate::catalogue::{Opening, tokens};
use crate::cli::doors::OpenStore;
use crate::cli::exit::Stop;
use crate::cli::gate;
use crate::cli::site;
use crate::cli::who;
use crate::control::Trouble;
use crate::private::Private;

/// What somebody has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Known {
    /// By the kernel's word: the user that the process at the other end of a socket runs as, and its number.
    User {
        /// The user.
        uid: u32,
        /// The process, where the kernel says it.
        pid: Option<i32>,
    },
    /// A token.
    Token(Private<String>),
    /// The subject of a certificate of an authority that is believed, and that he has the key to it.
    Certificate(String),
}

/// Returns who that is in the installation of this configuration; nobody where it is no token that stands, or certificates have no roles.
///
/// Both are read anew each time: a token that was revoked is none from then on.
///
/// # Errors
/// The configuration or the ledger cannot be read, so that nobody knows.
pub fn known(config: &Path, shown: &Known, open_store: &OpenStore) -> Result<Option<Identity>, Trouble> {
    find(config, shown, open_store).map_err(|stop| match stop {
        Stop::Trouble(_, trouble) => trouble,
        Stop::Denied(_, trouble) => trouble,
        Stop::Said(_) | Stop::Term(_) => Trouble::new("nobody knows who may do what", "`mitschnitt check` tells why"),
    })
}

fn find(config: &Path, shown: &Known, open_store: &OpenStore) -> Result<Option<Identity>, Stop> {
    let report = site::read(config)?;
    let rules = gate::rules(&report)?;
    match shown {
        Known::User { uid, pid } => {
            let user = who::numbered(pid.and_then(login_of).unwrap_or(*uid));
            Ok(Some(match rules {
                Some(rules) => rules.of_user(&user),
                None => Identity::unrestricted(user.in_words(), Person::Unix(user.uid)),
            }))
        }
        Known::Token(token) => {
            let data = report.data.as_ref().ok_or_else(|| Stop::cannot("there is no ledger", "name `directory` in [data]"))?;
            let warrants = open_store(&data.join("ledger.db"), Opening::Read)?.warrants()?;
            Ok(tokens(&warrants).identify(token.reveal(), who::now()))
        }
        Known::Certificate(subject) => {
            Ok(rules.map(|rules| rules.of_certificate(subject)).filter(|identity| !identity.roles.is_empty()))
        }
    }
}

/// Returns whom the session of a process belongs to. A process that has ended meanwhile, and another under its number, is taken for what it is
/// then: both are of the user who could open the socket.
fn login_of(pid: i32) -> Option<u32> {
    let login = fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?.trim().parse().ok()?;
    (login != u32::MAX).then_some(login)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::path::PathBuf;

    use crate::catalogue::StoreError;

    use super::*;

    fn file(rules: &str) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.toml");
        fs::write(&path, format!("[data]\ndirectory = \"{}\"\n{rules}", home.path().display())).unwrap();
        (home, path)
    }

    fn who_is(path: &Path, shown: &Known) -> Result<Option<String>, String> {
        let missing = |path: &Path, _| Err(StoreError::Missing { path: path.into() });
        let found = known(path, shown, &missing);
        found.map(|found| found.map(|one| one.roles.to_string())).map_err(|trouble| trouble.to_string())
    }

    #[test]
    fn a_user_and_a_certificate_have_the_roles_that_the_configuration_gives() {
        let rules = "[[identity]]\nuser = \"4000000\"\nroles = [\"auditor\"]\n[[identity]]\ncertificate = \"wall\"\nroles = [\"operator\"]\n";
        let (_home, path) = file(rules);
        let user = |uid| who_is(&path, &Known::User { uid, pid: None }).unwrap();

        assert_eq!((user(4_000_000), user(4_000_001)), (Some("auditor".into()), Some(String::new())));
        assert_eq!(who_is(&path, &Known::Certificate("wall".into())), Ok(Some("operator".into())));
        assert_eq!(who_is(&path, &Known::Certificate("other".into())), Ok(None));
    }

    #[test]
    fn where_nothing_is_said_a_user_may_everything_and_a_certificate_nothing() {
        let (_home, path) = file("");

        let all = "operator reviewer officer auditor";
        assert_eq!(who_is(&path, &Known::User { uid: 4_000_000, pid: None }), Ok(Some(all.into())));
        assert_eq!(who_is(&path, &Known::Certificate("wall".into())), Ok(None));
    }

    #[test]
    fn where_nobody_knows_nobody_is_anybody() {
        let (_home, path) = file("[[identity]]\nuser = \"1\"\nroles = [\"boss\"]\n");
        assert!(who_is(&path, &Known::User { uid: 0, pid: None }).unwrap_err().contains("nobody knows who may do what"));

        let (_home, path) = file("");
        let token = Known::Token(Private::new("mst_x".into()));
        assert!(who_is(&path, &token).unwrap_err().contains("no ledger"), "none is there");
        assert!(!format!("{token:?}").contains("mst_x"));
    }
}
