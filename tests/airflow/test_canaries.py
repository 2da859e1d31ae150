"""Canaries on a real Airflow that logs at DEBUG and reports to OpenLineage and StatsD: through the ways in which operators,
sensor and trigger fail, no secret, bound value or cell comes into its files, its database, an event or a metric.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.airflow.conftest import IS_SEARCHED, Stage
from tests.airflow.searching import files_of, found, rows_of, secrets_of, sessions_of
from tests.canaries import BOUND, CELL, FAULTS, spellings

pytestmark = pytest.mark.skipif(not IS_SEARCHED, reason="make canaries")

DAG_ID = "canary_runs"
PLANT = "Planted Value+/ 1234"
FAILED_JOB = f"InvalidBatch : cannot read '{CELL}' or '{BOUND}'"
ORGS = ("refused login", "refused upload", "refused batch", "refused query", "failed job", "no results", "cut", "well")
SUCCEED = {"plant", "submit"}


@pytest.fixture(scope="module")
def orgs(stage: Stage) -> Iterator[dict[str, LocalOrg]]:
    """Start an org for each way to fail, and let Airflow know them. What they need is stored as its users store it."""
    with ExitStack() as open_orgs:
        orgs = {name: open_orgs.enter_context(LocalOrg()) for name in ORGS}
        for name, org in orgs.items():
            if name in FAULTS:
                org.core.faults.add(*FAULTS[name](org))
            connection = json.loads(org.connection)
            connection |= {
                "connection_id": f"canary_{name.replace(' ', '_')}",
                "extra": json.dumps(connection["extra"]),
            }
            stage.stack.call("POST", "/api/v2/connections", connection)
        for name in ("cut", "no results"):
            orgs[name].put("Account", [{"Name": BOUND, "Description": CELL} for _ in range(50)])
        orgs["failed job"].fail_jobs(jobs=None, error_message=FAILED_JOB)
        orgs["cut"].fault("query.results", "cut", times=None, at_byte=200)
        yield orgs


@pytest.fixture(scope="module")
def states(stage: Stage, orgs: dict[str, LocalOrg]) -> dict[str, str]:
    """Run all tasks. Gives their states."""
    rows = stage.lake / "canary_rows.csv"
    rows.write_text(f"Name,NumberOfEmployees\n{CELL},{CELL}\n", encoding="utf-8")
    (stage.lake / "canary_bad.csv").write_text(f'Name,NumberOfEmployees\n"{CELL}",1,{CELL}\n"{BOUND}', encoding="utf-8")
    run_id = stage.stack.start_run(DAG_ID)
    assert stage.stack.finish_run(DAG_ID, run_id) == "failed"
    tasks = stage.stack.call("GET", f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances")["task_instances"]
    states = {each["task_id"]: each["state"] for each in tasks}
    failed = {f"{DAG_ID}.{task_id}" for task_id, state in states.items() if state == "failed"}

    def are_reported() -> bool:
        events = [json.loads(line) for path in stage.events.parent.glob("*") for line in path.read_text().splitlines()]
        return failed | {DAG_ID} <= {event["job"]["name"] for event in events if event["eventType"] == "FAIL"}

    stage.stack.wait_for(are_reported, "the events of all failed tasks")
    return states


@pytest.fixture(scope="module")
def places(stage: Stage, states: dict[str, str]) -> dict[str, dict[Path, bytes]]:
    """Give all that Airflow has written and sent, by kind."""
    return {
        "files": dict(files_of(stage.stack.home)),
        "database": {Path(table): data for table, data in rows_of(stage.stack.home / "airflow.db").items()},
        "lineage": dict(files_of(stage.events.parent)),
        "metrics": {Path("statsd"): b"\n".join(stage.metrics.packets())},
    }


def test_every_way_to_fail_was_taken_with_the_canaries(orgs: dict[str, LocalOrg], states: dict[str, str]) -> None:
    assert {task_id for task_id, state in states.items() if state == "success"} == SUCCEED
    assert {state for task_id, state in states.items() if task_id not in SUCCEED} == {"failed"}
    assert any(BOUND in str(job.query) for job in orgs["failed job"].jobs)
    assert all(sessions_of(org) for name, org in orgs.items() if name != "refused login")


@pytest.mark.parametrize("kind", ["files", "database", "lineage", "metrics"])
def test_no_canary_is_found(orgs: dict[str, LocalOrg], places: dict[str, dict[Path, bytes]], kind: str) -> None:
    canaries = [BOUND, CELL, *(secret for org in orgs.values() for secret in secrets_of(org))]
    assert found(places[kind], canaries) == set()


@pytest.mark.parametrize("kind", ["files", "database", "lineage", "metrics"])
def test_the_search_finds_what_is_planted(places: dict[str, dict[Path, bytes]], kind: str) -> None:
    assert found(places[kind], [PLANT]) == {PLANT}


def test_the_search_finds_a_planted_value_in_every_spelling_and_table(places: dict[str, dict[Path, bytes]]) -> None:
    logs = b"\n".join(data for path, data in places["files"].items() if "task_id=plant" in str(path))
    assert {each for each in spellings(PLANT) if each.encode() not in logs} == set()
    tables = {str(table) for table, data in places["database"].items() if PLANT.encode() in data}
    assert {"xcom", "asset_event"} <= tables
