"""BulkJobSensor: waits for jobs that are not its own, and never touches them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferred

from airflow_provider_sfbulk.client.errors import (
    FailedRecordsError,
    JobFailedError,
    NotFoundError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from tests.provider.conftest import FakeTask


def sensor(**arguments: Any) -> BulkJobSensor:
    defaults: dict[str, Any] = {"task_id": "wait", "deferrable": False, "poke_interval": 0.01, "timeout": 30}
    return BulkJobSensor(**{**defaults, **arguments})


def submit(records: int = 2, broken: int = 0) -> str:
    """Give Salesforce an ingest job and go away."""
    with SalesforceBulkHook().get_conn() as client:
        job = client.ingest.create_job("Account", "insert")
        text = "Name,Phone\n" + "".join(f"Account {n},1\n" for n in range(records)) + ",2\n" * broken
        client.ingest.upload(job.id, text.encode())
        return client.ingest.close(job.id).id


def ask() -> str:
    with SalesforceBulkHook().get_conn() as client:
        return client.query.create_job("SELECT Id FROM Account").id


pytestmark = pytest.mark.usefixtures("roomy")
DEFERRABLE = pytest.mark.parametrize("deferrable", [False, True])


@DEFERRABLE
def test_it_returns_the_final_jobs(deferrable: bool, org: LocalOrg, task: FakeTask) -> None:
    job_ids = [submit(2), submit(3)]
    infos = task.start().run(sensor(job_ids=job_ids, deferrable=deferrable))
    read = [JobInfo.from_dict(json.loads(json.dumps(info))) for info in infos]
    assert [(info.id, info.is_successful, info.processed) for info in read] == [
        (job_ids[0], True, 2),
        (job_ids[1], True, 3),
    ]


@DEFERRABLE
def test_it_waits_for_a_query(deferrable: bool, org: LocalOrg, task: FakeTask) -> None:
    job_id = ask()
    (info,) = task.start().run(sensor(job_id=job_id, job_type="query", deferrable=deferrable))
    assert (info["id"], info["state"]) == (job_id, "JobComplete")


@DEFERRABLE
def test_a_failed_job_fails_it_with_salesforces_reason(deferrable: bool, org: LocalOrg, task: FakeTask) -> None:
    with SalesforceBulkHook().get_conn() as client:
        job = client.ingest.create_job("Account", "insert")
        client.ingest.upload(job.id, b"Nmae\nx\n")
        client.ingest.close(job.id)
    with pytest.raises(JobFailedError, match=rf"{job.id}.*InvalidBatch.*Nmae"):
        task.start().run(sensor(job_ids=[submit(), job.id], deferrable=deferrable))


@DEFERRABLE
def test_an_aborted_job_fails_it(deferrable: bool, org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_id = ask()
    with SalesforceBulkHook().get_conn() as client:
        client.query.abort(job_id)
    with pytest.raises(JobFailedError, match="Aborted"):
        task.start().run(sensor(job_id=job_id, job_type="query", deferrable=deferrable))


@pytest.mark.parametrize(
    ("allowed", "passes"), [(None, True), (0, False), (1, False), (2, True), (0.4, False), (0.5, True)]
)
def test_failed_records_count_when_that_is_asked(
    allowed: float | None, passes: bool, org: LocalOrg, task: FakeTask
) -> None:
    waiting = sensor(job_ids=[submit(1, broken=1), submit(1, broken=1)], max_failed_records=allowed)
    if passes:
        assert sum(info["number_records_failed"] for info in task.start().run(waiting)) == 2
    else:
        with pytest.raises(FailedRecordsError, match="2 of 4 records failed"):
            task.start().run(waiting)


def test_a_running_job_defers_without_the_right_to_abort(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_id = ask()
    waiting = sensor(job_id=job_id, job_type="query", deferrable=True)
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute(attempt.context)
    kwargs = deferred.value.trigger.serialize()[1]
    assert (kwargs["job_ids"], kwargs["cancel_on_kill"]) == ([job_id], False)
    org.advance(61)
    org.wait_until_idle()
    (info,) = attempt.resume(waiting, deferred.value)
    assert info["state"] == "JobComplete"


def test_the_end_of_its_timeout_leaves_the_jobs(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_id = ask()
    with pytest.raises(AirflowSensorTimeout, match=job_id):
        task.start().run(sensor(job_id=job_id, job_type="query", deferrable=True, timeout=0.1))
    assert org.jobs[0].state in ("UploadComplete", "InProgress")


def test_the_end_of_its_timeout_while_it_pokes_leaves_the_jobs(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_id = ask()
    with pytest.raises(AirflowSensorTimeout):
        task.start().run(sensor(job_id=job_id, job_type="query", timeout=0.1))
    assert org.jobs[0].state in ("UploadComplete", "InProgress")


def test_an_event_of_an_old_trigger_is_no_timeout(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    waiting = sensor(job_id=ask(), job_type="query", deferrable=True)
    for outcome in ("timeout", "error", "final"):
        event = {"outcome": outcome, "job_ids": ["750000000000001AAA"], "api_calls": 1}
        with pytest.raises(TaskDeferred):
            waiting.execute_complete(task.start().context, event=event)


def test_a_triggerer_that_could_not_ask_says_so(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_id = ask()
    event = {"outcome": "error", "job_ids": [job_id], "api_calls": 1}
    with pytest.raises(TransientError, match="triggerer"):
        sensor(job_id=job_id, job_type="query").execute_complete(task.start().context, event=event)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "either job_id or job_ids"),
        ({"job_ids": []}, "either job_id or job_ids"),
        ({"job_id": "750LO0000000001YAA", "job_ids": ["750LO0000000001YAA"]}, "either job_id or job_ids"),
        ({"job_id": "750LO0000000001YAA", "job_type": "Query"}, "ingest, query"),
        ({"job_ids": "750LO0000000001YAA"}, "job_ids.*list"),
        ({"job_ids": "['750LO0000000001YAA']"}, "job_ids.*list"),
        ({"job_id": "../limits"}, "job id"),
        ({"job_ids": ["750LO0000000001YAA", None]}, "job id"),
    ],
)
@DEFERRABLE
def test_arguments_are_checked_before_anything_is_sent(
    deferrable: bool, arguments: dict[str, Any], match: str, org: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises(SourceError, match=match):
        task.start().run(sensor(**arguments, deferrable=deferrable))
    assert not org.calls


def test_a_job_that_is_gone_is_named(org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(NotFoundError, match="750000000000001AAA"):
        task.start().run(sensor(job_id="750000000000001AAA"))


def test_an_ingest_job_is_not_found_among_the_queries(org: LocalOrg, task: FakeTask) -> None:
    with pytest.raises(SfBulkError):
        task.start().run(sensor(job_id=submit(), job_type="query"))


def test_ids_are_templates(org: LocalOrg) -> None:
    waiting = sensor(job_ids=["{{ one }}", "{{ two }}"])
    waiting.render_template_fields({"one": "750A", "two": "750B"})  # type: ignore[typeddict-unknown-key]
    assert waiting.job_ids == ["750A", "750B"]
