"""What may become of an operator's load or extract: the one place that says it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import (
    FailedRecordsError,
    InputChangedError,
    JobFailedError,
    NotFoundError,
    RequestRefusedError,
    SfBulkError,
    StorageError,
)

ROUNDS: Final = True
"""Whether a load sends again what failed for a passing reason, and what a Failed or Aborted job left unprocessed."""

FOLDER_IS_GUARDED: Final = False
"""Whether a replaced try that wakes up leaves the folder of its successor alone. Without a create-only write in all
kinds of storage it cannot be ruled out: rows in the org are never touched by it, the manifest and its files are."""

CLEAR_ALWAYS_RESTARTS: Final = True
"""Whether a query starts over after a clear also when the first try after it has died before it could note so."""

ROUNDS_OF_A_TRY: Final = 4
"""The input, and ``max_record_retries``."""

CALLS_OF_A_CLEAN_TRY: Final = 5
"""Besides those of its parts and its looks: describe, result files."""


@dataclass(frozen=True)
class Facts:
    """What happened in the org before a try that met no fault.

    :param is_deleted: Salesforce has deleted a job
    :param is_ended: a job of the task was ended by Salesforce, or aborted for a person
    :param is_doubled: the network has sent an upload twice
    :param unsaved: rows that Salesforce has refused and will refuse again
    :param allowed: ``max_failed_records``
    :param is_unreadable: the source is out of reach, and rows of it have to be read again
    """

    is_deleted: bool
    is_ended: bool
    is_doubled: bool
    unsaved: Counter[str]
    allowed: int | None
    is_unreadable: bool = False


def is_justified(error: BaseException, facts: Facts) -> bool:
    """Whether a try without faults may end in this error."""
    if isinstance(error, NotFoundError):
        return facts.is_deleted
    if isinstance(error, StorageError | InputChangedError):
        return facts.is_unreadable
    if isinstance(error, JobFailedError):
        # A job whose upload the network has doubled is aborted, and its rows go again in the next try.
        return facts.is_doubled and "ended Aborted" in str(error)
    if isinstance(error, RequestRefusedError):
        return not ROUNDS and error.error_code == "INVALIDJOB" and facts.is_doubled
    if isinstance(error, FailedRecordsError):
        return facts.allowed is not None and facts.unsaved.total() > facts.allowed
    return False


def is_named(error: BaseException) -> bool:
    """Whether this package raises it on purpose."""
    return isinstance(error, SfBulkError)


def arguments(rng: Random, *, is_staged: bool) -> dict[str, Any]:
    """Give the arguments of the ingest operator that say what is sent again, and how it is found."""
    if not ROUNDS:
        return {}
    return {
        "key_columns": rng.choice((None, ["Key__c"])),
        "sort_by": rng.choice((None, "Key__c")),
        "staging_path": "memory://staging" if is_staged else None,
    }
