"""What both operators share: the client, the wait, the link, and what happens on a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, TypeVar

from airflow.sdk import Asset, BaseOperator, ObjectStoragePath, conf
from airflow.sdk.definitions.asset import AssetRef
from airflow.sdk.exceptions import AirflowRuntimeError, TaskDeferred

from airflow_provider_sfbulk.client.errors import (
    JobError,
    JobTimeoutError,
    RequestLimitError,
    SfBulkError,
    SourceError,
    StoppedError,
    TransientError,
)
from airflow_provider_sfbulk.client.flows.org import read_api_usage
from airflow_provider_sfbulk.client.flows.reserve import ApiReserve
from airflow_provider_sfbulk.client.flows.spec import member
from airflow_provider_sfbulk.client.flows.wait import Schedule, first_looks, read_all, wait_until_final
from airflow_provider_sfbulk.client.flows.watched import WatchedJobs, watched_jobs
from airflow_provider_sfbulk.client.models import JobInfo, JobType
from airflow_provider_sfbulk.client.models1 import ConcurrencyMode
from airflow_provider_sfbulk.client.wire import Flow, Ledger, Together
from airflow_provider_sfbulk.ended_by_person import is_ended_by_person
from airflow_provider_sfbulk.hooks.salesforce_bulk import SalesforceBulkHook
from airflow_provider_sfbulk.ledger import TaskLedger
from airflow_provider_sfbulk.lineage import Lineage, is_wanted, to_openlineage
from airflow_provider_sfbulk.links.job import LINK_XCOM_KEY, BulkJobLink, job_url
from airflow_provider_sfbulk.metrics import count_api_calls
from airflow_provider_sfbulk.operators.arguments import APIS, check_seconds
from airflow_provider_sfbulk.operators.lasting import fails_for_good
from airflow_provider_sfbulk.operators.showing import ShownProgress
from airflow_provider_sfbulk.paths import is_path, rendered, text_of
from airflow_provider_sfbulk.progress import Phase, Progress
from airflow_provider_sfbulk.triggers.wake_up import WaitOutcome, WakeUp

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from airflow_provider_sfbulk.client import BulkClient

T = TypeVar("T")

LOOKS: Final = (1.0, 1.5, 2.5)
"""Pauses before the task's own looks at its jobs, in seconds, before it defers: a job of some seconds is noticed here
and never defers."""

EVENT_FILES: Final = 50
"""Files that an asset's event names."""

ABORTS_AT_ONCE: Final = 10
"""Jobs to abort at the same time. An abort is one small call."""


class BulkJobOperator(BaseOperator):
    """A task that owns jobs at Salesforce and waits for them.

    :param wait_for_completion: False: return the job ids as soon as Salesforce has the jobs
    :param deferrable: wait in the triggerer, without holding a worker
    :param poll_interval: longest time between two looks at a job, in seconds; young jobs are looked at more often
    :param timeout: of one try's waiting, in seconds or as a timedelta. Its end fails the try, the jobs go on, and the
        next try adopts them
    :param cancel_on_kill: whether a person's kill aborts the jobs; a deploy, a timeout or a lost worker never does
    :param api_reserve: API calls to leave in the org, a number or a float below 1 as fraction of the day's: with fewer
        left nothing is begun. What was begun is brought to its end
    :param on_api_reserve: what the task does then: ``wait`` (deferred, until its ``timeout``) or ``fail``
    :param salesforce_conn_id: the connection
    :param api_version: instead of the connection's, as ``66.0``
    :param api: ``2.0``, or ``1.0`` for what only that one can do
    :param concurrency_mode: with ``api="1.0"``: ``Parallel``, or ``Serial`` for batches one after the other
    """

    job_type: ClassVar[JobType]
    operator_extra_links = (BulkJobLink(),)
    ui_color = "#d8edff"

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 30.0,
        timeout: float | timedelta | None = None,
        cancel_on_kill: bool = True,
        api_reserve: float | None = None,
        on_api_reserve: str = "wait",
        salesforce_conn_id: str = SalesforceBulkHook.default_conn_name,
        api_version: str | None = None,
        api: str = APIS[0],
        concurrency_mode: str = "Parallel",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.api = api
        self.concurrency_mode = concurrency_mode
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        self.cancel_on_kill = cancel_on_kill
        self.api_reserve = api_reserve
        self.on_api_reserve = on_api_reserve
        self._reserve = None if api_reserve is None else ApiReserve.of(api_reserve)
        if on_api_reserve not in ("wait", "fail"):
            raise SourceError(f"on_api_reserve is 'wait' or 'fail', not {on_api_reserve!r:.40}")
        self.salesforce_conn_id = salesforce_conn_id
        self.api_version = api_version
        self.job_link: str | None = None
        self.shown: ShownProgress
        self._client: BulkClient | None = None
        self._is_told_to_end = False
        self.lineage: Lineage | None = None
        self._until: float | None = None
        self._waits_for: JobType | None = None
        self._calls_before = 0

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a template as Airflow does; also one inside a ``Path`` or ``UPath``, which it leaves alone."""
        if is_path(content) and not isinstance(content, (str, ObjectStoragePath)):
            return rendered(content, str(super().render_template(text_of(content), *args, **kwargs)))
        return super().render_template(content, *args, **kwargs)

    @cached_property
    def hook(self) -> SalesforceBulkHook:
        """The hook of this task's connection."""
        return SalesforceBulkHook(self.salesforce_conn_id, api_version=self.api_version)

    def _check_waiting(self) -> None:
        """Check what this class takes, before anything is sent.

        :raises SourceError: naming the argument
        """
        check_seconds("poll_interval", self.poll_interval)
        if self.timeout is not None:
            check_seconds("timeout", self.timeout)

    @property
    def mode(self) -> ConcurrencyMode | None:
        """The mode of jobs of Bulk API 1.0; None when the task goes by 2.0."""
        return None if self.api == APIS[0] else ConcurrencyMode(self.concurrency_mode)

    def _check_api(self) -> None:
        """Check which API the task goes by.

        :raises SourceError: naming the argument
        """
        if self.api not in APIS:
            raise SourceError(f"api is {' or '.join(map(repr, APIS))}, not {str(self.api)[:20]!r}")
        member(ConcurrencyMode, self.concurrency_mode, "concurrency_mode")
        if self.api == APIS[0] and self.concurrency_mode != ConcurrencyMode.PARALLEL:
            raise SourceError(f"concurrency_mode {self.concurrency_mode} is there with api='1.0' only")

    def waits_for(self, job_type: JobType) -> None:
        """Say of which kind the jobs are that come now."""
        self._waits_for = job_type

    def _jobs(self, client: BulkClient) -> WatchedJobs:
        return watched_jobs(self._type_now, client.api_version)

    @property
    def _type_now(self) -> JobType:
        if self._waits_for is not None:
            return self._waits_for
        return self.job_type if self.mode is None else JobType.CLASSIC

    def _ledger(self, context: Context) -> TaskLedger:
        ti = context["ti"]
        return TaskLedger(context["task_state_store"], try_number=ti.try_number, max_tries=ti.max_tries)

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
        infos = self._run(context, client, first_looks(jobs, job_ids, pauses=LOOKS, on_look=self.shown.take))
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
                schedule=Schedule(first=LOOKS[-1], growth=0.5, longest=self.poll_interval),
                timeout=None if deadline is None else deadline - time.time(),
                on_look=self.shown.take,
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
        infos = wake_up.final_jobs(job_ids) or self._run(context, client, read_all(self._jobs(client), job_ids))
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
        self.log.info("%s still at work: waiting in the triggerer", _named(job_ids))
        self.defer(
            trigger=BulkJobTrigger(
                job_ids=list(job_ids),
                job_type=str(self._type_now),
                salesforce_conn_id=self.salesforce_conn_id,
                api_version=self.api_version,
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
        if self._reserve is None:
            return
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
            if self._reserve.is_kept(usage):
                return
            if self._reserve.is_out_of_reach(usage):
                raise SourceError(
                    f"api_reserve={self.api_reserve} leaves {self._reserve.calls(usage):,} API calls to others, but the "
                    f"org has {usage.allowed:,} a day in all: this task would never begin. Lower api_reserve"
                )
            said = (
                f"the org has {usage.left:,} of its {usage.allowed:,} API calls left, fewer than the "
                f"{self._reserve.calls(usage):,} that api_reserve={self.api_reserve} leaves to others"
            )
        if self.on_api_reserve == "fail":
            raise _no_calls(f"{said}: nothing was sent. Try later, or lower api_reserve")
        from airflow_provider_sfbulk.triggers.reserve import ApiReserveTrigger

        self.log.info("%s: waiting in the triggerer until there are more", said)
        self.defer(
            trigger=ApiReserveTrigger(
                api_reserve=self._reserve.given,
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
        spans = [
            span.total_seconds() if isinstance(span, timedelta) else float(span)
            for span in (self.timeout, self.execution_timeout)
            if span is not None
        ]
        if self._until is None and spans:
            self._until = time.time() + min(spans)
        return self._until

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
        except (AirflowRuntimeError, OSError) as error:
            self.log.warning("could not ask Airflow why this task ends (%s): its jobs go on", type(error).__name__)
            return False

    @property
    def _owns_jobs(self) -> bool:
        """Whether the jobs that are waited for are this task's, to be aborted with it."""
        return True

    def _own_jobs(self, context: Context) -> list[str]:
        """Jobs that this task has recorded, of the load or query it is at."""
        return self._ledger(context).recorded_jobs()

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
    yield Together(flows, ABORTS_AT_ONCE)


def few(files: Sequence[str]) -> dict[str, Any]:
    """Give files for an asset's event: all of them when they are few, else how many; the manifest names all."""
    return {"files": list(files) if len(files) <= EVENT_FILES else len(files)}


def _no_calls(message: str) -> RequestLimitError:
    error = RequestLimitError(message)
    error.daily = True
    return error


def _named(job_ids: Sequence[str]) -> str:
    return f"job {job_ids[0]}" if len(job_ids) == 1 else f"{len(job_ids)} jobs ({job_ids[0]}, …)"
