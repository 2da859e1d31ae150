"""The result of a whole query: its rows as a stream, or as a DataFrame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.extract.pages import Page, check_total, next_page
from airflow_provider_sfbulk.client.extract.query_job import ByPages, describe_columns, fetch_pages, widen_for
from airflow_provider_sfbulk.client.faces.declare import (
    Give,
    Stream,
    call,
)
from airflow_provider_sfbulk.client.faces.whole_results import AsyncQuery, BlockingQuery, WholeQuery
from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.client.results.downloads import TablePage
from airflow_provider_sfbulk.client.results.frame import data_frame
from airflow_provider_sfbulk.client.results.schema import ColumnType, MisfitError

if TYPE_CHECKING:
    import pandas as pd


AT_ONCE: Final = 4
"""Pages that are read at the same time for a DataFrame."""

PAGE_RECORDS: Final = 50_000
"""Records of one page when rows are streamed, as in other clients; a page is held in memory."""


class QueryResult(WholeQuery):
    """The rows of a finished query job: iterate for dicts, or take a DataFrame. ``len()`` is known before.

    Values are typed by describe: ``int``, ``Decimal``, ``float``, ``bool``, ``date``, aware ``datetime``, text; null is
    None. Each iteration reads the pages again.

    A number with more decimals than describe promises turns its column into ``float``: the whole column in a DataFrame,
    and in an iteration from that page on, since earlier rows have been given out.
    """

    def __init__(self, client: Any, job: JobInfo, *, page_records: int = PAGE_RECORDS) -> None:
        self.job = job
        self._client = client
        self._jobs = QueryCalls(client.api_version).at(job.api_version)
        self._page_records = page_records

    def __len__(self) -> int:
        return self.job.processed

    @call
    def to_df(self) -> Flow[pd.DataFrame]:
        """Return all rows as a DataFrame with Arrow types, which has columns and types even without rows."""
        made: dict[int, TablePage] = {}

        def make_page(index: int, types: tuple[ColumnType, ...]) -> TablePage:
            made[index] = self._page(types)
            return made[index]

        reader = ByPages(self._jobs, self.job, self._page_records, AT_ONCE)
        count = yield from fetch_pages(reader, self.job, make_page, typed=True)
        pages = [made[index] for index in range(count)]
        schema = pages[0].schema
        assert schema is not None, "a page that is finished has a schema"
        return data_frame((batch for page in pages for batch in page.batches), schema)

    def _rows(self) -> Stream[dict[str, Any]]:
        types = yield describe_columns(self._jobs, self.job)
        pages: list[Page] = []
        while not pages or pages[-1].next_locator is not None:
            sink = self._page(types)
            locator = pages[-1].next_locator if pages else None
            try:
                page = yield next_page(self._jobs, self.job.id, sink, pages, locator, max_records=self._page_records)
            except MisfitError as misfit:
                types = widen_for(types, misfit)
                continue
            pages.append(page)
            yield Give(row for batch in sink.batches for row in batch.to_pylist())
        check_total(self.job, pages)

    def _page(self, types: Sequence[ColumnType]) -> TablePage:
        return TablePage(dialect_of(self.job), types)


class BulkQueryResult(QueryResult, BlockingQuery):
    __doc__ = QueryResult.__doc__


class AsyncBulkQueryResult(QueryResult, AsyncQuery):
    __doc__ = (QueryResult.__doc__ or "").replace("iterate for dicts", "``async for`` gives dicts")
