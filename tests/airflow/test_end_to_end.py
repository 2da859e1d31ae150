"""The main job on a real Airflow: scheduler, triggerer, dag-processor and API server, tasks in processes of their own."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.demo.airports import COLUMNS, KEY, NUMBERS, PLANTED, SOBJECT, airports
from airflow_provider_sfbulk.demo.samples import DAILY_COUNTRY, INCOMING_COUNTRIES
from tests.airflow.conftest import World

DAG_ID = "airports"


@pytest.fixture(scope="module")
def run(world: World) -> tuple[World, str]:
    """One run of the demo's DAG, from start to success."""
    run_id = world.stack.start_run(DAG_ID)
    assert world.stack.finish_run(DAG_ID, run_id) == "success"
    return world, run_id


def test_every_airport_is_in_the_org_value_by_value(run: tuple[World, str]) -> None:
    world, _ = run
    stored = {row[KEY]: row for row in world.org.records(SOBJECT)}
    sent = {row[KEY]: row for row in airports()}
    assert len(sent) > 25_000
    assert stored.keys() == sent.keys()
    for key, row in sent.items():
        for column in COLUMNS:
            expected = float(row[column]) if column in NUMBERS else row[column] or None
            assert stored[key][column] == expected, (key, column)


def test_the_extract_is_typed_and_has_every_row(run: tuple[World, str]) -> None:
    world, run_id = run
    summary = world.stack.xcom(DAG_ID, run_id, "extract")
    rows = [row for uri in summary["files"] for row in pq.read_table(uri).to_pylist()]
    sent = {row[KEY]: row for row in airports()}
    assert {row[KEY] for row in rows} == sent.keys()
    assert len(rows) == summary["records"] == len(sent)
    for row in rows:
        assert row["Name"] == sent[row[KEY]]["Name"]
        assert float(row["Latitude__c"]) == float(sent[row[KEY]]["Latitude__c"])
    manifest = json.loads(Path(summary["manifest"]).read_text())
    assert manifest["records"] == len(sent)
    assert [file["uri"] for file in manifest["files"]] == summary["files"]


def test_exactly_the_planted_rows_failed_and_lie_in_a_file(run: tuple[World, str]) -> None:
    world, run_id = run
    summary = world.stack.xcom(DAG_ID, run_id, "load")
    assert summary["failed"] == len(PLANTED)
    assert sum(summary["errors"].values()) == len(PLANTED)
    (uri,) = summary["results"]["failed"]
    with Path(uri).open(newline="", encoding="utf-8") as file:
        failed = {row[KEY]: row for row in csv.DictReader(file)}
    assert failed.keys() == PLANTED.keys()
    assert failed["BAD-1"]["sf__ErrorCode"] == "REQUIRED_FIELD_MISSING"
    assert failed["BAD-1"]["sf__ErrorFields"] == "Name"


def test_the_summary_has_the_contracts_keys_and_is_small(run: tuple[World, str]) -> None:
    world, run_id = run
    summary = world.stack.xcom(DAG_ID, run_id, "load")
    assert set(summary) == {
        *("sobject", "operation", "job_ids", "processed", "successful", "failed", "unprocessed", "errors"),
        *("api_calls", "results", "manifest"),
    }
    assert summary["processed"] == summary["successful"] + summary["failed"]
    assert summary["api_calls"] <= 12
    assert len(json.dumps(summary)) < 4096


def test_both_tasks_waited_in_the_triggerer(run: tuple[World, str]) -> None:
    world, run_id = run
    for task_id in ("load", "extract"):
        logs = list(world.stack.home.glob(f"logs/dag_id={DAG_ID}/run_id={run_id}/task_id={task_id}/*.trigger.*.log"))
        assert logs, f"{task_id} was not deferred"


def test_the_link_opens_the_job_in_setup(run: tuple[World, str]) -> None:
    world, run_id = run
    job_id = world.stack.xcom(DAG_ID, run_id, "load")["job_ids"][0]
    path = f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/load/links"
    links = world.stack.call("GET", path)["extra_links"]
    assert links["Salesforce job"] == f"{world.org.url}/lightning/setup/AsyncApiJobStatus/page?address=%2F{job_id}"


def test_no_secret_and_no_cell_value_is_written_anywhere_by_airflow(run: tuple[World, str]) -> None:
    world, _ = run
    hidden = {
        "client secret": world.org.client_secret,
        "private key": world.org.private_key.splitlines()[1],
        "access token": "!AQ",
        "a planted value": "very high",
        "an airport's name": "Fáskrúðsfjörður",
    }
    for path, text in _everything_written(world.stack.home):
        for what, needle in hidden.items():
            assert needle not in text, f"{what} is in {path}"


def test_airflow_knows_the_provider(world: World) -> None:
    providers = world.stack.call("GET", "/api/v2/providers?limit=500")["providers"]
    assert "airflow-provider-sfbulk" in {each["package_name"] for each in providers}
    (shown,) = json.loads(world.stack.command("providers", "get", "airflow-provider-sfbulk", "--full", "-o", "json"))
    listed = json.dumps(shown)
    for part in ("hooks.salesforce_bulk", "operators.ingest", "operators.query", "sensors.job", "triggers.job"):
        assert f"airflow_provider_sfbulk.{part}" in listed
    (hook,) = [
        each
        for each in json.loads(world.stack.command("providers", "hooks", "-o", "json"))
        if each["connection_type"] == "salesforce_bulk"
    ]
    assert hook["class"] == "airflow_provider_sfbulk.hooks.salesforce_bulk.SalesforceBulkHook"


def test_the_connection_can_be_tested_from_the_form(world: World) -> None:
    connection = json.loads(world.org.connection)
    body = {
        "connection_id": "tested",
        "conn_type": connection["conn_type"],
        "host": connection["host"],
        "login": connection["login"],
        "extra": json.dumps(connection["extra"]),
    }
    good = world.stack.call("POST", "/api/v2/connections/test", body)
    assert good["status"] is True, good
    assert "API calls left today" in good["message"]
    wrong = {**body, "extra": json.dumps({**connection["extra"], "client_secret": "wrong-secret"})}
    bad = world.stack.call("POST", "/api/v2/connections/test", wrong)
    assert bad["status"] is False
    assert "invalid_client" in bad["message"]
    assert "wrong-secret" not in bad["message"]


def test_every_other_example_runs(world: World) -> None:
    others = ("mapped_load", "soql_to_parquet", "submit_now_sense_later", "dataframe_taskflow", "file_to_salesforce")
    today = datetime.now(UTC).isoformat()
    started = {
        dag_id: world.stack.start_run(dag_id, logical_date=today if dag_id == "file_to_salesforce" else None)
        for dag_id in others
    }
    ended = {dag_id: world.stack.finish_run(dag_id, run_id) for dag_id, run_id in started.items()}
    assert set(ended.values()) == {"success"}, ended
    accounts = {row["External_Key__c"]: row["Name"] for row in world.org.records("Account")}
    for row in airports():
        if row["Country__c"] in {*INCOMING_COUNTRIES, DAILY_COUNTRY}:
            assert accounts[row[KEY]] == row["Name"]
    assert {"Umbrella Stand Co", "Parasol Works"} <= {row["Name"] for row in world.org.records("Account")}
    assert {row["LastName"] for row in world.org.records("Contact")} == {"Okafor", "Lindqvist"}
    (sensed,) = world.stack.xcom("submit_now_sense_later", started["submit_now_sense_later"], "sense")
    assert (sensed["state"], sensed["number_records_processed"]) == ("JobComplete", 2)


def test_a_person_who_marks_a_waiting_load_failed_aborts_its_job(world: World) -> None:
    run_id = world.stack.start_run("waiting_load")
    path = f"/api/v2/dags/waiting_load/dagRuns/{run_id}/taskInstances/load"
    world.stack.wait_for(lambda: world.stack.call("GET", path)["state"] == "deferred", "the load waits", seconds=90)
    world.stack.call("PATCH", path, {"new_state": "failed"})

    def aborted() -> bool:
        return [str(job.state) for job in world.org.jobs if job.object == "Lead"] == ["Aborted"]

    world.stack.wait_for(aborted, "the job is aborted", seconds=60)
    assert not world.org.records("Lead")


def _everything_written(home: Path) -> Iterator[tuple[Path, str]]:
    for path in home.rglob("*"):
        if path.is_file() and path.suffix in {".log", ".json", ".cfg"}:
            yield path, path.read_text(encoding="utf-8", errors="replace")
    database = home / "airflow.db"
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            rows: list[Any] = connection.execute(f'SELECT * FROM "{table}"').fetchall()
            yield database / table, repr(rows)
