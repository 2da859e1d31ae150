"""``python -m tests.scale``: every scenario on one cluster, the throughput by workers, the notice of many waits."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence

from airflow_provider_sfbulk.demo.stack import StackError
from tests.scale.notice import notice
from tests.scale.scenarios import Scenario, scenarios
from tests.scale.share import Usage
from tests.scale.world import FINAL, World, running

FILES, ROWS = 3, 500
JOB_SECONDS = 12.0
EXTRACTED = "extracted"
"""Prefix of the rows that all extracts read."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and print a table.

    :return: 1 when anything was not as it must be
    """
    options = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    options.add_argument(
        "--only", nargs="*", default=[""], help="scenarios whose name has one of these texts; none: none"
    )
    options.add_argument(
        "--workers", type=int, nargs="*", default=[1, 2, 4], help="for the throughput; none: leave it out"
    )
    options.add_argument("--files", type=int, default=40, help="for the throughput")
    options.add_argument("--rows", type=int, default=10_000, help="in each of these files")
    options.add_argument("--waits", type=int, nargs="*", default=[300, 1500], help="deferred tasks; none: leave it out")
    options.add_argument("--seconds", type=float, default=300, help="in which the jobs of these end")
    options.add_argument("--keep", action="store_true", help="leave the folders with all logs")
    given = options.parse_args(arguments)
    chosen = [each for each in scenarios() if any(text in each.name for text in given.only)]
    wrong = disturbances(chosen, keep=given.keep) if chosen else 0
    for workers in given.workers:
        wrong += throughput(workers, given.files, given.rows)
    for number in given.waits:
        figures, found = notice(number, given.seconds)
        say(f"{number:,} deferred tasks: {figures}; differences: {'; '.join(found) or 'none'}")
        wrong += bool(found)
    return 1 if wrong else 0


def disturbances(chosen: Sequence[Scenario], *, keep: bool) -> int:
    """Run scenarios on one cluster; give the number of those with a difference."""
    wrong = 0
    with running(workers=2, job_seconds=JOB_SECONDS, keep=keep) as world:
        if keep:
            say(f"everything is in {world.home}")
        say(
            "| scenario | seconds | tries | jobs | left open | differences |\n| --- | ---: | ---: | ---: | ---: | --- |"
        )
        for number, scenario in enumerate(chosen):
            wrong += one(world, scenario, f"s{number:02}")
    return wrong


def one(world: World, scenario: Scenario, prefix: str) -> int:
    """Run one scenario and print its row; give 1 when there is a difference."""
    rows = prefix if scenario.dag_id == "scale_load" else EXTRACTED
    names = world.write_inputs(rows, FILES, ROWS, width=scenario.width)
    if rows == EXTRACTED and not world.stored(rows):
        world.run("scale_load", rows, names, FILES).finish()
    before = {each["id"] for each in world.state()["jobs"]}
    started = time.monotonic()
    run = world.run(scenario.dag_id, prefix, names, FILES, rows=rows)
    try:
        scenario.disturb(world, run)
        found = run.differences()
    except (StackError, OSError) as error:
        found = [f"{type(error).__name__}: {str(error)[:200]}"]
    finally:
        world.org_gate.release()
    made = [each for each in world.state()["jobs"] if each["id"] not in before]
    left = [each["id"] for each in made if each["state"] not in FINAL]
    # A job whose id was on its way when the worker was killed is nobody's: sfbulk jobs --abort-left is for these.
    found += [f"job {job_id} is recorded and left open" for job_id in left if world.is_known(job_id)]
    seconds = time.monotonic() - started
    say(f"| {scenario.name} | {seconds:.0f} | {run.tries} | {len(made)} | {len(left)} | {'; '.join(found) or 'none'} |")
    return 1 if found else 0


def throughput(workers: int, files: int, rows: int) -> int:
    """Load many files with so many workers and print how long it took."""
    with running(workers=workers, job_seconds=0, settings={"SCALE_PART_RECORDS": str(rows)}) as world:
        names = world.write_inputs("all", files, rows)
        used = Usage.of([os.getpid()])
        run = world.run("scale_load", "all", names, files)
        run.finish()
        done = Usage.of([os.getpid()])
        found, seconds = run.differences(), done.at - used.at
        say(
            f"{workers} workers: {len(names):,} rows of {files} files in {seconds:.0f} s, "
            f"{len(names) / seconds:,.0f} rows/s, {run.tries} tries; {done.since(used)}; "
            f"differences: {'; '.join(found) or 'none'}"
        )
    return 1 if found else 0


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
