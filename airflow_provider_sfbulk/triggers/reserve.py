"""The trigger that waits for spare API calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sfbulk.client.errors import StoppedError
from airflow_provider_sfbulk.client.protocol.reserve import ApiReserve
from airflow_provider_sfbulk.triggers import job
from airflow_provider_sfbulk.triggers.event import WaitEvent, WaitOutcome
from airflow_provider_sfbulk.triggers.stored import count_of, moment_of
from airflow_provider_sfbulk.triggers.watcher import WaitEnd, watcher_of


class ApiReserveTrigger(BaseTrigger):
    """Fires once, when the org has at least the reserved number of API calls left, or the deadline has passed.

    The watcher of the connection reads the org's limits every few minutes, once for all waiting triggers, and not at all
    while other replies report them.

    :param api_reserve: calls to leave in the org, or a fraction of the day's
    :param salesforce_conn_id: the connection to sign in with
    :param api_version: instead of the connection's
    :param deadline: when the wait ends, in seconds since 1970; None for never
    :param api_calls: calls the task has made before, to be added to the event's own
    """

    def __init__(
        self,
        *,
        api_reserve: float,
        salesforce_conn_id: str,
        api_version: str | None = None,
        deadline: float | None = None,
        api_calls: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.api_reserve = api_reserve
        self.salesforce_conn_id = salesforce_conn_id
        self.api_version = api_version
        self.deadline = moment_of(deadline)
        self.api_calls = count_of(api_calls)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what Airflow stores."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "api_reserve": self.api_reserve,
                "salesforce_conn_id": self.salesforce_conn_id,
                "api_version": self.api_version,
                "deadline": self.deadline,
                "api_calls": self.api_calls,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait. The task checks again before it sends anything."""
        await asyncio.sleep(job.SHORTEST_DEFERRAL_SECONDS)
        try:
            async with watcher_of(self.salesforce_conn_id, self.api_version) as watcher:
                end = await watcher.wait_for_reserve(ApiReserve.of(self.api_reserve), deadline=self.deadline)
        except Exception as error:
            self.log.exception("the wait for API calls failed")
            end = WaitEnd(WaitOutcome.ERROR, 0, error=StoppedError(type(error).__name__))
        if end.outcome is WaitOutcome.ERROR:
            self.log.warning("the wait for API calls ended with an error: %s", end.error)
        event = WaitEvent(outcome=end.outcome, job_ids=(), api_calls=self.api_calls + end.api_calls)
        yield TriggerEvent(event.to_dict())  # type: ignore[no-untyped-call]
