"""Bulk API 2.0 query jobs: ``/services/data/vXX.X/jobs/query``."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk2 import job_bodies, job_routes, query_work
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, JobKind, State
from airflow_provider_sfbulk.local_org.bulk2.results import QueryResults
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import CSV_TYPE, ApiError, reply
from airflow_provider_sfbulk.local_org.soql import SoqlError, compile_query

PROPERTIES: Final = frozenset({"operation", "query", "contentType", "columnDelimiter", "lineEnding"})
NO_MORE: Final = "null"
""""End of data": the four letters, as text."""


async def create(call: Incoming) -> Response:
    """``POST /jobs/query``: there is no open state, the job starts by itself."""
    core = call.core
    body = await call.json(PROPERTIES)
    operation = job_bodies.choice(body, "operation", job_bodies.QUERY_OPERATIONS, None)
    csv_format = job_bodies.csv_format(body)
    soql = body.get("query")
    if not isinstance(soql, str) or not soql.strip():
        raise ApiError(400, "MALFORMED_QUERY", "A query string has to be specified")
    try:
        # In a thread: the first query of a process builds the grammar, for half a second.
        query = await anyio.to_thread.run_sync(
            lambda: compile_query(
                soql,
                core.schema,
                now=core.clock.now(),
                user_id=core.credentials.user_id,
                include_deleted=operation == "queryAll",
            )
        )
    except SoqlError as error:
        raise ApiError(400, error.error_code, error.message) from error
    if not core.usage.query_jobs.take():
        message = f"Max bulk v2 query jobs ({core.usage.query_jobs.maximum}) per 24 hrs has been reached (10021)"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    entry = core.jobs.add(
        kind=JobKind.QUERY,
        operation=operation,
        object=query.sobject.name,
        created_by_id=core.credentials.user_id,
        state=State.UPLOAD_COMPLETE,
        api_version=call.version,
        query=soql,
        pk_chunking=not (query.has_limit or query.has_order_by),
        **csv_format,
    )
    answer = job_bodies.created(entry.job)
    core.query_worker.submit(entry, query_work.work(core, entry, core.clock.now()))
    return reply(answer)


async def list_jobs(call: Incoming) -> Response:
    """``GET /jobs/query``."""
    return await job_routes.list_jobs(call, JobKind.QUERY)


async def get(call: Incoming) -> Response:
    """``GET /jobs/query/{id}``."""
    return await job_routes.show(call, JobKind.QUERY)


async def change(call: Incoming) -> Response:
    """``PATCH /jobs/query/{id}``: abort is all there is."""
    entry = job_routes.find(call, JobKind.QUERY)
    job_bodies.requested_state(await call.json({"state"}), (State.ABORTED,))
    return await job_routes.abort(call, entry)


async def delete(call: Incoming) -> Response:
    """``DELETE /jobs/query/{id}``."""
    return await job_routes.delete(call, job_routes.find(call, JobKind.QUERY))


async def results(call: Incoming) -> Response:
    """``GET /jobs/query/{id}/results``: one page. Every page starts with the header row."""
    entry = _ended_of_same_version(call)
    total = entry.job.processed
    query = call.request.query_params
    start, end = _place(query["locator"], total) if "locator" in query else (0, None)
    size = _max_records(query["maxRecords"]) if "maxRecords" in query else call.core.page_records
    end = min(total, start + size if end is None else min(end, start + size))
    headers = {
        "Sforce-Locator": NO_MORE if end >= total else _locator(str(end)),
        "Sforce-NumberOfRecords": str(end - start),
    }
    page = QueryResults(call.core.jobs.folder(entry.job)).page(start, end)
    return StreamingResponse(page, headers=headers, media_type=CSV_TYPE)


async def result_pages(call: Incoming) -> Response:
    """``GET /jobs/query/{id}/resultPages``: the addresses of up to five pages, to be read in any order."""
    entry = _ended_of_same_version(call)
    total, size = entry.job.processed, call.core.page_records
    query = call.request.query_params
    start = _place(query["locator"], total)[0] if "locator" in query else 0
    base = f"/services/data/v{call.version}/jobs/query/{entry.job.id}"
    end = min(total, start + limits.RESULT_PAGE_URLS * size)
    # A job without rows has one page, which is the header.
    firsts = range(start, end, size) if total else range(1)
    # Each address says where its page ends, so that pages fit together whatever the page size is by then.
    locators = [_locator(f"{first}-{min(first + size, total)}") for first in firsts]
    done = end >= total
    return reply(
        {
            "resultPages": [{"resultUrl": f"{base}/results?locator={locator}"} for locator in locators],
            "nextRecordsUrl": None if done else f"{base}/resultpages?locator={_locator(str(end))}",
            "done": done,
        }
    )


def _ended_of_same_version(call: Incoming) -> Entry:
    entry = job_routes.find(call, JobKind.QUERY)
    if entry.job.api_version != call.version:
        # 409 is documented; the body is not known.
        message = f"The job was created with API version {entry.job.api_version}, use it to read its results"
        raise ApiError(409, "INVALIDVERSION", message)
    if entry.visible is not State.JOB_COMPLETE:
        # "Only for JobComplete jobs"; the answer before that is not known.
        raise ApiError(400, "INVALIDJOBSTATE", f"Results are not available, the Job is in state {entry.visible}")
    return entry


def _max_records(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,9}", text):
        # That 0 and words are refused is likely; the words are those for other properties.
        raise ApiError(400, "API_ERROR", f"Invalid value: '{text}' supplied for property: 'maxRecords'")
    return int(text)


def _locator(text: str) -> str:
    """Return an opaque token, as real ones look: base64 of the offset, ``MTAwMDA`` for 10000."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _place(locator: str, total: int) -> tuple[int, int | None]:
    """Return where the page of a locator starts and, for those of ``resultPages``, ends."""
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    matched = re.fullmatch(r"(\d+)(?:-(\d+))?", text, re.ASCII)
    if matched is None or int(matched[1]) > total:
        raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(matched[1]), int(matched[2]) if matched[2] else None
