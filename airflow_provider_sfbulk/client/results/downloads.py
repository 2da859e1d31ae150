"""Result pages of a query on their way into files or memory; each is checked before it is visible.

Facts (Bulk API 2.0 guide, "Get Results for a Query Job"; the last one measured with requests, httpx and aiohttp):

- Every page is a CSV of its own, with the header row. ``Sforce-NumberOfRecords`` counts its records,
  ``Sforce-Locator`` names the next page; the four letters ``null`` mean that there is none.
- A connection that ends early, a gzip stream that stops, or a maintenance page with status 200 can all look like a
  whole body to an HTTP library.

So a page counts as read when the reply is CSV with both headers, its header row is that of the other pages
(``extract.pages.PageSink`` checks that), the CSV is whole, and it has exactly the announced records (checked here).
Everything else is a ``TransportError``: the flow fetches again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.csv.decode import Blocks, RecordCounter
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.spreadsheet import protected
from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, Remedy, SourceError, TransportError
from airflow_provider_sfbulk.client.models import RECORDS_HEADER, Compression, FileFormat, read_count
from airflow_provider_sfbulk.client.results.compressed import CompressedFile
from airflow_provider_sfbulk.client.results.folder import Output, OutputFile
from airflow_provider_sfbulk.client.results.schema import ColumnType
from airflow_provider_sfbulk.client.results.typed import BlockReader, arrow_schema, with_nulls
from airflow_provider_sfbulk.client.results.writers import ROW_WRITERS, ParquetRows, RowWriter
from airflow_provider_sfbulk.client.values.arrow_memory import system_memory

if TYPE_CHECKING:
    import pyarrow as pa


def too_many(max_records: int) -> SourceError:
    """Make the error of a query with more rows than may be held in memory."""
    return SourceError(f"the query returns more than {max_records:,} records", remedy=Remedy.WRITE_FILES)


def columns_of(header: bytes, dialect: Dialect) -> tuple[str, ...]:
    """Read the columns of a header row without line ending."""
    counter = RecordCounter(dialect)
    counter.feed(header + b"\n")
    return counter.header or ()


@dataclass(frozen=True)
class PageFile:
    """The file of a finished page.

    :param uri: where it is
    :param name: its name in the output folder
    :param records: its records
    :param length: its bytes
    :param sha256: of its bytes, hexadecimal
    :param columns: its columns, in their order
    """

    uri: str
    name: str
    records: int
    length: int
    sha256: str
    columns: tuple[str, ...]


class PageWriter:
    """Counts the rows of one page and keeps the page when it is whole: a ``Sink``. This class keeps no rows: it is for
    reading the columns.

    :param dialect: the job's
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._counter = RecordCounter(dialect)
        self._expected: int | None = None
        self._begun = False
        self._finished = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The page's columns; empty before the header has arrived."""
        return self._counter.header or ()

    @property
    def records(self) -> int:
        """Records of the page so far."""
        return self._counter.records

    def start(self, reply: Reply) -> None:
        """Start over. A reply of Bulk API 1.0 does not say how many records follow."""
        self._drop()
        self._counter = RecordCounter(self._dialect)
        self._begun = self._finished = False
        self._expected = read_count(reply.headers.get(RECORDS_HEADER, ""))
        self._open()

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._counter.feed(data)
        if not self._begun and self._counter.header_line:
            self._counter.check_header()
            self._begun = True
            self._begin()
        self._take(data)

    def finish(self) -> None:
        """Check that the page is whole, and keep it.

        :raises TransportError: when it is not; nothing is kept then
        """
        try:
            self._prove()
            self._complete()
        except BaseException:
            self.discard()
            raise
        self._finished = True

    def _prove(self) -> None:
        self._counter.finish()
        if self._expected is not None and self.records != self._expected:
            raise TransportError(f"a result page has {self.records} records, but {self._expected} were announced")

    def discard(self) -> None:
        """Drop what this try wrote. Does nothing after a :meth:`finish` that succeeded."""
        if not self._finished:
            self._drop()

    def _open(self) -> None:
        """Get ready for bytes: the reply is a result page."""

    def _begin(self) -> None:
        """Get ready for rows: the columns are known."""

    def _take(self, data: bytes) -> None:
        """Take bytes that the counter has seen."""

    def _complete(self) -> None:
        """Keep the page, which is whole."""

    def _drop(self) -> None:
        """Drop everything of this try."""


class CsvPage(PageWriter):
    """A page as a CSV file, byte for byte as it came, including its own header.

    :param output: the folder
    :param name: the file's name in it
    :param compression: of the file
    """

    def __init__(self, output: Output, name: str, dialect: Dialect, *, compression: Compression | None = None) -> None:
        super().__init__(dialect)
        self.file: PageFile | None = None
        """The file, once finished."""
        self._out = OneFile(output, name, compression)

    def _open(self) -> None:
        self._out.open()

    def _take(self, data: bytes) -> None:
        self._out.write(data)

    def _complete(self) -> None:
        self.file = self._out.commit(self.records, self.columns)

    def _drop(self) -> None:
        self.file = None
        self._out.drop()


class SpreadsheetPage(CsvPage):
    """A page as a CSV file for people who open it in a spreadsheet; see ``spreadsheet``."""

    def _open(self) -> None:
        super()._open()
        self._blocks = Blocks(self._counter)
        self._has_header = False

    def _take(self, data: bytes) -> None:
        self._write(self._blocks.feed(data))

    def _complete(self) -> None:
        self._write(self._blocks.rest())
        if not self._has_header:
            self._out.write(self._counter.header_line)
        super()._complete()

    def _write(self, block: bytes | None) -> None:
        if block is None:
            return
        if not self._has_header:
            self._has_header = True
            self._out.write(self._counter.header_line)
        self._out.write(protected(block, self._dialect.delimiter))


class TypedPage(PageWriter):
    """A page decoded into typed Arrow batches. It needs memory for a few blocks; subclasses say where the rows go.

    :param types: of the columns, which the page must have in this order; all text unless given
    """

    def __init__(self, dialect: Dialect, types: Sequence[ColumnType] = ()) -> None:
        super().__init__(dialect)
        self._types = types
        self._blocks = Blocks(self._counter)
        self._reader: BlockReader | None = None

    def _open(self) -> None:
        self._blocks = Blocks(self._counter)
        self._reader = None

    # One pool for what is decoded and for what is made of it: each keeps memory.
    @system_memory()
    def _begin(self) -> None:
        types = self._types or [ColumnType(each) for each in self.columns]
        if tuple(each.name for each in types) != self.columns:
            raise TransportError(
                f"a result page has {len(self.columns)} columns that are not the job's {len(types)}, or in another order"
            )
        self._reader = BlockReader(types, self._dialect)
        self._begin_rows(self._reader.schema)

    def _take(self, data: bytes) -> None:
        self._decode(self._blocks.feed(data))

    @system_memory()
    def _complete(self) -> None:
        self._decode(self._blocks.rest())
        rows = self._reader.rows if self._reader is not None else 0
        if rows != self.records:
            # Only a quote inside a bare value could do this, and query pages are fully quoted.
            raise ProtocolError(f"a result page has {self.records} records, but {rows} rows can be read from it")
        self._end_rows()

    @system_memory()
    def _decode(self, block: bytes | None) -> None:
        if block is not None and self._reader is not None:
            self._rows(self._reader.read(block))

    def _begin_rows(self, schema: pa.Schema) -> None:
        """Get ready for rows of this schema."""

    def _rows(self, batch: pa.RecordBatch) -> None:
        """Take rows."""

    def _end_rows(self) -> None:
        """Keep the rows, which are complete."""


class RowsFilePage(TypedPage):
    """A page converted into a file. Pages of the same types have the same schema, those without records too.

    :param file_format: of the file: Parquet or JSON Lines
    :param null_columns: columns that the file has beyond those of the page, all null
    :param compression: of the file, or inside of Parquet; None for the format's own
    """

    def __init__(
        self,
        output: Output,
        name: str,
        dialect: Dialect,
        file_format: FileFormat,
        types: Sequence[ColumnType] = (),
        *,
        null_columns: Sequence[ColumnType] = (),
        compression: Compression | None = None,
    ) -> None:
        super().__init__(dialect, types)
        self.file: PageFile | None = None
        """The file, once finished."""
        self._make_writer = ROW_WRITERS[file_format]
        if file_format is FileFormat.PARQUET and compression is not None:
            self._make_writer, compression = partial(ParquetRows, compression=compression), None
        self._out = OneFile(output, name, compression)
        self._writer: RowWriter | None = None
        self._null_columns = null_columns
        self._schema: pa.Schema | None = None

    def _begin_rows(self, schema: pa.Schema) -> None:
        self._out.open()
        if self._null_columns:
            schema = self._schema = arrow_schema((*self._types, *self._null_columns))
        self._writer = self._make_writer(self._out, schema)

    def _rows(self, batch: pa.RecordBatch) -> None:
        if self._writer is not None:
            self._writer.write(batch if self._schema is None else with_nulls(batch, self._schema))

    def _end_rows(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.file = self._out.commit(self.records, (*self.columns, *(each.name for each in self._null_columns)))

    def _drop(self) -> None:
        self.file = None
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        self._out.drop()


class TablePage(TypedPage):
    """A page as Arrow batches in memory, for a DataFrame (``frame.data_frame``). Memory grows with the page."""

    def __init__(self, dialect: Dialect, types: Sequence[ColumnType] = ()) -> None:
        super().__init__(dialect, types)
        self.batches: list[pa.RecordBatch] = []
        """The rows, once finished."""
        self.schema: pa.Schema | None = None
        """Their types, also when there are none."""

    def _begin_rows(self, schema: pa.Schema) -> None:
        self.schema = schema

    def _rows(self, batch: pa.RecordBatch) -> None:
        self.batches.append(batch)

    def _drop(self) -> None:
        self.batches = []
        self.schema = None


class RowsPage(TypedPage):
    """A page as a list of dicts in memory, values typed: for the few rows that go to XCom.

    Numbers are ``int``, ``Decimal`` or ``float`` as described, datetimes are aware UTC, null is None.

    :param max_records: records that the page may have
    """

    def __init__(self, dialect: Dialect, types: Sequence[ColumnType] = (), *, max_records: int) -> None:
        super().__init__(dialect, types)
        self.rows: list[dict[str, Any]] = []
        """The rows, once finished."""
        self._max_records = max_records

    def _open(self) -> None:
        super()._open()
        self._check(self._expected or 0)

    def _take(self, data: bytes) -> None:
        self._check(self.records)
        super()._take(data)

    def _check(self, records: int) -> None:
        if records > self._max_records:
            raise too_many(self._max_records)

    def _rows(self, batch: pa.RecordBatch) -> None:
        self.rows.extend(batch.to_pylist())

    def _drop(self) -> None:
        self.rows = []


class OneFile:
    """One name in a folder, and the file that is being written under it, measured on the way, as it lies there.

    :param compression: of the file as a whole
    """

    def __init__(self, output: Output, name: str, compression: Compression | None) -> None:
        self._output = output
        self._name = name
        self._compression = None if compression is Compression.NONE else compression
        self._compressed: CompressedFile | None = None
        self._file: OutputFile | None = None
        self._length = 0
        self._digest = hashlib.sha256()

    @property
    def length(self) -> int:
        """Bytes so far, as they lie there: what a compressor or a row group still holds is not among them."""
        return self._length

    def open(self) -> None:
        """Start over."""
        self.drop()
        self._length = 0
        self._digest = hashlib.sha256()
        self._file = self._output.create(self._name)
        if self._compression is not None:
            self._compressed = CompressedFile(self._write, self._compression)

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        return self._write(data) if self._compressed is None else self._compressed.write(data)

    def _write(self, data: bytes, /) -> int:
        # Not on a background thread: there are several pages anyway, and memory that is held longer is allocated again for
        # each piece, which cost half as much again as the digest itself.
        self._digest.update(data)
        self._length += len(data)
        return self._opened().write(data)

    def commit(self, records: int, columns: tuple[str, ...]) -> PageFile:
        """Make the file visible under its name."""
        if self._compressed is not None:
            self._compressed.close()
            self._compressed = None
        uri = self._opened().commit()
        self._file = None
        return PageFile(uri, self._name, records, self._length, self._digest.hexdigest(), columns)

    def drop(self) -> None:
        """Leave nothing behind."""
        file, self._file = self._file, None
        if self._compressed is not None:
            self._compressed.discard()
            self._compressed = None
        if file is not None:
            file.discard()

    def _opened(self) -> OutputFile:
        if self._file is None:
            raise RuntimeError("a sink is started before it is written to")
        return self._file
