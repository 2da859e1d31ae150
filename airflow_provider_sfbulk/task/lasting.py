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
            if not is_lasting(error) or isinstance(error, AirflowFailException):
                raise
            lasting = _without_retry(error)
        raise lasting

    return wrapped


def _without_retry(error: SfBulkError) -> SfBulkError:
    """Give an error again as one that no retry follows."""
    own: Any = type(error)
    kind = _lasting_kind(own)
    lasting = kind.__new__(kind, *error.args)
    lasting.args = error.args
    vars(lasting).update(vars(error))
    lasting.__cause__, lasting.__context__ = error.__cause__, error.__context__
    lasting.__suppress_context__ = error.__suppress_context__
    return lasting.with_traceback(error.__traceback__)


@functools.cache
def _lasting_kind(kind: Any) -> type[SfBulkError]:
    """Make the class of errors of a kind that no retry follows. It is shown, and pickled, as the kind itself."""

    def reduced(self: SfBulkError) -> Any:
        return kind, self.args, vars(self)

    made: type[SfBulkError] = type(
        kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__, "__reduce__": reduced}
    )
    return made
