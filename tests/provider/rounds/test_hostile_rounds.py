"""Rounds under unusual but legal arguments, and under arguments that change between tries."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.client.errors import FailedRecordsError, SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask
from tests.provider.rounds.test_rounds import children, jobs_made, load, names, parents, rows_of, stored, uploads

__all__ = ["parents"]


def write(path: Path, rows: list[dict[str, str]], **dialect: Any) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), **{"lineterminator": "\n", **dialect})
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_rows_of_files_with_other_columns_go_again_under_their_own_headers(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    write(tmp_path / "1.csv", children(parents, 6))
    others = [{"AccountId": row["AccountId"], "LastName": f"Other {n}"} for n, row in enumerate(children(parents, 6))]
    write(tmp_path / "2.csv", [{**row, "FirstName": "Ütz"} for row in others], delimiter="\t", lineterminator="\r\n")
    org.hold(parents[0], batches=2)
    result = task.start().run(load(str(tmp_path / "*.csv")))
    assert result["successful"] == 12
    assert stored(org) == names(children(parents, 6)) + names(others)


@pytest.mark.parametrize("kind", ["tab", "quoted", "jsonl.gz", "parquet", "frame"])
def test_rows_of_every_kind_of_source_go_again_as_they_were(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path, kind: str
) -> None:
    rows = [
        {"LastName": f'Ünï "{n}", 東京\nsecond', "AccountId": parents[n % 3], "Description": "" if n % 2 else " x "}
        for n in range(7)
    ]
    source: Any = tmp_path / f"rows.{kind}"
    match kind:
        case "tab":
            source = write(tmp_path / "rows.csv", rows, delimiter="\t", lineterminator="\n")
        case "quoted":
            source = write(tmp_path / "rows.csv", rows, quoting=csv.QUOTE_ALL)
        case "jsonl.gz":
            pd.DataFrame(rows).to_json(source, orient="records", lines=True, compression="gzip")
        case "parquet":
            pd.DataFrame(rows).to_parquet(source)
        case "frame":
            source = pd.DataFrame(rows)
    org.hold(parents[1], batches=1)
    given = source if kind == "frame" else str(source)
    task.start().run(load(given, results_path=tmp_path / "out", part_records=2))
    assert stored(org) == names(rows)
    found = rows_of(tmp_path / "out" / "successful.csv")
    assert {int(row["sf__Row"]): row["LastName"] for row in found} == {
        number: row["LastName"] for number, row in enumerate(rows, start=1)
    }


@pytest.mark.parametrize("results_format", ["parquet", "jsonl"])
def test_other_formats_have_the_numbers_too(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path, results_format: str
) -> None:
    org.hold(parents[2])
    result = task.start().run(
        load(children(parents), results_path=tmp_path, results_format=results_format, max_failed_records=0.5)
    )
    (failed,) = result["results"]["failed"]
    frame = pd.read_json(failed, lines=True) if results_format == "jsonl" else pq.read_table(failed).to_pandas()
    assert sorted(frame["sf__Row"]) == [3, 6, 9]
    assert set(frame["sf__ErrorCode"]) == {"UNABLE_TO_LOCK_ROW"}


def test_an_upsert_whose_rows_share_an_external_id_tells_them_apart_by_their_values(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    rows = [{"External_Key__c": f"K{n // 2}", "LastName": f"L{n}"} for n in range(6)]
    operator = BulkIngestOperator(
        task_id="task", sobject="Contact", operation="upsert", external_id_field="External_Key__c", source=rows,
        results_path=tmp_path, max_failed_records=None,
    )  # fmt: skip
    task.start().run(operator)
    found = [*rows_of(tmp_path / "successful.csv"), *rows_of(tmp_path / "failed.csv")]
    assert {int(row["sf__Row"]): row["LastName"] for row in found} == {n + 1: f"L{n}" for n in range(6)}


def test_ids_to_delete_that_are_there_twice_are_numbered_once_each(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    operator = BulkIngestOperator(
        task_id="task", sobject="Account", operation="delete", source=[parents[0], parents[1], parents[0]],
        results_path=tmp_path, max_failed_records=None,
    )  # fmt: skip
    task.start().run(operator)
    found = [*rows_of(tmp_path / "successful.csv"), *rows_of(tmp_path / "failed.csv")]
    assert sorted((int(row["sf__Row"]), row["Id"]) for row in found) == [
        (1, parents[0]), (2, parents[1]), (3, parents[0]),
    ]  # fmt: skip


def test_arguments_of_rounds_and_results_may_change_between_tries(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    rows = children(parents)
    org.hold(parents[0])
    with pytest.raises(FailedRecordsError):
        task.start().run(load(rows, part_records=4, max_record_retries=1))
    with pytest.raises(FailedRecordsError):
        task.start().run(
            load(rows, part_records=2, max_record_retries=1, results_path=tmp_path / "a", sort_by="LastName")
        )
    org.release(parents[0])
    changed = load(
        rows, part_records=1, key_columns=["LastName"], results_path=tmp_path / "b", staging_path=tmp_path / "s"
    )
    result = task.start().run(changed)
    assert result["successful"] == 9
    assert stored(org) == names(rows)
    found = rows_of(tmp_path / "b" / "successful.csv")
    assert sorted(int(row["sf__Row"]) for row in found) == list(range(1, 10))


def test_hundreds_of_parts_of_one_record(org: LocalOrg, task: FakeTask, parents: list[str]) -> None:
    rows = children(parents, 120)
    org.hold(parents[0], batches=40)
    result = task.start().run(load(rows, part_records=1, max_concurrent_jobs=8))
    assert result["successful"] == 120
    assert stored(org) == names(rows)
    assert len(result["job_ids"]) == 100
    assert jobs_made(org) == 1 + 160


def test_a_clear_after_a_clear_sends_what_still_fails(org: LocalOrg, task: FakeTask, parents: list[str]) -> None:
    org.hold(parents[0])
    operator = load(children(parents), max_record_retries=0)
    for cleared in (False, True, True):
        with pytest.raises(FailedRecordsError, match="3 of 9"):
            task.start(cleared=cleared).run(operator)
    org.release(parents[0])
    assert task.start(cleared=True).run(operator)["successful"] == 9
    assert [len(lines) for lines in uploads(org)][1:] == [9, 3, 3, 3]
    assert stored(org) == names(children(parents))


@pytest.mark.parametrize(
    ("argument", "value"),
    [("retry_codes", "UNABLE_TO_LOCK_ROW"), ("retry_codes", [1]), ("key_columns", "Name"), ("max_record_retries", -1)],
)
def test_arguments_of_rounds_are_checked(org: LocalOrg, task: FakeTask, argument: str, value: Any) -> None:
    with pytest.raises(SourceError, match=argument):
        task.start().run(load([{"LastName": "A"}], **{argument: value}))
    assert not org.calls


def test_no_round_when_jobs_are_not_waited_for(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    org.hold(parents[0])
    result = task.start().run(load(children(parents), wait_for_completion=False, staging_path=tmp_path / "s"))
    assert len(result) == 1
    assert [path for path in (tmp_path / "s").rglob("*") if path.is_file()] == []
    assert task.start().run(load(children(parents), wait_for_completion=False, staging_path=tmp_path / "s")) == result
    assert stored(org).total() + Counter(lost=3).total() == 9
