//! `demo`: one recorded call, for somebody to see.

use std::path::Path;

use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::term::Term;

/// Plays the demonstration.
pub(super) fn demo(out: &Path, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    (doors.demo)(out, term.out.raw()).map_err(|trouble| Stop::Trouble(Exit::NotSo, trouble))
}
