"""``python -m tests.kills`` kills a real process at every step, and prints what the next try makes of each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from tests.kills.campaign import Visit, find_steps, plan, visit
from tests.kills.cases import CASES
from tests.kills.nursery import Nursery
from tests.kills.steps import Moment, Seen


def main() -> int:
    """Strike everywhere; tell by the exit code whether all was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(map(repr, CASES))}; all by default")
    chosen = parser.parse_args().cases or list(CASES)
    if unknown := set(chosen) - set(CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    print("Each cell: jobs of the struck try that the next one went on with + jobs it made, and its API calls.")
    failures: list[str] = []
    count, started = 0, time.monotonic()
    with Nursery() as nursery:
        for name in chosen:
            seen = find_steps(nursery, CASES[name])
            visits = [visit(nursery, CASES[name], strike) for moment in Moment for strike in plan(seen, moment)]
            print(f"\n## {name}: {len(seen)} steps, {len(visits)} boundaries\n")
            print("\n".join(table(seen, visits)))
            failures += [f"{name}: {each.failure}" for each in visits if each.failure]
            count += len(visits)
    seconds = time.monotonic() - started
    print(f"\n{count} of {count} boundaries were visited in {seconds:.0f} s, {len(failures)} failed")
    print("\n".join(failures))
    return 1 if failures else 0


def table(seen: list[Seen], visits: Iterable[Visit]) -> Iterable[str]:
    """Make a Markdown table: a row for each step, a column for each moment."""
    cells = {each.strike: each for each in visits}
    yield " | ".join(["| step", *Moment, ""]).rstrip()
    yield "|---" * (len(Moment) + 1) + "|"
    by_step = {each.step: [] for each in seen}  # type: dict[object, list[str]]
    for step, row in by_step.items():
        for moment in Moment:
            found = [each for strike, each in cells.items() if (strike.step, strike.moment) == (step, moment)]
            row.append(_cell(found[0]) if found else "")
        yield " | ".join([f"| {step}", *row, ""]).rstrip()


def _cell(visit: Visit) -> str:
    return "WRONG" if visit.failure else f"{visit.adopted}+{visit.made}, {visit.calls}"


if __name__ == "__main__":
    sys.exit(main())
