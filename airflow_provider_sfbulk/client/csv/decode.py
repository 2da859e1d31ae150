"""Salesforce's CSV as it is read: checks that a body is whole, and cuts it into blocks of whole records, and rows.

Facts (Bulk API 2.0 guide, "Get Results for a Query Job" and "Get Job … Record Results"; captures of several clients):

- UTF-8. Query pages and the values of result files are fully quoted; the header of a result file and the rows of
  ``unprocessedrecords`` are echoed as they were uploaded, so they may be bare.
- A quote inside a value is doubled, line breaks stay inside quotes.
- Every record, the last one too, ends with the job's line ending. A line with nothing on it is not a record, as for
  ``csv.DictReader`` and Arrow.

Theory: in such a file a quote always opens or closes (a doubled one does both), so a line feed ends a record exactly
when an even number of quotes precedes it. Hence any proper prefix of a whole body either ends inside a quoted value, or
lacks its final line ending, or has fewer records, or lacks nothing but blank lines. :class:`RecordCounter` finds the
first two by itself; the third shows when its count is compared with ``Sforce-NumberOfRecords`` or the job's counters.

A file with a quote inside a *bare* value is outside RFC 4180 and counted wrongly; Salesforce refuses it on upload.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import numpy as np

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv import bits
from airflow_provider_sfbulk.client.csv.bits import Bits, Bytes
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.scan import CR, LF, QUOTE
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError
from airflow_provider_sfbulk.client.models import ColumnDelimiter

_STEP: Final = 1024 * 1024
"""Bytes processed at a time: few enough that intermediate results stay in the processor's cache."""

_HEADER_BYTES: Final = 1024 * 1024
"""Maximum bytes of a header line; our limit, above what ``limits.SOQL_CHARACTERS`` of column names can become."""

_FIELD_CHARACTERS: Final = 8 * limits.FIELD_CHARACTERS
"""Maximum characters of a value for :func:`read_rows`: the ``csv`` module's own limit is exactly Salesforce's, but
``sf__Error`` is not a field and has no limit."""

BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Bytes of CSV that are decoded at a time: enough for Arrow to be fast, little enough for several pages at once."""


class RecordCounter:
    """Counts the records of a CSV that arrives in pieces, cut anywhere, and checks that it is whole.

    Memory does not grow with the body. :meth:`finish` makes the check; before it, the counts are those of the bytes so far.

    :param dialect: how the header's columns are separated; both line endings are understood
    """

    def __init__(self, dialect: Dialect) -> None:
        self.header: tuple[str, ...] | None = None
        """The column names, once the header line is complete; None also when that line is not CSV header."""
        self.header_line = b""
        """The header line as it came, line ending included; empty until complete."""
        self.records = 0
        """Complete records, the header not counted."""
        self.length = 0
        """Bytes fed."""
        self.whole = 0
        """Bytes from the start to the end of the last complete line; a block may be cut there."""
        self._dialect = dialect
        self._begun = bytearray()
        self._inside = False
        self._last = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes.

        :raises TransportError: when the first line has no end within a megabyte
        """
        view = memoryview(data)
        for start in range(0, len(view), _STEP):
            self._scan(view[start : start + _STEP])

    def _scan(self, piece: memoryview) -> None:
        data = np.frombuffer(piece, np.uint8)
        inside = bits.between(bits.where(data, QUOTE))
        if self._inside:
            inside = ~inside
        ends = bits.where(data, LF) & ~inside
        if (last := bits.last(ends)) is not None:
            if not self.header_line:
                self._end_header(bytes(piece[: int(bits.places(ends)[0]) + 1]))
                self.records -= 1
            self.records += bits.count(ends) - self._blank(data, ends)
            self.whole = self.length + last + 1
        elif not self.header_line:
            self._begun += piece
            if len(self._begun) > _HEADER_BYTES:
                raise TransportError(f"not a CSV: the first line is longer than {_HEADER_BYTES:,} bytes")
        self._inside = bool(inside[-1] >> 63)
        self._last = piece[-1]
        self.length += len(piece)

    def _blank(self, data: Bytes, ends: Bits) -> int:
        """Count the lines with nothing but their line ending."""
        starts = bits.after(ends)
        starts[0] |= np.uint64(self.whole == self.length)
        seconds = bits.after(starts)
        seconds[0] |= np.uint64(self.whole == self.length - 1)
        blank, of_one = ends & starts, ends & seconds
        if of_one.any():  # lines of one byte
            after_return = bits.after(bits.where(data, CR))
            after_return[0] |= np.uint64(self._last == CR)
            blank |= of_one & after_return
        return bits.count(blank)

    def _end_header(self, rest: bytes) -> None:
        self.header_line = bytes(self._begun) + rest
        self._begun.clear()
        self.header = parse_header(self.header_line, self._dialect)

    def check_header(self) -> None:
        """Check the first line, if it is complete.

        :raises TransportError: when it is not a CSV header: empty, HTML, JSON, not UTF-8
        """
        if self.header_line and self.header is None:
            raise TransportError("not a CSV: the first line is not a header line (is it a maintenance or error page?)")

    def check_end(self) -> None:
        """Check that the bytes so far end where a CSV may end.

        :raises TransportError: when it is empty, or ends inside a quoted value or without a line ending
        """
        if not self.length:
            raise TransportError("not a complete CSV: the body is empty")
        if self._inside:
            raise TransportError(f"not a complete CSV: it ends inside a quoted value, after {self.length} bytes")
        if self.whole != self.length:
            raise TransportError(f"not a complete CSV: its last line has no line ending, after {self.length} bytes")

    def finish(self) -> None:
        """Check that the bytes so far are a whole CSV: header and end.

        :raises TransportError: when it is not
        """
        self.check_header()
        self.check_end()


class Blocks:
    """Cuts the bytes that a counter was fed into blocks of whole records, without the header.

    :param counter: must have been fed the same bytes before each :meth:`feed`
    :param size: minimum bytes of a block; it may be larger by one feed or one record
    """

    def __init__(self, counter: RecordCounter, *, size: int = BLOCK_BYTES) -> None:
        self._counter = counter
        self._size = size
        self._fed = 0
        self._whole: list[bytes] = []
        self._begun: list[bytes] = []
        self._held = 0
        self._header_cut = False

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes; return a block when there are enough for one."""
        here = self._counter.whole - self._fed
        self._fed += len(data)
        if here <= 0:
            self._begun.append(data)
            return None
        self._whole += self._begun
        self._whole.append(data[:here])
        self._begun = [data[here:]]
        self._held += here
        return self.rest() if self._held >= self._size else None

    def rest(self) -> bytes | None:
        """Return the whole records that are left, if any."""
        block = b"".join(self._whole)
        self._whole = []
        self._held = 0
        if block and not self._header_cut:
            self._header_cut = True
            block = block[len(self._counter.header_line) :]
        return block or None


def parse_header(line: bytes, dialect: Dialect) -> tuple[str, ...] | None:
    """Read the column names of a header line; None when it cannot be one."""
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
        names = next(csv.reader([text], delimiter=dialect.delimiter, strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return None
    # No column begins with these; HTML, XML and JSON bodies do.
    if not names or text.lstrip().startswith(("<", "{", "[")):
        return None
    return tuple(names)


def find_dialect(header_line: bytes, dialect: Dialect, required: Collection[str] = ()) -> Dialect | None:
    """Find the dialect of a result file by its header, beginning with the job's.

    It is likely but was never seen that result files use the job's delimiter, so the header decides: it has all
    ``required`` columns, and no name contains one of the six delimiters, which no field name can.

    :param required: columns that must be there, such as ``sf__Id``
    :return: None when no delimiter gives such a header
    """
    marks = {each.character for each in ColumnDelimiter}
    for delimiter in (dialect.column_delimiter, *ColumnDelimiter):
        candidate = Dialect(delimiter, dialect.line_ending)
        names = parse_header(header_line, candidate)
        if names and set(required) <= set(names) and not any(marks & set(name) for name in names):
            return candidate
    return None


def read_rows(chunks: Iterable[bytes], dialect: Dialect) -> Iterator[dict[str, str]]:
    """Read the rows of a result file, all values text, as they come.

    A BOM is removed; characters and records may be cut anywhere between chunks. NUL bytes are dropped: they do occur in
    results (simple-salesforce strips them), although no field can contain one, and databases refuse them.

    :raises ProtocolError: when the bytes are not UTF-8 or not CSV, or a row has not as many values as the header
    :raises TransportError: when the body ends inside a quoted value
    """
    # The limit is the process's, not the reader's. It is only ever raised, which takes nothing from anybody.
    if csv.field_size_limit() < _FIELD_CHARACTERS:
        csv.field_size_limit(_FIELD_CHARACTERS)
    reader = csv.reader(_lines(chunks), delimiter=dialect.delimiter, strict=True)
    header: list[str] | None = None
    row = 0
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            # Its texts are fixed sentences without data; this one means that the input ended.
            if str(error) == "unexpected end of data":
                raise TransportError(f"the result ends inside a quoted value, after row {row}") from error
            raise ProtocolError(f"the result is not CSV after row {row}: {error}") from error
        except UnicodeDecodeError:
            # Not chained: it holds the bytes.
            raise ProtocolError(f"the result is not UTF-8 after row {row}") from None
        if values is None:
            return
        if not values:
            continue
        if header is None:
            header = values
            continue
        row += 1
        if len(values) != len(header):
            raise ProtocolError(
                f"row {row} of the result has {len(values)} values, but the header has {len(header)} columns"
            )
        yield dict(zip(header, values, strict=True))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Decode, and cut after line feeds only: ``str.splitlines`` would cut inside values, at U+2028 and others."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    begun: list[str] = []
    for chunk in chunks:
        first, *more = decoder.decode(chunk).replace("\0", "").split("\n")
        begun.append(first)
        for text in more:
            yield "".join(begun) + "\n"
            begun = [text]
    begun.append(decoder.decode(b"", final=True))
    if last := "".join(begun):
        yield last
