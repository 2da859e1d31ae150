"""What became of the records of one batch of Bulk API 1.0, and the batch itself as it is read back.

The results of a batch come in the order of the request and without the records, so a row's position says which record
it is. The records are read back from Salesforce and compared with the digest of what was sent. Neither needs the input.

Facts (Bulk API guide, "Interpret Batch State"): "Even if the batch failed, some records could have been completed
successfully. The numberRecordsProcessed field tells you how many records were processed." Then "get the batch results
to see which". Salesforce's own Data Loader reads results that end early as those of the first records, and the records
after them as never tried. Some failed batches have no results at all (``InvalidBatch``: "Records not processed"): then
it is unknown which of their records were saved.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch, unpacked
from airflow_provider_sfbulk.client.bulk1.models import ContentType, RecordResult
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Body, Flow
from airflow_provider_sfbulk.client.errors import ProtocolError, RequestRefusedError
from airflow_provider_sfbulk.client.load.rounds import DOUBT
from airflow_provider_sfbulk.client.models import BulkError, ColumnDelimiter, JobInfo, JobState, LineEnding, ResultKind
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE, Part, Spool
from airflow_provider_sfbulk.client.results.typed import insert_column, read_text

WHOLE_BATCH: Final = "InvalidBatch"
"""Code, Salesforce's, of records that were not tried because their batch failed as a whole."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchOutcome:
    """The results of a batch, one for each of its records, in their order."""

    results: Sequence[RecordResult]

    def places(self, kind: ResultKind) -> NDArray[np.int64]:
        """Return the places, from 0, of the records of that kind."""
        return np.flatnonzero([_kind(each) == kind for each in self.results]).astype(np.int64)

    @property
    def codes(self) -> list[str]:
        """Salesforce's code for each failed record."""
        failed = (each for each in self.results if _kind(each) == "failed")
        return [each.errors[0].status_code if each.errors else "" for each in failed]


def _kind(result: RecordResult) -> ResultKind:
    if result.success:
        return "successful"
    return "failed" if result.processed else "unprocessed"


def read_outcome(jobs: Bulk1Calls, batch: AcceptedBatch, end: JobInfo) -> Flow[BatchOutcome]:
    """Read what became of a batch's records. Those whose fate is unknown count as failed, with the code ``DOUBT``.

    :param end: of the batch, see ``waiting.jobs.batch_end``
    """
    if end.state is JobState.JOB_COMPLETE:
        return BatchOutcome(
            (yield from jobs.results(batch.job_id, batch.batch_id, ContentType.CSV, records=batch.records))
        )
    found: list[RecordResult] = []
    if end.processed:
        try:
            found = yield from jobs.results(batch.job_id, batch.batch_id, ContentType.CSV, records=None)
        except (RequestRefusedError, ProtocolError) as error:
            log.warning(
                "batch %s failed after %d records, and has no results: %s", batch.batch_id, end.processed, error
            )
    return BatchOutcome(_fill_up(found, batch.records, end))


def _fill_up(found: list[RecordResult], records: int, end: JobInfo) -> list[RecordResult]:
    """Say for each record of a failed batch what is certain.

    :param found: results of its first records, as far as there are any
    """
    why = " ".join((end.error_message or f"the batch ended {end.state}").split())[:200]
    untried = RecordResult(None, False, False, (BulkError(WHOLE_BATCH, why),), processed=False)
    doubtful = BulkError(
        DOUBT,
        f"the batch failed after {end.processed} of {records} records, and Salesforce does not say whether this one was "
        f"saved ({why})",
    )
    unknown = RecordResult(None, False, False, (doubtful,))
    saved = sum(each.success for each in found)
    if len(found) > records:
        return [unknown] * records
    if saved == end.successful:
        return [*found, *[untried] * (records - len(found))]
    if len(found) == records:  # results and counters contradict each other
        return [each if each.success else unknown for each in found]
    return [*found, *[unknown] * (records - len(found))]


def read_back(jobs: Bulk1Calls, batch: AcceptedBatch) -> Flow[Part]:
    """Read back what was sent as a batch.

    :raises ProtocolError: it is something else
    """
    data = unpacked((yield from jobs.request(batch.job_id, batch.batch_id)))
    if hashlib.sha256(data).hexdigest() != batch.sha256:
        raise ProtocolError(
            f"batch {batch.batch_id} of job {batch.job_id} was read back with other records than were sent",
            job_id=batch.job_id,
        )
    ending = LineEnding.CRLF if data.partition(b"\n")[0].endswith(b"\r") else LineEnding.LF
    return Part(
        number=batch.number,
        first_row=batch.first_row,
        records=batch.records,
        length=batch.length,
        sha256=batch.sha256,
        body=Body.of(data, CONTENT_TYPE),
        dialect=Dialect(ColumnDelimiter.COMMA, ending),
        spool=Spool(),
    )


class BatchRows:
    """The rows of one kind, in the order of the batch: a ``KindRows``. A batch is small enough for memory.

    :param part: what was sent
    :param results: of all its records, in their order
    :param places: of the rows of this kind, from 0
    """

    def __init__(
        self, job_id: str, kind: ResultKind, part: Part, results: Sequence[RecordResult], places: NDArray[np.int64]
    ) -> None:
        self.job_id = job_id
        self.kind = kind
        self._part = part
        self._results = [results[place] for place in places.tolist()]
        self._places = places

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, all values text."""
        if not len(self._places):
            return
        table = pa.Table.from_batches(list(read_text(self._part.body.chunks(), self._part.dialect)))
        (rows,) = table.take(self._places).combine_chunks().to_batches()
        if self.kind != "unprocessed":
            rows = insert_column(rows, 0, "sf__Id", [each.id or "" for each in self._results])
        if self.kind == "successful":
            rows = insert_column(
                rows, 1, "sf__Created", ["true" if each.created else "false" for each in self._results]
            )
        if self.kind == "failed":
            rows = insert_column(rows, 1, "sf__Error", [_error_text(each) for each in self._results])
        yield rows


def _error_text(result: RecordResult) -> str:
    return "; ".join(each.text for each in result.errors)
