"""Digests of rows, which tell whether the org already has a row of the input.

For every row, a temporary file has a digest of its key, and

* for a row of the input: one digest of its values, without blank ones, which leave their field unchanged; a bit for each
  blank column; and whether all values are certain (``same.py``);
* for a row of the org: a digest of each value, and which of them are certain.

Theory: the digest of a row is the sum of its values' digests (``load/digests.py``), each multiplied by a random odd
number of its column. So the digest of a row of the org can be computed without any of its values, long after it was
read. Two different rows have the same digest with a probability below 2⁻¹⁰⁰.

A row is unchanged if its key occurs once in the input and once in the rows of the org, the digests are the same, and all
values are certain. Every other row counts as different, and is sent.

Memory: a byte for each row of the input, :data:`FILTER_BYTES`, and a 256th of all entries at a time. On disk, an entry
of the input takes about 50 bytes, an entry of the org 32 bytes and 16 for each column. Rows of the org whose keys are
not in the input take no space, except one in a hundred with a million rows, and one in fourteen with ten million.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.compare.same import ComparedColumn, read_forms, sent_forms
from airflow_provider_sfbulk.client.load.digests import (
    DIGEST_BYTES,
    SECRET,
    DigestFile,
    Digests,
    Words,
    digests,
    pairs,
    shares,
)
from airflow_provider_sfbulk.client.load.fingerprints import key_digests
from airflow_provider_sfbulk.client.load.normal_forms import normal_form
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

FILTER_BYTES: Final = 16 * 1024 * 1024

_FILTER_BITS: Final = np.uint64(64 - FILTER_BYTES.bit_length() - 2)
"""Bits of a digest's second half that are not the place in the filter. The first half says which share it is in."""

_WORD_BITS: Final = 64
_HALVES: Final = 2

Flags = NDArray[np.bool_]


class SentRows:
    """Rows of the input that have the same columns."""

    def __init__(self, columns: Sequence[ComparedColumn]) -> None:
        self.columns = tuple(columns)
        self.file = DigestFile(_HALVES + _word_count(len(columns) + 1))
        self.certain = 0
        """How many have no value in doubt."""

    def add(self, keys: Digests, texts: Sequence[Array], first: int) -> None:
        """Take rows.

        :param texts: of each column
        :param first: number of the first of them
        """
        values = np.zeros((len(keys), _HALVES), np.uint64)
        flags = np.ones((len(keys), len(self.columns) + 1), np.bool_)
        for place, (column, each) in enumerate(zip(self.columns, texts, strict=True)):
            forms, is_certain = sent_forms(each, column)
            blank = compute.equal(each, "").to_numpy(zero_copy_only=False)
            values += np.where(blank[:, None], np.uint64(0), _value_digests(forms, column))
            flags[:, place] = blank
            flags[:, -1] &= is_certain | blank
        self.certain += int(np.count_nonzero(flags[:, -1]))
        rows = np.arange(first, first + len(keys))
        self.file.add(keys, rows, np.concatenate((values, _words(flags)), axis=1))

    def are_same(self, beside: Words, values: Words, are_certain: Flags) -> Flags:
        """Return for rows of the input whether those of the org have all of their values.

        :param beside: what was kept beside their digests
        :param values: of shape (rows, columns, 2), of the rows of the org
        """
        flags = _flags(beside[:, _HALVES:], len(self.columns) + 1)
        blank, is_certain = flags[:, :-1], flags[:, -1]
        sums = np.where(blank[:, :, None], np.uint64(0), values).sum(axis=1, dtype=np.uint64)
        same: Flags = (sums == beside[:, :_HALVES]).all(axis=1) & is_certain & (are_certain | blank).all(axis=1)
        return same


class FoundRows:
    """Rows of the org.

    :param columns: the key's first
    :param keys: of the rows of the input that may be among them
    """

    def __init__(self, columns: Sequence[ComparedColumn], keys: KeyFilter) -> None:
        self.columns = tuple(columns)
        self.file = DigestFile(_HALVES * len(columns) + _word_count(len(columns)))
        self._keys = keys
        self._lock = threading.Lock()

    def hold(self, texts: Sequence[Array]) -> NDArray[np.int64]:
        """Digest those rows whose keys may be in the input. May run in several threads at once.

        :param texts: of each column, blank for null
        :return: what ``file.keep`` is given once the rows count
        """
        keys = keys_of(texts[0], self.columns[0])
        hits = np.flatnonzero(self._keys.may_have(keys))
        values = np.empty((len(hits), len(self.columns), _HALVES), np.uint64)
        flags = np.empty((len(hits), len(self.columns)), np.bool_)
        for place, (column, each) in enumerate(zip(self.columns, texts, strict=True)):
            forms, flags[:, place] = read_forms(each.take(pa.array(hits)), column)
            values[:, place] = _value_digests(forms, column)
        beside = np.concatenate((values.reshape(len(hits), _HALVES * len(self.columns)), _words(flags)), axis=1)
        with self._lock:
            return self.file.hold(keys[hits], beside=beside)

    def values(self, beside: Words, columns: Sequence[ComparedColumn]) -> tuple[Words, Flags]:
        """Return the digests of some columns' values, of shape (rows, columns, 2), and which of them are certain.

        :param beside: what was kept beside the rows' digests
        """
        places = [self.columns.index(each) for each in columns]
        halves = _HALVES * len(self.columns)
        values = beside[:, :halves].reshape(-1, len(self.columns), _HALVES)
        return values[:, places], _flags(beside[:, halves:], len(self.columns))[:, places]


class KeyFilter:
    """Says of most keys that the input has not that it has not: a Bloom filter with one bit a key."""

    def __init__(self) -> None:
        # Memory that nothing is written to takes no place.
        self._bytes = np.zeros(FILTER_BYTES, np.uint8)

    def add(self, keys: Digests) -> None:
        """Take keys."""
        places, bits = self._places(keys)
        np.bitwise_or.at(self._bytes, places, bits)

    def may_have(self, keys: Digests) -> Flags:
        """Return for each key whether it may be one that was added."""
        places, bits = self._places(keys)
        found: Flags = (self._bytes[places] & bits) != 0
        return found

    def _places(self, keys: Digests) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        bit = keys[:, 1] >> _FILTER_BITS
        return (bit >> np.uint64(3)).astype(np.intp), np.uint8(1) << (bit & np.uint64(7)).astype(np.uint8)


def keys_of(texts: Array, column: ComparedColumn) -> Digests:
    """Digest keys: in lower case and without blanks around them, since Salesforce may take such keys for one."""
    forms = normal_form(texts, column.kind)
    return key_digests([forms if column.kind == "id" else compute.utf8_lower(forms)])


def choose(rows: int, sent: Sequence[SentRows], found: FoundRows) -> ChosenRows:
    """Return the rows that differ from the org's, or may.

    :param rows: how many the input has
    """
    is_sent = np.ones(rows, np.bool_)
    for *inputs, org in shares([*(each.file for each in sent), found.file]):
        mine, theirs = pairs(np.concatenate([each.digests for each in inputs]), org.digests)
        begin = 0
        for each, entries in zip(sent, inputs, strict=True):
            chosen = np.flatnonzero((mine >= begin) & (mine < begin + len(entries.rows)))
            at = mine[chosen] - begin
            same = each.are_same(entries.beside[at], *found.values(org.beside[theirs[chosen]], each.columns))
            is_sent[entries.rows[at[same]]] = False
            begin += len(entries.rows)
    return ChosenRows.of(is_sent)


def _value_digests(forms: Array, column: ComparedColumn) -> Digests:
    drawn = blake2b(column.name.encode(), digest_size=DIGEST_BYTES, key=SECRET).digest()
    return digests(forms) * (np.frombuffer(drawn, np.uint64) | np.uint64(1))


def _word_count(flags: int) -> int:
    return -(-flags // _WORD_BITS)


def _words(flags: Flags) -> Words:
    """Put flags, of shape (rows, flags), into words."""
    rows, count = flags.shape
    data = np.zeros((rows, _word_count(count) * _WORD_BITS // 8), np.uint8)
    packed = np.packbits(flags, axis=1)
    data[:, : packed.shape[1]] = packed
    return data.view(np.uint64)


def _flags(words: Words, count: int) -> Flags:
    data = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(data, axis=1, count=count).astype(np.bool_)
