"""Files with the results of an ingest job."""

from __future__ import annotations

from typing import Final

from tests.hostile.table.line import CSV, HTML, JSON, Answer, Line

# One line each.
# fmt: off

ONE, OTHER = "001000000000001AAA", "001000000000002AAA"


def _table(*rows: str, end: str = "\n") -> str:
    return "".join(row + end for row in rows)


_SAVED: Final = (f"{ONE},true,a,1", f"{OTHER},false,b,2")
_HEAD: Final = "sf__Id,sf__Created,Name,Phone"
SAVED: Final = [
    # what two records that were saved, of the columns Name and Phone, come back as
    ("no column of ids", _table("sf__Created,Name,Phone", "true,a,1", "true,b,2"), "TransportError: the first line is not"),
    ("the column of ids renamed", _table("Id,sf__Created,Name,Phone", *_SAVED), "TransportError: the first line is not"),
    ("no sf__Created", _table("sf__Id,Name,Phone", f"{ONE},a,1", f"{OTHER},b,2"), "TransportError: the first line is not"),
    ("a column that was sent is missing", _table("sf__Id,sf__Created,Name", f"{ONE},true,a", f"{OTHER},true,b"), "ProtocolError"),
    ("a column that was not sent", _table(f"{_HEAD},X", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("a column twice", _table(f"{_HEAD},Name", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("a column twice, in another case", _table(f"{_HEAD},NAME", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("two columns of ids", _table(f"{_HEAD},sf__Id", *(f"{row},{ONE}" for row in _SAVED)), "ProtocolError"),
    ("ids in capitals", _table(_HEAD.upper(), *_SAVED), "TransportError: the first line is not"),
    ("the column of the failed", _table(f"{_HEAD},sf__Error", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("the failed ones", _table("sf__Id,sf__Error,Name,Phone", ",E:m:--,a,1", ",E:m:--,b,2"), "TransportError: the first line"),
    ("one too few", _table(_HEAD, _SAVED[0]), "TransportError: 1 successful"),
    ("one too many", _table(_HEAD, *_SAVED, _SAVED[0]), "TransportError: 3 successful"),
    ("the header as a record", _table(_HEAD, _HEAD, _SAVED[0]), "ProtocolError"),
    ("a byte order mark before a record", _table(_HEAD, _SAVED[0], "\ufeff" + _SAVED[1]), "ProtocolError"),
    ("two byte order marks", "\ufeff\ufeff" + _table(_HEAD, *_SAVED), "TransportError: the first line is not"),
    ("an id that is none", _table(_HEAD, _SAVED[0], "../../x,true,b,2"), "ProtocolError"),
    ("an id with an escape", _table(_HEAD, _SAVED[0], "\x1b[2J,true,b,2"), "ProtocolError"),
    ("no id", _table(_HEAD, _SAVED[0], ",true,b,2"), "ProtocolError"),
    ("sf__Created that is neither", _table(_HEAD, _SAVED[0], f"{OTHER},maybe,b,2"), "ProtocolError"),
    ("sf__Created that is empty", _table(_HEAD, _SAVED[0], f"{OTHER},,b,2"), "ProtocolError"),
    ("sf__Created that is a number", _table(_HEAD, _SAVED[0], f"{OTHER},1,b,2"), "ProtocolError"),
    ("too few values", _table(_HEAD, _SAVED[0], f"{OTHER},true,b"), "ProtocolError: row 2"),
    ("too many values", _table(_HEAD, _SAVED[0], f"{OTHER},true,b,2,3"), "ProtocolError: row 2"),
    ("nothing", "", "TransportError: 0 successful"),
    ("a line end", "\n", "TransportError"),
    ("a header", _table(_HEAD), "TransportError: 0 successful"),
    ("lone carriage returns", _table(_HEAD, *_SAVED, end="\r"), "TransportError: not a complete CSV"),
    ("cut within a value", _table(_HEAD, *_SAVED) + '"', "TransportError: not a complete CSV"),
    ("cut before the last line end", _table(_HEAD, *_SAVED)[:-1], "TransportError: not a complete CSV"),
    ("as they are", _table(_HEAD, *_SAVED), "NoneType"),
    ("ids of two key prefixes", _table(_HEAD, _SAVED[0], "003000000000001AAA,true,b,2"), "NoneType"),
    ("CRLF", _table(_HEAD, *_SAVED, end="\r\n"), "NoneType"),
    ("another delimiter", _table(_HEAD, *_SAVED).replace(",", ";"), "NoneType"),
    ("a byte order mark", "\ufeff" + _table(_HEAD, *_SAVED), "NoneType"),
    ("another order", _table("Phone,Name,sf__Created,sf__Id", f"1,a,true,{ONE}", f"2,b,FALSE,{OTHER}"), "NoneType"),
    ("another case", _table("sf__Id,sf__Created,NAME,phone", *_SAVED), "NoneType"),
    ("a new column of Salesforce's own", _table(f"{_HEAD},sf__New", *(f"{row},x" for row in _SAVED)), "NoneType"),
]


_FAILED: Final = (",E_CODE:m:--,a,1", ",E_CODE:m:--,b,2")
FAILED: Final = [
    ("no sf__Error", _table("sf__Id,Name,Phone", ",a,1", ",b,2"), "TransportError: the first line is not"),
    ("sf__Error twice", _table("sf__Id,sf__Error,Name,Phone,sf__Error", *(f"{row},x" for row in _FAILED)), "ProtocolError"),
    ("sf__Created, too", _table("sf__Id,sf__Error,Name,Phone,sf__Created", *(f"{row},x" for row in _FAILED)), "ProtocolError"),
    ("the saved ones", _table(_HEAD, *_SAVED), "TransportError: the first line is not"),
    ("as they are", _table("sf__Id,sf__Error,Name,Phone", *_FAILED), "NoneType"),
    ("errors that are none", _table("sf__Id,sf__Error,Name,Phone", ",,a,1", ",\x1b[2J,b,2"), "NoneType"),
]


UNPROCESSED: Final = [("a column that was sent is missing", _table("Name", "a", "b"), "ProtocolError"), ("the failed ones", _table("sf__Id,sf__Error,Name,Phone", *_FAILED), "ProtocolError"), ("the saved ones", _table(_HEAD, *_SAVED), "ProtocolError"), ("as they are", _table("Name,Phone", "a,1", "b,2"), "NoneType")]
RESULT_FILES: Final[list[Line]] = [
    *((f"successful records: {what}", "result file", ("successful", Answer(200, CSV, text)), expected) for what, text, expected in SAVED),
    *((f"failed records: {what}", "result file", ("failed", Answer(200, CSV, text)), expected) for what, text, expected in FAILED),
    *((f"unprocessed records: {what}", "result file", ("unprocessed", Answer(200, CSV, text)), expected) for what, text, expected in UNPROCESSED),
    ("result file: a web page", "result file", ("successful", Answer(200, HTML, "<html></html>")), "ServerBusyError"),
    ("result file: a web page called CSV", "result file", ("failed", Answer(200, CSV, "<html>\n<p>\n")), "TransportError"),
    ("result file: JSON", "result file", ("failed", Answer(200, JSON, "[]")), "ProtocolError"),
    ("result file: 204", "result file", ("successful", Answer(204, CSV, "")), "TransportError: 0 successful"),
]
