"""Checks in front of a load, in a real Airflow: one reports, one stops the load; the org stays as it is."""

from __future__ import annotations

import csv
from pathlib import Path

from airflow_provider_sfbulk.operators.ingest import CHECK_XCOM_KEY
from tests.airflow.conftest import Stage

DAG_ID = "checked_loads"


def test_a_check_reports_and_another_stops_the_load_in_one_try(stage: Stage) -> None:
    source = stage.lake / "checked.csv"
    source.write_text("Name,NumberOfEmployees\nChecked one,12\nChecked two,a dozen\n,7\n", encoding="utf-8")
    stage.stack.unpause(DAG_ID)
    run_id = stage.stack.start_run(DAG_ID, {"source": str(source), "folder": str(stage.lake / "checked")})
    assert stage.stack.finish_run(DAG_ID, run_id) == "failed"

    reported = stage.stack.xcom(DAG_ID, run_id, "report")
    errors = {"INVALID_FIELD": 1, "REQUIRED_FIELD_MISSING": 1}
    assert (reported["records"], reported["failed"], reported["errors"]) == (3, 2, errors)
    (listed,) = (Path(uri) for uri in reported["results"]["failed"])
    with listed.open(newline="", encoding="utf-8") as file:
        assert {(row["sf__Row"], row["sf__Value"]) for row in csv.DictReader(file)} == {("2", "a dozen"), ("3", "")}

    tasks = {task_id: stage.stack.task(DAG_ID, run_id, task_id) for task_id in ("report", "gate", "load")}
    assert {name: task["state"] for name, task in tasks.items()} == {
        "report": "success",
        "gate": "failed",
        "load": "upstream_failed",
    }
    assert tasks["gate"]["try_number"] == 1
    assert stage.stack.xcom(DAG_ID, run_id, "gate", CHECK_XCOM_KEY)["errors"] == errors
    assert [each for each in stage.org.records("Account") if str(each["Name"]).startswith("Checked")] == []
