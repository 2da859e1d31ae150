"""``python -m benchmarks.mapped``: many small loads in a real Airflow, each a mapped task of a hundred rows.

The local org takes two seconds for a job. Three DAGs run one after the other, each with as many mapped tasks, in the same
Airflow: our operator, deferred while Salesforce works; the same without deferring; and a bare script that signs in,
creates, uploads, closes and looks twice a second, with no guarantee. A task's seconds are Airflow's own: from the start of
its first process, which imports what it needs, to its end; a deferred one has two processes and a wait for the triggerer.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from airflow_provider_sfbulk.demo.stack import AirflowStack
from airflow_provider_sfbulk.local_org import LocalOrg

JOB_SECONDS: Final = 2.0
ROWS: Final = 100
PATIENCE_SECONDS: Final = 3600.0
PAGE: Final = 100
"""Task instances that Airflow's REST API lists at a time."""

_ID: Final = re.compile(r"(?<=/)750\w+|\?.*")

DAG_FILE: Final = """
from airflow.sdk import DAG, task
from airflow_provider_sfbulk import BulkIngestOperator


def source(number):
    return [{{"LastName": f"Mapped {{number}} {{row}}"}} for row in range({rows})]


for way in ("deferred", "waiting"):
    with DAG(way, schedule=None):
        sources = task(lambda: [source(number) for number in range({tasks})])
        BulkIngestOperator.partial(
            task_id="load", sobject="Contact", operation="insert", deferrable=way == "deferred"
        ).expand(source=sources.override(task_id="sources")())

with DAG("bare", schedule=None):

    @task
    def load(number):
        import time

        import requests

        session = requests.Session()
        app = {{"grant_type": "client_credentials", "client_id": "{client_id}", "client_secret": "{client_secret}"}}
        token = session.post("{url}/services/oauth2/token", data=app).json()["access_token"]
        session.headers["Authorization"] = f"Bearer {{token}}"
        jobs = "{url}/services/data/v66.0/jobs/ingest"
        job = session.post(jobs, json={{"object": "Contact", "operation": "insert", "contentType": "CSV"}}).json()["id"]
        rows = "\\n".join(["LastName", *(row["LastName"] for row in source(number))])
        session.put(f"{{jobs}}/{{job}}/batches", data=rows, headers={{"Content-Type": "text/csv"}}).raise_for_status()
        session.patch(f"{{jobs}}/{{job}}", json={{"state": "UploadComplete"}}).raise_for_status()
        while (end := session.get(f"{{jobs}}/{{job}}").json())["state"] not in ("JobComplete", "Failed", "Aborted"):
            time.sleep(0.5)
        assert (end["state"], end["numberRecordsFailed"]) == ("JobComplete", 0)

    load.expand(number=list(range({tasks})))
"""


@dataclass
class Run:
    """One DAG's run.

    :ivar seconds: from its start to its end
    :ivar tasks: of each mapped task, in order
    :ivar calls: that the org has answered, by method and path
    """

    seconds: float
    tasks: list[float]
    calls: Counter[str]


def main() -> None:
    """Run all three, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mapped", description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--parallel", type=int, default=8, help="tasks that Airflow runs at a time")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, LocalOrg(job_seconds=JOB_SECONDS) as org:
        dags = Path(folder, "dags")
        dags.mkdir()
        app = {"url": org.url, "client_id": org.client_id, "client_secret": org.client_secret}
        (dags / "mapped.py").write_text(DAG_FILE.format(tasks=chosen.tasks, rows=ROWS, **app), encoding="utf-8")
        environment = {
            "AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT": org.connection,
            "AIRFLOW__CORE__PARALLELISM": str(chosen.parallel),
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(chosen.parallel),
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        }
        with AirflowStack(Path(folder, "home"), dags, environment) as stack:
            print("| | seconds of the run | of a task: median | worst | API calls a load |")
            print("| --- | ---: | ---: | ---: | ---: |")
            for way in ("bare", "waiting", "deferred"):
                done = run(stack, org, way, chosen.tasks)
                calls = sum(done.calls.values()) / chosen.tasks
                print(
                    f"| {way} | {done.seconds:.0f} | {median(done.tasks):.1f} | {max(done.tasks):.1f} | {calls:.1f} |",
                    flush=True,
                )
    print("\nCalls:", ", ".join(f"{call} {count}" for call, count in done.calls.most_common()))


def run(stack: AirflowStack, org: LocalOrg, dag_id: str, tasks_made: int) -> Run:
    """Run a DAG to its end."""
    before = len(org.records("Contact"))
    org.clear_calls()
    run_id = stack.start_run(dag_id)
    state = stack.finish_run(dag_id, run_id, seconds=PATIENCE_SECONDS)
    assert state == "success", f"{dag_id} ended {state}"
    run_path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
    found: dict[str, Any] = stack.call("GET", run_path)
    tasks = [
        each
        for index in range(0, tasks_made, PAGE)
        for each in stack.call("GET", f"{run_path}/taskInstances/load/listMapped?limit={PAGE}&offset={index}")[
            "task_instances"
        ]
    ]
    assert len(org.records("Contact")) - before == ROWS * tasks_made
    return Run(
        _seconds(found),
        [_seconds(each) for each in tasks],
        Counter(f"{call.method} {_ID.sub('…', call.path)}" for call in org.calls),
    )


def _seconds(of: dict[str, Any]) -> float:
    start, end = (datetime.fromisoformat(of[name]) for name in ("start_date", "end_date"))
    return (end - start).total_seconds()


if __name__ == "__main__":
    main()
