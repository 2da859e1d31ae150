"""Room for temporary files: looked for before a load begins, and not in memory."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import StorageError
from airflow_provider_sfbulk.client.parts import temporary
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask

ROW = "x" * 200


def load(source: object, **arguments: object) -> BulkIngestOperator:
    given = {"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False}
    return BulkIngestOperator(**{**given, "source": source, **arguments})


@pytest.fixture
def little_room(mocker: MockerFixture) -> None:
    """A disk with 5 MB free."""
    mocker.patch("airflow_provider_sfbulk.files.room.shutil.disk_usage", return_value=SimpleNamespace(free=5_000_000))


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A CSV file of 6 MB."""
    path = tmp_path / "accounts.csv"
    path.write_text("Name\n" + f"{ROW}\n" * 30_000, encoding="utf-8")
    return path


@pytest.mark.usefixtures("little_room")
def test_a_load_that_cannot_fit_ends_before_its_first_job(large: Path, org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(StorageError, match=r"has 5 MB free, and this load needs 6 MB: 4 parts of 100 MB .* set TMPDIR"):
        task.start().run(load(str(large)))
    assert org.jobs == []


@pytest.mark.usefixtures("little_room")
def test_the_format_counts_that_the_user_gives_not_the_ending(large: Path, org: LocalOrg, task: FakeTask) -> None:
    named_so = large.rename(large.with_suffix(".dat"))
    with pytest.raises(StorageError, match="has 5 MB free, and this load needs 6 MB"):
        task.start().run(load(str(named_so), source_format="csv"))
    assert org.jobs == []


@pytest.mark.usefixtures("little_room")
@pytest.mark.parametrize("arguments", [{"part_bytes": 1_000_000}, {"source": [{"Name": ROW}]}])
def test_what_may_fit_is_loaded(
    arguments: dict[str, object], large: Path, org: LocalOrg, task: FakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        task.start().run(load(**{"source": str(large), **arguments}))
    assert org.jobs
    warnings = [record.getMessage() for record in caplog.records if "folder for temporary files" in record.getMessage()]
    assert len(warnings) == ("source" in arguments)  # parts up to 4 MB lie in memory; of rows nobody knows the size


@pytest.mark.parametrize(
    ("mounts", "variable", "expected"),
    [
        ("disk / ext4 rw 0 0\ntmpfs {usual} tmpfs rw 0 0\n", "", "disk"),
        ("disk / ext4 rw 0 0\ntmpfs {usual} tmpfs rw 0 0\n", "TMPDIR", "usual"),
        ("disk / ext4 rw 0 0\ntmpfs {usual} tmpfs rw 0 0\ndisk {usual} ext4 rw 0 0\n", "", "usual"),
        ("tmpfs / tmpfs rw 0 0\n", "", "usual"),  # there is no disk at all
        ("disk / ext4 rw 0 0\n", "", "usual"),
        ("nonsense\n", "", "usual"),
    ],
)
def test_temporary_files_lie_in_memory_only_when_somebody_says_so(
    mounts: str, variable: str, expected: str, tmp_path: Path, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {name: tmp_path / name for name in ("usual", "disk")}
    for place in places.values():
        place.mkdir()
    (tmp_path / "mounts").write_text(mounts.format(usual=places["usual"]), encoding="utf-8")
    mocker.patch.object(temporary, "_MOUNTS", tmp_path / "mounts")
    mocker.patch.object(temporary, "_DISK", places["disk"])
    mocker.patch(
        "airflow_provider_sfbulk.client.parts.temporary.tempfile.gettempdir", return_value=str(places["usual"])
    )
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(places["usual"]))
    assert temporary.folder() == str(places[expected])
