"""Processes under a baton: exactly one runs at any time, and gives the baton back before its next effect.

An operator is no generator, so each try of it runs on a stack of its own: a greenlet, which is a thread that is switched
by hand. (The operating system's threads with a lock in place of the baton do the same, at twenty times the cost.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped, unused-ignore]

from airflow_provider_sfbulk.client.effects import Reply, Request
from tests.simulator.salesforce.model import Salesforce
from tests.simulator.world.store import Faults, Killed


class World(Faults, Protocol):
    """What the scheduler offers to what a process uses: driver, storage, Airflow."""

    org: Salesforce
    clock: float

    def chance(self) -> float:
        """Give a number from 0 to 1."""

    def fault_here(self, effect: str, number: int) -> str | None:
        """Choose a fault where no other process can go on."""

    def is_newest(self, number: int) -> bool:
        """Whether no try has replaced this one."""

    def nap(self, process: Process, seconds: float) -> None:
        """Let a process sleep for some steps, more for a longer sleep."""

    def sends(self, process: Process, request: Request, what: str, *, alone: bool) -> None:
        """Look at a request before it is sent.

        :param alone: whether the process sends it by itself, not one of the flows that it runs together
        """

    def apply(self, request: Request, what: str, number: int) -> Reply:
        """Let it arrive."""

    def fenced(self, number: int) -> None:
        """Note that a try was told that it is replaced."""

    def meet_source(self, what: str) -> None:
        """Meet the faults of reading a source."""

    def files_changed(self) -> None:
        """Look at the folder."""


class Process:
    """One process: it runs a try of a task, or a trigger.

    :param label: for the record of events
    :param number: of the try
    :param run: what it does
    :param ended: is given its result, or how it failed
    :param is_clean: whether it meets no faults
    """

    running: ClassVar[Process | None] = None
    """The one that has the baton."""

    def __init__(
        self,
        label: str,
        number: int,
        run: Callable[[], Any],
        ended: Callable[[Any, BaseException | None], None],
        *,
        is_clean: bool,
    ) -> None:
        self.label, self.number, self.is_clean = label, number, is_clean
        self.asleep_until = 0
        self.is_napping = False
        """Whether it sleeps by itself, so that a signal wakes it up."""
        self.is_over = False
        self.is_dead = False
        self.is_writing = False
        """Whether it stands inside a write that the server will still perform."""
        self.calls: list[str] = []
        """Kinds of the requests it has sent."""
        self.on_sigterm: Callable[[], None] | None = None
        self.open_files: set[Any] = set()
        self._signalled = False
        self._run, self._ended = run, ended
        self._greenlet = greenlet(self._body)

    def step(self) -> None:
        """Let it run to before its next effect, or to its end. Called by whoever has the baton."""
        before, Process.running = Process.running, self
        self.is_napping = False
        self._greenlet.parent = getcurrent()
        try:
            self._greenlet.switch()
        finally:
            Process.running = before

    def pause(self) -> None:
        """Give the baton back until it is this process's turn again. Called by the process, before each effect.

        :raises Killed: the process is gone: nothing that follows has an effect
        """
        if not self.is_dead:
            parent = self._greenlet.parent
            assert parent is not None
            parent.switch()
        if self.is_dead:
            raise Killed
        if self._signalled and self.on_sigterm is not None:
            self._signalled = False
            self.on_sigterm()

    def signal(self) -> None:
        """Send it SIGTERM: the handler runs where it stands, and ends its sleep."""
        self._signalled = True
        if self.is_napping:
            self.asleep_until = 0

    def kill(self) -> None:
        """End it where it stands. Called by the scheduler: no other process may do it."""
        self.is_dead = True
        if not self.is_over:
            self.step()

    def _body(self) -> None:
        result, error = None, None
        try:
            if self.is_dead:
                raise Killed
            result = self._run()
        except BaseException as raised:  # Killed and TaskDeferred, too
            error = raised
        if self.is_dead and not isinstance(error, AssertionError):
            error = Killed()  # whatever else it met on its way out, nobody was told
        self.is_over = True
        self._ended(result, error)
