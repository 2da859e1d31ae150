"""Another client: simple-salesforce's Bulk API 2.0, which knows nothing of this project and insists on https."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.local_org.org_witness import Witness

simple_salesforce = pytest.importorskip("simple_salesforce")


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg(tls=True) as running:
        yield running


@pytest.fixture
def client(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("simple_salesforce.bulk2.sleep", lambda _seconds: None)  # it waits ten seconds between polls
    with requests.Session() as session:
        session.verify = str(org.ca_file)
        session.trust_env = False  # REQUESTS_CA_BUNDLE would take the place of what stands above
        parts = urlsplit(org.url)
        yield simple_salesforce.Salesforce(
            instance=parts.netloc, session_id=Witness(org).log_in(), session=session, version="66.0"
        )


def test_a_record_lives_and_dies(org: LocalOrg, client: Any, tmp_path: Path) -> None:
    bulk = client.bulk2.Account
    (inserted,) = bulk.insert(
        records=[{"Name": 'A, "B"', "External_Key__c": "1"}, {"Name": "", "External_Key__c": "2"}]
    )
    assert (inserted["numberRecordsProcessed"], inserted["numberRecordsFailed"]) == (2, 1)
    failed = list(csv.DictReader(io.StringIO(bulk.get_failed_records(inserted["job_id"]))))
    assert failed[0]["sf__Error"] == "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"
    good = list(csv.DictReader(io.StringIO(bulk.get_successful_records(inserted["job_id"]))))
    assert good[0]["sf__Created"] == "true"
    # It writes the columns in the order of a set, which differs from run to run.
    (unprocessed,) = csv.reader(io.StringIO(bulk.get_unprocessed_records(inserted["job_id"])))
    assert sorted(unprocessed) == ["External_Key__c", "Name"]
    record_id = good[0]["sf__Id"]
    bulk.update(records=[{"Id": record_id, "Phone": "1"}])
    bulk.upsert(
        records=[{"External_Key__c": "1", "Fax": "2"}, {"External_Key__c": "3", "Fax": "3"}],
        external_id_field="External_Key__c",
    )
    (stored,) = org.records("Account")
    assert (stored["Name"], stored["Phone"], stored["Fax"]) == ('A, "B"', "1", "2")
    (page,) = bulk.query("SELECT Id, Name FROM Account")
    assert list(csv.reader(io.StringIO(page)))[1] == [record_id, 'A, "B"']
    (downloaded,) = bulk.download("SELECT Id FROM Account", path=str(tmp_path))
    assert Path(downloaded["file"]).read_text() == f'"Id"\n"{record_id}"\n'
    bulk.delete(records=[{"Id": record_id}])
    assert org.records("Account") == []


def test_pages_are_followed_to_their_end(org: LocalOrg, client: Any) -> None:
    records = [{"LastName": f"N{n}"} for n in range(25)]
    client.bulk2.Contact.insert(records=records)
    pages = list(client.bulk2.Contact.query("SELECT LastName FROM Contact", max_records=10))
    assert [len(list(csv.DictReader(io.StringIO(page)))) for page in pages] == [10, 10, 5]


def test_jobs_are_listed_and_described(client: Any) -> None:
    describe = client.Account.describe()
    assert describe["fields"][0]["name"] == "Id"
    assert client.limits()["DailyApiRequests"]["Max"] == 15_000
