"""Jobs: what one is, which state may follow which, and the table of them.

States of ingest jobs (*Bulk API 2.0 Developer Guide*, "Bulk API 2.0 Job States")::

    Open --PUT--> Open --PATCH--> UploadComplete --> InProgress --> JobComplete | Failed
      \\_____________________________\\_______________\\____PATCH____> Aborted

Query jobs start at UploadComplete. What a caller may do in which state stands in :data:`ABORTABLE` and
:data:`DELETABLE`.

A job that is worked on at once would never be seen on its way. So what calls *see* lags behind what is: from the
close on, each state is shown to at least one poll before the next one is, and until then the job behaves as if it
were in the state shown. Callers that never poll see the truth.
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
from airflow_provider_sfbulk.local_org.bulk2.csv_in import Dialect
from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data.store import Store

KEY_PREFIX: Final = "750"
"""Of job ids, ingest, query and Bulk API 1.0 alike."""


class Kind(StrEnum):
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
DELETABLE: Final = {Kind.INGEST: FINAL | {State.UPLOAD_COMPLETE}, Kind.QUERY: FINAL}
""""Allowed from UploadComplete, JobComplete, Aborted, Failed" for ingest, from final states for queries."""


@dataclass(kw_only=True)
class Job:
    """One job. Times are aware, durations whole milliseconds."""

    id: str
    kind: Kind
    operation: str
    object: str
    created_by_id: str
    created: datetime
    modified: datetime
    state: State
    api_version: str
    column_delimiter: str = "COMMA"
    line_ending: str = "LF"
    external_id_field: str | None = None
    assignment_rule_id: str | None = None
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
    """Where the batches lie in the upload, in bytes."""
    done: list[int] = field(default_factory=list)
    """Which of the batches are saved."""
    result_bytes: dict[str, int] = field(default_factory=dict)
    """How much of each result file is valid: what lies beyond was written by a process that died."""
    closed: datetime | None = None
    ended: datetime | None = None

    @property
    def dialect(self) -> Dialect:
        """How the job's CSV is written."""
        return Dialect(self.column_delimiter, self.line_ending)

    def to_json(self) -> str:
        """Return the job as text for the table."""
        return json.dumps(asdict(self), default=lambda moment: moment.isoformat())

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what :meth:`to_json` wrote."""
        values = json.loads(text)
        for name in ("created", "modified", "closed", "ended"):
            values[name] = values[name] and datetime.fromisoformat(values[name])
        values["kind"], values["state"] = Kind(values["kind"]), State(values["state"])
        return cls(**{f.name: values[f.name] for f in fields(cls)})


class Entry:
    """A job with what only this process knows of it.

    :ivar lock: held while the job's data are worked on; who changes the state waits for it
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.lock = threading.Lock()
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


class Jobs:
    """All jobs of the org, newest last."""

    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        for _, body in store.select("SELECT id, body FROM _job ORDER BY id"):
            entry = Entry(Job.from_json(body))
            entry.settle()
            self._entries[entry.job.id] = entry

    def __iter__(self) -> Iterator[Entry]:
        self._sweep()
        return iter(list(self._entries.values()))

    def add(self, **values: Any) -> Entry:
        """Make a job; ``values`` as :class:`Job`'s, without id and times."""
        now = self._clock.now().replace(microsecond=0)
        (job_id,) = self._store.new_ids(KEY_PREFIX, 1)
        entry = Entry(Job(id=job_id, created=now, modified=now, **values))
        self.folder(entry.job).mkdir(parents=True)
        self._entries[job_id] = entry
        self.keep(entry.job)
        return entry

    def get(self, job_id: str) -> Entry | None:
        """Return a job by either form of its id."""
        self._sweep()
        return self._entries.get(job_id) or next(
            (e for key, e in self._entries.items() if len(job_id) == 15 and key[:15] == job_id), None
        )

    def keep(self, job: Job) -> None:
        """Store what the job is now."""
        with self._store.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO _job VALUES (?, ?)", (job.id, job.to_json()))

    def set_state(self, entry: Entry, state: State) -> None:
        """Change a job's state."""
        job = entry.job
        job.state = state
        job.modified = self._clock.now().replace(microsecond=0)
        if state.is_final:
            job.ended = job.modified
        self.keep(job)

    def remove(self, entry: Entry) -> None:
        """Drop a job with its data."""
        self._entries.pop(entry.job.id, None)
        with self._store.writing() as connection:
            connection.execute("DELETE FROM _job WHERE id = ?", (entry.job.id,))
        shutil.rmtree(self.folder(entry.job), ignore_errors=True)

    def folder(self, job: Job) -> Path:
        """Return where the job's files lie."""
        return self._folder / job.id

    def upload_path(self, job: Job) -> Path:
        """Return the file that was uploaded."""
        return self.folder(job) / "upload.csv"

    def _sweep(self) -> None:
        """Drop jobs that ended seven days ago, and stop those that stayed open for a day.

        "Jobs and results kept: 7 days", "Job open: 24 h". Into which state an open job is stopped is not known;
        ``Aborted`` here.
        """
        now = self._clock.now()
        oldest_end, oldest_open = (
            now - timedelta(days=limits.JOB_KEPT_DAYS),
            now - timedelta(hours=limits.JOB_OPEN_HOURS),
        )
        for entry in list(self._entries.values()):
            job = entry.job
            if job.ended is not None and job.ended < oldest_end:
                self.remove(entry)
            elif job.state is State.OPEN and job.created < oldest_open:
                self.set_state(entry, State.ABORTED)
