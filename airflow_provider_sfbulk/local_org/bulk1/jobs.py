"""Jobs and batches of Bulk API 1.0, and the table of them.

States of a job, changed by POSTs on it::

    Open --> Closed | Aborted

"The job state does not become complete: after close it stays ``Closed`` while batches run." States of a batch, changed
by the org alone::

    Queued --> InProgress --> Completed | Failed
       \\______________________________________> NotProcessed    (job aborted; original batch under PK chunking)

A batch that is worked on at once would never be seen on its way. So, as with Bulk API 2.0, what calls see lags behind
what is: a batch is answered as ``Queued``, is ``InProgress`` to one look at least, and only then what it became. Whoever
never looks sees the truth. A look is a GET of the batch, of the batch list or of the job.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data.store import Store

JOB_PREFIX: Final = "750"
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
class Job:
    """One job. Times are aware."""

    id: str
    operation: str
    object: str
    created_by_id: str
    created: datetime
    modified: datetime
    state: JobState
    api_version: str
    content_type: str
    external_id_field: str | None = None
    assignment_rule_id: str | None = None
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
    ended: datetime | None = None

    @property
    def is_query(self) -> bool:
        """Whether its batches are SOQL."""
        return self.operation in QUERIES

    @property
    def is_serial(self) -> bool:
        """Whether its batches are worked on one after the other."""
        return self.concurrency_mode == "Serial"


@dataclass(kw_only=True)
class Batch:
    """One batch. Times are aware, durations whole milliseconds."""

    id: str
    job_id: str
    state: BatchState
    created: datetime
    modified: datetime
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


class JobEntry:
    """A job with its batches, oldest first.

    :ivar lock: held while a batch of it is worked on; who changes the job or its batches waits for it
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.batches: dict[str, BatchEntry] = {}
        self.lock = threading.Lock()

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


class Jobs:
    """All jobs of the org, newest last.

    :param folder: of the files of jobs, shared with those of Bulk API 2.0: ids are unique across both
    """

    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._entries: dict[str, JobEntry] = {}
        for (body,) in store.select("SELECT body FROM _bulk1_job ORDER BY id"):
            job = _read(Job, body, {"state": JobState})
            self._entries[job.id] = JobEntry(job)
        for (body,) in store.select("SELECT body FROM _bulk1_batch ORDER BY id"):
            entry = BatchEntry(_read(Batch, body, {"state": BatchState}))
            entry.settle()
            self._entries[entry.batch.job_id].batches[entry.batch.id] = entry

    def __iter__(self) -> Iterator[JobEntry]:
        self._sweep()
        return iter(list(self._entries.values()))

    def add(self, **values: Any) -> JobEntry:
        """Make an open job; ``values`` as :class:`Job`'s, without id, state and times."""
        now = self._clock.now().replace(microsecond=0)
        (job_id,) = self._store.new_ids(JOB_PREFIX, 1)
        entry = JobEntry(Job(id=job_id, created=now, modified=now, state=JobState.OPEN, **values))
        (self._folder / job_id).mkdir(parents=True)
        self._entries[job_id] = entry
        self.keep(entry.job)
        return entry

    def get(self, job_id: str) -> JobEntry | None:
        """Return a job by either form of its id."""
        self._sweep()
        return self._entries.get(job_id) or next(
            (e for key, e in self._entries.items() if len(job_id) == 15 and key[:15] == job_id), None
        )

    def add_batch(self, entry: JobEntry, request: bytes, **values: Any) -> BatchEntry:
        """Make a queued batch of a job, with what was sent."""
        now = self._clock.now().replace(microsecond=0)
        (batch_id,) = self._store.new_ids(BATCH_PREFIX, 1)
        state = BatchState.QUEUED
        batch = Batch(id=batch_id, job_id=entry.job.id, state=state, created=now, modified=now, **values)
        self.folder(batch).mkdir(parents=True)
        self.request_path(batch).write_bytes(request)
        made = BatchEntry(batch)
        self.keep_batch(batch)
        entry.batches[batch_id] = made
        return made

    def drop_batches(self, entry: JobEntry, batch_ids: list[str]) -> None:
        """Drop batches with their data."""
        for batch_id in batch_ids:
            batch = entry.batches.pop(batch_id).batch
            with self._store.writing() as connection:
                connection.execute("DELETE FROM _bulk1_batch WHERE id = ?", (batch_id,))
            shutil.rmtree(self.folder(batch), ignore_errors=True)

    def new_result_id(self) -> str:
        """Return the id of a result file: "query result ids are 15 characters"."""
        return self._store.new_ids(RESULT_PREFIX, 1)[0][:15]

    def keep(self, job: Job) -> None:
        """Store what the job is now."""
        with self._store.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO _bulk1_job VALUES (?, ?)", (job.id, _text(job)))

    def keep_batch(self, batch: Batch) -> None:
        """Store what the batch is now."""
        with self._store.writing() as connection:
            row = (batch.id, batch.job_id, _text(batch))
            connection.execute("INSERT OR REPLACE INTO _bulk1_batch VALUES (?, ?, ?)", row)

    def set_state(self, entry: JobEntry, state: JobState) -> None:
        """Change a job's state."""
        job = entry.job
        job.state = state
        job.modified = self._clock.now().replace(microsecond=0)
        if state is not JobState.OPEN:
            job.ended = job.modified
        self.keep(job)

    def set_batch_state(self, batch: Batch, state: BatchState, message: str | None = None) -> None:
        """Change a batch's state."""
        batch.state = state
        batch.state_message = message
        batch.modified = self._clock.now().replace(microsecond=0)
        self.keep_batch(batch)

    def folder(self, batch: Batch) -> Path:
        """Return where the batch's files lie."""
        return self._folder / batch.job_id / batch.id

    def request_path(self, batch: Batch) -> Path:
        """Return the file with what was sent."""
        return self.folder(batch) / "request"

    def result_path(self, batch: Batch) -> Path:
        """Return the file with what became of the rows of a data batch."""
        return self.folder(batch) / "result"

    def has_results(self, batch: Batch) -> bool:
        """Whether it is known what became of the rows of a data batch."""
        return self.result_path(batch).exists()

    def query_result_path(self, batch: Batch, number: int) -> Path:
        """Return a result file of a query, counted from 0."""
        return self.folder(batch) / f"result.{number}"

    def _sweep(self) -> None:
        """Drop jobs that ended seven days ago, and close those that stayed open for a day.

        "A job may be open 24 h; info and results are kept 7 days." That the state is then ``Closed`` is not known.
        """
        now = self._clock.now()
        for entry in list(self._entries.values()):
            job = entry.job
            if job.state is JobState.OPEN and job.created < now - timedelta(hours=limits.JOB_OPEN_HOURS):
                self.set_state(entry, JobState.CLOSED)
            elif job.ended is not None and job.ended < now - timedelta(days=limits.JOB_KEPT_DAYS):
                self.remove(entry)

    def remove(self, entry: JobEntry) -> None:
        """Drop a job with its batches and its data."""
        self._entries.pop(entry.job.id, None)
        with self._store.writing() as connection:
            connection.execute("DELETE FROM _bulk1_job WHERE id = ?", (entry.job.id,))
            connection.execute("DELETE FROM _bulk1_batch WHERE job_id = ?", (entry.job.id,))
        shutil.rmtree(self._folder / entry.job.id, ignore_errors=True)


def _text(kept: Job | Batch) -> str:
    return json.dumps(asdict(kept), default=lambda moment: moment.isoformat())


def _read(kind: type[Any], text: str, states: dict[str, type[StrEnum]]) -> Any:
    values = json.loads(text)
    for name in ("created", "modified", "ended"):
        if values.get(name) is not None:
            values[name] = datetime.fromisoformat(values[name])
    for name, state in states.items():
        values[name] = state(values[name])
    return kind(**{f.name: values[f.name] for f in fields(kind)})
