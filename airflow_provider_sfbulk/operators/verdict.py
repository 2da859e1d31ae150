"""Whether the end of the jobs is the task's success or its failure, and how it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_provider_sfbulk.client.errors import FailedRecordsError, SourceError
from airflow_provider_sfbulk.client.models import JobInfo

NAMED_JOBS = 3
"""Jobs that a message names; the manifest has them all."""


def check_allowance(name: str, value: object) -> None:
    """Check a number of records, a float as fraction of all, or None for any number.

    :raises SourceError: for another kind of value, and beyond the bounds
    """
    if value is None or (isinstance(value, float) and 0 <= value <= 1):
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SourceError(
            f"{name} is a whole number from 0, a float from 0.0 to 1.0 as fraction of all records, or None, "
            f"not {value!r:.40}"
        )


def check_failed_records(
    infos: Sequence[JobInfo], *, allowed: float | None, total: int, codes: Mapping[str, int], where: Sequence[str] = ()
) -> None:
    """Refuse more failed records than allowed.

    :param allowed: a number of records; a float: fraction of ``total``; None: any number
    :param codes: how many failed with which of Salesforce's codes
    :param where: URIs of the failed records
    :raises FailedRecordsError: naming the jobs, how many and which codes; never a record's contents
    """
    failed = sum(info.failed for info in infos)
    if allowed is None or failed <= (allowed * total if isinstance(allowed, float) else allowed):
        return
    jobs = [info for info in infos if info.failed]
    named = ", ".join(f"{info.failed} of {info.processed} in job {info.id}" for info in jobs[:NAMED_JOBS])
    more = f" and {len(jobs) - NAMED_JOBS} more jobs" if len(jobs) > NAMED_JOBS else ""
    reasons = ", ".join(
        f"{code} {count}" for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0]))
    )
    told = f" ({reasons})" if reasons else ""
    advice = (
        f"They are in {', '.join(where)}, with Salesforce's words; mend them and load that file in another run."
        if where
        else "Set results_path to get them as a file, with Salesforce's words."
    )
    raise FailedRecordsError(
        f"{failed} of {total} records failed{told}, {allowed} allowed by max_failed_records: {named}{more}. {advice}",
        job_id=jobs[0].id,
    )
