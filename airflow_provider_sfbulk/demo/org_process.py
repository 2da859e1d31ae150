"""The local org as a process of its own, as a user would start it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

STOP_SECONDS: Final = 10.0


class OrgError(RuntimeError):
    """The local org did not start."""


class OrgProcess:
    """A running ``python -m airflow_provider_sfbulk.local_org``. Use it as a context manager.

    :param schema: describe of further objects
    :param data: the SQLite file that it keeps its records in
    :param job_seconds: how long a job takes
    """

    def __init__(self, *, schema: Path, data: Path, job_seconds: float) -> None:
        self._data = data
        self._command = [sys.executable, "-m", "airflow_provider_sfbulk.local_org", "--schema", str(schema)]
        self._command += ["--data", str(data), "--job-seconds", str(job_seconds)]
        self._process: subprocess.Popen[str] | None = None
        self.start_line: dict[str, Any] = {}

    @property
    def connection(self) -> str:
        """The org as an Airflow connection, in JSON."""
        text: str = self.start_line["connection"]
        return text

    def count(self, sobject: str) -> int:
        """Count an object's records in the org's own database: what it has, whatever any client says."""
        with closing(sqlite3.connect(f"{self._data.as_uri()}?mode=ro", uri=True)) as database:
            table = sobject.replace('"', '""')
            found = database.execute(f'SELECT COUNT(*) FROM "{table}" WHERE IsDeleted = 0')  # noqa: S608 - quoted
            count: int = found.fetchone()[0]
        return count

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        try:
            line = self._process.stdout.readline()
            if not line:
                raise OrgError(f"the local org did not start: it ended with {self._process.wait()}")
            self.start_line = json.loads(line)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, at once if need be."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
