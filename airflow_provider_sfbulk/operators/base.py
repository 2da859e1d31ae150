"""What both operators share: the client, the wait, the link, and what happens on a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar, cast

from airflow.sdk import Asset
from airflow.sdk.definitions.asset import AssetRef
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from airflow_provider_sfbulk.arguments.shared import APIS
from airflow_provider_sfbulk.arguments.table import Arguments, check_known
from airflow_provider_sfbulk.arguments.templates import TypedTemplates
from airflow_provider_sfbulk.client.arguments import Seconds
from airflow_provider_sfbulk.client.bulk1.models import ConcurrencyMode
from airflow_provider_sfbulk.client.effects import Concurrently, Flow, Ledger
from airflow_provider_sfbulk.client.errors import (
    JobError,
    JobTimeoutError,
    RequestLimitError,
    SfBulkError,
    SourceError,
    StoppedError,
    TransientError,
)
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.client.protocol.org import read_api_usage
from airflow_provider_sfbulk.client.protocol.reserve import ApiReserve
from airflow_provider_sfbulk.client.waiting.jobs import WatchedJobs, watched_jobs
from airflow_provider_sfbulk.client.waiting.wait import Schedule, poll_briefly, poll_once, wait_until_final
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, BulkJobLink, job_url
from airflow_provider_sfbulk.task.accepted import open_ledger
from airflow_provider_sfbulk.task.ended_by_person import is_ended_by_person
from airflow_provider_sfbulk.task.lasting import fails_for_good
from airflow_provider_sfbulk.task.ledger import RETENTION, TaskLedger
from airflow_provider_sfbulk.task.lineage import Lineage, is_wanted, to_openlineage
from airflow_provider_sfbulk.task.metrics import count_api_calls
from airflow_provider_sfbulk.task.progress import LINED_JOBS, Phase, Progress
from airflow_provider_sfbulk.task.reporter import ShownProgress
from airflow_provider_sfbulk.triggers.wake_up import WaitOutcome, WakeUp

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context, XComArg
    from airflow.sdk.definitions.mappedoperator import OperatorPartial

    from airflow_provider_sfbulk.client import BulkClient

T = TypeVar("T")

FIRST_POLLS: Final = (1.0, 1.5, 2.5)
"""Pauses before the task's own looks at its jobs, in seconds, before it defers: a job of some seconds is noticed here
and never defers. Many jobs are looked at once, at the end of this time."""

EVENT_FILES: Final = 50
"""Files that an asset's event names."""

ABORTS_AT_ONCE: Final = 10
"""Jobs to abort at the same time. An abort is one small call."""


class BulkJobOperator(TypedTemplates):
    """A task that owns jobs at Salesforce and waits for them. What its arguments mean is said where users give them."""

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
        self.job_link: str | None = None
        self.shown: ShownProgress
        self._client: BulkClient | None = None
        self._ledger: TaskLedger | None = None
        self._is_told_to_end = False
        self.lineage: Lineage | None = None
        self._until: float | None = None
        self._waits_for: JobType | None = None
        self.job_version: str | None = None
        """API version of the jobs that are waited for, when it is known: ``api_version`` may have been raised since."""
        self._calls_before = 0

    @classmethod
    def partial(cls, **kwargs: Any) -> OperatorPartial:
        """Make a mapped operator. Its own arguments are checked here, what it is mapped over in the worker."""
        cls.arguments.check_partial(kwargs, cls.template_fields, cls.template_ext)
        return super().partial(**kwargs)

    @cached_property
    def hook(self) -> SalesforceBulkHook:
        """The hook of this task's connection."""
        return SalesforceBulkHook(self.salesforce_conn_id, api_version=self.api_version)

    @property
    def mode(self) -> ConcurrencyMode | None:
        """The mode of jobs of Bulk API 1.0; None when the task goes by 2.0."""
        return None if self.api == APIS[0] else ConcurrencyMode(self.concurrency_mode)

    def waits_for(self, job_type: JobType) -> None:
        """Say of which kind the jobs are that come now."""
        self._waits_for = job_type

    def _jobs(self, client: BulkClient) -> WatchedJobs:
        return watched_jobs(self._type_now, self.job_version or client.api_version)

    @property
    def _type_now(self) -> JobType:
        if self._waits_for is not None:
            return self._waits_for
        return self.job_type if self.mode is None else JobType.CLASSIC

    def ledger(self, context: Context) -> TaskLedger:
        """Give the ledger of a try."""
        self._ledger = open_ledger(context, self.ledger_retention)
        return self._ledger

    def _show(self, client: BulkClient, job_ids: Sequence[str]) -> None:
        """Show the jobs in Airflow's UI, before anything is waited for."""
        self.shown.progress.setup_url = client.instance_url
        self.shown.see_jobs(job_ids)
        self._show_link(client, job_ids)

    def _show_link(self, client: BulkClient, job_ids: Sequence[str]) -> None:
        link = job_url(client.instance_url, job_ids)
        if link != self.job_link:
            self.job_link = link
            self.shown.push(LINK_XCOM_KEY, link)

    @contextmanager
    def _showing(self, context: Context, client: BulkClient) -> Iterator[None]:
        """Show how far this try is, from here to its end or its deferral."""
        ti = context["ti"]
        progress = Progress(
            str(self.job_type),
            operation=self._subject.get("operation", ""),
            sobject=self._subject.get("sobject", ""),
            try_number=ti.try_number,
        )
        self.shown = ShownProgress(progress, self.log, ti.xcom_push, lambda: self._api_calls(client))
        try:
            yield
        except TaskDeferred:
            raise
        except AirflowSkipException:
            self.shown.enter(Phase.DONE)
            count_api_calls(self._api_calls(client), tags=self.metric_tags)
            raise
        except BaseException as error:
            if isinstance(error, SfBulkError) and (error.status is not None or isinstance(error, JobError)):
                error.args = (self._hidden(str(error)),)
            self.shown.fail(error)
            count_api_calls(self._api_calls(client), tags=self.metric_tags)
            raise
        self.shown.enter(Phase.DONE if self.wait_for_completion else Phase.SUBMITTED)
        count_api_calls(self._api_calls(client), tags=self.metric_tags)

    def _hidden(self, text: str) -> str:
        """Give what an error says without what this task has sent."""
        return text

    def tell_outlets(self, context: Context, facts: Mapping[str, Any]) -> None:
        """Say in the events of the task's assets what is new in them: counts and places, never a value of a record."""
        for outlet in self.outlets:
            if isinstance(outlet, (Asset, AssetRef)):
                event = context["outlet_events"][outlet]
                event.extra = {**event.extra, **facts}

    def note_lineage(self, gather: Callable[[], Lineage]) -> None:
        """Keep what OpenLineage will ask for, when somebody listens; trouble with it fails no task that is done."""
        if not is_wanted():
            return
        try:
            self.lineage = gather()
        except StoppedError:
            raise
        except Exception as error:
            self.log.warning("OpenLineage is told nothing of this task (%s): %s", type(error).__name__, error)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:  # noqa: ARG002
        """Tell OpenLineage what went where, when it asks."""
        return None if self.lineage is None else to_openlineage(self.lineage)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Tell what a task has moved that failed for its failed records."""
        return self.get_openlineage_facets_on_complete(task_instance)

    @property
    def metric_tags(self) -> dict[str, str]:
        """What this task's metrics are told apart by, where they are sent with tags."""
        return {"dag_id": self.dag_id, "task_id": self.task_id, "job_type": str(self.job_type), **self._subject}

    @property
    def _subject(self) -> dict[str, str]:
        """What is known of the jobs before there are any: ``operation`` and ``sobject``."""
        return {}

    def _wait(self, context: Context, client: BulkClient, job_ids: Sequence[str]) -> list[JobInfo]:
        """Wait until all jobs are final: here for the first seconds, then in the triggerer or here.

        :raises TaskDeferred: to go on in :meth:`execute_complete`
        :raises JobTimeoutError: when the wait ends first; the jobs go on
        """
        self.shown.enter(Phase.WAITING)
        jobs = self._jobs(client)
        pauses = FIRST_POLLS if len(job_ids) <= LINED_JOBS else (sum(FIRST_POLLS),)
        infos = self._run(context, client, poll_briefly(jobs, job_ids, pauses=pauses, on_poll=self.shown.take))
        if infos is not None:
            return infos
        deadline = self._deadline()
        if self.deferrable:
            self._defer(client, job_ids)
        return self._run(
            context,
            client,
            wait_until_final(
                jobs,
                job_ids,
                schedule=Schedule(first=FIRST_POLLS[-1], growth=0.5, longest=self.poll_interval),
                timeout=None if deadline is None else deadline - time.time(),
                on_poll=self.shown.take,
            ),
        )

    def _wait_again(
        self, context: Context, client: BulkClient, event: Mapping[str, Any] | None, job_ids: Sequence[str]
    ) -> list[JobInfo]:
        """Go on after a deferral. The event is a hint: unless it tells of the end of every job, they are read again.

        :raises TaskDeferred: when the event was an old trigger's and the jobs still run
        :raises JobTimeoutError: when the time is up; the jobs go on
        :raises TransientError: when the triggerer could not go on asking
        """
        wake_up = WakeUp.from_dict(event)
        self._calls_before = wake_up.api_calls
        infos = wake_up.final_jobs(job_ids) or self._run(context, client, poll_once(self._jobs(client), job_ids))
        self.shown.see(infos)
        if all(info.is_final for info in infos):
            return infos
        if wake_up.is_about(job_ids) and wake_up.outcome is WaitOutcome.TIMEOUT:
            raise JobTimeoutError(
                f"the wait for {_named(job_ids)} is over: the task's timeout has passed. The jobs go on at Salesforce, "
                "and a retry (or clearing the task) waits for the same jobs.",
                job_id=job_ids[0],
            )
        if wake_up.is_about(job_ids) and wake_up.outcome is WaitOutcome.ERROR:
            raise TransientError(
                f"the triggerer could not go on looking at {_named(job_ids)}; its own log says why. The jobs go on, "
                "and a retry waits for the same jobs.",
                job_id=job_ids[0],
            )
        self._defer(client, job_ids)

    def _defer(self, client: BulkClient, job_ids: Sequence[str]) -> NoReturn:
        from airflow_provider_sfbulk.triggers.job import BulkJobTrigger

        self.shown.enter(Phase.WAITING)
        self.log.info("%s still at work: waiting in the triggerer, %s", _named(job_ids), self._until_when)
        self.defer(
            trigger=BulkJobTrigger(
                job_ids=list(job_ids),
                job_type=str(self._type_now),
                salesforce_conn_id=self.salesforce_conn_id,
                api_version=self.job_version or self.api_version,
                poll_interval=self.poll_interval,
                deadline=self._deadline(),
                cancel_on_kill=self.cancel_on_kill and self._owns_jobs,
                api_calls=self._api_calls(client),
            ),
            method_name="execute_complete",
            kwargs={"deadline": self._deadline()},
        )
        raise AssertionError("defer() came back")

    @fails_for_good
    def execute_after_reserve(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Begin after a deferral for API calls to spare.

        :raises RequestLimitError: when the time is up
        """
        wake_up = WakeUp.from_dict(event)
        self._begin_waits(deadline)
        self._calls_before = wake_up.api_calls
        if wake_up.outcome is WaitOutcome.TIMEOUT:
            raise _no_calls("the task's timeout has passed while it waited for API calls to spare: nothing was sent")
        return self._start(context)

    def _start(self, context: Context) -> Any:
        """Do the task's work from its beginning."""
        raise NotImplementedError

    def _keep_reserve(self, context: Context, client: BulkClient) -> None:
        """Make sure, before anything is begun, that the org has more calls left than are to be left.

        Salesforce says so with every reply; where there was none yet, it is asked.

        :raises TaskDeferred: to go on in :meth:`execute_after_reserve`
        :raises RequestLimitError: when it has not, and the task shall fail
        """
        if self.api_reserve is None:
            return
        reserve = ApiReserve.of(self.api_reserve)
        try:
            usage = client.api_usage or self._run(context, client, read_api_usage(api_version=client.api_version))
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

        self.log.info("%s: waiting in the triggerer for more, %s", said, self._until_when)
        self.defer(
            trigger=ApiReserveTrigger(
                api_reserve=reserve.given,
                salesforce_conn_id=self.salesforce_conn_id,
                api_version=self.api_version,
                deadline=self._deadline(),
                api_calls=self._api_calls(client),
            ),
            method_name="execute_after_reserve",
            kwargs={"deadline": self._deadline()},
        )

    def _begin_waits(self, deadline: float | None = None) -> None:
        """Forget the waits of another try; after a deferral, go on with this one's deadline."""
        self._until = deadline
        self._calls_before = 0

    def _api_calls(self, client: BulkClient) -> int:
        """Count the API calls of this try, those before its last deferral and the triggerer's too."""
        return self._calls_before + client.api_calls

    def _deadline(self) -> float | None:
        """When this try's waiting ends, in seconds since 1970: counted from its first wait, over all its deferrals.

        Airflow does not enforce ``execution_timeout`` while a task is deferred, so the trigger carries it.
        """
        limit = None if self.execution_timeout is None else self.execution_timeout.total_seconds()
        spans = [span for span in (self.timeout, limit) if span is not None]
        if self._until is None and spans:
            self._until = time.time() + min(spans)
        return self._until

    @property
    def _until_when(self) -> str:
        deadline = self._deadline()
        if deadline is None:
            return "without an end (timeout sets one)"
        return f"for {max(0.0, deadline - time.time()):,.0f} s at most"

    def _run(self, context: Context, client: BulkClient, flow: Flow[T], *, ledger: Ledger | None = None) -> T:
        """Run a flow; when the task is told to end meanwhile, abort its jobs if a person did it."""
        self._client = client
        if self._is_told_to_end:  # before there was a client to stop
            client.stop("the task was told to end")
        try:
            return client.run(flow, ledger=ledger)
        except StoppedError:
            if self.cancel_on_kill and self._is_ended_by_person(context):
                with self.hook.get_conn() as again:
                    self._abort(again, self._own_jobs(context))
            raise

    def on_kill(self) -> None:
        """Make what runs stop. Called inside the handler of SIGTERM, so the rest is done where it stops."""
        self._is_told_to_end = True
        if self._client is not None:
            self._client.stop("the task was told to end")

    def _is_ended_by_person(self, context: Context) -> bool:
        """Whether Airflow says so. When it does not, the jobs are left alone."""
        try:
            return is_ended_by_person(context["ti"])
        except Exception as error:
            self.log.warning("could not ask Airflow why this task ends (%s): its jobs go on", type(error).__name__)
            return False

    @property
    def _owns_jobs(self) -> bool:
        """Whether the jobs that are waited for are this task's, to be aborted with it."""
        return True

    def _own_jobs(self, context: Context) -> list[str]:
        """Jobs that this task has recorded, of the load or query it is at: only what this process does not know is read."""
        return (self._ledger or self.ledger(context)).recorded_jobs()

    def _abort(self, client: BulkClient, job_ids: Sequence[str]) -> None:
        # Together: Airflow ends a process for good five seconds after it was told to end.
        client.run(_together(self._abort_one(self._jobs(client), job_id) for job_id in job_ids))

    def _abort_one(self, jobs: WatchedJobs, job_id: str) -> Flow[None]:
        try:
            yield from jobs.abort(job_id)
            self.log.info("job %s is aborted", job_id)
        except SfBulkError as error:
            self.log.warning("job %s could not be aborted: %s", job_id, error)


def _together(flows: Iterable[Flow[None]]) -> Flow[None]:
    yield Concurrently(flows, ABORTS_AT_ONCE)


def few(files: Sequence[str]) -> dict[str, Any]:
    """Give files for an asset's event: all of them when they are few, else how many; the manifest names all."""
    return {"files": list(files) if len(files) <= EVENT_FILES else len(files)}


def _no_calls(message: str) -> RequestLimitError:
    error = RequestLimitError(message)
    error.daily = True
    return error


def _named(job_ids: Sequence[str]) -> str:
    return f"job {job_ids[0]}" if len(job_ids) == 1 else f"{len(job_ids)} jobs ({job_ids[0]}, …)"
