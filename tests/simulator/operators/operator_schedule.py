"""One schedule of a whole operator: the real class in all its tries, its trigger, its storage, and Airflow around it.

Each try, each deferred half of one and each trigger is a process (``processes``). One step lets one process perform its
next effect, or something happen outside: Salesforce processes a row, a request arrives late, a person clears the task.
Faults come until they are used up; then a try that meets none must succeed, or fail for a reason that lies in the org.
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from random import Random
from types import SimpleNamespace
from typing import Any, Final

from airflow.sdk.bases import xcom
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_sfbulk.client.effects import Reply, Request
from airflow_provider_sfbulk.client.errors import InputChangedError, StorageError
from airflow_provider_sfbulk.client.parts import split as parts
from airflow_provider_sfbulk.files import apart, staging
from airflow_provider_sfbulk.files import task_folder as folder
from airflow_provider_sfbulk.files.paths import Location
from airflow_provider_sfbulk.operators import incremental, ingest, query, task_run
from airflow_provider_sfbulk.operators.load import input as load_input
from airflow_provider_sfbulk.task import reporter as showing
from airflow_provider_sfbulk.triggers import job as job_trigger
from tests.simulator.faults import OPERATOR_EVERY, OPERATOR_FAULTS
from tests.simulator.invariants import Violation, claim
from tests.simulator.operators.operator_witness import OperatorWitness
from tests.simulator.operators.subjects import Extract, Load, Subject, copy_of
from tests.simulator.salesforce.model import HOST, Job, Salesforce
from tests.simulator.world import watcher
from tests.simulator.world.airflow_task import AirflowTask, TaskInstance, drive
from tests.simulator.world.lake import LakeFile
from tests.simulator.world.processes import Process
from tests.simulator.world.storage import Files, Folder, StoredFile
from tests.simulator.world.store import Killed, Values
from tests.simulator.world.stranger import intrude

STRANGERS: Final = 0.02
"""How likely another task wants the folder, in each step."""

STEPS: Final = 5000
"""Steps after which a schedule has no end: far more than any needs."""

FOCUS: Final = 0.4
"""How likely the fault that a schedule favours is, where it can happen."""

RESERVED_STEPS: Final = 800
"""So long the last fault is kept for the favoured one."""

BEGIN: Final = 1_700_000_000.0
"""What the clock shows first."""


class OperatorSchedule:
    """A seeded schedule.

    :param seed: everything follows from it
    :param coverage: is given every (effect, fault) that happened
    """

    def __init__(self, seed: int, coverage: set[tuple[str, str]] | None = None) -> None:
        self.rng = Random(seed)
        self.events: list[str] = []
        self.clock = BEGIN
        self.org = Salesforce(self.rng)
        self.org.clock, self.org.works_on = (lambda: self.clock), True
        self._coverage: set[tuple[str, str]] = set() if coverage is None else coverage
        self._focus = OPERATOR_EVERY[seed % len(OPERATOR_EVERY)]
        self._files = Files()
        self._strangers = copy_of(self.rng)
        self._states = Values()
        self.subject = self._choose_subject()
        self.witness = OperatorWitness(self.org, self.subject, self._states, self._files)
        self.airflow = AirflowTask(self, self.subject, self._states)
        self._faults = self.rng.randint(1, 7)
        self._chance = self.rng.choice((0.03, 0.06, 0.15))
        self._was_focused = self._has_failed = False
        self._pace = 0.05 if self._focus[0] == "ask_state" else self.rng.choice((0.2, 0.05))
        self._processes: list[Process] = []
        self._later: list[tuple[str, Callable[[], Any]]] = []
        self._steps = 0
        self._left = STEPS
        self._is_disturbed = False
        """Whether the newest try, in any of its halves, has met more than itself: a fault, a zombie, a late request."""
        self._storage_failed = self._was_edited = False
        self._calls: list[str] = []
        self._outcome: BaseException | str | None = None

    def run(self) -> None:
        """Run to the end.

        :raises Violation: something does not hold
        """
        with _in_place(self):
            self.airflow.begin_try()
            while self._outcome is None:
                self._step()
            while self._later or self._at_work or any(not each.is_over for each in self._processes):  # zombies too
                self._step()
            self.subject.ended()

    # What processes are offered

    def chance(self) -> float:
        """Give a number from 0 to 1."""
        return self.rng.random()

    def fault(self, effect: str, kinds: tuple[str, ...], number: int) -> str | None:
        """Give the baton back before an effect; then choose a fault for it, or none."""
        process = self._process
        process.pause()
        fault = self._draw(effect, kinds, is_clean=process.is_clean)
        if fault is not None:
            self.note(f"{process.label}: {effect}: {fault}")
        if fault in ("kill_before", "kill_after"):
            process.is_dead = True
        self._storage_failed |= effect.endswith("_file") and fault is not None
        return fault

    def fault_here(self, effect: str, number: int) -> str | None:
        """Choose a fault where no other process can go on."""
        fault = self._draw(effect, OPERATOR_FAULTS[effect], is_clean=self._process.is_clean)
        self._storage_failed |= fault is not None
        return fault

    def freeze(self, number: int) -> None:
        """Let the process stand still while it is taken for lost. Airflow may tell it to end when it wakes up."""
        process = self._process
        process.asleep_until = self._steps + self.rng.choice((5, 40, 150, 400))
        self.airflow.lost(process)
        if self.rng.random() < 0.3:
            process.signal()
        process.pause()

    def is_newest(self, number: int) -> bool:
        """Whether no try has replaced this one."""
        return number == self._states.current

    def nap(self, process: Process, seconds: float) -> None:
        """Let a process sleep for some steps, more for a longer sleep."""
        process.asleep_until = self._steps + self.rng.randint(1, 10 + min(60, int(5 * seconds)))
        process.is_napping = True

    def later(self, label: str, act: Callable[[], Any]) -> None:
        """Do something at some later step."""
        self._later.append((label, act))

    def sends(self, process: Process, request: Request, what: str, *, alone: bool) -> None:
        """Look at a request before it is sent."""
        self.witness.sends(process, request, what, alone=alone)
        self.subject.sends(request, what)

    def fenced(self, number: int) -> None:
        """Note that a try was told that it is replaced."""
        self.witness.fenced(number)

    def files_changed(self) -> None:
        """Look at the folder."""
        self.witness.files_changed()

    def read(self, number: int, value: Any) -> None:
        """Note what a try has read in the store."""
        self.witness.read(number, value)

    def written(self, value: Any) -> None:
        """Look at what a try writes into the store."""
        self.witness.written(value)

    def apply(self, request: Request, what: str, number: int) -> Reply:
        """Let a request arrive."""
        before = {} if request.method == "GET" else {job.id: copy.copy(job) for job in self.org.jobs.values()}
        reply = self.org.handle(request)
        self.note(f"try {number}: {what} {request.url.removeprefix(HOST)[-40:]} {reply.status}")
        if request.method == "GET":
            return reply
        for job in self.org.jobs.values():
            if job.id not in before and isinstance(self.subject, Load):
                self.subject.made(job)
        for job in self.org.jobs.values():
            if isinstance(self.subject, Load) and job.was_closed and not before.get(job.id, Job(job.id)).was_closed:
                self.subject.closed(job, self._states.values)
        for job in self.org.jobs.values():
            for_person = number in self.airflow.marked
            self.witness.applied(job, before.get(job.id, Job(job.id)), for_person=for_person)
        return reply

    # What Airflow is offered

    @property
    def is_decided(self) -> bool:
        """Whether it is known what becomes of the task."""
        return self._outcome is not None

    def start(
        self, label: str, run: Callable[[Process], Any], ended: Callable[[Process, Any, BaseException | None], None]
    ) -> Process:
        """Begin a process of the current try."""
        is_clean = not self._faults
        process = Process(
            label,
            self._states.current,
            lambda: run(process),
            lambda value, error: ended(process, value, error),
            is_clean=is_clean,
        )
        if label.endswith("execute"):
            self._is_disturbed, self._calls = not is_clean, []
        self._processes.append(process)
        self.note(f"{label} begins" + (", without faults" if is_clean else ""))
        return process

    def met(self, effect: str, kind: str) -> None:
        """Note that something has happened that is no fault of one effect."""
        self._coverage.add((effect, kind))

    def note(self, event: str) -> None:
        """Keep an event."""
        self.events.append(f"{self._steps:4} {event}")

    def logged(self, line: str) -> None:
        """Look at a line of the task's log."""
        self.witness.logged(line)
        self.note(f"log: {line}")

    def settle_writes(self) -> None:
        """Let every write into the store arrive that is under way."""
        for each in [each for each in self._later if each[0].startswith("write ")]:
            self._later.remove(each)
            each[1]()
        for process in self._processes:
            if process.is_writing and not process.is_over and process is not Process.running:
                self._step_process(process)

    def try_ended(self, process: Process, value: Any, error: BaseException | None) -> None:
        """Judge how a try's process ended."""
        if isinstance(error, AssertionError):
            raise error
        told = "success" if error is None else f"{type(error).__name__}: {str(error)[:300]}"
        self.note(f"{process.label} ends: {told}")
        self.witness.ended(
            process, value, error, storage_failed=self._storage_failed or not self.is_newest(process.number)
        )
        is_current = process is self.airflow.process and process.number == self._states.current
        if not is_current or self.airflow.state not in ("running", "success"):
            return
        self._calls += process.calls
        if error is None:
            self.subject.succeeded(value)
            if not self._is_disturbed:
                self.witness.clean(self._calls)
            if self._draw("success", OPERATOR_FAULTS["success"], is_clean=False):
                self.later("a person clears the task after its success", self.airflow.clear)
            else:
                self._outcome = "success"
        elif isinstance(error, InputChangedError) and (
            self.subject.is_another_plan(self._states.values)  # the edit, whatever became of the input before
            or not (self.subject.was_unreadable and not self._is_disturbed)
        ):
            claim(self._was_edited or self.subject.was_unreadable, f"nobody has edited the task: {error}")
            self.subject.is_edited = not self.subject.is_edited  # a person puts back what it was
        elif not isinstance(error, TaskDeferred) and not self._is_disturbed:
            self.witness.failed_for_good(error)
            self._outcome = error

    # Steps

    @property
    def _process(self) -> Process:
        assert Process.running is not None, "an effect outside of any process"
        return Process.running

    @property
    def _at_work(self) -> int:
        return len(self.org.at_work) + len(self.org.queries.at_work)

    def _choose_subject(self) -> Subject:
        kind: type[Subject] = self.rng.choice((Load, Load, Extract))
        for each in (Load, Extract):
            if {*self._focus} & each.effects:
                kind = each
        focus = self._focus[1] if self._focus[0] in ("outside", "success") else self._focus[0]
        return kind(self, self.org, self._files, self.rng, focus)

    def _draw(self, effect: str, kinds: tuple[str, ...], *, is_clean: bool) -> str | None:
        if not self._faults or is_clean:
            return None
        is_reserved = self._faults == 1 and not self._was_focused and self._steps < RESERVED_STEPS
        if effect == self._focus[0] and self._focus[1] in kinds and self.rng.random() < FOCUS:
            kind = self._focus[1]
            self._was_focused = True
        elif effect == "success" or (self.rng.random() < self._chance and not is_reserved):
            kind = self.rng.choice(kinds)
        else:
            return None
        self._faults -= 1
        self._coverage.add((effect, kind))
        return kind

    def _step(self) -> None:
        """Let one thing happen."""
        self._steps += 1
        self._left -= 1
        if self._strangers.random() < STRANGERS:
            intrude(self._files, self._strangers, TaskInstance)
        claim(self._left > 0, "no end")
        self._processes = [each for each in self._processes if not each.is_over]
        if not self._processes or self.rng.random() < self._pace:
            outside = len(self._later) + self._at_work
            claim(bool(outside or self._processes), "nobody goes on")
            if outside:
                self._outside(self.rng.randrange(outside))
                return
        if ready := [each for each in self._processes if each.asleep_until <= self._steps]:
            self._step_process(self.rng.choice(ready))
        else:
            self._steps = min(each.asleep_until for each in self._processes) - 1
        if self._faults and self._outcome is None and self.rng.random() < 0.3:
            self._accident()

    def _step_process(self, process: Process) -> None:
        if process.number != self._states.current or process.label.startswith("on_kill"):
            self._is_disturbed = True
        process.step()

    def _outside(self, choice: int) -> None:
        if choice < len(self._later):
            label, act = self._later.pop(choice)
            self.note(f"late: {label}")
            self._is_disturbed = True
            act()
            return
        self.clock += 1.0
        halves = [half for half in (self.org, self.org.queries) if half.at_work]
        self.note(f"job {self.rng.choice(halves).work()}")
        self.witness.rows()

    def _accident(self) -> None:
        """Let perhaps something happen that no process does."""
        process = self.airflow.process
        is_queried = self.org.queries.at_work or not isinstance(self.subject, Load)
        half = self.org.queries if is_queried else self.org
        if not self._was_focused and self.rng.random() < 0.05:
            if self._focus[0] == "download" and self._at_work and not self._has_failed:
                self._has_failed = True
                self.note(f"job {half.fail()} fails")
            elif self._focus[0] == "ask_state" and self._at_work:
                self.note("a deploy")
                self.airflow.deploy()
            elif self._focus[0] == "abort" and self._can_happen("mark_failed"):
                self.note("a person marks the task as failed")
                self.airflow.mark_failed()
        kinds = tuple(kind for kind in OPERATOR_FAULTS["outside"] if self._can_happen(kind))
        fault = self._draw("outside", kinds, is_clean=process is None or process.is_clean)
        if fault is None:
            return
        self.note(f"outside: {fault}")
        if fault == "fail":
            self.note(f"job {half.fail()} fails")
        elif fault == "fail_at_work":
            self.note(f"job {self.org.fail_at_work()} fails while a batch of it is at work")
        elif fault == "expire":
            self.note(f"job {half.expire()} is deleted")
        elif fault == "deploy":
            self.airflow.deploy()
        elif fault == "mark_failed":
            self.airflow.mark_failed()
        elif fault == "clear":
            self.airflow.clear()
        elif fault == "late_triggerer":
            self.airflow.late_triggerer()
        elif fault == "month":
            self.airflow.expire()
            self.note(f"a month passes, and {half.forget()} jobs are gone")
        elif fault == "next_run":
            self.airflow.next_run()
        elif fault == "retries":
            self.subject.retries = self.rng.choice((0, 1, 3))
        elif fault in ("touch", "one_more_file", "source_away"):
            assert isinstance(self.subject, Load)
            self.subject.change_lake(fault)
        elif fault == "edit":
            self._was_edited = True
            self.subject.is_edited = not self.subject.is_edited
        elif fault == "api_version":
            self.subject.raise_api_version()
        elif fault == "stray_event":
            self.airflow.stray_event()

    def _can_happen(self, accident: str) -> bool:
        if accident in ("fail", "late_triggerer"):
            return bool(self._at_work) and (accident == "fail" or self.airflow.state == "deferred")
        if accident in ("touch", "one_more_file", "source_away"):
            return isinstance(self.subject, Load) and self.subject.may_change(accident)
        if accident == "month":
            return self.airflow.state == "failed"
        if accident == "next_run":
            return self.airflow.has_watermark
        if accident == "fail_at_work":
            return bool(self.org.breakable)
        if accident == "api_version":  # while a job of the version before is there
            return bool(self._at_work)
        if accident in ("mark_failed", "clear"):
            return self.airflow.state in ("running", "deferred")
        if accident == "upgrade":  # what the first try has written is of 0.1.0, or not
            return False
        return accident != "deploy" or self.airflow.state == "running"

    def running(self) -> Process:
        """Give the process that has the baton."""
        return self._process

    def read_xcom(self, *, key: str, **_: Any) -> Any:
        """Read an XCom of the task instance in the running process."""
        return self.airflow.read_xcom(self._process, key)

    def find_sources(self, source: Any, **_: Any) -> list[LakeFile]:
        """Find the files that the running process is to read."""
        assert isinstance(self.subject, Load)
        return self.subject.find(self._process)

    def named_source(self, source: Any, path: str, **_: Any) -> LakeFile:
        """Give a file by its path."""
        assert isinstance(self.subject, Load)
        assert self.subject.lake is not None
        return self.subject.lake.named(path)

    def meet_source(self, what: str) -> None:
        """Meet the faults of reading a source."""
        fault = self.fault(what, OPERATOR_FAULTS[what], self._process.number)
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self.freeze(self._process.number)
        if fault == "error":
            raise StorageError("the storage does not answer")

    def folder(self, path: str) -> Folder:
        """Give a folder as the running process sees it."""
        return Folder(path, self._files, self._process, self)

    def trigger_sleeps(self) -> None:
        """Let a trigger pause before its first look."""
        fault = self.fault("trigger_sleep", OPERATOR_FAULTS["trigger_sleep"], self._process.number)
        if fault == "kill_before":
            raise Killed
        if fault == "freeze":
            self.freeze(self._process.number)
        self.clock += 8.0
        self.nap(self._process, 8.0)


class _Done:
    """A task of the event loop that has ended by the time it is asked."""

    def done(self) -> bool:
        """Whether it has ended."""
        return True

    def add_done_callback(self, act: Callable[[Any], object]) -> None:
        """Call it at once."""
        act(self)


@contextmanager
def _in_place(schedule: OperatorSchedule) -> Iterator[None]:
    """Put clock, storage and spools of the schedule in place of the real ones."""

    async def sleep(seconds: float) -> None:
        schedule.trigger_sleeps()

    def create_task(coroutine: Any) -> _Done:
        drive(coroutine)
        return _Done()

    async def to_thread(act: Callable[..., Any], *given: Any) -> Any:
        return act(*given)

    def open_output(path: Any, **_: Any) -> Folder:
        return schedule.folder(str(path))

    def locate(path: str, **_: Any) -> Location:
        return Location("memory", path.removeprefix("memory://"))

    def open_folder(place: Location, **_: Any) -> Folder:
        return schedule.folder(place.uri)

    def stored(place: Location) -> StoredFile:
        return schedule.folder("").stored(place.uri)

    class Spool(parts.Spool):
        """A part that says whether it is closed."""

        def __init__(self, folder: Any = None) -> None:
            super().__init__(folder)
            self.owner = schedule.running()
            self.owner.open_files.add(self)

        def close(self) -> None:
            super().close()
            self.owner.open_files.discard(self)

    class Temporary(tempfile.SpooledTemporaryFile):  # type: ignore[type-arg]
        """A temporary file that says whether it is closed."""

        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.owner = schedule.running()
            self.owner.open_files.add(self)

        def close(self) -> None:
            super().close()
            self.owner.open_files.discard(self)

    clock = SimpleNamespace(time=lambda: schedule.clock)
    places: list[tuple[Any, str, Any]] = [
        (task_run, "time", clock),
        (showing, "time", clock),
        (load_input, "check_apart", lambda *_, **__: None),
        (load_input, "check_files_apart", lambda *_: None),
        (load_input, "check_not_beside", lambda *_: None),
        (load_input, "find_sources", schedule.find_sources),
        (load_input, "named_source", schedule.named_source),
        (incremental, "conf", SimpleNamespace(getboolean=lambda *_, **__: schedule.airflow.forgets)),
        (xcom, "BaseXCom", SimpleNamespace(get_one=schedule.read_xcom)),
        (watcher, "time", clock),
        (
            job_trigger,
            "asyncio",
            SimpleNamespace(
                sleep=sleep,
                create_task=create_task,
                to_thread=to_thread,
                timeout=lambda _: nullcontext(),
                CancelledError=asyncio.CancelledError,
            ),
        ),
        (ingest, "open_output", open_output),
        (apart, "locate", locate),
        (folder, "locate", locate),
        (folder, "open_folder", open_folder),
        (staging, "locate", locate),
        (staging, "open_folder", open_folder),
        (staging, "SourceFile", stored),
        (query, "open_output", open_output),
        (parts, "Spool", Spool),
        (tempfile, "SpooledTemporaryFile", Temporary),
    ]
    before = [(place, name, getattr(place, name)) for place, name, _ in places]
    for place, name, value in places:
        setattr(place, name, value)
    try:
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)


def run(seed: int, coverage: set[tuple[str, str]] | None = None) -> OperatorSchedule:
    """Run the schedule of a seed.

    :raises Violation: with the seed and the schedule's events
    """
    schedule = OperatorSchedule(seed, coverage)
    try:
        schedule.run()
    except Exception as broken:
        told = "\n".join(schedule.events)
        raise Violation(f"operator seed {seed}: {broken}\n{vars(schedule.subject)}\n{told}") from broken
    return schedule
