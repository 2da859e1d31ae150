"""``python -m tests.kills`` kills a real process at every step, and prints what the next try makes of each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from tests.kills.campaign import Campaign, Visit, plan
from tests.kills.cases import CASES
from tests.kills.process.nursery import Nursery
from tests.kills.wire.steps import Moment, Seen, Strike


def main() -> int:
    """Strike everywhere; tell by the exit code whether all was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="case", help=f"of {', '.join(map(repr, CASES))}; all by default")
    chosen = parser.parse_args().cases or list(CASES)
    if unknown := set(chosen) - set(CASES):
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    print("Each cell: jobs of the struck try that the next one went on with + jobs it made, and its API calls.")
    failures: list[str] = []
    planned, visited, started = 0, 0, time.monotonic()
    with Nursery() as nursery:
        for name in chosen:
            with Campaign(nursery, CASES[name]) as campaign:
                seen = campaign.find_steps()
                visits = [campaign.visit(strike) for moment in Moment for strike in plan(seen, moment)]
            print(f"\n## {name}: {len(seen)} steps, {len(visits)} boundaries\n")
            print("\n".join(table(seen, visits)))
            failures += [f"{name}: {each.failure}" for each in visits if each.failure]
            planned += sum(len(each.moments) for each in seen)
            visited += len({each.strike for each in visits})
    seconds = time.monotonic() - started
    print(f"\n{visited} of {planned} boundaries were visited in {seconds:.0f} s, {len(failures)} failed")
    print("\n".join(failures))
    return 1 if failures or visited != planned else 0


def table(seen: list[Seen], visits: Iterable[Visit]) -> Iterable[str]:
    """Make a Markdown table: a row for each step, a column for each moment."""
    cells = {each.strike: _cell(each) for each in visits}
    yield f"| step | {' | '.join(Moment)} |"
    yield "|---" * (len(Moment) + 1) + "|"
    for each in seen:
        yield f"| {each.step} | {' | '.join(cells.get(Strike(each.step, moment), '') for moment in Moment)} |"


def _cell(visit: Visit) -> str:
    return "WRONG" if visit.failure else f"{visit.adopted}+{visit.made}, {visit.calls}"


if __name__ == "__main__":
    sys.exit(main())
