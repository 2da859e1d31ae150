"""Loads of nothing, and loads of many files, as their user meets them: real HTTP to a local org."""

from __future__ import annotations

import gzip
import json
import os
from collections import UserList
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_sfbulk import BulkIngestOperator, BulkJobSensor
from airflow_provider_sfbulk.client.errors import EmptyInputError, SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from tests.provider.conftest import FakeTask, Try

ZEROS = {"processed": 0, "successful": 0, "failed": 0, "unprocessed": 0, "errors": {}, "job_ids": []}


def load(**given: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False, **given}
    )


def nothing_in_a_generator() -> Any:
    yield from ()


def nothing(kind: str, folder: Path) -> Any:
    """Make a source without records."""
    path = folder / f"none.{kind}"
    match kind:
        case "csv":
            path.write_text("Name,Phone\n")
        case "csv.gz":
            path.write_bytes(gzip.compress(b"Name,Phone\r\n"))
        case "jsonl":
            path.write_text("")
        case "parquet":
            pq.write_table(pa.table({"Name": pa.array([], pa.string())}), path)
        case "pattern":
            return str(folder / "day=*" / "*.csv")
        case "patterns":
            return [str(folder / "*.csv"), f"{folder}/*.parquet"]
        case "pattern of headers":
            (folder / "a.csv").write_text("Name\n")
            (folder / "b.csv").write_text("Name\n")
            return f"{folder}/*.csv"
        case "list of headers and patterns":
            (folder / "a.csv").write_text("Name\n")
            return [folder / "a.csv", f"{folder}/b*.csv"]
        case _:
            return {
                "list": [],
                "tuple": (),
                "frame": pd.DataFrame({"Name": []}),
                "frame without columns": pd.DataFrame(),
                "polars": pl.DataFrame({"Name": []}, schema={"Name": pl.String}),
                "arrow": pa.table({"Name": pa.array([], pa.string())}),
                "callable of a list": list,
                "callable of a generator": nothing_in_a_generator,
                "callable of None": lambda: None,
                "callable of a frame": pd.DataFrame,
                "lists of mapped tasks": [[], []],
            }[kind]
    return str(path)


KINDS = [
    *("csv", "csv.gz", "jsonl", "parquet", "pattern", "patterns", "pattern of headers", "list of headers and patterns"),
    *("list", "tuple", "frame", "frame without columns", "polars", "arrow", "lists of mapped tasks"),
    *("callable of a list", "callable of a generator", "callable of None", "callable of a frame"),
]


@pytest.mark.parametrize("kind", KINDS)
class TestNothingToLoad:
    def test_it_fails_by_default_and_says_how_not_to(
        self, kind: str, org: LocalOrg, task: FakeTask, tmp_path: Path
    ) -> None:
        with pytest.raises(EmptyInputError, match="on_empty='skip' or 'success'"):
            task.start().run(load(source=nothing(kind, tmp_path)))
        assert not org.jobs

    def test_it_is_skipped(self, kind: str, org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
        with pytest.raises(AirflowSkipException):
            task.start().run(load(source=nothing(kind, tmp_path), on_empty="skip"))
        assert not org.jobs

    def test_it_is_a_success_of_zeros_with_a_manifest_and_an_event(
        self, kind: str, org: LocalOrg, task: FakeTask, tmp_path: Path
    ) -> None:
        out = tmp_path / "results"
        operator = load(
            source=nothing(kind, tmp_path), on_empty="success", results_path=str(out), outlets=[Asset("accounts")]
        )
        tried = task.start()
        summary = tried.run(operator)
        assert {name: summary[name] for name in ZEROS} == ZEROS
        assert summary["results"] == {"successful": [], "failed": [], "unprocessed": []}
        manifest = json.loads(Path(summary["manifest"]).read_text())
        assert manifest["counts"] == {"successful": 0, "failed": 0, "unprocessed": 0}
        assert manifest["jobs"] == []
        assert [path.name for path in out.iterdir()] == ["_manifest.json"]
        (event,) = tried.outlet_events.values()  # type: ignore[attr-defined]
        assert event.extra["successful"] == 0
        assert event.extra["job_ids"] == []
        assert not org.jobs


@pytest.mark.parametrize("api", ["2.0", "1.0"])
def test_both_generations_do_so(api: Any, org: LocalOrg, task: FakeTask) -> None:
    assert task.start().run(load(source=[], on_empty="success", api=api))["processed"] == 0
    with pytest.raises(EmptyInputError):
        FakeTask().start().run(load(source=[], api=api))


WITHOUT_COLUMNS = ("jsonl", "list", "tuple", "frame without columns", "callable of a generator", "callable of None")


@pytest.mark.parametrize("kind", WITHOUT_COLUMNS)
@pytest.mark.parametrize(
    "given",
    [
        {"operation": "update"},
        {"operation": "update", "skip_unchanged": True, "nulls": "clear"},
        {"operation": "upsert", "external_id_field": "External_Key__c", "sort_by": "ParentId"},
        {"operation": "delete", "column_mapping": {"Account": "Id"}},
        {"operation": "delete", "key_columns": ["Id"], "validate_only": True},
        {"operation": "hardDelete", "api": "1.0"},
    ],
)
def test_nothing_needs_no_column(
    given: dict[str, Any], kind: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    result = task.start().run(load(source=nothing(kind, tmp_path), on_empty="success", **given))
    assert result["records" if "validate_only" in given else "processed"] == 0
    with pytest.raises(EmptyInputError):
        FakeTask().start().run(load(source=nothing(kind, tmp_path), **given))


@pytest.mark.parametrize("rows", [[{}, {}], pd.DataFrame(index=range(2))])
def test_rows_without_a_column_are_not_nothing(rows: Any, org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(SourceError, match="none of the 2 rows has a column"):
        task.start().run(load(source=rows, on_empty="success"))


def test_a_sensor_of_no_job_has_nothing_to_wait_for(org: LocalOrg, task: FakeTask) -> None:
    ids = task.start().run(load(source=[], on_empty="success", wait_for_completion=False))
    assert ids == []
    for deferrable in (False, True):
        sensor = BulkJobSensor(task_id="wait", job_ids="{{ ids }}", deferrable=deferrable)
        sensor.job_ids = ids
        assert FakeTask().start().run(sensor) == []


def test_a_try_after_an_empty_success_has_the_same_result(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    made = {"source": [], "on_empty": "success", "results_path": str(tmp_path)}
    first = task.start().run(load(**made))
    assert task.start().run(load(**made)) == first


def test_records_that_come_later_are_loaded_after_a_clear(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    pattern = f"{tmp_path}/*.csv"
    task.start().run(load(source=pattern, on_empty="success"))
    (tmp_path / "a.csv").write_text("Name\nUmbrella\n")
    assert task.start(cleared=True).run(load(source=pattern, on_empty="success"))["successful"] == 1


@pytest.mark.parametrize("on_empty", ["skip", "success"])
def test_what_is_wrong_is_no_empty_input(on_empty: Any, org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    (tmp_path / "wrong.csv").write_text("Nmae\n")
    for source in (f"{tmp_path}/none.csv", f"{tmp_path}/wrong.csv", lambda: 5):
        with pytest.raises(SourceError) as caught:
            FakeTask().start().run(load(source=source, on_empty=on_empty))
        assert not isinstance(caught.value, EmptyInputError)


# --- many files -------------------------------------------------------------------------------------------------------


def files(folder: Path, *names: str) -> list[str]:
    for name in names:
        (folder / f"{name}.csv").write_text(f"Name\n{name}\n")
    return [str(folder / f"{name}.csv") for name in names]


def names(org: LocalOrg) -> list[str]:
    return sorted(row["Name"] for row in org.records("Account"))


@pytest.mark.parametrize(
    "kind", ["texts", "paths", "tuple", "of mapped tasks", "of a mapped task and another", "deep", "with a pattern"]
)
def test_a_list_of_paths_is_loaded(kind: str, org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    given = files(tmp_path, "b", "a", "c")
    source: Any = {
        "texts": given,
        "paths": [Path(each) for each in given],
        "tuple": tuple(given),
        "of mapped tasks": [given[:2], given[2:]],
        "of a mapped task and another": [UserList(given[:2]), given[2]],  # which Airflow reads as it is needed
        "deep": [UserList([given[:1], given[1:]])],
        "with a pattern": [given[0], f"{tmp_path}/[ac].csv"],
    }[kind]
    operator = load(source=source, results_path=str(tmp_path / "out"))
    assert task.start().run(operator)["successful"] == 3
    assert names(org) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "rows",
    [
        [[{"Name": "a"}], [{"Name": "b"}, {"Name": "c"}]],
        [UserList([[{"Name": "a"}], [{"Name": "b"}]]), [{"Name": "c"}]],
        [UserList([{"Name": "a"}, {"Name": "b"}]), {"Name": "c"}],
    ],
)
def test_rows_of_mapped_tasks_are_loaded(rows: Any, org: LocalOrg, task: FakeTask) -> None:
    task.start().run(load(source=rows))
    assert names(org) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "rows", [[("Acme", "+49 30 1")], [["Acme", 5]], [["Acme"], ["Bolt"]], [("Acme", None), (7, "x")]]
)
def test_rows_of_a_database_are_neither_paths_nor_ids_and_are_not_shown(
    org: LocalOrg, task: FakeTask, rows: list[Any]
) -> None:
    with pytest.raises(SourceError, match="a row must be a dict") as caught:
        task.start().run(load(source=rows))
    assert "Acme" not in str(caught.value)


def test_paths_that_are_no_list_are_not_taken_for_ids(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    for source in ({str(tmp_path / "a.csv")}, lambda: ["/data/a.csv"], ["/data/a.csv", {"Name": "a"}]):
        with pytest.raises(SourceError, match="pass a path or a list of paths as the source"):
            FakeTask().start().run(load(source=source))


def test_attributes_of_a_parent_are_named_with_what_drops_them(org: LocalOrg, task: FakeTask) -> None:
    task.start().run(load(source=[{"Name": "a", "External_Key__c": "A-1"}]))
    parent = {"attributes": {"type": "Account", "url": "/x"}, "External_Key__c": "A-1"}
    rows = [{"Name": "b", "Parent": parent}]
    with pytest.raises(SourceError, match=r'drop them with column_mapping=\{"Parent.attributes": None\}'):
        FakeTask().start().run(load(source=rows))
    FakeTask().start().run(load(source=rows, column_mapping={"Parent.attributes": None}))
    assert names(org) == ["a", "b"]


def test_a_pattern_without_a_match_fails_with_whole_sentences(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    with pytest.raises(EmptyInputError, match=r"can see it\. When that"):
        task.start().run(load(source=str(tmp_path / "*.csv")))


def test_ids_to_delete_are_no_paths(org: LocalOrg, task: FakeTask) -> None:
    task.start().run(load(source=[{"Name": "a"}]))
    (row,) = org.records("Account")
    assert FakeTask().start().run(load(operation="delete", source=[row["Id"]]))["successful"] == 1


def test_a_file_that_is_named_twice_would_be_loaded_twice(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    (path,) = files(tmp_path, "a")
    with pytest.raises(SourceError, match="named twice"):
        task.start().run(load(source=[path, f"{tmp_path}/*.csv"]))
    assert not org.calls


def test_one_missing_file_of_a_list_fails_before_anything_is_sent(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    (path,) = files(tmp_path, "a")
    for missing in (f"{tmp_path}/none.csv", f"{tmp_path}/none*.csv"):
        with pytest.raises(SourceError, match="none"):
            FakeTask().start().run(load(source=[path, missing]))
    assert not org.calls
    assert task.start().run(load(source=[path, f"{tmp_path}/none*.csv"], on_empty="skip"))["successful"] == 1


def test_a_list_of_paths_goes_on_after_a_lost_worker(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    given = files(tmp_path, "a", "b")
    first = task.start().run(load(source=given, wait_for_completion=False))
    assert task.start().run(load(source=given, wait_for_completion=False)) == first
    assert len(org.jobs) == 2


class OneAtATime(Try):
    """Airflow in ``dag.test()``: while it answers a call there is no channel for another thread's."""

    busy = 0
    calls = 0

    def set(self, key: str, value: Any, **kwargs: Any) -> None:
        with self._alone():
            super().set(key, value, **kwargs)

    def get(self, key: str, default: Any = None) -> Any:
        with self._alone():
            return super().get(key, default)

    def xcom_push(self, key: str, value: Any) -> None:
        with self._alone():
            super().xcom_push(key, value)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        type(self).busy += 1
        type(self).calls += 1
        try:
            for _ in range(50):
                os.sched_yield()
                if type(self).busy > 1:
                    raise ImportError("cannot import name 'SUPERVISOR_COMMS'")
            yield
        finally:
            type(self).busy -= 1


def test_airflow_is_called_by_one_thread_at_a_time(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    given = files(tmp_path, *"abcdefgh")
    task.current += 1
    tried = OneAtATime(task, task.current)
    assert tried.run(load(source=given))["successful"] == 8
    assert tried.calls > 16
