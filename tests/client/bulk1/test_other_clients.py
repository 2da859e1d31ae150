"""Three clients and the same data: salesforce-bulk, simple-salesforce's Bulk API 1.0, and ours agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.client.bulk1.conftest import QUICK, settings
from tests.local_org.org_witness import Witness

salesforce_bulk = pytest.importorskip("salesforce_bulk")
simple_salesforce = pytest.importorskip("simple_salesforce")

RECORDS = [
    {"Name": 'Umbrella, "Stand" Co', "Description": "two\nlines", "NumberOfEmployees": "12"},
    {"Name": "Ünïcödé 東京", "Description": "", "NumberOfEmployees": ""},
    {"Name": "", "Description": "has no name", "NumberOfEmployees": "1"},
    {"Name": "many", "Description": "", "NumberOfEmployees": "many"},
    *({"Name": f"N{n}", "Description": "", "NumberOfEmployees": str(n)} for n in range(20)),
]
SOQL = "SELECT Name, Description, NumberOfEmployees FROM Account ORDER BY Name"


@pytest.fixture(scope="module")
def tls_org() -> Iterator[LocalOrg]:
    with LocalOrg(tls=True) as org:
        yield org


@pytest.fixture
def orgs() -> Iterator[tuple[LocalOrg, LocalOrg]]:
    with LocalOrg() as one, LocalOrg() as other:
        yield one, other


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salesforce_bulk.salesforce_bulk.time.sleep", lambda _seconds: None)
    monkeypatch.setattr("simple_salesforce.bulk.sleep", lambda _seconds: None)


def the_bulk_client(org: LocalOrg) -> Any:
    return salesforce_bulk.SalesforceBulk(sessionId=Witness(org).log_in(), host=org.url, API_version="66.0")


def loaded_by_salesforce_bulk(org: LocalOrg) -> list[tuple[bool, bool, str]]:
    client = the_bulk_client(org)
    job = client.create_insert_job("Account", contentType="CSV")
    batch = client.post_batch(job, iter(salesforce_bulk.CsvDictsAdapter(iter(RECORDS))))
    client.close_job(job)
    client.wait_for_batch(job, batch)
    return [
        (each.success == "true", each.created == "true", each.error.partition(":")[0])
        for each in client.get_batch_results(batch)
    ]


def loaded_by_us(org: LocalOrg) -> list[tuple[bool, bool, str]]:
    with BulkClient(**settings(org)) as client:
        result = client.bulk1.perform("Account", "insert", RECORDS, schedule=QUICK)
        return [(each.success, each.created, each.errors[0].status_code if each.errors else "") for each in result]


def everything(org: LocalOrg) -> list[tuple[Any, ...]]:
    fields = ("Name", "Description", "NumberOfEmployees")
    return sorted(tuple(str(each[name]) for name in fields) for each in org.records("Account"))


def test_a_load_ends_alike(orgs: tuple[LocalOrg, LocalOrg]) -> None:
    one, other = orgs
    theirs, ours = loaded_by_salesforce_bulk(one), loaded_by_us(other)
    assert ours == theirs
    assert [success for success, _, _ in ours].count(False) == 2
    assert everything(one) == everything(other)


def test_a_query_gives_the_same_rows(orgs: tuple[LocalOrg, LocalOrg]) -> None:
    org, _ = orgs
    loaded_by_us(org)
    theirs = the_bulk_client(org)
    job = theirs.create_query_job("Account", contentType="CSV")
    batch = theirs.query(job, SOQL)
    theirs.wait_for_batch(job, batch)
    theirs.close_job(job)
    (raw,) = [result.read() for result in theirs.get_all_results_for_query_batch(batch)]
    with BulkClient(**settings(org)) as client:
        found = list(client.bulk1.query(SOQL, schedule=QUICK))
        (result_id,) = client.bulk1.result_ids(job, batch)
        assert list(client.bulk1.query_results(job, batch, result_id)) == found
    header, first, *_ = raw.decode().splitlines()
    assert header == '"Name","Description","NumberOfEmployees"'
    assert first.startswith(f'"{found[0]["Name"]}"')
    assert len(found) == len(RECORDS) - 2


def test_simple_salesforce_and_we_read_each_others_jobs(tls_org: LocalOrg) -> None:
    with requests.Session() as session:
        session.verify = str(tls_org.ca_file)
        session.trust_env = False
        token, instance = simple_salesforce.SalesforceLogin(
            username=tls_org.username,
            password=tls_org.password,
            security_token=tls_org.security_token,
            sf_version="64.0",
            session=session,
            scratch_url=tls_org.url,
        )
        theirs = simple_salesforce.Salesforce(instance=instance, session_id=token, session=session, version="64.0")
        records = [{key: value or None for key, value in each.items()} for each in RECORDS]
        answers = theirs.bulk.Account.insert(records)
        connection = {**settings(tls_org), "ca_file": str(tls_org.ca_file)}
        with BulkClient(**connection, api_version="64.0") as client:
            job_id = tls_org.bulk1_jobs[-1].id
            (batch,) = client.bulk1.list_batches(job_id)
            ours = client.bulk1.results(job_id, batch.id)
            assert [(each.id, each.success, each.created) for each in ours] == [
                (each["id"], each["success"], each["created"]) for each in answers
            ]
            assert [[error.status_code for error in each.errors] for each in ours] == [
                [error["statusCode"] for error in each["errors"]] for each in answers
            ]
            mine = list(client.bulk1.query(SOQL, content_type="JSON", schedule=QUICK))
        others = theirs.bulk.Account.query(SOQL)
        assert mine == others
        assert len(mine) == len(RECORDS) - 2
