"""A job has ended early, and a batch of it is still at work when its results are read: no row is doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.responses import Response

from airflow_provider_sfbulk.client.errors import JobFailedError, JobTimeoutError
from airflow_provider_sfbulk.client.load import still
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2 import ingest_work
from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from airflow_provider_sfbulk.local_org.faults import Exchange, Fault
from airflow_provider_sfbulk.operators.ingest import BulkIngestOperator
from tests.provider.conftest import FakeTask


class SavedLate(Fault):
    """The batches that were at work are saved after so many looks at jobs of which the first has ended."""

    def __init__(self, org: LocalOrg, looks: int) -> None:
        self._org, self._left = org, looks

    async def before(self, exchange: Exchange) -> Response | None:
        self._left -= 1
        if self._left == 0:
            core = self._org.core
            entry = next(iter(core.jobs))
            ended = entry.job.state
            core.jobs.set_state(entry, State.IN_PROGRESS)
            for _ in ingest_work.work(core, entry, core.clock.now()):
                pass
            core.jobs.set_state(entry, ended)
            entry.settle()
        return None


class AbortedAt(Fault):
    """Somebody aborts the job before it is looked at for the second time."""

    def __init__(self, org: LocalOrg) -> None:
        self._org = org

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number == 2:
            (entry,) = self._org.core.jobs
            self._org.core.jobs.set_state(entry, State.ABORTED)
            entry.settle()
        return None


class FailedAfterABatch(Fault):
    """The job has failed when it is first looked at, with one batch saved; later jobs are quick."""

    def __init__(self, org: LocalOrg) -> None:
        self._org = org

    async def before(self, exchange: Exchange) -> Response | None:
        if exchange.number == 1:
            core = self._org.core
            (entry,) = core.jobs
            batches = ingest_work.work(core, entry, core.clock.now())
            next(batches)
            next(batches)
            core.jobs.set_state(entry, State.FAILED)
            entry.settle()
            core.job_seconds = 0.0
        return None


@pytest.mark.parametrize("looks", [1, 2, 3])
@pytest.mark.parametrize("files", [True, False])
def test_what_a_batch_saves_after_the_abort_is_not_sent_again(
    files: bool, looks: int, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False, "timeout": 0.1},
        source=[{"Name": f"A {n}"} for n in range(40)],
        results_path=str(tmp_path) if files else None,
    )
    org.core.job_seconds = 60  # by the org's own clock, which stands still: the job waits to be aborted
    with pytest.raises(JobTimeoutError):
        task.start().run(load)
    with SalesforceBulkHook().get_conn() as client:
        client.ingest.abort(org.jobs[0].id)
    monkeypatch.setattr(still, "LEAST_SECONDS", 2.5)
    monkeypatch.setattr(still, "_LOOK_SECONDS", 0.05)
    org.core.faults.add("ingest.get", SavedLate(org, looks))
    result = task.start().run(load)
    assert (result["successful"], result["unprocessed"]) == (40, 0)
    assert sorted(record["Name"] for record in org.records("Account")) == sorted(f"A {n}" for n in range(40))
    assert len(org.jobs) == 1


def test_a_try_that_sees_the_abort_does_not_give_up_a_load_that_may_be_at_work(
    org: LocalOrg, task: FakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False},
        source=[{"Name": f"A {n}"} for n in range(40)],
    )
    org.core.job_seconds = 60
    org.core.faults.add("ingest.get", AbortedAt(org))
    with pytest.raises(JobFailedError, match="40 records were not processed"):
        task.start().run(load)
    org.core.faults.clear()
    monkeypatch.setattr(still, "LEAST_SECONDS", 2.5)
    monkeypatch.setattr(still, "_LOOK_SECONDS", 0.05)
    org.core.faults.add("ingest.get", SavedLate(org, 2))
    result = task.start().run(load)
    assert (result["successful"], result["unprocessed"]) == (40, 0)
    assert len(org.records("Account")) == 40
    assert len(org.jobs) == 1


@pytest.mark.parametrize("files", [True, False])
def test_rows_that_fail_late_go_again_with_the_others(
    files: bool, org: LocalOrg, task: FakeTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but rows that failed goes again in the same try: it waits for those that are yet to fail."""
    load = BulkIngestOperator(
        **{"task_id": "load", "sobject": "Account", "operation": "insert", "deferrable": False},
        source=[{"Name": f"A {n}"} for n in range(9)],
        results_path=str(tmp_path) if files else None,
    )
    org.core.batch_records, org.core.job_seconds = 3, 60
    org.fail_rows("Account", code="UNABLE_TO_LOCK_ROW", attempts=1)
    org.core.faults.add("ingest.get", FailedAfterABatch(org))
    monkeypatch.setattr(still, "LEAST_SECONDS", 2.5)
    monkeypatch.setattr(still, "_LOOK_SECONDS", 0.05)
    org.core.faults.add("ingest.get", SavedLate(org, 3))
    result = task.start().run(load)
    assert (result["successful"], result["failed"], result["unprocessed"]) == (9, 0, 0)
    assert sorted(record["Name"] for record in org.records("Account")) == sorted(f"A {n}" for n in range(9))
    assert [job.processed for job in org.jobs] == [9, 9]
