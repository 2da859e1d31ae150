"""BulkIngestOperator under hostile users: sources and arguments that are no good, or only look it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from airflow_provider_sfbulk.client.errors import SourceError, TransientError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

ROWS = [{"Name": "Parasol Works", "External_Key__c": "A-1"}, {"Name": "Umbrella Stand", "External_Key__c": "A-2"}]


def operator(**arguments: Any) -> BulkIngestOperator:
    defaults: dict[str, Any] = {"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False}
    return BulkIngestOperator(**{**defaults, **arguments})


def names(org: LocalOrg) -> list[str]:
    return sorted(row["Name"] for row in org.records("Account"))


class Reader:
    def __call__(self) -> list[dict[str, str]]:
        return list(ROWS)


def copied(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return list(rows)


def fresh_function() -> Callable[[], Any]:
    return lambda: list(ROWS)


def fresh_partial() -> Callable[[], Any]:
    def copied_anew(rows: list[dict[str, str]]) -> list[dict[str, str]]:
        return list(rows)

    return partial(copied_anew, ROWS)


@pytest.mark.parametrize("fresh", [fresh_function, fresh_partial, Reader])
def test_a_callable_of_another_process_is_the_same_source(
    fresh: Callable[[], Callable[[], Any]], org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retry runs in another process, where the same function has another address."""
    first, second = fresh(), fresh()
    assert str(first) != str(second)
    dying = operator(source=first)
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(TransientError("lost")))
    with pytest.raises(TransientError):
        task.start().run(dying)
    assert task.start().run(operator(source=second))["successful"] == 2
    assert names(org) == ["Parasol Works", "Umbrella Stand"]


def test_the_state_store_has_no_value_of_a_record(org: LocalOrg, task: FakeTask) -> None:
    task.start().run(operator(source=partial(copied, ROWS)))
    assert "Parasol" not in str(task.states)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("max_failed_records", "5"),
        ("max_failed_records", float("nan")),
        ("max_failed_records", 1.5),
        ("max_failed_records", -1),
        ("max_failed_records", True),
        ("timeout", -1),
        ("timeout", "soon"),
        ("timeout", timedelta(0)),
        ("poll_interval", -1),
        ("poll_interval", 0),
        ("poll_interval", None),
        ("part_bytes", 10**12),
        ("part_bytes", 0),
        ("part_records", 0),
        ("part_records", 1.5),
        ("max_concurrent_jobs", 0),
        ("max_concurrent_jobs", "4"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_a_call(argument: str, value: Any, task: FakeTask) -> None:
    with pytest.raises(SourceError, match=f"^{argument} must be"):
        task.start().run(operator(source=ROWS, **{argument: value}))
    assert not task.states


@pytest.mark.parametrize("kind", ["a file", "below a file", "empty"])
def test_results_that_could_not_be_written_stop_the_load_before_a_call(
    kind: str, task: FakeTask, tmp_path: Path
) -> None:
    """Found only after the load, every retry would fail alike, and the failed records would be out of reach."""
    file = tmp_path / "notes.txt"
    file.write_text("not a folder")
    path = {"a file": file, "below a file": file / "results", "empty": ""}[kind]
    with pytest.raises(SourceError, match=r"folder|empty string"):
        task.start().run(operator(source=ROWS, results_path=str(path)))
    assert not task.states


@pytest.mark.parametrize(
    ("source", "told"), [(None, "source is None"), ((row for row in ROWS), "can be read only once")]
)
def test_a_source_that_no_retry_could_read_is_refused(source: Any, told: str, task: FakeTask) -> None:
    with pytest.raises(SourceError, match=told):
        task.start().run(operator(source=source))
    assert not task.states


def test_a_file_may_have_brackets_in_its_name(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    path = tmp_path / "accounts [final] (1).csv"
    path.write_text("Name\nParasol Works\n")
    task.start().run(operator(source=str(path)))
    assert names(org) == ["Parasol Works"]


def test_files_of_one_pattern_with_other_columns_are_refused_before_any_is_processed(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    """Their records would be in the org when the one result file over all jobs turns out impossible."""
    (tmp_path / "1.csv").write_text("Name\nParasol Works\n")
    (tmp_path / "2.csv").write_text("Name,Phone\nUmbrella Stand,1\n")
    with pytest.raises(SourceError, match=r"2\.csv: other columns .*\(Phone\)"):
        task.start().run(operator(source=str(tmp_path / "*.csv"), results_path=str(tmp_path / "results")))
    assert names(org) == []
    assert {job.state for job in org.jobs} <= {"Aborted"}


def test_files_of_one_pattern_may_differ_in_order_delimiter_and_line_ending(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    (tmp_path / "1.csv").write_bytes(b"Name,Phone\nParasol Works,1\n")
    (tmp_path / "2.csv").write_bytes(b"phone;name\r\n2;Umbrella Stand\r\n")
    results = tmp_path / "results"
    task.start().run(operator(source=str(tmp_path / "*.csv"), results_path=str(results)))
    assert sorted((row["Name"], row["Phone"]) for row in org.records("Account")) == [
        ("Parasol Works", "1"),
        ("Umbrella Stand", "2"),
    ]
    with (results / "successful.csv").open(newline="") as file:
        found = [(row["Name"], row["Phone"]) for row in csv.DictReader(file)]
    assert found == [("Parasol Works", "1"), ("Umbrella Stand", "2")]


def test_results_of_an_earlier_run_in_another_format_do_not_stay(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    task.start().run(operator(source=ROWS, results_path=str(tmp_path)))
    FakeTask().start().run(operator(source=[{"Name": "Awning"}], results_path=str(tmp_path), results_format="jsonl"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["_manifest.json", "successful.jsonl"]


def test_an_unknown_object_is_named(org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(SourceError, match="there is no object Nope__c"):
        task.start().run(operator(source=ROWS, sobject="Nope__c"))


def test_a_frame_does_not_lose_its_named_index_silently(org: LocalOrg, task: FakeTask) -> None:
    frame = pd.DataFrame(ROWS).set_index("External_Key__c")
    with pytest.raises(SourceError, match=r"External_Key__c.*reset_index"):
        task.start().run(operator(source=frame))
    assert not org.jobs
