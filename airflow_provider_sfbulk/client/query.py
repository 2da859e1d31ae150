"""Query jobs for Python callers: single calls, and a whole query with one call."""

from __future__ import annotations

from typing import Any, Unpack

from airflow_provider_sfbulk.client.arguments import count
from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.extract import pages as query
from airflow_provider_sfbulk.client.faces.caller import AsyncCaller, Caller
from airflow_provider_sfbulk.client.faces.declare import Asynchronous, Blocking, Give, Stream, call, stream, whole
from airflow_provider_sfbulk.client.faces.job_calls import JobMethods, Timeout, timeout_seconds
from airflow_provider_sfbulk.client.faces.options import DialectOptions
from airflow_provider_sfbulk.client.faces.query_result import PAGE_RECORDS, AsyncBulkQueryResult, BulkQueryResult
from airflow_provider_sfbulk.client.models import JobInfo, QueryOperation
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.client.results.spool import DownloadedRows
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.waiting.wait import OnProgress, check_complete, wait_until_final


class QueryMethods(JobMethods):
    """The calls on query jobs."""

    _client: Any
    _result: type[BulkQueryResult] | type[AsyncBulkQueryResult]

    def __init__(self, client: Caller | AsyncCaller) -> None:
        self._client = client
        self._jobs = self._query = QueryCalls(client.api_version)

    @call
    def create_job(
        self, /, soql: str, *, include_deleted: bool = False, **options: Unpack[DialectOptions]
    ) -> Flow[JobInfo]:
        """Create a query job, which starts by itself.

        :param include_deleted: also deleted and archived records
        :param options: ``column_delimiter``, ``line_ending``
        """
        operation = QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY
        return self._query.create(soql, operation=operation, **options)

    @call
    def result_pages(self, job_id: str) -> Flow[list[str]]:
        """Ask for the locators of all pages of a finished job, in order (API 58.0 and later)."""
        job = yield from self._query.get(job_id)
        return (yield from query.result_pages(self._query.at(job.api_version), job_id))

    @stream
    def results(
        self, job_id: str, *, locator: str | None = None, max_records: int | None = None
    ) -> Stream[dict[str, str]]:
        """Read a finished job's records, or those of one page, all text as Salesforce sent it.

        Each page is downloaded and checked before its records are given; it is kept on disk, not in memory.

        :param locator: to read only this page
        :param max_records: maximum records of a page
        :raises ProtocolError: at the end, when the pages do not add up to the job's records
        """
        job: JobInfo = yield self._query.get(job_id)
        pages: list[query.Page] = []
        while not pages or (locator is None and pages[-1].next_locator is not None):
            spool = DownloadedRows(dialect_of(job))
            wanted = pages[-1].next_locator if pages else locator
            jobs = self._query.at(job.api_version)
            pages.append((yield query.next_page(jobs, job.id, spool, pages, wanted, max_records=max_records)))
            yield Give(spool.rows())
        if locator is None:
            query.check_total(job, pages)

    @whole(BulkQueryResult, AsyncBulkQueryResult)
    def perform(
        self,
        /,
        soql: str,
        *,
        include_deleted: bool = False,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        page_records: int = PAGE_RECORDS,
        **options: Unpack[DialectOptions],
    ) -> Flow[Any]:
        """Run a query and wait for it; the rows stream from the result.

        :param include_deleted: also deleted and archived records
        :param timeout: limit of the wait, in seconds or as a timedelta; after it ``JobTimeoutError`` is raised, and the job
            continues
        :param options: ``column_delimiter``, ``line_ending``
        :raises RequestRefusedError: Salesforce refuses the SOQL
        :raises JobFailedError: the job ended ``Failed`` or ``Aborted``
        """
        count()("page_records", page_records)
        waiting = timeout_seconds(timeout)
        operation = QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY
        made = yield from self._query.create(soql, operation=operation, **options)
        (job,) = yield from wait_until_final(
            self._query, [made.id], schedule=schedule, timeout=waiting, on_progress=on_progress
        )
        return self._result(self._client, check_complete(job), page_records=page_records)


class QueryApi(Blocking, QueryMethods):
    """``client.query``."""

    _result = BulkQueryResult


class AsyncQueryApi(Asynchronous, QueryMethods):
    """``client.query`` of an asynchronous client."""

    _result = AsyncBulkQueryResult
