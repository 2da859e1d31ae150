"""What a trigger has of the triggerer's watcher, in a schedule: no event loop, and the looks of one wait only.

How a watcher shares its calls and tells the right ones is tested where it runs:
``tests/provider/triggers/test_watcher.py``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import JobTimeoutError, SfBulkError
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.client.protocol.jobs import jobs_of
from airflow_provider_sfbulk.client.waiting.schedule import Schedule
from airflow_provider_sfbulk.client.waiting.wait import wait_until_final
from airflow_provider_sfbulk.triggers.event import WaitOutcome
from airflow_provider_sfbulk.triggers.watcher import WaitEnd
from tests.simulator.world.driver import TriggerersDriver

T = TypeVar("T")


class SimulatedWatcher:
    """The watcher of one trigger."""

    def __init__(self, driver: TriggerersDriver) -> None:
        self._driver = driver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._driver.__aexit__()

    async def run(self, flow: Callable[[Any], Flow[T]]) -> T:
        """Run a flow."""
        result: T = await self._driver.run(flow(self._driver))
        return result

    async def wait_for_jobs(
        self, job_ids: Sequence[str], job_type: JobType, *, longest: float, deadline: float | None, **_: Any
    ) -> WaitEnd:
        """Look until all are final. As with a list of jobs, not every end comes with what was read."""
        ended: list[JobInfo] = []
        outcome, failure = WaitOutcome.FINAL, None
        calls = self._driver.calls
        try:
            ended = await self._driver.run(
                wait_until_final(
                    jobs_of(job_type, self._driver.api_version),
                    job_ids,
                    schedule=Schedule(first=12.0, growth=1.0, longest=longest),
                    timeout=None if deadline is None else max(0.0, deadline - time.time()),
                )
            )
        except JobTimeoutError:
            outcome = WaitOutcome.TIMEOUT
        except SfBulkError as error:
            outcome, failure = WaitOutcome.ERROR, error
        made = self._driver.calls - calls
        return WaitEnd(outcome, made, tuple(ended) if made % 2 else (), failure)
