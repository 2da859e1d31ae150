"""What ``client.ingest`` and ``client.query`` have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow_provider_sfbulk.client.arguments import Seconds, seconds
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.faces.checks import check
from airflow_provider_sfbulk.client.faces.declare import Give, Stream, call, stream
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol.distrust import MANY_LIST_PAGES, Trail
from airflow_provider_sfbulk.client.protocol.jobs import JobCalls
from airflow_provider_sfbulk.client.waiting.jobs import WatchedJobs
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.waiting.wait import OnProgress, wait_until_final

Timeout: TypeAlias = Seconds | None


class JobMethods:
    """The calls on one half of the API."""

    _jobs: JobCalls

    @call
    def get_job(self, job_id: str) -> Flow[JobInfo]:
        """Read a job."""
        return self._jobs.get(job_id)

    @stream
    def list_jobs(
        self,
        *,
        job_type: str | None = None,
        is_pk_chunking_enabled: bool | None = None,
        concurrency_mode: str | None = None,
    ) -> Stream[JobInfo]:
        """Read all jobs of the org of the last seven days, page by page. Rows of the list have no counters.

        :param job_type: for example ``BigObjectIngest``; by default the jobs of this half of Bulk API 2.0
        :param is_pk_chunking_enabled: only jobs that Salesforce chunks by ids, or only the others
        :param concurrency_mode: only jobs of this mode, ``Parallel`` or ``Serial``
        :raises ProtocolError: the pages lead back, or never end
        """
        locator: str | None = None
        trail = Trail("the list of jobs", MANY_LIST_PAGES)
        while True:
            page = yield self._jobs.list_page(
                locator=locator,
                job_type=job_type,
                is_pk_chunking_enabled=is_pk_chunking_enabled,
                concurrency_mode=concurrency_mode,
            )
            yield Give(page.jobs)
            locator = page.next_locator
            if locator is None:
                return
            trail.step(locator, len(page.jobs))

    @call
    def abort(self, job_id: str) -> Flow[JobInfo]:
        """Abort a job. What it has saved stays."""
        return self._jobs.abort(job_id)

    @call
    def delete(self, job_id: str) -> Flow[None]:
        """Delete a job that has ended, with its data and results."""
        return self._jobs.delete(job_id)

    @call
    def wait(
        self,
        job_id: str,
        *,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Flow[JobInfo]:
        """Wait until a job is final, however it ends.

        :param timeout: in seconds or as a timedelta; None for no limit
        :raises JobTimeoutError: the wait ended; the job continues
        """
        (job,) = yield from wait_until_final(
            self._jobs, [job_id], schedule=schedule, timeout=timeout_seconds(timeout), on_progress=on_progress
        )
        return job


@dataclass(frozen=True)
class Waiting:
    """How to wait for the jobs of a whole load.

    :param timeout: in seconds or as a timedelta; None for no limit
    :param on_progress: called with each job as it is read
    """

    timeout: Timeout = None
    on_progress: Callable[[Any], Awaitable[None] | None] | None = None
    schedule: Schedule = DEFAULT_SCHEDULE

    def __post_init__(self) -> None:
        for name in ("timeout", "on_progress", "schedule"):  # refused before there is a job to wait for
            check(name, getattr(self, name))

    def on_one(self, jobs: WatchedJobs, job_id: str) -> Flow[JobInfo]:
        """Wait for a job that is none of the load's own."""
        (job,) = yield from wait_until_final(
            jobs, (job_id,), schedule=self.schedule, timeout=timeout_seconds(self.timeout)
        )
        return job

    def options(self) -> dict[str, Any]:
        """Return the arguments of the flows that wait."""
        return {
            "timeout": timeout_seconds(self.timeout),
            "on_progress": self.on_progress,
            "schedule": self.schedule,
        }


def timeout_seconds(timeout: Timeout) -> float | None:
    """Return a timeout in seconds; 0 polls once.

    :raises SourceError: it is not a length of time
    """
    return None if timeout is None else float(seconds(zero=True)("timeout", timeout))
