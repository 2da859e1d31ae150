"""Options that calls pass on: by name and type where they are given, refused where they make no sense."""

from __future__ import annotations

import dataclasses
import inspect
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
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
from airflow_provider_sfbulk.client.settings import Settings
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
    assert keys(options.ConnectionOptions) == fields(Settings)
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
    for given in (30, 30.0, "30", np.int64(30), Decimal(30), timedelta(seconds=30)):
        client = BulkClient(instance_url="http://localhost:1", access_token="x", timeout=given)
        assert client.settings.timeout == 30.0
    for wrong in ("5m", 0, True, [30], 10**400, np.float64("nan")):
        with pytest.raises(SourceError, match="timeout must be a number of seconds above 0"):
            BulkClient(instance_url="http://localhost:1", access_token="x", timeout=wrong)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"operation": "upsrt"}, "did you mean 'upsert'"),
        ({"timeout": "5m"}, "timeout"),
        ({"part_bytes": True}, "part_bytes"),
        ({"max_concurrent_jobs": 0}, "max_concurrent_jobs"),
        ({"nulls": "empty"}, "nulls"),
        ({"assignment_rule_id": "My rule"}, "assignment_rule_id is not a Salesforce id"),
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


@pytest.mark.parametrize(
    ("call", "given", "told"),
    [
        (lambda it: it.ingest.perform, ["Account", "insert", []], "'colum_mapping': did you mean 'column_mapping'"),
        (
            lambda it: it.ingest.perform,
            ["Account", "insert", []],
            "'externalIdField': did you mean 'external_id_field'",
        ),
        (lambda it: it.insert, ["Account", []], "'timezon': did you mean 'timezone'"),
        (lambda it: it.ingest.create_job, ["Account", "insert"], "'column_delimeter': did you mean 'column_delimiter'"),
        (lambda it: it.query.perform, ["SELECT Id FROM Account"], "'page_record': did you mean 'page_records'"),
        (lambda it: it.bulk1.perform, ["Account", "insert", []], "'concurency': did you mean 'concurrency_mode'"),
    ],
)
def test_a_wrong_name_names_the_right_one(call: Any, given: list[Any], told: str) -> None:
    client = BulkClient(instance_url="http://localhost:1", access_token="x")
    name = told.split("'")[1]
    with pytest.raises(TypeError, match=rf"{call(client).__name__}\(\) has no argument {told}"):
        call(client)(*given, **{name: "Hush-Hush"})
