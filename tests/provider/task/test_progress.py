"""How far a task's jobs are, in figures and in words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_sfbulk.client.models import JobInfo, JobState, by_code
from airflow_provider_sfbulk.task.progress import (
    SHOWN_FILES,
    SHOWN_JOBS,
    TEXT_LENGTH,
    Phase,
    Progress,
    Throughput,
)

ONE, OTHER = "750LO0000000001YAA", "750LO0000000002YAA"


def info(job_id: str = ONE, state: JobState = JobState.IN_PROGRESS, **values: Any) -> JobInfo:
    return JobInfo(id=job_id, state=state, operation="insert", **values)


def looked_at(records: int | None, *looks: tuple[float, int]) -> Progress:
    progress = Progress("ingest")
    progress.add(ONE, records=records)
    for now, processed in looks:
        progress.take(info(number_records_processed=processed), now=now)
    return progress


def test_a_rate_is_that_of_the_work_and_not_of_the_queue() -> None:
    progress = looked_at(1000, (100.0, 0), (400.0, 0), (410.0, 100), (420.0, 300))
    assert progress.pace.per_second == 300 / 20
    assert progress.seconds_left == 700 / 15


def test_a_rate_is_that_of_the_last_minutes() -> None:
    pace = Throughput()
    for minute in range(60):
        pace.mark(60.0 * minute, 60 * minute if minute < 30 else 1800 + 600 * (minute - 30))
    assert pace.per_second == pytest.approx(10.0)


@pytest.mark.parametrize("looks", [(), ((5.0, 0),), ((5.0, 10),), ((5.0, 10), (5.5, 20)), ((5.0, 10), (50.0, 10))])
def test_there_is_no_rate_before_there_is_one(looks: tuple[tuple[float, int], ...]) -> None:
    progress = looked_at(100, *looks)
    assert progress.pace.per_second is None
    assert progress.seconds_left is None


def test_of_a_query_nobody_knows_how_long_it_takes() -> None:
    progress = looked_at(None, (10.0, 10), (20.0, 110))
    assert (progress.records, progress.pace.per_second, progress.seconds_left) == (None, 10.0, None)


def test_a_line_says_what_is_known() -> None:
    progress = looked_at(5000, (10.0, 10), (20.0, 2010))
    (line,) = progress.lines([info(number_records_processed=2010, number_records_failed=3)])
    assert line == (
        f"job {ONE} is InProgress: 2,010 of 5,000 records processed, 3 failed, 200 a second, about 15 s left"
    )


def test_a_line_of_several_jobs_tells_of_all() -> None:
    progress = looked_at(50, (10.0, 10))
    progress.add(OTHER, records=50)
    last = info(OTHER, JobState.JOB_COMPLETE, number_records_processed=50)
    progress.take(last, now=20.0)
    assert progress.lines([last]) == [
        f"job {OTHER} is JobComplete: 50 of 50 records processed, 0 failed, in all 2 jobs 60 of 100 processed"
    ]


def test_more_than_three_jobs_share_a_line() -> None:
    progress = looked_at(5000, (10.0, 10), (20.0, 2010))
    for number, state in enumerate((JobState.JOB_COMPLETE, JobState.FAILED, JobState.ABORTED, JobState.IN_PROGRESS)):
        job_id = f"7508d000003Q{number:03}AAK"
        progress.add(job_id, records=1000)
        progress.take(info(job_id, state, number_records_processed=1000, number_records_failed=number), now=20.0)
    assert progress.lines([info(), info()]) == [
        "3 of 5 jobs have ended (1 Failed) (1 Aborted): 6,010 of 9,000 records processed, 6 failed, "
        "600 a second, about 5 s left"
    ]


@pytest.mark.parametrize("number", [1, 5])
def test_lines_of_queries_have_nothing_failed(number: int) -> None:
    progress = Progress(job_type="query", operation="query")
    infos = [
        replace(info(f"7508d000003Q{each:03}AAK", number_records_processed=7), operation="query")
        for each in range(number)
    ]
    for each in infos:
        progress.take(each, now=1.0)
    assert all("failed" not in line for line in progress.lines(infos))


def test_the_triggerer_goes_on_from_what_the_task_told() -> None:
    progress = looked_at(1000, (10.0, 100), (20.0, 200))
    progress.setup_url, progress.sobject, progress.try_number, progress.api_calls = "https://org", "Account", 3, 7
    progress.phase = Phase.WAITING
    told = json.loads(json.dumps(progress.to_dict(now=20.0)))
    again = Progress.from_dict(told)
    known_anew = {"rate", "seconds_left"}
    assert again.to_dict(now=20.0) == {key: value for key, value in told.items() if key not in known_anew}
    again.take(info(number_records_processed=300), now=30.0)
    assert again.pace.per_second == 10.0
    assert (again.records, again.setup_url, again.sobject, again.try_number) == (1000, "https://org", "Account", 3)


@pytest.mark.parametrize(
    "told",
    [None, [], "text", {}, {"job_type": "ingest"}, {"job_type": "ingest", "try_number": "x", "phase": "waiting"}]
    + [
        {"job_type": "ingest", "try_number": 1, "phase": "waiting", "api_calls": 1, key: 5} for key in ("jobs", "since")
    ],
)
def test_what_is_no_progress_is_refused(told: Any) -> None:
    with pytest.raises(ValueError, match="not the progress of a task"):
        Progress.from_dict(told)


def test_only_codes_are_told_as_codes() -> None:
    given = {
        "UNABLE_TO_LOCK_ROW": 2,
        "Jane Doe, <b>12 High Street</b>": 3,
        "jane@example.org": 1,
        "REQUIRED_FIELD_MISSING": 9,
    }
    assert by_code(given) == {"REQUIRED_FIELD_MISSING": 9, "OTHER": 4, "UNABLE_TO_LOCK_ROW": 2}


def test_it_stays_small_however_much_there_is() -> None:
    progress = Progress("ingest")
    for number in range(2000):
        job_id = f"750LO{number:010}YAA"
        progress.add(job_id, records=1_000_000)
        error = None if number else "no " * 5000
        progress.take(info(job_id, number_records_processed=999_999, error_message=error), now=1.0)
    progress.files = {"records": [f"s3://lake/{number}" for number in range(5000)]}
    told = progress.to_dict()
    assert (len(told["jobs"]), told["more_jobs"]) == (SHOWN_JOBS, 2000 - SHOWN_JOBS)
    assert len(told["files"]["records"]) == SHOWN_FILES
    assert len(told["jobs"][0]["error"]) <= TEXT_LENGTH
    assert told["records"] == 2_000_000_000
    assert len(json.dumps(told)) < 80_000
