"""The demo's own parts that need no Airflow. The whole of it runs with ``make demo``, and its DAG in ``tests/airflow``."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.demo.__main__ import DAG_FOLDERS, MARK, _example_dags, main, make_empty
from airflow_provider_sfbulk.demo.airports import KEY, NUMBERS, PLANTED, SCHEMA, SOBJECT, airports, write_airports
from airflow_provider_sfbulk.demo.org_process import OrgError, OrgProcess
from airflow_provider_sfbulk.demo.report import Mismatch, check, show
from airflow_provider_sfbulk.demo.samples import INCOMING_COUNTRIES, write_samples
from airflow_provider_sfbulk.demo.stack import AirflowStack, StackError

ROOT = Path(__file__).resolve().parents[1]

# --- the data ---


def test_there_are_more_than_25_000_airports_with_accents_and_gaps() -> None:
    rows = list(airports())
    assert len(rows) == len({row[KEY] for row in rows}) > 25_000
    assert sum(not "".join(row.values()).isascii() for row in rows) > 1000
    assert sum(not row["City__c"] for row in rows) > 1000
    assert sum("." in row["Latitude__c"] for row in rows) > 20_000


def test_the_planted_rows_lie_among_the_airports(tmp_path: Path) -> None:
    with Path(write_airports(str(tmp_path))).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places = [number for number, row in enumerate(rows) if row[KEY] in PLANTED]
    assert len(places) == len(PLANTED)
    assert places[0] > 1000
    assert places[-1] < len(rows) - 1000
    assert [row for row in rows if row[KEY] not in PLANTED] == list(airports())


def test_every_sample_has_rows(tmp_path: Path) -> None:
    write_samples(tmp_path)
    files = sorted(tmp_path.rglob("*.csv"))
    assert [path.stem for path in files if path.parent.name == "incoming"] == sorted(INCOMING_COUNTRIES)
    assert len([path for path in files if path.parent.name == "accounts"]) == 2
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            assert list(csv.DictReader(file))


# --- the folder ---


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="left alone"):
        make_empty(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_demo_s_own_folder_is_emptied(tmp_path: Path) -> None:
    home = tmp_path / "demo"
    make_empty(home)
    (home / "left.csv").touch()
    make_empty(home)
    assert [path.name for path in home.iterdir()] == [MARK]


def test_a_missing_folder_of_dags_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--home", str(tmp_path / "demo"), "--dags", str(tmp_path / "no")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_the_example_dags_come_along_where_nothing_is_cloned() -> None:
    assert (_example_dags() / "airports.py").is_file()
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    carried = metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert ROOT / carried["example_dags"] == DAG_FOLDERS[0]


# --- the check at its end ---


class Finished:
    """What a finished run answers."""

    def __init__(self, lake: Path) -> None:
        self.values: dict[str, Any] = {
            "load": {"successful": 0, "failed": len(PLANTED), "results": {"failed": [str(lake / "failed.csv")]}},
            "extract": {"files": [str(lake / "part.parquet")], "manifest": str(lake / "manifest.json"), "records": 0},
        }

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        return self.values.get(task_id)

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        return {"state": "success", "start_date": "2026-03-04T05:06:07Z", "end_date": "2026-03-04T05:07:17.5Z"}


@pytest.fixture(scope="module")
def stored() -> list[dict[str, Any]]:
    """Every airport as an extract has it."""
    return [
        {field: Decimal(value) if field in NUMBERS else value or None for field, value in row.items()}
        for row in airports()
    ]


def finish(lake: Path, rows: list[dict[str, Any]], *, failed: Iterable[str] = PLANTED) -> Any:
    """Write what a run would leave."""
    finished = Finished(lake)
    number = pa.decimal128(20, 6)
    types = {field: number if field in NUMBERS else pa.string() for field in rows[0]}
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(types.items())), lake / "part.parquet")
    lines = [f"{KEY},sf__Error", *(f"{key},REQUIRED_FIELD_MISSING:no name" for key in failed)]
    (lake / "failed.csv").write_text("\n".join(lines))
    (lake / "manifest.json").write_text(json.dumps({"records": len(rows)}))
    finished.values["load"]["successful"] = finished.values["extract"]["records"] = len(rows)
    return finished


def test_a_run_that_did_what_it_must_passes_and_is_told(
    stored: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = finish(tmp_path, stored)
    show(finished, "airports", "run", seconds_to_start=12.34)
    check(finished, "airports", "run", records_in_org=len(stored))
    said = capsys.readouterr().out
    assert f"successful  {len(stored):,} rows" in said
    assert "failed      5 rows" in said
    assert "BAD-1: REQUIRED_FIELD_MISSING:no name" in said
    assert str(tmp_path / "part.parquet") in said
    assert "12.3 s" in said
    assert "70.5 s" in said
    assert "Checked" in said


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Name": "Somewhere"}, "Name of"),
        ({"City__c": None}, "City__c of"),
        ({"Latitude__c": Decimal("0.000001")}, "Latitude__c of"),
        ({KEY: "ZZZZ"}, "keys extracted"),
    ],
)
def test_a_value_that_came_back_changed_is_told(
    change: dict[str, Any], told: str, stored: list[dict[str, Any]], tmp_path: Path
) -> None:
    place = next(number for number, row in enumerate(stored) if number > 9000 and row["City__c"])
    changed = [*stored[:place], {**stored[place], **change}, *stored[place + 1 :]]
    with pytest.raises(Mismatch, match=told):
        check(finish(tmp_path, changed), "airports", "run", records_in_org=len(stored))


def test_a_row_that_did_not_come_back_is_told(stored: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="rows loaded"):
        check(finish(tmp_path, stored[1:]), "airports", "run", records_in_org=len(stored))


def test_an_org_with_another_count_is_told(stored: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(Mismatch, match="records in the org"):
        check(finish(tmp_path, stored), "airports", "run", records_in_org=len(stored) + 1)


def test_another_failed_row_than_the_planted_ones_is_told(stored: list[dict[str, Any]], tmp_path: Path) -> None:
    failed = [*list(PLANTED)[1:], "LOWW"]
    with pytest.raises(Mismatch, match="keys of the failed rows"):
        check(finish(tmp_path, stored, failed=failed), "airports", "run", records_in_org=len(stored))


# --- processes ---


def pretend_airflow(folder: Path, code: str) -> dict[str, str]:
    """Make an ``airflow`` that runs some code in place of its commands, and give the environment that it is found in."""
    package = folder / "pretended" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(code)
    return {"PYTHONPATH": str(package.parent)}


def wait_until(look: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not look():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_org_counts_its_own_records_and_ends_with_the_block(tmp_path: Path) -> None:
    with OrgProcess(schema=SCHEMA, data=tmp_path / "org.sqlite", job_seconds=0) as org:
        assert org.count(SOBJECT) == 0
        assert org.count("User") == 1
        url = json.loads(org.connection)["host"]
        assert url == org.start_line["url"]
        with urlopen(f"{url}/services/data") as reply:
            assert reply.status == 200
    with pytest.raises(URLError, match="refused"):
        urlopen(f"{url}/services/data")


def test_an_org_that_cannot_start_is_told(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"name": "Broken__c"}')
    with pytest.raises(OrgError, match="did not start"), OrgProcess(schema=schema, data=tmp_path / "o", job_seconds=0):
        pass


def test_inherited_settings_of_airflow_stay_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://production/airflow")
    monkeypatch.setenv("AIRFLOW_HOME", "/home/user/airflow")
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", "production")
    found = pretend_airflow(tmp_path, "import json, os; print(json.dumps(dict(os.environ)))")
    stack = AirflowStack(tmp_path, tmp_path, {**found, "AIRFLOW_VAR_LAKE": "x"})
    environment = json.loads(stack.command("info"))
    assert "production" not in " ".join(environment.values())
    assert environment["AIRFLOW_HOME"] == str(tmp_path)
    assert environment["AIRFLOW_VAR_LAKE"] == "x"
    assert environment["HOME"] == os.environ["HOME"]


def test_a_failed_migration_is_told_with_its_log(tmp_path: Path) -> None:
    found = pretend_airflow(tmp_path, "print('disk is full'); raise SystemExit(1)")
    with pytest.raises(StackError, match="disk is full"), AirflowStack(tmp_path / "home", tmp_path, found):
        pass


def test_a_component_that_ends_is_noticed_at_once_with_its_log(tmp_path: Path) -> None:
    stack = AirflowStack(tmp_path, tmp_path, pretend_airflow(tmp_path, "print('no room left'); raise SystemExit(3)"))
    stack.start_component("triggerer")
    with pytest.raises(StackError, match=r"triggerer ended with 3:\nno room left"):
        stack.wait_for(lambda: False, "nothing", seconds=30)
    stack.stop()


def test_stopping_takes_the_children_along(tmp_path: Path) -> None:
    child = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    stack = AirflowStack(tmp_path, tmp_path, pretend_airflow(tmp_path, code))
    stack.start_component("scheduler")
    wait_until(lambda: stack.log_of("scheduler").read_text().endswith("\n"))
    number = int(stack.log_of("scheduler").read_text())
    assert is_running(number)
    stack.stop()
    wait_until(lambda: not is_running(number))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_demo_and_what_it_started(number: signal.Signals, tmp_path: Path) -> None:
    home, dags = tmp_path / "demo", tmp_path / "dags"
    dags.mkdir()
    lasting = (
        "import os, time\nfrom pathlib import Path\nPath(os.environ['AIRFLOW_HOME'], 'up').touch()\ntime.sleep(600)"
    )
    command = [sys.executable, "-m", "airflow_provider_sfbulk.demo", "--home", str(home), "--dags", str(dags)]
    environment = {**os.environ, **pretend_airflow(tmp_path, lasting)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as demo:
        wait_until((home / "airflow" / "up").is_file)
        demo.send_signal(number)
        # The org holds the other end of no pipe, so this ends with the demo alone.
        said, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130
    assert said.endswith("stopped\n")
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _bytes(path)]
    assert left == []


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
