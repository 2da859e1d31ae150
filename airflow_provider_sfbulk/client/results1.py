"""What a whole load and a whole query by Bulk API 1.0 give back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

from airflow_provider_sfbulk.client.caller import Caller
from airflow_provider_sfbulk.client.errors import ProtocolError
from airflow_provider_sfbulk.client.flows.batches1 import as_job, own_batches
from airflow_provider_sfbulk.client.flows.bulk1 import Jobs1
from airflow_provider_sfbulk.client.flows.load1 import Sent
from airflow_provider_sfbulk.client.flows.outcome1 import read_outcome
from airflow_provider_sfbulk.client.flows.wait import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.flows.wait1 import OnProgress1, wait_for_batches
from airflow_provider_sfbulk.client.job_calls import Timeout, seconds_of
from airflow_provider_sfbulk.client.models import BulkError
from airflow_provider_sfbulk.client.models1 import BatchInfo, BatchState, ContentType, JobInfo1, RecordResult
from airflow_provider_sfbulk.client.result_file1 import ResultFile


class BulkResult1:
    """A load: its batches and what became of its records. Iterate for the records' results, in the order of the records.

    Results are read from Salesforce each time they are asked for, a batch at a time.

    :param sent: the batches, in the order of the records
    """

    def __init__(self, client: Caller, sent: Sequence[Sent]) -> None:
        self._client = client
        self._jobs = Jobs1(client.api_version)
        self._sent = sent
        self._batches: list[BatchInfo] | None = None

    def wait(
        self,
        *,
        timeout: Timeout = None,
        on_progress: OnProgress1 | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Self:
        """Wait until all batches are final.

        :param timeout: of the wait for each job, in seconds or as a timedelta; None for no end
        :raises JobTimeoutError: the wait ended; the job goes on
        :raises ProtocolError: a batch's counters do not fit what was sent
        :raises LedgerError: a job has a batch that was not sent: the network may have sent one twice
        """
        found: dict[str, BatchInfo] = {}
        for job_id in self.job_ids:
            keys = {each.key for each in self._sent if each.job_id == job_id}
            flow = wait_for_batches(
                self._jobs,
                job_id,
                schedule=schedule,
                timeout=seconds_of(timeout),
                on_progress=on_progress,
                expected=keys,
            )
            found |= own_batches(job_id, self._client.run(flow), keys)
        batches = [found[each.key] for each in self._sent]
        for batch, sent in zip(batches, self._sent, strict=True):
            if batch.state is BatchState.COMPLETED and batch.processed != sent.records:
                raise ProtocolError(
                    f"batch {batch.id} has {batch.processed} records, {sent.records} were sent", job_id=batch.job_id
                )
        self._batches = batches
        return self

    @property
    def job_ids(self) -> list[str]:
        """Ids of the jobs: one, or more after a lost reply."""
        return list(dict.fromkeys(each.job_id for each in self._sent))

    @property
    def jobs(self) -> list[JobInfo1]:
        """The jobs as they are now."""
        return [self._client.run(self._jobs.get(job_id)) for job_id in self.job_ids]

    @property
    def batches(self) -> list[BatchInfo]:
        """The final batches, in the order of the records; waits for them if that was not done yet."""
        if self._batches is None:
            self.wait()
        assert self._batches is not None
        return self._batches

    @property
    def is_successful(self) -> bool:
        """Whether every record was saved."""
        return all(each.is_successful for each in self.batches)

    @property
    def successful_count(self) -> int:
        """Records that were saved."""
        return sum(each.successful for each in self.batches)

    @property
    def failed_count(self) -> int:
        """Records that failed."""
        return sum(each.failed for each in self.batches)

    @property
    def unprocessed_count(self) -> int:
        """Records that Salesforce never tried."""
        return self.total_count - self.successful_count - self.failed_count

    @property
    def total_count(self) -> int:
        """Records that were sent."""
        return sum(each.records for each in self._sent)

    @property
    def errors(self) -> Iterator[BulkError]:
        """Why records were not saved, in their order."""
        return (error for result in self for error in result.errors)

    def __len__(self) -> int:
        return self.total_count

    def __iter__(self) -> Iterator[RecordResult]:
        for batch, sent in zip(self.batches, self._sent, strict=True):
            yield from self._client.run(read_outcome(self._jobs, sent, as_job(batch))).results


class BulkQueryResult1:
    """The rows of a finished query: iterate for dicts. ``len()`` is known before. Each iteration reads the files anew.

    :param job: the query's
    :param batches: those that hold rows
    """

    def __init__(self, client: Caller, job: JobInfo1, batches: Sequence[BatchInfo]) -> None:
        self.job = job
        self.batches = list(batches)
        self._client = client
        self._jobs = Jobs1(client.api_version)

    def __len__(self) -> int:
        return sum(each.processed for each in self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches:
            yield from read_batch(self._client, self._jobs, self.job.content_type, batch)


def read_batch(client: Caller, jobs: Jobs1, content_type: ContentType, batch: BatchInfo) -> Iterator[dict[str, Any]]:
    """Read the rows of a query batch, from all its files, each of them on disk and whole before its rows are given.

    :raises ProtocolError: at the end, when there are not as many rows as the batch says
    """
    count = 0
    for result_id in client.run(jobs.result_ids(batch.job_id, batch.id)):
        file = ResultFile(content_type)
        client.run(jobs.query_result(batch.job_id, batch.id, result_id, file))
        for row in file.rows():
            count += 1
            yield row
    if count != batch.processed:
        raise ProtocolError(f"batch {batch.id} has {batch.processed} rows, {count} came", job_id=batch.job_id)
