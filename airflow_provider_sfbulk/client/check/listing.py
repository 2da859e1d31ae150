"""Writes the problems that a check found to a file: a line for each problem of each row, with the wrong value."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk.client.check.cells import Problem
from airflow_provider_sfbulk.client.check.repeated import Numbers
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.results.result_files import ResultFile
from airflow_provider_sfbulk.client.values.text_arrow import Array


class ProblemFile:
    """Lists problems in a result file of failed records: ``sf__Row`` and the parts of ``sf__Error`` as after a load, and
    ``sf__Value``.

    :param file: whoever made it commits or discards it
    """

    def __init__(self, file: ResultFile) -> None:
        self._file = file

    def add(self, problem: Problem, numbers: Numbers, values: Array) -> None:
        """Take rows that have a problem."""
        column = problem.column.rpartition(":")[2]  # a colon would be read as the message's end
        error = BulkError(problem.code, problem.message, (column,) if column else ()).text
        batch = pa.RecordBatch.from_arrays(
            [pa.array([error] * len(numbers), pa.string()), values], names=["sf__Error", "sf__Value"]
        )
        self._file.add(_Lines(batch), np.ones(len(numbers), np.bool_), numbers)


class _Lines:
    """Rows of a result file that are of no job."""

    job_id = ""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield them."""
        yield self._batch
