"""What the org's objects and fields are: the facts that describe shows, ingest checks and queries resolve against.

Names match without regard to case, as everywhere in Salesforce ("Header names match without regard to case").

How values lie in SQLite, for everything that reads or writes the tables: one table per object, named as the object, one
column per field, named as the field; compound fields have no column. By ``Field.type``:

==========================================  ==================================================================
``id`` ``reference``                        TEXT, 18 characters
``boolean``                                 INTEGER 0 or 1, never NULL
``int`` ``long``                            INTEGER
``double`` ``currency`` ``percent``         REAL
``date``                                    TEXT ``2026-03-04``
``datetime``                                TEXT ``2026-03-04T05:06:07.000Z``, always UTC
``time``                                    TEXT ``07:00:00.000Z``
``multipicklist``                           TEXT, values joined with ``;``
everything else                             TEXT
==========================================  ==================================================================

Null and the empty string are one and the same: NULL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from airflow_provider_sfbulk import limits

COMPOUND_TYPES: Final = frozenset({"address", "location", "complexvalue"})
"""Types that have no column of their own, only parts."""

NUMBER_TYPES: Final = frozenset({"int", "long", "double", "currency", "percent"})

IN_QUERIES: Final = ("filterable", "sortable", "groupable", "aggregatable")
"""What describe says of a field's place in queries."""

_CANNOT: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("base64", "encryptedstring", "complexvalue", "anyType", "datacategorygroupreference"), IN_QUERIES),
    **dict.fromkeys(("address", "location", "multipicklist"), ("sortable", "groupable", "aggregatable")),
    **dict.fromkeys(("double", "currency", "percent", "datetime", "combobox"), ("groupable",)),
    "boolean": ("aggregatable",),
}
"""Type to what fields of it cannot be, as recorded describes have it; other types can be all."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of an object, with describe's attributes under Python's spelling."""

    name: str
    type: str
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    defaulted_on_create: bool = False
    createable: bool = True
    updateable: bool = True
    calculated: bool = False
    auto_number: bool = False
    external_id: bool = False
    id_lookup: bool = False
    unique: bool = False
    case_sensitive: bool = False
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    compound_field_name: str | None = None
    extra_type_info: str | None = None
    picklist_values: tuple[str, ...] = ()
    picklist_labels: tuple[str, ...] = ()
    """What people see of each of the values; none: the values themselves."""
    restricted_picklist: bool = False
    default_value: str | bool | None = None
    """What an insert without a value stores: a picklist's default entry, a checkbox's default."""
    cascade_delete: bool = False
    """Whether the record goes with the one that it looks up to: master-detail."""
    restricted_delete: bool = False
    auto_number_digits: int = 5
    cannot: frozenset[str] = frozenset()
    """What a describe says that queries cannot do with it, of :data:`IN_QUERIES`, besides what follows from its type."""
    derived: str | None = None
    """SQL that gives its value from the record's other fields; nobody writes it."""

    @property
    def is_system(self) -> bool:
        """Whether it is one of the lookups that every object has to its users."""
        return self.name in ("CreatedById", "LastModifiedById", "OwnerId")

    def can_be(self, claim: str) -> bool:
        """Whether queries can do something with it, one of :data:`IN_QUERIES`.

        "It can be any field except a long text area field, encrypted data field, or base64-encoded field" (WHERE).
        """
        is_long = self.type == "textarea" and self.length > limits.FILTERABLE_TEXT_CHARACTERS
        if is_long or claim in self.cannot or (claim == "groupable" and self.auto_number):
            return False
        return claim not in _CANNOT.get(self.type, ())

    @property
    def is_compound(self) -> bool:
        """Whether it has no column: it can be neither written nor selected in a bulk query."""
        return self.type in COMPOUND_TYPES

    @property
    def is_polymorphic(self) -> bool:
        """Whether its lookup may point to several objects ("``referenceTo`` in describe has more than one entry")."""
        return len(self.reference_to) > 1

    @property
    def required_on_insert(self) -> bool:
        """Whether an insert without a value fails with ``REQUIRED_FIELD_MISSING``."""
        return self.createable and not self.nillable and not self.defaulted_on_create


@dataclass(frozen=True, kw_only=True)
class ChildRelationship:
    """Records of another object that look up to one, as ``childRelationships`` of describe lists them.

    :ivar name: what sub-queries call them: ``Contacts``; None: they cannot be queried as children
    :ivar cascade_delete: whether they are deleted with their parent; else their lookup is cleared
    :ivar restricted_delete: whether they keep their parent from being deleted
    """

    child: str
    field: str
    name: str | None = None
    cascade_delete: bool = False
    restricted_delete: bool = False


@dataclass(frozen=True, kw_only=True)
class SObject:
    """One object with its fields."""

    name: str
    key_prefix: str
    label: str = ""
    custom: bool = False
    fields: Mapping[str, Field] = field(default_factory=dict)
    """By lower-case name, in describe's order."""
    queryable_in_bulk: bool = True
    label_plural: str = ""
    children: tuple[ChildRelationship, ...] = ()
    cannot: frozenset[str] = frozenset()
    """What describe says that it cannot be: ``createable``, ``updateable``, ``deletable``, ``undeletable``,
    ``searchable``, ``queryable``."""
    triggers: Mapping[str, str] = field(default_factory=dict)
    """SQL of triggers by name, which give fields their values as records are saved."""
    described: Mapping[str, Any] | None = None
    """The describe answer that it was made from, which is given back whole."""

    @classmethod
    def of(cls, *, name: str, key_prefix: str, fields: Iterable[Field], **attributes: Any) -> SObject:
        """Make an object from a list of fields."""
        return cls(name=name, key_prefix=key_prefix, fields={f.name.lower(): f for f in fields}, **attributes)

    def get(self, name: str) -> Field | None:
        """Return the field of that name, in any case."""
        return self.fields.get(name.lower())

    def by_relationship(self, name: str) -> Field | None:
        """Return the lookup field whose relationship has that name (``Owner``, ``Parent__r``), in any case."""
        known = ((each, each.relationship_name) for each in self.fields.values())
        return next((each for each, its_name in known if its_name and its_name.lower() == name.lower()), None)


class Schema:
    """All objects of an org."""

    def __init__(self, sobjects: Iterable[SObject] = ()) -> None:
        self._sobjects = {s.name.lower(): s for s in sobjects}

    def add(self, sobject: SObject) -> None:
        """Add an object, or replace the one of the same name."""
        self._sobjects[sobject.name.lower()] = sobject

    def get(self, name: str) -> SObject | None:
        """Return the object of that name, in any case."""
        return self._sobjects.get(name.lower())

    def __iter__(self) -> Iterator[SObject]:
        return iter(self._sobjects.values())

    def of_id(self, record_id: str) -> SObject | None:
        """Return the object that an id's first three characters name."""
        prefix = record_id[:3]
        return next((sobject for sobject in self if sobject.key_prefix == prefix), None)

    def children(self, sobject: SObject) -> list[ChildRelationship]:
        """Return the child relationships of an object: those that its description lists and whose object is here, and
        those of lookups that no description lists, as of objects that a test has added."""
        found = [each for each in sobject.children if self.get(each.child) is not None]
        listed = {(each.child.lower(), each.field.lower()) for each in found}
        names = {each.name.lower() for each in found if each.name}
        for child in self:
            for lookup in child.fields.values():
                if sobject.name not in lookup.reference_to or (child.name.lower(), lookup.name.lower()) in listed:
                    continue
                name: str | None = f"{child.name.removesuffix('__c')}s{'__r' if child.custom else ''}"
                if name is None or name.lower() in names or lookup.is_system:
                    name = None
                else:
                    names.add(name.lower())
                found.append(
                    ChildRelationship(
                        child=child.name,
                        field=lookup.name,
                        name=name,
                        cascade_delete=lookup.cascade_delete,
                        restricted_delete=lookup.restricted_delete,
                    )
                )
        return found

    def child(self, sobject: SObject, name: str) -> ChildRelationship | None:
        """Return the child relationship of that name, in any case."""
        lowered = name.lower()
        return next((each for each in self.children(sobject) if (each.name or "").lower() == lowered), None)
