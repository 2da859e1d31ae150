"""What the jobs of both generations of the Bulk API have in common, and the table that keeps them.

A job that is worked on at once would never be seen on its way. So what calls *see* lags behind what is: each state is
shown to at least one call before the next one is. Callers that never look see the truth.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.data.store import Store, quoted

KEY_PREFIX: Final = "750"
"""Of job ids, ingest, query and Bulk API 1.0 alike."""

_TIMES: Final = frozenset({"created", "modified", "closed", "ended"})


@dataclass(kw_only=True)
class Kept:
    """What is stored as JSON. Times are aware.

    :cvar words: the types of the attributes that are one of several words
    """

    words: ClassVar[dict[str, type[StrEnum]]]

    id: str
    created: datetime
    modified: datetime
    state: Any

    def to_json(self) -> str:
        """Return the text to store."""
        return json.dumps(asdict(self), default=lambda moment: moment.isoformat())

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        values = json.loads(text)
        for name in _TIMES & values.keys():
            values[name] = values[name] and datetime.fromisoformat(values[name])
        for name, words in cls.words.items():
            values[name] = words(values[name])
        return cls(**{each.name: values[each.name] for each in fields(cls)})


@dataclass(kw_only=True)
class AnyJob(Kept):
    """One job."""

    operation: str
    object: str
    created_by_id: str
    api_version: str
    external_id_field: str | None = None
    assignment_rule_id: str | None = None
    ended: datetime | None = None


JobT = TypeVar("JobT", bound=AnyJob)


class AnyEntry(Generic[JobT]):
    """A job with what only this process knows of it.

    :ivar lock: held while the job's data are worked on; who changes its state waits for it
    """

    def __init__(self, job: JobT) -> None:
        self.job = job
        self.lock = threading.Lock()


EntryT = TypeVar("EntryT", bound=AnyEntry[Any])


class JobTable(Generic[EntryT]):
    """All jobs of one generation, oldest first.

    :param folder: of the jobs' files; both generations share it, since no id is given out twice
    :param name: of the table in the store
    :param read: makes an entry of what is stored
    :param stopped: the state of a job that was left open for a day
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        folder: Path,
        *,
        name: str,
        read: Callable[[str], EntryT],
        stopped: StrEnum,
    ) -> None:
        self._store = store
        self._clock = clock
        self._folder = folder
        self._name = name
        self._stopped = stopped
        stored = store.select(f"SELECT body FROM {quoted(name)} ORDER BY id")  # noqa: S608 - a name of this package
        self._entries: dict[str, EntryT] = {entry.job.id: entry for entry in (read(body) for (body,) in stored)}

    def __iter__(self) -> Iterator[EntryT]:
        self._sweep()
        return iter(list(self._entries.values()))

    def _add(self, make: Callable[[str, datetime], EntryT]) -> EntryT:
        """Add a job that is made of its id and the present time."""
        (job_id,) = self._store.new_ids(KEY_PREFIX, 1)
        entry = make(job_id, self.now())
        self.folder(entry.job).mkdir(parents=True)
        self._entries[job_id] = entry
        self.keep(entry.job)
        return entry

    def get(self, job_id: str) -> EntryT | None:
        """Return a job by either form of its id."""
        self._sweep()
        return self._entries.get(job_id) or next(
            (e for key, e in self._entries.items() if len(job_id) == 15 and key[:15] == job_id), None
        )

    def keep(self, job: AnyJob) -> None:
        """Store what the job is now."""
        with self._store.writing() as connection:
            connection.execute(f"INSERT OR REPLACE INTO {self._name} VALUES (?, ?)", (job.id, job.to_json()))  # noqa: S608

    def set_state(self, entry: EntryT, state: Any) -> None:
        """Change a job's state."""
        job = entry.job
        job.state = state
        job.modified = self.now()
        if state.is_final:
            job.ended = job.modified
        self.keep(job)

    def remove(self, entry: EntryT) -> None:
        """Drop a job with its data."""
        self._entries.pop(entry.job.id, None)
        with self._store.writing() as connection:
            connection.execute(f"DELETE FROM {self._name} WHERE id = ?", (entry.job.id,))  # noqa: S608
        shutil.rmtree(self.folder(entry.job), ignore_errors=True)

    def folder(self, job: AnyJob) -> Path:
        """Return the folder of the job's files."""
        return self._folder / job.id

    def now(self) -> datetime:
        """Return the present time as jobs record it: whole seconds."""
        return self._clock.now().replace(microsecond=0)

    def _sweep(self) -> None:
        """Drop jobs that ended seven days ago, and stop those that stayed open for a day.

        "Jobs and results kept: 7 days", "Job open: 24 h". Into which state an open job is stopped is not known.
        """
        now = self._clock.now()
        oldest_end = now - timedelta(days=limits.JOB_KEPT_DAYS)
        oldest_open = now - timedelta(hours=limits.JOB_OPEN_HOURS)
        for entry in list(self._entries.values()):
            job = entry.job
            if job.ended is not None and job.ended < oldest_end:
                self.remove(entry)
            elif job.state == "Open" and job.created < oldest_open:
                self.set_state(entry, self._stopped)
