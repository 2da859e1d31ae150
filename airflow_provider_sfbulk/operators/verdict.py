"""Whether a task succeeds or fails when its jobs have ended, and with which message."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_sfbulk.client.bulk1.load import AcceptedBatch
from airflow_provider_sfbulk.client.errors import FailedRecordsError, JobFailedError, SourceError
from airflow_provider_sfbulk.client.load.fill import GIVEN_UP
from airflow_provider_sfbulk.client.load.rounds import DOUBT, is_refused_input
from airflow_provider_sfbulk.client.load.still import may_be_at_work
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.waiting.wait import check_complete

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.check.report import CheckReport
    from airflow_provider_sfbulk.client.load.outcome import Outcome
    from airflow_provider_sfbulk.task.ledger import TaskLedger

log = logging.getLogger("airflow_provider_sfbulk")

NAMED_JOBS = 3
"""Jobs that a message names; the manifest has them all."""


class RefusedInputError(JobFailedError, AirflowFailException):
    """The jobs failed for the input's header or format: no retry can help, so Airflow makes none."""


class FailedCheckError(FailedRecordsError, AirflowFailException):
    """A check has found more rows with a problem than allowed: a retry would find them again."""


def judge(
    outcome: Outcome,
    ledger: TaskLedger,
    *,
    last_round: int,
    allowed: float | None,
    total: int,
    where: Sequence[str],
    unprocessed_files: Sequence[str],
) -> None:
    """Pass the verdict on a load of which nothing is sent again now.

    :param total: records of the input
    :param where: URIs of the failed records
    :param unprocessed_files: URIs of the others
    :raises JobFailedError: when records were not processed; a retry sends them again
    :raises RefusedInputError: when they were not for their header or format
    :raises FailedRecordsError: when more failed than allowed
    """
    jobs = [sent.job for _, sent in outcome.jobs]
    if unprocessed := outcome.counts["unprocessed"]:
        if unprocessed == total and not _may_be_at_work(outcome, last_round):
            # Nothing of the load is in the org, and nothing of it is at work: the next try may load what it finds then.
            ledger.record(GIVEN_UP, {})
        else:
            ledger.judge(last_round)
        _refuse_unprocessed(jobs, unprocessed, total=total, where=unprocessed_files)
    try:
        check_failed_records(
            jobs,
            failed=outcome.counts["failed"],
            allowed=allowed,
            total=total,
            codes=outcome.errors,
            advice=_advice(outcome.errors, where),
        )
    except FailedRecordsError:
        ledger.judge(last_round)
        raise


def judge_check(found: CheckReport, *, allowed: float | None, where: Sequence[str]) -> None:
    """Pass the verdict on a check: it fails as the load would.

    :param allowed: rows with a problem, as :func:`check_failed_records` has it
    :param where: URI of the file that lists them
    :raises SourceError: a load would be refused as a whole
    :raises FailedCheckError: more rows have a problem than allowed
    """
    file = f" All are in {', '.join(where)}." if where else " results_path gives a file with all of them."
    if found.refusal is not None:
        raise SourceError(f"a load would be refused before anything is sent: {found.refusal}.{file}")
    if not found.failed:
        return
    limit = "any number" if allowed is None else f"{allowed:,}"
    report = (
        f"{found.failed:,} of {found.records:,} rows would fail ({_by_code(found.errors)}), {limit} allowed by "
        f"max_failed_records. Nothing was sent; the log has the first rows of each kind.{file}"
    )
    if allowed is None or found.failed <= (allowed * found.records if isinstance(allowed, float) else allowed):
        log.warning("%s", report)
        return
    raise FailedCheckError(report)


def _may_be_at_work(outcome: Outcome, last_round: int) -> bool:
    """Whether a batch may still be at work. Those of the rounds before, and each of Bulk API 1.0, were waited for."""
    last = [end for number, end in outcome.jobs if number == last_round and not isinstance(end.part, AcceptedBatch)]
    return any(may_be_at_work(end.job, end.part) for end in last)


def _refuse_unprocessed(jobs: Sequence[JobInfo], unprocessed: int, *, total: int, where: Sequence[str]) -> None:
    for job in reversed(jobs):
        try:
            check_complete(job)
        except JobFailedError as error:
            if is_refused_input(job):
                raise RefusedInputError(f"{error}. {_refused(unprocessed, total, where)}", job_id=job.id) from error
            raise JobFailedError(
                f"{error}. {unprocessed:,} records were not processed: a retry (or clearing the task) sends them again.",
                job_id=job.id,
            ) from error
    raise JobFailedError(
        f"{unprocessed:,} records were not processed although their jobs completed (an allowance of the org may be "
        "used up): a retry (or clearing the task) sends them again.",
        job_id=jobs[-1].id,
    )


def _refused(unprocessed: int, total: int, where: Sequence[str]) -> str:
    if unprocessed == total:
        return "Nothing was processed. Correct the input, the arguments or the org, and clear the task."
    file = f"{', '.join(where)}, corrected," if where else "only these records, corrected (results_path gives a file),"
    return (
        f"{unprocessed} of {total} records were not processed. If the org lacks something, such as a field or a "
        f"permission, fix the org and clear the task with unchanged arguments: a clear sends what is not in the "
        f"org, a retry does not. "
        f"If the input is wrong, load {file} in another run instead, and do not clear this task."
    )


def check_failed_records(
    jobs: Sequence[JobInfo],
    *,
    failed: int,
    allowed: float | None,
    total: int,
    codes: Mapping[str, int],
    advice: str,
) -> None:
    """Refuse more failed records than allowed; those that are allowed are logged as a warning.

    :param failed: how many failed, those that were saved later left out
    :param allowed: a number of records; a float: fraction of ``total``; None: any number
    :param codes: how many failed with which of Salesforce's codes, as far as that is known
    :param advice: where they are, and what to do
    :raises FailedRecordsError: naming the jobs, how many and which codes; never a record's contents
    """
    report = f"{_report(jobs, failed=failed, allowed=allowed, total=total, codes=codes)} {advice}"
    if allowed is None or failed <= (allowed * total if isinstance(allowed, float) else allowed):
        if failed:
            log.warning("%s", report)
        return
    raise FailedRecordsError(report, job_id=next((job.id for job in jobs if job.failed), jobs[0].id))


def _report(
    jobs: Sequence[JobInfo], *, failed: int, allowed: float | None, total: int, codes: Mapping[str, int]
) -> str:
    # The counters of a job that did not complete may lag behind its files: then any of the jobs may hold the failures.
    with_failures = [job for job in jobs if job.failed] or list(jobs)
    sums: dict[str, tuple[int, int]] = {}  # by job: the batches of one of Bulk API 1.0 come one by one
    for job in with_failures:
        bad, all_ = sums.get(job.id, (0, 0))
        sums[job.id] = (bad + job.failed, all_ + job.processed)
    named = ", ".join(
        f"{bad:,} of {all_:,} in job {job_id}" if bad else f"job {job_id}"
        for job_id, (bad, all_) in list(sums.items())[:NAMED_JOBS]
    )
    more = f" and {len(sums) - NAMED_JOBS:,} more jobs" if len(sums) > NAMED_JOBS else ""
    codes_of = f" ({_by_code(codes)})" if codes else ""
    limit = "any number" if allowed is None else f"{allowed:,}"
    return f"{failed:,} of {total:,} records failed{codes_of}, {limit} allowed by max_failed_records: {named}{more}."


def _by_code(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{code} {count:,}" for code, count in sorted(codes.items(), key=lambda item: (-item[1], item[0])))


def _advice(codes: Mapping[str, int], where: Sequence[str]) -> str:
    if doubtful := codes.get(DOUBT):
        files = f"All are in {', '.join(where)}" if where else "Set results_path to get them as a file"
        return (
            f"Salesforce does not say whether {doubtful} of them ({DOUBT}) were saved: compare these with the org "
            f"before you load any of them again. {files}, with Salesforce's reasons."
        )
    if where:
        files = ", ".join(where)
        return f"They are in {files}, with Salesforce's reasons: fix them there and load that file in another run."
    return "Set results_path to get them as a file, with Salesforce's reasons."
