"""Whether an org's own rules let a row pass: see :mod:`~airflow_provider_sfbulk.local_org.faults.rules`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from airflow_provider_sfbulk.local_org.data.cells import Cells
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.store import Store, quoted
from airflow_provider_sfbulk.local_org.data.values import KEEP, RowError
from airflow_provider_sfbulk.local_org.soql import fold


class Rule(Protocol):
    """What a rule of an org can say."""

    @property
    def on(self) -> frozenset[str]:
        """``insert``, ``update``, ``delete``: when it is looked at."""

    @property
    def error(self) -> RowError:
        """Of the rows that it fails."""

    @property
    def unique(self) -> tuple[str, ...]:
        """Fields by which it compares with other records."""

    def fails(self, record: Mapping[str, Any]) -> bool:
        """Whether it fails a row that makes the record so."""


class Checking:
    """Looks at the rows of one batch.

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
        """Whether there is anything to look at."""
        return bool(self._rules or self._closed)

    def error(self, operation: str, cells: Cells, row: int, record_id: str | None) -> RowError | None:
        """Return why a row may not be saved, or None.

        :param operation: ``insert``, ``update`` or ``delete``
        """
        refused = self._closed_error(cells, row, record_id)
        if refused is not None or not self._rules:
            return refused
        record = self._record(cells, row, record_id) if operation != "delete" else self._stored(record_id)
        for rule in self._rules:
            if operation in rule.on and rule.fails(record) and self._is_duplicate(rule, record, record_id):
                return rule.error
        return None

    def _closed_error(self, cells: Cells, row: int, record_id: str | None) -> RowError | None:
        if not self._closed:
            return None
        if record_id in self._closed:
            return RowError("INSUFFICIENT_ACCESS_OR_READONLY", f"insufficient access rights on object id: {record_id}")
        for field in self._sobject.fields.values():
            values = cells.values.get(field.name) if field.type == "reference" else None
            if values is not None and values[row] in self._closed:
                message = f"insufficient access rights on cross-reference id: {values[row]}"
                return RowError("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", message)
        return None

    def _record(self, cells: Cells, row: int, record_id: str | None) -> dict[str, Any]:
        record = self._stored(record_id)
        for name, values in cells.values.items():
            if values[row] is not KEEP:
                record[name] = values[row]
        return record

    def _stored(self, record_id: str | None) -> dict[str, Any]:
        names = [field.name for field in self._sobject.fields.values() if not field.is_compound]
        if record_id is not None:
            sql = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(self._sobject.name)} WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
            rows = self._store.select(sql, (record_id,))
            if rows:
                return dict(zip(names, rows[0], strict=True))
        defaults = {field.name: field.default_value for field in self._sobject.fields.values()}
        return {name: int(value) if isinstance(value, bool) else value for name, value in defaults.items()}

    def _is_duplicate(self, rule: Rule, record: Mapping[str, Any], record_id: str | None) -> bool:
        """Whether another record has the rule's values; a rule without any is about the record alone."""
        if not rule.unique:
            return True
        values = tuple(record.get(name) for name in rule.unique)
        if any(value is None for value in values):
            return False
        key = tuple(fold(value) if isinstance(value, str) else value for value in values)
        taken = self._taken.setdefault(rule.unique, set())
        if key in taken:
            return True
        conditions = " AND ".join(
            f"soql_fold({quoted(name)}) = ?" if isinstance(value, str) else f"{quoted(name)} = ?"
            for name, value in zip(rule.unique, values, strict=True)
        )
        sql = f"SELECT 1 FROM {quoted(self._sobject.name)} WHERE IsDeleted = 0 AND Id IS NOT ? AND {conditions} LIMIT 1"  # noqa: S608 - names of the schema, quoted
        if self._store.select(sql, (record_id, *key)):
            return True
        taken.add(key)
        return False
