"""The typed job model: what Salesforce says about a job, in its own terms.

Enum values are spelled as on the wire. Source of the fields: Bulk API 2.0 guide, "Get Job Info" and "Get Information
About a Query Job".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError
from airflow_provider_sfbulk.client.replies.safe_text import fit

_API_VERSION: Final = re.compile(r"([0-9]{1,3})(?:\.[0-9])?")
RECORDS_HEADER: Final = "sforce-numberofrecords"
MOST: Final = 2**63 - 1
"""Maximum of a counter, of records or milliseconds: Salesforce's own counters are no wider."""

ResultKind: TypeAlias = Literal["successful", "failed", "unprocessed"]
RESULT_KINDS: Final[tuple[ResultKind, ...]] = ("successful", "failed", "unprocessed")
"""What can become of a record of an ingest job."""

COMPOUND_TYPES: Final = frozenset({"address", "location", "complexvalue"})
"""Describe's types of fields that are read and written only by their parts."""
BINARY_TYPE: Final = "base64"
"""Describe's type of fields that Bulk API 2.0 neither reads nor writes."""

_COUNT_DIGITS: Final = 15
_ID: Final = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
_WORD: Final = re.compile(r"[0-9A-Za-z_-]{0,40}")
_LOCATOR: Final = re.compile(r"[0-9A-Za-z+/=_.~-]{1,512}")


class Operation(StrEnum):
    """What an ingest job does to its records. Case matters to Salesforce."""

    INSERT = "insert"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"
    HARD_DELETE = "hardDelete"


class ConcurrencyMode(StrEnum):
    """Whether a job's batches run at the same time or one after the other: serial mode is for loads with lock conflicts."""

    PARALLEL = "Parallel"
    SERIAL = "Serial"


class QueryOperation(StrEnum):
    """``queryAll`` includes deleted (recycle bin) and archived records."""

    QUERY = "query"
    QUERY_ALL = "queryAll"


class JobType(StrEnum):
    """Which half of Bulk API 2.0 a job belongs to; the value is the path segment. Or that it is of Bulk API 1.0."""

    INGEST = "ingest"
    QUERY = "query"
    CLASSIC = "classic"
    """Salesforce calls jobs of Bulk API 1.0 so; no path has it."""


class LineEnding(StrEnum):
    """Line ending of a job's CSV."""

    LF = "LF"
    CRLF = "CRLF"

    @property
    def characters(self) -> str:
        """The line ending itself."""
        return "\n" if self is LineEnding.LF else "\r\n"


class ColumnDelimiter(StrEnum):
    """Column delimiter of a job's CSV."""

    BACKQUOTE = "BACKQUOTE"
    CARET = "CARET"
    COMMA = "COMMA"
    PIPE = "PIPE"
    SEMICOLON = "SEMICOLON"
    TAB = "TAB"

    @property
    def character(self) -> str:
        """The delimiter itself."""
        return _DELIMITERS[self]


_DELIMITERS: Final = {
    ColumnDelimiter.BACKQUOTE: "`",
    ColumnDelimiter.CARET: "^",
    ColumnDelimiter.COMMA: ",",
    ColumnDelimiter.PIPE: "|",
    ColumnDelimiter.SEMICOLON: ";",
    ColumnDelimiter.TAB: "\t",
}


SourceFormat: TypeAlias = Literal["csv", "csv.gz", "csv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"]
"""Format of a file to load, and the end of its name. What follows a dot is the compression."""
SOURCE_FORMATS: Final[tuple[SourceFormat, ...]] = get_args(SourceFormat)


class FileFormat(StrEnum):
    """Format of an output file; the value is also the end of its name."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


class Compression(StrEnum):
    """Compression of an output file. Parquet compresses inside of the file, the others the file as a whole."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    SNAPPY = "snappy"


COMPRESSED_ENDS: Final = {Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}
"""What the name of a file ends with that is compressed as a whole."""


def file_end(file_format: FileFormat, compression: Compression | None) -> str:
    """Return the end of a file's name, such as ``csv.gz``."""
    if file_format is FileFormat.PARQUET or compression is None:
        return str(file_format)
    return f"{file_format}{COMPRESSED_ENDS.get(compression, '')}"


class JobState(StrEnum):
    """State of a job. What may follow what: :data:`TRANSITIONS`."""

    OPEN = "Open"
    UPLOAD_COMPLETE = "UploadComplete"
    IN_PROGRESS = "InProgress"
    JOB_COMPLETE = "JobComplete"
    FAILED = "Failed"
    ABORTED = "Aborted"

    @property
    def is_final(self) -> bool:
        """Whether the job will not change any more."""
        return not TRANSITIONS[self]


TRANSITIONS: Final[Mapping[JobState, frozenset[JobState]]] = {
    JobState.OPEN: frozenset({JobState.UPLOAD_COMPLETE, JobState.ABORTED, JobState.FAILED}),
    JobState.UPLOAD_COMPLETE: frozenset(
        {JobState.IN_PROGRESS, JobState.JOB_COMPLETE, JobState.FAILED, JobState.ABORTED}
    ),
    JobState.IN_PROGRESS: frozenset({JobState.JOB_COMPLETE, JobState.FAILED, JobState.ABORTED}),
    JobState.JOB_COMPLETE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.ABORTED: frozenset(),
}
"""The states that may follow each state. A final state has no successor."""


def check_id(text: object, *, what: str = "job id") -> str:
    """Return ``text`` if it has the form of a Salesforce id: 15 or 18 letters and digits.

    Ids from replies, arguments and stored state are checked here before they are put into a path.

    :raises ProtocolError: it does not
    """
    if isinstance(text, str) and _ID.fullmatch(text):
        return text
    raise ProtocolError(f"not a Salesforce {what}: {_shown(text)}")


def check_locator(text: object) -> str:
    """Return ``text`` if it has the form of a page locator.

    Locators are opaque; those seen are base64 or an id with an offset. Anything that could change a URL is refused.

    :raises ProtocolError: it does not
    """
    if isinstance(text, str) and _LOCATOR.fullmatch(text):
        return text
    raise ProtocolError(f"not a locator: {_shown(text)}")


def check_counters(what: str, processed: int, failed: int) -> None:
    """Check that no more records failed than were tried.

    :param what: owner of the counters, for the message
    :raises ProtocolError: more failed
    """
    if failed > processed:
        raise ProtocolError(f"{what} counts {failed} failed records of {processed} that were tried")


def read_count(text: str) -> int | None:
    """Read a number of records in a header; None when it is not a number, or too long for one."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _COUNT_DIGITS else None


def _shown(text: object) -> str:
    """Quote what may be a misspelt name; describe anything else, which may be a value or a token."""
    if isinstance(text, str):
        return repr(text) if _WORD.fullmatch(text) else f"a text of {len(text)} characters"
    return type(text).__name__


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """What Salesforce says about one job. What it did not say is None.

    Create and close answer with fewer fields than a read: counters and ``job_type`` come only with the latter.
    """

    id: str
    state: JobState
    operation: str
    object: str | None = None
    created_by_id: str | None = None
    created_date: datetime | None = None
    system_modstamp: datetime | None = None
    external_id_field_name: str | None = None
    assignment_rule_id: str | None = None
    concurrency_mode: str | None = None
    content_type: str | None = None
    api_version: str | None = None
    """``"66.0"``. The wire has a number, the reference says string."""
    job_type: str | None = None
    """``V2Ingest``, ``V2Query``, ``BigObjectIngest`` or ``Classic``."""
    content_url: str | None = None
    line_ending: str | None = None
    column_delimiter: str | None = None
    number_records_processed: int | None = None
    """Records tried so far, the failed ones included."""
    number_records_failed: int | None = None
    retries: int | None = None
    total_processing_time: int | None = None
    """Milliseconds."""
    api_active_processing_time: int | None = None
    """Milliseconds."""
    apex_processing_time: int | None = None
    """Milliseconds."""
    error_message: str | None = None
    is_pk_chunking_supported: bool | None = None

    @property
    def is_final(self) -> bool:
        """Whether the job will not change any more."""
        return self.state.is_final

    @property
    def is_successful(self) -> bool:
        """Whether the job ended ``JobComplete`` and no record failed."""
        return self.state is JobState.JOB_COMPLETE and not self.number_records_failed

    @property
    def processed(self) -> int:
        """Records tried, the failed ones included; 0 while unknown."""
        return self.number_records_processed or 0

    @property
    def failed(self) -> int:
        """Records that failed; 0 while unknown."""
        return self.number_records_failed or 0

    @property
    def successful(self) -> int:
        """Records that were saved; 0 while unknown."""
        return self.processed - self.failed

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a job from a reply's JSON.

        Unknown keys are ignored: Salesforce adds some with new versions.

        :raises ProtocolError: when id or state are missing, a value cannot be read, or more records failed than were tried
        """
        if not isinstance(data, Mapping):
            raise ProtocolError(f"a job is a JSON object, not {type(data).__name__}")
        job_id = check_id(data.get("id"))
        try:
            state = JobState(str(data.get("state")))
        except ValueError:
            raise ProtocolError(f"job {job_id} has a state that does not exist: {_shown(data.get('state'))}") from None
        values: dict[str, Any] = {"id": job_id, "state": state, "operation": str(data.get("operation") or "")}
        for name, (key, read) in _JSON_FIELDS.items():
            raw = data.get(key)
            if raw is not None:
                try:
                    values[name] = read(raw)
                except (TypeError, ValueError):
                    raise ProtocolError(f"job {job_id} has an unreadable {key}", job_id=job_id) from None
        job = cls(**values)
        if job.number_records_processed is not None:
            check_counters(f"job {job_id}", job.processed, job.failed)
        return job

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, without what Salesforce did not say. For XCom and trigger events."""
        return known_values(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` returned.

        :raises SourceError: it is something else
        """
        known = {each.name for each in fields(cls)}
        values = dict(data)
        if not {"id", "state", "operation"} <= set(values) <= known:
            raise SourceError("not a job info: fields are missing or unknown")
        try:
            values["state"] = JobState(values["state"])
            for name in _TIMES:
                if name in values:
                    values[name] = datetime.fromisoformat(values[name])
            check_id(values["id"])
            for name, (_, read) in _JSON_FIELDS.items():
                if name in values and name not in _TIMES:
                    values[name] = read(values[name])
            values["operation"] = as_text(values["operation"])
        except (ValueError, TypeError, ProtocolError) as error:
            raise SourceError("not a job info: a value cannot be read") from error
        return cls(**values)


def known_values(info: Any) -> dict[str, Any]:
    """Return what Salesforce said of a job or a batch as plain JSON values.

    :param info: of one of the dataclasses
    """
    values = {each.name: getattr(info, each.name) for each in fields(info)}
    known = {name: value for name, value in values.items() if value is not None} | {"state": str(values["state"])}
    return {name: each.isoformat() if isinstance(each, datetime) else each for name, each in known.items()}


def as_text(raw: object) -> str:
    """Take a value that must be text.

    :raises TypeError: it is not
    """
    if not isinstance(raw, str):
        raise TypeError
    return raw


def as_message(raw: object) -> str:
    """Take a message, shortened to what an error can show.

    :raises TypeError: it is not text
    """
    return fit(as_text(raw))


def _count(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MOST:
        raise TypeError
    return raw


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise TypeError
    return raw


def as_time(raw: object) -> datetime:
    """Read a point in time; without a zone it is UTC. JSON writes ``+0000``, XML ``Z``.

    :raises ValueError: it is not a time
    :raises TypeError: it is not text
    """
    found = datetime.fromisoformat(as_text(raw))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def as_version(raw: object) -> str:
    """Read an API version as ``"66.0"``: a number in every captured JSON body, text in XML and in the reference table.

    :raises ValueError: it is not a version
    :raises TypeError: it is neither text nor a number
    """
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError
    match = _API_VERSION.fullmatch(str(raw).strip())
    if match is None:
        raise ValueError
    return f"{match[1]}.0"


_TIMES: Final = ("created_date", "system_modstamp")
_JSON_FIELDS: Final[Mapping[str, tuple[str, Any]]] = {
    "object": ("object", as_text),
    "created_by_id": ("createdById", as_text),
    "created_date": ("createdDate", as_time),
    "system_modstamp": ("systemModstamp", as_time),
    "external_id_field_name": ("externalIdFieldName", as_text),
    "assignment_rule_id": ("assignmentRuleId", as_text),
    "concurrency_mode": ("concurrencyMode", as_text),
    "content_type": ("contentType", as_text),
    "api_version": ("apiVersion", as_version),
    "job_type": ("jobType", as_text),
    "content_url": ("contentUrl", as_text),
    "line_ending": ("lineEnding", as_text),
    "column_delimiter": ("columnDelimiter", as_text),
    "number_records_processed": ("numberRecordsProcessed", _count),
    "number_records_failed": ("numberRecordsFailed", _count),
    "retries": ("retries", _count),
    "total_processing_time": ("totalProcessingTime", _count),
    "api_active_processing_time": ("apiActiveProcessingTime", _count),
    "apex_processing_time": ("apexProcessingTime", _count),
    "error_message": ("errorMessage", as_message),
    "is_pk_chunking_supported": ("isPkChunkingSupported", _flag),
}


MOST_CODES: Final = 50
"""Maximum number of codes that are counted separately. A load has a few; more are not Salesforce's."""

OTHER_CODE: Final = "OTHER"
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,79}")
"""Salesforce's codes are words like ``UNABLE_TO_LOCK_ROW``."""


def by_code(errors: Mapping[str, int]) -> dict[str, int]:
    """Sum failures by code, the most frequent first; everything that does not look like a code is counted together.

    The text before the first colon of ``sf__Error`` is shown, but it may be anything that the server sends, even a value of
    the record.
    """
    summed: dict[str, int] = {}
    for code, count in sorted(errors.items(), key=lambda item: (-item[1], item[0])):
        known = code if _CODE.fullmatch(code) and len(summed) < MOST_CODES else OTHER_CODE
        summed[known] = summed.get(known, 0) + count
    return dict(sorted(summed.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True)
class BulkError:
    """Why one record failed: the parts of ``sf__Error``.

    :param status_code: Salesforce's code, such as ``REQUIRED_FIELD_MISSING``
    :param message: its text; it may quote the record's values, so it is written to result files but never to a log
    :param fields: names of the fields concerned
    """

    status_code: str
    message: str
    fields: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``CODE:message:field1 field2 --``, or ``CODE:message:--`` with no fields.

        The message may contain colons: the code ends at the first one, the fields begin after the last.
        """
        code, _, rest = text.partition(":")
        body = rest.removesuffix("--")
        if body != rest:
            message, _, names = body.rpartition(":")
            return cls(code.strip(), message, tuple(names.split()))
        return cls(code.strip(), rest)

    @property
    def text(self) -> str:
        """The parts as :meth:`parse` reads them."""
        return f"{self.status_code}:{self.message}:{''.join(f'{name} ' for name in self.fields)}--"
