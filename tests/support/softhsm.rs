//! A token for the node's key or a recipient's: SoftHSM 2, with a folder of its own for each installation.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::A_WHILE;
use super::child::{Ended, Running};
use super::site::Site;

/// The token of an installation.
pub(crate) struct SoftHsm {
    folder: PathBuf,
    configuration: PathBuf,
}

impl SoftHsm {
    /// Makes a token, and has the node's key be in it.
    pub(crate) fn of(site: &Site) -> Self {
        let hsm = Self::beside(site);
        let pin = site.path().join("pin");
        site.set(
            "[keys]",
            &format!("node = \"pkcs11:token=node;object=signer?module-path={MODULE}&pin-source=file:{}\"", pin.display()),
        );
        hsm
    }

    /// Makes a token, and leaves the configuration as it is.
    pub(crate) fn beside(site: &Site) -> Self {
        let hsm = Self { folder: site.path().join("tokens"), configuration: site.softhsm() };
        fs::create_dir(&hsm.folder).expect("the test's own directory is new");
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n", hsm.folder.display());
        fs::write(&hsm.configuration, text).expect("the test's own directory can be written");
        hsm.util(&["--init-token", "--free", "--label", "node", "--so-pin", "5678", "--pin", "1234"]).must_succeed();
        hsm.has_pin("1234", site);
        hsm
    }

    /// Names a key in it, as a recipient's is named; of its PIN this says nothing.
    pub(crate) fn key(&self, object: &str) -> String {
        format!("pkcs11:token=node;object={object}?module-path={MODULE}")
    }

    /// Does something by hand, with the PIN.
    pub(crate) fn by_hand(&self, words: &[&str]) -> Ended {
        let mut tool = Command::new("pkcs11-tool");
        tool.args(["--module", MODULE, "--token-label", "node", "--login", "--pin", "1234"]);
        tool.args(words).env("SOFTHSM2_CONF", &self.configuration);
        Running::run("pkcs11-tool", &mut tool, A_WHILE)
    }

    /// Says this PIN to the program.
    pub(crate) fn has_pin(&self, pin: &str, site: &Site) {
        let path = site.path().join("pin");
        fs::write(&path, format!("{pin}\n")).expect("the test's own directory can be written");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    }

    /// Pulls it out, as far as a token of files can be.
    pub(crate) fn is_pulled_out(&self) {
        fs::rename(&self.folder, self.folder.with_extension("away")).expect("it is there");
        fs::create_dir(&self.folder).expect("the slot stays, and is empty");
    }

    /// Plugs it in again.
    pub(crate) fn is_plugged_in(&self) {
        // It may have been given an empty token of its own.
        fs::remove_dir_all(&self.folder).expect("the slot is there");
        fs::rename(self.folder.with_extension("away"), &self.folder).expect("it is away");
    }

    /// Opens it by hand with a PIN; says whether it opened.
    pub(crate) fn opens_with(&self, pin: &str) -> bool {
        let mut tool = Command::new("pkcs11-tool");
        tool.args(["--module", MODULE, "--token-label", "node", "--login", "--pin", pin, "--list-objects"]);
        tool.env("SOFTHSM2_CONF", &self.configuration);
        Running::run("pkcs11-tool", &mut tool, A_WHILE).status.success()
    }

    fn util(&self, words: &[&str]) -> Ended {
        let mut util = Command::new("softhsm2-util");
        Running::run("softhsm2-util", util.args(words).env("SOFTHSM2_CONF", &self.configuration), A_WHILE)
    }
}

/// Where Debian has it.
const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
