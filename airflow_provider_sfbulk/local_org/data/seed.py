"""What a new org has in it: its user with their profile, the organization, the standard price book, and what a test's seed
folder holds: one CSV file per object, ``Account.csv`` and so on.

Seed files go through the same checks as a bulk insert, and a file with a row that fails is refused: an org that silently
lacks some of its records would be worse than none. Parents come before their children; within a file, lookups by
external id reach rows of earlier files only.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from airflow_provider_sfbulk.local_org import clock, save
from airflow_provider_sfbulk.local_org.bulk2 import csv_in
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import columns
from airflow_provider_sfbulk.local_org.data.schema import Schema, SObject
from airflow_provider_sfbulk.local_org.data.standard_objects import standard_objects
from airflow_provider_sfbulk.local_org.data.store import blank_file, quoted


class SeedError(ValueError):
    """A seed folder that cannot be loaded: which file and row, and why."""


def load(core: Core, folder: Path) -> None:
    """Insert the records of every ``<sObject>.csv`` of a folder.

    :raises SeedError: for a file of no object, or a row that an insert would refuse
    """
    if not folder.is_dir():
        raise SeedError(f"seed folder {folder} does not exist")
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.csv")):
        sobject = core.schema.get(path.stem)
        if sobject is None:
            raise SeedError(f"{path}: there is no object {path.stem}; add it with a schema file")
        files[sobject.name] = path
    for sobject in _parents_first(core.schema):
        if sobject.name in files:
            _load_file(core, sobject, files[sobject.name])


def _parents_first(schema: Schema) -> list[SObject]:
    """Return the objects so that each comes after those it looks up to, as far as they do not go round in circles."""
    ordered: dict[str, SObject] = {}

    def visit(sobject: SObject, above: frozenset[str]) -> None:
        if sobject.name in ordered or sobject.name in above:
            return
        for field in sobject.fields.values():
            for name in field.reference_to if field.createable else ():
                parent = schema.get(name)
                if parent is not None:
                    visit(parent, above | {sobject.name})
        ordered.setdefault(sobject.name, sobject)

    for sobject in schema:
        visit(sobject, frozenset())
    return list(ordered.values())


def _load_file(core: Core, sobject: SObject, path: Path) -> None:
    with path.open("rb") as file:
        ending = "CRLF" if file.readline().endswith(b"\r\n") else "LF"
    dialect = csv_in.Dialect("COMMA", ending)
    try:
        contents = csv_in.read(path, dialect)
        plan = columns.plan(core.schema, sobject, "insert", None, contents.header)
    except csv_in.JobFailedError as error:
        raise SeedError(f"{path}: {error}") from error
    for span in contents.spans:
        table = csv_in.table(path, dialect, span, len(plan.columns))
        if table.malformed:
            raise SeedError(f"{path}: {table.malformed[0][1]}")
        if not table.count:
            continue
        outcome = save.decide(core, plan, contents.header, table.columns, user_id=core.credentials.user_id)
        for row, problem in sorted(outcome.errors.items()):
            raise SeedError(
                f"{path}, a record of the batch of 10,000 at byte {span.start}, number {row + 1}: {problem.text}"
            )
        with core.store.writing() as connection:
            save.write(connection, outcome)


# --- first records ---


@cache
def _blank_file() -> bytes:
    return blank_file(standard_objects())


def lay_out(path: Path) -> None:
    """Make the file of a new org, unless it is there. Once in a process the tables are made, then they are copied:
    a test suite starts an org for each test."""
    if not path.exists():
        path.write_bytes(_blank_file())


def make_first_records(core: Core) -> None:
    """Make the records, unless the data file has them."""
    who = core.credentials
    if not core.store.select("SELECT 1 FROM Profile LIMIT 1"):
        (profile,) = core.store.new_ids("00e", 1)
        _insert(core, "Profile", Id=profile, Name="System Administrator", UserType="Standard")
    if not core.store.select("SELECT 1 FROM Pricebook2 WHERE IsStandard = 1 LIMIT 1"):
        (book,) = core.store.new_ids("01s", 1)
        _insert(core, "Pricebook2", Id=book, Name="Standard Price Book", IsActive=1, IsStandard=1)
    _insert(
        core,
        "Organization",
        Id=who.org_id,
        Name="Local Org",
        OrganizationType="Developer Edition",
        InstanceName="LOCAL",
        DefaultLocaleSidKey="en_US",
        LanguageLocaleKey="en_US",
        TimeZoneSidKey="GMT",
        FiscalYearStartMonth=1,
    )
    _insert(
        core,
        "User",
        Id=who.user_id,
        Username=who.username,
        FirstName="Local",
        LastName="Loader",
        Email=who.username,
        Alias="loader",
        CommunityNickname="loader",
        IsActive=1,
        UserType="Standard",
        TimeZoneSidKey="GMT",
        LocaleSidKey="en_US",
        EmailEncodingKey="UTF-8",
        LanguageLocaleKey="en_US",
        ProfileId=core.store.select("SELECT Id FROM Profile ORDER BY Id LIMIT 1")[0][0],
    )


def _insert(core: Core, sobject: str, **values: Any) -> None:
    now, user_id = clock.in_csv(core.clock.now()), core.credentials.user_id
    stamps = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), now)
    stamps |= dict.fromkeys(("CreatedById", "LastModifiedById"), user_id)
    values = {**values, **stamps}
    names = ", ".join(map(quoted, values))
    with core.store.writing() as connection:
        connection.execute(
            f"INSERT OR IGNORE INTO {quoted(sobject)} ({names}) VALUES ({', '.join('?' * len(values))})",  # noqa: S608 - names above
            tuple(values.values()),
        )
