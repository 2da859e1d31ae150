"""Entries in Airflow's state store of an asset: the forms of their keys, and of the ends of windows."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from airflow_provider_sfbulk.client.arguments import seconds
from airflow_provider_sfbulk.client.errors import SourceError

KEY_CHARACTERS: Final = 500
"""Maximum length of a key in Airflow's asset state store, whose column has 512."""


LONGEST_LAG_SECONDS: Final = 366 * 24 * 60 * 60.0


def asset_key(kind: str, *names: str) -> str:
    """Make a key from a kind and names, of which only the last may contain a colon; from a digest when they are too
    long."""
    key = ":".join((kind, *names))
    return key if len(key) <= KEY_CHARACTERS else f"{kind}:{hashlib.sha256(key.encode()).hexdigest()}"


def moment(value: Any, name: str) -> datetime:
    """Read a point in time, in UTC and to the millisecond, Salesforce's precision.

    :param value: a datetime, or a text as :func:`written` makes it
    :raises SourceError: it is not a point in time, or has no timezone
    """
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(found, datetime) and found.utcoffset() is not None:
            found = found.astimezone(UTC)
            return found.replace(microsecond=found.microsecond // 1000 * 1000)
    except (ValueError, OverflowError):
        pass
    raise SourceError(f"{name} must be a point in time with a timezone, such as 2026-01-31T00:00:00Z")


def lag_seconds(name: str, value: Any) -> float:
    """Read how long before the org's present a window ends, in seconds.

    :raises SourceError: it is not a length of time, or longer than a year
    """
    found: float = seconds(zero=True)(name, value)
    if found > LONGEST_LAG_SECONDS:
        raise SourceError(f"{name} must be at most a year, not {found:g} seconds")
    return found


def written(found: datetime) -> str:
    """Write a point in time as it is stored and shown."""
    return f"{found.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"
