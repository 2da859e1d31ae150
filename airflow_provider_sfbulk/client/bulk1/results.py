"""What a whole load and a whole query by Bulk API 1.0 give back, and the result files of a query."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1Job, ContentType, RecordResult
from airflow_provider_sfbulk.client.bulk1.object_rows import json_rows, xml_rows
from airflow_provider_sfbulk.client.bulk1.outcome import BatchOutcome, read_outcome
from airflow_provider_sfbulk.client.bulk1.waiting import OnBulk1Progress, as_job, own_batches, wait_for_batches
from airflow_provider_sfbulk.client.csv.decode import RecordCounter, find_dialect, read_rows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Flow, Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, ServerBusyError, SourceError, TransportError
from airflow_provider_sfbulk.client.faces.declare import (
    Asynchronous,
    Blocking,
    Give,
    Stream,
    drained,
    drained_beside,
    mapped,
)
from airflow_provider_sfbulk.client.faces.job_calls import Timeout, Waiting
from airflow_provider_sfbulk.client.faces.rows import rows
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.replies.refusal import is_html
from airflow_provider_sfbulk.client.results.spool import DownloadedFile
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule

NO_RECORDS: Final = b"Records not found for this query"
"""All that the CSV of a query without rows holds: no header, no line ending. Seen by many clients."""

_NO_REASON: Final = BulkError("", "Salesforce gives no reason")


class Bulk1LoadResult:
    """A load: its batches and what became of its records. Iterate for the records' results, in the order of the records.

    Results are read from Salesforce each time they are asked for, a batch at a time.

    :param sent: the batches, in the order of the records
    """

    _client: Any

    def __init__(self, client: Any, sent: Sequence[AcceptedBatch], waiting: Waiting = Waiting()) -> None:  # noqa: B008 - frozen
        self._client = client
        self._jobs = Bulk1Calls(client.api_version)
        self._sent = sent
        self._waits = waiting
        self._batches: list[BatchInfo] | None = None

    def waited(self, waiting: Waiting | None = None) -> Flow[Self]:
        """Wait until all batches are final."""
        options = (waiting or self._waits).options()
        found: dict[str, BatchInfo] = {}
        for job_id in self.job_ids:
            keys = {each.key for each in self._sent if each.job_id == job_id}
            ended = yield from wait_for_batches(self._jobs, job_id, expected=keys, **options)
            found |= own_batches(job_id, ended, keys)
        batches = [found[each.key] for each in self._sent]
        for batch, sent in zip(batches, self._sent, strict=True):
            if batch.state is BatchState.COMPLETED and batch.processed != sent.records:
                raise ProtocolError(
                    f"batch {batch.id} has {batch.processed} records, {sent.records} were sent", job_id=batch.job_id
                )
        self._batches = batches
        return self

    @property
    def job_ids(self) -> list[str]:
        """Ids of the jobs: one, or more after a lost reply."""
        return list(dict.fromkeys(each.job_id for each in self._sent))

    def _read_jobs(self) -> Flow[list[Bulk1Job]]:
        jobs = []
        for job_id in self.job_ids:
            jobs.append((yield from self._jobs.get(job_id)))
        return jobs

    @property
    def batches(self) -> list[BatchInfo]:
        """The final batches, in the order of the records; waits for them if that was not done yet."""
        if self._batches is None:
            self._wait_now()
        assert self._batches is not None
        return self._batches

    @property
    def is_successful(self) -> bool:
        """Whether every record was saved."""
        return all(each.is_successful for each in self.batches)

    @property
    def successful_count(self) -> int:
        """Records that were saved."""
        return sum(each.successful for each in self.batches)

    @property
    def failed_count(self) -> int:
        """Records that failed."""
        return sum(each.failed for each in self.batches)

    @property
    def unprocessed_count(self) -> int:
        """Records that Salesforce never tried."""
        return self.total_count - self.successful_count - self.failed_count

    @property
    def total_count(self) -> int:
        """Records that were sent."""
        return sum(each.records for each in self._sent)

    @property
    def success_rate(self) -> float:
        """Share of the records that were saved, from 0.0 to 1.0."""
        return self.successful_count / self.total_count

    @rows
    def errors(self) -> tuple[Callable[[], int], Callable[[], Stream[BulkError]]]:
        """Why records were not saved, in their order: one error for each of them."""

        def read() -> Stream[BulkError]:
            return mapped(
                self._rows(), lambda found: ((*each.errors, _NO_REASON)[0] for each in found if not each.success)
            )

        return (lambda: self.total_count - self.successful_count), read

    @rows
    def results(self) -> tuple[Callable[[], int], Callable[[], Stream[RecordResult]]]:
        """What became of the records, in their order: the n-th result is the n-th record's."""
        return self.__len__, self._rows

    def __len__(self) -> int:
        return self.total_count

    def _rows(self) -> Stream[RecordResult]:
        for batch, sent in zip(self.batches, self._sent, strict=True):
            outcome: BatchOutcome = yield read_outcome(self._jobs, sent, as_job(batch))
            yield Give(outcome.results)

    def _wait_now(self) -> None:
        raise NotImplementedError


class Bulk1Result(Blocking, Bulk1LoadResult):
    __doc__ = Bulk1LoadResult.__doc__

    def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: OnBulk1Progress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all batches are final.

        :param timeout: of the wait for each job, in seconds or as a timedelta; None for no end
        :raises JobTimeoutError: the wait ended; the job goes on
        :raises ProtocolError: a batch's counters do not fit what was sent
        :raises LedgerError: a job has a batch that was not sent: the network may have sent one twice
        """
        return self._client.run(self.waited(Waiting(timeout, on_progress, schedule)))

    @property
    def jobs(self) -> list[Bulk1Job]:
        """The jobs as they are now."""
        return self._client.run(self._read_jobs())

    def __iter__(self) -> Iterator[RecordResult]:
        return drained(self._client, self._rows())

    def _wait_now(self) -> None:
        self._client.run(self.waited())


class AsyncBulk1Result(Asynchronous, Bulk1LoadResult):
    __doc__ = (Bulk1LoadResult.__doc__ or "").replace("Iterate for", "``async for`` gives")

    async def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: OnBulk1Progress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all batches are final, see :meth:`Bulk1Result.wait`."""
        return await self._client.run(self.waited(Waiting(timeout, on_progress, schedule)))

    @property
    def jobs(self) -> Awaitable[list[Bulk1Job]]:
        """The jobs as they are now: ``await result.jobs``."""
        return self._client.run(self._read_jobs())

    def __aiter__(self) -> AsyncIterator[RecordResult]:
        return drained_beside(self._client, self._rows())

    def _wait_now(self) -> None:
        raise SourceError("the batches have not been waited for: await result.wait() first")


class Bulk1QueryRows:
    """The rows of a finished query: iterate for dicts. ``len()`` is known before. Each iteration reads the files anew.

    :param job: the query's
    :param batches: those that hold rows
    """

    locator: None = None
    """Always None: all files are read."""

    _client: Any

    def __init__(self, client: Any, job: Bulk1Job, batches: Sequence[BatchInfo]) -> None:
        self.job = job
        self.batches = list(batches)
        self._client = client
        self._jobs = Bulk1Calls(client.api_version)

    def __len__(self) -> int:
        return sum(each.processed for each in self.batches)

    @property
    def record_count(self) -> int:
        """How many rows there are."""
        return len(self)

    @rows
    def records(self) -> tuple[Callable[[], int], Callable[[], Stream[dict[str, Any]]]]:
        """The rows, from the first."""
        return self.__len__, self._rows

    def _rows(self) -> Stream[dict[str, Any]]:
        for batch in self.batches:
            yield from _read_batch(self._jobs, self.job.content_type, batch)


class Bulk1QueryResult(Blocking, Bulk1QueryRows):
    __doc__ = Bulk1QueryRows.__doc__

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return drained(self._client, self._rows())


class AsyncBulk1QueryResult(Asynchronous, Bulk1QueryRows):
    __doc__ = (Bulk1QueryRows.__doc__ or "").replace("iterate for dicts", "``async for`` gives dicts")

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return drained_beside(self._client, self._rows())


def _read_batch(jobs: Bulk1Calls, content_type: ContentType, batch: BatchInfo) -> Stream[dict[str, Any]]:
    """Read the rows of a query batch, from all its files, each of them on disk and whole before its rows are given.

    :raises ProtocolError: at the end, when there are not as many rows as the batch says
    """
    seen = 0

    def counted(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        nonlocal seen
        for row in rows:
            seen += 1
            yield row

    ids: list[str] = yield jobs.result_ids(batch.job_id, batch.id)
    for result_id in ids:
        file = Bulk1RowsFile(content_type)
        yield jobs.query_result(batch.job_id, batch.id, result_id, file)
        yield Give(counted(file.rows()))
    if seen != batch.processed:
        raise ProtocolError(f"batch {batch.id} has {batch.processed} rows, {seen} came", job_id=batch.job_id)


class Bulk1RowsFile(DownloadedFile):
    """A sink on disk; :meth:`rows` reads it once it is finished.

    CSV is proven whole when it ends, XML and JSON while they are read: both have an end of their own.

    :param content_type: the job's
    """

    def __init__(self, content_type: ContentType) -> None:
        self._content_type = content_type
        self._counter = RecordCounter(Dialect())
        self._start = b""
        self._dialect = Dialect()

    def start(self, reply: Reply) -> None:
        """Begin anew.

        :raises ServerBusyError: the reply is a web page
        """
        if is_html(reply):
            raise ServerBusyError("a web page where rows are due, as in a maintenance", status=reply.status)
        self._open()
        self._counter = RecordCounter(Dialect())
        self._start = b""

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._opened().write(data)
        if len(self._start) <= len(NO_RECORDS):
            self._start += data[: len(NO_RECORDS) + 2]
        if self._content_type is ContentType.CSV:
            self._counter.feed(data)

    def finish(self) -> None:
        """Prove it.

        :raises TransportError: it is not whole
        """
        if self._content_type is not ContentType.CSV or self.is_empty:
            return
        self._counter.finish()
        found = find_dialect(self._counter.header_line, Dialect())
        if found is None:
            raise TransportError("what came has no header")
        self._dialect = found

    @property
    def is_empty(self) -> bool:
        """Whether it is the CSV of a query without rows."""
        return self._content_type is ContentType.CSV and self._start.strip() in (NO_RECORDS, b"")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read the rows, once: the file goes with them. CSV's are all text, the others' are trees."""
        file = self._opened()
        try:
            file.seek(0)
            if self.is_empty:
                return
            if self._content_type is ContentType.XML:
                yield from xml_rows(file)
            elif self._content_type is ContentType.JSON:
                yield from json_rows(file)
            else:
                yield from read_rows(self._chunks(), self._dialect)
        finally:
            self.discard()
