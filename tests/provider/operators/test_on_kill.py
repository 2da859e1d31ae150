"""What a kill does to a task's jobs: a person's aborts them, a deploy leaves them alone.

``on_kill`` is called inside the handler of SIGTERM, while the task waits. Here the org calls it, when it is asked about
the job: the same moment, without a signal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse
from pytest_mock import MockerFixture
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import StoppedError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import DyingTry, FakeTask, Killed, Try

SOQL = "SELECT Id FROM Account"


class KillAt(Fault):
    """Call something once, at the given call of a route."""

    def __init__(self, kill: Callable[[], None], number: int) -> None:
        self._kill, self._number = kill, number

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number == self._number:
            self._kill()
        return None


def made(kind: str, **arguments: Any) -> BulkJobOperator:
    common: dict[str, Any] = {"task_id": "t", "deferrable": False, "retries": 2, **arguments}
    if kind == "query":
        return BulkQueryOperator(**(common if "job_id" in common else {"soql": SOQL, **common}))
    return BulkIngestOperator(
        sobject="Account", operation="insert", source=[{"Name": f"{n}"} for n in range(6)], part_records=2, **common
    )


def kill_while_waiting(org: LocalOrg, attempt: Try, operator: BulkJobOperator, kind: str) -> None:
    org.core.job_seconds = 60
    org.core.faults.add(f"{kind}.get", KillAt(operator.on_kill, 5))
    with pytest.raises(StoppedError, match="told to end"):
        attempt.run(operator)


def states(org: LocalOrg) -> set[str]:
    return {str(job.state) for job in org.jobs}


@pytest.mark.parametrize("kind", ["query", "ingest"])
@pytest.mark.parametrize("state", ["failed", "success", "skipped"])
def test_a_person_ends_the_task_and_the_jobs_are_aborted(
    kind: str, state: str, org: LocalOrg, task: FakeTask, ended: Callable[..., None]
) -> None:
    attempt = task.start()
    ended(attempt, state)
    kill_while_waiting(org, attempt, made(kind), kind)
    assert len(org.jobs) == (1 if kind == "query" else 3)
    assert states(org) == {"Aborted"}


@pytest.mark.parametrize("kind", ["query", "ingest"])
def test_a_process_that_has_five_seconds_left_reads_nothing_that_it_knows(
    kind: str, org: LocalOrg, task: FakeTask, ended: Callable[..., None], mocker: MockerFixture
) -> None:
    attempt = task.start()
    ended(attempt)
    operator = made(kind)
    reads = mocker.spy(attempt, "get")

    def kill() -> None:
        reads.reset_mock()
        BulkJobOperator.on_kill(operator)

    mocker.patch.object(operator, "on_kill", kill)
    kill_while_waiting(org, attempt, operator, kind)
    assert states(org) == {"Aborted"}
    assert reads.call_count == 0


@pytest.mark.parametrize("kind", ["query", "ingest"])
def test_without_a_person_s_doing_the_jobs_go_on_and_the_next_try_adopts_them(
    kind: str, org: LocalOrg, task: FakeTask, ended: Callable[..., None]
) -> None:
    ended(task.start())  # of an earlier try: it says nothing of this one
    kill_while_waiting(org, task.start(), made(kind), kind)
    assert "Aborted" not in states(org)
    jobs = len(org.jobs)
    org.advance(61)
    org.wait_until_idle()
    org.core.faults.clear()
    task.start().run(made(kind))
    assert len(org.jobs) == jobs
    assert states(org) == {"JobComplete"}


@pytest.mark.parametrize("kind", ["query", "ingest"])
def test_a_person_ends_the_task_but_the_jobs_shall_go_on(
    kind: str, org: LocalOrg, task: FakeTask, ended: Callable[..., None]
) -> None:
    attempt = task.start()
    ended(attempt)
    kill_while_waiting(org, attempt, made(kind, cancel_on_kill=False), kind)
    assert "Aborted" not in states(org)


@pytest.mark.parametrize(
    "error",
    [AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 503})), OSError()],
)
def test_when_airflow_cannot_say_why_the_jobs_go_on(
    error: Exception, org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**_: Any) -> Any:
        raise error

    monkeypatch.setattr(BaseXCom, "get_one", unreachable)
    kill_while_waiting(org, task.start(), made("query"), "query")
    assert "Aborted" not in states(org)


def test_jobs_that_are_still_being_filled_are_aborted_too(
    org: LocalOrg, task: FakeTask, ended: Callable[..., None]
) -> None:
    attempt = task.start()
    ended(attempt)
    load = made("ingest", max_concurrent_jobs=1)
    org.core.faults.add("ingest.create", KillAt(load.on_kill, 2))
    with pytest.raises(StoppedError):
        attempt.run(load)
    first, *others = org.jobs
    assert first.state == "Aborted"
    assert {job.state for job in others} <= {"Open"}, "a job whose reply came too late never gets a record"
    assert not org.records("Account")


def test_told_to_end_before_all_was_read_it_aborts_the_jobs_of_the_last_round(
    org: LocalOrg, task: FakeTask, ended: Callable[..., None]
) -> None:
    """Those of the first have ended; the job that sends a locked row again waits for its close."""
    task.start().run(made("ingest"))
    parent, *_ = (record["Id"] for record in org.records("Account"))
    org.hold(parent, batches=1)
    rows = [{"LastName": "A", "AccountId": parent}, {"LastName": "B"}]
    contacts, before = FakeTask(), len(org.jobs)

    def load() -> BulkIngestOperator:
        return BulkIngestOperator(
            task_id="t", sobject="Contact", operation="insert", source=[dict(row) for row in rows], deferrable=False
        )

    with pytest.raises(Killed):
        DyingTry(contacts, 6, after=True).run(load())  # the second round is decided
    assert [str(job.state) for job in org.jobs[before:]] == ["JobComplete", "Open"]
    attempt = contacts.start()
    ended(attempt)
    early = load()
    early.on_kill()
    with pytest.raises(StoppedError):
        attempt.run(early)
    assert [str(job.state) for job in org.jobs[before:]] == ["JobComplete", "Aborted"]
    assert contacts.start(cleared=True).run(load())["successful"] == 2
    assert sorted(record["LastName"] for record in org.records("Contact")) == ["A", "B"]


def test_a_job_of_somebody_else_is_not_aborted(org: LocalOrg, task: FakeTask, ended: Callable[..., None]) -> None:
    org.core.job_seconds = 60
    job_id = task.start().run(made("query", wait_for_completion=False))
    fetching = FakeTask().start()
    ended(fetching)
    kill_while_waiting(org, fetching, made("query", job_id=job_id), "query")
    assert "Aborted" not in states(org)


@pytest.mark.parametrize(("own", "cancel_on_kill"), [(True, True), (True, False), (False, True)])
def test_the_trigger_of_a_deferred_task_knows_whether_to_abort(
    own: bool, cancel_on_kill: bool, org: LocalOrg, task: FakeTask
) -> None:
    org.core.job_seconds = 60
    job_id = task.start().run(made("query", wait_for_completion=False))
    which = {} if own else {"job_id": job_id}
    with pytest.raises(TaskDeferred) as deferred:
        made("query", deferrable=True, cancel_on_kill=cancel_on_kill, **which).execute(FakeTask().start().context)
    assert deferred.value.trigger.cancel_on_kill is (own and cancel_on_kill)


def test_a_kill_before_anything_runs_does_nothing(org: LocalOrg) -> None:
    made("query").on_kill()
    assert not org.calls
