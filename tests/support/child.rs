//! A child process: what it says is kept as it comes, it is waited for with a time-out, and it does not outlive its test.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A running child.
pub(crate) struct Running {
    name: String,
    child: Child,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
    exit: Option<ExitStatus>,
}

/// What a child said and how it ended.
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

#[derive(Default)]
struct Said {
    text: Mutex<[String; 2]>,
    more: Condvar,
}

impl Running {
    /// Starts it without standard input; its output is collected.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("TERM", "dumb")
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}; tests/run.sh installs what the tests need"));
        let said = Arc::new(Said::default());
        let readers = vec![
            follow(child.stdout.take().expect("it is piped"), Arc::clone(&said), 0),
            follow(child.stderr.take().expect("it is piped"), Arc::clone(&said), 1),
        ];
        Self { name: name.into(), child, said, readers, exit: None }
    }

    /// Runs it to its end.
    pub(crate) fn run(name: &str, command: &mut Command, patience: Duration) -> Ended {
        Self::start(name, command).finish(patience)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has said this on either output; panics if it ends or is silent for too long.
    pub(crate) fn wait_for(&mut self, words: &str, patience: Duration) {
        let end = Instant::now() + patience;
        loop {
            // Ended first, then the text: what it said before its end counts.
            let has_ended = self.has_ended();
            let text = self.said.text.lock().expect("no reader panics");
            if text.iter().any(|text| text.contains(words)) {
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!has_ended, "{} ended before it said `{words}`; it said:\n{}", self.name, text.concat());
            assert!(!left.is_zero(), "{} has not said `{words}` within {patience:?}; it said:\n{}", self.name, text.concat());
            drop(self.said.more.wait_timeout(text, left.min(Duration::from_millis(200))).expect("no reader panics"));
        }
    }

    /// What it said until now, standard output and then standard error.
    pub(crate) fn said(&self) -> String {
        self.said.text.lock().expect("no reader panics").concat()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().expect("it is our child");
        }
        self.exit.is_some()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if self.exit.is_none() {
            // The child may end this very moment: then there is nothing left to signal.
            kill_process(pid(&self.child), signal).ok();
        }
    }

    /// Waits for its end, however it comes; panics if it does not.
    pub(crate) fn must_end(&mut self, patience: Duration) {
        assert!(self.ends_within(patience).is_some(), "{} did not end within {patience:?}; it said:\n{}", self.name, self.said());
    }

    /// Waits for its end; panics with what it said if it does not come.
    pub(crate) fn finish(mut self, patience: Duration) -> Ended {
        let Some(status) = self.ends_within(patience) else {
            self.signal(Signal::KILL);
            panic!("{} did not end within {patience:?}; it said:\n{}", self.name, self.said());
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("no reader panics");
        }
        let [out, err] = std::mem::take(&mut *self.said.text.lock().expect("no reader panics"));
        Ended { name: self.name.clone(), status, out, err }
    }

    fn ends_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        if !self.has_ended() {
            let fd = pidfd_open(pid(&self.child), PidfdFlags::empty()).expect("the child is not reaped yet");
            let timeout =
                Timespec { tv_sec: i64::try_from(patience.as_secs()).expect("short"), tv_nsec: patience.subsec_nanos().into() };
            poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).expect("a pidfd can be polled");
        }
        self.has_ended();
        self.exit
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        if self.ends_within(Duration::from_secs(5)).is_none() {
            self.signal(Signal::KILL);
            self.ends_within(Duration::from_secs(5));
        }
    }
}

impl Ended {
    /// Panics with all it said unless it ended well.
    pub(crate) fn must_succeed(self) -> Self {
        assert!(self.status.success(), "{} ended with {}\nstdout:\n{}\nstderr:\n{}", self.name, self.status, self.out, self.err);
        self
    }
}

fn follow(mut pipe: impl Read + Send + 'static, said: Arc<Said>, which: usize) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut bytes) {
            said.text.lock().expect("nobody panics with it")[which].push_str(&String::from_utf8_lossy(&bytes[..n]));
            said.more.notify_all();
        }
    })
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
