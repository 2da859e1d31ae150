"""Loading records into Salesforce."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast

from airflow.sdk import XComArg, conf
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.arguments.hidden import HiddenTemplate, HiddenValue
from airflow_provider_sfbulk.arguments.ingest import ARGUMENTS, DelimiterName, shown_source
from airflow_provider_sfbulk.arguments.table import Arguments
from airflow_provider_sfbulk.arguments.templates import is_reference
from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.errors import EmptyInputError
from airflow_provider_sfbulk.client.models import (
    ColumnDelimiter,
    ConcurrencyMode,
    FileFormat,
    JobInfo,
    JobType,
    LineEnding,
    Operation,
    SourceFormat,
)
from airflow_provider_sfbulk.client.parts.stream import BlankIds, Nulls, Rules
from airflow_provider_sfbulk.client.waiting.schedule import POLL_INTERVAL_SECONDS
from airflow_provider_sfbulk.files.paths import AnyPath
from airflow_provider_sfbulk.files.storage import open_output
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.operators.base import BulkJobOperator, named
from airflow_provider_sfbulk.operators.summary import check_load_result, check_summary, load_event
from airflow_provider_sfbulk.operators.task_run import TaskRun
from airflow_provider_sfbulk.task.failures import fails_for_good
from airflow_provider_sfbulk.triggers.event import WaitEvent

if TYPE_CHECKING:
    from datetime import tzinfo

    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from airflow_provider_sfbulk.client.check.report import CheckReport
    from airflow_provider_sfbulk.client.compare.chosen import ChosenRows
    from airflow_provider_sfbulk.client.compare.input_rows import InputRows
    from airflow_provider_sfbulk.client.load.rounds import Round
    from airflow_provider_sfbulk.files.apart import Target
    from airflow_provider_sfbulk.files.report import Report
    from airflow_provider_sfbulk.files.sql_source import SqlQuery
    from airflow_provider_sfbulk.files.task_folder import TaskFolder
    from airflow_provider_sfbulk.operators.load.input import LoadInput
    from airflow_provider_sfbulk.operators.load.load import Load
    from airflow_provider_sfbulk.task.ledger import TaskLedger


CHECK_XCOM_KEY: Final = "salesforce_bulk_check"
"""Where a check's result is, also of a task that fails for it."""


class BulkIngestOperator(BulkJobOperator):
    """Insert, update, upsert or delete records with Bulk API 2.0 (or 1.0: ``api``), every row once.

    The input is read to its end and uploaded in parts before Salesforce processes any of it; a mistake anywhere
    in it leaves the org untouched. A retry goes on with the jobs of the try before, and sends again what they left
    unprocessed. Clearing the task after records have failed sends all of these again; after a success it begins a new load.

    :param sobject: API name of the object, as ``Account`` (templated)
    :param operation: ``insert``, ``update``, ``upsert``, ``delete`` or ``hardDelete``
    :param source: path or URI of a file, or a pattern (``*.csv``): CSV, JSON Lines (both also gzipped) or Parquet; a list
        of paths; or a list of dicts, a DataFrame, an Arrow table, a callable that returns an iterable of dicts; or an
        XComArg of these (templated)
    :param source_format: ``csv``, ``jsonl`` or ``parquet``, when the name does not say
    :param source_conn_id: connection of the object storage, when the URI does not name it (templated)
    :param sql: instead of ``source``: one SELECT, or the name of a ``.sql`` file (templated). Its rows are streamed, and
        read again where rows must go again: see ``staging_path``
    :param sql_parameters: a list or dict of values for its placeholders, in the driver's own style (templated). They are
        neither shown nor stored
    :param sql_conn_id: connection to run it on, of any type whose hook is a ``DbApiHook`` (templated)
    :param column_delimiter: of CSV sources, Salesforce's name (``COMMA``, ``TAB``, …); None: seen in the file
    :param line_ending: of CSV sources, ``LF`` or ``CRLF``; None: seen in the file
    :param external_id_field: the field that an upsert matches by (templated)
    :param assignment_rule_id: for Case and Lead (templated)
    :param column_mapping: ``{"source column": "Field__c"}``; None as the value drops the column
    :param nulls: what an explicit null does: ``leave`` the field or ``clear`` it; by column ``{"Field__c": "clear"}``
    :param timezone: of datetimes, dates and texts in datetime fields that name none, as ``Europe/Berlin`` or a
        ``ZoneInfo``, which pendulum's are; without it they are refused, but for the texts of a CSV, which are not looked at
        then
    :param columns: the columns of rows that are dicts, when the first rows have not all of them
    :param blank_external_ids: rows of an upsert whose external id is blank: ``refuse`` the whole input, or ``send`` them
    :param part_bytes: size of one job's CSV at most
    :param part_records: records of one job at most
    :param max_concurrent_jobs: jobs being filled at the same time
    :param staging_path: folder where the uploaded parts are kept until the load is done: for a source that does not give
        the same records when it is read again (templated)
    :param staging_conn_id: connection of the object storage, when the URI does not name it (templated)
    :param key_columns: columns that identify a record, by which results are matched to the input; without them ``Id`` or
        the external id, and for inserts the whole record
    :param results_path: folder for the files of successful, failed and unprocessed records (templated)
    :param results_format: ``csv``, ``parquet`` or ``jsonl``
    :param results_conn_id: connection of the object storage, when the URI does not name it (templated)
    :param spreadsheet_safe: of result files as CSV: values that a spreadsheet would take for formulas get an apostrophe in
        front. Such a file as ``source`` has its values back
    :param max_failed_records: failed records that do not fail the task: a number, a float as fraction of all records,
        or None for any number. Unprocessed records always fail it
    :param retry_codes: Salesforce's codes of failures that pass by themselves: these records alone are sent again, in a
        new job
    :param max_record_retries: how often, in one try of the task
    :param sort_by: column that orders the records that are sent again, as the parent's id: Salesforce locks the parents
    :param serial_fallback: send records that were locked in all these rounds once more, in a serial job of Bulk API 1.0
    :param on_empty: what an input without records does to the task: ``fail``, ``skip``, or ``success`` with a summary of
        zeros. Such are a file with a header only, an empty list or DataFrame, a query without rows, a pattern without a
        match, a callable that gives nothing
    :param skip_unchanged: of an update or an upsert, send only the rows that differ from the org's: their columns are read
        with one bulk query, and a row that may differ counts as one that does
    :param validate_only: check the whole input against the object's describe and send nothing. The task fails as the
        load would: for columns and values that are refused before the upload, and for more rows with a problem than
        ``max_failed_records``
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

    Returns ``{"sobject", "operation", "job_ids", "processed", "successful", "failed", "unprocessed", "errors",
    "api_calls", "results", "manifest"}``, and with ``skip_unchanged=True`` how many rows were ``"unchanged"``; or the list
    of job ids with ``wait_for_completion=False``; with
    ``validate_only=True`` ``{"sobject", "operation", "records", "parts", "bytes", "load_api_calls", "failed", "errors",
    "problems", "more_problems", "refused", "complete", "api_calls", "results", "manifest"}``, also as the XCom
    ``salesforce_bulk_check`` of a task that fails.
    """

    job_type: ClassVar[JobType] = JobType.INGEST
    ledger_retention: ClassVar[Any] = NEVER_EXPIRE
    arguments: ClassVar[Arguments] = ARGUMENTS
    native_fields: ClassVar[Collection[str]] = ("source",)
    template_fields: Sequence[str] = (
        "sobject",
        "source",
        "source_conn_id",
        "sql",
        "sql_parameters",
        "sql_conn_id",
        "external_id_field",
        "assignment_rule_id",
        "staging_path",
        "staging_conn_id",
        "results_path",
        "results_conn_id",
        "salesforce_conn_id",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sql": "sql"}

    def __init__(
        self,
        *,
        sobject: str | XComArg,
        operation: Operation | Literal["insert", "update", "upsert", "delete", "hardDelete"],
        source: Any = None,
        source_format: SourceFormat | None = None,
        source_conn_id: str | XComArg | None = None,
        sql: str | XComArg | None = None,
        sql_parameters: Sequence[Any] | Mapping[str, Any] | XComArg | None = None,
        sql_conn_id: str | XComArg | None = None,
        column_delimiter: ColumnDelimiter | DelimiterName | None = None,
        line_ending: LineEnding | Literal["LF", "CRLF"] | None = None,
        external_id_field: str | XComArg | None = None,
        assignment_rule_id: str | XComArg | None = None,
        column_mapping: Mapping[str, str | None] | None = None,
        nulls: Nulls | Mapping[str, Nulls] = "leave",
        timezone: str | tzinfo | None = None,
        columns: Sequence[str] | None = None,
        blank_external_ids: BlankIds = "refuse",
        part_bytes: int = limits.PART_BYTES,
        part_records: int = limits.RECORDS_PER_DAY,
        max_concurrent_jobs: int = 4,
        staging_path: AnyPath | XComArg | None = None,
        staging_conn_id: str | XComArg | None = None,
        key_columns: Sequence[str] | None = None,
        results_path: AnyPath | XComArg | None = None,
        results_format: FileFormat | Literal["csv", "parquet", "jsonl"] = "csv",
        results_conn_id: str | XComArg | None = None,
        spreadsheet_safe: bool = False,
        max_failed_records: float | None = 0,
        retry_codes: Sequence[str] = ("UNABLE_TO_LOCK_ROW",),
        max_record_retries: int = 3,
        sort_by: str | None = None,
        serial_fallback: bool = False,
        on_empty: Literal["fail", "skip", "success"] = "fail",
        skip_unchanged: bool = False,
        validate_only: bool = False,
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
        self.sobject = cast("str", sobject)
        self.operation = operation
        self.source = source
        self.source_format = source_format
        self.source_conn_id = cast("str | None", source_conn_id)
        self.sql = cast("str | None", sql)
        self.sql_parameters = sql_parameters
        self.sql_conn_id = cast("str | None", sql_conn_id)
        self.column_delimiter = column_delimiter
        self.line_ending = line_ending
        self.external_id_field = cast("str | None", external_id_field)
        self.assignment_rule_id = cast("str | None", assignment_rule_id)
        self.column_mapping = column_mapping
        self.nulls = nulls
        self.timezone = cast("str | None", timezone)
        self.columns = columns
        self.blank_external_ids = blank_external_ids
        self.part_bytes = part_bytes
        self.part_records = part_records
        self.max_concurrent_jobs = max_concurrent_jobs
        self.staging_path = cast("AnyPath | None", staging_path)
        self.staging_conn_id = cast("str | None", staging_conn_id)
        self.key_columns = () if key_columns is None else key_columns
        self.results_path = cast("AnyPath | None", results_path)
        self.results_format = results_format
        self.results_conn_id = cast("str | None", results_conn_id)
        self.spreadsheet_safe = spreadsheet_safe
        self.max_failed_records = max_failed_records
        self.retry_codes = retry_codes
        self.max_record_retries = max_record_retries
        self.sort_by = sort_by
        self.serial_fallback = serial_fallback
        self.on_empty = on_empty
        self.skip_unchanged = skip_unchanged
        self.validate_only = validate_only
        self.arguments.apply(self, rendered=False)

    @property
    def source(self) -> Any:
        """What to load; records themselves only inside an :class:`HiddenValue`."""
        return self._source

    @source.setter
    def source(self, value: Any) -> None:
        self._source = shown_source(value)

    @property
    def sql_parameters(self) -> Any:
        """Values for the statement's placeholders, inside an :class:`HiddenTemplate`."""
        return self._sql_parameters

    @sql_parameters.setter
    def sql_parameters(self, value: Any) -> None:
        shown = value is None or isinstance(value, HiddenValue) or is_reference(value)
        self._sql_parameters = value if shown else HiddenTemplate(value)

    @fails_for_good
    def execute(self, context: Context) -> dict[str, Any] | list[str]:
        """Fill, decide, close; then wait, settle, and send again what may be."""
        return self._check(context) if self.validate_only else self._start(context)

    def _start(
        self,
        context: Context,
        *,
        deadline: float | None = None,
        api_calls: int = 0,
        awaited: Collection[str] = (),
    ) -> dict[str, Any] | list[str]:
        source = self._input()
        ledger = self.ledger(context)
        ledger.begin_load()
        done, decision = self._result_before(ledger), ledger.decision
        empty: EmptyInputError | None = None
        if decision is None and done is None:
            try:
                source.find(self._targets())
            except EmptyInputError as error:
                empty = error
        elif decision is not None:
            ledger.check_load(self._plan(source))
        with self.results_folder(context["ti"]) or nullcontext() as folder:
            if folder is not None and done is None:
                folder.claim_for_results(self.results_format)
                source.check_not_beside(self._targets()[0], folder.mark)
            with self.run_of(context, ledger, deadline=deadline, api_calls=api_calls) as run:
                load = self._load(run, source)
                return (
                    self._go_on(run, load, self._plan(source), empty, awaited)
                    if done is None
                    else self._done_before(run, load, done)
                )

    def _result_before(self, ledger: TaskLedger) -> dict[str, Any] | list[str] | None:
        """Return the result of a load that is done; None, too, when its jobs were only submitted and are now waited for."""
        done = ledger.done
        if done is None:
            return None
        result: dict[str, Any] | list[str] = done["result"]
        check_load_result(result)
        if isinstance(result, list):
            return None if self.wait_for_completion else result
        return result if self.wait_for_completion else list(result["job_ids"])

    def _go_on(
        self,
        run: TaskRun,
        load: Load,
        plan: Mapping[str, Any],
        empty: EmptyInputError | None,
        awaited: Collection[str],
    ) -> dict[str, Any] | list[str]:
        ledger = run.ledger
        if empty is not None:
            return self._end_empty(run, load, empty)
        if ledger.decision is None:
            self._keep_reserve(run)
            try:
                if not self.skip_unchanged:
                    rounds = load.fill_first(plan)
                else:
                    with closing(self._compared(run, load, awaited)) as rows:
                        if not (chosen := rows.chosen).sent:
                            return self._end_without_jobs(run, load, chosen)
                        rounds = load.fill_first(plan, rows)
            except EmptyInputError as error:
                return self._end_empty(run, load, error)
        else:
            rounds = load.close_last()
        job_ids = load.show(rounds)
        if not self.wait_for_completion:
            ledger.finish(job_ids)
            load.forget_parts()
            self._add_to_events(run, job_ids)
            sent = sum(part.records for part in rounds[0].parts)
            self.log.info("%s records are with Salesforce in %s; this task does not wait", f"{sent:,}", named(job_ids))
            return job_ids
        return self._finish(run, load, rounds, self._wait(run, job_ids), plan)

    def _compared(self, run: TaskRun, load: Load, awaited: Collection[str]) -> InputRows:
        def wait(job_id: str) -> JobInfo:
            return self._wait(run, [job_id], then="execute_after_comparison")[0]

        return load.comparison().rows(wait, awaited)

    @fails_for_good
    def execute_after_comparison(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any] | list[str]:
        """Go on after a deferral for the query that the rows are compared with.

        :raises JobTimeoutError: when the time is up
        :raises TransientError: when the triggerer could no longer poll the jobs
        """
        from airflow_provider_sfbulk.operators.load.comparison import check_wait

        ended = WaitEvent.from_dict(event)
        check_wait(ended)
        return self._start(context, deadline=deadline, api_calls=ended.api_calls, awaited=ended.job_ids)

    def _done_before(self, run: TaskRun, load: Load, result: dict[str, Any] | list[str]) -> dict[str, Any] | list[str]:
        """Return the result of a load that was done by a try whose success is not known to be taken."""
        self.log.warning(
            "an earlier try finished this load, but it is not recorded that Airflow accepted its success: it failed "
            "at its very end, or its worker died there. Nothing is sent, and its result is returned. If you cleared "
            "the task to load everything again, clear it again after this try has succeeded."
        )
        run.ledger.finish(result)
        load.show(load.rounds())
        load.forget_parts()
        run.reporter.found_before(result)
        self._add_to_events(run, result)
        return result

    @fails_for_good
    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> dict[str, Any]:
        """Settle after a deferral."""
        ledger = self.ledger(context)
        ledger.resume()
        source = self._input()
        with (
            self.results_folder(context["ti"]) or nullcontext(),
            self.run_of(context, ledger, deadline=deadline) as run,
        ):
            load = self._load(run, source)
            rounds = load.rounds()
            job_ids = load.show(rounds)
            return self._finish(run, load, rounds, self._wait_again(run, event, job_ids), self._plan(source))

    def _finish(
        self, run: TaskRun, load: Load, rounds: list[Round], infos: Sequence[JobInfo], plan: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Settle round after round until nothing is left to be sent again."""
        while (summary := load.settle(rounds, infos, plan)) is None:
            rounds = load.rounds()
            infos = self._wait(run, load.show(rounds))
        self._add_to_events(run, summary)
        return summary

    def _check(self, context: Context) -> dict[str, Any]:
        """Check the input and send nothing."""
        from airflow_provider_sfbulk.client.check.report import CheckReport
        from airflow_provider_sfbulk.files.report import Report

        source = self._input()
        ledger = self.ledger(context)
        ledger.begin_load()
        with self.results_folder(context["ti"]) or nullcontext() as folder:
            if folder is not None:
                folder.claim_for_results(self.results_format)
            with self.run_of(context, ledger) as run:
                try:
                    source.find(self._targets())
                    if folder is not None:
                        source.check_not_beside(self._targets()[0], folder.mark)
                    found, report = self._load(run, source).check(self._subject["operation"])
                except EmptyInputError as empty:
                    self._allow_empty(empty)
                    found, report = CheckReport(self.sobject, str(self.operation)), Report()
                return self._judge_check(run, found, report)

    def _judge_check(self, run: TaskRun, found: CheckReport, report: Report) -> dict[str, Any]:
        from airflow_provider_sfbulk.operators.verdict import judge_check

        for line in found.lines():
            self.log.info("%s", line)
        has_results = self.results_path is not None
        calls = found.calls_of_load(is_classic=self.mode is not None, has_results=has_results)
        summary = check_summary(found, report, load_api_calls=calls, api_calls=run.api_calls)
        run.reporter.push(CHECK_XCOM_KEY, summary)
        counts = {"successful": found.records - found.failed, "failed": found.failed, "unprocessed": 0}
        files = {"failed": report.files["failed"]}
        run.reporter.found(counts, errors=found.errors, files=files, manifest=report.manifest)
        judge_check(found, allowed=self.max_failed_records, where=report.files["failed"])
        return summary

    def _end_empty(self, run: TaskRun, load: Load, empty: EmptyInputError) -> dict[str, Any] | list[str]:
        """End a load of an input without records as ``on_empty`` says.

        :raises EmptyInputError: as a failure
        :raises AirflowSkipException: as a skip
        """
        self._allow_empty(empty)
        return self._end_without_jobs(run, load)

    def _end_without_jobs(
        self, run: TaskRun, load: Load, chosen: ChosenRows | None = None
    ) -> dict[str, Any] | list[str]:
        """End a load that has nothing to send.

        :param chosen: of an input of which no row differs; None for one without records
        """
        result: dict[str, Any] | list[str] = load.finish_empty(chosen) if self.wait_for_completion else []
        if not self.wait_for_completion:
            run.ledger.finish([])
        self._add_to_events(run, result)
        return result

    def _allow_empty(self, empty: EmptyInputError) -> None:
        if self.on_empty == "fail":
            raise EmptyInputError(
                f"{empty}. When that is to be expected, on_empty='skip' or 'success' says so"
            ) from empty
        if self.on_empty == "skip":
            raise AirflowSkipException(f"{empty}; on_empty='skip'") from empty
        self.log.info("%s; on_empty='success'", empty)

    def _add_to_events(self, run: TaskRun, result: dict[str, Any] | list[str]) -> None:
        self.extend_events(run, load_event(result, sobject=self.sobject, operation=self.operation))

    def _targets(self) -> list[Target]:
        """Return where this load writes."""
        from airflow_provider_sfbulk.files.apart import Target

        targets = []
        if self.results_path is not None:
            targets.append(Target.results(self.results_path, self.results_format, conn_id=self.results_conn_id))
        if self.staging_path is not None:
            targets.append(Target.staging(self.staging_path, conn_id=self.staging_conn_id))
        return targets

    def results_folder(self, ti: RuntimeTaskInstanceProtocol) -> TaskFolder | None:
        """Open the folder of the results, if there is one."""
        if self.results_path is None:
            return None
        from airflow_provider_sfbulk.files.task_folder import open_task_folder

        return open_task_folder(self.results_path, ti, conn_id=self.results_conn_id, argument="results_path")

    def _load(self, run: TaskRun, source: LoadInput) -> Load:
        from airflow_provider_sfbulk.operators.load.arguments import LoadArguments
        from airflow_provider_sfbulk.operators.load.load import Load

        return Load(run, LoadArguments.of(self), source, results=lambda: self.results_folder(run.ti))

    @property
    def _subject(self) -> dict[str, str]:
        return {"operation": f"{'check ' * self.validate_only}{self.operation}", "sobject": self.sobject}

    def _plan(self, source: LoadInput) -> dict[str, Any]:
        """Return what makes this load what it is. From its decision on until its end none of it may change."""
        return {
            "sobject": self.sobject,
            "operation": self.operation,
            "external_id_field": self.external_id_field,
            "assignment_rule_id": self.assignment_rule_id,
            "salesforce_conn_id": self.salesforce_conn_id,
            "column_mapping": dict(self.column_mapping) if self.column_mapping else None,
            "nulls": self.nulls if isinstance(self.nulls, str) else dict(self.nulls),
            "timezone": self.timezone,
            "source": source.identity(),
            # Nothing for the defaults: a load that an earlier version of this package decided has no such entries.
            **({} if self.columns is None else {"columns": list(self.columns)}),
            **({} if self.blank_external_ids == "refuse" else {"blank_external_ids": self.blank_external_ids}),
            **({"skip_unchanged": True} if self.skip_unchanged else {}),
            **({} if self.mode is None else {"api": self.api, "concurrency_mode": str(self.mode)}),
        }

    def _input(self) -> LoadInput:
        """Return the input, after all was checked that can be without reading or sending anything.

        :raises SourceError: naming the argument
        """
        from airflow_provider_sfbulk.operators.load.input import LoadInput

        self.arguments.apply(self, rendered=True)
        if self.results_path is not None:
            open_output(self.results_path, conn_id=self.results_conn_id, argument="results_path")
        if self.staging_path is not None:
            open_output(self.staging_path, conn_id=self.staging_conn_id, argument="staging_path")
        rules = Rules(
            operation=Operation(self.operation),
            external_id_field=self.external_id_field,
            column_mapping=self.column_mapping,
            nulls=self.nulls,
            timezone=self.timezone,
            columns=self.columns,
            blank_external_ids=self.blank_external_ids,
            column_delimiter=None if self.column_delimiter is None else ColumnDelimiter(self.column_delimiter),
            line_ending=None if self.line_ending is None else LineEnding(self.line_ending),
        )
        source = LoadInput(
            self.source if self.sql is None else self._query(self.sql),
            rules,
            source_format=self.source_format,
            source_conn_id=self.source_conn_id,
            needed_columns=(*self.key_columns, *((self.sort_by,) if self.sort_by else ())),
            one_header=self.results_path is not None,
            may_be_empty=self.on_empty != "fail",
            commas=self.mode is not None,
        )
        source.check(self._targets())
        return source

    def _query(self, statement: str) -> SqlQuery:
        from airflow_provider_sfbulk.files.sql_source import SqlQuery

        given = self.sql_parameters
        return SqlQuery(statement, given.records if isinstance(given, HiddenValue) else given, self.sql_conn_id)
