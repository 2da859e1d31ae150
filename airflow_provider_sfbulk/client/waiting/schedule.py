"""Every pause and every budget of polling, in one place.

==========================================  =========================================================================
who waits                                   for how long
==========================================  =========================================================================
a client, between two polls of its jobs     :class:`Schedule`; after a failed poll :func:`next_pause`
a task, before it defers                    ``FIRST_POLLS``, then in its own process ``TASK_GROWTH``
a task or a triggerer, at most              ``POLL_INTERVAL_SECONDS`` (the default of ``poll_interval``)
all triggers of one org together            ``BUDGET_CALLS`` in ``WINDOW_SECONDS``; what spends them: ``polls.py``
any wait, while every poll fails            ``BLIND_SECONDS``, ``REFUSALS``, ``LIMIT_PAUSE_SECONDS``
==========================================  =========================================================================

Two are elsewhere, beside the facts they follow from: the pauses between the tries of one call
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
    """The pauses between two polls.

    :param first: seconds before the second poll, and the shortest pause; or a timedelta
    :param growth: each pause is this share of the wait's age
    :param longest: seconds of the longest pause; or a timedelta
    :raises SourceError: one is not a length of time
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
        """Return the seconds to pause when the wait is ``age`` seconds old."""
        return min(self.longest, max(self.first, age * self.growth))


DEFAULT_SCHEDULE: Final = Schedule()

JITTER: Final = 0.1
"""Share of a pause that is taken off at random, so that many waits do not run in step."""

LIMIT_PAUSE_SECONDS: Final = 15 * 60.0
"""Pause after the day's API calls are used up: more frequent polls would only take calls from others."""

BLIND_SECONDS: Final = 24 * 60 * 60.0
"""A wait without a timeout gives up after this time without a successful poll: by then even used-up limits of the rolling
24 hours are back."""

REFUSALS: Final = 6
"""Refused polls in a row, each after a longer pause, before the wait ends with the refusal."""

POLL_TRIES: Final = 5
"""The same where the job is read once and not waited for."""

UNCHANGED_AT_ONCE: Final = 3
"""Number of unchanged jobs that ends a poll."""


def next_pause(schedule: Schedule, age: float, trouble: SfBulkError | None, troubles: int) -> float:
    """Return the seconds until the next poll.

    :param age: of the wait, in seconds
    :param trouble: the error of the last poll
    :param troubles: polls that failed in a row
    """
    pause = schedule.pause(age)
    if trouble is None:
        return pause
    if isinstance(trouble, RequestLimitError) and trouble.daily:
        return max(pause, LIMIT_PAUSE_SECONDS)
    return min(max(pause * 2.0 ** min(troubles, 10), retry_after_of(trouble)), max(schedule.longest, 120.0))


# --- a task ---

POLL_INTERVAL_SECONDS: Final = 30.0
"""Longest time between two polls, unless the user sets another: the default of ``poll_interval``."""

FIRST_POLLS: Final = (1.0, 1.5, 2.5)
"""Pauses in seconds before the polls that a task makes itself before it defers: a job of a few seconds ends here and the
task never defers. Many jobs are polled once, at the end of this time."""

TASK_GROWTH: Final = 0.5
"""Growth of the pauses of a task that does not defer."""

# --- all triggers of one org, see ``polls.py`` ---

BUDGET_CALLS: Final = 12
WINDOW_SECONDS: Final = 60.0

DUE_CALLS: Final = 10
"""Due polls get no more than this, so that the rest is left for new jobs, even when too many wait."""

LOOK_CALLS: Final = 4
"""Checks for changes: twenty objects a minute. With more, each object is checked less often than it asks for."""

EARLY_CALLS: Final = 4
"""So that three pages can be read every 20 s, whatever was spent on young jobs before."""

TOGETHER_SECONDS: Final = 1.0
"""How long a first poll waits for others that begin at the same time."""

CALM_SECONDS: Final = 2.0
"""How long no job must have joined before the list is read for those that have. A triggerer takes the waits of a lost one
over 50 at a time, and a list for each fifty would soon use up ``EARLY_CALLS``."""

FEW_JOBS: Final = 3
"""Up to this many jobs are read one by one: it costs little more than a list, and returns their counters."""

FIRST_PAUSE_SECONDS: Final = 10.0
GROWTH: Final = 2.0
"""Each pause is this share of the job's age: a job of 60 s is read three times in the triggerer, by default."""

RECORDS_PER_SECOND: Final = 10_000
"""A job that has processed this many records is polled at most once a second, and so on: a large job cannot end
sooner."""

MARGIN: Final = 5 / 6
"""Planned share of the longest pause; the rest is for the calls themselves."""

SHARED_MARGIN: Final = 2 / 3
"""The same where jobs share a list: many events at once take longer to reach the tasks, and a poll costs each job
little."""

SHORTEST_PERIOD_SECONDS: Final = 10.0
"""No job is polled more often than necessary."""

REFRESH_SECONDS: Final = 300.0
"""Age at which a job's counters are worth a call."""

USAGE_SECONDS: Final = 300.0
"""Pause between two reads of the org's limits, for tasks that wait for spare API calls."""

LENGTH_KEPT_SECONDS: Final = 6 * 60 * 60.0
"""How long the length of the list stays valid, and how long a refused list is not requested again."""

PAGE_FAILURES: Final = 3
"""Failures in a row of one page of the list after which jobs are read one by one for a while."""

POLL_JITTER: Final = 0.05

TROUBLE_SECONDS: Final = 5.0
"""First pause of all polls after a transient error; it doubles with each."""

CALL_SECONDS: Final = 20.0
"""Longest time of one poll: all waits depend on it."""

REREAD_SECONDS: Final = 300.0
"""How long a connection counts as read: somebody may have edited it."""

FRESH_SECONDS: Final = 10.0
"""The same when a call is refused. Many may be refused at once."""

LAST_LOOK_SECONDS: Final = 30.0
"""How long a wait whose deadline has passed may still go on for its first look."""

BROKEN_SECONDS: Final = 5.0
"""First pause after a mistake of this package's, so that it does not repeat itself without one."""
