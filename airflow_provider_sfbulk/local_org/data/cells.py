"""One batch's values: from columns of text to what the tables hold, with the rows that fail for a value of theirs.

Column by column: types hold few distinct texts and keys hold none twice, so each distinct text is converted once.

"Two rows of one file cannot refer to each other by external id: references resolve only against records saved before"
— here, against what was there when their batch of 10,000 began.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data.columns import Column, Plan
from airflow_provider_sfbulk.local_org.data.describe import MASTER_RECORD_TYPE
from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.data.store import Store, key_of, quoted
from airflow_provider_sfbulk.local_org.data.values import (
    CLEAR,
    KEEP,
    RowError,
    is_plain_text,
    null_checkbox,
    too_long,
    trimmed,
)


class Cells:
    """The values of a batch.

    :ivar values: by field name, one per row: the stored value, KEEP for an empty one, None to clear
    :ivar errors: by row; a row keeps its first one. How Salesforce joins several is not known.
    """

    def __init__(
        self, store: Store, schema: Schema, plan: Plan, raw: Sequence[list[str]], *, count: int, null: str = CLEAR
    ) -> None:
        self.values: dict[str, list[Any]] = {}
        self.errors: dict[int, RowError] = {}
        self.count = count
        self._null = null
        self._store = store
        self._schema = schema
        self._sobject = plan.sobject
        self._check_sizes(raw)
        for column in plan.columns:
            self._read(column, raw[column.position])

    def fail(self, row: int, error: RowError) -> None:
        """Record why a row fails, unless it has failed already."""
        self.errors.setdefault(row, error)

    def _check_sizes(self, raw: Sequence[list[str]]) -> None:
        longest = sum(len(max(column, key=len)) for column in raw if column)
        if longest <= limits.RECORD_CHARACTERS:
            return
        for row in range(self.count):
            if sum(len(column[row]) for column in raw) > limits.RECORD_CHARACTERS:
                # The limit is documented, the answer to more is not.
                message = f"Record is longer than {limits.RECORD_CHARACTERS} characters"
                self.fail(row, RowError("STRING_TOO_LONG", message))

    def _read(self, column: Column, raw: list[str]) -> None:
        name = column.field.name
        if column.parent is not None:
            values = self._looked_up(column, column.parent, raw)
        elif is_plain_text(column.field):
            values = self._plain(column.field, raw)
        else:
            values = self._converted(column, raw)
            if column.field.type == "boolean":
                self._fail_where(values, {None: null_checkbox(column.field)} if None in values else {})
            if column.field.type == "reference":
                self._check_references(column.field, values)
        self.values[name] = self._merged(column.field, self.values[name], values) if name in self.values else values

    def _converted(self, column: Column, raw: list[str]) -> list[Any]:
        table: dict[str, Any] = {"": KEEP, self._null: None}
        bad: dict[str, RowError] = {}
        for text in set(raw) - table.keys():
            try:
                table[text] = column.convert(text)
            except RowError as error:
                bad[text] = error
                table[text] = KEEP
        self._fail_where(raw, bad)
        return [table[text] for text in raw]

    def _plain(self, field: Field, raw: list[str]) -> list[Any]:
        if field.length and len(max(raw, key=len)) > field.length:
            self._fail_where(raw, {text: too_long(field, text) for text in set(raw) if len(text) > field.length})
        return [KEEP if not text else None if text == self._null else trimmed(text) for text in raw]

    def _looked_up(self, column: Column, parent: SObject, raw: list[str]) -> list[Any]:
        """Return the ids of the parents that a relationship column names by a key of theirs."""
        key = column.parent_key or column.field
        keys = self._converted(column, raw)
        owners = self._store.owners(parent, key, {value for value in keys if value is not KEEP and value is not None})
        table: dict[Any, Any] = {KEEP: KEEP, None: None}
        bad: dict[str, RowError] = {}
        for text, value in dict(zip(raw, keys, strict=True)).items():
            if value is KEEP or value is None:
                continue
            record_ids = owners.get(key_of(key, value), [])
            table[value] = record_ids[0] if len(record_ids) == 1 else KEEP
            if len(record_ids) > 1:
                message = f"More than one record found for external id field: [{', '.join(record_ids)}]"
                bad[text] = RowError("DUPLICATE_EXTERNAL_ID", message, key.name)
            elif not record_ids:
                message = f"Foreign key external ID: {text} not found for field {key.name} in entity {parent.name}"
                bad[text] = RowError("INVALID_FIELD", message, key.name)
        self._fail_where(raw, bad)
        return [table[value] for value in keys]

    def _check_references(self, field: Field, values: list[Any]) -> None:
        """Fail the rows whose lookup points to a record that is not there."""
        wanted = {value for value in values if value is not KEEP and value is not None}
        gone: dict[str, RowError] = {}
        for name in field.reference_to:
            sobject = self._schema.get(name)
            if sobject is not None:
                some = {value for value in wanted if value.startswith(sobject.key_prefix)} - {MASTER_RECORD_TYPE}
                gone |= absent(self._store, sobject, some)
        if field.name == "RecordTypeId":
            gone |= self._strange_record_types(field, wanted - gone.keys())
        self._fail_where(values, gone)
        if field.name == "RecordTypeId":
            values[:] = [None if value == MASTER_RECORD_TYPE else value for value in values]

    def _strange_record_types(self, field: Field, wanted: set[str]) -> dict[str, RowError]:
        """Return which record types are not for records of this object."""
        sql = "SELECT Id FROM RecordType WHERE SobjectType = ? AND IsActive = 1 AND IsDeleted = 0"
        fit = {row[0] for row in self._store.select(sql, (self._sobject.name,))} | {MASTER_RECORD_TYPE}
        message = f"{field.label or field.name}: this ID value isn't valid for the user: "
        return {
            each: RowError("INVALID_CROSS_REFERENCE_KEY", message + each, field.name)
            for each in wanted
            if each not in fit
        }

    def _merged(self, field: Field, first: list[Any], second: list[Any]) -> list[Any]:
        """Join a lookup that is given both by id and by external id; a row may use one of them."""
        relationship = field.relationship_name or field.name
        message = f"cannot specify both an external ID reference {relationship} and a salesforce id, {field.name}"
        merged = []
        for row, (one, other) in enumerate(zip(first, second, strict=True)):
            if one is not KEEP and other is not KEEP:
                self.fail(row, RowError("INVALID_FIELD", message, field.name))
            merged.append(other if one is KEEP else one)
        return merged

    def _fail_where(self, values: Sequence[Any], bad: dict[Any, RowError]) -> None:
        if bad:
            for row, value in enumerate(values):
                if value in bad:
                    self.fail(row, bad[value])


def absent(store: Store, sobject: SObject, record_ids: Iterable[str]) -> dict[str, RowError]:
    """Return which of the records cannot be used, with the error that says why."""
    sql = f"SELECT Id, IsDeleted FROM {quoted(sobject.name)} WHERE Id IN ({{}})"  # noqa: S608 - a name of the schema, quoted
    states = dict(store.select_in(sql, record_ids))
    errors: dict[str, RowError] = {}
    for record_id in record_ids:
        if record_id not in states:
            errors[record_id] = RowError("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        elif states[record_id]:
            errors[record_id] = RowError("ENTITY_IS_DELETED", "entity is deleted")
    return errors
