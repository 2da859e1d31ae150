"""CSV for people who open it in a spreadsheet, and the way back.

A spreadsheet takes a cell for a formula if it begins with ``=``, ``+``, ``-`` or ``@``, also after a tab or line break
(OWASP, "CSV Injection"), whatever quotes are around it. So a record's name could run a command on the machine of whoever
opens a file of failed rows. Such a cell gets an apostrophe in front, which marks text in spreadsheets. A cell that begins
with an apostrophe gets one, too, so that the change can be undone exactly. Negative numbers are unchanged.

Result files in this form have an additional column, :data:`MARK`, which is dropped with the other ``sf__`` columns when
such a file is a source. Unlike a file's name, it survives editing.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from airflow_provider_sfbulk.client.csv.bits import Places
from airflow_provider_sfbulk.client.csv.scan import QUOTE, Scan, scan

MARK: Final = "sf__SpreadsheetSafe"

_APOSTROPHE: Final = ord("'")
_FORMULA: Final = re.compile("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a formula begins with; the last four are the wide forms of the first four."""
_NUMBER: Final = re.compile(r"-[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_FIRST_BYTES: Final = np.frombuffer(b"=+-@\t\r\n'\xef", np.uint8)


def protected(records: bytes, delimiter: str) -> bytes:
    """Put an apostrophe in front of the values of whole records that a spreadsheet would take for formulas."""
    found = scan(records, ord(delimiter))
    firsts, stops = _inner(found)
    may_be = np.flatnonzero(np.isin(found.data[firsts], _FIRST_BYTES) & (firsts < stops))
    chosen = [
        each for each in may_be.tolist() if _is_taken(found.raw[firsts[each] : stops[each]].decode("utf-8", "replace"))
    ]
    return np.insert(found.data, firsts[chosen], _APOSTROPHE).tobytes() if chosen else records


def _is_taken(value: str) -> bool:
    bare = value.rstrip('"\r\n')
    return value[0] == "'" or bool(_FORMULA.match(value) and not _NUMBER.fullmatch(bare))


def restored(found: Scan, delimiter: int) -> Scan:
    """Remove the apostrophes that :func:`protected` has added. One that somebody has typed before a word stays."""
    firsts, stops = _inner(found)
    marked = np.flatnonzero((found.data[firsts] == _APOSTROPHE) & (firsts + 1 < stops))
    chosen = [
        each
        for each in marked.tolist()
        if found.data[firsts[each] + 1] == _APOSTROPHE
        or _FORMULA.match(found.raw[firsts[each] + 1 : stops[each]].decode("utf-8", "replace"))
    ]
    return scan(np.delete(found.data, firsts[chosen]).tobytes(), delimiter) if chosen else found


def _inner(found: Scan) -> tuple[Places, Places]:
    """Where each value begins, inside its quotes, and where its separator is."""
    stops = found.separators
    starts = np.concatenate((np.zeros(min(1, stops.size), np.intp), stops[:-1] + 1))
    return starts + (found.data[starts] == QUOTE), stops
