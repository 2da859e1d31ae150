"""Records that are sent again: after locks, after jobs that ended early, after a clear; and what is never sent again."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pytest_mock import MockerFixture

from airflow_provider_sfbulk.client.errors import (
    FailedRecordsError,
    InputChangedError,
    JobFailedError,
    JobTimeoutError,
    SourceError,
)
from airflow_provider_sfbulk.client.parts import temporary
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2 import csv_in
from airflow_provider_sfbulk.local_org.data import columns
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.buckets import BUCKET
from tests.provider.conftest import FakeTask


@pytest.fixture
def parents(org: LocalOrg) -> list[str]:
    """Three accounts."""
    operator = BulkIngestOperator(
        task_id="parents",
        sobject="Account",
        operation="insert",
        source=[{"Name": f"Parent {number}"} for number in range(3)],
        retries=2,
    )
    FakeTask().start().run(operator)
    return [record["Id"] for record in sorted(org.records("Account"), key=lambda each: each["Name"])]


def load(rows: Any, **kwargs: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        task_id="task",
        sobject="Contact",
        operation="insert",
        source=rows,
        retries=2,
        **{"deferrable": True, "poll_interval": 0.05, **kwargs},
    )


def children(parents: list[str], count: int = 9) -> list[dict[str, str]]:
    return [{"LastName": f"Child {n}", "AccountId": parents[n % len(parents)]} for n in range(count)]


def stored(org: LocalOrg) -> Counter[str]:
    return Counter(record["LastName"] for record in org.records("Contact"))


def names(rows: list[dict[str, str]]) -> Counter[str]:
    return Counter(row["LastName"] for row in rows)


def jobs_made(org: LocalOrg) -> int:
    return sum(call.method == "POST" and call.path.endswith("/jobs/ingest") for call in org.calls)


def rows_of(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def uploads(org: LocalOrg) -> Iterator[list[str]]:
    """Lines of every upload, oldest job first, without the header."""
    for entry in org.core.jobs:
        yield org.core.jobs.upload_path(entry.job).read_text().splitlines()[1:]


def test_rows_that_met_a_lock_are_sent_again_in_the_same_try_and_only_they(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    rows = children(parents)
    org.hold(parents[1], batches=2)
    result = task.start().run(load(rows, results_path=tmp_path))
    assert stored(org) == names(rows)
    assert (result["successful"], result["failed"], result["errors"]) == (9, 0, {})
    assert len(result["job_ids"]) == 3
    assert [len(lines) for lines in uploads(org)][1:] == [9, 3, 3]
    saved = rows_of(tmp_path / "successful.csv")
    assert sorted((int(row["sf__Row"]), row["LastName"]) for row in saved) == [
        (number, row["LastName"]) for number, row in enumerate(rows, start=1)
    ]
    assert rows_of(tmp_path / "failed.csv") == []
    manifest = json.loads((tmp_path / "_manifest.json").read_text())
    assert [(job["round"], job["records"]) for job in manifest["jobs"]] == [(0, 9), (1, 3), (2, 3)]
    assert manifest["counts"] == {"successful": 9, "failed": 0, "unprocessed": 0}


def test_a_lock_that_stays_fails_the_task_after_so_many_rounds_and_a_retry_tries_as_often(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    rows = children(parents)
    org.hold(parents[0])
    operator = load(rows, max_record_retries=2)
    with pytest.raises(FailedRecordsError, match="UNABLE_TO_LOCK_ROW 3"):
        task.start().run(operator)
    assert jobs_made(org) == 1 + 1 + 2
    org.release(parents[0])
    result = task.start().run(operator)
    assert result["successful"] == 9
    assert stored(org) == names(rows)
    assert jobs_made(org) == 1 + 1 + 2 + 1


def test_no_round_is_made_when_the_user_wants_none(org: LocalOrg, task: FakeTask, parents: list[str]) -> None:
    org.hold(parents[0])
    for arguments in ({"max_record_retries": 0}, {"retry_codes": []}):
        with pytest.raises(FailedRecordsError):
            FakeTask().start().run(load(children(parents), **arguments))
    assert jobs_made(org) == 1 + 2


def test_a_record_that_fails_for_good_is_not_sent_again_by_a_retry_but_by_a_clear(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    rows = [*children(parents, 4), {"LastName": "", "AccountId": parents[0]}]
    operator = load(rows, results_path=tmp_path)
    with pytest.raises(FailedRecordsError, match="1 of 5"):
        task.start().run(operator)
    with pytest.raises(FailedRecordsError, match="1 of 5"):
        task.start().run(operator)
    assert jobs_made(org) == 2
    (failed,) = rows_of(tmp_path / "failed.csv")
    assert (failed["sf__Row"], failed["sf__ErrorCode"]) == ("5", "REQUIRED_FIELD_MISSING")
    with pytest.raises(FailedRecordsError, match="1 of 5"):
        task.start(cleared=True).run(operator)
    assert jobs_made(org) == 3
    assert [len(lines) for lines in uploads(org)][1:] == [5, 1]
    assert stored(org) == names(rows[:4])
    (failed,) = rows_of(tmp_path / "failed.csv")
    assert failed["sf__Row"] == "5"
    assert len(rows_of(tmp_path / "successful.csv")) == 4


def test_after_a_success_with_failed_records_a_clear_begins_a_new_load(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    rows = [*children(parents, 2), {"LastName": "", "AccountId": parents[0]}]
    operator = load(rows, max_failed_records=1)
    task.start().run(operator)
    task.start(cleared=True).run(operator)
    assert stored(org) == Counter({"Child 0": 2, "Child 1": 2})


def test_rows_are_ordered_by_the_parent_when_they_are_sent_again(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    rows = [{"Last": f"Child {n}", "Parent": parents[n % 3]} for n in range(12)]
    for parent in parents:
        org.hold(parent, batches=1)
    task.start().run(
        load(rows, column_mapping={"Last": "LastName", "Parent": "AccountId"}, sort_by="Parent", max_record_retries=1)
    )
    again = list(uploads(org))[2]
    assert [line.partition(",")[2] for line in again] == sorted(row["Parent"] for row in rows)
    assert stored(org) == Counter(row["Last"] for row in rows)


@pytest.mark.parametrize("argument", ["sort_by", "key_columns"])
def test_a_column_that_is_not_there_is_refused_before_anything_is_sent(
    org: LocalOrg, task: FakeTask, argument: str
) -> None:
    value: Any = "Nowhere__c" if argument == "sort_by" else ["Nowhere__c"]
    with pytest.raises(SourceError, match="Nowhere__c"):
        task.start().run(load([{"LastName": "A"}], **{argument: value}))
    assert jobs_made(org) == 0


@pytest.fixture
def small_batches(org: LocalOrg) -> None:
    """Jobs of several batches with few rows."""
    org.core.batch_records = 2


def test_rows_that_a_failed_job_left_are_sent_by_the_next_try(
    org: LocalOrg,
    task: FakeTask,
    parents: list[str],
    tmp_path: Path,
    small_batches: None,
) -> None:
    rows = children(parents)
    org.fail_jobs(after_batches=2, error_message="ExceededQuota : ApiBatchItems Limit exceeded")
    operator = load(rows, results_path=tmp_path)
    with pytest.raises(JobFailedError, match=r"ExceededQuota.*5 records were not processed.*retry"):
        task.start().run(operator)
    assert sum(stored(org).values()) == 4
    assert len(rows_of(tmp_path / "unprocessed.csv")) == 5
    result = task.start().run(operator)
    assert stored(org) == names(rows)
    assert (result["successful"], result["unprocessed"]) == (9, 0)
    assert not (tmp_path / "unprocessed.csv").exists()
    assert sorted(int(row["sf__Row"]) for row in rows_of(tmp_path / "successful.csv")) == list(range(1, 10))


def test_rows_that_an_aborted_job_left_are_sent_by_the_next_try(
    org: LocalOrg, task: FakeTask, parents: list[str], small_batches: None
) -> None:
    rows = children(parents)
    org.core.job_seconds = 100.0
    operator = load(rows, deferrable=False, poll_interval=0.01, timeout=0.2)
    with pytest.raises(TimeoutError):
        task.start().run(operator)
    org.advance(50)
    job_id = org.jobs[-1].id
    with operator.hook.get_conn() as client:
        while not client.ingest.get_job(job_id).processed:
            assert not client.ingest.get_job(job_id).is_final
        client.ingest.abort(job_id)
    org.core.job_seconds = 0.0
    assert 0 < sum(stored(org).values()) < 9
    result = task.start().run(operator)
    assert stored(org) == names(rows)
    assert result["successful"] == 9


def test_a_job_that_fails_for_its_header_is_not_sent_again_by_a_retry_and_a_clear_loads_the_mended_input(
    org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("LastName\nA\n")
    operator = load(str(source))

    def refuse(*_: Any, **__: Any) -> Any:
        raise csv_in.JobFailedError("InvalidBatch : Field name not found : LastName")

    with monkeypatch.context() as patch:
        patch.setattr("airflow_provider_sfbulk.local_org.data.columns.plan", refuse)
        with pytest.raises(AirflowFailException, match="Field name not found") as caught:
            task.start().run(operator)
    assert isinstance(caught.value, JobFailedError)
    source.write_text("LastName\nB\n")
    result = task.start(cleared=True).run(operator)
    assert result["successful"] == 1
    assert stored(org) == Counter({"B": 1})


def test_a_load_whose_rows_are_refused_when_they_go_again_begins_anew_if_nothing_was_processed(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("LastName\nA\n")
    operator = load(str(source))
    org.fail_jobs()
    with pytest.raises(JobFailedError, match="1 records were not processed"):
        task.start().run(operator)
    org.fail_jobs(error_message="InvalidBatch : Field name not found : LastName")
    with pytest.raises(AirflowFailException, match=r"Nothing was processed\. Correct the input"):
        task.start().run(operator)
    source.write_text("LastName\nB\n")
    assert task.start(cleared=True).run(operator)["successful"] == 1
    assert stored(org) == Counter({"B": 1})


def test_when_the_org_is_fixed_a_clear_sends_the_rows_of_the_one_job_that_was_refused(
    org: LocalOrg, task: FakeTask, mocker: MockerFixture
) -> None:
    rows = [{"LastName": f"Child {number}"} for number in range(4)]
    seen: list[int] = []

    def refuse_the_second(*given: Any, **named: Any) -> Any:
        seen.append(1)
        if len(seen) == 2:
            raise csv_in.JobFailedError("InvalidBatch : Field name not found : LastName")
        return plan(*given, **named)

    plan = columns.plan
    mocker.patch.object(columns, "plan", refuse_the_second)
    operator = load([dict(row) for row in rows], part_records=2, max_concurrent_jobs=1)
    with pytest.raises(AirflowFailException, match="Field name not found"):
        task.start().run(operator)
    assert sum(stored(org).values()) == 2
    result = task.start(cleared=True).run(operator)
    assert (result["successful"], result["failed"], result["unprocessed"]) == (4, 0, 0)
    assert stored(org) == names(rows)


def test_what_is_decided_needs_no_source(org: LocalOrg, task: FakeTask, s3: Any, folder: str) -> None:
    key = f"{folder}/in.csv"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"LastName\nA\nB\n")
    operator = load(f"s3://minio@{BUCKET}/{key}", deferrable=False, timeout=0.1)
    org.core.job_seconds = 60
    with pytest.raises(JobTimeoutError):
        task.start().run(operator)
    s3.delete_object(Bucket=BUCKET, Key=key)
    org.advance(61)
    org.wait_until_idle()
    result = task.start().run(operator)
    assert (result["successful"], len(org.jobs)) == (2, 1)
    assert stored(org) == Counter("AB")


def test_an_input_that_changed_stops_what_would_be_sent_again_with_advice(
    org: LocalOrg, task: FakeTask, parents: list[str]
) -> None:
    org.hold(parents[0])
    given = iter([children(parents), children(parents)[::-1], children(parents)[::-1]])
    operator = load(lambda: next(given))
    with pytest.raises(InputChangedError, match="staging_path"):
        task.start().run(operator)
    assert jobs_made(org) == 2
    assert sum(stored(org).values()) == 6


def test_kept_parts_stand_in_for_an_input_that_changes_and_are_removed_after_the_success(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    rows = children(parents)
    org.hold(parents[0])
    given = iter([rows])
    operator = load(lambda: next(given), staging_path=tmp_path / "staging", part_records=4, max_record_retries=0)
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    kept = sorted(path.name for path in (tmp_path / "staging").rglob("*") if path.is_file())
    assert kept == ["part-00000.csv", "part-00001.csv", "part-00002.csv", "parts.json"]
    org.release(parents[0])
    operator.max_record_retries = 3
    result = task.start().run(operator)
    assert result["successful"] == 9
    assert stored(org) == names(rows)
    assert [path for path in (tmp_path / "staging").rglob("*") if path.is_file()] == []


def test_parts_that_another_worker_kept_out_of_sight_are_made_again_with_a_warning(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = children(parents)
    org.hold(parents[0])
    operator = load(rows, staging_path=tmp_path / "staging", max_record_retries=0)
    with pytest.raises(FailedRecordsError):
        task.start().run(operator)
    (tmp_path / "staging").rename(tmp_path / "on another worker")
    org.release(parents[0])
    operator.max_record_retries = 3
    task.start().run(operator)
    assert stored(org) == names(rows)
    assert "staging_path has no parts of try 1" in caplog.text


@pytest.mark.parametrize(
    ("pod", "kind", "is_refused"),
    [("True", "overlay", True), ("True", "tmpfs", True), ("True", "nfs4", False), ("", "overlay", False)],
)
def test_a_staging_path_that_is_gone_with_its_pod_is_refused_before_the_first_job(
    pod: str,
    kind: str,
    is_refused: bool,
    org: LocalOrg,
    task: FakeTask,
    parents: list[str],
    tmp_path: Path,
    mocker: MockerFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "mounts").write_text(f"disk / ext4 rw 0 0\nit {tmp_path} {kind} rw 0 0\n", encoding="utf-8")
    mocker.patch.object(temporary, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setenv("AIRFLOW_IS_K8S_EXECUTOR_POD", pod)
    operator = load(children(parents), staging_path=tmp_path / "staging")
    made = jobs_made(org)
    with pytest.raises(SourceError, match="is visible only in this pod") if is_refused else nullcontext():
        task.start().run(operator)
    assert (jobs_made(org) > made) is not is_refused


def test_a_source_that_was_archived_is_not_needed_once_all_is_uploaded(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    source.write_text("LastName\nA\nB\n")
    org.core.job_seconds = 100.0
    operator = load(str(source), deferrable=False, poll_interval=0.01, timeout=0.2, results_path=tmp_path / "out")
    with pytest.raises(TimeoutError):
        task.start().run(operator)
    source.unlink()
    org.advance(101)
    assert task.start().run(operator)["successful"] == 2
    assert [row["sf__Row"] for row in rows_of(tmp_path / "out" / "successful.csv")] == ["", ""]


def test_other_records_in_memory_are_another_input(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 100.0
    with pytest.raises(TimeoutError):
        task.start().run(load([{"LastName": "A"}], deferrable=False, poll_interval=0.01, timeout=0.2))
    with pytest.raises(InputChangedError, match="source"):
        task.start().run(load([{"LastName": "B"}]))


def test_identical_rows_are_told_apart_by_count(org: LocalOrg, task: FakeTask, tmp_path: Path) -> None:
    rows = [{"LastName": name} for name in ("A", "B", "A", "A", "B")]
    task.start().run(load(rows, results_path=tmp_path))
    found = rows_of(tmp_path / "successful.csv")
    assert sorted((row["LastName"], int(row["sf__Row"])) for row in found) == [
        ("A", 1), ("A", 3), ("A", 4), ("B", 2), ("B", 5),
    ]  # fmt: skip


def test_the_failed_rows_file_is_a_source_as_it_is(
    org: LocalOrg, task: FakeTask, parents: list[str], tmp_path: Path
) -> None:
    org.hold(parents[0])
    with pytest.raises(FailedRecordsError):
        task.start().run(load(children(parents), results_path=tmp_path, max_record_retries=0))
    org.release(parents[0])
    failed = tmp_path / "failed.csv"
    with pytest.raises(SourceError, match="would replace"):
        FakeTask().start().run(load(str(failed), results_path=tmp_path))
    FakeTask().start().run(load(str(failed), results_path=tmp_path / "second"))
    assert stored(org) == names(children(parents))
