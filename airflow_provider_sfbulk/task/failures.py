"""What an error of the client means for a task: what to do in Airflow, and whether a retry can help.

The client knows only Salesforce and files; advice about Airflow is added here, from one table.

Five wrong passwords lock a user out, and refused SOQL is refused again. So an error that a retry would only repeat is
also an ``AirflowFailException``, which Airflow does not retry. It keeps its own class, message and traceback, and the
ledger is unchanged: after somebody has fixed the cause and cleared the task, it continues where it was. For these errors
see ``client/replies/error_table.is_lasting``.
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
    Remedy.GO_ON: "A retry, or clearing the task, continues after the part that is done.",
    Remedy.BEGIN_ANEW: "Clear the task to start over.",
    Remedy.FORGET_LOAD: (
        "Check it in the org; to load everything again, delete the task's entries (sfbulk.…) from its state store."
    ),
    Remedy.KEEP_PARTS: "With staging_path, the parts of a load are kept until the load is done.",
    Remedy.ACCEPT_COLUMNS: (
        "To accept them, clear the task with on_schema_change='accept' (or, for Parquet, 'widen'), or write to another "
        "folder."
    ),
    Remedy.WRITE_FILES: "Set output_path, or raise max_xcom_records.",
}


def advise(error: SfBulkError) -> None:
    """Add advice about Airflow to an error's message, once."""
    if error.remedy is not None:
        error.args = (fit(f"{str(error).removesuffix('.')}. {ADVICE[error.remedy]}"),)
        error.remedy = None


def fails_for_good(method: Callable[P, R]) -> Callable[P, R]:
    """Make a task method's errors say what to do in Airflow, and its lasting errors end the task without retries."""

    @functools.wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except SfBulkError as error:
            advise(error)
            if not is_lasting(error) or isinstance(error, AirflowFailException):
                raise
            lasting = _without_retry(error)
        raise lasting

    return wrapped


def _without_retry(error: SfBulkError) -> SfBulkError:
    """Return the same error as one that is not retried."""
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
    """Make a subclass of an error's class that is not retried. It is shown, and pickled, as the class itself."""

    def reduced(self: SfBulkError) -> Any:
        return kind, self.args, vars(self)

    made: type[SfBulkError] = type(
        kind.__name__, (kind, AirflowFailException), {"__module__": kind.__module__, "__reduce__": reduced}
    )
    return made
