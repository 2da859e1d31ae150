"""The select list of a bulk query, and what may not stand in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from airflow_provider_sfbulk.local_org.data.schema import Field
from airflow_provider_sfbulk.local_org.soql.errors import Place, Refused, malformed, not_in_bulk, too_complicated
from airflow_provider_sfbulk.local_org.soql.names import Named, Names
from airflow_provider_sfbulk.local_org.soql.syntax import Call, ChildItem, FieldItem, Item, Path, TypeofItem

AGGREGATES: Final = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX", "GROUPING"})
"""Functions that a bulk query may use nowhere."""

_COLUMNS: Final = 2_000
"""Columns of one SQLite statement (``SQLITE_MAX_COLUMN``)."""


def select_list(items: Iterable[Item], names: Names) -> list[Named]:
    """Return the columns of a select list.

    :raises Refused: for what no bulk query can select, for a field selected twice, and as :meth:`~.names.Names.find`
    """
    columns: dict[str, Named] = {}
    for item in items:
        for named in _selected_fields(item, names):
            if named.path in columns:
                code = "INVALID_FIELD" if _is_fields(item) else "MALFORMED_QUERY"
                raise Refused(code, f"duplicate field selected: {named.path}")
            columns[named.path] = named
    if not columns:
        raise malformed("'FIELDS(...)' expansion function must result in at least one field being selected.")
    if len(columns) > _COLUMNS:
        raise too_complicated()
    return list(columns.values())


def _is_fields(item: Item) -> bool:
    return isinstance(item, FieldItem) and isinstance(item.operand, Call) and item.operand.name.upper() == "FIELDS"


def _selected_fields(item: Item, names: Names) -> list[Named]:
    if isinstance(item, ChildItem):
        raise Refused("API_ERROR", "Aggregate Relationships not supported in Bulk V2 Query with CSV content type")
    if isinstance(item, TypeofItem):
        raise not_in_bulk("TYPEOF")
    operand = item.operand
    if isinstance(operand, Call):
        return _called(operand, names)
    if item.alias is not None:
        raise malformed("only aggregate expressions use field aliasing", operand.place)
    return [_selectable(names.find(operand))]


def _called(call: Call, names: Names) -> list[Named]:
    """Return the columns of a function in the select list."""
    name = call.name.upper()
    if name in AGGREGATES:
        raise not_in_bulk("Aggregate functions")
    argument = call.arguments[0] if len(call.arguments) == 1 else None
    if name == "FIELDS" and isinstance(argument, Path):
        return _expanded(str(argument).upper(), call.place, names)
    if name == "TOLABEL" and isinstance(argument, Path):
        named = _selectable(names.find(argument))
        # In this org the label of a picklist value is the value itself.
        if named.field.type in {"picklist", "multipicklist"}:
            return [named]
    raise malformed(f"{call.name}() is not supported by the local org", call.place)


def _expanded(which: str, place: Place, names: Names) -> list[Named]:
    """Return what ``FIELDS()`` stands for.

    The guide's own example of ``FIELDS()`` in a query job is ``FIELDS(STANDARD)`` on Account, which has compound
    fields: they are left out. ``ALL`` and ``CUSTOM`` are "unbounded" and not for Bulk API 2.0.
    """
    if which in {"ALL", "CUSTOM"}:
        raise malformed("The SOQL FIELDS function is not supported with an unbounded set of fields in this API.")
    if which != "STANDARD":
        raise malformed(f"Invalid field: '{which}'", place)
    fields = names.own_fields(place)
    return [n for n in fields if not (n.field.is_compound or n.field.type == "base64" or _is_custom(n.field))]


def _is_custom(field: Field) -> bool:
    return field.name.endswith(("__c", "__s", "__pc"))


def _selectable(named: Named) -> Named:
    if named.field.is_compound:
        raise Refused("API_ERROR", "Selecting compound data not supported in Bulk Query")
    if named.field.type == "base64":
        raise Refused("API_ERROR", "Blob field not supported in Bulk V2 Query with CSV content type")
    return named
