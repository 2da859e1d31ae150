"""Airflow's task state store, in a folder that all tries' processes share.

It answers as Airflow 3.3.2's: the last writer wins, and there is no compare-and-set. A new try gets a new task instance id;
from then on the old one's ``set`` is refused with 404, and its ``get`` silently answers None.
"""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tests.kills.process.halts import Halts
from tests.kills.wire.steps import WRITE

_CURRENT: Final = "the current try"


class States:
    """The store as one try sees it.

    :param folder: a file for each key, which is replaced as a whole: a process that is stopped holds no lock
    :param halts: where the try halts
    """

    def __init__(self, folder: str | Path, try_number: int, halts: Halts) -> None:
        self._folder, self._try, self._halts = Path(folder), try_number, halts

    def get(self, key: str, default: Any = None) -> Any:
        """Read a value."""
        if not self._is_current():
            return None
        found = _read(self._folder, key)
        return default if found is None else found

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Write a value."""
        assert retention is not None, "a site's default retention may be too short"
        with self._halts.around(WRITE):
            if not self._is_current():
                raise _not_found()
            _write(self._folder, key, value)

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
