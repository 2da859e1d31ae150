"""Salesforce's side of a result, written down independently: CSV with the standard library, Java's doubles."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise

from hypothesis import strategies as st

from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Reply, Sink
from airflow_provider_sfbulk.client.errors import TransportError
from airflow_provider_sfbulk.client.models import ColumnDelimiter, LineEnding

COMMA = Dialect()

dialects = st.builds(Dialect, st.sampled_from(ColumnDelimiter), st.sampled_from(LineEnding))
names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,8}", fullmatch=True)
nasty = st.text(st.sampled_from('ab",;\n\r\t|^`é\u2028\x85 '), max_size=6)
texts = nasty | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)


@st.composite
def tables(draw: st.DrawFn, cells: st.SearchStrategy[str] = texts) -> tuple[list[str], list[list[str]]]:
    """A header without repetitions, and rows."""
    header = draw(st.lists(names, min_size=1, max_size=4, unique_by=str.lower))
    rows = draw(st.lists(st.lists(cells, min_size=len(header), max_size=len(header)), max_size=6))
    return header, rows


def encode(rows: Iterable[Sequence[str]], dialect: Dialect = COMMA, *, quote_all: bool = True) -> bytes:
    """Rows as Salesforce writes them; not all quoted: as an upload is echoed."""
    special = {'"', "\r", "\n", dialect.delimiter}
    lines = []
    for row in rows:
        cells = ('"' + cell.replace('"', '""') + '"' if quote_all or special & set(cell) else cell for cell in row)
        lines.append(dialect.delimiter.join(cells) + dialect.newline)
    return "".join(lines).encode()


def by_csv(data: bytes, dialect: Dialect) -> list[list[str]]:
    """The standard library's opinion; lines with nothing on them left out."""
    text = io.StringIO(data.decode(), newline="")
    return [row for row in csv.reader(text, delimiter=dialect.delimiter, strict=True) if row]


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Pieces of the data, cut at the places (taken modulo its length)."""
    at = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(at)]


def java_double(value: float) -> str:
    """``Double.toString``: at least one digit after the point; an exponent below 1e-3 and from 1e7 on."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{Decimal(repr(value)):f}" if "e" in repr(value) else repr(value)
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{shown[0]}.{shown[1:] or '0'}E{power}"


def page_reply(records: int | str | None, locator: str | None = "null", kind: str = "text/csv; charset=UTF-8") -> Reply:
    """A result page's status and headers."""
    headers = {"content-type": kind}
    if records is not None:
        headers["sforce-numberofrecords"] = str(records)
    if locator is not None:
        headers["sforce-locator"] = locator
    return Reply(200, headers)


def pour(sink: Sink, reply: Reply, pieces: Iterable[bytes]) -> None:
    """Do as a driver does."""
    try:
        sink.start(reply)
        for piece in pieces:
            sink.write(piece)
    except BaseException:
        sink.discard()
        raise
    sink.finish()


def is_refused(sink: Sink, reply: Reply, body: bytes) -> bool:
    """Whether the body is refused as one to fetch again."""
    try:
        pour(sink, reply, [body])
    except TransportError:
        return True
    return False
