"""The base of both operators: common arguments, the wait for jobs, the reserve of API calls, and Airflow's callbacks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar, cast

from airflow.sdk import Asset
from airflow.sdk.definitions.asset import AssetRef
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from airflow_provider_sfbulk.arguments.shared import APIS
from airflow_provider_sfbulk.arguments.table import Arguments, check_known
from airflow_provider_sfbulk.arguments.templates import TypedTemplates
from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.errors import (
    JobError,
    JobTimeoutError,
    RequestLimitError,
    SfBulkError,
    SourceError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import ConcurrencyMode, JobInfo, JobType
from airflow_provider_sfbulk.client.protocol.org import read_api_usage
from airflow_provider_sfbulk.client.protocol.reserve import ApiReserve
from airflow_provider_sfbulk.client.waiting.schedule import FIRST_POLLS, TASK_GROWTH, Schedule
from airflow_provider_sfbulk.client.waiting.wait import poll_briefly, poll_once, wait_until_final
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.links.job import BulkJobLink
from airflow_provider_sfbulk.operators.task_run import TaskRun
from airflow_provider_sfbulk.task.accepted import open_ledger
from airflow_provider_sfbulk.task.failures import advise, fails_for_good
from airflow_provider_sfbulk.task.ledger import RETENTION, TaskLedger
from airflow_provider_sfbulk.task.lineage import to_openlineage
from airflow_provider_sfbulk.task.metrics import count_api_calls
from airflow_provider_sfbulk.task.progress import LINED_JOBS, Phase, Progress
from airflow_provider_sfbulk.triggers.event import WaitEvent, WaitOutcome

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context, XComArg
    from airflow.sdk.definitions.mappedoperator import OperatorPartial


T = TypeVar("T")


class BulkJobOperator(TypedTemplates):
    """A task that owns jobs at Salesforce and waits for them. Its subclasses document the arguments."""

    job_type: ClassVar[JobType]
    ledger_retention: ClassVar[Any] = RETENTION
    arguments: ClassVar[Arguments]
    operator_extra_links = (BulkJobLink(),)
    ui_color = "#d8edff"

    def __init__(
        self,
        *,
        wait_for_completion: bool,
        deferrable: bool,
        poll_interval: Seconds,
        timeout: Seconds | None,
        cancel_on_kill: bool,
        api_reserve: float | None,
        on_api_reserve: str,
        salesforce_conn_id: str | XComArg,
        api_version: str | None,
        api: str,
        concurrency_mode: str,
        **kwargs: Any,
    ) -> None:
        check_known(type(self), kwargs)
        super().__init__(**kwargs)
        self.api = api
        self.concurrency_mode = concurrency_mode
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        # The checks give durations in seconds, and rendering puts texts in the places of XComArgs.
        self.poll_interval = cast("float", poll_interval)
        self.timeout = cast("float | None", timeout)
        self.cancel_on_kill = cancel_on_kill
        self.api_reserve = api_reserve
        self.on_api_reserve = on_api_reserve
        self.salesforce_conn_id = cast("str", salesforce_conn_id)
        self.api_version = api_version
        # Airflow calls these without a context: on_kill, the link, and OpenLineage at the task's end.
        self._run: TaskRun | None = None
        self._is_told_to_end = False

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Make a mapped operator. Its own arguments are checked here; those it is mapped over, in the worker."""
        cls.arguments.check_partial(kwargs, cls.template_fields, cls.template_ext)
        return super().partial(**kwargs)

    @cached_property
    def hook(self) -> SalesforceBulkHook:
        """The hook of this task's connection."""
        return SalesforceBulkHook(self.salesforce_conn_id, api_version=self.api_version)

    @property
    def mode(self) -> ConcurrencyMode | None:
        """The mode of jobs of Bulk API 1.0; None when the task uses 2.0."""
        return None if self.api == APIS[0] else ConcurrencyMode(self.concurrency_mode)

    @property
    def job_link(self) -> str | None:
        """URL of the jobs of this process's try."""
        return None if self._run is None else self._run.job_link

    def ledger(self, context: Context) -> TaskLedger:
        """Return the ledger of a try."""
        return open_ledger(context, self.ledger_retention)

    @contextmanager
    def run_of(
        self, context: Context, ledger: TaskLedger, *, deadline: float | None = None, api_calls: int = 0
    ) -> Iterator[TaskRun]:
        """Sign in for a try, and show its progress, from here to its end or its deferral.

        :param deadline: of the wait before a deferral
        :param api_calls: made before a deferral
        """
        progress = Progress(
            str(self.job_type),
            operation=self._subject.get("operation", ""),
            sobject=self._subject.get("sobject", ""),
            try_number=context["ti"].try_number,
        )
        with self.hook.get_conn() as client:
            run = self._run = TaskRun(
                context,
                self.hook,
                client,
                progress,
                self.log,
                job_type=self.job_type if self.mode is None else JobType.CLASSIC,
                ledger=ledger,
                limit=self._limit,
                deadline=deadline,
                api_calls=api_calls,
                aborts=self.cancel_on_kill,
            )
            if self._is_told_to_end:  # before there was a client to stop
                run.stop()
            try:
                yield run
            except TaskDeferred:
                raise
            except AirflowSkipException:
                self._end(run, Phase.DONE)
                raise
            except BaseException as error:
                if isinstance(error, SfBulkError):
                    if error.status is not None or isinstance(error, JobError):
                        error.args = (self._hidden(str(error)),)
                    advise(error)
                run.reporter.fail(error)
                count_api_calls(run.api_calls, tags=self.metric_tags)
                raise
            self._end(run, Phase.DONE if self.wait_for_completion else Phase.SUBMITTED)

    def _end(self, run: TaskRun, phase: Phase) -> None:
        run.reporter.enter(phase)
        count_api_calls(run.api_calls, tags=self.metric_tags)

    @property
    def _limit(self) -> float | None:
        """How long a try may wait, in seconds.

        Airflow does not enforce ``execution_timeout`` while a task is deferred, so the trigger carries it.
        """
        limit = None if self.execution_timeout is None else self.execution_timeout.total_seconds()
        return min((span for span in (self.timeout, limit) if span is not None), default=None)

    def _hidden(self, text: str) -> str:
        """Return an error's message without what this task has sent."""
        return text

    def extend_events(self, run: TaskRun, facts: Mapping[str, Any]) -> None:
        """Add what is new to the events of the task's assets."""
        for outlet in self.outlets:
            if isinstance(outlet, (Asset, AssetRef)):
                event = run.context["outlet_events"][outlet]
                event.extra = {**event.extra, **facts}

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:  # noqa: ARG002
        """Report to OpenLineage what went where, when it asks."""
        lineage = None if self._run is None else self._run.lineage
        return None if lineage is None else to_openlineage(lineage)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Report what was moved by a task that failed because of failed records."""
        return self.get_openlineage_facets_on_complete(task_instance)

    @property
    def metric_tags(self) -> dict[str, str]:
        """Tags of this task's metrics, where they are sent with tags."""
        return {"dag_id": self.dag_id, "task_id": self.task_id, "job_type": str(self.job_type), **self._subject}

    @property
    def _subject(self) -> dict[str, str]:
        """What is known about the jobs before they exist: ``operation`` and ``sobject``."""
        return {}

    def _wait(self, run: TaskRun, job_ids: Sequence[str], *, then: str = "execute_complete") -> list[JobInfo]:
        """Wait until all jobs are final: here for the first seconds, then in the triggerer or here.

        :param then: the method in which the task goes on after a deferral
        :raises TaskDeferred: to go on there
        :raises JobTimeoutError: when the wait ends first; the jobs go on
        """
        run.reporter.enter(Phase.WAITING)
        pauses = FIRST_POLLS if len(job_ids) <= LINED_JOBS else (sum(FIRST_POLLS),)
        infos = run.run(poll_briefly(run.jobs, job_ids, pauses=pauses, on_poll=run.reporter.take))
        if infos is not None:
            return infos
        timeout = run.time_left
        if self.deferrable:
            self._defer(run, job_ids, then=then)
        return run.run(
            wait_until_final(
                run.jobs,
                job_ids,
                schedule=Schedule(first=FIRST_POLLS[-1], growth=TASK_GROWTH, longest=self.poll_interval),
                timeout=timeout,
                on_poll=run.reporter.take,
            ),
        )

    def _wait_again(self, run: TaskRun, event: Mapping[str, Any] | None, job_ids: Sequence[str]) -> list[JobInfo]:
        """Continue after a deferral. The event is a hint: unless it has the final state of every job, they are read again.

        :raises TaskDeferred: when the event was from an old trigger and the jobs still run
        :raises JobTimeoutError: when the time is up; the jobs continue
        :raises TransientError: when the triggerer could no longer poll
        """
        ended = WaitEvent.from_dict(event)
        run.earlier_calls = ended.api_calls
        infos = ended.final_jobs(job_ids) or run.run(poll_once(run.jobs, job_ids))
        run.reporter.see(infos)
        if all(info.is_final for info in infos):
            return infos
        if ended.is_about(job_ids) and ended.outcome is WaitOutcome.TIMEOUT:
            raise JobTimeoutError(
                f"the wait for {named(job_ids)} is over: the task's timeout has passed. The jobs go on at Salesforce, "
                "and a retry (or clearing the task) waits for the same jobs.",
                job_id=job_ids[0],
            )
        if ended.is_about(job_ids) and ended.outcome is WaitOutcome.ERROR:
            raise TransientError(
                f"the triggerer could no longer poll {named(job_ids)}; its own log says why. The jobs continue, "
                "and a retry waits for the same jobs.",
                job_id=job_ids[0],
            )
        self._defer(run, job_ids)

    def _defer(self, run: TaskRun, job_ids: Sequence[str], *, then: str = "execute_complete") -> NoReturn:
        from airflow_provider_sfbulk.triggers.job import BulkJobTrigger

        run.reporter.enter(Phase.WAITING)
        self.log.info("%s still running: waiting in the triggerer, %s", named(job_ids), run.until_when)
        trigger = BulkJobTrigger(
            job_ids=list(job_ids),
            job_type=str(run.job_type),
            salesforce_conn_id=self.salesforce_conn_id,
            api_version=run.job_version or self.api_version,
            poll_interval=self.poll_interval,
            deadline=run.deadline(),
            cancel_on_kill=self.cancel_on_kill and self._owns_jobs,
            api_calls=run.api_calls,
            deferred_at=time.time(),
        )
        raise TaskDeferred(trigger=trigger, method_name=then, kwargs={"deadline": run.deadline()})

    @fails_for_good
    def execute_after_reserve(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Start after a deferral for spare API calls.

        :raises RequestLimitError: when the time is up
        """
        ended = WaitEvent.from_dict(event)
        if ended.outcome is WaitOutcome.TIMEOUT:
            raise _no_calls("the task's timeout has passed while it waited for spare API calls: nothing was sent")
        return self._start(context, deadline=deadline, api_calls=ended.api_calls)

    def _start(self, context: Context, *, deadline: float | None = None, api_calls: int = 0) -> Any:
        """Do the task's work from the beginning.

        :param deadline: of the wait for API calls before
        :param api_calls: made before
        """
        raise NotImplementedError

    def _keep_reserve(self, run: TaskRun) -> None:
        """Make sure, before anything is started, that the org has more calls left than the reserve.

        Every reply of Salesforce has the number; without a reply so far, it is requested.

        :raises TaskDeferred: to continue in :meth:`execute_after_reserve`
        :raises RequestLimitError: it has not, and the task is to fail
        """
        if self.api_reserve is None:
            return
        reserve = ApiReserve.of(self.api_reserve)
        try:
            usage = run.client.api_usage or run.run(read_api_usage(api_version=run.client.api_version))
        except RequestLimitError as error:
            if not error.daily:
                raise
            said = "the org has no API calls left"
        else:
            if usage is None:
                self.log.warning("Salesforce does not say how many API calls are left: api_reserve is not kept")
                return
            if reserve.is_kept(usage):
                return
            if reserve.is_out_of_reach(usage):
                raise SourceError(
                    f"api_reserve={self.api_reserve} leaves {reserve.calls(usage):,} API calls to others, but the "
                    f"org has {usage.allowed:,} a day in all: this task would never begin. Lower api_reserve"
                )
            said = (
                f"the org has {usage.left:,} of its {usage.allowed:,} API calls left, fewer than the "
                f"{reserve.calls(usage):,} that api_reserve={self.api_reserve} leaves to others"
            )
        if self.on_api_reserve == "fail":
            raise _no_calls(f"{said}: nothing was sent. Try later, or lower api_reserve")
        from airflow_provider_sfbulk.triggers.reserve import ApiReserveTrigger

        self.log.info("%s: waiting in the triggerer for more, %s", said, run.until_when)
        trigger = ApiReserveTrigger(
            api_reserve=reserve.given,
            salesforce_conn_id=self.salesforce_conn_id,
            api_version=self.api_version,
            deadline=run.deadline(),
            api_calls=run.api_calls,
        )
        raise TaskDeferred(trigger=trigger, method_name="execute_after_reserve", kwargs={"deadline": run.deadline()})

    def on_kill(self) -> None:
        """Stop what is running."""
        self._is_told_to_end = True
        if self._run is not None:
            self._run.stop()

    @property
    def _owns_jobs(self) -> bool:
        """Whether the jobs belong to this task, and are aborted with it."""
        return True


def _no_calls(message: str) -> RequestLimitError:
    error = RequestLimitError(message)
    error.daily = True
    return error


def named(job_ids: Sequence[str]) -> str:
    """Name jobs for a message, only the first when there are many."""
    return f"job {job_ids[0]}" if len(job_ids) == 1 else f"{len(job_ids):,} jobs ({job_ids[0]}, …)"
