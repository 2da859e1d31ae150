"""One task of one run over its tries: an org, a task state store, and the processes that are killed in between."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.local_org import LocalOrg
from tests.kills.process import spec
from tests.kills.process.nursery import Nursery
from tests.kills.process.spec import Spec
from tests.kills.process.states import begin_try
from tests.kills.wire.proxy import Proxy
from tests.kills.wire.steps import OWN, Counting, Seen, Strike


@dataclass(frozen=True)
class Attempt:
    """What became of one try.

    :param status: exit code, or minus the signal that ended it
    :param seen: its requests, in their order, and for a try that came to its end then its own steps
    :param outcome: ``result``, or ``error`` and ``message``; nothing of a killed one
    """

    status: int
    seen: list[Seen]
    outcome: Mapping[str, Any] = field(default_factory=dict)
    log: str = ""
    is_done: bool = False
    """Whether it noted that its work is done."""

    @property
    def requests(self) -> list[Seen]:
        """Without its own steps."""
        return [each for each in self.seen if each.step.kind not in OWN]

    def calls(self, kind: str) -> list[Seen]:
        """Give the requests of a kind."""
        return [each for each in self.seen if each.step.kind == kind]


class Scene:
    """One task, its tries one after the other.

    :param folder: for the store, the outcomes and the logs
    :param operator: ``ingest`` or ``query``
    :param arguments: of the operator
    :param org_port: where the org itself listens; its ``url`` is each try's proxy in turn
    :param slowly: the org shows an undisturbed or struck first try every state of a job for one look
    :param forgets: the task state store loses everything between two tries, as no Airflow does
    """

    def __init__(
        self,
        nursery: Nursery,
        org: LocalOrg,
        folder: Path,
        operator: str,
        arguments: Mapping[str, Any],
        *,
        org_port: int,
        slowly: bool = False,
        forgets: bool = False,
    ) -> None:
        self._nursery, self._folder, self._slowly, self._forgets = nursery, folder, slowly, forgets
        self.org, self._operator, self._arguments = org, operator, arguments
        self._org_port = org_port
        self._number = 0
        self._states = folder / "states"

    def attempt(self) -> Attempt:
        """Run a try that nobody disturbs, to its end."""
        with self._proxy(None) as proxy:
            pid = self._start(proxy, None)
            return self._end(proxy, pid, self._number)

    def killed(self, strike: Strike) -> Attempt:
        """Run a try and kill it there.

        :raises AssertionError: it was not killed, or not there
        """
        with self._proxy(strike) as proxy:
            pid = self._start(proxy, strike)
            attempt = self._end(proxy, pid, self._number)
        assert attempt.status == -signal.SIGKILL, f"{strike}: the process was not killed\n{attempt.log}"
        assert strike.step.kind in OWN or proxy.struck.is_set(), f"{strike}: something else killed the process"
        return attempt

    def frozen(self, strike: Strike) -> tuple[Attempt, Attempt, int]:
        """Run a try, freeze it there, run the next to its end, and let the frozen one go on.

        :return: the frozen one, the next, and how many requests the frozen one had sent when it froze
        """
        with self._proxy(strike) as proxy:
            pid = self._start(proxy, strike)
            number = self._number
            assert self._nursery.stands(pid), f"{strike}: the process did not come there"
            newer = self.attempt()
            before = len(proxy.seen)
            self.org.core.url = proxy.url
            os.kill(pid, signal.SIGCONT)
            proxy.thawed.set()
            return self._end(proxy, pid, number), newer, before

    def _proxy(self, strike: Strike | None) -> Proxy:
        slowly = self._slowly and self._number == 0
        return Proxy(self._org_port, before_each=self.org.wait_until_idle if slowly else self._show_ends, strike=strike)

    def _show_ends(self) -> None:
        """Let the org show a job's end at the first look."""
        self.org.wait_until_idle()
        for entry in self.org.core.jobs:
            entry.settle()

    def _start(self, proxy: Proxy, strike: Strike | None) -> int:
        self.org.core.url = proxy.url  # the org gives it as the instance_url of each login
        self._number += 1
        begin_try(self._states, self._number, forgets=self._forgets)
        is_own = strike is not None and strike.step.kind in OWN
        pid = self._nursery.start(
            Spec(
                operator=self._operator,
                arguments=self._arguments,
                connection=self.org.connection,
                states=str(self._states),
                outcome=str(self._outcome(self._number)),
                try_number=self._number,
                halt=(strike.step.kind, strike.step.number, str(strike.moment)) if strike and is_own else None,
                lingers=None if strike is None or strike.freezes else spec.LINGER_SECONDS,
            )
        )
        proxy.pid.set_result(pid)
        return pid

    def _end(self, proxy: Proxy, pid: int, number: int) -> Attempt:
        status = self._nursery.wait(pid)
        assert not proxy.mistakes, f"the proxy itself made a mistake: {proxy.mistakes[0]!r}"
        path = self._outcome(number)
        log = path.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
        outcome = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        counting = Counting()
        own = [Seen(counting.next(kind)) for kind, count in outcome.get("steps", {}).items() for _ in range(count)]
        is_done = (self._states / f"sfbulk.try{number}.done").exists()
        return Attempt(status, [*proxy.seen, *own], outcome, log, is_done)

    def _outcome(self, number: int) -> Path:
        return self._folder / f"try{number}.json"
