"""One Python value as the text of a field of a known type: the reference that ``by_field_arrow`` must agree with.

The field's type decides how a value is written. A value is converted if nothing is lost, and refused if something would
be lost or if its meaning is ambiguous (a datetime in text without a zone, when there is no ``timezone``):

=====================  ================================================================================================
field's type           values
=====================  ================================================================================================
int, long              whole numbers of every kind: 47, 47.0, ``Decimal("47.00")``, ``"47.00"``
double, currency,      numbers of every kind
percent
boolean                bool; the numbers 1 and 0; ``yes`` ``y`` ``true`` ``t`` ``on`` ``1`` and their opposites as text
date                   date; datetime at midnight by its own clock
datetime               datetime; date, which is midnight in the ``timezone``
time                   time; timedelta of less than a day, as MySQL's drivers give a time
id, reference          text
multipicklist          text, and lists or sets of texts
every other type       whatever ``text.py`` converts, except lists
=====================  ================================================================================================

A text that can be read as one of these values counts as that value. Other text is sent unchanged: Salesforce refuses that
row and no other, as with a CSV, whose values are not examined. So ``max_failed_records`` means the same for both.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from airflow_provider_sfbulk.client.values.text import NUMBER_CHARACTERS, Text, UnfitValueError, python_time, text_of

Fit: TypeAlias = "Callable[[Any, ZoneInfo | None], object]"
"""Converts a plain value for a field of a type into something that ``text.text_of`` writes."""

TRUE: Final = frozenset({"true", "1", "1.0", "yes", "y", "t", "on"})
FALSE: Final = frozenset({"false", "0", "0.0", "no", "n", "f", "off"})

NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9].*")
WIRE_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:?[0-9]{2})"
)
"""The forms of a datetime that Salesforce takes (Bulk API 2.0 guide, "Valid Date Format in Records")."""
WIRE_TIME: Final = re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,3})?Z")
_A_DAY: Final = date(1970, 1, 1)
_CLOCK: Final = re.compile(r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?Z?")


def text_for(value: object, field_type: str | None, zone: ZoneInfo | None) -> Text:
    """Return a value's text in a field, None for null.

    :param field_type: what describe calls the field's type; None when it is not known: the value goes by its own type
    :param zone: of datetimes, dates and texts of them that carry none; None refuses them
    :raises UnfitValueError: when the field cannot hold it without a loss
    """
    fit = fit_of(field_type)
    if fit is None:
        return text_of(value, zone)
    plain = plain_value(value)
    return None if plain is None else text_of(fit(plain, zone), zone)


def fit_of(field_type: str | None) -> Fit | None:
    """Return how values are converted for fields of this type; None: they are written by their own type."""
    return None if field_type is None else _FITS.get(field_type)


def plain_value(value: Any) -> Any:
    """Replace values of numpy, pandas and enumerations by the Python values they represent; None for null."""
    kind = type(value)
    # Told by name, so that neither numpy nor pandas is imported for their sake.
    home = kind.__module__.partition(".")[0]
    if isinstance(value, Enum):
        return plain_value(value.value)
    if home == "numpy" and getattr(value, "ndim", 0) == 0:
        return plain_value(_of_numpy(value, kind.__name__))
    if home == "pandas" and kind.__name__ == "Timedelta":
        return value.to_pytimedelta()
    is_nan = isinstance(value, (float, Decimal)) and (
        value.is_nan() if isinstance(value, Decimal) else math.isnan(value)
    )
    return None if is_nan or (home == "pandas" and kind.__name__ in {"NAType", "NaTType"}) else value


def is_null(value: Any) -> bool:
    """Return whether a value stands for none; one that cannot be sent does not."""
    try:
        return plain_value(value) is None
    except UnfitValueError:
        return False


def _of_numpy(value: Any, kind: str) -> Any:
    if kind in {"float16", "float32"}:
        return Decimal(str(value))  # the shortest digits of its own width: float32(0.1) is 0.1
    item = python_time(value) if kind in {"datetime64", "timedelta64"} else value.item()
    if type(item).__module__.partition(".")[0] == "numpy":  # longdouble
        raise UnfitValueError(f"a numpy {type(item).__name__}, for which Salesforce has no text")
    return item


def _refuse(value: Any, advice: str) -> UnfitValueError:
    return UnfitValueError(f"{_called(value)}; {advice}")


def _called(value: Any) -> str:
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return "a number"
    if isinstance(value, str):
        return "a text"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {'datetime' if name == 'Timestamp' else name}"


_DAY_ADVICE: Final = "it holds a day without a time; give a date, or a datetime at midnight"


def _whole(value: Any, _zone: ZoneInfo | None) -> object:
    number = value
    if isinstance(value, str):
        if not NUMBER.fullmatch(value) or value.lstrip("+-").isdecimal():
            return value
        number = Decimal(value)
    if isinstance(number, bool) or not isinstance(number, (int, float, Decimal)):
        raise _refuse(value, "it takes whole numbers")
    if isinstance(number, int) or math.isinf(number):
        return number
    if isinstance(number, float):
        if number.is_integer():
            return number
    elif number == number.to_integral_value():
        # Else text_of refuses it: a number of a billion digits is not written out to look at it.
        return int(number) if number.adjusted() < NUMBER_CHARACTERS else number
    raise _refuse(value, "it takes whole numbers; round it, or load it into another field")


def _number(value: Any, _zone: ZoneInfo | None) -> object:
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise _refuse(value, "it takes numbers")
    return value


def _boolean(value: Any, _zone: ZoneInfo | None) -> object:
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        return word in TRUE if word in TRUE or word in FALSE else value
    if isinstance(value, (int, float, Decimal)) and value in (0, 1):
        return bool(value)
    raise _refuse(value, "it takes True and False, and 1 and 0 for them")


def _date(value: Any, _zone: ZoneInfo | None) -> object:
    if isinstance(value, str):
        moment = _moment(value)
        if moment is None:
            return value
        if moment.time() != time():
            raise _refuse(value, _DAY_ADVICE)
        return moment.date()
    if isinstance(value, datetime):
        # By its own clock: what another zone makes of its midnight is another moment's day.
        if (value.hour, value.minute, value.second, value.microsecond, getattr(value, "nanosecond", 0)) != (0,) * 5:
            raise _refuse(value, _DAY_ADVICE)
        return value.date()
    if not isinstance(value, date):
        raise _refuse(value, _DAY_ADVICE)
    return value


def _datetime(value: Any, zone: ZoneInfo | None) -> object:
    if isinstance(value, str):
        if WIRE_MOMENT.fullmatch(value):
            return value
        moment = _moment(value)
        if moment is None and DAY.fullmatch(value):
            moment = _parsed(value)
        if moment is None:
            return value
        if zone is None and moment.utcoffset() is None:
            raise UnfitValueError(f"a text that names no time zone; {_ZONE_ADVICE}")
        return datetime.combine(moment, time(), zone) if DAY.fullmatch(value) else moment
    if isinstance(value, datetime):
        return value
    if not isinstance(value, date):
        raise _refuse(value, "give a datetime")
    if zone is None:
        raise UnfitValueError(f"a date; {_ZONE_ADVICE}")
    # With its zone: where clocks skip midnight, Python takes the first moment of that day.
    return datetime.combine(value, time(), zone)


_ZONE_ADVICE: Final = "set timezone to its zone (an IANA name, such as UTC)"


def _time(value: Any, _zone: ZoneInfo | None) -> object:
    if isinstance(value, str):
        if WIRE_TIME.fullmatch(value) or not _CLOCK.fullmatch(value):
            return value
        try:
            return time.fromisoformat(value.removesuffix("Z"))
        except ValueError:
            return value
    if isinstance(value, timedelta):
        if not timedelta() <= value < timedelta(days=1):
            raise _refuse(value, "it takes the times of one day")
        return (datetime.combine(_A_DAY, time()) + value).time()
    if not isinstance(value, time):
        raise _refuse(value, "give a time")
    return value


def _reference(value: Any, _zone: ZoneInfo | None) -> object:
    if not isinstance(value, str):
        raise _refuse(value, "it takes a record's id, a text of 15 or 18 letters and digits")
    return value


def _text(value: Any, _zone: ZoneInfo | None) -> object:
    is_array = getattr(value, "ndim", 0) == 1 and not isinstance(value, memoryview)
    if is_array or isinstance(value, (list, tuple, set, frozenset)):
        raise _refuse(value, "only a multi-select picklist takes several; make one text of it")
    return value


def _moment(text: str) -> datetime | None:
    """Read a text that is a day and a time of day; None when it is something else."""
    return _parsed(text) if _MOMENT.fullmatch(text) else None


def _parsed(text: str) -> datetime | None:
    joined = re.sub(r" (UTC|Z|[+-][0-9:]+)$", lambda zone: zone[1].replace("UTC", "Z"), text)
    try:
        return datetime.fromisoformat(joined)
    except ValueError:
        return None


def _each(types: Iterable[str], fit: Fit) -> dict[str, Fit]:
    return dict.fromkeys(types, fit)


_FITS: Final[Mapping[str, Fit]] = {
    **_each(("int", "long"), _whole),
    **_each(("double", "currency", "percent"), _number),
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    **_each(("id", "reference"), _reference),
    **_each(("string", "textarea", "picklist", "combobox", "email", "phone", "url", "encryptedstring"), _text),
}
