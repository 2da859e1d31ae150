"""A real process, killed with SIGKILL or frozen at the steps it takes towards Salesforce and Airflow.

Here one step of each fourth kind is struck at each moment, and each kind at some moment; ``python -m tests.kills`` strikes
at all of them, and prints what the next try makes of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

from tests.kills.campaign import Campaign, plan
from tests.kills.cases import CASES
from tests.kills.process.nursery import Nursery
from tests.kills.wire import steps
from tests.kills.wire.steps import FREEZING, KILLING, Moment, Seen, Step, Strike


@pytest.fixture(scope="module")
def campaign() -> Iterator[Callable[[str], Campaign]]:
    """Begin the campaigns of the cases, each once."""
    with ExitStack() as stack:
        nursery = stack.enter_context(Nursery())
        yield cache(lambda case: stack.enter_context(Campaign(nursery, CASES[case])))


@pytest.fixture(scope="module")
def found(campaign: Callable[[str], Campaign]) -> Callable[[str], list[Seen]]:
    """Find the steps of the cases, each once."""
    return cache(lambda case: campaign(case).find_steps())


Begin = Callable[[str], Campaign]
Found = Callable[[str], list[Seen]]


EACH = 4
"""Of so many kinds of steps one is struck."""


def chosen(seen: list[Seen], moment: Moment) -> list[Strike]:
    """Choose a step of each fourth kind that has the moment: other ones than at the other moments."""
    kinds: dict[str, list[Strike]] = {}
    for strike in plan(seen, moment):
        kinds.setdefault(strike.step.kind, []).append(strike)
    number = list(Moment).index(moment)
    first = number % min(EACH, len(kinds) or 1)
    return [of_kind[number % len(of_kind)] for of_kind in list(kinds.values())[first::EACH]]


def check(campaign: Campaign, seen: list[Seen], moment: Moment) -> None:
    """Strike where it was chosen."""
    visits = [campaign.visit(strike) for strike in chosen(seen, moment)]
    assert visits
    failures = [each.failure for each in visits if each.failure]
    assert not failures, f"{len(failures)} of {len(visits)}:\n" + "\n".join(failures)


BRIEFLY = {"ingest of what differs": Moment.AFTER, "query into folders": Moment.BEFORE}
"""What of these cases is struck by default: most of their steps are those of the others."""


def marked(case: str, moment: Moment) -> Any:
    """Leave the rest of those cases to ``make campaign``."""
    is_long = moment is not BRIEFLY.get(case, moment)
    return pytest.param(case, moment, marks=pytest.mark.long if is_long else ())


KILLS = [
    marked(case, moment)
    for case in CASES
    for moment in KILLING
    # What these are about has no request with a body.
    if moment is not Moment.BODY or case not in ("query, pages at once", "query into folders")
]
FREEZES = [marked(case, moment) for case in CASES for moment in FREEZING]


@pytest.mark.parametrize(("case", "moment"), KILLS)
def test_wherever_a_try_is_killed_the_next_brings_every_row_once(
    case: str, moment: Moment, campaign: Begin, found: Found
) -> None:
    check(campaign(case), found(case), moment)


@pytest.mark.parametrize(("case", "moment"), FREEZES)
def test_wherever_a_try_stands_still_while_it_is_replaced_it_does_no_harm_when_it_wakes_up(
    case: str, moment: Moment, campaign: Begin, found: Found
) -> None:
    check(campaign(case), found(case), moment)


def test_every_step_has_its_moments(found: Found) -> None:
    for case in CASES:
        seen = found(case)
        assert len({each.step for each in seen}) == len(seen)
        planned = [strike for moment in Moment for strike in plan(seen, moment)]
        assert len(set(planned)) == len(planned) == sum(len(each.moments) for each in seen)
        struck = [strike for moment in Moment for strike in chosen(seen, moment)]
        assert {strike.step.kind for strike in struck} == {each.step.kind for each in seen}
        for each in seen:
            of_step = {strike.moment for strike in planned if strike.step == each.step}
            assert {Moment.BEFORE, Moment.AFTER, Moment.FROZEN} <= of_step
            assert (Moment.BODY in of_step) is (each.step.kind.startswith(("POST", "PUT", "PATCH")))
            assert ({Moment.APPLIED, Moment.REPLY} <= of_step) is (each.step.kind not in steps.OWN)


# --- could this fail? ---


def test_a_ledger_that_forgets_is_noticed(campaign: Begin) -> None:
    seen = campaign("ingest").visit(Strike(Step(steps.CLOSE, 3), Moment.APPLIED), forgets=True)
    assert "rows are not in the org once each" in seen.failure
    seen = campaign("query").visit(Strike(Step(steps.QUERY_LOOK, 1), Moment.BEFORE), forgets=True)
    assert "the query ran again although its job was recorded" in seen.failure


def test_a_step_that_is_not_taken_cannot_be_struck(campaign: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.kills.process.spec.LINGER_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="the process was not killed"):
        campaign("ingest").visit(Strike(Step(steps.UPLOAD, 4), Moment.BEFORE))
    with pytest.raises(AssertionError, match="the process did not come there"):
        campaign("ingest").visit(Strike(Step(steps.UPLOAD, 4), Moment.FROZEN))
