"""Jobs and batches of Bulk API 1.0, and the table of them.

States of a job, changed by POSTs on it::

    Open --> Closed | Aborted

"The job state does not become complete: after close it stays ``Closed`` while batches run." States of a batch, changed
by the org alone::

    Queued --> InProgress --> Completed | Failed
       \\______________________________________> NotProcessed    (job aborted; original batch under PK chunking)

Calls are shown one state after the other (see :mod:`~airflow_provider_sfbulk.local_org.jobs`): a batch is answered as
``Queued``, is ``InProgress`` to one look at least, and only then what it became. A look is a GET of the batch, of the
batch list or of the job.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final

from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data.store import Store
from airflow_provider_sfbulk.local_org.jobs import AnyEntry, AnyJob, JobTable, Kept

BATCH_PREFIX: Final = "751"
RESULT_PREFIX: Final = "752"

QUERIES: Final = frozenset({"query", "queryAll"})
"""Operations whose batches are SOQL."""


class JobState(StrEnum):
    """State of a job."""

    OPEN = "Open"
    CLOSED = "Closed"
    ABORTED = "Aborted"
    FAILED = "Failed"

    @property
    def is_final(self) -> bool:
        """Whether no batch is taken any more."""
        return self is not JobState.OPEN


class BatchState(StrEnum):
    """State of a batch. Some pages of the documentation spell the last one with a blank."""

    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    NOT_PROCESSED = "NotProcessed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in (BatchState.COMPLETED, BatchState.FAILED, BatchState.NOT_PROCESSED)


@dataclass(kw_only=True)
class Job(AnyJob):
    """One job."""

    words: ClassVar = {"state": JobState}

    state: JobState
    content_type: str
    concurrency_mode: str = "Parallel"
    chunk_records: int | None = None
    """Records of a PK chunk; None: the job is not chunked."""
    start_row: str | None = None
    """Where PK chunking starts."""
    batch_retry: bool = True
    """Whether batches go back to the queue; not with ``Sforce-Disable-Batch-Retry``."""
    line_ending: str | None = None
    """``LF`` or ``CRLF``: what line breaks in text areas become. None: they stay."""
    retries: int = 0
    """How often batches went back to the queue."""

    @property
    def is_query(self) -> bool:
        """Whether its batches are SOQL."""
        return self.operation in QUERIES

    @property
    def is_serial(self) -> bool:
        """Whether its batches are worked on one after the other."""
        return self.concurrency_mode == "Serial"


@dataclass(kw_only=True)
class Batch(Kept):
    """One batch. Durations are whole milliseconds."""

    words: ClassVar = {"state": BatchState}

    job_id: str
    state: BatchState
    state_message: str | None = None
    processed: int = 0
    failed: int = 0
    total_ms: int = 0
    active_ms: int = 0
    attempts: int = 0
    """How often its rows were tried."""
    result_ids: list[str] = field(default_factory=list)
    """Of a query, in order."""
    chunk_of: str | None = None
    """The original batch that PK chunking made this one for."""
    first_id: str | None = None
    """Where the chunk begins; None: at the first record."""
    before_id: str | None = None
    """Where the chunk ends; None: at the last record."""


class BatchEntry:
    """A batch with what only this process knows of it: what calls have been shown."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self._shown: BatchState | None = None
        """What the last look saw. None: nobody has looked yet."""

    @property
    def visible(self) -> BatchState:
        """The state that calls go by."""
        return self.batch.state if self._shown is None else self._shown

    def look(self) -> BatchState:
        """Return the state to show now, at most one step after the one shown before."""
        state = self.batch.state
        ran = state in (BatchState.COMPLETED, BatchState.FAILED)
        self._shown = BatchState.IN_PROGRESS if ran and self._shown in (None, BatchState.QUEUED) else state
        return self._shown

    @property
    def was_seen_split(self) -> bool:
        """Whether a caller knows that PK chunking has made other batches of this one."""
        return self._shown is BatchState.NOT_PROCESSED

    def settle(self) -> None:
        """Show the truth from now on, for it comes from an earlier process."""
        if self.batch.state.is_final:
            self._shown = self.batch.state


class JobEntry(AnyEntry[Job]):
    """A job with its batches, oldest first."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.batches: dict[str, BatchEntry] = {}

    def visible_batches(self) -> list[BatchEntry]:
        """Return the batches that calls see: chunks show once their original is seen to be ``NotProcessed``."""
        entries = list(self.batches.values())
        return [
            each
            for each in entries
            if each.batch.chunk_of is None or self.batches[each.batch.chunk_of].visible is BatchState.NOT_PROCESSED
        ]

    def look(self) -> dict[BatchState, int]:
        """Look at all batches; return how many are seen in which state."""
        counts = dict.fromkeys(BatchState, 0)
        for entry in self.visible_batches():
            counts[entry.look()] += 1
        return counts

    @property
    def has_work(self) -> bool:
        """Whether a batch is not seen to have ended."""
        return any(not entry.visible.is_final for entry in self.batches.values())


class Jobs(JobTable[JobEntry]):
    """All jobs of Bulk API 1.0 with their batches. A job is stopped as ``Closed``, which is not known of Salesforce."""

    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        super().__init__(store, clock, folder, name="_bulk1_job", read=_entry_of, stopped=JobState.CLOSED)
        for (body,) in store.select("SELECT body FROM _bulk1_batch ORDER BY id"):
            entry = BatchEntry(Batch.from_json(body))
            entry.settle()
            self._entries[entry.batch.job_id].batches[entry.batch.id] = entry

    def add(self, **values: Any) -> JobEntry:
        """Make an open job; ``values`` as :class:`Job`'s, without id, state and times."""
        state = JobState.OPEN
        return self._add(lambda job_id, now: JobEntry(Job(id=job_id, created=now, modified=now, state=state, **values)))

    def add_batch(self, entry: JobEntry, request: bytes, **values: Any) -> BatchEntry:
        """Make a queued batch of a job, with what was sent."""
        now = self.now()
        (batch_id,) = self._store.new_ids(BATCH_PREFIX, 1)
        state = BatchState.QUEUED
        batch = Batch(id=batch_id, job_id=entry.job.id, state=state, created=now, modified=now, **values)
        self.request_path(batch).parent.mkdir(parents=True)
        self.request_path(batch).write_bytes(request)
        made = BatchEntry(batch)
        self.keep_batch(batch)
        entry.batches[batch_id] = made
        return made

    def drop_batches(self, entry: JobEntry, batch_ids: Iterable[str]) -> None:
        """Drop batches with their data."""
        for batch_id in batch_ids:
            batch = entry.batches.pop(batch_id).batch
            with self._store.writing() as connection:
                connection.execute("DELETE FROM _bulk1_batch WHERE id = ?", (batch_id,))
            shutil.rmtree(self.request_path(batch).parent, ignore_errors=True)

    def remove(self, entry: JobEntry) -> None:
        """Drop a job with its batches and its data."""
        self.drop_batches(entry, list(entry.batches))
        super().remove(entry)

    def new_result_id(self) -> str:
        """Return the id of a result file: "query result ids are 15 characters"."""
        return self._store.new_ids(RESULT_PREFIX, 1)[0][:15]

    def keep_batch(self, batch: Batch) -> None:
        """Store what the batch is now."""
        with self._store.writing() as connection:
            row = (batch.id, batch.job_id, batch.to_json())
            connection.execute("INSERT OR REPLACE INTO _bulk1_batch VALUES (?, ?, ?)", row)

    def set_batch_state(self, batch: Batch, state: BatchState, message: str | None = None) -> None:
        """Change a batch's state."""
        batch.state = state
        batch.state_message = message
        batch.modified = self.now()
        self.keep_batch(batch)

    def request_path(self, batch: Batch) -> Path:
        """Return the file with what was sent."""
        return self._folder / batch.job_id / batch.id / "request"

    def result_path(self, batch: Batch) -> Path:
        """Return the file with what became of the rows of a data batch; it is there once that is known."""
        return self.request_path(batch).with_name("result")

    def query_result_path(self, batch: Batch, number: int) -> Path:
        """Return a result file of a query, counted from 0."""
        return self.request_path(batch).with_name(f"result.{number}")


def _entry_of(text: str) -> JobEntry:
    return JobEntry(Job.from_json(text))
