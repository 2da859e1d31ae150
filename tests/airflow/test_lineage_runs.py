"""What a real Airflow tells OpenLineage of a load and an extract, as its events are written to a file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.airflow.conftest import Stage

DAG_ID = "lineage_runs"
NAME = "Of known descent"


@pytest.fixture(scope="module")
def told(stage: Stage) -> dict[str, Any]:
    """Run both tasks, of which one waits in the triggerer. Gives the COMPLETE event of each, by task."""
    stage.hold_jobs()
    source = stage.lake / "descent.csv"
    source.write_text("Name,AnnualRevenue\n" + "".join(f"{NAME} {n},{n}\n" for n in range(3)), encoding="utf-8")
    stage.stack.unpause(DAG_ID)
    run_id = stage.stack.start_run(DAG_ID, {"source": str(source), "folder": str(stage.lake / "descent")})
    stage.wait_for_state(DAG_ID, run_id, "load", "deferred")
    stage.hurry_jobs()
    stage.let_jobs_end()
    assert stage.stack.finish_run(DAG_ID, run_id) == "success"
    names = {f"{DAG_ID}.load": "load", f"{DAG_ID}.extract": "extract"}

    def completed() -> dict[str, Any] | None:
        events = [json.loads(line) for path in stage.events.parent.glob("*") for line in path.read_text().splitlines()]
        found = {
            names[event["job"]["name"]]: event
            for event in events
            if event["eventType"] == "COMPLETE" and event["job"]["name"] in names
        }
        return found if len(found) == len(names) else None

    events: dict[str, Any] = stage.stack.wait_for(completed, "the events of both tasks")
    return events


def test_the_load_s_event_names_file_object_and_columns(stage: Stage, told: dict[str, Any]) -> None:
    event = told["load"]
    (read,), (written,) = event["inputs"], event["outputs"]
    assert (read["namespace"], read["name"]) == ("file", str(stage.lake / "descent.csv"))
    assert (written["namespace"], written["name"]) == (stage.org.url.replace("http:", "salesforce:"), "Account")
    fields = [(each["name"], each["type"]) for each in written["facets"]["schema"]["fields"]]
    assert fields == [("Name", "string"), ("AnnualRevenue", "currency")]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 3
    facet = event["run"]["facets"]["salesforceBulk"]
    assert facet["jobIds"] == [event["run"]["facets"]["externalQuery"]["externalQueryId"]]
    assert facet["facts"]["successful"] == 3


def test_the_extract_s_event_names_object_folder_and_types(stage: Stage, told: dict[str, Any]) -> None:
    event = told["extract"]
    (read,), (written,) = event["inputs"], event["outputs"]
    assert (read["name"], written["name"]) == ("Account", str(stage.lake / "descent" / "extract"))
    fields = [(each["name"], each["type"]) for each in written["facets"]["schema"]["fields"]]
    assert fields == [("Id", "string"), ("Name", "string"), ("AnnualRevenue", "integer")]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert event["job"]["facets"]["sql"]["query"].endswith("WHERE Name LIKE :pattern")


def test_no_event_holds_a_value(stage: Stage, told: dict[str, Any]) -> None:
    assert NAME not in json.dumps(told)


def test_asset_events_hold_counts_and_places(stage: Stage, told: dict[str, Any]) -> None:
    events = {
        event["name"]: event["extra"]
        for event in stage.stack.call("GET", f"/api/v2/assets/events?source_dag_id={DAG_ID}")["asset_events"]
    }
    assert (events["accounts_in_salesforce"]["successful"], events["accounts_in_the_lake"]["records"]) == (3, 3)
    assert events["accounts_in_the_lake"]["manifest"].endswith("/_manifest.json")
