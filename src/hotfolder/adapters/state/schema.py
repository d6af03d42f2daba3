"""The tables of `state.db`."""

SCHEMA_VERSION = 4

#: One statement a table; a file of an older version gets those that it lacks.
TABLES = (
    """
    CREATE TABLE IF NOT EXISTS operations (
        sequence     INTEGER PRIMARY KEY,
        operation_id TEXT NOT NULL UNIQUE,
        folder       TEXT NOT NULL,
        relpath      BLOB NOT NULL,
        fingerprint  TEXT NOT NULL,
        disposition  TEXT NOT NULL,
        target       BLOB NOT NULL,
        entry        TEXT NOT NULL,
        root         BLOB NOT NULL DEFAULT x''
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS uploads (
        operation_id TEXT PRIMARY KEY,
        folder       TEXT NOT NULL,
        root         BLOB NOT NULL,
        relpath      BLOB NOT NULL,
        fingerprint  TEXT NOT NULL,
        made_at      REAL NOT NULL,
        begun_at     REAL NOT NULL,
        bucket       TEXT NOT NULL,
        key          TEXT NOT NULL,
        recipe       TEXT NOT NULL,
        upload_id    TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS parts (
        operation_id    TEXT NOT NULL,
        number          INTEGER NOT NULL,
        size            INTEGER NOT NULL,
        sha256          BLOB NOT NULL,
        md5             BLOB,
        etag            TEXT NOT NULL,
        checksum_sha256 TEXT,
        etag_is_digest  INTEGER NOT NULL,
        PRIMARY KEY (operation_id, number)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS kept (
        folder      TEXT NOT NULL,
        relpath     BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        PRIMARY KEY (folder, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS chores (
        name TEXT PRIMARY KEY,
        done INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS copies (
        operation_id TEXT PRIMARY KEY,
        fingerprint  TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS ledger_lines (
        sequence           INTEGER PRIMARY KEY,
        operation_id       TEXT NOT NULL UNIQUE,
        completed_at       ANY,
        operation_type     ANY,
        status             ANY,
        folder             ANY,
        "group"            ANY,
        target_path        ANY,
        target_name        ANY,
        result_path        ANY,
        s3_bucket          ANY,
        s3_object_key      ANY,
        completed_dir_path ANY,
        checksum_original  ANY,
        original_size      ANY,
        file               INTEGER NOT NULL,
        "offset"           INTEGER NOT NULL
    ) STRICT
    """,
    "CREATE INDEX IF NOT EXISTS ledger_lines_of_key ON ledger_lines (s3_object_key)",
    """
    CREATE TABLE IF NOT EXISTS ledger_mark (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        file     INTEGER NOT NULL,
        "offset" INTEGER NOT NULL,
        digest   TEXT NOT NULL,
        lines    INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE IF NOT EXISTS staged (
        operation_id    TEXT PRIMARY KEY,
        folder          TEXT NOT NULL,
        root            BLOB NOT NULL,
        relpath         BLOB NOT NULL,
        fingerprint     TEXT NOT NULL,
        made_at         REAL NOT NULL,
        recipe          TEXT NOT NULL,
        original_size   INTEGER NOT NULL,
        original_sha256 BLOB NOT NULL,
        packed_size     INTEGER NOT NULL,
        packed_sha256   BLOB NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS called_off (
        folder      TEXT NOT NULL,
        relpath     BLOB NOT NULL,
        fingerprint TEXT NOT NULL,
        why         TEXT NOT NULL,
        PRIMARY KEY (folder, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS mount_points (
        root BLOB PRIMARY KEY
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS standing (
        inbox   BLOB NOT NULL,
        relpath BLOB NOT NULL,
        PRIMARY KEY (inbox, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS emptied (
        inbox   BLOB NOT NULL,
        relpath BLOB NOT NULL,
        PRIMARY KEY (inbox, relpath)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS markers (
        operation_id TEXT PRIMARY KEY,
        relpath      BLOB NOT NULL,
        fingerprint  TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS profiles (
        key     TEXT PRIMARY KEY,
        seen_at REAL NOT NULL,
        profile TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
)
