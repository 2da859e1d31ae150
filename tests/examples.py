"""How many examples a property is tried with."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("SFBULK_EXAMPLES", "1"))


def examples(count: int) -> int:
    """Give the examples of a run: those of ``make test``, or many times as many in ``make campaign``."""
    return count * _TIMES


USUAL = examples(30)
"""Examples of a property that does not say how many."""
