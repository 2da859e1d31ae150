"""Query jobs for Python callers: the single calls, and a whole query with one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_sfbulk.client.caller import Caller
from airflow_provider_sfbulk.client.flows import query
from airflow_provider_sfbulk.client.flows.job import QueryJobs
from airflow_provider_sfbulk.client.flows.wait import DEFAULT_SCHEDULE, Schedule, check_complete
from airflow_provider_sfbulk.client.job_calls import JobCalls, OnProgress, Timeout
from airflow_provider_sfbulk.client.models import JobInfo, QueryOperation
from airflow_provider_sfbulk.client.records.dialect import dialect_of
from airflow_provider_sfbulk.client.results import PAGE_RECORDS, BulkQueryResult
from airflow_provider_sfbulk.client.spool import Spool


class QueryApi(JobCalls):
    """``client.query``."""

    def __init__(self, client: Caller) -> None:
        self._query = QueryJobs(client.api_version)
        super().__init__(client, self._query)

    def create_job(self, soql: str, *, include_deleted: bool = False, **options: Any) -> JobInfo:
        """Create a query job, which starts by itself.

        :param include_deleted: also deleted and archived records
        :param options: ``column_delimiter``, ``line_ending``
        """
        operation = QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY
        return self._client.run(self._query.create(soql, operation=operation, **options))

    def result_pages(self, job_id: str) -> list[str]:
        """Ask for the locators of all pages of a finished job, in order (API 58.0 and later)."""
        return self._client.run(query.result_pages(self._query, job_id))

    def results(
        self, job_id: str, *, locator: str | None = None, max_records: int | None = None
    ) -> Iterator[dict[str, str]]:
        """Read a finished job's records, or those of one page, all text as Salesforce sent it.

        Page after page is downloaded and proven before its records are given; a page lies on disk, not in memory.

        :param locator: of the one page to read
        :param max_records: records of a page at most
        :raises ProtocolError: at the end, when the pages do not add up to the job's records
        """
        job = self.get_job(job_id)
        if locator is None:
            return self._all_pages(job, max_records)
        _, spool = self._page(job, locator, max_records, [])
        return spool.rows()

    def _all_pages(self, job: JobInfo, max_records: int | None) -> Iterator[dict[str, str]]:
        pages: list[query.Page] = []
        while not pages or pages[-1].next_locator is not None:
            page, spool = self._page(job, pages[-1].next_locator if pages else None, max_records, pages)
            pages.append(page)
            yield from spool.rows()
        query.check_total(job, pages)

    def _page(
        self, job: JobInfo, locator: str | None, max_records: int | None, before: Sequence[query.Page]
    ) -> tuple[query.Page, Spool]:
        spool = Spool(dialect_of(job))
        page = self._client.run(query.next_page(self._query, job.id, spool, before, locator, max_records=max_records))
        return page, spool

    def perform(
        self,
        soql: str,
        *,
        include_deleted: bool = False,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        page_records: int = PAGE_RECORDS,
        **options: Any,
    ) -> BulkQueryResult:
        """Run a query and wait for it; the rows stream from the result.

        :param include_deleted: also deleted and archived records
        :param timeout: of the wait, in seconds or as a timedelta; its end raises ``JobTimeoutError``, the job goes on
        :param options: ``column_delimiter``, ``line_ending``
        :raises RequestRefusedError: Salesforce refuses the SOQL
        :raises JobFailedError: the job ended ``Failed`` or ``Aborted``
        """
        made = self.create_job(soql, include_deleted=include_deleted, **options)
        job = check_complete(self.wait(made.id, timeout=timeout, on_progress=on_progress, schedule=schedule))
        return BulkQueryResult(self._client, job, page_records=page_records)
