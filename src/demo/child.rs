//! The real program as child processes: the proxy, from its ready line to its end, and the command line, one verb at a time.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::failed::DemoFailed;

/// The program, and the configuration it is always given.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub path: PathBuf,
    pub config: PathBuf,
}

/// The proxy while it runs. Dropped, it is told to end, waited for, and killed if it does not.
pub(super) struct Proxy {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

/// What a verb said.
pub(super) struct Said {
    pub stdout: String,
    pub stderr: String,
    pub status: ExitStatus,
}

impl Program {
    /// Starts the proxy; what it says goes to `log` too.
    pub(super) fn start(&self, log: &Path) -> Result<Proxy, DemoFailed> {
        let cannot = |what: &str, error: std::io::Error| DemoFailed::step(&format!("{what} ({error})"));
        let mut log = File::create(log).map_err(|error| cannot("write the proxy's log", error))?;
        let mut command = Command::new(&self.path);
        command.arg("run").arg("--config").arg(&self.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot("start the proxy", error))?;
        let (told, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    // The log is for whoever looks for the reason; the demo itself does not need it.
                    drop(writeln!(log, "{line}"));
                    if told.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Proxy { child, lines, said: Vec::new() })
    }

    /// Runs a verb with the configuration and waits for its end.
    pub(super) fn run(&self, arguments: &[&str], patience: Duration) -> Result<Said, DemoFailed> {
        let words = arguments.join(" ");
        let cannot = |error: &dyn std::fmt::Display| DemoFailed::step(&format!("run `mitschnitt {words}` ({error})"));
        let mut command = Command::new(&self.path);
        command.args(arguments).arg("--config").arg(&self.config);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot(&error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        // Both are read at once, so that neither pipe fills up while the other is read.
        let stderr = std::thread::spawn(move || all_of(stderr));
        let stdout = std::thread::spawn(move || all_of(stdout));
        let status = ended_within(&mut child, patience);
        if status.is_none() {
            end(&mut child, Duration::ZERO);
        }
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        let status = status.ok_or_else(|| cannot(&format!("it did not end within {} s", patience.as_secs())))?;
        Ok(Said { stdout, stderr, status })
    }

    /// Runs a verb that must succeed.
    pub(super) fn must(&self, arguments: &[&str], patience: Duration) -> Result<Said, DemoFailed> {
        let said = self.run(arguments, patience)?;
        if said.status.success() {
            return Ok(said);
        }
        let came = format!("{}: {}", said.status, if said.stderr.is_empty() { &said.stdout } else { &said.stderr });
        Err(DemoFailed::expected(&format!("run `mitschnitt {}`", arguments.join(" ")), "exit code 0", &came))
    }

    /// Runs a verb with `--json` that must succeed and say JSON.
    pub(super) fn json(&self, arguments: &[&str], patience: Duration) -> Result<Value, DemoFailed> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let said = self.must(&arguments, patience)?;
        values(&said.stdout).ok_or_else(|| {
            DemoFailed::expected(&format!("read what `mitschnitt {}` says", arguments.join(" ")), "JSON", said.stdout.trim())
        })
    }
}

impl Proxy {
    /// Waits for the line by which the proxy says that it accepts traffic.
    pub(super) fn wait_ready(&mut self, patience: Duration) -> Result<(), DemoFailed> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let is_ready = line.contains("mitschnitt ready");
                    self.said.push(line);
                    if is_ready {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.unready(&format!("nothing of the kind within {} s", patience.as_secs())));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = ended_within(&mut self.child, Duration::from_secs(1));
                    let came =
                        status.map_or_else(|| "it closed its stderr".to_owned(), |status| format!("it ended with {status}"));
                    return Err(self.unready(&came));
                }
            }
        }
    }

    /// Ends the proxy as an operator does and returns whether it ended by itself, with success.
    pub(super) fn end(mut self, patience: Duration) -> Result<(), DemoFailed> {
        let status = end(&mut self.child, patience);
        match status {
            Some(status) if status.success() => Ok(()),
            status => {
                let came = status.map_or_else(|| "it had to be killed".to_owned(), |status| status.to_string());
                Err(DemoFailed::expected("end the proxy with SIGTERM", "exit code 0", &came))
            }
        }
    }

    fn unready(&self, came: &str) -> DemoFailed {
        let said: Vec<&str> = self.said.iter().rev().take(8).rev().map(String::as_str).collect();
        let came = if said.is_empty() { came.to_owned() } else { format!("{came}; it said:\n    {}", said.join("\n    ")) };
        DemoFailed::expected("start the proxy", "the line `mitschnitt ready: …` on its stderr", &came)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        end(&mut self.child, Duration::from_secs(5));
    }
}

/// Reads one JSON value, or one on each line, which then is an array.
fn values(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).ok())
        .collect::<Option<Vec<_>>>()
        .map(Value::Array)
}

/// Sends SIGTERM, waits, and kills what did not end; the status where it ended by itself.
fn end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    // A child that ended in the meantime is not reaped before `wait`, so its number cannot be another's.
    if let Ok(Some(pid)) = i32::try_from(child.id()).map(rustix::process::Pid::from_raw) {
        let _no_such_process = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let status = ended_within(child, patience);
    if status.is_none() {
        drop(child.kill());
        drop(child.wait());
    }
    status
}

fn ended_within(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + patience;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn all_of(pipe: Option<impl std::io::Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What cannot be read is missed by whoever needs it.
        drop(pipe.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
