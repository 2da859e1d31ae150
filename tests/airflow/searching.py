"""What must not be found in Airflow's files, and how it is looked for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.canaries import spellings


def secrets_of(org: LocalOrg) -> list[str]:
    """Give every secret of an org and the sessions that it has given."""
    key = max(org.private_key.splitlines(), key=len)
    return [org.client_secret, org.refresh_token, org.password, org.security_token, key, *sessions_of(org)]


def sessions_of(org: LocalOrg) -> list[str]:
    """Give the tokens of an org's sessions."""
    return [session["token"] for session in json.loads(org.core.store.setting("sessions") or "[]")]


def files_of(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Give every file of a folder with what is in it, the database's journal among them."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path, path.read_bytes()


def rows_of(database: Path) -> dict[str, bytes]:
    """Give every table with what its rows hold. A file's pages may cut a value in two."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: b"\n".join(
                value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
                for row in connection.execute(f'SELECT * FROM "{table}"')
                for value in row
            )
            for table in tables
        }


def found(places: Mapping[Path, bytes], words: Collection[str]) -> set[str]:
    """Which of the words stand in any of the places, in any spelling."""
    return {
        word
        for word in words
        for spelling in spellings(word)
        if any(spelling.encode() in data for data in places.values())
    }
