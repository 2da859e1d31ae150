"""Queries by Bulk API 1.0: result lists, formats, PK chunking, no rows at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_sfbulk.client import BulkClient, errors
from airflow_provider_sfbulk.client.bulk1.calls import PkChunking, root_object
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.client.bulk1.conftest import QUICK, LostReply, LostRequest, settings

SOQL = "SELECT Name, NumberOfEmployees FROM Account ORDER BY Name"


@pytest.fixture(scope="module")
def shared_org() -> Iterator[LocalOrg]:
    with LocalOrg() as org:
        with BulkClient(**settings(org)) as client:
            rows = [{"Name": f"N{n}", "NumberOfEmployees": n, "External_Key__c": str(n)} for n in range(7)]
            client.bulk1.perform("Account", "insert", rows, schedule=QUICK)
            client.bulk1.perform(
                "Contact", "insert", [{"LastName": "C", "Account.External_Key__c": "3"}], schedule=QUICK
            )
        yield org


@pytest.mark.parity("G1.3", "G4.5")
@pytest.mark.parity("G8.1", "G17.2")
def test_rows_come_in_every_format(client: BulkClient) -> None:
    in_csv = client.bulk1.query(SOQL, schedule=QUICK)
    assert len(in_csv) == 7
    assert list(in_csv)[3] == {"Name": "N3", "NumberOfEmployees": "3"}
    in_json = client.bulk1.query(SOQL, content_type="JSON", schedule=QUICK)
    row = list(in_json)[3]
    assert (row["Name"], row["NumberOfEmployees"], row["attributes"]["type"]) == ("N3", 3, "Account")
    in_xml = client.bulk1.query(SOQL, content_type="XML", schedule=QUICK)
    row = list(in_xml)[3]
    assert (row["Name"], row["NumberOfEmployees"], row["type"]) == ("N3", "3", "Account")


@pytest.mark.parametrize("content_type", ["CSV", "XML", "JSON"])
def test_parents_come_with_their_children(client: BulkClient, content_type: str) -> None:
    (row,) = client.bulk1.query("SELECT LastName, Account.Name FROM Contact", content_type=content_type, schedule=QUICK)
    parent = row["Account.Name"] if content_type == "CSV" else row["Account"]["Name"]
    assert (row["LastName"], parent) == ("C", "N3")


@pytest.mark.parametrize("content_type", ["CSV", "XML", "JSON"])
def test_a_query_may_find_nothing(client: BulkClient, content_type: str) -> None:
    found = client.bulk1.query("SELECT Id FROM Account WHERE Name = 'no'", content_type=content_type, schedule=QUICK)
    assert (len(found), list(found)) == (0, [])


@pytest.mark.parametrize("content_type", ["CSV", "XML", "JSON"])
@pytest.mark.parity("G8.3")
def test_many_result_files_are_one_result(client: BulkClient, org: LocalOrg, content_type: str) -> None:
    org.core.result_file_bytes = 60
    found = client.bulk1.query(SOQL, content_type=content_type, schedule=QUICK)
    (batch,) = found.batches
    assert len(client.bulk1.result_ids(batch.job_id, batch.id)) > 1
    assert [row["Name"] for row in found] == [f"N{n}" for n in range(7)]
    assert [row["Name"] for row in found] == [f"N{n}" for n in range(7)]  # read anew


@pytest.mark.parametrize("chunking", [True, 2, PkChunking(chunk_size=3)])
@pytest.mark.parity("B1.5")
def test_pk_chunking_gives_the_same_rows(client: BulkClient, org: LocalOrg, chunking: Any) -> None:
    found = client.bulk1.query("SELECT Name FROM Account", pk_chunking=chunking, schedule=QUICK)
    assert sorted(row["Name"] for row in found) == [f"N{n}" for n in range(7)]
    assert len(found) == 7
    assert len(found.batches) == {True: 1, 2: 4}.get(chunking, 3)
    (job,) = [each for each in org.bulk1_jobs if each.id == found.job.id]
    assert job.state == "Closed"


@pytest.mark.parity("G3.10", "G3.11", "G8.1", "G8.2", "G17.1", "G17.2", "G17.3")
def test_low_level_query_calls(client: BulkClient) -> None:
    api = client.bulk1
    job = api.create_job("Account", "queryAll")
    batch = api.add_batch(job.id, SOQL)
    api.close(job.id)
    api.wait(job.id, schedule=QUICK)
    assert api.request(job.id, batch.id) == SOQL.encode()
    (result_id,) = api.result_ids(job.id, batch.id)
    assert [row["Name"] for row in api.query_results(job.id, batch.id, result_id)] == [f"N{n}" for n in range(7)]


@pytest.mark.parity("G8.8")
def test_refused_soql_says_why(client: BulkClient) -> None:
    with pytest.raises(errors.JobFailedError, match=r"InvalidBatch.*Nope__c"):
        client.bulk1.query("SELECT Nope__c FROM Account", schedule=QUICK)
    for wrong in ("", "  ", "SELECT Id"):
        with pytest.raises(errors.SourceError):
            client.bulk1.query(wrong, schedule=QUICK)
    assert root_object("select Id from\n Account__c where x") == "Account__c"


@pytest.mark.parametrize("fault", [LostReply, LostRequest])
@pytest.mark.parametrize(
    "route",
    [
        "bulk1.create",
        "bulk1.add_batch",
        "bulk1.change",
        "bulk1.get",
        "bulk1.batches",
        "bulk1.result",
        "bulk1.query_result",
    ],
)
def test_a_lost_reply_or_request_changes_nothing_for_the_caller(
    client: BulkClient, org: LocalOrg, route: str, fault: Any
) -> None:
    org.core.faults.add(route, fault(1))
    found = client.bulk1.query(SOQL, schedule=QUICK)
    assert [row["Name"] for row in found] == [f"N{n}" for n in range(7)]


@pytest.mark.parametrize(
    "soql",
    [
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "SELECT (SELECT Id FROM Contacts WHERE Name = ')'), Name\nfrom\nAccount WHERE Name = 'a FROM Lead ('",
        "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact)",
        "SELECT Id FROM Account, Account.Owner",
        r"SELECT Id, TYPEOF Owner WHEN User THEN Id END FROM Account WHERE Name = 'it\'s FROM Lead'",
    ],
)
@pytest.mark.parity("G8.8")
def test_the_object_of_a_query_is_the_one_outside_of_parentheses(soql: str) -> None:
    assert root_object(soql) == "Account"


@pytest.mark.parametrize("soql", ["SELECT 1", "SELECT (SELECT Id FROM Contacts)", "SELECT 'x FROM Account'", "FROM"])
def test_a_text_without_an_object_of_its_own_is_no_query(soql: str) -> None:
    with pytest.raises(errors.SourceError, match="no FROM"):
        root_object(soql)


@pytest.mark.parametrize("content_type", ["CSV", "XML", "JSON"])
@pytest.mark.parity("G8.8")
def test_a_nested_query_is_refused_with_salesforces_reason(client: BulkClient, content_type: str) -> None:
    with pytest.raises(errors.JobFailedError, match="Aggregate Relationships not supported"):
        client.bulk1.query(
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account", content_type=content_type, schedule=QUICK
        )
