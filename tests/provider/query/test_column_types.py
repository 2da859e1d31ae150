"""Types that a user gives to the columns of an extract."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask
from tests.provider.readings import fill_readings, many

SOQL = "SELECT External_Key__c, Count__c, Level__c, Price__c, Moment__c FROM Reading__c"


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed", many(25))
    return org


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def extract(out: Path, task: FakeTask | None = None, **given: Any) -> dict[str, Any]:
    usual = {"soql": SOQL, "output_format": "parquet", "page_records": 10, "max_concurrent_pages": 1}
    one = BulkQueryOperator(task_id="read", output_path=str(out), deferrable=False, retries=1, **{**usual, **given})
    summary: dict[str, Any] = (task or FakeTask()).start().run(one)
    return summary


def test_columns_have_the_types_that_were_given_and_the_others_describe_s(readings: LocalOrg, out: Path) -> None:
    given = {"Count__c": "decimal(20, 3)", "Level__c": "double", "Price__c": "string"}
    summary = extract(out, column_types=given)
    assert {str(pq.read_schema(name).field("Count__c").type) for name in summary["files"]} == {"decimal128(20, 3)"}
    schema = pq.read_schema(summary["files"][0])
    assert [str(each.type) for each in schema] == [
        "string",
        "decimal128(20, 3)",
        "double",
        "string",
        "timestamp[ms, tz=UTC]",
    ]
    (row,) = [
        row for name in summary["files"] for row in pq.read_table(name).to_pylist() if row["External_Key__c"] == "K-7"
    ]
    assert (row["Count__c"], row["Level__c"], row["Price__c"]) == (Decimal("7.000"), 0.0001, "9.87654321E7")
    assert json.loads((out / "_manifest.json").read_text())["column_types"]["Price__c"] == "string"


def test_json_lines_are_typed_alike(readings: LocalOrg, out: Path) -> None:
    summary = extract(out, column_types={"Count__c": "string"}, output_format="jsonl")
    with Path(summary["files"][0]).open(encoding="utf-8") as file:
        assert isinstance(json.loads(file.readline())["Count__c"], str)


def test_a_value_that_does_not_fit_fails_the_task_and_is_not_shown(readings: LocalOrg, out: Path) -> None:
    with pytest.raises(SourceError, match=r"Level__c cannot be decimal\(18,2\), because .*row 1 of a page") as caught:
        extract(out, column_types={"Level__c": "decimal(18,2)"})
    assert isinstance(caught.value, AirflowFailException)
    assert "0.0001" not in str(caught.value)
    assert "1.0E-4" not in str(caught.value)
    assert not (out / "_manifest.json").exists()


def test_a_column_that_is_not_there_is_named_before_a_page_is_read(readings: LocalOrg, out: Path) -> None:
    with pytest.raises(SourceError, match=r"a type is given for Levle__c, but the result has no such column"):
        extract(out, column_types={"Levle__c": "double"})


def test_more_decimals_than_described_are_no_float_where_a_type_was_given(readings: LocalOrg, out: Path) -> None:
    with readings.core.store.writing() as connection:
        connection.execute("UPDATE Reading__c SET Price__c = 0.123456 WHERE External_Key__c = 'K-24'")
    summary = extract(out, column_types={"Price__c": "decimal(30,6)"})
    assert {str(pq.read_schema(name).field("Price__c").type) for name in summary["files"]} == {"decimal128(30, 6)"}


def test_other_types_are_a_change_of_the_schema(readings: LocalOrg, out: Path) -> None:
    extract(out)
    summary = extract(out, column_types={"Price__c": "decimal(30,6)"})
    assert summary["schema_changes"]["retyped"] == {"Price__c": ["decimal(18,2)", "decimal(30,6)"]}
