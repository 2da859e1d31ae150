"""The simulator is worth what it finds: each of these broken protocols must be caught within some hundred schedules.

A mutant is a change of the product's source text, so one that no longer applies says so. Those marked *was* are mistakes
that this simulator found in the product.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_provider_sfbulk.client.load import fill as ingest
from airflow_provider_sfbulk.client.protocol.jobs import IngestCalls
from airflow_provider_sfbulk.client.waiting import wait
from airflow_provider_sfbulk.task import ledger
from airflow_provider_sfbulk.task.ledger import TaskLedger
from tests.simulator import scheduler, task
from tests.simulator.faults import EVERY
from tests.simulator.invariants import Violation

SCHEDULES = 4000
"""In which a mutant must be caught; the slowest takes some 600."""


@dataclass(frozen=True)
class Change:
    """A change in the source of one function.

    :param owner: module or class that has it
    :param seen_by: other modules that imported it by name
    """

    owner: Any
    name: str
    old: str
    new: str
    seen_by: tuple[Any, ...] = ()

    def apply(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the changed function in place of the right one."""
        source = textwrap.dedent(inspect.getsource(getattr(self.owner, self.name)))
        assert self.old in source, f"{self.name} has changed: mend this mutant"
        module = self.owner if inspect.ismodule(self.owner) else sys.modules[self.owner.__module__]
        made: dict[str, Any] = {}
        exec(compile(source.replace(self.old, self.new), f"<mutant of {self.name}>", "exec"), vars(module), made)
        for place in (self.owner, *self.seen_by):
            monkeypatch.setattr(place, self.name, made[self.name])


FORGETFUL = Change(ingest, "_give_up", "    yield WriteEntry(GIVEN_UP, {})", "    pass")
CREDULOUS = Change(wait, "check_complete", "if job.state is JobState.JOB_COMPLETE", "if True", (task,))
DECIDE = (
    "        records = sum(each.records for each in filled)\n"
    "        named = [each.to_list() for each in filled]\n"
    '        yield WriteEntry(f"{DECISION}{number}", {**note, "parts": len(filled), "records": records, "jobs": named})\n'
    "        for job_id in replaced:  # only now can no other try take them up\n"
    "            yield from _abort_quietly(jobs, job_id)\n"
)
CLOSE = "    yield Concurrently((_close(jobs, each.job_id, look_first=looked) for each in filled), CLOSE_LIMIT)\n"
BETWEEN = """\
        looked = False
    else:
        filled = yield from recorded(number)
        looked = True
"""
AGAIN = """
    if decided is not None:
        for each in (yield from recorded()):
            if (yield from jobs.get(each.job_id)).state in (JobState.FAILED, JobState.ABORTED):
                decided = None
"""
ANEW = """
    try:
        yield Concurrently((_close(jobs, each.job_id, look_first=looked) for each in filled), CLOSE_LIMIT)
    except TransientError:
        yield WriteEntry(GIVEN_UP, {})
        raise
"""

APART = Change(ingest, "load", DECIDE, DECIDE + '        yield WriteEntry("compared", note)\n')
READ_APART = Change(
    task.Task, "run", 'decided = yield ReadEntry(f"{ingest.DECISION}0")', 'decided = yield ReadEntry("compared")'
)
COMPARED_AGAIN = Change(task.Task, "run", 'ChosenRows.from_dict(decided["compared"])', "self._compared()")

RECALL = 'decided = yield ReadEntry(f"{DECISION}{number}")'

MUTANTS: dict[str, tuple[Change, ...]] = {
    "decides after closing": (
        Change(ingest, "load", DECIDE + BETWEEN + CLOSE, BETWEEN + CLOSE + "    if decided is None:\n" + DECIDE),
    ),
    "closes each part when it is filled": (
        Change(ingest, "_fill", "        return UploadedPart.of(part, stands",
               '        yield from _close(jobs, stands["job_id"], look_first=False)\n'
               "        return UploadedPart.of(part, stands"),
    ),
    "does not read back what it recorded": (Change(TaskLedger, "_write", "if found != value", "if False"),),
    "one key for all tries": (Change(ledger, "_key", "try{number}.", "try."),),
    "the lowest try's entry wins": (
        Change(TaskLedger, "_highest", "range(self._try, first - 1, -1)", "range(first, self._try + 1)"),
    ),
    "ignores the ledger": (Change(TaskLedger, "_begin", "if head is not None", "if False"),),
    "believes that nothing is there when it is told so once": (
        Change(TaskLedger, "_get_surely", "value is None and decides", "False"),
    ),
    "uploads again after a lost reply": (Change(IngestCalls, "upload", "ONCE", "SAFE"),),
    "uploads again after a new login": (Change(IngestCalls, "upload", "resend=False", "resend=True"),),
    "takes a doubtful upload for done": (
        Change(ingest, "_upload", "except SfBulkError as error:",
               "except TransientError:\n            return info.id\n        except SfBulkError as error:"),
    ),
    "adopts a job with other content": (
        Change(ingest, "_fill", '        if waits and known == entry(known["job_id"])',
               "        if waits"),
    ),
    "sends a failed job's records again": (
        Change(ingest, "load", RECALL + "\n", RECALL + AGAIN),
        Change(ingest, "_is_open", "if info.state is JobState.OPEN",
               "if info.state in (JobState.FAILED, JobState.ABORTED):\n        return False\n    if True"),
    ),
    "takes a lost reply to the close for no close": (
        Change(IngestCalls, "close", "if isinstance(error, TransportError) and not error.sent", "if error"),
        Change(ingest, "load", CLOSE, ANEW.lstrip("\n")),
    ),
    "aborts while it is replaced, and an aborted job is a success": (FORGETFUL, CREDULOUS),
    "was: aborts while it is replaced": (FORGETFUL,),
    "was: aborts a job before another one is recorded": (
        Change(ingest, "_fill", "        job_id = yield from _upload",
               '        if waits:\n            yield from _abort_quietly(jobs, known["job_id"])\n'
               "        job_id = yield from _upload"),
    ),
    "which rows differ is recorded apart, after the decision": (APART, READ_APART),
    "which rows differ is compared again after the decision": (COMPARED_AGAIN,),
    "was: a retry after the success loads everything again": (
        Change(TaskLedger, "begin_load", "over = before.taken == SUCCESS or", "over = True or"),
    ),
}  # fmt: skip

FAVOURED = {"the lowest try's entry wins": range(EVERY.index(("set", "late")), 400 * len(EVERY), len(EVERY))}
"""Of a mutant that shows under a rare fault alone, schedules that favour it are run."""

SLOW = (
    *("does not read back what it recorded", "was: aborts a job before another one is recorded"),
    *("the lowest try's entry wins", "was: aborts while it is replaced"),
)
"""Mutants that take hundreds of schedules to show."""


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_mutant_is_still_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in MUTANTS[name]:
        change.apply(monkeypatch)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else []) for name in MUTANTS]
)
def test_a_broken_protocol_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for change in MUTANTS[name]:
        change.apply(monkeypatch)
    for seed in FAVOURED.get(name, range(SCHEDULES)):
        try:
            scheduler.run(seed)
        except Violation as violation:
            print(f"{name}: caught by schedule {seed + 1}: {str(violation).splitlines()[0]}")
            return
    pytest.fail(f"all schedules passed: {name}")
