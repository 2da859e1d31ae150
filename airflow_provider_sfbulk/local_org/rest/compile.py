"""From SOQL to what the REST API answers: one SQL statement, and the shape of the records that its rows become.

What the REST API has and a query job has not: aggregate functions, ``GROUP BY``, ``HAVING``, ``OFFSET``, sub-queries of
children, ``TYPEOF``, compound fields, ``FIELDS(ALL)`` and ``FIELDS(CUSTOM)`` with a ``LIMIT``, ``FORMAT()`` and
``convertCurrency()``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.rest import formats
from airflow_provider_sfbulk.local_org.soql import literals
from airflow_provider_sfbulk.local_org.soql.columns import AGGREGATES, aggregate, converted, expanded, find, is_format
from airflow_provider_sfbulk.local_org.soql.compile import Above, Compiler, check_length, check_nesting, clause, limit
from airflow_provider_sfbulk.local_org.soql.errors import Place, Refused, invalid_field, malformed, too_complicated
from airflow_provider_sfbulk.local_org.soql.filters import Sql
from airflow_provider_sfbulk.local_org.soql.names import Named, Names
from airflow_provider_sfbulk.local_org.soql.parse import parse
from airflow_provider_sfbulk.local_org.soql.syntax import Call, ChildItem, FieldItem, Limit, Operand, Path, Select
from airflow_provider_sfbulk.local_org.soql.syntax import TypeofItem as Typeof

OFFSET_MOST: Final = 2_000
""""Maximum SOQL offset allowed is 2000"."""

FIELDS_LIMIT: Final = 200
""""The SOQL FIELDS function must have a LIMIT of at most 200"."""

NESTED_CHILDREN: Final = 5
""""In API version 58.0 and later … up to five levels of parent-to-child relationships"."""

WANTED: Final = object()
"""Parameter in whose place the ids of parents go, as a JSON array, when the query is run."""

_COLUMNS: Final = 2_000
_ALLOWED_EXTRAS: Final = frozenset({"FOR VIEW", "FOR REFERENCE", "FOR UPDATE"})


@dataclass(frozen=True)
class Leaf:
    """A value of a record.

    :ivar place: its column in a row
    """

    field: Field
    place: int


@dataclass(frozen=True)
class Parent:
    """A parent of a record.

    :ivar place: column of its id
    :ivar kind: what its ``attributes`` call it; None: by its id
    """

    place: int
    kind: str | None
    nodes: dict[str, Node] = field(default_factory=dict)


@dataclass(frozen=True)
class Children:
    """The children of a record.

    :ivar query: finds those of several records at once; its first column is the parent's id
    :ivar first: how many to leave out of each parent's, ``OFFSET``
    :ivar most: how many to show of each parent's, ``LIMIT``
    """

    query: RestQuery
    first: int = 0
    most: int | None = None


@dataclass(frozen=True)
class OneOf:
    """``TYPEOF``: a parent whose fields depend on its object.

    :ivar place: column of its id
    :ivar branches: by object; each finds several by their ids, in its first column
    """

    place: int
    branches: dict[str, RestQuery]


Node = Leaf | Parent | Children | OneOf


@dataclass(frozen=True)
class RestQuery:
    """A query of the REST API, ready to run.

    :ivar kind: of ``attributes``: the object, or ``AggregateResult``
    :ivar id_place: column of the record's id; None for aggregates
    :ivar nodes: what a record has, by key, in the order of the select list
    :ivar is_count: whether it is ``SELECT COUNT()``, whose answer is a number
    """

    sobject: SObject
    kind: str
    sql: str
    parameters: tuple[object, ...]
    nodes: dict[str, Node]
    id_place: int | None
    is_count: bool = False


def compile_rest(
    text: str, schema: Schema, *, now: datetime, user_id: str | None = None, include_deleted: bool = False
) -> RestQuery:
    """Compile a query of the REST API.

    :param include_deleted: for ``queryAll``
    :raises SoqlError: when Salesforce would refuse it
    """
    try:
        check_length(text)
        select = parse(text)
        return _Query(Compiler(schema, now, user_id, include_deleted=include_deleted), schema, select).compiled()
    except Refused as refused:
        raise refused.against(text) from refused


class _Query:
    """One ``SELECT`` with those inside it.

    :param link: the lookup through which its records belong to a parent; ``Id``: they are the wanted ones themselves
    """

    def __init__(
        self, compiler: Compiler, schema: Schema, select: Select, *, link: str | None = None, depth: int = 0
    ) -> None:
        self._compiler = compiler
        self._schema = schema
        self._select = select
        self._link = link
        self._depth = depth
        self._names: Names = compiler.names(select, prefix="t")
        self._columns: list[str] = []
        self._nodes: dict[str, Node] = {}

    def compiled(self) -> RestQuery:
        select = self._select
        for words in select.extras:
            if words not in _ALLOWED_EXTRAS:
                raise malformed(f"{words} not allowed in this context")
        if select.having is not None and not select.group:
            raise malformed("having clause requires a GROUP BY clause")
        items = select.items
        if len(items) == 1 and isinstance(items[0], FieldItem) and _is_count_of_all(items[0].operand):
            return self._count()
        if select.group or any(isinstance(item, FieldItem) and _is_aggregate(item.operand) for item in items):
            return self._aggregated()
        link = [self._column(self._own(self._link))] if self._link else []
        own_id = self._names.own_field("Id")
        id_place = self._column(own_id.sql) if own_id is not None else None
        for item in items:
            self._select_item(item)
        conditions = [
            *(Sql(f"{self._columns[place]} IN (SELECT value FROM json_each(?))", (WANTED,)) for place in link),  # noqa: S608 - a name of the schema, quoted
            *self._compiler.conditions(select, self._names),
        ]
        return self._finished(conditions, select.sobject, id_place)

    def _finished(self, conditions: list[Sql | None], kind: str, id_place: int | None) -> RestQuery:
        select = self._select
        if len(self._columns) > _COLUMNS:
            raise too_complicated()
        aggregates = kind == "AggregateResult"
        grouping = [] if not aggregates else [Sql(find(each, self._names).sql) for each in select.group]
        having = (
            []
            if select.having is None
            else [self._compiler.condition(select.having, self._names, Above(), aggregates=True)]
        )
        order = self._compiler.order(select, self._names, aggregates=aggregates)
        # Those of children are counted parent by parent, when the query is run.
        limits = [] if self._link else _limit_and_offset(select)
        statement = [
            Sql(f"SELECT {', '.join(self._columns)}"),
            Sql(self._names.from_clause()),  # last of the names: by now all joins are known
            *clause("WHERE", " AND ", conditions),
            *clause("GROUP BY", ", ", grouping),
            *clause("HAVING", " AND ", having),
            *clause("ORDER BY", ", ", order),
            *limits,
        ]
        sql = " ".join(part.text for part in statement)
        check_nesting(sql)
        parameters = tuple(parameter for part in statement for parameter in part.parameters)
        kind = kind if aggregates else self._names.sobject.name
        return RestQuery(self._names.sobject, kind, sql, parameters, self._nodes, id_place)

    def _count(self) -> RestQuery:
        """``SELECT COUNT()``: the number of records, which ``LIMIT`` bounds."""
        select = self._select
        if self._depth or select.group:
            raise malformed("COUNT() can only be selected by itself, without GROUP BY")
        if select.order:
            raise malformed("COUNT() cannot be used with ORDER BY")
        self._columns.append("1")
        query = self._finished(self._compiler.conditions(select, self._names), select.sobject, None)
        return replace(query, sql=f"SELECT COUNT(*) FROM ({query.sql})", is_count=True)  # noqa: S608 - compiled above

    # --- the select list ---

    def _select_item(self, item: FieldItem | ChildItem | Typeof) -> None:
        if isinstance(item, ChildItem):
            self._select_children(item.select)
        elif isinstance(item, Typeof):
            self._select_typeof(item)
        elif isinstance(item.operand, Path):
            if item.alias is not None:
                raise malformed("only aggregate expressions use field aliasing", item.operand.place)
            self._select_field(self._names.find(item.operand))
        else:
            self._select_call(item.operand, item.alias)

    def _select_field(self, named: Named, *, expanded: bool = False) -> None:
        *relationships, name = named.path.split(".")
        nodes: dict[str, Node] = self._nodes
        path: tuple[str, ...] = ()
        for relationship in relationships:
            path = (*path, relationship)
            node = nodes.get(relationship)
            if node is None:
                node = nodes[relationship] = self._parent(path)
            if not isinstance(node, Parent):
                raise malformed(f"duplicate field selected: {named.path}", named.place)
            nodes = node.nodes
        if name in nodes:
            if expanded:
                raise Refused("INVALID_FIELD", f"duplicate field selected: {named.path}")
            raise malformed(f"duplicate field selected: {named.path}", named.place)
        nodes[name] = Leaf(named.field, self._column(self._sql(named)))

    def _parent(self, path: tuple[str, ...]) -> Parent:
        place = self._column(self._names.find(Path((*path, "Id"), Place(1, 1))).sql)
        return Parent(place, "Name" if self._is_polymorphic(path) else None)

    def _is_polymorphic(self, path: tuple[str, ...]) -> bool:
        sobject: SObject | None = self._names.sobject
        lookup: Field | None = None
        for relationship in path:
            lookup = sobject.by_relationship(relationship) if sobject is not None else None
            sobject = self._schema.get(lookup.reference_to[0]) if lookup is not None and lookup.reference_to else None
        return lookup is not None and lookup.is_polymorphic

    def _sql(self, named: Named) -> str:
        """Return a value's SQL; that of a compound field is a JSON object of its parts."""
        if not named.field.is_compound:
            return named.sql
        *relationships, name = named.path.split(".")
        parts = {
            formats.part_name(named.field, each.field.name): each for each in self._parts(tuple(relationships), name)
        }
        if not parts:
            return "NULL"
        pairs = ", ".join(f"'{key}', {part.sql}" for key, part in parts.items())
        nothing = " AND ".join(f"{part.sql} IS NULL" for part in parts.values())
        return f"CASE WHEN {nothing} THEN NULL ELSE json_object({pairs}) END"

    def _parts(self, relationships: tuple[str, ...], compound: str) -> list[Named]:
        sobject: SObject | None = self._names.sobject
        for relationship in relationships:
            lookup = sobject.by_relationship(relationship) if sobject is not None else None
            sobject = self._schema.get(lookup.reference_to[0]) if lookup is not None else None
        fields = [f for f in sobject.fields.values() if f.compound_field_name == compound] if sobject else []
        return [self._names.find(Path((*relationships, f.name), Place(1, 1))) for f in fields if f.name != compound]

    def _select_call(self, call: Call, alias: str | None) -> None:
        name = call.name.upper()
        argument = call.arguments[0] if len(call.arguments) == 1 else None
        if name == "FIELDS" and isinstance(argument, Path):
            which = str(argument).upper()
            if which in ("ALL", "CUSTOM"):
                self._check_fields_limit()
            for named in expanded(which, call.place, self._names):
                self._select_field(named, expanded=True)
            return
        named = converted(call, self._names)
        if alias is None:
            self._select_field(named)
        else:
            self._add(alias, Leaf(named.field, self._column(named.sql)), call.place)

    def _check_fields_limit(self) -> None:
        number = self._select.limit
        if number is None or literals.whole_number(number.text, number.place) > FIELDS_LIMIT:
            raise malformed(f"The SOQL FIELDS function must have a LIMIT of at most {FIELDS_LIMIT}")

    def _select_children(self, select: Select) -> None:
        if self._depth >= NESTED_CHILDREN:
            raise malformed(f"parent-to-child relationships go down at most {NESTED_CHILDREN} levels")
        name = select.sobject.rpartition(".")[2]
        relationship = self._schema.child(self._names.sobject, name)
        child = self._schema.get(relationship.child) if relationship is not None else None
        if relationship is None or child is None:
            raise Refused(
                "INVALID_TYPE",
                f"Didn't understand relationship '{name}' in FROM part of query call. If you are attempting to use a "
                "custom relationship, be sure to append the '__r' after the custom relationship name. Please reference "
                "your WSDL or the describe call for the appropriate names.",
                select.sobject_place,
            )
        if select.group or any(isinstance(i, FieldItem) and _is_aggregate(i.operand) for i in select.items):
            raise malformed("aggregate functions are not allowed in a sub-query of children", select.sobject_place)
        inner = replace(select, sobject=child.name)
        query = _Query(self._compiler, self._schema, inner, link=relationship.field, depth=self._depth + 1).compiled()
        most = None if select.limit is None else literals.whole_number(select.limit.text, select.limit.place)
        first = 0 if select.offset is None else literals.whole_number(select.offset.text, select.offset.place)
        self._add(relationship.name or name, Children(query, first, most), select.sobject_place)

    def _select_typeof(self, item: Typeof) -> None:
        lookup = self._names.sobject.by_relationship(str(item.path))
        if lookup is None or not lookup.is_polymorphic:
            raise invalid_field(f"TYPEOF needs a polymorphic relationship, which '{item.path}' is not", item.path.place)
        targets = {name.lower(): name for name in lookup.reference_to}
        branches: dict[str, RestQuery] = {}
        for kind, paths in item.whens:
            name = targets.get(kind.lower())
            if name is None:
                raise invalid_field(f"'{item.path}' does not refer to {kind}", item.path.place)
            if self._schema.get(name) is not None:
                branches[name] = self._branch(name, paths)
        for name in lookup.reference_to if item.otherwise else ():
            known = self._schema.get(name)
            if name in branches or known is None:
                continue
            there = tuple(path for path in item.otherwise if known.get(path.names[-1]) is not None)
            if there:
                branches[name] = self._branch(name, there)
        place = self._column(self._own(lookup.name))
        self._add(lookup.relationship_name or lookup.name, OneOf(place, branches), item.path.place)

    def _branch(self, sobject: str, paths: tuple[Path, ...]) -> RestQuery:
        items = tuple(FieldItem(path, None) for path in paths)
        select = Select(items, sobject, Place(1, 1), None, None, None, (), None, ())
        return _Query(self._compiler, self._schema, select, link="Id", depth=self._depth + 1).compiled()

    # --- aggregates ---

    def _aggregated(self) -> RestQuery:
        select = self._select
        for operand in select.group:
            if isinstance(operand, Call) and operand.name.upper() in ("ROLLUP", "CUBE"):
                raise malformed(f"GROUP BY {operand.name}() is not supported by the local org", operand.place)
            _check_groupable(find(operand, self._names))
        grouped = {_key(operand, self._names) for operand in select.group}
        for item in select.items:
            if not isinstance(item, FieldItem):
                raise malformed("Grouped queries cannot select sub-queries or TYPEOF")
            self._select_aggregate(item, grouped)
        for ordering in select.order:
            if not _is_aggregate(ordering.operand) and _key(ordering.operand, self._names) not in grouped:
                raise malformed(
                    f"Ordered field must be grouped or aggregated: {ordering.operand}", ordering.operand.place
                )
        return self._finished(self._compiler.conditions(select, self._names), "AggregateResult", None)

    def _select_aggregate(self, item: FieldItem, grouped: set[str]) -> None:
        operand = item.operand
        if is_format(operand) and len(operand.arguments) == 1:
            inner = operand.arguments[0]
            operand = inner if isinstance(inner, Path | Call) else operand
        if isinstance(operand, Call) and operand.name.upper() in AGGREGATES:
            if not operand.arguments:
                raise malformed("COUNT() can only be selected by itself, without GROUP BY", operand.place)
            named = aggregate(operand, self._names)
        else:
            named = find(operand, self._names)
            if _key(operand, self._names) not in grouped:
                raise malformed(f"Field must be grouped or aggregated: {named.path}", operand.place)
        key = item.alias
        if key is None and isinstance(item.operand, Path):
            key = named.path.rpartition(".")[2]
        if key is None:
            key = f"expr{sum(1 for each in self._nodes if each.startswith('expr'))}"
        if is_format(item.operand):
            named = converted(item.operand, self._names)
        self._add(key, Leaf(named.field, self._column(named.sql)), operand.place)

    # --- columns ---

    def _add(self, key: str, node: Node, place: Place) -> None:
        if key.lower() in (each.lower() for each in self._nodes):
            raise malformed(f"duplicate alias: {key}", place)
        self._nodes[key] = node

    def _own(self, name: str) -> str:
        named = self._names.own_field(name)
        if named is None:
            raise malformed(f"No such column '{name}' on entity '{self._names.sobject.name}'")
        return named.sql

    def _column(self, sql: str) -> int:
        """Return the place of a column, which is added when it is new."""
        if sql not in self._columns:
            self._columns.append(sql)
        return self._columns.index(sql)


def _limit_and_offset(select: Select) -> list[Sql]:
    found = limit(select.limit)
    if select.offset is None:
        return found
    number: Limit = select.offset
    count = literals.whole_number(number.text, number.place)
    if count > OFFSET_MOST:
        raise Refused("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {OFFSET_MOST}")
    return [*(found or [Sql("LIMIT -1")]), Sql("OFFSET ?", (count,))]


def _is_count_of_all(operand: Operand) -> bool:
    return isinstance(operand, Call) and operand.name.upper() == "COUNT" and not operand.arguments


def _is_aggregate(operand: object) -> bool:
    if not isinstance(operand, Call):
        return False
    if operand.name.upper() in AGGREGATES:
        return True
    return is_format(operand) and any(_is_aggregate(each) for each in operand.arguments)


def _key(operand: Operand, names: Names) -> str:
    return find(operand, names).sql


def _check_groupable(named: Named) -> None:
    if not named.field.can_be("groupable"):
        raise malformed(f"field '{named.path}' can not be grouped in a query call", named.place)
