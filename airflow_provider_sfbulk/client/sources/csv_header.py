"""The first line of a CSV: its columns, and from it the delimiter and line ending of the file."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.csv.names import without_bom
from airflow_provider_sfbulk.client.csv.scan import scan
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding

_LINE: Final = re.compile(rb'(?>(?:[^"\r\n]++|"[^"]*+")*)')
_NOTE_FOR_EXCEL: Final = re.compile(rb'"?sep=.?"?', re.IGNORECASE)
_QUOTED: Final = re.compile(rb'"[^"]*+"')
_COMPARED_RECORDS: Final = 20


@dataclass(frozen=True)
class CsvHeader:
    """What is known from the beginning of a CSV.

    :param names: column names as the file has them
    :param raw: the file's bytes up to the first record: BOM, header line, line ending
    :param line_ending: of the header line; None when the file ends with it
    :param line: the header line alone, without these
    """

    names: tuple[str, ...]
    column_delimiter: ColumnDelimiter
    line_ending: LineEnding | None
    raw: bytes
    line: bytes


def read_header(head: bytes, *, whole: bool, column_delimiter: ColumnDelimiter | None, name: str) -> CsvHeader:
    """Read the header line at the beginning of ``head``.

    :param head: the beginning of the file, unpacked
    :param whole: whether that is the whole file
    :param column_delimiter: the file's delimiter, when it is known
    :raises SourceError: when there is no header line, or its form cannot be recognised
    """
    if not head:
        raise SourceError(f"{name}: the file is empty: a CSV file needs a header line")
    start = 0
    while head.startswith(codecs.BOM_UTF8, start):  # programs that put one in front do not look whether one is there
        start += len(codecs.BOM_UTF8)
    matched = _LINE.match(head, start)
    stop = matched.end() if matched else start
    line = head[start:stop]
    line_ending, after = _line_ending(head, stop, whole=whole, name=name)
    if not line.strip():
        raise SourceError(f"{name}: the first line is empty: it must be the header line")
    if _NOTE_FOR_EXCEL.fullmatch(line):
        raise SourceError(f"{name}: the first line is a hint for Excel (sep=): remove it, the header must come first")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name}: byte {start + error.start + 1}, in the header line, is not UTF-8: convert the file"
        ) from None
    chosen = column_delimiter or _delimiter(line, head[after:], name)
    try:
        names = next(csv.reader([text], delimiter=chosen.character, strict=True))
    except csv.Error as error:
        raise SourceError(f"{name}: the header line is not valid CSV: {error}") from None
    if len(names) == 1 and column_delimiter is not None:
        _refuse_wrong_delimiter(line, column_delimiter, name)
    return CsvHeader(tuple(map(without_bom, names)), chosen, line_ending, head[:after], line)


def _refuse_wrong_delimiter(line: bytes, given: ColumnDelimiter, name: str) -> None:
    """Refuse a delimiter that is not in the header line when another one is."""
    counts = _delimiters_in(line)
    if counts:
        likely = max(counts, key=lambda each: counts[each])
        raise SourceError(
            f"{name}: column_delimiter is {given}, but the header line contains none. It probably is {likely}: set "
            f'column_delimiter="{likely}", or leave it out'
        )


def refuse_record(names: Sequence[str], *, mapped: Container[str], name: str) -> None:
    """Refuse a first line that is a record: of a file without a header line.

    :param mapped: names that the user knows, since ``column_mapping`` has them
    :raises SourceError: without what is in the line
    """
    if not any(each.strip() for each in names):
        raise SourceError(f"{name}: the first line names no column: it must be the header line")
    for place, each in enumerate(names, start=1):
        if each not in mapped and (
            found := next((what for what, form in _VALUES if form.fullmatch(each.strip())), None)
        ):
            raise SourceError(
                f"{name}: the first line is a record, not a header line: its column {place} is {found}, which is no field "
                "name. Add a header line with the names of the fields, or with names that column_mapping maps to them"
            )


_VALUES: Final = (
    ("a number", re.compile(r"[+-]?[0-9][0-9.,]*(?:[eE][+-]?[0-9]+)?%?")),
    ("a date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}")),
    ("an e-mail address", re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")),
    ("a URL", re.compile(r"[a-z]+://\S+", re.IGNORECASE)),
    ("a Salesforce id", re.compile(r"(?=(?:.*[0-9]){4})[0-9a-z][0-9A-Za-z]{14}(?:[A-Z0-5]{3})?", re.ASCII)),
)
"""What a value that cannot be a field's name looks like."""


def _line_ending(head: bytes, stop: int, *, whole: bool, name: str) -> tuple[LineEnding | None, int]:
    if head.startswith(b"\n", stop):
        return LineEnding.LF, stop + 1
    if head.startswith(b"\r\n", stop):
        return LineEnding.CRLF, stop + 2
    if head.startswith(b"\r", stop):
        raise SourceError(
            f"{name}: the header line ends with a lone carriage return: convert the line endings to LF or CRLF"
        )
    if head.startswith(b'"', stop):
        raise SourceError(f"{name}: a quoted name in the header line has no closing quote: add it")
    if not whole:
        raise SourceError(f"{name}: the header line has no end in the first {len(head):,} bytes: is this a CSV file?")
    return None, stop


def _delimiter(line: bytes, records: bytes, name: str) -> ColumnDelimiter:
    """Detect the delimiter: the one that occurs in the header, and equally often in the first records."""
    found = _delimiters_in(line)
    if not found:
        return ColumnDelimiter.COMMA
    if len(found) > 1:
        found = {each: count for each, count in found.items() if _is_regular(each, count, records)} or found
    return _most_frequent(found, name)


def _delimiters_in(line: bytes) -> dict[ColumnDelimiter, int]:
    bare = _QUOTED.sub(b"", line)
    counts = {each: bare.count(each.character.encode()) for each in ColumnDelimiter}
    return {each: count for each, count in counts.items() if count}


def _is_regular(delimiter: ColumnDelimiter, count: int, records: bytes) -> bool:
    ragged = scan(records, ord(delimiter.character)).ragged(count + 1)
    return ragged is None or ragged[0] >= _COMPARED_RECORDS


def _most_frequent(found: Mapping[ColumnDelimiter, int], name: str) -> ColumnDelimiter:
    best = max(found, key=lambda each: found[each])
    if list(found.values()).count(found[best]) > 1:
        raise SourceError(f"{name}: the delimiter could be {' or '.join(found)}: set column_delimiter")
    return best
