"""The rows of a load, kept while they are compared with the org's, and which of them differ.

The input is read once: its CSV goes into a temporary file, and of every row there is kept

* a digest of its key: in lower case and without blanks around it, since Salesforce may take such keys for one;
* a digest of its values (``same.py``), those left out that leave their field as it is, and which those are: the row of the
  org is digested without them, too.

A row is unchanged when its key is once in the input and once in what was read of the org, and the digests are the same. Of
two different rows they are with a probability of 2⁻¹²⁸ (``load/digests.py``). Everything else differs, and is sent.

Memory: about 50 bytes for each row of the input, 100 while the keys are sorted; nothing for the rows of the org.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.compare.same import ComparedColumn, read_forms, sent_forms
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.load.digests import Digests
from airflow_provider_sfbulk.client.load.fingerprints import key_digests, row_digests
from airflow_provider_sfbulk.client.load.normal_forms import normal_form
from airflow_provider_sfbulk.client.models import Operation
from airflow_provider_sfbulk.client.parts.stream import COMPARABLE, Block, FieldTypes, RecordStream, Rules
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile
from airflow_provider_sfbulk.client.results.schema import ColumnType
from airflow_provider_sfbulk.client.results.typed import BlockReader
from airflow_provider_sfbulk.client.values.text_arrow import Array, compute

NAMED_CHARACTERS: Final = 20_000
"""Characters of all keys together up to which the query names them, instead of reading the whole object."""

_NAMED_TYPES: Final = frozenset({"id", "string", "email"})
"""Types of keys that a query may name."""

_SOLID: Final = r"^[^\x00-\x1f\x7f]+$"
_ID: Final = r"^[0-9A-Za-z]{15}([0-9A-Za-z]{3})?$"


@dataclass
class _Kept:
    """A stream whose blocks lie in the file: where each begins, its bytes, its records."""

    stream: RecordStream
    blocks: list[tuple[int, int, int]] = field(default_factory=list)


@dataclass
class _Segment:
    """Rows in a row that have the same columns.

    :param left: for some rows at a time, a bit for each column that leaves its field as it is
    """

    first: int
    columns: tuple[ComparedColumn, ...]
    left: list[NDArray[np.uint8]] = field(default_factory=list)

    @cached_property
    def all_left(self) -> NDArray[np.uint8]:
        """All of them, once they are all there."""
        return np.concatenate(self.left)


@dataclass(frozen=True, eq=False)
class Met:
    """Rows of the input that some rows of the org have the keys of.

    :param rows: their places in the input, from 0
    :param are_same: whether each would change nothing
    """

    rows: NDArray[np.int64]
    are_same: NDArray[np.bool_]


class InputRows:
    """The rows of a load.

    :param describe: of their object
    :param key: the column by which Salesforce finds a row's record
    """

    def __init__(self, describe: Mapping[str, Any], key: str) -> None:
        self._describe = describe
        self._key = key.casefold()
        self._file = TemporaryFile()
        self._length = 0
        self._kept: list[_Kept] = []
        self._segments: list[_Segment] = []
        self._keys: list[Digests] = []
        self._values: list[Digests] = []
        self._certain: list[NDArray[np.bool_]] = []
        self._names: dict[str, None] | None = {}
        self._names_length = 0
        self._lock = threading.Lock()
        self._met = np.empty(0, np.uint8)
        self._index = (_NONE, _NONE, np.empty(0, np.int64))
        self._all_values: Digests = np.empty((0, 2), np.uint64)
        self.rows = 0
        """How many there are."""

    @classmethod
    def of(cls, rules: Rules, describe: Mapping[str, Any]) -> Self:
        """Make it for rows of these rules.

        :raises SourceError: when they are for an operation whose rows are not in the org already
        """
        if rules.operation not in COMPARABLE:
            raise SourceError(f"skip_unchanged is for update and upsert, not for {rules.operation}")
        return cls(describe, "Id" if rules.operation is Operation.UPDATE else rules.external_id_field or "Id")

    def read(self, streams: Iterable[RecordStream]) -> None:
        """Take all rows.

        :raises SourceError: for what is wrong with them, or a column that cannot be compared
        """
        for stream in streams:
            columns = tuple(ComparedColumn.of(name, self._describe) for name in stream.columns)
            if not self._segments or self._segments[-1].columns != columns:
                self._segments.append(_Segment(self.rows, columns))
            kept = _Kept(stream)
            self._kept.append(kept)
            for block in stream.blocks():
                kept.blocks.append((self._length, len(block.data), block.records))
                self._file.write(block.data)
                self._length += len(block.data)
                self._take(_texts(block, stream), self._segments[-1])
        self._file.flush()
        self._put_in_order()

    @property
    def columns(self) -> list[ComparedColumn]:
        """The columns of all rows, the key's first."""
        found = {each.name: each for segment in self._segments for each in segment.columns}
        return sorted(found.values(), key=lambda each: each.name.casefold() != self._key)

    @property
    def has_keys(self) -> bool:
        """Whether a row may be in the org: one has a key that no other has, and no value in doubt."""
        return bool(len(self._index[0]))

    @property
    def names(self) -> Sequence[str] | None:
        """The keys, where they are few enough, and such that a query may name them; None where they are not."""
        return None if not self._names else sorted(self._names)

    def meet(self, batch: pa.RecordBatch) -> Met:
        """Find the rows that rows of the org have the keys of. May run for several batches at once.

        :param batch: columns of text by the names of :attr:`columns`, blank for null
        """
        places = {name.casefold(): place for place, name in enumerate(batch.schema.names)}
        keys = key_digests([self._key_form(_whole(batch.column(places[self._key])))])
        lows, highs, rows_of = self._index
        at = np.minimum(np.searchsorted(lows, keys[:, 0]), len(lows) - 1)
        hits = np.flatnonzero((lows[at] == keys[:, 0]) & (highs[at] == keys[:, 1]))
        rows = rows_of[at[hits]]
        are_same = np.zeros(len(rows), np.bool_)
        found = batch.take(pa.array(hits, pa.int64()))
        for segment, stop in self._by_segment():
            mine = np.flatnonzero((rows >= segment.first) & (rows < stop))
            if mine.size:
                texts = [
                    _whole(found.column(places[each.name.casefold()]).take(pa.array(mine, pa.int64())))
                    for each in segment.columns
                ]
                are_same[mine] = self._are_same(texts, segment, rows[mine])
        return Met(rows, are_same)

    def note(self, met: Met) -> None:
        """Take the rows of the org that were proven to be read whole; those that come twice are in doubt."""
        rows, counts = np.unique(met.rows, return_counts=True)
        with self._lock:
            twice = (counts > 1) | (self._met[rows] > 0)
            same = np.zeros(self.rows, np.bool_)
            same[met.rows] = met.are_same
            self._met[rows] = np.where(twice | ~same[rows], _DIFFERS, _SAME)

    def chosen(self) -> ChosenRows:
        """Give the rows that differ from the org's, or may."""
        return ChosenRows(self._met != _SAME)

    def streams(self) -> Iterator[RecordStream]:
        """Give all rows once more."""
        for kept in self._kept:
            given = kept.stream
            yield RecordStream(
                given.columns,
                given.dialect,
                partial(self._blocks, kept),
                name=given.name,
                types=given.types,
                is_csv=given.is_csv,
            )

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _blocks(self, kept: _Kept, _: FieldTypes) -> Iterator[Block]:
        for place, length, records in kept.blocks:
            data = self._file.read_at(place, length)
            while len(data) < length:
                data += self._file.read_at(place + len(data), length - len(data))
            yield Block(data, records)

    def _take(self, texts: Sequence[Array], segment: _Segment) -> None:
        forms: list[Array] = []
        left: list[NDArray[np.bool_]] = []
        certain = np.ones(len(texts[0]), np.bool_)
        keys = np.zeros((len(texts[0]), 2), np.uint64)
        for column, each in zip(segment.columns, texts, strict=True):
            blank = compute.equal(each, "")
            form, is_certain = sent_forms(each, column)
            forms.append(compute.if_else(blank, "", form))
            left.append(_bools(blank))
            certain &= is_certain | left[-1]
            if column.name.casefold() == self._key:
                keys = key_digests([self._key_form(each)])
                self._name(each, column)
        self._keys.append(keys)
        self._values.append(row_digests(forms))
        self._certain.append(certain)
        segment.left.append(np.packbits(np.stack(left, axis=1), axis=1))
        self.rows += len(certain)

    def _name(self, texts: Array, column: ComparedColumn) -> None:
        """Keep the keys themselves, while they are few."""
        if self._names is None:
            return
        if column.kind not in _NAMED_TYPES:
            self._names = None
            return
        fit = compute.filter(texts, compute.match_substring_regex(texts, _ID if column.kind == "id" else _SOLID))
        # An id's last three characters say nothing, and may be wrong.
        fit = compute.utf8_slice_codeunits(fit, 0, 15) if column.kind == "id" else fit
        for name in fit.to_pylist():
            if name not in self._names:
                self._names[name] = None
                self._names_length += len(name)
            if self._names_length > NAMED_CHARACTERS:
                self._names = None
                return

    def _key_form(self, texts: Array) -> Array:
        kind = next((each.kind for each in self.columns if each.name.casefold() == self._key), "")
        forms = normal_form(texts, kind)
        return forms if kind == "id" else compute.utf8_lower(forms)

    def _put_in_order(self) -> None:
        """Make the index: the keys that a row alone has, in two halves, ordered by the first; and which row it is."""
        if not self.rows:
            return
        self._met = np.zeros(self.rows, np.uint8)
        self._all_values = _joined(self._values)
        low, high = (np.concatenate([each[:, half] for each in self._keys]) for half in (0, 1))
        self._keys.clear()
        order = np.argsort(low)
        low, high = low[order], high[order]
        alone = (low != 0) | (high != 0)
        # Two keys whose first halves are the same are two for certain, or one: neither row is spared then.
        again = low[1:] == low[:-1]
        alone[1:] &= ~again
        alone[:-1] &= ~again
        alone &= _joined(self._certain)[order]
        self._index = low[alone], high[alone], order[alone]

    def _by_segment(self) -> Iterator[tuple[_Segment, int]]:
        stops = [*(each.first for each in self._segments[1:]), self.rows]
        return zip(self._segments, stops, strict=True)

    def _are_same(self, texts: Sequence[Array], segment: _Segment, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Compare rows with those of the org, which are given in their order."""
        left = np.unpackbits(segment.all_left[rows - segment.first], axis=1, count=len(segment.columns)).astype(
            np.bool_
        )
        forms: list[Array] = []
        certain = np.ones(len(rows), np.bool_)
        for place, (column, each) in enumerate(zip(segment.columns, texts, strict=True)):
            form, is_certain = read_forms(each, column)
            forms.append(compute.if_else(pa.array(left[:, place]), "", form))
            certain &= is_certain | left[:, place]
        same: NDArray[np.bool_] = (row_digests(forms) == self._all_values[rows]).all(axis=1) & certain
        return same


_NONE: Final = np.empty(0, np.uint64)
_SAME: Final = 1
_DIFFERS: Final = 2
"""What is known of a row that was met in the org; 0 of one that was not."""


def _texts(block: Block, stream: RecordStream) -> list[Array]:
    """Read a block's columns.

    :raises SourceError: it does not read as it was written
    """
    dialect: Dialect = stream.dialect
    reader = BlockReader([ColumnType(name) for name in stream.columns], dialect, empty_is_null=False)
    batch = reader.read(block.data)
    if batch.num_rows != block.records:
        raise SourceError(f"{stream.name}: {block.records} records read as {batch.num_rows}: are there stray quotes?")
    return [_whole(column) for column in batch.columns]


def _whole(column: Array) -> Array:
    return compute.fill_null(column, "")


def _joined(pieces: list[NDArray[Any]]) -> NDArray[Any]:
    whole: NDArray[Any] = np.concatenate(pieces)
    pieces.clear()
    return whole


def _bools(values: Array) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = values.to_numpy(zero_copy_only=False)
    return found
