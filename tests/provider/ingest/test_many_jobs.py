"""A load of many jobs: what it tells, and what it costs."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators import base
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import Advancing, FakeTask

JOBS = 41


def load(**arguments: Any) -> BulkIngestOperator:
    return BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "part_records": 1, **arguments},
        source=[{"Name": f"A {n}"} for n in range(JOBS)],
    )


def lines_of(operator: BulkIngestOperator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what a task's own logger will write; it does not pass its lines on to the one that pytest listens to."""
    lines: list[str] = []
    monkeypatch.setattr(type(operator.log), "info", lambda _, event, *args: lines.append(event % args), raising=False)
    return lines


@pytest.mark.parametrize("deferrable", [False, True])
def test_it_tells_a_line_a_look_and_asks_for_each_job_once_or_little_more(
    deferrable: bool, org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.core.job_seconds = 60
    org.core.faults.add("ingest.get", Advancing(org, 5))
    monkeypatch.setattr(base, "FIRST_POLLS", (0.0, 0.01, 0.01))
    operator = load(deferrable=deferrable, poll_interval=0.2)
    lines = lines_of(operator, monkeypatch)
    task.start().run(operator)
    waited = [line for line in lines if "processed" in line]
    assert all(line.split(" jobs have ended")[0].endswith("of 41") for line in waited)
    assert len(waited) < 20
    asked = Counter(call.method for call in org.calls if "/jobs/ingest/" in call.path)
    assert asked["PUT"] == JOBS
    assert asked["GET"] <= 4 * JOBS, "the org shows each of three states for one look"
    assert len(org.records("Account")) == JOBS


def test_failed_records_that_are_allowed_are_warned_of_with_their_codes_and_file(
    org: LocalOrg, task: FakeTask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    operator = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "results_path": str(tmp_path)},
        source=[{"Name": "A"}, *({"Name": ""} for _ in range(1_200))],
        max_failed_records=None,
    )
    with caplog.at_level(logging.INFO):
        task.start().run(operator)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "1,200 of 1,201 records failed (REQUIRED_FIELD_MISSING 1,200), any number allowed" in warning
    assert str(tmp_path / "failed.csv") in warning
    assert "1,201 records sent in 1 job(s): 1 saved, 1,200 failed, 0 not processed" in caplog.text
    assert f"is uploaded to job {org.jobs[0].id}: 1,201 records, 3,6" in caplog.text


def test_a_load_that_does_not_wait_ends_with_a_line(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = load(wait_for_completion=False)
    lines = lines_of(operator, monkeypatch)
    first, *_ = task.start().run(operator)
    assert lines[-1] == f"41 records are with Salesforce in 41 jobs ({first}, …); this task does not wait"


def test_the_query_that_a_load_waits_for_has_no_failed_records(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record_id,) = org.put("Account", [{"Name": "A"}])
    operator = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "update", "skip_unchanged": True},
        source=[{"Id": record_id, "Name": "A"}],
    )
    lines = lines_of(operator, monkeypatch)
    task.start().run(operator)
    (job,) = org.jobs
    assert [line for line in lines if line.startswith(f"job {job.id} is JobComplete")] == [
        f"job {job.id} is JobComplete: 1 records processed"
    ]
