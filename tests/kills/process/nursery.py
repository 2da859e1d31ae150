"""A warm process that forks one child for every try, since importing Airflow takes seconds.

The children are processes of their own, and ``SIGKILL`` ends them as it ends any worker. They are forked before there is
any second thread, so they begin as a fresh interpreter with the modules imported.

Protocol, one line each: ``start <Spec>`` is answered by the child's pid, ``wait <pid>`` by its status as
``os.waitstatus_to_exitcode`` has it: the exit code, or minus the signal that ended it; ``stands <pid>`` by ``True`` as soon
as it is stopped.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Self, TextIO

from tests.kills.process.spec import Spec

PATIENCE_SECONDS: Final = 60.0
"""Longest wait for a child, or for Airflow's import."""


class Nursery:
    """The warm process, as the tests see it."""

    def __init__(self) -> None:
        # Nothing of the user's Airflow is read or written.
        self._home = tempfile.TemporaryDirectory(prefix="airflow-home-")
        others = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kills.process.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**others, "AIRFLOW_HOME": self._home.name, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
            cwd=Path(__file__).parents[3],
        )
        self._living: set[int] = set()

    def __enter__(self) -> Self:
        if self._answer() != "ready":
            raise RuntimeError("the process that forks the tries did not start; its error stands above")
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_SECONDS)
        self._process.stdout.close()
        self._home.cleanup()

    def start(self, spec: Spec) -> int:
        """Fork a child that runs a try; give its pid."""
        pid = int(self._ask(f"start {spec.to_json()}"))
        self._living.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """Wait for a child's end; give its exit code, or minus the signal."""
        status = int(self._ask(f"wait {pid}"))
        self._living.discard(pid)
        return status

    def stands(self, pid: int) -> bool:
        """Wait until a child is stopped; False when it ends instead."""
        return self._ask(f"stands {pid}") == "True"

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        out = self._process.stdout
        assert out is not None
        with selectors.DefaultSelector() as selector:
            selector.register(out, selectors.EVENT_READ)
            if not selector.select(PATIENCE_SECONDS):
                raise TimeoutError("a child of the nursery has not ended")
        return out.readline().strip()


def serve() -> None:
    """Answer until the other side hangs up."""
    # The protocol keeps a descriptor of its own: whatever a library prints goes to the errors.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from tests.kills.process.task import run, warm_up  # the seconds that are to be spent once

    warm_up()
    assert threading.active_count() == 1, "something imported starts a thread: a fork would copy its locks"
    gc.freeze()  # or each child's first collection copies the whole of Airflow
    _say(out, "ready")
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "wait":
            _say(out, str(os.waitstatus_to_exitcode(os.waitpid(int(rest), 0)[1])))
            continue
        if command == "stands":
            _say(out, str(os.WIFSTOPPED(os.waitpid(int(rest), os.WUNTRACED)[1])))
            continue
        spec = Spec.from_json(rest)
        pid = os.fork()
        if pid == 0:
            _live(run, spec)
        _say(out, str(pid))


def _live(run: Callable[[Spec], int], spec: Spec) -> None:
    """Be the child."""
    code = 70
    try:
        log = os.open(Path(spec.outcome).with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        code = run(spec)
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _say(out: TextIO, line: str) -> None:
    print(line, file=out, flush=True)


if __name__ == "__main__":
    serve()
