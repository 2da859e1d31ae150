"""What the results of whole loads and whole queries have in common in both generations of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Self

from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.checks import without_async
from airflow_provider_sfbulk.client.faces.declare import Asynchronous, Blocking, Stream, drained, drained_beside
from airflow_provider_sfbulk.client.faces.job_calls import Timeout, Waiting
from airflow_provider_sfbulk.client.faces.rows import rows
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule


class WholeLoad:
    """A load whose jobs may still be running.

    :param waiting: how to wait when a count is asked for before :meth:`wait` was called
    """

    _client: Any

    def __init__(self, client: Any, waiting: Waiting = Waiting()) -> None:  # noqa: B008 - frozen
        self._client = client
        self._waits = waiting

    def waited(self, waiting: Waiting | None = None) -> Flow[Self]:
        """Wait until all jobs are final."""
        raise NotImplementedError

    @property
    def successful_count(self) -> int:
        """Records that were saved."""
        raise NotImplementedError

    @property
    def total_count(self) -> int:
        """Records that were sent."""
        raise NotImplementedError

    @property
    def success_rate(self) -> float:
        """Share of the records that were saved, from 0.0 to 1.0."""
        return self.successful_count / self.total_count

    def _wait_now(self) -> None:
        raise NotImplementedError


class BlockingLoad(Blocking, WholeLoad):
    """A load that blocks while it waits."""

    def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: Callable[[Any], Awaitable[None] | None] | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all jobs, and all batches of Bulk API 1.0, are final.

        :param timeout: in seconds or as a timedelta, with Bulk API 1.0 for each job; None for no limit
        :param on_progress: called with each job as it is read: a ``JobInfo``, or a ``Bulk1Job``
        :raises JobTimeoutError: the wait ended; the jobs continue
        :raises ProtocolError: the counters do not match what was sent
        :raises LedgerError: a job of Bulk API 1.0 has a batch that was not sent: the network may have sent one twice
        """
        without_async({"on_progress": on_progress})
        return self._client.run(self.waited(Waiting(timeout, on_progress, schedule)))

    def _wait_now(self) -> None:
        self._client.run(self.waited())


class AsyncLoad(Asynchronous, WholeLoad):
    """A load that is awaited."""

    async def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: Callable[[Any], Awaitable[None] | None] | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all jobs are final, see :meth:`BlockingLoad.wait`."""
        return await self._client.run(self.waited(Waiting(timeout, on_progress, schedule)))

    def _wait_now(self) -> None:
        raise SourceError("the load has not been waited for: await result.wait() first")


class WholeQuery:
    """The rows of a finished query. ``len()`` is known before they are read; each iteration reads them anew."""

    locator: None = None
    """Always None: all rows are read. To read page by page: ``client.query.result_pages`` and ``results``."""

    _client: Any

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def record_count(self) -> int:
        """How many rows there are."""
        return len(self)

    @rows
    def records(self) -> tuple[Callable[[], int], Callable[[], Stream[dict[str, Any]]]]:
        """The rows, from the first."""
        return self.__len__, self._rows

    def _rows(self) -> Stream[dict[str, Any]]:
        raise NotImplementedError


class BlockingQuery(Blocking, WholeQuery):
    """A query whose rows are iterated over."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return drained(self._client, self._rows())


class AsyncQuery(Asynchronous, WholeQuery):
    """A query whose rows are iterated over with ``async for``."""

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return drained_beside(self._client, self._rows())
