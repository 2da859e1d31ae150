"""The big run, short: 60 jobs in 8 seconds. Its figures are those of ``python -m tests.watch``."""

from __future__ import annotations

from collections import Counter
from statistics import median

from tests.watch.__main__ import watch


def test_many_jobs_in_one_triggerer_cost_little_and_each_event_comes_once() -> None:
    figures = watch(jobs=60, others=100, seconds=8, restart=False, first_end=4, poll_interval=10)
    assert not figures.failures
    assert {number: len(events) for number, events in figures.events.items()} == dict.fromkeys(range(60), 1)
    assert Counter(events[0][1]["outcome"] for events in figures.events.values()) == {"final": 60}
    assert max(figures.late(number) for number in range(60)) <= 30
    assert figures.most_calls_in_a_minute <= 12
    assert figures.logins == 1
    assert median(figures.lags) < 0.05
    assert figures.growth < 150e6
