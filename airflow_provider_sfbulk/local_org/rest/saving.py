"""Records of the REST API on their way in: JSON to the columns that all saving works on, and what became of each.

A field that a record does not name is left alone; ``null`` and ``""`` clear it ("Null and the empty string are one and
the same"). A parent may be given by its external id: ``{"Account": {"External_Key__c": "A-1"}}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from airflow_provider_sfbulk.local_org import save
from airflow_provider_sfbulk.local_org.bulk2.csv_in import JobFailedError
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import columns
from airflow_provider_sfbulk.local_org.data.columns import Plan
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.values import NotOfTypeError, RowError
from airflow_provider_sfbulk.local_org.http.replies import ApiError
from airflow_provider_sfbulk.local_org.rest.ask import Number

NULL: Final = "\0null"
"""Stands for null among the texts; no JSON of a person has it."""

ROLLED_BACK: Final = RowError(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


@dataclass(frozen=True)
class Saved:
    """What became of a record.

    :ivar record_id: None: it failed before one was known
    :ivar created: whether it is new, or would be had it not failed
    """

    record_id: str | None
    created: bool
    error: RowError | None = None

    def body(self, *, with_created: bool = False) -> dict[str, Any]:
        """Return it as collections answer."""
        body: dict[str, Any] = {"id": self.record_id, "success": True, "errors": []}
        if self.error is not None:
            body = {"success": False, "errors": [error_body(self.error)]}
        return {**body, "created": self.created} if with_created else body


class RolledBackError(Exception):
    """Leaves a transaction whose records all have to go."""


def error_body(error: RowError) -> dict[str, Any]:
    """Return an error inside a list of results."""
    return {"statusCode": error.code, "message": error.message, "fields": list(error.fields)}


def refusal(error: RowError) -> ApiError:
    """Return the error of a call about one record."""
    return ApiError(400, error.code, error.message, fields=error.fields)


def save_records(
    core: Core,
    sobject: SObject,
    operation: str,
    records: Sequence[Mapping[str, Any]],
    *,
    key: str | None = None,
) -> list[Saved]:
    """Save records of one object. The caller holds ``core.saving`` and, where several calls belong together, a
    transaction.

    :param operation: ``insert``, ``update``, ``upsert``, ``delete``
    :param key: field that an upsert matches by
    :raises ApiError: for what no record could be read from: unknown fields, values of another type
    """
    if not records:
        return []
    header, texts = _table(sobject, records)
    wanted = key if operation == "upsert" else "Id" if operation != "insert" else None
    if wanted is not None and wanted.lower() not in map(str.lower, header):
        # Then each record fails by itself. Without the column all would, in the words of the Bulk APIs.
        header, texts = [*header, wanted], [*texts, [""] * len(records)]
    plan = _plan(core, sobject, operation, key, header)
    outcome = save.decide(core, plan, header, texts, user_id=core.credentials.user_id, count=len(records), null=NULL)
    for error in outcome.errors.values():
        if isinstance(error, NotOfTypeError):
            raise _not_of_type(error)
    with core.store.writing() as connection:
        save.write(connection, outcome)
    return [
        Saved(record_id, outcome.created[row] or record_id is None, outcome.errors.get(row))
        for row, record_id in enumerate(outcome.record_ids)
    ]


def _plan(core: Core, sobject: SObject, operation: str, key: str | None, header: Sequence[str]) -> Plan:
    for name in header:
        _check_name(core, sobject, name)
    try:
        return columns.plan(core.schema, sobject, operation, key, header)
    except JobFailedError as error:
        text = str(error).removeprefix("InvalidBatch : ")
        raise ApiError(400, "INVALID_FIELD", text) from error


def _check_name(core: Core, sobject: SObject, name: str) -> None:
    relationship, dot, key = name.rpartition(".")
    if not dot:
        field = sobject.get(name)
        if field is None:
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}")
        if field.is_compound:
            message = f"Unable to create/update fields: {field.name}. Please check the security settings of this field "
            message += "and verify that it is read/write for your profile or permission set."
            raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, fields=(field.name,))
        return
    lookup = sobject.by_relationship(relationship.rpartition(":")[2])
    if lookup is None:
        message = f"No such column '{relationship.rpartition(':')[2]}' on sobject of type {sobject.name}"
        raise ApiError(400, "INVALID_FIELD", message)
    kinds = [parent for each in lookup.reference_to if (parent := core.schema.get(each)) is not None]
    found = [field for parent in kinds if (field := parent.get(key)) is not None]
    if not any(field.external_id or field.id_lookup for field in found):
        raise ApiError(400, "INVALID_FIELD", f"{key} is not an External ID or indexed field for {lookup.name}")


def _table(sobject: SObject, records: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return records as columns, in the order in which their names first appear."""
    spelled: dict[str, str] = {}
    read: list[dict[str, str]] = []
    for record in records:
        values: dict[str, str] = {}
        for name, text in _cells(sobject, record):
            spelled.setdefault(name.lower(), name)
            values[name.lower()] = text
        read.append(values)
    return list(spelled.values()), [[values.get(name, "") for values in read] for name in spelled]


def _cells(sobject: SObject, record: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in record.items():
        if name.lower() == "attributes":
            continue
        if isinstance(value, Mapping):
            if sobject.by_relationship(name) is None:
                raise _unexpected(sobject, name, "START_OBJECT")
            yield from _parent(sobject, name, value)
        else:
            yield name, _text(sobject, name, value)


def _parent(sobject: SObject, name: str, value: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    lookup = sobject.by_relationship(name)
    attributes = value.get("attributes")
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    prefix = f"{kind}:{name}" if kind and lookup is not None and lookup.is_polymorphic else name
    for key, each in value.items():
        if key.lower() == "attributes":
            continue
        if isinstance(each, Mapping):
            raise _unexpected(sobject, name, "START_OBJECT")
        yield f"{prefix}.{key}", _text(sobject, name, each)


def _text(sobject: SObject, name: str, value: Any) -> str:
    if value is None or value == "":
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    raise _unexpected(sobject, name, "START_ARRAY")


def _unexpected(sobject: SObject, name: str, token: str) -> ApiError:
    field = sobject.get(name)
    if field is None and sobject.by_relationship(name) is None:
        return ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}")
    kind = field.type if field is not None else "reference"
    message = f"Cannot deserialize instance of {kind} from {token} value or request may be missing a required field"
    return ApiError(400, "JSON_PARSER_ERROR", f"{message} at [line:1, column:1]")


def _not_of_type(error: NotOfTypeError) -> ApiError:
    kind = "VALUE_STRING"
    if isinstance(error.value, Number):
        kind = "VALUE_NUMBER_INT" if error.value.lstrip("-").isdigit() else "VALUE_NUMBER_FLOAT"
    message = (
        f"Cannot deserialize instance of {error.field.type} from {kind} value {error.value} or request may be missing "
        "a required field at [line:1, column:1]"
    )
    return ApiError(400, "JSON_PARSER_ERROR", message)
