"""Finds the structure of CSV bytes without making a Python object for any value.

Theory. In a CSV that follows RFC 4180 a byte is inside quotes when the number of quotes before it is odd: a doubled
quote inside a value changes the parity twice. So delimiters and line ends count where that number is even. All of it is
sets of places (``csv/bits.py``), a megabyte at a time. UTF-8 cannot deceive it: bytes of longer characters are all
above 127.

Parity alone would misread a stray quote (``12" pipe``), so every opening quote must follow a delimiter or line end,
and every closing one be followed by one: "a blank between delimiter and opening quote is a row error" at Salesforce,
and a stray one fails the job ("Found unescaped quote").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from airflow_provider_sfbulk.client.csv import bits
from airflow_provider_sfbulk.client.csv.bits import Bits, Bytes, Places

QUOTE: Final = 0x22
LF: Final = 0x0A
CR: Final = 0x0D


@dataclass(frozen=True)
class Scan:
    """The structure of a piece of CSV that begins at the start of a record.

    All lists of places are ascending, and made when they are asked for.

    :param raw: the bytes
    :param delimiters: all of them, and likewise:
    :param feeds: line feeds
    :param returns: carriage returns
    :param quotes: quotes; every other one, from the first, opens a quoted value
    :param inside: what is inside quotes, opening quotes included
    """

    raw: bytes
    delimiters: Bits
    feeds: Bits
    returns: Bits
    quotes: Bits
    inside: Bits

    @cached_property
    def data(self) -> Bytes:
        """The bytes, as numpy sees them."""
        return np.frombuffer(self.raw, np.uint8)

    @cached_property
    def end_bits(self) -> Bits:
        """The line feeds outside quotes: each ends a record."""
        return self.feeds & ~self.inside

    @cached_property
    def ends(self) -> Places:
        """A list of these."""
        return bits.places(self.end_bits)

    @cached_property
    def records(self) -> int:
        """How many there are."""
        return bits.count(self.end_bits)

    @cached_property
    def separators(self) -> Places:
        """The delimiters and line feeds outside quotes: each ends a value."""
        return bits.places(self._separators)

    @cached_property
    def _separators(self) -> Bits:
        return (self.delimiters | self.feeds) & ~self.inside

    def ragged(self, columns: int) -> tuple[int, int] | None:
        """Find the first record of another number of values than ``columns``, and how many it has."""
        separators, ends = self._separators, self.end_bits
        words, records = np.arange(ends.size), np.bitwise_count(ends)
        # Values that end in each word beyond those of the records that end there, and before it.
        surplus = np.bitwise_count(separators) - np.int32(columns) * records
        before = np.cumsum(surplus) - surplus
        found: tuple[int, int] | None = None
        for nth in range(64):  # the end of the nth record that ends in each word
            beyond = before + np.bitwise_count(separators & bits.to_first(ends)) - columns * (nth + 1)
            wrong = (beyond != 0) & (ends != 0)
            if wrong.any():
                word = int(np.argmax(wrong))
                first = int(records[: words[word]].sum(dtype=np.intp)) + nth, columns + int(beyond[word])
                found = first if found is None else min(found, first)
            ends = bits.without_first(ends)
            left = np.flatnonzero(ends != 0)
            if not left.size:
                break
            if left.size < ends.size // 2:
                words, separators, ends, before = words[left], separators[left], ends[left], before[left]
        return found

    @property
    def empty_lines(self) -> Bits:
        """The ends of lines with nothing but their line ending."""
        starts = bits.after(self.end_bits)
        starts[0] |= np.uint64(1)
        if self.returns.any():
            starts |= bits.after(self.returns & starts)
        return self.end_bits & starts

    @property
    def is_open(self) -> bool:
        """Whether the last quote is not closed."""
        return self.inside.size > 0 and bool(self.inside[-1] >> 63)

    @property
    def last_quote(self) -> int:
        """Place of the last quote; there must be one."""
        last = bits.last(self.quotes)
        assert last is not None
        return last

    @property
    def inner_breaks(self) -> Places:
        """Carriage returns and line feeds inside quotes."""
        return bits.places((self.feeds | self.returns) & self.inside)

    @property
    def outer_returns(self) -> Places:
        """Carriage returns outside quotes."""
        return bits.places(self.returns & ~self.inside)

    @property
    def lone_returns(self) -> Places:
        """Those that no line feed follows."""
        return bits.places(self.returns & ~self.inside & ~bits.before(self.feeds))

    @property
    def lone_feeds(self) -> Places:
        """Line feeds outside quotes that no carriage return precedes."""
        return bits.places(self.end_bits & ~bits.after(self.returns))

    def upto(self, stop: int) -> Scan:
        """The same for the first ``stop`` bytes, which must end a record."""
        if stop == len(self.raw):
            return self
        sets = (self.delimiters, self.feeds, self.returns, self.quotes, self.inside)
        return Scan(self.raw[:stop], *(bits.upto(each, stop) for each in sets))

    @property
    def misplaced_quote(self) -> int | None:
        """Place of the first quote that neither opens nor closes a whole value, when there is one."""
        if not self.quotes.any():
            return None
        # Two quotes beside each other are a doubled one, or an empty value.
        beside = self.delimiters | self.feeds | self.quotes
        may_open, may_close = bits.after(beside), bits.before(beside | self.returns)
        may_open[0] |= 1
        last = len(self.raw) - 1
        may_close[last // 64] |= np.uint64(1 << last % 64)
        wrong = self.quotes & ~((may_open & self.inside) | (may_close & ~self.inside))
        return int(bits.places(wrong)[0]) if wrong.any() else None

    def row_of(self, place: int) -> int:
        """Index of the record that holds the byte at ``place``, from 0."""
        return int(np.searchsorted(self.ends, place))


def scan(raw: bytes, delimiter: int) -> Scan:
    """Find the structure of ``raw``, which begins at the beginning of a record."""
    data = np.frombuffer(raw, np.uint8)
    delimiters, feeds = bits.where(data, delimiter), bits.where(data, LF)
    returns = quotes = inside = bits.nowhere(data)
    if b"\r" in raw:
        returns = bits.where(data, CR)
    if b'"' in raw:
        quotes = bits.where(data, QUOTE)
        inside = bits.between(quotes)
    return Scan(raw, delimiters, feeds, returns, quotes, inside)


def record_ends(raw: bytes) -> Places:
    """Places just after each record of whole records."""
    return bits.places(_ends(raw)) + 1


def last_end(raw: bytes) -> int:
    """Place just after the last whole record of bytes that begin a record; 0 when none is whole."""
    last = raw.rfind(b"\n") + 1
    if not last or not np.count_nonzero(np.frombuffer(raw, np.uint8, last) == QUOTE) % 2:
        return last
    found = bits.last(_ends(raw))
    return 0 if found is None else found + 1


def _ends(raw: bytes) -> Bits:
    data = np.frombuffer(raw, np.uint8)
    feeds = bits.where(data, LF)
    return feeds & ~bits.between(bits.where(data, QUOTE)) if b'"' in raw else feeds
