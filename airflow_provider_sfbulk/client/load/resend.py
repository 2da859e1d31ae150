"""Records that are to be sent again: the input's own bytes and the rows' numbers, kept in a temporary file.

Values in Salesforce's result files are written anew by Salesforce (912260031 comes back as 9.12260031E8), so what is sent
again is never taken from there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

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


@dataclass(frozen=True)
class NumberedPart:
    """A part and the numbers of its rows in the input, from 1."""

    part: Part
    numbers: NDArray[np.int64]


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
        """Give the temporary files back."""
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
            self._ends.extend((record_ends(block.data) + self._ends[-1]).tolist())
        self.numbers.extend(numbers.tolist())
        if len(self.numbers) != len(self._ends) - 1:
            raise RuntimeError("as many records as numbers are added")

    def order(self, sort_by: str | None) -> NDArray[np.int64]:
        """Tell in which order the records are sent."""
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
        held: list[bytes] = []
        size = 0
        for index in order.tolist():
            start, stop = self._ends[index], self._ends[index + 1]
            self.file.seek(start)
            held.append(self.file.read(stop - start))
            size += stop - start
            if size >= _CHUNK_BYTES:
                yield Block(b"".join(held), len(held))
                held, size = [], 0
        if held:
            yield Block(b"".join(held), len(held))

    def _with(self, header: bytes) -> Iterator[bytes]:
        yield header
        self.file.seek(0)
        while chunk := self.file.read(_CHUNK_BYTES):
            yield chunk
