"""Waiting for jobs in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sfbulk.client.drivers.aio import AsyncDriver
from airflow_provider_sfbulk.client.errors import JobTimeoutError, SfBulkError
from airflow_provider_sfbulk.client.flows.job import Jobs, jobs_of
from airflow_provider_sfbulk.client.flows.wait import Schedule, wait_until_final
from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.triggers.wake_up import WaitOutcome, WakeUp

SHORTEST_DEFERRAL_SECONDS: Final = 8.0
"""A trigger never fires sooner: the scheduler may take the end of the task's first half for its failure when the
deferral is shorter (apache/airflow#72716, seen with 3.3.2)."""

_aborting: Final[set[asyncio.Task[None]]] = set()
"""Aborts under way: an event loop by itself does not keep a task from being collected."""


class BulkJobTrigger(BaseTrigger):
    """Fires once, when every job is final or the deadline has passed.

    Its arguments are stored in Airflow's database in plain text: ids and settings only.

    :param job_ids: the jobs to wait for
    :param job_type: ``ingest`` or ``query``
    :param salesforce_conn_id: the connection to sign in with
    :param api_version: instead of the connection's
    :param poll_interval: longest time between two looks at a job, in seconds
    :param deadline: when the wait ends, in seconds since 1970; None for no end
    :param cancel_on_kill: whether a person's kill (mark failed, clear) aborts the jobs
    :param api_calls: calls the task has made before, to be told with the event's own
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
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_ids = job_ids
        self.job_type = job_type
        self.salesforce_conn_id = salesforce_conn_id
        self.api_version = api_version
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.cancel_on_kill = cancel_on_kill
        self.api_calls = api_calls

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what Airflow stores."""
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
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. The event says that the wait is over and why; what became of the jobs the task reads for itself."""
        await asyncio.sleep(SHORTEST_DEFERRAL_SECONDS)
        outcome = WaitOutcome.FINAL
        calls = 0
        try:
            async with await self._driver() as driver:
                try:
                    await driver.run(
                        wait_until_final(
                            self._jobs(driver),
                            self.job_ids,
                            schedule=Schedule(first=12.0, growth=1.0, longest=self.poll_interval),
                            timeout=self._seconds_left(),
                        )
                    )
                finally:
                    calls = driver.calls
        except JobTimeoutError:
            outcome = WaitOutcome.TIMEOUT
        except SfBulkError as error:
            self.log.warning("the wait in the triggerer ended with an error: %s", error)
            outcome = WaitOutcome.ERROR
        wake_up = WakeUp(outcome=outcome, job_ids=tuple(self.job_ids), api_calls=self.api_calls + calls)
        yield TriggerEvent(wake_up.to_dict())  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Abort the jobs: a person marked the task or cleared it. Not called for a restart of the triggerer.

        Until a killed trigger has ended, the triggerer cancels it again each second, and with it this method, without a
        word in any log (seen with Airflow 3.3.2). A login and an abort may take longer, so they have a task of their own.
        """
        if not self.cancel_on_kill:
            return
        aborting = asyncio.create_task(self._abort())
        _aborting.add(aborting)
        aborting.add_done_callback(_aborting.discard)
        while not aborting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.shield(aborting)

    async def _abort(self) -> None:
        async with await self._driver() as driver:
            for job_id in self.job_ids:
                try:
                    await driver.run(self._jobs(driver).abort(job_id))
                    self.log.info("job %s is aborted, since the task was killed", job_id)
                except SfBulkError as error:
                    self.log.warning("job %s could not be aborted: %s", job_id, error)

    async def _driver(self) -> AsyncDriver:
        return await SalesforceBulkHook(self.salesforce_conn_id, api_version=self.api_version).get_async_driver()

    def _jobs(self, driver: AsyncDriver) -> Jobs:
        return jobs_of(JobType(self.job_type), driver.api_version)

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else max(0.0, self.deadline - time.time())
