"""Extracting records from Salesforce."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from airflow.sdk import Asset, XComArg, conf
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.definitions.asset import AssetNameRef

from airflow_provider_sfbulk.arguments.hidden import HiddenTemplate, HiddenValue
from airflow_provider_sfbulk.arguments.ingest import DelimiterName
from airflow_provider_sfbulk.arguments.query import ARGUMENTS
from airflow_provider_sfbulk.arguments.table import Arguments
from airflow_provider_sfbulk.arguments.templates import is_reference
from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.bulk1.models import ConcurrencyMode
from airflow_provider_sfbulk.client.errors import LedgerError, SfBulkError, SourceError
from airflow_provider_sfbulk.client.extract.whole_object import ALL, FieldList
from airflow_provider_sfbulk.client.models import (
    ColumnDelimiter,
    Compression,
    FileFormat,
    JobInfo,
    JobType,
    LineEnding,
    QueryOperation,
)
from airflow_provider_sfbulk.client.replies.safe_text import without_values
from airflow_provider_sfbulk.client.results.schema_change import OnSchemaChange, read_types
from airflow_provider_sfbulk.client.soql import bind
from airflow_provider_sfbulk.client.waiting.schedule import POLL_INTERVAL_SECONDS
from airflow_provider_sfbulk.client.waiting.wait import check_complete
from airflow_provider_sfbulk.files.paths import AnyPath, path_text
from airflow_provider_sfbulk.files.storage import open_output
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.operators.base import BulkJobOperator
from airflow_provider_sfbulk.operators.extract.whole_object import WholeObject, said_left_out
from airflow_provider_sfbulk.operators.incremental import BEGINNING, Incremental, Window
from airflow_provider_sfbulk.operators.summary import extract_event, extract_summary
from airflow_provider_sfbulk.operators.task_run import TaskRun
from airflow_provider_sfbulk.task.failures import fails_for_good
from airflow_provider_sfbulk.task.lineage import Lineage, Place, file_place, object_place
from airflow_provider_sfbulk.task.metrics import count_query
from airflow_provider_sfbulk.task.old_ledger import plan_digest
from airflow_provider_sfbulk.task.progress import Phase

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_sfbulk.client import BulkClient
    from airflow_provider_sfbulk.client.effects import Flow
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
        and none of others. Names of compressed CSV and JSON lines end with ``.gz`` or ``.zst``
    :param output_conn_id: connection of the object storage, when the URI does not name it (templated)
    :param column_types: of Parquet and JSON lines: types by column that are not describe's, as ``{"Amount":
        "decimal(18,4)"}``: ``string``, ``boolean``, ``integer``, ``decimal(digits,decimals)``, ``double``, ``date``,
        ``datetime`` or ``time``. A value that does not fit fails the task
    :param on_schema_change: when columns came, went or changed type since the extract that is in the folder: ``accept``,
        ``fail`` (and leave that one), or of Parquet ``widen``: a type that holds the values before and now, and null for a
        column that went. What changed is in the result, the manifest, the assets' events and the log
    :param spreadsheet_safe: of CSV files: values that a spreadsheet would take for formulas get an apostrophe in front
    :param max_xcom_records: without ``output_path`` the rows go to XCom, up to this many
    :param column_delimiter: of the CSV, Salesforce's name
    :param line_ending: of the CSV, ``LF`` or ``CRLF``
    :param page_records: records of one page, that is of one part file, at most; when pages are read at the same time,
        Salesforce chooses
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
    {"since", "until"}``, with ``sobject`` also ``"left_out": {field: why}``, and when columns differ from the extract
    before ``"schema_changes": {"added", "removed", "retyped"}``; without ``output_path`` the rows as a list of dicts; with
    ``wait_for_completion=False`` the job id.
    """

    job_type: ClassVar[JobType] = JobType.QUERY
    arguments: ClassVar[Arguments] = ARGUMENTS
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
    def _whole_object(self) -> WholeObject | None:
        """The whole object that is read, if it is one."""
        if self.sobject is None:
            return None
        window = () if self.incremental is None else self.incremental.conditions
        return WholeObject(self.sobject, self.fields, self.exclude, self.where, window)

    def _statement(self, selected: FieldList | None = None) -> str | None:
        """Give the query with names in the places of its values; None when only a job is known.

        :param selected: the fields of a whole object, when they are known
        """
        whole = self._whole_object
        if whole is None:
            return self.soql
        return whole.statement() if selected is None else whole.statement(selected.names)

    def _bound_soql(self, window: Window | None, selected: FieldList | None = None) -> str:
        """Give the query with its values.

        :param window: of an incremental query
        :param selected: see :meth:`_statement`
        :raises SourceError: naming a name or a value that has no counterpart, or a value that is none of SOQL's
        """
        params = {} if self.soql_params is None else self.soql_params.records
        if window is not None:
            params = {**params, "since": window.since, "until": window.until}
        try:
            return bind(str(self._statement(selected)), params)
        except SourceError as error:
            raise SourceError(f"soql_params: {error}") from error

    def _window(self, run: TaskRun) -> Window | None:
        """Give the window to read: the one this task instance has read or begun to read before, or a new one."""
        if self.incremental is None:
            return None
        identity = self.incremental.identity
        kept = run.ledger.window(identity) or self.incremental.window_of_run(run.context)
        if kept is None:
            kept = self.incremental.decide(run.context, run.client, str(self._statement())).to_dict()
            run.ledger.keep_window(identity, kept)
        window = Window.from_dict(kept)
        self.log.info("%s from %s before %s", self.incremental.field, *window.to_dict().values())
        return window

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
                    return submitted.job_id
                (info,) = self._wait(run, [submitted.job_id])
                return self._fetch(run, info, generation=submitted.generation)

    @fails_for_good
    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Fetch after the deferral."""
        from airflow_provider_sfbulk.client.extract.query_job import recorded_job

        ledger = self.ledger(context)
        ledger.resume()
        with self._folder(context) or nullcontext(), self.run_of(context, ledger, deadline=deadline) as run:
            submitted = self._given_job() or run.run(recorded_job())
            if submitted is None:
                raise LedgerError("no job is recorded for this try of the task, though it was deferred")
            run.job_version = submitted.api_version
            self._window_kept(run)
            run.show_jobs([submitted.job_id])
            (info,) = self._wait_again(run, event, [submitted.job_id])
            return self._fetch(run, info, generation=submitted.generation)

    def _hidden(self, text: str) -> str:
        """Give what an error says without the values of the query: of a job that failed, Salesforce may quote them."""
        try:
            soql = (
                ""
                if self.job_id is not None
                else self._bound_soql(Window(BEGINNING, BEGINNING) if self.incremental else None)
            )
        except SfBulkError:
            return text
        return without_values(text, soql)

    def _folder(self, context: Context) -> TaskFolder | None:
        """Open the folder of the files, if this task writes any."""
        if self.output_path is None or not self.wait_for_completion:
            return None
        from airflow_provider_sfbulk.files.task_folder import open_task_folder

        return open_task_folder(self.output_path, context["ti"], conn_id=self.output_conn_id, argument="output_path")

    @property
    def _owns_jobs(self) -> bool:
        """A job that was submitted before is its submitter's."""
        return self.job_id is None

    def _given_job(self) -> Submitted | None:
        """Give the job that the user named. No other ever follows it."""
        from airflow_provider_sfbulk.client.extract.query_job import Submitted

        return None if self.job_id is None else Submitted(self.job_id, generation=0)

    def _check(self) -> None:
        """Check what can be checked without sending anything.

        :raises SourceError: naming the argument
        """
        self.arguments.apply(self, rendered=True)
        if self.incremental is not None:
            self.incremental.check(str(self._statement()))
        if self.job_id is None:
            self._bound_soql(None if self.incremental is None else Window(BEGINNING, BEGINNING))
        if self.output_path is not None:
            open_output(self.output_path, conn_id=self.output_conn_id)

    def _submitted(self, run: TaskRun) -> Submitted:
        """Give the job to fetch: the user's, an earlier try's, or a new one.

        A retry goes on with its job. A user's clear starts over: reading twice does no harm, stale rows might.
        """
        from airflow_provider_sfbulk.client.extract.query_job import recorded_job

        run.abort(run.ledger.begin_query())
        operation = QueryOperation.QUERY_ALL if self.include_deleted else QueryOperation.QUERY
        window = self._window(run)
        selected = self._select(run)
        plan = {
            "soql": self._statement(selected),
            **self._identity_of_params(window),
            **({} if window is None else {"window": window.to_dict()}),
            "job_id": self.job_id,
            "operation": str(operation),
            "salesforce_conn_id": self.salesforce_conn_id,
            # Nothing for 2.0: a query that an earlier version of this package began has no such entry.
            **({} if self.mode is None else {"api": self.api, "pk_chunking": self.pk_chunking}),
        }
        given = self._given_job()
        if given is not None:
            return given
        if self.api_reserve is not None and run.run(recorded_job()) is None:
            self._keep_reserve(run)
        soql = self._bound_soql(window, selected)
        submission = self._submission(run.client, operation, soql, plan_digest(plan))
        return run.run(submission)

    def _select(self, run: TaskRun) -> FieldList | None:
        """List the fields of a whole object: those of the try before, or those of describe."""
        whole = self._whole_object
        if whole is None:
            return None
        selected = run.run(whole.list_fields(api_version=run.client.api_version))
        self.log.info("%s: %s fields%s", selected.sobject, f"{len(selected.names):,}", said_left_out(selected))
        return selected

    def _selected(self, run: TaskRun) -> FieldList | None:
        """Give the fields of a whole object that this try has asked for.

        :raises SourceError: the DAG was changed while the task was deferred
        """
        whole = self._whole_object
        return None if whole is None else run.run(whole.kept_fields())

    def _submission(self, client: BulkClient, operation: QueryOperation, soql: str, plan: str) -> Flow[Submitted]:
        from airflow_provider_sfbulk.client.bulk1 import query as extract1
        from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec, chunking_of, root_object
        from airflow_provider_sfbulk.client.extract.query_job import submit
        from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls

        if self.mode is None:
            return submit(
                QueryCalls(client.api_version),
                soql,
                operation=operation,
                column_delimiter=self.column_delimiter,
                line_ending=self.line_ending,
                plan=plan,
            )
        spec = Bulk1JobSpec(
            root_object(soql), operation, concurrency_mode=self.mode, pk_chunking=chunking_of(self.pk_chunking)
        )
        return extract1.submit(Bulk1Calls(client.api_version), spec, soql, plan=plan)

    def _identity_of_params(self, window: Window | None) -> dict[str, str]:
        """Give a digest of the values, which shows a change and not the values: people can read a plan."""
        if self.soql_params is None:
            return {}
        return {"soql_params": hashlib.sha256(self._bound_soql(window).encode("utf-8", "surrogatepass")).hexdigest()}

    def _fetch(
        self,
        run: TaskRun,
        info: JobInfo,
        *,
        generation: int,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Fetch the rows of the finished job."""
        from airflow_provider_sfbulk.operators.extract.extract import PageReader, extract_to_files, extract_to_rows

        check_complete(info)
        run.reporter.enter(Phase.READING)
        reader = PageReader(
            run.client.api_version,
            is_classic=self.mode is not None,
            page_records=self.page_records,
            at_once=self.max_concurrent_pages,
        )
        folder = self._folder(run.context)
        selected = self._selected(run)
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
                generation=generation,
                named=[path_text(self.output_path), self.output_conn_id],
                file_format=FileFormat(self.output_format),
                spreadsheet_safe=self.spreadsheet_safe,
                compression=None if self.compression is None else Compression(self.compression),
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
        window = self._window_kept(run)
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
            run.reporter.found({"records": records}, files={"records": extract.files}, manifest=extract.manifest)
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

        found = run.run(describe_types(info, columns, api_version=run.client.api_version))
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
        return Lineage(address, [info.id], [read], outputs, statement=self._statement(selected), facts=facts)

    def _window_kept(self, run: TaskRun) -> Window | None:
        """Give the window that this try has asked for.

        :raises SourceError: the DAG was changed while the task was deferred
        """
        if self.incremental is None:
            return None
        kept = run.ledger.window(self.incremental.identity) or self.incremental.window_of_run(run.context)
        if kept is None:
            raise SourceError("incremental was changed while the task waited; nothing is published. Clear the task")
        return Window.from_dict(kept)
