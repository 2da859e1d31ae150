"""Rules that fail rows, as an org's own do: validation rules, duplicate rules, triggers, access to records.

They look at the record as it would be saved, with its defaults and what the org computes. Values are as ``schema``
says they are stored; names are the fields'. Errors are worded as a real org words them:

==============================================  =======================================================================
``FIELD_CUSTOM_VALIDATION_EXCEPTION``           the rule's own message, with the field that it is shown at, if any
``DUPLICATES_DETECTED``                         the duplicate rule's alert
``CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY``        ``Trigger: execution of BeforeInsert``, then ``caused by: …``
``INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_…``    ``insufficient access rights on cross-reference id: 001…``
==============================================  =======================================================================
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_sfbulk.local_org.data.cells import Cells
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.store import Store, key_column, key_of, quoted
from airflow_provider_sfbulk.local_org.data.values import RowError
from airflow_provider_sfbulk.local_org.soql import fold

Record = Mapping[str, Any]
Condition = Callable[[Record], Any] | Mapping[str, Any]
"""A function of the record, or by field a value, or ``{operator: value}``; all have to hold."""

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "!=": lambda value, wanted: not _same(value, wanted),
    "<": lambda value, wanted: value is not None and value < wanted,
    "<=": lambda value, wanted: value is not None and value <= wanted,
    ">": lambda value, wanted: value is not None and value > wanted,
    ">=": lambda value, wanted: value is not None and value >= wanted,
    "in": lambda value, wanted: any(_same(value, each) for each in wanted),
    "contains": lambda value, wanted: value is not None and fold(str(wanted)) in fold(str(value)),
}
"""Operators of declared conditions, besides ``=``."""

OPERATIONS: Final = frozenset({"insert", "update", "delete"})


@dataclass(frozen=True)
class Rule:
    """One rule.

    :ivar on: ``insert``, ``update``, ``delete``: when it is looked at
    :ivar condition: when it fails the row; None: always
    :ivar error: of the rows that it fails
    :ivar unique: fields by which it compares with other records instead, as a duplicate rule does
    """

    sobject: str
    on: frozenset[str]
    condition: Condition | None
    error: RowError
    unique: tuple[str, ...] = ()

    def fails(self, record: Record) -> bool:
        """Whether it fails a row that makes the record so."""
        if self.condition is None:
            return True
        if callable(self.condition):
            return bool(self.condition(record))
        return all(_holds(record.get(name), wanted) for name, wanted in self.condition.items())


STANDARD: Final = tuple(
    Rule(sobject, frozenset({"insert"}), None, RowError("DUPLICATE_VALUE", message), fields)
    for sobject, message, fields in (
        ("CampaignMember", "Already a campaign member.", ("CampaignId", "ContactId")),
        ("CampaignMember", "Already a campaign member.", ("CampaignId", "LeadId")),
        ("PricebookEntry", "This price definition already exists in this price book", ("Pricebook2Id", "Product2Id")),
    )
)
"""Rules that every org has."""


@dataclass
class Rules:
    """The rules of an org.

    :ivar closed: ids of records that the user may not refer to
    """

    closed: set[str] = field(default_factory=set)
    _rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rule: Rule) -> None:
        """Add a rule."""
        with self._lock:
            self._rules.append(rule)

    def of(self, sobject: str) -> list[Rule]:
        """Return the rules of an object, oldest first and then those that every org has."""
        with self._lock:
            return [rule for rule in (*self._rules, *STANDARD) if rule.sobject == sobject]

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._rules.clear()
            self.closed.clear()


class Checking:
    """Checks the rows of one batch.

    :param closed: ids that no row may refer to
    """

    def __init__(self, store: Store, sobject: SObject, rules: Sequence[Rule], closed: frozenset[str]) -> None:
        self._store = store
        self._sobject = sobject
        self._rules = rules
        self._closed = closed
        self._taken: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}
        """Values of duplicate rules that earlier rows of the batch have."""

    @property
    def has_rules(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._rules or self._closed)

    def error(
        self, operation: str, cells: Cells, row: int, record_id: str | None, record_of: Callable[[], Record | None]
    ) -> RowError | None:
        """Return why a row may not be saved, or None.

        :param operation: ``insert``, ``update`` or ``delete``
        :param record_of: gives the record as it would be saved, or is to be deleted; None when it cannot be saved anyway
        """
        refused = self._closed_error(cells, row, record_id)
        rules = [rule for rule in self._rules if operation in rule.on]
        record = record_of() if rules and refused is None else None
        if record is None:
            return refused
        for rule in rules:
            if rule.fails(record) and self._is_duplicate(rule, record, record_id):
                return rule.error
        return None

    def _closed_error(self, cells: Cells, row: int, record_id: str | None) -> RowError | None:
        if not self._closed:
            return None
        if record_id in self._closed:
            return RowError("INSUFFICIENT_ACCESS_OR_READONLY", f"insufficient access rights on object id: {record_id}")
        for lookup in self._sobject.fields.values():
            values = cells.values.get(lookup.name) if lookup.type == "reference" else None
            if values is not None and values[row] in self._closed:
                message = f"insufficient access rights on cross-reference id: {values[row]}"
                return RowError("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", message)
        return None

    def _is_duplicate(self, rule: Rule, record: Mapping[str, Any], record_id: str | None) -> bool:
        """Whether another record has the rule's values; a rule without any is about the record alone."""
        if not rule.unique:
            return True
        fields = [field for name in rule.unique if (field := self._sobject.get(name)) is not None]
        values = [record.get(field.name) for field in fields]
        if len(fields) < len(rule.unique) or any(value is None for value in values):
            return False
        key = tuple(key_of(field, value) for field, value in zip(fields, values, strict=True))
        if rule.unique not in self._taken:
            self._store.index(self._sobject, fields)
        taken = self._taken.setdefault(rule.unique, set())
        if key in taken:
            return True
        conditions = " AND ".join(f"{key_column(field)} = ?" for field in fields)
        sql = f"SELECT 1 FROM {quoted(self._sobject.name)} WHERE IsDeleted = 0 AND {conditions} AND Id IS NOT ? LIMIT 1"  # noqa: S608 - names of the schema, quoted
        if self._store.select(sql, (*key, record_id)):
            return True
        taken.add(key)
        return False


def rule(
    sobject: str,
    *,
    error: RowError,
    when: Condition | None,
    on: Sequence[str],
    known_fields: Mapping[str, Any],
    unique: Sequence[str] = (),
) -> Rule:
    """Check what was asked for.

    :param known_fields: of the object, by lower-case name
    :raises TypeError: for arguments of other types
    :raises ValueError: for a field, an operator or an operation that does not exist
    """
    if isinstance(on, str) or not set(on) <= OPERATIONS or not on:
        raise ValueError("on lists some of insert, update and delete")
    if when is not None and not callable(when):
        if not isinstance(when, Mapping):
            raise TypeError("when gives values by field, or is a function of a record")
        for name, wanted in when.items():
            if isinstance(wanted, Mapping) and not set(wanted) <= {"=", *COMPARISONS}:
                raise ValueError(f"when knows the operators =, {', '.join(COMPARISONS)}")
            _check_field(sobject, name, known_fields)
        when = {known_fields[name.lower()].name: wanted for name, wanted in when.items()}
    for name in unique:
        _check_field(sobject, name, known_fields)
    spelled = tuple(known_fields[name.lower()].name for name in unique)
    return Rule(sobject, frozenset(on), when, error, spelled)


def _check_field(sobject: str, name: str, known_fields: Mapping[str, Any]) -> None:
    if name.lower() not in known_fields:
        raise ValueError(f"{sobject} has no field {name}")


def _holds(value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, Mapping):
        return _same(value, wanted)
    try:
        return all(COMPARISONS.get(operator, _same)(value, each) for operator, each in wanted.items())
    except TypeError:
        return False  # text and number have no order


def _same(value: Any, wanted: Any) -> bool:
    """Whether two values are the same to Salesforce: text without regard to case, null and empty text alike."""
    if isinstance(value, str) and isinstance(wanted, str):
        return fold(value) == fold(wanted)
    return (value or None) == (wanted or None) if "" in (value, wanted) else bool(value == wanted)
