"""Waiting for jobs: when to poll, and until when.

Every poll costs an API call, and every second between the job's end and the next poll is lost. So the pause grows with
the age of the wait: the end of a job that took a minute is noticed within seconds, of one that took hours within a
minute. Until the longest pause is reached, the number of polls grows only with the logarithm of the job's duration. For
the pauses see ``schedule.py``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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
OnProgress: TypeAlias = Callable[[JobInfo], Awaitable[None] | None]
OnPoll: TypeAlias = Callable[[Sequence[JobInfo]], None]

_CODE: Final = re.compile(r"(?:InvalidBatch\s*:\s*Failed to process query\s*:\s*)?([A-Z][A-Za-z_]{4,60})\s*:")
_SHOWN: Final = 5


def wait_until_final(
    jobs: WatchedJobs,
    job_ids: Iterable[str],
    *,
    schedule: Schedule = DEFAULT_SCHEDULE,
    timeout: float | None = None,
    on_progress: OnProgress | None = None,
    on_poll: OnPoll | None = None,
) -> Flow[list[JobInfo]]:
    """Read jobs until all are final, however they end.

    :param timeout: seconds; None for no limit
    :param on_progress: called with each job as it is read, changed or not
    :param on_poll: called with the jobs of each poll
    :return: the jobs as last read, in the order of ``job_ids``
    :raises JobTimeoutError: the wait ended; the jobs go on
    :raises TransientError: no poll succeeded for ``BLIND_SECONDS``
    :raises NotFoundError: a job is gone
    :raises LoginError: the login is refused, or several polls in a row are
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
    """Poll until there is a result: the loop of every wait.

    A poll that fails for a passing reason is no reason to give up a running job: the pauses get longer, and the wait
    continues.

    :param look: returns the result, or None to be called again
    :param timeout: seconds; None for no limit
    :param timed_out: makes the error of a wait that ended after this many seconds
    :raises JobTimeoutError: the wait ended; the jobs go on
    :raises TransientError: no poll succeeded for ``BLIND_SECONDS``
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
            yield Sleep(
                start + timeout - now
            )  # to the end exactly: jitter would turn it into a series of short last polls
        else:
            yield Sleep(pause, jitter=JITTER)


def poll_briefly(
    jobs: WatchedJobs, job_ids: Iterable[str], *, pauses: Iterable[float], on_poll: OnPoll | None = None
) -> Flow[list[JobInfo] | None]:
    """Poll jobs after each pause. Errors are left to the wait that follows.

    :param pauses: seconds before each poll
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


def poll_once(
    jobs: WatchedJobs, job_ids: Iterable[str], *, known: Mapping[str, JobInfo] | None = None
) -> Flow[list[JobInfo]]:
    """Poll all jobs once, now; again after a few seconds when that fails for a passing reason.

    :param known: the jobs as an earlier poll has read them, by id: those that are final are not read again, and of the
        others no more than tell that the wait goes on
    """
    polling = _Polling(jobs, job_ids, None, None, known)
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
    """Polls jobs that must all end before the wait is over.

    The first poll reads all. Each further one stops after a few unchanged jobs, and the next continues behind them: as
    long as one job runs, the others do not matter. So a thousand jobs cost a thousand calls, and a few more with each poll.
    """

    def __init__(
        self,
        jobs: WatchedJobs,
        job_ids: Iterable[str],
        on_progress: OnProgress | None,
        on_poll: OnPoll | None,
        known: Mapping[str, JobInfo] | None = None,
    ) -> None:
        self._order = list(dict.fromkeys(job_ids))
        known = known or {}
        self._found = {job_id: known[job_id] for job_id in self._order if job_id in known}
        self._jobs = jobs
        self._on_progress = on_progress
        self._on_poll = on_poll
        self._running = deque(
            job_id for job_id in self._order if job_id not in self._found or not self._found[job_id].is_final
        )

    @property
    def infos(self) -> list[JobInfo]:
        """The jobs as last read."""
        return [self._found[job_id] for job_id in self._order]

    def look(self) -> Flow[list[JobInfo] | None]:
        """Poll once.

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
        """Make the error of a wait that ended after ``timeout`` seconds."""
        waiting = [job_id for job_id in self._order if job_id in self._running]
        states = {job_id: str(job.state) for job_id, job in self._found.items()}
        shown = ", ".join(f"{job_id} ({states.get(job_id, 'unread')})" for job_id in waiting[:_SHOWN])
        more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
        return JobTimeoutError(
            f"waited {timeout:g} s; still running at Salesforce, where they continue: {shown}{more}", job_id=waiting[0]
        )


def may_look_again(error: SfBulkError, times: int) -> bool:
    """Whether a poll that failed with this error is worth another one.

    Some calls are refused that would be answered a moment later: a permission is being changed, there is an edge in
    between, another login has ended the session. Meanwhile the job continues at Salesforce. But a refused login is not
    tried again: a few wrong passwords lock the user out.

    :param times: polls that failed in a row, this one included
    """
    if isinstance(error, TransientError):
        return True
    if isinstance(error, NotFoundError) or not isinstance(error, (LoginError, RequestRefusedError, ProtocolError)):
        return False
    return is_of_a_call(error) and times < REFUSALS


def is_of_a_call(error: SfBulkError) -> bool:
    """Whether it answers a call of the API, not a login."""
    return error.path is not None and error.path.startswith(("/services/data/", "/services/async/"))


def check_complete(job: JobInfo) -> JobInfo:
    """Return a job that ended ``JobComplete``. Some of its records may have failed.

    :raises JobFailedError: it ended ``Failed`` or ``Aborted``
    """
    if job.state is JobState.JOB_COMPLETE:
        return job
    said = guarded(job.error_message or "")
    code = _CODE.match(said)
    why = said or ("somebody aborted it" if job.state is JobState.ABORTED else "Salesforce gives no reason")
    raise JobFailedError(
        f"job {job.id} ({job.operation} {job.object or ''}) ended {job.state}: {' '.join(why.split())[:500]}; "
        f"{job.processed} records were processed, {job.failed} of them failed",
        job_id=job.id,
        error_code=code[1] if code else None,
    )


def check_all_complete(jobs: Sequence[JobInfo]) -> None:
    """Check that all jobs ended ``JobComplete``.

    :raises JobFailedError: some did not: the error of the first, with all of them in ``jobs``
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
