"""What a test can do to what the org holds: records, objects, time; by the same names from Python and over HTTP."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_sfbulk.local_org import clock
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import deleting, ids, seed, store
from airflow_provider_sfbulk.local_org.data.describe import sobject_of
from airflow_provider_sfbulk.local_org.data.schema import Field, SObject
from airflow_provider_sfbulk.local_org.data.standard_objects import (
    completed,
    person_account,
    person_contact,
    with_standard_values,
)
from airflow_provider_sfbulk.local_org.data.store import quoted
from airflow_provider_sfbulk.local_org.http.replies import ApiError
from airflow_provider_sfbulk.local_org.rest.saving import save_records

_STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp", "CreatedById", "LastModifiedById")


class OrgState(ABC):
    """What the org holds, as a test sets it up."""

    @property
    @abstractmethod
    def core(self) -> Core:
        """The org's insides."""

    @abstractmethod
    def wait_until_idle(self) -> None:
        """Wait until no job has anything left to do."""

    @abstractmethod
    def _seed_again(self) -> None:
        """Load the seed folder, if there is one."""

    def add_object(
        self,
        described: Mapping[str, Any] | None = None,
        *,
        name: str | None = None,
        fields: Iterable[Field | Mapping[str, Any]] | None = None,
        label: str | None = None,
        key_prefix: str | None = None,
    ) -> None:
        """Add an object, or replace one of the same name; records of it stay.

        :param described: a describe answer; with an ``Id`` among its fields it is taken as it is
        :param name: with ``fields``, instead of ``described``; the object also gets ``Id``, the audit fields,
            ``External_Key__c``, and if it is a custom one ``Name`` and ``OwnerId``, where ``fields`` do not have them
        :param fields: each a :class:`~.data.schema.Field`, or a dict with describe's keys
        :raises ValueError: for a description that lacks something
        """
        if described is None:
            described = {"name": name, "label": label, "keyPrefix": key_prefix, "fields": list(fields or ())}
        present = self.core.schema.get(str(described.get("name")))
        prefix = present.key_prefix if present else self._free_prefix()
        sobject = sobject_of(described, key_prefix=prefix)
        if sobject.get("Id") is None:
            sobject = completed(sobject)
            if present is not None and not sobject.children:
                sobject = replace(sobject, children=present.children)
        else:
            sobject = replace(sobject, described=dict(described))
        self._add(with_standard_values(sobject))

    def enable_person_accounts(self) -> None:
        """Let accounts be persons: Account gets ``IsPersonAccount``, ``LastName``, ``PersonEmail`` and the like; one that
        is created with a ``LastName`` gets a contact of its own."""
        core = self.core
        with core.saving:
            self._add(person_account(self._known("Account")))
            self._add(person_contact(self._known("Contact")))

    # --- records ---

    def put(self, sobject: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
        """Put records in: they are checked as by an insert over REST, or by an update where a record names its ``Id``. All
        or nothing.

        :param records: values by field; parents also by external id, ``{"Account": {"External_Key__c": "A-1"}}``; dates
            and users of creation and change too, which no API takes
        :return: their ids
        :raises ValueError: for a record that the org does not take
        """
        core, known = self.core, self._known(sobject)
        record_ids: list[str] = []
        try:
            with core.saving, core.store.writing():
                for number, record in enumerate(records, start=1):
                    stamps = {name: record[name] for name in _STAMPS if name in record}
                    values = {name: value for name, value in record.items() if name not in stamps}
                    operation = "update" if "Id" in record else "insert"
                    (saved,) = save_records(core, known, operation, [_plain(values)])
                    if saved.error is not None or saved.record_id is None:
                        why = saved.error.text if saved.error is not None else "no id"
                        raise ValueError(f"record {number} of {known.name}: {why}")
                    self._stamp(known, saved.record_id, stamps)
                    record_ids.append(saved.record_id)
        except ApiError as refused:
            raise ValueError(f"{known.name}: {refused.code}: {refused.message}") from refused
        return record_ids

    def remove(self, sobject: str, record_ids: Sequence[str] | None = None) -> int:
        """Take records out, for ever and with nothing else.

        :param record_ids: None: all of the object
        :return: how many there were
        :raises ValueError: for what is no id
        """
        known = self._known(sobject)
        table = quoted(known.name)
        with self.core.saving, self.core.store.writing() as connection:
            if record_ids is None:
                return connection.execute(f"DELETE FROM {table}").rowcount  # noqa: S608 - a name of the schema, quoted
            sql = f"DELETE FROM {table} WHERE Id = ?"  # noqa: S608 - a name of the schema, quoted
            return sum(connection.execute(sql, (record_id_of(each),)).rowcount for each in record_ids)

    def undelete(self, record_id: str) -> None:
        """Restore a record from the recycle bin, with the children that were deleted with it and the lookups to it that
        were cleared.

        :raises ValueError: when it is not there
        """
        core, record_id = self.core, record_id_of(record_id)
        try:
            with core.saving:
                deleting.undelete(core.store, core.schema, record_id, now=clock.in_csv(core.clock.now()))
        except LookupError as missing:
            raise ValueError(str(missing)) from missing

    def snapshot(self, name: str = "snapshot") -> str:
        """Keep a copy of all records under a name, for :meth:`restore`.

        :return: the name
        :raises ValueError: for one that is not a file's name
        """
        with self.core.saving:
            store.take_snapshot(self.core.store, self._snapshot_path(name))
        return name

    def restore(self, name: str = "snapshot") -> None:
        """Let all records be as they were. Jobs, calls and the numbers of ids that were given out stay.

        :raises ValueError: when there is no such snapshot
        """
        path = self._snapshot_path(name)
        if not path.exists():
            raise ValueError(f"there is no snapshot {name}")
        with self.core.saving:
            store.go_back(self.core.store, self.core.schema, path)

    def reset(self) -> None:
        """Let the org be as it was when it started, its seed included: no records but those, no jobs, calls, faults, rules,
        held records or limits, ids counted from the start, time as it is. Objects that were added stay, and so do
        sessions."""
        core = self.core
        core.faults.clear()
        core.rules.clear()
        core.locks.clear()
        core.troubles.clear()
        for worker in (core.ingest_worker, core.query_worker):
            worker.drop()
        self.wait_until_idle()
        with core.saving:
            for entry in core.jobs:
                core.jobs.remove(entry)
            for older in core.bulk1:
                core.bulk1.remove(older)
            store.empty(core.store, core.schema)
            core.store.next_number("005", 1)  # the user's
            core.clock.reset()
            core.usage.reset()
            seed.make_first_records(core)
            self._seed_again()
        self.clear_calls()

    # --- time and calls ---

    def advance(self, seconds: float | timedelta) -> None:
        """Push the org's clock forward, whether it moves or is frozen."""
        self.core.clock.advance(seconds)

    def freeze(self, at: str | datetime | None = None) -> None:
        """Stop the org's clock.

        :param at: the moment at which it stands, with its offset from UTC, such as ``2026-03-04T05:06:07Z``; None: now
        :raises ValueError: for what is no such moment
        """
        moment = datetime.fromisoformat(at) if isinstance(at, str) else at
        if moment is not None and moment.tzinfo is None:
            raise ValueError("at needs its offset from UTC")
        self.core.clock.freeze(None if moment is None else moment.astimezone(UTC))

    def unfreeze(self) -> None:
        """Let the org's clock run on from where it is."""
        self.core.clock.unfreeze()

    def clear_calls(self) -> None:
        """Forget the calls so far."""
        self.core.calls.clear()

    # --- inside ---

    def _add(self, sobject: SObject) -> None:
        self.core.schema.add(sobject)
        self.core.store.create_table(sobject)

    def _free_prefix(self) -> str:
        """Return a key prefix for a custom object: ``a00`` and on."""
        taken = {sobject.key_prefix for sobject in self.core.schema}
        return next(p for n in range(len(ids.DIGITS) ** 2) if (p := f"a{ids.base62(n, 2)}") not in taken)

    def _known(self, name: str) -> SObject:
        found = self.core.schema.get(name)
        if found is None:
            raise ValueError(f"the local org has no object {name}")
        return found

    def _stamp(self, sobject: SObject, record_id: str, stamps: Mapping[str, Any]) -> None:
        with self.core.store.writing() as connection:
            for name, value in stamps.items():
                if name.endswith("Date") or name == "SystemModstamp":
                    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
                    if not isinstance(moment, datetime) or moment.tzinfo is None:
                        raise ValueError(f"{name} is a moment with its offset from UTC")
                    stored: Any = clock.in_csv(moment)
                else:
                    try:
                        stored = ids.normalize(str(value))
                    except ids.MalformedIdError:
                        raise ValueError(f"{name} is a user's id, not {value!r}") from None
                sql = f"UPDATE {quoted(sobject.name)} SET {quoted(name)} = ? WHERE Id = ?"  # noqa: S608 - names of the schema, quoted
                connection.execute(sql, (stored, record_id))

    def _snapshot_path(self, name: str) -> Any:
        if not re.fullmatch(r"[\w-]{1,80}", name):
            raise ValueError("a snapshot's name is of letters, digits, - and _")
        return self.core.folder / f"snapshot-{name}.sqlite"


def record_id_of(given: str) -> str:
    """Return a record's id as it is stored, from either of its forms. There need be no such record yet.

    :raises ValueError: for what has the form of no id, and so would mean no record ever
    """
    try:
        return ids.normalize(str(given))
    except ids.MalformedIdError:
        raise ValueError(f"{given!r} is no id of a record") from None


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's values as JSON would have them: numbers as text, moments as ISO 8601."""
    plain: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping):
            plain[name] = _plain(value)
        elif value is None or isinstance(value, bool | str):
            plain[name] = value
        else:
            plain[name] = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return plain
