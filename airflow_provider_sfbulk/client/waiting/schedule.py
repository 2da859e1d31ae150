"""Every pause and every budget of polling, in one place.

==========================================  =========================================================================
who waits                                   for how long
==========================================  =========================================================================
a client, between two looks at its jobs     :class:`Schedule`; after a failed look :func:`next_pause`
a task, before it defers                    ``FIRST_POLLS``, then in its own process ``TASK_GROWTH``
a task or a triggerer, at most              ``POLL_INTERVAL_SECONDS`` (the default of ``poll_interval``)
all triggers of one org together            ``BUDGET_CALLS`` in ``WINDOW_SECONDS``; what spends them: ``polls.py``
any wait, while every look fails            ``BLIND_SECONDS``, ``REFUSALS``, ``LIMIT_PAUSE_SECONDS``
==========================================  =========================================================================

Two are elsewhere, beside the facts that they follow from: the pauses between the tries of one call
(``protocol/retry.py``), and how long a job that ended early may still write (``load/still.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.arguments import seconds, shown
from airflow_provider_sfbulk.client.errors import RequestLimitError, SfBulkError, SourceError
from airflow_provider_sfbulk.client.protocol.retry import retry_after_of

# --- any wait ---


@dataclass(frozen=True)
class Schedule:
    """The pauses between two looks.

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
        if (
            isinstance(self.growth, bool)
            or not isinstance(self.growth, (int, float))
            or not 0 <= self.growth < math.inf
        ):
            raise SourceError(f"growth is a number from 0, not {shown(self.growth)}")

    def pause(self, age: float) -> float:
        """Give the seconds to pause after a wait of ``age`` seconds."""
        return min(self.longest, max(self.first, age * self.growth))


DEFAULT_SCHEDULE: Final = Schedule()

JITTER: Final = 0.1
"""Share of a pause that is taken off at random, so that many waits do not keep in step."""

LIMIT_PAUSE_SECONDS: Final = 15 * 60.0
"""Pause after the day's API calls are used up: looking more often cannot help, and takes calls from others."""

BLIND_SECONDS: Final = 24 * 60 * 60.0
"""A wait without an end of its own gives up after so long without one good look: even used-up allowances of the rolling
24 hours are back by then."""

REFUSALS: Final = 6
"""Looks in a row that are refused, each after a longer pause, before the wait ends with the refusal."""

POLL_TRIES: Final = 5
"""The same where the job is read once, and not waited for."""

UNCHANGED_AT_ONCE: Final = 3
"""Jobs found in the same state as before that end a look."""


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


# --- a task ---

POLL_INTERVAL_SECONDS: Final = 30.0
"""Longest time between two looks, unless the user gives another: the default of ``poll_interval``."""

FIRST_POLLS: Final = (1.0, 1.5, 2.5)
"""Pauses before the task's own looks at its jobs, in seconds, before it defers: a job of some seconds is noticed here
and never defers. Many jobs are looked at once, at the end of this time."""

TASK_GROWTH: Final = 0.5
"""Growth of the pauses of a task that does not defer."""

# --- all triggers of one org, see ``polls.py`` ---

BUDGET_CALLS: Final = 12
WINDOW_SECONDS: Final = 60.0

DUE_CALLS: Final = 10
"""What is due gets no more than this, so that the rest is left for jobs that are new, even when too many wait."""

LOOK_CALLS: Final = 4
"""Looks for changes: of twenty objects a minute. With more, or more often, each is looked at less often than it wants."""

EARLY_CALLS: Final = 4
"""So that three pages can be read every 20 s whatever was spent on young jobs before."""

TOGETHER_SECONDS: Final = 1.0
"""A first look waits so long for others that begin at the same time."""

FEW_JOBS: Final = 3
"""So many jobs are read by themselves: it costs little more than a list, and has their counters."""

FIRST_PAUSE_SECONDS: Final = 10.0
GROWTH: Final = 2.0
"""Each pause is so many times the job's age: a job of 60 s is read three times in the triggerer, by default."""

RECORDS_PER_SECOND: Final = 10_000
"""A job that has processed so many records is not looked at more often than once a second, and so on: a large one ends
no sooner than it can."""

MARGIN: Final = 5 / 6
"""Share of the longest pause that is planned; the rest is for the calls themselves."""

SHARED_MARGIN: Final = 2 / 3
"""The same where jobs share a list: many events at once take longer on their way to the tasks, and a look costs each job
little."""

SHORTEST_PERIOD_SECONDS: Final = 10.0
"""No job is seen more often than it must be."""

REFRESH_SECONDS: Final = 300.0
"""Age of a job's counters that are worth a call."""

USAGE_SECONDS: Final = 300.0
"""Pause between two reads of the org's allowances, for those who wait for API calls to spare."""

LENGTH_KEPT_SECONDS: Final = 6 * 60 * 60.0
"""How long the length of the list is believed, and for how long one that is refused is not asked for again."""

PAGE_FAILURES: Final = 3
"""Failures in a row of one page of the list, after which jobs are read by themselves for a while."""

POLL_JITTER: Final = 0.05

TROUBLE_SECONDS: Final = 5.0
"""First pause of all polls after an error that may pass; it doubles with each."""

CALL_SECONDS: Final = 20.0
"""Longest time of one poll: all wait for it."""

LAST_LOOK_SECONDS: Final = 30.0
"""How long a wait whose deadline has passed may still go on for its first look."""

BROKEN_SECONDS: Final = 5.0
"""First pause after a mistake of this package's, so that it does not repeat itself without one."""
