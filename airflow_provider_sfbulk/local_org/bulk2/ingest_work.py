"""What happens to an ingest job after it is closed.

"The server cuts the data into internal batches of 10,000 records"; they are saved in no order to rely on — here in
one that is shuffled by the job's id, so that it is the same every time and never the upload's. A job that takes
``job_seconds`` saves a batch whenever its share of that time is over.

A batch's records, its line in the job table and the length of the result files are committed together. So an org that
was killed takes a job up again where it stopped, with no row twice.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import save
from airflow_provider_sfbulk.local_org.bulk2 import csv_in, results
from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, Job, State
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import columns, rows

SUCCESSFUL: Final = "successful"
FAILED: Final = "failed"
OWN_COLUMNS: Final = {SUCCESSFUL: ("sf__Id", "sf__Created"), FAILED: ("sf__Id", "sf__Error")}


def result_path(core: Core, job: Job, name: str) -> Path:
    """Return a result file of a job."""
    return core.jobs.folder(job) / f"{name}.csv"


def work(core: Core, entry: Entry, begun: datetime) -> Iterator[datetime]:
    """Do the job; yield the moments at which it continues.

    :param begun: when it was submitted: its time runs from there, however late a busy machine starts it
    """
    job = entry.job
    if job.state not in (State.UPLOAD_COMPLETE, State.IN_PROGRESS):
        return
    core.jobs.set_state(entry, State.IN_PROGRESS)
    core.troubles.start(job)
    try:
        sobject = core.schema.get(job.object)
        if sobject is None:
            # An org that was started again without an object that it had.
            raise csv_in.JobFailedError(f"InvalidJob : Unable to find object: {job.object}")
        contents = csv_in.read(core.jobs.upload_path(job), job.dialect, batch_records=core.batch_records)
        # An upload of nothing has nothing to be wrong with: the job ends well (jsforce's live tests, for each operation).
        plan = columns.Plan(sobject, job.operation, ())
        if contents.header:
            plan = columns.plan(core.schema, sobject, job.operation, job.external_id_field, contents.header)
    except csv_in.JobFailedError as error:
        _remember_spans(core, job, error)
        core.jobs.set_state(entry, State.FAILED)
        return
    job.header_line = contents.header_line
    if not job.done:
        # Else it is taken up again, perhaps by an org with batches of another size: what was saved counts by the first.
        job.spans = [(span.start, span.end) for span in contents.spans]
    _cut_results(core, job)
    order = list(range(len(job.spans)))
    if len(order) > 1:
        random.Random(job.id).shuffle(order)  # noqa: S311 - no secret; the same order every time is the point
        if order == sorted(order):
            order.reverse()
    left = [index for index in order if index not in job.done]
    for number, index in enumerate(left, start=1):
        yield begun + timedelta(seconds=core.job_seconds * number / len(left))
        if _stopped(core, entry):
            return
        if not core.usage.take_batch():
            job.error_message = "ExceededQuota : ApiBatchItems Limit exceeded"
            core.jobs.set_state(entry, State.FAILED)
            return
        with core.saving:
            _save_batch(core, job, plan, contents.header, index)
    if not left:
        yield begun + timedelta(seconds=core.job_seconds)
    if _stopped(core, entry, at_end=True):
        return
    job.total_ms = max(job.active_ms, int((core.clock.now() - (job.closed or begun)).total_seconds() * 1000))
    core.jobs.set_state(entry, State.JOB_COMPLETE)


def _stopped(core: Core, entry: Entry, *, at_end: bool = False) -> bool:
    """Whether the job ends or waits here: somebody changed its state, or a test asked for it. A stuck job is taken up
    again when it is released."""
    if entry.job.state is not State.IN_PROGRESS:
        return True
    trouble = core.troubles.stops(entry, at_end=at_end)
    if trouble is not None and trouble.error_message is not None:
        entry.job.error_message = trouble.error_message
        core.jobs.set_state(entry, State.FAILED)
    return trouble is not None


def _save_batch(core: Core, job: Job, plan: columns.Plan, header: Sequence[str], index: int) -> None:
    started = time.perf_counter()
    dialect = job.dialect
    table = csv_in.table(core.jobs.upload_path(job), dialect, csv_in.Span(*job.spans[index]), len(plan.columns))
    texts = {SUCCESSFUL: "", FAILED: ""}
    outcome = rows.Outcome([], [], {}, [])
    if table.count:
        outcome = save.decide(core, plan, header, table.columns, user_id=job.created_by_id)
        texts = _result_texts(plan, table, outcome, dialect)
    for values, problem in table.malformed:
        # That such rows fail is certain for blanks beside quotes, likely for another number of columns; Salesforce's
        # message is not known.
        texts[FAILED] += results.row_text(["", f"INVALID_FIELD:{problem}:--", *values], dialect)
    lengths = {name: _append(core, job, name, text) for name, text in texts.items()}
    failed = len(outcome.errors) + len(table.malformed)
    with core.store.writing() as connection:
        save.write(connection, outcome)
        job.result_bytes = lengths
        job.done.append(index)
        job.processed += table.count + len(table.malformed)
        job.failed += failed
        job.active_ms += round((time.perf_counter() - started) * 1000)
        core.jobs.keep(job)


def _result_texts(
    plan: columns.Plan, table: csv_in.Table, outcome: rows.Outcome, dialect: csv_in.Dialect
) -> dict[str, str]:
    """Return the rows of the successful and the failed file."""
    echo = [
        results.echoed(
            column.field if column.parent is None else None, texts, outcome.values.get(column.field.name, texts)
        )
        for column, texts in zip(plan.columns, table.columns, strict=True)
    ]
    record_ids = [record_id or "" for record_id in outcome.record_ids]
    created = ["true" if created else "false" for created in outcome.created]
    if not outcome.errors:
        return {SUCCESSFUL: results.ingest_rows([record_ids, created], echo, dialect), FAILED: ""}
    bad = sorted(outcome.errors)
    good = [row for row in range(table.count) if row not in outcome.errors]
    errors = [outcome.errors[row].text.replace('"', '""') for row in bad]
    return {
        SUCCESSFUL: results.ingest_rows(
            [[record_ids[row] for row in good], [created[row] for row in good]],
            [[column[row] for row in good] for column in echo],
            dialect,
        ),
        FAILED: results.ingest_rows(
            [[record_ids[row] for row in bad], errors], [[column[row] for row in bad] for column in echo], dialect
        ),
    }


def _append(core: Core, job: Job, name: str, text: str) -> int:
    """Add rows to a result file; return its length."""
    with result_path(core, job, name).open("ab") as file:
        file.write(text.encode())
        return file.tell()


def _cut_results(core: Core, job: Job) -> None:
    """Cut the result files to what is valid, so that they start with the header."""
    for name, own in OWN_COLUMNS.items():
        path = result_path(core, job, name)
        valid = job.result_bytes.get(name)
        if valid is None:
            path.write_bytes(results.ingest_header(own, job.header_line, job.dialect).encode())
        else:
            with path.open("r+b") as file:
                file.truncate(valid)


def _remember_spans(core: Core, job: Job, error: csv_in.JobFailedError) -> None:
    """Record why the job failed, and that everything after the first line is unprocessed, unless some of it was saved
    before: an org that was started again may have other objects."""
    job.error_message = str(error)
    if job.done:
        return
    path = core.jobs.upload_path(job)
    with path.open("rb") as file:
        first_line = file.readline(4 * limits.HEADER_CHARACTERS)
    with suppress(UnicodeDecodeError):
        job.header_line = first_line.decode().rstrip("\r\n")
    job.spans = [(len(first_line), path.stat().st_size)]
    _cut_results(core, job)
