"""Whether an aborted or failed job of Bulk API 2.0 has really stopped saving records.

Facts. An abort stops the batches that have not begun. A running batch continues to its end, and the records that it
saves stay (Bulk API 2.0 guide, "Close or Abort a Job"). Until then its records count as unprocessed, and the three
result files add up. Bulk API 1.0 lists each batch, see ``waiting.jobs``; 2.0 has only counters, which move when a batch
is done. A batch has 10,000 records at most, and five minutes (``limits``).

Theory. So only time can tell. Its unprocessed records, as one batch, may take five minutes if they are 10,000 or more,
and some seconds if they are a handful. A job that has not changed for that long has stopped for good. The time counts
from the job's last change, by the org's own clock, so a later retry or clear need not wait.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.effects import Flow, Now, Sleep
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.rounds import is_refused_input
from airflow_provider_sfbulk.client.models import JobInfo, JobState
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.protocol.org import age

BATCH_SECONDS: Final = float(limits.BATCH_SECONDS)
LEAST_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 10.0
MOST_SECONDS: Final = 24 * 60 * 60.0
"""A job that has ended has one batch at work at most: one that goes on changing for so long tells no truth."""

log = logging.getLogger(__name__)


def wait_until_still(
    jobs: IngestCalls, parts: Iterable[UploadedPart], ends: Mapping[str, JobInfo]
) -> Flow[dict[str, JobInfo]]:
    """Wait until no batch of these jobs can be at work any more.

    :param parts: what was sent to each job
    :param ends: how they ended, by their ids
    :return: those that had to be asked again
    :raises ProtocolError: one of them never comes to rest
    """
    found: dict[str, JobInfo] = {}
    for part in parts:
        job = ends[part.job_id]
        if may_be_at_work(job, part):
            found[job.id] = yield from _still(jobs, job, part)
    return found


def may_be_at_work(job: JobInfo, part: UploadedPart) -> bool:
    """Whether a batch of a job that has ended may still save records."""
    ended_early = job.state in (JobState.ABORTED, JobState.FAILED)
    return ended_early and job.processed < part.records and not is_refused_input(job)


def _still(jobs: IngestCalls, job: JobInfo, part: UploadedPart) -> Flow[JobInfo]:
    begun: float = yield Now()
    known = begun
    # What is known of the job's rest before this process looked at it.
    rest = yield from age(job.system_modstamp)
    while True:
        now: float = yield Now()
        left = still_seconds(part.records - job.processed) - rest - (now - known)
        if left <= 0:
            return job
        if now - begun > MOST_SECONDS:
            raise ProtocolError(
                f"job {job.id} ended {job.state}, but its counters still change a day later", job_id=job.id
            )
        log.info(
            "job %s ended %s with %d unprocessed records: waiting up to %.0f s, as one of its batches may still run",
            *(job.id, job.state, part.records - job.processed, left),
        )
        yield Sleep(min(left, _LOOK_SECONDS))
        again = yield from jobs.get(job.id)
        if (again.processed, again.failed, again.system_modstamp) != (job.processed, job.failed, job.system_modstamp):
            known, rest = (yield Now()), 0.0
        job = again


def still_seconds(unprocessed: int) -> float:
    """Return the seconds that a batch of so many records may take."""
    return max(LEAST_SECONDS, BATCH_SECONDS * min(1.0, unprocessed / limits.BATCH_RECORDS))
