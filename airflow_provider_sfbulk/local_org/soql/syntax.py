"""What a parsed query is made of. Nothing here knows a schema; names are as written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from airflow_provider_sfbulk.local_org.soql.errors import Place


@dataclass(frozen=True, slots=True)
class Path:
    """``Name``, ``Account.Owner.Name``, ``a.Id``."""

    names: tuple[str, ...]
    place: Place

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Call:
    """``COUNT()``, ``toLabel(Status)``, ``FIELDS(STANDARD)``."""

    name: str
    arguments: tuple[Operand | Value, ...]
    place: Place


Operand: TypeAlias = Path | Call


class Kind(Enum):
    """What kind of value a literal looks like, before any field says what it should be."""

    STRING = "string"
    NUMBER = "number"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    WORD = "word"
    """``null``, ``true``, ``TODAY``, ``LAST_N_DAYS:3``, or nonsense."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value as written: strings with their quotes and escapes; ``count`` is the number after a word's colon."""

    kind: Kind
    text: str
    place: Place
    count: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``operand operator values``; the operator in upper case, ``<>`` as ``!=``."""

    operand: Operand
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class SemiJoin:
    """``operand IN (SELECT ...)``, or ``NOT IN``."""

    operand: Operand
    negated: bool
    select: Select


@dataclass(frozen=True, slots=True)
class Not:
    """``NOT condition``."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    """Two or more conditions that all hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Two or more conditions of which one holds."""

    conditions: tuple[Condition, ...]


Condition: TypeAlias = Comparison | SemiJoin | Not | And | Or


@dataclass(frozen=True, slots=True)
class FieldItem:
    """An entry of the select list."""

    operand: Operand
    alias: str | None


@dataclass(frozen=True, slots=True)
class ChildItem:
    """A parent-to-child sub-query in the select list. What it names as its object is the relationship."""

    select: Select


@dataclass(frozen=True, slots=True)
class TypeofItem:
    """A ``TYPEOF`` expression in the select list.

    :ivar whens: names of objects with the fields to select of them
    :ivar otherwise: the fields after ``ELSE``
    """

    path: Path
    whens: tuple[tuple[str, tuple[Path, ...]], ...]
    otherwise: tuple[Path, ...]


Item: TypeAlias = FieldItem | ChildItem | TypeofItem


@dataclass(frozen=True, slots=True)
class Ordering:
    """An entry of ``ORDER BY``."""

    operand: Operand
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Limit:
    """The number of ``LIMIT`` as written."""

    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class Select:
    """One ``SELECT``. ``extras`` are the rarer clauses by their first words, in order: ``WITH ...``, ``FOR VIEW``."""

    items: tuple[Item, ...]
    sobject: str
    sobject_place: Place
    alias: str | None
    scope: str | None
    where: Condition | None
    order: tuple[Ordering, ...]
    limit: Limit | None
    extras: tuple[str, ...]
    group: tuple[Operand, ...] = ()
    having: Condition | None = None
    offset: Limit | None = None
    joined: tuple[tuple[Path, str], ...] = ()
    """Parents with an alias each: ``c.Account a`` in ``FROM Contact c, c.Account a``."""
