"""Records that are to be sent again: the input's own bytes and the rows' numbers, kept in a temporary file.

Values in Salesforce's result files are written anew by Salesforce (912260031 comes back as 9.12260031E8), so what is sent
again is never taken from there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.bulk1.commas import with_commas
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.scan import record_ends
from airflow_provider_sfbulk.client.parts.split import Part, split
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile
from airflow_provider_sfbulk.client.results.typed import read_text

_CHUNK_BYTES: Final = 1024 * 1024
_MEMORY_BYTES: Final = 4 * 1024 * 1024

_LOOKED_UP: Final = 8192
"""Records whose places are looked up together."""


@dataclass(frozen=True)
class NumberedPart:
    """A part and the numbers of its rows in the input, from 1.

    :param numbers: None: they are those of the part, one after the other
    """

    part: Part
    numbers: NDArray[np.int64] | None = None

    def numbers_at(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the numbers of some rows, which are counted from 0."""
        return rows.astype(np.int64) + self.part.first_row if self.numbers is None else self.numbers[rows]


class RowsToResend:
    """The records of one round that is to be sent, in the order of the input.

    Files of one load may have different columns, and a part has one header: records of different headers lie apart.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[tuple[str, ...], Dialect], _Group] = {}

    @property
    def records(self) -> int:
        """How many there are."""
        return sum(len(group.numbers) for group in self._groups.values())

    def add(
        self, columns: Sequence[str], dialect: Dialect, blocks: Iterable[Block], numbers: NDArray[np.int64]
    ) -> None:
        """Take records, encoded as they were sent, with their numbers in the input."""
        key = (tuple(columns), dialect)
        if key not in self._groups:
            self._groups[key] = _Group(*key)
        self._groups[key].add(blocks, numbers)

    def parts(
        self, *, max_bytes: int, max_records: int, sort_by: str | None, commas: bool = False
    ) -> Iterator[NumberedPart]:
        """Cut the records into parts. They belong to the caller, who closes them.

        :param sort_by: column to order by; records without it, and those of equal value, keep the input's order
        :param commas: put commas between the values, whatever was between them
        """
        number = 0
        for group in self._groups.values():
            order = group.order(sort_by)
            numbers = np.frombuffer(group.numbers, dtype=np.int64)[order]
            stream = RecordStream(group.columns, group.dialect, partial(group.blocks, order), name="the input")
            if commas:
                stream = with_commas(stream)
            first = 0
            for part in split(stream, max_bytes=max_bytes, max_records=max_records):
                yield NumberedPart(
                    part=part.renumbered(number, first + 1), numbers=numbers[first : first + part.records]
                )
                number += 1
                first += part.records

    def close(self) -> None:
        """Release the temporary files."""
        for group in self._groups.values():
            group.file.close()


class _Group:
    """Records with the same header."""

    def __init__(self, columns: tuple[str, ...], dialect: Dialect) -> None:
        self.columns = columns
        self.dialect = dialect
        self.numbers = array("q")
        self.file = TemporaryFile(_MEMORY_BYTES)
        self._ends = array("q", (0,))

    def add(self, blocks: Iterable[Block], numbers: NDArray[np.int64]) -> None:
        self.file.seek(self._ends[-1])
        for block in blocks:
            self.file.write(block.data)
            self._ends.frombytes((record_ends(block.data) + self._ends[-1]).astype(np.int64).tobytes())
        self.numbers.frombytes(numbers.tobytes())
        if len(self.numbers) != len(self._ends) - 1:
            raise RuntimeError("as many records as numbers are added")

    def order(self, sort_by: str | None) -> NDArray[np.int64]:
        """Return the order in which the records are sent."""
        folded = [name.casefold() for name in self.columns]
        if sort_by is None or sort_by.casefold() not in folded:
            return np.arange(len(self.numbers), dtype=np.int64)
        place = folded.index(sort_by.casefold())
        header = RecordStream(self.columns, self.dialect, lambda _: iter(()), name="").header
        values = pa.chunked_array(
            [batch.column(place) for batch in read_text(self._with(header), self.dialect)], type=pa.string()
        )
        return np.asarray(pc.sort_indices(values), dtype=np.int64)

    def blocks(self, order: NDArray[np.int64], _types: FieldTypes) -> Iterator[Block]:
        for first in range(0, len(order), _LOOKED_UP):
            indexes = order[first : first + _LOOKED_UP]
            starts, stops = self._ends_at(indexes), self._ends_at(indexes + 1)
            full = np.flatnonzero(np.diff(np.cumsum(stops - starts) // _CHUNK_BYTES)) + 1
            for begin, end in pairwise([0, *full.tolist(), len(indexes)]):
                # Neighbours are read in one piece.
                alone = starts[begin + 1 : end] != stops[begin : end - 1]
                places = zip(
                    starts[begin:end][np.append(True, alone)].tolist(),
                    stops[begin:end][np.append(alone, True)].tolist(),
                    strict=True,
                )
                yield Block(b"".join([self._read(start, stop) for start, stop in places]), end - begin)

    def _ends_at(self, indexes: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.frombuffer(self._ends, dtype=np.int64)[indexes]

    def _read(self, start: int, stop: int) -> bytes:
        self.file.seek(start)
        return self.file.read(stop - start)

    def _with(self, header: bytes) -> Iterator[bytes]:
        yield header
        self.file.seek(0)
        while chunk := self.file.read(_CHUNK_BYTES):
            yield chunk
