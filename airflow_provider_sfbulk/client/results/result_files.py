"""Result files of many ingest jobs, joined into one file a kind.

Facts (Bulk API 2.0 guide, "Get Job Successful / Failed / Unprocessed Record Results"; captures of several clients):

- Successful rows begin with ``sf__Id`` and ``sf__Created``, failed ones with ``sf__Id`` and ``sf__Error``; then come
  the uploaded columns. Unprocessed rows have the uploaded columns only. ``sf__Id`` of failed rows exists since API 53.
- No rows: a header alone was seen; an empty body and a 204 have been reported. All three mean zero rows here.
- There is no count in the reply's headers, and a body that stops between two records looks whole. Only the job's own
  counters can tell, so the flow gives what it expects of each job.

One job's file is spooled to disk until proven, so a cut download leaves nothing in the joined file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_sfbulk.client.csv.decode import BLOCK_BYTES
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.names import listed
from airflow_provider_sfbulk.client.csv.spreadsheet import MARK
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import FileFormat, ResultKind
from airflow_provider_sfbulk.client.results.downloads import columns_of
from airflow_provider_sfbulk.client.results.folder import Output, OutputFile
from airflow_provider_sfbulk.client.results.schema import ColumnType
from airflow_provider_sfbulk.client.results.spool import DownloadedRows
from airflow_provider_sfbulk.client.results.typed import (
    BlockReader,
    empty_batch,
    error_parts,
    insert_column,
    select_columns,
)
from airflow_provider_sfbulk.client.results.writers import ROW_WRITERS, RowWriter, SpreadsheetRows
from airflow_provider_sfbulk.client.values.text_arrow import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_ERROR: Final = "sf__Error"
_ROW: Final = "sf__Row"

REQUIRED: Final[Mapping[ResultKind, tuple[str, ...]]] = {
    "successful": ("sf__Id", "sf__Created"),
    "failed": (_ERROR,),
    "unprocessed": (),
}
"""Columns by which a result file is recognised."""

_OF_OTHERS: Final = frozenset(name for names in REQUIRED.values() for name in names) - {"sf__Id"}
"""Columns that only one kind has."""

_ID: Final = "^[0-9A-Za-z]{15}([0-9A-Za-z]{3})?$"
_BOOLEAN: Final = "^(?i:true|false)$"


class JobResult(DownloadedRows):
    """One job's result file.

    :param expect_records: records that the file must have by the job's counters; None when they cannot be trusted
    """

    job_id: str

    def __init__(self, job_id: str, dialect: Dialect, kind: ResultKind, *, expect_records: int | None = None) -> None:
        what = f"{kind} records of job {job_id}"
        super().__init__(dialect, records=expect_records, required=REQUIRED[kind], what=what, job_id=job_id)
        self.kind = kind
        self._cuts: list[int] = []
        self._prefixes: set[str] = set()
        """What the ids of saved records begin with."""

    def start(self, reply: Reply) -> None:
        """Begin anew."""
        super().start(reply)
        self._cuts = []

    def write(self, data: bytes) -> None:
        """Take the next bytes, and note where they may be cut to be read again."""
        super().write(data)
        if self._counter.whole - (self._cuts[-1] if self._cuts else 0) >= BLOCK_BYTES:
            self._cuts.append(self._counter.whole)

    def finish(self) -> None:
        """Prove it, and that its columns are those of its kind.

        :raises ProtocolError: a column is there twice, or one of another kind is there
        """
        super().finish()
        if not self._counter.length:
            return
        names = [name.casefold() for name in columns_of(self._counter.header_line, self._dialect)]
        twice = sorted({name for name in names if names.count(name) > 1})
        foreign = sorted(name for name in _OF_OTHERS - {*REQUIRED[self.kind]} if name.casefold() in names)
        if twice or foreign:
            why = f"the column {listed(twice or foreign)} is there" + (" more than once" if twice else "")
            raise ProtocolError(f"the file of the {self._what} cannot be that: {why}", job_id=self.job_id)

    def check_columns(self, sent: Sequence[str]) -> None:
        """Hold the columns against those that were uploaded. Names match in any order and case.

        A relationship's column (``Owner.Email``) may be absent: it is no field of the object, and no source says that
        Salesforce gives it back.

        :raises ProtocolError: when one is missing, or one is there that was not sent and is not Salesforce's own
        """
        if not self._counter.length:
            return
        columns = columns_of(self._counter.header_line, self._dialect)
        there, uploaded = ({name.casefold() for name in names} for names in (columns, sent))
        missing = [name for name in sent if name.casefold() not in there and "." not in name]
        extra = [name for name in columns if name.casefold() not in uploaded and not name.startswith("sf__")]
        if missing or extra:
            what = [f"no column {listed(missing)}"] * bool(missing) + [
                f"columns that were not sent: {listed(extra)}"
            ] * bool(extra)
            raise ProtocolError(
                f"the {self.kind} records of job {self.job_id} are not those that were sent: {', and '.join(what)}. So "
                "they cannot be told apart by their values. Nothing is sent again: look at the job's results in "
                "Salesforce; the next try reads them once more",
                job_id=self.job_id,
            )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the proven rows, all values text; at least one batch when there is a header.

        :raises ProtocolError: a record that was saved has no id, or it is not said whether it is new
        """
        if not self._counter.length:
            return
        names = columns_of(self._counter.header_line, self._dialect)
        reader = BlockReader([ColumnType(name) for name in names], self._dialect, empty_is_null=False)
        yield empty_batch(reader.schema)
        file, place = self._opened(), len(self._counter.header_line)
        for stop in (*self._cuts, self._counter.length):
            if stop > place:
                file.seek(place)
                batch = reader.read(file.read(stop - place))
                if self.kind == "successful" and batch.num_rows:
                    self._check_saved(batch)
                yield batch
                place = stop

    def _check_saved(self, batch: pa.RecordBatch) -> None:
        """Check ids, and what is said of each.

        By their first three characters Salesforce tells objects apart. That an object has only one such prefix is said
        nowhere ("a key prefix can sometimes be shared by multiple objects", of describe), so several are no error: the
        records are saved.
        """
        ids = batch.column(batch.schema.names.index("sf__Id"))
        created = batch.column(batch.schema.names.index("sf__Created"))
        why = None
        if not _all_match(ids, _ID):
            why = "there is no id in some sf__Id"
        elif not _all_match(created, _BOOLEAN):
            why = "some sf__Created is neither true nor false"
        if why:
            raise ProtocolError(
                f"the {self._what} are not those that were sent: {why}. Look at the job's results in Salesforce; the next "
                "try reads them once more",
                job_id=self.job_id,
            )
        found = self._prefixes.union(map(str, pc.unique(pc.utf8_slice_codeunits(ids, 0, 3)).to_pylist()))
        if len(self._prefixes) < 2 <= len(found):
            log.warning(
                "the ids of the %s begin in different ways, as those of several objects do: %s. They are taken as they are",
                self._what,
                listed(sorted(found)),
            )
        self._prefixes = found


def _all_match(texts: Any, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py())


def error_codes(result: JobResult) -> Array:
    """Read Salesforce's code of each failed row, in the file's order: a dictionary array, since few are distinct."""
    codes = [error_parts(batch, _ERROR).codes.dictionary_encode() for batch in result.batches()]
    kind: Any = pa.dictionary(pa.int32(), pa.string())
    return pa.chunked_array(codes, kind).unify_dictionaries().combine_chunks()


class KindRows(Protocol):
    """Rows of one kind of one job."""

    job_id: str

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Read the rows, all values text."""


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
        """Columns as Salesforce sent them; empty until the first job that has a header."""
        self._output = output
        self._name = name
        self._kind = kind
        self._make_writer = SpreadsheetRows if spreadsheet_safe else ROW_WRITERS[file_format]
        self._is_safe = spreadsheet_safe
        self._file: OutputFile | None = None
        self._writer: RowWriter | None = None

    def add(self, result: KindRows, keep: NDArray[np.bool_], numbers: NDArray[np.int64]) -> None:
        """Take rows of one job.

        :param keep: which rows of the result, one value for each of them
        :param numbers: the rows' numbers in the input, from 1; 0 where it is unknown
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
            batch = self._with_codes(batch)
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
                f"the {self._kind} records of job {job_id} have other columns than those of the jobs before",
                job_id=job_id,
            )
        return [places[name] for name in wanted]

    def _with_codes(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        errors = error_parts(batch, _ERROR)
        at = self.columns.index(_ERROR) + 1
        batch = insert_column(batch, at, "sf__ErrorCode", errors.codes)
        batch = insert_column(batch, at + 1, "sf__ErrorMessage", errors.messages)
        return insert_column(batch, at + 2, "sf__ErrorFields", errors.fields)
