"""Loads under thousands of seeded fault schedules. Longer: ``python -m tests.simulator --schedules 100000``."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.simulator.faults import EVERY
from tests.simulator.scheduler import run

SCHEDULES = 3000


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Uploads fail by the thousand here, as they should."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_every_row_arrives_once_whatever_goes_wrong() -> None:
    met: set[tuple[str, str]] = set()
    for seed in range(SCHEDULES):
        run(seed, met)
    blind = sorted(set(EVERY) - met)
    assert blind == [], "no schedule met these faults"


def test_a_seed_gives_the_same_schedule_again() -> None:
    assert run(7).events == run(7).events
    assert run(7).events != run(8).events
