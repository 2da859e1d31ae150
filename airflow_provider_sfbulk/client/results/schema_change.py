"""How the columns of an extract differ from those of the extract before it, and what is done about it.

Facts: fields of an org come, go and change their type at any time (Setup, "Change the Custom Field Type"), and a number
with more decimals than described makes its column a float (see ``schema``). Parquet files whose types differ cannot be read
as one table, and whatever reads a folder every night breaks on the night of the change.

Theory: the manifest of an extract says which columns its files have and of which type. The next extract into the folder is
compared with it before its first page is read, and once more when all pages are proven. Three answers:

``accept``  the files are as Salesforce describes the columns now
``fail``    nothing is shown: the extract before stays
``widen``   a column has the narrowest type that holds the values of both; one that is gone stays, and is null. What could
            read the files before can read these

A manifest that says no types (of CSV files, or written by an earlier version) is compared by its columns alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import Remedy, SourceError
from airflow_provider_sfbulk.client.results.schema import DECIMAL128_DIGITS, ColumnKind, ColumnType

_DECIMAL: Final = re.compile(r"decimal\(([0-9]{1,2}),([0-9]{1,2})\)")
_INTEGER_DIGITS: Final = 19
"""Digits that a 64-bit integer may have."""
_NUMBERS: Final = frozenset({ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.DOUBLE})

NAMED: Final = 20
"""Columns that a message, a summary or an event names of each kind of change; the manifest names all."""


class OnSchemaChange(StrEnum):
    """What to do when columns differ from those of the extract before."""

    ACCEPT = "accept"
    FAIL = "fail"
    WIDEN = "widen"


@dataclass(frozen=True)
class SchemaChange:
    """How columns differ.

    :param added: new columns
    :param removed: columns that are gone
    :param retyped: columns whose type is another, with the type before and the type now
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.retyped)

    @classmethod
    def from_dict(cls, known: object) -> SchemaChange:
        """Read what :meth:`to_dict` wrote; anything else is no change."""
        try:
            return cls(
                tuple(map(str, known["added"])),  # type: ignore[index]
                tuple(map(str, known["removed"])),  # type: ignore[index]
                {str(name): (str(one), str(other)) for name, (one, other) in known["retyped"].items()},  # type: ignore[index]
            )
        except (TypeError, KeyError, ValueError, AttributeError):
            return cls()

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON, whole."""
        retyped = {name: list(types) for name, types in self.retyped.items()}
        return {"added": list(self.added), "removed": list(self.removed), "retyped": retyped}

    def in_short(self) -> dict[str, Any]:
        """Write it as JSON; of more columns than a summary should name, how many they are."""
        return {kind: names if len(names) <= NAMED else len(names) for kind, names in self.to_dict().items()}

    def __str__(self) -> str:
        retyped = [f"{name} ({before} to {now})" for name, (before, now) in self.retyped.items()]
        kinds = (("added", self.added), ("removed", self.removed), ("changed type", retyped))
        return "; ".join(f"{verb}: {_listed(names)}" for verb, names in kinds if names)


def type_name(column: ColumnType) -> str:
    """Write a column's type: ``string``, ``integer``, ``decimal(18,2)``, …"""
    if column.kind is ColumnKind.DECIMAL:
        return f"decimal({column.precision},{column.scale})"
    return str(column.kind)


def read_type(name: str, written: object) -> ColumnType | None:
    """Read what :func:`type_name` wrote; None for anything else, as a later version may write."""
    found = _DECIMAL.fullmatch(str(written))
    if found is not None:
        precision, scale = int(found[1]), int(found[2])
        return (
            ColumnType(name, ColumnKind.DECIMAL, precision, scale) if scale <= precision <= DECIMAL128_DIGITS else None
        )
    try:
        kind = ColumnKind(str(written))
    except ValueError:
        return None
    return None if kind is ColumnKind.DECIMAL else ColumnType(name, kind)


def read_types(given: Mapping[str, str]) -> dict[str, ColumnType]:
    """Read types that a user gives by column, written as :func:`type_name` writes them.

    :raises SourceError: naming the column whose type is none
    """
    types = {}
    for name, written in given.items():
        kind = read_type(name, written.replace(" ", ""))
        if kind is None:
            raise SourceError(
                f"the type of {name:.60} must be one of {', '.join(each for each in ColumnKind if each != 'decimal')} or "
                f"decimal(digits,decimals) with at most {DECIMAL128_DIGITS} digits, not {written!r:.40}"
            )
        types[name] = kind
    return types


def with_types(types: Sequence[ColumnType], given: Mapping[str, ColumnType]) -> tuple[ColumnType, ...]:
    """Return the types of columns, those of a user instead of describe's.

    :raises SourceError: the result lacks a column that has one
    """
    names = {each.name for each in types}
    if missing := [name for name in given if name not in names]:
        raise SourceError(
            f"a type is given for {', '.join(missing)}, but the result has no such column; its columns are "
            f"{', '.join(list(dict.fromkeys(each.name for each in types))[:50])}"
        )
    return tuple(given.get(each.name, each) for each in types)


def wider(one: ColumnType, other: ColumnType) -> ColumnType:
    """Return the narrowest type that holds the values of both; text holds everything."""
    if one == other:
        return one
    if {one.kind, other.kind} - _NUMBERS:
        return ColumnType(one.name)
    if ColumnKind.DOUBLE in (one.kind, other.kind):
        return ColumnType(one.name, ColumnKind.DOUBLE)
    scale = max(one.scale, other.scale)
    whole = max(
        each.precision - each.scale if each.kind is ColumnKind.DECIMAL else _INTEGER_DIGITS for each in (one, other)
    )
    if whole + scale > DECIMAL128_DIGITS:
        return ColumnType(one.name, ColumnKind.DOUBLE)
    return ColumnType(one.name, ColumnKind.DECIMAL, whole + scale, scale)


class SchemaGuard:
    """Compares an extract with the one before it in the folder.

    :param before: the manifest of that one, None when there is none
    :param policy: what to do
    :param job_id: of this extract: a manifest of the same job is its own, whose publishing was interrupted
    """

    def __init__(self, before: Mapping[str, Any] | None, policy: OnSchemaChange, *, job_id: str) -> None:
        self._policy = policy
        self._is_own = before is not None and before.get("job_id") == job_id
        self._reported = SchemaChange.from_dict((before or {}).get("schema_changes"))
        written = (before or {}).get("column_types")
        self._types: dict[str, ColumnType] = {}
        for name, text in written.items() if isinstance(written, Mapping) else ():
            if (kind := read_type(str(name), text)) is not None:
                self._types[str(name)] = kind
        columns, gone = (before or {}).get("columns"), (before or {}).get("null_columns")
        gone = set(gone) if isinstance(gone, list) else set()
        self._columns = None if not isinstance(columns, list) else [str(each) for each in columns if each not in gone]
        self.null_columns: tuple[ColumnType, ...] = ()
        """Columns that are gone, and stay in the files."""

    def retype(self, types: Sequence[ColumnType]) -> tuple[ColumnType, ...]:
        """Return the types of the files' columns, given those of the result; columns that are gone come last.

        :raises SourceError: the columns differ, and the policy is to fail
        """
        # A column that was a float for its values may turn out to be one again.
        surely = [each for each in types if not (each.kind in _NUMBERS and self._was_float(each.name))]
        self._refuse(self.change([each.name for each in types], surely))
        if self._policy is not OnSchemaChange.WIDEN:
            return tuple(types)
        here = {each.name for each in types}
        self.null_columns = tuple(each for name, each in self._types.items() if name not in here)
        held = (wider(self._types[each.name], each) if each.name in self._types else each for each in types)
        return (*held, *self.null_columns)

    def facts(self, columns: Sequence[str], types: Sequence[ColumnType]) -> dict[str, Any]:
        """Return what the manifest says of the files' columns.

        :param columns: the files' columns
        :param types: of the files' columns; none of CSV
        :raises SourceError: the columns differ, and the policy is to fail
        """
        change = self.change(columns, types)
        self._refuse(change)
        facts: dict[str, Any] = {}
        if types:
            facts["column_types"] = {each.name: type_name(each) for each in types}
        if self.null_columns:
            facts["null_columns"] = [each.name for each in self.null_columns]
        return {**facts, "schema_changes": change.to_dict()} if change else facts

    def change(self, columns: Iterable[str], types: Sequence[ColumnType]) -> SchemaChange:
        """Compare columns with those of the extract before."""
        if self._is_own:
            return self._reported
        if self._columns is None:
            return SchemaChange()
        gone = {each.name for each in self.null_columns}
        now = list(dict.fromkeys(each for each in columns if each not in gone))
        retyped = {
            each.name: (type_name(self._types[each.name]), type_name(each))
            for each in types
            if each.name in self._types and each.name not in gone and self._types[each.name] != each
        }
        return SchemaChange(
            tuple(each for each in now if each not in self._columns),
            tuple(each for each in self._columns if each not in now),
            retyped,
        )

    def _was_float(self, name: str) -> bool:
        return name in self._types and self._types[name].kind is ColumnKind.DOUBLE

    def _refuse(self, change: SchemaChange) -> None:
        if change and self._policy is OnSchemaChange.FAIL and not self._is_own:
            raise SourceError(
                f"the columns differ from those of the extract in the folder, which is left unchanged ({change})",
                remedy=Remedy.ACCEPT_COLUMNS,
            )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more:,} more" if more > 0 else "")
