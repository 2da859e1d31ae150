"""Maps the columns of a source to Salesforce's columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk.client.csv.names import listed, without_bom
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.parts.columns import check_columns
from airflow_provider_sfbulk.client.parts.stream import Rules, Unfit

_RESULT_COLUMN: Final = re.compile(r"sf__(?:id|created|row|unprocessed|error[a-z]*|spreadsheetsafe)", re.IGNORECASE)
"""Columns of result files: Salesforce's own and those that this package adds. A namespace could be called ``sf``, but
then the field's name ends with ``__c``."""


@dataclass(frozen=True, order=True)
class SourceColumn:
    """A column of the source.

    :param name: key, header name or top-level field
    :param child: the key below it, when the values are nested: a relationship's field
    """

    name: str
    child: str | None = None

    @property
    def label(self) -> str:
        """The column's name in Salesforce without a mapping.

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
    :param key: position among the kept columns of the one that no row may leave blank; None when there is none
    :param blank_advice: how rows with a blank key can be loaded, for a message
    :param unfit: called with values that cannot be sent; None: they are refused
    """

    kept: tuple[int, ...]
    targets: tuple[str, ...]
    clears: tuple[bool, ...]
    key: int | None = None
    blank_advice: str = ""
    unfit: Unfit | None = None


def plan_columns(source: Sequence[SourceColumn], rules: Rules, *, name: str, is_csv: bool = False) -> ColumnPlan:
    """Map, drop and check columns.

    The ``sf__`` columns of result files are dropped unless the mapping names them, and the mapping that made a result
    file's columns is not applied to them again: a failed-rows file can be fed back.

    :param name: the source's name, for messages
    :param is_csv: whether the names are a file's first line, which may be a record
    :raises SourceError: when the mapping names a column that is not there, or the columns do not suit the operation
    """
    mapping = rules.column_mapping or {}
    known = {column.label for column in source} | {column.name for column in source}
    known |= set(map(without_bom, known))
    unknown = [key for key in mapping if key not in known]
    if mapping and source and _is_result_file(source):
        mapping, unknown = _left_of_mapping(mapping, unknown, known, name)
    if unknown and source:
        there = listed(sorted(column.label for column in source))
        raise SourceError(
            f"{name}: column_mapping names columns that do not exist: {listed(unknown)}. "
            + (
                f"The columns are: {there}"
                if not is_csv or len(unknown) < len(mapping)
                else "None of them is in the first line of the file: is that the header line?"
            )
        )
    kept: list[int] = []
    targets: list[str] = []
    for place, column in enumerate(source):
        target = _target(column, mapping)
        if target is not None:
            kept.append(place)
            targets.append(target)
    if source and not kept:
        raise SourceError(f"{name}: no column is left to load, after column_mapping and without the sf__ columns")
    if source:
        check_columns(
            targets,
            operation=rules.operation,
            external_id_field=rules.external_id_field,
            name=name,
            is_csv=is_csv and not rules.column_mapping,  # else the mapping's names are there: it is a header line
        )
    key = (rules.needed_key or "").casefold() if rules.unfit is None else ""
    key_place = next((place for place, target in enumerate(targets) if target.casefold() == key), None)
    return ColumnPlan(
        tuple(kept),
        tuple(targets),
        rules.cleared(targets) if source else (),
        key_place,
        rules.blank_advice,
        rules.unfit,
    )


def _is_result_file(source: Sequence[SourceColumn]) -> bool:
    labels = {column.label.casefold() for column in source}
    return "sf__row" in labels or "sf__error" in labels


def _left_of_mapping(
    mapping: Mapping[str, str | None], unknown: list[str], known: set[str], name: str
) -> tuple[Mapping[str, str | None], list[str]]:
    """Return what is left of a mapping for a result file whose columns were mapped before.

    Such a file has the mapping's fields instead of its keys.

    :return: what is left of the mapping, and of its unknown keys
    """
    folded = {each.casefold() for each in known}
    fields = [field for key, field in mapping.items() if field is not None and not _RESULT_COLUMN.fullmatch(key)]
    if not all(field.casefold() in folded for field in fields):
        return mapping, unknown
    if not unknown and fields and any(key != field for key, field in mapping.items()):
        raise SourceError(
            f"{name}: this result file has both the columns that column_mapping renames and the new names. Its columns "
            "already have the names of fields: leave out column_mapping, or remove the sf__ columns"
        )
    return {key: field for key, field in mapping.items() if _RESULT_COLUMN.fullmatch(key) or field is None}, [
        key for key in unknown if _RESULT_COLUMN.fullmatch(key)
    ]


def _target(column: SourceColumn, mapping: Mapping[str, str | None]) -> str | None:
    for label in (column.label, without_bom(column.label)):
        if label in mapping:
            return mapping[label]
    for parent in (column.name, without_bom(column.name)):
        if parent in mapping:
            target = mapping[parent]
            return target if target is None or column.child is None else f"{target}.{column.child}"
    label = without_bom(column.label)
    return None if _RESULT_COLUMN.fullmatch(label) else label
