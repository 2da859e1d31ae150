"""What the org has used of its allocations in the last 24 hours of its own time, and the ``/limits`` answer."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.clock import Clock

_DAY: Final = timedelta(hours=24)


class Allocation:
    """So many of something in a rolling 24 hours.

    :ivar maximum: how many; may be changed at any time
    """

    def __init__(self, clock: Clock, maximum: int) -> None:
        self.maximum = maximum
        self._clock = clock
        self._taken: deque[list[Any]] = deque()
        """Minute and number taken in it, oldest first."""
        self._total = 0

    @property
    def used(self) -> int:
        """How many were taken in the last 24 hours."""
        oldest = self._clock.now() - _DAY
        while self._taken and self._taken[0][0] < oldest:
            self._total -= self._taken.popleft()[1]
        return self._total

    @property
    def remaining(self) -> int:
        """How many are left, never below 0."""
        return max(0, self.maximum - self.used)

    def reset(self, maximum: int) -> None:
        """Forget what was taken."""
        self.maximum = maximum
        self._taken.clear()
        self._total = 0

    def take(self, count: int = 1) -> bool:
        """Take some; return whether there were as many left. They are counted either way."""
        enough = self.used + count <= self.maximum
        minute: datetime = self._clock.now().replace(second=0, microsecond=0)
        if not self._taken or self._taken[-1][0] != minute:
            self._taken.append([minute, 0])
        self._taken[-1][1] += count
        self._total += count
        return enough


class Usage:
    """All allocations of the org.

    :ivar app: name and quota of the connected app, for orgs that have quotas by app; the header then reports it too
    :ivar refuse_calls: whether calls beyond the day's allocation are refused. Off unless a test asks: "Salesforce
        lets orgs go somewhat over before refusing", and a local org that is left running should go on.
    """

    def __init__(self, clock: Clock) -> None:
        self.api_requests = Allocation(clock, limits.API_REQUESTS_PER_DAY)
        self.batches = Allocation(clock, limits.BATCHES_PER_DAY)
        self.query_jobs = Allocation(clock, limits.QUERY_JOBS_PER_DAY)
        self.refuse_calls = False
        self.app: tuple[str, int] | None = None

    def reset(self) -> None:
        """Forget what was used, and let the allocations be those of a new org."""
        for allocation, maximum in (
            (self.api_requests, limits.API_REQUESTS_PER_DAY),
            (self.batches, limits.BATCHES_PER_DAY),
            (self.query_jobs, limits.QUERY_JOBS_PER_DAY),
        ):
            allocation.reset(maximum)
        self.refuse_calls, self.app = False, None

    def take_batch(self) -> bool:
        """Count one batch of 10,000 records; return whether it was still allowed."""
        return self.batches.take()

    @property
    def header(self) -> str:
        """``Sforce-Limit-Info``: used, then allowed."""
        used = self.api_requests.used
        usage = f"api-usage={used}/{self.api_requests.maximum}"
        if self.app is None:
            return usage
        name, maximum = self.app
        return f"{usage}; per-app-api-usage={used}/{maximum}(appName={name})"

    def body(self) -> dict[str, Any]:
        """Return the ``/limits`` answer, nested entries included."""
        return {
            "ConcurrentAsyncGetReportInstances": _unused(200),
            "DailyApiRequests": _entry(self.api_requests),
            "DailyAsyncApexExecutions": _unused(250_000),
            "DailyBulkApiBatches": _entry(self.batches),
            "DailyBulkV2QueryFileStorageMB": _unused(limits.QUERY_RESULT_MEGABYTES_PER_DAY),
            "DailyBulkV2QueryJobs": _entry(self.query_jobs),
            "DataStorageMB": _unused(5),
            "FileStorageMB": _unused(20),
            "PermissionSets": {**_unused(1_500), "CreateCustom": _unused(1_000)},
        }


def _entry(allocation: Allocation) -> dict[str, int]:
    return {"Max": allocation.maximum, "Remaining": allocation.remaining}


def _unused(maximum: int) -> dict[str, int]:
    """Return an entry of something that a local org never uses up; maxima as in a captured Developer Edition org."""
    return {"Max": maximum, "Remaining": maximum}
