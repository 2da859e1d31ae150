"""The result of a whole load: counts at once, records as rows that are read on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Self

from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Effect, Flow, Sleep
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.declare import (
    Give,
    Stream,
    drained,
    drained_beside,
    mapped,
)
from airflow_provider_sfbulk.client.faces.job_calls import Waiting
from airflow_provider_sfbulk.client.faces.rows import rows
from airflow_provider_sfbulk.client.faces.whole_results import AsyncLoad, BlockingLoad, WholeLoad
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.part_end import PartEnd, part_ends
from airflow_provider_sfbulk.client.models import BulkError, JobInfo, JobState, ResultKind
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.results.job_result import JobRows
from airflow_provider_sfbulk.client.waiting.wait import wait_until_final

Text = dict[str, str]


class LoadResult(WholeLoad):
    """A load: its jobs and what became of its records. Records are read from Salesforce each time they are asked for.

    Iterate for the result of each job as it finishes: each is a result with one job.

    :param filled: the parts and the jobs that hold them
    :param waiting: how to wait when a count is asked for before :meth:`wait` was called
    :param unchanged: records that were not sent, since the org has them as they are
    """

    def __init__(
        self,
        client: Any,
        filled: Sequence[UploadedPart],
        waiting: Waiting = Waiting(),  # noqa: B008 - frozen
        *,
        unchanged: int = 0,
    ) -> None:
        super().__init__(client, waiting)
        self.unchanged_count = unchanged
        """Records that ``skip_unchanged`` has not sent, since the org has them as they are."""
        self._jobs = IngestCalls(client.api_version)
        self._filled = filled
        self._ends: list[PartEnd] | None = None

    def waited(self, waiting: Waiting | None = None) -> Flow[Self]:
        """Wait until all jobs are final."""
        infos = yield from wait_until_final(self._jobs, self.job_ids, **(waiting or self._waits).options())
        self._ends = part_ends(self._filled, infos)
        return self

    @property
    def job_ids(self) -> list[str]:
        """Ids of the jobs, in the order of the records."""
        return [each.job_id for each in self._filled]

    @property
    def jobs(self) -> list[JobInfo]:
        """The final jobs, in the order of the records. Waits for them first, if necessary."""
        return [each.job for each in self._waited()]

    @property
    def job(self) -> JobInfo:
        """The final job of a load with a single job.

        :raises SourceError: it has several: see :attr:`jobs`
        """
        if len(self._filled) != 1:
            raise SourceError(f"the load has {len(self._filled)} jobs: use jobs instead of job")
        return self.jobs[0]

    @property
    def is_successful(self) -> bool:
        """Whether every job completed and no record failed."""
        return all(job.is_successful for job in self.jobs)

    @property
    def successful_count(self) -> int:
        """Records that were saved."""
        return self._count("successful")

    @property
    def failed_count(self) -> int:
        """Records that failed."""
        return self._count("failed")

    @property
    def unprocessed_count(self) -> int:
        """Records that Salesforce never tried."""
        return self._count("unprocessed")

    @property
    def total_count(self) -> int:
        """Records that were sent."""
        return sum(each.part.records for each in self._waited())

    @property
    def success_rate(self) -> float:
        """Share of the records sent that were saved, from 0.0 to 1.0; 1.0 when none was sent."""
        return self.successful_count / self.total_count if self.total_count else 1.0

    @rows
    def successful_records(self) -> tuple[Callable[[], int], Callable[[], Stream[Text]]]:
        """The records that were saved: ``sf__Id``, ``sf__Created`` and the columns sent, all text, in no order."""
        return (lambda: self.successful_count), (lambda: self._records("successful"))

    @rows
    def failed_records(self) -> tuple[Callable[[], int], Callable[[], Stream[Text]]]:
        """The records that failed: ``sf__Id``, ``sf__Error`` and the columns sent, all text, in no order."""
        return (lambda: self.failed_count), (lambda: self._records("failed"))

    @rows
    def unprocessed_records(self) -> tuple[Callable[[], int], Callable[[], Stream[Text]]]:
        """The records that Salesforce never tried: the columns sent, all text."""
        return (lambda: self.unprocessed_count), (lambda: self._records("unprocessed"))

    @rows
    def errors(self) -> tuple[Callable[[], int], Callable[[], Stream[BulkError]]]:
        """Why records failed, in the order of :attr:`failed_records`, then why jobs failed."""
        ended_badly = [job for job in self.jobs if job.state is not JobState.JOB_COMPLETE]

        def read() -> Stream[BulkError]:
            yield from mapped(
                self._records("failed"), lambda failed: (BulkError.parse(each["sf__Error"]) for each in failed)
            )
            yield Give([_error_of(job) for job in ended_badly])

        return (lambda: self.failed_count + len(ended_badly)), read

    def _waited(self) -> list[PartEnd]:
        if self._ends is None:
            self._wait_now()
        assert self._ends is not None
        return self._ends

    def _count(self, kind: ResultKind) -> int:
        return sum(each.count(kind) for each in self._waited())

    def _records(self, kind: ResultKind) -> Stream[Text]:
        for each in self._waited():
            if each.count(kind):
                yield from read_result_file(self._jobs, each.job, kind)

    def _by_job(self) -> Stream[Self]:
        """Stream a result for each job as it finishes."""
        left = {each.job_id: each for each in self._filled}
        ended: list[JobInfo] = [each.job for each in self._ends or ()]
        on_progress = self._waits.on_progress

        def note(job: JobInfo) -> Awaitable[None] | None:
            if job.is_final:
                ended.append(job)
            return None if on_progress is None else on_progress(job)

        options = {**self._waits.options(), "on_progress": note}
        wait = Paused(wait_until_final(self._jobs, list(left), **options))
        while left:
            if not ended:
                yield wait.until(lambda: bool(ended))
            for job in ended:
                one = type(self)(self._client, [left.pop(job.id)], self._waits)
                one._ends = part_ends(one._filled, [job])
                yield Give([one])
            ended.clear()


class Paused:
    """A wait that can be left between two polls and resumed later."""

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self._next: Effect | None = None

    def until(self, enough: Callable[[], bool]) -> Flow[None]:
        """Run it until it has ended, or until it would pause and ``enough`` is true."""
        try:
            effect = self._next or next(self._flow)
            while not (isinstance(effect, Sleep) and enough()):
                try:
                    result = yield effect
                except BaseException as error:
                    effect = self._flow.throw(error)
                else:
                    effect = self._flow.send(result)
            self._next = effect
        except StopIteration:
            pass


def read_result_file(jobs: IngestCalls, job: JobInfo, kind: ResultKind) -> Stream[Text]:
    """Read one result file of a job, checked against the job's counters before its first row is given."""
    # The counters of a job that did not complete may lag behind the files, and none counts the unprocessed records.
    counted: dict[ResultKind, int] = {}
    if job.state is JobState.JOB_COMPLETE:
        counted = {"successful": job.successful, "failed": job.failed}
    spool = JobRows(job.id, dialect_of(job), kind, expect_records=counted.get(kind))
    yield jobs.at(job.api_version).results(job.id, kind, spool)
    yield Give(spool.rows())


def _error_of(job: JobInfo) -> BulkError:
    """Return why a job failed as a whole, from a message like ``InvalidBatch : Field name not found : Nmae``."""
    code, _, message = (job.error_message or "").partition(" : ")
    if not message or " " in code:
        code, message = str(job.state), job.error_message or f"the job ended {job.state}"
    return BulkError(code, message)


class BulkResult(LoadResult, BlockingLoad):
    __doc__ = LoadResult.__doc__

    def __iter__(self) -> Iterator[BulkResult]:
        return drained(self._client, self._by_job())


class AsyncBulkResult(LoadResult, AsyncLoad):
    __doc__ = LoadResult.__doc__

    def __aiter__(self) -> AsyncIterator[AsyncBulkResult]:
        return drained_beside(self._client, self._by_job())
