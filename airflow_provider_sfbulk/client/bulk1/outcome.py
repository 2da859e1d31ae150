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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch, unpacked
from airflow_provider_sfbulk.client.bulk1.models import RecordResult
from airflow_provider_sfbulk.client.bulk1.result_rows import ResultColumns, unsaved
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Body, Flow
from airflow_provider_sfbulk.client.errors import ProtocolError, RequestRefusedError
from airflow_provider_sfbulk.client.load.rounds import DOUBT
from airflow_provider_sfbulk.client.models import BulkError, ColumnDelimiter, JobInfo, JobState, LineEnding, ResultKind
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE, Part, Spool
from airflow_provider_sfbulk.client.results.typed import codes_of, insert_column, read_text
from airflow_provider_sfbulk.client.values.text_arrow import Array

WHOLE_BATCH: Final = "InvalidBatch"
"""Code, Salesforce's, of records that were not tried because their batch failed as a whole."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchOutcome:
    """The results of a batch, one for each of its records, in their order.

    :param results: as they were read
    :param processed: False for records that Salesforce never tried, the batch having failed as a whole or not run
    """

    results: ResultColumns
    processed: NDArray[np.bool_]

    def places(self, kind: ResultKind) -> NDArray[np.int64]:
        """Return the places, from 0, of the records of that kind."""
        success, processed = self.results.success, self.processed
        found = {"successful": success, "failed": ~success & processed, "unprocessed": ~success & ~processed}[kind]
        return np.flatnonzero(found).astype(np.int64)

    @property
    def codes(self) -> Array:
        """Salesforce's code for each failed record."""
        return codes_of(self.results.errors.take(pa.array(self.places("failed"))))

    def rows(self) -> Iterator[RecordResult]:
        """Yield the results one by one."""
        for result, processed in zip(self.results.rows(), self.processed.tolist(), strict=True):
            yield result if processed else replace(result, processed=False)


def read_outcome(jobs: Bulk1Calls, batch: AcceptedBatch, end: JobInfo) -> Flow[BatchOutcome]:
    """Read what became of a batch's records. Those whose fate is unknown count as failed, with the code ``DOUBT``.

    :param end: of the batch, see ``waiting.jobs.batch_end``
    """
    if end.state is JobState.JOB_COMPLETE:
        results = yield from jobs.result_columns(batch.job_id, batch.batch_id, records=batch.records)
        return BatchOutcome(results, np.ones(batch.records, np.bool_))
    found = unsaved(0, "")
    if end.processed:
        try:
            found = yield from jobs.result_columns(batch.job_id, batch.batch_id, records=None)
        except (RequestRefusedError, ProtocolError) as error:
            log.warning(
                "batch %s failed after %d records, and its results cannot be read: %s",
                batch.batch_id,
                end.processed,
                error,
            )
    return _fill_up(found, batch.records, end)


def _fill_up(found: ResultColumns, records: int, end: JobInfo) -> BatchOutcome:
    """Return for each record of a failed batch what is certain.

    :param found: results of its first records, as far as there are any
    """
    why = " ".join((end.error_message or f"the batch ended {end.state}").split())[:200]
    doubtful = BulkError(
        DOUBT,
        f"the batch failed after {end.processed} of {records} records, and Salesforce does not say whether this one was "
        f"saved ({why})",
    )
    processed = np.ones(records, np.bool_)
    if len(found) > records:
        found = unsaved(0, "")
    elif np.count_nonzero(found.success) == end.successful:
        processed[len(found) :] = False
        return BatchOutcome(
            found.followed_by(unsaved(records - len(found), BulkError(WHOLE_BATCH, why).text)), processed
        )
    elif len(found) == records:  # results and counters contradict each other
        return BatchOutcome(found.with_error(doubtful.text), processed)
    return BatchOutcome(found.followed_by(unsaved(records - len(found), doubtful.text)), processed)


def read_back(jobs: Bulk1Calls, batch: AcceptedBatch) -> Flow[Part]:
    """Read back what was sent as a batch.

    :raises ProtocolError: it is something else
    """
    data = unpacked((yield from jobs.request(batch.job_id, batch.batch_id)))
    if hashlib.sha256(data).hexdigest() != batch.sha256:
        raise ProtocolError(
            f"Salesforce returned other records for batch {batch.batch_id} of job {batch.job_id} than were sent",
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
        self, job_id: str, kind: ResultKind, part: Part, results: ResultColumns, places: NDArray[np.int64]
    ) -> None:
        self.job_id = job_id
        self.kind = kind
        self._part = part
        self._results = results
        self._places: pa.Array[Any] = pa.array(places)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows, all values text."""
        if not len(self._places):
            return
        table = pa.Table.from_batches(list(read_text(self._part.body.chunks(), self._part.dialect)))
        (rows,) = table.take(self._places).combine_chunks().to_batches()
        results = self._results
        if self.kind != "unprocessed":
            rows = insert_column(rows, 0, "sf__Id", results.ids.take(self._places))
        if self.kind == "successful":
            rows = insert_column(rows, 1, "sf__Created", pa.array(results.created).take(self._places).cast(pa.string()))
        if self.kind == "failed":
            rows = insert_column(rows, 1, "sf__Error", results.errors.take(self._places))
        yield rows
