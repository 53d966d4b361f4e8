//! `trunks list`: the addresses of the PBX and of the trunks, and whether they are up, asked of the running proxy.

use std::path::Path;
use std::time::Duration;

use crate::cli::calls::{ask, strange, unwilling};
use crate::cli::exit::Stop;
use crate::cli::list::length;
use crate::cli::site::Site;
use crate::cli::table::{Align, Cell, Table};
use crate::cli::term::{Style, Term};
use crate::control::{Reply, Request, Standing, TrunkAddress};

/// Lists them.
pub(super) fn list(config: &Path, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    let socket = Site::find(config, term)?.socket();
    let addresses = match ask(&socket, &Request::Trunks {})? {
        Reply::Trunks { addresses } => addresses,
        Reply::Error { what } => return Err(unwilling(&what)),
        Reply::Calls { .. }
        | Reply::Status(_)
        | Reply::Roster { .. }
        | Reply::Done(_)
        | Reply::NotDone { .. }
        | Reply::Draining { .. } => {
            return Err(strange(&socket));
        }
    };
    if is_json {
        for address in &addresses {
            term.out.line(serde_json::to_string(address).unwrap_or_default())?;
        }
        return Ok(());
    }
    Ok(term.out.text(&table(&addresses).text(term.out.colour(), 0))?)
}

fn table(addresses: &[TrunkAddress]) -> Table {
    let mut table = Table::new([
        ("TRUNK", Align::Left),
        ("ADDRESS", Align::Left),
        ("STATE", Align::Left),
        ("FOR", Align::Right),
        ("ASKED", Align::Left),
    ]);
    for address in addresses {
        let style = match address.standing {
            Standing::Up => Style::Good,
            Standing::Avoided => Style::Care,
            Standing::Down => Style::Bad,
        };
        table.row([
            Cell::new(address.trunk.as_deref().unwrap_or("(PBX)")),
            Cell::new(format!("{} {}", address.transport, address.address)),
            Cell::styled(address.standing.as_str(), style),
            Cell::new(length(Duration::from_secs(address.since_s))),
            Cell::new(if address.is_asked { "by OPTIONS" } else { "no: by its calls alone" }),
        ]);
    }
    table
}
