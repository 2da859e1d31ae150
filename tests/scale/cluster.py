"""A real Airflow of several machines: CeleryExecutor, workers, two triggerers, PostgreSQL."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk.demo.stack import COMPONENTS, AirflowStack
from tests.scale.services import HOST, USER

TRIGGERERS: Final = ("triggerer-1", "triggerer-2")
WORKER_SLOTS: Final = 4

HEARTBEAT_SECONDS: Final = 20
"""How long a try, or a triggerer, may be silent before it counts as lost. Airflow's defaults are 300 and 30 s."""


class Cluster(AirflowStack):
    """An :class:`AirflowStack` whose components could each run on a machine of its own.

    :param postgresql: port of the database
    :param redis: port of the broker
    :param workers: how many
    """

    def __init__(
        self, home: Path, dags: Path, environment: Mapping[str, str], *, postgresql: int, redis: int, workers: int
    ) -> None:
        self._postgresql = f"{USER}@{HOST}:{postgresql}/{USER}"
        self.workers = tuple(f"worker-{number + 1}" for number in range(workers))
        self.components = {name: COMPONENTS[name] for name in ("api-server", "scheduler", "dag-processor")}
        self.components |= dict.fromkeys(TRIGGERERS, COMPONENTS["triggerer"])
        self.components |= {name: self._worker(home, name) for name in self.workers}
        super().__init__(
            home,
            dags,
            {
                "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
                "AIRFLOW__CORE__PARALLELISM": "64",
                "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "64",
                "AIRFLOW__CELERY__BROKER_URL": f"redis://{HOST}:{redis}/0",
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{self._postgresql}",
                "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
                # A task of a killed worker fails by its heartbeat, and Airflow retries it; one that never started is
                # put into the queue again after this.
                "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
                "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_SECONDS),
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
                "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
                "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(HEARTBEAT_SECONDS),
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
                **environment,
            },
        )

    @staticmethod
    def _worker(home: Path, name: str) -> tuple[str, ...]:
        options = ("--skip-serve-logs", "--concurrency", str(WORKER_SLOTS), "--celery-hostname", name)
        return ("celery", "worker", *options, "--pid", str(home / f"{name}.pid"))

    def _database(self, lock_seconds: int) -> str:
        return f"postgresql+psycopg2://{self._postgresql}"

    def _check_components(self) -> None:
        """Start again what has ended, as systemd and Kubernetes do: without its database Airflow's scheduler ends."""
        for name in self.ended():
            self.restart(name)

    def pids(self, names: Iterable[str]) -> list[int]:
        """Name the first processes of those components that run."""
        return [self._processes[name].pid for name in names if name in self._processes]

    def script(self, name: str, *arguments: str, given: str) -> None:
        """Run a Python file of this folder with this Airflow's settings.

        :param given: its standard input
        """
        command = [sys.executable, str(Path(__file__).with_name(name)), *arguments]
        subprocess.run(command, env=self._environment, cwd=self.home, input=given, text=True, check=True)

    def restart(self, name: str) -> None:
        """Start a component again after its end."""
        (self.home / f"{name}.pid").unlink(missing_ok=True)
        self.start_component(name)
