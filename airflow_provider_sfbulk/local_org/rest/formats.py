"""Stored values as the REST API writes them.

Dates with time are ``2026-03-04T05:06:07.000+0000``, numbers JSON numbers, compound fields objects of their parts.
``FORMAT()`` writes as the user's locale does, which here is ``en_US`` with dollars; how exactly a real org spaces and
abbreviates differs by its release's locale data, so take it for readable, not for a format to parse.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES, Field


def in_json(field: Field, value: Any) -> Any:
    """Return a stored value as JSON has it."""
    if value is None:
        return None
    if field.type == "boolean":
        return bool(value)
    if field.type == "datetime":
        return clock.in_json(datetime.fromisoformat(value))
    if field.is_compound:
        parts = json.loads(value)
        if field.type == "address":
            return dict(sorted({**parts, "geocodeAccuracy": parts.get("geocodeAccuracy")}.items()))
        return parts
    return value


def part_name(compound: Field, part: str) -> str:
    """Return what a part of a compound field is called inside it: ``BillingPostalCode`` is ``postalCode``."""
    if compound.type == "location":
        return "latitude" if part.lower().endswith("latitude__s") else "longitude"
    prefix = compound.name.removesuffix("Address")
    bare = part.removeprefix(prefix)
    return bare[:1].lower() + bare[1:]


def formatted(field: Field, value: Any) -> str | None:
    """Return a stored value as ``FORMAT()`` writes it."""
    if value is None:
        return None
    if field.type == "date":
        return _day(date.fromisoformat(value))
    if field.type == "datetime":
        moment = datetime.fromisoformat(value)
        return f"{_day(moment.date())}, {moment.hour % 12 or 12}:{moment:%M} {'AM' if moment.hour < 12 else 'PM'}"
    if field.type in NUMBER_TYPES:
        text = f"{abs(value):,.{field.scale}f}" if field.type != "int" else f"{abs(value):,}"
        if field.type == "currency":
            text = f"${abs(value):,.{max(field.scale, 2)}f}"
        elif field.type == "percent":
            text = f"{text}%"
        return f"-{text}" if value < 0 else text
    return str(value)


def _day(day: date) -> str:
    return f"{day.month}/{day.day}/{day.year}"
