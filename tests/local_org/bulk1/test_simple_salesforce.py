"""Another client: simple-salesforce, its SOAP login and its Bulk API 1.0. It knows nothing of this project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from airflow_provider_sfbulk.local_org import LocalOrg

simple_salesforce = pytest.importorskip("simple_salesforce")


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg(tls=True) as running:
        yield running


@pytest.fixture
def session(org: LocalOrg) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.verify = str(org.ca_file)
        session.trust_env = False  # REQUESTS_CA_BUNDLE would take the place of what stands above
        yield session


@pytest.fixture
def client(org: LocalOrg, session: requests.Session, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Logged in by SOAP. Only ``scratch_url`` lets the login go to a host that is not Salesforce's."""
    monkeypatch.setattr("simple_salesforce.bulk.sleep", lambda _seconds: None)  # it waits five seconds between polls
    token, instance = simple_salesforce.SalesforceLogin(
        username=org.username,
        password=org.password,
        security_token=org.security_token,
        sf_version="64.0",
        session=session,
        scratch_url=org.url,
    )
    return simple_salesforce.Salesforce(instance=instance, session_id=token, session=session, version="64.0")


def test_wrong_logins_are_understood(org: LocalOrg, session: requests.Session) -> None:
    login = {"username": org.username, "sf_version": "64.0", "session": session, "scratch_url": org.url}
    with pytest.raises(simple_salesforce.SalesforceAuthenticationFailed) as wrong:
        simple_salesforce.SalesforceLogin(password="no", security_token="no", **login)
    assert wrong.value.code == "INVALID_LOGIN"
    with pytest.raises(simple_salesforce.SalesforceAuthenticationFailed) as incomplete:
        simple_salesforce.SalesforceLogin(password=org.password, organizationId=org.org_id, **login)
    assert incomplete.value.code == "LOGIN_MUST_USE_SECURITY_TOKEN"


def test_a_record_lives_and_dies(org: LocalOrg, client: Any) -> None:
    bulk = client.bulk.Account
    good, bad = bulk.insert([{"Name": 'A, "B"', "External_Key__c": "1"}, {"Name": None, "External_Key__c": "2"}])
    assert (good["success"], good["created"], good["errors"]) == (True, True, [])
    assert (bad["success"], bad["id"]) == (False, None)
    assert bad["errors"][0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    (updated,) = bulk.update([{"Id": good["id"], "Phone": "1"}])
    assert (updated["success"], updated["created"]) == (True, False)
    upserted = bulk.upsert(
        [{"External_Key__c": "1", "Fax": "2"}, {"External_Key__c": "3", "Name": "C"}],
        "External_Key__c",
        use_serial=True,
    )
    assert [row["created"] for row in upserted] == [False, True]
    (stored, _) = org.records("Account")
    assert (stored["Name"], stored["Phone"], stored["Fax"]) == ('A, "B"', "1", "2")
    records = bulk.query("SELECT Id, Name, CreatedDate FROM Account WHERE External_Key__c = '1'")
    assert [(row["Id"], row["Name"]) for row in records] == [(good["id"], 'A, "B"')]
    assert isinstance(records[0]["CreatedDate"], int)
    assert records[0]["attributes"]["type"] == "Account"
    assert bulk.query("SELECT Id FROM Account WHERE Name = 'nobody'") == []
    (deleted,) = bulk.delete([{"Id": good["id"]}])
    assert deleted["success"]
    everything = bulk.query_all("SELECT Name FROM Account ORDER BY Name")
    assert [row["Name"] for row in everything] == ['A, "B"', "C"]
    assert [each.concurrency_mode for each in org.bulk1_jobs].count("Serial") == 1
    bulk.hard_delete([{"Id": upserted[1]["id"]}])
    assert len(org.records("Account", include_deleted=True)) == 1


def test_many_batches_results_with_their_requests_and_lazy_queries(org: LocalOrg, client: Any) -> None:
    contacts = [{"LastName": f"N{n}", "Account": {"External_Key__c": "P"}} for n in range(25)]
    client.bulk.Account.insert([{"Name": "Parent", "External_Key__c": "P"}])
    answers = client.bulk.submit_dml("Contact", "insert", contacts, batch_size=10, include_detailed_results=True)
    assert [row["LastName"] for row in answers] == [f"N{n}" for n in range(25)]
    assert {row["Account.External_Key__c"] for row in answers} == {"P"}
    org.core.result_file_bytes = 1_000
    pages = list(client.bulk.Contact.query("SELECT LastName, Account.Name FROM Contact", lazy_operation=True))
    assert len(pages) > 1
    rows = [row for page in pages for row in page]
    assert len(rows) == 25
    assert {row["Account"]["Name"] for row in rows} == {"Parent"}


def test_refusals_are_understood(org: LocalOrg, client: Any) -> None:
    with pytest.raises(simple_salesforce.exceptions.SalesforceMalformedRequest) as refused:
        client.bulk.Nope__c.insert([{"Name": "A"}])
    assert refused.value.content["exceptionCode"] == "InvalidJob"
    org.expire_tokens()
    with pytest.raises(simple_salesforce.exceptions.SalesforceMalformedRequest) as expired:
        client.bulk.Account.insert([{"Name": "A"}])
    assert expired.value.content["exceptionCode"] == "InvalidSessionId"
