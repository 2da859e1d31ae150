"""A wait that a person, a lost triggerer or a lost worker process ends: what becomes of the job and of the rows."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pytest

from airflow_provider_sfbulk.local_org.jobs import State
from tests.airflow.conftest import Stage

pytestmark = pytest.mark.xdist_group("airflow")

ROWS = 40


def test_a_person_s_mark_aborts_the_job(stage: Stage) -> None:
    stage.hold_jobs()
    before = len(stage.org.jobs)
    run_id = _start(stage, "held_in_triggerer", "marked")
    stage.wait_for_state("held_in_triggerer", run_id, "load", "deferred")
    (job,) = stage.org.jobs[before:]
    assert not job.state.is_final
    path = f"/api/v2/dags/held_in_triggerer/dagRuns/{run_id}/taskInstances/load"
    stage.stack.call("PATCH", path, {"new_state": "failed"})
    stage.stack.wait_for(lambda: stage.org.jobs[before].state is State.ABORTED, "the job is aborted", seconds=30)
    assert stage.stack.task("held_in_triggerer", run_id, "load")["state"] == "failed"
    assert _stored(stage, "marked") == []


def test_a_lost_triggerer_costs_nothing(stage: Stage) -> None:
    stage.hold_jobs()
    before = len(stage.org.jobs)
    run_id = _start(stage, "held_in_triggerer", "triggerer")
    # Not only deferred: a triggerer has taken it, so there is something to lose.
    stage.stack.wait_for(
        lambda: (
            (stage.stack.task("held_in_triggerer", run_id, "load")["trigger"] or {}).get("triggerer_id") is not None
        ),
        "a triggerer waits for the job",
    )
    stage.stack.kill_component("triggerer")
    (job,) = stage.org.jobs[before:]
    assert not job.state.is_final
    stage.let_jobs_end()
    stage.stack.start_component("triggerer")
    assert stage.stack.finish_run("held_in_triggerer", run_id, seconds=120) == "success"
    assert stage.stack.task("held_in_triggerer", run_id, "load")["try_number"] == 1
    assert len(stage.org.jobs) == before + 1
    assert _stored(stage, "triggerer") == _names("triggerer")


def test_the_retry_of_a_killed_process_adopts_the_job(stage: Stage) -> None:
    stage.hold_jobs()
    before = len(stage.org.jobs)
    run_id = _start(stage, "held_on_worker", "worker")
    stage.stack.wait_for(
        lambda: _polls(stage, before) >= 2,
        "the worker waits for the job",
    )
    pid = stage.stack.task("held_on_worker", run_id, "load")["pid"]
    assert _is_below(pid, os.getpid())
    os.kill(pid, signal.SIGKILL)
    stage.stack.wait_for(
        lambda: stage.stack.task("held_on_worker", run_id, "load")["try_number"] == 2, "the second try", seconds=60
    )
    stage.wait_for_state("held_on_worker", run_id, "load", "running")
    stage.let_jobs_end()
    assert stage.stack.finish_run("held_on_worker", run_id) == "success"
    assert len(stage.org.jobs) == before + 1
    assert _stored(stage, "worker") == _names("worker")


def _start(stage: Stage, dag_id: str, name: str) -> str:
    """Start a load of rows that bear the name."""
    path = stage.files / "held" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["Name"], *([each] for each in _names(name))])
    return stage.stack.start_run(dag_id, {"source": str(path)})


def _names(name: str) -> list[str]:
    return [f"Held by the {name} {number:03}" for number in range(ROWS)]


def _stored(stage: Stage, name: str) -> list[str]:
    """Give the rows of a load that the org has, each as often as it is there."""
    return sorted(
        record["Name"] for record in stage.org.records("Account") if record["Name"].startswith(f"Held by the {name} ")
    )


def _polls(stage: Stage, before: int) -> int:
    """How often the one job since ``before`` has been asked for."""
    jobs = stage.org.jobs[before:]
    return sum(call.method == "GET" and call.path.endswith(f"/{jobs[0].id}") for call in stage.org.calls) if jobs else 0


def _is_below(pid: int, ancestor: int) -> bool:
    """Whether a process is one that this one started, over any number of others: only such a one may be killed."""
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid == ancestor:
            return True
    return False
