"""A whole object as its user reads it: the list of fields from the org, real HTTP to a local org, real files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.sdk.exceptions import TaskDeferred
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import RequestRefusedError, SourceError
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from tests.provider.conftest import FakeTask
from tests.provider.readings import FIELDS, ROWS, fill, fill_readings

COMPOUND = {"name": "Spot__c", "type": "location"}
BINARY = {"name": "Photo__c", "type": "base64"}
NEW = {"name": "New__c", "type": "string", "length": 20}


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed")
    org.add_object(name="Reading__c", fields=[*FIELDS, COMPOUND, BINARY])
    return org


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def operator(**given: Any) -> BulkQueryOperator:
    usual: dict[str, Any] = {"task_id": "read", "sobject": "Reading__c", "deferrable": False, "retries": 2}
    return BulkQueryOperator(**{**usual, **given})


def described(org: LocalOrg, sobject: str) -> list[str]:
    """Give the fields that can be selected, by the org's own schema."""
    found = org.core.schema.get(sobject)
    assert found is not None
    return [each.name for each in found.fields.values() if not each.is_compound and each.type != "base64"]


def calls(org: LocalOrg, end: str) -> int:
    return sum(call.path.endswith(end) for call in org.calls)


def rows_of(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name in summary["files"]:
        with Path(name).open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["2.0", "1.0"])
@pytest.mark.parametrize("deferrable", [False, True])
def test_every_field_that_can_be_read_comes_and_the_others_are_named(
    api: str, deferrable: bool, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    summary = task.start().run(operator(output_path=str(out), api=api, deferrable=deferrable))
    assert summary["columns"] == described(readings, "Reading__c")
    assert {row["External_Key__c"] for row in rows_of(summary)} == {row["External_Key__c"] for row in ROWS}
    assert summary["left_out"] == {"Spot__c": "compound", "Photo__c": "base64"}
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["left_out"] == summary["left_out"]
    assert calls(readings, "/describe") == 1


def test_parquet_files_have_the_types_of_describe(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    fields = ["all", "Station__r.Name"]
    summary = task.start().run(operator(output_path=str(out), output_format="parquet", fields=fields))
    schema = pq.read_schema(summary["files"][0])
    assert schema.names == [*described(readings, "Reading__c"), "Station__r.Name"]
    assert calls(readings, "/Reading__c/describe") == 1
    assert {name: str(schema.field(name).type) for name in ("Count__c", "Day__c", "Station__r.Name")} == {
        "Count__c": "int64",
        "Day__c": "date32[day]",
        "Station__r.Name": "string",
    }


def test_fields_and_a_condition_can_be_chosen(readings: LocalOrg, task: FakeTask) -> None:
    rows = task.start().run(
        operator(
            fields=["Name", "station__r.External_Key__c"],
            where="External_Key__c IN :keys OR (Count__c < 0 AND Valid__c = false)",
            soql_params={"keys": ["R-3"]},
        )
    )
    assert {row["Name"]: row["Station__r.External_Key__c"] for row in rows} == {"हिन्दी 🌧": "S-2", "العربية": None}


def test_what_is_excluded_does_not_leave_the_org(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    summary = task.start().run(operator(output_path=str(out), exclude=["Remark__c", "photo__c"]))
    assert set(described(readings, "Reading__c")) - set(summary["columns"]) == {"Remark__c"}
    assert summary["left_out"] == {"Spot__c": "compound"}


@pytest.mark.parametrize(("include_deleted", "count"), [(False, 2), (True, 3)])
def test_deleted_records_come_only_when_asked_for(
    include_deleted: bool, count: int, readings: LocalOrg, task: FakeTask
) -> None:
    with readings.core.store.writing() as connection:
        connection.execute("UPDATE Reading__c SET IsDeleted = 1 WHERE External_Key__c = 'R-1'")
    assert len(task.start().run(operator(include_deleted=include_deleted))) == count


def test_names_may_be_templates(readings: LocalOrg, task: FakeTask) -> None:
    one = operator(
        sobject="{{ params.sobject }}", fields=["{{ params.field }}"], where="Name != {{ params.name | soql_literal }}"
    )
    one.render_template_fields({"params": {"sobject": "Reading__c", "field": "Name", "name": ROWS[0]["Name"]}})
    assert {row["Name"] for row in task.start().run(one)} == {row["Name"] for row in ROWS[1:]}


def test_mapped_over_objects_each_task_has_a_folder_of_its_object(readings: LocalOrg, out: Path) -> None:
    with DAG("snapshot", schedule=None) as dag:
        mapped = BulkQueryOperator.partial(
            task_id="read", output_path=f"{out}/{{{{ task.sobject }}}}", deferrable=False
        ).expand(sobject=["Account", "Reading__c"])
    assert isinstance(mapped, MappedOperator)
    for index, sobject in enumerate(("Account", "Reading__c")):
        run = SimpleNamespace(conf={})
        context: Any = {"ti": SimpleNamespace(map_index=index), "params": {}, "dag": dag, "dag_run": run}
        mapped.render_template_fields(context, dag.get_template_env())
        summary = FakeTask().start().run(context["task"])
        assert summary["columns"] == described(readings, sobject)
        assert {Path(name).parent for name in summary["files"]} == {out / sobject}


# --- with an incremental ----------------------------------------------------------------------------------------------


def test_the_window_is_added_to_the_condition(readings: LocalOrg, tmp_path: Path) -> None:
    assets: dict[tuple[str, str], Any] = {}
    changed = Asset("readings")

    def run(number: int) -> dict[str, Any]:
        one = operator(
            incremental=Incremental(asset=changed, lag=0),
            where="Valid__c = true OR Name = 'nobody'",
            output_path=str(tmp_path / str(number)),
        )
        summary: dict[str, Any] = FakeTask(assets=assets).start().run(one)
        return summary

    readings.advance(60)
    first = run(1)
    assert {row["External_Key__c"] for row in rows_of(first)} == {"R-1", "R-3"}
    readings.advance(60)
    changes = [{**ROWS[0], "External_Key__c": "R-9"}, {**ROWS[1], "External_Key__c": "R-8"}]
    fill(readings, tmp_path / "more", "Reading__c", changes)
    readings.advance(60)
    second = run(2)
    assert {row["External_Key__c"] for row in rows_of(second)} == {"R-9"}
    assert second["window"]["since"] == first["window"]["until"]


# --- retries and clears -----------------------------------------------------------------------------------------------


def die_waiting(one: BulkQueryOperator, task: FakeTask, mocker: MockerFixture) -> None:
    """Let a try end when its job is made, as a killed process does."""
    mocker.patch.object(one, "_wait", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        task.start().run(one)


def test_a_retry_reads_the_fields_of_the_try_before_and_a_clear_those_of_now(
    readings: LocalOrg, task: FakeTask, out: Path, mocker: MockerFixture
) -> None:
    die_waiting(operator(output_path=str(out)), task, mocker)
    readings.add_object(name="Reading__c", fields=[*FIELDS, NEW])
    (job,) = readings.jobs
    summary = task.start().run(operator(output_path=str(out)))
    assert (summary["job_id"], summary["left_out"]) == (job.id, {"Spot__c": "compound", "Photo__c": "base64"})
    assert "New__c" not in summary["columns"]
    assert calls(readings, "/describe") == 1
    again = task.start(cleared=True).run(operator(output_path=str(out)))
    assert "New__c" in again["columns"]
    assert again["left_out"] == {}


def test_a_job_that_is_gone_is_followed_by_one_of_the_same_fields(
    readings: LocalOrg, task: FakeTask, out: Path, mocker: MockerFixture
) -> None:
    readings.core.job_seconds = 60
    die_waiting(operator(output_path=str(out)), task, mocker)
    with SalesforceBulkHook().get_conn() as client:
        client.query.abort(readings.jobs[0].id)
    readings.add_object(name="Reading__c", fields=[*FIELDS, NEW])
    readings.core.job_seconds = 0
    summary = task.start().run(operator(output_path=str(out)))
    assert summary["job_id"] == readings.jobs[1].id
    assert set(described(readings, "Reading__c")) - set(summary["columns"]) == {"New__c"}


def test_another_list_is_another_query(readings: LocalOrg, task: FakeTask, out: Path, mocker: MockerFixture) -> None:
    die_waiting(operator(output_path=str(out)), task, mocker)
    summary = task.start().run(operator(output_path=str(out), fields=["Id", "Name"]))
    assert summary["columns"] == ["Id", "Name"]
    assert len(readings.jobs) == 2


def test_arguments_that_were_changed_while_the_task_waited_publish_nothing(
    readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    readings.core.job_seconds = 60
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferral:
        attempt.run_once(operator(output_path=str(out), deferrable=True, poll_interval=0.05))
    readings.advance(61)
    readings.wait_until_idle()
    with pytest.raises(SourceError, match="changed while the task waited"):
        attempt.resume(operator(output_path=str(out), deferrable=True, exclude=["Name"]), deferral.value)
    assert not (out / "_manifest.json").exists()


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sobject": "Raeding__c"}, "no object Raeding__c"),
        ({"fields": ["Nmae"]}, "no field Nmae.*'Name'"),
        ({"fields": ["Spot__c"]}, "compound"),
        ({"exclude": ["Remarks__c"]}, "no field Remarks__c.*'Remark__c'"),
        ({"fields": ["Staton__r.Name"]}, "no relationship Staton__r.*'Station__r'"),
        ({"where": "Name = :who"}, "has :who"),
    ],
)
def test_what_the_object_has_not_makes_no_job(
    given: dict[str, Any], told: str, readings: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises(SourceError, match=told):
        task.start().run(operator(**given))
    assert readings.jobs == []


def test_a_refused_condition_shows_no_value(readings: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        task.start().run(operator(where="Count__c = :who", soql_params={"who": "Hush-Hush-Ltd"}))
    assert "Hush" not in str(caught.value)


def test_an_object_with_more_fields_than_soql_takes_says_what_to_do(org: LocalOrg, task: FakeTask) -> None:
    fields = [{"name": f"Field_{n:04}_{'x' * 70}__c", "type": "string", "length": 10} for n in range(1300)]
    org.add_object(name="Wide__c", fields=fields)
    with pytest.raises(SourceError, match="characters, and SOQL takes 100,000"):
        task.start().run(operator(sobject="Wide__c"))
    assert org.jobs == []
