//! A row of the ledger as JSON, for programs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::catalogue::{Access, Entry, Parties, Quality, Turn};
use crate::control::masked;
use crate::ids::{Direction, Leg, TrunkName};
use crate::private::Private;
use crate::time::Wall;

/// Returns the row; numbers in full only where they were asked for.
pub(super) fn entry(entry: &Entry, is_in_full: bool) -> Value {
    let time = |wall: Option<Wall>| wall.map(|wall| wall.to_string());
    let number = |of: fn(&Parties) -> &Private<String>| {
        entry.parties.as_ref().map(of).map(|number| if is_in_full { number.reveal().clone() } else { masked(number) })
    };
    let totals = entry.totals;
    json!({
        "call": entry.call.to_string(),
        "recording": entry.recording.map(|id| id.to_string()),
        "state": entry.state.as_str(),
        "redacted": entry.is_redacted,
        "reason": entry.reason.as_str(),
        "leg": entry.leg.map(Leg::as_str),
        "began": entry.began.to_string(),
        "answered": time(entry.answered),
        "ended": time(entry.ended),
        "talked_s": entry.talked().map(|talked| talked.as_secs_f64()),
        "direction": entry.direction.map(Direction::as_str),
        "trunk": entry.trunk.as_ref().map(TrunkName::as_str),
        "policy": entry.policy,
        "purpose": entry.purpose,
        "calling": number(|parties| &parties.calling),
        "called": number(|parties| &parties.called),
        "headers": is_in_full.then(|| entry.parties.as_ref().map(headers)),
        "packets": totals.map(|totals| { let [pbx, trunk] = totals.packets; json!({ "pbx": pbx, "trunk": trunk }) }),
        "gaps": totals.map(|totals| totals.gaps),
        "lost": totals.map(|totals| totals.lost),
        "size_bytes": totals.map(|totals| totals.size_bytes),
        "quality": entry.quality.map(|[pbx, trunk]| json!({ "pbx": quality(&pbx), "trunk": quality(&trunk) })),
    })
}

fn headers(parties: &Parties) -> Vec<Value> {
    parties.indexed.iter().map(|(name, value)| json!({ "name": name, "value": value.reveal() })).collect()
}

fn quality(quality: &Quality) -> Value {
    let ms = |time: Option<Duration>| time.map(|time| (time.as_secs_f64() * 1_000_000.0).round() / 1000.0);
    json!({
        "expected": quality.expected,
        "received": quality.received,
        "lost": quality.lost(),
        "loss_percent": percent(quality),
        "duplicates": quality.duplicates,
        "reordered": quality.reordered,
        "jitter_ms": ms(quality.jitter),
        "worst_jitter_ms": ms(quality.worst_jitter),
        "longest_gap_ms": ms(Some(quality.longest_gap)),
        "round_trip_ms": ms(quality.round_trip),
        "mos": quality.mos_hundredths.map(|hundredths| f64::from(hundredths) / 100.0),
        "one_way": quality.is_one_way,
    })
}

/// How much of what was expected never came, in per cent to two places.
#[expect(clippy::cast_precision_loss, reason = "a call has fewer packets than 2^52")]
pub(super) fn percent(quality: &Quality) -> Option<f64> {
    let percent = || (quality.lost() as f64 / quality.expected as f64 * 10_000.0).round() / 100.0;
    (quality.expected > 0).then(percent)
}

/// Returns what somebody did to a recording while its call went on.
pub(super) fn turn(turn: &Turn) -> Value {
    json!({
        "at": turn.at.to_string(),
        "what": turn.what.as_str(),
        "by": turn.by.as_str(),
        "how": turn.how,
        "who": turn.who,
    })
}

/// Returns a line of the access log.
pub(super) fn access(access: &Access) -> Value {
    json!({
        "at": access.at.to_string(),
        "who": access.who,
        "deed": access.deed.as_str(),
        "purpose": access.purpose,
        "reason": access.reason,
        "outcome": access.outcome.as_str(),
    })
}
