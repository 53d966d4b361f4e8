//! The settings, as they are once the configuration was found right.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::access::Rules;
use crate::call::{DeadMedia, End, EndId, MediaAs, Rate, Registrations, Spread, Transport};
use crate::catalogue::Retention;
use crate::control::config::{Mistake, Network, Policy, in_force, retention};
use crate::ids::{Leg, TrunkName};
use crate::time::{Period, Wall};
use crate::tls::Clients;
use crate::vault::TokenUri;

/// All settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// SHA-256 of the configuration's text.
    pub sha256: [u8; 32],
    /// Signalling.
    pub sip: Sip,
    /// Who we are over TLS, where it is spoken.
    pub tls: Option<TlsFiles>,
    /// The company's side.
    pub pbx: Peer,
    /// The carriers' side; outbound calls take the first.
    pub trunks: Vec<Trunk>,
    /// Media.
    pub media: Media,
    /// Who is asked for names; empty: those of the system.
    pub dns: Vec<SocketAddr>,
    /// Where `/metrics` is served over HTTP.
    pub metrics: SocketAddr,
    /// Where the HTTP API listens over TLS, where it does.
    pub api: Option<ApiTls>,
    /// How the ledger's chain is published.
    pub audit: Audit,
    /// Who gives timestamps, where anybody does.
    pub timestamps: Option<Timestamps>,
    /// The web hook that is asked about calls, where there is one.
    pub hook: Option<Hook>,
    /// The data directory.
    pub data: PathBuf,
    /// The directory on a disk of its own, to which recordings go when that of the data directory fails or is full.
    pub spare: Option<PathBuf>,
    /// Whether each key file lies in an envelope that opens with a local share alone, which is forgotten with it.
    pub local_share: bool,
    /// The TPM that has the key of their table, and the number of the first of two spaces in it, for each disk; nothing: a file has it.
    pub tpm: Option<(PathBuf, u32)>,
    /// How much of its disk new recordings leave free; nothing said: 5 percent, and no more than 2 GiB.
    pub reserve_percent: Option<u64>,
    /// The node's signing key: its private half.
    pub node_key: NodeKeyFile,
    /// Who may listen.
    pub recipients: Vec<Recipient>,
    /// How long recordings are kept, by purpose.
    pub retention: Retention,
    /// Who may do what, where that is said: otherwise whoever may read the files, or open the socket.
    pub access: Option<Rules>,
    /// What is recorded: the first policy that matches a call decides.
    pub policies: Vec<Policy>,
}

impl Settings {
    /// Returns the ledger's file.
    #[must_use]
    pub fn ledger(&self) -> PathBuf {
        self.data.join("ledger.db")
    }

    /// Returns what is wrong with who may listen at this time, and what will be within 30 days: a policy that records and for which no
    /// recipient is in force. Such calls go on unrecorded, with `vault-unavailable` in the ledger.
    #[must_use]
    pub fn unheard(&self, now: Wall) -> Vec<Mistake> {
        in_force::unheard(self, now)
    }

    /// Returns what is to be told of policies that were to be looked at again by this time, or are to be within 30 days.
    #[must_use]
    pub fn unreviewed(&self, now: Wall) -> Vec<Mistake> {
        in_force::unreviewed(self, now)
    }

    /// Returns a warning for each purpose of which nothing says how long its recordings are kept.
    #[must_use]
    pub fn unlimited(&self) -> Vec<Mistake> {
        retention::unlimited(self)
    }

    /// Returns every file that the configuration names and that must be there before the proxy can start.
    #[must_use]
    pub fn files(&self) -> Vec<NamedFile> {
        let node = NamedFile { path: self.node_key.path.clone(), line: self.node_key.line, file_use: FileUse::NodeKey };
        let node = self.node_key.token.is_none().then_some(node);
        let recipients = self.recipients.iter().map(|recipient| NamedFile {
            path: recipient.public_key.clone(),
            line: Some(recipient.public_key_line),
            file_use: FileUse::PublicKey { recipient: recipient.name.clone() },
        });
        let announcements = self.policies.iter().flat_map(|policy| {
            policy.terms.iter().flat_map(|terms| &terms.announcements).map(|(language, (path, line))| NamedFile {
                path: path.clone(),
                line: Some(*line),
                file_use: FileUse::Announcement { policy: policy.name.clone(), language: language.clone() },
            })
        });
        let tls = self.tls.iter().flat_map(|files| {
            let file = |path: &PathBuf, file_use| NamedFile { path: path.clone(), line: files.line, file_use };
            [
                file(&files.certificate, FileUse::Certificate),
                file(&files.private_key, FileUse::CertificateKey),
                file(&files.authorities, FileUse::Authorities),
            ]
        });
        let stamps = self.timestamps.as_ref().and_then(|timestamps| timestamps.certificate.as_ref());
        let stamps = stamps.map(|(path, line)| NamedFile {
            path: path.clone(),
            line: Some(*line),
            file_use: FileUse::TimestampCertificate,
        });
        let payloads = self.policies.iter().flat_map(|policy| {
            policy.terms.iter().flat_map(|terms| &terms.payloads).map(|(coding, payloads)| NamedFile {
                path: payloads.path.clone(),
                line: Some(payloads.line),
                file_use: FileUse::Payloads {
                    policy: policy.name.clone(),
                    coding: coding.clone(),
                    clock: payloads.foreign.clock(),
                },
            })
        });
        let hook = self.hook.iter().flat_map(Hook::files);
        let api = self.api.iter().flat_map(ApiTls::files);
        node.into_iter()
            .chain(tls)
            .chain(api)
            .chain(stamps)
            .chain(hook)
            .chain(recipients)
            .chain(announcements)
            .chain(payloads)
            .collect()
    }
}

/// Signalling.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sip {
    /// Where PBX and trunks send to; at least one.
    pub listen: Vec<End>,
    /// What becomes of requests of others.
    pub strangers: Strangers,
    /// How its datagrams are marked: 0 to 63 (RFC 2474).
    pub dscp: u8,
    /// Numbers whose calls, from the PBX, always pass and are never recorded.
    pub emergency: Vec<String>,
    /// What the PBX's calls begin with that are to be kept unrecorded.
    pub unrecorded: Option<String>,
    /// The names of the header fields by which calls are found in the ledger.
    pub indexed: Vec<String>,
    /// How many messages of each address of a peer's are taken.
    pub peer_rate: Option<Rate>,
    /// How many requests of each stranger's address are answered, where strangers are.
    pub stranger_rate: Option<Rate>,
    /// How many calls of the PBX, or of one trunk, may ring at once.
    pub ringing_of_peer: usize,
}

/// The files by which we are known over TLS, and know others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// Our certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub private_key: PathBuf,
    /// Those whose certificates are believed.
    pub authorities: PathBuf,
    /// Whether whoever connects must show one.
    pub clients: Clients,
    /// Where the configuration names them.
    pub line: Option<usize>,
}

/// What becomes of requests from addresses that are neither PBX nor trunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Strangers {
    /// No answer: a scanner does not learn that somebody is here.
    Drop,
    /// 403 Forbidden.
    Forbid,
}

/// The PBX, or a trunk's far end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Where requests are sent, and where they come from.
    pub address: SocketAddr,
    /// The name that is looked up for them, where there is one; until it was, the address is none.
    pub host: Option<Host>,
    /// Further addresses, in order.
    pub others: Vec<SocketAddr>,
    /// Which of them is tried first.
    pub spread: Spread,
    /// Of the trunks, those with the lowest number are tried first.
    pub priority: u16,
    /// The share of the calls among trunks of one priority.
    pub weight: u16,
    /// Whether calls of the PBX may go to it.
    pub takes_calls: bool,
    /// How often each address is asked by OPTIONS; nothing where it is not.
    pub options_every: Option<Duration>,
    /// Over what.
    pub transport: Transport,
    /// By which of [`Sip::listen`].
    pub end: EndId,
    /// The name that its certificate must be for; without one it must be for its address.
    pub tls_name: Option<String>,
    /// From where else they may come.
    pub networks: Vec<Network>,
    /// Where its media may come from.
    pub latching: Latching,
    /// How its media are carried towards us; nothing where PBX and trunk settle that between themselves. Both say it, or neither.
    pub media_as: Option<MediaAs>,
    /// The only networks in which that is looked for. None: for `strict` nowhere else than its descriptions say, for `learn` anywhere.
    pub media_networks: Vec<Network>,
}

/// A name that leads to a peer (RFC 3263).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// The name.
    pub name: String,
    /// The port, where one is said: then only addresses are looked up.
    pub port: Option<u16>,
    /// The transports that may be used: the one that is said, or all that are listened on, and the domain chooses.
    pub spoken: Vec<Transport>,
    /// Whether that is said.
    pub is_said: bool,
    /// By which of our addresses it is to be spoken to, where that is said.
    pub local: Option<SocketAddr>,
}

/// Where a peer's media may come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Latching {
    /// From where its descriptions say, or from its media networks.
    Strict,
    /// From one source that is learned, as behind NAT.
    Learn,
}

/// A trunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trunk {
    /// Its name.
    pub name: TrunkName,
    /// Its far end.
    pub peer: Peer,
    /// What becomes of the PBX's registrations with it.
    pub registrations: Registrations,
}

/// Media.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Media {
    /// Our address towards each leg ([`Leg::index`]).
    pub addresses: [IpAddr; 2],
    /// The ports of each, both ends included; the first is even.
    pub ports: RangeInclusive<u16>,
    /// Media threads; 0 is one a core.
    pub threads: usize,
    /// How they speak with the kernel.
    pub io: MediaIo,
    /// How media packets are marked: 0 to 63 (RFC 2474).
    pub dscp: u8,
    /// When a call's media are dead, and what becomes of it.
    pub dead: Option<DeadMedia>,
}

/// How a media thread speaks with the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MediaIo {
    /// A system call for each packet in and each packet out. Needs nothing.
    Epoll,
    /// Packets by the batch, over a ring that is shared with the kernel: Linux 6.1, and a kernel that lets us.
    IoUring,
}

impl Media {
    /// Returns our address towards a leg.
    #[must_use]
    pub const fn address(&self, leg: Leg) -> IpAddr {
        let [pbx, trunk] = self.addresses;
        match leg {
            Leg::Pbx => pbx,
            Leg::Trunk => trunk,
        }
    }

    /// Returns how many pairs of ports each leg has: a call takes one of each.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.ports.len() / 2
    }
}

/// How the ledger's chain is published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// How often its head is signed and written to the log.
    pub publish_every: Duration,
}

/// Who gives timestamps (RFC 3161).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timestamps {
    /// Who.
    pub authority: Authority,
    /// Whether each recording's root gets one of its own, beside each published head.
    pub each_recording: bool,
    /// The file of the certificate by which it signs, and where the configuration names it, where it does.
    pub certificate: Option<(PathBuf, usize)>,
}

/// The web hook that is asked about calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// Where it is.
    pub at: Authority,
    /// How it is spoken to over TLS; nothing where it is on this machine, and spoken to in the clear.
    pub tls: Option<HookTls>,
    /// The file of the secret by which questions are signed.
    pub secret: PathBuf,
    /// How long an answer is waited for.
    pub deadline: Duration,
    /// Where the configuration names it.
    pub line: usize,
}

impl Hook {
    fn files(&self) -> impl Iterator<Item = NamedFile> {
        let file = |path: &PathBuf, file_use| NamedFile { path: path.clone(), line: Some(self.line), file_use };
        let client = self.tls.as_ref().and_then(|tls| tls.client.as_ref());
        let authorities = self.tls.as_ref().map(|tls| file(&tls.authorities, FileUse::Authorities));
        let of_client = client
            .into_iter()
            .flat_map(move |(certificate, key)| [file(certificate, FileUse::Certificate), file(key, FileUse::CertificateKey)]);
        std::iter::once(file(&self.secret, FileUse::HookSecret)).chain(authorities).chain(of_client)
    }
}

/// Where the HTTP API listens over TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiTls {
    /// Where.
    pub listen: SocketAddr,
    /// The file of our certificate, and of those between it and its authority.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub private_key: PathBuf,
    /// The file of those whose clients' certificates are believed; nothing where none is asked for, and tokens alone count.
    pub authorities: Option<PathBuf>,
    /// Where the configuration names it, where it does.
    pub line: Option<usize>,
}

impl ApiTls {
    fn files(&self) -> impl Iterator<Item = NamedFile> {
        let file = |path: &PathBuf, file_use| NamedFile { path: path.clone(), line: self.line, file_use };
        let authorities = self.authorities.as_ref().map(|path| file(path, FileUse::Authorities));
        let ours = [file(&self.certificate, FileUse::Certificate), file(&self.private_key, FileUse::CertificateKey)];
        ours.into_iter().chain(authorities)
    }
}

/// How a hook is spoken to over TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookTls {
    /// The files of the certificate and the key that it is shown, if any.
    pub client: Option<(PathBuf, PathBuf)>,
    /// The file of those whose certificates are believed.
    pub authorities: PathBuf,
}

/// An authority, over HTTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authority {
    /// Its name, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What is asked for there, beginning with a slash.
    pub path: String,
}

/// Host and port, as in a URL.
impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        match (host.contains(':'), port) {
            (true, port) => write!(f, "[{host}]:{port}"),
            (false, 80) => f.write_str(host),
            (false, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// Where the node's signing key is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeKeyFile {
    /// The private half's file, which is not there where a token has it: the public half lies beside it all the same.
    pub path: PathBuf,
    /// The token, where one has it.
    pub token: Option<TokenUri>,
    /// Where the configuration names it.
    pub line: Option<usize>,
}

impl NodeKeyFile {
    /// Returns the file of its public half, beside it: `node.pem` has `node.pub.pem`.
    #[must_use]
    pub fn public(&self) -> PathBuf {
        self.path.with_extension("pub.pem")
    }
}

/// Somebody who may listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient {
    /// The operator's name for them.
    pub name: String,
    /// To recordings made for these purposes.
    pub purposes: Vec<String>,
    /// The file of their public key.
    pub public_key: PathBuf,
    /// Where the configuration names it.
    pub public_key_line: usize,
    /// When recordings are sealed to them.
    pub period: Period,
}

impl Recipient {
    /// Returns where `keys generate` puts the secret key: beside the public one, `NAME.pub.pem` having `NAME.secret.pem`.
    #[must_use]
    pub fn secret_key(&self) -> PathBuf {
        secret_key(&self.public_key)
    }

    /// Returns when recordings are sealed to them, as `, from 2026-12-01 until 2027-12-01`; nothing where it is always.
    #[must_use]
    pub fn in_words(&self) -> String {
        let bound = |word, at: Option<Wall>| at.map(|at| format!(" {word} {}", in_force::day(at))).unwrap_or_default();
        let words = bound("from", self.period.from) + &bound("until", self.period.until);
        if words.is_empty() { words } else { format!(",{words}") }
    }
}

pub(super) fn secret_key(public_key: &Path) -> PathBuf {
    let name = public_key.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".pub.pem").or_else(|| name.strip_suffix(".pem")).unwrap_or(&name);
    public_key.with_file_name(format!("{stem}.secret.pem"))
}

/// A file that the configuration names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Where the configuration names it; nothing where it is the default.
    pub line: Option<usize>,
    /// What it is for.
    pub file_use: FileUse,
}

/// What a file is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FileUse {
    /// The node's signing key.
    NodeKey,
    /// A recipient's public key.
    PublicKey {
        /// Whose.
        recipient: String,
    },
    /// Our certificate for TLS.
    Certificate,
    /// Its private key.
    CertificateKey,
    /// Those whose certificates are believed.
    Authorities,
    /// The certificate by which the authority for timestamps signs.
    TimestampCertificate,
    /// The secret by which questions to the web hook are signed.
    HookSecret,
    /// An announcement.
    Announcement {
        /// Which policy plays it.
        policy: String,
        /// Its language.
        language: String,
    },
    /// The payloads of an announcement in a codec that is not spoken here.
    Payloads {
        /// Which policy plays it.
        policy: String,
        /// In which coding, in the operator's words.
        coding: String,
        /// The RTP clock of that, in Hz.
        clock: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_key_lies_beside_the_public_one_under_another_name() {
        let secret = |public: &str| secret_key(Path::new(public));

        assert_eq!(secret("keys/desk.pub.pem"), Path::new("keys/desk.secret.pem"));
        assert_eq!(secret("/etc/desk.pem"), Path::new("/etc/desk.secret.pem"));
        assert_eq!(secret("desk"), Path::new("desk.secret.pem"));
        assert_eq!(NodeKeyFile { path: "d/node.pem".into(), token: None, line: None }.public(), Path::new("d/node.pub.pem"));
    }
}
