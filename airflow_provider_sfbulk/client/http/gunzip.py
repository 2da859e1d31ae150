"""Decompression that notices a cut: HTTP libraries accept a gzip stream that simply stops.

Measured with requests 2.34, httpx 0.28 and aiohttp 3.14: a gzip body without its end passes silently, with chunked
framing and with a ``Content-Length`` that matches the cut. So drivers read the raw bytes, which are decompressed here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, Protocol

from airflow_provider_sfbulk.client.effects import Reply
from airflow_provider_sfbulk.client.errors import ProtocolError, TransportError

PIECE_BYTES: Final = 1024 * 1024
"""Maximum bytes passed on at once: a small body may unpack to a huge one."""

MOST_TIMES: Final = 250
"""How many times its size a body larger than :data:`FREE_BYTES` may unpack to. A column with one value reaches a hundred
times, and deflate's own limit of a thousand is a bomb."""

FREE_BYTES: Final = 64 * 1024 * 1024

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_IDENTITY: Final = frozenset({"", "identity"})
_GZIP: Final = frozenset({"gzip", "x-gzip"})


class Decoder(Protocol):
    """Decodes a body's raw bytes."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes."""

    def finish(self) -> None:
        """Check that the body may end here, or raise ``TransportError``."""


def decoder_for(reply: Reply) -> Decoder:
    """Return the decoder for a reply's body.

    :raises ProtocolError: its ``Content-Encoding`` was not requested
    """
    coding = reply.headers.get("content-encoding", "").strip().lower()
    if coding in _IDENTITY or reply.status == 204 or reply.headers.get("content-length", "").strip() == "0":
        return Plain()
    if coding in _GZIP:
        return Gunzip()
    raise ProtocolError(f"a reply in the coding {coding[:40]!r}, which was not requested", status=reply.status)


class Plain:
    """Passes the bytes on. Only their framing and contents show whether they are complete."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes."""
        yield data

    def finish(self) -> None:
        """Do nothing."""


class Gunzip:
    """Unpacks gzip, one member or several after another (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_WINDOW)
        self._packed = self._unpacked = 0

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decode the next bytes.

        :raises TransportError: they are not gzip
        :raises ProtocolError: they unpack to far more than rows would
        """
        self._packed += len(data)
        while data:
            if self._stream.eof:
                self._stream = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = self._stream.decompress(data, PIECE_BYTES)
            except zlib.error as error:
                raise TransportError("a reply whose gzip stream is broken") from error
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            self._unpacked += len(piece)
            if self._unpacked > max(FREE_BYTES, self._packed * MOST_TIMES):
                raise ProtocolError(f"a reply whose gzip stream unpacks to more than {MOST_TIMES} times its size")
            if piece:
                yield piece

    def finish(self) -> None:
        """Check that the stream has ended.

        :raises TransportError: it has not
        """
        if not self._stream.eof:
            raise TransportError("a reply whose gzip stream was cut")
