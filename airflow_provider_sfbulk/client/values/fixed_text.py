"""Dates and moments of 1900 to 2099 as text, from tables: all of them are equally long.

Eight characters are one number of 64 bits, so three of them are ``2026-03-04T05:06:07.089Z``, each looked up or put
together of what was looked up. Arrow takes six times as long: it writes one part after the other, and a blank where the
``T`` belongs.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_EPOCH: Final = date(1970, 1, 1)
_FIRST_DAY: Final = (date(1900, 1, 1) - _EPOCH).days
_DAYS: Final = (date(2100, 1, 1) - _EPOCH).days - _FIRST_DAY
_DAY: Final = 86_400_000
"""Milliseconds."""

_MOST: Final = 1 << 24
"""Values at a time: places in an array of strings have 32 bits."""

_WORD: Final = np.dtype("<u8")


def date_texts(days: NDArray[np.int32]) -> Any | None:
    """Write days since 1970 as ``2026-03-04``; None when one of them is not between 1900 and 2099."""
    places = days.astype(np.int64) - _FIRST_DAY
    if not _are_below(places, _DAYS):
        return None
    return _strings(_dates()[places])


def moment_texts(milliseconds: NDArray[np.int64]) -> Any | None:
    """Write milliseconds since 1970 as ``2026-03-04T05:06:07.089Z``; None when one is not between 1900 and 2099."""
    days = milliseconds // _DAY
    places = days - _FIRST_DAY
    if not _are_below(places, _DAYS):
        return None
    of_day = (milliseconds - days * _DAY).astype(np.int32)
    minutes = of_day // 60_000
    of_minute = of_day - minutes * 60_000
    months, month_days, times, seconds = _words()
    texts = np.empty((len(milliseconds), 3), _WORD)
    texts[:, 0] = months[places]
    texts[:, 1] = month_days[places] | times[minutes]
    texts[:, 2] = seconds[of_minute]
    return _strings(texts.view("S24")[:, 0])


def _are_below(places: NDArray[np.int64], end: int) -> bool:
    return not len(places) or (len(places) < _MOST and int(places.min()) >= 0 and int(places.max()) < end)


def _strings(texts: NDArray[np.bytes_]) -> Any:
    width = texts.dtype.itemsize
    ends: Any = np.arange(0, width * len(texts) + 1, width, dtype=np.int32)
    data: Any = texts
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(data))


@cache
def _dates() -> NDArray[np.bytes_]:
    return np.datetime_as_string(np.arange(_FIRST_DAY, _FIRST_DAY + _DAYS).astype("M8[D]")).astype("S10")


@cache
def _words() -> tuple[NDArray[np.uint64], ...]:
    """What three words are made of: ``2026-03-``; ``04`` and ``T05:06``; ``:07.089Z``."""
    dates = _characters(_dates())
    minutes = _characters(np.datetime_as_string(np.arange(24 * 60).astype("M8[m]")).astype("S16"))
    seconds = _characters(np.datetime_as_string(np.arange(60_000).astype("M8[ms]"), timezone="UTC").astype("S24"))
    return _word(dates[:, :8], 0), _word(dates[:, 8:], 0), _word(minutes[:, 10:], 2), _word(seconds[:, 16:], 0)


def _characters(texts: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    return texts.view(np.uint8).reshape(len(texts), -1)


def _word(characters: NDArray[np.uint8], at: int) -> NDArray[np.uint64]:
    """Put some characters into a word each, the first of them at a place."""
    found = np.zeros((len(characters), 8), np.uint8)
    found[:, at : at + characters.shape[1]] = characters
    return found.view(_WORD)[:, 0]
