"""Which fields a query of a whole object selects, by describe.

Facts (Bulk API 2.0 guide, "Understanding Bulk API 2.0 Query"; SOQL reference, "FIELDS()"):

- ``FIELDS(ALL)`` needs a ``LIMIT`` of at most 200 and is refused in query jobs; ``FIELDS(STANDARD)`` names compound fields,
  which are refused too. So every field is named.
- Compound fields (addresses, locations) cannot be selected; their parts are fields of their own. Neither can base64 fields,
  and fields of the types *complexvalue* and *JunctionIdList* come back empty or not at all.
- Describe has the fields that this user may read, and no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from airflow_provider_sfbulk import limits
from airflow_provider_sfbulk.client.arguments import meant
from airflow_provider_sfbulk.client.effects import Flow
from airflow_provider_sfbulk.client.errors import NotFoundError, ProtocolError, SourceError
from airflow_provider_sfbulk.client.models import BINARY_TYPE, COMPOUND_TYPES
from airflow_provider_sfbulk.client.protocol.describe import describe

ALL: Final = "all"
"""Stands for every field of the object itself."""

_LEFT_OUT: Final[Mapping[str, str]] = {
    **dict.fromkeys(COMPOUND_TYPES, "compound"),
    BINARY_TYPE: "base64",
    **dict.fromkeys(("complexvalue", "junctionidlist", "junctionidlistnames"), "unsupported"),
}
"""Describe's types, in lower case, that a bulk query cannot select, and why."""


@dataclass(frozen=True)
class FieldList:
    """The fields of one object that a query selects.

    :param sobject: the object, as describe spells it
    :param names: the fields in describe's order, then those over relationships
    :param left_out: fields that ``all`` stands for and no bulk query can select, and why: ``compound``, ``base64`` or
        ``unsupported``
    """

    sobject: str
    names: tuple[str, ...]
    left_out: Mapping[str, str]


def list_fields(
    sobject: str,
    fields: Sequence[str],
    exclude: Sequence[str],
    needed: Mapping[str, str] = MappingProxyType({}),
    *,
    api_version: str,
    describes: dict[str, Mapping[str, Any]],
) -> Flow[FieldList]:
    """List the fields to select, with one call to the org.

    :param fields: names of fields, ``all`` for every field of the object, and paths over relationships (``Owner.Name``)
    :param exclude: names of fields that ``all`` does not stand for
    :param needed: more fields to select, and the argument that needs each
    :param describes: describe's answers by object, to which this one is added
    :raises SourceError: the object or a field is not there for this login, or cannot be selected by a bulk query
    """
    try:
        described = yield from describe(sobject, api_version=api_version)
    except NotFoundError as error:
        raise SourceError(f"sobject: the org has no object {sobject}, or this user cannot read it") from error
    selected = choose_fields(described, fields, exclude, needed)
    describes |= dict.fromkeys((sobject, selected.sobject), described)
    return selected


def choose_fields(
    described: Mapping[str, Any],
    fields: Sequence[str],
    exclude: Sequence[str],
    needed: Mapping[str, str] = MappingProxyType({}),
) -> FieldList:
    """List the fields to select; see :func:`list_fields`.

    :param described: the object's describe answer
    """
    known = _Fields(described)
    dropped = {known.named(name, argument="exclude") for name in exclude}
    names: list[str] = []
    left_out: dict[str, str] = {}
    for each, argument in (*((name, "fields") for name in fields), *needed.items()):
        if each == ALL:
            left_out = {name: why for name, why in known.unfit.items() if name not in dropped}
            names += [name for name in known.names if name not in known.unfit and name not in dropped]
        elif "." in each:
            names.append(known.path(each, argument=argument))
        else:
            names.append(known.selectable(each, argument=argument))
    names = list(dict.fromkeys(names))
    if not names:
        raise SourceError(f"exclude leaves no field of {known.sobject} to be read")
    return FieldList(known.sobject, tuple(names), left_out)


def select_statement(sobject: str, names: Iterable[str], conditions: Iterable[str] = ()) -> str:
    """Write the query.

    :param conditions: all of which hold, each in parentheses already where it needs them
    :raises SourceError: it is longer than SOQL may be
    """
    where = " AND ".join(conditions)
    soql = " ".join(["SELECT", ", ".join(names), "FROM", sobject, *(["WHERE", where] if where else [])])
    if len(soql) > limits.SOQL_CHARACTERS:
        raise SourceError(
            f"the query of all fields of {sobject} has {len(soql):,} characters, and SOQL takes "
            f"{limits.SOQL_CHARACTERS:,}: leave fields out with exclude, or read them in two queries"
        )
    return soql


class _Fields:
    """The fields of a describe answer, found without regard to case, as SOQL does."""

    def __init__(self, described: Mapping[str, Any]) -> None:
        self.sobject = str(described.get("name"))
        if described.get("queryable") is False:
            raise SourceError(f"sobject: {self.sobject} cannot be queried (describe: queryable is false)")
        fields = [each for each in described.get("fields") or () if isinstance(each, Mapping) and each.get("name")]
        if not fields:
            raise ProtocolError(f"describe of {self.sobject} names no fields")
        self.names = [str(each["name"]) for each in fields]
        self.unfit = {
            str(each["name"]): why
            for each in fields
            if (why := _LEFT_OUT.get(str(each.get("type")).lower())) is not None
        }
        self._fields = fields
        self._known = {name.lower(): name for name in self.names}
        self._relationships = [str(each["relationshipName"]) for each in fields if each.get("relationshipName")]

    def named(self, name: str, *, argument: str) -> str:
        found = self._known.get(name.lower())
        if found is None:
            raise SourceError(
                f"{argument}: {self.sobject} has no field {name}, or this user cannot read it{meant(name, self.names)}"
            )
        return found

    def selectable(self, name: str, *, argument: str) -> str:
        found = self.named(name, argument=argument)
        why = self.unfit.get(found)
        if why is None:
            return found
        parts = [str(each["name"]) for each in self._fields if each.get("compoundFieldName") == found]
        instead = f"; select its parts: {', '.join(parts)}" if parts else ""
        raise SourceError(f"{argument}: {found} of {self.sobject} is {why}, and no bulk query can select it{instead}")

    def path(self, path: str, *, argument: str) -> str:
        first, _, rest = path.partition(".")
        for each in self._relationships:
            if each.lower() == first.lower():
                return f"{each}.{rest}"
        raise SourceError(
            f"{argument}: {self.sobject} has no relationship {first}, as {path} needs{meant(first, self._relationships)}"
        )
