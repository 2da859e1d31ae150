"""A driver for whole operators: it performs a flow's effects against the model, in place of ``BlockingDriver``.

Before each effect it gives the baton back. Flows that a ``Concurrently`` runs are strands of the one process: an effect of
one, then an effect of another.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.effects import (
    Aside,
    Authorize,
    Body,
    Concurrently,
    Fetch,
    Flow,
    Ledger,
    Now,
    ReadEntry,
    Reply,
    Request,
    Send,
    Sink,
    Sleep,
    Token,
    WriteEntry,
)
from airflow_provider_sfbulk.client.errors import FencedError, StoppedError, TransportError
from airflow_provider_sfbulk.client.http.exchange import Upload
from airflow_provider_sfbulk.client.http.memory_ledger import MemoryLedger
from tests.simulator.faults import OPERATOR_FAULTS
from tests.simulator.invariants import name_of
from tests.simulator.salesforce.model import DESCRIBE, ERROR_REPLIES, HOST, JOBS, QUERIES, resource_of
from tests.simulator.world.processes import Process, World
from tests.simulator.world.store import Killed

_OF_QUERIES: Final = {"POST": "submit", "PATCH": "abort"}
_PAGES: Final = {"results": "page", "resultPages": "list_pages"}


class SimulatedDriver:
    """Runs the flows of one process."""

    def __init__(self, process: Process, world: World) -> None:
        self.calls = 0
        self.usage = None
        self._process, self._world = process, world
        self._token = "0"
        self._stopped: StoppedError | None = None
        self._depth = 0

    def run(self, flow: Flow[Any], *, ledger: Ledger | None = None) -> Any:
        """Run a flow to its end."""
        ledger = ledger or MemoryLedger()
        strand = _Strand(flow)
        while not strand.is_over:
            self._advance(strand, ledger)
        if strand.error is not None:
            raise strand.error
        return strand.value

    def stop(self, reason: str = "stopped") -> None:
        """End every flow at its next effect."""
        self._stopped = StoppedError(reason)

    def close(self) -> None:
        """There is no connection to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _advance(self, strand: _Strand, ledger: Ledger) -> None:
        """Run a flow to its next effect, and perform that."""
        value, error = strand.value, strand.error
        strand.value = strand.error = None
        try:
            effect = strand.flow.send(value) if error is None else strand.flow.throw(error)
        except StopIteration as end:
            strand.value, strand.is_over = end.value, True
            return
        except BaseException as raised:
            strand.error, strand.is_over = raised, True
            return
        try:
            strand.value = self._perform(effect, ledger)
        except BaseException as raised:  # also a kill, as in the real driver
            strand.error = raised

    def _perform(self, effect: Any, ledger: Ledger) -> Any:
        self._check()
        match effect:
            case Send(request):
                return self._exchange(request, None)
            case Fetch(request, sink):
                return self._exchange(request, sink)
            case Authorize(stale):
                if self._begin("authorize") == "no_connection":
                    raise TransportError("no connection")
                if stale is not None and stale.access_token == self._token:
                    self._token = str(self._world.org.token)
                return Token(self._token, HOST)
            case Sleep(seconds, jitter):
                fault = self._begin("sleep")
                self._check()  # told to end meanwhile: it does not sleep at all
                self._world.clock += 0.0 if fault == "skipped" else seconds * (1.0 - jitter * self._world.chance())
                self._world.nap(self._process, seconds)
                self._check()
            case Now():
                self._world.clock += 7200.0 if self._begin("now") == "jump" else 0.01
                return self._world.clock
            case ReadEntry(key):
                return ledger.recall(key)
            case WriteEntry(key, value):
                try:
                    return ledger.record(key, value)
                except FencedError:
                    self._world.fenced(self._process.number)
                    raise
            case Aside(act):
                act()
            case Concurrently(flows, limit):
                self._begin("concurrently")
                self._depth += 1
                try:
                    return self._together(flows, limit, ledger)
                finally:
                    self._depth -= 1
        return None

    def _together(self, flows: Iterable[Flow[Any]], limit: int, ledger: Ledger) -> list[Any]:
        waiting = iter(flows)
        strands: list[_Strand] = []
        first: BaseException | None = None
        while True:
            running = [strand for strand in strands if not strand.is_over]
            while first is None and len(running) < max(1, limit):
                try:
                    strands.append(_Strand(next(waiting)))
                except StopIteration:
                    waiting = iter(())
                    break
                except BaseException as error:
                    first = error
                else:
                    running.append(strands[-1])
            if not running:
                break
            chosen = running[int(self._world.chance() * len(running))]
            self._advance(chosen, ledger)
            if chosen.is_over:
                first = first or chosen.error
        if first is not None:
            raise first
        return [strand.value for strand in strands]

    def _check(self) -> None:
        if self._stopped is not None:
            raise copy.copy(self._stopped)

    def _begin(self, what: str) -> str | None:
        """Give the baton back before an effect, and meet the faults that are alike for all."""
        fault = self._world.fault(what, OPERATOR_FAULTS[what], self._process.number)
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self._world.freeze(self._process.number)
        return fault

    def _exchange(self, request: Request, sink: Sink | None) -> Reply:
        what = kind_of(request)
        fault = self._begin(what)
        if fault == "no_connection":
            unsent = TransportError("no connection")
            unsent.sent = False
            raise unsent
        self.calls += 1
        self._process.calls.append(what)
        world, number = self._world, self._process.number
        if fault == "session_over":
            world.org.token += 1
        sent = _at_hand(request)
        world.sends(self._process, sent, what, alone=not self._depth)
        if fault == "late":
            world.later(f"{what} of try {number}", lambda: world.apply(sent, what, number))
        if fault in ("lost", "late"):
            raise TransportError(fault)
        reply = ERROR_REPLIES.get(fault or "") or world.apply(sent, what, number)
        if fault == "duplicate":
            world.later(f"{what} of try {number} again", lambda: world.apply(sent, what, number))
        if fault == "kill_after":
            raise Killed
        if fault == "reply_lost":
            raise TransportError("reply lost")
        if fault == "delayed":
            world.nap(self._process, 10.0)
        if fault is not None and fault.endswith("_applied"):
            reply = ERROR_REPLIES[fault.removesuffix("_applied")]
        if sink is None or reply.status != 200:
            return reply
        if fault == "other_header" and what == "page" and dict(request.query).get("locator", "0").startswith("0"):
            fault = "cut_unseen"  # of a first page nobody could tell
        return self._deliver(reply, sink, fault)

    def _deliver(self, reply: Reply, sink: Sink, fault: str | None) -> Reply:
        """Give a body to a sink, whole or not: as ``drivers.exchange.Receiver`` does."""
        head = Reply(reply.status, reply.headers)
        body = reply.body
        if fault in ("cut", "cut_unseen"):
            body = body[: int(len(body) * self._world.chance())]
        elif fault == "rows_missing":
            body = body[: body.rstrip(b"\n").rfind(b"\n") + 1]
        elif fault == "other_header":
            body = b'"Other",' + body
        try:
            sink.start(head)
            middle = len(body) // 2
            for piece in (body[:middle], body[middle:]):
                sink.write(piece)
            if fault == "cut":
                raise TransportError("no complete reply was received")
            sink.finish()
        except BaseException:
            with suppress(Exception):
                sink.discard()
            raise
        return head


class TriggerersDriver:
    """The same for a trigger, in place of ``AsyncDriver``. It never waits in the event loop's sense."""

    def __init__(self, driver: SimulatedDriver, api_version: str) -> None:
        self._driver = driver
        self.api_version = api_version

    @property
    def calls(self) -> int:
        """API calls sent so far."""
        return self._driver.calls

    async def run(self, flow: Flow[Any]) -> Any:
        """Run a flow to its end."""
        return self._driver.run(flow)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._driver.close()


class _Strand:
    """One flow, and what it will be sent next."""

    def __init__(self, flow: Flow[Any]) -> None:
        self.flow = flow
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_over = False


def kind_of(request: Request) -> str:
    """Say what a request of an operator is."""
    _, path = resource_of(request)
    if path == DESCRIBE:
        return "describe"
    if path.startswith(QUERIES):
        return _OF_QUERIES.get(request.method) or _PAGES.get(path.rpartition("/")[2], "look")
    return "download" if request.method == "GET" and path.removeprefix(JOBS).count("/") == 2 else name_of(request)


def _at_hand(request: Request) -> Request:
    """Give the request with its body in memory: it may arrive when the part is closed."""
    if request.body is None:
        return request
    data = b"".join(Upload(request.body))
    return Request(
        request.method, request.url, request.query, request.headers, Body.of(data, request.body.content_type)
    )
