"""A task whose state several processes share, and a process that is really stopped (SIGSTOP) while it publishes.

``python -m tests.provider.files.shared_task`` reads one JSON object a line: where the states lie, the org's connection, the
operator's arguments, and the step. It runs the next try, stops itself before the step (``verify``: the n-th question to the
ledger while it publishes; ``rename``: the n-th renaming right after that question), and writes how the try ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from airflow_provider_sfbulk.files.part_files import PartFiles
from airflow_provider_sfbulk.files.storage import ObjectFolder
from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.task.ledger import TaskLedger
from tests.provider.conftest import FakeTask

LOOK_SECONDS = 0.02


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


@contextmanager
def stopping_before(kind: str, number: int) -> Iterator[None]:
    """Let this process be stopped before the n-th step of that kind of its publishing."""
    place: Any = TaskLedger if kind == "verify" else ObjectFolder
    calls = [0]
    is_publishing = [False]
    real_step, real_publish = getattr(place, kind), PartFiles.publish

    def step(*given: Any) -> Any:
        calls[0] += is_publishing[0]
        if calls[0] == number:
            calls[0] += 1
            os.kill(os.getpid(), signal.SIGSTOP)
        return real_step(*given)

    def publish(self: PartFiles, *given: Any, **named: Any) -> Any:
        is_publishing[0] = True
        return (yield from real_publish(self, *given, **named))

    with patch.object(place, kind, step), patch.object(PartFiles, "publish", publish):
        yield


def run(states: str, connection: str, kind: str, number: int, arguments: dict[str, Any]) -> str:
    """Run the next try and say how it ended."""
    os.environ["AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT"] = connection
    try:
        with stopping_before(kind, number):
            SharedTask(Path(states)).start().run(BulkQueryOperator(**arguments))
    except Exception as error:
        return type(error).__name__
    return "success"


class Worker:
    """That process, seen from the test."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.provider.files.shared_task"],
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop_in(self, **given: Any) -> None:
        """Let it run a try as :func:`run` does, and wait until it is stopped."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        while True:
            pid, status = os.waitpid(self._process.pid, os.WUNTRACED | os.WNOHANG)
            if pid:
                assert os.WIFSTOPPED(status), "the process has ended"
                return
            ended, _, _ = select.select([self._process.stdout], [], [], LOOK_SECONDS)
            assert not ended, f"the try did not come to that step: {self._process.stdout.readline()}"

    def go_on(self) -> str:
        """Let it go on, and say how its try ended."""
        assert self._process.stdout is not None
        self._process.send_signal(signal.SIGCONT)
        return self._process.stdout.readline().strip()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    base.FIRST_POLLS = (0.0, 0.05, 0.05, 0.1, 0.2)  # type: ignore[attr-defined, misc, assignment]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes to the errors
    for line in sys.stdin:
        print(run(**json.loads(line)), file=answers, flush=True)
