"""From the names of one ``SELECT`` to tables and columns of SQLite.

Every identifier in the SQL is spelled by the schema, never by the query.

Polymorphic lookups (``Who.Name``, ``Owner.Email``) lead to Salesforce's *Name* object, which has the few fields that
people and things share; ``Type`` is the API name of the record's object. A field of it is taken from whichever object
the id belongs to and is null where that object has no such field. To anything else Salesforce answers "No such column
... on entity 'Name'", and so do we. From *Name* two relationships lead further, those of a user: ``Owner.Profile.Name``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.soql.errors import Place, Refused, invalid_field, malformed, unexpected
from airflow_provider_sfbulk.local_org.soql.syntax import Path, Select

NAME_FIELDS: Final = frozenset(
    {
        *("id", "name", "firstname", "middlename", "lastname", "suffix", "nameoralias", "alias", "username", "email"),
        *("phone", "title", "type", "isactive", "lastvieweddate", "lastreferenceddate"),
        *("profileid", "userroleid"),
    }
)
"""Fields of the *Name* object, in lower case (Object Reference, "Name")."""

_NAME_RELATIONSHIPS: Final = frozenset({"profile", "userrole"})
"""Relationships of the *Name* object, in lower case: those of the user that the record may be."""

_TYPE: Final = Field(name="Type", type="string", length=40)

_CUSTOM_FIELD: Final = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
_CUSTOM_RELATIONSHIP: Final = (
    "If you are attempting to use a custom relationship, "
    "be sure to append the '__r' after the custom relationship name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
_CUSTOM_OBJECT: Final = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)


@dataclass(frozen=True, slots=True)
class Named:
    """A field that a path names. ``sql`` is an expression for its value; empty for compound fields, which have none."""

    path: str
    field: Field
    sql: str
    is_parent: bool
    place: Place


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the FROM clause, under its alias in the SQL."""

    sobject: SObject
    name: str
    path: tuple[str, ...]


def quoted(identifier: str) -> str:
    """Return an identifier of the schema as SQL."""
    return '"' + identifier.replace('"', '""') + '"'


class Names:
    """The names of one ``SELECT``, and the joins that they turned out to need."""

    def __init__(
        self, select: Select, schema: Schema, *, prefix: str, include_deleted: bool, in_bulk: bool = False
    ) -> None:
        """Look up the FROM clause.

        :param prefix: begins every table alias, so that sub-queries do not clash with the main query
        :param in_bulk: whether it is the query of a job, which has its own refusals
        :raises Refused: ``INVALID_TYPE`` when there is no such object
        """
        sobject = schema.get(select.sobject)
        if sobject is None:
            raise Refused(
                "INVALID_TYPE",
                f"sObject type '{select.sobject}' is not supported. {_CUSTOM_OBJECT}",
                select.sobject_place,
            )
        self.sobject = sobject
        self._schema = schema
        self._prefix = prefix
        self._include_deleted = include_deleted
        self.in_bulk = in_bulk
        self._aliases: dict[str, tuple[str, ...]] = dict.fromkeys(
            (sobject.name.lower(), (select.alias or sobject.name).lower()), ()
        )
        for path, alias in select.joined:
            before = self._aliases.get(path.names[0].lower())
            if before is None or len(path.names) == 1:
                raise unexpected(",", path.place)
            self._aliases[alias.lower()] = (*before, *path.names[1:])
        self._root = _Table(sobject, f"{prefix}0", ())
        self._tables: dict[tuple[str, ...], _Table] = {(): self._root}
        self._joins: list[str] = []

    def from_clause(self) -> str:
        """Return ``FROM`` with all joins needed so far."""
        return " ".join([f"FROM {quoted(self.sobject.name)} AS {self._root.name}", *self._joins])

    def not_deleted(self) -> str | None:
        """Return the condition that hides the recycle bin, or None when nothing needs hiding."""
        return self._visible(self.sobject, self._root.name)

    def own_field(self, name: str) -> Named | None:
        """Return a field of the queried object itself that the compiler, not the query, asks for."""
        field = self.sobject.get(name)
        return None if field is None else self._named(self._root, field, Place(1, 1))

    def own_fields(self, place: Place) -> list[Named]:
        """Return all fields of the queried object, compound ones included."""
        return [self._named(self._root, field, place) for field in self.sobject.fields.values()]

    def find(self, path: Path) -> Named:
        """Return the field that a path names, joining what it needs.

        :raises Refused: ``INVALID_FIELD`` for an unknown field or relationship
        """
        first, *others = path.names
        alias = self._aliases.get(first.lower()) if others else None
        *relationships, last = path.names if alias is None else (*alias, *others)
        if len(relationships) > limits.RELATIONSHIP_LEVELS:
            raise malformed(
                f"'{path}' has more than {limits.RELATIONSHIP_LEVELS} levels of child-to-parent relationships",
                path.place,
            )
        table = self._root
        for index, name in enumerate(relationships):
            lookup = table.sobject.by_relationship(name)
            if lookup is None:
                raise _unknown_relationship(name, path)
            if lookup.is_polymorphic:
                if index + 1 == len(relationships):
                    return self._of_name_object(table, lookup, last, path)
                if relationships[index + 1].lower() not in _NAME_RELATIONSHIPS or "User" not in lookup.reference_to:
                    raise _unknown_relationship(relationships[index + 1], path)
            table = self._parent(table, lookup, path)
        field = table.sobject.get(last)
        if field is None:
            raise _unknown_field(last, table.sobject.name, path)
        return self._named(table, field, path.place)

    def _named(self, table: _Table, field: Field, place: Place) -> Named:
        sql = "" if field.is_compound else f"{table.name}.{quoted(field.name)}"
        return Named(".".join((*table.path, field.name)), field, sql, is_parent=bool(table.path), place=place)

    def _parent(self, child: _Table, lookup: Field, path: Path) -> _Table:
        """Return the table that a lookup leads to, joined once however often it is named."""
        relationship = lookup.relationship_name or lookup.name
        full = (*child.path, relationship)
        if full in self._tables:
            return self._tables[full]
        parent = self._schema.get("User" if lookup.is_polymorphic else next(iter(lookup.reference_to), ""))
        if parent is None:
            raise _unknown_relationship(relationship, path)
        if len(self._joins) >= limits.SOQL_PARENTS:
            raise malformed(f"a query can name at most {limits.SOQL_PARENTS} child-to-parent relationships", path.place)
        table = _Table(parent, f"{self._prefix}{len(self._tables)}", full)
        on = f'{table.name}."Id" = {child.name}.{quoted(lookup.name)}'
        conditions = " AND ".join(filter(None, (on, self._visible(parent, table.name))))
        self._joins.append(f"LEFT JOIN {quoted(parent.name)} AS {table.name} ON {conditions}")
        self._tables[full] = table
        return table

    def _of_name_object(self, table: _Table, lookup: Field, last: str, path: Path) -> Named:
        targets = [target for name in lookup.reference_to if (target := self._schema.get(name)) is not None]
        full = ".".join((*table.path, lookup.relationship_name or lookup.name))
        key = f"{table.name}.{quoted(lookup.name)}"
        if last.lower() not in NAME_FIELDS:
            raise _unknown_field(last, "Name", path)
        if last.lower() == "type":
            cases = " ".join(f"WHEN {self._there(t, key)} THEN {text_literal(t.name)}" for t in targets)
            return Named(f"{full}.Type", _TYPE, f"CASE {cases} ELSE NULL END" if cases else "NULL", True, path.place)
        found = [
            (target, field) for target in targets if (field := target.get(last)) is not None and not field.is_compound
        ]
        if not found:
            raise _unknown_field(last, "Name", path)
        values = ", ".join(self._lookup(target, quoted(field.name), key) for target, field in found)
        return Named(f"{full}.{found[0][1].name}", found[0][1], f"COALESCE({values}, NULL)", True, path.place)

    def _lookup(self, target: SObject, column: str, key: str) -> str:
        conditions = " AND ".join(filter(None, (f'n."Id" = {key}', self._visible(target, "n"))))
        # The parts are names of the schema, quoted.
        return f"(SELECT n.{column} FROM {quoted(target.name)} AS n WHERE {conditions})"  # noqa: S608

    def _there(self, target: SObject, key: str) -> str:
        return f"EXISTS {self._lookup(target, quoted('Id'), key)}"

    def _visible(self, sobject: SObject, table: str) -> str | None:
        deleted = sobject.get("IsDeleted")
        return None if self._include_deleted or deleted is None else f"{table}.{quoted(deleted.name)} = 0"


def text_literal(name: str) -> str:
    """Return text of the schema as an SQL string."""
    return "'" + name.replace("'", "''") + "'"


def _unknown_field(name: str, entity: str, path: Path) -> Refused:
    return invalid_field(f"No such column '{name}' on entity '{entity}'. {_CUSTOM_FIELD}", path.place)


def _unknown_relationship(name: str, path: Path) -> Refused:
    return invalid_field(f"Didn't understand relationship '{name}' in field path. {_CUSTOM_RELATIONSHIP}", path.place)
