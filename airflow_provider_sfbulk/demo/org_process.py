"""The local org as a process of its own, as a user would start it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

STOP_SECONDS = 10.0


class OrgProcess:
    """A running ``python -m airflow_provider_sfbulk.local_org``. Use it as a context manager.

    :param schema: describe of further objects
    :param job_seconds: how long a job takes
    """

    def __init__(self, *, schema: Path, job_seconds: float) -> None:
        self._command = [
            sys.executable,
            "-m",
            "airflow_provider_sfbulk.local_org",
            "--schema",
            str(schema),
            "--job-seconds",
            str(job_seconds),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.start_line: dict[str, Any] = {}

    @property
    def connection(self) -> str:
        """The org as an Airflow connection, in JSON."""
        text: str = self.start_line["connection"]
        return text

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the local org did not start: it ended with {self._process.wait()}")
        self.start_line = json.loads(line)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
