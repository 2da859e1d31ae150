"""Which rows of an input are sent. The choice is recorded with a load's decision, so that every try sends the same
rows."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from binascii import Error as NoBase64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import LedgerError, SourceError
from airflow_provider_sfbulk.client.parts.pick import chosen_of
from airflow_provider_sfbulk.client.parts.split import Part
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream

RECORDED_CHARACTERS: Final = 4 * 1024 * 1024
"""Characters of the longest record of this. Twenty-five million rows fit whichever of them are sent, and many more where
most are sent or most are not."""

_PIECE_ROWS: Final = 65_536
"""Rows whose bits are unpacked together: a multiple of eight."""


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """The rows that are sent.

    :param rows: how many the input has
    :param bits: a bit for each of them, set where it is sent
    """

    rows: int
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, is_sent: NDArray[np.bool_]) -> Self:
        """Make it of what is known of each row."""
        return cls(len(is_sent), np.packbits(is_sent))

    @property
    def sent(self) -> int:
        """How many are."""
        return int(self._sent_before[-1])

    @property
    def unchanged(self) -> int:
        """How many are not."""
        return self.rows - self.sent

    def to_dict(self) -> dict[str, Any]:
        """Return what is recorded.

        :raises SourceError: that is too much
        """
        text = b64encode(zlib.compress(self.bits.tobytes(), 6)).decode()
        if len(text) > RECORDED_CHARACTERS:
            raise SourceError(
                f"skip_unchanged: the input has {self.rows:,} rows, and which {self.sent:,} of them are sent is too "
                f"much to record. Load the input in several pieces, or without skip_unchanged"
            )
        return {"rows": self.rows, "sent": text}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what was recorded.

        :raises LedgerError: when that is nothing
        """
        try:
            rows = value["rows"]
            if not 0 < rows <= limits.RECORDS_PER_DAY:
                raise ValueError("no number of rows")
            room = (rows + 7) // 8
            packed = zlib.decompressobj().decompress(b64decode(value["sent"], validate=True), room + 1)
            if len(packed) != room:
                raise ValueError("bits of other rows")
            return cls(rows, np.frombuffer(packed, np.uint8))
        except (KeyError, TypeError, ValueError, zlib.error, NoBase64) as error:
            raise LedgerError("which rows a load sends is not recorded as this provider writes it") from error

    def numbers(self, part: Part) -> NDArray[np.int64]:
        """Return the numbers in the input, from 1, of a part's rows. The part itself counts the rows that are sent."""
        first, stop = part.first_row - 1, part.first_row - 1 + part.records
        from_piece, to_piece = np.searchsorted(self._sent_before, (first, stop)).tolist()
        from_piece = max(0, from_piece - 1)
        begin = from_piece * _PIECE_ROWS
        rows = begin + np.flatnonzero(self._are_sent(begin, to_piece * _PIECE_ROWS))
        before = int(self._sent_before[from_piece])
        numbers: NDArray[np.int64] = rows[first - before : stop - before] + 1
        return numbers

    def only(self, streams: Iterable[RecordStream]) -> Iterator[RecordStream]:
        """Yield streams without the rows that are not sent. Each is read to its end before the next."""
        place = 0

        def kept(stream: RecordStream) -> Iterator[Block]:
            nonlocal place
            for block in stream.blocks():
                wanted = self._are_sent(place, place + block.records)
                place += block.records
                if len(wanted) == block.records and wanted.all():
                    yield block
                elif wanted.any():
                    yield chosen_of(block, np.flatnonzero(wanted))

        for stream in streams:
            yield _with_blocks(stream, kept)

    @cached_property
    def _sent_before(self) -> NDArray[np.int64]:
        """Of every piece of the rows, and at the end, how many before it are sent."""
        pieces = range(0, self.rows, _PIECE_ROWS)
        counts = [int(np.count_nonzero(self._are_sent(begin, begin + _PIECE_ROWS))) for begin in pieces]
        return np.cumsum([0, *counts], dtype=np.int64)

    def _are_sent(self, begin: int, stop: int) -> NDArray[np.bool_]:
        """Return for the rows from one on up to another, or to the end, which are sent."""
        stop = min(stop, self.rows)
        first = begin // 8
        bits = np.unpackbits(self.bits[first : -(-stop // 8)])
        return bits[begin - 8 * first : stop - 8 * first].astype(np.bool_)


def _with_blocks(stream: RecordStream, kept: Any) -> RecordStream:
    def blocks(_: FieldTypes) -> Iterator[Block]:
        found: Iterator[Block] = kept(stream)
        return found

    name = f"{stream.name} (of its rows those that differ)"
    return RecordStream(stream.columns, stream.dialect, blocks, name=name, types=stream.types, is_csv=stream.is_csv)
