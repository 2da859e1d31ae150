"""What happens to the rows of a data batch."""

from __future__ import annotations

import re
import time
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import save
from airflow_provider_sfbulk.local_org.bulk1.jobs import Batch, BatchState, Job, JobEntry
from airflow_provider_sfbulk.local_org.bulk1.records import BatchFailedError, Records, read_csv, read_json, read_xml
from airflow_provider_sfbulk.local_org.bulk1.results import WRITERS, RowResult
from airflow_provider_sfbulk.local_org.bulk2.csv_in import JobFailedError
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import columns, rows
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.values import RowError

_LINE_BREAK: Final = re.compile(r"\r\n|\n")
_ENDINGS: Final = {"LF": "\n", "CRLF": "\r\n"}


def save_batch(core: Core, entry: JobEntry, batch: Batch) -> bool:
    """Save a batch's rows; return whether it has to go back to the queue instead.

    :raises BatchFailedError: when the batch fails as a whole
    """
    with core.saving:
        return _save(core, entry, batch)


def _save(core: Core, entry: JobEntry, batch: Batch) -> bool:
    started = time.perf_counter()
    job = entry.job
    sobject = core.schema.get(job.object)
    if sobject is None:
        # An org that was started again without an object that it had.
        raise BatchFailedError(f"InvalidJob : Unable to find object: {job.object}")
    records = _read(core, job, batch, sobject)
    try:
        plan = columns.plan(core.schema, sobject, job.operation, job.external_id_field, records.header)
    except JobFailedError as error:
        raise BatchFailedError(str(error)) from error
    _set_line_endings(records, plan, job)
    _fail_long_fields(records)
    outcome = rows.Outcome([], [], {}, [])
    if records.places:
        outcome = save.decide(
            core,
            plan,
            records.header,
            records.columns,
            count=len(records.places),
            user_id=job.created_by_id,
            is_serial=job.is_serial,
        )
    batch.attempts += 1
    if _is_too_locked(job, batch, outcome):
        return True
    results = _results(records, outcome)
    # Whole before the batch is seen to be completed, and written again if the process dies between the two.
    core.bulk1.result_path(batch).write_text(WRITERS[job.content_type](results), encoding="utf-8", newline="")
    with core.store.writing() as connection:
        save.write(connection, outcome)
        batch.processed = len(results)
        batch.failed = sum(1 for result in results if result.error)
        batch.active_ms = round((time.perf_counter() - started) * 1000)
        batch.total_ms = max(batch.active_ms, int((core.clock.now() - batch.created).total_seconds() * 1000))
        core.bulk1.set_batch_state(batch, BatchState.COMPLETED)
    return False


def _read(core: Core, job: Job, batch: Batch, sobject: SObject) -> Records:
    body = core.bulk1.request_path(batch).read_bytes()
    if job.content_type == "CSV":
        return read_csv(body)
    return (read_xml if job.content_type == "XML" else read_json)(body, sobject)


def _set_line_endings(records: Records, plan: columns.Plan, job: Job) -> None:
    """Do what ``Sforce-Line-Ending`` asks for: "``LF``/``CRLF`` inside text-area values"."""
    if job.line_ending is None:
        return
    ending = _ENDINGS[job.line_ending]
    for column in plan.columns:
        if column.parent is None and column.field.type == "textarea":
            texts = records.columns[column.position]
            records.columns[column.position] = [_LINE_BREAK.sub(lambda _: ending, text) for text in texts]


def _fail_long_fields(records: Records) -> None:
    """Take out the rows with a value of more than 131,072 characters. What Salesforce answers is not known."""
    long = {
        index
        for column in records.columns
        if column and len(max(column, key=len)) > limits.FIELD_CHARACTERS
        for index, text in enumerate(column)
        if len(text) > limits.FIELD_CHARACTERS
    }
    for index in long:
        records.unreadable[records.places[index]] = f"A field is longer than {limits.FIELD_CHARACTERS} characters"
    if long:
        records.columns = [[text for i, text in enumerate(column) if i not in long] for column in records.columns]
        records.places = [place for index, place in enumerate(records.places) if index not in long]


def _is_too_locked(job: Job, batch: Batch, outcome: rows.Outcome) -> bool:
    """Whether the batch goes back to the queue.

    "If more than 100 lock problems show in a batch it is requeued, up to 10 times, then it ends with
    ``TooManyLockFailure``." Here nothing of such a batch is saved; in Salesforce some of its rows may be.

    :raises BatchFailedError: when it has been back often enough
    """
    locked = sum(1 for error in outcome.errors.values() if error.code == "UNABLE_TO_LOCK_ROW")
    if locked <= limits.BATCH_LOCK_FAILURES:
        return False
    if not job.batch_retry or batch.attempts > limits.BATCH_LOCK_RETRIES:
        raise BatchFailedError(f"TooManyLockFailure : Too many lock failure {locked} Trying again later.")
    return True


def _results(records: Records, outcome: rows.Outcome) -> list[RowResult]:
    """Return what became of the rows, in the order of the request."""
    found: dict[int, RowResult] = {}
    for index, place in enumerate(records.places):
        error = outcome.errors[index].text if index in outcome.errors else ""
        found[place] = RowResult(None if error else outcome.record_ids[index], outcome.created[index], error)
    for place, problem in records.unreadable.items():
        found[place] = RowResult(None, False, RowError("INVALID_FIELD", problem).text)
    return [found[place] for place in range(records.count)]
