"""Uploaded CSV: read as strictly as Salesforce does, without ever holding more than one batch.

Facts (*Bulk API 2.0 and Bulk API Developer Guide*, "Prepare CSV Files" and "Valid CSV Record Rows"; error texts as
seen):

- The file is UTF-8; its first line is the header, 32,000 characters at most.
- Every line break is the job's ``lineEnding``, also inside quoted values; else the job fails:
  ``ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is LF``.
- A value that holds the delimiter, a quote or a line break is quoted, the quote inside doubled. A quote elsewhere
  fails the job: ``InvalidBatch : Failed to parse CSV. Found unescaped quote`` (a byte order mark before a quoted
  header is such a case).
- "Field values aren't trimmed. … A space before or after a double quote generates an error for the row."

A line with nothing on it is skipped; what Salesforce makes of one is not known.

Reading goes twice over the file: once to find where batches of 10,000 records begin (which checks line endings and
quotes of all of it, so that a malformed file fails before any row is saved), and once per batch to split it into
columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk import limits

DELIMITERS: Final = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS: Final = {"LF": "\n", "CRLF": "\r\n"}

_BLOCK_BYTES: Final = 4 * 1024 * 1024


class JobFailedError(Exception):
    """The job's data cannot be worked on at all; the text becomes the job's ``errorMessage``."""


@dataclass(frozen=True)
class Dialect:
    """How a job's CSV is written: names as in the job, ``COMMA`` and ``LF``."""

    column_delimiter: str
    line_ending: str

    @property
    def delimiter(self) -> str:
        """The character between values."""
        return DELIMITERS[self.column_delimiter]

    @property
    def newline(self) -> str:
        """The characters that end a row."""
        return LINE_ENDINGS[self.line_ending]


@dataclass(frozen=True)
class Span:
    """Where one batch is in the file, in bytes."""

    start: int
    end: int


@dataclass(frozen=True)
class Contents:
    """An upload: its header, and where its batches are."""

    header_line: str = ""
    """As uploaded, without its line ending."""
    header: tuple[str, ...] = ()
    spans: tuple[Span, ...] = ()


@dataclass
class Table:
    """The records of one batch by column; only well-formed ones are in the columns.

    :ivar columns: one list of texts per column of the header
    :ivar malformed: records that have another number of values, or a blank beside a quote, with what is wrong
    """

    columns: list[list[str]]
    malformed: list[tuple[list[str], str]] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Well-formed records."""
        return len(self.columns[0]) if self.columns else 0


@cache
def _record(delimiter: str) -> bytes:
    """Return the pattern of one record without its end.

    A blank beside a quote is an error of its row, not of the file: it is let through here and found when splitting.
    """
    mark = re.escape(delimiter).encode()
    value = rb'(?: *+"[^"]*+(?>(?:""[^"]*+)*)" *+|[^"%s\n]*+)' % mark
    return value + rb"(?>(?:" + mark + value + rb")*)"


@cache
def _batch_pattern(delimiter: str, records: int, *, whole: bool) -> re.Pattern[bytes]:
    """Return the pattern of a batch of the full number of records, or of up to as many."""
    count = b"%d" % records if whole else b"0,%d" % records
    blank_lines = rb"(?>(?:\r?+\n)*)"
    return re.compile(rb"(?>(?:" + blank_lines + _record(delimiter) + rb"\r?+\n){" + count + rb"})" + blank_lines)


@cache
def _header_pattern(delimiter: str) -> re.Pattern[bytes]:
    return re.compile(_record(delimiter) + rb"\r?+(?:\n|\Z)")


@cache
def _value_pattern(dialect: Dialect) -> re.Pattern[str]:
    """Return the pattern of one value with what ends it; groups: quoted, quoted with blanks beside, bare, end."""
    mark, newline = re.escape(dialect.delimiter), dialect.newline
    bare = rf'[^"{mark}\n]*+' if newline == "\n" else rf'[^"{mark}\r\n]*+(?>(?:\r(?!\n)[^"{mark}\r\n]*+)*)'
    body = '[^"]*+(?>(?:""[^"]*+)*)'
    return re.compile(rf'(?:"({body})"(?={mark}|{newline})|( *+"{body}" *+)|({bare}))({mark}|{newline})')


def read(path: Path, dialect: Dialect, *, batch_records: int = limits.BATCH_RECORDS) -> Contents:
    """Find the header and the batches of an upload.

    :param batch_records: records of a batch; the last one may have fewer
    :raises JobFailedError: when the file is malformed
    """
    if path.stat().st_size == 0:
        return Contents()
    header_line, header_end = _read_header(path, dialect)
    header = _by_row(header_line + dialect.newline, dialect, width=None)
    if not header.count:
        with path.open("rb") as file:
            if not any(block.strip(b"\r\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b"")):
                return Contents()  # blank lines are passed over everywhere, so this is like an upload of nothing
        # What Salesforce makes of a blank line above the header is not known.
        raise JobFailedError("InvalidBatch : Field name not found : ")
    if header.malformed:
        raise _unescaped_quote()
    spans = tuple(_spans(path, dialect, header_end, batch_records))
    return Contents(header_line, tuple(column[0] for column in header.columns), spans)


def table(path: Path, dialect: Dialect, span: Span, width: int) -> Table:
    """Read one batch.

    :param width: how many columns the header has
    """
    with path.open("rb") as file:
        file.seek(span.start)
        text = file.read(span.end - span.start).decode()
    if not text.endswith("\n"):
        text += dialect.newline
    return _by_column(text, dialect, width) or _by_row(text, dialect, width)


def _by_column(text: str, dialect: Dialect, width: int) -> Table | None:
    """Split text in which every record has ``width`` values and no blank beside a quote; None when it is not so."""
    tokens = _value_pattern(dialect).findall(text)
    ends = [token[3] for token in tokens]
    count, rest = divmod(len(tokens), width)
    newline = dialect.newline
    if rest or ends.count(newline) != count or ends[width - 1 :: width].count(newline) != count:
        return None
    if any(token[1] for token in tokens) or (width == 1 and newline * 2 in newline + text):
        return None
    values = [quoted or bare for quoted, _, bare, _ in tokens]
    if '""' in text:
        # A bare value holds no quotes, so this changes quoted ones only.
        values = [value.replace('""', '"') if '"' in value else value for value in values]
    return Table([values[column::width] for column in range(width)])


def _by_row(text: str, dialect: Dialect, width: int | None) -> Table:
    """Split any text. ``width`` None takes the first record's."""
    good: list[list[str]] = []
    malformed: list[tuple[list[str], str]] = []
    row: list[str] = []
    problem = ""
    for match in _value_pattern(dialect).finditer(text):
        quoted, spaced, bare, end = match.groups()
        if spaced is not None:
            problem = "A space before or after a double quote"
        row.append(quoted.replace('""', '"') if quoted is not None else spaced or bare or "")
        if end != dialect.newline:
            continue
        width = width or len(row)
        if row == [""] and quoted is None and spaced is None:
            pass  # a blank line
        elif problem or len(row) != width:
            problem = problem or f"Row has {len(row)} columns, the header has {width}"
            # The row is echoed in the failed results, which have the header's columns.
            malformed.append(([*row, *[""] * width][:width], problem))
        else:
            good.append(row)
        row, problem = [], ""
    columns = [list(column) for column in zip(*good, strict=True)] if good else [[] for _ in range(width or 0)]
    return Table(columns, malformed)


def rows_between(path: Path, spans: Iterator[Span] | list[Span]) -> Iterator[bytes]:
    """Yield the raw bytes of batches, block by block."""
    with path.open("rb") as file:
        for span in spans:
            file.seek(span.start)
            left = span.end - span.start
            while left:
                block = file.read(min(left, _BLOCK_BYTES))
                left -= len(block)
                yield block


def _read_header(path: Path, dialect: Dialect) -> tuple[str, int]:
    """Return the header line and the byte after it."""
    with path.open("rb") as file:
        # A character has four bytes at most.
        start = file.read(4 * limits.HEADER_CHARACTERS + 2)
    if b"\n" in start and start.split(b"\n", 1)[0].endswith(b"\r") != (dialect.line_ending == "CRLF"):
        raise _wrong_line_ending(dialect)
    matched = _header_pattern(dialect.delimiter).match(start)
    if matched is None:
        raise _unescaped_quote()
    line = _decoded(matched.group()).removesuffix("\n").removesuffix("\r")
    if len(line) > limits.HEADER_CHARACTERS:
        raise JobFailedError(f"InvalidBatch : Header line is longer than {limits.HEADER_CHARACTERS} characters")
    return line, matched.end()


def _spans(path: Path, dialect: Dialect, start: int, batch_records: int) -> Iterator[Span]:
    """Yield where the batches are, once line endings, quotes and encoding of everything in them are checked."""
    whole = _batch_pattern(dialect.delimiter, batch_records, whole=True)
    with path.open("rb") as file:
        file.seek(start)
        held = b""
        # Reading as much again as is held keeps the repeated matching of a batch of large records in proportion.
        while block := file.read(max(_BLOCK_BYTES, len(held))):
            held += block
            used = 0
            while matched := whole.match(held, used):
                _check(held[used : matched.end()], dialect)
                yield Span(start + used, start + matched.end())
                used = matched.end()
            held, start = held[used:], start + used
    if not held.strip(b"\r\n"):
        _check(held, dialect)
        return
    ended = held if held.endswith(b"\n") else held + dialect.newline.encode()  # the last record needs no line ending
    if not _batch_pattern(dialect.delimiter, batch_records, whole=False).fullmatch(ended):
        _check(ended, dialect)
        raise _unescaped_quote()
    _check(ended, dialect)
    yield Span(start, start + len(held))


def _check(block: bytes, dialect: Dialect) -> None:
    pairs = block.count(b"\r\n")
    expected = 0 if dialect.line_ending == "LF" else block.count(b"\n")
    if pairs != expected:
        raise _wrong_line_ending(dialect)
    _decoded(block)


def _decoded(block: bytes) -> str:
    try:
        return block.decode()
    except UnicodeDecodeError as error:
        # "Data must be UTF-8"; what Salesforce makes of other bytes is not known.
        raise JobFailedError("ClientInputError : Data is not valid UTF-8") from error


def _unescaped_quote() -> JobFailedError:
    return JobFailedError("InvalidBatch : Failed to parse CSV. Found unescaped quote")


def _wrong_line_ending(dialect: Dialect) -> JobFailedError:
    return JobFailedError(
        f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {dialect.line_ending}"
    )
