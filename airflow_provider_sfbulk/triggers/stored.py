"""What a trigger was stored with, read without trust.

It may be years old, of an earlier version of this package, or made by somebody else's code; and the triggerer holds a
thousand other triggers, which nothing in it may disturb. So nothing here raises.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TypeVar

D = TypeVar("D", float, None)


def seconds_of(value: object, otherwise: D) -> float | D:
    """Read a length of time in seconds, above 0 and finite.

    :param otherwise: for what is none
    """
    number = _number(value.total_seconds() if isinstance(value, timedelta) else value)
    return number if number is not None and 0 < number < math.inf else otherwise


def moment_of(value: object) -> float | None:
    """Read a moment, in seconds since 1970; None for what is none, and for what never comes."""
    try:
        number = _number(value.timestamp() if isinstance(value, datetime) else value)
    except (ValueError, OverflowError, OSError):
        return None
    return number if number is None or number < math.inf else None


def count_of(value: object) -> int:
    """Read a number of calls."""
    number = _number(value)
    return int(number) if number is not None and 0 <= number < math.inf else 0


def ids_of(value: object) -> list[str]:
    """Read ids of jobs."""
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value] if isinstance(value, (list, tuple, set, frozenset)) else []


def _number(value: object) -> float | None:
    if not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number
