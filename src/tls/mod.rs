//! Who we are over TLS, and whom we believe (RFC 3261 §26.3, RFC 5922): from the text of PEM files to what `rustls` wants.
//!
//! It reads no file and opens no connection; the shell does.

mod witness;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub use witness::{SignatureHash, Witness, dns_names};

/// The file of those whose certificates are believed where none is named: the one that Debian keeps.
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whether whoever connects must show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Clients {
    /// One of an authority that is believed, with the peer's name in it.
    Certified,
    /// None is asked for: the peer is known by its address alone.
    Anybody,
}

/// The texts of the files.
#[derive(Clone, Copy)]
pub struct Files<'f> {
    /// Our certificate, and those between it and its authority.
    pub certificate: &'f [u8],
    /// Its private key.
    pub private_key: &'f [u8],
    /// Those whose certificates are believed.
    pub authorities: &'f [u8],
}

/// Both ends of TLS: what we are to those who connect to us, and to those that we connect to.
#[derive(Clone, Debug)]
pub struct Tls {
    /// For connections that others open.
    pub server: Arc<ServerConfig>,
    /// For those that we open; our own certificate is shown where it is asked for.
    pub client: Arc<ClientConfig>,
}

/// The name, or the address, that a peer's certificate must be for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerName(ServerName<'static>);

/// Why a file cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bad {
    /// There is no certificate in its file.
    NoCertificate,
    /// There is no private key in its file.
    NoKey,
    /// There is no authority in its file.
    NoAuthority,
    /// A file is no PEM.
    NotPem(&'static str),
    /// The key is not the certificate's, or of a kind that is not used here.
    NotOurs(String),
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// One of them holds nothing of its kind, or the key is not the certificate's.
    pub fn new(files: Files<'_>, clients: Clients) -> Result<Self, Bad> {
        let (chain, key) = own(files.certificate, files.private_key)?;
        let roots = believed(files.authorities)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let not_ours = |error: rustls::Error| Bad::NotOurs(error.to_string());

        let server =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().map_err(not_ours)?;
        let server = match clients {
            Clients::Anybody => server.with_no_client_auth(),
            Clients::Certified => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
                let verifier = verifier.build().map_err(|error| Bad::NotOurs(error.to_string()))?;
                server.with_client_cert_verifier(verifier)
            }
        };
        let server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(not_ours)?;
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(not_ours)?;
        let client = client.with_root_certificates(roots).with_client_auth_cert(chain, key).map_err(not_ours)?;
        Ok(Self { server: Arc::new(server), client: Arc::new(client) })
    }
}

/// Returns how we speak to a server that is believed by these authorities; with our certificate and key, where it may ask for them.
///
/// # Errors
/// One of the files holds nothing of its kind, or the key is not the certificate's.
pub fn client(authorities: &[u8], ours: Option<[&[u8]; 2]>) -> Result<Arc<ClientConfig>, Bad> {
    let not_ours = |error: rustls::Error| Bad::NotOurs(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(not_ours)?;
    let client = client.with_root_certificates(believed(authorities)?);
    let client = match ours {
        None => client.with_no_client_auth(),
        Some([certificate, key]) => {
            let (chain, key) = own(certificate, key)?;
            client.with_client_auth_cert(chain, key).map_err(not_ours)?
        }
    };
    Ok(Arc::new(client))
}

/// Returns how we speak to clients over HTTP. Where authorities are named whoever has a certificate of theirs may show it, and nobody must.
///
/// # Errors
/// One of the files holds nothing of its kind, or the key is not the certificate's.
pub fn server(certificate: &[u8], private_key: &[u8], authorities: Option<&[u8]>) -> Result<Arc<ServerConfig>, Bad> {
    let not_ours = |error: rustls::Error| Bad::NotOurs(error.to_string());
    let (chain, key) = own(certificate, private_key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.map_err(not_ours)?;
    let server = match authorities {
        None => server.with_no_client_auth(),
        Some(authorities) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(believed(authorities)?, provider);
            let verifier = verifier.allow_unauthenticated().build();
            server.with_client_cert_verifier(verifier.map_err(|error| Bad::NotOurs(error.to_string()))?)
        }
    };
    let mut server = server.with_single_cert(chain, key).map_err(not_ours)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

/// Reads our certificate and its key.
fn own(certificate: &[u8], private_key: &[u8]) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Bad> {
    let chain = certificates(certificate, "the certificate")?;
    if chain.is_empty() {
        return Err(Bad::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(private_key)
        .map_err(|error| if matches!(error, pem::Error::NoItemsFound) { Bad::NoKey } else { Bad::NotPem("the private key") })?;
    Ok((chain, key))
}

/// Reads those whose certificates are believed.
fn believed(authorities: &[u8]) -> Result<Arc<RootCertStore>, Bad> {
    let mut roots = RootCertStore::empty();
    // One that cannot be parsed, of the hundred that a system has, is no reason to believe none.
    let (believed, _) = roots.add_parsable_certificates(certificates(authorities, "the authorities")?);
    if believed == 0 {
        return Err(Bad::NoAuthority);
    }
    Ok(Arc::new(roots))
}

impl PeerName {
    /// Returns the name that this text is: a host name, or an IP address; nothing where it is neither.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        ServerName::try_from(text).ok().map(|name| Self(name.to_owned()))
    }

    /// Returns the name of who is known by its address alone.
    #[must_use]
    pub fn of_ip(ip: IpAddr) -> Self {
        Self(ServerName::IpAddress(ip.into()))
    }

    /// Returns it as `rustls` wants it.
    #[must_use]
    pub fn to_server_name(&self) -> ServerName<'static> {
        self.0.clone()
    }

    /// Returns whether a certificate, which is believed, is for this name (RFC 5922 §7.2).
    #[must_use]
    pub fn is_in(&self, certificate: &CertificateDer<'_>) -> bool {
        ParsedCertificate::try_from(certificate).is_ok_and(|certificate| verify_server_name(&certificate, &self.0).is_ok())
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate in it"),
            Self::NoKey => f.write_str("there is no private key in it"),
            Self::NoAuthority => f.write_str("there is no certificate of an authority in it"),
            Self::NotPem(what) => write!(f, "{what} is not PEM: text between -----BEGIN and -----END"),
            Self::NotOurs(why) => {
                write!(f, "certificate and key do not go together, or are of a kind that is not used here: {why}")
            }
        }
    }
}

impl std::error::Error for Bad {}

fn certificates(text: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, Bad> {
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(|_| Bad::NotPem(what))
}
