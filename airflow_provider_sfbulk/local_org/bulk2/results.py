"""CSV that the org writes: the three result files of an ingest job, and the pages of a query job.

Query results are written once, when the job runs, with the byte offset of every record beside them: a page is then a
slice of the file, whatever its size and however often it is read, and later changes to the records do not show.

Facts ("What the query CSV looks like", many captures): every header name and value is quoted, null is ``""``,
booleans are ``true`` and ``false``, numbers with a fraction follow Java's ``Double.toString``.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk2.csv_in import Dialect
from airflow_provider_sfbulk.local_org.data.schema import Field

_BLOCK_BYTES: Final = 256 * 1024
_OFFSET_BYTES: Final = 8


def double_text(number: float) -> str:
    """Write a number with a fraction as Java does: ``42.0``, ``9.0E7``, ``1.0E-4``.

    That numbers below 0.001 are in scientific notation too follows from Java's rule; it was not seen from Salesforce.
    """
    if 0.001 <= abs(number) < limits.DOUBLE_SCIENTIFIC_FROM or number == 0:
        return repr(number)
    sign, digits, _ = Decimal(repr(number)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    power = Decimal(repr(number)).adjusted()
    return f"{'-' if sign else ''}{text[0]}.{text[1:] or '0'}E{power}"


def row_text(values: Iterable[str], dialect: Dialect) -> str:
    """Write one row, every value quoted."""
    quoted = (value.replace('"', '""') for value in values)
    return '"' + f'"{dialect.delimiter}"'.join(quoted) + '"' + dialect.newline


# --- query results ---


class QueryResults:
    """The file of one query job's results.

    :param folder: the job's own
    """

    def __init__(self, folder: Path) -> None:
        self._rows = folder / "results.csv"
        self._offsets = folder / "results.offsets"

    def write(self, paths: Sequence[str], fields: Sequence[Field], dialect: Dialect, rows: Iterable[list[Any]]) -> int:
        """Write everything; return the number of records.

        :param paths: the header
        :param rows: lists of records, some at a time, values as stored
        """
        texts = [texts_of(field) for field in fields]
        start, end = '"', '"' + dialect.newline
        between = f'"{dialect.delimiter}"'
        around = len(start + end)
        position, count = 0, 0
        with self._rows.open("wb") as file, self._offsets.open("wb") as offsets:
            header = row_text(paths, dialect).encode()
            file.write(header)
            position = len(header)
            array("Q", [position]).tofile(offsets)
            for some in rows:
                columns = [text(column) for text, column in zip(texts, zip(*some, strict=True), strict=True)]
                lines = list(map(between.join, zip(*columns, strict=True)))
                joined = start + (end + start).join(lines) + end
                block = joined.encode()
                sizes = map(len, lines) if len(block) == len(joined) else (len(line.encode()) for line in lines)
                ends = list(accumulate((size + around for size in sizes), initial=position))[1:]
                array("Q", ends).tofile(offsets)
                file.write(block)
                position = ends[-1]
                count += len(lines)
        return count

    def page(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the header and the records from ``start`` to before ``end``, block by block."""
        with self._rows.open("rb") as file, self._offsets.open("rb") as offsets:
            header_end, first, last = (_offset(offsets.fileno(), row) for row in (0, start, end))
            yield file.read(header_end)
            file.seek(first)
            left = last - first
            while left:
                block = file.read(min(left, _BLOCK_BYTES))
                left -= len(block)
                yield block


def _offset(descriptor: int, row: int) -> int:
    return int.from_bytes(os.pread(descriptor, _OFFSET_BYTES, row * _OFFSET_BYTES), "little")


def texts_of(field: Field) -> Callable[[Sequence[Any]], Sequence[str]]:
    """Return the function that writes a column of stored values, without the quotes around them."""
    if field.type == "boolean":
        return lambda column: ["true" if value else "false" for value in column]
    if field.type in ("double", "currency", "percent"):
        return lambda column: ["" if value is None else double_text(value) for value in column]
    if field.type in ("int", "long"):
        return lambda column: ["" if value is None else str(value) for value in column]
    return lambda column: _escaped([value or "" for value in column] if None in column else column)


def _escaped(column: Sequence[str]) -> Sequence[str]:
    """Double the quotes of a column; most columns have none, and one search is faster than one for each value."""
    return [value.replace('"', '""') for value in column] if '"' in "".join(column) else column


# --- results of an ingest job ---


def ingest_header(first: Sequence[str], header_line: str, dialect: Dialect) -> str:
    """Write the header of a result file: the org's own columns quoted, then the uploaded header as it was uploaded."""
    own = dialect.delimiter.join(f'"{name}"' for name in first)
    return f"{own}{dialect.delimiter if header_line else ''}{header_line}{dialect.newline}"


def ingest_rows(first: Sequence[Sequence[str]], echo: Sequence[Sequence[str]], dialect: Dialect) -> str:
    """Write rows of a result file.

    :param first: the org's own columns
    :param echo: the uploaded columns
    """
    between = f'"{dialect.delimiter}"'
    columns = [*first, *map(_escaped, echo)]
    end = '"' + dialect.newline
    return "".join(['"' + between.join(row) + end for row in zip(*columns, strict=True)])


def echoed(field: Field | None, texts: Sequence[str], values: Sequence[Any]) -> list[str]:
    """Return an uploaded column as results give it back.

    "Values are written back re-serialised, not byte-for-byte": a documented sample shows an amount of 912260031 come
    back as ``9.12260031E8``. Other types come back as they were here.
    """
    if field is None or field.type not in ("double", "currency", "percent"):
        return list(texts)
    return [double_text(value) if isinstance(value, float) else text for text, value in zip(texts, values, strict=True)]
