"""A process that is really stopped while it publishes an extract to S3, and goes on after its successor is done."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.buckets import BUCKET, names, read
from tests.provider.files.shared_task import SharedTask, Worker
from tests.provider.readings import SOQL, fill_readings, many, truth


@pytest.fixture(scope="module")
def worker(s3: Any) -> Iterator[Worker]:
    """The process: one for all tests, since importing Airflow takes seconds."""
    worker = Worker()
    yield worker
    worker.end()


@pytest.mark.parametrize(
    ("kind", "number", "page_records"),
    [
        ("verify", 3, 5),
        ("rename", 2, 5),  # in the moment between the question and the renaming
        ("rename", 2, 4),
        ("verify", 7, 4),  # all have their names: before the manifest
        ("verify", 8, 4),  # the manifest stands, what it replaces is still there
    ],
)
def test_a_process_that_was_stopped_puts_nothing_over_its_successors_extract(
    kind: str, number: int, page_records: int, worker: Worker, s3: Any, folder: str, org: LocalOrg, tmp_path: Path
) -> None:
    fill_readings(org, tmp_path / "seed", many(25))
    org.core.page_records = 5
    states = tmp_path / "states.json"
    arguments: dict[str, Any] = {
        "task_id": "task",
        "soql": SOQL,
        "output_path": f"s3://minio@{BUCKET}/{folder}",
        "page_records": 5,
        "max_concurrent_pages": 1,
        "deferrable": False,
        "retries": 2,
    }
    worker.stop_in(states=str(states), connection=org.connection, kind=kind, number=number, arguments=arguments)
    summary = SharedTask(states).start().run(BulkQueryOperator(**{**arguments, "page_records": page_records}))
    assert worker.go_on() in {"FencedError", "StorageError"}
    manifest = json.loads(read(s3, summary["manifest"]))
    assert [file["uri"] for file in manifest["files"]] == summary["files"]
    assert names(s3, folder) == {"_manifest.json", *(file["name"] for file in manifest["files"])}
    keys = [
        row["External_Key__c"]
        for file in manifest["files"]
        for row in csv.DictReader(io.StringIO(read(s3, file["uri"]).decode(), newline=""))
    ]
    assert sorted(keys) == sorted(truth(org))
