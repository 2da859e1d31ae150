"""The trigger that waits for jobs, and its arguments, which Airflow stores in the trigger's row.

All triggers of a connection share one watcher (``triggers/watcher.py``)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import SfBulkError, StoppedError
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.client.waiting.jobs import watched_jobs
from airflow_provider_sfbulk.client.waiting.schedule import POLL_INTERVAL_SECONDS
from airflow_provider_sfbulk.task.ended_by_person import is_ended_by_person
from airflow_provider_sfbulk.task.reporter import WaitReporter
from airflow_provider_sfbulk.triggers.event import WaitEvent, WaitOutcome
from airflow_provider_sfbulk.triggers.stored import count_of, ids_of, moment_of, seconds_of
from airflow_provider_sfbulk.triggers.watcher import WaitEnd, Watcher, watcher_of

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.http.aio import AsyncDriver

SHORTEST_DEFERRAL_SECONDS: Final = 8.0
"""A trigger never fires sooner: after a shorter deferral, the scheduler may take the end of the task's first half for a
failure (apache/airflow#72716, seen with 3.3.2)."""

TAKEN_OVER_SECONDS: Final = 60.0
"""A trigger that was deferred this long ago was restarted after another triggerer was lost, and need not wait: its job may
have ended unseen. Far more than the difference between the clocks of two machines."""

ASKING_SECONDS: Final = 120.0
"""How long Airflow may take to say whether a person ended the task. The first such call in a triggerer takes 5 s on an idle
machine, and a minute on a busy one (seen with 3.3.2)."""

ASKING_PAUSES: Final = (0.0, 2.0, 10.0)

_aborting: Final[set[asyncio.Task[None]]] = set()
"""Aborts under way: the event loop does not protect a task from garbage collection."""


class BulkJobTrigger(BaseTrigger):
    """Fires once, when every job is final or the deadline has passed.

    Its arguments are stored in Airflow's database in plain text: ids and settings only.

    :param job_ids: the jobs to wait for
    :param job_type: ``ingest`` or ``query``; ``classic`` for Bulk API 1.0
    :param salesforce_conn_id: the connection to sign in with
    :param api_version: instead of the connection's
    :param poll_interval: longest time between two polls of a job, in seconds, as far as the budget of calls allows
    :param deadline: when the wait ends, in seconds since 1970; None for never
    :param cancel_on_kill: whether a person's mark (failed, success, skipped) aborts the jobs
    :param api_calls: calls the task has made before, to be added to the event's own
    :param deferred_at: when the task was deferred, in seconds since 1970; None when unknown
    """

    def __init__(
        self,
        *,
        job_ids: list[str],
        job_type: str,
        salesforce_conn_id: str,
        api_version: str | None = None,
        poll_interval: float,
        deadline: float | None = None,
        cancel_on_kill: bool = True,
        api_calls: int = 0,
        deferred_at: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_ids = ids_of(job_ids)
        self.job_type = job_type
        self.salesforce_conn_id = salesforce_conn_id
        self.api_version = api_version
        self.poll_interval = seconds_of(poll_interval, POLL_INTERVAL_SECONDS)
        self.deadline = moment_of(deadline)
        self.cancel_on_kill = cancel_on_kill
        self.api_calls = count_of(api_calls)
        self.deferred_at = moment_of(deferred_at)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "job_ids": self.job_ids,
                "job_type": self.job_type,
                "salesforce_conn_id": self.salesforce_conn_id,
                "api_version": self.api_version,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "cancel_on_kill": self.cancel_on_kill,
                "api_calls": self.api_calls,
                "deferred_at": self.deferred_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. The event says that the wait is over, and why; the task itself reads what became of the jobs."""
        is_taken_over = self.deferred_at is not None and time.time() - self.deferred_at > TAKEN_OVER_SECONDS
        await asyncio.sleep(0 if is_taken_over else SHORTEST_DEFERRAL_SECONDS)
        reporter = WaitReporter(self.task_instance, self.log, self.job_ids, self.job_type)
        try:
            async with self._watcher() as watcher:
                end = await watcher.wait_for_jobs(
                    self.job_ids,
                    JobType(self.job_type),
                    longest=self.poll_interval,
                    age=SHORTEST_DEFERRAL_SECONDS,
                    deadline=self.deadline,
                    on_progress=reporter.take,
                )
        except Exception as error:
            # An exception would fail the task before it has polled its jobs itself.
            self.log.exception("the wait in the triggerer failed")
            end = WaitEnd(WaitOutcome.ERROR, 0, error=StoppedError(type(error).__name__))
        if end.outcome is WaitOutcome.ERROR:
            self.log.warning("the wait in the triggerer ended with an error: %s", end.error)
        event = WaitEvent(
            outcome=end.outcome,
            job_ids=tuple(self.job_ids),
            api_calls=self.api_calls + end.api_calls,
            jobs=end.jobs,
        )
        yield TriggerEvent(event.to_dict())  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Abort the jobs if a person ended the task. A clear, a restart or a late triggerer does not.

        Until a killed trigger has ended, the triggerer cancels it again each second, and with it this method, without
        any log line (seen with Airflow 3.3.2). A login and an abort may take longer, so they have their own task.
        """
        if not self.cancel_on_kill or self.task_instance is None:
            return
        aborting = asyncio.create_task(self._abort_if_ended())
        _aborting.add(aborting)
        aborting.add_done_callback(_aborting.discard)
        while not aborting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(aborting)

    async def _abort_if_ended(self) -> None:
        if await self._is_ended_by_person():
            await self._abort()
        else:
            self.log.info("the wait ends here, but no person has ended the task: the jobs continue")

    async def _is_ended_by_person(self) -> bool:
        """Ask Airflow; without an answer, the jobs are left alone."""
        for pause in ASKING_PAUSES:
            await asyncio.sleep(pause)
            try:
                async with asyncio.timeout(ASKING_SECONDS):
                    return await asyncio.to_thread(is_ended_by_person, self.task_instance)
            except Exception as error:
                self.log.warning("Airflow does not say why this wait ends (%s)", type(error).__name__)
        return False

    async def _abort(self) -> None:
        async with self._watcher() as watcher:
            for job_id in self.job_ids:
                try:
                    await watcher.run(partial(self._abort_one, job_id))
                    self.log.info("job %s is aborted, since a person ended the task", job_id)
                except SfBulkError as error:
                    self.log.warning("job %s could not be aborted: %s", job_id, error)

    def _abort_one(self, job_id: str, driver: AsyncDriver) -> Flow[JobInfo]:
        return watched_jobs(JobType(self.job_type), driver.api_version).abort(job_id)

    def _watcher(self) -> AbstractAsyncContextManager[Watcher]:
        return watcher_of(self.salesforce_conn_id, self.api_version)
