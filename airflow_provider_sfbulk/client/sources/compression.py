"""Reads compressed sources, and checks that they are complete."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, BinaryIO, Final, TypeAlias

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.sources.first_bytes import beginning, refuse_unpacked

OpenBinary: TypeAlias = Callable[[], BinaryIO]

READ_BYTES: Final = 1024 * 1024
"""Bytes of one piece, about."""

_PACKED_BYTES: Final = 64 * 1024
"""Compressed bytes that are read at a time, and for gzip also decompressed at a time: it bounds the memory for a file that
compresses well, since gzip compresses to a thousandth at best."""

_ZSTD_BYTES: Final = 512
"""Compressed bytes of Zstandard that are decompressed at a time: four of them may stand for 128 KiB."""


def pieces(
    open_binary: OpenBinary, *, compression: str | None, taken_for: str, name: str
) -> Generator[bytes, None, None]:
    """Read a source to its end, unpacked, a piece at a time. The file is closed at the end, or with the iterator.

    :param compression: ``gz``, ``zst`` or None
    :param taken_for: what is packed: ``csv`` or ``jsonl``
    :raises SourceError: when the packed data are broken or end too early
    """
    with open_binary() as file:
        if compression is None:
            yield from _read(file, READ_BYTES)
            return
        head, packed = beginning(_read(file, _PACKED_BYTES))
        refuse_unpacked(head, compression=compression, taken_for=taken_for, name=name)
        if compression == "gz":
            # 16: with gzip's header and trailer, so that length and CRC of every member are checked.
            yield from _unpacked(
                packed, lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), zlib.error, "gzip", name, _PACKED_BYTES
            )
        else:
            try:
                import zstandard  # noqa: PLC0415 - optional
            except ImportError as error:
                raise SourceError(f"{name}: reading .zst files needs the package zstandard: install it") from error
            start = zstandard.ZstdDecompressor().decompressobj
            yield from _unpacked(packed, start, zstandard.ZstdError, "zstd", name, _ZSTD_BYTES)


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece


class _Held:
    """Gathers small pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._length = 0

    def add(self, piece: bytes) -> Iterator[bytes]:
        """Add a piece; yield all once they are long enough."""
        self._pieces.append(piece)
        self._length += len(piece)
        if self._length >= READ_BYTES:
            yield from self.rest()

    def rest(self) -> Iterator[bytes]:
        """Yield what is left."""
        if self._length:
            yield b"".join(self._pieces)
        self._pieces, self._length = [], 0


def _unpacked(
    data: Iterator[bytes], start: Callable[[], Any], broken: type[Exception], form: str, name: str, at_once: int
) -> Iterator[bytes]:
    """Decompress gzip members or zstd frames, one after the other: files of both may be joined with ``cat``."""
    member: Any = None
    whole = False
    held = _Held()
    try:
        for packed in data:
            for place in range(0, len(packed), at_once):
                rest = packed[place : place + at_once]
                while rest:
                    if member is None:
                        if whole and not rest.strip(b"\0"):
                            break  # padding with zeros, which gzip lets be
                        member = start()
                    yield from held.add(member.decompress(rest))
                    whole = member.eof
                    rest, member = (member.unused_data, None) if whole else (b"", member)
            yield from held.rest()
    except broken as error:
        raise SourceError(f"{name}: the {form} data is corrupt: copy the file again") from error
    if not whole:
        raise SourceError(f"{name}: the {form} data ends too early, so the file is cut off: copy it again")
