"""The public client of the Salesforce Bulk API. It imports no Airflow.

::

    with BulkClient(host="acme.my.salesforce.com", client_id="…", client_secret="…") as client:
        for row in client.query.perform("SELECT Id, Name FROM Account"):
            print(row["Name"])

Every method runs one flow (``client/flows``) with the blocking driver; what it raises is in ``client/errors``. A client
may be used by several threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from airflow_provider_sfbulk.client.auth.session import Session
from airflow_provider_sfbulk.client.drivers.blocking import BlockingDriver
from airflow_provider_sfbulk.client.errors import ProtocolError, SourceError
from airflow_provider_sfbulk.client.flows import org
from airflow_provider_sfbulk.client.flows.distrust import note
from airflow_provider_sfbulk.client.flows.job import IngestJobs, Jobs, QueryJobs, ResultKind
from airflow_provider_sfbulk.client.flows.query import Page, check_total, fetch_page, result_pages
from airflow_provider_sfbulk.client.flows.spec import IngestSpec
from airflow_provider_sfbulk.client.flows.wait import DEFAULT_SCHEDULE, Schedule, check_complete, wait_until_final
from airflow_provider_sfbulk.client.models import (
    ColumnDelimiter,
    JobInfo,
    JobState,
    LineEnding,
    Operation,
    QueryOperation,
)
from airflow_provider_sfbulk.client.records.dialect import Dialect
from airflow_provider_sfbulk.client.settings import Settings
from airflow_provider_sfbulk.client.spool import Spool
from airflow_provider_sfbulk.client.wire import Body, Flow

T = TypeVar("T")
OnProgress = Callable[[JobInfo], None]
Timeout = float | timedelta | None

_CHUNK_BYTES: Final = 1024 * 1024
_REQUIRED: Final[Mapping[ResultKind, tuple[str, ...]]] = {
    ResultKind.SUCCESSFUL: ("sf__Id", "sf__Created"),
    ResultKind.FAILED: ("sf__Error",),
    ResultKind.UNPROCESSED: (),
}


class BulkClient:
    """A client of one org, logged in at its first call.

    :param settings: the connection's keys by name, see :class:`~airflow_provider_sfbulk.client.settings.Settings`
    :raises LoginError: the settings lack something that the way of login needs
    :raises SourceError: a setting is unknown or wrong
    """

    def __init__(self, **settings: Any) -> None:
        self._setup(Settings.from_mapping(settings), None)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Make a client of the environment's ``SFBULK_HOST``, ``SFBULK_CLIENT_ID`` …."""
        return cls.from_settings(Settings.from_env(environ))

    @classmethod
    def from_settings(cls, settings: Settings, driver: BlockingDriver | None = None) -> Self:
        """Make a client of settings that are already read.

        :param driver: to run flows with: one that masks secrets, or has a ledger
        """
        made = cls.__new__(cls)
        made._setup(settings, driver)
        return made

    def _setup(self, settings: Settings, driver: BlockingDriver | None) -> None:
        self.settings = settings
        self.driver = driver or BlockingDriver(settings, session=Session(settings))
        self.ingest = Ingest(self)
        self.query = Query(self)

    def run(self, flow: Flow[T]) -> T:
        """Run any flow."""
        return self.driver.run(flow)

    def describe(self, sobject: str) -> dict[str, Any]:
        """Read what an object and its fields are."""
        return self.run(org.describe(sobject, api_version=self.settings.api_version))

    def describe_global(self) -> dict[str, Any]:
        """Read the list of objects."""
        return self.run(org.describe_global(api_version=self.settings.api_version))

    def limits(self) -> dict[str, org.Allowance]:
        """Read the org's allowances: ``limits()["DailyApiRequests"].remaining``."""
        return self.run(org.read_limits(api_version=self.settings.api_version))

    def user_info(self) -> dict[str, Any]:
        """Read who is logged in."""
        return self.run(org.user_info())

    def versions(self) -> list[str]:
        """Read which API versions the org speaks, oldest first."""
        return self.run(org.versions())

    @property
    def api_calls(self) -> int:
        """API calls that this client has sent."""
        return self.driver.calls

    @property
    def api_usage(self) -> org.ApiUsage | None:
        """API calls of the whole org in the rolling 24 hours, as a reply last said."""
        return self.driver.usage

    def close(self) -> None:
        """Close the connections. The session at Salesforce lives on until it ends by itself."""
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _JobCalls:
    """What ingest and query jobs have in common."""

    def __init__(self, client: BulkClient, jobs: Jobs) -> None:
        self._client = client
        self._jobs = jobs

    def get_job(self, job_id: str) -> JobInfo:
        """Read a job."""
        return self._client.run(self._jobs.get(job_id))

    def list_jobs(self, *, job_type: str | None = None) -> list[JobInfo]:
        """Read the list of jobs of the last seven days, without counters."""
        return self._client.run(self._jobs.list_all(job_type=job_type))

    def abort(self, job_id: str) -> JobInfo:
        """Abort a job. What it has committed stays."""
        return self._client.run(self._jobs.abort(job_id))

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, with its results."""
        self._client.run(self._jobs.delete(job_id))

    def wait(
        self,
        job_id: str,
        *,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> JobInfo:
        """Wait until a job is final, well or badly.

        :param timeout: seconds or timedelta; None for no end
        :raises JobTimeoutError: the wait ended; the job goes on
        """
        flow = wait_until_final(
            self._jobs, [job_id], schedule=schedule, timeout=seconds_of(timeout), on_progress=on_progress
        )
        return self._client.run(flow)[0]


class Ingest(_JobCalls):
    """Jobs that load: ``client.ingest``."""

    def __init__(self, client: BulkClient) -> None:
        self._ingest = IngestJobs(client.settings.api_version)
        super().__init__(client, self._ingest)

    def create_job(self, sobject: str, operation: Operation | str, **options: Any) -> JobInfo:
        """Create a job for one upload.

        :param options: ``external_id_field``, ``assignment_rule_id``, ``column_delimiter``, ``line_ending``
        """
        return self._client.run(self._ingest.create(IngestSpec(sobject, operation, **options)))

    def create_job_with_data(self, sobject: str, operation: Operation | str, data: bytes, **options: Any) -> JobInfo:
        """Create a job with a small CSV in one request, which closes it too. A lost reply leaves a load in doubt."""
        return self._client.run(self._ingest.create_with_data(IngestSpec(sobject, operation, **options), data))

    def upload(self, job_id: str, data: bytes | str | os.PathLike[str] | Body) -> None:
        """Upload a job's CSV, once: bytes, or the path of a file, or a way to open it."""
        self._client.run(self._ingest.upload(job_id, body_of(data)))

    def close(self, job_id: str) -> JobInfo:
        """Close a job after its upload. A returned state ``Open`` means: not taken, close it again."""
        return self._client.run(self._ingest.close(job_id))

    def successful_results(self, job_id: str) -> Iterator[dict[str, str]]:
        """Read the records that were saved: ``sf__Id``, ``sf__Created`` and the uploaded columns."""
        return self._results(job_id, ResultKind.SUCCESSFUL)

    def failed_results(self, job_id: str) -> Iterator[dict[str, str]]:
        """Read the records that failed: ``sf__Id``, ``sf__Error`` and the uploaded columns."""
        return self._results(job_id, ResultKind.FAILED)

    def unprocessed_records(self, job_id: str) -> Iterator[dict[str, str]]:
        """Read the records that a failed or aborted job did not come to."""
        return self._results(job_id, ResultKind.UNPROCESSED)

    def _results(self, job_id: str, kind: ResultKind) -> Iterator[dict[str, str]]:
        """Download a file, prove it against the job's counters, and read it row by row."""
        job = self.get_job(job_id)
        counts = {ResultKind.SUCCESSFUL: job.successful, ResultKind.FAILED: job.failed}
        # Of other states the counters may lag behind the files.
        records = counts.get(kind) if job.state is JobState.JOB_COMPLETE else None
        spool = Spool(dialect_of(job), records=records, required=_REQUIRED[kind])
        self._client.run(self._ingest.results(job_id, kind, spool))
        return spool.rows()


class Query(_JobCalls):
    """Jobs that extract: ``client.query``."""

    def __init__(self, client: BulkClient) -> None:
        self._query = QueryJobs(client.settings.api_version)
        super().__init__(client, self._query)

    def create_job(self, soql: str, *, include_deleted: bool = False, **options: Any) -> JobInfo:
        """Create a query job, which starts by itself.

        :param include_deleted: also records in the recycle bin and archived ones
        :param options: ``column_delimiter``, ``line_ending``
        """
        operation = QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY
        return self._client.run(self._query.create(soql, operation=operation, **options))

    def result_pages(self, job_id: str) -> list[str]:
        """Read the locators of all pages of a finished job, to be read in any order with :meth:`results`."""
        return self._client.run(result_pages(self._query, job_id))

    def results(
        self, job_id: str, *, locator: str | None = None, max_records: int | None = None
    ) -> Iterator[dict[str, str]]:
        """Read a finished job's records, or those of one page.

        Page after page is downloaded and proven before its records are given; a page lies on disk, not in memory.

        :param locator: of the one page to read
        :param max_records: records of a page at most
        :raises ProtocolError: at the end, when the pages do not add up to the job's records
        """
        job = self.get_job(job_id)
        if locator is not None:
            spool = Spool(dialect_of(job))
            self._client.run(
                fetch_page(self._query, job.id, spool, locator=locator, max_records=max_records, in_order=False)
            )
            return spool.rows()
        return self._all_pages(job, max_records)

    def perform(
        self,
        soql: str,
        *,
        include_deleted: bool = False,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        max_records: int | None = None,
    ) -> BulkQueryResult:
        """Run a query and wait for it.

        :return: its records, streamed when they are looped over
        :raises JobFailedError: the job failed
        :raises JobTimeoutError: the wait ended; the job goes on
        """
        created = self.create_job(soql, include_deleted=include_deleted)
        job = check_complete(self.wait(created.id, timeout=timeout, on_progress=on_progress, schedule=schedule))
        return BulkQueryResult(self, job, max_records)

    def _all_pages(self, job: JobInfo, max_records: int | None) -> Iterator[dict[str, str]]:
        pages: list[Page] = []
        seen: set[str] = set()
        locator: str | None = None
        while not pages or locator is not None:
            spool = Spool(dialect_of(job))
            flow = fetch_page(
                self._query,
                job.id,
                spool,
                index=len(pages),
                locator=locator,
                max_records=max_records,
                header=pages[0].header if pages else None,
            )
            pages.append(self._client.run(flow))
            locator = pages[-1].next_locator
            if locator is not None:
                note(locator, seen, f"query job {job.id}")
            yield from spool.rows()
        check_total(job, pages)


class BulkQueryResult(Iterable[dict[str, str]]):
    """The records of a finished query job. Each loop downloads them anew; nothing is kept in memory.

    :param job: the job, as it ended
    """

    def __init__(self, query: Query, job: JobInfo, max_records: int | None = None) -> None:
        self.job = job
        self._query = query
        self._max_records = max_records

    @property
    def records(self) -> Iterator[dict[str, str]]:
        """The records; all values are text."""
        return self._query.results(self.job.id, max_records=self._max_records)

    @property
    def record_count(self) -> int:
        """How many records there are."""
        return self.job.processed

    def __len__(self) -> int:
        return self.record_count

    def __iter__(self) -> Iterator[dict[str, str]]:
        return self.records


def seconds_of(timeout: Timeout) -> float | None:
    """Give a timeout in seconds.

    :raises SourceError: it is negative
    """
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    if seconds is not None and not seconds >= 0:
        raise SourceError("timeout must be seconds or a timedelta, not below 0")
    return seconds


def body_of(data: bytes | str | os.PathLike[str] | Body) -> Body:
    """Make a CSV body of bytes, of a file's path, or of what is one already.

    :raises SourceError: there is no such file
    """
    if isinstance(data, Body):
        return data
    if isinstance(data, bytes):
        return Body.of(data, "text/csv")
    path = Path(data)

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    try:
        return Body(chunks, path.stat().st_size, "text/csv")
    except OSError as error:
        raise SourceError(f"cannot upload {path}: {error.strerror}") from error


def dialect_of(job: JobInfo) -> Dialect:
    """Give the dialect of a job's files; what Salesforce did not say is its default.

    :raises ProtocolError: the job has a delimiter or line ending that does not exist
    """
    try:
        return Dialect(
            ColumnDelimiter(job.column_delimiter or ColumnDelimiter.COMMA), LineEnding(job.line_ending or LineEnding.LF)
        )
    except ValueError as error:
        raise ProtocolError(
            f"job {job.id} has a delimiter or line ending that does not exist", job_id=job.id
        ) from error
