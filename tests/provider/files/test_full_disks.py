"""Disks that fill up, and files that are for nobody else's eyes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from airflow_provider_sfbulk.client.check.repeated import Keys
from airflow_provider_sfbulk.client.errors import SfBulkError, StorageError
from airflow_provider_sfbulk.client.load.fingerprints import key_digests
from airflow_provider_sfbulk.client.parts import split as parts
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask

ROWS = [{"Name": f"Account {number} {'x' * 200}"} for number in range(3000)]
"""About 600 kB."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    disk = tmp_path / "small"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def accounts(org: LocalOrg) -> LocalOrg:
    """As many accounts."""
    with org.core.store.writing() as connection:
        for number, row in enumerate(ROWS):
            connection.execute("INSERT INTO Account (Id, Name) VALUES (?, ?)", (f"001LO{number:010}AAA", row["Name"]))
    return org


def extract(out: Path, **arguments: Any) -> BulkQueryOperator:
    return BulkQueryOperator(
        **{
            "task_id": "extract",
            "soql": "SELECT Id, Name FROM Account",
            "output_path": out,
            "page_records": 500,
            "max_concurrent_pages": 1,
            "deferrable": False,
            **arguments,
        }
    )


def load(**arguments: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        **{
            "task_id": "load",
            "sobject": "Account",
            "operation": "insert",
            "source": ROWS,
            "deferrable": False,
            **arguments,
        }
    )


def shown(folder: Path) -> list[str]:
    return [] if not folder.exists() else [path.name for path in folder.iterdir() if not path.name.startswith("_")]


# --- full disks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_an_extract_that_fills_the_disk_shows_nothing_and_goes_on_once_there_is_room(
    file_format: str, small: Path, accounts: LocalOrg, task: FakeTask
) -> None:
    ballast = small / "ballast"
    ballast.write_bytes(b"x" * 120_000)
    operator = extract(small / "out", output_format=file_format)
    if file_format == "parquet":  # which compresses well
        ballast.write_bytes(b"x" * 240_000)
    with pytest.raises(StorageError, match=rf"output_path: could not write {small}/out/.*no space is left .*ENOSPC"):
        task.start().run(operator)
    assert shown(small / "out") == []
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
    summary = task.start().run(operator)
    assert summary["records"] == len(ROWS)
    assert len(accounts.jobs) == 1


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_results_that_fill_the_disk_show_nothing_and_the_next_try_writes_them(
    file_format: str, small: Path, org: LocalOrg, task: FakeTask
) -> None:
    if file_format == "parquet":
        (small / "ballast").write_bytes(b"x" * 240_000)
    operator = load(results_path=small / "out", results_format=file_format)
    with pytest.raises(StorageError, match=r"results_path: could not write .*no space is left .*ENOSPC"):
        task.start().run(operator)
    assert shown(small / "out") == []
    assert len(org.records("Account")) == len(ROWS)
    subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
    summary = task.start().run(operator)
    assert summary["successful"] == len(org.records("Account")) == len(ROWS)
    assert shown(small / "out") == [f"successful.{file_format}"]


def test_parts_that_fill_the_disk_stop_the_load_before_anything_is_processed(
    small: Path, org: LocalOrg, task: FakeTask
) -> None:
    operator = load(source=lambda: ROWS, staging_path=small / "staging", part_records=1000)
    with pytest.raises(StorageError, match=r"staging_path: could not write .*no space is left .*ENOSPC"):
        task.start().run(operator)
    assert org.records("Account") == []
    subprocess.run(["mount", "-o", "remount,size=4m", str(small)], check=True)
    task.start().run(operator)
    assert len(org.records("Account")) == len(ROWS)
    assert list((small / "staging").iterdir()) == []


@pytest.mark.parametrize("what", ["parts", "results", "a loop"])
def test_temporary_files_that_fill_the_disk_are_named(
    what: str, small: Path, accounts: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    monkeypatch.setenv("TMPDIR", str(small))
    monkeypatch.setattr(parts, "MEMORY_BYTES", 1000 if what == "parts" else 10_000_000)
    monkeypatch.setattr("airflow_provider_sfbulk.client.results.spool._MEMORY_BYTES", 1000)

    def loop() -> None:
        with SalesforceBulkHook().get_conn() as client:
            job = client.query.create_job("SELECT Id, Name FROM Account")
            while not client.query.get_job(job.id).is_final:
                pass
            for _ in client.query.results(job.id):
                pass

    run = {
        "parts": lambda: task.start().run(load()),
        "results": lambda: task.start().run(load(results_path=tmp_path / "out")),
        "a loop": loop,
    }[what]
    with pytest.raises(StorageError, match=rf"temporary files, {small}, is full \(ENOSPC\).*TMPDIR"):
        run()
    assert len(accounts.records("Account")) == len(ROWS) * (2 if what == "results" else 1)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("step", ["rename", "create", "sizes", "remove", "read"])
@pytest.mark.parametrize("at", [1, 3])
def test_whatever_a_disk_refuses_while_an_extract_is_shown_is_named_and_put_right(
    at: int, step: str, number: int, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeTask().start().run(extract(tmp_path))
    operator = extract(tmp_path)
    real, calls = getattr(LocalFolder, step), [0]

    def refuse(*given: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            raise OSError(number, os.strerror(number))
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, step, refuse)
        try:
            task.start().run(operator)
        except SfBulkError as error:
            assert "output_path: could not" in str(error)  # noqa: PT017
            assert errno.errorcode[number] in str(error)  # noqa: PT017
        else:
            assert calls[0] < at
    task.start().run(operator)
    assert len(shown(tmp_path)) == 1
    assert sorted(path.name[:6] for path in tmp_path.iterdir()) == ["_manif", "part-7"]


# --- permissions ------------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of the worker."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_files_are_private_until_they_are_whole_and_follow_the_umask_then(
    file_format: str, umask: int, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = LocalFolder.rename, []

    def rename(self: LocalFolder, name: str, new: str, /) -> None:
        seen.append(mode(tmp_path / "out" / name))
        real(self, name, new)

    monkeypatch.setattr(LocalFolder, "rename", rename)
    summary = task.start().run(extract(tmp_path / "out", output_format=file_format))
    assert seen == [0o600]
    for name in (*summary["files"], summary["manifest"]):
        assert mode(Path(name)) == 0o666 & ~umask
    assert mode(tmp_path / "out") == 0o777 & ~umask
    loaded = FakeTask().start().run(load(results_path=tmp_path / "results", results_format=file_format))
    assert mode(Path(loaded["results"]["successful"][0])) == 0o666 & ~umask
    assert os.umask(umask) == umask


def test_what_is_being_written_is_private(umask: int, tmp_path: Path) -> None:
    file = LocalFolder(tmp_path).create("a.csv")
    (part,) = tmp_path.iterdir()
    assert mode(part) == 0o600
    file.discard()


def test_parts_that_wait_for_a_retry_are_private(
    umask: int, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.fault("ingest.upload", "drop", when="after", times=None)
    monkeypatch.setattr("airflow_provider_sfbulk.client.protocol.retry.FIRST_DELAY_SECONDS", 0.001)
    with pytest.raises(SfBulkError):
        task.start().run(load(source=lambda: ROWS, staging_path=tmp_path / "a" / "staging"))
    found = list((tmp_path / "a").rglob("*"))
    assert {mode(path) for path in found if path.is_file()} == {0o600}
    assert {mode(path) for path in found if path.is_dir()} == {0o700}
    assert len(found) >= 4


def test_a_temporary_file_is_nobody_elses(tmp_path: Path) -> None:
    file = TemporaryFile(folder=tmp_path)
    assert stat.S_IMODE(os.fstat(file._file.fileno()).st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []
    file.close()


@pytest.mark.parametrize("kind", ["as it is", "by a link", "for a group", "for everybody", "sticky"])
def test_wherever_temporary_files_lie_they_are_nobody_elses(
    kind: str, umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    folder.chmod({"for a group": 0o770, "for everybody": 0o777, "sticky": 0o1777}.get(kind, 0o700))
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "link" if kind == "by a link" else folder))
    monkeypatch.setenv("TMPDIR", "is set")
    keys, spool, part = Keys(), TemporaryFile(10), TemporaryFile()
    try:
        keys.add(key_digests([pa.array([str(number) for number in range(1000)])]), np.arange(1000))
        spool.write(b"x" * 11)
        found = [os.fstat(each._file.fileno()) for each in (keys._file._file, spool, part)]
        assert {(stat.S_IMODE(each.st_mode), each.st_nlink) for each in found} == {(0o600, 0)}
        assert list(folder.iterdir()) == []
    finally:
        for opened in (keys, spool, part):
            opened.close()


# --- folders that nobody may write into ------------------------------------------------------------------------------


@pytest.fixture
def read_only(small: Path) -> Path:
    """A disk that cannot be written to, by root neither."""
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    return small


@pytest.mark.parametrize("argument", ["output_path", "results_path", "staging_path"])
def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_sent(
    argument: str, read_only: Path, org: LocalOrg, task: FakeTask
) -> None:
    out = read_only / "out"
    operator = {
        "output_path": lambda: extract(out),
        "results_path": lambda: load(results_path=out),
        "staging_path": lambda: load(source=lambda: ROWS, staging_path=out),
    }[argument]()
    with pytest.raises(SfBulkError, match=f"{argument}.*{out}"):
        task.start().run(operator)
    assert len(org.jobs) == 0


def test_temporary_files_that_cannot_be_written_are_named_and_nothing_is_loaded(
    read_only: Path, org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(read_only))
    monkeypatch.setenv("TMPDIR", str(read_only))
    monkeypatch.setattr(parts, "MEMORY_BYTES", 1024)
    with pytest.raises(StorageError, match=rf"temporary files, {read_only}, cannot be used \(EROFS\).*set TMPDIR"):
        task.start().run(load())
    assert org.records("Account") == []
