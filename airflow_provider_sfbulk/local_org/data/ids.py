"""Record ids: 15 case-sensitive characters, and three more that keep the case where case is lost.

The suffix: split the 15 characters into three groups of five; in each, bit *i* is set when character *i* is an
upper-case letter; the five bits pick one of ``ABCDEFGHIJKLMNOPQRSTUVWXYZ012345``. APIs return 18 characters and
accept both. Source: Salesforce help, "How to convert a 15-character ID to an 18-character ID"; check value
``a0D30000001n7PiEAI``.
"""

from __future__ import annotations

import string
from collections.abc import Iterator
from functools import cache
from typing import Final

DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""Base 62 in ASCII order, so that ids sort as they were given out."""

SUFFIXES: Final = string.ascii_uppercase + "012345"
INSTANCE: Final = "LO"
"""The two characters after the key prefix; in Salesforce they name the instance."""

_PAIR: Final = len(DIGITS) ** 2


class MalformedIdError(ValueError):
    """Text that is not an id: wrong length, wrong characters, or a suffix that does not fit."""


@cache
def _suffix(five: str) -> str:
    return SUFFIXES[sum(1 << i for i, character in enumerate(five) if character in string.ascii_uppercase)]


@cache
def _pairs() -> tuple[tuple[str, int], ...]:
    """Every pair of base-62 digits with its two bits, for the last two places of a group of five."""
    upper = string.ascii_uppercase
    return tuple((a + b, (8 if a in upper else 0) | (16 if b in upper else 0)) for a in DIGITS for b in DIGITS)


def base62(number: int, width: int) -> str:
    """Write a number in base 62, padded with zeros."""
    digits = ""
    for _ in range(width):
        number, place = divmod(number, len(DIGITS))
        digits = DIGITS[place] + digits
    return digits


def lengthen(short: str) -> str:
    """Return the 18-character form of a 15-character id."""
    return f"{short}{_suffix(short[:5])}{_suffix(short[5:10])}{_suffix(short[10:15])}"


def make(key_prefix: str, start: int, count: int) -> Iterator[str]:
    """Yield ``count`` ids of a key prefix, numbered from ``start``."""
    pairs = _pairs()
    number, end = start, start + count
    while number < end:
        high, low = divmod(number, _PAIR)
        head = f"{key_prefix}{INSTANCE}{base62(high, 8)}"
        middle = _suffix(head[:5]) + _suffix(head[5:10])
        bits = SUFFIXES.index(_suffix(head[10:13] + "00"))
        for pair, pair_bits in pairs[low : low + end - number]:
            yield f"{head}{pair}{middle}{SUFFIXES[bits | pair_bits]}"
        number = (high + 1) * _PAIR


def normalize(text: str) -> str:
    """Return the 18-character form of an id given in 15 or 18 characters.

    :raises MalformedIdError: when it is neither
    """
    if not (text.isascii() and text.isalnum()) or len(text) not in (15, 18):
        raise MalformedIdError(text)
    full = lengthen(text[:15])
    if len(text) == 18 and full != text:
        raise MalformedIdError(text)
    return full


def recase(text: str) -> str:
    """Return the 18-character form of an id as a query may spell it: 15 characters, or 18 whose case was lost.

    The last three characters of the long form say which letters are upper-case.

    :raises MalformedIdError: when it is neither, or its suffix fits no id of these characters
    """
    if len(text) != 18:
        return normalize(text)
    suffix = text[15:].upper()
    characters = []
    for index, character in enumerate(text[:15]):
        bits = SUFFIXES.find(suffix[index // 5])
        is_upper = bits >= 0 and bits >> (index % 5) & 1
        characters.append(character.upper() if is_upper else character.lower())
    return normalize("".join(characters) + suffix)
