"""Checks or rewrites single columns of CSV bytes whose structure is known; all others stay bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from airflow_provider_sfbulk.client.csv.bits import Places
from airflow_provider_sfbulk.client.csv.scan import QUOTE, Scan, scan
from airflow_provider_sfbulk.client.models import LineEnding
from airflow_provider_sfbulk.client.values.by_field_arrow import form_of
from airflow_provider_sfbulk.client.values.text_arrow import UnfitRowError, compute, strings, texts_of_array

_BLANK: Final = np.frombuffer(b" \t\n\r\v\f", np.uint8)
_WIDE_BLANK: Final = np.array([0xC285, 0xC2A0, 0xE19A, 0xE280, 0xE281, 0xE380], np.uint16)
"""The first two bytes of all other blanks of Unicode."""


def cells_of(found: Scan, place: int, columns: int, ending: LineEnding) -> tuple[Places, Places]:
    """Starts and stops of one column's values, quotes included. Every record has this number of columns."""
    stops = found.separators[place::columns]
    if place:
        starts = found.separators[place - 1 :: columns] + 1
    else:
        starts = np.concatenate((np.zeros(1, np.intp), found.ends[:-1] + 1))
    return starts, stops - 1 if ending is LineEnding.CRLF and place == columns - 1 else stops


def blank_cells(found: Scan, place: int, columns: int, ending: LineEnding, *, null: str) -> Places:
    """Records, from 0, whose value in a column is blank. Only cells that begin like a blank one are read.

    :param null: the text that stands for no value
    """
    starts, stops = cells_of(found, place, columns, ending)
    is_quoted = found.data[starts] == QUOTE
    inner = starts + is_quoted
    first, second = found.data[inner], found.data[np.minimum(inner + 1, found.data.size - 1)]
    may_be = (stops == starts) | (is_quoted & (first == QUOTE)) | np.isin(first, _BLANK) | (first == ord(null[0]))
    if not found.raw.isascii():
        may_be |= np.isin(first.astype(np.uint16) << 8 | second, _WIDE_BLANK)
    suspects = np.flatnonzero(may_be)
    read = [value_of(found.raw[starts[each] : stops[each]]) for each in suspects.tolist()]
    return suspects[[each == null or not each.strip() for each in read]] if read else suspects


def value_of(cell: bytes) -> str:
    """Return the value that a cell stands for: without its quotes, and with those inside it single."""
    return (cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell).decode()


def with_zone(
    found: Scan, places: Sequence[int], columns: int, ending: LineEnding, zone: ZoneInfo, delimiter: int
) -> Scan:
    """Rewrite the datetimes without a time zone in some columns from ``zone`` to UTC.

    :raises UnfitCellError: for a time that the zone's clocks skip
    """
    changes: list[tuple[int, int, bytes]] = []
    for place in places:
        starts, stops = cells_of(found, place, columns, ending)
        spans = list(zip(starts.tolist(), stops.tolist(), strict=True))
        given = strings([found.raw[start:stop].strip(b'"').decode() for start, stop in spans])
        try:
            made = texts_of_array(given, zone, form_of("datetime"))
        except UnfitRowError as error:
            raise UnfitCellError(error.index, spans[error.index][0], error.reason) from error
        changed = np.flatnonzero(compute.not_equal(given, made).to_numpy(zero_copy_only=False)).tolist()
        changes += [(*spans[index], made[index].as_py().encode()) for index in changed]
    if not changes:
        return found
    parts, done = [], 0
    for start, stop, text in sorted(changes):
        parts += [found.raw[done:start], text]
        done = stop
    parts.append(found.raw[done:])
    return scan(b"".join(parts), delimiter)


class UnfitCellError(Exception):
    """A value that cannot be sent.

    :param index: of its record, from 0
    :param place: of its first byte
    :param reason: why, without the value
    """

    def __init__(self, index: int, place: int, reason: str) -> None:
        super().__init__(index, place, reason)
        self.index = index
        self.place = place
        self.reason = reason
