"""Jobs: what one is, which state may follow which, and the table of them.

States of ingest jobs (*Bulk API 2.0 Developer Guide*, "Bulk API 2.0 Job States")::

    Open --PUT--> Open --PATCH--> UploadComplete --> InProgress --> JobComplete | Failed
      \\_____________________________\\_______________\\____PATCH____> Aborted

Query jobs start at UploadComplete. What a caller may do in which state stands in :data:`ABORTABLE` and
:data:`DELETABLE`.

Calls are shown one state after the other (see :mod:`~airflow_provider_sfbulk.local_org.jobs`), from the close on; until a
poll shows the next one, the job behaves as if it were in the state shown before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final

from airflow_provider_sfbulk.local_org.bulk2.csv_in import Dialect
from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data.store import Store
from airflow_provider_sfbulk.local_org.jobs import AnyEntry, AnyJob, JobTable


class JobKind(StrEnum):
    """``jobType`` of a job."""

    INGEST = "V2Ingest"
    QUERY = "V2Query"


class State(StrEnum):
    """State of a job."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self in FINAL


FINAL: Final = frozenset({State.JOB_COMPLETE, State.FAILED, State.ABORTED})
ABORTABLE: Final = frozenset({State.OPEN, State.UPLOAD_COMPLETE, State.IN_PROGRESS})
DELETABLE: Final = {JobKind.INGEST: FINAL | {State.UPLOAD_COMPLETE}, JobKind.QUERY: FINAL}
""""Allowed from UploadComplete, JobComplete, Aborted, Failed" for ingest, from final states for queries."""


@dataclass(kw_only=True)
class Job(AnyJob):
    """One job. Durations are whole milliseconds."""

    words: ClassVar = {"kind": JobKind, "state": State}

    kind: JobKind
    state: State
    column_delimiter: str = "COMMA"
    line_ending: str = "LF"
    query: str | None = None
    pk_chunking: bool = False
    """Whether the server may cut the query by primary key: neither LIMIT nor ORDER BY."""
    uploads: int = 0
    """PUTs that came; more than one spoils the job."""
    processed: int = 0
    failed: int = 0
    error_message: str | None = None
    total_ms: int = 0
    active_ms: int = 0
    header_line: str = ""
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Where the batches are in the upload, in bytes."""
    done: list[int] = field(default_factory=list)
    """Which of the batches are saved."""
    result_bytes: dict[str, int] = field(default_factory=dict)
    """How much of each result file is valid: what is beyond was written by a process that died."""
    closed: datetime | None = None

    @property
    def dialect(self) -> Dialect:
        """How the job's CSV is written."""
        return Dialect(self.column_delimiter, self.line_ending)


class Entry(AnyEntry[Job]):
    """A job of Bulk API 2.0, with the state that calls were shown."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._shown: State | None = None
        """What the last poll saw. None: nobody has polled since the job was closed."""

    @property
    def visible(self) -> State:
        """The state that calls go by."""
        return self.job.state if self._shown is None else self._shown

    def poll(self) -> State:
        """Return the state to show now, at most one step after the one shown before."""
        steps = [State.UPLOAD_COMPLETE, State.IN_PROGRESS]
        state = self.job.state
        if state in (State.OPEN, State.ABORTED):
            self._shown = state
        elif self._shown not in steps:
            self._shown = state if self._shown is not None and self._shown.is_final else steps[0]
        elif self._shown is State.UPLOAD_COMPLETE and state is not State.UPLOAD_COMPLETE:
            self._shown = State.IN_PROGRESS
        elif self._shown is State.IN_PROGRESS:
            self._shown = state
        return self._shown

    def settle(self) -> None:
        """Show the truth from now on: the state was set by a caller, or the job is an old one."""
        self._shown = self.job.state if self.job.state.is_final else None


class Jobs(JobTable[Entry]):
    """All jobs of Bulk API 2.0."""

    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        super().__init__(store, clock, folder, name="_job", read=_entry_of, stopped=State.ABORTED)

    def add(self, **values: Any) -> Entry:
        """Make a job; ``values`` as :class:`Job`'s, without id and times."""
        return self._add(lambda job_id, now: Entry(Job(id=job_id, created=now, modified=now, **values)))

    def upload_path(self, job: Job) -> Path:
        """Return the file that was uploaded."""
        return self.folder(job) / "upload.csv"


def _entry_of(text: str) -> Entry:
    entry = Entry(Job.from_json(text))
    entry.settle()
    return entry
