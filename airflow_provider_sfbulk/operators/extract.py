"""The rows of a query in part files with a manifest, or in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_sfbulk.client.flows.extract import fetch
from airflow_provider_sfbulk.client.flows.job import QueryJobs
from airflow_provider_sfbulk.client.records.dialect import dialect_of
from airflow_provider_sfbulk.client.records.formats import FileFormat
from airflow_provider_sfbulk.client.records.pages import CsvPage, JsonlPage, PageFile, ParquetPage, RowsPage
from airflow_provider_sfbulk.operators.report import MANIFEST, write_json

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.client.records.output import Output
    from airflow_provider_sfbulk.client.records.schema import ColumnType
    from airflow_provider_sfbulk.client.wire import Flow

FORMAT_VERSION: Final = 1
"""Version of the manifest's form."""


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
    file_format: FileFormat,
    page_records: int,
    at_once: int,
    may_remove: Callable[[], bool],
) -> Flow[Extract]:
    """Write every page into a file of its own, then the manifest, then remove the files of the manifest before.

    The files carry the job's id, so those of two queries never mix; until the new manifest stands, the old one's files do.

    :param may_remove: asked before the files of an extract that fails are removed again: whether nobody else writes them
    """
    before = _named_in(output.read(MANIFEST))
    made: dict[int, CsvPage | ParquetPage | JsonlPage] = {}

    def make_page(index: int, types: Sequence[ColumnType]) -> CsvPage | ParquetPage | JsonlPage:
        name = f"part-{job.id}-{index:05d}.{file_format}"
        dialect = dialect_of(job)
        if file_format is FileFormat.CSV:
            made[index] = CsvPage(output, name, dialect)
        elif file_format is FileFormat.PARQUET:
            made[index] = ParquetPage(output, name, dialect, types=lambda _: types)
        else:
            made[index] = JsonlPage(output, name, dialect, types=lambda _: types)
        return made[index]

    typed = file_format is not FileFormat.CSV
    try:
        count = yield from fetch(
            QueryJobs(api_version), job, make_page, typed=typed, page_records=page_records, at_once=at_once
        )
        files = [file for index in range(count) if (file := made[index].file) is not None]
        manifest = write_json(output, MANIFEST, _manifest(job, file_format, files))
    except BaseException:
        # Whoever reads the folder by pattern must not meet a part of an extract; but an earlier extract of the same job
        # stands, and has the same files.
        if may_remove():
            for page in made.values():
                if page.file is not None and page.file.name not in before:
                    output.remove(page.file.name)
        raise
    for name in before - {file.name for file in files}:
        output.remove(name)
    return Extract(
        files=[file.uri for file in files],
        manifest=manifest,
        records=sum(file.records for file in files),
        columns=files[0].columns,
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


def _manifest(job: JobInfo, file_format: FileFormat, files: Sequence[PageFile]) -> dict[str, Any]:
    return {
        "version": FORMAT_VERSION,
        "job_id": job.id,
        "sobject": job.object,
        "format": str(file_format),
        "columns": list(files[0].columns),
        "records": sum(file.records for file in files),
        "files": [
            {
                "name": file.name,
                "uri": file.uri,
                "records": file.records,
                "bytes": file.length,
                "sha256": file.sha256,
            }
            for file in files
        ],
    }


def _named_in(manifest: bytes | None) -> set[str]:
    """Read which files an earlier manifest names; of one that is not ours, none: its files are somebody else's."""
    try:
        read = json.loads(manifest or b"{}")
        names = {file["name"] for file in read["files"]} if read.get("version") == FORMAT_VERSION else set()
    except (ValueError, TypeError, KeyError, AttributeError):
        return set()
    return {name for name in names if isinstance(name, str) and name.startswith("part-") and "/" not in name}
