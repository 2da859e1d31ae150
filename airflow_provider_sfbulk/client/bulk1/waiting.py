"""Waiting for the batches of Bulk API 1.0 jobs, how they ended, and whole queries.

A job's state says nothing about its batches, and its counters lag behind, so the list of batches decides. While the
job's counters say that batches wait or run, the list is not read: each poll is one call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Final, TypeAlias, TypeVar

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec, is_in_doubt
from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1Job
from airflow_provider_sfbulk.client.effects import Aside, Body, Flow
from airflow_provider_sfbulk.client.errors import (
    JobFailedError,
    JobTimeoutError,
    LedgerError,
    ProtocolError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.replies.safe_text import guarded, without_values
from airflow_provider_sfbulk.client.waiting.jobs import batch_end
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.waiting.wait import keep_looking

QUERY_TRIES: Final = 3
"""Jobs to create for one query while it is unknown whether its batch has arrived."""


T = TypeVar("T")
OnBulk1Progress: TypeAlias = Callable[[Bulk1Job], Awaitable[None] | None]


def wait_for_batches(
    jobs: Bulk1Calls,
    job_id: str,
    *,
    schedule: Schedule = DEFAULT_SCHEDULE,
    timeout: float | None = None,
    on_progress: OnBulk1Progress | None = None,
    expected: Iterable[str] = (),
) -> Flow[list[BatchInfo]]:
    """Read a job until all its batches are final, however they end.

    :param timeout: seconds; None for no end
    :param on_progress: called with the job each time it is read, changed or not
    :param expected: ids of batches that the list must have
    :return: all batches, in the order of the list
    :raises JobTimeoutError: the wait ended; the job goes on
    :raises TransientError: no poll succeeded for ``BLIND_SECONDS``
    """
    wanted = {each[:15] for each in expected}

    def look() -> Flow[list[BatchInfo] | None]:
        job = yield from jobs.get_once(job_id)
        if on_progress is not None:
            yield Aside(partial(on_progress, job))
        if job.number_batches_queued or job.number_batches_in_progress:
            return None
        batches = yield from jobs.list_batches_once(job_id)
        if wanted - {each.id[:15] for each in batches} or not all(each.is_final for each in batches):
            return None
        return batches

    return _keep_looking(look, job_id, schedule, timeout)


def wait_for_split(
    jobs: Bulk1Calls,
    job_id: str,
    batch_id: str,
    *,
    schedule: Schedule = DEFAULT_SCHEDULE,
    timeout: float | None = None,
) -> Flow[BatchInfo]:
    """Read a batch under PK chunking until others have replaced it: a job that is closed before may lack some of them.

    A query that Salesforce does not chunk runs in that batch itself, and has ended by then.

    Source: help article 000213703, "the original batch … NotProcessed".
    """

    def look() -> Flow[BatchInfo | None]:
        batches = yield from jobs.list_batches_once(job_id)
        found = next((each for each in batches if each.id[:15] == batch_id[:15]), None)
        return found if found is not None and found.is_final else None

    return _keep_looking(look, job_id, schedule, timeout)


def _keep_looking(
    look: Callable[[], Flow[T | None]], job_id: str, schedule: Schedule, timeout: float | None
) -> Flow[T]:
    def timed_out(seconds: float) -> JobTimeoutError:
        return JobTimeoutError(
            f"the batches of job {job_id} have not ended after {seconds:g} s; the job continues in Salesforce",
            job_id=job_id,
        )

    return keep_looking(look, schedule=schedule, timeout=timeout, timed_out=timed_out)


def submit_query(
    jobs: Bulk1Calls,
    spec: Bulk1JobSpec,
    soql: str,
    *,
    schedule: Schedule = DEFAULT_SCHEDULE,
    timeout: float | None = None,
) -> Flow[tuple[Bulk1Job, str]]:
    """Create a query's job, add the query as its one batch, and close the job.

    When it is unknown whether the batch arrived, the job is aborted and another one created: a query only reads.

    :param timeout: of the wait for the chunks, under PK chunking
    :return: the closed job, and the batch's id
    """
    body = Body.of(soql.encode(), spec.rows_in.media_type)
    for left in reversed(range(QUERY_TRIES)):
        job = yield from jobs.create(spec)
        try:
            batch = yield from jobs.add_batch(job.id, body, hide=partial(without_values, soql=soql))
        except (TransientError, ProtocolError) as error:
            if isinstance(error, TransientError) and not is_in_doubt(error):
                raise
            yield from jobs.abort(job.id)
            if not left:
                raise
            continue
        if spec.pk_chunking is not None:
            yield from wait_for_split(jobs, job.id, batch.id, schedule=schedule, timeout=timeout)
        return (yield from jobs.close(job.id)), batch.id
    raise AssertionError("unreachable: the last try returned or raised")


def batches_with_rows(job_id: str, original: str | None, batches: Sequence[BatchInfo]) -> list[BatchInfo]:
    """Return the batches of a finished query whose results are to be read, in the order of the list.

    :param original: id of the batch that was sent; under PK chunking it ends ``NotProcessed`` and others hold the rows.
        None when the id is unknown; the job must not have been aborted then
    :raises JobFailedError: a batch failed, or the job was aborted
    """
    for each in batches:
        if each.state is BatchState.COMPLETED:
            continue
        is_original = original is None or each.id[:15] == original[:15]
        if each.state is BatchState.NOT_PROCESSED and is_original and len(batches) > 1:
            continue
        why = " ".join(guarded(each.state_message or "Salesforce gives no reason").split())[:500]
        raise JobFailedError(f"batch {each.id} of query job {job_id} ended {each.state}: {why}", job_id=job_id)
    return [each for each in batches if each.state is BatchState.COMPLETED]


def ends_of(jobs: Bulk1Calls, parts: Iterable[AcceptedBatch]) -> Flow[dict[str, JobInfo]]:
    """Read how the batches of a load ended, by their keys.

    :param parts: all that were sent to their jobs
    :raises LedgerError: a job has a batch that the load has not sent: records may be in the org twice
    :raises ProtocolError: a batch is missing from the list
    """
    by_job: dict[str, set[str]] = {}
    for part in parts:
        by_job.setdefault(part.job_id, set()).add(part.key)
    ends: dict[str, JobInfo] = {}
    for job_id, keys in by_job.items():
        found = own_batches(job_id, (yield from jobs.list_batches(job_id)), keys)
        for key, batch in found.items():
            if not batch.is_final:
                raise ProtocolError(
                    f"batch {batch.id} of job {job_id} is {batch.state}, although it had ended", job_id=job_id
                )
            ends[key] = batch_end(batch)
    return ends


def own_batches(job_id: str, batches: Iterable[BatchInfo], keys: AbstractSet[str]) -> dict[str, BatchInfo]:
    """Compare the list of a job's batches with what was sent to it.

    :param keys: short ids of the batches that were sent
    :raises LedgerError: the list has a batch too many
    :raises ProtocolError: a batch is missing
    """
    found = {batch.id[:15]: batch for batch in batches}
    if more := sorted(found.keys() - keys):
        raise LedgerError(
            f"job {job_id} has {len(more)} batch(es) that this load did not send ({', '.join(more[:3])}): the network may "
            "have delivered a batch twice, or someone else has added them. Their records may be in the org twice: check "
            "the org before you continue.",
            job_id=job_id,
        )
    if missing := sorted(keys - found.keys()):
        raise ProtocolError(f"job {job_id} accepted batch {missing[0]}, but does not list it", job_id=job_id)
    return found
