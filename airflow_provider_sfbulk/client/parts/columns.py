"""Checks whether columns can be sent: by themselves, and against the object's describe.

At Salesforce an unknown column fails the whole job, but only after the upload, and the error names only the first one.
So everything that can be checked is checked before the upload, and all problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.csv.names import first_of, foreign_name, shown_name, unseen_in
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.models import BINARY_TYPE, COMPOUND_TYPES, Operation
from airflow_provider_sfbulk.client.parts.stream import DELETES, NEEDS_ID, Unfit


def check_columns(
    columns: Sequence[str],
    *,
    operation: Operation,
    external_id_field: str | None,
    name: str = "the source",
    is_csv: bool = False,
) -> None:
    """Check column names by themselves. Names match without regard to case, as at Salesforce.

    :param name: the source's name, for messages
    :param is_csv: whether the names are a file's first line, which may be a record: they are not shown then
    :raises SourceError: with all that is wrong
    """
    problems = list(_by_themselves(columns, Operation(operation), external_id_field, is_csv=is_csv))
    if problems:
        raise SourceError(f"{name}: the columns cannot be loaded: {first_of(problems)}")


def _by_themselves(
    columns: Sequence[str], operation: Operation, external_id_field: str | None, *, is_csv: bool = False
) -> Iterator[str]:
    folded = [name.casefold() for name in columns]
    seen: dict[str, int] = {}
    if len(columns) > limits.RECORD_FIELDS:
        yield f"there are {len(columns):,}, but a record can have only {limits.RECORD_FIELDS:,}"
    for place, name in enumerate(columns, start=1):
        label = f"column {place}" if is_csv else shown_name(name)
        unseen = unseen_in(name)
        if not name.strip():
            yield f"column {place} has no name" + (", but the header line must name every column" if is_csv else "")
        elif unseen:
            yield f"{label} has invisible characters in its name ({unseen}): remove them"
        elif name != name.strip():
            yield f"{label} has spaces around its name: remove them"
        elif name.casefold() in seen:
            twin = f"has the same name as column {seen[name.casefold()]}" if is_csv else "occurs twice"
            yield f"{label} {twin} (case is ignored)"
        seen.setdefault(name.casefold(), place)
    has_id = "id" in folded
    if operation in DELETES and (folded != ["id"]):
        yield f"{operation} needs exactly one column, Id (drop others with column_mapping){_no_header(is_csv)}"
    elif operation in NEEDS_ID and not has_id:
        yield f"{operation} needs the column Id{_no_header(is_csv)}"
    elif operation is Operation.INSERT and has_id:
        yield "insert does not accept an Id (use update or upsert, or drop the column with column_mapping)"
    elif operation is Operation.UPSERT:
        if not external_id_field or not isinstance(external_id_field, str):
            yield "upsert needs external_id_field, the name of the field that records are matched by"
        # The guide asks for the key's column, yet an upsert by Id without it inserts: seen from clients.
        elif external_id_field.casefold() not in {*folded, "id"}:
            yield f"upsert by {external_id_field} needs a column of that name{_no_header(is_csv)}"


def _no_header(is_csv: bool) -> str:
    return " in the first line of the file: is that the header line?" if is_csv else ""


def check_against_describe(
    columns: Sequence[str],
    describe: Mapping[str, Any],
    *,
    operation: Operation,
    external_id_field: str | None,
    name: str = "the source",
    is_csv: bool = False,
    unfit: Unfit | None = None,
) -> tuple[str, ...]:
    """Check columns against the object's describe and spell them as Salesforce does.

    Of a relationship column only the relationship is checked: the other object's fields are not known here.

    :param describe: reply of ``GET /sobjects/<object>/describe``
    :param name: the source's name, for messages
    :param is_csv: whether the names are a file's first line. When none of them is a field's, it may be a record, and
        is not shown
    :param unfit: called with each problem instead
    :return: the columns in describe's spelling, for :meth:`RecordStream.with_columns`
    :raises SourceError: with all that is wrong
    """
    checked = _Describe(describe, Operation(operation), external_id_field)
    if is_csv and columns and not any(map(checked.knows, columns)):
        raise SourceError(
            f"{name}: none of the {len(columns)} name(s) in the first line is a field of {checked.object}. If the header "
            "line is missing, add one with the names of the fields, or with names that column_mapping maps to them"
            f"{_guesses(columns, checked)}"
        )
    problems: list[tuple[str, str]] = [("", each) for each in checked.object_problems()]
    canonical: list[str] = []
    for column in columns:
        found, problem = checked.column(column, guess=len(problems) < _GUESSED)
        canonical.append(found)
        if problem:
            problems.append((column, problem))
    if columns and not problems:  # without columns there is no record that could need one
        # Two spellings may be one field only now: a custom field without its namespace is not, case is.
        problems += [("", each) for each in _by_themselves(canonical, checked.operation, external_id_field)]
    if problems and unfit is None:
        reasons = first_of(reason for _, reason in problems)
        raise SourceError(f"{name}: the columns do not fit {checked.object}: {reasons}")
    for column, reason in problems:
        if unfit is not None:
            unfit(None, column, f"{name}: {reason}")
    return tuple(canonical)


_GUESSED: Final = 10
"""Unknown names for which near ones are looked for: there may be thousands of them, and of the object's fields."""


def _guesses(columns: Sequence[str], checked: _Describe) -> str:
    """What names that are not shown may have meant."""
    hints = [
        f"column {place}{hint}"
        for place, column in enumerate(columns[:_GUESSED], start=1)
        if (hint := foreign_name(column) or checked.near(column))
    ]
    return f". {'; '.join(hints)}" if hints else ""


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
                yield f"this user cannot {self.operation} {self.object}: the object is not {flag}"
        if self.operation is Operation.UPSERT and self._external_id_field:
            field = self._fields.get(self._key)
            if field is None:
                yield f"there is no external id field {self._external_id_field}{self._close(self._external_id_field)}"
            elif not (field.get("externalId") or field.get("idLookup")):
                yield f"upsert cannot match by {field['name']}: it is neither an external id nor an idLookup field"

    def knows(self, column: str) -> bool:
        """Whether a column is a field, or goes over a relationship, of this object."""
        if "." not in column:
            return column.casefold() in self._fields
        return column.partition(".")[0].rpartition(":")[2].casefold() in self._relationships

    def column(self, name: str, *, guess: bool) -> tuple[str, str | None]:
        """Canonical name of a column, and what is wrong with it.

        :param guess: whether to look for the name that was meant
        """
        if (not self.knows(name) or name.endswith(".attributes")) and (hint := foreign_name(name)):
            return name, f"there is no field {shown_name(name)}{hint}"
        return self.relationship(name) if "." in name else self.field(name, guess=guess)

    def near(self, name: str) -> str:
        """Name the fields whose names are like this one."""
        return self._close(name)

    def field(self, name: str, *, guess: bool) -> tuple[str, str | None]:
        """Canonical name of a plain column, and what is wrong with it."""
        field = self._fields.get(name.casefold())
        if field is None:
            hint = self._close(name) if guess else ""
            return name, f"there is no field {shown_name(name)}, or this user cannot see it{hint}"
        canonical = str(field["name"])
        return canonical, self._field_problem(canonical, field)

    def _field_problem(self, name: str, field: Mapping[str, Any]) -> str | None:
        if self.operation in DELETES or name.casefold() in {"id", self._key}:
            return None
        kind = str(field.get("type", ""))
        createable, updateable = field.get("createable") is not False, field.get("updateable") is not False
        problems = {
            f"{name} is a compound field ({kind}): send its components{self._parts_of(name)}": kind in COMPOUND_TYPES,
            f"{name} holds binary data, which Bulk API 2.0 does not accept": kind == BINARY_TYPE,
            f"{name} is a formula and cannot be written": bool(field.get("calculated")),
            f"{name} is an auto number and cannot be written": bool(field.get("autoNumber")),
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
            return (
                column,
                f"{shown_name(column)} must be one relationship and one field, such as Owner.Email or Lead:Who.Email",
            )
        if self.operation in DELETES:
            return column, None
        field = self._relationships.get(name.casefold())
        if field is None:
            near = self._fields.get(name.casefold())
            rel = near.get("relationshipName") if near else None
            hint = f" (the relationship of {name} is {rel})" if rel else self._close(name, self._relationships)
            return column, f"{shown_name(column)}: there is no relationship {shown_name(name)}{hint}"
        targets = [str(each) for each in field.get("referenceTo") or ()]
        relationship = str(field["relationshipName"])
        if len(targets) > 1:
            found = {each.casefold(): each for each in targets}.get(kind.casefold())
            if found is None:
                named = ", ".join(sorted(targets)[:10])
                return column, (
                    f"{shown_name(column)}: {relationship} can refer to several objects ({named}): put one of them in "
                    f"front, such as {sorted(targets)[0]}:{relationship}.{leaf}"
                )
            canonical = f"{found}:{relationship}.{leaf}"
        else:
            if kind:
                return (
                    column,
                    f"{shown_name(column)}: {relationship} refers to only one object: leave out the object name in front",
                )
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
