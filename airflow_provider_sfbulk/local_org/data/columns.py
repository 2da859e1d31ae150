"""From the header of an upload to what each of its columns does, or to why the whole job fails.

Header errors fail the job with both counters at 0. Texts as seen from Salesforce; where a comment says *ours*, the
refusal is documented and the words are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.local_org.bulk2.csv_in import JobFailedError
from airflow_provider_sfbulk.local_org.data.schema import Field, Schema, SObject
from airflow_provider_sfbulk.local_org.data.values import Convert, converter, identity

DELETES = frozenset({"delete", "hardDelete"})


@dataclass(frozen=True)
class Column:
    """One column of an upload.

    :ivar field: the field that it writes
    :ivar convert: text to stored value, or to the parent's key when ``parent`` is given
    :ivar parent: the object that a relationship column looks its value up in
    :ivar parent_key: the external id or idLookup field of ``parent`` that the value is compared with
    """

    position: int
    field: Field
    convert: Convert
    parent: SObject | None = None
    parent_key: Field | None = None


@dataclass(frozen=True)
class Plan:
    """What an ingest job does with its rows.

    :ivar key: the field that an upsert matches by
    """

    sobject: SObject
    operation: str
    columns: tuple[Column, ...]
    key: Field | None = None

    def column(self, name: str) -> Column | None:
        """Return the column that writes a field by its value."""
        found = (c for c in self.columns if c.parent is None and c.field.name.lower() == name.lower())
        return next(found, None)


def plan(schema: Schema, sobject: SObject, operation: str, key: str | None, header: Sequence[str]) -> Plan:
    """Check a header and return what its columns do.

    :param key: the job's ``externalIdFieldName``
    :raises JobFailedError: for a header that Salesforce fails the job for
    """
    if len(header) > limits.RECORD_FIELDS:
        raise _invalid(f"Records have more than {limits.RECORD_FIELDS} fields")  # ours
    prefixes = {other.name: other.key_prefix for other in schema}
    columns = tuple(_column(schema, prefixes, sobject, name, position) for position, name in enumerate(header))
    match_by = sobject.get(key) if key and operation == "upsert" else None
    _check_key(operation, match_by, columns)
    seen: set[tuple[str, bool]] = set()
    for column, name in zip(columns, header, strict=True):
        if (column.field.name, column.parent is None) in seen:
            raise _invalid(f"Duplicate field name : {name}")  # ours
        seen.add((column.field.name, column.parent is None))
    return Plan(sobject, operation, columns, match_by)


def _check_key(operation: str, match_by: Field | None, columns: Sequence[Column]) -> None:
    """Refuse a header without the column that says which records are meant (heroku/salesforce-bulk#101).

    An upsert by ``Id`` goes without: every row is created (jsforce's live tests).
    """
    names = [column.field.name for column in columns if column.parent is None]
    wanted = "Id" if operation != "upsert" else match_by.name if match_by else "Id"
    if operation in DELETES and names != ["Id"] and "Id" in names:
        raise _invalid(f"The '{operation}' batch must contain only ids")
    if operation != "insert" and wanted not in names and not (operation == "upsert" and wanted == "Id"):
        raise _not_found(wanted)


def _column(schema: Schema, prefixes: Mapping[str, str], sobject: SObject, name: str, position: int) -> Column:
    if "." in name:
        return _relationship(schema, prefixes, sobject, name, position)
    field = sobject.get(name)
    # "Compound fields cannot be written; write the parts": they are not among the names of a header.
    if field is None or field.is_compound:
        raise _not_found(name)
    if field.type == "base64":
        raise _invalid(f"Binary field {field.name} is only supported for content types ZIP_XML and ZIP_CSV")
    return Column(position, field, _converter(sobject, field, position, prefixes))


def _converter(sobject: SObject, field: Field, position: int, prefixes: Mapping[str, str]) -> Convert:
    if field.type == "id":
        return identity(sobject.name, sobject.key_prefix)
    return converter(field, position, prefixes)


def _relationship(schema: Schema, prefixes: Mapping[str, str], sobject: SObject, name: str, position: int) -> Column:
    """Return a column such as ``Account.Ext__c``, ``Parent__r.Ext__c`` or ``Lead:Who.Email``.

    "One level only", "The part after the dot must be an external-id or idLookup field", "Polymorphic lookups need the
    type in front".
    """
    path, _, key_name = name.partition(".")
    type_name, colon, relationship = path.rpartition(":")
    lookup = sobject.by_relationship(relationship)
    if lookup is None:
        raise _invalid(f"Unable to find relationship: {relationship}")
    if colon and not lookup.is_polymorphic:
        raise _invalid(f"type is not needed for non polymorphic foreign key references: {relationship}")
    if not colon and lookup.is_polymorphic:
        raise _invalid(
            f"type is needed for polymorphic foreign key references: {relationship}"
        )  # ours, after the above
    targets = {target.lower(): target for target in lookup.reference_to}
    wanted = type_name if colon else lookup.reference_to[0]
    parent = schema.get(targets.get(wanted.lower(), ""))
    if parent is None:
        raise _invalid(f"Unable to find relationship: {path}")
    key = parent.get(key_name)
    if key is None or not (key.external_id or key.id_lookup):
        raise _not_found(name)
    return Column(position, lookup, _converter(parent, key, position, prefixes), parent, key)


def _not_found(name: str) -> JobFailedError:
    return _invalid(f"Field name not found : {name}")


def _invalid(text: str) -> JobFailedError:
    return JobFailedError(f"InvalidBatch : {text}")
