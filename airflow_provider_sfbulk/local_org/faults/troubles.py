"""Jobs that fail half-way or never end, and rows that fail by rule, as a test asks for them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, Job, JobKind
from airflow_provider_sfbulk.local_org.data.values import RowError

FAILED: Final = "InternalServerError : The job was made to fail"
"""``errorMessage`` of a job that fails for no reason of its own."""

MESSAGES: Final = {
    "UNABLE_TO_LOCK_ROW": "unable to obtain exclusive access to this record or 1 records",
}
"""Texts of rows that fail, by code."""

Where = Mapping[str, str] | Callable[[dict[str, str]], bool]


@dataclass(kw_only=True)
class JobTrouble:
    """What happens to the next jobs.

    :ivar after_batches: once so many batches are saved; query jobs have none
    :ivar jobs: how many jobs it still meets; None is all
    :ivar error_message: jobs fail with this; None: they stick
    """

    kind: JobKind | None
    sobject: str | None
    after_batches: int
    jobs: int | None
    error_message: str | None = None

    def meets(self, job: Job) -> bool:
        """Whether it is there for such a job."""
        return self.jobs != 0 and self.kind in (None, job.kind) and self.sobject in (None, job.object)


@dataclass(kw_only=True)
class RowTrouble:
    """Rows that fail by rule.

    :ivar where: texts of columns that a row must have, or a function of the row; None is every row
    :ivar attempts: how often a row fails before it passes; None is always. Rows with the same texts are one
    """

    sobject: str
    where: Where | None
    error: RowError
    attempts: int | None
    met: Counter[int] = field(default_factory=Counter)
    """Attempts by row, each known by the hash of its texts."""

    def hits(self, row: dict[str, str]) -> bool:
        """Whether this row fails this time."""
        if callable(self.where):
            if not self.where(row):
                return False
        elif self.where is not None:
            texts = {name.lower(): text for name, text in row.items()}
            if any(texts.get(name.lower()) != text for name, text in self.where.items()):
                return False
        if self.attempts is None:
            return True
        key = hash(tuple(row.items()))
        self.met[key] += 1
        return self.met[key] <= self.attempts


class Troubles:
    """All that was asked for. Threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: list[JobTrouble] = []
        self._rows: list[RowTrouble] = []
        self._of: dict[str, JobTrouble | None] = {}
        """What each job that has started has got, by its id."""
        self._stuck: list[Entry] = []

    def add(self, trouble: JobTrouble | RowTrouble) -> None:
        """Ask for something."""
        with self._lock:
            if isinstance(trouble, JobTrouble):
                self._jobs.append(trouble)
            else:
                self._rows.append(trouble)

    def clear(self) -> list[Entry]:
        """Drop everything that was asked for; return the jobs that were stuck."""
        with self._lock:
            self._jobs.clear()
            self._rows.clear()
        return self.release()

    def release(self) -> list[Entry]:
        """Let stuck jobs go; return them. Jobs that would have stuck later no longer do."""
        with self._lock:
            self._jobs = [trouble for trouble in self._jobs if trouble.error_message is not None]
            for job_id, trouble in self._of.items():
                if trouble is not None and trouble.error_message is None:
                    self._of[job_id] = None
            stuck, self._stuck = self._stuck, []
            return stuck

    def start(self, job: Job) -> None:
        """Decide what a job meets, unless that was decided before: it may be taken up again."""
        with self._lock:
            if job.id in self._of:
                return
            found = next((trouble for trouble in self._jobs if trouble.meets(job)), None)
            if found is not None and found.jobs is not None:
                found.jobs -= 1
            self._of[job.id] = found

    def stops(self, entry: Entry, *, at_end: bool = False) -> JobTrouble | None:
        """Return what stops the job where it is now. A job that sticks is remembered until :meth:`release`.

        :param at_end: nothing is left to save, so that the number of batches no longer matters
        """
        with self._lock:
            trouble = self._of.get(entry.job.id)
            if trouble is None or (len(entry.job.done) < trouble.after_batches and not at_end):
                return None
            if trouble.error_message is None:
                self._stuck.append(entry)
            return trouble

    def refused(self, sobject: str, header: Sequence[str], columns: Sequence[Sequence[str]]) -> dict[int, RowError]:
        """Return which rows of a batch fail by rule.

        :param columns: the texts of the upload, one list per column of the header
        """
        with self._lock:
            rules = [rule for rule in self._rows if rule.sobject == sobject]
        if not rules:
            return {}
        found: dict[int, RowError] = {}
        for number, texts in enumerate(zip(*columns, strict=True)):
            row = dict(zip(header, texts, strict=True))
            rule = next((rule for rule in rules if rule.hits(row)), None)
            if rule is not None:
                found[number] = rule.error
        return found


def job_trouble(
    *, kind: str | None, sobject: str | None, after_batches: int, jobs: int | None, error_message: str | None
) -> JobTrouble:
    """Check what was asked for.

    :param kind: ``ingest``, ``query`` or None: both
    :raises ValueError: for what makes no sense
    """
    kinds = {None: None, "ingest": JobKind.INGEST, "query": JobKind.QUERY}
    if kind not in kinds:
        raise ValueError("kind is 'ingest', 'query' or None")
    _require_count("after_batches", after_batches, 0)
    if jobs is not None:
        _require_count("jobs", jobs, 1)
    return JobTrouble(
        kind=kinds[kind], sobject=sobject, after_batches=after_batches, jobs=jobs, error_message=error_message
    )


def row_trouble(
    sobject: str,
    *,
    where: Where | None,
    code: str,
    message: str | None,
    fields: Sequence[str],
    attempts: int | None,
) -> RowTrouble:
    """Check what was asked for.

    :raises TypeError: for arguments of other types
    :raises ValueError: for what makes no sense
    """
    if isinstance(where, Mapping):
        if not all(isinstance(each, str) for pair in where.items() for each in pair):
            raise TypeError("where gives texts by column")
    elif where is not None and not callable(where):
        raise TypeError("where is a mapping of columns to texts, or a function of a row")
    if isinstance(fields, str):
        raise TypeError("fields is a list of names")
    if attempts is not None:
        _require_count("attempts", attempts, 1)
    error = RowError(code, MESSAGES.get(code, "The row was made to fail") if message is None else message, *fields)
    return RowTrouble(sobject=sobject, where=where, error=error, attempts=attempts)


def _require_count(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is a whole number from {least}")
