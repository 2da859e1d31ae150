"""What the page for lakes shows: deletions as files of their own, and merges after which a table equals the org."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from airflow.sdk import Asset

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.query import BulkQueryOperator, Incremental
from tests.provider.conftest import FakeTask
from tests.provider.query.test_compression import plain

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "lake.md"
ASSET = Asset("changes")


@dataclass
class Changes:
    """Extracts of what has changed, each into a folder of its own."""

    folder: Path
    assets: dict[Any, Any] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)

    def extract(self, step: int, **given: Any) -> dict[str, Any]:
        """Extract the window of a run."""
        usual: dict[str, Any] = {
            "sobject": "Account",
            "fields": ["Name", "SystemModstamp"],
            "incremental": Incremental(asset=ASSET),
            "include_deleted": True,
            "deletions": "files",
            "output_format": "parquet",
        }
        one = BulkQueryOperator(
            task_id="task", output_path=str(self.folder / f"run-{step}"), deferrable=False, **{**usual, **given}
        )
        task = FakeTask(assets=self.assets)
        summary: dict[str, Any] = task.start().run(one)
        self.event = next((each.extra for each in task.last.outlet_events.values()), {})
        return summary


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return Changes(tmp_path / "account_changes")


def history(org: LocalOrg) -> Iterator[int]:
    """Change the org, step by step."""
    hook = SalesforceBulkHook()
    hook.insert("Account", [{"Name": f"account {number}"} for number in range(5)])
    ids = [row["Id"] for row in org.records("Account")]
    for step in range(4):
        if step == 1:
            hook.update("Account", [{"Id": ids[0], "Name": "changed"}, {"Id": ids[1], "Name": "changed"}])
            hook.delete("Account", [{"Id": ids[4]}])
        if step == 2:
            hook.insert("Account", [{"Name": "new"}])
            hook.update("Account", [{"Id": ids[1], "Name": "changed again"}])
        org.advance(600)
        yield step


def snippet(language: str, begin: str) -> str:
    """Give the page's snippet that has this in it."""
    (found,) = (
        each
        for each in re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        if begin in each
    )
    return found


# --- deletions as files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file_format", "api"), [("csv", "1.0"), ("parquet", "2.0")])
def test_deleted_records_have_files_of_their_own(file_format: str, api: str, org: LocalOrg, changes: Changes) -> None:
    for step in history(org):
        summary = changes.extract(step, output_format=file_format, api=api)
        folder = changes.folder / f"run-{step}"
        manifest = json.loads((folder / "_manifest.json").read_text())
        deletions = summary["deletions"]
        assert deletions["records"] == manifest["deletions"]["records"] == (1 if step == 1 else 0)
        assert deletions["files"] == [file["uri"] for file in manifest["deletions"]["files"]]
        assert [Path(path).parent for path in deletions["files"]] == [folder / "deletions"]
        assert {Path(path).parent for path in summary["files"]} == {folder / "records"}
        assert (
            summary["records"]
            == manifest["records"]
            == sum(file["records"] for file in (*manifest["files"], *manifest["deletions"]["files"]))
        )
        assert changes.event["deletions"] == deletions
        assert changes.event["files"] == summary["files"]
        assert set(summary["columns"]) == {"Name", "SystemModstamp", "Id", "IsDeleted"}
        if file_format == "parquet":
            tables = [ds.dataset(folder / kind).to_table() for kind in ("records", "deletions")]
            assert tables[0].schema == tables[1].schema
            assert [set(table["IsDeleted"].to_pylist()) for table in tables] == [{False}, {True}] or step != 1
        there = {path for path in folder.rglob("*") if path.is_file()}
        assert there == {folder / "_manifest.json", *map(Path, (*summary["files"], *deletions["files"]))}


def test_a_deletion_keeps_the_columns_that_name_folders(org: LocalOrg, changes: Changes) -> None:
    for step in history(org):
        summary = changes.extract(step, partition_by=["Name"], output_format="jsonl", rows_per_file=1)
        if step == 1:
            (deleted,) = (json.loads(plain(path)) for path in summary["deletions"]["files"])
            assert (deleted["Name"], deleted["IsDeleted"]) == ("account 4", True)
            folders = {Path(path).relative_to(changes.folder).parts[1:3] for path in summary["files"]}
            assert folders == {("records", "Name=changed")}


@pytest.mark.parametrize(
    ("soql", "missing"),
    [
        ("SELECT Id, Name FROM Account", "IsDeleted"),
        ("SELECT Name FROM Account", "Id, IsDeleted"),
        ("SELECT Id, Account.IsDeleted FROM Contact", "IsDeleted"),
        ("SELECT c.AccountId, c.IsDeleted FROM Contact c", "Id"),
    ],
)
def test_a_query_without_what_deletions_need_is_refused_before_it_runs(
    soql: str, missing: str, org: LocalOrg, changes: Changes
) -> None:
    with pytest.raises(SourceError, match=f"^deletions='files': the SOQL does not select {missing}, which"):
        changes.extract(0, soql=soql, sobject=None, fields="all", incremental=None)
    assert not any("/jobs/" in call.path for call in org.calls)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "deletions='files': User has no field IsDeleted"),
        ({"fields": "all"}, "deletions='files': User has no field IsDeleted"),
        ({"fields": ["Name", "IsDeleted"]}, "fields: User has no field IsDeleted"),
        ({"deletions": "inline", "partition_by": "IsDeleted"}, "partition_by: User has no field IsDeleted"),
        ({"deletions": "inline", "partition_by": "Boss__r.Name"}, "partition_by: User has no relationship Boss__r"),
    ],
    ids=str,
)
def test_an_object_that_has_not_what_the_files_need_is_refused_before_it_is_read(
    given: Mapping[str, Any], message: str, org: LocalOrg, changes: Changes
) -> None:
    with pytest.raises(SourceError, match=f"^{message}"):
        changes.extract(0, sobject="User", **given)
    assert not any("/jobs/" in call.path for call in org.calls)


@pytest.mark.parametrize(
    "soql", ["SELECT c.Id, c.IsDeleted, c.Account.Name FROM Contact AS c", "select Id,isdeleted from Contact"]
)
def test_a_query_that_names_its_object_selects_what_deletions_need(soql: str, org: LocalOrg, changes: Changes) -> None:
    summary = changes.extract(0, soql=soql, sobject=None, fields="all", incremental=None)
    assert summary["deletions"]["records"] == 0


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_job_that_was_submitted_before_has_its_deletions_apart_if_it_has_what_they_need(
    file_format: str, org: LocalOrg, changes: Changes
) -> None:
    *_, _ = history(org)
    queries = [f"SELECT {fields} FROM Account" for fields in ("Id, IsDeleted", "Id")]
    usual: dict[str, Any] = {"task_id": "ask", "include_deleted": True, "wait_for_completion": False}
    jobs = [FakeTask().start().run(BulkQueryOperator(soql=each, **usual)) for each in queries]
    given = {"sobject": None, "fields": "all", "incremental": None, "include_deleted": False}
    given |= {"output_format": file_format}
    assert changes.extract(0, job_id=jobs[0], **given)["deletions"]["records"] == 1
    with pytest.raises(SourceError, match=r"deletions='files': the result has no column IsDeleted"):
        changes.extract(1, job_id=jobs[1], **given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"include_deleted": False}, "needs include_deleted=True"),
        ({"output_path": None}, "give an output_path"),
        ({"deletions": "apart"}, "deletions"),
        ({"soql": None, "sobject": "Account", "exclude": ["isdeleted"]}, "exclude names a field"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_the_dag_file(wrong: Mapping[str, Any], message: str) -> None:
    usual = {"soql": "SELECT Id, IsDeleted FROM Account", "include_deleted": True, "deletions": "files"}
    with pytest.raises(SourceError, match=message):
        BulkQueryOperator(task_id="read", **{"output_path": "/out", **usual, **wrong})


# --- merges -----------------------------------------------------------------------------------------------------------


def the_org(org: LocalOrg) -> dict[str, str]:
    return {row["Id"]: row["Name"] for row in org.records("Account")}


Merge = Callable[[str], Any]


def duckdb_merge(tmp_path: Path) -> tuple[Merge, Callable[[], dict[str, str]]]:
    duckdb = pytest.importorskip("duckdb")
    lake = duckdb.connect(str(tmp_path / "lake.duckdb"))
    sql = snippet("sql", "AS gone\nWHERE")
    return (
        lambda folder: lake.execute(sql.replace("/data/account_changes/run", folder)),
        lambda: dict(lake.execute("SELECT Id, Name FROM accounts").fetchall()),
    )


def delta_merge(tmp_path: Path) -> tuple[Merge, Callable[[], dict[str, str]]]:
    deltalake = pytest.importorskip("deltalake")
    code, names = compile(snippet("python", "deltalake"), "delta", "exec"), {}
    exec(code, names)
    table = str(tmp_path / "delta")

    def read() -> dict[str, str]:
        rows = deltalake.DeltaTable(table).to_pyarrow_table().select(["Id", "Name"]).to_pylist()
        return {row["Id"]: row["Name"] for row in rows}

    return lambda folder: names["merge"](table, folder), read


def iceberg_merge(tmp_path: Path) -> tuple[Merge, Callable[[], dict[str, str]]]:
    pytest.importorskip("pyiceberg")
    from pyiceberg.catalog.sql import SqlCatalog

    (tmp_path / "warehouse").mkdir()
    catalog = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("salesforce")
    code, names = compile(snippet("python", "pyiceberg"), "iceberg", "exec"), {}
    exec(code, names)

    def read() -> dict[str, str]:
        rows = catalog.load_table("salesforce.accounts").scan().to_arrow().select(["Id", "Name"]).to_pylist()
        return {row["Id"]: row["Name"] for row in rows}

    return lambda folder: names["merge"](catalog, "salesforce.accounts", folder), read


@pytest.mark.filterwarnings("ignore:Delete operation did not match any records")
@pytest.mark.parametrize("recipe", [duckdb_merge, delta_merge, iceberg_merge])
def test_the_merges_of_the_page_give_the_org_s_records(
    recipe: Callable[[Path], tuple[Merge, Callable[[], dict[str, str]]]],
    org: LocalOrg,
    changes: Changes,
    tmp_path: Path,
) -> None:
    merge, read = recipe(tmp_path)
    for step in history(org):
        changes.extract(step)
        for _ in range(2):
            merge(str(changes.folder / f"run-{step}"))
            assert read() == the_org(org)


def test_the_merge_of_all_runs_at_once_gives_the_org_s_records(org: LocalOrg, changes: Changes, tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    lake = duckdb.connect(str(tmp_path / "lake.duckdb"))
    sql = snippet("sql", "QUALIFY").replace("/data/account_changes", str(changes.folder))
    for step in history(org):
        changes.extract(step, deletions="inline", fields=["Id", "Name", "IsDeleted", "SystemModstamp"])
        for _ in range(2):
            lake.execute(sql)
            assert dict(lake.execute("SELECT Id, Name FROM accounts").fetchall()) == the_org(org)


@pytest.mark.parametrize(("dialect", "statements"), [("Spark", 2), ("BigQuery", 4), ("Snowflake", 4)])
def test_the_statements_that_cannot_run_here_have_the_syntax_of_their_engine(dialect: str, statements: int) -> None:
    sqlglot = pytest.importorskip("sqlglot")
    found = sqlglot.parse(snippet("sql", f"-- {dialect}\n"), dialect=dialect.lower())
    assert [type(each).__name__ for each in found].count("Merge") == 2
    assert len(found) == statements
    assert not [each for one in found for each in one.find_all(sqlglot.exp.Command)], (
        "a statement that was not understood"
    )
