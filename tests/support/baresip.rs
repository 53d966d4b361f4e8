//! baresip as a real telephone: commands and events by its `ctrl_tcp` module, sound from a file, what it said and heard into files.
//!
//! Of baresip 1.0.0: `net_interface` must name an address, for it passes over `lo`; it answers only a Request-URI whose user is its
//! account's; a call ends by itself with the end of the sound file; on TCP it binds its SIP port and the one above; the files of the
//! `sndfile` module are whole when it has quit.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use super::child::Running;
use super::site::Site;
use super::sound::{Wav, write_tone};
use super::{A_WHILE, until};

/// A telephone that runs.
pub(crate) struct Baresip {
    running: Running,
    control: TcpStream,
    unread: Vec<u8>,
    events: VecDeque<Value>,
    directory: TempDir,
}

/// What a telephone says for itself.
pub(crate) struct Speaks {
    /// The frequency of its tone.
    pub(crate) hertz: f64,
    /// For how long; then it hangs up.
    pub(crate) ms: u32,
    /// The codec's name for baresip: `pcma`, `pcmu`, `g722` or `opus`.
    pub(crate) codec: &'static str,
    /// Its `mediaenc`: `srtp` (RTP/AVP with keys) or `srtp-mand` (RTP/SAVP).
    pub(crate) encryption: Option<&'static str>,
}

/// How a telephone's signalling differs from UDP to the proxy without a login.
#[derive(Default)]
pub(crate) struct Signals {
    /// Parameters of its account, as `;auth_user=100;auth_pass=secret`.
    pub(crate) account: String,
    /// Lines of its configuration.
    pub(crate) config: String,
    /// Whom its calls go to first; the proxy, over UDP, where none is named.
    pub(crate) outbound: Option<String>,
    /// What its own URI says of how it is reached, as `;transport=tls`.
    pub(crate) transport: &'static str,
}

impl Baresip {
    /// Starts a telephone of this number; it answers whoever calls.
    pub(crate) fn start(site: &Site, at: SocketAddr, number: &str, speaks: &Speaks) -> Self {
        Self::start_as(site, at, number, speaks, &Signals::default())
    }

    /// Starts one whose signalling is another than usual.
    pub(crate) fn start_as(site: &Site, at: SocketAddr, number: &str, speaks: &Speaks, signals: &Signals) -> Self {
        let is_pbx = at == site.ports.pbx();
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let home = directory.path();
        let tone = home.join("tone.wav");
        write_tone(&tone, speaks.hertz, speaks.ms);
        std::fs::create_dir(home.join("heard")).expect("the directory is new");
        let media = if is_pbx { site.ports.pbx_media() } else { site.ports.trunk_media() };
        let control = site.ports.control(is_pbx);
        let config = format!(
            "poll_method epoll\nsip_listen {at}\nnet_interface 127.0.0.1\ncall_max_calls 4\n\
             audio_source aufile,{tone}\nausrc_srate 8000\nausrc_channels 1\nrtp_ports {low}-{high}\njitter_buffer_delay 5-10\n\
             ringback_disabled yes\nmodule_path /usr/lib/baresip/modules\n\
             module g711.so\nmodule g722.so\nmodule opus.so\nmodule aufile.so\nmodule sndfile.so\nmodule srtp.so\nsnd_path {heard}\n\
             module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen {control}\n{more}",
            more = signals.config,
            tone = tone.display(),
            heard = home.join("heard").display(),
            low = media.start(),
            high = media.end(),
        );
        let account = format!(
            "<sip:{number}@{at}{}>;regint=0;answermode=auto;audio_codecs={}{}{};outbound=\"sip:{}\"\n",
            signals.transport,
            speaks.codec,
            speaks.encryption.map(|how| format!(";mediaenc={how}")).unwrap_or_default(),
            signals.account,
            signals.outbound.clone().unwrap_or_else(|| site.ports.proxy().to_string())
        );
        std::fs::write(home.join("config"), config).expect("the test's own directory can be written");
        std::fs::write(home.join("accounts"), account).expect("the test's own directory can be written");
        std::fs::write(home.join("contacts"), "").expect("the test's own directory can be written");
        let running =
            Running::start(&format!("baresip {number}"), Command::new("baresip").arg("-f").arg(home).args(["-t", "50"]));
        let control = until("baresip to take commands", A_WHILE, || TcpStream::connect(control).ok());
        Self { running, control, unread: Vec::new(), events: VecDeque::new(), directory }
    }

    /// Calls a number that is reached at this address.
    pub(crate) fn dials(&mut self, number: &str, at: SocketAddr) {
        self.command("dial", &format!("sip:{number}@{at}"));
    }

    /// Presses a key.
    pub(crate) fn presses(&mut self, key: char) {
        self.command("sndcode", &key.to_string());
    }

    /// Hangs up.
    pub(crate) fn hangs_up(&mut self) {
        self.command("hangup", "");
    }

    /// Waits for an event of this type (`CALL_ESTABLISHED`, `CALL_CLOSED`, …); what came before it is passed over.
    pub(crate) fn wait_for(&mut self, kind: &str) -> Value {
        let end = Instant::now() + A_WHILE;
        loop {
            while let Some(event) = self.events.pop_front() {
                if event["type"] == kind {
                    return event;
                }
            }
            self.read(end, kind);
        }
    }

    /// Ends the telephone; returns what it said and what it heard, each whole.
    pub(crate) fn quits(mut self) -> (Wav, Wav) {
        self.send("quit", "");
        self.running.finish(A_WHILE).must_succeed();
        let file = |ending: &str| {
            let entries = std::fs::read_dir(self.directory.path().join("heard")).expect("it is the test's own");
            let mut paths = entries.map(|entry| entry.expect("it can be listed").path());
            let path = paths.find(|path| path.to_string_lossy().ends_with(ending));
            Wav::read(&path.expect("the module sndfile wrote it"))
        };
        (file("-enc.wav"), file("-dec.wav"))
    }

    fn command(&mut self, command: &str, params: &str) {
        self.send(command, params);
        let end = Instant::now() + A_WHILE;
        loop {
            let answer = self.events.iter().position(|event| event["response"] == true);
            if let Some(answer) = answer.and_then(|at| self.events.remove(at)) {
                assert_eq!(answer["ok"], true, "baresip does not `{command} {params}`: {answer}\n{}", self.running.said());
                return;
            }
            self.read(end, "an answer to a command");
        }
    }

    // A netstring of JSON: `LENGTH:{…},`.
    fn send(&mut self, command: &str, params: &str) {
        let json = serde_json::json!({"command": command, "params": params, "token": "t"}).to_string();
        self.control.write_all(format!("{}:{json},", json.len()).as_bytes()).expect("baresip takes commands");
    }

    fn read(&mut self, end: Instant, what: &str) {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "baresip has not told {what} in time; it said:\n{}", self.running.said());
        self.control.set_read_timeout(Some(left)).expect("the time-out is not nought");
        let mut bytes = [0; 4096];
        match self.control.read(&mut bytes) {
            Ok(0) => panic!("baresip ended while {what} was waited for; it said:\n{}", self.running.said()),
            Ok(n) => self.unread.extend(&bytes[..n]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => panic!("baresip's control connection: {error}"),
        }
        while let Some(colon) = self.unread.iter().position(|&byte| byte == b':') {
            let len: usize =
                std::str::from_utf8(&self.unread[..colon]).ok().and_then(|len| len.parse().ok()).expect("a netstring");
            if self.unread.len() < colon + 1 + len + 1 {
                break;
            }
            let json = serde_json::from_slice(&self.unread[colon + 1..colon + 1 + len]).expect("baresip speaks JSON");
            self.events.push_back(json);
            self.unread.drain(..colon + 1 + len + 1);
        }
    }
}
