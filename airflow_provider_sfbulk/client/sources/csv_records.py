"""Checks whole records of a CSV file, and makes what is sent of them.

A check of some records is independent of those before them, so it may run on another thread. An error gives the
record's place among the records of its check; the caller takes the checks in order, and knows its number in the file.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv import bits
from airflow_provider_sfbulk.client.csv.bits import Places
from airflow_provider_sfbulk.client.csv.cells import UnfitCellError, blank_cells, value_of, with_zone
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.scan import CR, LF, Scan, scan
from airflow_provider_sfbulk.client.csv.spreadsheet import MARK, restored
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.parts.mapping import ColumnPlan
from airflow_provider_sfbulk.client.parts.reasons import LONG_FIELD, LONG_RECORD, NUL, foreign_line_break, without_key
from airflow_provider_sfbulk.client.parts.stream import NULL_TEXT, FieldTypes
from airflow_provider_sfbulk.client.sources.csv_edit import Edit
from airflow_provider_sfbulk.client.sources.csv_header import CsvHeader

RECORD_BYTES: Final = 4 * limits.RECORD_CHARACTERS + 3 * limits.RECORD_FIELDS + 2
"""Bytes that an allowed record has at most: four of each character, quotes and a delimiter around each field."""

EMPTY_LINE: Final = "an empty line before other records: remove it"


class UnfitRecordsError(Exception):
    """Records that cannot be sent.

    :param reason: returns why, given the number in the file of the first record that was checked
    """

    def __init__(self, reason: Callable[[int], str]) -> None:
        super().__init__()
        self.reason = reason


@dataclass(frozen=True)
class Looked:
    """Checked records, as they are sent.

    :param data: what is sent of them
    :param records: their number
    :param is_all: whether no empty line follows them
    """

    data: bytes
    records: int
    is_all: bool


class CsvRecords:
    """Checks and edits the records of one file.

    :param header: the file's
    :param plan: its columns
    :param dialect: the job's
    """

    def __init__(self, header: CsvHeader, plan: ColumnPlan, dialect: Dialect) -> None:
        self._names = header.names
        self._plan = plan
        self._dialect = dialect
        self._delimiter = ord(dialect.delimiter)
        self._is_safe = MARK.casefold() in {name.casefold() for name in header.names}
        self._file_ending = header.line_ending or dialect.line_ending
        # Of one column a record may be called like its field.
        self._repeated = header.line + self._file_ending.characters.encode() if len(header.names) > 1 else None
        self._edit = Edit(len(header.names), plan, self._file_ending, dialect.line_ending, _only_value_missing)

    @property
    def pass_through(self) -> bool:
        """Whether the records are sent as they are in the file, except for its end and for datetimes."""
        return self._edit.changes_nothing and not self._is_safe

    def look(
        self, raw: bytes, offset: int, types: FieldTypes, zone: ZoneInfo | None, *, is_last: bool = False
    ) -> Looked:
        """Check records, and return what is sent of them.

        :param offset: of their first byte in the file
        :param types: each kept column's type in describe
        :param zone: of datetimes without one; None: they are not checked
        :param is_last: whether the file ends here: the last record may lack its line ending
        :raises UnfitRecordsError: one of them cannot be sent
        """
        found = scan(raw, self._delimiter)
        if is_last:
            found = self._ended(found)
        self._check_characters(found, offset)
        self._check_marks(found)
        self._check_quotes(found)
        self._check_line_breaks(found)
        whole, found = found, self._without_empty_lines(found)
        if not found.records:
            return Looked(b"", 0, is_all=found is whole)
        self._check_columns(found)
        self._check_header_lines(found)
        is_all = found is whole
        if self._is_safe:
            found = restored(found, self._delimiter)
        if self._plan.key is not None:
            self._check_key(found, self._plan.key)
        moments = [kept for kept, each in zip(self._plan.kept, types, strict=True) if each == "datetime"]
        if zone is not None and moments:
            found = self._with_zone(found, moments, zone)
        self._check_sizes(found)
        return Looked(self._edit.apply(found), found.records, is_all)

    def refuse_long_record(self, raw: bytes) -> NoReturn:
        """Refuse a record that has no end within :data:`RECORD_BYTES`.

        :raises UnfitRecordsError: always
        """
        self._check_quotes(scan(raw, self._delimiter))
        _fail(0, f"longer than any record ({RECORD_BYTES:,} bytes): look for a quoted value without a closing quote")

    def _ended(self, found: Scan) -> Scan:
        """Return the last records, the last one with a line ending; refuse one that is cut off."""
        if found.is_open:
            self._check_quotes(found)
            _fail(found.row_of(found.last_quote), "a quoted value without a closing quote: add the quote")
        if found.raw and not found.raw.endswith(b"\n"):
            return scan(found.raw + self._file_ending.characters.encode(), self._delimiter)
        return found

    def _fail_at(self, place: int, found: Scan, reason: str) -> NoReturn:
        """Raise the error of the value that has the byte at ``place``."""
        index = found.row_of(place)
        first = int(np.searchsorted(found.separators, found.ends[index - 1])) + 1 if index else 0
        column = int(np.searchsorted(found.separators, place)) - first
        _fail(index, reason, column=self._names[column] if column < len(self._names) else None)

    def _check_characters(self, found: Scan, offset: int) -> None:
        data = found.raw
        if b"\0" in data:
            self._fail_at(data.index(b"\0"), found, NUL)
        if not _is_utf8(data):
            try:
                data.decode()
            except UnicodeDecodeError as error:
                self._fail_at(
                    error.start,
                    found,
                    f"not UTF-8, at byte {offset + error.start + 1} of the file: convert the file to UTF-8 (it is often "
                    "Windows-1252 or Latin-1)",
                )

    def _check_marks(self, found: Scan) -> None:
        """Refuse a byte order mark at the beginning of a record, as in a file that was joined from several."""
        # The first byte alone is looked for ten times faster than all three.
        if codecs.BOM_UTF8[:1] not in found.raw:
            return
        starts = np.concatenate((np.zeros(1, np.intp), found.ends[:-1] + 1))
        for index in np.flatnonzero(found.data[starts] == codecs.BOM_UTF8[0]):
            if found.raw.startswith(codecs.BOM_UTF8, int(starts[index])):
                _fail(
                    int(index),
                    "begins with a byte order mark, so files were probably joined here: remove the mark, and any repeated "
                    "header line, or load the files as a list",
                )

    def _check_header_lines(self, found: Scan) -> None:
        """Refuse a header line between records, as in a file that was joined from several: it would be one of them."""
        place = -1 if self._repeated is None else found.raw.find(self._repeated)
        while self._repeated is not None and place >= 0:
            index = found.row_of(place)
            if place == (int(found.ends[index - 1]) + 1 if index else 0):
                _fail(
                    index,
                    "repeats the header line, so files were probably joined here: remove it, or load the files as a list",
                )
            place = found.raw.find(self._repeated, place + 1)

    def _check_quotes(self, found: Scan) -> None:
        if (place := found.misplaced_quote) is not None:
            self._fail_at(
                place,
                found,
                'a misplaced quote: enclose the whole value in quotes, and double each quote inside it ("")',
            )

    def _check_line_breaks(self, found: Scan) -> None:
        if self._file_ending is LineEnding.LF:
            stray = found.outer_returns
        else:
            if (bare := found.lone_feeds).size:
                _fail(
                    found.row_of(int(bare[0])),
                    "ends with LF, but the header line with CRLF: convert the file to one line ending",
                )
            stray = found.lone_returns
        if stray.size:
            place = int(stray[0])
            ended = found.raw[place + 1 : place + 2] == b"\n"
            reason = "ends with CRLF, but the header line with LF: convert the file to one line ending"
            lone = "a lone carriage return outside quotes: quote the value, or convert the line endings"
            _fail(found.row_of(place), reason if ended else lone)
        if (breaks := found.inner_breaks).size:
            self._check_inner_line_breaks(found, breaks)

    def _check_inner_line_breaks(self, found: Scan, breaks: Places) -> None:
        feeds = breaks[found.data[breaks] == LF]
        is_pair = found.data[feeds - 1] == CR
        job = self._dialect.line_ending
        wrong = feeds[is_pair if job is LineEnding.LF else ~is_pair]
        if wrong.size:
            other = LineEnding.CRLF if job is LineEnding.LF else LineEnding.LF
            self._fail_at(
                int(wrong[0]),
                found,
                foreign_line_break(other, job),
            )

    def _without_empty_lines(self, found: Scan) -> Scan:
        """Drop the empty lines at the end; refuse others."""
        if not (lines := found.empty_lines).any():
            return found
        empty = np.isin(found.ends, bits.places(lines))
        first = int(np.argmax(empty))
        if not empty[first:].all():
            _fail(first, EMPTY_LINE)
        return found.upto(int(found.ends[first - 1]) + 1 if first else 0)

    def _check_columns(self, found: Scan) -> None:
        if (ragged := found.ragged(len(self._names))) is not None:
            index, values = ragged
            _fail(
                index,
                f"{values} values, but the header has {len(self._names)} columns: a value that contains the delimiter "
                f"({self._dialect.column_delimiter}) must be quoted",
            )

    def _check_key(self, found: Scan, key: int) -> None:
        place, columns = self._plan.kept[key], len(self._names)
        blank = blank_cells(found, place, columns, self._file_ending, null=NULL_TEXT)
        if blank.size:
            raise UnfitRecordsError(lambda row: without_key((blank + row).tolist(), self._plan))

    def _with_zone(self, found: Scan, moments: list[int], zone: ZoneInfo) -> Scan:
        try:
            return with_zone(found, moments, len(self._names), self._file_ending, zone, self._delimiter)
        except UnfitCellError as error:
            self._fail_at(error.place, found, error.reason)

    def _check_sizes(self, found: Scan) -> None:
        if bits.surely_within(found.end_bits, limits.FIELD_CHARACTERS):  # no record, so no field, is longer
            return
        records = np.diff(found.ends, prepend=-1)
        separators = found.separators
        for field in np.flatnonzero(np.diff(separators, prepend=-1) - 1 > limits.FIELD_CHARACTERS):
            if _characters(found, int(field), int(field) + 1) > limits.FIELD_CHARACTERS:
                self._fail_at(int(separators[field]), found, LONG_FIELD)
        columns = len(self._names)
        for index in np.flatnonzero(records > limits.RECORD_CHARACTERS):
            if _characters(found, int(index) * columns, (int(index) + 1) * columns) > limits.RECORD_CHARACTERS:
                _fail(int(index), LONG_RECORD)


def _fail(index: int, reason: str, *, column: str | None = None) -> NoReturn:
    """Raise the error of the record ``index``, from 0."""
    where = f", column {column}" if column is not None else ""
    raise UnfitRecordsError(lambda row: f"row {row + index}{where}: {reason}")


def _only_value_missing(index: int) -> NoReturn:
    _fail(index, "no value in the only column that is sent: remove the row")


def _characters(found: Scan, first: int, stop: int) -> int:
    """Characters of the values ``first`` to ``stop``."""
    total = 0
    for field in range(first, stop):
        start = int(found.separators[field - 1]) + 1 if field else 0
        raw = found.raw[start : int(found.separators[field])].removesuffix(b"\r")
        total += len(value_of(raw))
    return total


def _is_utf8(data: bytes) -> bool:
    """Return whether bytes are UTF-8, several times faster than by decoding them."""
    offsets: Any = np.array([0, len(data)], np.int64)
    text: Any = pa.Array.from_buffers(pa.large_string(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)])
    try:
        text.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
