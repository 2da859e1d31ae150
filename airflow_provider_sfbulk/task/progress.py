"""The progress of a task's jobs, which log lines and the page in Airflow's UI show.

It crosses processes as an XCom, from the task to the triggerer and back. It has only ids, counts and codes, never a value
of a record: whoever may read a DAG run may read this.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from airflow_provider_sfbulk.client.models import JobInfo, JobState, JobType, by_code
from airflow_provider_sfbulk.client.protocol.distrust import short_id
from airflow_provider_sfbulk.client.replies.safe_text import guarded

PROGRESS_XCOM_KEY: Final = "salesforce_bulk_progress"

SHOWN_JOBS: Final = 500
"""Jobs that are listed, some 120 bytes each; beyond that only their number is given."""

LINED_JOBS: Final = 3
"""Up to this many jobs have their own log line at each poll; more share one."""

SHOWN_FILES: Final = 20
"""Files of a kind that are listed; the manifest has all."""

TEXT_LENGTH: Final = 500
"""Longest text of an error, in characters."""

WINDOW_SECONDS: Final = 600.0
"""Seconds over which a rate is computed."""

LEAST_SECONDS: Final = 1.0
"""Shortest time in seconds that gives a rate."""


class Phase(StrEnum):
    """What the task is doing."""

    CHECKING = "checking"
    """Its input is read and checked, and nothing is sent."""
    COMPARING = "comparing"
    """Its input is read, to be compared with the org's rows."""
    SENDING = "sending"
    """Its input is read and uploaded, or its query submitted."""
    WAITING = "waiting"
    """Salesforce processes the jobs."""
    READING = "reading"
    """Results are fetched."""
    DONE = "done"
    SUBMITTED = "submitted"
    """Its end, when it does not wait for the jobs."""
    FAILED = "failed"


@dataclass
class JobCount:
    """One job, as last seen.

    :param records: that were sent to it; None for a query
    """

    id: str
    round: int = 0
    records: int | None = None
    state: str = str(JobState.OPEN)
    processed: int = 0
    failed: int = 0
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {name: value for name, value in vars(self).items() if value is not None}


class Throughput:
    """Records a second, over the last ten minutes of work. Times are seconds since 1970."""

    def __init__(self, start: tuple[float, int] | None = None) -> None:
        self._marks: deque[tuple[float, int]] = deque([] if start is None else [start])

    def mark(self, now: float, processed: int) -> None:
        """Note how many records are processed now. While there are none, the job is queued and the time does not count."""
        if len(self._marks) == 1 and self._marks[0][1] >= processed:
            self._marks.clear()
        self._marks.append((now, processed))
        while len(self._marks) > 2 and self._marks[1][0] < now - WINDOW_SECONDS:
            self._marks.popleft()

    @property
    def start(self) -> tuple[float, int] | None:
        """The oldest mark that still counts."""
        return self._marks[0] if self._marks else None

    @property
    def per_second(self) -> float | None:
        """The rate; None while unknown."""
        if len(self._marks) < 2:
            return None
        (first, before), (last, now) = self._marks[0], self._marks[-1]
        return (now - before) / (last - first) if last - first >= LEAST_SECONDS and now > before else None


@dataclass
class Progress:
    """The progress of the jobs of one try.

    :param setup_url: the org's address, where its Setup shows the jobs
    :param counts: what became of the records: ``successful``, ``failed``, ``unprocessed``, and where only those that
        differ are sent ``unchanged``; a query's ``records``
    :param errors: failed records by Salesforce's code
    :param files: URIs of files by kind
    :param message: why the task failed
    """

    job_type: str
    operation: str = ""
    sobject: str = ""
    try_number: int = 1
    phase: Phase = Phase.SENDING
    setup_url: str = ""
    api_calls: int = 0
    jobs: dict[str, JobCount] = field(default_factory=dict)
    """By their short ids: a user may have given either form."""
    counts: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    manifest: str | None = None
    message: str | None = None
    pace: Throughput = field(default_factory=Throughput)

    # --- events ---

    def add(self, job_id: str, *, number: int = 0, records: int | None = None) -> JobCount:
        """Add a job, once.

        :param number: its round
        """
        key = short_id(job_id)
        if key not in self.jobs:
            self.jobs[key] = JobCount(job_id, round=number, records=records)
        return self.jobs[key]

    def keep(self, job_ids: Iterable[str]) -> None:
        """Drop all other jobs: those whose upload failed and was repeated."""
        kept = set(map(short_id, job_ids))
        self.jobs = {key: job for key, job in self.jobs.items() if key in kept}

    def take(self, info: JobInfo, *, now: float | None = None) -> None:
        """Note what Salesforce says about a job.

        :param now: seconds since 1970; None: now
        """
        job = self.add(info.id)
        job.id = info.id
        job.state, job.processed, job.failed = str(info.state), info.processed, info.failed
        job.error = None if info.error_message is None else " ".join(guarded(info.error_message).split())[:TEXT_LENGTH]
        self.sobject = self.sobject or info.object or ""
        self.operation = self.operation or info.operation
        self.pace.mark(time.time() if now is None else now, self.processed)

    def fail_with(self, errors: Mapping[str, int]) -> None:
        """Note failed records by code. Anything that does not look like one of Salesforce's codes is left out."""
        self.errors = by_code(errors)

    # --- reports ---

    @property
    def processed(self) -> int:
        """Records processed, over all jobs."""
        return sum(job.processed for job in self.jobs.values())

    @property
    def failed(self) -> int:
        """Records failed, over all jobs."""
        return sum(job.failed for job in self.jobs.values())

    @property
    def records(self) -> int | None:
        """Records sent, over all jobs; None unless known for each."""
        counts = [job.records for job in self.jobs.values()]
        return None if not counts or None in counts else sum(count or 0 for count in counts)

    @property
    def seconds_left(self) -> float | None:
        """How long it still takes at this rate, in seconds; None when unknown."""
        rate, records = self.pace.per_second, self.records
        return None if rate is None or records is None else max(0, records - self.processed) / rate

    def lines(self, infos: Sequence[JobInfo]) -> list[str]:
        """Return log lines about jobs that were polled: one for each, or one for all when there are many."""
        if len(self.jobs) > LINED_JOBS:
            return [self._line_of_all()]
        return [self._line(info) for info in infos]

    def _line(self, info: JobInfo) -> str:
        job = self.jobs.get(short_id(info.id))
        pieces = [
            f"job {info.id} is {info.state}: {_of(info.processed, None if job is None else job.records)} processed"
        ]
        if self._counts_failures and not _is_query(info.operation):  # a load may wait for a query to compare with
            pieces.append(f"{info.failed:,} failed")
        if len(self.jobs) > 1:
            pieces.append(f"in all {len(self.jobs):,} jobs {_of(self.processed, self.records, noun='')} processed")
        return ", ".join([*pieces, *([] if info.is_final else self._pace())])

    def _line_of_all(self) -> str:
        ended = [job for job in self.jobs.values() if JobState(job.state).is_final]
        line = f"{len(ended):,} of {len(self.jobs):,} jobs have ended"
        for state in (JobState.FAILED, JobState.ABORTED):
            if number := sum(job.state == state for job in ended):
                line += f" ({number:,} {state})"
        line += f": {_of(self.processed, self.records)} processed"
        failed = [f"{self.failed:,} failed"] if self._counts_failures else []
        return ", ".join([line, *failed, *([] if len(ended) == len(self.jobs) else self._pace())])

    @property
    def _counts_failures(self) -> bool:
        """A query has no failed records."""
        return self.job_type != JobType.QUERY and not _is_query(self.operation)

    def _pace(self) -> list[str]:
        if self.pace.per_second is None:
            return []
        left = [f"about {_span(self.seconds_left)} left"] if self.seconds_left else []
        return [f"{self.pace.per_second:,.0f} a second", *left]

    def to_dict(self, *, now: float | None = None) -> dict[str, Any]:
        """Return plain JSON values.

        :param now: seconds since 1970; None: now
        """
        rate, left = self.pace.per_second, self.seconds_left
        found: dict[str, Any] = {
            "job_type": self.job_type,
            "operation": self.operation,
            "sobject": self.sobject,
            "try_number": self.try_number,
            "phase": str(self.phase),
            "updated": round(time.time() if now is None else now, 1),
            "setup_url": self.setup_url,
            "api_calls": self.api_calls,
            "processed": self.processed,
            "failed": self.failed,
            "records": self.records,
            "rate": None if rate is None else round(rate, 2),
            "seconds_left": None if left is None else round(left, 1),
            "since": None if self.pace.start is None else list(self.pace.start),
            "jobs": [job.to_dict() for job in list(self.jobs.values())[:SHOWN_JOBS]],
            "more_jobs": max(0, len(self.jobs) - SHOWN_JOBS),
            "counts": self.counts,
            "errors": self.errors,
            "files": {kind: uris[:SHOWN_FILES] for kind, uris in self.files.items() if uris},
            "manifest": self.manifest,
            "message": self.message,
        }
        return {name: value for name, value in found.items() if value not in (None, {}, [])}

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Read what a task reported before it was deferred, to continue from there.

        :raises ValueError: when it is something else
        """
        try:
            given: dict[str, Any] = dict(data)  # type: ignore[call-overload]
            since = given.get("since")
            progress = cls(
                job_type=str(given["job_type"]),
                operation=str(given.get("operation", "")),
                sobject=str(given.get("sobject", "")),
                try_number=int(given["try_number"]),
                phase=Phase(given["phase"]),
                setup_url=str(given.get("setup_url", "")),
                api_calls=int(given["api_calls"]),
                errors=by_code(given.get("errors", {})),
                pace=Throughput(None if since is None else (float(since[0]), int(since[1]))),
            )
            for each in given.get("jobs", ()):
                job = JobCount(**each)
                progress.jobs[short_id(job.id)] = job
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ValueError("not the progress of a task") from error
        return progress


def _of(processed: int, records: int | None, *, noun: str = " records") -> str:
    return f"{processed:,}{noun}" if records is None else f"{processed:,} of {records:,}{noun}"


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def _is_query(operation: str) -> bool:
    return operation.startswith("query")
