"""Query jobs for Python callers: the single calls, and a whole query with one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.flows import query
from airflow_provider_sfbulk.client.flows.job import QueryJobs
from airflow_provider_sfbulk.client.flows.wait import check_complete, wait_until_final
from airflow_provider_sfbulk.client.models import JobInfo, QueryOperation
from airflow_provider_sfbulk.client.results import PAGE_RECORDS, BulkQueryResult, seconds_of
from airflow_provider_sfbulk.client.wire import Sink

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.bulk import BulkClient


class QueryApi:
    """``client.query``."""

    def __init__(self, client: BulkClient) -> None:
        self._client = client
        self._jobs = QueryJobs(client.api_version)

    def create_job(self, soql: str, **options: Any) -> JobInfo:
        """Create a query job, which starts by itself. Options: ``operation``, ``column_delimiter``, ``line_ending``."""
        return self._client.run(self._jobs.create(soql, **options))

    def get_job(self, job_id: str) -> JobInfo:
        """Read a job."""
        return self._client.run(self._jobs.get(job_id))

    def list_jobs(self, *, job_type: str | None = None) -> Iterator[JobInfo]:
        """Read all query jobs of the org, of the last seven days, page by page."""
        locator: str | None = None
        while True:
            page = self._client.run(self._jobs.list_page(locator=locator, job_type=job_type))
            yield from page.jobs
            locator = page.next_locator
            if locator is None:
                return

    def abort(self, job_id: str) -> JobInfo:
        """Abort a job."""
        return self._client.run(self._jobs.abort(job_id))

    def delete(self, job_id: str) -> None:
        """Delete a job with its results."""
        self._client.run(self._jobs.delete(job_id))

    def results(
        self, job_id: str, sink: Sink, *, locator: str | None = None, max_records: int | None = None
    ) -> query.Page:
        """Fetch one page of a finished job into ``sink``; the returned page names the next one."""
        return self._client.run(query.fetch_page(self._jobs, job_id, sink, locator=locator, max_records=max_records))

    def result_pages(self, job_id: str) -> list[str]:
        """Ask for the locators of all pages of a finished job, in order (API 58.0 and later)."""
        return self._client.run(query.result_pages(self._jobs, job_id))

    def perform(
        self,
        soql: str,
        *,
        include_deleted: bool = False,
        timeout: float | timedelta | None = None,
        on_progress: Callable[[JobInfo], None] | None = None,
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
        operation = QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY
        made = self.create_job(soql, operation=operation, **options)
        flow = wait_until_final(self._jobs, [made.id], timeout=seconds_of(timeout), on_progress=on_progress)
        (job,) = self._client.run(flow)
        return BulkQueryResult(self._client, check_complete(job), page_records=page_records)
