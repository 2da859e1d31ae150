"""The plan of polls: which call to make next for all waits on one org, and when. No I/O and no clock.

The facts (``docs/decisions/0010-one-watcher-per-org.md`` has the sources):

* A read of one job gives its state and counters. A page of the job list has 1,000 states and no counter.
* The list has no filter: it holds a week of everybody's jobs, in no order, so one poll of all waiting jobs costs as many
  calls as the list has pages. Their number is known only after reading them.
* One call checks five objects for changes (``client/protocol/changes.py``).

The rules:

===========  =======================================================================================================
budget       never more than ``BUDGET_CALLS`` in any ``WINDOW_SECONDS``, whatever waits
read of a    by itself when few wait, or when the list is too long to be worth reading: when it has no fewer pages than
job          jobs wait
list scan    the whole list, its pages spread evenly over ``period``; one page after the other when there is reason for
             hurry. A job that a scan did not see is read by itself
due          each job is seen once in ``period`` seconds: 5/6 of the shortest ``longest``, 2/3 where a list is read, or what
             ``DUE_CALLS`` in a window allow
look for     those that are due together share a call: they are due when the clock shows a multiple of their ``every``. At
changes      most ``LOOK_CALLS`` in a window, which are not left for jobs
early        polls beyond that: of young jobs, whose pauses grow with age and size, the youngest first; then the rotation
             that refreshes counters. At most ``EARLY_CALLS`` in a window, and not what is due needs
===========  =======================================================================================================
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from airflow_provider_sfbulk.client.errors import LoginError, RequestLimitError, SfBulkError, TransientError
from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.client.protocol.changes import QUESTIONS_A_CALL
from airflow_provider_sfbulk.client.protocol.distrust import MANY_LIST_PAGES, Trail, short_id
from airflow_provider_sfbulk.client.protocol.retry import LONGEST_DELAY_SECONDS, retry_after_of
from airflow_provider_sfbulk.client.waiting.schedule import (
    BUDGET_CALLS,
    CALM_SECONDS,
    DUE_CALLS,
    EARLY_CALLS,
    FEW_JOBS,
    FIRST_PAUSE_SECONDS,
    GROWTH,
    LENGTH_KEPT_SECONDS,
    LIMIT_PAUSE_SECONDS,
    LOOK_CALLS,
    MARGIN,
    PAGE_FAILURES,
    POLL_JITTER,
    RECORDS_PER_SECOND,
    REFRESH_SECONDS,
    SHARED_MARGIN,
    SHORTEST_PERIOD_SECONDS,
    TOGETHER_SECONDS,
    TROUBLE_SECONDS,
    USAGE_SECONDS,
    WINDOW_SECONDS,
)


@dataclass(frozen=True)
class ReadJob:
    """Read one job."""

    job_id: str
    job_type: JobType


@dataclass(frozen=True)
class ReadListPage:
    """Read a page of the job list; the first without a locator."""

    job_type: JobType
    locator: str | None


@dataclass(frozen=True)
class ReadUsage:
    """Read how many API calls the org has left."""


@dataclass(frozen=True)
class ReadChanges:
    """Check the objects of these watches for changes."""

    watches: tuple[int, ...]


@dataclass(frozen=True)
class Idle:
    """Make no call for this many seconds, or until a job comes or goes; ``inf`` when there is nothing to do."""

    seconds: float


Poll: TypeAlias = ReadJob | ReadListPage | ReadUsage | ReadChanges


@dataclass
class _Job:
    id: str
    type: JobType
    longest: float
    joined: float
    age: float
    """Of the job when it joined, in seconds."""
    last_tried: float
    """When it was last polled, with or without an answer; at first, when it joined."""
    last_seen: float
    """When it was last seen."""
    counters_read: float
    """When its counters were last read."""
    early_due: float
    """When an early poll is due; ``inf`` once its pauses have grown to the period."""
    processed: int = 0

    def pause(self, now: float) -> float:
        age = self.age + now - self.joined
        wanted = max(FIRST_PAUSE_SECONDS, age * GROWTH, self.processed / RECORDS_PER_SECOND)
        return min(self.longest * MARGIN, wanted)


@dataclass
class _Watch:
    every: float
    due: float

    def put_off(self, now: float) -> None:
        self.due = (now // self.every + 1) * self.every


@dataclass
class _ListScan:
    started: float
    is_at_once: bool
    locator: str | None = None
    pages: int = 0
    failures: int = 0
    trail: Trail = field(default_factory=lambda: Trail("the list of jobs", MANY_LIST_PAGES))
    found: set[str] = field(default_factory=set)


@dataclass
class _Group:
    """The jobs of one half of the API: they share a list.

    ``pages`` is the length of the list, or less when reading stopped before its end.
    """

    jobs: dict[str, _Job] = field(default_factory=dict)
    unlisted: dict[str, _Job] = field(default_factory=dict)
    """Those of them that were on no page."""
    pages: int = 1
    measured: float = -math.inf
    refused_until: float = -math.inf
    read: list[float] = field(default_factory=list)
    """When each page was last read."""
    scan: _ListScan | None = None

    def next_scan(self, period: float) -> float:
        """Return when the next scan must begin so that each page is read again within ``period``, at an even rate."""
        return min((at + period * (1 - page / self.pages) for page, at in enumerate(self.read)), default=-math.inf)

    def is_listed(self, now: float) -> bool:
        """Whether the list is worth reading."""
        many = len(self.jobs)
        return many > FEW_JOBS and now >= self.refused_until and self.pages + len(self.unlisted) < many

    def cost(self, now: float) -> int:
        """Count the calls of one poll of all jobs."""
        return self.pages + len(self.unlisted) if self.is_listed(now) else len(self.jobs)

    def window_calls(self, now: float, period: float) -> int:
        """Count the calls in a window that poll all jobs once in ``period``. Reads of jobs may come all at once."""
        at_once = len(self.unlisted) if self.is_listed(now) else len(self.jobs)
        pages = self.pages if self.is_listed(now) else 0
        return at_once * math.ceil(WINDOW_SECONDS / period) + math.ceil(WINDOW_SECONDS * pages / period)


class Polls:
    """The plan. Call :meth:`next`, do what it says, and report the result; times are seconds of any monotonic clock.

    :param chance: random number from 0 to 1, for jitter
    """

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._groups = {each: _Group() for each in JobType}
        # The job list shows that a job of Bulk API 1.0 is closed, never that it is done.
        self._groups[JobType.CLASSIC].refused_until = math.inf
        self._sent: deque[float] = deque()
        self._early: deque[float] = deque()
        self._shortest: float | None = None
        """The shortest pause that a job asks for; None until it is looked for again."""
        self._hold = -math.inf
        self._troubles = 0
        self._usage: float | None = None
        self._watches: dict[int, _Watch] = {}
        self._looks: deque[float] = deque()
        self._asked: deque[float] | None = None
        """Where the calls of the current poll are counted, beside the total."""

    # --- waits ---

    def add(self, job_id: str, job_type: JobType, *, now: float, age: float, longest: float) -> None:
        """Wait for a job. A job that is already waited for can only get a shorter pause.

        :param age: age of the job in seconds, as far as known
        :param longest: maximum seconds between two polls, as far as the budget allows
        """
        group = self._groups[job_type]
        self._shortest = None
        known = group.jobs.get(short_id(job_id))
        if known is not None:
            known.longest = min(known.longest, longest)
            return
        group.jobs[short_id(job_id)] = _Job(job_id, job_type, longest, now, age, now, now, now, now)

    def discard(self, job_id: str, job_type: JobType) -> None:
        """Stop waiting for a job."""
        group = self._groups[job_type]
        group.jobs.pop(short_id(job_id), None)
        group.unlisted.pop(short_id(job_id), None)
        self._shortest = None

    def want_usage(self, wanted: bool, *, now: float) -> None:
        """Set whether anybody waits for spare API calls."""
        if not wanted:
            self._usage = None
        elif self._usage is None:
            self._usage = now

    def watch(self, number: int, *, now: float, every: float, soon: bool) -> None:
        """Watch an object for changes.

        :param number: of this watch
        :param every: seconds between two checks, as far as the budget allows
        :param soon: whether the first check is at once
        """
        self._watches[number] = watch = _Watch(every, now + TOGETHER_SECONDS)
        if not soon:
            watch.put_off(now)

    def unwatch(self, number: int) -> None:
        """Stop watching an object for changes."""
        self._watches.pop(number, None)

    # --- what to do ---

    def next(self, now: float) -> Poll | Idle:
        """Return the call to make now, or how long to make none. Its result must be reported before the next request."""
        self._forget(now)
        if now < self._hold:
            return Idle(self._hold - now)
        free = now if len(self._sent) < BUDGET_CALLS else self._sent[0] + WINDOW_SECONDS
        self._asked = None
        period = self.period(now)
        at, poll = min(self._due(now, period), key=_first, default=(math.inf, None))
        if poll is not None and max(at, free) <= now:
            return self._begin(poll, now, counted=self._looks if isinstance(poll, ReadChanges) else None)
        wake = max(at, free)
        for at, poll in self._early_polls(now, period):
            if max(at, free) <= now:
                return self._begin(poll, now, counted=self._early)
            wake = min(wake, max(at, free))
        return Idle(max(0.0, wake - now))

    def period(self, now: float) -> float:
        """Return the seconds in which every job is polled once."""
        return max(self._wish(now), self._least(now), SHORTEST_PERIOD_SECONDS)

    def _wish(self, now: float) -> float:
        is_shared = any(group.is_listed(now) for group in self._groups.values())
        if self._shortest is None:
            self._shortest = min((job.longest for job in self._jobs()), default=math.inf)
        return self._shortest * (SHARED_MARGIN if is_shared else MARGIN)

    def _least(self, now: float) -> float:
        calls = DUE_CALLS - self._look_calls()
        return sum(group.cost(now) for group in self._groups.values()) * WINDOW_SECONDS / calls

    def _look_calls(self) -> int:
        """Count the calls in a window that check for changes."""
        often = max((math.ceil(WINDOW_SECONDS / watch.every) for watch in self._watches.values()), default=0)
        return min(LOOK_CALLS, often * math.ceil(len(self._watches) / QUESTIONS_A_CALL))

    def _due(self, now: float, period: float) -> Iterator[tuple[float, Poll]]:
        if self._watches:
            first = sorted(self._watches, key=lambda number: self._watches[number].due)[:QUESTIONS_A_CALL]
            due = self._watches[first[0]].due
            free = due if len(self._looks) < LOOK_CALLS else self._looks[0] + WINDOW_SECONDS
            together = tuple(each for each in first if self._watches[each].due <= max(due, now))
            yield max(due, free), ReadChanges(together)
        for job_type, group in self._groups.items():
            is_listed = group.is_listed(now)
            if (scan := group.scan) is not None:
                is_at_once = scan.is_at_once and scan.pages < EARLY_CALLS
                pause = 0.0 if is_at_once else period / group.pages
                yield scan.started + scan.pages * pause, ReadListPage(job_type, scan.locator)
            elif is_listed:
                yield group.next_scan(period), ReadListPage(job_type, None)
            for job in (group.unlisted if is_listed else group.jobs).values():
                yield job.last_tried + period, ReadJob(job.id, job_type)

    def _early_polls(self, now: float, period: float) -> Iterator[tuple[float, Poll]]:
        """Yield what may be done beyond what is due, the most useful first, and when."""
        needed = self._look_calls() + sum(group.window_calls(now, period) for group in self._groups.values())
        most = min(EARLY_CALLS, BUDGET_CALLS - needed)
        if self._least(now) > self._wish(now):
            most = max(most, BUDGET_CALLS - DUE_CALLS)
        if most <= 0:
            return
        room = most - len(self._early)
        free = now if room > 0 else self._early[0] + WINDOW_SECONDS
        if self._usage is not None:
            yield max(free, self._usage + USAGE_SECONDS), ReadUsage()
        for job_type, group in self._groups.items():
            waiting = [job for job in group.jobs.values() if job.early_due <= now]
            if group.is_listed(now) and group.pages < len(waiting) and group.pages <= most:
                if group.pages <= room and group.scan is None:
                    yield _when_all_are_there(waiting), ReadListPage(job_type, None)
            elif waiting:
                youngest = min(waiting, key=lambda job: job.age - job.joined)
                yield free, ReadJob(youngest.id, job_type)
            elif group.jobs:
                first = min(group.jobs.values(), key=lambda job: job.early_due)
                yield max(free, first.early_due), ReadJob(first.id, job_type)
        # The rotation leaves half of the budget to new jobs.
        resting = now if len(self._early) < (most + 1) // 2 else self._early[0] + WINDOW_SECONDS
        for job_type, group in self._groups.items():
            if group.is_listed(now):
                oldest = min(group.jobs.values(), key=lambda job: job.counters_read)
                yield max(resting, oldest.counters_read + REFRESH_SECONDS), ReadJob(oldest.id, job_type)

    def _begin(self, poll: Poll, now: float, *, counted: deque[float] | None) -> Poll:
        self._asked = counted
        if isinstance(poll, ReadListPage):
            group = self._groups[poll.job_type]
            if group.scan is None:
                group.scan = _ListScan(now, is_at_once=counted is self._early or not group.read)
            self._asked = self._early if group.scan.is_at_once else None
        return poll

    # --- results of polls ---

    def sent(self, now: float, calls: int) -> None:
        """Count the calls that were made for the last poll."""
        self._sent.extend([now] * calls)
        if self._asked is not None:
            self._asked.extend([now] * calls)

    def seen(self, poll: ReadJob, *, now: float, age: float, processed: int) -> None:
        """Record a job that is not final."""
        self._troubles = 0
        job = self._groups[poll.job_type].jobs.get(short_id(poll.job_id))
        if job is not None:
            job.age = max(job.age, age - (now - job.joined))
            job.processed = processed
            job.counters_read = now
            self._put_off(job, now)

    def read(self, poll: ReadListPage, listed: Iterable[str], following: str | None, *, now: float) -> None:
        """Record a page of the list.

        :param listed: short ids on it
        :param following: locator of the next page
        :raises ProtocolError: that page was read before
        """
        self._troubles = 0
        group = self._groups[poll.job_type]
        scan = group.scan
        if scan is None:
            return
        ids = set(listed)
        for each in group.jobs.keys() & ids:
            group.unlisted.pop(each, None)
            self._put_off(group.jobs[each], now)
            scan.found.add(each)
        group.read[scan.pages : scan.pages + 1] = [now]
        scan.pages += 1
        scan.failures = 0
        if following is None:
            group.pages, group.measured, group.scan = scan.pages, now, None
            del group.read[scan.pages :]
            for key, job in group.jobs.items():
                if key not in scan.found and job.joined <= scan.started:
                    group.unlisted[key] = job
            return
        scan.trail.step(following, len(ids))
        scan.locator = following
        if scan.pages >= group.pages:
            group.pages, group.measured = scan.pages + 1, now
        if not group.is_listed(now):
            group.scan = None

    def read_usage(self, *, now: float) -> None:
        """Record that the org said how many API calls it has left."""
        if self._usage is not None:
            self._usage = now

    def looked(self, poll: ReadChanges, *, now: float) -> None:
        """Record that these objects were checked for changes, or could not be."""
        self._troubles = 0
        for number in poll.watches:
            if number in self._watches:
                self._watches[number].put_off(now)

    def troubled(self, poll: Poll, error: SfBulkError, *, now: float) -> None:
        """Record an error after which the poll is made again: everything waits, unless it is one job that is refused."""
        if isinstance(error, (TransientError, LoginError)):
            self._pause(error, now)
        match poll:
            case ReadJob(job_id, job_type):
                job = self._groups[job_type].jobs.get(short_id(job_id))
                if job is not None:
                    job.last_tried = job.counters_read = now
                    job.early_due = now + job.pause(now)
            case ReadListPage(job_type, _):
                scan = self._groups[job_type].scan
                if scan is not None:
                    scan.failures += 1
                    if scan.failures >= PAGE_FAILURES:
                        self.refused(poll, now=now)
            case ReadUsage():
                self.read_usage(now=now)
            case ReadChanges():
                pass  # they stay due

    def _pause(self, error: SfBulkError, now: float) -> None:
        """Make no call for a while, each time longer, or as long as the reply asks."""
        self._troubles += 1
        pause = min(TROUBLE_SECONDS * 2.0 ** (min(self._troubles, 10) - 1), LONGEST_DELAY_SECONDS)
        pause *= 1.0 - POLL_JITTER * self._chance()
        pause = max(pause, min(retry_after_of(error), LONGEST_DELAY_SECONDS))
        if isinstance(error, RequestLimitError) and error.daily:
            pause = max(pause, LIMIT_PAUSE_SECONDS)
        self._hold = now + pause

    def refused(self, poll: ReadListPage, *, now: float) -> None:
        """Record that the list cannot be read: jobs are read one by one for some hours."""
        group = self._groups[poll.job_type]
        group.scan = None
        group.refused_until = now + LENGTH_KEPT_SECONDS

    def withdraw(self, poll: Poll) -> None:
        """Make a poll again as if it had not been made. A page of the list has no place but in its own scan."""
        if isinstance(poll, ReadListPage):
            self._groups[poll.job_type].scan = None

    def unseen_since(self, moment: float) -> list[tuple[str, JobType]]:
        """Return the jobs that were not seen since ``moment``."""
        return [(job.id, job.type) for job in self._jobs() if job.last_seen < moment]

    def _put_off(self, job: _Job, now: float) -> None:
        job.last_tried = job.last_seen = now
        pause = job.pause(now)
        is_grown = pause >= max(job.longest * MARGIN, SHORTEST_PERIOD_SECONDS)
        job.early_due = math.inf if is_grown else now + pause * (1.0 - POLL_JITTER * self._chance())

    def _forget(self, now: float) -> None:
        for past in (self._sent, self._early, self._looks):
            while past and past[0] <= now - WINDOW_SECONDS:
                past.popleft()
        for group in self._groups.values():
            if group.scan is not None and not group.is_listed(now):
                group.scan = None
            if group.scan is None and now - group.measured >= LENGTH_KEPT_SECONDS:
                group.pages = 1
            if not group.is_listed(now):
                group.read.clear()

    def _jobs(self) -> Iterator[_Job]:
        for group in self._groups.values():
            yield from group.jobs.values()


def _when_all_are_there(waiting: Sequence[_Job]) -> float:
    """Return when to read the list for jobs that have joined: those of a lost triggerer come some at a time."""
    joined = [job.joined for job in waiting]
    return min(max(joined) + CALM_SECONDS, min(joined) + SHORTEST_PERIOD_SECONDS)


def _first(entry: tuple[float, Poll]) -> float:
    return entry[0]
