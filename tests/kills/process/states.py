"""Airflow's task state store, in a folder that all tries' processes share.

It answers as Airflow 3.3.2's: the last writer wins, and there is no compare-and-set. A new try gets a new task instance id;
from then on the old one's ``set`` is refused with 404, and its ``get`` silently answers None.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.kills.wire.steps import Moment

_CURRENT: Final = "the current try"


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

    :param folder: a file for each key, which is replaced as a whole: a process that is stopped holds no lock
    :param halt: None: go through
    """

    def __init__(self, folder: str | Path, try_number: int, halt: Halt | None = None) -> None:
        self._folder, self._try, self._halt = Path(folder), try_number, halt
        self._lock = threading.Lock()
        self.writes = 0

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value."""
        if not self._is_current():
            return None
        found = _read(self._folder, key)
        return default if found is None else found

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Write a value."""
        assert retention is not None, "a site's default retention may be too short"
        with self._lock:
            self.writes += 1
            number = self.writes
        if self._halt is not None:
            self._halt.before(number)
        if not self._is_current():
            raise _not_found()
        _write(self._folder, key, value)
        if self._halt is not None:
            self._halt.after(number)

    def _is_current(self) -> bool:
        return bool(_read(self._folder, _CURRENT) == self._try)


def begin_try(folder: Path, number: int, *, forgets: bool = False) -> None:
    """Give the task a new try: it replaces the one before.

    :param forgets: lose what was written so far
    """
    folder.mkdir(exist_ok=True)
    if forgets:
        for path in folder.iterdir():
            path.unlink()
    _write(folder, _CURRENT, number)


def _read(folder: Path, key: str) -> Any:
    try:
        return json.loads((folder / quote(key, safe="")).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _write(folder: Path, key: str, value: Any) -> None:
    path = folder / quote(key, safe="")
    part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
    part.write_text(json.dumps(value), encoding="utf-8")
    part.replace(path)


def _not_found() -> Exception:
    """Make what the task SDK raises when the API server answers 404. The tests' own process needs no Airflow for it."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
