"""Relative date literals: ``TODAY``, ``LAST_MONTH``, ``NEXT_N_QUARTERS:2``, ``N_DAYS_AGO:30`` and the like.

Each stands for a span of time. Source of the spans: "Date Formats and Date Literals in WHERE", SOQL and SOSL Reference.
This org's zone is UTC, its weeks begin on Sunday (locale en_US), and its fiscal year is the calendar year.

Two entries of that table differ from the rest of their kind. ``LAST_N_DAYS:n`` and ``LAST_90_DAYS`` include today
("continues up to the current second"); every other ``LAST_N_...`` ends before the current unit. ``LAST_N_YEARS:n`` is
said there to begin ``n+1`` years ago; we take that for a slip, since weeks, months and quarters begin ``n`` ago.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)

_UNITS: Final = {
    "DAY": "DAY",
    "WEEK": "WEEK",
    "MONTH": "MONTH",
    "QUARTER": "QUARTER",
    "YEAR": "YEAR",
    "FISCAL_QUARTER": "QUARTER",
    "FISCAL_YEAR": "YEAR",
}
"""Units as literals spell them, and the calendar's unit that each is."""

_MONTHS: Final = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_DAYS: Final = {"DAY": 1, "WEEK": 7}

_FIXED: Final = {
    "YESTERDAY": ("DAY", -1),
    "TODAY": ("DAY", 0),
    "TOMORROW": ("DAY", 1),
    **{
        f"{which}_{spelled}": (unit, step)
        for spelled, unit in _UNITS.items()
        if unit != "DAY"
        for which, step in (("LAST", -1), ("THIS", 0), ("NEXT", 1))
    },
}
"""Literals that are one unit, and how many units it is from the current one."""

_FORMS: Final[dict[str, Callable[[int], tuple[int, int]]]] = {
    "LAST_N_{}S": lambda n: (-n, 0),
    "NEXT_N_{}S": lambda n: (1, 1 + n),
    "N_{}S_AGO": lambda n: (-n, 1 - n),
}
"""From the number of a literal to its first unit and the one after its last, counted from the current unit, 0."""

_COUNTED: Final = {
    form.format(spelled): (unit, reach) for spelled, unit in _UNITS.items() for form, reach in _FORMS.items()
}

_NINETY: Final = {"LAST_90_DAYS": "LAST_N_DAYS", "NEXT_90_DAYS": "NEXT_N_DAYS"}


@dataclass(frozen=True, slots=True)
class Span:
    """From ``start`` up to and without ``end``, both aware UTC."""

    start: datetime
    end: datetime

    def dates(self) -> tuple[date, date]:
        """Return the first day and the day after the last, for date fields."""
        past = self.end if self.end.time() == time() else self.end + _DAY
        return self.start.date(), past.date()


def span(name: str, count: int | None, now: datetime) -> Span | None:
    """Return what a literal means at the moment ``now``.

    :param name: without colon and number, in any case
    :param count: the number after the colon, None when there is none
    :return: None when there is no such literal
    :raises OverflowError: when the span leaves the years that can be written
    """
    name = name.upper()
    now = now.astimezone(UTC)
    if count is None and name in _NINETY:
        name, count = _NINETY[name], 90
    if count is None and name in _FIXED:
        unit, first = _FIXED[name]
        past = first + 1
    elif count is not None and name in _COUNTED:
        unit, reach = _COUNTED[name]
        first, past = reach(count)
    else:
        return None
    start = _start(unit, now.date(), first)
    if name == "LAST_N_DAYS":
        return Span(start, now.replace(microsecond=0) + _SECOND)
    return Span(start, _start(unit, now.date(), past))


def _start(unit: str, today: date, step: int) -> datetime:
    """Return where the unit begins that is ``step`` units from the current one."""
    if unit in _MONTHS:
        months = _MONTHS[unit]
        number = today.year * 12 + today.month - 1
        year, month = divmod((number // months + step) * months, 12)
        if not date.min.year <= year <= date.max.year:
            raise OverflowError(f"the year {year} cannot be written")
        day = date(year, month + 1, 1)
    else:
        # Python's week begins on Monday (0), this org's on Sunday.
        since_unit_began = (today.weekday() + 1) % 7 if unit == "WEEK" else 0
        day = today + timedelta(days=_DAYS[unit] * step - since_unit_began)
    return datetime.combine(day, time(), UTC)
