"""The other example DAGs, run as they are in the same Airflow, with the demo's sample files."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.airflow.conftest import Stage

DAILY = "file_to_salesforce"
EXTRACT = "soql_to_parquet"
STARTED_BY_HAND = ("mapped_load", "dataframe_taskflow", "submit_now_sense_later")


@pytest.fixture(scope="module")
def runs(stage: Stage) -> dict[str, str]:
    """Run the loads side by side, then the extract of what they loaded. Gives the run ids."""
    stage.hurry_jobs()
    stage.stack.unpause(DAILY)
    runs = {dag_id: stage.stack.start_run(dag_id) for dag_id in STARTED_BY_HAND}
    # The scheduler itself starts the daily one.
    path = f"/api/v2/dags/{DAILY}/dagRuns"
    (daily,) = stage.stack.wait_for(lambda: stage.stack.call("GET", path)["dag_runs"], "the daily run")
    runs[DAILY] = daily["dag_run_id"]
    for dag_id, run_id in runs.items():
        assert stage.stack.finish_run(dag_id, run_id) == "success", dag_id
    runs[EXTRACT] = stage.stack.start_run(EXTRACT)
    assert stage.stack.finish_run(EXTRACT, runs[EXTRACT]) == "success"
    return runs


def test_the_file_of_the_day_is_loaded(stage: Stage, runs: dict[str, str]) -> None:
    loaded = stage.stack.xcom(DAILY, runs[DAILY], "load")
    (successful,) = (Path(uri) for uri in loaded["results"]["successful"])
    keys = _keys([stage.lake / "accounts" / f"{successful.parent.name}.csv"])
    assert keys
    assert _keys([successful]) == keys
    assert _stored(stage, keys) == keys


def test_every_file_is_loaded_by_a_task_of_its_own(stage: Stage, runs: dict[str, str]) -> None:
    files = sorted((stage.lake / "incoming").glob("*.csv"))
    path = f"/api/v2/dags/mapped_load/dagRuns/{runs['mapped_load']}/taskInstances/load/listMapped"
    assert stage.stack.call("GET", path)["total_entries"] == len(files) == 3
    assert _stored(stage, _keys(files)) == _keys(files)


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
    assert (seen["id"], seen["state"], seen["number_records_processed"]) == (job_id, "JobComplete", 2)
    assert {record["LastName"] for record in stage.org.records("Contact")} == {"Okafor", "Lindqvist"}


def test_the_extract_has_every_account(stage: Stage, runs: dict[str, str]) -> None:
    extracted = stage.stack.xcom(EXTRACT, runs[EXTRACT], "extract")
    rows = [row for uri in extracted["files"] for row in pq.read_table(uri).to_pylist()]
    assert sorted(row["Id"] for row in rows) == sorted(record["Id"] for record in stage.org.records("Account"))
    assert {row["Owner.Username"] for row in rows} == {stage.org.username}


def _keys(files: Iterable[Path]) -> list[str]:
    keys = []
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            keys += [row["External_Key__c"] for row in csv.DictReader(file)]
    return sorted(keys)


def _stored(stage: Stage, keys: list[str]) -> list[str]:
    """Give the keys that accounts of the org have, each as often as it is there."""
    wanted = set(keys)
    return sorted(key for record in stage.org.records("Account") if (key := record["External_Key__c"]) in wanted)
