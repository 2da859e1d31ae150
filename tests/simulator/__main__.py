"""``python -m tests.simulator --schedules 100000`` looks for a broken schedule; ``--seed 7`` shows one."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from tests.simulator.faults import EVERY
from tests.simulator.invariants import Violation
from tests.simulator.scheduler import run


def main() -> int:
    """Run schedules and say what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one schedule and print its events")
    parser.add_argument("--schedules", type=int, default=10_000, help="how many to run")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many broken schedules")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # thousands of uploads that failed as they should
    if arguments.seed is not None:
        try:
            print("\n".join(run(arguments.seed).events))
        except Violation as violation:
            print(violation)
            return 1
        return 0
    coverage: set[tuple[str, str]] = set()
    started, broken, done = time.monotonic(), 0, 0
    for seed in range(arguments.first, arguments.first + arguments.schedules):
        done += 1
        try:
            run(seed, coverage)
        except Violation as violation:
            broken += 1
            print(violation, end="\n\n")
            if broken == arguments.failures:
                break
    seconds = time.monotonic() - started
    print(f"{done} schedules in {seconds:.1f} s ({done / seconds:.0f} a second), {broken} broken; ", end="")
    print(f"{len(coverage)} of {len(EVERY)} kinds of fault at an effect were met")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
