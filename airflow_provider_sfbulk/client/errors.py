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
    ├── LedgerError               the durable record of a load or a query
    │   ├── FencedError           a newer try has taken over: send nothing more
    │   └── InputChangedError     input or parameters are not those of the load that was begun
    ├── StorageError              a disk is full, object storage does not answer, a file has vanished
    ├── ProtocolError             Salesforce's reply breaks its own rules: report it
    ├── StoppedError              somebody stopped the client
    └── SourceError               fix the input or the arguments (also a ValueError)
        ├── MissingSourceError    the input is not there, or not now
        └── EmptyInputError       there is no record in the input

A message says which call or step failed, on what, what came back and what to do next. It never contains a token, a
password, a key or a record's contents; invisible characters are shown, and it has at most
``safe_text.MESSAGE_CHARACTERS``. All errors survive pickling: the keyword arguments are optional and live in
``__dict__``. ``error_table`` says which errors pass by themselves.

The client does not know Airflow. Where the next step depends on its user, an error carries a :class:`Remedy`, and the
operators say what it means for a task (``task/failures.py``).
"""

from __future__ import annotations

from enum import StrEnum, auto
from typing import Any

from airflow_provider_sfbulk.client.replies.safe_text import fit


class Remedy(StrEnum):
    """What helps after an error; the client's user knows how to say it."""

    GO_ON = auto()
    """Start the same load or query again with the same ledger: it continues with what is done."""
    BEGIN_ANEW = auto()
    """Start the query again with an empty ledger."""
    FORGET_LOAD = auto()
    """Check the org, and then start the load again with an empty ledger."""
    KEEP_PARTS = auto()
    """Keep the parts of a load until it is done."""
    ACCEPT_COLUMNS = auto()
    """Allow the columns to change."""
    WRITE_FILES = auto()
    """Write the rows to files."""


class SfBulkError(Exception):
    """Base class of all errors of this package.

    :param message: for people
    :param error_code: Salesforce's code (``INVALIDJOB``, ``invalid_grant``, …), if it gave one
    :param status: HTTP status of the reply, if there was one
    :param method: HTTP method of the call
    :param path: path of the call, without host and query
    :param job_id: the job concerned
    :param remedy: what helps, if the message does not say so
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

    ``sent`` says whether the request may have reached Salesforce: False only when the connection was never made. The effect
    of a request that may have been sent is unknown.
    """

    sent: bool = True


class ServerBusyError(TransientError):
    """Salesforce cannot answer now: 5xx, 420, 429, 406, or one of the codes that pass by themselves."""

    retry_after: float | None = None
    """Seconds that the reply asked to wait, if any."""


class RequestLimitError(TransientError):
    """A limit is reached: API calls (``REQUEST_LIMIT_EXCEEDED``, of the day or too many at once), query jobs or results of
    the day (``LIMIT_EXCEEDED``, ``EXCEEDEDQUOTA``)."""

    daily: bool = False
    """Whether it is a limit of the rolling 24 hours, which no short wait resets."""


class LoginError(SfBulkError):
    """Salesforce refused the login, or the connection lacks what its login method needs."""


class RequestRefusedError(SfBulkError):
    """Salesforce understood the request and refused it; repeating it unchanged cannot help."""


class NotFoundError(RequestRefusedError):
    """404: no such job (jobs are deleted seven days after they end), object or API version."""


class JobError(SfBulkError):
    """A job did not end as wanted."""


class JobFailedError(JobError):
    """The job ended ``Failed`` or ``Aborted``. Records that were committed before stay committed.

    When several jobs were waited for, ``jobs`` has those that did.
    """

    jobs: tuple[Any, ...] = ()


class JobTimeoutError(JobError, TimeoutError):
    """The wait ended before the job did. The job continues at Salesforce."""


class FailedRecordsError(JobError):
    """More records failed than the caller allows."""


class LedgerError(SfBulkError):
    """The durable record of a load or a query could not be read, written or reconciled."""


class FencedError(LedgerError):
    """A newer try of the same load has taken over, or may have: this one must send nothing more."""


class InputChangedError(LedgerError):
    """The input or the parameters are not those with which the unfinished load was begun."""


class StorageError(SfBulkError):
    """A disk is full, object storage does not answer, a file has vanished. Nothing half-written is visible, and the same
    may work later. Not an ``OSError``, which HTTP libraries would take for an error of the network."""


class ProtocolError(SfBulkError):
    """A reply that contradicts Salesforce's own documentation."""


class StoppedError(SfBulkError):
    """The client was stopped (``stop``): nothing more is sent."""


class SourceError(SfBulkError, ValueError):
    """The input or an argument is wrong; nothing was sent."""


class MissingSourceError(SourceError):
    """The input is missing or unavailable; it may come later."""


class EmptyInputError(SourceError):
    """The input is valid but has no record, so there is nothing to load."""
