"""One value of an upload, by its field's type: from CSV text to what the tables hold, or to the row's error.

Texts of errors are those seen from Salesforce where a comment does not say otherwise. A value that does not parse:
``INVALID_FIELD:Failed to deserialize field at col 0. Due to, '2018-09-28' is not a valid value for the type
xsd:dateTime:CreatedDate --`` (SFDO-Tooling/Snowfakery#793; columns count from 0).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.describe import soap_type
from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES, Field

KEEP: Final = object()
"""What an empty value becomes: "ignored on update", and on insert the field's default."""

CLEAR: Final = "#N/A"
"""What an upload writes to set a field to null."""

Convert = Callable[[str], Any]


class RowError(Exception):
    """Why a row fails.

    :ivar text: as ``sf__Error`` writes it: ``CODE:message:Field1 Field2 --``, or ``CODE:message:--``
    """

    def __init__(self, code: str, message: str, *fields: str) -> None:
        super().__init__(code, message, *fields)
        self.code = code
        self.message = message
        self.fields = fields
        self.text = f"{code}:{message}:{' '.join(fields)}{' ' if fields else ''}--"


class NotOfTypeError(RowError):
    """Text that is not of the field's type. The REST API has another message for it."""

    def __init__(self, field: Field, value: str, message: str) -> None:
        super().__init__("INVALID_FIELD", message, field.name)
        self.field = field
        self.value = value


_INT: Final = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d)(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_DATETIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d{1,9})?(Z|[+-]\d\d:?\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d:\d\d:\d\d)(?:\.(\d{1,3}))?Z", re.ASCII)
_EMAIL: Final = re.compile(r"[^@\s,;:<>()\[\]\"\\]+@(?:[^@\s,;:<>()\[\]\"\\.]+\.)+[^@\s,;:<>()\[\]\"\\.]{2,}")
_BLANKS: Final = " \t\n\v\f\r"
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BOOLEANS: Final = {"true": 1, "1": 1, "false": 0, "0": 0}


def converter(field: Field, column: int, prefixes: Mapping[str, str]) -> Convert:
    """Return the function that turns a non-empty text other than ``#N/A`` into what the field's table column holds.

    It raises :class:`RowError`.

    :param column: which column of the upload it is, from 0; error texts name it
    :param prefixes: key prefix of every object of the org by the object's name
    """
    if field.type == "reference":
        return _reference(field, prefixes)
    parse = {"boolean": _boolean, "date": _date, "datetime": _datetime, "time": _time}.get(field.type)
    if parse is not None:
        convert = _parsed(field, column, parse)
        return _in_range(field, convert) if field.type in ("date", "datetime") else convert
    if field.type in ("int", "long"):
        return _whole(field, column)
    if field.type in NUMBER_TYPES:
        return _fraction(field, column)
    return _text(field)


def trimmed(value: str) -> str | None:
    """Return a text as it is stored: without blanks at either end, null when nothing is left.

    "sObject String field values follow the same rules as in the SOAP API: they can never be empty (only null), and they can
    never include leading and trailing whitespace. These conventions are necessary for database storage." (*Apex Developer
    Guide*, "Primitive Data Types"). Non-breaking spaces are kept. Not known: whether control characters are whitespace
    (here they are not), and whether blanks count toward the length of a field and the value of a picklist (here they do).
    """
    return value.strip(_BLANKS) or None


def is_plain_text(field: Field) -> bool:
    """Whether any text up to the field's length will do, so that a column can be checked at once."""
    other = (*NUMBER_TYPES, "id", "reference", "boolean", "date", "datetime", "time", "email")
    return field.type not in other and not (field.restricted_picklist and field.picklist_values)


def too_long(field: Field, value: str) -> RowError:
    """Return the error of a text that is longer than its field. The wording is the commonly reported one."""
    message = f"{field.label or field.name}: data value too large: {value} (max length={field.length})"
    return RowError("STRING_TOO_LONG", message, field.name)


def null_checkbox(field: Field) -> RowError:
    """Return the error of a checkbox set to null, as seen in an update (jetstreamapp/jetstream#712)."""
    return RowError(
        "INVALID_TYPE_ON_FIELD_IN_RECORD", f"{field.label or field.name}: value not of required type: ", field.name
    )


def _not_of_type(field: Field, column: int, value: str) -> RowError:
    message = (
        f"Failed to deserialize field at col {column}. Due to, '{value}' is not a valid value for the type "
        f"{soap_type(field)}"
    )
    return NotOfTypeError(field, value, message)


def _out_of_range(field: Field, value: str) -> RowError:
    message = f"{field.label or field.name}: value outside of valid range on numeric field: {value}"
    return RowError("NUMBER_OUTSIDE_VALID_RANGE", message, field.name)


def _parsed(field: Field, column: int, parse: Callable[[str], Any]) -> Convert:
    def convert(value: str) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            raise _not_of_type(field, column, value) from error

    return convert


def _in_range(field: Field, parse: Convert) -> Convert:
    """Refuse moments that Salesforce cannot hold, such as the year 9999 that stands for "no end" elsewhere.

    "The earliest valid date is 1700-01-01T00:00:00Z GMT … The latest valid date is 4000-12-31T00:00:00Z GMT" (*Data Loader
    Guide*, "Data Import Dates"). The wording is the commonly reported one.
    """
    first, last = f"{limits.FIRST_YEAR}-01-01", f"{limits.LAST_YEAR}-12-31"
    if field.type == "datetime":
        first, last = f"{first}T00:00:00.000Z", f"{last}T00:00:00.000Z"

    def convert(value: str) -> Any:
        stored = parse(value)
        if not first <= stored <= last:
            moment = datetime.fromisoformat(stored)
            shown = f"{_DAYS[moment.weekday()]} {_MONTHS[moment.month - 1]} {moment:%d %H:%M:%S} GMT {moment.year}"
            raise RowError(
                "FIELD_INTEGRITY_EXCEPTION", f"{field.label or field.name}: invalid date: {shown}", field.name
            )
        return stored

    return convert


def _boolean(value: str) -> int:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError as error:
        raise ValueError(value) from error


def _date(value: str) -> str:
    # The guide of 1.0 writes ``1940-06-07Z`` and ``2002-10-10+05:00``, "which is the same as 2002-10-09T19:00:00Z"; that of
    # 2.0 says that an offset is not supported, and shows one in its sample.
    matched = _DATE.fullmatch(value)
    if matched is None:
        raise ValueError(value)
    day, offset = matched.groups()
    if offset is None:
        return date.fromisoformat(day).isoformat()
    try:
        return datetime.fromisoformat(f"{day}T00:00:00{offset}").astimezone(UTC).date().isoformat()
    except OverflowError as error:
        raise ValueError(value) from error


def _datetime(value: str) -> str:
    matched = _DATETIME.fullmatch(value)
    if matched is None:
        raise ValueError(value)
    moment = datetime.fromisoformat(matched[1] + matched[2])
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(value) from error
    return utc.replace(tzinfo=None).isoformat() + ".000Z"


def _time(value: str) -> str:
    matched = _TIME.fullmatch(value)
    if matched is None:
        raise ValueError(value)
    return f"{time.fromisoformat(matched[1]).isoformat()}.{(matched[2] or '').ljust(3, '0')}Z"


def _whole(field: Field, column: int) -> Convert:
    largest = 2**31 if field.type == "int" else 2**63
    bound = min(10**field.digits, largest) if field.digits else largest

    def convert(value: str) -> int:
        if not _INT.fullmatch(value):
            raise _not_of_type(field, column, value)
        number = int(value)
        if not -bound < number < bound:
            raise _out_of_range(field, value)
        return number

    return convert


def _fraction(field: Field, column: int) -> Convert:
    bound = float(10 ** (field.precision - field.scale)) if field.precision else math.inf

    def convert(value: str) -> float:
        if not _NUMBER.fullmatch(value):
            raise _not_of_type(field, column, value)
        number = float(value)
        if not -bound < number < bound:
            raise _out_of_range(field, value)
        # The field's decimal places count in the web pages only: "When you retrieve the value via API, no rounding
        # occurs" (help article 000387302).
        return number

    return convert


def _text(field: Field) -> Convert:
    label = field.label or field.name
    allowed = frozenset(field.picklist_values) if field.restricted_picklist and field.picklist_values else None
    several = field.type == "multipicklist"

    def convert(value: str) -> str | None:
        if field.length and len(value) > field.length:
            raise too_long(field, value)
        if allowed is not None:
            for entry in value.split(";") if several else (value,):
                if entry not in allowed:
                    message = f"{label}: bad value for restricted picklist field: {entry}"
                    raise RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, field.name)
        if field.type == "email" and not _EMAIL.fullmatch(value):
            # The wording is the commonly reported one.
            raise RowError("INVALID_EMAIL_ADDRESS", f"{label}: invalid email address: {value}", field.name)
        return trimmed(value)

    return convert


def identity(sobject_name: str, key_prefix: str) -> Convert:
    """Return the function that reads the ``Id`` column of an object's upload."""

    def convert(value: str) -> str:
        try:
            record_id = ids.normalize(value)
        except ids.MalformedIdError as error:
            raise RowError("MALFORMED_ID", f"malformed id {value}", "Id") from error
        if record_id[:3] != key_prefix:
            raise RowError("INVALID_ID_FIELD", f"Invalid Id for entity type '{sobject_name}'", "Id")
        return record_id

    return convert


def _reference(field: Field, prefixes: Mapping[str, str]) -> Convert:
    targets = {prefixes[name] for name in field.reference_to if name in prefixes}
    # A lookup to an object that this org does not have takes any well-formed id.
    known = targets if all(name in prefixes for name in field.reference_to) else None
    label = field.label or field.name

    def convert(value: str) -> str:
        try:
            record_id = ids.normalize(value)
        except ids.MalformedIdError as error:
            raise RowError("MALFORMED_ID", f"{label}: id value of incorrect type: {value}", field.name) from error
        if known and record_id[:3] not in known:
            raise RowError("FIELD_INTEGRITY_EXCEPTION", f"{label}: id value of incorrect type: {value}", field.name)
        return record_id

    return convert
