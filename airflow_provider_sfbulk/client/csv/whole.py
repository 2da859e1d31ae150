"""Splits a CSV that is known to be complete into blocks of whole records.

Theory as in ``decode``: a line feed ends a record when an even number of quotes precedes it. The records were counted
before, so it is enough to find the last line feed of a block and to count the quotes at once: this takes a fifth of the
time of ``decode.RecordCounter``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from airflow_provider_sfbulk.client.csv.decode import BLOCK_BYTES
from airflow_provider_sfbulk.client.csv.scan import last_end
from airflow_provider_sfbulk.client.errors import TransportError


def whole_blocks(chunks: Iterable[bytes], *, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Cut a CSV into its header line, given as soon as it is there, and blocks of whole records.

    :param chunks: the CSV, cut anywhere
    :param size: bytes of a block, about
    :raises TransportError: when it is not complete
    """
    held: list[bytes] = []
    length, enough = 0, 0
    for chunk in chunks:
        held.append(chunk)
        length += len(chunk)
        if length < enough:
            continue
        data = b"".join(held)
        if not enough:
            stop = _first_end(data)
            enough = size if stop else 0
        else:
            stop = last_end(data)
        block, rest = data[:stop], data[stop:]
        # Nothing of the block is held while it is used.
        held, length, data = [rest], len(rest), b""
        if stop:
            yield block
        if enough:
            # Twice what is left, so that a long record is not looked through again for each chunk of it.
            enough = max(size, 2 * length)
    data = b"".join(held)
    if not enough or last_end(data) != len(data):
        raise TransportError(f"not a complete CSV: its last {len(data)} bytes are not a complete record")
    if data:
        yield data


def _first_end(data: bytes) -> int:
    """Place just after the first record; 0 when there is none."""
    end = data.find(b"\n") + 1
    while end and data.count(b'"', 0, end) % 2:
        end = data.find(b"\n", end) + 1
    return end
