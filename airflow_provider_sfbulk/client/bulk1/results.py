"""Results of whole loads and whole queries with Bulk API 1.0, and the result files of a query."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1Job, ContentType, RecordResult
from airflow_provider_sfbulk.client.bulk1.object_rows import json_rows, xml_rows
from airflow_provider_sfbulk.client.bulk1.outcome import BatchOutcome, read_outcome
from airflow_provider_sfbulk.client.bulk1.waiting import own_batches, wait_for_batches
from airflow_provider_sfbulk.client.csv.decode import RecordCounter, find_dialect, read_rows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Flow, Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, ServerBusyError, TransportError
from airflow_provider_sfbulk.client.faces.declare import (
    Give,
    Stream,
    drained,
    drained_beside,
    mapped,
)
from airflow_provider_sfbulk.client.faces.job_calls import Waiting
from airflow_provider_sfbulk.client.faces.rows import rows
from airflow_provider_sfbulk.client.faces.whole_results import (
    AsyncLoad,
    AsyncQuery,
    BlockingLoad,
    BlockingQuery,
    WholeLoad,
    WholeQuery,
)
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.replies.refusal import is_html
from airflow_provider_sfbulk.client.results.spool import DownloadedFile
from airflow_provider_sfbulk.client.waiting.jobs import batch_end

NO_RECORDS: Final = b"Records not found for this query"
"""All that the CSV of a query without rows holds: no header, no line ending. Seen by many clients."""

_NO_REASON: Final = BulkError("", "Salesforce gives no reason")


class Bulk1LoadResult(WholeLoad):
    """A load: its batches and what became of its records. Iterate for the records' results, in the order sent.

    Results are read from Salesforce each time they are asked for, a batch at a time.

    :param sent: the batches, in the order of the records
    """

    def __init__(self, client: Any, sent: Sequence[AcceptedBatch], waiting: Waiting = Waiting()) -> None:  # noqa: B008 - frozen
        super().__init__(client, waiting)
        self._jobs = Bulk1Calls(client.api_version)
        self._sent = sent
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
                    f"batch {batch.id} has {batch.processed} records, but {sent.records} were sent", job_id=batch.job_id
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
        """The final batches, in the order of the records. Waits for them first, if necessary."""
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
            outcome: BatchOutcome = yield read_outcome(self._jobs, sent, batch_end(batch))
            yield Give(outcome.rows())


class Bulk1Result(Bulk1LoadResult, BlockingLoad):
    __doc__ = Bulk1LoadResult.__doc__

    @property
    def jobs(self) -> list[Bulk1Job]:
        """The jobs as they are now."""
        return self._client.run(self._read_jobs())

    def __iter__(self) -> Iterator[RecordResult]:
        return drained(self._client, self._rows())


class AsyncBulk1Result(Bulk1LoadResult, AsyncLoad):
    __doc__ = (Bulk1LoadResult.__doc__ or "").replace("Iterate for", "``async for`` gives")

    @property
    def jobs(self) -> Awaitable[list[Bulk1Job]]:
        """The jobs as they are now: ``await result.jobs``."""
        return self._client.run(self._read_jobs())

    def __aiter__(self) -> AsyncIterator[RecordResult]:
        return drained_beside(self._client, self._rows())


class Bulk1QueryRows(WholeQuery):
    """The rows of a finished query: iterate for dicts. ``len()`` is known before. Each iteration reads the files again.

    :param job: the query's
    :param batches: those that hold rows
    """

    def __init__(self, client: Any, job: Bulk1Job, batches: Sequence[BatchInfo]) -> None:
        self.job = job
        self.batches = list(batches)
        self._client = client
        self._jobs = Bulk1Calls(client.api_version)

    def __len__(self) -> int:
        return sum(each.processed for each in self.batches)

    def _rows(self) -> Stream[dict[str, Any]]:
        for batch in self.batches:
            yield from _read_batch(self._jobs, self.job.content_type, batch)


class Bulk1QueryResult(Bulk1QueryRows, BlockingQuery):
    __doc__ = Bulk1QueryRows.__doc__


class AsyncBulk1QueryResult(Bulk1QueryRows, AsyncQuery):
    __doc__ = (Bulk1QueryRows.__doc__ or "").replace("iterate for dicts", "``async for`` gives dicts")


def _read_batch(jobs: Bulk1Calls, content_type: ContentType, batch: BatchInfo) -> Stream[dict[str, Any]]:
    """Read the rows of a query batch from all its files. Each file is on disk and whole before its rows are given.

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
        raise ProtocolError(
            f"batch {batch.id} has {batch.processed} rows, but {seen} were received", job_id=batch.job_id
        )


class Bulk1RowsFile(DownloadedFile):
    """A sink on disk; :meth:`rows` reads it once it is finished.

    CSV is checked when it ends, XML and JSON while they are read: they mark their own end.

    :param content_type: the job's
    """

    def __init__(self, content_type: ContentType) -> None:
        self._content_type = content_type
        self._counter = RecordCounter(Dialect())
        self._start = b""
        self._dialect = Dialect()

    def start(self, reply: Reply) -> None:
        """Start over.

        :raises ServerBusyError: the reply is a web page
        """
        if is_html(reply):
            raise ServerBusyError("the reply is a web page instead of rows, as during maintenance", status=reply.status)
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
        """Check that the file is whole.

        :raises TransportError: it is not whole
        """
        if self._content_type is not ContentType.CSV or self.is_empty:
            return
        self._counter.finish()
        found = find_dialect(self._counter.header_line, Dialect())
        if found is None:
            raise TransportError("the result file has no header line")
        self._dialect = found

    @property
    def is_empty(self) -> bool:
        """Whether it is the CSV of a query without rows."""
        return self._content_type is ContentType.CSV and self._start.strip() in (NO_RECORDS, b"")

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read the rows, once: the file is discarded afterwards. CSV rows are text, the others are trees."""
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
