"""The plan of polls: which call to make next for all who wait on one org, and when. No I/O and no clock.

The facts (``docs/decisions/0010-one-watcher-per-org.md`` has the sources):

* A read of one job tells its state and counters. A page of the job list tells 1,000 states and no counter.
* The list has no filter: it holds a week of everybody's jobs, in no order, so that one look at all who wait costs as many
  calls as it has pages. How many that are is known only after reading them.

The rules:

=====================  =============================================================================================
budget                 never more than ``BUDGET_CALLS`` in any ``WINDOW_SECONDS``, whatever waits
look                   of one job: by its own read when few wait, or when the list is too long to be worth reading;
                       that is, when it has no fewer pages than jobs wait
sweep                  the whole list, its pages spread evenly over ``period``; at once when there is reason for hurry.
                       A job that a sweep did not see is read by itself
owed                   each job is seen once in ``period`` seconds: 5/6 of the shortest ``longest``, or what
                       ``OWED_CALLS`` in a window allow
eager                  looks beyond that: at young jobs, whose pauses grow with age and size, the youngest first; then
                       the rotation that refreshes counters. At most ``EAGER_CALLS`` in a window, and not what the owed
                       looks need
=====================  =============================================================================================
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from airflow_provider_sfbulk.client.errors import RequestLimitError, SfBulkError
from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.client.protocol.distrust import MANY_LIST_PAGES, Trail, short_id
from airflow_provider_sfbulk.client.protocol.retry import LONGEST_DELAY_SECONDS, retry_after_of
from airflow_provider_sfbulk.client.waiting.wait import LIMIT_PAUSE_SECONDS

BUDGET_CALLS: Final = 12
WINDOW_SECONDS: Final = 60.0

OWED_CALLS: Final = 10
"""What is owed gets no more than this; so that the rest is left for jobs that are new, even when too many wait."""

EAGER_CALLS: Final = 4
"""So that three pages can be read every 25 s whatever was spent on young jobs before."""

FEW_JOBS: Final = 3
"""So many jobs are read by themselves: it costs little more than a list, and tells their counters."""

FIRST_PAUSE_SECONDS: Final = 10.0
GROWTH: Final = 2.0
"""Each pause is so many times the job's age: a job of 60 s is looked at three times in the triggerer, by default."""

RECORDS_PER_SECOND: Final = 10_000
"""A job that has processed so many records is not looked at more often than once a second, and so on: a large one ends
no sooner than it can."""

MARGIN: Final = 5 / 6
"""Share of the longest pause that is planned; the rest is for the calls themselves."""

SHORTEST_PERIOD_SECONDS: Final = 10.0
"""No job is owed more."""

REFRESH_SECONDS: Final = 300.0
"""Age of a job's counters that are worth a call."""

USAGE_SECONDS: Final = 300.0
"""Pause between two reads of the org's allowances, for those who wait for API calls to spare."""

LENGTH_KEPT_SECONDS: Final = 6 * 60 * 60.0
"""How long the length of the list is believed, and for how long one that is refused is not asked for again."""

PAGE_FAILURES: Final = 3
"""Failures in a row of one page of the list, after which jobs are read by themselves for a while."""

JITTER: Final = 0.05
_TROUBLE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Look:
    """Read one job."""

    job_id: str
    job_type: JobType


@dataclass(frozen=True)
class ReadPage:
    """Read a page of the job list; the first when there is no locator."""

    job_type: JobType
    locator: str | None


@dataclass(frozen=True)
class ReadUsage:
    """Read how many API calls the org has left."""


@dataclass(frozen=True)
class Rest:
    """Make no call for so many seconds, or until a job comes or goes; ``inf`` when there is nothing to do."""

    seconds: float


Poll: TypeAlias = Look | ReadPage | ReadUsage


@dataclass
class _Job:
    id: str
    type: JobType
    longest: float
    joined: float
    age: float
    """Of the job when it joined, in seconds."""
    tried: float
    """When it was last looked at, with or without an answer; in the beginning when it joined."""
    good: float
    """When it was last seen."""
    counted: float
    """When its counters were last read."""
    due: float
    """When an eager look is due; ``inf`` once its pauses have grown to those of the owed ones."""
    is_unlisted: bool = False
    processed: int = 0

    def pause(self, now: float) -> float:
        age = self.age + now - self.joined
        wanted = max(FIRST_PAUSE_SECONDS, age * GROWTH, self.processed / RECORDS_PER_SECOND)
        return min(self.longest * MARGIN, wanted)


@dataclass
class _Sweep:
    started: float
    is_hurried: bool
    locator: str | None = None
    pages: int = 0
    failures: int = 0
    trail: Trail = field(default_factory=lambda: Trail("the list of jobs", MANY_LIST_PAGES))
    found: set[str] = field(default_factory=set)


@dataclass
class _Group:
    """The jobs of one half of the API: they share a list.

    ``pages`` is the length of the list, or less than it when reading was given up before its end.
    """

    jobs: dict[str, _Job] = field(default_factory=dict)
    pages: int = 1
    measured: float = -math.inf
    refused_until: float = -math.inf
    read: list[float] = field(default_factory=list)
    """When each page was last read."""
    sweep: _Sweep | None = None

    def next_sweep(self, period: float) -> float:
        """Say when the next sweep is to begin so that, read evenly, no page is seen later than ``period`` after its last
        time."""
        return min((at + period * (1 - page / self.pages) for page, at in enumerate(self.read)), default=-math.inf)

    @property
    def unlisted(self) -> int:
        return sum(job.is_unlisted for job in self.jobs.values())

    def is_listed(self, now: float) -> bool:
        """Whether the list is worth reading."""
        many = len(self.jobs)
        return many > FEW_JOBS and now >= self.refused_until and self.pages + self.unlisted < many

    def cost(self, now: float) -> int:
        """Count the calls of one look at all jobs."""
        return self.pages + self.unlisted if self.is_listed(now) else len(self.jobs)

    def window_calls(self, now: float, period: float) -> int:
        """Count the calls in any window that look at all jobs once in ``period``. Reads of jobs may come all at once."""
        at_once = self.unlisted if self.is_listed(now) else len(self.jobs)
        pages = self.pages if self.is_listed(now) else 0
        return at_once * math.ceil(WINDOW_SECONDS / period) + math.ceil(WINDOW_SECONDS * pages / period)


class Polls:
    """The plan. Ask :meth:`next`, do that, and tell how it ended; times are seconds of any monotonic clock.

    :param chance: random number from 0 to 1, for jitter
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._groups = {each: _Group() for each in JobType}
        # The job list tells of a job of Bulk API 1.0 that it is closed, never that it is done.
        self._groups[JobType.CLASSIC].refused_until = math.inf
        self._sent: deque[float] = deque()
        self._eager: deque[float] = deque()
        self._hold = -math.inf
        self._troubles = 0
        self._usage: float | None = None
        self._asked_eagerly = False

    # --- who waits ---

    def add(self, job_id: str, job_type: JobType, *, now: float, age: float, longest: float) -> None:
        """Wait for a job. One that is waited for already may only get a shorter pause.

        :param age: seconds that the job is old, as far as is known
        :param longest: seconds between two looks at most, as far as the budget allows
        """
        group = self._groups[job_type]
        known = group.jobs.get(short_id(job_id))
        if known is not None:
            known.longest = min(known.longest, longest)
            return
        group.jobs[short_id(job_id)] = _Job(job_id, job_type, longest, now, age, now, now, now, now)

    def discard(self, job_id: str, job_type: JobType) -> None:
        """Wait for a job no more."""
        self._groups[job_type].jobs.pop(short_id(job_id), None)

    def want_usage(self, wanted: bool, *, now: float) -> None:
        """Say whether anybody waits for API calls to spare."""
        if not wanted:
            self._usage = None
        elif self._usage is None:
            self._usage = now

    # --- what to do ---

    def next(self, now: float) -> Poll | Rest:
        """Give the call to make now, or how long to make none. The call must be told back before the next is asked."""
        self._forget(now)
        if now < self._hold:
            return Rest(self._hold - now)
        free = now if len(self._sent) < BUDGET_CALLS else self._sent[0] + WINDOW_SECONDS
        self._asked_eagerly = False
        period = self.period(now)
        due, owed = min(self._owed(now, period), key=_first, default=(math.inf, None))
        if owed is not None and max(due, free) <= now:
            return self._begin(owed, now, eager=False)
        wake = max(due, free)
        for at, poll in self._eagerly(now, period):
            if max(at, free) <= now:
                return self._begin(poll, now, eager=True)
            wake = min(wake, max(at, free))
        return Rest(max(0.0, wake - now))

    def period(self, now: float) -> float:
        """Give the seconds in which every job is seen once."""
        return max(self._wish(), self._least(now), SHORTEST_PERIOD_SECONDS)

    def _wish(self) -> float:
        return min((job.longest for job in self._jobs()), default=math.inf) * MARGIN

    def _least(self, now: float) -> float:
        return sum(group.cost(now) for group in self._groups.values()) * WINDOW_SECONDS / OWED_CALLS

    def _owed(self, now: float, period: float) -> Iterator[tuple[float, Poll]]:
        for job_type, group in self._groups.items():
            is_listed = group.is_listed(now)
            if (sweep := group.sweep) is not None:
                is_hurried = sweep.is_hurried and sweep.pages < EAGER_CALLS
                pause = 0.0 if is_hurried else period / group.pages
                yield sweep.started + sweep.pages * pause, ReadPage(job_type, sweep.locator)
            elif is_listed:
                yield group.next_sweep(period), ReadPage(job_type, None)
            for job in group.jobs.values():
                if job.is_unlisted or not is_listed:
                    yield job.tried + period, Look(job.id, job_type)

    def _eagerly(self, now: float, period: float) -> Iterator[tuple[float, Poll]]:
        """Give what may be done beyond the owed, the more wanted first, and when."""
        most = min(EAGER_CALLS, BUDGET_CALLS - sum(group.window_calls(now, period) for group in self._groups.values()))
        if self._least(now) > self._wish():
            most = max(most, BUDGET_CALLS - OWED_CALLS)
        if most <= 0:
            return
        room = most - len(self._eager)
        free = now if room > 0 else self._eager[0] + WINDOW_SECONDS
        if self._usage is not None:
            yield max(free, self._usage + USAGE_SECONDS), ReadUsage()
        for job_type, group in self._groups.items():
            waiting = [job for job in group.jobs.values() if job.due <= now]
            if group.is_listed(now) and group.pages < len(waiting) and group.pages <= most:
                if group.pages <= room and group.sweep is None:
                    yield now, ReadPage(job_type, None)
            elif waiting:
                youngest = min(waiting, key=lambda job: job.age - job.joined)
                yield free, Look(youngest.id, job_type)
            elif group.jobs:
                first = min(group.jobs.values(), key=lambda job: job.due)
                yield max(free, first.due), Look(first.id, job_type)
        # The rotation leaves half of the room to those who come.
        resting = now if len(self._eager) < (most + 1) // 2 else self._eager[0] + WINDOW_SECONDS
        for job_type, group in self._groups.items():
            if group.is_listed(now):
                oldest = min(group.jobs.values(), key=lambda job: job.counted)
                yield max(resting, oldest.counted + REFRESH_SECONDS), Look(oldest.id, job_type)

    def _begin(self, poll: Poll, now: float, *, eager: bool) -> Poll:
        self._asked_eagerly = eager
        if isinstance(poll, ReadPage):
            group = self._groups[poll.job_type]
            if group.sweep is None:
                group.sweep = _Sweep(now, is_hurried=eager or not group.read)
            self._asked_eagerly = group.sweep.is_hurried
        return poll

    # --- how it ended ---

    def sent(self, now: float, calls: int) -> None:
        """Take note of the calls that were made for the last poll."""
        self._sent.extend([now] * calls)
        if self._asked_eagerly:
            self._eager.extend([now] * calls)

    def seen(self, poll: Look, *, now: float, age: float, processed: int) -> None:
        """Take note of a job that is not final."""
        self._troubles = 0
        job = self._groups[poll.job_type].jobs.get(short_id(poll.job_id))
        if job is not None:
            job.age = max(job.age, age - (now - job.joined))
            job.processed = processed
            job.counted = now
            self._put_off(job, now)

    def read(self, poll: ReadPage, listed: Iterable[str], following: str | None, *, now: float) -> None:
        """Take note of a page of the list.

        :param listed: short ids on it
        :param following: locator of the next page
        :raises ProtocolError: that page was read before
        """
        self._troubles = 0
        group = self._groups[poll.job_type]
        sweep = group.sweep
        if sweep is None:
            return
        ids = set(listed)
        for each in group.jobs.keys() & ids:
            group.jobs[each].is_unlisted = False
            self._put_off(group.jobs[each], now)
            sweep.found.add(each)
        group.read[sweep.pages : sweep.pages + 1] = [now]
        sweep.pages += 1
        sweep.failures = 0
        if following is None:
            group.pages, group.measured, group.sweep = sweep.pages, now, None
            del group.read[sweep.pages :]
            for key, job in group.jobs.items():
                if key not in sweep.found and job.joined <= sweep.started:
                    job.is_unlisted = True
            return
        sweep.trail.step(following, len(ids))
        sweep.locator = following
        if sweep.pages >= group.pages:
            group.pages, group.measured = sweep.pages + 1, now
        if not group.is_listed(now):
            group.sweep = None

    def read_usage(self, *, now: float) -> None:
        """Take note that the org said how many API calls it has left."""
        if self._usage is not None:
            self._usage = now

    def troubled(self, poll: Poll, error: SfBulkError, *, now: float) -> None:
        """Take note of an error that may pass: everything waits, each time longer, or as long as the reply asks."""
        self._troubles += 1
        pause = min(_TROUBLE_SECONDS * 2.0 ** (min(self._troubles, 10) - 1), LONGEST_DELAY_SECONDS)
        pause *= 1.0 - JITTER * self._chance()
        pause = max(pause, min(retry_after_of(error), LONGEST_DELAY_SECONDS))
        if isinstance(error, RequestLimitError) and error.daily:
            pause = max(pause, LIMIT_PAUSE_SECONDS)
        self._hold = now + pause
        match poll:
            case Look(job_id, job_type):
                job = self._groups[job_type].jobs.get(short_id(job_id))
                if job is not None:
                    job.tried = job.counted = now
                    job.due = now + job.pause(now)
            case ReadPage(job_type, _):
                sweep = self._groups[job_type].sweep
                if sweep is not None:
                    sweep.failures += 1
                    if sweep.failures >= PAGE_FAILURES:
                        self.refused(poll, now=now)
            case ReadUsage():
                self.read_usage(now=now)

    def refused(self, poll: ReadPage, *, now: float) -> None:
        """Take note that the list cannot be read: jobs are read by themselves for some hours."""
        group = self._groups[poll.job_type]
        group.sweep = None
        group.refused_until = now + LENGTH_KEPT_SECONDS

    def unseen_since(self, moment: float) -> list[tuple[str, JobType]]:
        """Name the jobs that were not seen since ``moment``."""
        return [(job.id, job.type) for job in self._jobs() if job.good < moment]

    def _put_off(self, job: _Job, now: float) -> None:
        job.tried = job.good = now
        pause = job.pause(now)
        is_grown = pause >= max(job.longest * MARGIN, SHORTEST_PERIOD_SECONDS)
        job.due = math.inf if is_grown else now + pause * (1.0 - JITTER * self._chance())

    def _forget(self, now: float) -> None:
        for past in (self._sent, self._eager):
            while past and past[0] <= now - WINDOW_SECONDS:
                past.popleft()
        for group in self._groups.values():
            if group.sweep is not None and not group.is_listed(now):
                group.sweep = None
            if group.sweep is None and now - group.measured >= LENGTH_KEPT_SECONDS:
                group.pages = 1
            if not group.is_listed(now):
                group.read.clear()

    def _jobs(self) -> Iterator[_Job]:
        for group in self._groups.values():
            yield from group.jobs.values()


def _first(entry: tuple[float, Poll]) -> float:
    return entry[0]
