"""How the org compares text, as Python functions and as the SQLite functions that compiled queries call.

"Comparisons on strings are case-sensitive for unique case-sensitive fields and case-insensitive for all other fields."
"For English locales, SOQL uses the UTF-8 values of the uppercase character to create a sort order."

Case goes character by character (``ß`` is not ``SS``), and never turns a letter from outside ASCII into one inside
(``ſ`` and ``ı`` stay). So for a text of ASCII only, SQLite's own ``NOCASE`` and ``LIKE`` agree with :func:`fold`, and
compiled queries use those: they are fast, and an index with ``COLLATE NOCASE`` serves them.
"""

from __future__ import annotations

import sqlite3
from functools import lru_cache
from typing import Final

from airflow_provider_sfbulk.local_org.data import ids


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
    """
    connection.create_function("soql_lengthen", 1, ids.lengthen, deterministic=True)
    connection.create_function("soql_fold", 1, _fold_or_null, deterministic=True)
    connection.create_function("soql_includes", 2, _includes, deterministic=True)


def _fold_or_null(text: str | None) -> str | None:
    return None if text is None else fold(text)


@lru_cache(maxsize=4096)
def _values(joined: str) -> frozenset[str]:
    return frozenset(fold(value) for value in joined.split(";"))


def _includes(stored: str | None, wanted: str) -> int:
    return int(stored is not None and _values(wanted) <= _values(stored))
