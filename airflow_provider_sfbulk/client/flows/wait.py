"""Waiting for jobs: when to look, and until when.

Every look costs an API call, and every second between the job's end and the next look is lost. So the pause grows with
the age of the wait: a job that took a minute is noticed within seconds, one that took hours within a minute, and the
looks at it grow only with the logarithm of its length until the longest pause is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.errors import JobFailedError, JobTimeoutError, RequestLimitError, TransientError
from airflow_provider_sfbulk.client.flows.retry import retry_after_of
from airflow_provider_sfbulk.client.flows.watched import WatchedJobs
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.wire import Flow, Now, Sleep

LIMIT_PAUSE_SECONDS: Final = 15 * 60.0
"""Pause after the day's API calls are used up: looking more often cannot help, and takes calls from others."""

BLIND_SECONDS: Final = 24 * 60 * 60.0
"""A wait without an end of its own gives up after so long without one good look: even used-up allowances of the rolling
24 hours are back by then."""

_JITTER: Final = 0.1
_SHOWN: Final = 5


@dataclass(frozen=True)
class Schedule:
    """The pauses between looks.

    :param first: seconds before the second look, and the shortest pause
    :param growth: each pause is this share of the wait's age
    :param longest: seconds of the longest pause
    """

    first: float = 1.0
    growth: float = 0.2
    longest: float = 60.0

    def pause(self, age: float) -> float:
        """Give the seconds to pause after a wait of ``age`` seconds."""
        return min(self.longest, max(self.first, age * self.growth))


DEFAULT_SCHEDULE: Final = Schedule()


def wait_until_final(
    jobs: WatchedJobs,
    job_ids: Iterable[str],
    *,
    schedule: Schedule = DEFAULT_SCHEDULE,
    timeout: float | None = None,
    on_progress: Callable[[JobInfo], None] | None = None,
) -> Flow[list[JobInfo]]:
    """Read jobs until all are final. Whether they ended well is for the caller to say.

    A look that fails for a passing reason is no reason to give a running job up: the pauses get longer, and the wait
    goes on until its end.

    :param timeout: seconds; None for no end
    :param on_progress: is given each job as it is read, also unchanged ones
    :return: the jobs as last read, in the order of ``job_ids``
    :raises JobTimeoutError: the wait ended; the jobs go on
    :raises TransientError: no good look for ``BLIND_SECONDS``
    :raises NotFoundError: a job is gone
    :raises LoginError: the login was taken away
    """
    order = list(dict.fromkeys(job_ids))
    found: dict[str, JobInfo] = {}
    start: float = yield Now()
    last_good, troubles = start, 0
    while True:
        trouble: TransientError | None = None
        for job_id in order:
            if job_id not in found or not found[job_id].is_final:
                try:
                    found[job_id] = yield from jobs.get_once(job_id)
                except TransientError as error:
                    trouble = error
                    break
                if on_progress is not None:
                    on_progress(found[job_id])
        now: float = yield Now()
        if trouble is None:
            last_good, troubles = now, 0
            if all(job.is_final for job in found.values()):
                return [found[job_id] for job_id in order]
        else:
            troubles += 1
            if now - last_good >= BLIND_SECONDS:
                raise trouble
        if timeout is not None and now - start >= timeout:
            raise _timed_out(order, found, timeout) from trouble
        pause = next_pause(schedule, now - start, trouble, troubles)
        if timeout is not None and now + pause > start + timeout:
            yield Sleep(start + timeout - now)  # to the end itself: jitter would make a row of short last looks of it
        else:
            yield Sleep(pause, jitter=_JITTER)


def look(
    jobs: WatchedJobs,
    job_ids: Iterable[str],
    *,
    pauses: Iterable[float],
    on_progress: Callable[[JobInfo], None] | None = None,
) -> Flow[list[JobInfo]]:
    """Read jobs after each pause, until all are final or the pauses are used up.

    :param pauses: seconds before each look; ``(0.0,)`` looks once, now
    :return: the jobs as last read, in the order of ``job_ids``; a job that is not final goes on
    """
    found: dict[str, JobInfo] = {}
    order = list(dict.fromkeys(job_ids))
    for pause in pauses:
        yield Sleep(pause)
        for job_id in order:
            if job_id not in found or not found[job_id].is_final:
                found[job_id] = yield from jobs.get(job_id)
                if on_progress is not None:
                    on_progress(found[job_id])
        if all(job.is_final for job in found.values()):
            break
    return [found[job_id] for job_id in order]


def check_complete(job: JobInfo) -> JobInfo:
    """Return a job that ended ``JobComplete``. Records of it may have failed all the same.

    :raises JobFailedError: it ended ``Failed`` or ``Aborted``
    """
    if job.state is JobState.JOB_COMPLETE:
        return job
    why = job.error_message or (
        "somebody aborted it" if job.state is JobState.ABORTED else "Salesforce gives no reason"
    )
    raise JobFailedError(
        f"job {job.id} ({job.operation} {job.object or ''}) ended {job.state}: {' '.join(why.split())[:500]}; "
        f"{job.processed} records were tried, {job.failed} of them failed",
        job_id=job.id,
    )


def next_pause(schedule: Schedule, age: float, trouble: TransientError | None, troubles: int) -> float:
    """Give the seconds until the next look.

    :param age: of the wait, in seconds
    :param trouble: what the last look failed with
    :param troubles: looks that failed in a row
    """
    pause = schedule.pause(age)
    if trouble is None:
        return pause
    if isinstance(trouble, RequestLimitError) and trouble.daily:
        return max(pause, LIMIT_PAUSE_SECONDS)
    return min(max(pause * 2.0 ** min(troubles, 10), retry_after_of(trouble)), max(schedule.longest, 120.0))


def _timed_out(order: list[str], found: dict[str, JobInfo], timeout: float) -> JobTimeoutError:
    waiting = [job_id for job_id in order if job_id not in found or not found[job_id].is_final]
    shown = ", ".join(f"{each} ({found[each].state if each in found else 'unread'})" for each in waiting[:_SHOWN])
    more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
    return JobTimeoutError(
        f"waited {timeout:g} s; still running at Salesforce, and going on there: {shown}{more}", job_id=waiting[0]
    )
