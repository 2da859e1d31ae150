"""Loads by Bulk API 1.0, and the serial job that comes after the locks: the operator against the local org."""

from __future__ import annotations

import asyncio
import csv
import json
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import FailedRecordsError, InputChangedError, JobFailedError, SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk1.jobs import JobState
from airflow_provider_sfbulk.local_org.faults import Exchange
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from tests.client.bulk1.conftest import LostReply, LostRequest, Once
from tests.client.bulk1.failing import fail_next_batch
from tests.examples import examples
from tests.provider.conftest import DyingTry, FakeTask, Killed


def rows(count: int = 25) -> list[dict[str, Any]]:
    return [{"Name": f"Account {n}", "External_Key__c": f"K-{n}", "NumberOfEmployees": n} for n in range(count)]


def load(source: Any, **arguments: Any) -> BulkIngestOperator:
    defaults: dict[str, Any] = {
        **{"task_id": "task", "sobject": "Account", "operation": "insert", "source": source, "api": "1.0"},
        **{"part_records": 10, "deferrable": True, "retries": 2},
    }
    return BulkIngestOperator(**{**defaults, **arguments})


def stored(org: LocalOrg, sobject: str = "Account", field: str = "External_Key__c") -> Counter[str]:
    org.wait_until_idle()
    return Counter(record[field] for record in org.records(sobject))


def keys(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(record["External_Key__c"] for record in records)


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def batches(org: LocalOrg) -> list[list[int]]:
    """The records processed of each batch, by job."""
    return [[each.batch.processed for each in entry.batches.values()] for entry in org.core.bulk1]


def counts(summary: dict[str, Any]) -> dict[str, int]:
    return {kind: summary[kind] for kind in ("processed", "successful", "failed", "unprocessed")}


# --- what arrives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Parallel", "Serial"])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_load_arrives_in_batches_of_one_job(mode: str, deferrable: bool, org: LocalOrg, task: FakeTask) -> None:
    summary = task.start().run(load(rows(), concurrency_mode=mode, deferrable=deferrable))
    assert stored(org) == keys(rows())
    (job,) = org.bulk1_jobs
    assert (str(job.concurrency_mode), job.state) == (mode, JobState.CLOSED)
    assert batches(org) == [[10, 10, 5]]
    assert summary["job_ids"] == [job.id]
    assert counts(summary) == {"processed": 25, "successful": 25, "failed": 0, "unprocessed": 0}
    assert org.jobs == [], "no job of Bulk API 2.0"


@pytest.mark.parity("K2.5", "G1.1", "G4.19")
def test_every_operation_goes_by_it(org: LocalOrg) -> None:
    org.core.hard_delete = True

    def run(operation: str, records: list[dict[str, Any]], **arguments: Any) -> None:
        summary = FakeTask().start().run(load(records, operation=operation, **arguments))
        assert summary["successful"] == len(records)

    run("insert", rows(4))
    run(
        "upsert",
        [{"External_Key__c": f"K-{n}", "Name": f"New {n}"} for n in range(6)],
        external_id_field="External_Key__c",
    )
    by_key = {record["External_Key__c"]: record for record in org.records("Account")}
    assert sorted(record["Name"] for record in by_key.values()) == [f"New {n}" for n in range(6)]
    run("update", [{"Id": by_key["K-0"]["Id"], "Name": "Updated"}])
    assert next(each["Name"] for each in org.records("Account") if each["External_Key__c"] == "K-0") == "Updated"
    run("delete", [{"Id": by_key["K-0"]["Id"]}])
    run("hardDelete", [{"Id": by_key["K-1"]["Id"]}])
    assert stored(org) == Counter([f"K-{n}" for n in range(2, 6)])
    assert {record["External_Key__c"] for record in org.records("Account", include_deleted=True)} == {
        f"K-{n}" for n in (0, 2, 3, 4, 5)
    }


@pytest.mark.parity("G7.8")
def test_results_are_the_same_files_as_by_2_0(org: LocalOrg, tmp_path: Path) -> None:
    records = rows()
    for bad in (3, 17, 24):
        records[bad]["Name"] = ""
    found: dict[str, tuple[Any, Any, Any]] = {}
    for api in ("1.0", "2.0"):
        with org.core.store.writing() as connection:
            connection.execute("DELETE FROM Account")
        folder = tmp_path / api
        task = FakeTask().start()
        summary = task.run(load(records, api=api, results_path=str(folder), max_failed_records=3))
        files = {
            kind: sorted(
                [
                    {name: value for name, value in row.items() if name != "sf__Id"}
                    for row in read(folder / f"{kind}.csv")
                ],
                key=lambda row: int(row["sf__Row"]),
            )
            for kind in ("successful", "failed", "unprocessed")
        }
        manifest = json.loads((folder / "_manifest.json").read_text())
        found[api] = ({**counts(summary), "errors": summary["errors"]}, files, manifest["counts"])
    assert found["1.0"] == found["2.0"]
    assert [row["sf__Row"] for row in found["1.0"][1]["failed"]] == ["4", "18", "25"]
    assert len(found["1.0"][1]["successful"]) == 22


def test_a_job_is_named_once_however_many_of_its_batches_have_failures(org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(FailedRecordsError, match=r"25 of 25 in job \w+\. Set results_path"):
        task.start().run(load([{**row, "Name": ""} for row in rows()]))


def test_failed_rows_fail_the_task_and_a_clear_sends_them_again(org: LocalOrg, task: FakeTask) -> None:
    records = rows()
    records[3]["Name"] = ""
    operator = load(records)
    with pytest.raises(FailedRecordsError, match="REQUIRED_FIELD_MISSING 1") as caught:
        task.start().run(operator)
    assert "K-3" not in str(caught.value)
    with pytest.raises(FailedRecordsError):
        task.start(cleared=True).run(operator)
    assert batches(org) == [[10, 10, 5], [1]]
    del records[3]
    assert stored(org) == keys(records)


def test_the_limits_of_a_batch_are_kept(org: LocalOrg, task: FakeTask) -> None:
    count = limits.BATCH_RECORDS + 1
    summary = task.start().run(load(rows(count), part_records=limits.RECORDS_PER_DAY))
    assert summary["successful"] == count
    assert batches(org) == [[limits.BATCH_RECORDS, 1]]
    long = [{"Name": "x", "Description": "y" * (limits.FIELD_CHARACTERS + 1)}]
    with pytest.raises((SourceError, AirflowFailException), match=f"{limits.FIELD_CHARACTERS:,}"):
        FakeTask().start().run(load(long))
    assert len(org.bulk1_jobs) == 1


@pytest.mark.long
def test_a_hundred_thousand_records_go_by_a_serial_job(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write("Name,External_Key__c\n")
        file.writelines(f"Account {n},K-{n}\n" for n in range(100_000))
    operator = load(str(path), concurrency_mode="Serial", part_records=limits.BATCH_RECORDS)
    assert counts(task.start().run(operator)) == {
        **{"processed": 100_000, "successful": 100_000},
        **{"failed": 0, "unprocessed": 0},
    }
    assert len(stored(org)) == 100_000
    assert batches(org) == [[limits.BATCH_RECORDS] * 10]


# --- what stops it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"api": "3.0"}, "api must be one of 2.0, 1.0, not '3.0'"),
        ({"api": "2.0", "concurrency_mode": "Serial"}, "concurrency_mode=.Serial. needs api='1.0'"),
        ({"concurrency_mode": "serially"}, "concurrency_mode"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(
    arguments: dict[str, Any], message: str, org: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises((SourceError, AirflowFailException), match=message):
        task.start().run(load(rows(), **arguments))
    assert org.bulk1_jobs == []
    assert org.jobs == []


@pytest.mark.parametrize("delimiter", list(ColumnDelimiter))
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parity("G9.2")
def test_a_file_with_other_delimiters_goes_with_commas(
    delimiter: ColumnDelimiter, ending: str, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    awkward = ["plain", "a,b", ",", f"in{delimiter.character}quotes", 'with "quotes", too', "two\nlines", "end,"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter.character, lineterminator=ending)
        writer.writerow(["Name", "External_Key__c", "Description"])
        writer.writerows([[text, f"K-{n}", text[::-1]] for n, text in enumerate(awkward)])
    arguments = {"part_records": 3, "line_ending": "LF", "column_delimiter": delimiter}
    assert task.start().run(load(str(path), **arguments))["successful"] == len(awkward)
    org.wait_until_idle()
    found = {each["External_Key__c"]: (each["Name"], each["Description"]) for each in org.records("Account")}
    assert found == {f"K-{n}": (text, text[::-1]) for n, text in enumerate(awkward)}


def test_a_person_s_kill_aborts_the_job(org: LocalOrg, task: FakeTask, ended: Callable[..., None]) -> None:
    org.core.job_seconds = 3600.0
    attempt = task.start()
    ended(attempt, "failed")
    operator = load(rows())
    with pytest.raises(TaskDeferred) as deferral:
        attempt.run_once(operator)
    trigger = deferral.value.trigger
    trigger.task_instance = attempt
    asyncio.run(trigger.on_kill())
    assert [job.state for job in org.bulk1_jobs] == [JobState.ABORTED]


def test_a_sensor_waits_for_jobs_that_were_submitted_before(org: LocalOrg, task: FakeTask) -> None:
    job_ids = task.start().run(load(rows(), wait_for_completion=False))
    sensor = BulkJobSensor(task_id="sense", job_ids=job_ids, api="1.0", deferrable=True, poke_interval=0.1)
    (told,) = FakeTask().start().run(sensor)
    assert (told["state"], told["number_records_processed"]) == ("JobComplete", 25)
    assert stored(org) == keys(rows())


# --- once -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
def test_wherever_a_try_dies_the_next_brings_every_row_once(after: bool, org: LocalOrg, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    deaths = 0
    for write in range(1, 40):
        records = [{**row, "External_Key__c": f"{write}-{row['External_Key__c']}"} for row in rows()]
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(records[0]))
            writer.writeheader()
            writer.writerows(records)
        operator, task = load(str(path), deferrable=False), FakeTask()
        try:
            DyingTry(task, write, after=after).run(operator)
        except Killed:
            deaths += 1
        else:
            break
        summary = task.start().run(operator)
        assert summary["successful"] == 25
        mine = Counter({key: n for key, n in stored(org).items() if key.startswith(f"{write}-")})
        assert mine == keys(records), f"killed at write {write}"
    assert deaths >= 8, "the plan, the decision, the job, three batches, the end"


@settings(max_examples=examples(6), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 40),
    part_records=st.integers(1, 12),
    deferrable=st.booleans(),
    mode=st.sampled_from(["Serial", "Parallel"]),
    lost=st.dictionaries(
        st.sampled_from(["bulk1.create", "bulk1.add_batch", "bulk1.change", "bulk1.request", "bulk1.batches"]),
        st.tuples(st.sampled_from([LostReply, LostRequest]), st.integers(1, 8)),
    ),
    deaths=st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=5),
)
def test_whatever_dies_or_is_lost_every_row_is_there_once(
    count: int,
    part_records: int,
    deferrable: bool,
    mode: str,
    lost: dict[str, tuple[Any, int]],
    deaths: list[tuple[int, bool]],
    org: LocalOrg,
) -> None:
    org.core.faults.clear()
    before = stored(org)
    for route, (fault, call) in lost.items():
        org.core.faults.add(route, fault(call))
    records = [{**row, "External_Key__c": f"{len(before)}-{row['External_Key__c']}"} for row in rows(count)]
    operator = load(records, deferrable=deferrable, part_records=part_records, concurrency_mode=mode)
    task, summary = FakeTask(), None
    for write, after in deaths:
        with suppress(Killed):
            summary = DyingTry(task, write, after=after).run(operator)
            break
    summary = summary or task.start().run(operator)
    assert summary["successful"] == count
    assert stored(org) - before == keys(records)


@pytest.mark.parametrize("fault", [LostReply, LostRequest])
@pytest.mark.parametrize("route", ["bulk1.create", "bulk1.add_batch", "bulk1.change", "bulk1.result"])
def test_a_lost_reply_or_request_changes_nothing(
    route: str, fault: Any, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    struck = fault(1, 2)
    org.core.faults.add(route, struck)
    summary = task.start().run(load(rows(), results_path=tmp_path))
    assert struck.seen >= 2
    assert summary["successful"] == 25
    assert stored(org) == keys(rows())


def test_a_retry_with_another_input_sends_nothing_more(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("Name,External_Key__c\n" + "".join(f"A{n},K-{n}\n" for n in range(25)))
    operator = load(str(path))
    with pytest.raises(Killed):
        DyingTry(task, 6, after=True).run(operator)
    sent = batches(org)
    path.write_text("Name,External_Key__c\n" + "".join(f"B{n},K-{n}\n" for n in range(25)))
    with pytest.raises((InputChangedError, AirflowFailException)):
        task.start().run(operator)
    org.wait_until_idle()
    assert [len(each) for each in batches(org)] == [len(each) for each in sent] == [1]


class Expire(Once):
    """The session ends when the call comes."""

    def __init__(self, org: LocalOrg, number: int) -> None:
        super().__init__(number)
        self._org = org

    async def before(self, exchange: Exchange) -> Response | None:
        if self.is_due():
            self._org.expire_tokens()
        return None


@pytest.mark.parametrize("number", range(1, 9))
def test_a_session_that_ends_in_the_middle_is_renewed(number: int, org: LocalOrg, task: FakeTask) -> None:
    org.core.faults.add("bulk1.*", Expire(org, number))
    assert task.start().run(load(rows()))["successful"] == 25
    assert stored(org) == keys(rows())


@pytest.mark.parity("G6.12")
def test_batches_that_never_ran_are_sent_by_the_next_try(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 3600.0
    operator, attempt = load(rows(), concurrency_mode="Serial"), task.start()
    with pytest.raises(TaskDeferred) as deferral:
        attempt.run_once(operator)
    (job,) = org.bulk1_jobs
    with operator.hook.get_conn() as client:
        client.bulk1.abort(job.id)
    org.advance(3600.0)  # if the first batch has begun, it ends
    with pytest.raises(JobFailedError):
        attempt.resume(operator, deferral.value)
    org.core.job_seconds = 0.0
    assert task.start().run(operator)["successful"] == 25
    assert stored(org) == keys(rows())
    assert batches(org) in ([[0, 0, 0], [10, 10, 5]], [[10, 0, 0], [10, 5]])


@pytest.mark.parity("G6.14", "G7.6", "G5.4")
def test_a_batch_that_fails_partly_tells_which_records_are_saved_and_the_rest_goes_again(
    org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = rows()
    records[3]["Name"] = ""
    fail_next_batch(monkeypatch, after=6)
    operator = load(records, results_path=str(tmp_path))
    with pytest.raises(JobFailedError, match="4 records were not processed: a retry"):
        task.start().run(operator)
    assert [row["sf__Row"] for row in read(tmp_path / "unprocessed.csv")] == ["7", "8", "9", "10"]
    assert [(row["sf__Row"], row["sf__ErrorCode"]) for row in read(tmp_path / "failed.csv")] == [
        ("4", "REQUIRED_FIELD_MISSING")
    ]
    with pytest.raises(FailedRecordsError, match="1 of 25 records failed") as caught:
        task.start().run(operator)
    assert "load that file in another run" in str(caught.value)
    del records[3]
    assert stored(org) == keys(records)


def test_when_no_batch_was_processed_the_next_try_loads_the_input_as_it_finds_it(
    org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("Name,External_Key__c\nWrong,K-0\n")
    fail_next_batch(monkeypatch, after=0)
    with pytest.raises(JobFailedError, match="1 records were not processed"):
        task.start().run(load(str(source)))
    source.write_text("Name,External_Key__c\nRight,K-1\n")
    assert task.start().run(load(str(source)))["successful"] == 1
    assert stored(org) == Counter(["K-1"])


def test_no_record_that_may_be_saved_is_sent_again_or_advised_to_be(
    org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_next_batch(monkeypatch, after=4, results=lambda _: None)
    operator = load(rows(), results_path=str(tmp_path), retry_codes=["BATCH_FAILED_PARTLY"])
    for cleared in (False, False, True):
        with pytest.raises(FailedRecordsError, match="BATCH_FAILED_PARTLY 10") as caught:
            task.start(cleared=cleared).run(operator)
        assert "does not say whether 10 of them (BATCH_FAILED_PARTLY) were saved: compare these" in str(caught.value)
        assert "another run" not in str(caught.value)
    assert len(stored(org)) == 19
    assert {row["sf__ErrorCode"] for row in read(tmp_path / "failed.csv")} == {"BATCH_FAILED_PARTLY"}


# --- the serial job after the locks -----------------------------------------------------------------------------------


@pytest.fixture
def parents(org: LocalOrg) -> list[str]:
    """Three accounts."""
    FakeTask().start().run(load([{"Name": f"Parent {n}"} for n in range(3)], api="2.0"))
    return [record["Id"] for record in sorted(org.records("Account"), key=lambda each: each["Name"])]


def children(parents: list[str], count: int = 9) -> list[dict[str, str]]:
    return [{"LastName": f"Child {n}", "AccountId": parents[n % len(parents)]} for n in range(count)]


def fallback(source: Any, **arguments: Any) -> BulkIngestOperator:
    defaults = {"sobject": "Contact", "api": "2.0", "serial_fallback": True, "max_record_retries": 1}
    return load(source, **{**defaults, **arguments})


@pytest.mark.parity("G15.6")
def test_rows_that_stay_locked_go_by_one_serial_job(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    records = children(parents)
    org.contend(parents[1])
    summary = task.start().run(fallback(records, results_path=str(tmp_path)))
    assert stored(org, "Contact", "LastName") == Counter(row["LastName"] for row in records)
    assert (summary["successful"], summary["failed"]) == (9, 0)
    assert [str(job.concurrency_mode) for job in org.bulk1_jobs] == ["Serial"]
    assert batches(org) == [[3]]
    saved = read(tmp_path / "successful.csv")
    assert sorted((int(row["sf__Row"]), row["LastName"]) for row in saved) == [
        (n, row["LastName"]) for n, row in enumerate(records, start=1)
    ]
    manifest = json.loads((tmp_path / "_manifest.json").read_text())
    assert [(each["round"], each["records"]) for each in manifest["jobs"]] == [(0, 9), (1, 3), (2, 3)]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("staged", [False, True])
def test_locked_rows_of_a_file_without_commas_go_by_the_serial_job_too(
    delimiter: str, staged: bool, org: LocalOrg, parents: list[str], tmp_path: Path
) -> None:
    records = children(parents)
    records[4]["LastName"] = "Child, the 4th"
    path = tmp_path / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    org.contend(parents[1])
    arguments = {"results_path": str(tmp_path / "out"), "staging_path": str(tmp_path / "kept") if staged else None}
    summary = FakeTask().start().run(fallback(str(path), part_records=5, **arguments))
    assert stored(org, "Contact", "LastName") == Counter(row["LastName"] for row in records)
    assert (summary["successful"], summary["failed"]) == (9, 0)
    assert batches(org) == [[3]]
    saved = read(tmp_path / "out" / "successful.csv")
    assert sorted((int(row["sf__Row"]), row["LastName"]) for row in saved) == [
        (n, row["LastName"]) for n, row in enumerate(records, start=1)
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sort_by": ["AccountId"]}, "sort_by must be the name of a column"),
        ({"sort_by": "Nothing"}, "there is no column Nothing"),
        ({"key_columns": "LastName"}, "key_columns must be a list of names"),
        ({"retry_codes": "UNABLE_TO_LOCK_ROW"}, "retry_codes must be a list of names"),
        ({"max_record_retries": "1"}, "max_record_retries must be a whole number"),
        ({"max_failed_records": "1"}, "max_failed_records must be a whole number"),
        ({"results_format": "xlsx"}, "results_format"),
    ],
)
def test_what_only_a_later_round_would_refuse_is_refused_before_the_first_job(
    arguments: dict[str, Any], message: str, org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    org.contend(parents[1])
    jobs = len(org.jobs)
    with pytest.raises((SourceError, AirflowFailException), match=message):
        task.start().run(fallback(children(parents), results_path=str(tmp_path), **arguments))
    assert [job.state for job in org.jobs[jobs:]] in ([], ["Aborted"]), "nothing was closed"
    assert org.bulk1_jobs == []


def test_without_the_user_s_word_there_is_no_serial_job(org: LocalOrg, task: FakeTask, parents: list[str]) -> None:
    org.contend(parents[1])
    with pytest.raises(FailedRecordsError, match="UNABLE_TO_LOCK_ROW 3"):
        task.start().run(fallback(children(parents), serial_fallback=False))
    assert org.bulk1_jobs == []


def test_a_lock_that_the_serial_job_meets_too_fails_the_task(org: LocalOrg, task: FakeTask, parents: list[str]) -> None:
    org.hold(parents[1])
    with pytest.raises(FailedRecordsError, match="UNABLE_TO_LOCK_ROW 3"):
        task.start().run(fallback(children(parents)))
    assert len(org.bulk1_jobs) == 1
    org.release(parents[1])
    assert task.start().run(fallback(children(parents)))["successful"] == 9
    assert len(stored(org, "Contact", "LastName")) == 9


def test_a_round_whose_upload_to_a_job_of_2_0_was_cut_off_may_go_by_the_serial_job(
    org: LocalOrg, parents: list[str]
) -> None:
    records, task = children(parents), FakeTask()
    org.contend(parents[0])
    with pytest.raises(Killed):
        DyingTry(task, 5, after=True).run(fallback(records, deferrable=False))
    assert "sfbulk.try1.1.0" in task.states, "a part of round 1 is uploaded"
    assert "sfbulk.try1.end.1" not in task.states, "the round is not decided"
    assert task.start().run(fallback(records, max_record_retries=0))["successful"] == 9
    assert stored(org, "Contact", "LastName") == Counter(row["LastName"] for row in records)
    assert batches(org) == [[3]]


@pytest.mark.parametrize("after", [pytest.param(False, marks=pytest.mark.long), True])
def test_wherever_a_try_with_a_serial_job_dies_the_next_brings_every_row_once(after: bool, org: LocalOrg) -> None:
    FakeTask().start().run(load([{"Name": f"Parent {n}"} for n in range(3)], api="2.0"))
    parents = [record["Id"] for record in org.records("Account")]
    org.contend(parents[0])
    deaths = 0
    for write in range(1, 40):
        records = [{**row, "LastName": f"{write}-{row['LastName']}"} for row in children(parents)]
        operator, task = fallback(records, deferrable=False, part_records=5), FakeTask()
        try:
            DyingTry(task, write, after=after).run(operator)
        except Killed:
            deaths += 1
        else:
            break
        assert task.start().run(operator)["successful"] == 9
        found = stored(org, "Contact", "LastName")
        assert Counter({name: n for name, n in found.items() if name.startswith(f"{write}-")}) == Counter(
            row["LastName"] for row in records
        ), f"killed at write {write}"
    assert deaths >= 10, "two rounds by 2.0, one by 1.0, the end"
