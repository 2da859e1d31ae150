"""Finds and aborts jobs that will never be closed, because their load was killed after it created them and before it
recorded their id.

Salesforce ends an open job after 24 hours (``limits.JOB_OPEN_HOURS``); this aborts it earlier.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from airflow_provider_sfbulk.client import BulkClient
from airflow_provider_sfbulk.client.models import JobInfo, JobState, check_id
from airflow_provider_sfbulk.client.protocol.distrust import short_id


def left_jobs(client: BulkClient, older_than: timedelta) -> list[JobInfo]:
    """Find loads of Bulk API 2.0 that are still open, oldest first.

    Only those of the signed-in user: open jobs of others are left alone.

    :param older_than: minimum age of a job. A load that is still uploading has open jobs, too
    :raises ProtocolError: the org does not say who is signed in
    """
    user_id = short_id(check_id(client.user_info().get("user_id"), what="user id"))
    latest = datetime.now(UTC) - older_than
    found = [
        job
        for job in client.ingest.list_jobs()
        if job.state is JobState.OPEN
        and short_id(job.created_by_id or "") == user_id
        and job.created_date is not None
        and job.created_date < latest
    ]
    return sorted(found, key=lambda job: str(job.created_date))


def abort_jobs(client: BulkClient, jobs: list[JobInfo]) -> Iterator[JobInfo]:
    """Abort jobs that are still open, and return them. A job that was closed meanwhile is running, and stays."""
    for job in jobs:
        if client.ingest.get_job(job.id).state is JobState.OPEN:
            yield client.ingest.abort(job.id)
