"""The steps that a try counts itself, and at one of which it kills or stops its own process."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from airflow_provider_sfbulk.client.results.folder import LocalFile, LocalFolder
from tests.kills.wire.steps import FILE, Moment, Step

_BEFORE: Final = {Moment.BEFORE: signal.SIGKILL, Moment.FROZEN: signal.SIGSTOP}
_AFTER: Final = {Moment.AFTER: signal.SIGKILL, Moment.FROZEN_AFTER: signal.SIGSTOP}


class Halts:
    """Where one try halts.

    :param step: None: nowhere
    :param moment: of the step
    """

    def __init__(self, step: Step | None = None, moment: Moment | None = None) -> None:
        self._step, self._moment = step, moment
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        """Steps so far, by kind."""

    @contextmanager
    def around(self, kind: str) -> Iterator[None]:
        """Count a step, and halt before or after it if this is the place."""
        with self._lock:
            self.counts[kind] += 1
            step = Step(kind, self.counts[kind])
        self._at(step, _BEFORE)
        yield
        self._at(step, _AFTER)

    def watch_files(self) -> None:
        """Count what happens to files of this process from now on."""
        for owner, name in ((LocalFile, "commit"), (LocalFolder, "rename"), (LocalFolder, "remove")):
            setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, change: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(change)
        def counted(*given: Any) -> Any:
            with self.around(FILE):
                return change(*given)

        return counted

    def _at(self, step: Step, signals: Mapping[Moment, signal.Signals]) -> None:
        if step == self._step and self._moment in signals:
            os.kill(os.getpid(), signals[self._moment])
