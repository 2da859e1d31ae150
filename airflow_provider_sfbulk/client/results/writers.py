"""Arrow batches into the bytes of a file: CSV, typed Parquet, JSON Lines.

A writer writes into an open file and leaves it open: whoever opened it commits or discards it. The same batches give
the same bytes, with the same version of Arrow.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.spreadsheet import protected
from airflow_provider_sfbulk.client.models import Compression, FileFormat
from airflow_provider_sfbulk.client.results.compressed import ArrowFile
from airflow_provider_sfbulk.client.values.arrow_memory import give_back


class ByteFile(Protocol):
    """What a writer needs of a file."""

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""


class RowWriter(Protocol):
    """Rows into the bytes of one file."""

    def write(self, batch: pa.RecordBatch, /) -> None:
        """Write rows."""

    def close(self) -> None:
        """Write what the format still lacks. The file stays open."""

    def discard(self) -> None:
        """Write nothing more: the file is dropped."""


ROW_GROUP_BYTES: Final = 16 * 1024 * 1024
"""Bytes of Arrow data in one row group of a Parquet file: what a writer holds in memory. Ours."""


_ENCODED_TOGETHER: Final = 4096
"""Rows that Arrow makes CSV of at a time."""


class ParquetRows:
    """Parquet, by default compressed with Zstandard: half the size of the usual Snappy for a tenth more time (measured)."""

    def __init__(
        self,
        file: ByteFile,
        schema: pa.Schema,
        compression: Compression = Compression.ZSTD,
        *,
        group_bytes: int = ROW_GROUP_BYTES,
    ) -> None:
        self._schema = schema
        self._file = ArrowFile(file.write)
        self._writer = pq.ParquetWriter(pa.PythonFile(self._file, mode="w"), schema, compression=compression.value)
        self._group: list[pa.RecordBatch] = []
        self._group_bytes = group_bytes
        self._held = 0

    def write(self, batch: pa.RecordBatch, /) -> None:
        """Take rows; they are written when there are enough for a row group."""
        self._group.append(batch)
        self._held += batch.nbytes
        if self._held >= self._group_bytes:
            self._write_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._write_group()
        self._writer.close()

    def discard(self) -> None:
        """Let Arrow's writer end, which else writes a footer whenever it is collected."""
        self._file.is_dropped = True
        self._writer.close()

    def _write_group(self) -> None:
        if any(each.num_rows for each in self._group):
            give_back()
            self._writer.write_table(pa.Table.from_batches(self._group, self._schema))
            self._group = []
            give_back()
        self._group, self._held = [], 0


class ArrowRows:
    """Arrow's stream of batches as they come, compressed with Zstandard: for files that are read by this package alone."""

    def __init__(self, file: ByteFile, schema: pa.Schema) -> None:
        self._file = ArrowFile(file.write)
        options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema, options=options)

    def write(self, batch: pa.RecordBatch, /) -> None:
        """Write rows."""
        self._writer.write_batch(batch)

    def close(self) -> None:
        """Write the end of the stream."""
        self._writer.close()

    def discard(self) -> None:
        """Let Arrow's writer end."""
        self._file.is_dropped = True
        self._writer.close()


class JsonlRows:
    """One JSON object a line, UTF-8.

    Numbers are JSON numbers with every digit, never rounded through a float; null is ``null``, ``true`` and ``false``
    themselves; dates, datetimes (UTC, milliseconds, ``Z``) and times are ISO 8601 text.
    """

    def __init__(self, file: ByteFile, schema: pa.Schema) -> None:
        self._file = file
        # What stands before each cell: {"Id": …, "Name": …}
        self._names = [("{" if i == 0 else ", ") + _quoted(name) + ": " for i, name in enumerate(schema.names)]

    def write(self, batch: pa.RecordBatch, /) -> None:
        """Write rows."""
        if not batch.num_rows:
            return
        parts: list[Any] = []
        for name, column in zip(self._names, batch.columns, strict=True):
            parts += [name, _json_cells(column)]
        self._file.write(_joined(*parts, "}\n"))

    def close(self) -> None:
        """Do nothing: every line is whole."""

    def discard(self) -> None:
        """Do nothing: nothing is held back."""


_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode

_ESCAPES: Final = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
"""What JSON text must not hold, and what stands for it; the backslash first."""

_OTHER_CONTROLS: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"


def _json_cells(column: Any) -> Any:
    """Return a column's values as JSON."""
    kind = column.type
    if pa.types.is_string(kind):
        cells = _json_texts(column)
    elif pa.types.is_temporal(kind):
        cells = pc.binary_join_element_wise('"', cell_texts(column), '"', "")
    else:
        cells = cell_texts(column)
    return pc.fill_null(cells, "null")


def cell_texts(column: Any) -> Any:
    """Return a column's values as text, null as null: numbers with every digit, datetimes in UTC with milliseconds."""
    if not pa.types.is_timestamp(column.type):
        return column.cast(pa.string())
    # Arrow writes a space before the time, and no zone once the column has none. Its strftime is ten times slower.
    texts = pc.replace_substring(column.cast(pa.timestamp("ms")).cast(pa.string()), " ", "T")
    return pc.binary_join_element_wise(texts, "Z", "")


def _json_texts(column: Any) -> Any:
    if pc.any(pc.match_substring_regex(column, _OTHER_CONTROLS)).as_py():
        # Rare: one by one.
        return pa.array([None if text is None else _quoted(text) for text in column.to_pylist()], pa.string())
    for character, escape in _ESCAPES:
        if pc.any(pc.match_substring(column, character)).as_py():
            column = pc.replace_substring(column, character, escape)
    return pc.binary_join_element_wise('"', column, '"', "")


class CsvRows:
    """CSV for columns of text: comma, line feed, UTF-8, every value in quotes, as Salesforce writes its own."""

    def __init__(self, file: ByteFile, schema: pa.Schema) -> None:
        self._file = file
        file.write((",".join('"' + name.replace('"', '""') + '"' for name in schema.names) + "\n").encode())

    def write(self, batch: pa.RecordBatch, /) -> None:
        """Write rows."""
        if batch.num_rows:
            self._encode(batch, self._file.write)

    def _encode(self, batch: pa.RecordBatch, take: Callable[[bytes], int]) -> None:
        # Some rows at a time and no buffer that grows: half of the time, most of which went into fresh memory.
        options = pyarrow.csv.WriteOptions(
            include_header=False, quoting_style="all_valid", batch_size=_ENCODED_TOGETHER
        )
        pyarrow.csv.write_csv(batch, pa.PythonFile(ArrowFile(take), mode="w"), options)

    def close(self) -> None:
        """Do nothing: every row is whole."""

    def discard(self) -> None:
        """Do nothing: nothing is held back."""


class QueryRows:
    """CSV for columns of text as Salesforce writes the results of queries: every value in quotes, null as ``""``.

    :param dialect: the job's
    """

    def __init__(self, file: ByteFile, schema: pa.Schema, dialect: Dialect) -> None:
        self._file = file
        self._dialect = dialect
        names = dialect.delimiter.join('"' + name.replace('"', '""') + '"' for name in schema.names)
        file.write(f"{names}{dialect.newline}".encode())

    def write(self, batch: pa.RecordBatch, /) -> None:
        """Write rows."""
        if not batch.num_rows:
            return
        parts: list[Any] = []
        for column in batch.columns:
            parts += [f'"{self._dialect.delimiter}"' if parts else '"', _quotable(column)]
        self._file.write(self._bytes(_joined(*parts, f'"{self._dialect.newline}')))

    def _bytes(self, records: bytes) -> bytes:
        return records

    def close(self) -> None:
        """Do nothing: every row is whole."""

    def discard(self) -> None:
        """Do nothing: nothing is held back."""


class SpreadsheetQueryRows(QueryRows):
    """The same for people who open it in a spreadsheet; see ``spreadsheet``."""

    def _bytes(self, records: bytes) -> bytes:
        return protected(records, self._dialect.delimiter)


def _quotable(column: Any) -> Any:
    texts = pc.fill_null(column, "")
    if pc.any(pc.match_substring(texts, '"')).as_py():
        texts = pc.replace_substring(texts, '"', '""')
    return texts


def _joined(*parts: Any) -> bytes:
    """Join texts and columns of text to the bytes of all rows."""
    lines: Any = pc.binary_join_element_wise(*parts, "")
    # The lines lie one after the other in the array's data.
    length = pc.sum(pc.binary_length(lines)).as_py()
    data: bytes = lines.buffers()[2].slice(0, length).to_pybytes()
    return data


class SpreadsheetRows(CsvRows):
    """The same for people who open it in a spreadsheet; see ``spreadsheet``."""

    def _encode(self, batch: pa.RecordBatch, take: Callable[[bytes], int]) -> None:
        out = io.BytesIO()
        super()._encode(batch, out.write)
        take(protected(out.getvalue(), ","))


ROW_WRITERS: Final[Mapping[FileFormat, Callable[[ByteFile, pa.Schema], RowWriter]]] = {
    FileFormat.CSV: CsvRows,
    FileFormat.PARQUET: ParquetRows,
    FileFormat.JSONL: JsonlRows,
}
"""The writer of each format."""
