"""BulkJobSensor: waits for jobs that are not its own, and never touches them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import (
    FailedRecordsError,
    JobFailedError,
    MissingSourceError,
    NotFoundError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.waiting import wait
from airflow_provider_sfbulk.client.waiting.schedule import UNCHANGED_AT_ONCE
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from tests.provider.conftest import FakeTask, first_event


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
def test_failed_records_count_unless_they_are_allowed(
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
        ({"job_ids": "None"}, "the string None: its template found no job ids"),
        ({"job_ids": "['750LO0000000001YAA', None]"}, "job id"),
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


# --- failed records -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "{{ ids }}",
        "{{ ids | tojson }}",
        "{{ ids | join(',') }}",
        "{{ ids[0] }} {{ ids[1] }}",
        "{{ [ids] }}",
        "{{ events.values() | first | map(attribute='extra.job_ids') | list }}",
    ],
)
def test_ids_that_a_template_makes_a_text_of_are_read(written: str, org: LocalOrg, task: FakeTask) -> None:
    ids = [submit(2), submit(3)]
    waiting = sensor(job_ids=written)
    events = {"asset": [SimpleNamespace(extra={"job_ids": ids})]}
    waiting.render_template_fields({"ids": ids, "events": events})  # type: ignore[typeddict-unknown-key]
    assert [info["id"] for info in task.start().run(waiting)] == ids


@pytest.mark.parametrize("given", [list, str, lambda ids: [[ids[0]], [ids[1], ids[0]]]])
def test_ids_are_read_in_the_same_way_after_a_deferral(given: Any, org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    ids = [submit(2), submit(3)]
    waiting = sensor(job_ids="{{ ids }}", deferrable=True)
    waiting.job_ids = given(ids)  # as rendered
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferred:
        attempt.run_once(waiting)
    org.advance(61)
    org.wait_until_idle()
    assert [info["id"] for info in attempt.resume(waiting, deferred.value)] == ids


def test_an_id_that_is_given_twice_is_waited_for_once(org: LocalOrg, task: FakeTask) -> None:
    first, second = submit(1, broken=1), submit(2)
    waiting = sensor(job_ids=[[first], [second, first, second[:15]]], max_failed_records=1)
    assert [info["id"] for info in task.start().run(waiting)] == [first, second]


def test_ids_of_15_characters_are_the_same_jobs_in_what_is_read_and_shown(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_ids = [submit() for _ in range(UNCHANGED_AT_ONCE + 2)]
    waiting = sensor(job_ids=[each[:15] for each in job_ids])
    attempt = task.start()
    for _ in range(3):  # after which they are seen in progress, unchanged
        seen = len(org.calls)
        waiting.poke(attempt.context)
    assert sum("/jobs/" in call.path for call in org.calls[seen:]) == UNCHANGED_AT_ONCE
    org.advance(61)
    org.wait_until_idle()
    assert waiting.poke(attempt.context).is_done
    shown = [(job["id"], job["state"]) for job in attempt.xcoms[PROGRESS_XCOM_KEY]["jobs"]]
    assert shown == [(job_id, "JobComplete") for job_id in job_ids]


def test_a_template_that_finds_no_ids_yet_fails_a_try_that_may_be_retried(org: LocalOrg, task: FakeTask) -> None:
    waiting = sensor(job_ids="{{ nothing }}")
    waiting.render_template_fields({"nothing": None})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(MissingSourceError) as caught:
        task.start().run(waiting)
    assert not isinstance(caught.value, AirflowFailException)


def over(attempt: Any, waiting: BulkJobSensor, event: str = "final") -> Any:
    """Run a sensor as Airflow's task runner does, which resumes it by a method of its base class."""
    try:
        return waiting.execute(attempt.context)
    except TaskDeferred as deferral:
        kwargs = {**(deferral.kwargs or {}), "event": asyncio.run(first_event(deferral.trigger)).payload}
        return waiting.resume_execution(deferral.method_name, kwargs, attempt.context)


@DEFERRABLE
def test_by_default_failed_records_fail_it_for_good_with_counts_codes_and_a_place_to_look(
    deferrable: bool, org: LocalOrg, task: FakeTask
) -> None:
    job_ids = [submit(1200, broken=1000), submit(1)]
    waiting = sensor(job_ids=job_ids, deferrable=deferrable)
    with pytest.raises(FailedRecordsError) as failure:
        over(task.start(), waiting)
    assert isinstance(failure.value, AirflowFailException), "a retry would see the same"
    told = str(failure.value)
    assert told.startswith(
        "1,000 of 2,201 records failed (REQUIRED_FIELD_MISSING 1,000), 0 allowed by max_failed_records"
    )
    assert f"1,000 of 2,200 in job {job_ids[0]}." in told
    assert "/lightning/setup/AsyncApiJobStatus" in told
    assert "ingest.failed_results(job_id)" in told


def test_what_submits_and_what_waits_with_their_defaults_fail_for_failed_records(org: LocalOrg, task: FakeTask) -> None:
    load = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "source": [{"Name": ""}, {"Name": ""}]},
        wait_for_completion=False,
    )
    with pytest.raises(FailedRecordsError, match="2 of 2 records failed"):
        over(FakeTask().start(), sensor(job_ids=task.start().run(load)))


def test_the_same_by_bulk_api_1(org: LocalOrg, task: FakeTask) -> None:
    load = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "source": [{"Name": ""}, {"Name": "A"}]},
        wait_for_completion=False,
        api="1.0",
    )
    with pytest.raises(FailedRecordsError, match=r"1 of 2 records failed.*bulk1"):
        over(FakeTask().start(), sensor(job_ids=task.start().run(load), api="1.0"))


def test_failed_records_that_are_allowed_are_warned_of(
    org: LocalOrg, task: FakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="airflow_provider_sfbulk"):
        over(task.start(), sensor(job_id=submit(1, broken=1), max_failed_records=None))
    assert "1 of 2 records failed (REQUIRED_FIELD_MISSING 1), any number allowed by max_failed_records" in caplog.text


class Refuse(Fault):
    async def before(self, exchange: Exchange) -> Response | None:
        return Response("<html>", status_code=403, media_type="text/html")


def test_codes_that_cannot_be_read_are_left_out(org: LocalOrg, task: FakeTask) -> None:
    job_id = submit(1, broken=1)
    org.core.faults.add("ingest.failed", Refuse())
    with pytest.raises(FailedRecordsError, match="1 of 2 records failed, 0 allowed"):
        over(task.start(), sensor(job_id=job_id))


# --- to skip instead of to fail -----------------------------------------------------------------------------------------


def ended_badly(org: LocalOrg, what: str) -> dict[str, Any]:
    """Give the arguments of a wait that ends so."""
    match what:
        case "failed records":
            return {"job_id": submit(1, broken=1)}
        case "failed job":
            with SalesforceBulkHook().get_conn() as client:
                job = client.ingest.create_job("Account", "insert")
                client.ingest.upload(job.id, b"Nmae\nx\n")
                return {"job_id": client.ingest.close(job.id).id}
        case "timeout":
            org.core.job_seconds = 60
            return {"job_id": submit(), "timeout": 0.2}
    return {"job_id": "750000000000001AAA"}  # gone


@DEFERRABLE
@pytest.mark.parametrize("what", ["failed records", "failed job", "timeout"])
@pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
def test_it_skips_instead_of_failing(how: str, what: str, deferrable: bool, org: LocalOrg, task: FakeTask) -> None:
    waiting = sensor(**ended_badly(org, what), deferrable=deferrable, **{how: True})
    with pytest.raises(AirflowSkipException):
        over(task.start(), waiting)


@DEFERRABLE
def test_never_fail_skips_whatever_goes_wrong_and_soft_fail_does_not(
    deferrable: bool, org: LocalOrg, task: FakeTask
) -> None:
    with pytest.raises(AirflowSkipException):
        over(task.start(), sensor(**ended_badly(org, "gone"), deferrable=deferrable, never_fail=True))
    with pytest.raises(NotFoundError):
        over(task.start(), sensor(**ended_badly(org, "gone"), deferrable=deferrable, soft_fail=True))


@pytest.mark.parametrize("how", ["soft_fail", "never_fail"])
@pytest.mark.parametrize("outcome", ["timeout", "error", "gone"])
def test_never_fail_skips_in_the_deferred_half_too(how: str, outcome: str, org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    job_id = submit()
    waiting = sensor(job_id=job_id, deferrable=True, **{how: True})
    attempt = task.start()
    with pytest.raises(TaskDeferred):
        waiting.execute(attempt.context)
    if outcome == "gone":
        org.core.faults.add("ingest.get", Refuse())
    event = {"outcome": "error" if outcome == "gone" else outcome, "job_ids": [job_id], "api_calls": 1}
    skips = how == "never_fail" or outcome == "timeout"
    with pytest.raises(AirflowSkipException if skips else SfBulkError):
        waiting.resume_execution("execute_complete", {"event": event}, attempt.context)


def test_silent_fail_waits_on_in_both_halves(org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "POLL_TRIES", 1)
    org.core.faults.add("ingest.get", Refuse())
    job_id = submit()
    waiting = sensor(job_id=job_id, deferrable=True, silent_fail=True)
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferral:
        waiting.execute(attempt.context)
    deadline = deferral.value.kwargs["deadline"]
    event = {"outcome": "error", "job_ids": [job_id], "api_calls": 1}
    with pytest.raises(TaskDeferred) as again:
        waiting.resume_execution("execute_complete", {"event": event, "deadline": deadline}, attempt.context)
    assert again.value.kwargs == {"deadline": deadline}, "a timeout counts from the first look"
    assert again.value.trigger.deadline == deadline
    assert again.value.trigger.deferred_at == pytest.approx(time.time(), abs=60)


def test_many_jobs_are_told_of_in_one_line_and_not_all_read_again(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    org.core.job_seconds = 60
    job_ids = [submit() for _ in range(12)]
    waiting, attempt, lines = sensor(job_ids=job_ids), task.start(), []
    # The task's own logger does not pass its lines on to the one that pytest listens to.
    monkeypatch.setattr(type(waiting.log), "info", lambda _, event, *args: lines.append(event % args), raising=False)
    assert not waiting.poke(attempt.context).is_done
    assert lines == ["0 of 12 jobs have ended: 0 records processed, 0 failed"]
    for _ in range(3):  # of which one finds them InProgress
        org.clear_calls()
        assert not waiting.poke(attempt.context).is_done
    assert sum("/jobs/ingest/" in call.path for call in org.calls) == UNCHANGED_AT_ONCE
    org.advance(61)
    org.wait_until_idle()
    while not (done := waiting.poke(attempt.context)).is_done:
        pass
    assert [info["id"] for info in done.xcom_value] == job_ids


def test_execution_timeout_ends_a_deferred_wait_too(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    waiting = sensor(
        job_id=submit(), deferrable=True, timeout=timedelta(hours=1), execution_timeout=timedelta(seconds=0.2)
    )
    with pytest.raises(AirflowSensorTimeout, match=r"execution_timeout=0:00:00\.2"):
        over(task.start(), waiting)
