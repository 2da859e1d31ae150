"""A real process, killed with SIGKILL or frozen at every step it takes towards Salesforce and Airflow.

``python -m tests.kills`` prints what the next try makes of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.kills.campaign import find_steps, plan, visit
from tests.kills.cases import CASES
from tests.kills.nursery import Nursery
from tests.kills.steps import Moment, Seen


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@pytest.fixture(scope="module")
def found(nursery: Nursery) -> Callable[[str], list[Seen]]:
    """Find the steps of a case, once."""
    return cache(lambda case: find_steps(nursery, CASES[case]))


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("case", CASES)
def test_wherever_a_try_dies_the_next_one_brings_every_row_once(
    case: str, moment: Moment, nursery: Nursery, found: Callable[[str], list[Seen]]
) -> None:
    strikes = plan(found(case), moment)
    visits = [visit(nursery, CASES[case], strike) for strike in strikes]
    assert [each.strike for each in visits] == strikes
    assert len(strikes) >= 1
    failures = [each.failure for each in visits if each.failure]
    assert not failures, f"{len(failures)} of {len(visits)}:\n" + "\n".join(failures)
