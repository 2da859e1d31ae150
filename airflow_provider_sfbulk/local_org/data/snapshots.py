"""Copies of all records, to go back to."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.data.store import Store, quoted

_OWN: tuple[str, ...] = ("_bin",)


def take(store: Store, path: Path) -> None:
    """Write the records, and what of them lies in the recycle bin, to a file."""
    path.unlink(missing_ok=True)
    with store.lock:
        store.writer.execute("VACUUM INTO ?", (str(path),))


def go_back(store: Store, schema: Schema, path: Path) -> None:
    """Let the records be those of a file. Numbers that were given out since are not given out again."""
    with store.lock:
        store.writer.execute("ATTACH ? AS kept", (str(path),))
        try:
            with store.writing() as connection, store.without_triggers():
                for name in (*(sobject.name for sobject in schema), *_OWN):
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
        for name in (*(sobject.name for sobject in schema), *_OWN, "_counter"):
            connection.execute(f"DELETE FROM {quoted(name)}")  # noqa: S608 - names of the schema, quoted


def _columns(store: Store, name: str) -> list[str]:
    """Return the columns that hold values in both; an object that was added later has none in the file."""
    now, then = (
        [row[1] for row in store.writer.execute(f"PRAGMA {where}.table_xinfo({quoted(name)})") if row[6] == 0]
        for where in ("main", "kept")
    )
    return [column for column in now if column in then]
