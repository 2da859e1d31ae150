"""Two triggerers, one of which is frozen until the other has taken its waits over: only a person's mark aborts a job.

When the late one wakes up, Airflow cancels its triggers "by user action" (apache/airflow#73454).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from tests.airflow.conftest import Stage
from tests.airflow.disturbed.held import Held

pytestmark = pytest.mark.long

OTHER = "other-triggerer"
WAITING = ("left_alone", "left_alone_too", "cleared_late")
MARKED = ("late_failed", "late_success", "late_skipped")
RUN_MARKED = ("late_run_failed", "late_run_success")


@pytest.fixture(scope="module")
def loads(stage: Stage) -> Iterator[dict[str, Held]]:
    """Let all of them wait in one triggerer, freeze it, let people do things meanwhile, and wake it."""
    stack = stage.stack
    loads = {name: Held(stage, name, "held_in_triggerer") for name in (*WAITING, *MARKED, *RUN_MARKED)}
    stage.hold_jobs()
    stack.wait_until_known("held_in_triggerer")
    assert all(load.run_id for load in loads.values())
    stack.call("PATCH", "/api/v2/dags/held_in_triggerer", {"is_paused": False})
    for load in loads.values():
        stack.wait_for(lambda load=load: load.triggerer_id is not None, f"the triggerer waits for the load {load.name}")
    late = {load.triggerer_id for load in loads.values()}
    stack.start_component("triggerer", known_as=OTHER)
    try:
        stack.signal_component("triggerer", signal.SIGSTOP)
        for load in loads.values():
            stack.wait_for(
                lambda load=load: load.triggerer_id not in {None, *late}, f"the other takes the load {load.name} over"
            )
        for name in MARKED:
            loads[name].mark(name.removeprefix("late_"))
        for name in RUN_MARKED:
            loads[name].mark_run(name.removeprefix("late_run_"))
        for name in (*MARKED, *RUN_MARKED):
            stack.wait_for(
                lambda load=loads[name]: load.job_states == [State.ABORTED], f"the job of the load {name} is aborted"
            )
        loads["cleared_late"].clear()
        stack.wait_for(lambda: loads["cleared_late"].is_at("deferred", try_number=2), "the cleared load waits again")
        stack.signal_component("triggerer", signal.SIGCONT)
        for name in WAITING:
            stack.wait_for(
                lambda name=name: woken(stage, loads[name]), f"the late triggerer lets go of the load {name}"
            )
        states = {name: loads[name].job_states for name in WAITING}
        assert states == {name: [State.IN_PROGRESS] for name in WAITING}
        stage.let_jobs_end()
        yield loads
    finally:
        stack.signal_component("triggerer", signal.SIGCONT)
        stack.kill_component(OTHER)


def woken(stage: Stage, load: Held) -> bool:
    """Whether a triggerer was told to end this wait, and found that no person has ended the task."""
    folder = stage.stack.home / "logs" / f"dag_id={load.dag_id}" / f"run_id={load.run_id}"
    logs = [path.read_text(errors="replace") for path in folder.rglob("*.trigger.*")]
    return any("no person has ended the task" in text for text in logs)


@pytest.mark.parametrize("name", WAITING)
def test_a_late_triggerer_aborts_nothing_and_the_load_succeeds(name: str, loads: dict[str, Held]) -> None:
    load = loads[name]
    assert load.finish() == "success"
    assert load.job_states == [State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


@pytest.mark.parametrize("name", [*MARKED, *RUN_MARKED])
def test_a_person_s_mark_aborts_the_job_while_the_other_triggerer_is_frozen(name: str, loads: dict[str, Held]) -> None:
    load = loads[name]
    assert load.job_states == [State.ABORTED]
    assert load.task["state"] == (
        "failed" if name == "late_run_failed" else name.removeprefix("late_").removeprefix("run_")
    )
    assert load.stored == []
