"""A DAG that starts when an object has changed, in Airflow: once a change, also when the triggerer is killed meanwhile."""

from __future__ import annotations

import csv
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.airflow.conftest import Stage

DAG_ID = "changed_leads"

DAG_FILE = f"""
    from airflow.sdk import DAG, Asset, AssetWatcher

    from airflow_provider_sfbulk import BulkQueryOperator, Incremental, SalesforceChangeTrigger

    changed = SalesforceChangeTrigger("Lead", "watched_org", every=10, lag=1)
    leads = Asset("watched_leads", watchers=[AssetWatcher(name="leads", trigger=changed)])

    with DAG("{DAG_ID}", schedule=[leads], is_paused_upon_creation=False):
        BulkQueryOperator(
            task_id="extract",
            sobject="Lead",
            fields=["LastName"],
            incremental=Incremental(asset=leads, by="asset_event"),
            output_path="{{{{ var.value.lake }}}}/changed/{{{{ run_id }}}}",
            salesforce_conn_id="watched_org",
        )
"""


@pytest.fixture(scope="module")
def runs(stage: Stage) -> Iterator[list[dict[str, Any]]]:
    """Change a lead, kill the triggerer, change another one, start a triggerer. Gives what the runs have extracted."""
    stack, file = stage.stack, stage.lake.parent / "dags" / f"{DAG_ID}.py"
    with LocalOrg() as org:
        connection = {"connection_id": "watched_org", **json.loads(org.connection)}
        connection["extra"] = json.dumps(connection["extra"])
        stack.call("POST", "/api/v2/connections", connection)
        file.write_text(textwrap.dedent(DAG_FILE), encoding="utf-8")
        try:
            stack.wait_for(lambda: _looks(org) >= 2, "the watch has begun")
            _insert(org, "first")
            stack.wait_for(lambda: len(_succeeded(stage)) == 1, "the first change has started a run")
            stack.kill_component("triggerer")
            _insert(org, "second")
            stack.start_component("triggerer")
            stack.wait_for(lambda: len(_succeeded(stage)) == 2, "the second change has started a run")
            there = _looks(org)
            stack.wait_for(lambda: _looks(org) >= there + 2, "the watch has looked again")
            yield [stack.xcom(DAG_ID, run_id, "extract") for run_id in sorted(_succeeded(stage))]
        finally:
            file.unlink()


def test_each_change_starts_one_run_that_extracts_it(runs: list[dict[str, Any]]) -> None:
    assert sorted(_names(each) for each in runs) == [["first"], ["second"]]


def test_the_windows_of_the_runs_follow_each_other(runs: list[dict[str, Any]]) -> None:
    first, second = sorted((each["window"] for each in runs), key=lambda window: window["since"])
    assert first["since"] < first["until"] == second["since"]


def _succeeded(stage: Stage) -> list[str]:
    runs = stage.stack.call("GET", f"/api/v2/dags/{DAG_ID}/dagRuns", missing={"dag_runs": []})["dag_runs"]
    assert all(run["state"] != "failed" for run in runs)
    return [run["dag_run_id"] for run in runs if run["state"] == "success"]


def _looks(org: LocalOrg) -> int:
    return sum(call.path.endswith("/composite") for call in org.calls)


def _insert(org: LocalOrg, name: str) -> None:
    with BulkClient(host=org.url, client_id=org.client_id, client_secret=org.client_secret) as client:
        client.ingest.create_job_with_data("Lead", "insert", f"LastName,Company\n{name},none\n".encode())
    org.wait_until_idle()
    org.advance(60)


def _names(summary: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for uri in summary["files"]:
        with Path(uri).open(newline="", encoding="utf-8") as file:
            found += [row["LastName"] for row in csv.DictReader(file)]
    return found
