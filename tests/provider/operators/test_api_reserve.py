"""``api_reserve``: a task that leaves the org's last API calls to others."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.client.errors import ProtocolError, RequestLimitError, SourceError
from airflow_provider_sfbulk.client.protocol.org import ApiUsage
from airflow_provider_sfbulk.client.protocol.reserve import ApiReserve
from airflow_provider_sfbulk.client.waiting import polls
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.usage import Usage
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from airflow_provider_sfbulk.triggers.reserve import ApiReserveTrigger
from tests.provider.conftest import FakeTask, first_event
from tests.provider.test_hook import NoSetup
from tests.provider.triggers.test_watcher import add_jobs, trigger, until

KINDS = pytest.mark.parametrize("kind", ["query", "ingest"])


def made(kind: str, **arguments: Any) -> BulkJobOperator:
    if kind == "query":
        return BulkQueryOperator(task_id="t", soql="SELECT Id FROM Account", **arguments)
    return BulkIngestOperator(
        task_id="t", sobject="Account", operation="insert", source=[{"Name": "A"}, {"Name": "B"}], **arguments
    )


def leave(org: LocalOrg, calls: int) -> None:
    """Let the org have so many calls left, of many thousands."""
    requests = org.core.usage.api_requests
    if requests.remaining > calls:
        requests.take(requests.remaining - calls)
    else:
        requests.maximum = requests.used + calls


def deferred(operator: BulkJobOperator, task: FakeTask) -> tuple[Any, TaskDeferred]:
    attempt = task.start()
    with pytest.raises(TaskDeferred) as pending:
        operator.execute(attempt.context)
    return attempt, pending.value


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the allowances every moment in place of every few minutes."""
    monkeypatch.setattr(polls, "USAGE_SECONDS", 0.2)


# --- the argument -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, 1.0, 1.5, -0.1, float("nan"), True, "500", [5]])
def test_a_reserve_that_is_none_is_refused_when_the_dag_is_read(value: Any) -> None:
    with pytest.raises(SourceError, match="api_reserve must be a whole number"):
        made("query", api_reserve=value)


@pytest.mark.parametrize("value", ["skip", None, True])
def test_what_to_do_is_wait_or_fail(value: Any) -> None:
    with pytest.raises(SourceError, match="on_api_reserve must be one of wait, fail"):
        made("ingest", api_reserve=5, on_api_reserve=value)


@pytest.mark.parametrize(
    ("reserve", "left", "kept"),
    [(500, 500, True), (500, 499, False), (0.1, 1500, True), (0.1, 1499, False), (0, 0, True)],
)
def test_a_reserve_is_a_number_of_calls_or_a_fraction_of_the_days(reserve: float, left: int, kept: bool) -> None:
    assert ApiReserve.of(reserve).is_kept(ApiUsage(15_000 - left, 15_000)) is kept


# --- with calls to spare ----------------------------------------------------------------------------------------------


@KINDS
def test_with_calls_to_spare_it_costs_one_call(kind: str, org: LocalOrg, task: FakeTask) -> None:
    task.start().run(made(kind, api_reserve=0.5))
    assert [call.path for call in org.calls].count("/services/data/v66.0/limits") == 1
    assert {job.state for job in org.jobs} == {"JobComplete"}


@KINDS
def test_without_a_reserve_nothing_is_asked(kind: str, org: LocalOrg, task: FakeTask) -> None:
    leave(org, 3)
    task.start().run(made(kind))
    assert not [call for call in org.calls if call.path.endswith("/limits")]


@KINDS
def test_what_was_begun_is_brought_to_its_end(kind: str, org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    _, pending = deferred(made(kind, api_reserve=100, deferrable=True, poll_interval=0.05), task)
    assert pending.method_name == "execute_complete"
    leave(org, 50)
    org.advance(61)
    org.wait_until_idle()
    task.start().run(made(kind, api_reserve=100, deferrable=True, poll_interval=0.05))
    assert len(org.jobs) == 1


# --- more than there is ------------------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("what", ["wait", "fail"])
@pytest.mark.parametrize("reserve", [15_000, 1_000_000, 0.99999])
def test_a_reserve_that_the_org_can_never_keep_is_refused_with_its_figure(
    kind: str, what: str, reserve: float, org: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises(SourceError, match=r"leaves 1[0-9,]+ API calls to others, but the org has 15,000 a day"):
        task.start().run(made(kind, api_reserve=reserve, on_api_reserve=what))
    assert not org.jobs


def test_an_org_that_gets_too_small_for_the_reserve_ends_the_wait(org: LocalOrg, task: FakeTask, often: None) -> None:
    leave(org, 50)
    operator = made("query", api_reserve=10_000)
    attempt, pending = deferred(operator, task)
    org.core.usage.api_requests.maximum = 9_000
    with pytest.raises(SourceError, match="the org has 9,000 a day in all"):
        attempt.resume(operator, pending)


# --- with too few left ------------------------------------------------------------------------------------------------


@KINDS
def test_with_too_few_left_it_fails_and_says_how_many(kind: str, org: LocalOrg, task: FakeTask) -> None:
    leave(org, 100)
    with pytest.raises(
        RequestLimitError, match=r"has 99 of its 15,000 API calls left, fewer than the 500 that"
    ) as failure:
        task.start().run(made(kind, api_reserve=500, on_api_reserve="fail"))
    assert failure.value.daily
    assert not org.jobs
    assert not org.records("Account")


@KINDS
@pytest.mark.parametrize("deferrable", [True, False])
def test_with_too_few_left_it_waits_deferred_and_goes_on(
    kind: str, deferrable: bool, org: LocalOrg, task: FakeTask, often: None
) -> None:
    leave(org, 50)
    operator = made(kind, api_reserve=100, deferrable=deferrable, poll_interval=0.05)
    attempt, pending = deferred(operator, task)
    assert pending.method_name == "execute_after_reserve"
    assert not org.jobs
    leave(org, 5000)
    result = attempt.resume(operator, pending)
    assert {job.state for job in org.jobs} == {"JobComplete"}
    if kind == "ingest":
        counted = [call for call in org.calls if "/services/data/" in call.path]
        assert result["api_calls"] == len(counted), "those of the wait too"
        assert len(org.records("Account")) == 2


def test_it_is_kept_for_a_user_who_may_not_see_the_orgs_limits(org: LocalOrg, task: FakeTask, often: None) -> None:
    org.core.faults.add("data.limits", NoSetup())
    leave(org, 50)
    operator = made("ingest", api_reserve=100)
    attempt, pending = deferred(operator, task)
    assert not org.jobs
    leave(org, 5000)
    assert attempt.resume(operator, pending)["successful"] == 2


def test_replies_that_say_nothing_of_api_calls_do_not_repeat_what_was_said_before(
    org: LocalOrg, often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(org, 50)
    (entry,) = add_jobs(org, 1)

    async def run() -> str:
        waiting = asyncio.create_task(first_event(trigger(entry)))
        await until(lambda: len(org.calls) > 2)
        monkeypatch.setattr(Usage, "header", "")  # as the replies of Bulk API 1.0 do
        leave(org, 5000)
        event = await first_event(ApiReserveTrigger(api_reserve=1_000, salesforce_conn_id="salesforce_bulk_default"))
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
        return str(event.payload["outcome"])

    assert asyncio.run(asyncio.wait_for(run(), 30)) == "final"


def test_the_trigger_fires_when_there_are_enough_and_reads_once_for_all(org: LocalOrg, often: None) -> None:
    org.core.usage.api_requests.take(14_900)

    async def run() -> list[Any]:
        made = [
            ApiReserveTrigger(api_reserve=reserve, salesforce_conn_id="salesforce_bulk_default", api_calls=2)
            for reserve in (10_000, 10_000, 0.5)
        ]
        waits = [asyncio.create_task(first_event(each)) for each in made]
        while sum(call.path.endswith("/limits") for call in org.calls) < 2:
            await asyncio.sleep(0.01)
        assert not any(wait.done() for wait in waits)
        org.core.usage.api_requests.maximum = 30_000
        return [event.payload for event in await asyncio.gather(*waits)]

    events = asyncio.run(asyncio.wait_for(run(), 20))
    assert [event["outcome"] for event in events] == ["final"] * 3
    reads = [call for call in org.calls if call.path.endswith("/limits")]
    assert len(reads) == sum(event["api_calls"] - 2 for event in events), "each read is counted once"
    assert sum("oauth2/token" in call.path for call in org.calls) == 1


def test_while_other_replies_tell_the_allowances_are_not_asked_for(
    org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.core.job_seconds = 60
    with SalesforceBulkHook().get_conn() as client:
        job_id = client.query.create_job("SELECT Id FROM Account").id
    leave(org, 50)

    async def run() -> Any:
        job = BulkJobTrigger(
            job_ids=[job_id], job_type="query", salesforce_conn_id="salesforce_bulk_default", poll_interval=0.05
        )
        reserve = ApiReserveTrigger(api_reserve=1000, salesforce_conn_id="salesforce_bulk_default")
        waits = [asyncio.create_task(first_event(each)) for each in (job, reserve)]
        while not any(call.path.endswith(job_id) for call in org.calls):
            await asyncio.sleep(0.01)
        leave(org, 5000)
        event = await waits[1]
        waits[0].cancel()
        await asyncio.wait(waits)
        return event.payload["outcome"]

    assert asyncio.run(asyncio.wait_for(run(), 20)) == "final"
    assert not [call for call in org.calls if call.path.endswith("/limits")]


def test_the_wait_ends_with_the_tasks_timeout(org: LocalOrg, task: FakeTask) -> None:
    leave(org, 50)
    operator = made("query", api_reserve=100, timeout=0.3)
    attempt, pending = deferred(operator, task)
    assert pending.trigger.deadline == pytest.approx(time.time(), abs=5)
    with pytest.raises(RequestLimitError, match="timeout has passed while it waited for spare API calls"):
        attempt.resume(operator, pending)
    assert not org.jobs


def test_a_day_with_no_calls_left_at_all_is_waited_for_too(org: LocalOrg, task: FakeTask) -> None:
    org.core.usage.api_requests.maximum = 0
    org.core.usage.refuse_calls = True
    _, pending = deferred(made("query", api_reserve=100), task)
    assert pending.method_name == "execute_after_reserve"


@pytest.mark.parametrize(
    "arguments",
    [
        *({"api_reserve": value} for value in (None, "x", 1.5, -1, float("nan"), [])),
        {"api_reserve": 5, "deadline": "x", "salesforce_conn_id": "none_such"},
        {"api_reserve": 10**9, "deadline": float("nan"), "api_calls": "x"},
    ],
)
def test_a_trigger_with_strange_values_fires_instead_of_raising(
    arguments: dict[str, Any], org: LocalOrg, often: None
) -> None:
    made = ApiReserveTrigger(**{"salesforce_conn_id": "salesforce_bulk_default", **arguments})
    event = asyncio.run(asyncio.wait_for(first_event(made), 20))
    assert event.payload["outcome"] == "error"


def test_an_event_of_something_else_is_refused(org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(ProtocolError):
        made("query", api_reserve=100).execute_after_reserve(task.start().context, event={"outcome": "x"})


def test_the_trigger_survives_being_stored() -> None:
    made = ApiReserveTrigger(
        api_reserve=0.25, salesforce_conn_id="other", api_version="65.0", deadline=12.5, api_calls=3
    )
    path, kwargs = made.serialize()
    assert path == "airflow_provider_sfbulk.triggers.reserve.ApiReserveTrigger"
    assert ApiReserveTrigger(**json.loads(json.dumps(kwargs))).serialize() == made.serialize()
