"""The calls of Bulk API 1.0: ``/services/async/XX.0/job…``.

No ``v`` in the version, the session in ``X-SFDC-Session``, POST to close. Whether ``Authorization: Bearer`` is accepted too
is not known; it is not here.
"""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import anyio.to_thread
from starlette.responses import Response, StreamingResponse

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1 import bodies, job_in, work
from airflow_provider_sfbulk.local_org.bulk1.formats import (
    CONTENT_TYPES,
    INFO_TYPES,
    JSON_TYPE,
    XML_TYPE,
    ZIP_TYPES,
    AsyncError,
)
from airflow_provider_sfbulk.local_org.bulk1.jobs import BatchEntry, BatchState, JobEntry, JobState
from airflow_provider_sfbulk.local_org.bulk2 import csv_in
from airflow_provider_sfbulk.local_org.http.incoming import Incoming

Handler = Callable[[Incoming], Awaitable[Response]]

PATH: Final = "/services/async/{async_version}/job"
"""Of all calls, as the table of routes writes it."""

_JOB_BODY_BYTES: Final = 64 * 1024
"""What a jobInfo may have; ours."""


def answered(handler: Handler) -> Handler:
    """Wrap a handler: version, session and API call come first, and refusals are in the call's format."""

    @functools.wraps(handler)
    async def answer(call: Incoming) -> Response:
        try:
            _check(call)
            return await handler(call)
        except AsyncError as error:
            error.as_json = error.as_json or call.media_type == JSON_TYPE
            raise

    return answer


def _check(call: Incoming) -> None:
    number = float(call.parts["async_version"])
    if not number.is_integer() or not (
        float(limits.OLDEST_LIVE_API_VERSION) <= number <= float(limits.NEWEST_API_VERSION)
    ):
        # "A retired version answers 400 with InvalidVersion"; Salesforce's message is not known.
        raise AsyncError("InvalidVersion", "Invalid Api version specified on URL")
    if call.core.sessions.get(call.request.headers.get("x-sfdc-session", "")) is None:
        raise AsyncError("InvalidSessionId", "Invalid session id")
    if not call.core.usage.api_requests.take() and call.core.usage.refuse_calls:
        # What Bulk API 1.0 answers to this is not known; the words are REST's.
        raise AsyncError("ExceededQuota", "TotalRequests Limit exceeded.")


# --- jobs ---


@answered
async def create_job(call: Incoming) -> Response:
    """``POST /job``."""
    media_type = _info_type(call)
    headers = call.request.headers
    core = call.core
    version = call.parts["async_version"]
    values = job_in.read(await _body(call, _JOB_BODY_BYTES), media_type)
    chunking = job_in.chunking(headers.get("sforce-enable-pkchunking"))
    entry = core.bulk1.add(
        **job_in.new_job(values, core.schema, version=version, hard_delete=core.hard_delete),
        created_by_id=core.credentials.user_id,
        api_version=version,
        chunk_records=chunking.records if chunking else None,
        start_row=chunking.start_row if chunking else None,
        batch_retry=not job_in.is_true(headers.get("sforce-disable-batch-retry")),
        line_ending=job_in.line_ending(headers.get("sforce-line-ending")),
    )
    return bodies.job(entry, as_json=media_type == JSON_TYPE, status=201)


@answered
async def show_job(call: Incoming) -> Response:
    """``GET /job/{job}``."""
    entry = _job(call)
    return bodies.job(entry, as_json=entry.job.content_type == "JSON" or call.media_type == JSON_TYPE)


@answered
async def change_job(call: Incoming) -> Response:
    """``POST /job/{job}``: close or abort."""
    entry = _job(call)
    media_type = _info_type(call)
    wanted = job_in.requested_state(job_in.read(await _body(call, _JOB_BODY_BYTES), media_type))

    def change() -> None:
        with entry.lock:
            if wanted is JobState.CLOSED:
                _close(call, entry)
            else:
                _abort(call, entry)

    await anyio.to_thread.run_sync(change)
    return bodies.job(entry, as_json=media_type == JSON_TYPE)


def _close(call: Incoming, entry: JobEntry) -> None:
    """Close a job: "no more batches; queued ones continue".

    "Before closing such a job wait until the original batch has left the queue (``NotProcessed``), or chunks may be
    missing": here all but the first are, unless the caller has seen it leave.
    """
    if entry.job.state is not JobState.OPEN:
        raise AsyncError("InvalidJobState", f"Closing already {str(entry.job.state).lower()} Job not allowed")
    call.core.bulk1.set_state(entry, JobState.CLOSED)
    for original in [each for each in entry.batches.values() if each.batch.chunk_of is None]:
        chunks = [each.batch.id for each in entry.batches.values() if each.batch.chunk_of == original.batch.id]
        if not original.was_seen_split:
            call.core.bulk1.drop_batches(entry, chunks[1:])


def _abort(call: Incoming, entry: JobEntry) -> None:
    """Abort a job: "batches not yet started are dropped, finished rows stay"."""
    if entry.job.state is JobState.ABORTED:
        raise AsyncError("InvalidJobState", "Aborting already Aborted Job not allowed")
    if entry.job.state is JobState.CLOSED and not entry.has_work:
        raise AsyncError("InvalidJobState", "Aborting already Completed Job not allowed")
    call.core.bulk1.set_state(entry, JobState.ABORTED)
    for each in entry.batches.values():
        if each.batch.state is BatchState.QUEUED:
            call.core.bulk1.set_batch_state(each.batch, BatchState.NOT_PROCESSED)


# --- batches ---


@answered
async def add_batch(call: Incoming) -> Response:
    """``POST /job/{job}/batch``: data, or SOQL for a query."""
    entry = _job(call)
    job, core = entry.job, call.core
    expected = CONTENT_TYPES[job.content_type]
    media_type = call.media_type or XML_TYPE
    if media_type not in (*CONTENT_TYPES.values(), *ZIP_TYPES.values()):
        raise _unsupported(call)
    if media_type != expected:
        # That it has to match is documented, the answer is not.
        message = f"Content type {media_type} does not match the job's, which is {expected}"
        raise _in_format_of(entry, AsyncError("InvalidBatch", message))
    try:
        body = await _body(call, limits.BATCH_CHARACTERS)
        if not body.strip():
            raise AsyncError("ClientInputError", "Unable to find any data to create batch")

        def add() -> BatchEntry:
            with entry.lock:
                if job.state is not JobState.OPEN:
                    message = f"Failed to create batch, since the Job is not Open. Current job state is '{job.state}'"
                    raise AsyncError("InvalidJobState", message)
                if not core.usage.take_batch():
                    raise AsyncError("ExceededQuota", "ApiBatchItems Limit exceeded")
                made = core.bulk1.add_batch(entry, body)
                work.accepted(core, entry, made.batch)
                return made

        made = await anyio.to_thread.run_sync(add)
    except AsyncError as error:
        raise _in_format_of(entry, error) from error
    location = f"/services/async/{call.parts['async_version']}/job/{job.id}/batch/{made.batch.id}"
    as_json = _is_json(entry)
    return bodies.batch(made, BatchState.QUEUED, as_json=as_json, status=201, location=location)


@answered
async def list_batches(call: Incoming) -> Response:
    """``GET /job/{job}/batch``."""
    entry = _job(call)
    found = entry.visible_batches()
    return bodies.batch_list(found, as_json=_is_json(entry), not_processed=call.core.not_processed)


@answered
async def show_batch(call: Incoming) -> Response:
    """``GET /job/{job}/batch/{batch}``."""
    entry, batch = _batch(call)
    state = batch.look()
    return bodies.batch(batch, state, as_json=_is_json(entry), not_processed=call.core.not_processed)


@answered
async def show_request(call: Incoming) -> Response:
    """``GET /job/{job}/batch/{batch}/request``: the data as they were sent."""
    entry, batch = _batch(call)
    return _file(call.core.bulk1.request_path(batch.batch), entry)


@answered
async def show_result(call: Incoming) -> Response:
    """``GET /job/{job}/batch/{batch}/result``: rows in the order of the request, or ids of a query's result files."""
    entry, batch = _completed(call)
    if entry.job.is_query:
        return bodies.result_list(batch.batch.result_ids, as_json=_is_json(entry))
    return _file(call.core.bulk1.result_path(batch.batch), entry)


@answered
async def show_query_result(call: Incoming) -> Response:
    """``GET /job/{job}/batch/{batch}/result/{result}``."""
    entry, batch = _completed(call)
    result_id = call.parts["result_id"][:15]
    if result_id not in batch.batch.result_ids:
        raise _in_format_of(entry, AsyncError("InvalidBatch", f"Invalid result id: {call.parts['result_id']}"))
    number = batch.batch.result_ids.index(result_id)
    return _file(call.core.bulk1.query_result_path(batch.batch, number), entry)


@answered
async def set_spec(call: Incoming) -> Response:
    """``POST /job/{job}/spec``: transformation specs are refused."""
    entry = _job(call)
    message = "Transformation specs are not supported by the local org"
    raise _in_format_of(entry, AsyncError("FeatureNotEnabled", message))


def unknown(allowed: list[str]) -> AsyncError:
    """Return the refusal of an address that does not exist, or not for this method. Salesforce's message is not known.

    :param allowed: methods that the address has
    """
    if not allowed:
        return AsyncError("InvalidUrl", "The requested resource does not exist")
    methods = ", ".join(sorted(set(allowed)))
    error = AsyncError("InvalidUrl", f"HTTP Method not allowed. Allowed are {methods}", status=405)
    error.headers["Allow"] = methods
    return error


# --- what calls have in common ---


def _job(call: Incoming) -> JobEntry:
    entry = call.core.bulk1.get(call.parts["job_id"])
    if entry is None:
        raise AsyncError("InvalidJob", f"Invalid job id: {call.parts['job_id']}")
    return entry


def _batch(call: Incoming) -> tuple[JobEntry, BatchEntry]:
    entry = _job(call)
    batch_id = call.parts["batch_id"]
    found = next((each for each in entry.visible_batches() if batch_id in (each.batch.id, each.batch.id[:15])), None)
    if found is None:
        # The words are those for jobs.
        raise _in_format_of(entry, AsyncError("InvalidBatch", f"Invalid batch id: {batch_id}"))
    return entry, found


def _completed(call: Incoming) -> tuple[JobEntry, BatchEntry]:
    """Return a batch that has results: one that failed too, when rows of it were processed."""
    entry, batch = _batch(call)
    path = call.core.bulk1.result_path(batch.batch)
    has_some = batch.visible is BatchState.FAILED and batch.batch.processed and path.exists()
    if batch.visible is not BatchState.COMPLETED and not has_some:
        # The words are known for failed batches; for those under way they are ours.
        message = "Records not processed" if batch.visible.is_final else "Batch not completed"
        raise _in_format_of(entry, AsyncError("InvalidBatch", message))
    return entry, batch


def _is_json(entry: JobEntry) -> bool:
    """Whether info about a job's batches is JSON."""
    return entry.job.content_type == "JSON"


def _in_format_of(entry: JobEntry, error: AsyncError) -> AsyncError:
    error.as_json = _is_json(entry)
    return error


def _info_type(call: Incoming) -> str:
    """Return the format of a jobInfo: "XML when absent"."""
    media_type = call.media_type or XML_TYPE
    if media_type not in INFO_TYPES:
        raise _unsupported(call)
    return media_type


def _unsupported(call: Incoming) -> AsyncError:
    # SalesforceMagic#1
    return AsyncError("UnsupportedContentType", f"Unsupported content type: {call.media_type}", status=415)


def _file(path: Path, entry: JobEntry) -> Response:
    blocks = csv_in.rows_between(path, [csv_in.Span(0, path.stat().st_size)])
    return StreamingResponse(blocks, headers={"Content-Type": CONTENT_TYPES[entry.job.content_type]})


async def _body(call: Incoming, most_bytes: int) -> bytes:
    """Return the body, unpacked.

    "Only gzip, other codings → 415". A body over the limit is read to its end, so that the caller gets to read the answer.

    :param most_bytes: of the unpacked body
    """
    coding = call.request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        message = f"Unsupported content encoding: {coding}"
        raise AsyncError("UnsupportedContentType", message, status=415)
    _check_charset(call)
    unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16) if coding == "gzip" else None
    body = bytearray()
    try:
        async for chunk in call.request.stream():
            if len(body) <= most_bytes:
                body += chunk if unpack is None else unpack.decompress(chunk, most_bytes + 1 - len(body))
    except zlib.error as error:
        raise AsyncError("ClientInputError", "Failed to read request. Not in GZIP format") from error
    if len(body) > most_bytes:
        raise AsyncError("ClientInputError", f"Failed to read request. Exceeded max size limit of {most_bytes}")
    if unpack is not None and not unpack.eof:
        raise AsyncError("ClientInputError", "Failed to read request. Unexpected end of ZLIB input stream")
    return bytes(body)


def _check_charset(call: Incoming) -> None:
    header = call.request.headers.get("content-type", "")
    matched = re.search(r"charset\s*=\s*\"?([\w-]+)", header, re.IGNORECASE)
    if matched is not None and matched[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise AsyncError("ClientInputError", f"The local org reads UTF-8 only, not {matched[1]}")
