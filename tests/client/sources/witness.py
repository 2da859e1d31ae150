"""Independent witnesses: the standard library's CSV reader, and files that read in odd pieces."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO

from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.sources.open import RecordStream, Rules

SECRET = "Zebedäus-4711"
"""A value that must be in no error."""

INSERT = Rules(operation=Operation.INSERT)


class OddFile(io.RawIOBase):
    """A file whose reads give fewer bytes than asked for, each time another number."""

    def __init__(self, data: bytes, sizes: Sequence[int] = (1, 7, 3, 64, 2)) -> None:
        self._data = data
        self._sizes = list(sizes)
        self._place = 0
        self._turn = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        take = self._sizes[self._turn % len(self._sizes)]
        self._turn += 1
        take = min(take, size) if size >= 0 else take
        found = self._data[self._place : self._place + take]
        self._place += len(found)
        return found


def opened(data: bytes, sizes: Sequence[int] | None = None) -> Callable[[], BinaryIO]:
    """A way to open ``data``, whole or in pieces of these sizes."""
    return lambda: io.BytesIO(data) if sizes is None else OddFile(data, sizes)  # type: ignore[return-value]


def parse(data: bytes, delimiter: str = ",") -> list[list[str]]:
    """Read CSV with the standard library."""
    csv.field_size_limit(2**30)
    return list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter, strict=True))


def encoded(stream: RecordStream) -> bytes:
    """All of a stream, header included; the counts of its blocks are checked on the way."""
    parts = [stream.header]
    for block in stream.blocks():
        assert len(parse(block.data, stream.dialect.delimiter)) == block.records
        assert block.data.endswith(stream.dialect.newline.encode())
        parts.append(block.data)
    return b"".join(parts)


def rows_of(stream: RecordStream) -> list[list[str]]:
    """All records of a stream, read back; the header is compared with its columns."""
    data = encoded(stream)
    if not stream.columns:
        assert data == b""
        return []
    header, *rows = parse(data, stream.dialect.delimiter)
    assert tuple(header) == stream.columns
    return rows


def write(
    rows: Iterable[Sequence[str]],
    *,
    delimiter: str = ",",
    newline: str = "\n",
    quoted: Callable[[int, int], bool] = lambda row, column: False,
) -> bytes:
    """Write CSV by the rules of RFC 4180, with more quotes than needed where ``quoted`` says so."""
    lines = []
    for row, values in enumerate(rows):
        cells = []
        for column, value in enumerate(values):
            needs = any(each in value for each in (delimiter, '"', "\r", "\n")) or (len(values) == 1 and not value)
            if needs or quoted(row, column):
                value = '"' + value.replace('"', '""') + '"'  # noqa: PLW2901
            cells.append(value)
        lines.append(delimiter.join(cells) + newline)
    return "".join(lines).encode()
