"""Bulk API 2.0 ingest jobs: ``/services/data/vXX.X/jobs/ingest``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import Response, StreamingResponse

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk2 import csv_in, ingest_work, job_bodies, job_routes, results
from airflow_provider_sfbulk.local_org.bulk2.ingest_work import OWN_COLUMNS
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, Job, JobKind, State
from airflow_provider_sfbulk.local_org.bulk2.query_work import compiled
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.http.incoming import Incoming, parse_json
from airflow_provider_sfbulk.local_org.http.replies import CSV_TYPE, ApiError, reply

PROPERTIES: Final = frozenset(
    {"object", "operation", "externalIdFieldName", "assignmentRuleId", "contentType", "lineEnding", "columnDelimiter"}
)
ASSIGNABLE: Final = frozenset({"Case", "Lead"})
"""Objects that assignment rules exist for."""


async def create(call: Incoming) -> Response:
    """``POST /jobs/ingest``: a job, or with multipart a job and its data."""
    if call.media_type == "multipart/form-data":
        return await _create_with_data(call)
    return reply(job_bodies.created(_new_job(call, await call.json(PROPERTIES)).job))


async def list_jobs(call: Incoming) -> Response:
    """``GET /jobs/ingest``."""
    return await job_routes.list_jobs(call, JobKind.INGEST)


async def get(call: Incoming) -> Response:
    """``GET /jobs/ingest/{id}``."""
    return await job_routes.show(call, JobKind.INGEST)


async def upload(call: Incoming) -> Response:
    """``PUT /jobs/ingest/{id}/batches``: 201 and nothing in it; the data are not looked at."""
    entry = job_routes.find(call, JobKind.INGEST)
    call.require_media_type("text/csv")
    if call.request.headers.get("content-encoding", "identity").lower() != "identity":
        # What a compressed upload does to a real org is not known; nobody should rely on it.
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", "Compressed job data is not supported here")
    job = entry.job
    path = call.core.jobs.upload_path(job)
    arriving = path.with_name(f"upload.{job.uploads + 1}.part")
    size = await _receive(call, arriving)
    try:
        if size is None:
            # What an upload over the limit gets is not known.
            message = f"Job data is larger than {limits.UPLOAD_BASE64_BYTES} bytes in base64"
            raise ApiError(400, "API_ERROR", message)
        if job.state is not State.OPEN:
            # The words are Bulk API 1.0's; those of 2.0 are not known.
            message = f"Failed to upload data, since the Job is not Open. Current job state is '{entry.visible}'"
            raise ApiError(400, "INVALIDJOBSTATE", message)
        job.uploads += 1
        if job.uploads == 1:
            arriving.replace(path)
        call.core.jobs.keep(job)
    finally:
        arriving.unlink(missing_ok=True)
    return Response(status_code=201)


async def change(call: Incoming) -> Response:
    """``PATCH /jobs/ingest/{id}``: close or abort."""
    entry = job_routes.find(call, JobKind.INGEST)
    state = job_bodies.requested_state(await call.json({"state"}), (State.UPLOAD_COMPLETE, State.ABORTED))
    if state is State.ABORTED:
        return await job_routes.abort(call, entry)
    job = entry.job
    if job.state is not State.OPEN:
        # Bulk API 1.0's words; the code with 400 is the safe part.
        what = "aborted" if job.state is State.ABORTED else "closed"
        raise ApiError(400, "INVALIDJOBSTATE", f"Closing already {what} Job not allowed")
    if job.uploads > 1:
        message = (
            f"Found multipe contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current Job "
            "then create a new Job and make sure you only do 'PUT' once on a given Job."
        )
        raise ApiError(400, "INVALIDJOB", message)
    _close(call, entry)
    return reply(job_bodies.changed(job, State.UPLOAD_COMPLETE))


async def delete(call: Incoming) -> Response:
    """``DELETE /jobs/ingest/{id}``."""
    return await job_routes.delete(call, job_routes.find(call, JobKind.INGEST))


async def successful_results(call: Incoming) -> Response:
    """``GET /jobs/ingest/{id}/successfulResults``."""
    return _results(call, ingest_work.SUCCESSFUL)


async def failed_results(call: Incoming) -> Response:
    """``GET /jobs/ingest/{id}/failedResults``."""
    return _results(call, ingest_work.FAILED)


async def unprocessed_records(call: Incoming) -> Response:
    """``GET /jobs/ingest/{id}/unprocessedrecords``: header and untouched rows as they were uploaded."""
    entry = job_routes.find(call, JobKind.INGEST)
    _require_ended(entry)
    return StreamingResponse(_untouched(call, entry.job), media_type=CSV_TYPE)


# --- creating ---


def _new_job(call: Incoming, body: dict[str, Any], *, state: State = State.OPEN) -> Entry:
    core = call.core
    operation = job_bodies.choice(body, "operation", job_bodies.INGEST_OPERATIONS, None)
    csv_format = job_bodies.csv_format(body)
    sobject = core.schema.get(str(body.get("object") or ""))
    if sobject is None:
        raise _invalid_job(f"Unable to find object: {body.get('object') or 'null'}")
    key = body.get("externalIdFieldName")
    if operation == "upsert":
        if not key:
            # As Bulk API 1.0 words it.
            raise _invalid_job(
                f"External ID was blank for {sobject.name}. An External ID must be specified for upsert."
            )
        field = sobject.get(str(key))
        if field is None or not (field.external_id or field.id_lookup):
            raise _invalid_job(f"Field name provided, {key} does not match an External ID for {sobject.name}")
        key = field.name
    if operation == "hardDelete" and not core.hard_delete:
        # The permission is documented, the answer without it is not.
        message = "FeatureNotEnabled : hardDelete needs the user permission 'Bulk API Hard Delete'"
        raise ApiError(400, "FEATURENOTENABLED", message)
    rule = body.get("assignmentRuleId")
    if rule is not None:
        _check_assignment_rule(str(rule), sobject.name)
    return core.jobs.add(
        kind=JobKind.INGEST,
        operation=operation,
        object=sobject.name,
        created_by_id=core.credentials.user_id,
        state=state,
        api_version=call.version,
        external_id_field=key or None,
        assignment_rule_id=rule,
        **csv_format,
    )


def _check_assignment_rule(rule: str, sobject_name: str) -> None:
    """Refuse a rule for objects that have none, or an id of something else. Salesforce's message is not known."""
    try:
        is_rule = ids.normalize(rule).startswith("01Q")
    except ids.MalformedIdError:
        is_rule = False
    if not is_rule or sobject_name not in ASSIGNABLE:
        raise _invalid_job(f"Invalid assignment rule {rule} for {sobject_name}")


async def _create_with_data(call: Incoming) -> Response:
    """Create a job from the parts ``job`` and ``content``; it is closed at once."""
    # Four bytes a character at most, and room for the other part.
    if int(call.request.headers.get("content-length", "0")) > 5 * limits.MULTIPART_CHARACTERS:
        raise _too_long()
    try:
        async with call.request.form(max_files=1, max_fields=1) as form:
            described, content = form.get("job"), form.get("content")
            if not isinstance(described, str) or not isinstance(content, UploadFile):
                raise _invalid_job(
                    "a multipart request needs the parts 'job' and 'content', the latter with a filename"
                )
            body = parse_json(described.encode(), PROPERTIES)
            data = await content.read()
    except (HTTPException, MultiPartException, ValueError, KeyError) as error:
        raise _invalid_job(f"malformed multipart request: {error}") from error
    if len(data.decode(errors="replace")) > limits.MULTIPART_CHARACTERS:
        raise _too_long()
    entry = _new_job(call, body)
    call.core.jobs.upload_path(entry.job).write_bytes(data)
    entry.job.uploads = 1
    _close(call, entry)
    answer = job_bodies.created(entry.job)
    return reply(answer | {"state": str(State.UPLOAD_COMPLETE)})


def _close(call: Incoming, entry: Entry) -> None:
    core = call.core
    path = core.jobs.upload_path(entry.job)
    if not path.exists():
        path.touch()
    entry.job.closed = core.clock.now()
    core.jobs.set_state(entry, State.UPLOAD_COMPLETE)
    core.ingest_worker.submit(entry, ingest_work.work(core, entry, entry.job.closed))


def _invalid_job(text: str) -> ApiError:
    return ApiError(400, "INVALIDJOB", f"InvalidJob : {text}")


def _too_long() -> ApiError:
    return _invalid_job(f"the job's data are longer than {limits.MULTIPART_CHARACTERS} characters")


async def _receive(call: Incoming, path: Path) -> int | None:
    """Write the call's body to a file; return its size, or None when it is over the limit. The rest is read and
    dropped, so that the caller gets to read the answer."""
    most = limits.UPLOAD_BASE64_BYTES // 4 * 3
    size = 0
    with path.open("wb") as file:
        async for chunk in call.request.stream():
            size += len(chunk)
            if size <= most:
                file.write(chunk)
    return size if size <= most else None


# --- results ---


def _require_ended(entry: Entry) -> None:
    """Refuse results while the job runs: they are documented for ended jobs, the answer before that is not known."""
    if not entry.visible.is_final:
        raise ApiError(400, "INVALIDJOBSTATE", f"Results are not available, the Job is in state {entry.visible}")


def _results(call: Incoming, name: str) -> Response:
    entry = job_routes.find(call, JobKind.INGEST, JobKind.QUERY)
    job = entry.job
    _require_ended(entry)
    if job.kind is JobKind.QUERY:
        # A client's log shows a header-only answer for a query job: ids of both kinds live in one table.
        paths = [column.path for column in compiled(call.core, job).columns]
        header = results.row_text([*OWN_COLUMNS[name], *paths], job.dialect)
        return Response(header, media_type=CSV_TYPE)
    path = ingest_work.result_path(call.core, job, name)
    if not path.exists():
        header = results.ingest_header(OWN_COLUMNS[name], _header_line(call, job), job.dialect)
        return Response(header, media_type=CSV_TYPE)
    return StreamingResponse(_blocks(path, job.result_bytes.get(name)), media_type=CSV_TYPE)


def _blocks(path: Path, size: int | None) -> Iterator[bytes]:
    left = path.stat().st_size if size is None else size
    return csv_in.rows_between(path, [csv_in.Span(0, left)])


def _header_line(call: Incoming, job: Job) -> str:
    """Return the uploaded header of a job whose data were never read: it was aborted first."""
    path = call.core.jobs.upload_path(job)
    if job.header_line or not path.exists():
        return job.header_line
    with path.open("rb") as file:
        return file.readline(4 * limits.HEADER_CHARACTERS).decode(errors="replace").rstrip("\r\n")


def _untouched(call: Incoming, job: Job) -> Iterator[bytes]:
    path = call.core.jobs.upload_path(job)
    header = _header_line(call, job)
    if header:
        yield (header + job.dialect.newline).encode()
    if not path.exists():
        return
    if not job.spans and not job.done and job.state is State.ABORTED:
        # Aborted before it was looked at: everything after the first line.
        with path.open("rb") as file:
            first_line = file.readline()
        spans = [csv_in.Span(len(first_line), path.stat().st_size)]
    else:
        spans = [csv_in.Span(*span) for index, span in enumerate(job.spans) if index not in job.done]
    yield from csv_in.rows_between(path, spans)
