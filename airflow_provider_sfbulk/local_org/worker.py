"""A thread that works on jobs: each a generator that says when, by the org's clock, it wants to go on.

Several jobs advance side by side, so ten jobs that take a minute each take a minute together, as in Salesforce.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from airflow_provider_sfbulk.local_org.clock import Clock
from airflow_provider_sfbulk.local_org.jobs import AnyEntry

log = logging.getLogger(__name__)

Work = Iterator[datetime]
"""What a job does, step by step. A step runs while the job's lock is held; between steps the state may change."""


class Worker:
    """One thread with the jobs that wait for their next step.

    :param on_error: called with a step that raised: a bug in this package
    """

    def __init__(self, name: str, clock: Clock, on_error: Callable[[AnyEntry[Any], Exception], None]) -> None:
        self._clock = clock
        self._on_error = on_error
        self._waiting: list[tuple[datetime, int, AnyEntry[Any], Work]] = []
        self._order = itertools.count()
        self._busy = False
        self._stopped = False
        self._dropped = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step that is running. What waits stays undone."""
        with self._clock.lock:
            self._stopped = True
            self._clock.lock.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def submit(self, entry: AnyEntry[Any], work: Work) -> None:
        """Queue a job."""
        with self._clock.lock:
            heapq.heappush(self._waiting, (self._clock.now(), next(self._order), entry, work))
            self._clock.lock.notify_all()

    def drop(self) -> None:
        """Drop what waits; a step that is running ends first."""
        with self._clock.lock:
            self._waiting.clear()
            self._dropped = True
            self._clock.lock.notify_all()
            while self._busy and not self._stopped:
                self._clock.lock.wait()
            self._waiting.clear()
            self._dropped = False

    def wait_until_idle(self) -> None:
        """Wait until no job waits for a step."""
        with self._clock.lock:
            while (self._waiting or self._busy) and not self._stopped:
                self._clock.lock.wait()

    def _run(self) -> None:
        while (step := self._next()) is not None:
            entry, work = step
            try:
                with entry.lock:
                    due = next(work, None)
            except Exception as error:
                log.exception("job %s", entry.job.id)
                due = None
                self._on_error(entry, error)
            with self._clock.lock:
                self._busy = False
                if due is not None and not self._dropped:
                    heapq.heappush(self._waiting, (due, next(self._order), entry, work))
                self._clock.lock.notify_all()

    def _next(self) -> tuple[AnyEntry[Any], Work] | None:
        """Wait for a step that is due; None when stopped."""
        with self._clock.lock:
            while not self._stopped:
                if self._waiting:
                    seconds = (self._waiting[0][0] - self._clock.now()).total_seconds()
                    if seconds <= 0:
                        _, _, entry, work = heapq.heappop(self._waiting)
                        self._busy = True
                        return entry, work
                    self._clock.lock.wait(seconds)
                else:
                    self._clock.lock.wait()
        return None
