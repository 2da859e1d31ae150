"""Picks records of a CSV by their position, with their original bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk.client.csv.bits import Bytes, Places
from airflow_provider_sfbulk.client.csv.decode import BLOCK_BYTES
from airflow_provider_sfbulk.client.csv.scan import CR, LF, record_ends
from airflow_provider_sfbulk.client.csv.whole import whole_blocks
from airflow_provider_sfbulk.client.parts.stream import Block


def records_at(
    chunks: Iterable[bytes], indexes: NDArray[np.int64], *, block_bytes: int = BLOCK_BYTES
) -> Iterator[Block]:
    """Yield the records with these places, line endings included, in blocks.

    Records are counted as ``arrow.read_text`` and Salesforce do: line breaks inside quotes are no ends, a line with
    nothing on it is no record. Memory is that of a block of the CSV.

    :param chunks: a whole CSV with its header, cut anywhere
    :param indexes: places from 0, the header not counted, ascending and none of them twice
    :param block_bytes: bytes of the CSV that are looked at in one go, about
    :raises ValueError: when the indexes are not ascending, or there are not so many records
    :raises TransportError: when the CSV is not whole
    """
    if indexes.size and (indexes[0] < 0 or (np.diff(indexes) <= 0).any()):
        raise ValueError("indexes of records are ascending, from 0")
    past = 0
    blocks = whole_blocks(chunks, size=block_bytes)
    next(blocks)
    for block in blocks:
        begins, ends = _records(block)
        first, last = np.searchsorted(indexes, (past, past + len(ends)))
        chosen = indexes[first:last] - past
        past += len(ends)
        if chosen.size:
            yield Block(_cut_out(block, begins[chosen], ends[chosen]), chosen.size)
    if indexes.size and indexes[-1] >= past:
        raise ValueError(f"record {indexes[-1]} of a CSV that has {past}, counted from 0")


def chosen_of(block: Block, indexes: NDArray[np.int64]) -> Block:
    """Return the records of a block with these places, from 0, ascending. A block has no empty lines.

    :param indexes: one at least
    """
    ends = record_ends(block.data)
    begins = np.concatenate(([0], ends[:-1]))
    return Block(_cut_out(block.data, begins[indexes], ends[indexes]), indexes.size)


def _records(block: bytes) -> tuple[Places, Places]:
    """Places where each record begins, and just after it."""
    ends = record_ends(block)
    begins = np.concatenate(([0], ends[:-1]))
    lengths = ends - begins
    if lengths.min() > 2:
        return begins, ends
    data: Bytes = np.frombuffer(block, np.uint8)
    blank = (data[begins] == LF) | ((lengths == 2) & (data[begins] == CR))
    kept = np.flatnonzero(~blank)
    return begins[kept], ends[kept]


def _cut_out(block: bytes, begins: Places, ends: Places) -> bytes:
    """Join records; neighbours are cut out in one piece."""
    gaps = np.flatnonzero(begins[1:] != ends[:-1])
    starts = begins[np.concatenate(([0], gaps + 1))].tolist()
    stops = ends[np.concatenate((gaps, [len(ends) - 1]))].tolist()
    return b"".join([block[start:stop] for start, stop in zip(starts, stops, strict=True)])
