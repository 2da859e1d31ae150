"""A server of the standard library that answers with exactly the bytes it is told to, on loopback."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """Bytes to send, and whether to close the connection behind them."""

    data: bytes
    close: bool = False
    wait: threading.Event | None = field(default=None, repr=False)


def reply(body: bytes = b"", status: str = "200 OK", *, length: int | None = None, **headers: str) -> Answer:
    """A whole reply with ``Content-Length``; ``length`` may lie, and then the connection is closed."""
    head = {"Content-Type": "text/csv", "Content-Length": str(len(body) if length is None else length)}
    head.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return Answer("\r\n".join(lines).encode() + body, close=length is not None)


def chunked(body: bytes, *, end: bool = True, **headers: str) -> Answer:
    """A reply in chunks; without ``end`` the last one is missing."""
    head = {"Content-Type": "text/csv", "Transfer-Encoding": "chunked"}
    head.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    data = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return Answer("\r\n".join(lines).encode() + data + (b"0\r\n\r\n" if end else b""), close=not end)


def until_close(body: bytes, **headers: str) -> Answer:
    """A reply that ends where the connection does."""
    head = {"Content-Type": "text/csv", "Connection": "close"}
    head.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    return Answer("\r\n".join(lines).encode() + body, close=True)


def zipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


class RawServer:
    """Answers requests, of any connection, from a list or with a function."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.handler: Callable[[Asked], Answer | None] | None = None
        self.asked: list[Asked] = []
        self.connections = 0
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._address = self._socket.getsockname()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._address[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End every connection and every thread.

        The accepting thread goes first, so that no connection and no thread is added behind our back. It is woken by
        a connection: on Linux, closing a socket does not end an ``accept`` that waits on it.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        socket.create_connection(self._address, 5).close()
        _ended(self._thread)
        self._socket.close()
        with self._lock:
            for each in self._open:
                with suppress(OSError):  # the client was faster
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            _ended(thread)

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self._closing.is_set():
                connection.close()
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while (asked := _read(stream)) is not None and self._answered(connection, asked):
                    pass
            except OSError:
                pass
            finally:
                with self._lock:
                    self._open.discard(connection)

    def _answered(self, connection: socket.socket, asked: Asked) -> bool:
        with self._lock:
            self.asked.append(asked)
            answer = self.handler(asked) if self.handler else None
            if answer is None:
                answer = self.answers.pop(0) if self.answers else Answer(b"", close=True)
        if answer.wait is not None:
            answer.wait.wait(10)
        connection.sendall(answer.data)
        return not answer.close


def _ended(thread: threading.Thread) -> None:
    """Wait for a thread's end; one that goes on would disturb another test."""
    thread.join(20)
    assert not thread.is_alive()


def _read(stream) -> Asked | None:
    """Read a request, or None when the connection ends before its head does."""
    first = stream.readline()
    if not first.endswith(b"\n"):
        return None
    method, target, _ = first.decode().split(" ", 2)
    headers = {}
    while (line := stream.readline()) != b"\r\n":
        if not line.endswith(b"\n"):
            return None
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return Asked(method, target, headers, stream.read(int(headers.get("content-length", 0))))
