"""Bulk API 1.0 for Python callers: single calls, and whole loads and queries with one call each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import Any, Unpack

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.arguments import count
from airflow_provider_sfbulk.client.bulk1 import load as load1
from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec, PkChunking, chunking_of, root_object
from airflow_provider_sfbulk.client.bulk1.commas import with_commas
from airflow_provider_sfbulk.client.bulk1.models import BatchInfo, BatchState, Bulk1Job, ContentType, RecordResult
from airflow_provider_sfbulk.client.bulk1.object_rows import xml_records
from airflow_provider_sfbulk.client.bulk1.results import (
    AsyncBulk1QueryResult,
    AsyncBulk1Result,
    Bulk1QueryResult,
    Bulk1Result,
    Bulk1RowsFile,
)
from airflow_provider_sfbulk.client.bulk1.waiting import (
    OnBulk1Progress,
    batches_with_rows,
    submit_query,
    wait_for_batches,
)
from airflow_provider_sfbulk.client.effects import Body, Flow
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.caller import AsyncCaller, Caller
from airflow_provider_sfbulk.client.faces.declare import Asynchronous, Blocking, Give, Stream, call, stream, whole
from airflow_provider_sfbulk.client.faces.given import bytes_of, file_body, is_csv_file, is_text, names_a_file, threaded
from airflow_provider_sfbulk.client.faces.job_calls import Timeout, Waiting, timeout_seconds
from airflow_provider_sfbulk.client.faces.options import Bulk1JobOptions, RuleOptions
from airflow_provider_sfbulk.client.ingest import fitted_stream
from airflow_provider_sfbulk.client.models import ColumnDelimiter, ConcurrencyMode, Operation, QueryOperation
from airflow_provider_sfbulk.client.parts.split import Part, only_part, split
from airflow_provider_sfbulk.client.protocol.spec import member
from airflow_provider_sfbulk.client.sources.open import Rules
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule


class Bulk1Methods:
    """The calls of Bulk API 1.0."""

    _client: Any
    _load_result: type[Bulk1Result] | type[AsyncBulk1Result]
    _query_result: type[Bulk1QueryResult] | type[AsyncBulk1QueryResult]

    def __init__(self, client: Caller | AsyncCaller) -> None:
        self._client = client
        self._jobs = Bulk1Calls(client.api_version)

    # --- jobs ---

    @call
    def create_job(
        self, /, sobject: str, operation: Operation | QueryOperation | str, **options: Unpack[Bulk1JobOptions]
    ) -> Flow[Bulk1Job]:
        """Create a job, ``Open`` for batches. Options: the fields of ``Bulk1JobSpec``, such as ``content_type``."""
        return self._jobs.create(Bulk1JobSpec(sobject, operation, **options))

    @call
    def get_job(self, job_id: str) -> Flow[Bulk1Job]:
        """Read a job. Its counters lag behind its batches'."""
        return self._jobs.get(job_id)

    @call
    def close(self, job_id: str) -> Flow[Bulk1Job]:
        """Close a job: it takes no more batches; those it has go on."""
        return self._jobs.close(job_id)

    @call
    def abort(self, job_id: str) -> Flow[Bulk1Job]:
        """Abort a job: batches that have not begun never run. What is saved stays."""
        return self._jobs.abort(job_id)

    # --- batches ---

    @call
    def add_batch(
        self,
        job_id: str,
        data: bytes | str | os.PathLike[str] | Iterable[Mapping[str, Any]] | Any,
        *,
        content_type: ContentType | str | None = None,
        compress: bool = False,
    ) -> Flow[BatchInfo]:
        """Add a batch, which runs at once. After a lost reply it is unknown whether it does.

        :param data: bytes or text in the job's content type, including archives; the SOQL of a query job; the path object
            of a file with one of these; or records for a CSV or XML job. In XML a parent is a mapping:
            ``{"LastName": "Doe", "Account": {"Key__c": "7"}}``. Of a CSV job that loads, also a part; and a text of one
            line is the path of a file, which may be of any format of ``perform``
        :param content_type: the job's; None = read it from the job
        :param compress: send it gzipped
        :raises SourceError: it is larger than a batch may be, or its records cannot be loaded
        """
        kind = member(ContentType, content_type, "content_type") if content_type is not None else None
        if kind is not None and is_text(data) and not names_a_file(data):
            sent = bytes_of(data)
        else:
            job = yield from self._jobs.get(job_id)
            kind = kind or job.content_type
            sent = yield from self._bytes(job, data, kind)
        body = Body.of(sent, kind.media_type)
        if compress and kind.is_zip:
            raise SourceError("compress has no effect on a ZIP archive, which is compressed already: leave it out")
        if body.length > limits.BATCH_CHARACTERS:
            raise SourceError(f"a batch can have at most {limits.BATCH_CHARACTERS:,} bytes, not {body.length:,}")
        return (yield from self._jobs.add_batch(job_id, body, compress=compress))

    def _bytes(self, job: Bulk1Job, data: Any, kind: ContentType) -> Flow[bytes]:
        loads_csv = kind is ContentType.CSV and job.operation in list(Operation)
        if names_a_file(data) and (not loads_csv or is_csv_file(data)):
            if isinstance(data, str) and not loads_csv:
                return bytes_of(data)  # SOQL, or XML on one line
            return b"".join(file_body(data).chunks())
        if is_text(data) and not names_a_file(data):
            return bytes_of(data)
        if kind is ContentType.XML:
            return xml_records(self._given(data))
        if not loads_csv:
            raise SourceError(
                f"records can be added only to loads in CSV or XML, but job {job.id} is a {job.operation} job with {kind}: "
                "pass bytes, text or the path object of a file"
            )
        if isinstance(data, Part):
            if data.dialect.column_delimiter is not ColumnDelimiter.COMMA:
                raise SourceError(
                    f"a batch needs COMMA as its delimiter, but the part has {data.dialect.column_delimiter}"
                )
            return data.data
        rules = Rules(operation=Operation(job.operation), external_id_field=job.external_id_field_name)
        found = yield from fitted_stream(self._client, job.object or "", self._given(data), rules)
        part = only_part(
            split(with_commas(found), max_bytes=limits.BATCH_CHARACTERS, max_records=limits.BATCH_RECORDS),
            f"batch of {limits.BATCH_RECORDS:,} records and {limits.BATCH_CHARACTERS:,} bytes: use perform",
        )
        try:
            return part.data
        finally:
            part.close()

    @call
    def get_batch(self, job_id: str, batch_id: str) -> Flow[BatchInfo]:
        """Read a batch."""
        return self._jobs.get_batch(job_id, batch_id)

    @call
    def list_batches(self, job_id: str) -> Flow[list[BatchInfo]]:
        """Read all batches of a job."""
        return self._jobs.list_batches(job_id)

    @call
    def request(self, job_id: str, batch_id: str) -> Flow[bytes]:
        """Read back what was sent as a batch."""
        return self._jobs.request(job_id, batch_id)

    @call
    def wait(
        self,
        job_id: str,
        *,
        timeout: Timeout = None,
        on_progress: OnBulk1Progress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Flow[list[BatchInfo]]:
        """Wait until all batches of a job are final, however they end.

        :param timeout: in seconds or as a timedelta; None for no limit
        :raises JobTimeoutError: the wait ended; the job continues
        """
        return wait_for_batches(
            self._jobs, job_id, schedule=schedule, timeout=timeout_seconds(timeout), on_progress=on_progress
        )

    # --- results ---

    @call
    def results(self, job_id: str, batch_id: str) -> Flow[list[RecordResult]]:
        """Read what became of the records of a batch, in the order of the request.

        :raises RequestRefusedError: ``InvalidBatch``: the batch failed as a whole, or is not done
        """
        job = yield from self._jobs.get(job_id)
        batch = yield from self._jobs.get_batch(job_id, batch_id)
        records = batch.processed if batch.state is BatchState.COMPLETED else None
        return (yield from self._jobs.results(job_id, batch_id, job.content_type, records=records))

    @call
    def result_ids(self, job_id: str, batch_id: str) -> Flow[list[str]]:
        """Read the ids of a query batch's result files."""
        return self._jobs.result_ids(job_id, batch_id)

    @stream
    def query_results(self, job_id: str, batch_id: str, result_id: str) -> Stream[dict[str, Any]]:
        """Read the rows of one result file: text in CSV, and trees as Salesforce sends them in XML and JSON."""
        job: Bulk1Job = yield self._jobs.get(job_id)
        file = Bulk1RowsFile(job.content_type)
        yield self._jobs.query_result(job_id, batch_id, result_id, file)
        yield Give(file.rows())

    # --- whole jobs ---

    @whole(Bulk1Result, AsyncBulk1Result)
    def perform(
        self,
        /,
        sobject: str,
        operation: Operation | str,
        records: Any,
        *,
        external_id_field: str | None = None,
        assignment_rule_id: str | None = None,
        source_format: str | None = None,
        concurrency_mode: ConcurrencyMode | str = ConcurrencyMode.PARALLEL,
        batch_retry: bool = True,
        compress: bool = True,
        wait: bool = True,
        timeout: Timeout = None,
        on_progress: OnBulk1Progress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        batch_bytes: int = limits.BATCH_CHARACTERS,
        batch_records: int = limits.BATCH_RECORDS,
        **rules: Unpack[RuleOptions],
    ) -> Flow[Any]:
        """Load records; iterate over the result for the result of each record, in order.

        All records are read before the first is sent, which takes as much disk space as their CSV.

        :param records: list or iterable of dicts (of ids, to delete), DataFrame, Arrow table; path of a file (a text of
            one line is taken for one), text or bytes of a CSV, or an open CSV file
        :param source_format: format of a file whose name does not show it: ``csv``, ``jsonl`` or ``parquet``
        :param concurrency_mode: ``Serial`` for records with lock conflicts
        :param compress: send batches gzipped
        :param wait: False returns once Salesforce has all records; :meth:`Bulk1Result.wait` waits later
        :param rules: further fields of ``Rules``: ``column_mapping``, ``nulls``, ``timezone``
        :raises SourceError: a record cannot be loaded as it is; nothing was sent
        """
        waiting = Waiting(timeout, on_progress, schedule)
        count(most=limits.BATCH_CHARACTERS)("batch_bytes", batch_bytes)
        count(most=limits.BATCH_RECORDS)("batch_records", batch_records)
        made = Rules(
            operation=member(Operation, operation, "operation"),
            external_id_field=external_id_field,
            **rules,
        )
        spec = Bulk1JobSpec(
            sobject,
            made.operation,
            external_id_field,
            assignment_rule_id,
            concurrency_mode=concurrency_mode,
            batch_retry=batch_retry,
        )
        fitted = yield from fitted_stream(
            self._client, sobject, self._given(records), made, source_format=source_format
        )
        parts = split(with_commas(fitted), max_bytes=batch_bytes, max_records=batch_records)
        sent = yield from load1.load(self._jobs, spec, parts, compress=compress)
        result = self._load_result(self._client, sent, waiting)
        if wait:
            yield from result.waited()
        return result

    @whole(Bulk1QueryResult, AsyncBulk1QueryResult)
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
        on_progress: OnBulk1Progress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
    ) -> Flow[Any]:
        """Run a query and wait for it; the rows stream from the result.

        :param sobject: the root object; None = the name after FROM
        :param include_deleted: also deleted and archived records
        :param pk_chunking: True, the records of a chunk, or a ``PkChunking``
        :raises JobFailedError: Salesforce refuses the SOQL, or the job was aborted
        """
        if not isinstance(soql, str) or not soql.strip():
            raise SourceError("the SOQL is empty")
        spec = Bulk1JobSpec(
            root_object(soql) if sobject is None else sobject,
            QueryOperation.QUERY_ALL if include_deleted else QueryOperation.QUERY,
            content_type=content_type,
            concurrency_mode=concurrency_mode,
            pk_chunking=chunking_of(pk_chunking),
            batch_retry=batch_retry,
        )
        seconds = timeout_seconds(timeout)
        job, original = yield from submit_query(self._jobs, spec, soql, schedule=schedule, timeout=seconds)
        ended = yield from wait_for_batches(
            self._jobs, job.id, schedule=schedule, timeout=seconds, on_progress=on_progress, expected=[original]
        )
        return self._query_result(self._client, job, batches_with_rows(job.id, original, ended))

    def _given(self, records: Any) -> Any:
        return records


class Bulk1Api(Blocking, Bulk1Methods):
    """``client.bulk1.api``."""

    _load_result = Bulk1Result
    _query_result = Bulk1QueryResult


class AsyncBulk1Api(Asynchronous, Bulk1Methods):
    """``client.bulk1.api`` of an asynchronous client. Records may be asynchronous, too."""

    _load_result = AsyncBulk1Result
    _query_result = AsyncBulk1QueryResult

    def _given(self, records: Any) -> Any:
        return threaded(records, self._client.loop) if isinstance(records, AsyncIterable) else records
