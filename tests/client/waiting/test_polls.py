"""The plan of polls against orgs with lists of any length, on a clock of the test's own: no socket, no waiting."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sfbulk.client.errors import (
    ProtocolError,
    RequestLimitError,
    RequestRefusedError,
    ServerBusyError,
    SfBulkError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobType
from airflow_provider_sfbulk.client.protocol.changes import QUESTIONS_A_CALL
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
    BUDGET_CALLS,
    LENGTH_KEPT_SECONDS,
    LIMIT_PAUSE_SECONDS,
    LOOK_CALLS,
    PAGE_FAILURES,
    REFUSALS,
    WINDOW_SECONDS,
)
from tests.examples import examples

QUERY, INGEST = JobType.QUERY, JobType.INGEST


@dataclass
class Job:
    number: int
    joins: float
    ends: float
    longest: float = 30.0
    type: JobType = INGEST
    noticed: float = math.inf
    looks: int = 0
    steps_before: int = 0
    worst_period: float = 0.0

    @property
    def id(self) -> str:
        return f"750{self.number:012d}AAA"

    @property
    def late(self) -> float:
        return self.noticed - max(self.ends, self.joins)


@dataclass
class World:
    """An org that answers a plan's polls, and a clock that only they and the plan's pauses move."""

    jobs: list[Job]
    pages: int = 1
    latency: float = 0.2
    now: float = 1000.0
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    calls: list[tuple[float, Poll]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.polls = Polls(self.chance.random)
        self.coming = sorted(self.jobs, key=lambda job: job.joins, reverse=True)
        self.waiting: dict[str, Job] = {}
        self.joined = {job.id: job.joins for job in self.jobs}
        self.periods: list[float] = []

    def run(self, until: float) -> World:
        steps = 0
        while self.now < until and (self.coming or self.waiting):
            steps += 1
            assert steps < 200_000, "the plan goes round and round"
            self._join()
            poll = self.polls.next(self.now)
            self.periods.append(self.polls.period(self.now))
            if isinstance(poll, Idle):
                assert poll.seconds > 0
                wake = self.now + poll.seconds
                self.now = min(wake, self.coming[-1].joins if self.coming else wake, until)
            else:
                self.now += self.latency
                self.calls.append((self.now, poll))
                self.polls.sent(self.now, 1)
                self._answer(poll)
        return self

    def _join(self) -> None:
        while self.coming and self.coming[-1].joins <= self.now:
            job = self.coming.pop()
            self.waiting[job.id] = job
            job.steps_before = len(self.periods)
            self.polls.add(job.id, job.type, now=self.now, age=8.0, longest=job.longest)

    def _answer(self, poll: Poll) -> None:
        if isinstance(poll, ReadJob):
            self._see(self.waiting[poll.job_id])
            # Joined 13 s after its close: 5 s of looks by the task, 8 s of the shortest deferral.
            age = 13 + self.now - self.joined[poll.job_id]
            self.polls.seen(poll, now=self.now, age=age, processed=0)
        elif isinstance(poll, ReadListPage):
            page = int(poll.locator or 0)
            there = [
                job for job in self.waiting.values() if job.type is poll.job_type and job.number % self.pages == page
            ]
            following = str(page + 1) if page + 1 < self.pages else None
            self.polls.read(poll, [job.id[:15] for job in there], following, now=self.now)
            for job in there:
                self._see(job)

    def _see(self, job: Job) -> None:
        job.looks += 1
        if self.now >= job.ends:
            job.noticed = self.now
            job.worst_period = max(self.periods[job.steps_before :])
            del self.waiting[job.id]
            self.polls.discard(job.id, job.type)

    @property
    def most_in_a_window(self) -> int:
        times = [at for at, _ in self.calls]
        return max((sum(at - WINDOW_SECONDS < each <= at for each in times) for at in times), default=0)

    def count(self, kind: type[Poll]) -> int:
        return sum(isinstance(poll, kind) for _, poll in self.calls)


def crowd(number: int, *, lasting: float, spread: float = 0.0) -> list[Job]:
    chance = random.Random(number)
    return [Job(n, 1000.0 + chance.random() * spread, 1000.0 + chance.random() * lasting) for n in range(number)]


# --- what holds whatever comes ----------------------------------------------------------------------------------------

jobs = st.lists(
    st.builds(
        lambda joins, lasts, longest, kind: (joins, lasts, longest, kind),
        st.floats(1000, 1600),
        st.floats(0, 900),
        st.sampled_from([0.01, 5.0, 30.0, 30.0, 60.0]),
        st.sampled_from(list(JobType)),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=examples(20), deadline=None)
@given(jobs=jobs, pages=st.sampled_from([1, 2, 3, 5, 12, 200]), latency=st.floats(0.001, 3.0), seed=st.integers(0, 99))
def test_the_budget_is_never_exceeded_and_nobody_starves(
    jobs: list[tuple[float, float, float, JobType]], pages: int, latency: float, seed: int
) -> None:
    made = [Job(n, joins, joins + lasts, longest, kind) for n, (joins, lasts, longest, kind) in enumerate(jobs)]
    world = World(made, pages=pages, latency=latency, chance=random.Random(seed)).run(20_000)
    assert world.most_in_a_window <= BUDGET_CALLS
    for job in made:
        assert job.noticed < math.inf
        # The plan of the present may have to wait for the calls of a busier past, one window at most, and for the
        # answers to all that others are owed before it.
        assert job.late <= job.worst_period * 1.2 + WINDOW_SECONDS + max(4, len(made)) * latency


@settings(max_examples=examples(12), deadline=None)
@given(
    number=st.integers(1, 3), last=st.lists(st.floats(0, 2000), min_size=3, max_size=3), latency=st.floats(0.01, 1.0)
)
def test_the_end_of_one_of_few_jobs_is_noticed_within_its_longest_pause(
    number: int, last: list[float], latency: float
) -> None:
    made = [Job(n, 1000.0, 1000.0 + last[n]) for n in range(number)]
    World(made, pages=50, latency=latency).run(20_000)
    assert all(job.late <= 30 for job in made)


# --- the figures ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pages", "seconds"), [(2, 30), (3, 30), (4, 35), (8, 60)])
def test_fifteen_hundred_jobs_cost_twelve_calls_a_minute_at_most_and_each_end_is_noticed_soon(
    pages: int, seconds: float
) -> None:
    made = crowd(1500, lasting=600, spread=10)
    world = World(made, pages=pages, latency=0.5).run(5000)
    assert max(job.late for job in made) <= seconds
    assert world.most_in_a_window <= 12


def test_the_ends_of_a_lost_triggerer_s_jobs_are_noticed_soon_after_the_last_was_taken_over() -> None:
    own = [Job(number, joins=1000.0, ends=1000.0 + number % 300) for number in range(750)]
    taken = [Job(number, joins=1150.0 + (number - 750) // 50, ends=1125.0) for number in range(750, 1500)]
    World(own + taken, pages=2).run(until=1400)
    assert max(job.noticed for job in taken) <= max(job.joins for job in taken) + 5
    assert max(job.late for job in own) <= 30


def test_counters_are_refreshed_in_rotation() -> None:
    made = [Job(n, 1000.0, 9999.0) for n in range(1500)]
    world = World(made, pages=2, latency=0.5).run(1000 + 3600)
    read = [poll.job_id for _, poll in world.calls if isinstance(poll, ReadJob)]
    assert len(read) > 100
    assert len(set(read[10:])) == len(read[10:]), "none twice before all others"


def test_a_job_of_a_minute_is_looked_at_three_times() -> None:
    for seed in range(50):
        (job,) = made = [Job(0, 1000.0, 1047.0)]
        World(made, latency=0.1, chance=random.Random(seed)).run(5000)
        assert job.looks <= 3
        assert job.late <= 30


def test_a_job_that_has_ended_before_it_is_waited_for_is_noticed_at_once() -> None:
    made = [Job(n, 1000.0 + 20 * n, 0.0) for n in range(9)]
    World(made).run(2000)
    assert all(job.late < 1 for job in made)


def test_old_jobs_do_not_keep_a_new_one_from_its_early_looks() -> None:
    new = [Job(n, 2000.0 + 30 * n, 0.0) for n in range(10)]
    World([*new, *(Job(n, 1000.0, 9999.0) for n in range(10, 40))], pages=1).run(2500)
    assert all(job.late < 1 for job in new)


# --- list or single reads ---------------------------------------------------------------------------------------------


def test_few_jobs_are_read_one_by_one() -> None:
    world = World([Job(n, 1000.0, 9999.0) for n in range(3)]).run(1600)
    assert world.count(ReadListPage) == 0


def test_many_jobs_are_read_by_the_list() -> None:
    world = World([Job(n, 1000.0, 9999.0) for n in range(50)]).run(1600)
    assert 20 <= world.count(ReadListPage) <= 40


def test_a_list_too_long_to_be_worth_reading_is_given_up_early_and_jobs_are_read_in_rotation() -> None:
    made = [Job(n, 1000.0, 99_999.0) for n in range(40)]
    world = World(made, pages=500).run(1000 + 4 * 3600)
    assert world.count(ReadListPage) <= 40
    looks = [job.looks for job in made]
    assert max(looks) - min(looks) <= 8
    assert min(looks) > 4 * 3600 / 60 * 10 / 40 * 0.8


def test_the_length_of_the_list_is_found_out_again_after_some_hours() -> None:
    world = World([Job(n, 1000.0, 999_999.0) for n in range(40)], pages=500).run(1000 + 600)
    first = world.count(ReadListPage)
    world.pages = 1
    world.run(1000 + LENGTH_KEPT_SECONDS + 1200)
    assert world.count(ReadListPage) > first + 5


def test_a_job_that_is_on_no_page_is_read_by_itself() -> None:
    hidden = Job(0, 1000.0, 1500.0)
    world = World([hidden, *(Job(n, 1000.0, 9999.0) for n in range(1, 30))])
    answer = World._answer

    def without_it(self: World, poll: Poll) -> None:
        taken = self.waiting.pop(hidden.id, None) if isinstance(poll, ReadListPage) else None
        answer(self, poll)
        if taken is not None:
            self.waiting[hidden.id] = taken

    world._answer = without_it.__get__(world)  # type: ignore[method-assign]
    world.run(3000)
    assert hidden.late <= 30


def test_a_page_that_leads_back_is_an_error() -> None:
    polls = Polls(lambda: 0.5)
    for n in range(50):
        polls.add(f"750{n:012d}AAA", QUERY, now=0, age=0, longest=30)
    assert polls.next(0) == ReadListPage(QUERY, None)
    polls.read(ReadListPage(QUERY, None), [], "a", now=0)
    assert polls.next(0) == ReadListPage(QUERY, "a")
    with pytest.raises(ProtocolError, match="twice"):
        polls.read(ReadListPage(QUERY, "a"), [], "a", now=0)


# --- trouble ----------------------------------------------------------------------------------------------------------


def pause_after(error: SfBulkError, times: int = 1) -> float:
    polls = Polls(lambda: 0.0)
    polls.add("750000000000001AAA", QUERY, now=0, age=0, longest=30)
    for _ in range(times):
        polls.troubled(ReadJob("750000000000001AAA", QUERY), error, now=0)
    rest = polls.next(0)
    assert isinstance(rest, Idle)
    return rest.seconds


def test_trouble_makes_all_wait_each_time_longer() -> None:
    pauses = [pause_after(TransientError("x"), times) for times in (1, 2, 3, 20)]
    assert pauses == [5, 10, 20, 120]


def test_a_reply_that_asks_for_a_pause_gets_it() -> None:
    busy = ServerBusyError("x")
    busy.retry_after = 60
    assert pause_after(busy) == 60


def test_used_up_calls_of_the_day_are_not_asked_for_again_soon() -> None:
    used_up = RequestLimitError("x")
    used_up.daily = True
    assert pause_after(used_up) == LIMIT_PAUSE_SECONDS


def test_one_job_that_cannot_be_read_does_not_keep_the_others_from_being_read() -> None:
    polls = Polls(lambda: 0.0)
    bad, good = "750000000000001AAA", "750000000000002AAA"
    now, seen = 0.0, 0
    for each in (bad, good):
        polls.add(each, QUERY, now=0, age=0, longest=30)
    while now < 600:
        poll = polls.next(now)
        if isinstance(poll, Idle):
            now += poll.seconds
            continue
        polls.sent(now, 1)
        assert isinstance(poll, ReadJob)
        if poll.job_id == bad:
            polls.troubled(poll, TransientError("x"), now=now)
        else:
            seen += 1
            polls.seen(poll, now=now, age=0, processed=0)
    assert seen >= 15
    assert polls.unseen_since(300) == [(bad, QUERY)]


def looks_at(jobs: Sequence[str], *, refused: Collection[str]) -> dict[str, list[float]]:
    """Say when jobs are read in twenty minutes, of which some are refused each time."""
    polls = Polls(lambda: 0.0)
    looks: dict[str, list[float]] = {each: [] for each in jobs}
    for each in jobs:
        polls.add(each, JobType.CLASSIC, now=0, age=0, longest=30)
    now = 0.0
    while now < 1200:
        poll = polls.next(now)
        if isinstance(poll, Idle):
            now += poll.seconds
            continue
        polls.sent(now, 1)
        assert isinstance(poll, ReadJob)
        looks[poll.job_id].append(now)
        if poll.job_id in refused:
            polls.troubled(poll, RequestRefusedError("no access"), now=now)
        else:
            polls.seen(poll, now=now, age=0, processed=0)
    return looks


def test_refusals_of_jobs_put_off_no_other() -> None:
    good, *refused = jobs = [f"750{n:012d}AAA" for n in range(20)]
    looks = looks_at(jobs, refused=refused)
    assert len(looks[good]) >= len(looks_at(jobs, refused=())[good])
    assert all(looks[each][REFUSALS - 1] >= 60 for each in refused), "they are looked at again for some minutes"


def test_a_page_that_fails_again_and_again_is_given_up() -> None:
    polls = Polls(lambda: 0.0)
    for n in range(50):
        polls.add(f"750{n:012d}AAA", QUERY, now=0, age=0, longest=30)
    now = 0.0
    for _ in range(PAGE_FAILURES):
        while isinstance(poll := polls.next(now), Idle):
            now += poll.seconds
        assert isinstance(poll, ReadListPage)
        polls.troubled(poll, TransientError("x"), now=now)
    while isinstance(poll := polls.next(now), Idle):
        now += poll.seconds
    assert isinstance(poll, ReadJob)


# --- API calls to spare -----------------------------------------------------------------------------------------------


def test_allowances_are_read_every_few_minutes_while_somebody_waits_for_them() -> None:
    polls = Polls(lambda: 0.0)
    now, reads = 0.0, 0
    polls.want_usage(True, now=0)
    while now < 3600:
        poll = polls.next(now)
        if isinstance(poll, Idle):
            now += poll.seconds
        else:
            assert poll == ReadUsage()
            reads += 1
            polls.sent(now, 1)
            polls.read_usage(now=now)
    assert 10 <= reads <= 12
    polls.want_usage(False, now=now)
    assert polls.next(now) == Idle(math.inf)


# --- changes of objects -----------------------------------------------------------------------------------------------


@dataclass
class Watches(World):
    """An org with objects that are watched, too.

    :ivar every: seconds from look to look that each wants
    """

    every: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.looked: dict[int, list[float]] = {number: [] for number in range(len(self.every))}
        for number, every in enumerate(self.every):
            self.polls.watch(number, now=self.now, every=every, soon=True)

    def _answer(self, poll: Poll) -> None:
        if isinstance(poll, ReadChanges):
            assert len(poll.watches) <= QUESTIONS_A_CALL
            for number in poll.watches:
                self.looked[number].append(self.now)
            self.polls.looked(poll, now=self.now)
        super()._answer(poll)


@settings(max_examples=examples(6), deadline=None)
@given(
    st.integers(0, 40),
    st.lists(st.sampled_from([10.0, 60.0, 60.0, 300.0]), min_size=1, max_size=60),
    st.integers(1, 9),
)
def test_watches_keep_to_the_budget_with_any_jobs_beside_them_and_each_is_looked_at(
    number: int, every: list[float], pages: int
) -> None:
    forever = Job(999, 1000.0, math.inf)
    world = Watches([forever, *crowd(number, lasting=600)], pages=pages, every=tuple(every))
    world.run(2000.0)
    assert world.most_in_a_window <= BUDGET_CALLS
    needed = sum(WINDOW_SECONDS / each for each in every) / QUESTIONS_A_CALL / LOOK_CALLS
    for each, looks in zip(every, world.looked.values(), strict=True):
        gaps = [later - earlier for earlier, later in pairwise([1000.0, *looks, 2000.0])]
        assert max(gaps) <= max(1.0, needed) * each + 2 * WINDOW_SECONDS
    assert all(job.noticed < math.inf for job in world.jobs if job is not forever)


def test_watches_that_begin_together_share_their_calls() -> None:
    world = Watches([Job(0, 1000.0, math.inf)], every=(300.0,) * 5).run(1000.0 + 3600)
    assert 12 <= world.count(ReadChanges) <= 13
    assert all(len(poll.watches) == 5 for _, poll in world.calls if isinstance(poll, ReadChanges))
