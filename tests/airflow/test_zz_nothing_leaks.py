"""After all the runs of this folder: what stands in Airflow's logs and database, and what must not.

Its name makes it the last, so that there is as much to find as possible; each test also runs alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_sfbulk.demo.airports import PLANTED, airports
from tests.airflow.conftest import Stage

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
    files = dict(_files(stage.stack.home))
    assert _found(files, job_ids) == set(job_ids)
    assert _found(files, _secrets(stage)) == set()


def test_no_cell_of_a_file_is_in_any_file_of_airflow(stage: Stage, job_ids: list[str]) -> None:
    files = dict(_files(stage.stack.home))
    names = sorted({row["Name"] for row in airports() if len(row["Name"]) > 40})
    planted = [value for row in PLANTED.values() for value in row.values() if len(value) > 6]
    assert len(names) > 50
    assert _found(files, job_ids) == set(job_ids)
    assert _found(files, [*names, *planted]) == set()


def test_records_of_a_dag_file_are_in_no_table_but_its_source(stage: Stage) -> None:
    found = set()
    with closing(sqlite3.connect(f"file:{stage.stack.home / 'airflow.db'}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                text = " ".join(map(str, row))
                found |= {(table, value) for value in INLINE if value in text}
    assert found == {(table, value) for table in SOURCE_TABLES for value in INLINE}
    logs = dict(_files(stage.stack.home / "logs"))
    assert _found(logs, INLINE) == set()


def _secrets(stage: Stage) -> list[str]:
    org = stage.org
    tokens = [session["token"] for session in json.loads(org.core.store.setting("sessions") or "[]")]
    assert tokens, "no session is left to look for"
    key = max(org.private_key.splitlines(), key=len)
    return [org.client_secret, org.refresh_token, org.password, org.security_token, key, *tokens]


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Give every file of a folder with what is in it, the database's journal among them."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path, path.read_bytes()


def _found(files: dict[Path, bytes], words: list[str] | tuple[str, ...]) -> set[str]:
    """Which of the words stand in any of the files, as text or as JSON writes it."""
    return {
        word
        for word in words
        for spelling in {word.encode(), json.dumps(word)[1:-1].encode()}
        if any(spelling in data for data in files.values())
    }
