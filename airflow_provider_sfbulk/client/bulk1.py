"""Bulk API 1.0 for Python callers: the single calls, and whole loads and queries with one call each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.caller import Caller
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.flows import load1
from airflow_provider_sfbulk.client.flows.bulk1 import Jobs1, JobSpec1, PkChunking, chunking_of, root_object
from airflow_provider_sfbulk.client.flows.wait import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.flows.wait1 import (
    OnProgress1,
    batches_with_rows,
    submit_query,
    wait_for_batches,
)
from airflow_provider_sfbulk.client.ingest import parts_of
from airflow_provider_sfbulk.client.job_calls import Timeout, seconds_of
from airflow_provider_sfbulk.client.models import Operation, QueryOperation
from airflow_provider_sfbulk.client.models1 import (
    BatchInfo,
    BatchState,
    ConcurrencyMode,
    ContentType,
    JobInfo1,
    RecordResult,
)
from airflow_provider_sfbulk.client.records.object_rows import xml_records
from airflow_provider_sfbulk.client.records.sources import Rules
from airflow_provider_sfbulk.client.result_file1 import ResultFile
from airflow_provider_sfbulk.client.results1 import BulkQueryResult1, BulkResult1
from airflow_provider_sfbulk.client.wire import Body


class Bulk1Api:
    """``client.bulk1``."""

    def __init__(self, client: Caller) -> None:
        self._client = client
        self._jobs = Jobs1(client.api_version)

    # --- jobs ---

    def create_job(self, sobject: str, operation: Operation | QueryOperation | str, **options: Any) -> JobInfo1:
        """Create a job, ``Open`` for batches. Options: the fields of ``JobSpec1``, as ``content_type``."""
        return self._client.run(self._jobs.create(JobSpec1(sobject, operation, **options)))

    def get_job(self, job_id: str) -> JobInfo1:
        """Read a job. Its counters lag behind its batches'."""
        return self._client.run(self._jobs.get(job_id))

    def close(self, job_id: str) -> JobInfo1:
        """Close a job: it takes no more batches; those it has go on."""
        return self._client.run(self._jobs.close(job_id))

    def abort(self, job_id: str) -> JobInfo1:
        """Abort a job: batches that have not begun never do. What is saved stays."""
        return self._client.run(self._jobs.abort(job_id))

    # --- batches ---

    def add_batch(
        self,
        job_id: str,
        data: bytes | str | Iterable[Mapping[str, Any]],
        *,
        content_type: ContentType | str | None = None,
        compress: bool = False,
    ) -> BatchInfo:
        """Add a batch, which runs from now on: a lost reply leaves open whether it does.

        :param data: bytes in the job's content type, an archive too; SOQL of a query job; or records for an XML job,
            a parent as a mapping: ``{"LastName": "Doe", "Account": {"Key__c": "7"}}``
        :param content_type: the job's; None = it is asked for
        :param compress: send it gzipped
        :raises SourceError: it is more than a batch may be
        """
        kind = ContentType(content_type) if content_type is not None else self.get_job(job_id).content_type
        body = Body.of(_bytes_of(data, kind), kind.media_type)
        if compress and kind.is_zip:
            raise SourceError("compress: an archive is compressed already")
        if body.length > limits.BATCH_CHARACTERS:
            raise SourceError(f"a batch has {limits.BATCH_CHARACTERS} bytes at most, not {body.length}")
        return self._client.run(self._jobs.add_batch(job_id, body, compress=compress))

    def get_batch(self, job_id: str, batch_id: str) -> BatchInfo:
        """Read a batch."""
        return self._client.run(self._jobs.get_batch(job_id, batch_id))

    def list_batches(self, job_id: str) -> list[BatchInfo]:
        """Read all batches of a job."""
        return self._client.run(self._jobs.list_batches(job_id))

    def request(self, job_id: str, batch_id: str) -> bytes:
        """Read back what was sent as a batch."""
        return self._client.run(self._jobs.request(job_id, batch_id))

    def wait(
        self,
        job_id: str,
        *,
        timeout: Timeout = None,
        on_progress: OnProgress1 | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> list[BatchInfo]:
        """Wait until all batches of a job are final, well or badly.

        :param timeout: in seconds or as a timedelta; None for no end
        :raises JobTimeoutError: the wait ended; the job goes on
        """
        flow = wait_for_batches(
            self._jobs, job_id, schedule=schedule, timeout=seconds_of(timeout), on_progress=on_progress
        )
        return self._client.run(flow)

    # --- results ---

    def results(self, job_id: str, batch_id: str) -> list[RecordResult]:
        """Read what became of the records of a batch, in the order of the request.

        :raises RequestRefusedError: ``InvalidBatch``: the batch failed as a whole, or is not done
        """
        job, batch = self.get_job(job_id), self.get_batch(job_id, batch_id)
        records = batch.processed if batch.state is BatchState.COMPLETED else None
        return self._client.run(self._jobs.results(job_id, batch_id, job.content_type, records=records))

    def result_ids(self, job_id: str, batch_id: str) -> list[str]:
        """Read the ids of a query batch's result files."""
        return self._client.run(self._jobs.result_ids(job_id, batch_id))

    def query_results(self, job_id: str, batch_id: str, result_id: str) -> Iterator[dict[str, Any]]:
        """Read the rows of one result file: text in CSV, and trees as Salesforce sends them in XML and JSON."""
        file = ResultFile(self.get_job(job_id).content_type)
        self._client.run(self._jobs.query_result(job_id, batch_id, result_id, file))
        return file.rows()

    # --- whole jobs ---

    def perform(
        self,
        sobject: str,
        operation: Operation | str,
        records: Any,
        *,
        external_id_field: str | None = None,
        assignment_rule_id: str | None = None,
        concurrency_mode: ConcurrencyMode | str = ConcurrencyMode.PARALLEL,
        batch_retry: bool = True,
        compress: bool = True,
        wait: bool = True,
        timeout: Timeout = None,
        on_progress: OnProgress1 | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        batch_bytes: int = limits.BATCH_CHARACTERS,
        batch_records: int = limits.BATCH_RECORDS,
        **rules: Any,
    ) -> BulkResult1:
        """Load records; iterate over what comes back for the result of each, in their order.

        They are read to their end before the first is sent, which takes as much room on disk as their CSV.

        :param records: list or iterable of dicts (of ids, to delete), DataFrame or Arrow table
        :param concurrency_mode: ``Serial`` for records that lock each other out
        :param compress: send batches gzipped
        :param wait: False returns once Salesforce has all records; :meth:`BulkResult1.wait` waits later
        :param rules: further fields of ``Rules``: ``column_mapping``, ``nulls``, ``timezone``
        :raises SourceError: a record cannot be loaded as it is; nothing was sent
        """
        if batch_bytes > limits.BATCH_CHARACTERS or batch_records > limits.BATCH_RECORDS:
            raise SourceError(
                f"a batch has at most {limits.BATCH_CHARACTERS} bytes (batch_bytes) and {limits.BATCH_RECORDS} records "
                "(batch_records)"
            )
        made = Rules(
            operation=Operation(operation),
            external_id_field=external_id_field,
            **rules,
        )
        spec = JobSpec1(
            sobject,
            made.operation,
            external_id_field,
            assignment_rule_id,
            concurrency_mode=concurrency_mode,
            batch_retry=batch_retry,
        )
        parts = parts_of(
            self._client, sobject, records, made, part_bytes=batch_bytes, part_records=batch_records, commas=True
        )
        sent = self._client.run(load1.load(self._jobs, spec, parts, compress=compress))
        result = BulkResult1(self._client, sent)
        return result.wait(timeout=timeout, on_progress=on_progress, schedule=schedule) if wait else result

    def query(
        self,
        soql: str,
        *,
        sobject: str | None = None,
        include_deleted: bool = False,
        content_type: ContentType | str = ContentType.CSV,
        concurrency_mode: ConcurrencyMode | str = ConcurrencyMode.PARALLEL,
        pk_chunking: bool | int | PkChunking = False,
        batch_retry: bool = True,
        timeout: Timeout = None,
        on_progress: OnProgress1 | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> BulkQueryResult1:
        """Run a query and wait for it; the rows stream from the result.

        :param sobject: the root object; None = the name after FROM
        :param include_deleted: also deleted and archived records
        :param pk_chunking: True, records of a chunk, or all that can be said of it
        :raises JobFailedError: Salesforce refuses the SOQL, or the job was aborted
        """
        if not isinstance(soql, str) or not soql.strip():
            raise SourceError("the SOQL is empty")
        spec = JobSpec1(
            sobject or root_object(soql),
            QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY,
            content_type=content_type,
            concurrency_mode=concurrency_mode,
            pk_chunking=chunking_of(pk_chunking),
            batch_retry=batch_retry,
        )
        seconds = seconds_of(timeout)
        job, original = self._client.run(submit_query(self._jobs, spec, soql, schedule=schedule, timeout=seconds))
        flow = wait_for_batches(
            self._jobs, job.id, schedule=schedule, timeout=seconds, on_progress=on_progress, expected=[original]
        )
        batches = batches_with_rows(job.id, original, self._client.run(flow))
        return BulkQueryResult1(self._client, job, batches)


def _bytes_of(data: bytes | str | Iterable[Mapping[str, Any]], kind: ContentType) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    if kind is not ContentType.XML:
        raise SourceError(f"records are for XML jobs; of a {kind} job the data is bytes or text")
    return xml_records(data)
