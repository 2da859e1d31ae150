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

DAG_FILE = """
    from airflow.sdk import DAG, Asset, AssetWatcher

    from airflow_provider_sfbulk import BulkQueryOperator, Incremental, SalesforceChangeTrigger

    changed = SalesforceChangeTrigger("Lead", "{name}", every=10, lag=1)
    leads = Asset("{name}", watchers=[AssetWatcher(name="leads", trigger=changed)])

    with DAG("{name}", schedule=[leads], is_paused_upon_creation=False):
        BulkQueryOperator(
            task_id="extract",
            sobject="Lead",
            fields=["LastName"],
            incremental=Incremental(asset=leads, by="asset_event"),
            output_path="{{ var.value.lake }}/{{ dag.dag_id }}/{{ run_id }}",
            salesforce_conn_id="{name}",
        )
"""


@pytest.fixture(scope="module", params=["left_alone", pytest.param("killed", marks=pytest.mark.long)])
def runs(stage: Stage, request: pytest.FixtureRequest) -> Iterator[list[dict[str, Any]]]:
    """Change a lead, and another one, before which the triggerer may be killed. Gives what the runs have extracted.

    That a window stays whole whenever a triggerer dies, ``tests/provider/triggers/test_change.py`` shows.
    """
    name = f"watched_and_{request.param}"
    stack, file = stage.stack, stage.lake.parent / "dags" / f"{name}.py"
    with LocalOrg() as org:
        connection = {"connection_id": name, **json.loads(org.connection)}
        connection["extra"] = json.dumps(connection["extra"])
        stack.call("POST", "/api/v2/connections", connection)
        file.write_text(textwrap.dedent(DAG_FILE.replace("{name}", name)), encoding="utf-8")
        try:
            stack.wait_for(lambda: _looks(org) >= 2, "the watch has begun")
            _insert(org, "first")
            stack.wait_for(lambda: len(_succeeded(stage, name)) == 1, "the first change has started a run")
            if request.param == "killed":
                stack.kill_component("triggerer")
            _insert(org, "second")
            if request.param == "killed":
                stack.start_component("triggerer")
            stack.wait_for(lambda: len(_succeeded(stage, name)) == 2, "the second change has started a run")
            there = _looks(org)
            stack.wait_for(lambda: _looks(org) >= there + 2, "the watch has looked again")
            yield [stack.xcom(name, run_id, "extract") for run_id in sorted(_succeeded(stage, name))]
        finally:
            file.unlink()


def test_each_change_starts_one_run_that_extracts_it(runs: list[dict[str, Any]]) -> None:
    assert sorted(_names(each) for each in runs) == [["first"], ["second"]]


def test_the_windows_of_the_runs_follow_each_other(runs: list[dict[str, Any]]) -> None:
    first, second = sorted((each["window"] for each in runs), key=lambda window: window["since"])
    assert first["since"] < first["until"] == second["since"]


def _succeeded(stage: Stage, dag_id: str) -> list[str]:
    runs = stage.stack.call("GET", f"/api/v2/dags/{dag_id}/dagRuns", missing={"dag_runs": []})["dag_runs"]
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
