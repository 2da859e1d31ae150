"""The task of the simulator: what the operator does in one try, with the real flows and the real ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import numpy as np

from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.csv.dialect import Dialect
from airflow_provider_sfbulk.client.effects import Body, Flow, ReadEntry
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.load import fill as ingest
from airflow_provider_sfbulk.client.load.part_end import part_ends
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE, Part, Spool
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec
from airflow_provider_sfbulk.client.waiting.wait import check_complete, wait_until_final
from airflow_provider_sfbulk.task.ledger import TaskLedger
from tests.simulator.invariants import Witness, claim
from tests.simulator.world.store import Faults, Killed, Store, Values

READ_FAULTS: Final = ("bad_input", "freeze", "kill_before")
"""What may happen when the next part of the input is read."""


@dataclass(eq=False)
class Strand:
    """One flow of a try, and what it will be sent next."""

    flow: Flow[Any]
    owner: Try
    parent: Strand | None = None
    place: int = 0
    value: Any = None
    error: BaseException | None = None
    together: Running | None = None


@dataclass
class Running:
    """A ``Concurrently`` at work."""

    waiting: Iterator[Flow[Any]]
    limit: int
    results: list[Any] = field(default_factory=list)
    running: int = 0
    error: BaseException | None = None


@dataclass(eq=False)
class Try:
    """One try of the task."""

    number: int
    is_clean: bool
    asleep_until: int = 0
    is_busy: bool = False
    is_over: bool = False
    strands: list[Strand] = field(default_factory=list)
    spools: list[Spool] = field(default_factory=list)
    token: str = "0"
    ledger: TaskLedger | None = None


def _of(rows: list[str], chosen: ChosenRows) -> list[str]:
    return [row for row, is_sent in zip(rows, np.unpackbits(chosen.bits, count=chosen.rows), strict=True) if is_sent]


class Task:
    """One task of one run, over all its tries.

    :param rows: the input
    :param states: what Airflow keeps for it
    :param faults: what its store and its input meet
    """

    def __init__(self, rows: list[str], states: Values, faults: Faults, witness: Witness, rng: Random) -> None:
        self._rows, self._states, self._faults, self._witness, self._rng = rows, states, faults, witness, rng
        self._part_records = rng.randint(1, 3)
        # By numbers of its own: a seed gives the schedule that it gave before there was this.
        self._chances = Random()
        self._chances.setstate(rng.getstate())
        self._differs = self._chances.random() < 0.3
        self._usual = [self._chances.random() < 0.5 for _ in rows]

    def run(self, one: Try) -> Flow[None]:
        """What the operator does, deferral included."""
        jobs = IngestCalls("66.0")
        ledger = self._ledger(one)
        ledger.begin_load()
        if ledger.decision is not None:
            self._witness.decided = True
        if (done := ledger.done) is not None:
            ledger.finish(done["result"])
            return
        note: dict[str, Any] = {}
        rows = list(self._rows)
        if self._differs:
            chosen = self._compared()
            note = {"compared": chosen.to_dict()}
            rows = _of(rows, chosen)
        parts = self._parts(one, rows)
        spec, limit = IngestSpec("Account", "insert"), self._rng.randint(1, 3)
        filled = yield from ingest.load(jobs, spec, parts, limit=limit, note=note)
        if self._rng.random() < 0.3:  # deferred, and taken up by another process
            ledger = self._ledger(one)
            ledger.resume()
            filled = yield from ingest.recorded()
        if self._differs:
            decided = yield ReadEntry(f"{ingest.DECISION}0")
            claim(decided is not None, "nothing says which rows a decided load sends")
            self._witness.sent_only(_of(self._rows, ChosenRows.from_dict(decided["compared"])))
        infos = yield from wait_until_final(jobs, [each.job_id for each in filled])
        part_ends(filled, infos)
        for info in infos:
            check_complete(info)
        ledger.finish()

    def _ledger(self, one: Try) -> TaskLedger:
        store = Store(self._states, one.number, self._faults)
        one.ledger = TaskLedger(store, try_number=one.number, clears=0)
        return one.ledger

    def _compared(self) -> ChosenRows:
        """Compare the rows with the org's, which may be others than for the try before: some row differs in any case."""
        rows = len(self._rows)
        usual = self._chances.random() < 0.5
        is_sent = self._usual if usual else [self._chances.random() < 0.5 for _ in range(rows)]
        return ChosenRows.of(np.array(is_sent if any(is_sent) else [True] * rows))

    def _parts(self, one: Try, rows: list[str]) -> Iterator[Part]:
        """Cut the input, sometimes otherwise than another try did: the same rows in another order or other sizes."""
        size = self._part_records
        if not one.is_clean and self._rng.random() < 0.3:
            self._rng.shuffle(rows)
            size = self._rng.randint(1, 3)
        for number, first in enumerate(range(0, len(rows), size)):
            fault = self._faults.fault("read", READ_FAULTS, one.number)
            if fault == "bad_input":
                raise SourceError(f"row {first + 1} is wrong")
            if fault == "kill_before":
                raise Killed
            if fault == "freeze":
                self._faults.freeze(one.number)
            data = "\n".join(["Name", *rows[first : first + size], ""]).encode()
            spool = Spool()
            spool.write(data)
            one.spools.append(spool)
            body = Body(spool.chunks, spool.length, CONTENT_TYPE)
            digest = hashlib.sha256(data).hexdigest()
            yield Part(number, first + 1, len(rows[first : first + size]), len(data), digest, body, Dialect(), spool)
