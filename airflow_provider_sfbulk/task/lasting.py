"""Refusals that a retry would only repeat end the task at once.

A wrong password five times locks a user out, and refused SOQL is refused again: such errors are Airflow's
``AirflowFailException`` too, which no retry follows. They keep their own class, message and traceback, and the ledger keeps
what it has: a person who has put the cause right clears the task, and it goes on where it was. Which errors these are:
``client/error_table.is_lasting``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.replies.error_table import is_lasting

P = ParamSpec("P")
R = TypeVar("R")


def fails_for_good(method: Callable[P, R]) -> Callable[P, R]:
    """Let a task method's lasting errors end the task without retries."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except SfBulkError as error:
            if is_lasting(error) and not isinstance(error, AirflowFailException):
                kind: Any = type(error)
                error.__class__ = _without_retry(kind)
            raise

    return wrapped


@functools.cache
def _without_retry(kind: Any) -> type[SfBulkError]:
    """Make the class of errors of a kind that no retry follows. It is shown, and pickled, as the kind itself."""

    def reduced(self: SfBulkError) -> Any:
        return kind, self.args, vars(self)

    made: type[SfBulkError] = type(
        kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__, "__reduce__": reduced}
    )
    return made
