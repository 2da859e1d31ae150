"""A real Airflow on loopback, in a home of its own: API server, scheduler, dag-processor and triggerer.

Each component is the leader of a process group of its own, so that its end takes exactly its own children along. The log
servers of scheduler and triggerer would listen on every address, so they stay off: on one machine the API server reads
the log files themselves.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

T = TypeVar("T")

COMPONENTS: Final[Mapping[str, tuple[str, ...]]] = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

HEALTH_NAMES: Final = ("scheduler", "dag_processor", "triggerer")
START_SECONDS: Final = 180.0

LOCK_SECONDS: Final = 60
"""How long a component waits for another one's writing. Airflow's scheduler ends when that is not enough; SQLite's 5 s are
not, when a dozen tasks start on two cores."""

API_LOCK_SECONDS: Final = 2
"""The same of the API server, which can wait for itself: it notes a writing call of its REST API in its event loop, and a
call of a task that writes at that moment needs the loop to commit (Airflow 3.3.2). One gets a 500 then, and repeats."""

CALL_TRIES: Final = 5
"""How often a call of the REST API is sent that is answered 500. Nothing was done: the database has refused it."""

STOP_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 0.3
LOG_TAIL: Final = 3000
DONE: Final = frozenset({"success", "failed"})


class StackError(RuntimeError):
    """Airflow did not start, or did not do what it was asked."""


class AirflowStack:
    """A running Airflow. Use it as a context manager.

    :param home: its folder, made when it is not there
    :param dags: folder of the DAG files
    :param environment: further variables, connections among them
    :param roles: users by name with their roles, an administrator ``admin`` among them, who sign in; without any, whoever
        comes is an administrator
    :cvar components: what to run, by name: the arguments of ``airflow``
    """

    components: Mapping[str, tuple[str, ...]] = COMPONENTS

    def __init__(
        self, home: Path, dags: Path, environment: Mapping[str, str], *, roles: Mapping[str, str] | None = None
    ) -> None:
        self.home = home.resolve()
        self._roles = roles or {}
        self._password = secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{_free_port()}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token: str | None = None
        self._environment = {**_inherited(), **self._settings(dags.resolve()), **environment}

    def _settings(self, dags: Path) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self.home),
            # An inherited AIRFLOW__… would win over these, hence _inherited().
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": str(not self._roles),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(
                f"{name}:{role}" for name, role in self._roles.items()
            ),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database(LOCK_SECONDS),
            "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.url.rpartition(":")[2],
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            # 5 s by default: a finished task holds its slot that much longer.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    @property
    def _passwords(self) -> Path:
        return self.home / "passwords.json"

    # --- life ---

    def start(self) -> Self:
        """Start all components and wait until each says that it is healthy.

        :raises StackError: when one ends, or is not healthy after ``START_SECONDS``; with the end of its log
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self._passwords.write_text(json.dumps(dict.fromkeys(self._roles, self._password)))
        try:
            self.migrate()
            for name in self.components:
                self.start_component(name)
            self.wait_until_healthy()
        except BaseException:
            self.stop()
            raise
        return self

    def migrate(self) -> None:
        """Lay the database out in the home.

        :raises StackError: when that fails
        """
        log = self.home / "migrate.log"
        with log.open("wb") as output:
            done = subprocess.run(
                self._command("db", "migrate"),
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            raise StackError(f"airflow db migrate failed:\n{_tail(log)}")

    def _database(self, lock_seconds: int) -> str:
        return f"sqlite:///{self.home / 'airflow.db'}?timeout={lock_seconds}"

    def start_component(self, name: str, *, known_as: str | None = None) -> None:
        """Start one component, as after :meth:`kill_component`.

        :param known_as: its name for this class, when it is the second of its kind
        """
        known_as = known_as or name
        own = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._database(API_LOCK_SECONDS)} if name == "api-server" else {}
        with self.log_of(known_as).open("ab") as output:
            self._processes[known_as] = subprocess.Popen(
                self._command(*self.components[name]),
                env={**self._environment, **own},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.home,
                start_new_session=True,
            )

    def wait_until_healthy(self) -> None:
        """Wait until each component says that it is.

        :raises StackError: when one ends, or is not healthy after ``START_SECONDS``; with the end of its log
        """
        self.wait_for(self._is_healthy, "Airflow is healthy", seconds=START_SECONDS)

    def kill_component(self, name: str) -> None:
        """Kill a component and its children with SIGKILL, as a lost machine would."""
        process = self._processes.pop(name)
        _signal_group(process, signal.SIGKILL)
        process.wait()

    def signal_component(self, name: str, which: signal.Signals) -> None:
        """Send a signal to a component and its children, as SIGSTOP for a machine that stands still."""
        _signal_group(self._processes[name], which)

    def end_component(self, name: str, *, grace_seconds: float) -> None:
        """End a component as a deploy does: SIGTERM to its first process, SIGKILL to all after the grace period."""
        process = self._processes[name]
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace_seconds)
        self.kill_component(name)

    def ended(self) -> list[str]:
        """Name the components that have ended by themselves."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def stop(self) -> None:
        """End all components and their children; a second Ctrl-C meanwhile only makes it quicker."""
        try:
            for process in self._processes.values():
                if process.poll() is None:
                    process.terminate()
            until = time.monotonic() + STOP_SECONDS
            for process in self._processes.values():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.1, until - time.monotonic()))
        finally:
            for process in self._processes.values():
                _signal_group(process, signal.SIGKILL)
                process.wait()
            self._processes.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def log_of(self, name: str) -> Path:
        """Path of a component's own log."""
        return self.home / f"{name}.log"

    def command(self, *arguments: str) -> str:
        """Run an ``airflow`` command in this home and return what it prints.

        :raises StackError: when it fails
        """
        done = subprocess.run(
            self._command(*arguments), env=self._environment, cwd=self.home, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise StackError(f"airflow {' '.join(arguments)} failed:\n{done.stderr[-LOG_TAIL:]}")
        return done.stdout

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def _check_components(self) -> None:
        """Notice at once that a component has ended, rather than wait for what it will never do.

        :raises StackError: with the end of its log
        """
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise StackError(f"{name} ended with {process.returncode}:\n{_tail(self.log_of(name))}")

    def _is_healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as reply:  # noqa: S310 - our own loopback URL
                health = json.load(reply)
        except (OSError, ValueError):
            return False
        return all(health[name]["status"] == "healthy" for name in HEALTH_NAMES)

    # --- its REST API ---

    def sign_in(self, name: str) -> str:
        """Return a user's token, which is the cookie ``_token`` of the UI too."""
        body = json.dumps({"username": name, "password": self._password}).encode() if self._roles else None
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self.url}/auth/token", data=body, headers=headers)  # noqa: S310 - our own loopback URL
        with urlopen(request, timeout=30) as reply:  # noqa: S310 - our own loopback URL
            token: str = json.load(reply)["access_token"]
        return token

    def call(self, method: str, path: str, body: Any = None, *, missing: Any = ...) -> Any:
        """Call the REST API and return the JSON of its reply.

        :param missing: what to return for a 404, instead of an error
        :raises StackError: for any other status than a success
        """
        if self._token is None:
            self._token = self.sign_in("admin")
        request = Request(  # noqa: S310 - our own loopback URL
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        for attempt in range(1, CALL_TRIES + 1):
            try:
                with urlopen(request, timeout=60) as reply:  # noqa: S310 - our own loopback URL
                    raw = reply.read()
            except HTTPError as error:
                if error.code == 404 and missing is not ...:
                    return missing
                if error.code != 500 or attempt == CALL_TRIES:
                    raise StackError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error
            else:
                return json.loads(raw) if raw else None
            time.sleep(LOOK_SECONDS)
        raise AssertionError("the last try returns or raises")

    def wait_for(self, look: Callable[[], T], what: str, *, seconds: float = 300.0) -> T:
        """Look until there is something, and return it.

        :raises StackError: when there is nothing after ``seconds``, or a component has ended
        """
        until = time.monotonic() + seconds
        while not (found := look()):
            self._check_components()
            if time.monotonic() > until:
                raise StackError(f"waited {seconds:g} s in vain: {what}")
            time.sleep(LOOK_SECONDS)
        return found

    def start_run(self, dag_id: str, conf: Mapping[str, Any] | None = None, *, logical_date: str | None = None) -> str:
        """Start a DAG run once the DAG is known, and return its id.

        :param logical_date: ISO; a DAG that asks for ``ds`` needs one
        """
        self.unpause(dag_id)
        body = {"logical_date": logical_date, "conf": dict(conf or {})}
        run_id: str = self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]
        return run_id

    def unpause(self, dag_id: str) -> None:
        """Let a DAG run, once it is known."""
        self.wait_until_known(dag_id)
        self.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})

    def wait_until_known(self, dag_id: str) -> None:
        """Wait until Airflow has read a DAG.

        :raises StackError: when a DAG file cannot be imported
        """
        self.wait_for(lambda: self._is_known(dag_id), f"DAG {dag_id} is known")

    def _is_known(self, dag_id: str) -> bool:
        if self.call("GET", f"/api/v2/dags/{dag_id}", missing=None) is not None:
            return True
        errors = self.call("GET", "/api/v2/importErrors")["import_errors"]
        if errors:
            raise StackError(f"a DAG file cannot be imported:\n{errors[0]['stack_trace'][-LOG_TAIL:]}")
        return False

    def finish_run(self, dag_id: str, run_id: str, *, seconds: float = 300.0) -> str:
        """Wait until a DAG run is done and return its state."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        return self.wait_for(
            lambda: state if (state := self.call("GET", path)["state"]) in DONE else "",
            f"run {run_id} of {dag_id} is done",
            seconds=seconds,
        )

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        """Read a task instance."""
        found: dict[str, Any] = self.call("GET", _task_path(dag_id, run_id, task_id))
        return found

    def links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """Read a task instance's extra links, by name."""
        found: dict[str, str | None] = self.call("GET", f"{_task_path(dag_id, run_id, task_id)}/links")["extra_links"]
        return found

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        """Read an XCom; None when it is not there."""
        path = f"{_task_path(dag_id, run_id, task_id)}/xcomEntries/{key}"
        entry = self.call("GET", path, missing=None)
        value = None if entry is None else entry["value"]
        return json.loads(value) if isinstance(value, str) and key == "return_value" else value


def _task_path(dag_id: str, run_id: str, task_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"


def _inherited() -> dict[str, str]:
    """The environment without anything that would change this Airflow: a user's own settings stay outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    # Components start others by name.
    kept["PATH"] = str(Path(sys.executable).parent) + os.pathsep + kept.get("PATH", "")
    return kept


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _signal_group(process: subprocess.Popen[bytes], which: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, which)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:]
