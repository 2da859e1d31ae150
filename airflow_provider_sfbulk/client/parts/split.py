"""Cuts encoded records into parts, one for each job. A part has at most ``part_bytes`` (``limits.PART_BYTES`` by
default)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Protocol

import numpy as np

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.csv.scan import record_ends
from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.errors import EmptyInputError, SourceError
from airflow_provider_sfbulk.client.parts.stream import Block, RecordStream
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile
from airflow_provider_sfbulk.client.parts.threads import BackgroundWriter

CONTENT_TYPE: Final = "text/csv; charset=UTF-8"

MEMORY_BYTES: Final = 4 * 1024 * 1024
"""Maximum bytes of a part that is held in memory; a larger one is in a file."""

_SEND_BYTES: Final = 256 * 1024


class Spool:
    """Bytes that are written once and read any number of times, in memory or, when there are many, in a temporary file.

    The file has no name: it is gone when the process ends, also when it is killed.

    :param folder: folder of the file; None = the system's folder for temporary files
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = folder
        self._held: list[bytes] = []
        self._file: TemporaryFile | None = None
        self._closed = False
        self.length = 0

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self.length += len(data)
        if self._file is None and self.length > MEMORY_BYTES:
            self._file = TemporaryFile(folder=self._folder)
            self._file.writelines(self._held)
            self._held = []
        if self._file is None:
            self._held.append(data)
        else:
            self._file.write(data)

    def finish(self) -> None:
        """Finish writing."""
        if self._file is not None:
            self._file.flush()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes from the beginning. Several readers do not disturb each other.

        :raises ValueError: after :meth:`close`
        """
        if self._closed:
            raise ValueError("the part is closed")
        if self._file is None:
            yield from self._held
            return
        place = 0
        while place < self.length:
            chunk = self._file.read_at(place, _SEND_BYTES)
            yield chunk
            place += len(chunk)

    def close(self) -> None:
        """Release memory and file. May be called twice."""
        self._closed = True
        self._held = []
        if self._file is not None:
            self._file.close()


@dataclass(frozen=True)
class Part:
    """A whole CSV file for one job.

    :param number: from 0
    :param first_row: number in the input, from 1, of the part's first record
    :param records: how many records it has
    :param length: bytes, header included
    :param sha256: of these bytes, in hexadecimal
    :param body: what to upload; it may be opened again and again until :meth:`close`
    :param dialect: how it is written; its job must say the same
    """

    number: int
    first_row: int
    records: int
    length: int
    sha256: str
    body: Body
    dialect: Dialect
    spool: Spool = field(repr=False, compare=False)

    @property
    def data(self) -> bytes:
        """The whole CSV. To upload it in pieces: ``body``."""
        return b"".join(self.body.chunks())

    def renumbered(self, number: int, first_row: int) -> Part:
        """Return the same part under another number and place."""
        return replace(self, number=number, first_row=first_row)

    def close(self) -> None:
        """Release memory and temporary file. May be called twice."""
        self.spool.close()


class PartFacts(Protocol):
    """What is known of a part that was cut before."""

    @property
    def records(self) -> int:
        """Its records."""

    @property
    def length(self) -> int:
        """Its bytes, header included."""

    @property
    def sha256(self) -> str:
        """The digest of these, in hexadecimal."""


class _Writer:
    """A part that is being filled. Its bytes are hashed and spooled in the background."""

    def __init__(
        self,
        number: int,
        first_row: int,
        stream: RecordStream,
        folder: str | os.PathLike[str] | None,
    ) -> None:
        self.records = 0
        self.length = 0
        self._behind = BackgroundWriter()
        self._number = number
        self._first_row = first_row
        self._spool = Spool(folder)
        self._hash = hashlib.sha256()
        self._dialect = stream.dialect
        self._write(stream.header)

    def add(self, data: bytes, records: int) -> None:
        self._write(data)
        self.records += records

    def _write(self, data: bytes) -> None:
        self.length += len(data)
        self._behind.do(partial(self._take, data))

    def _take(self, data: bytes) -> None:
        self._hash.update(data)
        self._spool.write(data)

    def finish(self) -> Part:
        self._behind.finish()
        self._spool.finish()
        body = Body(self._spool.chunks, self._spool.length, CONTENT_TYPE)
        return Part(
            number=self._number,
            first_row=self._first_row,
            records=self.records,
            length=body.length,
            sha256=self._hash.hexdigest(),
            body=body,
            dialect=self._dialect,
            spool=self._spool,
        )

    def close(self) -> None:
        self._behind.close()
        self._spool.close()


def only_part(parts: Iterator[Part], what: str) -> Part:
    """Return the part of records that must fit into one.

    :param what: what they must fit into, and what to do if they do not
    :raises SourceError: there are no records, or more than fit
    """
    part = next(parts, None)
    if part is None:
        raise EmptyInputError("there are no records to upload")
    try:
        if (more := next(parts, None)) is None:
            return part
        more.close()
        raise SourceError(f"the records do not fit into one {what}")
    except BaseException:
        part.close()
        raise


def split(
    stream: RecordStream,
    *,
    max_bytes: int = limits.PART_BYTES,
    max_records: int = limits.RECORDS_PER_DAY,
    spool_folder: str | os.PathLike[str] | None = None,
) -> Iterator[Part]:
    """Cut encoded records into parts, each a whole CSV file no larger than the limits. Without records there is no part.

    Each part takes as many records as fit. The same records and limits always give the same parts, whatever blocks they
    arrive in: a retried task relies on this. One part at a time is built; the caller must close the parts.

    :param max_bytes: upper bound of a part in bytes, header included
    :param max_records: upper bound of a part in records
    :param spool_folder: folder of parts larger than ``MEMORY_BYTES``; None = the system's folder for temporary files
    :raises SourceError: for limits that no record fits in, a record that does not fit with the header, and whatever the
        stream finds wrong

    Source of the default: Bulk API 2.0, "Upload Job Data" (see ``limits.PART_BYTES``).
    """
    if max_records < 1:
        raise SourceError(f"part_records must be at least 1, not {max_records}")
    if max_bytes <= len(stream.header):
        raise SourceError(
            f"part_bytes is {max_bytes:,}, but the header line alone has {len(stream.header):,} bytes: give a larger number"
        )
    with ExitStack() as unfinished:
        writer: _Writer | None = None
        number, row = 0, 1
        for block in stream.blocks():
            rest = block
            while rest.records:
                if writer is None:
                    writer = _Writer(number, row, stream, spool_folder)
                    unfinished.callback(writer.close)
                taken, rest = _cut(rest, max_bytes - writer.length, max_records - writer.records)
                writer.add(taken.data, taken.records)
                row += taken.records
                if rest.records:
                    if not writer.records:
                        raise SourceError(
                            f"{stream.name}: row {row}: the record and the header line are longer than a part may be "
                            f"({max_bytes:,} bytes, part_bytes)"
                        )
                    part = writer.finish()
                    unfinished.pop_all()
                    yield part
                    number, writer = number + 1, None
        if writer is not None:
            part = writer.finish()
            unfinished.pop_all()
            yield part


def split_again(
    stream: RecordStream, known: Sequence[PartFacts], *, max_bytes: int, max_records: int
) -> Iterator[Part]:
    """Cut a stream once more as :func:`split` has cut it before.

    Where the records are sent as the source has them, they are not looked at again: cut by length, they are held against
    the digests of the parts. From the first part that differs, or the last one if more follows it, all is done as at the
    first time, which says what is wrong.

    :param known: the parts that were cut from the stream, which others may follow
    """
    same = 0
    if stream.raw is not None:
        with closing(stream.raw()) as data:
            rest, row = b"", 1
            for number, each in enumerate(known):
                part, rest = _of_length(stream, number, row, each, rest, data)
                rest = rest or next(data, b"")
                # Whether what follows the last known part belongs to it, only its records tell.
                if part.sha256 != each.sha256 or (rest and number == len(known) - 1):
                    part.close()
                    break
                yield part
                same += 1
                row += each.records
                if not rest:  # the source ends with this part
                    return
    for part in split(stream, max_bytes=max_bytes, max_records=max_records):
        if part.number < same:
            part.close()
        else:
            yield part


def _of_length(
    stream: RecordStream, number: int, row: int, known: PartFacts, rest: bytes, data: Iterator[bytes]
) -> tuple[Part, bytes]:
    """Make a part of as many bytes as a known one has, or of all that are left.

    :param rest: bytes before those of ``data``
    :return: what is left of the last piece, too
    """
    with ExitStack() as unfinished:
        writer = _Writer(number, row, stream, None)
        unfinished.callback(writer.close)
        while writer.length < known.length and (rest := rest or next(data, b"")):
            taken, rest = rest[: known.length - writer.length], rest[known.length - writer.length :]
            writer.add(taken, 0)
        writer.records = known.records
        part = writer.finish()
        unfinished.pop_all()
    return part, rest


def _cut(block: Block, room_bytes: int, room_records: int) -> tuple[Block, Block]:
    """Split a block into the records that fit and the others."""
    if len(block.data) <= room_bytes and block.records <= room_records:
        return block, Block(b"", 0)
    ends = record_ends(block.data)
    records = min(int(np.searchsorted(ends, room_bytes, side="right")), room_records)
    stop = int(ends[records - 1]) if records else 0
    return Block(block.data[:stop], records), Block(block.data[stop:], block.records - records)
