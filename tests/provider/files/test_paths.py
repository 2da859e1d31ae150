"""Paths of every kind, in every argument that is one."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.definitions._internal.templater import SandboxedEnvironment
from upath import UPath

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.files.paths import locate
from airflow_provider_sfbulk.files.storage import find_sources
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask

KINDS: dict[str, Callable[[str], Any]] = {
    "text": str,
    "Path": Path,
    "file URI": lambda path: f"file://{path}",
    "file URI of one slash": lambda path: f"file:{path}",
    "file URI with the host": lambda path: f"file://localhost{path}",
    "ObjectStoragePath": ObjectStoragePath,
    "ObjectStoragePath of a file URI": lambda path: ObjectStoragePath(f"file://{path}"),
    "UPath": UPath,
    "UPath of a file URI": lambda path: UPath(f"file://{path}"),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Makes a path of one kind."""
    return KINDS[request.param]


def load(**arguments: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False, **arguments}
    )


def extract(**arguments: Any) -> BulkQueryOperator:
    return BulkQueryOperator(
        **{"task_id": "extract", "soql": "SELECT Id, Name FROM Account", "deferrable": False, **arguments}
    )


def render(operator: BulkJobOperator, **context: Any) -> None:
    """Render the templates, as Airflow does before it executes the task."""
    operator.render_template_fields(context, SandboxedEnvironment(cache_size=0))  # type: ignore[arg-type]


def test_every_argument_of_a_load_takes_every_kind(
    kind: Callable[[str], Any], org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    (tmp_path / "2026-02-03").mkdir()
    (tmp_path / "2026-02-03" / "in.csv").write_text("Name\nOne\nTwo\n")
    operator = load(
        source=kind(f"{tmp_path}/{{{{ ds }}}}/in.csv"),
        results_path=kind(f"{tmp_path}/results/{{{{ ds }}}}"),
        staging_path=kind(f"{tmp_path}/staging/{{{{ ds }}}}"),
    )
    render(operator, ds="2026-02-03")
    summary = task.start().run(operator)
    assert summary["results"]["successful"] == [f"{tmp_path}/results/2026-02-03/successful.csv"]
    assert len(list(csv.DictReader(Path(summary["results"]["successful"][0]).read_text().splitlines()))) == 2
    assert sorted(row["Name"] for row in org.records("Account")) == ["One", "Two"]
    assert {path.name for path in tmp_path.iterdir()} == {"2026-02-03", "results", "staging"}


def test_the_output_of_an_extract_takes_every_kind(
    kind: Callable[[str], Any], org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    operator = extract(output_path=kind(f"{tmp_path}/{{{{ ds }}}}/all"), output_format="parquet")
    render(operator, ds="2026-02-03")
    summary = task.start().run(operator)
    assert [str(Path(name).parent) for name in summary["files"]] == [f"{tmp_path}/2026-02-03/all"]
    assert json.loads(Path(summary["manifest"]).read_text())["records"] == 0


@pytest.mark.parametrize("make", [str, ObjectStoragePath, UPath])
def test_a_percent_encoded_file_uri_is_what_path_makes_of_it(
    make: Callable[[str], Any], org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    folder = tmp_path / "Ü b#1?"
    folder.mkdir()
    source = folder / "in 1%.csv"
    source.write_text("Name\nOne\n")
    task.start().run(load(source=source.as_uri()))
    assert len(org.records("Account")) == 1
    summary = FakeTask().start().run(extract(output_path=(folder / "out 1").as_uri()))
    assert Path(summary["files"][0]).parent == folder / "out 1"
    if make is str:
        return
    FakeTask().start().run(load(source=make(f"file://{source}")))
    assert len(org.records("Account")) == 2


def test_a_file_that_is_there_as_written_wins_over_the_decoded_name(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    (tmp_path / "a%20b.csv").write_text("Name\nWritten\n")
    (tmp_path / "a b.csv").write_text("Name\nDecoded\n")
    task.start().run(load(source=f"file://{tmp_path}/a%20b.csv"))
    assert [row["Name"] for row in org.records("Account")] == ["Written"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "empty string"),
        ("  ", "empty string"),
        ("s3://", "names no bucket"),
        ("s3:///key.csv", "names no bucket"),
        ("s3://conn@/key.csv", "names no bucket"),
        ("s3://AKIA:abcdefgh@bucket/key.csv", "contains a user and a password"),
        ("sftp://me:abcdefgh@host/key.csv", "contains a user and a password"),
        ("https://me:abcdefgh@host/key.csv", "contains a user and a password"),
        ("gs://bucket/key.csv", "install apache-airflow-providers-google"),
        ("nosuch://bucket/key.csv", "no storage nosuch://"),
        ("https://host/key.csv?sig=abcdefgh", "no storage https://"),
        ("file://data/key.csv", "three slashes"),
        (Path("s3://bucket/key.csv"), "one slash after the colon"),
        (Path("s3://AKIA:abcdefgh@bucket/key.csv"), "one slash after the colon"),
        (ObjectStoragePath("s3://"), "names no bucket"),
        ("a\0b", "NUL"),
        (b"/tmp/key.csv", "bytes"),
        (UPath("gs://bucket/key.csv"), "install apache-airflow-providers-google"),
        ("s3://nosuchconn@bucket/key.csv", "no connection nosuchconn"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("argument", ["source", "results_path", "staging_path", "output_path"])
def test_what_leads_nowhere_is_refused_before_anything_is_sent(
    argument: str, given: Any, message: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    if isinstance(given, bytes) and argument == "source":
        pytest.skip("bytes are records there, and refused as such")
    source = tmp_path / "in.csv"
    source.write_text("Name\nOne\n")
    with pytest.raises(SourceError, match=message) as caught:
        task.start().run(
            extract(output_path=given) if argument == "output_path" else load(**{"source": source, argument: given})
        )
    assert argument in str(caught.value)
    assert "abcdefgh" not in str(caught.value)
    assert not org.jobs


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Jane Roe", r"there is no file \(a string of 8 characters\)"),
        ("Jane Roe,jane@acme.example,5", "several files are given as a list"),
        ("Jane*", r"no file matches \(a string of 5 characters\)"),
        ("<row><Name>Jane</Name></row>", "a string of 28 characters that is not a path"),
        ("<generator object rows at 0x7f of Jane>", "a string of 39 characters that is not a path"),
    ],
)
def test_a_text_that_does_not_look_like_a_path_is_not_shown(
    text: str, told: str, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match=told) as caught:
        task.start().run(load(source=text))
    assert "Jane" not in str(caught.value)


def test_two_connections_for_one_path_are_refused() -> None:
    with pytest.raises(SourceError, match="one of them"):
        locate("s3://one@bucket/key", conn_id="two")
    assert locate("s3://one@bucket/key", conn_id="one").conn_id == "one"
    assert locate(ObjectStoragePath("s3://bucket/key"), conn_id="two").conn_id == "two"


@pytest.mark.parametrize(
    "one",
    [
        "/d/x",
        "/d//x",
        "/d/./x",
        "/d/e/../x",
        "/d/x/",
        "file:///d/x",
        "file:/d/x",
        "file://localhost/d/x",
        "file:///%64/x",
    ],
)
def test_a_local_place_is_the_same_however_it_is_spelled(one: str) -> None:
    assert locate(one).resolved() == locate("/d/x").resolved()
    assert locate(Path(one.removeprefix("file://"))).resolved() == locate("/d/x").resolved() or one.startswith("file")


def test_a_place_is_the_same_by_a_link_and_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "d")
    assert locate(tmp_path / "link" / "x").resolved() == locate(tmp_path / "d" / "x").resolved()
    monkeypatch.chdir(tmp_path)
    assert locate("d/x").resolved() == locate(tmp_path / "d" / "x").resolved()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/d/x").resolved() == locate(tmp_path / "d" / "x").resolved()
    assert locate("~/d/x").path == os.path.join(str(tmp_path), "d/x")  # noqa: PTH118


def test_a_upath_brings_its_own_storage(org: LocalOrg, task: FakeTask) -> None:
    root = UPath("memory://bucket/{{ ds }}")
    UPath("memory://bucket/2026-02-03/in[1].csv").write_text("Name\nOne\n")
    UPath("memory://bucket/2026-02-03/in1.csv").write_text("Name\nOther\n")
    operator = load(source=root / "in[1].csv", results_path=root / "out")
    render(operator, ds="2026-02-03")
    summary = task.start().run(operator)
    assert [row["Name"] for row in org.records("Account")] == ["One"]
    assert UPath(summary["results"]["successful"][0]).read_text().count("\n") == 2
    summary = FakeTask().start().run(extract(output_path=UPath("memory://bucket/lake")))
    assert summary["files"][0].startswith("memory://bucket/lake/part-")
    assert UPath(summary["files"][0]).read_text().count("\n") == 2


def test_files_on_a_disk_are_found_without_importing_the_file_systems_of_other_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With that of Amazon installed it takes half a second of every task."""

    def refuse() -> None:
        raise AssertionError("the file systems of all providers are imported")

    monkeypatch.setattr("airflow.sdk.io.fs._register_filesystems", refuse)
    (tmp_path / "a.csv").write_text("Name\nAcme\n")
    assert [each.path for each in find_sources(tmp_path / "a.csv")] == [str(tmp_path / "a.csv")]
    assert [each.path for each in find_sources(tmp_path / "*.csv")] == [str(tmp_path / "a.csv")]
    assert [each.path for each in find_sources((tmp_path / "a.csv").as_uri())] == [str(tmp_path / "a.csv")]
