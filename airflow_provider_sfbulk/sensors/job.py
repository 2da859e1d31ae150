"""Waiting for jobs that somebody else submitted."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, cast

from airflow.sdk import BaseSensorOperator, PokeReturnValue, XComArg, conf
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.errors import TransientError
from airflow_provider_sfbulk.client.flows.wait import check_complete, look
from airflow_provider_sfbulk.client.flows.watched import watched_jobs
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, BulkJobLink, job_url
from airflow_provider_sfbulk.metrics import count_api_calls
from airflow_provider_sfbulk.operators.arguments import APIS, Arguments, check_known
from airflow_provider_sfbulk.operators.showing import ShownProgress
from airflow_provider_sfbulk.operators.templates import TypedTemplates
from airflow_provider_sfbulk.progress import Phase, Progress
from airflow_provider_sfbulk.sensors.job_arguments import ARGUMENTS
from airflow_provider_sfbulk.triggers.wake_up import WaitOutcome, WakeUp

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.definitions.mappedoperator import OperatorPartial


class BulkJobSensor(TypedTemplates, BaseSensorOperator):
    """Wait until jobs are final; succeed when every one of them is ``JobComplete``.

    It never aborts a job: it does not own it.

    :param job_id: one job (templated)
    :param job_ids: or several (templated), as :class:`BulkIngestOperator` returns with ``wait_for_completion=False``
    :param job_type: ``ingest`` or ``query``
    :param api: ``2.0``; or ``1.0``, whose jobs have one kind for both: ``job_type`` says nothing then
    :param max_failed_records: failed records that are allowed, over all jobs: a number, or a float as fraction of the
        processed ones; None: they do not count
    :param deferrable: wait in the triggerer, without holding a worker
    :param poke_interval: time between two looks at the jobs, in seconds or as a timedelta
    :param timeout: of the wait, in seconds or as a timedelta; None: as Airflow's ``[sensors] default_timeout`` says
    :param salesforce_conn_id: the connection (templated)
    :param api_version: instead of the connection's, as ``66.0``

    Returns the final job infos, a list of dicts.
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
        max_failed_records: float | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: Seconds = 60.0,
        timeout: Seconds | None = None,
        salesforce_conn_id: str | XComArg = SalesforceBulkHook.default_conn_name,
        api_version: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_known(type(self), kwargs)
        ARGUMENTS.check_partial({"poke_interval": poke_interval, "timeout": timeout})
        super().__init__(poke_interval=poke_interval, timeout=timeout, **kwargs)
        self.job_id = cast("str | None", job_id)
        # Rendering puts the ids in the XComArg's place before anything reads them.
        self.job_ids = cast("Sequence[str] | None", job_ids)
        self.job_type = job_type
        self.api = api
        self.max_failed_records = max_failed_records
        self.deferrable = deferrable
        self.salesforce_conn_id = cast("str", salesforce_conn_id)
        self.api_version = api_version
        self.job_link: str | None = None
        self.is_parsed = not getattr(self, "_BaseOperator__from_mapped", False)
        self.arguments.apply(self, rendered=False)

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Make a mapped sensor. Its own arguments are checked here, what it is mapped over in the worker."""
        cls.arguments.check_partial(kwargs, cls.template_fields)
        return super().partial(**kwargs)

    def execute(self, context: Context) -> Any:
        """Look once; then wait, deferred or by poking."""
        self.is_parsed = False
        self.arguments.apply(self, rendered=True)
        if not self._ids():
            self.log.info("the task before has submitted no job: there is nothing to wait for")
            return []
        if not self.deferrable:
            return super().execute(context)
        infos = self._look(context)
        if not all(info.is_final for info in infos):
            self._defer(time.time() + self.timeout)
        return self._result(infos)

    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Look again after the deferral; the event is a hint.

        :raises AirflowSensorTimeout: when the time is up; the jobs go on
        """
        wake_up = WakeUp.from_dict(event)
        count_api_calls(wake_up.api_calls, tags=self._metric_tags)
        infos = self._look(context)
        if not all(info.is_final for info in infos):
            waiting = ", ".join(info.id for info in infos if not info.is_final)
            is_ours = wake_up.is_about([info.id for info in infos])
            if is_ours and wake_up.outcome is WaitOutcome.TIMEOUT:
                raise AirflowSensorTimeout(f"the sensor's timeout has passed; these jobs go on: {waiting}")
            if is_ours and wake_up.outcome is WaitOutcome.ERROR:
                raise TransientError(f"the triggerer could not go on looking at {waiting}; its own log says why")
            self._defer(time.time() + self.timeout)
        return self._result(infos)

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once."""
        infos = self._look(context)
        if not all(info.is_final for info in infos):
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._result(infos))

    def _ids(self) -> list[str]:
        """Give the ids of the jobs."""
        return [self.job_id] if self.job_id is not None else list(self.job_ids or ())

    @property
    def _type(self) -> JobType:
        """The kind of the jobs."""
        return JobType(self.job_type) if self.api == APIS[0] else JobType.CLASSIC

    def _look(self, context: Context) -> list[JobInfo]:
        job_ids = self._ids()
        jobs_type = self._type
        hook = SalesforceBulkHook(self.salesforce_conn_id, api_version=self.api_version)
        with hook.get_conn() as client:
            infos = client.run(look(watched_jobs(jobs_type, client.api_version), job_ids, pauses=(0.0,)))
            self.job_link = job_url(client.instance_url, job_ids)
            progress = Progress(
                self.job_type, try_number=context["ti"].try_number, setup_url=client.instance_url, phase=Phase.WAITING
            )
            shown = ShownProgress(progress, self.log, context["ti"].xcom_push, lambda: client.api_calls)
        count_api_calls(client.api_calls, tags=self._metric_tags)
        shown.push(LINK_XCOM_KEY, self.job_link)
        for info in infos:
            shown.take(info)
        shown.enter(Phase.DONE if all(info.is_final for info in infos) else Phase.WAITING)
        return infos

    @property
    def _metric_tags(self) -> dict[str, str]:
        return {"dag_id": self.dag_id, "task_id": self.task_id, "job_type": self.job_type}

    def _result(self, infos: Sequence[JobInfo]) -> list[dict[str, Any]]:
        from airflow_provider_sfbulk.operators.verdict import check_failed_records

        for info in infos:
            check_complete(info)
        check_failed_records(
            infos,
            failed=sum(info.failed for info in infos),
            allowed=self.max_failed_records,
            total=sum(info.processed for info in infos),
            codes={},
        )
        return [info.to_dict() for info in infos]

    def _defer(self, deadline: float) -> NoReturn:
        from airflow_provider_sfbulk.triggers.job import BulkJobTrigger

        self.defer(
            trigger=BulkJobTrigger(
                job_ids=self._ids(),
                job_type=str(self._type),
                salesforce_conn_id=self.salesforce_conn_id,
                api_version=self.api_version,
                poll_interval=self.poke_interval,
                deadline=deadline,
                cancel_on_kill=False,
            ),
            method_name="execute_complete",
        )
        raise AssertionError("defer() came back")
