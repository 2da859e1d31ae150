"""Find the steps of a case, kill at each of them, and hold what is there in the end against what has to be."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.bulk2.jobs import State
from tests.kills.cases import Case
from tests.kills.process.nursery import Nursery
from tests.kills.scene import Attempt, Scene
from tests.kills.wire import steps
from tests.kills.wire.steps import Moment, Seen, Strike


@dataclass(frozen=True)
class Visit:
    """What came of one strike.

    :param adopted: jobs of the struck try that the next one went on with to their end
    :param made: jobs that the next one made
    :param calls: API calls of the next one, without its login
    :param failure: what was wrong; empty: nothing
    """

    strike: Strike
    adopted: int = 0
    made: int = 0
    calls: int = 0
    failure: str = ""


class Campaign:
    """An org in which one case is run again and again, each time from the beginning.

    :param make_case: makes the case for one run
    """

    def __init__(self, nursery: Nursery, make_case: Callable[[], Case]) -> None:
        self._nursery, self._make_case = nursery, make_case
        self._org = LocalOrg()
        self._port = 0

    def __enter__(self) -> Self:
        self._port = int(self._org.start().url.rpartition(":")[2])
        return self

    def __exit__(self, *_: object) -> None:
        self._org.close()

    def find_steps(self) -> list[Seen]:
        """Run the case undisturbed, and give every step it takes, or those that it is about.

        :raises AssertionError: it is not right even so
        """
        with self._staged() as (scene, case):
            whole = scene.attempt()
            assert whole.status == 0, whole.log
            case.check_steps(Counter(each.step.kind for each in whole.seen))
            case.check_end(scene.org, whole.outcome["result"])
            return [each for each in whole.seen if case.is_about(each.step)]

    def visit(self, strike: Strike, *, forgets: bool = False) -> Visit:
        """Strike once, and say what came of it.

        :param forgets: with a task state store that loses everything between the tries
        :raises AssertionError: the process was not struck there
        """
        with self._staged(forgets=forgets) as (scene, case):
            if strike.freezes:
                struck, clean, sent = scene.frozen(strike)
            else:
                struck = scene.killed(strike)
            try:
                if strike.freezes:
                    _check_fenced(case, strike, struck, sent)
                else:
                    case.check_killed(struck)
                    clean = scene.attempt()
                assert clean.status == 0, f"the next try failed: {clean.outcome.get('message')}\n{clean.log}"
                case.check_end(scene.org, clean.outcome["result"], woken=strike.freezes)
                if not strike.freezes:
                    case.check_next(struck, clean)
            except AssertionError as error:
                return Visit(strike, failure=f"{strike}: {error}")
            return _visited(scene.org, strike, clean)

    @contextmanager
    def _staged(self, *, forgets: bool = False) -> Iterator[tuple[Scene, Case]]:
        with tempfile.TemporaryDirectory(prefix="kills-") as name:
            _empty(self._org)
            case, folder = self._make_case(), Path(name)
            arguments = case.prepare(self._org, folder)
            scene = Scene(
                self._nursery,
                self._org,
                folder,
                case.operator,
                arguments,
                org_port=self._port,
                slowly=case.slowly,
                forgets=forgets,
            )
            yield scene, case


def plan(seen: list[Seen], moment: Moment) -> list[Strike]:
    """Give a strike for every step that has such a moment."""
    return [Strike(each.step, moment) for each in seen if moment in each.moments]


def _empty(org: LocalOrg) -> None:
    """Take all jobs and records out of the org: a new one for each run would take longer than the run."""
    org.wait_until_idle()
    for entry in org.core.jobs:
        org.core.jobs.remove(entry)
    with org.core.store.writing() as connection:
        connection.execute("DELETE FROM Account")


def _check_fenced(case: Case, strike: Strike, frozen: Attempt, sent: int) -> None:
    """Check that a try which was replaced while it stood still notices it and closes nothing any more.

    Closes go out together, with nothing to be recorded in between. So the one that stood still in one may send the others,
    each once; the newer try has closed those jobs, and Salesforce refuses.
    """
    assert frozen.outcome.get("error") in case.fenced, f"the replaced try ended otherwise: {frozen.outcome}"
    if strike.step.kind == steps.CLOSE:
        closes = Counter(each.job_id for each in frozen.calls(steps.CLOSE))
        assert set(closes.values()) == {1}, "the replaced try closed a job twice"
    else:
        late = [each for each in frozen.requests[sent:] if each.step.kind == steps.CLOSE]
        assert not late, "the replaced try closed a job"


def _visited(org: LocalOrg, strike: Strike, clean: Attempt) -> Visit:
    done = {job.id for job in org.jobs if job.state is State.JOB_COMPLETE}
    made = len(clean.calls(steps.CREATE)) + len(clean.calls(steps.QUERY))
    return Visit(
        strike,
        adopted=len(done & {each.job_id for each in clean.requests}) - made,
        made=made,
        calls=sum(each.step.kind != steps.LOGIN for each in clean.requests),
    )
