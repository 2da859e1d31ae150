"""Servers that take their time: real sockets, real budgets. A healthy one is waited for, one that drips is not."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from functools import cache

import pytest

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.auth import oauth
from airflow_provider_sfbulk.client.effects import Body
from airflow_provider_sfbulk.client.http import gunzip
from airflow_provider_sfbulk.client.http.exchange import Memory
from airflow_provider_sfbulk.client.http.time_limit import SLOWEST, TimeLimit, TooSlowError
from airflow_provider_sfbulk.client.protocol.call import ApiCall, call, fetch
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.settings import Settings
from tests.client.http.outcome import one
from tests.client.http.raw_server import Answer, RawServer, reply, zipped

GET = ApiCall("GET", "/services/data/v66.0/x")
JOB_ID = "7508d000003QaLpAAK"
TIMEOUT = 0.5
LATE = 30
"""Times the time-out, on a machine that is busy with others; what drips would go on for hours."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"


class Drips(RawServer):
    """Sends a beginning at once, and then one piece after another, a while between them, until it is closed."""

    def __init__(self, start: bytes, piece: bytes, pause: float, pieces: int | None = None) -> None:
        super().__init__()
        self.start, self.piece, self.pause, self.pieces = start, piece, pause, pieces
        self.over = threading.Event()

    def _answered(self, connection, asked) -> bool:
        connection.sendall(self.start)
        sent = 0
        while sent != self.pieces and not self.over.wait(self.pause):
            connection.sendall(self.piece)
            sent += 1
        return False

    def close(self) -> None:
        self.over.set()
        super().close()


class Nothing:
    """A sink that only counts."""

    size = 0

    def start(self, reply):
        self.size = 0

    def write(self, data):
        self.size += len(data)

    def finish(self):
        pass

    def discard(self):
        pass


def driver_of(make, server, timeout=TIMEOUT):
    return make(Settings.from_mapping({"access_token": "t", "instance_url": server.url, "timeout": timeout}))


DRIPS = {
    "Content-Length": (HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
    "read to close": (HEAD + b"Connection: close\r\n\r\n", b"a"),
    "chunked": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    "chunks without end": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 3),
    "after a burst": (HEAD + b"Content-Length: 9000000\r\n\r\n" + b"a" * 3_000_000, b"a"),
    "gzip": (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n" + zipped(b"a" * 90000)[:15], b"\0"),
    "head": (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "status line": (b"HTTP", b"/"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "extensions of a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x=y;"),
    "the next chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", b"0"),
    "an empty line": (HEAD + b"Content-Length: 9\r\n", b"X: y\r\n"),
    "nothing at all": (b"", b""),
    "trailers": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"x"),
}


@pytest.mark.parametrize("kind", DRIPS)
@pytest.mark.parametrize("way", ["memory", "sink"])
def test_a_reply_that_drips_is_given_up(make, kind, way):
    server = Drips(*DRIPS[kind], pause=0.05)
    driver = driver_of(make, server)
    begun = time.monotonic()
    try:
        with pytest.raises(errors.TransportError) as caught:
            one(driver, call(GET) if way == "memory" else fetch(GET, Nothing()))
    finally:
        server.close()
    assert time.monotonic() - begun < TIMEOUT * LATE
    assert caught.value.sent is True
    assert re.search(r"in \d+\.\d s", str(caught.value))


def test_a_refusal_that_drips_is_given_up(make):
    server = Drips(b"HTTP/1.1 500 Oh\r\nContent-Length: 9999\r\n\r\n", b"a", 0.05)
    try:
        with pytest.raises(errors.TransportError):
            one(driver_of(make, server), call(GET))
    finally:
        server.close()


def test_100_continue_without_a_pause_ends_too(make):
    server = Drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0)
    begun = time.monotonic()
    try:
        with pytest.raises(errors.TransportError):
            one(driver_of(make, server), call(GET))
    finally:
        server.close()
    assert time.monotonic() - begun < TIMEOUT * LATE


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "trailers": (CHUNKED + b"1\r\na\r\n0\r\n", b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000),
    "a trailer": (CHUNKED + b"1\r\na\r\n0\r\nX: ", b"y" * 100_000),
    "extensions of a chunk": (CHUNKED + b"1;", b"x=y;" * 10_000),
    "extensions of every chunk": (CHUNKED, (b"1;" + b"x" * 60_000 + b"\r\na\r\n") * 4),
    "a size": (CHUNKED, b"0" * 100_000),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 100_000),
    "a status line": (b"HTTP/1.1 200 ", b"O" * 100_000),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_reply_that_is_never_a_body_is_given_up_however_fast_it_comes(make, kind):
    server = Drips(*FLOODS[kind], pause=0)
    begun = time.monotonic()
    try:
        with pytest.raises(errors.TransportError):
            one(driver_of(make, server, timeout=TIMEOUT * 10), fetch(GET, Nothing()))
    finally:
        server.close()
    assert time.monotonic() - begun < TIMEOUT * LATE


CUT = {
    "before the head": b"",
    "within the status line": b"HTTP/1.",
    "within the head": b"HTTP/1.1 200 OK\r\nContent-",
    "within the body": HEAD + b"Content-Length: 9\r\n\r\nabc",
    "within a chunk": CHUNKED + b"5\r\nab",
    "after a chunk": CHUNKED + b"2\r\nab\r\n",
    "within trailers": CHUNKED + b"2\r\nab\r\n0\r\nX: y",
    "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("way", ["closed", "reset"])
@pytest.mark.parametrize("place", CUT)
def test_a_connection_that_ends_within_a_reply_is_no_reply(make, place, way):
    class Cuts(RawServer):
        def _answered(self, connection, asked) -> bool:
            connection.sendall(CUT[place])
            if way == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False

    server = Cuts()
    try:
        if place == "within trailers" and way == "closed":
            return  # the body is whole: one library says so, the other does not
        with pytest.raises(errors.TransportError):
            one(driver_of(make, server), call(GET))
    finally:
        server.close()


@pytest.mark.parametrize("flow", ["client_credentials", "soap_login"])
def test_a_login_that_drips_is_given_up(make, flow, monkeypatch):
    monkeypatch.setattr(oauth, "LOGIN_TRIES", 1)
    server = Drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"{", 0.05)
    given = {"client_credentials": {"client_id": "c", "client_secret": "secret"},
             "soap_login": {"login": "u", "password": "secret"}}[flow]  # fmt: skip
    begun = time.monotonic()
    try:
        driver = make(Settings.from_mapping({"host": server.url, "auth_flow": flow, "timeout": TIMEOUT, **given}))
        with pytest.raises(errors.TransportError, match=r"in \d+\.\d s"):
            one(driver, call(GET))
    finally:
        server.close()
    assert time.monotonic() - begun < TIMEOUT * LATE


@pytest.mark.parametrize("framing", [b"Content-Length: %d\r\n\r\n", b"Connection: close\r\n\r\n"])
def test_a_slow_healthy_download_of_100_mb_is_waited_for(make, framing):
    pieces, piece = 100, b"a" * 1_000_000
    head = framing % (pieces * len(piece)) if b"%d" in framing else framing
    server = Drips(HEAD + head, piece, 0.02, pieces)
    sink = Nothing()
    begun = time.monotonic()
    try:
        one(driver_of(make, server, timeout=TIMEOUT * 2), fetch(GET, sink))
    finally:
        server.close()
    assert sink.size == 100_000_000
    assert time.monotonic() - begun > TIMEOUT * 3  # many times the credit it began with


def test_a_slow_sink_is_not_the_servers_fault(make):
    class Slow(Nothing):
        def write(self, data):
            super().write(data)
            time.sleep(TIMEOUT * 1.5 if self.size < 2_000_000 else 0)

    server = Drips(HEAD + b"Content-Length: 3000000\r\n\r\n", b"a" * 100_000, 0, 30)
    sink = Slow()
    try:
        one(driver_of(make, server), fetch(GET, sink))
    finally:
        server.close()
    assert sink.size == 3_000_000


class Deaf(RawServer):
    """Accepts a connection and reads nothing of it."""

    def _serve(self, connection) -> None:
        self._closing.wait(20)
        connection.close()


def test_an_upload_that_nobody_takes_is_given_up(make):
    server = Deaf()
    data = b"a" * 50_000_000
    body = Body(lambda: (data[at : at + 1_000_000] for at in range(0, len(data), 1_000_000)), len(data), "text/csv")
    begun = time.monotonic()
    try:
        with pytest.raises(errors.TransportError) as caught:
            one(driver_of(make, server), IngestCalls("66.0").upload(JOB_ID, body))
    finally:
        server.close()
    assert caught.value.sent is True
    # What the kernel's own buffers took has brought some seconds back, never more than there was at first.
    assert time.monotonic() - begun < TIMEOUT * LATE


@cache
def bomb(byte: bytes) -> bytes:
    """A hundred million of a byte, zipped: that takes longer than to refuse it."""
    return zipped(byte * 100_000_000)


def test_a_refusal_without_end_says_its_status(make, server):
    server.answers = [reply(b"<b/>" * 7_000_000, "503 Busy", Content_Type="text/xml")]
    with pytest.raises(errors.ServerBusyError, match="503"):
        one(make(server.url), call(GET))
    server.answers = [reply(bomb(b"["), "400 Bad Request", Content_Encoding="gzip")]
    with pytest.raises(errors.RequestRefusedError, match="400"):
        one(make(server.url), call(GET))


def test_a_download_that_unpacks_to_a_thousand_times_its_size_is_refused_once(make, server):
    server.handler = lambda asked: reply(bomb(b"a"), Content_Encoding="gzip")
    sink = Nothing()
    with pytest.raises(errors.ProtocolError, match="250 times"):
        one(make(server.url), fetch(GET, sink))
    assert sink.size <= gunzip.FREE_BYTES
    assert len(server.asked) == 1


def test_rows_that_are_all_alike_are_no_bomb(make, server):
    rows = b'"false","","2024-01-01T00:00:00.000Z"\n' * 100_000
    server.answers = [reply(zipped(rows), Content_Encoding="gzip")]
    sink = Memory()
    one(make(server.url), fetch(GET, sink))
    assert sink.data == rows


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_credit_comes_back_by_bytes_and_never_beyond_what_there_was():
    clock = Clock()
    time_limit = TimeLimit(10.0, clock=clock)
    clock.now = 4.0
    assert time_limit.left() == 6.0
    time_limit.sent(SLOWEST * 3)
    assert time_limit.left() == 9.0
    time_limit.sent(SLOWEST * 3000)
    assert time_limit.left() == 10.0
    time_limit.received(SLOWEST * 3, 0.0)  # a head's bytes bring nothing back
    clock.now = 13.5
    assert time_limit.left() == 0.5
    time_limit.head_received()
    assert time_limit.left() == 10.0
    time_limit.received(1, 9.0)
    assert 1.0 < time_limit.left() < 1.1
    time_limit.received(1, 2.0)
    with pytest.raises(TooSlowError, match="2 bytes"):
        time_limit.left()


def test_a_body_ends_after_twenty_minutes_at_any_rate():
    clock = Clock()
    time_limit = TimeLimit(120.0, clock=clock)
    time_limit.head_received()
    for _ in range(20):
        time_limit.left()
        clock.now += 61
        time_limit.read(10_000_000)
        time_limit.received(10_000_000, 1.0)
    with pytest.raises(TooSlowError):
        time_limit.left()


@pytest.mark.parametrize("answer", [Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", close=False)])
def test_a_body_that_stops_is_given_up(make, server, answer):
    server.answers = [answer]
    begun = time.monotonic()
    with pytest.raises(errors.TransportError):
        one(driver_of(make, server), call(GET))
    assert time.monotonic() - begun < TIMEOUT * LATE
