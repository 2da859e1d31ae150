"""Binds values into SOQL: each ``:name`` in the text becomes the literal of its value.

Facts, from the SOQL and SOSL Reference, "Quoted String Escape Sequences", "Date Formats and Date Literals":

* A text is in single quotes; backslash and quote are escaped by a backslash, line ends and tabs have escapes.
* Numbers, dates, times, booleans and ``null`` are not quoted. A datetime has an offset; it is written in UTC here.
* ``LAST_N_DAYS:30`` contains a colon that binds nothing, and so does every time of day.

Errors name the parameter and never show its value.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import SourceError

_ESCAPES: Final = str.maketrans(
    {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}
)

_INT_DIGITS: Final = sys.float_info.max_10_exp

_IDENTIFIER: Final = re.compile(r"[A-Za-z]\w*(?:\.[A-Za-z]\w*)*", re.ASCII)
"""API names: letters, digits and underscores, first a letter; with dots for parents (``Owner.Name``)."""

_SELECT: Final = re.compile(r"\s*SELECT\b", re.IGNORECASE)
_SELECTED: Final = re.compile(r"\s*SELECT\s+(.*?)\s+FROM\s+(\w+)(?:\s+(?:AS\s+)?(\w+))?", re.IGNORECASE | re.DOTALL)
_FIELD: Final = re.compile(r"[A-Za-z][\w.]*")
_MANY: Final = re.compile(r"\bFIELDS\s*\(", re.IGNORECASE)

_TOKEN: Final = re.compile(
    r"(?P<text>'(?:[^'\\]|\\.)*')"
    r"|\b(?P<counted>(?:LAST|NEXT)_N_[A-Z_]+|N_[A-Z_]+_AGO)\s*:\s*(?P<count>[A-Za-z_]\w*)"
    r"|:\s*(?P<name>[A-Za-z_]\w*)",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
"""Where a colon may precede a name. A name never begins with a digit, so no time of day is taken for one."""


def is_a_query(text: str) -> bool:
    """Whether a text begins as a query does. Salesforce reads the rest."""
    return _SELECT.match(text) is not None


class Identifier:
    """Names of objects or fields, for places where SOQL takes no value: ``Identifier("Id", "Owner.Name")``.

    :raises SourceError: when one is not an API name
    """

    def __init__(self, *names: str) -> None:
        if not names or not all(isinstance(name, str) and _IDENTIFIER.fullmatch(name) for name in names):
            raise SourceError(
                "an Identifier is made of API names: letters, digits and underscores, a letter first, dots between"
            )
        self.names = names

    def __str__(self) -> str:
        return ", ".join(self.names)

    def __repr__(self) -> str:
        return f"Identifier({', '.join(map(repr, self.names))})"


def soql_literal(value: Any) -> str:
    """Write a value as SOQL: str, int, float, Decimal, bool, None, date, aware datetime, aware time, or a list of these.

    Fractions of a second are cut to milliseconds, Salesforce's precision. A list, tuple or set is put in parentheses, for
    ``IN``.

    :raises SourceError: for anything else; the message does not show the value
    """
    if isinstance(value, Identifier):
        return str(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        if not value:
            raise SourceError("is an empty list, and SOQL has no empty IN ()")
        if any(isinstance(each, (list, tuple, set, frozenset, Identifier)) for each in value):
            raise SourceError("is a list that holds more than single values")
        literals = [_single(each) for each in value]
        return f"({', '.join(sorted(literals) if isinstance(value, (set, frozenset)) else literals)})"
    return _single(value)


def _single(value: Any) -> str:  # noqa: PLR0911 - one line a type
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        if str.__contains__(value, "\0"):
            raise SourceError("is a text with a NUL character, which Salesforce cannot hold")
        # str() of a subclass may differ from its contents; translate() does not use it.
        return f"'{str.translate(value, _ESCAPES)}'"
    if isinstance(value, int):
        if not -(10**_INT_DIGITS) < value < 10**_INT_DIGITS:
            raise SourceError("is a number beyond what a double holds")
        return int.__repr__(value)
    if isinstance(value, (float, Decimal)):
        if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
            raise SourceError("is not a finite number")
        if isinstance(value, Decimal) and abs(value.adjusted()) > sys.float_info.max_10_exp:
            # Salesforce's numbers are doubles; written out, 1E+999999999 would fill the memory.
            raise SourceError("is a number beyond what a double holds")
        return format(value if isinstance(value, Decimal) else Decimal(float.__repr__(value)), "f")
    if isinstance(value, (datetime, time)):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    raise SourceError(f"is a {type(value).__name__:.40}, which is not a value of SOQL")


def _moment(value: datetime | time) -> str:
    if value != value:  # noqa: PLR0124 - pandas' NaT is a datetime, and unequal to itself
        raise SourceError("is not a point in time (NaT)")
    if value.utcoffset() is None:
        raise SourceError(f"is a {type(value).__name__} without a timezone: Salesforce's are in UTC")
    if isinstance(value, datetime):
        try:
            value = value.astimezone(UTC)
        except OverflowError as error:
            raise SourceError("is a datetime outside of the years 1 to 9999 in UTC") from error
    elif value.utcoffset():
        raise SourceError("is a time with an offset: give it in UTC")
    return f"{value.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def selected_fields(soql: str) -> tuple[str, ...]:
    """Return the fields that a query selects, without the object's name or alias before them; of a function the field
    inside. None when they cannot be seen, as those of ``FIELDS(STANDARD)``."""
    found = _SELECTED.match(soql)
    if found is None or _MANY.search(found[1]):
        return ()
    names = [_FIELD.findall(item) for item in found[1].split(",")]
    owners = {each.lower() for each in found.groups()[1:] if each}
    return tuple(_without_owner(each[-1], owners) for each in names) if all(names) else ()


def _without_owner(field: str, owners: Collection[str]) -> str:
    first, _, rest = field.partition(".")
    return rest if rest and first.lower() in owners else field


def bind(soql: str, params: Mapping[str, Any]) -> str:
    """Write the values into the query, each ``:name`` as its literal; texts in quotes are left unchanged.

    ``LAST_N_DAYS:name`` and similar literals take a whole number.

    :raises SourceError: a name without a value, a value without a name, or a value that SOQL cannot express
    """
    if not isinstance(params, Mapping):
        raise SourceError(f"the values are a dict by name, not {type(params).__name__}")
    used: set[str] = set()

    def written(match: re.Match[str]) -> str:
        if match["text"] is not None:
            return match[0]
        name = match["count"] or match["name"]
        if name not in params:
            raise SourceError(f"the SOQL has :{name}, but there is no value for it")
        used.add(name)
        value = params[name]
        if match["count"] is None:
            return _named_literal(name, value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise SourceError(f"{name} follows {match['counted']}, so it is a whole number from 0")
        return f"{match['counted']}:{value:d}"

    bound = _TOKEN.sub(written, soql)
    unused = sorted(str(name) for name in set(params) - used)
    if unused:
        raise SourceError(f"the SOQL has no {', '.join(f':{name}' for name in unused)}")
    return bound


def _named_literal(name: str, value: Any) -> str:
    try:
        return soql_literal(value)
    except SourceError as error:
        raise SourceError(f"{name} {error}") from None
