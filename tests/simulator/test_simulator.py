"""Loads and extracts under thousands of seeded fault schedules.

Longer: ``python -m tests.simulator --schedules 100000``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.simulator import operator_schedule, scheduler
from tests.simulator.faults import EVERY, OPERATOR_EVERY

SCHEDULES = 3000
OPERATOR_SCHEDULES = 1000


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Uploads fail by the thousand here, as they should."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_every_row_arrives_once_whatever_goes_wrong() -> None:
    met: set[tuple[str, str]] = set()
    for seed in range(SCHEDULES):
        scheduler.run(seed, met)
    blind = sorted(set(EVERY) - met)
    assert blind == [], "no schedule met these faults"


def test_whole_operators_keep_their_word_whatever_goes_wrong() -> None:
    met: set[tuple[str, str]] = set()
    for seed in range(OPERATOR_SCHEDULES):
        operator_schedule.run(seed, met)
    blind = sorted(set(OPERATOR_EVERY) - met)
    assert len(blind) <= len(OPERATOR_EVERY) // 20, f"no schedule met these faults: {blind}"
    assert {effect for effect, _ in OPERATOR_EVERY} == {effect for effect, _ in met}


def test_a_seed_gives_the_same_schedule_again() -> None:
    for run in (scheduler.run, operator_schedule.run):
        assert run(7).events == run(7).events
        assert run(7).events != run(8).events
