"""Another client: aio-sf, whose bulk queries end in records, CSV and Parquet. It takes plain http."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Witness

aio_sf = pytest.importorskip("aio_sf")

NAMES = [f"Stand {n}" for n in range(25)]
SOQL = "SELECT Name, AnnualRevenue, IsDeleted FROM Account ORDER BY External_Key__c"


@pytest.fixture
def filled(org: LocalOrg, witness: Witness) -> LocalOrg:
    """25 accounts, in the order of their keys."""
    rows = "".join(f"{name},K{n:02},{n}\n" for n, name in enumerate(NAMES))
    witness.load(f"Name,External_Key__c,AnnualRevenue\n{rows}")
    return org


def perform(org: LocalOrg, use: Callable[[Any], Awaitable[Any]], auth: Any = None) -> Any:
    """Do something with a client."""

    async def run() -> Any:
        login = auth or aio_sf.ClientCredentialsAuth(org.url, org.client_id, org.client_secret)
        async with aio_sf.SalesforceClient(login, version="v66.0") as client:
            return await use(client)

    return asyncio.run(run())


def test_a_query_by_its_single_calls(filled: LocalOrg) -> None:
    async def use(client: Any) -> None:
        job = await client.bulk_v2.create_job(SOQL)
        ended = await client.bulk_v2.wait_for_job_completion(job["id"], poll_interval=0)
        assert (ended["state"], ended["numberRecordsProcessed"]) == ("JobComplete", 25)
        text, locator = await client.bulk_v2.get_job_results(job["id"], max_records=20)
        assert (len(text.splitlines()), bool(locator)) == (21, True)
        text, locator = await client.bulk_v2.get_job_results(job["id"], locator, max_records=20)
        assert (len(text.splitlines()), locator) == (6, None)

    perform(filled, use)


def test_a_whole_query_as_records(filled: LocalOrg) -> None:
    async def use(client: Any) -> list[dict[str, str]]:
        result = await aio_sf.bulk_query(client, SOQL, batch_size=10, poll_interval=0)
        assert len(result) == 25
        return [record async for record in result]

    records = perform(filled, use)
    assert [record["Name"] for record in records] == NAMES
    assert records[3] == {"Name": "Stand 3", "AnnualRevenue": "3.0", "IsDeleted": "false"}
    assert sum("/results?" in call.path for call in filled.calls) == 3


def test_deleted_records_and_a_place_to_go_on_from(filled: LocalOrg, witness: Witness) -> None:
    record_id = filled.records("Account")[0]["Id"]
    witness.load(f"Id\n{record_id}\n", operation="delete")

    async def use(client: Any) -> tuple[int, int, int]:
        living = await aio_sf.bulk_query(client, "SELECT Id FROM Account", poll_interval=0)
        everything = await aio_sf.bulk_query(client, "SELECT Id FROM Account", all_rows=True, poll_interval=0)
        _, locator = await client.bulk_v2.get_job_results(everything.job_id, max_records=20)
        rest = aio_sf.resume_from_locator(client, everything.job_id, locator)
        return len(living), len(everything), len([record async for record in rest])

    assert perform(filled, use) == (24, 25, 5)


def test_a_query_as_parquet(filled: LocalOrg, tmp_path: Path) -> None:
    path = tmp_path / "accounts.parquet"

    async def use(client: Any) -> None:
        described = await client.describe.sobject("Account")
        fields = await aio_sf.get_bulk_fields(described["fields"])
        result = await aio_sf.bulk_query(client, SOQL, poll_interval=0)
        await aio_sf.write_query_to_parquet(result, str(path), fields_metadata=fields)

    perform(filled, use)
    table = pq.read_table(path).to_pydict()
    assert table["Name"] == NAMES
    assert table["AnnualRevenue"][:3] == [0.0, 1.0, 2.0]
    assert set(table["IsDeleted"]) == {False}


def test_metadata(org: LocalOrg) -> None:
    async def use(client: Any) -> None:
        assert (await client.describe.get_limits())["DailyBulkV2QueryJobs"]["Max"] == 10_000
        assert "Account" in [sobject["name"] for sobject in await client.describe.list_sobjects()]

    perform(org, use)


@pytest.mark.parametrize("flow", ["client credentials", "refresh token", "ready-made token"])
def test_every_login(org: LocalOrg, witness: Witness, flow: str) -> None:
    auth = {
        "client credentials": lambda: aio_sf.ClientCredentialsAuth(org.url, org.client_id, org.client_secret),
        "refresh token": lambda: aio_sf.RefreshTokenAuth(
            org.url, "", org.refresh_token, org.client_id, org.client_secret
        ),
        "ready-made token": lambda: aio_sf.StaticTokenAuth(org.url, witness.log_in()),
    }[flow]()

    async def use(client: Any) -> Any:
        return await client.describe.get_limits()

    assert perform(org, use, auth)["DailyApiRequests"]["Max"] == 15_000
