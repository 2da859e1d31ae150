"""``python -m benchmarks``: who moves the same rows how fast, with how much memory and how many calls.

Every run is a process of its own; contenders of one work take turns, so that a machine whose speed drifts is fair to all.
Only the call itself is timed: not the start of Python, not imports that any script needs, not the making of the input.
Memory is the most that the process held above what it held when its input was ready. On a machine that others use
go by the ratio of CPU seconds: that of seconds is for a quiet one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.contenders import BARE, OURS, WORKS
from benchmarks.data import write_csv, write_parquet
from benchmarks.picture import draw

PANELS = {"CPU seconds": "cpu", "MiB above idle": "mib", "API calls": "calls"}
"""What is drawn of each run, and its name in :class:`Measured`."""


@dataclass
class Measured:
    """One run."""

    seconds: float
    cpu: float
    mib: float
    calls: int


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--work", help="only works whose name has this text")
    parser.add_argument("--who", help="only contenders whose name has this text, and the bare script")
    parser.add_argument(
        "--picture", type=Path, help="an SVG to draw of our own costs against rows; give several --rows"
    )
    chosen = parser.parse_args()
    costs: dict[str, dict[str, dict[int, float]]] = {title: {} for title in PANELS}
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory() as folder, sink(rows) as url:
            write_csv(Path(folder, "rows.csv"), rows)
            write_parquet(Path(folder, "rows.parquet"), rows)
            for work, all_of_them in WORKS.items():
                names = [n for n in all_of_them if chosen.who is None or n == BARE or chosen.who in n]
                if chosen.work is not None and chosen.work not in work:
                    continue
                found = compare(work, names, rows, chosen.runs, folder, url)
                report(work, rows, found)
                for title, figure in PANELS.items():
                    if found.get(OURS):
                        middle = median(getattr(run, figure) for run in found[OURS])
                        costs[title].setdefault(work, {})[rows] = middle
    if chosen.picture is not None:
        draw(chosen.picture, costs)


def compare(work: str, names: list[str], rows: int, runs: int, folder: str, url: str) -> dict[str, list[Measured]]:
    """Run the contenders of a work in turn."""
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            command = [sys.executable, "-m", "benchmarks.one", work, name, str(rows), folder, url]
            ended = subprocess.run(command, check=False, capture_output=True, text=True)
            if ended.returncode:
                print(f"{work}, {name}: {ended.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                continue
            found[name].append(Measured(**json.loads(ended.stdout.splitlines()[-1])))
    return found


def report(work: str, rows: int, found: dict[str, list[Measured]]) -> None:
    """Print a table, the ratios pair by pair: the median of each run's own."""
    print(f"\n{work}, {rows:,} rows\n")
    print("| who | × bare | × bare, CPU | seconds | CPU seconds | MiB above idle | calls |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, runs in found.items():
        if not runs:
            print(f"| {name} | failed | | | | | |")
            continue
        pairs = list(zip(runs, found[BARE], strict=False)) if BARE in found else []
        ratio = median([mine.seconds / bare.seconds for mine, bare in pairs] or [float("nan")])
        of_cpu = median([mine.cpu / bare.cpu for mine, bare in pairs] or [float("nan")])
        middle = [median(getattr(run, each) for run in runs) for each in ("seconds", "cpu", "mib", "calls")]
        shown = f"**{name}**" if name.startswith(OURS) else name
        seconds, cpu, mib, calls = middle
        print(f"| {shown} | {ratio:.2f} | {of_cpu:.2f} | {seconds:.2f} | {cpu:.2f} | {mib:.0f} | {calls:.0f} |")
    sys.stdout.flush()


@contextlib.contextmanager
def sink(rows: int) -> Iterator[str]:
    """Run the server that costs nothing."""
    command = [sys.executable, "-m", "benchmarks.sink", str(rows)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()


if __name__ == "__main__":
    main()
