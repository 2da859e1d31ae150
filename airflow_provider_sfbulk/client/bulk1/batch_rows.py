"""The records of one batch of Bulk API 1.0 with their results, as Bulk API 2.0's result files have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from airflow_provider_sfbulk.client.bulk1.models import RecordResult
from airflow_provider_sfbulk.client.parts.split import Part
from airflow_provider_sfbulk.client.results.typed import insert_column, read_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from airflow_provider_sfbulk.client.results.result_files import ResultKind


class BatchRows:
    """The rows of one kind, in the order of the batch: a ``KindRows``. A batch is small enough to be held.

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
        """Give the rows, all values text."""
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
            rows = insert_column(rows, 1, "sf__Error", [_told(each) for each in self._results])
        yield rows


def _told(result: RecordResult) -> str:
    return "; ".join(each.text for each in result.errors)
