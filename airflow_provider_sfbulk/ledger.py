"""What a task durably knows about its jobs, in Airflow's task state store.

The facts it is built on (Airflow 3.3.2):

* The store outlives a killed worker, a retry and a user's clear. It is last-writer-wins and has no compare-and-set.
* A new try of a task gets a new task instance id. From then on the old try's ``set`` is refused with 404 ("not found"),
  but its ``get`` silently answers None: "nothing recorded" proves nothing until a write has been read back.

So every try writes only keys of its own, ``sfbulk.t<try>…``, reads those of earlier tries from the highest down, where
the highest entry wins, and reads back what it wrote before it acts on it. Whatever a frozen try writes late lies under
that try's own key and is overridden by a later one's.

A *load* is what one run of the task is to bring into Salesforce, over all its tries. It is decided when ``end.0`` is
recorded: from then on its jobs may be closed, and its input and parameters may no longer change. After a success a user's
clear begins a new load, and a retry goes on with the old one: Airflow fails a task also after its work is done, when its
return value cannot be stored or its worker dies in that moment. A clear raises ``max_tries``, a retry does not.

Layout, each value one JSON object:

================================  ==================================================================================
``sfbulk.t<try>``                 ``load`` (the try that began it), ``plan``, ``max_tries``; ``end.<round>`` once that
                                  round of the load is decided; ``verdict`` once it has ended with failed records;
                                  ``given_up`` when it ended for good with nothing in the org; ``done`` once succeeded
``sfbulk.t<try>.<group>.<block>`` entries with keys ``<group>.<number>``, ``BLOCK_ENTRIES`` to a value. A load's
                                  groups are its rounds, their entries the parts; a round by Bulk API 1.0 also has the
                                  groups ``plan<round>``, what is to be sent, and ``job<round>``, the jobs. A query's
                                  group 0 is its jobs, group ``n + 1`` the finished pages of job ``n``
``sfbulk.t<try>.window``          the span of time that an incremental query reads. It outlives clears: what is run again
                                  reads the same
================================  ==================================================================================
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from airflow_provider_sfbulk.airflow_calls import ONE_AT_A_TIME
from airflow_provider_sfbulk.client.errors import FencedError, InputChangedError, LedgerError

RETENTION: Final = timedelta(days=30)
"""How long entries are kept: longer than Salesforce keeps jobs (seven days), whatever the site's default is."""

BLOCK_ENTRIES: Final = 100
"""Entries that share one value. One takes some 150 to 400 bytes; values over 64 KiB are warned about."""

_JOB_BLOCKS: Final = 1
"""Blocks of a round's jobs: by Bulk API 1.0 a round has a second job only after a lost reply or a killed try."""

HEAD_KEYS: Final = frozenset({"end", "given_up"})
"""Keys, up to their first dot, of what flows say about the load as a whole."""

UNKNOWN: Final = "unknown"
"""In a plan: what cannot be told any more, as the identity of a file that was archived. A decided load needs it no more."""


class StateStore(Protocol):
    """The part of ``context["task_state_store"]`` that is used here."""

    def get(self, key: str) -> Any:
        """Return the value, or None."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        """Write the value, to be kept for a timedelta or ``NEVER_EXPIRE``."""


class Entry(dict[str, Any]):
    """An entry as it was read: what it lacks, or has in another form than it is written in, is said as that.

    Nothing else writes these keys; but a store can be edited, restored or cut.
    """

    def __init__(self, key: str, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise _spoilt(key, f"it is no object but {type(values).__name__}")
        super().__init__(values)
        self._key = key
        for name, kinds in _FORMS.items():
            value = values.get(name)
            if name in values and (not isinstance(value, kinds) or isinstance(value, bool)):
                raise _spoilt(key, f"{name} is {type(value).__name__}")
            if isinstance(value, int) and not 0 <= value < 2**63:
                raise _spoilt(key, f"{name} is out of range")

    def __missing__(self, name: str) -> Any:
        raise _spoilt(self._key, f"{name} is missing")


def _spoilt(key: str, why: str) -> LedgerError:
    return LedgerError(
        f"the entry {key} in the task's state store is not as this provider writes it ({why}): put back what it was. To "
        "begin anew, which would bring records in twice that were loaded, delete the task's entries (sfbulk.…)"
    )


_FORMS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "load": int,
    "plan": Mapping,
    "max_tries": (int, type(None)),
    "verdict": Mapping,
    "done": Mapping,
    "round": int,
    "parts": (int, list),  # their number in a decision; in a plan of Bulk API 1.0 the parts themselves
    "attempt": int,
    "part_bytes": int,
    "part_records": int,
    "job_id": str,
    "batch_id": str,
    "records": int,
    "length": int,
    "bytes": int,
    "first_row": int,
    "sha256": str,
    "mode": str,
    "rule": Mapping,
    "since": (str, type(None)),
    "until": (str, type(None)),
    "of": int,
}
"""Forms of what entries hold, by name: the same name means the same in all of them."""


class TaskLedger:
    """The ledger of one try. Its methods may be called from several threads.

    :param store: ``context["task_state_store"]``
    :param try_number: this try's number, from 1
    :param max_tries: ``ti.max_tries``; None: every start after a success counts as a user's clear
    """

    def __init__(self, store: StateStore, *, try_number: int, max_tries: int | None = None) -> None:
        self._store = store
        self._max_tries = max_tries
        self._try = try_number
        self._lock = threading.Lock()
        self._head: dict[str, Any] = {}
        self._blocks: dict[str, dict[str, Any]] = {}
        self._earlier: dict[str, dict[str, Any]] = {}

    def begin(self, plan: Mapping[str, Any], *, restart_after_clear: bool = False) -> list[str]:
        """Find the load that this try goes on with, or begin one.

        :param plan: what makes the load what it is: parameters and the identity of the input, JSON
        :param restart_after_clear: begin a new one when a user has cleared the task since, as a query does
        :return: job ids of an unfinished load that is given up, because of a clear or because its plan has changed
            before it was decided; to be aborted
        :raises InputChangedError: when the plan is not that of the load, and the load is decided
        :raises FencedError: when a newer try has taken over
        """
        given_up: list[str] = []
        with self._lock:
            own = self._get_head(self._try)
            previous = own or self._previous_head()
            head = {"load": self._try, "plan": dict(plan)}
            if previous is not None and not self._is_over(previous):
                restart = restart_after_clear and previous["max_tries"] != self._max_tries
                changed = _changed(previous["plan"], plan, decided=_DECIDED in previous)
                if changed and _DECIDED in previous and not restart:
                    raise input_changed(changed, has_verdict="verdict" in previous)
                if changed or restart:
                    given_up = self._jobs_of(previous["load"])
                else:
                    head = dict(previous)
            self._head = {**head, "max_tries": self._max_tries}
            self._put(self._head_key(self._try), self._head)
        return given_up

    def resume(self) -> None:
        """Go on with the load that this same try began before it was deferred.

        :raises LedgerError: when this try began none
        """
        with self._lock:
            head = self._get_head(self._try)
            if head is None:
                raise LedgerError(f"nothing is recorded for try {self._try} of this task, though it was deferred")
            self._head = dict(head)

    def recorded_jobs(self) -> list[str]:
        """Read the ids of the jobs that this try's load has recorded in its last round, this try's and earlier tries'."""
        with self._lock:
            head = self._get_head(self._try)
            return [] if head is None else self._jobs_of(head["load"])

    def verify(self) -> None:
        """Make sure that this try is still the task's newest, before it shows what only one try may show.

        :raises FencedError: when a newer try has taken over
        """
        with self._lock:
            self._check_newest()

    @property
    def result(self) -> Any:
        """What an earlier try of this load has returned, when it noted that; else None."""
        return self._head.get("done", {}).get("result")

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
    def has_verdict(self) -> bool:
        """Whether the load has ended with failed records, more than allowed."""
        return "verdict" in self._head

    @property
    def judged_round(self) -> int | None:
        """Round in which the load has ended with failed records, more than allowed; None when it has not."""
        verdict = self._head.get("verdict")
        return None if verdict is None else int(verdict["round"])

    @property
    def is_cleared_since_verdict(self) -> bool:
        """Whether a user has cleared the task since its load ended with failed records, and nothing was sent again."""
        verdict = self._head.get("verdict")
        if verdict is None or f"end.{verdict['round'] + 1}" in self._head:
            return False
        return bool(verdict["max_tries"] != self._max_tries)

    def judge(self, last_round: int) -> None:
        """Note that the load has ended with failed records, more than allowed, in this round."""
        with self._lock:
            self._head = {**self._head, "verdict": {"round": last_round, "max_tries": self._max_tries}}
            self._put(self._head_key(self._try), self._head)

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier try, or an earlier half of this one, decided the load."""
        return _DECIDED in self._head

    def recall(self, key: str, /) -> Mapping[str, Any] | None:
        """Read an entry: ``end.<round>``, ``given_up``, or ``<group>.<number>``."""
        with self._lock:
            return self._recall(key)

    def record(self, key: str, value: Mapping[str, Any], /) -> Mapping[str, Any]:
        """Write an entry under this try's own key and verify it. From then on it stands in place of earlier tries' ones.

        :return: the entry that stands: ``value``
        :raises FencedError: when a newer try has taken over: this one must send nothing more
        """
        with self._lock:
            stands = dict(value)
            if _is_of_head(key):
                self._head = {**self._head, key: stands}
                self._put(self._head_key(self._try), self._head)
            else:
                block = self._block_of(key)
                self._recall(key)  # what this same try has written before
                entries = {**self._blocks[block], key: stands}
                self._put(self._block_key(self._try, block), entries)
                self._blocks[block] = entries
            return stands

    def window(self) -> dict[str, Any] | None:
        """Read the window that was kept last, in whichever load of this task."""
        with self._lock:
            for attempt in range(self._try, 0, -1):
                key = self._window_key(attempt)
                known = self._get(key)
                if known is not None:
                    return Entry(key, known)
        return None

    def keep_window(self, window: Mapping[str, Any]) -> None:
        """Keep a window, for as long as Airflow keeps the task instance.

        :raises FencedError: when a newer try has taken over
        """
        with self._lock:
            self._put(self._window_key(self._try), dict(window), retention=NEVER_EXPIRE)

    def finish(self, result: Any = None) -> None:
        """Note the success: a user's clear begins a new load.

        :param result: what the task returns, JSON: a retry returns it once more
        """
        with self._lock:
            self._head = {**self._head, "done": {"max_tries": self._max_tries, "result": result}}
            self._put(self._head_key(self._try), self._head)

    def _is_over(self, head: Mapping[str, Any]) -> bool:
        """Whether a load was given up; or has succeeded, and this is not a retry of the try in which it did."""
        if "given_up" in head:
            return True
        done = head.get("done")
        return done is not None and bool(self._max_tries is None or done["max_tries"] != self._max_tries)

    def _recall(self, key: str) -> Mapping[str, Any] | None:
        if _is_of_head(key):
            found = self._head.get(key)
            return None if found is None else Entry(f"{self._head_key(self._try)} ({key})", found)
        block = self._block_of(key)
        if block not in self._blocks:
            self._blocks[block] = self._get_block(self._try, block)
        if block not in self._earlier:
            entries: dict[str, Any] = {}
            for earlier in range(self._head["load"], self._try):  # the highest comes last and wins
                entries.update(self._get_block(earlier, block))
            # A try that was replaced within these reads has seen the older entries and none of the newer.
            self._check_newest()
            self._earlier[block] = entries
        return self._blocks[block].get(key) or self._earlier[block].get(key)

    def _check_newest(self) -> None:
        if self._get(self._head_key(self._try)) != self._head:
            raise self._fenced()

    def _previous_head(self) -> dict[str, Any] | None:
        for earlier in range(self._try - 1, 0, -1):
            head = self._get_head(earlier)
            if head is not None:
                return head
        return None

    def _jobs_of(self, load: int) -> list[str]:
        """Read the job ids of the last group that has any: a query's jobs are all in its first."""
        jobs: list[str] = []
        group = 0
        while found := self._jobs_in(load, group):
            jobs = found
            group += 1
        return jobs

    def _jobs_in(self, load: int, group: int) -> list[str]:
        tries = range(load, self._try + 1)
        jobs: set[str] = set()
        block = 0
        while found := [entries for each in tries if (entries := self._get_block(each, f"{group}.{block}"))]:
            jobs.update(entry["job_id"] for entries in found for entry in entries.values() if "job_id" in entry)
            block += 1
        noted = (self._get_block(each, f"job{group}.{block}") for each in tries for block in range(_JOB_BLOCKS))
        jobs.update(entry["job_id"] for known in noted for entry in known.values())
        return sorted(jobs)

    def _get_head(self, number: int) -> Entry | None:
        key = self._head_key(number)
        known = self._get(key)
        if known is None:
            return None
        head = Entry(key, known)
        for name in ("verdict", "done"):
            if name in head:
                head[name] = Entry(f"{key} ({name})", head[name])
        if not 1 <= head["load"] <= number:
            raise _spoilt(key, "load is out of range")
        head["plan"]
        return head

    def _get_block(self, number: int, block: str) -> dict[str, Any]:
        key = self._block_key(number, block)
        found = self._get(key)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise _spoilt(key, f"it is no object but {type(found).__name__}")
        return {name: Entry(f"{key} ({name})", entry) for name, entry in found.items()}

    def _get(self, key: str) -> Any:
        try:
            with ONE_AT_A_TIME:
                return self._store.get(key)
        except AirflowRuntimeError as error:
            raise LedgerError(f"the task state store could not be read ({key}); nothing was sent since") from error

    def _put(self, key: str, value: dict[str, Any], *, retention: Any = RETENTION) -> None:
        try:
            with ONE_AT_A_TIME:
                self._store.set(key, value, retention=retention)
        except AirflowRuntimeError as error:
            if _is_not_found(error):
                raise self._fenced() from error
            raise LedgerError(f"the task state store could not be written ({key}); nothing was sent since") from error
        if self._get(key) != value:
            raise self._fenced()

    def _fenced(self) -> FencedError:
        return FencedError(f"try {self._try} of this task has been replaced by a newer one and sends nothing more")

    @staticmethod
    def _block_of(key: str) -> str:
        group, _, number = key.partition(".")
        return f"{group}.{int(number) // BLOCK_ENTRIES}"

    @staticmethod
    def _head_key(number: int) -> str:
        return f"sfbulk.t{number}"

    @staticmethod
    def _window_key(number: int) -> str:
        return f"sfbulk.t{number}.window"

    @staticmethod
    def _block_key(number: int, block: str) -> str:
        return f"sfbulk.t{number}.{block}"


_DECIDED: Final = "end.0"


def _is_of_head(key: str) -> bool:
    return key.partition(".")[0] in HEAD_KEYS


def _changed(before: Mapping[str, Any], now: Mapping[str, Any], *, decided: bool) -> list[str]:
    """Name what differs between two plans."""
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return [name for name in names if not (decided and now.get(name) == UNKNOWN)]


def input_changed(changed: Sequence[str], *, has_verdict: bool) -> InputChangedError:
    """Make the error for a decided load whose input or parameters are others now.

    :param changed: names of the parameters
    :param has_verdict: whether it ended with failed records
    """
    how = (
        "ended with failed records, the others are in the org"
        if has_verdict
        else "is not finished, and some of its records may be in the org"
    )
    advice = (
        "To load the failed records once they are mended, give their file to another run as its source; to send them again "
        "as they are, put back what changed and clear the task"
        if has_verdict
        else "Put back what it was and clear the task again, so that the load can be finished"
    )
    return InputChangedError(
        f"the load that an earlier try began {how}; since then {', '.join(changed)} changed. {advice}. To begin anew "
        "although that would bring records in twice, delete the task's entries (sfbulk.…) from its state store."
    )


def _is_not_found(error: AirflowRuntimeError) -> bool:
    detail = error.error.detail or {}
    return detail.get("status_code") == 404
