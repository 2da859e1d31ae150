"""Whether columns can be sent at all: by themselves, and against what describe says of the object.

An unknown column fails the whole job at Salesforce, names only the first one, and does so after the upload. So all
that can be known before is checked before, and all problems are told at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import Operation

_COMPOUND: Final = frozenset({"address", "location", "complexvalue"})
_NEEDS_ID: Final = frozenset({Operation.UPDATE, Operation.DELETE, Operation.HARD_DELETE})
_DELETES: Final = frozenset({Operation.DELETE, Operation.HARD_DELETE})


def check_columns(columns: Sequence[str], *, operation: Operation, external_id_field: str | None) -> None:
    """Check column names by themselves. Names match without regard to case, as at Salesforce.

    :raises SourceError: with all that is wrong
    """
    problems = list(_by_themselves(columns, Operation(operation), external_id_field))
    if problems:
        raise SourceError("the columns cannot be sent: " + "; ".join(problems))


def _by_themselves(columns: Sequence[str], operation: Operation, external_id_field: str | None) -> Iterator[str]:
    folded = [name.casefold() for name in columns]
    seen: set[str] = set()
    if len(columns) > limits.RECORD_FIELDS:
        yield f"there are {len(columns)}, a record takes {limits.RECORD_FIELDS}"
    for place, name in enumerate(columns, start=1):
        if not name.strip():
            yield f"column {place} has no name"
        elif name != name.strip():
            yield f"{name!r} has spaces around it"
        elif any(character in name for character in "\r\n\0"):
            yield f"{name!r} has a control character in it"
        elif name.casefold() in seen:
            yield f"{name} is there twice (case does not count)"
        seen.add(name.casefold())
    has_id = "id" in folded
    if operation in _DELETES and (folded != ["id"]):
        yield f"{operation} takes exactly one column, Id (drop others with column_mapping)"
    elif operation in _NEEDS_ID and not has_id:
        yield f"{operation} needs a column Id"
    elif operation is Operation.INSERT and has_id:
        yield "insert takes no Id (use update or upsert, or drop it with column_mapping)"
    elif operation is Operation.UPSERT:
        if not external_id_field:
            yield "upsert needs an external_id_field"
        # The guide asks for the key's column, yet an upsert by Id without it inserts: seen from clients.
        elif external_id_field.casefold() not in {*folded, "id"}:
            yield f"upsert by {external_id_field} needs a column of that name"


def check_against_describe(
    columns: Sequence[str], describe: Mapping[str, Any], *, operation: Operation, external_id_field: str | None
) -> tuple[str, ...]:
    """Check columns against the object's describe and spell them as Salesforce does.

    Of a relationship column only the relationship is checked: the other object's fields are not known here.

    :param describe: reply of ``GET /sobjects/<object>/describe``
    :return: the columns in describe's spelling, for :meth:`RecordStream.with_columns`
    :raises SourceError: with all that is wrong
    """
    problems: list[str] = []
    canonical: list[str] = []
    checked = _Describe(describe, Operation(operation), external_id_field)
    problems += checked.object_problems()
    for name in columns:
        found, problem = checked.relationship(name) if "." in name else checked.field(name)
        canonical.append(found)
        if problem:
            problems.append(problem)
    if not problems:
        # Two spellings may be one field only now: a custom field without its namespace is not, case is.
        problems += _by_themselves(canonical, checked.operation, external_id_field)
    if problems:
        raise SourceError(f"the columns do not fit {checked.object}: " + "; ".join(problems))
    return tuple(canonical)


class _Describe:
    """An object's describe, made ready for questions."""

    def __init__(self, describe: Mapping[str, Any], operation: Operation, external_id_field: str | None) -> None:
        self.object = str(describe.get("name", "the object"))
        self.operation = operation
        self._describe = describe
        self._key = (external_id_field or "").casefold()
        self._external_id_field = external_id_field
        fields: Sequence[Mapping[str, Any]] = describe.get("fields") or ()
        self._fields = {str(field["name"]).casefold(): field for field in fields}
        self._relationships = {
            str(field["relationshipName"]).casefold(): field for field in fields if field.get("relationshipName")
        }

    def object_problems(self) -> Iterator[str]:
        """What is wrong with the object and the external id field."""
        needed = {
            Operation.INSERT: ("createable",),
            Operation.UPDATE: ("updateable",),
            Operation.UPSERT: ("createable", "updateable"),
            Operation.DELETE: ("deletable",),
            Operation.HARD_DELETE: ("deletable",),
        }[self.operation]
        for flag in needed:
            if self._describe.get(flag) is False:
                yield f"this login cannot {self.operation} {self.object}: it is not {flag}"
        if self.operation is Operation.UPSERT and self._external_id_field:
            field = self._fields.get(self._key)
            if field is None:
                yield f"there is no external id field {self._external_id_field}{self._close(self._external_id_field)}"
            elif not (field.get("externalId") or field.get("idLookup")):
                yield f"{field['name']} is neither an external id nor a lookup id, so upsert cannot match by it"

    def field(self, name: str) -> tuple[str, str | None]:
        """Canonical name of a plain column, and what is wrong with it."""
        field = self._fields.get(name.casefold())
        if field is None:
            return name, f"there is no field {name}, or this login may not see it{self._close(name)}"
        canonical = str(field["name"])
        return canonical, self._field_problem(canonical, field)

    def _field_problem(self, name: str, field: Mapping[str, Any]) -> str | None:
        if self.operation in _DELETES or name.casefold() in {"id", self._key}:
            return None
        kind = str(field.get("type", ""))
        createable, updateable = field.get("createable") is not False, field.get("updateable") is not False
        problems = {
            f"{name} is a compound {kind} field: send its parts{self._parts_of(name)}": kind in _COMPOUND,
            f"{name} holds binary data, which Bulk API 2.0 does not take": kind == "base64",
            f"{name} is a formula: it cannot be written": bool(field.get("calculated")),
            f"{name} is an auto number: it cannot be written": bool(field.get("autoNumber")),
            f"{name} is not createable": self.operation is Operation.INSERT and not createable,
            f"{name} is not updateable": self.operation is Operation.UPDATE and not updateable,
            f"{name} is neither createable nor updateable": not createable and not updateable,
        }
        return next((problem for problem, applies in problems.items() if applies), None)

    def _parts_of(self, compound: str) -> str:
        parts = [
            str(field["name"])
            for field in self._fields.values()
            if str(field.get("compoundFieldName") or "").casefold() == compound.casefold()
        ]
        return f" ({', '.join(sorted(parts))})" if parts else ""

    def relationship(self, column: str) -> tuple[str, str | None]:
        """Canonical name of ``Rel.Ext__c`` or ``Type:Rel.Ext__c``, and what is wrong with it."""
        path, _, leaf = column.partition(".")
        kind, colon, name = path.rpartition(":")
        if "." in leaf or not leaf or not name or (colon and not kind):
            return column, f"{column}: one relationship and one field of it, as Owner.Email or Lead:Who.Email"
        if self.operation in _DELETES:
            return column, None
        field = self._relationships.get(name.casefold())
        if field is None:
            near = self._fields.get(name.casefold())
            rel = near.get("relationshipName") if near else None
            hint = f" (the relationship of {name} is {rel})" if rel else self._close(name, self._relationships)
            return column, f"{column}: there is no relationship {name}{hint}"
        targets = [str(each) for each in field.get("referenceTo") or ()]
        relationship = str(field["relationshipName"])
        if len(targets) > 1:
            found = {each.casefold(): each for each in targets}.get(kind.casefold())
            if found is None:
                shown = ", ".join(sorted(targets)[:10])
                return column, (
                    f"{column}: {relationship} may point to several objects, so name one of them in front, as "
                    f"{sorted(targets)[0]}:{relationship}.{leaf} (of: {shown})"
                )
            canonical = f"{found}:{relationship}.{leaf}"
        else:
            if kind:
                return column, f"{column}: {relationship} points to one object only, so no type goes in front of it"
            canonical = f"{relationship}.{leaf}"
        return canonical, self._field_problem(relationship, {**field, "type": "reference"})

    def _close(self, name: str, among: Mapping[str, Mapping[str, Any]] | None = None) -> str:
        known = self._fields if among is None else among
        key = "name" if among is None else "relationshipName"
        matches = get_close_matches(name.casefold(), list(known), n=3, cutoff=0.6)
        # "custom fields" is what people forget: Region for Region__c.
        custom = f"{name.casefold()}__c"
        if among is None and custom in known and custom not in matches:
            matches.insert(0, custom)
        return f" (is it {' or '.join(str(known[match][key]) for match in matches)}?)" if matches else ""
