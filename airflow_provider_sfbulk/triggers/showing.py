"""What a waiting task shows: lines in its log, and the XCom that the page in Airflow's UI is made of.

A trigger cannot read the task's state store (Airflow 3.3.2), but its XComs: it goes on with what the task showed last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.xcom import XCom

from airflow_provider_sfbulk.client.models import JobInfo
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY, Phase, Progress

SECONDS: Final = 10.0
"""How long Airflow may take for an XCom: this one wait stands still meanwhile."""

TROUBLE_SECONDS: Final = 60.0
"""How long nothing is shown after Airflow did not take it: its API server may be away."""


class Log(Protocol):
    """The part of a logger that is used here."""

    def info(self, event: Any, /, *args: Any) -> Any:
        """Write a line."""

    def warning(self, event: Any, /, *args: Any) -> Any:
        """Write a line."""


class ShownWait:
    """How far the jobs are that one trigger waits for.

    :param task_instance: whose XCom it is; None under ``dag.test()``, where nothing but the log shows it
    """

    def __init__(self, task_instance: Any, log: Log, job_ids: Sequence[str], job_type: str) -> None:
        self._ti = task_instance
        self._log = log
        self._job_ids = job_ids
        self._job_type = job_type
        self._progress: Progress | None = None
        self._trouble_until = 0.0

    async def take(self, infos: Sequence[JobInfo]) -> None:
        """Show jobs that were looked at."""
        if self._progress is None:
            self._progress = await self._begin()
        for info in infos:
            self._progress.take(info)
        self._progress.api_calls += len(infos)
        for line in self._progress.lines(infos):
            self._log.info("%s", line)
        if self._ti is not None:
            await self._airflow(partial(XCom.set, PROGRESS_XCOM_KEY, self._progress.to_dict(), **self._key))

    async def _begin(self) -> Progress:
        told = (
            None if self._ti is None else await self._airflow(partial(XCom.get_one, key=PROGRESS_XCOM_KEY, **self._key))
        )
        try:
            progress = Progress.from_dict(told)
        except ValueError:
            progress = Progress(self._job_type, phase=Phase.WAITING)
            if self._ti is not None:
                progress.try_number = self._ti.try_number
        for job_id in self._job_ids:
            progress.add(job_id)
        return progress

    @property
    def _key(self) -> dict[str, Any]:
        ti = self._ti
        return {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}

    async def _airflow(self, call: partial[Any]) -> Any:
        """Call Airflow; None when it does not answer well, since showing never ends a wait.

        On a thread: an XCom backend of the site's own may keep values elsewhere, and block.
        """
        if time.monotonic() < self._trouble_until:
            return None
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.to_thread(call)
        except (AirflowRuntimeError, OSError, TypeError, TimeoutError) as error:
            self._trouble_until = time.monotonic() + TROUBLE_SECONDS
            self._log.warning("Airflow did not take what its page is to show (%s)", type(error).__name__)
            return None
