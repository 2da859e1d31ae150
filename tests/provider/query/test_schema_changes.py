"""Extracts into one folder while the object changes between them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask
from tests.provider.readings import FIELDS, fill_readings, many

SNAPSHOT = Asset("snapshot")
EXCLUDED = ["CreatedDate", "LastModifiedDate", "SystemModstamp"]


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed", many(25))
    return org


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def change(org: LocalOrg) -> None:
    """One field comes, one goes, one changes its type."""
    kept = [each for each in FIELDS if each["name"] not in ("Day__c", "Price__c")]
    price = {"name": "Price__c", "type": "double", "precision": 18, "scale": 6}
    org.add_object(name="Reading__c", fields=[*kept, price, {"name": "New__c", "type": "boolean"}])


CHANGE = {
    "added": ["New__c"],
    "removed": ["Day__c"],
    "retyped": {"Price__c": ["decimal(18,2)", "decimal(18,6)"]},
}


def extract(out: Path, task: FakeTask | None = None, **given: Any) -> dict[str, Any]:
    usual = {"sobject": "Reading__c", "output_format": "parquet", "outlets": [SNAPSHOT], "max_concurrent_pages": 1}
    one = BulkQueryOperator(
        task_id="read", output_path=str(out), deferrable=False, retries=1, page_records=10, **{**usual, **given}
    )
    summary: dict[str, Any] = (task or FakeTask()).start().run(one)
    return summary


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "_manifest.json").read_text())
    return found


def schemas(out: Path) -> set[Any]:
    return {pq.read_schema(path) for path in out.glob("part-*.parquet")}


def test_nothing_is_said_of_a_first_extract_and_of_one_that_is_like_it(readings: LocalOrg, out: Path) -> None:
    for _ in range(2):
        assert "schema_changes" not in extract(out)
    assert manifest(out)["column_types"]["Price__c"] == "decimal(18,2)"


def test_a_change_is_in_the_result_the_event_the_manifest_and_the_log(
    readings: LocalOrg, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extract(out)
    change(readings)
    task = FakeTask()
    with caplog.at_level(logging.WARNING):
        summary = extract(out, task)
    assert summary["schema_changes"] == manifest(out)["schema_changes"] == CHANGE
    assert task.last is not None
    assert task.last.outlet_events[SNAPSHOT].extra["schema_changes"] == CHANGE
    (schema,) = schemas(out)
    assert schema.field("Price__c").type == pa.decimal128(18, 6)
    assert "schema_changes" not in extract(out)


@pytest.mark.parametrize("output_format", ["parquet", "jsonl", "csv"])
def test_fail_leaves_the_extract_before_as_it_was_and_no_retry_follows(
    output_format: str, readings: LocalOrg, out: Path
) -> None:
    extract(out, output_format=output_format)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    change(readings)
    with pytest.raises(SourceError, match=r"added: New__c; removed: Day__c.*on_schema_change='accept'") as caught:
        extract(out, output_format=output_format, on_schema_change="fail")
    assert isinstance(caught.value, AirflowFailException)
    assert {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith("_part")} == before
    summary = extract(out, output_format=output_format)
    assert summary["schema_changes"]["added"] == ["New__c"]
    assert {path.name for path in out.iterdir()} == {"_manifest.json", *(Path(f).name for f in summary["files"])}


def test_widened_files_are_read_by_whoever_read_those_before(readings: LocalOrg, out: Path) -> None:
    extract(out)
    (old,) = schemas(out)
    change(readings)
    summary = extract(out, on_schema_change="widen")
    assert len(summary["files"]) == 3
    (schema,) = schemas(out)
    assert set(old.names) - set(schema.names) == set()
    assert schema.field("Day__c").type == pa.date32()
    assert schema.field("Price__c").type == pa.decimal128(22, 6)
    table = ds.dataset(summary["files"]).to_table()
    assert table.column("Day__c").null_count == table.num_rows == 25
    assert table.column_names == summary["columns"] == list(manifest(out)["column_types"])
    assert manifest(out)["null_columns"] == ["Day__c"]
    assert "schema_changes" not in extract(out, on_schema_change="widen")
    assert schemas(out) == {schema}


def test_a_number_that_makes_its_column_a_float_is_a_change_too(readings: LocalOrg, out: Path, tmp_path: Path) -> None:
    extract(out)
    with readings.core.store.writing() as connection:
        connection.execute("UPDATE Reading__c SET Price__c = 0.123456 WHERE External_Key__c = 'K-24'")
    with pytest.raises(SourceError, match=r"Price__c \(decimal\(18,2\) to double\)"):
        extract(out, on_schema_change="fail")
    assert manifest(out)["column_types"]["Price__c"] == "decimal(18,2)"
    for _ in range(2):
        assert extract(out, on_schema_change="widen")["records"] == 25
        assert {str(schema.field("Price__c").type) for schema in schemas(out)} == {"double"}
    assert extract(out, on_schema_change="fail")["records"] == 25


def test_a_retry_whose_first_try_published_tells_the_change_again(
    readings: LocalOrg, out: Path, mocker: MockerFixture
) -> None:
    extract(out)
    change(readings)
    task = FakeTask()
    dying = mocker.patch.object(BulkQueryOperator, "_finish", side_effect=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        extract(out, task, on_schema_change="widen")
    mocker.stop(dying)
    files = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    summary = extract(out, task, on_schema_change="widen")
    assert summary["schema_changes"]["added"] == ["New__c"]
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")} == files
