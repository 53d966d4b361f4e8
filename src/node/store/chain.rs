//! The chain in SQLite: events behind one another, rows bound by their digests, the end of it signed.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use crate::catalogue::{Bound, Event, Link, Part, Tip};
use crate::ids::CallId;
use crate::node::clock;
use crate::node::store::rows::{count, word};
use crate::time::Wall;
use crate::vault::{Digest, Fingerprint, Head, HeadKey, SignedHead};

/// A call's columns as they are bound. Texts that an operator chose are in hexadecimal digits, and what a subquery returns is said to be JSON: so
/// no two versions of SQLite differ.
const CALL: &str = "
    json_array(call, began_us, answered_us, ended_us, direction, hex(trunk), iif(policy IS NULL, NULL, hex(policy)),
               iif(purpose IS NULL, NULL, hex(purpose)), state, reason, leg, recording, pbx_packets, trunk_packets, gaps, lost, size_bytes,
               salvaged_us,
               json((SELECT json_group_array(json_array(leg, expected, received, duplicates, reordered, jitter_us, worst_jitter_us,
                                                   longest_gap_us, round_trip_us, mos_hundredths, is_one_way))
                     FROM (SELECT * FROM quality WHERE quality.call = calls.call ORDER BY leg))))";

/// Who talked, and what the indexed header fields said where any did: so those of older versions are bound as they were.
const PARTIES: &str = "
    iif(EXISTS (SELECT 1 FROM headers WHERE headers.call = parties.call),
        json_array(call, hex(calling), hex(called), hex(call_id),
                   json((SELECT json_group_array(json_array(hex(name), hex(value)))
                         FROM (SELECT name, value FROM headers WHERE headers.call = parties.call ORDER BY name, value)))),
        json_array(call, hex(calling), hex(called), hex(call_id)))";

const ACCESS: &str = "
    json_array(number, at_us, hex(who), deed, recording, iif(purpose IS NULL, NULL, hex(purpose)),
               iif(reason IS NULL, NULL, hex(reason)), outcome)";

const ROSTER: &str = "
    json_array(number, at_us, hex(who), deed, hex(party), iif(version IS NULL, NULL, hex(version)), hex(purposes), from_us, until_us,
               iif(reference IS NULL, NULL, hex(reference)))";

/// Nothing more is to come of it; what comes all the same binds the row anew.
const IS_FINAL: &str = "(state <> 'recording' AND reason <> 'in-progress')";

const APPEND: &str = "INSERT INTO chain (seq, at_us, kind, body, hash) VALUES (?1, ?2, ?3, ?4, ?5)";

const TIP: &str = "SELECT seq, hash FROM chain ORDER BY seq DESC LIMIT 1";

const SIGN: &str = "INSERT INTO heads (seq, at_us, hash, node, signature) VALUES (?1, ?2, ?3, ?4, ?5)";

const HEAD: &str = "SELECT seq, at_us AS signed_us, hash AS signed, node, signature FROM heads ORDER BY seq DESC LIMIT 1";

const LINKS: &str = "
    SELECT chain.seq, chain.at_us, kind, body, chain.hash, heads.at_us AS signed_us, heads.hash AS signed, node, signature
    FROM chain LEFT JOIN heads USING (seq) WHERE chain.seq >= ?1 ORDER BY chain.seq";

/// Adds to the chain within one transaction.
pub(super) struct Writer<'t> {
    transaction: &'t Transaction<'t>,
    tip: Tip,
    at: Wall,
    is_longer: bool,
}

impl<'t> Writer<'t> {
    pub(super) fn begin(transaction: &'t Transaction<'t>) -> rusqlite::Result<Self> {
        Ok(Self { tip: tip(transaction)?, transaction, at: clock::wall(), is_longer: false })
    }

    pub(super) fn add(&mut self, event: &Event) -> rusqlite::Result<()> {
        let link = Link::behind(self.tip, self.at, event);
        let hash = link.hash.as_bytes().as_slice();
        let seq = i64::try_from(link.seq).unwrap_or(i64::MAX);
        self.transaction.prepare_cached(APPEND)?.execute(params![seq, self.at.unix_micros(), link.kind, link.body, hash])?;
        (self.tip, self.is_longer) = (link.tip(), true);
        Ok(())
    }

    /// Binds a call's row where it is final, or was bound before.
    pub(super) fn bind(&mut self, call: &str) -> rusqlite::Result<()> {
        let Some(row) = self.part(Part::Row, "calls", CALL, &format!("call = ?1 AND ({IS_FINAL} OR salt IS NOT NULL)"), call)?
        else {
            return Ok(());
        };
        let parties = self.part(Part::Parties, "parties", PARTIES, "call = ?1", call)?;
        let Ok(call) = call.parse::<CallId>() else { return Ok(()) };
        self.add(&Event::Row { call, row, parties })
    }

    /// Binds a line of the access log, and returns its digest.
    pub(super) fn line(&self, number: i64) -> rusqlite::Result<Digest> {
        let query = format!("SELECT salt, {ACCESS} FROM accesses WHERE number = ?1");
        let (salt, columns): ([u8; 32], String) =
            self.transaction.prepare_cached(&query)?.query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Part::Access.digest(&salt, &columns))
    }

    /// Returns the digest of a line of the register.
    pub(super) fn roster_line(&self, number: i64) -> rusqlite::Result<Digest> {
        let query = format!("SELECT salt, {ROSTER} FROM roster WHERE number = ?1");
        let (salt, columns): ([u8; 32], String) =
            self.transaction.prepare_cached(&query)?.query_row([number], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Part::Roster.digest(&salt, &columns))
    }

    fn part(&self, part: Part, table: &str, columns: &str, condition: &str, call: &str) -> rusqlite::Result<Option<Digest>> {
        let query = format!("SELECT salt, {columns} FROM {table} WHERE {condition}");
        let found: Option<(Option<[u8; 32]>, String)> =
            self.transaction.prepare_cached(&query)?.query_row([call], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let Some((salt, columns)) = found else { return Ok(None) };
        let salt = match salt {
            Some(salt) => salt,
            None => {
                let salt = fresh()?;
                let salted = format!("UPDATE {table} SET salt = ?2 WHERE call = ?1");
                self.transaction.prepare_cached(&salted)?.execute(params![call, salt.as_slice()])?;
                salt
            }
        };
        Ok(Some(part.digest(&salt, &columns)))
    }

    /// Signs the end, where something was added and there is a key.
    pub(super) fn end(self, key: Option<&HeadKey>) -> rusqlite::Result<()> {
        match key.filter(|_| self.is_longer) {
            Some(key) => sign(self.transaction, self.tip, self.at, key),
            None => Ok(()),
        }
    }
}

/// Signs the end of the chain where it is not.
pub(super) fn sign_tip(transaction: &Transaction<'_>, key: &HeadKey) -> rusqlite::Result<()> {
    let tip = tip(transaction)?;
    let signed = head(transaction)?.map_or(0, |signed| signed.head.seq);
    if tip.seq > signed { sign(transaction, tip, clock::wall(), key) } else { Ok(()) }
}

fn sign(transaction: &Transaction<'_>, Tip { seq, hash }: Tip, at: Wall, key: &HeadKey) -> rusqlite::Result<()> {
    // The chain goes on unsigned where a token is gone: the next head that is signed covers what was not.
    let signed = match key.sign(Head { seq, at, hash }) {
        Ok(signed) => signed,
        Err(error) => {
            tracing::warn!(%error, "ledger_not_signed");
            return Ok(());
        }
    };
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let (hash, node) = (hash.as_bytes().as_slice(), signed.node.as_bytes().as_slice());
    transaction.prepare_cached(SIGN)?.execute(params![seq, at.unix_micros(), hash, node, signed.signature.as_slice()])?;
    Ok(())
}

fn tip(db: &Connection) -> rusqlite::Result<Tip> {
    let found = db.prepare_cached(TIP)?.query_row([], |row| Ok(Tip { seq: count(row, "seq")?, hash: digest(row, "hash")? }));
    Ok(found.optional()?.unwrap_or(Tip::EMPTY))
}

pub(super) fn head(db: &Connection) -> rusqlite::Result<Option<SignedHead>> {
    db.prepare_cached(HEAD)?.query_row([], |row| signed(row, count(row, "seq")?)).optional()
}

pub(super) fn last_start(db: &Connection) -> rusqlite::Result<Option<u64>> {
    let query = "SELECT seq FROM chain WHERE kind = 'started' ORDER BY seq DESC LIMIT 1";
    db.query_row(query, [], |row| count(row, "seq")).optional()
}

pub(super) fn links(db: &Connection, from: u64, each: &mut dyn FnMut(Link, Option<SignedHead>)) -> rusqlite::Result<()> {
    let mut statement = db.prepare(LINKS)?;
    let mut rows = statement.query([i64::try_from(from).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let seq = count(row, "seq")?;
        let at = Wall::from_unix_micros(row.get("at_us")?);
        let link = Link { seq, at, kind: row.get("kind")?, body: row.get("body")?, hash: digest(row, "hash")? };
        let is_signed = row.get::<_, Option<i64>>("signed_us")?.is_some();
        let head = is_signed.then(|| signed(row, seq)).transpose()?;
        each(link, head);
    }
    Ok(())
}

fn signed(row: &Row<'_>, seq: u64) -> rusqlite::Result<SignedHead> {
    let at = Wall::from_unix_micros(row.get("signed_us")?);
    let head = Head { seq, at, hash: digest(row, "signed")? };
    Ok(SignedHead { head, node: Fingerprint::from_bytes(row.get("node")?), signature: row.get("signature")? })
}

pub(super) fn bound(db: &Connection, each: &mut dyn FnMut(Bound)) -> rusqlite::Result<()> {
    let query = format!(
        "SELECT calls.*, p.salt AS parties_salt, p.columns AS parties
         FROM (SELECT call, salt, {IS_FINAL} AS is_final, {CALL} AS columns FROM calls) AS calls
         LEFT JOIN (SELECT call, salt, {PARTIES} AS columns FROM parties) AS p USING (call)"
    );
    let mut statement = db.prepare(&query)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let parties = row.get::<_, Option<String>>("parties")?.unwrap_or_default();
        each(Bound::Call {
            call: word(row, "call")?,
            is_final: row.get("is_final")?,
            row: salted(row, Part::Row, "salt", &row.get::<_, String>("columns")?)?,
            parties: salted(row, Part::Parties, "parties_salt", &parties)?,
        });
    }
    let mut statement = db.prepare(&format!("SELECT salt, {ACCESS} AS columns FROM accesses"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(Bound::Access(salted(row, Part::Access, "salt", &row.get::<_, String>("columns")?)?));
    }
    let mut statement = db.prepare(&format!("SELECT number, salt, party = '' AS is_cleared, {ROSTER} AS columns FROM roster"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let line = Part::Roster.digest(&row.get("salt")?, &row.get::<_, String>("columns")?);
        let is_cleared: bool = row.get("is_cleared")?;
        each(Bound::Roster { number: count(row, "number")?, line: (!is_cleared).then_some(line) });
    }
    Ok(())
}

fn salted(row: &Row<'_>, part: Part, salt: &str, columns: &str) -> rusqlite::Result<Option<Digest>> {
    Ok(row.get::<_, Option<[u8; 32]>>(salt)?.map(|salt| part.digest(&salt, columns)))
}

fn digest(row: &Row<'_>, column: &str) -> rusqlite::Result<Digest> {
    row.get(column).map(Digest::from_bytes)
}

/// A new salt.
pub(super) fn fresh() -> rusqlite::Result<[u8; 32]> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.to_string().into()))?;
    Ok(salt)
}
