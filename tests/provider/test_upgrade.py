"""What a release stored while its task waited is ended by this one: the ledger, the trigger, the method to come back to.

``stored/<version>.json`` is what that release wrote, run to its first deferral: a load of two accounts, and a query.
``JOB`` and ``SOURCE`` stand for the job's id and the input's path.
"""

from __future__ import annotations

import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk import BulkClient, BulkIngestOperator, BulkQueryOperator
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.provider.conftest import FakeTask

STORED = sorted((Path(__file__).parent / "stored").glob("*.json"))
ROWS = "Name,External_Key__c\nUmbrella Stand Co,A-1\nParasol Works,A-2\n"
MOMENT = 1795993802.9373972

RELEASES = pytest.mark.parametrize("stored", STORED, ids=lambda path: path.stem)


def task_of(stored: Path, what: str, job_id: str, source: str = "") -> tuple[FakeTask, dict[str, Any]]:
    """Give the task as the release left it, and what it stored of its deferral."""
    text = stored.read_text(encoding="utf-8").replace("JOB", job_id).replace("SOURCE", source)
    kept = json.loads(text)[what]
    task = FakeTask(states=kept["states"])
    task.start()
    return task, kept


def begun_load(folder: Path) -> tuple[str, Path]:
    """Submit the load as the release did: uploaded and closed."""
    source = folder / "in.csv"
    source.write_text(ROWS, encoding="utf-8", newline="")
    os.utime(source, (MOMENT, MOMENT))
    with BulkClient.from_env() as client:
        job = client.ingest.create_job("Account", "insert", line_ending="LF", column_delimiter="COMMA")
        client.ingest.upload(job.id, ROWS)
        client.ingest.close(job.id)
    return job.id, source


def load(source: Path) -> BulkIngestOperator:
    return BulkIngestOperator(
        task_id="task", sobject="Account", operation="insert", source=str(source), deferrable=True
    )


@pytest.fixture
def org(salesforce_org: LocalOrg) -> LocalOrg:
    return salesforce_org


@RELEASES
def test_a_load_that_waited_is_woken_and_ended(stored: Path, org: LocalOrg, tmp_path: Path) -> None:
    job_id, source = begun_load(tmp_path)
    task, kept = task_of(stored, "load", job_id, str(source))
    event = {"outcome": "final", "job_ids": [job_id], "api_calls": 2}
    attempt = task.last
    assert attempt is not None
    waiting = load(source)
    try:
        result = getattr(waiting, kept["method"])(attempt.context, event=event, **kept["kwargs"])
    except TaskDeferred as deferral:  # the org shows it as still at work
        result = attempt.resume(waiting, deferral)
    assert (result["job_ids"], result["successful"]) == ([job_id], 2)
    assert len(org.records("Account")) == 2


@RELEASES
def test_the_retry_of_a_load_goes_on_with_its_job(stored: Path, org: LocalOrg, tmp_path: Path) -> None:
    job_id, source = begun_load(tmp_path)
    task, _ = task_of(stored, "load", job_id, str(source))
    result = task.start().run(load(source))
    assert (result["job_ids"], result["successful"]) == ([job_id], 2)
    assert len(org.records("Account")) == 2


@RELEASES
def test_the_retry_of_a_query_goes_on_with_its_job(stored: Path, org: LocalOrg, tmp_path: Path) -> None:
    begun_load(tmp_path)
    with BulkClient.from_env() as client:
        job = client.query.create_job("SELECT Id, Name FROM Account")
    task, _ = task_of(stored, "query", job.id)
    query = BulkQueryOperator(
        task_id="task", soql="SELECT Id, Name FROM Account", output_path=str(tmp_path / "out"), deferrable=True
    )
    result = task.start().run(query)
    assert (result["job_id"], result["records"]) == (job.id, 2)


@RELEASES
@pytest.mark.parametrize("what", ["load", "query"])
def test_its_trigger_is_made_of_what_it_stored(stored: Path, what: str) -> None:
    _, kept = task_of(stored, what, "750000000000001AAA")
    path, arguments = kept["trigger"]
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name)(**arguments).serialize()[0] == path
