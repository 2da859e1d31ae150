"""An extract that is disturbed and tried again: finished pages are taken over, and the folder is clean in the end."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import TaskDeferred
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import FencedError, ProtocolError, TransportError
from airflow_provider_sfbulk.client.protocol import retry
from airflow_provider_sfbulk.client.results.folder import LocalFolder
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask
from tests.provider.readings import SOQL, fill_readings, many

KEYS = [f"K-{n}" for n in range(25)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat without pausing."""
    monkeypatch.setattr(retry, "FIRST_DELAY_SECONDS", 0.001)


@pytest.fixture
def readings(org: LocalOrg, tmp_path: Path) -> LocalOrg:
    """25 rows; five pages of five."""
    fill_readings(org, tmp_path / "seed", many(25))
    org.core.page_records = 5
    return org


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def extract(out: Path, **arguments: Any) -> BulkQueryOperator:
    return BulkQueryOperator(
        **{
            "task_id": "extract",
            "soql": f"{SOQL} ORDER BY Count__c",
            "output_path": str(out),
            "page_records": 5,
            "max_concurrent_pages": 1,
            "deferrable": False,
            "retries": 2,
            **arguments,
        }
    )


def break_from(org: LocalOrg, page: int, *, typed: bool = False) -> None:
    """Let no page come from that one on, counted from 1; typed extracts read a page of one record before."""
    org.fault("query.results", "drop", when="after", call=page + typed, times=None)


def fail(task: FakeTask, org: LocalOrg, operator: BulkQueryOperator, *, page: int) -> None:
    """Run a try that gets all pages before the given one, and mend the line."""
    break_from(org, page, typed=operator.output_format != "csv")
    with pytest.raises(TransportError):
        task.start().run(operator)
    org.core.faults.clear()
    org.calls.clear()


def pages_read(org: LocalOrg) -> int:
    return sum("/results" in call.path for call in org.calls)


def created(org: LocalOrg) -> int:
    return sum(call.method == "POST" and "/jobs/query" in call.path for call in org.calls)


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def hidden(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith("_part"))


def check_whole(folder: Path, summary: dict[str, Any]) -> None:
    """Check that the folder holds every row once, and nothing but what the manifest names."""
    manifest = json.loads((folder / "_manifest.json").read_text(encoding="utf-8"))
    assert listing(folder) == {"_manifest.json", *(file["name"] for file in manifest["files"])}
    assert [file["uri"] for file in manifest["files"]] == summary["files"]
    assert [file["bytes"] for file in manifest["files"]] == [Path(uri).stat().st_size for uri in summary["files"]]
    assert summary["columns"] == manifest["columns"]
    keys: list[Any] = []
    for name in summary["files"]:
        text = b"" if name.endswith("parquet") else Path(name).read_bytes()
        if name.endswith("csv"):
            keys += [row["External_Key__c"] for row in csv.DictReader(text.decode().splitlines(keepends=True))]
        elif name.endswith("jsonl"):
            keys += [json.loads(line)["External_Key__c"] for line in text.splitlines()]
        else:
            keys += pq.read_table(name)["External_Key__c"].to_pylist()
    assert keys == KEYS
    assert summary["records"] == manifest["records"] == 25


# --- the rest only ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["csv", "parquet", "jsonl"])
def test_a_retry_reads_only_the_pages_that_are_missing(
    file_format: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    operator = extract(out, output_format=file_format)
    fail(task, readings, operator, page=4)
    before = {index: path.stat().st_mtime_ns for index, path in enumerate(hidden(out))}
    assert len(before) == 3
    summary = task.start().run(operator)
    check_whole(out, summary)
    written = [Path(name).stat().st_mtime_ns for name in summary["files"]]
    assert all(written[index] == time for index, time in before.items()), "a page was written again"
    calls = [re.sub(r"750\w+", "JOB", call.path.partition("/v66.0")[2]) for call in readings.calls]
    described = [] if file_format == "csv" else ["/sobjects/Reading__c/describe", "/sobjects/Account/describe"]
    assert calls == [
        "",  # the login
        "/jobs/query/JOB",  # is it still there
        "/jobs/query/JOB",  # is it done
        *described,
        "/jobs/query/JOB/results?locator=MTU&maxRecords=5",
        "/jobs/query/JOB/results?locator=MjA&maxRecords=5",
    ]


def test_pages_that_were_read_at_once_are_taken_over_too(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    operator = extract(out, max_concurrent_pages=3, page_records=10)
    fail(task, readings, operator, page=4)
    kept = len(hidden(out))
    assert kept == 3
    check_whole(out, task.start().run(operator))
    assert pages_read(readings) == 5 - kept


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("harm", ["removed", "shortened"])
@pytest.mark.parametrize("index", [0, 1])
def test_a_finished_page_whose_file_is_not_whole_is_read_again(
    index: int, harm: str, at_once: int, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    operator = extract(out, max_concurrent_pages=at_once, page_records=10 if at_once > 1 else 5)
    fail(task, readings, operator, page=4)
    file = hidden(out)[index]
    if harm == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-7])
    check_whole(out, task.start().run(operator))
    assert pages_read(readings) == 3


@pytest.mark.parametrize(
    "changed",
    [{"output_format": "jsonl"}, {"output_path": "elsewhere"}, {"page_records": 4}, {"max_concurrent_pages": 2}],
)
def test_other_files_are_begun_anew_from_the_same_job(
    changed: dict[str, Any], readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    fail(task, readings, extract(out), page=4)
    folder = out.parent / changed["output_path"] if "output_path" in changed else out
    summary = task.start().run(extract(out, **{**changed, "output_path": str(folder)}))
    check_whole(folder, summary)
    assert pages_read(readings) == (7 if changed.get("page_records") == 4 else 5)
    assert created(readings) == 0


@pytest.mark.parametrize("changed", [{"column_delimiter": "TAB"}, {"line_ending": "CRLF"}])
def test_another_dialect_is_another_query(
    changed: dict[str, str], readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    fail(task, readings, extract(out), page=4)
    summary = task.start().run(extract(out, **changed))
    header, *_ = Path(summary["files"][0]).read_bytes().splitlines(keepends=True)
    assert (b'"\t"' in header, header.endswith(b"\r\n")) == ("column_delimiter" in changed, "line_ending" in changed)
    assert (created(readings), pages_read(readings)) == (1, 5)


def test_a_column_that_was_widened_stays_so_for_the_retry(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    with readings.core.store.writing() as connection:
        connection.execute("UPDATE Reading__c SET Level__c = 0.123456789 WHERE External_Key__c = 'K-12'")
    operator = extract(out, output_format="parquet")
    fail(task, readings, operator, page=3 + 4)  # the third page does not fit; then all again, three more
    summary = task.start().run(operator)
    assert pages_read(readings) == 2
    check_whole(out, summary)
    (schema,) = {str(pq.read_schema(name).remove_metadata()) for name in summary["files"]}
    assert "Level__c: double" in schema
    assert pq.read_table(summary["files"][2])["Level__c"].to_pylist()[2] == 0.123456789


def test_a_column_whose_description_changed_is_typed_alike_in_all_pages(
    readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    operator = extract(out, output_format="parquet")
    fail(task, readings, operator, page=4)

    class Wider(Fault):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            return Response(bytes(response.body).replace(b'"scale":4', b'"scale":5'), media_type="application/json")

    readings.core.faults.add("data.describe", Wider())
    summary = task.start().run(operator)
    check_whole(out, summary)
    assert len({str(pq.read_schema(name)) for name in summary["files"]}) == 1


def test_a_task_whose_success_airflow_did_not_take_reads_anew(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    """Whether it is tried again or was cleared is not known, and reading anew is right in both cases."""
    first = task.start().run(extract(out))
    again = task.start().run(extract(out))
    check_whole(out, again)
    assert again["job_id"] != first["job_id"]


def test_a_clear_reads_a_new_job(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    fail(task, readings, extract(out), page=4)
    check_whole(out, task.start(cleared=True).run(extract(out)))
    assert (created(readings), pages_read(readings)) == (1, 5)


def test_pages_of_a_job_that_the_user_named_are_taken_over(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    job_id = FakeTask().start().run(extract(out, output_path=None, wait_for_completion=False))
    operator = extract(out, soql=None, job_id=job_id)
    fail(task, readings, operator, page=3)
    check_whole(out, task.start().run(operator))
    assert pages_read(readings) == 3
    check_whole(out, task.start(cleared=True).run(operator))
    assert pages_read(readings) == 8
    assert not [call for call in readings.calls if call.method in ("PATCH", "DELETE")], "the job is not this task's"


def submitted(out: Path, soql: str) -> str:
    job_id: str = FakeTask().start().run(extract(out, soql=soql, output_path=None, wait_for_completion=False))
    return job_id


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_retry_that_names_another_job_reads_that_one(
    file_format: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    wrong = submitted(out, "SELECT Name FROM Reading__c ORDER BY Count__c")
    right = submitted(out, f"{SOQL} ORDER BY Count__c")
    fail(task, readings, extract(out, soql=None, job_id=wrong, output_format=file_format), page=3)
    check_whole(out, task.start().run(extract(out, soql=None, job_id=right, output_format=file_format)))


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_one_try_may_read_several_jobs(file_format: str, readings: LocalOrg, task: FakeTask, out: Path) -> None:
    attempt = task.start()
    for soql in ("SELECT Name FROM Reading__c", f"{SOQL} ORDER BY Count__c"):
        operator = extract(out, soql=None, job_id=submitted(out, soql), output_format=file_format)
        summary = attempt.run(operator)
    check_whole(out, summary)


def test_pages_are_found_again_after_a_deferral(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    readings.core.job_seconds = 60
    waiting = extract(out, deferrable=True, poll_interval=0.05)
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(attempt.context)
    readings.advance(61)
    readings.wait_until_idle()
    break_from(readings, 4)
    with pytest.raises(TransportError):
        attempt.resume(extract(out, deferrable=True), deferred.value)
    assert len(hidden(out)) == 3
    readings.core.faults.clear()
    readings.calls.clear()
    check_whole(out, attempt.resume(extract(out, deferrable=True), deferred.value))
    assert pages_read(readings) == 2


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_that_is_gone_is_followed_by_one_whose_pages_are_all_read(
    readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    fail(task, readings, extract(out), page=4)
    (old,) = readings.jobs
    forget(readings, old.id)
    summary = task.start().run(extract(out))
    assert summary["job_id"] != old.id
    assert (created(readings), pages_read(readings)) == (1, 5)
    check_whole(out, summary)


def test_a_retry_of_the_job_that_followed_takes_over_its_pages_only(
    readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    operator = extract(out)
    fail(task, readings, operator, page=4)
    forget(readings, readings.jobs[0].id)
    break_from(readings, 2)
    with pytest.raises(TransportError):
        task.start().run(operator)
    readings.core.faults.clear()
    readings.calls.clear()
    check_whole(out, task.start().run(operator))
    assert (created(readings), pages_read(readings)) == (0, 4)


def forget(org: LocalOrg, job_id: str) -> None:
    """Delete a job, as Salesforce does after seven days."""
    entry = org.core.jobs.get(job_id)
    assert entry is not None
    org.core.jobs.remove(entry)


# --- what a killed try leaves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_an_unfinished_extract_is_not_seen_by_those_who_read_the_folder(
    file_format: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    operator = extract(out, output_format=file_format)
    fail(task, readings, operator, page=4)
    assert len(hidden(out)) == 3
    reader = ds.CsvFileFormat() if file_format == "csv" else ds.ParquetFileFormat()
    assert not ds.dataset(str(out), format=reader).files
    for pattern in (f"*.{file_format}", f"**/*.{file_format}", "part-*", "*/part-*"):
        assert not list(out.glob(pattern))


KILLED_TRY = """
import json, os, sys
from pathlib import Path

from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask, Try

base.FIRST_POLLS = (0.0, 0.05, 0.05, 0.1, 0.2)
states, arguments = Path(sys.argv[1]), json.loads(sys.argv[2])
task = FakeTask()
attempt = task.start()


class Kept(dict):
    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        states.write_text(json.dumps(self))


task.states = Kept()
states.with_suffix(".pid").write_text(str(os.getpid()))
attempt.run(BulkQueryOperator(**arguments))
"""


def test_a_process_that_is_killed_amid_a_page_is_followed_by_a_clean_extract(
    readings: LocalOrg, task: FakeTask, out: Path, tmp_path: Path
) -> None:
    states = tmp_path / "states.json"

    class Kill(Fault):
        async def body_of(self, chunks: Any) -> Any:
            sent = b"".join([chunk async for chunk in chunks])
            yield sent[: len(sent) // 2]
            while not list(out.glob("_part-*-00003.csv.*.part")):
                await asyncio.sleep(0.01)
            os.kill(int(states.with_suffix(".pid").read_text()), signal.SIGKILL)

        def body(self, exchange: Exchange, chunks: Any) -> Any:
            return self.body_of(chunks) if exchange.number == 4 else chunks

    readings.core.faults.add("query.results", Kill())
    names = ("task_id", "soql", "output_path", "page_records", "max_concurrent_pages", "deferrable", "retries")
    operator = extract(out)
    arguments = {name: getattr(operator, name) for name in names}
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_TRY, str(states), json.dumps(arguments)], check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    assert len(hidden(out)) == 4, "three whole pages, and what was being written"
    readings.core.faults.clear()
    readings.calls.clear()
    task.states = json.loads(states.read_text())
    task.current = 1
    check_whole(out, task.start().run(operator))
    assert pages_read(readings) == 2


@pytest.mark.parametrize("then", ["retry", "clear"])
@pytest.mark.parametrize("step", ["the first name", "the second name", "the manifest", "an old file", "the leftovers"])
def test_a_try_that_is_killed_while_it_shows_its_files_is_put_right(
    step: str, then: str, readings: LocalOrg, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakeTask().start().run(extract(out, page_records=8))  # an extract that lies there from yesterday
    (out / "notes.txt").write_text("mine")
    task = FakeTask()
    dying = extract(out)
    with monkeypatch.context() as patch:
        kill(patch, step)
        with pytest.raises(KeyboardInterrupt):
            task.start().run(dying)
    manifest = json.loads((out / "_manifest.json").read_text(encoding="utf-8"))
    there = {path.name: path.stat().st_size for path in out.iterdir()}
    assert {file["name"]: file["bytes"] for file in manifest["files"]}.items() <= there.items(), "the manifest is true"
    readings.calls.clear()
    summary = task.start(cleared=then == "clear").run(extract(out))
    (out / "notes.txt").unlink()
    check_whole(out, summary)
    assert pages_read(readings) == (5 if then == "clear" else 0)


def kill(patch: pytest.MonkeyPatch, step: str) -> None:
    """Let the process end as the n-th call of a method of the folder begins."""
    method, at = {
        "the first name": ("rename", 1),
        "the second name": ("rename", 2),
        "the manifest": ("create", 1 + 5 + 2),  # the claim of the folder at the start, and the one before showing
        "an old file": ("remove", 2 + 2),
        "the leftovers": ("sizes", 2 + 1 + 2 + 2),
    }[step]
    real, calls = getattr(LocalFolder, method), [0]

    def dying(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] >= at:
            raise KeyboardInterrupt
        return real(*arguments)

    patch.setattr(LocalFolder, method, dying)


def test_files_that_belong_to_no_extract_go_and_others_stay(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    gone = {
        "_part-7508d000003QaLpAAK-00001.csv.0123abcd",
        "_part-7508d000003QaLpAAK-00002.parquet.0123abcd.4321.part",
        "manifest.json.4321.part",
        "_publishing.json.4321.part",
    }
    stay = {"_part-mine.csv", "part-7508d000003QaLpAAK-00001.csv", "_SUCCESS", "notes.part", ".part", "data.1.part"}
    out.mkdir()
    for name in gone | stay:
        (out / name).write_text("")
    task.start().run(extract(out))
    found = listing(out)
    assert stay <= found
    assert not gone & found


def test_a_file_that_is_begun_removes_what_a_dead_process_left_of_it(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = {tmp_path / f"a[1].csv.{process}.part" for process in (dead.pid, os.getppid(), "x")}
    other = tmp_path / f"a1.csv.{dead.pid}.part"
    for path in (*left, other):
        path.write_bytes(b"")
    file = LocalFolder(tmp_path).create("a[1].csv")
    assert listing(tmp_path) == {
        f"a[1].csv.{os.getppid()}.part",  # may still be at work
        "a[1].csv.x.part",
        f"a[1].csv.{os.getpid()}.part",
        other.name,
    }
    file.discard()


# --- a try that was replaced ------------------------------------------------------------------------------------------


def test_a_try_that_was_replaced_reads_no_further_and_shows_nothing(
    readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    class Replaced(Fault):
        async def after(self, exchange: Exchange, response: Response) -> Response:
            if exchange.number == 3:
                task.start()
            return response

    readings.core.faults.add("query.results", Replaced())
    old = task.start()
    with pytest.raises(FencedError):
        old.run(extract(out))
    assert pages_read(readings) == 3
    assert len(hidden(out)) == len(listing(out)) == 3
    readings.calls.clear()
    check_whole(out, task.start().run(extract(out)))
    assert pages_read(readings) == 3, "the page that was not recorded counts as not read"


def test_a_try_that_is_replaced_after_its_last_page_shows_nothing(
    readings: LocalOrg, task: FakeTask, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = LocalFolder.sizes
    old = task.start()
    set_ = old.set

    def replaced(key: str, value: Any, **more: Any) -> None:
        if ".shown." in key:
            task.start()
        set_(key, value, **more)

    monkeypatch.setattr(old, "set", replaced)
    with pytest.raises(FencedError):
        old.run(extract(out))
    assert len(hidden(out)) == len(real(LocalFolder(out))) == 5


# --- pages that do not fit together -----------------------------------------------------------------------------------


class Tampered(Fault):
    """Change the headers of one page."""

    def __init__(self, number: int, **headers: str) -> None:
        self._number, self._headers = number, headers

    async def after(self, exchange: Exchange, response: Response) -> Response:
        if exchange.number == self._number:
            response.headers.update({name.replace("_", "-"): value for name, value in self._headers.items()})
        return response


@pytest.mark.parametrize("locator", ["NQ", "MjA", "null"], ids=["repeated", "skips a page", "ends too early"])
def test_a_retry_does_not_build_on_pages_that_did_not_fit_together(
    locator: str, readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    readings.core.faults.add("query.results", Tampered(3, sforce_locator=locator))
    with pytest.raises(ProtocolError, match=r"twice|the job counts 25"):
        task.start().run(extract(out))
    assert not [name for name in listing(out) if not name.startswith("_")]
    readings.calls.clear()
    check_whole(out, task.start().run(extract(out)))
    assert pages_read(readings) == 5


def test_a_wrong_header_row_of_the_first_page_is_not_kept_for_ever(
    readings: LocalOrg, task: FakeTask, out: Path
) -> None:
    class Renamed(Fault):
        async def body_of(self, chunks: Any) -> Any:
            sent = b"".join([chunk async for chunk in chunks])
            yield sent.replace(b'"Name"', b'"Eman"', 1)

        def body(self, exchange: Exchange, chunks: Any) -> Any:
            return self.body_of(chunks) if exchange.number == 1 else chunks

    readings.core.faults.add("query.results", Renamed())
    with pytest.raises(TransportError, match="header line"):
        task.start().run(extract(out))
    check_whole(out, task.start().run(extract(out)))


# --- what the ledger holds --------------------------------------------------------------------------------------------


def test_the_columns_are_kept_once_and_the_soql_not_at_all(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    task.start().run(extract(out, page_records=1))
    pages = [value for key, value in task.states.items() if key.rpartition(".")[2].isdigit() and "locator" in value]
    assert len(pages) == 25
    assert len(json.dumps(pages)) / 25 < 400
    assert json.dumps(task.states).count("External_Key__c") == 1


def test_the_ledger_holds_no_rows(readings: LocalOrg, task: FakeTask, out: Path) -> None:
    task.start().run(extract(out, output_format="parquet"))
    assert "Ελλάδα" not in json.dumps(task.states, ensure_ascii=False)
    assert "K-" not in json.dumps(task.states)
