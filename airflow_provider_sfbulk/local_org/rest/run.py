"""Running a query of the REST API: from rows to records with their parents, children and branches."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from airflow_provider_sfbulk.local_org.data.schema import Schema
from airflow_provider_sfbulk.local_org.rest import formats
from airflow_provider_sfbulk.local_org.rest.compile import WANTED, Children, Leaf, Node, OneOf, Parent, RestQuery

Record = dict[str, Any]

ROWS_AT_A_TIME = 2_000


class Runner:
    """Runs queries on one connection.

    :param version: of the API, for the addresses in ``attributes``
    """

    def __init__(self, connection: sqlite3.Connection, schema: Schema, version: str) -> None:
        self._connection = connection
        self._kinds = {sobject.key_prefix: sobject.name for sobject in schema}
        self._version = version

    def records(self, query: RestQuery) -> Iterator[list[Record]]:
        """Yield the records, some at a time."""
        cursor = self._connection.execute(query.sql, query.parameters)
        while rows := cursor.fetchmany(ROWS_AT_A_TIME):
            yield self._records(query, rows)

    def count(self, query: RestQuery) -> int:
        """Return the number that ``SELECT COUNT()`` asks for."""
        (number,) = self._connection.execute(query.sql, query.parameters).fetchone()
        return int(number)

    def _of(self, query: RestQuery, wanted: Sequence[str]) -> dict[str, list[Record]]:
        """Return the records of a query by the id that its first column holds."""
        ids = json.dumps(list(dict.fromkeys(wanted)))
        parameters = [ids if each is WANTED else each for each in query.parameters]
        rows = self._connection.execute(query.sql, parameters).fetchall()
        found: dict[str, list[Record]] = {}
        for row, record in zip(rows, self._records(query, rows), strict=True):
            found.setdefault(row[0], []).append(record)
        return found

    def _records(self, query: RestQuery, rows: Sequence[Sequence[Any]]) -> list[Record]:
        below = {
            id(node): self._below(node, query, rows)
            for node in query.nodes.values()
            if isinstance(node, Children | OneOf)
        }
        return [self._record(query, row, below) for row in rows]

    def _below(self, node: Node, query: RestQuery, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Return what children or branches the records of some rows have, by id."""
        if isinstance(node, Children):
            assert query.id_place is not None
            children = self._of(node.query, [row[query.id_place] for row in rows])
            past = None if node.most is None else node.first + node.most
            return {record_id: some[node.first : past] for record_id, some in children.items()}
        assert isinstance(node, OneOf)
        ids = [row[node.place] for row in rows if row[node.place] is not None]
        found: dict[str, Any] = {}
        for name, branch in node.branches.items():
            own = [each for each in ids if self._kinds.get(each[:3]) == name]
            found |= {record_id: some[0] for record_id, some in self._of(branch, own).items()} if own else {}
        return found

    def _record(self, query: RestQuery, row: Sequence[Any], below: dict[int, dict[str, Any]]) -> Record:
        place = query.id_place
        attributes = {"type": query.kind} if place is None else self._attributes(query.kind, row[place])
        record: Record = {"attributes": attributes}
        for key, node in query.nodes.items():
            if isinstance(node, Children):
                assert query.id_place is not None
                some = below[id(node)].get(row[query.id_place])
                record[key] = {"totalSize": len(some), "done": True, "records": some} if some else None
            elif isinstance(node, OneOf):
                record[key] = self._branch(row[node.place], below[id(node)])
            else:
                record[key] = self._value(node, row)
        return record

    def _branch(self, record_id: str | None, found: dict[str, Any]) -> Record | None:
        if record_id is None:
            return None
        kind = self._kinds.get(record_id[:3], "Name")
        return found.get(record_id) or {"attributes": self._attributes(kind, record_id)}

    def _value(self, node: Leaf | Parent, row: Sequence[Any]) -> Any:
        if isinstance(node, Leaf):
            return formats.in_json(node.field, row[node.place])
        record_id = row[node.place]
        if record_id is None:
            return None
        parent: Record = {"attributes": self._attributes(node.kind, record_id)}
        for key, inner in node.nodes.items():
            assert isinstance(inner, Leaf | Parent)
            parent[key] = self._value(inner, row)
        return parent

    def _attributes(self, kind: str | None, record_id: str) -> dict[str, str]:
        name = self._kinds.get(record_id[:3], "Name")
        return {"type": kind or name, "url": f"/services/data/v{self._version}/sobjects/{name}/{record_id}"}
