"""A query with Bulk API 1.0, from its job to its last result file.

Facts (Bulk API guide, "Using Bulk Query" and "PK Chunking Header"):

* A query is a job with one batch, the SOQL. Its rows come in result files, each a CSV with a header row.
* Under PK chunking the batch that was sent ends ``NotProcessed`` and others hold the rows. They all exist once it has
  left the queue; a job that is closed before may lack some.
* The CSV of a query without rows is one line of prose, without a header.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec, is_in_doubt
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, Bulk1JobState
from airflow_provider_sfbulk.client.bulk1.waiting import QUERY_TRIES, batches_with_rows, wait_for_split
from airflow_provider_sfbulk.client.csv.decode import RecordCounter
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Body, Concurrently, Flow, ReadEntry, Reply, Sink, WriteEntry
from airflow_provider_sfbulk.client.errors import (
    ProtocolError,
    RequestRefusedError,
    SfBulkError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.extract.pages import HeaderRow, MakeSink, Page
from airflow_provider_sfbulk.client.extract.query_job import USABLE, Submitted, abort_quietly, find_recorded, job_key
from airflow_provider_sfbulk.client.protocol.call import CSV
from airflow_provider_sfbulk.client.protocol.distrust import CsvSink
from airflow_provider_sfbulk.client.replies.safe_text import without_values
from airflow_provider_sfbulk.client.results.downloads import columns_of
from airflow_provider_sfbulk.client.soql import selected_fields
from airflow_provider_sfbulk.client.waiting.jobs import ClassicJobs

GONE: Final = "InvalidJob"
"""Salesforce's code for a job that does not exist."""

log = logging.getLogger(__name__)


def submit(jobs: Bulk1Calls, spec: Bulk1JobSpec, soql: str, *, plan: str = "") -> Flow[Submitted]:
    """Find the query job that an earlier try recorded, or create one and record it.

    A job that failed, was aborted, is gone or may lack its batch is followed by a new one: reading again changes nothing.

    :param plan: a digest of what is asked for
    :raises RequestRefusedError: when Salesforce refuses the job
    """

    def is_usable(known: Mapping[str, Any], generation: int) -> Flow[bool]:
        batch = known if "batch_id" in known else (yield ReadEntry(_batch_key(generation)))
        return (yield from _is_usable(jobs, spec, known["job_id"], batch))

    found, generation = yield from find_recorded(jobs, plan, is_usable)
    if found is not None:
        return found
    last = generation + QUERY_TRIES - 1
    while True:
        job = yield from jobs.create(spec)
        yield WriteEntry(job_key(generation), {"job_id": job.id, "plan": plan})
        try:
            body = Body.of(soql.encode(), spec.rows_in.media_type)
            batch = yield from jobs.add_batch(job.id, body, hide=partial(without_values, soql=soql))
        except (TransientError, ProtocolError) as error:
            yield from abort_quietly(jobs, job.id)
            if generation == last or (isinstance(error, TransientError) and not is_in_doubt(error)):
                raise
            log.warning("query job %s may not have received its query (%s): creating another job", job.id, error)
            generation += 1
            continue
        yield WriteEntry(_batch_key(generation), {"batch_id": batch.id})
        yield from _close(jobs, spec, job.id, batch.id)
        return Submitted(job.id)


def _batch_key(generation: int) -> str:
    return f"0b.{generation}"


def _is_usable(jobs: Bulk1Calls, spec: Bulk1JobSpec, job_id: str, batch: Mapping[str, Any] | None) -> Flow[bool]:
    """Whether an earlier try's job is worth waiting for. A job that is still open is closed first.

    :param batch: what is recorded about its batch; None when the try ended before that
    """
    if batch is None:
        yield from abort_quietly(jobs, job_id)
        return False
    try:
        if (yield from jobs.get(job_id)).state is Bulk1JobState.OPEN:
            yield from _close(jobs, spec, job_id, batch["batch_id"])
        info = yield from ClassicJobs(jobs.api_version).get(job_id)
    except RequestRefusedError as error:
        if error.error_code != GONE:
            raise
        return False
    return info.state in USABLE


def _close(jobs: Bulk1Calls, spec: Bulk1JobSpec, job_id: str, batch_id: str) -> Flow[None]:
    if spec.pk_chunking is not None:
        yield from wait_for_split(jobs, job_id, batch_id)
    yield from jobs.close(job_id)


class ByFiles:
    """The result files of a finished query job, each as a page: a ``extract.query_job.Reader``.

    :param at_once: files to read at the same time
    """

    def __init__(self, jobs: Bulk1Calls, job_id: str, *, at_once: int) -> None:
        self.api_version = jobs.api_version
        self.paging = {"api_version": jobs.api_version, "files": True}
        self._jobs = jobs
        self._job_id = job_id
        self._at_once = at_once
        self._found: list[tuple[BatchInfo, str]] | None = None

    def columns(self) -> Flow[tuple[str, ...]]:
        """Read the header row of the first file; for a result without rows, the fields that the SOQL selects."""
        for batch, result_id in (yield from self._files()):
            start = _Start()
            with suppress(_HeaderSeenError):
                yield from self._jobs.query_result(self._job_id, batch.id, result_id, CsvSink(start))
            return columns_of(start.header, Dialect())
        return (yield from self._selected())

    def pages(
        self, make_sink: MakeSink, done: Sequence[Page], on_page: Callable[[Page], Flow[None]] | None
    ) -> Flow[list[Page]]:
        """Read all files but those of ``done``.

        :raises ProtocolError: a batch has no files, or they do not have as many rows as it says
        """
        places = list(enumerate((yield from self._files())))
        if not places:
            return [(yield from self._nothing(done, make_sink, on_page))]
        kept = {(page.index, page.locator): page for page in done}
        found = [kept[index, result_id] for index, (_, result_id) in places if (index, result_id) in kept]
        header = HeaderRow(found[0].header if found else None)
        found += yield Concurrently(
            (
                self._page(index, batch, result_id, make_sink(index), header, on_page)
                for index, (batch, result_id) in places
                if (index, result_id) not in kept
            ),
            max(1, self._at_once),
        )
        found.sort(key=lambda page: page.index)
        self._check([batch for _, (batch, _) in places], found)
        return found

    def _page(
        self,
        index: int,
        batch: BatchInfo,
        result_id: str,
        sink: Sink,
        header: HeaderRow,
        on_page: Callable[[Page], Flow[None]] | None,
    ) -> Flow[Page]:
        file = _FileSink(sink, header)
        yield from self._jobs.query_result(self._job_id, batch.id, result_id, file)
        page = Page(index, result_id, None, file.records, file.header, in_order=False)
        if on_page is not None:
            yield from on_page(page)
        return page

    def _files(self) -> Flow[list[tuple[BatchInfo, str]]]:
        if self._found is None:
            batches = batches_with_rows(self._job_id, None, (yield from self._jobs.list_batches(self._job_id)))
            self._found = []
            for batch in (each for each in batches if each.processed):
                result_ids = yield from self._jobs.result_ids(self._job_id, batch.id)
                if not result_ids:
                    raise _other_rows(batch, 0)
                self._found += [(batch, each) for each in result_ids]
        return self._found

    @staticmethod
    def _check(batches: Sequence[BatchInfo], found: Sequence[Page]) -> None:
        read: Counter[str] = Counter()
        for batch, page in zip(batches, found, strict=True):
            read[batch.id] += page.records
        for batch in batches:
            if read[batch.id] != batch.processed:
                raise _other_rows(batch, read[batch.id])

    def _nothing(
        self, done: Sequence[Page], make_sink: MakeSink, on_page: Callable[[Page], Flow[None]] | None
    ) -> Flow[Page]:
        """Make the page of a result without rows: Salesforce sends nothing, not even a header."""
        if done:
            return done[0]
        header = ",".join(f'"{name}"' for name in (yield from self._selected())).encode()
        sink = make_sink(0)
        sink.start(Reply(200, {"content-type": CSV}))
        sink.write(header + b"\n")
        sink.finish()
        page = Page(0, None, None, 0, header, in_order=False)
        if on_page is not None:
            yield from on_page(page)
        return page

    def _selected(self) -> Flow[tuple[str, ...]]:
        """Read the selected fields from the query itself."""
        (batch, *_) = yield from self._jobs.list_batches(self._job_id)
        names = selected_fields((yield from self._jobs.request(self._job_id, batch.id)).decode())
        if not names:
            raise ProtocolError("the query has no rows, and its fields cannot be read from the SOQL")
        return names


def _other_rows(batch: BatchInfo, received: int) -> ProtocolError:
    return ProtocolError(
        f"batch {batch.id} has {batch.processed} rows, but {received} were received", job_id=batch.job_id
    )


class _HeaderSeenError(SfBulkError):
    """Enough has come."""


class _FileSink(CsvSink):
    """A sink that passes on only a whole result file with the same header row as the others."""

    def __init__(self, inner: Sink, row: HeaderRow) -> None:
        super().__init__(inner)
        self._row = row
        self._counter = RecordCounter(Dialect())

    @property
    def records(self) -> int:
        """Rows of the file."""
        return self._counter.records

    @property
    def header(self) -> bytes:
        """The header row, without line ending."""
        return self._counter.header_line.rstrip(b"\r\n")

    def start(self, reply: Reply) -> None:
        """Start over."""
        super().start(reply)
        self._counter = RecordCounter(Dialect())

    def write(self, data: bytes) -> None:
        """Count, and pass on."""
        self._counter.feed(data)
        super().write(data)

    def finish(self) -> None:
        """Check the file, then let ``inner`` check it.

        :raises TransportError: the file is not whole
        :raises OtherHeaderError: its header differs from that of the other files
        """
        self._counter.finish()
        self._row.agree(self.header)
        super().finish()


class _Start:
    """A sink that reads a header row and then has enough."""

    def __init__(self) -> None:
        self.header = b""
        self._counter = RecordCounter(Dialect())

    def start(self, _: Reply) -> None:
        self._counter = RecordCounter(Dialect())

    def write(self, data: bytes) -> None:
        self._counter.feed(data)
        if self._counter.header_line:
            self.header = self._counter.header_line.rstrip(b"\r\n")
            raise _HeaderSeenError("the header row has come")

    def finish(self) -> None:
        raise TransportError("a result file without a header row")

    def discard(self) -> None:
        """Keep what was seen."""
