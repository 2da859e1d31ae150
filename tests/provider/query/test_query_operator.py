"""BulkQueryOperator as its user meets it: real HTTP to a local org, real files, no scheduler."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from jinja2 import UndefinedError
from pytest_mock import MockerFixture
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import (
    JobFailedError,
    JobTimeoutError,
    RequestRefusedError,
    SourceError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.operators.task_run import TaskRun
from tests.provider.conftest import FakeTask
from tests.provider.readings import COLUMNS, ROWS, SOQL, fill_readings, many, truth


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed")
    return org


@pytest.fixture
def many_readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    fill_readings(org, tmp_path / "seed", many(25))
    return org


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def operator(**arguments: Any) -> BulkQueryOperator:
    """Make an operator for the readings; ``job_id`` takes the place of the query."""
    defaults: dict[str, Any] = {"task_id": "extract", "deferrable": False, "retries": 2}
    if "job_id" not in arguments:
        defaults["soql"] = SOQL
    return BulkQueryOperator(**{**defaults, **arguments})


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def shown_in(folder: Path) -> set[str]:
    """Names that readers of the whole folder take: they skip those that begin with ``_`` or a dot."""
    return {name for name in files_in(folder) if not name.startswith(("_", "."))}


def read_csv(files: list[str]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name in files:
        with Path(name).open(newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return rows


def by_key(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found = {row["External_Key__c"]: row for row in rows}
    assert len(found) == len(rows), "a record came twice"
    return found


def typed(row: Mapping[str, Any], *, number: Any = Decimal) -> dict[str, Any]:
    """Bring a stored row into the types that describe promises."""
    day, moment = row["Day__c"], row["Moment__c"]
    return {
        **row,
        "Count__c": None if row["Count__c"] is None else int(row["Count__c"]),
        "Level__c": None if row["Level__c"] is None else number(repr(row["Level__c"])),
        "Price__c": None if row["Price__c"] is None else number(repr(row["Price__c"])),
        "Valid__c": bool(row["Valid__c"]),
        "Day__c": None if day is None else date.fromisoformat(day),
        "Moment__c": None if moment is None else datetime.fromisoformat(moment),
    }


def created(org: LocalOrg) -> int:
    """Count the query jobs that were asked for."""
    return sum(call.method == "POST" and "/jobs/query" in call.path for call in org.calls)


class AdvanceFrom(Fault):
    """Let a minute of the org's time pass with each look at a job, from a look on."""

    def __init__(self, org: LocalOrg, look: int) -> None:
        self._org, self._look = org, look

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number >= self._look:
            self._org.advance(61)
        return None


# --- the three formats ------------------------------------------------------------------------------------------------


def test_csv_files_hold_what_the_org_stores(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    summary = task.start().run(operator(output_path=str(out)))
    (job,) = readings.jobs
    assert summary["job_id"] == job.id
    assert (summary["records"], summary["columns"], len(summary["files"])) == (3, COLUMNS, 1)
    assert summary["api_calls"] == len([call for call in readings.calls if "/services/data/" in call.path])
    rows = by_key(read_csv(summary["files"]))
    expected = {
        key: {
            **{name: "" if value is None else value for name, value in row.items()},
            "Valid__c": "true" if row["Valid__c"] else "false",
        }
        for key, row in truth(readings).items()
    }
    for key, row in rows.items():
        for name in ("Count__c", "Level__c", "Price__c"):
            text: Any = row[name]
            row[name] = float(text) if text else ""
        assert row == expected[key]
    assert rows.keys() == expected.keys()
    text = Path(summary["files"][0]).read_text(encoding="utf-8")
    assert '"1.0E7"' in text, "CSV is as Salesforce wrote it, byte for byte"


def test_parquet_files_are_typed_by_describe(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    summary = task.start().run(operator(output_path=str(out), output_format="parquet"))
    table = pa.concat_tables([pq.read_table(file) for file in summary["files"]])
    assert by_key(table.to_pylist()) == {key: typed(row) for key, row in truth(readings).items()}
    types = dict(zip(table.schema.names, map(str, table.schema.types), strict=True))
    assert types == {
        "Name": "string",
        "External_Key__c": "string",
        "Count__c": "int64",
        "Level__c": "decimal128(16, 4)",
        "Price__c": "decimal128(18, 2)",
        "Valid__c": "bool",
        "Day__c": "date32[day]",
        "Moment__c": "timestamp[ms, tz=UTC]",
        "Remark__c": "string",
        "Station__r.Name": "string",
    }


def test_jsonl_files_are_typed_by_describe(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    summary = task.start().run(operator(output_path=str(out), output_format="jsonl"))
    lines = [line for file in summary["files"] for line in Path(file).read_text(encoding="utf-8").split("\n") if line]
    rows = by_key([json.loads(line, parse_float=Decimal) for line in lines])
    for row in rows.values():
        row["Day__c"] = row["Day__c"] and date.fromisoformat(row["Day__c"])
        row["Moment__c"] = row["Moment__c"] and datetime.fromisoformat(row["Moment__c"])
    assert rows == {key: typed(row) for key, row in truth(readings).items()}


@pytest.mark.parametrize(("delimiter", "character"), [("TAB", "\t"), ("SEMICOLON", ";")])
def test_the_dialect_of_the_csv_can_be_chosen(
    delimiter: str, character: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    summary = task.start().run(operator(output_path=str(out), column_delimiter=delimiter, line_ending="CRLF"))
    data = Path(summary["files"][0]).read_bytes()
    assert data.startswith(character.join(f'"{name}"' for name in COLUMNS).encode() + b"\r\n")
    assert summary["columns"] == COLUMNS
    assert summary["records"] == 3


def test_a_number_with_more_decimals_than_described_is_kept(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    fill_readings(org, tmp_path / "seed")
    with org.core.store.writing() as connection:  # an API may write them, see ``results/schema.py``
        connection.execute("UPDATE Reading__c SET Level__c = 0.123456789 WHERE External_Key__c = 'R-2'")
    summary = task.start().run(operator(output_path=str(tmp_path / "out"), output_format="parquet"))
    rows = by_key(pq.read_table(summary["files"][0]).to_pylist())
    assert {key: row["Level__c"] for key, row in rows.items()} == {
        key: row["Level__c"] for key, row in truth(org).items()
    }


# --- pages and the manifest -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("at_once", [1, 4])
def test_every_page_is_a_file_and_no_record_is_lost_or_doubled(
    at_once: int, file_format: str, many_readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    many_readings.core.page_records = 4  # what Salesforce chooses for resultPages: seven pages in two lists
    summary = task.start().run(
        operator(
            soql=f"{SOQL} ORDER BY Count__c",
            output_path=str(out),
            output_format=file_format,
            page_records=4,
            max_concurrent_pages=at_once,
        )
    )
    assert len(summary["files"]) == 7
    assert summary["records"] == 25
    keys: list[Any] = []
    for name in summary["files"]:
        match file_format:
            case "csv":
                keys += [row["External_Key__c"] for row in read_csv([name])]
            case "parquet":
                keys += pq.read_table(name)["External_Key__c"].to_pylist()
            case _:
                text = Path(name).read_text(encoding="utf-8")
                keys += [json.loads(line)["External_Key__c"] for line in text.splitlines()]
    assert keys == [f"K-{n}" for n in range(25)], "the files are in the order of the rows"
    used = any("resultPages" in call.path for call in many_readings.calls)
    assert used is (at_once > 1)


def test_the_manifest_tells_the_truth_about_every_file(many_readings: LocalOrg, task: FakeTask, out: Path) -> None:
    summary = task.start().run(operator(output_path=str(out), page_records=10, max_concurrent_pages=1))
    manifest = json.loads(Path(summary["manifest"]).read_text(encoding="utf-8"))
    assert manifest["job_id"] == summary["job_id"]
    assert manifest["sobject"] == "Reading__c"
    assert manifest["format"] == "csv"
    assert manifest["columns"] == COLUMNS
    assert manifest["records"] == 25
    assert [file["uri"] for file in manifest["files"]] == summary["files"]
    assert [file["records"] for file in manifest["files"]] == [10, 10, 5]
    for file in manifest["files"]:
        data = (out / file["name"]).read_bytes()
        assert file["bytes"] == len(data)
        assert file["sha256"] == hashlib.sha256(data).hexdigest()
        assert file["records"] == len(read_csv([file["uri"]]))
    assert files_in(out) == {"_manifest.json", *(file["name"] for file in manifest["files"])}


def test_a_new_extract_takes_the_place_of_the_old_and_of_nothing_else(
    many_readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    old = task.start().run(operator(output_path=str(out), page_records=10, max_concurrent_pages=1))
    (out / "notes.txt").write_text("mine")
    (out / "part-mine.csv").write_text("mine too")
    new = task.start(cleared=True).run(operator(output_path=str(out)))
    assert new["job_id"] != old["job_id"]
    assert files_in(out) == {"_manifest.json", "notes.txt", "part-mine.csv", Path(new["files"][0]).name}
    assert len(read_csv(new["files"])) == 25


@pytest.mark.parametrize(
    "manifest",
    [
        "not json",
        "[]",
        "null",
        '{"version": 1, "files": [{"name": "../outside.txt"}, {"name": "notes.txt"}, {"name": 1}]}',
    ],
)
def test_a_manifest_that_is_not_ours_makes_nothing_disappear(
    manifest: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    out.mkdir()
    (out / "manifest.json").write_text(manifest)
    (out / "notes.txt").write_text("mine")
    (out.parent / "outside.txt").write_text("mine")
    task.start().run(operator(output_path=str(out)))
    assert (out / "notes.txt").exists()
    assert (out.parent / "outside.txt").exists()
    assert (out / "manifest.json").read_text() == manifest


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_an_empty_result_keeps_its_columns(file_format: str, readings: LocalOrg, task: FakeTask, out: Path) -> None:
    summary = task.start().run(
        operator(soql=f"{SOQL} WHERE Name = 'nobody'", output_path=str(out), output_format=file_format)
    )
    assert (summary["records"], summary["columns"], len(summary["files"])) == (0, COLUMNS, 1)
    manifest = json.loads((out / "_manifest.json").read_text(encoding="utf-8"))
    assert (manifest["records"], manifest["columns"]) == (0, COLUMNS)
    if file_format == "parquet":
        full = FakeTask().start().run(operator(output_path=f"{out}-full", output_format="parquet"))
        assert pq.read_schema(summary["files"][0]) == pq.read_schema(full["files"][0])
    if file_format == "csv":
        assert Path(summary["files"][0]).read_text(encoding="utf-8") == ",".join(f'"{n}"' for n in COLUMNS) + "\n"


# --- what a broken line leaves behind ---------------------------------------------------------------------------------


class CutPage(Fault):
    """Announce what the page had, and cut its body from the given request for a page on."""

    def __init__(self, first: int) -> None:
        self._first = first

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if exchange.number < self._first:
            return response
        headers = {k: v for k, v in response.headers.items() if k.startswith("sforce-") or k == "content-type"}
        return Response(b'"Name"\n', headers=headers)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat without pausing."""
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_page_that_never_proves_shows_nothing(
    at_once: int, file_format: str, many_readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    many_readings.core.page_records = 10
    many_readings.core.faults.add("query.results", CutPage(3 if file_format == "csv" else 4))
    broken = operator(output_path=str(out), output_format=file_format, page_records=10, max_concurrent_pages=at_once)
    with pytest.raises(TransportError):
        task.start().run(broken)
    assert shown_in(out) == set()
    many_readings.core.faults.clear()
    summary = task.start().run(broken)
    assert summary["records"] == 25
    assert files_in(out) == {"_manifest.json", *(Path(name).name for name in summary["files"])}
    assert created(many_readings) == 1, "the retry fetches the same job again"


@pytest.mark.usefixtures("impatient")
def test_a_page_that_never_proves_leaves_the_extract_before_as_it_was(
    many_readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    extract = {"output_path": str(out), "page_records": 10, "max_concurrent_pages": 1}
    old = task.start().run(operator(**extract))
    before = {name: (out / name).read_bytes() for name in shown_in(out)}
    manifest = (out / "_manifest.json").read_bytes()
    many_readings.core.faults.add("query.results", CutPage(5))
    with pytest.raises(TransportError):
        FakeTask().start().run(operator(**extract))
    assert {name: (out / name).read_bytes() for name in shown_in(out)} == before
    assert (out / "_manifest.json").read_bytes() == manifest
    again = {**extract, "job_id": old["job_id"]}
    with pytest.raises(TransportError):
        FakeTask().start().run(operator(**again))
    assert {name: (out / name).read_bytes() for name in shown_in(out)} == before


@pytest.mark.usefixtures("impatient")
def test_a_page_that_proves_in_the_end_is_there_once(many_readings: LocalOrg, task: FakeTask, out: Path) -> None:
    class Flaky(CutPage):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            return await super().after(exchange, response) if exchange.number % 2 else response

    many_readings.core.faults.add("query.results", Flaky(0))
    summary = task.start().run(operator(output_path=str(out), page_records=10, max_concurrent_pages=1))
    assert sorted(by_key(read_csv(summary["files"]))) == sorted(truth(many_readings))


# --- rows for XCom ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", ["2.0", "1.0"])
def test_a_field_over_a_polymorphic_lookup_has_its_type(org: LocalOrg, task: FakeTask, out: Path, api: str) -> None:
    SalesforceBulkHook().insert("Lead", [{"LastName": "Roe", "Company": "Umbrella"}])
    operator = BulkQueryOperator(
        task_id="q", soql="SELECT Id, owner.isactive, OWNER.Name FROM Lead", output_path=str(out), api=api,
        output_format="parquet",
    )  # fmt: skip
    summary = task.start().run(operator)
    table = pq.read_table(summary["files"][0])
    assert [table.schema.field(name).type for name in summary["columns"]] == [pa.string(), pa.bool_(), pa.string()]
    assert table["Owner.IsActive"].to_pylist() == [True]


def test_without_an_output_path_the_typed_rows_come_back(readings: LocalOrg, task: FakeTask) -> None:
    rows = task.start().run(operator())
    assert by_key(rows) == {key: typed(row, number=float) for key, row in truth(readings).items()}
    (first,) = [row for row in rows if row["External_Key__c"] == "R-1"]
    assert isinstance(first["Valid__c"], bool)
    assert isinstance(first["Count__c"], int)
    assert first["Moment__c"] == datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)


def test_an_empty_result_is_an_empty_list(readings: LocalOrg, task: FakeTask) -> None:
    assert task.start().run(operator(soql=f"{SOQL} WHERE Name = 'nobody'")) == []


def test_as_many_rows_as_allowed_come_back(readings: LocalOrg, task: FakeTask) -> None:
    assert len(task.start().run(operator(max_xcom_records=3))) == 3


def test_more_rows_than_allowed_are_refused_with_a_way_out(readings: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(SourceError, match=r"more than 2 records.*output_path.*max_xcom_records"):
        task.start().run(operator(max_xcom_records=2))
    assert not any("/results" in call.path for call in readings.calls), "pages may be smaller than what is asked for"


# --- which records, which job -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("include_deleted", "keys"), [(False, {"R-2", "R-3"}), (True, {"R-1", "R-2", "R-3"})])
def test_deleted_records_come_only_when_asked_for(
    include_deleted: bool, keys: set[str], readings: LocalOrg, task: FakeTask
) -> None:
    with readings.core.store.writing() as connection:
        connection.execute("UPDATE Reading__c SET IsDeleted = 1 WHERE External_Key__c = 'R-1'")
    assert by_key(task.start().run(operator(include_deleted=include_deleted))).keys() == keys


def test_submitted_now_and_fetched_by_another_task(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    job_id = task.start().run(operator(wait_for_completion=False))
    assert [job.id for job in readings.jobs] == [job_id]
    summary = FakeTask().start().run(operator(job_id=job_id, output_path=str(out)))
    assert (summary["job_id"], summary["records"]) == (job_id, 3)
    assert created(readings) == 1


def test_a_retry_goes_on_with_the_job_of_the_try_before(
    readings: LocalOrg, task: FakeTask, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dying = operator(output_path=str(out))
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        task.start().run(dying)
    summary = task.start().run(operator(output_path=str(out)))
    assert created(readings) == 1
    assert summary["job_id"] == readings.jobs[0].id
    assert summary["records"] == 3


@pytest.mark.parametrize("why", ["clear", "other soql"])
def test_what_starts_over_aborts_the_job_it_leaves(
    why: str, readings: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings.core.job_seconds = 60
    dying = operator()
    monkeypatch.setattr(dying, "_wait", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        task.start().run(dying)
    readings.core.faults.add("query.get", AdvanceFrom(readings, 1))
    again = operator() if why == "clear" else operator(soql=f"{SOQL} WHERE Name != 'x'")
    assert len(task.start(cleared=why == "clear").run(again)) == 3
    assert created(readings) == 2
    assert readings.jobs[0].state == "Aborted"


def test_a_retry_after_a_failed_job_starts_another(readings: LocalOrg, task: FakeTask, mocker: MockerFixture) -> None:
    readings.core.job_seconds = 60
    load = operator()
    real = load._wait

    def abort_first(run: TaskRun, job_ids: list[str]) -> Any:
        run.client.query.abort(job_ids[0])
        return real(run, job_ids)

    mocker.patch.object(load, "_wait", abort_first)
    with pytest.raises(JobFailedError, match="Aborted"):
        task.start().run(load)
    readings.core.faults.add("query.get", AdvanceFrom(readings, 1))
    assert len(task.start().run(operator())) == 3
    assert created(readings) == 2


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("soql", "match"),
    [
        ("SELECT Name FROM Reading__c WHERE", "MALFORMED_QUERY"),
        ("SELECT Nmae FROM Reading__c", "INVALID_FIELD.*Nmae"),
        ("SELECT Name FROM Raeding__c", "INVALID_TYPE.*Raeding__c"),
        ("SELECT COUNT() FROM Reading__c", "Aggregate functions not supported"),
    ],
)
def test_soql_that_salesforce_refuses_writes_nothing(
    soql: str, match: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    with pytest.raises(RequestRefusedError, match=match):
        task.start().run(operator(soql=soql, output_path=str(out)))
    assert not readings.jobs
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"soql": None}, "one of soql, sobject and job_id"),
        ({"soql": SOQL, "job_id": "750000000000001AAA"}, "either soql or job_id"),
        ({"job_id": "750000000000001AAA", "wait_for_completion": False}, "wait_for_completion"),
        ({"job_id": "../../limits"}, "job_id is not a Salesforce job id"),
        ({"output_format": "xlsx"}, "csv, parquet, jsonl"),
        ({"column_delimiter": ","}, "COMMA"),
        ({"line_ending": "\n"}, "LF"),
        ({"page_records": 0}, "page_records"),
        ({"max_concurrent_pages": 0}, "max_concurrent_pages"),
        ({"max_xcom_records": -1}, "max_xcom_records"),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(
    arguments: dict[str, Any], match: str, org: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises(SourceError, match=match):
        task.start().run(operator(**arguments))
    assert not org.calls


def test_an_unknown_job_is_named(readings: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(RequestRefusedError, match="750000000000001AAA"):
        task.start().run(operator(job_id="750000000000001AAA"))


# --- templates --------------------------------------------------------------------------------------------------------


def test_the_query_may_lie_in_a_file_and_hold_templates(readings: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    (tmp_path / "readings.soql").write_text("SELECT Name FROM Reading__c WHERE External_Key__c = '{{ key }}'")
    with DAG("extracts", template_searchpath=[str(tmp_path)]):
        extract = BulkQueryOperator(task_id="extract", soql="readings.soql", output_path="{{ folder }}")
    extract.resolve_template_files()
    extract.render_template_fields({"key": "R-2", "folder": str(tmp_path / "out")})  # type: ignore[typeddict-unknown-key]
    summary = task.start().run(extract)
    assert read_csv(summary["files"]) == [{"Name": ROWS[1]["Name"]}]
    assert Path(summary["files"][0]).parent == tmp_path / "out"


# --- deferral ---------------------------------------------------------------------------------------------------------


def test_a_long_job_defers_and_comes_back_with_the_same_result(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    readings.core.job_seconds = 60
    attempt = task.start()
    waiting = operator(deferrable=True, output_path=str(out), poll_interval=0.05)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(attempt.context)
    assert deferred.value.trigger.job_ids == [readings.jobs[0].id]
    assert deferred.value.trigger.deferred_at == pytest.approx(time.time(), abs=60)
    assert not shown_in(out)
    assert [name.partition("-")[0] for name in files_in(out)] == ["_writing"]
    readings.advance(61)
    readings.wait_until_idle()
    summary = attempt.resume(operator(deferrable=True, output_path=str(out)), deferred.value)
    assert summary["records"] == 3
    assert created(readings) == 1
    assert sorted(by_key(read_csv(summary["files"]))) == ["R-1", "R-2", "R-3"]
    assert summary["api_calls"] == len([call for call in readings.calls if "/services/data/" in call.path])


def test_rows_come_back_from_a_deferral_too(readings: LocalOrg, task: FakeTask) -> None:
    readings.core.job_seconds = 60
    readings.core.faults.add("query.get", AdvanceFrom(readings, 7))
    assert len(task.start().run(operator(deferrable=True, poll_interval=0.05))) == 3


@pytest.mark.parametrize("ended", ["aborted", "failed"])
def test_a_job_that_ends_badly_while_the_task_is_deferred_fails_the_task(
    ended: str, readings: LocalOrg, task: FakeTask
) -> None:
    readings.core.job_seconds = 60
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferred:
        operator(deferrable=True, poll_interval=0.05).execute(attempt.context)
    (entry,) = readings.core.jobs
    if ended == "failed":
        entry.job.error_message = "Query timed out"
    readings.core.jobs.set_state(entry, State.FAILED if ended == "failed" else State.ABORTED)
    with pytest.raises(JobFailedError, match=entry.job.id):
        attempt.resume(operator(deferrable=True), deferred.value)
    assert created(readings) == 1, "only the next try may ask again"


def test_an_event_of_an_old_trigger_is_ignored(readings: LocalOrg, task: FakeTask) -> None:
    readings.core.job_seconds = 60
    attempt = task.start()
    waiting = operator(deferrable=True, timeout=300)
    with pytest.raises(TaskDeferred) as first:
        waiting.execute(attempt.context)
    event = {"outcome": "timeout", "job_ids": ["750000000000001AAA"], "api_calls": 1}
    with pytest.raises(TaskDeferred) as second:
        waiting.execute_complete(attempt.context, event=event)
    assert second.value.trigger.job_ids == first.value.trigger.job_ids
    assert created(readings) == 1


def test_the_end_of_the_timeout_fails_the_try_and_leaves_the_job(readings: LocalOrg, task: FakeTask) -> None:
    readings.core.job_seconds = 60
    with pytest.raises(JobTimeoutError, match="go on at Salesforce"):
        task.start().run(operator(deferrable=True, timeout=0.2, poll_interval=0.05))
    assert readings.jobs[0].state in ("UploadComplete", "InProgress")
    readings.advance(61)
    assert len(task.start().run(operator())) == 3
    assert created(readings) == 1


def test_a_triggerer_that_could_not_ask_says_so(readings: LocalOrg, task: FakeTask) -> None:
    readings.core.job_seconds = 60
    attempt = task.start()
    waiting = operator(deferrable=True)
    with pytest.raises(TaskDeferred):
        waiting.execute(attempt.context)
    event = {"outcome": "error", "job_ids": [readings.jobs[0].id], "api_calls": 1}
    with pytest.raises(TransientError, match="triggerer"):
        waiting.execute_complete(attempt.context, event=event)
    assert readings.jobs[0].state in ("UploadComplete", "InProgress")


# --- soql_params ------------------------------------------------------------------------------------------------------


def test_values_are_bound_and_neither_shown_nor_stored(readings: LocalOrg, task: FakeTask) -> None:
    with DAG("extracts"):
        extract = BulkQueryOperator(
            task_id="extract",
            soql="SELECT External_Key__c FROM Reading__c WHERE External_Key__c IN :keys",
            soql_params={"keys": ["{{ key }}", "s3cr3t"]},
        )
    extract.render_template_fields({"key": "R-2"})  # type: ignore[typeddict-unknown-key]
    assert "R-2" not in str(extract.soql_params)
    attempt = task.start()
    assert attempt.run(extract) == [{"External_Key__c": "R-2"}]
    assert "plan" in str(task.states)
    assert "s3cr3t" not in str(task.states)


def test_the_filter_writes_a_literal_and_undefined_variables_are_errors(readings: LocalOrg, task: FakeTask) -> None:
    with DAG("extracts"):
        extract = BulkQueryOperator(
            task_id="extract", soql="SELECT Name FROM Reading__c WHERE Name = {{ name | soql_literal }}"
        )
        undefined = BulkQueryOperator(task_id="undefined", soql="SELECT {{ nothing }} FROM Reading__c")
    extract.render_template_fields({"name": "O'Hara"})  # type: ignore[typeddict-unknown-key]
    assert extract.soql == r"SELECT Name FROM Reading__c WHERE Name = 'O\'Hara'"
    assert task.start().run(extract) == []
    with pytest.raises(UndefinedError, match="nothing"):
        undefined.render_template_fields({})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"soql": "SELECT Id FROM Reading__c WHERE Name = :name", "soql_params": {}}, ":name"),
        ({"soql": "SELECT Id FROM Reading__c WHERE Name = :name"}, ":name"),
        ({"soql": "SELECT Id FROM Reading__c", "soql_params": {"name": "s3cr3t"}}, "has no :name"),
        ({"soql": "SELECT Id FROM Reading__c", "soql_params": ["s3cr3t"]}, "dict"),
    ],
)
def test_values_that_do_not_fit_the_query_send_nothing(
    arguments: dict[str, Any], match: str, org: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises(SourceError, match=match) as refused:
        task.start().run(operator(**arguments))
    assert "s3cr3t" not in str(refused.value)
    assert not org.calls
