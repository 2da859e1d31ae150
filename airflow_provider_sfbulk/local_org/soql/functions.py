"""How the org compares text, as Python functions and as the SQLite functions that compiled queries call.

"Comparisons on strings are case-sensitive for unique case-sensitive fields and case-insensitive for all other fields."
"For English locales, SOQL uses the UTF-8 values of the uppercase character to create a sort order."

Case goes character by character (``ß`` is not ``SS``), and never turns a letter from outside ASCII into one inside
(``ſ`` and ``ı`` stay). So for a text of ASCII only, SQLite's own ``NOCASE`` and ``LIKE`` agree with :func:`fold`, and
compiled queries use those: they are fast, and an index with ``COLLATE NOCASE`` serves them.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES


class _Upper(dict[int, int]):
    """Code point to its upper-case code point, filled as needed."""

    def __missing__(self, code: int) -> int:
        character = chr(code)
        upper = character.upper()
        if len(upper) > 1 or upper.isascii() != character.isascii():
            upper = character
        self[code] = ord(upper)
        return self[code]


_UPPER: Final = _Upper()


def fold(text: str) -> str:
    """Return the text in the case that comparisons and sorting use."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def register(connection: sqlite3.Connection) -> None:
    """Register the functions that compiled queries call. They are deterministic, so indexes may use them.

    ``soql_lengthen(text)``: the long form of an id. ``soql_fold(text)``: see :func:`fold`.
    ``soql_includes(stored, wanted)``: whether a stored multi-select picklist
    value has all the values of ``wanted`` ("Specifies AND for two or more strings"; both are joined with ``;``).
    ``soql_label(stored, labels)``: the labels of a picklist's value, or of several, from a JSON object by value.
    ``soql_format(stored, type, scale)``: a value as ``FORMAT()`` writes it.
    """
    connection.create_function("soql_lengthen", 1, ids.lengthen, deterministic=True)
    connection.create_function("soql_fold", 1, _fold_or_null, deterministic=True)
    connection.create_function("soql_includes", 2, _includes, deterministic=True)
    connection.create_function("soql_label", 2, _label, deterministic=True)
    connection.create_function("soql_format", 3, _formatted, deterministic=True)


def _fold_or_null(text: str | None) -> str | None:
    return None if text is None else fold(text)


@lru_cache(maxsize=4096)
def _values(joined: str) -> frozenset[str]:
    return frozenset(fold(value) for value in joined.split(";"))


def _includes(stored: str | None, wanted: str) -> int:
    return int(stored is not None and _values(wanted) <= _values(stored))


@lru_cache(maxsize=64)
def _labels(labels: str) -> dict[str, str]:
    return {str(value): str(label) for value, label in json.loads(labels).items()}


def _label(stored: str | None, labels: str) -> str | None:
    return None if stored is None else ";".join(_labels(labels).get(value, value) for value in stored.split(";"))


def _formatted(value: Any, kind: str, scale: int) -> str | None:
    """Return a value as ``FORMAT()`` writes it: as the user's locale does, which here is ``en_US`` with dollars.

    How exactly a real org spaces and abbreviates differs by its release's locale data, so take it for readable, not for
    a format to parse.
    """
    if value is None:
        return None
    if kind == "date":
        return _day(date.fromisoformat(value))
    if kind == "datetime":
        moment = datetime.fromisoformat(value)
        return f"{_day(moment.date())}, {moment.hour % 12 or 12}:{moment:%M} {'AM' if moment.hour < 12 else 'PM'}"
    if kind == "boolean":
        return "true" if value else "false"
    if kind not in NUMBER_TYPES:
        return str(value)
    places = 0 if kind in ("int", "long") else max(scale, 2) if kind == "currency" else scale
    text = f"{abs(value):,.{places}f}"
    text = {"currency": f"${text}", "percent": f"{text}%"}.get(kind, text)
    return f"-{text}" if value < 0 else text


def _day(day: date) -> str:
    return f"{day.month}/{day.day}/{day.year}"
