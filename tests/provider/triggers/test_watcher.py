"""One watcher per connection: what many triggers share, and what each of them gets. Real triggers, a local org."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from starlette.responses import Response

from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.client.waiting import polls
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, JobKind, State
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.triggers import shared_client
from airflow_provider_sfbulk.triggers import watcher as watcher_module
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from airflow_provider_sfbulk.triggers.watcher import Watcher, watcher_of
from tests.provider.conftest import FakeTask, first_event

CONN_ID = "salesforce_bulk_default"
KINDS = {JobKind.INGEST: "ingest", JobKind.QUERY: "query"}


def add_jobs(
    org: LocalOrg, number: int, kind: JobKind = JobKind.INGEST, state: State = State.IN_PROGRESS
) -> list[Entry]:
    """Put jobs into the org, which end when the test says so."""
    now = datetime.now(UTC)
    return [
        org.core.jobs.add(
            kind=kind,
            operation="insert" if kind is JobKind.INGEST else "query",
            object="Account",
            created_by_id=org.user_id,
            state=state,
            api_version="66.0",
            closed=now,
        )
        for _ in range(number)
    ]


def end(org: LocalOrg, *entries: Entry, state: State = State.JOB_COMPLETE) -> None:
    for entry in entries:
        org.core.jobs.set_state(entry, state)
        entry.settle()


def trigger(*entries: Entry, **arguments: Any) -> BulkJobTrigger:
    defaults: dict[str, Any] = {
        "job_type": KINDS[entries[0].job.kind],
        "salesforce_conn_id": CONN_ID,
        "poll_interval": 0.2,
        "job_ids": [entry.job.id for entry in entries],
    }
    return BulkJobTrigger(**{**defaults, **arguments})


def start(*triggers: BulkJobTrigger) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(first_event(each)) for each in triggers]


async def outcomes(waits: list[asyncio.Task[Any]]) -> list[str]:
    return [event.payload["outcome"] for event in await asyncio.gather(*waits)]


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.01)


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    """Run a test's coroutine, after which nothing of a watcher may be left."""

    async def whole() -> Any:
        result = await asyncio.wait_for(test(), 30)
        await asyncio.sleep(0)
        assert not watcher_module._watchers
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task is left"
        return result

    return asyncio.run(whole())


def paths(org: LocalOrg) -> Counter[str]:
    return Counter(call.path.removeprefix("/services/data/v66.0").partition("?")[0] for call in org.calls)


# --- what is shared ---------------------------------------------------------------------------------------------------


def test_many_triggers_share_one_login_and_few_calls(org: LocalOrg) -> None:
    entries = add_jobs(org, 100)

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: paths(org)["/jobs/ingest"] >= 2)
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 100
    assert paths(org)["/services/oauth2/token"] == 1
    assert len(org.calls) < 30


def test_few_triggers_read_their_jobs_one_by_one_and_tell_progress(org: LocalOrg) -> None:
    entries = add_jobs(org, 2)
    seen: list[str] = []

    async def progress(infos: Any) -> None:
        seen.extend(info.id for info in infos)
        if len(set(seen)) == 2:
            end(org, *entries)

    async def test() -> None:
        async with watcher_of(CONN_ID, None) as watcher:
            ids = [entry.job.id for entry in entries]
            result = await watcher.wait_for_jobs(ids, JobType.INGEST, longest=0.2, on_progress=progress)
            assert {job.id: str(job.state) for job in result.jobs} == dict.fromkeys(ids, "JobComplete")

    run(test)
    assert not paths(org)["/jobs/ingest"]


def test_both_halves_of_the_api_are_watched_at_once(org: LocalOrg) -> None:
    entries = [*add_jobs(org, 20), *add_jobs(org, 20, JobKind.QUERY)]

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: bool(paths(org)["/jobs/ingest"] and paths(org)["/jobs/query"]))
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 40


def test_connections_have_watchers_of_their_own(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", org.connection)
    one, other = add_jobs(org, 2, state=State.JOB_COMPLETE)

    async def test() -> list[str]:
        return await outcomes(start(trigger(one), trigger(other, salesforce_conn_id="other")))

    assert run(test) == ["final", "final"]
    assert paths(org)["/services/oauth2/token"] == 2


def test_the_calls_of_all_are_counted_once(org: LocalOrg) -> None:
    entries = add_jobs(org, 30)

    async def test() -> int:
        waits = start(*(trigger(entry) for entry in entries))
        for n, entry in enumerate(entries):
            if n % 10 == 0:
                await asyncio.sleep(0.3)
            end(org, entry)
        return sum(event.payload["api_calls"] for event in await asyncio.gather(*waits))

    counted = run(test)
    assert counted == sum(call.path.startswith("/services/data/") for call in org.calls)


class EndAt(Fault):
    """Let the org's jobs end at the given look at one of them."""

    def __init__(self, org: LocalOrg, number: int) -> None:
        self._org, self._number = org, number

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number == self._number:
            self._org.advance(61)
            await asyncio.to_thread(self._org.wait_until_idle)
        return None


def test_a_load_of_one_job_that_takes_a_minute_costs_twelve_calls(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Three looks by the task; three more in the triggerer, as the plan of polls makes for a minute (tests/client).
    monkeypatch.setattr(base, "FIRST_POLLS", (0.0, 0.05, 0.05))
    org.core.job_seconds = 60
    org.core.faults.add("ingest.get", EndAt(org, 6))
    rows = [{"Name": f"Company {n}"} for n in range(20)]
    operator = BulkIngestOperator(
        task_id="t",
        sobject="Account",
        operation="insert",
        source=rows,
        results_path=str(tmp_path),
        deferrable=True,
        poll_interval=0.05,
    )
    result = task.start().run(operator)
    assert result["successful"] == 20
    assert result["api_calls"] == sum(call.path.startswith("/services/data/") for call in org.calls) == 12


# --- each gets its own ------------------------------------------------------------------------------------------------


def test_each_is_told_of_its_own_jobs_and_once(org: LocalOrg) -> None:
    entries = add_jobs(org, 12)
    fired: list[str] = []

    async def wait(entry: Entry) -> None:
        async for event in trigger(entry).run():
            fired.append(event.payload["job_ids"][0])

    async def test() -> None:
        waits = [asyncio.create_task(wait(entry)) for entry in entries]
        for entry in reversed(entries):
            before = list(fired)
            end(org, entry)
            await until(lambda known=before: len(fired) > len(known))  # type: ignore[misc]
            assert fired == [*before, entry.job.id]
        await asyncio.gather(*waits)

    run(test)
    assert len(fired) == 12


def test_two_who_wait_for_one_job_are_both_told(org: LocalOrg) -> None:
    (entry,) = add_jobs(org, 1)

    async def test() -> list[str]:
        waits = start(trigger(entry), trigger(entry, job_ids=[entry.job.id[:15]]))
        await until(lambda: len(org.calls) > 2)
        end(org, entry)
        return await outcomes(waits)

    assert run(test) == ["final", "final"]


def test_a_job_that_is_gone_is_an_error_for_its_trigger_alone(org: LocalOrg) -> None:
    entries = add_jobs(org, 8)
    org.core.jobs.remove(entries[3])

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(waits[3].done)
        assert not any(wait.done() for wait in waits if wait is not waits[3])
        end(org, *(entry for entry in entries if entry is not entries[3]))
        return await outcomes(waits)

    assert Counter(run(test)) == {"final": 7, "error": 1}


def test_a_deadline_ends_one_wait_and_not_the_others(org: LocalOrg) -> None:
    entries = add_jobs(org, 5)
    soon = datetime.now(UTC).timestamp() + 0.5

    async def test() -> list[str]:
        waits = start(trigger(entries[0], deadline=soon), *(trigger(entry) for entry in entries[1:]))
        await until(waits[0].done)
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["timeout", *["final"] * 4]


# --- coming and going -------------------------------------------------------------------------------------------------


def test_one_that_is_cancelled_leaves_and_the_last_ends_the_watch(org: LocalOrg) -> None:
    entries = add_jobs(org, 3)

    async def test() -> None:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: len(org.calls) > 3)
        waits[0].cancel()
        await asyncio.wait([waits[0]])
        (watcher,) = watcher_module._watchers.values()
        assert watcher.members == 2
        end(org, entries[1])
        assert await outcomes([waits[1]]) == ["final"]
        waits[2].cancel()
        await asyncio.wait([waits[2]])

    run(test)


def test_who_comes_after_the_last_has_left_gets_another_watch(org: LocalOrg) -> None:
    one, other = add_jobs(org, 2, state=State.JOB_COMPLETE)

    async def test() -> list[str]:
        return [*await outcomes(start(trigger(one))), *await outcomes(start(trigger(other)))]

    assert run(test) == ["final", "final"]
    assert paths(org)["/services/oauth2/token"] == 2


def test_one_that_is_cancelled_again_and_again_leaves_no_client(org: LocalOrg) -> None:
    (entry,) = add_jobs(org, 1)

    async def test() -> None:
        (wait,) = start(trigger(entry))
        await until(lambda: len(org.calls) > 1)
        for _ in range(5):
            wait.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([wait])
        await until(lambda: not watcher_module._ending)

    run(test)


@pytest.fixture
def quick_troubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once after trouble."""
    monkeypatch.setattr(polls, "TROUBLE_SECONDS", 0.01)


# --- trouble ----------------------------------------------------------------------------------------------------------


class Answer(Fault):
    """Answer so in the org's place, for the first calls of a route."""

    def __init__(self, response: Callable[[], Response], times: int) -> None:
        self._response, self.left = response, times

    async def before(self, exchange: Exchange) -> Response | None:
        self.left -= 1
        return self._response() if self.left >= 0 else None


def busy() -> Response:
    return Response("<html>", status_code=503, media_type="text/html")


def concurrent() -> Response:
    text = '[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API) Limit exceeded."}]'
    return Response(text, status_code=403, media_type="application/json")


def odd() -> Response:
    return Response('{"id":"750LO0000000001YAA","state":"Resting"}', media_type="application/json")


def foreign() -> Response:
    job = '{"id":"750LO00000000ZZYAA","state":"InProgress","operation":"insert"}'
    return Response(job, media_type="application/json")


@pytest.mark.parametrize("response", [busy, concurrent, odd, foreign])
@pytest.mark.parametrize("number", [1, 20])
def test_a_bad_moment_of_salesforce_fails_nobody(response: Callable[[], Response], number: int, org: LocalOrg) -> None:
    entries = add_jobs(org, number)
    for route in ("ingest.get", "ingest.list"):
        org.core.faults.add(route, Answer(response, 2))

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await asyncio.sleep(0.3)
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * number


def test_a_session_that_ends_is_renewed_once_for_all(org: LocalOrg) -> None:
    entries = add_jobs(org, 20)

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: paths(org)["/jobs/ingest"] >= 1)
        org.expire_tokens()
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 20
    assert paths(org)["/services/oauth2/token"] == 2


def test_a_list_that_is_no_list_is_read_no_more(org: LocalOrg) -> None:
    entries = add_jobs(org, 5)
    org.core.faults.add("ingest.list", Answer(lambda: Response("{}", media_type="application/json"), 100))

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: len(org.calls) > 4)
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 5
    assert paths(org)["/jobs/ingest"] == 1


def test_other_peoples_strange_jobs_in_the_list_do_no_harm(org: LocalOrg) -> None:
    entries = add_jobs(org, 20)

    class Strange(Fault):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            body = bytes(response.body).replace(
                b'"records":[', b'"records":[{"id":7},{"id":"x","state":"New"},null,', 1
            )
            return Response(body, media_type="application/json")

    org.core.faults.add("ingest.list", Strange())

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: paths(org)["/jobs/ingest"] >= 1)
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 20


def test_a_login_that_is_mended_in_the_connection_meanwhile_is_taken_up(
    org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = add_jobs(org, 2)

    class Refuse(Fault):
        async def before(self, exchange: Exchange) -> Response | None:
            if exchange.number != 2:
                return None
            text = '{"error":"invalid_grant","error_description":"expired authorization code"}'
            return Response(text, status_code=400, media_type="application/json")

    org.core.faults.add("oauth.token", Refuse())

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: len(org.calls) > 2)
        org.expire_tokens()
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final", "final"]
    assert paths(org)["/services/oauth2/token"] == 3


@pytest.fixture
def other_org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        yield running


def edit_connection(monkeypatch: pytest.MonkeyPatch, org: LocalOrg, **edits: str) -> None:
    """Save the connection, now to this org."""
    connection = json.loads(org.connection)
    connection["extra"].update(edits)
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", json.dumps(connection))


@pytest.mark.parametrize("number", [1, 20])
def test_jobs_are_found_where_an_edited_connection_leads(
    number: int, org: LocalOrg, other_org: LocalOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_client, "FRESH_SECONDS", 0.0)
    old = add_jobs(org, 5)
    new = add_jobs(other_org, 5 + number)[5:]

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in old))
        await until(lambda: paths(org)["/jobs/ingest"] >= 1)
        edit_connection(monkeypatch, other_org)
        more = start(*(trigger(entry) for entry in new))
        await until(lambda: bool(other_org.calls))
        end(other_org, *new)
        ended = await outcomes(more)
        for each in waits:
            each.cancel()
        await asyncio.wait(waits)
        return ended

    assert run(test) == ["final"] * number
    assert paths(other_org)["/services/oauth2/token"] == 1


def test_a_connection_that_was_edited_wrongly_is_tried_once_and_what_waits_waits_on(
    org: LocalOrg, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_client, "REREAD_SECONDS", 0.0)
    (entry,) = add_jobs(org, 1)

    async def test() -> list[str]:
        waits = start(trigger(entry))
        await until(lambda: paths(org)[f"/jobs/ingest/{entry.job.id}"] >= 1)
        edit_connection(monkeypatch, org, client_secret="wrong-secret")
        seen = len(org.calls)
        await until(lambda: len(org.calls) > seen + 4)
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", "{")
        seen = len(org.calls)
        await until(lambda: len(org.calls) > seen + 2)
        end(org, entry)
        return await outcomes(waits)

    assert run(test) == ["final"]
    assert paths(org)["/services/oauth2/token"] == 2
    assert "cannot be used as it is now" in caplog.text


INVALID_USER = '[{"errorCode":"InvalidUser","message":"user is not enabled for Bulk API"}]'


@pytest.mark.parametrize("number", [1, 20])
@pytest.mark.parametrize("status", [400, 403])
def test_calls_that_are_refused_for_a_moment_fail_nobody(
    status: int, number: int, org: LocalOrg, quick_troubles: None
) -> None:
    entries = add_jobs(org, number)
    answers = [
        Answer(lambda: Response(INVALID_USER, status_code=status, media_type="application/json"), 2)
        for _ in ("ingest.get", "ingest.list")
    ]
    for route, answer in zip(("ingest.get", "ingest.list"), answers, strict=True):
        org.core.faults.add(route, answer)

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: any(answer.left < 2 for answer in answers))
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * number


def test_a_job_whose_calls_stay_refused_ends_its_own_wait(org: LocalOrg, quick_troubles: None) -> None:
    refused, *others = add_jobs(org, 3)

    class NoAccess(Fault):
        async def before(self, exchange: Exchange) -> Response | None:
            text = '[{"errorCode":"INSUFFICIENT_ACCESS","message":"no access"}]'
            mine = refused.job.id in exchange.path
            return Response(text, status_code=403, media_type="application/json") if mine else None

    org.core.faults.add("ingest.get", NoAccess())

    async def test() -> tuple[list[str], list[str]]:
        first, *rest = start(*(trigger(entry) for entry in (refused, *others)))
        ended = await outcomes([first])
        assert not any(wait.done() for wait in rest)
        end(org, *others)
        return ended, await outcomes(rest)

    assert run(test) == (["error"], ["final"] * 2)


def test_a_mistake_that_one_job_brings_to_light_ends_its_own_wait(
    org: LocalOrg, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad, *others = add_jobs(org, 3)
    real = Watcher._perform

    async def broken(self: Watcher, poll: Any, driver: Any) -> None:
        if getattr(poll, "job_id", None) == bad.job.id:
            raise ZeroDivisionError
        await real(self, poll, driver)

    monkeypatch.setattr(Watcher, "_perform", broken)

    async def test() -> tuple[list[str], list[str]]:
        first, *rest = start(*(trigger(entry) for entry in (bad, *others)))
        ended = await outcomes([first])
        end(org, *others)
        return ended, await outcomes(rest)

    with caplog.at_level(logging.ERROR):
        assert run(test) == (["error"], ["final"] * 2)
    assert "an internal error in the poll" in caplog.text


@pytest.mark.parametrize("times", [1, 3])
def test_a_plan_that_breaks_is_made_anew(times: int, org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = add_jobs(org, 5)
    monkeypatch.setattr(watcher_module, "BROKEN_SECONDS", 0.01)
    real, left = polls.Polls.next, [times]

    def broken(self: polls.Polls, now: float) -> Any:
        if len(org.calls) > 2 and left[0]:
            left[0] -= 1
            raise ZeroDivisionError
        return real(self, now)

    monkeypatch.setattr(polls.Polls, "next", broken)

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: not left[0])
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 5


WEIRD: list[dict[str, Any]] = [
    *(
        {"poll_interval": value}
        for value in (0, -1, float("nan"), float("inf"), 1e308, timedelta(seconds=3), "30", "x")
    ),
    *({"poll_interval": value} for value in (None, [], {}, True, 10**400, "0:00:30", Decimal("1"))),
    *({"deadline": value} for value in (float("nan"), float("inf"), 1e308, "x", timedelta(1), [], 10**400)),
    *({"deadline": value} for value in (datetime.max.replace(tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))),
    *({"job_type": value} for value in ("ingests", None, 7, [])),
    *({"job_ids": value} for value in ([None], [7], ["../limits"], ["x" * 10**5], None, 5, {}, [[]], "\0")),
    *({"api_calls": value} for value in (None, "x", -1, float("nan"), float("inf"))),
    *({"salesforce_conn_id": value} for value in ("none_such", "", None, 5)),
    *({"api_version": value} for value in ("x", 66, "1.0", [])),
    {"cancel_on_kill": None},
]


def test_no_trigger_s_strange_values_end_the_others_watch(org: LocalOrg, quick_troubles: None) -> None:
    entries = add_jobs(org, 3)
    (shared,) = add_jobs(org, 1)

    async def progress(_: Any) -> None:
        raise ZeroDivisionError

    async def test() -> list[str]:
        waits = start(*(trigger(entry) for entry in entries))
        await until(lambda: len(org.calls) > 2)
        strange = start(*(trigger(shared, **arguments) for arguments in WEIRD))
        async with watcher_of(CONN_ID, None) as watcher:
            own = asyncio.create_task(
                watcher.wait_for_jobs([shared.job.id], JobType.INGEST, longest=float("nan"), on_progress=progress)
            )
            await asyncio.sleep(0.3)
            end(org, shared)
            assert str((await own).outcome) == "final"
        told = await outcomes(strange)
        assert set(told) <= {"final", "error", "timeout"}
        assert not any(wait.done() for wait in waits), "they wait on"
        end(org, *entries)
        return await outcomes(waits)

    assert run(test) == ["final"] * 3


def test_triggers_that_the_version_before_stored_go_on(org: LocalOrg) -> None:
    (entry,) = add_jobs(org, 1, state=State.JOB_COMPLETE)
    kwargs = {
        **{"job_ids": [entry.job.id], "job_type": "ingest", "salesforce_conn_id": CONN_ID, "api_version": None},
        **{"poll_interval": timedelta(seconds=0.2), "deadline": None, "cancel_on_kill": True, "api_calls": 4},
    }

    async def test() -> list[str]:
        return await outcomes(start(BulkJobTrigger(**kwargs)))

    assert run(test) == ["final"]


def test_many_killed_at_once_share_a_login(org: LocalOrg, ended: Callable[..., None]) -> None:
    entries = add_jobs(org, 20)
    task_instance = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=-1, id=uuid4())
    ended(task_instance)

    async def test() -> None:
        killed = [trigger(entry) for entry in entries]
        for each in killed:
            each.task_instance = task_instance  # type: ignore[assignment]
        await asyncio.gather(*(each.on_kill() for each in killed))

    run(test)
    assert {entry.job.state for entry in entries} == {State.ABORTED}
    assert paths(org)["/services/oauth2/token"] == 1
