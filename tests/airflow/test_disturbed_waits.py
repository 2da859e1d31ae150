"""A wait that a person, a lost triggerer or a lost worker process ends: what becomes of the job and of the rows."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pytest

from airflow_provider_sfbulk.local_org.jobs import Job, State
from tests.airflow.conftest import Stage

ROWS = 40
DAGS = {"marked": "held_in_triggerer", "triggerer": "held_in_triggerer", "worker": "held_on_worker"}
"""Loads by what disturbs them, each with rows of its own."""


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[str, str]:
    """Start the loads side by side, disturb each in its wait, and let them end. Gives their run ids."""
    stage.hold_jobs()
    runs = {name: _start(stage, name) for name in DAGS}
    # Not only deferred: a triggerer has taken them, so there is a wait to disturb.
    for name in ("marked", "triggerer"):
        stage.stack.wait_for(
            lambda name=name: (
                (stage.stack.task(DAGS[name], runs[name], "load")["trigger"] or {}).get("triggerer_id") is not None
            ),
            f"the triggerer waits for the load {name}",
        )
    stage.stack.wait_for(lambda: _looks(stage, "worker") >= 2, "the worker waits for its job")
    assert not any(job.state.is_final for name in DAGS for job in _jobs(stage, name))

    path = f"/api/v2/dags/{DAGS['marked']}/dagRuns/{runs['marked']}/taskInstances/load"
    stage.stack.call("PATCH", path, {"new_state": "failed"})
    stage.stack.wait_for(
        lambda: _jobs(stage, "marked")[0].state is State.ABORTED, "the marked load's job is aborted", seconds=30
    )
    stage.stack.kill_component("triggerer")
    pid = stage.stack.task(DAGS["worker"], runs["worker"], "load")["pid"]
    assert _is_below(pid, os.getpid())
    os.kill(pid, signal.SIGKILL)
    stage.stack.wait_for(
        lambda: (
            (task := stage.stack.task(DAGS["worker"], runs["worker"], "load"))["try_number"] == 2
            and task["state"] == "running"
        ),
        "the killed load's second try",
    )
    stage.let_jobs_end()
    stage.stack.start_component("triggerer")
    return runs


def test_a_person_s_mark_aborts_the_job(stage: Stage, runs: dict[str, str]) -> None:
    assert stage.stack.task(DAGS["marked"], runs["marked"], "load")["state"] == "failed"
    assert [job.state for job in _jobs(stage, "marked")] == [State.ABORTED]
    assert _stored(stage, "marked") == []


def test_a_lost_triggerer_costs_nothing(stage: Stage, runs: dict[str, str]) -> None:
    assert stage.stack.finish_run(DAGS["triggerer"], runs["triggerer"], seconds=120) == "success"
    assert stage.stack.task(DAGS["triggerer"], runs["triggerer"], "load")["try_number"] == 1
    assert [job.state for job in _jobs(stage, "triggerer")] == [State.JOB_COMPLETE]
    assert _stored(stage, "triggerer") == _names("triggerer")


def test_the_retry_of_a_killed_process_adopts_the_job(stage: Stage, runs: dict[str, str]) -> None:
    assert stage.stack.finish_run(DAGS["worker"], runs["worker"], seconds=120) == "success"
    assert stage.stack.task(DAGS["worker"], runs["worker"], "load")["try_number"] == 2
    assert [job.state for job in _jobs(stage, "worker")] == [State.JOB_COMPLETE]
    assert _stored(stage, "worker") == _names("worker")


def _start(stage: Stage, name: str) -> str:
    """Start a load of rows that bear the name."""
    path = stage.lake / "held" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["Name"], *([each] for each in _names(name))])
    return stage.stack.start_run(DAGS[name], {"source": str(path)})


def _names(name: str) -> list[str]:
    return [f"Held by the {name} {number:03}" for number in range(ROWS)]


def _stored(stage: Stage, name: str) -> list[str]:
    """Give the rows of a load that the org has, each as often as it is there."""
    return sorted(
        record["Name"] for record in stage.org.records("Account") if record["Name"].startswith(f"Held by the {name} ")
    )


def _jobs(stage: Stage, name: str) -> list[Job]:
    """Give the org's jobs whose upload has the load's rows: all it ever made."""
    marker = f"Held by the {name} ".encode()
    jobs = stage.org.core.jobs
    uploads = [(entry.job, jobs.upload_path(entry.job)) for entry in jobs]
    return [job for job, path in uploads if path.is_file() and marker in path.read_bytes()]


def _looks(stage: Stage, name: str) -> int:
    """How often the jobs of a load have been asked for."""
    ids = tuple(job.id for job in _jobs(stage, name))
    return sum(call.method == "GET" and call.path.endswith(ids) for call in stage.org.calls) if ids else 0


def _is_below(pid: int, ancestor: int) -> bool:
    """Whether a process is one that this one started, over any number of others: only such a one may be killed."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid == ancestor:
            return True
    return False
