"""What a task durably records about its jobs, in Airflow's task state store.

Facts (Airflow 3.3.2):

* The store outlives a killed worker, a retry and a user's clear. It is last-writer-wins and has no compare-and-set, and a
  write whose reply is late is sent again by the task SDK: it may land long after others.
* A new try of a task gets a new task instance id. From then on the old try's ``set`` is refused with 404 ("not found"),
  but its ``get`` silently answers None, as it does for any other 404 on the way.

So each try writes only keys of its own, each **once**: a write that lands late or twice changes nothing. It reads back what
it wrote before it acts on it. It claims its number first, and believes that something is absent only between two proofs
that the claim still holds. It reads the entries of earlier tries from the highest number down; the highest counts.

A *load* is what one run of the task brings into Salesforce, over all its tries; a *query* is the same in the other
direction. Which try a new one follows, and how, is recorded, never derived from Airflow's numbers:

==========  ===========================================================================================================
``claim``   first key of every try
``load``    ``load``, the try that began the load; ``cleared``, the try since which a person asks for more than a retry
            does; ``clears``, how often the run was cleared by then
``end.<r>`` round ``r`` is decided; the first names the ``plan``, the files, and which rows differ (``compared``) where only
            these are sent, which from now on do not change
``given_up``  the load ended for good with nothing in the org
``verdict`` the load has ended in this round with records that are not in the org
``fields.<d>`` the fields of a whole object that the query selects
``done``    the work is done, and this is its ``result``
``taken``   Airflow has accepted the end of the try, as ``success`` or as ``failed``: see ``task/accepted.py``
==========  ===========================================================================================================

All are under ``sfbulk.try<n>.``. Keys that begin with a number are entries of parts and jobs: their absence costs work but
decides nothing. Entries of earlier versions (``sfbulk.t<n>``) are read by ``old_ledger.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any, Final, Protocol, TypeAlias

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from airflow_provider_sfbulk.client.errors import FencedError, InputChangedError, LedgerError, SourceError
from airflow_provider_sfbulk.task.entries import Entry, spoilt
from airflow_provider_sfbulk.task.old_ledger import OldTry, plan_digest

RETENTION: Final = timedelta(days=30)
"""How long a query's entries are kept: longer than Salesforce keeps jobs (seven days). Those of a load, and the window of
an incremental query, are kept for as long as Airflow keeps the run: without them rows would be sent twice."""

PIECE: Final = 48 * 1024
"""Maximum characters of one value: Airflow warns about values over 64 KiB, and its REST API refuses them."""

GAP: Final = 25
"""Number of missing parts in a row that marks the end: between recorded parts only those can be missing that were under
way together."""

SUCCESS: Final = "success"
FAILED: Final = "failed"


Find: TypeAlias = Callable[[int, str], Mapping[str, Any] | None]
"""Finds an entry by its name, in the highest of the tries from a given one on."""


class StateStore(Protocol):
    """The part of ``context["task_state_store"]`` that is used here."""

    def get(self, key: str) -> Any:
        """Return the value, or None."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Write the value, to be kept for a timedelta or ``NEVER_EXPIRE``."""


@dataclass(frozen=True)
class Before:
    """The newest try before this one that has begun.

    :param head: its ``load`` entry
    :param taken: how Airflow took its end, ``success`` or ``failed``; None: it will be retried, or this is unknown
    """

    head: Mapping[str, Any]
    is_done: bool
    is_given_up: bool
    taken: str | None

    def is_cleared(self, clears: int | None, max_tries: int | None) -> bool:
        """Whether a person has cleared the task since, as far as known.

        After a final try only a person starts another one, and only a person raises the run's number of clears. This
        number includes clears of other tasks, so whatever a clear does must be harmless when a retry does it.
        """
        known = ((self.head.get("clears"), clears), (self.head.get("max_tries"), max_tries))
        return self.taken is not None or any(
            then is not None and now is not None and then != now for then, now in known
        )


class TaskLedger:
    """The ledger of one try, used from one thread.

    :param store: ``context["task_state_store"]``
    :param try_number: this try's number, from 1
    :param clears: how often the run was cleared, as Airflow counts it; None when unknown
    :param max_tries: number of the last try, which a clear raises: compared with what version 0.1.0 noted
    :param retention: how long entries are kept
    """

    def __init__(
        self,
        store: StateStore,
        *,
        try_number: int,
        clears: int | None = None,
        max_tries: int | None = None,
        retention: Any = NEVER_EXPIRE,
    ) -> None:
        self._store = store
        self._try = try_number
        self._clears = clears
        self._max_tries = max_tries
        self._retention = retention
        self._head: Mapping[str, Any] = {}
        self._proof: tuple[str, Any] = (_key(try_number, "claim"), {"try": try_number})
        self._known: dict[str, Any] = {}
        """Values by key: none of them ever changes."""
        self._old: dict[int, OldTry | None] = {}
        self._is_new = False
        """Whether all that this try has written was written by this process."""

    # Beginning

    def begin_load(self) -> None:
        """Find the load that this try continues, or begin one. A load lasts until Airflow has accepted its success; a load
        without records, for which nothing was decided, until it is done.

        :raises FencedError: when a newer try has taken over
        :raises SourceError: when this try has done a load or a query already
        """
        before = self._begin()
        if self._own_done() is not None:
            raise _not_alone()
        if before is not None:
            over = before.is_given_up
            if before.is_done and not over:
                over = before.taken == SUCCESS or self._highest(before.head["load"], "end.0") is None
            cleared = self._try if before.is_cleared(self._clears, self._max_tries) else before.head.get("cleared")
            self._enter({} if over else {"load": before.head["load"], "cleared": cleared})

    def begin_query(self) -> list[str]:
        """Find the query that this try continues, or begin one. Reading again is always right, so doubtful cases do that.

        :return: job ids of an unfinished query that a clear gives up, which are to be aborted
        :raises FencedError: when a newer try has taken over
        :raises SourceError: when this try has done a load already
        """
        before = self._begin()
        done = self._own_done()
        if done is not None and done["result"] is not None:  # a query notes none: another one may follow it
            raise _not_alone()
        if before is None:
            return []
        over = before.is_done or before.is_cleared(self._clears, self._max_tries)
        given_up = self._last_jobs(before.head["load"], self._highest) if over and not before.is_done else []
        self._enter({} if over else {"load": before.head["load"]})
        return given_up

    def _begin(self) -> Before | None:
        """Claim the try and look for the one before; None when there is nothing left to be found."""
        self._put("claim", {"try": self._try})
        own = self._read(self._try, "load")
        if own is not None:  # it was deferred before anything was sent
            self._head = own
            return None
        self._is_new = True
        for number in range(self._try - 1, 0, -1):
            head = self._read(number, "load")
            if head is not None:
                done, given_up, taken = (self._read(number, name) for name in ("done", "given_up", "taken"))
                how = None if taken is None else taken["state"]
                return Before(head, is_done=done is not None, is_given_up=given_up is not None, taken=how)
        self._enter({})
        return None

    def _own_done(self) -> Mapping[str, Any] | None:
        """What this same try has done: it begins more than once when operators are run within a task's own code."""
        found: Mapping[str, Any] | None = None if self._is_new else self._read(self._try, "done")
        return found

    def _enter(self, head: Mapping[str, Any]) -> None:
        self._head = {"load": self._try, "clears": self._clears, **head}
        self._put("load", dict(self._head))

    def resume(self) -> None:
        """Continue the load that this same try began before it was deferred.

        :raises LedgerError: when this try began none
        """
        self._find_own()
        if not self._head:
            raise LedgerError(f"nothing is recorded for try {self._try} of this task, though it was deferred")

    def _find_own(self) -> None:
        for key in (_key(self._try, "load"), _old_key(self._try)):
            head = self._get(key)
            if head is not None:
                self._proof = (key, head)
                self._head = self._read(self._try, "load")
                return

    # Reading

    @property
    def attempt(self) -> int:
        """This try's number, from 1."""
        return self._try

    @property
    def load(self) -> int:
        """Number of the try that began the load."""
        number: int = self._head["load"]
        return number

    @property
    def decision(self) -> Mapping[str, Any] | None:
        """What an earlier try, or an earlier half of this one, recorded when it decided the load; None before that."""
        return self.recall("end.0")

    @property
    def done(self) -> Mapping[str, Any] | None:
        """What a try whose success Airflow has not accepted noted when all work was done: its ``result``."""
        return self.recall("done")

    @property
    def judged_round(self) -> int | None:
        """Round in which the load has ended with records that are not in the org; None when it has not."""
        verdict = self.recall("verdict")
        return None if verdict is None else int(verdict["round"])

    def check_load(self, plan: Mapping[str, Any]) -> None:
        """Make sure that a load that is decided is still the one that its task describes.

        :param plan: what the task describes
        :raises InputChangedError: naming the parameters that changed
        """
        if (decision := self.decision) is not None:
            check_plan(decision, plan, has_verdict=self.judged_round is not None, is_done=self.done is not None)

    def asks_for_all(self, last_round: int) -> bool:
        """Whether a person has cleared the task since its load ended in this round, with nothing sent since."""
        verdict, cleared = self.recall("verdict"), self._head.get("cleared")
        if verdict is None or cleared is None:
            return False
        return bool(verdict["round"] == last_round and verdict.get("try", 0) < cleared)

    def recall(self, key: str, /) -> Mapping[str, Any] | None:
        """Read an entry of the load: that of this try, or else of the highest earlier one."""
        return self._highest(self._head["load"], key)

    def recorded_jobs(self) -> list[str]:
        """Read the ids of the jobs that the load has recorded in its last round, by this try and earlier ones."""
        if not self._head:
            self._find_own()
        if not self._head:
            return []
        load = self._head["load"]
        return self._last_jobs(load, self._known_highest_or_decided) or self._last_jobs(load, self._highest)

    def verify(self) -> None:
        """Make sure that this try is still the task's newest, before it shows what only one try may show.

        :raises FencedError: when a newer try has taken over
        """
        key, value = self._proof
        if self._get(key) != value:
            raise self._fenced()

    # Writing

    def record(self, key: str, value: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Write an entry under this try's own key and verify it. From then on it replaces entries of earlier tries.

        :return: the entry: ``value``
        :raises FencedError: when a newer try has taken over: this one must send nothing more
        """
        self._put(key, value)
        return value

    def judge(self, last_round: int) -> None:
        """Note that the load has ended in this round with records that are not in the org."""
        self._put("verdict", {"round": last_round, "try": self._try})

    def finish(self, result: Any = None) -> None:
        """Note that all work is done. The load ends once Airflow has accepted the success.

        :param result: what the task returns, JSON: if Airflow does not accept it, the next try returns it again
        """
        self._put("done", {"result": result})

    def take(self, state: str) -> None:
        """Note that Airflow has accepted the end of this try, unless the try has begun nothing.

        :param state: ``success`` or ``failed``
        """
        self._find_own()
        if self._head:
            self._put("taken", {"state": state})

    def window(self, of: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Read the window that was kept last, in any query of this task.

        :param of: what distinguishes windows
        """
        return self._highest(1, f"window.{plan_digest(of)}")

    def keep_window(self, of: Mapping[str, Any], window: Mapping[str, Any]) -> None:
        """Keep a window, for as long as Airflow keeps the run.

        :raises FencedError: when a newer try has taken over
        """
        self._put(f"window.{plan_digest(of)}", window, retention=NEVER_EXPIRE)

    # Reading

    def _highest(self, first: int, name: str) -> Mapping[str, Any] | None:
        for number in range(self._try, first - 1, -1):
            found: Mapping[str, Any] | None = self._read(number, name)
            if found is not None:
                return found
        return None

    def _known_highest(self, first: int, name: str) -> Mapping[str, Any] | None:
        numbers = range(self._try, first - 1, -1)
        return next((self._known[key] for number in numbers if (key := _key(number, name)) in self._known), None)

    def _known_highest_or_decided(self, first: int, name: str) -> Mapping[str, Any] | None:
        """Find an entry without a call, since a process that must end has five seconds; but look for a decision: early
        on, not all of them are read, and the running jobs belong to the last one."""
        found = self._known_highest(first, name)
        return self._highest(first, name) if found is None and name.startswith("end.") else found

    def _read(self, number: int, name: str) -> Any:
        """Read what a try has written."""
        key = _key(number, name)
        if key not in self._known and not (number == self._try and self._is_new):
            value = self._get_surely(key, decides=not name[0].isdigit())
            if value is None and (old := self._old_try(number)) is not None:
                value = _of_old(old, number, name)
            if value is not None:
                entry = Entry(key, value)
                if name == "load" and not 1 <= entry["load"] <= number:
                    raise spoilt(key, "load is not an earlier try")
                self._known[key] = entry
        return self._known.get(key)

    def _get_surely(self, key: str, *, decides: bool) -> Any:
        """Read a value. For a key that decides something, absence (a 404) counts only when it is found twice, with this
        try still the newest in between.

        :raises FencedError: when a newer try has taken over
        """
        value = self._get(key)
        if value is None and decides:
            self.verify()
            value = self._get(key)
        return value

    def _old_try(self, number: int) -> OldTry | None:
        if number not in self._old:
            head = self._get_surely(_old_key(number), decides=True)
            made = None if head is None else OldTry(number, Entry(_old_key(number), head), self._get)
            self._old[number] = made
        return self._old[number]

    def _last_jobs(self, load: int, find: Find) -> list[str]:
        """Return the job ids of the last round that has any; all jobs of a query are in its first."""
        jobs: list[str] = []
        for number in count():
            decided = find(load, f"end.{number}")
            found = [] if decided is None else [job[0] for job in decided.get("jobs", ())]
            for group in () if found else (str(number), f"job{number}"):
                found += [each["job_id"] for each in _entries(load, group, find)]
            jobs = list(dict.fromkeys(found)) or jobs
            if decided is None:
                return jobs
        raise AssertionError("unreachable: the count has no end")

    def _get(self, key: str) -> Any:
        try:
            value = self._store.get(key)
            if isinstance(value, dict) and value.keys() == {"pieces"}:
                value = self._joined(key, value["pieces"])
        except AirflowRuntimeError as error:
            raise LedgerError(f"the task state store could not be read ({key}); nothing was sent since") from error
        return value

    def _joined(self, key: str, pieces: Any) -> Any:
        try:
            return json.loads("".join(self._store.get(f"{key}~{at}")["piece"] for at in range(pieces)))
        except (TypeError, KeyError, ValueError, RecursionError) as error:
            raise spoilt(key, "its pieces do not fit together") from error

    def _put(self, name: str, value: Mapping[str, Any], *, retention: Any = None) -> None:
        key = _key(self._try, name)
        if key in self._known:
            if self._known[key] != value:
                raise LedgerError(f"{key} is written already: a key of the ledger is written once")
            return
        text = json.dumps(value)
        if len(text) > PIECE:
            pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
            for at, piece in enumerate(pieces):
                self._write(f"{key}~{at}", {"piece": piece}, retention)
            self._write(key, {"pieces": len(pieces)}, retention)
        else:
            self._write(key, json.loads(text), retention)
        self._known[key] = value

    def _write(self, key: str, value: dict[str, Any], retention: Any) -> None:
        try:
            self._store.set(key, value, retention=retention or self._retention)
            found = self._store.get(key)
        except AirflowRuntimeError as error:
            if _is_not_found(error):
                raise self._fenced() from error
            raise LedgerError(f"the task state store could not be written ({key}); nothing was sent since") from error
        if found != value:
            raise self._fenced()

    def _fenced(self) -> FencedError:
        return FencedError(f"try {self._try} of this task has been replaced by a newer one and sends nothing more")


def _entries(load: int, group: str, find: Find) -> Iterator[Mapping[str, Any]]:
    missing = 0
    for number in count():
        entry = find(load, f"{group}.{number}")
        missing = missing + 1 if entry is None else 0
        if missing > GAP:
            return
        if entry is not None:
            yield entry


def _of_old(old: OldTry, number: int, name: str) -> Any:
    try:
        return old.get(name)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise spoilt(_old_key(number), "it does not have the form of version 0.1.0") from error


def _key(number: int, name: str) -> str:
    return f"sfbulk.try{number}.{name}"


def _old_key(number: int) -> str:
    return f"sfbulk.t{number}"


def _not_alone() -> SourceError:
    return SourceError(
        "this try of the task has done another load or query already, and the ledger is kept by task: nothing of this one "
        "was sent. Give each operator its own task"
    )


def check_plan(
    decision: Mapping[str, Any], plan: Mapping[str, Any], *, has_verdict: bool, is_done: bool = False
) -> None:
    """Make sure that a decided load is still the one that its task describes.

    :param is_done: whether it is done, by a try whose success is not known to be accepted
    :raises InputChangedError: naming the parameters that changed
    """
    then = decision["plan"]
    if not isinstance(then, Mapping):
        raise spoilt("end.0", "its plan is not an object")
    changed = {name for name in {*then, *plan} if then.get(name) != plan.get(name)}
    if changed := {name for name in changed if name not in decision.get("unknown", ())}:
        raise input_changed(sorted(changed), has_verdict=has_verdict, is_done=is_done)


def input_changed(changed: Sequence[str], *, has_verdict: bool, is_done: bool = False) -> InputChangedError:
    """Make the error for a decided load whose input or parameters have changed.

    :param changed: names of the parameters
    :param has_verdict: whether it ended with failed records
    :param is_done: whether it is done, by a try whose success is not known to be accepted
    """
    if is_done:
        return InputChangedError(
            "an earlier try has finished its load, but it is not recorded that Airflow accepted its success; since then "
            f"{', '.join(changed)} changed, and nothing of what the task describes now was sent. Undo the change and clear "
            "the task: it succeeds with that load's result. Then make the change again and clear the task once more. Or "
            "load what changed in another run."
        )
    how = (
        "ended with failed records, the others are in the org"
        if has_verdict
        else "is not finished, and some of its records may be in the org"
    )
    advice = (
        "To load the failed records once they are corrected, use their file as the source of another run; to send them "
        "again unchanged, undo the change and clear the task"
        if has_verdict
        else "Undo the change and clear the task again, so that the load can be finished"
    )
    return InputChangedError(
        f"the load that an earlier try began {how}; since then {', '.join(changed)} changed. {advice}. To start over, "
        "although that loads records twice, delete the task's entries (sfbulk.…) from its state store."
    )


def _is_not_found(error: AirflowRuntimeError) -> bool:
    detail = error.error.detail or {}
    return detail.get("status_code") == 404
