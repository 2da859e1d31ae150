"""What type each column of a query result has, by describe and only by describe.

Facts (errors-and-limits of describe and CSV; Object Reference, "Field Types"; Bulk API 2.0 guide):

- Result columns are named by their path: ``Name``, ``Account.Owner.Name``. The steps before the last are relationship
  names of the object reached so far.
- Null and the empty text are one and the same in a result: ``""``.
- ``double``, ``currency`` and ``percent`` are Java doubles in Java's notation: ``42.0``, ``9.0E7``, ``1.0E-4``.
- Number fields keep *more decimals than described* when they were written through an API, and give them back
  (help article 000387302, "Salesforce Number Field Stores More Decimal Places Than Defined When Set via API or Apex").
  So a value may rightly not fit its described type: see :class:`MisfitError` and :func:`widen`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, Final

from airflow_provider_sfbulk.client.errors import ProtocolError


class ColumnKind(StrEnum):
    """What a column's values are."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DOUBLE = "double"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"


@dataclass(frozen=True)
class ColumnType:
    """Type of one column; as Arrow see ``arrow.arrow_schema``.

    :param name: the column, as in the result's header
    :param precision: digits in all, of a decimal
    :param scale: digits after the point, of a decimal
    """

    name: str
    kind: ColumnKind = ColumnKind.STRING
    precision: int = 0
    scale: int = 0


class MisfitError(ProtocolError):
    """A value does not fit its column's described type.

    For numbers Salesforce documents this (see the module); :func:`widen` the column and read all pages again.

    :param column: the column
    :param row: number of the record in its page, from 1
    """

    def __init__(self, message: str, *, column: str | None = None, row: int | None = None) -> None:
        super().__init__(message)
        self.column = column
        self.row = row


_INT64_DIGITS: Final = 18
"""Digits that every 64-bit integer can hold."""
DECIMAL128_DIGITS: Final = 38
"""Digits that a 128-bit decimal can hold."""

_KINDS: Final[Mapping[str, ColumnKind]] = {
    "boolean": ColumnKind.BOOLEAN,
    "int": ColumnKind.INTEGER,
    "long": ColumnKind.INTEGER,
    "date": ColumnKind.DATE,
    "datetime": ColumnKind.DATETIME,
    "time": ColumnKind.TIME,
}
"""Describe's types that say all by themselves; every type that is not here and not a number is text."""

_NUMBERS: Final = frozenset({"double", "currency", "percent"})


NAME_OBJECT: Final = "Name"
"""The object that SOQL takes for the parent of a polymorphic relationship (Object Reference, "Name"): its fields are those
that may be asked of ``Owner``, ``Who`` and ``What``."""

_PARENTS: Final = 10
"""Objects of a polymorphic relationship that are described at most, where *Name* does not know the field."""


def types_by_describe(
    sobject: str, columns: Iterable[str], describes: Mapping[str, Mapping[str, Any]]
) -> list[ColumnType]:
    """Type the columns of a query.

    What cannot be resolved is text: an alias, an object without describe, and a field over a polymorphic relationship
    that is of one type in one object and of another in another.

    :param sobject: the object after ``FROM``
    :param columns: the result's header
    :param describes: describe answers by object name, those that :func:`needed_describes` asks for
    """
    known = _Describes(describes)
    types = []
    for column in columns:
        *_, owners = known.walk(sobject, column.split("."))
        name = column.rpartition(".")[2]
        found = {_typed(column, field) for owner in owners if (field := known.field(owner, name)) is not None}
        types.append(found.pop() if len(found) == 1 else ColumnType(column))
    return types


def needed_describes(sobject: str, columns: Iterable[str], describes: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return which objects must still be described before :func:`column_types` can do its best.

    Call it, describe what it names, and call it again until it names nothing: each round goes one relationship
    further. An object that cannot be described is given as an empty mapping.
    """
    known = _Describes(describes)
    walked = (name for column in columns for names in known.walk(sobject, column.split(".")) for name in names)
    return {name for name in walked if name not in describes}


def widen(types: Sequence[ColumnType], column: str) -> list[ColumnType]:
    """Type ``column`` as a 64-bit float: what Salesforce itself keeps, so nothing of a number is lost."""
    return [ColumnType(each.name, ColumnKind.DOUBLE) if each.name == column else each for each in types]


class _Describes:
    """Describe answers, looked up without regard to case, as SOQL does."""

    def __init__(self, describes: Mapping[str, Mapping[str, Any]]) -> None:
        self._describes = describes
        self._fields: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._relationships: dict[str, dict[str, Mapping[str, Any]]] = {}

    def _index(self, sobject: str) -> None:
        if sobject in self._fields:
            return
        fields = self._describes.get(sobject, {}).get("fields") or []
        self._fields[sobject] = {str(each.get("name")).lower(): each for each in fields}
        self._relationships[sobject] = {
            str(each["relationshipName"]).lower(): each for each in fields if each.get("relationshipName")
        }

    def field(self, sobject: str, name: str) -> Mapping[str, Any] | None:
        self._index(sobject)
        return self._fields[sobject].get(name.lower())

    def walk(self, sobject: str, path: Sequence[str]) -> Iterator[list[str]]:
        """Yield the objects along a path as far as they are known, the starting one first; none when it leads nowhere.

        They are several behind a polymorphic relationship. Stops where one is not described: it can be named, but not
        gone through.

        :param path: relationships, and the field at their end
        """
        here = [sobject]
        yield here
        for step, following in pairwise(path):
            if any(each not in self._describes for each in here):
                return
            here = list(dict.fromkeys(name for each in here for name in self._parents(each, step, following)))
            yield here

    def _parents(self, sobject: str, relationship: str, following: str) -> list[str]:
        """Return the objects that a relationship leads to.

        :param following: the field, or relationship, that is looked for in them
        """
        self._index(sobject)
        lookup = self._relationships[sobject].get(relationship.lower()) or {}
        parents = [str(each) for each in lookup.get("referenceTo") or ()]
        if len(parents) < 2 or NAME_OBJECT not in self._describes or self._has(NAME_OBJECT, following):
            return parents if len(parents) < 2 else [NAME_OBJECT]
        return parents if len(parents) <= _PARENTS else []

    def _has(self, sobject: str, name: str) -> bool:
        return self.field(sobject, name) is not None or name.lower() in self._relationships[sobject]


def _typed(column: str, field: Mapping[str, Any]) -> ColumnType:
    described = field.get("type")
    if described not in _NUMBERS:
        return ColumnType(column, _KINDS.get(str(described), ColumnKind.STRING))
    precision, scale = field.get("precision"), field.get("scale")
    if not (isinstance(precision, int) and isinstance(scale, int) and 0 <= scale <= precision <= DECIMAL128_DIGITS):
        return ColumnType(column, ColumnKind.DOUBLE)
    if precision == 0:
        return ColumnType(column, ColumnKind.DOUBLE)
    if scale == 0 and precision <= _INT64_DIGITS:
        return ColumnType(column, ColumnKind.INTEGER)
    return ColumnType(column, ColumnKind.DECIMAL, precision, scale)
