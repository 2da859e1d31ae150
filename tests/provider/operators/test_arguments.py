"""What people hand in as arguments: refused when the DAG is parsed, by a message that says what to write."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pendulum
import pytest
from airflow.sdk import DAG, Asset, BaseOperator, Param, XComArg, task

from airflow_provider_sfbulk import BulkIngestOperator, BulkJobSensor, BulkQueryOperator, Incremental
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import SOURCE_FORMATS, Operation
from airflow_provider_sfbulk.client.sources.open import READERS

ROOT = Path(__file__).parents[3]
JOB = "750LO0000000001YAA"
ROWS = [{"Name": "Umbrella"}]
SECRET = "Hush-Hush-Ltd"
NAN, INF = float("nan"), float("inf")


def ingest(**given: Any) -> BulkIngestOperator:
    usual: dict[str, Any] = {"task_id": "load", "sobject": "Account", "operation": "insert"}
    if "sql" not in given:
        usual["source"] = "/data/accounts.csv"
    return BulkIngestOperator(**{**usual, **given})


def query(**given: Any) -> BulkQueryOperator:
    return BulkQueryOperator(**{"task_id": "read", "soql": "SELECT Id FROM Account", **given})


def sensor(**given: Any) -> BulkJobSensor:
    return BulkJobSensor(**{"task_id": "wait", "job_id": JOB, **given})


UPSERT: dict[str, Any] = {"operation": "upsert", "external_id_field": "External_Key__c"}

REFUSED: list[tuple[Callable[..., BaseOperator], dict[str, Any], str]] = [
    (ingest, {"operation": "upsrt"}, "operation.*'upsert'"),
    (ingest, {"operation": "Upsert"}, "operation.*'upsert'"),
    (ingest, {"operation": "harddelete"}, "operation.*'hardDelete'"),
    (ingest, {"operation": None}, "operation"),
    (ingest, {"operation": ["insert"]}, "operation"),
    (ingest, {"operation": "{{ params.operation }}"}, "operation is not a template field"),
    (ingest, {"operation": "upsert"}, "needs external_id_field"),
    (ingest, {"external_id_field": "External_Key__c"}, "external_id_field is for operation='upsert' only"),
    (ingest, {"operation": "upsert", "external_id_field": ""}, "external_id_field"),
    (ingest, {"operation": "upsert", "external_id_field": ["External_Key__c"]}, "external_id_field"),
    (ingest, {"sobject": "My Object"}, "sobject"),
    (ingest, {"sobject": 5}, "sobject"),
    (ingest, {"sobject": ""}, "sobject"),
    (ingest, {"source": None}, "source is None"),
    (ingest, {"source": ""}, "source is an empty string"),
    (ingest, {"source": 5}, "source"),
    (ingest, {"source": True}, "source"),
    (ingest, {"source": b"Id\n001"}, "source"),
    (ingest, {"source": {"Name": SECRET}}, "source is one dict"),
    (ingest, {"source": iter(ROWS)}, "read only once"),
    (ingest, {"source": (row for row in ROWS)}, "read only once"),
    (ingest, {"source": ["/a.csv", "/b.csv", "/a.csv"]}, "source: 1 of its 3 paths"),
    (ingest, {"source": ["/a.csv", ""]}, "source, item 2, is an empty string"),
    (ingest, {"source": [SECRET, "Smith & Sons"]}, "2 texts, and item 1 is neither a record's id nor"),
    (ingest, {"source": ["/a.csv", SECRET]}, "2 texts, and item 2 is neither"),
    (ingest, {"source": "/a.csv", "sql": "SELECT 1", "sql_conn_id": "db"}, "source and sql"),
    (ingest, {"sql": "SELECT 1"}, "sql needs sql_conn_id"),
    (ingest, {"sql": " ", "sql_conn_id": "db"}, "sql is an empty string"),
    (ingest, {"sql": "SELECT 1", "sql_conn_id": "db", "sql_parameters": "abc"}, "sql_parameters"),
    (ingest, {"sql": "SELECT 1", "sql_conn_id": "db", "source_format": "csv"}, "source_format"),
    (ingest, {"sql_conn_id": "db"}, "sql_conn_id belong to sql"),
    (ingest, {"source_format": "CSV"}, "source_format.*'csv'"),
    (ingest, {"source_format": "json"}, "source_format.*'jsonl'"),
    (ingest, {"source": ROWS, "source_format": "csv"}, "source_format and source_conn_id are for files"),
    (ingest, {"source": ROWS, "source_conn_id": "s3"}, "source_format and source_conn_id are for files"),
    (ingest, {"source": lambda: ROWS, "source_format": "csv"}, "source_format and source_conn_id are for files"),
    (ingest, {"source_format": "parquet", "column_delimiter": "TAB"}, "CSV sources"),
    (ingest, {"column_delimiter": ","}, "column_delimiter.*'COMMA'"),
    (ingest, {"column_delimiter": "comma"}, "column_delimiter.*'COMMA'"),
    (ingest, {"line_ending": "\n"}, "line_ending.*'LF'"),
    (ingest, {"column_mapping": ["Name"]}, "column_mapping"),
    (ingest, {"column_mapping": "Name"}, "column_mapping"),
    (ingest, {"column_mapping": {"name": "sf__Id"}}, "column_mapping.*sf__"),
    (ingest, {"column_mapping": {"name": ""}}, "column_mapping"),
    (ingest, {"column_mapping": {"name": 5}}, "column_mapping"),
    (ingest, {"column_mapping": {"a": "Name", "b": "name"}}, "both mapped"),
    (ingest, {"source": ROWS, "columns": ["Name", "name"]}, "columns has 'Name' 2 times"),
    (ingest, {"source": "/a.csv.gz", "columns": ["Name"]}, "columns is for rows that are dicts"),
    (ingest, {"source": ["/a.jsonl", "/{{ ds }}.parquet"], "columns": ["Name"]}, "columns is for rows that are dicts"),
    (ingest, {"source": "/a", "source_format": "csv", "columns": ["Name"]}, "columns is for rows that are dicts"),
    (ingest, {"nulls": "empty"}, "nulls"),
    (ingest, {"nulls": {"Name": "empty"}}, "nulls of Name"),
    (ingest, {"nulls": ["clear"]}, "nulls"),
    (ingest, {"nulls": None}, "nulls"),
    (ingest, {"nulls": "Clear"}, "'clear'"),
    (ingest, {"timezone": "Europe/Berln"}, "timezone.*'Europe/Berlin'"),
    (ingest, {"timezone": 1}, "timezone"),
    (ingest, {"timezone": ""}, "timezone"),
    (ingest, {"timezone": timezone(timedelta(hours=2))}, "timezone.*Europe/Berlin"),
    (ingest, {"part_bytes": 200_000_000}, "part_bytes"),
    (ingest, {"part_bytes": 0}, "part_bytes"),
    (ingest, {"part_bytes": "10MB"}, "part_bytes"),
    (ingest, {"part_bytes": 1e6}, "part_bytes"),
    (ingest, {"part_records": -1}, "part_records"),
    (ingest, {"part_records": True}, "part_records"),
    (ingest, {"max_concurrent_jobs": 0}, "max_concurrent_jobs"),
    (ingest, {"max_concurrent_jobs": "4"}, "max_concurrent_jobs.*without quotes"),
    (ingest, {"staging_path": 5}, "staging_path"),
    (ingest, {"staging_path": ""}, "staging_path"),
    (ingest, {"staging_conn_id": "s3"}, "staging_conn_id belongs to staging_path"),
    (ingest, {"key_columns": "Name"}, "key_columns must be a list"),
    (ingest, {"key_columns": [1]}, "key_columns"),
    (ingest, {"key_columns": {"Name": 1}}, "key_columns"),
    (ingest, {"results_path": ["/a"]}, "results_path"),
    (ingest, {"results_path": "/r", "results_format": "Parquet"}, "results_format.*'parquet'"),
    (ingest, {"results_format": "parquet"}, "belong to results_path"),
    (ingest, {"results_conn_id": "s3"}, "belong to results_path"),
    (ingest, {"results_path": "/r", "wait_for_completion": False}, "results_path needs wait_for_completion=True"),
    (ingest, {"max_failed_records": 1.5}, "max_failed_records"),
    (ingest, {"max_failed_records": -1}, "max_failed_records"),
    (ingest, {"max_failed_records": True}, "max_failed_records"),
    (ingest, {"max_failed_records": "5%"}, "max_failed_records"),
    (ingest, {"max_failed_records": NAN}, "max_failed_records"),
    (ingest, {"max_failed_records": "{{ var.value.allowed }}"}, "max_failed_records is not a template field"),
    (ingest, {"retry_codes": "UNABLE_TO_LOCK_ROW"}, "retry_codes must be a list"),
    (ingest, {"retry_codes": ["unable_to_lock_row"]}, "'UNABLE_TO_LOCK_ROW'"),
    (ingest, {"retry_codes": [500]}, "retry_codes"),
    (ingest, {"retry_codes": None}, "retry_codes"),
    (ingest, {"max_record_retries": -1}, "max_record_retries"),
    (ingest, {"max_record_retries": False}, "max_record_retries"),
    (ingest, {"sort_by": ["AccountId"]}, "sort_by"),
    (ingest, {"serial_fallback": "yes"}, "serial_fallback"),
    (ingest, {"serial_fallback": True, "api": "1.0", "concurrency_mode": "Serial"}, "serial_fallback"),
    (ingest, {"on_empty": "skipped"}, "on_empty.*'skip'"),
    (ingest, {"on_empty": None}, "on_empty"),
    (ingest, {"operation": "delete", "nulls": "clear"}, "nulls"),
    (ingest, {"operation": "delete", "assignment_rule_id": "01Q000000000001"}, "assignment_rule_id"),
    (ingest, {"assignment_rule_id": "My rule"}, "assignment_rule_id is not a Salesforce id of an assignment rule"),
    (query, {"soql": None}, "one of soql, sobject and job_id"),
    (query, {"sobject": "Account"}, "sobject reads a whole object, instead of soql or job_id"),
    (query, {"soql": None, "job_id": JOB, "sobject": "Account"}, "instead of soql or job_id"),
    (query, {"fields": ["Id"]}, "belong to sobject"),
    (query, {"exclude": ["Id"]}, "belong to sobject"),
    (query, {"where": "Name = 'x'"}, "belong to sobject"),
    *(
        (query, {"soql": None, "sobject": "Account", **given}, told)
        for given, told in (
            ({"sobject": "Account, Contact"}, "sobject"),
            ({"fields": "Name"}, r"fields must be 'all' or a list of names.*write \['Name'\]"),
            ({"fields": "Id, Name"}, r"fields must be 'all' or a list of names.*write \['Id', 'Name'\]"),
            ({"fields": []}, "fields is an empty list"),
            ({"fields": None}, "fields"),
            ({"fields": ["FIELDS(ALL)"]}, "each of fields"),
            ({"fields": ["Id"], "exclude": ["Name"]}, "exclude belongs to fields='all'"),
            ({"exclude": "Name"}, r"exclude.*write \['Name'\]"),
            ({"exclude": ["Owner.Name"]}, "read only when fields names it"),
            ({"where": ""}, "where is an empty string"),
            ({"where": "WHERE Name = 'x'"}, "condition alone.*without WHERE"),
            ({"where": "Name = 'LIMIT' limit 5"}, "condition alone.*without LIMIT"),
            ({"where": "Name = 'x' ORDER  BY Name"}, "condition alone.*without ORDER BY"),
            ({"where": "Name = 'x') OR (Name = 'y'"}, "an unbalanced parenthesis"),
            ({"where": "Name = 'x"}, "a quote that is not closed"),
        )
    ),
    (query, {"job_id": JOB}, "either soql or job_id, not both"),
    (query, {"soql": ""}, "soql is an empty string"),
    (query, {"soql": ["SELECT Id FROM Account"]}, "soql"),
    (query, {"soql": "accounts.sql"}, "soql does not begin with SELECT: .* name of a .soql file"),
    (query, {"soql": "Account"}, "soql does not begin with SELECT"),
    (query, {"soql_params": ["x"]}, "soql_params"),
    (query, {"soql_params": {":name": 1}}, "soql_params"),
    (query, {"soql": None, "job_id": JOB, "soql_params": {"a": 1}}, "soql_params belong to a query"),
    (query, {"soql": None, "job_id": JOB, "include_deleted": True}, "include_deleted belongs to a query"),
    (query, {"soql": None, "job_id": JOB, "wait_for_completion": False}, "cannot be combined with job_id"),
    (query, {"soql": None, "job_id": JOB, "incremental": Incremental(by="data_interval")}, "incremental"),
    (query, {"soql": None, "job_id": "../limits"}, "job_id"),
    (query, {"incremental": {"field": "SystemModstamp"}}, "incremental"),
    (query, {"incremental": Incremental(by="data_interval"), "soql_params": {"since": 1}}, ":since and :until"),
    (query, {"include_deleted": "true"}, "include_deleted"),
    (query, {"output_path": "/o", "output_format": "dataframe"}, "output_format"),
    (query, {"output_path": "/o", "output_format": "json"}, "output_format.*'jsonl'"),
    (query, {"output_format": "parquet"}, "belong to output_path"),
    (query, {"output_conn_id": "s3"}, "belong to output_path"),
    (query, {"output_path": 5}, "output_path"),
    (query, {"output_path": "/o", "wait_for_completion": False}, "output_path needs wait_for_completion=True"),
    (query, {"on_schema_change": "fail"}, "on_schema_change compares with the extract in output_path"),
    (query, {"output_path": "/o", "on_schema_change": "widen"}, "'widen' is for Parquet"),
    (query, {"output_path": "/o", "on_schema_change": "warn"}, "on_schema_change must be one of accept, fail, widen"),
    (query, {"output_path": "/o", "on_schema_change": None}, "on_schema_change must be one of"),
    (query, {"column_types": {"Name": "string"}}, "column_types are for files with types"),
    (query, {"output_path": "/o", "column_types": {"Name": "string"}}, "column_types are for files with types"),
    *(
        (query, {"output_path": "/o", "output_format": "parquet", "column_types": given}, told)
        for given, told in (
            (["Name"], "column_types must be a dict"),
            ({"Name": 5}, "column_types must be a dict"),
            ({"Name": "varchar"}, "column_types: the type of Name must be one of string, .*not 'varchar'"),
            ({"N": "decimal"}, "column_types: the type of N must be one of"),
            ({"N": "decimal(40,2)"}, "column_types: the type of N .*38 digits"),
        )
    ),
    (query, {"max_xcom_records": 0}, "max_xcom_records"),
    (query, {"page_records": 0}, "page_records"),
    (query, {"max_concurrent_pages": 2.0}, "max_concurrent_pages"),
    (query, {"pk_chunking": True}, "pk_chunking needs api='1.0'"),
    (query, {"pk_chunking": "100000", "api": "1.0"}, "pk_chunking"),
    (query, {"pk_chunking": 0, "api": "1.0"}, "pk_chunking"),
    (query, {"pk_chunking": 300_000, "api": "1.0"}, "pk_chunking"),
    (query, {"column_delimiter": "PIPE", "api": "1.0"}, "need api='2.0'"),
    (sensor, {"job_id": None}, "either job_id or job_ids"),
    (sensor, {"job_id": None, "job_ids": []}, "either job_id or job_ids"),
    (sensor, {"job_ids": [JOB]}, "either job_id or job_ids"),
    (sensor, {"job_id": None, "job_ids": [None]}, "job_ids"),
    (sensor, {"job_type": "Query"}, "job_type.*'query'"),
    (sensor, {"job_type": "classic"}, "job_type"),
    (sensor, {"max_failed_records": 1.5}, "max_failed_records"),
    (sensor, {"poke_interval": "1m"}, "poke_interval"),
    (sensor, {"poke_interval": 0}, "poke_interval"),
    (sensor, {"poke_interval": NAN}, "poke_interval"),
    (sensor, {"timeout": INF}, "timeout"),
    (sensor, {"timeout": True}, "timeout"),
    *(
        (make, given, told)
        for make in (ingest, query, sensor)
        for given, told in (
            ({"api": "1"}, "api.*'1.0'"),
            ({"api": 2.0}, "api.*'2.0'"),
            ({"api_version": "latest"}, "api_version"),
            ({"api_version": "20.0"}, "api_version"),
            ({"api_version": True}, "api_version"),
            ({"deferrable": "true"}, "deferrable"),
            ({"deferrable": None}, "deferrable"),
            ({"salesforce_conn_id": ""}, "salesforce_conn_id"),
            ({"salesforce_conn_id": None}, "salesforce_conn_id"),
            ({"timeout": "5m"}, "timeout"),
            ({"timeout": -1}, "timeout"),
            ({"timeout": timedelta(seconds=-1)}, "timeout"),
        )
    ),
    *(
        (make, given, told)
        for make in (ingest, query)
        for given, told in (
            ({"poll_interval": 0}, "poll_interval"),
            ({"poll_interval": timedelta()}, "poll_interval"),
            ({"poll_interval": "30"}, "poll_interval.*without quotes"),
            ({"poll_interval": NAN}, "poll_interval"),
            ({"poll_interval": INF}, "poll_interval"),
            ({"poll_interval": True}, "poll_interval"),
            ({"poll_interval": None}, "poll_interval"),
            ({"poll_interval": 10**400}, "poll_interval"),
            ({"timeout": 0}, "timeout"),
            ({"cancel_on_kill": 1}, "cancel_on_kill"),
            ({"wait_for_completion": "no"}, "wait_for_completion"),
            ({"api_reserve": "10%"}, "api_reserve"),
            ({"api_reserve": 1.0}, "api_reserve"),
            ({"api_reserve": True}, "api_reserve"),
            ({"on_api_reserve": "deferr"}, "on_api_reserve"),
            ({"concurrency_mode": "Serial"}, "needs api='1.0'"),
            ({"concurrency_mode": "serial", "api": "1.0"}, "concurrency_mode.*'Serial'"),
        )
    ),
]


@pytest.mark.parametrize(("make", "given", "told"), REFUSED)
def test_a_mistake_is_an_import_error(make: Callable[..., BaseOperator], given: dict[str, Any], told: str) -> None:
    with pytest.raises(SourceError, match=told) as caught:
        make(**given)
    assert isinstance(caught.value, ValueError)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (ingest, {"sobject": "None"}),
        (ingest, {"external_id_field": "None", "operation": "upsert"}),
        (ingest, {"source_conn_id": "None"}),
        (ingest, {"results_path": "None"}),
        (query, {"output_conn_id": "None", "output_path": "/o"}),
        (query, {"sobject": "None", "soql": None}),
        (sensor, {"salesforce_conn_id": "None"}),
    ],
)
def test_what_a_template_makes_of_none_is_named(make: Callable[..., Any], given: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match=f"{next(iter(given))} is the string None: .* returned nothing"):
        make(**given).execute({})


NEEDED = {"source", "sql", "sql_conn_id", "soql", "job_id", "sobject", "operation"}

ALONE = [(make, given, told) for make, given, told in REFUSED if len(given) == 1 and given.keys().isdisjoint(NEEDED)]


@pytest.mark.parametrize(("make", "given", "told"), ALONE)
def test_a_mistake_in_default_args_is_one_too(
    make: Callable[..., BaseOperator], given: dict[str, Any], told: str
) -> None:
    with DAG("d", schedule=None, default_args=given), pytest.raises(SourceError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (ingest, {"poll_interval": 5}),
        (ingest, {"poll_interval": 0.5, "timeout": 3600}),
        (ingest, {"poll_interval": timedelta(seconds=30), "timeout": pendulum.duration(hours=2)}),
        (ingest, {"poll_interval": np.int64(5), "timeout": np.float32(0.5), "part_records": np.int32(7)}),
        (ingest, {"max_failed_records": np.int64(5), "api_reserve": np.int64(100)}),
        (ingest, {"assignment_rule_id": "01Q000000000001"}),
        (ingest, {"max_failed_records": None}),
        (ingest, {"max_failed_records": 0.01}),
        (ingest, {"retry_codes": []}),
        (ingest, {"key_columns": None}),
        (ingest, {"key_columns": ["Name"]}),
        (ingest, {**UPSERT, "operation": Operation.UPSERT}),
        (ingest, {**UPSERT, "external_id_field": "{{ params.key }}"}),
        (ingest, {"sobject": "ns__Thing__c"}),
        (ingest, {"source": Path("/data/a.csv")}),
        (ingest, {"source": [Path("/data/a.csv"), "/data/b.csv"]}),
        (ingest, {"source": "/data/[0-9]*.csv"}),
        (ingest, {"source": "[0-9].csv"}),
        (ingest, {"source": "{{ params.rows }}"}),
        (ingest, {"source": []}),
        (ingest, {"source": ROWS}),
        (ingest, {"source": lambda: ROWS}),
        (ingest, {"operation": "delete", "source": ["001000000000001AAA"]}),
        (ingest, {"column_mapping": {"a": "Name", "b": None, "c": "sf__Own__c"}}),
        (ingest, {"api_version": 66}),
        (ingest, {"timezone": "UTC"}),
        (ingest, {"sql": "accounts.sql", "sql_conn_id": "db"}),
        (query, {"soql": "accounts.soql"}),
        (query, {"pk_chunking": None}),
        (query, {"pk_chunking": 100_000, "api": "1.0"}),
        (query, {"job_id": "{{ params.job }}", "soql": None}),
        (query, {"soql": None, "sobject": "Account", "fields": ("all", "Owner.Name"), "exclude": ["Fax"]}),
        (query, {"soql": None, "sobject": "{{ params.sobject }}", "where": "Name = ':-)' AND Name LIKE 'WHERE (%'"}),
        (query, {"soql": None, "sobject": "ns__Thing__c", "fields": "{{ params.fields }}"}),
        (query, {"output_path": Path("/o/{{ ds }}"), "output_format": "jsonl"}),
        (sensor, {"job_id": None, "job_ids": "{{ ti.xcom_pull('load') }}"}),
        (sensor, {"timeout": timedelta(hours=1), "poke_interval": timedelta(seconds=5)}),
    ],
)
def test_what_makes_sense_is_taken(make: Callable[..., BaseOperator], given: dict[str, Any]) -> None:
    make(**given)


@pytest.mark.parametrize("given", ["Europe/Berlin", ZoneInfo("Europe/Berlin"), pendulum.timezone("Europe/Berlin")])
def test_a_zone_is_its_name_from_the_door_on(given: Any) -> None:
    assert (ingest(timezone=given).timezone, ingest(timezone=UTC).timezone) == ("Europe/Berlin", "UTC")


@pytest.mark.parametrize("given", [90, 90.0, np.int64(90), timedelta(seconds=90), pendulum.duration(seconds=90)])
def test_durations_are_seconds_from_the_door_on(given: Any) -> None:
    made: Any
    for made in (ingest(poll_interval=given, timeout=given), query(poll_interval=given, timeout=given)):
        assert (made.poll_interval, made.timeout) == (90.0, 90.0)
        assert type(made.poll_interval) is type(made.timeout) is float
    waiting = sensor(poke_interval=given, timeout=given)
    assert (waiting.poke_interval, waiting.timeout) == (90.0, 90.0)


def test_a_wrong_name_names_the_right_one_and_shows_no_record() -> None:
    with pytest.raises(TypeError, match="'soruce': did you mean 'source'") as caught:
        ingest(soruce=[{"Name": SECRET}])
    assert SECRET not in str(caught.value)
    with pytest.raises(TypeError, match=r"'external_id'.*'external_id_field'"):
        ingest(external_id="External_Key__c")
    with pytest.raises(TypeError, match="'object_name': did you mean 'sobject'"):
        ingest(object_name="Account")
    with pytest.raises(TypeError, match="'query': did you mean 'soql'"):
        query(query="SELECT Id FROM Account")
    with pytest.raises(TypeError, match="'jobs_ids': did you mean 'job_ids'"):
        sensor(jobs_ids=[JOB])


def test_airflows_own_arguments_go_through() -> None:
    made = ingest(retries=3, pool="p", execution_timeout=timedelta(hours=1), map_index_template="{{ i }}")
    assert (made.retries, made.pool) == (3, "p")
    assert sensor(mode="reschedule", soft_fail=True).mode == "reschedule"


@task
def rows() -> Any: ...


class TestOutputsOfOtherTasks:
    @pytest.mark.parametrize("name", sorted(set(BulkIngestOperator.template_fields) - {"source"}))
    def test_a_template_field_takes_them(self, name: str) -> None:
        needed: dict[str, Any] = {"sql": "SELECT 1", "sql_conn_id": "db"} if name.startswith("sql") else {}
        if name == "external_id_field":
            needed["operation"] = "upsert"
        for prefix in ("staging", "results"):
            if name.startswith(prefix):
                needed[f"{prefix}_path"] = "/x"
        with DAG("d", schedule=None):
            made = ingest(**{**needed, name: rows()})
        assert made.upstream_task_ids == {"rows"}

    @pytest.mark.parametrize("name", ["operation", "poll_interval", "timeout", "max_failed_records", "key_columns"])
    def test_other_arguments_say_what_to_do(self, name: str) -> None:
        with (
            DAG("d", schedule=None),
            pytest.raises(SourceError, match=rf"{name} is not a template field, so it cannot take.*expand"),
        ):
            ingest(**{name: rows()})

    def test_a_list_of_outputs_is_a_source(self) -> None:
        with DAG("d", schedule=None):
            made = ingest(source=[rows(), rows.override(task_id="more")()])
        assert made.upstream_task_ids == {"rows", "more"}

    def test_a_parameter_of_the_dag_is_a_source(self) -> None:
        with DAG("d", schedule=None, params={"path": Param("/a.csv")}) as dag:
            made = ingest(source=dag.param("path"))
        assert not isinstance(made.source, (str, XComArg))


class TestMappedTasks:
    def test_they_are_made_as_before(self) -> None:
        with DAG("d", schedule=None, default_args={"poll_interval": timedelta(seconds=5)}):
            BulkIngestOperator.partial(task_id="a", sobject="Account", operation="insert").expand(source=rows())
            BulkQueryOperator.partial(task_id="b", output_path="/o/{{ ti.map_index }}").expand(
                soql=["SELECT Id FROM Lead"]
            )
            BulkJobSensor.partial(task_id="c").expand(job_id=rows.override(task_id="ids")())
            BulkIngestOperator.partial(task_id="e", sobject="Account").expand_kwargs(
                [{"operation": "insert", "source": "/a.csv"}, {"operation": "delete", "source": "/b.csv"}]
            )

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"operation": "upsrt"}, "'upsert'"),
            ({"operation": "insert", "poll_interval": "5"}, "poll_interval"),
            ({"operation": "insert", "max_failed_records": 1.5}, "max_failed_records"),
        ],
    )
    def test_their_own_arguments_are_checked_at_parse(self, given: dict[str, Any], told: str) -> None:
        with DAG("d", schedule=None), pytest.raises(SourceError, match=told):
            BulkIngestOperator.partial(task_id="a", sobject="Account", **given).expand(source=["/a.csv"])

    def test_what_they_are_mapped_over_is_checked_in_the_worker(self) -> None:
        with DAG("d", schedule=None):
            mapped = BulkIngestOperator.partial(task_id="a", sobject="Account", source="/a.csv").expand(
                operation=["insert", "upsrt"]
            )
        assert mapped.unmap({"operation": "insert"}).operation == "insert"  # type: ignore[attr-defined]
        with pytest.raises(SourceError, match="'upsert'"):
            mapped.unmap({"operation": "upsrt"})


def test_setting_an_argument_later_is_no_way_around() -> None:
    made = ingest(source=ROWS)
    made.operation = "upsrt"  # type: ignore[assignment]
    with pytest.raises(SourceError, match="'upsert'"):
        made.execute({})


@pytest.mark.parametrize("operator", [BulkIngestOperator, BulkQueryOperator, BulkJobSensor])
class TestReference:
    """One complete reference a class: what the signature has, the docstring and the table have, in its order."""

    def arguments(self, operator: Any) -> dict[str, inspect.Parameter]:
        parameters = inspect.signature(operator).parameters
        return {name: each for name, each in parameters.items() if name not in ("self", "kwargs")}

    def test_every_argument_is_described(self, operator: Any) -> None:
        described = re.findall(r"^\s*:param (\w+):", inspect.getdoc(operator) or "", re.MULTILINE)
        assert described == list(self.arguments(operator))

    def test_every_argument_is_checked(self, operator: Any) -> None:
        assert list(operator.arguments.checks) == list(self.arguments(operator))

    def test_every_argument_is_kept_under_its_name(self, operator: Any) -> None:
        made = {BulkIngestOperator: ingest, BulkQueryOperator: query, BulkJobSensor: sensor}[operator]()
        assert all(hasattr(made, name) for name in self.arguments(operator))

    def test_what_is_templated_says_so(self, operator: Any) -> None:
        text = inspect.getdoc(operator) or ""
        entries = dict(re.findall(r"^\s*:param (\w+):(.*?)(?=^\s*:param|^\n|\Z)", text, re.MULTILINE | re.DOTALL))
        templated = {name for name, entry in entries.items() if "(templated)" in entry}
        assert templated == set(operator.template_fields)

    def test_the_shared_ones_are_described_alike(self, operator: Any) -> None:
        if operator is BulkJobSensor:
            pytest.skip("it shares few of them")
        lines = {
            each: re.search(r":param wait_for_completion:.*?(?=\n\n|\Z)", inspect.getdoc(each) or "", re.DOTALL)
            for each in (BulkIngestOperator, BulkQueryOperator)
        }
        texts = {" ".join(found[0].split()) for found in lines.values() if found}
        assert len(texts) == 1

    def test_nothing_but_airflows_own_is_left_to_kwargs(self, operator: Any) -> None:
        assert list(inspect.signature(operator).parameters)[-1] == "kwargs"


def test_the_formats_are_those_that_can_be_read() -> None:
    assert {each.partition(".")[0] for each in SOURCE_FORMATS} == set(READERS)


def test_incremental_takes_durations_and_refuses_nonsense() -> None:
    asset = Asset("accounts")
    assert Incremental(asset=asset, lag=90).lag == timedelta(seconds=90)
    assert Incremental(asset=asset, lag=0).lag == timedelta()
    for lag in ("5m", -1, NAN, True, timedelta(seconds=-1)):
        with pytest.raises(SourceError, match="lag"):
            Incremental(asset=asset, lag=lag)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="'watermark'"):
        Incremental(asset=asset, by="watermarks")  # type: ignore[arg-type]


def test_mypy_finds_the_mistakes_of_a_dag_file(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="make lowest installs no linters")
    right = textwrap.dedent(
        """
        from datetime import UTC, timedelta, timezone
        from pathlib import Path
        from airflow.sdk import DAG, task
        from airflow_provider_sfbulk import BulkClient, BulkIngestOperator, BulkJobSensor, BulkQueryOperator

        with DAG("d", schedule=None):
            load = BulkIngestOperator(
                task_id="a", sobject="Account", operation="insert", source="/a.csv", timeout=timedelta(hours=1),
                results_path=Path("/r"), results_format="parquet", poll_interval=5, wait_for_completion=True,
            )
            BulkJobSensor(task_id="b", job_ids=load.output)
            BulkQueryOperator(task_id="c", soql="SELECT Id FROM Account", output_path="/o", output_format="jsonl")
        BulkClient(host="login", login="me@acme.example", client_id="c", private_key_file=Path("/k"), timeout=30)
        """
    )
    wrong = textwrap.dedent(
        """
        from airflow_provider_sfbulk import BulkClient, BulkIngestOperator, BulkJobSensor, BulkQueryOperator

        BulkIngestOperator(task_id="a", sobject="Account", operation="upsrt", source="/a.csv")
        BulkIngestOperator(task_id="a", sobject="Account", operation="insert", timeout="5m")
        BulkIngestOperator(task_id="a", sobject="Account", operation="insert", results_format="Parquet")
        BulkIngestOperator(task_id="a", sobject="Account", operation="insert", on_empty="ignore")
        BulkIngestOperator(task_id="a", sobject="Account", operation="insert", api="1")
        BulkQueryOperator(task_id="a", soql="SELECT Id FROM Account", output_format="dataframe")
        BulkQueryOperator(task_id="a", soql="SELECT Id FROM Account", poll_interval="30")
        BulkJobSensor(task_id="a", job_id="x", job_type="Query")
        BulkClient(hsot="https://acme.my.salesforce.com")
        BulkClient(host="login", timeout=[5])
        """
    )
    (tmp_path / "right.py").write_text(right)
    (tmp_path / "wrong.py").write_text(wrong)
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--no-error-summary",
            str(tmp_path / "right.py"),
            str(tmp_path / "wrong.py"),
        ],
        cwd=ROOT,  # what `make lint` has found out of Airflow is there
        env={"PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = {line.split(":")[1] for line in found.stdout.splitlines() if ": error:" in line}
    assert {f"{number}" for number in range(4, 14)} == lines, found.stdout
    assert "right.py" not in found.stdout, found.stdout
