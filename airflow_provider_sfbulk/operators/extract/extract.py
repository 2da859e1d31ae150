"""The rows of a query in part files with a manifest, or in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import time
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.bulk1.calls import Bulk1Calls
from airflow_provider_sfbulk.client.bulk1.query import ByFiles
from airflow_provider_sfbulk.client.csv.dialect import dialect_of
from airflow_provider_sfbulk.client.extract.finished_pages import PageLedger
from airflow_provider_sfbulk.client.extract.folders import Folders
from airflow_provider_sfbulk.client.extract.layout import Layout
from airflow_provider_sfbulk.client.extract.query_job import ByPages, MakePage, Reader, Retype, fetch_pages
from airflow_provider_sfbulk.client.models import Compression, FileFormat
from airflow_provider_sfbulk.client.protocol.jobs import QueryCalls
from airflow_provider_sfbulk.client.results.downloads import RowsPage, too_many
from airflow_provider_sfbulk.client.results.schema_change import OnSchemaChange, SchemaChange, SchemaGuard, with_types
from airflow_provider_sfbulk.client.results.typed import arrow_schema
from airflow_provider_sfbulk.files.part_files import FilePage, PartFiles
from airflow_provider_sfbulk.operators.extract.laid_out_files import LaidOutFiles

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.effects import Flow
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.client.results.schema import ColumnType
    from airflow_provider_sfbulk.files.task_folder import TaskFolder


@dataclass(frozen=True)
class Extract:
    """A finished extract.

    :param files: URIs of the part files, in the order of the rows
    :param manifest: URI of the manifest
    :param records: of all files, deleted ones included
    :param length: bytes of all files
    :param change: how the columns differ from those of the extract before
    :param deletions: of deleted records that have files of their own ``{"records", "files"}``
    """

    files: list[str]
    manifest: str
    records: int
    length: int
    columns: tuple[str, ...]
    change: SchemaChange
    deletions: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PageReader:
    """How the rows of a job are read.

    :param is_classic: by Bulk API 1.0, whose pages are its result files
    :param page_records: records of a page at most, by Bulk API 2.0 in order
    :param at_once: pages to read at the same time
    :param describes: describe's answers so far, by object; more are added
    """

    api_version: str
    is_classic: bool
    page_records: int
    at_once: int
    describes: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def fetch(
        self,
        job: JobInfo,
        make_page: MakePage,
        *,
        typed: bool,
        ledger: PageLedger | None = None,
        retype: Retype | None = None,
        fixed: Collection[str] = (),
    ) -> Flow[int]:
        """Fetch all pages."""
        reader: Reader
        if self.is_classic:
            reader = ByFiles(Bulk1Calls(job.api_version or self.api_version), job.id, at_once=self.at_once)
        else:
            reader = ByPages(QueryCalls(self.api_version), job, self.page_records, self.at_once)
        return fetch_pages(
            reader,
            job,
            make_page,
            typed=typed,
            ledger=ledger,
            retype=retype,
            fixed=fixed,
            describes=self.describes,
        )


def extract_to_files(
    reader: PageReader,
    job: JobInfo,
    folder: TaskFolder,
    *,
    named: Sequence[str | None],
    file_format: FileFormat,
    spreadsheet_safe: bool = False,
    compression: Compression | None = None,
    layout: Layout,
    on_schema_change: OnSchemaChange,
    column_types: Mapping[str, ColumnType] = MappingProxyType({}),
    facts: Mapping[str, object] = MappingProxyType({}),
    verify: Callable[[], None],
) -> Flow[Extract]:
    """Write every page into a file of its own that is hidden, and show them all when all are proven, or the files that are
    made of them; see ``part_files`` and ``laid_out_files``.

    Every finished page is remembered, and pages of an earlier try are taken over where they are.

    :param named: what names the folder: in another one all pages are fetched anew
    :param spreadsheet_safe: of CSV, whether no value is taken for a formula by a spreadsheet
    :param compression: of the files, or inside of Parquet; None for the format's own
    :param layout: how the rows are laid out in files, where a file is not just a page
    :param on_schema_change: what to do when the columns differ from those of the extract before
    :param column_types: types that are the user's and not describe's
    :param facts: what else the manifest says, JSON
    :param verify: raises when another try has taken over
    :raises FencedError: when a newer try has taken over
    :raises SourceError: the columns differ, and the task shall fail then
    """
    guard = SchemaGuard(folder.last_manifest(), on_schema_change, job_id=job.id)
    make_files = partial(LaidOutFiles, layout=layout) if layout else PartFiles
    files = make_files(
        folder,
        job,
        file_format,
        verify=verify,
        spreadsheet_safe=spreadsheet_safe,
        compression=compression,
        schema=guard,
    )
    setup: dict[str, object] = {"format": str(file_format), "folder": list(named)}
    if spreadsheet_safe:
        setup["spreadsheet_safe"] = True  # not else: an earlier version's pages have no such entry
    if compression is not None:
        setup["compression"] = str(compression)
    if layout:
        # Pages hold rows, whatever file they go into.
        setup = {"folder": list(named), "rows": layout.folders}
    ledger = PageLedger(job, files, setup=setup)

    def make_page(index: int, types: Sequence[ColumnType]) -> FilePage:
        return files.page(index, types, ledger.setup)

    def retype(types: tuple[ColumnType, ...]) -> tuple[ColumnType, ...]:
        types = guard.retype(with_types(types, column_types))
        if layout:
            Folders(layout, arrow_schema(types))  # says what does not go together before a page is read
        return types

    typed = file_format is not FileFormat.CSV
    pages = yield from reader.fetch(
        job, make_page, typed=typed, ledger=ledger, retype=retype, fixed=column_types.keys()
    )
    facts = {**facts, **guard.facts(files.columns(), ledger.types)}
    yield from ledger.publish()
    if layout.partition_by:
        facts["partition_columns"] = layout.partition_columns(files.columns())
    shown = yield from files.publish(pages, at_once=reader.at_once, facts=facts)
    together = [*shown.files, *shown.deletions]
    deleted = sum(file.records for file in shown.deletions)
    return Extract(
        files=[file.uri for file in shown.files],
        manifest=shown.manifest,
        records=sum(file.records for file in together),
        length=sum(file.length for file in together),
        columns=files.columns(),
        change=SchemaChange.from_dict(facts.get("schema_changes")),
        deletions={"records": deleted, "files": [file.uri for file in shown.deletions]} if shown.deletions else None,
    )


def extract_to_rows(reader: PageReader, job: JobInfo, *, max_records: int) -> Flow[list[dict[str, Any]]]:
    """Read the rows into memory, typed by describe.

    :raises SourceError: when there are more than ``max_records``
    """
    made: dict[int, RowsPage] = {}

    def make_page(index: int, types: Sequence[ColumnType]) -> RowsPage:
        made[index] = RowsPage(dialect_of(job), types, max_records=max_records)
        return made[index]

    if job.processed > max_records:  # each page for itself may have fewer
        raise too_many(max_records)
    reader = replace(reader, page_records=max_records + 1, at_once=1)
    count = yield from reader.fetch(job, make_page, typed=True)
    return [
        {name: _for_xcom(value) for name, value in row.items()} for index in range(count) for row in made[index].rows
    ]


def _for_xcom(value: Any) -> Any:
    """Return a value that Airflow's XCom keeps as it is.

    Airflow makes a float of a Decimal and a Decimal of that float again, and knows no ``time``. Salesforce's own numbers
    are doubles, so the float that a Decimal is nearest to is exactly the number Salesforce holds.
    """
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, time) else value
