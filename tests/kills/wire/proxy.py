"""A proxy on loopback between one try and the org. It knows where requests and replies end, and strikes there."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import BinaryIO, Final, Self

from tests.kills.wire.framing import FramingError, Message, read_message
from tests.kills.wire.steps import Counting, Moment, Seen, Step, Strike, kind_of

HOST: Final = "127.0.0.1"
PATIENCE_SECONDS: Final = 30.0
"""Longest wait for something that is certain to come: beyond it a test fails."""

TAKE_IN_SECONDS: Final = 0.03
"""What a process gets to take in what it was sent before it is killed. The outcome is right also if it does not."""


class Proxy:
    """Forwards one try's requests, each whole, and strikes at one of them.

    :param port: the org's
    :param before_each: called before each request is forwarded, to let the org finish what it is at: so a load takes the
        same requests every time
    :param strike: None, or one at a ledger write, which is not seen here: only look on
    """

    def __init__(self, port: int, *, before_each: Callable[[], None], strike: Strike | None = None) -> None:
        self._org_port, self._before_each, self._strike = port, before_each, strike
        self._counting, self._lock = Counting(), threading.Lock()
        self._seen: list[Seen] = []
        self._connections: list[socket.socket] = []
        self._holds = False
        self.pid: Future[int] = Future()
        """The process to strike, to be set once it is known."""
        self.struck = threading.Event()
        self.thawed = threading.Event()
        """To be set when a frozen process runs on."""
        self.mistakes: list[Exception] = []
        self._socket = socket.create_server((HOST, 0))
        self._thread = threading.Thread(target=self._accept, name="kills-proxy", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self._socket.getsockname()[1]}"

    @property
    def seen(self) -> list[Seen]:
        """The requests that came, in their order."""
        with self._lock:
            return list(self._seen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._holds = True
        self.thawed.set()
        with suppress(OSError), socket.create_connection(self._socket.getsockname()[:2]):
            pass  # wakes the thread that accepts
        self._thread.join(PATIENCE_SECONDS)
        self._socket.close()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            client, _ = self._socket.accept()
            if self._holds and self.thawed.is_set():
                client.close()
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(client)
            threading.Thread(target=self._serve, args=(client,), name="kills-proxy", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Forward the requests of one connection, one after the other."""
        try:
            with client, socket.create_connection((HOST, self._org_port)) as org:
                org.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                requests, replies = client.makefile("rb"), org.makefile("rb")
                with requests, replies:
                    while (request := read_message(requests)) is not None:
                        if not self._forward(request, client, org, replies):
                            return
        except (OSError, FramingError):
            pass  # the process is gone, or the proxy ends: who cut it knows
        except Exception as error:
            self.mistakes.append(error)

    def _forward(self, request: Message, client: socket.socket, org: socket.socket, replies: BinaryIO) -> bool:
        """Forward one request and its reply. False: the connection is over."""
        place, step = self._note(request)
        moment = self._strike.moment if self._strike is not None and self._strike.step == step else None
        self._before_each()
        if self._holds:
            return self._ended(client)
        if moment is Moment.BEFORE:
            return self._kill(client)
        if moment is Moment.FROZEN:
            os.kill(self.pid.result(PATIENCE_SECONDS), signal.SIGSTOP)
            self.struck.set()
            self.thawed.wait()
        if moment is Moment.BODY:
            org.sendall(request.half())
            return self._kill(client)
        org.sendall(request.head + request.body)
        reply = read_message(replies)
        self._mark_done(place)
        if reply is None:
            return False
        if moment is Moment.APPLIED:
            return self._kill(client)
        if moment is Moment.REPLY:
            client.sendall(reply.half())
            return self._kill(client, after=TAKE_IN_SECONDS)
        if moment is Moment.AFTER:
            self._holds = True  # what it sends next stays unsent
            client.sendall(reply.head + reply.body)
            return self._kill(client, after=TAKE_IN_SECONDS)
        client.sendall(reply.head + reply.body)
        return True

    def _note(self, request: Message) -> tuple[int, Step]:
        method, target, _ = request.start
        kind, job_id = kind_of(method, target, request.body)
        with self._lock:
            step = self._counting.next(kind)
            self._seen.append(Seen(step, job_id=job_id, has_body=bool(request.body), done=False))
            return len(self._seen) - 1, step

    def _mark_done(self, place: int) -> None:
        with self._lock:
            self._seen[place] = replace(self._seen[place], done=True)

    def _kill(self, client: socket.socket, *, after: float = 0.0) -> bool:
        self._holds = True
        time.sleep(after)
        os.kill(self.pid.result(PATIENCE_SECONDS), signal.SIGKILL)
        self.struck.set()
        return self._ended(client)

    @staticmethod
    def _ended(client: socket.socket) -> bool:
        """Wait until the process is gone, so that it sees nothing of its connections' end."""
        while client.recv(65536):
            pass
        return False
