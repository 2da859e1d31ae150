"""An org that is killed while batches run takes them up again: every row once, every batch with its results."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.local_org.bulk1.async_witness import AsyncWitness

ROOT = Path(__file__).parents[3]
BATCHES, ROWS = 6, 2_000


@contextmanager
def process(data: Path) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    """Run an org of its own; give what it prints and the process."""
    command = [sys.executable, "-m", "airflow_provider_sfbulk.local_org", "--data", str(data)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            yield SimpleNamespace(**json.loads(running.stdout.readline())), running
        finally:
            running.terminate()


def test_every_row_is_there_once_after_a_kill(tmp_path: Path) -> None:
    data = tmp_path / "org.sqlite"
    with process(data) as (org, running):
        bulk = AsyncWitness(org)
        job_id = bulk.create("insert")
        batch_ids = [
            bulk.add(job_id, "Name\n" + "".join(f"{batch}-{n}\n" for n in range(ROWS))) for batch in range(BATCHES)
        ]
        running.send_signal(signal.SIGKILL)
    with process(data) as (org, _):
        bulk = AsyncWitness(org)
        assert {bulk.wait(job_id, batch_id)["state"] for batch_id in batch_ids} == {"Completed"}
        ids = [row["Id"] for batch_id in batch_ids for row in bulk.result(job_id, batch_id).rows]
        (answer,) = bulk.query("SELECT Id, Name FROM Account")
        assert sorted(row["Id"] for row in answer.rows) == sorted(ids)
        assert {row["Name"] for row in answer.rows} == {f"{b}-{n}" for b in range(BATCHES) for n in range(ROWS)}
        assert len(ids) == BATCHES * ROWS
