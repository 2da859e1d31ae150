"""Which rows of an input are sent: recorded with a load's decision, so that every try sends, and settles, the same ones."""

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
from airflow_provider_sfbulk.client.load.pick import chosen_of
from airflow_provider_sfbulk.client.parts.split import Part
from airflow_provider_sfbulk.client.parts.stream import Block, FieldTypes, RecordStream

RECORDED_CHARACTERS: Final = 4 * 1024 * 1024
"""Characters of the longest record of this. Twenty-five million rows fit whichever of them are sent, and many more where
most are sent or most are not."""


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """The rows that are sent.

    :param is_sent: for each row of the input, in order
    """

    is_sent: NDArray[np.bool_]

    @cached_property
    def sent(self) -> int:
        """How many are."""
        return int(np.count_nonzero(self.is_sent))

    @property
    def unchanged(self) -> int:
        """How many are not."""
        return len(self.is_sent) - self.sent

    def to_dict(self) -> dict[str, Any]:
        """Give what is recorded.

        :raises SourceError: that is too much
        """
        text = b64encode(zlib.compress(np.packbits(self.is_sent).tobytes(), 6)).decode()
        if len(text) > RECORDED_CHARACTERS:
            raise SourceError(
                f"skip_unchanged: the input has {len(self.is_sent):,} rows, and which {self.sent:,} of them are sent is "
                "more than can be recorded. Load the input in several pieces, or without skip_unchanged"
            )
        return {"rows": len(self.is_sent), "sent": text}

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
            return cls(np.unpackbits(np.frombuffer(packed, np.uint8), count=rows).astype(np.bool_))
        except (KeyError, TypeError, ValueError, zlib.error, NoBase64) as error:
            raise LedgerError("which rows a load sends is not recorded as this provider writes it") from error

    def numbers(self, part: Part) -> NDArray[np.int64]:
        """Give the numbers in the input, from 1, of a part's rows. The part itself counts the rows that are sent."""
        first = part.first_row - 1
        return self._rows[first : first + part.records].astype(np.int64)

    def only(self, streams: Iterable[RecordStream]) -> Iterator[RecordStream]:
        """Give streams without the rows that are not sent. Each is read to its end before the next."""
        place = 0

        def kept(stream: RecordStream) -> Iterator[Block]:
            nonlocal place
            for block in stream.blocks():
                wanted = self.is_sent[place : place + block.records]
                place += block.records
                if len(wanted) == block.records and wanted.all():
                    yield block
                elif wanted.any():
                    yield chosen_of(block, np.flatnonzero(wanted))

        for stream in streams:
            yield _with_blocks(stream, kept)

    @cached_property
    def _rows(self) -> NDArray[np.uint32]:
        return (np.flatnonzero(self.is_sent) + 1).astype(np.uint32)


def _with_blocks(stream: RecordStream, kept: Any) -> RecordStream:
    def blocks(_: FieldTypes) -> Iterator[Block]:
        found: Iterator[Block] = kept(stream)
        return found

    name = f"{stream.name} (of its rows those that differ)"
    return RecordStream(stream.columns, stream.dialect, blocks, name=name, types=stream.types, is_csv=stream.is_csv)
