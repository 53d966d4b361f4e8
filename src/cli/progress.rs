//! A progress bar, for what takes longer than a second, on standard error and only where that is a terminal.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long nobody needs to be told that something is being done.
const PATIENCE: Duration = Duration::from_secs(1);

/// How far something is.
pub(super) struct Progress {
    what: &'static str,
    whole: u64,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins: `what` as «verifying», and how much is to be done.
    pub(super) fn begin(what: &'static str, whole: u64) -> Self {
        Self { what, whole, began: Instant::now(), bar: None }
    }

    /// Takes note of how much is done.
    pub(super) fn done(&mut self, done: u64) {
        if self.bar.is_none() && self.began.elapsed() >= PATIENCE {
            let bar = ProgressBar::with_draw_target(Some(self.whole), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{msg:10} {bar:40} {percent:>3} %  {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("━╸─"));
            bar.set_message(self.what);
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// Returns a reader that takes note of how far it was read.
    pub(super) const fn reading<R>(self, input: R) -> Reading<R> {
        Reading { input, progress: self, read: 0 }
    }
}

/// The bar is gone once it is done: what came of it is said in words.
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A reader that takes note of how far it was read.
pub(super) struct Reading<R> {
    input: R,
    progress: Progress,
    read: u64,
}

impl<R: Read> Read for Reading<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.read += read as u64;
        self.progress.done(self.read);
        Ok(read)
    }
}
