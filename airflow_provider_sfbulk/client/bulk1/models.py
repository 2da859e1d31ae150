"""The typed model of Bulk API 1.0: jobs, batches, and what became of one record.

Enum values are spelled as on the wire. In XML every value is text, JSON has numbers, booleans and nulls; the same tables
read both. Source: Bulk API guide, "JobInfo" and "BatchInfo"; bodies recorded by other clients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self, TypeVar

from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.models import (
    MOST,
    BulkError,
    ConcurrencyMode,
    as_message,
    as_text,
    as_time,
    as_version,
    check_counters,
    check_id,
    known_values,
)

I = TypeVar("I", bound="_Info")  # noqa: E741 - a type


class ContentType(StrEnum):
    """The format of a job's batches. Case matters to Salesforce."""

    CSV = "CSV"
    XML = "XML"
    JSON = "JSON"
    ZIP_CSV = "ZIP_CSV"
    ZIP_XML = "ZIP_XML"
    ZIP_JSON = "ZIP_JSON"

    @property
    def media_type(self) -> str:
        """``Content-Type`` of a batch."""
        return _MEDIA_TYPES[self]

    @property
    def rows(self) -> ContentType:
        """The format of the results: for a ZIP, that of its contents."""
        return ContentType(self.removeprefix("ZIP_"))

    @property
    def is_zip(self) -> bool:
        """Whether batches are archives with attachments."""
        return self.startswith("ZIP_")


_MEDIA_TYPES: Final[Mapping[ContentType, str]] = {
    ContentType.CSV: "text/csv; charset=UTF-8",
    ContentType.XML: "application/xml; charset=UTF-8",
    ContentType.JSON: "application/json; charset=UTF-8",
    ContentType.ZIP_CSV: "zip/csv",
    ContentType.ZIP_XML: "zip/xml",
    ContentType.ZIP_JSON: "zip/json",
}


class Bulk1JobState(StrEnum):
    """State of a job. It says whether batches may be added, not whether they have ended: ``Closed`` does not mean done."""

    OPEN = "Open"
    CLOSED = "Closed"
    ABORTED = "Aborted"
    FAILED = "Failed"
    UPLOAD_COMPLETE = "UploadComplete"
    """In Salesforce's own enumeration (wsc); used by Bulk API 2.0 only."""
    IN_PROGRESS = "InProgress"
    """Likewise."""


class BatchState(StrEnum):
    """State of a batch. ``NotProcessed``: its job was aborted, or PK chunking replaced it with others."""

    QUEUED = "Queued"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    NOT_PROCESSED = "NotProcessed"

    @property
    def is_final(self) -> bool:
        """Whether the batch will not change any more."""
        return self not in (BatchState.QUEUED, BatchState.IN_PROGRESS)

    @classmethod
    def read(cls, text: str) -> BatchState:
        """Read a state. The last one also occurs as ``Not Processed`` and ``NOT_PROCESSED``.

        :raises ValueError: there is no such state
        """
        if text.replace(" ", "").replace("_", "").casefold() == cls.NOT_PROCESSED.casefold():
            return cls.NOT_PROCESSED
        return cls(text)


@dataclass(frozen=True, kw_only=True)
class _Info:
    """What job and batch infos have in common."""

    id: str
    created_date: datetime | None = None
    system_modstamp: datetime | None = None
    number_records_processed: int = 0
    """Records tried so far, the failed ones included."""
    number_records_failed: int = 0
    total_processing_time: int = 0
    """Milliseconds."""
    api_active_processing_time: int = 0
    """Milliseconds."""
    apex_processing_time: int = 0
    """Milliseconds."""

    @property
    def processed(self) -> int:
        """Records tried, the failed ones included."""
        return self.number_records_processed

    @property
    def failed(self) -> int:
        """Records that failed."""
        return self.number_records_failed

    @property
    def successful(self) -> int:
        """Records that were saved."""
        return self.processed - self.failed

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without what Salesforce did not say."""
        return known_values(self)


@dataclass(frozen=True, kw_only=True)
class Bulk1Job(_Info):
    """What Salesforce says about one job. Its counters lag behind the batches: these decide."""

    state: Bulk1JobState
    operation: str
    object: str | None = None
    content_type: ContentType = ContentType.XML
    concurrency_mode: ConcurrencyMode | None = None
    created_by_id: str | None = None
    external_id_field_name: str | None = None
    assignment_rule_id: str | None = None
    api_version: str | None = None
    number_batches_queued: int = 0
    number_batches_in_progress: int = 0
    number_batches_completed: int = 0
    number_batches_failed: int = 0
    number_batches_total: int = 0
    number_retries: int = 0

    @property
    def may_grow(self) -> bool:
        """Whether batches can still be added."""
        return self.state is Bulk1JobState.OPEN

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Read a job from a reply's values.

        :raises ProtocolError: when id or state are missing, or a value cannot be read
        """
        job_id = check_id(values.get("id"))
        return _read(cls, values, _JOB_FIELDS, {"id": job_id}, f"job {job_id}")


@dataclass(frozen=True, kw_only=True)
class BatchInfo(_Info):
    """What Salesforce says about one batch."""

    job_id: str
    state: BatchState
    state_message: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether the batch will not change any more."""
        return self.state.is_final

    @property
    def is_successful(self) -> bool:
        """Whether the batch ran and no record of it failed."""
        return self.state is BatchState.COMPLETED and not self.failed

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Read a batch from a reply's values.

        :raises ProtocolError: when an id or the state is missing, or a value cannot be read
        """
        batch_id = check_id(values.get("id"), what="batch id")
        known = {"id": batch_id, "job_id": check_id(values.get("jobId"))}
        batch = _read(cls, values, _BATCH_FIELDS, known, f"batch {batch_id}")
        if batch.state is BatchState.COMPLETED:
            check_counters(f"batch {batch_id}", batch.processed, batch.failed)
        return batch


@dataclass(frozen=True)
class RecordResult:
    """What became of one record. Results come in the order of the request: there are no key columns.

    :param id: of the record; None when it was not saved
    :param created: whether it is new
    :param errors: why it was not saved
    :param processed: False when Salesforce never tried it, its batch having failed as a whole or not run
    """

    id: str | None
    success: bool
    created: bool
    errors: tuple[BulkError, ...] = ()
    processed: bool = True


def _read(
    kind: type[I],
    values: Mapping[str, Any],
    table: Mapping[str, tuple[str, Callable[[Any], Any]]],
    known: Mapping[str, Any],
    what: str,
) -> I:
    made: dict[str, Any] = dict(known)
    for name, (key, read) in table.items():
        raw = values.get(key)
        if raw is not None and raw != "":
            try:
                made[name] = read(raw)
            except (TypeError, ValueError):
                # From None: the text may be anything, secrets included.
                raise ProtocolError(f"{what} has an invalid {key}") from None
    missing = {"state", "operation"} & table.keys() - made.keys()
    if missing:
        raise ProtocolError(f"{what} has no {' and '.join(sorted(missing))}")
    return kind(**made)


def _count(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise TypeError
    if isinstance(raw, str) and not (raw.isascii() and raw.strip().isdigit()):
        raise ValueError
    number = int(raw)  # of too many digits: a ValueError, too
    if not 0 <= number <= MOST:
        raise ValueError
    return number


_COUNTERS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "created_date": ("createdDate", as_time),
    "system_modstamp": ("systemModstamp", as_time),
    "number_records_processed": ("numberRecordsProcessed", _count),
    "number_records_failed": ("numberRecordsFailed", _count),
    "total_processing_time": ("totalProcessingTime", _count),
    "api_active_processing_time": ("apiActiveProcessingTime", _count),
    "apex_processing_time": ("apexProcessingTime", _count),
}
_JOB_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    **_COUNTERS,
    "state": ("state", Bulk1JobState),
    "operation": ("operation", as_text),
    "object": ("object", as_text),
    "content_type": ("contentType", ContentType),
    "concurrency_mode": ("concurrencyMode", ConcurrencyMode),
    "created_by_id": ("createdById", as_text),
    "external_id_field_name": ("externalIdFieldName", as_text),
    "assignment_rule_id": ("assignmentRuleId", as_text),
    "api_version": ("apiVersion", as_version),
    "number_batches_queued": ("numberBatchesQueued", _count),
    "number_batches_in_progress": ("numberBatchesInProgress", _count),
    "number_batches_completed": ("numberBatchesCompleted", _count),
    "number_batches_failed": ("numberBatchesFailed", _count),
    "number_batches_total": ("numberBatchesTotal", _count),
    "number_retries": ("numberRetries", _count),
}
_BATCH_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    **_COUNTERS,
    "state": ("state", BatchState.read),
    "state_message": ("stateMessage", as_message),
}
