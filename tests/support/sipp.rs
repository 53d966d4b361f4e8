//! SIPp as a PBX or a carrier: one call of a scenario under `tests/sipp`.
//!
//! SIPp 3.6.1 sends RTP through a raw socket, from the port that its description names; it needs root. It binds that port and the one
//! two above, reads neither, and leaves the RTCP port unbound. A second `play_pcap_audio` ends the first.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::child::Running;
use super::ports::until_bound;
use super::site::Site;
use super::tunnel::before;
use super::{A_WHILE, CALLED, CALLER};

/// The voice that SIPp brings along: 236 packets of 30 ms.
pub(crate) const VOICE: &str = "/usr/share/sip-tester/g711a.pcap";

/// The key `1` as RFC 4733 telephone-events, which SIPp brings along.
pub(crate) const KEY_1: &str = "/usr/share/sip-tester/dtmf_2833_1.pcap";

/// What one side does.
pub(crate) struct Plays<'s> {
    /// The scenario's name.
    pub(crate) scenario: &'s str,
    /// What it says, as a capture.
    pub(crate) voice: &'s Path,
    /// How long it waits where the scenario says so.
    pub(crate) waits_ms: u32,
}

impl<'s> Plays<'s> {
    /// A scenario without sound, that waits so long where it says so.
    pub(crate) fn silent(scenario: &'s str, waits_ms: u32) -> Self {
        Self { scenario, voice: Path::new(VOICE), waits_ms }
    }
}

/// A SIPp that runs.
pub(crate) struct Sipp {
    running: Running,
    directory: TempDir,
    scenario: String,
}

impl Sipp {
    /// Starts the called side on the trunk (an outbound call) or on the PBX; returns when it listens.
    pub(crate) fn called(site: &Site, at: SocketAddr, plays: &Plays<'_>) -> Self {
        let sipp = Self::start(site, at, at, plays);
        until_bound(if site.is_over_tcp(at) { "tcp" } else { "udp" }, at.port());
        sipp
    }

    /// Starts the calling side.
    pub(crate) fn calling(site: &Site, at: SocketAddr, whom: SocketAddr, plays: &Plays<'_>) -> Self {
        Self::start(site, at, whom, plays)
    }

    /// Starts a called side without sound, with these words for its scenario; returns when it listens.
    pub(crate) fn listening(site: &Site, at: SocketAddr, plays: &Plays<'_>, words: &[(&str, &str)]) -> Self {
        let sipp = Self::start_with(site, at, at, plays, words);
        let over = if site.is_over_tcp(at) { "tcp" } else { "udp" };
        until_bound(&format!("{over}{}", if at.is_ipv6() { "6" } else { "" }), at.port());
        sipp
    }

    /// Starts a calling side without sound.
    pub(crate) fn asking(site: &Site, at: SocketAddr, whom: SocketAddr, plays: &Plays<'_>, words: &[(&str, &str)]) -> Self {
        Self::start_with(site, at, whom, plays, words)
    }

    fn start(site: &Site, at: SocketAddr, called_at: SocketAddr, plays: &Plays<'_>) -> Self {
        Self::start_with(site, at, called_at, plays, &[])
    }

    fn start_with(site: &Site, at: SocketAddr, called_at: SocketAddr, plays: &Plays<'_>, words: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        let link = |what: &Path, name: &str| {
            std::os::unix::fs::symlink(what, directory.path().join(name)).expect("the directory is new");
        };
        link(plays.voice, "voice.pcap");
        link(Path::new(KEY_1), "key.pcap");
        let scenario = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sipp").join(format!("{}.xml", plays.scenario));
        let proxy = match site.ports.proxy() {
            proxy if site.has_a_tunnel(at) => before(proxy, at.ip()),
            proxy if at.is_ipv6() => SocketAddr::new(at.ip(), proxy.port()),
            proxy => proxy,
        };
        let (host, media) = (at.ip().to_string(), site.sipp_media(at).to_string());
        let mut command = Command::new("sipp");
        command.current_dir(directory.path()).arg(proxy.to_string()).arg("-sf").arg(scenario);
        command.args(["-i", &host, "-bind_local", "-p", &at.port().to_string()]);
        command.args(["-mi", &host, "-mp", &media]);
        command.args(["-m", "1", "-l", "1", "-nostdin", "-aa", "-timeout", "50", "-timeout_error"]);
        command.args(["-trace_err", "-trace_msg", "-trace_logs", "-d", &plays.waits_ms.to_string()]);
        command.args(["-key", "called", CALLED, "-key", "caller", CALLER, "-key", "uas", &called_at.to_string()]);
        for (name, value) in words {
            command.args(["-key", name, value]);
        }
        // One connection for all of it, as the configuration has it.
        command.args(["-t", if site.is_over_tcp(at) { "t1" } else { "u1" }]);
        let running = Running::start(plays.scenario, &mut command);
        Self { running, directory, scenario: plays.scenario.into() }
    }

    /// How it names its calls and its dialogs: the Call-ID of a call that it placed, and its tag.
    pub(crate) fn names(&self, at: SocketAddr, is_caller: bool) -> (String, String) {
        let pid = self.running.pid();
        (format!("1-{pid}@{}", at.ip()), format!("{pid}{}1", if is_caller { "uac" } else { "uas" }))
    }

    /// Waits for its end, and panics with its log and all messages unless the scenario went through to its last line.
    pub(crate) fn must_succeed(self) -> Traces {
        let ended = self.running.finish(Duration::from_secs(55));
        let traces = Traces::read(self.directory.path());
        let Traces { errors, messages, .. } = &traces;
        assert!(
            ended.status.success(),
            "sipp {} ended with {}\n{errors}\n{messages}\n{}",
            self.scenario,
            ended.status,
            ended.err
        );
        traces
    }

    /// Stops it where it stands.
    pub(crate) fn stop(self) -> Traces {
        self.running.signal(rustix::process::Signal::KILL);
        self.running.finish(A_WHILE);
        Traces::read(self.directory.path())
    }
}

/// What SIPp wrote down.
pub(crate) struct Traces {
    pub(crate) errors: String,
    pub(crate) messages: String,
    pub(crate) log: String,
}

impl Traces {
    fn read(directory: &Path) -> Self {
        let traces = |ending: &str| {
            let entries =
                std::fs::read_dir(directory).expect("it is the test's own").map(|entry| entry.expect("it can be listed").path());
            let of_that = entries.filter(|path| path.to_string_lossy().ends_with(ending));
            of_that
                .map(|path| String::from_utf8_lossy(&std::fs::read(path).expect("it can be read")).into_owned())
                .collect::<String>()
        };
        Self { errors: traces("_errors.log"), messages: traces("_messages.log"), log: traces("_logs.log") }
    }
}
