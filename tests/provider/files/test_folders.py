"""Whose a folder is: tasks keep out of each other's, and nothing is replaced or removed that is not this package's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from airflow_provider_sfbulk.client.errors import FencedError, SfBulkError, SourceError, StorageError
from airflow_provider_sfbulk.client.results.folder import LocalFile, LocalFolder
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.operators.task_run import TaskRun
from tests.provider.conftest import FakeTask, Try

ROWS = [{"Name": f"Account {number}"} for number in range(25)]


@pytest.fixture
def accounts(org: LocalOrg) -> LocalOrg:
    """25 accounts, in pages of five."""
    with org.core.store.writing() as connection:
        for number, row in enumerate(ROWS):
            connection.execute("INSERT INTO Account (Id, Name) VALUES (?, ?)", (f"001LO{number:010}AAA", row["Name"]))
    org.core.page_records = 5
    return org


class Instance(FakeTask):
    """A task instance of some DAG, task, run and map index."""

    def __init__(self, dag: str = "dag", task: str = "task", run: str = "run", index: int = -1) -> None:
        super().__init__()
        self.names = (dag, task, run, index)

    def start(self, *, cleared: bool = False) -> Try:
        attempt = super().start(cleared=cleared)
        attempt.dag_id, attempt.task_id, attempt.run_id, attempt.map_index = self.names
        return attempt


def extract(out: Path | str, **arguments: Any) -> BulkQueryOperator:
    return BulkQueryOperator(
        **{
            "task_id": "task",
            "soql": "SELECT Name FROM Account",
            "output_path": out,
            "output_format": "parquet",
            "page_records": 5,
            "max_concurrent_pages": 1,
            "deferrable": False,
            **arguments,
        }
    )


def load(out: Path, **arguments: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        **{
            "task_id": "task",
            "sobject": "Account",
            "operation": "insert",
            "source": ROWS[:3],
            "results_path": out,
            "deferrable": False,
            **arguments,
        }
    )


OPERATORS = {"extract": extract, "load": load}


@pytest.fixture(params=["extract", "load"])
def made(request: pytest.FixtureRequest) -> Any:
    """Makes an operator that writes into a folder."""
    return OPERATORS[request.param]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def check_whole(out: Path) -> None:
    manifest = json.loads((out / "_manifest.json").read_text())
    named = manifest["files"]
    names = (
        {each["name"] for each in named}
        if isinstance(named, list)
        else {Path(u).name for k in named.values() for u in k}
    )
    assert {path.name for path in out.iterdir()} == {"_manifest.json", *names}


# --- one folder, one task ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "instead"),
    [
        (Instance(task="other"), "/other instead"),
        (Instance(dag="other"), "/task instead"),
        (Instance(index=1), "/{{ ti.map_index }} instead"),
    ],
    ids=["another task", "another DAG", "another map index"],
)
def test_another_task_is_refused_before_anything_is_sent_or_removed(
    other: Instance, instead: str, made: Any, accounts: LocalOrg, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Instance(index=0 if other.names[3] == 1 else -1).start().run(made(out))
    before, jobs = content(out), len(accounts.jobs)
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            other.start().run(made(out))
        assert f"{out}{instead}" in str(caught.value)
        assert "holds the files of task task of DAG dag (run run" in str(caught.value)
        assert content(out) == before
        assert len(accounts.jobs) == jobs


@pytest.mark.parametrize("again", [Instance(), Instance(run="tomorrow"), Instance(run="tomorrow", index=4)])
def test_the_task_itself_replaces_its_files_in_every_run(
    again: Instance, made: Any, accounts: LocalOrg, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Instance().start().run(made(out))
    before = content(out)
    again.start().run(made(out))
    check_whole(out)
    assert content(out) != before


def test_a_renamed_task_takes_the_folder_over_once_it_is_empty(made: Any, accounts: LocalOrg, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Instance(task="before").start().run(made(out))
    renamed = Instance(task="after")
    with pytest.raises(SourceError, match="renamed, empty the folder"):
        renamed.start().run(made(out))
    for path in out.iterdir():
        path.unlink()
    renamed.start().run(made(out))
    check_whole(out)


def test_of_two_that_are_at_work_at_once_the_second_is_refused(
    made: Any, accounts: LocalOrg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    refused: list[str] = []
    one, two = Instance(index=0), Instance(index=1)
    real = LocalFolder.create

    def meanwhile(self: LocalFolder, name: str, /) -> LocalFile:
        if not name.startswith("_writing") and not refused:
            refused.append("")
            with pytest.raises(SourceError, match=r"is being written to by task task .*map index 0") as caught:
                two.start().run(made(out))
            refused[0] = str(caught.value)
        return real(self, name)

    monkeypatch.setattr(LocalFolder, "create", meanwhile)
    one.start().run(made(out))
    assert "{{ ti.map_index }}" in refused[0]
    check_whole(out)
    assert json.loads((out / "_manifest.json").read_text())["writer"] == {
        "dag_id": "dag",
        "task_id": "task",
        "run_id": "run",
        "map_index": 0,
    }


def test_of_two_that_begin_at_the_very_same_time_not_both_go_on(
    accounts: LocalOrg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked, and seen nobody, before either has said that it is there."""
    out = tmp_path / "out"
    real = LocalFolder.create
    begun: list[str] = []

    def meanwhile(self: LocalFolder, name: str, /) -> LocalFile:
        if not begun:
            begun.append(name)
            Instance(index=1).start().run(extract(out, deferrable=False))
        return real(self, name)

    monkeypatch.setattr(LocalFolder, "create", meanwhile)
    # The second is done by then: its manifest stands where the first looks once more before it shows anything.
    with pytest.raises(SourceError, match=r"holds the files of task .*map index 1"):
        Instance(index=0).start().run(extract(out))
    assert json.loads((out / "_manifest.json").read_text())["writer"]["map_index"] == 1
    assert pq.read_table(out).num_rows == len(ROWS)


def test_what_a_killed_worker_of_another_task_left_is_named(accounts: LocalOrg, tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Gone(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Gone

    dying = Instance(task="other")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BulkQueryOperator, "_submitted", die)
        with pytest.raises(Gone):
            dying.start().run(extract(out))
    (left,) = out.iterdir()
    with pytest.raises(SourceError, match=f"died for good, remove {left.name}"):
        Instance().start().run(extract(out))
    dying.start().run(extract(out))  # the task itself goes on
    check_whole(out)


def test_a_task_that_fails_gives_the_folder_free_and_leaves_no_folder_of_its_own(
    made: Any, accounts: LocalOrg, tmp_path: Path
) -> None:
    out = tmp_path / "a" / "out"
    wrong = {"soql": "SELECT Nmae FROM Account"} if made is extract else {"source": [{"Nmae": "One"}]}
    with pytest.raises(SfBulkError):
        Instance().start().run(made(out, **wrong))
    assert not (tmp_path / "a").exists()
    Instance(task="other").start().run(made(out))
    check_whole(out)


# --- what is not ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["not json", "[]", '{"version": 7}', '{"version": "1", "writer": null}', ""])
def test_a_manifest_that_is_not_ours_is_not_replaced(text: str, made: Any, accounts: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "_manifest.json").write_text(text)
    with pytest.raises(SourceError, match=r"_manifest\.json was not written by this package"):
        Instance().start().run(made(tmp_path))
    assert content(tmp_path) == {"_manifest.json": text.encode()}
    assert not accounts.jobs


def test_a_file_of_somebody_else_is_not_replaced_by_results(accounts: LocalOrg, tmp_path: Path) -> None:
    (tmp_path / "successful.csv").write_text("mine")
    (tmp_path / "failed.jsonl").write_text("mine, and in nobody's way")
    with pytest.raises(SourceError, match=r"successful\.csv is there, and no manifest of this package names it"):
        Instance().start().run(load(tmp_path))
    assert not accounts.jobs
    (tmp_path / "successful.csv").unlink()
    Instance().start().run(load(tmp_path))
    assert (tmp_path / "failed.jsonl").read_text() == "mine, and in nobody's way"


def test_a_file_that_came_while_the_load_ran_is_not_replaced(accounts: LocalOrg, tmp_path: Path) -> None:
    def meanwhile(*_: Any, **__: Any) -> None:
        (tmp_path / "successful.csv").write_text("mine")

    task = Instance()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TaskRun, "show_new_job", meanwhile)
        with pytest.raises(SourceError, match="no manifest of this package names it"):
            task.start().run(load(tmp_path))
    (tmp_path / "successful.csv").rename(tmp_path / "mine.csv")
    summary = task.start().run(load(tmp_path))
    assert (summary["successful"], len(accounts.records("Account"))) == (3, len(ROWS) + 3)


# --- files of earlier versions ----------------------------------------------------------------------------------------


def test_an_extract_takes_the_place_of_one_by_an_earlier_version(accounts: LocalOrg, tmp_path: Path) -> None:
    names = [f"part-750LO0000000009YAA-0000{n}.csv" for n in range(3)]
    files = [{"name": name, "uri": f"{tmp_path}/{name}", "records": 0, "bytes": 0, "sha256": ""} for name in names[:2]]
    old = {"version": 1, "job_id": "750LO0000000009YAA", "sobject": "Account", "format": "csv", "files": files}
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    (tmp_path / "_publishing.json").write_text(json.dumps({"version": 1, "files": [{"name": names[2]}]}))
    for name in names:
        (tmp_path / name).write_text("")
    Instance().start().run(extract(tmp_path))
    check_whole(tmp_path)


def test_results_take_the_place_of_those_by_an_earlier_version(accounts: LocalOrg, tmp_path: Path) -> None:
    old = {
        "sobject": "Account",
        "operation": "insert",
        "counts": {"successful": 1, "failed": 1, "unprocessed": 0},
        "errors": {},
        "files": {
            "successful": [f"{tmp_path}/successful.csv"],
            "failed": [f"{tmp_path}/failed.csv"],
            "unprocessed": [],
        },
        "jobs": [],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(old))
    for name in ("successful.csv", "failed.csv"):
        (tmp_path / name).write_text("")
    Instance().start().run(load(tmp_path))
    check_whole(tmp_path)


# --- tries that were replaced -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("changed", [{}, {"page_records": 3}, {"output_format": "csv"}], ids=str)
def test_a_try_that_stood_still_shows_nothing_after_its_successor(
    step: int, changed: dict[str, Any], accounts: LocalOrg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen before one of its five files gets its name, or before its manifest."""
    out = tmp_path / "out"
    task = Instance()
    real, steps = Try.get, [0]
    old = task.start()

    def get(self: Try, key: str, default: Any = None) -> Any:
        is_verifying = self is old and "sfbulk" in key and bool(list(out.glob("_writing-*"))) and _is_publishing(out)
        if is_verifying:
            steps[0] += 1
            if steps[0] == step + 1:
                task.start().run(extract(out, **changed))
        return real(self, key, default)

    monkeypatch.setattr(Try, "get", get)
    with pytest.raises((FencedError, StorageError)):
        old.run(extract(out))
    assert steps[0] > step
    check_whole(out)
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["records"] == len(ROWS)
    assert all((out / file["name"]).stat().st_size == file["bytes"] for file in manifest["files"])


def _is_publishing(out: Path) -> bool:
    return any(json.loads(path.read_text())["files"] for path in out.glob("_writing-*.json"))


@pytest.mark.parametrize(
    "changed", [{"page_records": 3}, {"output_format": "csv"}, {"max_concurrent_pages": 3}], ids=str
)
def test_a_retry_in_another_form_that_dies_before_its_manifest_leaves_the_one_before_true(
    changed: dict[str, Any], accounts: LocalOrg, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    task = Instance()
    task.start().run(extract(out))  # Airflow takes it for failed
    before = content(out)

    def die(*_: Any) -> str:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("airflow_provider_sfbulk.files.task_folder.TaskFolder.finish", die)
        with pytest.raises(KeyboardInterrupt):
            task.start().run(extract(out, **changed))
    assert before.items() <= content(out).items(), "what the manifest names is as it says"
    task.start().run(extract(out, **changed))
    check_whole(out)


def test_a_run_that_another_run_overtakes_says_so_and_its_retry_is_whole(accounts: LocalOrg, tmp_path: Path) -> None:
    out = tmp_path / "out"
    one, two = Instance(run="one"), Instance(run="two")
    real, done = LocalFolder.rename, []

    def rename(self: LocalFolder, name: str, new: str, /) -> None:
        if not done:
            done.append(new)
            two.start().run(extract(out))
        real(self, name, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalFolder, "rename", rename)
        with pytest.raises(StorageError):
            one.start().run(extract(out))
    assert json.loads((out / "_manifest.json").read_text())["writer"]["run_id"] == "two"
    one.start().run(extract(out))
    check_whole(out)


# --- readers ----------------------------------------------------------------------------------------------------------


def test_whole_folders_are_read_by_pandas_and_arrow(accounts: LocalOrg, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):
        Instance().start().run(extract(out))
        assert len(pd.read_parquet(out)) == len(ROWS)
        assert ds.dataset(out).count_rows() == len(ROWS)
        assert pq.read_table(str(out)).num_rows == len(ROWS)


def test_the_way_to_read_that_the_docs_give_survives_a_new_extract(accounts: LocalOrg, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Instance().start().run(extract(out))
    text = (Path(__file__).parents[3] / "docs" / "query.md").read_text(encoding="utf-8")
    (snippet,) = [each for each in text.split("```python\n")[1:] if "def read_extract" in each]
    space: dict[str, Any] = {}
    exec(snippet.partition("```")[0], space)
    reads = []

    def read(name: str) -> pd.DataFrame:
        if not reads:
            Instance(run="tomorrow").start().run(extract(out))
        reads.append(name)
        return pd.read_parquet(name)

    assert len(space["read_extract"](str(out), read)) == len(ROWS)
    assert len(reads) > 5, "the files of the first manifest were gone, and it has begun anew"
