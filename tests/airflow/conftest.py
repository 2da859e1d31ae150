"""One real Airflow and one local org for all tests of this folder.

Jobs of the org take longer than any test, by the org's clock, until a test lets them end: so what a test wants to see of a
wait is there to be seen, however slow the machine is.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from airflow_provider_sfbulk.demo.airports import SCHEMA
from airflow_provider_sfbulk.demo.samples import write_samples
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.airflow.warm.stack import WarmStack

ROOT = Path(__file__).resolve().parents[2]
HELD_SECONDS = 3600.0
IS_SEARCHED = os.environ.get("SFBULK_CANARIES") == "1"
"""Whether this run searches for canaries (``make canaries``): with logs at DEBUG everything takes longer."""

ROLES = {"admin": "admin", "olga": "op", "uma": "user", "vera": "viewer", "ned": ""}
"""Users by name. Ned may do nothing."""


class Metrics:
    """A StatsD server on loopback that keeps what it gets."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._packets: list[bytes] = []
        self._reader = Thread(target=self._read, name="statsd", daemon=True)

    def _read(self) -> None:
        while packet := self._socket.recv(65535):
            self._packets.append(packet)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def packets(self) -> list[bytes]:
        """Give what has come so far."""
        return list(self._packets)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._reader.join()
        self._socket.close()


@dataclass
class Stage:
    """What the tests play on.

    :ivar lake: folder for inputs and outputs, outside Airflow's home
    :ivar events: where OpenLineage writes those of the tasks that are enabled for it
    :ivar metrics: what Airflow has sent to StatsD
    """

    stack: WarmStack
    org: LocalOrg
    lake: Path
    events: Path
    metrics: Metrics

    def hold_jobs(self) -> None:
        """Jobs from now on stay at work until :meth:`let_jobs_end`."""
        self.org.core.job_seconds = HELD_SECONDS

    def hurry_jobs(self) -> None:
        """Jobs from now on take no time."""
        self.org.core.job_seconds = 0.0

    def let_jobs_end(self) -> None:
        """Let every job that is at work end."""
        self.org.advance(HELD_SECONDS + 1)

    def wait_for_state(self, dag_id: str, run_id: str, task_id: str, state: str, *, seconds: float = 300.0) -> Any:
        """Wait until a task instance is in a state, and return it."""
        return self.stack.wait_for(
            lambda: task if (task := self.stack.task(dag_id, run_id, task_id))["state"] == state else None,
            f"{dag_id}.{task_id} is {state}",
            seconds=seconds,
        )


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> Iterator[Stage]:
    """Start a local org and Airflow. They end with the last test of this folder: at rest, too, Airflow takes its time."""
    with set_up(tmp_path_factory.mktemp("airflow"), airflow_database) as stage:
        yield stage


@contextmanager
def set_up(home: Path, database: Path, **settings: str) -> Iterator[Stage]:
    """Start a local org and Airflow with the example DAGs and those of this folder.

    :param database: empty one of Airflow
    :param settings: further environment variables of Airflow
    """
    dags = home / "dags"
    for folder in (ROOT / "example_dags", Path(__file__).parent / "dags"):
        shutil.copytree(folder, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    start_by_hand(dags / "incremental_accounts.py")
    write_samples(home / "lake")
    events = home / "events" / "lineage"
    events.parent.mkdir()
    with LocalOrg(schema=SCHEMA, job_seconds=HELD_SECONDS) as org, Metrics() as metrics:
        environment = {
            "AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection,
            "AIRFLOW_VAR_LAKE": str(home / "lake"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(events), "append": True}
            ),
            "AIRFLOW__OPENLINEAGE__SELECTIVE_ENABLE": "True",
            **(_searched(metrics) if IS_SEARCHED else {}),
            # How long a lost triggerer's waits lie unattended: 30 s by default, which is 30 s of every run of these tests.
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "12",
            # How long a try may be silent before it counts as lost: 300 s by default. It sends a sign of life each second.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            # A dozen tasks start at once, and the API server builds itself in its first call: a call that takes longer than
            # this is sent again although it is done, which ends the try. 5 s by default.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            # Every disturbed load takes one for its wait, a frozen one for good.
            "AIRFLOW__CORE__PARALLELISM": "14",
            # It turns five times a second in the demo, which takes a tenth of a core.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
            # The DAG files stay as they are: reading them again and again takes what the tasks could use.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            **settings,
        }
        with WarmStack(home / "home", dags, environment, database=database, roles=ROLES) as stack:
            yield Stage(stack, org, home / "lake", events, metrics)


def _searched(metrics: Metrics) -> dict[str, str]:
    """Let Airflow say everything, so that the canaries are searched for where they would be."""
    return {
        # How long a task waits for its event to be written: 10 s by default, which a busy machine does not keep to.
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "60",
        "AIRFLOW__METRICS__STATSD_ON": "True",
        "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
        "AIRFLOW__METRICS__STATSD_PORT": str(metrics.port),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    }


def start_by_hand(dag: Path) -> None:
    """Take a DAG file's schedule away: when it runs, and how often, is a test's to say, whatever the clock shows."""
    code = dag.read_text(encoding="utf-8")
    assert code.count('schedule="@hourly"') == 1
    dag.write_text(code.replace('schedule="@hourly"', "schedule=None"), encoding="utf-8")
