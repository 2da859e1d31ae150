"""Sets of places in a piece of bytes: one bit for each byte, 64 of them in a word.

Theory. To list where a byte is takes numpy ten times as long as to compare all bytes with it, since there are many such
places. A set of bits is an eighth of the bytes in size, so to combine some sets, to move them by a place or to count what
is in them costs little beside looking at the bytes once; and few questions about a CSV need a list of places.

The place ``n`` is bit ``n % 64`` of the word ``n // 64``. Bits beyond the last byte are 0.
"""

from __future__ import annotations

import threading
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Places: TypeAlias = NDArray[np.intp]
Bits: TypeAlias = NDArray[np.uint64]

_WORD: Final = 64
_ONE: Final = np.uint64(1)
_TOP: Final = np.uint64(63)


class _Scratch(threading.local):
    """Memory for a mask, reused each time. Measured: fresh memory takes three times as long."""

    def __init__(self) -> None:
        self._mask = np.zeros(0, np.bool_)

    def mask(self, size: int) -> NDArray[np.bool_]:
        """Return room for whole words; what is beyond ``size`` is False."""
        room = -(-size // _WORD) * _WORD
        if self._mask.size < room:
            self._mask = np.zeros(room, np.bool_)
        found = self._mask[:room]
        found[size:] = False
        return found


_scratch = _Scratch()


def where(data: Bytes, byte: int) -> Bits:
    """Return the places of a byte."""
    mask = _scratch.mask(data.size)
    np.equal(data, byte, out=mask[: data.size])
    return np.packbits(mask, bitorder="little").view(np.uint64)


def nowhere(data: Bytes) -> Bits:
    """Return no place of these bytes."""
    return np.zeros(-(-data.size // _WORD), np.uint64)


def after(bits: Bits) -> Bits:
    """Return the places just after those given, of which the first byte's is none."""
    moved = bits << _ONE
    moved[1:] |= bits[:-1] >> _TOP
    return moved


def before(bits: Bits) -> Bits:
    """Return the places just before those given."""
    moved = bits >> _ONE
    moved[:-1] |= bits[1:] << _TOP
    return moved


def between(marks: Bits) -> Bits:
    """Return the places from each odd mark on, and before the even one that follows it or to the end of the last word."""
    odd = marks.copy()
    for shift in (1, 2, 4, 8, 16, 32):  # the parity of all marks up to each place of a word, itself included
        odd ^= odd << shift
    odd[1:] ^= 0 - np.bitwise_xor.accumulate(
        odd[:-1] >> 63
    )  # all bits of a word, if those before it have an odd number
    return odd


def upto(bits: Bits, stop: int) -> Bits:
    """Return the places before ``stop``, in as few words as they need."""
    kept = bits[: -(-stop // _WORD)].copy()
    if stop % _WORD:
        kept[-1] &= (1 << stop % _WORD) - 1
    return kept


def count(bits: Bits) -> int:
    """Return how many places there are."""
    return int(np.bitwise_count(bits).sum(dtype=np.intp))


def last(bits: Bits) -> int | None:
    """Return the last place, if there is any."""
    words = np.flatnonzero(bits != 0)
    return int(words[-1]) * _WORD + int(bits[words[-1]]).bit_length() - 1 if words.size else None


def to_first(bits: Bits) -> Bits:
    """Return all places of each word up to the first one in ``bits``, that one included; of a word without any, all."""
    return bits ^ (bits - _ONE)


def without_first(bits: Bits) -> Bits:
    """Return the places without the first one of each word."""
    return bits & (bits - _ONE)


def surely_within(bits: Bits, limit: int) -> bool:
    """Return whether neighbours are at most ``limit`` places apart, and the first one from the beginning.

    :return: False also when some are more than half of ``limit`` apart
    """
    words = limit // (2 * _WORD)  # neighbours are less than two stretches apart if there is a place in each stretch
    stretches = np.bitwise_or.reduce(bits[: bits.size // words * words].reshape(-1, words), axis=1)
    return bool(stretches.all())


def places(bits: Bits) -> Places:
    """List the places, ascending."""
    words = np.flatnonzero(bits != 0)
    if not words.size:
        return words
    rest = bits[words]
    if count(rest) > bits.size:
        return np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little").view(np.bool_))
    found = []
    while words.size:  # the lowest place of each word that has some left
        lowest = rest & (~rest + _ONE)
        found.append((words << 6) + np.bitwise_count(lowest - _ONE))
        rest ^= lowest
        more = np.flatnonzero(rest != 0)
        words, rest = words[more], rest[more]
    return np.sort(np.concatenate(found), kind="stable") if len(found) > 1 else found[0]
