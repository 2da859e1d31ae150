"""A gate on loopback before a server: what lies behind it can be away, or be slow to answer, at any moment.

A server that is away refuses new connections and drops those there are; one whose reply is held has done what it was
asked, and the client does not know it yet.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

HOST: Final = "127.0.0.1"
PIECE_BYTES: Final = 64 * 1024
REQUEST: Final = re.compile(rb"[A-Z]+ ([^ ?]+)[^ ]* HTTP/1")
NOTHING: Final = re.compile(rb"(?!)")


class Gate:
    """Forwards connections to a port. Use it as a context manager.

    A reply that names the server's own address, as Salesforce's ``instance_url`` does, names the gate's instead: both
    ports have five digits.

    :param port: where the server listens
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"gate-{port}", daemon=True)
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._wanted = NOTHING
        self._is_halfway = False
        self.is_holding = threading.Event()
        """Whether a reply has come that is kept."""
        self.requests: list[tuple[float, bytes]] = []
        """When HTTP requests came, by the monotonic clock, with the path of each."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        """Where the gate listens."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        self._run(self._set_held(held=False))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def shut(self) -> None:
        """Be away: drop every connection and refuse new ones."""
        self._run(self._close())

    def open(self) -> None:
        """Be there again, at the same port."""
        self._run(self._listen())

    def hold(self, method: str, path: str, *, halfway: bool = False) -> None:
        """Keep the replies to HTTP requests from now on: of this method, to a path that the pattern finds.

        :param halfway: keep the second half of the request already, and drop it when the gate is released
        """
        self._wanted = re.compile(rb"%s [^ ]*%s[^ ]* HTTP" % (method.encode(), path.encode()))
        self._is_halfway = halfway
        self.is_holding.clear()
        self._run(self._set_held(held=True))

    def release(self) -> None:
        """Pass on what was kept, and everything from now on."""
        self._wanted = NOTHING
        self._run(self._set_held(held=False))

    def _run(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]

    async def _set_held(self, *, held: bool) -> None:
        if held:
            self._open.clear()
        else:
            self._open.set()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.CancelledError):
            await self._forward(reader, writer)
        writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection(HOST, self._target)
        asked = _Asked()
        pipes = [self._requests(reader, forth, asked), self._replies(back, writer, asked)]
        try:
            await asyncio.wait([asyncio.create_task(each) for each in pipes], return_when=asyncio.FIRST_COMPLETED)
        finally:
            forth.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, asked: _Asked) -> None:
        with suppress(OSError):
            while piece := await source.read(PIECE_BYTES):
                if begin := REQUEST.match(piece):
                    self.requests.append((time.monotonic(), begin[1]))
                asked.is_wanted = asked.is_wanted or self._wanted.match(piece) is not None
                if asked.is_wanted and self._is_halfway:
                    await self._send_half(piece, to)
                    return
                to.write(piece)
                await to.drain()

    async def _send_half(self, piece: bytes, to: asyncio.StreamWriter) -> None:
        head, end, body = piece.partition(b"\r\n\r\n")
        to.write(head + end + body[: len(body) // 2])
        await to.drain()
        self.is_holding.set()
        await self._open.wait()

    async def _replies(self, source: asyncio.StreamReader, to: asyncio.StreamWriter, asked: _Asked) -> None:
        with suppress(OSError):
            while piece := await source.read(PIECE_BYTES):
                if asked.is_wanted:
                    self.is_holding.set()
                    await self._open.wait()
                    asked.is_wanted = False
                to.write(piece.replace(b"%s:%d" % (HOST.encode(), self._target), b"%s:%d" % (HOST.encode(), self.port)))
                await to.drain()


@dataclass
class _Asked:
    """What one connection's last request was: clients send one at a time."""

    is_wanted: bool = False
