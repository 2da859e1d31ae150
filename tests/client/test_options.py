"""Options that calls pass on: by name and type where they are given, refused where they make no sense."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_sfbulk.client import (
    BulkClient,
)
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1JobSpec
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces import options
from airflow_provider_sfbulk.client.faces.job_calls import timeout_seconds
from airflow_provider_sfbulk.client.ingest import IngestMethods
from airflow_provider_sfbulk.client.parts.stream import Rules
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec
from airflow_provider_sfbulk.client.query import QueryMethods
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.local_org import LocalOrg


def fields(kind: Any) -> set[str]:
    return {each.name for each in dataclasses.fields(kind)}


def own(function: Any, *without: str) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "rules", "options", *without}


def keys(kind: Any) -> set[str]:
    return set(kind.__annotations__) if kind.__total__ else set(kind.__optional_keys__)


def test_what_is_passed_on_is_named_in_full() -> None:
    subject = {"sobject", "operation"}
    assert keys(options.RuleOptions) == fields(Rules) - {"operation", "external_id_field", "unfit"}
    assert keys(options.JobOptions) == fields(IngestSpec) - subject
    assert keys(options.Bulk1JobOptions) == fields(Bulk1JobSpec) - subject
    perform = own(IngestMethods.perform.function, *subject, "records", "external_id_field")
    assert keys(options.LoadOptions) == perform | keys(options.RuleOptions)
    perform = own(QueryMethods.perform.function, "soql", "include_deleted")
    assert keys(options.QueryOptions) == perform | keys(options.DialectOptions)


@pytest.mark.parametrize("value", ["5m", "5", -1, float("nan"), float("inf"), True, timedelta(seconds=-1), [5]])
def test_what_is_no_length_of_time_is_refused(value: Any) -> None:
    with pytest.raises(SourceError, match="timeout"):
        timeout_seconds(value)
    with pytest.raises(SourceError, match="longest"):
        Schedule(longest=value)


def test_durations_are_seconds_or_timedeltas() -> None:
    assert [timeout_seconds(each) for each in (0, 5, 0.5, timedelta(minutes=1), None)] == [0.0, 5.0, 0.5, 60.0, None]
    made = Schedule(first=timedelta(seconds=2), longest=timedelta(minutes=1))  # type: ignore[arg-type]
    assert (made.first, made.longest) == (2.0, 60.0)
    assert (
        BulkClient(instance_url="http://localhost:1", access_token="x", timeout=timedelta(seconds=30)).settings.timeout
        == 30.0
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"operation": "upsrt"}, "did you mean 'upsert'"),
        ({"timeout": "5m"}, "timeout"),
        ({"part_bytes": True}, "part_bytes"),
        ({"max_concurrent_jobs": 0}, "max_concurrent_jobs"),
        ({"nulls": "empty"}, "nulls"),
    ],
)
def test_a_load_with_a_mistake_is_refused_before_a_call(given: dict[str, Any], told: str) -> None:
    with (
        LocalOrg() as org,
        BulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret) as client,
    ):
        with pytest.raises(SourceError, match=told):
            client.ingest.perform(**{"sobject": "Account", "operation": "insert", "records": [{"Name": "x"}], **given})
        assert not org.calls
