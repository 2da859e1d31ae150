"""Nightly loads of which only a few rows differ, and an extract in folders by value, through Airflow."""

from __future__ import annotations

import csv

import pyarrow.dataset as ds
import pytest

from tests.airflow.conftest import Stage

pytestmark = pytest.mark.long

DAG_ID = "difference_runs"
ROWS, CHANGED = 200, 10
INDUSTRIES = ("Energy", "Retail", "")


def _night(stage: Stage, number: int) -> str:
    """Load all rows, of which some are new each night. Both the query and the load have to be waited for."""
    source = stage.lake / "differs.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["External_Key__c", "Name", "Industry"])
        for n in range(ROWS):
            name = f"Differs {n}, night {number if n < CHANGED else 0}"
            writer.writerow((f"differs-{n}", name, INDUSTRIES[n % len(INDUSTRIES)]))
    stage.hold_jobs()
    stage.stack.unpause(DAG_ID)
    run_id = stage.stack.start_run(DAG_ID, {"source": str(source), "folder": str(stage.lake / "differs")})
    stage.wait_for_state(DAG_ID, run_id, "load", "deferred")
    assert str(stage.org.jobs[-1].kind) == "V2Query"
    stage.hurry_jobs()
    stage.let_jobs_end()
    assert stage.stack.finish_run(DAG_ID, run_id) == "success"
    return run_id


def test_only_rows_that_differ_are_sent(stage: Stage) -> None:
    first = stage.stack.xcom(DAG_ID, _night(stage, 0), "load")
    assert (first["successful"], first["unchanged"]) == (ROWS, 0)
    run_id = _night(stage, 1)
    second = stage.stack.xcom(DAG_ID, run_id, "load")
    assert (second["successful"], second["failed"], second["unchanged"]) == (CHANGED, 0, ROWS - CHANGED)
    ours = [each for each in stage.org.records("Account") if (each["External_Key__c"] or "").startswith("differs-")]
    assert sorted(each["Name"] for each in ours) == sorted(
        f"Differs {n}, night {1 if n < CHANGED else 0}" for n in range(ROWS)
    )
    extract = stage.stack.xcom(DAG_ID, run_id, "extract")
    assert extract["records"] == ROWS
    folders = {uri.rpartition("Industry=")[2].partition("/")[0] for uri in extract["files"]}
    assert folders == {"Energy", "Retail", "__HIVE_DEFAULT_PARTITION__"}
    rows = ds.dataset([uri.removeprefix("file://") for uri in extract["files"]], format="parquet").to_table()
    assert sorted(rows["External_Key__c"].to_pylist()) == sorted(f"differs-{n}" for n in range(ROWS))
