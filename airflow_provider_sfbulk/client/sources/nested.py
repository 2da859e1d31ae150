"""Mappings in the cells of a frame: relationships, as nested mappings in a list of rows are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_sfbulk.client.csv.names import shown
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.values.by_field import plain_value
from airflow_provider_sfbulk.client.values.text_arrow import MISSING


def keys_below(values: Iterable[Any]) -> tuple[str, ...]:
    """Give the keys of the mappings of a column; none when its first value is no mapping.

    :param values: looked through to their end only when they are mappings
    """
    keys: dict[str, None] = {}
    for value in values:
        if isinstance(value, Mapping):
            keys |= dict.fromkeys(map(str, value))
        elif not keys and plain_value(value) is not None:
            return ()
    return tuple(keys)


def taken_below(
    values: Sequence[Any], keys: Sequence[str], *, column: str, name: str, first_row: int
) -> list[list[Any]]:
    """Take a column of mappings apart, into one list for each key.

    :param column: its name, for messages
    :raises SourceError: for a value that is no mapping, or one with another key
    """
    taken: list[list[Any]] = [[] for _ in keys]
    for row, value in enumerate(values, start=first_row):
        nested = value if isinstance(value, Mapping) else None
        if nested is None and plain_value(value) is not None:
            raise SourceError(f"{name}: row {row}: column {shown(column)} is not nested, as it is in other rows")
        if nested is not None and (extra := set(nested) - set(keys)):
            label = f"{column}.{min(map(str, extra))}"
            raise SourceError(f"{name}: row {row}: a column {shown(label)} that the first rows have not")
        for key, below in zip(keys, taken, strict=True):
            below.append(None if nested is None else nested.get(key, MISSING))
    return taken
