"""Records that an org starts with: one CSV file per object, ``Account.csv`` and so on.

They go through the same checks as a bulk insert, and a file with a row that fails is refused: an org that silently
lacks some of its records would be worse than none. Parents come before their children; within a file, lookups by
external id reach rows of earlier files only.
"""

from __future__ import annotations

from pathlib import Path

from airflow_provider_sfbulk.local_org.bulk2 import csv_in
from airflow_provider_sfbulk.local_org.core import Core
from airflow_provider_sfbulk.local_org.data import columns, save
from airflow_provider_sfbulk.local_org.data.schema import Schema, SObject


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
