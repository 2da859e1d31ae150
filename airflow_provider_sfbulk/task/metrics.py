"""The metrics of tasks, which go where Airflow sends its own metrics (StatsD, Datadog, OpenTelemetry).

Only tasks emit metrics: Airflow (3.3.2) sets up no metrics for the SDK in the triggerer's process, so the resumed task
counts what its trigger has done. Plain StatsD drops tags, so a code is part of a name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from airflow.sdk.observability.stats import Stats

from airflow_provider_sfbulk.client.models import JobInfo, by_code

PREFIX: Final = "salesforce_bulk"
RECORDS: Final = f"{PREFIX}.records"
"""Followed by ``.successful``, ``.failed``, ``.unprocessed`` for a load, by ``.read`` for a query."""
FAILURES: Final = f"{PREFIX}.failures"
"""Followed by Salesforce's code."""
API_CALLS: Final = f"{PREFIX}.api_calls"
JOB_TIME: Final = f"{PREFIX}.job_time"
"""How long Salesforce says that it worked on a job."""


def count_load(
    counts: Mapping[str, int], errors: Mapping[str, int], jobs: Iterable[JobInfo], *, tags: Mapping[str, str]
) -> None:
    """Count the results of a load.

    :param counts: ``successful``, ``failed`` and ``unprocessed``
    :param errors: failed records by Salesforce's code
    :param jobs: that have ended
    """
    for kind, count in counts.items():
        _count(f"{RECORDS}.{kind}", count, tags)
    for code, count in by_code(errors).items():
        _count(f"{FAILURES}.{code}", count, tags)
    _time(jobs, tags)


def count_query(records: int, job: JobInfo, *, tags: Mapping[str, str]) -> None:
    """Count the records of a query that was fetched completely."""
    _count(f"{RECORDS}.read", records, tags)
    _time([job], tags)


def count_api_calls(calls: int, *, tags: Mapping[str, str]) -> None:
    """Count the API calls of a try that has ended, including those of its triggers."""
    _count(API_CALLS, calls, tags)


def _count(name: str, count: int, tags: Mapping[str, str]) -> None:
    if count:
        Stats.incr(name, count, tags=dict(tags))


def _time(jobs: Iterable[JobInfo], tags: Mapping[str, str]) -> None:
    for job in jobs:
        if job.total_processing_time is not None:
            Stats.timing(JOB_TIME, timedelta(milliseconds=job.total_processing_time), tags=dict(tags))
