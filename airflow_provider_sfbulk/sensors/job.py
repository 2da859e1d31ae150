"""The sensor that waits for jobs submitted elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NoReturn, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue, XComArg, conf
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_provider_sfbulk.arguments.sensor import ARGUMENTS
from airflow_provider_sfbulk.arguments.shared import APIS
from airflow_provider_sfbulk.arguments.table import Arguments, check_known
from airflow_provider_sfbulk.arguments.templates import TypedTemplates
from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.errors import (
    FailedRecordsError,
    JobFailedError,
    SfBulkError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo, JobType, by_code
from airflow_provider_sfbulk.client.waiting.wait import check_complete, poll_once
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.links.job import BulkJobLink
from airflow_provider_sfbulk.operators.task_run import TaskRun
from airflow_provider_sfbulk.task.failures import fails_for_good
from airflow_provider_sfbulk.task.metrics import count_api_calls
from airflow_provider_sfbulk.task.progress import Phase, Progress
from airflow_provider_sfbulk.triggers.event import WaitEvent, WaitOutcome, as_stored

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from airflow_provider_sfbulk.client import BulkClient


CODED_JOBS: Final = 3
CODED_RECORDS: Final = 10_000
"""Number of failed records up to which their codes are counted: some 10 MB of results."""


class EndedJobError(JobFailedError, AirflowFailException):
    """A job ended ``Failed`` or ``Aborted``. That is final, so Airflow does not retry."""


class TooManyFailedRecordsError(FailedRecordsError, AirflowFailException):
    """More records failed than allowed. That is final, so Airflow does not retry."""


class BulkJobSensor(TypedTemplates, BaseSensorOperator):
    """Wait until jobs are final; succeed when all of them are ``JobComplete`` and no more records failed than allowed.

    It never aborts a job, since it does not own it. Final failures are not retried: another poll would not change them.
    With ``soft_fail`` the task is skipped in these cases and when its ``timeout`` is over; with ``never_fail``, whatever
    goes wrong. Both apply in each mode, and when deferred.

    :param job_id: one job (templated)
    :param job_ids: or several (templated), as :class:`BulkIngestOperator` returns with ``wait_for_completion=False``
    :param job_type: ``ingest`` or ``query``
    :param api: ``2.0``; or ``1.0``, which does not distinguish the two kinds: ``job_type`` is ignored then
    :param max_failed_records: failed records that are allowed over all jobs: a number, or a float as a fraction of the
        processed ones; None: any number
    :param deferrable: wait in the triggerer, without holding a worker
    :param poke_interval: time between two polls, in seconds or as a timedelta
    :param timeout: limit of the whole wait, in seconds or as a timedelta, over all polls and deferrals of one try; a week
        unless ``[sensors] default_timeout`` says otherwise. The jobs continue after it
    :param salesforce_conn_id: the connection (templated)
    :param api_version: instead of the connection's, such as ``66.0``

    Returns the final job infos, a list of dicts; an empty list when the upstream task has submitted no job.
    """

    arguments: ClassVar[Arguments] = ARGUMENTS
    native_fields: ClassVar[Collection[str]] = ("job_ids",)
    template_fields: Sequence[str] = ("job_id", "job_ids", "salesforce_conn_id")
    operator_extra_links = (BulkJobLink(),)
    ui_color = "#d8edff"

    def __init__(
        self,
        *,
        job_id: str | XComArg | None = None,
        job_ids: Sequence[str] | XComArg | None = None,
        job_type: JobType | Literal["ingest", "query"] = "ingest",
        api: Literal["2.0", "1.0"] = "2.0",
        max_failed_records: float | None = 0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: Seconds = 60.0,
        timeout: Seconds | None = None,
        salesforce_conn_id: str | XComArg = SalesforceBulkHook.default_conn_name,
        api_version: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_known(type(self), kwargs)
        # Airflow's own checks of these two know fewer kinds of numbers.
        spans = ARGUMENTS.check_partial({"poke_interval": poke_interval, "timeout": timeout})
        super().__init__(**spans, **kwargs)
        self.job_id = cast("str | None", job_id)
        # Rendering replaces the XComArg with the ids before anything reads them.
        self.job_ids = cast("Sequence[str] | None", job_ids)
        self.job_type = job_type
        self.api = api
        self.max_failed_records = max_failed_records
        self.deferrable = deferrable
        self.salesforce_conn_id = cast("str", salesforce_conn_id)
        self.api_version = api_version
        self._run: TaskRun | None = None
        self._waiting = ""
        # When poking, one instance looks again and again, and need not read what it knows to have ended.
        self._infos: dict[str, JobInfo] = {}
        self.is_parsed = not getattr(self, "_BaseOperator__from_mapped", False)
        self.arguments.apply(self, rendered=False)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Make a mapped sensor. Its own arguments are checked here; those it is mapped over, in the worker."""
        cls.arguments.check_partial(kwargs, cls.template_fields)
        return super().partial(**kwargs)

    @fails_for_good
    def execute(self, context: Context) -> Any:
        """Poll once, then wait, deferred or by poking."""
        self._take_rendered()
        if not self._ids():
            self.log.info("the upstream task has submitted no job: there is nothing to wait for")
            return []
        if self.deferrable:
            return self._go_on(context, None, None)
        try:
            return super().execute(context)
        except AirflowSensorTimeout as error:
            if self.never_fail:  # which Airflow checks only after a deferral
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise

    @fails_for_good
    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Poll again after the deferral; the event is only a hint.

        :raises AirflowSensorTimeout: when the time is up; the jobs continue
        """
        self._take_rendered()
        ended = WaitEvent.from_dict(event)
        count_api_calls(ended.api_calls, tags=self._metric_tags)
        return self._go_on(context, ended, deadline)

    def _take_rendered(self) -> None:
        """Check the rendered arguments. After a deferral it is another process, where they are rendered again."""
        self.is_parsed = False
        self.arguments.apply(self, rendered=True)

    def _go_on(self, context: Context, ended: WaitEvent | None, deadline: float | None) -> Any:
        """Poll, and defer unless every job is final, with the same rules for failures as when poking."""
        try:
            done = self.poke(context)
            if done.is_done:
                return done.xcom_value
            if ended is not None:
                self._check_event(ended)
        except AirflowSkipException:
            raise
        except (AirflowSensorTimeout, AirflowFailException) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"skipped instead of failed: {error}") from error
            if not self.silent_fail:
                raise
            self.log.exception("this poll failed; the wait continues, since silent_fail is set")
        # Airflow does not enforce execution_timeout while a task is deferred.
        limit = self.timeout if self.execution_timeout is None else self.execution_timeout.total_seconds()
        self._defer(deadline or time.time() + min(self.timeout, limit))

    def _check_event(self, ended: WaitEvent) -> None:
        """Raise the error for a wait that the triggerer ended while jobs are still running."""
        if not ended.is_about(self._ids()):  # an old trigger's
            return
        if ended.outcome is WaitOutcome.TIMEOUT:
            raise AirflowSensorTimeout(
                f"the sensor has timed out (timeout={self.timeout:g}, execution_timeout={self.execution_timeout}); "
                f"these "
                f"jobs continue: {self._waiting}"
            )
        if ended.outcome is WaitOutcome.ERROR:
            raise TransientError(f"the triggerer could no longer poll {self._waiting}; its log says why")

    @fails_for_good
    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        hook = SalesforceBulkHook(self.salesforce_conn_id, api_version=self.api_version)
        progress = Progress(self.job_type, try_number=context["ti"].try_number, phase=Phase.WAITING)
        with hook.get_conn() as client:
            run = self._run = TaskRun(context, hook, client, progress, self.log, job_type=self._type)
            try:
                infos = self._look(run)
                if not all(info.is_final for info in infos):
                    return PokeReturnValue(is_done=False)
                return PokeReturnValue(is_done=True, xcom_value=self._result(client, infos))
            finally:
                count_api_calls(client.api_calls, tags=self._metric_tags)

    @property
    def job_link(self) -> str | None:
        """URL of the jobs, once they were polled."""
        return None if self._run is None else self._run.job_link

    def _ids(self) -> list[str]:
        """Return the ids of the jobs."""
        return [self.job_id] if self.job_id is not None else list(self.job_ids or ())

    @property
    def _type(self) -> JobType:
        """The kind of the jobs."""
        return JobType(self.job_type) if self.api == APIS[0] else JobType.CLASSIC

    def _look(self, run: TaskRun) -> list[JobInfo]:
        """Read the jobs."""
        job_ids = self._ids()
        run.show_jobs(job_ids)
        infos = run.run(poll_once(run.jobs, job_ids, known=self._infos))
        self._infos = dict(zip(job_ids, infos, strict=True))
        run.reporter.take(infos)
        self._waiting = ", ".join(info.id for info in infos if not info.is_final)
        run.reporter.enter(Phase.WAITING if self._waiting else Phase.DONE)
        return infos

    @property
    def _metric_tags(self) -> dict[str, str]:
        return {"dag_id": self.dag_id, "task_id": self.task_id, "job_type": self.job_type}

    def _result(self, client: BulkClient, infos: Sequence[JobInfo]) -> list[dict[str, Any]]:
        """Return the jobs, or fail without retries, since another poll would not change the result.

        :raises EndedJobError: one ended ``Failed`` or ``Aborted``
        :raises TooManyFailedRecordsError: more records failed than allowed
        """
        from airflow_provider_sfbulk.operators.verdict import check_failed_records

        try:
            for info in infos:
                check_complete(info)
        except JobFailedError as error:
            raise EndedJobError(f"{error}. See {self.job_link}", job_id=error.job_id) from error
        failed = sum(info.failed for info in infos)
        try:
            check_failed_records(
                infos,
                failed=failed,
                allowed=self.max_failed_records,
                total=sum(info.processed for info in infos),
                codes=self._codes(client, infos) if failed else {},
                advice=f"See {self.job_link}; the hook's client reads the records: {self._reading}.",
            )
        except FailedRecordsError as error:
            raise TooManyFailedRecordsError(str(error), job_id=error.job_id) from error
        return [as_stored(info) for info in infos]

    @property
    def _reading(self) -> str:
        return "bulk1.results(job_id, batch_id)" if self._type is JobType.CLASSIC else "ingest.failed_results(job_id)"

    def _codes(self, client: BulkClient, infos: Sequence[JobInfo]) -> dict[str, int]:
        """Count failed records by code, if that costs few calls and little time."""
        with_failures = [info for info in infos if info.failed]
        if (
            self._type is not JobType.INGEST
            or len(with_failures) > CODED_JOBS
            or sum(info.failed for info in with_failures) > CODED_RECORDS
        ):
            return {}
        from airflow_provider_sfbulk.client.models import BulkError

        codes: Counter[str] = Counter()
        try:
            for info in with_failures:
                rows = client.ingest.failed_results(info.id)
                codes.update(BulkError.parse(row["sf__Error"]).status_code for row in rows)
        except SfBulkError as error:
            self.log.warning("cannot read why records failed: %s", error)
            return {}
        return by_code(codes)

    def _defer(self, deadline: float) -> NoReturn:
        from airflow_provider_sfbulk.triggers.job import BulkJobTrigger

        raise TaskDeferred(
            trigger=BulkJobTrigger(
                job_ids=self._ids(),
                job_type=str(self._type),
                salesforce_conn_id=self.salesforce_conn_id,
                api_version=self.api_version,
                poll_interval=self.poke_interval,
                deadline=deadline,
                cancel_on_kill=False,
                deferred_at=time.time(),
            ),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
        )
