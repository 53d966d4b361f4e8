//! What a ledger's file holds: the tables, and what brings those of an older version up to date.

/// "mits": what `file` and SQLite find in the header of every ledger.
pub(super) const APPLICATION: i64 = 0x6d69_7473;

/// What brings a ledger of version *n* to *n + 1*; a new one goes through all.
pub(super) const STEPS: [&str; 13] = [
    "
    CREATE TABLE calls (
        call          TEXT PRIMARY KEY,
        began_us      INTEGER NOT NULL,
        answered_us   INTEGER,
        ended_us      INTEGER,
        direction     TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound')),
        trunk         TEXT NOT NULL,
        policy        TEXT,
        purpose       TEXT,
        state         TEXT NOT NULL CHECK (state IN ('none', 'recording', 'sealed', 'torn')),
        reason        TEXT NOT NULL,
        leg           TEXT CHECK (leg IN ('pbx', 'trunk')),
        recording     TEXT UNIQUE,
        pbx_packets   INTEGER,
        trunk_packets INTEGER,
        gaps          INTEGER,
        lost          INTEGER,
        size_bytes    INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX calls_by_time ON calls (began_us);
    CREATE INDEX calls_recorded_by_time ON calls (began_us) WHERE recording IS NOT NULL;
    CREATE INDEX calls_open ON calls (call) WHERE state = 'recording' OR reason = 'in-progress';

    CREATE TABLE parties (
        call    TEXT PRIMARY KEY REFERENCES calls (call),
        calling TEXT NOT NULL,
        called  TEXT NOT NULL,
        call_id TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE accesses (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us     INTEGER NOT NULL,
        who       TEXT NOT NULL,
        deed      TEXT NOT NULL,
        recording TEXT NOT NULL,
        purpose   TEXT,
        outcome   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX accesses_by_recording ON accesses (recording, number);
    CREATE TRIGGER accesses_are_not_changed BEFORE UPDATE ON accesses
        BEGIN SELECT RAISE(ABORT, 'the access log only grows'); END;
    CREATE TRIGGER accesses_are_not_removed BEFORE DELETE ON accesses
        BEGIN SELECT RAISE(ABORT, 'the access log only grows'); END;
",
    "
    ALTER TABLE accesses ADD COLUMN reason TEXT;
    CREATE INDEX erasures ON accesses (recording) WHERE deed = 'erase' AND outcome = 'done';
",
    "
    CREATE TABLE quality (
        call            TEXT NOT NULL REFERENCES calls (call),
        leg             TEXT NOT NULL CHECK (leg IN ('pbx', 'trunk')),
        expected        INTEGER NOT NULL,
        received        INTEGER NOT NULL,
        duplicates      INTEGER NOT NULL,
        reordered       INTEGER NOT NULL,
        jitter_us       INTEGER,
        worst_jitter_us INTEGER,
        longest_gap_us  INTEGER NOT NULL,
        round_trip_us   INTEGER,
        mos_hundredths  INTEGER,
        is_one_way      INTEGER NOT NULL CHECK (is_one_way IN (0, 1)),
        PRIMARY KEY (call, leg)
    ) STRICT, WITHOUT ROWID;
",
    "
    CREATE TABLE kept (
        call  TEXT PRIMARY KEY,
        at_us INTEGER NOT NULL,
        kept  BLOB NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE calls ADD COLUMN salvaged_us INTEGER;
    CREATE INDEX calls_torn ON calls (recording) WHERE state = 'torn' AND salvaged_us IS NULL;
",
    "
    CREATE TABLE chain (
        seq   INTEGER PRIMARY KEY,
        at_us INTEGER NOT NULL,
        kind  TEXT NOT NULL,
        body  TEXT NOT NULL,
        hash  BLOB NOT NULL
    ) STRICT;
    CREATE INDEX chain_starts ON chain (seq) WHERE kind = 'started';
    CREATE TRIGGER chain_is_not_changed BEFORE UPDATE ON chain
        BEGIN SELECT RAISE(ABORT, 'the chain only grows'); END;
    CREATE TRIGGER chain_is_not_cut BEFORE DELETE ON chain
        BEGIN SELECT RAISE(ABORT, 'the chain only grows'); END;

    CREATE TABLE heads (
        seq       INTEGER PRIMARY KEY,
        at_us     INTEGER NOT NULL,
        hash      BLOB NOT NULL,
        node      BLOB NOT NULL,
        signature BLOB NOT NULL
    ) STRICT;

    CREATE TABLE stamps (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        since_us  INTEGER NOT NULL,
        head      TEXT,
        recording TEXT,
        root      BLOB,
        tries     INTEGER NOT NULL DEFAULT 0,
        answer    BLOB,
        CHECK ((head IS NULL) = (recording IS NOT NULL) AND (recording IS NULL) = (root IS NULL))
    ) STRICT;
    CREATE INDEX stamps_waiting ON stamps (tries, number) WHERE answer IS NULL;

    ALTER TABLE calls ADD COLUMN salt BLOB;
    ALTER TABLE parties ADD COLUMN salt BLOB;
    ALTER TABLE accesses ADD COLUMN salt BLOB;
",
    "
    CREATE INDEX holds ON accesses (recording, number) WHERE deed = 'hold' AND outcome = 'done';
    CREATE INDEX releases ON accesses (recording, number) WHERE deed = 'release' AND outcome = 'done';
    CREATE TABLE pace (
        one   INTEGER PRIMARY KEY CHECK (one = 1),
        at_us INTEGER NOT NULL
    ) STRICT;
",
    "
    CREATE TABLE roster (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us     INTEGER NOT NULL,
        who       TEXT NOT NULL,
        deed      TEXT NOT NULL CHECK (deed IN ('agreed', 'revoked', 'exempt', 'not-exempt')),
        party     TEXT NOT NULL,
        version   TEXT,
        purposes  TEXT NOT NULL,
        from_us   INTEGER,
        until_us  INTEGER,
        reference TEXT,
        salt      BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER roster_is_not_changed BEFORE UPDATE ON roster
        BEGIN SELECT RAISE(ABORT, 'the register only grows'); END;
    CREATE TRIGGER roster_is_not_cut BEFORE DELETE ON roster
        BEGIN SELECT RAISE(ABORT, 'the register only grows'); END;
",
    "
    CREATE TABLE notes (
        number     INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us      INTEGER NOT NULL,
        who        TEXT NOT NULL,
        kind       TEXT NOT NULL,
        recording  TEXT,
        field      TEXT,
        earlier    INTEGER REFERENCES notes (number),
        reason     TEXT,
        calls      INTEGER NOT NULL,
        recordings INTEGER NOT NULL,
        is_done    INTEGER NOT NULL CHECK (is_done IN (0, 1)),
        salt       BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER notes_are_not_changed BEFORE UPDATE ON notes
        BEGIN SELECT RAISE(ABORT, 'notes only grow'); END;
    CREATE TRIGGER notes_are_not_removed BEFORE DELETE ON notes
        BEGIN SELECT RAISE(ABORT, 'notes only grow'); END;

    CREATE TABLE words (
        note   INTEGER PRIMARY KEY REFERENCES notes (number),
        text   TEXT,
        digest BLOB NOT NULL,
        salt   BLOB NOT NULL
    ) STRICT;
    CREATE TRIGGER words_are_not_changed BEFORE UPDATE ON words
        BEGIN SELECT RAISE(ABORT, 'words are cleared, and never changed'); END;
",
    "
    CREATE TABLE turns (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us     INTEGER NOT NULL,
        call      TEXT NOT NULL,
        recording TEXT,
        what      TEXT NOT NULL,
        doer      TEXT NOT NULL,
        how       TEXT,
        who       TEXT,
        salt      BLOB NOT NULL
    ) STRICT;
    CREATE INDEX turns_of_call ON turns (call, number);
    CREATE TRIGGER turns_are_not_changed BEFORE UPDATE ON turns
        BEGIN SELECT RAISE(ABORT, 'what was done stays'); END;
    CREATE TRIGGER turns_are_not_removed BEFORE DELETE ON turns
        BEGIN SELECT RAISE(ABORT, 'what was done stays'); END;
",
    "
    CREATE TABLE warrants (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        at_us     INTEGER NOT NULL,
        who       TEXT NOT NULL,
        persons   TEXT NOT NULL,
        kind      TEXT NOT NULL,
        name      TEXT,
        hash      BLOB,
        roles     TEXT,
        purposes  TEXT,
        until_us  INTEGER,
        action    TEXT,
        recording TEXT,
        earlier   INTEGER REFERENCES warrants (number),
        reason    TEXT,
        salt      BLOB NOT NULL
    ) STRICT;
    CREATE INDEX exports ON accesses (at_us) WHERE deed = 'export' AND outcome = 'begun';
    CREATE UNIQUE INDEX warrants_once ON warrants (earlier, kind) WHERE earlier IS NOT NULL;
    CREATE TRIGGER warrants_are_not_changed BEFORE UPDATE ON warrants
        BEGIN SELECT RAISE(ABORT, 'what was allowed and denied only grows'); END;
    CREATE TRIGGER warrants_are_not_removed BEFORE DELETE ON warrants
        BEGIN SELECT RAISE(ABORT, 'what was allowed and denied only grows'); END;
",
    "
    CREATE TABLE headers (
        call  TEXT NOT NULL REFERENCES calls (call),
        name  TEXT NOT NULL COLLATE NOCASE,
        value TEXT NOT NULL,
        PRIMARY KEY (call, name, value)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX headers_by_value ON headers (value, name);
",
    "
    DROP TRIGGER roster_is_not_changed;
    CREATE TRIGGER roster_is_not_changed BEFORE UPDATE ON roster
        WHEN NOT (new.party = '' AND new.reference IS NULL AND new.salt = zeroblob(32)
                  AND new.number IS old.number AND new.at_us IS old.at_us AND new.who IS old.who AND new.deed IS old.deed
                  AND new.version IS old.version AND new.purposes IS old.purposes
                  AND new.from_us IS old.from_us AND new.until_us IS old.until_us)
        BEGIN SELECT RAISE(ABORT, 'the register only grows, and is cleared'); END;
",
];

/// The version that [`STEPS`] lead to.
pub(super) const VERSION: i64 = 13;

/// The version from which on there is a chain.
pub(super) const CHAINED: usize = 6;
