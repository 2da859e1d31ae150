"""One disturbed run each: its rows, its jobs, its processes, and what a test can do to them."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import threading
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.responses import Response

from airflow_provider_sfbulk.local_org.bulk2.jobs import Job, State
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from tests.airflow.conftest import Stage

ROWS = 40


@dataclass
class Held:
    """A run of a DAG with one task, whose rows bear its name."""

    stage: Stage
    name: str
    dag_id: str
    task_id: str = "load"

    @cached_property
    def run_id(self) -> str:
        """The run; made when it is first asked for."""
        body = {"logical_date": None, "conf": self._conf()}
        run_id: str = self.stage.stack.call("POST", f"/api/v2/dags/{self.dag_id}/dagRuns", body)["dag_run_id"]
        return run_id

    def _conf(self) -> dict[str, str]:
        source = self.stage.lake / "held" / f"{self.name}.csv"
        source.parent.mkdir(parents=True, exist_ok=True)
        with source.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([["Name"], *([each] for each in self.names)])
        return {"source": str(source), "results": str(self.folder)}

    @property
    def folder(self) -> Path:
        """Where its files go."""
        return self.stage.lake / "held" / self.name

    @property
    def names(self) -> list[str]:
        """What the load is to bring into the org, once each."""
        return [f"Held by the {self.name} {number:03}" for number in range(ROWS)]

    # --- in Airflow ---

    @property
    def task(self) -> dict[str, Any]:
        """The task instance as it is."""
        return self.stage.stack.task(self.dag_id, self.run_id, self.task_id)

    @property
    def tries(self) -> list[str]:
        """The states in which its tries ended, oldest first."""
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task_id}/tries"
        found = self.stage.stack.call("GET", path)["task_instances"]
        return [each["state"] for each in sorted(found, key=lambda each: each["try_number"])]

    def is_at(self, state: str, *, try_number: int) -> bool:
        """Whether a try is in a state."""
        task = self.task
        return (task["state"], task["try_number"]) == (state, try_number)

    def mark(self, state: str) -> None:
        """Do as a person does who clicks "mark as failed", say."""
        path = f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task_id}"
        self.stage.stack.call("PATCH", path, {"new_state": state})

    def mark_run(self, state: str) -> None:
        """Do as a person does who marks the whole run."""
        self.stage.stack.call("PATCH", f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}", {"state": state})

    @property
    def triggerer_id(self) -> int | None:
        """The triggerer that waits for it."""
        found: int | None = (self.task["trigger"] or {}).get("triggerer_id")
        return found

    def clear(self) -> None:
        """Do as a person does who clicks "clear"."""
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": [self.task_id], "only_failed": False}
        self.stage.stack.call("POST", f"/api/v2/dags/{self.dag_id}/clearTaskInstances", body)

    def finish(self) -> str:
        """Wait for the end of the run and give its state."""
        return self.stage.stack.finish_run(self.dag_id, self.run_id, seconds=120)

    # --- in the org ---

    @property
    def jobs(self) -> list[Job]:
        """The org's jobs whose upload has the load's rows: all it ever made."""
        marker = f"Held by the {self.name} ".encode()
        jobs = self.stage.org.core.jobs
        uploads = [(entry.job, jobs.upload_path(entry.job)) for entry in jobs]
        return [job for job, path in uploads if path.is_file() and marker in path.read_bytes()]

    @property
    def job_states(self) -> list[State]:
        """Their states, oldest job first."""
        return [job.state for job in self.jobs]

    @property
    def stored(self) -> list[str]:
        """The rows of the load that the org has, each as often as it is there."""
        names = (record["Name"] for record in self.stage.org.records("Account"))
        return sorted(name for name in names if name.startswith(f"Held by the {self.name} "))

    @property
    def looks(self) -> int:
        """How often its jobs have been asked for."""
        ids = tuple(job.id for job in self.jobs)
        return sum(call.method == "GET" and call.path.endswith(ids) for call in self.stage.org.calls) if ids else 0

    # --- in files ---

    @property
    def reported(self) -> list[str]:
        """The rows in the file of the successful ones, as its result names it, each as often as it is there."""
        results = self.stage.stack.xcom(self.dag_id, self.run_id, self.task_id)["results"]
        assert not results["failed"]
        assert not results["unprocessed"]
        return sorted(name for uri in results["successful"] for name in names_in(Path(uri)))

    @property
    def written(self) -> dict[str, tuple[int, int]]:
        """When each file of its folder was written, in nanoseconds, and which file it is."""
        return {path.name: ((stat := path.stat()).st_mtime_ns, stat.st_ino) for path in self.folder.iterdir()}

    # --- its processes ---

    @property
    def processes(self) -> tuple[int, int]:
        """The task's process and its supervisor."""
        pid = self.task["pid"]
        return pid, _parent(pid)


class HeldExtract(Held):
    """The same of an extract."""

    def _conf(self) -> dict[str, str]:
        return {"output": str(self.folder)}

    @property
    def jobs(self) -> list[Job]:
        """Its query jobs: all it ever made."""
        return [job for job in self.stage.org.jobs if f"Held by the {self.name} " in (job.query or "")]

    @property
    def unfinished(self) -> list[Path]:
        """The finished pages of an extract that is not: under names that readers skip."""
        return list(self.folder.glob("_part-*"))

    @property
    def extracted(self) -> list[str]:
        """The names in all CSV files of its folder, each as often as it is there."""
        return sorted(name for path in self.folder.glob("*.csv") for name in names_in(path))


def names_in(path: Path) -> list[str]:
    """Read the names in a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row["Name"] for row in csv.DictReader(file)]


def send(which: signal.Signals, *pids: int) -> None:
    """Signal processes that this one has started, over any number of others; no others."""
    for pid in pids:
        above = pid
        while above != os.getpid():
            assert above > 1, f"process {pid} is none of ours"
            above = _parent(above)
    for pid in pids:
        os.kill(pid, which)


def is_gone(pid: int) -> bool:
    """Whether a process has ended and its parent knows."""
    return not Path(f"/proc/{pid}").exists()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


class Withheld(Fault):
    """The answer to one call about a run's jobs that does not come until it is let go.

    :param number: which one of the calls that the fault is asked about, from 1
    """

    def __init__(self, held: Held, *, number: int = 1) -> None:
        self._held = held
        self._left = number
        self.is_awaited = threading.Event()
        self.let_go = threading.Event()

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if any(job.id in exchange.path for job in self._held.jobs):
            self._left -= 1
            if self._left == 0:
                self.is_awaited.set()
                await asyncio.to_thread(self.let_go.wait)
        return response


class StillAtWork(Fault):
    """Loads whose jobs look as if at work, whatever they are, until they are let go."""

    def __init__(self, *loads: Held) -> None:
        self._loads = loads
        self.let_go = threading.Event()

    async def after(self, exchange: Exchange, response: Response) -> Response:
        held = (job.id in exchange.path for load in self._loads for job in load.jobs)
        if self.let_go.is_set() or response.status_code != 200 or not any(held):
            return response
        told = json.loads(bytes(response.body))
        told.update(state=str(State.IN_PROGRESS), numberRecordsProcessed=0, numberRecordsFailed=0)
        return Response(json.dumps(told), media_type="application/json")
