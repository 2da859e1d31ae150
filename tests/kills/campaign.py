"""Find the steps of a case, kill at each of them, and hold what is there in the end against what has to be."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from airflow_provider_sfbulk.local_org import LocalOrg
from airflow_provider_sfbulk.local_org.jobs import State
from tests.kills import steps
from tests.kills.cases import Case
from tests.kills.nursery import Nursery
from tests.kills.scene import Attempt, Scene
from tests.kills.steps import Moment, Seen, Strike


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


MakeCase = Callable[[], Case]


def find_steps(nursery: Nursery, make_case: MakeCase) -> list[Seen]:
    """Run the case undisturbed, and give every step it takes, or those that it is about.

    :raises AssertionError: it is not right even so
    """
    with _staged(nursery, make_case) as (scene, case):
        whole = scene.attempt()
        assert whole.status == 0, whole.log
        case.check_steps(Counter(each.step.kind for each in whole.seen))
        case.check_end(scene.org, whole.outcome["result"])
        return [each for each in whole.seen if case.only is None or each.step.kind in case.only]


def plan(seen: list[Seen], moment: Moment) -> list[Strike]:
    """Give a strike for every step that has such a moment."""
    return [Strike(each.step, moment) for each in seen if moment in each.moments]


def visit(nursery: Nursery, make_case: MakeCase, strike: Strike, *, forgets: bool = False) -> Visit:
    """Strike once, and say what came of it.

    :param forgets: with a task state store that loses everything between the tries
    :raises AssertionError: the process was not struck there
    """
    with _staged(nursery, make_case, forgets=forgets) as (scene, case):
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
        return _visited(scene.org, strike, struck, clean)


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


def _visited(org: LocalOrg, strike: Strike, struck: Attempt, clean: Attempt) -> Visit:
    before, after = ({each.job_id for each in attempt.requests} for attempt in (struck, clean))
    done = {job.id for job in org.jobs if job.state is State.JOB_COMPLETE}
    return Visit(
        strike,
        adopted=len(before & after & done),
        made=len(clean.calls(steps.CREATE)) + len(clean.calls(steps.QUERY)),
        calls=sum(each.step.kind != steps.LOGIN for each in clean.requests),
    )


@contextmanager
def _staged(nursery: Nursery, make_case: MakeCase, *, forgets: bool = False) -> Iterator[tuple[Scene, Case]]:
    with tempfile.TemporaryDirectory(prefix="kills-") as name, LocalOrg() as org:
        case, folder = make_case(), Path(name)
        arguments = case.prepare(org, folder)
        yield Scene(nursery, org, folder, case.operator, arguments, slowly=case.slowly, forgets=forgets), case
