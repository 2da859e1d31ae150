"""What comes in, and what must come out: one line each. A new bad input is one line more.

The columns: what it is; the way it comes in (``ways.py``), with what; the error that must come out (``client/errors.py``),
with its first words where they matter. The bodies of replies are texts, sent as UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO, UnsupportedOperation
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from tests.hostile.ways import APP

JSON, CSV, XML, HTML = "application/json", "text/csv", "application/xml", "text/html"
JOB_ID: Final = "7508d000003QaLpAAK"


@dataclass(frozen=True)
class Answer:
    """A reply, as a line of the table has it."""

    status: int
    kind: str
    body: str
    headers: dict[str, str] = field(default_factory=dict)


BATCH: Final = (
    f"<batchInfo><id>7518d000003QaLpAAK</id><jobId>{JOB_ID}</jobId><state>Completed</state>"
    "<numberRecordsProcessed>1</numberRecordsProcessed></batchInfo>"
)


SECRET: Final = "S3cretOfTheApp"
PASSWORD: Final = "P4ssword!"
SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "in capitals": str.upper,
    "in hex": lambda text: text.encode().hex(),
    "in hex with blanks": lambda text: text.encode().hex(" ").upper(),
    "percent-encoded": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "spaced": " ".join,
    "over lines": lambda text: f"{text[:4]}\r\n{text[4:]}",
    "as entities": lambda text: "".join(f"&#{ord(each)};" for each in text),
}


def _counted(processed: int, failed: int, state: str = "JobComplete") -> str:
    return json.dumps(
        {
            "id": JOB_ID,
            "state": state,
            "operation": "insert",
            "numberRecordsProcessed": processed,
            "numberRecordsFailed": failed,
        }
    )


def _refused(text: str) -> str:
    return json.dumps({"error": "invalid_client", "error_description": text})


def _fault(text: str) -> str:
    return (
        f"<Envelope><Body><Fault><faultcode>INVALID_LOGIN</faultcode><faultstring>{escape(text)}</faultstring></Fault>"
        "</Body></Envelope>"
    )


ONE, OTHER = "001000000000001AAA", "001000000000002AAA"


def _table(*rows: str, end: str = "\n") -> str:
    return "".join(row + end for row in rows)


_SAVED: Final = (f"{ONE},true,a,1", f"{OTHER},false,b,2")
_HEAD: Final = "sf__Id,sf__Created,Name,Phone"
SAVED: Final = [
    # what two records that were saved, of the columns Name and Phone, come back as
    (
        "no column of ids",
        _table("sf__Created,Name,Phone", "true,a,1", "true,b,2"),
        "TransportError: the first line is not",
    ),
    (
        "the column of ids renamed",
        _table("Id,sf__Created,Name,Phone", *_SAVED),
        "TransportError: the first line is not",
    ),
    (
        "no sf__Created",
        _table("sf__Id,Name,Phone", f"{ONE},a,1", f"{OTHER},b,2"),
        "TransportError: the first line is not",
    ),
    (
        "a column that was sent is missing",
        _table("sf__Id,sf__Created,Name", f"{ONE},true,a", f"{OTHER},true,b"),
        "ProtocolError",
    ),
    ("a column that was not sent", _table(f"{_HEAD},X", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("a column twice", _table(f"{_HEAD},Name", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("a column twice, in another case", _table(f"{_HEAD},NAME", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    ("two columns of ids", _table(f"{_HEAD},sf__Id", *(f"{row},{ONE}" for row in _SAVED)), "ProtocolError"),
    ("ids in capitals", _table(_HEAD.upper(), *_SAVED), "TransportError: the first line is not"),
    ("the column of the failed", _table(f"{_HEAD},sf__Error", *(f"{row},x" for row in _SAVED)), "ProtocolError"),
    (
        "the failed ones",
        _table("sf__Id,sf__Error,Name,Phone", ",E:m:--,a,1", ",E:m:--,b,2"),
        "TransportError: the first line",
    ),
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
    (
        "sf__Error twice",
        _table("sf__Id,sf__Error,Name,Phone,sf__Error", *(f"{row},x" for row in _FAILED)),
        "ProtocolError",
    ),
    (
        "sf__Created, too",
        _table("sf__Id,sf__Error,Name,Phone,sf__Created", *(f"{row},x" for row in _FAILED)),
        "ProtocolError",
    ),
    ("the saved ones", _table(_HEAD, *_SAVED), "TransportError: the first line is not"),
    ("as they are", _table("sf__Id,sf__Error,Name,Phone", *_FAILED), "NoneType"),
    ("errors that are none", _table("sf__Id,sf__Error,Name,Phone", ",,a,1", ",\x1b[2J,b,2"), "NoneType"),
]
UNPROCESSED: Final = [
    ("a column that was sent is missing", _table("Name", "a", "b"), "ProtocolError"),
    ("the failed ones", _table("sf__Id,sf__Error,Name,Phone", *_FAILED), "ProtocolError"),
    ("the saved ones", _table(_HEAD, *_SAVED), "ProtocolError"),
    ("as they are", _table("Name,Phone", "a,1", "b,2"), "NoneType"),
]


FIELDS: Final = [
    {"name": "Id", "type": "id", "createable": False, "nillable": False, "defaultedOnCreate": True},
    {"name": "Name", "type": "string", "length": 255, "nillable": False},
    {"name": "Size__c", "type": "double", "precision": 18, "scale": 2, "nillable": True},
    {"name": "OwnerId", "type": "reference", "referenceTo": ["User"], "relationshipName": "Owner", "nillable": True},
    {"name": "Kind__c", "type": "picklist", "restrictedPicklist": True, "picklistValues": [{"value": "a"}]},
]


def _described(field: str | None = None, **changed: Any) -> str:
    """A describe of an object, with something else in it; or in one of its fields."""
    fields = [{**each, **(changed if each["name"] == field else {})} for each in FIELDS]
    found = {"name": "Account", "keyPrefix": "001", "fields": fields, "recordTypeInfos": []}
    return json.dumps(found if field else {**found, **changed})


DESCRIBES: Final = [
    ("as it should be", _described(), "NoneType"),
    ("a list", "[]", "ProtocolError: GET"),
    ("no fields", _described(fields=[]), "ProtocolError: describe of Account names no fields"),
    ("fields that are an object", _described(fields={"Id": {}}), "ProtocolError: GET"),
    ("fields that are texts", _described(fields=["Id"]), "ProtocolError: GET"),
    ("the object's name is a list", _described(name=["Account"]), "ProtocolError: GET"),
    ("the object's name is a query", _described(name="Account WHERE Id != null"), "ProtocolError: GET"),
    ("record types that are a number", _described(recordTypeInfos=7), "ProtocolError: GET"),
    ("a field without a name", _described("Name", name=None), "ProtocolError: GET"),
    ("a field's name is a query", _described("Name", name="Id, (SELECT Id FROM Contacts)"), "ProtocolError: GET"),
    ("a field's name with an escape", _described("Name", name="\x1b[2J"), "ProtocolError: GET"),
    ("a relationship that is a list", _described("OwnerId", relationshipName=["Owner"]), "ProtocolError: GET"),
    ("a relationship that is a query", _described("OwnerId", relationshipName="a.b, c"), "ProtocolError: GET"),
    ("a lookup to a number", _described("OwnerId", referenceTo=7), "ProtocolError: GET"),
    ("a lookup to numbers", _described("OwnerId", referenceTo=[7]), "ProtocolError: GET"),
    ("a lookup to 100,000 objects", _described("OwnerId", referenceTo=["User"] * 100_000), "ProtocolError: GET"),
    ("a picklist of texts", _described("Kind__c", picklistValues=["a"]), "ProtocolError: GET"),
    (
        "a picklist of half a character",
        _described("Kind__c", picklistValues=[{"value": "\ud800"}]),
        "ProtocolError: GET",
    ),
    ("a length that is text", _described("Name", length="long"), "ProtocolError: GET"),
    ("a length below nothing", _described("Name", length=-1), "ProtocolError: GET"),
    ("a scale of 400 digits", _described("Size__c", scale=10**400), "ProtocolError: GET"),
    ("a precision that is a float", _described("Size__c", precision=1.5), "ProtocolError: GET"),
    ("a scale above the precision", _described("Size__c", scale=20), "NoneType"),
    ("a type that is a list", _described("Name", type=[]), "ProtocolError: GET"),
    ("a type that nobody knows", _described("Name", type="\x1b"), "NoneType"),
    ("a field twice", _described(fields=[*FIELDS, FIELDS[1]]), "NoneType"),
]


def _answered(*answers: Any) -> str:
    return json.dumps({"compositeResponse": list(answers)})


def _one(number: int, body: Any = None, status: Any = 200) -> dict[str, Any]:
    """An answer to the query of that number; without a body one that finds nothing."""
    body = {"totalSize": 0, "done": True, "records": []} if body is None else body
    return {"body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": f"q{number}"}


LOOKS: Final = [
    # what is answered when two objects are looked at: the whole look, or the first object's part of it
    ("as it should be", _answered(_one(0), _one(1)), "NoneType"),
    ("in another order", _answered(_one(1), _one(0)), "NoneType"),
    ("a list", "[]", "ProtocolError: POST"),
    ("null", "null", "ProtocolError: POST"),
    ("answers that are null", '{"compositeResponse": null}', "ProtocolError: POST"),
    ("answers that are an object", '{"compositeResponse": {"q0": 1, "q1": 2}}', "ProtocolError: POST"),
    ("answers that are texts", _answered("q0", "q1"), "ProtocolError: POST"),
    ("none", _answered(), "ProtocolError: POST"),
    ("one too few", _answered(_one(0)), "ProtocolError: POST"),
    ("one too many", _answered(_one(0), _one(1), _one(2)), "ProtocolError: POST"),
    ("one twice", _answered(_one(0), _one(0)), "ProtocolError: POST"),
    ("a reference that is a list", _answered({**_one(0), "referenceId": ["q0"]}, _one(1)), "ProtocolError: POST"),
    ("no reference", _answered({"httpStatusCode": 200, "body": {}}, _one(1)), "ProtocolError: POST"),
    ("a status that is null", _answered(_one(0, status=None), _one(1)), "ProtocolError: GET"),
    ("a status that is text", _answered(_one(0, status="200"), _one(1)), "ProtocolError: GET"),
    ("a status that is a list", _answered(_one(0, status=[200]), _one(1)), "ProtocolError: GET"),
    ("a status that is true", _answered(_one(0, status=True), _one(1)), "ProtocolError: GET"),
    ("a status of 4,000 digits", _answered(_one(0, status=10**3_999), _one(1)), "ProtocolError: GET"),
    ("a status that is infinite", _answered(_one(0, status="@"), _one(1)).replace('"@"', "1e999"), "TransportError"),
    ("records that are null", _answered(_one(0, {"records": None}), _one(1)), "ProtocolError: GET"),
    ("records that are text", _answered(_one(0, {"records": "x"}), _one(1)), "ProtocolError: GET"),
    ("a body that is a web page", _answered(_one(0, "<html></html>"), _one(1)), "ProtocolError: GET"),
    ("a refusal", _answered(_one(0, [{"errorCode": "INVALID_FIELD", "message": "\x1b[2J"}], 400), _one(1)),
        "RequestRefusedError: GET"),
    ("a refusal of 100 kB", _answered(_one(0, [{"errorCode": "E", "message": "x" * 100_000}], 400), _one(1)),
        "RequestRefusedError: GET"),
    ("a refusal that is text", _answered(_one(0, "no", 500), _one(1)), "ServerBusyError: GET"),
    ("a refusal that is half a character", _answered(_one(0, "\ud800", 404), _one(1)), "NotFoundError: GET"),
    ("a redirect", _answered(_one(0, None, 302), _one(1)), "RequestRefusedError: GET"),
    ("cut", _answered(_one(0), _one(1))[:-3], "TransportError: POST"),
    ("300,000 lists", "[" * 300_000, "TransportError: POST"),
]  # fmt: skip


def _closed() -> BytesIO:
    file = BytesIO(b"Name\na\n")
    file.close()
    return file


class _Silent:
    """A file that gives nothing, as one that is not to be waited for."""

    def read(self, _: int = -1) -> None:
        """Give nothing."""


class _Numbers:
    """A file that gives numbers."""

    def read(self, _: int = -1) -> int:
        """Give one."""
        return 7


class _ForWriting(BytesIO):
    """A file that cannot be read."""

    def read(self, _: int | None = -1) -> bytes:
        """Refuse, as Python does."""
        raise UnsupportedOperation("not readable")


HUGE: Final = 10**5_000
HALF: Final = "\ud800"
_NO_IDS: Final = (
    ("nothing", None), ("a number", 7), ("empty", ""), ("a path", "../../x"), ("an id and a line end", f"{JOB_ID}\n"),
    ("bytes", JOB_ID.encode()), ("a list", [JOB_ID]), ("a dict", {}), ("a number of 5,000 digits", HUGE),
)  # fmt: skip
_OF_JOBS: Final = ("ingest.get_job", "ingest.wait", "query.result_pages", "bulk1.get_job", "bulk1.wait")

WRONG_CALLS: Final[list[tuple[str, str, str, Any]]] = [
    *((call, "job_id", what, value) for call in _OF_JOBS for what, value in _NO_IDS),
    ("bulk1.get_batch", "batch_id", "a path", "../.."),
    ("bulk1.query_results", "result_id", "a path", "../.."),
    *((call, "records", what, value) for call in ("insert", "ingest.serialize", "bulk1.perform") for what, value in (
        ("nothing", None), ("a number", HUGE), ("one dict", {"Name": "a"}), ("a class", BytesIO), ("half of a character", HALF),
        ("half of a character in a CSV", f"Name\n{HALF}\n"), ("a function", len), ("a closed file", _closed()),
        ("a file for writing", _ForWriting()), ("a file that gives nothing", _Silent()),
        ("a file that gives numbers", _Numbers()), ("a folder", Path("/")), ("a device", "/dev/zero"), ("NUL", "a\0b"),
    )),
    *(("ingest.upload", "data", what, value) for what, value in (
        ("nothing", None), ("a number", 7), ("a file for writing", _ForWriting()), ("a class", BytesIO),
        ("a file that gives nothing", _Silent()), ("a file that gives numbers", _Numbers()),
    )),
    *(("ingest.create_job_with_data", "data", what, value) for what, value in (
        ("a number", 7), ("nothing", None), ("a list", []), ("a path", Path("x.csv")), ("half of a character", HALF),
    )),
    *(("bulk1.add_batch", "data", what, value) for what, value in (
        ("nothing", None), ("a number", 7), ("numbers", [1, 2]), ("a file that gives numbers", _Numbers()),
    )),
    *(("insert", name, what, value) for name, what, value in (
        ("skip_unchanged", "text", "False"), ("wait", "text", "False"), ("wait", "nothing", None), ("wait", "a number", 1),
        ("timeout", "text", "5"), ("timeout", "not a number", float("nan")), ("timeout", "huge", HUGE),
        ("timeout", "a thousand years", timedelta(days=365_250)), ("timeout", "negative", timedelta(seconds=-1)),
        ("on_progress", "a number", 7), ("on_progress", "text", "print"), ("schedule", "seconds", 7),
        ("schedule", "nothing", None), ("source_format", "unknown", "xlsx"), ("source_format", "a number", 7),
        ("assignment_rule_id", "bytes", b"x"), ("assignment_rule_id", "huge", HUGE), ("assignment_rule_id", "half", HALF),
        ("column_mapping", "a number", 7), ("column_mapping", "a list", ["Name"]), ("column_mapping", "of numbers", {1: 2}),
        ("nulls", "a list", ["clear"]), ("nulls", "true", True), ("nulls", "of numbers", {"Name": 7}),
        ("timezone", "a number", 7), ("timezone", "bytes", b"UTC"), ("timezone", "a path", "../../etc/passwd"),
        ("timezone", "NUL", "a\0b"), ("columns", "a number", 7), ("columns", "text", "Name"), ("columns", "a set", {"Name"}),
        ("columns", "numbers", [1]), ("part_bytes", "text", "1"), ("part_bytes", "0", 0), ("part_records", "huge", HUGE),
        ("max_concurrent_jobs", "a thousand", 1000), ("max_concurrent_jobs", "true", True),
        ("blank_external_ids", "unknown", "x"), ("column_delimiter", "a sign", ","), ("line_ending", "an object", object()),
    )),
    ("upsert", "external_id_field", "a number", 7),
    ("upsert", "external_id_field", "a condition", "Id = '' OR Name"),
    ("ingest.list_jobs", "job_type", "half of a character", HALF),
    ("ingest.list_jobs", "job_type", "a second parameter", "V2Ingest&queryLocator=x"),
    ("ingest.list_jobs", "job_type", "huge", HUGE),
    ("ingest.list_jobs", "is_pk_chunking_enabled", "text", "no"),
    ("ingest.list_jobs", "concurrency_mode", "an object", object()),
    ("query.create_job", "include_deleted", "text", "False"),
    ("query.perform", "include_deleted", "a number", 0),
    ("query.perform", "soql", "bytes", b"SELECT Id FROM Account"),
    ("query.perform", "page_records", "huge", HUGE),
    ("query.results", "max_records", "text", "10"),
    ("query.results", "max_records", "huge", HUGE),
    ("bulk1.create_job", "batch_retry", "text", "False"),
    ("bulk1.create_job", "operation", "huge", HUGE),
    ("bulk1.query", "pk_chunking", "text", "true"),
    ("bulk1.query", "pk_chunking", "huge", HUGE),
    ("bulk1.query", "sobject", "empty", ""),
    ("bulk1.perform", "compress", "text", "no"),
]  # fmt: skip
"""Calls of the client, with an argument that is no such thing."""

WRONG_ARGUMENTS: Final[list[tuple[str, str, str, Any]]] = [
    *(("ingest task", name, what, value) for name, what, value in (
        ("max_concurrent_jobs", "huge", HUGE), ("max_failed_records", "huge", HUGE), ("api_reserve", "huge", HUGE),
        ("max_record_retries", "huge", HUGE), ("poll_interval", "longer than a clock counts", timedelta.max),
        ("timeout", "longer than a clock counts", timedelta.max), ("results_path", "the text None", "None"),
        ("staging_path", "the text None", " None "), ("salesforce_conn_id", "half of a character", HALF),
    )),
    *(("query task", name, what, value) for name, what, value in (
        ("output_path", "the text None", "None"), ("output_path", "a path object named None", Path("None")),
        ("page_records", "huge", HUGE), ("max_concurrent_pages", "huge", HUGE), ("max_xcom_records", "huge", HUGE),
        ("soql", "half of a character", HALF), ("output_conn_id", "half of a character", HALF),
    )),
    *(("sensor", name, what, value) for name, what, value in (
        ("job_id", "a path", "../.."), ("max_failed_records", "huge", HUGE), ("poke_interval", "endless", timedelta.max),
    )),
    *(("window", name, what, value) for name, what, value in (
        ("field", "a condition", "Id = '' OR SystemModstamp"), ("asset", "a name", "accounts"), ("by", "a list", ["watermark"]),
        ("lag", "a century", timedelta(days=36_525)), ("initial", "without a timezone", datetime(2026, 1, 1)),
    )),
]  # fmt: skip
"""Arguments of operators, of the sensor and of windows."""


Line = tuple[str, str, tuple[Any, ...], str]

BAD_INPUTS: Final[list[Line]] = [
    (
        "a job: nothing",
        "reply",
        (
            "get",
            Answer(200, JSON, ""),
        ),
        "TransportError",
    ),
    (
        "a job: half of it",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id":"75'),
        ),
        "TransportError",
    ),
    (
        "a job: a list",
        "reply",
        (
            "get",
            Answer(200, JSON, "[]"),
        ),
        "ProtocolError",
    ),
    (
        "a job: null",
        "reply",
        (
            "get",
            Answer(200, JSON, "null"),
        ),
        "ProtocolError",
    ),
    (
        "a job: a number",
        "reply",
        (
            "get",
            Answer(200, JSON, "7"),
        ),
        "ProtocolError",
    ),
    (
        "a job: NaN",
        "reply",
        (
            "get",
            Answer(200, JSON, "NaN"),
        ),
        "TransportError",
    ),
    (
        "a job: Infinity",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id":Infinity}'),
        ),
        "TransportError",
    ),
    (
        "a job: a number of 5,000 digits",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id":' + "9" * 5000 + "}"),
        ),
        "TransportError",
    ),
    (
        "a job: nested too deep",
        "reply",
        (
            "get",
            Answer(200, JSON, "[" * 100000),
        ),
        "TransportError",
    ),
    (
        "a job: another job",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id": "7508d000003QZZZAAK", "state": "JobComplete", "operation": "insert"}'),
        ),
        "ProtocolError",
    ),
    (
        "a job: no id",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"state":"Open"}'),
        ),
        "ProtocolError",
    ),
    (
        "a job: an id that is a path",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id":"../../x","state":"Open"}'),
        ),
        "ProtocolError",
    ),
    (
        "a job: an unknown state",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id": "7508d000003QaLpAAK", "state": "Done", "operation": "insert"}'),
        ),
        "ProtocolError",
    ),
    (
        "a job: a state with an escape",
        "reply",
        (
            "get",
            Answer(200, JSON, '{"id": "7508d000003QaLpAAK", "state": "\\u001b[2J", "operation": "insert"}'),
        ),
        "ProtocolError",
    ),
    (
        "a job: a negative count",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "numberRecordsProcessed": -1}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a count that is text",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "numberRecordsProcessed": "many"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a count of 20 digits",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "numberRecordsFailed": 100000000000000000000}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a count that is true",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "retries": true}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a version of 400 digits",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "apiVersion": "'
                + "9" * 400
                + '"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a version in fullwidth digits",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "apiVersion": "\\uff16\\uff16.\\uff10"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a version that is a list",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "apiVersion": []}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a time that is none",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "createdDate": "yesterday"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a time of the year 99999",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "createdDate": "99999-01-01T00:00:00.000+0000"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: an object that is a number",
        "reply",
        (
            "get",
            Answer(
                200, JSON, '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "object": 7}'
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a message that is a list",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "errorMessage": []}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a flag that is text",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "isPkChunkingSupported": "yes"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job that failed, and says so with an escape",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "Failed", "operation": "insert", "errorMessage": "\\u001b[31mInvalidBatch : \\u202ex"}',
            ),
        ),
        "JobFailedError",
    ),
    (
        "a job that failed, with a message of a megabyte",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "Failed", "operation": "insert", "errorMessage": "'
                + "a" * 1000000
                + '"}',
            ),
        ),
        "JobFailedError",
    ),
    (
        "a delimiter that does not exist",
        "reply",
        (
            "failed results",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "columnDelimiter": "BELL", "lineEnding": "LF"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a line ending that does not exist",
        "reply",
        (
            "failed results",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert", "columnDelimiter": "COMMA", "lineEnding": "NEL"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "no delimiter at all",
        "reply",
        (
            "failed results",
            Answer(200, JSON, '{"id": "7508d000003QaLpAAK", "state": "JobComplete", "operation": "insert"}'),
        ),
        "ProtocolError",
    ),
    (
        "status 100 without a body",
        "reply",
        (
            "get",
            Answer(100, JSON, ""),
        ),
        "ProtocolError",
    ),
    (
        "status 201 without a body",
        "reply",
        (
            "get",
            Answer(201, JSON, ""),
        ),
        "TransportError",
    ),
    (
        "status 204 without a body",
        "reply",
        (
            "get",
            Answer(204, JSON, ""),
        ),
        "TransportError",
    ),
    (
        "status 206 without a body",
        "reply",
        (
            "get",
            Answer(206, JSON, ""),
        ),
        "ProtocolError",
    ),
    (
        "status 299 without a body",
        "reply",
        (
            "get",
            Answer(299, JSON, ""),
        ),
        "ProtocolError",
    ),
    (
        "status 300 without a body",
        "reply",
        (
            "get",
            Answer(300, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 301 without a body",
        "reply",
        (
            "get",
            Answer(301, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 302 without a body",
        "reply",
        (
            "get",
            Answer(302, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 304 without a body",
        "reply",
        (
            "get",
            Answer(304, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 400 without a body",
        "reply",
        (
            "get",
            Answer(400, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 401 without a body",
        "reply",
        (
            "get",
            Answer(401, JSON, ""),
        ),
        "LoginError",
    ),
    (
        "status 403 without a body",
        "reply",
        (
            "get",
            Answer(403, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 404 without a body",
        "reply",
        (
            "get",
            Answer(404, JSON, ""),
        ),
        "NotFoundError",
    ),
    (
        "status 405 without a body",
        "reply",
        (
            "get",
            Answer(405, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 409 without a body",
        "reply",
        (
            "get",
            Answer(409, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 410 without a body",
        "reply",
        (
            "get",
            Answer(410, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 413 without a body",
        "reply",
        (
            "get",
            Answer(413, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 415 without a body",
        "reply",
        (
            "get",
            Answer(415, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 418 without a body",
        "reply",
        (
            "get",
            Answer(418, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 420 without a body",
        "reply",
        (
            "get",
            Answer(420, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 429 without a body",
        "reply",
        (
            "get",
            Answer(429, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 451 without a body",
        "reply",
        (
            "get",
            Answer(451, JSON, ""),
        ),
        "RequestRefusedError",
    ),
    (
        "status 500 without a body",
        "reply",
        (
            "get",
            Answer(500, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 501 without a body",
        "reply",
        (
            "get",
            Answer(501, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 502 without a body",
        "reply",
        (
            "get",
            Answer(502, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 503 without a body",
        "reply",
        (
            "get",
            Answer(503, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 504 without a body",
        "reply",
        (
            "get",
            Answer(504, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 520 without a body",
        "reply",
        (
            "get",
            Answer(520, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 599 without a body",
        "reply",
        (
            "get",
            Answer(599, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "status 999 without a body",
        "reply",
        (
            "get",
            Answer(999, JSON, ""),
        ),
        "ServerBusyError",
    ),
    (
        "200 with a web page",
        "reply",
        (
            "create",
            Answer(200, HTML, "<html>Maintenance</html>"),
        ),
        "ServerBusyError",
    ),
    (
        "500 with a web page",
        "reply",
        (
            "create",
            Answer(500, HTML, "<html>Maintenance</html>"),
        ),
        "ServerBusyError",
    ),
    (
        "200 with XML",
        "reply",
        (
            "create",
            Answer(200, XML, "<error><exceptionCode>InvalidJob</exceptionCode></error>"),
        ),
        "TransportError",
    ),
    (
        "500 with XML",
        "reply",
        (
            "create",
            Answer(500, XML, "<error><exceptionCode>InvalidJob</exceptionCode></error>"),
        ),
        "ServerBusyError",
    ),
    (
        "200 with a page called JSON",
        "reply",
        (
            "create",
            Answer(200, JSON, "<!doctype html><p>no"),
        ),
        "ServerBusyError",
    ),
    (
        "500 with a page called JSON",
        "reply",
        (
            "create",
            Answer(500, JSON, "<!doctype html><p>no"),
        ),
        "ServerBusyError",
    ),
    (
        "200 with binary",
        "reply",
        (
            "create",
            Answer(200, "application/octet-stream", "\x00\x01"),
        ),
        "TransportError",
    ),
    (
        "500 with binary",
        "reply",
        (
            "create",
            Answer(500, "application/octet-stream", "\x00\x01"),
        ),
        "ServerBusyError",
    ),
    (
        "200 with no type",
        "reply",
        (
            "create",
            Answer(200, "", ""),
        ),
        "TransportError",
    ),
    (
        "500 with no type",
        "reply",
        (
            "create",
            Answer(500, "", ""),
        ),
        "ServerBusyError",
    ),
    (
        "400 with a code that is a sentence",
        "reply",
        (
            "create",
            Answer(400, JSON, '[{"errorCode":"the password is hunter2","message":"x"}]'),
        ),
        "RequestRefusedError",
    ),
    (
        "400 with a message with escapes",
        "reply",
        (
            "create",
            Answer(400, JSON, '[{"errorCode":"INVALID_FIELD","message":"\\u001b[2J\\u202e\\u0000"}]'),
        ),
        "RequestRefusedError",
    ),
    (
        "400 with no code",
        "reply",
        (
            "create",
            Answer(400, JSON, '[{"message":"x"}]'),
        ),
        "RequestRefusedError",
    ),
    (
        "400 with a code that is a number",
        "reply",
        (
            "create",
            Answer(400, JSON, '[{"errorCode":7}]'),
        ),
        "RequestRefusedError",
    ),
    (
        "400 with entries that are none",
        "reply",
        (
            "create",
            Answer(400, JSON, "[1,null,[]]"),
        ),
        "RequestRefusedError",
    ),
    (
        "400 with a billion laughs",
        "reply",
        (
            "create",
            Answer(
                400,
                XML,
                '<!DOCTYPE x [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><error><exceptionCode>&b;</exceptionCode></error>',
            ),
        ),
        "RequestRefusedError",
    ),
    (
        "400 with 200,000 elements",
        "reply",
        (
            "create",
            Answer(400, XML, "<error" + "><b/" * 200000 + "></error>"),
        ),
        "RequestRefusedError",
    ),
    (
        "a list of jobs without records",
        "reply",
        (
            "list",
            Answer(200, JSON, '{"done": true}'),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs that names itself",
        "reply",
        (
            "list",
            Answer(
                200,
                JSON,
                '{"done": false, "records": [], "nextRecordsUrl": "/services/data/v66.0/jobs/ingest?queryLocator=SAME"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs done and going on",
        "reply",
        (
            "list",
            Answer(200, JSON, '{"done": true, "records": [], "nextRecordsUrl": "/x"}'),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs that leads elsewhere",
        "reply",
        (
            "list",
            Answer(
                200,
                JSON,
                '{"done": false, "records": [], "nextRecordsUrl": "https://evil.example/jobs/ingest?queryLocator=a"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs of things that are no jobs",
        "reply",
        (
            "list",
            Answer(200, JSON, '{"done": true, "records": [1, {}]}'),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs whose next page is a number",
        "reply",
        (
            "list",
            Answer(200, JSON, '{"done": false, "records": [], "nextRecordsUrl": 7}'),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs with a locator of 5,000 characters",
        "reply",
        (
            "list",
            Answer(
                200,
                JSON,
                '{"done": false, "records": [], "nextRecordsUrl": "/jobs/ingest?queryLocator=' + "a" * 5000 + '"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of pages without any",
        "reply",
        (
            "result pages",
            Answer(200, JSON, '{"done": true}'),
        ),
        "ProtocolError",
    ),
    (
        "a list of pages that names a page twice",
        "reply",
        (
            "result pages",
            Answer(
                200,
                JSON,
                '{"done": true, "resultPages": [{"resultUrl": "/services/data/v66.0/jobs/query/7508d000003QaLpAAK/results?locator=A"}, {"resultUrl": "/services/data/v66.0/jobs/query/7508d000003QaLpAAK/results?locator=A"}]}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of pages that is empty and names itself",
        "reply",
        (
            "result pages",
            Answer(
                200,
                JSON,
                '{"done": false, "resultPages": [], "nextRecordsUrl": "/services/data/v66.0/jobs/query/7508d000003QaLpAAK/resultPages?locator=A"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of pages of another job",
        "reply",
        (
            "result pages",
            Answer(
                200,
                JSON,
                '{"done": true, "resultPages": [{"resultUrl": "/services/data/v66.0/jobs/query/7508d000003QZZZAAK/results?locator=A"}]}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a page of results without a count",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "null"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with a count of 5,000 digits",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "9" * 5000}),
        ),
        "TransportError",
    ),
    (
        "a page of results with a count in fullwidth digits",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "１"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with a negative count",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "-1"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with fewer rows",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "2"}),
        ),
        "TransportError",
    ),
    (
        "a page of results that names itself",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "A", "Sforce-NumberOfRecords": "1"}),
        ),
        "ProtocolError",
    ),
    (
        "a page of results without a locator",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-NumberOfRecords": "1"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with a locator that changes the URL",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "a&b=/../", "Sforce-NumberOfRecords": "1"}),
        ),
        "ProtocolError",
    ),
    (
        "a page of results that is empty",
        "reply",
        (
            "pages",
            Answer(200, CSV, "", {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "0"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with an open quote",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with NUL",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"\x00"\n"2"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1"}),
        ),
        "TransportError",
    ),
    (
        "a page of results that is UTF-16",
        "reply",
        (
            "pages",
            Answer(200, CSV, "\ufeff\x00I\x00d", {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1"}),
        ),
        "TransportError",
    ),
    (
        "a page of results with more rows than the job",
        "reply",
        (
            "pages",
            Answer(200, CSV, '"Id"\n"1"\n"2"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "2"}),
        ),
        "ProtocolError",
    ),
    (
        "a page of results that is a web page",
        "reply",
        (
            "pages",
            Answer(200, HTML, "<html>"),
        ),
        "ServerBusyError",
    ),
    (
        "job of 1.0: XML that is cut",
        "reply",
        (
            "job of 1.0",
            Answer(200, XML, "<jobInfo><id>75"),
        ),
        "TransportError",
    ),
    (
        "job of 1.0: the wrong element",
        "reply",
        (
            "job of 1.0",
            Answer(200, XML, "<x/>"),
        ),
        "ProtocolError",
    ),
    (
        "job of 1.0: an entity",
        "reply",
        (
            "job of 1.0",
            Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><jobInfo/>'),
        ),
        "ServerBusyError",
    ),
    (
        "job of 1.0: JSON that is null",
        "reply",
        (
            "job of 1.0",
            Answer(200, JSON, "null"),
        ),
        "ProtocolError",
    ),
    (
        "job of 1.0: nothing",
        "reply",
        (
            "job of 1.0",
            Answer(200, XML, ""),
        ),
        "TransportError",
    ),
    (
        "job of 1.0: deep XML",
        "reply",
        (
            "job of 1.0",
            Answer(200, XML, "<a>" * 100 + "</a>" * 100),
        ),
        "TransportError",
    ),
    (
        "job of 1.0: text",
        "reply",
        (
            "job of 1.0",
            Answer(200, "text/plain", "x"),
        ),
        "ProtocolError",
    ),
    (
        "batches of 1.0: XML that is cut",
        "reply",
        (
            "batches of 1.0",
            Answer(200, XML, "<jobInfo><id>75"),
        ),
        "TransportError",
    ),
    (
        "batches of 1.0: the wrong element",
        "reply",
        (
            "batches of 1.0",
            Answer(200, XML, "<x/>"),
        ),
        "ProtocolError",
    ),
    (
        "batches of 1.0: an entity",
        "reply",
        (
            "batches of 1.0",
            Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><jobInfo/>'),
        ),
        "ServerBusyError",
    ),
    (
        "batches of 1.0: JSON that is null",
        "reply",
        (
            "batches of 1.0",
            Answer(200, JSON, "null"),
        ),
        "ProtocolError",
    ),
    (
        "batches of 1.0: nothing",
        "reply",
        (
            "batches of 1.0",
            Answer(200, XML, ""),
        ),
        "TransportError",
    ),
    (
        "batches of 1.0: deep XML",
        "reply",
        (
            "batches of 1.0",
            Answer(200, XML, "<a>" * 100 + "</a>" * 100),
        ),
        "TransportError",
    ),
    (
        "batches of 1.0: text",
        "reply",
        (
            "batches of 1.0",
            Answer(200, "text/plain", "x"),
        ),
        "ProtocolError",
    ),
    (
        "result ids of 1.0: XML that is cut",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, XML, "<jobInfo><id>75"),
        ),
        "TransportError",
    ),
    (
        "result ids of 1.0: the wrong element",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, XML, "<x/>"),
        ),
        "ProtocolError",
    ),
    (
        "result ids of 1.0: an entity",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><jobInfo/>'),
        ),
        "ServerBusyError",
    ),
    (
        "result ids of 1.0: JSON that is null",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, JSON, "null"),
        ),
        "ProtocolError",
    ),
    (
        "result ids of 1.0: nothing",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, XML, ""),
        ),
        "TransportError",
    ),
    (
        "result ids of 1.0: deep XML",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, XML, "<a>" * 100 + "</a>" * 100),
        ),
        "TransportError",
    ),
    (
        "result ids of 1.0: text",
        "reply",
        (
            "result ids of 1.0",
            Answer(200, "text/plain", "x"),
        ),
        "ProtocolError",
    ),
    (
        "results of 1.0 of another form, CSV",
        "reply",
        (
            "results of 1.0, CSV",
            Answer(200, CSV, "a,b\n1,2\n"),
        ),
        "ProtocolError",
    ),
    (
        "results of 1.0 of another form, XML",
        "reply",
        (
            "results of 1.0, XML",
            Answer(200, XML, "<x/>"),
        ),
        "ProtocolError",
    ),
    (
        "results of 1.0 of another form, JSON",
        "reply",
        (
            "results of 1.0, JSON",
            Answer(200, JSON, '{"x":1}'),
        ),
        "ProtocolError",
    ),
    (
        "results of 1.0 whose errors are a number",
        "reply",
        (
            "results of 1.0, JSON",
            Answer(200, JSON, '[{"id":1,"success":true,"created":true,"errors":7}]'),
        ),
        "ProtocolError",
    ),
    (
        "results of 1.0 whose fields are a number",
        "reply",
        (
            "results of 1.0, JSON",
            Answer(200, JSON, '[{"success":false,"created":false,"errors":[{"fields":7}]}]'),
        ),
        "ProtocolError",
    ),
    (
        "limits that are text",
        "reply",
        (
            "limits",
            Answer(200, JSON, '"many"'),
        ),
        "ProtocolError",
    ),
    (
        "versions that are an object",
        "reply",
        (
            "versions",
            Answer(200, JSON, "{}"),
        ),
        "ProtocolError",
    ),
    (
        "versions that are numbers",
        "reply",
        (
            "versions",
            Answer(200, JSON, "[1]"),
        ),
        "ProtocolError",
    ),
    (
        "login by password: a web page",
        "login",
        (
            "password",
            Answer(200, HTML, "<html>"),
        ),
        "TransportError",
    ),
    (
        "login by client_credentials: a web page",
        "login",
        (
            "client_credentials",
            Answer(200, HTML, "<html>"),
        ),
        "TransportError",
    ),
    (
        "login by refresh_token: a web page",
        "login",
        (
            "refresh_token",
            Answer(200, HTML, "<html>"),
        ),
        "TransportError",
    ),
    (
        "login by password: no token",
        "login",
        (
            "password",
            Answer(200, JSON, "{}"),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: no token",
        "login",
        (
            "client_credentials",
            Answer(200, JSON, "{}"),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: no token",
        "login",
        (
            "refresh_token",
            Answer(200, JSON, "{}"),
        ),
        "LoginError",
    ),
    (
        "login by password: a token with a line break",
        "login",
        (
            "password",
            Answer(200, JSON, '{"access_token": "a\\nb", "instance_url": "https://acme.my.salesforce.com"}'),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: a token with a line break",
        "login",
        (
            "client_credentials",
            Answer(200, JSON, '{"access_token": "a\\nb", "instance_url": "https://acme.my.salesforce.com"}'),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: a token with a line break",
        "login",
        (
            "refresh_token",
            Answer(200, JSON, '{"access_token": "a\\nb", "instance_url": "https://acme.my.salesforce.com"}'),
        ),
        "LoginError",
    ),
    (
        "login by password: another host",
        "login",
        (
            "password",
            Answer(200, JSON, '{"access_token": "t", "instance_url": "https://evil.example"}'),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: another host",
        "login",
        (
            "client_credentials",
            Answer(200, JSON, '{"access_token": "t", "instance_url": "https://evil.example"}'),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: another host",
        "login",
        (
            "refresh_token",
            Answer(200, JSON, '{"access_token": "t", "instance_url": "https://evil.example"}'),
        ),
        "LoginError",
    ),
    (
        "login by password: this machine as host",
        "login",
        (
            "password",
            Answer(200, JSON, '{"access_token": "t", "instance_url": "http://127.0.0.1"}'),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: this machine as host",
        "login",
        (
            "client_credentials",
            Answer(200, JSON, '{"access_token": "t", "instance_url": "http://127.0.0.1"}'),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: this machine as host",
        "login",
        (
            "refresh_token",
            Answer(200, JSON, '{"access_token": "t", "instance_url": "http://127.0.0.1"}'),
        ),
        "LoginError",
    ),
    (
        "login by password: a host that is a number",
        "login",
        (
            "password",
            Answer(200, JSON, '{"access_token": "t", "instance_url": 7}'),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: a host that is a number",
        "login",
        (
            "client_credentials",
            Answer(200, JSON, '{"access_token": "t", "instance_url": 7}'),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: a host that is a number",
        "login",
        (
            "refresh_token",
            Answer(200, JSON, '{"access_token": "t", "instance_url": 7}'),
        ),
        "LoginError",
    ),
    (
        "login by password: the form echoed",
        "login",
        (
            "password",
            Answer(
                400,
                JSON,
                '{"error": "invalid_client", "error_description": "client_secret=S3cretOfTheApp&password=P4ssword!"}',
            ),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: the form echoed",
        "login",
        (
            "client_credentials",
            Answer(
                400,
                JSON,
                '{"error": "invalid_client", "error_description": "client_secret=S3cretOfTheApp&password=P4ssword!"}',
            ),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: the form echoed",
        "login",
        (
            "refresh_token",
            Answer(
                400,
                JSON,
                '{"error": "invalid_client", "error_description": "client_secret=S3cretOfTheApp&password=P4ssword!"}',
            ),
        ),
        "LoginError",
    ),
    (
        "login by password: the form echoed as code",
        "login",
        (
            "password",
            Answer(400, JSON, '{"error": "S3cretOfTheApp"}'),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: the form echoed as code",
        "login",
        (
            "client_credentials",
            Answer(400, JSON, '{"error": "S3cretOfTheApp"}'),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: the form echoed as code",
        "login",
        (
            "refresh_token",
            Answer(400, JSON, '{"error": "S3cretOfTheApp"}'),
        ),
        "LoginError",
    ),
    (
        "login by password: escapes",
        "login",
        (
            "password",
            Answer(400, JSON, '{"error": "invalid_grant", "error_description": "\\u001b[2J\\u202e"}'),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: escapes",
        "login",
        (
            "client_credentials",
            Answer(400, JSON, '{"error": "invalid_grant", "error_description": "\\u001b[2J\\u202e"}'),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: escapes",
        "login",
        (
            "refresh_token",
            Answer(400, JSON, '{"error": "invalid_grant", "error_description": "\\u001b[2J\\u202e"}'),
        ),
        "LoginError",
    ),
    (
        "login by password: 503",
        "login",
        (
            "password",
            Answer(503, HTML, ""),
        ),
        "ServerBusyError",
    ),
    (
        "login by client_credentials: 503",
        "login",
        (
            "client_credentials",
            Answer(503, HTML, ""),
        ),
        "ServerBusyError",
    ),
    (
        "login by refresh_token: 503",
        "login",
        (
            "refresh_token",
            Answer(503, HTML, ""),
        ),
        "ServerBusyError",
    ),
    (
        "login by password: inactive_org",
        "login",
        (
            "password",
            Answer(400, JSON, '{"error": "inactive_org"}'),
        ),
        "ServerBusyError",
    ),
    (
        "login by client_credentials: inactive_org",
        "login",
        (
            "client_credentials",
            Answer(400, JSON, '{"error": "inactive_org"}'),
        ),
        "ServerBusyError",
    ),
    (
        "login by refresh_token: inactive_org",
        "login",
        (
            "refresh_token",
            Answer(400, JSON, '{"error": "inactive_org"}'),
        ),
        "ServerBusyError",
    ),
    (
        "login by password: a redirect",
        "login",
        (
            "password",
            Answer(302, HTML, ""),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: a redirect",
        "login",
        (
            "client_credentials",
            Answer(302, HTML, ""),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: a redirect",
        "login",
        (
            "refresh_token",
            Answer(302, HTML, ""),
        ),
        "LoginError",
    ),
    (
        "login by password: 400 without a body",
        "login",
        (
            "password",
            Answer(400, JSON, ""),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: 400 without a body",
        "login",
        (
            "client_credentials",
            Answer(400, JSON, ""),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: 400 without a body",
        "login",
        (
            "refresh_token",
            Answer(400, JSON, ""),
        ),
        "LoginError",
    ),
    (
        "login by password: 404",
        "login",
        (
            "password",
            Answer(404, HTML, "no"),
        ),
        "LoginError",
    ),
    (
        "login by client_credentials: 404",
        "login",
        (
            "client_credentials",
            Answer(404, HTML, "no"),
        ),
        "LoginError",
    ),
    (
        "login by refresh_token: 404",
        "login",
        (
            "refresh_token",
            Answer(404, HTML, "no"),
        ),
        "LoginError",
    ),
    (
        "SOAP login: no XML",
        "login",
        (
            "soap_login",
            Answer(200, XML, "hello"),
        ),
        "TransportError",
    ),
    (
        "SOAP login: no fault",
        "login",
        (
            "soap_login",
            Answer(500, XML, "<x/>"),
        ),
        "ServerBusyError",
    ),
    (
        "SOAP login: API disabled",
        "login",
        (
            "soap_login",
            Answer(500, XML, "<Fault><exceptionCode>API_CURRENTLY_DISABLED</exceptionCode></Fault>"),
        ),
        "ServerBusyError",
    ),
    (
        "SOAP login: the password echoed",
        "login",
        (
            "soap_login",
            Answer(
                500,
                XML,
                "<Fault><exceptionCode>INVALID_LOGIN</exceptionCode><exceptionMessage>P4ssword!</exceptionMessage></Fault>",
            ),
        ),
        "LoginError",
    ),
    (
        "SOAP login: an entity",
        "login",
        (
            "soap_login",
            Answer(200, XML, '<!DOCTYPE x [<!ENTITY a "b">]><result/>'),
        ),
        "TransportError",
    ),
    (
        "SOAP login: a session without a host",
        "login",
        (
            "soap_login",
            Answer(200, XML, "<result><sessionId>x</sessionId></result>"),
        ),
        "LoginError",
    ),
    ("an extra: a list", "connection", ([],), "SourceError"),
    ("an extra: a text", "connection", ('"x"',), "SourceError"),
    ("an extra: a number", "connection", (7,), "SourceError"),
    ("an extra: null", "connection", (None,), "SourceError"),
    ("an extra: no JSON", "connection", ("{",), "SourceError"),
    ("an extra: nested", "connection", ({"client_id": {"a": 1}, "client_secret": "s"},), "SourceError"),
    ("an extra: a list for a secret", "connection", ({"client_id": "c", "client_secret": ["s"]},), "SourceError"),
    (
        "an extra: an unknown flow",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "auth_flow": "magic"},),
        "SourceError",
    ),
    ("an extra: nothing to log in with", "connection", ({},), "LoginError"),
    (
        "an extra: true as a timeout",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": True},),
        "SourceError",
    ),
    (
        "an extra: a timeout of 0",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": 0},),
        "SourceError",
    ),
    (
        "an extra: a timeout that is endless",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": "inf"},),
        "SourceError",
    ),
    (
        "an extra: a timeout in fullwidth digits",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": "１０"},),
        "SourceError",
    ),
    (
        "an extra: a negative timeout",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "timeout": -1},),
        "SourceError",
    ),
    (
        "an extra: a version in fullwidth digits",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "６６.０"},),
        "SourceError",
    ),
    (
        "an extra: a version of 400 digits",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "9" * 400},),
        "SourceError",
    ),
    (
        "an extra: a version that is too old",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "api_version": "20.0"},),
        "SourceError",
    ),
    (
        "an extra: a version with words",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "api_version": "Spring '26",
            },
        ),
        "SourceError",
    ),
    (
        "an extra: a ca_file that is missing",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "ca_file": "/nowhere/ca.pem",
            },
        ),
        "LoginError",
    ),
    (
        "an extra: a ca_file that is a device",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "ca_file": "/dev/zero"},),
        "LoginError",
    ),
    (
        "an extra: a ca_file without certificates",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "ca_file": "/etc/hostname",
            },
        ),
        "LoginError",
    ),
    (
        "an extra: a ca_file with NUL",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "ca_file": "a\x00b"},),
        "SourceError",
    ),
    (
        "an extra: a proxy that is no URL",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "ftp://x"},),
        "SourceError",
    ),
    (
        "an extra: a proxy with a bad port",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "proxy": "http://x:99999",
            },
        ),
        "SourceError",
    ),
    (
        "an extra: allowed_hosts that are numbers",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "allowed_hosts": [1]},),
        "SourceError",
    ),
    (
        "an extra: a misspelt key",
        "connection",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "clientid": "x"},),
        "SourceError",
    ),
    (
        "an extra: a key file that is missing",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "login": "u",
                "private_key_file": "/nowhere/key.pem",
            },
        ),
        "LoginError",
    ),
    (
        "an extra: a key file that is a device",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "login": "u",
                "private_key_file": "/dev/zero",
            },
        ),
        "LoginError",
    ),
    (
        "an extra: a key file that is a folder",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "login": "u",
                "private_key_file": "/tmp",
            },
        ),
        "LoginError",
    ),
    (
        "an extra: an access token with a blank",
        "connection",
        ({"access_token": "a b", "instance_url": "https://acme.my.salesforce.com"},),
        "LoginError",
    ),
    (
        "an extra: an organization_id that is none",
        "connection",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "login": "u",
                "password": "p",
                "organization_id": "<x>",
            },
        ),
        "SourceError",
    ),
    (
        "a host: another domain",
        "settings",
        ({"host": "https://evil.example", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a look-alike",
        "settings",
        ({"host": "https://salesforce.com.evil.example", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a user in it",
        "settings",
        ({"host": "https://u:p@acme.my.salesforce.com", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a path",
        "settings",
        ({"host": "https://acme.my.salesforce.com/x", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: plain http",
        "settings",
        ({"host": "http://acme.my.salesforce.com", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: another port",
        "settings",
        ({"host": "https://acme.my.salesforce.com:8443", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a site",
        "settings",
        ({"host": "https://acme.my.site.com", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a port that is none",
        "settings",
        ({"host": "https://acme.my.salesforce.com:x", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a blank",
        "settings",
        ({"host": "https://acme my.salesforce.com", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: an escape",
        "settings",
        ({"host": "https://acme\x1b.my.salesforce.com", "client_id": "c", "client_secret": "s"},),
        "SourceError",
    ),
    (
        "a host: another script",
        "settings",
        ({"host": "https://аcme.my.salesforce.com.", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: nothing but dots",
        "settings",
        ({"host": "https://...", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: an IPv6 that is cut",
        "settings",
        ({"host": "https://[::1", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: half of a character",
        "settings",
        ({"host": "https://\ud800.salesforce.com", "client_id": "c", "client_secret": "s"},),
        "SourceError",
    ),
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
    (
        "an event: jobs that are text",
        "event",
        ({"outcome": "done", "jobs": "x", "job_ids": ["7508d000003QaLpAAK"]},),
        "ProtocolError",
    ),
    ("an event: a negative number of calls", "event", ({"outcome": "done", "api_calls": -1},), "ProtocolError"),
    (
        "a list of jobs whose next page has a fragment",
        "reply",
        (
            "list",
            Answer(
                200,
                JSON,
                '{"done": false, "records": [], "nextRecordsUrl": "/services/data/v66.0/jobs/ingest?queryLocator=a#b"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs whose next page begins with two slashes",
        "reply",
        (
            "list",
            Answer(
                200,
                JSON,
                '{"done": false, "records": [], "nextRecordsUrl": "//evil.example/services/data/v66.0/jobs/ingest?queryLocator=a"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs whose next page begins with a backslash",
        "reply",
        (
            "list",
            Answer(200, JSON, '{"done": false, "records": [], "nextRecordsUrl": "/\\\\evil.example/?queryLocator=a"}'),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs whose next page has a line break",
        "reply",
        (
            "list",
            Answer(
                200,
                JSON,
                '{"done": false, "records": [], "nextRecordsUrl": "/services/data/v66.0/jobs/ingest?queryLocator=a\\r\\nX: y"}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a list of jobs whose next page is no path",
        "reply",
        ("list", Answer(200, JSON, '{"done": false, "records": [], "nextRecordsUrl": "jobs/ingest?queryLocator=a"}')),
        "ProtocolError",
    ),
    (
        "a list of jobs whose next page is empty",
        "reply",
        ("list", Answer(200, JSON, '{"done": false, "records": [], "nextRecordsUrl": ""}')),
        "ProtocolError",
    ),
    (
        "a list of jobs that is done in words",
        "reply",
        ("list", Answer(200, JSON, '{"done": "false", "records": [], "nextRecordsUrl": null}')),
        "ProtocolError",
    ),
    (
        "a list of pages with a second argument in a locator",
        "reply",
        (
            "result pages",
            Answer(
                200,
                JSON,
                '{"done": true, "resultPages": [{"resultUrl": "/services/data/v66.0/jobs/query/7508d000003QaLpAAK/results?locator=a%26b%3Dc"}]}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a page of results with a count with a sign",
        "reply",
        ("pages", Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "+1"})),
        "TransportError",
    ),
    (
        "a page of results with a count with a fraction",
        "reply",
        ("pages", Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1.0"})),
        "TransportError",
    ),
    (
        "a page of results with a count with an underline",
        "reply",
        ("pages", Answer(200, CSV, '"Id"\n"1"\n', {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "1_0"})),
        "TransportError",
    ),
    (
        "batches of 1.0: one of them twice",
        "reply",
        (
            "batches of 1.0",
            Answer(
                200,
                XML,
                f'<batchInfoList xmlns="http://www.force.com/2009/06/asyncapi/dataload">{BATCH}{BATCH}</batchInfoList>',
            ),
        ),
        "ProtocolError",
    ),
    (
        "result ids of 1.0: one of them twice",
        "reply",
        (
            "result ids of 1.0",
            Answer(
                200,
                XML,
                '<result-list xmlns="http://www.force.com/2009/06/asyncapi/dataload"><result>752x00000004CJE</result><result>752x00000004CJE</result></result-list>',
            ),
        ),
        "ProtocolError",
    ),
    (
        "result ids of 1.0: a path",
        "reply",
        (
            "result ids of 1.0",
            Answer(
                200,
                XML,
                '<result-list xmlns="http://www.force.com/2009/06/asyncapi/dataload"><result>../../../x</result></result-list>',
            ),
        ),
        "ProtocolError",
    ),
    (
        "400 with a message with C1 control",
        "reply",
        ("get", Answer(400, JSON, '[{"errorCode": "INVALIDJOB", "message": "' + "x\x9b31my" + '"}]')),
        "RequestRefusedError",
    ),
    (
        "400 with a message with an isolate",
        "reply",
        ("get", Answer(400, JSON, '[{"errorCode": "INVALIDJOB", "message": "' + "x\u2066y" + '"}]')),
        "RequestRefusedError",
    ),
    (
        "400 with a message with a tag",
        "reply",
        ("get", Answer(400, JSON, '[{"errorCode": "INVALIDJOB", "message": "' + "x\U000e0061y" + '"}]')),
        "RequestRefusedError",
    ),
    (
        "400 with a message with a noncharacter",
        "reply",
        ("get", Answer(400, JSON, '[{"errorCode": "INVALIDJOB", "message": "' + "x\uffffy" + '"}]')),
        "RequestRefusedError",
    ),
    (
        "400 with a message with 2,000 accents",
        "reply",
        ("get", Answer(400, JSON, '[{"errorCode": "INVALIDJOB", "message": "' + "a" + "\u0301" * 2000 + '"}]')),
        "RequestRefusedError",
    ),
    ("400 with deep objects", "reply", ("get", Answer(400, JSON, '{"a":' * 100000)), "RequestRefusedError"),
    (
        "400 with a number of 900,000 digits",
        "reply",
        ("get", Answer(400, JSON, '[{"errorCode": "X", "message": ' + "9" * 900000 + "}]")),
        "RequestRefusedError",
    ),
    (
        "400 with 30,000 namespaces",
        "reply",
        ("job of 1.0", Answer(400, XML, "<a " + " ".join(f'xmlns:n{n}="u{n}"' for n in range(30000)) + "/>")),
        "RequestRefusedError",
    ),
    (
        "503 with a Retry-After of 5,000 digits",
        "reply",
        ("get", Answer(503, JSON, "", {"Retry-After": "9" * 5000})),
        "ServerBusyError",
    ),
    (
        "503 with a Retry-After of an impossible day",
        "reply",
        ("get", Answer(503, JSON, "", {"Retry-After": "Wed, 99 Foo 9999 00:00:00 GMT"})),
        "ServerBusyError",
    ),
    (
        "503 with a Retry-After before now",
        "reply",
        ("get", Answer(503, JSON, "", {"Retry-After": "-5"})),
        "ServerBusyError",
    ),
    (
        "503 with a Retry-After without an end",
        "reply",
        ("get", Answer(503, JSON, "", {"Retry-After": "inf"})),
        "ServerBusyError",
    ),
    (
        "503 with a Retry-After in the year 9999",
        "reply",
        ("get", Answer(503, JSON, "", {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"})),
        "ServerBusyError",
    ),
    (
        "a job: a count with a fraction",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "operation": "insert", "state": "JobComplete", "numberRecordsProcessed": 1.5}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a job: a count with an exponent",
        "reply",
        (
            "get",
            Answer(
                200,
                JSON,
                '{"id": "7508d000003QaLpAAK", "operation": "insert", "state": "JobComplete", "numberRecordsProcessed": 1e3}',
            ),
        ),
        "ProtocolError",
    ),
    (
        "a setting: client_secret with half of a character",
        "settings",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "a\ud800",
            },
        ),
        "SourceError",
    ),
    (
        "a setting: password with half of a character",
        "settings",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "password": "a\ud800"},),
        "SourceError",
    ),
    (
        "a setting: login with half of a character",
        "settings",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "login": "a\ud800"},),
        "SourceError",
    ),
    (
        "a setting: security_token with half of a character",
        "settings",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "security_token": "a\ud800",
            },
        ),
        "SourceError",
    ),
    (
        "a setting: a proxy with a blank",
        "settings",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://a b"},),
        "SourceError",
    ),
    (
        "a setting: a proxy that is no ASCII",
        "settings",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://\ud800"},),
        "SourceError",
    ),
    (
        "a setting: a proxy that is a number and no host",
        "settings",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "http://:3128"},),
        "SourceError",
    ),
    (
        "a setting: a proxy by another protocol",
        "settings",
        ({"host": "https://acme.my.salesforce.com", "client_id": "c", "client_secret": "s", "proxy": "socks5://a:1"},),
        "SourceError",
    ),
    (
        "a setting: a proxy with a line break",
        "settings",
        (
            {
                "host": "https://acme.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
                "proxy": "http://a\r\nX: y",
            },
        ),
        "SourceError",
    ),
    (
        "a host: an IPv4 address in words",
        "settings",
        ({"host": "https://127.1.evil.example", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a host of another width",
        "settings",
        ({"host": "https://acme.my.salesforce。com", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: a label of 64 letters",
        "settings",
        (
            {
                "host": "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.my.salesforce.com",
                "client_id": "c",
                "client_secret": "s",
            },
        ),
        "LoginError",
    ),
    (
        "a host: a backslash",
        "settings",
        ({"host": "https://acme.my.salesforce.com\\@evil.example", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
    (
        "a host: an empty label",
        "settings",
        ({"host": "https://a..my.salesforce.com", "client_id": "c", "client_secret": "s"},),
        "LoginError",
    ),
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
    ("rows: a file that is closed", "rows", (_closed(),), "SourceError"),
    ("a job: more failed than were tried", "reply", ("get", Answer(200, JSON, _counted(3, 4))), "ProtocolError: job"),
    ("a job: a negative count of failures", "reply", ("get", Answer(200, JSON, _counted(3, -1))), "ProtocolError"),
    (
        "a running job: more failed than were tried",
        "reply",
        ("get", Answer(200, JSON, _counted(0, 1, "InProgress"))),
        "ProtocolError: job",
    ),
    (
        "a list of jobs: more failed than were tried in one",
        "reply",
        ("list", Answer(200, JSON, f'{{"done": true, "records": [{_counted(1, 2)}]}}')),
        "ProtocolError: job",
    ),
    (
        "batches of 1.0: more failed than were tried",
        "reply",
        (
            "batches of 1.0",
            Answer(
                200,
                XML,
                f"<batchInfoList>{BATCH}</batchInfoList>".replace(
                    "</batch", "<numberRecordsFailed>2</numberRecordsFailed></batch", 1
                ),
            ),
        ),
        "ProtocolError: batch",
    ),
    ("CSV: a byte order mark where files were joined", "rows", (b"Name\na\n\xef\xbb\xbfName\nb\n",), "SourceError"),
    ("CSV: a byte order mark in the first record", "rows", (b"Name\n\xef\xbb\xbfa\n",), "SourceError"),
    ("CSV: a byte order mark and a quote in the first record", "rows", (b'Name\n\xef\xbb\xbf"a"\n',), "SourceError"),
    *(
        (
            f"login by {flow}: the form echoed {how}",
            "login",
            (flow, Answer(400, JSON, _refused(f"client_secret={spell(SECRET)}&password={spell(PASSWORD)}"))),
            "LoginError",
        )
        for flow in ("password", "client_credentials", "refresh_token")
        for how, spell in SPELLINGS.items()
    ),
    *(
        (
            f"SOAP login: the password echoed {how}",
            "login",
            ("soap_login", Answer(500, XML, _fault(spell(PASSWORD)))),
            "LoginError",
        )
        for how, spell in SPELLINGS.items()
    ),
    (
        "login by password: the password as another host",
        "login",
        ("password", Answer(200, JSON, '{"access_token": "t", "instance_url": "https://p4ssword.example"}')),
        "LoginError",
    ),
    *(
        (f"successful records: {what}", "result file", ("successful", Answer(200, CSV, text)), expected)
        for what, text, expected in SAVED
    ),
    *(
        (f"failed records: {what}", "result file", ("failed", Answer(200, CSV, text)), expected)
        for what, text, expected in FAILED
    ),
    *(
        (f"unprocessed records: {what}", "result file", ("unprocessed", Answer(200, CSV, text)), expected)
        for what, text, expected in UNPROCESSED
    ),
    *((f"look for changes: {what}", "look", (Answer(200, JSON, text),), expected) for what, text, expected in LOOKS),
    *((f"describe: {what}", "describe", (Answer(200, JSON, text),), expected) for what, text, expected in DESCRIBES),
    ("look for changes: a web page", "look", (Answer(200, HTML, "<html></html>"),), "ServerBusyError"),
    ("look for changes: 204", "look", (Answer(204, JSON, ""),), "TransportError"),
    *(
        (
            f"look for changes: a clock that shows {date!r}",
            "look",
            (Answer(200, JSON, LOOKS[0][1], {"Date": date}),),
            "NoneType",
        )
        for date in (
            "",
            "now",
            "Mon, 01 Jan 0001 00:00:00 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Mon, 30 Nov 99999999999 03:26:21 GMT",
            "Mon, 30 Nov 2026 03:26:21 +99999999",
        )
    ),
    *(
        (
            f"reply: to be tried again {date[:20]!r}",
            "reply",
            ("get", Answer(503, JSON, "[]", {"Retry-After": date, "Date": "Mon, 30 Nov 2026 03:26:21 GMT"})),
            "ServerBusyError",
        )
        for date in (
            "Mon, 30 Nov 99999999999 03:26:21 GMT",
            "9" * 5_000,
            "-1",
            "\u0663",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        )
    ),
    (
        "reply: an infinite number",
        "reply",
        ("limits", Answer(200, JSON, '{"A": {"Max": 1e999, "Remaining": 1}}')),
        "TransportError",
    ),
    *(
        (f"watch: {name} is {what}", "watch", ({name: value},), "TriggerArgumentError")
        for name, what, value in [
            ("sobject", "none", None),
            ("sobject", "a query", "Account WHERE Id != null"),
            ("sobject", "a number of 5,000 digits", 10**5_000),
            ("field", "another object's", "Owner.LastModifiedDate"),
            ("field", "a condition", "Id = '' OR SystemModstamp"),
            ("every", "a second", 1),
            ("every", "a negative number of 5,000 digits", -(10**5_000)),
            ("every", "a number of 5,000 digits", 10**5_000),
            ("every", "not a number", float("nan")),
            ("lag", "longer than time itself", 1e300),
            ("lag", "a century", timedelta(days=36_525)),
            ("lag", "text", "300"),
            ("initial", "without a timezone", datetime(2026, 1, 1)),
            ("initial", "before all time", "0001-01-01T00:00:00+14:00"),
            ("initial", "a number", 0),
            ("conn_id", "blank", " "),
            ("include_deleted", "text", "False"),
            ("api_version", "a number", 66.0),
            ("api_version", "a path", "../../x"),
            ("api_version", "half of a character", HALF),
        ]
    ),
    *(
        (f"whole object: {name} is a number of 5,000 digits", "whole object", ({name: 10**5_000},), "SourceError")
        for name in (
            "sobject",
            "fields",
            "exclude",
            "where",
            "on_schema_change",
            "column_types",
            "compression",
            "api",
            "api_version",
            "output_format",
            "column_delimiter",
        )
    ),
    *(
        (f"whole object: {name} is {what}", "whole object", ({name: value},), "SourceError")
        for name, what, value in [
            ("sobject", "a query", "Account WHERE Id != null"),
            ("sobject", "half a character", "\ud800"),
            ("fields", "a query", ["Id) FROM Account"]),
            ("fields", "lists", [["Id"]]),
            ("fields", "bytes", b"all"),
            ("exclude", "text", "Name"),
            ("exclude", "null", [None]),
            ("where", "blank", " "),
            ("where", "a list", ["Name = 'x'"]),
            ("on_schema_change", "an escape", "\x1b[2J"),
            ("column_types", "a list", ["Name"]),
            ("column_types", "of 5,000 characters", {"a" * 5_000: "b" * 5_000}),
            ("column_types", "of half a character", {"\ud800": "string"}),
            ("compression", "a list", ["gzip"]),
        ]
    ),
    *(
        (f"call: {call} with {name} as {what}", "call", (call, {name: value}), "SourceError")
        for call, name, what, value in WRONG_CALLS
    ),
    ("call: ingest.upload with data as no record", "call", ("ingest.upload", {"data": []}), "EmptyInputError"),
    *((f"{way}: {name} is {what}", way, ({name: value},), "SourceError") for way, name, what, value in WRONG_ARGUMENTS),
    *(
        (f"setting: {name} is a number of 5,000 digits", "settings", ({**APP, name: HUGE},), "SourceError")
        for name in ("host", "login", "client_secret", "api_version", "timeout", "allowed_hosts", "proxy", "ca_file")
    ),
    ("result file: a web page", "result file", ("successful", Answer(200, HTML, "<html></html>")), "ServerBusyError"),
    (
        "result file: a web page called CSV",
        "result file",
        ("failed", Answer(200, CSV, "<html>\n<p>\n")),
        "TransportError",
    ),
    ("result file: JSON", "result file", ("failed", Answer(200, JSON, "[]")), "ProtocolError"),
    ("result file: 204", "result file", ("successful", Answer(204, CSV, "")), "TransportError: 0 successful"),
]
