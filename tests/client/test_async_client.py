"""The asynchronous client against the local org: the names of the blocking one, awaited."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.client import AsyncBulkClient, BulkClient, errors
from airflow_provider_sfbulk.client.bulk1.api import AsyncBulk1Api, Bulk1Api
from airflow_provider_sfbulk.client.bulk1.results import (
    AsyncBulk1QueryResult,
    AsyncBulk1Result,
    Bulk1QueryResult,
    Bulk1Result,
)
from airflow_provider_sfbulk.client.faces.bulk_result import AsyncBulkResult, BulkResult
from airflow_provider_sfbulk.client.faces.job_calls import Waiting
from airflow_provider_sfbulk.client.faces.query_result import AsyncBulkQueryResult, BulkQueryResult
from airflow_provider_sfbulk.client.ingest import AsyncIngestApi, IngestApi
from airflow_provider_sfbulk.client.query import AsyncQueryApi, QueryApi
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg

QUICK = Schedule(first=0.02, growth=0.1, longest=0.2)


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg() as running:
        yield running


def run(org: LocalOrg, use: Callable[[AsyncBulkClient], Coroutine[Any, Any, Any]]) -> Any:
    async def main() -> Any:
        async with AsyncBulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret) as client:
            return await use(client)

    return asyncio.run(main())


def rows(prefix: str, count: int = 25) -> list[dict[str, Any]]:
    return [{"Name": f"{prefix} {n}", "External_Key__c": f"{prefix}-{n}"} for n in range(count)]


# --- the two faces ---


@pytest.mark.parametrize(
    ("blocking", "asynchronous"),
    [
        (BulkClient, AsyncBulkClient),
        (IngestApi, AsyncIngestApi),
        (QueryApi, AsyncQueryApi),
        (Bulk1Api, AsyncBulk1Api),
        (BulkResult, AsyncBulkResult),
        (BulkQueryResult, AsyncBulkQueryResult),
        (Bulk1Result, AsyncBulk1Result),
        (Bulk1QueryResult, AsyncBulk1QueryResult),
    ],
)
def test_both_faces_have_the_same_names_and_arguments(blocking: type, asynchronous: type) -> None:
    def public(face: type) -> dict[str, Any]:
        return {name: inspect.getattr_static(face, name) for name in dir(face) if not name.startswith("_")}

    one, other = public(blocking), public(asynchronous)
    assert set(one) == set(other)
    for name, found in one.items():
        if inspect.isfunction(found):
            left, right = (inspect.signature(each).parameters for each in (found, other[name]))
            assert list(left.items()) == list(right.items()), name
        elif found is not other[name]:
            assert inspect.getdoc(found), name
            assert type(found) is type(other[name]), name
    assert hasattr(blocking, "__iter__") == hasattr(asynchronous, "__aiter__")
    assert hasattr(blocking, "__enter__") == hasattr(asynchronous, "__aenter__")


def test_a_call_shows_its_arguments_and_what_it_is_for(org: LocalOrg) -> None:
    blocking = BulkClient(host=org.url, client_id="x", client_secret="y")
    asynchronous = AsyncBulkClient(host=org.url, client_id="x", client_secret="y")
    for client in (blocking, asynchronous):
        assert list(inspect.signature(client.ingest.get_job).parameters) == ["job_id"]
        assert "timeout" in inspect.signature(client.ingest.perform).parameters
        assert inspect.getdoc(client.ingest.upload).startswith("Upload a job's CSV")
        assert client.query.results.__name__ == "results"


# --- what it does ---


@pytest.mark.parity("K1.2", "K1.7", "A4.2", "A4.3", "A4.6", "A4.8", "K10.1")
def test_single_calls_are_awaited(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        job = await client.ingest.create_job("Account", "insert")
        await client.ingest.upload(job.id, rows("A"))
        await client.ingest.close(job.id)
        assert (await client.ingest.wait(job.id, schedule=QUICK)).successful == 25
        saved = [row async for row in client.ingest.successful_results(job.id)]
        assert {row["Name"] for row in saved} == {f"A {n}" for n in range(25)}
        assert [row async for row in client.ingest.failed_results(job.id)] == []
        assert job.id in {each.id async for each in client.ingest.list_jobs()}
        assert (await client.describe("Account"))["name"] == "Account"
        assert (await client.limits())["DailyApiRequests"].max == 15000
        assert (await client.instance_url) == org.url
        query = await client.query.create_job("SELECT Name FROM Account WHERE External_Key__c LIKE 'A-%'")
        await client.query.wait(query.id, schedule=QUICK)
        assert len([row async for row in client.query.results(query.id)]) == 25
        await client.query.delete(query.id)
        with pytest.raises(errors.NotFoundError):
            await client.query.get_job(query.id)
        assert client.api_calls > 10

    run(org, use)


@pytest.mark.parity("K2.7", "K7.1", "K1.4", "K1.5")
def test_a_load_is_awaited_for_its_result(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        records = rows("B")
        records[3]["Name"] = ""
        seen: list[Any] = []
        result = await client.ingest.perform("Account", "insert", records, schedule=QUICK, on_progress=seen.append)
        assert isinstance(result, AsyncBulkResult)
        assert (result.successful_count, result.failed_count, len(result.errors)) == (24, 1, 1)
        assert result.job.state == seen[-1].state == "JobComplete"
        assert [row["External_Key__c"] async for row in result.failed_records] == ["B-3"]
        assert [error.status_code async for error in result.errors] == ["REQUIRED_FIELD_MISSING"]
        ids = [row["sf__Id"] async for row in result.successful_records]
        assert (await client.delete("Account", ids, schedule=QUICK)).is_successful

    run(org, use)


@pytest.mark.parity("I4.10", "A2.1", "I2.1")
def test_the_results_of_jobs_come_as_they_finish(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        found = [
            result
            async for result in client.ingest.perform("Account", "insert", rows("C"), part_records=10, schedule=QUICK)
        ]
        assert sorted(result.successful_count for result in found) == [5, 10, 10]
        assert len({result.job.id for result in found}) == 3
        saved = [row["Name"] for result in found async for row in result.successful_records]
        assert sorted(saved) == sorted(row["Name"] for row in rows("C"))

    run(org, use)


@pytest.mark.parity("I4.10")
def test_a_job_that_is_done_is_given_while_another_runs(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        done = await client.insert("Account", rows("D", 1), schedule=QUICK)
        org.core.job_seconds = 3600
        running = await client.insert("Account", rows("DD", 1), wait=False)
        with pytest.raises(errors.SourceError, match="not been waited for"):
            _ = running.successful_count
        both = AsyncBulkResult(client, [*running._filled, *done._filled], Waiting(timeout=5, schedule=QUICK))
        found = aiter(both)
        assert (await anext(found)).job_ids == done.job_ids
        assert not (await client.ingest.get_job(running.job_ids[0])).is_final
        org.advance(3600)
        assert (await anext(found)).job_ids == running.job_ids
        assert await anext(found, None) is None

    try:
        run(org, use)
    finally:
        org.core.job_seconds = 0


@pytest.mark.parity("A4.9", "K5.2")
def test_a_query_is_iterated_over_at_once_or_awaited(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        await client.insert("Account", rows("E", 30), schedule=QUICK)
        soql = "SELECT Name, External_Key__c FROM Account WHERE External_Key__c LIKE 'E-%'"
        found = [row async for row in client.query.perform(soql, schedule=QUICK, page_records=7)]
        assert {row["External_Key__c"] for row in found} == {f"E-{n}" for n in range(30)}
        result = await client.query.perform(soql, schedule=QUICK)
        assert (len(result), result.record_count, len(result.records)) == (30, 30, 30)
        assert [row async for row in result] == [row async for row in result.records]
        assert len(await result.to_df()) == 30

    run(org, use)


def test_bulk_api_1_is_there_too(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        records = rows("F")
        records[7]["Name"] = ""
        outcomes = [
            each async for each in client.bulk1.perform("Account", "insert", records, batch_records=10, schedule=QUICK)
        ]
        assert [each.success for each in outcomes] == [n != 7 for n in range(25)]
        result = await client.bulk1.perform("Account", "insert", rows("G", 3), schedule=QUICK)
        assert (len(result), len(result.errors), len(await result.jobs)) == (3, 0, 1)
        soql = "SELECT Name FROM Account WHERE External_Key__c LIKE 'F-%'"
        assert len([row async for row in client.bulk1.query(soql, schedule=QUICK)]) == 24
        job = await client.bulk1.create_job("Account", "insert")
        await client.bulk1.add_batch(job.id, rows("H", 2))
        await client.bulk1.close(job.id)
        (batch,) = await client.bulk1.wait(job.id, schedule=QUICK)
        assert [each.success for each in await client.bulk1.results(job.id, batch.id)] == [True, True]

    run(org, use)


def test_records_may_be_asynchronous_and_parts_are_given_to_be_uploaded(org: LocalOrg) -> None:
    async def given(prefix: str) -> AsyncIterator[dict[str, Any]]:
        for row in rows(prefix, 2500):
            await asyncio.sleep(0)
            yield row

    async def use(client: AsyncBulkClient) -> None:
        result = await client.ingest.perform("Account", "insert", given("I"), schedule=QUICK)
        assert result.successful_count == 2500
        job_ids = []
        async for part in client.ingest.serialize(given("J"), part_records=1000):
            job = await client.ingest.create_job("Account", "insert")
            await client.ingest.upload(job.id, part)
            part.close()
            await client.ingest.close(job.id)
            job_ids.append(job.id)
        done = await asyncio.gather(*(client.ingest.wait(each, schedule=QUICK) for each in job_ids))
        assert [each.successful for each in done] == [1000, 1000, 500]

    run(org, use)


def test_what_is_wrong_is_raised_where_it_is_awaited(org: LocalOrg, tmp_path: Path) -> None:
    async def use(client: AsyncBulkClient) -> None:
        calls = client.api_calls
        with pytest.raises(errors.SourceError):
            await client.ingest.perform("Account", "update", [{"Name": "no id"}])
        with pytest.raises(errors.SourceError, match="No such file"):
            await client.ingest.perform("Account", "insert", tmp_path / "none.csv")
        assert client.api_calls == calls, "before any call"
        with pytest.raises(errors.RequestRefusedError, match="No such column"):
            async for _ in client.query.perform("SELECT Nope FROM Account"):
                pass
        with pytest.raises(errors.NotFoundError):
            async for _ in client.ingest.successful_results("750000000000001AAA"):
                pass

    run(org, use)


def test_the_loop_is_free_while_records_are_read_and_encoded(org: LocalOrg) -> None:
    threads: set[int] = set()

    def slow() -> Iterator[dict[str, Any]]:
        for row in rows("K", 40):
            threads.add(threading.get_ident())
            time.sleep(0.005)
            yield row

    async def use(client: AsyncBulkClient) -> None:
        await client.limits()
        late: list[float] = []

        async def tick() -> None:
            while True:
                begun = time.monotonic()
                await asyncio.sleep(0.001)
                late.append(time.monotonic() - begun)

        ticking = asyncio.create_task(tick())
        await client.ingest.perform("Account", "insert", slow(), schedule=QUICK)
        await client.bulk1.perform("Account", "insert", slow(), schedule=QUICK)
        ticking.cancel()
        assert len(late) > 20

    run(org, use)
    assert threading.main_thread().ident not in threads


def test_a_load_that_is_cancelled_leaves_nothing_processed(org: LocalOrg) -> None:
    began = threading.Event()

    def endless() -> Iterator[dict[str, Any]]:
        for n in range(1_000_000):
            began.set()
            yield {"Name": f"cancelled {n}"}

    async def use(client: AsyncBulkClient) -> None:
        loading = asyncio.create_task(client.ingest.perform("Account", "insert", endless(), part_records=1000))
        await asyncio.to_thread(began.wait)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert (await client.limits())["DailyApiRequests"].max == 15000, "the client is whole"

    run(org, use)
    assert not [record for record in org.records("Account") if record["Name"].startswith("cancelled")]


async def _all(items: AsyncIterator[Any]) -> list[Any]:
    return [each async for each in items]


@pytest.mark.parametrize(
    "load",
    [
        lambda client, records: client.insert("Account", records),
        lambda client, records: _all(client.insert("Account", records)),
        lambda client, records: client.bulk1.perform("Account", "insert", records),
        lambda client, records: _all(client.ingest.serialize(records)),
    ],
    ids=["awaited", "iterated over", "1.0", "serialized"],
)
def test_a_load_is_cancelled_while_it_waits_for_its_records(
    load: Callable[[AsyncBulkClient, Any], Coroutine[Any, Any, Any]], org: LocalOrg
) -> None:
    async def use(client: AsyncBulkClient) -> None:
        asked, freed, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def given() -> AsyncIterator[dict[str, Any]]:
            try:
                yield {"Name": "never loaded"}
                asked.set()
                await freed.wait()
            finally:
                ended.set()

        loading = asyncio.ensure_future(load(client, given()))
        await asked.wait()
        loading.cancel()
        await asyncio.wait([loading], timeout=20)
        was_cancelled = loading.cancelled()
        freed.set()
        assert was_cancelled
        await ended.wait()
        assert not [record for record in org.records("Account") if record["Name"] == "never loaded"]

    run(org, use)


def test_asynchronous_records_may_need_the_loop_s_threads(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))

        async def given(prefix: str) -> AsyncIterator[dict[str, Any]]:
            for row in rows(prefix, 2):
                yield await asyncio.wait_for(asyncio.to_thread(row.copy), 10)

        loads = [client.insert("Account", given(f"P{n}"), schedule=QUICK) for n in range(4)]
        assert [each.successful_count for each in await asyncio.gather(*loads)] == [2] * 4

    run(org, use)


@pytest.mark.parametrize("is_async", [True, False])
def test_progress_is_told_on_the_loop_and_awaited(is_async: bool, org: LocalOrg) -> None:
    seen: list[tuple[str, bool]] = []

    def show(job: Any) -> None:
        seen.append((type(job).__name__, threading.current_thread() is threading.main_thread()))

    async def show_later(job: Any) -> None:
        await asyncio.sleep(0)
        show(job)

    async def use(client: AsyncBulkClient) -> None:
        options: Any = {"schedule": QUICK, "on_progress": show_later if is_async else show}
        result = await client.insert("Account", rows("Q", 1), wait=False)
        for told, waiting in (
            ("JobInfo", result.wait(**options)),
            ("JobInfo", _all(client.insert("Account", rows("R", 1), **options))),
            ("JobInfo", client.query.perform("SELECT Id FROM Contact", **options)),
            ("Bulk1Job", client.bulk1.perform("Account", "insert", rows("S", 1), **options)),
            ("Bulk1Job", client.bulk1.query("SELECT Id FROM Contact", **options)),
        ):
            await waiting
            assert set(seen) == {(told, True)}
            seen.clear()

    run(org, use)
    if is_async:
        with BulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret) as client:
            result = client.insert("Account", rows("T", 1), wait=False)
            calls = client.api_calls
            for call in (
                result.wait,
                partial(client.insert, "Account", rows("U", 1)),
                partial(client.bulk1.query, "SELECT Id FROM Contact"),
            ):
                with pytest.raises(errors.SourceError, match="on_progress is an async function"):
                    call(on_progress=show_later)
            assert client.api_calls == calls


def test_whole_loads_and_queries_are_tasks_too(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.insert("Account", rows(f"L{n}", 3), schedule=QUICK)) for n in range(3)]
        assert [task.result().successful_count for task in tasks] == [3, 3, 3]
        both = await asyncio.gather(
            client.query.perform("SELECT Id FROM Contact", schedule=QUICK), client.describe("Contact")
        )
        assert len(both[0]) == 0
        client.query.perform("SELECT Id FROM Contact")  # never awaited: nothing happens
        pending = client.query.perform("SELECT Id FROM Contact", schedule=QUICK)
        await pending
        with pytest.raises(RuntimeError, match="already awaited"):
            await pending
        load = client.insert("Account", rows("LL", 1), schedule=QUICK)
        assert len(await _all(load)) == 1
        calls = client.api_calls
        for again in (load, _all(load), _all(pending)):
            with pytest.raises(RuntimeError, match="already awaited or iterated over"):
                await again
        assert client.api_calls == calls, "nothing is loaded twice"

    run(org, use)


def test_another_event_loop_needs_another_client_or_one_that_was_closed(org: LocalOrg) -> None:
    client = AsyncBulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret)

    async def use(*, to_its_end: bool) -> int:
        found = (await client.limits())["DailyApiRequests"].max
        if to_its_end:
            await client.close()
        return found

    loop = asyncio.new_event_loop()
    try:
        assert loop.run_until_complete(use(to_its_end=False)) == 15000
        with pytest.raises(errors.SourceError, match="belong to another event loop"):
            asyncio.run(use(to_its_end=True))
        loop.run_until_complete(client.close())
    finally:
        loop.close()
    assert asyncio.run(use(to_its_end=True)) == 15000


def test_asynchronous_records_may_be_the_first_thing_of_all(org: LocalOrg) -> None:
    async def given() -> AsyncIterator[dict[str, Any]]:
        yield {"Name": "first"}

    async def use(client: AsyncBulkClient) -> None:
        (data,) = [part.data async for part in client.ingest.serialize(given())]
        assert data == b"Name\nfirst\n"

    run(org, use)


def test_an_iteration_that_is_left_or_cancelled_leaves_the_client_whole(org: LocalOrg) -> None:
    async def use(client: AsyncBulkClient) -> None:
        await client.insert("Account", rows("M", 20), schedule=QUICK)
        soql = "SELECT Name FROM Account WHERE External_Key__c LIKE 'M-%'"
        async for _ in client.query.perform(soql, schedule=QUICK, page_records=3):
            break

        async def read() -> None:
            while True:
                async for _ in client.query.perform(soql, schedule=QUICK, page_records=1):
                    pass

        for pause in (0.05, 0.2, 0.5):
            reading = asyncio.create_task(read())
            await asyncio.sleep(pause)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
        assert len(await client.query.perform(soql, schedule=QUICK)) == 20

    run(org, use)
