"""Another client: aiosalesforce's Bulk API 2.0 and all its logins. It insists on a host below ``my.salesforce.com``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from airflow_provider_sfbulk.local_org import LocalOrg

aiosalesforce = pytest.importorskip("aiosalesforce")

HOST = "https://acme.my.salesforce.com"
SLEEP = asyncio.sleep


class Loopback(httpx.AsyncHTTPTransport):
    """Sends what is meant for Salesforce to the local org."""

    def __init__(self, org: LocalOrg) -> None:
        super().__init__()
        self._url = httpx.URL(org.url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "acme.my.salesforce.com"
        here = request.url.copy_with(scheme=self._url.scheme, host=self._url.host, port=self._url.port)
        # A copy: it sends a request again when it has failed.
        return await super().handle_async_request(
            httpx.Request(
                request.method, here, headers=request.headers, stream=request.stream, extensions=request.extensions
            )
        )


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits five seconds between its looks at a job."""
    monkeypatch.setattr("aiosalesforce.bulk.v2.ingest.asyncio.sleep", lambda seconds: SLEEP(min(seconds, 0.005)))


def perform(org: LocalOrg, use: Callable[[Any], Awaitable[Any]], auth: Any = None, version: str = "66.0") -> Any:
    """Do something with a client."""

    async def run() -> Any:
        async with httpx.AsyncClient(transport=Loopback(org)) as client:
            login = auth or aiosalesforce.ClientCredentialsFlow(org.client_id, org.client_secret)
            return await use(aiosalesforce.Salesforce(client, base_url=HOST, auth=login, version=version))

    return asyncio.run(run())


def test_every_operation(org: LocalOrg) -> None:
    async def use(salesforce: Any) -> None:
        bulk = salesforce.bulk_v2
        inserted = await bulk.insert("Account", [{"Name": "A", "External_Key__c": "1"}, {"External_Key__c": "2"}])
        assert [row["sf__Created"] for row in inserted.successful_results] == ["true"]
        (failed,) = inserted.failed_results
        assert failed["sf__Error"].startswith("REQUIRED_FIELD_MISSING:")
        assert inserted.unprocessed_records == []
        (job,) = inserted.jobs
        assert (job.state, job.operation, job.object) == ("JobComplete", "insert", "Account")
        record_id = inserted.successful_results[0]["sf__Id"]
        await bulk.update("Account", [{"Id": record_id, "Phone": "1"}])
        upserted = await bulk.upsert(
            "Account", [{"External_Key__c": "1", "Fax": "2"}, {"External_Key__c": "3", "Name": "C"}], "External_Key__c"
        )
        made = {row["External_Key__c"]: row["sf__Created"] for row in upserted.successful_results}
        assert made == {"1": "false", "3": "true"}
        assert next((r["Name"], r["Phone"], r["Fax"]) for r in org.records("Account")) == ("A", "1", "2")
        await bulk.delete("Account", [{"Id": record_id}])
        assert len(org.records("Account")) == 1
        assert len(org.records("Account", include_deleted=True)) == 2
        (other,) = org.records("Account")
        await bulk.delete("Account", [{"Id": other["Id"]}], hard=True)
        assert len(org.records("Account", include_deleted=True)) == 1

    perform(org, use)


def test_jobs_are_made_listed_aborted_and_deleted_by_hand(org: LocalOrg) -> None:
    async def use(salesforce: Any) -> None:
        ingest = salesforce.bulk_v2.ingest
        made = [await ingest.create_job("insert", "Account") for _ in range(3)]
        assert (made[0].state, made[0].content_type, made[0].api_version) == ("Open", "CSV", 66.0)
        await ingest.upload_job_data(made[0].id, b"Name\nA\n")
        while (await ingest.get_job(made[0].id)).state != "JobComplete":
            pass
        assert (await ingest.abort_job(made[1].id)).state == "Aborted"
        listed = {job.id: job.state async for job in ingest.list_jobs()}
        assert listed == {made[0].id: "JobComplete", made[1].id: "Aborted", made[2].id: "Open"}
        assert [job async for job in ingest.list_jobs(is_pk_chunking_enabled=True)] == []
        await ingest.delete_job(made[1].id)
        with pytest.raises(aiosalesforce.exceptions.SalesforceError):
            await ingest.get_job(made[1].id)

    perform(org, use)


def test_large_data_are_cut_into_jobs(org: LocalOrg) -> None:
    async def use(salesforce: Any) -> int:
        found = 0
        data = [{"LastName": f"N{n}"} for n in range(25)]
        async for result in salesforce.bulk_v2.ingest.perform_operation("insert", "Contact", data, max_records=10):
            found += len(result.successful_results)
        return found

    assert perform(org, use) == 25
    assert len(org.jobs) == 3


def test_its_retries_get_through_an_outage_and_a_new_session(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosalesforce.retries.policy.asyncio.sleep", lambda seconds: SLEEP(0))
    outage = org.fault("ingest.get", "status", status=503)
    expiry = org.fault("ingest.upload", "expired_session")

    async def use(salesforce: Any) -> Any:
        return await salesforce.bulk_v2.insert("Account", [{"Name": "A"}])

    assert len(perform(org, use).successful_results) == 1
    assert (outage.struck, expiry.struck) == (1, 1)
    assert len(org.records("Account")) == 1


@pytest.mark.parametrize("flow", ["client credentials", "jwt bearer", "soap"])
def test_every_login(org: LocalOrg, tmp_path: Path, flow: str) -> None:
    key = tmp_path / "key.pem"
    key.write_text(org.private_key)
    auth = {
        "client credentials": lambda: aiosalesforce.ClientCredentialsFlow(org.client_id, org.client_secret),
        "jwt bearer": lambda: aiosalesforce.JwtBearerFlow(org.client_id, org.username, key),
        "soap": lambda: aiosalesforce.SoapLogin(org.username, org.password, org.security_token),
    }[flow]()

    async def use(salesforce: Any) -> Any:
        return await salesforce.get_limits()

    assert perform(org, use, auth, "60.0")["DailyApiRequests"]["Max"] == 15_000
