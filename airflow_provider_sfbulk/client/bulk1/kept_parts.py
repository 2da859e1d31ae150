"""Parts on disk, one behind the other: for a load whose input is read to its end before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final, Self

from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.parts.split import Part, Spool
from airflow_provider_sfbulk.client.parts.temporary import TemporaryFile

_CHUNK_BYTES: Final = 256 * 1024


class KeptParts:
    """Parts in one temporary file without a name: it is gone with the process, also one that is killed.

    Takes as much room as the CSV of all of them, whatever their number: one file is open.
    """

    def __init__(self) -> None:
        self._file = TemporaryFile()
        self._length = 0
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def keep(self, part: Part) -> None:
        """Take a part's bytes. The part itself stays the caller's, who closes it."""
        start = self._length
        for chunk in part.body.chunks():
            self._file.write(chunk)
            self._length += len(chunk)
        body = Body(partial(self._chunks, start, self._length), part.length, part.body.content_type)
        self._parts.append(
            Part(
                number=part.number,
                first_row=part.first_row,
                records=part.records,
                length=part.length,
                sha256=part.sha256,
                body=body,
                dialect=part.dialect,
                spool=Spool(),
            )
        )

    def __iter__(self) -> Iterator[Part]:
        self._file.flush()
        return iter(self._parts)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _chunks(self, start: int, stop: int) -> Iterator[bytes]:
        place = start
        while place < stop:
            chunk = self._file.read_at(place, min(_CHUNK_BYTES, stop - place))
            yield chunk
            place += len(chunk)
