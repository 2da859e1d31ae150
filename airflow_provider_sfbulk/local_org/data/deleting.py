"""What else is deleted with records, and what is restored with them.

"Deleting a record deletes the records that cannot be without it": children by master-detail or by a required lookup, and
those of relationships that describe calls ``cascadeDelete``; other lookups to it are cleared. A relationship with
``restrictedDelete`` keeps its parent: the delete fails. What went and what was cleared is remembered in the table
``_bin`` by the record that was asked for, so that ``undelete`` can take all of it back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_sfbulk.local_org.data.schema import ChildRelationship, Field, Schema, SObject
from airflow_provider_sfbulk.local_org.data.store import Store, quoted
from airflow_provider_sfbulk.local_org.data.values import RowError


@dataclass
class Fallout:
    """What deleting some records of one object brings with it.

    :ivar kept: why a record cannot be deleted
    :ivar gone: children that go too: object, id and the record that was asked for
    :ivar cleared: lookups that are cleared: object, field, id and the record that was asked for
    """

    kept: dict[str, RowError] = field(default_factory=dict)
    gone: list[tuple[SObject, str, str]] = field(default_factory=list)
    cleared: list[tuple[SObject, str, str, str]] = field(default_factory=list)


def fallout(store: Store, schema: Schema, sobject: SObject, record_ids: Iterable[str]) -> Fallout:
    """Find everything that depends on some records."""
    found = Fallout()
    seen = set(record_ids)
    level: dict[str, dict[str, str]] = {sobject.name: {record_id: record_id for record_id in seen}}
    while level:
        below: dict[str, dict[str, str]] = {}
        for name, roots in level.items():
            parent = schema.get(name)
            assert parent is not None
            for relationship in schema.children(parent):
                _follow(store, schema, relationship, roots, seen, below, found)
        level = below
    found.gone = [each for each in found.gone if each[-1] not in found.kept]
    found.cleared = [each for each in found.cleared if each[-1] not in found.kept]
    return found


def _follow(
    store: Store,
    schema: Schema,
    relationship: ChildRelationship,
    roots: dict[str, str],
    seen: set[str],
    below: dict[str, dict[str, str]],
    found: Fallout,
) -> None:
    child = schema.get(relationship.child)
    lookup = child.get(relationship.field) if child is not None else None
    if child is None or lookup is None or lookup.derived is not None or lookup.type != "reference":
        return
    column, table = quoted(lookup.name), quoted(child.name)
    sql = f"SELECT Id, {column} FROM {table} WHERE IsDeleted = 0 AND {column} IN ({{}})"  # noqa: S608 - names of the schema, quoted
    for child_id, parent_id in store.select_in(sql, roots):
        root = roots[parent_id]
        if _goes(relationship, lookup):
            if child_id not in seen:
                seen.add(child_id)
                found.gone.append((child, child_id, root))
                below.setdefault(child.name, {})[child_id] = root
        elif relationship.restricted_delete:
            if child_id not in seen:
                found.kept.setdefault(root, _kept(store, schema, root, child, child_id))
        else:
            found.cleared.append((child, lookup.name, child_id, root))


def _goes(relationship: ChildRelationship, lookup: Field) -> bool:
    return relationship.cascade_delete or not (lookup.nillable or lookup.is_system)


def _kept(store: Store, schema: Schema, record_id: str, child: SObject, child_id: str) -> RowError:
    """Return the error of a record that others keep, in words that were seen."""
    return RowError(
        "DELETE_FAILED",
        f"Your attempt to delete {_shown(store, schema.of_id(record_id), record_id)} could not be completed because it is "
        f"associated with the following {(child.label_plural or child.label or child.name).lower()}.: "
        f"{_shown(store, child, child_id)}\n",
    )


def _shown(store: Store, sobject: SObject | None, record_id: str) -> str:
    """Return what people call a record: its name, with what a person is addressed by."""
    if sobject is None:
        return record_id
    name = next((n for n in ("Name", "CaseNumber", "Subject") if sobject.get(n) is not None), "Id")
    shown = [*(["Salutation"] if sobject.get("Salutation") is not None else []), name]
    sql = f"SELECT {', '.join(map(quoted, shown))} FROM {quoted(sobject.name)} WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
    return " ".join(filter(None, store.select(sql, (record_id,))[0])) or record_id


def statements(found: Fallout, *, now: str, for_ever: bool) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Return the SQL of the fallout."""
    written: dict[str, list[tuple[Any, ...]]] = {}
    for child, child_id, root in found.gone:
        table = quoted(child.name)
        if for_ever:
            written.setdefault(f"DELETE FROM {table} WHERE Id = ?", []).append((child_id,))  # noqa: S608 - a name of the schema, quoted
            continue
        written.setdefault(_stamped(child), []).append((*[now] * len(_stamps(child)), child_id))
        written.setdefault(_REMEMBER, []).append((root, child.name, child_id, None))
    for child, lookup, child_id, root in found.cleared:
        sql = f"UPDATE {quoted(child.name)} SET {quoted(lookup)} = NULL WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
        written.setdefault(sql, []).append((child_id,))
        if not for_ever:
            written.setdefault(_REMEMBER, []).append((root, child.name, child_id, lookup))
    return list(written.items())


_REMEMBER = "INSERT OR REPLACE INTO _bin VALUES (?, ?, ?, ?)"


def _stamps(sobject: SObject) -> list[str]:
    return [name for name in ("LastModifiedDate", "SystemModstamp") if sobject.get(name)]


def _stamped(sobject: SObject, deleted: int = 1) -> str:
    sets = "".join(f", {quoted(name)} = ?" for name in _stamps(sobject))
    return f"UPDATE {quoted(sobject.name)} SET IsDeleted = {deleted}{sets} WHERE Id = ?"  # noqa: S608 - names of the schema, quoted


def deletion(
    sobject: SObject, record_ids: Iterable[str], *, now: str, for_ever: bool
) -> tuple[str, list[tuple[Any, ...]]]:
    """Return the SQL that deletes records themselves."""
    if for_ever:
        sql = f"DELETE FROM {quoted(sobject.name)} WHERE Id = ?"  # noqa: S608 - a name of the schema, quoted
        return sql, [(record_id,) for record_id in record_ids]
    return _stamped(sobject), [(*[now] * len(_stamps(sobject)), record_id) for record_id in record_ids]


def undelete(store: Store, schema: Schema, record_id: str, *, now: str) -> None:
    """Restore a record from the recycle bin, with what was deleted with it and the lookups that were cleared.

    :raises LookupError: when it is not there
    """
    sobject = schema.of_id(record_id)
    if sobject is None or not store.select(
        f"SELECT 1 FROM {quoted(sobject.name)} WHERE Id = ? AND IsDeleted = 1",  # noqa: S608 - a name of the schema, quoted
        (record_id,),
    ):
        raise LookupError(f"{record_id} is not in the recycle bin")
    with store.writing() as connection:
        connection.execute(_stamped(sobject, 0), (*[now] * len(_stamps(sobject)), record_id))
        for name, child_id, lookup in connection.execute(
            "SELECT object, id, lookup FROM _bin WHERE root = ?", (record_id,)
        ).fetchall():
            child = schema.get(name)
            if child is None:
                continue
            if lookup is None:
                connection.execute(_stamped(child, 0), (*[now] * len(_stamps(child)), child_id))
            else:
                # Only where nobody has given it another parent since.
                connection.execute(
                    f"UPDATE {quoted(name)} SET {quoted(lookup)} = ? WHERE Id = ? AND {quoted(lookup)} IS NULL",  # noqa: S608 - names of the schema, quoted
                    (record_id, child_id),
                )
        connection.execute("DELETE FROM _bin WHERE root = ?", (record_id,))
