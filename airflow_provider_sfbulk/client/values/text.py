"""One Python value as Salesforce's text: the reference for the vectorised twins in ``text_arrow``.

==================================  ==================================================================================
value                               text
==================================  ==================================================================================
None, NaN, NaT, ``pandas.NA``       null
str                                 itself, nothing trimmed
bool                                ``true`` ``false``
int                                 its digits
float                               the shortest digits that read back the same, never an exponent; no fraction, no
                                    point: 47.0 is ``47``, since whole numbers become floats wherever a null is near
Decimal                             its digits, all of them, never an exponent
datetime                            ``2026-03-04T05:06:07.000Z``: UTC, cut to milliseconds (Salesforce keeps seconds)
date                                ``2026-03-04``
time                                ``05:06:07.000Z``
UUID                                with hyphens
Enum                                its value's text
list, tuple, set of texts           joined with ``;`` (a set in sorted order); none of them: null
==================================  ==================================================================================

Anything else is refused. Source of the forms: Bulk API 2.0 guide, "Valid Record Rows"; SOAP API, field types.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any, Final, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

Text: TypeAlias = "str | None"


class UnfitValueError(ValueError):
    """A value that has no text. The message is the reason, without the value."""


EXACT_FLOAT: Final = 2**53
"""Below this, every whole float is exactly one integer."""

NUMBER_CHARACTERS: Final = 400
"""Maximum characters of a number: every double has fewer (309 digits, or 17 digits after 323 zeros), and
``Decimal("1e-999999999")`` would have a gigabyte."""

_NUMBER_BITS: Final = int(NUMBER_CHARACTERS * math.log2(10))

INFINITE: Final = "an infinite number"
ABSURD: Final = f"a number of more than {NUMBER_CHARACTERS} digits, which no field holds"
NO_ZONE: Final = "a datetime without a time zone; set timezone to its zone (an IANA name, such as UTC)"
NOT_IN_ZONE: Final = "a datetime that the time zone skips, where clocks are put forward"


def text_of(value: object, zone: ZoneInfo | None = None) -> Text:
    """Return a value's text, None for null.

    :param zone: of datetimes that carry none; None refuses them
    :raises UnfitValueError: when there is no text for it
    """
    kind: Any = type(value)
    write = _EXACT.get(kind) or _by_ancestry(kind)
    return write(value, zone)


def number_text(shortest: str) -> str:
    """Write a float's or decimal's shortest form without exponent, without an empty fraction, without ``-0``."""
    if "e" in shortest or "E" in shortest:
        shortest = format(Decimal(shortest), "f")
    if shortest.endswith(".0"):
        shortest = shortest[:-2]
    return "0" if shortest == "-0" else shortest


def _null(_value: object, _zone: ZoneInfo | None) -> Text:
    return None


def _str(value: str, _zone: ZoneInfo | None) -> Text:
    return str.__str__(value)


def _bool(value: object, _zone: ZoneInfo | None) -> Text:
    return "true" if value else "false"


def _int(value: int, _zone: ZoneInfo | None) -> Text:
    if int.bit_length(value) > _NUMBER_BITS:
        raise UnfitValueError(ABSURD)
    return int.__repr__(int(value))


def _float(value: float, _zone: ZoneInfo | None) -> Text:
    if value != value:  # noqa: PLR0124 - the definition of NaN, for any width
        return None
    if math.isinf(value):
        raise UnfitValueError(INFINITE)
    return number_text(float.__repr__(value))


def _decimal(value: Decimal, _zone: ZoneInfo | None) -> Text:
    if value.is_nan():
        return None
    if value.is_infinite():
        raise UnfitValueError(INFINITE)
    _, digits, exponent = value.as_tuple()
    if len(digits) + abs(int(exponent)) > NUMBER_CHARACTERS:
        raise UnfitValueError(ABSURD)
    return format(value, "f")


def _datetime(value: datetime, zone: ZoneInfo | None) -> Text:
    # Rebuilt from its parts since pandas.Timestamp, a subclass, warns of the nanoseconds that go.
    moment = datetime(
        value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond,
        tzinfo=value.tzinfo, fold=value.fold,
    )  # fmt: skip
    naive = moment.utcoffset() is None
    if naive:
        if zone is None:
            raise UnfitValueError(NO_ZONE)
        moment = moment.replace(tzinfo=zone)
    try:
        utc = moment.astimezone(UTC)
        if naive and utc.astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None):
            raise UnfitValueError(NOT_IN_ZONE)
    except OverflowError as error:
        raise UnfitValueError("a datetime outside the years 1 to 9999") from error
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _date(value: date, _zone: ZoneInfo | None) -> Text:
    return value.isoformat()


def _time(value: time, _zone: ZoneInfo | None) -> Text:
    if value.utcoffset():
        raise UnfitValueError("a time with a zone other than UTC; Salesforce's times have none")
    return value.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _uuid(value: UUID, _zone: ZoneInfo | None) -> Text:
    return str(value)


def _enum(value: Enum, zone: ZoneInfo | None) -> Text:
    return text_of(value.value, zone)


def _selection(value: Iterable[object], zone: ZoneInfo | None) -> Text:
    texts = []
    for each in value:
        text = text_of(each, zone) if isinstance(each, (str, Enum)) else None
        if text is None:
            raise UnfitValueError("a list of values other than texts; only multi-select picklists take lists")
        if ";" in text or not text:
            raise UnfitValueError("a list with an empty text or one with a semicolon, which separates the choices")
        texts.append(text)
    if isinstance(value, (set, frozenset)):
        texts.sort()
    return ";".join(texts) or None


def _bytes(_value: object, _zone: ZoneInfo | None) -> Text:
    raise UnfitValueError("bytes; Bulk API 2.0 takes no binary data, and text must be decoded first")


def _mapping(_value: object, _zone: ZoneInfo | None) -> Text:
    raise UnfitValueError(
        'a nested value that is not a relationship; a relationship has one level of keys, as {"Owner": '
        '{"External_Key__c": …}}'
    )


Writer: TypeAlias = Callable[[Any, "ZoneInfo | None"], Text]

_EXACT: Final[dict[type, Writer]] = {
    type(None): _null,
    str: _str,
    bool: _bool,
    int: _int,
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    time: _time,
    UUID: _uuid,
    list: _selection,
    tuple: _selection,
    set: _selection,
    frozenset: _selection,
    dict: _mapping,
}

_ANCESTRY: Final[tuple[tuple[type | tuple[type, ...], Writer], ...]] = (
    (Enum, _enum),  # before str and int, which it may also be
    (str, _str),
    (int, _int),
    (float, _float),
    (Decimal, _decimal),
    (datetime, _datetime),
    (date, _date),
    (time, _time),
    (UUID, _uuid),
    ((list, tuple, set, frozenset), _selection),
    (Mapping, _mapping),
    ((bytes, bytearray, memoryview), _bytes),
)


@lru_cache(maxsize=256)
def _by_ancestry(kind: type) -> Writer:
    # Told by name, so that neither numpy nor pandas is imported for their sake.
    home = kind.__module__.partition(".")[0]
    if home == "pandas" and kind.__name__ in {"NAType", "NaTType"}:
        return _null
    if home == "numpy":
        return _NUMPY.get(kind.__name__, _numpy_other)
    for ancestor, writer in _ANCESTRY:
        if issubclass(kind, ancestor):
            return writer
    raise UnfitValueError(f"a {kind.__name__}, for which Salesforce has no text")


def _numpy_float(value: Any, zone: ZoneInfo | None) -> Text:
    if math.isfinite(value):
        wide = float(value)
        if wide.is_integer() and abs(wide) < EXACT_FLOAT:
            return str(int(wide))
        return number_text(str(value))  # the shortest digits of its own width: float32(0.1) is 0.1
    return _float(float(value), zone)


def python_time(value: Any) -> Any:
    """Convert a numpy ``datetime64`` or ``timedelta64`` to Python's: whole days are a date, not a time is None."""
    item = value.item()
    if isinstance(item, int):  # nanoseconds and finer, for which Python has no type
        return value.astype(f"{type(value).__name__}[us]").item()
    return item


def _numpy_datetime(value: Any, zone: ZoneInfo | None) -> Text:
    return text_of(python_time(value), zone)


def _numpy_other(value: Any, zone: ZoneInfo | None) -> Text:
    if hasattr(value, "ndim") and value.ndim == 1:
        return _selection(value.tolist(), zone)
    plain = value.item() if getattr(value, "ndim", 1) == 0 else value
    if type(plain).__module__.partition(".")[0] == "numpy":
        raise UnfitValueError(f"a numpy {type(plain).__name__}, for which Salesforce has no text")
    return text_of(plain, zone)


_NUMPY: Final[dict[str, Writer]] = {
    "float16": _numpy_float,
    "float32": _numpy_float,
    "float64": _numpy_float,
    "datetime64": _numpy_datetime,
}
