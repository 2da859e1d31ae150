"""What an error of the client means for a task: what to do in Airflow, and whether a retry can help.

The client speaks of Salesforce and of files only; what to do in Airflow is added here, from one table.

A wrong password five times locks a user out, and refused SOQL is refused again: errors that a retry would only repeat are
Airflow's ``AirflowFailException`` too, which no retry follows. They keep their own class, message and traceback, and the
ledger keeps what it has: a person who has put the cause right clears the task, and it goes on where it was. Which errors
these are: ``client/replies/error_table.is_lasting``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final, ParamSpec, TypeVar

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_sfbulk.client.errors import Remedy, SfBulkError
from airflow_provider_sfbulk.client.replies.error_table import is_lasting
from airflow_provider_sfbulk.client.replies.safe_text import fit

P = ParamSpec("P")
R = TypeVar("R")

ADVICE: Final[Mapping[Remedy, str]] = {
    Remedy.GO_ON: "A retry, or clearing the task, goes on with what is done.",
    Remedy.BEGIN_ANEW: "Clear the task to begin anew.",
    Remedy.FORGET_LOAD: (
        "Check it in the org; to load everything anew, delete the task's entries (sfbulk.…) from its state store."
    ),
    Remedy.KEEP_PARTS: "With staging_path the parts of a load are kept until it is done.",
    Remedy.ACCEPT_COLUMNS: (
        "To take them over, clear the task with on_schema_change='accept' (or, for Parquet, 'widen'), or write to another "
        "folder."
    ),
    Remedy.WRITE_FILES: "Set output_path, or raise max_xcom_records.",
}


def advise(error: SfBulkError) -> None:
    """Add to an error's message what helps in Airflow, once."""
    if error.remedy is not None:
        error.args = (fit(f"{str(error).removesuffix('.')}. {ADVICE[error.remedy]}"),)
        error.remedy = None


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
