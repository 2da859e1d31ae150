"""Retries of API calls: which are repeated, how often, and after which pauses.

A policy has the number of tries, the total time, and the errors to retry. Which policy applies depends on the call:

============  ======================================================  ==============================================
policy        for                                                     repeats on
============  ======================================================  ==============================================
``SAFE``      calls that change nothing, deletes, aborts              anything that may pass
``DOWNLOAD``  result files and pages, which start from their          anything that may pass
              beginning again
``CREATE``    creating a job: what a lost reply leaves behind is an   anything that may pass
              empty ``Open`` job, or a query job that runs unused
``ONCE``      uploads and closes                                      no connection was made, so nothing was sent
============  ======================================================  ==============================================

The daily limit does not come back after a short wait, and a login has its own tries (they must stay few): neither is
repeated here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from airflow_provider_sfbulk.client.effects import Flow, Now, Sleep
from airflow_provider_sfbulk.client.errors import (
    RequestLimitError,
    ServerBusyError,
    SfBulkError,
    TransientError,
    TransportError,
)
from airflow_provider_sfbulk.client.replies.error_table import LOGIN_PATHS

T = TypeVar("T")

FIRST_DELAY_SECONDS: Final = 1.0
LONGEST_DELAY_SECONDS: Final = 120.0
"""Longest single wait, even when a reply asks for more."""


def may_pass(error: SfBulkError) -> bool:
    """Whether the same call may work soon."""
    if isinstance(error, RequestLimitError) and error.daily:
        return False
    return isinstance(error, TransientError) and not (error.path or "").startswith(LOGIN_PATHS)


def was_not_sent(error: SfBulkError) -> bool:
    """Whether Salesforce cannot have seen the request."""
    return isinstance(error, TransportError) and not error.sent


@dataclass(frozen=True)
class Policy:
    """When to try again.

    :param tries: tries in all
    :param seconds: no try begins later than this after the first
    :param repeats: whether an error is worth another try
    """

    tries: int
    seconds: float
    repeats: Callable[[SfBulkError], bool] = may_pass


SAFE: Final = Policy(tries=8, seconds=10 * 60)
DOWNLOAD: Final = Policy(tries=5, seconds=2 * 60 * 60)
CREATE: Final = Policy(tries=5, seconds=10 * 60)
ONCE: Final = Policy(tries=5, seconds=5 * 60, repeats=was_not_sent)


def repeat(attempt: Callable[[], Flow[T]], policy: Policy = SAFE) -> Flow[T]:
    """Run the flow that ``attempt`` makes, and repeat it as ``policy`` says.

    Between tries: full-jitter exponential back-off, or what the reply's ``Retry-After`` asks for if that is longer.

    :raises SfBulkError: the last try's error
    """
    start: float = yield Now()
    for number in range(1, policy.tries + 1):
        try:
            return (yield from attempt())
        except SfBulkError as error:
            if number == policy.tries or not policy.repeats(error):
                raise
            asked = min(retry_after_of(error), LONGEST_DELAY_SECONDS)
            now: float = yield Now()
            if now - start + asked > policy.seconds:
                raise
        delay = min(FIRST_DELAY_SECONDS * 2.0 ** (number - 1), LONGEST_DELAY_SECONDS)
        yield Sleep(asked) if asked > delay else Sleep(delay, jitter=1.0)
    raise AssertionError("unreachable: the last try returned or raised")


def retry_after_of(error: SfBulkError) -> float:
    """Return the seconds that the reply behind ``error`` asked to wait; 0 if it did not."""
    return (error.retry_after or 0.0) if isinstance(error, ServerBusyError) else 0.0
