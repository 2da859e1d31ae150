"""A load never replaces what it reads, and no later run reads what it wrote, however the paths are spelled."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from upath import UPath

from airflow_provider_sfbulk.client.errors import FailedRecordsError, SourceError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

SPELLINGS = {
    "as it is": lambda d: f"{d}/failed.csv",
    "file URI": lambda d: f"file://{d}/failed.csv",
    "encoded": lambda d: f"file://{d}/%66ailed.csv",
    "Path": lambda d: d / "failed.csv",
    "ObjectStoragePath": lambda d: ObjectStoragePath(f"file://{d}/failed.csv"),
    "UPath": lambda d: UPath(d) / "failed.csv",
    "up and down": lambda d: f"{d}/../{d.name}/./failed.csv",
    "slashes": lambda d: f"{d}//failed.csv",
    "by a link to the folder": lambda d: f"{d}-link/failed.csv",
    "by a link to the file": lambda d: f"{d}/../link.csv",
    "pattern": lambda d: f"{d}/fail*.csv",
    "pattern by a link": lambda d: f"{d}-link/*.csv",
    "pattern of the folder": lambda d: f"{d}/../{d.name[:3]}*/failed.csv",
    "pattern over the link": lambda d: f"{d}/../*.csv",
    "pattern of everything": lambda d: f"{d.parent}/**/*.csv",
    "from the working folder": lambda d: f"{d.name}/failed.csv",
    "pattern from the working folder": lambda d: f"{d.name}/[f]ailed.csv",
}


def load(source: Any, results: Any, **arguments: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        task_id="load",
        sobject="Account",
        operation="insert",
        source=source,
        results_path=results,
        deferrable=False,
        **arguments,
    )


@pytest.fixture
def d(org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the results of a load."""
    folder = tmp_path / "data"
    with pytest.raises(FailedRecordsError):
        task.start().run(load([{"Name": "One"}, {"Phone": "2"}], folder))
    (tmp_path / "data-link").symlink_to(folder)
    (tmp_path / "link.csv").symlink_to(folder / "failed.csv")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.parametrize("results_format", ["csv", "parquet"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_load_never_replaces_its_own_input(spelling: str, results_format: str, d: Path, org: LocalOrg) -> None:
    before = {path.name: path.read_bytes() for path in d.iterdir()}
    jobs = len(org.jobs)
    for results in (d, f"file://{d}/", f"{d}-link", ObjectStoragePath(f"file://{d}"), d.name):
        with pytest.raises(SourceError, match="results_path"):
            FakeTask().start().run(load(SPELLINGS[spelling](d), results, results_format=results_format))
    assert {path.name: path.read_bytes() for path in d.iterdir()} == before
    assert len(org.jobs) == jobs


@pytest.mark.parametrize("mounted", ["source", "results"])
def test_a_folder_that_is_mounted_twice_is_one(mounted: str, d: Path, org: LocalOrg, tmp_path: Path) -> None:
    other = tmp_path / "mounted"
    other.mkdir()
    if subprocess.run(["mount", "--bind", str(d), str(other)], check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a folder")
    try:
        before = {path.name: path.read_bytes() for path in d.iterdir()}
        source, results = (other, d) if mounted == "source" else (d, other)
        for each in (source / "failed.csv", f"{source}/f*.csv"):
            with pytest.raises(SourceError, match="results_path"):
                FakeTask().start().run(load(each, results))
        assert {path.name: path.read_bytes() for path in d.iterdir()} == before
    finally:
        subprocess.run(["umount", "-l", str(other)], check=True)


def test_where_case_does_not_count_another_case_is_the_same_file(d: Path, org: LocalOrg) -> None:
    (d / "Failed.CSV").hardlink_to(d / "failed.csv")  # what such a disk shows
    with pytest.raises(SourceError, match="results_path"):
        FakeTask().start().run(load(d / "Failed.CSV", d))


@pytest.mark.parametrize(
    ("source", "results"),
    [
        ("{}/*.csv", "{}"),
        ("{}/*", "{}"),
        ("{}/s*.csv", "{}"),
        ("{}/**/*.csv", "{}/deep/results"),
        ("{}/*/*.csv", "{}/results"),
        ("{}/res*/*", "{}/results"),
        ("file://{}/*.csv", "{}/../in"),
        ("{}/../in/*.csv", "file://{}/"),
        ("{}/*.[a-z]sv", "{}"),
    ],
)
def test_results_that_a_later_run_would_load_are_refused_before_they_are_there(
    source: str, results: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    (folder / "a").mkdir(parents=True)
    for name in ("some.csv", "a/some.csv"):
        (folder / name).write_text("Name\nOne\n")
    with pytest.raises(
        SourceError, match=r"would load it again\. Choose a results_path that the pattern does not cover"
    ):
        task.start().run(load(source.format(folder), results.format(folder)))
    assert not org.jobs


@pytest.mark.parametrize("source", ["{}/**/*.csv", "{}/*/*/*", "{}/*/*/part-*.csv"])
def test_parts_that_a_later_run_would_load_are_refused_before_they_are_there(
    source: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    with pytest.raises(SourceError, match="staging_path"):
        task.start().run(load(source.format(tmp_path), None, staging_path=f"{tmp_path}/staging"))
    assert not org.jobs


@pytest.mark.parametrize(
    ("source", "results", "results_format"),
    [
        ("{}/*.csv", "{}/results", "csv"),
        ("{}/in-*.csv", "{}", "csv"),
        ("{}/*.csv", "{}", "parquet"),
        ("{}/in-1.csv", "{}", "csv"),
        ("{}/*.csv", "{}-results", "csv"),
    ],
)
def test_input_and_results_side_by_side_are_fine(
    source: str, results: str, results_format: str, org: LocalOrg, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "one.csv").write_text("Name\nOne\n")
    (folder / "in-1.csv").symlink_to(tmp_path / "one.csv")
    for run in (1, 2):
        FakeTask().start().run(
            load(
                source.format(folder),
                results.format(folder),
                results_format=results_format,
                staging_path=f"{folder}/staging",
            )
        )
        assert len(org.records("Account")) == run
