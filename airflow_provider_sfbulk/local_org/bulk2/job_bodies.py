"""The JSON of jobs, keys in the order that captured bodies have them, and how a job's properties are read.

A create answer has no counters and no ``jobType``; an info has both; the answer to a PATCH is the shortest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.bulk1 import bodies
from airflow_provider_sfbulk.local_org.bulk1.jobs import JobEntry
from airflow_provider_sfbulk.local_org.bulk2.csv_in import DELIMITERS, LINE_ENDINGS
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, Job, JobKind, State
from airflow_provider_sfbulk.local_org.http.replies import ApiError

INGEST_OPERATIONS: Final = ("insert", "update", "upsert", "delete", "hardDelete")
QUERY_OPERATIONS: Final = ("query", "queryAll")


def _head(job: Job, state: State) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by_id,
        "createdDate": clock.in_json(job.created),
        "systemModstamp": clock.in_json(job.modified),
        "state": str(state),
    }
    if job.external_id_field is not None:
        body["externalIdFieldName"] = job.external_id_field
    if job.assignment_rule_id is not None:
        body["assignmentRuleId"] = job.assignment_rule_id
    body |= {"concurrencyMode": "Parallel", "contentType": "CSV", "apiVersion": float(job.api_version)}
    return body


def _content_url(job: Job, state: State) -> dict[str, str]:
    """Return the upload's address, without a slash in front, while there is one."""
    if job.kind is not JobKind.INGEST or state is not State.OPEN:
        return {}
    return {"contentUrl": f"services/data/v{job.api_version}/jobs/ingest/{job.id}/batches"}


def _format(job: Job) -> dict[str, str]:
    return {"lineEnding": job.line_ending, "columnDelimiter": job.column_delimiter}


def created(job: Job) -> dict[str, Any]:
    """Return the answer to a create."""
    return {**_head(job, job.state), **_content_url(job, job.state), **_format(job)}


def changed(job: Job, state: State) -> dict[str, Any]:
    """Return the answer to a PATCH."""
    return _head(job, state)


def listed(job: Job, state: State) -> dict[str, Any]:
    """Return a row of a list."""
    return {**_head(job, state), "jobType": str(job.kind), **_content_url(job, state), **_format(job)}


def info(job: Job, state: State) -> dict[str, Any]:
    """Return a job's own page.

    :param state: the one to show; what would contradict it is left out
    """
    body = listed(job, state)
    body |= _query_figures(job, state) if job.kind is JobKind.QUERY else _ingest_figures(job, state)
    if state is State.FAILED and job.error_message is not None:
        body["errorMessage"] = job.error_message
    body["isPkChunkingSupported"] = job.pk_chunking
    return body


def _query_figures(job: Job, state: State) -> dict[str, int]:
    figures = {} if state is State.UPLOAD_COMPLETE else {"numberRecordsProcessed": job.processed}
    return {**figures, "retries": 0, "totalProcessingTime": job.total_ms if state.is_final else 0}


def _ingest_figures(job: Job, state: State) -> dict[str, int]:
    """Return counters and times. The two counters come with the upload, and move while the job is in progress."""
    started = state not in (State.OPEN, State.UPLOAD_COMPLETE)
    figures: dict[str, int] = {}
    if job.uploads or state is not State.OPEN:
        figures["numberRecordsProcessed"] = job.processed if started else 0
        figures["numberRecordsFailed"] = job.failed if started else 0
    return {
        **figures,
        "retries": 0,
        "totalProcessingTime": job.total_ms if state.is_final else 0,
        "apiActiveProcessingTime": job.active_ms if started else 0,
        "apexProcessingTime": 0,
    }


def page(entries: Sequence[Entry | JobEntry], *, path: str, offset: int, size: int, locator_id: str) -> dict[str, Any]:
    """Return one page of a list. Being listed counts as a poll.

    :param entries: jobs of either generation of the Bulk API
    :param path: of the list, for the address of the next page
    """
    end = offset + size
    done = end >= len(entries)
    records = [
        listed(entry.job, entry.poll()) if isinstance(entry, Entry) else bodies.classic(entry.job)
        for entry in entries[offset:end]
    ]
    return {
        "done": done,
        "nextRecordsUrl": None if done else f"{path}?queryLocator={locator_id}-{end}",
        "records": records,
    }


def choice(body: dict[str, Any], name: str, allowed: tuple[str, ...], default: str | None) -> str:
    """Return a property that takes one of several values; case matters.

    :raises ApiError: for any other value, with the text that was seen for ``operation``
    """
    value = body.get(name, default)
    if value not in allowed:
        given = "" if value is None else value
        raise ApiError(400, "API_ERROR", f"Invalid value: '{given}' supplied for property: '{name}'")
    return str(value)


def csv_format(body: dict[str, Any]) -> dict[str, str]:
    """Return the properties of the CSV, which ingest and query share."""
    choice(body, "contentType", ("CSV",), "CSV")
    return {
        "column_delimiter": choice(body, "columnDelimiter", tuple(DELIMITERS), "COMMA"),
        "line_ending": choice(body, "lineEnding", tuple(LINE_ENDINGS), "LF"),
    }


def requested_state(body: dict[str, Any], allowed: tuple[State, ...]) -> State:
    """Return the state that a PATCH asks for."""
    return State(choice(body, "state", tuple(map(str, allowed)), None))
