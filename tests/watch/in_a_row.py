"""Short jobs in a row on a real Airflow with its default settings: ``python -m tests.watch.in_a_row --jobs 50``.

Each load waits for one job of 1 to 15 seconds: some end while the task itself looks, some in the triggerer, some just when
the task goes from the one to the other, where Airflow 3.3.2 can take the end of a task's first half for its failure
(apache/airflow#72716).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from starlette.responses import Response

from airflow_provider_sfbulk.demo.stack import AirflowStack
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault

SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 15.0

DEFAULTS = {
    "AIRFLOW__CORE__PARALLELISM": "32",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "300",
    "AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "False",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "5",
}
"""Airflow's own values of what ``AirflowStack`` sets otherwise to be quick."""


class Lengths(Fault):
    """Gives each job its length when it is closed, and sees when its end is first told."""

    def __init__(self, core: Core, lengths: list[float]) -> None:
        self._core = core
        self._left = lengths[::-1]
        self.ends: dict[str, tuple[float, float]] = {}
        """The job's seconds, and when it was over, by a monotonic clock."""
        self.told: dict[str, float] = {}

    async def before(self, exchange: Exchange) -> Response | None:
        job_id = exchange.path.rsplit("/", 1)[-1]
        if exchange.route == "ingest.change" and job_id not in self.ends:
            self._core.job_seconds = self._left.pop()
            self.ends[job_id] = (self._core.job_seconds, time.monotonic() + self._core.job_seconds)
        entry = self._core.jobs.get(job_id)
        if exchange.route == "ingest.get" and entry is not None and entry.job.state.is_final:
            entry.settle()  # the org shows each state for a look; what is measured here is not its
        return None

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if exchange.route == "ingest.get" and response.status_code == 200:
            told = json.loads(bytes(response.body))
            if told["state"] == State.JOB_COMPLETE:
                self.told.setdefault(told["id"], time.monotonic())
        return response


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.watch.in_a_row", description=__doc__)
    options.add_argument("--jobs", type=int, default=50)
    count = options.parse_args().jobs
    lengths = [SHORTEST_SECONDS + (LONGEST_SECONDS - SHORTEST_SECONDS) * n / max(1, count - 1) for n in range(count)]
    random.Random(count).shuffle(lengths)
    with tempfile.TemporaryDirectory() as folder, LocalOrg() as org:
        fault = Lengths(org.core, lengths)
        org.core.faults.add("ingest.*", fault)
        environment = {
            **DEFAULTS,
            "IN_A_ROW": str(count),
            "AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection,
        }
        with AirflowStack(Path(folder), Path(__file__).parent / "dags", environment) as stack:
            run = stack.start_run("in_a_row")
            began = time.monotonic()
            state = stack.finish_run("in_a_row", run, seconds=60.0 * count)
            took = time.monotonic() - began
            path = f"/api/v2/dags/in_a_row/dagRuns/{run}/taskInstances"
            tasks = stack.call("GET", f"{path}?limit=1000")["task_instances"]
            tries = Counter(task["try_number"] for task in tasks)
            waits = Counter(
                "triggerer" if "as DEFERRED" in _log(stack, run, task["task_id"]) else "task" for task in tasks
            )
        names = Counter(record["Name"] for record in org.records("Account"))
        jobs = len(org.jobs)
    late = {job_id: fault.told[job_id] - fault.ends[job_id][1] for job_id in fault.told}
    short = sorted(late[job_id] for job_id in late if fault.ends[job_id][0] <= 3.0)
    every = sorted(late.values())
    rows = sum(name.startswith("Load ") for name in names.elements())
    print(
        f"jobs                     {jobs} of {min(lengths):.0f} to {max(lengths):.0f} s in {took:.0f} s; run: {state}"
    )
    print(f"tasks                    {dict(Counter(task['state'] for task in tasks))}, by tries {dict(tries)}")
    print(f"waited in                {dict(waits)}")
    print(f"rows                     {rows} of {3 * count}, the most frequent {max(names.values())} times")
    print(f"end noticed after        median {every[len(every) // 2]:.1f} s, worst {every[-1]:.1f} s")
    print(f"of jobs of 3 s or less   worst {short[-1]:.1f} s, {len(short)} jobs")
    good = state == "success" and tries == {1: count} and jobs == count == len(late)
    return 0 if good and rows == 3 * count and set(names.values()) == {1} else 1


def _log(stack: AirflowStack, run: str, task_id: str) -> str:
    lines = stack.call("GET", f"/api/v2/dags/in_a_row/dagRuns/{run}/taskInstances/{task_id}/logs/1")["content"]
    return json.dumps(lines)


if __name__ == "__main__":
    sys.exit(main())
