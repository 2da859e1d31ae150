"""A jobInfo that a caller sends, in XML or JSON: read, and checked for what the org can do.

A jobInfo with a value that is not allowed is answered ``InvalidJob`` ``Unable to parse Job``
(jsforce/jsforce#186); with a property that only the server sets, ``CreatedById cannot be specified``
(forceworkbench/forceworkbench#675). Whether the order of XML elements is still enforced is not known; it is not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1.formats import CONTENT_TYPES, JSON_TYPE, NAMESPACE, ZIP_TYPES, AsyncError
from airflow_provider_sfbulk.local_org.bulk1.jobs import QUERIES, JobState
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.http import xml
from airflow_provider_sfbulk.local_org.http.json_body import read_json

OPERATIONS: Final = frozenset({"insert", "update", "upsert", "delete", "hardDelete", *QUERIES})
"""In exactly this case: "``INSERT`` is an error"."""

CONCURRENCY_MODES: Final = {"Parallel": "Parallel", "Serial": "Serial", "0": "Parallel", "1": "Serial"}
"""simple-salesforce sends the numbers, and is understood."""

_ASKED_FOR: Final = frozenset(
    {"operation", "object", "externalIdFieldName", "concurrencyMode", "contentType", "assignmentRuleId", "state"}
)
_SET_BY_SERVER: Final = frozenset(
    {
        *("id", "createdById", "createdDate", "systemModstamp", "apiVersion", "fastPathEnabled", "numberBatchesQueued"),
        *("numberBatchesInProgress", "numberBatchesCompleted", "numberBatchesFailed", "numberBatchesTotal"),
        *("numberRecordsProcessed", "numberRecordsFailed", "numberRetries", "totalProcessingTime"),
        *("apiActiveProcessingTime", "apexProcessingTime"),
    }
)

_ASSIGNABLE: Final = frozenset({"Case", "Lead"})


@dataclass(frozen=True)
class Chunking:
    """What ``Sforce-Enable-PKChunking`` asks for."""

    records: int
    start_row: str | None = None


def read(body: bytes, media_type: str) -> dict[str, str]:
    """Return a jobInfo's properties as text, null ones left out.

    :raises AsyncError: for a body that is not a jobInfo
    """
    values = _from_json(body) if media_type == JSON_TYPE else _from_xml(body)
    for name in values:
        if name in _SET_BY_SERVER:
            raise _invalid(f"{name[0].upper()}{name[1:]} cannot be specified")
        if name not in _ASKED_FOR:
            raise _unreadable()
    return values


def requested_state(values: Mapping[str, str]) -> JobState:
    """Return the state that a POST on a job asks for.

    :raises AsyncError: for anything but ``Closed`` and ``Aborted``
    """
    if set(values) != {"state"} or values["state"] not in ("Closed", "Aborted"):
        raise _unreadable()
    return JobState(values["state"])


def new_job(values: Mapping[str, str], schema: Schema, *, version: str, hard_delete: bool) -> dict[str, Any]:
    """Check the properties of a new job; return them as :class:`~.jobs.Job` has them.

    :param hard_delete: whether the user may
    :raises AsyncError: for what cannot be
    """
    operation = values.get("operation", "")
    if operation not in OPERATIONS or values.get("state", "Open") != "Open":
        raise _unreadable()
    mode = CONCURRENCY_MODES.get(values.get("concurrencyMode", "Parallel"))
    if mode is None:
        raise _unreadable()
    content_type = _content_type(values, version)
    sobject = schema.get(values.get("object", ""))
    if sobject is None:
        raise _invalid(f"Unable to find object: {values.get('object') or 'null'}")
    key = values.get("externalIdFieldName")
    if operation == "upsert":
        if not key:
            raise _invalid(f"External ID was blank for {sobject.name}. An External ID must be specified for upsert.")
        field = sobject.get(key)
        if field is None or not (field.external_id or field.id_lookup):
            raise _invalid(f"Field name provided, {key} does not match an External ID for {sobject.name}")
        key = field.name
    if operation == "hardDelete" and not hard_delete:
        raise AsyncError("FeatureNotEnabled", "hardDelete needs the user permission 'Bulk API Hard Delete'")
    rule = values.get("assignmentRuleId")
    if rule is not None and not (_has_prefix(rule, "01Q") and sobject.name in _ASSIGNABLE):
        raise _invalid(f"Invalid assignment rule {rule} for {sobject.name}")
    return {
        "operation": operation,
        "object": sobject.name,
        "external_id_field": key or None,
        "assignment_rule_id": rule,
        "concurrency_mode": mode,
        "content_type": content_type,
    }


def chunking(header: str | None) -> Chunking | None:
    """Return what ``Sforce-Enable-PKChunking`` asks for: ``TRUE``, ``FALSE``, or parts such as
    ``chunkSize=50000; startRow=001…; parent=Account`` in any order.

    ``parent`` is for sharing and history objects and changes nothing here; ``useSampledData`` neither.

    :raises AsyncError: for a part that it cannot have
    """
    if header is None or header.strip().lower() in ("", "false"):
        return None
    records, start_row = limits.PK_CHUNK_RECORDS, None
    for part in header.split(";"):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name.lower() == "chunksize" and re.fullmatch(r"[1-9]\d{0,8}", value):
            records = int(value)
        elif name.lower() == "startrow" and _has_prefix(value, ""):
            start_row = ids.normalize(value)
        elif name and name.lower() not in ("true", "parent", "usesampleddata"):
            raise _invalid(f"Invalid PK chunking header: {part.strip()}")
    if records > limits.PK_CHUNK_MOST_RECORDS:
        # The maximum is documented, the answer to more is not.
        raise _invalid(f"PK chunk size {records} is larger than {limits.PK_CHUNK_MOST_RECORDS}")
    return Chunking(records, start_row)


def is_true(header: str | None) -> bool:
    """Whether a header says ``TRUE``, in any case."""
    return (header or "").strip().lower() == "true"


def line_ending(header: str | None) -> str | None:
    """Return what ``Sforce-Line-Ending`` asks for.

    :raises AsyncError: for anything but ``LF`` and ``CRLF``
    """
    if header is not None and header not in ("LF", "CRLF"):
        raise _invalid(f"Invalid line ending: {header}")
    return header


def _content_type(values: Mapping[str, str], version: str) -> str:
    given = values.get("contentType", "XML")
    if given in ZIP_TYPES:
        raise AsyncError("FeatureNotEnabled", f"{given}: jobs with attachments are not supported by the local org")
    if given not in CONTENT_TYPES:
        raise _unreadable()
    if given == "JSON" and float(version) < float(limits.OLDEST_JSON_BATCH_API_VERSION):
        raise _unreadable()
    return given


def _from_xml(body: bytes) -> dict[str, str]:
    try:
        root = xml.parse(body)
    except xml.MalformedXmlError as error:
        raise AsyncError("InvalidXml", f"Unable to parse Job: {error}") from error
    if xml.local_name(root) != "jobInfo" or xml.namespace(root) != NAMESPACE:
        raise _unreadable()
    values: dict[str, str] = {}
    for child in root:
        name = xml.local_name(child)
        if name in values or len(child) or xml.namespace(child) != NAMESPACE:
            raise _unreadable()
        if not xml.is_nil(child):
            values[name] = (child.text or "").strip()
    return values


def _from_json(body: bytes) -> dict[str, str]:
    try:
        parsed = read_json(body)
    except ValueError as error:
        raise _unreadable() from error
    if not isinstance(parsed, dict) or any(isinstance(value, dict | list) for value in parsed.values()):
        raise _unreadable()
    return {name: str(value) for name, value in parsed.items() if value is not None}


def _has_prefix(text: str, prefix: str) -> bool:
    try:
        return ids.normalize(text).startswith(prefix)
    except ids.MalformedIdError:
        return False


def _unreadable() -> AsyncError:
    return _invalid("Unable to parse Job")


def _invalid(message: str) -> AsyncError:
    return AsyncError("InvalidJob", message)
