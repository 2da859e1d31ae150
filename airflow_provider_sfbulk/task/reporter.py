"""What a task reports while it runs or waits: lines in its log, and the XCom that the page in Airflow's UI shows.

Reporting never fails a task: when Airflow does not accept an XCom, the next one is written a minute later.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_provider_sfbulk.client.errors import SfBulkError
from airflow_provider_sfbulk.client.models import RESULT_KINDS
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY, TEXT_LENGTH, Phase, Progress

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.load.rounds import Round
    from airflow_provider_sfbulk.client.models import JobInfo

PUSH_SECONDS: Final = 3.0
"""Shortest time between two XComs about the same phase."""

TROUBLE_SECONDS: Final = 60.0
"""Pause of reporting after Airflow did not accept an XCom: its API server may be down."""

XCOM_SECONDS: Final = 10.0
"""How long Airflow may take for an XCom of a trigger, whose wait pauses meanwhile."""

NOT_TAKEN: Final = "Airflow did not accept the progress for its page (%s)"


NO_ANSWER: Final = object()


class Log(Protocol):
    """The part of a logger that is used here."""

    def info(self, event: Any, /, *args: Any) -> Any:
        """Write a line."""

    def warning(self, event: Any, /, *args: Any) -> Any:
        """Write a line."""


class Reporter:
    """Reports the progress of one try. Its methods may be called from several threads.

    :param push: writes an XCom
    :param api_calls: counts the calls of this try so far
    """

    def __init__(
        self, progress: Progress, log: Log, push: Callable[[str, Any], None], api_calls: Callable[[], int]
    ) -> None:
        self.progress = progress
        self._log = log
        self._push = push
        self._api_calls = api_calls
        self._lock = threading.Lock()
        self._next = self._trouble_until = 0.0

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        with self._lock:
            self.progress.phase = phase
        self.show()

    def made(self, job_id: str, *, number: int, records: int | None, setup_url: str) -> None:
        """Show a job that was just created.

        :param number: its round
        :param setup_url: the org's address
        """
        with self._lock:
            is_first = not self.progress.jobs
            self.progress.setup_url = setup_url
            self.progress.add(job_id, number=number, records=records)
        if is_first:
            self.show()
        else:
            self._show_sometimes()

    def see_jobs(self, job_ids: Iterable[str]) -> None:
        """Note that these are jobs of the try."""
        with self._lock:
            for job_id in job_ids:
                self.progress.add(job_id)

    def at(self, rounds: Sequence[Round]) -> None:
        """Take over the decided rounds: their jobs, and no others."""
        with self._lock:
            sent: dict[str, int] = {}
            for each in rounds:
                for part in each.parts:  # a job of Bulk API 1.0 has many
                    sent[part.job_id] = sent.get(part.job_id, 0) + part.records
                    self.progress.add(part.job_id, number=each.number).records = sent[part.job_id]
            self.progress.keep(sent)

    def take(self, infos: Sequence[JobInfo]) -> None:
        """Show jobs that were looked at."""
        with self._lock:
            for info in infos:
                self.progress.take(info)
            lines = self.progress.lines(infos)
        for line in lines:
            self._log.info("%s", line)
        self._show_sometimes()

    def see(self, infos: Iterable[JobInfo]) -> None:
        """Note what Salesforce says about jobs, without a log line."""
        with self._lock:
            for info in infos:
                self.progress.take(info)

    def found(
        self,
        counts: Mapping[str, int],
        *,
        errors: Mapping[str, int] | None = None,
        files: Mapping[str, Sequence[str]] | None = None,
        manifest: str | None = None,
    ) -> None:
        """Note what became of the records, to be shown with the try's end.

        :param counts: ``successful``, ``failed``, ``unprocessed`` and ``unchanged``; of a query ``records``
        :param errors: failed records by Salesforce's code
        :param files: URIs by kind
        """
        with self._lock:
            self.progress.counts = dict(counts)
            self.progress.fail_with(errors or {})
            self.progress.files = {kind: list(uris) for kind, uris in (files or {}).items()}
            self.progress.manifest = manifest

    def found_before(self, result: object) -> None:
        """Note what became of the records, from an earlier try's result."""
        if isinstance(result, dict):
            counts = {kind: result[kind] for kind in (*RESULT_KINDS, "unchanged") if kind in result}
            self.found(counts, errors=result["errors"], files=result["results"], manifest=result["manifest"])

    def fail(self, error: BaseException) -> None:
        """Show that the try has failed. Only this package's own errors are known not to quote records."""
        with self._lock:
            self.progress.phase = Phase.FAILED
            stored = f": {error}" if isinstance(error, SfBulkError) else ""
            self.progress.message = f"{type(error).__name__}{stored}"[:TEXT_LENGTH]
        self.show()

    def show(self) -> None:
        """Write the progress, unless Airflow did not accept the last XCom."""
        now = time.time()
        with self._lock:
            self._next = now + PUSH_SECONDS
            self.progress.api_calls = self._api_calls()
            stored = self.progress.to_dict(now=now)
        self.push(PROGRESS_XCOM_KEY, stored)

    def push(self, key: str, value: Any) -> None:
        """Write an XCom, unless Airflow did not accept the last one."""
        now = time.time()
        if now < self._trouble_until:
            return
        try:
            self._push(key, value)
        except (AirflowRuntimeError, OSError) as error:
            self._trouble_until = now + TROUBLE_SECONDS
            self._log.warning(NOT_TAKEN, type(error).__name__)

    def _show_sometimes(self) -> None:
        if time.time() >= self._next:
            self.show()


class WaitReporter:
    """The same for the jobs that one trigger waits for.

    A trigger cannot read the task's state store (Airflow 3.3.2), but it can read its XComs: it continues from what the
    task reported last.

    :param task_instance: owner of the XCom; None under ``dag.test()``, where only the log shows the progress
    """

    def __init__(self, task_instance: Any, log: Log, job_ids: Sequence[str], job_type: str) -> None:
        self._ti = task_instance
        self._log = log
        self._job_ids = job_ids
        self._progress = Progress(job_type, phase=Phase.WAITING)
        self._is_read = False
        self._trouble_until = 0.0

    async def take(self, infos: Sequence[JobInfo]) -> None:
        """Show jobs that were looked at."""
        if not self._is_read:
            await self._read()
        for info in infos:
            self._progress.take(info)
        self._progress.api_calls += len(infos)
        for line in self._progress.lines(infos):
            self._log.info("%s", line)
        if self._ti is not None and self._is_read:
            await self._airflow(partial(_xcom().set, PROGRESS_XCOM_KEY, self._progress.to_dict(), **self._key))

    async def _read(self) -> None:
        """Continue from what the task reported.

        Until Airflow answers, only the log reports this wait: only the task knows the number of records and the org's
        address, and an XCom without them would replace its own.
        """
        stored = (
            None
            if self._ti is None
            else await self._airflow(partial(_xcom().get_one, key=PROGRESS_XCOM_KEY, **self._key))
        )
        self._is_read = stored is not NO_ANSWER
        try:
            progress = Progress.from_dict(stored)
        except ValueError:
            if self._ti is not None:
                self._progress.try_number = self._ti.try_number
        else:
            progress.api_calls += self._progress.api_calls
            self._progress = progress
        for job_id in self._job_ids:
            self._progress.add(job_id)

    @property
    def _key(self) -> dict[str, Any]:
        ti = self._ti
        return {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}

    async def _airflow(self, call: partial[Any]) -> Any:
        """Call Airflow; return ``NO_ANSWER`` after an error, since reporting never ends a wait.

        In a thread: a custom XCom backend may keep values elsewhere, and block.
        """
        if time.monotonic() < self._trouble_until:
            return NO_ANSWER
        try:
            async with asyncio.timeout(XCOM_SECONDS):
                return await asyncio.to_thread(call)
        except (AirflowRuntimeError, OSError, TypeError, TimeoutError) as error:
            self._trouble_until = time.monotonic() + TROUBLE_SECONDS
            self._log.warning(NOT_TAKEN, type(error).__name__)
            return NO_ANSWER


def _xcom() -> Any:
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415 - not when a DAG file is parsed

    return XCom


@contextmanager
def log_group(log: Log, title: str) -> Iterator[None]:
    """Fold the lines of a step in Airflow's log view, which expects the marks as separate lines."""
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")
