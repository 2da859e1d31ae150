"""The ends of a load's batches, as job infos: one info a batch, so that rounds of both generations are settled alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from airflow_provider_sfbulk.client.bulk1.calls import Jobs1
from airflow_provider_sfbulk.client.bulk1.load import Sent
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import LedgerError, ProtocolError
from airflow_provider_sfbulk.client.models import JobInfo, JobState

STATES: Final[Mapping[BatchState, JobState]] = {
    BatchState.QUEUED: JobState.UPLOAD_COMPLETE,
    BatchState.IN_PROGRESS: JobState.IN_PROGRESS,
    BatchState.COMPLETED: JobState.JOB_COMPLETE,
    BatchState.FAILED: JobState.FAILED,
    BatchState.NOT_PROCESSED: JobState.ABORTED,
}
"""What a batch's state would be if it were a job of Bulk API 2.0, whose batches cannot be seen."""


def as_job(batch: BatchInfo) -> JobInfo:
    """Tell of a batch as if it were a job. Where a job's operation and object are, its own id is: messages name it."""
    return JobInfo(
        id=batch.job_id,
        state=STATES[batch.state],
        operation="batch",
        object=batch.id,
        job_type="Classic",
        number_records_processed=batch.processed,
        number_records_failed=batch.failed,
        error_message=batch.state_message,
    )


def ends_of(jobs: Jobs1, parts: Iterable[Sent]) -> Flow[dict[str, JobInfo]]:
    """Read how the batches of a load ended, by their keys.

    :param parts: all that were sent to their jobs
    :raises LedgerError: a job has a batch more than the load has sent: its records may be in the org twice
    :raises ProtocolError: a batch is gone from the list
    """
    by_job: dict[str, set[str]] = {}
    for part in parts:
        by_job.setdefault(part.job_id, set()).add(part.key)
    ends: dict[str, JobInfo] = {}
    for job_id, keys in by_job.items():
        found = own_batches(job_id, (yield from jobs.list_batches(job_id)), keys)
        for key, batch in found.items():
            if not batch.is_final:
                raise ProtocolError(f"batch {batch.id} of job {job_id} is {batch.state} after its end", job_id=job_id)
            ends[key] = as_job(batch)
    return ends


def own_batches(job_id: str, batches: Iterable[BatchInfo], keys: AbstractSet[str]) -> dict[str, BatchInfo]:
    """Hold the list of a job's batches against what was sent to it.

    :param keys: short ids of the batches that were sent
    :raises LedgerError: there is a batch more
    :raises ProtocolError: there is one less
    """
    found = {batch.id[:15]: batch for batch in batches}
    if more := sorted(found.keys() - keys):
        raise LedgerError(
            f"job {job_id} has {len(more)} batch(es) that this load has not sent ({', '.join(more[:3])}): the network may "
            "have sent a batch twice, or somebody else has added them. Their records may be in the org twice: compare "
            "before you go on.",
            job_id=job_id,
        )
    if missing := sorted(keys - found.keys()):
        raise ProtocolError(f"job {job_id} lists no batch {missing[0]}, which it has accepted", job_id=job_id)
    return found
