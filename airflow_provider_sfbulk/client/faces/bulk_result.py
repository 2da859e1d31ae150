"""What a whole load gives back: counts at once, records as rows that are read when they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Self

from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.effects import Effect, Flow, Sleep
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.declare import (
    Asynchronous,
    Blocking,
    Give,
    Stream,
    drained,
    drained_beside,
    mapped,
)
from airflow_provider_sfbulk.client.faces.job_calls import OnProgress, Timeout, Waiting
from airflow_provider_sfbulk.client.faces.rows import rows
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.part_end import PartEnd, part_ends
from airflow_provider_sfbulk.client.models import BulkError, JobInfo, JobState, ResultKind
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.results.job_result import JobRows
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.waiting.wait import wait_until_final

Text = dict[str, str]


class LoadResult:
    """A load: its jobs and what became of its records. Records are read from Salesforce each time they are asked for.

    Iterate for the result of each job, as they finish: each is a result with one job of its own.

    :param filled: the parts and the jobs that hold them
    :param waiting: how to wait when a count is asked for before :meth:`wait` was called
    :param unchanged: records that were not sent, since the org has them as they are
    """

    _client: Any

    def __init__(
        self,
        client: Any,
        filled: Sequence[UploadedPart],
        waiting: Waiting = Waiting(),  # noqa: B008 - frozen
        *,
        unchanged: int = 0,
    ) -> None:
        self._client = client
        self.unchanged_count = unchanged
        """Records that ``skip_unchanged`` has not sent, since the org has them as they are."""
        self._jobs = IngestCalls(client.api_version)
        self._filled = filled
        self._waits = waiting
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
        """The final jobs, in the order of the records; waits for them if that was not done yet."""
        return [each.job for each in self._waited()]

    @property
    def job(self) -> JobInfo:
        """The final job of a load that needed one only.

        :raises SourceError: it needed several: :attr:`jobs` has them
        """
        if len(self._filled) != 1:
            raise SourceError(f"the load has {len(self._filled)} jobs: they are in jobs")
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
        """Why the failed records failed, in the order of :attr:`failed_records`; then why each job failed that did."""
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

    def _wait_now(self) -> None:
        raise NotImplementedError

    def _records(self, kind: ResultKind) -> Stream[Text]:
        for each in self._waited():
            if each.count(kind):
                yield from read_result_file(self._jobs, each.job, kind)

    def _by_job(self) -> Stream[Self]:
        """Give a result for each job, as they finish."""
        left = {each.job_id: each for each in self._filled}
        ended: list[JobInfo] = [each.job for each in self._ends or ()]
        on_progress = self._waits.on_progress

        def note(job: JobInfo) -> None:
            if on_progress is not None:
                on_progress(job)
            if job.is_final:
                ended.append(job)

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
    """A wait that may be left between two looks, and gone on with later."""

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self._next: Effect | None = None

    def until(self, enough: Callable[[], bool]) -> Flow[None]:
        """Go on with it until it has ended, or ``enough`` was seen and it would pause."""
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
    """Read one result file of a job, proven whole against the job's counters before its first row is given."""
    # Of a job that did not complete the counters may lag behind the files, and nothing counts the unprocessed records.
    counted: dict[ResultKind, int] = {}
    if job.state is JobState.JOB_COMPLETE:
        counted = {"successful": job.successful, "failed": job.failed}
    spool = JobRows(job.id, dialect_of(job), kind, expect_records=counted.get(kind))
    yield jobs.at(job.api_version).results(job.id, kind, spool)
    yield Give(spool.rows())


def _error_of(job: JobInfo) -> BulkError:
    """Say why a job failed as a whole, of a message as ``InvalidBatch : Field name not found : Nmae``."""
    code, _, message = (job.error_message or "").partition(" : ")
    if not message or " " in code:
        code, message = str(job.state), job.error_message or f"the job ended {job.state}"
    return BulkError(code, message)


class BulkResult(Blocking, LoadResult):
    __doc__ = LoadResult.__doc__

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
        return self._client.run(self.waited(Waiting(timeout, on_progress, schedule)))

    def __iter__(self) -> Iterator[BulkResult]:
        return drained(self._client, self._by_job())

    def _wait_now(self) -> None:
        self._client.run(self.waited())


class AsyncBulkResult(Asynchronous, LoadResult):
    __doc__ = LoadResult.__doc__

    async def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all jobs are final, see :meth:`BulkResult.wait`."""
        return await self._client.run(self.waited(Waiting(timeout, on_progress, schedule)))

    def __aiter__(self) -> AsyncIterator[AsyncBulkResult]:
        return drained_beside(self._client, self._by_job())

    def _wait_now(self) -> None:
        raise SourceError("the jobs have not been waited for: await result.wait() first")
