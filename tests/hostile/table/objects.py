"""What an org says of its objects, and what a watch of an object or an extract of a whole one is asked for."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any, Final

from tests.hostile.table.line import HALF, HTML, JSON, Answer, Line

# One line each.
# fmt: off

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
    ("a picklist of half a character", _described("Kind__c", picklistValues=[{"value": "\ud800"}]), "ProtocolError: GET"),
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
]


OBJECTS: Final[list[Line]] = [
    *((f"look for changes: {what}", "look", (Answer(200, JSON, text),), expected) for what, text, expected in LOOKS),
    *((f"describe: {what}", "describe", (Answer(200, JSON, text),), expected) for what, text, expected in DESCRIBES),
    ("look for changes: a web page", "look", (Answer(200, HTML, "<html></html>"),), "ServerBusyError"),
    ("look for changes: 204", "look", (Answer(204, JSON, ""),), "TransportError"),
    *((f"look for changes: a clock that shows {date!r}", "look", (Answer(200, JSON, LOOKS[0][1], {"Date": date}),), "NoneType") for date in ("", "now", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 30 Nov 99999999999 03:26:21 GMT", "Mon, 30 Nov 2026 03:26:21 +99999999")),
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
    *((f"whole object: {name} is a number of 5,000 digits", "whole object", ({name: 10**5_000},), "SourceError") for name in ("sobject", "fields", "exclude", "where", "on_schema_change", "column_types", "compression", "api", "api_version", "output_format", "column_delimiter")),
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
]
