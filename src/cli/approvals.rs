//! `approvals list`, `give` and `refuse`: what takes two, and the second who says yes or no.

use std::path::Path;

use clap::Subcommand;
use serde_json::json;

use crate::access::Action;
use crate::catalogue::{self, Approval, Decided, Opening, Says};
use crate::cli::doors::Doors;
use crate::cli::exit::{Exit, Lack, Stop};
use crate::cli::gate::{Pass, warrant};
use crate::cli::list::{counted, seconds};
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::Term;
use crate::cli::who;
use crate::cli::words::{self, Form, sentence};
use crate::control::Trouble;

/// What is done with what waits for a second person.
#[derive(Subcommand, Debug)]
pub(super) enum Approvals {
    /// List what waits for a second person, or for whoever asked to do it
    List {
        /// What was refused, done or is over as well
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
    /// Approve what another asked for: it may be done once, within 24 hours
    #[command(long_about = "Approve what another asked for: it may be done once, within 24 hours.\n\n\
        Whoever may do the same may approve it, and an officer; never whoever asked, however he\n\
        has logged in. The chain has both.")]
    Give {
        /// Which, by its number
        #[arg(value_name = "N")]
        number: u64,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
    /// Refuse what another asked for, or take back what one has asked for
    Refuse {
        /// Which, by its number
        #[arg(value_name = "N")]
        number: u64,
        /// Why, for the chain
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: String,
        #[command(flatten)]
        site: words::Site,
        #[command(flatten)]
        form: Form,
    },
}

/// Does it.
pub(super) fn approvals(approvals: Approvals, pass: &Pass, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    match approvals {
        Approvals::List { all, site, form } => list(&site.config, all, form.json, doors, term),
        Approvals::Give { number, site, form } => decide(&site.config, number, None, pass, form.json, doors, term),
        Approvals::Refuse { number, reason, site, form } => {
            decide(&site.config, number, Some(&reason), pass, form.json, doors, term)
        }
    }
}

fn list(config: &Path, is_all: bool, is_json: bool, doors: &Doors<'_>, term: &mut Term<'_>) -> Result<(), Stop> {
    let store = Site::find(config, term)?.store(Opening::Read, doors)?;
    let warrants = store.warrants()?;
    let mut approvals = catalogue::approvals(&warrants, who::now());
    let is_open = |approval: &Approval<'_>| matches!(approval.standing, Decided::Waiting | Decided::Approved(_));
    approvals.retain(|approval| is_all || is_open(approval));
    if is_json {
        for Approval { asked, wanted, standing } in &approvals {
            let (state, by) = (word(*standing), by(*standing));
            let (action, recording) = (wanted.action.as_str(), wanted.recording.map(|id| id.to_string()));
            let (number, at, who, reason) = (asked.number, asked.at.to_string(), &asked.who, &asked.reason);
            term.out.line(json!({
                "approval": number, "at": at, "who": who, "action": action, "recording": recording, "reason": reason,
                "state": state, "by": by,
            }))?;
        }
        return Ok(());
    }
    if approvals.is_empty() {
        return Ok(term.out.line(if is_all { "Nothing was asked for." } else { "Nothing waits for a second person." })?);
    }
    let mut table = Table::new([
        ("N", Align::Right),
        ("SINCE (UTC)", Align::Left),
        ("WHO", Align::Left),
        ("WANTS TO", Align::Left),
        ("RECORDING", Align::Left),
        ("WHY", Align::Left),
        ("STATE", Align::Left),
    ]);
    for Approval { asked, wanted, standing } in &approvals {
        let by = by(*standing).map(|by| format!(" by {by}")).unwrap_or_default();
        table.row([
            Cell::new(asked.number.to_string()),
            Cell::new(seconds(asked.at)),
            Cell::new(&asked.who),
            Cell::new(wanted.action.in_words()),
            Cell::new(wanted.recording.map(|id| id.to_string()).unwrap_or_default()),
            Cell::new(asked.reason.as_deref().unwrap_or_default()),
            Cell::new(format!("{}{by}", word(*standing))),
        ]);
    }
    term.out.text(&table.text(term.out.colour(), 0))?;
    Ok(term.out.line(format_args!("\n{}.", counted(approvals.len(), "request")))?)
}

const fn word(standing: Decided<'_>) -> &'static str {
    match standing {
        Decided::Waiting => "waiting",
        Decided::Approved(_) => "approved",
        Decided::Refused(_) => "refused",
        Decided::Used(_) => "done",
        Decided::Over => "over",
    }
}

fn by(standing: Decided<'_>) -> Option<&str> {
    match standing {
        Decided::Approved(line) | Decided::Refused(line) | Decided::Used(line) => Some(&line.who),
        Decided::Waiting | Decided::Over => None,
    }
}

/// Approves it, or where there is a reason refuses it.
fn decide(
    config: &Path,
    number: u64,
    refusal: Option<&str>,
    pass: &Pass,
    is_json: bool,
    doors: &Doors<'_>,
    term: &mut Term<'_>,
) -> Result<(), Stop> {
    let mut store = Site::find(config, term)?.store(Opening::ReadAndLog, doors)?;
    let warrants = store.warrants()?;
    let approvals = catalogue::approvals(&warrants, who::now());
    let Some(found) = approvals.into_iter().find(|approval| approval.asked.number == number) else {
        let what = format!("nobody has asked for anything as {number}");
        return Err(Stop::Trouble(Exit::NotFound, Trouble::new(what, "`mitschnitt approvals list` shows what waits")));
    };
    let (identity, asked) = (&pass.identity, found.asked);
    let is_own = identity.is_same(&asked.persons);
    let is_refused = refusal.is_some();
    if is_own && !is_refused {
        let what = format!("request {number} is by {}, and nobody approves what they themselves asked for", asked.who);
        return Err(refused(what, "somebody else has to: `mitschnitt approvals list` shows it to them"));
    }
    let may = identity.may(Action::Approve).or_else(|_| identity.may(found.wanted.action));
    if let (Err(denied), false) = (may, is_own) {
        store.warrant(&warrant(identity, Says::Denied(catalogue::Wanted { action: Action::Approve, ..found.wanted }), None))?;
        return Err(Stop::Denied(Lack::Role, Trouble::new(denied.to_string(), denied.remedy())));
    }
    let is_open = match found.standing {
        Decided::Waiting => true,
        Decided::Approved(_) => is_refused,
        Decided::Refused(_) | Decided::Used(_) | Decided::Over => false,
    };
    if !is_open {
        let by = by(found.standing).map(|by| format!(" by {by}")).unwrap_or_default();
        let what = format!("request {number} is {}{by}", word(found.standing));
        return Err(refused(what, "who wants it still asks again, by the command itself"));
    }
    let says = if is_refused { Says::Refused(number) } else { Says::Approved(number) };
    store.warrant(&warrant(identity, says, refusal))?;
    if is_json {
        return Ok(term.out.line(json!({ "approval": number, "approved": !is_refused }))?);
    }
    let (who, what) = (&asked.who, found.wanted.action.in_words());
    Ok(term.out.line(match refusal {
        Some(_) => format!("Request {number} is refused."),
        None => format!("Request {number} is approved: {who} may {what}, once and within 24 hours."),
    })?)
}

fn refused(what: String, remedy: &str) -> Stop {
    Stop::Trouble(Exit::Refused, Trouble::new(what, remedy))
}
