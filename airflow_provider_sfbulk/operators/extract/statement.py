"""The query of a task: its text, what identifies it for a retry, and how it is submitted."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.errors import SfBulkError, SourceError
from airflow_provider_sfbulk.client.extract.whole_object import FieldList
from airflow_provider_sfbulk.client.models import ColumnDelimiter, ConcurrencyMode, LineEnding, QueryOperation
from airflow_provider_sfbulk.client.replies.safe_text import without_values
from airflow_provider_sfbulk.client.soql import bind, selected_fields
from airflow_provider_sfbulk.operators.extract.whole_object import WholeObject, said_left_out
from airflow_provider_sfbulk.operators.incremental import BEGINNING, Incremental, Window
from airflow_provider_sfbulk.task.old_ledger import plan_digest

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client import BulkClient
    from airflow_provider_sfbulk.client.effects import Flow
    from airflow_provider_sfbulk.client.extract.query_job import Submitted
    from airflow_provider_sfbulk.operators.task_run import TaskRun

_DEFAULT_DIALECT: Final = [str(ColumnDelimiter.COMMA), str(LineEnding.LF)]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Statement:
    """What the arguments of a task ask for, rendered.

    :param soql: the query with names for its values; None of a whole object, and of a job that was submitted before
    :param params: values of its names; not of the window
    :param job_id: that job; nothing is asked then
    :param mode: of Bulk API 1.0; None for 2.0
    :param needed: fields that the query has to select, and the argument that needs each; a whole object's query does by
        itself
    """

    soql: str | None
    whole_object: WholeObject | None
    params: Mapping[str, Any] | None
    incremental: Incremental | None
    job_id: str | None
    include_deleted: bool
    salesforce_conn_id: str
    mode: ConcurrencyMode | None
    pk_chunking: bool | int
    column_delimiter: ColumnDelimiter | str
    line_ending: LineEnding | str
    needed: Mapping[str, str] = field(default_factory=dict)

    @property
    def operation(self) -> QueryOperation:
        """Salesforce's name of what is asked."""
        return QueryOperation.QUERY_ALL if self.include_deleted else QueryOperation.QUERY

    def text(self, selected: FieldList | None = None) -> str | None:
        """Return the query with names in the places of its values; None when only a job is known.

        :param selected: the fields of a whole object, when they are known
        """
        if self.whole_object is None:
            return self.soql
        return self.whole_object.statement() if selected is None else self.whole_object.statement(selected.names)

    def bound(self, window: Window | None, selected: FieldList | None = None) -> str:
        """Return the query with its values.

        :param window: of an incremental query
        :param selected: see :meth:`text`
        :raises SourceError: naming a name or a value that has no counterpart, or a value that is none of SOQL's
        """
        params = self.params or {}
        if window is not None:
            params = {**params, "since": window.since, "until": window.until}
        try:
            return bind(str(self.text(selected)), params)
        except SourceError as error:
            raise SourceError(f"soql_params: {error}") from error

    def check(self) -> None:
        """Check what can be checked without sending anything.

        :raises SourceError: naming the argument
        """
        if self.incremental is not None:
            self.incremental.check(str(self.text()))
        if self.job_id is None:
            self._check_selected(self.bound(self._any_window))

    def hidden(self, text: str) -> str:
        """Return what an error says without the values of the query: of a job that failed, Salesforce may quote them."""
        try:
            soql = "" if self.job_id is not None else self.bound(self._any_window)
        except SfBulkError:
            return text
        return without_values(text, soql)

    def submission(self, run: TaskRun) -> Flow[Submitted]:
        """Decide on the window and the fields, unless a try before has; give the flow that finds its job or makes one."""
        return self._submission(run.client, self._window(run), self._select(run))

    def given_job(self) -> Submitted | None:
        """Return the job that the user named. No other ever follows it."""
        from airflow_provider_sfbulk.client.extract.query_job import Submitted

        return None if self.job_id is None else Submitted(self.job_id)

    def selected(self, run: TaskRun) -> FieldList | None:
        """Return the fields of a whole object that this try has asked for.

        :raises SourceError: the DAG was changed while the task was deferred
        """
        return None if self.whole_object is None else run.run(self.whole_object.kept_fields())

    def asked_window(self, run: TaskRun) -> Window | None:
        """Return the window that this try has asked for.

        :raises SourceError: the DAG was changed while the task was deferred
        """
        if self.incremental is None:
            return None
        kept = _kept_window(self.incremental, run)
        if kept is None:
            raise SourceError("incremental was changed while the task waited; nothing is published. Clear the task")
        return Window.from_dict(kept)

    def _check_selected(self, soql: str) -> None:
        """Check that a query of the user's selects what the files need."""
        if self.whole_object is not None:
            return
        selected = {each.lower() for each in selected_fields(soql)}
        missing = {name: argument for name, argument in self.needed.items() if name.lower() not in selected}
        if selected and missing:
            raise SourceError(
                f"{', '.join(dict.fromkeys(missing.values()))}: the SOQL does not select {', '.join(missing)}, which the "
                "files are laid out by: add it to the SELECT"
            )

    @property
    def _any_window(self) -> Window | None:
        return None if self.incremental is None else Window(BEGINNING, BEGINNING)

    def _window(self, run: TaskRun) -> Window | None:
        """Return the window to read: the one this task instance has read or begun to read before, or a new one."""
        if self.incremental is None:
            return None
        kept = _kept_window(self.incremental, run)
        if kept is None:
            kept = self.incremental.decide(run.context, run.client, self.bound(self._any_window)).to_dict()
            run.ledger.keep_window(self.incremental.identity, kept)
        window = Window.from_dict(kept)
        log.info("%s from %s before %s", self.incremental.field, *window.to_dict().values())
        return window

    def _select(self, run: TaskRun) -> FieldList | None:
        """List the fields of a whole object: those of the try before, or those of describe."""
        if self.whole_object is None:
            return None
        selected = run.run(self.whole_object.list_fields(api_version=run.client.api_version, describes=run.describes))
        log.info("%s: %s fields%s", selected.sobject, f"{len(selected.names):,}", said_left_out(selected))
        return selected

    def _submission(self, client: BulkClient, window: Window | None, selected: FieldList | None) -> Flow[Submitted]:
        from airflow_provider_sfbulk.client.bulk1 import query as extract1
        from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls, Bulk1JobSpec, chunking_of, root_object
        from airflow_provider_sfbulk.client.extract.query_job import submit
        from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls

        soql, plan = self.bound(window, selected), plan_digest(self._plan(window, selected))
        if self.mode is None:
            return submit(
                QueryCalls(client.api_version),
                soql,
                operation=self.operation,
                column_delimiter=self.column_delimiter,
                line_ending=self.line_ending,
                plan=plan,
            )
        spec = Bulk1JobSpec(
            root_object(soql), self.operation, concurrency_mode=self.mode, pk_chunking=chunking_of(self.pk_chunking)
        )
        return extract1.submit(Bulk1Calls(client.api_version), spec, soql, plan=plan)

    def _plan(self, window: Window | None, selected: FieldList | None) -> dict[str, Any]:
        """Return what a job of an earlier try must have been asked for. People can read it, so it has no value."""
        return {
            "soql": self.text(selected),
            **self._identity_of_params(window),
            **({} if window is None else {"window": window.to_dict()}),
            "job_id": self.job_id,
            "operation": str(self.operation),
            "salesforce_conn_id": self.salesforce_conn_id,
            # Nothing for 2.0: a query that an earlier version of this package began has no such entry.
            **({} if self.mode is None else {"api": "1.0", "pk_chunking": self.pk_chunking}),
            **({} if self._dialect == _DEFAULT_DIALECT else {"dialect": self._dialect}),
        }

    @property
    def _dialect(self) -> list[str]:
        return [str(self.column_delimiter), str(self.line_ending)]

    def _identity_of_params(self, window: Window | None) -> dict[str, str]:
        """Return a digest of the values, which shows a change and not the values."""
        if self.params is None:
            return {}
        return {"soql_params": hashlib.sha256(self.bound(window).encode("utf-8", "surrogatepass")).hexdigest()}


def _kept_window(incremental: Incremental, run: TaskRun) -> Mapping[str, Any] | None:
    return run.ledger.window(incremental.identity) or incremental.window_of_run(run.context)
