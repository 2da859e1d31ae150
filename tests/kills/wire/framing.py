"""Where one HTTP/1.1 message ends and the next begins (RFC 9112, section 6): enough to cut one in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Final

_NO_BODY: Final = frozenset({b"204", b"304"})


class FramingError(Exception):
    """The bytes are no message of the kind that a client of ``requests`` or the local org sends."""


@dataclass(frozen=True)
class Message:
    """One request or reply as it came: not a byte is changed.

    :param head: start line and headers, with the empty line that ends them
    :param body: the body as it was sent: of a chunked one with the sizes of its chunks
    """

    head: bytes
    body: bytes

    @property
    def start(self) -> list[str]:
        """The words of the start line: method and target of a request, version and status of a reply."""
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)

    def half(self) -> bytes:
        """Give what is there in the middle of it: half the body after the head, or half the head of one without body."""
        if self.body:
            return self.head + self.body[: len(self.body) // 2]
        return self.head[: len(self.head) // 2]


def read_message(stream: BinaryIO) -> Message | None:
    """Read a message to its end; None when the other side has hung up before its first byte.

    :raises FramingError: it hung up within a message, or this is none
    """
    first = stream.readline()
    if not first:
        return None
    head, length, chunked = [first], None, False
    while (line := stream.readline()) != b"\r\n":
        if not line.endswith(b"\r\n"):
            raise FramingError("hung up within the headers")
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        chunked = chunked or (name.lower() == b"transfer-encoding" and value.strip().lower() == b"chunked")
        head.append(line)
    head.append(line)
    words = first.split(b" ", 2)
    if chunked:
        body = _chunks(stream)
    elif length is not None:
        body = _exactly(stream, length)
    elif first.startswith(b"HTTP/") and words[1].strip() not in _NO_BODY:
        raise FramingError("a reply that ends with its connection: the local org sends none")
    else:
        body = b""
    return Message(b"".join(head), body)


def _chunks(stream: BinaryIO) -> bytes:
    pieces = []
    while True:
        line = stream.readline()
        if not line.endswith(b"\r\n"):
            raise FramingError("hung up within a chunk's size")
        size = int(line.partition(b";")[0], 16)
        pieces += [line, _exactly(stream, size + 2)]  # each chunk, also the last and empty one, ends with a line end
        if size == 0:
            return b"".join(pieces)


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise FramingError("hung up within a body")
    return data
