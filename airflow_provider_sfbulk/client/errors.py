"""Everything that can go wrong, grouped by what the caller can do about it.

::

    SfBulkError
    ├── TransientError            try later
    │   ├── TransportError        no reply, or only a part of one
    │   ├── ServerBusyError       5xx, 420, 429 and their like, after the retries
    │   └── RequestLimitError     the org's API calls are used up
    ├── LoginError                fix the login
    ├── RequestRefusedError       change the request
    │   └── NotFoundError         404: no such job, object or version
    ├── JobError                  look at the job
    │   ├── JobFailedError        it ended Failed or Aborted
    │   ├── JobTimeoutError       the wait ended; the job goes on (also a TimeoutError)
    │   └── FailedRecordsError    more records failed than allowed
    ├── LedgerError               what is durably recorded of a load or a query
    │   ├── FencedError           a newer try has taken over: send nothing more
    │   └── InputChangedError     input or parameters are not those of the load that was begun
    ├── StorageError              a disk is full, object storage does not answer, a file has vanished
    ├── ProtocolError             Salesforce's reply breaks its own rules: report it
    ├── StoppedError              somebody stopped the client
    └── SourceError               fix the input or the arguments (also a ValueError)
        ├── MissingSourceError    the input is not there, or not now
        └── EmptyInputError       there is no record in the input

A message says what was tried, on what, what came back and what to do next. It never carries a token, a password, a key
or a record's contents; what cannot be seen is shown, and it has ``safe_text.MESSAGE_CHARACTERS`` at most. All of them
survive pickling: the keyword facts are optional and live in ``__dict__``. What passes by itself and what does not:
``error_table``.

This client knows no Airflow. Where the next step depends on who uses it, an error carries a :class:`Remedy`, and the
operators say what that is for a task (``task/failures.py``).
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Any

from airflow_provider_sfbulk.client.replies.safe_text import fit


class Remedy(StrEnum):
    """What helps after an error, where the words for it are the user's."""

    GO_ON = auto()
    """Begin the same load or query again with the same ledger: it goes on with what is done."""
    BEGIN_ANEW = auto()
    """Begin the query again with an empty ledger."""
    FORGET_LOAD = auto()
    """Look at the org, and then begin the load again with an empty ledger."""
    KEEP_PARTS = auto()
    """Keep the parts of a load until it is done."""
    ACCEPT_COLUMNS = auto()
    """Say that the columns may change."""
    WRITE_FILES = auto()
    """Write the rows into files."""


class SfBulkError(Exception):
    """Anything this package raises on purpose.

    :param message: for people
    :param error_code: Salesforce's code (``INVALIDJOB``, ``invalid_grant``, …), if it gave one
    :param status: HTTP status of the reply, if there was one
    :param method: HTTP method of the call
    :param path: path of the call, without host and query
    :param job_id: the job concerned
    :param remedy: what helps, if the message does not say it
    """

    remedy: Remedy | None = None

    def __init__(
        self,
        message: str,
        *,
        error_code: str | None = None,
        status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        job_id: str | None = None,
        remedy: Remedy | None = None,
    ) -> None:
        super().__init__(fit(message))
        self.error_code = error_code
        self.status = status
        self.method = method
        self.path = path
        self.job_id = job_id
        self.remedy = remedy


class TransientError(SfBulkError):
    """Nothing is wrong with the request: the same may work later."""


class TransportError(TransientError):
    """No reply, or only a part of one.

    ``sent`` says whether the request may have reached Salesforce: False only when the connection was never made.
    After a request that may have been sent nothing is known about its effect.
    """

    sent: bool = True


class ServerBusyError(TransientError):
    """Salesforce answered that it cannot now: 5xx, 420, 429, 406, or one of the codes that pass by themselves."""

    retry_after: float | None = None
    """Seconds that the reply asked to wait, if it did."""


class RequestLimitError(TransientError):
    """An allowance is used up: API calls (``REQUEST_LIMIT_EXCEEDED``, of the day or too many at once), query jobs or
    results of the day (``LIMIT_EXCEEDED``, ``EXCEEDEDQUOTA``)."""

    daily: bool = False
    """Whether it is the allowance of the rolling 24 hours, which no short wait brings back."""


class LoginError(SfBulkError):
    """Salesforce refused the login, or the connection lacks what its way of login needs."""


class RequestRefusedError(SfBulkError):
    """Salesforce understood the request and refused it; repeating it unchanged cannot help."""


class NotFoundError(RequestRefusedError):
    """404: no such job (jobs are deleted seven days after they end), object or API version."""


class JobError(SfBulkError):
    """A job did not end as wanted."""


class JobFailedError(JobError):
    """The job ended ``Failed`` or ``Aborted``. Records that were committed before stay committed.

    ``jobs`` are the jobs that did, when several were waited for.
    """

    jobs: tuple[Any, ...] = ()


class JobTimeoutError(JobError, TimeoutError):
    """The wait ended before the job did. The job goes on at Salesforce."""


class FailedRecordsError(JobError):
    """More records failed than the caller allows."""


class LedgerError(SfBulkError):
    """What is durably recorded of a load or a query could not be read, written or reconciled."""


class FencedError(LedgerError):
    """A newer try of the same load has taken over, or may have: this one must not send anything more."""


class InputChangedError(LedgerError):
    """The input or the parameters are not those with which the unfinished load was begun."""


class StorageError(SfBulkError):
    """A disk is full, object storage does not answer, a file has vanished. Nothing half-written is shown, and the same may
    work later. No ``OSError``: HTTP libraries would take that for the network's."""


class ProtocolError(SfBulkError):
    """A reply that Salesforce's own documentation excludes."""


class StoppedError(SfBulkError):
    """The client was stopped (``stop``): nothing more is sent."""


class SourceError(SfBulkError, ValueError):
    """The input or an argument is wrong; nothing was sent."""


class MissingSourceError(SourceError):
    """The input is not there, or what holds it does not give it: it may come later."""


class EmptyInputError(SourceError):
    """The input is right and has no record, so that there is nothing to load."""
