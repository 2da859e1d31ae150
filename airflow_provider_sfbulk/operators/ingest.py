"""Loading records into Salesforce."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.sdk import XComArg

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.flows import ingest
from airflow_provider_sfbulk.client.flows.job import IngestJobs
from airflow_provider_sfbulk.client.flows.settle import KINDS, Settlement
from airflow_provider_sfbulk.client.flows.spec import E, IngestSpec, member
from airflow_provider_sfbulk.client.flows.wait import check_complete
from airflow_provider_sfbulk.client.models import ColumnDelimiter, JobInfo, JobType, LineEnding, Operation
from airflow_provider_sfbulk.client.records.columns import check_against_describe
from airflow_provider_sfbulk.client.records.formats import FileFormat
from airflow_provider_sfbulk.client.records.parts import Part, split
from airflow_provider_sfbulk.client.records.sources import Nulls, RecordStream, Rules, from_file, from_source
from airflow_provider_sfbulk.ledger import TaskLedger
from airflow_provider_sfbulk.operators.arguments import check_allowance, check_count
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.report import Report, count_errors, write_report
from airflow_provider_sfbulk.operators.unshown import Unshown
from airflow_provider_sfbulk.operators.verdict import check_failed_records
from airflow_provider_sfbulk.storage import SourceFile, find_sources, open_output

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_sfbulk.client import BulkClient

NAMED_JOB_IDS: Final = 100
"""Job ids that the returned summary names; the manifest has them all."""


class BulkIngestOperator(BulkJobOperator):
    """Insert, update, upsert or delete records with Bulk API 2.0, every row once.

    The input is read to its end and uploaded in parts before Salesforce is told to process any of it; a mistake anywhere
    in it leaves the org untouched. A retry goes on with the jobs of the try before.

    :param sobject: API name of the object, as ``Account`` (templated)
    :param operation: ``insert``, ``update``, ``upsert``, ``delete`` or ``hardDelete``
    :param source: path or URI of a file, or a pattern (``*.csv``): CSV, JSON lines (both also gzipped) or Parquet; or a
        list of dicts, a DataFrame, an Arrow table, a callable that returns an iterable of dicts; or an XComArg of these
        (templated)
    :param source_format: ``csv``, ``jsonl`` or ``parquet``, when the name does not tell
    :param source_conn_id: connection of the object storage, when the URI does not name it
    :param column_delimiter: of CSV sources, Salesforce's name (``COMMA``, ``TAB``, …); None: seen in the file
    :param line_ending: of CSV sources, ``LF`` or ``CRLF``; None: seen in the file
    :param external_id_field: the field that an upsert matches by (templated)
    :param assignment_rule_id: for Case and Lead (templated)
    :param column_mapping: ``{"source column": "Field__c"}``; None as the value drops the column
    :param nulls: what an explicit null does: ``leave`` the field or ``clear`` it; by column ``{"Field__c": "clear"}``
    :param timezone: of datetimes that carry none, as ``Europe/Berlin``; without it they are refused
    :param part_bytes: size of one job's CSV at most
    :param part_records: records of one job at most
    :param max_concurrent_jobs: jobs being filled at the same time
    :param results_path: folder for the files of successful, failed and unprocessed records (templated)
    :param results_format: ``csv``, ``parquet`` or ``jsonl``
    :param results_conn_id: connection of the object storage, when the URI does not name it
    :param max_failed_records: failed records that do not fail the task: a number, a float as fraction of all records,
        or None for any number. Unprocessed records always fail it

    Returns ``{"sobject", "operation", "job_ids", "processed", "successful", "failed", "unprocessed", "errors",
    "api_calls", "results", "manifest"}``, or the list of job ids with ``wait_for_completion=False``.
    """

    job_type: ClassVar[JobType] = JobType.INGEST
    template_fields: Sequence[str] = (
        "sobject",
        "source",
        "source_conn_id",
        "external_id_field",
        "assignment_rule_id",
        "results_path",
        "results_conn_id",
        "salesforce_conn_id",
    )

    def __init__(
        self,
        *,
        sobject: str,
        operation: str,
        source: Any,
        source_format: str | None = None,
        source_conn_id: str | None = None,
        column_delimiter: str | None = None,
        line_ending: str | None = None,
        external_id_field: str | None = None,
        assignment_rule_id: str | None = None,
        column_mapping: Mapping[str, str | None] | None = None,
        nulls: Nulls | Mapping[str, Nulls] = "leave",
        timezone: str | None = None,
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        max_concurrent_jobs: int = 4,
        results_path: str | os.PathLike[str] | None = None,
        results_format: str = "csv",
        results_conn_id: str | None = None,
        max_failed_records: float | None = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sobject = sobject
        self.operation = operation
        self.source = source
        self.source_format = source_format
        self.source_conn_id = source_conn_id
        self.column_delimiter = column_delimiter
        self.line_ending = line_ending
        self.external_id_field = external_id_field
        self.assignment_rule_id = assignment_rule_id
        self.column_mapping = column_mapping
        self.nulls = nulls
        self.timezone = timezone
        self.part_bytes = part_bytes
        self.part_records = part_records
        self.max_concurrent_jobs = max_concurrent_jobs
        self.results_path = results_path
        self.results_format = results_format
        self.results_conn_id = results_conn_id
        self.max_failed_records = max_failed_records

    @property
    def source(self) -> Any:
        """What to load; records themselves only inside an :class:`Unshown`."""
        return self._source

    @source.setter
    def source(self, value: Any) -> None:
        shown = isinstance(value, (str, os.PathLike, Unshown, XComArg)) or callable(value) or value is None
        self._source = value if shown else Unshown(value)

    def execute(self, context: Context) -> dict[str, Any] | list[str]:
        """Fill, decide, close; then wait and settle."""
        rules = self._rules()
        ledger = self._ledger(context)
        given_up = ledger.begin(self._plan())
        with self.hook.get_conn() as client:
            self._abort(client, given_up)
            if ledger.is_resumed:
                self.log.info("the whole input lies uploaded since an earlier try: going on with its jobs")
            spec = IngestSpec(
                sobject=self.sobject,
                operation=rules.operation,
                external_id_field=self.external_id_field,
                assignment_rule_id=self.assignment_rule_id,
            )
            jobs, parts = IngestJobs(client.api_version), self._parts(client, rules)
            load = ingest.load(jobs, spec, parts, limit=self.max_concurrent_jobs)
            filled = self._run(context, client, load, ledger=ledger)
            job_ids = self._publish(context, client, filled)
            if not self.wait_for_completion:
                ledger.finish()
                return job_ids
            infos = self._wait(context, client, job_ids)
            return self._settle(client, ledger, filled, infos, api_calls=0)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Settle after the deferral."""
        ledger = self._ledger(context)
        ledger.resume()
        with self.hook.get_conn() as client:
            filled = client.run(ingest.recorded(), ledger=ledger)
            job_ids = self._publish(context, client, filled)
            infos, api_calls = self._wait_again(context, client, event, job_ids)
            return self._settle(client, ledger, filled, infos, api_calls=api_calls)

    def _publish(self, context: Context, client: BulkClient, filled: Sequence[ingest.Filled]) -> list[str]:
        job_ids = [each.job_id for each in filled]
        self._show(context, client, job_ids)
        return job_ids

    def _rules(self) -> Rules:
        """Check what can be checked without reading or sending anything.

        :raises SourceError: naming the argument
        """
        member(FileFormat, self.results_format, "results_format")
        self._check_waiting()
        check_allowance("max_failed_records", self.max_failed_records)
        check_count("part_bytes", self.part_bytes, most=limits.PART_BYTES)
        check_count("part_records", self.part_records)
        check_count("max_concurrent_jobs", self.max_concurrent_jobs)
        if self.results_path is not None:
            open_output(self.results_path, conn_id=self.results_conn_id)
        self._check_source()
        return Rules(
            operation=member(Operation, self.operation, "operation"),
            external_id_field=self.external_id_field,
            column_mapping=self.column_mapping,
            nulls=self.nulls,
            timezone=self.timezone,
            column_delimiter=_optional(ColumnDelimiter, self.column_delimiter, "column_delimiter"),
            line_ending=_optional(LineEnding, self.line_ending, "line_ending"),
        )

    def _check_source(self) -> None:
        if self.source is None:
            raise SourceError("source is None: if it comes from a task before, that task returned nothing")
        if isinstance(self.source, Unshown) and isinstance(self.source.records, Iterator):
            raise SourceError(
                f"source is a {type(self.source.records).__name__}, which can be read only once, and a retry reads it "
                "again; give the function that makes it, or a list"
            )

    def _plan(self) -> dict[str, Any]:
        """Give what makes this load what it is. From its decision on until its end none of it may change."""
        files = self._files()
        return {
            "sobject": self.sobject,
            "operation": self.operation,
            "external_id_field": self.external_id_field,
            "assignment_rule_id": self.assignment_rule_id,
            "salesforce_conn_id": self.salesforce_conn_id,
            "column_mapping": dict(self.column_mapping) if self.column_mapping else None,
            "nulls": self.nulls if isinstance(self.nulls, str) else dict(self.nulls),
            "timezone": self.timezone,
            "source": _told(self.source) if files is None else [file.identity() for file in files],
        }

    def _files(self) -> list[SourceFile] | None:
        if isinstance(self.source, (str, os.PathLike)):
            return find_sources(self.source, conn_id=self.source_conn_id)
        return None

    def _parts(self, client: BulkClient, rules: Rules) -> Iterator[Part]:
        """Cut the input into parts, numbered through all files. Nothing is read before the first is asked for."""
        describe = client.describe(self.sobject)
        number, row = 0, 1
        for stream in self._streams(rules):
            columns = check_against_describe(
                stream.columns, describe, operation=rules.operation, external_id_field=self.external_id_field
            )
            for part in split(stream.with_columns(columns), max_bytes=self.part_bytes, max_records=self.part_records):
                yield replace(part, number=number, first_row=row)
                number += 1
                row += part.records

    def _streams(self, rules: Rules) -> Iterator[RecordStream]:
        files = self._files()
        if files is not None:
            for file in files:
                yield from_file(file.open, rules, name=file.name, source_format=self.source_format)
            return
        records = self.source.records if isinstance(self.source, Unshown) else self.source()
        yield from_source(records, rules, name=f"the {type(records).__name__} given as source")

    def _report(self, client: BulkClient, settlement: Settlement) -> Report:
        if self.results_path is None:
            return count_errors(client, settlement)
        return write_report(
            client,
            settlement,
            open_output(self.results_path, conn_id=self.results_conn_id),
            results_format=FileFormat(self.results_format),
            sobject=self.sobject,
            operation=self.operation,
        )

    def _settle(
        self,
        client: BulkClient,
        ledger: TaskLedger,
        filled: Sequence[ingest.Filled],
        infos: Sequence[JobInfo],
        *,
        api_calls: int,
    ) -> dict[str, Any]:
        """Hold the counts against what was sent, write the result files, and judge."""
        settlement = Settlement.of(filled, infos)
        self.log.info(
            "%d records sent in %d job(s): %d saved, %d failed, %d not processed",
            settlement.records,
            len(filled),
            *(settlement.count(kind) for kind in KINDS),
        )
        report = self._report(client, settlement)
        for info in infos:
            check_complete(info)
        check_failed_records(
            infos,
            allowed=self.max_failed_records,
            total=settlement.records,
            codes=report.errors,
            where=report.files["failed"],
        )
        ledger.finish()
        return {
            "sobject": self.sobject,
            "operation": self.operation,
            "job_ids": [each.job_id for each in filled][:NAMED_JOB_IDS],
            "processed": settlement.count("successful") + settlement.count("failed"),
            "successful": settlement.count("successful"),
            "failed": settlement.count("failed"),
            "unprocessed": settlement.count("unprocessed"),
            "errors": dict(report.errors),
            "api_calls": api_calls + client.api_calls,
            "results": report.files,
            "manifest": report.manifest,
        }


def _told(source: Any) -> str:
    """Tell a source that is no file from another one, alike in every process and without a value of a record.

    ``str`` of a callable names its address in memory, and that of a ``partial`` shows its arguments.
    """
    if isinstance(source, Unshown):
        return str(source)
    function = source.func if isinstance(source, partial) else source
    return f"<callable {getattr(function, '__qualname__', type(function).__name__)}>"


def _optional(kind: type[E], value: str | None, name: str) -> E | None:
    return None if value is None else member(kind, value, name)
