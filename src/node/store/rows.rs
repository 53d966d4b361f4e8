//! Rows: how a call is written, and how it is read.

use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, Type, ValueRef};
use rusqlite::{OptionalExtension as _, Row, Statement, Transaction, named_params, params};

use crate::catalogue::{Access, Entry, Event, KeptCall, Parties, Quality, Reason, State, Totals, Write};
use crate::ids::{CallId, Direction, Leg, RecordingId, TrunkName};
use crate::node::store::chain::Writer;
use crate::node::store::{stamps, turns};
use crate::private::Private;
use crate::time::Wall;

/// A row that is sealed or torn keeps its state, its totals and its recording; a torn one keeps its reason too, which is why;
/// but that a recording is to be shredded is said of any, and nothing is said in its place.
const PUT_CALL: &str = "
    INSERT INTO calls (call, began_us, answered_us, ended_us, direction, trunk, policy, purpose, state, reason, leg, recording,
                       pbx_packets, trunk_packets, gaps, lost, size_bytes)
    VALUES (:call, :began_us, :answered_us, :ended_us, :direction, :trunk, :policy, :purpose, :state, :reason, :leg, :recording,
            :pbx_packets, :trunk_packets, :gaps, :lost, :size_bytes)
    ON CONFLICT (call) DO UPDATE SET
        began_us = excluded.began_us, answered_us = excluded.answered_us, ended_us = excluded.ended_us,
        direction = excluded.direction, trunk = excluded.trunk, policy = excluded.policy, purpose = excluded.purpose,
        reason = CASE WHEN state = 'torn' AND excluded.reason <> 'withdrawn-shred' THEN reason ELSE excluded.reason END,
        leg = excluded.leg,
        recording = CASE WHEN state IN ('sealed', 'torn') THEN recording ELSE excluded.recording END,
        pbx_packets = coalesce(excluded.pbx_packets, pbx_packets), trunk_packets = coalesce(excluded.trunk_packets, trunk_packets),
        gaps = coalesce(excluded.gaps, gaps), lost = coalesce(excluded.lost, lost),
        size_bytes = coalesce(excluded.size_bytes, size_bytes),
        state = CASE WHEN state IN ('sealed', 'torn') THEN state ELSE excluded.state END";

const PUT_PARTIES: &str = "
    INSERT INTO parties (call, calling, called, call_id) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (call) DO UPDATE SET calling = excluded.calling, called = excluded.called, call_id = excluded.call_id";

const PUT_HEADER: &str = "INSERT OR IGNORE INTO headers (call, name, value) VALUES (?1, ?2, ?3)";

/// The calls of which an indexed header field has a value.
pub(super) const IS_INDEXED: &str = "calls.call IN (SELECT h.call FROM headers AS h WHERE h.name = ?6 AND h.value = ?7)";

/// Of a call whose row has no recording; what was taken for a call that nothing was recorded of is one that was cut off.
const FIND: &str = "
    UPDATE calls SET recording = ?2, state = 'torn', reason = CASE reason WHEN 'interrupted' THEN 'torn' ELSE 'found' END
    WHERE call = ?1 AND recording IS NULL";

/// The columns that want a way have one; a trunk without a name says that it is not known.
const FIND_ALONE: &str = "
    INSERT INTO calls (call, began_us, direction, trunk, state, reason, recording)
    VALUES (?1, ?3, 'inbound', '', 'torn', 'found', ?2) ON CONFLICT (call) DO NOTHING";

const HAS_ROW: &str = "SELECT EXISTS (SELECT 1 FROM calls WHERE recording = ?1)";

const SEAL: &str = "
    UPDATE calls SET state = 'sealed', pbx_packets = ?2, trunk_packets = ?3, gaps = ?4, lost = ?5, size_bytes = ?6
    WHERE recording = ?1 RETURNING call";

const TEAR: &str = "
    UPDATE calls SET state = 'torn', reason = CASE reason WHEN 'withdrawn-shred' THEN reason ELSE ?2 END
    WHERE recording = ?1 AND state <> 'sealed' RETURNING call";

const LOSE: &str = "
    UPDATE calls SET state = 'none', recording = NULL, reason = ?2 WHERE recording = ?1 AND state <> 'sealed' RETURNING call";

const CLOSE: &str = "
    UPDATE calls SET state = 'sealed', size_bytes = ?2, reason = CASE reason WHEN 'torn' THEN 'recorded' ELSE reason END
    WHERE recording = ?1 RETURNING call";

/// It stays torn, and says since when it is closed.
const SALVAGE: &str = "UPDATE calls SET salvaged_us = ?2, size_bytes = ?3 WHERE recording = ?1 AND state = 'torn' RETURNING call";

pub(super) const TORN: &str = "
    SELECT recording FROM calls
    WHERE state = 'torn' AND salvaged_us IS NULL AND recording IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM accesses AS a WHERE a.recording = calls.recording AND a.deed = 'erase' AND a.outcome = 'done')
    ORDER BY recording";

/// Only of a call that was answered; and only where no bridge was measured before that carried more.
const MEASURE: &str = "
    INSERT OR REPLACE INTO quality
    SELECT :call, :leg, :expected, :received, :duplicates, :reordered, :jitter_us, :worst_jitter_us, :longest_gap_us, :round_trip_us,
           :mos_hundredths, :is_one_way
    FROM calls WHERE call = :call AND answered_us IS NOT NULL";

const END: &str = "UPDATE calls SET ended_us = ?2 WHERE call = ?1";

const KEEP: &str = "
    INSERT INTO kept (call, at_us, kept) VALUES (?1, ?2, ?3)
    ON CONFLICT (call) DO UPDATE SET at_us = excluded.at_us, kept = excluded.kept";

const FORGET: &str = "DELETE FROM kept WHERE call = ?1";

pub(super) const KEPT: &str = "SELECT call, at_us, kept FROM kept ORDER BY at_us, call";

const MEASURED: &str = "SELECT coalesce(sum(received), 0) FROM quality WHERE call = ?1";

pub(super) const QUALITY: &str = "SELECT * FROM quality WHERE call = ?1 AND leg = ?2";

/// Whether the call was measured; where `?3` is given, whether a side of it was one-way or scored below that.
pub(super) const IS_MEASURED: &str = "
    EXISTS (SELECT 1 FROM quality AS q WHERE q.call = calls.call AND (?3 IS NULL OR q.is_one_way OR q.mos_hundredths < ?3))";

pub(super) const SELECT: &str = "
    SELECT calls.*, parties.calling, parties.called, parties.call_id,
           (SELECT json_group_array(json_array(name, value))
            FROM (SELECT name, value FROM headers WHERE headers.call = calls.call ORDER BY name, value)) AS headers,
           EXISTS (SELECT 1 FROM accesses AS a WHERE a.recording = calls.recording AND a.deed = 'erase' AND a.outcome = 'done')
               AS is_erased,
           EXISTS (SELECT 1 FROM accesses AS a WHERE a.recording = calls.recording AND a.deed = 'redact' AND a.outcome = 'done')
               AS is_redacted
    FROM calls LEFT JOIN parties USING (call)";

/// Does what is to be written, and adds to the chain what the chain has of it. Returns the call whose row was touched, if one was.
pub(super) fn do_write(transaction: &Transaction<'_>, write: &Write, chain: &mut Writer<'_>) -> rusqlite::Result<Option<String>> {
    let number_of = |call: &CallId| Some(call.to_string());
    let touched = match write {
        Write::Put(entry) => put(transaction, entry).map(|()| number_of(&entry.call))?,
        Write::Begun(_) => None,
        Write::Sealed(recording, Totals { packets: [pbx, trunk], gaps, lost, size_bytes }, _) => {
            let mut statement = transaction.prepare_cached(SEAL)?;
            let [pbx, trunk, gaps, lost, size] = [*pbx, *trunk, *gaps, *lost, *size_bytes].map(number);
            call_of(statement.query_row(params![recording.to_string(), pbx, trunk, gaps, lost, size], |row| row.get(0)))?
        }
        Write::Lost(recording, reason) => ends(transaction, LOSE, *recording, *reason)?,
        Write::Torn(recording, reason) => ends(transaction, TEAR, *recording, *reason)?,
        Write::Found { recording, began } => find(transaction, *recording, *began, chain)?,
        Write::Measured(call, quality) => measure(transaction, *call, quality).map(|()| number_of(call))?,
        Write::Ended(call, at) => {
            transaction.prepare_cached(END)?.execute(params![call.to_string(), at.unix_micros()])?;
            number_of(call)
        }
        Write::Closed(recording, bytes, _) => {
            let mut statement = transaction.prepare_cached(CLOSE)?;
            call_of(statement.query_row(params![recording.to_string(), number(*bytes)], |row| row.get(0)))?
        }
        Write::Salvaged(recording, at, bytes, _) => {
            let mut statement = transaction.prepare_cached(SALVAGE)?;
            call_of(statement.query_row(params![recording.to_string(), at.unix_micros(), number(*bytes)], |row| row.get(0)))?
        }
        Write::Keep(KeptCall { call, at, kept }) => {
            transaction.prepare_cached(KEEP)?.execute(params![call.to_string(), at.unix_micros(), kept.reveal()]).map(|_| None)?
        }
        Write::Stamped { number, answer } => stamps::stamped(transaction, *number, answer).map(|()| None)?,
        Write::NotStamped { number } => stamps::not_stamped(transaction, *number).map(|()| None)?,
        Write::Turn(turn) => turns::add(transaction, turn, chain).map(|()| None)?,
        Write::Forget(call) => transaction.prepare_cached(FORGET)?.execute([call.to_string()]).map(|_| None)?,
    };
    write.event().map_or(Ok(()), |event| chain.add(&event))?;
    Ok(touched)
}

fn ends(transaction: &Transaction<'_>, how: &str, recording: RecordingId, reason: Reason) -> rusqlite::Result<Option<String>> {
    let mut statement = transaction.prepare_cached(how)?;
    call_of(statement.query_row([recording.to_string().as_str(), reason.as_str()], |row| row.get(0)))
}

/// The call whose row was changed, if there was one.
fn call_of(changed: rusqlite::Result<String>) -> rusqlite::Result<Option<String>> {
    changed.optional()
}

fn find(
    transaction: &Transaction<'_>,
    recording: RecordingId,
    began: Wall,
    chain: &mut Writer<'_>,
) -> rusqlite::Result<Option<String>> {
    let name = recording.to_string();
    if transaction.prepare_cached(HAS_ROW)?.query_row([&name], |row| row.get(0))? {
        return Ok(None);
    }
    chain.add(&Event::Found(recording))?;
    let mut call = recording.call();
    if transaction.prepare_cached(FIND)?.execute([&call.to_string(), &name])? > 0 {
        return Ok(Some(call.to_string()));
    }
    let mut alone = transaction.prepare_cached(FIND_ALONE)?;
    // A number that is taken is another call's.
    while alone.execute(params![call.to_string(), name, began.unix_micros()])? == 0 {
        call = CallId::from_u64(call.as_u64().wrapping_add(1));
    }
    Ok(Some(call.to_string()))
}

fn measure(transaction: &Transaction<'_>, call: CallId, legs: &[Quality; 2]) -> rusqlite::Result<()> {
    let call = call.to_string();
    let carried = legs.iter().map(|quality| quality.received).sum();
    let before: i64 = transaction.prepare_cached(MEASURED)?.query_row([&call], |row| row.get(0))?;
    if before > number(carried) {
        return Ok(());
    }
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let mut statement = transaction.prepare_cached(MEASURE)?;
    for (leg, quality) in Leg::BOTH.into_iter().zip(legs) {
        statement.execute(named_params! {
            ":call": call,
            ":leg": leg.as_str(),
            ":expected": number(quality.expected),
            ":received": number(quality.received),
            ":duplicates": number(quality.duplicates),
            ":reordered": number(quality.reordered),
            ":jitter_us": quality.jitter.map(micros),
            ":worst_jitter_us": quality.worst_jitter.map(micros),
            ":longest_gap_us": micros(quality.longest_gap),
            ":round_trip_us": quality.round_trip.map(micros),
            ":mos_hundredths": quality.mos_hundredths,
            ":is_one_way": quality.is_one_way,
        })?;
    }
    Ok(())
}

/// Adds how good what came from the call's legs was.
pub(super) fn measured(entry: Entry, statement: &mut Statement<'_>) -> rusqlite::Result<Entry> {
    let call = entry.call.to_string();
    let mut of = |leg: Leg| statement.query_row([call.as_str(), leg.as_str()], quality).optional();
    let quality = of(Leg::Pbx)?.zip(of(Leg::Trunk)?).map(|(pbx, trunk)| [pbx, trunk]);
    Ok(Entry { quality, ..entry })
}

fn quality(row: &Row<'_>) -> rusqlite::Result<Quality> {
    let count = |column| count(row, column);
    let time =
        |column| row.get::<_, Option<i64>>(column).map(|us| us.map(|us| Duration::from_micros(u64::try_from(us).unwrap_or(0))));
    Ok(Quality {
        expected: count("expected")?,
        received: count("received")?,
        duplicates: count("duplicates")?,
        reordered: count("reordered")?,
        jitter: time("jitter_us")?,
        worst_jitter: time("worst_jitter_us")?,
        longest_gap: time("longest_gap_us")?.unwrap_or_default(),
        round_trip: time("round_trip_us")?,
        mos_hundredths: row.get("mos_hundredths")?,
        is_one_way: row.get("is_one_way")?,
    })
}

fn put(transaction: &Transaction<'_>, entry: &Entry) -> rusqlite::Result<()> {
    let call = entry.call.to_string();
    let total = |of: fn(&Totals) -> u64| entry.totals.as_ref().map(of).map(number);
    transaction.prepare_cached(PUT_CALL)?.execute(named_params! {
        ":call": call,
        ":began_us": entry.began.unix_micros(),
        ":answered_us": entry.answered.map(Wall::unix_micros),
        ":ended_us": entry.ended.map(Wall::unix_micros),
        ":direction": entry.direction.unwrap_or(Direction::Inbound).as_str(),
        ":trunk": entry.trunk.as_ref().map_or("", TrunkName::as_str),
        ":policy": entry.policy,
        ":purpose": entry.purpose,
        ":state": entry.state.as_str(),
        ":reason": entry.reason.as_str(),
        ":leg": entry.leg.map(Leg::as_str),
        ":recording": entry.recording.map(|recording| recording.to_string()),
        ":pbx_packets": total(|Totals { packets: [pbx, _], .. }| *pbx),
        ":trunk_packets": total(|Totals { packets: [_, trunk], .. }| *trunk),
        ":gaps": total(|totals| totals.gaps),
        ":lost": total(|totals| totals.lost),
        ":size_bytes": total(|totals| totals.size_bytes),
    })?;
    if let Some(quality) = &entry.quality {
        measure(transaction, entry.call, quality)?;
    }
    if let Some(Parties { calling, called, call_id, indexed }) = &entry.parties {
        transaction.prepare_cached(PUT_PARTIES)?.execute([call.as_str(), calling.reveal(), called.reveal(), call_id.reveal()])?;
        for (name, value) in indexed {
            transaction.prepare_cached(PUT_HEADER)?.execute([&call, name, value.reveal()])?;
        }
    }
    Ok(())
}

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let wall = |column| row.get::<_, Option<i64>>(column).map(|us| us.map(Wall::from_unix_micros));
    let totals = match (count_if(row, "pbx_packets")?, count_if(row, "trunk_packets")?) {
        (Some(pbx), Some(trunk)) => Some(Totals {
            packets: [pbx, trunk],
            gaps: count_if(row, "gaps")?.unwrap_or(0),
            lost: count_if(row, "lost")?.unwrap_or(0),
            size_bytes: count_if(row, "size_bytes")?.unwrap_or(0),
        }),
        _ => None,
    };
    let parties = match row.get::<_, Option<String>>("calling")? {
        Some(calling) => Some(Parties {
            calling: Private::new(calling),
            called: Private::new(row.get("called")?),
            call_id: Private::new(row.get("call_id")?),
            indexed: indexed(row)?,
        }),
        None => None,
    };
    let trunk = Some(row.get::<_, String>("trunk")?).filter(|trunk| !trunk.is_empty()).map(|trunk| TrunkName::new(&trunk));
    Ok(Entry {
        call: word(row, "call")?,
        began: Wall::from_unix_micros(row.get("began_us")?),
        answered: wall("answered_us")?,
        ended: wall("ended_us")?,
        direction: trunk.is_some().then(|| row.get::<_, Word<Direction>>("direction")).transpose()?.map(|word| word.0),
        trunk,
        policy: row.get("policy")?,
        purpose: row.get("purpose")?,
        state: state(row)?,
        reason: word(row, "reason")?,
        leg: row.get::<_, Option<Word<Leg>>>("leg")?.map(|word| word.0),
        recording: row
            .get::<_, Option<String>>("recording")?
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| unknown("recording"))?,
        totals,
        quality: None,
        parties,
        is_redacted: row.get("is_redacted")?,
    })
}

/// A line of the access log.
pub(super) fn access(row: &Row<'_>) -> rusqlite::Result<Access> {
    Ok(Access {
        at: Wall::from_unix_micros(row.get("at_us")?),
        who: row.get("who")?,
        deed: word(row, "deed")?,
        recording: word(row, "recording")?,
        purpose: row.get("purpose")?,
        reason: row.get("reason")?,
        outcome: word(row, "outcome")?,
    })
}

/// What the indexed header fields said, as SQLite put it together.
fn indexed(row: &Row<'_>) -> rusqlite::Result<Vec<(String, Private<String>)>> {
    let found: Vec<(String, String)> = serde_json::from_str(&row.get::<_, String>("headers")?).map_err(|_| unknown("headers"))?;
    Ok(found.into_iter().map(|(name, value)| (name, Private::new(value))).collect())
}

/// Two states are not in the column: what the access log says is erased, and what was torn and has been closed since.
pub(super) fn state(row: &Row<'_>) -> rusqlite::Result<State> {
    let state = word(row, "state")?;
    let is_salvaged = state == State::Torn && row.get::<_, Option<i64>>("salvaged_us")?.is_some();
    Ok(if row.get("is_erased")? {
        State::Erased
    } else if is_salvaged {
        State::Salvaged
    } else {
        state
    })
}

/// A word of the floor's that has no reader of its own.
struct Word<T>(T);

impl FromSql for Word<Direction> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let all = [Direction::Inbound, Direction::Outbound];
        let text = value.as_str()?;
        all.into_iter().find(|word| word.as_str() == text).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

impl FromSql for Word<Leg> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        Leg::BOTH.into_iter().find(|word| word.as_str() == text).map(Self).ok_or(FromSqlError::InvalidType)
    }
}

pub(super) fn word<T: std::str::FromStr>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get::<_, String>(column)?.parse().map_err(|_| unknown(column))
}

/// A word in a column that this version does not know. The row's text is not told: it may be a number.
pub(super) fn unknown(column: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, format!("an unknown word in the column `{column}`").into())
}

/// A number that counts; none is below 0.
pub(super) fn count(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|count| u64::try_from(count).unwrap_or(0))
}

/// The same of a column that may have none.
pub(super) fn count_if(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    row.get::<_, Option<i64>>(column).map(|count| count.map(|count| u64::try_from(count).unwrap_or(0)))
}

/// SQLite counts up to 2^63 - 1, which no call reaches.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
