"""The structure of CSV bytes, found without making a Python object of any value.

Theory. In a CSV that follows RFC 4180 a byte is inside quotes when the number of quotes before it is odd: a doubled
quote inside a value changes the parity twice. So one pass finds the bytes that can matter (delimiter, quote, CR, LF), a
running sum over these few tells which of them are outside quotes, and those are the ends of fields and records. All of
it is numpy on a megabyte at a time. UTF-8 cannot deceive it: bytes of longer characters are all above 127.

Parity alone would misread a stray quote (``12" pipe``), so every opening quote must follow a delimiter or line end,
and every closing one be followed by one: "a blank between delimiter and opening quote is a row error" at Salesforce,
and a stray one fails the job ("Found unescaped quote").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

QUOTE: Final = 0x22
LF: Final = 0x0A
CR: Final = 0x0D

Places: TypeAlias = NDArray[np.intp]
Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Scan:
    """What was found in a piece of CSV that begins at the beginning of a record.

    All places are ascending.

    :param data: the bytes
    :param separators: places of delimiters and line feeds outside quotes
    :param ends: places of the line feeds among them: each ends a record
    :param quotes: places of all quotes; every other one, from the first, opens a quoted value
    :param inner_breaks: places of CR and LF inside quotes
    :param outer_returns: places of CR outside quotes
    """

    data: Bytes
    separators: Places
    ends: Places
    quotes: Places
    inner_breaks: Places
    outer_returns: Places

    def upto(self, stop: int) -> Scan:
        """The same for the first ``stop`` bytes, which must end a record."""
        return Scan(
            self.data[:stop],
            *(
                each[: int(np.searchsorted(each, stop))]
                for each in (self.separators, self.ends, self.quotes, self.inner_breaks, self.outer_returns)
            ),
        )

    def misplaced_quote(self, delimiter: int) -> int | None:
        """Place of the first quote that neither opens nor closes a whole value, when there is one."""
        opening, closing = self.quotes[0::2], self.quotes[1::2]
        before = self.data[opening - 1]
        # A quote before an opening one closed the value just now: the two are a doubled quote.
        wrong = (before != delimiter) & (before != LF) & (before != QUOTE) & (opening > 0)
        after = self.data[np.minimum(closing + 1, self.data.size - 1)]
        wrong_after = (after != delimiter) & (after != LF) & (after != CR) & (after != QUOTE)
        places = np.concatenate((opening[wrong], closing[wrong_after]))
        return int(places.min()) if places.size else None

    def row_of(self, place: int) -> int:
        """Index of the record that holds the byte at ``place``, from 0."""
        return int(np.searchsorted(self.ends, place))


def scan(data: bytes, delimiter: int) -> Scan:
    """Find the structure of ``data``, which begins at the beginning of a record."""
    array = np.frombuffer(data, np.uint8)
    wanted: Any = (array == delimiter) | (array == LF)
    returns, quoted = b"\r" in data, b'"' in data
    if returns:
        wanted |= array == CR
    if quoted:
        wanted |= array == QUOTE
    places = np.flatnonzero(wanted)
    kinds = array[places]
    quotes = inner_breaks = outer_returns = places[:0]
    if quoted:
        is_quote = kinds == QUOTE
        inside = np.cumsum(is_quote, dtype=np.uint8) & 1  # wraps at 256: the last bit is right all the same
        inner_breaks = _where(places, inside & ((kinds == LF) | (kinds == CR)))
        quotes = _where(places, is_quote)
        outside = np.flatnonzero((inside | is_quote) == 0)
        places, kinds = places[outside], kinds[outside]
    if returns:
        is_return = kinds == CR
        outer_returns = _where(places, is_return)
        others = np.flatnonzero(~is_return)
        places, kinds = places[others], kinds[others]
    return Scan(array, places, _where(places, kinds == LF), quotes, inner_breaks, outer_returns)


def _where(places: Places, wanted: NDArray[Any]) -> Places:
    # Several times faster than places[wanted] when wanted changes often.
    return places[np.flatnonzero(wanted)]


def record_ends(data: bytes) -> Places:
    """Places just after each record of whole records."""
    array = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(array == LF)
    if b'"' in data:
        quotes = np.flatnonzero(array == QUOTE)
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return ends + 1
