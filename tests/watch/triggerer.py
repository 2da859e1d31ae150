"""A process with Airflow's own ``TriggerRunner``, without the supervisor and database that would feed it.

Reads one JSON line from its standard input: the triggers to run, each ``[id, class path, arguments]``. Writes a line for
each event as it leaves the runner, and one with its own figures every second.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.executors.workloads.trigger import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner, messages
from airflow.models.trigger import Trigger

LAG_SECONDS = 0.02
"""Pause of the probe that measures the event loop's lag."""


def say(**line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


class FedRunner(TriggerRunner):
    """Airflow's runner, fed from a list. What it tells its supervisor goes to the standard output."""

    def __init__(self, triggers: list[tuple[int, str, dict[str, Any]]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._feed = [
            RunTrigger(id=number, classpath=path, encrypted_kwargs=Trigger.encrypt_kwargs(arguments))
            for number, path, arguments in triggers
        ]

    async def init_comms(self) -> None:
        never = asyncio.create_task(asyncio.Event().wait())
        self.comms_decoder = SimpleNamespace(_reader_task=never)  # type: ignore[assignment]

    async def sync_state_to_supervisor(self, finished_ids: list[int]) -> None:
        message: messages.TriggerStateChanges = self.process_trigger_events(finished_ids=finished_ids)
        for number, event, _ in message.events or ():
            say(id=number, payload=event.payload, at=time.monotonic())
        for number, error in message.failures or ():
            say(id=number, failure=str(error), at=time.monotonic())
        feed, self._feed = self._feed[:100], self._feed[100:]  # a triggerer takes its share over some rounds, too
        self.to_create.extend(feed)


async def measure(lags: list[float]) -> None:
    told = time.monotonic()
    while True:
        before, worked = time.monotonic(), time.thread_time()
        await asyncio.sleep(LAG_SECONDS)
        now = time.monotonic()
        # Late by what this loop itself has done: what other processes take of a busy machine is not its fault.
        lags.append(min(now - before - LAG_SECONDS, time.thread_time() - worked))
        if now - told > 1:
            told = now
            say(lags=[round(lag, 5) for lag in lags], bytes=resident_bytes())
            lags.clear()


async def main() -> None:
    runner = FedRunner(json.loads(sys.stdin.readline()))
    probe = asyncio.create_task(measure([]))
    await runner.arun()  # type: ignore[no-untyped-call]
    probe.cancel()


if __name__ == "__main__":
    asyncio.run(main())
