"""The other example DAGs, run as they are in the same Airflow: only folders are given to them."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.airflow.conftest import Stage

pytestmark = pytest.mark.xdist_group("airflow")

DAY = datetime(2026, 3, 4, tzinfo=UTC)
FOLDERS = ("file_to_salesforce", "mapped_load")
EXTRACT = "soql_to_parquet"
ALONE = ("dataframe_taskflow", "submit_now_sense_later")


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[str, str]:
    """Run the loads side by side, then the extract of what they loaded. Gives the run ids."""
    stage.hurry_jobs()
    folder = stage.files / "examples"
    _write(folder / "file_to_salesforce" / "2026-03-04.csv", "daily")
    for part in "abc":
        _write(folder / "mapped_load" / f"{part}.csv", f"mapped-{part}")
    runs = {dag_id: _start(stage, dag_id, {"folder": str(folder / dag_id)}) for dag_id in FOLDERS}
    runs |= {dag_id: _start(stage, dag_id, {}) for dag_id in ALONE}
    for dag_id, run_id in runs.items():
        assert stage.stack.finish_run(dag_id, run_id) == "success", dag_id
    runs[EXTRACT] = _start(stage, EXTRACT, {"folder": str(folder / EXTRACT)})
    assert stage.stack.finish_run(EXTRACT, runs[EXTRACT]) == "success"
    return runs


def test_files_are_loaded_each_once(stage: Stage, runs: dict[str, str]) -> None:
    keys = [f"{name}-{row}" for name in ("daily", "mapped-a", "mapped-b", "mapped-c") for row in range(2)]
    assert (
        sorted(record["External_Key__c"] for record in stage.org.records("Account") if record["External_Key__c"])
        == keys
    )
    results = stage.files / "examples" / "file_to_salesforce" / "results" / "2026-03-04"
    assert {path.name for path in results.iterdir()} == {"successful.csv", "manifest.json"}


def test_a_data_frame_arrives_with_its_types(stage: Stage, runs: dict[str, str]) -> None:
    stored = {
        record["Name"]: (record["NumberOfEmployees"], record["AnnualRevenue"])
        for record in stage.org.records("Account")
    }
    assert stored["Umbrella Stand Co"] == (12, 1_250_000)
    assert stored["Parasol Works"] == (None, 90_000_000)


def test_the_sensor_gives_the_finished_job(stage: Stage, runs: dict[str, str]) -> None:
    run_id = runs["submit_now_sense_later"]
    (job_id,) = stage.stack.xcom("submit_now_sense_later", run_id, "submit")
    (seen,) = stage.stack.xcom("submit_now_sense_later", run_id, "sense")
    assert (seen["id"], seen["state"]) == (job_id, "JobComplete")
    assert {record["LastName"] for record in stage.org.records("Contact")} == {"Okafor", "Lindqvist"}


def test_the_extract_has_every_account(stage: Stage, runs: dict[str, str]) -> None:
    extracted = stage.stack.xcom(EXTRACT, runs[EXTRACT], "extract")
    rows = [row for uri in extracted["files"] for row in pq.read_table(uri).to_pylist()]
    assert sorted(row["Id"] for row in rows) == sorted(record["Id"] for record in stage.org.records("Account"))
    assert {row["Owner.Username"] for row in rows} == {stage.org.username}


def _write(path: Path, name: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([["External_Key__c", "Name"], *([f"{name}-{row}", f"Loaded by {name}"] for row in range(2))])


def _start(stage: Stage, dag_id: str, conf: dict[str, Any]) -> str:
    """Start a run of a given day, since one of the DAGs asks for its day."""
    stage.stack.wait_for(lambda: stage.stack.call("GET", f"/api/v2/dags/{dag_id}", missing=None), f"{dag_id} is known")
    stage.stack.call("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": False})
    body = {"logical_date": DAY.isoformat(), "conf": conf}
    run_id: str = stage.stack.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"]
    return run_id
