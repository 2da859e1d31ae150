"""Waiting for jobs: when to look, and until when.

Every look costs an API call, and every second between the job's end and the next look is lost. So the pause grows with
the age of the wait: a job that took a minute is noticed within seconds, one that took hours within a minute, and the
looks at it grow only with the logarithm of its length until the longest pause is reached. The pauses themselves:
``schedule.py``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Final, TypeAlias, TypeVar

from airflow_provider_sfbulk.client.effects import Aside, Flow, Now, Sleep
from airflow_provider_sfbulk.client.errors import (
    JobFailedError,
    JobTimeoutError,
    LoginError,
    NotFoundError,
    ProtocolError,
    RequestRefusedError,
    SfBulkError,
    StoppedError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.replies.safe_text import fit, guarded
from airflow_provider_sfbulk.client.waiting.jobs import WatchedJobs
from airflow_provider_sfbulk.client.waiting.schedule import (
    BLIND_SECONDS,
    DEFAULT_SCHEDULE,
    JITTER,
    POLL_TRIES,
    REFUSALS,
    UNCHANGED_AT_ONCE,
    Schedule,
    next_pause,
)

T = TypeVar("T")
OnPoll: TypeAlias = Callable[[Sequence[JobInfo]], None]

_CODE: Final = re.compile(r"(?:InvalidBatch\s*:\s*Failed to process query\s*:\s*)?([A-Z][A-Za-z_]{4,60})\s*:")
_SHOWN: Final = 5


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
    return keep_looking(polling.look, schedule=schedule, timeout=timeout, timed_out=polling.timed_out)


def keep_looking(
    look: Callable[[], Flow[T | None]],
    *,
    schedule: Schedule,
    timeout: float | None,
    timed_out: Callable[[float], JobTimeoutError],
) -> Flow[T]:
    """Look until there is a result: the loop of every wait.

    A look that fails for a passing reason is no reason to give a running job up: the pauses get longer, and the wait
    goes on until its end.

    :param look: gives the result, or None to be called again
    :param timeout: seconds; None for no end
    :param timed_out: gives the error of a wait that ended after so many seconds
    :raises JobTimeoutError: the wait ended; the jobs go on
    :raises TransientError: no good look for ``BLIND_SECONDS``
    """
    start: float = yield Now()
    last_good, troubles = start, 0
    while True:
        trouble: SfBulkError | None = None
        try:
            found = yield from look()
            if found is not None:
                return found
        except SfBulkError as error:
            if not may_look_again(error, troubles + 1):
                raise
            trouble = error
        now: float = yield Now()
        last_good, troubles = (now, 0) if trouble is None else (last_good, troubles + 1)
        if trouble is not None and now - last_good >= BLIND_SECONDS:
            raise trouble
        if timeout is not None and now - start >= timeout:
            raise timed_out(timeout) from trouble
        pause = next_pause(schedule, now - start, trouble, troubles)
        if timeout is not None and now + pause > start + timeout:
            yield Sleep(start + timeout - now)  # to the end itself: jitter would make a row of short last looks of it
        else:
            yield Sleep(pause, jitter=JITTER)


def poll_briefly(
    jobs: WatchedJobs, job_ids: Iterable[str], *, pauses: Iterable[float], on_poll: OnPoll | None = None
) -> Flow[list[JobInfo] | None]:
    """Look at jobs after each pause. Trouble is left to the wait that follows.

    :param pauses: seconds before each look
    :return: the jobs in the order of ``job_ids``, if all are final; else None
    """
    polling = _Polling(jobs, job_ids, None, on_poll)
    troubles = 0
    for pause in pauses:
        yield Sleep(pause)
        try:
            found = yield from polling.look()
            if found is not None:
                return found
            troubles = 0
        except SfBulkError as error:
            troubles += 1
            if not may_look_again(error, troubles):
                raise
    return None


def poll_once(jobs: WatchedJobs, job_ids: Iterable[str], *, on_poll: OnPoll | None = None) -> Flow[list[JobInfo]]:
    """Look at all jobs once, now; again after a few seconds when that fails for a passing reason."""
    polling = _Polling(jobs, job_ids, None, on_poll)
    for attempt in count(1):
        try:
            yield from polling.look()
            break
        except SfBulkError as error:
            if not may_look_again(error, attempt) or attempt == POLL_TRIES:
                raise
            yield Sleep(2.0**attempt, jitter=JITTER)
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
        self._order = list(dict.fromkeys(job_ids))
        self._found: dict[str, JobInfo] = {}
        self._jobs = jobs
        self._on_progress = on_progress
        self._on_poll = on_poll
        self._running = deque(self._order)

    @property
    def infos(self) -> list[JobInfo]:
        """The jobs as last read."""
        return [self._found[job_id] for job_id in self._order]

    def look(self) -> Flow[list[JobInfo] | None]:
        """Look once.

        :return: the jobs, when all are final
        """
        seen: list[JobInfo] = []
        try:
            yield from self._look(seen)
        except StoppedError:
            raise
        except SfBulkError:
            self._report(seen)
            raise
        self._report(seen)
        return None if self._running else self.infos

    def _look(self, seen: list[JobInfo]) -> Flow[None]:
        unchanged = 0
        for job_id in list(self._running):
            before = self._found.get(job_id)
            job = yield from self._jobs.get_once(job_id)
            self._found[job_id] = job
            seen.append(job)
            if job.is_final:
                self._running.popleft()
            else:
                self._running.rotate(-1)
                unchanged += before is not None and before.state is job.state
            if self._on_progress is not None:
                yield Aside(partial(self._on_progress, job))
            if unchanged >= UNCHANGED_AT_ONCE and len(self._found) == len(self._order):
                break

    def _report(self, seen: list[JobInfo]) -> None:
        if seen and self._on_poll is not None:
            self._on_poll(seen)

    def timed_out(self, timeout: float) -> JobTimeoutError:
        """Give the error of a wait that ended after ``timeout`` seconds."""
        waiting = [job_id for job_id in self._order if job_id in self._running]
        states = {job_id: str(job.state) for job_id, job in self._found.items()}
        shown = ", ".join(f"{job_id} ({states.get(job_id, 'unread')})" for job_id in waiting[:_SHOWN])
        more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        return JobTimeoutError(
            f"waited {timeout:g} s; still running at Salesforce, and going on there: {shown}{more}", job_id=waiting[0]
        )


def may_look_again(error: SfBulkError, times: int) -> bool:
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
