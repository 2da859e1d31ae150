"""From one comparison of a ``WHERE`` clause to SQL, with the checks that Salesforce makes of field, operator and value.

Truth has two values in SOQL. A comparison with a null field is false (``=`` and ``IN`` may ask for null itself), and
``!=``, ``NOT IN``, ``EXCLUDES`` and ``NOT`` are the plain opposite, so they do return records whose field is null.
SQLite's third value never gets further than one comparison: negations are written ``(...) IS NOT TRUE``, and AND, OR
and WHERE take unknown for false.

Values reach SQLite as parameters only. An equality or ``IN`` on an id uses the table's key; on text of ASCII it is
written with ``COLLATE NOCASE``, on other text as ``soql_fold(column) = ?``, and an index of the same form serves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from airflow_provider_sfbulk.local_org.data import ids
from airflow_provider_sfbulk.local_org.data.schema import NUMBER_TYPES, Field
from airflow_provider_sfbulk.local_org.soql import dates, literals
from airflow_provider_sfbulk.local_org.soql.errors import Refused, invalid_field, malformed, unexpected
from airflow_provider_sfbulk.local_org.soql.functions import fold
from airflow_provider_sfbulk.local_org.soql.names import Named
from airflow_provider_sfbulk.local_org.soql.syntax import Kind, Value


class Sql(NamedTuple):
    """A piece of SQL and its parameters, in the order of their question marks."""

    text: str
    parameters: tuple[object, ...] = ()


class Category(Enum):
    """Types of fields that are compared alike; the value is their name in error messages."""

    TEXT = "string"
    ID = "id"
    NUMBER = "double"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "dateTime"
    TIME = "time"
    MULTIPICKLIST = "multi-select picklist"


_CATEGORIES: Final = {
    "id": Category.ID,
    "reference": Category.ID,
    "boolean": Category.BOOLEAN,
    "date": Category.DATE,
    "datetime": Category.DATETIME,
    "time": Category.TIME,
    "multipicklist": Category.MULTIPICKLIST,
    **dict.fromkeys(NUMBER_TYPES, Category.NUMBER),
}

_EQUALITY: Final = frozenset({"=", "!="})
_LISTS: Final = frozenset({"IN", "NOT IN"})
_ORDER: Final = frozenset({"<", "<=", ">", ">="})
_SETS: Final = frozenset({"INCLUDES", "EXCLUDES"})
_NEGATED: Final = {"!=": "=", "NOT IN": "IN", "EXCLUDES": "INCLUDES"}

_OPERATORS: Final = {
    Category.TEXT: _EQUALITY | _LISTS | _ORDER | {"LIKE"},
    Category.ID: _EQUALITY | _LISTS | _ORDER,
    Category.NUMBER: _EQUALITY | _LISTS | _ORDER,
    Category.BOOLEAN: _EQUALITY | _LISTS,
    Category.DATE: _EQUALITY | _LISTS | _ORDER,
    Category.DATETIME: _EQUALITY | _LISTS | _ORDER,
    Category.TIME: _EQUALITY | _LISTS | _ORDER,
    # "The following operators are supported for querying multi-select picklists": = != includes excludes.
    Category.MULTIPICKLIST: _EQUALITY | _SETS,
}
"""Which operators a field takes. "The LIKE operator is supported for string fields only"."""

_CURRENCY: Final = re.compile(r"[A-Z]{3}\d+")

_LITERALS: Final = {
    Category.TEXT: Kind.STRING,
    Category.ID: Kind.STRING,
    Category.MULTIPICKLIST: Kind.STRING,
    Category.NUMBER: Kind.NUMBER,
    Category.DATE: Kind.DATE,
    Category.DATETIME: Kind.DATETIME,
    Category.TIME: Kind.TIME,
}

_STORED: Final[dict[Category, Callable[[Value], str | int | float]]] = {
    Category.NUMBER: literals.number,
    Category.DATE: literals.date_text,
    Category.DATETIME: literals.datetime_text,
    Category.TIME: literals.time_text,
}


@dataclass(frozen=True, slots=True)
class _Between:
    """A relative date literal as the field stores it: from ``start`` up to and without ``end``."""

    start: str
    end: str


_Meaning: TypeAlias = str | int | float | _Between | None


def category(field: Field) -> Category:
    """Return how a field is compared."""
    return _CATEGORIES.get(field.type, Category.TEXT)


def check_filterable(named: Named) -> None:
    """Refuse a field that no ``WHERE`` can name."""
    field = named.field
    if field.type in {"address", "location"}:
        kind = "Address" if field.type == "address" else "Geolocation"
        raise invalid_field(f"{kind} fields can only be filtered using Distance expressions", named.place)
    if not field.can_be("filterable"):
        raise invalid_field(f"field '{field.name}' can not be filtered in a query call", named.place)


def check_sortable(named: Named) -> None:
    """Refuse a field that no ``ORDER BY`` can name."""
    if not named.field.can_be("sortable"):
        raise malformed(f"field '{named.field.name}' can not be sorted in a query call", named.place)


def sort_key(named: Named) -> Sql:
    """Return what to sort a field by.

    Text by its upper case; "picklist sorting is defined by the picklist sort determined during setup".
    """
    if named.field.type == "picklist" and named.field.picklist_values:
        values = named.field.picklist_values
        cases = " ".join(f"WHEN ? THEN {rank}" for rank in range(len(values)))
        ranks = f"CASE soql_fold({named.sql}) {cases} ELSE {len(values)} END"
        return Sql(f"CASE WHEN {named.sql} IS NOT NULL THEN {ranks} END", tuple(fold(value) for value in values))
    if category(named.field) is Category.TEXT:
        return Sql(named.sql if named.field.case_sensitive else f"soql_fold({named.sql})")
    return Sql(named.sql)


def comparison(named: Named, operator: str, values: Sequence[Value], now: datetime) -> Sql:
    """Return the SQL of ``field operator values``.

    :param operator: in upper case, as :class:`~.syntax.Comparison` has it
    :param now: the moment that relative dates start from
    :raises Refused: ``INVALID_FIELD`` for a value of the wrong type, ``INVALID_QUERY_FILTER_OPERATOR`` for an operator
        that the field does not take and for a text that is not an id, ``MALFORMED_QUERY`` for what is not a value
    """
    check_filterable(named)
    kind = category(named.field)
    if operator not in _OPERATORS[kind]:
        raise _wrong_operator(named, kind)
    if operator in _NEGATED:
        positive = comparison(named, _NEGATED[operator], values, now)
        return Sql(f"({positive.text}) IS NOT TRUE", positive.parameters)
    if operator == "LIKE":
        return _like(named, values[0])
    meanings = [_meaning(named, kind, value, now) for value in values]
    if operator == "INCLUDES":
        return _includes(named, meanings)
    if operator in _ORDER:
        return _ordered(named, kind, operator, meanings[0])
    return _equals(named, kind, meanings)


def _wrong_operator(named: Named, kind: Category) -> Refused:
    return Refused("INVALID_QUERY_FILTER_OPERATOR", f"invalid operator on {kind.value} field", named.place)


def _meaning(named: Named, kind: Category, value: Value, now: datetime) -> _Meaning:
    """Return a value as the field would store it."""
    if value.kind is Kind.WORD:
        return _word(named, kind, value, now)
    if value.kind is not _LITERALS.get(kind):
        raise _wrong_type(named, kind)
    if kind in _STORED:
        return _STORED[kind](value)
    text = literals.string(value)
    if text == "":  # "Null and the empty string are one and the same"
        return None
    if kind is Category.ID:
        try:
            return ids.recase(text)
        except ids.MalformedIdError as error:
            raise Refused("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {text}", named.place) from error
    return text


def _word(named: Named, kind: Category, value: Value, now: datetime) -> _Meaning:
    word = value.text.upper()
    if value.count is None and word == "NULL":
        return None
    if value.count is None and word in {"TRUE", "FALSE"}:
        if kind is not Category.BOOLEAN:
            raise _wrong_type(named, kind)
        return int(word == "TRUE")
    count = None if value.count is None else literals.whole_number(value.count, value.place)
    try:
        span = dates.span(word, count, now)
    except OverflowError as error:
        raise malformed(f"Invalid date: {value.text}:{value.count}", value.place) from error
    if span is None and kind is Category.NUMBER and _CURRENCY.fullmatch(word):
        raise malformed("currency literals such as USD5000 are not supported by the local org", value.place)
    if span is None:
        raise unexpected(value.text, value.place)
    if kind is Category.DATE:
        first, past = span.dates()
        return _Between(first.isoformat(), past.isoformat())
    if kind is Category.DATETIME:
        return _Between(literals.stored_datetime(span.start), literals.stored_datetime(span.end))
    raise _wrong_type(named, kind)


def _wrong_type(named: Named, kind: Category) -> Refused:
    name = {Category.ID: "ID", Category.MULTIPICKLIST: "string"}.get(kind, kind.value)
    if kind is Category.NUMBER and named.field.type in {"int", "long"}:
        name = named.field.type
    quotes = "should be" if _LITERALS.get(kind) is Kind.STRING else "should not be"
    return invalid_field(
        f"value of filter criterion for field '{named.field.name}' must be of type {name} "
        f"and {quotes} enclosed in quotes",
        named.place,
    )


def _equals(named: Named, kind: Category, meanings: Iterable[_Meaning]) -> Sql:
    """Return whether the field has one of the values."""
    different = dict.fromkeys(meanings)
    spans = [meaning for meaning in different if isinstance(meaning, _Between)]
    plain = [meaning for meaning in different if not (meaning is None or isinstance(meaning, _Between))]
    parts = [_one_of(named, kind, plain)] if plain else []
    parts += [Sql(f"({named.sql} >= ? AND {named.sql} < ?)", (span.start, span.end)) for span in spans]
    if None in different:
        parts.append(Sql(f"{named.sql} IS NULL"))
        if kind is Category.BOOLEAN:  # "If you run a query on a boolean field, null matches FALSE values"
            parts.append(Sql(f"{named.sql} = 0"))
    return joined("OR", parts)


def _one_of(named: Named, kind: Category, values: Sequence[object]) -> Sql:
    if kind not in {Category.TEXT, Category.MULTIPICKLIST}:
        return _in(named.sql, values)
    if named.field.case_sensitive:
        return _in(f"{named.sql} COLLATE BINARY", values)
    texts = [str(value) for value in values]
    simple = [text for text in texts if _is_simple(text)]
    folded = list(dict.fromkeys(fold(text) for text in texts if not _is_simple(text)))
    parts = [_in(f"{named.sql} COLLATE NOCASE", simple)] if simple else []
    parts += [_in(f"soql_fold({named.sql})", folded)] if folded else []
    return joined("OR", parts)


def _is_simple(text: str) -> bool:
    """Whether SQLite's ``NOCASE`` compares it as :func:`fold` does: ASCII, and without the character where C stops."""
    return text.isascii() and "\0" not in text


def _in(sql: str, values: Sequence[object]) -> Sql:
    if len(values) == 1:
        return Sql(f"{sql} = ?", (values[0],))
    return Sql(f"{sql} IN ({', '.join('?' * len(values))})", tuple(values))


def _ordered(named: Named, kind: Category, operator: str, meaning: _Meaning) -> Sql:
    """Whether the field is on that side of the value, or of the whole span of a relative date."""
    if meaning is None:
        raise _wrong_operator(named, kind)
    if isinstance(meaning, _Between):
        return {
            "<": Sql(f"{named.sql} < ?", (meaning.start,)),
            "<=": Sql(f"{named.sql} < ?", (meaning.end,)),
            ">": Sql(f"{named.sql} >= ?", (meaning.end,)),
            ">=": Sql(f"{named.sql} >= ?", (meaning.start,)),
        }[operator]
    if kind is Category.TEXT and not named.field.case_sensitive:
        return Sql(f"soql_fold({named.sql}) {operator} ?", (fold(str(meaning)),))
    return Sql(f"{named.sql} {operator} ?", (meaning,))


def _like(named: Named, value: Value) -> Sql:
    """Return the match with a pattern: in any case for most fields, exactly for case-sensitive ones."""
    if value.kind is not Kind.STRING:
        raise _wrong_type(named, Category.TEXT)
    characters = literals.like_pattern(value)
    if named.field.case_sensitive:
        return Sql(f"{named.sql} GLOB ?", ("".join(_glob(c, wild=wild) for c, wild in characters),))
    pattern = "".join(c if wild or c not in "%_\\" else f"\\{c}" for c, wild in characters)
    if _is_simple(pattern):
        return Sql(f"{named.sql} LIKE ? ESCAPE '\\'", (pattern,))
    return Sql(f"soql_fold({named.sql}) LIKE ? ESCAPE '\\'", (fold(pattern),))


def _glob(character: str, *, wild: bool) -> str:
    if wild:
        return "*" if character == "%" else "?"
    return f"[{character}]" if character in "*?[" else character


def _includes(named: Named, meanings: Sequence[_Meaning]) -> Sql:
    parts = [
        Sql(f"{named.sql} IS NULL") if meaning is None else Sql(f"soql_includes({named.sql}, ?)", (meaning,))
        for meaning in meanings
    ]
    return joined("OR", parts)


_TERMS: Final = 30
"""Terms joined without parentheses. SQLite counts each as a level of depth, and has room for a thousand."""


def joined(operator: str, parts: Sequence[Sql]) -> Sql:
    """Join pieces with AND or OR. The result is in parentheses when it has more than one."""
    while len(parts) > 1:
        groups = (parts[start : start + _TERMS] for start in range(0, len(parts), _TERMS))
        parts = [group[0] if len(group) == 1 else _group(operator, group) for group in groups]
    return parts[0]


def _group(operator: str, parts: Sequence[Sql]) -> Sql:
    text = f" {operator} ".join(part.text for part in parts)
    return Sql(f"({text})", tuple(parameter for part in parts for parameter in part.parameters))
