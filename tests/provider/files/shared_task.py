"""A task whose state several processes share, and a process that is really stopped (SIGSTOP) while it publishes.

``python -m tests.provider.files.shared_task STATES KIND NUMBER ARGUMENTS`` runs the next try, and stops itself before the
asked step: ``verify`` the n-th question to the ledger while it publishes, ``rename`` the n-th renaming right after that
question.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.files.part_files import PartFiles
from airflow_provider_sfbulk.files.storage import ObjectFolder
from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.task.ledger import TaskLedger
from tests.provider.conftest import FakeTask


class _States(dict[str, Any]):
    """The values of a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def get(self, key: str, default: Any = None) -> Any:
        return _read(self._path).get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self._path.write_text(json.dumps({**_read(self._path), key: value}))


class SharedTask(FakeTask):
    """A task whose tries are in several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(states=_States(path), current=_read(path).get("current", 0))

    @property
    def current(self) -> int:  # type: ignore[override]
        number: int = _read(self._path).get("current", 0)
        return number

    @current.setter
    def current(self, number: int) -> None:
        self._path.write_text(json.dumps({**_read(self._path), "current": number}))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def stop_before(kind: str, number: int) -> None:
    """Let this process be stopped before the n-th step of that kind of its publishing."""
    calls = [0]
    is_publishing = [False]

    def stopping(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any) -> Any:
            calls[0] += is_publishing[0]
            if calls[0] == number:
                calls[0] += 1
                os.kill(os.getpid(), signal.SIGSTOP)
            return real(*given)

        return step

    def publish(self: PartFiles, *given: Any, **named: Any) -> Any:
        is_publishing[0] = True
        return (yield from real_publish(self, *given, **named))

    real_publish = PartFiles.publish
    PartFiles.publish = publish  # type: ignore[method-assign]
    place: Any = TaskLedger if kind == "verify" else ObjectFolder
    setattr(place, kind, stopping(getattr(place, kind)))


if __name__ == "__main__":
    base.LOOKS = (0.0, 0.05, 0.05, 0.1, 0.2)  # type: ignore[misc]
    stop_before(sys.argv[2], int(sys.argv[3]))
    SharedTask(Path(sys.argv[1])).start().run(BulkQueryOperator(**json.loads(sys.argv[4])))
