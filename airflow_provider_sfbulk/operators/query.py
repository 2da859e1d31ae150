"""Extracting records from Salesforce."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from airflow.sdk import Asset, XComArg, conf
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.definitions.asset import AssetNameRef

from airflow_provider_sfbulk.arguments.hidden import HiddenTemplate, HiddenValue
from airflow_provider_sfbulk.arguments.ingest import DelimiterName
from airflow_provider_sfbulk.arguments.query import ARGUMENTS, layout_of
from airflow_provider_sfbulk.arguments.table import Arguments
from airflow_provider_sfbulk.arguments.templates import is_reference
from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.errors import LedgerError
from airflow_provider_sfbulk.client.extract.whole_object import ALL, FieldList
from airflow_provider_sfbulk.client.models import (
    ColumnDelimiter,
    Compression,
    ConcurrencyMode,
    FileFormat,
    JobInfo,
    JobType,
    LineEnding,
)
from airflow_provider_sfbulk.client.results.schema_change import OnSchemaChange, read_types
from airflow_provider_sfbulk.client.waiting.schedule import POLL_INTERVAL_SECONDS
from airflow_provider_sfbulk.client.waiting.wait import check_complete
from airflow_provider_sfbulk.files.paths import AnyPath, path_text
from airflow_provider_sfbulk.files.storage import open_output
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.operators.base import BulkJobOperator, named
from airflow_provider_sfbulk.operators.extract.statement import Statement
from airflow_provider_sfbulk.operators.extract.whole_object import WholeObject
from airflow_provider_sfbulk.operators.incremental import Incremental
from airflow_provider_sfbulk.operators.summary import extract_event, extract_summary
from airflow_provider_sfbulk.operators.task_run import TaskRun
from airflow_provider_sfbulk.task.failures import fails_for_good
from airflow_provider_sfbulk.task.lineage import Lineage, Place, file_place, object_place
from airflow_provider_sfbulk.task.metrics import count_query
from airflow_provider_sfbulk.task.progress import Phase

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_sfbulk.client.extract.query_job import Submitted
    from airflow_provider_sfbulk.files.task_folder import TaskFolder
    from airflow_provider_sfbulk.operators.extract.extract import Extract

__all__ = ["BulkQueryOperator", "Incremental"]


class BulkQueryOperator(BulkJobOperator):
    """Run a SOQL query with Bulk API 2.0 (or 1.0: ``api``) and write its rows to files, or return them.

    Every page is proven whole before its file appears, and the manifest comes last: an extract is whole or absent. A
    retry goes on with the job of the try before, behind the pages that are finished; clearing the task starts a new query.

    :param soql: the query, or the name of a ``.soql`` file beside the DAG (templated)
    :param sobject: instead of ``soql``: read a whole object, by its API name (templated)
    :param fields: of ``sobject``: ``"all"``, or a list of names, in which ``"all"`` may be one and paths over relationships
        others, as ``["all", "Owner.Name"]`` (templated). ``"all"`` is what describe has when the task first runs; compound
        and base64 fields, which no bulk query can select, are left out and named in the result
    :param exclude: fields that ``"all"`` does not stand for (templated)
    :param where: of ``sobject``: the condition alone, without ``WHERE`` (templated)
    :param soql_params: values for the ``:name`` in the query or in ``where``, by name (templated); see ``client.soql``.
        They are neither shown nor stored by Airflow. In a template, ``{{ value | soql_literal }}`` writes one
    :param incremental: read only what lies in the run's window, named by ``:since`` and ``:until`` in the query; with
        ``sobject`` the condition is added
    :param include_deleted: also records that are deleted (recycle bin) or archived
    :param job_id: instead of ``soql``: fetch the rows of a job that was submitted before (templated)
    :param output_path: folder for the part files and the manifest, for one extract at a time (templated)
    :param output_format: ``csv``, ``parquet`` or ``jsonl``; the last two are typed by describe
    :param compression: ``none``, ``gzip`` or ``zstd``, and of Parquet ``snappy``; None for ``zstd`` inside of Parquet files
        and none of others. Names of compressed CSV and JSON Lines end with ``.gz`` or ``.zst``
    :param output_conn_id: connection of the object storage, when the URI does not name it (templated)
    :param rows_per_file: records of a file at most, whatever pages they come in; None for a file a page, or a partition
    :param bytes_per_file: bytes with which a file ends, as it lies there: it may have up to 1,000 rows more, and of Parquet
        up to a row group; None for no such end
    :param partition_by: columns by whose values the files lie in folders, as ``["Region__c", "day(CreatedDate)"]``, with
        ``year``, ``month``, ``day`` and ``hour`` in UTC: ``Region__c=EMEA/CreatedDate_day=2026-11-30/part-….parquet``. A
        column whose value names a folder is not in the files
    :param deletions: with ``include_deleted``: ``inline`` for deleted records among the others, or ``files`` for files of
        their own, in the folder ``deletions`` beside ``records``; ``Id`` and ``IsDeleted`` have to be selected, which a
        whole object's query does by itself
    :param column_types: of Parquet and JSON Lines: types by column that are not describe's, as ``{"Amount":
        "decimal(18,4)"}``: ``string``, ``boolean``, ``integer``, ``decimal(digits,decimals)``, ``double``, ``date``,
        ``datetime`` or ``time``. A value that does not fit fails the task
    :param on_schema_change: when columns came, went or changed type since the extract that is in the folder: ``accept``,
        ``fail`` (and leave that one), or of Parquet ``widen``: a type that holds the values before and now, and null for a
        column that went. What changed is in the result, the manifest, the assets' events and the log
    :param spreadsheet_safe: of CSV files: values that a spreadsheet would take for formulas get an apostrophe in front
    :param max_xcom_records: without ``output_path`` the rows go to XCom, up to this many
    :param column_delimiter: of the CSV, Salesforce's name
    :param line_ending: of the CSV, ``LF`` or ``CRLF``
    :param page_records: records of one page, which is one part file unless ``rows_per_file``, ``bytes_per_file`` or
        ``partition_by`` say otherwise, at most; when pages are read at the same time, Salesforce chooses
    :param max_concurrent_pages: pages being read at the same time, when there are more than ``page_records`` records;
        with ``api="1.0"`` result files
    :param pk_chunking: with ``api="1.0"``: cut the query by ranges of ids; True, or records of a range. (Bulk API 2.0
        does that by itself)
    :param wait_for_completion: False: return the job ids as soon as Salesforce has the jobs
    :param deferrable: wait in the triggerer, without holding a worker
    :param poll_interval: longest time between two looks at a job, in seconds or as a timedelta; young jobs are looked at
        more often
    :param timeout: of one try's waiting, in seconds or as a timedelta. Its end fails the try, the jobs go on, and the
        next try adopts them
    :param cancel_on_kill: whether a person's kill aborts the jobs; a deploy, a timeout or a lost worker never does
    :param api_reserve: API calls to leave in the org, a number or a float below 1 as fraction of the day's: with fewer
        left nothing is begun. What was begun is brought to its end
    :param on_api_reserve: what the task does then: ``wait`` (deferred, until its ``timeout``) or ``fail``
    :param salesforce_conn_id: the connection (templated)
    :param api_version: instead of the connection's, as ``66.0``
    :param api: ``2.0``, or ``1.0`` for what only that one can do
    :param concurrency_mode: with ``api="1.0"``: ``Parallel``, or ``Serial`` for batches one after the other

    Returns ``{"job_id", "records", "files", "manifest", "columns", "api_calls"}``, with ``incremental`` also ``"window":
    {"since", "until"}``, with ``sobject`` also ``"left_out": {field: why}``, with ``deletions="files"`` also ``"deletions":
    {"records", "files"}`` (of all ``records`` the deleted ones), and when columns differ from the extract before
    ``"schema_changes": {"added", "removed", "retyped"}``; without ``output_path`` the rows as a list of dicts; with
    ``wait_for_completion=False`` the job id.
    """

    job_type: ClassVar[JobType] = JobType.QUERY
    arguments: ClassVar[Arguments] = ARGUMENTS
    native_fields: ClassVar[Collection[str]] = ("fields", "exclude")
    template_fields: Sequence[str] = (
        "soql",
        "sobject",
        "fields",
        "exclude",
        "where",
        "soql_params",
        "job_id",
        "output_path",
        "output_conn_id",
        "salesforce_conn_id",
    )
    template_ext: Sequence[str] = (".soql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"soql": "sql"}

    def __init__(
        self,
        *,
        soql: str | XComArg | None = None,
        sobject: str | XComArg | None = None,
        fields: Literal["all"] | Sequence[str] | XComArg = ALL,
        exclude: Sequence[str] | XComArg = (),
        where: str | XComArg | None = None,
        soql_params: Mapping[str, Any] | XComArg | None = None,
        incremental: Incremental | None = None,
        include_deleted: bool = False,
        job_id: str | XComArg | None = None,
        output_path: AnyPath | XComArg | None = None,
        output_format: FileFormat | Literal["csv", "parquet", "jsonl"] = "csv",
        compression: Compression | Literal["none", "gzip", "zstd", "snappy"] | None = None,
        output_conn_id: str | XComArg | None = None,
        rows_per_file: int | None = None,
        bytes_per_file: int | None = None,
        partition_by: str | Sequence[str] = (),
        deletions: Literal["inline", "files"] = "inline",
        column_types: Mapping[str, str] | None = None,
        on_schema_change: OnSchemaChange | Literal["accept", "fail", "widen"] = "accept",
        spreadsheet_safe: bool = False,
        max_xcom_records: int = 1000,
        column_delimiter: ColumnDelimiter | DelimiterName = "COMMA",
        line_ending: LineEnding | Literal["LF", "CRLF"] = "LF",
        page_records: int = 250_000,
        max_concurrent_pages: int = 4,
        pk_chunking: bool | int | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Seconds = POLL_INTERVAL_SECONDS,
        timeout: Seconds | None = None,
        cancel_on_kill: bool = True,
        api_reserve: float | None = None,
        on_api_reserve: Literal["wait", "fail"] = "wait",
        salesforce_conn_id: str | XComArg = SalesforceBulkHook.default_conn_name,
        api_version: str | None = None,
        api: Literal["2.0", "1.0"] = "2.0",
        concurrency_mode: Literal["Parallel", "Serial"] | ConcurrencyMode = "Parallel",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            wait_for_completion=wait_for_completion,
            deferrable=deferrable,
            poll_interval=poll_interval,
            timeout=timeout,
            cancel_on_kill=cancel_on_kill,
            api_reserve=api_reserve,
            on_api_reserve=on_api_reserve,
            salesforce_conn_id=salesforce_conn_id,
            api_version=api_version,
            api=api,
            concurrency_mode=concurrency_mode,
            **kwargs,
        )
        self.soql = cast("str | None", soql)
        self.sobject = cast("str | None", sobject)
        self.fields = cast("str | list[str]", fields)
        self.exclude = cast("list[str]", exclude)
        self.where = cast("str | None", where)
        self.soql_params = soql_params
        self.incremental = incremental
        outlet = incremental.outlet if isinstance(incremental, Incremental) else None
        if outlet is not None:
            known = (each for each in (*self.inlets, *self.outlets) if isinstance(each, (Asset, AssetNameRef)))
            if outlet.name not in {each.name for each in known}:
                self.outlets = [*self.outlets, outlet]
        self.include_deleted = include_deleted
        self.job_id = cast("str | None", job_id)
        self.output_path = cast("AnyPath | None", output_path)
        self.output_format = output_format
        self.compression = compression
        self.output_conn_id = cast("str | None", output_conn_id)
        self.rows_per_file = rows_per_file
        self.bytes_per_file = bytes_per_file
        self.partition_by = partition_by
        self.deletions = deletions
        self.column_types = column_types
        self.on_schema_change = on_schema_change
        self.spreadsheet_safe = spreadsheet_safe
        self.max_xcom_records = max_xcom_records
        self.column_delimiter = column_delimiter
        self.line_ending = line_ending
        self.page_records = page_records
        self.max_concurrent_pages = max_concurrent_pages
        self.pk_chunking = cast("bool | int", pk_chunking)
        self.arguments.apply(self, rendered=False)

    @property
    def soql_params(self) -> Any:
        """Values for the query's names, inside an :class:`HiddenTemplate`."""
        return self._soql_params

    @soql_params.setter
    def soql_params(self, value: Any) -> None:
        shown = value is None or isinstance(value, HiddenValue) or is_reference(value)
        self._soql_params = value if shown else HiddenTemplate(value)

    @property
    def _statement(self) -> Statement:
        """The query."""
        whole = None
        if self.sobject is not None:
            window = () if self.incremental is None else self.incremental.conditions
            needed = layout_of(self).needed
            whole = WholeObject(self.sobject, self.fields, self.exclude, self.where, window, needed)
        return Statement(
            soql=self.soql,
            whole_object=whole,
            params=None if self.soql_params is None else self.soql_params.records,
            incremental=self.incremental,
            job_id=self.job_id,
            include_deleted=self.include_deleted,
            salesforce_conn_id=self.salesforce_conn_id,
            mode=self.mode,
            pk_chunking=self.pk_chunking,
            column_delimiter=self.column_delimiter,
            line_ending=self.line_ending,
            needed=layout_of(self).needed,
        )

    @fails_for_good
    def execute(self, context: Context) -> Any:
        """Submit the query, or find the job of an earlier try; wait; then fetch."""
        return self._start(context)

    def _start(self, context: Context, *, deadline: float | None = None, api_calls: int = 0) -> Any:
        self._check()
        ledger = self.ledger(context)
        with self._folder(context) or nullcontext() as folder:
            if folder is not None:
                folder.claim()
            with self.run_of(context, ledger, deadline=deadline, api_calls=api_calls) as run:
                submitted = self._submitted(run)
                run.job_version = submitted.api_version
                run.show_jobs([submitted.job_id])
                if not self.wait_for_completion:
                    ledger.finish()
                    self.log.info("%s is submitted; this task does not wait", named([submitted.job_id]))
                    return submitted.job_id
                (info,) = self._wait(run, [submitted.job_id])
                return self._fetch(run, info)

    @fails_for_good
    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Fetch after the deferral."""
        from airflow_provider_sfbulk.client.extract.query_job import recorded_job

        self.arguments.apply(self, rendered=True)
        ledger = self.ledger(context)
        ledger.resume()
        with self._folder(context) or nullcontext(), self.run_of(context, ledger, deadline=deadline) as run:
            submitted = self._statement.given_job() or run.run(recorded_job())
            if submitted is None:
                raise LedgerError("no job is recorded for this try of the task, though it was deferred")
            run.job_version = submitted.api_version
            self._statement.asked_window(run)
            run.show_jobs([submitted.job_id])
            (info,) = self._wait_again(run, event, [submitted.job_id])
            return self._fetch(run, info)

    def _hidden(self, text: str) -> str:
        """Return what an error says without the values of the query."""
        return self._statement.hidden(text)

    def _folder(self, context: Context) -> TaskFolder | None:
        """Open the folder of the files, if this task writes any."""
        if self.output_path is None:
            return None
        from airflow_provider_sfbulk.files.task_folder import open_task_folder

        return open_task_folder(self.output_path, context["ti"], conn_id=self.output_conn_id, argument="output_path")

    @property
    def _owns_jobs(self) -> bool:
        """A job that was submitted before is its submitter's."""
        return self.job_id is None

    def _check(self) -> None:
        """Check what can be checked without sending anything.

        :raises SourceError: naming the argument
        """
        self.arguments.apply(self, rendered=True)
        self._statement.check()
        if self.output_path is not None:
            open_output(self.output_path, conn_id=self.output_conn_id)

    def _submitted(self, run: TaskRun) -> Submitted:
        """Return the job to fetch: the user's, an earlier try's, or a new one.

        A retry goes on with its job. A user's clear starts over: reading twice does no harm, stale rows might.
        """
        from airflow_provider_sfbulk.client.extract.query_job import recorded_job

        run.abort(run.ledger.begin_query())
        submission = self._statement.submission(run)
        given = self._statement.given_job()
        if given is not None:
            return given
        if self.api_reserve is not None and run.run(recorded_job()) is None:
            self._keep_reserve(run)
        return run.run(submission)

    def _fetch(self, run: TaskRun, info: JobInfo) -> dict[str, Any] | list[dict[str, Any]]:
        """Fetch the rows of the finished job."""
        from airflow_provider_sfbulk.operators.extract.extract import PageReader, extract_to_files, extract_to_rows

        check_complete(info)
        run.reporter.enter(Phase.READING)
        reader = PageReader(
            run.client.api_version,
            is_classic=self.mode is not None,
            page_records=self.page_records,
            at_once=self.max_concurrent_pages,
            describes=run.describes,
        )
        folder = self._folder(run.context)
        selected = self._statement.selected(run)
        if self.output_path is None or folder is None:
            rows = run.run(extract_to_rows(reader, info, max_records=self.max_xcom_records))
            if self.incremental is not None:
                run.ti.xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=rows)
            self._finish(run, info, len(rows), columns=tuple(rows[0]) if rows else (), selected=selected)
            return rows
        left_out = {} if selected is None else {"left_out": dict(selected.left_out)}
        extract = run.run(
            extract_to_files(
                reader,
                info,
                folder,
                named=[path_text(self.output_path), self.output_conn_id],
                file_format=FileFormat(self.output_format),
                spreadsheet_safe=self.spreadsheet_safe,
                compression=None if self.compression is None else Compression(self.compression),
                layout=layout_of(self),
                on_schema_change=OnSchemaChange(self.on_schema_change),
                column_types=read_types(self.column_types or {}),
                facts=left_out,
                verify=run.ledger.verify,
            )
        )
        if extract.change:
            self.log.warning("the columns differ from those of the extract before: %s", extract.change)
        window = self._finish(
            run,
            info,
            extract.records,
            columns=extract.columns,
            selected=selected,
            extract=extract,
            conn_id=folder.conn_id,
        )
        return extract_summary(
            info, extract, conn_id=folder.conn_id, window=window, api_calls=run.api_calls, facts=left_out
        )

    def _finish(
        self,
        run: TaskRun,
        info: JobInfo,
        records: int,
        *,
        columns: tuple[str, ...],
        selected: FieldList | None,
        extract: Extract | None = None,
        conn_id: str | None = None,
    ) -> dict[str, str] | None:
        """Report what was read, and move the watermark on: a crash before that reads the rows again.

        :return: the window, of an incremental query
        """
        window = self._statement.asked_window(run)
        span = None if window is None else window.to_dict()
        self.extend_events(run, extract_event(info, records, extract, conn_id=conn_id, window=span))
        run.note_lineage(lambda: self._lineage(run, info, records, columns, selected, extract, span))
        if self.incremental is not None and window is not None:
            self.incremental.advance(run.context, window)
        run.ledger.finish()
        if extract is None:
            run.reporter.found({"records": records})
        else:
            self.log.info("job %s: %s records in %s file(s)", info.id, f"{records:,}", f"{len(extract.files):,}")
            files = {"records": extract.files}
            if extract.deletions is not None:
                files["deletions"] = extract.deletions["files"]
            run.reporter.found({"records": records}, files=files, manifest=extract.manifest)
        count_query(records, info, tags=self.metric_tags)
        return span

    def _lineage(
        self,
        run: TaskRun,
        info: JobInfo,
        records: int,
        columns: tuple[str, ...],
        selected: FieldList | None,
        extract: Extract | None,
        window: Mapping[str, str] | None,
    ) -> Lineage:
        from airflow_provider_sfbulk.client.extract.query_job import describe_types

        found = run.run(describe_types(info, columns, api_version=run.client.api_version, describes=run.describes))
        types = [(each.name, str(each.kind)) for each in found]
        outputs: list[Place] = []
        if extract is not None and self.output_path is not None:
            length, files = extract.length, len(extract.files)
            outputs = [
                file_place(path_text(self.output_path), columns=types, records=records, length=length, files=files)
            ]
        address = run.client.instance_url
        read = object_place(address, str(info.object), columns=types, records=records)
        facts = {} if window is None else {"window": window}
        return Lineage(address, [info.id], [read], outputs, statement=self._statement.text(selected), facts=facts)
