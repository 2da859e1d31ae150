"""The HTTP server in a thread of its own, on loopback and nowhere else."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

HOST: Final = "127.0.0.1"
_START_SECONDS: Final = 30.0


class Server:
    """A socket that is open from the start, and the thread that answers on it.

    :param port: 0 takes a free one, which :attr:`port` then tells
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError:
            self._socket.close()
            raise
        self._socket.listen(128)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port."""
        return int(self._socket.getsockname()[1])

    def start(self, app: ASGIApp, *, certificate: tuple[Path, Path] | None = None) -> None:
        """Answer calls with an application, from now on."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
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
            self._server.should_exit = True
            self._thread.join()
        self._socket.close()


class _Server(uvicorn.Server):
    """Tells when it is up, or has failed to come up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.up.set()
