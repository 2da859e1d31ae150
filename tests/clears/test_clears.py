"""See ``tests.clears``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, airflow_database: Path) -> dict[str, Any]:
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("lake")
    shutil.copy(airflow_database, home)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.clears.scene", str(folder)],
        env={**inherited, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
             "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags")},
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    known: dict[str, Any] = json.loads(lines[-1])
    return known


def test_a_load_of_many_jobs_runs(found: dict[str, Any]) -> None:
    assert found["many jobs"] == [["success", 9]] * 2


def test_a_clear_after_a_success_loads_anew_though_retries_were_lowered(found: dict[str, Any]) -> None:
    assert found["cleared with fewer retries"] == [["success", 9], ["success", 9]]


def test_a_clear_of_a_success_that_was_not_recorded_sends_nothing_and_the_next_one_loads(found: dict[str, Any]) -> None:
    assert found["success that was not recorded"] == [["success", 9], ["success", 0], ["success", 9]]


def test_a_decided_load_is_finished_though_its_file_was_touched_and_another_came(found: dict[str, Any]) -> None:
    assert found["touched, and one more file"] == [["failed", 2], ["success", 0]]
