"""What ingest and query jobs have in common: finding one, listing, aborting, deleting."""

from __future__ import annotations

import re
from typing import Final

import anyio.to_thread
from starlette.responses import Response

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk1.jobs import JobEntry
from airflow_provider_sfbulk.local_org.bulk2 import job_bodies
from airflow_provider_sfbulk.local_org.bulk2.jobs import ABORTABLE, DELETABLE, Entry, JobKind, State
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.http.incoming import Incoming
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError, reply

LOCATOR_ID: Final = next(ids.make("01g", 1, 1))
"""Of list pages; the offset follows after a dash."""

JOB_TYPES: Final = {
    JobKind.INGEST: ("BigObjectIngest", "Classic", "V2Ingest"),
    JobKind.QUERY: ("Classic", "V2Query", "V2Ingest"),
}
"""Values of the ``jobType`` parameter, by list."""


def find(call: Incoming, *kinds: JobKind) -> Entry:
    """Return the job that the path names.

    :raises NotFoundError: when there is none of these kinds
    """
    entry = call.core.jobs.get(call.parts["job_id"])
    if entry is None or entry.job.kind not in kinds:
        raise NotFoundError
    return entry


async def show(call: Incoming, kind: JobKind) -> Response:
    """Answer with the job that the path names; the next call may see its next state."""
    entry = find(call, kind)
    return reply(job_bodies.info(entry.job, entry.poll()))


async def list_jobs(call: Incoming, kind: JobKind) -> Response:
    """Answer one page of a list, oldest job first ("order not defined")."""
    query = call.request.query_params
    wanted = query.get("jobType")
    if wanted is not None and wanted not in JOB_TYPES[kind]:
        raise ApiError(400, "API_ERROR", f"Invalid value: '{wanted}' supplied for property: 'jobType'")
    entries = _wanted(call.core, kind, wanted)
    if query.get("isPkChunkingEnabled", "").lower() == "true":
        entries = [entry for entry in entries if _is_chunked(entry)]
    mode = query.get("concurrencyMode")
    if mode is not None:
        entries = [entry for entry in entries if _mode(entry) == mode.lower()]
    offset = 0
    if "queryLocator" in query:
        matched = re.fullmatch(r"(01g\w{12}(?:\w{3})?)-(\d+)", query["queryLocator"])
        if matched is None:
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        offset = int(matched[2])
    path = f"/services/data/v{call.version}/jobs/{'ingest' if kind is JobKind.INGEST else 'query'}"
    page = job_bodies.page(entries, path=path, offset=offset, size=limits.LIST_PAGE_JOBS, locator_id=LOCATOR_ID)
    return reply(page)


def _wanted(core: Core, kind: JobKind, job_type: str | None) -> list[Entry | JobEntry]:
    """Return the jobs of a list. Jobs of Bulk API 1.0, ``Classic``, show up in the list of ingest jobs too."""
    entries: list[Entry | JobEntry] = [entry for entry in core.jobs if str(entry.job.kind) == (job_type or kind)]
    if job_type == "Classic" or (job_type is None and kind is JobKind.INGEST):
        entries += [entry for entry in core.bulk1 if entry.job.is_query or kind is JobKind.INGEST]
    return sorted(entries, key=lambda entry: entry.job.id)


def _is_chunked(entry: Entry | JobEntry) -> bool:
    return entry.job.pk_chunking if isinstance(entry, Entry) else entry.job.chunk_records is not None


def _mode(entry: Entry | JobEntry) -> str:
    return "parallel" if isinstance(entry, Entry) else entry.job.concurrency_mode.lower()


async def abort(call: Incoming, entry: Entry) -> Response:
    """Abort a job. A batch that is being saved is saved first: committed rows stay, the rest is unprocessed.

    :raises ApiError: when it has ended
    """
    if entry.visible not in ABORTABLE:
        raise ApiError(400, "INVALIDJOBSTATE", "Aborting already Completed Job not allowed")

    def change() -> None:
        with entry.lock:
            call.core.jobs.set_state(entry, State.ABORTED)
            entry.settle()

    await anyio.to_thread.run_sync(change)
    return reply(job_bodies.changed(entry.job, State.ABORTED))


async def delete(call: Incoming, entry: Entry) -> Response:
    """Delete a job with its data.

    :raises ApiError: when it may still run. The text was seen for queries; for ingest the same is likely.
    """
    if entry.visible not in DELETABLE[entry.job.kind]:
        message = "Error encountered when deleting the job because the job is not terminated"
        raise ApiError(400, "API_ERROR", message)

    def change() -> None:
        with entry.lock:
            if not entry.job.state.is_final:
                call.core.jobs.set_state(entry, State.ABORTED)
            call.core.jobs.remove(entry)

    await anyio.to_thread.run_sync(change)
    return Response(status_code=204)
