"""The HTTP server in a thread of its own, on loopback and nowhere else."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 30.0
_LAST_PORT: Final = 65_535


class Server:
    """A socket that is open from the start, and the thread that answers on it.

    :param port: 0 takes a free one, which :attr:`port` then holds
    :raises ValueError: for a number that no port has
    """

    def __init__(self, port: int) -> None:
        if not 0 <= port <= _LAST_PORT:
            raise ValueError(f"port is a whole number from 0 to {_LAST_PORT}, not {port}")
        # With its protocol named, so that asyncio turns Nagle's algorithm off: else each reply's body waits 40 ms.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self._socket.listen(128)
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port."""
        return int(self._socket.getsockname()[1])

    def start(self, app: ASGIApp, *, certificate: tuple[Path, Path] | None = None) -> None:
        """Answer calls with an application, from now on."""
        config = uvicorn.Config(
            app,
            # What is installed everywhere, so that the org is the same everywhere; httptools was not measurably faster.
            http="h11",
            loop="asyncio",
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,  # the org has a clock of its own
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
            ssl_certfile=str(certificate[0]) if certificate else None,
            ssl_keyfile=str(certificate[1]) if certificate else None,
        )
        server = self._server = _Server(config)
        self._thread = threading.Thread(
            target=server.run, kwargs={"sockets": [self._socket]}, name="local-org-http", daemon=True
        )
        self._thread.start()
        if not server.up.wait(_START_SECONDS) or not server.started:
            raise RuntimeError("the local org's HTTP server did not start; its log says why")

    def stop(self) -> None:
        """Stop answering and close the socket."""
        if self._server is not None and self._thread is not None:
            self._server.end()
            self._thread.join()
        self._socket.close()


class _Server(uvicorn.Server):
    """Signals that it has started, or failed to, and stops at once when asked to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    def end(self) -> None:
        """End, from another thread."""
        self.should_exit = True
        if self._loop is not None:
            # The loop may see the flag by itself, and be closed before it is woken.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._ending.set)

    async def main_loop(self) -> None:
        """Do uvicorn's regular work every tenth of a second, and end without waiting for the next one.

        A test suite starts and ends an org for each test: what is saved here is half of what an org costs.
        """
        self._loop = asyncio.get_running_loop()
        ticks = 0
        while not await self.on_tick(ticks):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 0.1)
            ticks += 1

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections: those at rest at once, the others when they have had their answer or the time is up.

        uvicorn does the same, but looks only every tenth of a second whether all have ended.
        """
        for server in self.servers:
            server.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # closed transports notify their protocols in the loop's next round
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.tasks:
                    await asyncio.sleep(0.005)
        for task in self.server_state.tasks:
            task.cancel()
        # With TLS also those whose other end does not answer, which would be left open.
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
