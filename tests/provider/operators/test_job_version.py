"""``api_version`` is raised while a job is there: it is asked for with its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.client.errors import JobTimeoutError
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from airflow_provider_sfbulk.operators.query import BulkQueryOperator
from tests.provider.conftest import FakeTask


@pytest.fixture(autouse=True)
def accounts(org: LocalOrg) -> None:
    with SalesforceBulkHook().get_conn() as client:
        client.ingest.perform("Account", "insert", [{"Name": f"A {n}"} for n in range(7)])


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_raised_api_version_leaves_the_job_its_own(
    recorded: bool, deferrable: bool, org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    """Salesforce answers 409 when results are asked for with another version than the job's."""

    def made(version: str) -> BulkQueryOperator:
        return BulkQueryOperator(
            **{"task_id": "read", "soql": "SELECT Id FROM Account", "deferrable": deferrable, "poll_interval": 0.05},
            output_path=str(tmp_path / "out"),
            api_version=version,
        )

    org.core.job_seconds = 60
    attempt = task.start()
    if deferrable:
        with pytest.raises(TaskDeferred):
            made("61.0").execute(attempt.context)
    else:
        waiting = made("61.0")
        waiting.timeout = 0.1
        with pytest.raises(JobTimeoutError):
            attempt.run(waiting)
    if not recorded:  # as by the version before
        for entry in task.states.values():
            if isinstance(entry, dict):
                entry.pop("api_version", None)
    org.advance(61)
    org.wait_until_idle()
    result = task.start().run(made("66.0"))
    (query,) = [job for job in org.jobs if job.operation == "query"]
    assert result["records"] == len(org.records("Account"))
    asked = {call.path.split("/")[3] for call in org.calls if query.id in call.path}
    assert asked == {"v61.0"} if recorded else asked <= {"v61.0", "v66.0"}


def test_the_trigger_asks_with_the_job_s_version(org: LocalOrg, task: FakeTask) -> None:
    org.core.job_seconds = 60
    first = BulkQueryOperator(task_id="read", soql="SELECT Id FROM Account", deferrable=True, api_version="61.0")
    with pytest.raises(TaskDeferred):
        first.execute(task.start().context)
    again = BulkQueryOperator(task_id="read", soql="SELECT Id FROM Account", deferrable=True, api_version="66.0")
    with pytest.raises(TaskDeferred) as deferral:
        again.execute(task.start().context)
    assert deferral.value.trigger.api_version == "61.0"


def test_the_client_reads_results_with_the_job_s_version(org: LocalOrg, task: FakeTask) -> None:
    with SalesforceBulkHook(api_version="61.0").get_conn() as client:
        job_id = client.query.create_job("SELECT Id FROM Account").id
        client.query.wait(job_id)
    with SalesforceBulkHook(api_version="66.0").get_conn() as client:
        assert len(list(client.query.results(job_id))) == len(org.records("Account"))
        client.query.result_pages(job_id)
    operator = BulkQueryOperator(task_id="read", job_id=job_id, deferrable=False, api_version="66.0")
    assert len(task.start().run(operator)) == len(org.records("Account"))


def test_a_load_whose_api_version_is_raised_ends_with_its_results(
    org: LocalOrg, task: FakeTask, tmp_path: Path
) -> None:
    def made(version: str) -> BulkIngestOperator:
        return BulkIngestOperator(
            **{"task_id": "load", "sobject": "Account", "operation": "insert", "source": [{"Name": "x"}, {"Name": ""}]},
            results_path=str(tmp_path / "out"),
            max_failed_records=1,
            deferrable=False,
            timeout=0.1,
            api_version=version,
        )

    org.core.job_seconds = 60
    with pytest.raises(JobTimeoutError):
        task.start().run(made("61.0"))
    org.advance(61)
    org.wait_until_idle()
    result = task.start().run(made("66.0"))
    assert (result["successful"], result["failed"]) == (1, 1)
    asked = {
        call.path.split("/")[3] for call in org.calls if call.path.endswith(("successfulResults", "failedResults"))
    }
    assert asked == {"v61.0"}
