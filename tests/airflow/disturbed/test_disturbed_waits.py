"""A task's life, disturbed in every way that Airflow knows: what becomes of the job, of the tries, and of the rows.

All runs wait side by side on one Airflow, and each is disturbed in its own way. Last comes what cannot be side by side: an
API server that is away, and frozen processes that wake up when everything else is over.
"""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from airflow_provider_sfbulk.local_org.core import Call
from airflow_provider_sfbulk.local_org.data import seed
from tests.airflow.conftest import Stage
from tests.airflow.disturbed.held import Held, HeldExtract, StillAtWork, Withheld, is_gone, send

pytestmark = pytest.mark.long

API_DOWN_SECONDS = 45.0
"""From the API server's end until it is started again, which takes it some 15 s more: a minute in all. Airflow's SDK gives
up after five attempts, with waits of at most 1, 2, 4 and 8 s between them."""

IN_TRIGGERER = ("marked_deferred", "lost_triggerer", "cleared_deferred", "api_deferred")
ON_WORKER = (
    *("killed", "marked_running", "cleared_running", "deployed", "overtime"),
    *("frozen_uploading", "frozen_waiting", "api_running"),
)
DAGS = {
    "api_deferred": "held_patiently_in_triggerer",
    "api_running": "held_patiently_on_worker",
    "overtime": "held_briefly_on_worker",
}


@dataclass
class Disturbed:
    """All runs after their ends, by what disturbed them.

    :ivar ends: states of the runs
    :ivar woken: what was sent to the org after the frozen processes woke up
    :ivar rewritten: whether result files were written then
    """

    stage: Stage
    loads: dict[str, Held]
    extract: HeldExtract
    ends: dict[str, str] = field(default_factory=dict)
    woken: list[Call] = field(default_factory=list)
    rewritten: bool = False

    def __getitem__(self, name: str) -> Held:
        return self.loads[name]


@pytest.fixture(scope="module")
def runs(stage: Stage) -> Iterator[Disturbed]:
    """Start everything, disturb each in its wait, and let all end."""
    loads = {name: Held(stage, name, DAGS.get(name, "held_in_triggerer")) for name in IN_TRIGGERER}
    loads |= {name: Held(stage, name, DAGS.get(name, "held_on_worker")) for name in ON_WORKER}
    extract = HeldExtract(stage, "query", "held_extract", "extract")
    runs = Disturbed(stage, loads, extract)
    upload = Withheld(loads["frozen_uploading"])
    page = Withheld(extract, number=3)
    at_work = StillAtWork(loads["api_deferred"], loads["api_running"])
    frozen: list[int] = []
    faults = stage.org.core.faults
    faults.add("ingest.upload", upload)
    faults.add("query.results", page)
    faults.add("ingest.get", at_work)
    try:
        _seed(stage, extract)
        stage.hold_jobs()
        _start(runs)
        _disturb_on_worker(runs, upload, frozen)
        _disturb_in_triggerer(runs)
        _let_end(runs, page)
        _go_without_api_server(runs, at_work)
        _wake(runs, frozen)
        yield runs
    finally:
        for each in (upload, page, at_work):
            each.let_go.set()
        faults.clear()
        send(signal.SIGCONT, *(pid for pid in frozen if not is_gone(pid)))


def _seed(stage: Stage, extract: HeldExtract) -> None:
    folder = stage.lake / "seed"
    folder.mkdir()
    with (folder / "Account.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["Name"], *([name] for name in extract.names)])
    seed.load(stage.org.core, folder)


def _start(runs: Disturbed) -> None:
    """Make all runs, and only then let them start: making runs takes longer when tasks run."""
    stack = runs.stage.stack
    everything = (*runs.loads.values(), runs.extract)
    for dag_id in {each.dag_id for each in everything}:
        stack.wait_until_known(dag_id)
    for each in everything:
        assert each.run_id
    stack.call("PATCH", "/api/v2/dags?dag_id_pattern=held", {"is_paused": False})


def _disturb_on_worker(runs: Disturbed, upload: Withheld, frozen: list[int]) -> None:
    stack = runs.stage.stack
    stack.wait_for(upload.is_awaited.is_set, "a load waits for the answer to its upload")
    frozen += _freeze(runs["frozen_uploading"])
    # The answer lies in the frozen process's socket: the first thing that it will see.
    upload.let_go.set()
    for name in set(ON_WORKER) - {"frozen_uploading"}:
        stack.wait_for(lambda load=runs[name]: load.looks >= 2, f"the load {name} waits for its job on a worker")
    frozen += _freeze(runs["frozen_waiting"])
    send(signal.SIGKILL, runs["killed"].processes[0])
    send(signal.SIGTERM, runs["deployed"].processes[1])
    runs["marked_running"].mark("failed")
    runs["cleared_running"].clear()


def _freeze(load: Held) -> tuple[int, int]:
    processes = load.processes
    send(signal.SIGSTOP, *processes)
    return processes


def _disturb_in_triggerer(runs: Disturbed) -> None:
    stack = runs.stage.stack
    # Not only deferred: a triggerer has taken them, so there is a wait to disturb.
    for name in IN_TRIGGERER:
        stack.wait_for(
            lambda load=runs[name]: load.triggerer_id is not None, f"the triggerer waits for the load {name}"
        )
    runs["marked_deferred"].mark("failed")
    runs["cleared_deferred"].clear()
    stack.wait_for(lambda: runs["marked_deferred"].job_states[0] is State.ABORTED, "the marked load's job is aborted")
    stack.wait_for(lambda: runs["cleared_deferred"].is_at("deferred", try_number=2), "the cleared load waits again")
    stack.kill_component("triggerer")
    stack.start_component("triggerer")


def _let_end(runs: Disturbed, page: Withheld) -> None:
    """Let the jobs end once every disturbed load has a new try; and kill the extract while it fetches."""
    stack = runs.stage.stack
    for name in ("killed", "deployed", "frozen_uploading", "frozen_waiting"):
        stack.wait_for(
            lambda load=runs[name]: load.is_at("running", try_number=2), f"the second try of the load {name}"
        )
    stack.wait_for(lambda: runs["overtime"].task["try_number"] >= 2, "a try's time is over")
    stack.wait_for(lambda: runs["cleared_running"].task["try_number"] >= 2, "the running load starts again")
    stack.wait_for(lambda: runs["marked_running"].job_states == [State.ABORTED], "the marked load's job is aborted")
    # In this order: no job may be made in between that nobody lets end.
    runs.stage.hurry_jobs()
    runs.stage.let_jobs_end()
    stack.wait_for(page.is_awaited.is_set, "the extract waits for a page")
    assert runs.extract.unfinished
    assert not runs.extract.extracted
    send(signal.SIGKILL, runs.extract.processes[0])
    page.let_go.set()
    for each in (*runs.loads.values(), runs.extract):
        if not each.name.startswith("api_"):
            runs.ends[each.name] = each.finish()


def _go_without_api_server(runs: Disturbed, at_work: StillAtWork) -> None:
    """Take the API server away while two loads wait, and let their jobs end meanwhile."""
    stack = runs.stage.stack
    stack.kill_component("api-server")
    back = time.monotonic() + API_DOWN_SECONDS
    at_work.let_go.set()
    stack.wait_for(lambda: time.monotonic() > back, "the API server has been away long enough")
    stack.start_component("api-server")
    stack.wait_until_healthy()
    for name in ("api_deferred", "api_running"):
        runs.ends[name] = runs[name].finish()


def _wake(runs: Disturbed, frozen: list[int]) -> None:
    """Let the frozen processes go on, and see what they do. Nothing else runs any more."""
    stack, waiting = runs.stage.stack, runs["frozen_waiting"]
    calls, looks, written = len(runs.stage.org.calls), waiting.looks, waiting.written
    tasks, supervisors = frozen[::2], frozen[1::2]
    # The tasks first: no supervisor asks Airflow, and ends them, before the one that waited has seen its job's end.
    send(signal.SIGCONT, *tasks)
    stack.wait_for(lambda: waiting.looks > looks, "the woken task looks at its job")
    send(signal.SIGCONT, *supervisors)
    for pid in tasks:
        stack.wait_for(lambda pid=pid: is_gone(pid), f"the woken task process {pid} ends")
    runs.woken = runs.stage.org.calls[calls:]
    runs.rewritten = waiting.written != written


# --- in the triggerer -------------------------------------------------------------------------------------------------


def test_a_person_s_mark_aborts_the_job(runs: Disturbed) -> None:
    load = runs["marked_deferred"]
    assert runs.ends[load.name] == "failed"
    assert load.tries == ["failed"]
    assert load.job_states == [State.ABORTED]
    assert load.stored == []


def test_a_lost_triggerer_costs_nothing(runs: Disturbed) -> None:
    load = runs["lost_triggerer"]
    assert runs.ends[load.name] == "success"
    assert load.tries == ["success"]
    assert load.job_states == [State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


def test_a_clear_in_the_wait_goes_on_with_the_job(runs: Disturbed) -> None:
    load = runs["cleared_deferred"]
    assert runs.ends[load.name] == "success"
    assert load.job_states == [State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


# --- on a worker ------------------------------------------------------------------------------------------------------


def test_a_person_s_mark_of_a_running_load_aborts_the_job(runs: Disturbed) -> None:
    load = runs["marked_running"]
    assert runs.ends[load.name] == "failed"
    assert load.tries == ["failed"]
    assert load.job_states == [State.ABORTED]
    assert load.stored == []


@pytest.mark.parametrize("name", ["killed", "deployed", "frozen_waiting", "cleared_running"])
def test_the_next_try_adopts_the_job_of_one_that_is_gone(runs: Disturbed, name: str) -> None:
    """A clear is such a case too: Airflow makes the next try at once, and what the old one says no longer counts."""
    load = runs[name]
    assert runs.ends[name] == "success"
    assert load.tries == ["failed", "success"]
    assert load.job_states == [State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


def test_a_try_whose_time_is_over_leaves_its_job_to_the_next(runs: Disturbed) -> None:
    load = runs["overtime"]
    assert runs.ends[load.name] == "success"
    assert len(load.tries) >= 2
    assert load.job_states == [State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


# --- a frozen machine -------------------------------------------------------------------------------------------------


def test_the_retry_of_a_try_frozen_in_its_upload_makes_a_job_of_its_own(runs: Disturbed) -> None:
    load = runs["frozen_uploading"]
    assert runs.ends[load.name] == "success"
    assert load.tries == ["failed", "success"]
    assert load.job_states == [State.OPEN, State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


def test_frozen_tries_that_wake_up_write_nothing_more(runs: Disturbed) -> None:
    written = [call for call in runs.woken if call.method != "GET" and "/services/data/" in call.path]
    assert written == []


def test_frozen_tries_that_wake_up_leave_the_result_files_alone(runs: Disturbed) -> None:
    assert runs["frozen_waiting"].reported == runs["frozen_waiting"].names
    assert not runs.rewritten


# --- an Airflow that is away ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api_deferred", "api_running"])
def test_an_api_server_that_is_away_costs_tries_and_no_rows(runs: Disturbed, name: str) -> None:
    load = runs[name]
    assert runs.ends[name] == "success"
    assert load.task["try_number"] >= 2
    assert load.job_states == [State.JOB_COMPLETE]
    assert load.stored == load.reported == load.names


# --- an extract -------------------------------------------------------------------------------------------------------


def test_the_retry_of_an_extract_killed_between_pages_has_every_row_once(runs: Disturbed) -> None:
    extract = runs.extract
    assert runs.ends[extract.name] == "success"
    assert extract.tries == ["failed", "success"]
    assert extract.job_states == [State.JOB_COMPLETE]
    assert extract.extracted == extract.names
