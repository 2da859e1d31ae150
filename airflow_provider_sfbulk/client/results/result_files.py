"""The rows of one kind of many jobs, joined into one file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk.client.csv.spreadsheet import MARK
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import FileFormat, ResultKind
from airflow_provider_sfbulk.client.results.folder import Output, OutputFile
from airflow_provider_sfbulk.client.results.typed import insert_column, select_columns, with_error_parts
from airflow_provider_sfbulk.client.results.writers import ROW_WRITERS, RowWriter, SpreadsheetRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROW: Final = "sf__Row"


class KindRows(Protocol):
    """Rows of one kind of one job."""

    job_id: str

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, all values text."""


class RowNumbers(Protocol):
    """The numbers in the input, from 1, of the rows of one kind of one job; 0 where one is unknown."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.int64]:
        """Return some of them."""


class ResultFile:
    """The rows of one kind of many jobs, in one file. Nobody sees it before :meth:`commit`.

    Values are text, as Salesforce sent them; columns are those of the first job in the first job's order, later jobs'
    are matched to them by name. In front is ``sf__Row``, the row's number in the input. Failed rows have the parts of
    ``sf__Error`` in three more columns. CSV is written with comma and line feed whatever the jobs used.

    :param output: the folder
    :param name: the file's name in it
    :param kind: which rows
    :param file_format: ``csv``, ``parquet`` or ``jsonl``
    :param spreadsheet_safe: of CSV, whether no value is taken for a formula by a spreadsheet; one column more says so
    """

    def __init__(
        self,
        output: Output,
        name: str,
        kind: ResultKind,
        file_format: FileFormat = FileFormat.CSV,
        *,
        spreadsheet_safe: bool = False,
    ) -> None:
        self.records = 0
        """Rows of all jobs taken so far."""
        self.columns: tuple[str, ...] = ()
        """Columns as Salesforce sent them; empty until the first job that has rows."""
        self._output = output
        self._name = name
        self._kind = kind
        self._make_writer = SpreadsheetRows if spreadsheet_safe else ROW_WRITERS[file_format]
        self._is_safe = spreadsheet_safe
        self._file: OutputFile | None = None
        self._writer: RowWriter | None = None

    def add(self, result: KindRows, keep: NDArray[np.bool_], numbers: RowNumbers) -> None:
        """Take rows of one job.

        :param keep: which rows of the result, one value for each of them
        :param numbers: the rows' numbers, asked for some at a time
        :raises ProtocolError: when the job's columns are not those of the jobs before
        """
        first = 0
        for batch in result.batches():
            rows = slice(first, first + batch.num_rows)
            first = rows.stop
            if keep[rows].all():
                self._write(result.job_id, batch, numbers[rows])
            elif keep[rows].any():
                self._write(result.job_id, batch.filter(pa.array(keep[rows])), numbers[rows][keep[rows]])

    def commit(self) -> str | None:
        """Make the file visible and return its URI; None when it has no row."""
        if self._file is None or self._writer is None:
            return None
        self._writer.close()
        uri = self._file.commit()
        self._file = None
        return uri

    def discard(self) -> None:
        """Leave nothing behind. Does nothing after :meth:`commit`, and may be called twice."""
        if self._file is not None:
            if self._writer is not None:
                self._writer.discard()
            self._file.discard()
            self._file = None

    def _write(self, job_id: str, batch: pa.RecordBatch, numbers: NDArray[np.int64]) -> None:
        if not batch.num_rows:
            return
        names = tuple(batch.schema.names)
        if not self.columns:
            self.columns = names
        if names != self.columns:
            batch = select_columns(batch, self._order(job_id, names), self.columns)
        if self._kind == "failed":
            batch = with_error_parts(batch)
        batch = insert_column(batch, 0, _ROW, pa.array(numbers, pa.int64(), mask=numbers == 0))
        if self._is_safe:
            batch = insert_column(batch, batch.num_columns, MARK, ["true"] * batch.num_rows)
        if self._file is None or self._writer is None:
            self._file = self._output.create(self._name)
            self._writer = self._make_writer(self._file, batch.schema)
        self._writer.write(batch)
        self.records += batch.num_rows

    def _order(self, job_id: str, names: Sequence[str]) -> list[int]:
        """Where the first job's columns are in another job's file."""
        places = {name.lower(): i for i, name in enumerate(names)}
        wanted = [name.lower() for name in self.columns]
        if len(names) != len(wanted) or set(places) != set(wanted):
            raise ProtocolError(
                f"the {self._kind} records of job {job_id} have other columns than those of earlier jobs",
                job_id=job_id,
            )
        return [places[name] for name in wanted]
