"""One run of one contender: ``python -m benchmarks.one WORK NAME ROWS FOLDER URL`` prints its figures as JSON."""

from __future__ import annotations

import gc
import json
import sys
import time
import urllib.request
from pathlib import Path

from benchmarks.contenders import WORKS, Place


def main() -> None:
    """Get ready, run, print."""
    work, name, rows, folder, url = sys.argv[1:]
    run = WORKS[work][name](Place(url, Path(folder), int(rows)))
    gc.collect()
    gc.freeze()  # a million dicts of input are not what is timed
    calls(url)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    cpu, start = time.process_time(), time.perf_counter()
    run()
    seconds, used = time.perf_counter() - start, time.process_time() - cpu
    mib = (status("VmHWM") - before) / 1024
    print(json.dumps({"seconds": seconds, "cpu": used, "mib": mib, "calls": calls(url)}))


def calls(url: str) -> int:
    """Ask the sink how many calls there were since it was last asked."""
    with urllib.request.urlopen(f"{url}/calls") as answer:
        return int(json.load(answer)["calls"])


def status(key: str) -> int:
    """Read a size of this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    main()
