"""Finds the structure of CSV bytes without making a Python object for any value.

Theory. In a CSV that follows RFC 4180 a byte is inside quotes when the number of quotes before it is odd: a doubled
quote inside a value changes the parity twice. So one pass finds the bytes that can matter (delimiter, quote, CR, LF),
every other quote of these few opens, the next one closes, and what is outside are the ends of fields and records. All of
it is numpy on a megabyte at a time. UTF-8 cannot deceive it: bytes of longer characters are all above 127.

Parity alone would misread a stray quote (``12" pipe``), so every opening quote must follow a delimiter or line end,
and every closing one be followed by one: "a blank between delimiter and opening quote is a row error" at Salesforce,
and a stray one fails the job ("Found unescaped quote").
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
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
    """The structure of a piece of CSV that begins at the start of a record.

    All positions are ascending.

    :param raw: the bytes
    :param data: the same, as numpy sees them
    :param separators: places of delimiters and line feeds outside quotes
    :param ends: places of the line feeds among them: each ends a record
    :param quotes: places of all quotes; every other one, from the first, opens a quoted value
    :param inner_breaks: places of CR and LF inside quotes
    :param outer_returns: places of CR outside quotes
    """

    raw: bytes
    data: Bytes
    separators: Places
    ends: Places
    quotes: Places
    inner_breaks: Places
    outer_returns: Places

    def upto(self, stop: int) -> Scan:
        """The same for the first ``stop`` bytes, which must end a record."""
        if stop == len(self.raw):
            return self
        return Scan(
            self.raw[:stop],
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


class _Scratch(threading.local):
    """Memory for the masks, reused by each scan. Measured: fresh memory for each scan takes three times as long."""

    def __init__(self) -> None:
        self._masks = (np.empty(0, np.bool_), np.empty(0, np.bool_))

    def places_of(self, array: Bytes, marks: Sequence[int]) -> Places:
        """Find the bytes that are one of ``marks``."""
        size = array.size
        if self._masks[0].size < size:
            self._masks = (np.empty(size, np.bool_), np.empty(size, np.bool_))
        found, one = (mask[:size] for mask in self._masks)
        np.equal(array, marks[0], out=found)
        for mark in marks[1:]:
            np.equal(array, mark, out=one)
            np.logical_or(found, one, out=found)
        return np.flatnonzero(found)


_scratch = _Scratch()


def scan(data: bytes, delimiter: int) -> Scan:
    """Find the structure of ``data``, which begins at the beginning of a record."""
    array = np.frombuffer(data, np.uint8)
    returns, quoted = b"\r" in data, b'"' in data
    marks = [delimiter, LF, *((CR,) if returns else ()), *((QUOTE,) if quoted else ())]
    places = _scratch.places_of(array, marks)
    kinds = array[places]
    quotes = inner_breaks = outer_returns = places[:0]
    if quoted:
        is_quote = kinds == QUOTE
        among = np.flatnonzero(is_quote)
        quotes = places[among]
        inside = _between(among, kinds.size)
        inner_breaks = _where(places, inside & ((kinds == LF) | (kinds == CR)))
        outside = np.flatnonzero(~(inside | is_quote))
        places, kinds = places[outside], kinds[outside]
    if returns:
        is_return = kinds == CR
        outer_returns = _where(places, is_return)
        others = np.flatnonzero(~is_return)
        places, kinds = places[others], kinds[others]
    return Scan(data, array, places, _where(places, kinds == LF), quotes, inner_breaks, outer_returns)


def _between(quotes: Places, size: int) -> NDArray[np.bool_]:
    """Return which of ``size`` things are between an opening quote and its closing one; after an unclosed one, all are.

    They are few, so they are counted one by one: a running sum over all things takes five times as long.

    :param quotes: which of the things are quotes
    """
    opening, closing = quotes[0::2], quotes[1::2]
    if quotes.size % 2:
        closing = np.append(closing, size)
    counts = closing - opening - 1
    stretches = np.flatnonzero(counts)
    inside = np.zeros(size, np.bool_)
    if stretches.size:
        counts = counts[stretches]
        before = np.cumsum(counts) - counts
        inside[np.repeat(opening[stretches] + 1 - before, counts) + np.arange(int(counts.sum()))] = True
    return inside


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
