"""The main job on a real Airflow: every airport loaded and extracted again, both waits in the triggerer; a check first."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.demo.airports import KEY, NUMBERS, PLANTED, SOBJECT, airports
from airflow_provider_sfbulk.operators.ingest import CHECK_XCOM_KEY
from tests.airflow.conftest import Stage

DAG_ID = "airports"
CHECKED = "checked_loads"
XCOM_BYTES = 4096
LOAD_KEYS = {
    "sobject",
    "operation",
    "job_ids",
    "processed",
    "successful",
    "failed",
    "unprocessed",
    "errors",
    "api_calls",
    "results",
    "manifest",
}
EXTRACT_KEYS = {"job_id", "records", "files", "manifest", "columns", "api_calls"}


@pytest.fixture(scope="module")
def run_id(stage: Stage) -> str:
    """Run the DAG, and see each of its waits before it is let go on."""
    stage.hold_jobs()
    run_id = stage.stack.start_run(DAG_ID)
    for task_id in ("load", "extract"):
        waiting = stage.wait_for_state(DAG_ID, run_id, task_id, "deferred")
        assert waiting["trigger"]["classpath"] == "airflow_provider_sfbulk.triggers.job.BulkJobTrigger"
        # The link is there while the job runs: that is when it is wanted.
        assert "AsyncApiJobStatus" in _link(stage, run_id, task_id)
        stage.let_jobs_end()
        stage.wait_for_state(DAG_ID, run_id, task_id, "success")
    assert stage.stack.finish_run(DAG_ID, run_id) == "success"
    return run_id


def test_the_org_holds_every_airport_value_by_value(stage: Stage, run_id: str) -> None:
    expected = {row[KEY]: row for row in airports()}
    stored = stage.org.records(SOBJECT)
    assert len(stored) == len(expected) > 25_000
    for record in stored:
        sent = expected.pop(record[KEY])
        assert {field: record[field] for field in sent} == _typed(sent)
    assert not expected


def test_the_extract_is_what_was_sent(stage: Stage, run_id: str) -> None:
    extracted = stage.stack.xcom(DAG_ID, run_id, "extract")
    expected = {row[KEY]: row for row in airports()}
    for uri in extracted["files"]:
        for row in pq.read_table(uri).to_pylist():
            sent = _typed(expected.pop(row[KEY]))
            assert {**row, **{field: float(row[field]) for field in NUMBERS}} == {field: sent[field] for field in row}
    assert not expected
    assert json.loads(Path(extracted["manifest"]).read_text())["records"] == extracted["records"] > 25_000


def test_exactly_the_planted_rows_failed_and_lie_in_a_file(stage: Stage, run_id: str) -> None:
    (uri,) = stage.stack.xcom(DAG_ID, run_id, "load")["results"]["failed"]
    with Path(uri).open(newline="", encoding="utf-8") as file:
        failed = {row[KEY]: row for row in csv.DictReader(file)}
    assert failed.keys() == PLANTED.keys()
    for key, row in failed.items():
        assert {field: row[field] for field in PLANTED[key]} == PLANTED[key]
        assert row["sf__ErrorCode"]
        assert row["sf__Error"].startswith(row["sf__ErrorCode"])
    assert (failed["BAD-1"]["sf__ErrorCode"], failed["BAD-1"]["sf__ErrorFields"]) == ("REQUIRED_FIELD_MISSING", "Name")


def test_xcoms_are_small_and_hold_what_is_promised(stage: Stage, run_id: str) -> None:
    loaded, extracted = (stage.stack.xcom(DAG_ID, run_id, task_id) for task_id in ("load", "extract"))
    assert loaded.keys() == LOAD_KEYS
    assert extracted.keys() == EXTRACT_KEYS
    assert max(len(json.dumps(each)) for each in (loaded, extracted)) < XCOM_BYTES
    assert (loaded["failed"], loaded["unprocessed"]) == (len(PLANTED), 0)
    assert loaded["successful"] == extracted["records"] == loaded["processed"] - len(PLANTED)
    by_id = {job.id: job for job in stage.org.jobs}
    assert [by_id[job_id].operation for job_id in loaded["job_ids"]] == ["upsert"]
    assert by_id[extracted["job_id"]].operation == "query"


def test_the_link_leads_to_the_job(stage: Stage, run_id: str) -> None:
    job_id = stage.stack.xcom(DAG_ID, run_id, "extract")["job_id"]
    expected = f"{stage.org.url}/lightning/setup/AsyncApiJobStatus/page?address=%2F{job_id}"
    assert _link(stage, run_id, "extract") == expected


def _link(stage: Stage, run_id: str, task_id: str) -> str:
    return stage.stack.links(DAG_ID, run_id, task_id)["Salesforce job"] or ""


def _typed(row: dict[str, str]) -> dict[str, Any]:
    """Give a row of the input as Salesforce stores it: nothing for the empty text, numbers as numbers."""
    typed: dict[str, Any] = {field: value or None for field, value in row.items()}
    for field in NUMBERS:
        typed[field] = float(row[field])
        assert math.isfinite(typed[field])
    return typed


def test_a_check_reports_and_another_stops_the_load_in_one_try(stage: Stage) -> None:
    source = stage.lake / "checked.csv"
    source.write_text("Name,NumberOfEmployees\nChecked one,12\nChecked two,a dozen\n,7\n", encoding="utf-8")
    stage.stack.unpause(CHECKED)
    run_id = stage.stack.start_run(CHECKED, {"source": str(source), "folder": str(stage.lake / "checked")})
    assert stage.stack.finish_run(CHECKED, run_id) == "failed"

    reported = stage.stack.xcom(CHECKED, run_id, "report")
    errors = {"INVALID_FIELD": 1, "REQUIRED_FIELD_MISSING": 1}
    assert (reported["records"], reported["failed"], reported["errors"]) == (3, 2, errors)
    (listed,) = (Path(uri) for uri in reported["results"]["failed"])
    with listed.open(newline="", encoding="utf-8") as file:
        assert {(row["sf__Row"], row["sf__Value"]) for row in csv.DictReader(file)} == {("2", "a dozen"), ("3", "")}

    tasks = {task_id: stage.stack.task(CHECKED, run_id, task_id) for task_id in ("report", "gate", "load")}
    assert {name: task["state"] for name, task in tasks.items()} == {
        "report": "success",
        "gate": "failed",
        "load": "upstream_failed",
    }
    assert tasks["gate"]["try_number"] == 1
    assert stage.stack.xcom(CHECKED, run_id, "gate", CHECK_XCOM_KEY)["errors"] == errors
    assert [each for each in stage.org.records("Account") if str(each["Name"]).startswith("Checked")] == []
