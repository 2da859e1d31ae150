"""Stored values as the REST API writes them.

Dates with time are ``2026-03-04T05:06:07.000+0000``, numbers JSON numbers, compound fields objects of their parts.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.data.schema import Field


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
