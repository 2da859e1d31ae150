"""Numbers and names that users give to operators: refused before anything is read or sent, by a message that names it.

What is wrong with them would else show when the jobs are closed, as a ``TypeError`` from deep inside, or never.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

from airflow_provider_sfbulk.client.errors import SourceError

APIS: Final = ("2.0", "1.0")
"""Generations of the Bulk API that a task may go by; the first is the usual one."""


def check_count(name: str, value: object, *, least: int = 1, most: int | None = None) -> None:
    """Check a whole number.

    :raises SourceError: for another kind of value, and beyond the bounds
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bounds = f"from {least}" if most is None else f"from {least} to {most}"
        raise SourceError(f"{name} is a whole number {bounds}, not {value!r:.40}")


def check_names(name: str, value: object) -> None:
    """Check a list of names. A single text would be taken for the list of its letters.

    :raises SourceError: for anything else
    """
    if not isinstance(value, (list, tuple)) or not all(isinstance(each, str) and each for each in value):
        raise SourceError(f"{name} is a list of names, not {value!r:.40}")


def check_seconds(name: str, value: object) -> None:
    """Check a length of time: seconds above 0 or a timedelta.

    :raises SourceError: for another kind of value, and for no time at all
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise SourceError(f"{name} is a number of seconds above 0, or a timedelta, not {value!r:.40}")


def check_allowance(name: str, value: object) -> None:
    """Check a number of records, a float as fraction of all, or None for any number.

    :raises SourceError: for another kind of value, and beyond the bounds
    """
    if value is None or (isinstance(value, float) and 0 <= value <= 1):
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SourceError(
            f"{name} is a whole number from 0, a float from 0.0 to 1.0 as fraction of all records, or None, "
            f"not {value!r:.40}"
        )
