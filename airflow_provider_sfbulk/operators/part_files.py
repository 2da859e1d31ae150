"""The part files of an extract: hidden until all of them are proven, then shown together, the manifest last.

=========================================  ===========================================================================
``_part-<job>-<index>.<format>.<setup>``   a finished page of an extract that is not finished: it waits for a retry
``_publishing.json``                       which part files appear and disappear; there only while they do
``part-<job>-<index>.<format>``            a part file
``manifest.json``                          names the part files; what it does not name is no part of an extract
=========================================  ===========================================================================

Readers of whole folders (Spark, Hive, Athena, Arrow) skip names that begin with ``_``, and patterns such as ``*.parquet``
or ``part-*`` do not match the hidden ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from airflow_provider_sfbulk.client.models import FileFormat
from airflow_provider_sfbulk.client.records.dialect import dialect_of
from airflow_provider_sfbulk.client.records.pages import (
    Announcement,
    CsvPage,
    JsonlPage,
    PageFile,
    ParquetPage,
    announced,
    columns_of,
)
from airflow_provider_sfbulk.client.wire import Flow, Reply, Together
from airflow_provider_sfbulk.operators.report import MANIFEST, write_json

if TYPE_CHECKING:
    from airflow_provider_sfbulk.client.flows.query import Page
    from airflow_provider_sfbulk.client.models import JobInfo
    from airflow_provider_sfbulk.client.records.output import Output
    from airflow_provider_sfbulk.client.records.schema import ColumnType

FilePage: TypeAlias = CsvPage | ParquetPage | JsonlPage

FORMAT_VERSION: Final = 1
"""Version of the manifest's form."""

PUBLISHING: Final = "_publishing.json"

_PART: Final = rf"part-[0-9A-Za-z]{{15,18}}-[0-9]{{5,}}\.(?:{'|'.join(FileFormat)})"
_PART_NAME: Final = re.compile(_PART)
_LEFTOVER: Final = re.compile(
    rf"_{_PART}\.[0-9a-f]+(?:\.[0-9]+\.part)?|(?:{re.escape(MANIFEST)}|{re.escape(PUBLISHING)})\.[0-9]+\.part"
)
"""What may lie in the folder when an extract is finished and belongs to none: pages of jobs that were given up, and what
killed processes were writing."""


class PartFiles:
    """The part files of one job in a folder. A ``flows.page_ledger.PageFiles``.

    The final names carry the job's id, so the files of two queries never mix.

    :param announce: reads what a reply's headers say of the page
    """

    def __init__(
        self,
        output: Output,
        job: JobInfo,
        file_format: FileFormat,
        *,
        announce: Callable[[Reply], Announcement] = announced,
    ) -> None:
        self._announce = announce
        self._output = output
        self._job = job
        self._format = file_format
        self._dialect = dialect_of(job)
        self._there = output.sizes()
        self._made: dict[int, FilePage] = {}
        self._restored: dict[int, PageFile] = {}

    def page(self, index: int, types: Sequence[ColumnType], setup: str) -> FilePage:
        """Make the sink of a page, for columns of these types (none for CSV)."""
        name = self._hidden_name(index, setup)
        page: FilePage
        if self._format is FileFormat.CSV:
            page = CsvPage(self._output, name, self._dialect, announce=self._announce)
        else:
            kind = ParquetPage if self._format is FileFormat.PARQUET else JsonlPage
            columns = tuple(each.name for each in types)
            page = kind(
                self._output,
                name,
                self._dialect,
                types=lambda _: types,
                expect_header=columns,
                announce=self._announce,
            )
        self._restored.pop(index, None)
        self._made[index] = page
        return page

    def finished(self, index: int, /) -> Mapping[str, Any]:
        """Tell what to remember of a page's file."""
        file = self._file(index)
        return {"name": self._final_name(index), "bytes": file.length, "sha256": file.sha256}

    def restore(self, page: Page, kept: Mapping[str, Any], setup: str, /, *, published: bool) -> bool:
        """Take over a finished page when its file has the bytes it had: hidden, or under its final name already."""
        final, hidden = self._final_name(page.index), self._hidden_name(page.index, setup)
        if self._there.get(hidden) == kept["bytes"]:
            name = hidden
        elif published and self._there.get(final) == kept["bytes"]:
            name = final
        else:
            return False
        columns = columns_of(page.header, self._dialect)
        self._restored[page.index] = PageFile(
            self._output.uri(name), name, page.records, kept["bytes"], kept["sha256"], columns
        )
        return True

    def publish(self, pages: int, *, at_once: int) -> Flow[tuple[list[PageFile], str]]:
        """Give the files their final names, write the manifest, and remove what the manifest before named.

        A publishing that was killed is done again by the next one into this folder, this job's or another's: until the
        new manifest stands and the old files are gone, ``_publishing.json`` tells which names are concerned.

        :param pages: how many there are; all are finished
        :param at_once: files to rename at the same time: object storage copies
        :return: the files in the order of the rows, and the manifest's URI
        """
        files = [self._file(index) for index in range(pages)]
        shown = [self._shown(index, file) for index, file in enumerate(files)]
        names = {file.name for file in shown}
        before = _names_in(self._output.read(MANIFEST))
        for name in _names_in(self._output.read(PUBLISHING)) - before - names:
            self._output.remove(name)
        concerned = [{"name": name} for name in sorted(names | before)]
        write_json(self._output, PUBLISHING, {"version": FORMAT_VERSION, "files": concerned})
        moves = [(old.name, new.name) for old, new in zip(files, shown, strict=True) if old.name != new.name]
        yield Together((self._rename(*move) for move in moves), at_once)
        manifest = write_json(self._output, MANIFEST, self._manifest(shown))
        for name in before - names:
            self._output.remove(name)
        for name in filter(_LEFTOVER.fullmatch, self._output.sizes()):
            self._output.remove(name)
        self._output.remove(PUBLISHING)
        return shown, manifest

    def _rename(self, name: str, new: str) -> Flow[None]:
        yield from ()  # a flow, so that several may run at the same time
        self._output.rename(name, new)

    def _file(self, index: int) -> PageFile:
        file = self._made[index].file if index in self._made else self._restored[index]
        if file is None:
            raise RuntimeError("a page's file is asked for when the page is finished")
        return file

    def _shown(self, index: int, file: PageFile) -> PageFile:
        name = self._final_name(index)
        return replace(file, name=name, uri=self._output.uri(name))

    def _final_name(self, index: int) -> str:
        return f"part-{self._job.id}-{index:05d}.{self._format}"

    def _hidden_name(self, index: int, setup: str) -> str:
        return f"_{self._final_name(index)}.{setup}"

    def _manifest(self, files: Sequence[PageFile]) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "job_id": self._job.id,
            "sobject": self._job.object,
            "format": str(self._format),
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


def _names_in(manifest: bytes | None) -> set[str]:
    """Read which files an earlier manifest names; of one that is not ours, none: its files are somebody else's."""
    try:
        read = json.loads(manifest or b"{}")
        names = {file["name"] for file in read["files"]} if read.get("version") == FORMAT_VERSION else set()
    except (ValueError, TypeError, KeyError, AttributeError):
        return set()
    return {name for name in names if isinstance(name, str) and _PART_NAME.fullmatch(name)}
