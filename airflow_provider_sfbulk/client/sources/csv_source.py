"""CSV sources, passed through as bytes.

A valid CSV is checked and cut, but not parsed into values: the file's own bytes are sent. What must change (dropped
columns, empty values that clear, record endings, with ``timezone`` the datetimes without a zone) is cut out of the bytes or
inserted; other values keep their bytes, including quotes.

Line endings. The file's is that of the header line, and all records must have it. The job's is the same, or the given one,
with one exception: when the values at the beginning of the file (``BLOCK_BYTES``) have only line breaks of the other kind,
the job uses that and the record endings are rewritten, since Salesforce requires one kind everywhere ("LineEnding is
invalid on user data") and a value is never changed. So a file from Excel (records end with CRLF, cells break with LF) is
sent with LF.
"""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.cells import UnfitCellError, blank_cells, with_zone
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.scan import CR, LF, Scan, scan
from airflow_provider_sfbulk.client.csv.spreadsheet import MARK, restored
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.parts.encode import without_key
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan, SourceColumn, plan_columns
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.sources.compression import READ_BYTES, OpenBinary, pieces
from airflow_provider_sfbulk.client.sources.csv_edit import Edit
from airflow_provider_sfbulk.client.sources.csv_header import CsvHeader, read_header, refuse_record
from airflow_provider_sfbulk.client.sources.first_bytes import refuse_other

BLOCK_BYTES: Final = READ_BYTES
"""Bytes of one block, about."""

RECORD_BYTES: Final = 4 * limits.RECORD_CHARACTERS + 3 * limits.RECORD_FIELDS + 2
"""Bytes that an allowed record has at most: four of each character, quotes and a delimiter around each field."""


def from_csv(
    open_binary: OpenBinary,
    rules: Rules,
    *,
    name: str,
    compression: str | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> RecordStream:
    """Make a stream from a CSV file with a header line, in UTF-8 (a BOM is removed).

    Quoting, number of values, characters, line breaks and Salesforce's sizes are checked as the records pass. A missing
    last line ending is added; empty lines at the end are dropped, elsewhere refused. An empty value is the file's null;
    the text ``#N/A`` is sent as it is, and clears.
    A file with a header line only makes a stream without records.

    :param open_binary: opens the file from its beginning, each time it is called: once for the header, once for all
    :param name: the file's name, for messages
    :param compression: ``gz``, ``zst`` or None
    :param block_bytes: bytes of one block, about
    :raises SourceError: for a file that is empty or no CSV, or columns that cannot be sent; while reading, for a
        record that is not right, with its number
    """
    rules.refuse_columns(name)

    def data() -> Generator[bytes, None, None]:
        return pieces(open_binary, compression=compression, taken_for="csv", name=name)

    with closing(data()) as beginning:
        head, more = _fill(b"", beginning, max(block_bytes, 4 * limits.HEADER_CHARACTERS))
    refuse_other(head, taken_for="csv", name=name, is_packed=compression is not None)
    header = read_header(head, whole=not more, column_delimiter=rules.column_delimiter, name=name)
    refuse_record(header.names, mapped=rules.column_mapping or (), name=name)
    plan = plan_columns([SourceColumn(each) for each in header.names], rules, name=name, is_csv=True)
    ending = rules.line_ending or _job_line_ending(header, head[len(header.raw) :])
    dialect = Dialect(header.column_delimiter, ending)
    records = _Records(name, header, plan, dialect, block_bytes)
    return RecordStream(
        plan.targets,
        dialect,
        lambda types: records.blocks(data(), types, rules.zone),
        name=name,
        is_csv=True,
        raw=(lambda: records.raw(data())) if records.pass_through and rules.zone is None else None,
    )


def _job_line_ending(header: CsvHeader, records: bytes) -> LineEnding:
    if header.line_ending is None:
        return LineEnding.LF
    breaks = _inner_line_breaks(scan(records, ord(header.column_delimiter.character)))
    return breaks.pop() if len(breaks) == 1 else header.line_ending


def _inner_line_breaks(found: Scan) -> set[LineEnding]:
    """Which line breaks are inside values."""
    feeds = found.inner_breaks[found.data[found.inner_breaks] == LF]
    after_return = found.data[feeds - 1] == CR
    breaks = set()
    if after_return.any():
        breaks.add(LineEnding.CRLF)
    if not after_return.all():
        breaks.add(LineEnding.LF)
    return breaks


@dataclass
class _Records:
    """The state of reading one file: what is known about it, and how far it has been read."""

    name: str
    header: CsvHeader
    plan: ColumnPlan
    dialect: Dialect
    block_bytes: int
    row: int = 1
    """Number of the next record."""
    empty_row: int | None = None
    """Number of the first of the empty lines that nothing has followed so far."""
    offset: int = 0
    """Place in the file of the next record."""

    def __post_init__(self) -> None:
        self._delimiter = ord(self.dialect.delimiter)
        self._zone: ZoneInfo | None = None
        self._moments: list[int] = []
        self._is_safe = MARK.casefold() in {name.casefold() for name in self.header.names}
        self._file_ending = self.header.line_ending or self.dialect.line_ending
        self._edit = Edit(
            len(self.header.names), self.plan, self._file_ending, self.dialect.line_ending, self._only_value_missing
        )

    @property
    def pass_through(self) -> bool:
        """Whether the records are sent as the file has them, but for its end and for datetimes."""
        return self._edit.changes_nothing and not self._is_safe

    def raw(self, data: Generator[bytes, None, None]) -> Generator[bytes]:
        """Give the records that follow the header as they are."""
        with closing(data):
            if rest := self._skip_header(data):
                yield rest
            yield from data

    def blocks(self, data: Generator[bytes, None, None], types: FieldTypes, zone: ZoneInfo | None) -> Iterator[Block]:
        """Yield the records that follow the header.

        :param zone: of datetimes that carry none; None: they are not looked at
        """
        self._zone = zone
        self._moments = [kept for kept, each in zip(self.plan.kept, types, strict=True) if each == "datetime" and zone]
        with closing(data):
            rest = self._skip_header(data)
            self.offset = len(self.header.raw)
            while True:
                # Twice the rest, so that a long record is not looked through again for each small piece of it.
                rest, more = _fill(rest, data, max(self.block_bytes, 2 * len(rest)))
                found = scan(rest, self._delimiter)
                if not more:
                    found = self._ended(found)
                stop = int(found.ends[-1]) + 1 if found.ends.size else 0
                if stop:
                    block = self._checked(found.upto(stop))
                    if block is not None:
                        yield block
                    self.offset += stop
                if not more:
                    return
                rest = rest[stop:]
                if len(rest) > RECORD_BYTES:
                    self._check_quotes(scan(rest, self._delimiter))
                    self._fail(0, f"longer than a record can be ({RECORD_BYTES} bytes); is a quote not closed?")

    def _skip_header(self, data: Iterator[bytes]) -> bytes:
        raw = self.header.raw
        rest, _ = _fill(b"", data, len(raw))
        if not rest.startswith(raw):
            raise SourceError(f"{self.name}: the file has changed while it was read")
        return rest[len(raw) :]

    def _ended(self, found: Scan) -> Scan:
        """The last records: make sure that they are whole, and that the last one ends with a line ending."""
        if found.quotes.size % 2:
            self._check_quotes(found)
            self._fail(found.row_of(int(found.quotes[-1])), "a quote is not closed when the file ends")
        if found.data.size and (not found.ends.size or found.ends[-1] != found.data.size - 1):
            return scan(found.raw + self._file_ending.characters.encode(), self._delimiter)
        return found

    def _checked(self, found: Scan) -> Block | None:
        self._check_characters(found.raw, found)
        self._check_marks(found)
        self._check_quotes(found)
        self._check_line_breaks(found)
        found = self._without_empty_lines(found)
        records = int(found.ends.size)
        if not records:
            return None
        self._check_columns(found)
        if self._is_safe:
            found = restored(found, self._delimiter)
        if self.plan.key is not None:
            self._check_key(found, self.plan.key)
        if self._moments:
            found = self._with_zone(found)
        self._check_sizes(found)
        block = Block(self._edit.apply(found), records)
        self.row += records
        return block

    def _fail(self, index: int, reason: str, *, place: int | None = None, found: Scan | None = None) -> NoReturn:
        """Raise the error of the record ``index``, from 0, of those in hand; of its column at ``place``."""
        where = f"row {self.row + index}"
        if found is not None and place is not None:
            first = int(np.searchsorted(found.separators, found.ends[index - 1])) + 1 if index else 0
            column = int(np.searchsorted(found.separators, place)) - first
            if column < len(self.header.names):
                where += f", column {self.header.names[column]}"
        raise SourceError(f"{self.name}: {where}: {reason}")

    def _only_value_missing(self, index: int) -> NoReturn:
        self._fail(index, "no value in the only column that is sent")

    def _check_characters(self, data: bytes, found: Scan) -> None:
        if b"\0" in data:
            place = data.index(b"\0")
            self._fail(found.row_of(place), "a NUL character", place=place, found=found)
        if not _is_utf8(data):
            try:
                data.decode()
            except UnicodeDecodeError as error:
                self._fail(
                    found.row_of(error.start),
                    f"not UTF-8, at byte {self.offset + error.start + 1} of the file; convert it (many such files are "
                    "Windows-1252 or Latin-1)",
                    place=error.start,
                    found=found,
                )

    def _check_marks(self, found: Scan) -> None:
        """Refuse a byte order mark at the beginning of a record, as a file has it that was joined from several."""
        # The first byte alone is looked for ten times faster than all three.
        if codecs.BOM_UTF8[:1] not in found.raw:
            return
        starts = _starts(found.ends)
        for index in np.flatnonzero(found.data[starts] == codecs.BOM_UTF8[0]):
            if found.raw.startswith(codecs.BOM_UTF8, int(starts[index])):
                self._fail(
                    int(index),
                    "begins with a byte order mark: files were joined here. Take the mark away, and the header line if it "
                    "came along, or name the files one by one",
                )

    def _check_quotes(self, found: Scan) -> None:
        place = found.misplaced_quote(self._delimiter)
        if place is not None:
            self._fail(
                found.row_of(place),
                "a quote that neither opens nor closes the whole value; a value with quotes is quoted, and each quote "
                'in it doubled ("")',
                place=place,
                found=found,
            )

    def _check_line_breaks(self, found: Scan) -> None:
        data, ends, returns = found.data, found.ends, found.outer_returns
        if self._file_ending is LineEnding.LF:
            stray = returns
        else:
            bare = ends[data[ends - 1] != CR]
            if bare.size:
                self._fail(
                    found.row_of(int(bare[0])), "ends with LF, the header line with CRLF; make all line endings alike"
                )
            stray = np.setdiff1d(returns, ends - 1, assume_unique=True)
        if stray.size:
            place = int(stray[0])
            ended = place + 1 < data.size and data[place + 1] == LF
            reason = "ends with CRLF, the header line with LF; make all line endings alike"
            self._fail(found.row_of(place), reason if ended else "a lone carriage return outside quotes")
        if found.inner_breaks.size:
            self._check_inner_line_breaks(found)

    def _check_inner_line_breaks(self, found: Scan) -> None:
        feeds = found.inner_breaks[found.data[found.inner_breaks] == LF]
        is_pair = found.data[feeds - 1] == CR
        job = self.dialect.line_ending
        wrong = feeds[is_pair if job is LineEnding.LF else ~is_pair]
        if wrong.size:
            other = LineEnding.CRLF if job is LineEnding.LF else LineEnding.LF
            place = int(wrong[0])
            self._fail(
                found.row_of(place),
                f"a line break {other} in a value, in a job of line ending {job}, which Salesforce refuses; if all "
                f'line breaks in the values are {other} give line_ending="{other}", else make them alike',
                place=place,
                found=found,
            )

    def _without_empty_lines(self, found: Scan) -> Scan:
        """Drop empty lines that nothing follows."""
        starts = _starts(found.ends)
        empty = (found.ends - starts) == len(self._file_ending.characters) - 1
        if self.empty_row is not None and not empty.all():
            raise SourceError(f"{self.name}: row {self.empty_row}: an empty line in the middle of the file")
        if not empty.any():
            return found
        first = int(np.argmax(empty))
        if self.empty_row is None:
            self.empty_row = self.row + first
        if not empty[first:].all():
            raise SourceError(f"{self.name}: row {self.row + first}: an empty line in the middle of the file")
        return found.upto(int(starts[first]))

    def _check_columns(self, found: Scan) -> None:
        separators, wanted = found.separators, len(self.header.names)
        if separators.size == wanted * found.ends.size and (separators[wanted - 1 :: wanted] == found.ends).all():
            return
        fields = np.diff(np.searchsorted(separators, found.ends), prepend=-1)
        index = int(np.argmax(fields != wanted))
        self._fail(
            index,
            f"{int(fields[index])} values, the header has {wanted} columns; a value with the delimiter "
            f"({self.dialect.column_delimiter}) in it must be quoted",
        )

    def _check_key(self, found: Scan, key: int) -> None:
        blank = blank_cells(found, self.plan.kept[key], len(self.header.names), self._file_ending)
        if blank.size:
            raise SourceError(f"{self.name}: {without_key((blank + self.row).tolist(), self.plan)}")

    def _with_zone(self, found: Scan) -> Scan:
        assert self._zone is not None, "there are moments to look at with a zone only"
        try:
            return with_zone(
                found, self._moments, len(self.header.names), self._file_ending, self._zone, self._delimiter
            )
        except UnfitCellError as error:
            self._fail(error.index, error.reason, place=error.place, found=found)

    def _check_sizes(self, found: Scan) -> None:
        separators = found.separators
        records = np.diff(found.ends, prepend=-1)
        if int(records.max()) <= limits.FIELD_CHARACTERS:  # and so is every field in them
            return
        for field in np.flatnonzero(np.diff(separators, prepend=-1) - 1 > limits.FIELD_CHARACTERS):
            if self._characters(found, int(field), int(field) + 1) > limits.FIELD_CHARACTERS:
                self._fail(
                    found.row_of(int(separators[field])),
                    f"longer than the {limits.FIELD_CHARACTERS} characters that Salesforce takes in a field",
                    place=int(separators[field]),
                    found=found,
                )
        columns = len(self.header.names)
        for index in np.flatnonzero(records > limits.RECORD_CHARACTERS):
            if self._characters(found, int(index) * columns, (int(index) + 1) * columns) > limits.RECORD_CHARACTERS:
                self._fail(
                    int(index),
                    f"longer than the {limits.RECORD_CHARACTERS} characters that Salesforce takes in a record",
                )

    def _characters(self, found: Scan, first: int, stop: int) -> int:
        """Characters of the values ``first`` to ``stop``."""
        total = 0
        for field in range(first, stop):
            start = int(found.separators[field - 1]) + 1 if field else 0
            raw = found.data[start : int(found.separators[field])].tobytes().removesuffix(b"\r")
            if raw.startswith(b'"'):
                raw = raw[1:-1].replace(b'""', b'"')
            total += len(raw.decode())
        return total


def _is_utf8(data: bytes) -> bool:
    """Tell whether bytes are UTF-8, several times faster than by decoding them."""
    offsets: Any = np.array([0, len(data)], np.int64)
    text: Any = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _starts(ends: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.concatenate((np.zeros(min(1, ends.size), np.intp), ends[:-1] + 1))


def _fill(held: bytes, data: Iterator[bytes], wanted: int) -> tuple[bytes, bool]:
    """Read on until there are ``wanted`` bytes; say whether there may be more."""
    parts = [held]
    size = len(held)
    while size < wanted:
        piece = next(data, None)
        if piece is None:
            return b"".join(parts), False
        parts.append(piece)
        size += len(piece)
    return b"".join(parts), True
