"""Runs flows with no socket and no clock: each request is answered from a list."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from airflow_provider_sfbulk.client import errors
from airflow_provider_sfbulk.client.effects import (
    Aside,
    Authorize,
    Concurrently,
    Fetch,
    Flow,
    Now,
    Reply,
    Request,
    Send,
    Sleep,
    Token,
)

JSON = {"content-type": "application/json;charset=UTF-8"}
CSV = {"content-type": "text/csv; charset=UTF-8"}
JOB_ID = "7508d000003QaLpAAK"


def ok(data: Any, status: int = 200) -> Reply:
    return Reply(status, JSON, json.dumps(data).encode())


def refused(status: int, code: str, message: str = "because") -> Reply:
    return Reply(status, JSON, json.dumps([{"errorCode": code, "message": message}]).encode())


def not_sent() -> errors.TransportError:
    error = errors.TransportError("no connection")
    error.sent = False
    return error


def job(state: str = "Open", job_id: str = JOB_ID, **more: Any) -> dict[str, Any]:
    return {"id": job_id, "state": state, "operation": "insert", "object": "Account", **more}


def page(rows: int, locator: str | None, *, header: bytes = b'"Id"\n', **headers: str) -> Reply:
    body = header + b'"x"\n' * rows
    own = {**CSV, "sforce-numberofrecords": str(rows), "sforce-locator": locator or "null"}
    return Reply(200, {**own, **headers}, body)


class Kept:
    """A sink that keeps what was finished."""

    def __init__(self, problems: Iterable[Exception | None] = ()) -> None:
        self.data: bytes | None = None
        self._parts: list[bytes] = []
        self._problems = list(problems)
        self.starts = 0
        self.discards = 0

    def start(self, reply: Reply) -> None:
        self.starts += 1
        self._parts = []

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def finish(self) -> None:
        problem = self._problems.pop(0) if self._problems else None
        if problem is not None:
            raise problem
        self.data = b"".join(self._parts)

    def discard(self) -> None:
        self.discards += 1
        self._parts = []


class Hand:
    """Performs effects. ``replies`` holds a ``Reply`` or an exception for each request."""

    def __init__(self, replies: Iterable[Reply | Exception]) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.sleeps: list[Sleep] = []
        self.logins: list[Token | None] = []
        self.login_error: Exception | None = None
        self.now = 0.0

    def run(self, flow: Flow[Any]) -> Any:
        result: Any = None
        error: Exception | None = None
        while True:
            try:
                effect = flow.send(result) if error is None else flow.throw(error)
            except StopIteration as end:
                return end.value
            result = error = None
            try:
                result = self.perform(effect)
            except Exception as raised:
                error = raised

    def perform(self, effect: Any) -> Any:
        match effect:
            case Authorize(stale):
                self.logins.append(stale)
                if self.login_error is not None:
                    raise self.login_error
                return Token(f"token{len(self.logins)}" if stale else "token0", "https://acme.my.salesforce.com")
            case Now():
                return self.now
            case Aside(act):
                act()
                return None
            case Sleep(seconds):
                self.sleeps.append(effect)
                self.now += seconds
                return None
            case Send(request) | Fetch(request):
                return self.answer(request, effect.sink if isinstance(effect, Fetch) else None)
            case Concurrently(flows):
                return [self.run(flow) for flow in flows]
        raise AssertionError(effect)

    def answer(self, request: Request, sink: Any) -> Reply:
        self.requests.append(request)
        assert self.replies, f"one request too many: {request.method} {request.url}"
        reply = self.replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if sink is None or reply.status != 200:
            return reply
        try:
            sink.start(Reply(reply.status, reply.headers))
            sink.write(reply.body)
            sink.finish()
        except Exception:
            sink.discard()
            raise
        return Reply(reply.status, reply.headers)

    @property
    def calls(self) -> list[str]:
        return [f"{each.method} {each.url.partition('.com')[2]}" for each in self.requests]
