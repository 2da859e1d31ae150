"""What can stand where a field can: functions of fields, and the select list of a bulk query.

Each function becomes a :class:`~.names.Named` of the type that it gives. Source: "Date Functions", "Aggregate
Functions", "FORMAT()", "convertCurrency()", "toLabel()", SOQL and SOSL Reference. This org's zone is UTC, its weeks
begin on Sunday and its fiscal year is the calendar year.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, TypeGuard

from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES, Field
from airflow_provider_sfbulk.local_org.soql.errors import Place, Refused, malformed, not_in_bulk, too_complicated
from airflow_provider_sfbulk.local_org.soql.names import Named, Names, text_literal
from airflow_provider_sfbulk.local_org.soql.syntax import Call, ChildItem, FieldItem, Item, Operand, Path, TypeofItem

AGGREGATES: Final = {
    "COUNT": "COUNT({})",
    "COUNT_DISTINCT": "COUNT(DISTINCT {})",
    "SUM": "SUM({})",
    "AVG": "AVG({})",
    "MIN": "MIN({})",
    "MAX": "MAX({})",
}
"""Aggregate functions and their SQL. A bulk query may use them nowhere."""

_MONTH: Final = "CAST(strftime('%m', {0}) AS INTEGER)"
_DAY_OF_YEAR: Final = "CAST(strftime('%j', {0}) AS INTEGER)"

DATE_FUNCTIONS: Final = {
    **dict.fromkeys(("CALENDAR_YEAR", "FISCAL_YEAR"), "CAST(strftime('%Y', {0}) AS INTEGER)"),
    **dict.fromkeys(("CALENDAR_QUARTER", "FISCAL_QUARTER"), f"({_MONTH} + 2) / 3"),
    **dict.fromkeys(("CALENDAR_MONTH", "FISCAL_MONTH"), _MONTH),
    "DAY_IN_MONTH": "CAST(strftime('%d', {0}) AS INTEGER)",
    "DAY_IN_WEEK": "CAST(strftime('%w', {0}) AS INTEGER) + 1",
    "DAY_IN_YEAR": _DAY_OF_YEAR,
    "DAY_ONLY": "substr({0}, 1, 10)",
    "HOUR_IN_DAY": "CAST(strftime('%H', {0}) AS INTEGER)",
    "WEEK_IN_MONTH": "(CAST(strftime('%d', {0}) AS INTEGER) - 1) / 7 + 1",
    "WEEK_IN_YEAR": f"({_DAY_OF_YEAR} - 1) / 7 + 1",
}
"""Date functions and their SQL."""

_OF_MOMENTS: Final = frozenset({"DAY_ONLY", "HOUR_IN_DAY"})

_CONVERTED: Final = {
    "CONVERTCURRENCY": frozenset({"currency"}),
    "TOLABEL": frozenset({"picklist", "multipicklist"}),
    "FORMAT": None,
}
"""Functions that make something else of a field, and the types that they take; None: any."""

_AVERAGE_PLACES: Final = 2
"""Decimal places of ``FORMAT(AVG(…))`` at least."""

_COLUMNS: Final = 2_000
"""Columns of one SQLite statement (``SQLITE_MAX_COLUMN``)."""


def find(operand: Operand, names: Names, *, aggregates: bool = False) -> Named:
    """Return the field, or the function of one, in a condition, a grouping or a sort order.

    :param aggregates: whether aggregate functions can stand there
    :raises Refused: for a function that cannot, and as :meth:`~.names.Names.find`
    """
    if isinstance(operand, Path):
        return names.find(operand)
    name = operand.name.upper()
    if name in DATE_FUNCTIONS:
        return date_part(operand, names)
    if name in AGGREGATES:
        if not aggregates:
            raise _misplaced_aggregate(names, operand.place)
        return aggregate(operand, names)
    if name == "TOLABEL":
        return converted(operand, names)
    raise malformed(f"{operand.name}() is not supported by the local org", operand.place)


def _misplaced_aggregate(names: Names, place: Place) -> Refused:
    if names.in_bulk:
        return not_in_bulk("Aggregate functions")
    return malformed("aggregate functions stand in SELECT and HAVING, and with GROUP BY in ORDER BY", place)


def date_part(call: Call, names: Names) -> Named:
    """Return a date function."""
    argument = call.arguments[0] if len(call.arguments) == 1 else None
    if isinstance(argument, Call) and argument.name.upper() == "CONVERTTIMEZONE" and len(argument.arguments) == 1:
        argument = argument.arguments[0]  # this org's users are in its own zone
    if not isinstance(argument, Path):
        raise malformed(f"{call.name}() takes a date or dateTime field", call.place)
    named = names.find(argument)
    name = call.name.upper()
    if named.field.type not in (("datetime",) if name in _OF_MOMENTS else ("date", "datetime")):
        raise Refused("INVALID_FIELD", f"{call.name}() does not work on field '{named.path}'", call.place)
    kind = Field(name=named.field.name, type="date" if name == "DAY_ONLY" else "int")
    return replace(named, field=kind, sql=f"({DATE_FUNCTIONS[name].format(named.sql)})", place=call.place)


def aggregate(call: Call, names: Names) -> Named:
    """Return an aggregate function of a field."""
    name = call.name.upper()
    argument = call.arguments[0] if len(call.arguments) == 1 else None
    if isinstance(argument, Call):
        inner = date_part(argument, names) if argument.name.upper() in DATE_FUNCTIONS else converted(argument, names)
    elif isinstance(argument, Path):
        inner = names.find(argument)
    else:
        raise malformed(f"{call.name}() takes one field", call.place)
    kind = inner.field
    unfit = is_format(argument) or (name in ("SUM", "AVG") and kind.type not in NUMBER_TYPES)
    if unfit or not kind.can_be("aggregatable"):
        raise malformed(f"field {inner.field.name} does not support aggregate operator {name}", call.place)
    if name.startswith("COUNT"):
        kind = Field(name=kind.name, type="int")
    elif name in ("SUM", "AVG"):
        scale = max(kind.scale, _AVERAGE_PLACES if name == "AVG" else 0)
        kind = Field(name=kind.name, type="double" if kind.type in ("int", "long") else kind.type, scale=scale)
    return replace(inner, field=kind, sql=AGGREGATES[name].format(inner.sql), place=call.place)


def is_format(operand: object) -> TypeGuard[Call]:
    """Whether it is ``FORMAT(…)``."""
    return isinstance(operand, Call) and operand.name.upper() == "FORMAT"


def converted(call: Call, names: Names) -> Named:
    """Return what ``convertCurrency()``, ``toLabel()`` or ``FORMAT()`` makes of a field, or ``FORMAT()`` of one of the
    others. This org has one currency and one language."""
    name = call.name.upper()
    argument = call.arguments[0] if len(call.arguments) == 1 else None
    if name == "FORMAT" and isinstance(argument, Call):
        is_aggregate = argument.name.upper() in AGGREGATES and not names.in_bulk
        inner = aggregate(argument, names) if is_aggregate else converted(argument, names)
    elif name in _CONVERTED and isinstance(argument, Path):
        inner = names.find(argument)
    elif name in DATE_FUNCTIONS:
        raise malformed(f"{call.name}() can only be selected together with GROUP BY", call.place)
    elif name in AGGREGATES:
        raise _misplaced_aggregate(names, call.place)
    else:
        raise malformed(f"{call.name}() is not supported by the local org", call.place)
    kind = inner.field
    taken = _CONVERTED[name]
    is_record_type = name == "TOLABEL" and inner.path.endswith("RecordType.Name")
    if kind.is_compound or not (taken is None or kind.type in taken or is_record_type):
        raise malformed(f"{call.name}() does not work on field '{inner.path}'", call.place)
    if name == "TOLABEL" and kind.picklist_labels:
        labels = json.dumps(dict(zip(kind.picklist_values, kind.picklist_labels, strict=True)))
        shown = replace(kind, picklist_values=kind.picklist_labels, picklist_labels=())
        return replace(inner, field=shown, sql=f"soql_label({inner.sql}, {text_literal(labels)})")
    if name != "FORMAT":
        return inner
    text = Field(name=kind.name, type="string")
    return replace(inner, field=text, sql=f"soql_format({inner.sql}, '{kind.type}', {kind.scale})")


# --- the select list of a bulk query ---


def select_list(items: Iterable[Item], names: Names) -> list[Named]:
    """Return the columns of a bulk query's select list.

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
        called = _called(operand, names)
        return [replace(named, path=item.alias) for named in called] if item.alias else called
    if item.alias is not None:
        raise malformed("only aggregate expressions use field aliasing", operand.place)
    return [_selectable(names.find(operand))]


def _called(call: Call, names: Names) -> list[Named]:
    """Return the columns of a function in the select list."""
    name = call.name.upper()
    if name in AGGREGATES or name == "GROUPING":
        raise not_in_bulk("Aggregate functions")
    argument = call.arguments[0] if len(call.arguments) == 1 else None
    if name == "FIELDS" and isinstance(argument, Path):
        return _expanded(str(argument).upper(), call.place, names)
    return [_selectable(converted(call, names))]


def _expanded(which: str, place: Place, names: Names) -> list[Named]:
    """Return what ``FIELDS()`` stands for.

    The guide's own example of ``FIELDS()`` in a query job is ``FIELDS(STANDARD)`` on Account, which has compound
    fields: they are left out. ``ALL`` and ``CUSTOM`` are "unbounded" and not for Bulk API 2.0.
    """
    if which in {"ALL", "CUSTOM"}:
        raise malformed("The SOQL FIELDS function is not supported with an unbounded set of fields in this API.")
    return [n for n in expanded(which, place, names) if not (n.field.is_compound or n.field.type == "base64")]


def expanded(which: str, place: Place, names: Names) -> list[Named]:
    """Return the fields that ``FIELDS(ALL)``, ``FIELDS(CUSTOM)`` and ``FIELDS(STANDARD)`` stand for."""
    if which not in {"ALL", "CUSTOM", "STANDARD"}:
        raise malformed(f"Invalid field: '{which}'", place)
    fields = names.own_fields(place)
    return fields if which == "ALL" else [n for n in fields if _is_custom(n.field) == (which == "CUSTOM")]


def _is_custom(field: Field) -> bool:
    return field.name.endswith(("__c", "__s", "__pc"))


def _selectable(named: Named) -> Named:
    if named.field.is_compound:
        raise Refused("API_ERROR", "Selecting compound data not supported in Bulk Query")
    if named.field.type == "base64":
        raise Refused("API_ERROR", "Blob field not supported in Bulk V2 Query with CSV content type")
    return named
