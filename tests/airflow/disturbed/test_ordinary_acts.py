"""What people do every day, on a real Airflow: no row is doubled, none is lost, and nothing is silently not loaded."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from tests.airflow.conftest import Stage
from tests.airflow.disturbed.held import Held, names_in

pytestmark = pytest.mark.long


@dataclass
class Pattern(Held):
    """A load of all files under a pattern."""

    def _conf(self) -> dict[str, str]:
        given = super()._conf()
        return {**given, "source": given["source"].replace(".csv", "*.csv")}


@pytest.fixture
def quick(stage: Stage) -> Iterator[Stage]:
    """Jobs that take no time."""
    stage.hurry_jobs()
    yield stage
    stage.hold_jobs()


def begun(load: Held) -> Held:
    load.stage.stack.wait_until_known(load.dag_id)
    load.stage.stack.unpause(load.dag_id)
    assert load.run_id
    return load


def test_a_load_that_airflow_does_not_know_to_be_done_is_not_loaded_again_by_a_clear(quick: Stage) -> None:
    load = begun(Held(quick, "killed_when_done", "killed_at_the_end"))
    assert load.finish() == "failed"
    assert load.stored == load.names
    load.clear()
    quick.stack.wait_for(lambda: load.is_at("success", try_number=2), "the cleared load ends")
    assert load.stored == load.reported == load.names
    assert len(load.jobs) == 1


def test_a_clear_after_a_success_loads_anew_whatever_became_of_the_retries(quick: Stage) -> None:
    """``retries=1`` at first, none when it is cleared: the numbers look like those of a retry."""
    retries = quick.lake.parent / "dags" / "retries.txt"
    retries.write_text("1")
    reread(quick, "edited_retries")
    load = begun(Held(quick, "edited", "edited_retries"))
    assert load.finish() == "success"
    retries.write_text("0")
    reread(quick, "edited_retries")
    load.clear()
    quick.stack.wait_for(lambda: load.is_at("success", try_number=2), "the cleared load ends")
    assert load.stored == sorted(load.names * 2)  # an insert, told to run again, inserts again
    assert load.job_states == [State.JOB_COMPLETE] * 2


def reread(stage: Stage, dag_id: str) -> None:
    """Have Airflow read a DAG file again, and wait until it has."""
    before = stage.stack.call("GET", f"/api/v2/dags/{dag_id}/details", missing={}).get("last_parsed")
    if before is not None:
        token = stage.stack.call("GET", f"/api/v2/dags/{dag_id}")["file_token"]
        stage.stack.call("PUT", f"/api/v2/parseDagFile/{token}")
        stage.stack.wait_for(
            lambda: stage.stack.call("GET", f"/api/v2/dags/{dag_id}/details")["last_parsed"] != before,
            f"the DAG {dag_id} is read again",
        )


def test_a_touched_file_and_one_more_under_the_pattern_change_nothing_for_a_decided_load(stage: Stage) -> None:
    stage.hold_jobs()
    load = begun(Pattern(stage, "touched", "touched_source"))
    stage.stack.wait_for(lambda: load.is_at("deferred", try_number=1), "the load waits")
    source = stage.lake / "held" / "touched.csv"
    os.utime(source, (1, 1))
    (stage.lake / "held" / "touched-too.csv").write_text("Name\nHeld by the touched too\n", encoding="utf-8")
    load.clear()
    stage.stack.wait_for(lambda: load.is_at("deferred", try_number=2), "the cleared load waits again")
    stage.let_jobs_end()
    assert load.finish() == "success"
    assert load.stored == load.reported == load.names
    assert len(load.jobs) == 1


def test_of_mapped_extracts_into_one_folder_one_wins_and_the_others_say_so(quick: Stage) -> None:
    quick.org.put("Account", [{"Name": f"Held by the shared {n % 3} {n:03}"} for n in range(9)])
    stack, output = quick.stack, quick.lake / "held" / "shared"
    stack.wait_until_known("shared_folder")
    stack.unpause("shared_folder")
    run_id = stack.start_run("shared_folder", {"output": str(output)})
    assert stack.finish_run("shared_folder", run_id) == "failed"
    found = stack.call("GET", f"/api/v2/dags/shared_folder/dagRuns/{run_id}/taskInstances")["task_instances"]
    states = {each["map_index"]: each["state"] for each in found}
    assert sorted(states.values()) == ["failed", "failed", "success"]
    (winner,) = (index for index, state in states.items() if state == "success")
    files = sorted(output.glob("*.csv"))
    names = [name for path in files for name in names_in(path)]
    assert sorted(names) == [f"Held by the shared {winner} {n:03}" for n in range(9) if n % 3 == winner]
    logs = (quick.stack.home / "logs" / "dag_id=shared_folder").rglob("*.log")
    refused = [text for path in logs if "{{ ti.map_index }}" in (text := path.read_text(errors="replace"))]
    assert len(refused) == 2
