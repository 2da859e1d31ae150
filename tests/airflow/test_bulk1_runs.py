"""A serial load of 100,000 records by Bulk API 1.0 and their extract by 1.0, through Airflow."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.airflow.conftest import Stage

# By default the same goes through the operators, in tests/provider/ingest/test_bulk1_ingest.py, and other jobs through
# Airflow.
pytestmark = pytest.mark.long

DAG_ID = "bulk1_runs"
RECORDS = 100_000
BATCHES = 10


@pytest.fixture(scope="module")
def run(stage: Stage) -> str:
    """Run both tasks; each has to wait in the triggerer before its job may end."""
    source = stage.lake / "by_1_0.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Name", "External_Key__c", "AnnualRevenue"])
        writer.writerows((f"By 1.0 {n}", f"by-1.0-{n}", n * 100) for n in range(RECORDS))
    stage.hold_jobs()
    stage.stack.unpause(DAG_ID)
    run_id = stage.stack.start_run(DAG_ID, {"source": str(source), "folder": str(stage.lake / "by_1_0")})
    for task_id in ("load", "extract"):
        stage.wait_for_state(DAG_ID, run_id, task_id, "deferred")
        stage.hurry_jobs()  # the batches behind the first: in a serial job each begins when the one before has ended
        stage.let_jobs_end()
        stage.org.wait_until_idle()
        stage.hold_jobs()
    assert stage.stack.finish_run(DAG_ID, run_id) == "success"
    return run_id


def test_every_record_arrives_once_in_serial_batches(stage: Stage, run: str) -> None:
    summary = stage.stack.xcom(DAG_ID, run, "load")
    assert (summary["successful"], summary["failed"], summary["unprocessed"]) == (RECORDS, 0, 0)
    (job,) = [job for job in stage.org.bulk1_jobs if job.id in summary["job_ids"]]
    assert (str(job.concurrency_mode), str(job.state)) == ("Serial", "Closed")
    keys = [record["External_Key__c"] for record in stage.org.records("Account") if _is_ours(record["External_Key__c"])]
    assert len(keys) == len(set(keys)) == RECORDS
    # Of each batch the POST, what was sent, and its results; else job, describe, close, lists.
    assert summary["api_calls"] <= 3 * BATCHES + 15
    (successful,) = (Path(uri) for uri in summary["results"]["successful"])
    with successful.open(newline="", encoding="utf-8") as file:
        rows = [(row["sf__Row"], row["External_Key__c"]) for row in csv.DictReader(file)]
    assert sorted(rows) == sorted((str(n + 1), f"by-1.0-{n}") for n in range(RECORDS))


def test_the_extract_has_every_record_typed(stage: Stage, run: str) -> None:
    summary = stage.stack.xcom(DAG_ID, run, "extract")
    assert summary["records"] == RECORDS
    table = pa.concat_tables([pq.read_table(uri) for uri in summary["files"]])
    found = dict(zip(table["External_Key__c"].to_pylist(), table["AnnualRevenue"].to_pylist(), strict=True))
    assert found == {f"by-1.0-{n}": Decimal(n * 100) for n in range(RECORDS)}


def _is_ours(key: object) -> bool:
    return isinstance(key, str) and key.startswith("by-1.0-")
