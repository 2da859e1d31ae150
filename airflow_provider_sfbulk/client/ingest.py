"""Ingest jobs for Python callers: the single calls, and a whole load with one call."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.caller import Caller
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.flows import ingest
from airflow_provider_sfbulk.client.flows.job import IngestJobs
from airflow_provider_sfbulk.client.flows.org import describe
from airflow_provider_sfbulk.client.flows.settle import Kind
from airflow_provider_sfbulk.client.flows.spec import IngestSpec
from airflow_provider_sfbulk.client.flows.wait import DEFAULT_SCHEDULE, Schedule
from airflow_provider_sfbulk.client.job_calls import JobCalls, OnProgress, Timeout
from airflow_provider_sfbulk.client.models import JobInfo, Operation
from airflow_provider_sfbulk.client.records.columns import check_against_describe
from airflow_provider_sfbulk.client.records.commas import with_commas
from airflow_provider_sfbulk.client.records.parts import CONTENT_TYPE, Part, split
from airflow_provider_sfbulk.client.records.sources import Rules, from_source
from airflow_provider_sfbulk.client.results import BulkResult, read_results
from airflow_provider_sfbulk.client.wire import Body

AT_ONCE: Final = 4
"""Jobs being filled at the same time, by default."""

_CHUNK_BYTES: Final = 1024 * 1024


class IngestApi(JobCalls):
    """``client.ingest``."""

    def __init__(self, client: Caller) -> None:
        self._ingest = IngestJobs(client.api_version)
        super().__init__(client, self._ingest)

    def create_job(self, sobject: str, operation: Operation | str, **options: Any) -> JobInfo:
        """Create a job, ``Open`` for one upload. Options: the fields of ``IngestSpec``."""
        return self._client.run(self._ingest.create(IngestSpec(sobject, operation, **options)))

    def create_job_with_data(self, sobject: str, operation: Operation | str, data: bytes, **options: Any) -> JobInfo:
        """Create a job with its data and close it, in one request. Not for loads that must arrive once: a lost reply
        leaves records loading under an id that nobody knows."""
        return self._client.run(self._ingest.create_with_data(IngestSpec(sobject, operation, **options), data))

    def upload(self, job_id: str, data: bytes | str | os.PathLike[str] | Body) -> None:
        """Upload a job's CSV with its one and only PUT: bytes, the path of a file, or a way to open it."""
        self._client.run(self._ingest.upload(job_id, body_of(data)))

    def close(self, job_id: str) -> JobInfo:
        """Close a job: Salesforce begins to process it."""
        return self._client.run(self._ingest.close(job_id))

    def successful_results(self, job_id: str) -> Iterator[dict[str, str]]:
        """Read the records that were saved: ``sf__Id``, ``sf__Created`` and the uploaded columns, all text."""
        return self._results(job_id, "successful")

    def failed_results(self, job_id: str) -> Iterator[dict[str, str]]:
        """Read the records that failed: ``sf__Id``, ``sf__Error`` and the uploaded columns, all text."""
        return self._results(job_id, "failed")

    def unprocessed_records(self, job_id: str) -> Iterator[dict[str, str]]:
        """Read the records that Salesforce never tried, of a job that failed or was aborted."""
        return self._results(job_id, "unprocessed")

    def _results(self, job_id: str, kind: Kind) -> Iterator[dict[str, str]]:
        return read_results(self._client, self.get_job(job_id), kind)

    def perform(
        self,
        sobject: str,
        operation: Operation | str,
        records: Any,
        *,
        external_id_field: str | None = None,
        assignment_rule_id: str | None = None,
        wait: bool = True,
        timeout: Timeout = None,
        on_progress: OnProgress | None = None,
        schedule: Schedule = DEFAULT_SCHEDULE,
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        max_concurrent_jobs: int = AT_ONCE,
        **rules: Any,
    ) -> BulkResult:
        """Load records, in as many jobs as they need.

        :param records: list or iterable of dicts (of ids, to delete), DataFrame or Arrow table
        :param wait: False returns once Salesforce has all records; :meth:`BulkResult.wait` waits later
        :param timeout: of the wait, in seconds or as a timedelta; its end raises ``JobTimeoutError``, the jobs go on
        :param on_progress: is given each job as it is read
        :param rules: further fields of ``Rules``: ``column_mapping``, ``nulls``, ``timezone``
        :raises SourceError: when the records cannot be loaded as they are; nothing was processed
        """
        made = Rules(operation=Operation(operation), external_id_field=external_id_field, **rules)
        spec = IngestSpec(sobject, made.operation, external_id_field, assignment_rule_id)
        parts = parts_of(self._client, sobject, records, made, part_bytes=part_bytes, part_records=part_records)
        filled = self._client.run(ingest.load(self._ingest, spec, parts, limit=max_concurrent_jobs))
        result = BulkResult(self._client, filled)
        return result.wait(timeout=timeout, on_progress=on_progress, schedule=schedule) if wait else result


def parts_of(
    client: Caller,
    sobject: str,
    records: Any,
    rules: Rules,
    *,
    part_bytes: int,
    part_records: int,
    commas: bool = False,
) -> Iterator[Part]:
    """Cut records into parts, their columns checked against the object's describe. Nothing is read before the first.

    :param commas: put commas between values, whatever the source has
    :raises SourceError: when the records cannot be loaded as they are
    """
    stream = from_source(records, rules, name="records")
    columns = check_against_describe(
        stream.columns,
        client.run(describe(sobject, api_version=client.api_version)),
        operation=rules.operation,
        external_id_field=rules.external_id_field,
    )
    named = stream.with_columns(columns)
    yield from split(with_commas(named) if commas else named, max_bytes=part_bytes, max_records=part_records)


def body_of(data: bytes | str | os.PathLike[str] | Body) -> Body:
    """Make a CSV body of bytes, of a file's path, or of what is one already.

    :raises SourceError: there is no such file
    """
    if isinstance(data, Body):
        return data
    if isinstance(data, bytes):
        return Body.of(data, CONTENT_TYPE)
    path = Path(data)

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    try:
        return Body(chunks, path.stat().st_size, CONTENT_TYPE)
    except OSError as error:
        raise SourceError(f"cannot upload {path}: {error.strerror}") from error
