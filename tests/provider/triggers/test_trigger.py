"""BulkJobTrigger as the triggerer runs it: from what is stored of it, in an event loop, against a local org."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.triggers.base import TriggerEvent
from pytest_mock import MockerFixture
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.http import aio
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.triggers import job as job_trigger
from airflow_provider_sfbulk.triggers.event import WaitEvent, WaitOutcome
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from tests.provider.conftest import first_event

CONN_ID = "salesforce_bulk_default"


def trigger(*job_ids: str, **arguments: Any) -> BulkJobTrigger:
    defaults: dict[str, Any] = {"job_type": "query", "salesforce_conn_id": CONN_ID, "poll_interval": 0.01}
    return BulkJobTrigger(job_ids=list(job_ids), **{**defaults, **arguments})


def stored(made: BulkJobTrigger) -> BulkJobTrigger:
    """Give what a triggerer makes of a trigger's row in the database."""
    path, kwargs = made.serialize()
    assert path == "airflow_provider_sfbulk.triggers.job.BulkJobTrigger"
    return BulkJobTrigger(**json.loads(json.dumps(kwargs)))


def fire(made: BulkJobTrigger) -> dict[str, Any]:
    event: TriggerEvent = asyncio.run(first_event(stored(made)))
    payload: dict[str, Any] = json.loads(json.dumps(event.payload))
    return payload


@pytest.fixture
def slow_org(org: LocalOrg) -> LocalOrg:
    """An org whose jobs take a minute of its own time, which stands still."""
    org.core.job_seconds = 60
    return org


@pytest.fixture
def job_id(org: LocalOrg) -> str:
    with SalesforceBulkHook().get_conn() as client:
        return client.query.create_job("SELECT Id FROM Account").id


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the trigger itself asks of its event loop, none of which is made."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(job_trigger, "asyncio", SimpleNamespace(sleep=sleep))
    return asked


# --- what is stored ---------------------------------------------------------------------------------------------------


def test_it_survives_being_stored() -> None:
    made = trigger("750A", "750B", deadline=12.5, cancel_on_kill=False, api_calls=3, api_version="65.0")
    assert stored(made).serialize() == made.serialize()


def test_a_row_of_the_least_arguments_can_be_read() -> None:
    made = BulkJobTrigger(job_ids=["750A"], job_type="ingest", salesforce_conn_id=CONN_ID, poll_interval=60.0)
    assert made.serialize()[1] == {
        "job_ids": ["750A"],
        "job_type": "ingest",
        "salesforce_conn_id": CONN_ID,
        "api_version": None,
        "poll_interval": 60.0,
        "deadline": None,
        "cancel_on_kill": True,
        "api_calls": 0,
        "deferred_at": None,
    }


def test_only_ids_and_settings_are_stored(org: LocalOrg, job_id: str) -> None:
    made = trigger(job_id)
    asyncio.run(first_event(made))
    _, kwargs = made.serialize()
    assert set(kwargs) == {
        *("job_ids", "job_type", "salesforce_conn_id", "api_version"),
        *("poll_interval", "deadline", "cancel_on_kill", "api_calls", "deferred_at"),
    }
    text = json.dumps(kwargs)
    assert org.client_secret not in text
    assert org.client_id not in text
    assert org.url not in text


# --- its event --------------------------------------------------------------------------------------------------------


def test_it_fires_once_when_every_job_is_final(slow_org: LocalOrg, job_id: str, pauses: list[float]) -> None:
    looks = 0

    async def run() -> list[Any]:
        return [event.payload async for event in stored(trigger(job_id, other, api_calls=5)).run()]

    with SalesforceBulkHook().get_conn() as client:
        other = client.query.create_job("SELECT Id FROM Contact").id
        client.query.abort(other)
    slow_org.advance(61)
    slow_org.wait_until_idle()
    before = len(slow_org.calls)
    events = asyncio.run(run())
    looks = sum("/jobs/query/" in call.path for call in slow_org.calls[before:])
    (event,) = events
    ended = {job["id"]: job["state"] for job in event.pop("jobs")}
    assert event == {"outcome": "final", "job_ids": [job_id, other], "api_calls": 5 + looks}
    assert ended == {job_id: "JobComplete", other: "Aborted"}


class EndAt(Fault):
    """Let the job end at the given look."""

    def __init__(self, org: LocalOrg, number: int) -> None:
        self._org, self._number = org, number

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number == self._number:
            self._org.advance(61)
            await asyncio.to_thread(self._org.wait_until_idle)
        return None


def test_it_keeps_looking_until_the_job_is_final(slow_org: LocalOrg, job_id: str) -> None:
    slow_org.core.faults.add("query.get", EndAt(slow_org, 3))
    before = len(slow_org.calls)
    assert fire(trigger(job_id, poll_interval=0.01))["outcome"] == "final"
    looks = [call for call in slow_org.calls[before:] if call.path.endswith(job_id)]
    assert len(looks) >= 3


@pytest.mark.parametrize(("seconds_ago", "pause"), [(None, 8.0), (30.0, 8.0), (-3600.0, 8.0), (61.0, 0.0)])
def test_it_never_fires_within_the_first_seconds_unless_it_was_deferred_long_ago(
    seconds_ago: float | None,
    pause: float,
    org: LocalOrg,
    job_id: str,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_trigger, "SHORTEST_DEFERRAL_SECONDS", 8.0)
    org.wait_until_idle()
    before = len(org.calls)

    async def run() -> None:
        deferred_at = None if seconds_ago is None else time.time() - seconds_ago
        events = stored(trigger(job_id, deferred_at=deferred_at)).run()
        await anext(events)

    asyncio.run(run())
    assert pauses[0] == pause
    assert len(org.calls) > before


@pytest.mark.parametrize("deadline", [0.0, -1000.0])
def test_a_deadline_that_has_passed_is_a_timeout_after_one_look(
    deadline: float, slow_org: LocalOrg, job_id: str, pauses: list[float]
) -> None:
    event = fire(trigger(job_id, deadline=time.time() + deadline))
    assert event["outcome"] == "timeout"
    assert event["job_ids"] == [job_id]
    assert event["api_calls"] == 1
    assert slow_org.jobs[0].state in ("UploadComplete", "InProgress"), "the job goes on"


def test_a_job_that_is_final_at_its_deadline_is_final(org: LocalOrg, job_id: str) -> None:
    org.wait_until_idle()
    fire(trigger(job_id))  # the org shows every state for one look
    assert fire(trigger(job_id, deadline=time.time() - 1))["outcome"] == "final"


def test_an_unknown_job_is_an_error_event_not_an_exception(org: LocalOrg) -> None:
    event = fire(trigger("750000000000001AAA", api_calls=2))
    assert event == {"outcome": "error", "job_ids": ["750000000000001AAA"], "api_calls": 3}


def test_a_login_that_is_refused_is_an_error_event(
    org: LocalOrg, job_id: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wrong = json.loads(org.connection)
    wrong["extra"]["client_secret"] = "wrong-secret-0123456789"
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(wrong))
    assert fire(trigger(job_id, salesforce_conn_id="wrong"))["outcome"] == "error"
    assert "wrong-secret-0123456789" not in capfd.readouterr().out


def test_a_connection_that_lacks_something_is_an_error_event(
    org: LocalOrg, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_EMPTY", json.dumps({"conn_type": "salesforce_bulk"}))
    assert fire(trigger(job_id, salesforce_conn_id="empty"))["outcome"] == "error"


def test_a_token_that_expires_while_it_waits_is_renewed(slow_org: LocalOrg, job_id: str, pauses: list[float]) -> None:
    slow_org.expire_tokens()
    slow_org.advance(61)
    slow_org.wait_until_idle()
    assert fire(trigger(job_id))["outcome"] == "final"


def test_it_leaves_no_connection_open(org: LocalOrg, job_id: str, mocker: MockerFixture) -> None:
    opened = mocker.spy(aio.AsyncDriver, "__aenter__")
    closed = mocker.spy(aio.AsyncDriver, "__aexit__")
    fire(trigger(job_id))
    fire(trigger("750000000000001AAA"))
    assert [call.args[0] for call in opened.call_args_list] == [call.args[0] for call in closed.call_args_list]
    assert opened.call_count == 2


# --- its end by a person ----------------------------------------------------------------------------------------------


TASK = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1, id=uuid4(), try_number=1)


def deferred(*job_ids: str, **arguments: Any) -> BulkJobTrigger:
    """Give a trigger as the triggerer has it: it knows whose it is."""
    made = stored(trigger(*job_ids, **arguments))
    made.task_instance = TASK  # type: ignore[assignment]
    return made


@pytest.mark.parametrize("state", ["failed", "success", "skipped"])
def test_a_person_s_mark_aborts_the_jobs(
    state: str, slow_org: LocalOrg, job_id: str, ended: Callable[..., None]
) -> None:
    ended(TASK, state)
    asyncio.run(deferred("750000000000001AAA", job_id).on_kill())
    assert slow_org.jobs[0].state == "Aborted", "a job that is gone does not keep the others from being aborted"


def test_a_kill_of_which_airflow_says_nothing_aborts_nothing(
    slow_org: LocalOrg, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a clear, and a triggerer that was late: another one has its triggers now."""
    before = len(slow_org.calls)
    for fact in (None, {}, "failed", {"ti_id": None}, {"ti_id": str(uuid4()), "state": "failed"}):
        monkeypatch.setattr(BaseXCom, "get_one", lambda fact=fact, **_: fact)
        asyncio.run(deferred(job_id).on_kill())
    asyncio.run(stored(trigger(job_id)).on_kill())
    assert slow_org.jobs[0].state in ("UploadComplete", "InProgress")
    assert len(slow_org.calls) == before


@pytest.mark.parametrize("error", [OSError(), RuntimeError(), TypeError()])
def test_an_airflow_that_cannot_be_asked_aborts_nothing(
    error: Exception, slow_org: LocalOrg, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_: Any) -> Any:
        raise error

    monkeypatch.setattr(job_trigger, "ASKING_PAUSES", (0.0, 0.01))
    monkeypatch.setattr(BaseXCom, "get_one", unreachable)
    asyncio.run(deferred(job_id).on_kill())
    assert slow_org.jobs[0].state in ("UploadComplete", "InProgress")


class SlowAbort(Fault):
    """An abort whose answer takes until it is let go."""

    def __init__(self) -> None:
        self.is_awaited = threading.Event()
        self.let_go = threading.Event()

    async def before(self, exchange: Exchange) -> Response | None:
        self.is_awaited.set()
        await asyncio.to_thread(self.let_go.wait)
        return None


def test_a_triggerer_that_cancels_again_and_again_does_not_keep_a_kill_from_aborting(
    slow_org: LocalOrg, job_id: str, ended: Callable[..., None]
) -> None:
    ended(TASK)
    slow = SlowAbort()
    slow_org.core.faults.add("query.change", slow)

    async def run() -> None:
        # As Airflow's TriggerRunner: on_kill() within a time limit, and a further cancel each second until it is over.
        killing = asyncio.create_task(asyncio.wait_for(deferred(job_id).on_kill(), timeout=30))
        while not slow.is_awaited.is_set():
            await asyncio.sleep(0.01)
        for _ in range(3):
            killing.cancel()
            await asyncio.sleep(0.01)
        slow.let_go.set()
        while slow_org.jobs[0].state != "Aborted":
            await asyncio.sleep(0.01)
        await asyncio.gather(killing, return_exceptions=True)

    try:
        asyncio.run(asyncio.wait_for(run(), timeout=30))
    finally:
        slow.let_go.set()
    assert slow_org.jobs[0].state == "Aborted"


def test_a_kill_aborts_nothing_when_that_is_not_wanted(
    slow_org: LocalOrg, job_id: str, ended: Callable[..., None]
) -> None:
    ended(TASK)
    before = len(slow_org.calls)
    asyncio.run(deferred(job_id, cancel_on_kill=False).on_kill())
    assert slow_org.jobs[0].state in ("UploadComplete", "InProgress")
    assert len(slow_org.calls) == before


def test_a_restart_of_the_triggerer_aborts_nothing(slow_org: LocalOrg, job_id: str) -> None:
    async def run() -> None:
        waiting = asyncio.create_task(first_event(stored(trigger(job_id, poll_interval=30.0))))
        while not any(call.path.endswith(job_id) for call in slow_org.calls):
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(run())
    assert slow_org.jobs[0].state in ("UploadComplete", "InProgress")


# --- the event as the task reads it -----------------------------------------------------------------------------------


def test_an_event_survives_its_way() -> None:
    made = WaitEvent(outcome=WaitOutcome.TIMEOUT, job_ids=("750A", "750B"), api_calls=4)
    assert WaitEvent.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_an_event_has_no_row_that_a_job_s_message_quotes(org: LocalOrg) -> None:
    org.fail_jobs(error_message="InvalidBatch : cannot read 'Okonkwo' of okonkwo@example.com, No. 4711")
    with SalesforceBulkHook().get_conn() as client:
        job_id = client.query.create_job("SELECT Id FROM Account").id
    (ended,) = fire(trigger(job_id))["jobs"]
    assert ended["error_message"] == "InvalidBatch : cannot read '***' of ***, No. ***"


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"status": "success"},
        {"outcome": "done", "job_ids": [], "api_calls": 0},
        {"outcome": "final", "job_ids": "750A", "api_calls": 0},
        {"outcome": "final", "job_ids": ["750A"], "api_calls": "many"},
        {"outcome": "final", "job_ids": ["750A"]},
        ["final"],
    ],
)
def test_an_event_of_something_else_is_refused(event: Any) -> None:
    with pytest.raises(ProtocolError, match="not from BulkJobTrigger"):
        WaitEvent.from_dict(event)


@pytest.mark.parametrize(("job_ids", "same"), [(["A", "B"], True), (["B", "A"], True), (["A"], False), (["C"], False)])
def test_an_event_is_about_its_own_jobs(job_ids: list[str], same: bool) -> None:
    assert WaitEvent(outcome=WaitOutcome.FINAL, job_ids=("A", "B"), api_calls=0).is_about(job_ids) is same
