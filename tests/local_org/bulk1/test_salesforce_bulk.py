"""Another client: the salesforce-bulk package, which speaks XML about jobs and CSV or JSON about records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Witness

salesforce_bulk = pytest.importorskip("salesforce_bulk")


@pytest.fixture
def client(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("salesforce_bulk.salesforce_bulk.time.sleep", lambda _seconds: None)
    # With a scheme its host may be anything; without, it logs in to Salesforce's own hosts only.
    return salesforce_bulk.SalesforceBulk(sessionId=Witness(org).log_in(), host=org.url, API_version="66.0")


def rows(*records: dict[str, str]) -> Iterator[bytes]:
    return iter(salesforce_bulk.CsvDictsAdapter(iter(records)))


def load(client: Any, job: str, *records: dict[str, str]) -> Any:
    batch = client.post_batch(job, rows(*records))
    client.close_job(job)
    client.wait_for_batch(job, batch)
    return client.get_batch_results(batch)


def test_a_record_lives_and_dies(org: LocalOrg, client: Any) -> None:
    job = client.create_insert_job("Account", contentType="CSV", concurrency="Parallel")
    good, bad = load(client, job, {"Name": "Ä, B", "External_Key__c": "1"}, {"Name": "", "External_Key__c": "2"})
    assert (good.success, good.created, good.error) == ("true", "true", "")
    assert (bad.id, bad.success) == ("", "false")
    assert bad.error == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    assert client.job_status(job)["numberRecordsFailed"] == "1"
    job = client.create_update_job("Account", concurrency="Serial")
    assert load(client, job, {"Id": good.id, "Phone": "5"})[0].created == "false"
    job = client.create_upsert_job("Account", "External_Key__c")
    upserted = load(client, job, {"External_Key__c": "1", "Name": "A"}, {"External_Key__c": "3", "Name": "C"})
    assert [row.created for row in upserted] == ["false", "true"]
    job = client.create_delete_job("Account")
    load(client, job, {"Id": good.id})
    assert [(each["Name"], each["IsDeleted"]) for each in org.records("Account", include_deleted=True)] == [
        ("A", 1),
        ("C", 0),
    ]


def query(client: Any, job: str, soql: str, content_type: str = "CSV") -> list[bytes]:
    batch = client.query(job, soql, contentType=content_type)
    client.wait_for_batch(job, batch)
    client.close_job(job)
    assert client.get_query_batch_request(batch) == soql
    return [result.read() for result in client.get_all_results_for_query_batch(batch)]


def test_queries_in_csv_json_and_xml(org: LocalOrg, client: Any) -> None:
    load(client, client.create_insert_job("Account"), {"Name": "A"}, {"Name": "B"})
    soql = "SELECT Name FROM Account ORDER BY Name"
    assert query(client, client.create_query_job("Account"), soql) == [b'"Name"\n"A"\n"B"\n']
    (in_json,) = query(client, client.create_query_job("Account", contentType="JSON"), soql, "JSON")
    assert [row["Name"] for row in json.loads(in_json)] == ["A", "B"]
    (in_xml,) = query(client, client.create_query_job("Account", contentType="XML"), soql, "XML")
    assert in_xml.count(b"<records ") == 2
    job = client.create_queryall_job("Account")
    assert query(client, job, "SELECT Name FROM Account WHERE Name = 'no'") == [b"Records not found for this query"]


def test_pk_chunking(org: LocalOrg, client: Any) -> None:
    load(client, client.create_insert_job("Account"), *({"Name": f"N{n}"} for n in range(5)))
    job = client.create_query_job("Account", pk_chunking=2)
    original = client.query(job, "SELECT Name FROM Account")
    while client.batch_state(original, reload=True) != "NotProcessed":
        pass
    chunks = [each["id"] for each in client.get_batch_list(job) if each["id"] != original]
    client.close_job(job)
    found = []
    for chunk in chunks:
        client.wait_for_batch(job, chunk)
        (result,) = client.get_all_results_for_query_batch(chunk, job)
        found += result.read().decode().splitlines()[1:]
    assert found == [f'"N{n}"' for n in range(5)]


def test_failures_are_understood(org: LocalOrg, client: Any) -> None:
    job = client.create_insert_job("Account")
    batch = client.post_batch(job, rows({"Nope__c": "A"}))
    with pytest.raises(salesforce_bulk.salesforce_bulk.BulkBatchFailed) as failed:
        client.wait_for_batch(job, batch)
    assert failed.value.state_message == "InvalidBatch : Field name not found : Nope__c"
    client.abort_job(job)
    org.expire_tokens()
    with pytest.raises(salesforce_bulk.salesforce_bulk.BulkApiError, match="InvalidSessionId") as expired:
        client.create_insert_job("Account")
    assert expired.value.status_code == 400
