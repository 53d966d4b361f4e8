//! An authority of the tests' own, whose certificates proxy and telephones believe, and one that nobody does.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::site::Site;
use super::wire::Secured;

/// Who makes certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, as PEM.
pub(crate) struct Certificate {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(rcgen::DnType::CommonName, "the tests' own authority");
        Self(CertifiedIssuer::self_signed(params, key()).expect("the parameters are right"))
    }

    /// The authority's own certificate, as PEM.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Makes a certificate for these names or addresses.
    pub(crate) fn certify(&self, names: &[&str]) -> Certificate {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("they are names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("the authority signs");
        Certificate { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// Has an installation listen over UDP and TCP at one port and over TLS at the next, with a certificate of this authority, and believe
    /// others of it.
    pub(crate) fn equip(&self, site: &Site) {
        let (proxy, over_tls) = (site.ports.proxy(), site.ports.proxy_tls());
        site.set("[sip]", &format!("listen = [\"udp {proxy}\", \"tcp {proxy}\", \"tls {over_tls}\"]"));
        let [chain, key, authority] = ["sip.crt.pem", "sip.key.pem", "authority.pem"].map(|name| site.path().join(name));
        std::fs::write(&authority, self.pem()).expect("the test's own directory can be written");
        self.certify(&[&proxy.ip().to_string()]).write(&chain, &key);
        site.add(&format!(
            "[tls]\ncertificate = \"{}\"\nprivate_key = \"{}\"\nauthorities = \"{}\"",
            chain.display(),
            key.display(),
            authority.display()
        ));
    }

    /// What a telephone with this certificate is over TLS; it believes this authority, and asks who connects for a certificate.
    pub(crate) fn secured(&self, certificate: &Certificate) -> Secured {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).expect("it is PEM")).expect("it is a certificate");
        let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
        let chain = || vec![CertificateDer::from_pem_slice(certificate.chain.as_bytes()).expect("it is PEM")];
        let key = || PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).expect("it is PEM");
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let verifier = verifier.build().expect("there is an authority");
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let server = server.expect("ring has them").with_client_cert_verifier(verifier).with_single_cert(chain(), key());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = client.expect("ring has them").with_root_certificates(roots).with_client_auth_cert(chain(), key());
        Secured { server: Arc::new(server.expect("they go together")), client: Arc::new(client.expect("they go together")) }
    }
}

impl Certificate {
    /// Puts both into files, the key for nobody else.
    pub(crate) fn write(&self, chain: &Path, key: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(chain, &self.chain).expect("the test's own directory can be written");
        std::fs::write(key, &self.key).expect("the test's own directory can be written");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).expect("it is our own");
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("ring makes keys")
}
