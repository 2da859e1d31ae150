"""Reading compressed sources, with proof that they are whole."""

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
"""Packed bytes that are unpacked at a time: a bound of what a well packed file becomes in memory."""


def pieces(open_binary: OpenBinary, *, compression: str | None, name: str) -> Generator[bytes, None, None]:
    """Read a source to its end, unpacked, a piece at a time. The file is closed at the end, or with the iterator.

    :param compression: ``gz``, ``zst`` or None
    :raises SourceError: when the packed data are broken or end too early
    """
    with open_binary() as file:
        if compression == "gz":
            # 16: with gzip's header and trailer, so that length and CRC of every member are checked.
            yield from _unpacked(file, lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), zlib.error, "gz", "gzip", name)
        elif compression == "zst":
            try:
                import zstandard  # noqa: PLC0415 - optional
            except ImportError as error:
                raise SourceError(f"{name}: to read .zst files install the package zstandard") from error
            start = zstandard.ZstdDecompressor().decompressobj
            yield from _unpacked(file, start, zstandard.ZstdError, "zst", "zstd", name)
        else:
            yield from _read(file, READ_BYTES)


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    while piece := file.read(size):
        yield piece


def _unpacked(
    file: BinaryIO, start: Callable[[], Any], broken: type[Exception], compression: str, form: str, name: str
) -> Iterator[bytes]:
    """Unpack gzip members or zstd frames, one after the other: both may be put together by ``cat``."""
    member: Any = None
    whole = False
    head, read = beginning(_read(file, _PACKED_BYTES))
    refuse_unpacked(head, compression=compression, name=name)
    try:
        for packed in read:
            rest = packed
            while rest:
                if member is None:
                    if whole and not rest.strip(b"\0"):
                        break  # padding with zeros, which gzip lets be
                    member = start()
                if piece := member.decompress(rest):
                    yield piece
                whole = member.eof
                rest, member = (member.unused_data, None) if whole else (b"", member)
    except broken as error:
        raise SourceError(f"{name}: the {form} data are broken: copy the file again") from error
    if not whole:
        raise SourceError(f"{name}: the {form} data end too early: the file is cut off, copy it again")
