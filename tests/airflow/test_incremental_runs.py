"""The incremental example, run twice with changed data between, in Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.client import BulkClient
from tests.airflow.conftest import Stage

DAG_ID = "incremental_accounts"
ASSET = "salesforce_accounts"


@pytest.fixture(scope="module")
def runs(stage: Stage) -> list[dict[str, Any]]:
    """Run it: over what there is, then over one change and one new account. Gives what the tasks returned."""
    stage.hurry_jobs()
    _upsert(stage, {"inc-1": "first", "inc-2": "first"})
    run_ids = []
    for changes in ({}, {"inc-2": "second", "inc-3": "second"}):
        if changes:
            _upsert(stage, changes)
        run_ids.append(stage.stack.start_run(DAG_ID))
        assert stage.stack.finish_run(DAG_ID, run_ids[-1]) == "success"
    return [stage.stack.xcom(DAG_ID, run_id, "extract") for run_id in run_ids]


def test_each_run_extracts_what_changed_since_the_one_before(runs: list[dict[str, Any]]) -> None:
    assert [_extracted(each) for each in runs] == [
        {"inc-1": "first", "inc-2": "first"},
        {"inc-2": "second", "inc-3": "second"},
    ]


def test_the_windows_follow_each_other(runs: list[dict[str, Any]]) -> None:
    windows = [each["window"] for each in runs]
    assert windows[0]["since"] == "2026-01-01T00:00:00.000Z"
    assert windows[0]["until"] == windows[1]["since"]


def test_the_watermark_is_in_the_asset_s_state_store(stage: Stage, runs: list[dict[str, Any]]) -> None:
    assets = stage.stack.call("GET", f"/api/v2/assets?name_pattern={ASSET}")["assets"]
    (asset_id,) = [each["id"] for each in assets if each["name"] == ASSET]
    stored = stage.stack.call("GET", f"/api/v2/assets/{asset_id}/state-store/sfbulk.watermark:{DAG_ID}:extract")
    assert stored["value"] == runs[-1]["window"]["until"]
    events = stage.stack.call("GET", f"/api/v2/assets/events?asset_id={asset_id}")["asset_events"]
    assert [each["extra"]["window"] for each in sorted(events, key=lambda each: each["id"])] == [
        each["window"] for each in runs
    ]
    assert all(each["extra"]["manifest"] in {run["manifest"] for run in runs} for each in events)


def _upsert(stage: Stage, names: dict[str, str]) -> None:
    rows = "".join(f"{key},{name}\n" for key, name in names.items())
    org = stage.org
    with BulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret) as client:
        client.ingest.create_job_with_data(
            "Account", "upsert", f"External_Key__c,Name\n{rows}".encode(), external_id_field="External_Key__c"
        )
    org.wait_until_idle()
    org.advance(600)  # beyond the lag


def _extracted(summary: dict[str, Any]) -> dict[str, str]:
    rows = [row for uri in summary["files"] for row in pq.read_table(Path(uri)).to_pylist()]
    return {row["External_Key__c"]: row["Name"] for row in rows if str(row["External_Key__c"]).startswith("inc-")}
