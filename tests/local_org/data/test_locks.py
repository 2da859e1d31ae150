"""Records that somebody else holds."""

from __future__ import annotations

import pytest

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg

QUICK = Schedule(first=0.01, longest=0.05)


@pytest.fixture
def client(org: LocalOrg) -> BulkClient:
    return BulkClient(
        host=org.url, client_id=org.client_id, client_secret=org.client_secret, auth_flow="client_credentials"
    )


def test_children_and_changes_of_a_held_record_fail_until_it_is_let_go(org: LocalOrg, client: BulkClient) -> None:
    with client:
        (made,) = client.ingest.perform("Account", "insert", [{"Name": "Parent"}], schedule=QUICK).successful_records
        parent = made["sf__Id"]
        child = [{"LastName": "Child", "AccountId": parent}, {"LastName": "Orphan"}]
        org.hold(parent, batches=1)
        first = client.ingest.perform("Contact", "insert", child, schedule=QUICK)
        assert (first.successful_count, first.failed_count) == (1, 1)
        (error,) = first.errors
        assert error.status_code == "UNABLE_TO_LOCK_ROW"
        assert parent in error.message
        assert client.ingest.perform("Contact", "insert", child, schedule=QUICK).failed_count == 0
        org.hold(parent)
        for operation, rows in (("update", [{"Id": parent, "Name": "New"}]), ("delete", [{"Id": parent}])):
            assert client.ingest.perform("Account", operation, rows, schedule=QUICK).failed_count == 1
            assert client.ingest.perform("Account", operation, rows, schedule=QUICK).failed_count == 1
        org.release(parent)
        assert (
            client.ingest.perform("Account", "update", [{"Id": parent, "Name": "New"}], schedule=QUICK).failed_count
            == 0
        )
