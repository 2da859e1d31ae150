"""An Airflow with ``[state_store] clear_on_success``, which forgets what a task has stored as soon as it has succeeded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from tests.airflow.conftest import Stage, set_up
from tests.airflow.disturbed.held import Held, send

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> Iterator[Stage]:
    """Start such an Airflow."""
    home = tmp_path_factory.mktemp("forgetful")
    with set_up(home, airflow_database, AIRFLOW__STATE_STORE__CLEAR_ON_SUCCESS="True") as stage:
        yield stage


def stored_by(load: Held) -> list[str]:
    path = f"/api/v2/dags/{load.dag_id}/dagRuns/{load.run_id}/taskInstances/{load.task_id}/state-store"
    found = load.stage.stack.call("GET", path)["task_state_store"]
    return [each["key"] for each in found if each["key"].startswith("sfbulk.")]


def test_a_load_is_remembered_until_airflow_takes_its_success_and_a_clear_after_that_loads_anew(
    forgetful: Stage,
) -> None:
    stack = forgetful.stack
    forgetful.hold_jobs()
    load = Held(forgetful, "forgotten", "edited_retries")
    stack.wait_until_known(load.dag_id)
    stack.unpause(load.dag_id)
    assert load.run_id
    stack.wait_for(lambda: load.looks >= 2, "the load waits for its job")
    send(signal.SIGKILL, load.processes[0])
    assert load.finish() == "failed"  # it has no retries
    assert stored_by(load) != []
    load.clear()
    stack.wait_for(lambda: load.is_at("running", try_number=2), "the cleared load goes on")
    forgetful.let_jobs_end()
    assert load.finish() == "success"
    assert load.stored == load.reported == load.names
    assert (len(load.jobs), stored_by(load)) == (1, [])
    forgetful.hurry_jobs()
    load.clear()
    stack.wait_for(lambda: load.is_at("success", try_number=3), "the load that was cleared after its success ends")
    assert load.stored == sorted(load.names * 2)  # an insert, asked to run again, inserts again
    assert load.job_states == [State.JOB_COMPLETE] * 2


def test_a_cleared_run_of_an_incremental_extract_reads_its_own_window_again(forgetful: Stage) -> None:
    stack, dag_id = forgetful.stack, "incremental_accounts"
    forgetful.hurry_jobs()
    run_ids = []
    for _ in range(2):
        forgetful.org.advance(600)  # beyond the lag
        run_ids.append(stack.start_run(dag_id))
        assert stack.finish_run(dag_id, run_ids[-1]) == "success"
    first, second = (stack.xcom(dag_id, run_id, "extract")["window"] for run_id in run_ids)
    body = {"dry_run": False, "dag_run_id": run_ids[0], "task_ids": ["extract"], "only_failed": False}
    stack.call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", body)
    stack.wait_for(
        lambda: (task := stack.task(dag_id, run_ids[0], "extract"))["state"] == "success" and task["try_number"] == 2,
        "the cleared extract ends",
    )
    assert stack.xcom(dag_id, run_ids[0], "extract")["window"] == first
    run_ids.append(stack.start_run(dag_id))
    assert stack.finish_run(dag_id, run_ids[-1]) == "success"
    third = stack.xcom(dag_id, run_ids[-1], "extract")["window"]
    assert [first["until"], second["until"]] == [second["since"], third["since"]], "the clear moved no watermark"
