"""After all the runs of this folder: what stands in Airflow's logs and database, and what must not.

Its name makes it the last, so that there is as much to find as possible; each test also runs alone.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from airflow_provider_sfbulk.demo.airports import PLANTED, airports
from tests.airflow.conftest import Stage
from tests.airflow.searching import files_of, found, secrets_of

DAG_ID = "airports"
INLINE = ("Okafor", "Lindqvist")
"""Records that stand in an example DAG's source."""
SOURCE_TABLES = {"dag_code"}
"""Tables that hold the DAG files themselves."""


@pytest.fixture(scope="module", autouse=True)
def job_ids(stage: Stage) -> list[str]:
    """Make sure that there are runs to look at, and give the jobs that every search must be able to find."""
    stage.hurry_jobs()
    if not any(job.object == "Airport__c" for job in stage.org.jobs):
        run_id = stage.stack.start_run(DAG_ID)
        assert stage.stack.finish_run(DAG_ID, run_id) == "success"
    if not any(job.object == "Contact" for job in stage.org.jobs):
        run_id = stage.stack.start_run("submit_now_sense_later")
        assert stage.stack.finish_run("submit_now_sense_later", run_id) == "success"
    return [job.id for job in stage.org.jobs if job.object in {"Airport__c", "Contact"}]


def test_no_secret_is_in_any_file_of_airflow(stage: Stage, job_ids: list[str]) -> None:
    files = dict(files_of(stage.stack.home))
    assert found(files, job_ids) == set(job_ids)
    assert found(files, secrets_of(stage.org)) == set()


def test_no_cell_of_a_file_is_in_any_file_of_airflow(stage: Stage, job_ids: list[str]) -> None:
    files = dict(files_of(stage.stack.home))
    names = sorted({row["Name"] for row in airports() if len(row["Name"]) > 40})
    planted = [value for row in PLANTED.values() for value in row.values() if len(value) > 6]
    assert len(names) > 50
    assert found(files, job_ids) == set(job_ids)
    assert found(files, [*names, *planted]) == set()


def test_records_of_a_dag_file_are_in_no_table_but_its_source(stage: Stage) -> None:
    seen = set()
    with closing(sqlite3.connect(f"file:{stage.stack.home / 'airflow.db'}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                text = " ".join(map(str, row))
                seen |= {(table, value) for value in INLINE if value in text}
    assert seen == {(table, value) for table in SOURCE_TABLES for value in INLINE}
    logs = dict(files_of(stage.stack.home / "logs"))
    assert found(logs, INLINE) == set()
