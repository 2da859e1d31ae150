"""From a parsed query and a schema to SQL: the parts that all APIs share, and the query job's one statement with the
refusals that are particular to bulk queries. Queries of the REST API are compiled in ``rest/compile.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.soql import literals
from airflow_provider_sfbulk.local_org.soql.columns import find, select_list
from airflow_provider_sfbulk.local_org.soql.errors import Place, Refused, malformed, not_in_bulk, too_complicated
from airflow_provider_sfbulk.local_org.soql.filters import (
    Category,
    Sql,
    category,
    check_sortable,
    comparison,
    joined,
    sort_key,
)
from airflow_provider_sfbulk.local_org.soql.names import Named, Names
from airflow_provider_sfbulk.local_org.soql.parse import parse
from airflow_provider_sfbulk.local_org.soql.syntax import (
    And,
    Comparison,
    Condition,
    FieldItem,
    Limit,
    Not,
    Or,
    Ordering,
    Path,
    Select,
    SemiJoin,
)

_SUBQUERY_OBJECTS: Final = frozenset({"activityhistory", "attachment", "event", "note", "openactivity", "task"})
""""The following objects aren't currently supported in subqueries", in lower case; and every ...Tag."""

_NESTING: Final = 20
"""Levels of parentheses in the SQL. SQLite's parser before 3.46 overflows at about thirty; SOQL of people has three."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the result.

    :ivar path: as in the CSV header, in the schema's spelling: ``Id``, ``Account.Owner.Name``
    :ivar field: the field that it ends in
    """

    path: str
    field: Field


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """A query ready to run.

    :ivar sobject: the object in FROM
    :ivar columns: the columns of each row, in select order
    :ivar sql: returns one row per record, values as stored
    :ivar parameters: of ``sql``
    :ivar has_limit: whether the query has ``LIMIT``; with it or ``ORDER BY`` the job is not chunked by primary key
    :ivar has_order_by: whether the query has ``ORDER BY``
    :ivar filters_ids: whether the query asks for records by their own id
    :ivar ids: with ``with_ids``: where each record's id stands in a row, by relationship, the record's own by ``""``;
        ids that the query does not select stand behind its columns
    """

    sobject: SObject
    columns: tuple[Column, ...]
    sql: str
    parameters: tuple[object, ...]
    has_limit: bool
    has_order_by: bool
    filters_ids: bool = False
    ids: Mapping[str, int] = field(default_factory=dict)


def compile_query(
    text: str,
    schema: Schema,
    *,
    now: datetime,
    user_id: str | None = None,
    include_deleted: bool = False,
    with_ids: bool = False,
    between: tuple[str | None, str | None] = (None, None),
) -> CompiledQuery:
    """Compile the SOQL of a query job. The connection that runs the SQL needs :func:`~.functions.register`.

    :param now: the moment that relative dates start from, aware
    :param user_id: owner of the records that ``USING SCOPE mine`` asks for
    :param include_deleted: for ``queryAll``: keep records in the recycle bin, and parents there
    :param with_ids: also return the ids of the record and its parents, which results in JSON and XML show
    :param between: only records from the first id on, and before the second
    :raises SoqlError: when Salesforce would refuse to create the job
    """
    try:
        check_length(text)
        compiler = Compiler(schema, now, user_id, include_deleted=include_deleted, in_bulk=True)
        return _bulk_query(compiler, parse(text), with_ids=with_ids, between=between)
    except Refused as refused:
        raise refused.against(text) from refused


def check_length(text: str) -> None:
    """Refuse a query of nothing and one that is too long.

    :raises Refused: ``MALFORMED_QUERY``
    """
    if not text.strip():
        raise malformed("A query string has to be specified")
    if len(text) > limits.SOQL_CHARACTERS:
        raise malformed(f"SOQL statements cannot be longer than {limits.SOQL_CHARACTERS} characters.")


@dataclass(frozen=True, slots=True)
class Above:
    """What stands above a condition, for the rules of semi-joins."""

    depth: int = 0
    in_or: bool = False
    in_not: bool = False
    in_subquery: bool = False


class Compiler:
    """What the clauses of a query mean in SQL.

    :ivar filters_ids: whether a condition so far asks for records by their own id
    """

    def __init__(
        self, schema: Schema, now: datetime, user_id: str | None, *, include_deleted: bool, in_bulk: bool = False
    ) -> None:
        self._schema = schema
        self._now = now
        self._user_id = user_id
        self._include_deleted = include_deleted
        self._in_bulk = in_bulk
        self._semi_joins = 0
        self.filters_ids = False

    def names(self, select: Select, *, prefix: str) -> Names:
        """Return the names of a ``SELECT``."""
        return Names(select, self._schema, prefix=prefix, include_deleted=self._include_deleted, in_bulk=self._in_bulk)

    def conditions(self, select: Select, names: Names) -> list[Sql | None]:
        """Return what a record has to meet to be among the results."""
        return [self._scope(select, names), *self._where(select, names, Above())]

    def order(self, select: Select, names: Names, *, aggregates: bool = False) -> list[Sql]:
        """Return the entries of ``ORDER BY``."""
        if len(select.order) > limits.SOQL_ORDER_FIELDS:
            raise malformed(f"ORDER BY has more than {limits.SOQL_ORDER_FIELDS} fields", select.order[0].operand.place)
        return [_ordering(ordering, names, aggregates=aggregates) for ordering in select.order]

    def _where(self, select: Select, names: Names, above: Above) -> list[Sql | None]:
        not_deleted = names.not_deleted()
        hidden = None if not_deleted is None else Sql(not_deleted)
        return [hidden, None if select.where is None else self.condition(select.where, names, above)]

    def _scope(self, select: Select, names: Names) -> Sql | None:
        """Return the condition of ``USING SCOPE``: ``everything`` and ``mine`` exist here."""
        if select.scope is None or select.scope.lower() == "everything":
            return None
        owner = names.own_field("OwnerId")
        if select.scope.lower() != "mine" or owner is None:
            raise Refused("INVALID_QUERY_SCOPE", f"scope '{select.scope}' is not supported for {names.sobject.name}")
        return Sql(f"{owner.sql} = ?", (self._user_id,))

    def condition(self, condition: Condition, names: Names, above: Above, *, aggregates: bool = False) -> Sql:
        """Return a condition.

        :param aggregates: of ``HAVING``, where aggregate functions can stand
        """
        if above.depth > _NESTING:
            raise too_complicated()
        if isinstance(condition, Comparison):
            named = find(condition.operand, names, aggregates=aggregates)
            self.filters_ids |= named.path == "Id" and not above.in_subquery
            return comparison(named, condition.operator, condition.values, self._now)
        if isinstance(condition, SemiJoin):
            return self._semi_join(condition, names, above)
        is_or, is_not = isinstance(condition, Or), isinstance(condition, Not)
        below = Above(above.depth + 1, above.in_or or is_or, above.in_not or is_not, above.in_subquery)
        if isinstance(condition, Not):
            inner = self.condition(condition.condition, names, below, aggregates=aggregates)
            return Sql(f"({inner.text}) IS NOT TRUE", inner.parameters)
        operator = "AND" if isinstance(condition, And) else "OR"
        parts = [self.condition(part, names, below, aggregates=aggregates) for part in condition.conditions]
        return joined(operator, parts)

    def _semi_join(self, join: SemiJoin, names: Names, above: Above) -> Sql:
        """Return ``IN (SELECT ...)``. The rules are those of "Considerations for Semi-Join and Anti-Join Queries"."""
        outer = find(join.operand, names)
        place = outer.place
        self.filters_ids |= outer.path == "Id"
        self._semi_joins += 1
        if above.in_subquery:
            raise malformed("Nesting of semi join sub-selects is not supported", place)
        if above.in_or:
            raise malformed("Semi join sub-selects are not allowed with the 'OR' operator", place)
        if above.in_not:
            raise malformed("Semi join sub-selects are not allowed with the 'NOT' operator", place)
        if self._semi_joins > limits.SOQL_SEMI_JOINS:
            raise malformed(f"Maximum {limits.SOQL_SEMI_JOINS} semi join sub-selects are allowed", place)
        if category(outer.field) is not Category.ID or outer.is_parent:
            raise malformed(f"The left operand '{outer.path}' of a semi join must be an id or reference field", place)
        inner_names = self.names(join.select, prefix=f"s{self._semi_joins}_")
        inner = self._selected(join.select, inner_names, outer_object=names.sobject)
        if not _targets(inner, inner_names.sobject) & _targets(outer, names.sobject):
            raise malformed(
                f"The selected field '{inner.field.name}' in the subquery and the left operand field in the where "
                f"expression in the outer query '{outer.field.name}' should point to the same object type",
                place,
            )
        conditions = self._where(join.select, inner_names, Above(above.depth + 1, in_subquery=True))
        where = clause("WHERE", " AND ", conditions)
        text = " ".join([f"SELECT {inner.sql}", inner_names.from_clause(), *(part.text for part in where)])
        sql = Sql(f"{outer.sql} IN ({text})", tuple(parameter for part in where for parameter in part.parameters))
        return Sql(f"({sql.text}) IS NOT TRUE", sql.parameters) if join.negated else sql

    def _selected(self, select: Select, names: Names, *, outer_object: SObject) -> Named:
        """Return the one field that a sub-select returns."""
        sobject, place = names.sobject, select.sobject_place
        if sobject.name == outer_object.name:
            raise malformed("The inner and outer selects should not be on the same object type", place)
        if sobject.name.lower() in _SUBQUERY_OBJECTS or sobject.name.endswith("Tag"):
            raise malformed(f"Entity '{sobject.name}' is not supported for semi join inner selects", place)
        if select.extras or select.order or select.limit or select.scope or select.group or select.offset:
            raise malformed("ORDER BY, LIMIT and the like are not supported in a semi join sub-select", place)
        if len(select.items) != 1 or not isinstance(select.items[0], FieldItem):
            raise malformed("A semi join sub-select must select a single field", place)
        inner = find(select.items[0].operand, names)
        if category(inner.field) is not Category.ID or inner.is_parent:
            raise malformed(
                f"The selected field '{inner.path}' of a sub-select must be an id or reference field", inner.place
            )
        return inner


def _bulk_query(
    compiler: Compiler, select: Select, *, with_ids: bool, between: tuple[str | None, str | None]
) -> CompiledQuery:
    names = compiler.names(select, prefix="t")
    sobject = names.sobject
    if not sobject.queryable_in_bulk:
        raise Refused("INVALIDENTITY", f"Entity '{sobject.name}' is not supported by the Bulk API.")
    _check_extras(select)
    columns = select_list(select.items, names)
    ids, more = ids_of(columns, names) if with_ids else ({}, [])
    conditions = [*_between(names, between), *compiler.conditions(select, names)]
    order = compiler.order(select, names)
    statement = [
        Sql(f"SELECT {', '.join(named.sql for named in [*columns, *more])}"),
        Sql(names.from_clause()),  # last of the names: by now all joins are known
        *clause("WHERE", " AND ", conditions),
        *clause("ORDER BY", ", ", order),
        *limit(select.limit),
    ]
    sql = " ".join(part.text for part in statement)
    check_nesting(sql)
    return CompiledQuery(
        sobject=sobject,
        columns=tuple(Column(named.path, named.field) for named in columns),
        sql=sql,
        parameters=tuple(parameter for part in statement for parameter in part.parameters),
        has_limit=select.limit is not None,
        has_order_by=bool(select.order),
        filters_ids=compiler.filters_ids,
        ids=ids,
    )


def ids_of(columns: list[Named], names: Names) -> tuple[dict[str, int], list[Named]]:
    """Return where the ids of the record and of every parent stand in a row, and the columns to add for it."""
    places = {named.path: place for place, named in enumerate(columns)}
    relationships = [""]
    for named in columns:
        parts = named.path.split(".")[:-1]
        relationships.extend(".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    more: list[Named] = []
    ids: dict[str, int] = {}
    for relationship in dict.fromkeys(relationships):
        named = names.find(Path((*filter(None, relationship.split(".")), "Id"), Place(1, 1)))
        if named.path not in places:
            places[named.path] = len(columns) + len(more)
            more.append(named)
        ids[relationship] = places[named.path]
    return ids, more


def _between(names: Names, bounds: tuple[str | None, str | None]) -> list[Sql]:
    """Return the conditions of a range of ids."""
    named = names.own_field("Id")
    if named is None:
        return []
    first, before = bounds
    conditions = [] if first is None else [Sql(f"{named.sql} >= ?", (first,))]
    return conditions if before is None else [*conditions, Sql(f"{named.sql} < ?", (before,))]


def _check_extras(select: Select) -> None:
    """Refuse the clauses that no bulk query can have.

    ``ALL ROWS`` is Apex's; the message was seen from the API. ``FOR VIEW``, ``FOR REFERENCE``, ``UPDATE TRACKING`` and
    their like would write to records that a bulk query only reads; what Salesforce answers to them in a query job is
    not known, so the same words refuse them. ``WITH`` filters on what this org does not have.
    """
    for words, there in (("GROUP BY", select.group), ("HAVING", select.having), ("OFFSET", select.offset)):
        if there:
            raise not_in_bulk(words)
    for words in select.extras:
        raise malformed(f"{words} not allowed in this context")


def _targets(named: Named, sobject: SObject) -> set[str]:
    """Return the objects that an id in the field can belong to."""
    names = (sobject.name,) if named.field.type == "id" else named.field.reference_to
    return {name.lower() for name in names}


def _ordering(ordering: Ordering, names: Names, *, aggregates: bool) -> Sql:
    """Return one entry of ORDER BY. "By default, null values are sorted first", in either direction.

    "If you use ORDER BY to sort on a relationship field which can contain a NULL, the NULLS FIRST and NULLS LAST
    expressions aren't supported": such nulls stay at the top.
    """
    named = find(ordering.operand, names, aggregates=aggregates)
    check_sortable(named)
    key = sort_key(named)
    nulls = "LAST" if ordering.nulls_last and named.field.type != "reference" else "FIRST"
    return Sql(f"{key.text} {'DESC' if ordering.descending else 'ASC'} NULLS {nulls}", key.parameters)


def limit(number: Limit | None) -> list[Sql]:
    """Return ``LIMIT``, or nothing."""
    return [] if number is None else [Sql("LIMIT ?", (literals.whole_number(number.text, number.place),))]


def clause(keyword: str, separator: str, parts: Iterable[Sql | None]) -> list[Sql]:
    """Return the clause, or nothing when it has no parts."""
    there = [part for part in parts if part is not None]
    if not there:
        return []
    parameters = tuple(parameter for part in there for parameter in part.parameters)
    return [Sql(f"{keyword} {separator.join(part.text for part in there)}", parameters)]


def check_nesting(sql: str) -> None:
    """Refuse what SQLite's parser could not take."""
    depth = 0
    for character in sql:
        depth += (character == "(") - (character == ")")
        if depth > _NESTING:
            raise too_complicated()
