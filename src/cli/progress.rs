//! A progress bar, for what takes longer than a second, on standard error and only where that is a terminal.

use std::io::{self, Read, Seek, SeekFrom};
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

/// Whoever goes here and there is done when they are: nothing is noted of where.
impl<R: Seek> Seek for Reading<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.input.seek(to)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::io::IsTerminal as _;

    use super::*;

    #[test]
    fn there_is_a_bar_after_a_second_and_nothing_of_it_where_nobody_looks() {
        let bytes = [7; 100];
        let mut quick = Progress::begin("verifying", 100).reading(&bytes[..]);
        let mut slow = Progress::begin("verifying", 100).reading(&bytes[..]);
        slow.progress.began = Instant::now().checked_sub(PATIENCE).unwrap();

        let read = [quick.read(&mut [0; 30]).unwrap(), slow.read(&mut [0; 30]).unwrap()];

        assert_eq!(read, [30, 30]);
        assert!(quick.progress.bar.is_none());
        let bar = slow.progress.bar.as_ref().unwrap();
        assert_eq!((bar.position(), bar.length()), (30, Some(100)));
        // The tests' standard error is no terminal where they run for others; where it is one, it is drawn.
        assert_eq!(bar.is_hidden(), !io::stderr().is_terminal());
    }
}
