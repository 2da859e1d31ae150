"""One schedule: tries of one task that load the same rows, performed one effect at a time in a seeded order, with faults.

A *try* is what Airflow runs: find the load, fill, decide, close, wait, settle, note the success. Its flows (its own and
those that ``Concurrently`` runs) are *strands*. One step performs one strand's next effect, or lets something happen
outside: Salesforce processes a row, a request or a write arrives late. Every effect may meet a fault, until the faults are
used up; then a try that meets none must succeed, whatever was left lying about.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any, Final

from airflow_provider_sfbulk.client.effects import (
    Aside,
    Authorize,
    Body,
    Concurrently,
    Fetch,
    Now,
    ReadEntry,
    Reply,
    Request,
    Send,
    Sleep,
    Token,
    WriteEntry,
)
from airflow_provider_sfbulk.client.errors import FencedError, SfBulkError, TransportError
from airflow_provider_sfbulk.client.load import fill as ingest
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE
from tests.simulator.faults import EVERY, FAULTS
from tests.simulator.invariants import Violation, Witness, claim, name_of
from tests.simulator.salesforce.model import ERROR_REPLIES, HOST, Job, Salesforce
from tests.simulator.task import Running, Strand, Task, Try
from tests.simulator.world.store import Killed, Values

STEPS: Final = 5000
"""Steps after which a schedule has no end: far more than any needs."""


class Schedule:
    """A seeded schedule.

    :param seed: everything follows from it
    :param coverage: is given every (effect, fault) that happened
    """

    def __init__(self, seed: int, coverage: set[tuple[str, str]] | None = None) -> None:
        self.rng = Random(seed)
        self.events: list[str] = []
        self.coverage: set[tuple[str, str]] = set() if coverage is None else coverage
        self.org = Salesforce(self.rng)
        self.rows = [f"row{number}" for number in range(self.rng.randint(1, 6))]
        self.witness = Witness(self.org, self.rows)
        self._focus = EVERY[seed % len(EVERY)]
        self._states = Values()
        self._faults = self.rng.randint(1, 7)
        self._chance = self.rng.choice((0.03, 0.06, 0.15))
        self._task = Task(self.rows, self._states, self, self.witness, self.rng)
        self._tries: list[Try] = []
        self._later: list[tuple[str, Callable[[], Any]]] = []
        self._clock = 0.0
        self._steps = 0
        self._outcome: BaseException | str | None = None

    def run(self) -> None:
        """Run to the end.

        :raises Violation: something does not hold
        """
        self._begin_try()
        while self._outcome is None:
            self._step(None)
        if self._outcome == "success":
            self.witness.succeeded()
        while self._later or self.org.at_work or any(not each.is_over for each in self._tries):  # zombies too
            self._step(None)
        self.witness.rows()
        if self._outcome == "success":
            self.witness.succeeded()

    # What the store is offered

    def fault(self, effect: str, kinds: tuple[str, ...], number: int) -> str | None:
        """Choose a fault, or none."""
        if not self._faults or self._try(number).is_clean:
            return None
        if effect == self._focus[0] and self.rng.random() < 0.2:
            kind = self._focus[1]
        elif self.rng.random() < self._chance:
            kind = self.rng.choice(kinds)
        else:
            return None
        self._faults -= 1
        self.coverage.add((effect, kind))
        self._note(f"try {number}: {effect}: {kind}")
        return kind

    def freeze(self, number: int) -> None:
        """Let the try stand still while it is replaced and its successor runs on."""
        frozen = self._try(number)
        self._replace(frozen)
        frozen.is_busy = True
        for _ in range(self.rng.choice((5, 40, 150))):
            if self._outcome is None:
                self._step(frozen)
        frozen.is_busy = False

    def later(self, label: str, act: Callable[[], Any]) -> None:
        """Do something at some later step."""
        self._later.append((label, act))

    # Tries

    def _try(self, number: int) -> Try:
        return self._tries[number - 1]

    def _begin_try(self) -> None:
        self._states.current += 1
        one = Try(self._states.current, is_clean=not self._faults)
        self._tries.append(one)
        one.strands.append(Strand(self._task.run(one), one))
        self._note(f"try {one.number} begins" + (", without faults" if one.is_clean else ""))

    def _replace(self, old: Try) -> None:
        """Begin a try after ``old``, unless it has a successor."""
        if old.number == self._states.current and self._outcome is None:
            self._begin_try()

    def _freeze_until_later(self, frozen: Try) -> None:
        frozen.asleep_until = self._steps + self.rng.choice((5, 40, 150, 400))
        self._replace(frozen)

    def _kill(self, one: Try) -> None:
        self._note(f"try {one.number} is dead")
        one.is_over = True
        for strand in reversed(one.strands):
            if not strand.flow.gi_running:  # type: ignore[attr-defined]
                strand.flow.close()
        one.strands.clear()
        self._replace(one)

    def _end(self, one: Try, error: BaseException | None) -> None:
        self._note(f"try {one.number} ends: {'success' if error is None else f'{type(error).__name__}: {error}'}")
        one.is_over = True
        one.strands.clear()
        self.witness.ended(one.number, sum(not spool._closed for spool in one.spools))
        claim(error is None or isinstance(error, SfBulkError), f"an error without a name: {error!r}")
        if one.number != self._states.current:
            if error is None:  # it was replaced after the last look at its ledger
                self.witness.succeeded()
        elif error is None:
            self._outcome = "success"
        elif one.is_clean:
            self.witness.failed_for_good(error)
            self._outcome = error
        else:
            self._begin_try()

    # Steps

    def _step(self, frozen: Try | None) -> None:
        """Let one thing happen."""
        self._steps += 1
        claim(self._steps < STEPS, "no end")
        awake = [each for each in self._tries if not each.is_over and not each.is_busy]
        ready = [s for each in awake if each.asleep_until <= self._steps for s in each.strands if s.together is None]
        if (outside := len(self._later) + len(self.org.at_work)) and (not ready or self.rng.random() < 0.15):
            self._outside(self.rng.randrange(outside))
        elif ready:
            self._advance(self.rng.choice(ready))
        elif frozen is None and not awake and self._outcome is not None:
            raise Violation("somebody waits for nobody")

    def _outside(self, choice: int) -> None:
        if choice < len(self._later):
            label, act = self._later.pop(choice)
            self._note(f"late: {label}")
            act()
            return
        fault = self.fault("outside", FAULTS["outside"], self._states.current)
        if fault == "fail":
            self._note(f"job {self.org.fail()} fails")
        elif fault == "expire":
            self._note(f"job {self.org.expire()} is deleted")
        else:
            self._note(f"job {self.org.work()}")
        self.witness.rows()

    def _advance(self, strand: Strand) -> None:
        """Run a strand to its next effect, and perform that."""
        one = strand.owner
        value, error = strand.value, strand.error
        strand.value = strand.error = None
        try:
            try:
                effect = strand.flow.send(value) if error is None else strand.flow.throw(error)
            except StopIteration as end:
                self._finish(strand, end.value, None)
            except SfBulkError as raised:
                self._finish(strand, None, raised)
            else:
                self._answer(strand, effect)
        except Killed:
            self._kill(one)

    def _answer(self, strand: Strand, effect: Any) -> None:
        try:
            strand.value = self._perform(effect, strand)
        except SfBulkError as error:
            if isinstance(error, FencedError):
                self.witness.fenced(strand.owner.number)
            strand.error = error

    def _finish(self, strand: Strand, value: Any, error: BaseException | None) -> None:
        parent = strand.parent
        if parent is None:
            self._end(strand.owner, error)
            return
        strand.owner.strands.remove(strand)
        assert parent.together is not None
        parent.together.running -= 1
        parent.together.results[strand.place] = value
        parent.together.error = parent.together.error or error
        self._pull(parent)

    def _pull(self, strand: Strand) -> None:
        """Start as many flows of a ``Concurrently`` as there are places."""
        group = strand.together
        assert group is not None
        while group.error is None and group.running < group.limit:
            try:
                flow = next(group.waiting)
            except StopIteration:
                break
            except SfBulkError as error:
                group.error = error
                break
            group.results.append(None)
            group.running += 1
            strand.owner.strands.append(Strand(flow, strand.owner, strand, len(group.results) - 1))
        if not group.running:
            strand.value, strand.error, strand.together = group.results, group.error, None

    def _perform(self, effect: Any, strand: Strand) -> Any:
        one = strand.owner
        if isinstance(effect, Send | Fetch):
            return self._send(effect.request, strand)
        kind = type(effect).__name__.lower()
        fault = self.fault(kind, FAULTS[kind], one.number) if kind in FAULTS else None
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self._freeze_until_later(one)
        match effect:
            case Authorize(stale):
                if fault == "no_connection":
                    raise TransportError("no connection")
                if stale is not None and stale.access_token == one.token:
                    one.token = str(self.org.token)
                return Token(one.token, HOST)
            case Now():
                self._clock += 7200.0 if fault == "jump" else 0.01
                return self._clock
            case Sleep(seconds):
                self._clock += 0.0 if fault == "skipped" else seconds
            case ReadEntry(key):
                assert one.ledger is not None
                return one.ledger.recall(key)
            case WriteEntry(key, value):
                assert one.ledger is not None
                stands = one.ledger.record(key, value)
                self.witness.stands(one.number)
                self.witness.decided |= key.startswith(ingest.DECISION)
                self._note(f"try {one.number}: recorded {key}")
                return stands
            case Aside(act):
                act()
            case Concurrently(flows, limit):
                strand.together = Running(iter(flows), limit)
                self._pull(strand)
        return None

    def _send(self, request: Request, strand: Strand) -> Reply:
        one, what = strand.owner, name_of(request)
        fault = self.fault(what, FAULTS[what], one.number)
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self._freeze_until_later(one)
        if fault == "no_connection":
            error = TransportError("no connection")
            error.sent = False
            raise error
        self.witness.sends(one.number, request, alone=strand.parent is None)
        if fault == "session_over":
            self.org.token += 1
        frozen_body = _at_hand(request)
        if fault == "lost":
            raise TransportError("lost")
        if fault == "late":
            self.later(f"{what} of try {one.number}", lambda: self._apply(frozen_body, one.number))
            raise TransportError("late")
        if fault in ERROR_REPLIES:
            return ERROR_REPLIES[fault]
        reply = self._apply(frozen_body, one.number)
        if fault == "duplicate":
            if what == "upload":
                self.witness.doubled_uploads.add(request.url.split("/")[-2])
            self.later(f"{what} of try {one.number} again", lambda: self._apply(frozen_body, one.number))
        if fault == "kill_after":
            raise Killed
        if fault == "reply_lost":
            raise TransportError("reply lost")
        if fault == "delayed":
            one.asleep_until = self._steps + self.rng.randint(1, 30)
        if fault is not None and fault.endswith("_applied"):
            return ERROR_REPLIES[fault.removesuffix("_applied")]
        return reply

    def _apply(self, request: Request, number: int) -> Reply:
        before = {job.id: copy.copy(job) for job in self.org.jobs.values()}
        reply = self.org.handle(request)
        self._note(f"try {number}: {name_of(request)} {request.url.removeprefix(HOST)[-30:]} {reply.status}")
        for job in self.org.jobs.values():
            self.witness.applied(job, before.get(job.id, Job(job.id)))
        return reply

    def _note(self, event: str) -> None:
        self.events.append(f"{self._steps:4} {event}")


def _at_hand(request: Request) -> Request:
    """Give the request with its body in memory: it may arrive when the part is closed."""
    if request.body is None:
        return request
    data = b"".join(request.body.chunks())
    return Request(request.method, request.url, request.query, request.headers, Body.of(data, CONTENT_TYPE))


def run(seed: int, coverage: set[tuple[str, str]] | None = None) -> Schedule:
    """Run the schedule of a seed.

    :raises Violation: with the seed and the schedule's events
    """
    schedule = Schedule(seed, coverage)
    try:
        schedule.run()
    except (Violation, AssertionError) as broken:
        told = "\n".join(schedule.events)
        raise Violation(f"seed {seed}: {broken}\nrows {schedule.rows}\n{told}") from broken
    return schedule
