"""Jobs of both generations of the API, as the waiting code needs them.

A job of Bulk API 1.0 never becomes "complete": it stays ``Closed`` while its batches run, and its counters lag behind.
So it is described here by its batches, in the terms of Bulk API 2.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1Job, Bulk1JobState
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.models import JobInfo, JobState, JobType
from airflow_provider_sfbulk.client.protocol.jobs import jobs_of
from airflow_provider_sfbulk.client.protocol.retry import repeat

CLASSIC: Final = "Classic"
"""Salesforce's name for jobs of Bulk API 1.0, in the job list of 2.0."""

_BATCH_ENDS: Final = {
    BatchState.COMPLETED: JobState.JOB_COMPLETE,
    BatchState.FAILED: JobState.FAILED,
    BatchState.NOT_PROCESSED: JobState.ABORTED,
}


class WatchedJobs(Protocol):
    """The calls that read and abort jobs."""

    def get(self, job_id: str) -> Flow[JobInfo]:
        """Read a job."""

    def get_once(self, job_id: str) -> Flow[JobInfo]:
        """Read a job without repeating a call: for callers that poll."""

    def abort(self, job_id: str) -> Flow[JobInfo]:
        """Abort a job. Aborting an aborted job is not an error."""


@dataclass(frozen=True)
class ClassicJobs:
    """Jobs of Bulk API 1.0, described as those of 2.0.

    ==============================  =================================================================================
    ``JobComplete``                 closed, and every batch ``Completed``; in a PK-chunked query all but the original
    ``Failed``                      closed, and a batch failed: the message is that batch's
    ``Aborted``                     aborted, and no batch running any more
    ``InProgress``                  a batch waits or runs, whatever the job's own state
    ``Open``                        it accepts batches, and those it has are done
    ==============================  =================================================================================

    :param api_version: ``"66.0"``
    """

    api_version: str

    def get(self, job_id: str) -> Flow[JobInfo]:
        """Read a job.

        :raises RequestRefusedError: ``InvalidJob``: there is no such job
        """
        return repeat(lambda: self.get_once(job_id))

    def get_once(self, job_id: str) -> Flow[JobInfo]:
        """Read a job, and its batches once the counters say that none waits or runs."""
        jobs = Bulk1Calls(self.api_version)
        job = yield from jobs.get_once(job_id)
        if job.number_batches_queued or job.number_batches_in_progress:
            return to_job_info(job, None)
        return to_job_info(job, (yield from jobs.list_batches_once(job_id)))

    def abort(self, job_id: str) -> Flow[JobInfo]:
        """Abort a job: batches that have not begun never run.

        :raises RequestRefusedError: the job's batches have all ended
        """
        return to_job_info((yield from Bulk1Calls(self.api_version).abort(job_id)), None)


def to_job_info(job: Bulk1Job, batches: Sequence[BatchInfo] | None) -> JobInfo:
    """Describe a job of Bulk API 1.0.

    :param batches: all of them; None while some are known to be running
    """
    failed = next((each for each in batches or () if each.state is BatchState.FAILED), None)
    return JobInfo(
        id=job.id,
        state=_state(job, batches, failed),
        operation=job.operation,
        object=job.object,
        created_by_id=job.created_by_id,
        created_date=job.created_date,
        system_modstamp=job.system_modstamp,
        external_id_field_name=job.external_id_field_name,
        assignment_rule_id=job.assignment_rule_id,
        concurrency_mode=job.concurrency_mode,
        content_type=job.content_type,
        api_version=job.api_version,
        job_type=CLASSIC,
        number_records_processed=job.processed if batches is None else sum(each.processed for each in batches),
        number_records_failed=job.failed if batches is None else sum(each.failed for each in batches),
        retries=job.number_retries,
        total_processing_time=job.total_processing_time,
        api_active_processing_time=job.api_active_processing_time,
        apex_processing_time=job.apex_processing_time,
        error_message=None if failed is None else failed.state_message,
    )


def batch_end(batch: BatchInfo) -> JobInfo:
    """Describe how a batch ended in the form of a job's end: with Bulk API 2.0 each part of a load is a job.

    Messages name a job's operation and object; here these are ``batch`` and the batch's id.

    :param batch: final
    """
    return JobInfo(
        id=batch.job_id,
        state=_BATCH_ENDS[batch.state],
        operation="batch",
        object=batch.id,
        job_type=CLASSIC,
        number_records_processed=batch.processed,
        number_records_failed=batch.failed,
        error_message=batch.state_message,
    )


def _state(job: Bulk1Job, batches: Sequence[BatchInfo] | None, failed: BatchInfo | None) -> JobState:
    if batches is None or not all(each.is_final for each in batches):
        return JobState.IN_PROGRESS
    if job.state is Bulk1JobState.OPEN:
        return JobState.OPEN
    if job.state is Bulk1JobState.ABORTED:
        return JobState.ABORTED
    return JobState.FAILED if failed is not None or job.state is Bulk1JobState.FAILED else JobState.JOB_COMPLETE


def watched_jobs(job_type: JobType, api_version: str) -> WatchedJobs:
    """Return the calls for jobs of that kind."""
    return ClassicJobs(api_version) if job_type is JobType.CLASSIC else jobs_of(job_type, api_version)
