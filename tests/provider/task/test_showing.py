"""What a task shows while it runs: its XCom, its link and its log lines."""

from __future__ import annotations

import asyncio
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType, TaskDeferred
from airflow.sdk.execution_time.comms import ErrorResponse
from airflow.sdk.execution_time.xcom import XCom
from pytest_mock import MockerFixture
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import FailedRecordsError
from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, job_url
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from airflow_provider_sfbulk.sensors.job import BulkJobSensor
from airflow_provider_sfbulk.task import reporter
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from tests.provider.conftest import Advancing, FakeTask, Try, first_event

NAME = "Confidential Umbrella Co"


def load(**arguments: Any) -> BulkIngestOperator:
    defaults: dict[str, Any] = {"sobject": "Account", "operation": "insert", "deferrable": False}
    return BulkIngestOperator(task_id="load", **{**defaults, "source": rows(3), **arguments})


def rows(count: int, *, bad: int = 0) -> list[dict[str, Any]]:
    good = [{"Name": f"{NAME} {number}", "NumberOfEmployees": number} for number in range(count)]
    return [*good, *({"Name": f"{NAME} bad {number}", "NumberOfEmployees": "a dozen"} for number in range(bad))]


def shown(attempt: Try) -> dict[str, Any]:
    told: dict[str, Any] = attempt.xcoms[PROGRESS_XCOM_KEY]
    json.dumps(told)
    return told


class Uploads(Fault):
    """Looks at what is shown when an upload's answer is still under way."""

    def __init__(self, attempt: Try) -> None:
        self._attempt = attempt
        self.seen: list[dict[str, Any]] = []

    async def after(self, exchange: Exchange, response: Response) -> Response:
        self.seen.append(dict(self._attempt.xcoms))
        return response


def seen_at_uploads(org: LocalOrg, task: FakeTask, **arguments: Any) -> list[dict[str, Any]]:
    attempt = task.start()
    uploads = Uploads(attempt)
    org.core.faults.add("ingest.upload", uploads)
    attempt.run(load(**arguments))
    return uploads.seen


def test_job_and_link_are_shown_before_the_upload_is_through(org: LocalOrg, task: FakeTask) -> None:
    (seen,) = seen_at_uploads(org, task)
    told = seen[PROGRESS_XCOM_KEY]
    assert (told["phase"], told["sobject"], told["operation"]) == ("sending", "Account", "insert")
    (job,) = told["jobs"]
    assert (job["state"], job["records"]) == ("Open", 3)
    assert job["id"] == org.jobs[0].id
    assert seen[LINK_XCOM_KEY] == job_url(org.url, [job["id"]])


def test_the_link_of_several_jobs_is_shown_before_the_last_upload_is_through(org: LocalOrg, task: FakeTask) -> None:
    first, *_, last = seen_at_uploads(org, task, part_records=1)
    assert first[PROGRESS_XCOM_KEY]["jobs"]  # how many is up to the threads that send them
    assert last[LINK_XCOM_KEY] == job_url(org.url, ["several", "jobs"])


def test_a_query_shows_its_job_while_it_waits(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    attempt = task.start()
    with pytest.raises(TaskDeferred):
        attempt.run_once(BulkQueryOperator(task_id="t", soql="SELECT Id FROM Account", deferrable=True))
    told = shown(attempt)
    assert (told["phase"], told["job_type"], told["sobject"], told["setup_url"]) == (
        *("waiting", "query", "Account"),
        org.url,
    )
    assert [job["id"] for job in told["jobs"]] == [org.jobs[0].id]


def test_the_end_of_a_load_is_shown(org: LocalOrg, task: FakeTask, tmp_path: Any) -> None:
    attempt = task.start()
    summary = attempt.run(load(source=rows(5, bad=2), max_failed_records=None, results_path=tmp_path))
    told = shown(attempt)
    assert (told["phase"], told["processed"], told["failed"], told["records"]) == ("done", 7, 2, 7)
    assert told["counts"] == {"successful": 5, "failed": 2, "unprocessed": 0}
    assert sum(told["errors"].values()) == 2
    assert told["errors"] == summary["errors"]
    assert told["files"] == {kind: uris for kind, uris in summary["results"].items() if uris}
    assert (told["manifest"], told["api_calls"]) == (summary["manifest"], summary["api_calls"])


def test_a_failure_is_shown_with_its_codes_and_without_a_value(org: LocalOrg, task: FakeTask) -> None:
    attempt = task.start()
    with pytest.raises(FailedRecordsError):
        attempt.run(load(source=rows(1, bad=2)))
    told = shown(attempt)
    assert told["phase"] == "failed"
    assert told["message"].startswith("FailedRecordsError: 2 of 3 records failed")
    assert told["counts"]["failed"] == sum(told["errors"].values()) == 2
    assert NAME not in json.dumps(attempt.xcoms)
    assert "a dozen" not in json.dumps(attempt.xcoms)


def test_other_errors_are_shown_by_their_names_only(org: LocalOrg, task: FakeTask) -> None:
    def source() -> Any:
        yield {"Name": NAME}
        raise RuntimeError(f"the row {NAME} is wrong")

    attempt = task.start()
    with pytest.raises(RuntimeError, match=NAME):
        attempt.run(load(source=source))
    assert shown(attempt)["message"] == "RuntimeError"


def test_a_retry_after_the_end_shows_the_end(org: LocalOrg, task: FakeTask) -> None:
    task.start().run(load(source=rows(5, bad=1), max_failed_records=1))
    attempt = task.start()
    attempt.run(load(source=rows(5, bad=1), max_failed_records=1))
    told = shown(attempt)
    assert (told["phase"], told["counts"]["successful"], told["try_number"]) == ("done", 5, 2)


def test_a_load_that_does_not_wait_is_shown_as_submitted(org: LocalOrg, task: FakeTask) -> None:
    attempt = task.start()
    attempt.run(load(wait_for_completion=False))
    assert shown(attempt)["phase"] == "submitted"


def test_an_extract_shows_its_files(org: LocalOrg, task: FakeTask, tmp_path: Any) -> None:
    attempt = task.start()
    operator = BulkQueryOperator(task_id="t", soql="SELECT Id FROM Account", output_path=tmp_path, deferrable=False)
    result = attempt.run(operator)
    told = shown(attempt)
    assert (told["phase"], told["counts"], told["files"]) == ("done", {"records": 0}, {"records": result["files"]})


def test_a_sensor_shows_the_jobs_it_waits_for(org: LocalOrg, task: FakeTask) -> None:
    (job_id,) = task.start().run(load(wait_for_completion=False))
    attempt = FakeTask().start()
    attempt.run(BulkJobSensor(task_id="s", job_id=job_id, deferrable=False, poke_interval=0.01))
    told = shown(attempt)
    assert (told["phase"], told["jobs"][0]["id"], told["processed"]) == ("done", job_id, 3)


class Refusing(Try):
    """A try whose XComs Airflow does not take."""

    asked = 0

    def xcom_push(self, key: str, value: Any) -> None:
        self.asked += 1
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 500}))


def test_a_load_succeeds_though_nothing_can_be_shown(org: LocalOrg, task: FakeTask) -> None:
    task.start()
    attempt = Refusing(task, 1)
    operator = load()
    assert attempt.run(operator)["successful"] == 3
    # Airflow writes the link itself at the end of the run.
    assert operator.job_link == job_url(org.url, [org.jobs[0].id])
    assert attempt.asked == 1, "it is not asked again and again while its API server is away"


def test_the_log_has_groups_and_figures(org: LocalOrg, task: FakeTask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        task.start().run(load(source=rows(3), part_records=2))
    lines = [record.getMessage() for record in caplog.records]
    sending = lines[lines.index("::group::Sending the input") + 1 :]
    assert any(line.startswith("part 1 is uploaded to job") for line in sending[: sending.index("::endgroup::")])
    assert "::group::Reading the results" in lines
    assert lines.count("::endgroup::") == 2
    assert NAME not in "\n".join(lines)


def test_every_look_is_a_line_with_figures(org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    operator, lines = load(source=rows(3), part_records=2), []
    # The task's own logger does not pass its lines on to the one that pytest listens to.
    monkeypatch.setattr(type(operator.log), "info", lambda _, event, *args: lines.append(event % args), raising=False)
    task.start().run(operator)
    # Parts are sent at the same time, so either may be in the second job.
    ends = {
        f"job {job.id} is JobComplete: {records} of {records} records processed, 0 failed, in all 2 jobs 3 of 3 processed"
        for job in org.jobs
        for records in (1, 2)
    }
    assert ends & set(lines)


# --- in the triggerer -------------------------------------------------------------------------------------------------


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[Any, ...], Any]:
    """Airflow's XComs: the triggerer's own way to them needs its supervisor."""
    kept: dict[tuple[Any, ...], Any] = {}

    def put(key: str, value: Any, *, dag_id: str, task_id: str, run_id: str, map_index: int) -> None:
        kept[dag_id, run_id, task_id, map_index, key] = json.loads(json.dumps(value))

    def get(*, key: str, dag_id: str, task_id: str, run_id: str, map_index: int) -> Any:
        return kept.get((dag_id, run_id, task_id, map_index, key))

    monkeypatch.setattr(XCom, "set", put)
    monkeypatch.setattr(XCom, "get_one", get)
    return kept


TI = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", map_index=3, try_number=1)
KEY = ("dag", "run", "task", 3, PROGRESS_XCOM_KEY)


def deferred(org: LocalOrg, attempt: Try) -> BulkJobTrigger:
    org.core.job_seconds = 60
    with pytest.raises(TaskDeferred) as caught:
        attempt.run_once(load(deferrable=True, poll_interval=0.01))
    trigger = caught.value.trigger
    assert isinstance(trigger, BulkJobTrigger)
    trigger.task_instance = TI  # type: ignore[assignment]
    org.core.faults.add("ingest.get", Advancing(org, 25))
    return trigger


def test_a_wait_goes_on_with_what_the_task_showed(
    org: LocalOrg, task: FakeTask, xcoms: dict[tuple[Any, ...], Any]
) -> None:
    attempt = task.start()
    trigger = deferred(org, attempt)
    before = xcoms[KEY] = shown(attempt)
    asyncio.run(first_event(trigger))
    told = xcoms[KEY]
    assert (told["phase"], told["records"], told["sobject"]) == ("waiting", 3, "Account")
    assert told["jobs"][0]["state"] == "InProgress"
    assert told["api_calls"] > before["api_calls"]
    assert told["updated"] >= before["updated"]


def test_a_wait_writes_over_what_the_task_showed_only_after_it_has_read_it(
    org: LocalOrg,
    task: FakeTask,
    xcoms: dict[tuple[Any, ...], Any],
    mocker: MockerFixture,
) -> None:
    mocker.patch.object(reporter, "TROUBLE_SECONDS", 0.0)
    attempt = task.start()
    trigger = deferred(org, attempt)
    xcoms[KEY] = shown(attempt)
    # An API server that is slow twice must not cost the page the number of records and the links.
    answers = iter([TimeoutError(), TimeoutError()])
    read = XCom.get_one

    def slow_at_first(**given: Any) -> Any:
        if (error := next(answers, None)) is not None:
            raise error
        return read(**given)

    mocker.patch.object(XCom, "get_one", slow_at_first)
    asyncio.run(first_event(trigger))
    assert (xcoms[KEY]["records"], xcoms[KEY]["sobject"]) == (3, "Account")
    assert xcoms[KEY]["setup_url"]
    assert xcoms[KEY]["jobs"][0]["state"] == "InProgress"


def test_a_wait_shows_its_jobs_though_the_task_could_not(
    org: LocalOrg, task: FakeTask, xcoms: dict[tuple[Any, ...], Any]
) -> None:
    trigger = deferred(org, task.start())
    asyncio.run(first_event(trigger))
    assert [job["id"] for job in xcoms[KEY]["jobs"]] == [org.jobs[0].id]


def test_a_wait_ends_well_though_nothing_can_be_shown(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={}))

    monkeypatch.setattr(XCom, "set", refuse)
    monkeypatch.setattr(XCom, "get_one", refuse)
    event = asyncio.run(first_event(deferred(org, task.start())))
    assert event.payload["outcome"] == "final"
