"""Which source column becomes which of Salesforce's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.records.columns import check_columns
from airflow_provider_sfbulk.client.records.stream import Rules

_RESULT_COLUMN: Final = re.compile(r"sf__(?:id|created|row|unprocessed|error[a-z]*)", re.IGNORECASE)
"""Columns of result files: Salesforce's own and those that this package adds. A namespace could be called ``sf``, but
then the field's name goes on with ``__c``."""


@dataclass(frozen=True, order=True)
class SourceColumn:
    """A column as the source has it.

    :param name: key, header name or top-level field
    :param child: the key below it, when the values are nested: a relationship's field
    """

    name: str
    child: str | None = None

    @property
    def label(self) -> str:
        """The column's name in Salesforce when no mapping says otherwise.

        A nested custom lookup is written as the relationship: ``Parent__c`` becomes ``Parent__r`` ("custom lookups
        use ``__r``"; aiosalesforce does the same).
        """
        if self.child is None:
            return self.name
        parent = f"{self.name[:-1]}r" if self.name.casefold().endswith("__c") else self.name
        return f"{parent}.{self.child}"


@dataclass(frozen=True)
class ColumnPlan:
    """The columns that are sent.

    :param kept: places of the kept columns among the source's, ascending
    :param targets: their names in Salesforce
    :param clears: whether an explicit null clears the field
    """

    kept: tuple[int, ...]
    targets: tuple[str, ...]
    clears: tuple[bool, ...]


def plan_columns(source: Sequence[SourceColumn], rules: Rules, *, name: str) -> ColumnPlan:
    """Map, drop and check columns.

    The ``sf__`` columns of result files are dropped unless the mapping names them: a failed-rows file can be fed back.

    :raises SourceError: when the mapping names a column that is not there, or the columns do not suit the operation
    """
    mapping = rules.column_mapping or {}
    known = {column.label for column in source} | {column.name for column in source}
    unknown = [key for key in mapping if key not in known]
    if unknown and source:
        raise SourceError(
            f"{name}: column_mapping names columns that are not there: {', '.join(map(repr, unknown))}; "
            f"there are: {', '.join(sorted(column.label for column in source))}"
        )
    kept: list[int] = []
    targets: list[str] = []
    for place, column in enumerate(source):
        target = _target(column, mapping)
        if target is not None:
            kept.append(place)
            targets.append(target)
    if source and not kept:
        raise SourceError(f"{name}: no column is left to send")
    if source:
        check_columns(targets, operation=rules.operation, external_id_field=rules.external_id_field)
    return ColumnPlan(tuple(kept), tuple(targets), rules.cleared(targets) if source else ())


def _target(column: SourceColumn, mapping: Mapping[str, str | None]) -> str | None:
    if column.label in mapping:
        return mapping[column.label]
    if column.name in mapping:
        parent = mapping[column.name]
        return parent if parent is None or column.child is None else f"{parent}.{column.child}"
    return None if _RESULT_COLUMN.fullmatch(column.label) else column.label
