"""Where records are stored: one SQLite file, one table per object, columns as ``schema`` says.

One thread at a time changes records (the worker that runs ingest jobs), any thread reads. The tables whose names
start with an underscore are the org's own: no object has such a name.

Deleted records stay as rows with ``IsDeleted`` 1 (the recycle bin) until ``hardDelete``. Values of unique fields are
unique among the rows that are not deleted: a value can be used again once its record is in the bin.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES, Field, Schema, SObject
from airflow_provider_sfbulk.local_org.soql import fold, register

_PARAMETERS: Final = 30_000
"""Parameters of one statement; SQLite allows 32,766 unless built otherwise."""

_WRITER_CACHE_KIB: Final = 32 * 1024
_READER_CACHE_KIB: Final = 4 * 1024
"""Pages that a connection holds. The writer touches all of its indexes, a query mostly reads straight through."""

_OWN_TABLES: Final = """
CREATE TABLE IF NOT EXISTS _setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _counter (key_prefix TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _bin (
    root TEXT NOT NULL, object TEXT NOT NULL, id TEXT NOT NULL, lookup TEXT, PRIMARY KEY (root, object, id, lookup));
CREATE TABLE IF NOT EXISTS _job (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _bulk1_job (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS _bulk1_batch (
    id TEXT PRIMARY KEY, job_id TEXT NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
"""


def quoted(name: str) -> str:
    """Return a table or column name for use in SQL."""
    return '"' + name.replace('"', '""') + '"'


def check_file(path: Path) -> None:
    """Refuse a file that is there and is no org's, before anything is changed in it.

    :raises ValueError: saying what it is instead
    """
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is not the data file of a local org: {error}") from error
    if tables and "_setting" not in tables:
        raise ValueError(f"{path} is not the data file of a local org: it is a database of something else")


class Store:
    """The org's records, its settings and what it knows of jobs.

    :param path: the SQLite file
    :param durable: whether the file must survive the machine's crash; a file that is thrown away need not
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self._durable = durable
        self.lock = threading.RLock()
        self._writer = self._connect(_WRITER_CACHE_KIB)
        self._writing_thread: int | None = None
        self._writer.executescript(_OWN_TABLES)

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=60)
        # First, or the change of the journal waits for the disk.
        connection.execute(f"PRAGMA synchronous = {'NORMAL' if self._durable else 'OFF'}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        register(connection)
        return connection

    @property
    def writer(self) -> sqlite3.Connection:
        """The writing connection, for those who hold :attr:`lock` and read what they have just written."""
        return self._writer

    @contextmanager
    def looking(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for reading: a reader's, or inside this thread's transaction one that sees its changes."""
        if self._writing_thread == threading.get_ident():
            yield self._writer
            return
        with self.reader() as connection:
            connection.execute("BEGIN")
            yield connection

    @contextmanager
    def without_triggers(self) -> Iterator[None]:
        """Inside a transaction: copy records as they are, and let no trigger work on them."""
        triggers = self._writer.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            self._writer.execute(f"DROP TRIGGER main.{quoted(name)}")
        yield
        for _, sql in triggers:
            self._writer.execute(sql)

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """Yield a new connection, whose reads inside a transaction see one moment."""
        connection = self._connect(_READER_CACHE_KIB)
        connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the writing connection inside one transaction: all of it happens, or nothing."""
        with self.lock:
            if self._writer.in_transaction:
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            self._writing_thread = threading.get_ident()
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            else:
                self._writer.execute("COMMIT")
            finally:
                self._writing_thread = None

    def select(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a short query."""
        with self.lock:
            return self._writer.execute(sql, parameters).fetchall()

    def select_in(self, sql: str, values: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query whose ``{}`` stands for a list of values of any length."""
        everything = list(values)
        for start in range(0, len(everything), _PARAMETERS):
            some = everything[start : start + _PARAMETERS]
            yield from self.select(sql.format(",".join("?" * len(some))), some)

    def close(self) -> None:
        """Close the file, leaving no log beside it."""
        with self.lock:
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()

    # --- objects ---

    def create_table(self, sobject: SObject) -> None:
        """Make the object's table, or add the columns that it lacks."""
        with self.writing() as connection:
            create_table(connection, sobject)

    def records(self, sobject: SObject, *, include_deleted: bool = False) -> list[dict[str, Any]]:
        """Return all records in the order of their ids, values as stored but checkboxes, which are true or false."""
        names = [field.name for field in sobject.fields.values() if not field.is_compound]
        where = "" if include_deleted else "WHERE IsDeleted = 0"
        sql = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(sobject.name)} {where} ORDER BY Id"  # noqa: S608 - names of the schema, quoted
        boxes = [name for name in names if (field := sobject.get(name)) is not None and field.type == "boolean"]
        records = [dict(zip(names, row, strict=True)) for row in self.select(sql)]
        for record in records:
            record |= {name: bool(record[name]) for name in boxes}
        return records

    def owners(self, sobject: SObject, field: Field, values: Iterable[Any]) -> dict[Any, list[str]]:
        """Return which records that are not deleted hold each of the values, by the value as :func:`key_of` has it."""
        table, column = quoted(sobject.name), quoted(field.name)
        found: dict[Any, list[str]] = {}
        texts = set(values)
        searches: list[tuple[str, set[Any]]] = [(column, texts)]
        if is_text(field) and not field.case_sensitive:
            # NOCASE folds ASCII only and is served by the index; other letters take a scan, and are rare in keys.
            plain = {text for text in texts if text.isascii()}
            searches = [(f"{column} COLLATE NOCASE", plain), (f"soql_fold({column})", set(map(fold, texts - plain)))]
        for expression, wanted in searches:
            sql = f"SELECT {column}, Id FROM {table} WHERE IsDeleted = 0 AND {expression} IN ({{}})"  # noqa: S608 - names of the schema, quoted
            for value, record_id in self.select_in(sql, wanted):
                found.setdefault(key_of(field, value), []).append(record_id)
        return found

    def index(self, sobject: SObject, fields: Sequence[Field]) -> None:
        """Let records be found by the keys of several fields, however many there are."""
        name = quoted(".".join((sobject.name, *(field.name for field in fields), "keys")))
        columns = ", ".join(map(key_column, fields))
        with self.writing() as connection:
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS {name} ON {quoted(sobject.name)} ({columns}) WHERE IsDeleted = 0"
            )

    # --- the org's own ---

    def next_number(self, key_prefix: str, count: int) -> int:
        """Reserve ``count`` record numbers of a key prefix; return the first."""
        with self.writing() as connection:
            connection.execute("INSERT OR IGNORE INTO _counter VALUES (?, 1)", (key_prefix,))
            (first,) = connection.execute("SELECT next FROM _counter WHERE key_prefix = ?", (key_prefix,)).fetchone()
            connection.execute("UPDATE _counter SET next = next + ? WHERE key_prefix = ?", (count, key_prefix))
            return int(first)

    def new_ids(self, key_prefix: str, count: int) -> list[str]:
        """Return so many ids that were never used."""
        return list(ids.make(key_prefix, self.next_number(key_prefix, count), count))

    def setting(self, name: str) -> str | None:
        """Return a setting, or None."""
        rows = self.select("SELECT value FROM _setting WHERE name = ?", (name,))
        return rows[0][0] if rows else None

    def keep_setting(self, name: str, value: str) -> None:
        """Store a setting."""
        with self.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO _setting VALUES (?, ?)", (name, value))


def create_table(connection: sqlite3.Connection, sobject: SObject) -> None:
    """Make an object's table with its indexes and triggers, or add the columns that it lacks."""
    table = quoted(sobject.name)
    # A field that follows from others comes after them.
    fields = sorted(sobject.fields.values(), key=lambda each: each.derived is not None)
    present = {row[1].lower() for row in connection.execute(f"PRAGMA table_xinfo({table})")} | {"id", "isdeleted"}
    lacking = {
        field.name.lower(): f"{quoted(field.name)} {_declared(sobject, field)}"
        for field in fields
        if field.name.lower() not in present and not field.is_compound
    }
    if len(present) > 2:
        for column in lacking.values():
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    else:
        own = ["Id TEXT NOT NULL PRIMARY KEY", "IsDeleted INTEGER NOT NULL DEFAULT 0"]
        connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({', '.join([*own, *lacking.values()])})")
    for field in fields:
        if field.name != "Id" and (field.unique or field.external_id or field.id_lookup):
            connection.execute(_index(sobject, field))
        elif field.type == "reference" and field.derived is None and field.name not in _UNINDEXED:
            connection.execute(_lookup_index(sobject, field))
    for name, body in sobject.triggers.items():
        connection.execute(f"CREATE TRIGGER IF NOT EXISTS {quoted(f'{sobject.name}.{name}')} {body}")


def blank_file(sobjects: Iterable[SObject]) -> bytes:
    """Return the file of an org that has tables and no records."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        register(connection)
        connection.executescript(_OWN_TABLES)
        for sobject in sobjects:
            create_table(connection, sobject)
        return connection.serialize()


def is_text(field: Field) -> bool:
    """Whether the field's values are text that compares without regard to case."""
    return field.type not in NUMBER_TYPES and field.type not in (
        "id",
        "reference",
        "boolean",
        "date",
        "datetime",
        "time",
    )


def key_of(field: Field, value: Any) -> Any:
    """Return what two values of a unique or external id field are compared by."""
    return fold(value) if is_text(field) and not field.case_sensitive else value


def key_column(field: Field) -> str:
    """Return the SQL whose value :func:`key_of` gives of a stored one."""
    column = quoted(field.name)
    return f"soql_fold({column})" if is_text(field) and not field.case_sensitive else column


_UNINDEXED: Final = frozenset({"OwnerId", "RecordTypeId", "CreatedById", "LastModifiedById", "MasterRecordId"})
"""Lookups that nearly every record has, and that nothing deletes the other end of."""


def _lookup_index(sobject: SObject, field: Field) -> str:
    """Return the index that finds the children of a record; one that has no parent costs it nothing."""
    name = quoted(f"{sobject.name}.{field.name}")
    column = quoted(field.name)
    return f"CREATE INDEX IF NOT EXISTS {name} ON {quoted(sobject.name)} ({column}) WHERE {column} IS NOT NULL"


def _declared(sobject: SObject, field: Field) -> str:
    if field.derived is not None:
        expression = f"COALESCE({field.derived}, 0)" if field.type == "boolean" else field.derived
        return f"{_declared_type(field)} GENERATED ALWAYS AS ({expression}) VIRTUAL"
    if field.name == "Name" and _joins_name(sobject):
        first, last = quoted("FirstName"), quoted("LastName")
        joined = f"CASE WHEN {first} IS NULL THEN {last} ELSE {first} || ' ' || {last} END"
        return f"TEXT GENERATED ALWAYS AS ({joined}) VIRTUAL"
    if field.type == "boolean":
        return f"INTEGER NOT NULL DEFAULT {int(field.default_value is True)}"
    return _declared_type(field)


def _declared_type(field: Field) -> str:
    if field.type in ("int", "long", "boolean"):
        return "INTEGER"
    return "REAL" if field.type in NUMBER_TYPES else "TEXT"


def _joins_name(sobject: SObject) -> bool:
    """Whether the object's name is a person's, which Salesforce joins from its parts."""
    name = sobject.get("Name")
    parts = sobject.get("FirstName"), sobject.get("LastName")
    return name is not None and not name.createable and all(part is not None for part in parts)


def _index(sobject: SObject, field: Field) -> str:
    collation = "COLLATE NOCASE" if is_text(field) and not field.case_sensitive else ""
    name = quoted(f"{sobject.name}.{field.name}")
    return (
        f"CREATE {'UNIQUE' if field.unique else ''} INDEX IF NOT EXISTS {name} "
        f"ON {quoted(sobject.name)} ({quoted(field.name)} {collation}) WHERE IsDeleted = 0"
    )


# --- copies of all records, to go back to ---


def take_snapshot(store: Store, path: Path) -> None:
    """Write the records, those in the recycle bin included, to a file."""
    path.unlink(missing_ok=True)
    with store.lock:
        store.writer.execute("VACUUM INTO ?", (str(path),))


def go_back(store: Store, schema: Schema, path: Path) -> None:
    """Let the records be those of a file. Numbers that were given out since are not given out again."""
    with store.lock:
        store.writer.execute("ATTACH ? AS kept", (str(path),))
        try:
            with store.writing() as connection, store.without_triggers():
                for name in (*(sobject.name for sobject in schema), "_bin"):
                    connection.execute(f"DELETE FROM main.{quoted(name)}")  # noqa: S608 - names of the schema, quoted
                    columns = _columns(store, name)
                    if columns:
                        listed = ", ".join(map(quoted, columns))
                        connection.execute(
                            f"INSERT INTO main.{quoted(name)} ({listed}) SELECT {listed} FROM kept.{quoted(name)}"  # noqa: S608 - names of the schema, quoted
                        )
        finally:
            store.writer.execute("DETACH kept")


def empty(store: Store, schema: Schema) -> None:
    """Delete all records, and start to count them again."""
    with store.writing() as connection, store.without_triggers():
        for name in (*(sobject.name for sobject in schema), "_bin", "_counter"):
            connection.execute(f"DELETE FROM {quoted(name)}")  # noqa: S608 - names of the schema, quoted


def _columns(store: Store, name: str) -> list[str]:
    """Return the columns that hold values in both; an object that was added later has none in the file."""
    now, then = (
        [row[1] for row in store.writer.execute(f"PRAGMA {where}.table_xinfo({quoted(name)})") if row[6] == 0]
        for where in ("main", "kept")
    )
    return [column for column in now if column in then]
