"""Waiting for jobs: when to look, and until when.

Every look costs an API call, and every second between the job's end and the next look is lost. So the pause grows with
the age of the wait: a job that took a minute is noticed within seconds, one that took hours within a minute, and the
looks at it grow only with the logarithm of its length until the longest pause is reached.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from airflow_provider_sfbulk.client.arguments import seconds
from airflow_provider_sfbulk.client.effects import Aside, Flow, Now, Sleep
from airflow_provider_sfbulk.client.errors import (
    JobFailedError,
    JobTimeoutError,
    LoginError,
    NotFoundError,
    ProtocolError,
    RequestLimitError,
    RequestRefusedError,
    SfBulkError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.protocol.retry import retry_after_of
from airflow_provider_sfbulk.client.replies.safe_text import fit, guarded
from airflow_provider_sfbulk.client.waiting.jobs import WatchedJobs

LIMIT_PAUSE_SECONDS: Final = 15 * 60.0
"""Pause after the day's API calls are used up: looking more often cannot help, and takes calls from others."""

BLIND_SECONDS: Final = 24 * 60 * 60.0
"""A wait without an end of its own gives up after so long without one good look: even used-up allowances of the rolling
24 hours are back by then."""

UNCHANGED_AT_ONCE: Final = 3
"""Jobs found in the same state as before that end a look."""

REFUSALS: Final = 6
"""Looks in a row that are refused, each after a longer pause, before the wait ends with the refusal."""

POLL_TRIES: Final = 5
"""The same where the job is read once, and not waited for."""

OnPoll: TypeAlias = Callable[[Sequence[JobInfo]], None]

_CODE: Final = re.compile(r"(?:InvalidBatch\s*:\s*Failed to process query\s*:\s*)?([A-Z][A-Za-z_]{4,60})\s*:")
_JITTER: Final = 0.1
_SHOWN: Final = 5


@dataclass(frozen=True)
class Schedule:
    """The pauses between polling.

    :param first: seconds before the second look, and the shortest pause; a timedelta is taken, too
    :param growth: each pause is this share of the wait's age
    :param longest: seconds of the longest pause; a timedelta is taken, too
    :raises SourceError: one is no length of time
    """

    first: float = 1.0
    growth: float = 0.2
    longest: float = 60.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", seconds()("first", self.first))
        object.__setattr__(self, "longest", seconds()("longest", self.longest))

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
    on_poll: OnPoll | None = None,
) -> Flow[list[JobInfo]]:
    """Read jobs until all are final. Whether they ended well is for the caller to say.

    A look that fails for a passing reason is no reason to give a running job up: the pauses get longer, and the wait
    goes on until its end.

    :param timeout: seconds; None for no end
    :param on_progress: is given each job as it is read, also unchanged ones
    :param on_poll: is given the jobs of each look
    :return: the jobs as last read, in the order of ``job_ids``
    :raises JobTimeoutError: the wait ended; the jobs go on
    :raises TransientError: no good look for ``BLIND_SECONDS``
    :raises NotFoundError: a job is gone
    :raises LoginError: the login is refused, or several looks in a row
    """
    polling = _Polling(jobs, job_ids, on_progress, on_poll)
    start: float = yield Now()
    last_good = start
    while True:
        trouble = yield from polling.look()
        if polling.are_final:
            return polling.infos
        now: float = yield Now()
        if trouble is None:
            last_good = now
        elif now - last_good >= BLIND_SECONDS:
            raise trouble
        if timeout is not None and now - start >= timeout:
            raise _timed_out(polling.order, polling.found, timeout) from trouble
        pause = next_pause(schedule, now - start, trouble, polling.troubles)
        if timeout is not None and now + pause > start + timeout:
            yield Sleep(start + timeout - now)  # to the end itself: jitter would make a row of short last looks of it
        else:
            yield Sleep(pause, jitter=_JITTER)


def poll_briefly(
    jobs: WatchedJobs, job_ids: Iterable[str], *, pauses: Iterable[float], on_poll: OnPoll | None = None
) -> Flow[list[JobInfo] | None]:
    """Look at jobs after each pause. Trouble is left to the wait that follows.

    :param pauses: seconds before each look
    :return: the jobs in the order of ``job_ids``, if all are final; else None
    """
    polling = _Polling(jobs, job_ids, None, on_poll)
    for pause in pauses:
        yield Sleep(pause)
        yield from polling.look()
        if polling.are_final:
            return polling.infos
    return None


def poll_once(jobs: WatchedJobs, job_ids: Iterable[str], *, on_poll: OnPoll | None = None) -> Flow[list[JobInfo]]:
    """Look at all jobs once, now; again after a few seconds when that fails for a passing reason."""
    polling = _Polling(jobs, job_ids, None, on_poll)
    while (trouble := (yield from polling.look())) is not None:
        if polling.troubles == POLL_TRIES:
            raise trouble
        yield Sleep(2.0**polling.troubles, jitter=_JITTER)
    return polling.infos


class _Polling:
    """Looks at jobs that all have to end before the wait is over.

    The first look reads all. Each further one ends after a few that are as they were, and the next goes on behind them: as
    long as one runs, the others are of no use. So a thousand jobs cost some thousand calls, and a few more with each look.
    """

    def __init__(
        self,
        jobs: WatchedJobs,
        job_ids: Iterable[str],
        on_progress: Callable[[JobInfo], None] | None,
        on_poll: OnPoll | None,
    ) -> None:
        self.order = list(dict.fromkeys(job_ids))
        self.found: dict[str, JobInfo] = {}
        self.troubles = 0
        """Looks that failed in a row."""
        self._jobs = jobs
        self._on_progress = on_progress
        self._on_look = on_poll
        self._running = deque(self.order)

    @property
    def are_final(self) -> bool:
        """Whether every job has ended."""
        return not self._running

    @property
    def infos(self) -> list[JobInfo]:
        """The jobs as last read."""
        return [self.found[job_id] for job_id in self.order]

    def look(self) -> Flow[SfBulkError | None]:
        """Look once.

        :return: what the look failed with, when it may pass
        """
        seen: list[JobInfo] = []
        trouble: SfBulkError | None = None
        unchanged = 0
        for job_id in list(self._running):
            before = self.found.get(job_id)
            try:
                job = yield from self._jobs.get_once(job_id)
            except SfBulkError as error:
                if not may_pass(error, self.troubles + 1):
                    raise
                trouble = error
                break
            self.found[job_id] = job
            seen.append(job)
            if job.is_final:
                self._running.popleft()
            else:
                self._running.rotate(-1)
                unchanged += before is not None and before.state is job.state
            if self._on_progress is not None:
                yield Aside(partial(self._on_progress, job))
            if unchanged >= UNCHANGED_AT_ONCE and len(self.found) == len(self.order):
                break
        self.troubles = 0 if trouble is None else self.troubles + 1
        if seen and self._on_look is not None:
            self._on_look(seen)
        return trouble


def may_pass(error: SfBulkError, times: int) -> bool:
    """Whether a look that failed so is worth another one.

    A single call is sometimes refused that would be answered a moment later: a permission that is being changed, an edge
    in between, a session that another login has ended. The job at Salesforce goes on meanwhile. But a login that is
    refused is not tried again: a few wrong passwords lock the user out.

    :param times: looks that failed in a row, this one included
    """
    if isinstance(error, TransientError):
        return True
    if isinstance(error, NotFoundError) or not isinstance(error, (LoginError, RequestRefusedError, ProtocolError)):
        return False
    return is_of_a_call(error) and times < REFUSALS


def is_of_a_call(error: SfBulkError) -> bool:
    """Whether it is the answer to a call of the API, and not to a login."""
    return error.path is not None and error.path.startswith(("/services/data/", "/services/async/"))


def check_complete(job: JobInfo) -> JobInfo:
    """Return a job that ended ``JobComplete``. Records of it may have failed all the same.

    :raises JobFailedError: it ended ``Failed`` or ``Aborted``
    """
    if job.state is JobState.JOB_COMPLETE:
        return job
    said = guarded(job.error_message or "")
    code = _CODE.match(said)
    why = said or ("somebody aborted it" if job.state is JobState.ABORTED else "Salesforce gives no reason")
    raise JobFailedError(
        f"job {job.id} ({job.operation} {job.object or ''}) ended {job.state}: {' '.join(why.split())[:500]}; "
        f"{job.processed} records were tried, {job.failed} of them failed",
        job_id=job.id,
        error_code=code[1] if code else None,
    )


def check_all_complete(jobs: Sequence[JobInfo]) -> None:
    """Check that jobs ended ``JobComplete``, each and every one.

    :raises JobFailedError: some did not: the first one's error, with all of them as its ``jobs``
    """
    failed = tuple(job for job in jobs if job.state is not JobState.JOB_COMPLETE)
    if not failed:
        return
    try:
        check_complete(failed[0])
    except JobFailedError as error:
        error.jobs = failed
        if len(jobs) > 1:
            error.args = (fit(f"{len(failed)} of {len(jobs)} jobs did not complete: {error}"),)
        raise


def next_pause(schedule: Schedule, age: float, trouble: SfBulkError | None, troubles: int) -> float:
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
