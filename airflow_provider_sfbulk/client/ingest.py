"""Ingest jobs for Python callers: single calls, and a whole load with one call."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Iterator
from contextlib import ExitStack, closing
from typing import Any, Final, Unpack

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.arguments import count
from airflow_provider_sfbulk.client.check.check import InputCheck
from airflow_provider_sfbulk.client.check.report import CheckReport
from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
from airflow_provider_sfbulk.client.compare.input_rows import InputRows
from airflow_provider_sfbulk.client.compare.org_rows import compare
from airflow_provider_sfbulk.client.csv.dialect import Dialect, dialect_of
from airflow_provider_sfbulk.client.effects import Body, Flow
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.faces.bulk_result import AsyncBulkResult, BulkResult, read_result_file
from airflow_provider_sfbulk.client.faces.caller import AsyncCaller, Caller
from airflow_provider_sfbulk.client.faces.declare import Asynchronous, Blocking, Give, Stream, call, stream, whole
from airflow_provider_sfbulk.client.faces.given import (
    bytes_of,
    file_body,
    is_csv_file,
    is_text,
    names_a_file,
    stream_of,
    threaded,
)
from airflow_provider_sfbulk.client.faces.job_calls import JobMethods, Timeout, Waiting
from airflow_provider_sfbulk.client.faces.options import JobOptions, RuleOptions
from airflow_provider_sfbulk.client.load import fill as ingest
from airflow_provider_sfbulk.client.load.fill import UploadedPart
from airflow_provider_sfbulk.client.load.rounds import PartLimits
from airflow_provider_sfbulk.client.models import ColumnDelimiter, JobInfo, LineEnding, Operation, ResultKind
from airflow_provider_sfbulk.client.parts.fit import fit_to_object
from airflow_provider_sfbulk.client.parts.split import CONTENT_TYPE, Part, only_part, split
from airflow_provider_sfbulk.client.protocol.describe import describe
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls, QueryCalls
from airflow_provider_sfbulk.client.protocol.spec import IngestSpec, member
from airflow_provider_sfbulk.client.sources.open import RecordStream, Rules
from airflow_provider_sfbulk.client.waiting.schedule import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.waiting.wait import OnProgress

AT_ONCE: Final = 4
"""Default number of jobs that are filled at the same time."""


class IngestMethods(JobMethods):
    """The calls on ingest jobs."""

    _client: Any
    _result: type[BulkResult] | type[AsyncBulkResult]

    def __init__(self, client: Caller | AsyncCaller) -> None:
        self._client = client
        self._jobs = self._ingest = IngestCalls(client.api_version)

    @call
    def create_job(self, /, sobject: str, operation: Operation | str, **options: Unpack[JobOptions]) -> Flow[JobInfo]:
        """Create a job, ``Open`` for one upload. Options: the fields of ``IngestSpec``."""
        return self._ingest.create(IngestSpec(sobject, operation, **options))

    @call
    def create_job_with_data(
        self,
        /,
        sobject: str,
        operation: Operation | str,
        data: bytes | str | os.PathLike[str] | Part,
        **options: Unpack[JobOptions],
    ) -> Flow[JobInfo]:
        """Create a job with its data and close it, in one request. Not for loads that must arrive exactly once: after a
        lost reply, records are loaded under an unknown id.

        :param data: the CSV as bytes or text, a part, or the path of its file (a text of one line is one)
        """
        spec = IngestSpec(sobject, operation, **options)
        if isinstance(data, Part):
            wanted = Dialect(ColumnDelimiter(spec.column_delimiter), LineEnding(spec.line_ending))
            self._check_dialect("the job", wanted, data.dialect)
            sent = data.data
        else:
            sent = b"".join(file_body(data).chunks()) if names_a_file(data) else bytes_of(data)
        return (yield from self._ingest.create_with_data(spec, sent))

    @call
    def upload(self, job_id: str, data: bytes | str | os.PathLike[str] | Part | Body | Any) -> Flow[None]:
        """Upload a job's CSV with its one and only PUT.

        Bytes, text and CSV files are sent unchanged. Records are encoded with commas and the job's line ending, and their
        columns checked against describe.

        :param data: the CSV as bytes or text; a part; the path of a file (a text of one line is one); dicts, ids, a
            DataFrame, an Arrow table
        :raises SourceError: records that cannot be loaded, do not fit into one job, or are not in the job's CSV format
        """
        if isinstance(data, Part):
            job = yield from self._ingest.get(job_id)
            self._check_dialect(f"job {job.id}", dialect_of(job), data.dialect)
            yield from self._ingest.upload(job_id, data.body)
        elif isinstance(data, Body):
            yield from self._ingest.upload(job_id, data)
        elif names_a_file(data) and is_csv_file(data):
            yield from self._ingest.upload(job_id, file_body(data))
        elif is_text(data) and not names_a_file(data):
            yield from self._ingest.upload(job_id, Body.of(bytes_of(data), CONTENT_TYPE))
        else:
            yield from self._upload_records(job_id, data)

    def _upload_records(self, job_id: str, records: Any) -> Flow[None]:
        job = yield from self._ingest.get(job_id)
        rules = Rules(
            operation=Operation(job.operation),
            external_id_field=job.external_id_field_name,
            line_ending=LineEnding(job.line_ending) if job.line_ending else None,
        )
        parts = yield from self._parts(job.object or "", records, rules)
        part = only_part(parts, "job: use perform, or serialize them and create a job for each part")
        try:
            self._check_dialect(f"job {job.id}", dialect_of(job), part.dialect)
            yield from self._ingest.upload(job_id, part.body)
        finally:
            part.close()

    @staticmethod
    def _check_dialect(job: str, wanted: Dialect, dialect: Dialect) -> None:
        if wanted != dialect:
            raise SourceError(
                f"{job} expects {wanted.column_delimiter} and {wanted.line_ending}, but the records have "
                f"{dialect.column_delimiter} and {dialect.line_ending}: create the job with that column_delimiter and "
                "line_ending"
            )

    @call
    def close(self, job_id: str) -> Flow[JobInfo]:
        """Close a job, so that Salesforce begins to process it."""
        return self._ingest.close(job_id)

    @stream
    def successful_results(self, job_id: str) -> Stream[dict[str, str]]:
        """Read the records that were saved: ``sf__Id``, ``sf__Created`` and the uploaded columns, all text."""
        return self._results(job_id, "successful")

    @stream
    def failed_results(self, job_id: str) -> Stream[dict[str, str]]:
        """Read the records that failed: ``sf__Id``, ``sf__Error`` and the uploaded columns, all text."""
        return self._results(job_id, "failed")

    @stream
    def unprocessed_records(self, job_id: str) -> Stream[dict[str, str]]:
        """Read the records that Salesforce never tried, of a job that failed or was aborted."""
        return self._results(job_id, "unprocessed")

    def _results(self, job_id: str, kind: ResultKind) -> Stream[dict[str, str]]:
        job: JobInfo = yield self._ingest.get(job_id)
        yield from read_result_file(self._ingest, job, kind)

    @stream
    def serialize(
        self,
        /,
        records: Any,
        *,
        sobject: str | None = None,
        operation: Operation | str = Operation.INSERT,
        external_id_field: str | None = None,
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        **rules: Unpack[RuleOptions],
    ) -> Stream[Part]:
        """Encode records as CSV and cut them into parts, one for each job, as :meth:`perform` does. Nothing is sent.

        A part has ``data`` (bytes), ``records``, ``first_row`` and ``dialect``. The caller must close it when it is no
        longer needed, since a large one is in a temporary file.

        :param records: as in :meth:`perform`
        :param sobject: if given, the columns are checked against the object's describe, which costs one call
        :param rules: further fields of ``Rules``
        :raises SourceError: when the records cannot be loaded as they are
        """
        _check_cut(part_bytes, part_records)
        made = Rules(operation=member(Operation, operation, "operation"), external_id_field=external_id_field, **rules)
        if sobject is None:
            found = stream_of(self._given(records), made)
            yield Give(split(found, max_bytes=part_bytes, max_records=part_records))
        else:
            yield Give((yield self._parts(sobject, records, made, part_bytes=part_bytes, part_records=part_records)))

    @whole(BulkResult, AsyncBulkResult, iterating={"wait": False})
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
        wait: bool = True,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        max_concurrent_jobs: int = AT_ONCE,
        skip_unchanged: bool = False,
        **rules: Unpack[RuleOptions],
    ) -> Flow[Any]:
        """Load records, in as many jobs as they need.

        :param records: list or iterable of dicts (of ids, to delete), DataFrame, Arrow table; path of a file (a text of
            one line is taken for one), text or bytes of a CSV, or an open CSV file
        :param source_format: format of a file whose name does not show it: ``csv``, ``jsonl`` or ``parquet``
        :param wait: False returns once Salesforce has all records; :meth:`BulkResult.wait` waits later
        :param timeout: of the wait, in seconds or as a timedelta; its end raises ``JobTimeoutError``, the jobs go on
        :param on_progress: is given each job as it is read
        :param part_bytes: of one job's CSV, at most
        :param part_records: of one job, at most
        :param max_concurrent_jobs: jobs being filled at the same time
        :param skip_unchanged: of an update or an upsert, send only the records that differ from the org's, which are read
            with a bulk query first; there may be none. The timeout is for each of the two waits then
        :param rules: further fields of ``Rules``: ``column_mapping``, ``nulls``, ``timezone``, ``columns``,
            ``blank_external_ids``
        :raises SourceError: when the records cannot be loaded as they are; nothing was processed
        """
        _check_cut(part_bytes, part_records)
        waiting = Waiting(timeout, on_progress, schedule)
        count(most=100)("max_concurrent_jobs", max_concurrent_jobs)
        made = Rules(operation=member(Operation, operation, "operation"), external_id_field=external_id_field, **rules)
        spec = IngestSpec(sobject, made.operation, external_id_field, assignment_rule_id)
        found = stream_of(self._given(records), made, source_format=source_format)
        described = yield from describe(sobject, api_version=self._client.api_version)
        stream = fit_to_object(found, described, made)
        with ExitStack() as stack:
            chosen: ChosenRows | None = None
            if skip_unchanged:
                rows = stack.enter_context(closing(InputRows.of(made, described)))
                rows.read((stream,))
                yield from compare(QueryCalls(self._client.api_version), described["name"], rows, waiting.on_one)
                chosen = rows.chosen
                (stream,) = chosen.only(rows.streams())
            filled: list[UploadedPart] = []
            if chosen is None or chosen.sent or not chosen.unchanged:
                parts = split(stream, max_bytes=part_bytes, max_records=part_records)
                filled = yield from ingest.load(self._ingest, spec, parts, limit=max_concurrent_jobs)
        result = self._result(self._client, filled, waiting, unchanged=0 if chosen is None else chosen.unchanged)
        if wait:
            yield from result.waited()
        return result

    @call
    def check(
        self,
        /,
        sobject: str,
        operation: Operation | str,
        records: Any,
        *,
        external_id_field: str | None = None,
        source_format: str | None = None,
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        **rules: Unpack[RuleOptions],
    ) -> Flow[CheckReport]:
        """Read all records as :meth:`perform` does and check them against the object's describe. Nothing is sent: it costs
        one call, and changes nothing in the org.

        What describe does not contain is not checked: validation rules, triggers, existing records.

        :param records: as in :meth:`perform`
        :param rules: as in :meth:`perform`
        :return: how many rows, parts and bytes a load would have, and for each kind of problem the number of rows and the
            first of them; also why a load would be refused as a whole
        :raises EmptyInputError: there is no record
        """
        _check_cut(part_bytes, part_records)
        made = Rules(operation=member(Operation, operation, "operation"), external_id_field=external_id_field, **rules)
        described = yield from describe(sobject, api_version=self._client.api_version)
        checking = InputCheck(described, made, PartLimits(part_bytes=part_bytes, part_records=part_records))

        def streams() -> Iterator[RecordStream]:
            found = stream_of(self._given(records), checking.rules, source_format=source_format)
            yield fit_to_object(found, described, checking.rules)

        return checking.read(streams())

    def _parts(
        self,
        sobject: str,
        records: Any,
        rules: Rules,
        *,
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        source_format: str | None = None,
    ) -> Flow[Iterator[Part]]:
        fitted = yield from fitted_stream(
            self._client, sobject, self._given(records), rules, source_format=source_format
        )
        return split(fitted, max_bytes=part_bytes, max_records=part_records)

    def _given(self, records: Any) -> Any:
        return records


class IngestApi(Blocking, IngestMethods):
    """``client.ingest``."""

    _result = BulkResult


class AsyncIngestApi(Asynchronous, IngestMethods):
    """``client.ingest`` of an asynchronous client. Records may be asynchronous, too."""

    _result = AsyncBulkResult

    def _given(self, records: Any) -> Any:
        return threaded(records, self._client.loop) if isinstance(records, AsyncIterable) else records


def fitted_stream(
    client: Caller | AsyncCaller, sobject: str, records: Any, rules: Rules, *, source_format: str | None = None
) -> Flow[RecordStream]:
    """Make a stream of records whose columns are checked against the object's describe.

    :raises SourceError: the records cannot be loaded as they are
    """
    found = stream_of(records, rules, source_format=source_format)
    return fit_to_object(found, (yield from describe(sobject, api_version=client.api_version)), rules)


def _check_cut(part_bytes: int, part_records: int) -> None:
    count(most=limits.PART_BYTES)("part_bytes", part_bytes)
    count(most=limits.RECORDS_PER_DAY)("part_records", part_records)
