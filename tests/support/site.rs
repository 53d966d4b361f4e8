//! One installation for one test: a directory, ports, a configuration, keys, and the program in it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::child::{Ended, Running};
use super::ports::Ports;
use super::sound::write_tone;
use super::{A_WHILE, until};

/// What the one policy says.
#[derive(Clone)]
pub(crate) struct Policy {
    /// `announce`, `opt-out` or `opt-in`.
    pub(crate) mode: &'static str,
    /// How long the key is waited for after the announcement.
    pub(crate) answer_s: u32,
    /// How long the announcement is.
    pub(crate) announcement_ms: u32,
    /// `media_as` of the PBX and of the trunk, where SRTP ends here.
    pub(crate) media_as: Option<[&'static str; 2]>,
}

/// A policy of a mode, with an announcement of one second and two seconds to answer.
pub(crate) const fn policy(mode: &'static str) -> Policy {
    Policy { mode, answer_s: 2, announcement_ms: 1000, media_as: None }
}

/// An installation.
pub(crate) struct Site {
    pub(crate) ports: Ports,
    directory: TempDir,
    media: RangeInclusive<u16>,
    policy: Policy,
}

impl Site {
    /// Lays it out and makes the keys, all by the program itself.
    pub(crate) fn new(policy: Policy) -> Self {
        let site = Self::bare(policy, None);
        site.cli(&["keys", "generate"]).must_succeed();
        site
    }

    /// Lays it out with so many media ports only, and makes the keys.
    pub(crate) fn with_media_ports(policy: Policy, count: u16) -> Self {
        let site = Self::bare(policy, Some(count));
        site.cli(&["keys", "generate"]).must_succeed();
        site
    }

    /// Lays it out without keys.
    pub(crate) fn without_keys(policy: Policy) -> Self {
        Self::bare(policy, None)
    }

    fn bare(policy: Policy, media_ports: Option<u16>) -> Self {
        let ports = Ports::reserve();
        let directory = tempfile::Builder::new().prefix("mitschnitt-").tempdir().expect("there is room for a directory");
        let all = ports.proxy_media();
        let media = *all.start()..=media_ports.map_or_else(|| *all.end(), |count| all.start() + count - 1);
        let site = Self { ports, directory, media, policy };
        std::fs::create_dir(site.path().join("keys")).expect("the directory is new");
        write_tone(&site.announcement(), 1000.0, site.policy.announcement_ms);
        std::fs::write(site.config(), site.toml()).expect("the test's own directory can be written");
        site
    }

    fn toml(&self) -> String {
        let Policy { mode, answer_s, media_as, .. } = &self.policy;
        let as_said = |said: Option<&str>| match said {
            None => String::new(),
            Some("rtp") => "media_as = \"rtp\"\n".to_owned(),
            Some(said) => format!("media_as = \"{said}\"\nsrtp_keys = \"in-clear\"\n"),
        };
        let [pbx_as, trunk_as] = [0, 1].map(|at| as_said(media_as.map(|both| both[at])));
        let (ports, here) = (&self.ports, self.directory.path().display());
        let key = if *mode == "announce" { String::new() } else { format!("key = \"1\"\nanswer_s = {answer_s}\n") };
        format!(
            r#"[sip]
listen = "udp {proxy}"

[pbx]
address = "{pbx}"
{pbx_as}
[[trunk]]
name = "carrier"
address = "{trunk}"
{trunk_as}
[media]
io = "{io}"
address = "127.0.0.1"
ports = "{low}-{high}"

[metrics]
listen = "{metrics}"

[data]
directory = "{here}/data"

[keys]
node = "{here}/keys/node.pem"

[[recipient]]
name = "desk"
purposes = ["quality"]
public_key = "{here}/keys/desk.pub.pem"

[[policy]]
name = "all"
purpose = "quality"
legal_basis = "consent, GDPR 6(1)(a)"
mode = "{mode}"
must_agree = ["remote"]
{key}announcement = {{ en = "{announcement}" }}
"#,
            // `MEDIA_IO=io_uring cargo test` runs all that starts a proxy on the kernel's ring.
            io = std::env::var("MEDIA_IO").as_deref().unwrap_or("epoll"),
            proxy = ports.proxy(),
            pbx = ports.pbx(),
            trunk = ports.trunk(),
            metrics = ports.metrics(),
            low = self.media.start(),
            high = self.media.end(),
            announcement = self.announcement().display(),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("mitschnitt.toml")
    }

    /// Puts a setting into a section of the configuration, such as `io = "epoll"` into `[media]`, in the place of what it says of it.
    pub(crate) fn set(&self, section: &str, setting: &str) {
        let (key, _) = setting.split_once(" = ").expect("a setting has a value");
        let config = std::fs::read_to_string(self.config()).expect("the test wrote it");
        let (before, rest) = config.split_once(&format!("{section}\n")).unwrap_or_else(|| panic!("{section} is in {config}"));
        let (inside, after) = rest.split_at(rest.find("\n[").unwrap_or(rest.len()));
        let others = inside.lines().filter(|line| !line.starts_with(&format!("{key} = ")));
        let inside: Vec<_> = std::iter::once(setting).chain(others).collect();
        let changed = format!("{before}{section}\n{}\n{after}", inside.join("\n"));
        std::fs::write(self.config(), changed).expect("the test's own directory can be written");
    }

    /// Gives it an address and ports for the media of a thousand calls, which no other test has.
    pub(crate) fn has_many_media_ports(&self) {
        self.set("[media]", &format!("address = \"{}\"", self.ports.host(1)));
        self.set("[media]", "ports = \"10000-13999\"");
    }

    /// Adds a section to the configuration.
    pub(crate) fn add(&self, section: &str) {
        let config = std::fs::read_to_string(self.config()).expect("the test wrote it");
        std::fs::write(self.config(), format!("{config}\n{section}\n")).expect("the test's own directory can be written");
    }

    /// Whether the peer at this address speaks TCP, be it that a tunnel makes TLS of it; one with a host of its own is at any port of it.
    pub(crate) fn is_over_tcp(&self, at: SocketAddr) -> bool {
        let config = std::fs::read_to_string(self.config()).expect("the test wrote it");
        let has_a_host = at.ip() != self.ports.proxy().ip();
        let is_at_host = config.contains(&format!("\"tcp {}:", at.ip())) || self.has_a_tunnel(at);
        config.contains(&format!("\"tcp {at}\"")) || has_a_host && is_at_host
    }

    /// Whether a tunnel makes TLS of what the peer at this host speaks.
    pub(crate) fn has_a_tunnel(&self, at: SocketAddr) -> bool {
        let config = std::fs::read_to_string(self.config()).expect("the test wrote it");
        at.ip() != self.ports.proxy().ip() && config.contains(&format!("\"tls {}:", at.ip()))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn announcement(&self) -> PathBuf {
        self.path().join("announcement.wav")
    }

    /// The private key of the one who may listen.
    pub(crate) fn recipient_secret(&self) -> PathBuf {
        self.path().join("keys/desk.secret.pem")
    }

    /// The key by which the node signs.
    pub(crate) fn node_key(&self) -> PathBuf {
        self.path().join("keys/node.pem")
    }

    /// The media port that SIPp gets at this address: even, and two apart from the next for its video socket.
    pub(crate) fn sipp_media(&self, at: SocketAddr) -> u16 {
        let (pbx, trunk) = (*self.ports.pbx_media().start(), *self.ports.trunk_media().start());
        match at.port() {
            port if port == self.ports.pbx().port() => pbx,
            port if port == self.ports.beyond().port() => trunk + 4,
            _ => trunk,
        }
    }

    /// Starts the proxy; returns when it is ready.
    pub(crate) fn start(&self) -> Running {
        let mut proxy = self.start_unready();
        proxy.wait_for("mitschnitt ready", A_WHILE);
        proxy
    }

    /// The configuration of its token, where it has one.
    pub(crate) fn softhsm(&self) -> PathBuf {
        self.path().join("softhsm2.conf")
    }

    fn program(&self) -> Command {
        let mut program = program();
        program.current_dir(self.path()).env("SOFTHSM2_CONF", self.softhsm());
        program
    }

    /// Starts the proxy and does not wait for it.
    pub(crate) fn start_unready(&self) -> Running {
        Running::start("mitschnitt run", self.program().arg("run").arg("--config").arg(self.config()))
    }

    /// Runs a verb of the command line to its end.
    pub(crate) fn cli(&self, words: &[&str]) -> Ended {
        let name = format!("mitschnitt {}", words.join(" "));
        let mut command = self.program();
        command.args(words).arg("--config").arg(self.config());
        Running::run(&name, &mut command, Duration::from_secs(30))
    }

    /// Runs a verb that needs no installation to its end.
    pub(crate) fn cli_alone(&self, words: &[&str]) -> Ended {
        Running::run(&format!("mitschnitt {}", words.join(" ")), self.program().args(words), Duration::from_secs(30))
    }

    /// Runs a verb with `--json`; returns the rows.
    pub(crate) fn json(&self, words: &[&str]) -> Vec<Value> {
        let ended = self.cli(&[words, &["--json"]].concat()).must_succeed();
        match serde_json::from_str(&ended.out) {
            Ok(Value::Array(rows)) => rows,
            Ok(one) => vec![one],
            Err(_) => ended
                .out
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no line of JSON: {line}")))
                .collect(),
        }
    }

    /// Waits until the ledger holds as many calls, all of them over; returns their rows.
    pub(crate) fn ledger(&self, calls: usize) -> Vec<Value> {
        until(&format!("{calls} calls in the ledger, all over"), A_WHILE, || {
            let rows = self.json(&["recordings", "list", "--all"]);
            let are_over =
                rows.iter().all(|row| row["state"] != "recording" && row["reason"] != "in-progress" && !row["ended"].is_null());
            (rows.len() == calls && are_over).then_some(rows)
        })
    }

    /// Waits for the one call's row; panics unless this is its reason.
    pub(crate) fn ledger_says(&self, reason: &str) -> Value {
        let row = self.ledger(1).remove(0);
        assert_eq!(row["reason"], reason, "the ledger says: {row}");
        row
    }

    /// Waits for the one recording; verifies it; returns its id.
    pub(crate) fn recorded(&self) -> String {
        let row = self.ledger_says("recorded");
        let id = row["recording"].as_str().unwrap_or_else(|| panic!("a recorded call has a recording: {row}")).to_owned();
        self.verify(&id);
        id
    }

    /// Verifies a recording by the command line.
    pub(crate) fn verify(&self, id: &str) -> Ended {
        self.cli(&["recordings", "verify", id]).must_succeed()
    }

    /// Exports a recording as WAV.
    pub(crate) fn export(&self, id: &str) -> super::sound::Wav {
        let (key, out) = (self.recipient_secret(), self.path().join(format!("{id}.wav")));
        let [key, file] = [&key, &out].map(|path| path.to_str().expect("the test's own directory has a plain name"));
        self.cli(&["recordings", "export", id, "--key", key, "--purpose", "quality", "--format", "wav", "--out", file])
            .must_succeed();
        let wav = super::sound::Wav::read(&out);
        assert_eq!(wav.channels.len(), 2, "the PBX's side left, the trunk's side right");
        wav
    }

    /// The recordings' files that there are.
    pub(crate) fn recordings(&self) -> Vec<PathBuf> {
        files_under(&self.data()).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rec")).collect()
    }

    /// Reads `/metrics`.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.ports.metrics()).expect("the proxy serves its metrics");
        stream.set_read_timeout(Some(A_WHILE)).expect("the time-out is not nought");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it takes the request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        answer
    }

    /// Waits until a metric has this value at least: some are handed over once a second.
    pub(crate) fn metric_reaches(&self, name: &str, value: f64) {
        // One that has a label for each cause is there once there was one.
        until(name, A_WHILE, || self.metric_if(name).is_some_and(|now| now >= value).then_some(()));
    }

    /// One metric's value, over all its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        self.metric_if(name).unwrap_or_else(|| panic!("there is no metric {name}:\n{}", self.metrics()))
    }

    fn metric_if(&self, name: &str) -> Option<f64> {
        let all = self.metrics();
        let mut values = all.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            (rest.starts_with('{') || rest.starts_with(' ')).then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
        });
        let first = values.next()?;
        Some(first + values.sum::<f64>())
    }
}

/// The program under test; for those who measure by hand, `PROGRAM` names another build of it.
pub(crate) fn program() -> Command {
    let built = std::env::var_os("PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_mitschnitt").into());
    let mut program = Command::new(built);
    program.env("RUST_BACKTRACE", "1").env_remove("RUST_LOG");
    program
}

/// All files under a directory, at any depth.
pub(crate) fn files_under(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .map(|entry| entry.expect("it can be listed").path())
        .flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] })
        .collect()
}
