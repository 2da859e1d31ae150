"""Where a try can die: its steps towards the world, and the moments of each.

A step is told by what it is and how manyth of its kind, not by its place in the order: what runs at the same time comes in
any order.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

WRITE: Final = "ledger write"
"""What a write to the task state store is called."""

FILE: Final = "file"
"""What is called so: a file that appears under its name, gets another one, or goes."""

OWN: Final = (WRITE, FILE)
"""The steps that are not HTTP: a process strikes itself there."""

LOGIN: Final = "POST oauth2/token"
CREATE: Final = "POST jobs/ingest"
UPLOAD: Final = "PUT jobs/ingest/{id}/batches"
CLOSE: Final = "PATCH jobs/ingest/{id} UploadComplete"
LOOK: Final = "GET jobs/ingest/{id}"
QUERY: Final = "POST jobs/query"
QUERY_LOOK: Final = "GET jobs/query/{id}"
PAGE_LIST: Final = "GET jobs/query/{id}/resultPages"
PAGE: Final = "GET jobs/query/{id}/results"

_VERSION: Final = re.compile(r"^/services/(data/v\d+\.\d/)?")
_ID: Final = re.compile(r"\b[0-9a-zA-Z]{15}(?:[0-9a-zA-Z]{3})?(?=/|$)")

_STATE: Final = re.compile(rb'^\{"state":"(\w+)"\}$')


class Moment(StrEnum):
    """When, within a step, the process dies or stands still."""

    BEFORE = "before"
    """The request is not sent, the write or the file's change not done."""
    BODY = "body"
    """The org has the headers and half the body of the request."""
    APPLIED = "applied"
    """The org has done it, and not a byte of the reply is on its way."""
    REPLY = "reply"
    """Half the reply is there."""
    AFTER = "after"
    """The whole reply is there and taken in; the write or the file's change is done."""
    FROZEN = "frozen"
    """The process stands still, a newer try runs to its end, and then it wakes up: request or write come late."""
    FROZEN_AFTER = "frozen after"
    """As ``FROZEN``, between a write, or a file's change, and what follows it."""


FREEZING: Final = (Moment.FROZEN, Moment.FROZEN_AFTER)
KILLING: Final = tuple(moment for moment in Moment if moment not in FREEZING)


@dataclass(frozen=True)
class Step:
    """The ``number``-th (from 1) request, write or file's change of a kind.

    :param kind: as ``PUT jobs/ingest/{id}/batches`` and ``PATCH jobs/ingest/{id} UploadComplete``, or one of ``OWN``
    """

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind} #{self.number}"


@dataclass(frozen=True)
class Seen:
    """A step that was seen.

    :param job_id: the job in its path
    :param has_body: whether the request carries something
    :param done: whether the org got it whole
    """

    step: Step
    job_id: str | None = None
    has_body: bool = False
    done: bool = True

    @property
    def moments(self) -> frozenset[Moment]:
        """The moments that this step has."""
        if self.step.kind in OWN:
            return frozenset({Moment.BEFORE, Moment.AFTER, Moment.FROZEN, Moment.FROZEN_AFTER})
        without = {Moment.FROZEN_AFTER} if self.has_body else {Moment.FROZEN_AFTER, Moment.BODY}
        return frozenset(Moment) - without


@dataclass(frozen=True)
class Strike:
    """Where to kill or freeze the process."""

    step: Step
    moment: Moment

    @property
    def freezes(self) -> bool:
        """Whether the process goes on later."""
        return self.moment in FREEZING

    def __str__(self) -> str:
        return f"{self.moment} {self.step}"


class Counting:
    """Gives the steps of one try their numbers."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def next(self, kind: str) -> Step:
        """Number the next step of a kind."""
        self._counts[kind] += 1
        return Step(kind, self._counts[kind])


def kind_of(method: str, target: str, body: bytes = b"") -> tuple[str, str | None]:
    """Say what a request is, with ``{id}`` for an id and the state that it asks for, and which id it has."""
    path = _VERSION.sub("", urlsplit(target).path)
    found, state = _ID.search(path), _STATE.search(body)
    kind = f"{method} {_ID.sub('{id}', path)}" + (f" {state.group(1).decode()}" if state else "")
    return kind, found and found.group()
