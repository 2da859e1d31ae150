"""Reads the org's rows that a load's rows are compared with: one query job, which every try finds again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from airflow_provider_sfbulk.client.compare.input_rows import InputRows
from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import JobFailedError, ProtocolError, RequestRefusedError
from airflow_provider_sfbulk.client.extract.query_job import ByPages, Submitted, fetch_pages, submit
from airflow_provider_sfbulk.client.extract.whole_object import select_statement
from airflow_provider_sfbulk.client.models import ColumnDelimiter, JobInfo, JobState, LineEnding, QueryOperation
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.client.protocol.org import age
from airflow_provider_sfbulk.client.results.downloads import TypedPage
from airflow_provider_sfbulk.client.soql import soql_literal
from airflow_provider_sfbulk.client.values.text_arrow import compute

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from airflow_provider_sfbulk.client.compare.digested import FoundRows
    from airflow_provider_sfbulk.client.results.schema import ColumnType

KEY: Final = "00"
"""The ledger's key for the query's jobs. It begins with a number: without it the query is made once more."""

PAGES_AT_ONCE: Final = 2
"""Each takes some 30 MiB."""

PAGE_RECORDS: Final = 100_000

_TOGETHER: Final = 8192
"""Rows that are digested together: of many at once the digests alone take megabytes."""

RECENT: Final = timedelta(hours=1)
"""How long ago the query of an earlier try may have ended: the org changes, and a row that differs now is to be sent."""

Wait: TypeAlias = Callable[[QueryCalls, str], Flow[JobInfo]]

log = logging.getLogger(__name__)


def ask(jobs: QueryCalls, sobject: str, rows: InputRows, *, awaited: Collection[str] = ()) -> Flow[Submitted]:
    """Make the query job, or find the one of an earlier try that asked the same a short while ago.

    :param awaited: ids of jobs that will do at any age: this try has waited for them
    :raises RequestRefusedError: Salesforce refuses the query; its own words, which may quote a key, are left out
    """
    columns = rows.columns
    key = columns[0].name
    names = rows.names
    found = f"{key} != null" if names is None else f"{key} IN {soql_literal(list(names))}"
    soql = select_statement(sobject, [each.name for each in columns], [] if key == "Id" and names is None else [found])
    try:
        return (
            yield from submit(
                jobs,
                soql,
                operation=QueryOperation.QUERY,
                column_delimiter=ColumnDelimiter.COMMA,
                line_ending=LineEnding.LF,
                plan=hashlib.sha256(soql.encode()).hexdigest()[:16],
                key=KEY,
                will_do=partial(_is_recent, awaited),
            )
        )
    except RequestRefusedError as error:
        raise RequestRefusedError(
            f"skip_unchanged: Salesforce refuses to read {', '.join(each.name for each in columns[:50])} of {sobject}, "
            "with which the rows are compared. Leave out the columns that cannot be queried (column_mapping), or load "
            "without skip_unchanged",
            error_code=error.error_code,
            status=error.status,
        ) from None


def compare(jobs: QueryCalls, sobject: str, rows: InputRows, wait: Wait) -> Flow[None]:
    """Compare the rows with the org's.

    :param wait: waits for a job
    """
    if rows.may_be_there:
        asked = yield from ask(jobs, sobject, rows)
        job = yield from wait(jobs.at(asked.api_version), asked.job_id)
        yield from find_all(jobs, job, rows)


def find_all(jobs: QueryCalls, job: JobInfo, rows: InputRows) -> Flow[None]:
    """Compare the rows with all that the query has found.

    :raises JobFailedError: the query job did not complete
    """
    if job.state is not JobState.JOB_COMPLETE:
        raise JobFailedError(
            f"query job {job.id}, which reads the rows that skip_unchanged compares with, is {job.state}. Nothing was sent",
            job_id=job.id,
        )
    dialect = dialect_of(job)

    def page(_: int, types: tuple[ColumnType, ...]) -> _FoundPage:
        return _FoundPage(dialect, types, found=rows.found)

    yield from fetch_pages(ByPages(jobs, job, PAGE_RECORDS, PAGES_AT_ONCE), job, page, typed=False)


def _is_recent(awaited: Collection[str], job: JobInfo) -> Flow[bool]:
    if job.id in awaited or not job.is_final:
        return True
    return (yield from age(job.system_modstamp)) < RECENT.total_seconds()


class _FoundPage(TypedPage):
    """A page whose rows are digested as they come, and count once the page is proven."""

    def __init__(self, dialect: object, types: tuple[ColumnType, ...], *, found: FoundRows) -> None:
        super().__init__(dialect, types)  # type: ignore[arg-type]
        self._found = found
        self._held: list[NDArray[np.int64]] = []
        self._places: list[int] = []

    def _begin_rows(self, schema: pa.Schema) -> None:
        there = {name.casefold(): place for place, name in enumerate(schema.names)}
        names = [each.name for each in self._found.columns]
        if missing := [each for each in names if each.casefold() not in there]:
            raise ProtocolError(f"a result page without {', '.join(missing[:50])}, which the query asked for")
        self._places = [there[each.casefold()] for each in names]

    def _rows(self, batch: pa.RecordBatch) -> None:
        columns = [compute.fill_null(batch.column(place), "") for place in self._places]
        for start in range(0, batch.num_rows, _TOGETHER):
            self._held.append(self._found.hold([each.slice(start, _TOGETHER) for each in columns]))

    def _end_rows(self) -> None:
        self._found.file.keep(self._held)

    def _drop(self) -> None:
        self._held = []
