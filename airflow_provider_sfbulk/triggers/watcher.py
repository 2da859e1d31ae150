"""The watcher, the poller of one org: all triggers of a connection in this process share a client, a token and a cycle
of polls.

The first trigger that needs a watcher creates it, and it ends with the last. It runs as its own asyncio task, outside
the log context of any trigger; each trigger waits in its own task, where the watcher reports to it. What is read when,
and the limit of API calls, is in ``client/waiting/polls.py``.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import LoginError, SfBulkError, SourceError, StoppedError, TransientError
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.client.protocol.changes import Question, look_for_changes
from airflow_provider_sfbulk.client.protocol.distrust import short_id
from airflow_provider_sfbulk.client.protocol.jobs import jobs_of
from airflow_provider_sfbulk.client.protocol.org import ApiUsage, read_api_usage, server_time
from airflow_provider_sfbulk.client.protocol.reserve import ApiReserve
from airflow_provider_sfbulk.client.protocol.retry import LONGEST_DELAY_SECONDS
from airflow_provider_sfbulk.client.waiting.jobs import watched_jobs
from airflow_provider_sfbulk.client.waiting.polls import (
    Idle,
    Poll,
    Polls,
    ReadChanges,
    ReadJob,
    ReadListPage,
    ReadUsage,
)
from airflow_provider_sfbulk.client.waiting.schedule import (
    BLIND_SECONDS,
    BROKEN_SECONDS,
    CALL_SECONDS,
    LAST_LOOK_SECONDS,
    POLL_INTERVAL_SECONDS,
)
from airflow_provider_sfbulk.client.waiting.wait import is_of_a_call, may_look_again
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.triggers.event import WaitOutcome
from airflow_provider_sfbulk.triggers.shared_client import SharedClient
from airflow_provider_sfbulk.triggers.stored import seconds_of

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.http.aio import AsyncDriver

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WaitEnd:
    """How a wait ended.

    :param api_calls: calls that were made for it. A call for many waits is counted for one of them, in turn
    :param jobs: those that were read after they ended
    :param error: the error, if the wait ended with one
    """

    outcome: WaitOutcome
    api_calls: int
    jobs: tuple[JobInfo, ...] = ()
    error: SfBulkError | None = None


@dataclass(frozen=True)
class Watch:
    """An object that is watched for changes.

    :param field: its datetime field that says when a record changed
    :param include_deleted: whether deletions are changes
    :param every: seconds between two checks
    :param lag: how long before the org's present the window of a check ends
    """

    sobject: str
    field: str
    include_deleted: bool
    every: float
    lag: timedelta


@dataclass(eq=False)
class _Change:
    """A wait for a change after a moment."""

    number: int
    watch: Watch
    since: datetime
    until: datetime
    """Where the window of the last or current check ends."""

    def question(self, org_time: datetime) -> Question:
        self.until = org_time - self.watch.lag
        watch = self.watch
        return Question(watch.sobject, watch.field, self.since, self.until, watch.include_deleted)


@dataclass(eq=False)
class _Wait:
    """What one trigger waits for: jobs, spare API calls, or a change."""

    left: dict[str, str] = field(default_factory=dict)
    """Jobs that are not final, by their short ids."""
    job_type: JobType = JobType.INGEST
    reserve: ApiReserve | None = None
    change: _Change | None = None
    calls: int = 0
    is_seen: bool = False
    """Whether there was a poll since the wait began."""
    news: dict[str, JobInfo] = field(default_factory=dict)
    ended: list[JobInfo] = field(default_factory=list)
    outcome: WaitOutcome | None = None
    error: SfBulkError | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, outcome: WaitOutcome, error: SfBulkError | None = None) -> None:
        """End the wait; only the first end counts."""
        if self.outcome is None:
            self.outcome, self.error = outcome, error
        self.changed.set()


OnProgress: TypeAlias = Callable[[Sequence[JobInfo]], Awaitable[None]]


async def _say_nothing(_: Sequence[JobInfo]) -> None:
    """Do nothing with progress."""


class Watcher:
    """Polls the jobs of one connection for all waiting triggers. Get one from :func:`watcher_of`.

    :param salesforce_conn_id: the connection
    :param api_version: instead of the connection's
    """

    def __init__(self, salesforce_conn_id: str, api_version: str | None) -> None:
        self._hook = SalesforceBulkHook(salesforce_conn_id, api_version=api_version)
        self._polls = Polls(random.random)
        self._waits: list[_Wait] = []
        self._turn = 0
        self._client = SharedClient(self._hook)
        self._is_proven = False
        self._refusals: Counter[Poll | type[LoginError]] = Counter()
        """How often in a row each poll failed, and any poll failed at the login."""
        self._changed = asyncio.Event()
        self._numbers = itertools.count()
        self._org_time: tuple[datetime, float] | None = None
        """What the org's clock showed, and this machine's monotonic one then."""
        self._asking_time = asyncio.Lock()
        self._failure: SfBulkError | None = None
        self._task: asyncio.Task[None] | None = None
        self.members = 0
        """Number of its users, see :func:`watcher_of`."""

    @property
    def is_broken(self) -> bool:
        """Whether it has ended with an error: new triggers need another one."""
        return self._failure is not None

    async def wait_for_jobs(
        self,
        job_ids: Sequence[str],
        job_type: JobType,
        *,
        longest: float,
        age: float = 0.0,
        deadline: float | None = None,
        on_progress: OnProgress = _say_nothing,
    ) -> WaitEnd:
        """Wait until every job is final.

        :param longest: maximum seconds between two polls of a job, as far as the budget of calls allows
        :param age: age of the jobs in seconds, as far as known
        :param deadline: when to give up, in seconds since 1970
        :param on_progress: called with jobs whose counters were read, in the caller's own task
        """
        wait = _Wait(left={short_id(job_id): job_id for job_id in job_ids}, job_type=job_type)
        if not wait.left:
            return WaitEnd(WaitOutcome.FINAL, 0)
        with self._waiting(wait):
            longest = seconds_of(longest, POLL_INTERVAL_SECONDS)
            for job_id in wait.left.values():
                self._polls.add(job_id, job_type, now=time.monotonic(), age=age, longest=longest)
            return await self._end_of(wait, deadline, on_progress)

    async def wait_for_reserve(self, reserve: ApiReserve, *, deadline: float | None = None) -> WaitEnd:
        """Wait until the org has this many API calls left.

        :param deadline: when to give up, in seconds since 1970
        """
        wait = _Wait(reserve=reserve, is_seen=True)
        with self._waiting(wait):
            return await self._end_of(wait, deadline, _say_nothing)

    async def wait_for_change(self, watch: Watch, since: datetime, *, soon: bool) -> datetime:
        """Wait until there are records that were stamped at ``since`` or later, and before the end of a check's window.

        :param soon: whether to check at once, instead of when the next check is due
        :returns: the end of that window, which belongs to the next one
        :raises SfBulkError: Salesforce refuses the query or the login
        """
        change = _Change(next(self._numbers), watch, since, since)
        wait = _Wait(change=change)
        with self._waiting(wait):
            self._polls.watch(change.number, now=time.monotonic(), every=watch.every, soon=soon)
            end = await self._end_of(wait, None, _say_nothing)
        if end.error is not None:
            raise end.error
        return change.until

    async def org_time(self) -> datetime:
        """Return the time by the org's clock, in whole seconds; asks the org unless an earlier reply had it.

        :raises SfBulkError: the org does not answer
        """
        async with self._asking_time:
            if self._org_time is None:
                self._note_time(await self.run(lambda _: server_time()))
        said, at = self._org_time or (datetime.now(UTC), time.monotonic())
        return (said + timedelta(seconds=time.monotonic() - at)).replace(microsecond=0)

    def _note_time(self, said: datetime | None) -> None:
        if said is not None:
            self._org_time = said, time.monotonic()

    async def run(self, flow: Callable[[AsyncDriver], Flow[T]]) -> T:
        """Run a flow with the shared client, beside the polls.

        :raises SfBulkError: what the flow raises
        """
        driver = await self._client.opened()
        return await driver.run(flow(driver))

    async def close(self) -> None:
        """End. This continues when its caller is cancelled."""
        ending = asyncio.create_task(self._close(), context=contextvars.Context())
        _ending.add(ending)
        ending.add_done_callback(_ending.discard)
        await asyncio.shield(ending)

    # --- waits ---

    @contextmanager
    def _waiting(self, wait: _Wait) -> Iterator[None]:
        self._waits.append(wait)
        if self._failure is not None:
            wait.end(WaitOutcome.ERROR, self._failure)
        elif self._task is None:
            # Outside any trigger's log context, to which its log lines would otherwise go as long as it runs.
            self._task = asyncio.create_task(self._watch(), context=contextvars.Context())
        self._changed.set()
        try:
            yield
        finally:
            self._waits.remove(wait)
            self._forget(wait.left, wait.job_type)
            if wait.change is not None:
                self._polls.unwatch(wait.change.number)

    def _forget(self, job_ids: dict[str, str], job_type: JobType) -> None:
        for key in job_ids:
            if not any(other.job_type is job_type and key in other.left for other in self._waits):
                self._polls.discard(key, job_type)

    async def _end_of(self, wait: _Wait, deadline: float | None, on_progress: OnProgress) -> WaitEnd:
        started = time.time()
        while wait.outcome is None:
            until = None
            if deadline is not None:
                until = deadline if wait.is_seen else max(deadline, started + LAST_LOOK_SECONDS)
            try:
                async with asyncio.timeout(None if until is None else until - time.time()):
                    await wait.changed.wait()
            except TimeoutError:
                wait.end(WaitOutcome.TIMEOUT)
            wait.changed.clear()
            if wait.news and wait.outcome is None:
                news, wait.news = list(wait.news.values()), {}
                try:
                    await on_progress(news)
                except Exception:
                    log.exception("the progress of %s is not shown any more", news[0].id)
                    on_progress = _say_nothing
        return WaitEnd(wait.outcome, wait.calls, tuple(wait.ended), wait.error)

    # --- the watch ---

    async def _watch(self) -> None:
        """Poll until nobody waits. An error with one job, or in this code, does not end the other waits."""
        pause = BROKEN_SECONDS
        while self._failure is None:
            try:
                await self._step()
                pause = BROKEN_SECONDS
            except Exception as error:
                self._begin_anew(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_DELAY_SECONDS)

    async def _step(self) -> None:
        self._polls.want_usage(any(wait.reserve for wait in self._waits), now=time.monotonic())
        poll = self._polls.next(time.monotonic())
        if isinstance(poll, Idle):
            await self._rest(poll.seconds)
        else:
            await self._make(poll)
        self._give_up_blind()

    def _begin_anew(self, error: Exception) -> None:
        """Start with a new plan, since the old one may be the cause of the error."""
        log.error("the poller of connection %s failed and restarts", self._hook.salesforce_conn_id, exc_info=error)
        self._polls = Polls(random.random)
        for wait in self._waits:
            for job_id in wait.left.values():
                self._polls.add(job_id, wait.job_type, now=time.monotonic(), age=0.0, longest=POLL_INTERVAL_SECONDS)
            if wait.change is not None:
                every = wait.change.watch.every
                self._polls.watch(wait.change.number, now=time.monotonic(), every=every, soon=False)

    def _fail(self, error: SfBulkError) -> None:
        self._failure = error
        for wait in self._waits:
            wait.end(WaitOutcome.ERROR, error)

    async def _rest(self, seconds: float) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            # Longer than a day only changes are waited for.
            async with asyncio.timeout(min(seconds, BLIND_SECONDS)):
                await self._changed.wait()

    async def _make(self, poll: Poll) -> None:
        concerned = self._concerned(poll)
        calls, usage, driver = 0, None, None
        try:
            driver = await self._client.opened()
            calls, usage = driver.calls, driver.usage
            async with asyncio.timeout(CALL_SECONDS):
                await self._perform(poll, driver)
            self._is_proven = True
            for key in (poll, LoginError):
                self._refusals.pop(key, None)
            if driver.usage is not usage:  # not every reply says it
                self._hear(driver.usage)
        except TimeoutError:
            self._polls.troubled(poll, TransientError(f"no answer in {CALL_SECONDS:g} s"), now=time.monotonic())
        except SfBulkError as error:
            await self._take(poll, error, driver)
        except Exception as error:
            # A mistake in this package that one job has revealed; the other jobs must not suffer from it.
            log.exception("an internal error in the poll %s", poll)
            self._refused(poll, StoppedError(f"the watch in the triggerer failed ({type(error).__name__})"))
        finally:
            if driver is not None:
                made = driver.calls - calls
                self._polls.sent(time.monotonic(), made)
                self._charge(concerned, made)

    async def _take(self, poll: Poll, error: SfBulkError, driver: AsyncDriver | None) -> None:
        """Handle an error: a transient one, or one of a login, of a job, or of the list."""
        if isinstance(error, LoginError) and not is_of_a_call(error):
            # Somebody may have corrected the connection since it was read.
            if not self._is_proven:
                self._fail(error)
            self._is_proven = False
            self._client.drop()
            return
        key = LoginError if isinstance(error, LoginError) else poll
        self._refusals[key] += 1
        # A refused list is not worth another call: jobs are read one by one.
        is_worth_another = isinstance(poll, ReadJob) or isinstance(error, (LoginError, TransientError))
        if is_worth_another and may_look_again(error, self._refusals[key]):
            log.warning(
                "a poll of the jobs of %s failed, and will be repeated: %s", self._hook.salesforce_conn_id, error
            )
            self._polls.troubled(poll, error, now=time.monotonic())
        elif driver is not None and await self._client.is_outdated(driver):
            self._refusals.pop(key)
            self._polls.withdraw(poll)
        else:
            self._refused(poll, error)

    async def _perform(self, poll: Poll, driver: AsyncDriver) -> None:
        match poll:
            case ReadJob(job_id, job_type):
                job = await driver.run(watched_jobs(job_type, driver.api_version).get_once(job_id))
                for wait in self._concerned(poll):
                    wait.news[short_id(job_id)] = job
                    if job.is_final:
                        wait.ended.append(job)
                    self._seen(wait, short_id(job_id), is_final=job.is_final)
                age = 0.0 if job.created_date is None else time.time() - job.created_date.timestamp()
                self._polls.seen(poll, now=time.monotonic(), age=age, processed=job.processed)
            case ReadListPage(job_type, locator):
                page = await driver.run(jobs_of(job_type, driver.api_version).list_states(locator=locator))
                self._polls.read(poll, page.states, page.next_locator, now=time.monotonic())
                for wait in self._concerned(poll):
                    for key in wait.left.keys() & page.states.keys():
                        self._seen(wait, key, is_final=page.states[key].is_final)
            case ReadUsage():
                self._hear(await driver.run(read_api_usage(api_version=driver.api_version)))
                self._polls.read_usage(now=time.monotonic())
            case ReadChanges():
                await self._look(self._concerned(poll), driver)
                self._polls.looked(poll, now=time.monotonic())

    async def _look(self, waits: Sequence[_Wait], driver: AsyncDriver) -> None:
        """Check for changes. An error of one query ends only the waits for that query."""
        org_time = await self.org_time()
        changes = [(wait, wait.change.question(org_time)) for wait in waits if wait.change is not None]
        asked = [(wait, question) for wait, question in changes if question.since < question.until]
        if not asked:
            return
        look = await driver.run(look_for_changes([each for _, each in asked], api_version=driver.api_version))
        self._note_time(look.org_time)
        for (wait, _), answer in zip(asked, look.answers, strict=True):
            if isinstance(answer, TransientError):
                log.warning("a check for changes failed, and will be repeated: %s", answer)
            elif isinstance(answer, SfBulkError):
                wait.end(WaitOutcome.ERROR, answer)
            elif answer:
                wait.end(WaitOutcome.FINAL)

    def _seen(self, wait: _Wait, key: str, *, is_final: bool) -> None:
        wait.is_seen = True
        if is_final:
            job_id = wait.left.pop(key)
            self._forget({key: job_id}, wait.job_type)
            if not wait.left:
                wait.end(WaitOutcome.FINAL)
        wait.changed.set()

    def _hear(self, usage: ApiUsage | None) -> None:
        """Use what Salesforce says about the org's API calls, in any reply or on request."""
        if usage is not None:
            self._polls.read_usage(now=time.monotonic())
        for wait in self._waits:
            if wait.reserve is not None and usage is not None:
                if wait.reserve.is_kept(usage):
                    wait.end(WaitOutcome.FINAL)
                elif wait.reserve.is_out_of_reach(usage):
                    wait.end(WaitOutcome.ERROR, SourceError("the org has no more API calls than the reserve"))

    def _refused(self, poll: Poll, error: SfBulkError) -> None:
        """Handle a lasting error, of one job or of the list."""
        match poll:
            case ReadJob(job_id, job_type):
                for wait in self._concerned(poll):
                    wait.end(WaitOutcome.ERROR, error)
                self._polls.discard(job_id, job_type)
            case ReadListPage():
                log.warning("the list of jobs cannot be read, so jobs are read one by one: %s", error)
                self._polls.refused(poll, now=time.monotonic())
            case ReadUsage() | ReadChanges():
                for wait in self._concerned(poll):
                    wait.end(WaitOutcome.ERROR, error)

    def _concerned(self, poll: Poll) -> list[_Wait]:
        match poll:
            case ReadJob(job_id, job_type):
                return [each for each in self._waits if each.job_type is job_type and short_id(job_id) in each.left]
            case ReadListPage(job_type, _):
                return [each for each in self._waits if each.job_type is job_type and each.left]
            case ReadUsage():
                return [each for each in self._waits if each.reserve is not None]
            case ReadChanges(watches):
                return [each for each in self._waits if each.change is not None and each.change.number in watches]

    def _charge(self, concerned: Sequence[_Wait], calls: int) -> None:
        """Count calls for one of the waits they were made for, so that the sum over all waits is the number of calls."""
        if concerned:
            self._turn += 1
            concerned[self._turn % len(concerned)].calls += calls

    def _give_up_blind(self) -> None:
        for job_id, job_type in self._polls.unseen_since(time.monotonic() - BLIND_SECONDS):
            error = TransientError(f"job {job_id} could not be read for {BLIND_SECONDS / 3600:g} hours", job_id=job_id)
            self._refused(ReadJob(job_id, job_type), error)

    async def _close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._client.close()


_watchers: Final[dict[tuple[asyncio.AbstractEventLoop, str, str | None], Watcher]] = {}
"""The running watchers. Each ends with its last user."""

_ending: Final[set[asyncio.Task[None]]] = set()
"""Watchers that are ending: the event loop does not protect a task from garbage collection."""


@asynccontextmanager
async def watcher_of(salesforce_conn_id: str, api_version: str | None) -> AsyncIterator[Watcher]:
    """Join the watcher of a connection in this event loop, or create it; the last user ends it."""
    key = (asyncio.get_running_loop(), salesforce_conn_id, api_version)
    watcher = _watchers.get(key)
    if watcher is None or watcher.is_broken:
        watcher = _watchers[key] = Watcher(salesforce_conn_id, api_version)
    watcher.members += 1
    try:
        yield watcher
    finally:
        watcher.members -= 1
        if not watcher.members:
            if _watchers.get(key) is watcher:
                del _watchers[key]
            await watcher.close()
