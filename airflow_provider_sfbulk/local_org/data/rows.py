"""What the rows of one batch do to the org: which are created, updated, deleted or refused, and the SQL that does it.

Rows fail one by one: a row that fails changes nothing and its neighbours are saved. Rows take effect in the order of
the upload, in chunks of 200, which shows in two places: two rows of one chunk with the same external id both fail an
upsert ("Duplicate external id specified"), in different chunks the later one updates what the earlier one made; and a
chunk may repeat records 12 times in all.

Nothing stays written here: the statements are run later in one transaction. All reading can be trusted until then because
one thread does all the writing.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.data import deleting, ids
from airflow_provider_sfbulk.local_org.data.cells import Cells, absent
from airflow_provider_sfbulk.local_org.data.columns import DELETES, Plan
from airflow_provider_sfbulk.local_org.data.schema import Field, Schema
from airflow_provider_sfbulk.local_org.data.standard_objects import is_person
from airflow_provider_sfbulk.local_org.data.store import Store, key_of, quoted
from airflow_provider_sfbulk.local_org.data.values import CLEAR, KEEP, RowError
from airflow_provider_sfbulk.local_org.faults.rules import Checking

_TRIED_NUMBER: Final = 62**9 - 1
"""Number of the id that a new record has while it is tried; none is given out that is as high."""

_OPERATIONS: Final = (
    ({"insert", "upsert"}, "createable", "inserted"),
    ({"update", "upsert"}, "updateable", "updated"),
    ({"delete", "hardDelete"}, "deletable", "deleted"),
)
"""What an object can be closed to. The code is sure for inserts; for the others it is assumed to be the same."""


@dataclass(frozen=True)
class Statement:
    """One SQL statement with its rows."""

    sql: str
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Outcome:
    """What becomes of a batch's rows, by their position.

    :ivar record_ids: the record that a row concerns, or None: a failed row that named none
    :ivar created: whether the row makes it
    :ivar errors: why the others fail
    :ivar statements: what has to be written for the others
    :ivar values: what the rows' texts became, by field name
    """

    record_ids: list[str | None]
    created: list[bool]
    errors: dict[int, RowError]
    statements: list[Statement]
    values: dict[str, list[Any]] = dataclasses.field(default_factory=dict)


@dataclass
class _Unique:
    """Who holds the values of a unique field, kept up to date while rows are decided.

    :ivar keys: each row's value as it compares, KEEP or None
    :ivar owners: record by value
    :ivar held: value by record, of the records that may change theirs
    """

    field: Field
    keys: list[Any]
    owners: dict[Any, str]
    held: dict[str, Any] = dataclasses.field(default_factory=dict)

    def error(self, row: int, record_id: str | None) -> RowError | None:
        owner = self.owners.get(self.keys[row])
        if owner is None or owner == record_id:
            return None
        name = self.field.name
        return RowError("DUPLICATE_VALUE", f"duplicate value found: {name} duplicates value on record with id: {owner}")

    def take(self, row: int, record_id: str) -> None:
        key = self.keys[row]
        if key is KEEP:
            return
        old = self.held.get(record_id)
        if old is not None and self.owners.get(old) == record_id:
            del self.owners[old]
        if key is not None:
            self.owners[key] = record_id
        self.held[record_id] = key


def decide(
    store: Store,
    schema: Schema,
    plan: Plan,
    raw: Sequence[list[str]],
    *,
    now: datetime,
    user_id: str,
    count: int | None = None,
    null: str = CLEAR,
    held: Collection[str] = (),
    refused: Mapping[int, RowError] | None = None,
    checking: Checking | None = None,
) -> Outcome:
    """Check one batch and say what it does.

    :param raw: one list of texts per column of the upload
    :param count: of rows, where there is no column to say so: JSON and XML have records without fields
    :param null: the text that sets a field to null
    :param user_id: who does it
    :param held: ids of records that somebody else holds
    :param refused: rows that fail because a test asked for it
    :param checking: the org's own rules
    """
    cells = Cells(store, schema, plan, raw, count=len(raw[0]) if count is None else count, null=null)
    rows = _Rows(store, schema, plan, cells, clock.in_csv(now), user_id, held, refused or {}, checking)
    rows.refuse_operation()
    return rows.delete() if plan.operation in DELETES else rows.save()


class _Rows:
    def __init__(
        self,
        store: Store,
        schema: Schema,
        plan: Plan,
        cells: Cells,
        now: str,
        user_id: str,
        held: Collection[str],
        refused: Mapping[int, RowError],
        checking: Checking | None,
    ) -> None:
        self._store = store
        self._schema = schema
        self._plan = plan
        self._cells = cells
        self._now = now
        self._user_id = user_id
        self._held = held
        self._refused = refused
        self._checking = checking if checking is not None and checking.has_rules else None
        self._sobject = plan.sobject
        self._record_ids: list[str | None] = [None] * cells.count
        self._created = [False] * cells.count

    def refuse_operation(self) -> None:
        """Fail all rows when the object's records cannot be made, changed or deleted by anybody."""
        for operations, claim, words in _OPERATIONS:
            if self._plan.operation in operations and claim in self._sobject.cannot:
                message = f"entity type cannot be {words}: {self._sobject.label or self._sobject.name}"
                for row in range(self._cells.count):
                    self._cells.fail(row, RowError("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", message))

    # --- delete ---

    def delete(self) -> Outcome:
        self._record_ids = self._named_ids("a delete")
        wanted = {record_id for record_id in self._record_ids if record_id}
        gone = absent(self._store, self._sobject, wanted)
        done: list[str] = []
        for row, record_id in enumerate(self._record_ids):
            if record_id is None or row in self._cells.errors:
                continue
            unfit = gone.get(record_id) or self._refused.get(row) or self._lock_error(row, record_id)
            unfit = unfit or self._rule_error("delete", row, record_id)
            if unfit is not None:
                self._cells.fail(row, unfit)
                continue
            done.append(record_id)
            gone[record_id] = RowError("ENTITY_IS_DELETED", "entity is deleted")
        found = deleting.fallout(self._store, self._schema, self._sobject, done)
        if found.kept:
            for row, record_id in enumerate(self._record_ids):
                if record_id in found.kept:
                    self._cells.fail(row, found.kept[record_id])
            done = [record_id for record_id in done if record_id not in found.kept]
        for_ever = self._plan.operation == "hardDelete"
        own = deleting.deletion(self._sobject, done, now=self._now, for_ever=for_ever)
        others = deleting.statements(found, now=self._now, for_ever=for_ever)
        return self._outcome([Statement(*each) for each in (own, *others)])

    # --- insert, update, upsert ---

    def save(self) -> Outcome:
        matched = self._matches()
        unfit_to_create = self._unfit_to_create() if self._plan.operation != "update" else {}
        unfit_to_update = self._unfit_to_update() if self._plan.operation != "insert" else {}
        new_ids = iter(self._store.new_ids(self._sobject.key_prefix, self._cells.count))
        errors = self._cells.errors
        uniques = self._uniques()
        for start in range(0, self._cells.count, limits.CHUNK_RECORDS):
            chunk = range(start, min(start + limits.CHUNK_RECORDS, self._cells.count))
            refused = self._repeated(chunk)
            for row in chunk:
                record_id = matched(row) if row not in errors else None
                if row in errors:
                    continue
                creates = record_id is None
                unfit = (unfit_to_create if creates else unfit_to_update).get(row) or refused.get(row)
                self._record_ids[row] = record_id
                if unfit is None:
                    unfit = self._refused.get(row) or self._lock_error(row, record_id)
                if unfit is None:
                    unfit = self._rule_error("insert" if creates else "update", row, record_id)
                if unfit is None:
                    unfit = next((error for unique in uniques if (error := unique.error(row, record_id))), None)
                if unfit is not None:
                    self._cells.fail(row, unfit)
                    continue
                if record_id is None:
                    record_id = self._record_ids[row] = next(new_ids)
                    self._created[row] = True
                for unique in uniques:
                    unique.take(row, record_id)
        saved = [row for row in range(self._cells.count) if row not in errors]
        return self._outcome(
            [
                *self._inserts([row for row in saved if self._created[row]]),
                *self._updates([row for row in saved if not self._created[row]]),
            ]
        )

    def _rule_error(self, operation: str, row: int, record_id: str | None) -> RowError | None:
        if self._checking is None:
            return None
        record_of = self._stored if operation == "delete" else self._tried
        return self._checking.error(operation, self._cells, row, record_id, lambda: record_of(row, record_id))

    def _stored(self, _row: int, record_id: str | None) -> dict[str, Any] | None:
        names = [field.name for field in self._sobject.fields.values() if not field.is_compound]
        sql = f"SELECT {', '.join(map(quoted, names))} FROM {quoted(self._sobject.name)} WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
        found = self._store.select(sql, (record_id,))
        return dict(zip(names, found[0], strict=True)) if found else None

    def _tried(self, row: int, record_id: str | None) -> dict[str, Any] | None:
        """Return the record that a row makes: the row is written, the record read, and all of it taken back.

        :return: None for a row that cannot be written, since another has its unique value
        """
        made = record_id or next(ids.make(self._sobject.key_prefix, _TRIED_NUMBER, 1))
        known = self._record_ids[row]
        with self._store.writing() as connection:
            connection.execute("SAVEPOINT tried")
            try:
                self._record_ids[row] = made
                for statement in self._inserts([row]) if record_id is None else self._updates([row]):
                    connection.executemany(statement.sql, statement.rows)
                return self._stored(row, made)
            except sqlite3.IntegrityError:
                return None
            finally:
                self._record_ids[row] = known
                connection.execute("ROLLBACK TO tried")
                connection.execute("RELEASE tried")

    def _lock_error(self, row: int, record_id: str | None) -> RowError | None:
        """Say which record that the row changes or names as a parent is held by somebody else."""
        if not self._held:
            return None
        parents = (
            self._cells.values[field.name][row]
            for field in self._sobject.fields.values()
            if field.type == "reference" and field.name in self._cells.values
        )
        return next((_locked(each) for each in (record_id, *parents) if each in self._held), None)

    def _outcome(self, statements: list[Statement]) -> Outcome:
        done = [statement for statement in statements if statement.rows]
        return Outcome(self._record_ids, self._created, self._cells.errors, done, self._cells.values)

    def _column(self, name: str) -> list[Any]:
        return self._cells.values.get(name) or [KEEP] * self._cells.count

    def _named_ids(self, call: str | None) -> list[str | None]:
        """Return what the rows' ``Id`` column names.

        :param call: rows that name none fail; the text says in what call. None lets them be.
        """
        named: list[str | None] = [None if value is KEEP else value for value in self._column("Id")]
        if call is not None:
            for row, record_id in enumerate(named):
                if record_id is None:
                    self._cells.fail(row, RowError("MISSING_ARGUMENT", f"Id not specified in {call} call"))
        return named

    def _matches(self) -> Any:
        """Return the function that says which record a row changes, or None: it makes one. It may fail the row."""
        operation, key = self._plan.operation, self._plan.key
        if operation == "insert":
            self._refuse_ids("an insert")
            return lambda _row: None
        if operation == "upsert" and key is not None and key.name != "Id":
            self._refuse_ids("an upsert")
            return self._match_by_key(key)
        # "upserts with Id and no Id column, and every row is created" (jsforce's live tests)
        named = self._named_ids("an update" if operation == "update" else None)
        self._record_ids = list(named)
        gone = absent(self._store, self._sobject, {record_id for record_id in named if record_id})

        def match(row: int) -> str | None:
            record_id = named[row]
            if record_id in gone:
                self._cells.fail(row, gone[record_id])
            return record_id

        return match

    def _refuse_ids(self, call: str) -> None:
        error = RowError("INVALID_FIELD_FOR_INSERT_UPDATE", f"cannot specify Id in {call} call", "Id")
        for row, value in enumerate(self._cells.values.get("Id", ())):
            if value is not KEEP:
                self._cells.fail(row, error)

    def _match_by_key(self, key: Field) -> Any:
        values = self._column(key.name)
        keys = [value if value is KEEP or value is None else key_of(key, value) for value in values]
        wanted = {value for value in values if value is not KEEP and value is not None}
        owners = self._store.owners(self._sobject, key, wanted)
        self._keys = keys
        made: dict[Any, int] = {}

        def match(row: int) -> str | None:
            value = keys[row]
            if value is KEEP or value is None:
                self._cells.fail(row, RowError("MISSING_ARGUMENT", f"{key.name} not specified", key.name))
                return None
            found = owners.get(value, ())
            if len(found) > 1:
                message = f"More than one record found for external id field: [{', '.join(found)}]"
                self._cells.fail(row, RowError("DUPLICATE_EXTERNAL_ID", message, key.name))
                return None
            if found:
                return found[0]
            # A row of an earlier chunk may have made it.
            earlier = made.get(value)
            if earlier is not None and self._created[earlier]:
                return self._record_ids[earlier]
            made[value] = row
            return None

        return match

    def _repeated(self, chunk: range) -> dict[int, RowError]:
        """Return which rows of a chunk fail for being about the same record as another."""
        key = self._plan.key
        if self._plan.operation == "insert":
            return {}
        if key is not None and key.name != "Id":
            counts = Counter(self._keys[row] for row in chunk)
            if len(counts) == len(chunk):
                return {}
            values = self._column(key.name)
            return {
                row: RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {values[row]}", key.name)
                for row in chunk
                if counts[self._keys[row]] > 1
            }
        # A record that comes three times is repeated twice, and the repetitions of all records count together (help
        # article 000386990). The article wants fewer than 12, the message allows 12: from the 13th on it is sure.
        refused: dict[int, RowError] = {}
        seen: set[str] = set()
        repetitions = 0
        for row in chunk:
            record_id = self._record_ids[row]
            if record_id is None:
                continue
            repetitions += record_id in seen
            if record_id in seen and repetitions > limits.DUPLICATE_UPDATES:
                message = (
                    f"Maximum number of duplicate updates in one batch ({limits.DUPLICATE_UPDATES} allowed). "
                    f"Attempt to update Id more than once in this Api call: {record_id}"
                )
                refused[row] = RowError("DUPLICATE_VALUE", message, "Id")
            seen.add(record_id)
        return refused

    def _unfit_to_create(self) -> dict[int, RowError]:
        """Return the rows that could not be created: a field not to be written, or required ones without a value."""
        unfit = self._not_writable(lambda field: field.createable)
        missing: dict[int, list[str]] = {}
        for field in self._sobject.fields.values():
            if field.required_on_insert:
                values = self._cells.values.get(field.name)
                for row in range(self._cells.count) if values is None else _without_value(values):
                    missing.setdefault(row, []).append(field.name)
        for row, names in missing.items():
            unfit.setdefault(row, _required(names))
        if is_person(self._sobject):
            self._check_persons(unfit)
        return unfit

    def _check_persons(self, unfit: dict[int, RowError]) -> None:
        """An account has a name of its own, or the last name of a person, and not both."""
        names, last_names = (self._column(name) for name in ("Name", "LastName"))
        for row, (name, last_name) in enumerate(zip(names, last_names, strict=True)):
            has_name, is_person_ = (value is not KEEP and value is not None for value in (name, last_name))
            if has_name and is_person_:
                message = "Account: bad field names on insert/update call: Name"
                unfit.setdefault(row, RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, "Name"))
            elif not (has_name or is_person_):
                unfit.setdefault(row, _required(["Name"]))

    def _unfit_to_update(self) -> dict[int, RowError]:
        """Return the rows that could not be updated: a field that may not be written, or a required one cleared."""
        unfit = self._not_writable(lambda field: field.updateable)
        for field in self._written():
            values = self._cells.values[field.name]
            if not field.nillable and None in values:
                for row, value in enumerate(values):
                    if value is None:
                        unfit.setdefault(row, _required([field.name]))
        return unfit

    def _not_writable(self, allowed: Any) -> dict[int, RowError]:
        unfit: dict[int, RowError] = {}
        for field in self._written():
            if allowed(field) or field is self._plan.key:
                continue
            message = (
                f"Unable to create/update fields: {field.name}. Please check the security settings of this field and "
                "verify that it is read/write for your profile or permission set."
            )
            error = RowError("INVALID_FIELD_FOR_INSERT_UPDATE", message, field.name)
            for row, value in enumerate(self._cells.values[field.name]):
                if value is not KEEP:
                    unfit.setdefault(row, error)
        return unfit

    def _written(self) -> list[Field]:
        """Return the fields that have a column in the upload, without ``Id``."""
        return [f for f in self._sobject.fields.values() if f.name in self._cells.values and f.name != "Id"]

    def _uniques(self) -> list[_Unique]:
        uniques: list[_Unique] = []
        for field in self._written():
            if not field.unique:
                continue
            values = self._cells.values[field.name]
            wanted = {value for value in values if value is not KEEP and value is not None}
            owners = {key: found[0] for key, found in self._store.owners(self._sobject, field, wanted).items()}
            keys = [value if value is KEEP or value is None else key_of(field, value) for value in values]
            uniques.append(_Unique(field, keys, owners, {record_id: key for key, record_id in owners.items()}))
            changing = {record_id for record_id in self._record_ids if record_id}
            if changing:
                column, table = quoted(field.name), quoted(self._sobject.name)
                sql = f"SELECT Id, {column} FROM {table} WHERE {column} IS NOT NULL AND Id IN ({{}})"  # noqa: S608 - names of the schema, quoted
                for record_id, value in self._store.select_in(sql, changing):
                    uniques[-1].held[record_id] = key_of(field, value)
        return uniques

    # --- statements ---

    def _inserts(self, rows: list[int]) -> Iterator[Statement]:
        if not rows:
            return
        names, columns = ["Id"], [[self._record_ids[row] for row in rows]]
        for field in self._written():
            default = self._default(field)
            values = self._cells.values[field.name]
            names.append(field.name)
            columns.append([default if (v := values[r]) is KEEP else v for r in rows])
        constants = {
            field.name: default
            for field in self._sobject.fields.values()
            if field.name not in self._cells.values
            and field.derived is None
            and (default := self._audit(field.name) or self._default(field)) is not None
        }
        for field in self._sobject.fields.values():
            if field.auto_number and field.name not in self._cells.values:
                names.append(field.name)
                columns.append(self._auto_numbers(field, len(rows)))
        places = ", ".join("?" * (len(names) + len(constants)))
        into = ", ".join(map(quoted, [*names, *constants]))
        sql = f"INSERT INTO {quoted(self._sobject.name)} ({into}) VALUES ({places})"  # noqa: S608 - names of the schema, quoted
        yield Statement(sql, list(zip(*columns, *map(repeat, constants.values()), strict=False)))

    def _auto_numbers(self, field: Field, count: int) -> list[str | None]:
        """Return the next numbers of an auto-number field; describe does not say its format."""
        first = self._store.next_number(f"{self._sobject.name}.{field.name}", count)
        return [f"{number:0{field.auto_number_digits}}" for number in range(first, first + count)]

    def _updates(self, rows: list[int]) -> Iterator[Statement]:
        if not rows:
            return
        sets: list[str] = []
        columns: list[list[Any]] = []
        for field in self._written():
            values = [self._cells.values[field.name][row] for row in rows]
            name = quoted(field.name)
            if KEEP in values:
                sets.append(f"{name} = CASE WHEN ? THEN ? ELSE {name} END")
                columns.append([value is not KEEP for value in values])
                values = [None if value is KEEP else value for value in values]
            else:
                sets.append(f"{name} = ?")
            columns.append(values)
        for stamp in ("LastModifiedDate", "LastModifiedById", "SystemModstamp"):
            if self._sobject.get(stamp):
                sets.append(f"{quoted(stamp)} = ?")
                columns.append([self._audit(stamp)] * len(rows))
        columns.append([self._record_ids[row] for row in rows])
        sql = f"UPDATE {quoted(self._sobject.name)} SET {', '.join(sets)} WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
        yield Statement(sql, list(zip(*columns, strict=True)))

    def _audit(self, name: str) -> str | None:
        if name in ("CreatedDate", "LastModifiedDate", "SystemModstamp"):
            return self._now
        return self._user_id if name in ("CreatedById", "LastModifiedById") else None

    def _default(self, field: Field) -> Any:
        if field.type == "boolean":
            return int(field.default_value is True)
        if field.name == "OwnerId":
            return self._user_id
        return field.default_value


def _locked(record_id: str) -> RowError:
    return RowError("UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {record_id}")


def _without_value(values: list[Any]) -> list[int]:
    if KEEP not in values and None not in values:
        return []
    return [row for row, value in enumerate(values) if value is KEEP or value is None]


def _required(names: list[str]) -> RowError:
    return RowError("REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", *names)
