"""Airflow around one task of one run: its tries, its deferrals, its triggerer, and what persons do to it.

The facts (Airflow 3.3.2): a retry leaves ``max_tries`` alone, a user's clear sets it to the try's number plus the
``retries`` that the DAG has then; a success counts when the API server has taken it, and only then do listeners run, in the
same process, which may die in between; a deferred task goes on in another process with the same try number; the event
counts only while the task is deferred on that very trigger; ``on_kill`` of a trigger is called for a person's clear or
mark, and in a triggerer that is late when another one has taken the trigger over; a worker that is told to end gets
SIGTERM, for a deploy and for a person alike; that a person has marked a try is recorded as an XCom by a listener, and
XComs go with each new try.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, Protocol

from airflow.sdk.exceptions import AirflowRuntimeError, TaskDeferred

from airflow_provider_sfbulk.task import accepted
from airflow_provider_sfbulk.task.ended_by_person import ENDED_XCOM_KEY
from airflow_provider_sfbulk.task.progress import PROGRESS_XCOM_KEY
from airflow_provider_sfbulk.triggers.job import BulkJobTrigger
from tests.simulator.faults import OPERATOR_FAULTS
from tests.simulator.operators.subjects import Subject
from tests.simulator.world.driver import SimulatedDriver, TriggerersDriver
from tests.simulator.world.hook import Hook
from tests.simulator.world.processes import Process, World
from tests.simulator.world.store import Killed, Store, Values, failed
from tests.simulator.world.upgrade import to_old
from tests.simulator.world.watcher import SimulatedWatcher


class Runner(World, Protocol):
    """What the scheduler offers to Airflow."""

    @property
    def is_decided(self) -> bool:
        """Whether it is known what becomes of the task."""

    def start(
        self, label: str, run: Callable[[Process], Any], ended: Callable[[Process, Any, BaseException | None], None]
    ) -> Process:
        """Begin a process of the current try."""

    def note(self, event: str) -> None:
        """Keep an event."""

    def met(self, effect: str, kind: str) -> None:
        """Note that something has happened that is no fault of one effect."""

    def logged(self, line: str) -> None:
        """Look at a line of the task's log."""

    def read(self, number: int, value: Any) -> None:
        """Note what a try has read in the store."""

    def written(self, value: Any) -> None:
        """Look at what a try writes into the store."""

    def settle_writes(self) -> None:
        """Let every write arrive that is under way."""

    def try_ended(self, process: Process, value: Any, error: BaseException | None) -> None:
        """Judge how a try's process ended."""


@dataclass
class Deferral:
    """What a task is deferred on.

    :param arguments: the trigger's, as Airflow stores them
    :param method: what the task goes on with, and what that is given besides the event
    """

    number: int
    arguments: dict[str, Any]
    method: str
    given: dict[str, Any]
    process: Process | None = None


class Log:
    """The log of a task or a trigger."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def info(self, text: str, *values: Any) -> None:
        """Take a line."""
        self._runner.logged(text % values)

    warning = error = info


class WatchedStore(Store):
    """The task state store as one process sees it; what it reads and writes is shown to the witness."""

    def __init__(self, states: Values, process: Process, runner: Runner) -> None:
        super().__init__(states, process.number, runner)
        self._process, self._runner = process, runner

    def get(self, key: str) -> Any:
        """Read."""
        value = super().get(key)
        self._runner.read(self._process.number, {} if value is None else {key: value})
        return value

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Write."""
        self._runner.written(value)
        self._process.is_writing = True
        try:
            super().set(key, value, retention=retention)
        except AirflowRuntimeError as error:
            if error.error.detail == {"status_code": 404}:
                self._runner.fenced(self._process.number)
            raise
        finally:
            self._process.is_writing = False


class AssetStore:
    """An asset's state store as one process sees it."""

    def __init__(self, values: dict[str, Any], process: Process, world: World) -> None:
        self._values, self._process, self._world = values, process, world

    def get(self, key: str) -> Any:
        """Read."""
        call_of_airflow(self._world, self._process, "asset")
        return self._values.get(key)

    def set(self, key: str, value: Any) -> None:
        """Write."""
        fault = call_of_airflow(self._world, self._process, "asset")
        self._values[key] = value
        if fault == "kill_after":
            raise Killed


class TaskInstance:
    """``context["ti"]`` of one try."""

    dag_id, task_id, run_id, map_index = "dag", "task", "run", -1

    def __init__(self, airflow: AirflowTask, process: Process, world: World) -> None:
        self.id = f"ti-{process.number}"
        self.try_number, self.max_tries = process.number, airflow.max_tries
        self.task: Any = None
        self.state = "running"
        self.context: Any = None
        self._airflow, self._process, self._world = airflow, process, world

    def xcom_push(self, key: str, value: Any) -> None:
        """Store an XCom."""
        fault = self._meet("xcom")
        self._airflow.xcoms[key] = value
        if fault == "kill_after":
            raise Killed

    def get_template_context(self) -> Any:
        """Give the context."""
        return self.context

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        """Tell the state."""
        return {self.run_id: {self.task_id: self._airflow.state}}

    def _meet(self, what: str) -> str | None:
        return call_of_airflow(self._world, self._process, what)


def call_of_airflow(world: World, process: Process, what: str) -> str | None:
    """Give the baton back before a call of Airflow's API server, and meet the faults that are alike for all."""
    fault = world.fault(what, OPERATOR_FAULTS[what], process.number)
    if fault == "kill_before":
        raise Killed
    if fault == "freeze":
        world.freeze(process.number)
    if fault == "error":
        raise failed(500)
    return fault


class AirflowTask:
    """One task of one run.

    :param subject: makes the operator
    :param states: the task state store's content, and which try is the newest
    """

    def __init__(self, runner: Runner, subject: Subject, states: Values) -> None:
        self._runner, self._subject, self._states = runner, subject, states
        self.max_tries = self._first_max_tries = subject.retries
        self.clears = 0
        self.counts_clears = runner.chance() < 0.7
        """Whether Airflow tells how often the run was cleared. It does not where a clear leaves the run's state alone."""
        self._returned: tuple[Any] | None = None
        """What the newest try has returned, once Airflow has taken its success."""
        self.state = "queued"
        self.xcoms: dict[str, Any] = {}
        self.marked: set[int] = set()
        """Tries that a person has marked."""
        self.forgets = subject.forgets
        """Whether Airflow's ``[state_store] clear_on_success`` is set."""
        self._is_old = subject.is_old
        self.assets: dict[str, Any] = {}
        """State store of the one asset."""
        self._is_forgotten = False
        self._was_cleared = False
        self.process: Process | None = None
        self.deferral: Deferral | None = None
        self.earlier: list[dict[str, Any]] = []
        """Events of triggers that are gone."""

    # --- tries ---

    def begin_try(self) -> None:
        """Begin the next try, unless it is known what becomes of the task."""
        if self._runner.is_decided:
            return
        self._upgrade()
        if self._was_cleared:
            self._runner.settle_writes()  # a person's click comes long after whatever was under way
            self._was_cleared = False
            self._subject.cleared(is_done=self._is_done(), is_known=self._is_known())
        else:
            self._subject.retried()
        self._states.current += 1
        self.state, self.deferral, self._returned = "running", None, None
        self.xcoms.clear()
        self._is_forgotten = False
        self._start("execute", {})

    def _start(self, method: str, given: dict[str, Any]) -> None:
        self.process = self._runner.start(
            f"try {self._states.current} {method}", lambda process: self._run(process, method, given), self._ended
        )

    def _run(self, process: Process, method: str, given: dict[str, Any]) -> Any:
        """Do what a worker does."""
        operator = self._subject.operator(process)
        operator.__dict__["hook"] = Hook(process, self._runner, operator.api_version or self._subject.api_version)
        operator._cached_logger = Log(self._runner)  # type: ignore[assignment]
        process.on_sigterm = operator.on_kill
        store = WatchedStore(self._states, process, self._runner)
        ti = TaskInstance(self, process, self._runner)
        context: Any = {"ti": ti, "task_state_store": store}
        if self.counts_clears:
            context["dag_run"] = SimpleNamespace(clear_number=self.clears)
        if operator.outlets:
            context["asset_state_store"] = defaultdict(lambda: AssetStore(self.assets, process, self._runner))
            context["outlet_events"] = defaultdict(lambda: SimpleNamespace(extra={}))
        ti.task, ti.context = operator, context
        try:
            value = getattr(operator, method)(context, **given)
        except TaskDeferred:
            self._report(process, "defer")
            raise
        except Exception:
            if self._is_newest(process) and self.state == "running" and process.number > self.max_tries:
                ti.state = "failed"
                accepted.on_task_instance_failed(ti)
            raise
        self._report(process, "return")
        if self._is_newest(process) and self.state == "running":
            self.state, self._returned = "success", (value,)
            if self.forgets:
                self._runner.settle_writes()
                self._states.clear()
                self._is_forgotten = True
                self._runner.met("success", "forgotten")
        ti.state = "success"  # listeners are called also when the API server has refused it
        accepted.on_task_instance_success(ti)
        return value

    def _is_newest(self, process: Process) -> bool:
        return process is self.process and process.number == self._states.current

    def _report(self, process: Process, what: str) -> None:
        """Tell the API server how the process ended."""
        fault = self._runner.fault(what, OPERATOR_FAULTS[what], process.number)
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self._runner.freeze(process.number)
        if fault == "not_stored":
            raise failed(500)

    def _ended(self, process: Process, value: Any, error: BaseException | None) -> None:
        if self._is_newest(process) and self.state == "success" and self._returned is not None:
            (value,), error = self._returned, None  # whatever happened to the process since
        self._runner.try_ended(process, value, error)
        if process is not self.process or process.number != self._states.current:
            return
        if self.state == "restarting":
            self.begin_try()
        elif self.state == "running" and isinstance(error, TaskDeferred):
            self._defer(error)
        elif self.state == "running" and error is not None:
            self._failed()

    def lost(self, process: Process) -> None:
        """Notice that a process gives no sign of life."""
        if process is self.process and process.number == self._states.current:
            if self.state == "restarting":
                self.begin_try()
            elif self.state == "running":
                self._failed()

    def _failed(self) -> None:
        if self._runner.is_decided:
            self.state = "failed"
        elif self._states.current <= self.max_tries:
            self.begin_try()
        else:
            self.state = "failed"
            self._runner.later("a person clears the task", self.clear_failed)

    def _upgrade(self) -> None:
        """Let all that was written so far be written by version 0.1.0, if the first try's worker had that."""
        if self._is_old and self._states.current == 1:
            self._runner.settle_writes()
            old = to_old(self._states.values, asked=self._subject.asked, max_tries=self._first_max_tries)
            self._states.clear()
            self._states.values.update(old)
            self._runner.met("outside", "upgrade")
        self._is_old &= not self._states.current

    # --- persons and deploys ---

    def deploy(self) -> None:
        """Tell the worker to end; it may be killed before it is done."""
        if self.process is not None and self.state == "running":
            self._terminate(self.process)

    def mark_failed(self) -> None:
        """Let a person mark the task as failed, and clear it later."""
        self.marked.add(self._states.current)
        if PROGRESS_XCOM_KEY in self.xcoms:  # as the listener in the API server has it
            self.xcoms[ENDED_XCOM_KEY] = {"ti_id": f"ti-{self._states.current}", "state": "failed"}
        self._ended_from_outside("failed")
        self._runner.later("a person clears the task", self.clear_failed)

    def clear(self) -> None:
        """Let a person clear the task while it runs, is deferred, or has succeeded."""
        was = self.state
        if was in ("running", "deferred"):
            self._ended_from_outside("restarting")
        self._cleared()
        if was != "running":
            self.begin_try()

    def expire(self) -> None:
        """Let a month pass before a person clears the failed task."""
        self._runner.settle_writes()
        self._states.expire()

    @property
    def has_watermark(self) -> bool:
        """Whether a run has published a window."""
        return any("watermark" in key for key in self.assets)

    def next_run(self) -> None:
        """Let another run of the task publish the window that comes next."""
        for key, value in self.assets.items():
            if "watermark" in key:
                later = datetime.fromisoformat(value) + timedelta(hours=1)
                self.assets[key] = later.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"

    def clear_failed(self) -> None:
        """Let a person clear the failed task."""
        if self.state == "failed":
            self._cleared()
            self.begin_try()

    def _cleared(self) -> None:
        self._was_cleared = True
        self.clears += 1
        self.max_tries = self._states.current + self._subject.retries

    def _last(self) -> int:
        known = self._states.values
        begun = (number for number in range(self._states.current, 0, -1) if f"sfbulk.try{number}.load" in known)
        return next(begun, int("sfbulk.t1" in known))

    def _is_taken(self) -> bool:
        """Whether it is recorded how Airflow took the end of the last try that began."""
        return f"sfbulk.try{self._last()}.taken" in self._states.values

    def _is_known(self) -> bool:
        """Whether the next try can know that the task was cleared. Version 0.1.0 noted ``max_tries`` to know it by."""
        counts = self.counts_clears
        if self._last() == 1 and (old := self._states.values.get("sfbulk.t1")) is not None:
            counts = old["max_tries"] != self.max_tries
        return counts or self._is_taken() or self._is_forgotten

    def _is_done(self) -> bool:
        """Whether it is recorded that Airflow has taken the task's success: then a clear begins a new load."""
        known, last = self._states.values, self._last()
        is_done = f"sfbulk.try{last}.done" in known
        return self._is_forgotten or (is_done and known.get(f"sfbulk.try{last}.taken") == {"state": "success"})

    def _ended_from_outside(self, state: str) -> None:
        was, self.state = self.state, state
        if was == "running" and self.process is not None:
            self._terminate(self.process)
        elif self.deferral is not None:
            deferral, self.deferral = self.deferral, None
            if deferral.process is not None:
                deferral.process.kill()
            self._begin_on_kill(deferral)

    def _terminate(self, process: Process) -> None:
        process.signal()
        if self._runner.chance() < 0.3:
            self._runner.later(f"SIGKILL for {process.label}", process.kill)

    # --- the triggerer ---

    def _defer(self, deferred: TaskDeferred) -> None:
        assert isinstance(deferred.trigger, BulkJobTrigger)
        self._upgrade()
        _, arguments = deferred.trigger.serialize()
        self.state = "deferred"
        stored = json.loads(json.dumps([arguments, deferred.kwargs or {}]))
        self.deferral = Deferral(self._states.current, stored[0], deferred.method_name, stored[1])
        self._begin_trigger(self.deferral)

    def _begin_trigger(self, deferral: Deferral) -> None:
        def ended(process: Process, event: Any, error: BaseException | None) -> None:
            if self.deferral is not deferral or process is not deferral.process:
                return
            if isinstance(error, Killed):  # another triggerer takes the trigger over
                self._begin_trigger(deferral)
            else:
                assert error is None, f"a trigger raised {error!r}"
                self._fire(deferral, event)

        deferral.process = self._runner.start(
            f"trigger of try {deferral.number}", lambda process: self._wait(process, deferral), ended
        )

    def _wait(self, process: Process, deferral: Deferral) -> dict[str, Any]:
        trigger = self._trigger(process, deferral)
        event = drive(anext(trigger.run()))
        payload: dict[str, Any] = json.loads(json.dumps(event.payload))
        fault = self._runner.fault("event", OPERATOR_FAULTS["event"], process.number)
        if fault in ("error", "timeout"):
            payload["outcome"] = fault
        if fault == "twice":
            self._runner.later("the event once more", lambda: self.stray_event(payload))
        return payload

    def _begin_on_kill(self, deferral: Deferral) -> None:
        self._runner.start("on_kill of the trigger", lambda p: self._kill_trigger(p, deferral), self._forgotten)

    def _kill_trigger(self, process: Process, deferral: Deferral) -> None:
        trigger = self._trigger(process, deferral)
        ti: Any = TaskInstance(self, process, self._runner)
        ti.id = f"ti-{deferral.number}"
        trigger.task_instance = ti
        drive(trigger.on_kill())

    def late_triggerer(self) -> None:
        """Let another triggerer take the trigger over; then Airflow has the late one cancel its own."""
        deferral = self.deferral
        if deferral is not None and (late := deferral.process) is not None:
            self._begin_trigger(deferral)
            late.kill()
            self._runner.later("a late triggerer wakes up", lambda: self._begin_on_kill(deferral))

    def read_xcom(self, process: Process, key: str) -> Any:
        """Answer what a process asks for."""
        call_of_airflow(self._runner, process, "ask_state")
        return self.xcoms.get(key)

    def _trigger(self, process: Process, deferral: Deferral) -> BulkJobTrigger:
        trigger = BulkJobTrigger(**deferral.arguments)
        trigger._log = Log(self._runner)  # type: ignore[assignment]
        version = trigger.api_version or self._subject.api_version
        watcher = SimulatedWatcher(TriggerersDriver(SimulatedDriver(process, self._runner), version))
        trigger._watcher = lambda: watcher  # type: ignore[method-assign, assignment, return-value]
        return trigger

    def _fire(self, deferral: Deferral, payload: dict[str, Any]) -> None:
        self.deferral = None
        self.earlier.append(payload)
        self.state = "running"
        self._start(deferral.method, {"event": payload, **deferral.given})

    def stray_event(self, payload: dict[str, Any] | None = None) -> None:
        """Wake the deferred task by another trigger's event."""
        if payload is None and self.earlier:
            payload = self.earlier[0]
        if self.deferral is not None and payload is not None:
            deferral = self.deferral
            if deferral.process is not None:
                self.deferral = None
                deferral.process.kill()
            self._fire(deferral, payload)

    def _forgotten(self, process: Process, value: Any, error: BaseException | None) -> None:
        assert error is None or isinstance(error, Killed), f"on_kill of a trigger raised {error!r}"


def drive(coroutine: Any) -> Any:
    """Run a coroutine that waits for nothing outside."""
    awaited: Coroutine[Any, Any, Any] = coroutine
    try:
        awaited.__await__().send(None) if hasattr(awaited, "__await__") else awaited.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a coroutine waits for the event loop")
