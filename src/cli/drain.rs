//! `calls drain`: the running proxy takes no new calls, and ends once there are none left.

use std::path::Path;

use serde_json::json;

use crate::cli::calls::{ask, strange, unwilling};
use crate::cli::exit::Stop;
use crate::cli::list::are;
use crate::cli::site::Site;
use crate::cli::term::Term;
use crate::control::{Reply, Request};

/// Drains it.
pub(super) fn drain(config: &Path, limit_s: u64, is_json: bool, term: &mut Term<'_>) -> Result<(), Stop> {
    let socket = Site::find(config, term)?.socket();
    let (calls, limit_s) = match ask(&socket, &Request::Drain { limit_s })? {
        Reply::Draining { calls, limit_s } => (calls, limit_s),
        Reply::Error { what } => return Err(unwilling(&what)),
        Reply::Calls { .. }
        | Reply::Trunks { .. }
        | Reply::Status(_)
        | Reply::Roster { .. }
        | Reply::Done(_)
        | Reply::NotDone { .. } => {
            return Err(strange(&socket));
        }
    };
    if is_json {
        return Ok(term.out.line(json!({ "draining": true, "calls": calls, "limit_s": limit_s }))?);
    }
    let left = match calls {
        0 => "there are none left, and the proxy ends in a moment".to_owned(),
        calls => format!("{} left, and the proxy ends after the last, or in {limit_s} s", are(calls, "call")),
    };
    Ok(term.out.line(format_args!("No new calls are taken: {left}."))?)
}
