"""Writes files that are compressed as a whole."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import pyarrow as pa

from airflow_provider_sfbulk.client.models import Compression

_ARROWS: Final[Mapping[Compression, Literal["gzip", "zstd"]]] = {Compression.GZIP: "gzip", Compression.ZSTD: "zstd"}


class ArrowFile(io.BufferedIOBase):
    """A file as Arrow expects it; closing it leaves the underlying file open.

    :param take: takes the bytes
    :ivar is_dropped: set when the file is, so that what Arrow still writes goes nowhere
    """

    def __init__(self, take: Callable[[bytes], int]) -> None:
        super().__init__()
        self._take = take
        self.is_dropped = False

    def writable(self) -> bool:
        """Tell Arrow that the file can be written to."""
        return True

    def write(self, data: Any, /) -> int:
        """Take the next bytes."""
        return len(data) if self.is_dropped else self._take(bytes(data))


class CompressedFile:
    """Bytes into a file as one stream of gzip or Zstandard. The same bytes give the same file.

    :param take: takes the compressed bytes
    :param compression: gzip or zstd
    """

    def __init__(self, take: Callable[[bytes], int], compression: Compression) -> None:
        self._file = ArrowFile(take)
        self._stream = pa.CompressedOutputStream(pa.PythonFile(self._file, mode="w"), _ARROWS[compression])

    def write(self, data: bytes, /) -> int:
        """Take the next bytes."""
        self._stream.write(data)
        return len(data)

    def close(self) -> None:
        """Write the end of the stream. The file stays open."""
        self._stream.close()

    def discard(self) -> None:
        """Write nothing more: the file is dropped."""
        self._file.is_dropped = True
        self._stream.close()
