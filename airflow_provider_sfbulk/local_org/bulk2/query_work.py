"""What happens to a query job after it is created: its rows are read in one moment and written once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from airflow_provider_sfbulk.local_org.bulk2.jobs import Entry, Job, State
from airflow_provider_sfbulk.local_org.bulk2.results import QueryResults
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.soql import CompiledQuery, SoqlError, compile_query

_ROWS_AT_A_TIME: Final = 5_000


def compiled(core: Core, job: Job) -> CompiledQuery:
    """Compile a job's query as of its creation.

    :raises SoqlError: when Salesforce would refuse it
    """
    return compile_query(
        job.query or "",
        core.schema,
        now=job.created,
        user_id=job.created_by_id,
        include_deleted=job.operation == "queryAll",
    )


def work(core: Core, entry: Entry, begun: datetime) -> Iterator[datetime]:
    """Do the job; yield the moments at which it continues.

    :param begun: when it was submitted: its time runs from there, however late a busy machine starts it
    """
    job = entry.job
    if job.state not in (State.UPLOAD_COMPLETE, State.IN_PROGRESS):
        return
    core.jobs.set_state(entry, State.IN_PROGRESS)
    core.troubles.start(job)
    yield begun + timedelta(seconds=core.job_seconds)
    if job.state is not State.IN_PROGRESS:
        return
    trouble = core.troubles.stops(entry, at_end=True)
    if trouble is not None:
        # A stuck job is taken up again when it is released.
        if trouble.error_message is not None:
            job.error_message = trouble.error_message
            core.jobs.set_state(entry, State.FAILED)
        return
    started = time.perf_counter()
    try:
        query = compiled(core, job)
    except SoqlError as error:
        # It compiled when the job was made: the org has been started again without an object or field that it had.
        job.error_message = f"{error.error_code} : {error.message}"
        core.jobs.set_state(entry, State.FAILED)
        return
    with core.store.reader() as connection:
        cursor = connection.execute(query.sql, query.parameters)

        def some_rows() -> Iterator[list[Any]]:
            while some := cursor.fetchmany(_ROWS_AT_A_TIME):
                yield some

        paths = [column.path for column in query.columns]
        fields = [column.field for column in query.columns]
        job.processed = QueryResults(core.jobs.folder(job)).write(paths, fields, job.dialect, some_rows())
    job.active_ms = round((time.perf_counter() - started) * 1000)
    job.total_ms = max(job.active_ms, int((core.clock.now() - begun).total_seconds() * 1000))
    core.jobs.set_state(entry, State.JOB_COMPLETE)
