"""What people change between two tries of a task: no row is doubled, none is lost, and nothing is silently not loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.client.errors import FailedRecordsError, InputChangedError, JobTimeoutError, NotFoundError
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import DyingTry, FakeTask, Killed

ROWS = [{"Name": "A"}, {"Name": "B"}, {"Name": "C"}]


def load(**given: Any) -> BulkIngestOperator:
    common = {"task_id": "task", "sobject": "Account", "operation": "insert", "deferrable": False, "retries": 2}
    return BulkIngestOperator(**{**common, "source": [dict(row) for row in ROWS], **given})


def stored(org: LocalOrg) -> list[str]:
    return sorted(record["Name"] for record in org.records("Account"))


def interrupted(org: LocalOrg, task: FakeTask, operator: BaseOperator) -> None:
    """Let a try end while its jobs are at work."""
    org.core.job_seconds = 60
    with pytest.raises(JobTimeoutError):
        task.start().run(operator)
    org.core.job_seconds = 0


def finish_jobs(org: LocalOrg) -> None:
    org.advance(61)
    org.wait_until_idle()


def test_a_connection_that_leads_to_another_org_finds_no_job_of_a_decided_load_and_makes_none(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(org, task, load(timeout=0.1))
    with LocalOrg() as sandbox:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", sandbox.connection)
            with pytest.raises(NotFoundError) as caught:
                task.start().run(load())
        assert not sandbox.jobs
    assert org.jobs[0].id in str(caught.value)
    finish_jobs(org)
    assert task.start().run(load())["successful"] == 3
    assert (stored(org), len(org.jobs)) == (["A", "B", "C"], 1)


def test_a_load_that_is_not_decided_goes_to_the_org_of_now(
    org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("Name\nA\n")
    both = load(source=[str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], max_concurrent_jobs=1)
    (tmp_path / "b.csv").write_text("Name\nB\n")
    with pytest.raises(Killed):
        DyingTry(task, 3, after=True).run(both)  # when the first part is recorded
    assert [str(job.state) for job in org.jobs] == ["Open"]
    with LocalOrg() as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_BULK_DEFAULT", sandbox.connection)
        assert task.start().run(both)["successful"] == 2
        assert stored(sandbox) == ["A", "B"]
    assert stored(org) == []


def test_jobs_that_were_submitted_are_waited_for_when_the_task_says_so_now(org: LocalOrg, task: FakeTask) -> None:
    """Airflow did not take the submission. Its ids, returned once more, would be green whatever became of the rows."""
    org.core.job_seconds = 60
    rows = [*ROWS, {"Name": ""}]
    job_ids = task.start().run(load(source=rows, wait_for_completion=False))
    finish_jobs(org)
    with pytest.raises(FailedRecordsError, match="1 of 4"):
        task.start().run(load(source=rows))
    result = task.start().run(load(source=rows, max_failed_records=1))
    assert (result["job_ids"], result["successful"], result["failed"]) == (job_ids, 3, 1)
    assert task.start().run(load(source=rows, max_failed_records=1, wait_for_completion=False)) == job_ids
    assert (stored(org), len(org.jobs)) == (["A", "B", "C"], 1)


def test_records_do_not_go_again_by_an_operation_that_the_task_names_since_a_deferral(
    org: LocalOrg, task: FakeTask
) -> None:
    """The DAG file is edited while the load is deferred; if nothing went again, it would end as it was begun."""
    task.start().run(load())
    task = FakeTask()
    source = [{"Id": record["Id"]} for record in org.records("Account")]
    org.core.hard_delete = True
    org.fail_rows("Account", code="UNABLE_TO_LOCK_ROW", attempts=1)
    org.core.job_seconds = 60
    attempt = task.start()
    with pytest.raises(TaskDeferred) as deferral:
        attempt.run_once(load(operation="delete", source=source, deferrable=True))
    org.core.job_seconds = 0
    finish_jobs(org)
    with pytest.raises(InputChangedError, match="since then operation changed"):
        attempt.resume(load(operation="hardDelete", source=source, deferrable=True), deferral.value)
    assert [job.operation for job in org.jobs[1:]] == ["delete"]
    assert task.start().run(load(operation="delete", source=source))["successful"] == 3
    assert [job.operation for job in org.jobs[1:]] == ["delete", "delete"]


def test_a_failed_load_that_a_person_marks_as_a_success_and_clears_sends_its_failed_rows(
    org: LocalOrg, task: FakeTask
) -> None:
    rows = [*ROWS, {"Name": ""}]
    with pytest.raises(FailedRecordsError):
        task.start().run(load(source=rows))
    task.clears += 1  # Airflow tells the task nothing of a mark that it gets when it is over
    with pytest.raises(FailedRecordsError, match="1 of 4"):
        task.start().run(load(source=rows))
    assert stored(org) == ["A", "B", "C"]
    assert len(org.jobs) == 2


@pytest.mark.parametrize("is_done", [False, True])
def test_a_load_and_a_query_under_one_task_id_leave_each_other_s_jobs_alone(
    is_done: bool, org: LocalOrg, task: FakeTask
) -> None:
    query = BulkQueryOperator(task_id="task", soql="SELECT Name FROM Account", deferrable=False, retries=2)
    if is_done:
        task.start().run(load())
    else:
        interrupted(org, task, load(timeout=0.1))
        finish_jobs(org)
    assert len(task.start(cleared=True).run(query)) == 3
    assert task.start(cleared=True).run(load())["successful"] == 3
    assert {str(job.state) for job in org.jobs} == {"JobComplete"}
    assert stored(org) == sorted("ABC" * 2), (
        "the query was a success that Airflow took, and the clear after it loads anew"
    )
