"""The fuzz at length, in pieces: ``python -m tests.hostile --seconds 3600``.

Prints what came in and what came out, once a minute, so that a run that is stopped has said it too.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import time
import traceback
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.hostile.fuzz import WAYS_IN
from tests.hostile.judge import judged

PIECE = 200
"""Examples between two looks at the clock."""

REPORT_SECONDS = 60.0


def main() -> int:
    """Fuzz every way in turn, until the time is over; 1 when something came out that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    begun = reported = time.monotonic()
    end = begun + parser.parse_args().seconds
    logging.disable(logging.CRITICAL)
    done: Counter[str] = Counter()
    out: Counter[str] = Counter()
    failures = 0
    while time.monotonic() < end:
        for way, strategy in WAYS_IN.items():
            failures += not _piece(way, strategy, done, out)
        if time.monotonic() - reported >= REPORT_SECONDS:
            reported = time.monotonic()
            _report(reported - begun, done, failures, out)
    _report(time.monotonic() - begun, done, failures, out)
    return min(failures, 1)


def _report(seconds: float, done: Counter[str], failures: int, out: Counter[str]) -> None:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{seconds:.0f} s: {done.total()} inputs ({dict(done)}), {failures} failures, {memory} MiB at most;"
        f" came out: {dict(out)}",
        flush=True,
    )


def _piece(way: str, strategy: Any, done: Counter[str], out: Counter[str]) -> bool:
    @settings(
        max_examples=PIECE, suppress_health_check=list(HealthCheck), database=None, deadline=None, print_blob=True,
        phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        error = judged(*data.draw(strategy))
        done[way] += 1
        out["fine" if error is None else type(error).__name__] += 1

    try:
        run()
    except Exception:
        traceback.print_exc()
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
