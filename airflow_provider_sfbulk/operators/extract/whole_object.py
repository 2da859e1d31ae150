"""A whole object as a query: the operator's ``sobject``, ``fields``, ``exclude`` and ``where``.

The list of fields comes from describe when the task first runs and is kept in the ledger before the job is made. It is part
of what the query is: a retry reads the same fields, whatever was added meanwhile. A clear makes a new list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_sfbulk.client.effects import Flow, ReadEntry, WriteEntry
from airflow_provider_sfbulk.client.errors import SourceError
from airflow_provider_sfbulk.client.extract.whole_object import FieldList, list_fields, select_statement
from airflow_provider_sfbulk.task.old_ledger import plan_digest


@dataclass(frozen=True)
class WholeObject:
    """What the arguments ask for.

    :param fields: as the user wrote them
    :param where: a condition, with ``:name`` for values that are bound
    :param window: conditions of an incremental query
    :param needed: fields that are selected whether the user names them or not, and the argument that needs each
    """

    sobject: str
    fields: str | Sequence[str]
    exclude: Sequence[str]
    where: str | None
    window: Sequence[str]
    needed: Mapping[str, str] = field(default_factory=dict)

    def statement(self, names: Sequence[str] = ("Id",)) -> str:
        """Write the query, its values not bound yet.

        :raises SourceError: it is longer than SOQL may be
        """
        alone = not self.window
        where = () if self.where is None else (self.where.strip() if alone else f"({self.where.strip()})",)
        return select_statement(self.sobject, names, (*where, *self.window))

    def list_fields(self, *, api_version: str, describes: dict[str, Mapping[str, Any]]) -> Flow[FieldList]:
        """Return the fields that this query selects: those of the try before, or those that describe has now.

        :param describes: describe's answers so far, to which this one is added
        :raises SourceError: see ``client.extract.whole_object.list_fields``
        """
        kept = yield ReadEntry(self._key)
        if kept is not None:
            return _read(kept)
        found = yield from list_fields(
            self.sobject, self._named, self.exclude, self.needed, api_version=api_version, describes=describes
        )
        self.statement(found.names)  # refused before anything is kept
        stands = yield WriteEntry(
            self._key, {"object": found.sobject, "names": list(found.names), "left_out": dict(found.left_out)}
        )
        return _read(stands)

    def kept_fields(self) -> Flow[FieldList]:
        """Return the fields of the query that this try has waited for.

        :raises SourceError: the DAG was changed meanwhile
        """
        kept = yield ReadEntry(self._key)
        if kept is None:
            raise SourceError(
                "sobject, fields or exclude was changed while the task waited; nothing is published. Clear the task"
            )
        return _read(kept)

    @property
    def _named(self) -> Sequence[str]:
        return (self.fields,) if isinstance(self.fields, str) else self.fields

    @property
    def _key(self) -> str:
        plan = {"sobject": self.sobject, "fields": self.fields, "exclude": self.exclude}
        return f"fields.{plan_digest({**plan, 'needed': list(self.needed)} if self.needed else plan)}"


def said_left_out(selected: FieldList) -> str:
    """Return which fields are left out, as the end of a sentence; nothing when none are."""
    if not selected.left_out:
        return ""
    return f"; left out: {', '.join(f'{name} ({why})' for name, why in selected.left_out.items())}"


def _read(kept: Mapping[str, Any]) -> FieldList:
    return FieldList(kept["object"], tuple(map(str, kept["names"])), kept["left_out"])
