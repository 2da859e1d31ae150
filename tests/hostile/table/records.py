"""Records to load, parameters of a query, and events of a trigger."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from tests.hostile.table.line import Line, closed

# One line each.
# fmt: off

RECORDS: Final[list[Line]] = [
    ("rows: a number", "rows", (7,), "SourceError"),
    ("rows: None", "rows", (None,), "SourceError"),
    ("rows: rows that are numbers", "rows", ([1, 2],), "SourceError"),
    ("rows: a row that is a list of lists", "rows", ([[["a"]]],), "SourceError"),
    ("rows: keys that are numbers", "rows", ([{1: "a"}],), "SourceError"),
    ("rows: no column", "rows", ([{}],), "SourceError"),
    ("rows: an empty name", "rows", ([{"": "a"}],), "SourceError"),
    ("rows: a name with a line break", "rows", ([{"a\nb": "c"}],), "SourceError"),
    ("rows: a value that is an object", "rows", ([{"Name": object()}],), "SourceError"),
    ("rows: a value that is a set", "rows", ([{"Name": {1}}],), "SourceError"),
    ("rows: half of a character", "rows", ([{"Name": "\ud800"}],), "SourceError"),
    ("rows: NUL", "rows", ([{"Name": "a\x00b"}],), "SourceError"),
    ("rows: infinity", "rows", ([{"Name": float("inf")}],), "SourceError"),
    ("rows: a value that is too long", "rows", ([{"Name": "a" * 200000}],), "SourceError"),
    ("rows: a CSV that is empty", "rows", ("",), "SourceError"),
    ("rows: a CSV with an open quote", "rows", (b'Name\n"a\n',), "SourceError"),
    ("rows: a CSV with a row that is too long", "rows", (b"Name\na,b\n",), "SourceError"),
    ("rows: a CSV with a row that is too short", "rows", (b"Name,X\na\n",), "SourceError"),
    ("rows: a CSV in UTF-16", "rows", (b"\xff\xfeN\x00a\x00m\x00e\x00\n\x00a\x00\n\x00",), "SourceError"),
    ("rows: a CSV that is gzip", "rows", (b"\x1f\x8b\x08\x00",), "SourceError"),
    ("rows: a CSV with a column twice", "rows", (b"Name,Name\na,b\n",), "SourceError"),
    ("rows: a CSV with bytes that are no UTF-8", "rows", (b"Name\n\xff\xfe\n",), "SourceError"),
    ("rows: a file that is not there", "rows", ("/nowhere/a.csv",), "SourceError"),
    ("soql_params: too few", "params", ({},), "SourceError"),
    ("soql_params: None", "params", (None,), "SourceError"),
    ("soql_params: an object", "params", ({"n": object()},), "SourceError"),
    ("soql_params: NaN", "params", ({"n": float("nan")},), "SourceError"),
    ("soql_params: an endless list", "params", ({"n": []},), "SourceError"),
    ("soql_params: a datetime without a zone", "params", ({"n": datetime(2024, 1, 1)},), "SourceError"),
    ("soql_params: too many", "params", ({"n": "a", "m": "b"},), "SourceError"),
    ("an event: nothing", "event", (None,), "ProtocolError"),
    ("an event: a list", "event", ([],), "ProtocolError"),
    ("an event: an unknown outcome", "event", ({"outcome": "won"},), "ProtocolError"),
    ("an event: jobs that are text", "event", ({"outcome": "done", "jobs": "x", "job_ids": ["7508d000003QaLpAAK"]},), "ProtocolError"),
    ("an event: a negative number of calls", "event", ({"outcome": "done", "api_calls": -1},), "ProtocolError"),
    ("soql_params: a signalling NaN", "params", ({"n": Decimal("sNaN")},), "SourceError"),
    ("rows: a complex number", "rows", ([{"Name": 1j}],), "SourceError"),
    ("rows: a set", "rows", ([{"Name": {1}}],), "SourceError"),
    ("rows: an int of 6,000 digits", "rows", ([{"Name": 10**6000}],), "SourceError"),
    ("rows: a number of a million places", "rows", ([{"Name": Decimal("1E+999999")}],), "SourceError"),
    ("rows: a lone surrogate", "rows", ([{"Name": "\ud800"}],), "SourceError"),
    ("rows: a name of blanks", "rows", ([{" ": "a"}],), "SourceError"),
    ("rows: a name of two lines", "rows", ([{"a\nb": "a"}],), "SourceError"),
    ("rows: a name of 40,000 letters", "rows", ([{"a" * 40000: "a"}],), "SourceError"),
    ("rows: a name with a zero-width space", "rows", ([{"Na\u200bme": "a"}],), "SourceError"),
    ("rows: a name that is a number", "rows", ([{1: "a"}],), "SourceError"),
    ("rows: a CSV that is or has UTF-32", "rows", ("Name\na\n".encode("utf-32"),), "SourceError"),
    ("rows: a CSV that is or has a PDF", "rows", (b"%PDF-1.4\n",), "SourceError"),
    ("rows: a CSV that is or has a sep= line", "rows", (b"sep=;\nName;X\na;b\n",), "SourceError"),
    ("rows: a CSV that is or has lone carriage returns", "rows", (b"Name\ra\rb\r",), "SourceError"),
    ("rows: a CSV that is or has two kinds of line endings", "rows", (b"Name\r\na\nb\r\n",), "SourceError"),
    ("rows: a CSV that is or has a form feed in its header", "rows", (b"Name\x0c\na\n",), "SourceError"),
    ("rows: a CSV that is or has a blank before a quote", "rows", (b'Name\n "a" \n',), "SourceError"),
    ("rows: a file that is closed", "rows", (closed(),), "SourceError"),
    ("CSV: a byte order mark where files were joined", "rows", (b"Name\na\n\xef\xbb\xbfName\nb\n",), "SourceError"),
    ("CSV: a byte order mark in the first record", "rows", (b"Name\n\xef\xbb\xbfa\n",), "SourceError"),
    ("CSV: a byte order mark and a quote in the first record", "rows", (b'Name\n\xef\xbb\xbf"a"\n',), "SourceError"),
]
