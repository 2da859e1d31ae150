"""Files of a number of rows and folders by value: every row once, readable by the readers of lakes, whole or absent."""

from __future__ import annotations

import csv
import errno
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import SfBulkError, SourceError, StorageError
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.client.results.downloads import OneFile
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.files.task_folder import TaskFolder
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.extract import laid_out_files
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.buckets import BUCKET, names, read, unfinished
from tests.provider.conftest import FakeTask
from tests.provider.query.test_compression import plain
from tests.provider.readings import COLUMNS, fill_readings, many

SOQL = f"SELECT {', '.join(COLUMNS)} FROM Reading__c ORDER BY External_Key__c"
REGIONS = ["EMEA", "a/b", "50% =#?", "..", "é 東", "emea", None, "'q' \"r\"", "x+y&z"]
MOMENTS = ["2024-02-29T23:59:59.000Z", "2024-03-01T00:00:00.000Z", "1999-12-31T12:00:00.000Z"]


def key(number: int) -> str:
    return f"K-{number:03d}"


def rows_in(count: int) -> list[dict[str, str]]:
    return [
        {
            **row,
            "External_Key__c": key(number),
            "Name": REGIONS[number % len(REGIONS)] or "",
            "Remark__c": REGIONS[number % len(REGIONS)] or "",
            "Moment__c": MOMENTS[number % len(MOMENTS)],
        }
        for number, row in enumerate(many(count))
    ]


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalOrg:
    """27 rows; six pages of five at most."""
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)
    rows = rows_in(27)
    for row in rows:
        row["Name"] = row["Name"] or "-"
    fill_readings(org, tmp_path / "seed", rows)
    org.core.page_records = 5
    return org


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def operator(out: Path, **given: Any) -> BulkQueryOperator:
    usual = {"soql": SOQL, "page_records": 5, "max_concurrent_pages": 1, "retries": 2, "deferrable": False}
    return BulkQueryOperator(task_id="read", output_path=str(out), **{**usual, **given})


def extract(out: Path, task: FakeTask | None = None, *, cleared: bool = False, **given: Any) -> dict[str, Any]:
    summary: dict[str, Any] = (task or FakeTask()).start(cleared=cleared).run(operator(out, **given))
    return summary


def keys_of(path: str) -> list[str]:
    if path.endswith(".parquet"):
        return list(map(str, pq.ParquetFile(path).read(["External_Key__c"])["External_Key__c"].to_pylist()))
    text = plain(path).decode()
    if ".jsonl" in path:
        return [json.loads(line)["External_Key__c"] for line in text.splitlines()]
    return [row["External_Key__c"] for row in csv.DictReader(io.StringIO(text, newline=""))]


def check_whole(out: Path, summary: Mapping[str, Any], *, count: int = 27) -> None:
    """Check that the folder holds every row once, and nothing but what the manifest names."""
    manifest = json.loads((out / "_manifest.json").read_text())
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert there == {"_manifest.json", *(file["name"] for file in manifest["files"])}
    assert {path for path in out.rglob("*") if path.is_dir() and not any(path.iterdir())} == set()
    assert [file["uri"] for file in manifest["files"]] == summary["files"]
    assert [file["bytes"] for file in manifest["files"]] == [Path(uri).stat().st_size for uri in summary["files"]]
    found = [keys_of(path) for path in summary["files"]]
    assert [len(keys) for keys in found] == [file["records"] for file in manifest["files"]]
    assert sorted(each for keys in found for each in keys) == [key(number) for number in range(count)]
    assert summary["records"] == manifest["records"] == count


def pages_read(org: LocalOrg) -> int:
    return sum("/results" in call.path for call in org.calls)


# --- rows of a file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        (2, {}),
        (26, {}),
        (5, {"compression": "gzip"}),
        (1000, {"column_delimiter": "PIPE", "line_ending": "CRLF"}),
    ],
    ids=str,
)
def test_csv_files_have_the_bytes_that_salesforce_sent(
    rows: int, given: dict[str, Any], readings: LocalOrg, out: Path, tmp_path: Path
) -> None:
    flat = extract(tmp_path / "flat", **given)
    summary = extract(out, rows_per_file=rows, **given)
    if "column_delimiter" not in given:
        check_whole(out, summary)
    end = b"\r\n" if "line_ending" in given else b"\n"
    header, *_ = plain(flat["files"][0]).partition(end)

    def records(files: Sequence[str]) -> list[bytes]:
        return [plain(file).removeprefix(header + end) for file in files]

    assert b"".join(records(summary["files"])) == b"".join(records(flat["files"]))
    assert all(plain(file).startswith(header + end) for file in summary["files"])
    assert len(summary["files"]) == -(-27 // rows)


@pytest.mark.parametrize(("rows", "file_format"), [(2, "parquet"), (26, "jsonl")])
def test_typed_files_have_that_many_rows_in_order_and_the_same_values(
    rows: int, file_format: str, readings: LocalOrg, out: Path, tmp_path: Path
) -> None:
    flat = extract(tmp_path / "flat", output_format=file_format)
    summary = extract(out, output_format=file_format, rows_per_file=rows)
    check_whole(out, summary)
    assert [each for path in summary["files"] for each in keys_of(path)] == [key(n) for n in range(27)]
    assert summary["api_calls"] == flat["api_calls"]
    assert summary["columns"] == flat["columns"]
    if file_format == "parquet":
        assert ds.dataset(summary["files"]).to_table() == ds.dataset(flat["files"]).to_table()
    else:
        assert b"".join(map(plain, summary["files"])) == b"".join(map(plain, flat["files"]))


def test_spreadsheets_and_widened_columns_are_as_in_files_of_pages(
    readings: LocalOrg, out: Path, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {"spreadsheet_safe": True}
    flat, summary = extract(tmp_path / "flat", **fields), extract(out, rows_per_file=4, **fields)
    flat_rows = [line for path in flat["files"] for line in csv.reader(io.StringIO(plain(path).decode(), newline=""))]
    rows = [line for path in summary["files"] for line in csv.reader(io.StringIO(plain(path).decode(), newline=""))]
    header = flat_rows[0]
    assert [each for each in rows if each != header] == [each for each in flat_rows if each != header]
    task = FakeTask()
    typed: dict[str, Any] = {"output_format": "parquet", "on_schema_change": "widen", "partition_by": "Name"}
    extract(tmp_path / "wide", task, **typed)
    fewer = extract(tmp_path / "wide", task, cleared=True, **typed, soql=SOQL.replace(", Remark__c", ""))
    assert fewer["schema_changes"]["removed"] == ["Remark__c"]
    assert pq.ParquetFile(fewer["files"][0]).read()["Remark__c"].null_count > 0


# --- bytes of a file --------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(mocker: MockerFixture) -> int:
    """After so many rows a file is measured."""
    rows = 2
    mocker.patch.object(laid_out_files, "_MEASURED_ROWS", rows)
    return rows


@pytest.mark.parametrize("given", [{}, {"partition_by": "Valid__c"}], ids=str)
@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_a_file_ends_with_its_bytes(
    file_format: str, given: dict[str, Any], measured: int, readings: LocalOrg, out: Path, tmp_path: Path
) -> None:
    given = {**given, "output_format": file_format}
    limit = 500 if file_format == "parquet" else 900
    flat = extract(tmp_path / "flat", **given)
    summary = extract(out, **given, bytes_per_file=limit)
    check_whole(out, summary)
    assert [each for path in summary["files"] for each in keys_of(path)] == [
        each for path in flat["files"] for each in keys_of(path)
    ]
    sizes = [Path(path).stat().st_size for path in summary["files"]]
    assert len(sizes) > 2
    assert min(sizes[:-1]) >= limit
    for path in summary["files"][:-1]:
        assert len(keys_of(path)) % measured == 0
        if file_format != "parquet":
            before = plain(path).split(b"\n")[: -measured - 1]
            assert len(b"\n".join(before)) < limit, "it had its bytes before"


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_retry_gives_files_of_the_same_bytes(
    file_format: str, measured: int, readings: LocalOrg, out: Path, tmp_path: Path, mocker: MockerFixture
) -> None:
    task = FakeTask()
    given: dict[str, Any] = {"output_format": file_format, "partition_by": "Valid__c", "bytes_per_file": 500}
    whole = extract(tmp_path / "whole", **given)
    finish = mocker.patch.object(TaskFolder, "finish", side_effect=Stopped)
    with pytest.raises(Stopped):
        extract(out, task, **given)
    assert finish.called
    mocker.stop(finish)
    shown = {path: path.read_bytes() for path in out.rglob("part-*")}
    assert len(shown) == len(whole["files"]) > 2
    retried = extract(out, task, **given)
    check_whole(out, retried)
    assert {Path(path): Path(path).read_bytes() for path in retried["files"]} == shown
    assert list(map(plain, retried["files"])) == list(map(plain, whole["files"]))


def test_a_file_ends_with_its_rows_or_its_bytes_whichever_come_first(
    measured: int, readings: LocalOrg, out: Path, tmp_path: Path
) -> None:
    by_rows = extract(out, rows_per_file=4, bytes_per_file=1_000_000)
    assert [len(keys_of(path)) for path in by_rows["files"]] == [4] * 6 + [3]
    by_bytes = extract(tmp_path / "bytes", rows_per_file=26, bytes_per_file=1)
    assert [len(keys_of(path)) for path in by_bytes["files"]] == [measured] * 13 + [1]


# --- folders ----------------------------------------------------------------------------------------------------------


def expected() -> set[tuple[str, str | None]]:
    return {(key(number), REGIONS[number % len(REGIONS)]) for number in range(27)}


@pytest.mark.parametrize(("concurrent", "file_format"), [(1, "csv"), (4, "parquet"), (1, "jsonl")])
def test_pyarrow_duckdb_and_polars_read_the_folder_back(
    file_format: str, concurrent: int, readings: LocalOrg, out: Path
) -> None:
    given = {"output_format": file_format, "partition_by": ["Remark__c", "day(Moment__c)"]}
    summary = extract(out, max_concurrent_pages=concurrent, **given)
    check_whole(out, summary)
    assert all(Path(path).relative_to(out).parts[1].startswith("Moment__c_day=") for path in summary["files"])
    kind: Any = ds.CsvFileFormat(pacsv.ParseOptions(newlines_in_values=True)) if file_format == "csv" else file_format
    if file_format == "jsonl":
        kind = "json"
    table = ds.dataset(out, format=kind, partitioning="hive").to_table()
    assert set(zip(table["External_Key__c"].to_pylist(), table["Remark__c"].to_pylist(), strict=True)) == expected()
    assert {str(each) for each in table["Moment__c_day"].to_pylist()} == {each[:10] for each in MOMENTS}
    duckdb = pytest.importorskip("duckdb")
    reader = {"csv": "read_csv", "parquet": "read_parquet", "jsonl": "read_json"}[file_format]
    sql = f"SELECT External_Key__c, Remark__c FROM {reader}('{out}/*/*/*', hive_partitioning=true)"
    assert set(duckdb.sql(sql).fetchall()) == expected()
    if file_format == "parquet":
        import polars

        frame = polars.read_parquet(f"{out}/**/*.parquet", hive_partitioning=True, glob=True)
        assert set(frame.select("External_Key__c", "Remark__c").rows()) == expected()
        assert frame["Moment__c"].null_count() == 0


def test_a_column_leaves_the_files_and_a_part_of_one_does_not(readings: LocalOrg, out: Path) -> None:
    given: dict[str, Any] = {"output_format": "parquet", "partition_by": ["valid__c", "month(moment__c)"]}
    summary = extract(out, **given)
    assert {Path(path).relative_to(out).parts[:2] for path in summary["files"]} == {
        ("Valid__c=true", f"Moment__c_month={each[:7]}") for each in MOMENTS
    }
    assert pq.ParquetFile(summary["files"][0]).schema_arrow.names == [each for each in COLUMNS if each != "Valid__c"]
    manifest = json.loads((out / "_manifest.json").read_text())
    assert manifest["columns"] == summary["columns"] == COLUMNS
    assert manifest["partition_columns"] == ["Valid__c", "Moment__c_month"]


@pytest.mark.parametrize(("file_format", "api"), [("csv", "1.0"), ("parquet", "2.0")])
def test_a_result_without_rows_still_has_its_columns(file_format: str, api: str, readings: LocalOrg, out: Path) -> None:
    soql = SOQL.replace(" ORDER", " WHERE Name = 'none' ORDER")
    summary = extract(out, soql=soql, output_format=file_format, api=api, partition_by="Remark__c", rows_per_file=3)
    check_whole(out, summary, count=0)
    assert [Path(path).parent.name for path in summary["files"]] == ["Remark__c=__HIVE_DEFAULT_PARTITION__"]


def test_by_1_0_files_are_laid_out_alike(readings: LocalOrg, out: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"output_format": "jsonl", "partition_by": "day(Moment__c)", "rows_per_file": 4}
    one, other = extract(out, api="1.0", **given), extract(tmp_path / "2.0", **given)
    check_whole(out, one)
    assert list(map(plain, one["files"])) == list(map(plain, other["files"]))


def test_more_folders_than_are_written_at_once_are_written_in_turns(
    readings: LocalOrg, out: Path, tmp_path: Path, mocker: MockerFixture
) -> None:
    given: dict[str, Any] = {"output_format": "jsonl", "partition_by": "Remark__c", "rows_per_file": 2}
    at_once = extract(tmp_path / "once", **given)
    mocker.patch.object(laid_out_files, "OPEN_FILES", 2)
    in_turns = extract(out, **given)
    check_whole(out, in_turns)
    assert list(map(plain, in_turns["files"])) == list(map(plain, at_once["files"]))


def test_in_object_storage(readings: LocalOrg, s3: Any, folder: str) -> None:
    task, path = FakeTask(), f"s3://minio@{BUCKET}/{folder}"
    given: dict[str, Any] = {"page_records": 5, "max_concurrent_pages": 1, "soql": SOQL, "deferrable": False}
    given |= {"task_id": "read", "output_path": path, "retries": 2}
    flat = task.start().run(BulkQueryOperator(**given))
    assert len(flat["files"]) == 6
    summary = task.start(cleared=True).run(
        BulkQueryOperator(**given, partition_by="Remark__c", output_format="parquet", rows_per_file=2)
    )
    manifest = json.loads(read(s3, summary["manifest"]))
    assert names(s3, folder) == {"_manifest.json", *(file["name"] for file in manifest["files"])}
    assert f"s3://{BUCKET}/{folder}/Remark__c=a%2Fb/" in {uri.rpartition("part-")[0] for uri in summary["files"]}
    tables = [pq.read_table(io.BytesIO(read(s3, uri))) for uri in summary["files"]]
    assert sorted(each for table in tables for each in table["External_Key__c"].to_pylist()) == list(
        map(key, range(27))
    )
    again = task.start(cleared=True).run(BulkQueryOperator(**given))
    assert names(s3, folder) == {"_manifest.json", *(uri.rpartition("/")[2] for uri in again["files"])}
    assert unfinished(s3) == []


# --- what was there before --------------------------------------------------------------------------------------------


def test_an_extract_replaces_the_one_before_however_that_was_laid_out(readings: LocalOrg, out: Path) -> None:
    task = FakeTask()
    layouts: list[dict[str, Any]] = [
        {},
        {"partition_by": "Remark__c"},
        {"partition_by": ["day(Moment__c)", "Remark__c"], "output_format": "parquet"},
        {"rows_per_file": 4},
        {"partition_by": "Remark__c", "rows_per_file": 1, "output_format": "jsonl"},
        {},
    ]
    for layout in layouts:
        check_whole(out, extract(out, task, cleared=True, **layout))
    assert [path for path in out.iterdir() if path.is_dir()] == []


def test_what_is_not_this_package_s_stays(readings: LocalOrg, out: Path) -> None:
    task = FakeTask()
    extract(out, task, partition_by="Valid__c")
    mine = [out / "Valid__c=true" / "notes.txt", out / "Other=1" / "part-1.csv"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    extract(out, task, cleared=True)
    assert [path.read_text() for path in mine] == ["mine", "mine"]


# --- retries ----------------------------------------------------------------------------------------------------------


def cut_from(org: LocalOrg, page: int) -> None:
    org.fault("query.results", "drop", when="after", call=page, times=None)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_retry_reads_only_the_missing_pages_also_for_another_number_of_rows(
    file_format: str, readings: LocalOrg, out: Path
) -> None:
    task = FakeTask()
    given: dict[str, Any] = {"output_format": file_format, "partition_by": "Remark__c"}
    cut_from(readings, 4 + (file_format != "csv"))
    with pytest.raises(SfBulkError):
        extract(out, task, **given, rows_per_file=2)
    assert {path.name[:6] for path in out.iterdir()} == {"_page-"}
    readings.core.faults.clear()
    readings.calls.clear()
    check_whole(out, extract(out, task, **given, rows_per_file=3))
    assert pages_read(readings) == 3


class Stopped(BaseException):
    """The process dies here."""


@pytest.mark.parametrize(
    ("place", "before"),
    [
        ("write", {}),
        ("rename", {"partition_by": "day(Moment__c)"}),
        ("finish", {}),
        ("remove", {"partition_by": "day(Moment__c)"}),
    ],
    ids=str,
)
def test_a_try_that_ends_while_files_are_made_or_shown_loses_nothing(
    place: str, before: dict[str, Any], readings: LocalOrg, out: Path, mocker: MockerFixture
) -> None:
    task = FakeTask()
    earlier = extract(out, task, **before)
    extract_again: dict[str, Any] = {"partition_by": "Remark__c", "output_format": "jsonl"}
    owner: Any = {"write": OneFile, "rename": LocalFolder, "finish": TaskFolder, "remove": LocalFolder}[place]
    name = "commit" if place == "write" else place
    real, calls = getattr(owner, name), [0]

    def step(self: Any, *args: Any) -> Any:
        is_step = place != "remove" or "part-" in str(args[0])
        is_step = is_step and (place != "write" or "_part-" in self._name)
        calls[0] += is_step
        if is_step and calls[0] == (1 if place == "finish" else 3):
            raise Stopped
        return real(self, *args)

    patched = mocker.patch.object(owner, name, step)
    with pytest.raises(Stopped):
        extract(out, task, cleared=True, **extract_again)
    assert patched is step
    mocker.stopall()
    if place in ("write", "rename"):
        assert json.loads((out / "_manifest.json").read_text())["job_id"] == earlier["job_id"]
    if place == "write":
        assert all(Path(path).exists() for path in earlier["files"])
    readings.calls.clear()
    check_whole(out, extract(out, task, **extract_again))
    if place != "remove":
        assert pages_read(readings) == 0, "the pages are there"


@pytest.mark.parametrize("trouble", ["rename", "remove", "is gone"])
def test_an_error_with_a_file_does_not_show_the_value_that_its_folder_is_named_by(
    trouble: str, readings: LocalOrg, out: Path, mocker: MockerFixture
) -> None:
    task = FakeTask()
    extract(out, task, partition_by="Remark__c")
    name = "remove" if trouble == "remove" else "rename"
    real = getattr(LocalFolder, name)

    def step(self: LocalFolder, *args: str) -> None:
        if "=EMEA/" not in args[-1]:
            real(self, *args)
        elif trouble != "is gone":
            raise OSError(errno.EIO, "no", args[-1])

    mocker.patch.object(LocalFolder, name, step)
    with pytest.raises(StorageError, match=r"Remark__c=…/part-") as caught:
        extract(out, task, cleared=True, partition_by="Remark__c")
    assert "EMEA" not in str(caught.value)


def test_a_page_s_file_that_was_changed_is_found(readings: LocalOrg, out: Path, mocker: MockerFixture) -> None:
    task = FakeTask()
    cut_from(readings, 4)
    with pytest.raises(SfBulkError):
        extract(out, task, partition_by="Remark__c")
    readings.core.faults.clear()
    page = min(out.iterdir())
    page.write_bytes(page.read_bytes()[:-40] + b"x" * 40)
    with pytest.raises(StorageError, match="has changed since it was written"):
        extract(out, task, partition_by="Remark__c")
    page.unlink()
    check_whole(out, extract(out, task, partition_by="Remark__c"))


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"partition_by": "Remark__c"}, "makes more than 5 partitions"),
        ({"rows_per_file": 1}, r"rows_per_file=1 makes 27 files of this extract, and at most 10 are written"),
        ({"bytes_per_file": 1}, r"bytes_per_file=1 makes more than 10 files of this extract"),
        ({"partition_by": "day(Name)"}, "a value of Name is not a UTC datetime"),
        ({"partition_by": "day(Name)", "output_format": "parquet"}, "a value of Name is not a UTC datetime"),
        ({"partition_by": "hour(Day__c)", "output_format": "parquet"}, r"Day__c is a date32\[day\], which has no hour"),
    ],
    ids=str,
)
def test_what_cannot_be_laid_out_leaves_the_extract_before(
    given: dict[str, Any], message: str, readings: LocalOrg, out: Path, mocker: MockerFixture
) -> None:
    for module in (
        "airflow_provider_sfbulk.client.extract.folders",
        "airflow_provider_sfbulk.client.extract.placed_pages",
    ):
        mocker.patch(f"{module}.MOST_FOLDERS", 5)
    mocker.patch.object(laid_out_files, "MOST_FOLDERS", 5)
    mocker.patch.object(laid_out_files, "MOST_FILES", 10)
    mocker.patch.object(laid_out_files, "_MEASURED_ROWS", 1)
    task = FakeTask()
    before = extract(out, task)
    with pytest.raises(SourceError, match=message):
        extract(out, task, cleared=True, **given)
    assert json.loads((out / "_manifest.json").read_text())["job_id"] == before["job_id"]
    assert {path.name for path in out.iterdir() if not path.name.startswith("_")} == {
        Path(path).name for path in before["files"]
    }
    check_whole(out, extract(out, task, cleared=True))


@pytest.mark.parametrize("spelled", ["\u00c9 東", "e\u0301 東"])
def test_values_that_some_file_systems_take_for_one_need_a_storage_that_does_not(
    spelled: str, readings: LocalOrg, out: Path, mocker: MockerFixture
) -> None:
    given = {"partition_by": "Remark__c"}
    with readings.core.store.writing() as connection:
        connection.execute("UPDATE Reading__c SET Remark__c = ? WHERE Remark__c IN ('EMEA', 'emea')", (spelled,))
    folders = {Path(path).parent.name for path in extract(out, **given)["files"]}
    assert {"Remark__c=\u00e9 東", f"Remark__c={spelled}"} <= folders
    real = LocalFolder.read

    def ignoring_case(self: LocalFolder, name: str) -> bytes | None:
        there = {each.lower(): each for each in self.sizes()}
        return real(self, there.get(name.lower(), name))

    mocker.patch.object(LocalFolder, "read", ignoring_case)
    with pytest.raises(SourceError, match="upper and lower case"):
        extract(out, FakeTask(), cleared=True, **given)


@pytest.mark.parametrize("soql", ["SELECT Id FROM Reading__c", "SELECT r.Id, r.Name FROM Reading__c r"])
def test_a_query_without_the_column_is_refused_before_it_runs(soql: str, readings: LocalOrg, out: Path) -> None:
    with pytest.raises(SourceError, match="does not select Remark__c"):
        extract(out, soql=soql, partition_by=["Remark__c"])
    assert not any("/jobs/" in call.path for call in readings.calls)


def test_a_query_whose_fields_are_not_named_may_have_the_column(readings: LocalOrg, out: Path) -> None:
    summary = extract(out, soql="SELECT FIELDS(STANDARD) FROM Reading__c", partition_by=["year(CreatedDate)"])
    assert {Path(path).parent.name[:17] for path in summary["files"]} == {"CreatedDate_year="}


def test_a_whole_object_s_query_selects_the_column_by_itself(readings: LocalOrg, out: Path) -> None:
    given = {"sobject": "Reading__c", "fields": ["External_Key__c"], "soql": None, "partition_by": "station__r.Name"}
    summary = extract(out, **given)
    assert {Path(path).parent.name for path in summary["files"]} == {"Station__r.Name=Zürich, Höngg"}
    check_whole(out, summary)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"partition_by": "week(CreatedDate)"}, "is neither a column nor year"),
        ({"partition_by": ["A__c", "a__C"]}, "names a column twice"),
        ({"partition_by": 5}, "partition_by must be a list of names"),
        ({"rows_per_file": 0}, "rows_per_file"),
        ({"rows_per_file": "many"}, "rows_per_file"),
        ({"partition_by": ["A__c"], "output_path": None}, "give an output_path"),
        ({"rows_per_file": 5, "output_path": None}, "give an output_path"),
        ({"bytes_per_file": "1 GB"}, "bytes_per_file"),
        ({"bytes_per_file": 5, "output_path": None}, "give an output_path"),
        ({"soql": None, "sobject": "A__c", "exclude": ["B__c"], "partition_by": ["b__c"]}, "exclude names a field"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_the_dag_file(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        BulkQueryOperator(task_id="read", **{"soql": "SELECT Id FROM Account", "output_path": "/out", **wrong})
