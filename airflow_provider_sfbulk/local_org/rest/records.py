"""``/sobjects/X``: one record at a time, by its id or by an external id."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.describe import describe_summary
from airflow_provider_sfbulk.local_org.data.schema import Field, SObject
from airflow_provider_sfbulk.local_org.data.store import quoted
from airflow_provider_sfbulk.local_org.data.values import RowError, converter
from airflow_provider_sfbulk.local_org.http.replies import ApiError, NotFoundError
from airflow_provider_sfbulk.local_org.rest.ask import Answer, Ask
from airflow_provider_sfbulk.local_org.rest.queries import records_of
from airflow_provider_sfbulk.local_org.rest.run import Record
from airflow_provider_sfbulk.local_org.rest.saving import Saved, refusal, save_records

UPSERT_ANSWERS_SINCE = 46.0
"""From this version on an upsert that updates answers 200 with a body, before 204 without."""


def basics(ask: Ask) -> Answer:
    """``GET /sobjects/X``."""
    return Answer({"objectDescribe": describe_summary(ask.sobject, ask.version), "recentItems": []})


def create(ask: Ask) -> Answer:
    """``POST /sobjects/X``."""
    sobject, record = ask.sobject, ask.object_of()
    _refuse_id(record)
    with ask.core.saving:
        (saved,) = save_records(ask.core, sobject, "insert", [record])
    return _created(ask, sobject, saved)


def read(ask: Ask) -> Answer:
    """``GET /sobjects/X/{id}``, all fields or those of ``fields``."""
    sobject = ask.sobject
    return Answer(_read(ask, sobject, _record_id(ask, sobject)))


def update(ask: Ask) -> Answer:
    """``PATCH /sobjects/X/{id}``."""
    sobject, record = ask.sobject, ask.object_of()
    _refuse_id(record)
    with ask.core.saving:
        record_id = _record_id(ask, sobject)
        (saved,) = save_records(ask.core, sobject, "update", [{**record, "Id": record_id}])
    _check(saved)
    return Answer(status=204)


def delete(ask: Ask) -> Answer:
    """``DELETE /sobjects/X/{id}``."""
    sobject = ask.sobject
    with ask.core.saving:
        (saved,) = save_records(ask.core, sobject, "delete", [{"Id": _record_id(ask, sobject)}])
    _check(saved)
    return Answer(status=204)


def read_by_key(ask: Ask) -> Answer:
    """``GET /sobjects/X/{field}/{value}``, and ``GET /sobjects/X/{id}/{relationship}``: its children, or its parent."""
    sobject = ask.sobject
    if _is_id(sobject, ask.parts["name"]):
        return Answer(_related(ask, sobject, _record_id(ask, sobject), ask.parts["value"]))
    with _one_match(ask, sobject) as record_id:
        if record_id is None:
            raise NotFoundError
        return Answer(_read(ask, sobject, record_id))


def upsert_by_key(ask: Ask) -> Answer:
    """``PATCH /sobjects/X/{field}/{value}``: 201 when it creates the record."""
    sobject, record = ask.sobject, ask.object_of()
    with ask.core.saving, _one_match(ask, sobject) as record_id:
        field = _key(ask, sobject)
        _refuse_id(record)
        values = {name: value for name, value in record.items() if name.lower() != field.name.lower()}
        if record_id is not None:
            (saved,) = save_records(ask.core, sobject, "update", [{**values, "Id": record_id}])
        elif field.name == "Id":
            raise _unknown_key(ask.parts["value"])
        elif ask.flag("updateOnly"):
            raise NotFoundError
        else:
            (saved,) = save_records(ask.core, sobject, "insert", [{**values, field.name: ask.parts["value"]}])
    if saved.error is None and not saved.created:
        if float(ask.version) < UPSERT_ANSWERS_SINCE:
            return Answer(status=204)
        return Answer(saved.body(with_created=True))
    return _created(ask, sobject, saved, with_created=True)


def delete_by_key(ask: Ask) -> Answer:
    """``DELETE /sobjects/X/{field}/{value}``."""
    sobject = ask.sobject
    with ask.core.saving, _one_match(ask, sobject) as record_id:
        if record_id is None:
            raise NotFoundError
        (saved,) = save_records(ask.core, sobject, "delete", [{"Id": record_id}])
    _check(saved)
    return Answer(status=204)


def updated(ask: Ask) -> Answer:
    """``GET /sobjects/X/updated?start=&end=``."""
    start, end = _span(ask)
    rows = _stamped(ask, start, end, deleted=False)
    return Answer({"ids": [record_id for record_id, _ in rows], "latestDateCovered": clock.in_json(end)})


def deleted(ask: Ask) -> Answer:
    """``GET /sobjects/X/deleted?start=&end=``."""
    start, end = _span(ask)
    rows = _stamped(ask, start, end, deleted=True)
    return Answer(
        {
            "deletedRecords": [
                {"id": record_id, "deletedDate": clock.in_json(datetime.fromisoformat(when))}
                for record_id, when in rows
            ],
            "earliestDateAvailable": clock.in_json(_earliest(ask)),
            "latestDateCovered": clock.in_json(end),
        }
    )


# --- what they have in common ---


def _created(ask: Ask, sobject: SObject, saved: Saved, *, with_created: bool = False) -> Answer:
    _check(saved)
    location = {"Location": f"{ask.base}/sobjects/{sobject.name}/{saved.record_id}"}
    return Answer(saved.body(with_created=with_created), 201, location)


def _check(saved: Saved) -> None:
    if saved.error is not None:
        raise refusal(saved.error)


def _refuse_id(record: Mapping[str, Any]) -> None:
    if any(name.lower() == "id" for name in record):
        raise ApiError(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")


def _record_id(ask: Ask, sobject: SObject) -> str:
    """Return the id of the record that the path names.

    :raises ApiError: 404 when it is not there
    """
    given = ask.parts["name"]
    try:
        record_id = ids.normalize(given)
    except ids.MalformedIdError:
        raise _unknown_key(given) from None
    sql = f"SELECT IsDeleted FROM {quoted(sobject.name)} WHERE Id = ?"  # noqa: S608 - a name of the schema, quoted
    rows = ask.core.store.select(sql, (record_id,))
    if not rows:
        raise NotFoundError
    if rows[0][0]:
        raise ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", fields=())
    return record_id


def _is_id(sobject: SObject, name: str) -> bool:
    try:
        return ids.normalize(name).startswith(sobject.key_prefix)
    except ids.MalformedIdError:
        return False


def _related(ask: Ask, sobject: SObject, record_id: str, relationship: str) -> Any:
    """Return the children of a record as a query would, or its parent.

    :raises NotFoundError: for no such relationship, and where there is no parent
    """
    children = ask.core.schema.child(sobject, relationship)
    lookup = sobject.by_relationship(relationship)
    if children is not None:
        child = ask.core.schema.get(children.child)
        assert child is not None
        found = _select(ask, child, f"{children.field} = '{record_id}'")
        return {"totalSize": len(found), "done": True, "records": found}
    if lookup is None:
        raise NotFoundError
    sql = f"SELECT {quoted(lookup.name)} FROM {quoted(sobject.name)} WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
    parent_id = ask.core.store.select(sql, (record_id,))[0][0]
    parent = None if parent_id is None else ask.core.schema.of_id(parent_id)
    if parent is None:
        raise NotFoundError
    return _read(ask, parent, parent_id)


def _unknown_key(name: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", f"Provided external ID field does not exist or is not accessible: {name}")


def _key(ask: Ask, sobject: SObject) -> Field:
    """Return the field that the path names: an external id, or one that looks up."""
    field = sobject.get(ask.parts["name"])
    if field is None or not (field.external_id or field.id_lookup):
        raise _unknown_key(ask.parts["name"])
    return field


@contextmanager
def _one_match(ask: Ask, sobject: SObject) -> Iterator[str | None]:
    """Yield the id of the record that the path's field and value name, or None.

    :raises ApiError: for a value of another type; 300 when it names several
    """
    field = _key(ask, sobject)
    value: Any = ask.parts["value"]
    if field.type == "id":
        try:
            value = ids.normalize(value)
        except ids.MalformedIdError:
            raise _unknown_key(value) from None
    else:
        try:
            value = converter(field, 0, {})(value)
        except RowError as error:
            raise ApiError(400, error.code, error.message, fields=error.fields) from error
    found = next(iter(ask.core.store.owners(sobject, field, {value}).values()), [])
    if len(found) > 1:
        raise SeveralError([f"{ask.base}/sobjects/{sobject.name}/{record_id}" for record_id in found])
    yield found[0] if found else None


class SeveralError(ApiError):
    """An external id that several records have: 300 with their addresses."""

    def __init__(self, addresses: list[str]) -> None:
        super().__init__(300, "MULTIPLE_CHOICES", "several records have this external id")
        self._addresses = addresses

    @property
    def body(self) -> Any:
        """What the answer's body says."""
        return self._addresses


def _read(ask: Ask, sobject: SObject, record_id: str) -> Record:
    return _select(ask, sobject, f"Id = '{record_id}'")[0]


def _select(ask: Ask, sobject: SObject, condition: str) -> list[Record]:
    """Return records with all fields, or those of ``fields``."""
    names = ask.query.get("fields")
    wanted = names if names is not None else ",".join(field.name for field in sobject.fields.values())
    if not re.fullmatch(r"[\w.,\s]+", wanted):
        raise ApiError(400, "INVALID_FIELD", f"No such column '{wanted}' on sobject of type {sobject.name}")
    # Without its own name in front of the fields' the query could not be distinguished from others that a caller writes.
    return records_of(ask, f"SELECT {wanted} FROM {sobject.name} WHERE {condition}")  # noqa: S608 - SOQL


def _earliest(ask: Ask) -> datetime:
    return ask.core.clock.now() - timedelta(days=limits.REPLICATION_DAYS)


def _span(ask: Ask) -> tuple[datetime, datetime]:
    """Return the moments between which records were changed.

    "Results are returned for no more than 30 days before the day the call is executed" (a call that began exactly 30 days
    ago was seen to be refused); the start "must chronologically precede" the end "by more than one minute", and in the live
    tests of jsforce by exactly one. The words are those commonly reported.

    :raises ApiError: ``INVALID_REPLICATION_DATE`` for others
    """
    moments = []
    for name in ("start", "end"):
        try:
            moment = datetime.fromisoformat(ask.query.get(name, "").replace(" ", "+").replace("Z", "+00:00"))
            moments.append(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
        except (ValueError, OverflowError) as error:
            message = f"{name} is not a date and time: {ask.query.get(name, '')}"
            raise ApiError(400, "INVALID_REPLICATION_DATE", message) from error
    if moments[1] - moments[0] < timedelta(minutes=1):
        message = "endDate must be at least one minute greater than startDate"
        raise ApiError(400, "INVALID_REPLICATION_DATE", message)
    if moments[0] <= _earliest(ask):
        message = f"startDate cannot be more than {limits.REPLICATION_DAYS} days ago"
        raise ApiError(400, "INVALID_REPLICATION_DATE", message)
    return moments[0], moments[1]


def _stamped(ask: Ask, start: datetime, end: datetime, *, deleted: bool) -> list[tuple[str, str]]:
    sobject = ask.sobject
    if sobject.get("SystemModstamp") is None:
        return []
    sql = (
        f"SELECT Id, SystemModstamp FROM {quoted(sobject.name)} WHERE IsDeleted = ? AND SystemModstamp >= ? "  # noqa: S608 - a name of the schema, quoted
        "AND SystemModstamp < ? ORDER BY Id"
    )
    return [
        (row[0], row[1]) for row in ask.core.store.select(sql, (int(deleted), clock.in_csv(start), clock.in_csv(end)))
    ]
