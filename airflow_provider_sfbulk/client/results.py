"""What a whole load and a whole query give back: counts at once, records as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_sfbulk.client.caller import Caller
from airflow_provider_sfbulk.client.flows.extract import describe_columns, fetch, widen_for
from airflow_provider_sfbulk.client.flows.ingest import Filled
from airflow_provider_sfbulk.client.flows.job import IngestJobs, QueryJobs
from airflow_provider_sfbulk.client.flows.query import Page, check_total, next_page
from airflow_provider_sfbulk.client.flows.settle import KINDS, Kind, Settlement
from airflow_provider_sfbulk.client.flows.wait import DEFAULT_SCHEDULE, Schedule, wait_until_final
from airflow_provider_sfbulk.client.job_calls import OnProgress, Timeout, seconds_of
from airflow_provider_sfbulk.client.models import BulkError, JobInfo, JobState
from airflow_provider_sfbulk.client.records.dialect import dialect_of
from airflow_provider_sfbulk.client.records.frame import data_frame
from airflow_provider_sfbulk.client.records.pages import TablePage
from airflow_provider_sfbulk.client.records.results import REQUIRED
from airflow_provider_sfbulk.client.records.schema import ColumnType, MisfitError
from airflow_provider_sfbulk.client.spool import Spool

if TYPE_CHECKING:
    import pandas as pd


AT_ONCE: Final = 4
"""Pages that are read at the same time for a DataFrame."""

PAGE_RECORDS: Final = 50_000
"""Records of one page when rows are streamed. What other clients ask for, too; a page lies in memory."""


class BulkResult:
    """A load: its jobs and what became of its records. Records are read from Salesforce each time they are asked for.

    :param filled: the parts and the jobs that hold them
    """

    def __init__(self, client: Caller, filled: Sequence[Filled]) -> None:
        self._client = client
        self._filled = filled
        self._settlement: Settlement | None = None

    def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all jobs are final.

        :param timeout: in seconds or as a timedelta; None for no end
        :raises JobTimeoutError: the wait ended; the jobs go on
        :raises ProtocolError: the jobs' counters do not fit what was sent
        """
        flow = wait_until_final(
            IngestJobs(self._client.api_version),
            [each.job_id for each in self._filled],
            schedule=schedule,
            timeout=seconds_of(timeout),
            on_progress=on_progress,
        )
        self._settlement = Settlement.of(self._filled, self._client.run(flow))
        return self

    @property
    def job_ids(self) -> list[str]:
        """Ids of the jobs, in the order of the records."""
        return [each.job_id for each in self._filled]

    @property
    def jobs(self) -> list[JobInfo]:
        """The final jobs, in the order of the records; waits for them if that was not done yet."""
        return [each.job for each in self._settled().parts]

    @property
    def is_successful(self) -> bool:
        """Whether every job completed and no record failed."""
        return all(job.is_successful for job in self.jobs)

    @property
    def successful_count(self) -> int:
        """Records that were saved."""
        return self._settled().count("successful")

    @property
    def failed_count(self) -> int:
        """Records that failed."""
        return self._settled().count("failed")

    @property
    def unprocessed_count(self) -> int:
        """Records that Salesforce never tried."""
        return self._settled().count("unprocessed")

    @property
    def total_count(self) -> int:
        """Records that were sent."""
        return self._settled().records

    @property
    def successful_records(self) -> Iterator[dict[str, str]]:
        """The records that were saved: ``sf__Id``, ``sf__Created`` and the columns sent, all text, in no order."""
        return self._records("successful")

    @property
    def failed_records(self) -> Iterator[dict[str, str]]:
        """The records that failed: ``sf__Id``, ``sf__Error`` and the columns sent, all text, in no order."""
        return self._records("failed")

    @property
    def unprocessed_records(self) -> Iterator[dict[str, str]]:
        """The records that Salesforce never tried: the columns sent, all text."""
        return self._records("unprocessed")

    @property
    def errors(self) -> Iterator[BulkError]:
        """Why the failed records failed, in the order of :attr:`failed_records`."""
        return (BulkError.parse(record["sf__Error"]) for record in self.failed_records)

    def _settled(self) -> Settlement:
        if self._settlement is None:
            self.wait()
        assert self._settlement is not None
        return self._settlement

    def _records(self, kind: Kind) -> Iterator[dict[str, str]]:
        for each in self._settled().parts:
            if each.count(kind):
                yield from read_results(self._client, each.job, kind)


def read_results(client: Caller, job: JobInfo, kind: Kind) -> Iterator[dict[str, str]]:
    """Read one result file of a job, proven whole against the job's counters before its first row is given."""
    # Of a job that did not complete the counters may lag behind the files, and nothing counts the unprocessed records.
    counted: dict[Kind, int] = {}
    if job.state is JobState.JOB_COMPLETE:
        counted = {"successful": job.successful, "failed": job.failed}
    spool = Spool(dialect_of(job), records=counted.get(kind), required=REQUIRED[kind])
    client.run(IngestJobs(client.api_version).results(job.id, KINDS[kind], spool))
    return spool.rows()


class BulkQueryResult:
    """The rows of a finished query job: iterate for dicts, or take a DataFrame. ``len()`` is known before.

    Values are typed by describe: ``int``, ``Decimal``, ``float``, ``bool``, ``date``, aware ``datetime``, text; null is
    None. Each iteration reads the pages anew.

    A number with more decimals than describe promises makes its column a ``float``: in a DataFrame the whole column, in
    an iteration from that page on, as the rows before have been given away.
    """

    def __init__(self, client: Caller, job: JobInfo, *, page_records: int = PAGE_RECORDS) -> None:
        self.job = job
        self._client = client
        self._jobs = QueryJobs(client.api_version)
        self._page_records = page_records

    def __len__(self) -> int:
        return self.job.processed

    @property
    def record_count(self) -> int:
        """How many rows there are."""
        return len(self)

    @property
    def records(self) -> Iterator[dict[str, Any]]:
        """The rows, from the first."""
        return iter(self)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        types = self._client.run(describe_columns(self._jobs, self.job))
        pages: list[Page] = []
        while not pages or pages[-1].next_locator is not None:
            sink = self._page(types)
            locator = pages[-1].next_locator if pages else None
            flow = next_page(self._jobs, self.job.id, sink, pages, locator, max_records=self._page_records)
            try:
                pages.append(self._client.run(flow))
            except MisfitError as misfit:
                types = widen_for(types, misfit)
                continue
            for batch in sink.batches:
                yield from batch.to_pylist()
        check_total(self.job, pages)

    def to_df(self) -> pd.DataFrame:
        """Give all rows as a DataFrame with Arrow types, the columns and their types also when there are none."""
        made: dict[int, TablePage] = {}

        def make_page(index: int, types: tuple[ColumnType, ...]) -> TablePage:
            made[index] = self._page(types)
            return made[index]

        flow = fetch(self._jobs, self.job, make_page, typed=True, page_records=self._page_records, at_once=AT_ONCE)
        pages = [made[index] for index in range(self._client.run(flow))]
        schema = pages[0].schema
        assert schema is not None, "a page that is finished has a schema"
        return data_frame((batch for page in pages for batch in page.batches), schema)

    def _page(self, types: Iterable[ColumnType]) -> TablePage:
        fixed = tuple(types)
        return TablePage(dialect_of(self.job), types=lambda _: fixed)
