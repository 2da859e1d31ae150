"""What processes take of the machine: memory and seconds of its processors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import psutil  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Usage:
    """What was used so far.

    :ivar cpu_seconds: by some processes and all their descendants
    :ivar busy_seconds: by all processes of the machine
    """

    at: float
    cpu_seconds: float
    busy_seconds: float

    @classmethod
    def of(cls, pids: Iterable[int]) -> Self:
        """Look at processes and their descendants."""
        times = psutil.cpu_times()
        busy = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
        return cls(time.monotonic(), sum(map(_cpu_seconds, family(pids))), busy)

    def since(self, earlier: Usage) -> str:
        """Say what was used since then: of all processors, by these processes and by everything else."""
        whole = (self.at - earlier.at) * (os.cpu_count() or 1)
        ours = self.cpu_seconds - earlier.cpu_seconds
        others = max(0.0, self.busy_seconds - earlier.busy_seconds - ours)
        return f"{ours:.0f} s of CPU, {ours / whole:.0%} of {os.cpu_count()} cores; others {others / whole:.0%}"


def family(pids: Iterable[int]) -> list[psutil.Process]:
    """Find processes and all their descendants."""
    found = []
    for pid in pids:
        try:
            parent = psutil.Process(pid)
            found += [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def own_bytes(pids: Iterable[int]) -> int:
    """Add up the memory that would be free without these processes and their descendants."""
    return sum(process.memory_full_info().uss for process in family(pids))


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    # Children that have ended count with their parent.
    return float(times.user + times.system + times.children_user + times.children_system)
