"""Airflow's task state store, in a SQLite file that all tries' processes share.

It answers as Airflow 3.3.2's: the last writer wins, and there is no compare-and-set. A new try gets a new task instance id;
from then on the old one's ``set`` is refused with 404, and its ``get`` silently answers None.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.kills.steps import Moment


@dataclass(frozen=True)
class Halt:
    """At which of its writes (from 1), and when, a try kills or stops its own process."""

    write: int
    moment: Moment

    def before(self, write: int) -> None:
        """Halt if this is the place."""
        self._at(write, {Moment.BEFORE: signal.SIGKILL, Moment.FROZEN: signal.SIGSTOP})

    def after(self, write: int) -> None:
        """Halt if this is the place."""
        self._at(write, {Moment.AFTER: signal.SIGKILL, Moment.FROZEN_AFTER: signal.SIGSTOP})

    def _at(self, write: int, signals: dict[Moment, signal.Signals]) -> None:
        if write == self.write and self.moment in signals:
            os.kill(os.getpid(), signals[self.moment])


class States:
    """The store as one try sees it.

    :param path: the file
    :param halt: None: go through
    """

    def __init__(self, path: str | Path, try_number: int, halt: Halt | None = None) -> None:
        self._path, self._try, self._halt = path, try_number, halt
        self._lock = threading.Lock()
        self.writes = 0

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value."""
        with self._opened() as database:
            if not self._is_current(database):
                return None
            found = database.execute("SELECT value FROM states WHERE key = ?", (key,)).fetchone()
            return default if found is None else json.loads(found[0])

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Write a value."""
        assert retention is not None, "a site's default retention may be too short"
        with self._lock:
            self.writes += 1
            number = self.writes
        if self._halt is not None:
            self._halt.before(number)
        with self._opened() as database:
            database.execute("BEGIN IMMEDIATE")
            if not self._is_current(database):
                raise _not_found()
            database.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (key, json.dumps(value)))
        if self._halt is not None:
            self._halt.after(number)

    def _is_current(self, database: sqlite3.Connection) -> bool:
        return bool(database.execute("SELECT number FROM current").fetchone()[0] == self._try)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(_connect(self._path)) as database, database:
            yield database


def _not_found() -> Exception:
    """Make what the task SDK raises when the API server answers 404. The tests' own process needs no Airflow for it."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))


def make_states(path: Path) -> None:
    """Make an empty store."""
    with closing(_connect(path)) as database, database:
        database.execute("CREATE TABLE states (key TEXT PRIMARY KEY, value TEXT)")
        database.execute("CREATE TABLE current (number INTEGER)")
        database.execute("INSERT INTO current VALUES (0)")


def begin_try(path: Path, number: int, *, forgets: bool = False) -> None:
    """Give the task a new try: it replaces the one before.

    :param forgets: lose what was written so far
    """
    with closing(_connect(path)) as database, database:
        if forgets:
            database.execute("DELETE FROM states")
        database.execute("UPDATE current SET number = ?", (number,))


def _connect(path: str | Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=30)
    database.execute("PRAGMA synchronous = OFF")  # the process dies here, not the machine
    return database
