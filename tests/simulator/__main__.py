"""``python -m tests.simulator --schedules 100000`` looks for a broken schedule; ``--seed 7`` shows one.

Most schedules run the flow of a load, every eighth a whole operator (``--operator --seed 7`` shows one of these).
``--flow`` and ``--operator`` run one kind alone; a long campaign prints how far it is.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, Final

OPERATORS: Final = 8
"""One in so many schedules runs an operator: these are slower, and see what no flow shows."""

REPORTED: Final = 1000
"""So many schedules between two lines that say how far a campaign is."""

Run = Callable[[int, set[tuple[str, str]]], Any]


def main() -> int:
    """Run schedules and say what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one schedule and print its events")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--operator", action="store_true", help="run schedules of whole operators alone")
    kinds.add_argument("--flow", action="store_true", help="run schedules of the flow of a load alone")
    parser.add_argument("--schedules", type=int, default=10_000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many broken schedules")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # thousands of uploads that failed as they should
    with tempfile.TemporaryDirectory() as home:
        os.environ.setdefault("AIRFLOW_HOME", home)  # nothing of the user's Airflow is read or written
        return _one(arguments) if arguments.seed is not None else _many(arguments)


def _one(arguments: argparse.Namespace) -> int:
    from tests.simulator import scheduler  # they import Airflow, which reads its home once
    from tests.simulator.invariants import Violation
    from tests.simulator.operators import operator_schedule

    run = operator_schedule.run if arguments.operator else scheduler.run
    try:
        print("\n".join(run(arguments.seed).events))
    except Violation as violation:
        print(violation)
        return 1
    return 0


def _many(arguments: argparse.Namespace) -> int:
    from tests.simulator import scheduler
    from tests.simulator.faults import EVERY, OPERATOR_EVERY
    from tests.simulator.invariants import Violation
    from tests.simulator.operators import operator_schedule

    halves: tuple[tuple[str, Run, tuple[tuple[str, str], ...]], ...] = (
        ("flows", scheduler.run, EVERY),
        ("operators", operator_schedule.run, OPERATOR_EVERY),
    )
    met: tuple[set[tuple[str, str]], ...] = (set(), set())
    done, seconds, broken = [0, 0], [0.0, 0.0], 0
    for number in range(arguments.schedules):
        half = int(arguments.operator or (number % OPERATORS == OPERATORS - 1 and not arguments.flow))
        started = time.monotonic()
        try:
            halves[half][1](arguments.first + done[half], met[half])
        except Violation as violation:
            broken += 1
            print(violation, end="\n\n")
        done[half] += 1
        seconds[half] += time.monotonic() - started
        if broken == arguments.failures:
            break
        if sum(done) % REPORTED == 0:
            print(f"{sum(done)} schedules, {broken} broken", file=sys.stderr, flush=True)
    for half, (name, _, every) in enumerate(halves):
        if done[half]:
            rate = done[half] / seconds[half]
            print(f"{name}: {done[half]} schedules in {seconds[half]:.1f} s ({rate:.0f} a second), ", end="")
            print(f"{len(met[half])} of {len(every)} kinds of fault at an effect were met")
    print(f"{broken} broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
