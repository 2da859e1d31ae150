"""The rows of a query in part files with a manifest, or in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_sfbulk.client.flows.extract import fetch
from airflow_provider_sfbulk.client.flows.job import QueryJobs
from airflow_provider_sfbulk.client.flows.page_ledger import PageLedger
from airflow_provider_sfbulk.client.records.dialect import dialect_of
from airflow_provider_sfbulk.client.records.formats import FileFormat
from airflow_provider_sfbulk.client.records.pages import RowsPage
from airflow_provider_sfbulk.operators.part_files import FilePage, PartFiles

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.client.records.output import Output
    from airflow_provider_sfbulk.client.records.schema import ColumnType
    from airflow_provider_sfbulk.client.wire import Flow


@dataclass(frozen=True)
class Extract:
    """A finished extract.

    :param files: URIs of the part files, in the order of the rows
    :param manifest: URI of the manifest
    """

    files: list[str]
    manifest: str
    records: int
    columns: tuple[str, ...]


def extract_to_files(
    api_version: str,
    job: JobInfo,
    output: Output,
    *,
    generation: int,
    folder: Sequence[str | None],
    file_format: FileFormat,
    page_records: int,
    at_once: int,
) -> Flow[Extract]:
    """Write every page into a file of its own that is hidden, and show them all when all are proven; see ``part_files``.

    Every finished page is remembered, and pages of an earlier try are taken over where they are.

    :param generation: the job's, see ``flows.extract.Submitted``
    :param folder: what names ``output``: in another folder all pages are fetched anew
    :raises FencedError: when a newer try has taken over
    """
    files = PartFiles(output, job, file_format)
    ledger = PageLedger(job, generation, files, setup={"format": str(file_format), "folder": list(folder)})

    def make_page(index: int, types: Sequence[ColumnType]) -> FilePage:
        return files.page(index, types, ledger.setup)

    pages = yield from fetch(
        QueryJobs(api_version),
        job,
        make_page,
        typed=file_format is not FileFormat.CSV,
        page_records=page_records,
        at_once=at_once,
        ledger=ledger,
    )
    yield from ledger.publish()
    shown, manifest = yield from files.publish(pages, at_once=at_once)
    return Extract(
        files=[file.uri for file in shown],
        manifest=manifest,
        records=sum(file.records for file in shown),
        columns=shown[0].columns,
    )


def extract_to_rows(api_version: str, job: JobInfo, *, max_records: int) -> Flow[list[dict[str, Any]]]:
    """Read the rows into memory, typed by describe.

    :raises SourceError: when there are more than ``max_records``
    """
    made: dict[int, RowsPage] = {}

    def make_page(index: int, types: Sequence[ColumnType]) -> RowsPage:
        made[index] = RowsPage(dialect_of(job), max_records=max_records, types=lambda _: types)
        return made[index]

    count = yield from fetch(
        QueryJobs(api_version), job, make_page, typed=True, page_records=max_records + 1, at_once=1
    )
    return [
        {name: _for_xcom(value) for name, value in row.items()} for index in range(count) for row in made[index].rows
    ]


def _for_xcom(value: Any) -> Any:
    """Give a value that Airflow's XCom keeps as it is.

    Airflow makes a float of a Decimal and a Decimal of that float again, and knows no ``time``. Salesforce's own numbers
    are doubles, so the float that a Decimal is nearest to is exactly the number Salesforce holds.
    """
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, time) else value
