"""A real process, killed with SIGKILL or frozen at every step it takes towards Salesforce and Airflow.

``python -m tests.kills`` prints what the next try makes of each.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kills.campaign import find_steps, plan, visit
from tests.kills.cases import CASES
from tests.kills.nursery import Nursery
from tests.kills.steps import Moment


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as running:
        yield running


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("case", CASES)
def test_wherever_a_try_dies_the_next_one_brings_every_row_once(case: str, moment: Moment, nursery: Nursery) -> None:
    strikes = plan(find_steps(nursery, CASES[case]), moment)
    visits = [visit(nursery, CASES[case], strike) for strike in strikes]
    assert [each.strike for each in visits] == strikes
    assert len(strikes) >= 1
    failures = [each.failure for each in visits if each.failure]
    assert not failures, f"{len(failures)} of {len(visits)}:\n" + "\n".join(failures)
