"""One try of a task: its client, ledger and deadline while it runs, and how it ends: by closing them, or by aborting its
jobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow_provider_sfbulk.client.effects import Concurrently, Flow
from airflow_provider_sfbulk.client.errors import SfBulkError, StoppedError
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.client.waiting.jobs import WatchedJobs, watched_jobs
from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, job_url
from airflow_provider_sfbulk.task.ended_by_person import is_ended_by_person
from airflow_provider_sfbulk.task.lineage import Lineage, is_wanted
from airflow_provider_sfbulk.task.progress import Progress
from airflow_provider_sfbulk.task.reporter import Log, Reporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from airflow_provider_sfbulk.client import BulkClient
    from airflow_provider_sfbulk.client.extract.query_job import Submitted
    from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
    from airflow_provider_sfbulk.task.ledger import TaskLedger

T = TypeVar("T")

CONCURRENT_ABORTS: Final = 10
"""Jobs to abort at the same time. An abort is one small call."""


class TaskRun:
    """One try of a task, from its start, or from the end of a deferral, to its end or the next deferral.

    :param client: for which the caller signs in and which it closes
    :param progress: what is known of the jobs before there are any
    :param job_type: kind of the jobs, as far as it is known
    :param ledger: what the task durably knows; a sensor has none
    :param limit: how long the try may wait in all, in seconds; None for no end
    :param deadline: when the wait ends that began before a deferral, in seconds since 1970
    :param api_calls: made by this try before a deferral, and by the triggerer
    :param aborts: whether the jobs are aborted when a person ends the task
    """

    def __init__(
        self,
        context: Context,
        hook: SalesforceBulkHook,
        client: BulkClient,
        progress: Progress,
        log: Log,
        *,
        job_type: JobType,
        ledger: TaskLedger | None = None,
        limit: float | None = None,
        deadline: float | None = None,
        api_calls: int = 0,
        aborts: bool = False,
    ) -> None:
        self.context = context
        self.client = client
        self.job_type = job_type
        self.job_version: str | None = None
        """API version of the jobs, when it is known: ``api_version`` may have been raised since."""
        self.earlier_calls = api_calls
        self.job_link: str | None = None
        self.lineage: Lineage | None = None
        self.describes: dict[str, Mapping[str, Any]] = {}
        """Describe's answers so far, by object: none is asked for twice."""
        self.reporter = Reporter(progress, log, self.ti.xcom_push, lambda: self.api_calls)
        self.log = log
        self._hook = hook
        self._ledger = ledger
        self._limit = limit
        self._deadline = deadline
        self._aborts = aborts
        self._read: str | None = None

    @property
    def ti(self) -> RuntimeTaskInstanceProtocol:
        """The task instance."""
        return self.context["ti"]

    @property
    def ledger(self) -> TaskLedger:
        """What the task durably knows of its jobs."""
        assert self._ledger is not None, "a sensor has no ledger"
        return self._ledger

    @property
    def jobs(self) -> WatchedJobs:
        """The calls that read and abort jobs of this kind."""
        return watched_jobs(self.job_type, self.job_version or self.client.api_version)

    @property
    def api_calls(self) -> int:
        """API calls of this try so far, those before its last deferral and the triggerer's included."""
        return self.earlier_calls + self.client.api_calls

    # Waiting

    def deadline(self) -> float | None:
        """When this try's waiting ends, in seconds since 1970: counted from its first wait, over all its deferrals."""
        if self._deadline is None and self._limit is not None:
            self._deadline = time.time() + self._limit
        return self._deadline

    @property
    def time_left(self) -> float | None:
        """Seconds until then."""
        deadline = self.deadline()
        return None if deadline is None else deadline - time.time()

    @property
    def until_when(self) -> str:
        """The same as the end of a sentence."""
        left = self.time_left
        return "without an end (timeout sets one)" if left is None else f"for {max(0.0, left):,.0f} s at most"

    # Showing

    def show_jobs(self, job_ids: Sequence[str]) -> None:
        """Show jobs in Airflow's UI, before anything is waited for."""
        self.reporter.progress.setup_url = self.client.instance_url
        self.reporter.see_jobs(job_ids)
        self._show_link(job_ids)

    def show_new_job(self, job_id: str, *, number: int, records: int) -> None:
        """Show a job of a round before anything is uploaded to it."""
        self.reporter.made(job_id, number=number, records=records, setup_url=self.client.instance_url)
        self._show_link([job.id for job in self.reporter.progress.jobs.values()])

    def _show_link(self, job_ids: Sequence[str]) -> None:
        link = job_url(self.client.instance_url, job_ids)
        if link != self.job_link:
            self.job_link = link
            self.reporter.push(LINK_XCOM_KEY, link)

    def note_lineage(self, gather: Callable[[], Lineage]) -> None:
        """Keep what OpenLineage will ask for, when somebody listens; trouble with it fails no task that is done."""
        if not is_wanted():
            return
        try:
            self.lineage = gather()
        except StoppedError:
            raise
        except Exception as error:
            self.log.warning("nothing of this task is reported to OpenLineage (%s): %s", type(error).__name__, error)

    # Running and ending

    def run(self, flow: Flow[T]) -> T:
        """Run a flow with the try's ledger; when the task is ended meanwhile, abort its jobs if a person ended it."""
        try:
            return self.client.run(flow, ledger=self._ledger)
        except StoppedError:
            if self._aborts and self._is_ended_by_person():
                with self._hook.get_conn() as again:
                    self.abort([self._read] if self._read else self.ledger.recorded_jobs(), again)
            raise

    @contextmanager
    def reading(self, query: Submitted) -> Iterator[None]:
        """Wait for a query job, which is what a person's end of the task aborts then, instead of the try's own jobs."""
        own = self.job_type, self.job_version
        self.job_type, self.job_version, self._read = JobType.QUERY, query.api_version, query.job_id
        try:
            yield
        finally:
            (self.job_type, self.job_version), self._read = own, None

    def stop(self) -> None:
        """Make what runs stop. Called inside the handler of SIGTERM, so the rest is done where it stops."""
        self.client.stop("the task was told to end")

    def abort(self, job_ids: Iterable[str], client: BulkClient | None = None) -> None:
        """Abort jobs, as far as that is possible.

        :param client: instead of the try's own, which may have been stopped
        """
        # Concurrently: Airflow kills a process five seconds after it has sent SIGTERM.
        (client or self.client).run(_concurrently(self._abort_one(job_id) for job_id in job_ids))

    def _abort_one(self, job_id: str) -> Flow[JobInfo | None]:
        try:
            aborted = yield from self.jobs.abort(job_id)
        except SfBulkError as error:
            self.log.warning("job %s could not be aborted: %s", job_id, error)
            return None
        self.log.info("job %s is aborted", job_id)
        return aborted

    def _is_ended_by_person(self) -> bool:
        """Whether Airflow says so. When it does not, the jobs are left alone."""
        try:
            return is_ended_by_person(self.ti)
        except Exception as error:
            self.log.warning("could not ask Airflow why this task ends (%s): its jobs go on", type(error).__name__)
            return False


def _concurrently(flows: Iterable[Flow[JobInfo | None]]) -> Flow[None]:
    yield Concurrently(flows, CONCURRENT_ABORTS)
