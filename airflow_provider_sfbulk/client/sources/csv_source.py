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

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.scan import CR, LF, Scan, last_end, scan
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.parts.mapping import SourceColumn, plan_columns
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.parts.threads import in_order
from airflow_provider_sfbulk.client.sources.compression import READ_BYTES, OpenBinary, pieces
from airflow_provider_sfbulk.client.sources.csv_header import CsvHeader, read_header, refuse_record
from airflow_provider_sfbulk.client.sources.csv_records import (
    EMPTY_LINE,
    RECORD_BYTES,
    CsvRecords,
    Looked,
    UnfitRecordsError,
)
from airflow_provider_sfbulk.client.sources.first_bytes import refuse_other

BLOCK_BYTES: Final = READ_BYTES
"""Bytes of one block, about."""


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
    records = CsvRecords(header, plan, dialect)
    file = _File(name, header, data, records, block_bytes)
    return RecordStream(
        plan.targets,
        dialect,
        lambda types: file.blocks(types, rules.zone),
        name=name,
        is_csv=True,
        raw=file.raw if records.pass_through and rules.zone is None else None,
    )


def _job_line_ending(header: CsvHeader, records: bytes) -> LineEnding:
    if header.line_ending is None:
        return LineEnding.LF
    breaks = _inner_line_breaks(scan(records, ord(header.column_delimiter.character)))
    return breaks.pop() if len(breaks) == 1 else header.line_ending


def _inner_line_breaks(found: Scan) -> set[LineEnding]:
    """Which line breaks are inside values."""
    inner = found.inner_breaks
    feeds = inner[found.data[inner] == LF]
    after_return = found.data[feeds - 1] == CR
    breaks = set()
    if after_return.any():
        breaks.add(LineEnding.CRLF)
    if not after_return.all():
        breaks.add(LineEnding.LF)
    return breaks


@dataclass
class _File:
    """One file of known columns, read from its beginning each time.

    :param data: opens it
    :param records: what is wanted of its records
    :param block_bytes: bytes of one block, about
    """

    name: str
    header: CsvHeader
    data: Callable[[], Generator[bytes]]
    records: CsvRecords
    block_bytes: int

    def raw(self) -> Generator[bytes]:
        """Give the records that follow the header as they are."""
        with closing(self.data()) as data:
            if rest := self._skip_header(data):
                yield rest
            yield from data

    def blocks(self, types: FieldTypes, zone: ZoneInfo | None) -> Iterator[Block]:
        """Yield the records that follow the header.

        :param zone: of datetimes that carry none; None: they are not looked at
        """
        row = 1
        empty_row: int | None = None  # the first of the empty lines that nothing has followed so far
        with closing(self._looks(types, zone)) as looks, closing(in_order(looks, ahead=1)) as looked:
            while True:
                try:
                    block = next(looked, None)
                except UnfitRecordsError as error:
                    raise SourceError(f"{self.name}: {error.reason(row)}") from error
                if block is None:
                    return
                if block.records:
                    if empty_row is not None:
                        raise SourceError(f"{self.name}: row {empty_row}: {EMPTY_LINE}")
                    yield Block(block.data, block.records)
                row += block.records
                if not block.is_all and empty_row is None:
                    empty_row = row

    def _looks(self, types: FieldTypes, zone: ZoneInfo | None) -> Generator[Callable[[], Looked]]:
        """Read the file, and cut it into whole records to look at."""
        offset = len(self.header.raw)
        with closing(self.data()) as data:
            rest, more = self._skip_header(data), True
            while more:
                # Twice the rest, so that a long record is not looked through again for each small piece of it.
                rest, more = _fill(rest, data, max(self.block_bytes, 2 * len(rest)))
                stop = last_end(rest) if more else len(rest)
                if stop:
                    yield partial(self.records.look, rest[:stop], offset, types, zone, is_last=not more)
                rest, offset = rest[stop:], offset + stop
                if len(rest) > RECORD_BYTES:
                    yield partial(self.records.refuse_long_record, rest)
                    return

    def _skip_header(self, data: Iterator[bytes]) -> bytes:
        raw = self.header.raw
        rest, _ = _fill(b"", data, len(raw))
        if not rest.startswith(raw):
            raise SourceError(f"{self.name}: the file has changed while it was read")
        return rest[len(raw) :]


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
