//! Our certificates, for SIP and for the API: read from their files, and read again when these change, so that a renewal needs no restart.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::ServerConfig;
use zeroize::Zeroizing;

use crate::control::Trouble;
use crate::control::config::ApiTls;
use crate::tls::{self, Clients, Files, Tls};

/// Files, and how they were when they were read last.
struct Watched {
    paths: Vec<PathBuf>,
    seen: Vec<Option<(SystemTime, u64)>>,
}

impl Watched {
    /// To be read for the first time.
    const fn of(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: Vec::new() }
    }

    /// Returns whether one of them is another than it was; from then on that is how it was.
    fn have_changed(&mut self) -> bool {
        let now: Vec<_> = self.paths.iter().map(|path| look(path)).collect();
        let has_changed = now != self.seen;
        self.seen = now;
        has_changed
    }
}

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// What the API is served with over TLS.
pub(super) struct ApiCertificates {
    files: ApiTls,
    watched: Watched,
}

impl ApiCertificates {
    /// Reads them for the first time; returns also where the API listens.
    pub(super) fn read(files: &ApiTls) -> Result<(SocketAddr, Arc<ServerConfig>, Self), Trouble> {
        let paths = [Some(&files.certificate), Some(&files.private_key), files.authorities.as_ref()];
        let mut watched = Watched::of(paths.into_iter().flatten().cloned().collect());
        watched.have_changed();
        let own = Self { files: files.clone(), watched };
        let server = own.load()?;
        Ok((files.listen, server, own))
    }

    /// Reads them again where one of them is another than it was; nothing where none is. What cannot be used is told once: the old ones stay until the
    /// files change again.
    pub(super) fn renewed(&mut self) -> Option<Result<Arc<ServerConfig>, Trouble>> {
        self.watched.have_changed().then(|| self.load())
    }

    fn load(&self) -> Result<Arc<ServerConfig>, Trouble> {
        let read = |path: &PathBuf, what: &str| {
            fs::read(path).map_err(|error| {
                let what = format!("cannot read {what} `{}`: {error}", path.display());
                Trouble::new(what, "[api] names it; the service's user must be able to read it")
            })
        };
        let ApiTls { certificate, private_key, authorities, .. } = &self.files;
        let certificate = read(certificate, "the API's certificate")?;
        let private_key = Zeroizing::new(read(private_key, "the key of the API's certificate")?);
        let authorities = authorities.as_ref().map(|path| read(path, "those whose clients may use the API")).transpose()?;
        tls::server(&certificate, &private_key, authorities.as_deref()).map_err(|error| {
            Trouble::new(
                format!("the API cannot be served over TLS: {error}"),
                "see `certificate`, `private_key` and `authorities` of [api]",
            )
        })
    }
}

/// The files, and how they were when they were read last.
pub(super) struct Certificates {
    pub(super) certificate: PathBuf,
    pub(super) private_key: PathBuf,
    pub(super) authorities: PathBuf,
    pub(super) clients: Clients,
    watched: Watched,
}

impl Certificates {
    pub(super) fn of(certificate: PathBuf, private_key: PathBuf, authorities: PathBuf, clients: Clients) -> Self {
        let watched = Watched::of(vec![certificate.clone(), private_key.clone(), authorities.clone()]);
        Self { certificate, private_key, authorities, clients, watched }
    }

    /// Reads them for the first time.
    pub(super) fn read(mut self) -> Result<(Tls, Self), String> {
        self.watched.have_changed();
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
        self.watched.have_changed().then(|| self.load())
    }

    fn load(&self) -> Result<Tls, String> {
        let read = |path: &Path| {
            fs::read(path).map_err(|error| {
                format!("cannot read `{}` ([tls]): {error}\n  the service's user must be able to read it", path.display())
            })
        };
        let (certificate, private_key, authorities) =
            (read(&self.certificate)?, Zeroizing::new(read(&self.private_key)?), read(&self.authorities)?);
        let files = Files { certificate: &certificate, private_key: &private_key, authorities: &authorities };
        Tls::new(files, self.clients).map_err(|bad| {
            format!("the files of [tls] cannot be used: {bad}\n  `mitschnitt check` says more; the certificate's own chain comes first in its file, its key in PKCS#8 or SEC1")
        })
    }
}
