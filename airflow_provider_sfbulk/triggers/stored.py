"""Reads the stored arguments of a trigger without trusting them.

They may be years old, from an earlier version of this package, or from other code; and the triggerer runs a thousand other
triggers, which must not be disturbed. So nothing here raises.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TypeVar

D = TypeVar("D", float, None)


def seconds_of(value: object, otherwise: D) -> float | D:
    """Read a length of time in seconds, above 0 and finite.

    :param otherwise: returned for anything else
    """
    number = _number(value.total_seconds() if isinstance(value, timedelta) else value)
    return number if number is not None and 0 < number < math.inf else otherwise


def moment_of(value: object) -> float | None:
    """Read a point in time, in seconds since 1970; None for anything else, and for one that never comes."""
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
