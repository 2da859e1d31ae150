"""``/composite/sobjects``: up to 200 records in a call, each with its own result."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.schema import SObject
from airflow_provider_sfbulk.local_org.data.values import RowError
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError
from airflow_provider_sfbulk.local_org.rest.ask import Answer, Ask
from airflow_provider_sfbulk.local_org.rest.queries import records_of
from airflow_provider_sfbulk.local_org.rest.saving import ROLLED_BACK, RolledBackError, Saved, save_records

RETRIEVED_MOST: Final = 2_000
""""You can specify up to 800 ids in a GET, up to 2,000 with POST"."""


def create(ask: Ask) -> Answer:
    """``POST /composite/sobjects``."""
    return _save(ask, "insert")


def update(ask: Ask) -> Answer:
    """``PATCH /composite/sobjects``."""
    return _save(ask, "update")


def upsert(ask: Ask) -> Answer:
    """``PATCH /composite/sobjects/X/{field}``."""
    sobject = ask.sobject
    key = sobject.get(ask.parts["name"])
    if key is None or not (key.external_id or key.id_lookup):
        message = f"Provided external ID field does not exist or is not accessible: {ask.parts['name']}"
        raise ApiError(404, "NOT_FOUND", message)
    return _save(ask, "upsert", key=key.name, only=sobject)


def delete(ask: Ask) -> Answer:
    """``DELETE /composite/sobjects?ids=``."""
    wanted = [each.strip() for each in ask.query.get("ids", "").split(",") if each.strip()]
    _check_count(wanted)
    groups: list[tuple[SObject | None, Mapping[str, Any]]] = []
    for given in wanted:
        groups.append((ask.core.schema.of_id(given), {"Id": given}))
    saved = _in_one(ask, "delete", groups, all_or_none=ask.flag("allOrNone"))
    return Answer([{"id": each.record_id, **each.body()} for each in saved])


def retrieve(ask: Ask) -> Answer:
    """``GET /composite/sobjects/X?ids=&fields=``, or POST with both in the body."""
    sobject = ask.sobject
    if ask.body is None:
        wanted, names = (ask.query.get(name, "").split(",") for name in ("ids", "fields"))
    else:
        body = ask.object_of("ids", "fields")
        wanted, names = _texts(body, "ids"), _texts(body, "fields")
    if len(wanted) > RETRIEVED_MOST:
        raise ApiError(
            400, "NUMBER_OUTSIDE_VALID_RANGE", f"At most {RETRIEVED_MOST} records can be retrieved in a call"
        )
    names = [name.strip() for name in names if name.strip()]
    for name in names:
        if not name.replace(".", "").replace("_", "").isalnum():
            raise ApiError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject.name}")
    if not names or not wanted:
        raise ApiError(400, "MALFORMED_QUERY", "ids and fields are required")
    full: list[str | None] = []
    for given in wanted:
        try:
            full.append(ids.normalize(given.strip()))
        except ids.MalformedIdError:
            raise ApiError(400, "MALFORMED_ID", f"malformed id {given}") from None
    listed = ", ".join(f"'{each}'" for each in dict.fromkeys(full))
    own = [name for name in names if name.lower() != "id"]
    # Id first, to identify the records; it is removed again where nobody asked for it.
    rows = records_of(ask, f"SELECT {', '.join(['Id', *own])} FROM {sobject.name} WHERE Id IN ({listed})")  # noqa: S608 - SOQL
    found = {row["Id"]: row for row in rows}
    if len(own) == len(names):
        for row in rows:
            del row["Id"]
    return Answer([found.get(each or "") for each in full])


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ApiError(400, "JSON_PARSER_ERROR", f"{name} has to be an array of strings")
    return value


def _save(ask: Ask, operation: str, *, key: str | None = None, only: SObject | None = None) -> Answer:
    body = ask.object_of("allOrNone", "records")
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records has to be an array of objects")
    _check_count(records)
    groups = [(_sobject(ask, record, only), _with_id(record, operation)) for record in records]
    saved = _in_one(ask, operation, groups, key=key, all_or_none=body.get("allOrNone") is True)
    return Answer([each.body(with_created=operation == "upsert") for each in saved])


def _in_one(
    ask: Ask,
    operation: str,
    groups: Sequence[tuple[SObject | None, Mapping[str, Any]]],
    *,
    all_or_none: bool,
    key: str | None = None,
) -> list[Saved]:
    """Save records of several objects: neighbours of one object together, all in one transaction."""
    core = ask.core
    saved: list[Saved] = []
    try:
        with core.saving, core.store.writing():
            for sobject, some in itertools.groupby(groups, key=lambda group: group[0]):
                records = [record for _, record in some]
                if sobject is None:
                    error = RowError("MALFORMED_ID", "malformed id")
                    saved += [
                        Saved(None, False, RowError(error.code, f"{error.message} {each.get('Id')}", "Id"))
                        for each in records
                    ]
                else:
                    saved += save_records(core, sobject, operation, records, key=key)
            if all_or_none and any(each.error for each in saved):
                raise RolledBackError
    except RolledBackError:
        return [each if each.error else Saved(None, each.created, ROLLED_BACK) for each in saved]
    return saved


def _sobject(ask: Ask, record: Mapping[str, Any], only: SObject | None) -> SObject:
    attributes = record.get("attributes")
    kind = attributes.get("type") if isinstance(attributes, Mapping) else None
    if kind is None and only is not None:
        return only
    if not isinstance(kind, str):
        raise ApiError(400, "INVALID_TYPE", "attributes.type is required on each record")
    sobject = ask.core.schema.get(kind)
    if sobject is None or (only is not None and sobject is not only):
        raise NotFoundError
    return sobject


def _with_id(record: Mapping[str, Any], operation: str) -> Mapping[str, Any]:
    """Return a record whose id is called ``Id``: callers write ``id`` too."""
    named = {"Id" if name.lower() == "id" else name: value for name, value in record.items()}
    attributes = named.get("attributes")
    address = attributes.get("url") if isinstance(attributes, Mapping) else None
    if operation == "update" and "Id" not in named and isinstance(address, str):
        named["Id"] = address.rpartition("/")[2]
    return named


def _check_count(records: Sequence[Any]) -> None:
    if len(records) > limits.CHUNK_RECORDS:
        message = f"record limit reached. cannot submit more than {limits.CHUNK_RECORDS} records into this call"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", message)
