//! Our certificates: read from their files, and read again when these change, so that a renewal needs no restart.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::tls::{Clients, Files, Tls};

/// The files, and how they were when they were read last.
pub(super) struct Certificates {
    pub(super) certificate: PathBuf,
    pub(super) private_key: PathBuf,
    pub(super) authorities: PathBuf,
    pub(super) clients: Clients,
    seen: [Option<(SystemTime, u64)>; 3],
}

impl Certificates {
    pub(super) const fn of(certificate: PathBuf, private_key: PathBuf, authorities: PathBuf, clients: Clients) -> Self {
        Self { certificate, private_key, authorities, clients, seen: [None; 3] }
    }

    /// Reads them for the first time.
    pub(super) fn read(mut self) -> Result<(Tls, Self), String> {
        self.seen = self.look();
        let tls = self.load()?;
        Ok((tls, self))
    }

    /// Returns whether whoever connects must show one.
    pub(super) fn are_asked_for(&self) -> bool {
        self.clients == Clients::Certified
    }

    /// Reads them again where one of them is another than it was; nothing where none is. What cannot be used is told once: the old ones
    /// stay until the files change again.
    pub(super) fn renewed(&mut self) -> Option<Result<Tls, String>> {
        let now = self.look();
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(self.load())
    }

    fn look(&self) -> [Option<(SystemTime, u64)>; 3] {
        [&self.certificate, &self.private_key, &self.authorities].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }

    fn load(&self) -> Result<Tls, String> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                format!("cannot read `{}` ([tls]): {error}\n  the service's user must be able to read it", path.display())
            })
        };
        let (certificate, private_key, authorities) =
            (read(&self.certificate)?, zeroize::Zeroizing::new(read(&self.private_key)?), read(&self.authorities)?);
        let files = Files { certificate: &certificate, private_key: &private_key, authorities: &authorities };
        Tls::new(files, self.clients).map_err(|bad| {
            format!("the files of [tls] cannot be used: {bad}\n  `mitschnitt check` says more; the certificate's own chain comes first in its file, its key in PKCS#8 or SEC1")
        })
    }
}
