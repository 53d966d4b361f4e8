//! `run`: the proxy itself, once the configuration and its files were found right.

use std::path::Path;

use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Stop};
use crate::cli::files;
use crate::cli::site;
use crate::cli::term::Term;
use crate::cli::who;
use crate::control::config::{Mistake, Weight};

/// Runs the proxy.
pub(super) fn run(config: &Path, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let report = site::read(config)?;
    let mut mistakes = report.mistakes;
    if let Some(settings) = &report.settings {
        mistakes.extend(files::check(settings, config, doors).mistakes);
        // A date that has passed keeps no calls from being connected: they go on, unrecorded.
        let told = settings.unheard(who::now()).into_iter().chain(settings.unreviewed(who::now()));
        mistakes.extend(told.map(|told| Mistake { weight: Weight::Warning, ..told }));
    }
    site::sort(&mut mistakes);
    let errors = site::tell(&mistakes, config, term)?;
    match report.settings {
        Some(settings) if errors == 0 => (doors.run)(settings, config).map_err(|trouble| Stop::Trouble(Exit::Cannot, trouble)),
        Some(_) | None => {
            site::close(errors, term)?;
            Err(Stop::Said(Exit::Cannot))
        }
    }
}
